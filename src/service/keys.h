/* The API keys and limits of a running service. The command `keys` changes the key file. */
#ifndef HS_SERVICE_KEYS_H
#define HS_SERVICE_KEYS_H

#include "service/app.h"

/* Creates core->auth from the settings, which hs_app_destroy destroys, and registers it for reloads. Fails like
 * hs_auth_create; the message has the remedy. Main thread, before the service starts. */
int hs_keys_open(struct hs_app_core *core, struct hs_error *err);

/* Returns true if a service with these settings would need keys: for a program that does not serve. */
bool hs_keys_are_configured(const struct hs_common_settings *settings);

/* Logs if requests need keys, and a warning if anyone can use the service. */
void hs_keys_log_start(const struct hs_app_core *core, const struct hs_http_server *server);

/* Applies a changed key file. The main thread calls it once a second. */
void hs_keys_watch(const struct hs_app_core *core);

/* Returns true if other machines can use the service at `address` (NULL: at none) without a key, and writes a
 * warning. Any thread. */
bool hs_keys_exposure(const struct hs_app_core *core, const char *address, char ret_text[HS_ERROR_MESSAGE_SIZE]);

/* Adds a check of the key file to `selftest`, if there is one or it is needed. */
void hs_keys_check(struct hs_selftest *test, const struct hs_common_settings *settings);

#endif
