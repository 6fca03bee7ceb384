#!/bin/bash
# Runs the tests that are too slow for every change: an hour or two on two cores. Prints the measurements of each test.
# The exit code is 0 only if all tests pass.
#
#   tools/check_slow.sh BUILD [NAME…]    names: answers kills stress failures soak memory boot proxies packages mutation
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

build=$(cd "${1:?which build folder?}" && pwd) || exit 2
shift
test $# -gt 0 || set -- answers kills stress failures soak memory boot proxies packages mutation
export HS_BIN=$build/hailo-pose HS_MODELS_DIR=${HS_MODELS_DIR:-$PWD/.deps/models}
export TBB_ENABLE_SANITIZERS=1 ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1:use_sigaltstack=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
pytest=(/usr/bin/python3 -m pytest -p no:cacheprovider -q -rs)

# All variants of a picture must get the same answer: all pictures, with one client and with eight.
answers() {
    HS_VARIANTS=all "${pytest[@]}" tests/accuracy/test_determinism.py
}

# Kills the service 60 times with kill -9, under load from 16 writers and 16 readers.
kills() {
    HS_STRESS_ROUNDS=60 HS_STRESS_RECOGNITIONS=20000 "${pytest[@]}" tests/service/test_face_stress.py
}

# Ten minutes of random attacks, with AddressSanitizer and UndefinedBehaviorSanitizer.
# The second run is too short to fill the usual quarantine of freed memory, whose growth would look like a leak.
stress() {
    local sanitized=$build/../build-address
    test -f "$sanitized/build.ninja" ||
        meson setup "$sanitized" -Db_sanitize=address,undefined -Db_lundef=false > /dev/null || return 1
    ninja --quiet -C "$sanitized" programs && tests/hostile/stress.py --seconds 600 --build "$sanitized" &&
        ASAN_OPTIONS=${ASAN_OPTIONS-}:quarantine_size_mb=16 tests/hostile/stress.py --seconds 120 --tls --build "$sanitized"
}

# Fails each call of the C library that a request causes, one at a time.
failures() {
    tests/hostile/failure_sweep.py --build "$build"
}

# Half an hour of ordinary load: memory, descriptors and threads must stay level.
soak() {
    tests/hostile/soak.py --build "$build"
}

memory() {
    local status=0
    tests/hostile/memory.py --device cpu --limit-mb 400 || status=1
    tests/hostile/memory.py --device cpu --workers 21 --limit-mb 900 || status=1
    return $status
}

# Boots a Debian with systemd twice: start, sandbox, reload, watchdog, kills, limits. Skipped without root or nspawn.
boot() {
    local code=0
    tests/boot/run.sh "$build" || code=$?
    test "$code" = 0 || test "$code" = 77
}

proxies() {
    tests/hostile/rfc_proxies.py
}

# Debian packages of both releases with 50 upgrades and downgrades, the scripts, a booted system, arm64 and a container.
# As root. Parts that cannot run here are skipped.
packages() {
    local status=0 suite arch
    arch=$(dpkg --print-architecture)
    for suite in bookworm trixie; do
        tests/deb/run.sh --suite "$suite" --upgrades 50 --hailort "$build/tests/hailo" || status=$?
    done
    tools/deb.sh && tests/deb/boot.sh --packages "build-deb/$arch" || status=$?
    tests/deb/arm64.sh || test $? = 77 || status=1
    tests/deb/container.sh || test $? = 77 || status=1
    return $status
}

# Tests 300 mutations of the sources, one at a time; at least nine tenths of those with any effect must be detected.
mutation() {
    tests/mutation/run.py map "$build/mutation" && tests/mutation/run.py test "$build/mutation" --count 420 &&
        tests/mutation/run.py report "$build/mutation"
}

failed=()
for name in "$@"; do
    printf '\n==== %s\n' "$name"
    "$name" || failed+=("$name")
done
printf '\n%s\n' "${failed[*]:+failed: ${failed[*]}}"
test ${#failed[@]} = 0
