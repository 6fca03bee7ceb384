#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "models/pack.h"
#include "pack_text.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct hs_pack *parse(const char *text)
{
    struct hs_pack *pack = NULL;
    struct hs_error err = { 0 };
    if (hs_pack_parse(text, strlen(text), "pack", &pack, &err) < 0)
        fail_msg("%s", err.message);
    return pack;
}

static void refuse(const char *text, const char *message)
{
    struct hs_pack *pack = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_pack_parse(text, strlen(text), "pack", &pack, &err), HS_EINVAL);
    assert_null(pack);
    if (!strstr(err.message, message))
        fail_msg("\"%s\" does not say \"%s\"", err.message, message);
    assert_true(err.line > 0);
}

/* ---- shipped packs ---- */

static struct hs_pack *shipped(const char *name)
{
    char path[4096];
    struct hs_pack *pack = NULL;
    struct hs_error err = { 0 };
    assert_true(hs_str_format(path, sizeof(path), "%s/models/%s.yaml", getenv("HS_SOURCE_DIR"), name));
    if (hs_pack_load(path, &pack, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(pack->name, name);
    assert_string_equal(pack->path, path);
    return pack;
}

static void every_ultralytics_model(void **state)
{
    (void) state;
    static const char *const names[] = { "yolov8n", "yolov8s", "yolov8m", "yolov8l", "yolov8x",
                                         "yolo11n", "yolo11s", "yolo11m", "yolo11l", "yolo11x" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        char name[40], end[60];
        snprintf(name, sizeof(name), "%s-pose", names[i]);
        struct hs_pack *pack = shipped(name);
        assert_int_equal(pack->task, HS_TASK_POSE);
        assert_non_null(strstr(pack->licence_name, "AGPL"));
        assert_non_null(pack->licence_note);
        assert_int_equal(pack->class_count, 1);
        assert_int_equal(pack->keypoint_count, 17);
        assert_int_equal(pack->keypoint_dims, 3);
        assert_true(pack->edge_count > 15);
        assert_int_equal(pack->input.width, 640);
        assert_int_equal(pack->input.stride, 32);
        assert_false(pack->input.bgr);
        const struct hs_pack_file *file = hs_pack_find_file(pack, "openvino", NULL);
        assert_non_null(file);
        assert_int_equal(file->decode, HS_DECODE_YOLO_POSE_RAW);
        assert_int_equal(file->scores, HS_SCORES_LOGITS);
        const struct hs_source *source = &file->sources[0];
        snprintf(end, sizeof(end), "/%s.pt", name);
        assert_int_equal(source->kind, HS_SOURCE_HTTPS);
        assert_int_equal(source->convert, HS_CONVERT_PT2ONNX);
        assert_true(hs_str_starts(source->address, "https://github.com/ultralytics/assets/releases/download/"));
        assert_true(hs_str_ends(source->address, end));
        hs_pack_destroy(pack);
    }
}

/* Each version of HailoRT has its own file, whose hash is recorded by the first fetch. */
static void a_file_for_each_hailort(void **state)
{
    (void) state;
    static const char *const names[] = { "yolov8s-pose", "yolov8m-pose",         "scrfd-500m",           "scrfd-2.5g",
                                         "scrfd-10g",    "retinaface-mobilenet", "arcface-mobilefacenet" },
                             *const versions[] = { "5.1", "5.2", "5.3", "5.4" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        struct hs_pack *pack = shipped(names[i]);
        for (size_t v = 0; v < HS_ARRAY_LEN(versions); v++) {
            const struct hs_pack_file *file = hs_pack_find_file(pack, "hailo", versions[v]);
            assert_non_null(file);
            assert_string_equal(file->runtime, versions[v]);
            assert_non_null(strstr(file->name, versions[v]));
            assert_non_null(strstr(file->sources[0].address, versions[v]));
            assert_null(file->sha256);
        }
        assert_null(hs_pack_find_file(pack, "hailo", "5.5.0"));
        hs_pack_destroy(pack);
    }
}

static void hailo_files_of_the_zoo(void **state)
{
    (void) state;
    static const char *const names[] = { "yolov8s", "yolov8m" };
    static const char *const versions[] = { "5.1.1", "5.2.0", "5.3.0", "5.4.1" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        char name[40], address[200];
        snprintf(name, sizeof(name), "%s-pose", names[i]);
        struct hs_pack *pack = shipped(name);
        for (size_t v = 0; v < HS_ARRAY_LEN(versions); v++) {
            const struct hs_pack_file *file = hs_pack_find_file(pack, "hailo", versions[v]);
            assert_non_null(file);
            snprintf(address, sizeof(address),
                     "https://hailo-model-zoo.s3.eu-west-2.amazonaws.com/ModelZoo/Compiled/"
                     "v%.3s.0/hailo10h/%s_pose.hef",
                     versions[v], names[i]);
            assert_string_equal(file->sources[0].address, address);
            assert_null(file->sha256); /* no hash is published */
            assert_int_equal(file->scores, HS_SCORES_PROBABILITIES);
        }
        assert_null(hs_pack_find_file(pack, "hailo", "4.20.0"));
        hs_pack_destroy(pack);
    }
}

static void the_default_has_a_package_too(void **state)
{
    (void) state;
    struct hs_pack *pack = shipped("yolo11n-pose");
    const struct hs_pack_file *file = hs_pack_find_file(pack, "openvino", NULL);
    assert_non_null(file->sha256);
    assert_true(file->size > 0);
    assert_int_equal(file->source_count, 2);
    assert_int_equal(file->sources[1].kind, HS_SOURCE_PYPI_WHEEL);
    assert_string_equal(file->sources[1].member_sha256, file->sources[0].sha256);
    hs_pack_destroy(pack);
}

/* ---- valid and invalid packs ---- */

static void a_small_pack(void **state)
{
    (void) state;
    struct hs_pack *pack = parse(PACK_HEAD("mine") "openvino:\n  file: mine.onnx\n");
    assert_string_equal(pack->name, "mine");
    assert_string_equal(pack->licence_url, "https://example.org/licence");
    assert_string_equal(pack->keypoints[2], "c");
    assert_int_equal(pack->edges[1][0], 2);
    assert_int_equal(pack->edges[1][1], 1);
    assert_true(pack->input.std[1] == 1);
    assert_int_equal(pack->file_count, 1);
    assert_int_equal(pack->files[0].source_count, 0);
    assert_int_equal(pack->files[0].size, 0);
    assert_null(pack->path);
    assert_null(hs_pack_find_file(pack, "hailo", NULL));
    struct hs_model_spec spec;
    hs_pack_spec(pack, "/a/path", &spec);
    assert_string_equal(spec.path, "/a/path");
    assert_int_equal(spec.input_w, 64);
    assert_int_equal(spec.slots, 1);
    hs_pack_destroy(pack);
    hs_pack_destroy(NULL);
}

static void all_kinds_of_sources(void **state)
{
    (void) state;
    static const char text[] =
        PACK_HEAD("mine") "openvino:\n"
                          "  file: mine.onnx\n"
                          "  size: 5\n"
                          "  sha256: " HEX "\n"
                          "  sources:\n"
                          "    - https: https://example.org/a.pt\n"
                          "      convert: pt2onnx\n"
                          "    - https: http://127.0.0.1:8000/a.onnx\n"
                          "    - https: http://localhost:8000/\n"
                          "    - file: /srv/a.zip\n"
                          "      sha256: " HEX "\n"
                          "      member: a/b.onnx\n"
                          "      member_sha256: " HEX "\n"
                          "    - pypi: {package: some-thing, version: 1.0.post1, kind: sdist, file: a.tgz, sha256: " HEX
                          ", member: b}\n"
                          "    - npm: {package: \"@scope/some.thing\", version: 1.2.3, sha256: " HEX
                          ", member: package/b}\n";
    struct hs_pack *pack = parse(text);
    const struct hs_pack_file *file = &pack->files[0];
    assert_int_equal(file->source_count, 6);
    assert_int_equal(file->sources[0].convert, HS_CONVERT_PT2ONNX);
    assert_int_equal(file->sources[1].convert, HS_CONVERT_NONE);
    assert_int_equal(file->sources[3].kind, HS_SOURCE_FILE);
    assert_string_equal(file->sources[3].member, "a/b.onnx");
    assert_int_equal(file->sources[4].kind, HS_SOURCE_PYPI_SDIST);
    assert_string_equal(file->sources[4].version, "1.0.post1");
    assert_int_equal(file->sources[5].kind, HS_SOURCE_NPM);
    assert_null(file->sources[5].file);
    hs_pack_destroy(pack);
}

static void a_file_for_each_runtime(void **state)
{
    (void) state;
    struct hs_pack *pack =
        parse(PACK_HEAD("mine") "hailo:\n"
                                "  - {runtime: \"5.1\", file: a.hef, scores: probabilities}\n"
                                "  - {runtime: \"5.2\", file: b.hef}\n"
                                "openvino: {file: c.onnx, decode: yolo-pose-decoded, scores: probabilities}\n");
    assert_string_equal(hs_pack_find_file(pack, "hailo", "5.1")->name, "a.hef");
    assert_string_equal(hs_pack_find_file(pack, "hailo", "5.2.0")->name, "b.hef");
    assert_null(hs_pack_find_file(pack, "hailo", "5.20"));
    assert_null(hs_pack_find_file(pack, "hailo", "5"));
    assert_string_equal(hs_pack_find_file(pack, "hailo", NULL)->name, "a.hef");
    assert_string_equal(hs_pack_find_file(pack, "openvino", "2026.1")->name, "c.onnx");
    assert_int_equal(hs_pack_find_file(pack, "hailo", "5.1")->scores, HS_SCORES_PROBABILITIES);
    assert_int_equal(hs_pack_find_file(pack, "hailo", "5.2")->scores, HS_SCORES_LOGITS);
    assert_int_equal(hs_pack_find_file(pack, "openvino", NULL)->decode, HS_DECODE_YOLO_POSE_DECODED);
    hs_pack_destroy(pack);
}

/* Parses a pack in which one text is replaced; it must be refused. */
static void refuse_changed(const char *from, const char *to, const char *message)
{
    static const char whole[] = PACK_HEAD("mine") "openvino:\n  file: mine.onnx\n  size: 5\n";
    char text[2000];
    const char *at = strstr(whole, from);
    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int) (at - whole), whole, to, at + strlen(from));
    refuse(text, message);
}

