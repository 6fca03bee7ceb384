/* The description of a program, and the commands and state that hailo-pose and hailo-face build from it. */
#ifndef HS_SERVICE_APP_H
#define HS_SERVICE_APP_H

#include "base/budget.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cli/program.h"
#include "config/common.h"
#include "http/server.h"
#include "image/image.h"
#include "service/bench.h"
#include "service/model_cache.h"
#include "service/reload.h"
#include "service/selftest.h"

enum { HS_APP_MODELS_MAX = 2 };

/* A model that the program serves. */
struct hs_app_model {
    enum hs_task task;
    const char *name;    /* the task's name in /v1/models: "face-detection" */
    const char *label;   /* the task's label in /metrics: "detect" */
    const char *role;    /* the model's role in reports: "detector" */
    const char *setting; /* the setting with its pack or "auto": "face_recognition.detection_model" */
    int batch;           /* pictures of one request per run, on a processor */
    bool free_size;      /* takes inference.input_size if the model's input size is free */
    int border;          /* as in struct hs_letterbox_rule */
    bool half_size;      /* also runs at hs_model_runner_half_size */
};

/* `settings` are hs_settings_values. `state` is the program's state: a struct whose first member is
 * a struct hs_app_core. A request uses a copy of it with the settings of the time when the request
 * began (hs_app_revise), so the struct has only pointers and values that do not change. */
struct hs_app {
    struct hs_program program; /* its `app` points to this; its settings begin with HS_COMMON_SECTIONS */
    const struct hs_app_model *models;
    size_t model_count; /* at most HS_APP_MODELS_MAX */

    const char *exposure_warning; /* completes the warning about network access: "use this service" */

    size_t state_size;
    int (*init)(void *state, struct hs_error *err); /* adds the models (hs_app_core_add_model) and their users */
    int (*open)(void *state, struct hs_error *err); /* opens the service's own resources (gallery); may be NULL */
    bool (*exists)(const void *settings);           /* true if `open` would create nothing; NULL: never true */
    void (*begin)(void *state);                     /* called when the service starts; NULL: only loads its models */
    void (*finish)(void *state);                    /* undoes init and open, also after a failure; may be NULL */
    void (*revise)(void *state); /* derives values of the state from changed settings: see hs_app_revise */

    /* Appends an event to the program's audit log: a command has added, revoked or replaced the API key `key`. May be
     * NULL. HS_ENOTFOUND: there is no log yet. */
    int (*record)(const struct hs_settings *settings, const char *action, const char *key, struct hs_error *err);

    const struct hs_http_route *routes; /* the state is the server's context */
    const size_t *route_count;
    const struct hs_object_doc *error_object; /* the JSON of its errors */
    /* Returns why the state cannot answer although the models can, else NULL, and writes details or
     * "". Called inline. May be NULL. */
    const char *(*not_ready)(const void *state, char ret_detail[HS_ERROR_MESSAGE_SIZE]);
    void (*metrics)(const void *state, struct hs_metrics_writer *writer); /* writes more families to /metrics; called
                                                                             inline; may be NULL */
    void (*configure_http)(const void *state,
                           struct hs_http_options *ret); /* adjusts the options; NULL: keeps defaults */

    const struct hs_app_bench *bench;
    /* Parts of `selftest`. check_settings needs only the settings and may be NULL. check_picture
     * runs the loaded models on the built-in picture (service/test_image.h); the caller reports its
     * error as a failed check. */
    void (*check_settings)(struct hs_selftest *test, const void *settings);
    int (*check_picture)(struct hs_selftest *test, const void *state, const struct hs_buf *picture,
                         struct hs_error *err);
};

/* The commands common to all programs.
 *
 * `serve` loads the models while it listens. It prints "listening on http://ADDRESS:PORT" on
 * standard output once it accepts connections, and stops on SIGTERM or SIGINT: it accepts no new
 * connections and finishes running requests within server.shutdown_timeout. A second signal ends
 * the process at once. It fails if a device hangs and device.on_hang is "exit". `selftest` fails if
 * a check failed. */
extern const struct hs_command hs_command_serve, hs_command_bench, hs_command_models, hs_command_selftest,
    hs_command_keys;

/* Returns true if the pack's task is one of the program's. */
bool hs_app_serves(const struct hs_app *app, const struct hs_pack *pack);

static inline const struct hs_common_settings *hs_app_common(const struct hs_settings *settings)
{
    return hs_settings_values(settings);
}

