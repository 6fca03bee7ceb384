/* Decides from an ONNX file's shapes and metadata if the services can serve it, and which decoder
 * its outputs need. */
#ifndef HS_CONVERT_MODEL_SHAPE_H
#define HS_CONVERT_MODEL_SHAPE_H

#include <stdbool.h>

#include "convert/model_kind.h"
#include "convert/onnx_info.h"
#include "hs/status.h"

struct hs_label_list {
    size_t count;
    char **labels;
};

/* Parses class names in Ultralytics' format: a Python dict {0: 'person', 1: "dog"} (keys 0, 1, 2 …
 * in order) or list ['person', 'dog'] of plain strings, at most `max`. Nothing is evaluated.
 * HS_EMODEL for anything else, HS_ENOMEM. Caller frees with hs_label_list_finish. Any thread. */
int hs_label_list_parse(const char *text, size_t max, struct hs_label_list *ret_list, struct hs_error *err);
void hs_label_list_finish(struct hs_label_list *list); /* may be zeroed */

/* Parses keypoint names in Ultralytics' format, a dict with a list for each class: {0: ['nose',
 * "tail"], 1: [...]}. HS_EMODEL for anything else, and if the lists differ, because a model has one
 * list here. Otherwise as above. */
int hs_keypoint_names_parse(const char *text, size_t max, struct hs_label_list *ret_list, struct hs_error *err);

struct hs_model_shape {
    enum hs_task task;
    enum hs_decode decode;
    enum hs_scores scores;
    int input;                 /* in: side to use if the file leaves it open, 0: the file's, else 640 */
    int width, height, stride; /* as in struct hs_pack_input */
    float mean[3], std[3];     /* as published for the family; not stored in the file */
    bool bgr;
    /* pose models */
    int classes, keypoints, dims; /* in: the user's numbers, 0: not given. out: the resulting numbers */
    struct hs_label_list labels;  /* out: `classes` names from the file, or empty. Caller frees */
    /* out: `keypoints` names from the file; empty if it has none that can be read. Caller frees */
    struct hs_label_list keypoint_names;
    /* face models */
    bool points;   /* the detector outputs five points too */
    int dimension; /* of an embedding */
};

/* Fills *shape. HS_EMODEL with the reason if the model cannot be served; then only the numbers in
 * *shape may have changed. */
int hs_pose_shape_read(const struct hs_onnx_info *info, struct hs_model_shape *shape, struct hs_error *err);

/* Detects the family of a face model from the number and form of its outputs; false: not a face
 * model (it may be a pose model). SCRFD has six or nine outputs with 1, 4 and 10 numbers per row,
 * RetinaFace three with 4, 2 and 10, ArcFace one vector. */
bool hs_face_shape_match(const struct hs_onnx_info *info, enum hs_decode *ret_decode);

/* Fills *shape for a family that hs_face_shape_match detected. HS_EMODEL with the reason; then
 * *shape is unchanged. */
int hs_face_shape_read(const struct hs_onnx_info *info, enum hs_decode decode, struct hs_model_shape *shape,
                       struct hs_error *err);

#endif
