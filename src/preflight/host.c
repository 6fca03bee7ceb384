#include "preflight/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { PATH_SIZE = 512, NAMES_SIZE = 4096, CONF_MAX = 4096, TEXT_MAX = 1024 };

#define LIBRARY "libhailort.so."

struct search {
    const char *root;
    struct hs_host *host;
    const char *folder;  /* of libraries */
    int pid;             /* of a process */
    char dir[PATH_SIZE]; /* its folder, "/proc/812" */
};

const char *hs_host_root(void)
{
    const char *root = getenv("HS_HOST_ROOT");
    return root ? root : "";
}

/* ---- Files below the root ---- */

/* Writes root + dir + "/" + name; false if it does not fit. `name` may be NULL. */
static bool join(char dst[PATH_SIZE], const char *root, const char *dir, const char *name)
{
    return hs_str_format(dst, PATH_SIZE, "%s%s%s%s", root, dir, name ? "/" : "", name ? name : "");
}

/* Reads the start of a file, without trailing white space and NUL bytes; false (and "") if it cannot be read. */
static bool read_text(const char *root, const char *dir, const char *name, char *dst, size_t size)
{
    char path[PATH_SIZE];
    dst[0] = '\0';
    int fd = join(path, root, dir, name) ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0)
        return false;
    ssize_t len = read(fd, dst, size - 1);
    close(fd);
    while (len > 0 && (dst[len - 1] == '\0' || strchr(" \t\r\n", dst[len - 1])))
        len--;
    dst[len > 0 ? len : 0] = '\0';
    return len >= 0;
}

