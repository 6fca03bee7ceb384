#include "backends/sim/script.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"
#include "base/str.h"

enum { KEY_SIZE = 80, LAST_DEVICE = HS_PROBE_MAX_DEVICES - 1 };

/* One hour: longer than any test runs. */
#define MS_MAX 3600000.0
#define LEAK_MAX_KB 65536
#define DEFAULT_LATENCY_MS 6.0
#define DEFAULT_LATE_MS 50.0
#define DEFAULT_SLOW_MS 2000.0

static const char *const kinds[] = {
    [HS_SIM_TRANSIENT] = "transient",   [HS_SIM_BUSY] = "busy",           [HS_SIM_NONE] = "none",
    [HS_SIM_MISMATCH] = "mismatch",     [HS_SIM_BAD_MODEL] = "bad_model", [HS_SIM_MEMORY] = "memory",
    [HS_SIM_QUEUE_FULL] = "queue_full", [HS_SIM_LATE] = "late",           [HS_SIM_HANG] = "hang",
    [HS_SIM_ERROR] = "error",           [HS_SIM_LOST] = "lost",           [HS_SIM_LOAD_FAIL] = "load_fail",
    [HS_SIM_LOAD_SLOW] = "load_slow",
};

static const struct {
    const char *name;
    enum hs_dtype dtype;
} number_types[] = { { "uint8", HS_DTYPE_U8 }, { "uint16", HS_DTYPE_U16 }, { "float32", HS_DTYPE_F32 } };

/* State of parsing one script. */
struct reader {
    const char *name;
    struct hs_error *err;
    yaml_document_t document;
    struct hs_sim_script script;
    struct hs_sim_fault fault; /* the fault being read */
    bool latency_is_read;
};

typedef int read_function(struct reader *reader, const char *key, const yaml_node_t *node);

/* A key and the function that reads its value. */
struct entry {
    const char *key;
    read_function *read;
};

static int refuse(struct reader *reader, const yaml_node_t *node, const char *key, const char *why)
{
    int line = (int) node->start_mark.line + 1;
    char shown[KEY_SIZE];
    hs_str_quote(shown, sizeof(shown), key, strlen(key));
    hs_error_set(reader->err, HS_EINVAL, "%s:%d: %s %s", reader->name, line, shown, why);
    if (reader->err)
        reader->err->line = line;
    return HS_EINVAL;
}

/* Returns the text of a scalar; NULL if the node is not a scalar, or contains a NUL. */
static const char *text_of(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || memchr(node->data.scalar.value, '\0', node->data.scalar.length))
        return NULL;
    return (const char *) node->data.scalar.value;
}

static yaml_node_t *node_at(struct reader *reader, int index)
{
    return yaml_document_get_node(&reader->document, index);
}

static int read_number(struct reader *reader, const char *key, const yaml_node_t *node, double min, double max,
                       double *ret)
{
    const char *text = text_of(node);
    double value;
    char why[KEY_SIZE];
    if (!text || !hs_str_to_double(text, &value) || !(value >= min && value <= max)) {
        hs_str_format(why, sizeof(why), "must be a number from %.0f to %.0f", min, max);
        return refuse(reader, node, key, why);
    }
    *ret = value;
    return 0;
}

static int read_whole(struct reader *reader, const char *key, const yaml_node_t *node, int64_t min, int64_t max,
                      int64_t *ret)
{
    const char *text = text_of(node);
    int64_t value;
    char why[KEY_SIZE];
    if (!text || !hs_str_to_int64(text, &value) || value < min || value > max) {
        hs_str_format(why, sizeof(why), "must be a whole number from %lld to %lld", (long long) min, (long long) max);
        return refuse(reader, node, key, why);
    }
    *ret = value;
    return 0;
}

static int read_int(struct reader *reader, const char *key, const yaml_node_t *node, int min, int max, int *ret)
{
    int64_t value;
    int r = read_whole(reader, key, node, min, max, &value);
    if (r == 0)
        *ret = (int) value;
    return r;
}

