/* Encodes faces as the nine heads of an SCRFD detector in a Hailo HEF: one face per bright blob. */
#ifndef HS_BACKENDS_SIM_FACE_H
#define HS_BACKENDS_SIM_FACE_H

#include "backends/sim/blobs.h"
#include "hs/tensor.h"

enum { HS_SIM_FACE_HEADS = 9 };

/* Describes scores, boxes and landmarks for the strides 8, 16 and 32, with two anchors per cell.
 * Sides are rounded up to whole cells. */
void hs_sim_face_describe(int input_h, int input_w, enum hs_dtype dtype,
                          struct hs_tensor_desc ret_descs[HS_SIM_FACE_HEADS]);

/* Fills the heads; data[i] holds descs[i].size_bytes. The box of a face is its blob; its landmarks
 * are placed so that the aligned face equals the contents of a square box. Scores fall from 230/255
 * by 4/255 per face. Without blobs all scores are 0. */
void hs_sim_face_fill(const struct hs_tensor_desc descs[HS_SIM_FACE_HEADS], const struct hs_sim_blob *blobs, int count,
                      void *const data[HS_SIM_FACE_HEADS]);

#endif
