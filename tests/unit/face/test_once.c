#include "../unit.h"

#include "face/once.h"

static void test_once(void **state)
{
    (void) state;
    struct hs_face_once once;
    struct hs_face_once_key a, b, c;
    hs_face_once_init(&once);
    assert_true(hs_face_once_begin(&once, "a", &a));
    assert_true(hs_face_once_begin(&once, "b", &b));
    assert_false(hs_face_once_begin(&once, "a", &c));
    assert_false(hs_face_once_begin(&once, "b", &c));
    hs_face_once_end(&once, &a);
    assert_true(hs_face_once_begin(&once, "a", &c));
    hs_face_once_end(&once, &b);
    hs_face_once_end(&once, &c);
    assert_null(once.first);
    hs_face_once_finish(&once);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_once) };
    return HS_RUN_TESTS(tests);
}
