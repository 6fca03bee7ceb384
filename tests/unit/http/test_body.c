/* Tests bodies as clients send them: whole, byte by byte and in random pieces, with the same result
 * each time. */
#include "unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/body.h"

static const char *const files[] = { "image", "mask", NULL };
static const struct hs_body_spec spec = { .files = files, .bytes_max = 1 << 20 };

static const char form_type[] = "multipart/form-data; boundary=XX";

/* Feeds data in pieces of `step` bytes (0: random sizes). Each piece has its own allocation, so
 * that a sanitizer detects an access outside it. */
static int parse(const char *type, const struct hs_body_spec *what, const char *data, size_t len, size_t step,
                 struct hs_body **ret_body, struct hs_error *err)
{
    struct hs_body *body;
    int r = hs_body_create(HS_BODY_FORM_ELSE_JSON, type, what, NULL, &body, err);
    if (r < 0)
        return r;
    unsigned seed = (unsigned) len;
    for (size_t i = 0; i < len && r == 0;) {
        seed = seed * 1103515245 + 12345;
        size_t n = step ? step : 1 + (seed >> 16) % 37;
        n = n < len - i ? n : len - i;
        char *piece = malloc(n);
        memcpy(piece, data + i, n);
        r = hs_body_feed(body, piece, n, err);
        free(piece);
        i += n;
    }
    if (r == 0)
        r = hs_body_end(body, err);
    if (r < 0)
        hs_body_destroy(body);
    else
        *ret_body = body;
    return r;
}

static const size_t steps[] = { 1 << 20, 1, 2, 3, 7, 0 };
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

/* Expects one image and one text; NULL: absent. */
static void expect_n(const char *type, const char *data, size_t len, const char *image, size_t image_len,
                     const char *text)
{
    for (size_t i = 0; i < STEPS; i++) {
        struct hs_body *body;
        struct hs_error err = { 0 };
        int r = parse(type, &spec, data, len, steps[i], &body, &err);
        if (r < 0)
            fail_msg("step %zu: %s", steps[i], err.message);
        size_t got;
        const uint8_t *seen;
        assert_true(hs_body_peek(body, 0, &seen, &got));
        if (image) {
            assert_int_equal(got, image_len);
            assert_memory_equal(seen, image, got);
        }
        assert_false(hs_body_peek(body, 2, &seen, &got));
        uint8_t *bytes = NULL;
        got = 0;
        r = hs_body_take_file(body, "image", &bytes, &got, &err);
        assert_int_equal(r, image ? 0 : HS_EMISSING);
        if (!image)
            assert_string_equal(err.message, "Missing 'image' field");
        assert_int_equal(got, image_len);
        if (image)
            assert_memory_equal(bytes, image, got);
        free(bytes);
        assert_int_equal(hs_body_take_file(body, "image", &bytes, &got, &err), HS_EMISSING);
        const char *value = hs_body_text(body, "text");
        assert_int_equal(value != NULL, text != NULL);
        if (text)
            assert_string_equal(value, text);
        hs_body_destroy(body);
    }
}

static void expect(const char *type, const char *data, const char *image, const char *text)
{
    expect_n(type, data, strlen(data), image, image ? strlen(image) : 0, text);
}

static void expect_error(const char *type, const char *data, int code, const char *message)
{
    for (size_t i = 0; i < STEPS; i++) {
        struct hs_body *body;
        struct hs_error err = { 0 };
        int r = parse(type, &spec, data, strlen(data), steps[i], &body, &err);
        if (r != code || !strstr(err.message, message))
            fail_msg("step %zu: wanted %d %s, got %d %s", steps[i], code, message, r, err.message);
    }
}

static char *repeat(const char *start, const char *text, size_t count, const char *end)
{
    size_t n = strlen(text), at = strlen(start);
    char *all = malloc(at + n * count + strlen(end) + 1);
    memcpy(all, start, at);
    for (size_t i = 0; i < count; i++, at += n)
        memcpy(all + at, text, n);
    memcpy(all + at, end, strlen(end) + 1);
    return all;
}

/* ---- Forms ---- */

static void test_curl(void **state)
{
    (void) state;
    expect("multipart/form-data; boundary=------------------------d74496d66958873e",
           "--------------------------d74496d66958873e\r\n"
           "Content-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n"
           "Content-Type: image/jpeg\r\n\r\n"
           "JPEG\r\n-bytes\r\r\n--\r\n"
           "--------------------------d74496d66958873e\r\n"
           "Content-Disposition: form-data; name=\"text\"\r\n\r\n"
           "0.25\r\n"
           "--------------------------d74496d66958873e--\r\n",
           "JPEG\r\n-bytes\r\r\n--", "0.25");
}

/* aiohttp: Content-Type first, percent-encoded names, text with a type. */
static void test_aiohttp(void **state)
{
    (void) state;
    expect("multipart/form-data; boundary=9f1e5a",
           "--9f1e5a\r\nContent-Type: application/octet-stream\r\n"
           "Content-Disposition: form-data; name=\"image\"; "
           "filename=\"%C3%A4%20b.jpg\"; filename*=utf-8''%C3%A4\r\n\r\n"
           "abc\r\n"
           "--9f1e5a\r\nContent-Type: text/plain; charset=utf-8\r\n"
           "Content-Disposition: form-data; name=\"te%78t\"\r\n\r\n0.5\r\n--9f1e5a--\r\n",
           "abc", "0.5");
}

/* Python's requests: fields before files, quoted boundary, no final line break. */
static void test_requests(void **state)
{
    (void) state;
    expect("multipart/form-data; charset=x; boundary=\"a b'c\"",
           "--a b'c\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n10\r\n"
           "--a b'c\r\nContent-Disposition: form-data; name=\"image\"; filename=\"image\"\r\n\r\nxyz\r\n--a b'c--",
           "xyz", "10");
}

