/* From a model file to a network that takes uint8 NHWC RGB, and OpenVINO's failures as ours. */
#ifndef HS_BACKENDS_OPENVINO_COMPILE_H
#define HS_BACKENDS_OPENVINO_COMPILE_H

#include <openvino/c/openvino.h>

#include "hs/backend.h"

/* 0 for OK. Else fills *err with `doing` and what OpenVINO says about it, as one line, and returns `code`. Call it
 * right after the function that failed: the message belongs to the newest failure. */
int hs_openvino_check(ov_status_e status, int code, struct hs_error *err, const char *doing);

/* Reads spec->path, makes the input batch x 3 x h x w (h and w open if spec->free_size), builds the conversion from
 * bytes into the graph and compiles for the processor with `streams` requests at a time on `threads` threads in all.
 * HS_EUNSUPPORTED: the graph is not free in its batch dimension, that is, some output does not become a batch of what
 * it was. If cache_dir is not NULL the compiled form is taken from there, or put there; its name is made by OpenVINO
 * from the model's content, so a changed file is another entry. The caller frees with ov_compiled_model_free. */
int hs_openvino_compile(ov_core_t *core, const struct hs_model_spec *spec, int batch, int streams, int threads,
                        const char *cache_dir, ov_compiled_model_t **ret_compiled, struct hs_error *err);

/* Sets number and names of the outputs in *info. */
int hs_openvino_output_names(const ov_compiled_model_t *compiled, struct hs_model_info *info, struct hs_error *err);

/* Fills *desc, whose name is set, as an output of one picture, from the shape of an output for `batch` of them.
 * HS_EMODEL for what a decoder could not read. */
int hs_openvino_describe(const ov_shape_t *shape, int batch, struct hs_tensor_desc *desc, struct hs_error *err);

#endif
