#include "base/json_build.h"

static json_t *if_done(json_t *json, int r)
{
    if (r == 0)
        return json;
    json_decref(json);
    return NULL;
}

json_t *hs_json_with_item(json_t *list, json_t *item)
{
    return if_done(list, json_array_append_new(list, item));
}

json_t *hs_json_with_member(json_t *object, const char *key, json_t *value)
{
    return if_done(object, json_object_set_new(object, key, value));
}

/* json_object_update_missing does not report a failure, so members are set one by one. */
json_t *hs_json_with_members(json_t *object, json_t *more)
{
    const char *key;
    json_t *value;
    json_object_foreach(more, key, value)
    {
        if (object && !json_object_get(object, key))
            object = hs_json_with_member(object, key, json_incref(value));
    }
    int r = more ? 0 : -1;
    json_decref(more);
    return if_done(object, r);
}
