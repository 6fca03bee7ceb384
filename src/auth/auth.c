#include "auth/auth.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <sodium.h>

#include "auth/key_file.h"
#include "base/clock.h"
#include "base/str.h"

#define CREDENTIAL "credential:"

/* Identifies the content of a file. All-zero: there is no file. */
struct version {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct config {
    enum hs_auth_mode mode;
    char *source;
    struct hs_rate rate; /* per_second 0: no limit */
    bool needs_keys;
    struct hs_keyring ring;
    struct version version;
};

struct hs_auth {
    struct config *next; /* between prepare and commit; NULL: none */
    bool has_failed;     /* the version `failed` of the file could not be read, which is reported */
    struct version failed;

    pthread_mutex_t lock; /* guards the fields below; held for microseconds */
    struct config now;
    struct hs_rate_table *attempts, *addresses, *keys;
    int64_t refused; /* requests with an invalid key that hs_auth_take_refused has not returned */
};

/* ---- Files ---- */

static bool is_watched(const struct config *config)
{
    return config->mode != HS_AUTH_OFF && config->source[0] && !hs_str_starts(config->source, CREDENTIAL);
}

/* Returns false if it is unknown. */
static bool read_version(const struct config *config, struct version *ret)
{
    struct stat st;
    memset(ret, 0, sizeof(*ret));
    if (!is_watched(config))
        return true;
    if (stat(config->source, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR;
    ret->device = st.st_dev;
    ret->inode = st.st_ino;
    ret->size = st.st_size;
    ret->modified = st.st_mtim;
    ret->changed = st.st_ctim;
    return true;
}

static bool same_version(const struct version *a, const struct version *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* The version is read first, so that a change during the reading is noticed by the next watch. */
static int read_ring(struct config *config, struct hs_error *err)
{
    config->needs_keys |= config->mode == HS_AUTH_KEYS;
    if (config->mode == HS_AUTH_OFF || !config->source[0])
        return 0;
    read_version(config, &config->version);
    int r = hs_key_file_read(config->source, &config->ring, err);
    if (r == HS_ENOTFOUND && is_watched(config)) {
        config->version = (struct version) { 0 };
        return 0;
    }
    config->needs_keys |= r == 0;
    return r;
}

static void finish_config(struct config *config)
{
    free(config->source);
    hs_keyring_finish(&config->ring);
    *config = (struct config) { 0 };
}

static int read_config(const struct hs_auth_options *options, bool needed, struct config *ret, struct hs_error *err)
{
    struct config config = { .mode = options->mode, .source = strdup(options->keys_file) };
    if (!config.source)
        return hs_error_set(err, HS_ENOMEM, "no memory for the keys");
    if (options->requests_per_second > 0)
        config.rate = hs_rate_of(options->requests_per_second, options->burst);
    config.needs_keys = needed && config.mode != HS_AUTH_OFF;
    int r = 0;
    if (config.mode == HS_AUTH_KEYS && !config.source[0])
        r = hs_error_set(err, HS_EINVAL, "auth.keys_file is empty, but auth.mode is keys");
    if (r == 0)
        r = read_ring(&config, err);
    if (r < 0)
        finish_config(&config);
    else
        *ret = config;
    return r;
}

/* ---- Creation and changes ---- */

int hs_auth_create(const struct hs_auth_options *options, struct hs_auth **ret_auth, struct hs_error *err)
{
    struct hs_auth *auth = calloc(1, sizeof(*auth));
    if (!auth)
        return hs_error_set(err, HS_ENOMEM, "no memory for the keys");
    pthread_mutex_init(&auth->lock, NULL);
    auth->attempts = hs_rate_table_create(HS_AUTH_CLIENTS_MAX);
    auth->addresses = hs_rate_table_create(HS_AUTH_CLIENTS_MAX);
    auth->keys = hs_rate_table_create(HS_KEYRING_MAX);
    int r = 0;
    if (!auth->attempts || !auth->addresses || !auth->keys)
        r = hs_error_set(err, HS_ENOMEM, "no memory for the rates of clients");
    else if (sodium_init() < 0)
        r = hs_error_set(err, HS_EINTERNAL, "cannot initialise libsodium");
    if (r == 0)
        r = read_config(options, false, &auth->now, err);
    if (r < 0)
        hs_auth_destroy(auth);
    else
        *ret_auth = auth;
    return r;
}

void hs_auth_destroy(struct hs_auth *auth)
{
    if (!auth)
        return;
    hs_auth_abandon(auth);
    finish_config(&auth->now);
    hs_rate_table_destroy(auth->attempts);
    hs_rate_table_destroy(auth->addresses);
    hs_rate_table_destroy(auth->keys);
    pthread_mutex_destroy(&auth->lock);
    free(auth);
}

int hs_auth_prepare(struct hs_auth *auth, const struct hs_auth_options *options, struct hs_error *err)
{
    struct config *next = calloc(1, sizeof(*next));
    int r = next ? read_config(options, auth->now.needs_keys, next, err)
                 : hs_error_set(err, HS_ENOMEM, "no memory for the keys");
    if (r < 0) {
        free(next);
        return r;
    }
    auth->next = next;
    return 0;
}

void hs_auth_commit(struct hs_auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    struct config old = auth->now;
    auth->now = *auth->next;
    *auth->next = old;
    pthread_mutex_unlock(&auth->lock);
    hs_auth_abandon(auth);
}

void hs_auth_abandon(struct hs_auth *auth)
{
    if (auth->next)
        finish_config(auth->next);
    free(auth->next);
    auth->next = NULL;
}

int hs_auth_watch(struct hs_auth *auth, struct hs_error *err)
{
    struct version version;
    struct config next = auth->now; /* only this thread changes it */
    if (!is_watched(&next) || !read_version(&next, &version) || same_version(&version, &next.version))
        return 0;
    /* Tried again even if it failed: a lack of memory or descriptors must not keep a revoked key valid. */
    bool reported = auth->has_failed && same_version(&version, &auth->failed);
    next.ring = (struct hs_keyring) { 0 };
    int r = read_ring(&next, err);
    auth->has_failed = r < 0;
    auth->failed = version;
    if (r < 0)
        return reported ? 0 : r;
    pthread_mutex_lock(&auth->lock);
    struct hs_keyring old = auth->now.ring;
    auth->now = next;
    pthread_mutex_unlock(&auth->lock);
    hs_keyring_finish(&old);
    return 1;
}

bool hs_auth_needs_keys(struct hs_auth *auth, size_t *ret_count)
{
    pthread_mutex_lock(&auth->lock);
    bool needs = auth->now.needs_keys;
    if (ret_count)
        *ret_count = auth->now.ring.count;
    pthread_mutex_unlock(&auth->lock);
    return needs;
}

bool hs_auth_is_active(struct hs_auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    bool active = auth->now.needs_keys || auth->now.rate.per_second > 0;
    pthread_mutex_unlock(&auth->lock);
    return active;
}

/* ---- Requests ---- */

/* Returns the key that the client sent, or NULL. Other schemes of Authorization are for proxies. */
static const char *key_of(const struct hs_auth_request *request)
{
    static const char bearer[] = "Bearer ";
    const char *text = request->authorization;
    if (text && strncasecmp(text, bearer, sizeof(bearer) - 1) == 0) {
        text += sizeof(bearer) - 1;
        return text + strspn(text, " ");
    }
    return request->api_key;
}

static int to_seconds(double s)
{
    return s < 1 ? 1 : s > 86400 ? 86400 : (int) ceil(s);
}

static int too_many(struct hs_auth_result *ret, double wait_s, const char *what, struct hs_error *err)
{
    ret->retry_after_s = to_seconds(wait_s);
    return hs_error_set(err, HS_ERATE, "Too many %s, try again in %d s", what, ret->retry_after_s);
}

/* Counts the request against the key's rate, or the address's. */
static int check_rate(struct hs_auth *auth, const struct hs_auth_request *request, const struct hs_key *key,
                      int64_t now_ns, struct hs_auth_result *ret, struct hs_error *err)
{
    struct hs_rate rate = auth->now.rate;
    char client[HS_RATE_CLIENT_SIZE];
    if (key && (key->requests_per_second >= 0 || key->burst >= 0)) {
        double per_second = key->requests_per_second >= 0 ? key->requests_per_second : rate.per_second;
        rate = hs_rate_of(per_second, key->burst >= 0 ? key->burst : 0);
    }
    if (!request->is_limited || rate.per_second <= 0)
        return 0;
    hs_rate_client(request->address, client);
    ret->limited = true;
    ret->rate = rate;
    ret->state = hs_rate_take(key ? auth->keys : auth->addresses, key ? key->id : client, rate, now_ns);
    return ret->state.allowed ? 0 : too_many(ret, ret->state.wait_s, "requests", err);
}

static int refuse_key(struct hs_auth *auth, const struct hs_auth_request *request, enum hs_key_check found,
                      int64_t now_ns, struct hs_auth_result *ret, struct hs_error *err)
{
    char client[HS_RATE_CLIENT_SIZE];
    hs_rate_client(request->address, client);
    const struct hs_rate rate = { 1.0 / HS_AUTH_ATTEMPT_S, HS_AUTH_ATTEMPTS };
    const struct hs_rate_state state = hs_rate_take(auth->attempts, client, rate, now_ns);
    ret->failure = state.allowed ? HS_AUTH_INVALID : HS_AUTH_ATTEMPTED;
    auth->refused++;
    if (!state.allowed)
        return too_many(ret, state.wait_s, "requests with invalid API keys", err);
    return hs_error_set(err, HS_EUNAUTHORIZED, "%s",
                        found == HS_KEY_EXPIRED ? "The API key has expired" : "The API key is not valid");
}

static int check_scope(const struct hs_auth_request *request, const struct hs_key *key, struct hs_auth_result *ret,
                       struct hs_error *err)
{
    unsigned needed = hs_scope_bit(request->scope);
    if ((key->scopes & needed) == needed)
        return 0;
    ret->failure = HS_AUTH_SCOPE;
    return hs_error_set(err, HS_EFORBIDDEN, "The API key does not have the scope %s", hs_scope_name(request->scope));
}

static int check(struct hs_auth *auth, const struct hs_auth_request *request, struct hs_auth_result *ret,
                 struct hs_error *err)
{
    const char *text = auth->now.needs_keys ? key_of(request) : NULL;
    const struct hs_key *key = NULL;
    enum hs_key_check found = HS_KEY_MALFORMED;
    int64_t now_ns = hs_clock_now_ns();
    ret->needs_keys = auth->now.needs_keys;
    if (text)
        found = hs_keyring_check(&auth->now.ring, text, hs_clock_wall_s(), &key);
    if (found == HS_KEY_VALID) {
        hs_str_copy(ret->key_id, sizeof(ret->key_id), key->id);
        ret->scopes = key->scopes;
    } else if (text) {
        hs_key_id_of(text, ret->failed_id);
    }
    int r = check_rate(auth, request, found == HS_KEY_VALID ? key : NULL, now_ns, ret, err);
    if (r < 0 || !ret->needs_keys || (request->is_open && found != HS_KEY_VALID))
        return r;
    if (!text) {
        ret->failure = HS_AUTH_MISSING;
        return hs_error_set(err, HS_EUNAUTHORIZED,
                            "This request needs an API key: send it as Authorization: Bearer KEY, or as X-API-Key");
    }
    if (found != HS_KEY_VALID)
        return refuse_key(auth, request, found, now_ns, ret, err);
    return check_scope(request, key, ret, err);
}

int hs_auth_check(struct hs_auth *auth, const struct hs_auth_request *request, struct hs_auth_result *ret,
                  struct hs_error *err)
{
    *ret = (struct hs_auth_result) { 0 };
    pthread_mutex_lock(&auth->lock);
    int r = check(auth, request, ret, err);
    pthread_mutex_unlock(&auth->lock);
    return r;
}

int64_t hs_auth_take_refused(struct hs_auth *auth)
{
    pthread_mutex_lock(&auth->lock);
    int64_t refused = auth->refused;
    auth->refused = 0;
    pthread_mutex_unlock(&auth->lock);
    return refused;
}
