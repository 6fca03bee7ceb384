/* Repeats each operation of an encrypted gallery with the first, second, third … allocation and write failing. Each
 * time no vector may be lost, the gallery must open, and a second call must complete the work. */
#include "fixture.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "faults.h"
#include "gallery/crypt.h"
#include "gallery/encryption.h"
#include "gallery/verify.h"

struct keys {
    char path[128], id[HS_CRYPT_ID_SIZE], next[128], next_id[HS_CRYPT_ID_SIZE];
};

struct operation {
    const char *name;
    int (*run)(struct hs_gallery *g, const struct keys *keys);
    bool plain; /* the gallery before it */
};

static int run_encrypt(struct hs_gallery *g, const struct keys *keys)
{
    struct hs_gallery_converted done;
    (void) keys;
    return hs_gallery_encrypt(g, NULL, NULL, &done, NULL);
}

static int run_decrypt(struct hs_gallery *g, const struct keys *keys)
{
    struct hs_gallery_converted done;
    (void) keys;
    return hs_gallery_decrypt(g, NULL, NULL, &done, NULL);
}

static int run_rotate(struct hs_gallery *g, const struct keys *keys)
{
    struct hs_gallery_converted done;
    char id[HS_CRYPT_ID_SIZE];
    return hs_gallery_rotate_key(g, keys->next, true, NULL, NULL, id, &done, NULL);
}

static int run_merge(struct hs_gallery *g, const struct keys *keys)
{
    (void) keys;
    int r = hs_gallery_merge(g, "a", "b", NULL);
    return r == HS_ENOTFOUND ? 0 : r;
}

static int run_read(struct hs_gallery *g, const struct keys *keys)
{
    struct hs_gallery_person *person;
    struct hs_gallery_encryption state;
    float wanted[DIMENSION];
    int r = hs_gallery_get(g, "a", true, &person, NULL);
    if (r < 0)
        return r;
    assert_int_equal(person->count, 2);
    assert_memory_equal(person->embeddings[1].values, unit_vector(2, wanted), sizeof(wanted));
    hs_gallery_person_destroy(person);
    r = hs_gallery_get_encryption(g, &state, NULL);
    if (r == 0)
        assert_string_equal(state.key_id, keys->id);
    return r;
}

static int run_verify(struct hs_gallery *g, const struct keys *keys)
{
    struct hs_gallery_backups *list;
    struct hs_gallery_verified found;
    (void) keys;
    int r = hs_gallery_list_backups(g, &list, NULL);
    if (r < 0)
        return r;
    assert_int_equal(list->count, 1);
    r = hs_gallery_verify_backup(g, list->items[0].path, &found, NULL);
    if (r == 0)
        assert_int_equal(found.found, 3);
    hs_gallery_backups_destroy(list);
    return r;
}

static int run_restore(struct hs_gallery *g, const struct keys *keys)
{
    struct hs_gallery_backups *list;
    (void) keys;
    int r = hs_gallery_list_backups(g, &list, NULL);
    if (r < 0)
        return r;
    r = hs_gallery_restore(g, list->items[list->count - 1].path, NULL);
    hs_gallery_backups_destroy(list);
    return r;
}

static const struct operation operations[] = {
    { "encrypt", run_encrypt, true },  { "decrypt", run_decrypt, false }, { "rotate", run_rotate, false },
    { "merge", run_merge, false },     { "read", run_read, false },       { "verify", run_verify, false },
    { "restore", run_restore, false },
};

/* Two faces of a, a backup of them and of one of b; the backup of a restored gallery is plain. */
static void prepare(struct fixture *f, const struct operation *operation, struct keys *keys)
{
    struct hs_gallery_converted done;
    hs_path_join(keys->path, sizeof(keys->path), f->dir, "key");
    hs_path_join(keys->next, sizeof(keys->next), f->dir, "next");
    assert_int_equal(hs_crypt_key_generate(keys->path, keys->id, NULL), 0);
    assert_int_equal(hs_crypt_key_generate(keys->next, keys->next_id, NULL), 0);
    f->options.vfs = FAULTY_VFS;
    f->options.busy_timeout_ms = 1000;
    bool plain = operation->plain || operation->run == run_restore;
    f->options.key = plain ? NULL : keys->path;
    fixture_open(f);
    add(f->gallery, "a", 1);
    add(f->gallery, "a", 2);
    add(f->gallery, "b", 3);
    assert_int_equal(hs_gallery_backup(f->gallery, NULL, NULL), 0);
    fixture_close(f);
    f->options.key = keys->path;
    fixture_open(f);
    if (operation->run == run_restore)
        assert_int_equal(hs_gallery_encrypt(f->gallery, NULL, NULL, &done, NULL), 0);
}

