#include "service/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/server.h"

enum { METRICS_MAX = 1 << 20 };

struct page {
    struct hs_buf text;
    int result; /* of the first append that failed */
};

#define put(page, ...) ((page)->result = (page)->result ? (page)->result : hs_buf_printf(&(page)->text, __VA_ARGS__))

static void head(struct page *out, const char *name, const char *type, const char *help)
{
    put(out, "# HELP hailo_%s %s\n# TYPE hailo_%s %s\n", name, help, name, type);
}

static void one(struct page *out, const char *name, const char *type, const char *help, uint64_t value)
{
    head(out, name, type, help);
    put(out, "hailo_%s %" PRIu64 "\n", name, value);
}

static void put_server(struct page *out, const struct hs_http_stats *s)
{
    one(out, "http_requests_total", "counter", "Requests answered or given up.", s->requests);
    one(out, "http_cancelled_total", "counter", "Clients that left while their request was in work.", s->cancelled);
    one(out, "http_timed_out_total", "counter", "Connections cut because they were too slow.", s->timed_out);
    one(out, "http_connections", "gauge", "Open connections.", s->connections);
    one(out, "http_requests_active", "gauge", "Requests between their headers and the end of their answer.", s->active);
    one(out, "http_requests_queued", "gauge", "Of these, waiting for a worker.", s->queued);
    one(out, "http_body_bytes", "gauge", "Memory held by request bodies.", s->body_bytes);
    one(out, "resident_memory_bytes", "gauge", "Memory of the process.", (uint64_t) hs_mem_resident());
}

/* ---- Devices: a series for each of every model's ---- */

struct model {
    const char *task;
    struct hs_model_pool *pool;
};

struct device {
    const struct model *model;
    const struct hs_model_runner *runner;
    int index;
    bool standby;
    struct hs_runner_status status;
};

static double runs(const struct device *d)
{
    return (double) d->status.runs;
}

static double run_seconds(const struct device *d)
{
    return hs_ns_to_ms(d->status.run_ns) / 1e3;
}

static double pictures(const struct device *d)
{
    return (double) d->status.pictures;
}

static double failures(const struct device *d)
{
    return (double) d->status.failures;
}

static double timeouts(const struct device *d)
{
    return (double) d->status.timeouts;
}

static double refusals(const struct device *d)
{
    return (double) d->status.refusals;
}

static double restarts(const struct device *d)
{
    return (double) d->status.restarts;
}

static double loads(const struct device *d)
{
    return (double) d->status.loads;
}

static double in_use(const struct device *d)
{
    return d->status.in_use;
}

static double waiting(const struct device *d)
{
    return d->status.waiting;
}

static double stuck(const struct device *d)
{
    return d->status.stuck;
}

static double up(const struct device *d)
{
    return d->status.state != HS_RUNNER_FAILED;
}

static double loaded(const struct device *d)
{
    return d->status.loaded;
}

static double temperature(const struct device *d)
{
    return d->status.has_health && d->status.health.has_temperature ? (double) d->status.health.temperature_c : NAN;
}

/* What has no value (NAN) has no line. */
static const struct {
    const char *name, *type, *help;
    double (*value)(const struct device *device);
} series[] = {
    { "device_runs_total", "counter", "Runs of the network.", runs },
    { "device_run_seconds_total", "counter",
      "What these took, from submission to their end; of a slower device "
      "it is more.",
      run_seconds },
    { "device_pictures_total", "counter", "Pictures in these runs.", pictures },
    { "device_failures_total", "counter", "Runs that failed.", failures },
    { "device_timeouts_total", "counter", "Requests whose time was over while they waited or ran.", timeouts },
    { "device_refusals_total", "counter", "Requests refused because the queue was full.", refusals },
    { "device_loads_total", "counter", "Loads of the model.", loads },
    { "device_restarts_total", "counter", "Times that it was opened anew because the process had grown.", restarts },
    { "device_slots_in_use", "gauge", "Pictures or batches in the device.", in_use },
    { "device_slots_stuck", "gauge", "Of these, not given back in time.", stuck },
    { "device_queue_length", "gauge", "Requests that wait for the device.", waiting },
    { "device_up", "gauge", "1: the device can be given work.", up },
    { "device_model_loaded", "gauge", "1: the model is loaded on it.", loaded },
    { "device_temperature_celsius", "gauge", "Of the device's chip.", temperature },
};

static void put_labels(struct page *out, const char *name, const struct device *d)
{
    put(out, "hailo_%s{task=\"%s\",model=\"%s\",device=\"%s\",index=\"%d\",standby=\"%d\"", name, d->model->task,
        d->runner->choice.pack->name, d->runner->device, d->index, d->standby);
}

static void put_device(struct page *out, size_t row, const struct device *d)
{
    double value = series[row].value(d);
    if (isnan(value))
        return;
    put_labels(out, series[row].name, d);
    put(out, "} %.15g\n", value);
}

