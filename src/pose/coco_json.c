#include "pose/coco_json.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_read.h"
#include "base/mem.h"
#include "base/str.h"

enum { NUMBERS = 3 * HS_COCO_KEYPOINTS };

/* The place of a value in a file; every message begins with it. */
struct place {
    const char *name, *list;
    size_t index;
    struct hs_error *err;
};

static int refuse(const struct place *place, const char *what)
{
    return hs_error_set(place->err, HS_EDECODE, "%s: %s[%zu]: %s", place->name, place->list, place->index, what);
}

static int parse(const char *text, size_t len, const char *name, json_t **ret_root, struct hs_error *err)
{
    json_error_t detail;
    int r = hs_json_read(text, len, 0, ret_root, &detail);
    if (r == 0)
        return 0;
    if (r == HS_ENOMEM)
        return hs_error_set(err, r, "no memory for %s", name);
    r = hs_error_set(err, HS_EDECODE, "%s:%d: %s", name, detail.line, detail.text);
    if (err)
        err->line = detail.line;
    return r;
}

/* Reads exactly `count` numbers. */
static bool get_numbers(const json_t *object, const char *key, double *ret, size_t count)
{
    const json_t *list = json_object_get(object, key);
    if (!json_is_array(list) || json_array_size(list) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *number = json_array_get(list, i);
        if (!json_is_number(number))
            return false;
        ret[i] = json_number_value(number);
    }
    return true;
}

static bool get_id(const json_t *object, const char *key, int64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    *ret = json_integer_value(value);
    return json_is_integer(value);
}

static bool get_int(const json_t *object, const char *key, int *ret)
{
    int64_t value;
    if (!get_id(object, key, &value) || value < 0 || value > INT_MAX)
        return false;
    *ret = (int) value;
    return true;
}

/* Returns true if the path stays below its folder. Annotation files must not name pictures outside
 * the user's folder. */
static bool is_inside_folder(const char *path)
{
    if (path[0] == '\0' || path[0] == '/')
        return false;
    for (const char *part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return false;
    }
    return true;
}

static int read_image(const json_t *item, struct hs_coco_image *image, const struct place *place)
{
    const char *file_name = json_string_value(json_object_get(item, "file_name"));
    if (!get_id(item, "id", &image->id))
        return refuse(place, "\"id\" must be an integer");
    if (!get_int(item, "width", &image->width) || !get_int(item, "height", &image->height))
        return refuse(place, "\"width\" and \"height\" must be non-negative integers");
    if (!file_name || !is_inside_folder(file_name))
        return refuse(place, "\"file_name\" must be a relative path without \"..\"");
    image->file_name = strdup(file_name);
    return image->file_name ? 0 : hs_error_set(place->err, HS_ENOMEM, "no memory for %s", place->name);
}

static int count_labelled(const double keypoints[NUMBERS])
{
    int count = 0;
    for (int i = 0; i < HS_COCO_KEYPOINTS; i++)
        count += keypoints[3 * i + 2] > 0;
    return count;
}

static int read_truth(const json_t *item, struct hs_coco_truth *truth, const struct place *place)
{
    const json_t *crowd = json_object_get(item, "iscrowd"), *area = json_object_get(item, "area");
    if (!get_id(item, "image_id", &truth->image_id))
        return refuse(place, "\"image_id\" must be an integer");
    if (!get_numbers(item, "keypoints", truth->keypoints, NUMBERS))
        return refuse(place, "\"keypoints\" must be 51 numbers");
    if (!get_numbers(item, "bbox", truth->bbox, HS_ARRAY_LEN(truth->bbox)))
        return refuse(place, "\"bbox\" must be 4 numbers");
    if (!json_is_number(area) || json_number_value(area) < 0)
        return refuse(place, "\"area\" must be a number of at least 0");
    truth->area = json_number_value(area);
    truth->is_crowd = json_is_true(crowd) || json_integer_value(crowd) != 0;
    if (!json_object_get(item, "num_keypoints"))
        truth->keypoint_count = count_labelled(truth->keypoints);
    else if (!get_int(item, "num_keypoints", &truth->keypoint_count))
        return refuse(place, "\"num_keypoints\" must be a count");
    return 0;
}

