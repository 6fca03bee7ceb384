/* POST /v1/database/add: the quality gate, dry runs, and idempotent requests
 * (draft-ietf-httpapi-idempotency-key-header). */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_build.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "face/enrol.h"
#include "face/request_params.h"
#include "face/route_docs.h"
#include "face/routes_database.h"
#include "gallery/validate.h"
#include "http/param.h"
#include "service/request_options.h"
#include "service/response_warnings.h"

/* One request to add. */
struct add {
    struct hs_http_request *req;
    struct hs_face_app *app;
    const char *name;
    char stored_name[HS_GALLERY_NAME_MAX + 1]; /* normalized form of `name` */
    char *metadata;                            /* NULL: leave unchanged */
    char expires_at[HS_GALLERY_TIME_SIZE];
    bool has_expiry;
    bool dry_run;
    enum hs_enrol_gate gate;
    uint8_t *picture;
    size_t picture_len;
    char picture_sha256[65], key_sha256[65], body_sha256[65]; /* key_sha256 is "" without a key */
};

/* ---- the request ---- */

static bool read_options(struct add *add)
{
    const struct hs_body *body = hs_http_body(add->req);
    struct hs_error err;
    int gate;
    int r = hs_gallery_resolve_name(add->app->gallery, add->name, add->stored_name, &err);
    add->name = add->stored_name;
    if (r == 0)
        r = hs_field_choice(body, &hs_face_field_gate, add->app->settings->database.enrolment, &gate, &err);
    if (r == 0)
        r = hs_field_bool(body, &hs_face_field_dry_run, false, &add->dry_run, &err);
    if (r == 0)
        r = hs_face_read_expiry(body, add->expires_at, &add->has_expiry, &err);
    if (r == 0 && !hs_face_read_metadata(add->req, &add->metadata))
        return false;
    if (r == 0 && add->metadata && !add->metadata[0]) {
        free(add->metadata);
        add->metadata = NULL;
    }
    if (r == 0)
        r = hs_gallery_check_metadata(add->metadata, &err);
    if (r < 0) {
        hs_face_reply_failure(add->req, r, &err);
        return false;
    }
    add->gate = (enum hs_enrol_gate) gate;
    return true;
}

static bool read_key(struct add *add)
{
    const char *key = hs_http_header(add->req, hs_face_header_key.name);
    if (!key)
        return true;
    size_t len = strlen(key);
    for (size_t i = 0; i < len; i++) {
        if (key[i] < 0x20 || key[i] > 0x7e)
            len = 0;
    }
    size_t max = (size_t) hs_face_header_key.max;
    if (len < 1 || len > max) {
        hs_http_reply_error(add->req, HS_EINVAL, NULL, "Idempotency-Key: must be 1 to %zu printable ASCII characters",
                            max);
        return false;
    }
    hs_sha256(key, len, add->key_sha256);
    return true;
}

/* Hashes the request: two requests are equal if the picture's bytes and all other relevant fields are. */
static bool hash_body(struct add *add)
{
    static const char *const fields[] = { "name",    "bbox",  "metadata",          "gate",
                                          "dry_run", "model", "recognition_model", "expires_at" };
    const struct hs_body *body = hs_http_body(add->req);
    json_t *hashed = json_object();
    for (size_t i = 0; i < HS_ARRAY_LEN(fields); i++) {
        json_t *value = hs_body_json(body)              ? json_deep_copy(hs_body_value(body, fields[i]))
                        : hs_body_text(body, fields[i]) ? json_string(hs_body_text(body, fields[i]))
                                                        : NULL;
        if (value)
            hashed = hs_json_with_member(hashed, fields[i], value);
    }
    hashed = hs_json_with_member(hashed, "picture", json_string(add->picture_sha256));
    char *text = json_dumps(hashed, JSON_COMPACT | JSON_SORT_KEYS);
    if (text)
        hs_sha256(text, strlen(text), add->body_sha256);
    else
        hs_http_reply_error(add->req, HS_ENOMEM, NULL, "no memory for the request");
    json_decref(hashed);
    free(text);
    return text != NULL;
}

static bool read_request(struct add *add)
{
    if (!read_options(add) || !read_key(add) ||
        !hs_face_read_picture(add->req, "image", &add->picture, &add->picture_len))
        return false;
    hs_sha256(add->picture, add->picture_len, add->picture_sha256);
    return hash_body(add);
}

/* ---- responses ---- */

