/* A request between its headers and its body: whether it is let in, and the parser of its body. For the files of the
 * server itself, except the last function. */
#ifndef HS_HTTP_ADMISSION_H
#define HS_HTTP_ADMISSION_H

#include "base/budget.h"
#include "hs/status.h"
#include "http/body.h"
#include "http/route.h"

struct hs_http_request;

/* Adds what every answer to a page of another origin carries (https://fetch.spec.whatwg.org/#http-cors-protocol). Once,
 * when the headers were read. */
void hs_admission_begin(struct hs_http_request *req);

/* HS_EFORBIDDEN: the route's flags keep this client out (http/access.h) */
int hs_admission_check(const struct hs_http_request *req, const struct hs_http_route *route, struct hs_error *err);

/* Makes the parser of the body that the headers announce; texts that go with a picture come from the query. As
 * hs_body_create, and HS_EUNSUPPORTED for a Content-Encoding that is not taken. */
int hs_admission_create_body(struct hs_http_request *req, enum hs_body_rule rule, const struct hs_body_spec *spec,
                             struct hs_budget *budget, struct hs_body **ret_body, struct hs_error *err);

/* Answers a request that has no handler or was not let in. HS_EMETHOD: `allow` is the value of Allow, and the answer to
 * OPTIONS is 204. */
void hs_admission_refuse(struct hs_http_request *req, int code, const char *allow, const struct hs_error *err);

/* HS_EFORBIDDEN if the client may not do what is for the administrator. For handlers. */
int hs_http_check_admin(const struct hs_http_request *req, struct hs_error *err);

#endif
