/* `compare-devices`: checks that a device finds the same faces as another device and computes the
 * same embeddings. The result for embeddings is recorded, and decides if the CPU may be the
 * fallback for the device (service/embedding_parity.h). */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "face/commands.h"
#include "service/compare_devices.h"
#include "service/embedding_parity.h"
#include "vision/embedding.h"

/* Minimum IoU of two boxes of the same face. */
static const double least_overlap = .8;

/* Large enough for all faces, because with a limit rounding could change which faces are among the first. */
enum { FACES_MAX = 1000 };

/* Three passes over a picture: with the device's detector; with both models of the other device;
 * and with the device's embedder on the faces found by the other device, so that both embed the
 * same aligned faces. */
enum { OF_DEVICE, OF_AGAINST, EMBEDDED, RUNS };

struct compare {
    struct hs_face_result found[RUNS];
    double least_iou, least_cosine, least_median;
    struct hs_samples box, overlap, points, cosine;
};

/* ---- one picture ---- */

static const struct hs_model_runner *embedder(const struct hs_face_app *app)
{
    return hs_model_pool_first(app->embedder);
}

static bool has_same_vectors(void *const *states)
{
    const struct hs_pack *a = embedder(states[HS_COMPARE_DEVICE])->choice.pack;
    const struct hs_pack *b = embedder(states[HS_COMPARE_AGAINST])->choice.pack;
    return strcmp(a->embedding.space, b->embedding.space) == 0 && a->embedding.dimension == b->embedding.dimension;
}

static int match(void *arg, size_t i, size_t k, struct hs_error *err)
{
    struct compare *compare = arg;
    const struct hs_face *a = &compare->found[OF_DEVICE].faces[i].face, *b = &compare->found[OF_AGAINST].faces[k].face;
    int r = hs_samples_add(&compare->box, hs_compare_box_distance(&a->box, &b->box), err);
    if (r == 0)
        r = hs_samples_add(&compare->overlap, (double) hs_rect_iou(&a->box, &b->box), err);
    for (int p = 0; r == 0 && a->has_landmarks && b->has_landmarks && p < HS_FACE_LANDMARKS; p++)
        r = hs_samples_add(
            &compare->points,
            (double) hypotf(a->landmarks[p].x - b->landmarks[p].x, a->landmarks[p].y - b->landmarks[p].y), err);
    return r;
}

static int compare_vectors(struct compare *compare, struct hs_error *err)
{
    const struct hs_face_result *device = &compare->found[EMBEDDED], *against = &compare->found[OF_AGAINST];
    int r = 0;
    for (size_t i = 0; r == 0 && i < against->count; i++) {
        const float *a = device->faces[i].embedding, *b = against->faces[i].embedding;
        if (a && b)
            r = hs_samples_add(&compare->cosine, (double) hs_embedding_cosine(a, b, (size_t) against->dimension), err);
    }
    return r;
}

static void free_results(struct compare *compare)
{
    for (int i = 0; i < RUNS; i++)
        hs_face_result_finish(&compare->found[i]);
}

static int run_picture(void *arg, void *const *states, const char *path, struct hs_boxes ret_boxes[HS_COMPARE_SIDES],
                       struct hs_error *err)
{
    struct compare *compare = arg;
    const struct hs_face_app *device = states[HS_COMPARE_DEVICE];
    bool same_vectors = has_same_vectors(states);
    int r = 0;
    free_results(compare);
    for (int i = 0; r == 0 && i < (same_vectors ? RUNS : EMBEDDED); i++) {
        const struct hs_face_app *app = i == OF_AGAINST ? states[HS_COMPARE_AGAINST] : device;
        struct hs_face_request request = hs_face_app_request(app);
        request.max_faces = FACES_MAX;
        request.embed = i != OF_DEVICE;
        request.known = i == EMBEDDED ? &compare->found[OF_AGAINST] : NULL;
        r = hs_face_app_find_file(app, path, &request, &compare->found[i], err);
    }
    if (r < 0)
        return r;
    for (int side = 0; side < HS_COMPARE_SIDES; side++) {
        const struct hs_face_result *found = &compare->found[side == HS_COMPARE_DEVICE ? OF_DEVICE : OF_AGAINST];
        ret_boxes[side] = (struct hs_boxes) {
            .first = found->count ? &found->faces[0].face.box : NULL,
            .count = found->count,
            .stride = sizeof(struct hs_face_found),
        };
    }
    return same_vectors ? compare_vectors(compare, err) : 0;
}

