#include "fixture.h"

#include <string.h>

#include "gallery/gallery.h"

static void main_space_of_a_gallery(void **state)
{
    struct fixture *f = *state;
    struct hs_gallery_audit found;
    struct hs_error err;
    assert_int_equal(hs_gallery_audit_file(f->path, NULL, 100, "test", DIMENSION, &found, &err), HS_EIO);
    struct hs_gallery *gallery = fixture_open(f);
    add(gallery, "Ada", 1);
    add(gallery, "Ada", 2);
    add(gallery, "Bo", 3);
    assert_int_equal(hs_gallery_audit_file(f->path, NULL, 100, "test", DIMENSION, &found, &err), 0);
    assert_int_equal(found.identities, 2);
    assert_int_equal(found.embeddings, 3);
    assert_true(found.schema_version > 0);
}

static void main_space(void **state)
{
    struct fixture *f = *state;
    char space[HS_GALLERY_SPACE_MAX + 1] = "x";
    hs_gallery_main_space(f->path, 100, space);
    assert_string_equal(space, ""); /* the file does not exist, and is not created */
    write_first_schema(f->path);
    hs_gallery_main_space(f->path, 100, space);
    assert_string_equal(space, ""); /* schema 0 has no spaces */
    struct hs_gallery *gallery = fixture_open(f);
    add(gallery, "Ada", 11);
    add(gallery, "Ada", 12);
    add(gallery, "Bo", 13);
    fixture_close(f);
    run_sql(f->path, "UPDATE embeddings SET space = 'other' WHERE id % 3 = 0");
    hs_gallery_main_space(f->path, 100, space);
    assert_true(strlen(space) > 0);
    run_sql(f->path, "UPDATE embeddings SET space = 'most'");
    run_sql(f->path, "UPDATE embeddings SET space = 'few' WHERE id = 1");
    hs_gallery_main_space(f->path, 100, space);
    assert_string_equal(space, "most");
}

int main(void)
{
    const struct CMUnitTest tests[] = { GALLERY_TEST(main_space_of_a_gallery), GALLERY_TEST(main_space) };
    return HS_RUN_TESTS(tests);
}
