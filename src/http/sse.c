#include "http/sse.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"

enum { EVENT_MAX = 1 << 20 };

struct hs_http_stream *hs_sse_begin(struct hs_http_request *req)
{
    hs_http_add_header(req, "Cache-Control", "no-store");
    hs_http_add_header(req, "X-Accel-Buffering", "no");
    return hs_http_stream_begin(req, 200, "text/event-stream");
}

/* CR, LF and both together end a line. */
static int append_data(struct hs_buf *out, const char *data)
{
    int r = 0;
    for (bool more = true; more && r == 0;) {
        size_t len = strcspn(data, "\r\n");
        r = hs_buf_append_str(out, "data: ");
        if (r == 0)
            r = hs_buf_append(out, data, len);
        if (r == 0)
            r = hs_buf_append_str(out, "\n");
        data += len;
        more = *data != '\0';
        data += data[0] == '\r' && data[1] == '\n' ? 2 : more;
    }
    return r;
}

static int append_field(struct hs_buf *out, const char *name, const char *value)
{
    if (!value)
        return 0;
    return strpbrk(value, "\r\n") ? HS_EINVAL : hs_buf_printf(out, "%s: %s\n", name, value);
}

int hs_sse_send(struct hs_http_stream *stream, const char *event, const char *id, const char *data, int64_t deadline_ns)
{
    struct hs_buf out;
    hs_buf_init(&out, EVENT_MAX);
    int r = append_field(&out, "event", event);
    if (r == 0)
        r = append_field(&out, "id", id);
    if (r == 0)
        r = append_data(&out, data);
    if (r == 0)
        r = hs_buf_append_str(&out, "\n");
    if (r == 0)
        r = hs_http_stream_write(stream, out.data, out.len, deadline_ns);
    hs_buf_finish(&out);
    return r;
}

int hs_sse_keep_alive(struct hs_http_stream *stream, int64_t deadline_ns)
{
    return hs_http_stream_write(stream, ":\n\n", 3, deadline_ns);
}