/* ---- all pictures ---- */

/* A good result from fewer faces does not replace an older record. */
static int record(void *const *states, const struct hs_sample_stats *cosine, struct hs_compare_report *report,
                  struct hs_error *err)
{
    const struct hs_app_core *core = states[HS_COMPARE_DEVICE];
    const struct hs_model_runner *device = embedder(states[HS_COMPARE_DEVICE]);
    const struct hs_model_runner *against = embedder(states[HS_COMPARE_AGAINST]);
    struct hs_error why;
    if (hs_model_runner_is_simulated(device) || hs_model_runner_is_processor(device) ||
        !hs_model_runner_is_processor(against))
        return 0;
    int judged = hs_embedding_parity_judge(cosine, &why);
    if (judged < 0 && hs_embedding_parity_is_close(cosine)) {
        hs_compare_report_note(report, "record", "not recorded: %s", why.message);
        return 0;
    }
    int r = 0;
    if (cosine->count > 0)
        r = hs_embedding_parity_save(core->store, &device->choice, &against->choice, cosine, err);
    if (r == 0)
        hs_compare_report_note(report, "record", "%s",
                               judged == 0 ? "recorded: the processor can be the fallback (device.fallback: cpu)"
                                           : "recorded: the processor cannot be the fallback of the embedder");
    return r;
}

static int report(void *arg, void *const *states, struct hs_compare_report *report, struct hs_error *err)
{
    struct compare *compare = arg;
    hs_compare_report_numbers(report, "box_pixels", "box distance, px", &compare->box);
    hs_compare_report_numbers(report, "box_iou", "box IoU", &compare->overlap);
    hs_compare_report_numbers(report, "landmark_pixels", "landmark distance, px", &compare->points);
    hs_compare_report_check(report, "box_iou", "median box IoU", hs_samples_summarize(&compare->overlap).median,
                            compare->least_iou);
    if (!has_same_vectors(states)) {
        report->ok = false;
        hs_compare_report_note(report, "vectors", "the embeddings are of two embedding spaces and cannot be compared");
        return 0;
    }
    struct hs_sample_stats cosine = hs_samples_summarize(&compare->cosine);
    hs_compare_report_numbers(report, "cosine", "embedding cosine", &compare->cosine);
    hs_compare_report_check(report, "median_cosine", "median cosine", cosine.median, compare->least_median);
    hs_compare_report_check(report, "least_cosine", "least cosine", cosine.min, compare->least_cosine);
    return record(states, &cosine, report, err);
}

static int run(struct hs_invocation *call)
{
    struct compare compare = { .least_iou = least_overlap,
                               .least_cosine = HS_PARITY_MIN,
                               .least_median = HS_PARITY_MEDIAN };
    const struct hs_option options[] = {
        HS_NUMBER("least-iou", &compare.least_iou, "IOU", 0, 1,
                  "smallest median overlap of the boxes, as IoU (default 0.8)"),
        HS_NUMBER("least-cosine", &compare.least_cosine, "COSINE", -1, 1,
                  "smallest similarity of the two embeddings of a face (default 0.9)"),
        HS_NUMBER("least-median", &compare.least_median, "COSINE", -1, 1,
                  "smallest median of these similarities (default 0.97)"),
    };
    const struct hs_compare_command command = {
        .options = options,
        .option_count = HS_ARRAY_LEN(options),
        .what = "faces",
        .one = "face",
        .set = "database.enabled=false",
        .run = run_picture,
        .match = match,
        .report = report,
    };
    int code = hs_compare_command_run(call, &command, &compare);
    free_results(&compare);
    hs_samples_finish(&compare.box);
    hs_samples_finish(&compare.overlap);
    hs_samples_finish(&compare.points);
    hs_samples_finish(&compare.cosine);
    return code;
}

static const struct hs_example examples[] = {
    { "compare-devices .deps/samples/*.jpg --models .deps/models --device hailo",
      "Compare a Hailo with the processor" },
    { "compare-devices .deps/samples/bus.jpg --models .deps/models --device sim", "Try the report without a Hailo" },
};

const struct hs_command hs_face_command_compare_devices = {
    .name = "compare-devices",
    .arguments = "PICTURE|FOLDER…",
    .summary = "Check that two devices find the same faces and compute the same embeddings",
    .run = run,
    HS_EXAMPLES(examples),
};
