/* Decides whether face embeddings of the processor may replace those of a device. A gallery holds
 * the device's embeddings, so both must belong to the same embedding space and must have been
 * compared: `hailo-face compare-devices` embeds the same aligned faces on both, and records beside
 * the models how close the embeddings are and which two files made them. */
#ifndef HS_SERVICE_EMBEDDING_PARITY_H
#define HS_SERVICE_EMBEDDING_PARITY_H

#include <stdbool.h>
#include <stddef.h>

#include "models/store.h"
#include "service/sample_stats.h"

/* An embedding whose cosine with the correct one is c keeps about c of its similarity to others,
 * and adds noise of sqrt(1 - c * c) / sqrt(512), 512 being its dimension: .01 at .97. Faces of one
 * person have a similarity of about .7 +- .1 here, and thresholds are .4 to .5: at .97 hardly any
 * decision changes. A single face at .9 loses a tenth, less than faces of one person differ among
 * themselves. With 20 faces a median is meaningful, and a network that reads its input wrongly
 * (channels, scale) fails on the first one. */
#define HS_PARITY_MEDIAN .97
#define HS_PARITY_MIN .9
enum { HS_PARITY_FACES = 20 };

/* Returns true if the median and the minimum cosine reach these bounds, for any number of faces. */
bool hs_embedding_parity_is_close(const struct hs_sample_stats *cosine);

/* Returns 0 if the bounds are reached with at least HS_PARITY_FACES faces, else HS_EMODEL with the reason. */
int hs_embedding_parity_judge(const struct hs_sample_stats *cosine, struct hs_error *err);

/* Records the result for the two files. Replaces an earlier record of the device's pack. */
int hs_embedding_parity_save(const struct hs_store *store, const struct hs_model_choice *device,
                             const struct hs_model_choice *against, const struct hs_sample_stats *cosine,
                             struct hs_error *err);

/* Returns 0 if embeddings of both may be compared: both files are identical, or the record of
 * exactly these two files passes. Otherwise returns HS_EMODEL with a remedy in the message. */
int hs_embedding_parity_check(const struct hs_store *store, const struct hs_model_choice *device,
                              const struct hs_model_choice *against, struct hs_error *err);

#endif
