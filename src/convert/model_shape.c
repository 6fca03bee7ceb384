#include "convert/model_shape.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

enum { LABEL_SIZE_MAX = 1000 };
enum { DEFAULT_INPUT = 640, DEFAULT_STRIDE = 32, LEVELS = 3, ANCHORS = 2, MIN_DIMENSION = 64, DIMENSION_STEP = 32 };

static void skip_space(const char **at)
{
    while (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r')
        (*at)++;
}

static bool skip_char(const char **at, char c)
{
    skip_space(at);
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

/* Reads an escape after its backslash. repr() writes \\ \' \" \n \t \r, and \xNN, \uNNNN,
 * \UNNNNNNNN for characters that are not printable. */
static bool read_escape(const char **at, struct hs_buf *out)
{
    static const char kinds[] = "ntr\\'\"", plain[] = "\n\t\r\\'\"";
    char c = *(*at)++;
    const char *kind = c ? strchr(kinds, c) : NULL;
    if (kind)
        return hs_buf_append(out, &plain[kind - kinds], 1) == 0;
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t value = 0;
    for (int i = 0; i < digits; i++) {
        int digit = hs_str_hex_digit(**at);
        if (digit < 0)
            return false;
        value = value << 4 | (uint32_t) digit;
        (*at)++;
    }
    if (digits == 0 || value == 0 || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return false;
    static const uint8_t first[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    uint8_t bytes[4];
    size_t len = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    for (size_t i = len; i-- > 1; value >>= 6)
        bytes[i] = (uint8_t) (0x80 | (value & 0x3f));
    bytes[0] = (uint8_t) (first[len] | value);
    return hs_buf_append(out, bytes, len) == 0;
}

/* Reads a quoted string. Returns NULL if there is none, or if out of memory, which it reports in
 * *no_memory. */
static char *read_string(const char **at, bool *no_memory)
{
    struct hs_buf buf;
    size_t len;
    skip_space(at);
    char quote = **at;
    if (quote != '\'' && quote != '"')
        return NULL;
    (*at)++;
    hs_buf_init(&buf, LABEL_SIZE_MAX);
    bool fine = true;
    while (fine && **at && **at != quote) {
        char c = *(*at)++;
        fine = c == '\\' ? **at && read_escape(at, &buf) : hs_buf_append(&buf, &c, 1) == 0;
    }
    fine = skip_char(at, quote) && hs_buf_append(&buf, "", 1) == 0 && fine;
    *no_memory = *no_memory || hs_buf_error(&buf) == HS_ENOMEM;
    char *text = fine ? (char *) hs_buf_take(&buf, &len) : NULL;
    hs_buf_finish(&buf);
    return text;
}

static bool read_key(const char **at, size_t expected)
{
    size_t value = 0, digits = 0;
    skip_space(at);
    while (**at >= '0' && **at <= '9' && digits++ < 9)
        value = value * 10 + (size_t) (*(*at)++ - '0');
    return digits > 0 && value == expected && skip_char(at, ':');
}

static void init_list(struct hs_label_list *list, size_t max)
{
    *list = (struct hs_label_list) { .labels = calloc(max, sizeof(*list->labels)) };
}

/* Reads a dict or list of names into an empty list with room for `max`. */
static bool read_labels(const char **at, size_t max, struct hs_label_list *list, bool *no_memory)
{
    bool dict = skip_char(at, '{'), fine = dict || skip_char(at, '[');
    char close = dict ? '}' : ']';
    while (fine && !skip_char(at, close)) {
        fine = list->count < max && (list->count == 0 || skip_char(at, ',')) && (!dict || read_key(at, list->count));
        char *label = fine ? read_string(at, no_memory) : NULL;
        fine = label != NULL;
        if (label)
            list->labels[list->count++] = label;
    }
    return fine && list->count > 0;
}

int hs_label_list_parse(const char *text, size_t max, struct hs_label_list *ret_list, struct hs_error *err)
{
    struct hs_label_list list;
    init_list(&list, max);
    const char *at = text;
    bool no_memory = !list.labels, fine = list.labels && read_labels(&at, max, &list, &no_memory);
    skip_space(&at);
    if (!fine || *at) {
        hs_label_list_finish(&list);
        return no_memory ? hs_error_set(err, HS_ENOMEM, "out of memory")
                         : hs_error_set(err, HS_EMODEL, "cannot parse the class names in the model");
    }
    *ret_list = list;
    return 0;
}

static bool same_labels(const struct hs_label_list *a, const struct hs_label_list *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->labels[i], b->labels[i]) == 0;
    return same;
}

int hs_keypoint_names_parse(const char *text, size_t max, struct hs_label_list *ret_list, struct hs_error *err)
{
    struct hs_label_list first, other;
    const char *at = text;
    size_t classes = 0;
    init_list(&first, max);
    bool fine = first.labels && skip_char(&at, '{'), no_memory = !first.labels;
    while (fine && !skip_char(&at, '}')) {
        fine = (classes == 0 || skip_char(&at, ',')) && read_key(&at, classes);
        init_list(&other, max);
        no_memory = no_memory || !other.labels;
        fine = fine && other.labels && read_labels(&at, max, classes == 0 ? &first : &other, &no_memory) &&
               (classes == 0 || same_labels(&first, &other));
        hs_label_list_finish(&other);
        classes++;
    }
    skip_space(&at);
    if (fine && classes > 0 && !*at) {
        *ret_list = first;
        return 0;
    }
    hs_label_list_finish(&first);
    return no_memory ? hs_error_set(err, HS_ENOMEM, "out of memory")
                     : hs_error_set(err, HS_EMODEL, "cannot parse the keypoint names in the model");
}

void hs_label_list_finish(struct hs_label_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->labels[i]);
    free(list->labels);
    *list = (struct hs_label_list) { 0 };
}

struct reader {
    const struct hs_onnx_info *info;
    struct hs_model_shape *shape;
    int status;
    struct hs_error *err;
};

static const char other_files[] = "the weights are stored in other files; save the model as a single file";

/* Keeps the first refusal. */
#define REFUSE(r, ...) ((r)->status = (r)->status < 0 ? (r)->status : hs_error_set((r)->err, HS_EMODEL, __VA_ARGS__))

static void check_input(struct reader *r, const char *kind)
{
    const struct hs_onnx_value *input = &r->info->inputs[0];
    if (r->info->input_count != 1 || input->rank != 4)
        REFUSE(r, "a %s model must have one input with 4 dimensions", kind);
    if (input->elem_type == HS_ONNX_FLOAT16)
        REFUSE(r, "the input is 16-bit; export the model without `half`");
    if (input->elem_type != HS_ONNX_FLOAT)
        REFUSE(r, "the input must be 32-bit float");
    if (input->dims[1] != 3)
        REFUSE(r, "the input must be [batch, 3, height, width]");
    if (input->dims[0] > 1)
        REFUSE(r, "the model is fixed to batches of %" PRId64 "; export it with batch 1", input->dims[0]);
}

/* Sets height and width: the fixed ones, else the user's, else those in `from_file` (0: not given). */
static void read_size(struct reader *r, const int from_file[2], int stride)
{
    const int64_t *dims = &r->info->inputs[0].dims[2];
    struct hs_model_shape *shape = r->shape;
    int *const sides[] = { &shape->height, &shape->width };
    bool fine = true;
    for (int i = 0; i < 2; i++) {
        bool fixed = dims[i] > 0 && dims[i] <= HS_MODEL_MAX_INPUT;
        int open = shape->input > 0 ? shape->input : from_file[i] > 0 ? from_file[i] : DEFAULT_INPUT;
        *sides[i] = fixed ? (int) dims[i] : open;
        fine = fine && dims[i] <= HS_MODEL_MAX_INPUT && *sides[i] <= HS_MODEL_MAX_INPUT && *sides[i] % stride == 0;
    }
    shape->stride = dims[0] < 0 && dims[1] < 0 ? stride : 0;
    if (shape->input > 0 && (shape->width != shape->input || shape->height != shape->input))
        REFUSE(r, "the input of the model is fixed to %d x %d", shape->width, shape->height);
    if (!fine)
        REFUSE(r, "the sides of the input (%d x %d) must be multiples of %d, at most %d", shape->width, shape->height,
               stride, HS_MODEL_MAX_INPUT);
}

static void normalise(struct hs_model_shape *shape, float red, float green, float blue, float std)
{
    const float mean[] = { red, green, blue };
    memcpy(shape->mean, mean, sizeof(mean));
    shape->std[0] = shape->std[1] = shape->std[2] = std;
}

/* Reads the integers of a Python list such as [17, 3], or a single integer; at most `max`. Returns
 * their number. */
static size_t read_numbers(const char *text, int *ret, size_t max)
{
    size_t count = 0;
    if (!text)
        return 0;
    const char *at = text + strspn(text, " [(");
    while (count < max && *at >= '0' && *at <= '9') {
        int value = 0;
        for (; *at >= '0' && *at <= '9'; at++)
            value = value < 100000 ? value * 10 + (*at - '0') : value;
        ret[count++] = value;
        at += strspn(at, " ,");
    }
    return count;
}

/* Keeps the user's number, or takes the file's if the user gave none. Refuses the file if both
 * exist and differ. */
static void reconcile(struct reader *r, int *value, int from_file, const char *what)
{
    if (*value > 0 && from_file > 0 && *value != from_file)
        REFUSE(r, "the number of %s in the file is %d, not %d", what, from_file, *value);
    if (*value == 0)
        *value = from_file;
}

/* A file with unusable names is served without them. */
static void read_keypoint_names(struct reader *r)
{
    const char *names = hs_onnx_info_prop(r->info, "kpt_names");
    struct hs_label_list *list = &r->shape->keypoint_names;
    if (r->status < 0 || !names)
        return;
    int status = hs_keypoint_names_parse(names, HS_MODEL_MAX_KEYPOINTS, list, r->err);
    if (status == HS_ENOMEM)
        r->status = status;
    if (list->count != (size_t) r->shape->keypoints)
        hs_label_list_finish(list);
}

static void read_metadata(struct reader *r)
{
    const char *task = hs_onnx_info_prop(r->info, "task"), *names = hs_onnx_info_prop(r->info, "names");
    const char *end2end = hs_onnx_info_prop(r->info, "end2end");
    struct hs_model_shape *shape = r->shape;
    char quoted[60];
    int pair[2] = { 0, 0 };
    if (task && strcmp(task, "pose") != 0) {
        hs_str_quote(quoted, sizeof(quoted), task, strlen(task));
        REFUSE(r, "the task of the model is %s; only pose models are supported", quoted);
    }
    if (end2end && hs_str_equal_nocase(end2end, "true"))
        REFUSE(r, "the model includes NMS (end2end); export it without end2end");
    if (r->status == 0 && names)
        r->status = hs_label_list_parse(names, HS_MODEL_MAX_CLASSES, &shape->labels, r->err);
    reconcile(r, &shape->classes, (int) shape->labels.count, "classes");
    if (read_numbers(hs_onnx_info_prop(r->info, "kpt_shape"), pair, 2) == 2) {
        reconcile(r, &shape->keypoints, pair[0], "keypoints");
        reconcile(r, &shape->dims, pair[1], "values per keypoint");
    }
    read_keypoint_names(r);
}

static void check_counts(struct reader *r)
{
    struct hs_model_shape *shape = r->shape;
    if (shape->keypoints == 0)
        REFUSE(r, "the file does not specify the number of keypoints; set it with --keypoints N (and --dims 2 or 3, "
                  "--classes N)");
    if (shape->dims == 0)
        shape->dims = 3;
    if (shape->classes == 0)
        shape->classes = 1;
    if (shape->keypoints > HS_MODEL_MAX_KEYPOINTS || shape->classes > HS_MODEL_MAX_CLASSES ||
        (shape->dims != 2 && shape->dims != 3))
        REFUSE(r, "unsupported number of classes (%d), keypoints (%d) or values per keypoint (%d)", shape->classes,
               shape->keypoints, shape->dims);
}

/* Ultralytics' export with nms=True outputs a row for each of the best detections: box, score,
 * class and keypoints. */
static bool has_nms(const struct reader *r, int64_t numbers)
{
    const char *arguments = hs_onnx_info_prop(r->info, "args");
    return r->info->outputs[0].dims[2] == 6 + numbers || (arguments && strstr(arguments, "'nms': True"));
}

/* [1, 4 + classes + keypoints * dims, cells]. */
static void read_decoded(struct reader *r)
{
    struct hs_model_shape *shape = r->shape;
    const int64_t *dims = r->info->outputs[0].dims;
    bool given = shape->keypoints > 0 && shape->dims > 0 && shape->classes > 0;
    check_counts(r);
    int64_t numbers = (int64_t) shape->keypoints * shape->dims, wanted = 4 + shape->classes + numbers;
    if (dims[0] > 1)
        REFUSE(r, "the model is fixed to batches of %" PRId64, dims[0]);
    if (dims[1] != wanted && has_nms(r, numbers))
        REFUSE(r, "the model includes NMS (nms=True); export it without nms");
    if (dims[2] == wanted && dims[1] != wanted)
        REFUSE(r, "the output is transposed: [1, %" PRId64 ", cells] is required", wanted);
    if (dims[1] < 0 && !given)
        REFUSE(r, "the number of output channels is dynamic; set it with --keypoints N, --dims 2 or 3 and --classes N");
    if (dims[1] >= 0 && dims[1] != wanted)
        REFUSE(r,
               "the output has %" PRId64 " channels, expected %" PRId64
               ": 4 for the box + %d for the classes + %d * %d for the keypoints",
               dims[1], wanted, shape->classes, shape->keypoints, shape->dims);
    shape->decode = HS_DECODE_YOLO_POSE_DECODED;
    shape->scores = HS_SCORES_PROBABILITIES;
}

static int count_channels(const struct hs_onnx_info *info, int64_t channels)
{
    int count = 0;
    for (size_t i = 0; i < info->output_count; i++)
        count += info->outputs[i].dims[1] == channels;
    return count;
}

/* Reads a box, a class and a keypoint tensor for each of three strides. The decoder distinguishes
 * them by channel count, so the three counts must differ; the box's is the remaining one, four
 * times the number of bins. */
static void read_raw(struct reader *r)
{
    const struct hs_onnx_info *info = r->info;
    struct hs_model_shape *shape = r->shape;
    const char *scores = hs_onnx_info_prop(info, "scores");
    check_counts(r);
    int64_t classes = shape->classes, points = (int64_t) shape->keypoints * shape->dims, box = 0;
    for (size_t i = 0; i < info->output_count; i++) {
        const struct hs_onnx_value *output = &info->outputs[i];
        if (output->rank != 4 || output->dims[0] > 1)
            REFUSE(r, "each of the nine outputs must be [1, channels, height, width]");
        if (output->dims[1] != classes && output->dims[1] != points)
            box = output->dims[1];
    }
    if (box <= 0 || box % 4 != 0 || count_channels(info, box) != LEVELS || count_channels(info, classes) != LEVELS ||
        count_channels(info, points) != LEVELS)
        REFUSE(r,
               "the nine outputs must have three different channel counts, three of each: boxes, %" PRId64
               " classes, %d * %d for keypoints",
               classes, shape->keypoints, shape->dims);
    shape->decode = HS_DECODE_YOLO_POSE_RAW;
    shape->scores = scores && strcmp(scores, "probabilities") == 0 ? HS_SCORES_PROBABILITIES : HS_SCORES_LOGITS;
}

int hs_pose_shape_read(const struct hs_onnx_info *info, struct hs_model_shape *shape, struct hs_error *err)
{
    struct reader reader = { info, shape, 0, err }, *r = &reader;
    int strides[8], sizes[2] = { 0, 0 }, stride = DEFAULT_STRIDE;
    size_t count = read_numbers(hs_onnx_info_prop(info, "stride"), strides, HS_ARRAY_LEN(strides));
    for (size_t i = 0; i < count; i++)
        stride = strides[i] > stride ? strides[i] : stride;
    if (read_numbers(hs_onnx_info_prop(info, "imgsz"), sizes, 2) == 1)
        sizes[1] = sizes[0];
    shape->task = HS_TASK_POSE;
    normalise(shape, 0, 0, 0, 255);
    if (info->external_data)
        REFUSE(r, "%s", other_files);
    read_metadata(r);
    check_input(r, "pose");
    read_size(r, sizes, stride);
    if (info->output_count == 1 && info->outputs[0].rank == 3)
        read_decoded(r);
    else if (info->output_count == 3 * LEVELS)
        read_raw(r);
    else
        REFUSE(r, "a pose model must have one output [1, channels, cells] or nine raw ones; this one has %zu",
               info->output_count);
    if (r->status < 0) {
        hs_label_list_finish(&shape->labels);
        hs_label_list_finish(&shape->keypoint_names);
    }
    return r->status;
}

static int64_t last_dim(const struct hs_onnx_value *value)
{
    return value->rank > 0 ? value->dims[value->rank - 1] : -1;
}

/* Counts the outputs whose rows have `width` numbers, with or without a batch dimension. */
static size_t count_rows(const struct hs_onnx_info *info, int64_t width)
{
    size_t count = 0;
    for (size_t i = 0; i < info->output_count; i++) {
        int rank = info->outputs[i].rank;
        count += (rank == 2 || rank == 3) && last_dim(&info->outputs[i]) == width;
    }
    return count;
}

bool hs_face_shape_match(const struct hs_onnx_info *info, enum hs_decode *ret_decode)
{
    const struct hs_onnx_value *output = &info->outputs[0];
    size_t count = info->output_count, boxes = count_rows(info, 4), points = count_rows(info, 10);
    /* Usually [batch, D]; some exports leave [batch, D, 1, 1]. */
    bool vector = output->rank == 2 || (output->rank == 4 && output->dims[2] == 1 && output->dims[3] == 1);
    if ((count == 2 * LEVELS || count == 3 * LEVELS) && boxes == LEVELS && count_rows(info, 1) == LEVELS)
        *ret_decode = HS_DECODE_SCRFD;
    else if (count == 3 && boxes == 1 && count_rows(info, 2) == 1 && points == 1)
        *ret_decode = HS_DECODE_RETINAFACE;
    else if (count == 1 && vector)
        *ret_decode = HS_DECODE_ARCFACE;
    else
        return false;
    return true;
}

/* Cells of the input at a stride, times two anchors. */
static int64_t rows_at(const struct hs_model_shape *shape, int stride)
{
    return (int64_t) (shape->width / stride) * (shape->height / stride) * ANCHORS;
}

/* Reads the row counts that the three outputs with `width` numbers per row declare, largest first.
 * False unless there are three such outputs, and all or none declare a count. An export with a
 * dynamic input often keeps the counts of the size it was made with. */
static bool read_levels(const struct hs_onnx_info *info, int64_t width, int64_t ret[LEVELS])
{
    size_t count = 0, known = 0;
    for (size_t i = 0; i < info->output_count; i++) {
        const struct hs_onnx_value *output = &info->outputs[i];
        if (output->rank < 2 || last_dim(output) != width || count == LEVELS)
            continue;
        int64_t rows = output->dims[output->rank - 2];
        size_t at = count++;
        for (; at > 0 && ret[at - 1] < rows; at--)
            ret[at] = ret[at - 1];
        ret[at] = rows;
        known += rows > 0;
    }
    return count == LEVELS && (known == 0 || known == LEVELS);
}

static void read_scrfd(struct reader *r)
{
    static const int64_t widths[] = { 1, 4, 10 };
    struct hs_model_shape *shape = r->shape;
    shape->points = r->info->output_count == 3 * LEVELS;
    for (size_t i = 0; i < (shape->points ? 3u : 2u); i++) {
        int64_t rows[LEVELS] = { 0 };
        if (!read_levels(r->info, widths[i], rows) ||
            (rows[0] > 0 && (rows[0] != 4 * rows[1] || rows[1] != 4 * rows[2])))
            REFUSE(r, "an SCRFD model must have three outputs each of 1, 4 and, with landmarks, 10 numbers per row, "
                      "with N, N/4 and N/16 rows");
        if (shape->stride == 0 && rows[0] > 0 && rows[0] != rows_at(shape, 8))
            REFUSE(r, "the largest outputs have %" PRId64 " rows; two anchors per cell need %" PRId64, rows[0],
                   rows_at(shape, 8));
    }
    normalise(shape, 127.5f, 127.5f, 127.5f, 128);
}

static void read_retinaface(struct reader *r)
{
    struct hs_model_shape *shape = r->shape;
    int64_t wanted = rows_at(shape, 8) + rows_at(shape, 16) + rows_at(shape, 32);
    for (size_t i = 0; i < r->info->output_count; i++) {
        const struct hs_onnx_value *output = &r->info->outputs[i];
        int64_t rows = output->dims[output->rank - 2];
        if (shape->stride == 0 && rows > 0 && rows != wanted)
            REFUSE(r, "an output has %" PRId64 " rows; the priors of RetinaFace (MobileNet) need %" PRId64, rows,
                   wanted);
    }
    shape->points = true;
    shape->bgr = true;
    normalise(shape, 123, 117, 104, 1);
}

static void read_arcface(struct reader *r)
{
    const int64_t *input = r->info->inputs[0].dims, *output = r->info->outputs[0].dims;
    struct hs_model_shape *shape = r->shape;
    if (input[2] != HS_MODEL_FACE_SIDE || input[3] != HS_MODEL_FACE_SIDE)
        REFUSE(r, "the input of a face-embedding model (one vector as output) must be [batch, 3, %d, %d]",
               HS_MODEL_FACE_SIDE, HS_MODEL_FACE_SIDE);
    if (output[0] > 1)
        REFUSE(r, "the model is fixed to batches of %" PRId64, output[0]);
    if (output[1] < 0)
        REFUSE(r, "the dimension of the embedding is dynamic; export the model with a fixed output");
    if (output[1] < MIN_DIMENSION || output[1] > HS_MODEL_MAX_EMBEDDING || output[1] % DIMENSION_STEP)
        REFUSE(r, "the embedding has %" PRId64 " numbers; %d to %d, in multiples of %d, are supported", output[1],
               MIN_DIMENSION, HS_MODEL_MAX_EMBEDDING, DIMENSION_STEP);
    shape->dimension = (int) output[1];
    shape->width = shape->height = HS_MODEL_FACE_SIDE;
    shape->stride = 0;
    normalise(shape, 127.5f, 127.5f, 127.5f, 127.5f);
}

int hs_face_shape_read(const struct hs_onnx_info *info, enum hs_decode decode, struct hs_model_shape *shape,
                       struct hs_error *err)
{
    struct hs_model_shape found = *shape;
    struct reader reader = { info, &found, 0, err }, *r = &reader;
    bool embedding = decode == HS_DECODE_ARCFACE;
    found.decode = decode;
    found.scores = HS_SCORES_PROBABILITIES;
    found.task = embedding ? HS_TASK_FACE_EMBEDDING : HS_TASK_FACE_DETECTION;
    if (info->external_data)
        REFUSE(r, "%s", other_files);
    check_input(r, "face");
    for (size_t i = 0; i < info->output_count; i++)
        if (info->outputs[i].elem_type != HS_ONNX_FLOAT)
            REFUSE(r, "the outputs must be 32-bit float");
    if (!embedding)
        read_size(r, (const int[2]) { 0, 0 }, DEFAULT_STRIDE);
    for (size_t i = 0; i < info->output_count && !embedding; i++)
        if (info->outputs[i].rank == 3 && info->outputs[i].dims[0] > 1)
            REFUSE(r, "the model is fixed to batches of %" PRId64, info->outputs[i].dims[0]);
    if (decode == HS_DECODE_SCRFD)
        read_scrfd(r);
    else if (decode == HS_DECODE_RETINAFACE)
        read_retinaface(r);
    else
        read_arcface(r);
    if (r->status == 0)
        *shape = found;
    return r->status;
}
