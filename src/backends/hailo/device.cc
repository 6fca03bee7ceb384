/* Opens the device, and exports the backend's table. The device is shared: programs that name the
 * same group use it at the same time, and the chip's scheduler alternates between their networks. */
#include "backends/hailo/shim.hpp"

#include <cstring>
#include <new>

using namespace hs_hailo;

/* The group name of Hailo's own programs. "UNIQUE" means exclusive use. */
static const char default_group[] = "SHARED";

int hs_hailo::fail(hs_device *device, hailo_status status, hs_hailo_step step, hs_error *err)
{
    int code = hs_hailo_fail(status, step, hailo_get_status_message(status), err);
    if (device && code == HS_ELOST)
        device->lost = true;
    return code;
}

int hs_hailo::lost(hs_error *err)
{
    return hs_error_set(err, HS_ELOST,
                        "the Hailo device and its loaded models were lost; the device is reopened automatically");
}

struct found {
    hailo_device_id_t ids[HS_PROBE_MAX_DEVICES];
    size_t count;
};

static hailo_status scan(struct found *ret_found)
{
    ret_found->count = HS_PROBE_MAX_DEVICES;
    hailo_status status = hailo_scan_devices(nullptr, ret_found->ids, &ret_found->count);
    if (status != HAILO_SUCCESS)
        ret_found->count = 0;
    return status;
}

static int none_found(hailo_status status, hs_error *err)
{
    if (status != HAILO_SUCCESS)
        return fail(nullptr, status, HS_HAILO_OPEN, err);
    return hs_error_set(err, HS_ENODEVICE,
                        "no Hailo device found; check that the board is seated, and that the driver is loaded and has "
                        "the version of the library");
}

static void probe(const hs_device_options *, hs_backend_probe *ret_probe)
{
    hailo_version_t version = {};
    struct found found;
    hs_error err = {};
    memset(ret_probe, 0, sizeof(*ret_probe));
    if (hailo_get_library_version(&version) == HAILO_SUCCESS)
        hs_str_format(ret_probe->version, sizeof(ret_probe->version), "HailoRT %u.%u.%u", version.major, version.minor,
                      version.revision);
    hailo_status status = scan(&found);
    for (size_t i = 0; i < found.count; i++)
        hs_str_copy(ret_probe->ids[i], HS_DEVICE_ID_SIZE, found.ids[i].id);
    ret_probe->device_count = static_cast<int>(found.count);
    ret_probe->available = found.count > 0;
    if (found.count == 0) {
        none_found(status, &err);
        hs_str_copy(ret_probe->reason, sizeof(ret_probe->reason), err.message);
    } else {
        /* HailoRT reports the type of a board only after it is opened. */
        hs_str_format(ret_probe->device, sizeof(ret_probe->device), "Hailo %s", found.ids[0].id);
    }
}

/* Returns the device with this id, or the first one if `id` is null. */
static hailo_device_id_t *choose(struct found *found, const char *id)
{
    for (size_t i = 0; i < found->count; i++)
        if (!id || strcmp(found->ids[i].id, id) == 0)
            return &found->ids[i];
    return nullptr;
}

/* If the device's id is given, HailoRT reports a device that another program uses as in use, else
 * as missing. HailoRT may miss a reply that arrives very early, and then times out, so a timeout is
 * retried once. */
static hailo_status create_vdevice(hailo_device_id_t *id, const char *group,
                                   std::shared_ptr<hailort::VDevice> *ret_vdevice)
{
    struct opened {
        std::string group; /* HailoRT keeps a pointer to it */
        std::shared_ptr<hailort::VDevice> vdevice;
    };
    auto opened = std::make_shared<struct opened>();
    hailo_vdevice_params_t params = {};
    hailo_status status = hailo_init_vdevice_params(&params);
    if (status != HAILO_SUCCESS)
        return status;
    opened->group = group;
    params.device_ids = id;
    params.device_count = 1;
    params.scheduling_algorithm = HAILO_SCHEDULING_ALGORITHM_ROUND_ROBIN;
    params.group_id = opened->group.c_str();
    status = HAILO_TIMEOUT;
    for (int attempt = 0; attempt < 2 && status == HAILO_TIMEOUT; attempt++) {
        auto vdevice = hailort::VDevice::create_shared(params);
        status = vdevice.status();
        if (vdevice)
            opened->vdevice = vdevice.release();
    }
    *ret_vdevice = { opened, opened->vdevice.get() };
    return status;
}

