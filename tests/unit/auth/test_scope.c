#include "../unit.h"

#include <string.h>

#include "auth/scope.h"
#include "base/mem.h"

static void lists_name_scopes_in_any_order(void **state)
{
    (void) state;
    struct hs_error err;
    unsigned scopes = 0;
    char text[HS_SCOPES_TEXT_SIZE];
    assert_int_equal(hs_scopes_read("gallery:read,detect", &scopes, &err), 0);
    assert_int_equal(scopes, hs_scope_bit(HS_SCOPE_GALLERY_READ) | hs_scope_bit(HS_SCOPE_DETECT));
    assert_string_equal(hs_scopes_write(scopes, text), "detect gallery:read");
    assert_int_equal(hs_scopes_read("admin recognize,, detect ", &scopes, &err), 0);
    assert_string_equal(hs_scopes_write(scopes, text), "detect recognize admin");
}

static void all_and_none_stand_alone(void **state)
{
    (void) state;
    struct hs_error err;
    unsigned scopes = 1;
    char text[HS_SCOPES_TEXT_SIZE];
    assert_int_equal(hs_scopes_read("none", &scopes, &err), 0);
    assert_int_equal(scopes, 0);
    assert_string_equal(hs_scopes_write(scopes, text), "");
    assert_int_equal(hs_scopes_read("all", &scopes, &err), 0);
    assert_string_equal(hs_scopes_write(scopes, text), "detect recognize gallery:read gallery:write admin");
}

static void other_texts_are_refused(void **state)
{
    (void) state;
    static const char *const texts[] = { "", " , ", "detec", "Detect", "detect,all", "none,detect", "gallery" };
    struct hs_error err;
    for (size_t i = 0; i < HS_ARRAY_LEN(texts); i++) {
        unsigned scopes = 77;
        assert_int_equal(hs_scopes_read(texts[i], &scopes, &err), HS_EINVAL);
        assert_int_equal(scopes, 77);
        assert_non_null(strstr(err.message, "scope"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_name_scopes_in_any_order),
        cmocka_unit_test(all_and_none_stand_alone),
        cmocka_unit_test(other_texts_are_refused),
    };
    return HS_RUN_TESTS(tests);
}
