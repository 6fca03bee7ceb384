#!/bin/sh
# The name and the options of the first hailo-pose.
exec "$(dirname "$0")/../verify.sh" hailo-pose "$@"
