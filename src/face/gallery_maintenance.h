/* Background thread for the gallery: reads the gallery into the index, makes periodic backups if
 * the gallery has changed, completes pending erasures, and erases people whose time is over. */
#ifndef HS_FACE_GALLERY_MAINTENANCE_H
#define HS_FACE_GALLERY_MAINTENANCE_H

#include <stdbool.h>

#include "auth/auth.h"
#include "base/metrics.h"
#include "face/index.h"
#include "face/settings.h"
#include "gallery/gallery.h"

enum {
    HS_FACE_ERASE_LATER = 1, /* leave pending erasures to the thread below */
    HS_FACE_ENCRYPT = 4,     /* see `encrypt` of struct hs_gallery_options */
    HS_FACE_MUST_EXIST = 2,  /* create neither file nor folder: HS_ENOTFOUND */
};

/* Creates the folder if it is missing, opens the gallery, and logs migrations and repairs. Forbids
 * core dumps of this process, unless the settings allow them. Caller
 * closes *ret_gallery with hs_gallery_close. */
int hs_face_open_gallery(const struct hs_database_section *settings, unsigned flags, struct hs_gallery **ret_gallery,
                         struct hs_gallery_opened *ret_opened, struct hs_error *err);

/* Writes the name of the user who runs a command, for the audit log: "cli:1000". */
enum { HS_FACE_CLI_ACTOR_SIZE = 32 };
void hs_face_cli_actor(char ret_name[HS_FACE_CLI_ACTOR_SIZE]);

struct hs_face_maintenance;

/* Borrowed for the lifetime of the object, except `opened`, which is copied. */
struct hs_face_maintenance_options {
    struct hs_gallery *gallery;
    struct hs_face_index *index;
    const struct hs_gallery_opened *opened;
    const char *model; /* the model for searches, and its dimension */
    size_t dimension;
    const char *path;         /* the gallery's file */
    bool backups;             /* back up at the start, unless the gallery is new, and then periodically */
    double backup_interval_s; /* 0: only at the start */
    int64_t retention_s;      /* see gallery/retention.h */
};

struct hs_face_maintenance_status {
    struct hs_gallery_opened opened;
    char last_backup_at[HS_GALLERY_TIME_SIZE]; /* time of the newest backup; "": none */
    int64_t last_backup_s;                     /* the same in seconds since 1970; 0: none */
    int64_t backed_up_s;                       /* time of the last attempt that succeeded, also if the gallery had not
                                                * changed; 0: none since the start */
    char backup_error[HS_ERROR_MESSAGE_SIZE];  /* error of the last attempt; "": it succeeded */
    uint64_t backup_failures;                  /* attempts that failed, since the start */
    uint64_t disk_bytes, disk_free_bytes;      /* of the file system that holds the gallery; 0: unknown */
    char read_error[HS_ERROR_MESSAGE_SIZE];    /* error that kept the gallery from being read into the index */
};

/* Expiries by their result, of all galleries of the process. */
extern struct hs_counters hs_face_expiries;

/* Creates the object, without starting the thread. Caller frees with hs_face_maintenance_destroy. */
int hs_face_maintenance_create(const struct hs_face_maintenance_options *options,
                               struct hs_face_maintenance **ret_maintenance, struct hs_error *err);

/* Waits until the running task ends, starts no other, and frees the object. NULL allowed. */
void hs_face_maintenance_destroy(struct hs_face_maintenance *maintenance);

/* Records requests with invalid API keys in the audit log: the number of them, at once and then at most hourly, so that
 * a stranger cannot fill the log. Call before hs_face_maintenance_start; borrows `auth` (NULL: none). */
void hs_face_maintenance_watch_keys(struct hs_face_maintenance *maintenance, struct hs_auth *auth);

/* Starts the thread. Call once. */
int hs_face_maintenance_start(struct hs_face_maintenance *maintenance, struct hs_error *err);

/* Call after a change that erased something: the thread then completes the erasure soon. Any
 * thread; NULL allowed. */
void hs_face_maintenance_erased(struct hs_face_maintenance *maintenance);

/* Returns the status; does not wait for a running task. Any thread. */
void hs_face_maintenance_get_status(struct hs_face_maintenance *maintenance,
                                    struct hs_face_maintenance_status *ret_status);

#endif
