#include "service/wish.h"

#include "http/param.h"

enum { KEEP_ALIVE_MAX_S = 31536000 };

int hs_wish_read(struct hs_http_request *req, struct hs_wish *ret_wish, const char **ret_field, struct hs_error *err)
{
    const struct hs_body *body = hs_http_body(req);
    *ret_wish = (struct hs_wish) { .has_keep_alive = hs_body_has(body, "keep_alive") };
    int r = hs_http_read_timeout(req, ret_field, err);
    if (r == 0)
        r = hs_param_seconds(body, *ret_field = "keep_alive", 0, KEEP_ALIVE_MAX_S, true, -1, &ret_wish->keep_alive_s,
                             err);
    if (r == 0)
        r = hs_param_string(body, *ret_field = "model", NULL, &ret_wish->model, err);
    return r;
}

int hs_wish_take(const struct hs_wish *wish, struct hs_fleets *fleets, double keep_alive_s, struct hs_fleet **ret_fleet,
                 struct hs_error *err)
{
    int r = hs_fleets_take(fleets, wish->model, ret_fleet, err);
    if (r == 0)
        hs_fleet_set_keep_alive(*ret_fleet, wish->has_keep_alive ? wish->keep_alive_s : keep_alive_s);
    return r;
}
