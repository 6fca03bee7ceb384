/* Encodes persons as the nine raw heads of yolov8s_pose in a Hailo HEF: one person per bright blob. */
#ifndef HS_BACKENDS_SIM_PERSON_H
#define HS_BACKENDS_SIM_PERSON_H

#include "backends/sim/blobs.h"
#include "hs/tensor.h"

enum { HS_SIM_PERSON_HEADS = 9 };

/* Describes the heads for an input size (sides are rounded up to whole cells); any size from 1 x 1
 * is valid. `dtype` U8 is the HEF's, whose keypoints are U16. */
void hs_sim_person_describe(int input_h, int input_w, enum hs_dtype dtype,
                            struct hs_tensor_desc ret_descs[HS_SIM_PERSON_HEADS]);

/* Fills the heads; data[i] holds descs[i].size_bytes. The box of a person is its blob to within a
 * pixel or so, on the finest stride that reaches its sides; a box is cut to 15 cells from its
 * middle. Scores fall from 230/255 by 4/255 per person. Without blobs one person stands in the
 * middle cell of the coarsest grid (32 pixels per cell): at 640 x 640 its box is (240,112) to
 * (432,560). */
void hs_sim_person_fill(const struct hs_tensor_desc descs[HS_SIM_PERSON_HEADS], const struct hs_sim_blob *blobs,
                        int count, void *const data[HS_SIM_PERSON_HEADS]);

#endif
