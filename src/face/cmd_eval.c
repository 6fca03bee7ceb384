/* `eval`: measures how well the models distinguish people, over labelled pairs of pictures, with
 * the service's pipeline. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/progress.h"
#include "face/commands.h"
#include "face/face_select.h"
#include "face/pairs.h"
#include "service/parallel_for.h"
#include "vision/embedding.h"
#include "vision/verification.h"

enum { FACES_MAX = 1000 };

struct eval {
    struct hs_invocation *call;
    const char *pairs_file, *images, *face;
    enum hs_face_rule rule; /* for pictures without a box */
    bool json;
    const struct hs_face_app *app;
    struct hs_face_pairs *pairs;
    struct hs_progress progress;
    size_t dimension;
    float *vectors;                      /* one per picture */
    bool *found;                         /* true if the picture has an embedding */
    size_t missed;                       /* pictures without an embedding */
    struct hs_verification_pair *scored; /* pairs in which both faces have an embedding */
    size_t scored_count;
};

/* Thresholds in the report, by the accepted share of different pairs (false match rate). */
static const struct {
    const char *name, *text;
    double far;
} rows[] = { { "0", "0", 0 }, { "0.001", "0.1 %", .001 }, { "0.01", "1 %", .01 } };

/* ---- embeddings ---- */

static int embed(void *arg, size_t index, struct hs_error *err)
{
    struct eval *eval = arg;
    const struct hs_face_picture *picture = &eval->pairs->pictures[index];
    struct hs_face_request request = hs_face_app_request(eval->app);
    struct hs_face_result result;
    char path[PATH_MAX];
    request.max_faces = FACES_MAX;
    request.inside = picture->has_box ? &picture->box : NULL;
    request.embed = true;
    if (!hs_path_join(path, sizeof(path), eval->images, picture->path))
        return hs_error_set(err, HS_EINVAL, "the path is too long: %s", picture->path);
    int r = hs_face_app_find_file(eval->app, path, &request, &result, err);
    const struct hs_face_found *face = r == 0 ? hs_face_select(&result, eval->rule) : NULL;
    eval->found[index] = face && face->embedding;
    if (eval->found[index])
        memcpy(eval->vectors + index * eval->dimension, face->embedding, eval->dimension * sizeof(float));
    hs_face_result_finish(&result);
    return r;
}

static void score(struct eval *eval)
{
    for (size_t i = 0; i < eval->pairs->pair_count; i++) {
        const struct hs_face_pair *pair = &eval->pairs->pairs[i];
        if (!eval->found[pair->a] || !eval->found[pair->b])
            continue;
        eval->scored[eval->scored_count++] = (struct hs_verification_pair) {
            .score = (double) hs_embedding_cosine(eval->vectors + pair->a * eval->dimension,
                                                  eval->vectors + pair->b * eval->dimension, eval->dimension),
            .same = pair->same,
        };
    }
    for (size_t i = 0; i < eval->pairs->picture_count; i++)
        eval->missed += !eval->found[i];
}

/* ---- the report ---- */

static void print_table(const struct eval *eval, const struct hs_verification *v,
                        const struct hs_verification_point *configured)
{
    const struct hs_face_pairs *pairs = eval->pairs;
    char pictures[HS_COUNT_SIZE], scored[HS_COUNT_SIZE], skipped[HS_COUNT_SIZE];
    hs_str_count(pictures, (int64_t) pairs->picture_count, "picture", "pictures");
    hs_str_count(scored, (int64_t) eval->scored_count, "pair", "pairs");
    hs_str_count(skipped, (int64_t) (pairs->pair_count - eval->scored_count), "pair", "pairs");
    printf("%s, %zu without a face; %s skipped\n", pictures, eval->missed, skipped);
    for (size_t i = 0; i < pairs->picture_count; i++)
        if (!eval->found[i])
            printf("  no face: %s\n", pairs->pictures[i].path);
    printf("%s: %zu of the same person, %zu of different people\n\n", scored, v->same, v->different);
    printf("%-24s  %-6s  THRESHOLD\n", "METRIC", "VALUE");
    printf("%-24s  %.4f\n", "AUC", v->auc);
    printf("%-24s  %.4f  %.3f\n", "EER", v->eer, v->eer_threshold);
    printf("%-24s  %.4f  %.3f\n", "best accuracy", v->accuracy, v->best_threshold);
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        struct hs_verification_point at = hs_verification_at_far(eval->scored, eval->scored_count, rows[i].far);
        printf("TAR at FAR %-13s  %.4f  %.3f\n", rows[i].text, at.tar, at.threshold);
    }
    printf("%-24s  %.4f  %.3f\n", "TAR as configured", configured->tar, configured->threshold);
    printf("%-24s  %.4f  %.3f\n", "FAR as configured", configured->far, configured->threshold);
}

/* Six decimals show one pair among a million. */
static double six(double value)
{
    return hs_json_rounded(value, 6);
}

static json_t *point_json(const struct hs_verification_point *at)
{
    return json_pack("{s:f, s:f, s:f}", "threshold", six(at->threshold), "tar", six(at->tar), "far", six(at->far));
}

