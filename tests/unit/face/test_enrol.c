#include "../gallery/fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../alloc_fail.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "face/enrol.h"

/* Returns a face that every gate accepts. */
static struct hs_face_found good_face(float *vector)
{
    return (struct hs_face_found) {
        .face = { .box = { 100, 100, 220, 240 }, .score = 0.9f, .has_landmarks = true },
        .embedding = vector,
        .has_quality = true,
        .quality = { .size = 120, .sharpness = 0.8f },
    };
}

static bool has(const struct hs_enrol_verdict *verdict, const char *code, const char *measure)
{
    for (size_t i = 0; i < verdict->count; i++)
        if (strcmp(verdict->reasons[i].code, code) == 0 && strcmp(verdict->reasons[i].measure, measure) == 0)
            return true;
    return false;
}

static void test_good(void **state)
{
    (void) state;
    float vector[4] = { 1 };
    struct hs_face_found face = good_face(vector);
    const struct hs_face_result result = { .faces = &face, .count = 1, .dimension = 4 };
    struct hs_enrol_verdict verdict;
    for (int gate = HS_ENROL_OFF; gate <= HS_ENROL_STRICT; gate++) {
        hs_enrol_quality_gate(hs_enrol_limits_of((enum hs_enrol_gate) gate), &result, false, &verdict);
        assert_int_equal(verdict.count, 0);
        assert_ptr_equal(verdict.face, &face);
    }
    assert_null(hs_enrol_limits_of(HS_ENROL_OFF));
}

static void test_all_reasons_at_once(void **state)
{
    (void) state;
    float vector[4] = { 1 };
    struct hs_face_found faces[2] = { good_face(vector), good_face(vector) };
    faces[0].face.box = (struct hs_rect) { 0, 0, 30, 40 };
    faces[0].face.score = 0.5f;
    faces[0].quality.sharpness = 0.1f;
    faces[0].quality.pose = (struct hs_face_pose) { .yaw = -60, .pitch = 50, .roll = 70 };
    const struct hs_face_result result = { .faces = faces, .count = 2, .dimension = 4 };
    struct hs_enrol_verdict verdict;
    hs_enrol_quality_gate(hs_enrol_limits_of(HS_ENROL_STANDARD), &result, false, &verdict);
    assert_int_equal(verdict.count, 7);
    assert_true(has(&verdict, "multiple_faces", "faces"));
    assert_true(has(&verdict, "face_too_small", "size"));
    assert_true(has(&verdict, "low_score", "score"));
    assert_true(has(&verdict, "blurred", "sharpness"));
    assert_true(has(&verdict, "extreme_pose", "yaw"));
    assert_true(has(&verdict, "extreme_pose", "pitch"));
    assert_true(has(&verdict, "extreme_pose", "roll"));
    assert_true(verdict.reasons[0].value == 2 && verdict.reasons[0].limit == 1);
    json_t *list = hs_enrol_reasons_json(&verdict);
    assert_int_equal(json_array_size(list), 7);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "code")), "face_too_small");
    assert_true(json_number_value(json_object_get(json_array_get(list, 1), "value")) == 30);
    json_decref(list);
    char text[512], cut[20];
    hs_enrol_reasons_text(&verdict, text, sizeof(text));
    assert_non_null(strstr(text, "face_too_small (size 30, limit 50); "));
    hs_enrol_reasons_text(&verdict, cut, sizeof(cut));
    assert_true(strlen(cut) < sizeof(cut));
    /* If the client chose the face, others do not matter, but its own defects do. */
    hs_enrol_quality_gate(hs_enrol_limits_of(HS_ENROL_STANDARD), &result, true, &verdict);
    assert_false(has(&verdict, "multiple_faces", "faces"));
    assert_int_equal(verdict.count, 6);
    hs_enrol_quality_gate(NULL, &result, false, &verdict);
    assert_int_equal(verdict.count, 0);
}

