#include "auth/keyring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/json_read.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"

#define PREFIX "hs_"

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* 62^43 > 2^256. */
enum { VERSION = 1, PREFIX_LEN = 3, ID_LEN = HS_KEY_ID_SIZE - 1, SECRET_LEN = 43, LETTERS = sizeof(alphabet) - 1 };
static_assert(PREFIX_LEN + ID_LEN + 1 + SECRET_LEN + 1 == HS_KEY_TEXT_SIZE, "the parts fill the text");

/* ---- Text and hash ---- */

static void random_letters(char *dst, size_t len)
{
    for (size_t i = 0; i < len; i++)
        dst[i] = alphabet[randombytes_uniform(LETTERS)];
}

static void hash_text(const char text[HS_KEY_TEXT_SIZE], uint8_t ret_hash[HS_KEY_HASH_SIZE])
{
    crypto_generichash(ret_hash, HS_KEY_HASH_SIZE, (const unsigned char *) text, HS_KEY_TEXT_SIZE - 1, NULL, 0);
}

static bool is_key_text(const char *text)
{
    const char *id = text + PREFIX_LEN, *secret = id + ID_LEN + 1;
    return strnlen(text, HS_KEY_TEXT_SIZE) == HS_KEY_TEXT_SIZE - 1 && hs_str_starts(text, PREFIX) &&
           strspn(id, alphabet) == ID_LEN && id[ID_LEN] == '_' && strspn(secret, alphabet) == SECRET_LEN;
}

void hs_key_id_of(const char *text, char ret_id[HS_KEY_ID_SIZE])
{
    ret_id[0] = '\0';
    if (is_key_text(text))
        hs_str_copy_n(ret_id, HS_KEY_ID_SIZE, text + PREFIX_LEN, ID_LEN);
}

static void new_secret(struct hs_key *key, char ret_text[HS_KEY_TEXT_SIZE])
{
    hs_str_format(ret_text, HS_KEY_TEXT_SIZE, PREFIX "%s_", key->id);
    random_letters(ret_text + PREFIX_LEN + ID_LEN + 1, SECRET_LEN);
    ret_text[HS_KEY_TEXT_SIZE - 1] = '\0';
    hash_text(ret_text, key->hash);
}

void hs_key_create(const struct hs_keyring *ring, int64_t now_s, struct hs_key *ret_key,
                   char ret_text[HS_KEY_TEXT_SIZE])
{
    *ret_key = (struct hs_key) { .created_s = now_s, .requests_per_second = -1, .burst = -1 };
    do {
        random_letters(ret_key->id, ID_LEN);
    } while (hs_keyring_find(ring, ret_key->id));
    new_secret(ret_key, ret_text);
}

void hs_key_rotate(struct hs_key *key, int64_t old_until_s, char ret_text[HS_KEY_TEXT_SIZE])
{
    memcpy(key->old_hash, key->hash, sizeof(key->old_hash));
    key->old_until_s = old_until_s;
    if (old_until_s == 0)
        memset(key->old_hash, 0, sizeof(key->old_hash));
    new_secret(key, ret_text);
}

enum hs_key_check hs_keyring_check(const struct hs_keyring *ring, const char *text, int64_t now_s,
                                   const struct hs_key **ret_key)
{
    static const struct hs_key none; /* compared for an unknown id, to take the same time */
    char id[HS_KEY_ID_SIZE];
    uint8_t hash[HS_KEY_HASH_SIZE];
    *ret_key = NULL;
    hs_key_id_of(text, id);
    if (!id[0])
        return HS_KEY_MALFORMED;
    const struct hs_key *found = hs_keyring_find(ring, id), *key = found ? found : &none;
    hash_text(text, hash);
    bool is_new = sodium_memcmp(hash, key->hash, sizeof(hash)) == 0;
    bool is_old = (sodium_memcmp(hash, key->old_hash, sizeof(hash)) == 0) & (key->old_until_s != 0);
    if (!found || (!is_new && !is_old))
        return HS_KEY_WRONG;
    *ret_key = found;
    bool expired = (found->expires_s != 0 && now_s >= found->expires_s) || (!is_new && now_s >= found->old_until_s);
    return expired ? HS_KEY_EXPIRED : HS_KEY_VALID;
}

