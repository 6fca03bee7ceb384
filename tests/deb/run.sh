#!/bin/bash
# Builds the Debian packages and installs them in a minimal Debian made by debootstrap: installation, service, upgrades,
# downgrades, removal, purge, and the takeover of an older installation (inside.sh). Then tests the scripts of deploy
# (scripts.sh). Needs root, debootstrap, debhelper and the network.
#
#   tests/deb/run.sh [--suite bookworm|trixie] [--packages DIR] [--upgrades N] [--parts LIST] [--hailort DIR]
#
#   --suite      the Debian release (this machine's). The packages of another one are built in that system
#   --packages   finished packages of the suite; they are not built then
#   --upgrades   number of upgrades and downgrades (4)
#   --parts      "inside scripts", or one of them
#   --hailort    also test the module for HailoRT, with the test double in DIR (build/tests/hailo)
#
# Exit code 77: skipped, because this machine cannot run it.
set -euo pipefail
export LC_ALL=C.UTF-8

tree=$(cd "$(dirname "$0")/../.." && pwd)

say() { printf '[deb +%ss] %s\n' $(($(date +%s) - started)) "$*"; }
fail() { printf '[deb] error: %s\n' "$*" >&2; exit 1; }
skip() { printf '[deb] skipped: %s\n' "$*"; exit 77; }
. "$tree/tests/fresh/debian.sh"

own_suite() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }

parse_arguments() {
    suite=$(own_suite) packages='' upgrades=4 parts='inside scripts' hailort=''
    while test $# -gt 0; do
        case $1 in
            --suite) suite=${2:?}; shift ;;
            --packages) packages=$(cd "${2:?}" && pwd); shift ;;
            --upgrades) upgrades=${2:?}; shift ;;
            --parts) parts=${2:?}; shift ;;
            --hailort) hailort=$(cd "${2:?}" && pwd); shift ;;
            *) sed -n '6s/^# *//p' "$0" >&2; exit 2 ;;
        esac
        shift
    done
    [[ $suite =~ ^[a-z]+$ ]] || fail "no Debian suite: $suite"
}

in_root() { # COMMAND…
    local settings=()
    mapfile -d '' -t settings < <(network_environment)
    chroot "$root" /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${settings[@]}" "$@" < /dev/null
}

# A package with the files of HailoRT.
make_hailort() {
    local folder=$work/hailort
    test -n "$hailort" || return 0
    mkdir -p "$folder/DEBIAN" "$folder/usr/lib" "$folder/usr/include" "$root/srv/hailort"
    cp "$hailort/libhailort.so.5.1.1" "$folder/usr/lib"
    ln -s libhailort.so.5.1.1 "$folder/usr/lib/libhailort.so"
    cp -r "$tree/tests/hailo/include/hailo" "$folder/usr/include"
    printf '%s\n' 'Package: h10-hailort' 'Version: 5.1.1' "Architecture: $(dpkg --print-architecture)" \
        'Maintainer: nobody <nobody@localhost>' 'Description: test double of HailoRT' > "$folder/DEBIAN/control"
    dpkg-deb --root-owner-group -b "$folder" "$root/srv/hailort" > /dev/null
}

# Builds in the system itself: the packages of a release need its libraries.
build_inside() {
    say "building the packages in $suite"
    mkdir -p "$root/srv/tree"
    git -C "$tree" ls-files -z --cached --others --exclude-standard |
        (cd "$tree" && tar --null --ignore-failed-read -T - -cf -) | tar -C "$root/srv/tree" -xf -
    cp -r "$(readlink -f "$tree/.deps/openvino")" "$root/srv/openvino"
    { in_root apt-get -q update &&
        in_root apt-get -q install -y --no-install-recommends dpkg-dev debhelper build-essential &&
        in_root sh -c 'cd /srv/tree && apt-get -q build-dep -y --no-install-recommends -P nocheck ./' &&
        in_root env HS_DEB_COMPRESSION=gzip /srv/tree/tools/deb.sh --openvino /srv/openvino --output /srv/packages; } \
        > "$work/build.log" 2>&1 || { tail -n 30 "$work/build.log" >&2; fail 'the packages cannot be built'; }
    packages=$work/packages
    mkdir "$packages"
    cp "$root"/srv/packages/* "$packages"
}

prepare_system() {
    mount_kernel_folders
    write_sources
    copy_network_settings
}

# The packages are installed in a system without compilers and libraries for building.
build_main() {
    prepare_system
    build_inside
}

test_main() {
    local part status=0
    prepare_system
    mkdir -p "$root/srv/packages" "$root/srv/models" "$root/srv/test"
    cp "$packages"/*.deb "$root/srv/packages"
    find "$(readlink -f "$tree/.deps/models")" -maxdepth 1 -type f -exec cp -t "$root/srv/models" {} +
    cp "$tree"/tests/deb/{inside.sh,scripts.sh,systemctl} "$tree"/deploy/verify/person.jpg "$root/srv/test"
    cp -rL "$tree/deploy" "$root/srv/deploy"
    make_hailort
    in_root apt-get -qq update
    # The client of the test. The packages themselves need nothing else.
    in_root apt-get -qq install -y --no-install-recommends curl ca-certificates > "$work/apt.log" 2>&1 ||
        { tail -n 20 "$work/apt.log" >&2; fail 'apt failed'; }
    for part in $parts; do
        say "$part.sh"
        in_root env UPGRADES="$upgrades" "/srv/test/$part.sh" || status=$?
        test "$status" = 0 || break
    done
    return "$status"
}

# With justified overrides, there is nothing to report.
check_lintian() {
    local changes=("$packages"/*.changes) report
    command -v lintian > /dev/null && test -f "${changes[0]}" || { say 'lintian is left out'; return 0; }
    report=$(lintian --allow-root --display-info "${changes[@]}" 2>&1 | grep -v 'running with root privileges' || true)
    test -z "$report" || { echo "$report"; fail 'lintian reports faults'; }
    say 'lintian reports nothing'
}

enter() { # FUNCTION
    local child
    export started tree suite packages upgrades parts hailort mirror security work root
    unshare --mount --pid --fork --kill-child "$BASH" "$0" --inside "$1" &
    child=$!
    trap 'kill "$child" 2> /dev/null; exit 143' INT TERM
    wait "$child"
}

main() {
    started=$(date +%s)
    parse_arguments "$@"
    test "$(id -u)" = 0 || skip 'a fresh Debian is made with debootstrap and chroot, which need root'
    find_mirrors
    test -n "$mirror" || skip "apt's sources here name no Debian mirror to make a system from"
    work=$(mktemp -d "${TMPDIR:-/tmp}/hailo-deb.XXXXXX")
    trap 'rm -rf --one-file-system "$work"' EXIT
    if test -z "$packages" && test "$suite" = "$(own_suite)"; then
        HS_DEB_COMPRESSION=gzip "$tree/tools/deb.sh" --output "$work/packages"
        packages=$work/packages
    elif test -z "$packages"; then
        root=$work/builder
        unpack_base
        enter build_main
        packages=$work/packages
    fi
    check_lintian
    root=$work/root
    unpack_base
    enter test_main
}

if test "${1:-}" = --inside; then
    "$2"
else
    main "$@"
fi