/* Returns the backend whose files to pull: "hailo" or "openvino". The simulated device uses the latter's files. */
const char *hs_app_pull_backend(const struct hs_inference_settings *inference);

/* Calls hs_store_open with the configured folders. */
int hs_app_open_store(const struct hs_app *app, const struct hs_model_settings *model, struct hs_store **ret_store,
                      struct hs_error *err);

/* Returns the name of the pack configured for a model, or "auto". */
const char *hs_app_pack(const struct hs_settings *config, const struct hs_app_model *model);

/* ---- state ---- */

/* Memory budgets shared by all requests. */
struct hs_app_budgets {
    struct hs_split_budget pictures; /* decoding and processing of pictures: image.max_memory_total */
    struct hs_budget responses;      /* batch results not yet sent: HS_RESPONSES_HELD_MAX */
};

struct hs_app_core {
    const struct hs_app *app;
    struct hs_settings *config;
    const struct hs_common_settings *common; /* the common settings of config */
    struct hs_store *store;
    struct hs_model_cache *caches[HS_APP_MODELS_MAX]; /* one per entry of app->models */
    size_t cache_count;
    struct hs_app_budgets *budgets;
    struct hs_auth *auth;          /* NULL, except while the program serves: see service/keys.h */
    bool prepare;                  /* HS_APP_PREPARE */
    int64_t started_ns, created_s; /* the same moment on the monotonic and the wall clock */
    char refused[HS_REFUSED_SIZE]; /* the model file that made app->init fail, else "" */
    struct hs_reload reload;       /* parts that a reload changes; register them in init, open or begin */
};

/* Adds the next of app->models with the given pack; NULL: the configured one. Loads nothing. */
int hs_app_core_add_model(struct hs_app_core *core, const char *pack, struct hs_error *err);

/* Returns the configured model with that index. */
static inline struct hs_model_pool *hs_app_core_pool(const struct hs_app_core *core, size_t index)
{
    return hs_model_cache_default(core->caches[index]);
}

/* Returns the configured limits on pictures, with the shared picture budget. */
struct hs_image_limits hs_app_core_image_limits(const struct hs_app_core *core);

/* Starts to load all models, and returns at once. */
void hs_app_core_start_loading(const struct hs_app_core *core);

/* Writes the models' names, joined by " and ". */
void hs_app_core_names(const struct hs_app_core *core, char *dst, size_t size);

enum {
    HS_APP_LOAD = 1,          /* hs_app_start waits until all models are loaded */
    HS_APP_OPEN = 2,          /* app->open is called */
    HS_APP_OPEN_EXISTING = 4, /* hs_app_start: HS_APP_OPEN if app->exists returns true */
    HS_APP_PREPARE = 8,       /* models are prepared for all input sizes on load, so that no request pays for it */
};

/* Creates the state. Takes the settings, also on failure. On failure `refused`, if not NULL,
 * receives the name of the model file at fault. */
int hs_app_create(const struct hs_app *app, struct hs_settings *config, unsigned flags, char refused[HS_REFUSED_SIZE],
                  void **ret_state, struct hs_error *err);
void hs_app_destroy(void *state); /* NULL allowed */

/* Copies a state for requests that begin after a reload: with other settings, and with all else shared. Takes the
 * settings, also on failure. NULL: out of memory. Caller frees with hs_app_destroy_revision, before the original. */
void *hs_app_revise(const void *state, struct hs_settings *settings);
void hs_app_destroy_revision(void *state); /* NULL allowed */

/* ---- for commands: these print the reason of a failure, and return HS_EXIT_OK or the command's exit code ---- */

/* Returns the level of the log: --quiet and --verbose replace the configured one by ERROR and DEBUG. */
enum hs_log_level hs_app_log_level(const struct hs_invocation *call, const struct hs_logging_settings *logging);

/* Sets up our log and HailoRT's. HailoRT reads the
 * environment when it is loaded, so call this before starting threads or probing devices. Variables already set are
 * kept. Notes in `problems` are logged at info level by `serve`, and at debug level by other commands. */
void hs_log_init(const struct hs_invocation *call, const struct hs_logging_settings *logging,
                 const struct hs_problems *problems);

/* hs_load_settings and hs_log_init. Caller frees with hs_settings_destroy. */
int hs_app_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                         struct hs_settings **ret_settings);

/* Creates the state for a command that processes the pictures of its command line. */
int hs_app_start(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                 unsigned flags, void **ret_state);

#endif
