"""hailo-face with its default weights: golden faces, verification on pairs, faces found."""
import csv
import json
import math

import pytest

from face_tools import TESTDATA, ask, detect, start
from pose_tools import SAMPLES, need


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    with start(tmp_path_factory.mktemp('faces')) as server:
        yield server


def near(got, expected, side):
    return abs(got - expected) <= 0.04 * side + 1


GOLDEN = {  # score, x1, y1, x2, y2, nose: the reference's values for the same network
    'zidane': [(0.856, 914.3, 94.7, 1055.5, 275.4, (998.9, 203.3)), (0.744, 548.9, 257.6, 664.3, 435.6, (656.7, 365.3))],
    'bus': [(0.852, 114.3, 418.9, 153.4, 469.7, (144.1, 446.3)), (0.833, 269.9, 421.6, 305.5, 471.6, (294.1, 452.5))],
}


@pytest.mark.parametrize('name', GOLDEN)
def test_golden_faces(faces, name):
    found = detect(faces, need(SAMPLES / f'{name}.jpg'))
    assert len(found) == len(GOLDEN[name])
    for face, (score, x1, y1, x2, y2, nose) in zip(found, GOLDEN[name]):
        x, y, width, height = face['bbox']
        assert face['confidence'] == pytest.approx(score, abs=0.03)
        assert near(x, x1, x2 - x1) and near(x + width, x2, x2 - x1), face
        assert near(y, y1, y2 - y1) and near(y + height, y2, y2 - y1), face
        assert near(face['landmarks'][2][0], nose[0], x2 - x1) and near(face['landmarks'][2][1], nose[1], y2 - y1)


def test_solvay_has_29_faces(faces):
    assert len(detect(faces, need(SAMPLES / 'solvay.jpg'))) == 29


def test_vectors_have_length_1(faces):
    answer = ask(faces, '/v1/embed', need(SAMPLES / 'zidane.jpg')).json()
    assert answer['dimension'] == len(answer['embedding']) == 512
    assert math.fsum(v * v for v in answer['embedding']) == pytest.approx(1, abs=1e-4)


def chosen(found, rule, size=250):
    """The labelled face: in LFW's pictures the one nearest the middle, else the largest."""
    if rule == 'middle':
        return min(found, key=lambda f: abs(f['bbox'][0] + f['bbox'][2] / 2 - size / 2) +
                   abs(f['bbox'][1] + f['bbox'][3] / 2 - size / 2))
    return max(found, key=lambda f: f['bbox'][2] * f['bbox'][3])


def embedding(server, path, rule):
    found = detect(server, path)
    assert found, f'{path}: no face'
    answer = ask(server, '/v1/embed', path, bbox=json.dumps(chosen(found, rule)['bbox']))
    assert answer.status == 200, (path, answer)
    return answer.json()['embedding']


def scores(server, folder, rule):
    vectors, same, different = {}, [], []
    with open(need(folder / 'pairs.csv'), encoding='utf-8') as file:
        for row in csv.DictReader(file):
            for name in row['a'], row['b']:
                if name not in vectors:
                    vectors[name] = embedding(server, folder / name, rule)
            cosine = math.fsum(x * y for x, y in zip(vectors[row['a']], vectors[row['b']]))
            (same if row['same'] == '1' else different).append(cosine)
    return same, different


def test_verification(faces):
    """All four sets pooled, at the default model's own threshold 0.50."""
    same, different = [], []
    for name, rule in (('lfw10', 'middle'), ('tight', 'largest'), ('bbt', 'largest'), ('deepface', 'largest')):
        more = scores(faces, TESTDATA / f'face-verify-{name}', rule)
        same += more[0]
        different += more[1]
    assert (len(same), len(different)) == (512, 1339)
    accepted = sum(score > 0.5 for score in same) / len(same)
    print(f'TAR {accepted:.4f} at 0.50; the best different pair {max(different):.3f}')
    assert accepted >= 0.955
    assert max(different) <= 0.5


def overlap(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def test_labelled_faces_are_found(faces):
    labels = json.loads(need(TESTDATA / 'face-boxes' / 'labels.json').read_text())
    labelled = hits = detections = 0
    for entry in labels:
        found = detect(faces, TESTDATA / 'face-boxes' / 'images' / entry['file'])
        detections += len(found)
        for face in entry['faces']:
            labelled += 1
            hits += any(overlap(face['bbox'], other['bbox']) >= 0.3 for other in found)
    print(f'{hits} of {labelled} faces, {detections} detections')
    assert labelled == 55
    assert hits == 55
