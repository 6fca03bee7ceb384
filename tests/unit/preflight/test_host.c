#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "host_fixture.h"
#include "preflight/host.h"

/* An unprivileged user: this process, or if it runs as root, user 65534 during a test. */
enum { NOBODY = 65534 };

static void drop_privileges(void)
{
    if (geteuid() == 0) {
        assert_int_equal(setegid(NOBODY), 0);
        assert_int_equal(seteuid(NOBODY), 0);
    }
}

static void restore_privileges(void)
{
    if (getuid() == 0) {
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(setegid(0), 0);
    }
}

static int begin(void **state)
{
    (void) state;
    host_fixture_begin();
    return 0;
}

static int end(void **state)
{
    (void) state;
    restore_privileges();
    host_fixture_end();
    return 0;
}

static void an_empty_machine(void **state)
{
    struct hs_host host;
    (void) state;
    memset(&host, 0xff, sizeof(host));
    hs_host_inspect(host_fixture_root, &host);
    assert_int_equal(host.node_count + host.board_count + host.library_count + host.holder_count, 0);
    assert_int_equal(host.unreadable, 0);
    assert_string_equal(host.module, "");
    assert_string_equal(host.module_version, "");
    assert_string_equal(host.device_class, "");
    assert_string_equal(host.model, "");
    assert_true(host.user[0]);
}

static void a_complete_pi(void **state)
{
    struct hs_host host;
    (void) state;
    host_fixture_board("8.0 GT/s PCIe\n");
    host_fixture_file("/sys/bus/pci/devices/0000:00:00.0/vendor", "0x14e4\n");
    host_fixture_file("/dev/hailo0", "");
    host_fixture_file("/sys/module/hailo1x_pci/version", "5.1.1\n");
    host_fixture_folder("/sys/class/hailo_chardev/hailo0");
    host_fixture_file("/usr/lib/libhailort.so.5.1.1", "");
    host_fixture_link("/usr/lib/libhailort.so", "libhailort.so.5.1.1");
    host_fixture_file("/proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0");
    hs_host_inspect(host_fixture_root, &host);
    assert_int_equal(host.node_count, 1);
    assert_string_equal(host.nodes[0].path, "/dev/hailo0");
    assert_true(host.nodes[0].usable);
    assert_int_equal(host.board_count, 1);
    assert_string_equal(host.boards[0].address, "0001:01:00.0");
    assert_int_equal(host.boards[0].device, HS_HOST_HAILO_10H);
    assert_string_equal(host.boards[0].driver, "hailo1x");
    assert_int_equal(host.boards[0].generation, 3);
    assert_int_equal(host.boards[0].lanes, 1);
    assert_string_equal(host.module, "hailo1x_pci");
    assert_string_equal(host.module_version, "5.1.1");
    assert_string_equal(host.device_class, "hailo_chardev");
    assert_int_equal(host.library_count, 1);
    assert_string_equal(host.libraries[0].version, "5.1.1");
    assert_string_equal(host.libraries[0].folder, "/usr/lib");
    assert_string_equal(host.model, "Raspberry Pi 5 Model B Rev 1.0");
}

/* Driver 5.3 uses other names for node and class; files with similar names are not nodes. */
static void names_of_nodes(void **state)
{
    struct hs_host host;
    (void) state;
    host_fixture_file("/dev/h1x-0", "");
    host_fixture_file("/dev/h1x-12", "");
    host_fixture_file("/dev/hailo", "");
    host_fixture_file("/dev/hailo0p", "");
    host_fixture_file("/dev/hailo_integrated_nnc", "");
    host_fixture_folder("/dev/hailo1");
    host_fixture_folder("/sys/class/hailo1x");
    hs_host_inspect(host_fixture_root, &host);
    assert_int_equal(host.node_count, 2);
    assert_string_equal(host.nodes[0].path, "/dev/h1x-0");
    assert_string_equal(host.nodes[1].path, "/dev/h1x-12");
    assert_string_equal(host.device_class, "hailo1x");
}

static void a_node_without_access(void **state)
{
    struct hs_host host;
    (void) state;
    host_fixture_file("/dev/hailo0", "");
    assert_int_equal(chmod(host_fixture_path("/dev/hailo0"), 0), 0);
    drop_privileges();
    hs_host_inspect(host_fixture_root, &host);
    restore_privileges();
    assert_int_equal(host.node_count, 1);
    assert_false(host.nodes[0].usable);
    assert_int_equal(host.nodes[0].mode, 0);
    assert_true(host.nodes[0].owner[0] && host.nodes[0].group[0]);
    /* Read access alone is not sufficient. */
    assert_int_equal(chmod(host_fixture_path("/dev/hailo0"), 0444), 0);
    drop_privileges();
    hs_host_inspect(host_fixture_root, &host);
    restore_privileges();
    assert_false(host.nodes[0].usable);
    assert_int_equal(host.nodes[0].mode, 0444);
}

