/* The part of a pack that says which files carry the model and where they can be had. */
#ifndef HS_MODELS_PACK_FILES_H
#define HS_MODELS_PACK_FILES_H

#include "models/pack.h"
#include "models/schema_reader.h"

extern const char *const hs_pack_backends[]; /* ends with NULL; each is a key of a pack */
extern const char *const hs_pack_decodes[];  /* ends with NULL; in the order of enum hs_decode */
extern const char *const hs_pack_scores[];   /* ends with NULL; in the order of enum hs_scores */

/* Fills pack->files from the pages under the backends' keys. `decode` and `scores` hold for files that do not say
 * otherwise. HS_ENOMEM and complaints go into reader. */
void hs_pack_read_files(struct hs_schema *reader, const struct hs_node *root, enum hs_decode decode,
                        enum hs_scores scores, struct hs_pack *pack);

/* A plain file name: no '/', no leading '.', only letters, digits and "._-", at most 120 characters. */
bool hs_pack_file_name_valid(const char *name);

#endif
