#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void append_grows_up_to_the_maximum(void **state)
{
    (void) state;
    struct hs_buf buf;
    hs_buf_init(&buf, 1000);
    for (int i = 0; i < 100; i++)
        assert_int_equal(hs_buf_append(&buf, "0123456789", 10), 0);
    assert_int_equal(buf.len, 1000);
    assert_int_equal(hs_buf_append(&buf, "x", 1), HS_ETOOLARGE);
    assert_int_equal(buf.len, 1000);
    assert_memory_equal(buf.data + 990, "0123456789", 10);
    assert_int_equal(hs_buf_reserve(&buf, SIZE_MAX), HS_ETOOLARGE);
    hs_buf_finish(&buf);
    assert_null(buf.data);
}

static void printf_and_str(void **state)
{
    (void) state;
    struct hs_buf buf;
    hs_buf_init(&buf, 16);
    assert_string_equal(hs_buf_str(&buf), "");
    assert_int_equal(hs_buf_printf(&buf, "%d-%s", 42, "abc"), 0);
    assert_string_equal(hs_buf_str(&buf), "42-abc");
    assert_int_equal(buf.len, 6);
    assert_int_equal(hs_buf_printf(&buf, "%s", "0123456789"), 0);
    assert_int_equal(hs_buf_printf(&buf, "%s", "x"), HS_ETOOLARGE);
    assert_string_equal(hs_buf_str(&buf), "42-abc0123456789");
    hs_buf_finish(&buf);
}

static void take_transfers_ownership(void **state)
{
    (void) state;
    struct hs_buf buf;
    size_t len;
    hs_buf_init(&buf, 100);
    assert_int_equal(hs_buf_append_str(&buf, "hello"), 0);
    uint8_t *data = hs_buf_take(&buf, &len);
    assert_int_equal(len, 5);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.max, 100);
    free(data);
    hs_buf_finish(&buf);
}

static void the_first_error_is_sticky(void **state)
{
    (void) state;
    struct hs_buf buf;
    hs_buf_init(&buf, 4);
    assert_int_equal(hs_buf_append_str(&buf, "abc"), 0);
    assert_int_equal(hs_buf_error(&buf), 0);
    assert_int_equal(hs_buf_append_str(&buf, "de"), HS_ETOOLARGE);
    assert_int_equal(hs_buf_append_str(&buf, "f"), HS_ETOOLARGE); /* fails although it would fit */
    assert_int_equal(hs_buf_printf(&buf, "%d", 1), HS_ETOOLARGE);
    assert_int_equal(hs_buf_append(&buf, NULL, 0), HS_ETOOLARGE);
    assert_int_equal(hs_buf_reserve(&buf, 1), HS_ETOOLARGE);
    assert_int_equal(hs_buf_error(&buf), HS_ETOOLARGE);
    assert_string_equal(hs_buf_str(&buf), "abc");
    hs_buf_clear(&buf);
    assert_int_equal(hs_buf_error(&buf), 0);
    assert_int_equal(hs_buf_printf(&buf, "%d", 1234), 0);
    assert_string_equal(hs_buf_str(&buf), "1234");
    assert_int_equal(hs_buf_printf(&buf, "%d", 5), HS_ETOOLARGE);
    hs_buf_finish(&buf);
    assert_int_equal(hs_buf_append_str(&buf, "wxyz"), 0);
    /* More memory than the system can have. */
    buf.max = SIZE_MAX;
    assert_int_equal(hs_buf_reserve(&buf, SIZE_MAX / 2), HS_ENOMEM);
    assert_int_equal(hs_buf_append_str(&buf, "a"), HS_ENOMEM);
    hs_buf_finish(&buf);
}

/* A test cannot inspect freed memory; it checks that the bytes survive the moves. */
static void bytes_stay_while_a_wiping_buffer_grows(void **state)
{
    (void) state;
    struct hs_buf buf;
    hs_buf_init(&buf, 100000);
    buf.wipe = true;
    for (int i = 0; i < 20000; i++)
        assert_int_equal(hs_buf_append(&buf, i % 2 ? "ab" : "cd", 2), 0);
    assert_int_equal(buf.len, 40000);
    assert_memory_equal(buf.data + 39996, "cdab", 4);
    hs_buf_finish(&buf);
    assert_true(buf.wipe && !buf.data);
    assert_int_equal(hs_buf_append_str(&buf, "x"), 0);
    size_t len;
    uint8_t *data = hs_buf_take(&buf, &len);
    assert_true(data[0] == 'x' && len == 1 && buf.max == 100000 && buf.wipe);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_grows_up_to_the_maximum),
        cmocka_unit_test(printf_and_str),
        cmocka_unit_test(the_first_error_is_sticky),
        cmocka_unit_test(take_transfers_ownership),
        cmocka_unit_test(bytes_stay_while_a_wiping_buffer_grows),
    };
    return HS_RUN_TESTS(tests);
}
