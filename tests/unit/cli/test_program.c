/* The command line of a program: usage errors, output, and output that cannot be written. */
#include "cli/capture.h"

#include <sys/wait.h>

#include "alloc_fail.h"
#include "base/mem.h"
#include "cli/program.h"
#include "models/folder.h"
#include "pose/settings.h"

static struct capture seen;

/* Prints what it was given. */
static int run_options(struct hs_invocation *call)
{
    bool flag = false;
    const char *text = "-";
    int64_t whole = 3;
    double number = 1;
    struct hs_text_list list = { 0 };
    const struct hs_option options[] = {
        HS_FLAG("flag", &flag, "a flag"),
        HS_TEXT("text", &text, "TEXT", "a text"),
        HS_INT("int", &whole, "N", 1, 5, "a number"),
        HS_NUMBER("number", &number, "X", .5, 1.5, "another"),
        { .name = "list", .kind = HS_OPTION_LIST, .target = &list, .value = "ITEM", .help = "items" },
    };
    int code;
    if (hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code)) {
        printf("%d %s %d %g %s", flag, text, (int) whole, number, call->device ? call->device : "-");
        for (size_t i = 0; i < list.count; i++)
            printf(" +%s", list.items[i]);
        for (size_t i = 0; i < call->operands.count; i++)
            printf(" %s", call->operands.items[i]);
        printf("%s%s%s\n", call->quiet ? " quiet" : "", call->verbose ? " verbose" : "", call->color ? " color" : "");
    }
    hs_text_list_finish(&list);
    return code;
}

static int run_json(struct hs_invocation *call)
{
    struct hs_error err;
    int code;
    if (!hs_invocation_read(call, NULL, 0, &code))
        return code;
    if (hs_print_json(json_pack("{s:[i]}", "a", 1), HS_JSON_SPACED, &err) < 0)
        return hs_invocation_fail(call, HS_EXIT_FAILURE, "%s", err.message);
    return HS_EXIT_OK;
}

static int print_action(void *arg)
{
    const struct hs_invocation *call = arg;
    printf("%s", call->action->name);
    for (size_t i = 0; i < call->operands.count; i++)
        printf(" %s", call->operands.items[i]);
    putchar('\n');
    return HS_EXIT_OK;
}

static int run_actions(struct hs_invocation *call)
{
    bool force = false, hidden = false;
    const char *from = NULL, *how = "off";
    const struct hs_option options[] = {
        HS_FLAG_OF("add copy", "force", &force, "even if it exists"),
        HS_TEXT_OF("copy", "from", &from, "FILE", "a file"),
        HS_TEXT("how", &how, "off|on", "a way that isn't long"),
        HS_FLAG("hidden", &hidden, NULL),
    };
    int code;
    return hs_invocation_read(call, options, HS_ARRAY_LEN(options), &code) ? call->action->run(call) : code;
}

static const struct hs_action actions[] = {
    { "add", "NAME FILE…", "Adds files", print_action },
    { "copy", "NAME", "Copies a name", print_action },
    { "copy", "--from FILE", "Copies a file", print_action },
    { "list", "", "Lists all", print_action },
};
static const struct hs_example action_examples[] = {
    { "do add me .deps/samples/a.jpg --models .deps/models", "Add a file" },
    { "do list", "List them" },
};

static const struct hs_command options_command = { .name = "options",
                                                   .arguments = "[WORD [WORD]]",
                                                   .summary = "Prints its options",
                                                   .run = run_options },
                               json_command = { .name = "json",
                                                .arguments = "",
                                                .summary = "Prints JSON",
                                                .run = run_json },
                               do_command = { .name = "do",
                                              .summary = "Does things",
                                              .run = run_actions,
                                              HS_ACTIONS(actions),
                                              HS_EXAMPLES(action_examples) };
static const struct hs_command *const commands[] = { &options_command, &json_command, &do_command, &hs_command_config };
static const struct hs_program program = { .name = "hailo-test",
                                           .summary = "a test",
                                           .version = "1.2",
                                           .schema = &hs_pose_schema,
                                           .commands = commands,
                                           .command_count = HS_ARRAY_LEN(commands) };

/* `line`: the words after the program's name, with a blank between them. */
static int run_to(const char *name, const char *line, int output)
{
    char copy[2000], *argv[32] = { (char *) (uintptr_t) name }, *save = NULL;
    int argc = 1;
    assert_true(hs_str_copy(copy, sizeof(copy), line));
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    capture_begin(&seen, output);
    int code = hs_program_main(&program, argc, argv);
    capture_end(&seen);
    return code;
}

