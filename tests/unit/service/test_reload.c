#include "../unit.h"

#include "base/str.h"
#include "service/reload.h"

/* A part that writes each call as a letter and its name to `calls`. */
struct part {
    char name;
    int result; /* of prepare */
};

static char calls[64];

static void note(char call, const struct part *part)
{
    size_t len = strlen(calls);
    hs_str_format(calls + len, sizeof(calls) - len, "%c%c ", call, part->name);
}

static int prepare(void *ctx, const struct hs_settings *next, struct hs_error *err)
{
    const struct part *part = ctx;
    (void) next;
    note('p', part);
    return part->result < 0 ? hs_error_set(err, part->result, "bad value") : 0;
}

static void commit(void *ctx)
{
    note('c', ctx);
}

static void abandon(void *ctx)
{
    note('a', ctx);
}

static int apply(struct part parts[3], struct hs_error *err)
{
    static const char *const names[] = { "log", "TLS certificate", "keys" };
    struct hs_reload reload = { 0 };
    calls[0] = '\0';
    for (size_t i = 0; i < 3; i++)
        hs_reload_add(&reload, &(struct hs_reload_part) {
                                   .name = names[i],
                                   .prepare = prepare,
                                   .commit = commit,
                                   .abandon = abandon,
                                   .ctx = &parts[i],
                               });
    return hs_reload_apply(&reload, NULL, err);
}

static void all_prepare_before_one_commits(void **state)
{
    (void) state;
    struct part parts[] = { { 'x', 0 }, { 'y', 0 }, { 'z', 0 } };
    struct hs_error err;
    assert_int_equal(apply(parts, &err), 0);
    assert_string_equal(calls, "px py pz cx cy cz ");
}

static void after_a_failure_none_commits(void **state)
{
    (void) state;
    struct part last[] = { { 'x', 0 }, { 'y', 0 }, { 'z', HS_EINVAL } };
    struct part middle[] = { { 'x', 0 }, { 'y', HS_EFORBIDDEN }, { 'z', 0 } };
    struct part first[] = { { 'x', HS_EIO }, { 'y', 0 }, { 'z', 0 } };
    struct hs_error err;
    assert_int_equal(apply(last, &err), HS_EINVAL);
    assert_string_equal(calls, "px py pz ay ax ");
    assert_int_equal(apply(middle, &err), HS_EFORBIDDEN);
    assert_string_equal(calls, "px py ax ");
    assert_string_equal(err.message, "TLS certificate: bad value");
    assert_int_equal(apply(first, &err), HS_EIO);
    assert_string_equal(calls, "px ");
}

static void a_part_needs_only_prepare(void **state)
{
    (void) state;
    struct part x = { 'x', 0 }, y = { 'y', HS_EINVAL };
    struct hs_reload reload = { 0 };
    struct hs_error err;
    calls[0] = '\0';
    hs_reload_add(&reload, &(struct hs_reload_part) { .name = "x", .prepare = prepare, .ctx = &x });
    assert_int_equal(hs_reload_apply(&reload, NULL, &err), 0);
    hs_reload_add(&reload, &(struct hs_reload_part) { .name = "y", .prepare = prepare, .ctx = &y });
    assert_int_equal(hs_reload_apply(&reload, NULL, &err), HS_EINVAL);
    assert_string_equal(calls, "px px py ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_prepare_before_one_commits),
        cmocka_unit_test(after_a_failure_none_commits),
        cmocka_unit_test(a_part_needs_only_prepare),
    };
    return HS_RUN_TESTS(tests);
}
