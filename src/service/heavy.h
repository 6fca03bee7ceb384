/* Requests that may hold their worker for long: is_heavy of a program's routes (http/route.h). */
#ifndef HS_SERVICE_HEAVY_H
#define HS_SERVICE_HEAVY_H

#include <stdbool.h>

struct hs_http_request;

/* True if the request has more than two pictures, or one that is large (hs_image_is_large) or whose size does not stand
 * where it belongs. Such a one is either made to be slow or wrong, and then no loss if its answer comes later. */
bool hs_heavy_pictures(struct hs_http_request *req);

/* True for each request of the route. */
bool hs_heavy_always(struct hs_http_request *req);

#endif