static void test_form_variants(void **state)
{
    (void) state;
    /* Preamble, epilogue, blanks after the boundary, folded and oddly written headers, bare names. */
    expect(form_type,
           "preamble\r\n--X\r\n--XX \t \r\ncontent-DISPOSITION:form-data;\r\n name=image\r\nX-Other: 1\r\n\r\nabc\r\n"
           "--XX\r\nContent-Disposition: form-data; filename=\"name=\\\"text\\\".x\"; name=text\r\n\r\nhi\r\n"
           "--XX--\r\nepilogue --XX\r\n--XX\r\n",
           "abc", "hi");
    /* The last field of a name wins; drops unknown fields and parts without a name. */
    expect(form_type,
           "--XX\r\nContent-Disposition: form-data; name=image\r\n\r\nfirst\r\n"
           "--XX\r\nContent-Disposition: form-data; name=text\r\n\r\n1\r\n"
           "--XX\r\nContent-Disposition: form-data\r\n\r\nlost\r\n--XX\r\n\r\nno headers\r\n"
           "--XX\r\nContent-Disposition: form-data; name=other; filename=o\r\n\r\nlost\r\n"
           "--XX\r\nContent-Disposition: form-data; name=text\r\n\r\n2\r\n"
           "--XX\r\nContent-Disposition: form-data; name=image\r\n\r\nsecond\r\n--XX--\r\n",
           "second", "2");
    /* Empty values, one with its delimiter directly after the headers. */
    expect(form_type,
           "--XX\r\nContent-Disposition: form-data; name=image\r\n\r\n\r\n"
           "--XX\r\nContent-Disposition: form-data; name=text\r\n\r\n--XX--",
           NULL, "");
    expect(form_type, "--XX--\r\n", NULL, NULL);
    /* Content that matches a delimiter almost to its end, also directly after the headers. */
    expect(form_type,
           "--XX\r\nContent-Disposition: form-data; name=image\r\n\r\n--X\r\n\r\n-\r\n--X\r\r\n--Y\r\n--XX--",
           "--X\r\n\r\n-\r\n--X\r\r\n--Y", NULL);
}

static void test_form_binary(void **state)
{
    (void) state;
    char data[2048], image[1024];
    size_t head = (size_t) snprintf(data, sizeof(data), "--XX\r\nContent-Disposition: form-data; name=image\r\n\r\n");
    for (size_t i = 0; i < sizeof(image); i++)
        image[i] = (char) (i * 7 + i / 256);
    memcpy(data + head, image, sizeof(image));
    memcpy(data + head + sizeof(image), "\r\n--XX--", 8);
    expect_n(form_type, data, head + sizeof(image) + 8, image, sizeof(image), NULL);
}

static void test_form_errors(void **state)
{
    (void) state;
    expect_error("multipart/form-data", "", HS_EINVAL, "boundary");
    expect_error("multipart/form-data; boundary=", "", HS_EINVAL, "boundary");
    expect_error("multipart/form-data; boundary=\"", "", HS_EINVAL, "boundary");
    expect_error("multipart/form-data; boundary=\"a\001b\"", "", HS_EINVAL, "boundary");
    expect_error("multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567890123456789"
                 "1",
                 "", HS_EINVAL, "boundary");
    expect_error(form_type, "", HS_EINVAL, "does not contain the boundary");
    expect_error(form_type, "something else", HS_EINVAL, "does not contain the boundary");
    expect_error(form_type, "--XX\r\nContent-Disposition: form-data; name=image\r\n\r\nabc", HS_EINVAL, "closing");
    expect_error(form_type, "--XX\r\nContent-Disposition: form-data; name=image\r\n\r\nabc\r\n--XX", HS_EINVAL,
                 "closing");
    expect_error(form_type, "--XX\r\nContent-Dispo", HS_EINVAL, "closing");
    expect_error(form_type, "--XXY\r\n", HS_EINVAL, "boundary line");
    expect_error(form_type, "--XX-X\r\n", HS_EINVAL, "boundary line");
    expect_error(form_type, "--XX\r\nno colon\r\n\r\n\r\n--XX--", HS_EINVAL, "colon");
    expect_error(form_type, "--XX\r\nA: b\n\r\n", HS_EINVAL, "CR LF");
}

