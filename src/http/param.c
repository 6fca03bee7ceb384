#include "http/param.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "http/request.h"

/* A field from any kind of body: `text` for a form's text or a JSON string, `value` for other JSON
 * types. */
struct field {
    const json_t *value;
    const char *text;
};

/* Returns 1 if the field is present, 0 if it is absent or null, or HS_EINVAL. */
static int find_field(const struct hs_body *body, const char *name, struct field *ret, struct hs_error *err)
{
    *ret = (struct field) { NULL, NULL };
    if (!hs_body_has(body, name))
        return 0;
    ret->text = hs_body_text(body, name);
    if (!ret->text)
        ret->value = hs_body_value(body, name);
    if (!ret->text && !ret->value)
        return hs_error_set(err, HS_EINVAL, "%s: must be a plain text of at most %d bytes", name, HS_BODY_TEXT_MAX);
    return 1;
}

/* Sets an error that quotes the client's value, shortened. */
static int refuse(const char *name, const char *need, const struct field *field, struct hs_error *err)
{
    char got[64];
    if (field->text)
        hs_str_quote(got, sizeof(got), field->text, strlen(field->text));
    else if (json_is_real(field->value))
        hs_str_from_double(json_real_value(field->value), got);
    else if (json_is_integer(field->value))
        hs_str_format(got, sizeof(got), "%lld", (long long) json_integer_value(field->value));
    else
        hs_str_copy(got, sizeof(got), hs_body_type_name(field->value));
    return hs_error_set(err, HS_EINVAL, "%s: must be %s, not %s", name, need, got);
}

/* `what` describes the expected value if the range has no limits. */
static int refuse_range(const char *name, const char *what, const char *min, const char *max, const struct field *field,
                        struct hs_error *err)
{
    char need[96];
    if (!min && !max)
        hs_str_copy(need, sizeof(need), what);
    else if (!max)
        hs_str_format(need, sizeof(need), "at least %s", min);
    else if (!min)
        hs_str_format(need, sizeof(need), "at most %s", max);
    else
        hs_str_format(need, sizeof(need), "between %s and %s", min, max);
    return refuse(name, need, field, err);
}

int hs_param_double(const struct hs_body *body, const char *name, double min, double max, double fallback, double *ret,
                    struct hs_error *err)
{
    struct field field;
    double number = fallback;
    int r = find_field(body, name, &field, err);
    if (r < 0)
        return r;
    /* strtod would also accept hexadecimal. */
    if (field.text ? strpbrk(field.text, "xX") || !hs_str_to_double(field.text, &number)
                   : field.value && !json_is_number(field.value))
        return refuse(name, "a number", &field, err);
    if (field.value)
        number = json_number_value(field.value);
    if (r > 0 && !(isfinite(number) && number >= min && number <= max)) {
        char low[32], high[32];
        hs_str_from_double(min, low);
        hs_str_from_double(max, high);
        return refuse_range(name, "a finite number", isfinite(min) ? low : NULL, isfinite(max) ? high : NULL, &field,
                            err);
    }
    *ret = number;
    return 0;
}

static bool read_int(const struct field *field, int64_t *ret, bool *ret_is_number)
{
    *ret_is_number = true;
    if (field->text) {
        if (hs_str_to_int64(field->text, ret))
            return true;
        /* For a whole number that is too large, the error names the range. */
        size_t n = strspn(field->text, " +-0123456789");
        *ret_is_number = n > 0 && field->text[n] == '\0' && strpbrk(field->text, "0123456789");
        return false;
    }
    if (json_is_integer(field->value)) {
        *ret = json_integer_value(field->value);
        return true;
    }
    *ret_is_number = json_is_real(field->value);
    double number = json_real_value(field->value);
    /* Conversion of a number past 2^63 is undefined. */
    if (!*ret_is_number || !(number > -9.2e18 && number < 9.2e18))
        return false;
    *ret = (int64_t) number;
    return true;
}

int hs_param_int(const struct hs_body *body, const char *name, int64_t min, int64_t max, int64_t fallback, int64_t *ret,
                 struct hs_error *err)
{
    struct field field;
    int64_t number = fallback;
    bool is_number = true;
    int r = find_field(body, name, &field, err);
    if (r < 0)
        return r;
    if (r > 0 && !(read_int(&field, &number, &is_number) && number >= min && number <= max)) {
        char low[32], high[32];
        if (!is_number)
            return refuse(name, "a whole number", &field, err);
        hs_str_format(low, sizeof(low), "%lld", (long long) min);
        hs_str_format(high, sizeof(high), "%lld", (long long) max);
        return refuse_range(name, "a smaller number", min == INT64_MIN ? NULL : low, max == INT64_MAX ? NULL : high,
                            &field, err);
    }
    *ret = number;
    return 0;
}

int hs_param_seconds(const struct hs_body *body, const char *name, double min, double max, bool unlimited,
                     double fallback, double *ret, struct hs_error *err)
{
    struct field field;
    double number = fallback;
    int r = find_field(body, name, &field, err);
    if (r < 0)
        return r;
    bool read = field.text ? hs_str_to_seconds(field.text, &number) : json_is_number(field.value);
    if (field.value)
        number = json_number_value(field.value);
    if (r > 0 && (!read || !((number >= min && number <= max) || (unlimited && number == -1)))) {
        char low[32], high[32], need[120];
        hs_str_from_double(min, low);
        hs_str_from_double(max, high);
        hs_str_format(need, sizeof(need), "between %s and %s seconds, also \"250ms\" or \"5m\"%s", low, high,
                      unlimited ? ", or -1" : "");
        return refuse(name, need, &field, err);
    }
    *ret = number;
    return 0;
}

