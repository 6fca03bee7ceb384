/* COCO keypoint files: reads annotations and writes results. */
#ifndef HS_POSE_COCO_JSON_H
#define HS_POSE_COCO_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "vision/coco_eval.h"

/* Longer files are refused. COCO's largest keypoint file has about 240 MB. */
enum { HS_COCO_FILE_MAX = 512 << 20 };

struct hs_coco_image {
    int64_t id;
    int width, height;
    char *file_name; /* relative path without ".." */
};

/* The pictures and annotated people of one category. */
struct hs_coco_set {
    int64_t category_id;
    size_t image_count, truth_count;
    struct hs_coco_image *images; /* in the file's order */
    struct hs_coco_truth *truths;
};

/* Loads the annotations of the category with 17 keypoints; if several have 17, of "person". Skips
 * annotations of other categories. An annotation without keypoints, area, bbox or image is an error
 * whose message has its index. Caller frees with hs_coco_set_destroy. HS_ENOTFOUND, HS_ETOOLARGE,
 * HS_EIO, HS_EDECODE, HS_ENOMEM. hs_coco_set_parse reads `text` during the call only; `name` is the
 * file's name in messages. */
int hs_coco_set_load(const char *path, struct hs_coco_set **ret_set, struct hs_error *err);
int hs_coco_set_parse(const char *text, size_t len, const char *name, struct hs_coco_set **ret_set,
                      struct hs_error *err);
void hs_coco_set_destroy(struct hs_coco_set *set); /* NULL allowed */

/* Writes image_id, category_id, keypoints and score of each result, atomically. Each number is
 * written with enough digits to read back as the same double. */
int hs_coco_results_save(const char *path, int64_t category_id, const struct hs_coco_result *results, size_t count,
                         struct hs_error *err);

#endif
