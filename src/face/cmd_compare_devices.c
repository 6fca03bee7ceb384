/* Whether a device finds the same faces as another one, and whether it makes the same vectors of them. The latter is
 * written down, and decides whether the processor may stand in for the device (service/agreement.h). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "face/commands.h"
#include "service/agreement.h"
#include "service/compare_devices.h"
#include "vision/embedding.h"

/* Boxes that overlap so much cut the same face. */
static const double least_overlap = .8;

/* All that are there: which of them are the first few is decided by digits that rounding changes. */
enum { FACES_MAX = 1000 };

struct compare {
    struct hs_face_app apps[HS_COMPARE_SIDES];
    int opened;
    double least_iou, least_cosine, least_median;
    struct hs_series box, overlap, points, cosine;
};

/* Three looks at a picture: with the device's detector, with both networks of the other side, and with the device's
 * embedder at the faces that the other side has found, so that both embed the same aligned faces. */
enum { OF_DEVICE, OF_AGAINST, EMBEDDED, LOOKS };

static bool add_model(struct hs_invocation *call, const char *key, const struct hs_model_pool *pool, char *dst, size_t size)
{
    return hs_str_format(dst, size, "face_recognition.%s=%s", key, hs_model_pool_first(pool)->choice.pack->name) &&
           hs_text_list_add(&call->sets, dst);
}

static int start(void *arg, int side, struct hs_invocation *call)
{
    struct compare *compare = arg;
    const struct hs_face_app *first = &compare->apps[HS_COMPARE_DEVICE];
    char detector[2 * HS_PACK_NAME_SIZE], embedder[2 * HS_PACK_NAME_SIZE];
    if (side == HS_COMPARE_AGAINST &&
        (!add_model(call, "detection_model", first->detector, detector, sizeof(detector)) ||
         !add_model(call, "recognition_model", first->embedder, embedder, sizeof(embedder))))
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "no memory");
    int code = hs_face_start_app(call, false, &compare->apps[side]);
    compare->opened += code == HS_EXIT_OK;
    return code;
}

/* ---- one picture ---- */

/* All that was found of it, by each look. */
struct picture {
    uint8_t *data;
    size_t len;
    struct hs_face_result found[LOOKS];
};

static bool has_same_vectors(const struct compare *compare)
{
    const struct hs_pack *a = hs_model_pool_first(compare->apps[HS_COMPARE_DEVICE].embedder)->choice.pack;
    const struct hs_pack *b = hs_model_pool_first(compare->apps[HS_COMPARE_AGAINST].embedder)->choice.pack;
    return strcmp(a->embedding.space, b->embedding.space) == 0 && a->embedding.dimension == b->embedding.dimension;
}

static int find(const struct compare *compare, struct picture *picture, int look, struct hs_error *err)
{
    const struct hs_face_app *app = &compare->apps[look == OF_AGAINST ? HS_COMPARE_AGAINST : HS_COMPARE_DEVICE];
    const struct hs_face_section *s = &app->settings->face_recognition;
    const struct hs_face_request request = {
        .score_threshold = (float) s->detection_threshold,
        .max_faces = FACES_MAX,
        .tiny = s->tiny_faces,
        .embed = look != OF_DEVICE,
        .known = look == EMBEDDED ? &picture->found[OF_AGAINST] : NULL,
    };
    return hs_face_find(&app->pipeline, picture->data, picture->len, &request, HS_NO_DEADLINE, NULL,
                        &picture->found[look], err);
}

static int add_face(struct compare *compare, const struct hs_face *a, const struct hs_face *b, struct hs_error *err)
{
    int r = hs_series_add(&compare->box, hs_compare_box_distance(&a->box, &b->box), err);
    if (r == 0)
        r = hs_series_add(&compare->overlap, (double) hs_rect_iou(&a->box, &b->box), err);
    for (int i = 0; r == 0 && a->has_landmarks && b->has_landmarks && i < HS_FACE_LANDMARKS; i++)
        r = hs_series_add(&compare->points, (double) hypotf(a->landmarks[i].x - b->landmarks[i].x,
                                                            a->landmarks[i].y - b->landmarks[i].y), err);
    return r;
}

static struct hs_boxes boxes_of(const struct hs_face_result *result)
{
    return (struct hs_boxes) {
        .first = result->count ? &result->faces[0].face.box : NULL,
        .count = result->count,
        .stride = sizeof(struct hs_face_found),
    };
}

static int match(struct compare *compare, const struct picture *picture, struct hs_compare_counts *counts,
                 struct hs_error *err)
{
    const struct hs_face_result *found = picture->found;
    struct hs_boxes device = boxes_of(&found[OF_DEVICE]), against = boxes_of(&found[OF_AGAINST]);
    size_t *of = NULL;
    int r = hs_compare_match(&device, &against, counts, &of, err);
    for (size_t i = 0; r == 0 && i < device.count; i++)
        if (of[i] != HS_IOU_MATCH_NONE)
            r = add_face(compare, &found[OF_DEVICE].faces[i].face, &found[OF_AGAINST].faces[of[i]].face, err);
    free(of);
    return r;
}

static int compare_vectors(struct compare *compare, const struct picture *picture, struct hs_error *err)
{
    const struct hs_face_result *device = &picture->found[EMBEDDED], *against = &picture->found[OF_AGAINST];
    size_t dimension = (size_t) against->dimension;
    int r = 0;
    for (size_t i = 0; r == 0 && i < against->count; i++) {
        const float *a = device->faces[i].embedding, *b = against->faces[i].embedding;
        if (a && b)
            r = hs_series_add(&compare->cosine, (double) hs_embedding_cosine(a, b, dimension), err);
    }
    return r;
}

