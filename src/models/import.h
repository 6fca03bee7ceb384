/* Makes a pack of a user's own model. */
#ifndef HS_MODELS_IMPORT_H
#define HS_MODELS_IMPORT_H

#include <stdbool.h>

#include "hs/status.h"
#include "models/store.h"

/* Zeros and NULLs mean "as the file says". */
struct hs_import_options {
    const char *file; /* .pt, .onnx or .hef; told apart by content */
    const char *name; /* required, see hs_pack_name_valid */
    const char *title;
    const char *licence;          /* NULL: the file's own, else "not stated" */
    int keypoints, dims, classes; /* pose models */
    const char *normalize;        /* face models: "MEAN,STD" for all channels; NULL: as the family has it */
    double threshold;             /* face embeddings; 0: 0.5 */
    const enum hs_task *tasks;    /* what may be imported; task_count 0: anything */
    size_t task_count;
    int input;  /* side of the square input in pixels, if the file leaves it open */
    bool force; /* replace an imported pack of that name */
};

/* Checkpoints are converted (convert/pt2onnx.h), ONNX files are taken as they are; how the outputs are read is decided
 * by their shapes (convert/model_shape.h). A face embedding gets a space of its own: its vectors are not compared with
 * another model's. HS_EMODEL with the reason: the model cannot be served; HS_EINVAL: an option does not fit it;
 * HS_ECONFLICT: the name is a shipped pack's, or taken. File and pack land in the store by rename, the pack last.
 * *ret_summary (caller frees with free(), may be NULL) is a line for people. The store must be opened again to see the
 * new pack. Nothing of the file is executed. */
int hs_import(struct hs_store *store, const struct hs_import_options *options, char **ret_summary,
              struct hs_error *err);

#endif
