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
struct fixture {
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
    struct fixture *fixture = arg;
    assert_string_equal(what, "file");
    if (fixture->first == 0)
        fixture->first = done;
    assert_true(done >= fixture->last);
    fixture->last = done;
    fixture->total = total;
}

static struct fixture fixture_of(const char *folder)
{
    struct fixture fixture = {
        .stub = { .body = content, .len = LEN, .etag = "\"one\"" },
        .job = { .sha256 = content_sha, .max_bytes = LEN },
        .options = { .connect_s = 5, .stall_s = 5 },
    };
    assert_true(hs_path_join(fixture.part, sizeof(fixture.part), folder, "file.part"));
    return fixture;
}

/* Runs one download; the server is up only during the call. */
static int download(struct fixture *fixture)
{
    http_stub_start(&fixture->stub);
    hs_str_format(fixture->url, sizeof(fixture->url), "http://127.0.0.1:%d/file", fixture->stub.port);
    fixture->job.url = fixture->url;
    fixture->job.part = fixture->part;
    fixture->job.options = &fixture->options;
    fixture->options.arg = fixture;
    fixture->err = (struct hs_error) { 0 };
    int status = hs_download(&fixture->job, fixture->hex, &fixture->err);
    http_stub_stop(&fixture->stub);
    return status;
}

/* Leaves a part file of HALF bytes. */
static void cut(struct fixture *fixture)
{
    fixture->stub.send_max = HALF;
    fixture->stub.answers = 1;
    assert_int_equal(download(fixture), HS_EIO);
    fixture->stub.send_max = 0;
    fixture->stub.answers = 0;
}

static void a_whole_file(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.options.progress = on_progress;
    assert_int_equal(download(&fixture), 0);
    assert_string_equal(fixture.hex, content_sha);
    assert_true(folder_holds(*state, "file.part", content, LEN));
    assert_int_equal(fixture.last, LEN);
    assert_int_equal(fixture.total, LEN);
    assert_string_equal(fixture.stub.range, "");
}

static void an_interrupted_transfer_is_resumed(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.stub.send_max = HALF;
    assert_int_equal(download(&fixture), 0);
    assert_int_equal(fixture.stub.requests, 3);
    assert_string_equal(fixture.stub.range, "bytes=80000-");
    assert_true(folder_holds(*state, "file.part", content, LEN));
}

static void the_next_call_resumes(void **state)
{
    struct fixture fixture = fixture_of(*state);
    cut(&fixture);
    assert_true(folder_holds(*state, "file.part", content, HALF));
    fixture.options.progress = on_progress;
    assert_int_equal(download(&fixture), 0);
    assert_int_equal(fixture.stub.requests, 1);
    assert_string_equal(fixture.stub.range, "bytes=40000-");
    assert_string_equal(fixture.stub.if_range, "\"one\"");
    assert_true(fixture.first > HALF);
    assert_int_equal(fixture.total, LEN);
    assert_true(folder_holds(*state, "file.part", content, LEN));
}

static void without_ranges_it_starts_again(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.stub.no_ranges = true;
    cut(&fixture);
    assert_int_equal(download(&fixture), 0);
    assert_true(folder_holds(*state, "file.part", content, LEN));
}

static void changed_content_starts_again(void **state)
{
    struct fixture fixture = fixture_of(*state);
    for (int ignores = 0; ignores < 2; ignores++)
        for (int hashed = 0; hashed < 2; hashed++) {
            fixture.stub.body = content;
            fixture.stub.etag = "\"one\"";
            fixture.job.sha256 = hashed ? content_sha : NULL;
            cut(&fixture);
            fixture.stub.body = changed;
            fixture.stub.etag = "\"two\"";
            fixture.stub.ignores_if_range = ignores;
            fixture.job.sha256 = hashed ? changed_sha : NULL;
            assert_int_equal(download(&fixture), 0);
            assert_string_equal(fixture.hex, changed_sha);
            unlink(fixture.part);
        }
}

