#include "../unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "folder.h"
#include "http_stub.h"
#include "models/download.h"

enum { LEN = 100000, HALF = 40000 };

static uint8_t content[LEN], changed[LEN];
static char content_sha[65], changed_sha[65];

/* A download into `folder` from a server that can be stopped, reconfigured and restarted. */
struct scene {
    struct http_stub stub;
    struct hs_download job;
    struct hs_fetch_options options;
    char url[100], part[PATH_MAX];
    char hex[65];
    struct hs_error err;
    uint64_t first, last, total; /* arguments of on_progress */
};

static void on_progress(void *arg, const char *what, uint64_t done, uint64_t total)
{
    struct scene *scene = arg;
    assert_string_equal(what, "file");
    if (scene->first == 0)
        scene->first = done;
    assert_true(done >= scene->last);
    scene->last = done;
    scene->total = total;
}

static struct scene scene_of(const char *folder)
{
    struct scene scene = {
        .stub = { .body = content, .len = LEN, .etag = "\"one\"" },
        .job = { .sha256 = content_sha, .max_bytes = LEN },
        .options = { .connect_s = 5, .stall_s = 5 },
    };
    assert_true(hs_path_join(scene.part, sizeof(scene.part), folder, "file.part"));
    return scene;
}

/* Runs one download; the server is up only during the call. */
static int download(struct scene *scene)
{
    http_stub_start(&scene->stub);
    hs_str_format(scene->url, sizeof(scene->url), "http://127.0.0.1:%d/file", scene->stub.port);
    scene->job.url = scene->url;
    scene->job.part = scene->part;
    scene->job.options = &scene->options;
    scene->options.arg = scene;
    scene->err = (struct hs_error) { 0 };
    int status = hs_download(&scene->job, scene->hex, &scene->err);
    http_stub_stop(&scene->stub);
    return status;
}

/* Leaves a part file of HALF bytes. */
static void cut(struct scene *scene)
{
    scene->stub.send_max = HALF;
    scene->stub.answers = 1;
    assert_int_equal(download(scene), HS_EIO);
    scene->stub.send_max = 0;
    scene->stub.answers = 0;
}

static void a_whole_file(void **state)
{
    struct scene scene = scene_of(*state);
    scene.options.progress = on_progress;
    assert_int_equal(download(&scene), 0);
    assert_string_equal(scene.hex, content_sha);
    assert_true(folder_holds(*state, "file.part", content, LEN));
    assert_int_equal(scene.last, LEN);
    assert_int_equal(scene.total, LEN);
    assert_string_equal(scene.stub.range, "");
}

static void a_cut_is_taken_up_again_at_once(void **state)
{
    struct scene scene = scene_of(*state);
    scene.stub.send_max = HALF;
    assert_int_equal(download(&scene), 0);
    assert_int_equal(scene.stub.requests, 3);
    assert_string_equal(scene.stub.range, "bytes=80000-");
    assert_true(folder_holds(*state, "file.part", content, LEN));
}

static void the_next_call_goes_on(void **state)
{
    struct scene scene = scene_of(*state);
    cut(&scene);
    assert_true(folder_holds(*state, "file.part", content, HALF));
    scene.options.progress = on_progress;
    assert_int_equal(download(&scene), 0);
    assert_int_equal(scene.stub.requests, 1);
    assert_string_equal(scene.stub.range, "bytes=40000-");
    assert_string_equal(scene.stub.if_range, "\"one\"");
    assert_true(scene.first > HALF);
    assert_int_equal(scene.total, LEN);
    assert_true(folder_holds(*state, "file.part", content, LEN));
}

static void without_ranges_it_starts_again(void **state)
{
    struct scene scene = scene_of(*state);
    scene.stub.no_ranges = true;
    cut(&scene);
    assert_int_equal(download(&scene), 0);
    assert_true(folder_holds(*state, "file.part", content, LEN));
}

static void changed_content_starts_again(void **state)
{
    struct scene scene = scene_of(*state);
    for (int ignores = 0; ignores < 2; ignores++)
        for (int hashed = 0; hashed < 2; hashed++) {
            scene.stub.body = content;
            scene.stub.etag = "\"one\"";
            scene.job.sha256 = hashed ? content_sha : NULL;
            cut(&scene);
            scene.stub.body = changed;
            scene.stub.etag = "\"two\"";
            scene.stub.ignores_if_range = ignores;
            scene.job.sha256 = hashed ? changed_sha : NULL;
            assert_int_equal(download(&scene), 0);
            assert_string_equal(scene.hex, changed_sha);
            unlink(scene.part);
        }
}

