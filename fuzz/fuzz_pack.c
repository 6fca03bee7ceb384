/* A model pack: an accepted pack is within its limits, and a leading empty line changes only line numbers. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "models/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool hash_valid(const char *hash)
{
    return !hash || (strlen(hash) == 64 && strspn(hash, "0123456789abcdef") == 64);
}

static void check_source(const struct hs_source *source)
{
    bool package = source->kind >= HS_SOURCE_PYPI_WHEEL;
    if (!source->address || !source->address[0] || !hash_valid(source->sha256) || !hash_valid(source->member_sha256))
        abort();
    /* Arguments for other programs never look like options, and file paths are absolute. */
    if (source->address[0] == '-' || (source->kind == HS_SOURCE_FILE && source->address[0] != '/'))
        abort();
    if (package && (!source->version || !hs_pack_file_name_valid(source->version) || strstr(source->address, "/.")))
        abort();
    if ((source->member && !source->sha256) || (source->member_sha256 && !source->member))
        abort();
}

static void check_file(const struct hs_pack *pack, const struct hs_pack_file *file)
{
    if (!file->name || !hs_pack_file_name_valid(file->name) || !hash_valid(file->sha256) ||
        file->source_count > HS_PACK_MAX_SOURCES || !hs_pack_find_file(pack, file->backend, file->runtime))
        abort();
    for (size_t i = 0; i < file->source_count; i++)
        check_source(&file->sources[i]);
}

static void check_labels(const char *const *labels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!labels[i][0] || strlen(labels[i]) > HS_PACK_LABEL_MAX || !hs_utf8_valid(labels[i], strlen(labels[i])))
            abort();
}

static void check_face(const struct hs_pack *pack)
{
    const struct hs_pack_embedding *embedding = &pack->embedding;
    const struct hs_pack_detection *detection = &pack->detection;
    if ((embedding->space != NULL) != (pack->task == HS_TASK_FACE_EMBEDDING))
        abort();
    if (embedding->space && (embedding->dimension < 1 || embedding->dimension > HS_MODEL_MAX_EMBEDDING ||
                             !(embedding->threshold_min >= 0) || !(embedding->threshold_min <= embedding->threshold) ||
                             !(embedding->threshold <= 1) || pack->input.width != HS_MODEL_FACE_SIDE ||
                             pack->input.height != HS_MODEL_FACE_SIDE))
        abort();
    if (pack->task != HS_TASK_FACE_DETECTION && (detection->score != 0 || detection->iou != 0))
        abort();
    if (!(detection->score >= 0 && detection->score <= 1 && detection->iou >= 0 && detection->iou <= 1))
        abort();
}

static void check_pack(const struct hs_pack *pack)
{
    const struct hs_pack_input *input = &pack->input;
    if (!hs_pack_name_valid(pack->name) || !pack->title || !pack->licence_name || !hs_task_name(pack->task))
        abort();
    if (input->width < 8 || input->width > HS_MODEL_MAX_INPUT || input->height < 8 ||
        input->height > HS_MODEL_MAX_INPUT ||
        (input->stride && (input->width % input->stride || input->height % input->stride)))
        abort();
    for (int i = 0; i < 3; i++)
        if (!(input->std[i] > 0))
            abort();
    check_labels(pack->classes, pack->class_count);
    check_labels(pack->keypoints, pack->keypoint_count);
    for (size_t i = 0; i < pack->edge_count; i++)
        for (int k = 0; k < 2; k++)
            if (pack->edges[i][k] < 0 || (size_t) pack->edges[i][k] >= pack->keypoint_count)
                abort();
    if (pack->task == HS_TASK_POSE && (!pack->class_count || !pack->keypoint_count || pack->keypoint_dims < 2))
        abort();
    check_face(pack);
    if (pack->file_count < 1 || pack->file_count > HS_PACK_MAX_FILES)
        abort();
    for (size_t i = 0; i < pack->file_count; i++)
        check_file(pack, &pack->files[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct hs_pack *pack = NULL, *shifted = NULL;
    struct hs_error err = { 0 }, shifted_err = { 0 };
    if (len > 60000)
        return 0;
    int r = hs_pack_parse((const char *) data, len, "input", &pack, &err);
    if (r == 0)
        check_pack(pack);
    else if (err.code != r || !err.message[0])
        abort();

    /* A byte order mark is valid only at the beginning, and libyaml estimates the line of some errors. */
    char *text = malloc(len + 1);
    if (text && (len == 0 || data[0] < 0xef)) {
        text[0] = '\n';
        memcpy(text + 1, data, len);
        int q = hs_pack_parse(text, len + 1, "input", &shifted, &shifted_err);
        if (q != r || (r == 0 && (strcmp(pack->name, shifted->name) != 0 || pack->file_count != shifted->file_count)) ||
            (shifted_err.line != err.line && shifted_err.line != err.line + 1))
            abort();
    }
    free(text);
    hs_pack_destroy(pack);
    hs_pack_destroy(shifted);
    return 0;
}
