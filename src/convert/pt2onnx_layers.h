/* The modules that YOLOv8 and YOLO11 are made of, each as nodes of a graph. */
#ifndef HS_CONVERT_PT2ONNX_LAYERS_H
#define HS_CONVERT_PT2ONNX_LAYERS_H

#include "convert/pt2onnx_graph.h"

/* Emits the submodule `name` of `parent`. */
struct hs_pt_edge hs_pt_emit_part(const struct hs_pt_module *parent, const char *name, struct hs_pt_edge x);

/* The same for a layer that reads `count` values as a list. */
struct hs_pt_edge hs_pt_emit_list_part(const struct hs_pt_module *parent, const char *name, const struct hs_pt_edge *x,
                                       size_t count);

#endif
