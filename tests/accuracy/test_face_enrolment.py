"""The enrolment gate, idempotent additions, and the database API with real faces: hailo-face with its default
weights."""
import json
import threading

import pytest

from face_tools import TESTDATA, ask, start
from pose_tools import SAMPLES, need
from server import b64

ADD = '/v1/database/add'
PEOPLE = TESTDATA / 'face-verify-deepface'
POSES = TESTDATA / 'face-pose'


@pytest.fixture
def gallery(tmp_path):
    with start(tmp_path) as server:
        yield server


def pictures(person):
    return sorted((need(PEOPLE) / person).glob('*.jpg'))


def people(count):
    return [folder.name for folder in sorted(need(PEOPLE).iterdir()) if folder.is_dir()][:count]


def codes(response):
    assert response.status == 422, response
    body = response.json()
    assert all(set(reason) >= {'code', 'measure', 'value', 'limit'} for reason in body['reasons'])
    assert all(reason['code'] in body['error'] for reason in body['reasons'])
    return [reason['code'] for reason in body['reasons']]


def count(server):
    return sum(entry['embedding_count'] for entry in server.get('/v1/database/list').json()['identities'])


def test_the_gate(gallery):
    first, second = people(2)
    one, other = pictures(first)[:2]
    party = need(SAMPLES / 'zidane.jpg')
    assert ask(gallery, ADD, party, name='Z').status == 200, 'off by default'
    assert codes(ask(gallery, ADD, party, name='Z2', gate='standard')) == ['multiple_faces', 'identity_conflict']
    assert codes(ask(gallery, ADD, need(POSES / 'rot_180.jpg'), name='Z2', gate='standard')) == ['no_face']
    assert 'extreme_pose' in codes(ask(gallery, ADD, need(POSES / 'left_face.jpeg'), name='Z2', gate='standard'))
    assert 'blurred' in codes(ask(gallery, ADD, need(POSES / 'blur.jpg'), name='Z2', gate='strict'))
    assert ask(gallery, ADD, one, name=first, gate='standard').status == 200
    assert codes(ask(gallery, ADD, one, name=first, gate='standard')) == ['duplicate']
    conflict = ask(gallery, ADD, one, name=second, gate='standard').json()['reasons'][0]
    assert conflict['code'] == 'identity_conflict' and conflict['identity'] == first
    assert conflict['limit'] == pytest.approx(0.5) and conflict['value'] > 0.99
    assert ask(gallery, ADD, other, name=first, gate='standard').status == 200
    assert ask(gallery, ADD, one, name=second, gate='off').status == 200
    assert ask(gallery, ADD, one, name=second, gate='none').status == 400


def test_box_selects_the_face(gallery):
    party = need(SAMPLES / 'zidane.jpg')
    assert ask(gallery, ADD, party, name='right', bbox='[914, 95, 141, 181]', gate='standard').status == 200
    aside = ask(gallery, ADD, party, name='left', bbox='[549, 258, 115, 178]', gate='standard')
    assert codes(aside) == ['extreme_pose'] and aside.json()['reasons'][0]['measure'] == 'yaw'


def test_the_setting(tmp_path):
    with start(tmp_path, **{'database.enrolment': 'standard'}) as server:
        party = need(SAMPLES / 'zidane.jpg')
        assert codes(ask(server, ADD, party, name='Z')) == ['multiple_faces']
        assert ask(server, ADD, party, name='Z', gate='off').status == 200


def test_dry_run_stores_nothing(gallery):
    name = people(1)[0]
    one = pictures(name)[0]
    tried = ask(gallery, ADD, one, name=name, gate='strict', dry_run='true')
    assert tried.status == 200, tried
    body = tried.json()
    assert body['dry_run'] is True and body['would_add'] is True and body['identity_exists'] is False
    assert body['reasons'] == [] and len(body['bbox']) == 4 and body['quality']['sharpness'] > 0
    party = ask(gallery, ADD, need(SAMPLES / 'zidane.jpg'), name=name, gate='strict', dry_run='true').json()
    assert party['would_add'] is False and 'multiple_faces' in [reason['code'] for reason in party['reasons']]
    assert count(gallery) == 0
    nobody = ask(gallery, ADD, need(POSES / 'rot_180.jpg'), name=name, dry_run='true')
    assert nobody.status == 400 and nobody.json()['error'] == 'No face detected'


def test_ordinary_photos_pass(gallery):
    """Nearly all press photos of seven people are accepted."""
    for gate, least in ('standard', 0.95), ('strict', 0.85):
        answers = [ask(gallery, ADD, path, name='x', gate=gate, dry_run='true').json()['would_add']
                   for name in people(7) for path in pictures(name)]
        assert sum(answers) >= least * len(answers), (gate, sum(answers), len(answers))


