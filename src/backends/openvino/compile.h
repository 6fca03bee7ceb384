/* From a model file to a network that takes uint8 NHWC RGB of a given size. */
#ifndef HS_BACKENDS_OPENVINO_COMPILE_H
#define HS_BACKENDS_OPENVINO_COMPILE_H

#include <openvino/c/openvino.h>

#include "hs/backend.h"

/* Reads spec->path, fixes the input at batch x 3 x h x w, builds the conversion from bytes into the graph and compiles
 * for the processor with `streams` requests at a time on `threads` threads in all. *ret_batch is spec->batch where the
 * graph is free in its batch dimension, that is, where each output's first dimension and nothing else grows with the
 * input's; else 1. Where cache_dir is not NULL the compiled
 * form is taken from there, or put there; its name is made by OpenVINO from the model's content, so a changed
 * file is another entry. Caller frees with ov_compiled_model_free. */
int hs_openvino_compile(ov_core_t *core, const struct hs_model_spec *spec, int streams, int threads,
                        const char *cache_dir, ov_compiled_model_t **ret_compiled, int *ret_batch,
                        struct hs_error *err);

/* Fills the outputs of *info, as those of one picture, from the network that was compiled for info->batch of them;
 * refuses (HS_EMODEL) what a decoder could not read. */
int hs_openvino_describe(const ov_compiled_model_t *compiled, const struct hs_model_spec *spec,
                         struct hs_model_info *info, struct hs_error *err);

#endif