static int look(void *arg, const char *path, struct hs_compare_counts *counts, struct hs_error *err)
{
    struct compare *compare = arg;
    struct picture picture = { 0 };
    int looks = has_same_vectors(compare) ? LOOKS : EMBEDDED;
    int r = hs_file_read(path, compare->apps[0].pipeline.limits.max_bytes, &picture.data, &picture.len, err);
    for (int i = 0; r == 0 && i < looks; i++)
        r = find(compare, &picture, i, err);
    if (r == 0)
        r = match(compare, &picture, counts, err);
    if (r == 0 && looks == LOOKS)
        r = compare_vectors(compare, &picture, err);
    for (int i = 0; i < LOOKS; i++)
        hs_face_result_finish(&picture.found[i]);
    free(picture.data);
    return r;
}

/* ---- all of them ---- */

/* A good result of few faces says too little to take the place of what is known. */
static int record(const struct compare *compare, const struct hs_series_summary *cosine,
                  struct hs_compare_report *report, struct hs_error *err)
{
    const struct hs_model_runner *device = hs_model_pool_first(compare->apps[HS_COMPARE_DEVICE].embedder);
    const struct hs_model_runner *against = hs_model_pool_first(compare->apps[HS_COMPARE_AGAINST].embedder);
    const struct hs_agreement agreement = {
        .store = compare->apps[HS_COMPARE_DEVICE].store, .device = device->choice, .against = against->choice,
        .cosine = *cosine,
    };
    struct hs_error why;
    if (hs_model_runner_is_simulated(device) || hs_model_runner_is_processor(device) ||
        !hs_model_runner_is_processor(against))
        return 0;
    int judged = hs_agreement_judge(cosine, &why);
    if (judged < 0 && hs_agreement_is_alike(cosine)) {
        hs_compare_report_note(report, "record", "not written down: %s", why.message);
        return 0;
    }
    int r = cosine->count > 0 ? hs_agreement_save(&agreement, err) : 0;
    if (r == 0)
        hs_compare_report_note(report, "record", "%s",
                               judged == 0 ? "written down: the processor may stand in (device.fallback: cpu)"
                                           : "written down: the processor must not stand in for the embedder");
    return r;
}

static int report(void *arg, struct hs_compare_report *report, struct hs_error *err)
{
    struct compare *compare = arg;
    for (int side = 0; side < HS_COMPARE_SIDES; side++) {
        hs_compare_report_side(report, side, "detector", hs_model_pool_first(compare->apps[side].detector));
        hs_compare_report_side(report, side, "embedder", hs_model_pool_first(compare->apps[side].embedder));
    }
    hs_compare_report_numbers(report, "box_pixels", "boxes, pixels", &compare->box);
    hs_compare_report_numbers(report, "box_iou", "boxes, overlap (IoU)", &compare->overlap);
    hs_compare_report_numbers(report, "landmark_pixels", "landmarks, pixels", &compare->points);
    hs_compare_report_check(report, "box_iou", "median overlap (IoU)", hs_series_summarize(&compare->overlap).median,
                            compare->least_iou);
    if (!has_same_vectors(compare)) {
        report->ok = false;
        hs_compare_report_note(report, "vectors", "the vectors are of two embedding spaces and cannot be compared");
        return 0;
    }
    struct hs_series_summary cosine = hs_series_summarize(&compare->cosine);
    hs_compare_report_numbers(report, "cosine", "vectors, cosine", &compare->cosine);
    hs_compare_report_check(report, "median_cosine", "median cosine", cosine.median, compare->least_median);
    hs_compare_report_check(report, "least_cosine", "least cosine", cosine.least, compare->least_cosine);
    return record(compare, &cosine, report, err);
}

int hs_face_cmd_compare_devices(struct hs_invocation *call)
{
    struct compare compare = { .least_iou = least_overlap, .least_cosine = HS_AGREEMENT_LEAST,
                               .least_median = HS_AGREEMENT_MEDIAN };
    const struct hs_option options[] = {
        { .name = "least-iou", .kind = HS_OPTION_NUMBER, .target = &compare.least_iou, .value = "IOU", .min = 0,
          .max = 1, .help = "median overlap of the boxes; 0.8 where nothing is said" },
        { .name = "least-cosine", .kind = HS_OPTION_NUMBER, .target = &compare.least_cosine, .value = "COSINE",
          .min = -1, .max = 1, .help = "of the two vectors of each face; 0.9 where nothing is said" },
        { .name = "least-median", .kind = HS_OPTION_NUMBER, .target = &compare.least_median, .value = "COSINE",
          .min = -1, .max = 1, .help = "their median; 0.97 where nothing is said" },
    };
    const struct hs_compare_command command = {
        .options = options, .option_count = HS_ARRAY_LEN(options), .what = "faces", .open = start, .look = look,
        .report = report,
    };
    int code = hs_compare_command_run(call, &command, &compare);
    while (compare.opened > 0)
        hs_face_app_finish(&compare.apps[--compare.opened]);
    hs_series_finish(&compare.box);
    hs_series_finish(&compare.overlap);
    hs_series_finish(&compare.points);
    hs_series_finish(&compare.cosine);
    return code;
}
