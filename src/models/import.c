/* An import works in `.<name>.import` inside the store and ends with two renames: first the model
 * file, whose name contains its hash, then the pack that names it. A replaced model stays complete
 * until the new pack is in place. */
#include "models/import.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/str.h"
#include "convert/model_shape.h"
#include "convert/onnx_info.h"
#include "convert/pt2onnx.h"
#include "convert/pt_archive.h"
#include "models/file_install.h"

enum { PACK_TEXT_MAX = 256 << 10 };
#define DEFAULT_THRESHOLD 0.5 /* for an embedding whose threshold was not measured */
static const uint64_t import_max_bytes = UINT64_C(1) << 30;

enum file_kind { KIND_CHECKPOINT, KIND_ONNX, KIND_HEF };

struct import {
    struct hs_store *store;
    const struct hs_import_options *options;
    enum file_kind kind;
    struct hs_model_shape shape;
    char file_licence[HS_PACK_TITLE_MAX + 1];
    const char *licence; /* the user's, else from the file */
    char work[PATH_MAX]; /* path of the model file before it is installed */
    char file_name[128]; /* file name in the store */
    char sha256[65];
    uint64_t size;
};

/* ---- kinds of files ---- */

/* A checkpoint is a zip archive or has torch's older format. A HEF begins with the magic number
 * 0x01484546 (big-endian). An ONNX file begins with field 1 (ir_version) or, rarely, another field
 * of ModelProto, and its own reader checks it. */
static int find_kind(struct import *import, struct hs_error *err)
{
    const char *path = import->options->file;
    uint8_t head[4] = { 0 };
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return hs_error_set(err, errno == ENOENT ? HS_ENOTFOUND : HS_EIO, "cannot read %s: %s", path, strerror(errno));
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    ssize_t got = regular ? read(fd, head, sizeof(head)) : 0;
    close(fd);
    bool zip = got == 4 && memcmp(head, "PK\x03\x04", 4) == 0;
    import->kind = zip || (regular && hs_pt_is_old_format(path)) ? KIND_CHECKPOINT
                   : got == 4 && memcmp(head, "\x01HEF", 4) == 0 ? KIND_HEF
                                                                 : KIND_ONNX;
    return regular ? 0 : hs_error_set(err, HS_EIO, "%s is not a regular file", path);
}

static int check_name(const struct import *import, struct hs_error *err)
{
    const char *name = import->options->name;
    if (!name || !hs_pack_name_valid(name))
        return hs_error_set(err, HS_EINVAL,
                            "a model name has lower-case letters, digits, '-', '_' and '.', at most %d characters",
                            HS_PACK_NAME_SIZE - 1);
    if (hs_pack_name_equal(name, "auto"))
        return hs_error_set(err, HS_EINVAL, "`auto` is reserved: it selects the best model; use another name");
    const struct hs_pack *pack = hs_store_find(import->store, name);
    if (pack && !pack->imported)
        return hs_error_set(err, HS_ECONFLICT, "%s is a built-in model; use another name", pack->name);
    if (pack && !import->options->force)
        return hs_error_set(err, HS_ECONFLICT, "the model %s already exists; replace it with --force", pack->name);
    return 0;
}

/* ---- the model file ---- */

static bool is_allowed_task(const struct import *import, enum hs_task task)
{
    const struct hs_import_options *options = import->options;
    for (size_t i = 0; i < options->task_count; i++)
        if (options->tasks[i] == task)
            return true;
    return options->task_count == 0;
}

/* Refuses a model for a task that this program does not serve, and options for another kind of
 * model. */
