/* The first byte says where to cut; a JSON body fed whole and cut must give the same, and what an ordinary parser takes
 * must be taken, with the same fields. */
#include <stdlib.h>
#include <string.h>

#include "http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const files[] = { "image", NULL };

struct result {
    int code, file_code;
    uint8_t *image;
    size_t len;
    json_t *other;
};

static void parse(const uint8_t *data, size_t len, size_t step, struct result *result)
{
    const struct hs_body_spec spec = { .files = files, .bytes_max = 1 << 20, .any_json = true };
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
        result->other = json_deep_copy(hs_body_json(body));
    }
    hs_body_destroy(body);
}

/* `image` of the ordinary parse against what was taken out of the stream. */
static void compare_with_plain(const struct result *result, const uint8_t *data, size_t len)
{
    json_t *plain = json_loadb((const char *) data, len, JSON_DECODE_ANY, NULL);
    if (plain && result->code == 0) {
        json_t *image = json_object_get(plain, "image");
        bool missing = !image || json_is_null(image) || (json_is_string(image) && json_string_length(image) == 0);
        if (missing != (result->file_code == HS_EMISSING))
            abort();
        json_object_del(plain, "image");
        json_object_del(result->other, "image");
        if (!json_equal(plain, result->other))
            abort();
    }
    /* Deeper nesting is what we refuse beyond it. */
    if (plain && result->code != 0 && !memchr(data, '[', len) && !memchr(data, '{', len))
        abort();
    json_decref(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct result whole, cut;
    if (len < 1 || len > 60000)
        return 0;
    parse(data + 1, len - 1, len, &whole);
    parse(data + 1, len - 1, (size_t) data[0] % 64 + 1, &cut);
    if (whole.code != cut.code || whole.file_code != cut.file_code || whole.len != cut.len ||
        (whole.len && memcmp(whole.image, cut.image, whole.len) != 0))
        abort();
    compare_with_plain(&whole, data + 1, len - 1);
    free(whole.image);
    free(cut.image);
    json_decref(whole.other);
    json_decref(cut.other);
    return 0;
}
