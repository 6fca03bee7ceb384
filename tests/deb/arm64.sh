#!/bin/bash
# Builds the Debian packages for arm64 with a cross compiler in a Debian 13, and installs and starts them in a fresh
# Debian 13 of the arm64 port under emulation (qemu-user). Needs root, debootstrap, the network, and a kernel with
# binfmt_misc in user namespaces (6.7). Keeps both systems in .deps/arm64.
#
#   tests/deb/arm64.sh [--packages DIR]
#
# Exit code 77: skipped, because this machine cannot run it.
set -euo pipefail
export LC_ALL=C.UTF-8

tree=$(cd "$(dirname "$0")/../.." && pwd)
suite=trixie
started=${started:-$(date +%s)}

say() { printf '[deb-arm64 +%ss] %s\n' $(($(date +%s) - started)) "$*"; }
fail() { printf '[deb-arm64] error: %s\n' "$*" >&2; exit 1; }
skip() { printf '[deb-arm64] skipped: %s\n' "$*"; exit 77; }
. "$tree/tests/fresh/debian.sh"

in_root() { # COMMAND…
    local settings=()
    mapfile -d '' -t settings < <(network_environment)
    chroot "$root" /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${settings[@]}" "$@" < "${input:-/dev/null}"
}

logged() { # NAME COMMAND…
    "${@:2}" > "$work/$1.log" 2>&1 || { tail -n 30 "$work/$1.log" >&2; fail "$1 failed"; }
}

# ---- the cross build ------------------------------------------------------------------------------------------------

install_builder() {
    mount_kernel_folders
    write_sources
    copy_network_settings
    in_root dpkg --add-architecture arm64
    logged update in_root apt-get -q update
    logged install in_root apt-get -q -o Acquire::Retries=5 install -y --no-install-recommends \
        crossbuild-essential-arm64 dpkg-dev debhelper
}

build_packages() {
    mount_kernel_folders
    rm -rf "$root/srv/tree"
    mkdir -p "$root/srv/tree"
    git -C "$tree" ls-files -z --cached --others --exclude-standard |
        (cd "$tree" && tar --null --ignore-failed-read -T - -cf -) | tar -C "$root/srv/tree" -xf -
    rm -rf "$root/srv/openvino"
    cp -r "$cache/openvino" "$root/srv/openvino"
    logged build-dep in_root sh -c \
        'cd /srv/tree && apt-get -q build-dep -y --no-install-recommends -aarm64 -P nocheck,cross ./'
    logged build in_root env HS_DEB_COMPRESSION=gzip /srv/tree/tools/deb.sh --arch arm64 --openvino /srv/openvino \
        --output /srv/packages
    mkdir -p "$packages"
    cp "$root"/srv/packages/* "$packages"
}

make_packages() {
    root=$cache/builder
    if ! test -f "$root/.ready"; then
        rm -rf --one-file-system "$root"
        unpack_base
        say "apt: a cross compiler"
        enter install_builder
        touch "$root/.ready"
    fi
    "$tree/tools/setup.sh" openvino aarch64 arm64/openvino
    say 'building for arm64'
    enter build_packages
}

# ---- emulation ------------------------------------------------------------------------------------------------------

# Registers qemu for programs of arm64 in this user namespace only. The kernel opens it once (flag F), so that it is
# found from inside a chroot.
register_qemu() {
    local magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || return 1
    printf '%s' ":hailo-arm64:M::$magic:$mask:$qemu:F" > /proc/sys/fs/binfmt_misc/register
}

# debootstrap's first stage needs no emulation.
make_target() {
    root=$cache/target
    test ! -f "$root/.ready" || return 0
    rm -rf --one-file-system "$root"
    say "debootstrap $suite for arm64"
    logged debootstrap debootstrap --foreign --arch arm64 --variant=minbase "$suite" "$root" "$mirror"
    say 'its second stage, under emulation'
    enter_emulated second_stage
    touch "$root/.ready"
}

second_stage() {
    register_qemu || fail 'binfmt_misc cannot be mounted'
    mount_kernel_folders
    # In a user namespace, as in containers, no device nodes can be made.
    logged second-stage in_root env container=lxc /debootstrap/debootstrap --second-stage
}

test_packages() {
    mount_kernel_folders
    register_qemu || fail 'binfmt_misc cannot be mounted'
    write_sources
    copy_network_settings
    rm -rf "$root/srv"
    mkdir -p "$root/srv/packages" "$root/srv/models" "$root/srv/test"
    cp "$packages"/*.deb "$root/srv/packages"
    find "$(readlink -f "$tree/.deps/models")" -maxdepth 1 -type f -exec cp -t "$root/srv/models" {} +
    cp "$tree"/tests/deb/inside.sh "$tree"/deploy/verify/person.jpg "$root/srv/test"
    logged update in_root apt-get -q update
    logged curl in_root apt-get -q install -y --no-install-recommends curl ca-certificates
    say 'installing and starting the packages'
    in_root env TIMEOUT=600 PARTS='install_first check_files add_people remove_and_purge' /srv/test/inside.sh
}

# ---- outside --------------------------------------------------------------------------------------------------------

enter() { # FUNCTION
    export started tree suite mirror security work root cache packages qemu
    unshare --mount --pid --fork --kill-child "$BASH" "$0" --inside "$1"
}

# Also makes a user namespace with the same users, in which binfmt_misc is private. The function begins when this
# process has written the users.
enter_emulated() { # FUNCTION
    local child status=0
    export started tree suite mirror security work root cache packages qemu
    mkfifo "$work/go"
    exec 9<> "$work/go"
    unshare --user --mount --pid --fork --kill-child "$BASH" -c \
        'read -r -u 9; exec "$BASH" "$0" --inside "$1" 9<&-' "$0" "$1" &
    child=$!
    trap 'kill "$child" 2> /dev/null; exit 143' INT TERM
    while test "$(readlink "/proc/$child/ns/user")" = "$(readlink /proc/self/ns/user)"; do sleep 0.05; done
    echo '0 0 4294967295' > "/proc/$child/uid_map"
    echo '0 0 4294967295' > "/proc/$child/gid_map"
    echo >&9
    wait "$child" || status=$?
    exec 9>&-
    rm "$work/go"
    return "$status"
}

main() {
    packages=''
    while test $# -gt 0; do
        case $1 in
            --packages) packages=$(cd "${2:?}" && pwd); shift ;;
            *) sed -n '6s/^# *//p' "$0" >&2; exit 2 ;;
        esac
        shift
    done
    test "$(id -u)" = 0 || skip 'a Debian is made with debootstrap and chroot, which need root'
    test "$(uname -m)" != aarch64 || skip 'this is such a machine: use tests/deb/run.sh'
    qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
    test -n "$qemu" || skip 'qemu-aarch64 is missing: apt-get install qemu-user-static'
    find_mirrors
    test -n "$mirror" || skip "apt's sources here name no Debian mirror to make a system from"
    cache=$(readlink -m "$tree/.deps")/arm64
    mkdir -p "$cache"
    work=$(mktemp -d "${TMPDIR:-/tmp}/hailo-deb-arm64.XXXXXX")
    trap 'rm -rf --one-file-system "$work"' EXIT
    if test -z "$packages"; then
        packages=$tree/build-deb/arm64
        make_packages
    fi
    make_target
    root=$cache/target
    enter_emulated test_packages
}

if test "${1:-}" = --inside; then
    "$2"
else
    main "$@"
fi
