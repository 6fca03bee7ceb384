#include "cli/backend_build.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/subprocess.h"
#include "base/str.h"
#include "cli/paths.h"
#include "infer/registry.h"
#include "preflight/host.h"

enum { PATH = HS_BACKEND_BUILD_PATH, LOG_MAX = 16 << 10, ARGS_MAX = 40 };

#define MODULE "hs_backend_hailo.so"
#define SDK_HINT "sudo apt install hailo-h10-all, or name HailoRT's folder with --sdk DIR (it holds include/ and lib/)"

static const char *const sources[] = { HS_SHIM_SOURCES };

struct build {
    const struct hs_backend_build *options;
    struct hs_backend_built *built;
    char tree[PATH];   /* below it src/ and include/ */
    char work[PATH];   /* objects and the compiler's words */
    char target[PATH]; /* the module, in its folder but under another name */
    char sdk_include[PATH], sdk_lib[PATH], rpath[PATH], src[PATH], include[PATH], exports[PATH];
};

/* ---- What is needed ---- */

static bool is_tree(const char *dir)
{
    char path[PATH];
    return hs_path_join(path, sizeof(path), dir, sources[0]) && hs_file_exists(path);
}

/* Beside an installed program, or a build folder inside the source tree. */
static int find_tree(struct build *build, struct hs_error *err)
{
    static const char *const beside[] = { "../share/hailo-services/backend-hailo", ".." };
    char exe[PATH];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; slash && i < HS_ARRAY_LEN(beside); i++)
        if (hs_path_join(build->tree, PATH, exe, beside[i]) && is_tree(build->tree))
            return 0;
    if (hs_str_copy(build->tree, PATH, HS_SHIM_INSTALL_DIR) && is_tree(build->tree))
        return 0;
    if (hs_str_copy(build->tree, PATH, HS_SHIM_SOURCE_DIR) && is_tree(build->tree))
        return 0;
    return hs_error_set(err, HS_ENOTFOUND, "the backend's sources are not in %s; install the program again",
                        HS_SHIM_INSTALL_DIR);
}

static int make_work(struct build *build, struct hs_error *err)
{
    const char *temp = getenv("TMPDIR");
    hs_str_format(build->work, PATH, "%s/hailo-backend-XXXXXX", temp && temp[0] ? temp : "/tmp");
    if (!mkdtemp(build->work)) {
        hs_error_set(err, HS_EIO, "no folder can be made for the work: %s: %s", build->work, strerror(errno));
        build->work[0] = '\0';
        return HS_EIO;
    }
    return 0;
}

/* Before anything is compiled, so that nobody waits for a minute to be told that he may not write. */
static int make_target(struct build *build, struct hs_error *err)
{
    char folder[HS_REGISTRY_PATH_SIZE];
    if (!(build->options->output ? hs_str_copy(folder, sizeof(folder), build->options->output)
                                 : hs_registry_folder(folder)))
        return hs_error_set(err, HS_EINVAL, "--output: the path is too long");
    hs_dir_make(folder, NULL); /* what fails shows in the following */
    char *whole = access(folder, W_OK | X_OK) == 0 ? realpath(folder, NULL) : NULL;
    if (!whole)
        return hs_error_set(err, HS_EIO, "%s cannot be written: %s; run this with sudo, or name another folder with "
                            "--output (the environment variable HS_BACKEND_DIR makes the programs look there)", folder,
                            strerror(errno));
    bool fits = hs_str_format(build->target, PATH, "%s/." MODULE ".%d", whole, (int) getpid()) &&
                hs_path_join(build->built->module, PATH, whole, MODULE);
    free(whole);
    return fits ? 0 : hs_error_set(err, HS_EINVAL, "--output: the path is too long");
}

static int find_compiler(struct build *build, struct hs_error *err)
{
    const char *named = getenv("CXX");
    const char *const names[] = { named && named[0] ? named : "c++", "g++", "clang++" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        const char *const argv[] = { names[i], "--version", NULL };
        int code;
        if (hs_subprocess_run(argv, build->work, "log", &code, NULL) == 0 && code == 0) {
            build->built->compiler = names[i];
            return 0;
        }
    }
    return hs_error_set(err, HS_ENOTFOUND, "there is no C++ compiler (%s, g++, clang++): sudo apt install g++",
                        names[0]);
}

/* ---- Compiler and linker ---- */

