/* The HTTP API of the pose service. */
#ifndef HS_POSE_ROUTES_H
#define HS_POSE_ROUTES_H

#include <stddef.h>

#include "http/route.h"

/* Handlers find a struct hs_pose_app (pose/app.h) as the server's context. */
extern const struct hs_http_route hs_pose_routes[];
extern const size_t hs_pose_route_count;

#endif
