#!/bin/bash
# Starts the pose server PROGRAM on a free port, sends it the sample pictures with curl, prints what it answers, and
# writes the annotated pictures to demo-out/.
set -euo pipefail

program=${1:?which program?}
tree=$(cd "$(dirname "$0")/.." && pwd)
samples=$tree/.deps/samples
out=$tree/demo-out
python=${PYTHON:-/usr/bin/python3}
server=

mkdir -p "$out"
work=$(mktemp -d)
finish() {
    test -z "$server" || kill -TERM "$server" 2> /dev/null || true
    rm -rf "$work"
}
trap finish EXIT
fail() {
    printf '[demo] error: %s\n' "$*" >&2
    test ! -s "$out/server.log" || tail -n 20 "$out/server.log" >&2
    exit 1
}

# The server's words come through a pipe, so that its line about the port is waited for and not polled.
start_server() {
    local line
    mkfifo "$work/words"
    "$program" serve --host 127.0.0.1 --port 0 --models "$tree/.deps/models" > "$work/words" 2>&1 &
    server=$!
    exec 3< "$work/words"
    : > "$out/server.log"
    while IFS= read -r -t 120 line <&3; do
        printf '%s\n' "$line" >> "$out/server.log"
        [[ $line =~ listening\ on\ (http://[^[:space:]]+) ]] || continue
        address=${BASH_REMATCH[1]}
        cat <&3 >> "$out/server.log" &
        return 0
    done
    fail 'the server did not start'
}

# 503 while the model loads is worth waiting for; curl does that.
wait_until_ready() {
    curl -sS -o /dev/null --fail --retry 60 --retry-delay 1 --max-time 60 "$address/health/ready" ||
        fail 'the server did not become ready'
}

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
    local picture=$samples/$1.jpg code
    code=$(curl -sS --max-time 120 -o "$out/$1.json" -w '%{http_code}' -F "image=@$picture" "$address/v1/pose/detect") ||
        fail "no answer about $1.jpg"
    cat "$out/$1.json"
    echo
    test "$code" = 200 || fail "$1.jpg: HTTP $code"
    curl -sS --fail --max-time 120 -o "$out/$1.jpg" -H 'Accept: image/jpeg' -F "image=@$picture" \
        "$address/v1/pose/detect" || fail "no annotated picture of $1.jpg"
    summarise "$1.jpg" "$out/$1.json" || fail "nobody was found in $1.jpg"
}

start_server
echo "[demo] the server listens on $address"
wait_until_ready
for name in bus zidane solvay; do
    detect "$name"
done
kill -TERM "$server"
status=0
wait "$server" || status=$?
server=
test "$status" = 0 || fail "the server ended with exit code $status"
echo "[demo] done; answers and annotated pictures are in demo-out/"
