/* Requests that are to be done once and are being done just now, by the sum of their key. */
#ifndef HS_FACE_ONCE_H
#define HS_FACE_ONCE_H

#include <pthread.h>
#include <stdbool.h>

struct hs_face_once_key {
    char key_sha256[65];
    struct hs_face_once_key *next;
};

struct hs_face_once {
    pthread_mutex_t lock; /* guards the list */
    struct hs_face_once_key *first;
};

void hs_face_once_init(struct hs_face_once *once);
void hs_face_once_finish(struct hs_face_once *once); /* nothing may be under way */

/* False where a request of that key is under way. Else `key`, which the caller owns, is in use until
 * hs_face_once_end. Any thread. */
bool hs_face_once_begin(struct hs_face_once *once, const char *key_sha256, struct hs_face_once_key *key);
void hs_face_once_end(struct hs_face_once *once, struct hs_face_once_key *key);

#endif
