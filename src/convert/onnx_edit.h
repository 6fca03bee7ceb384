/* Frees an ONNX file of the size or the batch that it was exported for, by small edits of its protobuf: what is not
 * touched stays as it was, byte for byte, and the same file always gives the same result. */
#ifndef HS_CONVERT_ONNX_EDIT_H
#define HS_CONVERT_ONNX_EDIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "hs/status.h"

/* FREE_BATCH: an input [1, 3, h, w] becomes [batch, 3, h, w], and each output [1, …] becomes [batch, …]; the constants
 * of Reshape nodes go from [1, -1, …] to [0, -1, …] (0 takes the batch over).
 * FREE_SIZE: height and width are freed too, with the second dimension of each output, whose rows they determine; the
 * two Resize nodes of a feature pyramid, to 1/16 and 1/8 of the input, double by a scale in place of a constant size.
 * The recorded shapes of inner tensors (value_info) would contradict that and go. */
enum hs_onnx_edit { HS_ONNX_FREE_BATCH, HS_ONNX_FREE_SIZE };

/* Appends the edited file to `out`. HS_EMODEL with the reason for any graph that is not exactly as expected: other
 * operators than those of plain convolutional networks, a Resize that does not double, shapes that are no constants.
 * HS_ENOMEM, HS_ETOOLARGE (past out->max). `data` is only read during the call. Any thread. */
int hs_onnx_edit(enum hs_onnx_edit edit, const uint8_t *data, size_t len, struct hs_buf *out, struct hs_error *err);

/* The same from file to file; `to` is written in one step. */
int hs_onnx_edit_file(enum hs_onnx_edit edit, const char *from, const char *to, struct hs_error *err);

#endif
