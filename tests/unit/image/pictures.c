#include "pictures.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct hs_image_options options_plain(void)
{
    return (struct hs_image_options) { .limits = HS_IMAGE_LIMITS_DEFAULT };
}

struct hs_image *make_gradient(int width, int height)
{
    struct hs_image *image;
    assert_int_equal(hs_image_create(width, height, &image, NULL), 0);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint8_t *p = image->pixels + (size_t) y * image->stride + (size_t) x * 3;
            p[0] = (uint8_t) (x * 255 / (width > 1 ? width - 1 : 1));
            p[1] = (uint8_t) (y * 255 / (height > 1 ? height - 1 : 1));
            p[2] = (uint8_t) ((p[0] + p[1]) / 2);
        }
    }
    return image;
}

struct hs_image *make_pixels(int width, int height, const uint8_t *rgb)
{
    struct hs_image *image;
    assert_int_equal(hs_image_create(width, height, &image, NULL), 0);
    memcpy(image->pixels, rgb, (size_t) width * (size_t) height * 3);
    return image;
}

struct hs_image *decode_ok(const void *data, size_t len)
{
    struct hs_image_options options = options_plain();
    struct hs_image *image = NULL;
    struct hs_error err = { 0 };
    int r = hs_image_decode(data, len, &options, &image, &err);
    if (r < 0)
        fail_msg("%s", err.message);
    return image;
}

void decode_gives(const void *data, size_t len, int width, int height, const void *rgb)
{
    struct hs_image *image = decode_ok(data, len);
    assert_int_equal(image->width, width);
    assert_int_equal(image->height, height);
    assert_memory_equal(image->pixels, rgb, (size_t) width * (size_t) height * 3);
    hs_image_destroy(image);
}

static size_t guarded_size(size_t len)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    return (len / page + 1) * page;
}

uint8_t *guarded_copy(const void *data, size_t len)
{
    size_t size = guarded_size(len), page = (size_t) sysconf(_SC_PAGESIZE);
    uint8_t *pages = mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + size, page, PROT_NONE), 0);
    return memcpy(pages + size - len, data, len);
}

void guarded_free(uint8_t *copy, size_t len)
{
    size_t size = guarded_size(len);
    assert_int_equal(munmap(copy + len - size, size + (size_t) sysconf(_SC_PAGESIZE)), 0);
}

void decode_fails(const void *data, size_t len, const struct hs_image_options *options, int code, const char *text)
{
    struct hs_image_options plain = options_plain();
    struct hs_image *image = NULL;
    struct hs_error err = { 0 };
    uint8_t *copy = guarded_copy(data, len);
    int r = hs_image_decode(copy, len, options ? options : &plain, &image, &err);
    guarded_free(copy, len);
    if (r != code || !strstr(err.message, text))
        fail_msg("gave %d \"%s\", not %d \"%s\"", r, err.message, code, text);
    assert_null(strchr(err.message, '\n'));
    assert_null(image);
}

const uint8_t *pixel_at(const struct hs_image *image, int x, int y)
{
    return image->pixels + (size_t) y * image->stride + (size_t) x * 3;
}

void compare_images(const struct hs_image *a, const struct hs_image *b, int *ret_max, double *ret_mean)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    double sum = 0;
    int max = 0;
    for (int y = 0; y < a->height; y++) {
        for (int i = 0; i < a->width * 3; i++) {
            int diff = abs(pixel_at(a, 0, y)[i] - pixel_at(b, 0, y)[i]);
            sum += diff;
            max = diff > max ? diff : max;
        }
    }
    *ret_max = max;
    *ret_mean = sum / (a->width * 3.0 * a->height);
}

struct hs_buf make_buf(void)
{
    struct hs_buf buf;
    hs_buf_init(&buf, 16u << 20);
    return buf;
}

void put_le(struct hs_buf *buf, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t) (value >> (8 * i));
        assert_int_equal(hs_buf_append(buf, &byte, 1), 0);
    }
}

void put_be(struct hs_buf *buf, uint32_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        uint8_t byte = (uint8_t) (value >> (8 * i));
        assert_int_equal(hs_buf_append(buf, &byte, 1), 0);
    }
}