/* Takes `more`, which has additional members. */
static void reply_added(const struct add *add, const char *name, const struct hs_gallery_added *added, json_t *more)
{
    char message[HS_GALLERY_NAME_MAX + 64];
    hs_str_format(message, sizeof(message), "Identity '%s' added successfully", name);
    json_t *response = json_pack("{s:s, s:s, s:I, s:b}", "message", message, "name", name, "embedding_id",
                                 (json_int_t) added->embedding_id, "identity_created", (int) added->identity_created);
    if (added->embedding_dropped)
        response =
            hs_json_with_member(response, "embedding_dropped", json_integer((json_int_t) added->embedding_dropped));
    response = hs_json_with_members(response, more);
    hs_http_reply_json(add->req, 200, hs_request_add_warnings(add->req, response));
}

static void reply_refused(const struct add *add, const struct hs_face_result *result,
                          const struct hs_enrol_verdict *verdict)
{
    char why[HS_ERROR_MESSAGE_SIZE];
    hs_enrol_reasons_text(verdict, why, sizeof(why));
    char text[HS_ERROR_MESSAGE_SIZE + 64];
    hs_str_format(text, sizeof(text), "Enrolment of '%s' refused: %s", add->name, why);
    json_t *more =
        json_pack("{s:s, s:o}", "gate", hs_enrol_gates[add->gate], "reasons", hs_enrol_reasons_json(verdict));
    more = hs_response_warn_damage(more, "image", result->damage);
    hs_http_reply_known_error(add->req, more ? HS_EREFUSED : HS_ENOMEM, text, NULL, more);
}

/* Responds with the effect that the addition would have. */
static void reply_dry_run(const struct add *add, const struct hs_face_result *result,
                          const struct hs_enrol_verdict *verdict, const struct hs_enrol_verdict *warnings)
{
    struct hs_gallery_person *person = NULL;
    bool known = hs_gallery_get(add->app->gallery, add->name, false, &person, NULL) == 0;
    size_t count = known ? person->count : 0;
    hs_gallery_person_destroy(person);
    const struct hs_face_found *face = verdict->face;
    json_t *response = json_pack("{s:b, s:b, s:s, s:s, s:b, s:I, s:o}", "dry_run", 1, "would_add", verdict->count == 0,
                                 "name", add->name, "gate", hs_enrol_gates[add->gate], "identity_exists", (int) known,
                                 "embedding_count", (json_int_t) count, "reasons", hs_enrol_reasons_json(verdict));
    if (face) {
        response = hs_json_with_member(response, "bbox", hs_face_bbox_json(&face->face.box, result));
        response = hs_json_with_member(response, "confidence", json_real(hs_json_score((double) face->face.score)));
        response = hs_json_with_member(response, "quality", hs_face_quality_json(face));
        response = hs_enrol_add_face(response, face, result, warnings);
    }
    hs_http_reply_json(add->req, 200, hs_request_add_warnings(add->req, response));
}

/* ---- adding ---- */

static void store(const struct add *add, const struct hs_face_found *found, const struct hs_face_result *result,
                  const struct hs_enrol_verdict *warnings)
{
    const struct hs_gallery_request request = { add->key_sha256, add->body_sha256 };
    const struct hs_enrol_entry entry = {
        .name = add->name,
        .metadata = add->metadata,
        .expires_at = add->has_expiry ? add->expires_at : NULL,
        .source_sha256 = add->picture_sha256,
        .request = add->key_sha256[0] ? &request : NULL,
    };
    struct hs_gallery_added added;
    struct hs_error err;
    int r = hs_enrol_store(add->app, &entry, found, result, &added, &err);
    if (r < 0) {
        hs_face_reply_gallery_failure(add->req, add->app, add->name, r, &err);
        return;
    }
    hs_face_log_change(add->req, added.identity_id, added.embedding_id,
                       added.identity_created ? "Added an identity with a face" : "Added a face to an identity");
    if (added.embedding_dropped)
        hs_face_maintenance_erased(add->app->maintenance);
    reply_added(add, add->name, &added, hs_enrol_add_face(json_object(), found, result, warnings));
}

