/* TLS 1.2 and 1.3 on the server's side of a connection, with OpenSSL.
 *
 * A context is a certificate with its key. A session is TLS on one nonblocking socket; it has the read and write
 * functions of a socket, so that connections are the same state machine with and without it. The handshake takes place
 * inside the first reads. Renegotiation and compression are off, and early data (0-RTT) is not accepted. */
#ifndef HS_HTTP_TLS_H
#define HS_HTTP_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "hs/status.h"

enum { HS_TLS_RECORD = 16 << 10 };

struct iovec;
struct hs_tls_context;
struct hs_tls_session;

/* Loads a PEM certificate, followed by its chain, and its PEM key. Each source is an absolute path or
 * "credential:NAME" (base/credential.h); only the key must be a file that others cannot read. Fails with HS_EINVAL if
 * the certificate or the key cannot be used: it is not PEM or expired, the two do not belong together, the key needs a
 * passphrase or is too weak. Fails like hs_credential_read. Messages begin with the setting. Any thread. Caller frees
 * with hs_tls_context_free, also while sessions use it. */
int hs_tls_context_load(const char *certificate, const char *key, struct hs_tls_context **ret, struct hs_error *err);
void hs_tls_context_free(struct hs_tls_context *context); /* NULL is allowed */

/* When the certificate expires and begins, in seconds since 1970. */
int64_t hs_tls_context_expires(const struct hs_tls_context *context);
int64_t hs_tls_context_begins(const struct hs_tls_context *context);

/* Starts TLS on a socket, which it borrows. Returns NULL if memory is exhausted. Only one thread may use a session. */
struct hs_tls_session *hs_tls_session_create(struct hs_tls_context *context, int fd);
void hs_tls_session_free(struct hs_tls_session *session); /* NULL is allowed */

/* As recv and sendmsg with MSG_DONTWAIT and MSG_NOSIGNAL. Reads as many bytes as fit and have arrived; 0: the client
 * has ended its side. -1 with errno EAGAIN: wait until the socket is readable, or also writable if
 * hs_tls_session_wants_write. Other errors end the session: EPROTO (see hs_tls_session_error), ECONNRESET, ENOMEM.
 * After a write that would block, the next one must begin with the same bytes. */
ssize_t hs_tls_session_read(struct hs_tls_session *session, void *dst, size_t len);
ssize_t hs_tls_session_write(struct hs_tls_session *session, const struct iovec *pieces, size_t count,
                             uint8_t space[HS_TLS_RECORD]);

/* Returns true if the next read returns at once, although the socket may be empty. */
bool hs_tls_session_has_input(const struct hs_tls_session *session);
bool hs_tls_session_wants_write(const struct hs_tls_session *session);
bool hs_tls_session_is_established(const struct hs_tls_session *session); /* the handshake is complete */

/* Returns the reason of EPROTO, for the log ("unsupported protocol"). */
const char *hs_tls_session_error(const struct hs_tls_session *session);

/* Sends close_notify, the mark that no more bytes follow, if that is possible without waiting. The caller then writes
 * nothing more. */
void hs_tls_session_end(struct hs_tls_session *session);

#endif