static int open_device(const hs_device_options *options, hs_device **ret_device, hs_error *err)
{
    struct found found;
    hailo_status status = scan(&found);
    if (found.count == 0)
        return none_found(status, err);
    hailo_device_id_t *id = choose(&found, options->device_id);
    if (!id)
        return hs_error_set(err, HS_ENODEVICE,
                            "no Hailo device '%.31s' found; the first one is '%.31s'; correct inference.device_id",
                            options->device_id, found.ids[0].id);
    std::unique_ptr<hs_device> device(new (std::nothrow) hs_device);
    if (!device)
        return hs_error_set(err, HS_ENOMEM, "no memory for the device");
    hs_str_copy(device->id, sizeof(device->id), id->id);
    const char *group = options->group && options->group[0] ? options->group : default_group;
    status = create_vdevice(id, group, &device->vdevice);
    if (status != HAILO_SUCCESS)
        return fail(nullptr, status, HS_HAILO_OPEN, err);
    *ret_device = device.release();
    return 0;
}

static void close_device(hs_device *device)
{
    if (device)
        release(device, std::move(device->vdevice));
    delete device;
}

static hailo_status read_temperature(hs_device *device, float *ret_celsius)
{
    auto devices = device->vdevice->get_physical_devices();
    if (!devices)
        return devices.status();
    if (devices->empty())
        return HAILO_NOT_FOUND;
    auto temperature = devices->front().get().get_chip_temperature();
    if (!temperature)
        return temperature.status();
    *ret_celsius = (temperature->ts0_temperature + temperature->ts1_temperature) / 2;
    return HAILO_SUCCESS;
}

/* Reads the firmware version once; it does not change while the device is open. A device that does
 * not report it is fine. */
static void read_firmware(hs_device *device)
{
    auto devices = device->vdevice->get_physical_devices();
    if (device->firmware[0] || !devices || devices->empty())
        return;
    auto identity = devices->front().get().identify();
    if (!identity)
        return;
    const hailo_firmware_version_t &version = identity->fw_version;
    hs_str_format(device->firmware, sizeof(device->firmware), "%u.%u.%u", version.major, version.minor,
                  version.revision);
}

static int health(hs_device *device, hs_device_health *ret_health, hs_error *)
{
    hs_error why = {};
    memset(ret_health, 0, sizeof(*ret_health));
    if (device->lost) {
        lost(&why);
    } else {
        hailo_status status = read_temperature(device, &ret_health->temperature_c);
        ret_health->ok = ret_health->has_temperature = status == HAILO_SUCCESS;
        fail(device, status, HS_HAILO_HEALTH, &why);
        if (ret_health->ok)
            read_firmware(device);
    }
    hs_str_copy(ret_health->firmware, sizeof(ret_health->firmware), device->firmware);
    hs_str_copy(ret_health->note, sizeof(ret_health->note), ret_health->ok ? device->id : why.message);
    return 0;
}

extern "C" {
__attribute__((visibility("default"))) extern const hs_backend hs_backend_entry;
/* In the order of hs/backend.h. A wrong order does not compile, or fails the first test. */
const hs_backend hs_backend_entry = {
    HS_BACKEND_ABI,
    "hailo",
    "hailo",
    HS_BACKEND_FIXED_SIZE,
    4,
    probe,
    open_device,
    close_device,
    load,
    unload,
    info,
    nullptr,
    input,
    submit,
    wait,
    output,
    nullptr,
    health,
};
}
