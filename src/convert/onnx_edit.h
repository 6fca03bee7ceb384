/* Makes the fixed input size or batch size of an ONNX file dynamic by small edits of its protobuf.
 * All other bytes stay unchanged, and the same file always gives the same result. */
#ifndef HS_CONVERT_ONNX_EDIT_H
#define HS_CONVERT_ONNX_EDIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "hs/status.h"

/* FREE_BATCH: an input [1, 3, h, w] becomes [batch, 3, h, w], and each output [1, …] becomes
 * [batch, …]; the constants of Reshape nodes change from [1, -1, …] to [0, -1, …] (0 copies the
 * input's batch).
 * FREE_SIZE: also makes height and width dynamic, and the second dimension of each output, whose
 * number of rows they determine. The two Resize nodes of a feature pyramid, to 1/16 and 1/8 of the
 * input, get the scale 2 instead of a constant size. The recorded shapes of inner tensors
 * (value_info) no longer apply and are removed. */
enum hs_onnx_edit { HS_ONNX_DYNAMIC_BATCH, HS_ONNX_DYNAMIC_SIZE };

/* Appends the edited file to `out`. HS_EMODEL with the reason for any other graph: operators that
 * plain convolutional networks do not use, a Resize that does not double, shapes that are not
 * constant. HS_ENOMEM, HS_ETOOLARGE (more than out->max). Borrows `data` for the call. Any thread. */
int hs_onnx_edit(enum hs_onnx_edit edit, const uint8_t *data, size_t len, struct hs_buf *out, struct hs_error *err);

/* Same as hs_onnx_edit, from file to file. Writes `to` atomically. */
int hs_onnx_edit_file(enum hs_onnx_edit edit, const char *from, const char *to, struct hs_error *err);

#endif
