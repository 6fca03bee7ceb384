#include "http/body.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/base64.h"
#include "http/http_metrics.h"
#include "http/json_body.h"
#include "http/multipart.h"

enum { TEXTS_MAX = HS_BODY_PARTS_MAX, ASKED_MAX = 64, MAGIC = 4 };

enum kind {
    FORM,
    JSON,
    PICTURE,
    JSON_OR_PICTURE, /* the first byte decides */
};

/* One field of spec->files, or one list member. A repeated field replaces the content. */
struct file {
    struct hs_buf bytes;
    struct hs_base64 base64;
    bool seen, taken;
    bool any_text; /* a nonempty base64 string was seen */
};

struct text {
    char *name;
    struct hs_buf value;
    bool too_long, has_nul;
};

/* Names that the handler has read, and fields that the body dropped. */
struct notes {
    const char *read_names[ASKED_MAX];
    size_t read_count;
    char dropped[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE]; /* form parts that the route does not define */
    size_t dropped_count;
};

struct hs_body {
    struct hs_body_spec spec;
    struct hs_budget *budget;
    size_t charged, received, unpacked;
    enum kind kind;
    struct hs_inflater *inflater; /* NULL: the body is not compressed */
    uint8_t magic[MAGIC];         /* first bytes of the body */
    size_t magic_len;
    struct notes *notes;
    hs_body_lookup lookup; /* NULL: no query */
    void *lookup_ctx;
    struct file *files;    /* file_count fields, then list_max members */
    size_t file_count;     /* number of fields in spec->files */
    size_t member_count;   /* list members in a form */
    const char *list_name; /* list name found in the JSON; NULL: none yet */

    struct hs_multipart form;
    struct text texts[TEXTS_MAX];
    size_t text_count;
    struct hs_buf *target; /* buffer for the current part's content; NULL: drop it */
    struct text *target_text;

    struct hs_json_body json;
    json_t *value;
};

/* ---- Memory ---- */

static bool charge(struct hs_body *body, size_t more)
{
    if (!hs_budget_try(body->budget, more)) {
        hs_count(&hs_http_refusals, HS_HTTP_REFUSED_BODIES);
        return false;
    }
    body->charged += more;
    return true;
}

static void discharge(struct hs_body *body, size_t less)
{
    hs_budget_release(body->budget, less);
    body->charged -= less;
}

/* Charges the memory that the buffer allocates, not just its content. */
static int append(struct hs_body *body, struct hs_buf *buf, const void *data, size_t len, struct hs_error *err)
{
    size_t before = buf->capacity;
    int r = hs_buf_append(buf, data, len);
    if (r == HS_ETOOLARGE)
        return hs_error_set(err, r, "The body contains more than %zu bytes", buf->max);
    if (r < 0)
        return hs_error_set(err, r, "no memory for the body");
    if (buf->capacity > before && !charge(body, buf->capacity - before)) {
        discharge(body, before);
        hs_buf_finish(buf);
        return hs_error_set(err, HS_EBUSY, "Too many large requests at once, try again");
    }
    return 0;
}

static void drop(struct hs_body *body, struct hs_buf *buf)
{
    discharge(body, buf->capacity);
    hs_buf_finish(buf);
}

/* ---- Fields ---- */

