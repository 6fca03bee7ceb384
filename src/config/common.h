/* Settings that all services share: one struct and one table per section. The settings struct of a service contains
 * the structs, and its schema refers to the tables (see src/pose/settings.c). Fields have the names of the file. */
#ifndef HS_CONFIG_COMMON_H
#define HS_CONFIG_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "config/setting.h"

struct hs_server_settings {
    char *host; /* "unix:/path": a unix socket */
    int port;
    int socket_mode;                 /* index into 0600, 0660, 0666: see hs_socket_mode */
    char *tls_certificate, *tls_key; /* "": no TLS; see hs_tls_context_load */
    int redirect_port;               /* 0: none */
    char *path_prefix;
    char *trusted_proxies; /* a list, see HS_SETTING_LIST */
    int max_connections;
    int max_connections_per_address; /* 0: no separate limit */
    int max_header_kb;
    int max_body_mb;
    int max_batch;
    int64_t max_body_memory, max_response_memory;
    double header_timeout, body_idle_timeout, body_timeout, idle_timeout;
    double shutdown_timeout;
    char *cors_origins, *allowed_hosts; /* lists, see HS_SETTING_LIST */
    int admin;                          /* enum hs_http_admin (http/access.h) */
};

unsigned hs_socket_mode(const struct hs_server_settings *server); /* permission bits */

struct hs_auth_settings {
    int mode;        /* enum hs_auth_mode (auth/auth.h) */
    char *keys_file; /* see hs_key_file_read; "": none */
};

struct hs_limit_settings {
    double requests_per_second; /* of a key, or of an address without one; 0: no limit */
    int burst;                  /* 0: requests_per_second, rounded up */
};

struct hs_image_settings {
    double max_megapixels;
    int max_side;
    int64_t max_memory;       /* for one picture */
    int64_t max_memory_total; /* for all of them */
    bool apply_exif;
};

enum hs_hailort_log { HS_HAILORT_LOG_OFF, HS_HAILORT_LOG_JOURNAL };

/* `level` is an enum hs_log_level, `format` an enum hs_log_format (base/log.h). */
struct hs_logging_settings {
    int level;
    int format;
    int hailort; /* enum hs_hailort_log */
};

struct hs_model_settings {
    char *name;
    double keep_alive;  /* -1: stay loaded; 0: unload at once */
    int64_t max_memory; /* of the process; above it unused models are unloaded */
    char *dir;          /* "": the default places */
    char *packs_dir;    /* "": the default places */
    char *mirror;       /* "": none */
    bool allow_pull;    /* clients may start downloads of models */
};

/* `precision` is an enum hs_precision (hs/backend.h). */
struct hs_inference_settings {
    double confidence_threshold, iou_threshold;
    int max_detections;
    int input_size[2]; /* width, height */
    bool rectangular;
    char *device;    /* "auto", "cpu", "hailo", "sim", or "sim:" and the path of a script */
    char *device_id; /* "": any */
    int precision;
    int threads; /* 0: one per processor */
    bool pin_threads;
    int slots; /* 0: the backend chooses */
    int max_shapes;
    int64_t max_memory;
    int64_t restart_above; /* 0: never */
    double restart_pause;
    char *cache_dir; /* "": beside the models */
};

enum hs_fallback { HS_FALLBACK_NONE, HS_FALLBACK_CPU };
enum hs_on_hang { HS_HANG_RETRY, HS_HANG_EXIT };

struct hs_device_settings {
    int fallback; /* enum hs_fallback */
    char *group;
    double probe_interval, timeout;
    int on_hang; /* enum hs_on_hang */
    int batch_size;
    double batch_wait_ms;
};

struct hs_performance_settings {
    int worker_threads;     /* 0: src/service/server_main.c chooses */
    int max_queue_size;     /* length of the queue of requests for a worker, and of that for a device */
    double request_timeout; /* -1: none */
    bool warmup_enabled;
    int warmup_iterations;
};

struct hs_resource_settings {
    int64_t memory_max; /* INT64_MAX: infinity */
    double cpu_quota;   /* percent of one processor */
};

/* The sections of all programs. The settings struct of a program begins with them, so that a pointer to it is also a
 * pointer to a struct hs_common_settings. */
#define HS_COMMON_SECTIONS                                                                                             \
    struct hs_server_settings server;                                                                                  \
    struct hs_auth_settings auth;                                                                                      \
    struct hs_limit_settings limits;                                                                                   \
    struct hs_model_settings model;                                                                                    \
    struct hs_inference_settings inference;                                                                            \
    struct hs_device_settings device;                                                                                  \
    struct hs_performance_settings performance;                                                                        \
    struct hs_image_settings image;                                                                                    \
    struct hs_logging_settings logging;                                                                                \
    struct hs_resource_settings resource_limits;

struct hs_common_settings {
    HS_COMMON_SECTIONS
};

/* Initialiser for a group of a schema: HS_GROUP(hs_server_rows, struct hs_pose_settings, server). */
#define HS_GROUP(table, type, member)                                                                                  \
    { .rows = (table), .count = HS_ARRAY_LEN(table), .offset = offsetof(type, member) }

extern const struct hs_setting hs_server_rows[23];
extern const struct hs_setting hs_auth_rows[2];
extern const struct hs_setting hs_limit_rows[2];
extern const struct hs_setting hs_image_rows[5];
extern const struct hs_setting hs_logging_rows[3];
extern const struct hs_setting hs_model_rows[7];
extern const struct hs_setting hs_inference_rows[16];
extern const struct hs_setting hs_device_rows[7];
extern const struct hs_setting hs_performance_rows[5];
extern const struct hs_setting hs_resource_rows[2];

#endif
