#!/bin/bash
# Formats and checks the sources and documents without running them.
#
#   tools/lint.sh format          formats all C and C++ sources in place (.clang-format)
#   tools/lint.sh check-format    lists the files that this would change; exit code 1 if any
#   tools/lint.sh spelling        codespell on all files; tools/spelling-ignore.txt lists exceptions
#   tools/lint.sh tidy BUILD      clang-tidy with the checks of .clang-tidy, on the sources that BUILD compiles
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-/usr/bin/python3}
formatter=$PWD/.deps/clang-format/clang-format

# Excludes HailoRT's interface in tests/hailo/include, which keeps its original format.
sources() {
    git ls-files '*.c' '*.h' '*.cc' '*.hpp' | grep -v '^tests/hailo/include/'
}

setup_formatter() {
    local version file sha256 wheel
    read -r version file sha256 < <(awk -v m="$(uname -m)" '$1 == m { print $2, $3, $4 }' tools/clang-format.lock) ||
        { echo "tools/clang-format.lock has no line for $(uname -m)" >&2; exit 2; }
    wheel=.deps/downloads/$file
    test "$(cat .deps/clang-format/.stamp 2> /dev/null)" != "$sha256" || return 0
    mkdir -p .deps/downloads .deps/clang-format
    "$python" tools/fetch_pypi.py clang-format "$version" "$file" "$sha256" "$wheel"
    "$python" - "$wheel" "$formatter" << 'PYTHON'
import os, sys, zipfile
with open(sys.argv[2], 'wb') as file:
    file.write(zipfile.ZipFile(sys.argv[1]).read('clang_format/data/bin/clang-format'))
os.chmod(sys.argv[2], 0o755)
PYTHON
    echo "$sha256" > .deps/clang-format/.stamp
}

case "${1:-}" in
    format)
        setup_formatter
        sources | xargs "$formatter" -i
        ;;
    check-format)
        setup_formatter
        sources | xargs "$formatter" --dry-run --Werror
        ;;
    spelling)
        git ls-files -z | grep -zv -e '^fuzz/corpus/' -e '^tools/spelling-ignore.txt$' |
            xargs -0 codespell --ignore-words tools/spelling-ignore.txt --quiet-level 2
        ;;
    tidy)
        build=${2:?which build folder?}
        # Uses the build's list of sources, which excludes the vector kernels of other CPU architectures.
        "$python" -c 'import json, os, sys
for entry in json.load(open(sys.argv[1] + "/compile_commands.json")):
    name = os.path.relpath(os.path.join(entry["directory"], entry["file"]))
    if name.startswith("src/") and name.endswith(".c"):
        print(name)' "$build" | sort -u | xargs -P "$(nproc)" -n 4 clang-tidy -p "$build" --quiet 2> /dev/null
        ;;
    *)
        sed -n '2,/^set/p' "$0" | sed '$d; s/^# \?//' >&2
        exit 2
        ;;
esac
