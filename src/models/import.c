/* An import works in `.<name>.import` inside the store and ends with two renames: the model file under a name that
 * holds its hash, then the pack that names it. A replaced model stays whole until the new pack is in place. */
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
#include "base/str.h"
#include "models/copy.h"
#include "models/onnx_info.h"
#include "models/pose_shape.h"
#include "models/pt2onnx.h"

enum { PACK_TEXT_MAX = 256 << 10 };
static const uint64_t import_max_bytes = UINT64_C(1) << 30;

enum file_kind { KIND_CHECKPOINT, KIND_ONNX, KIND_HEF };

struct import {
    struct hs_store *store;
    const struct hs_import_options *options;
    enum file_kind kind;
    struct hs_pose_shape shape;
    char licence[HS_PACK_TITLE_MAX + 1];
    char work[PATH_MAX];      /* the model file before it has its name */
    char file_name[128];      /* its name in the store */
    char sha256[65];
    uint64_t size;
};

/* ---- what kind of file ---- */

/* A checkpoint is a zip archive; a HEF begins with its magic number 0x01484546 (big-endian); an ONNX file begins with
 * field 1 (ir_version) or, rarely, another field of ModelProto, and is left to its own reader. */
static int find_kind(struct import *import, struct hs_error *err)
{
    const char *path = import->options->file;
    uint8_t head[4] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        int status = hs_error_set(err, fd < 0 && errno == ENOENT ? HS_ENOTFOUND : HS_EIO, "cannot read %s: %s", path,
                                  fd < 0 ? strerror(errno) : "no regular file");
        if (fd >= 0)
            close(fd);
        return status;
    }
    ssize_t got = read(fd, head, sizeof(head));
    close(fd);
    if (got == 4 && memcmp(head, "PK\x03\x04", 4) == 0)
        import->kind = KIND_CHECKPOINT;
    else if (got == 4 && memcmp(head, "\x01HEF", 4) == 0)
        import->kind = KIND_HEF;
    else
        import->kind = KIND_ONNX;
    return 0;
}

static int check_name(const struct import *import, struct hs_error *err)
{
    const char *name = import->options->name;
    if (!name || !hs_pack_name_valid(name))
        return hs_error_set(err, HS_EINVAL,
                            "a model's name is lower-case letters, digits, '-', '_' and '.', at most %d",
                            HS_PACK_NAME_SIZE - 1);
    if (hs_pack_name_equal(name, "auto"))
        return hs_error_set(err, HS_EINVAL, "`auto` is no name for a model: it means the best one");
    const struct hs_pack *pack = hs_store_find(import->store, name);
    if (pack && !pack->imported)
        return hs_error_set(err, HS_ECONFLICT, "%s is one of the models that come with this program", pack->name);
    if (pack && !import->options->force)
        return hs_error_set(err, HS_ECONFLICT, "there is a model %s already; --force replaces it", pack->name);
    return 0;
}

/* ---- the model file ---- */

static int read_shape(struct import *import, struct hs_error *err)
{
    struct hs_onnx_info *info;
    int status = hs_onnx_info_load(import->work, &info, err);
    if (status < 0)
        return status;
    status = hs_pose_shape_read(info, &import->shape, err);
    const char *licence = hs_onnx_info_prop(info, "license");
    if (status == 0 && licence && strcmp(licence, "None") != 0)
        hs_str_copy(import->licence, sizeof(import->licence), licence);
    hs_onnx_info_destroy(info);
    return status;
}

/* The copy that is looked into has another name than the file that people know. */
static int read_shape_of(struct import *import, struct hs_error *err)
{
    struct hs_error local = {0};
    int status = read_shape(import, &local);
    if (status < 0)
        hs_error_set(err, status, "%s: %s", hs_path_base(import->options->file), local.message);
    return status;
}

/* A HEF says nothing that is read here: it is taken for what Hailo's zoo compiles, nine raw tensors with the sigmoid in
 * the network, unless the options say otherwise. */
static void assume_hef(struct import *import)
{
    struct hs_pose_shape *shape = &import->shape;
    shape->decode = HS_DECODE_YOLO_POSE_RAW;
    shape->scores = HS_SCORES_PROBABILITIES;
    shape->classes = shape->classes ? shape->classes : 1;
    shape->keypoints = shape->keypoints ? shape->keypoints : 17;
    shape->dims = shape->dims ? shape->dims : 3;
    shape->width = shape->height = shape->input ? shape->input : 640;
}

static int make_file(struct import *import, struct hs_error *err)
{
    const struct hs_import_options *options = import->options;
    import->shape = (struct hs_pose_shape){.classes = options->classes, .keypoints = options->keypoints,
                                           .dims = options->dims, .input = options->input};
    int status;
    if (import->kind == KIND_CHECKPOINT) {
        struct hs_pt2onnx_info converted;
        status = hs_pt2onnx_convert(options->file, import->work, NULL, &converted, err);
        if (status < 0)
            return status;
        if (import->shape.input == 0 && converted.image_size > 0 && converted.image_size % 32 == 0)
            import->shape.input = converted.image_size;
        hs_pt2onnx_info_finish(&converted);
    } else {
        status = hs_copy_file(options->file, import->work, import_max_bytes, err);
    }
    if (status < 0)
        return status;
    if (import->kind == KIND_HEF)
        assume_hef(import);
    else
        status = read_shape_of(import, err);
    return status;
}

