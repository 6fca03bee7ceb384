/* Alternatives that were rejected: a document written by hand, which drifts from the program; annotations in comments,
 * which a generator would have to parse; and a schema language from which parsers are generated, which would be a
 * second mechanism beside the tables that the parsers read already. */
#include "service/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/json_build.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/request.h"
#include "http/route.h"
#include "service/app_routes.h"
#include "service/keys.h"
#include "service/route_docs.h"

enum { PAGE_MAX = 4 << 20, STATUSES_MAX = 32, NAME_SIZE = 64, HELP_SIZE = 1024 };

/* Media types of a picture that is the whole body. */
static const char *const picture_types[] = { "image/jpeg", "image/png", "image/webp", "image/bmp",
                                             "application/octet-stream" };

/* Names of components/securitySchemes. */
static const char *const key_schemes[] = { "bearer", "api_key" };

struct writer {
    const struct hs_app *app;
    bool keys; /* API keys are needed */
    struct hs_openapi_defaults defaults;
    json_t *schemas; /* components/schemas; NULL after memory ran out */
};

static bool takes_one_picture(const struct hs_http_route *route)
{
    return route->spec.files && route->spec.files[0] && !route->spec.files[1];
}

/* ---- requests ---- */

/* Writes "detect_people" as "DetectPeople", followed by `suffix`. */
static void schema_name(const char *id, const char *suffix, char dst[NAME_SIZE])
{
    size_t n = 0;
    bool upper = true;
    for (; *id && n + 1 < NAME_SIZE; id++) {
        if (*id != '_')
            dst[n++] = (char) (upper ? toupper((unsigned char) *id) : *id);
        upper = *id == '_';
    }
    hs_str_copy(dst + n, NAME_SIZE - n, suffix);
}

/* Adds a list unless it is empty. Takes both. */
static json_t *with_list(json_t *object, const char *key, json_t *list)
{
    if (!list || json_array_size(list) > 0)
        return hs_json_with_member(object, key, list);
    json_decref(list);
    return object;
}

/* Adds the schema of a body to the components, and returns {"schema": {"$ref": …}}. */
static json_t *body_content(struct writer *w, const struct hs_http_route *route, enum hs_openapi_place place)
{
    char name[NAME_SIZE];
    json_t *properties = json_object(), *required = json_array(), *one_of = json_array();
    for (const struct hs_field *const *field = route->spec.fields; field && *field; field++) {
        properties = hs_json_with_member(properties, (*field)->name, hs_openapi_field(*field, place, &w->defaults));
        if ((*field)->flags & HS_FIELD_REQUIRED)
            required = hs_json_with_item(required, json_string((*field)->name));
        if ((*field)->flags & HS_FIELD_ONE_OF)
            one_of = hs_json_with_item(one_of, json_pack("{s:[s]}", "required", (*field)->name));
    }
    json_t *schema = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
    schema = with_list(with_list(schema, "required", required), "anyOf", one_of);
    schema_name(route->doc->id, place == HS_OPENAPI_JSON ? "Json" : "Form", name);
    w->schemas = hs_json_with_member(w->schemas, name, schema);
    const struct hs_object_doc reference = { .name = name };
    return json_pack("{s:o}", "schema", hs_openapi_ref(&reference));
}

static json_t *request_body(struct writer *w, const struct hs_http_route *route)
{
    json_t *content = json_pack("{s:o, s:o}", "multipart/form-data", body_content(w, route, HS_OPENAPI_FORM),
                                "application/json", body_content(w, route, HS_OPENAPI_JSON));
    for (size_t i = 0; takes_one_picture(route) && i < HS_ARRAY_LEN(picture_types); i++)
        content = hs_json_with_member(content, picture_types[i],
                                      json_pack("{s:{s:s, s:s}}", "schema", "type", "string", "format", "binary"));
    return json_pack("{s:b, s:o}", "required", 1, "content", content);
}

