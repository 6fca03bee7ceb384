#include "service/model_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

/* EMPTY -> OPENING -> READY -> CLOSING -> EMPTY, or OPENING -> FAILED if the model cannot be
 * opened. In OPENING and CLOSING, a separate thread owns the entry, so that a request waits for it
 * no longer than its deadline. FAILED is like EMPTY, but keeps the error for the waiting threads. */
enum entry_state { EMPTY, OPENING, READY, CLOSING, FAILED };

struct entry {
    struct hs_model_cache *cache;
    enum entry_state state;
    struct hs_error error; /* in FAILED */
    int refs;              /* in READY; an entry with references is not closed */
    int64_t last_used_ns;
    const struct hs_pack *pack; /* borrowed from the store */
    struct hs_model_pool pool;
};

struct hs_model_cache {
    struct hs_model_options options;
    const char *backend; /* that of options; resolved once, because `auto` probes for devices */
    const char *runtime; /* NULL, or `version` */
    bool processor;      /* the processor may run a model that the backend cannot */
    char version[HS_RUNTIME_SIZE];
    int64_t memory_max;
    pthread_mutex_t lock;                     /* guards `entries`, but not their pools */
    pthread_cond_t changed;                   /* the state of an entry changed */
    int threads;                              /* threads that open or close an entry */
    struct entry entries[HS_MODEL_CACHE_MAX]; /* the first one is the configured model, always READY */
};

int hs_model_cache_create(const struct hs_model_options *options, int64_t memory_max, struct hs_model_cache **ret_cache,
                          struct hs_error *err)
{
    struct hs_model_cache *cache = calloc(1, sizeof(*cache));
    if (!cache || hs_cond_init(&cache->changed) != 0) {
        free(cache);
        return hs_error_set(err, HS_ENOMEM, "no memory for the models");
    }
    pthread_mutex_init(&cache->lock, NULL);
    cache->options = *options;
    cache->backend = hs_model_runner_backend_name(hs_model_runner_device(options));
    cache->runtime = hs_model_runner_runtime(cache->backend, cache->version);
    cache->processor = hs_model_pool_may_use_processor(options);
    cache->memory_max = memory_max;
    for (int i = 0; i < HS_MODEL_CACHE_MAX; i++)
        cache->entries[i].cache = cache;
    cache->options.refused = NULL; /* set for the configured model only */
    struct entry *first = &cache->entries[0];
    int r = hs_model_pool_init(&first->pool, options, err);
    if (r < 0) {
        hs_model_cache_destroy(cache);
        return r;
    }
    first->state = READY;
    first->pack = hs_store_find(options->store, hs_model_pool_first(&first->pool)->choice.pack->name);
    *ret_cache = cache;
    return 0;
}

