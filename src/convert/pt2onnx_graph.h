/* Builds the ONNX graph: nodes, constants, and the channel count of each value, so that an
 * inconsistent checkpoint is refused here and not by an inference engine. `status` and *err keep
 * the first failure; later calls do nothing and return empty edges, so that the code that emits a
 * network needs no error checks. */
#ifndef HS_CONVERT_PT2ONNX_GRAPH_H
#define HS_CONVERT_PT2ONNX_GRAPH_H

#include "base/mem.h"
#include "convert/arena.h"
#include "convert/onnx_wire.h"
#include "convert/pickle.h"
#include "convert/pt_archive.h"

enum {
    HS_PT_MAX_NODES = 20000,  /* limits modules that share parts, whose number could otherwise explode */
    HS_PT_MAX_STEPS = 100000, /* also counts modules that emit no nodes */
    HS_PT_MAX_DEPTH = 32,
    HS_PT_MAX_OUTPUTS = 3, /* of one node */
    HS_PT_PATH_SIZE = 256,
    HS_PT_MAX_CHANNELS = 1 << 20,
    HS_PT_MAX_STRIDE = 4096,
};

/* A value in the graph. A feature map has channels and a stride (input pixels along each side of a
 * cell); for other values both are 0. The graph owns the name. */
struct hs_pt_edge {
    const char *name;
    int64_t channels, stride;
};

/* An input of a node: a value of that name ("" for an omitted one) or, if name is NULL, a constant. */
struct hs_pt_input {
    const char *name;
    enum hs_onnx_elem type;
    size_t dims;
    int64_t size[4];
    const void *elements; /* borrowed during the call; NULL: the numbers below */
    union {
        int64_t ints[4];
        float reals[4];
    };
};

/* Attributes must be sorted by name. */
struct hs_pt_node {
    const char *type, *path;
    const struct hs_pt_input *inputs;
    size_t input_count;
    const struct hs_onnx_attribute *attributes;
    size_t attribute_count;
};

/* Constants as inputs: a scalar, and one to four integers. */
#define HS_PT_REAL(value)                                                                                              \
    {                                                                                                                  \
        .type = HS_ONNX_ELEM_FLOAT, .reals = {(float) (value) }                                                        \
    }
