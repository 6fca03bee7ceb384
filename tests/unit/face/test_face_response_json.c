/* Checks responses literally, and that a response is complete or NULL if memory is short. */
#include "../gallery/fixture.h"

#include <string.h>

#include "../alloc_fail.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "face/enrol.h"
#include "face/response_json.h"

static const char text_of_size[] = "test";

/* Two faces in a picture of 100 x 80; the second is at its border, without landmarks, embedding and quality. */
struct face_fixture {
    float vectors[2][DIMENSION];
    struct hs_face_found faces[2];
    struct hs_face_result result;
    struct hs_pack pack;
    struct hs_model_runner runner;
    struct hs_model_pool pool;
    struct hs_face_app app;
};

static void set_up(struct face_fixture *s)
{
    memset(s, 0, sizeof(*s));
    unit_vector(1, s->vectors[0]);
    unit_vector(2, s->vectors[1]);
    s->faces[0] = (struct hs_face_found) {
        .face = { .box = { 10.9f, 20, 40.2f, 60 },
                  .score = 0.75004f,
                  .has_landmarks = true,
                  .landmarks = { { 15.04f, 30 }, { 30.06f, 30 }, { -4, 40 }, { 120, 50 }, { 25, 90 } } },
        .embedding = s->vectors[0],
        .has_quality = true,
        .quality = { .size = 29.26f,
                     .sharpness = 0.51249f,
                     .pose = { .yaw = -3.25f, .pitch = 4, .roll = 0.04f },
                     .exposure = { .mean = 0.4996f, .clipped = 0.0625f } },
    };
    s->faces[1] = (struct hs_face_found) { .face = { .box = { -5, 70, 120, 95 }, .score = 0.5f } };
    s->result = (struct hs_face_result) {
        .faces = s->faces,
        .count = 2,
        .found = 2,
        .dimension = DIMENSION,
        .space = "test",
        .model = "made",
        .threshold = 0.3f,
        .width = 100,
        .height = 80,
        .device = "sim",
        .timings = { .detect_ms = 1.4567, .embed_ms = 2 },
    };
    s->pack.embedding.space = text_of_size;
    s->pack.embedding.threshold_min = 0.25f;
    s->runner = (struct hs_model_runner) { .choice = { .pack = &s->pack }, .model = "made" };
    s->pool = (struct hs_model_pool) { .runners = &s->runner, .count = 1 };
    s->app.embedder = &s->pool;
    s->app.recognition_threshold = 0.5;
}

/* Takes `json`. */
static void check(json_t *json, const char *text)
{
    char *got = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY);
    assert_string_equal(got ? got : "no answer", text);
    free(got);
    json_decref(json);
}

#define FACE_1 "{\"bbox\":[10,20,30,40],\"confidence\":0.75,\"landmarks\":"
#define FACE_2 "{\"bbox\":[0,70,99,9],\"confidence\":0.5,\"landmarks\":null}"
#define POINTS "[[15.0,30.0],[30.1,30.0],[0.0,40.0],[99.0,50.0],[25.0,79.0]]"
#define QUALITY                                                                                                        \
    "{\"size\":29.3,\"sharpness\":0.512,\"yaw\":-3.3,\"pitch\":4.0,\"roll\":0.0,\"exposure\":0.5,\"clipped\":0.063}"
#define DAMAGE "\"warnings\":[{\"code\":\"image_damaged\",\"message\":\"image: half of it\",\"field\":\"image\"}]"

static void faces_are_listed(void **state)
{
    (void) state;
    struct face_fixture s;
    set_up(&s);
    check(hs_face_detect_json(&s.result, true),
          "{\"faces\":[" FACE_1 POINTS "}," FACE_2 "],\"count\":2,\"inference_time_ms\":1.5,\"device\":\"sim\"}");
    s.result.found = 3;
    s.result.count = 1;
    s.result.degraded = true;
    hs_str_copy(s.result.damage, sizeof(s.result.damage), "half of it");
    check(hs_face_detect_json(&s.result, false),
          "{\"faces\":[" FACE_1 "null}],\"count\":1,\"inference_time_ms\":1.5,\"truncated\":true,\"found\":3,"
          "\"device\":\"sim\",\"degraded\":true," DAMAGE "}");
    check(hs_face_quality_json(&s.faces[0]), QUALITY);
    check(hs_face_quality_json(&s.faces[1]), "null");
}

