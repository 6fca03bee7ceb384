/* The first byte sets the piece size. A form must parse alike in one piece and in several. */
#include <stdlib.h>
#include <string.h>

#include "http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const files[] = { "image", NULL };
static const char *const lists[] = { "images", "list", NULL };

enum { LIST_MAX = 4 };

struct result {
    int code;
    uint8_t *image;
    size_t len, count, sizes[LIST_MAX];
    char text[HS_BODY_TEXT_MAX + 1];
};

static void take_list(struct hs_body *body, struct result *result)
{
    hs_body_list_count(body, &result->count, NULL);
    if (result->count > LIST_MAX)
        abort();
    for (size_t i = 0; i < result->count; i++) {
        uint8_t *image;
        if (hs_body_list_take(body, i, &image, &result->sizes[i], NULL) == 0)
            free(image);
    }
}

static void parse(const uint8_t *data, size_t len, size_t step, struct result *result)
{
    const struct hs_body_spec spec = {
        .files = files, .bytes_max = 1 << 20, .list = lists, .list_member = "image", .list_max = LIST_MAX
    };
    struct hs_body *body;
    *result = (struct result) { 0 };
    if (hs_body_create(HS_BODY_FORM_OR_JSON, "multipart/form-data; boundary=B", &spec, NULL, &body, NULL) < 0)
        abort();
    int r = 0;
    for (size_t i = 0; i < len && r == 0; i += step)
        r = hs_body_feed(body, data + i, len - i < step ? len - i : step, NULL);
    if (r == 0)
        r = hs_body_end(body, NULL);
    result->code = r;
    if (r == 0) {
        const char *text = hs_body_text(body, "t");
        if (text)
            memcpy(result->text, text, strlen(text));
        hs_body_take_file(body, "image", &result->image, &result->len, NULL);
        take_list(body, result);
    }
    hs_body_destroy(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct result whole, cut;
    if (len < 1)
        return 0;
    parse(data + 1, len - 1, len, &whole);
    parse(data + 1, len - 1, (size_t) data[0] % 64 + 1, &cut);
    if (whole.code != cut.code || whole.len != cut.len || strcmp(whole.text, cut.text) != 0 ||
        whole.count != cut.count || memcmp(whole.sizes, cut.sizes, sizeof(cut.sizes)) != 0 ||
        (whole.len && memcmp(whole.image, cut.image, whole.len) != 0))
        abort();
    free(whole.image);
    free(cut.image);
    return 0;
}
