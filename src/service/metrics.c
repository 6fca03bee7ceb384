/* GET /metrics. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/stage.h"
#include "base/str.h"
#include "http/http_metrics.h"
#include "http/server.h"
#include "service/app_routes.h"
#include "service/process_metrics.h"
#include "service/server_reload.h"

enum { METRICS_MAX = 4 << 20 };

/* Counters of other modules: add a line for each HS_COUNTERS. */
static const struct hs_counters *const counters[] = {
    &hs_http_refusals, &hs_http_handshakes, &hs_http_key_refusals,
    &hs_http_errors,   &hs_device_errors,   &hs_server_reloads,
};

#define GAUGE(name, help) { "hailo_" name, help, HS_METRIC_GAUGE, false }
#define COUNTER(name, help) { "hailo_" name, help, HS_METRIC_COUNTER, false }
/* A counter of the process, which exists from its start. */
#define PROCESS_COUNTER(name, help) { "hailo_" name, help, HS_METRIC_COUNTER, true }

struct single {
    struct hs_metric metric;
    double value;
};

static void put_singles(struct hs_metrics_writer *writer, const struct single *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hs_metrics_put_single(writer, &rows[i].metric, rows[i].value);
}

static void put_server(struct hs_metrics_writer *writer, const struct hs_http_stats *s)
{
    const struct single rows[] = {
        { PROCESS_COUNTER("http_requests_total", "Requests answered or aborted."), (double) s->requests },
        { PROCESS_COUNTER("http_cancelled_total", "Requests whose client disconnected before the answer."),
          (double) s->cancelled },
        { PROCESS_COUNTER("http_timed_out_total", "Connections closed by a timeout."), (double) s->timed_out },
        { GAUGE("http_connections", "Open connections."), (double) s->connections },
        { GAUGE("http_requests_active", "Requests in progress, from their headers to the end of their answer."),
          (double) s->active },
        { GAUGE("http_requests_queued", "Active requests that wait for a worker."), (double) s->queued },
        { GAUGE("http_workers", "Threads that process requests."), (double) s->workers },
        { GAUGE("http_workers_busy", "Threads that process a request now."), (double) s->workers_busy },
        { GAUGE("http_body_bytes", "Memory held by request bodies."), (double) s->body_bytes },
        { GAUGE("http_answer_bytes", "Memory held by unsent answers."), (double) s->response_bytes },
        { GAUGE("resident_memory_bytes", "Memory of the process."), (double) hs_mem_resident() },
    };
    put_singles(writer, rows, HS_ARRAY_LEN(rows));
}

static void put_build(struct hs_metrics_writer *writer, const struct hs_app *app)
{
    static const struct hs_metric metric = { "hailo_build_info", "Always 1; the labels describe the program.",
                                             HS_METRIC_INFO, false };
    const struct hs_metric_label labels[] = {
        { "program", app->program.name },
        { "version", app->program.version },
        { "compiler", __VERSION__ },
    };
    hs_metrics_begin(writer, &metric);
    hs_metrics_put(writer, labels, HS_ARRAY_LEN(labels), 1);
}

/* Limits that apply; the others are left out. */
static void put_limits(struct hs_metrics_writer *writer, const struct hs_common_settings *settings)
{
    static const struct hs_metric metric =
        GAUGE("memory_limit_bytes", "Limits of the memory of the process: of the service (its control "
                                    "group), of the models (more are unloaded), and for a restart of "
                                    "the device.");
    const struct {
        const char *name;
        double bytes;
    } rows[] = {
        { "service", hs_process_memory_limit("") },
        { "models", (double) settings->model.max_memory },
        { "restart", (double) settings->inference.restart_above },
    };
    hs_metrics_begin(writer, &metric);
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        if (rows[i].bytes > 0)
            hs_metrics_put(writer, &(struct hs_metric_label) { "limit", rows[i].name }, 1, rows[i].bytes);
    }
}

/* ---- models ---- */

