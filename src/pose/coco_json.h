/* COCO keypoint files: annotations in, results in and out. */
#ifndef HS_POSE_COCO_JSON_H
#define HS_POSE_COCO_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "hs/status.h"
#include "vision/coco_eval.h"

/* Files longer than this are refused; COCO's largest keypoint file has about 240 MB. */
enum { HS_COCO_FILE_MAX = 512 << 20 };

struct hs_coco_image {
    int64_t id;
    int width, height;
    char *file_name; /* relative, with no ".." in it */
};

/* The pictures and the annotated people of one category. */
struct hs_coco_set {
    int64_t category_id;
    size_t image_count, truth_count;
    struct hs_coco_image *images; /* in the file's order */
    struct hs_coco_truth *truths;
};

/* Takes the category with 17 keypoints (where several have them, the one called "person"). Annotations of other
 * categories are skipped; one without keypoints, area, bbox or image is an error that names its place in the list.
 * Caller frees with hs_coco_set_destroy. HS_ENOTFOUND, HS_ETOOLARGE, HS_EIO, HS_EDECODE, HS_ENOMEM.
 * `text` is only read during the call; `name` is what messages call it. */
int hs_coco_set_load(const char *path, struct hs_coco_set **ret_set, struct hs_error *err);
int hs_coco_set_parse(const char *text, size_t len, const char *name, struct hs_coco_set **ret_set,
                      struct hs_error *err);
void hs_coco_set_destroy(struct hs_coco_set *set); /* NULL allowed */

/* Reads a results file: the entries of `category_id`, in order. As in pycocotools the areas come from the boxes if the
 * first entry has one, else from the keypoints. Caller frees *ret_results with free(). */
int hs_coco_results_load(const char *path, int64_t category_id, struct hs_coco_result **ret_results, size_t *ret_count,
                         struct hs_error *err);
int hs_coco_results_parse(const char *text, size_t len, const char *name, int64_t category_id,
                          struct hs_coco_result **ret_results, size_t *ret_count, struct hs_error *err);

/* Writes image_id, category_id, keypoints and score of each, atomically. Every number reads back as the same double. */
int hs_coco_results_save(const char *path, int64_t category_id, const struct hs_coco_result *results, size_t count,
                         struct hs_error *err);

#endif
