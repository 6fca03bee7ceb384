#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "service/process_metrics.h"

enum { PATH_SIZE = 512 };

static void put_file(const char *root, const char *path, const char *text)
{
    char name[PATH_SIZE];
    hs_str_format(name, sizeof(name), "%s%s", root, path);
    assert_int_equal(hs_dir_make_parent(name, NULL), 0);
    assert_int_equal(hs_file_write_atomic(name, text, strlen(text), 0600, NULL), 0);
}

static void test_memory_limit(void **state)
{
    (void) state;
    char root[] = "/tmp/hs-process-XXXXXX", command[PATH_SIZE];
    assert_non_null(mkdtemp(root));
    assert_true(hs_process_memory_limit(root) == 0);
    put_file(root, "/proc/self/cgroup", "0::/system.slice/hailo-face.service\n");
    assert_true(hs_process_memory_limit(root) == 0);
    put_file(root, "/sys/fs/cgroup/system.slice/hailo-face.service/memory.max", "max\n");
    assert_true(hs_process_memory_limit(root) == 0);
    put_file(root, "/sys/fs/cgroup/system.slice/hailo-face.service/memory.max", "1073741824\n");
    assert_true(hs_process_memory_limit(root) == 1073741824);
    put_file(root, "/proc/self/cgroup", "12:cpu,cpuacct:/a\n7:memory:/b\n1:name=systemd:/c\n0::/d\n");
    put_file(root, "/sys/fs/cgroup/memory/b/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(hs_process_memory_limit(root) == 0);
    put_file(root, "/sys/fs/cgroup/memory/b/memory.limit_in_bytes", "2000000\n");
    assert_true(hs_process_memory_limit(root) == 2000000);
    hs_str_format(command, sizeof(command), "rm -r %s", root);
    assert_int_equal(system(command), 0);
}

/* Returns the value of a series without labels. */
static double read_metric(const char *name)
{
    struct hs_buf out;
    struct hs_metrics_writer writer = { .out = &out };
    char line[100], number[32];
    double value;
    hs_buf_init(&out, 1 << 16);
    hs_process_put_metrics(&writer);
    hs_str_format(line, sizeof(line), "\n%s ", name);
    const char *at = strstr(hs_buf_str(&out), line);
    assert_non_null(at);
    at += strlen(line);
    assert_true(hs_str_copy_n(number, sizeof(number), at, strcspn(at, "\n")));
    assert_true(hs_str_to_double(number, &value));
    hs_buf_finish(&out);
    return value;
}

static void test_process(void **state)
{
    (void) state;
    double fds = read_metric("process_open_fds");
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(read_metric("process_open_fds") == fds + 1);
    close(fd);
    assert_true(fds >= 3 && fds <= read_metric("process_max_fds"));
    assert_true(read_metric("process_threads") >= 1);
    assert_true(read_metric("process_resident_memory_bytes") > 100000);
    assert_true(read_metric("process_virtual_memory_bytes") > read_metric("process_resident_memory_bytes"));
    assert_true(read_metric("process_cpu_seconds_total") > 0);
    double age = (double) time(NULL) - hs_process_start_s();
    assert_true(age > -2 && age < 3600);
    assert_true(read_metric("process_start_time_seconds") > 1.7e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_memory_limit), cmocka_unit_test(test_process) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
