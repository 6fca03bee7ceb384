#include "config/common.h"

#include <math.h>

#include <string.h>

#include "base/address.h"
#include "base/credential.h"
#include "base/origin.h"
#include "base/str.h"

#define MIB 1048576.0

#define ROW(key, kind, field) .name = key, .type = HS_SETTING_##kind, .offset = offsetof(struct S, field)

/* The path of a unix socket has at most 107 bytes (unix(7)). */
static const char *host_error(const char *host)
{
    if (!hs_str_starts(host, "unix:") || (host[5] == '/' && strlen(host + 5) <= 107))
        return NULL;
    return "must have an absolute path of at most 107 bytes after \"unix:\"";
}

static const char *prefix_error(const char *prefix)
{
    static const char allowed[] = "/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";
    size_t len = strlen(prefix);
    if (prefix[0] == '/' && prefix[len - 1] != '/' && !strstr(prefix, "//") && strspn(prefix, allowed) == len)
        return NULL;
    return "is not a path such as /pose, of letters, digits and ._~- without a final /";
}

static const char *proxy_error(const char *item)
{
    struct hs_address_range range;
    if (strcmp(item, "unix") == 0 || hs_address_range_parse(item, &range))
        return NULL;
    return "contains an item that is not an address, a range such as 10.0.0.0/8, or unix";
}

/* A relative path becomes an absolute one when the service starts. */
static const char *secret_error(const char *source)
{
    return hs_str_starts(source, "credential:") ? hs_credential_error(source) : NULL;
}

static const char *const socket_modes[] = { "0600", "0660", "0666", NULL };

unsigned hs_socket_mode(const struct hs_server_settings *server)
{
    static const unsigned modes[] = { 0600, 0660, 0666 };
    return modes[server->socket_mode];
}

/* In the order of enum hs_http_admin. */
static const char *const admins[] = { "off", "local", "all", NULL };