/* RFC 7578 §4.7: part encodings are deprecated, but mail libraries use them. */
static void test_part_encodings(void **state)
{
    (void) state;
    expect(form_type,
           "--XX\r\nContent-Disposition: form-data; name=image; filename=a\r\n"
           "content-transfer-encoding: Base64\r\n\r\nSGVs\r\nbG8sIHdv\r\ncmxk\r\n"
           "--XX\r\nContent-Disposition: form-data; name=text\r\nContent-Transfer-Encoding: base64\r\n\r\n"
           "SsO8cmdlbg\r\n--XX--",
           "Hello, world", "J\xc3\xbcrgen");
    expect(form_type,
           "--XX\r\nContent-Disposition: form-data; name=text\r\n"
           "Content-Type: text/plain; charset=\"UTF-8\"\r\n"
           "Content-Transfer-Encoding: quoted-printable\r\n\r\nJ=C3=bc=\r\nrgen =3d= \t\r\n x=\ny\r\n--XX\r\n"
           "Content-Disposition: form-data; name=image\r\nContent-Transfer-Encoding: binary\r\n\r\na=3d\r\n--XX--",
           "a=3d", "J\xc3\xbcrgen = xy");
    expect_error(form_type,
                 "--XX\r\nContent-Disposition: form-data; name=text\r\n"
                 "Content-Transfer-Encoding: quoted-printable\r\n\r\na=zz\r\n--XX--",
                 HS_EINVAL, "two hexadecimal digits");
    expect_error(form_type,
                 "--XX\r\nContent-Disposition: form-data; name=text\r\n"
                 "Content-Transfer-Encoding: quoted-printable\r\n\r\na=4\r\n--XX--",
                 HS_EINVAL, "two hexadecimal digits");
    expect_error(form_type,
                 "--XX\r\nContent-Disposition: form-data; name=image\r\n"
                 "Content-Transfer-Encoding: base64\r\n\r\nYQ==Y\r\n--XX\r\n"
                 "Content-Disposition: form-data; name=image\r\n"
                 "Content-Transfer-Encoding: base64\r\n\r\nYWJjZ\r\n--XX--",
                 HS_EINVAL, "Invalid base64: a group of one character");
    expect_error(form_type,
                 "--XX\r\nContent-Disposition: form-data; name=image\r\n"
                 "Content-Transfer-Encoding: x-uuencode\r\n\r\nYQ==\r\n--XX--",
                 HS_EINVAL, "Content-Transfer-Encoding \"x-uuencode\" is not supported");
}

static void expect_charset(const char *type, int code)
{
    char data[300];
    snprintf(data, sizeof(data),
             "--XX\r\nContent-Type: %s\r\nContent-Disposition: form-data; name=text\r\n\r\nabc\r\n--XX--", type);
    if (code == 0)
        expect(form_type, data, NULL, "abc");
    else
        expect_error(form_type, data, code, "the charset of \"text\" must be utf-8, not");
}

static void test_charsets(void **state)
{
    (void) state;
    expect_charset("text/plain", 0);
    expect_charset("text/plain; charset=utf-8", 0);
    expect_charset("text/plain;charset=\"UTF-8\"", 0);
    expect_charset("text/plain; format=flowed; CHARSET=us-ascii", 0);
    expect_charset("text/plain; charset=iso-8859-1", HS_EINVAL);
    expect_charset("text/plain; charset=\"utf-16\"", HS_EINVAL);
    expect_charset("text/plain; charset=0123456789012345678901234567890123456789", HS_EINVAL);
    /* A charset on a picture has no effect. */
    expect(form_type,
           "--XX\r\nContent-Type: image/jpeg; charset=latin1\r\n"
           "Content-Disposition: form-data; name=image\r\n\r\nabc\r\n--XX--",
           "abc", NULL);
}

/* RFC 7578 §4.2: forms do not use filename*, and a file name does not affect which field a part is. */
static void test_part_names(void **state)
{
    (void) state;
    expect(form_type,
           "--XX\r\nContent-Disposition: form-data; filename*=utf-8''name%3dtext; name=\"image\"\r\n\r\nabc\r\n"
           "--XX\r\nContent-Disposition: form-data; filename=\"; name=image\"; name=\"text\"\r\n\r\nhi\r\n--XX--",
           "abc", "hi");
    expect(form_type,
           "--XX\r\nContent-Disposition: form-data; name*=utf-8''image; name=text\r\n\r\nhi\r\n"
           "--XX\r\nContent-Disposition: form-data; name*=utf-8''image\r\n\r\nnobody\r\n"
           "--XX\r\nContent-Disposition: form-data; filename=\"a\\\"; name=\\\"text\"; name=image\r\n\r\nabc\r\n--XX--",
           "abc", "hi");
    /* A file name over the size limit, and a quoted name with an escape. */
    char *all = repeat("--XX\r\nContent-Disposition: form-data; filename=\"", "x; name=text ", 40,
                       "\"; name=\"im\\\\age\"\r\n\r\nno\r\n"
                       "--XX\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nabc\r\n--XX--");
    expect(form_type, all, "abc", NULL);
    free(all);
}

static void test_form_limits(void **state)
{
    (void) state;
    const char *part = "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n";
    char *all = repeat("", part, 100, "--XX--");
    expect(form_type, all, NULL, NULL);
    free(all);
    all = repeat("", part, 101, "--XX--");
    expect_error(form_type, all, HS_ETOOLARGE, "100 parts");
    free(all);
    all = repeat("--XX\r\nA: ", "x", 9000, "\r\n\r\n\r\n--XX--");
    expect_error(form_type, all, HS_EHEADERS, "8192");
    free(all);
    /* An unknown field may have any length; a text that is too long is not returned. */
    all = repeat("--XX\r\nContent-Disposition: form-data; name=text\r\n\r\n", "x", 4097, "\r\n--XX--");
    expect(form_type, all, NULL, NULL);
    free(all);
    all = repeat("--XX\r\nContent-Disposition: form-data; name=image\r\n\r\n", "x", 1 << 20, "\r\n--XX--");
    expect_error(form_type, all, HS_ETOOLARGE, "larger than 1048576");
    free(all);
}