static json_t *parameter(const struct writer *w, const struct hs_field *field, const char *in)
{
    json_t *schema = hs_openapi_field(field, HS_OPENAPI_PARAMETER, &w->defaults);
    json_t *json =
        json_pack("{s:s, s:s, s:b, s:s}", "name", field->name, "in", in, "required",
                  strcmp(in, "path") == 0 || field->flags & HS_FIELD_REQUIRED ? 1 : 0, "description", field->help);
    json_object_del(schema, "description");
    return hs_json_with_member(json, "schema", schema);
}

static json_t *add_parameters(json_t *list, const struct writer *w, const struct hs_field *const *fields,
                              const char *in)
{
    for (; fields && *fields; fields++)
        list = hs_json_with_item(list, parameter(w, *fields, in));
    return list;
}

/* The query has the other fields of a body that is one picture. */
static json_t *add_picture_query(json_t *list, const struct writer *w, const struct hs_http_route *route)
{
    for (const struct hs_field *const *field = route->spec.fields; field && *field; field++) {
        char help[HELP_SIZE];
        struct hs_field argument = **field;
        if (argument.type == HS_FIELD_PICTURE)
            continue;
        hs_str_format(help, sizeof(help), "Only if the body is a picture: %s", argument.help);
        argument.help = help;
        argument.flags &= ~(unsigned) HS_FIELD_REQUIRED;
        list = hs_json_with_item(list, parameter(w, &argument, "query"));
    }
    return list;
}

/* ---- responses ---- */

/* Error statuses with the names of their codes. */
struct errors {
    struct {
        int status;
        char help[HELP_SIZE];
    } items[STATUSES_MAX];
    size_t count;
};

static void add_error(struct errors *errors, int code)
{
    size_t i = 0;
    int status = hs_status_http(code);
    char name[NAME_SIZE];
    while (i < errors->count && errors->items[i].status != status)
        i++;
    if (i == STATUSES_MAX)
        return;
    char *help = errors->items[i].help;
    if (i == errors->count) {
        errors->items[errors->count++].status = status;
        hs_str_copy(help, HELP_SIZE, "Code");
    }
    hs_str_format(name, sizeof(name), " `%s`", hs_status_name(code));
    size_t len = strlen(help);
    if (!strstr(help, name))
        hs_str_format(help + len, HELP_SIZE - len, "%s%s", len > 4 ? "," : "", name);
}

static void add_errors(struct errors *errors, const int *codes)
{
    for (; codes && *codes; codes++)
        add_error(errors, *codes);
}

static int compare_status(const void *a, const void *b)
{
    return *(const int *) a - *(const int *) b;
}

/* Errors that follow from the row of the route, and those that it lists. */
static void collect_errors(const struct hs_http_route *route, struct errors *ret)
{
    static const int all[] = { HS_EINVAL, HS_EINTERNAL, HS_EBUSY, HS_ENOMEM, HS_ETIMEOUT, 0 };
    static const int with_body[] = { HS_ESLOW, HS_ETOOLARGE, HS_EUNSUPPORTED, HS_ENOTREADY, 0 };
    static const int with_keys[] = { HS_EUNAUTHORIZED, HS_EFORBIDDEN, HS_ERATE, 0 };
    ret->count = 0;
    add_errors(ret, all);
    add_errors(ret, route->body == HS_BODY_NONE ? NULL : with_body);
    add_errors(ret, route->flags & HS_HTTP_OPEN ? NULL : with_keys);
    if (route->flags & (HS_HTTP_CHANGES | HS_HTTP_ADMIN))
        add_error(ret, HS_EFORBIDDEN);
    add_errors(ret, route->doc->errors);
    if (route->doc->refusal)
        add_error(ret, HS_EREFUSED);
    qsort(ret->items, ret->count, sizeof(ret->items[0]), compare_status);
}

static json_t *headers(int status)
{
    json_t *json = json_pack("{s:{s:s}}", "X-Request-Id", "$ref", "#/components/headers/X-Request-Id");
    return status == 429 || status == 503
               ? hs_json_with_member(json, "Retry-After",
                                     json_pack("{s:s}", "$ref", "#/components/headers/Retry-After"))
               : json;
}

static json_t *content(struct writer *w, const struct hs_object_doc *object)
{
    w->schemas = hs_openapi_add_object(w->schemas, object);
    return json_pack("{s:o}", "schema", hs_openapi_ref(object));
}

