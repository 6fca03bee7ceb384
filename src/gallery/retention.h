/* Retention: identities are erased when their time is over.
 *
 * The time of an identity is its expires_at. Without one it is `retention_s` after its newest embedding was added, so a
 * new picture of a person extends it, and a rename does not.
 *
 * A clock that is wrong must not erase the whole gallery. Therefore expiry uses a time that is believed, not the system
 * clock itself: it follows the system clock while the two differ by at most a day, and otherwise only the time that has
 * passed (CLOCK_BOOTTIME), until the system clock has run evenly for HS_RETENTION_CONFIRM_S. So after a jump of the
 * clock, or after the service did not run for longer than a day, people expire up to that much later, and never
 * earlier. */
#ifndef HS_GALLERY_RETENTION_H
#define HS_GALLERY_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gallery/gallery.h"

enum {
    HS_RETENTION_LEAD_S = 86400,    /* difference up to which the system clock is believed at once */
    HS_RETENTION_STEP_S = 3600,     /* a step of the system clock by more than this is not an even run */
    HS_RETENTION_CONFIRM_S = 86400, /* running time after which a clock that ran evenly is believed */
};

#define HS_GALLERY_NEVER "never" /* as expires_at: regardless of retention_s */

/* Reads a time of expiry: "never", "default" (by the general retention), a date, or a time as "2026-01-31 12:00:00" or
 * "2026-01-31T12:00:00Z". Writes the form that the gallery stores; "" for "default". HS_EINVAL: also a time that is
 * not after now_s (seconds since 1970); `what` names the field. */
int hs_retention_read(const char *what, const char *text, int64_t now_s, char ret_time[HS_GALLERY_TIME_SIZE],
                      struct hs_error *err);

/* Writes a time as the gallery stores it; times after the year 9999 become its end. */
void hs_retention_time(int64_t time_s, char ret_time[HS_GALLERY_TIME_SIZE]);

/* ---- the time that is believed ---- */

struct hs_retention_clock {
    int64_t believed_s;
    int64_t wall_s, boot_s; /* the system clock and CLOCK_BOOTTIME at the last call */
    int64_t even_s;         /* for how long the system clock has run evenly, across restarts */
    bool held;              /* the system clock is not believed */
};

/* Continues with the state in "<path>.clock" of the gallery, or else with the time of the newest change. */
void hs_retention_clock_load(struct hs_retention_clock *clock, struct hs_gallery *gallery, int64_t wall_s,
                             int64_t boot_s);
int hs_retention_clock_store(const struct hs_retention_clock *clock, struct hs_gallery *gallery, struct hs_error *err);

/* Continues with a stored state, which has wall_s of the last call; exposed for tests. */
void hs_retention_clock_start(struct hs_retention_clock *clock, int64_t wall_s, int64_t boot_s);

/* Call at most some hours apart. Returns the time up to which people expire. */
int64_t hs_retention_clock_advance(struct hs_retention_clock *clock, int64_t wall_s, int64_t boot_s);

/* ---- erasing ---- */

struct hs_gallery_expired {
    int64_t identities, embeddings; /* number erased */
    bool in_files; /* a backup or a set-aside file may hold an identity erased now, or earlier: see below */
};

/* After an expiry with in_files, call hs_gallery_purge_all. If it fails or this process is killed before, the file
 * "<path>.purge" records that, also after hs_gallery_forget: this function returns true, and the next expiry has
 * in_files again. */
bool hs_retention_is_purge_due(const struct hs_gallery *gallery);

/* Erases the identities whose time ended before or at now_s, each in its own change, whose entry in the audit log has
 * the action "expire". retention_s 0: only those with a time of their own. Errors as for hs_gallery_remove; then the
 * identities in *ret_expired are erased all the same. */
int hs_gallery_expire(struct hs_gallery *gallery, int64_t now_s, int64_t retention_s,
                      struct hs_gallery_expired *ret_expired, struct hs_error *err);

/* Determines if an identity has a time of its own. */
int hs_gallery_has_expiry(struct hs_gallery *gallery, bool *ret_any, struct hs_error *err);

#endif