/* Calls `visit` for the names in a folder, in alphabetical order; skips hidden files. */
static void visit_names(const char *root, const char *dir, void (*visit)(const char *name, void *arg), void *arg)
{
    char path[PATH_SIZE];
    struct dirent **entries;
    int count = join(path, root, dir, NULL) ? scandir(path, &entries, NULL, alphasort) : -1;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.')
            visit(entries[i]->d_name, arg);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

/* Reads the target of a link, cut at `size`; false (and "") if it cannot be read. */
static bool read_target(const char *root, const char *dir, const char *name, char *dst, size_t size)
{
    char path[PATH_SIZE];
    ssize_t len = join(path, root, dir, name) ? readlink(path, dst, size - 1) : -1;
    dst[len > 0 ? len : 0] = '\0';
    return len > 0;
}

/* Returns true if the name is the prefix and a number, as "hailo0" for "hailo". */
static bool numbered(const char *name, const char *prefix)
{
    if (!hs_str_starts(name, prefix))
        return false;
    const char *number = name + strlen(prefix);
    size_t len = strspn(number, "0123456789");
    return len > 0 && len < 6 && number[len] == '\0';
}

/* Returns true for paths such as /dev/hailo0 and /dev/h1x-0. */
static bool is_node(const char *path)
{
    static const char dev[] = "/dev/";
    return hs_str_starts(path, dev) &&
           (numbered(path + sizeof(dev) - 1, "hailo") || numbered(path + sizeof(dev) - 1, "h1x-"));
}

/* ---- Nodes ---- */

/* Writes the user's name, or the number if it has no name. */
static void owner_name(uid_t uid, char *dst, size_t size)
{
    char names[NAMES_SIZE];
    struct passwd user, *found = NULL;
    if (getpwuid_r(uid, &user, names, sizeof(names), &found) == 0 && found)
        hs_str_copy(dst, size, user.pw_name);
    else
        hs_str_format(dst, size, "%u", (unsigned) uid);
}

static void group_name(gid_t gid, char *dst, size_t size)
{
    char names[NAMES_SIZE];
    struct group group, *found = NULL;
    if (getgrgid_r(gid, &group, names, sizeof(names), &found) == 0 && found)
        hs_str_copy(dst, size, group.gr_name);
    else
        hs_str_format(dst, size, "%u", (unsigned) gid);
}

static void add_node(const char *name, void *arg)
{
    const struct search *search = arg;
    struct hs_host *host = search->host;
    struct hs_host_node *node = &host->nodes[host->node_count];
    char path[PATH_SIZE];
    struct stat st;
    if (host->node_count == HS_HOST_NODES || strlen(name) > 32)
        return;
    hs_str_format(node->path, sizeof(node->path), "/dev/%s", name);
    if (!is_node(node->path) || !join(path, search->root, node->path, NULL) || stat(path, &st) < 0 ||
        S_ISDIR(st.st_mode))
        return;
    node->usable = faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0;
    node->mode = st.st_mode & 07777;
    owner_name(st.st_uid, node->owner, sizeof(node->owner));
    group_name(st.st_gid, node->group, sizeof(node->group));
    host->node_count++;
}

/* ---- The driver ---- */

static void add_module(const char *name, void *arg)
{
    const struct search *search = arg;
    struct hs_host *host = search->host;
    char dir[PATH_SIZE];
    if (host->module[0] || !hs_str_starts(name, "hailo") || strlen(name) >= sizeof(host->module))
        return;
    hs_str_copy(host->module, sizeof(host->module), name);
    join(dir, "", "/sys/module", name);
    read_text(search->root, dir, "version", host->module_version, sizeof(host->module_version));
}

static void find_class(const struct search *search)
{
    static const char *const classes[] = { "hailo_chardev", "hailo1x" };
    char path[PATH_SIZE];
    for (size_t i = 0; i < HS_ARRAY_LEN(classes); i++)
        if (join(path, search->root, "/sys/class", classes[i]) && access(path, F_OK) == 0)
            hs_str_copy(search->host->device_class, sizeof(search->host->device_class), classes[i]);
}

/* ---- Boards on the PCI bus ---- */

static unsigned read_hex(const struct search *search, const char *dir, const char *name)
{
    char text[32];
    read_text(search->root, dir, name, text, sizeof(text));
    return (unsigned) strtoul(text, NULL, 16);
}

/* Returns the PCIe generation of a link speed. Each generation is about twice as fast as the previous one. */
static int generation_of(double gts)
{
    static const double limits[] = { 2, 4, 7, 15, 31, 63 };
    int generation = 0;
    while (generation < 6 && gts > limits[generation])
        generation++;
    return generation;
}

static void add_board(const char *name, void *arg)
{
    enum { VENDOR_HAILO = 0x1e60 };
    const struct search *search = arg;
    struct hs_host *host = search->host;
    struct hs_host_board *board = &host->boards[host->board_count];
    char dir[PATH_SIZE], target[PATH_SIZE], text[32];
    int64_t lanes;
    if (host->board_count == HS_HOST_BOARDS || strlen(name) >= sizeof(board->address) ||
        !join(dir, "", "/sys/bus/pci/devices", name) || read_hex(search, dir, "vendor") != VENDOR_HAILO)
        return;
    hs_str_copy(board->address, sizeof(board->address), name);
    board->device = read_hex(search, dir, "device");
    if (read_target(search->root, dir, "driver", target, sizeof(target)))
        hs_str_copy(board->driver, sizeof(board->driver), hs_path_base(target));
    read_text(search->root, dir, "current_link_speed", text, sizeof(text));
    text[strcspn(text, " ")] = '\0';
    if (hs_str_to_double(text, &board->speed_gts))
        board->generation = generation_of(board->speed_gts);
    read_text(search->root, dir, "current_link_width", text, sizeof(text));
    if (hs_str_to_int64(text, &lanes) && lanes > 0 && lanes <= 32)
        board->lanes = (int) lanes;
    host->board_count++;
}

/* ---- Processes that have a node open, from the links in /proc/PID/fd ---- */

static void add_holder(const struct search *search, const char *node)
{
    struct hs_host *host = search->host;
    struct hs_host_holder *last = host->holder_count ? &host->holders[host->holder_count - 1] : NULL;
    if (host->holder_count == HS_HOST_HOLDERS || (last && last->pid == search->pid && strcmp(last->node, node) == 0))
        return;
    struct hs_host_holder *holder = &host->holders[host->holder_count++];
    holder->pid = search->pid;
    hs_str_copy(holder->node, sizeof(holder->node), node);
    if (!read_text(search->root, search->dir, "comm", holder->command, sizeof(holder->command)))
        hs_str_copy(holder->command, sizeof(holder->command), "?");
}

/* Adds the nodes that a process has open. False if this user may not read the descriptors of the process. */
static bool read_descriptors(const struct search *search)
{
    char folder[PATH_SIZE], target[HS_HOST_NAME];
    if (!join(folder, search->root, search->dir, "fd"))
        return true;
    DIR *dir = opendir(folder);
    if (!dir)
        return errno != EACCES && errno != EPERM;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (read_target(folder, "", entry->d_name, target, sizeof(target)) && is_node(target))
            add_holder(search, target);
    }
    closedir(dir);
    return true;
}

static void read_process(const char *name, void *arg)
{
    struct search *search = arg;
    int64_t pid;
    if (!hs_str_to_int64(name, &pid) || pid <= 0 || pid > INT32_MAX || pid == getpid())
        return;
    search->pid = (int) pid;
    if (join(search->dir, "", "/proc", name) && !read_descriptors(search))
        search->host->unreadable++;
}

