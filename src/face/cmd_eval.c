/* How well the models tell people apart, over labelled pairs of pictures. */
#include <jansson.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/print_json.h"
#include "cli/progress.h"
#include "face/commands.h"
#include "face/eval_run.h"

struct eval_call {
    struct hs_invocation *call;
    const char *pairs, *images, *face;
    enum hs_face_rule rule;
    bool json;
    struct hs_progress progress;
};

/* Thresholds of the report, by the share of different pairs that may be accepted. */
static const struct {
    const char *name, *text;
    double far;
} rows[] = { { "0", "0", 0 }, { "0.001", "0.1 %", .001 }, { "0.01", "1 %", .01 } };

static void show_progress(void *arg, size_t done, size_t total)
{
    hs_progress_show(arg, "pictures", done, total);
}

static void print_table(const struct hs_face_pairs *pairs, const struct hs_face_eval *eval,
                        const struct hs_verification *v, const struct hs_verification_point *configured)
{
    printf("%zu pictures, %zu without a face; %zu pairs left out\n", pairs->picture_count, eval->missed_count,
           pairs->pair_count - eval->scored_count);
    for (size_t i = 0; i < eval->missed_count; i++)
        printf("  no face: %s\n", eval->missed[i]->path);
    printf("%zu pairs: %zu of the same person, %zu of different ones\n", eval->scored_count, v->same, v->different);
    printf("AUC   %.4f\nEER   %.4f at %.3f\nbest  %.4f of all pairs right at %.3f\n", v->auc, v->eer, v->eer_threshold,
           v->accuracy, v->best_threshold);
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        struct hs_verification_point at = hs_verification_at_far(eval->scored, eval->scored_count, rows[i].far);
        printf("TAR   %.4f at FAR %s (%.3f)\n", at.tar, rows[i].text, at.threshold);
    }
    printf("TAR   %.4f and FAR %.4f at the threshold in force, %.3f\n", configured->tar, configured->far,
           configured->threshold);
}

static json_t *point_json(const struct hs_verification_point *at)
{
    return json_pack("{s:f, s:f, s:f}", "threshold", at->threshold, "tar", at->tar, "far", at->far);
}

static json_t *report_json(const struct hs_face_pairs *pairs, const struct hs_face_eval *eval,
                           const struct hs_verification *v, const struct hs_verification_point *configured)
{
    json_t *missed = json_array(), *at_far = json_object();
    for (size_t i = 0; i < eval->missed_count; i++)
        json_array_append_new(missed, json_string(eval->missed[i]->path));
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        struct hs_verification_point at = hs_verification_at_far(eval->scored, eval->scored_count, rows[i].far);
        json_object_set_new(at_far, rows[i].name, point_json(&at));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:f, s:f, s:f, s:f, s:f, s:o, s:o}", "pictures",
                     (json_int_t) pairs->picture_count, "pairs", (json_int_t) eval->scored_count, "same",
                     (json_int_t) v->same, "different", (json_int_t) v->different, "no_face", missed, "auc", v->auc,
                     "eer", v->eer, "eer_threshold", v->eer_threshold, "accuracy", v->accuracy, "best_threshold",
                     v->best_threshold, "at_far", at_far, "configured", point_json(configured));
}

static int report(const struct eval_call *eval, const struct hs_face_app *app, const struct hs_face_pairs *pairs,
                  const struct hs_face_eval *found, struct hs_error *err)
{
    struct hs_verification v;
    int r = hs_verification_measure(found->scored, found->scored_count, &v, err);
    if (r < 0)
        return r;
    const struct hs_verification_point configured =
        hs_verification_at(found->scored, found->scored_count, app->recognition_threshold);
    if (eval->json)
        return hs_print_json(report_json(pairs, found, &v, &configured), err);
    print_table(pairs, found, &v, &configured);
    return 0;
}

static int evaluate(struct eval_call *eval, struct hs_face_app *app, const struct hs_face_pairs *pairs,
                    struct hs_error *err)
{
    struct hs_model_pool_status status;
    hs_model_pool_get_status(app->detector, &status);
    const struct hs_face_eval_options options = {
        .images_dir = eval->images,
        .rule = eval->rule,
        .threads = status.slots,
        .progress = show_progress,
        .arg = &eval->progress,
    };
    struct hs_face_eval found;
    int r = hs_face_eval_run(app, pairs, &options, &found, err);
    hs_progress_clear(&eval->progress);
    if (r == 0)
        r = report(eval, app, pairs, &found, err);
    hs_face_eval_finish(&found);
    return r;
}

static int run(struct eval_call *eval)
{
    struct hs_error err;
    struct hs_face_pairs *pairs;
    struct hs_face_app app;
    if (hs_face_pairs_load(eval->pairs, &pairs, &err) < 0)
        return hs_invocation_fail(eval->call, HS_EXIT_FAILURE, "%s", err.message);
    int code = hs_face_start_app(eval->call, false, &app);
    if (code == HS_EXIT_OK) {
        if (evaluate(eval, &app, pairs, &err) < 0)
            code = hs_invocation_fail(eval->call, HS_EXIT_FAILURE, "%s", err.message);
        hs_face_app_finish(&app);
    }
    hs_face_pairs_destroy(pairs);
    return code;
}

int hs_face_cmd_eval(struct hs_invocation *call)
{
    struct eval_call eval = { .call = call, .face = "largest" };
    const struct hs_option options[] = {
        { .name = "pairs",
          .kind = HS_OPTION_TEXT,
          .target = &eval.pairs,
          .value = "FILE",
          .help = "CSV with the columns image1, image2, same and, if wanted, bbox1, bbox2 (docs/face.md); required" },
        { .name = "images",
          .kind = HS_OPTION_TEXT,
          .target = &eval.images,
          .value = "DIR",
          .help = "the folder of their pictures; required" },
        { .name = "face",
          .kind = HS_OPTION_TEXT,
          .target = &eval.face,
          .value = "RULE",
          .help = "which face of a picture is meant: largest, best (by score) or middle (largest)" },
        { .name = "json", .kind = HS_OPTION_FLAG, .target = &eval.json, .help = "print JSON" },
    };
    struct hs_text_list none = { 0 };
    int code;
    hs_progress_init(&eval.progress);
    eval.progress.counts = true;
    if (!hs_invocation_parse(call, options, HS_ARRAY_LEN(options), &none, 0, &code))
        return code;
    if (!eval.pairs || !eval.images)
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--pairs and --images are required");
    if (!hs_face_rule_read(eval.face, &eval.rule))
        return hs_invocation_fail(call, HS_EXIT_USAGE, "--face is largest, best or middle");
    return run(&eval);
}
