/* Lines of method, target and headers, in the form in which the HTTP library passes them. The response is
 * exactly one well-formed response, whatever the client sent. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "http/request.h"
#include "http/request_internal.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { LINES_MAX = 20 };

/* Echoes the target, query, parameter and header of the request. */
static void echo(struct hs_http_request *req)
{
    const char *query = hs_http_query(req, "q"), *header = hs_http_header(req, "X-Test");
    char *target = strdup(req->target);
    if (!target)
        abort();
    hs_str_percent_decode(target, false);
    hs_http_add_header(req, "X-Query", query ? query : "");
    hs_http_add_header(req, "X-Param", hs_http_param(req, 0) ? hs_http_param(req, 0) : "");
    if (header)
        hs_http_add_header(req, header, target);
    hs_http_reply_error(req, HS_EBUSY, "q", "%s", query ? query : target);
    free(target);
}

static const struct hs_http_route routes[] = {
    { .method = "GET", .path = "/", .handle = echo },
    { .method = "GET", .path = "/v1/models", .handle = echo },
    { .method = "POST", .path = "/v1/models", .handle = echo },
    { .method = "GET", .path = "/v1/models/{name}", .handle = echo },
    { .method = "DELETE", .path = "/v1/models/{name}", .handle = echo },
    { .method = "GET", .path = "/v1/models/{name}/files/{id}", .handle = echo },
};

/* Checks the status line, header lines, an empty line, and a JSON body of exactly Content-Length bytes. */
static void check_answer(const struct hs_http_request *req)
{
    const struct hs_http_framing framing = { .has_length = true, .close = true };
    struct hs_buf out;
    hs_buf_init(&out, 1 << 20);
    hs_request_write_head(req, &framing, &out);
    if (hs_buf_append(&out, req->reply.data, req->reply.len) < 0)
        abort();
    const char *text = hs_buf_str(&out), *end = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, "\r\nContent-Length: ");
    if (!hs_str_starts(text, "HTTP/1.1 ") || !end || !length || length > end)
        abort();
    for (const char *p = text; p < end; p++)
        if ((*p == '\r') != (p[1] == '\n') || (*p == '\n' && (p[1] == ' ' || p[1] == '\t')))
            abort();
    size_t len = out.len - (size_t) (end + 4 - text);
    if (strtoull(length + strlen("\r\nContent-Length: "), NULL, 10) != len)
        abort();
    json_t *value = json_loadb(end + 4, len, 0, NULL);
    if (!value)
        abort();
    json_decref(value);
    hs_buf_finish(&out);
}

static void check_route(const char *method, struct hs_http_request *req)
{
    char allow[HS_HTTP_ALLOW_SIZE];
    int r = hs_http_route_find(routes, sizeof(routes) / sizeof(routes[0]), method, req->path, &req->route, req->params,
                               allow);
    if (r < 0) {
        if ((r == HS_EMETHOD) != (allow[0] != '\0') || (r != HS_EMETHOD && r != HS_ENOTFOUND))
            abort();
        hs_http_reply_error(req, r, NULL, "%s is not for %s", req->target, method);
    } else {
        for (size_t i = 0; i < HS_HTTP_PARAMS_MAX; i++)
            if (req->params[i] && !req->params[i][0])
                abort();
        hs_request_run(req);
    }
    check_answer(req);
}

/* Splits text at line feeds and returns the number of lines, at most LINES_MAX. */
static size_t cut(char *text, char *lines[LINES_MAX])
{
    size_t count = 0;
    for (char *next = text; next && count < LINES_MAX; count++) {
        lines[count] = next;
        next = strchr(next, '\n');
        if (next)
            *next++ = '\0';
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = hs_fuzz_text(data, len), *lines[LINES_MAX];
    struct hs_http_pair headers[LINES_MAX];
    size_t count = text ? cut(text, lines) : 0, header_count = 0;
    for (size_t i = 2; i < count; i++) {
        char *colon = strchr(lines[i], ':');
        if (colon)
            *colon++ = '\0';
        headers[header_count++] = (struct hs_http_pair) { lines[i], colon ? colon : "" };
    }
    struct hs_http_options options;
    hs_http_options_init(&options);
    struct hs_http_request *req = count >= 2 ? hs_request_create(&options, NULL, lines[1]) : NULL;
    if (req) {
        if (strlen(req->path) > strlen(lines[1]) || strcmp(req->target, lines[1]) != 0)
            abort();
        if (hs_request_set_headers(req, headers, header_count, NULL) < 0 || !req->id[0])
            abort();
        check_route(lines[0], req);
    }
    hs_request_destroy(req);
    free(text);
    return 0;
}
