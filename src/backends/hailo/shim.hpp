/* Shared by the files of the shim. device.cc: the device and the exported table; model.cc: a
 * network and its slots; status.h: failures.
 *
 * The shim is compiled without exceptions, because HailoRT's interface does not need them: each
 * Expected is checked before use. Failed allocations of picture memory are reported as errors;
 * those of the few small objects of the C++ library are not. */
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
    std::shared_ptr<hailort::VDevice> vdevice; /* models share ownership */
    char id[HS_DEVICE_ID_SIZE] = "";
    char firmware[32] = "";          /* firmware version, once it was read */
    std::atomic<bool> lost{ false }; /* never reset: after a close and an open there is a new hs_device */
    std::atomic<bool> hung{ false }; /* a release did not end in time */
};

namespace hs_hailo
{

/* Fills *err and returns its code; 0 for success. Marks the device as lost if the status means
 * that. `device` may be null. */
int fail(hs_device *device, hailo_status status, hs_hailo_step step, hs_error *err);
int lost(hs_error *err);

/* Drops this reference on a separate thread, which may free objects of HailoRT, and waits for it,
 * at most for release_wait_ms (model.cc). If that is exceeded, the device is marked as hung and
 * lost, the thread ends by itself, and later releases of that device are not waited for. `what`
 * must not refer to `device`, which may be freed by then. */
void release(hs_device *device, std::shared_ptr<void> what);

/* model.cc: these functions belong to the table. */
int load(hs_device *device, const hs_model_spec *spec, hs_model **ret_model, hs_error *err);
void unload(hs_model *model);
const hs_model_info *info(const hs_model *model);
uint8_t *input(hs_model *model, int slot);
int submit(hs_model *model, int slot, int count, hs_error *err);
int wait(hs_model *model, int slot, int64_t deadline_ns, hs_error *err);
const void *output(hs_model *model, int slot, int picture, int index);

} // namespace hs_hailo

#endif
