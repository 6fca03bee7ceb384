#include "models/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "config/doc.h"
#include "models/pack_files.h"
#include "models/schema_reader.h"

enum { PACK_FILE_MAX = 256 << 10, NOTE_MAX = 1000 };

static const char *const tasks[] = {"pose", "face-detection", "face-embedding", NULL};

const char *hs_task_name(enum hs_task task)
{
    return tasks[task];
}

const char *hs_decode_name(enum hs_decode decode)
{
    return hs_pack_decodes[decode];
}

static char fold(char c)
{
    return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

bool hs_pack_name_equal(const char *a, const char *b)
{
    while (*a && fold(*a) == fold(*b)) {
        a++;
        b++;
    }
    return fold(*a) == fold(*b);
}

bool hs_pack_name_valid(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < HS_PACK_NAME_SIZE && strchr("abcdefghijklmnopqrstuvwxyz0123456789", name[0]) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len;
}

/* ---- parts of the page ---- */

static void read_licence(struct hs_schema *reader, const struct hs_node *root, struct hs_pack *pack)
{
    static const char *const keys[] = {"name", "url", "note", NULL};
    const struct hs_node *map = hs_schema_node(reader, root, "licence", true);
    if (!hs_schema_map(reader, map, "licence", keys))
        return;
    pack->licence_name = hs_schema_text(reader, map, "name", true, HS_PACK_TITLE_MAX);
    pack->licence_url = hs_schema_text(reader, map, "url", false, NOTE_MAX);
    pack->licence_note = hs_schema_text(reader, map, "note", false, NOTE_MAX);
}

static void read_triple(struct hs_schema *reader, const struct hs_node *map, const char *key, double min, double max,
                        float ret[3])
{
    const struct hs_node *list = hs_schema_node(reader, map, key, false);
    if (!list)
        return;
    for (size_t i = 0; i < 3; i++) {
        double value;
        if (list->kind != HS_NODE_LIST || list->count != 3 || !hs_node_double(list->items[i], &value) ||
            !(value >= min && value <= max)) {
            hs_schema_fail(reader, list->line, "`%s` must be three numbers, %g to %g", key, min, max);
            return;
        }
        ret[i] = (float) value;
    }
}

static void read_input(struct hs_schema *reader, const struct hs_node *root, struct hs_pack_input *input)
{
    static const char *const keys[] = {"width", "height", "stride", "mean", "std", "channels", NULL};
    static const char *const channels[] = {"rgb", "bgr", NULL};
    const struct hs_node *map = hs_schema_node(reader, root, "input", true);
    if (!hs_schema_map(reader, map, "input", keys))
        return;
    long long width = 0, height = 0, stride = 0;
    hs_schema_int(reader, map, "width", true, 8, HS_MODEL_MAX_INPUT, &width);
    hs_schema_int(reader, map, "height", true, 8, HS_MODEL_MAX_INPUT, &height);
    hs_schema_int(reader, map, "stride", false, 0, 1024, &stride);
    if (stride > 0 && (width % stride || height % stride))
        hs_schema_fail(reader, map->line, "width and height must be multiples of stride");
    for (int i = 0; i < 3; i++)
        input->std[i] = 1;
    read_triple(reader, map, "mean", -1e6, 1e6, input->mean);
    read_triple(reader, map, "std", 1e-6, 1e6, input->std);
    input->bgr = hs_schema_word(reader, map, "channels", false, channels, 0) == 1;
    input->width = (int) width;
    input->height = (int) height;
    input->stride = (int) stride;
}

/* A list of short texts, no two alike. The array is ours, the texts are the document's. */
static const char **read_labels(struct hs_schema *reader, const struct hs_node *list, const char *what, size_t max,
                                size_t *ret_count)
{
    if (reader->status < 0 || !list)
        return NULL;
    if (list->kind != HS_NODE_LIST || list->count == 0 || list->count > max) {
        hs_schema_fail(reader, list->line, "`%s` must be a list of 1 to %zu names", what, max);
        return NULL;
    }
    const char **labels = calloc(list->count, sizeof(*labels));
    if (!labels) {
        reader->status = hs_error_set(reader->err, HS_ENOMEM, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < list->count; i++) {
        labels[i] = hs_node_text(list->items[i]);
        bool fine = labels[i] && labels[i][0] && strlen(labels[i]) <= HS_PACK_LABEL_MAX;
        for (size_t k = 0; fine && k < i; k++)
            fine = strcmp(labels[i], labels[k]) != 0;
        if (!fine) {
            hs_schema_fail(reader, list->items[i]->line,
                           "each of `%s` must be a name of its own, at most %d characters", what, HS_PACK_LABEL_MAX);
            free(labels);
            return NULL;
        }
    }
    *ret_count = list->count;
    return labels;
}

static int find_keypoint(const struct hs_pack *pack, const struct hs_node *node)
{
    const char *text = hs_node_text(node);
    for (size_t i = 0; text && i < pack->keypoint_count; i++)
        if (strcmp(pack->keypoints[i], text) == 0)
            return (int) i;
    return -1;
}

static void read_edges(struct hs_schema *reader, const struct hs_node *list, struct hs_pack *pack)
{
    if (reader->status < 0 || !list)
        return;
    if (list->kind != HS_NODE_LIST || list->count > HS_PACK_MAX_EDGES) {
        hs_schema_fail(reader, list->line, "`edges` must be a list of at most %d pairs", HS_PACK_MAX_EDGES);
        return;
    }
    pack->edges = calloc(list->count ? list->count : 1, sizeof(*pack->edges));
    if (!pack->edges) {
        reader->status = hs_error_set(reader->err, HS_ENOMEM, "out of memory");
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct hs_node *pair = list->items[i];
        bool two = pair->kind == HS_NODE_LIST && pair->count == 2;
        int from = two ? find_keypoint(pack, pair->items[0]) : -1, to = two ? find_keypoint(pack, pair->items[1]) : -1;
        if (from < 0 || to < 0 || from == to) {
            hs_schema_fail(reader, pair->line, "an edge is a pair of two keypoint names");
            return;
        }
        pack->edges[i][0] = from;
        pack->edges[i][1] = to;
        pack->edge_count = i + 1;
    }
}

static void read_keypoints(struct hs_schema *reader, const struct hs_node *root, struct hs_pack *pack)
{
    static const char *const keys[] = {"dims", "names", "edges", NULL};
    const struct hs_node *map = hs_schema_node(reader, root, "keypoints", pack->task == HS_TASK_POSE);
    if (!hs_schema_map(reader, map, "keypoints", keys))
        return;
    long long dims = 0;
    hs_schema_int(reader, map, "dims", true, 2, 3, &dims);
    pack->keypoint_dims = (int) dims;
    pack->keypoints = read_labels(reader, hs_schema_node(reader, map, "names", true), "names", HS_MODEL_MAX_KEYPOINTS,
                                  &pack->keypoint_count);
    read_edges(reader, hs_schema_node(reader, map, "edges", false), pack);
}

static void read_embedding(struct hs_schema *reader, const struct hs_node *root, struct hs_pack *pack)
{
    static const char *const keys[] = {"space", "dimension", "threshold", "threshold_min", NULL};
    struct hs_pack_embedding *embedding = &pack->embedding;
    bool wanted = pack->task == HS_TASK_FACE_EMBEDDING;
    const struct hs_node *map = hs_schema_node(reader, root, "embedding", wanted);
    if (map && !wanted)
        hs_schema_fail(reader, map->line, "only face-embedding packs have `embedding`");
    if (!hs_schema_map(reader, map, "embedding", keys))
        return;
    long long dimension = 0;
    embedding->space = hs_schema_text(reader, map, "space", true, HS_PACK_SPACE_MAX);
    hs_schema_int(reader, map, "dimension", true, 8, HS_MODEL_MAX_EMBEDDING, &dimension);
    embedding->dimension = (int) dimension;
    hs_schema_float(reader, map, "threshold", true, 0, 1, &embedding->threshold);
    hs_schema_float(reader, map, "threshold_min", false, 0, 1, &embedding->threshold_min);
    if (embedding->threshold_min > embedding->threshold)
        hs_schema_fail(reader, map->line, "`threshold` must not be below `threshold_min`");
}

static void read_detection(struct hs_schema *reader, const struct hs_node *root, struct hs_pack *pack)
{
    static const char *const keys[] = {"score", "iou", NULL};
    const struct hs_node *map = hs_schema_node(reader, root, "detection", false);
    if (map && pack->task != HS_TASK_FACE_DETECTION)
        hs_schema_fail(reader, map->line, "only face-detection packs have `detection`");
    if (!hs_schema_map(reader, map, "detection", keys))
        return;
    hs_schema_float(reader, map, "score", false, 0.01, 1, &pack->detection.score);
    hs_schema_float(reader, map, "iou", false, 0.01, 1, &pack->detection.iou);
}

/* ---- the page ---- */

/* Faces are aligned to a template that exists for one size. */
static void check_face_input(struct hs_schema *reader, const struct hs_node *root, const struct hs_pack *pack)
{
    const struct hs_pack_input *input = &pack->input;
    if (reader->status == 0 && pack->task == HS_TASK_FACE_EMBEDDING &&
        (input->width != HS_MODEL_FACE_SIDE || input->height != HS_MODEL_FACE_SIDE || input->stride != 0))
        hs_schema_fail(reader, hs_node_get(root, "input")->line,
                       "the input of a face-embedding pack is %d x %d, without stride", HS_MODEL_FACE_SIDE,
                       HS_MODEL_FACE_SIDE);
}

static void check_decode(struct hs_schema *reader, const struct hs_node *root, const struct hs_pack *pack)
{
    for (size_t i = 0; i < pack->file_count && reader->status == 0; i++) {
        enum hs_decode decode = pack->files[i].decode;
        bool pose = decode == HS_DECODE_YOLO_POSE_RAW || decode == HS_DECODE_YOLO_POSE_DECODED;
        bool embedding = decode == HS_DECODE_ARCFACE;
        if (pose != (pack->task == HS_TASK_POSE) || embedding != (pack->task == HS_TASK_FACE_EMBEDDING))
            hs_schema_fail(reader, root->line, "decode %s does not fit the task %s", hs_decode_name(decode),
                           hs_task_name(pack->task));
        if (decode == HS_DECODE_YOLO_POSE_DECODED && pack->files[i].scores != HS_SCORES_PROBABILITIES)
            hs_schema_fail(reader, root->line, "yolo-pose-decoded outputs have scores: probabilities");
    }
}

static void read_pack(struct hs_schema *reader, const struct hs_node *root, struct hs_pack *pack)
{
    static const char *const keys[] = {"name", "task", "title", "licence", "input", "decode", "scores", "classes",
                                       "keypoints", "embedding", "detection", "openvino", "hailo", NULL};
    if (!hs_schema_map(reader, root, "a pack", keys))
        return;
    const char *name = hs_schema_text(reader, root, "name", true, HS_PACK_NAME_SIZE);
    if (name && !hs_pack_name_valid(name))
        hs_schema_fail(reader, hs_node_get(root, "name")->line,
                       "`name` must be lower-case letters, digits, '-', '_' and '.', at most %d",
                       HS_PACK_NAME_SIZE - 1);
    if (reader->status < 0)
        return;
    hs_str_copy(pack->name, sizeof(pack->name), name);
    pack->task = (enum hs_task) hs_schema_word(reader, root, "task", true, tasks, 0);
    pack->title = hs_schema_text(reader, root, "title", true, HS_PACK_TITLE_MAX);
    read_licence(reader, root, pack);
    read_input(reader, root, &pack->input);
    check_face_input(reader, root, pack);
    int decode = hs_schema_word(reader, root, "decode", true, hs_pack_decodes, 0);
    int scores = hs_schema_word(reader, root, "scores", false, hs_pack_scores,
                                decode == HS_DECODE_YOLO_POSE_RAW ? HS_SCORES_LOGITS : HS_SCORES_PROBABILITIES);
    pack->classes = read_labels(reader, hs_schema_node(reader, root, "classes", pack->task == HS_TASK_POSE), "classes",
                                HS_MODEL_MAX_CLASSES, &pack->class_count);
    read_keypoints(reader, root, pack);
    read_embedding(reader, root, pack);
    read_detection(reader, root, pack);
    hs_pack_read_files(reader, root, (enum hs_decode) decode, (enum hs_scores) scores, pack);
    check_decode(reader, root, pack);
}

int hs_pack_parse(const char *text, size_t len, const char *name, struct hs_pack **ret_pack, struct hs_error *err)
{
    struct hs_pack *pack = calloc(1, sizeof(*pack));
    if (!pack)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    int status = hs_doc_parse(text, len, name, &pack->doc, err);
    if (status == 0) {
        struct hs_schema reader = {.name = name, .err = err};
        read_pack(&reader, hs_doc_root(pack->doc), pack);
        status = reader.status;
    }
    if (status < 0) {
        hs_pack_destroy(pack);
        return status;
    }
    *ret_pack = pack;
    return 0;
}

int hs_pack_load(const char *path, struct hs_pack **ret_pack, struct hs_error *err)
{
    uint8_t *text;
    size_t len;
    int status = hs_file_read(path, PACK_FILE_MAX, &text, &len, err);
    if (status < 0)
        return status;
    struct hs_pack *pack = NULL;
    status = hs_pack_parse((const char *) text, len, path, &pack, err);
    free(text);
    if (status < 0)
        return status;
    pack->path = strdup(path);
    if (!pack->path) {
        hs_pack_destroy(pack);
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    }
    *ret_pack = pack;
    return 0;
}

void hs_pack_destroy(struct hs_pack *pack)
{
    if (!pack)
        return;
    free(pack->classes);
    free(pack->keypoints);
    free(pack->edges);
    free(pack->files);
    free(pack->path);
    hs_doc_destroy(pack->doc);
    free(pack);
}

/* "5.2" fits 5.2, 5.2.0 and 5.2.1, but not 5.20. */
static bool runtime_fits(const char *wanted, const char *have)
{
    size_t len = strlen(wanted);
    return strncmp(wanted, have, len) == 0 && (have[len] == '\0' || have[len] == '.');
}

bool hs_pack_file_fits(const struct hs_pack_file *file, const char *backend, const char *runtime)
{
    return strcmp(file->backend, backend) == 0 && (!file->runtime || !runtime || runtime_fits(file->runtime, runtime));
}

bool hs_pack_serves(const struct hs_pack *pack, const enum hs_task *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (wanted[i] == pack->task)
            return true;
    return false;
}

const struct hs_pack_file *hs_pack_find_file(const struct hs_pack *pack, const char *backend, const char *runtime)
{
    for (size_t i = 0; i < pack->file_count; i++)
        if (hs_pack_file_fits(&pack->files[i], backend, runtime))
            return &pack->files[i];
    return NULL;
}

void hs_pack_spec(const struct hs_pack *pack, const char *path, struct hs_model_spec *ret_spec)
{
    *ret_spec = (struct hs_model_spec){
        .path = path,
        .input_h = pack->input.height,
        .input_w = pack->input.width,
        .slots = 1,
        .batch = 1,
        .finding = pack->task == HS_TASK_POSE             ? HS_FINDS_POSES
                   : pack->task == HS_TASK_FACE_DETECTION ? HS_FINDS_FACES
                                                          : HS_FINDS_EMBEDDINGS,
        .precision = HS_PRECISION_AUTO,
        .bgr = pack->input.bgr,
    };
    memcpy(ret_spec->mean, pack->input.mean, sizeof(ret_spec->mean));
    memcpy(ret_spec->std, pack->input.std, sizeof(ret_spec->std));
}
