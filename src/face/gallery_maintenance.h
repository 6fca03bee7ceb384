/* One thread that works for the gallery beside the requests: it reads the gallery into the index, backs it up from time
 * to time if it changed, and does what an erasure left pending. */
#ifndef HS_FACE_GALLERY_MAINTENANCE_H
#define HS_FACE_GALLERY_MAINTENANCE_H

#include <stdbool.h>

#include "face/index.h"
#include "face/settings.h"
#include "gallery/gallery.h"

enum {
    HS_FACE_ERASE_LATER = 1, /* the rest of an erasure is left to the thread below */
    HS_FACE_MUST_EXIST = 2,  /* no file and no folder is made: HS_ENOTFOUND */
};

/* Makes the folder if it is missing, opens the gallery, and logs what was migrated or repaired. Caller closes
 * *ret_gallery with hs_gallery_close. */
int hs_face_open_gallery(const struct hs_database_section *settings, unsigned flags, struct hs_gallery **ret_gallery,
                         struct hs_gallery_opened *ret_opened, struct hs_error *err);

struct hs_face_maintenance;

/* Borrowed for its life, except `opened`, which is copied. */
struct hs_face_maintenance_options {
    struct hs_gallery *gallery;
    struct hs_face_index *index;
    const struct hs_gallery_opened *opened;
    const char *model; /* that the gallery is searched with, and the numbers of its vectors */
    size_t dimension;
    bool backups;             /* one at the start, unless the gallery is new, and then from time to time */
    double backup_interval_s; /* 0: at the start only */
};

struct hs_face_maintenance_status {
    struct hs_gallery_opened opened;
    char last_backup_at[HS_GALLERY_TIME_SIZE]; /* of the newest backup; "": none */
    char backup_error[HS_ERROR_MESSAGE_SIZE];  /* of the last try; "": it went well */
    char read_error[HS_ERROR_MESSAGE_SIZE];    /* why the gallery could not be read into the index */
};

/* Nothing is done yet. Caller frees with hs_face_maintenance_destroy. */
int hs_face_maintenance_create(const struct hs_face_maintenance_options *options,
                               struct hs_face_maintenance **ret_maintenance, struct hs_error *err);

/* Finishes what is being done, and no more. NULL allowed. */
void hs_face_maintenance_destroy(struct hs_face_maintenance *maintenance);

/* Starts the thread. Once. */
int hs_face_maintenance_start(struct hs_face_maintenance *maintenance, struct hs_error *err);

/* To be called after a change that erased something: what is left pending is then done soon. Any thread; NULL
 * allowed. */
void hs_face_maintenance_erased(struct hs_face_maintenance *maintenance);

/* Never waits for what is being done. Any thread. */
void hs_face_maintenance_get_status(struct hs_face_maintenance *maintenance,
                                    struct hs_face_maintenance_status *ret_status);

#endif
