"""Helpers of the hailo-face tests. The tests need the face weights, which `make check` downloads if possible;
otherwise they are pulled here, or the tests are skipped."""
import os
import pathlib
import struct
import subprocess

import pytest

from pose_tools import SHARED, TREE
from server import Server, multipart

PROGRAM = os.environ.get('HS_FACE_BIN') or os.path.join(
    os.path.dirname(os.environ.get('HS_BIN') or str(TREE / 'build' / 'hailo-pose')), 'hailo-face')
MODELS = os.environ.get('HS_MODELS_DIR', str(TREE / '.deps' / 'models'))
TESTDATA = SHARED / 'testdata'
PICTURES = TESTDATA / 'samples'


def have_weights():
    """Skips the test if the weights are not installed and cannot be downloaded."""
    pulled = subprocess.run([PROGRAM, 'models', 'pull', '--models', MODELS], capture_output=True, text=True, check=False)
    if pulled.returncode != 0:
        pytest.skip(f'no face weights: {pulled.stderr.strip()[-200:]}')


def start(folder, **more):
    """Returns a server with a separate gallery in the folder."""
    have_weights()
    settings = {'face_recognition.detection_threshold': 0.5, 'face_recognition.max_faces': 1000,
                'database.db_file': folder / 'faces.db', 'database.backup_path': folder / 'backups', **more}
    return Server(folder, device='cpu', settings=settings, program=[os.path.abspath(PROGRAM), 'serve'])


def ask(server, route, path, **fields):
    body, content_type = multipart({'image': pathlib.Path(path).read_bytes(), **fields})
    return server.request('POST', route, body, {'Content-Type': content_type})


def detect(server, path, **fields):
    response = ask(server, '/v1/detect', path, return_landmarks='true', **fields)
    assert response.status == 200, response
    return response.json()['faces']


def picture_size(path):
    """Returns the width and height of a PNG or JPEG from its header."""
    data = pathlib.Path(path).read_bytes()
    if data.startswith(b'\x89PNG'):
        return struct.unpack('>II', data[16:24])
    at = 2
    while not (0xc0 <= data[at + 1] <= 0xcf and data[at + 1] not in (0xc4, 0xc8, 0xcc)):
        at += 2 + int.from_bytes(data[at + 2:at + 4], 'big')
    height, width = struct.unpack('>HH', data[at + 5:at + 9])
    return width, height
