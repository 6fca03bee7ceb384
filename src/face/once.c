#include "face/once.h"

#include <string.h>

#include "base/str.h"

void hs_face_once_init(struct hs_face_once *once)
{
    once->first = NULL;
    pthread_mutex_init(&once->lock, NULL);
}

void hs_face_once_finish(struct hs_face_once *once)
{
    pthread_mutex_destroy(&once->lock);
}

bool hs_face_once_begin(struct hs_face_once *once, const char *key_sha256, struct hs_face_once_key *key)
{
    hs_str_copy(key->key_sha256, sizeof(key->key_sha256), key_sha256);
    pthread_mutex_lock(&once->lock);
    const struct hs_face_once_key *other = once->first;
    while (other && strcmp(other->key_sha256, key->key_sha256) != 0)
        other = other->next;
    if (!other) {
        key->next = once->first;
        once->first = key;
    }
    pthread_mutex_unlock(&once->lock);
    return !other;
}

void hs_face_once_end(struct hs_face_once *once, struct hs_face_once_key *key)
{
    pthread_mutex_lock(&once->lock);
    struct hs_face_once_key **link = &once->first;
    while (*link != key)
        link = &(*link)->next;
    *link = key->next;
    pthread_mutex_unlock(&once->lock);
}
