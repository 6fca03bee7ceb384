#include "models/npm_registry.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { FILE_MAX = 1 << 20, KEY_SIZE = HS_NPM_TEXT_SIZE + 40 };

/* The contents of the configuration files, highest precedence first; NULL: the file does not exist. */
struct config {
    char *files[5];
};

/* ---- One setting of a file ---- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Strips blanks from both ends of [begin, end). */
static void trim(const char **begin, const char **end)
{
    while (*begin < *end && is_blank(**begin))
        ++*begin;
    while (*end > *begin && is_blank((*end)[-1]))
        --*end;
}

/* Writes a value without quotes and comment, and expands ${NAME} from the environment. Like npm,
 * keeps ${NAME} if the variable is not set. */
static bool put_value(const char *begin, const char *end, char *dst, size_t size)
{
    trim(&begin, &end);
    bool quoted = end - begin > 1 && (*begin == '"' || *begin == '\'') && end[-1] == *begin;
    if (quoted) {
        begin++;
        end--;
    }
    size_t used = 0;
    while (begin < end && (quoted || (*begin != ';' && *begin != '#'))) {
        char name[200];
        const char *close =
            begin[0] == '$' && begin + 1 < end && begin[1] == '{' ? memchr(begin, '}', (size_t) (end - begin)) : NULL;
        const char *value =
            close && hs_str_copy_n(name, sizeof(name), begin + 2, (size_t) (close - begin - 2)) ? getenv(name) : NULL;
        size_t len = value ? strlen(value) : 1;
        if (len >= size - used)
            return false;
        memcpy(dst + used, value ? value : begin, len);
        used += len;
        begin = value ? close + 1 : begin + 1;
    }
    while (used > 0 && is_blank(dst[used - 1]))
        used--;
    dst[used] = '\0';
    return true;
}

/* If a key occurs twice, the last line applies. */
static bool find_in_file(const char *text, const char *key, char *dst, size_t size)
{
    bool found = false;
    for (const char *line = text, *next; *line; line = next) {
        const char *end = line + strcspn(line, "\n"), *equals = memchr(line, '=', (size_t) (end - line));
        next = *end ? end + 1 : end;
        const char *begin = line, *stop = equals ? equals : line;
        trim(&begin, &stop);
        if (equals && (size_t) (stop - begin) == strlen(key) && strncmp(begin, key, strlen(key)) == 0)
            found = put_value(equals + 1, end, dst, size);
    }
    return found;
}

/* ---- One setting ---- */

/* Like npm, accepts NPM_CONFIG_HTTPS_PROXY for https-proxy. */
static bool find_in_environment(const char *key, char *dst, size_t size)
{
    static const char prefix[] = "npm_config_";
    for (char **entry = environ; *entry; entry++) {
        const char *name = *entry + strlen(prefix), *value = strchr(*entry, '=');
        if (!value || strncasecmp(*entry, prefix, strlen(prefix)) != 0 || (size_t) (value - name) != strlen(key))
            continue;
        size_t same = 0;
        while (key[same] && (strncasecmp(&name[same], &key[same], 1) == 0 || (name[same] == '_' && key[same] == '-')))
            same++;
        if (!key[same])
            return hs_str_copy(dst, size, value + 1);
    }
    return false;
}

static bool find(const struct config *config, const char *key, char *dst, size_t size)
{
    bool found = find_in_environment(key, dst, size);
    for (size_t i = 0; i < HS_ARRAY_LEN(config->files) && !found; i++)
        found = config->files[i] && find_in_file(config->files[i], key, dst, size);
    if (!found)
        dst[0] = '\0';
    return found && dst[0];
}

/* A file that is missing or unreadable counts as empty. Out of memory is an error: without the
 * file, the package could come from another registry than the user's. */
static int read_config(const char *path, char **ret_text, struct hs_error *err)
{
    uint8_t *text;
    size_t len;
    struct hs_error local;
    int r = hs_file_read(path, FILE_MAX, &text, &len, &local);
    if (r == 0)
        *ret_text = (char *) text;
    return r == HS_ENOMEM ? hs_error_set(err, r, "%s", local.message) : 0;
}