static void test_kept_texts(void **state)
{
    (void) state;
    static const struct hs_field known = { .name = "known" };
    static const struct hs_field *const fields[] = { &known, NULL };
    const struct hs_body_spec only = { .files = files, .fields = fields, .bytes_max = 1000 };
    const char *data = "--XX\r\nContent-Disposition: form-data; name=known\r\n\r\n1\r\n"
                       "--XX\r\nContent-Disposition: form-data; name=unknown\r\n\r\n2\r\n--XX--";
    struct hs_body *body;
    struct hs_error err;
    assert_int_equal(parse(form_type, &only, data, strlen(data), 5, &body, &err), 0);
    assert_string_equal(hs_body_text(body, "known"), "1");
    assert_false(hs_body_has(body, "unknown"));
    assert_null(hs_body_json(body));
    hs_body_destroy(body);
    /* A handler cannot read a field that its route does not describe. */
    data = "{\"known\": \"1\", \"unknown\": \"2\"}";
    char names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE];
    assert_int_equal(parse(NULL, &only, data, strlen(data), 5, &body, &err), 0);
    assert_string_equal(hs_body_text(body, "known"), "1");
    assert_null(hs_body_text(body, "unknown"));
    assert_null(hs_body_value(body, "unknown"));
    assert_false(hs_body_has(body, "unknown"));
    assert_int_equal(hs_body_unused(body, names), 1);
    assert_string_equal(names[0], "unknown");
    hs_body_destroy(body);
}

/* ---- JSON ---- */

static void test_json(void **state)
{
    (void) state;
    expect(NULL, "{\"image\": \"Zm9v\", \"text\": \"0.5\"}", "foo", "0.5");
    expect("text/plain", " {\n \"text\" : \"a\\\"b\" , \"image\":\"data:image/png;base64,Zm9v\" } \n", "foo", "a\"b");
    /* Escapes in the picture and in its name; \u002b is '+'. */
    expect(NULL, "{\"im\\u0061ge\": \"\\u002b\\/\\n\\u002B\\/\"}", "\xfb\xff\xbf", NULL);
    /* Nested fields with that name are ignored. */
    expect(NULL, "{\"a\": {\"image\": \"Zm9v\"}, \"b\": [{\"image\": \"Zm9v\"}, \"image\"], \"text\": \"x\"}", NULL,
           "x");
    expect(NULL, "{\"text\": \"image\", \"image\": \"YmFy\"}", "bar", "image");
    /* Without padding, as encoders of the URL-safe alphabet write it. */
    expect(NULL, "{\"image\": \"Zm9vYmE\"}", "fooba", NULL);
    expect(NULL, "{\"image\": \"_-_-_w\"}", "\xff\xef\xfe\xff", NULL);
    expect(NULL, "{\"image\": \"\\n DATA:image/png;base64,\\r\\nZm8\"}", "fo", NULL);
    /* The last field of a name wins. */
    expect(NULL, "{\"image\": \"Zm9v\", \"image\": \"YmFy\"}", "bar", NULL);
    expect(NULL, "{\"image\": \"!\", \"image\": \"YmFy\"}", "bar", NULL);
    expect(NULL, "{\"image\": \"Zm9v\", \"image\": null}", NULL, NULL);
    expect(NULL, "{\"image\": \"Zm9v\", \"image\": \"\"}", NULL, NULL);
    expect(NULL, "{\"image\": \"\"}", NULL, NULL);
    expect(NULL, "{\"image\": null}", NULL, NULL);
    expect(NULL, "{}", NULL, NULL);
    expect(NULL, "{\"mask\": \"Zm9v\"}", NULL, NULL);
}

static void expect_file_error(const char *data, const char *message)
{
    for (size_t i = 0; i < STEPS; i++) {
        struct hs_body *body;
        struct hs_error err = { 0 };
        uint8_t *bytes;
        size_t len;
        assert_int_equal(parse(NULL, &spec, data, strlen(data), steps[i], &body, &err), 0);
        assert_int_equal(hs_body_take_file(body, "image", &bytes, &len, &err), HS_EINVAL);
        assert_string_equal(err.message, message);
        hs_body_destroy(body);
    }
}

static void test_json_file_errors(void **state)
{
    (void) state;
    expect_file_error("{\"image\": \"Zm9vYg=\"}", "Invalid base64: incorrect padding");
    expect_file_error("{\"image\": \"Zm9vY\"}", "Invalid base64: a group of one character is left at the end");
    expect_file_error("{\"image\": \"====\"}", "Invalid base64: no data");
    expect_file_error("{\"image\": \"data:abc\"}", "Invalid base64: a data URI needs a comma before its data");
    expect_file_error("{\"image\": \"Zm9v\xc3\xa4\"}", "Invalid base64: only ASCII characters are allowed");
    expect_file_error("{\"image\": \"Zm9v\\u00e4\"}", "Invalid base64: only ASCII characters are allowed");
    expect_file_error("{\"image\": 5}", "image: must be a base64 string, not a number");
    expect_file_error("{\"image\": [\"Zm9v\"]}", "image: must be a base64 string, not an array");
    expect_file_error("{\"image\": {\"image\": \"Zm9v\"}}", "image: must be a base64 string, not an object");
    expect_file_error("{\"image\": \"Zm9v\", \"image\": true}", "image: must be a base64 string, not a boolean");
}

