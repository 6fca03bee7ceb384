#include "models/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "config/doc.h"
#include "models/schema_reader.h"

enum { PACK_FILE_MAX = 256 << 10, NOTE_MAX = 1000, ADDRESS_MAX = 1000, MEMBER_MAX = 500, PACKAGE_MAX = 100 };
static const uint64_t size_max = UINT64_C(1) << 32;

#define LOWER_CASE "abcdefghijklmnopqrstuvwxyz0123456789"
#define WORD_CHARS LOWER_CASE "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* In the order of their enums. */
static const char *const tasks[] = { "pose", "face-detection", "face-embedding", NULL };
static const char *const decodes[] = { "yolo-pose-raw", "yolo-pose-decoded", "scrfd", "retinaface", "arcface", NULL };
static const char *const scores_words[] = { "logits", "probabilities", NULL };

/* Keys of a pack that hold its files. */
static const char *const backends[] = { "openvino", "hailo" };

const char *hs_task_name(enum hs_task task)
{
    return tasks[task];
}

const char *hs_decode_name(enum hs_decode decode)
{
    return decodes[decode];
}

static char fold_char(char c)
{
    return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

bool hs_pack_name_equal(const char *a, const char *b)
{
    while (*a && fold_char(*a) == fold_char(*b)) {
        a++;
        b++;
    }
    return fold_char(*a) == fold_char(*b);
}

bool hs_pack_name_valid(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < HS_PACK_NAME_SIZE && strchr(LOWER_CASE, name[0]) && strspn(name, LOWER_CASE "-_.") == len;
}

bool hs_pack_file_name_valid(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= 120 && strchr(WORD_CHARS, name[0]) && strspn(name, WORD_CHARS "._-") == len;
}

/* ---- parts of the document ---- */

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
            hs_schema_fail(reader, list->line, "`%s` must be three numbers from %g to %g", key, min, max);
            return;
        }
        ret[i] = (float) value;
    }
}

static void read_input(struct hs_schema *reader, const struct hs_node *root, struct hs_pack_input *input)
{
    static const char *const channels[] = { "rgb", "bgr", NULL };
    const struct hs_node *map = hs_schema_node(reader, root, "input", true);
    if (!HS_SCHEMA_MAP(reader, map, "input", "width", "height", "stride", "mean", "std", "channels"))
        return;
    input->width = (int) hs_schema_int(reader, map, "width", true, 8, HS_MODEL_MAX_INPUT);
    input->height = (int) hs_schema_int(reader, map, "height", true, 8, HS_MODEL_MAX_INPUT);
    input->stride = (int) hs_schema_int(reader, map, "stride", false, 0, 1024);
    if (input->stride > 0 && (input->width % input->stride || input->height % input->stride))
        hs_schema_fail(reader, map->line, "width and height must be multiples of stride");
    for (int i = 0; i < 3; i++)
        input->std[i] = 1;
    read_triple(reader, map, "mean", -1e6, 1e6, input->mean);
    read_triple(reader, map, "std", 1e-6, 1e6, input->std);
    input->bgr = hs_schema_word(reader, map, "channels", false, channels, 0) == 1;
}

/* Reads a list of short, distinct strings. We own the array, the document owns the strings. */
static const char **read_labels(struct hs_schema *reader, const struct hs_node *list, const char *what, size_t max,
                                size_t *ret_count)
{
    if (reader->status < 0 || !list)
        return NULL;
    if (list->kind != HS_NODE_LIST || list->count == 0 || list->count > max) {
        hs_schema_fail(reader, list->line, "`%s` must be a list of 1 to %zu names", what, max);
        return NULL;
    }
    const char **labels = hs_schema_alloc(reader, list->count, sizeof(*labels));
    for (size_t i = 0; labels && i < list->count; i++) {
        labels[i] = hs_node_text(list->items[i]);
        bool fine = labels[i] && labels[i][0] && strlen(labels[i]) <= HS_PACK_LABEL_MAX;
        for (size_t k = 0; fine && k < i; k++)
            fine = strcmp(labels[i], labels[k]) != 0;
        if (!fine) {
            hs_schema_fail(reader, list->items[i]->line, "each of `%s` must be a unique name of at most %d characters",
                           what, HS_PACK_LABEL_MAX);
            free(labels);
            return NULL;
        }
    }
    *ret_count = labels ? list->count : 0;
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
    pack->edges = hs_schema_alloc(reader, list->count, sizeof(*pack->edges));
    for (size_t i = 0; pack->edges && i < list->count; i++) {
        const struct hs_node *pair = list->items[i];
        bool two = pair->kind == HS_NODE_LIST && pair->count == 2;
        int from = two ? find_keypoint(pack, pair->items[0]) : -1, to = two ? find_keypoint(pack, pair->items[1]) : -1;
        if (from < 0 || to < 0 || from == to) {
            hs_schema_fail(reader, pair->line, "an edge must be a pair of two different keypoint names");
            return;
        }
        pack->edges[i][0] = from;
        pack->edges[i][1] = to;
        pack->edge_count = i + 1;
    }
}