/* Returns false once the operation completes without reaching the failure. */
static bool try_with_fault(const struct operation *operation, enum fault fault, long nth)
{
    void *state;
    struct keys keys;
    fixture_setup(&state);
    struct fixture *f = state;
    prepare(f, operation, &keys);
    faults_arm(fault, nth);
    int r = operation->run(f->gallery, &keys);
    bool failed = faults_disarm();
    if (r < 0 && (!failed || r != (fault == FAULT_ALLOCATION ? HS_ENOMEM : HS_EIO)))
        fail_msg("%s, failure %ld: %s", operation->name, nth, hs_status_name(r));
    assert_int_equal(stats_of(f->gallery).usability.embeddings[HS_GALLERY_USABLE], 3);
    fixture_close(f);
    fixture_open(f);
    assert_string_equal(f->opened.set_aside, "");
    assert_int_equal(stats_of(f->gallery).usability.embeddings[HS_GALLERY_USABLE], 3);
    assert_int_equal(operation->run(f->gallery, &keys), 0);
    struct hs_gallery_audit audit = stats_of(f->gallery);
    assert_int_equal(audit.usability.embeddings[HS_GALLERY_USABLE], 3);
    assert_int_equal(audit.sealed, operation->run == run_decrypt ? 0 : 3);
    if (operation->run == run_encrypt)
        assert_false(folder_has(f, 1));
    fixture_teardown(&state);
    return failed;
}

static void sweep(enum fault fault)
{
    for (size_t i = 0; i < HS_ARRAY_LEN(operations); i++) {
        long nth = 1;
        while (try_with_fault(&operations[i], fault, nth))
            nth += 1 + nth / 20;
        print_message("%s: %ld\n", operations[i].name, nth);
        assert_true(nth > 1 || fault == FAULT_DISK);
    }
}

static void test_allocations(void **state)
{
    (void) state;
    sweep(FAULT_ALLOCATION);
}

static void test_writes(void **state)
{
    (void) state;
    sweep(FAULT_DISK);
}

/* Opens a new gallery with a key, which also makes the data key. */
static bool try_open_with_fault(enum fault fault, long nth)
{
    void *state;
    char key[128], id[HS_CRYPT_ID_SIZE];
    fixture_setup(&state);
    struct fixture *f = state;
    hs_path_join(key, sizeof(key), f->dir, "key");
    assert_int_equal(hs_crypt_key_generate(key, id, NULL), 0);
    f->options.vfs = FAULTY_VFS;
    f->options.key = key;
    f->options.encrypt = true;
    faults_arm(fault, nth);
    int r = hs_gallery_open(&f->options, &f->gallery, &f->opened, NULL);
    bool failed = faults_disarm();
    if (r < 0)
        f->gallery = NULL;
    assert_true(r == 0 || failed);
    fixture_close(f);
    fixture_open(f);
    assert_string_equal(f->opened.set_aside, "");
    assert_string_equal(f->opened.key_id, id);
    add(f->gallery, "a", 1);
    assert_false(folder_has(f, 1));
    fixture_teardown(&state);
    return failed;
}

static void test_open(void **state)
{
    (void) state;
    for (int fault = FAULT_ALLOCATION; fault <= FAULT_DISK; fault++) {
        long nth = 1;
        while (try_open_with_fault((enum fault) fault, nth))
            nth += 1 + nth / 20;
        print_message("open: %ld\n", nth);
    }
}

int main(void)
{
    faults_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_open),
    };
    return HS_RUN_TESTS(tests);
}