static bool is_repeated(struct reader *reader, const yaml_node_t *map, const yaml_node_pair_t *pair, const char *key)
{
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
        const char *other = text_of(node_at(reader, p->key));
        if (other && strcmp(other, key) == 0)
            return true;
    }
    return false;
}

/* Reads a map with the keys of the table. */
static int read_map(struct reader *reader, const char *what, const yaml_node_t *node, const struct entry *entries,
                    size_t count)
{
    int r = node->type == YAML_MAPPING_NODE ? 0 : refuse(reader, node, what, "must be a map of keys and values");
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; r == 0 && pair < node->data.mapping.pairs.top;
         pair++) {
        const yaml_node_t *key_node = node_at(reader, pair->key);
        const char *key = text_of(key_node);
        size_t i = 0;
        while (key && i < count && strcmp(entries[i].key, key) != 0)
            i++;
        if (!key || i == count)
            r = refuse(reader, key_node, key ? key : what,
                       key ? "is an unknown key" : "has a key that is not a string");
        else if (is_repeated(reader, node, pair, key))
            r = refuse(reader, key_node, key, "is a duplicate key");
        else
            r = entries[i].read(reader, key, node_at(reader, pair->value));
    }
    return r;
}

/* ---- Keys of the script ---- */

static int read_median(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_number(reader, key, node, 0, MS_MAX, &reader->script.latency_ms);
}

static int read_p99(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_number(reader, key, node, 0, MS_MAX, &reader->script.p99_ms);
}

static int read_latency(struct reader *reader, const char *key, const yaml_node_t *node)
{
    static const struct entry entries[] = { { "median", read_median }, { "p99", read_p99 } };
    struct hs_sim_script *script = &reader->script;
    reader->latency_is_read = true;
    if (node->type != YAML_MAPPING_NODE) {
        int r = read_median(reader, key, node);
        script->p99_ms = script->latency_ms;
        return r;
    }
    script->latency_ms = script->p99_ms = -1;
    int r = read_map(reader, key, node, entries, HS_ARRAY_LEN(entries));
    if (r == 0 && (script->latency_ms <= 0 || script->p99_ms < script->latency_ms))
        r = refuse(reader, node, key, "must have a median above 0 and a p99 that is not below the median");
    return r;
}

static int compare_batches(const void *left, const void *right)
{
    const struct hs_sim_batch *a = left, *b = right;
    return (a->pictures > b->pictures) - (a->pictures < b->pictures);
}

static int read_batch_pair(struct reader *reader, const char *key, const yaml_node_pair_t *pair)
{
    struct hs_sim_script *script = &reader->script;
    struct hs_sim_batch batch;
    int r = read_int(reader, key, node_at(reader, pair->key), 1, HS_MODEL_MAX_BATCH, &batch.pictures);
    if (r == 0)
        r = read_number(reader, key, node_at(reader, pair->value), 0, MS_MAX, &batch.ms);
    for (int i = 0; r == 0 && i < script->batch_count; i++)
        if (script->batches[i].pictures == batch.pictures)
            r = refuse(reader, node_at(reader, pair->key), key, "has a duplicate number of pictures");
    if (r == 0)
        script->batches[script->batch_count++] = batch;
    return r;
}

static int read_batches(struct reader *reader, const char *key, const yaml_node_t *node)
{
    int r = node->type == YAML_MAPPING_NODE ? 0 : refuse(reader, node, key, "must be a map of pictures: milliseconds");
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; r == 0 && pair < node->data.mapping.pairs.top;
         pair++)
        r = read_batch_pair(reader, key, pair);
    struct hs_sim_script *script = &reader->script;
    qsort(script->batches, (size_t) script->batch_count, sizeof(script->batches[0]), compare_batches);
    if (r == 0 && (script->batch_count == 0 || script->batches[0].pictures != 1))
        r = refuse(reader, node, key, "must have an entry for 1 picture");
    return r;
}

static int read_load(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_number(reader, key, node, 0, MS_MAX, &reader->script.load_ms);
}

static int read_leak(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_int(reader, key, node, 0, LEAK_MAX_KB, &reader->script.leak_kb);
}