static void invalid_packs(void **state)
{
    (void) state;
    refuse("", "`name` is missing");
    refuse("- a", "must be a map");
    refuse("name: [", "");
    refuse_changed("name: mine", "name: Mine", "pack:1: `name`");
    refuse_changed("name: mine", "name: ../mine", "`name`");
    refuse_changed("name: mine", "name: .mine", "`name`");
    refuse_changed("task: pose", "task: dance", "pack:2: `task` must be one of: pose");
    refuse_changed("task: pose", "task: face-detection", "does not match the task");
    refuse_changed("task: pose", "task: pose\nshoe: 44", "unknown key `shoe` in a pack");
    refuse_changed("title: A pose model for tests", "title: \"\"", "`title`");
    refuse_changed("  name: MIT", "  title: MIT", "unknown key `title` in licence");
    refuse_changed("width: 64", "width: 65", "multiples of stride");
    refuse_changed("width: 64", "width: 0", "pack:8: `width` must be a whole number from 8 to 8192");
    refuse_changed("height: 64, ", "", "`height` is missing");
    refuse_changed("stride: 32", "stride: 32, mean: [0, 0]", "`mean` must be three numbers");
    refuse_changed("stride: 32", "stride: 32, std: [0, 1, 1]", "`std` must be three numbers");
    refuse_changed("stride: 32", "stride: 32, std: [.nan, 1, 1]", "`std` must be three numbers");
    refuse_changed("decode: yolo-pose-raw", "decode: guess", "`decode` must be one of");
    refuse_changed("decode: yolo-pose-raw", "decode: arcface", "does not match the task pose");
    refuse_changed("decode: yolo-pose-raw", "decode: yolo-pose-decoded\nscores: logits", "scores: probabilities");
    refuse_changed("classes: [person]", "classes: []", "`classes` must be a list of 1 to 1000");
    refuse_changed("classes: [person]", "classes: [a, b, a]", "each of `classes`");
    refuse_changed("classes: [person]", "classes: [[a]]", "each of `classes`");
    refuse_changed("dims: 3", "dims: 4", "`dims`");
    refuse_changed("edges: [[a, b], [c, b]]", "edges: [[a, d]]", "an edge must be a pair");
    refuse_changed("edges: [[a, b], [c, b]]", "edges: [[a, a]]", "an edge must be a pair");
    refuse_changed("edges: [[a, b], [c, b]]", "edges: [[a, b, c]]", "an edge must be a pair");
    refuse_changed("edges: [[a, b], [c, b]]", "edges: a", "`edges` must be a list");
    refuse_changed("classes: [person]", "scores: many\nclasses: [person]", "`scores` must be one of");
    refuse_changed("  size: 5", "  size: 0", "`size`");
    refuse_changed("  size: 5", "  size: 99999999999", "`size`");
    refuse_changed("  size: 5", "  sha256: abc", "pack:16: `sha256`");
    refuse_changed("openvino:\n  file: mine.onnx\n  size: 5\n", "", "1 to 16 files");
    refuse_changed("openvino:\n", "cuda:\n", "unknown key `cuda` in a pack");
}

