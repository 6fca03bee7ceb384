/* The audit log: one entry for each change of the gallery and for each use of its keys, appended in the transaction of
 * the change. So a change that is on disk has its entry, and a change that failed has none.
 *
 * An entry is a line of JSON. Its hash is BLAKE2b-256 over the hash of the entry before it and its own text; the entry
 * before the first one counts as hs_audit_genesis of the gallery's uid. So an entry that was changed, removed or moved
 * breaks the chain. Removing the newest entries does not: therefore the head, which is the number and hash of the
 * newest entry, is also written to "<path>.audit-head" after each commit. A user who can write both files can forge the
 * whole log; only heads that were recorded elsewhere (hs_audit_head_of, in the service's log) show that.
 *
 * An entry identifies a person by the identity's id, which is never used again, and has no name, no metadata and no
 * vector. While the identity exists, its row has the name of the id; after it was erased, nothing has. A keyed hash of
 * the name would not do: names are few, so a user who has the key can find the name by trying. */
#ifndef HS_GALLERY_AUDIT_LOG_H
#define HS_GALLERY_AUDIT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gallery/gallery.h"

enum {
    HS_AUDIT_HASH_SIZE = 32,
    HS_AUDIT_HEX_SIZE = 2 * HS_AUDIT_HASH_SIZE + 1,
    HS_AUDIT_KEEP = 50000,     /* the default of hs_gallery_options.audit_keep */
    HS_AUDIT_ENTRY_MAX = 4096, /* bytes of an entry */
};

/* ---- the origin of changes ---- */

/* A text is cut after 128 bytes. */
struct hs_audit_actor {
    const char *name;       /* "key:ID", "cli:UID", "retention"; NULL or "": hs_gallery_options.actor */
    const char *client;     /* address of the client; NULL or "": none */
    const char *request_id; /* NULL or "": none */
};

/* Sets the origin of the changes that this thread makes from now on, until it is set again. NULL: that in the options
 * of the gallery. Borrows `actor`. A thread-local value, because the many functions that change a gallery would only
 * pass it through, and a forgotten argument would be an entry without an actor. */
void hs_audit_act_as(const struct hs_audit_actor *actor);

/* Appends an entry for an event that does not change the content, such as a use of a key. `key` is the id of the key
 * concerned (NULL: none); `count` is the number of events that the entry stands for (0: left out). `action` and `key`
 * are printable ASCII. Does nothing if the log is off. HS_EINVAL, and the errors of a change. */
int hs_audit_record(struct hs_gallery *gallery, const char *action, const char *key, int64_t count,
                    struct hs_error *err);

/* ---- reading ---- */

struct hs_audit_head {
    int64_t seq; /* of the newest entry; 0: the log is empty */
    uint8_t hash[HS_AUDIT_HASH_SIZE];
};

/* Returns false if no change by this thread has appended an entry since hs_audit_act_as, else the newest one. */
bool hs_audit_last(struct hs_audit_head *ret_head);

int hs_audit_head_of(struct hs_gallery *gallery, struct hs_audit_head *ret_head, struct hs_error *err);

/* One entry, valid during the callback. */
struct hs_audit_entry {
    int64_t seq;
    const char *text; /* JSON without a line feed */
    size_t len;
    char hash[HS_AUDIT_HEX_SIZE];
};

/* Calls `each` for the entries after number `after`, oldest first, in one snapshot. Any result other than 0 stops the
 * walk, which returns it. */
int hs_audit_for_each(struct hs_gallery *gallery, int64_t after,
                      int (*each)(void *arg, const struct hs_audit_entry *entry), void *arg, struct hs_error *err);

/* ---- verifying ---- */

struct hs_audit_report {
    int64_t entries, first, last; /* number of entries; numbers of the first and the last; 0: none */
    char head[HS_AUDIT_HEX_SIZE]; /* hash of the last */
    int64_t unlogged;             /* changes without an entry, made while the log was off; a restore counts as 2^20 */
    int64_t gaps;                 /* entries that record a loss of earlier ones; the newest is `gap` */
    int64_t gap;
    int64_t broken;    /* number of the first broken entry; 0: none. Nothing after it was verified */
    char problem[160]; /* of the broken entry, or else of the newest gap; "": none */
};

/* Verifies the entries after number `after` (0: all): the chain, the numbers, and the head beside the file. The result
 * is 0 also if an entry is broken. */
int hs_audit_verify(struct hs_gallery *gallery, int64_t after, struct hs_audit_report *ret_report,
                    struct hs_error *err);

void hs_audit_to_hex(const uint8_t hash[HS_AUDIT_HASH_SIZE], char ret_hex[HS_AUDIT_HEX_SIZE]);

/* Parts of the verification, for programs that verify an exported log. */
void hs_audit_genesis(const char *uid, uint8_t ret_hash[HS_AUDIT_HASH_SIZE]);
void hs_audit_hash(const uint8_t before[HS_AUDIT_HASH_SIZE], const void *text, size_t len,
                   uint8_t ret_hash[HS_AUDIT_HASH_SIZE]);

#endif
