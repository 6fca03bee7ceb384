#include "../unit.h"

#include "archives.h"
#include "base/cancel.h"
#include "base/mem.h"
#include "http_stub.h"
#include "models/fetch.h"
#include "store_fixture.h"

/* A fetch of the pack "m", whose backend's YAML is `page`. */
struct pull {
    struct hs_fetch_options options;
    struct hs_fetch_result result;
    struct hs_error err;
    char said[4000];
};

static void on_message(void *arg, const char *line)
{
    struct pull *pull = arg;
    size_t used = strlen(pull->said);
    hs_str_format(pull->said + used, sizeof(pull->said) - used, "%s\n", line);
}

static int fetch(const char *folder, const char *page, struct pull *pull)
{
    char text[6000];
    assert_true(hs_str_format(text, sizeof(text), "%s%s", PACK_HEAD("m"), page));
    store_fixture_add_pack(folder, "m", text);
    struct hs_store *store = store_fixture_open(folder);
    struct hs_model_choice choice = store_fixture_choice(store, "m");
    pull->options.on_message = on_message;
    pull->options.arg = pull;
    pull->options.stall_s = 5;
    pull->options.connect_s = 5;
    pull->err = (struct hs_error) { 0 };
    pull->said[0] = '\0';
    int r = hs_fetch_file(store, &choice, &pull->options, &pull->result, &pull->err);
    hs_store_close(store);
    return r;
}

static const char *store_path(const char *folder, const char *name)
{
    char path[200];
    assert_true(hs_str_format(path, sizeof(path), "store/%s", name));
    return folder_path(folder, path);
}

/* Checks that the models folder holds no work files. */
static void assert_tidy(const char *folder)
{
    static const char *const names[] = { "m.onnx.part", "m.onnx.part.from", ".m.onnx.fetch", ".m.onnx.lock" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++)
        if (hs_file_exists(store_path(folder, names[i])))
            fail_msg("%s was left", names[i]);
}

/* Returns YAML with one source, the local file <folder>/given. */
static const char *pack_from_file(const char *folder, const char *sha256, const char *more)
{
    static char page[2000];
    assert_true(hs_str_format(page, sizeof(page), "openvino:\n  file: m.onnx\n%s%s%s  sources:\n    - file: %s\n%s",
                              sha256 ? "  sha256: " : "", sha256 ? sha256 : "", sha256 ? "\n" : "",
                              folder_path(folder, "given"), more));
    return page;
}

static void from_a_file(void **state)
{
    struct pull pull = { 0 };
    const char *page = pack_from_file(*state, SHA_MODEL, "");
    assert_int_equal(fetch(*state, page, &pull), HS_ENOTFOUND);
    assert_non_null(strstr(pull.err.message, "given: file not found"));
    folder_write(*state, "given", "other", 5);
    assert_int_equal(fetch(*state, page, &pull), HS_EMODEL);
    assert_non_null(strstr(pull.err.message, SHA_OTHER));
    assert_false(folder_has(*state, "store/m.onnx"));
    assert_tidy(*state);
    folder_write(*state, "given", "model", 5);
    assert_int_equal(fetch(*state, page, &pull), 0);
    assert_true(folder_holds(*state, "store/m.onnx", "model", 5));
    assert_true(folder_has(*state, "given"));
    assert_false(pull.result.present);
    assert_false(pull.result.recorded);
    assert_int_equal(pull.result.size, 5);
    assert_string_equal(pull.result.sha256, SHA_MODEL);
    assert_tidy(*state);
    folder_write(*state, "given", "other", 5);
    assert_int_equal(fetch(*state, page, &pull), 0);
    assert_true(pull.result.present);
}

static void a_wrong_file_is_replaced(void **state)
{
    struct pull pull = { 0 };
    const char *page = pack_from_file(*state, SHA_MODEL, "");
    folder_write(*state, "given", "model", 5);
    assert_int_equal(fetch(*state, page, &pull), 0);
    folder_write(*state, "store/m.onnx", "modem", 5);
    assert_int_equal(fetch(*state, page, &pull), 0);
    assert_false(pull.result.present);
    assert_true(folder_holds(*state, "store/m.onnx", "model", 5));
    unlink(folder_path(*state, "given"));
    pull.options.force = true;
    assert_true(fetch(*state, page, &pull) < 0);
    assert_true(folder_holds(*state, "store/m.onnx", "model", 5)); /* a failed fetch deletes nothing */
}