#define S hs_server_settings
const struct hs_setting hs_server_rows[23] = {
    { ROW("server.host", TEXT, host), .min = 1, .max = 255, .default_val = "0.0.0.0", .item_error = host_error,
      .help = "Address or host name to listen on; 0.0.0.0: all IPv4 addresses, \"::\": all IPv6 and IPv4 addresses, "
              "\"unix:/path\": a unix socket (sockets that systemd passes are used instead)" },
    { ROW("server.port", INT, port), .min = 0, .max = 65535, .default_val = "8080",
      .help = "TCP port to listen on; 0: the system selects a free port" },
    { ROW("server.socket_mode", CHOICE, socket_mode), .choices = socket_modes, .default_val = "0660",
      .help = "Permissions of the unix socket of server.host" },
    { ROW("server.tls_certificate", TEXT, tls_certificate), .flags = HS_SETTING_PATH | HS_SETTING_RELOAD, .max = 4095,
      .default_val = "", .item_error = secret_error,
      .help = "File of the TLS certificate and its chain (PEM), or credential:NAME; empty: no TLS. Read again on "
              "SIGHUP" },
    { ROW("server.tls_key", TEXT, tls_key), .flags = HS_SETTING_PATH | HS_SETTING_RELOAD, .max = 4095,
      .default_val = "", .item_error = secret_error,
      .help = "File of the private key of the TLS certificate (PEM, without passphrase, not readable by other users), "
              "or credential:NAME" },
    { ROW("server.redirect_port", INT, redirect_port), .min = 0, .max = 65535, .default_val = "0",
      .help = "TCP port of server.host whose requests are redirected to https with 308; 0: none" },
    { ROW("server.path_prefix", TEXT, path_prefix), .max = 255, .default_val = "", .item_error = prefix_error,
      .help = "Prefix of paths such as /pose, under which requests are also served; for a proxy that does not remove "
              "it" },
    { ROW("server.trusted_proxies", LIST, trusted_proxies), .max = 4096, .default_val = "[]", .item_error = proxy_error,
      .help = "Addresses or ranges of proxies whose X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto are used; "
              "unix: the clients of unix sockets" },
    { ROW("server.max_connections", INT, max_connections), .flags = HS_SETTING_RELOAD, .min = 1, .max = 65536,
      .default_val = "256", .unit = "connections",
      .help = "Maximum number of open connections; a new one replaces the connection that has been idle longest, else "
              "the slowest one below 32 KiB/s, else it waits" },
    { ROW("server.max_connections_per_address", INT, max_connections_per_address), .flags = HS_SETTING_RELOAD, .min = 0,
      .max = 65536, .default_val = "0", .unit = "connections",
      .help = "Maximum number of open connections from one client address; 0: no limit per address" },
    { ROW("server.max_header_kb", INT, max_header_kb), .flags = HS_SETTING_RELOAD, .min = 1, .max = 1024,
      .default_val = "16", .unit = "KiB",
      .help = "Maximum size of the request line and headers together in KiB; larger requests are answered with 431" },
    { ROW("server.max_body_mb", INT, max_body_mb), .flags = HS_SETTING_RELOAD, .min = 1, .max = 1024,
      .default_val = "32", .unit = "MiB",
      .help = "Maximum size of a request body in MiB; larger requests are answered with 413" },
    { ROW("server.max_batch", INT, max_batch), .flags = HS_SETTING_RELOAD, .min = 1, .max = 256, .default_val = "32",
      .unit = "pictures",
      .help = "Maximum number of pictures in a batch request; larger batches are answered with 400" },
    { ROW("server.max_body_memory", BYTES, max_body_memory), .min = MIB, .max = MIB * MIB, .default_val = "256M",
      .help = "Memory for the bodies of all requests together; requests that exceed it are answered with 503" },
    { ROW("server.max_response_memory", BYTES, max_response_memory), .former = "server.max_answer_memory", .min = MIB,
      .max = MIB * MIB, .default_val = "32M",
      .help = "Memory for unsent responses of all clients together, without the first 64 KiB of each; a response that "
              "exceeds it is replaced by a 503" },
    { ROW("server.header_timeout", SECONDS, header_timeout), .flags = HS_SETTING_RELOAD, .min = 0.1, .max = 3600,
      .default_val = "10", .unit = "seconds", .help = "Time in seconds for a client to send the headers of a request" },
    { ROW("server.body_idle_timeout", SECONDS, body_idle_timeout), .flags = HS_SETTING_RELOAD, .min = 0.1, .max = 3600,
      .default_val = "10", .unit = "seconds", .help = "Longest pause in seconds while a client sends a body" },
    { ROW("server.body_timeout", SECONDS, body_timeout), .flags = HS_SETTING_RELOAD, .min = 0.1, .max = 86400,
      .default_val = "60", .unit = "seconds",
      .help = "Time in seconds for a client to send a complete body, or to receive a complete response" },
    { ROW("server.idle_timeout", SECONDS, idle_timeout), .flags = HS_SETTING_RELOAD, .min = 0.1, .max = 86400,
      .default_val = "60", .unit = "seconds",
      .help = "Time in seconds after which a connection without a request is closed" },
    { ROW("server.shutdown_timeout", SECONDS, shutdown_timeout), .flags = HS_SETTING_RELOAD, .min = 0, .max = 3600,
      .default_val = "20", .unit = "seconds",
      .help = "Time in seconds for running requests to finish after SIGTERM or SIGINT" },
    { ROW("server.cors_origins", LIST, cors_origins), .flags = HS_SETTING_RELOAD, .max = 4096, .default_val = "[]",
      .item_error = hs_origin_error,
      .help = "Origins of web pages that may call the service from a browser; empty: no other origins, \"*\": pages of "
              "all origins may read answers, but only those of listed origins may change data" },
    { ROW("server.allowed_hosts", LIST, allowed_hosts), .flags = HS_SETTING_RELOAD, .max = 4096, .default_val = "[]",
      .item_error = hs_host_error,
      .help = "Host names under which a page in a browser may change data; empty: IP addresses, localhost, the name of "
              "the machine (also with .local), server.host and the hosts of server.cors_origins" },
    { ROW("server.admin", CHOICE, admin), .flags = HS_SETTING_RELOAD, .choices = admins, .default_val = "local",
      .help = "Clients that may load, unload and pull models, set keep_alive and delete backups; off: none, local: "
              "those on this machine that are not behind a proxy, all: every client" },
};
#undef S

/* In the order of enum hs_auth_mode. */
static const char *const auth_modes[] = { "auto", "off", "keys", NULL };

#define S hs_auth_settings
const struct hs_setting hs_auth_rows[2] = {
    { ROW("auth.mode", CHOICE, mode), .flags = HS_SETTING_RELOAD, .choices = auth_modes, .default_val = "auto",
      .help = "API keys; auto: requests need one if the key file exists, keys: always, off: never" },
    { ROW("auth.keys_file", TEXT, keys_file), .flags = HS_SETTING_RELOAD, .max = 4095, .default_val = "",
      .help = "File of the API keys, which the command keys changes: an absolute path, or credential:NAME for a "
              "credential of systemd; empty: none" },
};
#undef S

