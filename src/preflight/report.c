#include "preflight/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

struct view {
    const struct hs_host *host;
    const struct hs_preflight_runtime *runtime;
    struct hs_preflight_report *report;
};

#define INSTALL "Install Hailo driver (sudo apt install dkms hailo-h10-all)"
#define ONE_RELEASE                                                                                                    \
    "install driver, firmware and library of one release "                                                             \
    "(sudo apt install --reinstall hailo-h10-all) and restart the machine"

/* Adds a line. Never returns NULL: if the report is full, it overwrites the last line. */
__attribute__((format(printf, 4, 5))) static struct hs_preflight_line *add(struct view *view, const char *name, bool ok,
                                                                           const char *format, ...)
{
    struct hs_preflight_report *report = view->report;
    if (report->count < HS_PREFLIGHT_LINES)
        report->count++;
    struct hs_preflight_line *line = &report->lines[report->count - 1];
    va_list args;
    va_start(args, format);
    vsnprintf(line->detail, sizeof(line->detail), format, args);
    va_end(args);
    hs_str_copy(line->name, sizeof(line->name), name);
    line->ok = ok;
    line->fix[0] = '\0';
    return line;
}

__attribute__((format(printf, 2, 3))) static void fix(struct hs_preflight_line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(line->fix, sizeof(line->fix), format, args);
    va_end(args);
}

static bool is_pi_5(const struct hs_host *host)
{
    return hs_str_starts(host->model, "Raspberry Pi 5") || hs_str_starts(host->model, "Raspberry Pi Compute Module 5");
}

/* ---- Node and access ---- */

static void report_node(struct view *view)
{
    const struct hs_host *host = view->host;
    for (size_t i = 0; i < host->node_count; i++)
        add(view, "node", true, "%s, owner %s:%s, mode %04o", host->nodes[i].path, host->nodes[i].owner,
            host->nodes[i].group, host->nodes[i].mode);
    if (host->node_count > 0)
        return;
    if (view->runtime->devices > 0) {
        add(view, "node", true, "HailoRT finds %s, but its node is neither /dev/hailo0 nor /dev/h1x-0",
            view->runtime->device_id);
        return;
    }
    fix(add(view, "node", false, "/dev/hailo0 not found"), "%s",
        !host->module[0]         ? INSTALL
        : host->board_count == 0 ? "the driver is loaded but no Hailo board is on the PCI bus: seat the board and its "
                                   "cable, then restart the machine"
                                 : "the driver did not initialise the board: 'sudo dmesg | grep -i hailo' shows the "
                                   "reason; if the board hangs, shut down and cut the power");
}

static void report_access(struct view *view)
{
    for (size_t i = 0; i < view->host->node_count; i++) {
        const struct hs_host_node *node = &view->host->nodes[i];
        bool by_group = (node->mode & 060) == 060 && strcmp(node->group, "root") != 0;
        if (node->usable) {
            add(view, "access", true, "this user may open %s", node->path);
            continue;
        }
        struct hs_preflight_line *line =
            add(view, "access", false, "this user may not open %s (owner %s:%s, mode %04o)", node->path, node->owner,
                node->group, node->mode);
        if (by_group)
            fix(line, "sudo usermod -aG %s %s, then log in again; for a service: SupplementaryGroups=%s", node->group,
                view->host->user, node->group);
        else
            fix(line,
                "write SUBSYSTEM==\"%s\", MODE=\"0660\", GROUP=\"video\" to /etc/udev/rules.d/52-hailo.rules, run "
                "sudo udevadm control --reload && sudo udevadm trigger, and add the user to group video",
                hs_str_starts(node->path, "/dev/h1x") ? "hailo1x" : "hailo_chardev");
    }
}

/* ---- Versions ---- */

