/* Which processes have a node open, from the links in /proc/PID/fd. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "preflight/host.h"
#include "preflight/look.h"

struct process {
    const char *root;
    struct hs_host *host;
    int pid;
    char dir[HS_LOOK_PATH]; /* "/proc/812" */
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
    if (!hs_look_text(process->root, process->dir, "comm", holder->command, sizeof(holder->command)))
        hs_str_copy(holder->command, sizeof(holder->command), "?");
}

/* Whether the folder of descriptors could be read, or the process has ended. */
static bool look_at_descriptors(const struct process *process)
{
    char folder[HS_LOOK_PATH], path[HS_LOOK_PATH], target[HS_HOST_NAME];
    if (!hs_look_path(folder, process->root, process->dir, "fd"))
        return true;
    DIR *dir = opendir(folder);
    if (!dir)
        return errno != EACCES && errno != EPERM;
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        ssize_t len = hs_look_path(path, folder, "", entry->d_name) ? readlink(path, target, sizeof(target) - 1) : -1;
        target[len > 0 ? len : 0] = '\0';
        if (len > 0 && hs_look_is_node(target))
            add_holder(process, target);
    }
    closedir(dir);
    return true;
}

static void look_at_process(const char *name, void *arg)
{
    struct process *process = arg;
    int64_t pid;
    if (!hs_str_to_int64(name, &pid) || pid <= 0 || pid > INT32_MAX || pid == getpid())
        return;
    process->pid = (int) pid;
    if (hs_look_path(process->dir, "", "/proc", name) && !look_at_descriptors(process))
        process->host->hidden++;
}

void hs_host_find_holders(const char *root, struct hs_host *host)
{
    struct process process = { .root = root, .host = host };
    host->holder_count = 0;
    host->hidden = 0;
    if (host->node_count > 0)
        hs_look_folder(root, "/proc", look_at_process, &process);
}
