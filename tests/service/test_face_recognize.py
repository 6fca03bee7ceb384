"""The gallery over HTTP: add, recognise, verify, list and remove; alone, in parallel, and across a restart."""
import json
import random
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from faces import NO_FACES, PATTERNS, FaceServer, one, picture
from server import b64
from test_face_contract import canonical, check_box, refused

CREATED = re.compile(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d')


@pytest.fixture
def family(make_face):
    """A server with Ann, Bob and Cid enrolled."""
    server = make_face()
    for number, name in enumerate(['Ann', 'Bob', 'Cid']):
        server.add(name, one(number))
    return server


def recognize(server, image, **fields):
    response = server.ask('recognize', image, **fields)
    assert response.status == 200, response
    value = canonical(response)
    low = {'warnings'} if fields.get('threshold') == 0 else set()
    assert set(value) == {'faces', 'count', 'inference_time_ms', 'device'} | low
    assert value['count'] == len(value['faces'])
    assert isinstance(value['inference_time_ms'], float)
    for each in value['faces']:
        assert {'bbox', 'detection_confidence', 'identity', 'match_score'} <= set(each)
        assert isinstance(each['match_score'], float) and each['match_score'] <= 1
        assert each['identity'] != 'Unknown' or each['match_score'] == 0.0
    return value['faces']


def identity(server, image, **fields):
    faces = recognize(server, image, **fields)
    assert len(faces) == 1
    return faces[0]['identity']


# ---- recognize

def test_recognize(family):
    crowd = picture((PATTERNS[1], 20, 20, 200), (PATTERNS[5], 300, 20, 160), (PATTERNS[0], 300, 250, 140))
    faces = recognize(family, crowd)
    assert [each['identity'] for each in faces] == ['Bob', 'Unknown', 'Ann']
    check_box(faces[0]['bbox'], (20, 20, 200, 200))
    assert faces[0]['match_score'] > 0.9
    assert faces[0]['detection_confidence'] > faces[1]['detection_confidence'] > faces[2]['detection_confidence']
    assert recognize(family, NO_FACES) == []


@pytest.mark.parametrize('device', ['latency_ms: 2', 'batch_ms: {1: 4, 2: 6, 8: 12}', 'batch_ms: {1: 4, 3: 8}',
                                    'outputs: uint16', 'outputs: float32'])
def test_every_face_of_a_crowd_is_recognised(make_face, script, device):
    """Also with several embeddings per run: none is assigned to another face."""
    server = make_face(device=script(device))
    for number in range(8):
        server.add(f'P{number}', one(number))
    places = [(PATTERNS[i], 10 + 155 * (i % 4), 20 + 200 * (i // 4), 140 - 6 * i) for i in range(8)]
    faces = recognize(server, picture(*places))
    assert [each['identity'] for each in faces] == [f'P{number}' for number in range(8)]
    for each, (_, x, y, side) in zip(faces, places):
        check_box(each['bbox'], (x, y, side, side))


@pytest.mark.parametrize('detection, recognition', [('retinaface-mobilenet', 'auto'), ('scrfd-500m', 'w600k-mbf')])
def test_any_model_can_be_simulated(make_face, detection, recognition):
    """The simulated device has fixed outputs, regardless of the model's outputs."""
    server = make_face({'face_recognition.detection_model': detection,
                        'face_recognition.recognition_model': recognition})
    assert server.get('/health').json()['detection_model'] == detection
    assert server.get('/health').json()['embedding_space'] == 'sim'
    server.add('Ann', one(0))
    assert identity(server, one(0, 20, 20, 200)) == 'Ann'


@pytest.mark.parametrize('fields', [{'model': 'scrfd_500m'}, {'model': 'w600k-mbf'}, {'recognition_model': 'w600k_mbf'},
                                    {'model': 'retinaface-mobilenet', 'recognition_model': 'w600k-mbf'}])
def test_other_models_for_one_request(family, fields):
    """All embeddings of the simulated device belong to one space."""
    assert identity(family, one(1), **fields) == 'Bob'
    compared = family.ask('compare', one(0), image2=b64(one(0)), **fields)
    assert compared.status == 200 and compared.json()['same']
    listed = {each['id']: each['state'] for each in family.get('/v1/models').json()['data']}
    asked = {name.replace('_', '-') for name in fields.values()}
    assert all(listed[name] == 'ready' for name in asked), listed


@pytest.mark.parametrize('fields, word', [({'recognition_model': 'none'}, 'no face-embedding model named'),
                                          ({'model': 'yolo11n-pose'}, 'no face-detection model named'),
                                          ({'recognition_model': 'scrfd-500m'}, 'no face-embedding model named')])
def test_models_of_another_task_are_rejected(family, fields, word):
    response = family.ask('recognize', one(0), **fields)
    assert response.status == 404 and word in response.json()['error'], response


@pytest.mark.parametrize('fault, status', [('error', 500), ('transient', 503), ('lost', 503), ('queue_full', 503)])
def test_a_device_that_fails(make_face, script, fault, status):
    server = make_face(device=script(f'faults: [{{kind: {fault}}}]'))
    for path in ('detect', 'recognize', 'database/add'):
        response = server.ask(path, one(0), name='Ann')
        assert response.status == status, response
        assert isinstance(canonical(response)['error'], str)
    assert server.names() == []
    server.assert_healthy()


def test_empty_gallery_recognises_nobody(make_face):
    server = make_face()
    assert identity(server, one(0)) == 'Unknown'
    assert recognize(server, one(0), candidates=5)[0]['candidates'] == []


def blend(number, count):
    """Returns person `number` with `count` squares inverted: cosine about 1 - count / 8."""
    bits = PATTERNS[number]
    for i in range(count):
        bits ^= 1 << (i * 5 % 16)
    return picture((bits, 200, 120, 140))


def test_threshold(family):
    score = recognize(family, blend(0, 2), threshold=0)[0]['match_score']
    assert 0.6 < score < 0.9
    assert identity(family, blend(0, 2), threshold=score - 0.001) == 'Ann'
    assert identity(family, blend(0, 2), threshold=score + 0.001) == 'Unknown'
    assert identity(family, one(0), threshold=1) == 'Unknown'  # the comparison is strict
    assert identity(family, blend(0, 2), threshold=str(score - 0.001)) == 'Ann'
    assert identity(family, blend(0, 2), threshold=None) == 'Ann'  # uses the setting: 0.5
    form = family.post_form({'image': blend(0, 2), 'threshold': '0.99'}, '/v1/recognize')
    assert form.json()['faces'][0]['identity'] == 'Unknown'


def test_threshold_auto_is_the_model_default(family):
    image = blend(0, 3)
    score = recognize(family, image, threshold=0)[0]['match_score']
    assert 0.5 < score < 0.7  # between the setting and the recommendation of the simulated model
    assert identity(family, image) == 'Ann'
    assert identity(family, image, threshold='auto') == 'Unknown'
    assert identity(family, one(0), threshold='auto') == 'Ann'


@pytest.mark.parametrize('value', [-0.1, 1.1, 'nan', 'inf', 'high', '', [0.5], {}, True])
@pytest.mark.parametrize('field', ['threshold', 'min_margin'])
def test_invalid_thresholds(face, field, value):
    response = face.ask('recognize', one(0), **{field: value})
    assert response.status == 400, response
    assert canonical(response)['error'].startswith(f'{field}: ')


def test_candidates(family):
    found = recognize(family, blend(0, 2), candidates=2)[0]
    assert [each['identity'] for each in found['candidates']][0] == 'Ann'
    assert len(found['candidates']) == 2
    scores = [each['score'] for each in found['candidates']]
    assert scores == sorted(scores, reverse=True) and scores[0] == found['match_score']
    assert len(recognize(family, one(7), candidates=50)[0]['candidates']) == 3
    assert recognize(family, one(7), candidates=1)[0]['identity'] == 'Unknown'
    assert 'candidates' not in recognize(family, one(0), candidates=0)[0]
    assert 'candidates' not in recognize(family, one(0))[0]
    for value in (-1, 1000, 'few', [1]):
        response = family.ask('recognize', one(0), candidates=value)
        assert response.status == 400 and canonical(response)['error'].startswith('candidates: ')


def test_margin(family):
    family.add('Twin', blend(0, 1))
    found = recognize(family, one(0))[0]
    assert found['identity'] == 'Ann'
    assert 0.05 < found['margin'] < 0.3
    assert identity(family, one(0), min_margin=found['margin'] - 0.01) == 'Ann'
    assert identity(family, one(0), min_margin=found['margin'] + 0.01) == 'Unknown'
    assert identity(family, one(2), min_margin=0.5) == 'Cid'


# ---- verify

def test_verify(family):
    response = family.ask('database/verify', one(0), name='Ann')
    assert response.status == 200
    value = canonical(response)
    assert set(value) == {'name', 'verified', 'score', 'threshold', 'bbox'}
    assert value['verified'] is True and value['name'] == 'Ann' and 0.99 < value['score'] <= 1
    assert value['threshold'] == 0.5
    assert family.ask('database/verify', one(0), name='Bob').json()['verified'] is False
    refused(family.ask('database/verify', one(0), name='Eve'), 404, "Identity 'Eve' not found")
    refused(family.ask('database/verify', NO_FACES, name='Ann'), 400, 'No face detected')


# ---- add, list, remove

def test_add(make_face):
    server = make_face()
    value = canonical(server.add('Ann', one(0)))
    assert value['message'] == "Identity 'Ann' added successfully" and value['name'] == 'Ann'
    server.add('Ann', one(0, 20, 20, 200))  # one more embedding of Ann
    form = server.post_form({'name': 'Zoë Ångström', 'image': one(1)}, '/v1/database/add')
    assert form.status == 200 and r'Zo\u00eb' in form.body.decode('ascii')
    both = picture((PATTERNS[2], 20, 20, 200), (PATTERNS[3], 400, 200, 120))
    server.add('Boxed', both, bbox=[400, 200, 120, 120])
    assert identity(server, one(3)) == 'Boxed' and identity(server, one(2)) == 'Unknown'
    value = canonical(server.get('/v1/database/list'))
    assert value['count'] == 3
    assert [(each['name'], each['embedding_count']) for each in value['identities']] == [
        ('Ann', 2), ('Boxed', 1), ('Zoë Ångström', 1)]
    for each in value['identities']:
        assert CREATED.fullmatch(each['created_at'])
        assert set(each) == {'name', 'embedding_count', 'created_at'}


def test_list_is_in_the_order_of_bytes(make_face):
    server = make_face()
    assert canonical(server.get('/v1/database/list')) == {'identities': [], 'count': 0}
    names = ['b', 'B', 'a', 'é', 'Z', '10', '9', '\u00ff', '\u4e2d', '\U0001f600', '!', "O'Brien", '"']
    for number, name in enumerate(names):
        server.add(name, one(number))
    assert server.names() == sorted(names, key=str.encode)
    for number, name in enumerate(names):
        assert identity(server, one(number)) == name


def test_list_page_by_page(family):
    for number in range(3, 8):
        family.add(f'P{number}', one(number))
    pages, cursor = [], ''
    while cursor is not None:
        page = canonical(family.get(f'/v1/database/list?limit=3&cursor={cursor}'))
        assert page['count'] == len(page['identities']) <= 3
        pages.append([each['name'] for each in page['identities']])
        cursor = page.get('next_cursor')
    assert [len(page) for page in pages] in ([3, 3, 2], [3, 3, 2, 0])
    assert sum(pages, []) == family.names()
    for limit in ('0', '-1', 'x', '1.5', ''):
        response = family.get(f'/v1/database/list?limit={limit}')
        assert response.status == 400 and canonical(response)['error'].startswith('limit: ')
    assert canonical(family.get('/v1/database/list?cursor=zzz')) == {'identities': [], 'count': 0}


def test_remove(family):
    value = canonical(family.ask('database/remove', name='Bob'))
    assert value['message'] == "Identity 'Bob' removed successfully" and value['name'] == 'Bob'
    assert value['embeddings_erased'] == 1
    assert family.names() == ['Ann', 'Cid']
    assert identity(family, one(1)) == 'Unknown'
    refused(family.ask('database/remove', name='Bob'), 404, "Identity 'Bob' not found")
    assert family.request('DELETE', '/v1/database/identities/Ann').status == 200
    refused(family.request('DELETE', '/v1/database/identities/Ann'), 404, "Identity 'Ann' not found")
    assert family.get('/v1/database/identities/Cid').json()['embedding_count'] == 1
    refused(family.get('/v1/database/identities/Ann'), 404, "Identity 'Ann' not found")
    family.add('Bob', one(1))
    assert identity(family, one(1)) == 'Bob'


def test_names_are_data(family):
    for name in ("'; DROP TABLE identities; --", '../../etc/passwd', '%s%n', '<b>', 'a\tb'):
        response = family.ask('database/add', one(9), name=name)
        assert response.status in (200, 400)
        if response.status == 200:
            assert response.json()['name'] == name and name in family.names()
            assert family.ask('database/remove', name=name).status == 200
    assert family.names() == ['Ann', 'Bob', 'Cid']
    assert family.ask('database/add', one(9), name='x' * 5000).status == 400
    assert family.names() == ['Ann', 'Bob', 'Cid']


def test_embeddings_per_identity_are_limited(make_face):
    server = make_face({'database.max_embeddings_per_identity': 3})
    for i in range(6):
        server.add('Ann', one(0, 20 + 20 * i, 20, 140 + 10 * i))
    assert server.get('/v1/database/list').json()['identities'][0]['embedding_count'] == 3
    assert identity(server, one(0)) == 'Ann'


# ---- without a gallery

def test_database_disabled(make_face):
    server = make_face({'database.enabled': 'false'})
    assert server.get('/health').json()['database_enabled'] is False
    for path in ('recognize', 'database/add', 'database/remove', 'database/verify'):
        for fields in ({}, {'name': 'Ann'}, {'image': b64(one(0)), 'name': 'Ann'}):
            refused(server.post_json(fields, f'/v1/{path}'), 503, 'Database not enabled')
    for method, path in (('GET', 'list'), ('GET', 'identities/Ann'), ('DELETE', 'identities/Ann')):
        refused(server.request(method, f'/v1/database/{path}'), 503, 'Database not enabled')
    assert server.ask('detect', one(0)).json()['count'] == 1
    assert server.ask('embed', one(0)).status == 200
    assert server.ask('compare', one(0), image2=b64(one(0))).json()['same'] is True


def test_database_disabled_is_reported_before_the_body_is_parsed(make_face):
    server = make_face({'database.enabled': 'false'})
    for method, path in (('POST', 'recognize'), ('POST', 'database/add'), ('POST', 'database/remove'),
                         ('POST', 'database/verify'), ('PUT', 'database/identities/Ann')):
        for content_type, body in (('application/json', b'{"name": '), ('text/plain', b'x'),
                                   ('multipart/form-data', b'no boundary'), ('application/json', b'')):
            refused(server.request(method, f'/v1/{path}', body, {'Content-Type': content_type}), 503,
                    'Database not enabled')
        head = f'{method} /v1/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 40}\r\n\r\n'
        refused(server.raw(head.encode()), 503, 'Database not enabled')


@pytest.fixture(scope='module', name='off')
def a_server_without_a_gallery(tmp_path_factory):
    with FaceServer(tmp_path_factory.mktemp('off'), {'database.enabled': 'false'}) as server:
        yield server


@pytest.mark.parametrize('path', ['recognize', 'database/add', 'database/remove', 'database/verify',
                                  'database/identities/Ann'])
@pytest.mark.parametrize('body, kind', [(b'{"a":', 'application/json'), (b'', 'application/json'), (b'x', 'text/plain'),
                                        (b'--X', 'multipart/form-data; boundary=Y'), (b'x', None)])
def test_disabled_gallery_is_reported_before_the_body_is_sent(off, path, body, kind):
    method = 'PUT' if 'identities' in path else 'POST'
    response = off.request(method, '/v1/' + path, body, {'Content-Type': kind} if kind else {})
    assert response.status == 503 and response.json() == {'error': 'Database not enabled'}, response



# ---- a restart, and the content of the file

def test_a_restart_keeps_the_gallery(family, make_face, tmp_path):
    before = family.get('/v1/database/list').body
    family.stop()
    server = make_face()
    assert server.get('/v1/database/list').body == before
    assert identity(server, one(1)) == 'Bob'
    removed = server.ask('database/remove', name='Bob').json()
    assert removed['older_backups']  # created at the second start
    server.stop()
    assert make_face().names() == ['Ann', 'Cid']
    with sqlite3.connect(tmp_path / 'faces.db') as file:
        assert file.execute('SELECT COUNT(*) FROM embeddings').fetchone() == (2,)
        assert file.execute('SELECT length(embedding) FROM embeddings LIMIT 1').fetchone() == (2048,)
        spaces = file.execute('SELECT DISTINCT space FROM embeddings').fetchall()
    assert spaces == [('sim',)]


# ---- concurrent requests

def test_parallel_detects_get_their_own_answers(face):
    def look(i):
        side = 100 + 10 * (i % 12)
        found = face.ask('detect', one(i % 15, 10 * i, 5 * i, side)).json()['faces']
        assert len(found) == 1
        check_box(found[0]['bbox'], (10 * i, 5 * i, side, side))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(40)))


def test_parallel_adds_are_all_stored(make_face):
    server = make_face()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: server.add(f'P{i:02}', one(i % 15)), range(45)))
        list(pool.map(lambda i: server.add('Crowd', one(i % 15)), range(5)))
    value = server.get('/v1/database/list').json()
    assert [each['name'] for each in value['identities']] == ['Crowd'] + [f'P{i:02}' for i in range(45)]
    assert [each['embedding_count'] for each in value['identities']] == [5] + [1] * 45


