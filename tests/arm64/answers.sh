#!/bin/bash
# Writes the programs' answers for some sample pictures, with default settings, to files in a folder.
#
#   tests/arm64/answers.sh PROGRAMS ANSWERS
set -euo pipefail
tree=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "${2:?}"
programs=$(cd "$1" && pwd) answers=$(cd "$2" && pwd)
# An emulated run takes a minute; by default the device is given up after some seconds.
common=(--models "$tree/.deps/models" --device cpu --set device.timeout=3600
    --set inference.cache_dir="$answers/compiled")

rm -f "$answers"/*.jsonl
cd "$tree/.deps/samples"
"$programs/hailo-pose" detect --jsonl "${common[@]}" bus.jpg zidane.jpg obama.jpg biden.jpg > "$answers/people.jsonl"
# The weights of hailo-face are downloaded separately, and may be missing.
if test -f "$tree/.deps/models/scrfd-2.5g.onnx" && test -f "$tree/.deps/models/mobilefacenet-faceplugin.onnx"; then
    "$programs/hailo-face" detect "${common[@]}" obama.jpg biden.jpg > "$answers/faces.jsonl"
    "$programs/hailo-face" embed "${common[@]}" obama.jpg > "$answers/vectors.jsonl"
fi
