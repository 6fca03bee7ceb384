#include "../gallery/fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "face/index.h"

static struct hs_face_index *create(struct fixture *f)
{
    struct hs_face_index *index = NULL;
    assert_int_equal(hs_face_index_create(f->gallery, "test", DIMENSION, 1, &index, NULL), 0);
    return index;
}

/* The name that is as unit_vector(seed) is; "" where there is none. */
static const char *who(struct hs_face_index *index, unsigned seed)
{
    static struct hs_face_match match;
    float values[DIMENSION];
    size_t count = 0;
    assert_int_equal(
        hs_face_index_find(index, unit_vector(seed, values), 1, 0.99, HS_NO_DEADLINE, &match, &count, NULL), 0);
    return count ? match.name : "";
}

static void test_changes(void **state)
{
    struct fixture *f = *state;
    float values[DIMENSION];
    add(fixture_open(f), "Ann", 1);
    struct hs_face_index *index = create(f);
    assert_false(hs_face_index_is_read(index));
    /* Changes before the first reading are part of it. */
    struct hs_gallery_added added = add(f->gallery, "Bob", 2);
    hs_face_index_added(index, "Bob", &added, unit_vector(2, values));
    hs_face_index_removed_embedding(index, 99);
    hs_face_index_renamed(index, "Ann", "Eve");
    assert_string_equal(who(index, 1), "Ann");
    assert_true(hs_face_index_is_read(index));
    assert_string_equal(who(index, 2), "Bob");
    added = add(f->gallery, "Bob", 3);
    hs_face_index_added(index, "Bob", &added, unit_vector(3, values));
    assert_string_equal(who(index, 3), "Bob");
    assert_int_equal(hs_gallery_rename(f->gallery, "Bob", "Cid", NULL), 0);
    hs_face_index_renamed(index, "Bob", "Cid");
    assert_string_equal(who(index, 3), "Cid");
    assert_int_equal(hs_gallery_remove_embedding(f->gallery, added.embedding_id, NULL, NULL), 0);
    hs_face_index_removed_embedding(index, added.embedding_id);
    assert_string_equal(who(index, 3), "");
    assert_string_equal(who(index, 2), "Cid");
    assert_int_equal(hs_gallery_remove(f->gallery, "Cid", NULL, NULL), 0);
    hs_face_index_removed(index, "Cid");
    assert_string_equal(who(index, 2), "");
    /* Somebody else's change. */
    run_sql(f->path, "UPDATE identities SET name = 'Zoe'");
    assert_string_equal(who(index, 1), "Zoe");
    hs_face_index_destroy(index);
}

/* ---- a gallery that is being read ---- */

static atomic_bool holds, let_go;

static int hold_entry(void *arg, const struct hs_gallery_entry *entry)
{
    (void) arg;
    (void) entry;
    holds = true;
    while (!let_go)
        usleep(1000);
    return 0;
}

static void *hold(void *arg)
{
    hs_gallery_for_each(arg, hold_entry, NULL, NULL, NULL);
    return NULL;
}

static void *refresh(void *arg)
{
    hs_face_index_refresh(arg, HS_NO_DEADLINE, NULL);
    return NULL;
}

static void test_deadline(void **state)
{
    struct fixture *f = *state;
    pthread_t holder, reader;
    float values[DIMENSION];
    struct hs_face_match match;
    struct hs_error err;
    size_t count = 0;
    add(fixture_open(f), "Ann", 1);
    struct hs_face_index *index = create(f);
    pthread_create(&holder, NULL, hold, f->gallery);
    while (!holds)
        usleep(1000);
    pthread_create(&reader, NULL, refresh, index);
    int r = 0;
    unit_vector(1, values);
    /* Until the reader is where it keeps others waiting, this would wait for the gallery itself. */
    usleep(100000);
    r = hs_face_index_find(index, values, 1, 0, hs_deadline_in_ms(50), &match, &count, &err);
    assert_int_equal(r, HS_ETIMEOUT);
    assert_false(hs_face_index_is_read(index));
    let_go = true;
    r = hs_face_index_find(index, values, 1, 0, hs_deadline_in_ms(20000), &match, &count, &err);
    assert_int_equal(r, 0);
    assert_string_equal(match.name, "Ann");
    pthread_join(holder, NULL);
    pthread_join(reader, NULL);
    hs_face_index_destroy(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = { GALLERY_TEST(test_changes), GALLERY_TEST(test_deadline) };
    return HS_RUN_TESTS(tests);
}
