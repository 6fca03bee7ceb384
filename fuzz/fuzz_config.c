/* A configuration file: it is parsed, applied to a table with all types of settings, written as JSON and read
 * again. */
#include <stdlib.h>
#include <string.h>

#include "config/common.h"
#include "config/render.h"
#include "config/settings.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct all {
    struct hs_server_settings server;
    struct hs_image_settings image;
    struct hs_logging_settings logging;
    struct hs_model_settings model;
    struct hs_inference_settings inference;
    struct hs_resource_settings resource_limits;
};

static const struct hs_setting_group groups[] = {
    HS_GROUP(hs_server_rows, struct all, server),       HS_GROUP(hs_image_rows, struct all, image),
    HS_GROUP(hs_logging_rows, struct all, logging),     HS_GROUP(hs_model_rows, struct all, model),
    HS_GROUP(hs_inference_rows, struct all, inference), HS_GROUP(hs_resource_rows, struct all, resource_limits),
};

static const struct hs_schema schema = {
    .program = "fuzz",
    .settings_size = sizeof(struct all),
    .groups = groups,
    .group_count = HS_ARRAY_LEN(groups),
};

/* Returns the settings of a text, or NULL if it cannot be parsed. */
static struct hs_settings *load(const char *text, size_t len, struct hs_problems *problems)
{
    struct hs_doc *doc;
    struct hs_error err;
    struct hs_settings *settings;
    if (hs_doc_parse(text, len, "input", &doc, &err) < 0)
        return NULL;
    if (hs_settings_create(&schema, &settings, &err) < 0) {
        hs_doc_destroy(doc);
        return NULL;
    }
    hs_settings_apply_doc(settings, doc, "input", problems);
    if (problems->no_memory)
        abort();
    return settings;
}

/* Settings that are written as JSON read back as the same, without an error. */
static void check_round_trip(const struct hs_settings *settings)
{
    struct hs_buf first, second;
    struct hs_problems problems = { 0 };
    hs_buf_init(&first, 8 << 20);
    hs_buf_init(&second, 8 << 20);
    if (hs_settings_write_json(settings, &first) < 0)
        abort();
    /* Escapes and indentation may make the text too large for the reader. */
    struct hs_settings *again = load((const char *) first.data, first.len, &problems);
    if (again) {
        if (problems.errors || hs_settings_write_json(again, &second) < 0 || first.len != second.len ||
            memcmp(first.data, second.data, first.len) != 0)
            abort();
    } else if (first.len < 4096) {
        abort();
    }
    hs_settings_destroy(again);
    hs_problems_finish(&problems);
    hs_buf_finish(&first);
    hs_buf_finish(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hs_problems problems = { 0 };
    struct hs_settings *settings = load((const char *) data, len, &problems);
    if (settings)
        check_round_trip(settings);
    hs_settings_destroy(settings);
    hs_problems_finish(&problems);

    /* Uses the same bytes as the value of an override, for each row. */
    char *text = hs_fuzz_text(data, len);
    struct hs_error err;
    problems = (struct hs_problems) { 0 };
    if (text && hs_settings_create(&schema, &settings, &err) == 0) {
        struct hs_config_override given = { "--set", NULL, text };
        hs_settings_apply_override(settings, &given, &problems);
        given.option = "variable";
        for (size_t i = 0; i < hs_schema_count(&schema); i++) {
            given.name = hs_schema_row(&schema, i, NULL)->name;
            hs_settings_apply_override(settings, &given, &problems);
        }
        hs_problems_finish(&problems);
        hs_settings_destroy(settings);
    }
    free(text);
    return 0;
}