struct model {
    const char *task;
    struct hs_model_pool *pool;
    struct hs_model_pool_status status;
};

enum {
    TASK,
    MODEL,
    MODEL_LABELS,
    DEVICE = MODEL_LABELS,
    INDEX,
    STANDBY,
    DEVICE_LABELS,
    LABELS_MAX = DEVICE_LABELS + 3
};

static void label_model(const struct model *model, struct hs_metric_label *ret_labels)
{
    ret_labels[TASK] = (struct hs_metric_label) { "task", model->task };
    ret_labels[MODEL] = (struct hs_metric_label) { "model", hs_model_pool_first(model->pool)->choice.pack->name };
}

/* Writes a series for each state: 1 for the current one, else 0. The labels have room for one more. */
static void put_states(struct hs_metrics_writer *writer, struct hs_metric_label *labels, size_t count,
                       enum hs_runner_state current)
{
    for (int state = HS_RUNNER_IDLE; state <= HS_RUNNER_FAILED; state++) {
        labels[count] = (struct hs_metric_label) { "state", hs_runner_state_name((enum hs_runner_state) state) };
        hs_metrics_put(writer, labels, count + 1, current == (enum hs_runner_state) state);
    }
}

static void put_models(struct hs_metrics_writer *writer, struct model *models, size_t count)
{
    static const struct hs_metric rows[] = {
        GAUGE("model_degraded", "1 while the CPU fallback runs the model."),
        COUNTER("model_retries_total", "Runs retried after a transient failure."),
        COUNTER("model_standins_total", "Runs of the CPU fallback."),
    };
    static const struct hs_metric state = GAUGE("model_state", "1 for the current state of the model."),
                                  loaded = GAUGE("models_loaded", "Models that are loaded.");
    struct hs_metric_label labels[LABELS_MAX];
    double loaded_count = 0;
    for (size_t i = 0; i < count; i++) {
        hs_model_pool_get_status(models[i].pool, &models[i].status);
        loaded_count += models[i].status.loaded;
    }
    hs_metrics_put_single(writer, &loaded, loaded_count);
    for (size_t row = 0; row < HS_ARRAY_LEN(rows); row++) {
        hs_metrics_begin(writer, &rows[row]);
        for (size_t i = 0; i < count; i++) {
            const struct hs_model_pool_status *s = &models[i].status;
            label_model(&models[i], labels);
            hs_metrics_put(writer, labels, MODEL_LABELS,
                           row == 0   ? s->degraded
                           : row == 1 ? (double) s->retries
                                      : (double) s->fallbacks);
        }
    }
    hs_metrics_begin(writer, &state);
    for (size_t i = 0; i < count; i++) {
        label_model(&models[i], labels);
        put_states(writer, labels, MODEL_LABELS, models[i].status.state);
    }
}

/* ---- devices: one set of series per device of each model ---- */

enum { DEVICES_MAX = HS_APP_MODELS_MAX * HS_MODEL_CACHE_MAX * (HS_PROBE_MAX_DEVICES + 1) };

struct device {
    const struct model *model;
    const struct hs_model_runner *runner;
    char index[8];
    bool fallback;
    struct hs_runner_status status;
};

static const struct hs_metric families[] = {
    COUNTER("device_runs_total", "Runs of the network."),
    COUNTER("device_run_seconds_total", "Time of these runs, from submission to completion."),
    COUNTER("device_busy_seconds_total", "Time in which the device had work; its rate is the utilisation."),
    COUNTER("device_pictures_total", "Pictures in these runs."),
    COUNTER("device_failures_total", "Runs that failed."),
    COUNTER("device_timeouts_total", "Requests that timed out while they waited or ran."),
    COUNTER("device_refusals_total", "Requests refused because the queue was full."),
    COUNTER("device_loads_total", "Loads of the model."),
    COUNTER("device_restarts_total", "Restarts of the device by inference.restart_above."),
    COUNTER("device_downs_total", "Times that the device went down."),
    COUNTER("device_recoveries_total", "Times that the device was recovered after it went down."),
    GAUGE("device_slots", "Slots: pictures or batches that the device processes at a time."),
    GAUGE("device_slots_in_use", "Slots in use: pictures or batches on the device."),
    GAUGE("device_slots_stuck", "Slots that the device did not return in time."),
    GAUGE("device_queue_length", "Requests that wait for the device."),
    GAUGE("device_up", "1 if the device accepts work."),
    GAUGE("device_hung", "1 if the device is down because it does not return pictures."),
    GAUGE("device_model_loaded", "1 if the model is loaded on the device."),
    GAUGE("device_load_seconds", "Duration of the latest load of the model."),
    GAUGE("device_temperature_celsius", "Temperature of the device."),
};

