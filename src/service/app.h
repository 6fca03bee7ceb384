/* One description of a program, and the commands and the state that hailo-pose and hailo-face make of it. */
#ifndef HS_SERVICE_APP_H
#define HS_SERVICE_APP_H

#include "base/budget.h"
#include "cli/program.h"
#include "config/common.h"
#include "http/server.h"
#include "image/image.h"
#include "service/bench.h"
#include "service/model_cache.h"
#include "service/selftest.h"

enum { HS_APP_MODELS_MAX = 2 };

/* A model that the program serves. */
struct hs_app_model {
    enum hs_task task;
    const char *name;    /* of the task in /v1/models: "face-detection" */
    const char *label;   /* of the task in /metrics: "detect" */
    const char *role;    /* in reports: "detector" */
    const char *setting; /* names its pack, or "auto": "face_recognition.detection_model" */
    int batch;           /* pictures of one request at a time, on a processor */
    bool sized;          /* inference.input_size is its input, if the model leaves that free */
    int border;          /* as in struct hs_letterbox_rule */
    bool halved;         /* also runs at hs_model_runner_half_size */
};

/* Functions get `settings`, which are hs_settings_values, or the program's state, a struct that begins with a struct
 * hs_app_core. */
struct hs_app {
    struct hs_program program; /* its app is this; its settings begin with HS_COMMON_SECTIONS */
    const struct hs_app_model *models;
    size_t model_count; /* at most HS_APP_MODELS_MAX */

    const char *strangers_may; /* for the warning that the network can reach it: "use this service" */

    size_t state_size;
    int (*init)(void *state, struct hs_error *err); /* the models (hs_app_core_add_model) and what uses them */
    int (*open)(void *state, struct hs_error *err); /* what only the service needs, as a gallery; NULL: nothing */
    bool (*found)(const void *settings);            /* whether `open` would make nothing new; NULL: no */
    void (*begin)(void *state);                     /* the service starts; NULL: nothing but loading its models */
    void (*finish)(void *state); /* undoes init and open, also after a failure; NULL: nothing but the core is left */

    const struct hs_http_route *routes; /* handlers find the state as the server's context */
    const size_t *route_count;
    /* Why the state cannot answer although the models can, and details or ""; called inline. NULL: it always can. */
    const char *(*not_ready)(const void *state, char ret_detail[HS_ERROR_MESSAGE_SIZE]);
    void (*metrics)(const void *state, struct hs_buf *out); /* more lines of /metrics; called inline. NULL: none */
    void (*shape)(const void *state, struct hs_http_options *ret); /* NULL: answers as http/server.h has them */

    const struct hs_app_bench *bench;
    /* Parts of `selftest`: of the settings alone (NULL: none), and of the loaded models with the built-in
     * picture (service/test_image.h), whose failure is reported for it. */
    void (*check_settings)(struct hs_selftest *test, const void *settings);
    int (*check_picture)(struct hs_selftest *test, const void *state, const struct hs_buf *picture,
                         struct hs_error *err);
};

/* The commands that all programs have; each reads its options and returns the exit code.
 *
 * `serve` loads the models while it listens. It prints "listening on http://ADDRESS:PORT" on standard output once it
 * accepts, and ends with SIGTERM or SIGINT: then no new connection is taken and what runs is finished within
 * server.shutdown_timeout; a second signal ends the process at once. It fails if a device hangs and the settings say to
 * end. `selftest` fails if a check failed. */
int hs_cmd_serve(struct hs_invocation *call);
int hs_cmd_bench(struct hs_invocation *call);
int hs_cmd_models(struct hs_invocation *call);
int hs_cmd_selftest(struct hs_invocation *call);

/* True if the pack's task is one of the program's. */
bool hs_app_serves(const struct hs_app *app, const struct hs_pack *pack);

static inline const struct hs_common_settings *hs_app_common(const struct hs_settings *settings)
{
    return hs_settings_values(settings);
}

/* The backend whose files to pull: "hailo" or "openvino", whose models the simulated device plays. */
const char *hs_app_pull_backend(const struct hs_inference_settings *inference);

/* hs_store_open as the settings say. */
int hs_app_open_store(const struct hs_app *app, const struct hs_model_settings *model, struct hs_store **ret_store,
                      struct hs_error *err);

/* The pack that the settings name for a model, or "auto". */
const char *hs_app_pack(const struct hs_settings *config, const struct hs_app_model *model);

/* ---- state ---- */

/* Memory that all requests share. */
struct hs_app_budgets {
    struct hs_split_budget pictures; /* decoding, and what is done with a decoded picture: image.max_memory_total */
    struct hs_budget answers;        /* results of batches that wait to be sent: HS_ANSWERS_HELD_MAX */
};

struct hs_app_core {
    const struct hs_app *app;
    struct hs_settings *config;
    const struct hs_common_settings *common; /* of config */
    struct hs_store *store;
    struct hs_model_cache *caches[HS_APP_MODELS_MAX]; /* one for each of app->models */
    size_t cache_count;
    struct hs_app_budgets *budgets;
    bool prepare;                  /* HS_APP_PREPARE */
    int64_t started_ns, created_s; /* the same moment, monotonic and wall time */
    char refused[HS_REFUSED_SIZE]; /* after a failure of app->init: the model file at fault; "": none is */
};

/* Adds the next of app->models: the pack of that name, NULL: the configured one. Nothing is loaded yet. */
int hs_app_core_add_model(struct hs_app_core *core, const char *pack, struct hs_error *err);

/* The configured model of that index. */
static inline struct hs_model_pool *hs_app_core_pool(const struct hs_app_core *core, size_t index)
{
    return hs_model_cache_default(core->caches[index]);
}

/* The bounds on pictures that the settings give, with the budget of all pictures. */
struct hs_image_limits hs_app_core_image_limits(const struct hs_app_core *core);

/* Begins to load all models, and returns at once. */
void hs_app_core_start_loading(const struct hs_app_core *core);

/* "a and b": the models' names. */
void hs_app_core_names(const struct hs_app_core *core, char *dst, size_t size);

enum {
    HS_APP_LOAD = 1,       /* hs_app_start waits until all models are loaded */
    HS_APP_OPEN = 2,       /* app->open is called */
    HS_APP_OPEN_FOUND = 4, /* hs_app_start: the same if app->found says so */
    HS_APP_PREPARE = 8,    /* models are prepared for all input sizes when they are loaded, so that no picture waits */
};

/* Makes the state from the settings, which it takes, also on failure. On failure `refused`, if not NULL, gets the model
 * file at fault. */
int hs_app_create(const struct hs_app *app, struct hs_settings *config, unsigned flags, char refused[HS_REFUSED_SIZE],
                  void **ret_state, struct hs_error *err);
void hs_app_destroy(void *state); /* NULL allowed */

/* ---- for commands: these print why they failed, and return HS_EXIT_OK or the exit code to end with ---- */

/* Sets the log up, and HailoRT's, which reads the environment when it is loaded: so this comes before any thread and
 * any search for devices. A variable that is set already stays. Notes among the problems go to a server's log, and into
 * that of other commands only at debug level. */
void hs_log_init(const struct hs_invocation *call, const struct hs_logging_settings *logging,
                 const struct hs_problems *problems);

/* hs_load_settings and hs_log_init. Caller frees with hs_settings_destroy. */
int hs_app_load_settings(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                         struct hs_settings **ret_settings);

/* The state for a command that works through given pictures. */
int hs_app_start(const struct hs_invocation *call, const struct hs_config_override *extra, size_t extra_count,
                 unsigned flags, void **ret_state);

#endif
