#include "face/idempotency.h"

#include <string.h>

#include "base/str.h"

void hs_face_idempotency_init(struct hs_face_idempotency *idempotency)
{
    idempotency->first = NULL;
    pthread_mutex_init(&idempotency->lock, NULL);
}

void hs_face_idempotency_finish(struct hs_face_idempotency *idempotency)
{
    pthread_mutex_destroy(&idempotency->lock);
}

bool hs_face_idempotency_begin(struct hs_face_idempotency *idempotency, const char *key_sha256,
                               struct hs_face_idempotency_key *key)
{
    hs_str_copy(key->key_sha256, sizeof(key->key_sha256), key_sha256);
    pthread_mutex_lock(&idempotency->lock);
    const struct hs_face_idempotency_key *other = idempotency->first;
    while (other && strcmp(other->key_sha256, key->key_sha256) != 0)
        other = other->next;
    if (!other) {
        key->next = idempotency->first;
        idempotency->first = key;
    }
    pthread_mutex_unlock(&idempotency->lock);
    return !other;
}

void hs_face_idempotency_end(struct hs_face_idempotency *idempotency, struct hs_face_idempotency_key *key)
{
    pthread_mutex_lock(&idempotency->lock);
    struct hs_face_idempotency_key **link = &idempotency->first;
    while (*link != key)
        link = &(*link)->next;
    *link = key->next;
    pthread_mutex_unlock(&idempotency->lock);
}
