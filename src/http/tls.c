/* OpenSSL is already part of both programs through libcurl, so TLS adds no library. GnuTLS would be a second
 * implementation in the process.
 *
 * OpenSSL reads no further than the record that it needs (no read-ahead). So after a read that would block, the rest of
 * the record is still in the socket or on its way, and epoll reports it. Without AUTO_RETRY, a record without data (a
 * key update) ends the read, so that a client that sends many of them does not occupy the network thread. */
#include "http/tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    PEM_MAX = 1 << 20,
    WRITE_MAX = 256 << 10, /* per call, so that encrypting a large response does not occupy the network thread */
    CHAIN_MAX = 16,
};

struct hs_tls_context {
    SSL_CTX *ssl;
    int64_t begins_s, expires_s;
};

struct hs_tls_session {
    SSL *ssl;
    int fd;
    bool wants_write, socket_ended;
    int failed;        /* errno of the error that ended the session; 0: none */
    const char *error; /* the reason, a constant of OpenSSL */
    size_t retry;      /* length of the write that would have blocked and must be repeated; 0: none */
};

/* ---- The socket below OpenSSL ---- */

/* OpenSSL's own BIO for sockets raises SIGPIPE. */
static int read_socket(BIO *bio, char *dst, int len)
{
    struct hs_tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = recv(session->fd, dst, (size_t) len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        BIO_set_retry_read(bio);
    session->socket_ended |= n == 0;
    return (int) n;
}

static int write_socket(BIO *bio, const char *data, int len)
{
    const struct hs_tls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = send(session->fd, data, (size_t) len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        BIO_set_retry_write(bio);
    return (int) n;
}

static long control_socket(BIO *bio, int command, long number, void *arg)
{
    const struct hs_tls_session *session = BIO_get_data(bio);
    (void) number;
    (void) arg;
    if (command == BIO_CTRL_EOF)
        return session->socket_ended;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *socket_method;

static void make_socket_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hailo socket");
    if (method && BIO_meth_set_read(method, read_socket) && BIO_meth_set_write(method, write_socket) &&
        BIO_meth_set_ctrl(method, control_socket))
        socket_method = method;
    else
        BIO_meth_free(method);
}

/* ---- Certificate and key ---- */

/* Puts the name of the setting in front of the message. */
static int name_setting(struct hs_error *err, const char *setting)
{
    struct hs_error cause = *err;
    return hs_error_set(err, cause.code, "%s: %s", setting, cause.message);
}

/* Fails with the newest error of OpenSSL, which names the cause ("ee key too small"). */
static int refuse(struct hs_error *err, const char *setting, const char *source, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return hs_error_set(err, HS_EINVAL, "%s: %s %s%s%s", setting, source, what, reason ? ": " : "",
                        reason ? reason : "");
}

/* A certificate is public, so anyone may be able to read its file. */
static int read_certificate(const char *source, struct hs_buf *ret, struct hs_error *err)
{
    uint8_t *data;
    size_t len;
    if (hs_str_starts(source, "credential:"))
        return hs_credential_read(source, PEM_MAX, ret, err);
    int r = hs_file_read(source, PEM_MAX, &data, &len, err);
    if (r < 0)
        return r;
    hs_buf_init(ret, PEM_MAX);
    r = hs_buf_append(ret, data, len);
    free(data);
    return r < 0 ? hs_error_set(err, r, "no memory for the certificate") : 0;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm;
    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t) timegm(&tm) : 0;
}

static int check_times(struct hs_tls_context *context, const X509 *certificate, const char *source,
                       struct hs_error *err)
{
    char date[HS_TIME_SIZE];
    context->begins_s = seconds_of(X509_get0_notBefore(certificate));
    context->expires_s = seconds_of(X509_get0_notAfter(certificate));
    if (context->expires_s >= hs_clock_wall_s())
        return 0;
    if (!hs_clock_format_utc(context->expires_s, HS_TIME_MINUTES, date, sizeof(date)))
        hs_str_copy(date, sizeof(date), "an unknown date");
    return hs_error_set(err, HS_EINVAL, "server.tls_certificate: %s expired on %s; renew it", source, date);
}

/* Reads the certificate and the ones after it, which lead to the authority that signed it. */
static int use_chain(struct hs_tls_context *context, BIO *text, const char *source, struct hs_error *err)
{
    static const char setting[] = "server.tls_certificate";
    X509 *certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
    if (!certificate) {
        ERR_clear_error();
        return refuse(err, setting, source, "does not contain a PEM certificate");
    }
    int r = check_times(context, certificate, source, err);
    if (r == 0 && SSL_CTX_use_certificate(context->ssl, certificate) != 1)
        r = refuse(err, setting, source, "cannot be used");
    X509_free(certificate);
    for (int i = 0; r == 0 && (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL)); i++) {
        if (i == CHAIN_MAX)
            r = hs_error_set(err, HS_EINVAL, "%s: %s has more than %d certificates", setting, source, CHAIN_MAX + 1);
        else if (SSL_CTX_add1_chain_cert(context->ssl, certificate) != 1)
            r = refuse(err, setting, source, "has a chain that cannot be used");
        X509_free(certificate);
    }
    unsigned long last = ERR_peek_last_error();
    if (r == 0 && last != 0 && ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
        r = refuse(err, setting, source, "has a damaged certificate");
    ERR_clear_error();
    return r;
}

/* Called for the passphrase of an encrypted key, which a service cannot ask for. */
static int no_passphrase(char *dst, int size, int writing, void *asked)
{
    (void) dst;
    (void) size;
    (void) writing;
    *(bool *) asked = true;
    return -1;
}

static int use_key(struct hs_tls_context *context, BIO *text, const char *source, const char *certificate,
                   struct hs_error *err)
{
    static const char setting[] = "server.tls_key";
    bool asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, no_passphrase, &asked);
    int r = 0;
    if (!key) {
        ERR_clear_error();
        return refuse(err, setting, source,
                      asked ? "is protected by a passphrase; remove it with `openssl pkey`"
                            : "does not contain a PEM private key");
    }
    const X509 *own = SSL_CTX_get0_certificate(context->ssl);
    if (X509_check_private_key(own, key) != 1) {
        ERR_clear_error();
        r = hs_error_set(err, HS_EINVAL, "%s: %s is not the key of the certificate %s", setting, source, certificate);
    } else if (SSL_CTX_use_PrivateKey(context->ssl, key) != 1) {
        r = refuse(err, setting, source, "cannot be used");
    }
    EVP_PKEY_free(key);
    ERR_clear_error();
    return r;
}

