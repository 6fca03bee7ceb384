"""Sends every file of the shared edge-case set to the real server with the real network, and checks the result that
the manifest expects and the memory used. tests/unit/image/test_edge.c does the same for the decoders only."""
import json
import re

import pytest

from pose_tools import SHARED, need
from server import Server, b64

EDGE = SHARED / 'testdata' / 'edge'
PEAK_BYTES = 300 << 20  # with the model loaded; the headers of the bombs declare 0.7 to 13 GB of pixels


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    need(EDGE / 'manifest.json')
    with Server(tmp_path_factory.mktemp('edge'), device='cpu') as started:
        yield started


def manifest():
    path = EDGE / 'manifest.json'
    return json.loads(path.read_text()) if path.exists() else []


def check(response, entry):
    expect, status = entry['expect'], response.status
    if entry['group'] == 'valid':
        assert status == 200, (entry, response)
    elif expect.startswith(('413', '4xx')):
        assert status == 413 if expect.startswith('413') else 400 <= status < 500, (entry, response)
    elif expect.startswith('415'):
        assert status in ((200, 415) if 'or decode' in expect else (415,)), (entry, response)
    else:
        assert status == 200 or 400 <= status < 500, (entry, response)
    if status == 200:
        assert response.json()['count'] == len(response.json()['poses'])
    else:
        error = response.json()['error']
        assert error['type'] == 'invalid_request_error' and 'image' in error['message'], (entry, error)


@pytest.mark.parametrize('way', ['form', 'base64'])
def test_every_picture_matches_the_manifest(server, way):
    entries = manifest()
    assert len(entries) == 112
    for entry in entries:
        data = (EDGE / entry['file']).read_bytes()
        response = server.post_form({'image': data}) if way == 'form' else server.post_json({'image': b64(data)})
        check(response, entry)
    server.assert_healthy()
    with open(f'/proc/{server.process.pid}/status', encoding='ascii') as status:
        peak = int(re.search(r'VmHWM:\s+(\d+) kB', status.read())[1]) * 1024
    print(f'peak memory {peak / 1e6:.0f} MB')
    assert peak < PEAK_BYTES


def test_the_eight_orientations_show_the_same_two_people(server):
    seen = []
    for orientation in range(1, 9):
        data = (EDGE / 'valid' / 'exif' / f'orient{orientation}.jpg').read_bytes()
        response = server.post_form({'image': data, 'apply_exif': 'true'}).json()
        assert response['image_size'] == {'width': 960, 'height': 540}
        assert response['count'] == 2
        seen.append(sorted(tuple(pose['bbox'].values()) for pose in response['poses']))
    for boxes in seen:
        for box, first in zip(boxes, seen[0]):
            assert box == pytest.approx(first, abs=8)
