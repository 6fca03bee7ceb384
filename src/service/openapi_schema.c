#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_build.h"
#include "base/str.h"
#include "service/openapi.h"

/* As hs_str_to_seconds reads it. */
#define SECONDS_PATTERN "^[0-9]+([.][0-9]+)?(ms|s|m|h|d)?$"

/* ---- defaults ---- */

/* Returns the value of a setting: of the settings if there are any, else the default of its row. */
static json_t *setting_value(const struct hs_openapi_defaults *defaults, const char *name)
{
    long index = hs_schema_find(defaults->schema, name);
    const struct hs_setting *row = index < 0 ? NULL : hs_schema_row(defaults->schema, (size_t) index, NULL);
    size_t offset;
    struct hs_buf text;
    if (!row)
        return NULL;
    if (!defaults->settings) {
        const char *value = hs_schema_default(defaults->schema, row);
        json_error_t error;
        json_t *json = json_loads(value, JSON_DECODE_ANY, &error);
        /* A word, such as "auto", is a text. */
        return json || json_error_code(&error) != json_error_invalid_syntax ? json : json_string(value);
    }
    hs_buf_init(&text, 4096);
    hs_schema_row(defaults->schema, (size_t) index, &offset);
    int r = hs_setting_write(row, (const char *) hs_settings_values(defaults->settings) + offset, &text);
    json_t *json = r == 0 ? json_loadb((const char *) text.data, text.len, JSON_DECODE_ANY, NULL) : NULL;
    hs_buf_finish(&text);
    return json;
}

static json_t *with_default(json_t *schema, const struct hs_field *field, const struct hs_openapi_defaults *defaults)
{
    /* Generated clients send the default, which for a time limit or keep_alive is not the same as to send nothing. */
    bool seconds = field->type == HS_FIELD_SECONDS;
    if (field->setting && !seconds)
        schema = hs_json_with_member(schema, "default", setting_value(defaults, field->setting));
    else if (field->default_val)
        schema = hs_json_with_member(schema, "default", json_loads(field->default_val, JSON_DECODE_ANY, NULL));
    return field->setting ? hs_json_with_member(schema, "x-setting", json_string(field->setting)) : schema;
}

/* ---- fields ---- */

static json_t *number(double value)
{
    return floor(value) == value && fabs(value) < 1e15 ? json_integer((json_int_t) value) : json_real(value);
}

