/* Encryption of the stored vectors, by choice: turning it on and off, and changing keys.
 *
 * Each vector is sealed (crypt.h) with a data key of the gallery, which the file stores wrapped by the key in
 * options.key. Encrypted are the vectors only. Names and metadata stay readable: they are not biometric, listing and
 * finding by name need them in order, and the programs of older versions and sqlite3 can still list and erase people.
 *
 * A gallery may be changed by other threads and processes meanwhile, and a process that is killed leaves a gallery that
 * works: vectors of both kinds are read at any time. The same call then continues the work. */
#ifndef HS_GALLERY_ENCRYPTION_H
#define HS_GALLERY_ENCRYPTION_H

#include "gallery/gallery.h"

/* The number of vectors processed and the total. Called after each change. */
typedef void (*hs_gallery_progress)(void *arg, int64_t done, int64_t total);

struct hs_gallery_converted {
    int64_t vectors;    /* that were changed */
    int64_t unreadable; /* left as they are, because they cannot be decrypted: another program changed them */
    bool continued;     /* an earlier call had begun the work */
};

/* Encrypts every vector that is not encrypted with the current data key, in small changes, and then erases the former
 * content from the file and its log. Turns encryption on if it is off. HS_EINVAL: options.key is not set; HS_ECONFLICT:
 * another process changed the encryption meanwhile. `progress` may be NULL. */
int hs_gallery_encrypt(struct hs_gallery *gallery, hs_gallery_progress progress, void *arg,
                       struct hs_gallery_converted *ret, struct hs_error *err);

/* Decrypts every vector in the same way, and then removes the stored keys, unless a vector is unreadable. */
int hs_gallery_decrypt(struct hs_gallery *gallery, hs_gallery_progress progress, void *arg,
                       struct hs_gallery_converted *ret, struct hs_error *err);

/* Changes keys. `new_source` (NULL: the key stays): wraps the data keys with that key, too. Both keys then open the
 * gallery, until it is opened with the new one and options.encrypt, which removes the old one: so a service that runs
 * meanwhile, or restarts, is never without a valid key. `new_data_key`: also makes another data key and encrypts all
 * vectors with it, which is necessary if the old key may be known to others, because it opens former copies of the
 * file. An interrupted call is continued by a call with the same arguments. ret_id: the id of the key that the next
 * start needs. HS_EINVAL: the gallery is not encrypted, or the new key is the one in use; HS_ECONFLICT: the rotation to
 * another key has not finished, or as above; HS_EKEY. */
int hs_gallery_rotate_key(struct hs_gallery *gallery, const char *new_source, bool new_data_key,
                          hs_gallery_progress progress, void *arg, char ret_id[17], struct hs_gallery_converted *ret,
                          struct hs_error *err);

/* Returns 0 if the key from `source` (NULL or "": none) opens the gallery; changes nothing. HS_EKEY. */
int hs_gallery_check_key(struct hs_gallery *gallery, const char *source, struct hs_error *err);

/* Uses the key from another source, which must have been checked, from now on, as an opening with options.encrypt does.
 * Takes `source`. *ret_added: encryption began; *ret_removed: number of older keys that were removed. After a failure
 * the source is in use all the same, and the next opening completes the rest. */
int hs_gallery_change_key(struct hs_gallery *gallery, char *source, bool *ret_added, int64_t *ret_removed,
                          struct hs_error *err);

struct hs_gallery_encryption {
    bool on;              /* new vectors are encrypted */
    char key_id[17];      /* the key in use; "": none */
    char key_pending[17]; /* a rotation to this key has begun; "": none */
    int keys;             /* number of keys that open the gallery: 2 during a rotation */
    int data_keys;        /* more than 1: the vectors are being encrypted again */
};

int hs_gallery_get_encryption(struct hs_gallery *gallery, struct hs_gallery_encryption *ret, struct hs_error *err);

#endif