/* ---- HailoRT's libraries, by their file names: each runs only programs that were built against its version ---- */

/* Copies a version such as "5.1.1" from the start of the text; false without one or with only a part of it
 * (libhailort.so.5). */
static bool parse_version(const char *text, char dst[32])
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
        !parse_version(name + strlen(LIBRARY), version) || strlen(name) != strlen(LIBRARY) + strlen(version))
        return;
    for (size_t i = 0; i < host->library_count; i++)
        if (strcmp(host->libraries[i].version, version) == 0)
            return;
    hs_str_copy(library->version, sizeof(library->version), version);
    hs_str_copy(library->folder, sizeof(library->folder), search->folder);
    host->library_count++;
}

static void search_folder(struct search *search, const char *folder)
{
    search->folder = folder;
    if (folder[0] == '/')
        visit_names(search->root, folder, add_library, search);
}

/* Searches the folders in a file of ld.so.conf.d. Lines without a leading '/' are comments or includes. */
static void add_conf(const char *name, void *arg)
{
    char text[CONF_MAX], *save = NULL;
    struct search *search = arg;
    if (!hs_str_ends(name, ".conf") || !read_text(search->root, "/etc/ld.so.conf.d", name, text, sizeof(text)))
        return;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        search_folder(search, line);
}

void hs_host_find_libraries_in(const char *root, const char *folder, struct hs_host *host)
{
    struct search search = { .root = root, .host = host };
    search_folder(&search, folder);
}

void hs_host_find_libraries(const char *root, struct hs_host *host)
{
    static const char *const folders[] = { "/usr/local/lib", "/lib", "/usr/lib", "/lib64", "/usr/lib64" };
    struct search search = { .root = root, .host = host };
    const char *value = getenv("LD_LIBRARY_PATH");
    char text[CONF_MAX], *save = NULL;
    host->library_count = 0;
    /* The variable belongs to this process, so it applies to the real root only. */
    if (!root[0] && value && hs_str_copy(text, sizeof(text), value)) {
        for (char *folder = strtok_r(text, ":;", &save); folder; folder = strtok_r(NULL, ":;", &save))
            search_folder(&search, folder);
    }
    visit_names(root, "/etc/ld.so.conf.d", add_conf, &search);
    for (size_t i = 0; i < HS_ARRAY_LEN(folders); i++)
        search_folder(&search, folders[i]);
}

bool hs_host_explain_library(const char *root, const char *message, char *dst, size_t size)
{
    const char *name = strstr(message, LIBRARY);
    char wanted[32], list[TEXT_MAX] = "";
    struct hs_host host;
    size_t others = 0;
    if (!name || !parse_version(name + strlen(LIBRARY), wanted) || !strstr(name, "cannot open shared object file"))
        return false;
    hs_host_find_libraries(root, &host);
    for (size_t i = 0; i < host.library_count; i++) {
        size_t used = strlen(list);
        if (strcmp(host.libraries[i].version, wanted) != 0)
            hs_str_format(list + used, sizeof(list) - used, "%s" LIBRARY "%s", others++ ? ", " : "",
                          host.libraries[i].version);
    }
    if (others)
        hs_str_format(dst, size, LIBRARY "%s is not installed, but %s %s: build the backend again with: backends build",
                      wanted, list, others == 1 ? "is" : "are");
    else
        hs_str_format(dst, size,
                      LIBRARY
                      "%s is not installed, and neither is another version of HailoRT: sudo apt install hailo-h10-all",
                      wanted);
    return true;
}

/* ---- All of it ---- */

void hs_host_model(const char *root, char *dst, size_t size)
{
    read_text(root, "/proc/device-tree/model", NULL, dst, size);
}

void hs_host_inspect(const char *root, struct hs_host *ret_host)
{
    struct search search = { .root = root, .host = ret_host };
    memset(ret_host, 0, sizeof(*ret_host));
    visit_names(root, "/dev", add_node, &search);
    visit_names(root, "/sys/module", add_module, &search);
    visit_names(root, "/sys/bus/pci/devices", add_board, &search);
    find_class(&search);
    owner_name(geteuid(), ret_host->user, sizeof(ret_host->user));
    hs_host_model(root, ret_host->model, sizeof(ret_host->model));
    hs_host_find_libraries(root, ret_host);
    if (ret_host->node_count > 0)
        visit_names(root, "/proc", read_process, &search);
}
