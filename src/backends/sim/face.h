/* The nine heads of an SCRFD detector as a Hailo HEF gives them: a face in each bright blob. */
#ifndef HS_BACKENDS_SIM_FACE_H
#define HS_BACKENDS_SIM_FACE_H

#include "backends/sim/blobs.h"
#include "hs/tensor.h"

enum { HS_SIM_FACE_HEADS = 9 };

/* Scores, boxes and landmarks of the strides 8, 16 and 32, two anchors a cell; sides are rounded up to cells. */
void hs_sim_face_describe(int input_h, int input_w, enum hs_dtype dtype,
                          struct hs_tensor_desc ret_descs[HS_SIM_FACE_HEADS]);

/* Fills the heads, data[i] of descs[i].size_bytes. Each blob is a face's box; its landmarks lie so that the aligned
 * face is what the box holds (where that is square). Scores fall from 230/255 by 4/255 from face to face. Without any
 * blob there is no face. */
void hs_sim_face_fill(const struct hs_tensor_desc descs[HS_SIM_FACE_HEADS], const struct hs_sim_blob *blobs, int count,
                      void *const data[HS_SIM_FACE_HEADS]);

#endif
