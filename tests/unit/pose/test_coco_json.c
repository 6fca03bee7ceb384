#include "../unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../alloc_fail.h"
#include "base/file.h"
#include "pose/coco_json.h"

#define TWELVE "1,2,3,4,5,6,7,8,9,10,11,12"
#define KEYPOINTS "[" TWELVE "," TWELVE "," TWELVE "," TWELVE ",7.5,8,0]"
#define NAMES "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"
#define PERSON "{\"id\":1,\"name\":\"person\",\"keypoints\":" NAMES "}"
#define IMAGE "{\"id\":139,\"width\":640,\"height\":426,\"file_name\":\"a/b..c.jpg\"}"
#define TRUTH                                                                                                          \
    "{\"image_id\":139,\"category_id\":1,\"area\":12.5,\"bbox\":[1,2,3.5,4],\"iscrowd\":1,\"num_keypoints\":3,"        \
    "\"keypoints\":" KEYPOINTS "}"
#define TRUTH_OF(area, count, crowd)                                                                                   \
    "{\"image_id\":139,\"category_id\":1,\"area\":" area ",\"bbox\":[1,2,3.5,4],\"iscrowd\":" crowd                    \
    ",\"num_keypoints\":" count ",\"keypoints\":" KEYPOINTS "}"
#define FILE_OF(categories, images, annotations)                                                                       \
    "{\"categories\":[" categories "],\"images\":[" images "],\"annotations\":[" annotations "]}"

static void reads_the_needed_members(void **state)
{
    (void) state;
    static const char text[] =
        FILE_OF("{\"id\":7,\"name\":\"dog\",\"keypoints\":" NAMES "}," PERSON, IMAGE, "{\"category_id\":7}," TRUTH);
    struct hs_coco_set *set;
    struct hs_error err;
    assert_int_equal(hs_coco_set_parse(text, sizeof(text) - 1, "t", &set, &err), 0);
    assert_int_equal(set->category_id, 1);
    assert_int_equal(set->image_count, 1);
    assert_int_equal(set->images[0].id, 139);
    assert_int_equal(set->images[0].width, 640);
    assert_int_equal(set->images[0].height, 426);
    assert_string_equal(set->images[0].file_name, "a/b..c.jpg");
    assert_int_equal(set->truth_count, 1);
    assert_int_equal(set->truths[0].image_id, 139);
    assert_true(set->truths[0].is_crowd);
    assert_int_equal(set->truths[0].keypoint_count, 3);
    assert_true(set->truths[0].area == 12.5);
    assert_true(set->truths[0].bbox[2] == 3.5);
    assert_true(set->truths[0].keypoints[0] == 1 && set->truths[0].keypoints[48] == 7.5);
    hs_coco_set_destroy(set);
}

