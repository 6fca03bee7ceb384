#include "service/route_docs.h"

#include "base/mem.h"
#include "hs/status.h"
#include "http/request.h"

const struct hs_field *const hs_headers_timeout[] = { &hs_field_timeout_header, NULL };

/* ---- shared objects ---- */

static const struct hs_member warning_members[] = {
    { .name = "code", .help = "The kind of warning, such as `unknown_field`" },
    { .name = "message", .help = "The warning in words" },
    { .name = "field", .flags = HS_MEMBER_OPTIONAL, .help = "The field of the request that caused it" },
    { .name = "measure", .flags = HS_MEMBER_OPTIONAL, .help = "Of an enrolment: the measured quantity" },
    { .name = "value", .type = HS_MEMBER_NUMBER, .flags = HS_MEMBER_OPTIONAL, .help = "Of an enrolment: its value" },
    { .name = "limit", .type = HS_MEMBER_NUMBER, .flags = HS_MEMBER_OPTIONAL, .help = "Of an enrolment: its limit" },
    { .name = "identity",
      .flags = HS_MEMBER_OPTIONAL,
      .help = "Of an enrolment: the identity that the face resembles" },
};
const struct hs_object_doc hs_object_warning = {
    .name = "Warning",
    .help = "A remark on a request that succeeded",
    HS_MEMBERS(warning_members),
};

static const struct hs_member device_members[] = {
    { .name = "name", .help = "The device" },
    { .name = "runtime", .help = "Name and version of its runtime" },
    { .name = "ok", .type = HS_MEMBER_BOOLEAN, .help = "False if it reports a fault" },
    { .name = "firmware", .flags = HS_MEMBER_OPTIONAL, .help = "Version of the firmware" },
    { .name = "temperature_c",
      .type = HS_MEMBER_NUMBER,
      .flags = HS_MEMBER_OPTIONAL,
      .help = "Temperature in degrees Celsius" },
    { .name = "note", .flags = HS_MEMBER_OPTIONAL, .help = "Its remark about its health" },
};
const struct hs_object_doc hs_object_device = {
    .name = "Device",
    .help = "The health of an accelerator",
    HS_MEMBERS(device_members),
};

static const struct hs_member status_members[] = { { .name = "status", .help = "As with a key" } };
const struct hs_object_doc hs_object_health_status = {
    .name = "HealthStatus",
    .help = "The state of the service, for a client without an API key",
    HS_MEMBERS(status_members),
};

static const struct hs_member count_members[] = {
    { .name = "count", .type = HS_MEMBER_INTEGER, .help = "The number of pictures" },
    { .name = "failed", .type = HS_MEMBER_INTEGER, .help = "How many of them have an `error`" },
    HS_WARNINGS_MEMBER,
};
const struct hs_object_doc hs_object_batch_counts = {
    .name = "BatchCounts",
    .help = "The last line of a batch",
    HS_MEMBERS(count_members),
};

/* ---- errors ---- */

static const char *const error_types[] = { "invalid_request_error", "timeout", "internal_error", NULL };
static const struct hs_member error_members[] = {
    { .name = "message", .help = "The error in one line" },
    { .name = "type", .values = error_types, .help = "`timeout` for 504, `internal_error` for other 5xx" },
    { .name = "code", .flags = HS_MEMBER_OPTIONAL, .help = "The kind of error, such as `invalid_argument`" },
    { .name = "field", .flags = HS_MEMBER_OPTIONAL, .help = "The field of the request that caused it" },
};
static const struct hs_object_doc error_detail = {
    .name = "ErrorDetail",
    .help = "The error",
    HS_MEMBERS(error_members),
};
static const struct hs_member error_object_members[] = {
    { .name = "error", .type = HS_MEMBER_OBJECT, .object = &error_detail, .help = "The error" },
};
const struct hs_object_doc hs_object_error = {
    .name = "Error",
    .help = "The response to a request that failed",
    HS_MEMBERS(error_object_members),
};

static const struct hs_member error_text_members[] = {
    { .name = "error", .help = "The error in one line" },
    { .name = "detail", .flags = HS_MEMBER_OPTIONAL, .help = "The reason, if `error` is a fixed text" },
};
const struct hs_object_doc hs_object_error_text = {
    .name = "Error",
    .help = "The response to a request that failed",
    HS_MEMBERS(error_text_members),
};