/* ---- The set ---- */

void hs_keyring_finish(struct hs_keyring *ring)
{
    hs_mem_free_wiped(ring->keys, ring->capacity * sizeof(*ring->keys));
    *ring = (struct hs_keyring) { 0 };
}

struct hs_key *hs_keyring_find(const struct hs_keyring *ring, const char *id)
{
    for (size_t i = 0; i < ring->count; i++) {
        if (strcmp(ring->keys[i].id, id) == 0)
            return &ring->keys[i];
    }
    return NULL;
}

int hs_keyring_add(struct hs_keyring *ring, const struct hs_key *key, struct hs_error *err)
{
    if (ring->count == HS_KEYRING_MAX)
        return hs_error_set(err, HS_ECONFLICT, "There are %d keys already, the maximum. Revoke one first",
                            HS_KEYRING_MAX);
    if (!HS_ARRAY_RESERVE(ring->keys, ring->capacity, ring->count + 1))
        return hs_error_set(err, HS_ENOMEM, "no memory for the keys");
    ring->keys[ring->count++] = *key;
    return 0;
}

void hs_keyring_remove(struct hs_keyring *ring, struct hs_key *key)
{
    size_t index = (size_t) (key - ring->keys);
    memmove(key, key + 1, (ring->count - index - 1) * sizeof(*key));
    ring->count--;
}

/* ---- Times ---- */

const char *hs_key_time_write(int64_t time_s, char ret_text[HS_KEY_TIME_SIZE])
{
    hs_clock_format_utc(time_s, HS_TIME_RFC3339, ret_text, HS_KEY_TIME_SIZE);
    return ret_text;
}

int hs_key_time_read(const char *text, int64_t *ret_s, struct hs_error *err)
{
    static const char *const formats[] = { "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d" };
    char again[HS_KEY_TIME_SIZE];
    for (size_t i = 0; i < HS_ARRAY_LEN(formats); i++) {
        struct tm tm = { 0 };
        const char *end = strptime(text, formats[i], &tm);
        if (!end || *end)
            continue;
        int64_t time_s = timegm(&tm);
        hs_key_time_write(time_s, again);
        /* strptime accepts the 31st of every month, which timegm moves to another day, and signs and blanks. */
        if (time_s > 0 && strncmp(text, again, strlen(text)) == 0) {
            *ret_s = time_s;
            return 0;
        }
    }
    return hs_error_set(err, HS_EINVAL, "is not a time such as 2030-01-31 or 2030-01-31T12:00:00Z");
}

/* ---- Files ---- */

static int member_error(const char *member, const char *reason, struct hs_error *err)
{
    return hs_error_set(err, HS_EINVAL, "%s %s", member, reason);
}

static int read_hash(const json_t *object, const char *member, uint8_t ret[HS_KEY_HASH_SIZE], struct hs_error *err)
{
    const char *hex = json_string_value(json_object_get(object, member)), *end;
    size_t len;
    if (!hex || strlen(hex) != 2 * HS_KEY_HASH_SIZE ||
        sodium_hex2bin(ret, HS_KEY_HASH_SIZE, hex, 2 * HS_KEY_HASH_SIZE, NULL, &len, &end) < 0 ||
        len != HS_KEY_HASH_SIZE || *end)
        return member_error(member, "is not 64 hexadecimal digits", err);
    return 0;
}

/* An absent time stays as it is. */
static int read_time(const json_t *object, const char *member, int64_t *ret_s, struct hs_error *err)
{
    const json_t *value = json_object_get(object, member);
    struct hs_error why;
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_string(value) || hs_key_time_read(json_string_value(value), ret_s, &why) < 0)
        return member_error(member, "is not a time such as 2030-01-31T12:00:00Z", err);
    return 0;
}

