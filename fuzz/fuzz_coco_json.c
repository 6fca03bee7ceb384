/* COCO annotations: an accepted set holds only valid values. */
#include <stdlib.h>
#include <string.h>

#include "pose/coco_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_error(int r, const struct hs_error *err)
{
    if (r < 0 && (err->code != r || !err->message[0]))
        abort();
}

static void check_path(const char *path)
{
    size_t len = strlen(path);
    if (len == 0 || path[0] == '/' || strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0 || strstr(path, "/../") ||
        (len > 2 && strcmp(path + len - 3, "/..") == 0))
        abort();
}

static void check_set(const char *text, size_t len)
{
    struct hs_coco_set *set;
    struct hs_error err;
    int r = hs_coco_set_parse(text, len, "input", &set, &err);
    check_error(r, &err);
    if (r < 0)
        return;
    if (set->image_count == 0)
        abort();
    for (size_t i = 0; i < set->image_count; i++) {
        check_path(set->images[i].file_name);
        if (set->images[i].width < 0 || set->images[i].height < 0)
            abort();
    }
    for (size_t i = 0; i < set->truth_count; i++)
        if (!(set->truths[i].area >= 0) || set->truths[i].keypoint_count < 0)
            abort();
    hs_coco_set_destroy(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    check_set((const char *) data, len);
    return 0;
}
