#!/bin/bash
# Builds for aarch64, the Raspberry Pi 5's architecture, and tests under emulation: in a Debian 13,
# the base of Raspberry Pi OS, with the libraries of its arm64 port and OpenVINO's aarch64 wheel.
# The compiler, meson and pytest in that system have this machine's architecture, so that only our
# programs are emulated (qemu-user is called by its name, without binfmt_misc). Needs root and the
# network; keeps the system in .deps/arm64.
#
#   tests/arm64/run.sh [FOLDER]    FOLDER: build folder of this machine's programs, to compare answers with (build)
#   tests/arm64/run.sh --shell     opens a shell in the system; qemu-aarch64 PROGRAM runs a program of build-arm64
#
# HS_RESULTS: folder for JUnit files (build-arm64/results). Exit code 77: skipped, because this
# machine cannot run it.
set -euo pipefail
export LC_ALL=C.UTF-8

tree=$(cd "$(dirname "$0")/../.." && pwd)
suite=trixie
started=${started:-$(date +%s)}

say() { printf '[arm64 +%ss] %s\n' $(($(date +%s) - started)) "$*"; }
fail() { printf '[arm64] error: %s\n' "$*" >&2; exit 1; }
skip() { printf '[arm64] skipped: %s\n' "$*"; exit 77; }
. "$tree/tests/fresh/debian.sh"

# ---- the system -------------------------------------------------------------------------------------------------------

# Packages of a build: libraries of the arm64 port, cross compilers, and this machine's architecture
# for the rest.
packages() {
    sed 's/#.*//' "$tree/tools/packages.txt" | tr -s ' \t' '\n' | grep . | sed -E \
        -e 's/^(lib.*)/\1:arm64/' -e 's/^(gcc|g\+\+)$/\1-aarch64-linux-gnu/' -e '/^(curl|python3-pip)$/d'
    echo pkgconf:arm64 # aarch64-linux-gnu-pkg-config
    echo qemu-user
}

in_root() { # COMMAND…
    local settings=()
    mapfile -d '' -t settings < <(network_environment)
    chroot "$root" /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${settings[@]}" "$@" < /dev/null
}