/* A label's value, of which backslashes and quotes are to be escaped (Prometheus' text format). */
static void put_text(struct page *out, const char *label, const char *text)
{
    put(out, ",%s=\"", label);
    for (; *text; text++)
        put(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    put(out, "\"");
}

/* What it is, as labels of the number 1. */
static void put_info(struct page *out, size_t row, const struct device *d)
{
    (void) row;
    put_labels(out, "device_info", d);
    put_text(out, "name", d->status.device);
    put_text(out, "runtime", d->status.version);
    put_text(out, "firmware", d->status.has_health ? d->status.health.firmware : "");
    put(out, "} 1\n");
}

/* Calls for each device of the models. */
static void each_device(struct page *out, const struct model *models, size_t count,
                        void (*put_one)(struct page *out, size_t row, const struct device *device), size_t row)
{
    for (size_t i = 0; i < count; i++) {
        struct hs_model_pool *pool = models[i].pool;
        for (int k = 0; k < pool->count + (pool->fallback != NULL); k++) {
            bool standby = k == pool->count;
            struct device d = {
                .model = &models[i],
                .runner = standby ? pool->fallback : &pool->runners[k],
                .index = standby ? 0 : k,
                .standby = standby,
            };
            hs_runner_get_status(d.runner->runner, &d.status);
            put_one(out, row, &d);
        }
    }
}

static void put_model(struct page *out, const char *name, const struct model *model)
{
    put(out, "hailo_%s{task=\"%s\",model=\"%s\"", name, model->task,
        hs_model_pool_first(model->pool)->choice.pack->name);
}

static void put_models(struct page *out, const struct model *models, size_t count)
{
    static const struct {
        const char *name, *type, *help;
    } rows[] = {
        { "model_degraded", "gauge", "1: the processor answers in place of the devices." },
        { "model_retries_total", "counter", "Runs done again after a failure that passes." },
        { "model_standins_total", "counter", "Runs that the processor did in place of the devices." },
    };
    for (size_t row = 0; row < HS_ARRAY_LEN(rows); row++) {
        head(out, rows[row].name, rows[row].type, rows[row].help);
        for (size_t i = 0; i < count; i++) {
            struct hs_model_pool_status s;
            hs_model_pool_get_status(models[i].pool, &s);
            put_model(out, rows[row].name, &models[i]);
            put(out, "} %" PRIu64 "\n", row == 0 ? s.degraded : row == 1 ? s.retries : s.fallbacks);
        }
    }
    head(out, "model_state", "gauge", "1 for the state that the model is in.");
    for (size_t i = 0; i < count; i++) {
        struct hs_model_pool_status s;
        hs_model_pool_get_status(models[i].pool, &s);
        for (int state = HS_RUNNER_IDLE; state <= HS_RUNNER_FAILED; state++) {
            put_model(out, "model_state", &models[i]);
            put(out, ",state=\"%s\"} %d\n", hs_runner_state_name((enum hs_runner_state) state),
                s.state == (enum hs_runner_state) state);
        }
    }
}

static void put_all(struct page *out, const struct model *models, size_t count)
{
    put_models(out, models, count);
    for (size_t row = 0; row < HS_ARRAY_LEN(series); row++) {
        head(out, series[row].name, series[row].type, series[row].help);
        each_device(out, models, count, put_device, row);
    }
    head(out, "device_info", "gauge", "1, with what the device is.");
    each_device(out, models, count, put_info, 0);
}

void hs_metrics_reply(struct hs_http_request *req, const struct hs_metrics_part *parts, size_t count)
{
    struct hs_model_pool *held[HS_METRICS_PARTS][HS_MODEL_CACHE_MAX];
    struct model models[HS_METRICS_PARTS * HS_MODEL_CACHE_MAX];
    size_t held_count[HS_METRICS_PARTS], model_count = 0;
    struct hs_http_stats stats;
    struct page out = { .result = 0 };
    assert(count <= HS_METRICS_PARTS);
    for (size_t i = 0; i < count; i++) {
        held_count[i] = hs_model_cache_ref_all(parts[i].cache, held[i]);
        for (size_t k = 0; k < held_count[i]; k++)
            models[model_count++] = (struct model){ parts[i].task, held[i][k] };
    }
    hs_http_stats_of(req, &stats);
    hs_buf_init(&out.text, METRICS_MAX);
    put_server(&out, &stats);
    put_all(&out, models, model_count);
    for (size_t i = 0; i < count; i++)
        hs_model_cache_unref_all(parts[i].cache, held[i], held_count[i]);
    if (out.result < 0) {
        hs_buf_finish(&out.text);
        hs_http_reply_error(req, HS_ENOMEM, NULL, "no memory for the metrics");
        return;
    }
    size_t len;
    uint8_t *data = hs_buf_take(&out.text, &len);
    hs_http_reply_bytes(req, 200, "text/plain; version=0.0.4; charset=utf-8", data, len);
}
