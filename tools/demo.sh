#!/bin/bash
# Starts the servers POSE and FACE on free ports and asks them with curl: the one finds people in the sample pictures,
# the other learns two faces and recognises one of them in another picture. Prints what they answer, and writes the
# annotated pictures to demo-out/. Without its weights FACE is left out.
set -euo pipefail

pose=${1:?which hailo-pose?}
face=${2:?which hailo-face?}
tree=$(cd "$(dirname "$0")/.." && pwd)
samples=$tree/.deps/samples
models=$tree/.deps/models
out=$tree/demo-out
python=${PYTHON:-/usr/bin/python3}
server=
log=

mkdir -p "$out"
work=$(mktemp -d)
finish() {
    test -z "$server" || kill -TERM "$server" 2> /dev/null || true
    rm -rf "$work"
}
trap finish EXIT
fail() {
    printf '[demo] error: %s\n' "$*" >&2
    test ! -s "$log" || tail -n 20 "$log" >&2
    exit 1
}

# ---- a server -------------------------------------------------------------------------------------------------------

# The server's words come through a pipe, so that its line about the port is waited for and not polled.
start_server() { # PROGRAM ARGUMENT…
    local line name=${1##*/}
    log=$out/${name#hailo-}-server.log
    mkfifo "$work/$name"
    "$1" serve --host 127.0.0.1 --port 0 --models "$models" "${@:2}" > "$work/$name" 2>&1 &
    server=$!
    exec 3< "$work/$name"
    : > "$log"
    while IFS= read -r -t 120 line <&3; do
        printf '%s\n' "$line" >> "$log"
        [[ $line =~ listening\ on\ (http://[^[:space:]]+) ]] || continue
        address=${BASH_REMATCH[1]}
        cat <&3 >> "$log" &
        echo "[demo] $name listens on $address"
        return 0
    done
    fail "$name did not start"
}

# 503 while the model loads is worth waiting for; curl does that.
wait_until_ready() {
    curl -sS -o /dev/null --fail --retry 60 --retry-delay 1 --max-time 60 "$address/health/ready" ||
        fail 'the server did not become ready'
}

stop_server() {
    local status=0
    kill -TERM "$server"
    wait "$server" || status=$?
    server=
    test "$status" = 0 || fail "the server ended with exit code $status"
}

# Prints the answer, which is kept in demo-out/FILE too.
ask() { # FILE PATH CURL-ARGUMENT…
    local code
    code=$(curl -sS --max-time 120 -o "$out/$1" -w '%{http_code}' "${@:3}" "$address$2") || fail "no answer from $2"
    printf '%s\n' "$(cat "$out/$1")"
    test "$code" = 200 || fail "$2: HTTP $code"
}

# ---- people ---------------------------------------------------------------------------------------------------------

summarise() { # NAME JSON
    "$python" - "$@" << 'PYTHON'
import json, sys
name, path = sys.argv[1:]
answer = json.load(open(path))
scores = ' '.join(f"{pose['bbox_confidence']:.2f}" for pose in answer['poses'])
seen = sum(point['confidence'] >= 0.5 for pose in answer['poses'] for point in pose['keypoints'])
size, timings = answer['image_size'], answer.get('timings_ms', {})
print(f"[demo] {name}: {size['width']}x{size['height']}, {answer['count']} people ({scores}), {seen} keypoints seen, "
      f"{answer.get('model')} on {answer.get('device')}, {timings.get('total', answer['inference_time_ms']):.0f} ms")
sys.exit(answer['count'] == 0)
PYTHON
}

detect() { # NAME
    local picture=$samples/$1.jpg
    ask "$1.json" /v1/pose/detect -F "image=@$picture"
    curl -sS --fail --max-time 120 -o "$out/$1.jpg" -H 'Accept: image/jpeg' -F "image=@$picture" \
        "$address/v1/pose/detect" || fail "no annotated picture of $1.jpg"
    summarise "$1.jpg" "$out/$1.json" || fail "nobody was found in $1.jpg"
}

show_people() {
    local name
    start_server "$pose"
    wait_until_ready
    for name in bus zidane solvay; do
        detect "$name"
    done
    stop_server
}

# ---- faces ----------------------------------------------------------------------------------------------------------

summarise_faces() { # PICTURE JSON IDENTITY: that of one of the faces, or Unknown for all
    "$python" - "$@" << 'PYTHON'
import json, sys
picture, path, expected = sys.argv[1:]
answer = json.load(open(path))
names = [face['identity'] for face in answer['faces']]
said = ', '.join(f"{face['identity']} ({face['match_score']:.2f})" for face in answer['faces'])
print(f"[demo] {picture}: {answer['count']} faces: {said}, {answer['inference_time_ms']:.0f} ms")
sys.exit(set(names) != {expected})
PYTHON
}

recognise() { # NAME IDENTITY
    ask "$1-faces.json" /v1/recognize -F "image=@$samples/$1.jpg"
    summarise_faces "$1.jpg" "$out/$1-faces.json" "$2" || fail "$1.jpg: $2 was expected"
    "$face" recognize "$samples/$1.jpg" --models "$models" "${gallery[@]}" --draw "$out/$1-faces.jpg" > /dev/null ||
        fail "no annotated picture of $1.jpg"
}

show_faces() {
    local gallery=(--set "database.db_file=$work/faces.db" --set "database.backup_path=$work/backups")
    start_server "$face" "${gallery[@]}"
    wait_until_ready
    ask obama-added.json /v1/database/add -F 'name=Barack Obama' -F "image=@$samples/obama.jpg"
    ask biden-added.json /v1/database/add -F 'name=Joe Biden' -F "image=@$samples/biden.jpg"
    recognise obama2 'Barack Obama'
    recognise zidane Unknown
    stop_server
}

show_people
if "$face" detect "$samples/zidane.jpg" --models "$models" > "$work/try" 2>&1; then
    show_faces
else
    echo "[demo] hailo-face is left out: $(tail -n 1 "$work/try")"
fi
echo "[demo] done; answers and annotated pictures are in demo-out/"
