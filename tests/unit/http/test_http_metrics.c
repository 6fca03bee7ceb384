#include "unit.h"

#include <string.h>

#include "http/http_metrics.h"

static const struct hs_http_route routes[] = {
    { .method = "GET", .path = "/a" },
    { .method = "POST", .path = "/b/{name}" },
};

static const char *write_all(const struct hs_http_metrics *metrics, struct hs_buf *out)
{
    struct hs_metrics_writer writer = { .out = out };
    hs_buf_init(out, 1 << 20);
    hs_http_metrics_put(metrics, &writer);
    return hs_buf_str(out);
}

static void check(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("no line %s in:\n%s", line, text);
}

static void test_outcomes(void **state)
{
    (void) state;
    struct hs_http_metrics *metrics = hs_http_metrics_create(routes, HS_ARRAY_LEN(routes));
    const struct hs_http_outcome outcomes[] = {
        { .route = &routes[0], .method = "HEAD", .status = 200, .duration_ns = 3000000 },
        { .route = &routes[1], .method = "POST", .status = 200, .bytes_in = 5, .bytes_out = 7 },
        { .route = &routes[1], .method = "POST", .status = 200, .bytes_in = 1, .bytes_out = 2 },
        { .route = &routes[1], .method = "POST", .status = 0, .error = HS_ECANCELED },
        { .route = &routes[1], .method = "POST", .status = 418 },
        { .method = "BREW", .status = 405, .error = HS_EMETHOD },
        { .method = "", .status = 400, .error = HS_EINVAL },
    };
    struct hs_buf out;
    for (size_t i = 0; i < HS_ARRAY_LEN(outcomes); i++)
        hs_http_metrics_record(metrics, &outcomes[i]);
    const char *text = write_all(metrics, &out);
    check(text, "hailo_http_responses_total{route=\"/a\",method=\"GET\",code=\"200\"} 0\n");
    check(text, "hailo_http_responses_total{route=\"/a\",method=\"HEAD\",code=\"200\"} 1\n");
    check(text, "hailo_http_responses_total{route=\"/b/{name}\",method=\"POST\",code=\"200\"} 2\n");
    check(text, "hailo_http_responses_total{route=\"/b/{name}\",method=\"POST\",code=\"499\"} 1\n");
    check(text, "hailo_http_responses_total{route=\"/b/{name}\",method=\"POST\",code=\"other\"} 1\n");
    check(text, "hailo_http_responses_total{route=\"none\",method=\"other\",code=\"405\"} 1\n");
    check(text, "hailo_http_responses_total{route=\"none\",method=\"other\",code=\"400\"} 1\n");
    check(text, "hailo_http_received_bytes_total{route=\"/b/{name}\",method=\"POST\"} 6\n");
    check(text, "hailo_http_sent_bytes_total{route=\"/b/{name}\",method=\"POST\"} 9\n");
    check(text, "hailo_http_request_duration_seconds_bucket{route=\"/a\",method=\"GET\",le=\"0.0025\"} 0\n");
    check(text, "hailo_http_request_duration_seconds_bucket{route=\"/a\",method=\"GET\",le=\"0.005\"} 1\n");
    hs_buf_finish(&out);
    free(metrics);
}

/* Returns the count of errors with this code. */
static unsigned long long errors(const char *code)
{
    for (size_t i = 0; i < hs_http_errors.count; i++) {
        if (strcmp(hs_http_errors.values[i], code) == 0)
            return atomic_load(&hs_http_errors.counts[i]);
    }
    fail_msg("no code %s", code);
    return 0;
}

/* A client error without a code counts as the first code with its status; a server error without a
 * code, such as "not ready", is not an error of a request. */
static void test_errors(void **state)
{
    (void) state;
    static const struct {
        int status, error;
        const char *code;
        int added;
    } rows[] = {
        { 503, HS_EBUSY, "busy", 1 },      { 503, HS_ENOMEM, "out_of_memory", 1 }, { 404, 0, "not_found", 1 },
        { 400, 0, "invalid_argument", 1 }, { 400, HS_EDECODE, "undecodable", 1 },  { 503, 0, "out_of_memory", 0 },
        { 200, 0, "internal", 0 },
    };
    struct hs_http_metrics *metrics = hs_http_metrics_create(routes, HS_ARRAY_LEN(routes));
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        unsigned long long before = errors(rows[i].code);
        const struct hs_http_outcome outcome = {
            .route = &routes[0], .method = "GET", .status = rows[i].status, .error = rows[i].error
        };
        hs_http_metrics_record(metrics, &outcome);
        assert_int_equal(errors(rows[i].code) - before, rows[i].added);
    }
    free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_outcomes), cmocka_unit_test(test_errors) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
