"""Starts a program as systemd does for a socket unit: with sockets from descriptor 3 on.

    socket_activation.py FDS[:NAMES] PROGRAM [ARGUMENT]...      FDS: inherited descriptors, with commas
"""
import os
import sys

LISTEN_FDS_START = 3
descriptors, _, names = sys.argv[1].partition(':')
sources = [os.dup2(int(fd), 200 + i) for i, fd in enumerate(descriptors.split(','))]  # out of the way of the targets
for target, source in enumerate(sources, LISTEN_FDS_START):
    os.dup2(source, target)
    os.close(source)
os.environ.update(LISTEN_PID=os.environ.get('TEST_LISTEN_PID') or str(os.getpid()), LISTEN_FDS=str(len(sources)))
if names:
    os.environ['LISTEN_FDNAMES'] = names
os.execv(sys.argv[2], sys.argv[2:])
