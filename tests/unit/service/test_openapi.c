/* The tables that describe both programs: complete, well-formed, and written whole or not at all. */
#include "../unit.h"

#include "../alloc_fail.h"
#include "face/app.h"
#include "pose/app.h"
#include "service/openapi.h"
#include "service/route_docs.h"

static struct hs_app pose = {
    .program = { .name = "hailo-pose", .summary = "People", .version = "1", .schema = &hs_pose_schema },
    .routes = hs_pose_routes,
    .route_count = &hs_pose_route_count,
    .error_object = &hs_object_error,
};
static struct hs_app face = {
    .program = { .name = "hailo-face", .summary = "Faces", .version = "1", .schema = &hs_face_schema },
    .routes = hs_face_routes,
    .route_count = &hs_face_route_count,
    .error_object = &hs_object_error_text,
};
static struct hs_app *const apps[] = { &pose, &face };

static const struct hs_field *find(const struct hs_field *const *fields, const char *name)
{
    while (fields && *fields && strcmp((*fields)->name, name) != 0)
        fields++;
    return fields ? *fields : NULL;
}

/* ---- fields ---- */

static void check_field(const struct hs_schema *schema, const struct hs_field *field)
{
    assert_true(field->name[0] && field->help[0]);
    size_t len = strlen(field->help);
    assert_true(field->help[len - 1] != '.');
    if (field->setting && hs_schema_find(schema, field->setting) < 0)
        fail_msg("%s: no setting %s", field->name, field->setting);
    assert_true(field->min <= field->max || field->max == 0);
    assert_int_equal(field->type == HS_FIELD_CHOICE, field->choices != NULL);
}

/* The bounds of a field are within those of the setting with its default, so that every default is valid. */
static void check_default(const struct hs_schema *schema, const struct hs_field *field)
{
    long index = field->setting ? hs_schema_find(schema, field->setting) : -1;
    const struct hs_setting *row = index < 0 ? NULL : hs_schema_row(schema, (size_t) index, NULL);
    if (row && (field->type == HS_FIELD_NUMBER || field->type == HS_FIELD_INTEGER)) {
        assert_true(row->min >= field->min);
        assert_true(row->max <= field->max);
    }
}

static void check_fields(const struct hs_schema *schema, const struct hs_field *const *fields)
{
    for (; fields && *fields; fields++) {
        check_field(schema, *fields);
        check_default(schema, *fields);
        assert_ptr_equal(find(fields, (*fields)->name), *fields);
        assert_null(find(fields + 1, (*fields)->name));
    }
}

/* Fields that hold pictures are described as such, and no others. */
static void check_pictures(const struct hs_body_spec *spec)
{
    size_t files = 0, described = 0;
    for (; spec->files && spec->files[files]; files++) {
        const struct hs_field *field = find(spec->fields, spec->files[files]);
        assert_non_null(field);
        assert_int_equal(field->type, HS_FIELD_PICTURE);
    }
    for (const struct hs_field *const *field = spec->fields; field && *field; field++)
        described += (*field)->type == HS_FIELD_PICTURE;
    assert_int_equal(described, files);
    if (spec->list)
        assert_int_equal(find(spec->fields, spec->list[0])->type, HS_FIELD_PICTURES);
}

/* ---- routes ---- */

/* Each segment in braces is a parameter, in order. */
static void check_path(const struct hs_http_route *route)
{
    const struct hs_field *const *field = route->doc->path;
    for (const char *at = route->path; (at = strchr(at, '{')); at++) {
        assert_true(field && *field);
        assert_memory_equal(at + 1, (*field)->name, strlen((*field)->name));
        assert_int_equal(at[1 + strlen((*field)->name)], '}');
        field++;
    }
    assert_true(!field || !*field);
}

static void check_responses(const struct hs_route_doc *doc)
{
    assert_true(doc->response_count > 0);
    for (size_t i = 0; i < doc->response_count; i++)
        assert_true(doc->responses[i].help[0] && hs_status_http(0) <= doc->responses[i].status);
    for (const int *code = doc->errors; code && *code; code++)
        assert_true(hs_status_http(*code) >= 400);
}

static void every_route_is_described(void **state)
{
    (void) state;
    for (size_t a = 0; a < HS_ARRAY_LEN(apps); a++) {
        const struct hs_schema *schema = apps[a]->program.schema;
        for (size_t i = 0; i < *apps[a]->route_count; i++) {
            const struct hs_http_route *route = &apps[a]->routes[i];
            if (!route->doc)
                fail_msg("%s %s has no description", route->method, route->path);
            assert_int_equal(route->body == HS_BODY_NONE, route->spec.fields == NULL);
            check_path(route);
            check_pictures(&route->spec);
            check_fields(schema, route->spec.fields);
            check_fields(schema, route->doc->path);
            check_fields(schema, route->doc->query);
            check_fields(schema, route->doc->headers);
            check_responses(route->doc);
            for (size_t k = 0; k < i; k++)
                assert_string_not_equal(apps[a]->routes[k].doc->id, route->doc->id);
        }
    }
}