static void file_names_stay_in_the_store(void **state)
{
    (void) state;
    static const char *const bad[] = { "../a", "a/b", ".a",     "-a",       "a b",    "\"\"",  "a\\\\b",
                                       "/a",   "ä",   "a.part", "a.sha256", "a.lock", "a.tmp", "a.part.from" };
    for (size_t i = 0; i < HS_ARRAY_LEN(bad); i++) {
        char text[2000];
        snprintf(text, sizeof(text), PACK_HEAD("mine") "openvino:\n  file: \"%s\"\n",
                 strcmp(bad[i], "\"\"") ? bad[i] : "");
        refuse(text, "pack:15: `file`");
    }
    char name[130];
    memset(name, 'a', sizeof(name));
    name[120] = '\0';
    assert_true(hs_pack_file_name_valid(name));
    name[120] = 'a';
    name[121] = '\0';
    assert_false(hs_pack_file_name_valid(name));
}

static void refuse_source(const char *source, const char *message)
{
    char text[3000];
    snprintf(text, sizeof(text), PACK_HEAD("mine") "openvino:\n  file: a.onnx\n  sources:\n    - %s\n", source);
    refuse(text, message);
}

static void invalid_sources(void **state)
{
    (void) state;
    refuse_source("{}", "exactly one of: https, file, pypi, npm");
    refuse_source("{https: https://a/b, file: /a}", "exactly one of");
    refuse_source("{https: https://a/b, shoe: 1}", "unknown key `shoe` in a source");
    refuse_source("{https: http://example.org/a}", "`https` must begin with https://");
    refuse_source("{https: ftp://example.org/a}", "`https` must begin with https://");
    refuse_source("{https: file:///etc/passwd}", "`https` must begin with https://");
    refuse_source("{https: \"http://127.0.0.1:x@example.org/a\"}", "`https` must begin with https://");
    refuse_source("{https: \"http://127.0.0.1:80@example.org/a\"}", "`https` must begin with https://");
    refuse_source("{https: \"http://127.0.0.1.example.org/a\"}", "`https` must begin with https://");
    refuse_source("{file: a/b}", "`file` must be an absolute path");
    refuse_source("{https: https://a/b, convert: onnx2pt}", "`convert` must be one of: pt2onnx, free-size, free-batch");
    refuse_source("{file: /a/b, member: c}", "an archive requires `sha256`");
    refuse_source("{https: https://a/b, member_sha256: " HEX "}", "`member_sha256` requires `member`");
    refuse_source("{npm: {package: a, version: 1, member: b}}", "an archive requires `sha256`");
    refuse_source("{npm: {package: a, version: 1, sha256: " HEX "}}", "`member` is missing");
    refuse_source("{npm: {package: a, version: 1, sha256: " HEX ", member: b}, sha256: " HEX "}", "belong under `npm`");
    refuse_source("{npm: {package: --version, version: 1, sha256: " HEX ", member: b}}",
                  "`package` is not a valid package name");
    refuse_source("{npm: {package: ../a, version: 1, sha256: " HEX ", member: b}}",
                  "`package` is not a valid package name");
    refuse_source("{npm: {package: \"@a/../b\", version: 1, sha256: " HEX ", member: b}}",
                  "`package` is not a valid package name");
    refuse_source("{npm: {package: \"@/b\", version: 1, sha256: " HEX ", member: b}}",
                  "`package` is not a valid package name");
    refuse_source("{npm: {package: a, version: \">1 || 2\", sha256: " HEX ", member: b}}",
                  "`version` is not a valid version");
    refuse_source("{pypi: {package: a, version: 1, kind: egg}}", "`kind` must be one of: wheel, sdist");
    refuse_source("{pypi: {package: a, version: 1, kind: wheel, file: ../a.whl}}", "`file` is not a valid file name");
}