/* A face at each limit passes; one just beyond it does not. */
static void test_bounds(void **state)
{
    (void) state;
    static const struct {
        enum hs_enrol_gate gate;
        float size, score, sharpness, yaw, pitch, roll;
    } gates[] = {
        { HS_ENROL_STANDARD, 50, 0.6f, 0.3f, 40, 35, 35 },
        { HS_ENROL_STRICT, 80, 0.7f, 0.45f, 25, 30, 20 },
    };
    float vector[4] = { 1 };
    for (size_t i = 0; i < HS_ARRAY_LEN(gates); i++) {
        const struct hs_enrol_limits *limits = hs_enrol_limits_of(gates[i].gate);
        const struct {
            const char *code, *measure;
            float bound, beyond;
            size_t offset;
        } cases[] = {
#define MEASURE(code, measure, bound, step, member)                                                                    \
    { code, measure, bound, (bound) + (step), offsetof(struct hs_face_found, member) }
            MEASURE("low_score", "score", gates[i].score, -0.001f, face.score),
            MEASURE("blurred", "sharpness", gates[i].sharpness, -0.001f, quality.sharpness),
            MEASURE("extreme_pose", "yaw", gates[i].yaw, 0.01f, quality.pose.yaw),
            MEASURE("extreme_pose", "pitch", gates[i].pitch, 0.01f, quality.pose.pitch),
            MEASURE("extreme_pose", "roll", gates[i].roll, 0.01f, quality.pose.roll),
            MEASURE("extreme_pose", "yaw", -gates[i].yaw, -0.01f, quality.pose.yaw),
            MEASURE("extreme_pose", "pitch", -gates[i].pitch, -0.01f, quality.pose.pitch),
            MEASURE("extreme_pose", "roll", -gates[i].roll, -0.01f, quality.pose.roll),
            MEASURE("face_too_small", "size", 100 + gates[i].size, -0.01f, face.box.x2),
            MEASURE("face_too_small", "size", 100 + gates[i].size, -0.01f, face.box.y2),
        };
        for (size_t k = 0; k < HS_ARRAY_LEN(cases); k++) {
            struct hs_enrol_verdict verdict;
            for (int beyond = 0; beyond < 2; beyond++) {
                struct hs_face_found face = good_face(vector);
                const struct hs_face_result result = { .faces = &face, .count = 1, .dimension = 4 };
                *(float *) ((char *) &face + cases[k].offset) = beyond ? cases[k].beyond : cases[k].bound;
                hs_enrol_quality_gate(limits, &result, false, &verdict);
                assert_int_equal(verdict.count, beyond);
            }
            assert_true(has(&verdict, cases[k].code, cases[k].measure));
        }
        /* A face without quality is not judged by it. */
        struct hs_face_found face = good_face(vector);
        const struct hs_face_result result = { .faces = &face, .count = 1, .dimension = 4 };
        struct hs_enrol_verdict verdict;
        face.quality = (struct hs_face_quality) { .pose = { 90, 90, 90 } };
        face.has_quality = false;
        hs_enrol_quality_gate(limits, &result, false, &verdict);
        assert_int_equal(verdict.count, 0);
    }
}

