#include "unit.h"

#include <string.h>

#include "base/mem.h"
#include "hs/status.h"

static void test_public(void **state)
{
    (void) state;
    static const struct {
        const char *message, *shown;
    } rows[] = {
        { "", "" },
        { "no memory", "no memory" },
        { "the gallery cannot be read" HS_DETAIL "SELECT 1: disk I/O error (SQLite 10)", "the gallery cannot be read" },
        { HS_DETAIL "all of it", "" },
        { "/var/lib/hailo-face/faces.db: Permission denied", "faces.db: Permission denied" },
        { "cannot open /srv/a/b.onnx", "cannot open b.onnx" },
        { "cannot open '/srv/a/b.onnx', (/e/f/g) [/h/i]", "cannot open 'b.onnx', (g) [i]" },
        { "no model named \"/c/d\"", "no model named \"/c/d\"" },
        { "x is not in /var/lib/models/; get it", "x is not in models/; get it" },
        { "a/b, 10 faces/s and either/or stay", "a/b, 10 faces/s and either/or stay" },
        { "https://pi.example/a/b stays", "https://pi.example/a/b stays" },
        { "a / b stays", "a / b stays" },
        { "/", "/" },
        { "path=/a/b", "path=b" },
        { "/one", "one" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        char text[HS_ERROR_MESSAGE_SIZE];
        hs_error_public(rows[i].message, text);
        assert_string_equal(text, rows[i].shown);
    }
}

static void test_public_is_bounded(void **state)
{
    (void) state;
    char message[2 * HS_ERROR_MESSAGE_SIZE], text[HS_ERROR_MESSAGE_SIZE];
    memset(message, 'x', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    hs_error_public(message, text);
    assert_int_equal(strlen(text), HS_ERROR_MESSAGE_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_public), cmocka_unit_test(test_public_is_bounded) };
    return HS_RUN_TESTS(tests);
}
