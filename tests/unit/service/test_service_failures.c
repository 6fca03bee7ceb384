/* Tests parts of the services at their limits, and when memory or system calls fail. */
#include "entries.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "alloc_fail.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/terminal.h"
#include "call_fail.h"
#include "models/store_fixture.h"
#include "pose/app.h"
#include "pose/settings.h"
#include "service/drawing.h"
#include "service/embedding_parity.h"
#include "service/model_cache.h"
#include "service/parallel_for.h"
#include "service/picture_files.h"
#include "service/picture_report.h"
#include "service/response.h"
#include "service/response_warnings.h"
#include "service/sample_stats.h"

static struct hs_error err;

static void expect_message(int r, const char *text)
{
    if (r < 0 && !strstr(err.message, text))
        fail_msg("%s: not %s", err.message, text);
}

/* ---- work on several threads ---- */

struct work {
    atomic_int runs;
    size_t failing; /* index that fails */
};

static int work(void *arg, size_t index, struct hs_error *error)
{
    struct work *w = arg;
    atomic_fetch_add(&w->runs, 1);
    return index == w->failing ? hs_error_set(error, HS_EDECODE, "picture %zu", index) : 0;
}

static int work_together(void *arg)
{
    struct work w = { .failing = SIZE_MAX };
    const struct hs_parallel_for loop = { .count = 10, .threads = *(const int *) arg, .run = work, .arg = &w };
    int r = hs_parallel_for(&loop, &err);
    assert_int_equal(atomic_load(&w.runs), r == 0 ? 10 : 0);
    expect_message(r, "no memory for ");
    return r;
}

static void test_parallel_for(void **state)
{
    (void) state;
    int threads = 3;
    assert_int_equal(hs_fail_each_allocation(work_together, &threads), 1);
    int before = count_entries("/proc/self/task"); /* with the thread that ThreadSanitizer has begun by now */
    for (int i = -1; i <= 1; i++)
        assert_int_equal(work_together(&i), 0);
    for (int nth = 1; nth <= 3; nth++) {
        struct work w = { .failing = SIZE_MAX };
        const struct hs_parallel_for loop = { .count = 1000, .threads = 3, .run = work, .arg = &w };
        char text[64];
        hs_call_fail_arm("pthread_create", nth, EAGAIN);
        int r = hs_parallel_for(&loop, &err);
        assert_int_equal(hs_call_fail_disarm(), nth < 3);
        assert_int_equal(r, nth < 3 ? HS_ENOMEM : 0);
        hs_str_format(text, sizeof(text), "started only %d of 3 threads", nth);
        if (r < 0)
            assert_string_equal(err.message, text);
        assert_true(r < 0 || atomic_load(&w.runs) == 1000);
        assert_int_equal(count_threads(before), before);
    }
    for (int count = 1; count <= 3; count += 2) {
        struct work w = { .failing = 4 };
        const struct hs_parallel_for loop = { .count = 1000, .threads = count, .run = work, .arg = &w };
        assert_int_equal(hs_parallel_for(&loop, &err), HS_EDECODE);
        assert_string_equal(err.message, "picture 4");
        assert_true(count > 1 || atomic_load(&w.runs) == 5);
    }
}

static int add_samples(void *arg)
{
    struct hs_samples samples = { 0 };
    int r = 0;
    (void) arg;
    for (int i = 0; i < 20 && r == 0; i++) {
        r = hs_samples_add(&samples, i, &err);
        assert_int_equal(samples.count, r == 0 ? i + 1 : i);
    }
    expect_message(r, "no memory for ");
    hs_samples_finish(&samples);
    return r;
}

/* ---- pictures ---- */

