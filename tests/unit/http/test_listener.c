/* Tests listening sockets with real files and clients. */
#include "entries.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../call_fail.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/listener.h"

static struct hs_error err;
static char folder[64], path[80], host[96];

static int make_folder(void **state)
{
    (void) state;
    memcpy(folder, "/tmp/hs-listener-XXXXXX", sizeof("/tmp/hs-listener-XXXXXX"));
    if (!mkdtemp(folder))
        return -1;
    hs_str_format(path, sizeof(path), "%s/x.sock", folder);
    hs_str_format(host, sizeof(host), "unix:%s", path);
    return 0;
}

static int remove_folder(void **state)
{
    (void) state;
    unlink(path);
    return rmdir(folder);
}

static bool exists(void)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* Connects to the path. Returns the descriptor, or -1 with errno. */
static int dial_unix(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    hs_str_copy(address.sun_path, sizeof(address.sun_path), path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, (struct sockaddr *) &address, sizeof(address)) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static void test_tcp(void **state)
{
    static const struct {
        const char *host, *start;
        bool loopback;
    } rows[] = {
        { "127.0.0.1", "127.0.0.1:", true }, { "localhost", "", true },   { "0.0.0.0", "0.0.0.0:", false },
        { "::1", "[::1]:", true },           { "[::1]", "[::1]:", true }, { "::", "[::]:", false },
    };
    struct hs_listener listener, second;
    char port[16];
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        if (hs_listener_open(rows[i].host, 0, 0660, &listener, &err) < 0) {
            assert_true(strchr(rows[i].host, ':') && strstr(err.message, "Cannot assign")); /* no IPv6 here */
            continue;
        }
        hs_str_format(port, sizeof(port), ":%d", listener.port);
        assert_true(hs_str_starts(listener.address, rows[i].start) && hs_str_ends(listener.address, port));
        assert_true(listener.port > 0 && listener.loopback == rows[i].loopback && !listener.is_unix);
        assert_true(fcntl(listener.fd, F_GETFL) & O_NONBLOCK && fcntl(listener.fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(hs_listener_open(rows[i].host, listener.port, 0660, &second, &err), HS_ECONFLICT);
        hs_listener_close(&listener);
        assert_int_equal(listener.fd, -1);
        hs_listener_close(&listener);
    }
}

static void test_unix(void **state)
{
    struct hs_listener listener;
    struct stat status;
    (void) state;
    for (unsigned mode = 0600; mode <= 0666; mode += 066) {
        mode_t old = umask(077); /* the mode does not depend on it */
        assert_int_equal(hs_listener_open(host, 1, mode, &listener, &err), 0);
        umask(old);
        assert_int_equal(lstat(path, &status), 0);
        assert_true(S_ISSOCK(status.st_mode) && (status.st_mode & 07777) == mode);
        assert_true(listener.is_unix && listener.loopback && !listener.inherited && listener.port == 0);
        assert_string_equal(listener.address, host);
        int fd = dial_unix();
        assert_true(fd >= 0);
        close(fd);
        hs_listener_close(&listener);
        assert_false(exists());
    }
}

static void test_unix_in_the_way(void **state)
{
    struct hs_listener first, second;
    (void) state;
    /* In use. */
    assert_int_equal(hs_listener_open(host, 0, 0600, &first, &err), 0);
    assert_int_equal(hs_listener_open(host, 0, 0600, &second, &err), HS_ECONFLICT);
    assert_true(hs_str_ends(err.message, "x.sock: Address already in use"));
    assert_true(exists());
    /* Left behind: the socket is closed, its file is not deleted. */
    close(first.fd);
    assert_int_equal(dial_unix(), -1);
    assert_int_equal(hs_listener_open(host, 0, 0600, &second, &err), 0);
    int fd = dial_unix();
    assert_true(fd >= 0);
    close(fd);
    /* Replaced: the first one does not delete the file of the second one. */
    unlink(path);
    assert_int_equal(hs_listener_open(host, 0, 0600, &first, &err), 0);
    hs_listener_close(&second);
    assert_true(exists());
    hs_listener_close(&first);
    assert_false(exists());
    /* Not a socket. */
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(hs_listener_open(host, 0, 0600, &second, &err), HS_EIO);
    assert_true(hs_str_ends(err.message, "x.sock: a file that is not a socket has this name"));
    assert_true(exists());
}

static void test_unix_failures(void **state)
{
    static const char *const bad[] = { "unix:", "unix:x.sock" };
    struct hs_listener listener;
    char long_host[128] = "unix:/";
    int descriptors = count_descriptors();
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(bad); i++) {
        assert_int_equal(hs_listener_open(bad[i], 0, 0600, &listener, &err), HS_EINVAL);
        assert_true(hs_str_ends(err.message, "an absolute path of at most 107 bytes"));
    }
    memset(long_host + 6, 'a', 107);
    assert_int_equal(hs_listener_open(long_host, 0, 0600, &listener, &err), HS_EINVAL);
    assert_int_equal(hs_listener_open("unix:/none/x", 0, 0600, &listener, &err), HS_EIO);
    assert_string_equal(err.message, "cannot listen on unix:/none/x: No such file or directory");
    static const char *const calls[] = { "socket", "listen", "getsockname" };
    for (size_t i = 0; i < HS_ARRAY_LEN(calls); i++) {
        hs_call_fail_arm(calls[i], 1, EACCES);
        assert_int_equal(hs_listener_open(host, 0, 0600, &listener, &err), HS_EIO);
        assert_true(hs_call_fail_disarm());
        unlink(path); /* getsockname: the address that the file has is unknown */
    }
    assert_int_equal(count_descriptors(), descriptors);
}

static void test_peers(void **state)
{
    struct hs_listener listener;
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    struct sockaddr none = { .sa_family = AF_UNSPEC }, local = { .sa_family = AF_UNIX };
    char text[HS_ADDRESS_SIZE], expected[HS_ADDRESS_SIZE];
    (void) state;
    hs_listener_write_peer(-1, (struct sockaddr *) &four, text);
    assert_string_equal(text, "192.0.2.1");
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &six.sin6_addr);
    hs_listener_write_peer(-1, (struct sockaddr *) &six, text);
    assert_string_equal(text, "192.0.2.1");
    inet_pton(AF_INET6, "2001:db8::1", &six.sin6_addr);
    hs_listener_write_peer(-1, (struct sockaddr *) &six, text);
    assert_string_equal(text, "2001:db8::1");
    hs_listener_write_peer(-1, &none, text);
    assert_string_equal(text, "-");
    hs_listener_write_peer(-1, &local, text);
    assert_string_equal(text, "-");
    assert_int_equal(hs_listener_open(host, 0, 0600, &listener, &err), 0);
    int fd = dial_unix(), accepted = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0 && accepted >= 0);
    hs_listener_write_peer(accepted, &local, text);
    hs_str_format(expected, sizeof(expected), "unix:%u", (unsigned) getuid());
    assert_string_equal(text, expected);
    close(accepted);
    close(fd);
    hs_listener_close(&listener);
}