static void test_json_errors(void **state)
{
    (void) state;
    expect_error(NULL, "", HS_EINVAL, "Invalid JSON: the body is empty");
    expect_error(NULL, " \r\n", HS_EINVAL, "Invalid JSON: the body is empty");
    expect_error(NULL, "hello", HS_EINVAL, "Invalid JSON: ");
    expect_error(NULL, "{\"image\": \"Zm9v", HS_EINVAL, "Invalid JSON: ");
    expect_error(NULL, "{\"image\": \"Zm9v\"", HS_EINVAL, "Invalid JSON: ");
    expect_error(NULL, "{\"image\": \"Zm9v\"} x", HS_EINVAL, "Invalid JSON: ");
    expect_error(NULL, "{\"image\": \"Zm\n9v\"}", HS_EINVAL, "control character in a string (line 1, column 14)");
    expect_error(NULL, "{\n\"image\": \"\\q\"}", HS_EINVAL, "unknown escape in a string (line 2, column 12)");
    expect_error(NULL, "{\"image\": \"\\u00g0\"}", HS_EINVAL, "hexadecimal");
    expect_error(NULL, "{\"image\": \"\xff\"}", HS_EINVAL, "Invalid JSON: ");
    expect_error(NULL, "{\"text\": \"\xc3(\"}", HS_EINVAL, "Invalid JSON: ");
    expect_error(NULL, "{\"text\": \"\xe2\x80\xa8\" \"\xe2\x80\xa8\"}", HS_EINVAL, "near '\"???\"' (line 1, column ");
    expect_error(NULL, "{\"text\": NaN}", HS_EINVAL, "Invalid JSON: ");
    expect_error(NULL, "{\"text\": 1e999}", HS_EINVAL, "Invalid JSON: ");
    expect_error(NULL, "{\"text\": \"a\\u0000b\"}", HS_EINVAL,
                 "Invalid JSON: a string contains the character U+0000 (line 1, column ");
    expect_error(NULL, "{\"a\": {\"\\u0000\": 1}}", HS_EINVAL,
                 "Invalid JSON: a string contains the character U+0000 (line 1, column ");
    expect_error(NULL, "[1]", HS_EINVAL, "Invalid JSON: the top level must be an object, not an array");
    expect_error(NULL, "null", HS_EINVAL, "must be an object, not null");
    expect_error(NULL, "\"image\"", HS_EINVAL, "must be an object, not a string");
    /* The error position counts the client's text, including the picture. */
    expect_error(NULL, "{\"image\": \"Zm9vZm9v\" 1}", HS_EINVAL, "(line 1, column 22)");
}

static void test_json_limits(void **state)
{
    (void) state;
    char *all = repeat("{\"text\": \"x\", \"a\": ", "[", 32, "");
    char *whole = repeat(all, "]", 32, "}");
    expect(NULL, whole, NULL, "x");
    free(all);
    free(whole);
    all = repeat("", "[", 1000, "");
    expect_error(NULL, all, HS_EINVAL, "Invalid JSON: nested too deeply (line 1, column 34)");
    free(all);
    all = repeat("{\"a\": \"", "x", 70000, "\"}");
    expect_error(NULL, all, HS_ETOOLARGE, "65536");
    free(all);
    /* This limit does not apply to a picture. */
    all = repeat("{\"image\": \"", "YWFh", 50000, "\"}");
    char *want = repeat("", "aaa", 50000, "");
    expect(NULL, all, want, NULL);
    free(all);
    free(want);
}

static void test_any_json(void **state)
{
    (void) state;
    const struct hs_body_spec any = { .files = files, .bytes_max = 100, .any_json = true };
    struct hs_body *body;
    struct hs_error err;
    assert_int_equal(parse(NULL, &any, "[]", 2, 1, &body, &err), 0);
    assert_true(json_is_array(hs_body_json(body)));
    assert_null(hs_body_value(body, "image"));
    assert_null(hs_body_text(body, "image"));
    assert_false(hs_body_has(body, "image"));
    hs_body_destroy(body);
}

/* ---- The list of pictures ---- */

static const char *const lists[] = { "images", "image", NULL };
static const struct hs_body_spec list_spec = {
    .list = lists, .list_member = "image", .list_max = 3, .bytes_max = 1 << 20
};

/* Writes members as "foo
 * bar
 * ", with the message in brackets for a failed one. */
static void describe_list(struct hs_body *body, char *dst, size_t size)
{
    size_t count = 0, at = 0;
    struct hs_error err = { 0 };
    if (hs_body_list_count(body, &count, &err) < 0)
        at += (size_t) snprintf(dst, size, "(%s)", err.message);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *seen;
        uint8_t *bytes;
        size_t len, seen_len;
        assert_true(hs_body_peek(body, i, &seen, &seen_len));
        if (hs_body_list_take(body, i, &bytes, &len, &err) < 0) {
            at += (size_t) snprintf(dst + at, size - at, "[%s]|", err.message);
            continue;
        }
        assert_ptr_equal(seen, bytes);
        assert_int_equal(seen_len, len);
        at += (size_t) snprintf(dst + at, size - at, "%.*s|", (int) len, (const char *) bytes);
        free(bytes);
        assert_int_equal(hs_body_list_take(body, i, &bytes, &len, NULL), HS_EMISSING);
    }
}

static void expect_list(const char *type, const char *data, const char *want)
{
    for (size_t i = 0; i < STEPS; i++) {
        struct hs_body *body;
        struct hs_error err = { 0 };
        char got[1000] = "";
        if (parse(type, &list_spec, data, strlen(data), steps[i], &body, &err) < 0) {
            snprintf(got, sizeof(got), "{%d %s}", err.code, err.message);
        } else {
            describe_list(body, got, sizeof(got));
            hs_body_destroy(body);
        }
        assert_string_equal(got, want);
    }
}

#define PART(name, text) "--XX\r\nContent-Disposition: form-data; name=" name "\r\n\r\n" text "\r\n"

static void test_list_form(void **state)
{
    (void) state;
    expect_list(form_type, PART("images", "a") PART("image", "bb") PART("other", "-") PART("images", "c") "--XX--",
                "a|bb|c|");
    expect_list(form_type, PART("image", "a") PART("image", "") "--XX--", "a|[Missing 'image' field]|");
    expect_list(form_type, PART("other", "a") "--XX--", "(Missing 'images' field)");
    expect_list(form_type, PART("image", "a") PART("image", "a") PART("image", "a") PART("image", "a") "--XX--",
                "{-1 images: at most 3 pictures in one request}");
}