static void refuse_many(const char *head, const char *line, int count, const char *message)
{
    char text[8000];
    size_t used = (size_t) snprintf(text, sizeof(text), "%s", head);
    for (int i = 0; i < count; i++)
        used += (size_t) snprintf(text + used, sizeof(text) - used, "%s", line);
    refuse(text, message);
}

static void limits_are_enforced(void **state)
{
    (void) state;
    refuse_many(PACK_HEAD("mine") "openvino:\n  file: a.onnx\n  sources:\n", "    - https: https://example.org/a\n",
                HS_PACK_MAX_SOURCES + 1, "`sources` must be a list of at most 8");
    refuse_many(PACK_HEAD("mine") "hailo:\n", "  - file: a.hef\n", HS_PACK_MAX_FILES + 1, "1 to 16 files");
}

static void write_labels(struct hs_buf *text, const char *head, int count, const char *tail)
{
    hs_buf_append_str(text, head);
    for (int i = 0; i < count; i++)
        hs_buf_printf(text, "%sn%d", i ? ", " : "", i);
    hs_buf_append_str(text, tail);
}

static void classes_and_keypoints_up_to_the_limit(void **state)
{
    (void) state;
    for (int more = 0; more < 3; more++) {
        int classes = HS_MODEL_MAX_CLASSES + (more == 1), keypoints = HS_MODEL_MAX_KEYPOINTS + (more == 2);
        struct hs_buf text;
        hs_buf_init(&text, 1 << 20);
        hs_buf_append_str(&text, "name: mine\ntask: pose\ntitle: t\nlicence: {name: MIT}\ndecode: yolo-pose-raw\n"
                                 "input: {width: 64, height: 64}\nopenvino: {file: a.onnx}\n");
        write_labels(&text, "classes: [", classes, "]\n");
        write_labels(&text, "keypoints: {dims: 3, names: [", keypoints, "], edges: []}\n");
        if (more) {
            refuse(hs_buf_str(&text), more == 1 ? "`classes` must be a list of 1 to 1000 names"
                                                : "`names` must be a list of 1 to 256 names");
        } else {
            struct hs_pack *pack = parse(hs_buf_str(&text));
            assert_int_equal(pack->class_count, classes);
            assert_int_equal(pack->keypoint_count, keypoints);
            assert_string_equal(pack->keypoints[keypoints - 1], "n255");
            hs_pack_destroy(pack);
        }
        hs_buf_finish(&text);
    }
}