static void an_embedding_has_its_space(void **state)
{
    (void) state;
    struct face_fixture s;
    set_up(&s);
    s.result.dimension = 3;
    s.vectors[0][0] = 0.1f;
    s.vectors[0][1] = -0.25f;
    s.vectors[0][2] = 0;
    check(hs_face_embed_json(&s.faces[0], &s.result),
          "{\"embedding\":[0.1,-0.25,0.0],\"dimension\":3,\"bbox\":[10,20,30,40],\"embedding_space\":\"test\","
          "\"quality\":" QUALITY ",\"device\":\"sim\"}");
}

/* In the app's own space the configured threshold applies, in another space that of its pack; the
 * score must exceed it. */
static void two_faces_are_compared(void **state)
{
    (void) state;
    struct face_fixture s, other;
    set_up(&s);
    set_up(&other);
    memset(s.vectors[0], 0, sizeof(s.vectors[0]));
    memset(other.vectors[0], 0, sizeof(other.vectors[0]));
    s.vectors[0][0] = other.vectors[0][1] = 1;
    other.faces[0].face.box.x2 = 50.5f;
#define COMPARED(same, score, threshold, space, device)                                                                \
    "{\"same\":" same ",\"score\":" score ",\"threshold\":" threshold                                                  \
    ",\"bbox\":[10,20,30,40],\"bbox2\":[10,20,40,40],\"embedding_space\":\"" space "\",\"device\":\"" device "\""
    check(hs_face_compare_json(&s.app, &s.faces[0], &s.result, &other.faces[0], &other.result),
          COMPARED("false", "0.0", "0.5", "test", "sim") "}");
    other.vectors[0][0] = 0.5f;
    check(hs_face_compare_json(&s.app, &s.faces[0], &s.result, &other.faces[0], &other.result),
          COMPARED("false", "0.5", "0.5", "test", "sim") "}");
    other.vectors[0][0] = 0.750049f;
    other.result.degraded = true;
    other.result.device = "cpu";
    hs_str_copy(s.result.damage, sizeof(s.result.damage), "half of it");
    hs_str_copy(other.result.damage, sizeof(other.result.damage), "all of it");
    check(hs_face_compare_json(&s.app, &s.faces[0], &s.result, &other.faces[0], &other.result),
          COMPARED(
              "true", "0.75", "0.5", "test",
              "cpu") ",\"degraded\":true,"
                     "\"warnings\":[{\"code\":\"image_damaged\",\"message\":\"image: half of it\",\"field\":\"image\"},"
                     "{\"code\":\"image_damaged\",\"message\":\"image2: all of it\",\"field\":\"image2\"}]}");
    set_up(&other);
    hs_str_copy(s.result.space, sizeof(s.result.space), "other");
    s.result.damage[0] = '\0';
    memcpy(other.vectors[0], s.vectors[0], sizeof(s.vectors[0]));
    other.faces[0].face.box.x2 = 50.5f;
    check(hs_face_compare_json(&s.app, &s.faces[0], &s.result, &other.faces[0], &other.result),
          COMPARED("true", "1.0", "0.3", "other", "sim") "}");
}

static json_t *recognize(const struct face_fixture *s, const struct hs_face_recognize *how)
{
    struct hs_error err = { 0 };
    json_t *answer = hs_face_recognize_json(&s->app, &s->result, how, &err);
    if (!answer)
        return NULL;
    assert_true(json_number_value(json_object_get(answer, "inference_time_ms")) >= 3.5);
    json_object_del(answer, "inference_time_ms");
    return answer;
}

