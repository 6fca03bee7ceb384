#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "preflight/report.h"

static struct hs_host host;
static struct hs_preflight_runtime runtime;
static struct hs_preflight_report report;

/* A Raspberry Pi with a working board. */
static int complete_machine(void **state)
{
    (void) state;
    host = (struct hs_host) {
        .node_count = 1,
        .nodes = { { .path = "/dev/hailo0", .usable = true, .owner = "root", .group = "video", .mode = 0660 } },
        .board_count = 1,
        .boards = { { .address = "0001:01:00.0",
                      .device = HS_HOST_HAILO_10H,
                      .driver = "hailo1x",
                      .speed_gts = 8,
                      .lanes = 1,
                      .generation = 3 } },
        .library_count = 1,
        .libraries = { { .version = "5.1.1", .folder = "/usr/lib" } },
        .module = "hailo1x_pci",
        .module_version = "5.1.1",
        .device_class = "hailo_chardev",
        .user = "ann",
        .model = "Raspberry Pi 5 Model B Rev 1.0",
    };
    runtime = (struct hs_preflight_runtime) {
        .version = "5.1.1",
        .devices = 1,
        .device_id = "0001:01:00.0",
        .opened = true,
        .firmware = "5.1.1",
    };
    return 0;
}

static int empty_machine(void **state)
{
    (void) state;
    host = (struct hs_host) { .node_count = 0 };
    runtime = (struct hs_preflight_runtime) { .devices = 0 };
    hs_error_set(&runtime.module, HS_ENOTFOUND, "backend 'hailo' not found");
    return 0;
}

static const struct hs_preflight_line *line(const char *name)
{
    for (size_t i = 0; i < report.count; i++)
        if (strcmp(report.lines[i].name, name) == 0)
            return &report.lines[i];
    fail_msg("no line '%s'", name);
    return NULL;
}

static void check(bool wanted)
{
    hs_preflight_check(&host, &runtime, wanted, &report);
}

static void expect(const char *name, bool ok, const char *detail, const char *fix)
{
    const struct hs_preflight_line *found = line(name);
    if (found->ok != ok || !strstr(found->detail, detail) || (fix ? !strstr(found->fix, fix) : found->fix[0] != 0))
        fail_msg("%s %s: %s / %s", found->name, found->ok ? "ok" : "FAIL", found->detail, found->fix);
}

static void all_ok(void **state)
{
    static const char *const order[] = { "node", "access", "driver", "library", "firmware", "pcie", "users" };
    (void) state;
    check(false);
    assert_int_equal(report.count, 7);
    for (size_t i = 0; i < 7; i++)
        assert_string_equal(report.lines[i].name, order[i]);
    assert_null(hs_preflight_failure(&report));
    expect("node", true, "/dev/hailo0, owner root:video, mode 0660", NULL);
    expect("driver", true, "hailo1x_pci 5.1.1, class hailo_chardev", NULL);
    expect("library", true, "HailoRT 5.1.1; installed: 5.1.1 in /usr/lib", NULL);
    expect("firmware", true, "5.1.1; driver, firmware and library match", NULL);
    expect("pcie", true, "0001:01:00.0: Hailo-10H, PCIe generation 3, 1 lane (8 GT/s)", NULL);
    expect("users", true, "no other program has the device open", NULL);
}

static void no_device_and_none_wanted(void **state)
{
    (void) state;
    check(false);
    assert_int_equal(report.count, 1);
    assert_true(report.lines[0].ok);
    assert_null(hs_preflight_failure(&report));
    assert_false(hs_preflight_present(&host, &runtime));
}