static int check_task(const struct import *import, struct hs_error *err)
{
    const struct hs_import_options *options = import->options;
    const char *task = hs_task_name(import->shape.task);
    bool pose = import->shape.task == HS_TASK_POSE;
    if (!is_allowed_task(import, import->shape.task))
        return hs_error_set(err, HS_EMODEL, "this program does not serve %s models", task);
    if (!pose && (options->keypoints || options->dims || options->classes))
        return hs_error_set(err, HS_EINVAL, "keypoints, dims and classes apply to pose models only; this is a %s model",
                            task);
    if (pose && options->normalize)
        return hs_error_set(err, HS_EINVAL, "a normalisation applies to face models only; this is a pose model");
    if (options->threshold > 0 && import->shape.task != HS_TASK_FACE_EMBEDDING)
        return hs_error_set(err, HS_EINVAL, "a threshold applies to face-embedding models only; this is a %s model",
                            task);
    return 0;
}

/* Parses "MEAN,STD": one number each for all channels. */
static int read_normalize(struct import *import, struct hs_error *err)
{
    const char *text = import->options->normalize, *comma = text ? strchr(text, ',') : NULL;
    char first[40];
    double mean, std;
    if (!text)
        return 0;
    if (!comma || !hs_str_copy_n(first, sizeof(first), text, (size_t) (comma - text)) ||
        !hs_str_to_double(first, &mean) || !hs_str_to_double(comma + 1, &std) || !(mean >= -1e6 && mean <= 1e6) ||
        !(std >= 1e-6 && std <= 1e6))
        return hs_error_set(err, HS_EINVAL, "a normalisation must be MEAN,STD, such as 127.5,128");
    for (int i = 0; i < 3; i++) {
        import->shape.mean[i] = (float) mean;
        import->shape.std[i] = (float) std;
    }
    return 0;
}

static int read_shape(struct import *import, struct hs_error *err)
{
    struct hs_onnx_info *info;
    enum hs_decode decode;
    int r = hs_onnx_info_load(import->work, &info, err);
    if (r < 0)
        return r;
    /* A task named in the file takes precedence over the shapes of its outputs. */
    if (hs_onnx_info_prop(info, "task") || !hs_face_shape_match(info, &decode))
        r = hs_pose_shape_read(info, &import->shape, err);
    else if ((r = hs_face_shape_read(info, decode, &import->shape, err)) == 0)
        r = read_normalize(import, err);
    const char *licence = hs_onnx_info_prop(info, "license");
    if (licence && licence[0] && strcmp(licence, "None") != 0)
        hs_str_copy(import->file_licence, sizeof(import->file_licence), licence);
    hs_onnx_info_destroy(info);
    return r;
}

/* Writes the model file under its working name, reads its properties, and names it after its hash. */
static int make_file(struct import *import, struct hs_error *err)
{
    const struct hs_import_options *options = import->options;
    struct hs_model_shape *shape = &import->shape;
    struct hs_error local = { 0 };
    struct hs_pt2onnx_info converted = { 0 };
    struct stat st;
    int r;
    *shape = (struct hs_model_shape) {
        .classes = options->classes, .keypoints = options->keypoints, .dims = options->dims, .input = options->input
    };
    if (import->kind == KIND_HEF && !is_allowed_task(import, HS_TASK_POSE))
        return hs_error_set(err, HS_EMODEL,
                            "cannot import a HEF: it does not describe its network; write a pack instead");
    if (import->kind == KIND_CHECKPOINT)
        r = hs_pt2onnx_convert(options->file, import->work, NULL, &converted, err);
    else
        r = hs_install_copy(options->file, import->work, import_max_bytes, err);
    if (r < 0)
        return r;
    if (shape->input == 0 && converted.image_size % 32 == 0)
        shape->input = converted.image_size;
    if (import->kind != KIND_HEF) {
        r = read_shape(import, &local);
    } else {
        /* A HEF's contents are not read here. If pose models are served, it is taken for a model
         * compiled from Hailo's zoo (nine raw tensors, with the sigmoid in the network) unless the
         * options specify otherwise. */
        shape->decode = HS_DECODE_YOLO_POSE_RAW;
        shape->scores = HS_SCORES_PROBABILITIES;
        shape->classes = shape->classes ? shape->classes : 1;
        shape->keypoints = shape->keypoints ? shape->keypoints : 17;
        shape->dims = shape->dims ? shape->dims : 3;
        shape->width = shape->height = shape->input ? shape->input : 640;
        shape->std[0] = shape->std[1] = shape->std[2] = 255;
    }
    /* Report the user's file name, not that of the copy. */
    if (r < 0)
        return hs_error_set(err, r, "%s: %s", hs_path_base(options->file), local.message);
    r = check_task(import, err);
    if (r == 0)
        r = hs_file_sha256(import->work, import->sha256, err);
    if (r == 0 && stat(import->work, &st) < 0)
        r = hs_error_set(err, HS_EIO, "cannot read %s: %s", import->work, strerror(errno));
    if (r < 0)
        return r;
    import->size = (uint64_t) st.st_size;
    hs_str_format(import->file_name, sizeof(import->file_name), "%s-%.12s.%s", options->name, import->sha256,
                  import->kind == KIND_HEF ? "hef" : "onnx");
    return 0;
}

