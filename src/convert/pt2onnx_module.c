#include "convert/pt2onnx_module.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

const struct hs_pickle_value *hs_pt_child(const struct hs_pickle_value *module, const char *name)
{
    return hs_pickle_get(hs_pickle_attribute(module, "_modules"), name);
}

const struct hs_pickle_dict *hs_pt_children(struct hs_pt_graph *graph, const struct hs_pickle_value *module,
                                            const char *path)
{
    const struct hs_pickle_value *modules = hs_pickle_attribute(module, "_modules");
    if (modules && modules->type == HS_PICKLE_DICT)
        return modules->dict;
    hs_pt_fail_value(graph, path, "a list of modules is needed, the file has", modules ? modules : module);
    return NULL;
}

bool hs_pt_join(struct hs_pt_graph *graph, const char *path, const char *name, char dst[HS_PT_PATH_SIZE])
{
    if (hs_str_format(dst, HS_PT_PATH_SIZE, "%s.%s", path, name))
        return true;
    hs_pt_fail(graph, path, "modules inside one another too deeply");
    return false;
}

static bool is_name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool hs_pt_entry_name(struct hs_pt_graph *graph, const struct hs_pickle_dict *modules, uint32_t i, const char *path,
                      char dst[64])
{
    const struct hs_pickle_value *key = modules->entries[i].key;
    bool fine = key->type == HS_PICKLE_STRING && key->text.len > 0 && key->text.len < 64;
    for (size_t at = 0; fine && at < key->text.len; at++)
        fine = is_name_char(key->text.data[at]);
    if (fine)
        hs_str_copy_n(dst, 64, key->text.data, key->text.len);
    else
        hs_pt_fail_value(graph, path, "no name for a module:", key);
    return fine;
}

const struct hs_pickle_value *hs_pt_get(struct hs_pt_graph *graph, const struct hs_pickle_value *module,
                                        const char *path, const char *name)
{
    const struct hs_pickle_value *value = hs_pickle_attribute(module, name);
    if (!value)
        hs_pt_fail(graph, path, "`%s` is missing", name);
    return value;
}

bool hs_pt_get_true(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *path,
                    const char *name)
{
    return hs_pickle_is_true(hs_pt_get(graph, module, path, name));
}

static void fail_attribute(struct hs_pt_graph *graph, const char *path, const char *name,
                           const struct hs_pickle_value *value)
{
    char text[120];
    hs_pickle_describe(value, text, sizeof(text));
    hs_pt_fail(graph, path, "`%s` cannot be %s", name, text);
}

static bool in_range(const struct hs_pickle_value *value, int64_t min, int64_t max, int64_t *ret)
{
    return hs_pickle_to_int(value, ret) && *ret >= min && *ret <= max;
}

int64_t hs_pt_get_int(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *path,
                      const char *name, int64_t min, int64_t max)
{
    int64_t number;
    const struct hs_pickle_value *value = hs_pt_get(graph, module, path, name);
    if (in_range(value, min, max, &number))
        return number;
    fail_attribute(graph, path, name, value);
    return min;
}

double hs_pt_get_real(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *path,
                      const char *name)
{
    double number;
    const struct hs_pickle_value *value = hs_pt_get(graph, module, path, name);
    if (hs_pickle_to_double(value, &number) && isfinite(number) && fabs(number) < 1e30)
        return number;
    fail_attribute(graph, path, name, value);
    return 0;
}

bool hs_pt_get_pair(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *path,
                    const char *name, int64_t min, int64_t max, int64_t ret[2])
{
    const struct hs_pickle_value *value = hs_pt_get(graph, module, path, name);
    const struct hs_pickle_items *items = hs_pickle_to_items(value);
    bool fine = items && items->len == 2;
    for (int i = 0; fine && i < 2; i++)
        fine = in_range(items->data[i], min, max, &ret[i]);
    if (!fine)
        fail_attribute(graph, path, name, value);
    return fine;
}

bool hs_pt_read_tensor(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *group,
                       const char *name, const char *path, struct hs_pt_array *ret_array)
{
    char what[HS_PT_PATH_SIZE];
    if (graph->status < 0 || !hs_pt_join(graph, path, name, what))
        return false;
    const struct hs_pickle_value *tensor = hs_pickle_get(hs_pickle_attribute(module, group), name);
    if (!tensor)
        hs_pt_fail(graph, path, "no `%s`", name);
    else
        graph->status = hs_pt_archive_read_tensor(graph->archive, tensor, what, ret_array, graph->err);
    return graph->status == 0;
}

double *hs_pt_read_vector(struct hs_pt_graph *graph, const struct hs_pickle_value *module, const char *group,
                          const char *name, const char *path, size_t count)
{
    struct hs_pt_array array;
    if (!hs_pt_read_tensor(graph, module, group, name, path, &array))
        return NULL;
    if (array.dims == 1 && array.count == count)
        return array.data;
    hs_pt_fail(graph, path, "`%s` has %zu numbers in %d dimensions, not %zu in one", name, array.count, array.dims,
               count);
    free(array.data);
    return NULL;
}