static const struct hs_member problem_members[] = {
    { .name = "type", .help = "Always `about:blank`; `code` names the kind of error" },
    { .name = "title", .help = "The phrase of the status" },
    { .name = "status", .type = HS_MEMBER_INTEGER, .help = "The status" },
    { .name = "detail", .help = "The error in one line" },
    { .name = "instance", .help = "The id of the request, as in `X-Request-Id`" },
    { .name = "code", .help = "The kind of error, such as `invalid_argument`" },
    { .name = "field", .flags = HS_MEMBER_OPTIONAL, .help = "The field of the request that caused it" },
};
const struct hs_object_doc hs_object_problem = {
    .name = "Problem",
    .help = "An error as in RFC 9457, for clients whose `Accept` prefers `application/problem+json`",
    HS_MEMBERS(problem_members),
};

/* ---- probes ---- */

static const struct hs_response_doc openapi_responses[] = {
    { .status = 200, .help = "An OpenAPI 3.1 document. The command `openapi` of the program prints the same" },
};
const struct hs_route_doc hs_route_doc_openapi = {
    .id = "get_openapi",
    .tag = "service",
    .summary = "Describe the API",
    HS_RESPONSES(openapi_responses),
};

static const char *const ready_reasons[] = {
    "model_loading", "model_failed", "gallery_loading", "gallery_failed", NULL,
};
static const struct hs_member ready_members[] = {
    { .name = "ready", .type = HS_MEMBER_BOOLEAN, .help = "True if the service can process pictures" },
    { .name = "reason",
      .flags = HS_MEMBER_OPTIONAL,
      .values = ready_reasons,
      .help = "Why it cannot: a model or the gallery is being loaded, or cannot be used" },
    { .name = "detail", .flags = HS_MEMBER_OPTIONAL, .help = "The reason in words" },
};
static const struct hs_object_doc ready_object = {
    .name = "Ready",
    .help = "The readiness of the service",
    HS_MEMBERS(ready_members),
};
static const struct hs_response_doc ready_responses[] = {
    { .status = 200,
      .object = &ready_object,
      .help = "Ready; also if the model was unloaded because it was not used: the next request loads it" },
    { .status = 503, .object = &ready_object, .help = "Not ready, with `reason`" },
};
const struct hs_route_doc hs_route_doc_ready = {
    .id = "get_ready",
    .tag = "service",
    .summary = "Check that the service is ready",
    HS_RESPONSES(ready_responses),
};

static const struct hs_response_doc metrics_responses[] = {
    { .status = 200, .type = "text/plain", .help = "Metrics in the text format of Prometheus" },
    { .status = 200, .type = "application/openmetrics-text", .help = "Metrics in OpenMetrics" },
};
const struct hs_route_doc hs_route_doc_metrics = {
    .id = "get_metrics",
    .tag = "service",
    .summary = "Collect metrics",
    HS_RESPONSES(metrics_responses),
};

/* ---- models ---- */

static const char *const model_states[] = {
    "idle", "loading", "ready", "unloading", "failed", "pulling", "absent", NULL,
};
static const char *const model_tasks[] = { "pose-estimation", "face-detection", "face-embedding", NULL };
static const char *const model_objects[] = { "model", NULL }, *const list_objects[] = { "list", NULL };

