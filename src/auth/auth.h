/* Decides for each request if its API key permits it, and if its client stays within its rate.
 *
 * The keys are in a file that other processes may replace; hs_auth_watch notices it. A running service that
 * needs keys never stops to need them because the file is missing or damaged: without a file no key is
 * valid, and after a failure the previous keys stay. */
#ifndef HS_AUTH_AUTH_H
#define HS_AUTH_AUTH_H

#include <stdbool.h>

#include "auth/keyring.h"
#include "auth/rate_limit.h"
#include "auth/scope.h"

/* AUTO: keys are needed if the key file exists. KEYS: always. */
enum hs_auth_mode { HS_AUTH_AUTO, HS_AUTH_OFF, HS_AUTH_KEYS };

enum {
    HS_AUTH_CLIENTS_MAX = 4096, /* addresses whose rates and failed attempts are remembered */
    HS_AUTH_ATTEMPTS = 10,      /* failed attempts of an address at a time; then one every HS_AUTH_ATTEMPT_S */
    HS_AUTH_ATTEMPT_S = 6,
};

/* hs_auth_create and hs_auth_prepare copy the options. */
struct hs_auth_options {
    enum hs_auth_mode mode;
    const char *keys_file;      /* as in hs_key_file_read; "": none */
    double requests_per_second; /* of each key, and of each address without a key; 0: no limit */
    int burst;                  /* 0: requests_per_second, rounded up */
};

struct hs_auth;

/* Reads the key file if the mode is not OFF. HS_EINVAL: KEYS without a key file's name; a named
 * credential that does not exist, and a file that cannot be read, are errors too, so that a service never
 * starts without the keys that it should need. Caller frees with hs_auth_destroy. */
int hs_auth_create(const struct hs_auth_options *options, struct hs_auth **ret_auth, struct hs_error *err);
void hs_auth_destroy(struct hs_auth *auth); /* NULL allowed */

/* Replace the options and read the file again, in the three steps of service/reload.h. One thread. */
int hs_auth_prepare(struct hs_auth *auth, const struct hs_auth_options *options, struct hs_error *err);
void hs_auth_commit(struct hs_auth *auth);
void hs_auth_abandon(struct hs_auth *auth);

/* Reads the key file if it changed since the last call. Returns 1 if the keys are replaced, 0 if it is the
 * same, or an error, once for each state of the file. Does nothing for a credential, which does not change
 * while a service runs. Same thread as hs_auth_prepare. */
int hs_auth_watch(struct hs_auth *auth, struct hs_error *err);

/* Returns true if requests need a key, and the number of keys in the file (ret_count, may be NULL). Any
 * thread. */
bool hs_auth_needs_keys(struct hs_auth *auth, size_t *ret_count);

/* Returns true if requests need a key, or their rate is limited by default. Any thread. */
bool hs_auth_is_active(struct hs_auth *auth);

/* A request. Headers that are absent are NULL. */
struct hs_auth_request {
    const char *authorization, *api_key; /* values of Authorization and X-API-Key; the first is used if it is Bearer */
    const char *address;                 /* of the client */
    enum hs_scope scope;                 /* needed by the route */
    bool is_open;                        /* the route is answered without a key too */
    bool is_limited;                     /* limits on the rate apply */
};

enum hs_auth_failure {
    HS_AUTH_OK,
    HS_AUTH_MISSING,  /* no key */
    HS_AUTH_INVALID,  /* malformed, wrong or expired */
    HS_AUTH_SCOPE,    /* the key has not the scope */
    HS_AUTH_ATTEMPTED /* invalid, and too many such attempts */
};

struct hs_auth_result {
    bool needs_keys;             /* of the service */
    char key_id[HS_KEY_ID_SIZE]; /* of the valid key; "": none */
    unsigned scopes;             /* of the valid key */
    enum hs_auth_failure failure;
    char failed_id[HS_KEY_ID_SIZE]; /* id in an invalid key; "": none */
    int retry_after_s;              /* with HS_ERATE */
    bool limited;                   /* the fields below are set */
    struct hs_rate rate;
    struct hs_rate_state state;
};

/* Checks a request. HS_EUNAUTHORIZED, HS_EFORBIDDEN (the message names the scope) or HS_ERATE; *ret is set in
 * every case. A valid key is accepted from every address, however many invalid ones came from there: its
 * secret cannot be guessed, and a stranger behind the same proxy must not be able to lock others out. Does
 * not block. Any thread. */
int hs_auth_check(struct hs_auth *auth, const struct hs_auth_request *request, struct hs_auth_result *ret,
                  struct hs_error *err);

/* Returns the number of requests with an invalid key since the last call. Any thread. */
int64_t hs_auth_take_refused(struct hs_auth *auth);

#endif
