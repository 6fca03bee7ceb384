/* What a request may say about how it is served, in every service. */
#ifndef HS_SERVICE_WISH_H
#define HS_SERVICE_WISH_H

#include "http/request.h"
#include "service/fleets.h"

/* Fields of a form that are read here, for a route's spec. */
#define HS_WISH_FIELDS "model", "keep_alive", "timeout"

struct hs_wish {
    const char *model; /* NULL: the configured one. Borrowed from the body */
    bool has_keep_alive;
    double keep_alive_s; /* -1: for good */
};

/* Reads `model`, `keep_alive` and `timeout` (seconds, as the X-Request-Timeout header) from the body, and shortens the
 * request's deadline. HS_EINVAL; *ret_field is the one that is wrong. */
int hs_wish_read(struct hs_http_request *req, struct hs_wish *ret_wish, const char **ret_field, struct hs_error *err);

/* The fleet to be used, which is told how long to stay loaded: as asked for, else `keep_alive_s`. The caller gives it
 * back to `fleets`. Errors of hs_fleets_take. */
int hs_wish_take(const struct hs_wish *wish, struct hs_fleets *fleets, double keep_alive_s, struct hs_fleet **ret_fleet,
                 struct hs_error *err);

#endif
