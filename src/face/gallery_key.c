#include "face/gallery_key.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "face/settings.h"
#include "gallery/encryption.h"

struct hs_face_gallery_key {
    struct hs_gallery *gallery;
    char *current, *next; /* sources; `next` is NULL unless a reload has prepared one */
    char *copy;           /* of `next`, for the gallery */
};

static void abandon(void *ctx)
{
    struct hs_face_gallery_key *key = ctx;
    free(key->next);
    free(key->copy);
    key->next = key->copy = NULL;
}

static int prepare(void *ctx, const struct hs_settings *settings, struct hs_error *err)
{
    struct hs_face_gallery_key *key = ctx;
    const char *next = ((const struct hs_face_settings *) hs_settings_values(settings))->database.encryption_key;
    struct hs_error why;
    int r = hs_gallery_check_key(key->gallery, next, &why);
    if (r < 0 && strcmp(next, key->current) == 0) {
        hs_log_warning("a restart would fail: %s", why.message);
        return 0;
    }
    if (r < 0)
        return hs_error_set(err, r, "%s", why.message);
    key->next = strdup(next);
    key->copy = strdup(next);
    if (key->next && key->copy)
        return 0;
    abandon(key);
    return hs_error_set(err, HS_ENOMEM, "out of memory");
}

static void commit(void *ctx)
{
    struct hs_face_gallery_key *key = ctx;
    struct hs_error err;
    int64_t removed;
    bool added;
    if (!key->next)
        return;
    free(key->current);
    key->current = key->next;
    int r = hs_gallery_change_key(key->gallery, key->copy, &added, &removed, &err);
    key->next = key->copy = NULL;
    if (r < 0)
        hs_log_warning("the encryption key is incompletely changed, the next reload or start completes it: %s",
                       err.message);
    else if (added)
        hs_log_info("new faces of the gallery are encrypted from now on");
    else if (removed)
        hs_log_info("the gallery can no longer be opened with former keys");
}

int hs_face_gallery_key_create(struct hs_gallery *gallery, const char *source, struct hs_reload *reload,
                               struct hs_face_gallery_key **ret_key, struct hs_error *err)
{
    struct hs_face_gallery_key *key = calloc(1, sizeof(*key));
    char *copy = strdup(source);
    if (!key || !copy) {
        free(key);
        free(copy);
        return hs_error_set(err, HS_ENOMEM, "no memory for the encryption key");
    }
    *key = (struct hs_face_gallery_key) { .gallery = gallery, .current = copy };
    hs_reload_add(reload, &(struct hs_reload_part) {
                              .name = "database.encryption_key",
                              .prepare = prepare,
                              .commit = commit,
                              .abandon = abandon,
                              .ctx = key,
                          });
    *ret_key = key;
    return 0;
}

void hs_face_gallery_key_destroy(struct hs_face_gallery_key *key)
{
    if (!key)
        return;
    abandon(key);
    free(key->current);
    free(key);
}
