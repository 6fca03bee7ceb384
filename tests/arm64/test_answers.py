"""Compares the answers of answers.sh on aarch64 and on this machine: the same people and faces per picture."""
import json
import os
import pathlib

import pytest

HERE = pathlib.Path(os.environ.get('HS_ANSWERS', 'answers'))
NATIVE = pathlib.Path(os.environ.get('HS_NATIVE_ANSWERS', 'answers-native'))
PIXELS = 2
SCORE = 0.01
COSINE = 0.9999


def pairs(name):
    """Returns (emulated, native) answers per picture. Skips the empty lines in the output of some commands."""
    native, emulated = ([json.loads(line) for line in (folder / name).read_text().splitlines() if line]
                        for folder in (NATIVE, HERE))
    assert native and len(emulated) == len(native)
    return list(zip(emulated, native))


def need_faces():
    if not (NATIVE / 'faces.jsonl').exists():
        pytest.skip('the weights of hailo-face are not here')


def test_people():
    people = 0
    for answer, native in pairs('people.jsonl'):
        assert answer['device'] == native['device'] == 'cpu'
        assert answer['count'] == native['count'] > 0
        for pose, expected in zip(answer['poses'], native['poses']):
            people += 1
            check_pose(pose, expected)
    assert people >= 7


def check_pose(pose, expected):
    assert pose['bbox_confidence'] == pytest.approx(expected['bbox_confidence'], abs=SCORE)
    for key, value in expected['bbox'].items():
        assert pose['bbox'][key] == pytest.approx(value, abs=PIXELS)
    for point, other in zip(pose['keypoints'], expected['keypoints'], strict=True):
        assert point['name'] == other['name']
        assert point['confidence'] == pytest.approx(other['confidence'], abs=SCORE)
        assert [point['x'], point['y']] == pytest.approx([other['x'], other['y']], abs=PIXELS)


def test_faces():
    need_faces()
    for answer, native in pairs('faces.jsonl'):
        assert answer['count'] == native['count'] > 0
        for face, expected in zip(answer['faces'], native['faces']):
            assert face['confidence'] == pytest.approx(expected['confidence'], abs=SCORE)
            assert face['bbox'] == pytest.approx(expected['bbox'], abs=PIXELS)
            for point, other in zip(face['landmarks'], expected['landmarks'], strict=True):
                assert point == pytest.approx(other, abs=PIXELS)


def test_vectors():
    need_faces()
    (answer, native), = pairs('vectors.jsonl')
    assert answer['dimension'] == native['dimension'] == len(answer['embedding']) == 512
    assert sum(a * b for a, b in zip(answer['embedding'], native['embedding'])) > COSINE