static void test_list_json(void **state)
{
    (void) state;
    expect_list(NULL,
                "{\"images\": [\"Zm9v\", {\"id\": \"x\", \"image\": \"data:image/png;base64,YmFy\"}], "
                "\"text\": \"y\"}",
                "foo|bar|");
    expect_list(NULL, "{\"images\":[{\"image\":\"Zm9v\",\"more\":{\"image\":\"x\"}},\"YmFy\"]}", "foo|bar|");
    /* A key after a nested value is still a key. */
    expect_list(NULL,
                "{\"images\":[{\"more\":{\"image\":\"x\"},\"image\":\"Zm9v\"},"
                "{\"more\":[[\"x\"],{}],\"image\":\"YmFy\"}]}",
                "foo|bar|");
    expect_list(NULL, "{\"images\": [{\"image\": \"Zm9v\", \"im\\u0061ge\": \"YmFy\"}]}", "bar|");
    /* One picture needs no array; both names are accepted, and the last list wins. */
    expect_list(NULL, "{\"image\": \"Zm9v\"}", "foo|");
    expect_list(NULL, "{\"images\": [\"Zm9v\", \"Zm9v\"], \"image\": [\"YmFy\"]}", "bar|");
    expect_list(NULL, "{\"images\": [\"Zm9v\", \"Zm9v\"], \"images\": [1, \"YmFy\"]}",
                "[image: must be a base64 string, not a number]|bar|");
    /* An invalid member does not affect the others. */
    expect_list(NULL, "{\"images\": [\"Zm9vYg=\", null, \"YmFy\"]}",
                "[Invalid base64: incorrect padding]|[Missing 'image' field]|bar|");
    expect_list(NULL, "{\"images\": [{}, [\"Zm9v\"], {\"image\": [\"Zm9v\"]}]}",
                "[Missing 'image' field]|[image: must be a base64 string, not an array]|"
                "[image: must be a base64 string, not an array]|");
    expect_list(NULL, "{\"images\": [\"\", \"\\u00e4\", {\"image\": null}]}",
                "[Missing 'image' field]|[Invalid base64: only ASCII characters are allowed]|"
                "[Missing 'image' field]|");
}

static void test_list_bounds(void **state)
{
    (void) state;
    expect_list(NULL, "{\"images\": []}", "(Missing 'images' field)");
    expect_list(NULL, "{\"images\": null}", "(Missing 'images' field)");
    expect_list(NULL, "{}", "(Missing 'images' field)");
    expect_list(NULL, "{\"images\": {\"image\": \"Zm9v\"}}", "(images: must be an array of pictures, not an object)");
    expect_list(NULL, "{\"images\": [\"Zm9v\"], \"images\": 5}",
                "(images: must be an array of pictures, not a number)");
    expect_list(NULL, "{\"images\": [\"Zm9v\", \"Zm9v\", \"Zm9v\", \"Zm9v\"]}",
                "{-1 images: at most 3 pictures in one request}");
    expect_list(NULL, "{\"a\": {\"images\": [1, 2, 3, 4]}, \"images\": [\"Zm9v\", \"YmFy\"]}", "foo|bar|");
    expect_list(NULL, "{\"images\": [\"Zm9v\", {]}, \"x\": \"y\"}",
                "{-1 Invalid JSON: string or '}' expected near ']' (line 1, column 22)}");
    /* The limit of the JSON does not apply to the pictures. */
    char *one = repeat("\"", "YWFh", 30000, "\"");
    size_t size = 3 * strlen(one) + 100;
    char *all = malloc(size), *want = repeat("", "aaa", 30000, "");
    snprintf(all, size, "{\"images\": [%s, {\"image\": %s}]}", one, one);
    struct hs_body *body;
    struct hs_error err;
    assert_int_equal(parse(NULL, &list_spec, all, strlen(all), 0, &body, &err), 0);
    for (size_t i = 0; i < 2; i++) {
        uint8_t *bytes;
        size_t len;
        assert_int_equal(hs_body_list_take(body, i, &bytes, &len, &err), 0);
        assert_int_equal(len, 90000);
        assert_memory_equal(bytes, want, len);
        free(bytes);
    }
    assert_true(json_is_object(hs_body_list_value(body, 1)));
    hs_body_destroy(body);
    free(one), free(all), free(want);
}

/* ---- Choice of parser, budget ---- */

static int create(enum hs_body_rule rule, const char *type)
{
    struct hs_body *body = NULL;
    int r = hs_body_create(rule, type, &spec, NULL, &body, NULL);
    if (r == 0)
        hs_body_destroy(body);
    return r;
}

static void test_content_types(void **state)
{
    (void) state;
    assert_int_equal(create(HS_BODY_FORM_ELSE_JSON, NULL), 0);
    assert_int_equal(create(HS_BODY_FORM_ELSE_JSON, "text/plain"), 0);
    assert_int_equal(create(HS_BODY_FORM_ELSE_JSON, "image/jpeg"), HS_EINVAL); /* the route takes two pictures */
    assert_int_equal(create(HS_BODY_JSON, "image/jpeg"), HS_EUNSUPPORTED);
    assert_int_equal(create(HS_BODY_FORM_OR_JSON, NULL), HS_EUNSUPPORTED);
    assert_int_equal(create(HS_BODY_FORM_OR_JSON, "text/plain"), HS_EUNSUPPORTED);
    assert_int_equal(create(HS_BODY_FORM_OR_JSON, form_type), 0);
    assert_int_equal(create(HS_BODY_FORM_OR_JSON, "Application/JSON ; charset=utf-8"), 0);
    assert_int_equal(create(HS_BODY_JSON, "application/vnd.api+json"), 0);
    assert_int_equal(create(HS_BODY_JSON, "application/jsonx"), HS_EUNSUPPORTED);
    assert_int_equal(create(HS_BODY_JSON, form_type), HS_EUNSUPPORTED);
}