struct command {
    const char *argv[ARGS_MAX];
    size_t count;
};

static void add(struct command *command, const char *word)
{
    if (command->count < ARGS_MAX - 1)
        command->argv[command->count++] = word;
}

static void add_all(struct command *command, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(command, words[i]);
}

/* What the compiler said, for people to read. */
static void show_log(const struct build *build)
{
    char path[PATH];
    uint8_t *text;
    size_t len;
    if (!hs_path_join(path, sizeof(path), build->work, "log") || hs_file_read(path, LOG_MAX, &text, &len, NULL) < 0)
        return;
    fwrite(text, 1, len, stderr);
    free(text);
}

/* 0, or HS_EINTERNAL where it failed, without a word about it. */
static int run(const struct build *build, const struct command *command, struct hs_error *err)
{
    int code, r = hs_subprocess_run(command->argv, build->work, "log", &code, err);
    return r < 0 ? r : code == 0 ? 0 : HS_EINTERNAL;
}

static void begin_compile(const struct build *build, const char *source, struct command *command)
{
    static const char *const cxx[] = { "-std=c++17", "-fno-exceptions", "-fno-rtti" };
    static const char *const c[] = { "-x", "c", "-std=c17" };
    static const char *const both[] = { "-O2", "-g", "-fPIC", "-fvisibility=hidden", "-D_GNU_SOURCE", "-Wall" };
    *command = (struct command) { .argv = { build->built->compiler }, .count = 1 };
    if (hs_str_ends(source, ".c"))
        add_all(command, c, HS_ARRAY_LEN(c));
    else
        add_all(command, cxx, HS_ARRAY_LEN(cxx));
    add_all(command, both, HS_ARRAY_LEN(both));
    add(command, "-I");
    add(command, build->src);
    add(command, "-isystem");
    add(command, build->include);
    if (build->options->sdk) {
        add(command, "-isystem");
        add(command, build->sdk_include);
    }
}

static int check_headers(const struct build *build, struct hs_error *err)
{
    static const char text[] = "#include <hailo/infer_model.hpp>\n#include <hailo/vdevice.hpp>\n";
    struct command command;
    char path[PATH];
    if (!hs_path_join(path, sizeof(path), build->work, "headers.cc"))
        return hs_error_set(err, HS_EINVAL, "the path %s is too long", build->work);
    int r = hs_file_write_atomic(path, text, strlen(text), 0600, err);
    if (r < 0)
        return r;
    begin_compile(build, path, &command);
    add(&command, "-fsyntax-only");
    add(&command, path);
    r = run(build, &command, err);
    if (r != HS_EINTERNAL)
        return r;
    show_log(build);
    return hs_error_set(err, HS_ENOTFOUND, "HailoRT's headers (hailo/infer_model.hpp) cannot be used%s%s: " SDK_HINT,
                        build->options->sdk ? " from " : "", build->options->sdk ? build->sdk_include : "");
}

/* The name without a version first: that is the one whose headers are installed. */
static int find_library(struct build *build, struct hs_error *err)
{
    struct hs_host host = { .library_count = 0 };
    char *dst = build->built->library;
    if (build->options->sdk)
        hs_host_find_libraries_in("", build->sdk_lib, &host);
    else
        hs_host_find_libraries("", &host);
    for (size_t i = 0; i < host.library_count; i++)
        if (hs_path_join(dst, PATH, host.libraries[i].folder, "libhailort.so") && hs_file_exists(dst))
            return 0;
    if (host.library_count > 0) {
        hs_str_format(dst, PATH, "%s/libhailort.so.%s", host.libraries[0].folder, host.libraries[0].version);
        return 0;
    }
    return hs_error_set(err, HS_ENOTFOUND, "HailoRT's library (libhailort.so) is not %s%s: " SDK_HINT,
                        build->options->sdk ? "in " : "installed", build->options->sdk ? build->sdk_lib : "");
}

static int compile(const struct build *build, size_t index, const char *object, struct hs_error *err)
{
    struct command command;
    char source[PATH];
    if (!hs_path_join(source, sizeof(source), build->tree, sources[index]))
        return hs_error_set(err, HS_EINVAL, "the path %s is too long", build->tree);
    begin_compile(build, source, &command);
    add(&command, "-c");
    add(&command, "-o");
    add(&command, object);
    add(&command, source);
    int r = run(build, &command, err);
    if (r != HS_EINTERNAL)
        return r;
    show_log(build);
    return hs_error_set(err, HS_EVERSION, "%s does not compile with this HailoRT (written for 5.1 and 5.2)",
                        sources[index]);
}

