/* Tests TLS sessions on a socket pair, with a client of OpenSSL. */
#include "entries.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "../alloc_fail.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/tls.h"

static struct hs_error err;
static char folder[64], certificate_path[96], key_path[96];
static struct hs_tls_context *context;

/* ---- A certificate ---- */

static void write_certificate(int serial, long from_s, long to_s)
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *x = X509_new();
    assert_non_null(key);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
    X509_gmtime_adj(X509_getm_notBefore(x), from_s);
    X509_gmtime_adj(X509_getm_notAfter(x), to_s);
    X509_set_pubkey(x, key);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *) "localhost", -1, -1, 0);
    X509_set_issuer_name(x, name);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    FILE *file = fopen(certificate_path, "we");
    assert_true(PEM_write_X509(file, x));
    fclose(file);
    umask(077);
    file = fopen(key_path, "we");
    assert_true(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
    fclose(file);
    X509_free(x);
    EVP_PKEY_free(key);
}

static int make_context(void **state)
{
    (void) state;
    memcpy(folder, "/tmp/hs-tls-XXXXXX", sizeof("/tmp/hs-tls-XXXXXX"));
    if (!mkdtemp(folder))
        return -1;
    hs_str_format(certificate_path, sizeof(certificate_path), "%s/c.pem", folder);
    hs_str_format(key_path, sizeof(key_path), "%s/k.pem", folder);
    write_certificate(1, 0, 3600);
    return hs_tls_context_load(certificate_path, key_path, &context, &err);
}

static int free_context(void **state)
{
    (void) state;
    hs_tls_context_free(context);
    unlink(certificate_path);
    unlink(key_path);
    return rmdir(folder);
}

/* ---- A pair of ends ---- */

struct ends {
    int server_fd, client_fd;
    struct hs_tls_session *server;
    SSL_CTX *client_context;
    SSL *client;
    uint8_t space[HS_TLS_RECORD];
};

static void open_ends(struct ends *e, int buffer)
{
    int fds[2];
    memset(e, 0, sizeof(*e));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    e->server_fd = fds[0];
    e->client_fd = fds[1];
    if (buffer > 0)
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    e->server = hs_tls_session_create(context, fds[0]);
    assert_non_null(e->server);
    e->client_context = SSL_CTX_new(TLS_client_method());
    e->client = SSL_new(e->client_context);
    SSL_set_fd(e->client, fds[1]);
    SSL_set_connect_state(e->client);
}

static void close_ends(struct ends *e)
{
    hs_tls_session_free(e->server);
    SSL_free(e->client);
    SSL_CTX_free(e->client_context);
    close(e->server_fd);
    if (e->client_fd >= 0)
        close(e->client_fd);
    ERR_clear_error();
}

static void shake_hands(struct ends *e)
{
    char byte;
    for (int i = 0; i < 20 && !(SSL_is_init_finished(e->client) && hs_tls_session_is_established(e->server)); i++) {
        SSL_do_handshake(e->client);
        ERR_clear_error();
        assert_int_equal(hs_tls_session_read(e->server, &byte, 1), -1);
        assert_int_equal(errno, EAGAIN);
    }
    assert_true(SSL_is_init_finished(e->client) && hs_tls_session_is_established(e->server));
}

/* ---- Tests ---- */

#define PIECE(text) { (void *) (uintptr_t) (text), sizeof(text) - 1 }

