/* Untrusted pickles with a small memory limit: all parsed values can be inspected and described. */
#include <stdlib.h>
#include <string.h>

#include "convert/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { MEMORY = 4 << 20, DEPTH = 8 };

static void read_value(const struct hs_pickle_value *value, int depth, size_t *budget)
{
    int64_t integer;
    double real;
    char text[64];
    if (depth == DEPTH || *budget == 0)
        return;
    --*budget;
    hs_pickle_describe(value, text, sizeof(text));
    if (strlen(hs_pickle_kind(value)) < strlen(hs_pickle_kind_name(value)))
        abort();
    if (hs_pickle_to_int(value, &integer) && !hs_pickle_to_double(value, &real))
        abort();
    hs_pickle_is_true(value);
    const struct hs_pickle_items *items = hs_pickle_to_items(value);
    for (uint32_t i = 0; items && i < items->len; i++)
        read_value(items->data[i], depth + 1, budget);
    const struct hs_pickle_dict *dict = value->type == HS_PICKLE_DICT     ? value->dict
                                        : value->type == HS_PICKLE_RECORD ? &value->record->state
                                                                          : NULL;
    for (uint32_t i = 0; dict && i < dict->len; i++) {
        read_value(dict->entries[i].key, depth + 1, budget);
        read_value(dict->entries[i].value, depth + 1, budget);
    }
    if (dict && hs_pickle_get(value, "a") && hs_pickle_attribute(value, "a"))
        abort();
    if (value->type == HS_PICKLE_RECORD && value->record->args)
        read_value(value->record->args, depth + 1, budget);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hs_arena arena;
    struct hs_error err;
    const struct hs_pickle_value *root;
    size_t budget = 2000;
    hs_arena_init(&arena, MEMORY);
    int r = hs_pickle_read(data, len, &arena, &root, &err);
    if (r < 0 && (r != HS_EMODEL || err.code != r || !err.message[0]))
        abort();
    if (r == 0)
        read_value(root, 0, &budget);
    hs_arena_finish(&arena);
    return 0;
}
