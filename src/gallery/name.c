#include "gallery/name.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include "base/str.h"

/* INPUT_MAX: a longer text is rejected at once, because normalization shortens text to a third at most. */
enum { INPUT_MAX = 4096, ZERO_WIDTH_NON_JOINER = 0x200c, ZERO_WIDTH_JOINER = 0x200d, VIRAMA_CLASS = 9 };

/* ---- characters ---- */

/* Returns the joining type of the nearest character before or after `at`, skipping transparent ones
 * (marks). -1: none. */
static int joining_type_beside(const ucs4_t *text, size_t len, size_t at, bool before)
{
    for (size_t i = at; before ? i-- > 0 : ++i < len;) {
        int type = uc_joining_type(text[i]);
        if (type != UC_JOINING_TYPE_T)
            return type;
    }
    return -1;
}

/* RFC 5892, appendix A.1 and A.2: joiners are allowed after a virama, and the non-joiner also
 * between two letters that would be joined. */
static bool joiner_is_allowed(const ucs4_t *text, size_t len, size_t at)
{
    if (at > 0 && uc_combining_class(text[at - 1]) == VIRAMA_CLASS)
        return true;
    int before = joining_type_beside(text, len, at, true), behind = joining_type_beside(text, len, at, false);
    return text[at] == ZERO_WIDTH_NON_JOINER && (before == UC_JOINING_TYPE_L || before == UC_JOINING_TYPE_D) &&
           (behind == UC_JOINING_TYPE_R || behind == UC_JOINING_TYPE_D);
}

static int check_characters(const ucs4_t *text, size_t len, struct hs_error *err)
{
    for (size_t i = 0; i < len; i++) {
        ucs4_t c = text[i];
        if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cc | UC_CATEGORY_MASK_Zl | UC_CATEGORY_MASK_Zp))
            return hs_error_set(err, HS_EINVAL, "name: has control characters (U+%04X)", (unsigned) c);
        bool joiner = c == ZERO_WIDTH_NON_JOINER || c == ZERO_WIDTH_JOINER;
        bool invisible =
            uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Cf) || uc_is_property_default_ignorable_code_point(c);
        if (joiner ? !joiner_is_allowed(text, len, i) : invisible)
            return hs_error_set(err, HS_EINVAL, "name: has an invisible character (U+%04X)", (unsigned) c);
    }
    return 0;
}

static int fail_conversion(struct hs_error *err)
{
    return errno == ENOMEM ? hs_error_set(err, HS_ENOMEM, "no memory for a name")
                           : hs_error_set(err, HS_EINVAL, "name: not UTF-8");
}

/* ---- names ---- */

/* Compatibility forms and case look the same to a reader: "ＵＮＫＮＯＷＮ". */
static int check_reserved(const uint8_t *name, size_t len, struct hs_error *err)
{
    static const char nobody[] = HS_GALLERY_UNKNOWN;
    if ((len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0))
        return hs_error_set(err, HS_EINVAL, "name: must not be '.' or '..', which are reserved in paths");
    size_t folded_len;
    uint8_t *folded = u8_casefold(name, len, NULL, UNINORM_NFKC, NULL, &folded_len);
    if (!folded)
        return fail_conversion(err);
    bool same = folded_len == sizeof(nobody) - 1 && memcmp(folded, nobody, folded_len) == 0;
    free(folded);
    return same ? hs_error_set(err, HS_EINVAL, "name: '%s' is reserved for faces without a match", nobody) : 0;
}

/* Trims white space at both ends. */
static const ucs4_t *trim(const ucs4_t *text, size_t *len)
{
    while (*len > 0 && uc_is_property_white_space(text[*len - 1]))
        --*len;
    while (*len > 0 && uc_is_property_white_space(text[0])) {
        text++;
        --*len;
    }
    return text;
}

/* Converts code points to UTF-8 in normalization form C. HS_EINVAL: too long. */
static int normalize(const ucs4_t *text, size_t len, char ret_name[HS_GALLERY_NAME_MAX + 1], struct hs_error *err)
{
    size_t composed_len, bytes_len;
    ucs4_t *composed = u32_normalize(UNINORM_NFC, text, len, NULL, &composed_len);
    uint8_t *bytes = composed ? u32_to_u8(composed, composed_len, NULL, &bytes_len) : NULL;
    int r = bytes ? 0 : fail_conversion(err);
    if (r == 0 && bytes_len > HS_GALLERY_NAME_MAX)
        r = hs_error_set(err, HS_EINVAL, "name: longer than %d bytes", HS_GALLERY_NAME_MAX);
    if (r == 0)
        r = check_characters(composed, composed_len, err);
    if (r == 0)
        r = check_reserved(bytes, bytes_len, err);
    if (r == 0)
        hs_str_copy_n(ret_name, HS_GALLERY_NAME_MAX + 1, (const char *) bytes, bytes_len);
    free(composed);
    free(bytes);
    return r;
}

int hs_gallery_clean_name(const char *name, char ret_name[HS_GALLERY_NAME_MAX + 1], struct hs_error *err)
{
    size_t size = name ? strnlen(name, INPUT_MAX + 1) : 0, len = 0;
    if (size > INPUT_MAX)
        return hs_error_set(err, HS_EINVAL, "name: longer than %d bytes", HS_GALLERY_NAME_MAX);
    if (size > 0 && !hs_utf8_valid(name, size))
        return hs_error_set(err, HS_EINVAL, "name: not UTF-8");
    if (size == 0)
        return hs_error_set(err, HS_EINVAL, "name: must not be empty");
    ucs4_t *text = u8_to_u32((const uint8_t *) name, size, NULL, &len);
    if (!text)
        return fail_conversion(err);
    const ucs4_t *trimmed = trim(text, &len);
    int r = len == 0 ? hs_error_set(err, HS_EINVAL, "name: must not be empty or only white space")
                     : normalize(trimmed, len, ret_name, err);
    free(text);
    return r;
}
