#include "fixture.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "gallery/export.h"

static int append(void *arg, const char *data, size_t len)
{
    return hs_buf_append(arg, data, len);
}

static void export_all(struct hs_gallery *gallery, struct hs_buf *buf)
{
    hs_buf_init(buf, 1 << 24);
    assert_int_equal(hs_gallery_export(gallery, NULL, append, buf, NULL), 0);
}

static int import(struct hs_gallery *gallery, const struct hs_buf *buf, struct hs_gallery_imported *ret)
{
    return hs_gallery_import(gallery, (const char *) buf->data, buf->len, ret, NULL);
}

/* Appends the checksum line to handwritten content. */
static void append_sum(struct hs_buf *buf)
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    char hex[65];
    crypto_hash_sha256(digest, buf->data, buf->len);
    sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
    assert_int_equal(hs_buf_printf(buf, "{\"sha256\":\"%s\"}\n", hex), 0);
}

static void test_round_trip(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    float values[DIMENSION];
    struct hs_gallery_new_embedding e = { .values = unit_vector(1, values),
                                          .dimension = DIMENSION,
                                          .space = "s",
                                          .model = "m",
                                          .quality = "{\"score\":0.5}" };
    assert_int_equal(hs_gallery_add(g, NULL, "Ad\"a", "{\"k\":[1]}", &e, NULL, NULL), 0);
    for (unsigned i = 0; i < 150; i++) {
        char name[16];
        hs_str_format(name, sizeof(name), "n%u", i);
        add(g, name, i);
    }
    struct hs_buf first, second;
    export_all(g, &first);
    struct hs_gallery_imported *done = calloc(1, sizeof(*done));
    assert_int_equal(import(g, &first, done), 0);
    assert_int_equal(done->present, 151);
    assert_int_equal(done->added, 0);
    assert_int_equal(done->identities, 151);
    fixture_close(f);

    char other[128];
    hs_str_format(other, sizeof(other), "%s/other.db", f->dir);
    f->options.path = other;
    g = fixture_open(f);
    assert_int_equal(import(g, &first, done), 0);
    assert_int_equal(done->added, 151);
    assert_int_equal(done->refused_count, 0);
    export_all(g, &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    hs_buf_finish(&first);
    hs_buf_finish(&second);
    free(done);
}

/* New people get the times in the file; existing ones keep their own. Values that could not be
 * stored again are omitted. */
static void test_times(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    struct hs_gallery_imported *done = calloc(1, sizeof(*done));
    struct hs_gallery_person *ada;
    struct hs_buf buf;
    char other[128];
    add(g, "Ada", 1);
    add(g, "Ada", 2);
    add(g, "Bo", 3);
    run_sql(f->path, "UPDATE identities SET created_at = '2001-02-03 04:05:06', updated_at = '2002-02-03 04:05:06';"
                     "UPDATE embeddings SET created_at = '2003-02-03 04:05:0' || id;"
                     "UPDATE identities SET created_at = 'yesterday', metadata = '[[' WHERE name = 'Bo';"
                     "UPDATE embeddings SET quality = '{\"score\":\"high\"}' WHERE id = 3");
    export_all(g, &buf);
    fixture_close(f);
    hs_str_format(other, sizeof(other), "%s/other.db", f->dir);
    f->options.path = other;
    g = fixture_open(f);
    assert_int_equal(import(g, &buf, done), 0);
    assert_int_equal(done->refused_count, 0);
    assert_int_equal(done->added, 3);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(hs_gallery_get(g, "Ada", false, &ada, NULL), 0);
        assert_string_equal(ada->identity.created_at, round ? "1999-02-03 04:05:06" : "2001-02-03 04:05:06");
        assert_string_equal(ada->embeddings[0].created_at, round ? "" : "2003-02-03 04:05:01");
        assert_string_equal(ada->embeddings[1].created_at, "2003-02-03 04:05:02");
        if (round == 0)
            assert_string_equal(ada->identity.updated_at, "2002-02-03 04:05:06");
        hs_gallery_person_destroy(ada);
        run_sql(other, "UPDATE identities SET created_at = '1999-02-03 04:05:06';"
                       "UPDATE embeddings SET created_at = NULL WHERE id = 1");
        assert_int_equal(import(g, &buf, done), 0);
    }
    assert_int_equal(count_of(g, "Bo"), 1);
    hs_buf_finish(&buf);
    free(done);
}

static void test_changed_file(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    struct hs_gallery_imported *done = calloc(1, sizeof(*done));
    add(g, "a", 1);
    struct hs_buf buf;
    export_all(g, &buf);
    for (size_t i = 0; i < buf.len; i += 7) {
        buf.data[i] ^= 1;
        assert_int_equal(import(g, &buf, done), HS_EDECODE);
        buf.data[i] ^= 1;
    }
    for (size_t len = 0; len + 1 < buf.len; len += 7)
        assert_int_equal(hs_gallery_import(g, (const char *) buf.data, len, done, NULL), HS_EDECODE);
    assert_int_equal(hs_gallery_import(g, NULL, 0, done, NULL), HS_EDECODE);
    hs_buf_finish(&buf);
    free(done);
}