#define HS_PT_INTS(...)                                                                                                \
    {                                                                                                                  \
        .type = HS_ONNX_ELEM_INT64, .dims = 1, .size = { HS_ARRAY_LEN(((int64_t[]) { __VA_ARGS__ })) }, .ints = {      \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }

#define HS_PT_INPUTS(...)                                                                                              \
    .inputs = (const struct hs_pt_input[]) { __VA_ARGS__ },                                                            \
    .input_count = HS_ARRAY_LEN(((const struct hs_pt_input[]) { __VA_ARGS__ }))
#define HS_PT_ATTRIBUTES(...)                                                                                          \
    .attributes = (const struct hs_onnx_attribute[]) { __VA_ARGS__ },                                                  \
    .attribute_count = HS_ARRAY_LEN(((const struct hs_onnx_attribute[]) { __VA_ARGS__ }))

struct hs_pt_name_count;

struct hs_pt_graph {
    struct hs_pt_archive *archive; /* borrowed */
    struct hs_error *err;          /* borrowed, not NULL */
    int status;
    struct hs_arena arena;
    struct hs_buf nodes, weights;
    struct hs_buf last; /* the last node added, whose output can still be renamed */
    const char *last_outputs[HS_PT_MAX_OUTPUTS];
    size_t last_at, last_output_at, last_rest_at, last_output_count;
    struct hs_pt_name_count *names;
    unsigned node_count, steps, depth;
};

/* `max_bytes` limits the output. The caller finishes the graph in every case. */
void hs_pt_graph_init(struct hs_pt_graph *graph, struct hs_pt_archive *archive, size_t max_bytes, struct hs_error *err);
void hs_pt_graph_finish(struct hs_pt_graph *graph);

/* Copies a failure of the buffers to the graph. Returns the status. */
int hs_pt_graph_check(struct hs_pt_graph *graph);

/* Fails with HS_EMODEL and "path: message", unless an earlier call failed. fail_value appends the
 * value found in the file. fail_with takes a code and no path. no_memory sets HS_ENOMEM. */
void hs_pt_fail(struct hs_pt_graph *graph, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void hs_pt_fail_value(struct hs_pt_graph *graph, const char *path, const char *what,
                      const struct hs_pickle_value *value);
void hs_pt_fail_with(struct hs_pt_graph *graph, int code, const char *message);
void hs_pt_no_memory(struct hs_pt_graph *graph);

/* Returns zeroed memory that the graph owns; NULL after a failure. */
void *hs_pt_graph_alloc(struct hs_pt_graph *graph, size_t count, size_t size);
const char *hs_pt_graph_name(struct hs_pt_graph *graph, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a node with at most HS_PT_MAX_OUTPUTS outputs. Returns their names, in a list that the next
 * call overwrites. */
const char *const *hs_pt_graph_add(struct hs_pt_graph *graph, const struct hs_pt_node *node, size_t outputs);
#define HS_PT_ADD(graph, type, path, ...) hs_pt_graph_add(graph, &(struct hs_pt_node) { type, path, __VA_ARGS__ }, 1)[0]

/* Renames the only output of the last node added. That output must be `now`. */
void hs_pt_graph_rename_last(struct hs_pt_graph *graph, const char *now, const char *name);

/* One module of the checkpoint (a layer or a part of one). The readers do not trust its attributes:
 * any value may be missing or of any type. A wrong value fails the graph with the module's path. */
struct hs_pt_module {
    struct hs_pt_graph *graph;
    const struct hs_pickle_value *value; /* NULL: no such module */
    char path[HS_PT_PATH_SIZE];
};

/* hs_pt_child returns the submodule of that name, or NULL. hs_pt_enter also sets its path,
 * "path.name"; it returns false and fails the graph if that is too long, and returns false after an
 * earlier failure. */
const struct hs_pickle_value *hs_pt_child(const struct hs_pickle_value *module, const char *name);
bool hs_pt_enter(const struct hs_pt_module *m, const char *name, struct hs_pt_module *ret_module);

/* Returns all submodules in order; NULL and a failure if the module has no such list. */
const struct hs_pickle_dict *hs_pt_children(const struct hs_pt_module *m);

/* Copies the name of submodule `i`: at most 63 letters, digits and '_'; false and a failure for
 * anything else. */
bool hs_pt_child_name(const struct hs_pt_module *m, const struct hs_pickle_dict *children, uint32_t i, char dst[64]);

/* Read an attribute that must exist. On failure get_int returns `min`, get_real 0 and get_pair
 * false. */
const struct hs_pickle_value *hs_pt_get(const struct hs_pt_module *m, const char *name);
int64_t hs_pt_get_int(const struct hs_pt_module *m, const char *name, int64_t min, int64_t max);
double hs_pt_get_real(const struct hs_pt_module *m, const char *name);
bool hs_pt_get_pair(const struct hs_pt_module *m, const char *name, int64_t min, int64_t max, int64_t ret[2]);

/* Read the tensor module.group[name] (group "_parameters" or "_buffers"). read_vector requires
 * `count` numbers in one dimension. Caller frees the numbers with free(). */
bool hs_pt_read_tensor(const struct hs_pt_module *m, const char *group, const char *name,
                       struct hs_pt_array *ret_array);
double *hs_pt_read_vector(const struct hs_pt_module *m, const char *group, const char *name, size_t count);

/* pt2onnx_layers.c: emits the modules of YOLOv8 and YOLO11 as nodes. emit_part emits the submodule
 * `name`; emit_list emits a layer that reads `count` values as a list. */
struct hs_pt_edge hs_pt_emit_part(const struct hs_pt_module *parent, const char *name, struct hs_pt_edge x);
struct hs_pt_edge hs_pt_emit_list(const struct hs_pt_module *m, const struct hs_pt_edge *x, size_t count);

#endif
