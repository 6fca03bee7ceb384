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
#include "made_up.h"
#include "preflight/host.h"

/* An unprivileged user: this process, or if it runs as root, user 65534 during a test. */
enum { NOBODY = 65534 };

static void lose_rights(void)
{
    if (geteuid() == 0) {
        assert_int_equal(setegid(NOBODY), 0);
        assert_int_equal(seteuid(NOBODY), 0);
    }
}

static void regain_rights(void)
{
    if (getuid() == 0) {
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(setegid(0), 0);
    }
}

static int begin(void **state)
{
    (void) state;
    made_up_begin();
    return 0;
}

static int end(void **state)
{
    (void) state;
    regain_rights();
    made_up_end();
    return 0;
}

static void nothing_there(void **state)
{
    struct hs_host host;
    (void) state;
    memset(&host, 0xff, sizeof(host));
    hs_host_look(made_up_root, &host);
    assert_int_equal(host.node_count + host.board_count + host.library_count + host.holder_count, 0);
    assert_int_equal(host.hidden, 0);
    assert_string_equal(host.module, "");
    assert_string_equal(host.module_version, "");
    assert_string_equal(host.device_class, "");
    assert_string_equal(host.model, "");
    assert_true(host.user[0]);
}

static void a_pi_with_everything(void **state)
{
    struct hs_host host;
    (void) state;
    made_up_board("8.0 GT/s PCIe\n");
    made_up_file("/sys/bus/pci/devices/0000:00:00.0/vendor", "0x14e4\n");
    made_up_file("/dev/hailo0", "");
    made_up_file("/sys/module/hailo1x_pci/version", "5.1.1\n");
    made_up_folder("/sys/class/hailo_chardev/hailo0");
    made_up_file("/usr/lib/libhailort.so.5.1.1", "");
    made_up_link("/usr/lib/libhailort.so", "libhailort.so.5.1.1");
    made_up_file("/proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0");
    hs_host_look(made_up_root, &host);
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
    made_up_file("/dev/h1x-0", "");
    made_up_file("/dev/h1x-12", "");
    made_up_file("/dev/hailo", "");
    made_up_file("/dev/hailo0p", "");
    made_up_file("/dev/hailo_integrated_nnc", "");
    made_up_folder("/dev/hailo1");
    made_up_folder("/sys/class/hailo1x");
    hs_host_look(made_up_root, &host);
    assert_int_equal(host.node_count, 2);
    assert_string_equal(host.nodes[0].path, "/dev/h1x-0");
    assert_string_equal(host.nodes[1].path, "/dev/h1x-12");
    assert_string_equal(host.device_class, "hailo1x");
}

static void a_node_without_rights(void **state)
{
    struct hs_host host;
    (void) state;
    made_up_file("/dev/hailo0", "");
    assert_int_equal(chmod(made_up_path("/dev/hailo0"), 0), 0);
    lose_rights();
    hs_host_look(made_up_root, &host);
    regain_rights();
    assert_int_equal(host.node_count, 1);
    assert_false(host.nodes[0].usable);
    assert_int_equal(host.nodes[0].mode, 0);
    assert_true(host.nodes[0].owner[0] && host.nodes[0].group[0]);
    /* Read access alone is not sufficient. */
    assert_int_equal(chmod(made_up_path("/dev/hailo0"), 0444), 0);
    lose_rights();
    hs_host_look(made_up_root, &host);
    regain_rights();
    assert_false(host.nodes[0].usable);
    assert_int_equal(host.nodes[0].mode, 0444);
}

static void generation(const char *speed, int expected)
{
    struct hs_host host;
    unlink(made_up_path("/sys/bus/pci/devices/0001:01:00.0/driver"));
    made_up_board(speed);
    hs_host_look(made_up_root, &host);
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
    made_up_file("/dev/hailo0", "");
    made_up_file("/proc/812/comm", "hailo-ollama\n");
    made_up_link("/proc/812/fd/0", "/dev/null");
    made_up_link("/proc/812/fd/7", "/dev/hailo0");
    made_up_link("/proc/812/fd/8", "/dev/hailo0");
    made_up_file("/proc/900/comm", "sshd\n");
    made_up_link("/proc/900/fd/3", "socket:[12]");
    made_up_folder("/proc/sys/fd");
    made_up_link("/proc/sys/fd/0", "/dev/hailo0");
    made_up_folder("/proc/901/fd");
    assert_int_equal(chmod(made_up_path("/proc/901/fd"), 0), 0);
    lose_rights();
    hs_host_look(made_up_root, &host);
    regain_rights();
    assert_int_equal(host.holder_count, 1);
    assert_int_equal(host.holders[0].pid, 812);
    assert_string_equal(host.holders[0].command, "hailo-ollama");
    assert_string_equal(host.holders[0].node, "/dev/hailo0");
    assert_int_equal(host.hidden, 1);
    assert_int_equal(chmod(made_up_path("/proc/901/fd"), 0700), 0);
}

/* This process is not listed. */
static void holders_are_others(void **state)
{
    char path[100];
    struct hs_host host;
    (void) state;
    made_up_file("/dev/hailo0", "");
    hs_str_format(path, sizeof(path), "/proc/%d/fd/3", (int) getpid());
    made_up_link(path, "/dev/hailo0");
    hs_host_look(made_up_root, &host);
    assert_int_equal(host.holder_count, 0);
}

