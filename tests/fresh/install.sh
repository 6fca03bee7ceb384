#!/bin/bash
# Runs inside a system of run.sh, as root. Builds in a clone that was moved, installs from it,
# removes it, and runs both programs on real pictures as a user who owns no files. All of this under
# a strict umask.
#
#   install.sh CLONE       with .deps/models and .deps/samples in it; a copy outside the clone, which is removed
set -euo pipefail
umask 077

clone=$1
here=/srv/hailo-test
server=

say() { printf '[install] %s\n' "$*"; }
fail() { printf '[install] error: %s\n' "$*" >&2; exit 1; }
finish() {
    test -z "$server" || kill -TERM "$server" 2> /dev/null || true
}
trap finish EXIT

as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/nonexistent)

move_and_install() {
    mkdir -p "$here/gallery"
    cp -r "$clone/.deps/models" "$clone/.deps/samples" "$here"
    rm -rf "$here/models/compiled"
    chown -R 65534:65534 "$here/gallery"
    chmod -R a+rX "$here"
    mv "$clone" "$clone-moved"
    make -C "$clone-moved"
    make -C "$clone-moved" install
    rm -rf "$clone-moved"
    ! grep -rlF "$clone" /usr/local || fail "these files name the clone"
}

# Reads the server's output through a pipe, so that the line with the port is waited for and not polled.
start_server() { # PROGRAM ARGUMENT…
    local line
    address=
    exec 3< <("${as_nobody[@]}" "$@" serve --host 127.0.0.1 --port 0 --models "$here/models" 2>&1 & echo "pid $!"; wait)
    while IFS= read -r -t 120 line <&3; do
        [[ $line =~ ^pid\ ([0-9]+) ]] && server=${BASH_REMATCH[1]}
        [[ $line =~ listening\ on\ (http://[^[:space:]\"]+) ]] && address=${BASH_REMATCH[1]} && break
        echo "$line"
    done
    test -n "$address" || fail "$1 did not start"
    cat <&3 &
    curl -s -o /dev/null --fail --retry 60 --retry-delay 1 "$address/health/ready" 2> /dev/null || fail "$1 is not ready"
}

# Checks that the server answers, and has mapped no files of the clone.
check_server() { # PATH
    local found
    found=$(curl -sS --fail --max-time 120 -F "image=@$here/samples/zidane.jpg" "$address$1" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["count"])')
    test "$found" = 2 || fail "$1 finds $found of 2 in zidane.jpg"
    ! grep -F "$clone" "/proc/$server/maps" || fail "the service uses files of the clone"
    kill -TERM "$server"
    wait
    server=
    say "$1 finds $found of 2 in zidane.jpg"
}

# Checks the message of a program without its runtime.
check_broken() {
    local said
    mv /usr/local/lib/hailo-services/openvino /usr/local/lib/hailo-services/elsewhere
    ! said=$(hailo-pose selftest --device cpu --models "$here/models") || fail 'selftest is content without OpenVINO'
    [[ $said == *'OpenVINO is not installed with this program (looked in /usr/local/lib/hailo-services/openvino)'* ]] ||
        fail "selftest does not say that OpenVINO is missing: $said"
    mv /usr/local/lib/hailo-services/elsewhere /usr/local/lib/hailo-services/openvino
}

cd /
move_and_install
"${as_nobody[@]}" hailo-pose selftest --models "$here/models"
start_server hailo-pose
check_server /v1/pose/detect
if compgen -G "$here/models/mobilefacenet*" > /dev/null; then
    "${as_nobody[@]}" hailo-face selftest --models "$here/models" --set database.enabled=false
    start_server hailo-face --set "database.db_file=$here/gallery/faces.db" --set "database.backup_path=$here/gallery/backups"
    check_server /v1/detect
else
    say 'hailo-face is left out: its weights are not here'
fi
check_broken
say 'installed programs work without their clone'