static int list_pictures(void *arg)
{
    struct hs_picture_files files = { 0 };
    int r = hs_picture_files_add_tree(&files, folder_path(arg, "tree"), &err);
    if (r == 0)
        r = hs_picture_files_add(&files, "one", folder_path(arg, "tree/b/1.PNG"), &err);
    if (r == 0) {
        assert_int_equal(files.count, 4);
        assert_string_equal(files.items[0].name, "a");
        assert_true(hs_str_ends(files.items[0].path, "/tree/a/1.jpg"));
        assert_true(hs_str_ends(files.items[1].path, "/tree/a/2.bmp"));
        assert_string_equal(files.items[2].name, "b");
        assert_string_equal(files.items[3].name, "one");
    }
    expect_message(r, "no memory for ");
    hs_picture_files_finish(&files);
    assert_int_equal(files.count, 0);
    return r;
}

static void make_tree(const char *folder)
{
    static const char *const names[] = { "a/1.jpg", "a/2.bmp", "a/.3.jpg", "a/4.txt", "a/jpg", "b/1.PNG", "0.jpg" };
    assert_int_equal(hs_dir_make(folder_path(folder, "tree/a/deeper.jpg"), NULL), 0);
    assert_int_equal(hs_dir_make(folder_path(folder, "tree/b"), NULL), 0);
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        char name[50];
        hs_str_format(name, sizeof(name), "tree/%s", names[i]);
        folder_write(folder, name, "x", 1);
    }
    if (!hs_file_exists(folder_path(folder, "tree/a/5.jpg")))
        assert_int_equal(mkfifo(folder_path(folder, "tree/a/5.jpg"), 0644), 0);
}

static void test_picture_files(void **state)
{
    struct hs_picture_files files = { 0 };
    make_tree(*state);
    assert_true(hs_fail_each_allocation(list_pictures, *state) >= 9);
    assert_true(hs_fail_each_allocation(add_samples, NULL) >= 2);
    assert_int_equal(hs_picture_files_add(&files, "", folder_path(*state, "tree/a/5.jpg"), &err), HS_EINVAL);
    assert_int_equal(hs_picture_files_add_tree(&files, folder_path(*state, "none"), &err), HS_ENOTFOUND);
    assert_int_equal(hs_picture_files_add_tree(&files, folder_path(*state, "tree/b"), &err), HS_EINVAL);
    assert_non_null(strstr(err.message, "Make one folder for each name"));
    assert_int_equal(files.count, 0);
}

/* Reads seven bytes from a pipe. */
static int read_pipe(size_t max, const char *call, int error)
{
    int ends[2];
    char path[40];
    uint8_t *data = NULL;
    size_t len = 0;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "picture", 7), 7);
    close(ends[1]);
    hs_str_format(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    if (call)
        hs_call_fail_arm(call, 1, error);
    int r = hs_picture_read(path, max, &data, &len, &err);
    assert_true(!call || hs_call_fail_disarm());
    close(ends[0]);
    if (r == 0) {
        assert_int_equal(len, 7);
        assert_memory_equal(data, "picture", 7);
        free(data);
    } else {
        assert_true(hs_str_starts(err.message, path));
    }
    return r;
}

static int read_pipe_once(void *arg)
{
    (void) arg;
    int r = read_pipe(7, NULL, 0);
    expect_message(r, "no memory for ");
    return r;
}

static void test_picture_streams(void **state)
{
    (void) state;
    int descriptors = count_descriptors();
    assert_int_equal(hs_fail_each_allocation(read_pipe_once, NULL), 1);
    assert_int_equal(read_pipe(6, NULL, 0), HS_ETOOLARGE);
    expect_message(HS_ETOOLARGE, "more than 6 bytes, the limit of server.max_body_mb");
    assert_int_equal(read_pipe(7, "read", EINTR), 0);
    assert_int_equal(read_pipe(7, "read", EIO), HS_EIO);
    assert_int_equal(hs_picture_read("/none/x", 9, NULL, NULL, &err), HS_ENOTFOUND);
    assert_int_equal(hs_picture_read("/none/*", 9, NULL, NULL, &err), HS_ENOTFOUND);
    assert_string_equal(err.message, "/none/*: no JPEG, PNG, WebP or BMP matches");
    assert_int_equal(hs_picture_read("/", 9, NULL, NULL, &err), HS_ENOTFOUND);
    assert_string_equal(err.message, "/: the folder contains no JPEG, PNG, WebP or BMP");
    assert_int_equal(count_descriptors(), descriptors);
}

