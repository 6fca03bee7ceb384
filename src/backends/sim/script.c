#include "backends/sim/script.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { SCRIPT_MAX_BYTES = 64 * 1024, WORD_SIZE = 160, OUTPUT_FIELDS = 7 };

static const char separators[] = " \t\r\n;";

static const struct {
    const char *name;
    enum hs_dtype dtype;
} dtypes[] = { { "u8", HS_DTYPE_U8 }, { "i8", HS_DTYPE_I8 }, { "u16", HS_DTYPE_U16 }, { "f32", HS_DTYPE_F32 } };

static const struct {
    const char *name;
    enum hs_layout layout;
} layouts[] = { { "nhwc", HS_LAYOUT_NHWC }, { "nchw", HS_LAYOUT_NCHW }, { "rows", HS_LAYOUT_ROWS } };

/* Cuts text at every `mark` into at most max pieces, in place. */
static int cut(char *text, char mark, char *pieces[], int max)
{
    int count = 0;
    for (char *next = text; next && count < max; count++) {
        pieces[count] = next;
        next = strchr(next, mark);
        if (next)
            *next++ = '\0';
        if (count == max - 1 && next)
            return max + 1;
    }
    return count;
}

static bool parse_dim(const char *text, int *ret)
{
    int64_t value;
    if (!hs_str_to_int64(text, &value) || value < 1 || value > 1 << 20)
        return false;
    *ret = (int) value;
    return true;
}

static bool parse_kind(const char *type, const char *layout, struct hs_tensor_desc *desc)
{
    bool type_known = false, layout_known = false;
    for (size_t i = 0; i < HS_ARRAY_LEN(dtypes); i++)
        if (strcmp(type, dtypes[i].name) == 0) {
            desc->dtype = dtypes[i].dtype;
            type_known = true;
        }
    for (size_t i = 0; i < HS_ARRAY_LEN(layouts); i++)
        if (strcmp(layout, layouts[i].name) == 0) {
            desc->layout = layouts[i].layout;
            layout_known = true;
        }
    return type_known && layout_known;
}

static bool parse_output(char *text, struct hs_tensor_desc *desc, double *ret_fill)
{
    char *fields[OUTPUT_FIELDS], *dims[3];
    double scale, zero;
    *desc = (struct hs_tensor_desc) { 0 };
    if (cut(text, ':', fields, OUTPUT_FIELDS) != OUTPUT_FIELDS || cut(fields[3], 'x', dims, 3) != 3)
        return false;
    if (!hs_str_copy(desc->name, sizeof(desc->name), fields[0]) || !parse_kind(fields[1], fields[2], desc))
        return false;
    if (!parse_dim(dims[0], &desc->h) || !parse_dim(dims[1], &desc->w) || !parse_dim(dims[2], &desc->c))
        return false;
    if (!hs_str_to_double(fields[4], &scale) || !hs_str_to_double(fields[5], &zero) ||
        !hs_str_to_double(fields[6], ret_fill))
        return false;
    if (desc->dtype != HS_DTYPE_F32 && !(*ret_fill >= INT8_MIN && *ret_fill <= UINT16_MAX))
        return false;
    desc->scale = (float) scale;
    desc->zero_point = (float) zero;
    return hs_size_mul((size_t) desc->h * (size_t) desc->w, (size_t) desc->c, &desc->size_bytes) &&
           hs_size_mul(desc->size_bytes, hs_dtype_size(desc->dtype), &desc->size_bytes) &&
           desc->size_bytes <= (size_t) 256 << 20;
}

static bool set_failure(struct hs_sim_script *script, const char *where)
{
    bool *flag = strcmp(where, "open") == 0     ? &script->fail_open
                 : strcmp(where, "load") == 0   ? &script->fail_load
                 : strcmp(where, "submit") == 0 ? &script->fail_submit
                 : strcmp(where, "wait") == 0   ? &script->fail_wait
                                                : NULL;
    if (flag)
        *flag = true;
    return flag != NULL;
}

static bool set_number(struct hs_sim_script *script, const char *key, const char *value)
{
    int64_t number;
    if (!hs_str_to_int64(value, &number) || number < 0 || number > INT_MAX)
        return false;
    if (strcmp(key, "latency_ms") == 0)
        script->latency_ms = number;
    else if (strcmp(key, "load_ms") == 0)
        script->load_ms = number;
    else if (strcmp(key, "fail_at") == 0)
        script->fail_at = number;
    else if (strcmp(key, "hang_at") == 0)
        script->hang_at = number;
    else if (strcmp(key, "slots") == 0 && number >= 1 && number <= HS_MODEL_MAX_SLOTS)
        script->slots = (int) number;
    else
        return false;
    return true;
}

static bool set_word(struct hs_sim_script *script, char *word)
{
    if (strcmp(word, "absent") == 0)
        return script->absent = true;
    if (strcmp(word, "hang") == 0)
        return script->hang = true;
    char *value = strchr(word, '=');
    if (!value)
        return false;
    *value++ = '\0';
    if (strcmp(word, "fail") == 0)
        return set_failure(script, value);
    if (strcmp(word, "output") != 0)
        return set_number(script, word, value);
    int at = script->output_count;
    if (at == HS_MODEL_MAX_OUTPUTS || !parse_output(value, &script->outputs[at], &script->fill[at]))
        return false;
    script->output_count++;
    return true;
}

static int parse_words(const char *text, struct hs_sim_script *script, struct hs_error *err)
{
    for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
        char word[WORD_SIZE], shown[WORD_SIZE];
        size_t len = strcspn(text, separators);
        bool fits = hs_str_copy_n(word, sizeof(word), text, len);
        hs_str_quote(shown, sizeof(shown), text, len);
        if (!fits || !set_word(script, word))
            return hs_error_set(err, HS_EINVAL, "the sim backend's script has %s, which it does not understand", shown);
        text += len;
    }
    return 0;
}

int hs_sim_script_parse(const char *text, struct hs_sim_script *ret_script, struct hs_error *err)
{
    *ret_script = (struct hs_sim_script) { .latency_ms = 20, .slots = HS_MODEL_MAX_SLOTS };
    if (!text)
        return 0;
    if (text[0] != '@')
        return parse_words(text, ret_script, err);
    uint8_t *data;
    size_t len;
    int r = hs_file_read(text + 1, SCRIPT_MAX_BYTES, &data, &len, err);
    if (r != 0)
        return r;
    r = parse_words((const char *) data, ret_script, err);
    free(data);
    return r;
}
