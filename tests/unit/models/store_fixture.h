/* A store for one test: <folder>/packs holds the shipped packs, <folder>/store the models. */
#ifndef HS_TESTS_STORE_FIXTURE_H
#define HS_TESTS_STORE_FIXTURE_H

#include "folder.h"
#include "models/store.h"
#include "pack_text.h"

static inline int store_fixture_make(void **state)
{
    return folder_make(state) < 0 || hs_dir_make(folder_path(*state, "packs"), NULL) < 0 ? -1 : 0;
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, store_fixture_make, folder_remove)

static inline void store_fixture_add_pack(const char *folder, const char *name, const char *text)
{
    char file[100];
    assert_true(hs_str_format(file, sizeof(file), "packs/%s.yaml", name));
    folder_write(folder, file, text, strlen(text));
}

static inline struct hs_store *store_fixture_open(const char *folder)
{
    const struct hs_store_options options = {
        .service = "hailo-test",
        .models_dir = folder_path(folder, "store"),
        .packs_dir = folder_path(folder, "packs"),
    };
    struct hs_store *store = NULL;
    struct hs_error err = { 0 };
    if (hs_store_open(&options, &store, &err) < 0)
        fail_msg("%s", err.message);
    return store;
}

/* Returns a choice of the pack's first file. */
static inline struct hs_model_choice store_fixture_choice(const struct hs_store *store, const char *name)
{
    const struct hs_pack *pack = hs_store_find(store, name);
    assert_non_null(pack);
    return (struct hs_model_choice) { pack, &pack->files[0] };
}

#endif