static int run(const char *line)
{
    return run_to("/bin/hailo-test", line, -1);
}

#define USAGE "usage: hailo-test COMMAND [ARGUMENT…] [OPTION…]; see 'hailo-test --help'\n"
#define OPTIONS_USAGE "usage: hailo-test options [WORD [WORD]]; see 'hailo-test options --help'\n"
#define DO_USAGE "usage: hailo-test do ACTION [ARGUMENT…] [OPTION…]; see 'hailo-test do --help'\n"
#define ADD_USAGE "usage: hailo-test do add NAME FILE…; see 'hailo-test do add --help'\n"
#define COPY_USAGE                                                                                                     \
    "usage: hailo-test do copy NAME\n       hailo-test do copy --from FILE; see 'hailo-test do copy --help'\n"
#define CONFIG_USAGE "usage: hailo-test config ACTION [ARGUMENT…] [OPTION…]; see 'hailo-test config --help'\n"
#define RENDER_USAGE                                                                                                   \
    "usage: hailo-test config render FILE [KEY=VALUE…]\n"                                                              \
    "       hailo-test config render --drop-in FILE\n"                                                                 \
    "       hailo-test config render --input FILE --output FILE; see 'hailo-test config render --help'\n"

static void test_command_lines(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *out, *err;
    } rows[] = {
        { "", 2, "", "hailo-test: the command is missing\n" USAGE },
        { "version", 0, "hailo-test 1.2\n", "" },
        { "--version", 0, "hailo-test 1.2\n", "" },
        { "-V", 0, "hailo-test 1.2\n", "" },
        { "-q -V", 0, "hailo-test 1.2\n", "" },
        { "--device cpu version", 0, "hailo-test 1.2\n", "" },
        { "none", 2, "", "hailo-test: unknown command 'none'\n" USAGE },
        { "help none", 2, "", "hailo-test: unknown command 'none'\n" USAGE },
        { "--none options", 2, "", "hailo-test: unknown option '--none'\n" USAGE },
        { "-x", 2, "", "hailo-test: unknown option '-x'\n" USAGE },
        { "--device", 2, "", "hailo-test: --device needs a value (auto|cpu|hailo|sim)\n" USAGE },
        { "--device=", 2, "", "hailo-test: --device: the value is empty (auto|cpu|hailo|sim)\n" USAGE },
        { "options", 0, "0 - 3 1 -\n", "" },
        { "--device cpu options", 0, "0 - 3 1 cpu\n", "" },
        { "--device=cpu options --device sim", 0, "0 - 3 1 sim\n", "" },
        { "options --flag --text a=b --list x --list=y", 0, "1 a=b 3 1 - +x +y\n", "" },
        { "options -q", 0, "0 - 3 1 - quiet\n", "" },
        { "options --verbose --no-color", 0, "0 - 3 1 - verbose\n", "" },
        { "-v options a", 0, "0 - 3 1 - a verbose\n", "" },
        { "-q options --verbose", 2, "",
          "hailo-test options: --quiet and --verbose exclude each other\n" OPTIONS_USAGE },
        { "options -qv", 2, "", "hailo-test options: unknown option '-qv'\n" OPTIONS_USAGE },
        { "options --flag=1", 2, "", "hailo-test options: --flag takes no value\n" OPTIONS_USAGE },
        { "options --text", 2, "", "hailo-test options: --text needs a value (TEXT)\n" OPTIONS_USAGE },
        { "options --text --flag", 0, "0 --flag 3 1 -\n", "" },
        { "options -text a", 2, "",
          "hailo-test options: unknown option '-text'. Did you mean '--text'?\n" OPTIONS_USAGE },
        { "options --tex a", 2, "",
          "hailo-test options: unknown option '--tex'. Did you mean '--text'?\n" OPTIONS_USAGE },
        { "options --texts a", 2, "",
          "hailo-test options: unknown option '--texts'. Did you mean '--text'?\n" OPTIONS_USAGE },
        { "options --int 1", 0, "0 - 1 1 -\n", "" },
        { "options --int=5", 0, "0 - 5 1 -\n", "" },
        { "options --int 0", 2, "",
          "hailo-test options: --int: must be a whole number between 1 and 5, not '0'\n" OPTIONS_USAGE },
        { "options --int 6", 2, "",
          "hailo-test options: --int: must be a whole number between 1 and 5, not '6'\n" OPTIONS_USAGE },
        { "options --int 1.5", 2, "",
          "hailo-test options: --int: must be a whole number between 1 and 5, not '1.5'\n" OPTIONS_USAGE },
        { "options --number .5", 0, "0 - 3 0.5 -\n", "" },
        { "options --number 1.5", 0, "0 - 3 1.5 -\n", "" },
        { "options --number .49", 2, "",
          "hailo-test options: --number: must be a number between 0.5 and 1.5, not '.49'\n" OPTIONS_USAGE },
        { "options --number 1.51", 2, "",
          "hailo-test options: --number: must be a number between 0.5 and 1.5, not '1.51'\n" OPTIONS_USAGE },
        { "options --number nan", 2, "",
          "hailo-test options: --number: must be a number between 0.5 and 1.5, not 'nan'\n" OPTIONS_USAGE },
        { "options a b", 0, "0 - 3 1 - a b\n", "" },
        { "options a b c", 2, "", "hailo-test options: unexpected argument 'c'\n" OPTIONS_USAGE },
        { "options - --flag", 0, "1 - 3 1 - -\n", "" },
        { "options -- --flag --", 0, "0 - 3 1 - --flag --\n", "" },
        { "options -- --help", 0, "0 - 3 1 - --help\n", "" },
        { "json", 0, "{\"a\": [1]}\n", "" },
        { "option", 2, "", "hailo-test: unknown command 'option'. Did you mean 'options'?\n" USAGE },
        { "json a", 2, "",
          "hailo-test json: unexpected argument 'a'\nusage: hailo-test json; see 'hailo-test json --help'\n" },
        { "do", 2, "", "hailo-test do: the action is missing: add, copy, list\n" DO_USAGE },
        { "do ad", 2, "", "hailo-test do: unknown action 'ad'. Did you mean 'add'?\n" DO_USAGE },
        { "do --how on list", 0, "list\n", "" },
        { "do list --hidden", 0, "list\n", "" },
        { "do add me a b --force", 0, "add me a b\n", "" },
        { "do add", 2, "", "hailo-test do add: NAME is missing\n" ADD_USAGE },
        { "do add me", 2, "", "hailo-test do add: FILE is missing\n" ADD_USAGE },
        { "do add me a --from b", 2, "", "hailo-test do add: --from is only for copy\n" ADD_USAGE },
        { "do list --force", 2, "",
          "hailo-test do list: --force is only for add, copy\n"
          "usage: hailo-test do list; see 'hailo-test do list --help'\n" },
        { "do add me a --hiden", 2, "", "hailo-test do: unknown option '--hiden'\n" DO_USAGE },
        { "do copy me", 0, "copy me\n", "" },
        { "do copy --from a", 0, "copy\n", "" },
        { "do copy", 2, "", "hailo-test do copy: NAME is missing\n" COPY_USAGE },
        { "do copy me --from a", 2, "", "hailo-test do copy: unexpected argument 'me'\n" COPY_USAGE },
        { "config", 2, "",
          "hailo-test config: the action is missing: show, check, render, example, reference\n" CONFIG_USAGE },
        { "config none", 2, "", "hailo-test config: unknown action 'none'\n" CONFIG_USAGE },
        { "config show more", 2, "",
          "hailo-test config show: unexpected argument 'more'\n"
          "usage: hailo-test config show; see 'hailo-test config show --help'\n" },
        { "config show --list --json", 2, "",
          "hailo-test config show: --list and --json exclude each other\n"
          "usage: hailo-test config show; see 'hailo-test config show --help'\n" },
        { "config render", 2, "", "hailo-test config render: FILE is missing\n" RENDER_USAGE },
        { "config render --input x", 2, "", "hailo-test config render: --output is missing\n" RENDER_USAGE },
        { "config render --input x --output y z", 2, "",
          "hailo-test config render: unexpected argument 'z'\n" RENDER_USAGE },
        { "config render --input /none/x --output /none/y", 1, "",
          "Error: cannot read /none/x: No such file or directory\n" },
        { "--set server.port=0x config check", 2, "",
          "hailo-test config check: the configuration has 1 error\n"
          "Error: --set: server.port: \"0x\" is not a whole number (allowed: 0 to 65535)\n"
          "usage: hailo-test config check; see 'hailo-test config check --help'\n" },
        { "config check --config /none/x", 1, "",
          "hailo-test config check: the configuration has 1 error\n"
          "Error: cannot read /none/x: No such file or directory\n" },
    };
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        int code = run(rows[i].line);
        if (code != rows[i].code || strcmp(seen.out, rows[i].out) != 0 || strcmp(seen.err, rows[i].err) != 0)
            fail_msg("%s: %d\n%s%s", rows[i].line, code, seen.out, seen.err);
    }
}

