#!/usr/bin/env python3
"""The name and the options of the first hailo-pose. The program itself renders its configuration."""
import os
import sys

try:
    os.execvp('hailo-pose', ['hailo-pose', 'config', 'render', *sys.argv[1:]])
except OSError as error:
    sys.exit(f'Error: cannot run hailo-pose: {error}')