static void report_driver(struct view *view)
{
    const struct hs_host *host = view->host;
    if (host->module[0]) {
        add(view, "driver", true, "%s %s%s%s", host->module,
            host->module_version[0] ? host->module_version : "(unknown version)",
            host->device_class[0] ? ", class " : "", host->device_class);
    } else if (host->node_count > 0 || view->runtime->devices > 0) {
        add(view, "driver", true, "no module hailo* is loaded: the driver is built into the kernel");
    } else {
        fix(add(view, "driver", false, "no module hailo* is loaded"), "%s",
            host->board_count == 0
                ? INSTALL
                : "sudo apt install dkms hailo-h10-all; if it is installed, check with 'dkms status' that it was "
                  "built for this kernel (uname -r), and load it with 'sudo modprobe hailo1x_pci'");
    }
}

static void list_libraries(const struct hs_host *host, char *dst, size_t size)
{
    dst[0] = '\0';
    for (size_t i = 0; i < host->library_count; i++) {
        size_t used = strlen(dst);
        hs_str_format(dst + used, size - used, "%s%s in %s", i ? ", " : "", host->libraries[i].version,
                      host->libraries[i].folder);
    }
}

static void report_library(struct view *view)
{
    const struct hs_error *module = &view->runtime->module;
    char installed[256];
    list_libraries(view->host, installed, sizeof(installed));
    if (module->code == 0) {
        add(view, "library", true, "HailoRT %s%s%s", view->runtime->version, installed[0] ? "; installed: " : "",
            installed);
        return;
    }
    struct hs_preflight_line *line = add(view, "library", false, "%s", module->message);
    if (view->host->library_count == 0)
        fix(line, "sudo apt install hailo-h10-all, then build the backend: backends build");
    else
        fix(line, "HailoRT is installed (%s): build the backend for it with: backends build", installed);
}

/* Writes "driver 5.3.0, firmware 5.1.1, library 5.1.1"; leaves unknown versions out. */
static void list_versions(const struct view *view, char *dst, size_t size)
{
    const struct {
        const char *what, *version;
    } all[] = { { "driver", view->host->module_version },
                { "firmware", view->runtime->firmware },
                { "library", view->runtime->version } };
    dst[0] = '\0';
    for (size_t i = 0; i < HS_ARRAY_LEN(all); i++) {
        size_t used = strlen(dst);
        if (all[i].version[0])
            hs_str_format(dst + used, size - used, "%s%s %s", used ? ", " : "", all[i].what, all[i].version);
    }
}

static bool differ(const char *a, const char *b)
{
    return a[0] && b[0] && strcmp(a, b) != 0;
}

static void report_not_opened(struct view *view)
{
    const struct hs_error *open = &view->runtime->open;
    const struct hs_host_holder *holder = view->host->holders;
    struct hs_preflight_line *line =
        add(view, "firmware", false, "cannot read the firmware version: %s", open->message);
    if (open->code == HS_EVERSION)
        fix(line, ONE_RELEASE);
    else if (open->code == HS_EINUSE && view->host->holder_count > 0)
        fix(line, "stop %s (pid %d), or let both open the device in one group (device.group)", holder->command,
            holder->pid);
    else if (open->code == HS_EINUSE)
        fix(line, "stop that program, or let both open the device in one group (device.group); run selftest as root "
                  "to see its name");
}

static void report_firmware(struct view *view)
{
    const char *driver = view->host->module_version, *firmware = view->runtime->firmware;
    const char *library = view->runtime->version;
    char versions[128];
    list_versions(view, versions, sizeof(versions));
    if (differ(driver, library) || differ(driver, firmware) || differ(library, firmware)) {
        struct hs_preflight_line *line = add(view, "firmware", false, "%s: the versions must match", versions);
        bool renamed = view->runtime->devices == 0 && view->host->node_count > 0 &&
                       hs_str_starts(view->host->nodes[0].path, "/dev/h1x");
        fix(line, "%s" ONE_RELEASE,
            renamed ? "from 5.3 on the device node has a new name, which older libraries do not find: " : "");
    } else if (view->runtime->opened && firmware[0] && driver[0]) {
        add(view, "firmware", true, "%s; driver, firmware and library match", firmware);
    } else if (view->runtime->opened) {
        add(view, "firmware", true, "%s%s",
            firmware[0] ? firmware : "unknown version; known: ", firmware[0] ? "" : versions);
    }
    if (view->runtime->open.code != 0 && !view->runtime->opened)
        report_not_opened(view);
}