static void no_device_but_wanted(void **state)
{
    (void) state;
    check(true);
    const struct hs_preflight_line *first = hs_preflight_failure(&report);
    assert_ptr_equal(first, line("node"));
    assert_string_equal(first->detail, "/dev/hailo0 not found");
    assert_string_equal(first->fix, "Install Hailo driver (sudo apt install dkms hailo-h10-all)");
    expect("driver", false, "no module hailo* is loaded", "hailo-h10-all");
    expect("library", false, "backend 'hailo' not found", "sudo apt install hailo-h10-all, then build");
    expect("pcie", false, "no Hailo board is on the PCI bus", "seat the board");
}

/* A board without its driver is a failure even if the settings do not require a Hailo. */
static void board_without_driver(void **state)
{
    (void) state;
    host.node_count = 0;
    host.module[0] = '\0';
    host.boards[0].driver[0] = '\0';
    runtime.devices = 0;
    runtime.opened = false;
    check(false);
    expect("node", false, "/dev/hailo0 not found", "sudo apt install dkms hailo-h10-all");
    expect("driver", false, "no module", "dkms status");
    expect("pcie", true, "Hailo-10H", NULL);
}

static void driver_without_board(void **state)
{
    (void) state;
    host.node_count = host.board_count = 0;
    runtime.devices = 0;
    runtime.opened = false;
    check(true);
    expect("node", false, "/dev/hailo0 not found", "no Hailo board is on the PCI bus");
    host.board_count = 1;
    check(true);
    expect("node", false, "/dev/hailo0 not found", "dmesg");
}

static void no_rights(void **state)
{
    (void) state;
    host.nodes[0].usable = false;
    check(false);
    expect("access", false, "may not open /dev/hailo0 (owner root:video, mode 0660)", "usermod -aG video ann");
    host.nodes[0].mode = 0600;
    check(false);
    expect("access", false, "mode 0600", "SUBSYSTEM==\"hailo_chardev\"");
    hs_str_copy(host.nodes[0].path, sizeof(host.nodes[0].path), "/dev/h1x-0");
    hs_str_copy(host.nodes[0].group, sizeof(host.nodes[0].group), "root");
    host.nodes[0].mode = 0660;
    check(false);
    expect("access", false, "/dev/h1x-0", "SUBSYSTEM==\"hailo1x\"");
}

/* With driver 5.3, a library of version 5.1 finds no device, and its error does not mention versions. */
static void new_driver_old_library(void **state)
{
    (void) state;
    hs_str_copy(host.nodes[0].path, sizeof(host.nodes[0].path), "/dev/h1x-0");
    hs_str_copy(host.module_version, sizeof(host.module_version), "5.3.0");
    runtime.devices = 0;
    runtime.opened = false;
    runtime.firmware[0] = '\0';
    hs_error_set(&runtime.open, HS_ENODEVICE, "no Hailo device found");
    check(false);
    expect("node", true, "/dev/h1x-0", NULL);
    expect("firmware", false, "driver 5.3.0, library 5.1.1: the versions must match", "new name");
    assert_string_equal(report.lines[5].name, "firmware");
    assert_non_null(strstr(report.lines[5].detail, "no Hailo device found"));
}

static void other_versions(void **state)
{
    (void) state;
    hs_str_copy(runtime.firmware, sizeof(runtime.firmware), "5.2.0");
    check(false);
    expect("firmware", false, "driver 5.1.1, firmware 5.2.0, library 5.1.1: the versions must match", "one release");
    /* A driver that does not report its version is not a failure. */
    host.module_version[0] = '\0';
    hs_str_copy(runtime.firmware, sizeof(runtime.firmware), "5.1.1");
    check(false);
    expect("driver", true, "(unknown version)", NULL);
    expect("firmware", true, "5.1.1", NULL);
}

static void no_module_for_the_library(void **state)
{
    (void) state;
    runtime = (struct hs_preflight_runtime) { .devices = 0 };
    hs_error_set(&runtime.module, HS_EDEVICE, "libhailort.so.5.1.1 is not installed; libhailort.so.5.2.0 is");
    hs_str_copy(host.libraries[0].version, sizeof(host.libraries[0].version), "5.2.0");
    check(false);
    expect("library", false, "libhailort.so.5.2.0 is", "HailoRT is installed (5.2.0 in /usr/lib): build the backend");
}

