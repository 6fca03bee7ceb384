/* The backend `hailo` on a machine where its module cannot be opened: each attempt to open the device looks for the
 * module again, and from the first one that finds it all calls go there. So a service starts without HailoRT, says what
 * is missing, and goes on once that was installed, or the module built. */
#ifndef HS_INFER_LAZY_MODULE_H
#define HS_INFER_LAZY_MODULE_H

#include "hs/backend.h"

extern const struct hs_backend hs_backend_hailo_lazy;

#endif
