#include "http/json_write.h"

#include <stdlib.h>
#include <string.h>

static void put_value(struct hs_json_writer *json, const json_t *value);

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void put_sorted(struct hs_json_writer *json, json_t *object)
{
    size_t count = json_object_size(object), n = 0;
    const char **keys = calloc(count + 1, sizeof(*keys));
    if (!keys) {
        json->out->error = json->out->error ? json->out->error : HS_ENOMEM;
        return;
    }
    for (void *at = json_object_iter(object); at && n < count; at = json_object_iter_next(object, at))
        keys[n++] = json_object_iter_key(at);
    qsort(keys, n, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < n; i++) {
        hs_json_key(json, keys[i]);
        put_value(json, json_object_get(object, keys[i]));
    }
    free(keys);
}

static void put_object(struct hs_json_writer *json, const json_t *value)
{
    /* Iterating only reads; jansson's signature lacks the const. */
    json_t *object = (json_t *) (uintptr_t) value;
    hs_json_begin_object(json);
    if (json->style != HS_JSON_SPACED) {
        put_sorted(json, object);
    } else {
        for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
            hs_json_key(json, json_object_iter_key(at));
            put_value(json, json_object_iter_value(at));
        }
    }
    hs_json_end_object(json);
}

static void put_value(struct hs_json_writer *json, const json_t *value)
{
    if (hs_buf_error(json->out))
        return; /* ends the recursion, too */
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_object(json, value);
        break;
    case JSON_ARRAY:
        hs_json_begin_array(json);
        for (size_t i = 0; i < json_array_size(value); i++)
            put_value(json, json_array_get(value, i));
        hs_json_end_array(json);
        break;
    case JSON_STRING:
        hs_json_string_n(json, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        hs_json_int(json, json_integer_value(value));
        break;
    case JSON_REAL:
        hs_json_real(json, json_real_value(value));
        break;
    case JSON_NULL:
        hs_json_null(json);
        break;
    default:
        hs_json_bool(json, json_is_true(value));
    }
}

int hs_json_write(const json_t *value, enum hs_json_style style, struct hs_buf *out)
{
    struct hs_json_writer json;
    hs_json_begin(&json, out, style);
    put_value(&json, value);
    return hs_json_end(&json);
}
