#include "made_up.h"

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

char made_up_root[MADE_UP_PATH];

void made_up_begin(void)
{
    const char *temp = getenv("TMPDIR");
    hs_str_format(made_up_root, sizeof(made_up_root), "%s/hs-host-XXXXXX", temp && temp[0] ? temp : "/tmp");
    assert_non_null(mkdtemp(made_up_root));
    assert_int_equal(chmod(made_up_root, 0755), 0);
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;
    return remove(path);
}

void made_up_end(void)
{
    nftw(made_up_root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

const char *made_up_path(const char *path)
{
    static char whole[2 * MADE_UP_PATH];
    assert_true(hs_str_format(whole, sizeof(whole), "%s%s", made_up_root, path));
    return whole;
}

void made_up_file(const char *path, const char *text)
{
    const char *whole = made_up_path(path);
    assert_int_equal(hs_dir_make_parent(whole, NULL), 0);
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void made_up_folder(const char *path)
{
    assert_int_equal(hs_dir_make(made_up_path(path), NULL), 0);
}

void made_up_link(const char *path, const char *target)
{
    assert_int_equal(hs_dir_make_parent(made_up_path(path), NULL), 0);
    assert_int_equal(symlink(target, made_up_path(path)), 0);
}

void made_up_board(const char *speed)
{
    made_up_file("/sys/bus/pci/devices/0001:01:00.0/vendor", "0x1e60\n");
    made_up_file("/sys/bus/pci/devices/0001:01:00.0/device", "0x45c4\n");
    made_up_file("/sys/bus/pci/devices/0001:01:00.0/current_link_speed", speed);
    made_up_file("/sys/bus/pci/devices/0001:01:00.0/current_link_width", "1\n");
    made_up_link("/sys/bus/pci/devices/0001:01:00.0/driver", "../../../../bus/pci/drivers/hailo1x");
}
