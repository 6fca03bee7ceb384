/* A stand-in for HailoRT's C header, written for tests. It declares only what the Hailo backend
 * uses, with the names and numbers of HailoRT 5.1 and 5.2. The only implementation is
 * tests/hailo/double.cc, without a device. */
#ifndef HS_TESTS_HAILORT_H
#define HS_TESTS_HAILORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef float float32_t;

typedef enum {
    HAILO_SUCCESS = 0,
    HAILO_INVALID_ARGUMENT = 2,
    HAILO_OUT_OF_HOST_MEMORY = 3,
    HAILO_TIMEOUT = 4,
    HAILO_INVALID_OPERATION = 6,
    HAILO_INTERNAL_FAILURE = 8,
    HAILO_OPEN_FILE_FAILURE = 13,
    HAILO_FILE_OPERATION_FAILURE = 14,
    HAILO_NOT_FOUND = 61,
    HAILO_COMMUNICATION_CLOSED = 62,
    HAILO_STREAM_ABORT = 63,
    HAILO_OUT_OF_FW_MEMORY = 71,
    HAILO_DEVICE_IN_USE = 73,
    HAILO_OUT_OF_PHYSICAL_DEVICES = 74,
    HAILO_INVALID_DRIVER_VERSION = 76,
    HAILO_HEF_NOT_SUPPORTED = 92,
    HAILO_MAX_ENUM = 0x7fffffff, /* so that the enum can hold every status */
} hailo_status;

typedef struct {
    uint32_t major, minor, revision;
} hailo_version_t;

typedef struct {
    char id[32];
} hailo_device_id_t;

typedef struct {
    uint8_t reserved;
} hailo_scan_devices_params_t;

typedef enum {
    HAILO_SCHEDULING_ALGORITHM_NONE = 0,
    HAILO_SCHEDULING_ALGORITHM_ROUND_ROBIN = 1,
} hailo_scheduling_algorithm_t;

typedef enum {
    HAILO_DMA_BUFFER_DIRECTION_H2D = 0,
    HAILO_DMA_BUFFER_DIRECTION_D2H = 1,
} hailo_dma_buffer_direction_t;

typedef struct {
    uint32_t device_count;
    hailo_device_id_t *device_ids;
    hailo_scheduling_algorithm_t scheduling_algorithm;
    const char *group_id;
    bool multi_process_service;
} hailo_vdevice_params_t;

typedef enum {
    HAILO_FORMAT_TYPE_AUTO = 0,
    HAILO_FORMAT_TYPE_UINT8 = 1,
    HAILO_FORMAT_TYPE_UINT16 = 2,
    HAILO_FORMAT_TYPE_FLOAT32 = 3,
} hailo_format_type_t;

typedef enum {
    HAILO_FORMAT_ORDER_AUTO = 0,
    HAILO_FORMAT_ORDER_NHWC = 1,
    HAILO_FORMAT_ORDER_NHCW = 2,
    HAILO_FORMAT_ORDER_FCR = 3,
    HAILO_FORMAT_ORDER_F8CR = 4,
    HAILO_FORMAT_ORDER_NHW = 5,
    HAILO_FORMAT_ORDER_NC = 6,
} hailo_format_order_t;

typedef struct {
    hailo_format_type_t type;
    hailo_format_order_t order;
    int flags;
} hailo_format_t;

typedef struct {
    uint32_t height, width, features;
} hailo_3d_image_shape_t;

typedef struct {
    float32_t qp_zp, qp_scale, limvals_min, limvals_max;
} hailo_quant_info_t;

typedef struct {
    float32_t ts0_temperature, ts1_temperature;
    uint16_t sample_count;
} hailo_chip_temperature_info_t;

typedef struct {
    uint32_t major, minor, revision;
} hailo_firmware_version_t;

typedef struct {
    hailo_firmware_version_t fw_version;
} hailo_device_identity_t;

hailo_status hailo_get_library_version(hailo_version_t *version);
const char *hailo_get_status_message(hailo_status status);
hailo_status hailo_scan_devices(hailo_scan_devices_params_t *params, hailo_device_id_t *device_ids,
                                size_t *device_ids_length);
hailo_status hailo_init_vdevice_params(hailo_vdevice_params_t *params);
hailo_status hailo_is_qp_valid(const hailo_quant_info_t quant_info, bool *is_qp_valid);

#ifdef __cplusplus
}
#endif

#endif
