/* Compiles a model file to a network that takes uint8 NHWC RGB, and maps OpenVINO's failures to ours. */
#ifndef HS_BACKENDS_OPENVINO_COMPILE_H
#define HS_BACKENDS_OPENVINO_COMPILE_H

#include <openvino/c/openvino.h>

#include "hs/backend.h"

/* Returns 0 for OK. Otherwise fills *err with `doing` and OpenVINO's last message as one line, and
 * returns `code`. Must be called right after the failed function, because OpenVINO keeps only its
 * newest message. */
int hs_openvino_check(ov_status_e status, int code, struct hs_error *err, const char *doing);

struct hs_openvino_target {
    ov_core_t *core;
    int streams, threads;  /* concurrent requests, total threads */
    const char *cache_dir; /* NULL: no cache */
    const char *runtime;   /* description of all that a compiled model depends on, except model and settings */
    /* As in struct hs_device_options. */
    void (*on_warning)(void *arg, const char *line);
    void *on_warning_arg;
};

/* Reads spec->path, sets the input to batch x 3 x h x w (h and w open if spec->free_size), adds the
 * conversion from bytes to the graph and compiles it for the processor. With a cache, takes the
 * compiled model from there if it is intact (base/compiled_cache.h), else stores it there; a
 * damaged one is reported by on_warning. HS_EUNSUPPORTED: the graph's batch dimension is not free,
 * that is, an output does not become a batch of its old shape. The caller frees with
 * ov_compiled_model_free. */
int hs_openvino_compile(const struct hs_openvino_target *target, const struct hs_model_spec *spec, int batch,
                        ov_compiled_model_t **ret_compiled, struct hs_error *err);

/* Sets number and names of the outputs in *info. */
int hs_openvino_output_names(const ov_compiled_model_t *compiled, struct hs_model_info *info, struct hs_error *err);

/* Fills *desc, whose name is already set, for an output of one picture, from the shape of an output
 * for `batch` pictures. HS_EMODEL: a decoder could not read an output of this shape. */
int hs_openvino_describe(const ov_shape_t *shape, int batch, struct hs_tensor_desc *desc, struct hs_error *err);

#endif
