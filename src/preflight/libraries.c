/* HailoRT's libraries, by their file names: each runs only programs that were built against its very version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "preflight/host.h"
#include "preflight/sysfs_read.h"

#define LIBRARY "libhailort.so."

enum { CONF_MAX = 4096, TEXT_MAX = 1024 };

struct search {
    const char *root, *folder;
    struct hs_host *host;
};

/* "5.1.1" at the start of the text; false if there is none, or only a part of it (libhailort.so.5). */
static bool take_version(const char *text, char dst[32])
{
    size_t len = strspn(text, "0123456789."), dots = 0;
    while (len > 0 && text[len - 1] == '.')
        len--;
    for (size_t i = 0; i < len; i++)
        dots += text[i] == '.';
    return dots == 2 && hs_str_copy_n(dst, 32, text, len);
}

static void add_library(const char *name, void *arg)
{
    const struct search *search = arg;
    struct hs_host *host = search->host;
    struct hs_host_library *library = &host->libraries[host->library_count];
    char version[32];
    if (host->library_count == HS_HOST_LIBRARIES || !hs_str_starts(name, LIBRARY) ||
        !take_version(name + strlen(LIBRARY), version) || strlen(name) != strlen(LIBRARY) + strlen(version))
        return;
    for (size_t i = 0; i < host->library_count; i++)
        if (strcmp(host->libraries[i].version, version) == 0)
            return;
    hs_str_copy(library->version, sizeof(library->version), version);
    hs_str_copy(library->folder, sizeof(library->folder), search->folder);
    host->library_count++;
}

static void look_into(struct search *search, const char *folder)
{
    search->folder = folder;
    if (folder[0] == '/')
        hs_sysfs_folder(search->root, folder, add_library, search);
}

/* A line is a folder; other lines are comments, or includes of this folder. */
static void add_conf(const char *name, void *arg)
{
    char text[CONF_MAX], *save = NULL;
    struct search *search = arg;
    if (!hs_str_ends(name, ".conf") || !hs_sysfs_text(search->root, "/etc/ld.so.conf.d", name, text, sizeof(text)))
        return;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        look_into(search, line);
}

void hs_host_find_libraries_in(const char *root, const char *folder, struct hs_host *host)
{
    struct search search = { .root = root, .host = host };
    look_into(&search, folder);
}

void hs_host_find_libraries(const char *root, struct hs_host *host)
{
    static const char *const folders[] = { "/usr/local/lib", "/lib", "/usr/lib", "/lib64", "/usr/lib64" };
    struct search search = { .root = root, .host = host };
    const char *value = getenv("LD_LIBRARY_PATH");
    char text[CONF_MAX], *save = NULL;
    host->library_count = 0;
    /* The variable is this process's, so it counts for the real root only. */
    if (!root[0] && value && hs_str_copy(text, sizeof(text), value)) {
        for (char *folder = strtok_r(text, ":;", &save); folder; folder = strtok_r(NULL, ":;", &save))
            look_into(&search, folder);
    }
    hs_sysfs_folder(root, "/etc/ld.so.conf.d", add_conf, &search);
    for (size_t i = 0; i < HS_ARRAY_LEN(folders); i++)
        look_into(&search, folders[i]);
}

bool hs_host_explain_library(const char *root, const char *message, char *dst, size_t size)
{
    const char *name = strstr(message, LIBRARY);
    char wanted[32], list[TEXT_MAX] = "";
    struct hs_host host;
    size_t others = 0;
    if (!name || !take_version(name + strlen(LIBRARY), wanted) || !strstr(name, "cannot open shared object file"))
        return false;
    hs_host_find_libraries(root, &host);
    for (size_t i = 0; i < host.library_count; i++) {
        size_t used = strlen(list);
        if (strcmp(host.libraries[i].version, wanted) != 0)
            hs_str_format(list + used, sizeof(list) - used, "%s" LIBRARY "%s", others++ ? ", " : "",
                          host.libraries[i].version);
    }
    if (others)
        hs_str_format(dst, size,
                      LIBRARY "%s is not installed; %s %s: build the backend again with: backends build", wanted, list,
                      others == 1 ? "is" : "are");
    else
        hs_str_format(dst, size, LIBRARY "%s is not installed, nor any other version of HailoRT: sudo apt install "
                      "hailo-h10-all", wanted);
    return true;
}