#define KNOWN                                                                                                          \
    "{\"bbox\":[10,20,30,40],\"detection_confidence\":0.75,\"identity\":\"Ann\",\"match_score\":1.0,"                  \
    "\"embedding_space\":\"test\",\"quality\":" QUALITY
#define UNKNOWN                                                                                                        \
    "{\"bbox\":[10,20,30,40],\"detection_confidence\":0.75,\"identity\":\"Unknown\",\"match_score\":0.0,"              \
    "\"embedding_space\":\"test\",\"quality\":" QUALITY
#define END ",\"count\":1,\"device\":\"sim\""

static void faces_are_recognised(void **state)
{
    struct fixture *f = *state;
    struct face_fixture s;
    set_up(&s);
    s.app.gallery = fixture_open(f);
    assert_int_equal(hs_face_index_create(f->gallery, "test", DIMENSION, 1, &s.app.index, NULL), 0);
    struct hs_face_recognize how = { .threshold = 0.5, .deadline_ns = HS_NO_DEADLINE };
    check(recognize(&s, &how), "{\"faces\":[" UNKNOWN "}]" END "}");
    add(f->gallery, "Ann", 1);
    how.candidates = 1;
    check(recognize(&s, &how), "{\"faces\":[" KNOWN ",\"candidates\":[{\"identity\":\"Ann\",\"score\":1.0}]}]" END "}");
    how.candidates = 0;
    /* With a second identity, the margin is the difference between both scores, however low the second is.
     * The answer has it to 4 decimals. */
    add(f->gallery, "Bob", 2);
    double margin = 1;
    for (int i = 0; i < DIMENSION; i++)
        margin -= (double) (s.vectors[0][i] * s.vectors[1][i]);
    json_t *answer = recognize(&s, &how), *face = json_array_get(json_object_get(answer, "faces"), 0);
    assert_true(json_number_value(json_object_get(face, "margin")) > margin - 6e-5);
    assert_true(json_number_value(json_object_get(face, "margin")) < margin + 6e-5);
    json_object_del(face, "margin");
    check(answer, "{\"faces\":[" KNOWN "}]" END "}");
    how.margin = margin - 1e-4;
    answer = recognize(&s, &how);
    assert_non_null(json_object_get(json_array_get(json_object_get(answer, "faces"), 0), "margin"));
    json_decref(answer);
    how.margin = margin + 1e-4;
    check(recognize(&s, &how), "{\"faces\":[" UNKNOWN "}]" END "}");
    /* A score must be above the threshold. */
    how.margin = 0;
    how.threshold = 1;
    check(recognize(&s, &how), "{\"faces\":[" UNKNOWN "}]" END "}");
    how.threshold = 0.25;
    how.candidates = 2;
    answer = recognize(&s, &how);
    face = json_array_get(json_object_get(answer, "faces"), 0);
    assert_int_equal(json_array_size(json_object_get(face, "candidates")), 2);
    assert_null(json_object_get(answer, "warnings"));
    json_decref(answer);
    how.threshold = 0.24;
    answer = recognize(&s, &how);
    const json_t *warning = json_array_get(json_object_get(answer, "warnings"), 0);
    assert_string_equal(json_string_value(json_object_get(warning, "code")), "low_threshold");
    assert_string_equal(json_string_value(json_object_get(warning, "message")),
                        "threshold 0.24 is below 0.25, the minimum of made: strangers may match people in the gallery");
    json_decref(answer);
    /* A gallery that cannot be searched causes an error. */
    run_sql(f->path, "ALTER TABLE embeddings RENAME TO gone");
    struct hs_error err = { 0 };
    hs_face_index_destroy(s.app.index);
    assert_int_equal(hs_face_index_create(f->gallery, "test", DIMENSION, 1, &s.app.index, NULL), 0);
    assert_null(hs_face_recognize_json(&s.app, &s.result, &how, &err));
    assert_int_equal(err.code, HS_EINTERNAL);
    run_sql(f->path, "ALTER TABLE gone RENAME TO embeddings");
    hs_face_index_destroy(s.app.index);
}

