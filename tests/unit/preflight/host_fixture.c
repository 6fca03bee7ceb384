#include "host_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

char host_fixture_root[MADE_UP_PATH];

void host_fixture_begin(void)
{
    const char *temp = getenv("TMPDIR");
    hs_str_format(host_fixture_root, sizeof(host_fixture_root), "%s/hs-host-XXXXXX", temp && temp[0] ? temp : "/tmp");
    assert_non_null(mkdtemp(host_fixture_root));
    assert_int_equal(chmod(host_fixture_root, 0755), 0);
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;
    return remove(path);
}

void host_fixture_end(void)
{
    nftw(host_fixture_root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

const char *host_fixture_path(const char *path)
{
    static char whole[2 * MADE_UP_PATH];
    assert_true(hs_str_format(whole, sizeof(whole), "%s%s", host_fixture_root, path));
    return whole;
}

void host_fixture_file(const char *path, const char *text)
{
    const char *whole = host_fixture_path(path);
    assert_int_equal(hs_dir_make_parent(whole, NULL), 0);
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void host_fixture_folder(const char *path)
{
    assert_int_equal(hs_dir_make(host_fixture_path(path), NULL), 0);
}

void host_fixture_link(const char *path, const char *target)
{
    assert_int_equal(hs_dir_make_parent(host_fixture_path(path), NULL), 0);
    assert_int_equal(symlink(target, host_fixture_path(path)), 0);
}

void host_fixture_board(const char *speed)
{
    host_fixture_file("/sys/bus/pci/devices/0001:01:00.0/vendor", "0x1e60\n");
    host_fixture_file("/sys/bus/pci/devices/0001:01:00.0/device", "0x45c4\n");
    host_fixture_file("/sys/bus/pci/devices/0001:01:00.0/current_link_speed", speed);
    host_fixture_file("/sys/bus/pci/devices/0001:01:00.0/current_link_width", "1\n");
    host_fixture_link("/sys/bus/pci/devices/0001:01:00.0/driver", "../../../../bus/pci/drivers/hailo1x");
}