/* ---- the pack ---- */

/* Writes a double-quoted YAML string (JSON strings are valid YAML). Replaces control characters
 * with '?', because packs refuse them. */
static void put_text(struct hs_buf *out, const char *text)
{
    char *line = strdup(text);
    if (line) {
        hs_str_make_line(line);
        hs_json_put_string(out, line, strlen(line), false);
    } else {
        out->error = HS_ENOMEM;
    }
    free(line);
}

/* True if the label is short, printable and unique, as packs require, and does not begin with
 * `prefix`, which is reserved for the labels that replace unusable ones. */
static bool is_usable_label(const struct hs_label_list *labels, size_t index, const char *prefix)
{
    const char *label = labels->labels[index];
    char line[HS_PACK_LABEL_MAX + 1];
    bool usable = hs_str_copy(line, sizeof(line), label) && label[0] && !hs_str_starts(label, prefix);
    hs_str_make_line(line);
    usable = usable && strcmp(line, label) == 0;
    for (size_t i = 0; usable && i < index; i++)
        usable = strcmp(labels->labels[i], label) != 0;
    return usable;
}

static void put_classes(struct hs_buf *out, const struct hs_model_shape *shape)
{
    const struct hs_label_list *labels = &shape->labels;
    hs_buf_append_str(out, "classes:\n");
    for (int i = 0; i < shape->classes; i++) {
        char generated[24];
        hs_str_format(generated, sizeof(generated), "class_%d", i);
        hs_buf_append_str(out, "  - ");
        if (labels->count)
            put_text(out, is_usable_label(labels, (size_t) i, "class_") ? labels->labels[i] : generated);
        else
            put_text(out, shape->classes == 1 ? "person" : generated);
        hs_buf_append_str(out, "\n");
    }
}

/* `coco` NULL: uses the file's names, except unusable ones. */
static void put_keypoints(struct hs_buf *out, const struct hs_model_shape *shape, const struct hs_pack *coco)
{
    const struct hs_label_list *names = &shape->keypoint_names;
    hs_buf_printf(out, "keypoints:\n  dims: %d\n  names:\n", shape->dims);
    for (int i = 0; i < shape->keypoints; i++) {
        char generated[24];
        hs_str_format(generated, sizeof(generated), "keypoint_%d", i);
        bool usable = (size_t) i < names->count && is_usable_label(names, (size_t) i, "keypoint_");
        hs_buf_append_str(out, "    - ");
        put_text(out, coco ? coco->keypoints[i] : usable ? names->labels[i] : generated);
        hs_buf_append_str(out, "\n");
    }
    if (!coco)
        return;
    hs_buf_append_str(out, "  edges:\n");
    for (size_t i = 0; i < coco->edge_count; i++)
        hs_buf_printf(out, "    - [%s, %s]\n", coco->keypoints[coco->edges[i][0]], coco->keypoints[coco->edges[i][1]]);
}

static void put_number(struct hs_buf *out, double value)
{
    char text[32];
    hs_str_from_double(value, text);
    hs_buf_append_str(out, text);
}