static void test_sentences(void **state)
{
    (void) state;
    static const struct {
        struct hs_enrol_reason reason;
        const char *text;
    } cases[] = {
        { { .code = "identity_conflict", .measure = "similarity", .value = 0.715, .limit = 0.5, .identity = "Ann" },
          "The face looks like 'Ann': similarity 0.71, recognition threshold 0.50" },
        { { .code = "duplicate", .measure = "similarity", .value = 0.99991, .limit = HS_ENROL_DUPLICATE },
          "This picture or the same face is already enrolled under this name: similarity 0.9999" },
        { { .code = "multiple_faces", .measure = "faces", .value = 3, .limit = 1 },
          "The picture shows 3 faces; `face` describes the enrolled one, `bbox` selects another" },
        { { .code = "face_too_small", .measure = "size", .value = 30, .limit = 50 },
          "The face is small: 30 pixels, at least 50 are recommended" },
        { { .code = "low_score", .measure = "score", .value = 0.5, .limit = 0.6 },
          "The detection score of the face is low: 0.50, at least 0.60 is recommended" },
        { { .code = "blurred", .measure = "sharpness", .value = 0.1, .limit = 0.3 },
          "The face is blurred: sharpness 0.10, at least 0.30 is recommended" },
        { { .code = "sideways", .measure = "roll", .value = -90, .limit = 60 },
          "The face lies on its side (roll -90 degrees). Send the picture upright" },
        { { .code = "sideways", .measure = "roll", .value = 3, .limit = 60, .turned = true },
          "The EXIF orientation of the picture was not applied, and the face lies on its side (roll 3 degrees). Set "
          "image.apply_exif, or send the picture upright" },
        { { .code = "extreme_pose", .measure = "pitch", .value = 50, .limit = 35 },
          "The face is turned away: pitch 50 degrees, at most 35 are recommended" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        char text[HS_ERROR_MESSAGE_SIZE];
        hs_enrol_warning_text(&cases[i].reason, text, sizeof(text));
        assert_string_equal(text, cases[i].text);
    }
}

/* A small face in the background does not matter to the standard gate. */
static void test_background(void **state)
{
    (void) state;
    float vector[4] = { 1 };
    struct hs_face_found faces[2] = { good_face(vector), good_face(vector) };
    faces[1].face.box = (struct hs_rect) { 0, 0, 40, 40 };
    const struct hs_face_result result = { .faces = faces, .count = 2, .dimension = 4 };
    struct hs_enrol_verdict verdict;
    hs_enrol_quality_gate(hs_enrol_limits_of(HS_ENROL_STANDARD), &result, false, &verdict);
    assert_int_equal(verdict.count, 0);
    hs_enrol_quality_gate(hs_enrol_limits_of(HS_ENROL_STRICT), &result, false, &verdict);
    assert_true(has(&verdict, "multiple_faces", "faces"));
}

static void test_unusual_faces(void **state)
{
    (void) state;
    const struct hs_face_result nothing = { .dimension = 4 };
    struct hs_enrol_verdict verdict;
    hs_enrol_quality_gate(hs_enrol_limits_of(HS_ENROL_STRICT), &nothing, false, &verdict);
    assert_true(verdict.count == 1 && has(&verdict, "no_face", "faces"));
    assert_null(verdict.face);
    hs_enrol_quality_gate(NULL, &nothing, false, &verdict);
    assert_int_equal(verdict.count, 0);
    /* NaN values do not pass. */
    float vector[4] = { 1 };
    struct hs_face_found face = good_face(vector);
    face.quality.sharpness = NAN;
    face.quality.pose.yaw = NAN;
    const struct hs_face_result result = { .faces = &face, .count = 1, .dimension = 4 };
    hs_enrol_quality_gate(hs_enrol_limits_of(HS_ENROL_STANDARD), &result, false, &verdict);
    assert_true(has(&verdict, "blurred", "sharpness") && has(&verdict, "extreme_pose", "yaw"));
}

static const struct hs_enrol_reason *find(const struct hs_enrol_verdict *verdict, const char *code)
{
    for (size_t i = 0; i < verdict->count; i++)
        if (strcmp(verdict->reasons[i].code, code) == 0)
            return &verdict->reasons[i];
    return NULL;
}

static void test_warnings(void **state)
{
    (void) state;
    float vector[4] = { 1 };
    struct hs_face_found faces[2] = { good_face(vector), good_face(vector) };
    struct hs_face_result result = { .faces = faces, .count = 1, .found = 1, .turn = 1, .dimension = 4 };
    struct hs_enrol_verdict warnings;
    char text[HS_ERROR_MESSAGE_SIZE];
    hs_enrol_warnings(&result, false, &warnings);
    assert_int_equal(warnings.count, 0);

    /* Any other face counts, however small, and also if it is not listed. */
    faces[1].face.box = (struct hs_rect) { 0, 0, 5, 5 };
    result.count = 2;
    result.found = 7;
    hs_enrol_warnings(&result, false, &warnings);
    assert_true(warnings.count == 1 && has(&warnings, "multiple_faces", "faces"));
    assert_true(warnings.reasons[0].value == 7);
    result.count = 1;
    hs_enrol_warnings(&result, false, &warnings);
    assert_true(warnings.count == 1 && find(&warnings, "multiple_faces")->value == 7);
    hs_enrol_warnings(&result, true, &warnings);
    assert_int_equal(warnings.count, 0);
    result.found = 1;

    faces[0].quality.pose = (struct hs_face_pose) { .yaw = 45, .roll = -59 };
    faces[0].quality.sharpness = 0.1f;
    hs_enrol_warnings(&result, false, &warnings);
    assert_int_equal(warnings.count, 3);
    assert_true(has(&warnings, "extreme_pose", "yaw") && has(&warnings, "extreme_pose", "roll"));
    hs_enrol_warning_text(find(&warnings, "blurred"), text, sizeof(text));
    assert_string_equal(text, "The face is blurred: sharpness 0.10, at least 0.30 is recommended");
    hs_enrol_warning_text(find(&warnings, "extreme_pose"), text, sizeof(text));
    assert_string_equal(text, "The face is turned away: yaw 45 degrees, at most 40 are recommended");

    /* A face on its side has one warning for that, instead of the one about roll. */
    faces[0].quality.pose.roll = -90;
    hs_enrol_warnings(&result, false, &warnings);
    assert_int_equal(warnings.count, 3);
    assert_false(has(&warnings, "extreme_pose", "roll"));
    hs_enrol_warning_text(find(&warnings, "sideways"), text, sizeof(text));
    assert_non_null(strstr(text, "roll -90 degrees"));
    assert_null(strstr(text, "EXIF"));
    /* An EXIF orientation that requires a rotation causes the warning, for any face; 2 is mirrored only. */
    faces[0] = good_face(vector);
    for (int turn = 1; turn <= 8; turn++) {
        result.turn = turn;
        hs_enrol_warnings(&result, false, &warnings);
        assert_int_equal(warnings.count, turn > 2);
    }
    hs_enrol_warning_text(find(&warnings, "sideways"), text, sizeof(text));
    assert_non_null(strstr(text, "image.apply_exif"));

    result.count = result.found = 0;
    hs_enrol_warnings(&result, false, &warnings);
    assert_int_equal(warnings.count, 0);
    /* All reasons together fit. */
    faces[0].face.box = (struct hs_rect) { 0, 0, 9, 9 };
    faces[0].face.score = 0.1f;
    faces[0].quality = (struct hs_face_quality) { .pose = { 80, 80, 80 } };
    result.count = 2;
    result.found = 2;
    hs_enrol_warnings(&result, false, &warnings);
    assert_true(warnings.count == 7 && warnings.count + 2 <= HS_ENROL_REASONS_MAX);
    hs_str_copy(result.damage, sizeof(result.damage), "the JPEG is damaged");
    json_t *answer = hs_enrol_add_face(json_object(), &faces[0], &result, &warnings), *entry;
    json_t *list = json_object_get(answer, "warnings");
    size_t i;
    assert_int_equal(json_array_size(list), 8);
    json_array_foreach(list, i, entry)
    {
        assert_true(json_string_length(json_object_get(entry, "message")) > 20);
        assert_true(i == 7 || json_is_real(json_object_get(entry, "limit")));
    }
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 7), "code")), "image_damaged");
    json_decref(answer);
}