static json_t *typed(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

static json_t *bounded(const char *type, const struct hs_field *field)
{
    json_t *schema = hs_json_with_member(typed(type), "minimum", number(field->min));
    return field->max > 0 ? hs_json_with_member(schema, "maximum", number(field->max)) : schema;
}

static json_t *any_of(json_t *first, json_t *second)
{
    json_t *list = hs_json_with_item(hs_json_with_item(json_array(), first), second);
    return hs_json_with_member(json_object(), "anyOf", list);
}

static json_t *texts(const char *const *items)
{
    json_t *list = json_array();
    for (; items && *items; items++)
        list = hs_json_with_item(list, json_string(*items));
    return list;
}

static json_t *seconds(const struct hs_field *field)
{
    json_t *list = hs_json_with_item(json_array(), bounded("number", field));
    list = hs_json_with_item(list, json_pack("{s:s, s:s}", "type", "string", "pattern", SECONDS_PATTERN));
    if (field->flags & HS_FIELD_UNLIMITED)
        list = hs_json_with_item(list, json_pack("{s:i}", "const", -1));
    return hs_json_with_member(json_object(), "anyOf", list);
}

static json_t *text(const struct hs_field *field)
{
    json_t *schema = typed("string");
    if (field->min > 0)
        schema = hs_json_with_member(schema, "minLength", number(field->min));
    if (field->pattern)
        schema = hs_json_with_member(schema, "pattern", json_string(field->pattern));
    return field->max > 0 ? hs_json_with_member(schema, "maxLength", number(field->max)) : schema;
}

/* The text of a JSON value, as a part of a form. */
static json_t *json_text(void)
{
    return json_pack("{s:s, s:s}", "type", "string", "contentMediaType", "application/json");
}

static json_t *box(void)
{
    const double limit = 1e6; /* pixels */
    return json_pack("{s:s, s:{s:s, s:o, s:o}, s:i, s:i}", "type", "array", "items", "type", "number", "minimum",
                     number(-limit), "maximum", number(limit), "minItems", 4, "maxItems", 4);
}

static json_t *picture(enum hs_openapi_place place)
{
    /* `format` is for generators of clients, which know it from OpenAPI 3.0. */
    return place == HS_OPENAPI_FORM
               ? json_pack("{s:s, s:s, s:s}", "type", "string", "format", "binary", "contentMediaType",
                           "application/octet-stream")
               : json_pack("{s:s, s:s, s:i}", "type", "string", "contentEncoding", "base64", "minLength", 1);
}

static json_t *pictures(enum hs_openapi_place place, const struct hs_openapi_defaults *defaults)
{
    json_t *item = picture(place);
    if (place == HS_OPENAPI_JSON)
        item = any_of(item, json_pack("{s:s, s:[s], s:{s:o, s:{s:[s, s], s:s}}}", "type", "object", "required", "image",
                                      "properties", "image", picture(place), "id", "type", "string", "integer",
                                      "description", "Repeated in the result of this picture"));
    return json_pack("{s:s, s:o, s:i, s:o}", "type", "array", "items", item, "minItems", 1, "maxItems",
                     setting_value(defaults, "server.max_batch"));
}

static json_t *field_schema(const struct hs_field *field, enum hs_openapi_place place,
                            const struct hs_openapi_defaults *defaults)
{
    switch (field->type) {
    case HS_FIELD_NUMBER:
        return field->flags & HS_FIELD_AUTO ? any_of(bounded("number", field), json_pack("{s:s}", "const", "auto"))
                                            : bounded("number", field);
    case HS_FIELD_INTEGER:
        return bounded("integer", field);
    case HS_FIELD_BOOLEAN:
        return typed("boolean");
    case HS_FIELD_SECONDS:
        return seconds(field);
    case HS_FIELD_TEXT:
        return text(field);
    case HS_FIELD_CHOICE:
        return hs_json_with_member(typed("string"), "enum", texts(field->choices));
    case HS_FIELD_OBJECT:
        if (place != HS_OPENAPI_JSON)
            return json_text();
        return field->flags & HS_FIELD_NULL ? json_pack("{s:[s, s]}", "type", "object", "null") : typed("object");
    case HS_FIELD_BOX:
        return place == HS_OPENAPI_JSON ? box() : json_text();
    case HS_FIELD_PICTURE:
        return picture(place);
    case HS_FIELD_PICTURES:
        return pictures(place, defaults);
    }
    return NULL;
}

json_t *hs_openapi_field(const struct hs_field *field, enum hs_openapi_place place,
                         const struct hs_openapi_defaults *defaults)
{
    json_t *schema = with_default(field_schema(field, place, defaults), field, defaults);
    return hs_json_with_member(schema, "description", json_string(field->help));
}

/* ---- objects of responses ---- */

json_t *hs_openapi_ref(const struct hs_object_doc *object)
{
    char path[128];
    hs_str_format(path, sizeof(path), "#/components/schemas/%s", object->name);
    return json_pack("{s:s}", "$ref", path);
}

static json_t *numbers(int count)
{
    return json_pack("{s:s, s:{s:s}, s:i, s:i}", "type", "array", "items", "type", "number", "minItems", count,
                     "maxItems", count);
}

static json_t *member_type(const struct hs_member *member)
{
    switch (member->type) {
    case HS_MEMBER_TEXT:
        return member->values ? hs_json_with_member(typed("string"), "enum", texts(member->values)) : typed("string");
    case HS_MEMBER_INTEGER:
        return typed("integer");
    case HS_MEMBER_NUMBER:
        return typed("number");
    case HS_MEMBER_BOOLEAN:
        return typed("boolean");
    case HS_MEMBER_TIME:
        return json_pack("{s:s, s:s}", "type", "string", "pattern",
                         "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$");
    case HS_MEMBER_POINT:
        return numbers(2);
    case HS_MEMBER_BOX:
        return numbers(4);
    case HS_MEMBER_ID:
        return json_pack("{s:[s, s]}", "type", "string", "integer");
    case HS_MEMBER_OBJECT:
        if (!member->object)
            return typed("object");
        return member->other ? any_of(hs_openapi_ref(member->object), hs_openapi_ref(member->other))
                             : hs_openapi_ref(member->object);
    }
    return NULL;
}

static json_t *member_schema(const struct hs_member *member)
{
    json_t *schema = member_type(member);
    if (member->flags & HS_MEMBER_ARRAY)
        schema = hs_json_with_member(typed("array"), "items", schema);
    if (member->flags & HS_MEMBER_NULL)
        schema = any_of(schema, typed("null"));
    return hs_json_with_member(schema, "description", json_string(member->help));
}

/* Adds the members of an object, the inherited ones first, to its properties and to the list of those that are always
 * present. Both may become NULL. */
static void add_members(const struct hs_object_doc *object, json_t **properties, json_t **required)
{
    if (object->base)
        add_members(object->base, properties, required);
    for (size_t i = 0; i < object->member_count; i++) {
        const struct hs_member *member = &object->members[i];
        *properties = hs_json_with_member(*properties, member->name, member_schema(member));
        if (!(member->flags & HS_MEMBER_OPTIONAL))
            *required = hs_json_with_item(*required, json_string(member->name));
    }
}

json_t *hs_openapi_add_object(json_t *schemas, const struct hs_object_doc *object)
{
    if (!object || !schemas || json_object_get(schemas, object->name))
        return schemas;
    json_t *properties = json_object(), *required = json_array();
    add_members(object, &properties, &required);
    json_t *schema = json_pack("{s:s, s:s, s:o, s:o}", "type", "object", "description", object->help, "properties",
                               properties, "required", required);
    schemas = hs_json_with_member(schemas, object->name, schema);
    for (; object; object = object->base) {
        for (size_t i = 0; i < object->member_count; i++) {
            schemas = hs_openapi_add_object(schemas, object->members[i].object);
            schemas = hs_openapi_add_object(schemas, object->members[i].other);
        }
    }
    return schemas;
}
