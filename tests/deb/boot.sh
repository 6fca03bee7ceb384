#!/bin/bash
# Installs, upgrades, removes and purges the Debian packages in a booted Debian, with systemd (boot_checks.py). Needs
# root, systemd-nspawn, debootstrap and the network.
#
#   tests/deb/boot.sh [--suite bookworm|trixie] [--packages DIR]
#
#   --packages   packages of the suite (default: build-deb/ARCH, made by make deb)
#
# Exit code 77: skipped, because this machine cannot run it.
set -euo pipefail
export LC_ALL=C.UTF-8

tree=$(cd "$(dirname "$0")/../.." && pwd)
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
packages=$tree/build-deb/$(dpkg --print-architecture)

say() { printf '[deb-boot +%ss] %s\n' "$SECONDS" "$*"; }
fail() { printf '[deb-boot] error: %s\n' "$*" >&2; exit 1; }
skip() { printf '[deb-boot] skipped: %s\n' "$*" >&2; exit 77; }
. "$tree/tests/fresh/debian.sh"

while test $# -gt 0; do
    case $1 in
        --suite) suite=${2:?}; shift ;;
        --packages) packages=$(cd "${2:?}" && pwd); shift ;;
        *) sed -n '5s/^# *//p' "$0" >&2; exit 2 ;;
    esac
    shift
done

# The booted system has no network, so the libraries are installed before.
prepare() {
    local depends=()
    mapfile -t depends < <(for deb in "$packages"/*.deb; do dpkg-deb -f "$deb" Depends; done | tr ',' '\n' |
        grep -v hailo-services-common | sed 's/^ *//' | sort -u)
    write_sources
    copy_network_settings
    export DEBIAN_FRONTEND=noninteractive
    { chroot "$root" apt-get -q update &&
        chroot "$root" apt-get -q install -y --no-install-recommends systemd systemd-sysv dbus udev curl &&
        chroot "$root" apt-get -q satisfy -y --no-install-recommends "${depends[@]}"; } \
        > "$work/apt.log" 2>&1 || { tail -n 20 "$work/apt.log" >&2; fail 'apt failed'; }
    mkdir -p "$root/srv/packages" "$root/srv/newer" "$root/srv/models" "$root/var/log/journal"
    cp "$packages"/*.deb "$root/srv/packages"
    find "$(readlink -f "$tree/.deps/models")" -maxdepth 1 -type f -exec cp -t "$root/srv/models" {} +
    cp "$tree/deploy/verify/person.jpg" "$root/srv"
    local deb version
    for deb in "$packages"/*.deb; do
        rm -rf "$work/deb"
        dpkg-deb -R "$deb" "$work/deb"
        version=$(dpkg-deb -f "$deb" Version)
        sed -i "s/$version/$version+1/" "$work/deb/DEBIAN/control"
        dpkg-deb --root-owner-group -Znone -b "$work/deb" "$root/srv/newer" > /dev/null
    done
}

test "$(id -u)" = 0 || skip 'it needs root'
command -v systemd-nspawn > /dev/null || skip 'systemd-nspawn is missing: apt-get install systemd-container'
ls "$packages"/*.deb > /dev/null 2>&1 || fail "no packages in $packages: run make deb"
find_mirrors
test -n "$mirror" || skip "apt's sources here name no Debian mirror to make a system from"
work=$(mktemp -d "${TMPDIR:-/var/tmp}/hailo-deb-boot.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root
unpack_base
prepare
say "booting $suite"
/usr/bin/python3 "$tree/tests/deb/boot_checks.py" "$root"
