/* Where npm's registry has a package, by npm's own configuration; without the program npm. */
#ifndef HS_MODELS_NPM_REGISTRY_H
#define HS_MODELS_NPM_REGISTRY_H

#include <stdbool.h>

#include "hs/status.h"

enum { HS_NPM_TEXT_SIZE = 2048 };

/* npm's own default. */
#define HS_NPM_HOST "registry.npmjs.org"

/* Empty texts: not set. */
struct hs_npm_location {
    char url[HS_NPM_TEXT_SIZE];
    char authorization[HS_NPM_TEXT_SIZE + 40]; /* a header */
    char proxy[HS_NPM_TEXT_SIZE], no_proxy[HS_NPM_TEXT_SIZE], ca_file[HS_NPM_TEXT_SIZE];
};

/* The archive of a package ("@scope/name" allowed) at the address that registries have it by convention,
 * REGISTRY/NAME/-/NAME-VERSION.tgz. Looks for each setting where npm does: the environment (npm_config_…), .npmrc in
 * the current folder if it belongs to this user, ~/.npmrc (npm_config_userconfig), and the npmrc of /usr/local/etc,
 * /usr/etc and /etc (npm_config_globalconfig). Settings: registry, @scope:registry, //host/path/:_authToken and :_auth,
 * proxy, https-proxy, noproxy, cafile; ${NAME} is the environment's. HS_EINVAL: a setting cannot be used, and the
 * message names it; HS_ENOMEM. */
int hs_npm_locate(const char *package, const char *version, struct hs_npm_location *ret_location, struct hs_error *err);

#endif
