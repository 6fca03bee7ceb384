/* The stages of `bench`. The gallery is searched if there is one; none is made for this. */
#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "face/commands.h"

enum { ROUND_TIMEOUT_MS = 120000 };

/* In the order of a request for recognition; alignment counts to `embed`. */
enum stage { DECODE, DETECT, EMBED, SEARCH, TOTAL, ROUND_TRIP };

static const char *const stage_names[] = {
    [DECODE] = "decode", [DETECT] = "detect", [EMBED] = "embed",
    [SEARCH] = "search", [TOTAL] = "total",   [ROUND_TRIP] = "round_trip",
};

/* Two names for each face, as an answer needs them. */
static int search(const struct hs_face_app *app, const struct hs_face_result *result, struct hs_error *err)
{
    struct hs_face_match matches[2];
    size_t count;
    int r = 0;
    for (size_t i = 0; r == 0 && app->index && i < result->count; i++) {
        if (result->faces[i].embedding)
            r = hs_face_index_find(app->index, result->faces[i].embedding, 2, -INFINITY, HS_NO_DEADLINE, matches,
                                   &count, err);
    }
    return r;
}

static int run_round(const void *state, const struct hs_bench_picture *picture, double *ret_ms, struct hs_error *err)
{
    const struct hs_face_app *app = state;
    struct hs_face_request request = hs_face_app_request(app);
    struct hs_face_result result;
    request.embed = true;
    if (picture->built_in)
        request.score_threshold = HS_FACE_TEST_IMAGE_SCORE;
    int r = hs_face_find(&app->pipeline, picture->data, picture->len, &request, hs_deadline_in_ms(ROUND_TIMEOUT_MS),
                         NULL, &result, err);
    int64_t found = hs_clock_now_ns();
    if (r == 0)
        r = search(app, &result, err);
    ret_ms[DECODE] = result.timings.decode_ms;
    ret_ms[DETECT] = result.timings.detect_ms;
    ret_ms[EMBED] = result.timings.embed_ms;
    ret_ms[SEARCH] = hs_ns_to_ms(hs_clock_now_ns() - found);
    ret_ms[TOTAL] = result.timings.total_ms + ret_ms[SEARCH];
    hs_face_result_finish(&result);
    return r;
}

const struct hs_app_bench hs_face_bench = {
    .route = "/v1/recognize",
    .stages = { stage_names, HS_ARRAY_LEN(stage_names) },
    .round = run_round,
};
