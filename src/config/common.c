#include "config/common.h"

#include <math.h>

#include "base/origin.h"

#define MIB 1048576.0

#define ROW(key, kind, field) .name = key, .type = HS_SETTING_##kind, .offset = offsetof(struct S, field)

/* In the order of enum hs_http_admin. */
static const char *const admins[] = { "off", "local", "all", NULL };

#define S hs_server_settings
const struct hs_setting hs_server_rows[17] = {
    { ROW("server.host", TEXT, host), .min = 1, .max = 255, .fallback = "0.0.0.0",
      .help = "Address or name to listen on; \"::\" listens on IPv6 and IPv4" },
    { ROW("server.port", INT, port), .min = 0, .max = 65535, .fallback = "8080",
      .help = "TCP port to listen on; 0 lets the system choose a free one" },
    { ROW("server.max_connections", INT, max_connections), .min = 1, .max = 65536, .fallback = "256",
      .unit = "connections",
      .help = "Connections open at the same time; one more takes the place of the one without a request that is silent "
              "longest, else of the slowest one below 32 KiB/s, or waits" },
    { ROW("server.max_connections_per_address", INT, max_connections_per_address), .min = 0, .max = 65536,
      .fallback = "0", .unit = "connections", .help = "Connections open from one address; 0: no limit of its own" },
    { ROW("server.max_header_kb", INT, max_header_kb), .min = 1, .max = 1024, .fallback = "16", .unit = "KiB",
      .help = "Request line and headers together; more is answered 431" },
    { ROW("server.max_body_mb", INT, max_body_mb), .min = 1, .max = 1024, .fallback = "32", .unit = "MiB",
      .help = "One request body; more is answered 413" },
    { ROW("server.max_batch", INT, max_batch), .min = 1, .max = 256, .fallback = "32", .unit = "pictures",
      .help = "Pictures in one batch request; more are answered 400" },
    { ROW("server.max_body_memory", BYTES, max_body_memory), .min = MIB, .max = MIB * MIB, .fallback = "256M",
      .help = "Memory for the bodies of all requests together; a request that finds no room is answered 503" },
    { ROW("server.max_answer_memory", BYTES, max_answer_memory), .min = MIB, .max = MIB * MIB, .fallback = "32M",
      .help = "Memory for answers that wait for their clients, past the first 64 KiB of each; an answer that finds no "
              "room is replaced by a 503" },
    { ROW("server.header_timeout", SECONDS, header_timeout), .min = 0.1, .max = 3600, .fallback = "10",
      .unit = "seconds", .help = "Time for a client to send the headers of a request" },
    { ROW("server.body_idle_timeout", SECONDS, body_idle_timeout), .min = 0.1, .max = 3600, .fallback = "10",
      .unit = "seconds", .help = "Longest pause while a body is sent" },
    { ROW("server.body_timeout", SECONDS, body_timeout), .min = 0.1, .max = 86400, .fallback = "60", .unit = "seconds",
      .help = "Time for a client to send a whole body, or to take a whole answer" },
    { ROW("server.idle_timeout", SECONDS, idle_timeout), .min = 0.1, .max = 86400, .fallback = "60", .unit = "seconds",
      .help = "How long a connection without a request is kept open" },
    { ROW("server.shutdown_timeout", SECONDS, shutdown_timeout), .min = 0, .max = 3600, .fallback = "20",
      .unit = "seconds", .help = "Time for running requests to end after SIGTERM, SIGINT or SIGHUP" },
    { ROW("server.cors_origins", LIST, cors_origins), .max = 4096, .fallback = "[]", .complaint = hs_origin_complaint,
      .help = "Origins of web pages that may use the service from a browser; \"*\": pages of every origin may read "
              "answers, and only those that are listed may change something" },
    { ROW("server.allowed_hosts", LIST, allowed_hosts), .max = 4096, .fallback = "[]", .complaint = hs_host_complaint,
      .help = "Host names under which a page in a browser may change something; empty: addresses, localhost, the name "
              "of the machine, also with .local, server.host and the hosts of server.cors_origins" },
    { ROW("server.admin", CHOICE, admin), .choices = admins, .fallback = "local",
      .help = "Clients that may load, unload and fetch models, set keep_alive and delete backups: none, those on this "
              "machine that are not behind a proxy, or all" },
};
#undef S

