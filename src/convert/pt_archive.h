/* A PyTorch checkpoint (.pt, PyTorch 1.6 and later): a zip file of raw numbers and one pickle that describes them. */
#ifndef HS_CONVERT_PT_ARCHIVE_H
#define HS_CONVERT_PT_ARCHIVE_H

#include <stdbool.h>

#include "convert/pickle.h"
#include "hs/status.h"

struct hs_pt_archive;

/* A tensor's numbers, row-major. */
struct hs_pt_array {
    double *data;
    size_t count; /* product of size; 1 for a scalar */
    int dims;
    int64_t size[HS_PICKLE_MAX_DIMS];
};

/* Opens and unpickles a checkpoint (see convert/pickle.h for the limits). Messages do not name the
 * file. HS_EMODEL, HS_ENOTFOUND, HS_EIO, HS_ENOMEM. Caller frees with hs_pt_archive_close (NULL
 * allowed). One thread at a time. */
int hs_pt_archive_open(const char *path, struct hs_pt_archive **ret_archive, struct hs_error *err);
void hs_pt_archive_close(struct hs_pt_archive *archive);

/* True if the file is in the format of torch.save before PyTorch 1.6. hs_pt_archive_open refuses
 * such a file with advice. */
bool hs_pt_is_old_format(const char *path);

uint64_t hs_pt_archive_file_size(const struct hs_pt_archive *archive);

/* The archive owns the values. */
const struct hs_pickle_value *hs_pt_archive_root(const struct hs_pt_archive *archive);

/* Reads the numbers of a tensor. HS_EMODEL if the value is not a tensor, does not fit its storage,
 * or contains a number that is not finite; `what` names it in messages. Caller frees
 * ret_array->data with free(). */
int hs_pt_archive_read_tensor(struct hs_pt_archive *archive, const struct hs_pickle_value *value, const char *what,
                              struct hs_pt_array *ret_array, struct hs_error *err);

#endif
