/* Additions in progress that have an Idempotency-Key, by the SHA-256 of the key. */
#ifndef HS_FACE_IDEMPOTENCY_H
#define HS_FACE_IDEMPOTENCY_H

#include <pthread.h>
#include <stdbool.h>

struct hs_face_idempotency_key {
    char key_sha256[65];
    struct hs_face_idempotency_key *next;
};

struct hs_face_idempotency {
    pthread_mutex_t lock; /* guards the list */
    struct hs_face_idempotency_key *first;
};

void hs_face_idempotency_init(struct hs_face_idempotency *idempotency);
void hs_face_idempotency_finish(struct hs_face_idempotency *idempotency); /* no request may be in progress */

/* False if a request of that key is in progress. Else `key`, which the caller owns, is in use until
 * hs_face_idempotency_end. Any thread. */
bool hs_face_idempotency_begin(struct hs_face_idempotency *idempotency, const char *key_sha256,
                               struct hs_face_idempotency_key *key);
void hs_face_idempotency_end(struct hs_face_idempotency *idempotency, struct hs_face_idempotency_key *key);

#endif