static int read_images(const json_t *root, struct hs_coco_set *set, const char *name, struct hs_error *err)
{
    const json_t *list = json_object_get(root, "images");
    if (!json_is_array(list) || json_array_size(list) == 0)
        return hs_error_set(err, HS_EDECODE, "%s: \"images\" is missing or empty", name);
    set->images = calloc(json_array_size(list), sizeof(*set->images));
    if (!set->images)
        return hs_error_set(err, HS_ENOMEM, "no memory for %s", name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct place place = { name, "images", i, err };
        int r = read_image(json_array_get(list, i), &set->images[set->image_count++], &place);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_truths(const json_t *root, struct hs_coco_set *set, const char *name, struct hs_error *err)
{
    const json_t *list = json_object_get(root, "annotations");
    if (!json_is_array(list))
        return hs_error_set(err, HS_EDECODE, "%s: \"annotations\" is missing", name);
    set->truths = calloc(json_array_size(list) + 1, sizeof(*set->truths));
    if (!set->truths)
        return hs_error_set(err, HS_ENOMEM, "no memory for %s", name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct place place = { name, "annotations", i, err };
        const json_t *item = json_array_get(list, i);
        int64_t category;
        if (!get_id(item, "category_id", &category))
            return refuse(&place, "\"category_id\" must be an integer");
        if (category != set->category_id)
            continue;
        int r = read_truth(item, &set->truths[set->truth_count], &place);
        if (r < 0)
            return r;
        set->truth_count++;
    }
    return 0;
}

static int read_category(const json_t *root, struct hs_coco_set *set, const char *name, struct hs_error *err)
{
    const json_t *list = json_object_get(root, "categories");
    bool found = false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *category = json_string_value(json_object_get(item, "name"));
        int64_t id;
        if (json_array_size(json_object_get(item, "keypoints")) != HS_COCO_KEYPOINTS || !get_id(item, "id", &id))
            continue;
        if (!found || (category && strcmp(category, "person") == 0))
            set->category_id = id;
        found = true;
    }
    return found ? 0 : hs_error_set(err, HS_EDECODE, "%s: no category with 17 keypoints", name);
}

int hs_coco_set_parse(const char *text, size_t len, const char *name, struct hs_coco_set **ret_set,
                      struct hs_error *err)
{
    json_t *root;
    int r = parse(text, len, name, &root, err);
    if (r < 0)
        return r;
    struct hs_coco_set *set = calloc(1, sizeof(*set));
    if (!set)
        r = hs_error_set(err, HS_ENOMEM, "no memory for %s", name);
    if (r == 0)
        r = read_category(root, set, name, err);
    if (r == 0)
        r = read_images(root, set, name, err);
    if (r == 0)
        r = read_truths(root, set, name, err);
    json_decref(root);
    if (r < 0)
        hs_coco_set_destroy(set);
    else
        *ret_set = set;
    return r;
}

int hs_coco_set_load(const char *path, struct hs_coco_set **ret_set, struct hs_error *err)
{
    uint8_t *text;
    size_t len;
    int r = hs_file_read(path, HS_COCO_FILE_MAX, &text, &len, err);
    if (r < 0)
        return r;
    r = hs_coco_set_parse((const char *) text, len, path, ret_set, err);
    free(text);
    return r;
}

void hs_coco_set_destroy(struct hs_coco_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->image_count; i++)
        free(set->images[i].file_name);
    free(set->images);
    free(set->truths);
    free(set);
}

static void append_result(struct hs_buf *buf, int64_t category_id, const struct hs_coco_result *result)
{
    char number[32];
    hs_buf_printf(buf, "{\"image_id\": %lld, \"category_id\": %lld, \"keypoints\": [", (long long) result->image_id,
                  (long long) category_id);
    for (int i = 0; i < NUMBERS; i++) {
        hs_str_from_double(result->keypoints[i], number);
        hs_buf_printf(buf, "%s%s", i ? ", " : "", number);
    }
    hs_str_from_double(result->score, number);
    hs_buf_printf(buf, "], \"score\": %s}", number);
}

int hs_coco_results_save(const char *path, int64_t category_id, const struct hs_coco_result *results, size_t count,
                         struct hs_error *err)
{
    struct hs_buf buf;
    hs_buf_init(&buf, HS_COCO_FILE_MAX);
    hs_buf_append_str(&buf, "[");
    for (size_t i = 0; i < count; i++) {
        hs_buf_append_str(&buf, i ? ",\n" : "\n");
        append_result(&buf, category_id, &results[i]);
    }
    int r = hs_buf_append_str(&buf, "\n]\n");
    if (r < 0)
        hs_error_set(err, r, "no memory to write %s (%zu results)", path, count);
    else
        r = hs_file_write_atomic(path, buf.data, buf.len, 0644, err);
    hs_buf_finish(&buf);
    return r;
}
