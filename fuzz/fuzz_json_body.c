/* The first byte sets the piece size. A JSON body must parse alike in one piece and in several. A body that
 * jansson accepts must be accepted, with the same fields and the same images in the list. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const files[] = { "image", NULL };
static const char *const removed_members[] = { "image", "images", "list" };

static const char *const lists[] = { "images", "list", NULL };

enum { LIST_MAX = 8 };

struct member {
    int code;
    uint8_t *image;
    size_t len;
};

struct result {
    int code, file_code, list_code;
    uint8_t *image;
    size_t len, count;
    struct member members[LIST_MAX];
    json_t *other;
};

static void take_list(struct hs_body *body, struct result *result)
{
    result->list_code = hs_body_list_count(body, &result->count, NULL);
    if (result->count > LIST_MAX || (result->list_code == 0) != (result->count > 0))
        abort();
    for (size_t i = 0; i < result->count; i++) {
        struct member *member = &result->members[i];
        member->code = hs_body_list_take(body, i, &member->image, &member->len, NULL);
        if (member->code == 0 && (hs_body_list_take(body, i, &member->image, &member->len, NULL) != HS_EMISSING))
            abort();
    }
}

static void parse(const uint8_t *data, size_t len, size_t step, struct result *result)
{
    const struct hs_body_spec spec = { .files = files,
                                       .bytes_max = 1 << 20,
                                       .any_json = true,
                                       .list = lists,
                                       .list_member = "image",
                                       .list_max = LIST_MAX };
    struct hs_body *body;
    *result = (struct result) { 0 };
    if (hs_body_create(HS_BODY_JSON, "application/json", &spec, NULL, &body, NULL) < 0)
        abort();
    int r = 0;
    for (size_t i = 0; i < len && r == 0; i += step)
        r = hs_body_feed(body, data + i, len - i < step ? len - i : step, NULL);
    if (r == 0)
        r = hs_body_end(body, NULL);
    result->code = r;
    if (r == 0) {
        result->file_code = hs_body_take_file(body, "image", &result->image, &result->len, NULL);
        take_list(body, result);
        result->other = json_deep_copy(hs_body_json(body));
    }
    hs_body_destroy(body);
}

/* Returns the base64 text of a member, or NULL if it has none. */
static const char *member_text(const json_t *value)
{
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "image") : value);
    return text && text[0] ? text : NULL;
}

/* Compares with jansson's list: the number of members is equal, and only a text yields an image. */
static void compare_list(const struct result *result, const json_t *plain)
{
    const json_t *list = json_object_get(plain, "images"), *other = json_object_get(plain, "list");
    if ((list && other) || result->list_code < 0)
        return;
    list = list ? list : other;
    if (result->count != (json_is_string(list) ? 1 : json_array_size(list)))
        abort();
    for (size_t i = 0; i < result->count; i++) {
        const char *text = member_text(json_is_string(list) ? list : json_array_get(list, i));
        size_t len = text ? strlen(text) : 0;
        if ((result->members[i].code == 0 && !text) || result->members[i].len > len)
            abort();
    }
}

/* Compares the `image` that jansson found with the one taken out of the stream. */
static void compare_with_plain(const struct result *result, const uint8_t *data, size_t len)
{
    json_t *plain = json_loadb((const char *) data, len, JSON_DECODE_ANY, NULL);
    if (plain && result->code == 0) {
        json_t *image = json_object_get(plain, "image");
        bool missing = !image || json_is_null(image) || (json_is_string(image) && json_string_length(image) == 0);
        if (missing != (result->file_code == HS_EMISSING))
            abort();
        compare_list(result, plain);
        for (size_t i = 0; i < 3; i++) {
            json_object_del(plain, removed_members[i]);
            json_object_del(result->other, removed_members[i]);
        }
        if (!json_equal(plain, result->other))
            abort();
    }
    /* Beyond jansson, only deep nesting and long lists are refused. */
    if (plain && result->code != 0 && !memchr(data, '[', len) && !memchr(data, '{', len))
        abort();
    json_decref(plain);
}

static bool same_list(const struct result *a, const struct result *b)
{
    bool same = a->list_code == b->list_code && a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++) {
        const struct member *x = &a->members[i], *y = &b->members[i];
        same = x->code == y->code && x->len == y->len && (x->len == 0 || memcmp(x->image, y->image, x->len) == 0);
    }
    return same;
}

static void finish(struct result *result)
{
    for (size_t i = 0; i < result->count; i++)
        free(result->members[i].image);
    free(result->image);
    json_decref(result->other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct result whole, cut;
    if (len < 1 || len > 60000)
        return 0;
    parse(data + 1, len - 1, len, &whole);
    parse(data + 1, len - 1, (size_t) data[0] % 64 + 1, &cut);
    if (whole.code != cut.code || whole.file_code != cut.file_code || whole.len != cut.len ||
        (whole.len && memcmp(whole.image, cut.image, whole.len) != 0) || !same_list(&whole, &cut))
        abort();
    compare_with_plain(&whole, data + 1, len - 1);
    finish(&whole);
    finish(&cut);
    return 0;
}
