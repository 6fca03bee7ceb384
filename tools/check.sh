#!/bin/bash
# Runs the tests of the build folder BUILD: first meson's (unit, shape, corpus), then those that use the running
# program (tests/service, tests/accuracy, tests/docs). Prints the counts last. The exit code is 0 only if nothing failed.
#
#   tools/check.sh BUILD [MESON-SUITE…]    no suite: all of them; HS_CHECK_PYTEST: folders for pytest
#
# HS_RESULTS: folder for JUnit files (default BUILD/results). HS_CHECK_NAME: prefix of their names (default "check").
# HS_CHECK_WITHOUT: suites of meson to leave out.
# HS_CHECK_JOBS: parallel pytest processes (default 1); more than one needs Debian's python3-pytest-xdist.
set -uo pipefail

tree=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${1:?which build folder?}" && pwd) || exit 2
shift
python=${PYTHON:-/usr/bin/python3}
name=${HS_CHECK_NAME:-check}
results=${HS_RESULTS:-$build/results}
status=0

parallel=()
test "${HS_CHECK_JOBS:-1}" = 1 || parallel=(-n "$HS_CHECK_JOBS" --dist loadscope)

mkdir -p "$results"
rm -f "$results/$name"-*.xml
cd "$tree" || exit 2

suites=()
for suite in "$@"; do
    suites+=(--suite "$suite")
done
for suite in ${HS_CHECK_WITHOUT:-}; do
    suites+=(--no-suite "$suite")
done
echo "[check] meson tests${*:+: $*}"
meson test -C "$build" --print-errorlogs --num-processes 2 --logbase "$name" "${suites[@]}" || status=1
cp "$build/meson-logs/$name.junit.xml" "$results/$name-meson.xml" || status=1

echo '[check] service and accuracy tests'
# shellcheck disable=SC2086 # a list of folders
HS_BIN=${HS_BIN:-$build/hailo-pose} HS_MODELS_DIR=${HS_MODELS_DIR:-$tree/.deps/models} \
    "$python" -m pytest -p no:cacheprovider "${parallel[@]}" -ra --junitxml="$results/$name-pytest.xml" \
    ${HS_CHECK_PYTEST:-tests/service tests/accuracy tests/docs} || status=1

"$python" tools/summary.py "$results/$name"-*.xml || status=1
exit "$status"