static int load(struct config *config, struct hs_error *err)
{
    static const char *const global[] = { "/usr/local/etc/npmrc", "/usr/etc/npmrc", "/etc/npmrc" };
    const struct config none = { 0 };
    char path[PATH_MAX];
    const char *home = getenv("HOME");
    struct stat st;
    int r = 0;
    /* Another user's .npmrc could send our token, or any environment variable, to that user's
     * server. */
    if (stat(".npmrc", &st) == 0 && st.st_uid == geteuid())
        r = read_config(".npmrc", &config->files[0], err);
    if (find(&none, "userconfig", path, sizeof(path)) || (home && hs_path_join(path, sizeof(path), home, ".npmrc")))
        r = r < 0 ? r : read_config(path, &config->files[1], err);
    bool named = find(&none, "globalconfig", path, sizeof(path));
    for (size_t i = 0; r == 0 && i < (named ? 1 : HS_ARRAY_LEN(global)); i++)
        r = read_config(named ? path : global[i], &config->files[2 + i], err);
    return r;
}

/* ---- The registry ---- */

/* A token is stored for //host/path/ and applies to all addresses below it. */
static int find_authorization(const struct config *config, const char *registry, char *dst, size_t size,
                              struct hs_error *err)
{
    static const struct {
        const char *key, *scheme;
    } kinds[] = { { "_authToken", "Bearer" }, { "_auth", "Basic" } };
    char place[HS_NPM_TEXT_SIZE], key[KEY_SIZE], value[HS_NPM_TEXT_SIZE];
    hs_str_format(place, sizeof(place), "%s/", strstr(registry, "//"));
    dst[0] = '\0';
    for (char *slash; (slash = strrchr(place, '/')) > place + 1; *slash = '\0') {
        slash[1] = '\0';
        for (size_t i = 0; i < HS_ARRAY_LEN(kinds); i++) {
            if (!hs_str_format(key, sizeof(key), "%s:%s", place, kinds[i].key) ||
                !find(config, key, value, sizeof(value)))
                continue;
            for (const char *c = value; *c; c++)
                if (*c <= ' ' || *c > '~')
                    return hs_error_set(err, HS_EINVAL, "npm's setting %s contains an invalid character", key);
            hs_str_format(dst, size, "Authorization: %s %s", kinds[i].scheme, value);
            return 0;
        }
    }
    return 0;
}

static int find_registry(const struct config *config, const char *package, char *dst, size_t size, struct hs_error *err)
{
    char key[KEY_SIZE];
    bool scoped = package[0] == '@' &&
                  hs_str_format(key, sizeof(key), "%.*s:registry", (int) strcspn(package, "/"), package) &&
                  find(config, key, dst, size);
    if (!scoped && !find(config, "registry", dst, size))
        hs_str_copy(dst, size, "https://" HS_NPM_HOST);
    for (size_t len = strlen(dst); len > 0 && dst[len - 1] == '/'; len--)
        dst[len - 1] = '\0';
    if (!hs_str_starts(dst, "https://") && !hs_str_starts(dst, "http://"))
        return hs_error_set(err, HS_EINVAL, "npm's setting %s is not an http or https address",
                            scoped ? key : "registry");
    return 0;
}

static int locate(const struct config *config, const char *package, const char *version, struct hs_npm_location *ret,
                  struct hs_error *err)
{
    char registry[HS_NPM_TEXT_SIZE];
    const char *slash = strchr(package, '/');
    int r = find_registry(config, package, registry, sizeof(registry), err);
    if (r == 0)
        r = find_authorization(config, registry, ret->authorization, sizeof(ret->authorization), err);
    if (r == 0 && !hs_str_format(ret->url, sizeof(ret->url), "%s/%s/-/%s-%s.tgz", registry, package,
                                 slash ? slash + 1 : package, version))
        r = hs_error_set(err, HS_EINVAL, "npm's setting registry is too long");
    if (r < 0)
        return r;
    bool secure = hs_str_starts(registry, "https://");
    if (!(secure && find(config, "https-proxy", ret->proxy, sizeof(ret->proxy))))
        find(config, "proxy", ret->proxy, sizeof(ret->proxy));
    find(config, "noproxy", ret->no_proxy, sizeof(ret->no_proxy));
    find(config, "cafile", ret->ca_file, sizeof(ret->ca_file));
    /* npm writes null for unset values. */
    char *const texts[] = { ret->proxy, ret->no_proxy, ret->ca_file };
    for (size_t i = 0; i < HS_ARRAY_LEN(texts); i++)
        if (strcmp(texts[i], "null") == 0 || strcmp(texts[i], "false") == 0)
            texts[i][0] = '\0';
    return 0;
}

int hs_npm_locate(const char *package, const char *version, struct hs_npm_location *ret_location, struct hs_error *err)
{
    struct config config = { 0 };
    int r = load(&config, err);
    if (r == 0)
        r = locate(&config, package, version, ret_location, err);
    for (size_t i = 0; i < HS_ARRAY_LEN(config.files); i++)
        free(config.files[i]);
    return r;
}