/* ---- Contexts ---- */

/* A client that offers only other protocols (h2) gets the alert of RFC 7301, 3.2. */
static int select_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *offered,
                           unsigned int len, void *arg)
{
    static const unsigned char own[] = "\x08http/1.1";
    unsigned char *chosen;
    (void) ssl;
    (void) arg;
    if (SSL_select_next_proto(&chosen, ret_len, own, sizeof(own) - 1, offered, len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* The ciphers of Mozilla's "intermediate" profile without DHE: forward secrecy and authenticated encryption only.
 * Sessions are resumed by tickets alone, so the server keeps no memory for clients that left. */
static bool set_up(SSL_CTX *ssl)
{
    static const unsigned char name[] = "hailo";
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(ssl, select_protocol, NULL);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1 && SSL_CTX_set_num_tickets(ssl, 1) == 1 &&
           SSL_CTX_set_session_id_context(ssl, name, sizeof(name) - 1) == 1 &&
           SSL_CTX_set_cipher_list(ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1;
}

static int load(struct hs_tls_context *context, const char *certificate, const char *key, struct hs_error *err)
{
    struct hs_buf text;
    int r = read_certificate(certificate, &text, err);
    if (r < 0)
        return name_setting(err, "server.tls_certificate");
    BIO *bio = BIO_new_mem_buf(text.len ? (const void *) text.data : "", (int) text.len);
    r = bio ? use_chain(context, bio, certificate, err) : hs_error_set(err, HS_ENOMEM, "no memory for the certificate");
    BIO_free(bio);
    hs_buf_finish(&text);
    if (r < 0)
        return r;
    r = hs_credential_read(key, PEM_MAX, &text, err);
    if (r < 0)
        return name_setting(err, "server.tls_key");
    bio = BIO_new_mem_buf(text.len ? (const void *) text.data : "", (int) text.len);
    r = bio ? use_key(context, bio, key, certificate, err) : hs_error_set(err, HS_ENOMEM, "no memory for the key");
    BIO_free(bio);
    hs_buf_finish(&text);
    return r;
}

int hs_tls_context_load(const char *certificate, const char *key, struct hs_tls_context **ret, struct hs_error *err)
{
    struct hs_tls_context *context = calloc(1, sizeof(*context));
    int r = 0;
    ERR_clear_error();
    if (context)
        context->ssl = SSL_CTX_new(TLS_server_method());
    if (!context || !context->ssl || !set_up(context->ssl))
        r = hs_error_set(err, HS_ENOMEM, "cannot initialise TLS");
    if (r == 0)
        r = load(context, certificate, key, err);
    if (r < 0)
        hs_tls_context_free(context);
    else
        *ret = context;
    return r;
}

void hs_tls_context_free(struct hs_tls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->ssl); /* sessions hold their own references */
    free(context);
}

int64_t hs_tls_context_expires(const struct hs_tls_context *context)
{
    return context->expires_s;
}

int64_t hs_tls_context_begins(const struct hs_tls_context *context)
{
    return context->begins_s;
}

/* ---- Sessions ---- */

struct hs_tls_session *hs_tls_session_create(struct hs_tls_context *context, int fd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_socket_method);
    struct hs_tls_session *session = calloc(1, sizeof(*session));
    BIO *bio = session && socket_method ? BIO_new(socket_method) : NULL;
    SSL *ssl = bio ? SSL_new(context->ssl) : NULL;
    if (!ssl) {
        BIO_free(bio);
        free(session);
        ERR_clear_error();
        return NULL;
    }
    session->ssl = ssl;
    session->fd = fd;
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    return session;
}

void hs_tls_session_free(struct hs_tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->ssl);
    free(session);
}

/* Ends the session. Sets errno, and returns -1. */
static ssize_t fail(struct hs_tls_session *session, int number)
{
    unsigned long last = ERR_peek_last_error();
    session->error = last ? ERR_reason_error_string(last) : NULL;
    session->failed = number;
    session->wants_write = false;
    ERR_clear_error();
    errno = number;
    return -1;
}

/* Handles a call that returned no bytes. */
static ssize_t explain(struct hs_tls_session *session, bool reading)
{
    int error = SSL_get_error(session->ssl, 0), saved = errno;
    session->wants_write = error == SSL_ERROR_WANT_WRITE;
    if (error == SSL_ERROR_WANT_READ ? reading : error == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
        return -1;
    }
    if (error == SSL_ERROR_ZERO_RETURN && reading)
        return 0;
    if (error == SSL_ERROR_SYSCALL)
        return fail(session, saved != 0 && saved != EAGAIN ? saved : ECONNRESET);
    return fail(session, EPROTO);
}

ssize_t hs_tls_session_read(struct hs_tls_session *session, void *dst, size_t len)
{
    size_t total = 0, n;
    ssize_t r = 0;
    if (session->failed) {
        errno = session->failed;
        return -1;
    }
    while (total < len) {
        ERR_clear_error();
        errno = 0;
        if (SSL_read_ex(session->ssl, (uint8_t *) dst + total, len - total, &n) != 1) {
            r = explain(session, true);
            break;
        }
        session->wants_write = false;
        total += n;
    }
    return total > 0 ? (ssize_t) total : r;
}

/* Returns up to HS_TLS_RECORD bytes of the pieces, from `skip` on: in place, or copied if several pieces have them.
 */
static const uint8_t *gather(const struct iovec *pieces, size_t count, size_t skip, uint8_t *space, size_t *ret_len)
{
    size_t i = 0, len = 0;
    while (i < count && skip >= pieces[i].iov_len)
        skip -= pieces[i++].iov_len;
    *ret_len = 0;
    if (i == count)
        return space;
    const uint8_t *first = (const uint8_t *) pieces[i].iov_base + skip;
    size_t left = pieces[i].iov_len - skip;
    if (left >= HS_TLS_RECORD || i + 1 == count) {
        *ret_len = left < HS_TLS_RECORD ? left : HS_TLS_RECORD;
        return first;
    }
    for (; i < count && len < HS_TLS_RECORD; i++, skip = 0) {
        size_t part = pieces[i].iov_len - skip, room = HS_TLS_RECORD - len;
        part = part < room ? part : room;
        if (part > 0)
            memcpy(space + len, (const uint8_t *) pieces[i].iov_base + skip, part);
        len += part;
    }
    *ret_len = len;
    return space;
}

ssize_t hs_tls_session_write(struct hs_tls_session *session, const struct iovec *pieces, size_t count,
                             uint8_t space[HS_TLS_RECORD])
{
    size_t total = 0, n, len;
    ssize_t r = 0;
    if (session->failed) {
        errno = session->failed;
        return -1;
    }
    while (total < WRITE_MAX) {
        const uint8_t *data = gather(pieces, count, total, space, &len);
        if (len == 0)
            break;
        if (session->retry > len) /* the caller has not repeated its bytes */
            return fail(session, EPROTO);
        len = session->retry > 0 ? session->retry : len;
        ERR_clear_error();
        errno = 0;
        if (SSL_write_ex(session->ssl, data, len, &n) != 1) {
            session->retry = len;
            r = explain(session, false);
            break;
        }
        session->retry = 0;
        session->wants_write = false;
        total += n;
    }
    return total > 0 ? (ssize_t) total : r;
}

bool hs_tls_session_has_input(const struct hs_tls_session *session)
{
    return session->failed || SSL_pending(session->ssl) > 0 || SSL_get_shutdown(session->ssl) & SSL_RECEIVED_SHUTDOWN;
}

bool hs_tls_session_wants_write(const struct hs_tls_session *session)
{
    return session->wants_write;
}

bool hs_tls_session_is_established(const struct hs_tls_session *session)
{
    return SSL_is_init_finished(session->ssl);
}

const char *hs_tls_session_error(const struct hs_tls_session *session)
{
    return session->error ? session->error : "connection lost";
}

void hs_tls_session_end(struct hs_tls_session *session)
{
    if (session->failed || session->retry > 0 || !SSL_is_init_finished(session->ssl))
        return;
    SSL_shutdown(session->ssl);
    ERR_clear_error();
}