#define S hs_image_settings
const struct hs_setting hs_image_rows[5] = {
    { ROW("image.max_megapixels", DOUBLE, max_megapixels), .min = 0.1, .max = 1000, .fallback = "64",
      .unit = "million pixels", .help = "Width times height of a picture; a larger one is refused from its header" },
    { ROW("image.max_side", INT, max_side), .min = 32, .max = 65535, .fallback = "32768", .unit = "pixels",
      .help = "Width and height of a picture" },
    { ROW("image.max_memory", BYTES, max_memory), .min = MIB, .max = 16384 * MIB, .fallback = "96M",
      .help = "Memory that decoding one picture may take at its peak" },
    { ROW("image.max_memory_total", BYTES, max_memory_total), .min = MIB, .max = 16384 * MIB, .fallback = "96M",
      .help =
          "Memory that decoding and drawing may take in all requests together, a quarter of it for pictures of up to "
          "4 megapixels alone; a picture waits until there is room, and one that takes more than its part is decoded "
          "beside those of the other part only" },
    { ROW("image.apply_exif", BOOL, apply_exif), .fallback = "false",
      .help = "Turn pictures upright as their EXIF orientation says; a request may say otherwise" },
};
#undef S

/* In the order of enum hs_log_level and enum hs_log_format. */
static const char *const log_levels[] = { "DEBUG", "INFO", "WARNING", "ERROR", NULL };
static const char *const log_formats[] = { "text", "json", NULL };

/* In the order of enum hs_hailort_log. */
static const char *const hailort_logs[] = { "off", "journal", NULL };

#define S hs_logging_settings
const struct hs_setting hs_logging_rows[3] = {
    { ROW("logging.level", CHOICE, level), .choices = log_levels, .fallback = "INFO",
      .help = "The least important messages that are written" },
    { ROW("logging.format", CHOICE, format), .choices = log_formats, .fallback = "text",
      .help = "Form of a log line: text for people, or one JSON object" },
    { ROW("logging.hailort", CHOICE, hailort), .choices = hailort_logs, .fallback = "off",
      .help = "HailoRT's own messages: none, or by way of syslog into the journal" },
};
#undef S

#define S hs_model_settings
const struct hs_setting hs_model_rows[7] = {
    { ROW("model.name", TEXT, name), .min = 1, .max = 255, .fallback = "auto",
      .help = "Model to serve; auto: the best one that this machine can run and has" },
    { ROW("model.keep_alive", SECONDS, keep_alive), .flags = HS_SETTING_FOREVER, .min = 0, .max = 31536000,
      .fallback = "-1", .unit = "seconds",
      .help = "How long the model stays loaded after its last use; -1: for good, 0: unloaded at once" },
    { ROW("model.max_memory", BYTES, max_memory), .min = 0, .max = 16384 * MIB, .fallback = "600M",
      .help = "Memory of the process above which models that requests asked for by name are unloaded, the least "
              "recently used one first" },
    { ROW("model.dir", TEXT, dir), .flags = HS_SETTING_PATH, .max = 4095, .fallback = "", .variable = "HS_MODELS_DIR",
      .help = "Folder of the model files; empty: the usual places" },
    { ROW("model.packs_dir", TEXT, packs_dir), .flags = HS_SETTING_PATH, .max = 4095, .fallback = "",
      .variable = "HS_PACKS_DIR", .help = "Folder of the model descriptions; empty: the installed ones" },
    { ROW("model.mirror", TEXT, mirror), .flags = HS_SETTING_PATH, .max = 4095, .fallback = "",
      .variable = "HS_MODELS_MIRROR",
      .help = "Folder or http(s) address under which model files are looked for first; empty: none" },
    { ROW("model.allow_pull", BOOL, allow_pull), .fallback = "false",
      .help = "Clients may have models fetched into the models folder, from the network" },
};
#undef S