/* Returns the index of a name, or -1. */
static long find_name(const char *const *names, const char *name)
{
    for (long i = 0; names && names[i]; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

/* Returns true if the route lists the field, or lists none. */
static bool is_listed(const struct hs_body *body, const char *name)
{
    const struct hs_field *const *fields = body->spec.fields;
    while (fields && *fields && strcmp((*fields)->name, name) != 0)
        fields++;
    return !fields || *fields;
}

static struct text *find_text(const struct hs_body *body, const char *name)
{
    for (size_t i = 0; i < body->text_count; i++) {
        if (strcmp(body->texts[i].name, name) == 0)
            return (struct text *) (uintptr_t) &body->texts[i];
    }
    return NULL;
}

static struct file *restart_file(struct hs_body *body, struct file *file)
{
    drop(body, &file->bytes);
    hs_buf_init(&file->bytes, body->spec.bytes_max);
    hs_base64_init(&file->base64);
    file->seen = true;
    file->any_text = false;
    return file;
}

static int check_member(const struct hs_body *body, size_t member, struct hs_error *err)
{
    if (member < body->spec.list_max)
        return 0;
    return hs_error_set(err, HS_EINVAL, "%s: at most %zu pictures in one request", body->spec.list[0],
                        body->spec.list_max);
}

/* ---- Forms ---- */

/* Rejects other charsets, because the text is treated as UTF-8. */
static int check_charset(const struct hs_multipart_part *part, struct hs_error *err)
{
    static const char *const names[] = { "", "utf-8", "utf8", "us-ascii", "ascii" };
    char name[HS_MULTIPART_NAME_SIZE], charset[HS_MULTIPART_CHARSET_SIZE + 8];
    for (size_t i = 0; i < HS_ARRAY_LEN(names); i++) {
        if (hs_str_equal_nocase(part->charset, names[i]))
            return 0;
    }
    hs_str_quote(name, sizeof(name), part->name, strlen(part->name));
    hs_str_quote(charset, sizeof(charset), part->charset, strlen(part->charset));
    return hs_error_set(err, HS_EINVAL, "Invalid multipart: the charset of %s must be utf-8, not %s", name, charset);
}

size_t hs_body_add_unused(char names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strncmp(names[i], name, HS_BODY_NAME_SIZE - 1) == 0)
            return count;
    }
    if (!name[0] || count == HS_BODY_UNUSED_MAX)
        return count;
    if (!hs_str_copy(names[count], HS_BODY_NAME_SIZE, name))
        hs_str_copy_n(names[count], HS_BODY_NAME_SIZE, name, HS_BODY_NAME_SIZE - 1);
    return count + 1;
}

static void note_dropped(struct notes *notes, const char *name)
{
    notes->dropped_count = hs_body_add_unused(notes->dropped, notes->dropped_count, name);
}

static int begin_part(void *ctx, const struct hs_multipart_part *part, struct hs_error *err)
{
    struct hs_body *body = ctx;
    const char *name = part->name;
    long index = find_name(body->spec.files, name);
    body->target = NULL;
    body->target_text = NULL;
    if (index < 0 && find_name(body->spec.list, name) >= 0) {
        if (check_member(body, body->member_count, err) < 0)
            return HS_EINVAL;
        index = (long) (body->file_count + body->member_count++);
    }
    if (index >= 0) {
        body->target = &restart_file(body, &body->files[index])->bytes;
        return 0;
    }
    if (name[0] == '\0' || !is_listed(body, name)) {
        note_dropped(body->notes, name);
        return 0;
    }
    int r = check_charset(part, err);
    if (r < 0)
        return r;
    struct text *text = find_text(body, name);
    if (!text && body->text_count == TEXTS_MAX)
        return hs_error_set(err, HS_ETOOLARGE, "Invalid multipart: more than %d text fields", TEXTS_MAX);
    if (!text) {
        text = &body->texts[body->text_count];
        *text = (struct text) { .name = strdup(name) };
        if (!text->name)
            return hs_error_set(err, HS_ENOMEM, "no memory for the body");
        body->text_count++;
    }
    drop(body, &text->value);
    hs_buf_init(&text->value, HS_BODY_TEXT_MAX + 1);
    text->too_long = text->has_nul = false;
    body->target_text = text;
    body->target = &text->value;
    return 0;
}

static int part_data(void *ctx, const uint8_t *data, size_t len, struct hs_error *err)
{
    struct hs_body *body = ctx;
    struct text *text = body->target_text;
    if (!body->target)
        return 0;
    if (text && memchr(data, '\0', len))
        text->has_nul = true;
    if (text && len > HS_BODY_TEXT_MAX - text->value.len) {
        /* An unknown field may have any size. A known one reports the error when it is read. */
        text->too_long = true;
        body->target = NULL;
        return 0;
    }
    return append(body, body->target, data, len, err);
}