static int expand(void *arg)
{
    (void) arg;
    static const char *items[] = { "-", "/none/*", "/", "two.jpg" };
    const struct hs_text_list words = { items, HS_ARRAY_LEN(items) };
    struct hs_picture_files files = { 0 };
    int r = hs_picture_files_expand(&files, &words, &err);
    assert_true(r < 0 || files.count == words.count);
    for (size_t i = 0; r == 0 && i < files.count; i++)
        assert_string_equal(files.items[i].path, items[i]);
    expect_message(r, "no memory ");
    hs_picture_files_finish(&files);
    return r;
}

static void test_picture_words(void **state)
{
    (void) state;
    assert_true(hs_fail_each_allocation(expand, NULL) >= 9);
}

static void test_terminal_text(void **state)
{
    (void) state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        { "a\\b c", "a\\b c" },
        { "\x1b[2J\r\n\t\x7f", "\\x1b[2J\\r\\n\\t\\x7f" },
        { "\xff\xc3", "\\xff\\xc3" },
        { "\xc2\x9b\xc3\xa9", "\\u009b\xc3\xa9" },
        { "\xe2\x80\x8e\xe2\x80\xae\xe2\x81\xa6\xe2\x82\xac", "\\u200e\\u202e\\u2066\xe2\x82\xac" },
        { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
    };
    char out[64];
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        hs_terminal_text(out, sizeof(out), cases[i].text);
        assert_string_equal(out, cases[i].shown);
    }
    /* Neither a character nor an escape is cut. */
    hs_terminal_text(out, 4, "ab\xc3\xa9");
    assert_string_equal(out, "ab");
    hs_terminal_text(out, 5, "ab\x01z");
    assert_string_equal(out, "ab");
}

static int name_answer(void *arg)
{
    const struct hs_picture_report report = { .named = true };
    json_t *answer = hs_picture_report_name(&report, json_object(), arg);
    if (!answer)
        return HS_ENOMEM;
    assert_string_equal(json_string_value(json_object_get(answer, "file")), "a\xef\xbf\xbd"
                                                                            "b\xc3\xa9");
    json_decref(answer);
    return 0;
}

static int warn(void *arg)
{
    (void) arg;
    json_t *answer = hs_response_warn(json_object(), hs_warning_json("code_a", "field", "is %d\n", 5));
    answer = hs_response_warn_damage(answer, "image", "cut off");
    answer = hs_response_warn_damage(answer, "image", "");
    if (!answer)
        return HS_ENOMEM;
    json_t *list = json_object_get(answer, "warnings");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "message")), "field: is 5?");
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "code")), "image_damaged");
    json_decref(answer);
    return 0;
}

static void test_answers(void **state)
{
    (void) state;
    char path[] = "a\xff"
                  "b\xc3\xa9";
    assert_true(hs_fail_each_allocation(name_answer, path) >= 3);
    assert_true(hs_fail_each_allocation(warn, NULL) >= 6);
    assert_int_equal(hs_response_failed(HS_ENOMEM, &err), HS_ENOMEM);
    assert_string_equal(err.message, "no memory for the answer");
    assert_int_equal(hs_response_failed(HS_ETOOLARGE, &err), HS_ETOOLARGE);
    assert_non_null(strstr(err.message, "larger than 16777216 bytes"));
}

