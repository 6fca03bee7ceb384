/* Validates the input of the gallery. Messages name the field. */
#ifndef HS_GALLERY_VALIDATE_H
#define HS_GALLERY_VALIDATE_H

#include <stdbool.h>

#include "gallery/gallery.h"

/* Each returns 0 or HS_EINVAL. */
int hs_gallery_check_name(const char *name, struct hs_error *err);                   /* see hs_gallery_clean_name */
int hs_gallery_check_metadata(const char *metadata, struct hs_error *err);           /* NULL is valid */
int hs_gallery_check_quality(const char *quality, struct hs_error *err);             /* NULL is valid */
int hs_gallery_check_time(const char *what, const char *time, struct hs_error *err); /* NULL is valid */
int hs_gallery_check_expiry(const char *expires_at, struct hs_error *err);           /* a time, "never", "" or NULL */
int hs_gallery_check_space(const char *space, const char *model, struct hs_error *err); /* model may be NULL */
int hs_gallery_check_embedding(const struct hs_gallery_new_embedding *embedding, struct hs_error *err);

/* Requires 64 hexadecimal digits; `what` names the field. */
int hs_gallery_check_sha256(const char *what, const char *text, struct hs_error *err);

/* Returns true for 1..HS_GALLERY_DIMENSION_MAX finite values of length 1, within 1e-3. */
bool hs_gallery_is_unit_vector(const float *values, size_t dimension);

/* Reads "score" from a quality text (NULL: not known); 0 if absent. Returns 0 or HS_ENOMEM. */
int hs_gallery_quality_score(const char *quality, double *ret_score);

#endif