static void read_keypoints(struct hs_schema *reader, const struct hs_node *root, struct hs_pack *pack)
{
    const struct hs_node *map = hs_schema_node(reader, root, "keypoints", pack->task == HS_TASK_POSE);
    if (!HS_SCHEMA_MAP(reader, map, "keypoints", "dims", "names", "edges"))
        return;
    pack->keypoint_dims = (int) hs_schema_int(reader, map, "dims", true, 2, 3);
    pack->keypoints = read_labels(reader, hs_schema_node(reader, map, "names", true), "names", HS_MODEL_MAX_KEYPOINTS,
                                  &pack->keypoint_count);
    read_edges(reader, hs_schema_node(reader, map, "edges", false), pack);
}

/* Reads the keys that only packs of one face task have. */
static void read_face(struct hs_schema *reader, const struct hs_node *root, struct hs_pack *pack)
{
    struct hs_pack_embedding *embedding = &pack->embedding;
    bool wanted = pack->task == HS_TASK_FACE_EMBEDDING;
    const struct hs_node *map = hs_schema_node(reader, root, "embedding", wanted);
    if (map && !wanted)
        hs_schema_fail(reader, map->line, "only face-embedding packs have `embedding`");
    if (HS_SCHEMA_MAP(reader, map, "embedding", "space", "dimension", "threshold", "threshold_min")) {
        embedding->space = hs_schema_text(reader, map, "space", true, HS_PACK_SPACE_MAX);
        embedding->dimension = (int) hs_schema_int(reader, map, "dimension", true, 8, HS_MODEL_MAX_EMBEDDING);
        embedding->threshold = hs_schema_float(reader, map, "threshold", true, 0, 1);
        embedding->threshold_min = hs_schema_float(reader, map, "threshold_min", false, 0, 1);
        if (embedding->threshold_min > embedding->threshold)
            hs_schema_fail(reader, map->line, "`threshold` must not be below `threshold_min`");
    }
    map = hs_schema_node(reader, root, "detection", false);
    if (map && pack->task != HS_TASK_FACE_DETECTION)
        hs_schema_fail(reader, map->line, "only face-detection packs have `detection`");
    if (HS_SCHEMA_MAP(reader, map, "detection", "score", "iou")) {
        pack->detection.score = hs_schema_float(reader, map, "score", false, 0.01, 1);
        pack->detection.iou = hs_schema_float(reader, map, "iou", false, 0.01, 1);
    }
}

/* ---- files and their sources ---- */

/* Package names and versions become arguments of pip and npm, so they must not look like an option
 * or a path. A scope such as @scope/name is npm's only addition. */
static bool package_name_valid(const char *name)
{
    size_t scope = name[0] == '@' ? strspn(name + 1, LOWER_CASE "-._") : 0;
    return hs_pack_file_name_valid(scope > 0 && name[1 + scope] == '/' ? name + 2 + scope : name);
}

static const char *read_checked(struct hs_schema *reader, const struct hs_node *map, const char *key, bool needed,
                                bool (*valid)(const char *text), const char *what)
{
    const char *text = hs_schema_text(reader, map, key, needed, PACKAGE_MAX + 20);
    if (text && !valid(text)) {
        hs_schema_fail(reader, hs_node_get(map, key)->line, "`%s` is not a valid %s", key, what);
        return NULL;
    }
    return text;
}

/* Accepts plain http only for this machine: elsewhere, an attacker could change bytes whose hash is
 * not known. The host must be followed by a port and a path, so that it cannot be a user name for
 * another host (http://127.0.0.1:x@elsewhere/). */
