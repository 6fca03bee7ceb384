#include "../unit.h"

#include <stdio.h>
#include <string.h>

#include "../alloc_fail.h"
#include "base/mem.h"
#include "face/pairs.h"

static struct hs_face_pairs *parsed(const char *text)
{
    struct hs_face_pairs *pairs;
    struct hs_error err;
    if (hs_face_pairs_parse(text, strlen(text), "t.csv", &pairs, &err) < 0)
        fail_msg("%s", err.message);
    return pairs;
}

static void each_picture_is_listed_once(void **state)
{
    (void) state;
    struct hs_face_pairs *p = parsed("a,b,same\nx/1.jpg,x/2.jpg,1\n\nx/2.jpg,y.png,0\nx/1.jpg,y.png,False\n");
    assert_int_equal(p->picture_count, 3);
    assert_string_equal(p->pictures[2].path, "y.png");
    assert_int_equal(p->pair_count, 3);
    assert_true(p->pairs[0].same && !p->pairs[1].same && !p->pairs[2].same);
    assert_true(p->pairs[2].a == 0 && p->pairs[2].b == 2);
    assert_false(p->pictures[0].has_box);
    hs_face_pairs_destroy(p);
}

static void columns_may_come_in_any_order_and_cells_in_quotes(void **state)
{
    (void) state;
    struct hs_face_pairs *p = parsed("\xef\xbb\xbfnote,same,bbox2,image2,image1\r\n"
                                     "\"a \"\"b\"\", c\",true,10 20 30 40,\"q,1.jpg\",r.jpg\r\n"
                                     ",0, 1  2 3.5 4 ,r.jpg,\"q,1.jpg\"\r\n");
    assert_int_equal(p->picture_count, 4);
    assert_string_equal(p->pictures[0].path, "r.jpg");
    assert_string_equal(p->pictures[1].path, "q,1.jpg");
    assert_true(p->pictures[1].has_box && !p->pictures[0].has_box);
    const struct hs_rect *box = &p->pictures[1].box;
    assert_true(box->x1 == 10 && box->y1 == 20 && box->x2 == 40 && box->y2 == 60);
    assert_true(p->pairs[1].a == 2 && p->pairs[1].b == 3); /* a different box is a different face */
    assert_true(p->pictures[3].box.x2 == 4.5f);
    hs_face_pairs_destroy(p);
}

static void bad_files_are_refused_with_their_line(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        int line;
    } cases[] = {
        { "", 1 },
        { "x,y,z\n", 1 },
        { "a,b\n1,2\n", 1 },
        { "a,a,b,same\n", 1 },
        { "a,image1,b,same\n", 1 },
        { "a,b,same\n", 2 },
        { "a,b,same\np,q,2\n", 2 },
        { "a,b,same\np,q,1\np,q\n", 3 },
        { "a,b,same\np,,1\n", 2 },
        { "a,b,same\n\"p,q,1\n", 2 },
        { "a,b,same\n\"p\"x,q,1\n", 2 },
        { "a,b,same,bbox1\np,q,1,1 2 3\n", 2 },
        { "a,b,same,bbox1\np,q,1,1 2 3 4 5\n", 2 },
        { "a,b,same,bbox1\np,q,1,1 2 0 4\n", 2 },
        { "a,b,same,bbox1\np,q,1,nan 2 3 4\n", 2 },
        { "a,b,same,bbox1\np,q,1,1e9 2 3 4\n", 2 },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct hs_face_pairs *pairs = NULL;
        struct hs_error err;
        assert_int_equal(hs_face_pairs_parse(cases[i].text, strlen(cases[i].text), "t.csv", &pairs, &err), HS_EINVAL);
        if (err.line != cases[i].line)
            fail_msg("%s: %s", cases[i].text, err.message);
        assert_null(pairs);
    }
    struct hs_face_pairs *pairs = NULL;
    assert_int_equal(hs_face_pairs_parse("a,b,same\np\0,q,1\n", 16, "t.csv", &pairs, NULL), HS_EINVAL);
}