static void assert_shows(const char *text)
{
    if (!strstr(seen.out, text))
        fail_msg("%s is missing in %s", text, seen.out);
}

static void test_help(void **state)
{
    static const char *const program_help[] = { "help", "--help", "-h", "--device cpu --help" },
                             *const command_help[] = { "help options", "options --help", "options -h",
                                                       "options --int 9 --help" },
                             *const action_help[] = { "help do add", "do add --help" };
    (void) state;
    for (size_t i = 0; i < HS_ARRAY_LEN(program_help); i++) {
        assert_int_equal(run(program_help[i]), 0);
        assert_true(
            hs_str_starts(seen.out, "a test\n\nusage: hailo-test COMMAND [ARGUMENT…] [OPTION…]\n\nCommands:\n"));
        assert_shows("\n  options          Prints its options\n");
        assert_shows("\n  completion       Print a script ");
        assert_shows("\n  --set KEY=VALUE ");
        assert_shows("\n  -q, --quiet ");
        assert_shows("\n  # Add a file\n");
    }
    for (size_t i = 0; i + 1 < HS_ARRAY_LEN(command_help); i++) {
        assert_int_equal(run(command_help[i]), 0);
        assert_true(hs_str_starts(seen.out,
                                  "Prints its options\n\nusage: hailo-test options [WORD [WORD]] [OPTION…]\n\n"
                                  "Options:\n  --flag                       a flag\n"));
        assert_shows("\n  --int N                      a number\n");
        assert_shows("\nOptions of every command:\n  --models DIR ");
        assert_string_equal(seen.err, "");
    }
    assert_int_equal(run(command_help[3]), 2);
    assert_int_equal(run("help do"), 0);
    assert_true(hs_str_starts(seen.out, "Does things\n\nusage: hailo-test do ACTION [ARGUMENT…] [OPTION…]\n\nActions:\n"
                                        "  add NAME FILE…    Adds files\n"
                                        "  copy NAME         Copies a name\n"
                                        "  copy --from FILE  Copies a file\n"
                                        "  list              Lists all\n"));
    assert_shows("\n  --force                      add, copy: even if it exists\n");
    assert_null(strstr(seen.out, "hidden"));
    for (size_t i = 0; i < HS_ARRAY_LEN(action_help); i++) {
        assert_int_equal(run(action_help[i]), 0);
        assert_true(
            hs_str_starts(seen.out, "Adds files\n\nusage: hailo-test do add NAME FILE… [OPTION…]\n\nOptions:\n"));
        assert_shows("\n  --force                      even if it exists\n");
        assert_null(strstr(seen.out, "--from"));
        assert_shows("\n  # Add a file\n");
        assert_null(strstr(seen.out, "List them"));
    }
    assert_int_equal(run("help do copy"), 0);
    assert_true(hs_str_starts(seen.out, "Copies a name\nCopies a file\n\nusage: hailo-test do copy NAME\n"
                                        "       hailo-test do copy --from FILE [OPTION…]\n"));
    assert_int_equal(run("help do none"), 2);
    assert_int_equal(run("help a b c"), 2);
}

