/* Files for the gallery import. The target corrects the checksum, because few inputs would pass it otherwise.
 * Accepted records are stored in the gallery: they can be exported, and a second import adds nothing. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "gallery/export.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int append(void *arg, const char *data, size_t len)
{
    return hs_buf_append(arg, data, len);
}

static void with_sum(const uint8_t *data, size_t len, struct hs_buf *buf)
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    char hex[65];
    hs_buf_init(buf, SIZE_MAX / 2);
    if (hs_buf_append(buf, data, len) < 0 || (len > 0 && data[len - 1] != '\n' && hs_buf_append_str(buf, "\n") < 0))
        abort();
    crypto_hash_sha256(digest, buf->data, buf->len);
    sodium_bin2hex(hex, sizeof(hex), digest, sizeof(digest));
    if (hs_buf_printf(buf, "{\"sha256\":\"%s\"}", hex) < 0)
        abort();
}

/* Returns the gallery, shared by 200 inputs and then replaced by an empty one. */
static struct hs_gallery *get_gallery(void)
{
    static struct hs_gallery *gallery;
    static int uses;
    if (gallery && ++uses < 200)
        return gallery;
    uses = 0;
    hs_gallery_close(gallery);
    const char *path = hs_fuzz_scratch("faces.db");
    unlink(path);
    struct hs_gallery_options options = { .path = path, .busy_timeout_ms = 1000 };
    if (hs_gallery_open(&options, &gallery, NULL, NULL) < 0)
        abort();
    return gallery;
}

static void check_report(const struct hs_gallery_imported *done)
{
    for (size_t i = 0; i < done->refused_count && i < HS_GALLERY_REFUSED_MAX; i++)
        if (done->refused[i].line < 2 || !done->refused[i].reason[0])
            abort();
    if (done->identities > done->added + done->present)
        abort();
}

static void check_accepted(struct hs_gallery *gallery, const struct hs_buf *buf)
{
    static struct hs_gallery_imported again;
    struct hs_buf out;
    hs_buf_init(&out, SIZE_MAX / 2);
    if (hs_gallery_import(gallery, (const char *) buf->data, buf->len, &again, NULL) < 0 || again.added != 0)
        abort();
    if (hs_gallery_export(gallery, NULL, append, &out, NULL) < 0 ||
        hs_gallery_import(gallery, (const char *) out.data, out.len, &again, NULL) < 0 || again.refused_count != 0 ||
        again.added != 0)
        abort();
    hs_buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct hs_gallery_imported done;
    struct hs_gallery *gallery = get_gallery();
    struct hs_error err = { 0 };
    int r = hs_gallery_import(gallery, (const char *) data, len, &done, &err);
    if (r < 0 && (err.code != r || !err.message[0]))
        abort();
    struct hs_buf buf;
    with_sum(data, len, &buf);
    r = hs_gallery_import(gallery, (const char *) buf.data, buf.len, &done, &err);
    if (r == 0) {
        check_report(&done);
        check_accepted(gallery, &buf);
    } else if (r != HS_EDECODE) {
        abort();
    }
    hs_buf_finish(&buf);
    return 0;
}
