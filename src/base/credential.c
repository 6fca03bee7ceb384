#include "base/credential.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

static const char prefix[] = "credential:";

/* A name of systemd's credentials is a file name. */
static bool is_name(const char *name)
{
    return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

const char *hs_credential_error(const char *source)
{
    if (hs_str_starts(source, prefix))
        return is_name(source + strlen(prefix)) ? NULL : "names no credential after \"credential:\"";
    return source[0] == '/' ? NULL : "is not an absolute path or credential:NAME";
}

static bool is_trusted_owner(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == geteuid();
}

static int check_file(const struct stat *st, const char *path, struct hs_error *err)
{
    mode_t allowed = st->st_uid == 0 ? S_IRWXU | S_IRGRP : S_IRWXU;
    if (!is_trusted_owner(st))
        return hs_error_set(err, HS_EFORBIDDEN, "%s belongs to another user. Change its owner to root or to this user",
                            path);
    if (st->st_mode & 07777 & ~allowed)
        return hs_error_set(err, HS_EFORBIDDEN, "%s is open to other users (mode %04o). Run chmod 600 %s", path,
                            st->st_mode & 07777, path);
    return 0;
}

/* systemd gives the service access by the owner or by an access list, which shows as a mode of 0440 or 0550. */
static int check_folder(const char *folder, struct hs_error *err)
{
    struct stat st;
    if (stat(folder, &st) < 0)
        return hs_error_set(err, errno == ENOENT ? HS_ENOTFOUND : HS_EIO, "cannot read %s: %s", folder,
                            strerror(errno));
    if (!is_trusted_owner(&st) || st.st_mode & (S_IWGRP | S_IRWXO))
        return hs_error_set(err, HS_EFORBIDDEN, "the folder of credentials %s is open to other users (mode %04o)",
                            folder, st.st_mode & 07777);
    return 0;
}

/* Writes the path of a credential, after checking its folder. */
static int locate(const char *name, char path[PATH_MAX], struct hs_error *err)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder || folder[0] != '/')
        return hs_error_set(err, HS_ENOTFOUND,
                            "credential:%s: this process has no credentials. Add LoadCredential=%s:PATH to its unit",
                            name, name);
    int r = check_folder(folder, err);
    if (r == 0 && !hs_path_join(path, PATH_MAX, folder, name))
        r = hs_error_set(err, HS_EINVAL, "credential:%s: the name is too long", name);
    return r;
}

/* Reads to the end of the file, or until the buffer is full. The buffer never moves, so that no copy stays behind. */
static int read_all(int fd, const char *path, struct hs_buf *ret, struct hs_error *err)
{
    int r = hs_buf_reserve(ret, ret->max);
    if (r < 0)
        return hs_error_set(err, r, "%s: no memory", path);
    while (ret->len < ret->max) {
        ssize_t n = read(fd, ret->data + ret->len, ret->max - ret->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hs_error_set(err, HS_EIO, "cannot read %s: %s", path, strerror(errno));
        if (n == 0)
            break;
        ret->len += (size_t) n;
    }
    return 0;
}

int hs_credential_read(const char *source, size_t max, struct hs_buf *ret, struct hs_error *err)
{
    const char *reason = hs_credential_error(source);
    bool named = hs_str_starts(source, prefix);
    char path[PATH_MAX];
    struct stat st;
    int fd, r = reason ? hs_error_set(err, HS_EINVAL, "%.200s %s", source, reason) : 0;
    if (r == 0 && named)
        r = locate(source + strlen(prefix), path, err);
    else if (r == 0 && !hs_str_copy(path, sizeof(path), source))
        r = hs_error_set(err, HS_EINVAL, "the path of a secret is too long");
    if (r == 0)
        r = hs_file_open(path, &fd, err);
    if (r < 0)
        return r;
    hs_buf_init(ret, max + 2); /* with room for a line feed, and for one byte too many */
    ret->wipe = true;
    if (fstat(fd, &st) < 0)
        r = hs_error_set(err, HS_EIO, "cannot read %s: %s", path, strerror(errno));
    else if (!named)
        r = check_file(&st, path, err);
    if (r == 0)
        r = read_all(fd, path, ret, err);
    if (r == 0 && ret->len > 0 && ret->data[ret->len - 1] == '\n')
        ret->len--;
    if (r == 0 && ret->len > max)
        r = hs_error_set(err, HS_ETOOLARGE, "%s is too large: the limit is %zu bytes", path, max);
    close(fd);
    if (r < 0)
        hs_buf_finish(ret);
    return r;
}
