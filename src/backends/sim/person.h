/* The nine raw heads of yolov8s_pose as a Hailo HEF gives them, with one person in them. */
#ifndef HS_BACKENDS_SIM_PERSON_H
#define HS_BACKENDS_SIM_PERSON_H

#include "hs/tensor.h"

enum { HS_SIM_HEADS = 9 };

/* Describes the heads for an input of that size (sides rounded up to cells). Any size from 1 x 1 on. */
void hs_sim_person_describe(int input_h, int input_w, struct hs_tensor_desc ret_descs[HS_SIM_HEADS]);

/* Fills head `index`, of descs[index].size_bytes. The person stands in the middle cell of the coarsest grid (32 pixels
 * a cell) with score 230/255: at 640 x 640 the box is (240,112) to (432,560). */
void hs_sim_person_fill(const struct hs_tensor_desc descs[HS_SIM_HEADS], int index, void *data);

#endif
