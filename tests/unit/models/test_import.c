#include "../unit.h"

#include "../convert/face_onnx.h"
#include "models/fetch.h"
#include "models/import.h"
#include "store_fixture.h"

static void write_model(const char *folder, const char *name, struct hs_buf *model)
{
    folder_write(folder, name, model->data, model->len);
    hs_buf_finish(model);
}

/* Writes a model with output [1, 4 + classes + points * dims, cells], class names and keypoint
 * shape. */
static void write_pose(const char *folder, const char *name, const char *names, int classes, int points, int dims)
{
    struct hs_buf model;
    char shape[40];
    hs_str_format(shape, sizeof(shape), "[%d, %d]", points, dims);
    pose_onnx_decoded(&model, 64, 4 + classes + points * dims, 84);
    pose_onnx_prop(&model, "task", "pose");
    pose_onnx_prop(&model, "license", "AGPL-3.0 License");
    pose_onnx_prop(&model, "names", names);
    pose_onnx_prop(&model, "kpt_shape", shape);
    write_model(folder, name, &model);
}

/* Imports the file `file` of the folder with `options`. */
static int import(const char *folder, const char *file, struct hs_import_options options, struct hs_error *err)
{
    struct hs_store *store = store_fixture_open(folder);
    char *summary = NULL;
    options.file = folder_path(folder, file);
    *err = (struct hs_error) { 0 };
    int status = hs_import(store, &options, &summary, err);
    if (status == 0)
        assert_true(hs_str_starts(summary, options.name));
    free(summary);
    hs_store_close(store);
    return status;
}

#define NAMED(text) ((struct hs_import_options) { .name = (text) })

static void refuse(const char *folder, const char *file, struct hs_import_options options, int code, const char *reason)
{
    struct hs_error err;
    assert_int_equal(import(folder, file, options, &err), code);
    if (!strstr(err.message, reason))
        fail_msg("\"%s\" does not say \"%s\"", err.message, reason);
}

static int count_files(const char *folder, const char *end)
{
    int count = 0;
    struct hs_store *store = store_fixture_open(folder);
    char command[PATH_MAX + 100], line[PATH_MAX];
    hs_str_format(command, sizeof(command), "ls -A '%s' 2>/dev/null", hs_store_dir(store));
    hs_store_close(store);
    FILE *list = popen(command, "r");
    assert_non_null(list);
    while (fgets(line, sizeof(line), list)) {
        line[strcspn(line, "\n")] = '\0';
        count += hs_str_ends(line, end);
    }
    pclose(list);
    return count;
}

static void an_ordinary_export(void **state)
{
    struct hs_error err;
    char *path = NULL;
    write_pose(*state, "best.onnx", "{0: 'cat', 1: \"dog's \\\\ tail\"}", 2, 5, 2);
    assert_int_equal(import(*state, "best.onnx", NAMED("mine"), &err), 0);
    struct hs_store *store = store_fixture_open(*state);
    assert_null(hs_store_warning(store));
    struct hs_model_choice choice = store_fixture_choice(store, "mine");
    assert_true(choice.pack->imported);
    assert_string_equal(choice.pack->title, "best.onnx");
    assert_string_equal(choice.pack->licence_name, "AGPL-3.0 License");
    assert_int_equal(choice.pack->class_count, 2);
    assert_string_equal(choice.pack->classes[1], "dog's \\ tail");
    assert_int_equal(choice.pack->keypoint_count, 5);
    assert_int_equal(choice.pack->keypoint_dims, 2);
    assert_string_equal(choice.pack->keypoints[4], "keypoint_4");
    assert_int_equal(choice.pack->edge_count, 0);
    assert_int_equal(choice.pack->input.width, 64);
    assert_int_equal(choice.pack->input.stride, 0);
    assert_true(choice.pack->input.std[0] == 255);
    assert_int_equal(choice.file->decode, HS_DECODE_YOLO_POSE_DECODED);
    assert_string_equal(choice.file->backend, "openvino");
    assert_int_equal(hs_store_verified_path(store, &choice, &path, &err), 0);
    free(path);
    hs_store_close(store);
    assert_int_equal(count_files(*state, ".import"), 0);
}