static void an_invalid_pack_names_its_path(void **state)
{
    (void) state;
    struct hs_pack *pack = NULL;
    struct hs_error err = { 0 };
    assert_int_equal(hs_pack_load("/nowhere/a.yaml", &pack, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "/nowhere/a.yaml"));
}

static void names(void **state)
{
    (void) state;
    assert_true(hs_pack_name_equal("yolov8s_pose", "yolov8s-pose"));
    assert_true(hs_pack_name_equal("YOLOv8s-Pose", "yolov8s_pose"));
    assert_false(hs_pack_name_equal("yolov8s-pose", "yolov8s-pos"));
    assert_false(hs_pack_name_equal("", "a"));
    assert_true(hs_pack_name_valid("a-1_2.b"));
    assert_true(hs_pack_name_valid("8"));
    static const char *const bad[] = { "", "A", "-a", ".", "..", "a/b", "a b", "ä", "_a" };
    for (size_t i = 0; i < HS_ARRAY_LEN(bad); i++)
        assert_false(hs_pack_name_valid(bad[i]));
    char name[HS_PACK_NAME_SIZE + 1];
    memset(name, 'a', sizeof(name));
    name[HS_PACK_NAME_SIZE] = '\0';
    assert_false(hs_pack_name_valid(name));
    name[HS_PACK_NAME_SIZE - 1] = '\0';
    assert_true(hs_pack_name_valid(name));
    assert_string_equal(hs_task_name(HS_TASK_FACE_EMBEDDING), "face-embedding");
    assert_string_equal(hs_decode_name(HS_DECODE_ARCFACE), "arcface");
}

/* ---- faces ---- */

