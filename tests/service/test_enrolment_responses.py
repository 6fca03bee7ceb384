"""The response to an addition: the enrolled face and warnings about it, over HTTP and on the command line."""
import json

import pytest

from faces import BRIGHT, DARK, FACE, GREY, NO_FACES, PATTERNS, face_row, one, picture, png_of
from server import b64, environment, run

CROWD = picture(*((PATTERNS[i], 20 + 150 * (i % 4), 20 + 150 * (i // 4), 120 - 6 * i) for i in range(6)))


def codes(response):
    warnings = response.json()['warnings']
    assert all(set(each) >= {'code', 'message', 'measure', 'value', 'limit'} and each['message'] for each in warnings)
    return [each['code'] for each in warnings]


def warning(response, code):
    return next(each for each in response.json()['warnings'] if each['code'] == code)


# ---- the enrolled face

def test_a_good_picture_has_no_warning(make_face):
    response = make_face().add('Ann', one(0))
    face = response.json()['face']
    assert set(face) == {'bbox', 'confidence', 'quality', 'faces_found', 'index'}
    assert face['faces_found'] == 1 and face['index'] == 0 and face['quality']['size'] > 100
    assert all(abs(a - b) <= 2 for a, b in zip(face['bbox'], (200, 120, 140, 140)))
    assert codes(response) == []


def test_similar_identity_is_reported(make_face):
    server = make_face()
    server.add('Ann', one(0))
    response = server.add('Bob', one(0, left=60))
    assert codes(response) == ['identity_conflict']
    conflict = warning(response, 'identity_conflict')
    assert conflict['identity'] == 'Ann' and conflict['value'] > 0.9 and conflict['limit'] == 0.5
    assert "'Ann'" in conflict['message']
    assert codes(server.add('Cid', one(1))) == []
    assert codes(server.add('Ann', one(0))) == ['duplicate', 'identity_conflict']


def test_several_faces(make_face):
    server = make_face()
    response = server.add('Ann', CROWD)
    assert response.json()['face']['faces_found'] == 6 and response.json()['face']['index'] == 0
    assert codes(response) == ['multiple_faces'] and warning(response, 'multiple_faces')['value'] == 6
    # A box selects the fourth face; other faces do not matter.
    chosen = server.add('Bob', CROWD, bbox=[20 + 150 * 3, 20, 102, 102])
    assert chosen.json()['face']['index'] == 3 and chosen.json()['face']['faces_found'] == 6
    assert codes(chosen) == []


def test_several_faces_of_which_one_is_listed(make_face):
    response = make_face({'face_recognition.max_faces': 1}).add('Ann', CROWD)
    assert response.json()['face']['faces_found'] == 6 and codes(response) == ['multiple_faces']


def portrait(width=330, height=100):
    """A square face with the higher score, and a wide one that is the subject, because it fills half of the
    picture's width."""
    rows = [bytearray(GREY * 640) for _ in range(480)]
    for y in range(200):
        rows[10 + y][10 * 3:210 * 3] = face_row(PATTERNS[0], 200, y)
    for y in range(height):
        inside = height // 7 <= y < height - height // 7
        bar = width // 7
        rows[300 + y][100 * 3:(100 + width) * 3] = b''.join(
            (DARK if inside and x in (1, 4) else BRIGHT) * (bar + (x == 6) * (width - 7 * bar)) for x in range(7))
    return png_of(rows)


@pytest.mark.parametrize('most', [1, 2, 10])
def test_selected_face_does_not_depend_on_max_faces(make_face, most):
    server = make_face({'face_recognition.max_faces': most})
    image = portrait()
    assert [face['bbox'][2] > 300 for face in server.ask('detect', image, max_faces=10).json()['faces']] == [False, True]
    taken = server.ask('embed', image).json()
    assert taken['bbox'][2] > 300, taken['bbox']
    tried = server.ask('database/add', image, name='Ann', dry_run=True).json()
    assert tried['bbox'] == taken['bbox'] and tried['face']['index'] == 1 and tried['face']['faces_found'] == 2
    server.add('Ann', image)
    verified = server.ask('database/verify', image, name='Ann').json()
    assert verified['bbox'] == taken['bbox'] and verified['score'] > 0.999
    compared = server.post_json({'image': b64(image), 'image2': b64(image)}, '/v1/compare').json()
    assert compared['bbox'] == compared['bbox2'] == taken['bbox'] and compared['score'] > 0.999


def test_gate_counts_faces_beyond_max_faces(make_face):
    response = make_face({'face_recognition.max_faces': 1}).ask('database/add', CROWD, name='Ann', gate='standard')
    assert response.status == 422 and [each['code'] for each in response.json()['reasons']] == ['multiple_faces']


def test_a_small_face(make_face):
    response = make_face().add('Ann', one(0, side=42))
    assert 'face_too_small' in codes(response)
    assert warning(response, 'face_too_small')['limit'] == 50 and warning(response, 'face_too_small')['value'] < 50


def test_dry_run_warns_too(make_face):
    response = make_face().ask('database/add', CROWD, name='Ann', dry_run=True)
    assert response.json()['face']['faces_found'] == 6 and codes(response) == ['multiple_faces']


def test_a_gate_still_refuses(make_face):
    server = make_face()
    server.add('Ann', one(0))
    response = server.ask('database/add', one(0, left=60), name='Bob', gate='standard')
    assert response.status == 422 and [each['code'] for each in response.json()['reasons']] == ['identity_conflict']


# ---- the command line

@pytest.fixture(name='db')
def make_db(tmp_path):
    def call(*arguments):
        return run(tmp_path, 'db', *arguments, '--device', 'sim', '--set', f'database.db_file={tmp_path}/faces.db', '--set',
                   f'database.backup_path={tmp_path}/backups', program=FACE, env=environment(tmp_path))
    for name, image in {'good': one(0), 'same': one(0, left=60), 'small': one(1, side=42), 'crowd': CROWD,
                        'none': NO_FACES}.items():
        (tmp_path / f'{name}.png').write_bytes(image)
    return call


def test_the_command_line_is_strict(db):
    good = db('add', 'Ann', 'good.png')
    assert good.returncode == 0 and 'added good.png for Ann: face of 140x140 at 200,120, score 0.90' in good.stdout
    assert 'warning' not in good.stdout
    refused = json.loads(db('add', 'Bob', 'same.png', 'small.png', 'crowd.png', '--json').stdout)
    assert refused['added'] == 0
    assert [each['code'] for each in refused['refused']] == ['identity_conflict', 'face_too_small', 'multiple_faces']
    off = db('add', 'Bob', 'same.png', '--set', 'database.enrolment=off')
    assert off.returncode == 1 and 'identity_conflict' in off.stdout


def test_force_adds_and_warns(db):
    db('add', 'Ann', 'good.png')
    forced = db('add', 'Bob', 'same.png', '--force')
    assert forced.returncode == 0 and "warning: The face looks like 'Ann'" in forced.stdout
    report = json.loads(db('add', 'Cid', 'crowd.png', 'none.png', '--force', '--json').stdout)
    assert report['added'] == 1 and [each['code'] for each in report['refused']] == ['no_face']
    added = report['additions'][0]
    assert added['face']['faces_found'] == 6 and added['warnings'][0]['code'] == 'multiple_faces'
    both = db('add', 'Bob', 'same.png', '--force', '--gate', 'off')
    assert both.returncode == 2 and 'exclude each other' in both.stderr
