/* The pose service put together from its settings: models, devices, pipeline. Every subcommand that looks at pictures
 * starts here. */
#ifndef HS_POSE_APP_H
#define HS_POSE_APP_H

#include <stdbool.h>
#include <stdint.h>

#include "config/settings.h"
#include "models/store.h"
#include "pose/pipeline.h"
#include "pose/settings.h"
#include "service/models_api.h"

struct hs_pose_app {
    struct hs_settings *config;
    const struct hs_pose_settings *settings; /* of config */
    struct hs_store *store;
    struct hs_model_cache *cache;
    struct hs_model_pool *pool; /* the configured model, of cache */
    struct hs_models_api models;
    struct hs_pose_pipeline pipeline;
    int64_t started_ns;
    char refused[HS_REFUSED_SIZE]; /* after a failure of hs_pose_app_init: the model file at fault; "": none is */
};

/* Takes config (also on failure), finds and verifies the model and the backend. The model is not loaded yet:
 * hs_pose_app_start_loading or the first picture does that. On failure everything is undone. Caller frees with
 * hs_pose_app_finish. */
int hs_pose_app_init(struct hs_pose_app *app, struct hs_settings *config, struct hs_error *err);
void hs_pose_app_finish(struct hs_pose_app *app);

/* Begins to load the model, unless it is to be unloaded whenever nothing runs. Returns at once. */
void hs_pose_app_start_loading(struct hs_pose_app *app);

/* Loads the model and waits for it. */
int hs_pose_app_load(struct hs_pose_app *app, struct hs_error *err);

/* The parameters that the settings give to a picture. */
struct hs_pose_params hs_pose_app_params(const struct hs_pose_app *app);

#endif