static int name_file(struct import *import, struct hs_error *err)
{
    struct stat st;
    int status = hs_file_sha256(import->work, import->sha256, err);
    if (status < 0)
        return status;
    if (stat(import->work, &st) < 0)
        return hs_error_set(err, HS_EIO, "cannot read %s: %s", import->work, strerror(errno));
    import->size = (uint64_t) st.st_size;
    hs_str_format(import->file_name, sizeof(import->file_name), "%s-%.12s.%s", import->options->name, import->sha256,
                  import->kind == KIND_HEF ? "hef" : "onnx");
    return 0;
}

/* ---- the pack ---- */

/* A double-quoted YAML text. Control characters become '?': packs refuse them. */
static void put_text(struct hs_buf *out, const char *text)
{
    hs_buf_append_str(out, "\"");
    for (size_t left = strlen(text); left > 0;) {
        size_t len = hs_utf8_sequence(text, left);
        if (len == 0 || (unsigned char) *text < 32 || *text == 127) {
            hs_buf_append_str(out, "?");
            len = 1;
        } else {
            if (*text == '"' || *text == '\\')
                hs_buf_append_str(out, "\\");
            hs_buf_append(out, text, len);
        }
        text += len;
        left -= len;
    }
    hs_buf_append_str(out, "\"");
}

/* Packs want short names, no two alike, which the file's need not be. */
static bool label_usable(const struct hs_label_list *labels, size_t index)
{
    const char *label = labels->labels[index];
    size_t len = strlen(label);
    bool usable = len > 0 && len <= HS_PACK_LABEL_MAX && hs_utf8_valid(label, len);
    for (size_t i = 0; usable && i < len; i++)
        usable = (unsigned char) label[i] >= 32 && label[i] != 127;
    for (size_t i = 0; usable && i < index; i++)
        usable = strcmp(labels->labels[i], label) != 0;
    return usable;
}

static void put_classes(struct hs_buf *out, const struct hs_pose_shape *shape)
{
    const struct hs_label_list *labels = &shape->labels;
    hs_buf_append_str(out, "classes:\n");
    for (int i = 0; i < shape->classes; i++) {
        char made_up[24];
        hs_str_format(made_up, sizeof(made_up), "class_%d", i);
        hs_buf_append_str(out, "  - ");
        if (labels->count)
            put_text(out, label_usable(labels, (size_t) i) ? labels->labels[i] : made_up);
        else
            put_text(out, shape->classes == 1 ? "person" : made_up);
        hs_buf_append_str(out, "\n");
    }
}

/* Files do not name their keypoints. Seventeen of them on a person are COCO's, and a shipped pack knows their names. */
static const struct hs_pack *find_coco(const struct import *import)
{
    const struct hs_pose_shape *shape = &import->shape;
    bool person = shape->classes == 1 && (shape->labels.count == 0 || strcmp(shape->labels.labels[0], "person") == 0);
    for (size_t i = 0; person && shape->keypoints == 17 && i < hs_store_count(import->store); i++) {
        const struct hs_pack *pack = hs_store_pack(import->store, i);
        if (!pack->imported && pack->task == HS_TASK_POSE && pack->keypoint_count == 17)
            return pack;
    }
    return NULL;
}

static void put_keypoints(struct hs_buf *out, const struct import *import)
{
    const struct hs_pack *coco = find_coco(import);
    hs_buf_printf(out, "keypoints:\n  dims: %d\n  names:\n", import->shape.dims);
    for (int i = 0; i < import->shape.keypoints; i++) {
        if (coco)
            hs_buf_printf(out, "    - %s\n", coco->keypoints[i]);
        else
            hs_buf_printf(out, "    - keypoint_%d\n", i);
    }
    if (!coco)
        return;
    hs_buf_append_str(out, "  edges:\n");
    for (size_t i = 0; i < coco->edge_count; i++)
        hs_buf_printf(out, "    - [%s, %s]\n", coco->keypoints[coco->edges[i][0]], coco->keypoints[coco->edges[i][1]]);
}

static const char *pack_licence(const struct import *import)
{
    return import->options->licence ? import->options->licence : import->licence[0] ? import->licence : "not stated";
}

