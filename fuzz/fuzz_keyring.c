/* The first line is the text of a key, as a client sends it; the rest is a key file. A file that is accepted reads back
 * the same after it is written. Only the text whose hash is in the file is valid. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "auth/keyring.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_key(const struct hs_keyring *ring, const char *text)
{
    const struct hs_key *key;
    char id[HS_KEY_ID_SIZE];
    enum hs_key_check found = hs_keyring_check(ring, text, 1796000000, &key);
    hs_key_id_of(text, id);
    if ((found == HS_KEY_MALFORMED) != (id[0] == '\0') ||
        (key != NULL) != (found == HS_KEY_VALID || found == HS_KEY_EXPIRED))
        abort();
    if (key && strcmp(key->id, id) != 0)
        abort();
}

static void check_file(const struct hs_keyring *ring)
{
    struct hs_keyring again = { 0 };
    struct hs_buf out;
    hs_buf_init(&out, 4 * HS_KEYRING_BYTES);
    if (hs_keyring_write(ring, &out) < 0 || hs_keyring_read((const char *) out.data, out.len, &again, NULL) < 0 ||
        again.count != ring->count ||
        (ring->count && memcmp(again.keys, ring->keys, ring->count * sizeof(*ring->keys)) != 0))
        abort();
    for (size_t i = 0; i < ring->count; i++) {
        char text[HS_KEY_TEXT_SIZE];
        const struct hs_key *key;
        struct hs_key changed = ring->keys[i];
        hs_key_rotate(&changed, 0, text);
        if (hs_keyring_check(ring, text, 1796000000, &key) != HS_KEY_WRONG)
            abort();
    }
    hs_buf_finish(&out);
    hs_keyring_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = hs_fuzz_text(data, len), *file = text, *line = strsep(&file, "\n");
    struct hs_keyring ring = { 0 };
    struct hs_error err;
    int r = sodium_init() < 0 ? -1 : hs_keyring_read(file ? file : "", file ? strlen(file) : 0, &ring, &err);
    if (r == 0)
        check_file(&ring);
    else if (!err.message[0])
        abort();
    check_key(&ring, line);
    hs_keyring_finish(&ring);
    free(text);
    return 0;
}