static const char *const devices[] = { "auto", "cpu", "hailo", "sim", "sim:SCRIPT", NULL };
/* In the order of enum hs_precision. */
static const char *const precisions[] = { "auto", "f32", "fast", NULL };

#define S hs_inference_settings
const struct hs_setting hs_inference_rows[16] = {
    { ROW("inference.confidence_threshold", DOUBLE, confidence_threshold), .min = 0, .max = 1, .fallback = "0.5",
      .help = "Least score of a detection; a request may say otherwise" },
    { ROW("inference.iou_threshold", DOUBLE, iou_threshold), .min = 0, .max = 1, .fallback = "0.45",
      .help = "Overlap from which two boxes count as the same thing; a request may say otherwise" },
    { ROW("inference.max_detections", INT, max_detections), .min = 0, .max = 1000, .fallback = "10",
      .help = "Most detections in an answer; a request may say otherwise" },
    { ROW("inference.input_size", SIZE, input_size), .min = 32, .max = 1280, .multiple = 32, .fallback = "[640, 640]",
      .unit = "pixels", .help = "Input size of the network, where the model leaves it free" },
    { ROW("inference.rectangular", BOOL, rectangular), .fallback = "true",
      .help = "Fit the short side of the input to the picture, where the device can; false: always the whole size" },
    { ROW("inference.device", TEXT, device), .flags = HS_SETTING_PATH, .min = 1, .max = 4095, .choices = devices,
      .fallback = "auto",
      .help = "What runs the network; auto: a Hailo where there is one, else the processor; sim: a "
              "simulation (docs/sim.md)" },
    { ROW("inference.device_id", TEXT, device_id), .max = 255, .fallback = "",
      .help = "Which one of several such devices; empty: any" },
    { ROW("inference.precision", CHOICE, precision), .choices = precisions, .fallback = "auto",
      .help = "Number format on the processor; auto: the fastest exact one, f32: float32, fast: also bf16 or f16" },
    { ROW("inference.threads", INT, threads), .min = 0, .max = 256, .fallback = "0", .unit = "threads",
      .help = "Processor threads for the network; 0: one for each processor" },
    { ROW("inference.pin_threads", BOOL, pin_threads), .fallback = "true",
      .help = "Keep each of these threads on one processor core; false: the system may move them, where other programs "
              "need the same cores" },
    { ROW("inference.slots", INT, slots), .min = 0, .max = 16, .fallback = "0", .unit = "pictures",
      .help = "Pictures in the device at the same time; 0: as many as suit it. On a processor 0 puts all cores on one "
              "picture; with 2 and more that many are computed at a time, which takes more memory" },
    { ROW("inference.max_shapes", INT, max_shapes), .min = 1, .max = 16, .fallback = "4", .unit = "shapes",
      .flags = HS_SETTING_UNUSED, .help = "Not used: a model is loaded once for all input sizes" },
    { ROW("inference.max_memory", BYTES, max_memory), .min = 0, .max = 16384 * MIB, .fallback = "200M",
      .flags = HS_SETTING_UNUSED, .help = "Not used: a model is loaded once for all input sizes" },
    { ROW("inference.restart_above", BYTES, restart_above), .min = 0, .max = 16384 * MIB, .fallback = "0",
      .help = "Memory of the whole process past which the processor's runtime is closed and opened anew, while "
              "requests wait; 0: never" },
    { ROW("inference.restart_pause", SECONDS, restart_pause), .min = 1, .max = 31536000, .fallback = "600",
      .unit = "seconds", .help = "Least time between two of these, for each model" },
    { ROW("inference.cache_dir", TEXT, cache_dir), .flags = HS_SETTING_PATH, .max = 4095, .fallback = "",
      .help = "Folder for compiled models; empty: beside the model files" },
};
#undef S