static void put_pack(struct hs_buf *out, const struct import *import)
{
    const struct hs_pose_shape *shape = &import->shape;
    hs_buf_printf(out, "name: \"%s\"\ntask: pose\ntitle: ", import->options->name);
    char title[HS_PACK_TITLE_MAX + 1];
    hs_str_copy(title, sizeof(title), hs_path_base(import->options->file));
    put_text(out, import->options->title ? import->options->title : title);
    hs_buf_append_str(out, "\nlicence:\n  name: ");
    put_text(out, pack_licence(import));
    hs_buf_printf(out, "\ninput:\n  width: %d\n  height: %d\n  stride: %d\n  mean: [0, 0, 0]\n  std: [255, 255, 255]\n",
                  shape->width, shape->height, shape->stride);
    hs_buf_printf(out, "decode: %s\nscores: %s\n", hs_decode_name(shape->decode),
                  shape->scores == HS_SCORES_LOGITS ? "logits" : "probabilities");
    put_classes(out, shape);
    put_keypoints(out, import);
    hs_buf_printf(out, "%s:\n  file: \"%s\"\n  size: %llu\n  sha256: \"%s\"\n",
                  import->kind == KIND_HEF ? "hailo" : "openvino", import->file_name,
                  (unsigned long long) import->size, import->sha256);
}

/* The pack that is written is read back first: what the store could not open never gets into it. */
static int make_pack(const struct import *import, struct hs_buf *out, struct hs_error *err)
{
    struct hs_pack *pack;
    put_pack(out, import);
    const char *text = hs_buf_str(out);
    if (!text || out->len == 0 || text[out->len - 1] != '\n')
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    int status = hs_pack_parse(text, out->len, "the new pack", &pack, err);
    if (status == 0)
        hs_pack_destroy(pack);
    return status;
}

/* ---- into the store ---- */

static void drop_replaced(const struct import *import, const struct hs_pack *old)
{
    char path[PATH_MAX];
    for (size_t i = 0; old && i < old->file_count; i++)
        if (strcmp(old->files[i].name, import->file_name) != 0 &&
            hs_store_path(import->store, old->files[i].name, path, sizeof(path)))
            unlink(path);
}

static int install(const struct import *import, const struct hs_buf *text, struct hs_error *err)
{
    const struct hs_pack *old = hs_store_find(import->store, import->options->name);
    char folder[PATH_MAX], pack_path[PATH_MAX], file_path[PATH_MAX];
    if (!hs_store_path(import->store, "packs", folder, sizeof(folder)) ||
        !hs_str_format(pack_path, sizeof(pack_path), "%s/%s.yaml", folder, import->options->name) ||
        !hs_store_path(import->store, import->file_name, file_path, sizeof(file_path)))
        return hs_error_set(err, HS_EINVAL, "the path of the models folder is too long");
    /* Another import may have taken the name since the store was read; or a pack has it that could not be read. */
    if (!import->options->force && hs_file_exists(pack_path))
        return hs_error_set(err, HS_ECONFLICT, "there is a model %s already; --force replaces it",
                            import->options->name);
    bool same = hs_file_exists(file_path);
    int status = hs_dir_make(folder, err);
    if (status == 0)
        status = hs_move_file(import->work, file_path, err);
    if (status < 0)
        return status;
    status = hs_file_write_atomic(old ? old->path : pack_path, text->data, text->len, 0644, err);
    if (status == 0)
        drop_replaced(import, old);
    else if (!same)
        unlink(file_path);
    return status;
}

static char *summarise(const struct import *import)
{
    const struct hs_pose_shape *shape = &import->shape;
    char *line = NULL;
    if (asprintf(&line, "%s: %d class%s, %d keypoints, %d x %d%s, %s, licence: %s", import->options->name,
                 shape->classes, shape->classes == 1 ? "" : "es", shape->keypoints, shape->width, shape->height,
                 shape->stride ? " (other sizes too)" : "", hs_decode_name(shape->decode), pack_licence(import)) < 0)
        return NULL;
    return line;
}

static int import_locked(struct import *import, struct hs_error *err)
{
    struct hs_buf text;
    hs_buf_init(&text, PACK_TEXT_MAX);
    int status = make_file(import, err);
    if (status == 0)
        status = name_file(import, err);
    if (status == 0)
        status = make_pack(import, &text, err);
    if (status == 0)
        status = install(import, &text, err);
    if (status < 0)
        unlink(import->work);
    hs_buf_finish(&text);
    return status;
}

int hs_import(struct hs_store *store, const struct hs_import_options *options, char **ret_summary, struct hs_error *err)
{
    struct import *import = calloc(1, sizeof(*import));
    int lock = -1;
    if (!import)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    import->store = store;
    import->options = options;
    int status = check_name(import, err);
    if (status == 0)
        status = find_kind(import, err);
    if (status == 0 && !hs_str_format(import->work, sizeof(import->work), "%s/.%s.import", hs_store_dir(store),
                                      options->name))
        status = hs_error_set(err, HS_EINVAL, "the path of the models folder is too long");
    if (status == 0)
        status = hs_store_lock(store, options->name, true, &lock, err);
    if (status == 0) {
        status = import_locked(import, err);
        hs_store_unlock(lock);
    }
    if (status == 0 && ret_summary)
        *ret_summary = summarise(import);
    hs_label_list_finish(&import->shape.labels);
    free(import);
    return status;
}
