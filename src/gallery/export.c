#include "gallery/export.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json_build.h"
#include "base/json_read.h"
#include "base/json_writer.h"
#include "base/mem.h"
#include "base/str.h"
#include "gallery/gallery_internal.h"
#include "gallery/retention.h"
#include "gallery/validate.h"

static const char format_name[] = "hailo-services-gallery";
/* Version 2 has expires_at, without which a person would stay longer than allowed. */
enum { FIRST_VERSION = 1, FORMAT_VERSION = 2, BASE64 = sodium_base64_VARIANT_ORIGINAL };

struct writer {
    int (*write)(void *arg, const char *data, size_t len);
    void *arg;
    crypto_hash_sha256_state sum;
    struct hs_gallery *gallery;
    struct hs_error *err;
};

static int append(const char *data, size_t len, void *buf)
{
    return hs_buf_append(buf, data, len);
}

/* Writes the JSON text of a value, NUL-terminated, to a buffer. The caller always finishes the
 * buffer. json_dumps may return an incomplete text if memory is short, because it does not check
 * each append; struct hs_buf keeps the error. Returns 0 or HS_ENOMEM. */
static int dump_json(const json_t *value, struct hs_buf *ret_text, struct hs_error *err)
{
    hs_buf_init(ret_text, SIZE_MAX);
    ret_text->wipe = true;
    int r = json_dump_callback(value, append, ret_text, JSON_COMPACT | JSON_ENCODE_ANY);
    return r < 0 || hs_buf_error(ret_text) < 0 || !hs_buf_str(ret_text) ? hs_gallery_no_memory(err) : 0;
}

/* Writes a line, with numbers in their shortest form. Takes `object`; NULL: allocating it failed. */
static int write_line(struct writer *writer, json_t *object, struct hs_error *err)
{
    struct hs_buf text;
    hs_buf_init(&text, SIZE_MAX);
    text.wipe = true;
    int r = object && hs_json_write(object, HS_JSON_SPACED, &text) == 0 ? 0 : hs_gallery_no_memory(err);
    json_decref(object);
    if (r == 0) {
        crypto_hash_sha256_update(&writer->sum, text.data, text.len);
        r = writer->write(writer->arg, (const char *) text.data, text.len);
    }
    hs_buf_finish(&text);
    return r;
}

/* Parses a stored JSON text. Returns NULL if the text is NULL or invalid (written by another
 * program), and also if memory is short, with *ret_bad set. */
static json_t *parse_stored(const char *text, int (*check)(const char *text, struct hs_error *err), bool *ret_bad)
{
    int r = check(text, NULL);
    json_t *value = NULL;
    if (text && r == 0)
        r = hs_json_read(text, strlen(text), 0, &value, NULL);
    *ret_bad = r == HS_ENOMEM;
    return value;
}

/* Quality is measured as float; stored as double, it has digits that are noise. */
static void shorten_floats(json_t *quality)
{
    const char *name;
    json_t *value;
    json_object_foreach(quality, name, value)
    {
        float nearest = (float) json_real_value(value);
        if (json_is_real(value) && (double) nearest == json_real_value(value))
            json_real_set(value, hs_json_float(nearest));
    }
}

/* Returns a valid time, or NULL if the column is empty or another program stored something else. */
static const char *valid_time(const char *time)
{
    return hs_gallery_check_time("", time, NULL) == 0 ? time : NULL;
}

/* Adds an optional text (NULL: omitted). json_pack would omit it if memory is short, too. */
static json_t *with_text(json_t *object, const char *key, const char *text)
{
    return text ? hs_json_with_member(object, key, json_string(text)) : object;
}

static json_t *with_value(json_t *object, const char *key, json_t *value)
{
    return value ? hs_json_with_member(object, key, json_incref(value)) : object;
}

static json_t *embedding_json(const struct hs_gallery_embedding *e)
{
    size_t size = e->dimension * sizeof(float), room = sodium_base64_encoded_len(size, BASE64);
    bool bad;
    json_t *quality = parse_stored(e->quality, hs_gallery_check_quality, &bad);
    shorten_floats(quality);
    char *vector = malloc(room);
    json_t *object = bad || !vector ? NULL : json_object();
    if (vector)
        sodium_bin2base64(vector, room, (const unsigned char *) e->values, size, BASE64);
    object = with_text(object, "space", e->space);
    object = with_text(object, "vector", vector);
    object = with_text(object, "model", e->model);
    object = with_value(object, "quality", quality);
    object = with_text(object, "source_sha256", e->source_sha256);
    object = with_text(object, "created_at", valid_time(e->created_at));
    hs_mem_free_wiped(vector, room);
    json_decref(quality);
    return object;
}