static void check_and_store(const struct add *add, const struct hs_face_result *result)
{
    const struct hs_enrol_candidate candidate = {
        .name = add->name,
        .source_sha256 = add->picture_sha256,
        .result = result,
        .chosen = hs_body_has(hs_http_body(add->req), "bbox"),
        .deadline_ns = hs_http_deadline_ns(add->req),
    };
    struct hs_enrol_verdict verdict, warnings;
    struct hs_error err;
    int r = hs_enrol_check(add->app, add->gate, &candidate, &verdict, &warnings, &err);
    if (r < 0)
        hs_face_reply_failure(add->req, r, &err);
    else if (!verdict.face && verdict.count == 0)
        hs_face_require_best(add->req, result); /* sends the error response if there is none */
    else if (add->dry_run)
        reply_dry_run(add, result, &verdict, &warnings);
    else if (verdict.count > 0)
        reply_refused(add, result, &verdict);
    else
        store(add, verdict.face, result, &warnings);
}

static void find_and_store(const struct add *add)
{
    const struct hs_face_param_spec param_spec = {
        .image = "image", .with_bbox = true, .embed = true, .gallery = true
    };
    struct hs_face_result result;
    if (hs_face_run_request_on(add->req, add->app, &param_spec, add->picture, add->picture_len, &result))
        check_and_store(add, &result);
    hs_face_result_finish(&result);
}

/* ---- idempotency ---- */

struct hs_face_idempotency *hs_face_idempotency_create(void)
{
    struct hs_face_idempotency *idempotency = calloc(1, sizeof(*idempotency));
    if (idempotency)
        pthread_mutex_init(&idempotency->lock, NULL);
    return idempotency;
}

void hs_face_idempotency_destroy(struct hs_face_idempotency *idempotency)
{
    if (!idempotency)
        return;
    pthread_mutex_destroy(&idempotency->lock);
    free(idempotency);
}

bool hs_face_idempotency_begin(struct hs_face_idempotency *idempotency, const char *key_sha256,
                               struct hs_face_idempotency_key *key)
{
    hs_str_copy(key->key_sha256, sizeof(key->key_sha256), key_sha256);
    pthread_mutex_lock(&idempotency->lock);
    const struct hs_face_idempotency_key *other = idempotency->first;
    while (other && strcmp(other->key_sha256, key->key_sha256) != 0)
        other = other->next;
    if (!other) {
        key->next = idempotency->first;
        idempotency->first = key;
    }
    pthread_mutex_unlock(&idempotency->lock);
    return !other;
}

void hs_face_idempotency_end(struct hs_face_idempotency *idempotency, struct hs_face_idempotency_key *key)
{
    pthread_mutex_lock(&idempotency->lock);
    struct hs_face_idempotency_key **link = &idempotency->first;
    while (*link != key)
        link = &(*link)->next;
    *link = key->next;
    pthread_mutex_unlock(&idempotency->lock);
}

static void replay(const struct add *add, const struct hs_gallery_found_request *previous)
{
    if (strcmp(previous->body_sha256, add->body_sha256) != 0) {
        hs_http_reply_error(add->req, HS_EREFUSED, NULL,
                            "Idempotency-Key: already used for a request with other fields or another picture");
        return;
    }
    hs_http_add_header(add->req, "Idempotency-Replayed", "true");
    reply_added(add, previous->name, &previous->added, json_object()); /* the face is not stored with the request */
}

/* A refused or failed addition stores nothing, so it may be retried with the same key. */
static void add_idempotent(const struct add *add)
{
    struct hs_face_idempotency *idempotency = add->app->idempotency;
    struct hs_gallery_found_request previous;
    struct hs_face_idempotency_key key;
    struct hs_error err;
    if (!hs_face_idempotency_begin(idempotency, add->key_sha256, &key)) {
        hs_http_reply_error(add->req, HS_ECONFLICT, NULL,
                            "Idempotency-Key: a request with this key is still in progress");
        return;
    }
    int r = hs_gallery_find_request(add->app->gallery, add->key_sha256, &previous, &err);
    if (r == 0)
        replay(add, &previous);
    else if (r == HS_ENOTFOUND)
        find_and_store(add);
    else
        hs_face_reply_failure(add->req, r, &err);
    hs_face_idempotency_end(idempotency, &key);
}

static void post_add(struct hs_http_request *req)
{
    struct add add = { .req = req, .app = hs_http_context(req) };
    if (!hs_face_require_gallery(req, add.app) || !hs_face_require_name(req, &add.name))
        return;
    if (read_request(&add)) {
        if (add.key_sha256[0] && !add.dry_run)
            add_idempotent(&add);
        else
            find_and_store(&add);
    }
    free(add.metadata);
    free(add.picture);
}

void hs_face_post_add(struct hs_http_request *req)
{
    hs_face_as_client(req, post_add);
}
