/* A stand-in for HailoRT's C++ header of devices, written for tests (hailort.h). */
#ifndef HS_TESTS_HAILO_VDEVICE_HPP
#define HS_TESTS_HAILO_VDEVICE_HPP

#include <cassert>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hailo/hailort.h"

namespace hailort
{

/* A value, or the status that explains its absence. As in HailoRT, the value is stored in place,
 * and each access asserts that it exists; unlike there, the type needs a default constructor. */
template <typename T> class Expected final
{
public:
    Expected(T &&value) : content(std::move(value)), why(HAILO_SUCCESS) {}
    static Expected failed(hailo_status status) { return Expected(status, 0); }

    explicit operator bool() const { return why == HAILO_SUCCESS; }
    hailo_status status() const { return why; }
    T &value() &
    {
        assert(why == HAILO_SUCCESS);
        return content;
    }
    T &operator*() & { return value(); }
    T *operator->() { return &value(); }
    T release()
    {
        T taken = std::move(value());
        why = HAILO_INTERNAL_FAILURE;
        return taken;
    }

private:
    Expected(hailo_status status, int) : why(status) { assert(status != HAILO_SUCCESS); }

    T content = T();
    hailo_status why;
};

class MemoryView final
{
public:
    MemoryView(void *data, size_t size) noexcept : start(static_cast<uint8_t *>(data)), length(size) {}
    uint8_t *data() noexcept { return start; }
    size_t size() const noexcept { return length; }

private:
    uint8_t *start;
    size_t length;
};

class Device
{
public:
    virtual ~Device() = default;
    virtual Expected<hailo_device_identity_t> identify() = 0;
    virtual Expected<hailo_chip_temperature_info_t> get_chip_temperature() = 0;
};

class InferModel;

class VDevice
{
public:
    static Expected<std::shared_ptr<VDevice>> create_shared(const hailo_vdevice_params_t &params);
    virtual ~VDevice() = default;
    virtual Expected<std::shared_ptr<InferModel>> create_infer_model(const std::string &hef_path,
                                                                     const std::string &network_name = "") = 0;
    virtual Expected<std::vector<std::reference_wrapper<Device>>> get_physical_devices() const = 0;
    virtual hailo_status dma_map(void *address, size_t size, hailo_dma_buffer_direction_t direction) = 0;
    virtual hailo_status dma_unmap(void *address, size_t size, hailo_dma_buffer_direction_t direction) = 0;
};

} // namespace hailort

#endif