/* ---- allocation failures ---- */

struct making {
    struct face_fixture face_fixture;
    struct hs_face_recognize how;
    struct hs_enrol_verdict verdict;
    json_t *(*make)(struct making *m);
    char *whole; /* the complete response, once known */
};

static json_t *make_detect(struct making *m)
{
    return hs_face_detect_json(&m->face_fixture.result, true);
}

static json_t *make_embed(struct making *m)
{
    return hs_face_embed_json(&m->face_fixture.faces[0], &m->face_fixture.result);
}

static json_t *make_compare(struct making *m)
{
    const struct face_fixture *s = &m->face_fixture;
    return hs_face_compare_json(&s->app, &s->faces[0], &s->result, &s->faces[0], &s->result);
}

static json_t *make_recognize(struct making *m)
{
    return recognize(&m->face_fixture, &m->how);
}

static json_t *make_reasons(struct making *m)
{
    return hs_enrol_reasons_json(&m->verdict);
}

static json_t *make_enrolled(struct making *m)
{
    return hs_enrol_add_face(json_object(), &m->face_fixture.faces[0], &m->face_fixture.result, &m->verdict);
}

/* A response that is returned must be complete. */
static int make_answer(void *arg)
{
    struct making *m = arg;
    struct hs_buf text;
    json_t *answer = m->make(m);
    if (!answer)
        return HS_ENOMEM;
    hs_buf_init(&text, 1 << 16);
    int r = hs_json_write(answer, HS_JSON_SORTED, &text);
    json_decref(answer);
    if (r == 0 && m->whole)
        assert_string_equal(hs_buf_str(&text), m->whole);
    else if (r == 0)
        m->whole = strdup(hs_buf_str(&text));
    hs_buf_finish(&text);
    return r;
}

static void responses_are_complete_or_absent(void **state)
{
    static json_t *(*const makers[])(struct making *m) = { make_detect,    make_embed,   make_compare,
                                                           make_recognize, make_reasons, make_enrolled };
    struct fixture *f = *state;
    static struct making m;
    set_up(&m.face_fixture);
    add(fixture_open(f), "Ann", 1);
    add(f->gallery, "Bob", 2);
    assert_int_equal(hs_face_index_create(f->gallery, "test", DIMENSION, 1, &m.face_fixture.app.index, NULL), 0);
    assert_int_equal(hs_face_index_refresh(m.face_fixture.app.index, HS_NO_DEADLINE, NULL), 0);
    m.how = (struct hs_face_recognize) { .threshold = 0.1, .candidates = 2, .deadline_ns = HS_NO_DEADLINE };
    m.face_fixture.result.found = 3;
    m.face_fixture.result.degraded = true;
    hs_str_copy(m.face_fixture.result.damage, sizeof(m.face_fixture.result.damage), "half of it");
    m.verdict.face = &m.face_fixture.faces[0];
    m.verdict.count = 2;
    m.verdict.reasons[0] = (struct hs_enrol_reason) { .code = "blurred", .measure = "sharpness", .limit = 0.3 };
    m.verdict.reasons[1] =
        (struct hs_enrol_reason) { .code = "identity_conflict", .measure = "similarity", .identity = "Bob" };
    json_set_alloc_funcs(malloc, free); /* this test's counting allocator */
    for (size_t i = 0; i < HS_ARRAY_LEN(makers); i++) {
        m.make = makers[i];
        m.whole = NULL;
        assert_int_equal(make_answer(&m), 0);
        assert_true(hs_fail_each_allocation(make_answer, &m) > 6);
        free(m.whole);
    }
    hs_face_index_destroy(m.face_fixture.app.index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faces_are_listed),
        cmocka_unit_test(an_embedding_has_its_space),
        cmocka_unit_test(two_faces_are_compared),
        GALLERY_TEST(faces_are_recognised),
        GALLERY_TEST(responses_are_complete_or_absent),
    };
    return HS_RUN_TESTS(tests);
}