static int read_scopes(const json_t *list, unsigned *ret_scopes, struct hs_error *err)
{
    unsigned scopes = 0;
    if (!json_is_array(list))
        return member_error("scopes", "is not a list", err);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        enum hs_scope scope;
        int r = name ? hs_scope_find(name, &scope, err) : member_error("scopes", "has an item that is not text", err);
        if (r < 0)
            return r;
        scopes |= hs_scope_bit(scope);
    }
    *ret_scopes = scopes;
    return 0;
}

static int read_limits(const json_t *object, struct hs_key *key, struct hs_error *err)
{
    const json_t *rate = json_object_get(object, "requests_per_second"), *burst = json_object_get(object, "burst");
    if (rate && (!json_is_number(rate) || !(json_number_value(rate) >= 0 && json_number_value(rate) <= 1e6)))
        return member_error("requests_per_second", "must be between 0 and 1000000", err);
    if (burst && (!json_is_integer(burst) || json_integer_value(burst) < 0 || json_integer_value(burst) > 1000000))
        return member_error("burst", "must be between 0 and 1000000", err);
    key->requests_per_second = rate ? json_number_value(rate) : -1;
    key->burst = burst ? (int) json_integer_value(burst) : -1;
    return 0;
}

static int read_names(const json_t *object, struct hs_key *key, struct hs_error *err)
{
    const char *id = json_string_value(json_object_get(object, "id"));
    const char *name = json_string_value(json_object_get(object, "name"));
    if (!id || strlen(id) != ID_LEN || strspn(id, alphabet) != ID_LEN)
        return member_error("id", "is not 8 letters and digits", err);
    hs_str_copy(key->id, sizeof(key->id), id);
    if (!name || strlen(name) > HS_KEY_NAME_MAX)
        return member_error("name", "is missing or too long", err);
    hs_str_copy(key->name, sizeof(key->name), name);
    hs_str_make_line(key->name);
    return 0;
}

/* Members that this version does not know are refused, because one could restrict the key. */
static int check_members(json_t *object, struct hs_error *err)
{
    static const char *const known[] = {
        "id", "name", "scopes", "created", "expires", "hash", "old_hash", "old_until", "requests_per_second", "burst"
    };
    const char *member;
    json_t *value;
    char shown[64];
    json_object_foreach(object, member, value)
    {
        bool found = false;
        for (size_t i = 0; i < HS_ARRAY_LEN(known); i++)
            found |= strcmp(member, known[i]) == 0;
        hs_str_quote(shown, sizeof(shown), member, strlen(member));
        if (!found)
            return member_error(shown, "is not a member of a key", err);
    }
    return 0;
}

static int read_key(json_t *object, struct hs_key *ret, struct hs_error *err)
{
    struct hs_key key = { 0 };
    if (!json_is_object(object))
        return hs_error_set(err, HS_EINVAL, "not an object");
    int r = check_members(object, err);
    if (r == 0)
        r = read_names(object, &key, err);
    if (r == 0)
        r = read_scopes(json_object_get(object, "scopes"), &key.scopes, err);
    if (r == 0)
        r = read_time(object, "created", &key.created_s, err);
    if (r == 0)
        r = read_time(object, "expires", &key.expires_s, err);
    if (r == 0)
        r = read_time(object, "old_until", &key.old_until_s, err);
    if (r == 0)
        r = read_hash(object, "hash", key.hash, err);
    if (r == 0 && key.old_until_s != 0)
        r = read_hash(object, "old_hash", key.old_hash, err);
    if (r == 0)
        r = read_limits(object, &key, err);
    if (r == 0)
        *ret = key;
    return r;
}