#define S hs_limit_settings
const struct hs_setting hs_limit_rows[2] = {
    { ROW("limits.requests_per_second", DOUBLE, requests_per_second), .flags = HS_SETTING_RELOAD, .min = 0,
      .max = 1000000, .default_val = "0", .unit = "requests",
      .help = "Maximum rate of each API key, and of each client address without a key; faster ones are answered with "
              "429, 0: no limit" },
    { ROW("limits.burst", INT, burst), .flags = HS_SETTING_RELOAD, .min = 0, .max = 1000000, .default_val = "0",
      .unit = "requests",
      .help = "Requests that a client may send at once before limits.requests_per_second applies; 0: as many as in one "
              "second" },
};
#undef S

#define S hs_image_settings
const struct hs_setting hs_image_rows[5] = {
    { ROW("image.max_megapixels", DOUBLE, max_megapixels), .flags = HS_SETTING_RELOAD, .min = 0.1, .max = 1000,
      .default_val = "64", .unit = "megapixels",
      .help = "Maximum size (width times height) of a picture in megapixels; larger ones are refused before they are "
              "decoded" },
    { ROW("image.max_side", INT, max_side), .flags = HS_SETTING_RELOAD, .min = 32, .max = 65535, .default_val = "32768",
      .unit = "pixels", .help = "Maximum width and height of a picture in pixels" },
    { ROW("image.max_memory", BYTES, max_memory), .flags = HS_SETTING_RELOAD, .min = MIB, .max = 16384 * MIB,
      .default_val = "96M", .help = "Maximum memory for decoding one picture; pictures that need more are refused" },
    { ROW("image.max_memory_total", BYTES, max_memory_total), .min = MIB, .max = 16384 * MIB, .default_val = "96M",
      .help = "Memory for decoding and drawing in all requests together, a quarter of it only for pictures of up to 4 "
              "megapixels; pictures wait until enough is free, and one that needs more than its part is charged the "
              "whole part" },
    { ROW("image.apply_exif", BOOL, apply_exif), .flags = HS_SETTING_RELOAD, .default_val = "false",
      .help = "Rotate pictures according to their EXIF orientation; a request can override it" },
};
#undef S

/* In the order of enum hs_log_level and enum hs_log_format. */
static const char *const log_levels[] = { "DEBUG", "INFO", "WARNING", "ERROR", NULL };
static const char *const log_formats[] = { "text", "json", NULL };

/* In the order of enum hs_hailort_log. */
static const char *const hailort_logs[] = { "off", "journal", NULL };

#define S hs_logging_settings
const struct hs_setting hs_logging_rows[3] = {
    { ROW("logging.level", CHOICE, level), .flags = HS_SETTING_RELOAD, .choices = log_levels, .default_val = "INFO",
      .help = "Lowest level of messages that are logged" },
    { ROW("logging.format", CHOICE, format), .flags = HS_SETTING_RELOAD, .choices = log_formats, .default_val = "text",
      .help = "Format of log lines; text: plain text, json: one JSON object per line" },
    { ROW("logging.hailort", CHOICE, hailort), .choices = hailort_logs, .default_val = "off",
      .help = "Messages of HailoRT; off: none, journal: sent to the journal through syslog" },
};
#undef S

#define S hs_model_settings
const struct hs_setting hs_model_rows[7] = {
    { ROW("model.name", TEXT, name), .min = 1, .max = 255, .default_val = "auto",
      .help = "Model to serve; auto: the best installed one that this machine can run" },
    { ROW("model.keep_alive", SECONDS, keep_alive), .flags = HS_SETTING_RELOAD | HS_SETTING_UNLIMITED, .min = 0,
      .max = 31536000, .default_val = "-1", .unit = "seconds",
      .help = "Time in seconds that a model stays loaded after its last use; -1: always, 0: unloaded immediately" },
    { ROW("model.max_memory", BYTES, max_memory), .min = 0, .max = 16384 * MIB, .default_val = "600M",
      .help = "Memory of the process above which models that requests loaded by name are unloaded, the least recently "
              "used first" },
    { ROW("model.dir", TEXT, dir), .flags = HS_SETTING_PATH, .max = 4095, .default_val = "",
      .variable = "HS_MODELS_DIR", .help = "Folder of the model files; empty: the standard folders" },
    { ROW("model.packs_dir", TEXT, packs_dir), .flags = HS_SETTING_PATH, .max = 4095, .default_val = "",
      .variable = "HS_PACKS_DIR", .help = "Folder of the model packs; empty: the installed packs" },
    { ROW("model.mirror", TEXT, mirror), .flags = HS_SETTING_RELOAD | HS_SETTING_PATH, .max = 4095, .default_val = "",
      .variable = "HS_MODELS_MIRROR",
      .help = "Folder or http(s) address that is tried first for model files; empty: none" },
    { ROW("model.allow_pull", BOOL, allow_pull), .default_val = "false",
      .help = "Allow clients to pull models from the network into the models folder" },
};
#undef S