static void without_hash_and_validator_it_starts_again(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.stub.etag = NULL;
    fixture.job.sha256 = NULL;
    cut(&fixture);
    fixture.stub.body = changed;
    assert_int_equal(download(&fixture), 0);
    assert_string_equal(fixture.stub.range, "");
    assert_string_equal(fixture.hex, changed_sha);
}

static void a_weak_validator_is_ignored(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.stub.etag = "W/\"one\"";
    fixture.job.sha256 = NULL;
    cut(&fixture);
    assert_int_equal(download(&fixture), 0);
    assert_string_equal(fixture.stub.range, "");
}

static void another_address_starts_again(void **state)
{
    struct fixture fixture = fixture_of(*state);
    cut(&fixture);
    fixture.stub.port = 0;
    assert_int_equal(download(&fixture), 0);
    assert_string_equal(fixture.stub.range, "");
}

static void a_failing_address_keeps_the_part(void **state)
{
    struct fixture fixture = fixture_of(*state);
    cut(&fixture);
    int port = fixture.stub.port;
    fixture.stub.port = 0;
    fixture.stub.status = 503;
    assert_int_equal(download(&fixture), HS_EIO);
    fixture.stub.port = port;
    fixture.stub.status = 0;
    assert_int_equal(download(&fixture), 0);
    assert_string_equal(fixture.stub.range, "bytes=40000-");
}

static void a_range_from_elsewhere_is_not_appended(void **state)
{
    struct fixture fixture = fixture_of(*state);
    for (int hashed = 0; hashed < 2; hashed++) {
        fixture.job.sha256 = hashed ? content_sha : NULL;
        fixture.stub.range_error = 0;
        cut(&fixture);
        fixture.stub.range_error = 100;
        assert_int_equal(download(&fixture), 0);
        assert_string_equal(fixture.hex, content_sha);
        unlink(fixture.part);
    }
}

static void a_complete_part_needs_no_more_bytes(void **state)
{
    struct fixture fixture = fixture_of(*state);
    assert_int_equal(download(&fixture), 0);
    assert_int_equal(download(&fixture), 0); /* 416 */
    assert_int_equal(fixture.stub.requests, 1);
    fixture.job.sha256 = NULL;
    assert_int_equal(download(&fixture), 0); /* nothing shows that it is complete: download it again */
    assert_int_equal(fixture.stub.requests, 2);
    assert_string_equal(fixture.hex, content_sha);
}

static void wrong_bytes_are_deleted(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.stub.body = changed;
    assert_int_equal(download(&fixture), HS_EMODEL);
    assert_non_null(strstr(fixture.err.message, changed_sha));
    assert_non_null(strstr(fixture.err.message, content_sha));
    assert_false(folder_has(*state, "file.part"));
    assert_false(folder_has(*state, "file.part.from"));
    assert_string_equal(fixture.hex, "");
}

static void wrong_bytes_after_resuming_start_again_once(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.stub.body = changed;
    cut(&fixture);
    fixture.stub.body = content; /* same ETag: only the hash reveals the change */
    assert_int_equal(download(&fixture), 0);
    assert_int_equal(fixture.stub.requests, 2);
    fixture.stub.body = changed;
    unlink(fixture.part);
    cut(&fixture);
    assert_int_equal(download(&fixture), HS_EMODEL);
    assert_int_equal(fixture.stub.requests, 2);
    assert_false(folder_has(*state, "file.part"));
}

static void too_many_bytes(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.job.max_bytes = LEN - 1;
    assert_int_equal(download(&fixture), HS_ETOOLARGE);
    assert_non_null(strstr(fixture.err.message, "announced"));
    fixture.stub.no_length = true;
    assert_int_equal(download(&fixture), HS_ETOOLARGE);
    assert_non_null(strstr(fixture.err.message, "sent more bytes"));
    assert_false(folder_has(*state, "file.part"));
    fixture.stub.no_length = false;
    fixture.stub.announce = SIZE_MAX / 4;
    assert_int_equal(download(&fixture), HS_ETOOLARGE);
}

