/* Reads what a checkpoint says about one module (a layer or a part of one), trusting nothing: every value may be
 * missing or of any type. What is wrong fails the graph (see pt2onnx_graph.h) under the module's path. */
#ifndef HS_CONVERT_PT2ONNX_MODULE_H
#define HS_CONVERT_PT2ONNX_MODULE_H

#include "convert/pt2onnx_graph.h"

/* The submodule of that name; NULL where there is none. */
const struct hs_pickle_value *hs_pt_child(const struct hs_pickle_value *module, const char *name);

/* All submodules in order; NULL and a failure where the module has no such list. */
const struct hs_pickle_dict *hs_pt_children(struct hs_pt_graph *graph, const struct hs_pickle_value *module,
                                            const char *path);

/* "path.name" into dst; false and a failure where that is too long. The name of entry `i` of a list of modules: at most
 * 63 letters, digits and '_'; false and a failure where it is anything else. */
bool hs_pt_join(struct hs_pt_graph *graph, const char *path, const char *name, char dst[HS_PT_PATH_SIZE]);
bool hs_pt_entry_name(struct hs_pt_graph *graph, const struct hs_pickle_dict *modules, uint32_t i, const char *path,
                      char dst[64]);

/* An attribute that has to be there. The readers of numbers give `min` or false where it is not what it should be. */
const struct hs_pickle_value *hs_pt_get(struct hs_pt_graph *graph, const struct hs_pickle_value *module,
                                        const char *path, const char *name);
bool hs_pt_get_true(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *path,
                    const char *name);
int64_t hs_pt_get_int(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *path,
                      const char *name, int64_t min, int64_t max);
double hs_pt_get_real(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *path,
                      const char *name);
bool hs_pt_get_pair(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *path,
                    const char *name, int64_t min, int64_t max, int64_t ret[2]);

/* The tensor module.group[name] (group "_parameters" or "_buffers"). read_vector wants `count` numbers in one
 * dimension. Caller frees the numbers with free(). */
bool hs_pt_read_tensor(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *group,
                       const char *name, const char *path, struct hs_pt_array *ret_array);
double *hs_pt_read_vector(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *group,
                          const char *name, const char *path, size_t count);

#endif
