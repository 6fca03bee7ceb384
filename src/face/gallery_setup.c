#include "face/gallery_setup.h"

#include "base/file.h"
#include "base/log.h"

enum { BUSY_TIMEOUT_MS = 5000 };

static void tell(const struct hs_gallery_opened *opened)
{
    if (opened->set_aside[0])
        hs_log_error("the gallery was damaged and is now %s; %s%s", opened->set_aside,
                     opened->restored_from[0] ? "restored from " : "there was no good backup: it is empty",
                     opened->restored_from);
    if (opened->migrated_from >= 0)
        hs_log_info("the gallery was migrated from version %d; as it was: %s", opened->migrated_from,
                    opened->backed_up_to);
    if (opened->orphans_erased)
        hs_log_warning("%lld vectors that belonged to nobody any more were erased", (long long) opened->orphans_erased);
}

int hs_face_open_gallery(const struct hs_database_section *settings, bool erase_later, struct hs_gallery **ret_gallery,
                         struct hs_gallery_opened *ret_opened, struct hs_error *err)
{
    const struct hs_gallery_options options = {
        .path = settings->db_file,
        .backup_dir = settings->backup_path,
        .keep_backups = settings->keep_backups,
        .max_embeddings_per_identity = settings->max_embeddings_per_identity,
        .busy_timeout_ms = BUSY_TIMEOUT_MS,
        .erase_later = erase_later,
    };
    int r = hs_dir_make_parent(settings->db_file, err);
    if (r == 0)
        r = hs_gallery_open(&options, ret_gallery, ret_opened, err);
    if (r == 0)
        tell(ret_opened);
    return r;
}