static void an_unknown_hash_is_recorded_once(void **state)
{
    struct pull pull = { 0 };
    const char *page = pack_from_file(*state, NULL, "");
    folder_write(*state, "given", "model", 5);
    assert_int_equal(fetch(*state, page, &pull), 0);
    assert_true(pull.result.recorded);
    assert_false(pull.result.source_verified);
    assert_true(folder_holds(*state, "store/m.onnx.sha256", SHA_MODEL "  m.onnx\n", 73));

    unlink(folder_path(*state, "store/m.onnx"));
    folder_write(*state, "given", "other", 5);
    assert_int_equal(fetch(*state, page, &pull), HS_EMODEL);
    assert_false(folder_has(*state, "store/m.onnx"));
    pull.options.force = true;
    assert_int_equal(fetch(*state, page, &pull), 0);
    assert_true(pull.result.recorded);
    assert_true(folder_holds(*state, "store/m.onnx", "other", 5));
    assert_true(folder_holds(*state, "store/m.onnx.sha256", SHA_OTHER "  m.onnx\n", 73));
    pull.options.force = false;
    assert_int_equal(fetch(*state, page, &pull), 0);
    assert_true(pull.result.present);
    assert_false(pull.result.recorded);
}

static void force_keeps_the_record_until_there_is_another(void **state)
{
    struct pull pull = { 0 };
    const char *page = pack_from_file(*state, NULL, "");
    folder_write(*state, "given", "model", 5);
    assert_int_equal(fetch(*state, page, &pull), 0);
    unlink(folder_path(*state, "given"));
    pull.options.force = true;
    assert_int_equal(fetch(*state, page, &pull), HS_ENOTFOUND);
    pull.options.force = false;
    assert_int_equal(fetch(*state, page, &pull), 0);
    assert_true(pull.result.present);
}

static void an_unrecorded_file_is_fetched(void **state)
{
    struct pull pull = { 0 };
    assert_int_equal(hs_dir_make(folder_path(*state, "store"), NULL), 0);
    folder_write(*state, "store/m.onnx", "other", 5);
    folder_write(*state, "given", "model", 5);
    assert_int_equal(fetch(*state, pack_from_file(*state, NULL, ""), &pull), 0);
    assert_true(folder_holds(*state, "store/m.onnx", "model", 5));
}

static void no_source(void **state)
{
    struct pull pull = { 0 };
    assert_int_equal(fetch(*state, "openvino: {file: m.onnx, sha256: " SHA_MODEL "}\n", &pull), HS_ENOTFOUND);
    assert_non_null(strstr(pull.err.message, "m.onnx has no public source"));
}

static void a_mirror_is_tried_first(void **state)
{
    char place[PATH_MAX];
    struct pull pull = { .options.mirror = place };
    hs_str_copy(place, sizeof(place), folder_path(*state, "mirror/"));
    const char *page = pack_from_file(*state, SHA_MODEL, "");
    folder_write(*state, "given", "model", 5);
    assert_int_equal(hs_dir_make(folder_path(*state, "mirror"), NULL), 0);
    folder_write(*state, "mirror/m.onnx", "other", 5);
    assert_int_equal(fetch(*state, page, &pull), 0); /* falls back */
    assert_true(folder_holds(*state, "store/m.onnx", "model", 5));
    const char *mirror = strstr(pull.said, "mirror/m.onnx"), *given = strstr(pull.said, "given");
    assert_true(mirror && given && mirror < given);
    assert_non_null(strstr(pull.said, SHA_OTHER));

    unlink(folder_path(*state, "store/m.onnx"));
    folder_write(*state, "mirror/m.onnx", "model", 5);
    assert_int_equal(fetch(*state, page, &pull), 0);
    assert_null(strstr(pull.said, "given"));
    assert_tidy(*state);
}

static void all_reasons_are_reported(void **state)
{
    struct pull pull = { .options.mirror = "/nowhere" };
    char more[300];
    hs_str_format(more, sizeof(more), "    - file: %s\n", folder_path(*state, "wrong"));
    folder_write(*state, "wrong", "other", 5);
    assert_int_equal(fetch(*state, pack_from_file(*state, SHA_MODEL, more), &pull), HS_EMODEL);
    assert_non_null(strstr(pull.err.message, "/nowhere/m.onnx: file not found; "));
    assert_non_null(strstr(pull.err.message, "given: file not found; "));
    assert_non_null(strstr(pull.err.message, "wrong"));
}