static void set_variables(int pid, const char *sockets, const char *names)
{
    char text[16];
    hs_str_format(text, sizeof(text), "%d", pid);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", sockets, 1);
    if (names)
        setenv("LISTEN_FDNAMES", names, 1);
    else
        unsetenv("LISTEN_FDNAMES");
}

/* Runs in a process of its own, which gets sockets from descriptor 3 on. */
static void inherit(void)
{
    struct hs_listener got[HS_LISTENERS_MAX], tcp, local;
    size_t count;
    char many[] = "17";
    assert_int_equal(hs_listener_open("127.0.0.1", 0, 0, &tcp, &err), 0);
    assert_int_equal(hs_listener_open(host, 0, 0600, &local, &err), 0);
    int tcp_fd = dup2(tcp.fd, 100), local_fd = dup2(local.fd, 101), plain = socket(AF_INET, SOCK_STREAM, 0);
    plain = dup2(plain, 102);
    fcntl(tcp_fd, F_SETFL, 0); /* systemd passes blocking sockets */
    dup2(tcp_fd, 3);
    dup2(local_fd, 4);

    set_variables(getpid() + 1, "2", NULL);
    assert_true(hs_listener_inherit(got, &count, &err) == 0 && count == 0);
    assert_non_null(getenv("LISTEN_FDS")); /* they are for a child */

    set_variables(getpid(), "2", "redirect:other");
    assert_true(hs_listener_inherit(got, &count, &err) == 0 && count == 2);
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_FDNAMES"));
    assert_true(got[0].fd == 3 && got[0].inherited && got[0].redirects && !got[0].is_unix);
    assert_true(got[1].fd == 4 && got[1].inherited && !got[1].redirects && got[1].is_unix);
    assert_string_equal(got[0].address, tcp.address);
    assert_string_equal(got[1].address, host);
    for (size_t i = 0; i < 2; i++)
        assert_true(fcntl(got[i].fd, F_GETFL) & O_NONBLOCK && fcntl(got[i].fd, F_GETFD) & FD_CLOEXEC);
    hs_listener_shut(&got[1]);
    hs_listener_close(&got[1]);
    assert_true(exists() && dial_unix() >= 0); /* systemd still listens */

    set_variables(getpid(), "1", NULL);
    assert_true(hs_listener_inherit(got, &count, &err) == 0 && count == 1 && !got[0].redirects);
    set_variables(getpid(), "0", NULL);
    assert_true(hs_listener_inherit(got, &count, &err) == 0 && count == 0);
    set_variables(getpid(), many, NULL);
    assert_int_equal(hs_listener_inherit(got, &count, &err), HS_EINVAL);
    assert_string_equal(err.message, "LISTEN_FDS must be between 0 and 16, not 17");
    dup2(plain, 4);
    set_variables(getpid(), "2", "a");
    assert_int_equal(hs_listener_inherit(got, &count, &err), HS_EINVAL);
    assert_true(hs_str_starts(err.message, "the socket \"\" (descriptor 4) of systemd is not a listening"));
    assert_int_equal(count, 1);
}

static void test_inherit(void **state)
{
    int status;
    (void) state;
    pid_t child = fork();
    if (child == 0) {
        inherit();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),
        cmocka_unit_test_setup_teardown(test_unix, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_unix_in_the_way, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_unix_failures, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_peers, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_inherit, make_folder, remove_folder),
    };
    return HS_RUN_TESTS(tests);
}