#define FACE_HEAD(task, size, decode)                                                                                  \
    "name: f\ntask: " task "\ntitle: t\nlicence: {name: MIT}\n"                                                        \
    "input: {width: " size ", height: " size "}\ndecode: " decode "\nopenvino: {file: f.onnx}\n"
#define EMBEDDING_HEAD FACE_HEAD("face-embedding", "112", "arcface")
#define DETECTION_HEAD FACE_HEAD("face-detection", "64", "scrfd")

static void shipped_detectors(void **state)
{
    (void) state;
    static const char *const names[] = { "scrfd-500m", "scrfd-2.5g", "scrfd-10g", "retinaface-mobilenet" };
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        struct hs_pack *pack = shipped(names[i]);
        bool retina = i == 3;
        assert_int_equal(pack->task, HS_TASK_FACE_DETECTION);
        assert_int_equal(pack->files[0].decode, retina ? HS_DECODE_RETINAFACE : HS_DECODE_SCRFD);
        assert_int_equal(pack->files[0].scores, retina ? HS_SCORES_LOGITS : HS_SCORES_PROBABILITIES);
        assert_float_equal(pack->detection.score, 0.5, 1e-6);
        assert_float_equal(pack->detection.iou, 0.4, 1e-6);
        assert_true(pack->input.bgr == retina);
        assert_true(pack->input.mean[0] == (retina ? 123.0f : 127.5f)); /* of R, in any channel order */
        assert_true(hs_pack_find_file(pack, "openvino", NULL) ? !retina : retina);
        assert_non_null(hs_pack_find_file(pack, "hailo", "5.1.1"));
        assert_non_null(strstr(hs_pack_find_file(pack, "hailo", "5.2.0")->sources[0].address, "/v5.2.0/hailo10h/"));
        hs_pack_destroy(pack);
    }
}

static void shipped_embeddings(void **state)
{
    (void) state;
    static const struct {
        const char *name, *space;
        float mean, std, threshold, threshold_min;
    } rows[] = {
        { "mobilefacenet-faceplugin", "faceplugin-mobilefacenet-v1", 127, 128, 0.5f, 0.4f },
        { "w600k-mbf", "insightface-w600k-mbf", 127.5f, 127.5f, 0.4f, 0.3f },
        { "arcface-mobilefacenet", "hailo-arcface-mobilefacenet", 127.5f, 127.5f, 0.5f, 0.4f },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        struct hs_pack *pack = shipped(rows[i].name);
        assert_int_equal(pack->task, HS_TASK_FACE_EMBEDDING);
        assert_string_equal(pack->embedding.space, rows[i].space);
        assert_int_equal(pack->embedding.dimension, 512);
        assert_true(pack->embedding.threshold == rows[i].threshold);
        assert_true(pack->embedding.threshold_min == rows[i].threshold_min);
        assert_true(pack->input.mean[1] == rows[i].mean && pack->input.std[2] == rows[i].std);
        hs_pack_destroy(pack);
    }
}

static void defaults_come_from_packages(void **state)
{
    (void) state;
    struct hs_pack *detector = shipped("scrfd-2.5g"), *embedder = shipped("mobilefacenet-faceplugin");
    const struct hs_pack_file *file = hs_pack_find_file(detector, "openvino", NULL);
    assert_true(hs_pack_name_equal(detector->name, "scrfd_2.5g"));
    assert_int_equal(file->sources[0].kind, HS_SOURCE_PYPI_SDIST);
    assert_int_equal(file->sources[0].convert, HS_CONVERT_DYNAMIC_SIZE);
    assert_true(file->sha256 && file->sources[0].member_sha256);
    file = hs_pack_find_file(embedder, "openvino", NULL);
    assert_int_equal(file->sources[0].kind, HS_SOURCE_NPM);
    assert_int_equal(file->sources[0].convert, HS_CONVERT_DYNAMIC_BATCH);
    assert_true(file->sha256 && file->sources[0].member_sha256);
    hs_pack_destroy(detector);
    hs_pack_destroy(embedder);
}