static int end_part(void *ctx, struct hs_error *err)
{
    struct hs_body *body = ctx;
    struct hs_buf *text = body->target_text ? &body->target_text->value : NULL;
    int r = text ? append(body, text, "", 1, err) : 0;
    body->target = NULL;
    body->target_text = NULL;
    return r;
}

static const struct hs_multipart_events form_events = { begin_part, part_data, end_part };

/* ---- JSON ---- */

static struct file *file_at(struct hs_body *body, const struct hs_json_place *place)
{
    return &body->files[place->index < body->file_count ? place->index : body->file_count + place->member];
}

static int begin_picture(void *ctx, const struct hs_json_place *place, struct hs_error *err)
{
    (void) err;
    restart_file(ctx, file_at(ctx, place));
    return 0;
}

static int picture_text(void *ctx, const struct hs_json_place *place, const char *text, size_t len,
                        struct hs_error *err)
{
    struct hs_body *body = ctx;
    struct file *file = file_at(body, place);
    file->any_text = true;
    file->base64.non_ascii |= (unsigned char) text[0] >= 0x80;
    while (len > 0) {
        uint8_t bytes[HS_BASE64_ROOM(4096)];
        size_t n = len < 4096 ? len : 4096;
        int r = append(body, &file->bytes, bytes, hs_base64_feed(&file->base64, text, n, bytes), err);
        if (r < 0)
            return r;
        text += n;
        len -= n;
    }
    return 0;
}

/* A member of an earlier list may have left its bytes here. */
static int begin_member(void *ctx, const struct hs_json_place *place, struct hs_error *err)
{
    struct hs_body *body = ctx;
    body->list_name = body->spec.list[place->index - body->file_count];
    int r = check_member(body, place->member, err);
    if (r == 0)
        restart_file(body, &body->files[body->file_count + place->member])->seen = false;
    return r;
}

static const struct hs_json_body_events json_events = { begin_picture, picture_text, begin_member };

/* ---- Creation and destruction ---- */

/* Accepts application/json and application/…+json, with any parameters. */
static bool is_json_type(const char *type)
{
    size_t len = strcspn(type, "; \t");
    return (len == 16 && strncasecmp(type, "application/json", 16) == 0) ||
           (len >= 17 && strncasecmp(type, "application/", 12) == 0 && strncasecmp(type + len - 5, "+json", 5) == 0);
}

static bool is_type(const char *type, const char *wanted)
{
    size_t len = strlen(wanted);
    return strncasecmp(type, wanted, len) == 0 && (wanted[len - 1] == '/' || strchr("; \t", type[len]));
}

/* Returns true if the route takes one picture and has no list. */
static bool takes_one(const struct hs_body_spec *spec)
{
    return spec->files && spec->files[0] && !spec->files[1] && !spec->list;
}

/* Rejects a single picture on a route that takes several, or none. */
static int refuse_picture(const struct hs_body_spec *spec, struct hs_error *err)
{
    char names[128] = "";
    if (spec->list)
        return hs_error_set(err, HS_EINVAL, "%s: this route takes several pictures; send them as a form or as JSON",
                            spec->list[0]);
    for (size_t i = 0; spec->files[i]; i++) {
        size_t len = strlen(names);
        hs_str_format(names + len, sizeof(names) - len, "%s'%s'", i ? " and " : "", spec->files[i]);
    }
    return hs_error_set(err, HS_EINVAL, "This route takes %s; send them as a form or as JSON, not as one picture",
                        names);
}

static int refuse_type(enum hs_body_rule rule, const struct hs_body_spec *spec, struct hs_error *err)
{
    const char *form = rule == HS_BODY_JSON ? "" : " or multipart/form-data", *picture = "";
    if (rule != HS_BODY_JSON && takes_one(spec))
        picture = ", or image/jpeg and the like for a picture as it is";
    return hs_error_set(err, HS_EUNSUPPORTED, "Content-Type must be application/json%s%s", form, picture);
}

