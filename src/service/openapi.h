/* The description of a program's API as an OpenAPI 3.1 document, made from the table of its routes and the rows of
 * their fields (http/route_doc.h). */
#ifndef HS_SERVICE_OPENAPI_H
#define HS_SERVICE_OPENAPI_H

#include <jansson.h>

#include "base/buf.h"
#include "service/app.h"

/* Appends the document as indented JSON with a final line feed. `settings` provide the defaults of the fields; NULL:
 * the defaults of the settings. `keys`: requests need an API key. HS_ENOMEM; HS_ETOOLARGE: beyond the buffer's maximum.
 * Any thread. */
int hs_openapi_write(const struct hs_app *app, const struct hs_settings *settings, bool keys, struct hs_buf *out);

/* The command `openapi`. */
extern const struct hs_command hs_command_openapi;

/* ---- openapi_schema.c: JSON Schemas. Each function returns a new reference, or NULL if memory is short. ---- */

/* Places of a field: members of a JSON body, parts of a form, or arguments of the query, the path and headers. */
enum hs_openapi_place { HS_OPENAPI_JSON, HS_OPENAPI_FORM, HS_OPENAPI_PARAMETER };

/* Source of the defaults; `settings` may be NULL. */
struct hs_openapi_defaults {
    const struct hs_schema *schema;
    const struct hs_settings *settings;
};

json_t *hs_openapi_field(const struct hs_field *field, enum hs_openapi_place place,
                         const struct hs_openapi_defaults *defaults);

/* Returns {"$ref": …} to an object in components/schemas. */
json_t *hs_openapi_ref(const struct hs_object_doc *object);

/* Adds the schemas of an object and of all objects that it refers to. Takes `schemas` and returns it. */
json_t *hs_openapi_add_object(json_t *schemas, const struct hs_object_doc *object);

#endif