/* Returns the value for a row of `families`; NAN if the device does not have it, and the line is omitted. */
static double value_of(const struct hs_runner_status *s, size_t row)
{
    const double values[] = {
        (double) s->runs,
        hs_ns_to_ms(s->run_ns) / 1e3,
        hs_ns_to_ms(s->busy_ns) / 1e3,
        (double) s->pictures,
        (double) s->failures,
        (double) s->timeouts,
        (double) s->refusals,
        (double) s->loads,
        (double) s->restarts,
        (double) s->downs,
        (double) s->recoveries,
        s->slots,
        s->in_use,
        s->stuck,
        s->waiting,
        s->state != HS_RUNNER_FAILED,
        s->hung,
        s->loaded,
        hs_ns_to_ms(s->last_load_ns) / 1e3,
        s->has_health && s->health.has_temperature ? (double) s->health.temperature_c : (double) NAN,
    };
    _Static_assert(HS_ARRAY_LEN(values) == HS_ARRAY_LEN(families), "a value for each family");
    return values[row];
}

static size_t list_devices(const struct model *models, size_t count, struct device ret_devices[DEVICES_MAX])
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct hs_model_pool *pool = models[i].pool;
        for (int k = 0; k < pool->count + (pool->fallback != NULL); k++) {
            struct device *device = &ret_devices[found++];
            bool fallback = k == pool->count;
            *device = (struct device) { .model = &models[i],
                                        .runner = fallback ? pool->fallback : &pool->runners[k],
                                        .fallback = fallback };
            hs_str_format(device->index, sizeof(device->index), "%d", fallback ? 0 : k);
            hs_runner_get_status(device->runner->runner, &device->status);
        }
    }
    return found;
}

static void label_device(const struct device *d, struct hs_metric_label *ret_labels)
{
    ret_labels[TASK] = (struct hs_metric_label) { "task", d->model->task };
    ret_labels[MODEL] = (struct hs_metric_label) { "model", d->runner->choice.pack->name };
    ret_labels[DEVICE] = (struct hs_metric_label) { "device", d->runner->device };
    ret_labels[INDEX] = (struct hs_metric_label) { "index", d->index };
    ret_labels[STANDBY] = (struct hs_metric_label) { "standby", d->fallback ? "1" : "0" };
}

static void put_devices(struct hs_metrics_writer *writer, const struct device *devices, size_t count)
{
    static const struct hs_metric state = GAUGE("device_state", "1 for the current state of the device."),
                                  info = { "hailo_device_info", "Always 1; the labels describe the device.",
                                           HS_METRIC_INFO, false };
    struct hs_metric_label labels[LABELS_MAX];
    for (size_t row = 0; row < HS_ARRAY_LEN(families); row++) {
        hs_metrics_begin(writer, &families[row]);
        for (size_t i = 0; i < count; i++) {
            double value = value_of(&devices[i].status, row);
            label_device(&devices[i], labels);
            if (!isnan(value))
                hs_metrics_put(writer, labels, DEVICE_LABELS, value);
        }
    }
    hs_metrics_begin(writer, &state);
    for (size_t i = 0; i < count; i++) {
        label_device(&devices[i], labels);
        put_states(writer, labels, DEVICE_LABELS, devices[i].status.state);
    }
    hs_metrics_begin(writer, &info);
    for (size_t i = 0; i < count; i++) {
        const struct hs_runner_status *s = &devices[i].status;
        size_t n = DEVICE_LABELS;
        label_device(&devices[i], labels);
        labels[n++] = (struct hs_metric_label) { "name", s->device };
        labels[n++] = (struct hs_metric_label) { "runtime", s->version };
        labels[n++] = (struct hs_metric_label) { "firmware", s->has_health ? s->health.firmware : "" };
        hs_metrics_put(writer, labels, n, 1);
    }
}

