#include "face/bulk_enrol.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/str.h"

static int refuse(struct hs_face_add_result *result, const char *code, const char *reason)
{
    result->state = HS_FACE_REFUSED;
    hs_str_copy(result->code, sizeof(result->code), code);
    hs_str_copy(result->reason, sizeof(result->reason), reason);
    return 0;
}

static int is_present(const struct hs_face_app *app, const char *name, const char *sha256, bool *ret,
                      struct hs_error *err)
{
    struct hs_gallery_person *person;
    int r = hs_gallery_get(app->gallery, name, false, &person, err);
    *ret = false;
    if (r == HS_ENOTFOUND)
        return 0;
    if (r < 0)
        return r;
    for (size_t i = 0; i < person->count && !*ret; i++)
        *ret = person->embeddings[i].source_sha256 && strcmp(person->embeddings[i].source_sha256, sha256) == 0;
    hs_gallery_person_destroy(person);
    return 0;
}

static int enrol(const struct hs_face_app *app, const struct hs_picture_file *file, const char *sha256,
                 enum hs_enrol_gate gate, const struct hs_face_result *found, struct hs_face_add_result *result,
                 struct hs_error *err)
{
    struct hs_enrol_verdict verdict;
    struct hs_gallery_added added;
    int r = hs_enrol_check(app, gate, file->name, sha256, found, false, HS_NO_DEADLINE, &verdict, err);
    if (r < 0)
        return r;
    if (verdict.count > 0) {
        char text[sizeof(result->reason)];
        hs_enrol_reasons_text(&verdict, text, sizeof(text));
        return refuse(result, verdict.reasons[0].code, text);
    }
    if (!verdict.face)
        return refuse(result, "no_face", found->count ? "the face cannot be aligned" : "there is no face in it");
    const struct hs_enrol_entry entry = { .name = file->name, .source_sha256 = sha256 };
    return hs_enrol_store(app, &entry, verdict.face, found, &added, err);
}

static int find_and_store(const struct hs_face_app *app, const struct hs_picture_file *file, const char *sha256,
                          enum hs_enrol_gate gate, struct hs_face_add_result *result, struct hs_error *err)
{
    const struct hs_face_section *s = &app->settings->face_recognition;
    const struct hs_face_request request = {
        .score_threshold = (float) s->detection_threshold,
        .max_faces = s->max_faces,
        .tiny = s->tiny_faces,
        .embed = true,
    };
    struct hs_face_result found = { 0 };
    uint8_t *data;
    size_t len;
    int r = hs_file_read(file->path, app->pipeline.limits.max_bytes, &data, &len, err);
    if (r < 0)
        return r;
    r = hs_face_find(&app->pipeline, data, len, &request, HS_NO_DEADLINE, NULL, &found, err);
    free(data);
    if (r == 0)
        r = enrol(app, file, sha256, gate, &found, result, err);
    hs_face_result_finish(&found);
    return r;
}

int hs_face_add_file(const struct hs_face_app *app, const struct hs_picture_file *file, enum hs_enrol_gate gate,
                     struct hs_face_add_result *ret_result, struct hs_error *err)
{
    char sha256[65];
    bool present = false;
    struct hs_error why;
    *ret_result = (struct hs_face_add_result) { .state = HS_FACE_ADDED };
    if (hs_file_sha256(file->path, sha256, &why) < 0)
        return refuse(ret_result, "not_readable", why.message);
    int r = is_present(app, file->name, sha256, &present, &why);
    if (r == 0 && present) {
        ret_result->state = HS_FACE_PRESENT;
        return 0;
    }
    if (r == 0)
        r = find_and_store(app, file, sha256, gate, ret_result, &why);
    switch (r) {
    case 0:
        return 0;
    case HS_EDECODE:
    case HS_EUNSUPPORTED:
        return refuse(ret_result, "not_a_picture", why.message);
    case HS_ETOOLARGE:
        return refuse(ret_result, "too_large", why.message);
    case HS_EINVAL:
        return refuse(ret_result, "bad_name", why.message);
    default:
        return hs_error_set(err, r, "%s: %s", file->path, why.message);
    }
}