static void an_embedding_names_its_space(void **state)
{
    (void) state;
    struct hs_pack *pack = parse(EMBEDDING_HEAD "embedding: {space: s-v1, dimension: 512, threshold: 0.5,"
                                                " threshold_min: 0.4}\n");
    assert_string_equal(pack->embedding.space, "s-v1");
    assert_int_equal(pack->embedding.dimension, 512);
    assert_float_equal(pack->embedding.threshold, 0.5, 1e-6);
    assert_float_equal(pack->embedding.threshold_min, 0.4, 1e-6);
    assert_true(pack->detection.score == 0 && pack->detection.iou == 0);
    assert_int_equal(pack->files[0].decode, HS_DECODE_ARCFACE);
    hs_pack_destroy(pack);
    pack = parse(EMBEDDING_HEAD "embedding: {space: s, dimension: 128, threshold: 0.3}\n");
    assert_true(pack->embedding.threshold_min == 0);
    hs_pack_destroy(pack);
}

static void a_wrong_embedding_is_refused(void **state)
{
    (void) state;
    refuse(EMBEDDING_HEAD, "embedding");
    refuse(EMBEDDING_HEAD "embedding: {dimension: 512, threshold: 0.5}\n", "space");
    refuse(EMBEDDING_HEAD "embedding: {space: s, threshold: 0.5}\n", "dimension");
    refuse(EMBEDDING_HEAD "embedding: {space: s, dimension: 512}\n", "threshold");
    refuse(EMBEDDING_HEAD "embedding: {space: s, dimension: 5000, threshold: 0.5}\n", "8 to 4096");
    refuse(EMBEDDING_HEAD "embedding: {space: s, dimension: 512, threshold: 1.5}\n", "0 to 1");
    refuse(EMBEDDING_HEAD "embedding: {space: s, dimension: 512, threshold: 0.3, threshold_min: 0.4}\n",
           "must not be below `threshold_min`");
    refuse(DETECTION_HEAD "embedding: {space: s, dimension: 512, threshold: 0.5}\n", "only face-embedding packs");
    refuse(FACE_HEAD("face-embedding", "128", "arcface") "embedding: {space: s, dimension: 512, threshold: 0.5}\n",
           "must be 112 x 112");
    refuse(FACE_HEAD("face-embedding", "112", "scrfd") "embedding: {space: s, dimension: 512, threshold: 0.5}\n",
           "does not match the task");
}

static void a_detector_may_have_defaults(void **state)
{
    (void) state;
    struct hs_pack *pack = parse(DETECTION_HEAD);
    assert_true(pack->detection.score == 0 && pack->detection.iou == 0);
    assert_null(pack->embedding.space);
    assert_int_equal(pack->files[0].scores, HS_SCORES_PROBABILITIES);
    hs_pack_destroy(pack);
    pack = parse(DETECTION_HEAD "detection: {score: 0.5, iou: 0.4}\n");
    assert_float_equal(pack->detection.score, 0.5, 1e-6);
    assert_float_equal(pack->detection.iou, 0.4, 1e-6);
    hs_pack_destroy(pack);
    refuse(DETECTION_HEAD "detection: {score: 0}\n", "0.01 to 1");
    refuse(DETECTION_HEAD "detection: {nms: 0.4}\n", "nms");
    refuse(EMBEDDING_HEAD "embedding: {space: s, dimension: 512, threshold: 0.5}\ndetection: {score: 0.5}\n",
           "only face-detection packs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ultralytics_model),
        cmocka_unit_test(a_file_for_each_hailort),
        cmocka_unit_test(hailo_files_of_the_zoo),
        cmocka_unit_test(the_default_has_a_package_too),
        cmocka_unit_test(a_small_pack),
        cmocka_unit_test(all_kinds_of_sources),
        cmocka_unit_test(a_file_for_each_runtime),
        cmocka_unit_test(invalid_packs),
        cmocka_unit_test(file_names_stay_in_the_store),
        cmocka_unit_test(invalid_sources),
        cmocka_unit_test(limits_are_enforced),
        cmocka_unit_test(classes_and_keypoints_up_to_the_limit),
        cmocka_unit_test(an_invalid_pack_names_its_path),
        cmocka_unit_test(names),
        cmocka_unit_test(shipped_detectors),
        cmocka_unit_test(shipped_embeddings),
        cmocka_unit_test(defaults_come_from_packages),
        cmocka_unit_test(an_embedding_names_its_space),
        cmocka_unit_test(a_wrong_embedding_is_refused),
        cmocka_unit_test(a_detector_may_have_defaults),
    };
    return HS_RUN_TESTS(tests);
}