static int read_devices(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_int(reader, key, node, 1, HS_PROBE_MAX_DEVICES, &reader->script.devices);
}

static int read_slots(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_int(reader, key, node, 1, HS_MODEL_MAX_SLOTS, &reader->script.slots);
}

static int read_seed(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_whole(reader, key, node, 0, INT32_MAX, &reader->script.seed);
}

static int read_temperature(struct reader *reader, const char *key, const yaml_node_t *node)
{
    reader->script.has_temperature = true;
    return read_number(reader, key, node, -100, 200, &reader->script.temperature_c);
}

static int read_outputs(struct reader *reader, const char *key, const yaml_node_t *node)
{
    const char *text = text_of(node);
    for (size_t i = 0; text && i < HS_ARRAY_LEN(number_types); i++)
        if (strcmp(text, number_types[i].name) == 0) {
            reader->script.outputs = number_types[i].dtype;
            return 0;
        }
    return refuse(reader, node, key, "must be uint8, uint16 or float32");
}

/* ---- Faults ---- */

static int read_at(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_whole(reader, key, node, 1, INT32_MAX, &reader->fault.at);
}

static int read_at_ms(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_number(reader, key, node, 0, MS_MAX, &reader->fault.at_ms);
}

static int read_count(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_whole(reader, key, node, 1, INT32_MAX, &reader->fault.count);
}

static int read_for_ms(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_number(reader, key, node, 0, MS_MAX, &reader->fault.for_ms);
}

static int read_extra(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_number(reader, key, node, 0, MS_MAX, &reader->fault.extra_ms);
}

static int read_device(struct reader *reader, const char *key, const yaml_node_t *node)
{
    return read_int(reader, key, node, 0, LAST_DEVICE, &reader->fault.device);
}

static int read_kind(struct reader *reader, const char *key, const yaml_node_t *node)
{
    const char *text = text_of(node);
    for (size_t i = 0; text && i < HS_ARRAY_LEN(kinds); i++)
        if (strcmp(text, kinds[i]) == 0) {
            reader->fault.kind = (enum hs_sim_kind) i;
            return 0;
        }
    return refuse(reader, node, key, "is an unknown kind of fault");
}

static bool may_be_longer(enum hs_sim_kind kind)
{
    return kind == HS_SIM_LATE || kind == HS_SIM_LOAD_SLOW;
}

static int read_fault(struct reader *reader, const char *key, const yaml_node_t *node)
{
    static const struct entry entries[] = {
        { "kind", read_kind },     { "at", read_at },          { "at_ms", read_at_ms },   { "count", read_count },
        { "for_ms", read_for_ms }, { "extra_ms", read_extra }, { "device", read_device },
    };
    struct hs_sim_script *script = &reader->script;
    struct hs_sim_fault *fault = &reader->fault;
    *fault = (struct hs_sim_fault) {
        .kind = (enum hs_sim_kind) HS_ARRAY_LEN(kinds),
        .at_ms = -1,
        .for_ms = -1,
        .extra_ms = -1,
        .device = -1,
    };
    int r = read_map(reader, key, node, entries, HS_ARRAY_LEN(entries));
    if (r < 0)
        return r;
    if (fault->kind == (enum hs_sim_kind) HS_ARRAY_LEN(kinds))
        return refuse(reader, node, key, "has a fault without a kind");
    if (fault->at > 0 && fault->at_ms >= 0)
        return refuse(reader, node, key, "has a fault with both at and at_ms");
    if (fault->extra_ms >= 0 && !may_be_longer(fault->kind))
        return refuse(reader, node, key, "has extra_ms in a fault that does not delay anything");
    if (script->fault_count == HS_SIM_MAX_FAULTS)
        return refuse(reader, node, key, "has too many faults");
    if (fault->at_ms < 0 && fault->at == 0)
        fault->at_ms = 0;
    if (fault->extra_ms < 0)
        fault->extra_ms = fault->kind == HS_SIM_LATE ? DEFAULT_LATE_MS : DEFAULT_SLOW_MS;
    script->faults[script->fault_count++] = *fault;
    return 0;
}

