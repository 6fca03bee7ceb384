#include "http/http_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const char *const refusal_names[] = {
    [HS_HTTP_REFUSED_QUEUE] = "queue_full",
    [HS_HTTP_REFUSED_DEADLINE] = "deadline",
    [HS_HTTP_REFUSED_BODIES] = "body_memory",
    [HS_HTTP_REFUSED_RESPONSES] = "response_memory",
    [HS_HTTP_REFUSED_CONNECTIONS] = "connections_per_address",
    [HS_HTTP_REFUSED_EVICTED] = "connection_evicted",
    [HS_HTTP_REFUSED_TIMEOUT] = "slow_client",
};
HS_COUNTERS(hs_http_refusals, "hailo_http_refusals_total", "Requests and connections refused by the server, by reason.",
            "reason", refusal_names);

static const char *const handshake_names[] = {
    [HS_HTTP_HANDSHAKE_DONE] = "done",
    [HS_HTTP_HANDSHAKE_FAILED] = "failed",
};
HS_COUNTERS(hs_http_handshakes, "hailo_tls_handshakes_total", "TLS handshakes by their result.", "result",
            handshake_names);

static const char *const key_refusal_names[] = {
    [HS_HTTP_KEY_MISSING] = "missing_key", [HS_HTTP_KEY_INVALID] = "invalid_key", [HS_HTTP_KEY_SCOPE] = "scope",
    [HS_HTTP_KEY_ATTEMPTS] = "attempts",   [HS_HTTP_KEY_RATE] = "rate",
};
HS_COUNTERS(hs_http_key_refusals, "hailo_auth_refusals_total",
            "Requests refused for lack of a valid API key or scope, or by a limit on their rate.", "reason",
            key_refusal_names);

HS_ERROR_COUNTERS(hs_http_errors, "hailo_errors_total", "Requests answered with an error, by its code.");

/* ---- Counters by route ---- */

static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other" };

/* The last one stands for all others. 499: the client disconnected before the response. */
static const int statuses[] = { 200, 201, 202, 204, 301, 304, 308, 400, 401, 403, 404, 405, 406, 408, 409,
                                413, 414, 415, 417, 422, 429, 431, 499, 500, 501, 502, 503, 504, 505, 0 };
enum { METHODS = HS_ARRAY_LEN(methods), STATUSES = HS_ARRAY_LEN(statuses), STATUS_DISCONNECTED = 499 };

struct route_counters {
    struct hs_histogram duration;
    atomic_ullong bytes_in, bytes_out;
    atomic_ullong responses[METHODS][STATUSES];
};

struct hs_http_metrics {
    const struct hs_http_route *routes;
    size_t route_count;
    struct route_counters counters[]; /* route_count + 1; the last one is for requests without a route */
};

struct hs_http_metrics *hs_http_metrics_create(const struct hs_http_route *routes, size_t count)
{
    struct hs_http_metrics *metrics = calloc(1, sizeof(*metrics) + (count + 1) * sizeof(metrics->counters[0]));
    if (!metrics)
        return NULL;
    metrics->routes = routes;
    metrics->route_count = count;
    return metrics;
}

static size_t method_index(const char *method)
{
    size_t i = 0;
    while (i < METHODS - 1 && strcmp(methods[i], method) != 0)
        i++;
    return i;
}

static size_t status_index(int status)
{
    size_t i = 0;
    if (status == 0)
        status = STATUS_DISCONNECTED;
    while (i < STATUSES - 1 && statuses[i] != status)
        i++;
    return i;
}

