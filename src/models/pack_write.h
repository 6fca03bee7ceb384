/* Writes the page of a new pack. */
#ifndef HS_MODELS_PACK_WRITE_H
#define HS_MODELS_PACK_WRITE_H

#include <stdint.h>

#include "base/buf.h"
#include "convert/face_shape.h"
#include "convert/pose_shape.h"
#include "hs/status.h"
#include "models/pack.h"

/* What the page will say; everything is borrowed. Exactly one of `pose` and `face` is there. */
struct hs_pack_draft {
    const char *name, *title, *licence; /* title and licence: any text, also from a file; written as YAML wants it */
    const char *backend;                /* "openvino" or "hailo" */
    const char *file_name, *sha256;
    uint64_t size;
    const struct hs_pose_shape *pose;
    const struct hs_pack *keypoint_names; /* a pack whose keypoints these are; NULL: they are made up */
    const struct hs_face_shape *face;
    double threshold; /* of an embedding, whose space is called after the pack and the file's hash */
};

/* Appends the page, which ends with a newline. HS_ENOMEM also where it does not fit into out->max. */
int hs_pack_write(const struct hs_pack_draft *draft, struct hs_buf *out);

#endif