static const struct hs_member model_members[] = {
    { .name = "id", .help = "The name for the field `model`" },
    { .name = "object", .values = model_objects, .help = "Always `model`" },
    { .name = "created", .type = HS_MEMBER_INTEGER, .help = "The start of the service, in seconds since 1970" },
    { .name = "owned_by", .help = "Always `hailo`" },
    { .name = "task", .values = model_tasks, .help = "The task of the model" },
    { .name = "state",
      .values = model_states,
      .help = "`idle`: not loaded; `absent`: has no file here; `pulling`: being downloaded" },
};
static const struct hs_object_doc model_object = {
    .name = "Model",
    .help = "A model that the service can use",
    HS_MEMBERS(model_members),
};
static const struct hs_member models_members[] = {
    { .name = "data",
      .type = HS_MEMBER_OBJECT,
      .flags = HS_MEMBER_ARRAY,
      .object = &model_object,
      .help = "The configured models, then the others" },
    { .name = "object", .values = list_objects, .help = "Always `list`" },
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc models_object = {
    .name = "Models",
    .help = "The models of the service",
    HS_MEMBERS(models_members),
};
const struct hs_field hs_field_all_models = {
    .name = "all",
    .type = HS_FIELD_BOOLEAN,
    .default_val = "false",
    .help = "Also list models that have no file here (`absent`)",
};
static const struct hs_field *const models_query[] = { &hs_field_all_models, NULL };
static const struct hs_response_doc models_responses[] = {
    { .status = 200, .object = &models_object, .help = "The models" },
};
static const int no_errors[] = { HS_EINVAL, 0 };
const struct hs_route_doc hs_route_doc_models = {
    .id = "list_models",
    .tag = "models",
    .summary = "List the models and their states",
    .query = models_query,
    HS_RESPONSES(models_responses),
    .errors = no_errors,
};

static const struct hs_field model_id = {
    .name = "id",
    .type = HS_FIELD_TEXT,
    .flags = HS_FIELD_REQUIRED,
    .help = "A name from `/v1/models`",
};
static const struct hs_field *const model_path[] = { &model_id, NULL };

static const struct hs_member load_members[] = {
    { .name = "id", .help = "The model" },
    { .name = "state", .values = model_states, .help = "Its state" },
    { .name = "device", .help = "The device that it runs on" },
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc load_object = {
    .name = "LoadedModel",
    .help = "A model that was loaded",
    HS_MEMBERS(load_members),
};
static const struct hs_response_doc load_responses[] = {
    { .status = 200, .object = &load_object, .help = "The model is loaded" },
};
static const int load_errors[] = { HS_EFORBIDDEN, HS_ENOTFOUND, HS_EMODEL, HS_EDEVICE, HS_EVERSION, HS_ENODEVICE, 0 };
const struct hs_route_doc hs_route_doc_load = {
    .id = "load_model",
    .tag = "models",
    .summary = "Load a model",
    .help = "Waits until the model is loaded; also if it is being loaded already",
    .path = model_path,
    HS_RESPONSES(load_responses),
    .errors = load_errors,
};

static const struct hs_member unload_members[] = {
    { .name = "id", .help = "The model" },
    { .name = "state",
      .values = model_states,
      .help = "Its state; the model is freed when no request uses it, so this may still be `ready`" },
    { .name = "was_loaded", .type = HS_MEMBER_BOOLEAN, .help = "False if there was nothing to unload" },
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc unload_object = {
    .name = "UnloadedModel",
    .help = "A model that is being unloaded",
    HS_MEMBERS(unload_members),
};
static const struct hs_response_doc unload_responses[] = {
    { .status = 200, .object = &unload_object, .help = "The model is unloaded when no request uses it" },
};
static const int unload_errors[] = { HS_EFORBIDDEN, HS_ENOTFOUND, 0 };
const struct hs_route_doc hs_route_doc_unload = {
    .id = "unload_model",
    .tag = "models",
    .summary = "Free the memory of a model",
    .path = model_path,
    HS_RESPONSES(unload_responses),
    .errors = unload_errors,
};

static const struct hs_member pull_members[] = {
    { .name = "model", .help = "The model" },
    { .name = "file", .help = "Its file" },
    { .name = "backend", .help = "The backend that uses the file: `hailo` or `openvino`" },
    { .name = "size", .type = HS_MEMBER_INTEGER, .help = "Bytes of the file" },
    { .name = "sha256", .help = "Checksum of the file" },
    { .name = "already", .type = HS_MEMBER_BOOLEAN, .help = "True if the file was there before" },
    { .name = "recorded",
      .type = HS_MEMBER_BOOLEAN,
      .help = "True if no checksum is published and the one of this file was stored" },
    HS_WARNINGS_MEMBER,
};
static const struct hs_object_doc pull_object = {
    .name = "PulledModel",
    .help = "A model whose file is here",
    HS_MEMBERS(pull_members),
};
static const struct hs_response_doc pull_responses[] = {
    { .status = 200, .object = &pull_object, .help = "The file is complete" },
    { .status = 200,
      .type = "text/event-stream",
      .help = "Server-sent events: `progress` with `file`, `bytes` and `total`, then `done` with the JSON response, or "
              "`error` with an error" },
};
static const int pull_errors[] = { HS_EFORBIDDEN, HS_ENOTFOUND, HS_ECONFLICT, HS_EIO, 0 };
const struct hs_route_doc hs_route_doc_pull = {
    .id = "pull_model",
    .tag = "models",
    .summary = "Download a model",
    .help = "Fetches the file for the device of the service, or else the one for the processor. Allowed only if "
            "`model.allow_pull` is true. Only one pull runs at a time",
    .path = model_path,
    HS_RESPONSES(pull_responses),
    .errors = pull_errors,
};
