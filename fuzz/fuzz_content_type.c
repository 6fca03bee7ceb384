/* The first line is a Content-Type. If it specifies a boundary, a form that is built with it returns its
 * content. The rest of the input is parsed as a body under all rules. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/body.h"
#include "http/multipart.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    struct hs_buf content;
    int parts, ended;
    char name[16];
};

static int begin(void *ctx, const struct hs_multipart_part *part, struct hs_error *err)
{
    struct seen *seen = ctx;
    (void) err;
    seen->parts++;
    if (strlen(part->name) < sizeof(seen->name))
        memcpy(seen->name, part->name, strlen(part->name) + 1);
    return 0;
}

static int add(void *ctx, const uint8_t *data, size_t len, struct hs_error *err)
{
    (void) err;
    return hs_buf_append(&((struct seen *) ctx)->content, data, len);
}

static int end(void *ctx, struct hs_error *err)
{
    (void) err;
    ((struct seen *) ctx)->ended++;
    return 0;
}

static const struct hs_multipart_events events = { begin, add, end };

static void check_form(const char *type, const uint8_t *content, size_t len)
{
    static const char head[] = "\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n";
    struct hs_multipart parser;
    struct seen seen = { 0 };
    struct hs_error err;
    int r = hs_multipart_init(&parser, type, 4, 4096, &events, &seen, &err);
    if (r < 0) {
        if (r != HS_EINVAL || err.code != r)
            abort();
        return;
    }
    const char *mark = parser.delimiter;
    size_t mark_len = parser.delimiter_len;
    if (mark_len < 5 || mark_len != strlen(mark) || mark_len > 4 + HS_MULTIPART_BOUNDARY_MAX)
        abort();
    hs_buf_init(&seen.content, len);
    if (!memmem(content, len, mark + 2, mark_len - 2)) {
        const struct {
            const void *data;
            size_t len;
        } pieces[] = {
            { mark + 2, mark_len - 2 }, { head, strlen(head) }, { content, len }, { mark, mark_len }, { "--\r\n", 4 }
        };
        for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
            if (hs_multipart_feed(&parser, pieces[i].data, pieces[i].len, NULL) < 0)
                abort();
        if (hs_multipart_end(&parser, NULL) < 0 || seen.parts != 1 || seen.ended != 1 || strcmp(seen.name, "a") != 0 ||
            seen.content.len != len || (len && memcmp(seen.content.data, content, len) != 0))
            abort();
    }
    hs_buf_finish(&seen.content);
    hs_multipart_finish(&parser);
}

static void check_body(enum hs_body_rule rule, const char *type, const uint8_t *data, size_t len)
{
    static const char *const files[] = { "image", NULL };
    const struct hs_body_spec spec = { .files = files, .bytes_max = 1 << 20 };
    struct hs_body *body;
    struct hs_error err;
    int r = hs_body_create(rule, type, &spec, NULL, &body, &err);
    if (r < 0) {
        bool other_form = strncasecmp(type, "multipart/", 10) == 0;
        if (err.code != r || (r != HS_EINVAL && r != HS_EUNSUPPORTED) ||
            (r == HS_EUNSUPPORTED && rule == HS_BODY_FORM_ELSE_JSON && !other_form))
            abort();
        return;
    }
    r = hs_body_feed(body, data, len, &err);
    if (r == 0)
        r = hs_body_end(body, &err);
    if (r < 0 && (err.code != r || !err.message[0]))
        abort();
    hs_body_destroy(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *newline = len ? memchr(data, '\n', len) : NULL;
    char *type = newline ? hs_fuzz_text(data, (size_t) (newline - data)) : NULL;
    if (!type)
        return 0;
    const uint8_t *content = newline + 1;
    size_t content_len = len - (size_t) (content - data);
    check_form(type, content, content_len);
    for (int rule = HS_BODY_FORM_ELSE_JSON; rule <= HS_BODY_JSON; rule++)
        check_body((enum hs_body_rule) rule, type, content, content_len);
    free(type);
    return 0;
}
