/* Decides from an ONNX file's shapes and metadata whether the services can serve it, and how its outputs are read. */
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

/* Class names as Ultralytics writes them: a Python dict {0: 'person', 1: "dog"} (keys 0, 1, 2 … in order) or list
 * ['person', 'dog'] of plain strings, at most `max`. Nothing is evaluated. HS_EMODEL for anything else, HS_ENOMEM. The
 * caller finishes *ret_list. Any thread. */
int hs_label_list_parse(const char *text, size_t max, struct hs_label_list *ret_list, struct hs_error *err);
void hs_label_list_finish(struct hs_label_list *list); /* a zeroed one is fine */

/* Keypoint names as Ultralytics writes them, a dict of a list for each class: {0: ['nose', "tail"], 1: [...]}.
 * HS_EMODEL for anything else, and if the classes' lists differ: a model has one list here. */
int hs_keypoint_names_parse(const char *text, size_t max, struct hs_label_list *ret_list, struct hs_error *err);

struct hs_model_shape {
    enum hs_task task;
    enum hs_decode decode;
    enum hs_scores scores;
    int input;                 /* in: side wanted if the file leaves it open, 0: what it says, else 640 */
    int width, height, stride; /* as in struct hs_pack_input */
    float mean[3], std[3];     /* as published for the family; a file does not say */
    bool bgr;
    /* pose models */
    int classes, keypoints, dims; /* in: what the user says, 0: not said. out: what holds */
    struct hs_label_list labels;  /* out: `classes` names, from the file; empty if it has none. Caller finishes */
    /* out: `keypoints` names, from the file; empty if it has none that can be read. Caller finishes */
    struct hs_label_list keypoint_names;
    /* face models */
    bool points;   /* a detector that gives five points too */
    int dimension; /* of an embedding */
};

/* Fills *shape. HS_EMODEL with the reason if it cannot be served; only the shape's numbers may have changed then. */
int hs_pose_shape_read(const struct hs_onnx_info *info, struct hs_model_shape *shape, struct hs_error *err);

/* The family that number and form of the outputs remind of; false: none, it may be a pose model. SCRFD has six or nine
 * outputs of 1, 4 and 10 numbers a row, RetinaFace three of 4, 2 and 10, ArcFace one vector. */
bool hs_face_shape_match(const struct hs_onnx_info *info, enum hs_decode *ret_decode);

/* Fills *shape for a file that hs_face_shape_match knows. HS_EMODEL with the reason; nothing has changed then. */
int hs_face_shape_read(const struct hs_onnx_info *info, enum hs_decode decode, struct hs_model_shape *shape,
                       struct hs_error *err);

#endif
