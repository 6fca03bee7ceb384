/* A gallery in a folder of its own that goes with the test. */
#ifndef HS_TESTS_GALLERY_FIXTURE_H
#define HS_TESTS_GALLERY_FIXTURE_H

#include "../unit.h"

#include <limits.h>
#include <sqlite3.h>

#include "gallery/gallery.h"
#include "gallery/survey.h"

enum { DIMENSION = 64 };

struct fixture {
    char dir[64], path[96], backups[96];
    struct hs_gallery_options options;
    struct hs_gallery_opened opened;
    struct hs_gallery *gallery; /* NULL until opened */
};

/* cmocka's setup and teardown; *state is the struct. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

struct hs_gallery *fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);

/* Writes unit_vector(seed) into the unused part of a page, an empty index, and opens the gallery again. */
void fixture_plant(struct fixture *f, unsigned seed);

/* A unit vector that looks random and is the same for the same seed. */
const float *unit_vector(unsigned seed, float values[DIMENSION]);

/* Adds unit_vector(seed) of space "test" under that name. */
int try_add(struct hs_gallery *gallery, const char *name, unsigned seed, struct hs_gallery_added *ret_added);
struct hs_gallery_added add(struct hs_gallery *gallery, const char *name, unsigned seed);

/* Embeddings of an identity; -1 where there is no such identity. */
int64_t count_of(struct hs_gallery *gallery, const char *name);
struct hs_gallery_survey stats_of(struct hs_gallery *gallery); /* for space "test" and DIMENSION */

/* Whether a file of the folder (backups left out) has some 12 bytes of unit_vector(seed). */
bool folder_has(const struct fixture *f, unsigned seed);

/* The file of the first programs: two people, one embedding each, one orphan (seeds 1, 2 and 3). */
void write_first_schema(const char *path);

/* Runs SQL on a file, by a connection of its own. */
void run_sql(const char *path, const char *sql);
int64_t ask_sql(const char *path, const char *sql);

#define GALLERY_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

#endif
