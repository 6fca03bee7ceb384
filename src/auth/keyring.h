/* API keys and the set of them that a service accepts.
 *
 * A key is the text "hs_<id>_<secret>": an id of 8 letters and digits, which is public and selects the
 * entry, and a secret of 43 random ones (256 bits). Only a BLAKE2b-256 hash of the whole text is stored.
 * A slow password hash (Argon2id) protects secrets that people choose and that an attacker can guess
 * from a list. A random secret of 256 bits cannot be guessed at any speed, and a slow hash for each
 * request would take more processor time than many requests themselves, and memory that strangers could
 * request. So a fast hash is sufficient; it is compared in constant time.
 *
 * All functions are pure, except for the random numbers of hs_key_create. */
#ifndef HS_AUTH_KEYRING_H
#define HS_AUTH_KEYRING_H

#include <stddef.h>
#include <stdint.h>

#include "auth/scope.h"
#include "base/buf.h"
#include "hs/status.h"

enum {
    HS_KEY_ID_SIZE = 9,    /* with NUL */
    HS_KEY_TEXT_SIZE = 56, /* with NUL */
    HS_KEY_HASH_SIZE = 32,
    HS_KEY_NAME_MAX = 100,      /* bytes */
    HS_KEYRING_MAX = 1000,      /* keys */
    HS_KEYRING_BYTES = 1 << 20, /* of a file */
    HS_KEY_TIME_SIZE = 24,
};

/* Times are seconds since 1970 UTC. */
struct hs_key {
    char id[HS_KEY_ID_SIZE];
    char name[HS_KEY_NAME_MAX + 1]; /* a label for people */
    unsigned scopes;                /* hs_scope_bit */
    int64_t created_s, expires_s;   /* expires_s 0: never */
    uint8_t hash[HS_KEY_HASH_SIZE];
    int64_t old_until_s;                /* until then the previous secret is valid too; 0: there is none */
    uint8_t old_hash[HS_KEY_HASH_SIZE]; /* valid if old_until_s is not 0 */
    double requests_per_second;         /* replaces limits.requests_per_second; -1: it does not, 0: no limit */
    int burst;                          /* replaces limits.burst; -1: it does not */
};

/* All-zero: empty. Caller frees with hs_keyring_finish. */
struct hs_keyring {
    struct hs_key *keys;
    size_t count, capacity;
};

void hs_keyring_finish(struct hs_keyring *ring);

/* Reads a key file. Names the key and the member that is invalid. HS_EINVAL, HS_ENOMEM. */
int hs_keyring_read(const char *text, size_t len, struct hs_keyring *ret, struct hs_error *err);

/* Appends the text of a key file. */
int hs_keyring_write(const struct hs_keyring *ring, struct hs_buf *out);

/* Returns the key with this id, or NULL. */
struct hs_key *hs_keyring_find(const struct hs_keyring *ring, const char *id);

/* Adds a copy. HS_ECONFLICT: more than HS_KEYRING_MAX; HS_ENOMEM. */
int hs_keyring_add(struct hs_keyring *ring, const struct hs_key *key, struct hs_error *err);
void hs_keyring_remove(struct hs_keyring *ring, struct hs_key *key);

/* Fills id, hash and created_s of a new key with an id that the ring does not contain, and clears the
 * rest. ret_text is the key, which the caller overwrites after use (sodium_memzero). */
void hs_key_create(const struct hs_keyring *ring, int64_t now_s, struct hs_key *ret_key,
                   char ret_text[HS_KEY_TEXT_SIZE]);

/* Gives the key a new secret. The present one stays valid until old_until_s; 0: not at all. */
void hs_key_rotate(struct hs_key *key, int64_t old_until_s, char ret_text[HS_KEY_TEXT_SIZE]);

enum hs_key_check {
    HS_KEY_VALID,
    HS_KEY_MALFORMED, /* not the text of a key */
    HS_KEY_WRONG,     /* no key has this id, or its secret is another one */
    HS_KEY_EXPIRED,   /* the secret is right, but too old */
};

/* Checks the text of a key. *ret_key is the key if it is valid or expired, else NULL. Takes the same
 * time for an unknown id as for a wrong secret. */
enum hs_key_check hs_keyring_check(const struct hs_keyring *ring, const char *text, int64_t now_s,
                                   const struct hs_key **ret_key);

/* Copies the id from the text of a key, "" if it is not one. For the log. */
void hs_key_id_of(const char *text, char ret_id[HS_KEY_ID_SIZE]);

/* Writes "2026-11-30T14:00:00Z", and reads it, or a date alone (its first second). HS_EINVAL. */
const char *hs_key_time_write(int64_t time_s, char ret_text[HS_KEY_TIME_SIZE]);
int hs_key_time_read(const char *text, int64_t *ret_s, struct hs_error *err);

#endif