/* ---- A single picture as the body ---- */

static const char *const one_file[] = { "image", NULL };
static const struct hs_body_spec one = { .files = one_file, .bytes_max = 1 << 20 };

static const char *look_up(void *ctx, const char *name)
{
    return strcmp(name, "text") == 0 ? ctx : NULL;
}

static int parse_one(enum hs_body_rule rule, const struct hs_body_spec *what, const char *type, const char *data,
                     size_t len, size_t step, struct hs_body **ret_body, struct hs_error *err)
{
    static char text[] = "0.5";
    struct hs_body *body;
    int r = hs_body_create(rule, type, what, NULL, &body, err);
    if (r < 0)
        return r;
    hs_body_set_query(body, look_up, text);
    for (size_t i = 0; i < len && r == 0; i += step)
        r = hs_body_feed(body, data + i, len - i < step ? len - i : step, err);
    if (r == 0)
        r = hs_body_end(body, err);
    if (r < 0)
        hs_body_destroy(body);
    else
        *ret_body = body;
    return r;
}

/* The whole body is the picture; the query supplies the texts. */
static void expect_picture(enum hs_body_rule rule, const char *type, const char *data, size_t len)
{
    for (size_t step = 1; step < 8; step++) {
        struct hs_body *body;
        struct hs_error err = { 0 };
        uint8_t *bytes = NULL;
        size_t got = 0;
        if (parse_one(rule, &one, type, data, len, step, &body, &err) < 0)
            fail_msg("%s: %s", type, err.message);
        assert_null(hs_body_json(body));
        assert_true(hs_body_has(body, "image"));
        assert_string_equal(hs_body_text(body, "text"), "0.5");
        assert_true(hs_body_has(body, "text"));
        assert_false(hs_body_has(body, "other"));
        assert_null(hs_body_text(body, "other"));
        assert_int_equal(hs_body_take_file(body, "image", &bytes, &got, &err), len ? 0 : HS_EMISSING);
        assert_int_equal(got, len);
        if (len)
            assert_memory_equal(bytes, data, len);
        free(bytes);
        hs_body_destroy(body);
    }
}

static void test_one_picture(void **state)
{
    (void) state;
    static const enum hs_body_rule rules[] = { HS_BODY_FORM_ELSE_JSON, HS_BODY_FORM_OR_JSON };
    for (size_t i = 0; i < 2; i++) {
        expect_picture(rules[i], "image/jpeg", "\xff\xd8\xff\xe0\0\r\n--XX--{", 14);
        expect_picture(rules[i], "Image/X-Unknown; q=1", "\0{\"image\": 1}", 13);
        expect_picture(rules[i], "application/octet-stream", "\0\x01\x02", 3);
        expect_picture(rules[i], "Application/Octet-Stream ; a=b", "BM12", 4);
    }
    expect_picture(HS_BODY_FORM_OR_JSON, "image/png", "", 0);
    expect_picture(HS_BODY_FORM_OR_JSON, "image/png", "{}", 2);
}

/* aiohttp sends bytes as application/octet-stream, even if they are JSON text. Old clients of
 * hailo-pose send JSON with any Content-Type. */
static void test_octets_that_are_json(void **state)
{
    (void) state;
    struct hs_body *body;
    struct hs_error err;
    const char *data = " {\"text\": \"a\"}";
    assert_int_equal(
        parse_one(HS_BODY_FORM_ELSE_JSON, &one, "application/octet-stream", data, strlen(data), 1, &body, &err), 0);
    assert_string_equal(hs_body_text(body, "text"), "a");
    hs_body_destroy(body);
    assert_int_equal(parse_one(HS_BODY_FORM_ELSE_JSON, &one, "image/jpeg", data, strlen(data), 1, &body, &err), 0);
    assert_string_equal(hs_body_text(body, "text"), "a");
    hs_body_destroy(body);
    assert_int_equal(parse_one(HS_BODY_FORM_ELSE_JSON, &one, "application/octet-stream", "", 0, 1, &body, &err),
                     HS_EINVAL);
    assert_string_equal(err.message, "Invalid JSON: the body is empty");
}

static void expect_one_error(enum hs_body_rule rule, const struct hs_body_spec *what, const char *type,
                             const char *data, int code, const char *message)
{
    for (size_t step = 1; step < 8; step++) {
        struct hs_body *body;
        struct hs_error err = { 0 };
        int r = parse_one(rule, what, type, data, strlen(data), step, &body, &err);
        if (r != code || strcmp(err.message, message) != 0)
            fail_msg("wanted %d %s, got %d %s", code, message, r, err.message);
    }
}

