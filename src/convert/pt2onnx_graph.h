/* The ONNX graph while it grows: nodes, constants, and for each value that flows how many channels it has, so that a
 * checkpoint that contradicts itself is refused here and not by an engine. The first failure stays in `status` and in
 * *err; later calls do nothing and give empty edges, so that code which emits reads like the network. */
#ifndef HS_CONVERT_PT2ONNX_GRAPH_H
#define HS_CONVERT_PT2ONNX_GRAPH_H

#include "base/mem.h"
#include "convert/arena.h"
#include "convert/onnx_wire.h"
#include "convert/pickle.h"
#include "convert/pt_archive.h"

enum {
    HS_PT_MAX_NODES = 20000,  /* modules that share parts could otherwise multiply without end */
    HS_PT_MAX_STEPS = 100000, /* modules that emit nothing, too */
    HS_PT_MAX_DEPTH = 32,
    HS_PT_MAX_OUTPUTS = 3, /* of a node */
    HS_PT_PATH_SIZE = 256,
    HS_PT_MAX_CHANNELS = 1 << 20,
    HS_PT_MAX_STRIDE = 4096,
};

/* A value of the graph. A picture has channels, and `stride` pixels of the input along each side of a cell; for other
 * values both are 0. The name lives as long as the graph. */
struct hs_pt_edge {
    const char *name;
    int64_t channels, stride;
};

/* An input of a node: a value of that name ("" for one left out) or, if name is NULL, a constant. */
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

/* Attributes in the order of their names. */
struct hs_pt_node {
    const char *type, *path;
    const struct hs_pt_input *inputs;
    size_t input_count;
    const struct hs_onnx_attribute *attributes;
    size_t attribute_count;
};

/* Constants as inputs: a number without dimensions, and one to four whole numbers. */
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
    struct hs_buf last; /* the node added last, whose output may still be renamed */
    const char *last_outputs[HS_PT_MAX_OUTPUTS];
    size_t last_at, last_output_at, last_rest_at, last_output_count;
    struct hs_pt_name_count *names;
    unsigned node_count, steps, depth;
};

/* `max_bytes` bounds what is written. The caller finishes the graph whatever happens. */
void hs_pt_graph_init(struct hs_pt_graph *graph, struct hs_pt_archive *archive, size_t max_bytes, struct hs_error *err);
void hs_pt_graph_finish(struct hs_pt_graph *graph);

/* A failure of the buffers becomes the graph's. Gives the status. */
int hs_pt_graph_check(struct hs_pt_graph *graph);

/* Fails with HS_EMODEL and "path: message", unless something failed before. fail_value ends it with what the file has
 * there. fail_with takes a code and no path; no_memory is HS_ENOMEM. */
void hs_pt_fail(struct hs_pt_graph *graph, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void hs_pt_fail_value(struct hs_pt_graph *graph, const char *path, const char *what,
                      const struct hs_pickle_value *value);
void hs_pt_fail_with(struct hs_pt_graph *graph, int code, const char *message);
void hs_pt_no_memory(struct hs_pt_graph *graph);

/* Zeroed memory that lives as long as the graph; NULL once something failed. */
void *hs_pt_graph_alloc(struct hs_pt_graph *graph, size_t count, size_t size);
const char *hs_pt_graph_name(struct hs_pt_graph *graph, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds a node with at most HS_PT_MAX_OUTPUTS outputs and gives their names, in a list that the next node changes. */
const char *const *hs_pt_graph_add(struct hs_pt_graph *graph, const struct hs_pt_node *node, size_t outputs);
#define HS_PT_ADD(graph, type, path, ...) hs_pt_graph_add(graph, &(struct hs_pt_node) { type, path, __VA_ARGS__ }, 1)[0]

/* Renames the only output of the node added last, which must be the edge `now`. */
void hs_pt_graph_rename_last(struct hs_pt_graph *graph, const char *now, const char *name);

/* One module of the checkpoint (a layer or a part of one). Its attributes are read trusting nothing: every value may be
 * missing or of any type. A wrong value fails the graph under the module's path. */
struct hs_pt_module {
    struct hs_pt_graph *graph;
    const struct hs_pickle_value *value; /* NULL: there is none */
    char path[HS_PT_PATH_SIZE];
};

/* The submodule of that name; NULL if there is none. `enter` gives it the path "path.name", and is false, with a
 * failure, if that is too long or something failed before. */
const struct hs_pickle_value *hs_pt_child(const struct hs_pickle_value *module, const char *name);
bool hs_pt_enter(const struct hs_pt_module *m, const char *name, struct hs_pt_module *ret_module);

/* All submodules in order; NULL and a failure if the module has no such list. */
const struct hs_pickle_dict *hs_pt_children(const struct hs_pt_module *m);

/* The name of submodule `i`: at most 63 letters, digits and '_'; false and a failure for anything else. */
bool hs_pt_child_name(const struct hs_pt_module *m, const struct hs_pickle_dict *children, uint32_t i, char dst[64]);

/* An attribute that has to be there. The readers of numbers give `min` or false if it is not what it should be. */
const struct hs_pickle_value *hs_pt_get(const struct hs_pt_module *m, const char *name);
int64_t hs_pt_get_int(const struct hs_pt_module *m, const char *name, int64_t min, int64_t max);
double hs_pt_get_real(const struct hs_pt_module *m, const char *name);
bool hs_pt_get_pair(const struct hs_pt_module *m, const char *name, int64_t min, int64_t max, int64_t ret[2]);

/* The tensor module.group[name] (group "_parameters" or "_buffers"). read_vector wants `count` numbers in one
 * dimension. Caller frees the numbers with free(). */
bool hs_pt_read_tensor(const struct hs_pt_module *m, const char *group, const char *name,
                       struct hs_pt_array *ret_array);
double *hs_pt_read_vector(const struct hs_pt_module *m, const char *group, const char *name, size_t count);

/* pt2onnx_layers.c: the modules that YOLOv8 and YOLO11 are made of, as nodes. Emits the submodule `name`; emit_list a
 * layer that reads `count` values as a list. */
struct hs_pt_edge hs_pt_emit_part(const struct hs_pt_module *parent, const char *name, struct hs_pt_edge x);
struct hs_pt_edge hs_pt_emit_list(const struct hs_pt_module *m, const struct hs_pt_edge *x, size_t count);

#endif
