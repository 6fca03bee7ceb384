/* What a checkpoint says about its model in words and numbers. */
#ifndef HS_CONVERT_PT2ONNX_INFO_H
#define HS_CONVERT_PT2ONNX_INFO_H

#include "convert/pt2onnx.h"
#include "convert/pt2onnx_graph.h"

/* The parts of a checkpoint; borrowed from its archive. */
struct hs_pt_model {
    const struct hs_pickle_value *root;  /* what the file holds; NULL where that is the model itself */
    const struct hs_pickle_value *model; /* ultralytics' PoseModel */
    const struct hs_pickle_value *net;   /* the list of its layers */
    const struct hs_pickle_value *head;  /* the last of them */
    uint32_t body;                       /* how many come before it */
};

/* Finds the parts, and refuses what is no YOLOv8 or YOLO11 pose model. Failures go to the graph. */
void hs_pt_find_model(struct hs_pt_graph *graph, struct hs_pt_model *ret_model);

/* Fills everything but source_sha256. ret_info is empty before, and the caller frees it with
 * hs_pt2onnx_info_finish whatever happens. */
void hs_pt_read_info(struct hs_pt_graph *graph, const struct hs_pt_model *model, struct hs_pt2onnx_info *ret_info);

/* The names as Python prints them; NULL and a failure where there are none. */
const char *hs_pt_names_text(struct hs_pt_graph *graph, const struct hs_pt_model *model);

#endif