static int choose_kind(enum hs_body_rule rule, const char *type, const struct hs_body_spec *spec, enum kind *ret,
                       struct hs_error *err)
{
    bool pictures = rule != HS_BODY_JSON && (spec->list || (spec->files && spec->files[0]));
    bool json = rule == HS_BODY_FORM_ELSE_JSON || is_json_type(type);
    if (rule != HS_BODY_JSON && strcasestr(type, "multipart/form-data")) {
        *ret = FORM;
    } else if (is_type(type, "multipart/")) {
        return refuse_type(rule, spec, err);
    } else if (pictures && is_type(type, "image/")) {
        /* Old clients send JSON with any Content-Type. */
        *ret = rule == HS_BODY_FORM_ELSE_JSON ? JSON_OR_PICTURE : PICTURE;
        return takes_one(spec) ? 0 : refuse_picture(spec, err);
    } else if (is_type(type, "application/octet-stream") && pictures && takes_one(spec)) {
        *ret = JSON_OR_PICTURE;
    } else if (json) {
        *ret = JSON;
    } else {
        return refuse_type(rule, spec, err);
    }
    return 0;
}

int hs_body_create(enum hs_body_rule rule, const char *content_type, const struct hs_body_spec *spec,
                   struct hs_budget *budget, struct hs_body **ret_body, struct hs_error *err)
{
    assert(rule != HS_BODY_NONE);
    const char *type = content_type ? content_type : "";
    enum kind kind = JSON;
    int r = choose_kind(rule, type, spec, &kind, err);
    if (r < 0)
        return r;
    struct hs_body *body = calloc(1, sizeof(*body));
    if (!body)
        return hs_error_set(err, HS_ENOMEM, "no memory for the body");
    body->spec = *spec;
    body->budget = budget;
    body->kind = kind;
    body->spec.list_max = spec->list ? spec->list_max : 0;
    while (spec->files && spec->files[body->file_count])
        body->file_count++;
    body->files = calloc(body->file_count + body->spec.list_max + 1, sizeof(*body->files));
    body->notes = calloc(1, sizeof(*body->notes));
    if (!body->files || !body->notes)
        r = hs_error_set(err, HS_ENOMEM, "no memory for the body");
    /* Allow one part more than list_max, so that the list's own limit applies first. */
    if (r == 0 && kind == FORM)
        r = hs_multipart_init(&body->form, type, HS_BODY_PARTS_MAX + (spec->list ? body->spec.list_max + 1 : 0),
                              HS_BODY_PART_HEADER_MAX, &form_events, body, err);
    else if (r == 0)
        hs_json_body_init(&body->json, spec->files, spec->list, spec->list_member, HS_BODY_JSON_MAX,
                          HS_BODY_JSON_DEPTH_MAX, &json_events, body);
    if (r == 0 && kind == PICTURE)
        restart_file(body, &body->files[0]);
    if (r < 0)
        hs_body_destroy(body);
    else
        *ret_body = body;
    return r;
}

int hs_body_set_coding(struct hs_body *body, enum hs_coding coding, struct hs_error *err)
{
    if (coding == HS_CODING_NONE)
        return 0;
    if (!charge(body, HS_INFLATE_MEMORY))
        return hs_error_set(err, HS_EBUSY, "Too many large requests at once, try again");
    return hs_inflater_create(coding, &body->inflater, err);
}

bool hs_body_is_compressed(const struct hs_body *body)
{
    return body->inflater;
}

size_t hs_body_inflated_bytes(const struct hs_body *body)
{
    return body->unpacked;
}

void hs_body_set_query(struct hs_body *body, hs_body_lookup lookup, void *ctx)
{
    body->lookup = lookup;
    body->lookup_ctx = ctx;
}