/* Each line of an example is the one for an installed program, because this test is not in the folder of a clone. */
static void test_examples(void **state)
{
    (void) state;
    assert_int_equal(run("help do"), 0);
    assert_shows("\nExamples:\n  # Add a file\n  hailo-test do add me a.jpg\n  # List them\n  hailo-test do list\n");
}

static void test_man_page(void **state)
{
    (void) state;
    assert_int_equal(run("help --man"), 0);
    assert_true(hs_str_starts(seen.out, ".TH \"HAILO-TEST\" 1 \"\" \"hailo-test 1.2\" \"User Commands\"\n"));
    assert_shows("\n.TP\n\\fBadd\\fR \\fINAME FILE...\\fR\nAdds files.\n");
    assert_shows("\n.TP\n\\fB\\-\\-how\\fR \\fIoff|on\\fR\nA way that isn\\(aqt long.\n");
    assert_shows("\n.TP\n\\fB\\-q\\fR, \\fB\\-\\-quiet\\fR\n");
    assert_shows("\nhailo-test do add me a.jpg\n");
}

static void test_completion(void **state)
{
    (void) state;
    assert_int_equal(run("completion bash"), 0);
    assert_shows("\n    do:--how) kind=W words='off on' ;;\n");
    assert_shows("\n        do:copy) kind=f options+=' --force --from --how' ;;\n");
    assert_shows("\n        do:list) kind= options+=' --how' ;;\n");
    assert_null(strstr(seen.out, "hidden"));
    assert_int_equal(run("completion zsh"), 0);
    assert_shows("\n        '--how=[a way that isn'\\''t long]:off|on:(off on)'\n");
    assert_shows("\n        'copy:Copies a name'\n");
    assert_shows("\n        '(-q --quiet)'{-q,--quiet}'[print only results and errors]'\n");
    assert_int_equal(run("completion fish"), 0);
    assert_shows("\ncomplete -c hailo-test -n '__fish_seen_subcommand_from do' -l how -x -a 'off on' "
                 "-d 'a way that isn\\'t long'\n");
    assert_shows(
        "\ncomplete -c hailo-test -n '__fish_seen_subcommand_from do; and __fish_seen_subcommand_from add copy' "
        "-l force -d 'even if it exists'\n");
    assert_int_equal(run("completion zish"), 2);
    assert_true(hs_str_starts(seen.err, "hailo-test completion: unknown action 'zish'. Did you mean '"));
}