static void test_misplaced_pictures(void **state)
{
    (void) state;
    static const char *const names[] = { "images", NULL };
    const struct hs_body_spec list = { .list = names, .list_member = "image", .list_max = 3, .bytes_max = 1000 };
    const struct hs_body_spec none = { .bytes_max = 1000 };
    const char *two_wanted = "This route takes 'image' and 'mask'; send them as a form or as JSON, not as one picture",
               *list_wanted = "images: this route takes several pictures; send them as a form or as JSON";
    expect_one_error(HS_BODY_FORM_OR_JSON, &spec, "image/jpeg", "", HS_EINVAL, two_wanted);
    expect_one_error(HS_BODY_FORM_OR_JSON, &list, "image/jpeg", "", HS_EINVAL, list_wanted);
    expect_one_error(HS_BODY_FORM_OR_JSON, &none, "image/jpeg", "", HS_EUNSUPPORTED,
                     "Content-Type must be application/json or multipart/form-data");
    expect_one_error(HS_BODY_FORM_OR_JSON, &one, NULL, "", HS_EUNSUPPORTED,
                     "Content-Type must be application/json or multipart/form-data, or image/jpeg and the like for a "
                     "picture as it is");
    expect_one_error(HS_BODY_FORM_ELSE_JSON, &one, NULL, "\xff\xd8\xff\xe0 more", HS_EINVAL,
                     "The body is a JPEG picture: send it as a form, `-F image=@FILE`, or with Content-Type: "
                     "image/jpeg");
    expect_one_error(HS_BODY_FORM_ELSE_JSON, &one, "text/plain", "\x89PNG\r\n", HS_EINVAL,
                     "The body is a PNG picture: send it as a form, `-F image=@FILE`, or with Content-Type: image/png");
    expect_one_error(HS_BODY_FORM_OR_JSON, &one, "application/json", "RIFF....WEBP", HS_EINVAL,
                     "The body is a WebP picture: send it as a form, `-F image=@FILE`, or with Content-Type: "
                     "image/webp");
    expect_one_error(HS_BODY_FORM_ELSE_JSON, &list, NULL, "\xff\xd8\xff\xe0", HS_EINVAL, list_wanted);
    expect_one_error(HS_BODY_FORM_ELSE_JSON, &spec, "text/plain", "BM..", HS_EINVAL, two_wanted);
    static const char *const others[] = { "multipart/mixed; boundary=XX", "multipart/related; boundary=XX",
                                          "Multipart/Mixed" };
    for (size_t i = 0; i < 3; i++)
        expect_one_error(HS_BODY_FORM_ELSE_JSON, &one, others[i], "--XX\r\n\r\n--XX--", HS_EUNSUPPORTED,
                         "Content-Type must be application/json or multipart/form-data, or image/jpeg and the like for "
                         "a picture as it is");
}

/* ---- Unused fields ---- */

static void expect_unused(const char *type, const char *data, size_t count, const char *first)
{
    static const struct hs_field text = { .name = "text" }, absent = { .name = "absent" };
    static const struct hs_field *const fields[] = { &text, &absent, NULL };
    const struct hs_body_spec only = { .files = one_file, .fields = fields, .bytes_max = 10000 };
    struct hs_body *body;
    struct hs_error err;
    char names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE];
    assert_int_equal(parse(type, &only, data, strlen(data), 3, &body, &err), 0);
    hs_body_text(body, "text");
    hs_body_has(body, "absent");
    assert_int_equal(hs_body_unused(body, names), count);
    if (count)
        assert_string_equal(names[0], first);
    hs_body_destroy(body);
}

static void test_unused(void **state)
{
    (void) state;
    expect_unused(NULL, "{\"image\": \"Zm9v\", \"text\": \"a\", \"absent\": null}", 0, NULL);
    expect_unused(NULL, "{\"image\": \"Zm9v\", \"conf\": 0.5, \"x\": [], \"conf\": 1}", 2, "conf");
    expect_unused(NULL, "{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1}", 8, "a");
    /* Truncated inside a character. */
    expect_unused(NULL, "{\"012345678901234567890123456789012345678901234567890123456789ab\xc3\xbc\": 1}", 1,
                  "012345678901234567890123456789012345678901234567890123456789ab?");
    expect_unused(form_type,
                  "--XX\r\nContent-Disposition: form-data; name=conf\r\n\r\n1\r\n"
                  "--XX\r\nContent-Disposition: form-data; name=text\r\n\r\n1\r\n"
                  "--XX\r\nContent-Disposition: form-data; name=conf\r\n\r\n2\r\n--XX--",
                  1, "conf");
}

static void test_budget(void **state)
{
    (void) state;
    struct hs_budget budget;
    hs_budget_init(&budget, 300000);
    struct hs_body *a, *b;
    struct hs_error err;
    char *part = repeat("--XX\r\nContent-Disposition: form-data; name=image\r\n\r\n", "x", 200000, "");
    assert_int_equal(hs_body_create(HS_BODY_FORM_ELSE_JSON, form_type, &spec, &budget, &a, &err), 0);
    assert_int_equal(hs_body_create(HS_BODY_FORM_ELSE_JSON, form_type, &spec, &budget, &b, &err), 0);
    assert_int_equal(hs_body_feed(a, part, strlen(part), &err), 0);
    assert_in_range(hs_budget_used(&budget, NULL), 200000, 300000);
    assert_int_equal(hs_body_feed(b, part, strlen(part), &err), HS_EBUSY);
    hs_body_destroy(a);
    hs_body_destroy(b);
    assert_int_equal(hs_budget_used(&budget, NULL), 0);
    free(part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curl),
        cmocka_unit_test(test_aiohttp),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_form_variants),
        cmocka_unit_test(test_form_binary),
        cmocka_unit_test(test_form_errors),
        cmocka_unit_test(test_form_limits),
        cmocka_unit_test(test_kept_texts),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_file_errors),
        cmocka_unit_test(test_json_errors),
        cmocka_unit_test(test_json_limits),
        cmocka_unit_test(test_any_json),
        cmocka_unit_test(test_content_types),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_list_form),
        cmocka_unit_test(test_part_encodings),
        cmocka_unit_test(test_charsets),
        cmocka_unit_test(test_part_names),
        cmocka_unit_test(test_one_picture),
        cmocka_unit_test(test_octets_that_are_json),
        cmocka_unit_test(test_misplaced_pictures),
        cmocka_unit_test(test_unused),
        cmocka_unit_test(test_list_json),
        cmocka_unit_test(test_list_bounds),
    };
    return HS_RUN_TESTS(tests);
}