static void test_refused(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    struct hs_gallery_imported *done = calloc(1, sizeof(*done));
    struct hs_buf buf;
    hs_buf_init(&buf, 1 << 16);
    hs_buf_append_str(&buf, "{\"format\":\"hailo-services-gallery\",\"version\":1}\n"
                            "{\"name\":\"good\",\"embeddings\":[{\"space\":\"s\",\"vector\":\"AACAPw==\"},"
                            "{\"space\":\"s\",\"vector\":\"AACAQA==\"},{\"space\":\"s\",\"vector\":\"A\"},7,"
                            "{\"vector\":\"AACAPw==\"},{\"space\":1,\"vector\":\"AACAPw==\"},"
                            "{\"space\":\"s\",\"vector\":\"AACAPw==\",\"quality\":[]}]}\n"
                            "{\"name\":\"\",\"embeddings\":[]}\n"
                            "nonsense\n"
                            "{\"name\":\"x\",\"metadata\":3,\"embeddings\":[]}\n");
    append_sum(&buf);
    assert_int_equal(import(g, &buf, done), 0);
    assert_int_equal(done->added, 1);
    assert_int_equal(done->identities, 1);
    assert_int_equal(done->refused_count, 9);
    assert_int_equal(done->refused[0].line, 2);
    assert_int_equal(done->refused[0].embedding, 1);
    assert_string_equal(done->refused[0].reason, "embedding: must be finite and of length 1");
    assert_int_equal(done->refused[8].line, 5);
    assert_int_equal(done->refused[8].embedding, -1);
    assert_int_equal(count_of(g, "good"), 1);
    assert_int_equal(stats_of(g).identities, 1);
    hs_buf_finish(&buf);
    free(done);
}

static void test_other_version(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    struct hs_gallery_imported *done = calloc(1, sizeof(*done));
    struct hs_buf buf;
    hs_buf_init(&buf, 1 << 16);
    hs_buf_append_str(&buf, "{\"format\":\"hailo-services-gallery\",\"version\":3}\n");
    append_sum(&buf);
    assert_int_equal(import(g, &buf, done), HS_EDECODE);
    hs_buf_clear(&buf);
    hs_buf_append_str(&buf, "{\"format\":\"hailo-services-gallery\",\"version\":0}\n");
    append_sum(&buf);
    assert_int_equal(import(g, &buf, done), HS_EDECODE);
    hs_buf_finish(&buf);
    free(done);
}

/* The time of expiry is kept, and only a file with one has the version that older programs refuse. Numbers are short.
 */
static void test_expiry(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery *g = fixture_open(f);
    struct hs_gallery_imported *done = calloc(1, sizeof(*done));
    struct hs_buf plain, first, second;
    char other[128];
    float values[DIMENSION];
    const struct hs_gallery_new_embedding e = { .values = unit_vector(1, values),
                                                .dimension = DIMENSION,
                                                .space = "s",
                                                .quality = "{\"score\":0.56300002336502075,\"size\":0.1}" };
    assert_int_equal(hs_gallery_add(g, NULL, "Ada", "{\"x\":0.1}", &e, NULL, NULL), 0);
    add(g, "Bo", 2);
    export_all(g, &plain);
    const char *text = hs_buf_str(&plain);
    assert_true(hs_str_starts(text, "{\"format\": \"hailo-services-gallery\", \"version\": 1}\n"));
    assert_non_null(strstr(text, "\"quality\": {\"score\": 0.563, \"size\": 0.1}"));
    assert_non_null(strstr(text, "\"metadata\": {\"x\": 0.1}"));
    assert_null(strstr(text, "expires_at"));
    const struct hs_gallery_update later = { .expires_at = "2031-01-02 03:04:05" }, never = { .expires_at = "never" };
    assert_int_equal(hs_gallery_update(g, "Ada", &later, NULL), 0);
    assert_int_equal(hs_gallery_update(g, "Bo", &never, NULL), 0);
    run_sql(f->path, "UPDATE identities SET updated_at = '2002-02-03 04:05:06'");
    export_all(g, &first);
    text = hs_buf_str(&first);
    assert_non_null(strstr(text, "\"version\": 2}"));
    assert_non_null(strstr(text, "\"expires_at\": \"2031-01-02 03:04:05\""));
    assert_non_null(strstr(text, "\"expires_at\": \"never\""));
    fixture_close(f);
    hs_str_format(other, sizeof(other), "%s/other.db", f->dir);
    f->options.path = other;
    g = fixture_open(f);
    assert_int_equal(import(g, &first, done), 0);
    assert_int_equal(done->refused_count, 0);
    export_all(g, &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    hs_buf_finish(&plain);
    hs_buf_finish(&first);
    hs_buf_finish(&second);
    free(done);
}

static void test_one_person(void **state)
{
    struct hs_gallery *g = fixture_open(*state);
    struct hs_buf buf;
    struct hs_error err;
    add(g, "Ada", 1);
    add(g, "Bo", 2);
    hs_buf_init(&buf, 1 << 20);
    assert_int_equal(hs_gallery_export(g, "Ada", append, &buf, NULL), 0);
    const char *text = hs_buf_str(&buf);
    assert_non_null(strstr(text, "\"Ada\""));
    assert_null(strstr(text, "\"Bo\""));
    hs_buf_clear(&buf);
    assert_int_equal(hs_gallery_export(g, "Cy", append, &buf, &err), HS_ENOTFOUND);
    hs_buf_finish(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GALLERY_TEST(test_round_trip), GALLERY_TEST(test_times),         GALLERY_TEST(test_changed_file),
        GALLERY_TEST(test_refused),    GALLERY_TEST(test_other_version), GALLERY_TEST(test_expiry),
        GALLERY_TEST(test_one_person),
    };
    return HS_RUN_TESTS(tests);
}