static void generation(const char *speed, int expected)
{
    struct hs_host host;
    unlink(host_fixture_path("/sys/bus/pci/devices/0001:01:00.0/driver"));
    host_fixture_board(speed);
    hs_host_inspect(host_fixture_root, &host);
    assert_int_equal(host.board_count, 1);
    assert_int_equal(host.boards[0].generation, expected);
}

static void generations_of_pcie(void **state)
{
    (void) state;
    generation("128.0 GT/s PCIe", 6);
    generation("2.5 GT/s PCIe\n", 1);
    generation("5.0 GT/s PCIe\n", 2);
    generation("5 GT/s\n", 2);
    generation("8.0 GT/s PCIe\n", 3);
    generation("16.0 GT/s PCIe\n", 4);
    generation("32.0 GT/s PCIe\n", 5);
    generation("64.0 GT/s PCIe\n", 6);
    generation("Unknown\n", 0);
    generation("", 0);
}

static void other_peoples_processes(void **state)
{
    struct hs_host host;
    (void) state;
    host_fixture_file("/dev/hailo0", "");
    host_fixture_file("/proc/812/comm", "hailo-ollama\n");
    host_fixture_link("/proc/812/fd/0", "/dev/null");
    host_fixture_link("/proc/812/fd/7", "/dev/hailo0");
    host_fixture_link("/proc/812/fd/8", "/dev/hailo0");
    host_fixture_file("/proc/900/comm", "sshd\n");
    host_fixture_link("/proc/900/fd/3", "socket:[12]");
    host_fixture_folder("/proc/sys/fd");
    host_fixture_link("/proc/sys/fd/0", "/dev/hailo0");
    host_fixture_folder("/proc/901/fd");
    assert_int_equal(chmod(host_fixture_path("/proc/901/fd"), 0), 0);
    drop_privileges();
    hs_host_inspect(host_fixture_root, &host);
    restore_privileges();
    assert_int_equal(host.holder_count, 1);
    assert_int_equal(host.holders[0].pid, 812);
    assert_string_equal(host.holders[0].command, "hailo-ollama");
    assert_string_equal(host.holders[0].node, "/dev/hailo0");
    assert_int_equal(host.unreadable, 1);
    assert_int_equal(chmod(host_fixture_path("/proc/901/fd"), 0700), 0);
}

/* This process is not listed. */
static void holders_are_others(void **state)
{
    char path[100];
    struct hs_host host;
    (void) state;
    host_fixture_file("/dev/hailo0", "");
    hs_str_format(path, sizeof(path), "/proc/%d/fd/3", (int) getpid());
    host_fixture_link(path, "/dev/hailo0");
    hs_host_inspect(host_fixture_root, &host);
    assert_int_equal(host.holder_count, 0);
}

static void libraries_of_the_loader(void **state)
{
    struct hs_host host;
    (void) state;
    host_fixture_file("/etc/ld.so.conf.d/aarch64-linux-gnu.conf", "# Multiarch support\n/usr/lib/aarch64-linux-gnu\n");
    host_fixture_file("/etc/ld.so.conf.d/notes.txt", "/opt/never\n");
    host_fixture_file("/opt/never/libhailort.so.4.20.0", "");
    host_fixture_file("/usr/lib/aarch64-linux-gnu/libhailort.so.5.2.0", "");
    host_fixture_file("/usr/lib/libhailort.so.5.1.1", "");
    host_fixture_file("/usr/lib/libhailort.so.5", "");
    host_fixture_file("/usr/lib/libhailort.so.5.1.1.bak", "");
    host_fixture_file("/usr/local/lib/libhailort.so.5.2.0", "");
    hs_host_find_libraries(host_fixture_root, &host);
    assert_int_equal(host.library_count, 2);
    assert_string_equal(host.libraries[0].version, "5.2.0");
    assert_string_equal(host.libraries[0].folder, "/usr/lib/aarch64-linux-gnu");
    assert_string_equal(host.libraries[1].version, "5.1.1");
}

#define NOT_FOUND ": cannot open shared object file: No such file or directory"

