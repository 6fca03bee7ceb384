/* Status codes, and the error record with the detail of a failure. Functions that can fail return 0 or a negative HS_E…
 * code and write detail to a struct hs_error that the caller owns. */
#ifndef HS_STATUS_H
#define HS_STATUS_H

/* name, value, error code in answers, HTTP status of a request that fails with it, enum hs_recovery
 *
 * Codes that a backend returns for its device. ENODEVICE: no device is present. EINUSE: another program has exclusive
 * use of it. EVERSION: the versions of driver, firmware and library do not match. EMODEL: the model file cannot run on
 * it. ENOMEM: the device or this machine is out of memory. EBUSY: its queue is full. ETRANSIENT: a retry is likely to
 * succeed. ELOST: the device is lost with all loaded models; close, open and load again. EDEVICE: any other, permanent
 * failure. */
#define HS_STATUS_MAP(X)                                                                                               \
    X(EINVAL, -1, "invalid_argument", 400, NONE)                                                                       \
    X(EMISSING, -2, "missing_field", 400, NONE)                                                                        \
    X(EDECODE, -3, "undecodable", 400, NONE)                                                                           \
    X(EUNAUTHORIZED, -4, "unauthorized", 401, NONE)                                                                    \
    X(EFORBIDDEN, -5, "forbidden", 403, NONE)                                                                          \
    X(ENOTFOUND, -6, "not_found", 404, NONE)                                                                           \
    X(EMETHOD, -7, "method_not_allowed", 405, NONE)                                                                    \
    X(ESLOW, -8, "request_timeout", 408, NONE)                                                                         \
    X(ECONFLICT, -9, "conflict", 409, NONE)                                                                            \
    X(ETOOLARGE, -10, "too_large", 413, NONE)                                                                          \
    X(EUNSUPPORTED, -11, "unsupported_media_type", 415, NONE)                                                          \
    X(ERATE, -12, "too_many_requests", 429, NONE)                                                                      \
    X(EHEADERS, -13, "headers_too_large", 431, NONE)                                                                   \
    X(ECANCELED, -14, "cancelled", 499, NONE)                                                                          \
    X(EINTERNAL, -15, "internal", 500, FAILOVER)                                                                       \
    X(EIO, -16, "io", 500, FAILOVER)                                                                                   \
    X(EMODEL, -17, "bad_model", 500, FAILOVER)                                                                         \
    X(EDEVICE, -18, "device", 500, FAILOVER)                                                                           \
    X(EVERSION, -19, "version_mismatch", 500, FAILOVER)                                                                \
    X(ENOMEM, -20, "out_of_memory", 503, FAILOVER)                                                                     \
    X(EBUSY, -21, "busy", 503, NONE)                                                                                   \
    X(ENOTREADY, -22, "not_ready", 503, FAILOVER)                                                                      \
    X(ELOST, -23, "device_lost", 503, REOPEN)                                                                          \
    X(ETIMEOUT, -24, "timeout", 504, NONE)                                                                             \
    X(ENODEVICE, -25, "no_device", 503, FAILOVER)                                                                      \
    X(EINUSE, -26, "device_in_use", 503, FAILOVER)                                                                     \
    X(ETRANSIENT, -27, "transient", 503, RETRY)                                                                        \
    X(EREFUSED, -28, "refused", 422, NONE)                                                                             \
    X(EURI, -31, "uri_too_long", 414, NONE)                                                                            \
    X(EEXPECT, -32, "expectation_failed", 417, NONE)                                                                   \
    X(EUNIMPLEMENTED, -33, "not_implemented", 501, NONE)                                                               \
    X(EHTTPVERSION, -34, "http_version_not_supported", 505, NONE)                                                      \
    X(EKEY, -35, "key_unavailable", 503, NONE)

/* Recovery after a failed run. NONE: no recovery; the request is invalid, timed out or refused. RETRY: run on the same
 * device again after a pause. FAILOVER: run on another device or on the fallback. REOPEN: as FAILOVER, and the device
 * is down until it is opened and loaded again. All except NONE count as failures of the device. */
enum hs_recovery { HS_RECOVERY_NONE, HS_RECOVERY_RETRY, HS_RECOVERY_FAILOVER, HS_RECOVERY_REOPEN };

enum hs_status {
    HS_OK = 0,
#define HS_STATUS_ENUM(name, value, code, http, recovery) HS_##name = value,
    HS_STATUS_MAP(HS_STATUS_ENUM)
#undef HS_STATUS_ENUM
};

enum { HS_ERROR_MESSAGE_SIZE = 512 };

/* Detail of a failure. `code` is the HS_E… that the function returned; `line` is the 1-based line if a parser failed,
 * else 0. The message is one line of UTF-8 without a final full stop. */
struct hs_error {
    int code;
    int line;
    char message[HS_ERROR_MESSAGE_SIZE];
};

/* Fills *err (which may be NULL) and returns `code`, so that `return hs_error_set(err, HS_EINVAL, …)` reads well.
 * A message that does not fit is cut. Any thread. */
int hs_error_set(struct hs_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Separates a message from detail that is for the administrator only, such as the text of a library or SQL:
 * hs_error_set(err, HS_EIO, "the gallery cannot be read" HS_DETAIL "%s", text). */
#define HS_DETAIL "; detail: "

/* Copies a message for clients of a service: without the detail after HS_DETAIL, and with file names instead of
 * absolute paths. Logs and command lines show err->message. Any thread. */
void hs_error_public(const char *message, char ret_text[HS_ERROR_MESSAGE_SIZE]);

/* Returns the error code as in answers, such as "invalid_argument"; "ok" for 0, "internal" for an unknown code. Never
 * NULL. */
const char *hs_status_name(int code);

/* Returns HS_RECOVERY_NONE for 0, HS_RECOVERY_FAILOVER for an unknown code. */
enum hs_recovery hs_status_recovery(int code);

/* Returns the HTTP status of a code; 200 for 0, 500 for an unknown code. */
int hs_status_http(int code);

#endif