static void add(atomic_ullong *counter, uint64_t value)
{
    atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

/* Returns the first code with a client's status; 0: none. */
static int code_of(int status)
{
    static const int codes[] = {
#define ERROR_CODE(name, value, text, http, recovery) value,
        HS_STATUS_MAP(ERROR_CODE)
#undef ERROR_CODE
    };
    for (size_t i = 0; status >= 400 && status < 500 && i < HS_ARRAY_LEN(codes); i++) {
        if (hs_status_http(codes[i]) == status)
            return codes[i];
    }
    return 0;
}

void hs_http_metrics_record(struct hs_http_metrics *metrics, const struct hs_http_outcome *outcome)
{
    size_t route = outcome->route ? (size_t) (outcome->route - metrics->routes) : metrics->route_count;
    struct route_counters *counters = &metrics->counters[route];
    hs_histogram_record(&counters->duration, outcome->duration_ns);
    add(&counters->bytes_in, outcome->bytes_in);
    add(&counters->bytes_out, outcome->bytes_out);
    add(&counters->responses[method_index(outcome->method)][status_index(outcome->status)], 1);
    /* A client error without a code, such as a fixed text, counts as the first code with its status. */
    hs_count_error(&hs_http_errors, outcome->error ? outcome->error : code_of(outcome->status));
}

/* ---- Writing ---- */

enum { ROUTE, METHOD, CODE, LABELS };

/* Fills the labels of a route; the method is that of the route. */
static void label(const struct hs_http_metrics *metrics, size_t route, struct hs_metric_label ret_labels[LABELS])
{
    bool any = route == metrics->route_count;
    ret_labels[ROUTE] = (struct hs_metric_label) { "route", any ? "none" : metrics->routes[route].path };
    ret_labels[METHOD] = (struct hs_metric_label) { "method", any ? "other" : metrics->routes[route].method };
    ret_labels[CODE] = (struct hs_metric_label) { "code", "" };
}

/* Writes counters that are not 0. A successful response of each route is written before the first
 * one, so that Prometheus sees the increase to 1. */
static void put_responses(const struct hs_http_metrics *metrics, size_t route, struct hs_metrics_writer *writer)
{
    struct hs_metric_label labels[LABELS];
    char code[16];
    label(metrics, route, labels);
    size_t own = method_index(labels[METHOD].value), success = status_index(200);
    for (size_t m = 0; m < METHODS; m++) {
        for (size_t s = 0; s < STATUSES; s++) {
            unsigned long long count =
                atomic_load_explicit(&metrics->counters[route].responses[m][s], memory_order_relaxed);
            if (count == 0 && (m != own || s != success || route == metrics->route_count))
                continue;
            hs_str_format(code, sizeof(code), statuses[s] ? "%d" : "other", statuses[s]);
            labels[METHOD].value = methods[m];
            labels[CODE].value = code;
            hs_metrics_put(writer, labels, LABELS, (double) count);
        }
    }
}

void hs_http_metrics_put(const struct hs_http_metrics *metrics, struct hs_metrics_writer *writer)
{
    static const struct hs_metric responses = { "hailo_http_responses_total",
                                                "Responses by route, method and status; 499: the client disconnected "
                                                "before the response.",
                                                HS_METRIC_COUNTER, true };
    static const struct hs_metric duration = { "hailo_http_request_duration_seconds",
                                               "Time from the end of the headers until the response was sent.",
                                               HS_METRIC_HISTOGRAM, true };
    static const struct hs_metric bytes[] = {
        { "hailo_http_received_bytes_total", "Bytes of request bodies.", HS_METRIC_COUNTER, true },
        { "hailo_http_sent_bytes_total", "Bytes of response bodies.", HS_METRIC_COUNTER, true },
    };
    struct hs_metric_label labels[LABELS];
    hs_metrics_begin(writer, &responses);
    for (size_t i = 0; i <= metrics->route_count; i++)
        put_responses(metrics, i, writer);
    hs_metrics_begin(writer, &duration);
    for (size_t i = 0; i <= metrics->route_count; i++) {
        label(metrics, i, labels);
        if (hs_histogram_count(&metrics->counters[i].duration) > 0)
            hs_metrics_put_histogram(writer, labels, CODE, &metrics->counters[i].duration);
    }
    for (size_t k = 0; k < HS_ARRAY_LEN(bytes); k++) {
        hs_metrics_begin(writer, &bytes[k]);
        for (size_t i = 0; i <= metrics->route_count; i++) {
            const struct route_counters *c = &metrics->counters[i];
            label(metrics, i, labels);
            hs_metrics_put(writer, labels, CODE,
                           (double) atomic_load_explicit(k ? &c->bytes_out : &c->bytes_in, memory_order_relaxed));
        }
    }
}