static void put_triple(struct hs_buf *out, const char *key, const float values[3])
{
    hs_buf_printf(out, "  %s: [", key);
    for (int i = 0; i < 3; i++) {
        hs_buf_append_str(out, i ? ", " : "");
        put_number(out, (double) values[i]);
    }
    hs_buf_append_str(out, "]\n");
}

/* Returns a shipped pack with COCO's keypoints and edges if the model has 17 keypoints and the one
 * class person (or no class names), unless the file names other keypoints. */
static const struct hs_pack *find_coco(const struct import *import)
{
    const struct hs_model_shape *shape = &import->shape;
    const struct hs_label_list *names = &shape->keypoint_names;
    bool person = shape->classes == 1 && (shape->labels.count == 0 || strcmp(shape->labels.labels[0], "person") == 0);
    for (size_t i = 0; person && shape->keypoints == 17 && i < hs_store_count(import->store); i++) {
        const struct hs_pack *pack = hs_store_pack(import->store, i);
        if (pack->imported || pack->task != HS_TASK_POSE || pack->keypoint_count != 17)
            continue;
        bool same = true;
        for (size_t k = 0; same && k < names->count; k++)
            same = strcmp(names->labels[k], pack->keypoints[k]) == 0;
        return same ? pack : NULL;
    }
    return NULL;
}

static void put_pack(const struct import *import, struct hs_buf *out)
{
    const struct hs_import_options *options = import->options;
    const struct hs_model_shape *shape = &import->shape;
    char title[HS_PACK_TITLE_MAX + 1];
    hs_str_copy(title, sizeof(title), hs_path_base(options->file));
    hs_buf_printf(out, "name: \"%s\"\ntask: %s\ntitle: ", options->name, hs_task_name(shape->task));
    put_text(out, options->title ? options->title : title);
    hs_buf_append_str(out, "\nlicence:\n  name: ");
    put_text(out, import->licence);
    hs_buf_printf(out, "\ninput:\n  width: %d\n  height: %d\n", shape->width, shape->height);
    if (shape->stride)
        hs_buf_printf(out, "  stride: %d\n", shape->stride);
    put_triple(out, "mean", shape->mean);
    put_triple(out, "std", shape->std);
    if (shape->task != HS_TASK_POSE)
        hs_buf_printf(out, "  channels: %s\n", shape->bgr ? "bgr" : "rgb");
    hs_buf_printf(out, "decode: %s\nscores: %s\n", hs_decode_name(shape->decode),
                  shape->scores == HS_SCORES_LOGITS ? "logits" : "probabilities");
    if (shape->task == HS_TASK_POSE) {
        put_classes(out, shape);
        put_keypoints(out, shape, find_coco(import));
    }
    /* The vectors are not comparable with those of another model, so the space's name contains the
     * pack's name and the file's hash. */
    if (shape->task == HS_TASK_FACE_EMBEDDING) {
        hs_buf_printf(out, "embedding:\n  space: \"%s-%.12s\"\n  dimension: %d\n  threshold: ", options->name,
                      import->sha256, shape->dimension);
        put_number(out, options->threshold > 0 ? options->threshold : DEFAULT_THRESHOLD);
        hs_buf_append_str(out, "\n");
    }
    hs_buf_printf(out, "%s:\n  file: \"%s\"\n  size: %llu\n  sha256: \"%s\"\n",
                  import->kind == KIND_HEF ? "hailo" : "openvino", import->file_name, (unsigned long long) import->size,
                  import->sha256);
}

/* ---- installing ---- */