static void user_options_are_applied(void **state)
{
    struct hs_error err;
    struct hs_buf model;
    pose_onnx_decoded(&model, 0, 56, 0);
    write_model(*state, "plain.onnx", &model);
    refuse(*state, "plain.onnx", NAMED("mine"), HS_EMODEL,
           "plain.onnx: the file does not specify the number of keypoints");
    const struct hs_import_options options = { .name = "mine",
                                               .title = "Mine \"and\" yours\n",
                                               .licence = "MIT",
                                               .keypoints = 17,
                                               .dims = 3,
                                               .classes = 1,
                                               .input = 320 };
    assert_int_equal(import(*state, "plain.onnx", options, &err), 0);
    struct hs_store *store = store_fixture_open(*state);
    const struct hs_pack *pack = hs_store_find(store, "mine");
    assert_string_equal(pack->title, "Mine \"and\" yours?");
    assert_string_equal(pack->licence_name, "MIT");
    assert_int_equal(pack->input.width, 320);
    assert_int_equal(pack->input.stride, 32);
    assert_string_equal(pack->classes[0], "person");
    hs_store_close(store);
}

static void people_get_the_names_of_coco(void **state)
{
    struct hs_error err;
    char shipped[2000] = PACK_HEAD("shipped") "openvino: {file: shipped.onnx}\n", names[300] = "names: [";
    for (int i = 0; i < 17; i++)
        hs_str_format(names + strlen(names), sizeof(names) - strlen(names), "%sjoint_%d", i ? ", " : "", i);
    hs_str_format(names + strlen(names), sizeof(names) - strlen(names), "], edges: [[joint_0, joint_16]]}");
    char *at = strstr(shipped, "names: [a, b, c], edges: [[a, b], [c, b]]}"), rest[1000];
    hs_str_copy(rest, sizeof(rest), strchr(at, '\n'));
    hs_str_format(at, sizeof(shipped) - (size_t) (at - shipped), "%s%s", names, rest);
    store_fixture_add_pack(*state, "shipped", shipped);
    write_pose(*state, "a.onnx", "{0: 'person'}", 1, 17, 3);
    write_pose(*state, "b.onnx", "{0: 'horse'}", 1, 17, 3);
    assert_int_equal(import(*state, "a.onnx", NAMED("people"), &err), 0);
    assert_int_equal(import(*state, "b.onnx", NAMED("horses"), &err), 0);
    struct hs_store *store = store_fixture_open(*state);
    assert_string_equal(hs_store_find(store, "people")->keypoints[16], "joint_16");
    assert_int_equal(hs_store_find(store, "people")->edge_count, 1);
    assert_string_equal(hs_store_find(store, "horses")->keypoints[16], "keypoint_16");
    hs_store_close(store);
}

static void unusual_class_names(void **state)
{
    struct hs_error err;
    write_pose(*state, "a.onnx", "['', 'x', 'x', 'tab\\there', 'null', '~', '5', 'no\\xa0break', \"it's: #1\"]", 9, 3,
               3);
    assert_int_equal(import(*state, "a.onnx", NAMED("mine"), &err), 0);
    struct hs_store *store = store_fixture_open(*state);
    static const char *const wanted[] = { "class_0",
                                          "x",
                                          "class_2",
                                          "class_3",
                                          "null",
                                          "~",
                                          "5",
                                          ("no\xc2\xa0"
                                           "break"),
                                          "it's: #1" };
    for (size_t i = 0; i < 9; i++)
        assert_string_equal(hs_store_find(store, "mine")->classes[i], wanted[i]);
    hs_store_close(store);
}