void hs_body_destroy(struct hs_body *body)
{
    if (!body)
        return;
    for (size_t i = 0; body->files && i < body->file_count + body->spec.list_max; i++)
        hs_buf_finish(&body->files[i].bytes);
    for (size_t i = 0; i < body->text_count; i++) {
        hs_buf_finish(&body->texts[i].value);
        free(body->texts[i].name);
    }
    hs_inflater_destroy(body->inflater);
    discharge(body, body->charged);
    if (body->kind == FORM)
        hs_multipart_finish(&body->form);
    else
        hs_json_body_finish(&body->json);
    json_decref(body->value);
    free(body->notes);
    free(body->files);
    free(body);
}

/* ---- Bytes ---- */

/* Detects a picture sent with a different Content-Type and names it in the error. No JSON text
 * starts with these bytes. */
static int check_magic(const struct hs_body *body, struct hs_error *err)
{
    static const struct {
        const char *magic, *name, *type;
    } pictures[] = {
        { "\xff\xd8\xff", "JPEG", "jpeg" },
        { "\x89PNG", "PNG", "png" },
        { "RIFF", "WebP", "webp" },
        { "BM", "BMP", "bmp" },
    };
    if (!body->spec.files && !body->spec.list)
        return 0;
    for (size_t i = 0; i < HS_ARRAY_LEN(pictures); i++) {
        size_t len = strlen(pictures[i].magic);
        if (body->magic_len < len || memcmp(body->magic, pictures[i].magic, len) != 0)
            continue;
        if (!takes_one(&body->spec))
            return refuse_picture(&body->spec, err);
        return hs_error_set(
            err, HS_EINVAL,
            "The body is a %s picture: send it as a form, `-F %s=@FILE`, or with Content-Type: image/%s",
            pictures[i].name, body->spec.files[0], pictures[i].type);
    }
    return 0;
}

static int feed_json(struct hs_body *body, const uint8_t *data, size_t len, struct hs_error *err)
{
    int r = 0;
    if (body->magic_len < MAGIC) {
        size_t n = MAGIC - body->magic_len < len ? MAGIC - body->magic_len : len;
        memcpy(body->magic + body->magic_len, data, n);
        body->magic_len += n;
        r = check_magic(body, err);
    }
    return r < 0 ? r : hs_json_body_feed(&body->json, (const char *) data, len, err);
}

static int feed_plain(struct hs_body *body, const uint8_t *data, size_t len, struct hs_error *err)
{
    if (body->kind == JSON_OR_PICTURE && len > 0) {
        body->kind = strchr("{[ \t\r\n", data[0]) && data[0] ? JSON : PICTURE;
        if (body->kind == PICTURE)
            restart_file(body, &body->files[0]);
    }
    switch (body->kind) {
    case FORM:
        return hs_multipart_feed(&body->form, data, len, err);
    case PICTURE:
        return append(body, &body->files[0].bytes, data, len, err);
    default:
        return feed_json(body, data, len, err);
    }
}

/* Implements hs_inflate_sink. */
static int feed_unpacked(void *ctx, const uint8_t *data, size_t len, struct hs_error *err)
{
    struct hs_body *body = ctx;
    if (len > body->spec.bytes_max - body->unpacked)
        return hs_error_set(err, HS_ETOOLARGE, "The unpacked body is larger than %zu bytes", body->spec.bytes_max);
    body->unpacked += len;
    return feed_plain(body, data, len, err);
}

int hs_body_feed(struct hs_body *body, const void *data, size_t len, struct hs_error *err)
{
    if (len > body->spec.bytes_max - body->received)
        return hs_error_set(err, HS_ETOOLARGE, "The body is larger than %zu bytes", body->spec.bytes_max);
    body->received += len;
    return body->inflater ? hs_inflater_feed(body->inflater, data, len, feed_unpacked, body, err)
                          : feed_plain(body, data, len, err);
}

const char *hs_body_type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string", [JSON_NULL] = "null",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_FALSE] = "a boolean", [JSON_TRUE] = "a boolean",
    };
    return names[json_typeof(value)];
}

/* Writes the last bytes of each base64 text. hs_body_take_file and hs_body_list_take report its
 * errors. */
