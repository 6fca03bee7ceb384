"""Answers that report that a list was cut, or that a threshold is low enough for strangers to match."""
import pytest

from faces import PATTERNS, one, picture

CROWD = picture(*((PATTERNS[i], 20 + 150 * (i % 4), 20 + 150 * (i // 4), 120 - 6 * i) for i in range(6)))


# ---- lists that were cut

def test_faces_beyond_max_faces(make_face):
    server = make_face()
    whole = server.ask('detect', CROWD).json()
    assert whole['count'] == 6 and 'truncated' not in whole and 'found' not in whole
    for path in 'detect', 'recognize':
        response = server.ask(path, CROWD, max_faces=2).json()
        assert response['count'] == 2 and response['truncated'] is True and response['found'] == 6
        assert 'truncated' not in server.ask(path, CROWD, max_faces=6).json()
    form = server.post_form({'image': CROWD, 'max_faces': '4'}, path='/v1/detect').json()
    assert form['count'] == 4 and form['found'] == 6
    batch = server.post_form([('image', CROWD), ('image', one(0)), ('max_faces', '3')], path='/v1/detect/batch').json()
    assert [each.get('found') for each in batch['results']] == [6, None]


@pytest.mark.parametrize('value', [0, -1, 1001, 'many', [], {}])
def test_invalid_max_faces(face, value):
    for path in 'detect', 'recognize':
        response = face.ask(path, one(0), max_faces=value)
        assert response.status == 400 and response.json()['error'].startswith('max_faces: '), response


def test_poses_beyond_max_detections(sim):
    cut = sim.post_form({'image': CROWD, 'max_detections': 2}).json()
    assert cut['count'] == 2 and cut['truncated'] is True and cut['found'] == 6
    assert list(cut)[:6] == ['poses', 'count', 'inference_time_ms', 'image_size', 'model', 'device']
    whole = sim.post_form({'image': CROWD, 'max_detections': 6}).json()
    assert whole['count'] == 6 and 'truncated' not in whole and 'found' not in whole
    assert sim.post_form({'image': CROWD, 'max_detections': 0}).json()['found'] == 6
    assert whole['poses'][:2] == cut['poses']


# ---- thresholds

def test_threshold_below_the_minimum(make_face):
    server = make_face()
    server.add('Ann', one(0))
    low = server.ask('recognize', one(0), threshold=0.05).json()
    assert low['faces'][0]['identity'] == 'Ann'
    assert [each['code'] for each in low['warnings']] == ['low_threshold']
    assert low['warnings'][0]['message'].startswith('threshold 0.05 is below 0.3, ')
    for fine in 0.3, 'auto', None:
        assert 'warnings' not in server.ask('recognize', one(0), threshold=fine).json()
    assert server.ask('recognize', picture((PATTERNS[5], 200, 120, 140)), threshold=0.05).status == 200


def test_a_low_threshold_in_the_settings(make_face):
    server = make_face({'face_recognition.recognition_threshold': 0.1})
    response = server.ask('recognize', one(0)).json()
    assert [each['code'] for each in response['warnings']] == ['low_threshold']
    server.stop()
    assert 'recognition_threshold 0.10 is below 0.30' in server.log