static void without_hash_and_validator_it_starts_again(void **state)
{
    struct scene scene = scene_of(*state);
    scene.stub.etag = NULL;
    scene.job.sha256 = NULL;
    cut(&scene);
    scene.stub.body = changed;
    assert_int_equal(download(&scene), 0);
    assert_string_equal(scene.stub.range, "");
    assert_string_equal(scene.hex, changed_sha);
}

static void a_weak_validator_is_none(void **state)
{
    struct scene scene = scene_of(*state);
    scene.stub.etag = "W/\"one\"";
    scene.job.sha256 = NULL;
    cut(&scene);
    assert_int_equal(download(&scene), 0);
    assert_string_equal(scene.stub.range, "");
}

static void another_address_starts_again(void **state)
{
    struct scene scene = scene_of(*state);
    cut(&scene);
    scene.stub.port = 0;
    assert_int_equal(download(&scene), 0);
    assert_string_equal(scene.stub.range, "");
}

static void an_address_that_gives_nothing_spoils_nothing(void **state)
{
    struct scene scene = scene_of(*state);
    cut(&scene);
    int port = scene.stub.port;
    scene.stub.port = 0;
    scene.stub.status = 503;
    assert_int_equal(download(&scene), HS_EIO);
    scene.stub.port = port;
    scene.stub.status = 0;
    assert_int_equal(download(&scene), 0);
    assert_string_equal(scene.stub.range, "bytes=40000-");
}

static void a_range_from_elsewhere_is_not_appended(void **state)
{
    struct scene scene = scene_of(*state);
    for (int hashed = 0; hashed < 2; hashed++) {
        scene.job.sha256 = hashed ? content_sha : NULL;
        scene.stub.range_error = 0;
        cut(&scene);
        scene.stub.range_error = 100;
        assert_int_equal(download(&scene), 0);
        assert_string_equal(scene.hex, content_sha);
        unlink(scene.part);
    }
}

static void a_complete_part_needs_no_more_bytes(void **state)
{
    struct scene scene = scene_of(*state);
    assert_int_equal(download(&scene), 0);
    assert_int_equal(download(&scene), 0); /* 416 */
    assert_int_equal(scene.stub.requests, 1);
    scene.job.sha256 = NULL;
    assert_int_equal(download(&scene), 0); /* nothing shows that it is complete: download it again */
    assert_int_equal(scene.stub.requests, 2);
    assert_string_equal(scene.hex, content_sha);
}

static void wrong_bytes_leave_nothing(void **state)
{
    struct scene scene = scene_of(*state);
    scene.stub.body = changed;
    assert_int_equal(download(&scene), HS_EMODEL);
    assert_non_null(strstr(scene.err.message, changed_sha));
    assert_non_null(strstr(scene.err.message, content_sha));
    assert_false(folder_has(*state, "file.part"));
    assert_false(folder_has(*state, "file.part.from"));
    assert_string_equal(scene.hex, "");
}

static void wrong_bytes_after_going_on_start_again_once(void **state)
{
    struct scene scene = scene_of(*state);
    scene.stub.body = changed;
    cut(&scene);
    scene.stub.body = content; /* same ETag: only the hash reveals the change */
    assert_int_equal(download(&scene), 0);
    assert_int_equal(scene.stub.requests, 2);
    scene.stub.body = changed;
    unlink(scene.part);
    cut(&scene);
    assert_int_equal(download(&scene), HS_EMODEL);
    assert_int_equal(scene.stub.requests, 2);
    assert_false(folder_has(*state, "file.part"));
}

static void too_many_bytes(void **state)
{
    struct scene scene = scene_of(*state);
    scene.job.max_bytes = LEN - 1;
    assert_int_equal(download(&scene), HS_ETOOLARGE);
    assert_non_null(strstr(scene.err.message, "announced"));
    scene.stub.no_length = true;
    assert_int_equal(download(&scene), HS_ETOOLARGE);
    assert_non_null(strstr(scene.err.message, "sent more bytes"));
    assert_false(folder_has(*state, "file.part"));
    scene.stub.no_length = false;
    scene.stub.announce = SIZE_MAX / 4;
    assert_int_equal(download(&scene), HS_ETOOLARGE);
}

