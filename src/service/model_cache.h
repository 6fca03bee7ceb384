/* The models of a service by name: the configured one, and those that requests name. No lock is
 * held while a model is opened, which reads and hashes its whole file, or closed, which may wait
 * for its device. Any thread. */
#ifndef HS_SERVICE_MODEL_CACHE_H
#define HS_SERVICE_MODEL_CACHE_H

#include <stdint.h>

#include "service/model_pool.h"

struct hs_model_cache;

enum { HS_MODEL_CACHE_MAX = 8 };

/* Creates the cache and opens options->model, the configured model, which stays open. Loads
 * nothing. If the resident bytes of the process exceed `memory_max`, the least recently used of the
 * other models is unloaded. Caller frees with hs_model_cache_destroy. */
int hs_model_cache_create(const struct hs_model_options *options, int64_t memory_max, struct hs_model_cache **ret_cache,
                          struct hs_error *err);
void hs_model_cache_destroy(struct hs_model_cache *cache); /* requires that no references remain; NULL allowed */

/* Returns the configured model. Takes no lock; the caller gets no reference and must not unref it. */
struct hs_model_pool *hs_model_cache_default(struct hs_model_cache *cache);

/* Returns a reference to the pool of the pack `name` (dashes and underscores are equal); NULL: the
 * configured one. HS_ENOTFOUND if the pack does not exist, has another task, or its file is not
 * installed; HS_EBUSY if HS_MODEL_CACHE_MAX models are in use; HS_ETIMEOUT if another thread was
 * still opening it at the deadline. */
int hs_model_cache_ref(struct hs_model_cache *cache, const char *name, int64_t deadline_ns,
                       struct hs_model_pool **ret_pool, struct hs_error *err);
void hs_model_cache_unref(struct hs_model_cache *cache, struct hs_model_pool *pool); /* NULL allowed */

/* References all models that are ready, the configured one first. Does not count as a use of them. */
size_t hs_model_cache_ref_all(struct hs_model_cache *cache, struct hs_model_pool *ret_pools[HS_MODEL_CACHE_MAX]);
void hs_model_cache_unref_all(struct hs_model_cache *cache, struct hs_model_pool *const *pools, size_t count);

/* Returns the state of a pack: hs_runner_state_name of its pool; "idle" if its file is installed
 * but it was not used yet; "absent" if it is not installed. */
const char *hs_model_cache_state(struct hs_model_cache *cache, const struct hs_pack *pack);

/* Unloads the model as soon as it has no users. Returns false if it was not loaded. */
bool hs_model_cache_unload(struct hs_model_cache *cache, const struct hs_pack *pack);

#endif
