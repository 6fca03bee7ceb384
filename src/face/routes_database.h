/* The handlers of /v1/database. */
#ifndef HS_FACE_ROUTES_DATABASE_H
#define HS_FACE_ROUTES_DATABASE_H

struct hs_http_request;

/* routes_add.c */
void hs_face_post_add(struct hs_http_request *req);

/* routes_database.c */
void hs_face_post_remove(struct hs_http_request *req);
void hs_face_post_verify(struct hs_http_request *req);
void hs_face_get_list(struct hs_http_request *req);

/* routes_identity.c: /v1/database/identities/{name} and what is below it */
void hs_face_get_identity(struct hs_http_request *req);
void hs_face_put_identity(struct hs_http_request *req);
void hs_face_delete_identity(struct hs_http_request *req);
void hs_face_get_embeddings(struct hs_http_request *req);
void hs_face_get_embedding(struct hs_http_request *req);
void hs_face_delete_embedding(struct hs_http_request *req);

#endif