static bool address_valid(const char *address)
{
    static const char *const here[] = { "http://127.0.0.1:", "http://localhost:" };
    for (size_t i = 0; i < HS_ARRAY_LEN(here); i++)
        if (hs_str_starts(address, here[i])) {
            const char *port = address + strlen(here[i]);
            size_t digits = strspn(port, "0123456789");
            return digits > 0 && port[digits] == '/';
        }
    return hs_str_starts(address, "https://");
}

static void read_package(struct hs_schema *reader, const struct hs_node *map, const char *registry,
                         struct hs_source *source)
{
    static const char *const kinds[] = { "wheel", "sdist", NULL };
    bool pypi = strcmp(registry, "pypi") == 0;
    if (pypi ? !HS_SCHEMA_MAP(reader, map, "pypi", "package", "version", "kind", "file", "sha256", "member",
                              "member_sha256")
             : !HS_SCHEMA_MAP(reader, map, "npm", "package", "version", "sha256", "member", "member_sha256"))
        return;
    source->kind = HS_SOURCE_NPM;
    source->address = read_checked(reader, map, "package", true, package_name_valid, "package name");
    source->version = read_checked(reader, map, "version", true, hs_pack_file_name_valid, "version");
    if (pypi) {
        bool sdist = hs_schema_word(reader, map, "kind", true, kinds, 0);
        source->kind = sdist ? HS_SOURCE_PYPI_SDIST : HS_SOURCE_PYPI_WHEEL;
        source->file = read_checked(reader, map, "file", true, hs_pack_file_name_valid, "file name");
    }
}

static void read_source(struct hs_schema *reader, const struct hs_node *map, struct hs_source *source)
{
    static const char *const kinds[] = { "https", "file", "pypi", "npm" };
    static const char *const conversions[] = { "pt2onnx", "free-size", "free-batch", NULL };
    const char *kind = NULL;
    int count = 0;
    if (!HS_SCHEMA_MAP(reader, map, "a source", "https", "file", "pypi", "npm", "convert", "sha256", "member",
                       "member_sha256"))
        return;
    for (size_t i = 0; i < HS_ARRAY_LEN(kinds); i++)
        if (hs_node_get(map, kinds[i])) {
            kind = kinds[i];
            count++;
        }
    if (count != 1) {
        hs_schema_fail(reader, map->line, "a source must have exactly one of: https, file, pypi, npm");
        return;
    }
    const struct hs_node *node = hs_node_get(map, kind), *archive = map;
    bool https = strcmp(kind, "https") == 0, package = !https && strcmp(kind, "file") != 0;
    if (package && (hs_node_get(map, "sha256") || hs_node_get(map, "member") || hs_node_get(map, "member_sha256"))) {
        hs_schema_fail(reader, map->line, "`sha256` and `member` of a package belong under `%s`", kind);
        return;
    }
    if (package) {
        archive = node;
        read_package(reader, archive, kind, source);
    } else {
        source->kind = https ? HS_SOURCE_HTTPS : HS_SOURCE_FILE;
        source->address = hs_schema_text(reader, map, kind, true, ADDRESS_MAX);
        if (source->address && https && !address_valid(source->address))
            hs_schema_fail(reader, node->line, "`https` must begin with https://");
        if (source->address && !https && source->address[0] != '/')
            hs_schema_fail(reader, node->line, "`file` must be an absolute path");
    }
    source->sha256 = hs_schema_sha256(reader, archive, "sha256");
    source->member = hs_schema_text(reader, archive, "member", package, MEMBER_MAX);
    source->member_sha256 = hs_schema_sha256(reader, archive, "member_sha256");
    source->convert = (enum hs_convert)(1 + hs_schema_word(reader, map, "convert", false, conversions, -1));
    if (source->member_sha256 && !source->member)
        hs_schema_fail(reader, map->line, "`member_sha256` requires `member`");
    /* Some archives on the web have no published hash; the first fetch records that of the member. */
    if (source->member && !source->sha256 && !https)
        hs_schema_fail(reader, map->line, "an archive requires `sha256`");
}

