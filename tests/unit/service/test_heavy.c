#include "../unit.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/body.h"
#include "http/request_internal.h"
#include "http/server.h"
#include "image/image.h"
#include "service/heavy.h"

struct picture {
    int width, height; /* 0: some other text */
};

/* The begin of a PNG, which has the size. */
static void append_picture(struct hs_buf *buf, const struct picture *picture)
{
    uint8_t head[33] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
    for (int i = 0; i < 4; i++) {
        head[16 + i] = (uint8_t) (picture->width >> (24 - 8 * i));
        head[20 + i] = (uint8_t) (picture->height >> (24 - 8 * i));
    }
    hs_buf_append_str(buf, "--B\r\nContent-Disposition: form-data; name=image; filename=a.png\r\n\r\n");
    if (picture->width)
        hs_buf_append(buf, head, sizeof(head));
    else
        hs_buf_append_str(buf, "text");
    hs_buf_append_str(buf, "\r\n");
}

static bool is_heavy(const struct picture *pictures, size_t count)
{
    static const char *const image_field[] = { "image", NULL };
    static const struct hs_body_spec spec = { .list = image_field, .list_max = 9, .bytes_max = 100000 };
    struct hs_http_options options;
    struct hs_error err = { 0 };
    struct hs_buf buf;
    hs_http_options_init(&options);
    struct hs_http_request *req = hs_request_create(&options, NULL, "/");
    assert_non_null(req);
    hs_buf_init(&buf, 1 << 20);
    for (size_t i = 0; i < count; i++)
        append_picture(&buf, &pictures[i]);
    hs_buf_append_str(&buf, "--B--\r\n");
    int r = hs_body_create(HS_BODY_FORM_ELSE_JSON, "multipart/form-data; boundary=B", &spec, NULL, &req->body, &err);
    if (r == 0)
        r = hs_body_feed(req->body, buf.data, buf.len, &err);
    if (r == 0)
        r = hs_body_end(req->body, &err);
    if (r < 0)
        fail_msg("%s", err.message);
    bool heavy = hs_heavy_pictures(req);
    assert_true(hs_heavy_always(req));
    hs_buf_finish(&buf);
    hs_request_destroy(req);
    return heavy;
}

static void large_many_and_unknown_pictures_are_heavy(void **state)
{
    (void) state;
    static const struct picture small = { 640, 480 }, largest = { HS_IMAGE_SMALL_PIXELS / 1024, 1024 },
                                large = { HS_IMAGE_SMALL_PIXELS / 1024 + 1, 1024 }, text = { 0, 0 };
    const struct {
        struct picture pictures[3];
        size_t count;
        bool heavy;
    } cases[] = {
        { { small }, 1, false }, { { largest }, 1, false },     { { small, small }, 2, false },
        { { large }, 1, true },  { { small, large }, 2, true }, { { small, small, small }, 3, true },
        { { text }, 1, true },   { { small, text }, 2, true },  { { small }, 0, false },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++)
        if (is_heavy(cases[i].pictures, cases[i].count) != cases[i].heavy)
            fail_msg("case %zu", i);
}

static void a_request_without_a_body_is_not_heavy(void **state)
{
    (void) state;
    struct hs_http_options options;
    hs_http_options_init(&options);
    struct hs_http_request *req = hs_request_create(&options, NULL, "/");
    assert_non_null(req);
    assert_false(hs_heavy_pictures(req));
    hs_request_destroy(req);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_many_and_unknown_pictures_are_heavy),
        cmocka_unit_test(a_request_without_a_body_is_not_heavy),
    };
    return HS_RUN_TESTS(tests);
}
