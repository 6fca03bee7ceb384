#!/bin/sh
# Builds the Hailo backend's module on the machine that has HailoRT. HailoRT's library accepts only
# programs that were built against the same version. The commands `hailo-pose backends build` and
# `hailo-face backends build` run this script.
#
#   build.sh PROGRAM OUTPUT LIBRARY SDK SOURCE...
#
# PROGRAM opens the new module; OUTPUT is its folder; LIBRARY is libhailort.so; SDK holds include/
# and lib/ ("" if compiler and linker find them without it). Sources are paths relative to ../../..
# from this script's folder. The script builds in a folder inside OUTPUT and renames the result at
# the end, so that an older module stays until the new one works.
set -u
program=$1 output=$2 library=$3 sdk=$4
shift 4
tree=${0%/*}/../../..
hint='sudo apt install hailo-h10-all, or set the folder of HailoRT with --sdk DIR (it contains include/ and lib/)'

fail() {
    echo "${program##*/} backends: $1" >&2
    exit 1
}

cxx=
for name in "${CXX:-c++}" g++ clang++; do
    if command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then
        cxx=$name
        break
    fi
done
[ -n "$cxx" ] || fail "no C++ compiler found (${CXX:-c++}, g++, clang++): sudo apt install g++"

compile() { # SOURCE OPTION...: compiler messages go to stderr
    case $1 in
    *.c) language='-x c -std=c17' ;;
    *) language='-std=c++17 -fno-exceptions -fno-rtti' ;;
    esac
    # shellcheck disable=SC2086
    "$cxx" $language -O2 -g -fPIC -fvisibility=hidden -D_GNU_SOURCE -Wall -I "$tree/src" -isystem "$tree/include" \
        ${sdk:+-isystem "$sdk/include"} "$@"
}

# Check write access before compiling.
mkdir -p "$output" 2>/dev/null && output=$(cd "$output" && pwd)
work=$(mktemp -d "$output/.hailo-backend-XXXXXX" 2>/dev/null) ||
    fail "cannot write to $output; run this with sudo, or set another folder with --output (the environment variable \
HS_BACKEND_DIR makes the programs look there)"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

printf '#include <hailo/infer_model.hpp>\n#include <hailo/vdevice.hpp>\n' >"$work/headers.cc"
compile "$work/headers.cc" -fsyntax-only ||
    fail "cannot compile with HailoRT's headers (hailo/infer_model.hpp)${sdk:+ in $sdk/include}: $hint"

count=0
for source; do
    count=$((count + 1))
    compile "$tree/$source" -c -o "$work/$count.o" ||
        fail "cannot compile $source with this HailoRT (tested with 5.1 and 5.2)"
done
module=hs_backend_hailo.so
"$cxx" -shared -Wl,-z,defs -pthread -o "$work/$module" "$work"/*.o "$library" \
    "-Wl,--version-script=$tree/src/backends/hailo/exports.map" ${sdk:+"-Wl,-rpath,$sdk/lib"} ||
    fail "cannot link the module with $library: check that library and headers have the same version"

# Reads the module's entry from one line of JSON: its version if it could be opened, else the reason.
entry=$(HS_BACKEND_DIR=$work "$program" backends list --json | sed -n 's/.*{"name": "hailo", \([^}]*\)}.*/\1/p')
version=$(printf '%s\n' "$entry" | sed -n 's/.*"version": "\([^"]*\)".*/\1/p')
[ -n "$version" ] || fail "$(printf '%s\n' "$entry" | sed 's/.*"reason": "\(.*\)"$/\1/')"
chmod 755 "$work/$module" && mv -f "$work/$module" "$output/$module" || fail "cannot write $output/$module"
echo "$output/$module: built with $cxx against $library, loaded with $version"
