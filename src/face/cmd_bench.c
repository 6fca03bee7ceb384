/* How fast this machine is, stage by stage. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "face/commands.h"
#include "service/bench_command.h"

enum { ROUND_TIMEOUT_MS = 120000 };

/* In the order of a request for recognition; alignment counts to `embed`. */
enum stage { DECODE, DETECT, EMBED, SEARCH, TOTAL, ROUND_TRIP };

static const char *const stage_names[] = {
    [DECODE] = "decode", [DETECT] = "detect", [EMBED] = "embed",
    [SEARCH] = "search", [TOTAL] = "total",   [ROUND_TRIP] = "round_trip",
};

static void *make_worker(void *arg, struct hs_error *err)
{
    (void) err;
    return arg;
}

static void free_worker(void *worker)
{
    (void) worker;
}

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

static int run_round(void *worker, size_t round, double *ret_ms, struct hs_error *err)
{
    const struct hs_bench_input *input = worker;
    const struct hs_face_app *app = input->app;
    const struct hs_bench_picture *picture = &input->pictures[round % input->count];
    const struct hs_face_section *s = &app->settings->face_recognition;
    const struct hs_face_request request = {
        .score_threshold = input->built_in ? HS_FACE_FIGURE_SCORE : (float) s->detection_threshold,
        .max_faces = s->max_faces,
        .tiny = s->tiny_faces,
        .embed = true,
    };
    struct hs_face_result result;
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

/* The gallery is searched where there is one; none is made for this. */
static int wants_gallery(const struct hs_invocation *call, bool *ret)
{
    struct hs_settings *settings;
    int code = hs_face_load_settings(call, NULL, 0, &settings);
    if (code != HS_EXIT_OK)
        return code;
    const struct hs_face_settings *s = hs_settings_values(settings);
    *ret = s->database.enabled && hs_file_exists(s->database.db_file);
    hs_settings_destroy(settings);
    return HS_EXIT_OK;
}

static int start(const struct hs_invocation *call, void **ret_app)
{
    static struct hs_face_app app;
    bool gallery;
    int code = wants_gallery(call, &gallery);
    *ret_app = &app;
    return code == HS_EXIT_OK ? hs_face_start_app(call, gallery, &app) : code;
}

static void finish(void *app)
{
    hs_face_app_finish(app);
}

int hs_face_cmd_bench(struct hs_invocation *call)
{
    static const struct hs_bench_command command = {
        .route = "/v1/recognize",
        .stages = { stage_names, HS_ARRAY_LEN(stage_names) },
        .start = start,
        .finish = finish,
        .in_process = { .make_worker = make_worker, .run = run_round, .free_worker = free_worker },
    };
    return hs_bench_command_run(call, &command);
}
