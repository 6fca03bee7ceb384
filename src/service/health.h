/* What /health says of models and devices, in every service. */
#ifndef HS_SERVICE_HEALTH_H
#define HS_SERVICE_HEALTH_H

#include <jansson.h>

#include "service/model_pool.h"

/* Adds to the answer: `device` that answers come from, `degraded` where the processor stands in for it; where there is
 * something to say, `detail` of a device that is down, `no_fallback` why the processor may not stand in, and `devices`
 * of the first pool that tell how they are: `name`, `runtime`, `ok`, `firmware`, `temperature_c` and `note`. Of
 * several cache the one that is worse off counts. */
void hs_health_add_devices(json_t *answer, struct hs_model_pool *const *cache, size_t count);

#endif