static int install(const struct import *import, const struct hs_buf *text, struct hs_error *err)
{
    const struct hs_pack *old = hs_store_find(import->store, import->options->name);
    char folder[PATH_MAX], pack_path[PATH_MAX], file_path[PATH_MAX];
    if (!hs_store_path(import->store, "packs", folder, sizeof(folder)) ||
        !hs_str_format(pack_path, sizeof(pack_path), "%s/%s.yaml", folder, import->options->name) ||
        !hs_store_path(import->store, import->file_name, file_path, sizeof(file_path)))
        return hs_error_set(err, HS_EINVAL, "the path of the models folder is too long");
    /* Another import may have taken the name since the store was opened, or a pack that could not
     * be read has it. */
    if (!import->options->force && hs_file_exists(pack_path))
        return hs_error_set(err, HS_ECONFLICT, "the model %s already exists; replace it with --force",
                            import->options->name);
    bool same = hs_file_exists(file_path);
    int r = hs_dir_make(folder, err);
    if (r == 0)
        r = hs_install_move(import->work, file_path, err);
    if (r < 0)
        return r;
    r = hs_file_write_atomic(old ? old->path : pack_path, text->data, text->len, 0644, err);
    if (r == 0)
        for (size_t i = 0; old && i < old->file_count; i++) {
            if (strcmp(old->files[i].name, import->file_name) != 0 &&
                hs_store_path(import->store, old->files[i].name, file_path, sizeof(file_path)))
                unlink(file_path);
        }
    else if (!same)
        unlink(file_path);
    return r;
}

static char *summarise(const struct import *import)
{
    const struct hs_model_shape *shape = &import->shape;
    char *line = NULL, what[60];
    if (shape->task == HS_TASK_POSE)
        hs_str_format(what, sizeof(what), "%d class%s, %d keypoint%s", shape->classes, shape->classes == 1 ? "" : "es",
                      shape->keypoints, shape->keypoints == 1 ? "" : "s");
    else if (shape->task == HS_TASK_FACE_EMBEDDING)
        hs_str_format(what, sizeof(what), "%d numbers per face", shape->dimension);
    else
        hs_str_copy(what, sizeof(what), shape->points ? "faces with 5 points" : "faces without points");
    if (asprintf(&line, "%s: %s, %d x %d%s, %s, licence: %s", import->options->name, what, shape->width, shape->height,
                 shape->stride ? " (other sizes too)" : "", hs_decode_name(shape->decode), import->licence) < 0)
        return NULL;
    return line;
}

int hs_import(struct hs_store *store, const struct hs_import_options *options, char **ret_summary, struct hs_error *err)
{
    struct import *import = calloc(1, sizeof(*import));
    struct hs_pack *pack = NULL;
    struct hs_buf text;
    int lock = -1;
    hs_buf_init(&text, PACK_TEXT_MAX);
    if (!import)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    import->store = store;
    import->options = options;
    hs_str_copy(import->file_licence, sizeof(import->file_licence), "not stated");
    import->licence = options->licence ? options->licence : import->file_licence;
    int r = check_name(import, err);
    if (r == 0)
        r = find_kind(import, err);
    if (r == 0 &&
        !hs_str_format(import->work, sizeof(import->work), "%s/.%s.import", hs_store_dir(store), options->name))
        r = hs_error_set(err, HS_EINVAL, "the path of the models folder is too long");
    if (r == 0)
        r = hs_store_lock(store, options->name, true, &lock, err);
    if (r == 0) {
        r = make_file(import, err);
        if (r == 0)
            put_pack(import, &text);
        if (r == 0 && hs_buf_error(&text) < 0)
            r = hs_error_set(err, HS_ENOMEM, "out of memory");
        /* Parse the pack before it is installed: a pack that cannot be read must not enter the
         * store. */
        if (r == 0)
            r = hs_pack_parse((const char *) text.data, text.len, "the new pack", &pack, err);
        if (r == 0)
            r = install(import, &text, err);
        if (r < 0)
            unlink(import->work);
        hs_store_unlock(store, options->name, lock);
    }
    if (r == 0 && ret_summary)
        *ret_summary = summarise(import);
    hs_label_list_finish(&import->shape.labels);
    hs_label_list_finish(&import->shape.keypoint_names);
    hs_pack_destroy(pack);
    hs_buf_finish(&text);
    free(import);
    return r;
}
