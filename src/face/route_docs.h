/* The fields of hailo-face's requests, and the descriptions of its routes (http/route_doc.h). */
#ifndef HS_FACE_ROUTE_DOCS_H
#define HS_FACE_ROUTE_DOCS_H

#include "http/route_doc.h"

/* Fields. `name`, `metadata`, `expires_at`, `bbox` and `threshold` have readers of their own (face/request_params.h).
 */
extern const struct hs_field hs_face_field_recognition_model, hs_face_field_return_landmarks, hs_face_field_max_faces,
    hs_face_field_tiny_faces, hs_face_field_large_faces, hs_face_field_bbox, hs_face_field_threshold,
    hs_face_field_min_margin, hs_face_field_candidates, hs_face_field_name, hs_face_field_metadata, hs_face_field_gate,
    hs_face_field_dry_run, hs_face_field_purge_backups, hs_face_field_expires_at;

/* Arguments of the query, and a header. */
extern const struct hs_field hs_face_query_vector, hs_face_query_limit, hs_face_query_page, hs_face_query_cursor,
    hs_face_header_key;

/* The fields of the routes, for struct hs_body_spec. */
extern const struct hs_field *const hs_face_detect_fields[],
    *const hs_face_detect_batch_fields[],
        *const hs_face_embed_fields[], *const hs_face_recognize_fields[],
                                           *const hs_face_recognize_batch_fields[],
                                               *const hs_face_compare_fields[],
                                                   *const hs_face_add_fields[], *const hs_face_verify_fields[],
                                                                                    *const hs_face_remove_fields[],
                                                                                        *const hs_face_update_fields[];

extern const struct hs_route_doc hs_face_doc_health, hs_face_doc_detect, hs_face_doc_detect_batch, hs_face_doc_embed,
    hs_face_doc_recognize, hs_face_doc_recognize_batch, hs_face_doc_compare, hs_face_doc_add, hs_face_doc_remove,
    hs_face_doc_verify, hs_face_doc_list, hs_face_doc_identities, hs_face_doc_get_identity, hs_face_doc_put_identity,
    hs_face_doc_delete_identity, hs_face_doc_embeddings, hs_face_doc_get_embedding, hs_face_doc_delete_embedding;

#endif