static void read_file(struct hs_schema *reader, const struct hs_node *map, const char *backend,
                      struct hs_pack_file *file)
{
    if (!HS_SCHEMA_MAP(reader, map, backend, "file", "runtime", "size", "sha256", "decode", "scores", "sources"))
        return;
    file->backend = backend;
    file->name = read_checked(reader, map, "file", true, hs_pack_file_name_valid, "file name");
    /* Reserved for the store. */
    static const char *const own[] = { ".part", ".from", ".sha256", ".lock", ".tmp" };
    for (size_t i = 0; file->name && i < HS_ARRAY_LEN(own); i++)
        if (hs_str_ends(file->name, own[i]))
            hs_schema_fail(reader, hs_node_get(map, "file")->line, "`file` must not end in %s", own[i]);
    file->runtime = read_checked(reader, map, "runtime", false, hs_pack_file_name_valid, "version");
    file->size = (uint64_t) hs_schema_int(reader, map, "size", false, 1, (long long) size_max);
    file->sha256 = hs_schema_sha256(reader, map, "sha256");
    file->decode = (enum hs_decode) hs_schema_word(reader, map, "decode", false, decodes, (int) file->decode);
    file->scores = (enum hs_scores) hs_schema_word(reader, map, "scores", false, scores_words, (int) file->scores);
    const struct hs_node *sources = hs_schema_node(reader, map, "sources", false);
    if (!sources)
        return;
    if (sources->kind != HS_NODE_LIST || sources->count > HS_PACK_MAX_SOURCES) {
        hs_schema_fail(reader, sources->line, "`sources` must be a list of at most %d", HS_PACK_MAX_SOURCES);
        return;
    }
    for (size_t i = 0; i < sources->count && reader->status == 0; i++)
        read_source(reader, sources->items[i], &file->sources[file->source_count++]);
}

/* Counts the files of a backend: one map, or a list of maps for different runtimes. */
static size_t count_files(const struct hs_node *page)
{
    return !page ? 0 : page->kind == HS_NODE_LIST ? page->count : 1;
}

/* `decode` and `scores` are the defaults for files that do not specify them. */
static void read_files(struct hs_schema *reader, const struct hs_node *root, enum hs_decode decode,
                       enum hs_scores scores, struct hs_pack *pack)
{
    size_t count = 0;
    for (size_t b = 0; b < HS_ARRAY_LEN(backends); b++)
        count += count_files(hs_node_get(root, backends[b]));
    if (count == 0 || count > HS_PACK_MAX_FILES)
        hs_schema_fail(reader, root->line, "a pack must have 1 to %d files (under openvino, hailo)", HS_PACK_MAX_FILES);
    pack->files = hs_schema_alloc(reader, count, sizeof(*pack->files));
    for (size_t b = 0; pack->files && b < HS_ARRAY_LEN(backends); b++) {
        const struct hs_node *page = hs_node_get(root, backends[b]);
        for (size_t i = 0; i < count_files(page) && reader->status == 0; i++) {
            struct hs_pack_file *file = &pack->files[pack->file_count++];
            file->decode = decode;
            file->scores = scores;
            read_file(reader, page->kind == HS_NODE_LIST ? page->items[i] : page, backends[b], file);
        }
    }
}

/* ---- the document ---- */

/* Checks that input and files fit the task. Face alignment has a template for one size only. */
static void check_task(struct hs_schema *reader, const struct hs_node *root, const struct hs_pack *pack)
{
    const struct hs_pack_input *input = &pack->input;
    if (reader->status == 0 && pack->task == HS_TASK_FACE_EMBEDDING &&
        (input->width != HS_MODEL_FACE_SIDE || input->height != HS_MODEL_FACE_SIDE || input->stride != 0))
        hs_schema_fail(reader, hs_node_get(root, "input")->line,
                       "the input of a face-embedding pack must be %d x %d, without stride", HS_MODEL_FACE_SIDE,
                       HS_MODEL_FACE_SIDE);
    for (size_t i = 0; i < pack->file_count && reader->status == 0; i++) {
        enum hs_decode decode = pack->files[i].decode;
        bool pose = decode == HS_DECODE_YOLO_POSE_RAW || decode == HS_DECODE_YOLO_POSE_DECODED;
        bool embedding = decode == HS_DECODE_ARCFACE;
        if (pose != (pack->task == HS_TASK_POSE) || embedding != (pack->task == HS_TASK_FACE_EMBEDDING))
            hs_schema_fail(reader, root->line, "`decode: %s` does not match the task %s", hs_decode_name(decode),
                           hs_task_name(pack->task));
        if (decode == HS_DECODE_YOLO_POSE_DECODED && pack->files[i].scores != HS_SCORES_PROBABILITIES)
            hs_schema_fail(reader, root->line, "`decode: yolo-pose-decoded` requires `scores: probabilities`");
    }
}

