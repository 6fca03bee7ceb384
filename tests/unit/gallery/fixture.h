/* A gallery in a temporary folder, which teardown deletes. */
#ifndef HS_TESTS_GALLERY_FIXTURE_H
#define HS_TESTS_GALLERY_FIXTURE_H

#include "../unit.h"

#include <limits.h>
#include <sqlite3.h>

#include "gallery/audit.h"
#include "gallery/gallery.h"

enum { DIMENSION = 64 };

struct fixture {
    char dir[64], path[96], backups[96];
    struct hs_gallery_options options;
    struct hs_gallery_opened opened;
    struct hs_gallery *gallery; /* NULL until fixture_open */
};

/* cmocka's setup and teardown; *state is a struct fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

struct hs_gallery *fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);

/* Writes unit_vector(seed) into the unused part of a page, an empty index, and opens the gallery again. */
void fixture_copy_file(struct fixture *f, unsigned seed);

/* Returns a pseudo-random unit vector, always the same for one seed. */
const float *unit_vector(unsigned seed, float values[DIMENSION]);

/* Adds unit_vector(seed) of space "test" to the identity `name`. */
int try_add(struct hs_gallery *gallery, const char *name, unsigned seed, struct hs_gallery_added *ret_added);
struct hs_gallery_added add(struct hs_gallery *gallery, const char *name, unsigned seed);

/* Returns the number of embeddings of an identity; -1 if the identity does not exist. */
int64_t count_of(struct hs_gallery *gallery, const char *name);
struct hs_gallery_audit stats_of(struct hs_gallery *gallery); /* for space "test" and DIMENSION */

/* Returns true if a file in the folder (except backups) contains any 12 bytes of unit_vector(seed). */
bool folder_has(const struct fixture *f, unsigned seed);

/* Writes a file of schema 0: two people with one embedding each, and one orphan (seeds 1, 2 and 3). */
void write_first_schema(const char *path);

/* Run SQL on a file with a separate connection. */
void run_sql(const char *path, const char *sql);
int64_t query_sql(const char *path, const char *sql);

#define GALLERY_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

#endif