static void a_part_beyond_the_limit_is_not_resumed(void **state)
{
    struct fixture fixture = fixture_of(*state);
    cut(&fixture);
    fixture.job.max_bytes = HALF - 1;
    assert_int_equal(download(&fixture), HS_ETOOLARGE);
    assert_string_equal(fixture.stub.range, "");
    assert_false(folder_has(*state, "file.part"));
}

static void an_unknown_length_needs_a_hash(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.stub.no_length = true;
    assert_int_equal(download(&fixture), 0);
    unlink(fixture.part);
    fixture.job.sha256 = NULL;
    assert_int_equal(download(&fixture), HS_EIO);
    assert_non_null(strstr(fixture.err.message, "did not send the length"));
    assert_false(folder_has(*state, "file.part"));
}

static void an_empty_body_is_an_error(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.job.sha256 = NULL;
    fixture.stub.len = 0;
    assert_int_equal(download(&fixture), HS_EIO);
    assert_non_null(strstr(fixture.err.message, "empty"));
    assert_false(folder_has(*state, "file.part"));
    fixture.stub.len = LEN;
    cut(&fixture);
    fixture.stub.len = 0;
    fixture.stub.etag = "\"two\"";
    assert_int_equal(download(&fixture), HS_EIO);
    assert_false(folder_has(*state, "file.part"));
}

static void a_stalled_transfer_is_aborted(void **state)
{
    struct fixture fixture = fixture_of(*state);
    cut(&fixture);
    fixture.stub.answers = -1;
    fixture.stub.stalls = true;
    fixture.options.stall_s = 1;
    assert_int_equal(download(&fixture), HS_EIO);
    assert_non_null(strstr(fixture.err.message, "too long"));
    assert_true(folder_holds(*state, "file.part", content, HALF));
}

/* The server sends `piece` bytes 20 times a second, and the download is dropped; the next call
 * resumes it. */
static void expect_abort_at_rate(struct fixture *fixture, size_t piece, const char *words)
{
    fixture->stub.piece = piece;
    fixture->stub.pause_ms = 50;
    assert_int_equal(download(fixture), HS_EIO);
    assert_non_null(strstr(fixture->err.message, words));
    assert_int_equal(fixture->stub.requests, 1);
    fixture->stub.piece = 0;
    assert_int_equal(download(fixture), 0);
    assert_string_not_equal(fixture->stub.range, "");
}

static void a_trickle_is_a_stall(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.options.stall_s = 1;
    expect_abort_at_rate(&fixture, 10, "stalled");
}

/* 4 KB/s never count as a stall. */
static void a_slow_transfer_is_aborted_after_slow_s(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.options.slow_s = 1;
    expect_abort_at_rate(&fixture, 200, "too slow");
}

/* 12 KB/s: the average covers the whole download, including the first slow_s seconds, in which it
 * is not checked. */
static void a_stalled_rate_is_aborted_after_stall_s(void **state)
{
    struct fixture fixture = fixture_of(*state);
    struct stat st;
    fixture.stub.piece = 600;
    fixture.stub.pause_ms = 50;
    fixture.options.slow_s = 1;
    assert_int_equal(download(&fixture), HS_EIO);
    assert_non_null(strstr(fixture.err.message, "too slow"));
    assert_int_equal(stat(fixture.part, &st), 0);
    assert_true(st.st_size < HALF);
}

/* 40 KB/s, for longer than slow_s. */
static void a_slow_line_is_fast_enough(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.stub.piece = 4000;
    fixture.stub.pause_ms = 100;
    fixture.options.slow_s = 1;
    assert_int_equal(download(&fixture), 0);
    assert_int_equal(fixture.stub.requests, 1);
}

static void error_answers(void **state)
{
    struct fixture fixture = fixture_of(*state);
    fixture.stub.status = 404;
    assert_int_equal(download(&fixture), HS_ENOTFOUND);
    assert_string_equal(fixture.err.message, "the server responded with status 404");
    fixture.stub.status = 503;
    assert_int_equal(download(&fixture), HS_EIO);
    fixture.stub.status = 204;
    assert_int_equal(download(&fixture), HS_EIO);
    assert_string_equal(fixture.err.message, "the server responded with status 204");
    fixture.stub.status = 302; /* without a Location */
    assert_int_equal(download(&fixture), HS_EIO);
    assert_false(folder_has(*state, "file.part"));
    assert_int_equal(fixture.stub.requests, 1);
}