static json_t *person_json(const struct hs_gallery_person *person)
{
    const struct hs_gallery_identity *of = &person->identity;
    bool bad;
    json_t *metadata = parse_stored(of->metadata, hs_gallery_check_metadata, &bad);
    json_t *embeddings = json_array(), *object = bad ? NULL : json_object();
    for (size_t i = 0; !bad && i < person->count; i++)
        embeddings = hs_json_with_item(embeddings, embedding_json(&person->embeddings[i]));
    object = with_text(object, "name", of->name);
    object = with_text(object, "created_at", valid_time(of->created_at));
    object = with_text(object, "updated_at", valid_time(of->updated_at));
    if (of->expires_at[0] && hs_gallery_check_expiry(of->expires_at, NULL) == 0)
        object = with_text(object, "expires_at", of->expires_at);
    object = with_value(object, "metadata", metadata);
    json_decref(metadata);
    return hs_json_with_member(object, "embeddings", embeddings);
}

static int write_person(struct writer *writer, const char *name)
{
    struct hs_gallery_person *person;
    int r = hs_gallery_get(writer->gallery, name, true, &person, writer->err);
    if (r < 0)
        return r;
    r = write_line(writer, person_json(person), writer->err);
    hs_gallery_person_destroy(person);
    return r;
}

static int write_identity(void *arg, const struct hs_gallery_identity *identity)
{
    int r = write_person(arg, identity->name);
    return r == HS_ENOTFOUND ? 0 : r; /* removed meanwhile */
}

int hs_gallery_export(struct hs_gallery *gallery, const char *name,
                      int (*write)(void *arg, const char *data, size_t len), void *arg, struct hs_error *err)
{
    struct writer writer = { .write = write, .arg = arg, .gallery = gallery, .err = err };
    bool expires;
    int r = hs_gallery_has_expiry(gallery, &expires, err);
    crypto_hash_sha256_init(&writer.sum);
    if (r == 0)
        r = write_line(
            &writer,
            json_pack("{s:s, s:i}", "format", format_name, "version", expires ? FORMAT_VERSION : FIRST_VERSION), err);
    if (r == 0)
        r = name ? write_person(&writer, name)
                 : hs_gallery_for_each_identity(gallery, NULL, SIZE_MAX, write_identity, &writer, NULL, err);
    if (r != 0)
        return r;
    unsigned char digest[crypto_hash_sha256_BYTES];
    char sum[65];
    crypto_hash_sha256_final(&writer.sum, digest);
    sodium_bin2hex(sum, sizeof(sum), digest, sizeof(digest));
    return write_line(&writer, json_pack("{s:s}", "sha256", sum), err);
}

/* ---- import ---- */

struct importer {
    struct hs_gallery *gallery;
    struct hs_gallery_imported *done;
    size_t line;
    bool dropped;       /* an identity was full, and an embedding of it was dropped */
    int64_t created_id; /* the identity created last */
};

/* Reads the next line at *at, without its newline. Returns false at the end of the data. */
static bool next_line(const char *data, size_t len, size_t *at, const char **ret_line, size_t *ret_len)
{
    if (*at >= len)
        return false;
    const char *end = memchr(data + *at, '\n', len - *at);
    *ret_line = data + *at;
    *ret_len = end ? (size_t) (end - *ret_line) : len - *at;
    *at += *ret_len + 1;
    return true;
}

/* Parses a line; *ret_object is NULL if it is not valid JSON. Returns 0 or HS_ENOMEM. */
static int parse_line(const char *line, size_t len, json_t **ret_object, struct hs_error *err)
{
    *ret_object = NULL;
    int r = hs_json_read(line, len, JSON_REJECT_DUPLICATES, ret_object, NULL);
    return r == HS_ENOMEM ? hs_gallery_no_memory(err) : 0;
}

/* Checks the bytes before the last line against the checksum in that line. *ret_len is their number. */
static int verify_checksum(const char *data, size_t len, size_t *ret_len, struct hs_error *err)
{
    size_t end = len;
    while (end > 0 && data[end - 1] == '\n')
        end--;
    const char *before = end > 0 ? memrchr(data, '\n', end) : NULL;
    size_t start = before ? (size_t) (before - data) + 1 : 0;
    json_t *last;
    int r = parse_line(data + start, end - start, &last, err);
    if (r < 0)
        return r;
    const char *wanted = json_string_value(json_object_get(last, "sha256"));
    char sum[65];
    hs_sha256(data, start, sum);
    if (!wanted)
        r = hs_error_set(err, HS_EDECODE,
                         "import: the last line has no sha256; the file is truncated or is not an export");
    else if (!hs_str_equal_nocase(wanted, sum))
        r = hs_error_set(err, HS_EDECODE, "import: sha256 mismatch; the file was modified or is damaged");
    json_decref(last);
    if (r == 0)
        *ret_len = start;
    return r;
}

