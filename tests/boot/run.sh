#!/bin/bash
# Boots a Debian with systemd in a container, with the installed programs and their units, and tests how they start,
# reload, fail and stop (checks.py). Needs root, systemd-nspawn and, for the first run, debootstrap and the network.
#
#   tests/boot/run.sh [--suite bookworm|trixie] [--packages DIR] [--quick] [--only CHECK] [--shell] [BUILD]
#
#   --packages   Debian packages of the suite (make deb), instead of the build folder and the files of deploy
#   --only       starts, and runs one function of checks.py
#   --quick      only the checks that CI has time for: no watchdog, no second boot
#   --shell      opens a shell in the booted system after the checks
#
# Exit code 77: it cannot run here, and the last line has the reason. The system is kept in
# ${XDG_CACHE_HOME:-~/.cache}/hailo-services/boot; each run works on an overlay, which is deleted.
set -euo pipefail
export LC_ALL=C.UTF-8

tree=$(cd "$(dirname "$0")/../.." && pwd)

say() { printf '[boot +%ss] %s\n' "$SECONDS" "$*"; }
fail() { printf '[boot] error: %s\n' "$*" >&2; exit 1; }
skip() { printf '[boot] skipped: %s\n' "$*" >&2; exit 77; }
. "$tree/tests/fresh/debian.sh"

parse_arguments() {
    suite=bookworm packages='' quick='' shell='' only=() build=$tree/build
    while test $# -gt 0; do
        case $1 in
            --suite) suite=${2:?}; shift ;;
            --quick) quick=--quick ;;
            --shell) shell=--shell ;;
            --packages) packages=$(cd "${2:?}" && pwd); shift ;;
            --only) only=(--only "${2:?}"); shift ;;
            -*) sed -n '5s/^# *//p' "$0" >&2; exit 2 ;;
            *) build=$(realpath "$1") ;;
        esac
        shift
    done
    [[ $suite =~ ^[a-z]+$ ]] || fail "no Debian suite: $suite"
    own_suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
}