/* ---- The board and its users ---- */

static void report_board(struct view *view, const struct hs_host_board *board)
{
    const char *name = board->device == HS_HOST_HAILO_10H ? "Hailo-10H" : "a Hailo board";
    if (board->device == HS_HOST_HAILO_8) {
        fix(add(view, "pcie", false, "%s is a Hailo-8", board->address),
            "this program runs on the Hailo-10H (AI HAT+ 2)");
    } else if (board->generation == 0) {
        add(view, "pcie", true, "%s: %s, unknown link speed", board->address, name);
    } else {
        struct hs_preflight_line *line =
            add(view, "pcie", true, "%s: %s, PCIe generation %d, %d lane%s (%.3g GT/s)", board->address, name,
                board->generation, board->lanes, board->lanes == 1 ? "" : "s", board->speed_gts);
        if (board->generation < 3)
            fix(line, "transfers to the board are slower below PCIe generation 3: %s",
                is_pi_5(view->host) ? "add dtparam=pciex1_gen=3 to /boot/firmware/config.txt and restart (an AI HAT+ "
                                      "2 sets it automatically)"
                                    : "use a faster slot, or check the firmware setup of the machine");
    }
}

static void report_boards(struct view *view)
{
    for (size_t i = 0; i < view->host->board_count; i++)
        report_board(view, &view->host->boards[i]);
    if (view->host->board_count > 0 || view->runtime->devices > 0)
        return;
    fix(add(view, "pcie", false, "no Hailo board is on the PCI bus"),
        "seat the board and its cable, then restart the machine%s",
        is_pi_5(view->host) ? "; 'lspci' lists the board if it is detected" : "");
}

static void report_users(struct view *view)
{
    const struct hs_host *host = view->host;
    char unreadable[100] = "";
    if (host->node_count == 0)
        return;
    if (host->unreadable > 0)
        hs_str_format(unreadable, sizeof(unreadable), "; cannot inspect %d process%s of other users (root can)",
                      host->unreadable, host->unreadable == 1 ? "" : "es");
    for (size_t i = 0; i < host->holder_count; i++)
        add(view, "users", true, "%s (pid %d) has %s open%s", host->holders[i].command, host->holders[i].pid,
            host->holders[i].node, i + 1 == host->holder_count ? unreadable : "");
    if (host->holder_count == 0)
        add(view, "users", true, "no other program has the device open%s", unreadable);
}

/* ---- All of it ---- */

bool hs_preflight_present(const struct hs_host *host, const struct hs_preflight_runtime *runtime)
{
    return host->node_count > 0 || host->board_count > 0 || host->module[0] || runtime->devices > 0;
}

void hs_preflight_check(const struct hs_host *host, const struct hs_preflight_runtime *runtime, bool wanted,
                        struct hs_preflight_report *ret_report)
{
    struct view view = { .host = host, .runtime = runtime, .report = ret_report };
    ret_report->count = 0;
    if (!wanted && !hs_preflight_present(host, runtime)) {
        add(&view, "hailo", true, "no Hailo device in this machine; the processor is used");
        return;
    }
    report_node(&view);
    report_access(&view);
    report_driver(&view);
    report_library(&view);
    report_firmware(&view);
    report_boards(&view);
    report_users(&view);
}

const struct hs_preflight_line *hs_preflight_failure(const struct hs_preflight_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        if (!report->lines[i].ok)
            return &report->lines[i];
    return NULL;
}