static void test_exchange(void **state)
{
    struct ends e;
    char got[64];
    struct iovec pieces[] = { PIECE("one "), { NULL, 0 }, PIECE("two "), PIECE("three") };
    (void) state;
    open_ends(&e, 0);
    shake_hands(&e);
    assert_false(hs_tls_session_has_input(e.server));
    assert_int_equal(SSL_write(e.client, "hello world", 11), 11);
    assert_int_equal(hs_tls_session_read(e.server, got, 5), 5);
    assert_memory_equal(got, "hello", 5);
    /* The rest is in the session, where the socket's events do not show it. */
    assert_true(hs_tls_session_has_input(e.server));
    assert_int_equal(recv(e.server_fd, got, 1, MSG_PEEK), -1);
    assert_int_equal(hs_tls_session_read(e.server, got, sizeof(got)), 6);
    assert_false(hs_tls_session_has_input(e.server));
    assert_int_equal(hs_tls_session_read(e.server, got, sizeof(got)), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(hs_tls_session_write(e.server, pieces, HS_ARRAY_LEN(pieces), e.space), 13);
    assert_int_equal(SSL_read(e.client, got, sizeof(got)), 13);
    assert_memory_equal(got, "one two three", 13);
    assert_int_equal(hs_tls_session_write(e.server, pieces, 0, e.space), 0);
    close_ends(&e);
}

/* A read takes several records. */
static void test_long_reads(void **state)
{
    struct ends e;
    static uint8_t sent[40000], got[sizeof(sent)];
    (void) state;
    open_ends(&e, 0);
    shake_hands(&e);
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (uint8_t) (i * 7 + i / 256);
    assert_int_equal(SSL_write(e.client, sent, sizeof(sent)), sizeof(sent));
    assert_int_equal(hs_tls_session_read(e.server, got, sizeof(got)), sizeof(sent));
    assert_memory_equal(got, sent, sizeof(sent));
    close_ends(&e);
}

/* Writes much more than the socket takes, in pieces of all sizes, and reads it in between. No byte changes. */
static void test_blocked_writes(void **state)
{
    enum { TOTAL = 700000 };
    struct ends e;
    uint8_t *sent = malloc(TOTAL), *got = malloc(TOTAL);
    size_t written = 0, seen = 0;
    int waits = 0;
    (void) state;
    for (size_t i = 0; i < TOTAL; i++)
        sent[i] = (uint8_t) (i * 31 + i / 1000);
    open_ends(&e, 8192);
    shake_hands(&e);
    while (seen < TOTAL) {
        size_t left = TOTAL - written, first = left < 3 ? left : 3,
               second = left - first < 20000 ? left - first : 20000;
        struct iovec pieces[] = { { sent + written, first },
                                  { sent + written + first, second },
                                  { sent + written + first + second, left - first - second } };
        ssize_t n = left ? hs_tls_session_write(e.server, pieces, 3, e.space) : 0;
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_true(hs_tls_session_wants_write(e.server));
            waits++;
            int r = SSL_read(e.client, got + seen, (int) (TOTAL - seen < 5000 ? TOTAL - seen : 5000));
            ERR_clear_error();
            seen += r > 0 ? (size_t) r : 0;
        } else if (n == 0) {
            int r = SSL_read(e.client, got + seen, (int) (TOTAL - seen));
            assert_true(r > 0);
            seen += (size_t) r;
        } else {
            written += (size_t) n;
        }
    }
    assert_true(waits > 10);
    assert_memory_equal(got, sent, TOTAL);
    close_ends(&e);
    free(sent);
    free(got);
}

