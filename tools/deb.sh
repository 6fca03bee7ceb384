#!/bin/bash
# Builds the Debian packages of this tree in build-deb/ARCH. `make setup` must have run; the build has no network.
#
#   tools/deb.sh [--arch ARCH] [--openvino DIR] [--output DIR]
#
#   --arch       amd64 or arm64; another one than this machine's is cross-compiled, which needs its libraries and
#                crossbuild-essential-ARCH (tests/deb/arm64.sh makes such a system)
#   --openvino   the unpacked OpenVINO runtime of ARCH (default: .deps/openvino)
#
# The version is that of debian/changelog with the Debian release as suffix (0.1.0~deb12): packages of two releases have
# different dependencies. The result depends only on the sources, the release and OpenVINO.
#
# HS_DEB_COMPRESSION: compression of the packages (xz; gzip is faster, for tests). HS_DEB_VERSION: another version.
set -euo pipefail
export LC_ALL=C.UTF-8

tree=$(cd -P "$(dirname "$0")/.." && pwd)
arch=$(dpkg --print-architecture)
openvino=$tree/.deps/openvino
output=

say() { printf '[deb] %s\n' "$*"; }
fail() { printf '[deb] error: %s\n' "$*" >&2; exit 1; }

while test $# -gt 0; do
    case $1 in
        --arch) arch=${2:?}; shift ;;
        --openvino) openvino=$(cd "${2:?}" && pwd); shift ;;
        --output) output=$(mkdir -p "${2:?}" && cd "$2" && pwd); shift ;;
        *) sed -n '4s/^# *//p' "$0" >&2; exit 2 ;;
    esac
    shift
done
output=${output:-$tree/build-deb/$arch}

check_requirements() {
    local missing=()
    command -v dpkg-buildpackage > /dev/null || missing+=(dpkg-dev)
    command -v dh > /dev/null || missing+=(debhelper)
    test ${#missing[@]} = 0 || fail "install: apt-get install --no-install-recommends ${missing[*]}"
    test -d "$openvino/libs" || fail "no OpenVINO runtime in $openvino: run make setup"
}

# Copies the files that git knows, or all files of a source package.
copy_sources() { # FOLDER
    mkdir -p "$1"
    if git -C "$tree" -c safe.directory='*' rev-parse --is-inside-work-tree > /dev/null 2>&1; then
        git -C "$tree" -c safe.directory='*' ls-files -z --cached --others --exclude-standard
    else
        (cd "$tree" && find . -path ./.deps -prune -o -path './build*' -prune -o ! -type d -print0)
    fi | (cd "$tree" && tar --null --ignore-failed-read -T - -cf - 2> /dev/null) | tar -C "$1" -xf -
}

release_suffix() {
    . /etc/os-release
    test "$ID" != debian && test "$ID" != raspbian || echo "~deb${VERSION_ID:-13}"
}

set_version() { # CHANGELOG
    local version
    version=${HS_DEB_VERSION:-$(sed -n '1s/.*(\(.*\)).*/\1/p' "$1")$(release_suffix)}
    sed -i "1s/(.*)/($version)/" "$1"
    say "hailo-services $version for $arch"
}

# Without network access if this user may make a private network namespace.
isolated() {
    if unshare --net true 2> /dev/null; then unshare --net "$@"
    elif unshare --map-root-user --net true 2> /dev/null; then unshare --map-root-user --net "$@"
    else "$@"; fi
}

build() {
    local options=(-b -us -uc)
    test "$arch" = "$(dpkg --print-architecture)" || options+=("-a$arch")
    # make check runs the tests.
    export DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=$(nproc)${DEB_BUILD_OPTIONS:+ $DEB_BUILD_OPTIONS}"
    export DEB_BUILD_PROFILES="nocheck${DEB_BUILD_PROFILES:+ $DEB_BUILD_PROFILES}" HS_OPENVINO_DIR=$openvino
    # debhelper sets HOME to an empty folder.
    if command -v ccache > /dev/null; then
        export CCACHE_BASEDIR=$work CCACHE_DIR=${CCACHE_DIR:-${HOME:-/root}/.cache/ccache}
    fi
    cd "$work/source"
    dpkg-checkbuilddeps "-a$arch" || fail "install the packages that dpkg-checkbuilddeps names: make setup, \
apt-get build-dep ./"
    isolated dpkg-buildpackage "${options[@]}" > "$work/build.log" 2>&1 || {
        tail -n 30 "$work/build.log" >&2
        fail "dpkg-buildpackage failed (full log: $work/build.log)"
    }
}

check_requirements
work=$tree/build-deb/work-$arch
rm -rf "$work"
copy_sources "$work/source"
set_version "$work/source/debian/changelog"
build
mkdir -p "$output"
rm -f "$output"/*.{deb,changes,buildinfo}
mv "$work"/*.{deb,changes,buildinfo} "$output"
rm -rf "$work/source"
say "packages:"
ls -l "$output"/*.deb | awk '{ print "[deb]   " $9 ", " int($5 / 1e6 + .5) " MB" }'
