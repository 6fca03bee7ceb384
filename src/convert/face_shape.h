/* Decides from an ONNX file's shapes whether it is a face detector or a face embedding that can be served. */
#ifndef HS_CONVERT_FACE_SHAPE_H
#define HS_CONVERT_FACE_SHAPE_H

#include <stdbool.h>

#include "convert/model_kind.h"
#include "convert/onnx_info.h"
#include "hs/status.h"

struct hs_face_shape {
    int input; /* in: side wanted where the file leaves it open, 0: 640 */
    enum hs_task task;
    enum hs_decode decode;
    bool points;               /* a detector that gives five points too */
    int dimension;             /* of an embedding */
    int width, height, stride; /* as in struct hs_pack_input */
    float mean[3], std[3];     /* as published for the family; a file does not say */
    bool bgr;
};

/* The family that number and form of the outputs remind of; false: none, it may be a pose model. SCRFD has six or nine
 * outputs of 1, 4 and 10 numbers a row, RetinaFace three of 4, 2 and 10, ArcFace one vector. */
bool hs_face_shape_match(const struct hs_onnx_info *info, enum hs_decode *ret_decode);

/* Fills *shape for a file that hs_face_shape_match knows. HS_EMODEL with the reason where it cannot be served. */
int hs_face_shape_read(const struct hs_onnx_info *info, enum hs_decode decode, struct hs_face_shape *shape,
                       struct hs_error *err);

#endif
