/* Tests the record of compare-devices, and when it allows the processor as fallback. */
#include "../unit.h"

#include <math.h>

#include "../models/store_fixture.h"
#include "service/embedding_parity.h"

#define PACK(name, sha_hailo, sha_openvino)                                                                            \
    "name: " name "\n"                                                                                                 \
    "task: face-embedding\n"                                                                                           \
    "title: Made up\n"                                                                                                 \
    "licence: {name: MIT}\n"                                                                                           \
    "input: {width: 112, height: 112}\n"                                                                               \
    "decode: arcface\n"                                                                                                \
    "embedding: {space: made-up, dimension: 512, threshold: 0.5}\n"                                                    \
    "hailo: {file: " name ".hef, sha256: " sha_hailo "}\n"                                                             \
    "openvino: {file: " name ".onnx, sha256: " sha_openvino "}\n"

static const struct hs_sample_stats fine = { .count = 40, .min = .95, .median = .99 };

static struct hs_model_choice file_of(const struct hs_store *store, const char *name, const char *backend)
{
    const struct hs_pack *pack = hs_store_find(store, name);
    assert_non_null(pack);
    return (struct hs_model_choice) { pack, hs_pack_find_file(pack, backend, NULL) };
}

static struct hs_store *open_with(const char *folder, const char *pack)
{
    store_fixture_add_pack(folder, "made", pack);
    assert_int_equal(hs_dir_make(folder_path(folder, "store"), NULL), 0);
    return store_fixture_open(folder);
}

static void save(const struct hs_store *store, struct hs_sample_stats cosine)
{
    struct hs_model_choice device = file_of(store, "made", "hailo"), against = file_of(store, "made", "openvino");
    assert_int_equal(hs_embedding_parity_save(store, &device, &against, &cosine, NULL), 0);
}

static int check(const struct hs_store *store, struct hs_error *err)
{
    struct hs_model_choice device = file_of(store, "made", "hailo"), against = file_of(store, "made", "openvino");
    return hs_embedding_parity_check(store, &device, &against, err);
}

static void refused(const struct hs_store *store, const char *why)
{
    struct hs_error err = { 0 };
    assert_int_equal(check(store, &err), HS_EMODEL);
    if (!strstr(err.message, why))
        fail_msg("'%s' does not say '%s'", err.message, why);
}

static void bounds(void **state)
{
    (void) state;
    struct hs_sample_stats s = { .count = HS_PARITY_FACES, .min = HS_PARITY_MIN, .median = HS_PARITY_MEDIAN };
    assert_int_equal(hs_embedding_parity_judge(&s, NULL), 0);
    s.count--;
    assert_int_equal(hs_embedding_parity_judge(&s, NULL), HS_EMODEL);
    s = (struct hs_sample_stats) { .count = 99, .min = HS_PARITY_MIN - .001, .median = .999 };
    assert_int_equal(hs_embedding_parity_judge(&s, NULL), HS_EMODEL);
    s = (struct hs_sample_stats) { .count = 99, .min = .95, .median = HS_PARITY_MEDIAN - .001 };
    assert_int_equal(hs_embedding_parity_judge(&s, NULL), HS_EMODEL);
    s.median = (double) NAN;
    assert_int_equal(hs_embedding_parity_judge(&s, NULL), HS_EMODEL);
}

static void a_passing_comparison_is_required(void **state)
{
    struct hs_store *store = open_with(*state, PACK("made", SHA_MODEL, SHA_OTHER));
    refused(store, "the model files have not been compared. Run `hailo-face compare-devices`");
    save(store, fine);
    assert_true(folder_has(*state, "store/made.agreement.json"));
    assert_int_equal(check(store, NULL), 0);
    save(store, (struct hs_sample_stats) { .count = 40, .min = .5, .median = .8 });
    refused(store, "median cosine is 0.8000 (at least 0.97 required), the lowest 0.5000");
    save(store, (struct hs_sample_stats) { .count = 7, .min = .98, .median = .99 });
    refused(store, "only 7 faces");
    hs_store_close(store);
}

static void other_model_files_are_refused(void **state)
{
    static const char third[] = "0000000000000000000000000000000000000000000000000000000000000003";
    char text[sizeof(PACK("made", SHA_MODEL, SHA_OTHER)) + 8];
    struct hs_store *store = open_with(*state, PACK("made", SHA_MODEL, SHA_OTHER));
    save(store, fine);
    hs_store_close(store);
    for (int i = 0; i < 2; i++) {
        assert_true(hs_str_copy(text, sizeof(text), PACK("made", SHA_MODEL, SHA_OTHER)));
        memcpy(strstr(text, i ? SHA_OTHER : SHA_MODEL), third, 64);
        store = open_with(*state, text);
        refused(store, "the model files have changed");
        hs_store_close(store);
    }
}

static void one_file_agrees_with_itself(void **state)
{
    struct hs_store *store = open_with(*state, PACK("made", SHA_MODEL, SHA_MODEL));
    assert_int_equal(check(store, NULL), 0);
    hs_store_close(store);
}

static void damaged_records(void **state)
{
#define RECORD(device, faces, least, median)                                                                           \
    "{\"device\": {\"sha256\": " device "}, \"against\": {\"sha256\": \"" SHA_OTHER "\"}, \"faces\": " faces           \
    ", \"least_cosine\": " least ", \"median_cosine\": " median "}"
    static const char *const bad[] = {
        "",
        "[]",
        "{\"faces\": 40}",
        RECORD("7", "40", ".95", ".99"),
        RECORD("\"" SHA_MODEL "\"", "-1", "0.95", "0.99"),
        RECORD("\"" SHA_MODEL "\"", "40.5", "0.95", "0.99"),
        RECORD("\"" SHA_MODEL "\"", "40", "0.95", "99"),
        RECORD("\"" SHA_MODEL "\"", "40", "\"0.95\"", "0.99"),
        RECORD("\"" SHA_MODEL "0\"", "40", "0.95", "0.99"),
        RECORD("\"" SHA_MODEL "\"", "40", "0.95", "0.99") "x",
    };
    static const char good[] = RECORD("\"" SHA_MODEL "\"", "40", "0.95", "0.99");
    struct hs_store *store = open_with(*state, PACK("made", SHA_MODEL, SHA_OTHER));
    folder_write(*state, "store/made.agreement.json", good, sizeof(good) - 1);
    assert_int_equal(check(store, NULL), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        folder_write(*state, "store/made.agreement.json", bad[i], strlen(bad[i]));
        refused(store, "is damaged. Run `hailo-face compare-devices` again");
    }
    static char huge[100000];
    memset(huge, ' ', sizeof(huge));
    folder_write(*state, "store/made.agreement.json", huge, sizeof(huge));
    refused(store, "compare-devices` again");
    hs_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds),
        STORE_TEST(a_passing_comparison_is_required),
        STORE_TEST(other_model_files_are_refused),
        STORE_TEST(one_file_agrees_with_itself),
        STORE_TEST(damaged_records),
    };
    return HS_RUN_TESTS(tests);
}
