/* Imports a user's own model file as a pack. */
#ifndef HS_MODELS_IMPORT_H
#define HS_MODELS_IMPORT_H

#include <stdbool.h>

#include "hs/status.h"
#include "models/store.h"

/* 0 and NULL mean "as the file specifies". */
struct hs_import_options {
    const char *file; /* .pt, .onnx or .hef; detected by content */
    const char *name; /* required, see hs_pack_name_valid */
    const char *title;
    const char *licence;          /* NULL: from the file, else "not stated" */
    int keypoints, dims, classes; /* pose models */
    const char *normalize;        /* face models: "MEAN,STD" for all channels; NULL: the family's values */
    double threshold;             /* face embeddings; 0: 0.5 */
    const enum hs_task *tasks;    /* tasks that may be imported; task_count 0: all */
    size_t task_count;
    int input;  /* side of the square input in pixels, if the file leaves it open */
    bool force; /* replace an imported pack of that name */
};

/* Imports a model file. Converts checkpoints (convert/pt2onnx.h) and copies ONNX files unchanged;
 * the output shapes determine the decoder (convert/model_shape.h). A face embedding gets its own
 * space: its vectors are not compared with those of another model. HS_EMODEL with the reason: the
 * model cannot be served; HS_EINVAL: an option does not fit the model; HS_ECONFLICT: the name
 * belongs to a shipped pack or is taken. File and pack enter the store by rename, the pack last.
 * *ret_summary (caller frees with free(); ret_summary may be NULL) is one line for the user. The
 * store must be opened again to see the new pack. No code of the file is executed. */
int hs_import(struct hs_store *store, const struct hs_import_options *options, char **ret_summary,
              struct hs_error *err);

#endif