def test_parallel_mix_of_everything(make_face):
    """Each client uses a separate name, so it can check the result."""
    server = make_face()

    def live(number):
        chance = random.Random(number)
        name, vectors = f'Client {number}', 0
        for _ in range(25):
            what = chance.choice(['add', 'add', 'remove', 'recognize', 'list'])
            if what == 'add':
                server.add(name, one(number))
                vectors += 1
            elif what == 'remove':
                response = server.ask('database/remove', name=name)
                assert response.status == (200 if vectors else 404), response
                assert not vectors or response.json()['embeddings_erased'] == min(vectors, 10)
                vectors = 0
            elif what == 'recognize':
                assert identity(server, one(number)) == (name if vectors else 'Unknown')
            else:
                assert (name in server.names()) == (vectors > 0)
        return name, min(vectors, 10)

    with ThreadPoolExecutor(10) as pool:
        expected = sorted((name, vectors) for name, vectors in pool.map(live, range(10)) if vectors)
    value = server.get('/v1/database/list').json()
    assert [(each['name'], each['embedding_count']) for each in value['identities']] == expected


def test_recognition_matches_concurrent_renames(make_face):
    """Additions and removals of the same names overlap; listed people are recognised, and removed ones are not."""
    server = make_face({'performance.worker_threads': 16})

    def quarrel(i):
        number = i % 2
        if i // 2 % 2:
            assert server.ask('database/remove', name=f'N{number}').status in (200, 404)
        else:
            server.add(f'N{number}', one(number))

    for _ in range(4):
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(quarrel, range(48)))
        listed = server.names()
        for number in range(2):
            name = f'N{number}'
            assert identity(server, one(number)) == (name if name in listed else 'Unknown')
            assert server.ask('database/remove', name=name).status == (200 if name in listed else 404)
            assert identity(server, one(number)) == 'Unknown'


def test_huge_json_numbers(face):
    for body in (b'{"threshold": 1e400, "image": ""}', b'{"threshold": 123456789012345678901234567890, "image": ""}'):
        response = face.post_json(body, '/v1/recognize')
        assert response.status == 400
        assert isinstance(json.loads(response.body)['error'], str)