/* A caller that breaks its promise gets an error instead of mixed-up bytes. */
static void test_write_that_is_not_repeated(void **state)
{
    struct ends e;
    static uint8_t data[20000];
    struct iovec piece = { data, sizeof(data) }, shorter = { data, 10 };
    ssize_t n;
    (void) state;
    open_ends(&e, 8192);
    shake_hands(&e);
    while ((n = hs_tls_session_write(e.server, &piece, 1, e.space)) > 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(hs_tls_session_write(e.server, &shorter, 1, e.space), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(hs_tls_session_write(e.server, &piece, 1, e.space), -1);
    assert_int_equal(errno, EPROTO);
    close_ends(&e);
}

static void test_ends(void **state)
{
    struct ends e;
    char got[16];
    (void) state;
    /* The client ends TLS after its last bytes. */
    open_ends(&e, 0);
    shake_hands(&e);
    assert_int_equal(SSL_write(e.client, "last", 4), 4);
    SSL_shutdown(e.client);
    assert_int_equal(hs_tls_session_read(e.server, got, sizeof(got)), 4);
    assert_true(hs_tls_session_has_input(e.server)); /* the end has been read with the bytes */
    assert_int_equal(hs_tls_session_read(e.server, got, sizeof(got)), 0);
    close_ends(&e);
    /* The client closes the socket, without unread bytes: it reads the ticket first. */
    open_ends(&e, 0);
    shake_hands(&e);
    assert_int_equal(SSL_read(e.client, got, sizeof(got)), -1);
    close(e.client_fd);
    e.client_fd = -1;
    assert_int_equal(hs_tls_session_read(e.server, got, sizeof(got)), 0);
    close_ends(&e);
    /* The server ends TLS. */
    open_ends(&e, 0);
    shake_hands(&e);
    hs_tls_session_end(e.server);
    assert_int_equal(SSL_read(e.client, got, sizeof(got)), 0);
    assert_int_equal(SSL_get_error(e.client, 0), SSL_ERROR_ZERO_RETURN);
    close_ends(&e);
    /* During the handshake there is no end to send. */
    open_ends(&e, 0);
    hs_tls_session_end(e.server);
    assert_int_equal(recv(e.client_fd, got, 1, 0), -1);
    close(e.client_fd);
    e.client_fd = -1;
    assert_true(hs_tls_session_read(e.server, got, sizeof(got)) <= 0);
    close_ends(&e);
}

/* Writing to a closed socket raises no signal. */
static void test_write_after_close(void **state)
{
    struct ends e;
    struct iovec piece = PIECE("text");
    (void) state;
    open_ends(&e, 0);
    shake_hands(&e);
    close(e.client_fd);
    e.client_fd = -1;
    assert_int_equal(hs_tls_session_write(e.server, &piece, 1, e.space), -1);
    assert_int_equal(errno, EPIPE);
    assert_true(hs_tls_session_has_input(e.server));
    assert_int_equal(hs_tls_session_read(e.server, e.space, 1), -1);
    assert_int_equal(errno, EPIPE);
    close_ends(&e);
}

static void test_garbage(void **state)
{
    struct ends e;
    char byte;
    (void) state;
    open_ends(&e, 0);
    assert_true(send(e.client_fd, "\x17\x03\x03\x00\x05hello", 10, 0) == 10);
    assert_int_equal(hs_tls_session_read(e.server, &byte, 1), -1);
    assert_int_equal(errno, EPROTO);
    assert_string_not_equal(hs_tls_session_error(e.server), "connection lost");
    assert_true(recv(e.client_fd, e.space, sizeof(e.space), 0) > 0); /* an alert */
    close_ends(&e);
    /* After the handshake: a record that is not authentic. */
    open_ends(&e, 0);
    shake_hands(&e);
    assert_true(send(e.client_fd,
                     "\x17\x03\x03\x00\x20"
                     "abcdefghijklmnopqrstuvwxyz012345",
                     37, 0) == 37);
    assert_int_equal(hs_tls_session_read(e.server, &byte, 1), -1);
    assert_int_equal(errno, EPROTO);
    hs_tls_session_end(e.server); /* does nothing */
    close_ends(&e);
}

/* A client that sends only key updates does not hold the reader: each read returns after one of them. */
static void test_key_updates(void **state)
{
    struct ends e;
    char byte;
    int reads = 0;
    (void) state;
    open_ends(&e, 0);
    shake_hands(&e);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(SSL_key_update(e.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
        SSL_do_handshake(e.client);
    }
    while (recv(e.server_fd, &byte, 1, MSG_PEEK) == 1) {
        assert_int_equal(hs_tls_session_read(e.server, &byte, 1), -1);
        assert_int_equal(errno, EAGAIN);
        reads++;
    }
    assert_int_equal(reads, 50);
    assert_int_equal(SSL_write(e.client, "x", 1), 1);
    assert_int_equal(hs_tls_session_read(e.server, &byte, 1), 1);
    close_ends(&e);
}

/* A session outlives its context, which a reload frees. */
static void test_session_keeps_its_certificate(void **state)
{
    struct hs_tls_context *old = context;
    struct ends before, after;
    char got[8];
    struct iovec piece = PIECE("still");
    (void) state;
    open_ends(&before, 0);
    shake_hands(&before);
    write_certificate(2, 0, 7200);
    assert_int_equal(hs_tls_context_load(certificate_path, key_path, &context, &err), 0);
    assert_true(hs_tls_context_expires(context) - hs_tls_context_expires(old) >= 3600);
    hs_tls_context_free(old);
    open_ends(&after, 0);
    shake_hands(&after);
    assert_int_equal(hs_tls_session_write(before.server, &piece, 1, before.space), 5);
    assert_int_equal(SSL_read(before.client, got, sizeof(got)), 5);
    X509 *first = SSL_get1_peer_certificate(before.client), *second = SSL_get1_peer_certificate(after.client);
    assert_int_equal(ASN1_INTEGER_get(X509_get0_serialNumber(first)), 1);
    assert_int_equal(ASN1_INTEGER_get(X509_get0_serialNumber(second)), 2);
    X509_free(first);
    X509_free(second);
    close_ends(&before);
    close_ends(&after);
}

static int load_again(void *arg)
{
    struct hs_tls_context *again = NULL;
    (void) arg;
    int r = hs_tls_context_load(certificate_path, key_path, &again, &err);
    struct hs_tls_session *session = r == 0 ? hs_tls_session_create(again, 0) : NULL;
    r = r == 0 && !session ? HS_ENOMEM : r;
    hs_tls_session_free(session);
    hs_tls_context_free(again);
    return r;
}

static void test_memory(void **state)
{
    (void) state;
    hs_alloc_watch_leaks();
    assert_true(hs_fail_each_allocation(load_again, NULL) >= 4);
    hs_tls_context_free(NULL);
    hs_tls_session_free(NULL);
}

static void test_messages(void **state)
{
    struct hs_tls_context *none;
    char expected[200];
    (void) state;
    assert_int_equal(hs_tls_context_load("/none", key_path, &none, &err), HS_ENOTFOUND);
    assert_true(hs_str_starts(err.message, "server.tls_certificate: "));
    assert_int_equal(hs_tls_context_load(certificate_path, "/none", &none, &err), HS_ENOTFOUND);
    assert_true(hs_str_starts(err.message, "server.tls_key: "));
    assert_int_equal(hs_tls_context_load(key_path, key_path, &none, &err), HS_EINVAL);
    hs_str_format(expected, sizeof(expected), "server.tls_certificate: %s does not contain a PEM certificate",
                  key_path);
    assert_string_equal(err.message, expected);
    write_certificate(3, -7200, -3600);
    assert_int_equal(hs_tls_context_load(certificate_path, key_path, &none, &err), HS_EINVAL);
    assert_non_null(strstr(err.message, " expired on "));
    write_certificate(4, 3600, 7200);
    assert_int_equal(hs_tls_context_load(certificate_path, key_path, &none, &err), 0);
    assert_true(hs_tls_context_expires(none) - hs_tls_context_begins(none) == 3600);
    hs_tls_context_free(none);
    chmod(key_path, 0644);
    assert_int_equal(hs_tls_context_load(certificate_path, key_path, &none, &err), HS_EFORBIDDEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_exchange, make_context, free_context),
        cmocka_unit_test_setup_teardown(test_long_reads, make_context, free_context),
        cmocka_unit_test_setup_teardown(test_blocked_writes, make_context, free_context),
        cmocka_unit_test_setup_teardown(test_write_that_is_not_repeated, make_context, free_context),
        cmocka_unit_test_setup_teardown(test_ends, make_context, free_context),
        cmocka_unit_test_setup_teardown(test_write_after_close, make_context, free_context),
        cmocka_unit_test_setup_teardown(test_garbage, make_context, free_context),
        cmocka_unit_test_setup_teardown(test_key_updates, make_context, free_context),
        cmocka_unit_test_setup_teardown(test_session_keeps_its_certificate, make_context, free_context),
        cmocka_unit_test_setup_teardown(test_memory, make_context, free_context),
        cmocka_unit_test_setup_teardown(test_messages, make_context, free_context),
    };
    return HS_RUN_TESTS(tests);
}
