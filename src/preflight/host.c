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
#include "preflight/sysfs_read.h"

enum { NAMES_SIZE = 4096 };

struct search {
    const char *root;
    struct hs_host *host;
};

const char *hs_host_root(void)
{
    const char *root = getenv("HS_HOST_ROOT");
    return root ? root : "";
}

/* ---- Nodes ---- */

/* One without a name is called by its number. */
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
    char path[HS_SYSFS_PATH];
    struct stat st;
    if (host->node_count == HS_HOST_NODES || strlen(name) > 32)
        return;
    hs_str_format(node->path, sizeof(node->path), "/dev/%s", name);
    if (!hs_sysfs_is_node(node->path) || !hs_sysfs_path(path, search->root, node->path, NULL) || stat(path, &st) < 0 ||
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
    char dir[HS_SYSFS_PATH];
    if (host->module[0] || !hs_str_starts(name, "hailo") || strlen(name) >= sizeof(host->module))
        return;
    hs_str_copy(host->module, sizeof(host->module), name);
    hs_sysfs_path(dir, "", "/sys/module", name);
    hs_sysfs_text(search->root, dir, "version", host->module_version, sizeof(host->module_version));
}

static void find_class(const struct search *search)
{
    static const char *const classes[] = { "hailo_chardev", "hailo1x" };
    char path[HS_SYSFS_PATH];
    for (size_t i = 0; i < HS_ARRAY_LEN(classes); i++)
        if (hs_sysfs_path(path, search->root, "/sys/class", classes[i]) && access(path, F_OK) == 0)
            hs_str_copy(search->host->device_class, sizeof(search->host->device_class), classes[i]);
}

/* ---- Boards on the PCI bus ---- */

static unsigned read_hex(const struct search *search, const char *dir, const char *name)
{
    char text[32];
    hs_sysfs_text(search->root, dir, name, text, sizeof(text));
    return (unsigned) strtoul(text, NULL, 16);
}

/* "8.0 GT/s PCIe": each generation is about twice as fast as the one before. */
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
    char dir[HS_SYSFS_PATH], target[HS_SYSFS_PATH], text[32];
    int64_t lanes;
    if (host->board_count == HS_HOST_BOARDS || strlen(name) >= sizeof(board->address) ||
        !hs_sysfs_path(dir, "", "/sys/bus/pci/devices", name) || read_hex(search, dir, "vendor") != VENDOR_HAILO)
        return;
    hs_str_copy(board->address, sizeof(board->address), name);
    board->device = read_hex(search, dir, "device");
    if (hs_sysfs_link(search->root, dir, "driver", target, sizeof(target)))
        hs_str_copy(board->driver, sizeof(board->driver), hs_path_base(target));
    hs_sysfs_text(search->root, dir, "current_link_speed", text, sizeof(text));
    text[strcspn(text, " ")] = '\0';
    if (hs_str_to_double(text, &board->speed_gts))
        board->generation = generation_of(board->speed_gts);
    hs_sysfs_text(search->root, dir, "current_link_width", text, sizeof(text));
    if (hs_str_to_int64(text, &lanes) && lanes > 0 && lanes <= 32)
        board->lanes = (int) lanes;
    host->board_count++;
}

/* ---- Processes that have a node open, from the links in /proc/PID/fd ---- */

struct process {
    const char *root;
    struct hs_host *host;
    int pid;
    char dir[HS_SYSFS_PATH]; /* "/proc/812" */
};

static void add_holder(const struct process *process, const char *node)
{
    struct hs_host *host = process->host;
    struct hs_host_holder *last = host->holder_count ? &host->holders[host->holder_count - 1] : NULL;
    if (host->holder_count == HS_HOST_HOLDERS || (last && last->pid == process->pid && strcmp(last->node, node) == 0))
        return;
    struct hs_host_holder *holder = &host->holders[host->holder_count++];
    holder->pid = process->pid;
    hs_str_copy(holder->node, sizeof(holder->node), node);
    if (!hs_sysfs_text(process->root, process->dir, "comm", holder->command, sizeof(holder->command)))
        hs_str_copy(holder->command, sizeof(holder->command), "?");
}

/* False if this user may not see the descriptors of the process. */
static bool read_descriptors(const struct process *process)
{
    char folder[HS_SYSFS_PATH], target[HS_HOST_NAME];
    if (!hs_sysfs_path(folder, process->root, process->dir, "fd"))
        return true;
    DIR *dir = opendir(folder);
    if (!dir)
        return errno != EACCES && errno != EPERM;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (hs_sysfs_link(folder, "", entry->d_name, target, sizeof(target)) && hs_sysfs_is_node(target))
            add_holder(process, target);
    }
    closedir(dir);
    return true;
}

static void read_process(const char *name, void *arg)
{
    struct process *process = arg;
    int64_t pid;
    if (!hs_str_to_int64(name, &pid) || pid <= 0 || pid > INT32_MAX || pid == getpid())
        return;
    process->pid = (int) pid;
    if (hs_sysfs_path(process->dir, "", "/proc", name) && !read_descriptors(process))
        process->host->hidden++;
}

static void find_holders(const char *root, struct hs_host *host)
{
    struct process process = { .root = root, .host = host };
    if (host->node_count > 0)
        hs_sysfs_folder(root, "/proc", read_process, &process);
}

/* ---- All of it ---- */

void hs_host_model(const char *root, char *dst, size_t size)
{
    hs_sysfs_text(root, "/proc/device-tree/model", NULL, dst, size);
}

void hs_host_look(const char *root, struct hs_host *ret_host)
{
    struct search search = { .root = root, .host = ret_host };
    memset(ret_host, 0, sizeof(*ret_host));
    hs_sysfs_folder(root, "/dev", add_node, &search);
    hs_sysfs_folder(root, "/sys/module", add_module, &search);
    hs_sysfs_folder(root, "/sys/bus/pci/devices", add_board, &search);
    find_class(&search);
    owner_name(geteuid(), ret_host->user, sizeof(ret_host->user));
    hs_host_model(root, ret_host->model, sizeof(ret_host->model));
    hs_host_find_libraries(root, ret_host);
    find_holders(root, ret_host);
}