check_host() {
    test "$(id -u)" = 0 || skip 'it needs root'
    command -v systemd-nspawn > /dev/null || skip 'systemd-nspawn is missing: apt-get install systemd-container'
    command -v debootstrap > /dev/null || skip 'debootstrap is missing: apt-get install debootstrap'
    test -n "$packages" || test -x "$build/hailo-pose" || fail "$build/hailo-pose is missing: run make"
    ls "$tree"/.deps/models/*.onnx > /dev/null 2>&1 || skip 'no models in .deps/models: run make data-face'
}

# Prints the packages of the libraries that the programs need, by this machine's dpkg.
library_packages() {
    ldd "$build/hailo-pose" "$build/hailo-face" | awk '$2 == "=>" && $3 ~ "^/" { print $3 }' | sort -u |
        while read -r file; do
            dpkg -S "$file" 2> /dev/null || dpkg -S "/usr$file" 2> /dev/null || dpkg -S "${file#/usr}" 2> /dev/null || true
        done | cut -d: -f1 | sort -u
}

# Makes the system that runs share.
make_system() {
    root=$work/system
    find_mirrors
    unpack_base
    write_sources
    copy_network_settings
    say "apt: systemd and libraries of the programs"
    chroot "$root" apt-get -qq update > "$work/apt.log" 2>&1 || skip "no packages for $suite: $(tail -1 "$work/apt.log")"
    local names=(systemd systemd-sysv dbus udev curl fonts-dejavu-core)
    test "$suite" != "$own_suite" || mapfile -t -O ${#names[@]} names < <(library_packages)
    chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${names[@]}" \
        > "$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail 'apt failed'; }
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
    mkdir -p "$(dirname "$system")"
    mv "$root" "$system"
}

# Copies the libraries that the programs lack: another release has some of them in another version.
copy_libraries() {
    test "$suite" != "$own_suite" || return 0
    mkdir -p "$root/usr/local/lib"
    local name file
    ldd "$build/hailo-pose" "$build/hailo-face" | awk '$2 == "=>" && $3 ~ "^/" { print $1, $3 }' | sort -u |
        while read -r name file; do
            test -e "$root/usr/lib/$(uname -m)-linux-gnu/$name" || cp -L "$file" "$root/usr/local/lib/"
        done
}

install_programs() {
    DESTDIR=$root meson install --quiet --no-rebuild -C "$build" > "$work/install.log" 2>&1 ||
        { tail -n 20 "$work/install.log" >&2; fail 'meson install failed'; }
    test -x "$root/usr/local/bin/hailo-pose" || fail "$build is not configured with -Dprefix=/usr/local"
    copy_libraries
    chroot "$root" ldconfig
    local name
    for name in hailo-pose hailo-face; do
        install -D -m 644 -t "$root/usr/lib/systemd/system" "$tree/deploy/systemd/$name".{service,socket}
        install -D -m 644 "$tree/deploy/systemd/$name.sysusers" "$root/usr/lib/sysusers.d/$name.conf"
        install -D -m 644 "$tree/deploy/systemd/$name.tmpfiles" "$root/usr/lib/tmpfiles.d/$name.conf"
        chroot "$root" systemctl -q enable "$name.service"
    done
    install -D -m 644 -t "$root/usr/lib/udev/rules.d" "$tree/deploy/systemd/60-hailo.rules"
    chroot "$root" systemd-sysusers > "$work/install.log" 2>&1
    systemd-tmpfiles --root="$root" --create hailo-pose.conf hailo-face.conf
}

install_packages() {
    mkdir -p "$root/var/tmp/packages"
    cp "$packages"/*.deb "$root/var/tmp/packages/"
    copy_network_settings
    mount -t proc proc "$root/proc"
    { chroot "$root" apt-get -q update && chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get -q install -y --no-install-recommends /var/tmp/packages/*.deb'; } > "$work/apt.log" 2>&1 ||
        { tail -n 20 "$work/apt.log" >&2; fail 'the packages cannot be installed'; }
    umount "$root/proc"
}

install_models() {
    install -m 644 -o 0 -t "$root/var/lib/hailo-pose/models" "$tree"/.deps/models/*pose*.onnx
    install -m 644 -o 0 -t "$root/var/lib/hailo-face/models" "$tree"/.deps/models/{scrfd,mobilefacenet}*.onnx
    mkdir -p "$root/etc/hailo" "$root/var/log/journal" "$root/usr/local/share/hailo-boot"
    cp "$tree"/.deps/samples/zidane.jpg "$root/usr/local/share/hailo-boot/" 2> /dev/null || true
}

main() {
    parse_arguments "$@"
    check_host
    if test -z "${HS_BOOT_INSIDE:-}"; then # all mounts end with this script
        HS_BOOT_INSIDE=1 exec unshare --mount --propagation private -- "$0" "$@"
    fi
    system=${XDG_CACHE_HOME:-$HOME/.cache}/hailo-services/boot/$suite-$(dpkg --print-architecture)
    work=$(mktemp -d "${TMPDIR:-/var/tmp}/hs-boot.XXXXXX")
    trap 'umount -R "$work/root" 2> /dev/null || true; rm -rf --one-file-system "$work"' EXIT
    test -x "$system/usr/lib/systemd/systemd" || make_system
    root=$work/root
    mkdir -p "$root" "$work/upper" "$work/overlay"
    mount -t overlay overlay -o "lowerdir=$system,upperdir=$work/upper,workdir=$work/overlay" "$root"
    say "installing ${packages:-$build}"
    if test -n "$packages"; then install_packages; else install_programs; fi
    install_models
    say "booting $suite"
    /usr/bin/python3 "$tree/tests/boot/checks.py" $quick $shell "${only[@]}" "$root"
}

main "$@"