static int end_pictures(struct hs_body *body, struct hs_error *err)
{
    int r = 0;
    for (size_t i = 0; i < body->file_count + body->spec.list_max && r == 0; i++) {
        struct hs_base64 end = body->files[i].base64;
        uint8_t rest[HS_BASE64_END_ROOM];
        size_t len = 0;
        if (body->files[i].any_text && hs_base64_end(&end, rest, &len, NULL) == 0 && len > 0)
            r = append(body, &body->files[i].bytes, rest, len, err);
    }
    return r;
}

int hs_body_end(struct hs_body *body, struct hs_error *err)
{
    int r = body->inflater ? hs_inflater_end(body->inflater, err) : 0;
    if (r < 0 || body->kind == PICTURE)
        return r;
    if (body->kind == FORM)
        return hs_multipart_end(&body->form, err);
    /* jansson uses up to 80 bytes for each byte of text: "{}," becomes an object of 230 bytes. */
    if (!charge(body, 80 * body->json.rest.len))
        return hs_error_set(err, HS_EBUSY, "Too many large requests at once, try again");
    r = hs_json_body_end(&body->json, &body->value, err);
    if (r == 0 && !json_is_object(body->value) && !body->spec.any_json)
        return hs_error_set(err, HS_EINVAL, "Invalid JSON: the top level must be an object, not %s",
                            hs_body_type_name(body->value));
    return r == 0 ? end_pictures(body, err) : r;
}

/* ---- Reading ---- */

const json_t *hs_body_json(const struct hs_body *body)
{
    return body->value;
}

static long find_read(const struct notes *notes, const char *name)
{
    for (size_t i = 0; i < notes->read_count; i++) {
        if (strcmp(notes->read_names[i], name) == 0)
            return (long) i;
    }
    return -1;
}

/* If the list of read names is full, other names may have been read too, so all names count as
 * known. */
static bool is_known(const struct hs_body *body, const char *name)
{
    return body->notes->read_count == ASKED_MAX || find_read(body->notes, name) >= 0 ||
           find_name(body->spec.files, name) >= 0 || find_name(body->spec.list, name) >= 0;
}

/* Returns false if the handler must not see the field. */
static bool note_read(const struct hs_body *body, const char *name)
{
    struct notes *notes = body->notes;
    bool listed = is_listed(body, name);
    if (listed && notes->read_count < ASKED_MAX && find_read(notes, name) < 0)
        notes->read_names[notes->read_count++] = name;
    return listed;
}

const json_t *hs_body_value(const struct hs_body *body, const char *name)
{
    return note_read(body, name) ? json_object_get(body->value, name) : NULL;
}

static const char *query(const struct hs_body *body, const char *name)
{
    return body->kind == PICTURE && body->lookup ? body->lookup(body->lookup_ctx, name) : NULL;
}

const char *hs_body_text(const struct hs_body *body, const char *name)
{
    if (!note_read(body, name))
        return NULL;
    if (body->kind == PICTURE)
        return query(body, name);
    if (body->kind != FORM)
        return json_string_value(json_object_get(body->value, name));
    struct text *text = find_text(body, name);
    if (!text || text->too_long || text->has_nul)
        return NULL;
    return (const char *) text->value.data;
}

bool hs_body_has(const struct hs_body *body, const char *name)
{
    if (!note_read(body, name))
        return false;
    const json_t *value = json_object_get(body->value, name);
    long index = find_name(body->spec.files, name);
    if (body->value)
        return value && !json_is_null(value);
    return query(body, name) || find_text(body, name) || (index >= 0 && body->files[index].seen);
}

size_t hs_body_unused(const struct hs_body *body, char ret_names[HS_BODY_UNUSED_MAX][HS_BODY_NAME_SIZE])
{
    struct notes found = *body->notes;
    const char *key;
    json_t *value;
    for (size_t i = 0; i < body->text_count; i++) {
        if (!is_known(body, body->texts[i].name))
            note_dropped(&found, body->texts[i].name);
    }
    json_object_foreach((json_t *) (uintptr_t) body->value, key, value)
    {
        if (!is_known(body, key))
            note_dropped(&found, key);
    }
    for (size_t i = 0; i < found.dropped_count; i++) {
        memcpy(ret_names[i], found.dropped[i], HS_BODY_NAME_SIZE);
        hs_str_make_line(ret_names[i]);
    }
    return found.dropped_count;
}

