/* One module of a checkpoint (a layer or a part of one). Its attributes are read trusting nothing: every value may be
 * missing or of any type. A wrong value fails the graph (see pt2onnx_graph.h) under the module's path. */
#ifndef HS_CONVERT_PT2ONNX_MODULE_H
#define HS_CONVERT_PT2ONNX_MODULE_H

#include "convert/pt2onnx_graph.h"

struct hs_pt_module {
    struct hs_pt_graph *graph;
    const struct hs_pickle_value *value; /* NULL: there is none */
    char path[HS_PT_PATH_SIZE];
};

/* The submodule of that name; NULL if there is none. `part` gives it the path of its parent; `enter` "path.name",
 * and is false, with a failure, if that is too long or something failed before. */
const struct hs_pickle_value *hs_pt_child(const struct hs_pickle_value *module, const char *name);
struct hs_pt_module hs_pt_part(const struct hs_pt_module *m, const char *name);
bool hs_pt_enter(const struct hs_pt_module *m, const char *name, struct hs_pt_module *ret_module);

/* All submodules in order; NULL and a failure if the module has no such list. */
const struct hs_pickle_dict *hs_pt_children(const struct hs_pt_module *m);

/* The name of submodule `i`: at most 63 letters, digits and '_'; false and a failure for anything else. */
bool hs_pt_child_name(const struct hs_pt_module *m, const struct hs_pickle_dict *children, uint32_t i, char dst[64]);

/* An attribute that has to be there. The readers of numbers give `min` or false if it is not what it should be. */
const struct hs_pickle_value *hs_pt_get(const struct hs_pt_module *m, const char *name);
bool hs_pt_get_true(const struct hs_pt_module *m, const char *name);
int64_t hs_pt_get_int(const struct hs_pt_module *m, const char *name, int64_t min, int64_t max);
double hs_pt_get_real(const struct hs_pt_module *m, const char *name);
bool hs_pt_get_pair(const struct hs_pt_module *m, const char *name, int64_t min, int64_t max, int64_t ret[2]);

/* The tensor module.group[name] (group "_parameters" or "_buffers"). read_vector wants `count` numbers in one
 * dimension. Caller frees the numbers with free(). */
bool hs_pt_read_tensor(const struct hs_pt_module *m, const char *group, const char *name,
                       struct hs_pt_array *ret_array);
double *hs_pt_read_vector(const struct hs_pt_module *m, const char *group, const char *name, size_t count);

#endif
