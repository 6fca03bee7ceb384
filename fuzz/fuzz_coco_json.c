/* COCO files, as annotations and as results: what is accepted keeps its promises, and results that are written read
 * back as the same. */
#include <stdlib.h>
#include <string.h>

#include "pose/coco_json.h"
#include "scratch.h"

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

static void check_same(const struct hs_coco_result *a, const struct hs_coco_result *b)
{
    if (a->image_id != b->image_id || a->score != b->score)
        abort();
    for (int i = 0; i < 3 * HS_COCO_KEYPOINTS; i++)
        if (a->keypoints[i] != b->keypoints[i])
            abort();
}

static void check_results(const char *text, size_t len)
{
    struct hs_coco_result *results, *again;
    size_t count, again_count;
    struct hs_error err;
    int r = hs_coco_results_parse(text, len, "input", 1, &results, &count, &err);
    check_error(r, &err);
    if (r < 0)
        return;
    const char *path = hs_fuzz_scratch("results.json");
    if (hs_coco_results_save(path, 1, results, count, NULL) < 0 ||
        hs_coco_results_load(path, 1, &again, &again_count, NULL) < 0 || count != again_count)
        abort();
    for (size_t i = 0; i < count; i++)
        check_same(&results[i], &again[i]);
    free(again);
    free(results);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    check_set((const char *) data, len);
    check_results((const char *) data, len);
    return 0;
}