static json_t *response(const char *help, int status)
{
    return json_pack("{s:s, s:o, s:{}}", "description", help, "headers", headers(status), "content");
}

/* Allows another object as the JSON of a response. Returns false if memory is short. */
static bool add_alternative(json_t *bodies, const struct hs_object_doc *object)
{
    json_t *before = json_incref(json_object_get(json_object_get(bodies, "application/json"), "schema"));
    json_t *both = hs_json_with_item(hs_json_with_item(json_array(), before), hs_openapi_ref(object));
    return json_object_set_new(bodies, "application/json", json_pack("{s:{s:o}}", "schema", "anyOf", both)) == 0;
}

/* Returns the responses, or NULL after freeing them if `done` is false. */
static json_t *only_if(bool done, json_t *responses)
{
    if (done)
        return responses;
    json_decref(responses);
    return NULL;
}

static json_t *body_of(struct writer *w, const struct hs_response_doc *doc)
{
    if (!doc->type && doc->object)
        return content(w, doc->object);
    if (doc->type && strncmp(doc->type, "image/", 6) == 0)
        return json_object();
    return json_pack("{s:{s:s}}", "schema", "type", doc->type ? "string" : "object");
}

/* Adds a body to the response of a status, with the help of all bodies. */
static json_t *add_response(struct writer *w, json_t *responses, const struct hs_response_doc *doc)
{
    char status[16], help[2 * HELP_SIZE];
    bool done = true;
    hs_str_format(status, sizeof(status), "%d", doc->status);
    json_t *json = json_object_get(responses, status);
    if (json) {
        hs_str_format(help, sizeof(help), "%s. %s", json_string_value(json_object_get(json, "description")), doc->help);
        done = json_object_set_new(json, "description", json_string(help)) == 0;
    } else {
        responses = hs_json_with_member(responses, status, response(doc->help, doc->status));
        json = json_object_get(responses, status);
    }
    json_t *bodies = json_object_get(json, "content");
    if (!doc->type && doc->object && json_object_get(bodies, "application/json")) {
        w->schemas = hs_openapi_add_object(w->schemas, doc->object);
        return only_if(done && add_alternative(bodies, doc->object), responses);
    }
    const char *type = doc->type ? doc->type : "application/json";
    return only_if(json_object_set_new(bodies, type, body_of(w, doc)) == 0 && done, responses);
}

static json_t *error_response(struct writer *w, const struct hs_route_doc *doc, int status, const char *help)
{
    const struct hs_object_doc *object = status == 422 && doc->refusal ? doc->refusal : w->app->error_object;
    json_t *json = response(help, status), *bodies = json_object_get(json, "content");
    if (json_object_set_new(bodies, "application/json", content(w, object)) == 0 &&
        json_object_set_new(bodies, "application/problem+json", content(w, &hs_object_problem)) == 0)
        return json;
    json_decref(json);
    return NULL;
}

static json_t *links(const struct hs_route_doc *doc)
{
    json_t *json = json_object();
    for (size_t i = 0; i < doc->link_count; i++) {
        const struct hs_link_doc *link = &doc->links[i];
        char expression[NAME_SIZE];
        hs_str_format(expression, sizeof(expression), "$response.body#%s", link->member);
        json_t *parameters = json_pack("{s:s}", link->parameter, expression);
        if (link->parameter2) {
            hs_str_format(expression, sizeof(expression), "$response.body#%s", link->member2);
            parameters = hs_json_with_member(parameters, link->parameter2, json_string(expression));
        }
        json = hs_json_with_member(json, link->id,
                                   json_pack("{s:s, s:o}", "operationId", link->id, "parameters", parameters));
    }
    return json;
}