static void test_server_name(void **state)
{
    (void) state;
    assert_int_equal(run_to("/bin/hailo-test-server", "", -1), 2);
    assert_string_equal(seen.err, "hailo-test: unknown command 'serve'\n" USAGE);
    assert_int_equal(run_to("/bin/x-server/hailo-test", "version", -1), 0);
}

/* A command whose output did not arrive has failed. */
static void test_full_output(void **state)
{
    int full = open("/dev/full", O_WRONLY);
    (void) state;
    assert_int_equal(run_to("hailo-test", "options", full), 1);
    assert_string_equal(seen.err, "hailo-test options: the output could not be written\n");
    assert_int_equal(run_to("hailo-test", "none", full), 2);
    close(full);
}

/* Files that a program opens do not get the numbers of standard input and output. */
static void test_closed_descriptors(void **state)
{
    (void) state;
    for (int fd = 0; fd <= 2; fd++) {
        pid_t pid = fork();
        if (pid == 0) {
            char *argv[] = { (char[]) { "hailo-test" }, (char[]) { "none" }, NULL };
            int silent = open("/dev/null", O_RDWR);
            for (int i = 0; i <= 2; i++)
                dup2(silent, i);
            close(fd);
            hs_program_main(&program, 2, argv);
            _exit(fcntl(0, F_GETFD) < 0 || fcntl(1, F_GETFD) < 0 || fcntl(2, F_GETFD) < 0);
        }
        int status = 1;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

static void test_config_files(void **state)
{
    char line[1000], path[PATH_MAX], out[PATH_MAX];
    hs_str_copy(path, sizeof(path), folder_path(*state, "in.yaml"));
    hs_str_copy(out, sizeof(out), folder_path(*state, "made/out"));
    static const char text[] = "server:\n  port: 4001\n", changed[] = "server:\n  port: 4002\n  host: \"::1\"\n";
    folder_write(*state, "in.yaml", text, strlen(text));
    hs_str_format(line, sizeof(line), "config check --config %s", path);
    assert_int_equal(run(line), 0);
    hs_str_format(line, sizeof(line), "%s is valid\n", path);
    assert_string_equal(seen.out, line);
    hs_str_format(line, sizeof(line), "config show --list --config %s --set image.max_side=4000", path);
    assert_int_equal(run(line), 0);
    assert_non_null(strstr(seen.out, "4001"));
    assert_non_null(strstr(seen.out, "in.yaml:2"));
    hs_str_format(line, sizeof(line), "config render %s server.port=4002 server.host=::1 --config %s", out, path);
    assert_int_equal(run(line), 0);
    assert_true(folder_holds(*state, "made/out", changed, strlen(changed)));
    static const struct {
        const char *words, *err;
    } rows[] = {
        { "server", "Error: server is not NAME=VALUE\n" },
        { "=1", "Error: =1 is not NAME=VALUE\n" },
        { "server.port.x=1", "Error: server.port.x=1 cannot be set\n" },
        { "server.=1", "Error: server.=1 cannot be set\n" },
        { "server.host=\xff", "Error: server.host=\xff is not UTF-8\n" },
        { "\xff.host=a", "Error: \xff.host=a is not UTF-8\n" },
        { "server.port=-1", "Error: result:2: server.port: -1 is too small (allowed: 0 to 65535)\n"
                            "Error: result: 1 error, nothing was written\n" },
    };
    for (size_t i = 0; i < HS_ARRAY_LEN(rows); i++) {
        hs_str_format(line, sizeof(line), "config render %s.new %s --config %s", out, rows[i].words, path);
        assert_int_equal(run(line), 1);
        assert_string_equal(seen.err, rows[i].err);
        assert_false(folder_has(*state, "made/out.new"));
    }
    hs_str_format(line, sizeof(line), "config render %s/below --config %s", out, path);
    assert_int_equal(run(line), 1);
    assert_non_null(strstr(seen.err, "made/out: File exists"));
    /* A list has no sections to change. */
    folder_write(*state, "in.yaml", "- 1\n", 4);
    hs_str_format(line, sizeof(line), "config render %s --config %s", out, path);
    assert_int_equal(run(line), 1);
    assert_string_equal(seen.err, "Error: the configuration holds no sections\n");
}

/* ---- Memory ---- */

struct call {
    char line[1000];
    const char *out; /* in its output */
};

static int run_call(void *arg)
{
    const struct call *call = arg;
    int code = run(call->line);
    if (code == 0) {
        assert_non_null(strstr(seen.out, call->out));
        return 0;
    }
    assert_int_equal(code, 1);
    if (!strstr(seen.err, "memory") && !strstr(seen.err, "ENOMEM"))
        fail_msg("%s: %s", call->line, seen.err);
    return HS_ENOMEM;
}

static void test_without_memory(void **state)
{
    struct call calls[] = {
        { "options --list x --list y a b --set c=d", " +x +y a b\n" },
        { "json", "{\"a\": [1]}\n" },
        { "config reference", "server" },
        { "config example", "server" },
        { "", "4001" },
        { "", "4001" },
        { "", "" },
        { "", "" },
        { "", "" },
    };
    char in[PATH_MAX], out[PATH_MAX];
    static const char text[] = "server:\n  port: 4001\nnone: 1\n";
    hs_str_copy(in, sizeof(in), folder_path(*state, "full.yaml"));
    hs_str_copy(out, sizeof(out), folder_path(*state, "made/full"));
    folder_write(*state, "full.yaml", text, strlen(text));
    hs_str_format(calls[4].line, 1000, "config show --config %s --set image.max_side=4000", in);
    hs_str_format(calls[5].line, 1000, "config show --list --config %s", in);
    hs_str_format(calls[6].line, 1000, "config check --config %s", in);
    hs_str_format(calls[7].line, 1000, "config render %s server.port=4001 --config %s", out, in);
    /* The example is complete. */
    assert_int_equal(run("config example"), 0);
    folder_write(*state, "all.yaml", seen.out, strlen(seen.out));
    hs_str_format(calls[8].line, 1000, "config render --input %s --output %s", folder_path(*state, "all.yaml"), out);
    for (size_t i = 0; i < HS_ARRAY_LEN(calls); i++)
        assert_true(hs_fail_each_allocation(run_call, &calls[i]) > 1);
    /* The rendered file has all settings. */
    hs_str_format(calls[8].line, 1000, "config show --list --config %s", out);
    assert_int_equal(run(calls[8].line), 0);
    const char *port = strstr(seen.out, "server.port");
    assert_non_null(port);
    assert_true(strstr(port, "made/full:") < strchr(port, '\n'));
}

int main(void)
{
    hs_alloc_watch_leaks();
    setenv("XDG_CONFIG_HOME", "/none", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_lines), cmocka_unit_test(test_help),
        cmocka_unit_test(test_examples),      cmocka_unit_test(test_man_page),
        cmocka_unit_test(test_completion),    cmocka_unit_test(test_server_name),
        cmocka_unit_test(test_full_output),   cmocka_unit_test(test_closed_descriptors),
        cmocka_unit_test(test_config_files),  cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