static int check_format(const char *line, size_t len, struct hs_error *err)
{
    json_t *object;
    int r = parse_line(line, len, &object, err);
    if (r < 0)
        return r;
    const char *format = json_string_value(json_object_get(object, "format"));
    json_int_t version = json_integer_value(json_object_get(object, "version"));
    if (!format || strcmp(format, format_name) != 0)
        r = hs_error_set(err, HS_EDECODE, "import: the first line must contain the format %s", format_name);
    else if (version < FIRST_VERSION || version > FORMAT_VERSION)
        r = hs_error_set(err, HS_EDECODE, "import: version %lld is not supported; this program reads versions up to %d",
                         (long long) version, FORMAT_VERSION);
    json_decref(object);
    return r;
}

static void refuse(struct importer *importer, int64_t embedding, const char *reason)
{
    struct hs_gallery_imported *done = importer->done;
    if (done->refused_count < HS_GALLERY_REFUSED_MAX) {
        struct hs_gallery_refused *refused = &done->refused[done->refused_count];
        refused->line = importer->line;
        refused->embedding = embedding;
        hs_str_copy(refused->reason, sizeof(refused->reason), reason);
    }
    done->refused_count++;
}

/* The validated fields of an identity's line. */
struct person {
    const char *name, *metadata, *created_at, *updated_at, *expires_at; /* all except name: NULL if not known */
};

/* A new identity gets the times in the file, also that of its expiry; an existing one keeps its own. */
static int add_checked(struct importer *importer, const struct person *person, const struct hs_gallery_new_embedding *e,
                       struct hs_error *err)
{
    struct hs_gallery_added added = { 0 };
    bool present;
    int r = hs_gallery_has_in_txn(importer->gallery, person->name, e, &present, err);
    if (r == 0 && present) {
        importer->done->present++;
        return 0;
    }
    if (r == 0)
        r = hs_gallery_add_in_txn(importer->gallery, person->name, person->metadata, e, &added, err);
    if (r == 0 && added.identity_created) {
        importer->created_id = added.identity_id;
        if (person->expires_at)
            r = HS_GALLERY_RUN(importer->gallery, HS_STMT_SET_EXPIRY, err, HS_NUMBER(added.identity_id),
                               HS_TEXT(person->expires_at));
    }
    if (r == 0 && added.identity_id == importer->created_id)
        r = HS_GALLERY_RUN(importer->gallery, HS_STMT_SET_TIMES, err, HS_NUMBER(added.identity_id),
                           HS_TEXT(person->created_at), HS_TEXT(person->updated_at));
    importer->done->added += r == 0;
    importer->dropped |= added.embedding_dropped != 0;
    return r;
}

/* Returns the text of an optional member; *ret_bad is set if the member is not a string. */
static const char *optional_text(const json_t *object, const char *key, bool *ret_bad)
{
    json_t *value = json_object_get(object, key);
    if (value && !json_is_string(value))
        *ret_bad = true;
    return json_string_value(value);
}

/* Imports one embedding. HS_EINVAL: the embedding is invalid; err has the reason. */
static int import_embedding(struct importer *importer, const struct person *person, const json_t *object,
                            struct hs_error *err)
{
    float values[HS_GALLERY_DIMENSION_MAX];
    bool bad = !json_is_object(object);
    size_t size = 0;
    const char *vector = optional_text(object, "vector", &bad);
    json_t *quality = json_object_get(object, "quality");
    struct hs_gallery_new_embedding e = { .values = values,
                                          .space = optional_text(object, "space", &bad),
                                          .model = optional_text(object, "model", &bad),
                                          .source_sha256 = optional_text(object, "source_sha256", &bad),
                                          .created_at = optional_text(object, "created_at", &bad) };
    if (bad)
        return hs_error_set(err, HS_EINVAL, "embedding: a member has the wrong type");
    if (!vector || sodium_base642bin((unsigned char *) values, sizeof(values), vector, strlen(vector), NULL, &size,
                                     NULL, BASE64) != 0)
        return hs_error_set(err, HS_EINVAL, "vector: not base64 of at most %zu bytes", sizeof(values));
    if (size % sizeof(float) != 0)
        return hs_error_set(err, HS_EINVAL, "vector: size is not a multiple of 4 bytes");
    e.dimension = size / sizeof(float);
    struct hs_buf quality_text = { 0 };
    int r = quality ? dump_json(quality, &quality_text, err) : 0;
    e.quality = (const char *) quality_text.data;
    if (r == 0)
        r = hs_gallery_check_embedding(&e, err);
    if (r == 0)
        r = add_checked(importer, person, &e, err);
    sodium_memzero(values, sizeof(values));
    hs_buf_finish(&quality_text);
    return r;
}