static void read_pack(struct hs_schema *reader, const struct hs_node *root, struct hs_pack *pack)
{
    if (!HS_SCHEMA_MAP(reader, root, "a pack", "name", "task", "title", "licence", "input", "decode", "scores",
                       "classes", "keypoints", "embedding", "detection", "openvino", "hailo"))
        return;
    const char *name = hs_schema_text(reader, root, "name", true, HS_PACK_NAME_SIZE);
    if (name && !hs_pack_name_valid(name))
        hs_schema_fail(reader, hs_node_get(root, "name")->line,
                       "`name` must consist of lower-case letters, digits, '-', '_' and '.', at most %d characters",
                       HS_PACK_NAME_SIZE - 1);
    if (reader->status < 0)
        return;
    hs_str_copy(pack->name, sizeof(pack->name), name);
    pack->task = (enum hs_task) hs_schema_word(reader, root, "task", true, tasks, 0);
    pack->title = hs_schema_text(reader, root, "title", true, HS_PACK_TITLE_MAX);
    const struct hs_node *licence = hs_schema_node(reader, root, "licence", true);
    if (HS_SCHEMA_MAP(reader, licence, "licence", "name", "url", "note")) {
        pack->licence_name = hs_schema_text(reader, licence, "name", true, HS_PACK_TITLE_MAX);
        pack->licence_url = hs_schema_text(reader, licence, "url", false, NOTE_MAX);
        pack->licence_note = hs_schema_text(reader, licence, "note", false, NOTE_MAX);
    }
    read_input(reader, root, &pack->input);
    int decode = hs_schema_word(reader, root, "decode", true, decodes, 0);
    int scores = hs_schema_word(reader, root, "scores", false, scores_words,
                                decode == HS_DECODE_YOLO_POSE_RAW ? HS_SCORES_LOGITS : HS_SCORES_PROBABILITIES);
    pack->classes = read_labels(reader, hs_schema_node(reader, root, "classes", pack->task == HS_TASK_POSE), "classes",
                                HS_MODEL_MAX_CLASSES, &pack->class_count);
    read_keypoints(reader, root, pack);
    read_face(reader, root, pack);
    read_files(reader, root, (enum hs_decode) decode, (enum hs_scores) scores, pack);
    check_task(reader, root, pack);
}

int hs_pack_parse(const char *text, size_t len, const char *name, struct hs_pack **ret_pack, struct hs_error *err)
{
    struct hs_pack *pack = calloc(1, sizeof(*pack));
    if (!pack)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    int r = hs_doc_parse(text, len, name, &pack->doc, err);
    if (r == 0) {
        struct hs_schema reader = { .name = name, .err = err };
        read_pack(&reader, hs_doc_root(pack->doc), pack);
        r = reader.status;
    }
    if (r < 0) {
        hs_pack_destroy(pack);
        return r;
    }
    *ret_pack = pack;
    return 0;
}

int hs_pack_load(const char *path, struct hs_pack **ret_pack, struct hs_error *err)
{
    uint8_t *text;
    size_t len;
    int r = hs_file_read(path, PACK_FILE_MAX, &text, &len, err);
    if (r < 0)
        return r;
    struct hs_pack *pack = NULL;
    r = hs_pack_parse((const char *) text, len, path, &pack, err);
    free(text);
    if (r < 0)
        return r;
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

bool hs_pack_file_fits(const struct hs_pack_file *file, const char *backend, const char *runtime)
{
    size_t len = file->runtime ? strlen(file->runtime) : 0;
    if (strcmp(file->backend, backend) != 0 || !file->runtime || !runtime)
        return strcmp(file->backend, backend) == 0;
    /* "5.2" fits 5.2, 5.2.0 and 5.2.1, but not 5.20. */
    return strncmp(file->runtime, runtime, len) == 0 && (runtime[len] == '\0' || runtime[len] == '.');
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
    *ret_spec = (struct hs_model_spec) {
        .path = path,
        .input_h = pack->input.height,
        .input_w = pack->input.width,
        .slots = 1,
        .batch = 1,
        .output_kind = pack->task == HS_TASK_POSE             ? HS_OUTPUT_POSES
                       : pack->task == HS_TASK_FACE_DETECTION ? HS_OUTPUT_FACES
                                                              : HS_OUTPUT_EMBEDDINGS,
        .precision = HS_PRECISION_AUTO,
        .bgr = pack->input.bgr,
    };
    memcpy(ret_spec->mean, pack->input.mean, sizeof(ret_spec->mean));
    memcpy(ret_spec->std, pack->input.std, sizeof(ret_spec->std));
}
