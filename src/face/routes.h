/* The HTTP API of the face service. */
#ifndef HS_FACE_ROUTES_H
#define HS_FACE_ROUTES_H

#include <stddef.h>

#include "http/route.h"
#include "http/server.h"

/* Handlers find a struct hs_face_app (face/app.h) as the server's context. */
extern const struct hs_http_route hs_face_routes[];
extern const size_t hs_face_route_count;

/* Errors as {"error": text}, and JSON without spaces, members sorted: what clients of this API look for. */
void hs_face_shape(struct hs_http_options *ret_options);
void hs_face_shape_debug(struct hs_http_options *ret_options); /* with lines and spaces, for people */

#endif
