#!/bin/bash
# Starts the servers POSE and FACE on free ports and sends requests with curl: POSE finds people in the sample pictures;
# FACE enrols two faces and recognises one of them in another picture. Prints one line per picture and commands to try
# next, a dozen lines at most. The responses and the annotated pictures are written to demo-out/. Skips FACE if its
# weights are missing.
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

# Reads the server's output from a pipe, so that the line with the port is awaited without polling.
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
        [[ $line =~ listening\ on\ (http://[^[:space:]\"]+) ]] || continue
        address=${BASH_REMATCH[1]}
        cat <&3 >> "$log" &
        return 0
    done
    fail "$name did not start"
}

# While the model loads, the server answers 503, and curl retries.
wait_until_ready() {
    curl -s -o /dev/null --fail --retry 60 --retry-delay 1 --max-time 60 "$address/health/ready" 2> /dev/null ||
        fail 'the server did not become ready'
}

stop_server() {
    local status=0
    kill -TERM "$server"
    wait "$server" || status=$?
    server=
    test "$status" = 0 || fail "the server exited with code $status"
}

# Writes the response to demo-out/FILE.
ask() { # FILE PATH CURL-ARGUMENT…
    local code
    code=$(curl -sS --max-time 120 -o "$out/$1" -w '%{http_code}' "${@:3}" "$address$2") || fail "no response from $2"
    test "$code" = 200 || fail "$2: HTTP $code: $(cat "$out/$1")"
}

# ---- people ---------------------------------------------------------------------------------------------------------

summarise() { # NAME JSON
    "$python" - "$@" << 'PYTHON'
import json, sys
name, path = sys.argv[1:]
answer = json.load(open(path))
size, count = answer['image_size'], answer['count']
taken = answer.get('timings_ms', {}).get('total', answer['inference_time_ms'])
shape, people = f"{size['width']}x{size['height']}", f"{count} {'person' if count == 1 else 'people'}"
print(f'{name:<11} {shape:<9}  {people}  {taken:.0f} ms')
sys.exit(count == 0)
PYTHON
}

detect() { # NAME
    local picture=$samples/$1.jpg
    ask "$1.json" /v1/pose/detect -F "image=@$picture"
    curl -sS --fail --max-time 120 -o "$out/$1.jpg" -H 'Accept: image/jpeg' -F "image=@$picture" \
        "$address/v1/pose/detect" || fail "cannot get the annotated picture of $1.jpg"
    summarise "$1.jpg" "$out/$1.json" || fail "no people found in $1.jpg"
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
count, names = answer['count'], {face['identity'] for face in answer['faces']}
said = ', '.join(face['identity'] if face['identity'] == 'Unknown' else f"{face['identity']} ({face['match_score']:.2f})"
                 for face in answer['faces'])
print(f"{picture:<11} {count} {'face' if count == 1 else 'faces'}: {said}  {answer['inference_time_ms']:.0f} ms")
sys.exit(names != {expected})
PYTHON
}

recognise() { # NAME IDENTITY
    ask "$1-faces.json" /v1/recognize -F "image=@$samples/$1.jpg"
    summarise_faces "$1.jpg" "$out/$1-faces.json" "$2" || fail "$1.jpg: expected $2"
    "$face" recognize "$samples/$1.jpg" --models "$models" "${gallery[@]}" --draw "$out/$1-faces.jpg" > /dev/null ||
        fail "cannot get the annotated picture of $1.jpg"
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

# ---- what is next ---------------------------------------------------------------------------------------------------

# Prints the program as a command for the tree's folder.
command_of() { # PROGRAM
    case $1 in /*) printf '%s' "$1" ;; *) printf './%s' "${1#./}" ;; esac
}

show_next() { # THIRD-COMMAND
    printf 'Annotated picture: demo-out/bus.jpg (other pictures and the responses are in the same folder)\nTry next:\n'
    printf '  %s\n' "$(command_of "$pose") detect .deps/samples --models .deps/models --draw demo-out" "$1" \
        'make run      # serves http://127.0.0.1:11436 until Ctrl-C; README.md has requests'
}

show_people
if "$face" detect "$samples/zidane.jpg" --models "$models" > "$work/try" 2>&1; then
    show_faces
    show_next "$(command_of "$face") compare .deps/samples/obama.jpg .deps/samples/obama2.jpg --models .deps/models"
else
    echo "skipping hailo-face: $(tail -n 1 "$work/try")"
    show_next "$(command_of "$pose") selftest --models .deps/models"
fi
