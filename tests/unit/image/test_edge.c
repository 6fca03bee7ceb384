/* Decodes all files of the shared edge-case set and compares the results with the manifest, within a memory
 * bound. */
#include "pictures.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/str.h"

static char folder[4096];
static json_t *manifest;

static int find_files(void **state)
{
    (void) state;
    const char *shared = getenv("HS_SHARED"), *source = getenv("HS_SOURCE_DIR");
    char path[4096];
    if (shared)
        hs_str_format(folder, sizeof(folder), "%s/testdata/edge", shared);
    else
        hs_str_format(folder, sizeof(folder), "%s/../shared/testdata/edge", source ? source : ".");
    if (!hs_path_join(path, sizeof(path), folder, "manifest.json") || !hs_file_exists(path)) {
        printf("skipped: no %s\n", path);
        return 0;
    }
    manifest = json_load_file(path, 0, NULL);
    return manifest ? 0 : -1;
}

static int release(void **state)
{
    (void) state;
    json_decref(manifest);
    return 0;
}

static long peak_kb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* Expected results in the manifest: "decode", "4xx…", "413…", "415…", or alternatives. */
static bool allowed(const char *expect, int r)
{
    int http = hs_status_http(r);
    if (r == 0)
        return hs_str_starts(expect, "decode") || strstr(expect, "decoded") || strstr(expect, "or decode");
    if (strcmp(expect, "decode") == 0 || strcmp(expect, "decode (default image)") == 0)
        return false;
    if (hs_str_starts(expect, "413"))
        return http == 413;
    if (hs_str_starts(expect, "415"))
        return http == 415;
    return http >= 400 && http < 500;
}

/* Decodes one file; files of the group "valid" must decode even if the manifest allows a failure. */
static int run_file(const json_t *entry, const struct hs_image_options *options)
{
    const char *file = json_string_value(json_object_get(entry, "file"));
    const char *expect = json_string_value(json_object_get(entry, "expect"));
    const char *group = json_string_value(json_object_get(entry, "group"));
    char path[8192];
    uint8_t *data;
    size_t len;
    struct hs_error err = { 0 };
    assert_true(hs_path_join(path, sizeof(path), folder, file));
    if (hs_file_read(path, 64u << 20, &data, &len, &err) < 0)
        fail_msg("%s", err.message);
    struct hs_image *image = NULL;
    int r = hs_image_decode(data, len, options, &image, &err);
    free(data);
    if (!allowed(expect, r) || (r < 0 && strcmp(group, "valid") == 0))
        fail_msg("%s: %d \"%s\", expected %s", file, r, err.message, expect);
    if (r < 0 && (err.code != r || !err.message[0] || strchr(err.message, '\n')))
        fail_msg("%s: the message is \"%s\"", file, err.message);
    hs_image_destroy(image);
    return r;
}

static void run_all(const struct hs_image_options *options, long allowed_kb)
{
    if (!manifest) {
        skip();
        return;
    }
    long before = peak_kb();
    size_t i;
    json_t *entry;
    int decoded = 0, refused = 0;
    json_array_foreach(manifest, i, entry)
    {
        if (run_file(entry, options) == 0)
            decoded++;
        else
            refused++;
    }
    long grown = peak_kb() - before;
    printf("%d decoded, %d refused, peak memory grew by %ld kB\n", decoded, refused, grown);
    assert_int_equal(decoded + refused, (int) json_array_size(manifest));
    if (!HS_SANITIZED)
        assert_true(grown <= allowed_kb);
}

/* The largest image is a 6000x4000 JPEG: at 1/8 it takes 1.1 MB. Files are at most 8 MB. */
static void reduced_for_a_network(void **state)
{
    (void) state;
    struct hs_image_options options = options_plain();
    options.target_w = options.target_h = 640;
    run_all(&options, 24 * 1024);
}

/* The largest image takes 72 MB of pixels; the decompression bombs take none. */
static void whole(void **state)
{
    (void) state;
    struct hs_image_options options = options_plain();
    run_all(&options, 96 * 1024);
}

static void turned(void **state)
{
    (void) state;
    struct hs_image_options options = options_plain();
    options.apply_exif = true;
    run_all(&options, 96 * 1024);
}

/* Turned upright, all eight show the same 960x540 image. */
static void the_eight_orientations_agree(void **state)
{
    (void) state;
    struct hs_image *first = NULL;
    if (!manifest) {
        skip();
        return;
    }
    for (int i = 1; i <= 8; i++) {
        struct hs_image_options options = options_plain();
        struct hs_image *image;
        char path[8192];
        uint8_t *data;
        size_t len;
        int max;
        double mean;
        options.apply_exif = true;
        hs_str_format(path, sizeof(path), "%s/valid/exif/orient%d.jpg", folder, i);
        assert_int_equal(hs_file_read(path, 64u << 20, &data, &len, NULL), 0);
        assert_int_equal(hs_image_decode(data, len, &options, &image, NULL), 0);
        free(data);
        assert_int_equal(image->orientation, i);
        assert_int_equal(image->width, 960);
        assert_int_equal(image->height, 540);
        if (first) {
            /* Each file was compressed separately, in its own orientation. */
            compare_images(first, image, &max, &mean);
            assert_true(mean < 2);
            hs_image_destroy(image);
        } else {
            first = image;
        }
    }
    hs_image_destroy(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reduced_for_a_network),
        cmocka_unit_test(whole),
        cmocka_unit_test(turned),
        cmocka_unit_test(the_eight_orientations_agree),
    };
    return cmocka_run_group_tests(tests, find_files, release);
}