static const struct {
    const char *text, *words;
} bad_sets[] = {
    { "", "t:" },
    { "{", "t:1" },
    { "[]", "no category with 17 keypoints" },
    { "[1e999]", "t:1" },
    { FILE_OF("{\"id\":1,\"name\":\"person\"}", IMAGE, ""), "no category with 17 keypoints" },
    { FILE_OF(PERSON, "", TRUTH), "\"images\" is missing or empty" },
    { "{\"categories\":[" PERSON "],\"images\":[" IMAGE "]}", "\"annotations\" is missing" },
    { FILE_OF(PERSON, IMAGE ",{\"id\":\"x\"}", ""), "images[1]: \"id\" must be an integer" },
    { FILE_OF(PERSON, "{\"id\":1,\"width\":-1,\"height\":1}", ""), "images[0]: \"width\" and \"height\" must be" },
    { FILE_OF(PERSON, "{\"id\":1,\"width\":1,\"height\":1}", ""), "images[0]: \"file_name\" must be a relative path" },
    { FILE_OF(PERSON, "{\"id\":1,\"width\":1,\"height\":1,\"file_name\":\"/a.jpg\"}", ""),
      "images[0]: \"file_name\" must be a relative path" },
    { FILE_OF(PERSON, "{\"id\":1,\"width\":1,\"height\":1,\"file_name\":\"..\"}", ""),
      "images[0]: \"file_name\" must be a relative path" },
    { FILE_OF(PERSON, "{\"id\":1,\"width\":1,\"height\":1,\"file_name\":\"a/../../b\"}", ""),
      "images[0]: \"file_name\" must be a relative path" },
    { FILE_OF(PERSON, IMAGE, TRUTH ",3"), "annotations[1]: \"category_id\" must be an integer" },
    { FILE_OF(PERSON, IMAGE, "{\"category_id\":1}"), "annotations[0]: \"image_id\" must be an integer" },
    { FILE_OF(PERSON, IMAGE, "{\"category_id\":1,\"image_id\":1,\"keypoints\":[1]}"),
      "\"keypoints\" must be 51 numbers" },
    { FILE_OF(PERSON, IMAGE, "{\"category_id\":1,\"image_id\":1,\"keypoints\":" KEYPOINTS ",\"bbox\":[1,2,\"3\",4]}"),
      "\"bbox\" must be 4 numbers" },
    { FILE_OF(PERSON, IMAGE, "{\"category_id\":1,\"image_id\":1,\"keypoints\":" KEYPOINTS ",\"bbox\":[1,2,3,4]}"),
      "\"area\"" },
    { FILE_OF(PERSON, "{\"id\":1.5,\"width\":1,\"height\":1}", ""), "images[0]: \"id\" must be an integer" },
    { FILE_OF(PERSON, "{\"id\":1,\"width\":1,\"height\":2147483648}", ""),
      "images[0]: \"width\" and \"height\" must be non-negative integers" },
    { FILE_OF(PERSON, "{\"id\":1,\"width\":1,\"height\":1,\"file_name\":\"\"}", ""),
      "images[0]: \"file_name\" must be a relative path" },
    { FILE_OF(PERSON, "{\"id\":1,\"width\":1,\"height\":1,\"file_name\":\"a/..\"}", ""),
      "images[0]: \"file_name\" must be a relative path" },
    { FILE_OF(PERSON, "{\"id\":1,\"width\":1,\"height\":1,\"file_name\":3}", ""),
      "images[0]: \"file_name\" must be a relative path" },
    { FILE_OF(PERSON, IMAGE, TRUTH_OF("-0.5", "3", "1")), "annotations[0]: \"area\" must be a number of at least 0" },
    { FILE_OF(PERSON, IMAGE, TRUTH_OF("\"1\"", "3", "1")), "annotations[0]: \"area\" must be a number of at least 0" },
    { FILE_OF(PERSON, IMAGE, TRUTH_OF("1", "-1", "1")), "annotations[0]: \"num_keypoints\" must be a count" },
    { FILE_OF(PERSON, IMAGE, TRUTH_OF("1", "2.5", "1")), "annotations[0]: \"num_keypoints\" must be a count" },
    { FILE_OF("{\"id\":\"1\",\"name\":\"person\",\"keypoints\":" NAMES "}", IMAGE, ""), "no category with 17" },
};

static void a_bad_set_is_rejected_with_its_index(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof(bad_sets) / sizeof(bad_sets[0]); i++) {
        struct hs_coco_set *set = NULL;
        struct hs_error err = { 0 };
        int status = hs_coco_set_parse(bad_sets[i].text, strlen(bad_sets[i].text), "t", &set, &err);
        assert_int_equal(status, HS_EDECODE);
        if (!strstr(err.message, bad_sets[i].words))
            print_error("%s\n", err.message);
        assert_non_null(strstr(err.message, bad_sets[i].words));
        assert_null(set);
    }
}

/* Values at their limits, and optional members. */
static void unusual_values_are_read(void **state)
{
    (void) state;
    static const char text[] = FILE_OF(
        "{\"id\":5,\"name\":\"man\",\"keypoints\":" NAMES "}," PERSON,
        "{\"id\":-1,\"width\":0,\"height\":2147483647,\"file_name\":\"...a/..b/c..\"}",
        TRUTH_OF("0", "0", "0") "," TRUTH_OF(
            "1", "2147483647",
            "true") ","
                    "{\"image_id\":1,\"category_id\":1,\"area\":1,\"bbox\":[1,2,3,4],\"keypoints\":" KEYPOINTS "}");
    struct hs_coco_set *set = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_coco_set_parse(text, sizeof(text) - 1, "t", &set, &err), 0);
    assert_int_equal(set->category_id, 1); /* "person" is preferred to another category with 17 keypoints */
    assert_true(set->images[0].id == -1 && set->images[0].width == 0 && set->images[0].height == 2147483647);
    assert_int_equal(set->truth_count, 3);
    assert_true(!set->truths[0].is_crowd && set->truths[0].keypoint_count == 0 && set->truths[0].area == 0);
    assert_true(set->truths[1].is_crowd && set->truths[1].keypoint_count == 2147483647);
    assert_true(!set->truths[2].is_crowd);
    assert_int_equal(set->truths[2].keypoint_count, 16); /* labelled ones: those whose visibility is above 0 */
    hs_coco_set_destroy(set);
    /* Without "person", the first category with keypoints is used. */
    static const char other[] = FILE_OF("{\"id\":5,\"name\":\"man\",\"keypoints\":" NAMES "},"
                                        "{\"id\":6,\"name\":\"ape\",\"keypoints\":" NAMES "}",
                                        IMAGE, "");
    assert_int_equal(hs_coco_set_parse(other, sizeof(other) - 1, "t", &set, &err), 0);
    assert_int_equal(set->category_id, 5);
    assert_int_equal(set->truth_count, 0);
    hs_coco_set_destroy(set);
}