bool hs_param_read_bool(const char *text, bool *ret)
{
    bool one = strcmp(text, "1") == 0, zero = strcmp(text, "0") == 0;
    if (one || zero)
        *ret = one;
    return one || zero || hs_str_to_bool(text, ret);
}

static bool read_bool(const struct field *field, bool *ret)
{
    if (field->text)
        return hs_param_read_bool(field->text, ret);
    json_int_t number = json_is_integer(field->value) ? json_integer_value(field->value) : -1;
    bool one = json_is_true(field->value) || number == 1, zero = json_is_false(field->value) || number == 0;
    if (one || zero)
        *ret = one;
    return one || zero;
}

int hs_param_bool(const struct hs_body *body, const char *name, bool fallback, bool *ret, struct hs_error *err)
{
    struct field field;
    bool value = fallback;
    int r = find_field(body, name, &field, err);
    if (r > 0 && !read_bool(&field, &value))
        return refuse(name, "true or false", &field, err);
    if (r >= 0)
        *ret = value;
    return r < 0 ? r : 0;
}

int hs_param_string(const struct hs_body *body, const char *name, const char *fallback, const char **ret,
                    struct hs_error *err)
{
    struct field field;
    int r = find_field(body, name, &field, err);
    if (r > 0 && field.value)
        return refuse(name, "a string", &field, err);
    if (r >= 0)
        *ret = r > 0 ? field.text : fallback;
    return r < 0 ? r : 0;
}

int hs_param_enum(const struct hs_body *body, const char *name, const char *const *names, int fallback, int *ret,
                  struct hs_error *err)
{
    struct field field;
    int index = fallback, r = find_field(body, name, &field, err);
    if (r > 0) {
        char need[256] = "one of";
        for (index = 0; names[index] && !(field.text && strcmp(field.text, names[index]) == 0); index++) {
            size_t at = strlen(need);
            hs_str_format(need + at, sizeof(need) - at, "%s%s", index ? ", " : " ", names[index]);
        }
        if (!names[index])
            return refuse(name, need, &field, err);
    }
    if (r >= 0)
        *ret = index;
    return r < 0 ? r : 0;
}

/* ---- By row ---- */

int hs_field_double(const struct hs_body *body, const struct hs_field *field, double fallback, double *ret,
                    struct hs_error *err)
{
    return hs_param_double(body, field->name, field->min, field->max, fallback, ret, err);
}

int hs_field_int(const struct hs_body *body, const struct hs_field *field, int64_t fallback, int64_t *ret,
                 struct hs_error *err)
{
    return hs_param_int(body, field->name, (int64_t) field->min, (int64_t) field->max, fallback, ret, err);
}

int hs_field_seconds(const struct hs_body *body, const struct hs_field *field, double fallback, double *ret,
                     struct hs_error *err)
{
    return hs_param_seconds(body, field->name, field->min, field->max, field->flags & HS_FIELD_UNLIMITED, fallback, ret,
                            err);
}

int hs_field_bool(const struct hs_body *body, const struct hs_field *field, bool fallback, bool *ret,
                  struct hs_error *err)
{
    return hs_param_bool(body, field->name, fallback, ret, err);
}

int hs_field_string(const struct hs_body *body, const struct hs_field *field, const char *fallback, const char **ret,
                    struct hs_error *err)
{
    return hs_param_string(body, field->name, fallback, ret, err);
}

int hs_field_choice(const struct hs_body *body, const struct hs_field *field, int fallback, int *ret,
                    struct hs_error *err)
{
    return hs_param_enum(body, field->name, field->choices, fallback, ret, err);
}

/* ---- The query ---- */

/* Reads digits beyond 64 bits as INT64_MAX. */
static bool read_query_int(const char *text, int64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    if (hs_str_to_int64(text, ret))
        return true;
    *ret = INT64_MAX;
    return digits > 0 && text[digits] == '\0';
}

int hs_query_int(struct hs_http_request *req, const struct hs_field *field, int64_t fallback, int64_t *ret,
                 struct hs_error *err)
{
    const char *text = hs_http_query(req, field->name);
    int64_t min = (int64_t) field->min, max = field->max > 0 ? (int64_t) field->max : INT64_MAX, number = fallback;
    bool valid = !text || (read_query_int(text, &number) && number >= min && number <= max);
    if (!valid && max == INT64_MAX)
        return hs_error_set(err, HS_EINVAL, "%s: must be a whole number above %lld", field->name, (long long) min - 1);
    if (!valid)
        return hs_error_set(err, HS_EINVAL, "%s: must be a whole number between %lld and %lld", field->name,
                            (long long) min, (long long) max);
    *ret = number;
    return 0;
}

int hs_query_bool(struct hs_http_request *req, const struct hs_field *field, bool fallback, bool *ret,
                  struct hs_error *err)
{
    const char *text = hs_http_query(req, field->name);
    bool value = fallback;
    if (text && !hs_param_read_bool(text, &value))
        return hs_error_set(err, HS_EINVAL, "%s: must be true or false", field->name);
    *ret = value;
    return 0;
}