/* In the order of enum hs_fallback and enum hs_on_hang. */
static const char *const fallbacks[] = { "none", "cpu", NULL };
static const char *const on_hang[] = { "retry", "exit", NULL };

#define S hs_device_settings
const struct hs_setting hs_device_rows[7] = {
    { ROW("device.fallback", CHOICE, fallback), .choices = fallbacks, .fallback = "none",
      .help = "What answers while the device does not: nothing (503), or the processor; with device auto the "
              "processor does in any case" },
    { ROW("device.group", TEXT, group), .min = 1, .max = 63, .fallback = "SHARED",
      .help = "Programs that open a Hailo in one group share it; SHARED is that of Hailo's own; UNIQUE: with nobody" },
    { ROW("device.probe_interval", SECONDS, probe_interval), .min = 0.1, .max = 3600, .fallback = "5",
      .unit = "seconds", .help = "Longest pause between attempts to bring back a device that is down" },
    { ROW("device.timeout", SECONDS, timeout), .min = 0.05, .max = 3600, .fallback = "5", .unit = "seconds",
      .help = "Longest time that the device may take for a picture; then it has failed" },
    { ROW("device.on_hang", CHOICE, on_hang), .choices = on_hang, .fallback = "retry",
      .help = "A device that does not give its pictures back: open it anew, or end the process once what runs is done, "
              "to be started again" },
    { ROW("device.batch_size", INT, batch_size), .min = 1, .max = 32, .fallback = "1", .unit = "pictures",
      .help = "Most pictures that an accelerator is given at a time, of several requests" },
    { ROW("device.batch_wait_ms", DOUBLE, batch_wait_ms), .min = 0, .max = 1000, .fallback = "0",
      .unit = "milliseconds", .help = "How long a picture may wait for others to fill its batch" },
};
#undef S

#define S hs_performance_settings
const struct hs_setting hs_performance_rows[5] = {
    { ROW("performance.worker_threads", INT, worker_threads), .min = 0, .max = 256, .fallback = "0", .unit = "threads",
      .help =
          "Threads that work on requests; 0: one more than processors, and for an accelerator, for which they wait, "
          "16 or two for each picture of a batch. Large pictures and batches are given half of them at most" },
    { ROW("performance.max_queue_size", INT, max_queue_size), .min = 1, .max = 65536, .fallback = "64",
      .unit = "requests",
      .help = "Requests that may wait for a worker, or for one model's device; one more is answered 503. A quarter of "
              "the places for a worker, rounded up, is not for large pictures and batches, unless there is only one" },
    { ROW("performance.request_timeout", SECONDS, request_timeout), .flags = HS_SETTING_FOREVER, .min = 0.1,
      .max = 86400, .fallback = "30", .unit = "seconds",
      .help = "Time for the answer, from the end of the body; then 504. A request may ask for less" },
    { ROW("performance.warmup_enabled", BOOL, warmup_enabled), .fallback = "false",
      .help = "Run a model some times after it was loaded, before it is ready" },
    { ROW("performance.warmup_iterations", INT, warmup_iterations), .min = 1, .max = 1000, .fallback = "3",
      .unit = "runs", .help = "How many times" },
};
#undef S

#define S hs_resource_settings
const struct hs_setting hs_resource_rows[2] = {
    { ROW("resource_limits.memory_max", BYTES, memory_max), .flags = HS_SETTING_UNIT, .min = 64 * MIB, .max = INFINITY,
      .fallback = "2G", .help = "Memory for the service (MemoryMax of a systemd unit)" },
    { ROW("resource_limits.cpu_quota", PERCENT, cpu_quota), .flags = HS_SETTING_UNIT, .min = 1, .max = 25600,
      .fallback = "80%", .help = "Processor time for the service, of one processor (CPUQuota of a systemd unit)" },
};
#undef S