static void slow_link(void **state)
{
    (void) state;
    host.boards[0].speed_gts = 5;
    host.boards[0].generation = 2;
    check(false);
    expect("pcie", true, "generation 2", "dtparam=pciex1_gen=3");
    assert_null(hs_preflight_failure(&report));
    hs_str_copy(host.model, sizeof(host.model), "Some other board");
    check(false);
    expect("pcie", true, "generation 2", "faster slot");
    assert_null(strstr(line("pcie")->fix, "dtparam"));
}

static void a_link_without_a_speed(void **state)
{
    (void) state;
    host.boards[0].generation = 0;
    check(false);
    expect("pcie", true, ", unknown link speed", NULL);
    assert_null(hs_preflight_failure(&report));
}

/* The firmware of a device that cannot be opened is unknown, and so is which versions differ. */
static void a_device_of_another_version(void **state)
{
    (void) state;
    runtime.opened = false;
    runtime.firmware[0] = '\0';
    hs_error_set(&runtime.open, HS_EVERSION, "the driver has another version");
    check(false);
    expect("firmware", false, "cannot read the firmware version: the driver has another version", "sudo apt");
    hs_error_set(&runtime.open, HS_EDEVICE, "it does not respond");
    check(false);
    expect("firmware", false, "cannot read the firmware version: it does not respond", NULL);
}

static void another_board(void **state)
{
    (void) state;
    host.boards[0].device = HS_HOST_HAILO_8;
    check(false);
    expect("pcie", false, "is a Hailo-8", "Hailo-10H");
}

static void held_by_another(void **state)
{
    (void) state;
    host.holder_count = 1;
    host.holders[0] = (struct hs_host_holder) { .pid = 812, .command = "hailo-ollama", .node = "/dev/hailo0" };
    host.unreadable = 3;
    /* A shared device is not a failure. */
    check(false);
    expect("users", true, "hailo-ollama (pid 812) has /dev/hailo0 open; cannot inspect 3 processes of other users",
           NULL);
    assert_null(hs_preflight_failure(&report));
    runtime.opened = false;
    runtime.firmware[0] = '\0';
    hs_error_set(&runtime.open, HS_EINUSE, "another program has exclusive use of the Hailo device");
    check(false);
    expect("firmware", false, "another program has exclusive use of the Hailo device", "stop hailo-ollama (pid 812)");
    host.holder_count = 0;
    check(false);
    expect("firmware", false, "another program", "run selftest as root");
}

static void a_node_of_another_name(void **state)
{
    (void) state;
    host.node_count = 0;
    check(true);
    expect("node", true, "HailoRT finds 0001:01:00.0", NULL);
    assert_null(hs_preflight_failure(&report));
}

static void more_lines_than_fit(void **state)
{
    (void) state;
    host.node_count = HS_HOST_NODES;
    for (size_t i = 1; i < HS_HOST_NODES; i++)
        host.nodes[i] = host.nodes[0];
    host.holder_count = HS_HOST_HOLDERS;
    check(true);
    assert_int_equal(report.count, HS_PREFLIGHT_LINES);
}

#define WELL(test) cmocka_unit_test_setup(test, complete_machine)
#define NONE(test) cmocka_unit_test_setup(test, empty_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WELL(all_ok),
        NONE(no_device_and_none_wanted),
        NONE(no_device_but_wanted),
        WELL(board_without_driver),
        WELL(driver_without_board),
        WELL(no_rights),
        WELL(new_driver_old_library),
        WELL(other_versions),
        WELL(no_module_for_the_library),
        WELL(slow_link),
        WELL(a_link_without_a_speed),
        WELL(a_device_of_another_version),
        WELL(another_board),
        WELL(held_by_another),
        WELL(a_node_of_another_name),
        WELL(more_lines_than_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