static void names_in_use(void **state)
{
    struct hs_error err;
    store_fixture_add_pack(*state, "some-pose", PACK_HEAD("some-pose") "openvino: {file: some.onnx}\n");
    write_pose(*state, "a.onnx", "['a']", 1, 3, 3);
    write_pose(*state, "b.onnx", "['b']", 1, 3, 3);
    refuse(*state, "a.onnx", NAMED("some_pose"), HS_ECONFLICT, "some-pose is a built-in model");
    refuse(*state, "a.onnx", ((struct hs_import_options) { .name = "some-pose", .force = true }), HS_ECONFLICT,
           "is a built-in model");
    refuse(*state, "a.onnx", NAMED("auto"), HS_EINVAL, "auto");
    refuse(*state, "a.onnx", NAMED(NULL), HS_EINVAL, "a model name has");
    refuse(*state, "a.onnx", NAMED("../mine"), HS_EINVAL, "a model name has");
    refuse(*state, "a.onnx", NAMED("Mine"), HS_EINVAL, "a model name has");
    assert_false(folder_has(*state, "store"));
    assert_int_equal(import(*state, "a.onnx", NAMED("mine-1"), &err), 0);
    refuse(*state, "b.onnx", NAMED("mine-1"), HS_ECONFLICT, "--force");
    refuse(*state, "b.onnx", NAMED("mine_1"), HS_ECONFLICT, "--force");
    assert_int_equal(import(*state, "b.onnx", ((struct hs_import_options) { .name = "mine_1", .force = true }), &err),
                     0);
    struct hs_store *store = store_fixture_open(*state);
    assert_int_equal(hs_store_count(store), 2);
    assert_string_equal(hs_store_find(store, "mine-1")->classes[0], "b");
    hs_store_close(store);
    assert_int_equal(count_files(*state, ".onnx"), 1); /* the replaced file is deleted */
}

static void a_pack_that_cannot_be_read_is_not_overwritten(void **state)
{
    struct hs_error err;
    write_pose(*state, "a.onnx", "['a']", 1, 3, 3);
    assert_int_equal(hs_dir_make(folder_path(*state, "store/packs"), NULL), 0);
    folder_write(*state, "store/packs/mine.yaml", "name: [", 7);
    refuse(*state, "a.onnx", NAMED("mine"), HS_ECONFLICT, "--force");
    assert_int_equal(count_files(*state, ".onnx"), 0);
    assert_int_equal(import(*state, "a.onnx", ((struct hs_import_options) { .name = "mine", .force = true }), &err), 0);
}

static void importing_the_same_file_again(void **state)
{
    struct hs_error err;
    write_pose(*state, "a.onnx", "['a']", 1, 3, 3);
    assert_int_equal(import(*state, "a.onnx", NAMED("mine"), &err), 0);
    assert_int_equal(import(*state, "a.onnx", ((struct hs_import_options) { .name = "mine", .force = true }), &err), 0);
    assert_int_equal(count_files(*state, ".onnx"), 1);
}

static void unsupported_models_are_rejected(void **state)
{
    struct hs_buf model, graph, tensor;
    pose_onnx_decoded(&model, 640, 84, 8400);
    pose_onnx_prop(&model, "task", "detect");
    write_model(*state, "detect.onnx", &model);
    refuse(*state, "detect.onnx", NAMED("mine"), HS_EMODEL, "detect.onnx: the task of the model is \"detect\"");

    const int dims[] = { 1, 3, 64, 64 };
    hs_buf_init(&model, POSE_ONNX_MAX);
    hs_buf_init(&graph, POSE_ONNX_MAX);
    hs_buf_init(&tensor, POSE_ONNX_MAX);
    onnx_value(&graph, 11, "images", dims, 4);
    onnx_text(&tensor, 8, "w");
    onnx_int(&tensor, 14, 1);
    onnx_message(&graph, 5, &tensor);
    onnx_model(&model, &graph);
    write_model(*state, "external.onnx", &model);
    refuse(*state, "external.onnx", NAMED("mine"), HS_EMODEL, "external.onnx: the weights are stored in other files");

    folder_write(*state, "best.pt", "no checkpoint", 13);
    refuse(*state, "best.pt", NAMED("mine"), HS_EMODEL, "best.pt");
    folder_write(*state, "zip.pt", "PK\x03\x04 and no more", 16);
    refuse(*state, "zip.pt", NAMED("mine"), HS_EMODEL, "zip.pt");
    folder_write(*state, "nothing.onnx", "", 0);
    refuse(*state, "nothing.onnx", NAMED("mine"), HS_EMODEL, "nothing.onnx");
    refuse(*state, "absent.onnx", NAMED("mine"), HS_ENOTFOUND, "absent.onnx");
    assert_int_equal(mkfifo(folder_path(*state, "fifo"), 0600), 0);
    refuse(*state, "fifo", NAMED("mine"), HS_EIO, "is not a regular file");
    refuse(*state, ".", NAMED("mine"), HS_EIO, "is not a regular file");
    assert_int_equal(count_files(*state, ".onnx"), 0);
    assert_int_equal(count_files(*state, ".import"), 0);
    struct hs_store *store = store_fixture_open(*state);
    assert_int_equal(hs_store_count(store), 0);
    hs_store_close(store);
}