/* ---- out of memory ---- */

static int read_set(void *arg)
{
    static const char text[] = FILE_OF(PERSON, IMAGE "," IMAGE, TRUTH "," TRUTH);
    struct hs_coco_set *set = NULL;
    struct hs_error err = { 0 };
    (void) arg;
    int r = hs_coco_set_parse(text, sizeof(text) - 1, "t", &set, &err);
    assert_int_equal(r, err.code);
    assert_int_equal(set == NULL, r != 0);
    if (r == 0) {
        assert_true(set->image_count == 2 && set->truth_count == 2);
        assert_string_equal(set->images[1].file_name, "a/b..c.jpg");
        assert_int_equal(set->truths[1].keypoint_count, 3);
    }
    hs_coco_set_destroy(set);
    return r;
}

/* The file is written completely or not at all. */
static int save_results(void *arg)
{
    static struct hs_coco_result results[64];
    struct hs_error err = { 0 };
    json_error_t detail;
    unlink(arg);
    int r = hs_coco_results_save(arg, 1, results, 64, &err);
    assert_int_equal(r, err.code);
    assert_int_equal(access(arg, F_OK) == 0, r == 0);
    if (r < 0)
        return r;
    json_t *back = json_load_file(arg, 0, &detail);
    if (!back)
        return HS_ENOMEM; /* json_load_file ran out of memory */
    assert_int_equal(json_array_size(back), 64);
    json_decref(back);
    return 0;
}

static void sets_and_results_are_complete_or_rejected(void **state)
{
    (void) state;
    char folder[] = "/tmp/hs-coco-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/results.json", folder);
    assert_true(hs_fail_each_allocation(save_results, path) > 3);
    unlink(path);
    rmdir(folder);
    assert_true(hs_fail_each_allocation(read_set, NULL) > 100);
}

static void files_that_cannot_be_read(void **state)
{
    (void) state;
    struct hs_coco_set *set = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_coco_set_load("/no/such/folder/annotations.json", &set, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "annotations.json"));
    assert_null(set);
    assert_true(hs_coco_set_load("/", &set, &err) < 0);
    assert_null(set);
    hs_coco_set_destroy(set); /* NULL is allowed; `eval` relies on it */
}

static void results_read_back_as_written(void **state)
{
    (void) state;
    char path[] = "/tmp/hs-coco-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct hs_coco_result results[3] = { { .image_id = 9007199254740993, .score = 0.1 },
                                         { .image_id = -2 },
                                         { .image_id = 3 } };
    static const double awkward[] = { 1.0 / 3, 1e-300, 1e300, 123456789012345680.0, 5, 0, (double) 0.7f, -2.5, 1e15 };
    for (int i = 0; i < 51; i++)
        results[0].keypoints[i] = awkward[i % 9];
    results[2].score = (double) 0.8999999f;
    assert_int_equal(hs_coco_results_save(path, 5, results, 3, NULL), 0);

    json_t *back = json_load_file(path, 0, NULL);
    assert_int_equal(json_array_size(back), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *one = json_array_get(back, i), *points = json_object_get(one, "keypoints");
        assert_int_equal(json_object_size(one), 4);
        assert_true(json_integer_value(json_object_get(one, "image_id")) == results[i].image_id);
        assert_int_equal(json_integer_value(json_object_get(one, "category_id")), 5);
        assert_true(json_number_value(json_object_get(one, "score")) == results[i].score);
        assert_int_equal(json_array_size(points), 51);
        for (size_t k = 0; k < 51; k++)
            assert_true(json_number_value(json_array_get(points, k)) == results[i].keypoints[k]);
    }
    json_decref(back);
    assert_int_equal(hs_coco_results_save(path, 1, NULL, 0, NULL), 0);
    back = json_load_file(path, 0, NULL);
    assert_true(json_is_array(back) && json_array_size(back) == 0);
    json_decref(back);
    unlink(path);
    assert_true(hs_coco_results_save("/no/such/folder/r.json", 1, results, 3, NULL) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_needed_members),  cmocka_unit_test(a_bad_set_is_rejected_with_its_index),
        cmocka_unit_test(files_that_cannot_be_read), cmocka_unit_test(results_read_back_as_written),
        cmocka_unit_test(unusual_values_are_read),   cmocka_unit_test(sets_and_results_are_complete_or_rejected),
    };
    return HS_RUN_TESTS(tests);
}
