/* Names of identities: an accepted name is UTF-8 within its limit and has no white space at its ends. Cleaning
 * the name again does not change it, even after decomposition. No accepted name is a path or HS_GALLERY_UNKNOWN. */
#include <stdlib.h>
#include <string.h>
#include <uninorm.h>

#include "base/str.h"
#include "gallery/name.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The name in normalization form D is the same name. */
static void check_apart(const char *name)
{
    size_t size;
    uint8_t *apart = u8_normalize(UNINORM_NFD, (const uint8_t *) name, strlen(name), NULL, &size);
    char *text = apart ? hs_fuzz_text(apart, size) : NULL, again[HS_GALLERY_NAME_MAX + 1];
    if (text && (hs_gallery_clean_name(text, again, NULL) < 0 || strcmp(name, again) != 0))
        abort();
    free(apart);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = hs_fuzz_text(data, len), name[HS_GALLERY_NAME_MAX + 1] = "-", again[HS_GALLERY_NAME_MAX + 1];
    struct hs_error err = { .message = "" };
    int r = text ? hs_gallery_clean_name(text, name, &err) : HS_ENOMEM;
    if (r == HS_EINVAL && (!hs_str_starts(err.message, "name: ") || strcmp(name, "-") != 0))
        abort();
    if (r == 0) {
        size_t size = strlen(name);
        if (size < 1 || size > HS_GALLERY_NAME_MAX || !hs_utf8_valid(name, size) || name[0] == ' ' ||
            name[size - 1] == ' ' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            hs_str_equal_nocase(name, HS_GALLERY_UNKNOWN))
            abort();
        if (hs_gallery_clean_name(name, again, NULL) < 0 || strcmp(name, again) != 0)
            abort();
        check_apart(name);
    }
    free(text);
    return 0;
}