static void a_member_of_an_archive(void **state)
{
    static const struct archive_member members[] = { { "a/readme", "text", NULL },
                                                     { "a/m.onnx", "model", NULL },
                                                     { "a/x.onnx", "other", NULL } };
    struct pull pull = { 0 };
    char sha256[65], more[600];
    archive_make(folder_path(*state, "given"), true, members, HS_ARRAY_LEN(members));
    assert_int_equal(hs_file_sha256(folder_path(*state, "given"), sha256, NULL), 0);
    hs_str_format(more, sizeof(more), "      sha256: %s\n      member: a/m.onnx\n      member_sha256: %s\n", sha256,
                  SHA_MODEL);
    assert_int_equal(fetch(*state, pack_from_file(*state, NULL, more), &pull), 0);
    assert_true(folder_holds(*state, "store/m.onnx", "model", 5));
    assert_true(pull.result.recorded);
    assert_true(pull.result.source_verified);
    assert_tidy(*state);

    hs_str_format(more, sizeof(more), "      sha256: %s\n      member: a/x.onnx\n      member_sha256: %s\n", sha256,
                  SHA_MODEL);
    pull.options.force = true;
    assert_int_equal(fetch(*state, pack_from_file(*state, NULL, more), &pull), HS_EMODEL);
    assert_non_null(strstr(pull.err.message, "a/x.onnx has the SHA-256"));
    hs_str_format(more, sizeof(more), "      sha256: %s\n      member: a/y.onnx\n", sha256);
    assert_int_equal(fetch(*state, pack_from_file(*state, NULL, more), &pull), HS_ENOTFOUND);
    hs_str_format(more, sizeof(more), "      sha256: %s\n      member: a/m.onnx\n", SHA_OTHER);
    assert_int_equal(fetch(*state, pack_from_file(*state, NULL, more), &pull), HS_EMODEL); /* archive not opened */
    assert_true(folder_holds(*state, "store/m.onnx", "model", 5));
    assert_tidy(*state);
}

static void other_files_are_not_converted(void **state)
{
    struct pull pull = { 0 };
    folder_write(*state, "given", "model", 5);
    assert_true(fetch(*state, pack_from_file(*state, NULL, "      convert: pt2onnx\n"), &pull) < 0);
    assert_non_null(strstr(pull.said, "converting to ONNX"));
    assert_false(folder_has(*state, "store/m.onnx"));
    assert_false(folder_has(*state, "store/m.onnx.sha256"));
    assert_tidy(*state);
}

static void limits(void **state)
{
    struct pull pull = { .options.max_bytes = 4 };
    folder_write(*state, "given", "model", 5);
    assert_int_equal(fetch(*state, pack_from_file(*state, SHA_MODEL, ""), &pull), HS_ETOOLARGE);
    assert_tidy(*state);
}

/* ---- over http ---- */

static const char *pack_from_url(const struct http_stub *stub, const char *sha256, int size, const char *more)
{
    static char page[2000];
    char size_line[40] = "";
    if (size)
        hs_str_format(size_line, sizeof(size_line), "  size: %d\n", size);
    assert_true(hs_str_format(
        page, sizeof(page), "openvino:\n  file: m.onnx\n%s%s%s%s  sources:\n    - https: http://127.0.0.1:%d/m\n%s",
        sha256 ? "  sha256: " : "", sha256 ? sha256 : "", sha256 ? "\n" : "", size_line, stub->port, more));
    return page;
}

static void an_interrupted_pull_is_resumed(void **state)
{
    struct http_stub stub = { .body = "model", .len = 5, .etag = "\"a\"", .send_max = 2, .answers = 1 };
    struct pull pull = { 0 };
    char more[300];
    hs_str_format(more, sizeof(more), "    - file: %s\n", folder_path(*state, "given"));
    http_stub_start(&stub);
    const char *page = pack_from_url(&stub, SHA_MODEL, 5, more);
    assert_int_equal(fetch(*state, page, &pull), HS_ENOTFOUND); /* and keeps the first one's part file */
    http_stub_stop(&stub);
    assert_true(folder_holds(*state, "store/m.onnx.part", "mo", 2));
    assert_false(folder_has(*state, "store/m.onnx"));
    stub.answers = 0;
    http_stub_start(&stub);
    assert_int_equal(fetch(*state, page, &pull), 0);
    http_stub_stop(&stub);
    assert_string_equal(stub.range, "bytes=4-");
    assert_true(folder_holds(*state, "store/m.onnx", "model", 5));
    assert_tidy(*state);
}

static void another_source_deletes_the_part(void **state)
{
    struct http_stub stub = { .body = "model", .len = 5, .send_max = 2, .answers = 1 };
    struct pull pull = { 0 };
    char more[300];
    folder_write(*state, "given", "model", 5);
    hs_str_format(more, sizeof(more), "    - file: %s\n", folder_path(*state, "given"));
    http_stub_start(&stub);
    assert_int_equal(fetch(*state, pack_from_url(&stub, SHA_MODEL, 0, more), &pull), 0);
    http_stub_stop(&stub);
    assert_tidy(*state);
}

