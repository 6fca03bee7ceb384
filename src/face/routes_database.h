/* The handlers of /v1/database. */
#ifndef HS_FACE_ROUTES_DATABASE_H
#define HS_FACE_ROUTES_DATABASE_H

struct hs_http_request;

void hs_face_post_add(struct hs_http_request *req);
void hs_face_post_remove(struct hs_http_request *req);
void hs_face_post_verify(struct hs_http_request *req);
void hs_face_get_list(struct hs_http_request *req);
void hs_face_get_identity(struct hs_http_request *req);
void hs_face_delete_identity(struct hs_http_request *req);

#endif