static void a_part_beyond_the_limit_is_not_gone_on_from(void **state)
{
    struct scene scene = scene_of(*state);
    cut(&scene);
    scene.job.max_bytes = HALF - 1;
    assert_int_equal(download(&scene), HS_ETOOLARGE);
    assert_string_equal(scene.stub.range, "");
    assert_false(folder_has(*state, "file.part"));
}

static void an_unknown_length_needs_a_hash(void **state)
{
    struct scene scene = scene_of(*state);
    scene.stub.no_length = true;
    assert_int_equal(download(&scene), 0);
    unlink(scene.part);
    scene.job.sha256 = NULL;
    assert_int_equal(download(&scene), HS_EIO);
    assert_non_null(strstr(scene.err.message, "did not send the length"));
    assert_false(folder_has(*state, "file.part"));
}

static void nothing_is_no_file(void **state)
{
    struct scene scene = scene_of(*state);
    scene.job.sha256 = NULL;
    scene.stub.len = 0;
    assert_int_equal(download(&scene), HS_EIO);
    assert_non_null(strstr(scene.err.message, "empty"));
    assert_false(folder_has(*state, "file.part"));
    scene.stub.len = LEN;
    cut(&scene);
    scene.stub.len = 0;
    scene.stub.etag = "\"two\"";
    assert_int_equal(download(&scene), HS_EIO);
    assert_false(folder_has(*state, "file.part"));
}

static void a_stalled_server_is_given_up(void **state)
{
    struct scene scene = scene_of(*state);
    cut(&scene);
    scene.stub.answers = -1;
    scene.stub.stalls = true;
    scene.options.stall_s = 1;
    assert_int_equal(download(&scene), HS_EIO);
    assert_non_null(strstr(scene.err.message, "too long"));
    assert_true(folder_holds(*state, "file.part", content, HALF));
}

/* The server sends `piece` bytes 20 times a second, and the download is dropped; the next call
 * resumes it. */
static void give_up_for_rate(struct scene *scene, size_t piece, const char *words)
{
    scene->stub.piece = piece;
    scene->stub.pause_ms = 50;
    assert_int_equal(download(scene), HS_EIO);
    assert_non_null(strstr(scene->err.message, words));
    assert_int_equal(scene->stub.requests, 1);
    scene->stub.piece = 0;
    assert_int_equal(download(scene), 0);
    assert_string_not_equal(scene->stub.range, "");
}

static void a_trickle_is_a_stall(void **state)
{
    struct scene scene = scene_of(*state);
    scene.options.stall_s = 1;
    give_up_for_rate(&scene, 10, "stalled");
}

/* 4 KB/s never count as a stall. */
static void a_server_that_is_slow_for_long_is_given_up(void **state)
{
    struct scene scene = scene_of(*state);
    scene.options.slow_s = 1;
    give_up_for_rate(&scene, 200, "too slow");
}

/* 12 KB/s: the average covers the whole download, including the first slow_s seconds, in which it
 * is not checked. */
static void a_server_that_is_a_little_slow_is_given_up_at_once(void **state)
{
    struct scene scene = scene_of(*state);
    struct stat st;
    scene.stub.piece = 600;
    scene.stub.pause_ms = 50;
    scene.options.slow_s = 1;
    assert_int_equal(download(&scene), HS_EIO);
    assert_non_null(strstr(scene.err.message, "too slow"));
    assert_int_equal(stat(scene.part, &st), 0);
    assert_true(st.st_size < HALF);
}

/* 40 KB/s, for longer than slow_s. */
static void a_slow_line_is_fast_enough(void **state)
{
    struct scene scene = scene_of(*state);
    scene.stub.piece = 4000;
    scene.stub.pause_ms = 100;
    scene.options.slow_s = 1;
    assert_int_equal(download(&scene), 0);
    assert_int_equal(scene.stub.requests, 1);
}

static void error_answers(void **state)
{
    struct scene scene = scene_of(*state);
    scene.stub.status = 404;
    assert_int_equal(download(&scene), HS_ENOTFOUND);
    assert_string_equal(scene.err.message, "the server responded with status 404");
    scene.stub.status = 503;
    assert_int_equal(download(&scene), HS_EIO);
    scene.stub.status = 204;
    assert_int_equal(download(&scene), HS_EIO);
    assert_string_equal(scene.err.message, "the server responded with status 204");
    scene.stub.status = 302; /* without a Location */
    assert_int_equal(download(&scene), HS_EIO);
    assert_false(folder_has(*state, "file.part"));
    assert_int_equal(scene.stub.requests, 1);
}

