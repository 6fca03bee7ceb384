/* Requests that may occupy a worker for long: is_heavy functions for route tables (http/route.h). */
#ifndef HS_SERVICE_HEAVY_H
#define HS_SERVICE_HEAVY_H

#include <stdbool.h>

struct hs_http_request;

/* Returns true if the request has more than two pictures, a large picture (hs_image_is_large), or
 * one whose size cannot be read from its header. Such a picture is invalid or crafted to be slow,
 * so a later answer does no harm. */
bool hs_heavy_pictures(struct hs_http_request *req);

/* Returns true for every request of the route. */
bool hs_heavy_always(struct hs_http_request *req);

#endif
