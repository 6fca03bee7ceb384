/* GET /metrics. */
#include <inttypes.h>
#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/server.h"
#include "service/app_routes.h"

enum { METRICS_MAX = 1 << 20 };

static void put_head(struct hs_buf *out, const char *name, const char *type, const char *help)
{
    hs_buf_printf(out, "# HELP hailo_%s %s\n# TYPE hailo_%s %s\n", name, help, name, type);
}

static void put_value(struct hs_buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    put_head(out, name, type, help);
    hs_buf_printf(out, "hailo_%s %" PRIu64 "\n", name, value);
}

static void put_server(struct hs_buf *out, const struct hs_http_stats *s)
{
    put_value(out, "http_requests_total", "counter", "Requests answered or aborted.", s->requests);
    put_value(out, "http_cancelled_total", "counter", "Requests whose client disconnected before the answer.",
              s->cancelled);
    put_value(out, "http_timed_out_total", "counter", "Connections closed by a timeout.", s->timed_out);
    put_value(out, "http_connections", "gauge", "Open connections.", s->connections);
    put_value(out, "http_requests_active", "gauge",
              "Requests in progress, from their headers to the end of their answer.", s->active);
    put_value(out, "http_requests_queued", "gauge", "Active requests that wait for a worker.", s->queued);
    put_value(out, "http_body_bytes", "gauge", "Memory held by request bodies.", s->body_bytes);
    put_value(out, "http_answer_bytes", "gauge", "Memory held by unsent answers.", s->response_bytes);
    put_value(out, "resident_memory_bytes", "gauge", "Memory of the process.", (uint64_t) hs_mem_resident());
}

/* ---- models ---- */

struct model {
    const char *task;
    struct hs_model_pool *pool;
    struct hs_model_pool_status status;
};

static void put_model(struct hs_buf *out, const char *name, const struct model *model)
{
    hs_buf_printf(out, "hailo_%s{task=\"%s\",model=\"%s\"", name, model->task,
                  hs_model_pool_first(model->pool)->choice.pack->name);
}

static void put_models(struct hs_buf *out, struct model *models, size_t count)
{
    static const struct {
        const char *name, *type, *help;
    } rows[] = {
        { "model_degraded", "gauge", "1 while the CPU fallback runs the model." },
        { "model_retries_total", "counter", "Runs retried after a transient failure." },
        { "model_standins_total", "counter", "Runs of the CPU fallback." },
    };
    for (size_t i = 0; i < count; i++)
        hs_model_pool_get_status(models[i].pool, &models[i].status);
    for (size_t row = 0; row < HS_ARRAY_LEN(rows); row++) {
        put_head(out, rows[row].name, rows[row].type, rows[row].help);
        for (size_t i = 0; i < count; i++) {
            const struct hs_model_pool_status *s = &models[i].status;
            put_model(out, rows[row].name, &models[i]);
            hs_buf_printf(out, "} %" PRIu64 "\n", row == 0 ? s->degraded : row == 1 ? s->retries : s->fallbacks);
        }
    }
    put_head(out, "model_state", "gauge", "1 for the current state of the model.");
    for (size_t i = 0; i < count; i++) {
        for (int state = HS_RUNNER_IDLE; state <= HS_RUNNER_FAILED; state++) {
            put_model(out, "model_state", &models[i]);
            hs_buf_printf(out, ",state=\"%s\"} %d\n", hs_runner_state_name((enum hs_runner_state) state),
                          models[i].status.state == (enum hs_runner_state) state);
        }
    }
}

/* ---- devices: one set of series per device of each model ---- */

struct device {
    const struct model *model;
    const struct hs_model_runner *runner;
    int index;
    bool fallback;
};

static const struct {
    const char *name, *type, *help;
} families[] = {
    { "device_runs_total", "counter", "Runs of the network." },
    { "device_run_seconds_total", "counter", "Time of these runs, from submission to completion." },
    { "device_pictures_total", "counter", "Pictures in these runs." },
    { "device_failures_total", "counter", "Runs that failed." },
    { "device_timeouts_total", "counter", "Requests that timed out while they waited or ran." },
    { "device_refusals_total", "counter", "Requests refused because the queue was full." },
    { "device_loads_total", "counter", "Loads of the model." },
    { "device_restarts_total", "counter", "Restarts of the device by inference.restart_above." },
    { "device_slots_in_use", "gauge", "Slots in use: pictures or batches on the device." },
    { "device_slots_stuck", "gauge", "Slots that the device did not return in time." },
    { "device_queue_length", "gauge", "Requests that wait for the device." },
    { "device_up", "gauge", "1 if the device accepts work." },
    { "device_model_loaded", "gauge", "1 if the model is loaded on the device." },
    { "device_temperature_celsius", "gauge", "Temperature of the device." },
    { "device_info", "gauge", "Always 1; the labels describe the device." },
};
enum { DEVICE_INFO = HS_ARRAY_LEN(families) - 1 };