static json_t *responses_json(struct writer *w, const struct hs_http_route *route)
{
    struct errors errors;
    char status[16];
    json_t *responses = json_object();
    for (size_t i = 0; i < route->doc->response_count; i++)
        responses = add_response(w, responses, &route->doc->responses[i]);
    collect_errors(route, &errors);
    for (size_t i = 0; i < errors.count; i++) {
        hs_str_format(status, sizeof(status), "%d", errors.items[i].status);
        json_t *own = json_object_get(responses, status); /* /health/ready: its own 503, or an error */
        responses =
            own ? only_if(add_alternative(json_object_get(own, "content"), w->app->error_object), responses)
                : hs_json_with_member(responses, status,
                                      error_response(w, route->doc, errors.items[i].status, errors.items[i].help));
    }
    if (route->doc->link_count == 0)
        return responses;
    return only_if(json_object_set_new(json_object_get(responses, "200"), "links", links(route->doc)) == 0, responses);
}

/* ---- routes ---- */

/* Scopes are roles of a key, which OpenAPI 3.1 allows for all kinds of schemes. The empty alternative: no key is
 * needed. */
static json_t *security(const struct writer *w, const struct hs_http_route *route)
{
    const char *scope = hs_scope_name(route->scope);
    json_t *list = json_array();
    if (route->flags & HS_HTTP_OPEN)
        return list;
    for (size_t i = 0; i < HS_ARRAY_LEN(key_schemes); i++) {
        json_t *scopes = scope[0] ? json_pack("[s]", scope) : json_array();
        list = hs_json_with_item(list, json_pack("{s:o}", key_schemes[i], scopes));
    }
    return w->keys ? list : hs_json_with_item(list, json_object());
}

static json_t *description_of(const struct hs_http_route *route)
{
    char text[2 * HELP_SIZE];
    const char *help = route->doc->help, *scope = hs_scope_name(route->scope);
    hs_str_format(text, sizeof(text), "%s%s%s%s%s", help ? help : "", help && scope[0] ? ".\n\n" : "",
                  scope[0] ? "Scope of an API key: `" : "", scope, scope[0] ? "`" : "");
    return text[0] ? json_string(text) : NULL;
}

static json_t *operation(struct writer *w, const struct hs_http_route *route)
{
    const struct hs_route_doc *doc = route->doc;
    json_t *parameters = add_parameters(json_array(), w, doc->path, "path");
    parameters = add_parameters(parameters, w, doc->query, "query");
    if (takes_one_picture(route))
        parameters = add_picture_query(parameters, w, route);
    parameters = add_parameters(parameters, w, doc->headers, "header");
    json_t *json = json_pack("{s:s, s:s, s:[s]}", "operationId", doc->id, "summary", doc->summary, "tags", doc->tag);
    if (doc->help || route->scope != HS_SCOPE_NONE)
        json = hs_json_with_member(json, "description", description_of(route));
    json = with_list(json, "parameters", parameters);
    if (route->body != HS_BODY_NONE)
        json = hs_json_with_member(json, "requestBody", request_body(w, route));
    json = hs_json_with_member(json, "responses", responses_json(w, route));
    return hs_json_with_member(json, "security", security(w, route));
}

static json_t *paths(struct writer *w)
{
    json_t *paths = json_object();
    for (size_t i = 0; i < *w->app->route_count; i++) {
        const struct hs_http_route *route = &w->app->routes[i];
        char method[16];
        if (!route->doc)
            continue;
        if (!json_object_get(paths, route->path))
            paths = hs_json_with_member(paths, route->path, json_object());
        hs_str_copy(method, sizeof(method), route->method);
        for (char *c = method; *c; c++)
            *c = (char) tolower((unsigned char) *c);
        json_t *path = json_object_get(paths, route->path);
        if (json_object_set_new(path, method, operation(w, route)) < 0) {
            json_decref(paths);
            return NULL;
        }
    }
    return paths;
}

/* ---- the document ---- */

static const char description[] =
    "Every response has the header `X-Request-Id`. Numbers and booleans may be sent as text, and `null` selects the "
    "default. Unknown fields of a body or a query are ignored, and named in `warnings` of the response. In JSON, a "
    "picture is base64, plain or as a data URI.\n\n"
    "Errors are `Error` objects, or `application/problem+json` (RFC 9457) if `Accept` prefers that. Every route can "
    "also answer 405 `method_not_allowed`, 414 `uri_too_long`, 417 `expectation_failed`, 431 `headers_too_large`, 501 "
    "`not_implemented` and 505 `http_version_not_supported`. GET routes also answer HEAD, and every path answers "
    "OPTIONS.";