void hs_model_cache_destroy(struct hs_model_cache *cache)
{
    if (!cache)
        return;
    pthread_mutex_lock(&cache->lock);
    while (cache->threads > 0)
        pthread_cond_wait(&cache->changed, &cache->lock);
    pthread_mutex_unlock(&cache->lock);
    for (int i = 0; i < HS_MODEL_CACHE_MAX; i++)
        if (cache->entries[i].state == READY)
            hs_model_pool_finish(&cache->entries[i].pool);
    pthread_cond_destroy(&cache->changed);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

struct hs_model_pool *hs_model_cache_default(struct hs_model_cache *cache)
{
    return &cache->entries[0].pool;
}

/* ---- with the lock held ---- */

static void set_state(struct hs_model_cache *cache, struct entry *entry, enum entry_state state)
{
    entry->state = state;
    pthread_cond_broadcast(&cache->changed);
}

static struct entry *find(struct hs_model_cache *cache, const struct hs_pack *pack)
{
    for (int i = 0; i < HS_MODEL_CACHE_MAX; i++)
        if (cache->entries[i].state != EMPTY && cache->entries[i].pack == pack)
            return &cache->entries[i];
    return NULL;
}

static bool is_loaded(struct entry *entry)
{
    struct hs_model_pool_status status;
    hs_model_pool_get_status(&entry->pool, &status);
    return status.loaded;
}

/* Returns the least recently used entry without references, never the configured one. If `loaded`,
 * considers loaded models only. Returns NULL if there is none. */
static struct entry *least_recently_used(struct hs_model_cache *cache, bool loaded)
{
    struct entry *best = NULL;
    for (int i = 1; i < HS_MODEL_CACHE_MAX; i++) {
        struct entry *entry = &cache->entries[i];
        if (entry->state == READY && entry->refs == 0 && (!loaded || is_loaded(entry)) &&
            (!best || entry->last_used_ns < best->last_used_ns))
            best = entry;
    }
    return best;
}

static void *open_or_close(void *arg)
{
    struct entry *entry = arg;
    struct hs_model_cache *cache = entry->cache;
    struct hs_model_options options = cache->options;
    bool closing = entry->state == CLOSING;
    int r = 0;
    options.model = entry->pack->name;
    if (closing)
        hs_model_pool_finish(&entry->pool);
    else
        r = hs_model_pool_init(&entry->pool, &options, &entry->error);
    pthread_mutex_lock(&cache->lock);
    cache->threads--;
    set_state(cache, entry, closing ? EMPTY : r == 0 ? READY : FAILED);
    pthread_mutex_unlock(&cache->lock);
    return NULL;
}

/* Starts a thread that opens or closes the entry. */
static int start_transition(struct hs_model_cache *cache, struct entry *entry, enum entry_state state,
                            struct hs_error *err)
{
    enum entry_state before = entry->state;
    pthread_t thread;
    entry->state = state;
    if (hs_thread_start(&thread, "models", open_or_close, entry) != 0) {
        entry->state = before;
        return hs_error_set(err, HS_ENOMEM, "cannot start a thread for the model");
    }
    pthread_detach(thread);
    cache->threads++;
    return 0;
}

/* Starts to open an entry for the pack, or to close another entry if all are in use. */
static int add(struct hs_model_cache *cache, const struct hs_pack *pack, struct hs_error *err)
{
    struct entry *entry = find(cache, pack); /* an entry in FAILED */
    bool closing = false;
    for (int i = 1; i < HS_MODEL_CACHE_MAX && !entry; i++) {
        closing |= cache->entries[i].state == CLOSING;
        if (cache->entries[i].state == EMPTY || cache->entries[i].state == FAILED)
            entry = &cache->entries[i];
    }
    if (entry) {
        const struct hs_pack *before = entry->pack;
        entry->pack = pack;
        entry->refs = 0;
        int r = start_transition(cache, entry, OPENING, err);
        if (r < 0)
            entry->pack = before; /* the entry keeps the error of this pack */
        return r;
    }
    struct entry *oldest = least_recently_used(cache, false);
    if (!oldest && !closing)
        return hs_error_set(err, HS_EBUSY, "%d models are in use, which is the maximum; try again later",
                            HS_MODEL_CACHE_MAX);
    return closing ? 0 : start_transition(cache, oldest, CLOSING, err);
}

static int ref(struct hs_model_cache *cache, const struct hs_pack *pack, int64_t deadline_ns, struct entry **ret_entry,
               struct hs_error *err)
{
    for (bool waited = false;; waited = true) {
        struct entry *entry = find(cache, pack);
        if (entry && entry->state == READY) {
            entry->refs++;
            entry->last_used_ns = hs_clock_now_ns();
            *ret_entry = entry;
            return 0;
        }
        if (entry && entry->state == FAILED && waited)
            return hs_error_set(err, entry->error.code, "%s", entry->error.message);
        int r = !entry || entry->state == FAILED ? add(cache, pack, err) : 0;
        if (r < 0)
            return r;
        if (hs_cond_wait_until(&cache->changed, &cache->lock, deadline_ns) == HS_ETIMEOUT)
            return hs_error_set(err, HS_ETIMEOUT, "%s is still loading; try again later", pack->name);
    }
}

static void enforce_memory_limit(struct hs_model_cache *cache)
{
    struct entry *entry = least_recently_used(cache, true);
    if (entry)
        hs_model_pool_unload(&entry->pool);
}

/* ---- for callers ---- */

/* Finds the file of a model: for the device, or else for the processor if that may run it. */
static int choose(const struct hs_model_cache *cache, const char *name, struct hs_model_choice *ret_choice,
                  struct hs_error *err)
{
    const struct hs_model_options *o = &cache->options;
    int r = hs_store_choose(o->store, o->task, name, cache->backend, cache->runtime, ret_choice, err);
    if (r < 0 && cache->processor && hs_store_choose(o->store, o->task, name, "openvino", NULL, ret_choice, NULL) == 0)
        r = 0;
    return r;
}

/* Finds the pack that a request names. The configured name of the default model is accepted too. */
static int find_pack(const struct hs_model_cache *cache, const char *name, const struct hs_pack **ret_pack,
                     struct hs_error *err)
{
    struct hs_model_choice choice;
    if (strcmp(name, hs_model_pool_first(&cache->entries[0].pool)->model) == 0) {
        *ret_pack = cache->entries[0].pack;
        return 0;
    }
    int r = choose(cache, name, &choice, err);
    if (r == 0)
        *ret_pack = choice.pack;
    return r;
}

int hs_model_cache_ref(struct hs_model_cache *cache, const char *name, int64_t deadline_ns,
                       struct hs_model_pool **ret_pool, struct hs_error *err)
{
    const struct hs_pack *pack = NULL;
    struct entry *entry = NULL;
    if (!name) {
        *ret_pool = hs_model_cache_default(cache);
        return 0;
    }
    int r = find_pack(cache, name, &pack, err);
    if (r < 0)
        return r;
    if (pack == cache->entries[0].pack) {
        *ret_pool = hs_model_cache_default(cache);
        return 0;
    }
    bool full = hs_mem_resident() > cache->memory_max;
    pthread_mutex_lock(&cache->lock);
    r = ref(cache, pack, deadline_ns, &entry, err);
    if (r == 0) {
        *ret_pool = &entry->pool;
        if (full)
            enforce_memory_limit(cache);
    }
    pthread_mutex_unlock(&cache->lock);
    return r;
}

static void unref(struct hs_model_cache *cache, struct hs_model_pool *pool, bool used)
{
    pthread_mutex_lock(&cache->lock);
    for (int i = 0; i < HS_MODEL_CACHE_MAX; i++) {
        struct entry *entry = &cache->entries[i];
        if (pool != &entry->pool || entry->refs == 0)
            continue;
        entry->refs--;
        if (used)
            entry->last_used_ns = hs_clock_now_ns();
    }
    pthread_mutex_unlock(&cache->lock);
}

void hs_model_cache_unref(struct hs_model_cache *cache, struct hs_model_pool *pool)
{
    /* The default has no reference. */
    if (pool && pool != hs_model_cache_default(cache))
        unref(cache, pool, true);
}

size_t hs_model_cache_ref_all(struct hs_model_cache *cache, struct hs_model_pool *ret_pools[HS_MODEL_CACHE_MAX])
{
    size_t count = 1;
    ret_pools[0] = hs_model_cache_default(cache);
    pthread_mutex_lock(&cache->lock);
    for (int i = 1; i < HS_MODEL_CACHE_MAX; i++) {
        if (cache->entries[i].state != READY)
            continue;
        cache->entries[i].refs++;
        ret_pools[count++] = &cache->entries[i].pool;
    }
    pthread_mutex_unlock(&cache->lock);
    return count;
}

void hs_model_cache_unref_all(struct hs_model_cache *cache, struct hs_model_pool *const *pools, size_t count)
{
    for (size_t i = 1; i < count; i++)
        unref(cache, pools[i], false);
}

const char *hs_model_cache_state(struct hs_model_cache *cache, const struct hs_pack *pack)
{
    struct hs_model_choice choice;
    const struct hs_model_options *o = &cache->options;
    const char *state = NULL;
    pthread_mutex_lock(&cache->lock);
    struct entry *entry = find(cache, pack);
    if (entry && entry->state == FAILED)
        entry = NULL;
    if (entry && entry->state == READY) {
        struct hs_model_pool_status status;
        hs_model_pool_get_status(&entry->pool, &status);
        state = hs_runner_state_name(status.state);
    } else if (entry) {
        state = hs_runner_state_name(entry->state == OPENING ? HS_RUNNER_LOADING : HS_RUNNER_UNLOADING);
    }
    pthread_mutex_unlock(&cache->lock);
    if (state)
        return state;
    bool simulated = hs_model_runner_is_simulated(hs_model_pool_first(hs_model_cache_default(cache)));
    bool here = choose(cache, pack->name, &choice, NULL) == 0 && (simulated || hs_store_has(o->store, choice.file));
    if (!here && cache->processor)
        here = hs_store_choose(o->store, o->task, pack->name, "openvino", NULL, &choice, NULL) == 0 &&
               hs_store_has(o->store, choice.file);
    return here ? "idle" : "absent";
}

bool hs_model_cache_unload(struct hs_model_cache *cache, const struct hs_pack *pack)
{
    pthread_mutex_lock(&cache->lock);
    struct entry *entry = find(cache, pack);
    bool loaded = entry && entry->state == READY && is_loaded(entry);
    if (loaded)
        hs_model_pool_unload(&entry->pool);
    pthread_mutex_unlock(&cache->lock);
    return loaded;
}
