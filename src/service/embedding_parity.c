#include "service/embedding_parity.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json_read.h"
#include "base/json_writer.h"
#include "base/str.h"

enum { RECORD_MAX = 64 << 10, FACES_MAX = 1 << 30 };

#define COMMAND "hailo-face compare-devices"
#define AGAIN "Run `" COMMAND "` again"

bool hs_embedding_parity_is_close(const struct hs_sample_stats *cosine)
{
    return cosine->median >= HS_PARITY_MEDIAN && cosine->min >= HS_PARITY_MIN;
}

int hs_embedding_parity_judge(const struct hs_sample_stats *cosine, struct hs_error *err)
{
    if (!hs_embedding_parity_is_close(cosine))
        return hs_error_set(err, HS_EMODEL,
                            "the vectors of the two model files differ: over %zu face%s, the median cosine is %.4f (at "
                            "least %.2f required), the lowest %.4f (at least %.2f required)",
                            cosine->count, cosine->count == 1 ? "" : "s", cosine->median, HS_PARITY_MEDIAN, cosine->min,
                            HS_PARITY_MIN);
    if (cosine->count < HS_PARITY_FACES)
        return hs_error_set(err, HS_EMODEL,
                            "only %zu face%s compared, %d required. Run `" COMMAND "` with more pictures",
                            cosine->count, cosine->count == 1 ? "" : "s", HS_PARITY_FACES);
    return 0;
}

/* Returns the record's path, <pack>.agreement.json in the models folder, and the hashes that both files must have. */
static int find_record(const struct hs_store *store, const struct hs_model_choice *device,
                       const struct hs_model_choice *against, char path[PATH_MAX], char device_sha256[65],
                       char against_sha256[65], struct hs_error *err)
{
    char name[HS_PACK_NAME_SIZE + sizeof(".agreement.json")];
    int r = hs_store_expected(store, device->file, device_sha256, err);
    if (r == 0)
        r = hs_store_expected(store, against->file, against_sha256, err);
    if (r == 0 && (!hs_str_format(name, sizeof(name), "%s.agreement.json", device->pack->name) ||
                   !hs_store_path(store, name, path, PATH_MAX)))
        r = hs_error_set(err, HS_EINVAL, "the path of the models folder is too long");
    return r;
}

static json_t *file_json(const struct hs_model_choice *choice, const char *sha256)
{
    return json_pack("{s:s, s:s, s:s}", "backend", choice->file->backend, "file", choice->file->name, "sha256", sha256);
}

int hs_embedding_parity_save(const struct hs_store *store, const struct hs_model_choice *device,
                             const struct hs_model_choice *against, const struct hs_sample_stats *cosine,
                             struct hs_error *err)
{
    char path[PATH_MAX], device_sha256[65], against_sha256[65], when[HS_TIME_SIZE];
    struct hs_buf out;
    int r = find_record(store, device, against, path, device_sha256, against_sha256, err);
    if (r < 0)
        return r;
    hs_clock_format_utc(hs_clock_wall_s(), HS_TIME_RFC3339, when, sizeof(when));
    json_t *record = json_pack("{s:s, s:s, s:o, s:o, s:I, s:f, s:f, s:s}", "pack", device->pack->name, "space",
                               device->pack->embedding.space, "device", file_json(device, device_sha256), "against",
                               file_json(against, against_sha256), "faces", (json_int_t) cosine->count, "least_cosine",
                               cosine->min, "median_cosine", cosine->median, "when", when);
    hs_buf_init(&out, RECORD_MAX);
    r = record ? hs_json_write(record, HS_JSON_PRETTY, &out) : HS_ENOMEM;
    r = r < 0 ? hs_error_set(err, r, "no memory for the record")
              : hs_file_write_atomic(path, out.data, out.len, 0644, err);
    hs_buf_finish(&out);
    json_decref(record);
    return r;
}

/* ---- read ---- */

struct record {
    char device[65], against[65];
    struct hs_sample_stats cosine;
};

/* Does not use json_unpack, because that allocates memory. */
static bool parse(const json_t *root, struct record *ret)
{
    const char *device = json_string_value(json_object_get(json_object_get(root, "device"), "sha256"));
    const char *against = json_string_value(json_object_get(json_object_get(root, "against"), "sha256"));
    const json_t *count = json_object_get(root, "faces"), *least = json_object_get(root, "least_cosine");
    const json_t *median = json_object_get(root, "median_cosine");
    json_int_t faces = json_integer_value(count);
    if (!device || !against || !json_is_integer(count) || !json_is_number(least) || !json_is_number(median))
        return false;
    ret->cosine = (struct hs_sample_stats) { .count = (size_t) faces,
                                             .min = json_number_value(least),
                                             .median = json_number_value(median) };
    return faces >= 0 && faces <= FACES_MAX && fabs(ret->cosine.min) <= 1.001 && fabs(ret->cosine.median) <= 1.001 &&
           hs_str_copy(ret->device, sizeof(ret->device), device) &&
           hs_str_copy(ret->against, sizeof(ret->against), against);
}

int hs_embedding_parity_check(const struct hs_store *store, const struct hs_model_choice *device,
                              const struct hs_model_choice *against, struct hs_error *err)
{
    char path[PATH_MAX], device_sha256[65], against_sha256[65];
    struct record record;
    struct hs_error why;
    uint8_t *data;
    size_t len;
    int r = find_record(store, device, against, path, device_sha256, against_sha256, err);
    if (r < 0 || strcmp(device_sha256, against_sha256) == 0)
        return r;
    r = hs_file_read(path, RECORD_MAX, &data, &len, &why);
    if (r == HS_ENOTFOUND)
        return hs_error_set(err, HS_EMODEL, "the model files have not been compared. Run `" COMMAND "`");
    if (r < 0)
        return hs_error_set(err, r == HS_ENOMEM ? r : HS_EMODEL, "%s. " AGAIN, why.message);
    json_t *root = NULL;
    r = hs_json_read((const char *) data, len, JSON_REJECT_DUPLICATES, &root, NULL);
    free(data);
    if (r == HS_ENOMEM)
        return hs_error_set(err, r, "no memory for the record");
    bool good = parse(root, &record);
    json_decref(root);
    if (!good)
        return hs_error_set(err, HS_EMODEL, "%s is damaged. " AGAIN, path);
    if (strcmp(record.device, device_sha256) != 0 || strcmp(record.against, against_sha256) != 0)
        return hs_error_set(err, HS_EMODEL, "the model files have changed since they were compared. " AGAIN);
    return hs_embedding_parity_judge(&record.cosine, err);
}