static void a_hef_is_assumed_to_be_from_the_model_zoo(void **state)
{
    struct hs_error err;
    folder_write(*state, "mine.hef", "\x01HEF and more", 13);
    assert_int_equal(import(*state, "mine.hef", NAMED("mine"), &err), 0);
    assert_int_equal(
        import(*state, "mine.hef",
               ((struct hs_import_options) { .name = "other", .keypoints = 4, .dims = 2, .classes = 3, .input = 512 }),
               &err),
        0);
    struct hs_store *store = store_fixture_open(*state);
    struct hs_model_choice choice = store_fixture_choice(store, "mine");
    assert_string_equal(choice.file->backend, "hailo");
    assert_true(hs_str_ends(choice.file->name, ".hef"));
    assert_int_equal(choice.file->decode, HS_DECODE_YOLO_POSE_RAW);
    assert_int_equal(choice.file->scores, HS_SCORES_PROBABILITIES);
    assert_int_equal(choice.pack->keypoint_count, 17);
    assert_int_equal(choice.pack->input.width, 640);
    assert_string_equal(choice.pack->licence_name, "not stated");
    choice = store_fixture_choice(store, "other");
    assert_int_equal(choice.pack->keypoint_count, 4);
    assert_int_equal(choice.pack->class_count, 3);
    assert_int_equal(choice.pack->input.height, 512);
    hs_store_close(store);
}

/* ---- faces ---- */

static void a_face_detector(void **state)
{
    struct hs_error err;
    struct hs_buf model;
    face_onnx_scrfd(&model, 0, 640, true, false);
    write_model(*state, "det.onnx", &model);
    assert_int_equal(import(*state, "det.onnx", NAMED("mine"), &err), 0);
    struct hs_store *store = store_fixture_open(*state);
    assert_null(hs_store_warning(store));
    struct hs_model_choice choice = store_fixture_choice(store, "mine");
    assert_int_equal(choice.pack->task, HS_TASK_FACE_DETECTION);
    assert_int_equal(choice.file->decode, HS_DECODE_SCRFD);
    assert_int_equal(choice.pack->input.stride, 32);
    assert_true(choice.pack->input.mean[0] == 127.5f && choice.pack->input.std[0] == 128);
    hs_store_close(store);
    const struct hs_import_options options = { .name = "mine", .force = true, .normalize = "127,64.5", .input = 320 };
    assert_int_equal(import(*state, "det.onnx", options, &err), 0);
    store = store_fixture_open(*state);
    choice = store_fixture_choice(store, "mine");
    assert_true(choice.pack->input.mean[2] == 127 && choice.pack->input.std[0] == 64.5f);
    assert_int_equal(choice.pack->input.width, 320);
    hs_store_close(store);
    face_onnx_retinaface(&model, 640, 16800);
    write_model(*state, "retina.onnx", &model);
    assert_int_equal(import(*state, "retina.onnx", NAMED("retina"), &err), 0);
    store = store_fixture_open(*state);
    choice = store_fixture_choice(store, "retina");
    assert_true(choice.pack->input.bgr && choice.pack->input.mean[0] == 123 && choice.pack->input.stride == 0);
    hs_store_close(store);
}

