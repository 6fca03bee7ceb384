/* Checks of what may enter the gallery. The messages name the field. */
#ifndef HS_GALLERY_VALIDATE_H
#define HS_GALLERY_VALIDATE_H

#include <jansson.h>
#include <stdbool.h>

#include "gallery/gallery.h"

/* 0 or HS_EINVAL. */
int hs_gallery_check_name(const char *name, struct hs_error *err);                      /* see hs_gallery_clean_name */
int hs_gallery_check_metadata(const char *metadata, struct hs_error *err);              /* NULL is none, and good */
int hs_gallery_check_quality(const char *quality, struct hs_error *err);                /* the same */
int hs_gallery_check_time(const char *what, const char *time, struct hs_error *err);    /* the same */
int hs_gallery_check_space(const char *space, const char *model, struct hs_error *err); /* model: NULL is none */
int hs_gallery_check_embedding(const struct hs_gallery_new_embedding *embedding, struct hs_error *err);

/* 64 hexadecimal digits; `what` names the field. */
int hs_gallery_check_sha256(const char *what, const char *text, struct hs_error *err);

/* Finite and of length 1 within 1e-3, 1..HS_GALLERY_DIMENSION_MAX values. */
bool hs_gallery_is_unit_vector(const float *values, size_t dimension);

/* Reads JSON; `flags` are the library's. *ret_value is NULL for a text that is none, of which *ret_problem (may be
 * NULL) says why. HS_ENOMEM, which the library itself does not always tell from a bad text. Caller frees with
 * json_decref. */
int hs_gallery_parse_json(const char *text, size_t len, size_t flags, json_t **ret_value, json_error_t *ret_problem);

/* "score" of a quality text (NULL: not known), 0 if it has none. 0 or HS_ENOMEM. */
int hs_gallery_quality_score(const char *quality, double *ret_score);

#endif
