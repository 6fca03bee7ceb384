/* What the shim's files share. device.cc: the device, and the table that is exported; model.cc: a network and its
 * slots; status.h: failures.
 *
 * Compiled without exceptions, as HailoRT's interface needs none: its Expected is asked before it is used. Pictures'
 * memory is asked for and refused like anywhere else; the few small objects that C++'s own library makes are not. */
#ifndef HS_BACKENDS_HAILO_SHIM_HPP
#define HS_BACKENDS_HAILO_SHIM_HPP

#include <atomic>
#include <memory>
#include <string>

#include <hailo/infer_model.hpp>
#include <hailo/vdevice.hpp>

#include <pthread.h>
#include <time.h>

extern "C" {
#include "backends/hailo/status.h"
#include "base/clock.h"
#include "base/str.h"
#include "hs/backend.h"
}

struct hs_device {
    std::shared_ptr<hailort::VDevice> vdevice; /* models hold it, too */
    char id[HS_DEVICE_ID_SIZE] = "";
    char firmware[32] = "";          /* its version, once it was asked for */
    std::atomic<bool> lost{ false }; /* for good: closed and opened again it is another one */
    std::atomic<bool> hung{ false }; /* a release did not end in time */
};

namespace hs_hailo
{

/* Fills *err and returns the code; a device that is lost is marked as such. `device` may be null. */
int fail(hs_device *device, hailo_status status, hs_hailo_step step, hs_error *err);
int lost(hs_error *err);

/* Drops this reference, which may free what HailoRT has, on a thread of its own, and waits for it, but no longer than
 * release_wait_ms (model.cc). A device that takes longer is hung and lost: the thread ends by itself, and no other
 * release of that device is waited for. `what` must not refer to `device`, which may be gone by then. */
void release(hs_device *device, std::shared_ptr<void> what);

/* model.cc: those of the table. */
int load(hs_device *device, const hs_model_spec *spec, hs_model **ret_model, hs_error *err);
void unload(hs_model *model);
const hs_model_info *info(const hs_model *model);
uint8_t *input(hs_model *model, int slot);
int submit(hs_model *model, int slot, int count, hs_error *err);
int wait(hs_model *model, int slot, int64_t deadline_ns, hs_error *err);
const void *output(hs_model *model, int slot, int picture, int index);

} // namespace hs_hailo

#endif