static int read_keys(const json_t *root, struct hs_keyring *ring, struct hs_error *err)
{
    const json_t *list = json_object_get(root, "keys"), *version = json_object_get(root, "version");
    struct hs_error why;
    if (!json_is_integer(version) || !json_is_array(list))
        return hs_error_set(err, HS_EINVAL, "not a file of API keys");
    if (json_integer_value(version) != VERSION)
        return hs_error_set(err, HS_EINVAL, "made by a newer version of this program");
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct hs_key key;
        int r = read_key(json_array_get(list, i), &key, &why);
        if (r < 0)
            return hs_error_set(err, r, "key %zu: %s", i + 1, why.message);
        if (hs_keyring_find(ring, key.id))
            return hs_error_set(err, HS_EINVAL, "key %zu: another key has its id", i + 1);
        r = hs_keyring_add(ring, &key, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int hs_keyring_read(const char *text, size_t len, struct hs_keyring *ret, struct hs_error *err)
{
    struct hs_keyring ring = { 0 };
    json_error_t detail;
    json_t *root;
    int r = hs_json_read(text, len, JSON_REJECT_DUPLICATES, &root, &detail);
    if (r == HS_ENOMEM)
        return hs_error_set(err, r, "no memory for the keys");
    if (r < 0)
        return hs_error_set(err, r, "line %d: invalid JSON", detail.line);
    r = read_keys(root, &ring, err);
    json_decref(root);
    if (r < 0)
        hs_keyring_finish(&ring);
    else
        *ret = ring;
    return r;
}

static void write_hash(struct hs_json_writer *json, const char *member, const uint8_t hash[HS_KEY_HASH_SIZE])
{
    char hex[2 * HS_KEY_HASH_SIZE + 1];
    hs_json_key(json, member);
    hs_json_string(json, sodium_bin2hex(hex, sizeof(hex), hash, HS_KEY_HASH_SIZE));
}

static void write_time(struct hs_json_writer *json, const char *member, int64_t time_s)
{
    char text[HS_KEY_TIME_SIZE];
    if (time_s == 0)
        return;
    hs_json_key(json, member);
    hs_json_string(json, hs_key_time_write(time_s, text));
}

static void write_key(struct hs_json_writer *json, const struct hs_key *key)
{
    hs_json_open(json, '{');
    hs_json_key(json, "id");
    hs_json_string(json, key->id);
    hs_json_key(json, "name");
    hs_json_string(json, key->name);
    hs_json_key(json, "scopes");
    hs_json_open(json, '[');
    for (size_t i = HS_SCOPE_NONE + 1; i < HS_SCOPE_COUNT; i++) {
        if (key->scopes & hs_scope_bit((enum hs_scope) i))
            hs_json_string(json, hs_scope_name((enum hs_scope) i));
    }
    hs_json_close(json, ']');
    write_time(json, "created", key->created_s);
    write_time(json, "expires", key->expires_s);
    if (key->requests_per_second >= 0) {
        hs_json_key(json, "requests_per_second");
        hs_json_real(json, key->requests_per_second);
    }
    if (key->burst >= 0) {
        hs_json_key(json, "burst");
        hs_json_int(json, key->burst);
    }
    write_hash(json, "hash", key->hash);
    write_time(json, "old_until", key->old_until_s);
    if (key->old_until_s != 0)
        write_hash(json, "old_hash", key->old_hash);
    hs_json_close(json, '}');
}

int hs_keyring_write(const struct hs_keyring *ring, struct hs_buf *out)
{
    struct hs_json_writer json;
    hs_json_begin(&json, out, HS_JSON_FILE);
    hs_json_open(&json, '{');
    hs_json_key(&json, "version");
    hs_json_int(&json, VERSION);
    hs_json_key(&json, "keys");
    hs_json_open(&json, '[');
    for (size_t i = 0; i < ring->count; i++)
        write_key(&json, &ring->keys[i]);
    hs_json_close(&json, ']');
    hs_json_close(&json, '}');
    return hs_json_end(&json);
}
