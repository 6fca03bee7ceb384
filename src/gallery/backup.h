/* Inside the gallery: copies of a database, and databases from copies. All need the folder of the database locked. */
#ifndef HS_GALLERY_BACKUP_H
#define HS_GALLERY_BACKUP_H

#include <limits.h>

#include "gallery/gallery_internal.h"

/* What hs_gallery_backup does. */
int hs_gallery_backup_locked(struct hs_gallery *gallery, char ret_path[PATH_MAX], struct hs_error *err);

/* Unpacks a backup beside the database and checks that it is whole and one of ours. The caller deletes or renames it.
 */
int hs_gallery_unpack(const struct hs_gallery *gallery, const char *backup, char ret_path[PATH_MAX],
                      struct hs_error *err);

/* Puts the newest good backup in the place of the database, which is now the damaged file set_aside.
 * HS_ENOTFOUND: there is none. */
int hs_gallery_restore_newest(struct hs_gallery *gallery, const char *set_aside, char ret_backup[PATH_MAX],
                              struct hs_error *err);

/* Deletes what interrupted calls of the above left behind. */
void hs_gallery_clean_up(const struct hs_gallery *gallery);

#endif
