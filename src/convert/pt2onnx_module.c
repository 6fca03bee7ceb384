#include "convert/pt2onnx_module.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

const struct hs_pickle_value *hs_pt_child(const struct hs_pickle_value *module, const char *name)
{
    return hs_pickle_get(hs_pickle_attribute(module, "_modules"), name);
}

struct hs_pt_module hs_pt_part(const struct hs_pt_module *m, const char *name)
{
    struct hs_pt_module part = *m;
    part.value = hs_pt_child(m->value, name);
    return part;
}

/* "path.name", or a failure. */
static bool join(const struct hs_pt_module *m, const char *name, char dst[HS_PT_PATH_SIZE])
{
    if (!hs_str_format(dst, HS_PT_PATH_SIZE, "%s.%s", m->path, name))
        hs_pt_fail(m->graph, m->path, "modules inside one another too deeply");
    return m->graph->status == 0;
}

bool hs_pt_enter(const struct hs_pt_module *m, const char *name, struct hs_pt_module *ret_module)
{
    ret_module->graph = m->graph;
    ret_module->value = hs_pt_child(m->value, name);
    return join(m, name, ret_module->path);
}

const struct hs_pickle_dict *hs_pt_children(const struct hs_pt_module *m)
{
    const struct hs_pickle_value *modules = hs_pickle_attribute(m->value, "_modules");
    if (modules && modules->type == HS_PICKLE_DICT)
        return modules->dict;
    hs_pt_fail_value(m->graph, m->path, "a list of modules is needed, the file has", modules ? modules : m->value);
    return NULL;
}

bool hs_pt_child_name(const struct hs_pt_module *m, const struct hs_pickle_dict *children, uint32_t i, char dst[64])
{
    const struct hs_pickle_value *key = children->entries[i].key;
    if (key->type == HS_PICKLE_STRING && key->text.len > 0 && hs_str_copy_n(dst, 64, key->text.data, key->text.len) &&
        strspn(dst, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == key->text.len)
        return true;
    hs_pt_fail_value(m->graph, m->path, "no name for a module:", key);
    return false;
}

const struct hs_pickle_value *hs_pt_get(const struct hs_pt_module *m, const char *name)
{
    const struct hs_pickle_value *value = hs_pickle_attribute(m->value, name);
    if (!value)
        hs_pt_fail(m->graph, m->path, "`%s` is missing", name);
    return value;
}

bool hs_pt_get_true(const struct hs_pt_module *m, const char *name)
{
    return hs_pickle_is_true(hs_pt_get(m, name));
}

static void fail_attribute(const struct hs_pt_module *m, const char *name, const struct hs_pickle_value *value)
{
    char text[120];
    hs_pickle_describe(value, text, sizeof(text));
    hs_pt_fail(m->graph, m->path, "`%s` cannot be %s", name, text);
}

static bool in_range(const struct hs_pickle_value *value, int64_t min, int64_t max, int64_t *ret)
{
    return hs_pickle_to_int(value, ret) && *ret >= min && *ret <= max;
}

int64_t hs_pt_get_int(const struct hs_pt_module *m, const char *name, int64_t min, int64_t max)
{
    int64_t number;
    const struct hs_pickle_value *value = hs_pt_get(m, name);
    if (in_range(value, min, max, &number))
        return number;
    fail_attribute(m, name, value);
    return min;
}

double hs_pt_get_real(const struct hs_pt_module *m, const char *name)
{
    double number;
    const struct hs_pickle_value *value = hs_pt_get(m, name);
    if (hs_pickle_to_double(value, &number) && isfinite(number) && fabs(number) < 1e30)
        return number;
    fail_attribute(m, name, value);
    return 0;
}

bool hs_pt_get_pair(const struct hs_pt_module *m, const char *name, int64_t min, int64_t max, int64_t ret[2])
{
    const struct hs_pickle_value *value = hs_pt_get(m, name);
    const struct hs_pickle_items *items = hs_pickle_to_items(value);
    if (items && items->len == 2 && in_range(items->data[0], min, max, &ret[0]) &&
        in_range(items->data[1], min, max, &ret[1]))
        return true;
    fail_attribute(m, name, value);
    return false;
}

bool hs_pt_read_tensor(const struct hs_pt_module *m, const char *group, const char *name,
                       struct hs_pt_array *ret_array)
{
    char what[HS_PT_PATH_SIZE];
    const struct hs_pickle_value *tensor = hs_pickle_get(hs_pickle_attribute(m->value, group), name);
    if (!join(m, name, what))
        return false;
    if (!tensor)
        hs_pt_fail(m->graph, m->path, "no `%s`", name);
    else
        m->graph->status = hs_pt_archive_read_tensor(m->graph->archive, tensor, what, ret_array, m->graph->err);
    return m->graph->status == 0;
}

double *hs_pt_read_vector(const struct hs_pt_module *m, const char *group, const char *name, size_t count)
{
    struct hs_pt_array array;
    if (!hs_pt_read_tensor(m, group, name, &array))
        return NULL;
    if (array.dims == 1 && array.count == count)
        return array.data;
    hs_pt_fail(m->graph, m->path, "`%s` has %zu numbers in %d dimensions, not %zu in one", name, array.count,
               array.dims, count);
    free(array.data);
    return NULL;
}