static int settle(void *arg)
{
    static const char *items[] = { "x/one.jpg", "y/one.png", "-", "two" };
    const struct hs_text_list pictures = { items, HS_ARRAY_LEN(items) };
    struct hs_drawing_target target = { .path = arg };
    int r = hs_drawing_target_resolve(&target, &pictures, &err);
    if (r == 0) {
        static const char *const names[] = { "one.jpg", "one-2.jpg", "stdin.jpg", "two.jpg" };
        assert_int_equal(target.count, 4);
        for (size_t i = 0; i < 4; i++)
            assert_string_equal(hs_path_base(target.files[i]), names[i]);
    }
    expect_message(r, "no memory for the names of drawings");
    hs_drawing_target_finish(&target);
    return r;
}

static int draw(void *arg)
{
    uint8_t pixels[16 * 16 * 3] = { 0 };
    struct hs_buf out;
    (void) arg;
    struct hs_image image = { 0 };
    image.width = image.height = image.orig_width = image.orig_height = 16;
    image.pixels = pixels;
    image.stride = 48;
    const struct hs_draw_shape shape = hs_drawing_frame(&(struct hs_rect) { 2, 2, 10, 10 }, 0xff0000, "a");
    hs_buf_init(&out, HS_DRAWING_MAX);
    int r = hs_drawing_encode(&image, 1, &shape, 1, HS_IMAGE_PNG, &out, &err);
    if (r == 0)
        assert_memory_equal(out.data, "\x89PNG", 4);
    hs_buf_finish(&out);
    return r;
}

static void test_drawings(void **state)
{
    assert_true(hs_fail_each_allocation(settle, *state) >= 6);
    assert_true(hs_fail_each_allocation(draw, NULL) >= 1);
}

/* ---- models ---- */

enum { PACKS = HS_MODEL_CACHE_MAX + 2 };

struct models {
    struct hs_store *store;
    struct hs_settings *settings;
    struct hs_model_options options;
};

static void open_models(struct models *m, const char *folder)
{
    static const char *const texts[PACKS] = {
#define TEXT(name) PACK_HEAD(name) "openvino: {file: " name ".onnx, sha256: " SHA_MODEL "}\n"
        TEXT("p0"), TEXT("p1"), TEXT("p2"), TEXT("p3"), TEXT("p4"),
        TEXT("p5"), TEXT("p6"), TEXT("p7"), TEXT("p8"), TEXT("p9"),
#undef TEXT
    };
    char name[8];
    assert_int_equal(hs_dir_make(folder_path(folder, "packs"), NULL), 0);
    for (int i = 0; i < PACKS; i++) {
        hs_str_format(name, sizeof(name), "p%d", i);
        store_fixture_add_pack(folder, name, texts[i]);
    }
    m->store = store_fixture_open(folder);
    assert_int_equal(hs_settings_create(&hs_pose_schema, &m->settings, &err), 0);
    m->options = (struct hs_model_options) { .store = m->store,
                                             .task = HS_TASK_POSE,
                                             .model = "p0",
                                             .settings = hs_settings_values(m->settings),
                                             .device = "sim",
                                             .batch = 1 };
}

static void close_models(struct models *m)
{
    hs_settings_destroy(m->settings);
    hs_store_close(m->store);
}

static int use_models(void *arg)
{
    struct models *m = arg;
    struct hs_model_cache *cache = NULL;
    struct hs_model_pool *pool = NULL, *all[HS_MODEL_CACHE_MAX];
    int r = hs_model_cache_create(&m->options, INT64_MAX, &cache, &err);
    if (r < 0)
        return r;
    r = hs_model_cache_ref(cache, "p1", hs_deadline_in_ms(20000), &pool, &err);
    if (r == 0) {
        assert_string_equal(hs_model_pool_first(pool)->choice.pack->name, "p1");
        assert_string_equal(hs_model_cache_state(cache, hs_store_find(m->store, "p2")), "idle");
        size_t count = hs_model_cache_ref_all(cache, all);
        assert_int_equal(count, 2);
        hs_model_cache_unref_all(cache, all, count);
    } else {
        struct hs_model_pool *again;
        hs_alloc_fail_disarm(); /* a model that failed once is tried again */
        assert_int_equal(hs_model_cache_ref(cache, "p1", hs_deadline_in_ms(20000), &again, &err), 0);
        hs_model_cache_unref(cache, again);
        hs_alloc_fail_arm(-1);
    }
    hs_model_cache_unref(cache, pool);
    hs_model_cache_destroy(cache);
    return r;
}