static void a_library_that_is_missing(void **state)
{
    char text[300];
    (void) state;
    assert_true(hs_host_explain_library(host_fixture_root, "libhailort.so.5.1.1" NOT_FOUND, text, sizeof(text)));
    assert_string_equal(text,
                        "libhailort.so.5.1.1 is not installed, and neither is another version of HailoRT: sudo apt "
                        "install hailo-h10-all");
    host_fixture_file("/usr/lib/libhailort.so.5.2.0", "");
    assert_true(hs_host_explain_library(host_fixture_root, "libhailort.so.5.1.1" NOT_FOUND, text, sizeof(text)));
    assert_string_equal(text,
                        "libhailort.so.5.1.1 is not installed, but libhailort.so.5.2.0 is: build the backend again "
                        "with: backends build");
    host_fixture_file("/usr/lib/libhailort.so.5.3.0", "");
    assert_true(hs_host_explain_library(host_fixture_root, "libhailort.so.5.1.1" NOT_FOUND, text, sizeof(text)));
    assert_non_null(strstr(text, "libhailort.so.5.2.0, libhailort.so.5.3.0 are: "));
    /* An error message about another library. */
    assert_false(hs_host_explain_library(host_fixture_root, "libopenvino_c.so.2026" NOT_FOUND, text, sizeof(text)));
    assert_false(
        hs_host_explain_library(host_fixture_root, "libhailort.so.5.1.1: undefined symbol: x", text, sizeof(text)));
    assert_false(hs_host_explain_library(host_fixture_root, "libhailort.so.5" NOT_FOUND, text, sizeof(text)));
}

/* LD_LIBRARY_PATH of this process applies only to the machine itself, not to another root. */
static void libraries_of_this_process(void **state)
{
    struct hs_host host;
    char folders[700];
    (void) state;
    host_fixture_file("/one/libhailort.so.9.8.7", "");
    host_fixture_file("/two/libhailort.so.9.8.6", "");
    assert_true(hs_str_format(folders, sizeof(folders), "/none:%s", host_fixture_path("/one")));
    size_t len = strlen(folders);
    assert_true(hs_str_format(folders + len, sizeof(folders) - len, ";%s", host_fixture_path("/two")));
    setenv("LD_LIBRARY_PATH", folders, 1);
    hs_host_find_libraries("", &host);
    assert_true(host.library_count >= 2);
    assert_string_equal(host.libraries[0].version, "9.8.7");
    assert_true(hs_str_ends(host.libraries[0].folder, "/one"));
    assert_string_equal(host.libraries[1].version, "9.8.6");
    hs_host_find_libraries(host_fixture_root, &host);
    assert_int_equal(host.library_count, 0);
    unsetenv("LD_LIBRARY_PATH");
    host.library_count = 0;
    hs_host_find_libraries_in(host_fixture_root, "/two", &host);
    assert_int_equal(host.library_count, 1);
}

/* Owners without a name are reported by their number. */
static void a_node_of_an_unknown_owner(void **state)
{
    struct hs_host host;
    (void) state;
    host_fixture_file("/dev/hailo0", "");
    if (geteuid() != 0 || chown(host_fixture_path("/dev/hailo0"), 123456, 654321) < 0)
        skip();
    hs_host_inspect(host_fixture_root, &host);
    assert_string_equal(host.nodes[0].owner, "123456");
    assert_string_equal(host.nodes[0].group, "654321");
    assert_int_equal(chown(host_fixture_path("/dev/hailo0"), 0, 0), 0);
    hs_host_inspect(host_fixture_root, &host);
    assert_string_equal(host.nodes[0].owner, "root");
    assert_string_equal(host.nodes[0].group, "root");
}

static void more_than_fits(void **state)
{
    struct hs_host host;
    char path[100];
    (void) state;
    for (int i = 0; i < 40; i++) {
        hs_str_format(path, sizeof(path), "/dev/hailo%d", i);
        host_fixture_file(path, "");
        hs_str_format(path, sizeof(path), "/sys/bus/pci/devices/0000:%02d:00.0/vendor", i);
        host_fixture_file(path, "0x1e60\n");
        hs_str_format(path, sizeof(path), "/usr/lib/libhailort.so.5.%d.0", i);
        host_fixture_file(path, "");
        hs_str_format(path, sizeof(path), "/proc/%d/fd/5", i + 2);
        host_fixture_link(path, "/dev/hailo0");
    }
    hs_host_inspect(host_fixture_root, &host);
    assert_int_equal(host.node_count, HS_HOST_NODES);
    assert_int_equal(host.board_count, HS_HOST_BOARDS);
    assert_int_equal(host.library_count, HS_HOST_LIBRARIES);
    assert_int_equal(host.holder_count, HS_HOST_HOLDERS);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(an_empty_machine),
        EACH(a_complete_pi),
        EACH(names_of_nodes),
        EACH(a_node_without_access),
        EACH(generations_of_pcie),
        EACH(other_peoples_processes),
        EACH(holders_are_others),
        EACH(libraries_of_the_loader),
        EACH(a_library_that_is_missing),
        EACH(libraries_of_this_process),
        EACH(a_node_of_an_unknown_owner),
        EACH(more_than_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
