/* Descriptions (http/route_doc.h) of the routes in HS_APP_ROUTES, and of parts that several routes share. */
#ifndef HS_SERVICE_ROUTE_DOCS_H
#define HS_SERVICE_ROUTE_DOCS_H

#include "http/route_doc.h"

extern const struct hs_route_doc hs_route_doc_openapi, hs_route_doc_ready, hs_route_doc_metrics;
extern const struct hs_route_doc hs_route_doc_models, hs_route_doc_load, hs_route_doc_unload, hs_route_doc_pull;

/* The query of /v1/models. */
extern const struct hs_field hs_field_all_models;

/* Objects of responses. */
extern const struct hs_object_doc hs_object_warning, hs_object_device, hs_object_batch_counts, hs_object_health_status;

/* Errors in the two shapes of enum hs_http_error_shape, and of a client that prefers application/problem+json. */
extern const struct hs_object_doc hs_object_error, hs_object_error_text, hs_object_problem;

/* Members of responses. */
#define HS_WARNINGS_MEMBER                                                                                             \
    { .name = "warnings",                                                                                              \
      .type = HS_MEMBER_OBJECT,                                                                                        \
      .flags = HS_MEMBER_OPTIONAL | HS_MEMBER_ARRAY,                                                                   \
      .object = &hs_object_warning,                                                                                    \
      .help = "Only if there are any" }

/* Members that /health of each program ends with (hs_app_add_devices). */
#define HS_DEVICE_MEMBERS                                                                                              \
    { .name = "device", .help = "The device that runs the network now: `cpu`, `hailo` or `sim`" },                     \
        { .name = "degraded",                                                                                          \
          .type = HS_MEMBER_BOOLEAN,                                                                                   \
          .help = "True while the processor replaces a device that is down (`device.fallback: cpu`)" },                \
        { .name = "detail",                                                                                            \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "Only while a device is down, or unused because it has no model file: the reason, even if the "      \
                  "fallback works" },                                                                                  \
        { .name = "no_fallback",                                                                                       \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "Only if the fallback is configured but impossible: the reason" },                                   \
        { .name = "devices",                                                                                           \
          .type = HS_MEMBER_OBJECT,                                                                                    \
          .flags = HS_MEMBER_OPTIONAL | HS_MEMBER_ARRAY,                                                               \
          .object = &hs_object_device,                                                                                 \
          .help = "Only if accelerators are in use and report their health, at most ten seconds old" },                \
        HS_WARNINGS_MEMBER

#define HS_INDEX_MEMBERS                                                                                               \
    { .name = "index", .type = HS_MEMBER_INTEGER, .help = "The position of the picture in the request, from 0" },      \
        { .name = "id",                                                                                                \
          .type = HS_MEMBER_ID,                                                                                        \
          .flags = HS_MEMBER_OPTIONAL,                                                                                 \
          .help = "The `id` that came with the picture" }

/* The second response of /health. */
#define HS_HEALTH_WITHOUT_KEY                                                                                          \
    { .status = 200,                                                                                                   \
      .object = &hs_object_health_status,                                                                              \
      .help = "To a client without an API key, if the service needs one: `status` alone" }

/* Fields of every route that runs a model, for .headers. */
extern const struct hs_field *const hs_headers_timeout[];

/* The help of a batch's responses. */
#define HS_BATCH_HELP                                                                                                  \
    "A result for each picture, in their order. The status is 200 even if every picture failed; another status means " \
    "that the request itself is wrong"
#define HS_LINES_HELP                                                                                                  \
    "Each result is a line, sent when it and all earlier results are done. The last line has the counts; a response "  \
    "without it is incomplete"

#endif