static void redirects(void **state)
{
    struct scene scene = scene_of(*state);
    struct http_stub other = { .body = content, .len = LEN };
    char location[100];
    http_stub_start(&other);
    hs_str_format(location, sizeof(location), "http://127.0.0.1:%d/there", other.port);
    scene.stub.status = 302;
    scene.stub.location = location;
    assert_int_equal(download(&scene), HS_EIO); /* only a mirror may redirect to plain http */
    assert_non_null(strstr(scene.err.message, "https"));
    scene.job.mirror = true;
    assert_int_equal(download(&scene), 0);
    scene.stub.location = "file:///etc/hostname";
    assert_int_equal(download(&scene), HS_EIO);
    http_stub_stop(&other);
    assert_int_equal(other.requests, 1);
    scene.stub.location = "/file"; /* redirect loop */
    assert_int_equal(download(&scene), HS_EIO);
    assert_true(scene.stub.requests <= 11);
}

static void nobody_there(void **state)
{
    struct scene scene = scene_of(*state);
    assert_int_equal(download(&scene), 0);
    unlink(scene.part);
    assert_int_equal(hs_download(&scene.job, scene.hex, &scene.err), HS_EIO);
    assert_false(folder_has(*state, "file.part"));
}

static void cancelled(void **state)
{
    struct scene scene = scene_of(*state);
    struct hs_cancel cancel;
    hs_cancel_init(&cancel);
    scene.options.cancel = &cancel;
    cut(&scene);
    hs_cancel_trigger(&cancel);
    assert_int_equal(download(&scene), HS_ECANCELED);
    assert_int_equal(scene.stub.requests, 0);
    assert_true(folder_holds(*state, "file.part", content, HALF));
    hs_cancel_finish(&cancel);
}

static void a_link_is_not_followed(void **state)
{
    struct scene scene = scene_of(*state);
    assert_int_equal(symlink(folder_path(*state, "elsewhere"), scene.part), 0);
    assert_int_equal(download(&scene), HS_EIO);
    assert_non_null(strstr(scene.err.message, "cannot write"));
    assert_false(folder_has(*state, "elsewhere"));
}

static int make_content(void **state)
{
    (void) state;
    for (size_t i = 0; i < LEN; i++) {
        content[i] = (uint8_t) (i * 7 + i / 251);
        changed[i] = (uint8_t) (i * 5 + 1);
    }
    char folder[] = "/tmp/hs-models-XXXXXX";
    if (!mkdtemp(folder))
        return -1;
    folder_write(folder, "a", content, LEN);
    folder_write(folder, "b", changed, LEN);
    hs_file_sha256(folder_path(folder, "a"), content_sha, NULL);
    hs_file_sha256(folder_path(folder, "b"), changed_sha, NULL);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    return nftw(folder, folder_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(a_whole_file),
        FOLDER_TEST(a_cut_is_taken_up_again_at_once),
        FOLDER_TEST(the_next_call_goes_on),
        FOLDER_TEST(without_ranges_it_starts_again),
        FOLDER_TEST(changed_content_starts_again),
        FOLDER_TEST(without_hash_and_validator_it_starts_again),
        FOLDER_TEST(a_weak_validator_is_none),
        FOLDER_TEST(another_address_starts_again),
        FOLDER_TEST(an_address_that_gives_nothing_spoils_nothing),
        FOLDER_TEST(a_range_from_elsewhere_is_not_appended),
        FOLDER_TEST(a_complete_part_needs_no_more_bytes),
        FOLDER_TEST(wrong_bytes_leave_nothing),
        FOLDER_TEST(wrong_bytes_after_going_on_start_again_once),
        FOLDER_TEST(too_many_bytes),
        FOLDER_TEST(a_part_beyond_the_limit_is_not_gone_on_from),
        FOLDER_TEST(an_unknown_length_needs_a_hash),
        FOLDER_TEST(nothing_is_no_file),
        FOLDER_TEST(a_stalled_server_is_given_up),
        FOLDER_TEST(a_trickle_is_a_stall),
        FOLDER_TEST(a_server_that_is_slow_for_long_is_given_up),
        FOLDER_TEST(a_server_that_is_a_little_slow_is_given_up_at_once),
        FOLDER_TEST(a_slow_line_is_fast_enough),
        FOLDER_TEST(error_answers),
        FOLDER_TEST(redirects),
        FOLDER_TEST(nobody_there),
        FOLDER_TEST(cancelled),
        FOLDER_TEST(a_link_is_not_followed),
    };
    return cmocka_run_group_tests(tests, make_content, NULL);
}