static void test_models_without_memory(void **state)
{
    struct models m;
    open_models(&m, *state);
    assert_int_equal(use_models(&m), 0);
    size_t live = hs_alloc_live();
    for (int nth = 1, failed = 1; failed; nth++) {
        hs_alloc_fail_arm(nth);
        int r = use_models(&m);
        assert_int_equal(hs_alloc_live(), live);
        failed = hs_alloc_fail_disarm();
        assert_int_equal(r, r == 0 ? 0 : HS_ENOMEM);
        if (r < 0)
            failed = 1;
        assert_true(nth < 200);
    }
    close_models(&m);
}

static void test_models_without_threads(void **state)
{
    struct models m;
    struct hs_model_cache *cache;
    struct hs_model_pool *pool = NULL;
    open_models(&m, *state);
    int threads = count_entries("/proc/self/task");
    assert_int_equal(hs_model_cache_create(&m.options, INT64_MAX, &cache, &err), 0);
    hs_call_fail_arm("pthread_create", 1, EAGAIN);
    assert_int_equal(hs_model_cache_ref(cache, "p1", hs_deadline_in_ms(20000), &pool, &err), HS_ENOMEM);
    assert_true(hs_call_fail_disarm());
    assert_string_equal(err.message, "cannot start a thread for the model");
    assert_null(pool);
    assert_int_equal(hs_model_cache_ref(cache, "p1", hs_deadline_in_ms(20000), &pool, &err), 0);
    hs_model_cache_unref(cache, pool);
    hs_model_cache_destroy(cache);
    assert_int_equal(count_threads(threads), threads);
    close_models(&m);
}

/* One model more than the limit: the least recently used one is closed. */
static void test_full_cache(void **state)
{
    struct models m;
    struct hs_model_cache *cache;
    struct hs_model_pool *pools[PACKS] = { NULL };
    char name[8];
    open_models(&m, *state);
    assert_int_equal(hs_model_cache_create(&m.options, INT64_MAX, &cache, &err), 0);
    for (int i = 1; i < HS_MODEL_CACHE_MAX; i++) {
        hs_str_format(name, sizeof(name), "p%d", i);
        assert_int_equal(hs_model_cache_ref(cache, name, hs_deadline_in_ms(20000), &pools[i], &err), 0);
    }
    assert_int_equal(hs_model_cache_ref(cache, "p8", hs_deadline_in_ms(20000), &pools[8], &err), HS_EBUSY);
    assert_string_equal(err.message, "8 models are in use, which is the maximum; try again later");
    assert_int_equal(hs_model_cache_ref(cache, "p1", 0, &pools[8], &err), 0); /* a second reference */
    assert_ptr_equal(pools[8], pools[1]);
    assert_int_equal(hs_model_cache_ref(cache, NULL, 0, &pools[0], &err), 0);
    assert_ptr_equal(pools[0], hs_model_cache_default(cache));
    assert_int_equal(hs_model_cache_ref(cache, "none", 0, &pools[9], &err), HS_ENOTFOUND);
    hs_model_cache_unref(cache, pools[0]);
    hs_model_cache_unref(cache, pools[8]);
    hs_model_cache_unref(cache, pools[3]);
    hs_model_cache_unref(cache, pools[2]); /* p3 was released before p2 */
    assert_int_equal(hs_model_cache_ref(cache, "p8", hs_deadline_in_ms(20000), &pools[8], &err), 0);
    assert_string_equal(hs_model_pool_first(pools[8])->choice.pack->name, "p8");
    hs_model_cache_unref(cache, pools[8]);
    assert_int_equal(hs_model_cache_ref(cache, "p2", 0, &pools[2], &err), 0); /* still open, so no time is needed */
    assert_int_equal(hs_model_cache_ref(cache, "p3", 0, &pools[3], &err), HS_ETIMEOUT);
    assert_string_equal(err.message, "p3 is still loading; try again later");
    for (int i = 1; i < HS_MODEL_CACHE_MAX; i++)
        if (i != 3)
            hs_model_cache_unref(cache, pools[i]);
    hs_model_cache_destroy(cache);
    close_models(&m);
}

