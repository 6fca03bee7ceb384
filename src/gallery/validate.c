#include "gallery/validate.h"

#include <math.h>
#include <string.h>

#include "base/json_read.h"
#include "base/str.h"
#include "gallery/name.h"

/* DEPTH_MAX: a response has room for this many levels of nesting and a few of its own. */
enum { SHA256_DIGITS = 64, DEPTH_MAX = 32 };

/* Checks that a text is UTF-8 of 1..max bytes without control characters (C0, DEL, C1). */
static int check_text(const char *what, const char *text, size_t max, struct hs_error *err)
{
    size_t len = text ? strnlen(text, max + 1) : 0;
    if (len == 0)
        return hs_error_set(err, HS_EINVAL, "%s: must not be empty", what);
    if (len > max)
        return hs_error_set(err, HS_EINVAL, "%s: longer than %zu bytes", what, max);
    if (!hs_utf8_valid(text, len))
        return hs_error_set(err, HS_EINVAL, "%s: not UTF-8", what);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char) text[i];
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char) text[i + 1] < 0xa0))
            return hs_error_set(err, HS_EINVAL, "%s: has control characters", what);
    }
    return 0;
}

int hs_gallery_check_name(const char *name, struct hs_error *err)
{
    char clean[HS_GALLERY_NAME_MAX + 1];
    return hs_gallery_clean_name(name, clean, err);
}

/* Returns true if no value is nested deeper than `depth` levels. */
static bool is_shallow(json_t *value, int depth)
{
    bool shallow = depth > 0 || !(json_is_object(value) || json_is_array(value));
    const char *key;
    json_t *member;
    size_t i;
    json_object_foreach(value, key, member) shallow = shallow && is_shallow(member, depth - 1);
    json_array_foreach(value, i, member) shallow = shallow && is_shallow(member, depth - 1);
    return shallow;
}

/* Checks that a text is a JSON object and, with `numbers`, that all its members are numbers. */
static int check_object(const char *what, const char *text, bool numbers, struct hs_error *err)
{
    size_t len = strnlen(text, HS_GALLERY_METADATA_MAX + 1);
    if (len > HS_GALLERY_METADATA_MAX)
        return hs_error_set(err, HS_EINVAL, "%s: longer than %d bytes", what, HS_GALLERY_METADATA_MAX);
    json_error_t problem = { 0 };
    json_t *object = NULL, *value;
    if (hs_json_read(text, len, JSON_REJECT_DUPLICATES, &object, &problem) == HS_ENOMEM)
        return hs_error_set(err, HS_ENOMEM, "no memory for %s", what);
    const char *why = object ? "" : problem.text, *key;
    int r = 0;
    if (!json_is_object(object))
        r = hs_error_set(err, HS_EINVAL, "%s: not a JSON object%s%s", what, *why ? ": " : "", why);
    else if (!is_shallow(object, DEPTH_MAX))
        r = hs_error_set(err, HS_EINVAL, "%s: nested deeper than %d levels", what, DEPTH_MAX);
    json_object_foreach(object, key, value)
    {
        if (r == 0 && numbers && !json_is_number(value))
            r = hs_error_set(err, HS_EINVAL, "%s: all members must be numbers", what);
    }
    json_decref(object);
    return r;
}

int hs_gallery_check_metadata(const char *metadata, struct hs_error *err)
{
    return metadata ? check_object("metadata", metadata, false, err) : 0;
}

int hs_gallery_check_quality(const char *quality, struct hs_error *err)
{
    return quality ? check_object("quality", quality, true, err) : 0;
}

int hs_gallery_check_time(const char *what, const char *time, struct hs_error *err)
{
    static const char pattern[] = "dddd-dd-dd dd:dd:dd";
    bool good = !time || strnlen(time, sizeof(pattern)) == sizeof(pattern) - 1;
    for (size_t i = 0; good && time && i < sizeof(pattern) - 1; i++)
        good = pattern[i] == 'd' ? time[i] >= '0' && time[i] <= '9' : time[i] == pattern[i];
    return good ? 0 : hs_error_set(err, HS_EINVAL, "%s: must be a time, YYYY-MM-DD HH:MM:SS", what);
}

int hs_gallery_check_expiry(const char *expires_at, struct hs_error *err)
{
    bool word = !expires_at || !expires_at[0] || strcmp(expires_at, "never") == 0;
    return word ? 0 : hs_gallery_check_time("expires_at", expires_at, err);
}

int hs_gallery_check_sha256(const char *what, const char *text, struct hs_error *err)
{
    size_t len = strnlen(text, SHA256_DIGITS + 1);
    for (size_t i = 0; i < len; i++)
        if (hs_str_hex_digit(text[i]) < 0)
            len = 0;
    if (len != SHA256_DIGITS)
        return hs_error_set(err, HS_EINVAL, "%s: must be 64 hexadecimal digits", what);
    return 0;
}

bool hs_gallery_is_unit_vector(const float *values, size_t dimension)
{
    if (dimension < 1 || dimension > HS_GALLERY_DIMENSION_MAX)
        return false;
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double) values[i] * (double) values[i];
    return fabs(sqrt(sum) - 1) <= 1e-3; /* false if the sum is NaN */
}

int hs_gallery_check_space(const char *space, const char *model, struct hs_error *err)
{
    int r = check_text("space", space, HS_GALLERY_SPACE_MAX, err);
    return r == 0 && model ? check_text("model", model, HS_GALLERY_SPACE_MAX, err) : r;
}

int hs_gallery_check_embedding(const struct hs_gallery_new_embedding *embedding, struct hs_error *err)
{
    if (!embedding->values || embedding->dimension < 1 || embedding->dimension > HS_GALLERY_DIMENSION_MAX)
        return hs_error_set(err, HS_EINVAL, "embedding: must have 1 to %d numbers", HS_GALLERY_DIMENSION_MAX);
    if (!hs_gallery_is_unit_vector(embedding->values, embedding->dimension))
        return hs_error_set(err, HS_EINVAL, "embedding: must be finite and of length 1");
    int r = hs_gallery_check_space(embedding->space, embedding->model, err);
    if (r == 0)
        r = hs_gallery_check_quality(embedding->quality, err);
    if (r == 0)
        r = hs_gallery_check_time("created_at", embedding->created_at, err);
    if (r == 0 && embedding->source_sha256)
        r = hs_gallery_check_sha256("source_sha256", embedding->source_sha256, err);
    return r;
}

int hs_gallery_quality_score(const char *quality, double *ret_score)
{
    json_t *object = NULL;
    if (quality && hs_json_read(quality, strlen(quality), 0, &object, NULL) == HS_ENOMEM)
        return HS_ENOMEM;
    double score = json_number_value(json_object_get(object, "score"));
    json_decref(object);
    *ret_score = isfinite(score) ? score : 0;
    return 0;
}