static int import_embeddings(struct importer *importer, const struct person *person, const json_t *list,
                             struct hs_error *err)
{
    size_t taken = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct hs_error why = { 0 };
        int r = import_embedding(importer, person, json_array_get(list, i), &why);
        if (r == HS_EINVAL)
            refuse(importer, (int64_t) i, why.message);
        else if (r < 0)
            return hs_error_set(err, r, "%s", why.message);
        taken += r == 0;
    }
    importer->done->identities += taken > 0;
    return 0;
}

static int check_person(const struct person *person, struct hs_error *err)
{
    int r = hs_gallery_check_name(person->name, err);
    if (r == 0)
        r = hs_gallery_check_metadata(person->metadata, err);
    if (r == 0)
        r = hs_gallery_check_time("created_at", person->created_at, err);
    if (r == 0)
        r = hs_gallery_check_time("updated_at", person->updated_at, err);
    return r == 0 ? hs_gallery_check_expiry(person->expires_at, err) : r;
}

static int import_identity(struct importer *importer, const char *line, size_t len, struct hs_error *err)
{
    json_t *object;
    int r = parse_line(line, len, &object, err);
    if (r < 0)
        return r;
    bool bad = false;
    json_t *metadata = json_object_get(object, "metadata"), *list = json_object_get(object, "embeddings");
    struct hs_buf metadata_text = { 0 };
    if (metadata)
        r = dump_json(metadata, &metadata_text, err);
    const struct person person = { .name = optional_text(object, "name", &bad),
                                   .metadata = (const char *) metadata_text.data,
                                   .created_at = optional_text(object, "created_at", &bad),
                                   .updated_at = optional_text(object, "updated_at", &bad),
                                   .expires_at = optional_text(object, "expires_at", &bad) };
    struct hs_error why = { 0 };
    if (r == 0 && (!object || !person.name || bad || !json_is_array(list)))
        refuse(importer, -1, "not an object with a name and embeddings");
    else if (r == 0 && (r = check_person(&person, &why)) == 0)
        r = import_embeddings(importer, &person, list, err);
    else if (r == HS_EINVAL) {
        refuse(importer, -1, why.message);
        r = 0;
    } else
        r = hs_gallery_no_memory(err);
    hs_buf_finish(&metadata_text);
    json_decref(object);
    return r;
}

static int import_lines(struct importer *importer, const char *data, size_t len, struct hs_error *err)
{
    size_t at = 0, line_len;
    const char *line;
    if (!next_line(data, len, &at, &line, &line_len))
        return hs_error_set(err, HS_EDECODE, "import: the file is empty");
    importer->line = 1;
    int r = check_format(line, line_len, err);
    while (r == 0 && next_line(data, len, &at, &line, &line_len)) {
        importer->line++;
        r = import_identity(importer, line, line_len, err);
    }
    return r;
}

int hs_gallery_import(struct hs_gallery *gallery, const char *data, size_t len,
                      struct hs_gallery_imported *ret_imported, struct hs_error *err)
{
    size_t content_len = 0;
    int r = verify_checksum(data, len, &content_len, err);
    if (r < 0)
        return r;
    struct hs_gallery_imported done = { 0 };
    struct importer importer = { .gallery = gallery, .done = &done };
    r = hs_gallery_begin(gallery, err);
    if (r == 0) {
        r = import_lines(&importer, data, content_len, err);
        hs_audit_draft(gallery, "import");
        hs_audit_number(gallery, "identities", (int64_t) done.identities);
        hs_audit_number(gallery, "embeddings", (int64_t) done.added);
        hs_audit_number(gallery, "refused", (int64_t) done.refused_count);
        r = hs_gallery_end(gallery, r, importer.dropped, err);
    }
    if (r == 0)
        *ret_imported = done;
    return r;
}
