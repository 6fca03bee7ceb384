/* Handles a request between its headers and its body: decides if the server accepts it, and creates
 * the body parser. Only the server's own files use this header, except for the last function. */
#ifndef HS_HTTP_ADMISSION_H
#define HS_HTTP_ADMISSION_H

#include "base/budget.h"
#include "hs/status.h"
#include "http/body.h"
#include "http/route.h"

struct hs_http_request;

/* Adds the headers that every response to a page of another origin carries
 * (https://fetch.spec.whatwg.org/#http-cors-protocol). Call once, after the headers are read. */
void hs_admission_begin(struct hs_http_request *req);

/* Checks the API key and the rate of the client, and overwrites the key in the request's headers. `route` is
 * NULL if there is none. Adds the headers of the result. HS_EUNAUTHORIZED, HS_EFORBIDDEN, HS_ERATE. */
int hs_admission_authorize(struct hs_http_request *req, const struct hs_http_route *route, struct hs_error *err);

/* Returns true if a header may contain an API key. */
bool hs_admission_is_secret_header(const char *name);

/* Fails with HS_EFORBIDDEN if the route's flags exclude this client (http/access.h). */
int hs_admission_check(const struct hs_http_request *req, const struct hs_http_route *route, struct hs_error *err);

/* Creates the parser for the body that the headers announce. If the body is one picture, the query
 * supplies the text fields. Fails like hs_body_create, and with HS_EUNSUPPORTED for a
 * Content-Encoding that is not supported. */
int hs_admission_create_body(struct hs_http_request *req, enum hs_body_rule rule, const struct hs_body_spec *spec,
                             struct hs_budget *budget, struct hs_body **ret_body, struct hs_error *err);

/* Sends the response to a request that has no handler or was refused. For HS_EMETHOD, `allow` is
 * the value of the Allow header, and the response to OPTIONS is 204. */
void hs_admission_refuse(struct hs_http_request *req, int code, const char *allow, const struct hs_error *err);

/* Answers a request to a port that only redirects to https. */
void hs_admission_redirect(struct hs_http_request *req);

/* Fails with HS_EFORBIDDEN if the client is not an administrator. For handlers. */
int hs_http_check_admin(const struct hs_http_request *req, struct hs_error *err);

#endif
