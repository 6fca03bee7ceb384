#include "service/response.h"

#include "service/app.h"

static struct hs_http_options options_of(const struct hs_http_request *req)
{
    const struct hs_app_core *core = hs_http_context(req);
    struct hs_http_options options;
    hs_http_options_init(&options);
    if (core->app->configure_http)
        core->app->configure_http(core, &options);
    return options;
}

enum hs_json_style hs_response_style(const struct hs_http_request *req)
{
    return options_of(req).json_style == HS_JSON_SPACED ? HS_JSON_SPACED : HS_JSON_SORTED;
}

void hs_response_send(struct hs_http_request *req, struct hs_buf *text)
{
    size_t len;
    uint8_t *data = hs_buf_take(text, &len);
    hs_http_reply_bytes(req, 200, options_of(req).json_content_type, data, len);
}

int hs_response_failed(int code, struct hs_error *err)
{
    if (code == HS_ETOOLARGE)
        return hs_error_set(err, code,
                            "the answer would be larger than %d bytes: ask for fewer detections or fewer pictures",
                            HS_RESPONSE_MAX);
    return hs_error_set(err, code, "no memory for the answer");
}
