#include "auth/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/credential.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static int parse(const char *source, const void *text, size_t len, struct hs_keyring *ret, struct hs_error *err)
{
    struct hs_error why;
    int r = hs_keyring_read(text, len, ret, &why);
    return r < 0 ? hs_error_set(err, r, "%s: %s", source, why.message) : 0;
}

int hs_key_file_read(const char *source, struct hs_keyring *ret, struct hs_error *err)
{
    struct hs_buf text;
    int r = hs_credential_read(source, HS_KEYRING_BYTES, &text, err);
    if (r < 0)
        return r;
    r = parse(source, text.data, text.len, ret, err);
    hs_buf_finish(&text);
    return r;
}

int hs_key_file_list(const char *path, struct hs_keyring *ret, struct hs_error *err)
{
    uint8_t *data;
    size_t len;
    int r = hs_file_read(path, HS_KEYRING_BYTES, &data, &len, err);
    if (r < 0)
        return r;
    r = parse(path, data, len, ret, err);
    hs_mem_free_wiped(data, len);
    return r;
}

/* The lock is on a file of its own, because the file of keys is replaced while it is held. */
static int lock(const char *path, int *ret_fd, struct hs_error *err)
{
    char name[PATH_MAX];
    if (!hs_str_format(name, sizeof(name), "%s.lock", path))
        return hs_error_set(err, HS_EINVAL, "the path of the key file is too long");
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd >= 0 && hs_file_give_to_owner(fd, name) == 0 && hs_file_lock(fd, true) == 0) {
        *ret_fd = fd;
        return 0;
    }
    int reason = errno;
    if (fd >= 0)
        close(fd);
    return hs_error_set(err, HS_EIO, "cannot lock %s: %s", name, strerror(reason));
}

static int write_file(const char *path, const struct hs_keyring *ring, struct hs_error *err)
{
    struct hs_atomic_file file;
    struct hs_buf text;
    hs_buf_init(&text, HS_KEYRING_BYTES);
    text.wipe = true;
    int r = hs_keyring_write(ring, &text);
    if (r < 0)
        r = hs_error_set(err, r, "cannot write %s: %s", path, r == HS_ETOOLARGE ? "too many keys" : "no memory");
    else
        r = hs_atomic_file_begin(&file, path, err);
    if (r == 0) {
        if (hs_file_write_all(file.fd, text.data, text.len) < 0 || hs_file_give_to_owner(file.fd, path) < 0) {
            r = hs_error_set(err, HS_EIO, "cannot write %s: %s", path, strerror(errno));
            hs_atomic_file_abort(&file);
        } else {
            r = hs_atomic_file_commit(&file, 0600, err);
        }
    }
    hs_buf_finish(&text);
    return r;
}

int hs_key_file_change(const char *path, bool create, hs_keyring_change change, void *arg, struct hs_error *err)
{
    struct hs_keyring ring = { 0 };
    int fd, r = create ? hs_dir_make_parent(path, err) : 0;
    if (r == 0 && !create && !hs_file_exists(path))
        r = hs_error_set(err, HS_ENOTFOUND, "There are no API keys: %s does not exist", path);
    if (r == 0)
        r = lock(path, &fd, err);
    if (r < 0)
        return r;
    r = hs_key_file_list(path, &ring, err);
    if (r == HS_ENOTFOUND && create)
        r = 0;
    if (r == 0)
        r = change(&ring, arg, err);
    if (r == 0)
        r = write_file(path, &ring, err);
    hs_keyring_finish(&ring);
    close(fd);
    return r;
}