def test_metadata_and_embeddings(gallery):
    name = people(1)[0]
    one, two = pictures(name)[:2]
    added = ask(gallery, ADD, one, name=name, metadata='{"team": 7}').json()
    assert added['identity_created'] is True
    body = {'name': name, 'image': b64(two.read_bytes()), 'metadata': {'team': 8, 'room': 'Ä'}}
    assert gallery.post_json(body, path=ADD).json()['identity_created'] is False
    known = gallery.get(f'/v1/database/identities/{name}').json()
    assert known['metadata'] == {'team': 8, 'room': 'Ä'}
    assert len(known['embeddings'][0]['source_sha256']) == 64
    path = f'/v1/database/identities/{name}/embeddings/{added["embedding_id"]}'
    vector = gallery.get(path + '?vector=true').json()['embedding']
    assert vector == pytest.approx(ask(gallery, '/v1/embed', one).json()['embedding'], abs=1e-6)
    gone = gallery.request('DELETE', path).json()
    assert gone['embeddings_erased'] == 1 and gone['embedding_count'] == 1 and gone['erasure_pending'] is False
    assert gallery.get(path).status == 404
    faces = ask(gallery, '/v1/recognize', one, threshold=0).json()['faces']
    assert faces[0]['match_score'] < 0.99, 'the erased vector is no longer found'
    for bad, field in ('[1]', 'metadata'), ('{', 'metadata'), (json.dumps({'x': 'y' * 4090}), 'metadata'):
        response = ask(gallery, ADD, one, name=name, metadata=bad)
        assert response.status == 400 and field in response.json()['error'], response
    assert count(gallery) == 1


def once(server, key, path, **fields):
    body = {'image': b64(path.read_bytes()), **fields}
    return server.post_json(body, path=ADD, headers={'Idempotency-Key': key})


def test_idempotency_key(tmp_path):
    name = people(1)[0]
    one, two = pictures(name)[:2]
    with start(tmp_path) as server:
        first = once(server, 'k1', one, name=name)
        assert first.status == 200 and 'Idempotency-Replayed' not in first.headers
        again = once(server, 'k1', one, name=name)
        kept = {key: value for key, value in first.json().items() if key not in ('face', 'warnings')}
        assert again.status == 200 and again.json() == kept
        assert again.headers['Idempotency-Replayed'] == 'true'
        for path, fields in (two, {'name': name}), (one, {'name': 'other'}), (one, {'name': name, 'metadata': {}}):
            other = once(server, 'k1', path, **fields)
            assert other.status == 422 and 'Idempotency-Key' in other.json()['error'], other
        assert once(server, 'k2', two, name=name).status == 200
        assert count(server) == 2
        assert once(server, 'x' * 256, one, name=name).status == 400
        # A refused picture stores nothing, and can be sent again.
        party = need(SAMPLES / 'zidane.jpg')
        assert once(server, 'k3', party, name='Z', gate='standard').status == 422
        assert once(server, 'k3', party, name='Z', gate='off').status == 200
    with start(tmp_path) as server:
        assert once(server, 'k1', one, name=name).headers['Idempotency-Replayed'] == 'true'
        server.request('DELETE', f'/v1/database/identities/{name}')
        assert 'Idempotency-Replayed' not in once(server, 'k1', one, name=name).headers


def test_idempotency_key_of_concurrent_requests(gallery):
    one = pictures(people(1)[0])[0]
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(once(gallery, 'k', one, name='x'))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {response.status for response in answers} <= {200, 409}
    fresh = [a for a in answers if a.status == 200 and 'Idempotency-Replayed' not in a.headers]
    assert len(fresh) == 1 and count(gallery) == 1


def test_a_phone_photo_that_was_not_turned(gallery, tmp_path):
    """The pixels of a phone photo are rotated, and its EXIF orientation, ignored by default, corrects that."""
    images = pytest.importorskip('PIL.Image', reason='makes the photo with python3-pil')
    upright = images.open(need(SAMPLES / 'obama.jpg'))
    exif = images.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / 'phone.jpg', exif=exif)
    upright.rotate(90, expand=True).save(tmp_path / 'side.jpg')
    for name, word in ('phone', 'image.apply_exif'), ('side', 'upright'):
        response = ask(gallery, ADD, tmp_path / f'{name}.jpg', name=name).json()
        sideways = [each for each in response['warnings'] if each['code'] == 'sideways']
        assert len(sideways) == 1 and word in sideways[0]['message'], response
    (tmp_path / 'turned').mkdir()
    with start(tmp_path / 'turned', **{'image.apply_exif': 'true'}) as server:
        response = ask(server, ADD, tmp_path / 'phone.jpg', name='phone').json()
        assert response['warnings'] == [] and response['face']['faces_found'] == 1
