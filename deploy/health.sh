#!/bin/bash
# Exit code 0 if the service of this machine answers GET /health: for containers and monitors.
#
#   health.sh hailo-pose|hailo-face
set -euo pipefail

here=$(cd -P "$(dirname "$0")" && pwd)
prefix=health
. "$here/common.sh"

set_service "${1:-}"
curl=(curl -sS -f -o /dev/null --max-time 5) url=''
find_url
exec "${curl[@]}" "$url/health"