static json_t *info(const struct hs_app *app)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s}}", "title", app->program.name, "version", app->program.version,
                     "summary", app->program.summary, "description", description, "license", "name", "MIT",
                     "identifier", "MIT");
}

static json_t *common_headers(void)
{
    return json_pack("{s:{s:s, s:{s:s}}, s:{s:s, s:{s:s}}}", "X-Request-Id", "description",
                     "The id of the request: its own `X-Request-Id`, or a new one", "schema", "type", "string",
                     "Retry-After", "description", "Seconds to wait before the request is sent again", "schema", "type",
                     "integer");
}

static json_t *security_schemes(void)
{
    return json_pack("{s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s, s:s}}", key_schemes[0], "type", "http", "scheme", "bearer",
                     "description", "An API key as `Authorization: Bearer KEY`", key_schemes[1], "type", "apiKey", "in",
                     "header", "name", "X-API-Key", "description", "An API key in a header of its own");
}

static json_t *document(const struct hs_app *app, const struct hs_settings *settings, bool keys)
{
    struct writer w = {
        .app = app,
        .keys = keys,
        .defaults = { app->program.schema, settings },
        .schemas = json_object(),
    };
    json_t *all = paths(&w);
    json_t *components = json_pack("{s:o, s:o, s:o}", "schemas", w.schemas, "headers", common_headers(),
                                   "securitySchemes", security_schemes());
    json_t *json = json_pack("{s:s, s:o, s:o, s:o}", "openapi", "3.1.0", "info", info(app), "paths", all, "components",
                             components);
    const char *prefix = settings ? hs_app_common(settings)->server.path_prefix : "";
    return prefix[0] ? hs_json_with_member(json, "servers", json_pack("[{s:s}]", "url", prefix)) : json;
}

int hs_openapi_write(const struct hs_app *app, const struct hs_settings *settings, bool keys, struct hs_buf *out)
{
    json_t *json = document(app, settings, keys);
    char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(json);
    if (!text)
        return HS_ENOMEM;
    hs_buf_append_str(out, text);
    free(text);
    return hs_buf_append_str(out, "\n");
}

/* ---- routes and command ---- */

void hs_app_get_openapi(struct hs_http_request *req)
{
    const struct hs_app_core *core = hs_http_context(req);
    struct hs_buf page;
    size_t len;
    hs_buf_init(&page, PAGE_MAX);
    if (hs_openapi_write(core->app, core->config, hs_auth_needs_keys(core->auth, NULL), &page) < 0) {
        hs_buf_finish(&page);
        hs_http_reply_error(req, HS_ENOMEM, NULL, "no memory for the description");
        return;
    }
    uint8_t *data = hs_buf_take(&page, &len);
    hs_http_reply_bytes(req, 200, "application/json", data, len);
}

static int run(struct hs_invocation *call)
{
    struct hs_settings *settings = NULL;
    struct hs_buf page;
    bool defaults = false;
    const struct hs_option options[] = {
        HS_FLAG("defaults", &defaults, "ignore the configuration and describe the defaults"),
    };
    int code;
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    code = defaults ? HS_EXIT_OK : hs_app_load_settings(call, NULL, 0, &settings);
    if (code != HS_EXIT_OK)
        return code;
    hs_buf_init(&page, PAGE_MAX);
    int r = hs_openapi_write(call->program->app, settings, settings && hs_keys_are_configured(hs_app_common(settings)),
                             &page);
    if (r == 0)
        fwrite(page.data, 1, page.len, stdout);
    hs_buf_finish(&page);
    hs_settings_destroy(settings);
    return r < 0 ? hs_invocation_fail(call, HS_EXIT_FAILURE, "no memory for the description") : HS_EXIT_OK;
}

static const struct hs_example examples[] = {
    { "openapi", "Print the description of the HTTP API, with the defaults of the configuration" },
    { "openapi --defaults", "The same for a service without a configuration" },
};

const struct hs_command hs_command_openapi = {
    .name = "openapi",
    .arguments = "",
    .summary = "Describe the HTTP API in OpenAPI 3.1",
    .run = run,
    HS_EXAMPLES(examples),
};
