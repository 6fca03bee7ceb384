/* Locates a package in the npm registry by npm's own configuration, without running npm. */
#ifndef HS_MODELS_NPM_REGISTRY_H
#define HS_MODELS_NPM_REGISTRY_H

#include <stdbool.h>

#include "hs/status.h"

enum { HS_NPM_TEXT_SIZE = 2048 };

/* npm's default registry. */
#define HS_NPM_HOST "registry.npmjs.org"

/* Empty strings are unset. */
struct hs_npm_location {
    char url[HS_NPM_TEXT_SIZE];
    char authorization[HS_NPM_TEXT_SIZE + 40]; /* complete header */
    char proxy[HS_NPM_TEXT_SIZE], no_proxy[HS_NPM_TEXT_SIZE], ca_file[HS_NPM_TEXT_SIZE];
};

/* Finds the URL of a package's archive ("@scope/name" allowed), which registries serve by
 * convention at REGISTRY/NAME/-/NAME-VERSION.tgz. Reads each setting from the same places as npm:
 * the environment (npm_config_…), .npmrc in the current folder if this user owns it, ~/.npmrc
 * (npm_config_userconfig), and npmrc in /usr/local/etc, /usr/etc and /etc
 * (npm_config_globalconfig). Settings: registry, @scope:registry, //host/path/:_authToken and
 * :_auth, proxy, https-proxy, noproxy, cafile; ${NAME} expands from the environment. HS_EINVAL: a
 * setting cannot be used; the message names it. HS_ENOMEM. */
int hs_npm_locate(const char *package, const char *version, struct hs_npm_location *ret_location, struct hs_error *err);

#endif