static void an_embedding_gets_a_space_of_its_own(void **state)
{
    struct hs_error err;
    struct hs_buf model;
    char space[120];
    face_onnx_arcface(&model, 0, 112, 256);
    write_model(*state, "arc.onnx", &model);
    assert_int_equal(import(*state, "arc.onnx", NAMED("mine"), &err), 0);
    const struct hs_import_options options = { .name = "other", .threshold = 0.35 };
    assert_int_equal(import(*state, "arc.onnx", options, &err), 0);
    struct hs_store *store = store_fixture_open(*state);
    struct hs_model_choice choice = store_fixture_choice(store, "mine");
    assert_int_equal(choice.pack->task, HS_TASK_FACE_EMBEDDING);
    assert_int_equal(choice.pack->embedding.dimension, 256);
    assert_true(choice.pack->embedding.threshold == 0.5f && choice.pack->embedding.threshold_min == 0);
    hs_str_format(space, sizeof(space), "mine-%.12s", choice.file->sha256);
    assert_string_equal(choice.pack->embedding.space, space);
    choice = store_fixture_choice(store, "other");
    assert_true(choice.pack->embedding.threshold == 0.35f);
    assert_string_not_equal(choice.pack->embedding.space, space);
    hs_store_close(store);
}

static void options_that_do_not_fit_the_model(void **state)
{
    static const enum hs_task pose[] = { HS_TASK_POSE }, faces[] = { HS_TASK_FACE_DETECTION, HS_TASK_FACE_EMBEDDING };
    struct hs_buf model;
    face_onnx_scrfd(&model, 64, 64, true, true);
    write_model(*state, "det.onnx", &model);
    face_onnx_arcface(&model, 0, 112, 10);
    write_model(*state, "ten.onnx", &model);
    write_pose(*state, "pose.onnx", "{0: 'person'}", 1, 17, 3);
    folder_write(*state, "a.hef", "\x01HEF....", 8);
    refuse(*state, "det.onnx", (struct hs_import_options) { .name = "a", .keypoints = 5 }, HS_EINVAL,
           "apply to pose models only");
    refuse(*state, "det.onnx", (struct hs_import_options) { .name = "a", .threshold = 0.5 }, HS_EINVAL,
           "applies to face-embedding models only; this is a face-detection model");
    refuse(*state, "pose.onnx", (struct hs_import_options) { .name = "a", .threshold = 0.5 }, HS_EINVAL,
           "this is a pose model");
    refuse(*state, "pose.onnx", (struct hs_import_options) { .name = "a", .normalize = "1,2" }, HS_EINVAL,
           "applies to face models only");
    static const char *const wrong[] = { "", "1", "1,", ",1", "1,0", "1,2,3", "a,b", "1,nan", "inf,1" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refuse(*state, "det.onnx", (struct hs_import_options) { .name = "a", .normalize = wrong[i] }, HS_EINVAL,
               "must be MEAN,STD");
    refuse(*state, "det.onnx", (struct hs_import_options) { .name = "a", .tasks = pose, .task_count = 1 }, HS_EMODEL,
           "this program does not serve face-detection models");
    refuse(*state, "pose.onnx", (struct hs_import_options) { .name = "a", .tasks = faces, .task_count = 2 }, HS_EMODEL,
           "this program does not serve pose models");
    refuse(*state, "a.hef", (struct hs_import_options) { .name = "a", .tasks = faces, .task_count = 2 }, HS_EMODEL,
           "it does not describe its network");
    refuse(*state, "ten.onnx", NAMED("a"), HS_EMODEL, "ten.onnx: the embedding has 10 numbers");
    assert_int_equal(count_files(*state, ".onnx"), 0);
    assert_int_equal(count_files(*state, ".import"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_ordinary_export),
        STORE_TEST(user_options_are_applied),
        STORE_TEST(people_get_the_names_of_coco),
        STORE_TEST(unusual_class_names),
        STORE_TEST(names_in_use),
        STORE_TEST(a_pack_that_cannot_be_read_is_not_overwritten),
        STORE_TEST(importing_the_same_file_again),
        STORE_TEST(unsupported_models_are_rejected),
        STORE_TEST(a_hef_is_assumed_to_be_from_the_model_zoo),
        STORE_TEST(a_face_detector),
        STORE_TEST(an_embedding_gets_a_space_of_its_own),
        STORE_TEST(options_that_do_not_fit_the_model),
    };
    return HS_RUN_TESTS(tests);
}
