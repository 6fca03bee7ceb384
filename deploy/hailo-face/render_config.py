#!/usr/bin/env python3
"""The name and the options of the first hailo-face. The program itself renders its configuration."""
import os
import sys

try:
    os.execvp('hailo-face', ['hailo-face', 'config', 'render', *sys.argv[1:]])
except OSError as error:
    sys.exit(f'Error: cannot run hailo-face: {error}')
