/* Checks report lines about a gallery literally. */
#include "../unit.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "face/gallery_report.h"

static char lines[HS_FACE_REPORT_LINES][HS_FACE_REPORT_LINE_SIZE];

static void counts_have_singular_and_plural(void **state)
{
    (void) state;
    static const struct {
        long long count;
        const char *faces, *people;
    } cases[] = {
        { 0, "0 faces", "0 people" },
        { 1, "1 face", "1 person" },
        { 2, "2 faces", "2 people" },
        { INT64_MAX, "9223372036854775807 faces", "9223372036854775807 people" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        char text[40];
        assert_string_equal(hs_face_count_faces(cases[i].count, text), cases[i].faces);
        assert_string_equal(hs_face_count_people(cases[i].count, text), cases[i].people);
    }
}

static void faces_that_cannot_match_are_reported(void **state)
{
    (void) state;
    struct hs_gallery_usability usability = { .embeddings = { [HS_GALLERY_USABLE] = 5 } };
    assert_int_equal(hs_face_report_unusable(&usability, "made", 512, lines), 0);
    usability = (struct hs_gallery_usability) {
        .embeddings = { [HS_GALLERY_OTHER_SPACE] = 2,
                        [HS_GALLERY_OTHER_SIZE] = 1,
                        [HS_GALLERY_DAMAGED] = 3,
                        [HS_GALLERY_UNKNOWN_SPACE] = 4,
                        [HS_GALLERY_USABLE] = 5 },
        .identities_without = 1,
    };
    assert_int_equal(hs_face_report_unusable(&usability, "made", 512, lines), HS_FACE_REPORT_LINES);
    static const char *const all[HS_FACE_REPORT_LINES] = {
        ("4 of 15 stored faces were made by an unknown model and cannot match. Enrol again, or name the model with "
         "`hailo-face db set-space NAME`"),
        "3 of 15 stored faces were damaged (not finite or not of unit length) and cannot match. Enrol again",
        "1 of 15 stored faces was stored with a vector length other than the 512 of made and cannot match. Enrol again",
        "2 of 15 stored faces were made by a model other than made and cannot match. Enrol again, or select that model",
        "1 person cannot be recognised at all. Run `hailo-face db check` for the names",
    };
    for (size_t i = 0; i < HS_FACE_REPORT_LINES; i++)
        assert_string_equal(lines[i], all[i]);
    usability = (struct hs_gallery_usability) { .embeddings = { [HS_GALLERY_DAMAGED] = 1 }, .identities_without = 2 };
    assert_int_equal(hs_face_report_unusable(&usability, "made", 512, lines), 2);
    assert_string_equal(
        lines[0], "1 of 1 stored face was damaged (not finite or not of unit length) and cannot match. Enrol again");
    assert_string_equal(lines[1], "2 people cannot be recognised at all. Run `hailo-face db check` for the names");
}

static void records_of_other_programs_are_reported(void **state)
{
    (void) state;
    static struct hs_gallery_audit audit;
    assert_int_equal(hs_face_report_records(&audit, lines), 0);
    audit.names.count = 1;
    assert_int_equal(hs_face_report_records(&audit, lines), 1);
    assert_string_equal(lines[0], "1 person with an invalid name. Run `hailo-face db check` for the names");
    audit.metadata.count = 2;
    assert_int_equal(hs_face_report_records(&audit, lines), 2);
    assert_string_equal(lines[1],
                        "2 people with invalid metadata, which is not shown. Run `hailo-face db check` for the names");
    audit.names.count = 0;
    assert_int_equal(hs_face_report_records(&audit, lines), 1);
    assert_string_equal(lines[0],
                        "2 people with invalid metadata, which is not shown. Run `hailo-face db check` for the names");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_have_singular_and_plural),
        cmocka_unit_test(faces_that_cannot_match_are_reported),
        cmocka_unit_test(records_of_other_programs_are_reported),
    };
    return HS_RUN_TESTS(tests);
}