static const char *const devices[] = { "auto", "cpu", "hailo", "sim", "sim:SCRIPT", NULL };
/* In the order of enum hs_precision. */
static const char *const precisions[] = { "auto", "f32", "fast", NULL };

#define S hs_inference_settings
const struct hs_setting hs_inference_rows[16] = {
    { ROW("inference.confidence_threshold", DOUBLE, confidence_threshold), .flags = HS_SETTING_RELOAD, .min = 0,
      .max = 1, .default_val = "0.5", .help = "Lowest score of a detection; a request can override it" },
    { ROW("inference.iou_threshold", DOUBLE, iou_threshold), .flags = HS_SETTING_RELOAD, .min = 0, .max = 1,
      .default_val = "0.45",
      .help = "IoU above which NMS removes the box with the lower score; a request can override it" },
    { ROW("inference.max_detections", INT, max_detections), .flags = HS_SETTING_RELOAD, .min = 0, .max = 1000,
      .default_val = "10", .help = "Maximum number of detections in a response; a request can override it" },
    { ROW("inference.input_size", SIZE, input_size), .min = 32, .max = 1280, .multiple = 32,
      .default_val = "[640, 640]", .unit = "pixels",
      .help = "Input size [width, height] of the network in pixels, if the model does not fix it" },
    { ROW("inference.rectangular", BOOL, rectangular), .default_val = "true",
      .help = "Fit the short side of the input to the picture if the device supports it; false: always the full input "
              "size" },
    { ROW("inference.device", TEXT, device), .flags = HS_SETTING_PATH, .min = 1, .max = 4095, .choices = devices,
      .default_val = "auto",
      .help = "Device that runs the network; auto: a Hailo if one is present, else the processor, sim: a simulated "
              "device (docs/sim.md)" },
    { ROW("inference.device_id", TEXT, device_id), .max = 255, .default_val = "",
      .help = "Id of the device if there are several; empty: any" },
    { ROW("inference.precision", CHOICE, precision), .choices = precisions, .default_val = "auto",
      .help = "Number format on the processor; auto: the fastest exact one, f32: float32, fast: also bf16 or f16" },
    { ROW("inference.threads", INT, threads), .min = 0, .max = 256, .default_val = "0", .unit = "threads",
      .help = "Processor threads that run the network; 0: one per processor" },
    { ROW("inference.pin_threads", BOOL, pin_threads), .default_val = "true",
      .help = "Pin each of these threads to a processor core; false: the system may move them, if other programs need "
              "the same cores" },
    { ROW("inference.slots", INT, slots), .min = 0, .max = 16, .default_val = "0", .unit = "pictures",
      .help = "Pictures that the device runs at the same time; 0: selected for the device (on a processor, all cores "
              "run one picture; 2 and more run that many at a time and need more memory)" },
    { ROW("inference.max_shapes", INT, max_shapes), .min = 1, .max = 16, .default_val = "4", .unit = "shapes",
      .flags = HS_SETTING_UNUSED, .help = "Not used: a model is loaded once for all input sizes" },
    { ROW("inference.max_memory", BYTES, max_memory), .min = 0, .max = 16384 * MIB, .default_val = "200M",
      .flags = HS_SETTING_UNUSED, .help = "Not used: a model is loaded once for all input sizes" },
    { ROW("inference.restart_above", BYTES, restart_above), .min = 0, .max = 16384 * MIB, .default_val = "0",
      .help = "Memory of the process above which the processor's runtime is closed and opened again while requests "
              "wait; 0: never" },
    { ROW("inference.restart_pause", SECONDS, restart_pause), .min = 1, .max = 31536000, .default_val = "600",
      .unit = "seconds",
      .help = "Shortest time in seconds between two restarts by inference.restart_above, per model" },
    { ROW("inference.cache_dir", TEXT, cache_dir), .flags = HS_SETTING_PATH, .max = 4095, .default_val = "",
      .help = "Folder of compiled models; empty: next to the model files" },
};
#undef S

