#include "../unit.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "hs/status.h"

static void deadlines_do_not_overflow(void **state)
{
    (void) state;
    int64_t now = hs_clock_now_ns(), in = hs_deadline_in_ms(1000);
    assert_true(in >= now + HS_NS_PER_S && in < now + 2 * HS_NS_PER_S);
    assert_true(hs_deadline_in_ms(-1) == HS_NO_DEADLINE);
    assert_true(hs_deadline_in_ms(INT64_MAX) == HS_NO_DEADLINE);
}

static void waiting_ends_at_the_deadline(void **state)
{
    (void) state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    assert_int_equal(hs_cond_init(&cond), 0);
    pthread_mutex_lock(&lock);
    int64_t deadline = hs_deadline_in_ms(5);
    int r;
    while ((r = hs_cond_wait_until(&cond, &lock, deadline)) == 0)
        ;
    assert_int_equal(r, HS_ETIMEOUT);
    assert_true(hs_clock_now_ns() >= deadline);
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&cond);
}

static void count_up(void *arg)
{
    ++*(int *) arg;
}

static void cancelling_wakes_once(void **state)
{
    (void) state;
    struct hs_cancel cancel;
    int woken = 0;
    hs_cancel_init(&cancel);
    hs_cancel_watch(&cancel, count_up, &woken);
    assert_false(hs_cancel_is_set(&cancel));
    hs_cancel_trigger(&cancel);
    hs_cancel_trigger(&cancel);
    assert_true(hs_cancel_is_set(&cancel));
    assert_int_equal(woken, 1);
    hs_cancel_unwatch(&cancel);
    hs_cancel_finish(&cancel);
    hs_cancel_trigger(NULL);
    assert_false(hs_cancel_is_set(NULL));
}

static void times_are_formatted_in_utc(void **state)
{
    (void) state;
    char text[HS_TIME_SIZE];
    assert_true(hs_clock_format_utc(951782400, HS_TIME_RFC3339, text, sizeof(text)));
    assert_string_equal(text, "2000-02-29T00:00:00Z");
    assert_true(hs_clock_format_utc(951782400, HS_TIME_SQL, text, sizeof(text)));
    assert_string_equal(text, "2000-02-29 00:00:00");
    assert_true(hs_clock_format_utc(951782400, HS_TIME_STAMP, text, sizeof(text)));
    assert_string_equal(text, "20000229-000000");
    assert_true(hs_clock_format_utc(-1, HS_TIME_MINUTES, text, sizeof(text)));
    assert_string_equal(text, "1969-12-31 23:59 UTC");
    assert_false(hs_clock_format_utc(INT64_MAX, HS_TIME_RFC3339, text, sizeof(text)));
    assert_string_equal(text, "");
    assert_false(hs_clock_format_utc(0, HS_TIME_RFC3339, text, 20));
    assert_string_equal(text, "");
}

static void statuses_map_to_names_and_http(void **state)
{
    (void) state;
    assert_int_equal(hs_status_http(HS_OK), 200);
    assert_int_equal(hs_status_http(HS_ETOOLARGE), 413);
    assert_int_equal(hs_status_http(-9999), 500);
    assert_string_equal(hs_status_name(HS_EBUSY), "busy");
    assert_int_equal(hs_status_http(HS_EREFUSED), 422);
    assert_string_equal(hs_status_name(12345), "internal");
    struct hs_error err;
    assert_int_equal(hs_error_set(&err, HS_EINVAL, "%s: %d", "x", 3), HS_EINVAL);
    assert_string_equal(err.message, "x: 3");
    assert_int_equal(hs_error_set(NULL, HS_EIO, "nobody listens"), HS_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_do_not_overflow),      cmocka_unit_test(waiting_ends_at_the_deadline),
        cmocka_unit_test(cancelling_wakes_once),          cmocka_unit_test(times_are_formatted_in_utc),
        cmocka_unit_test(statuses_map_to_names_and_http),
    };
    return HS_RUN_TESTS(tests);
}
