/* Status codes and the error record that travels beside them. Everything that can fail returns 0 or a negative
 * HS_E… code; detail goes into a struct hs_error that the caller owns. */
#ifndef HS_STATUS_H
#define HS_STATUS_H

/* name, value, the code that a client sees, the HTTP status that a request failing with it gets, enum hs_recovery
 *
 * What a backend says of its device, by what mends it: ENODEVICE there is none; EINUSE another program has it for
 * itself; EVERSION driver, firmware and library do not fit together; EMODEL this file cannot run on it; ENOMEM it, or
 * this machine, has no memory left; EBUSY its queue is full; ETRANSIENT the same once more will do; ELOST it went away
 * and all that was loaded with it: close, open and load again; EDEVICE anything else, which stays. */
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
    X(EINTERNAL, -15, "internal", 500, ELSEWHERE)                                                                      \
    X(EIO, -16, "io", 500, ELSEWHERE)                                                                                  \
    X(EMODEL, -17, "bad_model", 500, ELSEWHERE)                                                                        \
    X(EDEVICE, -18, "device", 500, ELSEWHERE)                                                                          \
    X(EVERSION, -19, "version_mismatch", 500, ELSEWHERE)                                                               \
    X(ENOMEM, -20, "out_of_memory", 503, ELSEWHERE)                                                                    \
    X(EBUSY, -21, "busy", 503, NONE)                                                                                   \
    X(ENOTREADY, -22, "not_ready", 503, ELSEWHERE)                                                                     \
    X(ELOST, -23, "device_lost", 503, REOPEN)                                                                          \
    X(ETIMEOUT, -24, "timeout", 504, NONE)                                                                             \
    X(ENODEVICE, -25, "no_device", 503, ELSEWHERE)                                                                     \
    X(EINUSE, -26, "device_in_use", 503, ELSEWHERE)                                                                    \
    X(ETRANSIENT, -27, "transient", 503, RETRY)                                                                        \
    X(EREFUSED, -28, "refused", 422, NONE)                                                                             \
    X(EURI, -31, "uri_too_long", 414, NONE)                                                                            \
    X(EEXPECT, -32, "expectation_failed", 417, NONE)                                                                   \
    X(EUNIMPLEMENTED, -33, "not_implemented", 501, NONE)                                                               \
    X(EHTTPVERSION, -34, "http_version_not_supported", 505, NONE)

/* What may help if a run fails. NONE: nothing, the request itself is at fault, out of time or refused. RETRY: the same
 * device again, after a pause. ELSEWHERE: another device, or the fallback. REOPEN: the same, and the device is down
 * until it was opened and loaded again. All but NONE count as failures of the device. */
enum hs_recovery { HS_RECOVERY_NONE, HS_RECOVERY_RETRY, HS_RECOVERY_ELSEWHERE, HS_RECOVERY_REOPEN };

enum hs_status {
    HS_OK = 0,
#define HS_STATUS_ENUM(name, value, code, http, recovery) HS_##name = value,
    HS_STATUS_MAP(HS_STATUS_ENUM)
#undef HS_STATUS_ENUM
};

enum { HS_ERROR_MESSAGE_SIZE = 512 };

/* Detail of a failure. `code` is the same HS_E… that the function returned; `line` is 1-based where a text was being
 * parsed, else 0. The message is one line of UTF-8 without a final full stop. */
struct hs_error {
    int code;
    int line;
    char message[HS_ERROR_MESSAGE_SIZE];
};

/* Fills *err (which may be NULL) and returns `code`, so that `return hs_error_set(err, HS_EINVAL, …)` reads well.
 * A message that does not fit is cut. Any thread. */
int hs_error_set(struct hs_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* In a message: what follows is the text of a library, SQL, or other detail that means something only to the
 * administrator: hs_error_set(err, HS_EIO, "the gallery cannot be read" HS_DETAIL "%s", text). */
#define HS_DETAIL "; detail: "

/* The message for clients of a service: without its detail, and with the names of files instead of their absolute
 * paths. Logs and command lines show err->message. Any thread. */
void hs_error_public(const char *message, char ret_text[HS_ERROR_MESSAGE_SIZE]);

/* "invalid_argument" and so on; "ok" for 0, "internal" for a code that is none of ours. Never NULL. */
const char *hs_status_name(int code);

/* NONE for 0, ELSEWHERE for a code that is none of ours. */
enum hs_recovery hs_status_recovery(int code);

/* The HTTP status of a code; 200 for 0, 500 for a code that is none of ours. */
int hs_status_http(int code);

#endif
