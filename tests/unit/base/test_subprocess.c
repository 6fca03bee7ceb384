#include "../unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "base/subprocess.h"

static char output[HS_SUBPROCESS_OUTPUT_SIZE];

static int run_until(const char *script, int64_t deadline_ns, struct hs_cancel *cancel, int *ret_code,
                     struct hs_error *err)
{
    const char *const argv[] = { "sh", "-c", script, "sh", "a; b 'c'", NULL };
    const struct hs_subprocess job = { .argv = argv, .dir = "/usr", .deadline_ns = deadline_ns, .cancel = cancel };
    return hs_subprocess_run(&job, ret_code, output, err);
}

static void expect_output(const char *script, int wanted_code, const char *wanted)
{
    struct hs_error err = { 0 };
    int code = -1;
    assert_int_equal(run_until(script, HS_NO_DEADLINE, NULL, &code, &err), 0);
    assert_int_equal(code, wanted_code);
    assert_string_equal(output, wanted);
}

static pid_t number_in(const char *text)
{
    return (pid_t) strtol(text, NULL, 10);
}

static bool has_ended(pid_t pid)
{
    char path[40], line[200] = "";
    hs_str_format(path, sizeof(path), "/proc/%d/stat", (int) pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : 0;
    if (fd >= 0)
        close(fd);
    const char *state = n > 0 ? strrchr(line, ')') : NULL;
    return !state || state[2] == 'Z'; /* some containers have no init that reaps it */
}

static bool is_gone(pid_t pid)
{
    for (int i = 0; i < 200; i++) {
        if (has_ended(pid))
            return true;
        usleep(50000);
    }
    return false;
}

static void output_and_exit_code_are_returned(void **state)
{
    (void) state;
    expect_output("pwd; echo \"$1\" >&2; cat; exit 3", 3, "/usr\na; b 'c'\n");
    expect_output("true", 0, "");
    expect_output("kill -9 $$", 128, "");
}

static void a_missing_program_is_not_found(void **state)
{
    (void) state;
    struct hs_error err;
    int code = -1;
    const char *const none[] = { "no-such-program-here", NULL };
    const struct hs_subprocess job = { .argv = none, .dir = "/", .deadline_ns = HS_NO_DEADLINE };
    assert_int_equal(hs_subprocess_run(&job, &code, output, &err), HS_ENOTFOUND);
    assert_non_null(strstr(err.message, "no-such-program-here"));
}

/* Keeps the end of the output, for any output size. */
static void the_end_of_long_output_is_kept(void **state)
{
    (void) state;
    struct hs_error err;
    int code = -1;
    assert_int_equal(
        run_until("yes 0123456 | head -c 1000000; echo; echo the last line", HS_NO_DEADLINE, NULL, &code, &err), 0);
    assert_int_equal(code, 0);
    assert_true(strlen(output) > 8000 && strlen(output) < HS_SUBPROCESS_OUTPUT_SIZE);
    assert_true(hs_str_ends(output, "\nthe last line\n"));
}

/* A service blocks SIGTERM in its threads. A subprocess must not inherit the signal mask, ignored
 * signals or descriptors. */
static void the_child_inherits_no_descriptors_or_signals(void **state)
{
    (void) state;
    sigset_t all, before;
    struct sigaction ignore = { .sa_handler = SIG_IGN }, was;
    /* Under an emulator, /proc shows the emulator's signals. */
    if (getenv("HS_EMULATED"))
        skip();
    int fd = open("/dev/null", O_RDONLY);
    assert_true(fd >= 0 && dup2(fd, 97) == 97); /* without O_CLOEXEC */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    sigaction(SIGPIPE, &ignore, &was);
    /* The C library uses signals 32 and 33, which a process started with posix_spawn, for example
     * by make, may ignore. */
    expect_output("grep SigBlk /proc/self/status; n=3\n"
                  "printf 'SigIgn: %x\\n' $((0x$(sed -n 's/SigIgn:\t//p' /proc/self/status) & ~0x180000000))\n"
                  "while [ $n -lt 200 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n + 1)); done; true",
                  0, "SigBlk:\t0000000000000000\nSigIgn: 0\n");
    sigaction(SIGPIPE, &was, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(97);
    close(fd);
}

/* When the call returns, the program and its child processes have ended. */
static void a_deadline_kills_the_program(void **state)
{
    (void) state;
    struct hs_error err;
    int code = -1;
    int64_t began = hs_clock_now_ns();
    assert_int_equal(
        run_until("trap '' TERM; sleep 300 & echo $!; wait", began + 500 * HS_NS_PER_MS, NULL, &code, &err),
        HS_ETIMEOUT);
    assert_true(hs_clock_now_ns() - began < 60 * HS_NS_PER_S);
    assert_true(number_in(output) > 0);
    assert_true(is_gone(number_in(output)));
}

/* Endless output does not delay the deadline. */
static void a_deadline_holds_while_output_arrives(void **state)
{
    (void) state;
    struct hs_error err;
    int code = -1;
    assert_int_equal(run_until("yes", hs_clock_now_ns() + 300 * HS_NS_PER_MS, NULL, &code, &err), HS_ETIMEOUT);
}

static void *cancel_later(void *arg)
{
    usleep(200000);
    hs_cancel_trigger(arg);
    return NULL;
}

static void cancelled(void **state)
{
    (void) state;
    struct hs_cancel cancel;
    struct hs_error err;
    pthread_t thread;
    int code = -1;
    hs_cancel_init(&cancel);
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, &cancel), 0);
    assert_int_equal(run_until("echo $$; exec sleep 300", HS_NO_DEADLINE, &cancel, &code, &err), HS_ECANCELED);
    assert_true(is_gone(number_in(output)));
    pthread_join(thread, NULL);
    /* Also if it is cancelled before it starts. */
    assert_int_equal(run_until("exec sleep 300", HS_NO_DEADLINE, &cancel, &code, &err), HS_ECANCELED);
    hs_cancel_finish(&cancel);
}

/* The child processes of a program end with it, even if they hold the output open. */
static void background_children_are_killed(void **state)
{
    (void) state;
    struct hs_error err;
    int code = -1;
    assert_int_equal(run_until("sleep 300 & echo $!", HS_NO_DEADLINE, NULL, &code, &err), 0);
    assert_int_equal(code, 0);
    assert_true(is_gone(number_in(output)));
}

/* If the parent is killed, the program ends too. */
static void the_child_dies_with_its_parent(void **state)
{
    (void) state;
    char text[20] = "";
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        char script[100];
        struct hs_error err;
        int code;
        hs_str_format(script, sizeof(script), "echo $$ >/proc/%d/fd/%d; exec sleep 300", (int) getpid(), ends[1]);
        run_until(script, HS_NO_DEADLINE, NULL, &code, &err);
        _exit(0);
    }
    assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_true(is_gone(number_in(text)));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_exit_code_are_returned),
        cmocka_unit_test(a_missing_program_is_not_found),
        cmocka_unit_test(the_end_of_long_output_is_kept),
        cmocka_unit_test(the_child_inherits_no_descriptors_or_signals),
        cmocka_unit_test(a_deadline_kills_the_program),
        cmocka_unit_test(a_deadline_holds_while_output_arrives),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(background_children_are_killed),
        cmocka_unit_test(the_child_dies_with_its_parent),
    };
    return HS_RUN_TESTS(tests);
}