/* In the order of enum hs_fallback and enum hs_on_hang. */
static const char *const fallbacks[] = { "none", "cpu", NULL };
static const char *const on_hang[] = { "retry", "exit", NULL };

#define S hs_device_settings
const struct hs_setting hs_device_rows[7] = {
    { ROW("device.fallback", CHOICE, fallback), .choices = fallbacks, .default_val = "none",
      .help = "Fallback while the device is down; none: requests are answered with 503, cpu: the processor runs them "
              "(always so if inference.device is auto)" },
    { ROW("device.group", TEXT, group), .min = 1, .max = 63, .default_val = "SHARED",
      .help = "Group of programs that share a Hailo; SHARED: the group of Hailo's own programs, UNIQUE: no sharing" },
    { ROW("device.probe_interval", SECONDS, probe_interval), .min = 0.1, .max = 3600, .default_val = "5",
      .unit = "seconds", .help = "Longest pause in seconds between attempts to recover a device that is down" },
    { ROW("device.timeout", SECONDS, timeout), .min = 0.05, .max = 3600, .default_val = "5", .unit = "seconds",
      .help = "Time in seconds for the device to process a picture; after it the run has failed" },
    { ROW("device.on_hang", CHOICE, on_hang), .flags = HS_SETTING_RELOAD, .choices = on_hang, .default_val = "retry",
      .help = "Action if a device does not return its pictures; retry: open it again, exit: finish the running "
              "requests, then exit, so that a supervisor restarts the service" },
    { ROW("device.batch_size", INT, batch_size), .min = 1, .max = 32, .default_val = "1", .unit = "pictures",
      .help = "Maximum number of pictures, of several requests, that an accelerator runs as one batch" },
    { ROW("device.batch_wait_ms", DOUBLE, batch_wait_ms), .min = 0, .max = 1000, .default_val = "0",
      .unit = "milliseconds",
      .help = "Time in milliseconds that a picture waits for others to fill its batch; 0: no wait" },
};
#undef S

#define S hs_performance_settings
const struct hs_setting hs_performance_rows[5] = {
    { ROW("performance.worker_threads", INT, worker_threads), .min = 0, .max = 256, .default_val = "0",
      .unit = "threads",
      .help = "Threads that process requests; 0: one more than processors, plus 16 or two per picture of a batch for "
              "an accelerator (large pictures and batches use at most half of them)" },
    { ROW("performance.max_queue_size", INT, max_queue_size), .min = 1, .max = 65536, .default_val = "64",
      .unit = "requests",
      .help = "Maximum number of requests that wait for a worker, or for a model's device; more are answered with 503 "
              "(a quarter of the workers' queue, rounded up, does not accept large pictures and batches, unless its "
              "length is 1)" },
    { ROW("performance.request_timeout", SECONDS, request_timeout), .flags = HS_SETTING_RELOAD | HS_SETTING_UNLIMITED,
      .min = 0.1, .max = 86400, .default_val = "30", .unit = "seconds",
      .help =
          "Time in seconds from the end of the body to the response; later requests are answered with 504 (a request "
          "can set a shorter time)" },
    { ROW("performance.warmup_enabled", BOOL, warmup_enabled), .default_val = "false",
      .help = "Run a model performance.warmup_iterations times after it is loaded, before it is ready" },
    { ROW("performance.warmup_iterations", INT, warmup_iterations), .min = 1, .max = 1000, .default_val = "3",
      .unit = "runs", .help = "Number of runs if performance.warmup_enabled is set" },
};
#undef S

#define S hs_resource_settings
const struct hs_setting hs_resource_rows[2] = {
    { ROW("resource_limits.memory_max", BYTES, memory_max), .flags = HS_SETTING_UNIT, .min = 64 * MIB, .max = INFINITY,
      .default_val = "2G", .help = "Memory limit of the service (MemoryMax of a systemd unit)" },
    { ROW("resource_limits.cpu_quota", PERCENT, cpu_quota), .flags = HS_SETTING_UNIT, .min = 1, .max = 25600,
      .default_val = "80%",
      .help = "Processor time of the service, in percent of one processor (CPUQuota of a systemd unit)" },
};
#undef S