static void load(struct hs_model_pool *pool)
{
    hs_model_pool_preload(pool);
    assert_int_equal(hs_model_pool_wait_loaded(pool, hs_deadline_in_ms(20000), &err), 0);
}

/* Above memory_max, the least recently used model is unloaded, but not the configured one. */
static void test_memory_of_models(void **state)
{
    struct models m;
    struct hs_model_cache *cache;
    struct hs_model_pool *pools[3] = { NULL };
    open_models(&m, *state);
    for (int full = 0; full < 2; full++) {
        const struct hs_pack *packs[3];
        assert_int_equal(hs_model_cache_create(&m.options, full ? 0 : INT64_MAX, &cache, &err), 0);
        for (int i = 0; i < 3; i++) {
            char name[8];
            hs_str_format(name, sizeof(name), "p%d", i);
            packs[i] = hs_store_find(m.store, name);
            assert_int_equal(hs_model_cache_ref(cache, name, hs_deadline_in_ms(20000), &pools[i], &err), 0);
            load(pools[i]);
            if (i < 2)
                hs_model_cache_unref(cache, pools[i]);
            assert_string_equal(hs_model_cache_state(cache, packs[i]), "ready");
        }
        if (full) {
            for (int i = 0; i < 2000 && hs_model_cache_unload(cache, packs[1]); i++)
                usleep(1000);
            assert_false(hs_model_cache_unload(cache, packs[1]));
        } else {
            assert_string_equal(hs_model_cache_state(cache, packs[1]), "ready");
            assert_true(hs_model_cache_unload(cache, packs[1]));
        }
        assert_string_equal(hs_model_cache_state(cache, packs[0]), "ready");
        assert_string_equal(hs_model_cache_state(cache, packs[2]), "ready");
        hs_model_cache_unref(cache, pools[2]);
        hs_model_cache_destroy(cache);
    }
    /* Destroying the cache waits for a model that is being opened. */
    assert_int_equal(hs_model_cache_create(&m.options, INT64_MAX, &cache, &err), 0);
    int r = hs_model_cache_ref(cache, "p5", 0, &pools[0], &err);
    assert_true(r == HS_ETIMEOUT || r == 0);
    hs_model_cache_destroy(cache);
    close_models(&m);
}

/* ---- a program ---- */

static const struct hs_app_model app_models[] = { { .task = HS_TASK_POSE,
                                                    .name = "pose-estimation",
                                                    .label = "pose",
                                                    .role = "pose",
                                                    .setting = "model.name",
                                                    .batch = 1,
                                                    .free_size = true } };
static const struct hs_app app = {
    .program = { .name = "hailo-test", .schema = &hs_pose_schema, .app = &app },
    .models = app_models,
    .model_count = HS_ARRAY_LEN(app_models),
    .state_size = sizeof(struct hs_pose_app),
    .init = hs_pose_app_init,
};

