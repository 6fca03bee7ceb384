/* The models of a service by name: the configured one, and those that requests name. No lock is held while a model is
 * put together, which reads and hashes its whole file, or taken apart, which may wait for its device. Any thread. */
#ifndef HS_SERVICE_MODEL_CACHE_H
#define HS_SERVICE_MODEL_CACHE_H

#include <stdint.h>

#include "service/model_pool.h"

struct hs_model_cache;

enum { HS_MODEL_CACHE_MAX = 8 };

/* options->model is the configured one; it is put together here and stays. Nothing is loaded. `memory_max`: resident
 * bytes of the process above which the least recently used of the others is unloaded. The caller frees with
 * hs_model_cache_destroy. */
int hs_model_cache_create(const struct hs_model_options *options, int64_t memory_max, struct hs_model_cache **ret_cache,
                          struct hs_error *err);
void hs_model_cache_destroy(struct hs_model_cache *cache); /* no reference is left. NULL allowed */

/* The configured model: without a lock, and without a reference to give back. */
struct hs_model_pool *hs_model_cache_default(struct hs_model_cache *cache);

/* A reference to the pool of the pack of that name (dashes and underscores are the same), NULL: the configured one.
 * HS_ENOTFOUND: no such pack, or not for this task, or its file is not here; HS_EBUSY: HS_MODEL_CACHE_MAX models are in
 * use; HS_ETIMEOUT: another thread was still putting it together at the deadline. */
int hs_model_cache_ref(struct hs_model_cache *cache, const char *name, int64_t deadline_ns,
                       struct hs_model_pool **ret_pool, struct hs_error *err);
void hs_model_cache_unref(struct hs_model_cache *cache, struct hs_model_pool *pool); /* NULL allowed */

/* References to all models that are ready to use, the configured one first; they do not count as a use. */
size_t hs_model_cache_ref_all(struct hs_model_cache *cache, struct hs_model_pool *ret_pools[HS_MODEL_CACHE_MAX]);
void hs_model_cache_unref_all(struct hs_model_cache *cache, struct hs_model_pool *const *pools, size_t count);

/* The state of a pack: hs_runner_state_name of its pool; "idle" if its file is here but it was not used yet; "absent"
 * if it is not here. */
const char *hs_model_cache_state(struct hs_model_cache *cache, const struct hs_pack *pack);

/* Unloads the model as soon as it is not used. False: it was not loaded. */
bool hs_model_cache_unload(struct hs_model_cache *cache, const struct hs_pack *pack);

#endif
