/* The nine raw heads of yolov8s_pose as a Hailo HEF gives them: a person in each bright blob. */
#ifndef HS_BACKENDS_SIM_PERSON_H
#define HS_BACKENDS_SIM_PERSON_H

#include "backends/sim/blobs.h"
#include "hs/tensor.h"

enum { HS_SIM_PERSON_HEADS = 9 };

/* Describes the heads for an input of that size (sides rounded up to cells), any from 1 x 1 on. `dtype` U8 is what the
 * HEF has, whose keypoints are U16. */
void hs_sim_person_describe(int input_h, int input_w, enum hs_dtype dtype,
                            struct hs_tensor_desc ret_descs[HS_SIM_PERSON_HEADS]);

/* Fills the heads, data[i] of descs[i].size_bytes. Each blob is a person's box to within a pixel or so, on the finest
 * stride that reaches its sides (15 cells from the middle at most: what is larger is cut to that). Scores fall from
 * 230/255 by 4/255 from person to person. Without any blob one person stands in the middle cell of the coarsest grid
 * (32 pixels a cell): at 640 x 640 the box is (240,112) to (432,560). */
void hs_sim_person_fill(const struct hs_tensor_desc descs[HS_SIM_PERSON_HEADS], const struct hs_sim_blob *blobs,
                        int count, void *const data[HS_SIM_PERSON_HEADS]);

#endif