/* `index` counts all faces of the picture by score; a box may have selected one of them. */
static void test_selected_face(void **state)
{
    (void) state;
    float vector[4] = { 1 };
    struct hs_face_found faces[3] = { good_face(vector), good_face(vector), good_face(vector) };
    struct hs_face_result result = { .faces = faces, .count = 3, .found = 12, .width = 640, .height = 480 };
    const struct hs_enrol_verdict none = { .face = &faces[2] };
    json_t *answer = hs_enrol_add_face(json_object(), &faces[2], &result, &none);
    json_t *face = json_object_get(answer, "face"), *warnings = json_object_get(answer, "warnings");
    assert_true(json_is_array(warnings) && json_array_size(warnings) == 0);
    assert_int_equal(json_integer_value(json_object_get(face, "index")), 2);
    assert_int_equal(json_integer_value(json_object_get(face, "faces_found")), 12);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(face, "bbox"), 3)), 140);
    json_decref(answer);
    result.count = 1;
    result.first_index = 5;
    answer = hs_enrol_add_face(json_object(), &faces[0], &result, &none);
    face = json_object_get(answer, "face");
    assert_int_equal(json_integer_value(json_object_get(face, "index")), 5);
    json_decref(answer);
}

/* ---- against the gallery ---- */

static const char sum_1[] = "1111111111111111111111111111111111111111111111111111111111111111";

/* Writes unit_vector(seed), rotated slightly towards unit_vector(other). */
static void near(unsigned seed, unsigned other, float share, float values[DIMENSION])
{
    float towards[DIMENSION];
    double sum = 0;
    unit_vector(seed, values);
    unit_vector(other, towards);
    for (int i = 0; i < DIMENSION; i++) {
        values[i] += share * towards[i];
        sum += (double) (values[i] * values[i]);
    }
    for (int i = 0; i < DIMENSION; i++)
        values[i] = (float) (values[i] / sqrt(sum));
}

static void compare(struct hs_enrol_comparison *against, const char *name, const char *sha256, float *vector,
                    struct hs_enrol_verdict *verdict)
{
    struct hs_face_found face = good_face(vector);
    *verdict = (struct hs_enrol_verdict) { .face = &face };
    assert_int_equal(hs_enrol_compare(against, name, sha256, DIMENSION, verdict, NULL), 0);
    verdict->face = NULL;
}

