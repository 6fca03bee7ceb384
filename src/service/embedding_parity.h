/* Decides if the processor's face vectors may replace a device's. A gallery holds vectors of the device, so they may
 * if both are of one embedding space and were compared: `hailo-face compare-devices` embeds the same aligned faces with
 * both, and records beside the models how close the vectors are, and which two files made them. */
#ifndef HS_SERVICE_EMBEDDING_PARITY_H
#define HS_SERVICE_EMBEDDING_PARITY_H

#include <stdbool.h>
#include <stddef.h>

#include "models/store.h"
#include "service/sample_stats.h"

/* A vector whose cosine with the right one is c keeps about c of its similarity to others, and adds noise of
 * sqrt(1 - c * c) / sqrt(its 512 numbers): .01 at .97. Faces of one person have about .7 +- .1 here, the thresholds are
 * .4 to .5: at .97 hardly any decision changes. A single face at .9 loses a tenth, less than faces of one person differ
 * among themselves. With 20 faces a median is meaningful, and a network that reads its input wrongly (channels, scale)
 * fails with the first. */
#define HS_PARITY_MEDIAN .97
#define HS_PARITY_LEAST .9
enum { HS_PARITY_FACES = 20 };

/* True if the median and the least cosine reach these bounds, however few faces there are. */
bool hs_embedding_parity_is_close(const struct hs_sample_stats *cosine);

/* 0 if they reach the bounds with at least HS_PARITY_FACES faces, else HS_EMODEL with the reason. */
int hs_embedding_parity_judge(const struct hs_sample_stats *cosine, struct hs_error *err);

/* Records the result for two files, and replaces an earlier record of the device's pack. */
int hs_embedding_parity_save(const struct hs_store *store, const struct hs_model_choice *device,
                             const struct hs_model_choice *against, const struct hs_sample_stats *cosine,
                             struct hs_error *err);

/* 0: the vectors of both may be compared, because both files are the same or the record of just these two passes. Else
 * HS_EMODEL, with what to do. */
int hs_embedding_parity_check(const struct hs_store *store, const struct hs_model_choice *device,
                              const struct hs_model_choice *against, struct hs_error *err);

#endif
