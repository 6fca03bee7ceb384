#include "face/eval_run.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "service/each.h"
#include "vision/embedding.h"

enum { FACES_MAX = 1000 };

struct run {
    const struct hs_face_app *app;
    const struct hs_face_pairs *pairs;
    const struct hs_face_eval_options *options;
    size_t dimension;
    float *vectors; /* one a picture */
    bool *found;
};

static int embed(struct run *run, size_t index, struct hs_face_result *result, struct hs_error *err)
{
    const struct hs_face_picture *picture = &run->pairs->pictures[index];
    const struct hs_face_request request = {
        .score_threshold = (float) run->app->settings->face_recognition.detection_threshold,
        .max_faces = FACES_MAX,
        .tiny = run->app->settings->face_recognition.tiny_faces,
        .inside = picture->boxed ? &picture->box : NULL,
        .embed = true,
    };
    char path[PATH_MAX];
    uint8_t *data;
    size_t len;
    struct hs_error why;
    if (!hs_path_join(path, sizeof(path), run->options->images_dir, picture->path))
        return hs_error_set(err, HS_EINVAL, "%s: the path is too long", picture->path);
    int r = hs_file_read(path, run->app->pipeline.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_face_find(&run->app->pipeline, data, len, &request, HS_NO_DEADLINE, NULL, result, &why);
    free(data);
    if (r < 0)
        return hs_error_set(err, r, "%s: %s", path, why.message);
    const struct hs_face_found *face = hs_face_pick(result, run->options->rule);
    run->found[index] = face && face->embedding;
    if (run->found[index])
        memcpy(run->vectors + index * run->dimension, face->embedding, run->dimension * sizeof(float));
    return 0;
}

static int embed_one(void *arg, size_t index, struct hs_error *err)
{
    struct hs_face_result result = { 0 };
    int r = embed(arg, index, &result, err);
    hs_face_result_finish(&result);
    return r;
}

static void tell(void *arg, size_t done, size_t total)
{
    const struct run *run = arg;
    if (run->options->progress)
        run->options->progress(run->options->arg, done, total);
}

static void score(const struct run *run, struct hs_face_eval *eval)
{
    const struct hs_face_pairs *pairs = run->pairs;
    for (size_t i = 0; i < pairs->pair_count; i++) {
        const struct hs_face_pair *pair = &pairs->pairs[i];
        if (!run->found[pair->a] || !run->found[pair->b])
            continue;
        eval->scored[eval->scored_count++] = (struct hs_verification_pair) {
            .score = (double) hs_embedding_cosine(run->vectors + pair->a * run->dimension,
                                                  run->vectors + pair->b * run->dimension, run->dimension),
            .same = pair->same,
        };
    }
    for (size_t i = 0; i < pairs->picture_count; i++) {
        if (!run->found[i])
            eval->missed[eval->missed_count++] = &pairs->pictures[i];
    }
}

int hs_face_eval_run(const struct hs_face_app *app, const struct hs_face_pairs *pairs,
                     const struct hs_face_eval_options *options, struct hs_face_eval *ret_eval, struct hs_error *err)
{
    struct run run = {
        .app = app,
        .pairs = pairs,
        .options = options,
        .dimension = (size_t) hs_model_pool_first(app->embedder)->choice.pack->embedding.dimension,
        .found = calloc(pairs->picture_count, sizeof(bool)),
    };
    size_t numbers;
    if (hs_size_mul(pairs->picture_count, run.dimension, &numbers))
        run.vectors = calloc(numbers, sizeof(float));
    *ret_eval = (struct hs_face_eval) {
        .scored = calloc(pairs->pair_count, sizeof(*ret_eval->scored)),
        .missed = calloc(pairs->picture_count, sizeof(struct hs_face_picture *)),
    };
    const struct hs_each pictures = {
        .count = pairs->picture_count,
        .threads = options->threads,
        .run = embed_one,
        .progress = tell,
        .arg = &run,
    };
    int r = 0;
    if (!run.found || !run.vectors || !ret_eval->scored || !ret_eval->missed)
        r = hs_error_set(err, HS_ENOMEM, "no memory for %zu pictures", pairs->picture_count);
    if (r == 0)
        r = hs_each_run(&pictures, err);
    if (r == 0)
        score(&run, ret_eval);
    free(run.vectors);
    free(run.found);
    return r;
}

void hs_face_eval_finish(struct hs_face_eval *eval)
{
    free(eval->scored);
    free(eval->missed);
    *eval = (struct hs_face_eval) { 0 };
}
