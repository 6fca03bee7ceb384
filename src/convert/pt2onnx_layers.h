/* The modules that YOLOv8 and YOLO11 are made of, each as nodes of a graph. */
#ifndef HS_CONVERT_PT2ONNX_LAYERS_H
#define HS_CONVERT_PT2ONNX_LAYERS_H

#include "convert/pt2onnx_graph.h"

/* Emits the submodule `name` of `parent`, whose path is `path`. */
struct hs_pt_edge hs_pt_emit_part(struct hs_pt_graph *graph, const struct hs_pickle_value *parent, const char *name,
                                  struct hs_pt_edge x, const char *path);

/* The same for a layer that reads `count` values as a list. */
struct hs_pt_edge hs_pt_emit_list_part(struct hs_pt_graph *graph, const struct hs_pickle_value *parent,
                                       const char *name, const struct hs_pt_edge *x, size_t count, const char *path);

#endif
