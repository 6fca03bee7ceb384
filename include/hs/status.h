/* Status codes and the error record that travels beside them. Everything that can fail returns 0 or a negative
 * HS_E… code; detail goes into a struct hs_error that the caller owns. */
#ifndef HS_STATUS_H
#define HS_STATUS_H

/* name, value, the code that a client sees, the HTTP status that a request failing with it gets
 *
 * What a backend says of its device, by what mends it: ENODEVICE there is none; EINUSE another program has it for
 * itself; EVERSION driver, firmware and library do not fit together; EMODEL this file cannot run on it; ENOMEM it, or
 * this machine, has no memory left; EBUSY its queue is full; ETRANSIENT the same once more will do; ELOST it went away
 * and all that was loaded with it: close, open and load again; EDEVICE anything else, which stays. */
#define HS_STATUS_MAP(X) \
    X(EINVAL, -1, "invalid_argument", 400) \
    X(EMISSING, -2, "missing_field", 400) \
    X(EDECODE, -3, "undecodable", 400) \
    X(EUNAUTHORIZED, -4, "unauthorized", 401) \
    X(EFORBIDDEN, -5, "forbidden", 403) \
    X(ENOTFOUND, -6, "not_found", 404) \
    X(EMETHOD, -7, "method_not_allowed", 405) \
    X(ESLOW, -8, "request_timeout", 408) \
    X(ECONFLICT, -9, "conflict", 409) \
    X(ETOOLARGE, -10, "too_large", 413) \
    X(EUNSUPPORTED, -11, "unsupported_media_type", 415) \
    X(ERATE, -12, "too_many_requests", 429) \
    X(EHEADERS, -13, "headers_too_large", 431) \
    X(ECANCELED, -14, "cancelled", 499) \
    X(EINTERNAL, -15, "internal", 500) \
    X(EIO, -16, "io", 500) \
    X(EMODEL, -17, "bad_model", 500) \
    X(EDEVICE, -18, "device", 500) \
    X(EVERSION, -19, "version_mismatch", 500) \
    X(ENOMEM, -20, "out_of_memory", 503) \
    X(EBUSY, -21, "busy", 503) \
    X(ENOTREADY, -22, "not_ready", 503) \
    X(ELOST, -23, "device_lost", 503) \
    X(ETIMEOUT, -24, "timeout", 504) \
    X(ENODEVICE, -25, "no_device", 503) \
    X(EINUSE, -26, "device_in_use", 503) \
    X(ETRANSIENT, -27, "transient", 503) \
    X(EREFUSED, -28, "refused", 422)

enum hs_status {
    HS_OK = 0,
#define HS_STATUS_ENUM(name, value, code, http) HS_##name = value,
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

/* "invalid_argument" and so on; "ok" for 0, "internal" for a code that is none of ours. Never NULL. */
const char *hs_status_name(int code);

/* The HTTP status of a code; 200 for 0, 500 for a code that is none of ours. */
int hs_status_http(int code);

#endif
