/* The fields of a body, JSON or (if the first byte is odd) form, read as all types: the value is within the
 * bounds, or the error names the field and the output is unchanged. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "http/param.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(int r, bool untouched, const struct hs_error *err)
{
    if (r < 0 && (r != HS_EINVAL || err->code != r || !untouched || strncmp(err->message, "a: ", 3) != 0))
        abort();
}

static void read_numbers(const struct hs_body *body, double min, double max)
{
    struct hs_error err;
    double number = 77;
    int64_t whole = 77;
    int r = hs_param_double(body, "a", min, max, 0.5, &number, &err);
    check(r, number == 77, &err);
    if (r == 0 && number != 0.5 && !(isfinite(number) && number >= min && number <= max))
        abort();
    int64_t low = min < -1e18 ? INT64_MIN : (int64_t) min, high = max > 1e18 ? INT64_MAX : (int64_t) max;
    r = hs_param_int(body, "a", low, high, 1, &whole, &err);
    check(r, whole == 77, &err);
    if (r == 0 && whole != 1 && (whole < low || whole > high))
        abort();
}

static void read_all(const struct hs_body *body)
{
    static const char *const names[] = { "none", "box", "skeleton", NULL };
    struct hs_error err;
    bool flag = false;
    const char *text = NULL;
    int choice = 77;
    read_numbers(body, 0, 1);
    read_numbers(body, -100, 1000);
    read_numbers(body, -INFINITY, INFINITY);
    int r = hs_param_bool(body, "a", true, &flag, &err);
    check(r, !flag, &err);
    r = hs_param_string(body, "a", "fallback", &text, &err);
    check(r, !text, &err);
    if (r == 0 && strlen(text) > HS_BODY_JSON_MAX)
        abort();
    r = hs_param_enum(body, "a", names, 1, &choice, &err);
    check(r, choice == 77, &err);
    if (r == 0 && (choice < 0 || choice > 2 || (hs_body_has(body, "a") && strcmp(names[choice], text) != 0)))
        abort();
    /* A missing field yields the default. */
    if (!hs_body_has(body, "a") && (choice != 1 || !flag || strcmp(text, "fallback") != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char head[] = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n", tail[] = "\r\n--B--\r\n";
    static const char *const no_files[] = { NULL };
    const struct hs_body_spec spec = { .files = no_files, .bytes_max = 1 << 20 };
    struct hs_body *body;
    if (len < 1 || len > 60000)
        return 0;
    bool form = data[0] & 1;
    const char *before = form ? head : "{\"a\":", *after = form ? tail : "}";
    const char *type = form ? "multipart/form-data; boundary=B" : "application/json";
    if (hs_body_create(HS_BODY_FORM_OR_JSON, type, &spec, NULL, &body, NULL) < 0)
        abort();
    if (hs_body_feed(body, before, strlen(before), NULL) == 0 && hs_body_feed(body, data + 1, len - 1, NULL) == 0 &&
        hs_body_feed(body, after, strlen(after), NULL) == 0 && hs_body_end(body, NULL) == 0)
        read_all(body);
    hs_body_destroy(body);
    return 0;
}
