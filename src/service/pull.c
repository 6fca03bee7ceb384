/* POST /v1/models/{id}/pull. */
#include "service/app_routes.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/failure.h"
#include "http/stream.h"
#include "models/fetch.h"
#include "service/request_options.h"

enum { PROGRESS_MS = 250, KEEP_ALIVE_MS = 10000 };

/* The pack whose file is being fetched, or NULL. A service has one store, which allows one pull at a time. */
static _Atomic(const struct hs_pack *) pulling;

/* Owned by the request that has set `pulling`. */
static struct hs_model_choice chosen;

struct run {
    struct hs_http_request *req;
    struct hs_http_stream *stream; /* NULL: the answer is sent as a whole */
    int64_t sent_ns;               /* time of the last event */
    uint64_t shown;                /* bytes reported in it */
    int failed;                    /* error of writing to the client */
};

/* ---- events ---- */

/* Takes the reference to `value`. */
static void send(struct run *run, const char *event, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    if (!text)
        run->failed = HS_ENOMEM;
    if (run->failed == 0)
        run->failed = hs_sse_send(run->stream, event, NULL, text, HS_NO_DEADLINE);
    run->sent_ns = hs_clock_now_ns();
    free(text);
    json_decref(value);
}

/* Called about once a second, also while no data arrives. If the client leaves, the request's
 * cancel ends the fetch. */
static void on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    struct run *run = arg;
    int64_t pause_ms = (hs_clock_now_ns() - run->sent_ns) / HS_NS_PER_MS;
    if (done != run->shown && (pause_ms >= PROGRESS_MS || (total > 0 && done >= total))) {
        run->shown = done;
        send(run, "progress",
             json_pack("{s:s, s:I, s:o}", "file", what, "bytes", (json_int_t) done, "total",
                       total ? json_integer((json_int_t) total) : json_null()));
    } else if (pause_ms >= KEEP_ALIVE_MS && run->failed == 0) {
        /* Sends a comment, which clients ignore, because proxies close an idle connection. */
        run->failed = hs_http_stream_write(run->stream, ":\n\n", 3, HS_NO_DEADLINE);
        run->sent_ns = hs_clock_now_ns();
    }
}

/* ---- which file ---- */

static int choose(const struct hs_app_core *core, const char *name, struct hs_model_choice *ret, struct hs_error *err)
{
    char version[HS_RUNTIME_SIZE];
    const struct hs_pack *pack = hs_store_find(core->store, name);
    if (!core->common->model.allow_pull)
        return hs_error_set(err, HS_EFORBIDDEN, "Fetching models is not allowed here: model.allow_pull is false");
    if (!pack || !hs_app_serves(core->app, pack))
        return hs_error_set(err, HS_ENOTFOUND, "There is no model of that name");
    const char *backend = hs_app_pull_backend(&core->common->inference);
    const struct hs_pack_file *file = hs_pack_find_file(pack, backend, hs_model_runner_runtime(backend, version));
    if (!file)
        file = hs_pack_find_file(pack, "openvino", NULL);
    if (!file)
        return hs_error_set(err, HS_ENOTFOUND, "%s has no file for this machine", pack->name);
    *ret = (struct hs_model_choice) { pack, file };
    return 0;
}

/* ---- the pull ---- */

static json_t *result_json(const struct hs_model_choice *choice, const struct hs_fetch_result *result)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:b, s:b}", "model", choice->pack->name, "file", choice->file->name,
                     "backend", choice->file->backend, "size", (json_int_t) result->size, "sha256", result->sha256,
                     "already", (int) result->present, "recorded", (int) result->recorded);
}

static void reply(struct run *run, int r, const struct hs_error *err, json_t *value)
{
    /* If another program fetches this file, answers as for a concurrent pull of this service. */
    int code = r == HS_EBUSY ? HS_ECONFLICT : r;
    if (!run->stream && r < 0)
        hs_http_reply_failure(run->req, code, NULL, err);
    else if (!run->stream)
        hs_http_reply_json(run->req, 200, value);
    else if (r < 0)
        send(run, "error", hs_http_failure_json(run->req, code, NULL, err));
    else
        send(run, "done", value);
}

/* Runs outside the workers, because it may take hours. */
static void fetch(struct hs_http_request *req)
{
    const struct hs_app_core *core = hs_http_context(req);
    struct run run = { .req = req };
    struct hs_fetch_result result;
    struct hs_error err;
    if (hs_accept_prefers(req, "text/event-stream")) {
        run.stream = hs_sse_begin(req);
        run.sent_ns = hs_clock_now_ns();
    }
    const struct hs_fetch_options options = {
        .mirror = hs_null_if_empty(core->common->model.mirror),
        .no_wait = true,
        .cancel = hs_http_cancel(req),
        .progress = run.stream ? on_progress : NULL,
        .arg = &run,
    };
    int r = hs_fetch_file(core->store, &chosen, &options, &result, &err);
    reply(&run, r, &err, r < 0 ? NULL : hs_request_add_warnings(req, result_json(&chosen, &result)));
    if (run.stream && run.failed < 0)
        hs_http_stream_end(run.stream, false);
    atomic_store(&pulling, NULL);
}

bool hs_app_is_pulling(const struct hs_pack *pack)
{
    return atomic_load(&pulling) == pack;
}

void hs_app_post_pull(struct hs_http_request *req)
{
    const struct hs_app_core *core = hs_http_context(req);
    const struct hs_pack *none = NULL;
    struct hs_model_choice choice;
    struct hs_error err;
    int r = choose(core, hs_http_param(req, 0), &choice, &err);
    if (r == 0 && !atomic_compare_exchange_strong(&pulling, &none, choice.pack))
        r = hs_error_set(&err, HS_ECONFLICT, "A model is being fetched already");
    if (r < 0) {
        hs_http_reply_failure(req, r, NULL, &err);
        return;
    }
    chosen = choice;
    hs_http_continue_with(req, fetch);
}