static int missing(const char *name, struct hs_error *err)
{
    return hs_error_set(err, HS_EMISSING, "Missing '%s' field", name);
}

/* Moves the bytes of a file to the caller; `value` is its placeholder in the JSON. */
static int take(const struct hs_body *body, struct file *file, const json_t *value, const char *name,
                uint8_t **ret_data, size_t *ret_len, struct hs_error *err)
{
    bool json = body->value;
    if (file->taken || (json && (!value || json_is_null(value))))
        return missing(name, err);
    if (json && !json_is_string(value))
        return hs_error_set(err, HS_EINVAL, "%s: must be a base64 string, not %s", name, hs_body_type_name(value));
    if (json && file->any_text) {
        struct hs_base64 end = file->base64; /* hs_body_end has already written these bytes */
        uint8_t rest[HS_BASE64_END_ROOM];
        size_t len;
        int r = hs_base64_end(&end, rest, &len, err);
        if (r == 0 && file->bytes.len == 0)
            r = hs_error_set(err, HS_EINVAL, "Invalid base64: no data");
        if (r < 0)
            return r;
    }
    if (file->bytes.len == 0)
        return missing(name, err);
    file->taken = true;
    *ret_data = hs_buf_take(&file->bytes, ret_len);
    return 0;
}

bool hs_body_peek(const struct hs_body *body, size_t place, const uint8_t **ret_data, size_t *ret_len)
{
    if (place >= body->file_count + body->spec.list_max)
        return false;
    *ret_data = body->files[place].bytes.data;
    *ret_len = body->files[place].bytes.len;
    return true;
}

int hs_body_take_file(struct hs_body *body, const char *name, uint8_t **ret_data, size_t *ret_len, struct hs_error *err)
{
    long index = find_name(body->spec.files, name);
    if (index < 0)
        return missing(name, err);
    return take(body, &body->files[index], json_object_get(body->value, name), name, ret_data, ret_len, err);
}

/* ---- The list ---- */

/* Returns the JSON value under one of the list's names; NULL for a form. */
static const json_t *list_json(const struct hs_body *body)
{
    for (size_t i = 0; !body->list_name && body->spec.list && body->spec.list[i]; i++) {
        const json_t *value = json_object_get(body->value, body->spec.list[i]);
        if (value && !json_is_null(value))
            return value;
    }
    return body->list_name ? json_object_get(body->value, body->list_name) : NULL;
}

int hs_body_list_count(const struct hs_body *body, size_t *ret_count, struct hs_error *err)
{
    const json_t *list = list_json(body);
    size_t count = body->kind == FORM ? body->member_count : json_is_string(list) ? 1 : json_array_size(list);
    if (list && !json_is_null(list) && !json_is_array(list) && !json_is_string(list))
        return hs_error_set(err, HS_EINVAL, "%s: must be an array of pictures, not %s", body->spec.list[0],
                            hs_body_type_name(list));
    if (count == 0)
        return missing(body->spec.list[0], err);
    *ret_count = count;
    return 0;
}

const json_t *hs_body_list_value(const struct hs_body *body, size_t member)
{
    const json_t *list = list_json(body);
    return json_is_string(list) ? list : json_array_get(list, member);
}

int hs_body_list_take(struct hs_body *body, size_t member, uint8_t **ret_data, size_t *ret_len, struct hs_error *err)
{
    const char *name = body->spec.list_member;
    const json_t *value = hs_body_list_value(body, member);
    assert(member < body->spec.list_max);
    if (json_is_object(value))
        value = json_object_get(value, name);
    return take(body, &body->files[body->file_count + member], value, name, ret_data, ret_len, err);
}
