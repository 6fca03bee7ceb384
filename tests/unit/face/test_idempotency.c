#include "../unit.h"

#include "face/app.h"

static void test_concurrent_keys(void **state)
{
    (void) state;
    struct hs_face_idempotency *idempotency = hs_face_idempotency_create();
    struct hs_face_idempotency_key a, b, c;
    assert_non_null(idempotency);
    assert_true(hs_face_idempotency_begin(idempotency, "a", &a));
    assert_true(hs_face_idempotency_begin(idempotency, "b", &b));
    assert_false(hs_face_idempotency_begin(idempotency, "a", &c));
    assert_false(hs_face_idempotency_begin(idempotency, "b", &c));
    hs_face_idempotency_end(idempotency, &a);
    assert_true(hs_face_idempotency_begin(idempotency, "a", &c));
    hs_face_idempotency_end(idempotency, &b);
    hs_face_idempotency_end(idempotency, &c);
    assert_null(idempotency->first);
    hs_face_idempotency_destroy(idempotency);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_concurrent_keys) };
    return HS_RUN_TESTS(tests);
}