static void libraries_of_the_loader(void **state)
{
    struct hs_host host;
    (void) state;
    made_up_file("/etc/ld.so.conf.d/aarch64-linux-gnu.conf", "# Multiarch support\n/usr/lib/aarch64-linux-gnu\n");
    made_up_file("/etc/ld.so.conf.d/notes.txt", "/opt/never\n");
    made_up_file("/opt/never/libhailort.so.4.20.0", "");
    made_up_file("/usr/lib/aarch64-linux-gnu/libhailort.so.5.2.0", "");
    made_up_file("/usr/lib/libhailort.so.5.1.1", "");
    made_up_file("/usr/lib/libhailort.so.5", "");
    made_up_file("/usr/lib/libhailort.so.5.1.1.bak", "");
    made_up_file("/usr/local/lib/libhailort.so.5.2.0", "");
    hs_host_find_libraries(made_up_root, &host);
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
    assert_true(hs_host_explain_library(made_up_root, "libhailort.so.5.1.1" NOT_FOUND, text, sizeof(text)));
    assert_string_equal(text,
                        "libhailort.so.5.1.1 is not installed, and neither is another version of HailoRT: sudo apt "
                        "install hailo-h10-all");
    made_up_file("/usr/lib/libhailort.so.5.2.0", "");
    assert_true(hs_host_explain_library(made_up_root, "libhailort.so.5.1.1" NOT_FOUND, text, sizeof(text)));
    assert_string_equal(text,
                        "libhailort.so.5.1.1 is not installed, but libhailort.so.5.2.0 is: build the backend again "
                        "with: backends build");
    made_up_file("/usr/lib/libhailort.so.5.3.0", "");
    assert_true(hs_host_explain_library(made_up_root, "libhailort.so.5.1.1" NOT_FOUND, text, sizeof(text)));
    assert_non_null(strstr(text, "libhailort.so.5.2.0, libhailort.so.5.3.0 are: "));
    /* An error message about another library. */
    assert_false(hs_host_explain_library(made_up_root, "libopenvino_c.so.2026" NOT_FOUND, text, sizeof(text)));
    assert_false(hs_host_explain_library(made_up_root, "libhailort.so.5.1.1: undefined symbol: x", text, sizeof(text)));
    assert_false(hs_host_explain_library(made_up_root, "libhailort.so.5" NOT_FOUND, text, sizeof(text)));
}

/* LD_LIBRARY_PATH of this process applies only to the machine itself, not to another root. */
static void libraries_of_this_process(void **state)
{
    struct hs_host host;
    char folders[700];
    (void) state;
    made_up_file("/one/libhailort.so.9.8.7", "");
    made_up_file("/two/libhailort.so.9.8.6", "");
    assert_true(hs_str_format(folders, sizeof(folders), "/none:%s", made_up_path("/one")));
    size_t len = strlen(folders);
    assert_true(hs_str_format(folders + len, sizeof(folders) - len, ";%s", made_up_path("/two")));
    setenv("LD_LIBRARY_PATH", folders, 1);
    hs_host_find_libraries("", &host);
    assert_true(host.library_count >= 2);
    assert_string_equal(host.libraries[0].version, "9.8.7");
    assert_true(hs_str_ends(host.libraries[0].folder, "/one"));
    assert_string_equal(host.libraries[1].version, "9.8.6");
    hs_host_find_libraries(made_up_root, &host);
    assert_int_equal(host.library_count, 0);
    unsetenv("LD_LIBRARY_PATH");
    host.library_count = 0;
    hs_host_find_libraries_in(made_up_root, "/two", &host);
    assert_int_equal(host.library_count, 1);
}

/* Owners without a name are reported by their number. */
static void a_node_of_nobody_known(void **state)
{
    struct hs_host host;
    (void) state;
    made_up_file("/dev/hailo0", "");
    if (geteuid() != 0 || chown(made_up_path("/dev/hailo0"), 123456, 654321) < 0)
        skip();
    hs_host_look(made_up_root, &host);
    assert_string_equal(host.nodes[0].owner, "123456");
    assert_string_equal(host.nodes[0].group, "654321");
    assert_int_equal(chown(made_up_path("/dev/hailo0"), 0, 0), 0);
    hs_host_look(made_up_root, &host);
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
        made_up_file(path, "");
        hs_str_format(path, sizeof(path), "/sys/bus/pci/devices/0000:%02d:00.0/vendor", i);
        made_up_file(path, "0x1e60\n");
        hs_str_format(path, sizeof(path), "/usr/lib/libhailort.so.5.%d.0", i);
        made_up_file(path, "");
        hs_str_format(path, sizeof(path), "/proc/%d/fd/5", i + 2);
        made_up_link(path, "/dev/hailo0");
    }
    hs_host_look(made_up_root, &host);
    assert_int_equal(host.node_count, HS_HOST_NODES);
    assert_int_equal(host.board_count, HS_HOST_BOARDS);
    assert_int_equal(host.library_count, HS_HOST_LIBRARIES);
    assert_int_equal(host.holder_count, HS_HOST_HOLDERS);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(nothing_there),
        EACH(a_pi_with_everything),
        EACH(names_of_nodes),
        EACH(a_node_without_rights),
        EACH(generations_of_pcie),
        EACH(other_peoples_processes),
        EACH(holders_are_others),
        EACH(libraries_of_the_loader),
        EACH(a_library_that_is_missing),
        EACH(libraries_of_this_process),
        EACH(a_node_of_nobody_known),
        EACH(more_than_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