/* Returns the value for a row of `families`; NAN if the device does not have it, and the line is omitted. */
static double value_of(const struct hs_runner_status *s, size_t row)
{
    const double values[] = {
        (double) s->runs,
        hs_ns_to_ms(s->run_ns) / 1e3,
        (double) s->pictures,
        (double) s->failures,
        (double) s->timeouts,
        (double) s->refusals,
        (double) s->loads,
        (double) s->restarts,
        s->in_use,
        s->stuck,
        s->waiting,
        s->state != HS_RUNNER_FAILED,
        s->loaded,
        s->has_health && s->health.has_temperature ? (double) s->health.temperature_c : (double) NAN,
        1,
    };
    _Static_assert(HS_ARRAY_LEN(values) == HS_ARRAY_LEN(families), "a value for each series");
    return values[row];
}

/* Writes a label. Backslashes and quotes in its value are escaped (Prometheus text format). */
static void put_text(struct hs_buf *out, const char *label, const char *text)
{
    hs_buf_printf(out, ",%s=\"", label);
    for (; *text; text++)
        hs_buf_printf(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    hs_buf_append_str(out, "\"");
}

static void put_device(struct hs_buf *out, size_t row, const struct device *d)
{
    struct hs_runner_status status;
    hs_runner_get_status(d->runner->runner, &status);
    double value = value_of(&status, row);
    if (isnan(value))
        return;
    hs_buf_printf(out, "hailo_%s{task=\"%s\",model=\"%s\",device=\"%s\",index=\"%d\",standby=\"%d\"",
                  families[row].name, d->model->task, d->runner->choice.pack->name, d->runner->device, d->index,
                  d->fallback);
    if (row == DEVICE_INFO) {
        put_text(out, "name", status.device);
        put_text(out, "runtime", status.version);
        put_text(out, "firmware", status.has_health ? status.health.firmware : "");
    }
    hs_buf_printf(out, "} %.15g\n", value);
}

static void put_devices(struct hs_buf *out, size_t row, const struct model *models, size_t count)
{
    put_head(out, families[row].name, families[row].type, families[row].help);
    for (size_t i = 0; i < count; i++) {
        const struct hs_model_pool *pool = models[i].pool;
        for (int k = 0; k < pool->count; k++)
            put_device(out, row, &(struct device) { &models[i], &pool->runners[k], k, false });
        if (pool->fallback)
            put_device(out, row, &(struct device) { &models[i], pool->fallback, 0, true });
    }
}

void hs_app_get_metrics(struct hs_http_request *req)
{
    const struct hs_app_core *core = hs_http_context(req);
    struct hs_model_pool *pools[HS_APP_MODELS_MAX][HS_MODEL_CACHE_MAX];
    struct model models[HS_APP_MODELS_MAX * HS_MODEL_CACHE_MAX];
    size_t pool_count[HS_APP_MODELS_MAX], count = 0, len;
    struct hs_http_stats stats;
    struct hs_buf out;
    for (size_t i = 0; i < core->cache_count; i++) {
        pool_count[i] = hs_model_cache_ref_all(core->caches[i], pools[i]);
        for (size_t k = 0; k < pool_count[i]; k++)
            models[count++] = (struct model) { .task = core->app->models[i].label, .pool = pools[i][k] };
    }
    hs_http_stats_of(req, &stats);
    hs_buf_init(&out, METRICS_MAX);
    put_server(&out, &stats);
    put_models(&out, models, count);
    for (size_t row = 0; row < HS_ARRAY_LEN(families); row++)
        put_devices(&out, row, models, count);
    if (core->app->metrics)
        core->app->metrics(core, &out);
    for (size_t i = 0; i < core->cache_count; i++)
        hs_model_cache_unref_all(core->caches[i], pools[i], pool_count[i]);
    if (hs_buf_error(&out)) {
        hs_buf_finish(&out);
        hs_http_reply_error(req, HS_ENOMEM, NULL, "no memory for the metrics");
        return;
    }
    uint8_t *data = hs_buf_take(&out, &len);
    hs_http_reply_bytes(req, 200, "text/plain; version=0.0.4; charset=utf-8", data, len);
}