static int read_faults(struct reader *reader, const char *key, const yaml_node_t *node)
{
    int r = node->type == YAML_SEQUENCE_NODE ? 0 : refuse(reader, node, key, "must be a list");
    for (const yaml_node_item_t *item = node->data.sequence.items.start; r == 0 && item < node->data.sequence.items.top;
         item++)
        r = read_fault(reader, key, node_at(reader, *item));
    return r;
}

/* ---- The whole script ---- */

static int read_script(struct reader *reader, const yaml_node_t *root)
{
    static const struct entry entries[] = {
        { "latency_ms", read_latency }, { "batch_ms", read_batches }, { "load_ms", read_load },
        { "devices", read_devices },    { "slots", read_slots },      { "temperature_c", read_temperature },
        { "outputs", read_outputs },    { "seed", read_seed },        { "faults", read_faults },
        { "leak_kb", read_leak },
    };
    int r = read_map(reader, "the script", root, entries, HS_ARRAY_LEN(entries));
    struct hs_sim_script *script = &reader->script;
    if (r == 0 && script->batch_count > 0 && !reader->latency_is_read)
        script->latency_ms = script->p99_ms = script->batches[0].ms;
    return r;
}

static int fail_to_read(struct reader *reader, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return hs_error_set(reader->err, HS_ENOMEM, "no memory to read %s", reader->name);
    int line = (int) parser->problem_mark.line + 1;
    hs_error_set(reader->err, HS_EINVAL, "%s:%d: %s", reader->name, line,
                 parser->problem ? parser->problem : "invalid YAML");
    if (reader->err)
        reader->err->line = line;
    return HS_EINVAL;
}

/* Loads the next document and returns its root, or NULL if there is none. On success the caller
 * frees the document with yaml_document_delete, even without a root. */
static int next_document(struct reader *reader, yaml_parser_t *parser, const yaml_node_t **ret_root)
{
    if (!yaml_parser_load(parser, &reader->document))
        return fail_to_read(reader, parser);
    *ret_root = yaml_document_get_root_node(&reader->document);
    return 0;
}

static int read_documents(struct reader *reader, yaml_parser_t *parser)
{
    const yaml_node_t *root = NULL;
    int r = next_document(reader, parser, &root);
    if (r < 0)
        return r;
    /* The root of a text that holds only comments is an empty scalar or missing. */
    bool empty = !root || (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0);
    if (!empty)
        r = read_script(reader, root);
    yaml_document_delete(&reader->document);
    if (r < 0 || !root)
        return r;
    r = next_document(reader, parser, &root);
    if (r < 0)
        return r;
    if (root)
        r = refuse(reader, root, "the script", "must be a single YAML document");
    yaml_document_delete(&reader->document);
    return r;
}

void hs_sim_script_default(struct hs_sim_script *ret_script)
{
    *ret_script = (struct hs_sim_script) {
        .latency_ms = DEFAULT_LATENCY_MS,
        .p99_ms = DEFAULT_LATENCY_MS,
        .slots = HS_MODEL_MAX_SLOTS,
        .devices = 1,
        .outputs = HS_DTYPE_U8,
        .seed = 1,
    };
}

int hs_sim_script_parse(const char *text, size_t len, const char *name, struct hs_sim_script *ret_script,
                        struct hs_error *err)
{
    struct reader reader = { .name = name, .err = err };
    yaml_parser_t parser;
    if (len > HS_SIM_SCRIPT_MAX_BYTES)
        return hs_error_set(err, HS_EINVAL, "%s is too large: the limit is %d bytes", name, HS_SIM_SCRIPT_MAX_BYTES);
    hs_sim_script_default(&reader.script);
    if (!yaml_parser_initialize(&parser))
        return hs_error_set(err, HS_ENOMEM, "no memory to read %s", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *) text, len);
    int r = read_documents(&reader, &parser);
    yaml_parser_delete(&parser);
    if (r == 0)
        *ret_script = reader.script;
    return r;
}