install_inside() {
    say "apt: $(packages | wc -l) packages and what they need"
    # shellcheck disable=SC2046 # a list of words
    { in_root apt-get -q update && in_root apt-get -q -o Acquire::Retries=5 install -y --no-install-recommends \
        $(packages); } > "$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail 'apt failed'; }
    install_older_qemu
    rm -rf "$root"/var/cache/apt/archives/*.deb
}

# The newest qemu-user can no longer emulate pages larger than this machine's. Debian 12's can, and
# it is one static file.
install_older_qemu() {
    local list=/etc/apt/sources.list.d/older.list
    echo "deb $mirror bookworm main" > "$root$list"
    { in_root apt-get -q update && in_root sh -c 'cd /opt && apt-get -q download qemu-user-static/bookworm &&
        dpkg-deb --fsys-tarfile qemu-user-static_*.deb | tar -xf - --strip-components=3 ./usr/bin/qemu-aarch64-static &&
        rm qemu-user-static_*.deb'; } > "$work/older.log" 2>&1 ||
        { tail -n 20 "$work/older.log" >&2; fail "Debian 12's qemu-user-static could not be fetched"; }
    rm "$root$list"
}

# Makes the system again if its inputs have changed.
make_system() {
    local stamp
    stamp=$({ packages; declare -f install_inside install_older_qemu make_system; } | sha256sum)
    root=$cache/$suite
    test "$(cat "$root/.stamp" 2> /dev/null)" != "$stamp" || return 0
    rm -rf --one-file-system "$root"
    root=$cache/$suite.part
    rm -rf --one-file-system "$root"
    unpack_base
    write_sources
    copy_network_settings
    chroot "$root" dpkg --add-architecture arm64
    export root work mirror security
    unshare --mount --pid --fork --kill-child "$BASH" "$0" --install
    echo "$stamp" > "$root/.stamp"
    mv "$root" "$cache/$suite"
    root=$cache/$suite
}

# ---- inside -----------------------------------------------------------------------------------------------------------

# Mounts the tree at its path outside, so that paths inside and outside are equal.
mount_tree() {
    local folder
    for folder in "$tree" "$(readlink -f "$tree/.deps")"; do
        mkdir -p "$root$folder"
        mount --bind "$folder" "$root$folder"
    done
}

build_inside() {
    test -f "$build/build.ninja" || in_root meson setup --cross-file "$tree/tools/aarch64.ini" \
        -Dopenvino=enabled -Dopenvino_dir="$cache/openvino" "$build" "$tree" > "$work/meson.log" 2>&1 ||
        { tail -n 30 "$work/meson.log" >&2; fail 'meson failed'; }
    say 'ninja, with a cross compiler'
    in_root ninja --quiet -C "$build"
}

# Writes wrappers, which service tests and the command line use as the programs.
write_wrappers() {
    local name
    mkdir -p "$build/emulated"
    for name in hailo-pose hailo-face; do
        printf '#!/bin/sh\nexec qemu-aarch64 %q "$@"\n' "$build/$name" > "$build/emulated/$name"
        chmod +x "$build/emulated/$name"
    done
}

# HS_EMULATED is for tests that depend on something that qemu-user lacks.
emulate() { # CPU COMMAND…
    in_root env QEMU_CPU="$1" HS_EMULATED=1 ${pages:+QEMU_PAGESIZE=$pages} "${@:2}"
}

# Test names after the suites select tests; JUnit files are arm64-NAME.xml.
meson_tests() { # NAME CPU ARGUMENT…
    local name=$1 cpu=$2
    shift 2
    say "meson tests: $name"
    emulate "$cpu" meson test -C "$build" --no-rebuild --num-processes 2 --timeout-multiplier 10 --print-errorlogs \
        --quiet --logbase "arm64-$name" "$@" || failed=1
    cp "$build/meson-logs/arm64-$name.junit.xml" "$results/" || failed=1
}

# A Raspberry Pi 5 has Cortex-A76 cores, with dot products and f16 but without int8 matrix products,
# and its kernel has pages of 16 KiB. A Cortex-A53 has none of these, so the other kernels are
# chosen. To save minutes, this leaves out failing allocations and writes of the gallery, and with
# 16 KiB pages warped pictures, which do not depend on pages.
test_units() {
    local names
    mapfile -t names < <(in_root meson test -C "$build" --no-rebuild --list 2> /dev/null |
        sed -nE 's,.*:(unit|corpus) / ,,p' | grep -vx gallery_failures)
    test "${#names[@]}" -gt 100 || fail 'meson does not list its tests'
    meson_tests cortex-a76 cortex-a76 "${names[@]}"
    meson_tests cortex-a53 cortex-a53 --suite unit gallery_search gallery_search_kernel gallery_search_threads
    mount --bind "$root/opt/qemu-aarch64-static" "$root/usr/bin/qemu-aarch64"
    mapfile -t names < <(printf '%s\n' "${names[@]}" | grep -vx image_warp)
    pages=16384 meson_tests 16k-pages cortex-a76 "${names[@]}"
    umount "$root/usr/bin/qemu-aarch64"
}

test_programs() {
    say 'pictures, by the emulated programs'
    emulate cortex-a76 "$tree/tests/arm64/answers.sh" "$build/emulated" "$build/answers" || failed=1
    say 'service tests'
    emulate cortex-a76 HS_BIN="$build/emulated/hailo-pose" HS_MODELS_DIR="$tree/.deps/models" \
        HS_ANSWERS="$build/answers" HS_NATIVE_ANSWERS="$build/answers-native" HS_BUILD_DIR="$build" \
        python3 -m pytest -q -p no:cacheprovider --rootdir "$tree" -ra --junitxml="$results/arm64-pytest.xml" \
        "$tree/tests/arm64" "$tree/tests/service/test_health.py" "$tree/tests/service/test_shutdown.py" || failed=1
}

shell_inside() {
    mount_kernel_folders
    mount_tree
    chroot "$root" /usr/bin/env QEMU_CPU=cortex-a76 HS_EMULATED=1 HS_BUILD_DIR="$build" HS_SOURCE_DIR="$tree" \
        sh -c 'cd "$1" && exec bash' sh "$tree"
}

test_inside() {
    failed=0
    mount_kernel_folders
    mount_tree
    build_inside
    write_wrappers
    test_units
    test_programs
    return "$failed"
}

# ---- outside ----------------------------------------------------------------------------------------------------------

has_mirror() {
    find_mirrors
    test -n "$mirror" || skip "apt's sources here name no Debian mirror to make a system from"
    test -f "$cache/$suite/.stamp" || curl -sfI --max-time 60 --retry 3 -o /dev/null \
        "${mirror%/}/dists/$suite/main/binary-arm64/Release" || skip "the Debian mirror has no arm64 port of $suite"
}

main() {
    local native=${1:-$tree/build} status=0
    cache=$(readlink -m "$tree/.deps")/arm64
    test "$(id -u)" = 0 || skip 'a Debian is made with debootstrap and chroot, which need root'
    test "$(uname -m)" != aarch64 || skip 'this is such a machine; make check is the test'
    mkdir -p "$cache"
    exec 9> "$cache/.lock"
    flock 9 # another work tree may share it
    has_mirror
    work=$(mktemp -d "${TMPDIR:-/tmp}/hailo-arm64.XXXXXX")
    trap 'rm -rf --one-file-system "$work"' EXIT
    make_system
    "$tree/tools/setup.sh" openvino aarch64 arm64/openvino
    build=$tree/build-arm64
    export root work mirror security cache build started
    test "$native" != --shell || { unshare --mount --pid --fork --kill-child "$BASH" "$0" --enter; return; }
    results=${HS_RESULTS:-$build/results}
    mkdir -p "$results"
    rm -f "$results"/arm64-*.xml
    "$tree/tests/arm64/answers.sh" "$native" "$build/answers-native" || fail "$native/hailo-pose does not answer"
    export results
    unshare --mount --pid --fork --kill-child "$BASH" "$0" --test || status=1
    "${PYTHON:-/usr/bin/python3}" "$tree/tools/summary.py" "$results"/arm64-*.xml || status=1
    return "$status"
}

case ${1:-} in
    --install) mount_kernel_folders; install_inside ;;
    --test) test_inside ;;
    --enter) shell_inside ;;
    *) main "$@" ;;
esac