static int make_app(void *arg)
{
    const char *const environment[] = { NULL };
    char store[PATH_MAX], packs[PATH_MAX];
    hs_str_copy(store, sizeof(store), folder_path(arg, "store"));
    hs_str_copy(packs, sizeof(packs), folder_path(arg, "packs"));
    const struct hs_config_override overrides[] = {
        { "--models", "model.dir", store },
        { "--set", "model.packs_dir", packs },
        { "--device", "inference.device", "sim" },
        { "--set", "model.name", "p3" },
    };
    const struct hs_config_request request = { .schema = &hs_pose_schema,
                                               .environment = environment,
                                               .overrides = overrides,
                                               .override_count = HS_ARRAY_LEN(overrides) };
    struct hs_problems problems = { 0 };
    struct hs_settings *settings = NULL;
    char refused[HS_REFUSED_SIZE], names[100];
    void *made = NULL;
    int r = hs_config_load(&request, &settings, &problems, &err);
    hs_problems_finish(&problems);
    if (r == 0)
        r = hs_app_create(&app, settings, 0, refused, &made, &err);
    if (r == 0) {
        hs_app_core_names(made, names, sizeof(names));
        assert_string_equal(names, "p3");
    } else {
        assert_null(made);
    }
    hs_app_destroy(made);
    return r;
}

static void test_app_without_memory(void **state)
{
    struct models m;
    open_models(&m, *state);
    assert_true(hs_fail_each_allocation(make_app, *state) > 100);
    close_models(&m);
}

/* ---- the record of two devices ---- */

struct parity {
    struct hs_store *store;
    struct hs_model_choice device, against;
};

static int check_parity(void *arg)
{
    const struct parity *p = arg;
    return hs_embedding_parity_check(p->store, &p->device, &p->against, &err);
}

static int save_parity(void *arg)
{
    const struct parity *p = arg;
    const struct hs_sample_stats fine = { .count = HS_PARITY_FACES, .min = 1, .median = 1 };
    return hs_embedding_parity_save(p->store, &p->device, &p->against, &fine, &err);
}

/* Running out of memory must not be reported as a damaged record, because that result is permanent. */
static void test_parity(void **state)
{
    static const char text[] = "name: made\ntask: face-embedding\ntitle: Made up\nlicence: {name: MIT}\n"
                               "input: {width: 112, height: 112}\ndecode: arcface\n"
                               "embedding: {space: made-up, dimension: 512, threshold: 0.5}\n"
                               "hailo: {file: made.hef, sha256: " SHA_MODEL "}\n"
                               "openvino: {file: made.onnx, sha256: " SHA_OTHER "}\n";
    assert_int_equal(hs_dir_make(folder_path(*state, "packs"), NULL), 0);
    assert_int_equal(hs_dir_make(folder_path(*state, "store"), NULL), 0);
    store_fixture_add_pack(*state, "made", text);
    struct parity p = { .store = store_fixture_open(*state) };
    const struct hs_pack *pack = hs_store_find(p.store, "made");
    p.device = (struct hs_model_choice) { pack, hs_pack_find_file(pack, "hailo", NULL) };
    p.against = (struct hs_model_choice) { pack, hs_pack_find_file(pack, "openvino", NULL) };
    assert_int_equal(check_parity(&p), HS_EMODEL);
    assert_true(hs_fail_each_allocation(save_parity, &p) >= 10);
    assert_true(hs_fail_each_allocation(check_parity, &p) >= 10);
    hs_store_close(p.store);
}

int main(void)
{
    hs_alloc_watch_leaks();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parallel_for),
        cmocka_unit_test(test_picture_files),
        cmocka_unit_test(test_picture_streams),
        cmocka_unit_test(test_picture_words),
        cmocka_unit_test(test_terminal_text),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_drawings),
        FOLDER_TEST(test_models_without_memory),
        FOLDER_TEST(test_models_without_threads),
        FOLDER_TEST(test_full_cache),
        FOLDER_TEST(test_memory_of_models),
        FOLDER_TEST(test_app_without_memory),
        FOLDER_TEST(test_parity),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