static int link_module(const struct build *build, char (*objects)[32], struct hs_error *err)
{
    static const char *const flags[] = { "-shared", "-Wl,-z,defs", "-pthread", "-o" };
    struct command command = { .argv = { build->built->compiler }, .count = 1 };
    add_all(&command, flags, HS_ARRAY_LEN(flags));
    add(&command, build->target);
    for (size_t i = 0; i < HS_ARRAY_LEN(sources); i++)
        add(&command, objects[i]);
    add(&command, build->built->library);
    add(&command, build->exports);
    if (build->options->sdk)
        add(&command, build->rpath);
    int r = run(build, &command, err);
    if (r != HS_EINTERNAL)
        return r;
    show_log(build);
    return hs_error_set(err, HS_EVERSION, "the module cannot be linked with %s: are library and headers of one "
                        "version?", build->built->library);
}

static int compile_all(const struct build *build, struct hs_error *err)
{
    char objects[HS_ARRAY_LEN(sources)][32];
    for (size_t i = 0; i < HS_ARRAY_LEN(sources); i++) {
        hs_str_format(objects[i], sizeof(objects[i]), "%zu.o", i);
        int r = compile(build, i, objects[i], err);
        if (r < 0)
            return r;
    }
    return link_module(build, objects, err);
}

/* ---- The module in its place ---- */

static int check_module(struct build *build, struct hs_error *err)
{
    const struct hs_backend *backend;
    struct hs_backend_probe probe;
    int r = hs_registry_open("hailo", build->target, &backend, err);
    if (r < 0)
        return r;
    backend->probe(NULL, &probe);
    hs_str_copy(build->built->version, sizeof(build->built->version), probe.version);
    return 0;
}

static int put_in_place(const struct build *build, struct hs_error *err)
{
    if (chmod(build->target, 0755) == 0 && rename(build->target, build->built->module) == 0)
        return 0;
    return hs_error_set(err, HS_EIO, "cannot write %s: %s", build->built->module, strerror(errno));
}

static int fill_paths(struct build *build, struct hs_error *err)
{
    const char *sdk = build->options->sdk;
    bool fits = hs_path_join(build->src, PATH, build->tree, "src") &&
                hs_path_join(build->include, PATH, build->tree, "include") &&
                hs_str_format(build->exports, PATH, "-Wl,--version-script=%s/src/backends/hailo/exports.map",
                              build->tree);
    if (!sdk)
        return fits ? 0 : hs_error_set(err, HS_EINVAL, "the path %s is too long", build->tree);
    char *whole = realpath(sdk, NULL);
    if (!whole)
        return hs_error_set(err, HS_ENOTFOUND, "--sdk: %s: %s", sdk, strerror(errno));
    fits = fits && hs_path_join(build->sdk_include, PATH, whole, "include") &&
           hs_path_join(build->sdk_lib, PATH, whole, "lib") &&
           hs_str_format(build->rpath, PATH, "-Wl,-rpath,%s", build->sdk_lib);
    free(whole);
    return fits ? 0 : hs_error_set(err, HS_EINVAL, "--sdk: the path is too long");
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;
    return remove(path);
}

int hs_backend_build(const struct hs_backend_build *options, struct hs_backend_built *ret_built, struct hs_error *err)
{
    struct build build = { .options = options, .built = ret_built };
    *ret_built = (struct hs_backend_built) { .compiler = NULL };
    int r = find_tree(&build, err);
    if (r == 0)
        r = fill_paths(&build, err);
    if (r == 0)
        r = make_work(&build, err);
    if (r == 0)
        r = find_compiler(&build, err);
    if (r == 0)
        r = find_library(&build, err);
    if (r == 0)
        r = check_headers(&build, err);
    if (r == 0)
        r = make_target(&build, err);
    if (r == 0)
        r = compile_all(&build, err);
    if (r == 0)
        r = check_module(&build, err);
    if (r == 0)
        r = put_in_place(&build, err);
    if (r < 0 && build.target[0])
        unlink(build.target);
    if (build.work[0])
        nftw(build.work, drop, 8, FTW_DEPTH | FTW_PHYS);
    return r;
}