/* Writes the families of all models that are ready. Allocates the table of devices, which is too large for a stack. */
static void put_runners(struct hs_metrics_writer *writer, const struct hs_app_core *core)
{
    struct hs_model_pool *pools[HS_APP_MODELS_MAX][HS_MODEL_CACHE_MAX];
    struct model models[HS_APP_MODELS_MAX * HS_MODEL_CACHE_MAX];
    size_t pool_count[HS_APP_MODELS_MAX], count = 0;
    struct device *devices = calloc(DEVICES_MAX, sizeof(*devices));
    for (size_t i = 0; i < core->cache_count; i++) {
        pool_count[i] = hs_model_cache_ref_all(core->caches[i], pools[i]);
        for (size_t k = 0; k < pool_count[i]; k++)
            models[count++] = (struct model) { .task = core->app->models[i].label, .pool = pools[i][k] };
    }
    put_models(writer, models, count);
    if (devices)
        put_devices(writer, devices, list_devices(models, count, devices));
    else
        writer->out->error = HS_ENOMEM;
    for (size_t i = 0; i < core->cache_count; i++)
        hs_model_cache_unref_all(core->caches[i], pools[i], pool_count[i]);
    free(devices);
}

/* ---- the route ---- */

/* The text format is the default. */
static bool wants_openmetrics(const struct hs_http_request *req)
{
    const char *accept = hs_http_header(req, "Accept");
    double quality = accept ? hs_accept_quality(accept, "application/openmetrics-text") : -1;
    return quality > 0 && quality >= hs_accept_quality(accept, "text/plain");
}

void hs_app_get_metrics(struct hs_http_request *req)
{
    static const struct hs_metric ready = GAUGE("ready", "1 if the service can answer, as /health/ready reports.");
    const struct hs_app_core *core = hs_http_context(req);
    struct hs_http_stats stats;
    struct hs_buf out;
    size_t len;
    hs_http_stats_of(req, &stats);
    hs_buf_init(&out, METRICS_MAX);
    struct hs_metrics_writer writer = { .out = &out,
                                        .openmetrics = wants_openmetrics(req),
                                        .created_s = hs_process_start_s() };
    char detail[HS_ERROR_MESSAGE_SIZE];
    hs_metrics_put_single(&writer, &ready, hs_app_not_ready(core, detail) == NULL);
    put_server(&writer, &stats);
    hs_http_put_metrics_of(req, &writer);
    for (size_t i = 0; i < HS_ARRAY_LEN(counters); i++)
        hs_metrics_put_counters(&writer, counters[i]);
    hs_stage_put_metrics(&writer);
    put_runners(&writer, core);
    if (core->app->metrics)
        core->app->metrics(core, &writer);
    put_build(&writer, core->app);
    put_limits(&writer, core->common);
    hs_process_put_metrics(&writer);
    hs_metrics_end(&writer);
    hs_http_add_header(req, "Vary", "Accept");
    if (hs_buf_error(&out)) {
        hs_buf_finish(&out);
        hs_http_reply_error(req, HS_ENOMEM, NULL, "no memory for the metrics");
        return;
    }
    uint8_t *data = hs_buf_take(&out, &len);
    hs_http_reply_bytes(req, 200, writer.openmetrics ? HS_METRICS_OPENMETRICS : HS_METRICS_TEXT, data, len);
}
