/* From a model file to a network that takes uint8 NHWC RGB, and OpenVINO's failures as ours. */
#ifndef HS_BACKENDS_OPENVINO_COMPILE_H
#define HS_BACKENDS_OPENVINO_COMPILE_H

#include <openvino/c/openvino.h>

#include "hs/backend.h"

/* 0 for OK. Else fills *err with `doing` and what OpenVINO says about it, as one line, and returns `code`. Call it
 * right after the function that failed: the message belongs to the newest failure. */
int hs_openvino_check(ov_status_e status, int code, struct hs_error *err, const char *doing);

struct hs_openvino_target {
    ov_core_t *core;
    int streams, threads;  /* requests at a time, threads in all */
    const char *cache_dir; /* NULL: no cache */
    const char *runtime;   /* what a compiled model depends on beside model and settings */
    /* As in struct hs_device_options. */
    void (*on_warning)(void *arg, const char *line);
    void *on_warning_arg;
};

/* Reads spec->path, makes the input batch x 3 x h x w (h and w open if spec->free_size), builds the conversion from
 * bytes into the graph and compiles for the processor.
 * HS_EUNSUPPORTED: the graph is not free in its batch dimension, that is, some output does not become a batch of what
 * it was. With a cache the compiled form is taken from there if it is intact (base/compiled_cache.h), else put there;
 * one that was damaged is reported. The caller frees with ov_compiled_model_free. */
int hs_openvino_compile(const struct hs_openvino_target *target, const struct hs_model_spec *spec, int batch,
                        ov_compiled_model_t **ret_compiled, struct hs_error *err);

/* Sets number and names of the outputs in *info. */
int hs_openvino_output_names(const ov_compiled_model_t *compiled, struct hs_model_info *info, struct hs_error *err);

/* Fills *desc, whose name is set, as an output of one picture, from the shape of an output for `batch` of them.
 * HS_EMODEL for what a decoder could not read. */
int hs_openvino_describe(const ov_shape_t *shape, int batch, struct hs_tensor_desc *desc, struct hs_error *err);

#endif