static void test_gallery(void **state)
{
    struct fixture *f = *state;
    float vector[DIMENSION];
    struct hs_enrol_verdict verdict;
    struct hs_enrol_comparison against = {
        .gallery = fixture_open(f), .space = "test", .threshold = 0.6, .deadline_ns = HS_NO_DEADLINE
    };
    const struct hs_gallery_new_embedding e = {
        .values = unit_vector(1, vector), .dimension = DIMENSION, .space = "test", .source_sha256 = sum_1
    };
    assert_int_equal(hs_gallery_add(f->gallery, NULL, "Ann", NULL, &e, NULL, NULL), 0);
    add(f->gallery, "Bob", 2);
    assert_int_equal(hs_face_index_create(f->gallery, "test", DIMENSION, 1, &against.index, NULL), 0);

    near(3, 4, 0.1f, vector);
    compare(&against, "Cid", NULL, vector, &verdict);
    assert_int_equal(verdict.count, 0);
    near(1, 4, 0.3f, vector);
    compare(&against, "Ann", NULL, vector, &verdict);
    assert_int_equal(verdict.count, 0);
    compare(&against, "Bob", NULL, vector, &verdict);
    assert_true(verdict.count == 1 && has(&verdict, "identity_conflict", "similarity"));
    assert_string_equal(verdict.reasons[0].identity, "Ann");
    assert_true(verdict.reasons[0].value > 0.9 && verdict.reasons[0].limit == 0.6);
    /* The same embedding, or the same picture. */
    near(1, 4, 0.001f, vector);
    compare(&against, "Ann", NULL, vector, &verdict);
    assert_true(verdict.count == 1 && has(&verdict, "duplicate", "similarity"));
    near(1, 4, 0.3f, vector);
    compare(&against, "Ann", sum_1, vector, &verdict);
    assert_true(verdict.count == 1 && has(&verdict, "duplicate", "similarity"));
    hs_face_index_destroy(against.index);
}

/* Both the face and its quality are stored, or neither is. */
struct storing {
    struct hs_face_app app;
    struct hs_face_result result;
    struct hs_face_found face;
    float vector[DIMENSION];
};

static int store(void *arg)
{
    struct storing *s = arg;
    const struct hs_enrol_entry entry = { .name = "Ann", .metadata = "{\"team\":3}", .source_sha256 = sum_1 };
    struct hs_gallery_person *person = NULL;
    struct hs_gallery_added added = { 0 };
    struct hs_error err = { 0 };
    int r = hs_enrol_store(&s->app, &entry, &s->face, &s->result, &added, &err);
    assert_true(r == 0 || r == err.code);
    int read = hs_gallery_get(s->app.gallery, "Ann", false, &person, &err);
    if (read == HS_ENOMEM)
        read = hs_gallery_get(s->app.gallery, "Ann", false, &person, NULL);
    assert_int_equal(read, r == 0 ? 0 : HS_ENOTFOUND);
    if (r == 0) {
        assert_int_equal(person->count, 1);
        assert_string_equal(person->identity.metadata, "{\"team\":3}");
        assert_string_equal(person->embeddings[0].source_sha256, sum_1);
        assert_non_null(strstr(person->embeddings[0].quality, "\"score\":0.5"));
        assert_non_null(strstr(person->embeddings[0].quality, "\"size\":120"));
        hs_gallery_person_destroy(person);
        assert_true(hs_gallery_remove(s->app.gallery, "Ann", NULL, NULL) == 0 ||
                    hs_gallery_remove(s->app.gallery, "Ann", NULL, NULL) == 0);
    }
    /* Jansson sometimes reports a lack of memory as invalid metadata. */
    return r == HS_EINVAL ? HS_ENOMEM : r;
}

static void test_store(void **state)
{
    struct fixture *f = *state;
    static struct storing s;
    s.face = good_face(s.vector);
    s.face.face.score = 0.625f;
    s.face.quality.sharpness = 0.8f;
    unit_vector(1, s.vector);
    s.result = (struct hs_face_result) {
        .faces = &s.face, .count = 1, .dimension = DIMENSION, .space = "test", .model = "made"
    };
    s.app.gallery = fixture_open(f);
    json_set_alloc_funcs(malloc, free); /* this test's counting allocator */
    assert_true(hs_fail_each_allocation(store, &s) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),       cmocka_unit_test(test_all_reasons_at_once),
        cmocka_unit_test(test_background), cmocka_unit_test(test_unusual_faces),
        cmocka_unit_test(test_warnings),   cmocka_unit_test(test_selected_face),
        GALLERY_TEST(test_gallery),        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_sentences),  GALLERY_TEST(test_store),
    };
    return HS_RUN_TESTS(tests);
}
