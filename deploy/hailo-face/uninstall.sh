#!/bin/sh
# The name and the options of the first hailo-face.
exec "$(dirname "$0")/../uninstall.sh" hailo-face "$@"