static void redirects(void **state)
{
    struct fixture fixture = fixture_of(*state);
    struct http_stub other = { .body = content, .len = LEN };
    char location[100];
    http_stub_start(&other);
    hs_str_format(location, sizeof(location), "http://127.0.0.1:%d/there", other.port);
    fixture.stub.status = 302;
    fixture.stub.location = location;
    assert_int_equal(download(&fixture), HS_EIO); /* only a mirror may redirect to plain http */
    assert_non_null(strstr(fixture.err.message, "https"));
    fixture.job.mirror = true;
    assert_int_equal(download(&fixture), 0);
    fixture.stub.location = "file:///etc/hostname";
    assert_int_equal(download(&fixture), HS_EIO);
    http_stub_stop(&other);
    assert_int_equal(other.requests, 1);
    fixture.stub.location = "/file"; /* redirect loop */
    assert_int_equal(download(&fixture), HS_EIO);
    assert_true(fixture.stub.requests <= 11);
}

static void nobody_there(void **state)
{
    struct fixture fixture = fixture_of(*state);
    assert_int_equal(download(&fixture), 0);
    unlink(fixture.part);
    assert_int_equal(hs_download(&fixture.job, fixture.hex, &fixture.err), HS_EIO);
    assert_false(folder_has(*state, "file.part"));
}

static void cancelled(void **state)
{
    struct fixture fixture = fixture_of(*state);
    struct hs_cancel cancel;
    hs_cancel_init(&cancel);
    fixture.options.cancel = &cancel;
    cut(&fixture);
    hs_cancel_trigger(&cancel);
    assert_int_equal(download(&fixture), HS_ECANCELED);
    assert_int_equal(fixture.stub.requests, 0);
    assert_true(folder_holds(*state, "file.part", content, HALF));
    hs_cancel_finish(&cancel);
}

static void a_link_is_not_followed(void **state)
{
    struct fixture fixture = fixture_of(*state);
    assert_int_equal(symlink(folder_path(*state, "elsewhere"), fixture.part), 0);
    assert_int_equal(download(&fixture), HS_EIO);
    assert_non_null(strstr(fixture.err.message, "cannot write"));
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
        FOLDER_TEST(an_interrupted_transfer_is_resumed),
        FOLDER_TEST(the_next_call_resumes),
        FOLDER_TEST(without_ranges_it_starts_again),
        FOLDER_TEST(changed_content_starts_again),
        FOLDER_TEST(without_hash_and_validator_it_starts_again),
        FOLDER_TEST(a_weak_validator_is_ignored),
        FOLDER_TEST(another_address_starts_again),
        FOLDER_TEST(a_failing_address_keeps_the_part),
        FOLDER_TEST(a_range_from_elsewhere_is_not_appended),
        FOLDER_TEST(a_complete_part_needs_no_more_bytes),
        FOLDER_TEST(wrong_bytes_are_deleted),
        FOLDER_TEST(wrong_bytes_after_resuming_start_again_once),
        FOLDER_TEST(too_many_bytes),
        FOLDER_TEST(a_part_beyond_the_limit_is_not_resumed),
        FOLDER_TEST(an_unknown_length_needs_a_hash),
        FOLDER_TEST(an_empty_body_is_an_error),
        FOLDER_TEST(a_stalled_transfer_is_aborted),
        FOLDER_TEST(a_trickle_is_a_stall),
        FOLDER_TEST(a_slow_transfer_is_aborted_after_slow_s),
        FOLDER_TEST(a_stalled_rate_is_aborted_after_stall_s),
        FOLDER_TEST(a_slow_line_is_fast_enough),
        FOLDER_TEST(error_answers),
        FOLDER_TEST(redirects),
        FOLDER_TEST(nobody_there),
        FOLDER_TEST(cancelled),
        FOLDER_TEST(a_link_is_not_followed),
    };
    return cmocka_run_group_tests(tests, make_content, NULL);
}