static void a_mirror_over_http(void **state)
{
    struct http_stub stub = { .body = "model", .len = 5 };
    struct pull pull = { 0 };
    char mirror[100];
    http_stub_start(&stub);
    hs_str_format(mirror, sizeof(mirror), "http://127.0.0.1:%d/some/where/", stub.port);
    pull.options.mirror = mirror;
    assert_int_equal(fetch(*state, "openvino: {file: m.onnx}\n", &pull), 0);
    http_stub_stop(&stub);
    assert_non_null(strstr(pull.said, "/some/where/m.onnx"));
    assert_true(pull.result.recorded);
    assert_tidy(*state);
}

/* A message about a mirror can reach clients of the service, so it must not contain secrets. */
static void credentials_of_a_mirror_are_not_logged(void **state)
{
    static const char *const forms[][2] = { { "user:secret@", "/some/where" },
                                            { "sec@ret@", "/some" },
                                            { "", "/some?key=secret&a=" } };
    struct http_stub stub = { .body = "other", .len = 5 };
    http_stub_start(&stub);
    for (size_t i = 0; i < HS_ARRAY_LEN(forms); i++) {
        struct pull pull = { 0 };
        char mirror[100], host[40];
        hs_str_format(mirror, sizeof(mirror), "http://%s127.0.0.1:%d%s", forms[i][0], stub.port, forms[i][1]);
        hs_str_format(host, sizeof(host), "http://127.0.0.1:%d/some", stub.port);
        pull.options.mirror = mirror;
        assert_true(fetch(*state, "openvino: {file: m.onnx, sha256: " SHA_MODEL "}\n", &pull) < 0);
        assert_non_null(strstr(pull.err.message, host));
        assert_null(strstr(pull.err.message, "sec"));
        assert_null(strstr(pull.said, "sec"));
    }
    http_stub_stop(&stub);
}

static void wrong_bytes_and_the_known_size(void **state)
{
    struct http_stub stub = { .body = "other", .len = 5 };
    struct pull pull = { 0 };
    http_stub_start(&stub);
    assert_int_equal(fetch(*state, pack_from_url(&stub, SHA_MODEL, 5, ""), &pull), HS_EMODEL);
    assert_int_equal(fetch(*state, pack_from_url(&stub, SHA_MODEL, 4, ""), &pull), HS_ETOOLARGE);
    http_stub_stop(&stub);
    assert_int_equal(stub.requests, 2);
    assert_false(folder_has(*state, "store/m.onnx"));
    assert_tidy(*state);
}

static void cancelling(void **state)
{
    struct http_stub stub = { .body = "model", .len = 5 };
    struct hs_cancel cancel;
    struct pull pull = { .options.cancel = &cancel };
    char more[300];
    hs_cancel_init(&cancel);
    hs_cancel_trigger(&cancel);
    folder_write(*state, "given", "model", 5);
    hs_str_format(more, sizeof(more), "    - file: %s\n", folder_path(*state, "given"));
    http_stub_start(&stub);
    assert_int_equal(fetch(*state, pack_from_url(&stub, SHA_MODEL, 5, more), &pull), HS_ECANCELED);
    http_stub_stop(&stub);
    assert_null(strstr(pull.said, "given")); /* no other source is tried */
    hs_cancel_finish(&cancel);
}

static int without_proxy(void **state)
{
    (void) state;
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(from_a_file),
        STORE_TEST(a_wrong_file_is_replaced),
        STORE_TEST(an_unknown_hash_is_recorded_once),
        STORE_TEST(force_keeps_the_record_until_there_is_another),
        STORE_TEST(an_unrecorded_file_is_fetched),
        STORE_TEST(no_source),
        STORE_TEST(a_mirror_is_tried_first),
        STORE_TEST(all_reasons_are_reported),
        STORE_TEST(a_member_of_an_archive),
        STORE_TEST(other_files_are_not_converted),
        STORE_TEST(limits),
        STORE_TEST(an_interrupted_pull_is_resumed),
        STORE_TEST(another_source_deletes_the_part),
        STORE_TEST(a_mirror_over_http),
        STORE_TEST(credentials_of_a_mirror_are_not_logged),
        STORE_TEST(wrong_bytes_and_the_known_size),
        STORE_TEST(cancelling),
    };
    return cmocka_run_group_tests(tests, without_proxy, NULL);
}