static json_t *report_json(const struct eval *eval, const struct hs_verification *v,
                           const struct hs_verification_point *configured)
{
    json_t *missed = json_array(), *at_far = json_object();
    for (size_t i = 0; i < eval->pairs->picture_count; i++)
        if (!eval->found[i])
            json_array_append_new(missed, json_string(eval->pairs->pictures[i].path));
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        struct hs_verification_point at = hs_verification_at_far(eval->scored, eval->scored_count, rows[i].far);
        json_object_set_new(at_far, rows[i].name, point_json(&at));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:f, s:f, s:f, s:f, s:f, s:o, s:o}", "pictures",
                     (json_int_t) eval->pairs->picture_count, "pairs", (json_int_t) eval->scored_count, "same",
                     (json_int_t) v->same, "different", (json_int_t) v->different, "no_face", missed, "auc",
                     six(v->auc), "eer", six(v->eer), "eer_threshold", six(v->eer_threshold), "accuracy",
                     six(v->accuracy), "best_threshold", six(v->best_threshold), "at_far", at_far, "configured",
                     point_json(configured));
}

static int report(const struct eval *eval, struct hs_error *err)
{
    struct hs_verification v;
    int r = hs_verification_measure(eval->scored, eval->scored_count, &v, err);
    if (r < 0)
        return r;
    const struct hs_verification_point configured =
        hs_verification_at(eval->scored, eval->scored_count, eval->app->recognition_threshold);
    if (eval->json)
        return hs_print_json(report_json(eval, &v, &configured), HS_JSON_SPACED, err);
    print_table(eval, &v, &configured);
    return 0;
}

static int evaluate(struct eval *eval, struct hs_error *err)
{
    const struct hs_face_pairs *pairs = eval->pairs;
    struct hs_model_pool_status status;
    size_t numbers;
    hs_model_pool_get_status(eval->app->detector, &status);
    const struct hs_parallel_for loop = {
        .count = pairs->picture_count,
        .threads = status.slots,
        .run = embed,
        .arg = eval,
        .progress = &eval->progress,
    };
    eval->dimension = (size_t) hs_model_pool_first(eval->app->embedder)->choice.pack->embedding.dimension;
    if (hs_size_mul(pairs->picture_count, eval->dimension, &numbers))
        eval->vectors = calloc(numbers, sizeof(float));
    eval->found = calloc(pairs->picture_count, sizeof(bool));
    eval->scored = calloc(pairs->pair_count, sizeof(*eval->scored));
    int r = 0;
    if (!eval->vectors || !eval->found || !eval->scored)
        r = hs_error_set(err, HS_ENOMEM, "no memory for %zu pictures", pairs->picture_count);
    if (r == 0)
        r = hs_parallel_for(&loop, err);
    if (r == 0) {
        score(eval);
        r = report(eval, err);
    }
    hs_mem_free_wiped(eval->vectors, eval->pairs->picture_count * eval->dimension * sizeof(float));
    free(eval->found);
    free(eval->scored);
    return r;
}

static int run(struct eval *eval)
{
    struct hs_error err;
    struct hs_face_app *app;
    if (hs_face_pairs_load(eval->pairs_file, &eval->pairs, &err) < 0)
        return hs_invocation_fail(eval->call, HS_EXIT_FAILURE, "%s", err.message);
    int code = hs_face_start(eval->call, false, &app);
    if (code == HS_EXIT_OK) {
        eval->app = app;
        if (evaluate(eval, &err) < 0)
            code = hs_invocation_fail(eval->call, HS_EXIT_FAILURE, "%s", err.message);
        hs_app_destroy(app);
    }
    hs_face_pairs_destroy(eval->pairs);
    return code;
}

static int run_eval(struct hs_invocation *call)
{
    struct eval eval = { .call = call, .face = "largest" };
    const struct hs_option options[] = {
        HS_TEXT("pairs", &eval.pairs_file, "FILE",
                "CSV with the columns image1, image2, same and optionally bbox1, bbox2 (docs/face.md)"),
        HS_TEXT("images", &eval.images, "DIR", "folder of their pictures"),
        HS_TEXT("face", &eval.face, "largest|best|middle",
                "the face of a picture that counts: the largest one (default), the one with the best score, or the one "
                "in the middle"),
        HS_FLAG("json", &eval.json, "print JSON"),
    };
    int code;
    hs_progress_init(&eval.progress, true);
    if (!hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code))
        return code;
    eval.progress.quiet = call->quiet;
    if (!hs_face_rule_read(eval.face, &eval.rule))
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--face: must be largest, best or middle, not '%s'", eval.face);
    return run(&eval);
}

static const struct hs_example examples[] = {
    { "eval --pairs lfw.csv --images lfw", "Measure it on the pairs of LFW" },
};

const struct hs_command hs_face_command_eval = {
    .name = "eval",
    .arguments = "--pairs FILE --images DIR",
    .summary = "Measure the accuracy of recognition on labelled pairs of pictures",
    .run = run_eval,
    HS_EXAMPLES(examples),
};