/* ---- the document ---- */

static char *document(const struct hs_app *app, const struct hs_settings *settings)
{
    struct hs_buf buf;
    size_t len;
    hs_buf_init(&buf, 4 << 20);
    assert_int_equal(hs_openapi_write(app, settings, true, &buf), 0);
    assert_int_equal(hs_buf_append(&buf, "", 1), 0);
    return (char *) hs_buf_take(&buf, &len);
}

/* Follows the names, which end with NULL. */
static const json_t *at(const json_t *json, const char *const *names)
{
    for (; *names; names++) {
        json = json_object_get(json, *names);
        if (!json)
            fail_msg("no member %s", *names);
    }
    return json;
}
#define AT(json, ...) at(json, (const char *const[]) { __VA_ARGS__, NULL })

static void references_lead_to_schemas(const json_t *json, const json_t *components)
{
    static const char schemas[] = "#/components/schemas/";
    const char *key;
    json_t *value;
    size_t i;
    const char *reference = json_string_value(json_object_get(json, "$ref"));
    if (reference && strncmp(reference, schemas, strlen(schemas)) == 0 &&
        !json_object_get(json_object_get(components, "schemas"), reference + strlen(schemas)))
        fail_msg("%s does not exist", reference);
    json_object_foreach((json_t *) (uintptr_t) json, key, value) references_lead_to_schemas(value, components);
    json_array_foreach(json, i, value) references_lead_to_schemas(value, components);
}

static void documents_have_what_the_rows_have(void **state)
{
    (void) state;
    for (size_t a = 0; a < HS_ARRAY_LEN(apps); a++) {
        char *text = document(apps[a], NULL);
        json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(json);
        references_lead_to_schemas(json, AT(json, "components"));
        json_decref(json);
        free(text);
    }
    char *text = document(&pose, NULL);
    json_t *json = json_loads(text, 0, NULL);
    const json_t *field = AT(json, "components", "schemas", "DetectPeopleJson", "properties", "max_detections");
    assert_int_equal(json_integer_value(AT(field, "minimum")), 0);
    assert_int_equal(json_integer_value(AT(field, "maximum")), 1000);
    assert_int_equal(json_integer_value(AT(field, "default")), 10);
    const json_t *detect = AT(json, "paths", "/v1/pose/detect", "post");
    assert_non_null(AT(detect, "requestBody", "content", "image/jpeg"));
    assert_non_null(AT(detect, "responses", "400", "content", "application/problem+json"));
    assert_int_equal(json_array_size(AT(json, "paths", "/health", "get", "security")), 0);
    assert_string_equal(json_string_value(json_array_get(AT(json_array_get(AT(detect, "security"), 0), "bearer"), 0)),
                        "detect");
    json_decref(json);
    free(text);
}

static void defaults_are_the_settings(void **state)
{
    (void) state;
    struct hs_settings *settings;
    struct hs_problems problems = { 0 };
    const struct hs_config_override override = { "--set", NULL, "pose.keypoint_threshold=0.125" };
    assert_int_equal(hs_settings_create(&hs_pose_schema, &settings, NULL), 0);
    hs_settings_apply_override(settings, &override, &problems);
    char *text = document(&pose, settings);
    json_t *json = json_loads(text, 0, NULL);
    assert_true(json_real_value(AT(json, "components", "schemas", "DetectPeopleJson", "properties",
                                   "keypoint_threshold", "default")) == 0.125);
    json_decref(json);
    free(text);
    hs_problems_finish(&problems);
    hs_settings_destroy(settings);
}

static void *failing_malloc(size_t size)
{
    return hs_alloc_fails() ? NULL : malloc(size);
}

/* If memory runs out anywhere, there is no document, instead of one that lacks a part. A prime step, because there
 * are tens of thousands of allocations. */
static void out_of_memory(void **state)
{
    (void) state;
    char *whole = document(&face, NULL);
    bool failed = true;
    json_set_alloc_funcs(failing_malloc, free);
    for (int nth = 1; failed; nth += 331) {
        struct hs_buf buf;
        hs_buf_init(&buf, 4 << 20);
        hs_alloc_fail_arm(nth);
        int r = hs_openapi_write(&face, NULL, true, &buf);
        failed = hs_alloc_fail_disarm();
        assert_int_equal(r, failed ? HS_ENOMEM : 0);
        if (!failed)
            assert_memory_equal(hs_buf_str(&buf), whole, strlen(whole));
        hs_buf_finish(&buf);
    }
    json_set_alloc_funcs(malloc, free);
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(documents_have_what_the_rows_have),
        cmocka_unit_test(defaults_are_the_settings),
        cmocka_unit_test(out_of_memory),
    };
    return HS_RUN_TESTS(tests);
}
