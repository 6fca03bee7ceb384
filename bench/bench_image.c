/* Measures decoding and letterboxing of the images on the command line, in one thread:
 * bench_image [--square] [--size N] PICTURE... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"
#include "image/letterbox.h"

enum { ROUNDS = 41, MAX_SIDE = 4096 };

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

/* Decodes and letterboxes once. Stores both times in milliseconds. */
static int run_once(const uint8_t *data, size_t len, const struct hs_letterbox *box, uint8_t *input, double times[2],
                    int size[2], struct hs_error *err)
{
    struct hs_image_options options = { .limits = HS_IMAGE_LIMITS_DEFAULT,
                                        .target_w = box->in_w,
                                        .target_h = box->in_h };
    struct hs_image *image;
    int64_t begin = hs_clock_now_ns();
    int r = hs_image_decode(data, len, &options, &image, err);
    if (r < 0)
        return r;
    int64_t decoded = hs_clock_now_ns();
    r = hs_letterbox_apply(box, image, input);
    times[0] = hs_ns_to_ms(decoded - begin);
    times[1] = hs_ns_to_ms(hs_clock_now_ns() - decoded);
    size[0] = image->width;
    size[1] = image->height;
    hs_image_destroy(image);
    return r;
}

static int bench(const char *path, int side, bool square, uint8_t *input, struct hs_error *err)
{
    struct hs_image_info info;
    struct hs_letterbox box;
    uint8_t *data;
    size_t len;
    int in_w = side, in_h = side, size[2] = { 0 }, r = hs_file_read(path, (size_t) 64 << 20, &data, &len, err);
    if (r < 0)
        return r;
    double decode[ROUNDS], fit[ROUNDS];
    r = hs_image_probe(data, len, &info, err);
    if (r == 0) {
        const struct hs_letterbox_rule rule = hs_letterbox_rule_of(side, 32, HS_LETTERBOX_BORDER);
        if (!square)
            hs_letterbox_rect(&rule, info.width, info.height, &in_w, &in_h);
        hs_letterbox_plan(info.width, info.height, in_w, in_h, &box);
    }
    for (int i = 0; r == 0 && i < ROUNDS; i++) {
        double times[2];
        r = run_once(data, len, &box, input, times, size, err);
        if (r == 0) {
            decode[i] = times[0];
            fit[i] = times[1];
        }
    }
    free(data);
    if (r < 0)
        return r;
    qsort(decode, ROUNDS, sizeof(double), compare);
    qsort(fit, ROUNDS, sizeof(double), compare);
    printf("%-28s %5dx%-5d -> %4dx%-4d -> %4dx%-4d  decode %7.2f (min %7.2f) ms  letterbox %6.3f (min %6.3f) ms\n",
           hs_path_base(path), info.width, info.height, size[0], size[1], box.content_w, box.content_h,
           decode[ROUNDS / 2], decode[0], fit[ROUNDS / 2], fit[0]);
    return 0;
}

int main(int argc, char **argv)
{
    struct hs_error err;
    int64_t side = 640;
    bool square = false;
    int failed = 0;
    uint8_t *input = malloc((size_t) MAX_SIDE * MAX_SIDE * 3);
    if (!input)
        return 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--square") == 0) {
            square = true;
        } else if (strcmp(argv[i], "--size") == 0 && i + 1 < argc) {
            if (!hs_str_to_int64(argv[++i], &side) || side < 32 || side > MAX_SIDE || side % 32 != 0) {
                fprintf(stderr, "--size takes a multiple of 32 up to %d\n", MAX_SIDE);
                free(input);
                return 2;
            }
        } else if (bench(argv[i], (int) side, square, input, &err) < 0) {
            fprintf(stderr, "%s: %s\n", argv[i], err.message);
            failed = 1;
        }
    }
    free(input);
    return failed;
}
