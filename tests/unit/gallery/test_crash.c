/* A program that adds and removes is killed at a random moment. Every step that it reported as done
 * must be done. */
#include "fixture.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "gallery/audit_log.h"

enum { ROUNDS = 12, STEPS = 3000 };

/* Step k adds identity k. Every third step instead removes the identity added before it. */
static bool is_removal(int step)
{
    return step % 3 == 2;
}

static void name_of(int step, char ret_name[16])
{
    hs_str_format(ret_name, 16, "%d", is_removal(step) ? step - 1 : step);
}

static int run_step(struct hs_gallery *gallery, int step)
{
    char name[16];
    name_of(step, name);
    return is_removal(step) ? hs_gallery_remove(gallery, name, NULL, NULL)
                            : try_add(gallery, name, (unsigned) step, NULL);
}

/* The child writes one byte to the pipe for each completed step, and waits for its end after the last one. A
 * separate process cannot use cmocka. */
static void work(const struct hs_gallery_options *options, int steps, int fd)
{
    struct hs_gallery *gallery;
    if (hs_gallery_open(options, &gallery, NULL, NULL) < 0)
        _exit(1);
    for (int step = 0; step < steps; step++)
        if (run_step(gallery, step) != 0 || write(fd, "x", 1) != 1)
            _exit(1);
    for (;;)
        pause();
}

/* Kills the child, which does `steps` steps, shortly after it has completed `enough` of them. Returns the number of
 * steps it reported. */
static int run_and_kill(const struct hs_gallery_options *options, int steps, int enough, unsigned delay_us)
{
    int fds[2], done = 0;
    char bytes[256];
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        work(options, steps, fds[1]);
    }
    close(fds[1]);
    ssize_t n;
    while (done < enough && (n = read(fds[0], bytes, sizeof(bytes))) > 0)
        done += (int) n;
    usleep(delay_us);
    kill(child, SIGKILL);
    while ((n = read(fds[0], bytes, sizeof(bytes))) > 0)
        done += (int) n;
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return done;
}

static void check_steps(struct fixture *f, int done)
{
    struct hs_gallery *g = fixture_open(f);
    assert_string_equal(f->opened.set_aside, "");
    assert_int_equal(hs_gallery_check(g, NULL), 0);
    for (int step = 0; step < done; step++) {
        char name[16];
        name_of(step, name);
        if (is_removal(step)) {
            assert_int_equal(count_of(g, name), -1);
            assert_false(folder_has(f, (unsigned) step - 1));
        } else if (!is_removal(step + 1) || step + 1 > done) {
            assert_int_equal(count_of(g, name), 1);
        }
    }
    /* A step that was not reported may be done, but its entry is there if and only if it is. */
    struct hs_audit_report report;
    assert_int_equal(hs_audit_verify(g, 0, &report, NULL), 0);
    assert_string_equal(report.problem, "");
    assert_true(report.entries == done || report.entries == done + 1);
    assert_int_equal(report.unlogged, 0);
}

static void test_killed(void **state)
{
    (void) state;
    for (int round = 0; round < ROUNDS; round++) {
        void *own;
        fixture_setup(&own);
        struct fixture *g = own;
        int done = run_and_kill(&g->options, STEPS, round * 5, (unsigned) round * 137 % 1000);
        check_steps(g, done);
        fixture_teardown(&own);
    }
}

/* Opening empties the log that a killed process left, because it may hold erased content. */
static void test_log_is_emptied(void **state)
{
    struct fixture *f = *state;
    char log[PATH_MAX];
    struct stat st;
    assert_true(hs_str_format(log, sizeof(log), "%s-wal", f->path));
    fixture_open(f);
    fixture_close(f);
    run_and_kill(&f->options, 5, 5, 0); /* the last two steps add */
    assert_int_equal(stat(log, &st), 0);
    assert_true(st.st_size > 0);
    fixture_open(f);
    assert_true(stat(log, &st) < 0 || st.st_size == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_killed), GALLERY_TEST(test_log_is_emptied) };
    return HS_RUN_TESTS(tests);
}