/* A line with the maximum number of columns, and with one more. */
static void lines_have_bounds(void **state)
{
    (void) state;
    char text[400];
    for (int columns = 64; columns <= 65; columns++) {
        struct hs_face_pairs *pairs = NULL;
        struct hs_error err;
        size_t len = 0;
        for (int line = 0; line < 2; line++) {
            len += (size_t) snprintf(text + len, sizeof(text) - len, line ? "p,q,1" : "a,b,same");
            for (int i = 3; i < columns; i++)
                text[len++] = ',';
            text[len++] = '\n';
        }
        int r = hs_face_pairs_parse(text, len, "t.csv", &pairs, &err);
        assert_int_equal(r, columns == 64 ? 0 : HS_EINVAL);
        assert_true(r == 0 || strcmp(err.message, "t.csv:1: too many columns") == 0);
        hs_face_pairs_destroy(pairs);
    }
}

static void messages_say_what_is_wrong(void **state)
{
    (void) state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "t.csv:1: the file contains no pairs" },
        { "a,b,same", "t.csv:1: the file contains no pairs" },
        { "a,b\n1,2\n", "t.csv:1: the first line must name the columns image1, image2 and same" },
        { "b,same\n", "t.csv:1: the first line must name the columns image1, image2 and same" },
        { "a,same\n", "t.csv:1: the first line must name the columns image1, image2 and same" },
        { "a,b,same,same\n", "t.csv:1: duplicate column" },
        { "a,b,same\n\n\"p,q,1\n", "t.csv:3: unterminated quoted cell" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(cases); i++) {
        struct hs_face_pairs *pairs = NULL;
        struct hs_error err;
        assert_int_equal(hs_face_pairs_parse(cases[i].text, strlen(cases[i].text), "t.csv", &pairs, &err), HS_EINVAL);
        assert_string_equal(err.message, cases[i].says);
    }
    struct hs_face_pairs *pairs = NULL;
    struct hs_error err;
    assert_int_equal(hs_face_pairs_parse("a\0b", 3, "t.csv", &pairs, &err), HS_EINVAL);
    assert_non_null(strstr(err.message, "not a text file"));
    assert_int_equal(hs_face_pairs_load("/no/such/pairs.csv", &pairs, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "/no/such/pairs.csv"));
    assert_null(pairs);
    hs_face_pairs_destroy(NULL);
}

static int parse(void *arg)
{
    static const char text[] = "a,b,same,bbox1\nx.jpg,y.jpg,1,1 2 3 4\ny.jpg,x.jpg,0,\nx.jpg,z.jpg,1,1 2 3 4";
    struct hs_face_pairs *p = NULL;
    struct hs_error err = { 0 };
    (void) arg;
    int r = hs_face_pairs_parse(text, sizeof(text) - 1, "t.csv", &p, &err);
    assert_int_equal(r, err.code);
    assert_int_equal(p == NULL, r != 0);
    if (r == 0) {
        assert_int_equal(p->pair_count, 3);
        assert_int_equal(p->picture_count, 4); /* x.jpg with and without a box */
        assert_true(p->pairs[2].a == p->pairs[0].a && p->pairs[1].b != p->pairs[0].a);
    }
    hs_face_pairs_destroy(p);
    return r;
}

static void pairs_are_read_or_refused_without_memory(void **state)
{
    (void) state;
    assert_int_equal(hs_fail_each_allocation(parse, NULL), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_picture_is_listed_once),
        cmocka_unit_test(columns_may_come_in_any_order_and_cells_in_quotes),
        cmocka_unit_test(bad_files_are_refused_with_their_line),
        cmocka_unit_test(lines_have_bounds),
        cmocka_unit_test(messages_say_what_is_wrong),
        cmocka_unit_test(pairs_are_read_or_refused_without_memory),
    };
    return HS_RUN_TESTS(tests);
}
