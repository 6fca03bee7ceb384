"""/v1/database over HTTP, and the gallery in /health. The faces are the simulated device's."""
import base64
import json
import os
import sqlite3
import struct
import subprocess
import threading
import time

import pytest

from faces import NO_FACES, PATTERNS, FaceServer, one, picture
from server import BINARY, Server, environment, wait_for

FACE = os.path.join(os.path.dirname(BINARY), 'hailo-face')
IDENTITIES = '/v1/database/identities/'


def vector(i):
    return struct.pack('<8f', *(0.6 if k == i else 0.8 if k == (i + 3) % 8 else 0.0 for k in range(8)))


def put(folder, people):
    """Writes identities with two embeddings each, in the format of the predecessor service."""
    with sqlite3.connect(folder / 'faces.db') as file:
        file.executescript('''CREATE TABLE identities (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL,
            created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
            CREATE TABLE embeddings (id INTEGER PRIMARY KEY AUTOINCREMENT, identity_id INTEGER NOT NULL,
            embedding BLOB NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
            FOREIGN KEY (identity_id) REFERENCES identities(id) ON DELETE CASCADE);''')
        for i, name in enumerate(people):
            file.execute('INSERT INTO identities (name) VALUES (?)', (name,))
            for k in range(2):
                file.execute('INSERT INTO embeddings (identity_id, embedding) VALUES (?, ?)', (i + 1, vector(2 * i + k)))
    file.close()


def settings(folder, **more):
    return {'database.db_file': folder / 'faces.db', 'database.backup_path': folder / 'backups', **more}


@pytest.fixture
def make(tmp_path):
    servers = []

    def start(people=('Ann', 'Bob'), **more):
        if people:
            put(tmp_path, people)
        servers.append(Server(tmp_path, settings=settings(tmp_path, **more), program=[FACE, 'serve']))
        return servers[-1]
    yield start
    for server in servers:
        if not server.process.stdout.closed:
            server.stop()


@pytest.fixture
def server(make):
    return make()


def send(server, method, path, value=None):
    body = None if value is None else json.dumps(value).encode()
    return server.request(method, path, body, {'Content-Type': 'application/json'} if body else {})


def on_disk(folder, data, everywhere=False):
    return [path.name for path in folder.rglob('*') if path.is_file() and (everywhere or path.suffix != '.gz')
            and data in path.read_bytes()]


def backups(folder):
    return sorted(path.name for path in (folder / 'backups').glob('faces-*.db.gz'))


def database(server):
    return server.get('/health').json()['database']


# ---- identities

def test_metadata(server):
    changed = send(server, 'PUT', IDENTITIES + 'Ann', {'metadata': {'team': 7, 'room': 'Ä'}})
    assert changed.status == 200 and changed.json()['metadata'] == {'team': 7, 'room': 'Ä'}, changed
    assert changed.json()['name'] == 'Ann' and changed.json()['embedding_count'] == 2
    form = server.request('PUT', IDENTITIES + 'Ann',
                          b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"x": 1}\r\n--b--\r\n',
                          {'Content-Type': 'multipart/form-data; boundary=b'})
    assert form.json()['metadata'] == {'x': 1}
    deep = json.loads('{"a":' * 32 + '1' + '}' * 32)
    assert send(server, 'PUT', IDENTITIES + 'Ann', {'metadata': deep}).json()['metadata'] == deep
    assert send(server, 'PUT', IDENTITIES + 'Ann', {'metadata': {'a': deep}}).status == 400
    assert 'metadata' not in send(server, 'PUT', IDENTITIES + 'Ann', {'metadata': None}).json()
    listed = server.get('/v1/database/list').json()['identities']
    assert [entry['name'] for entry in listed] == ['Ann', 'Bob']


def test_renaming(server):
    assert send(server, 'PUT', IDENTITIES + 'Ann', {'name': 'Zoë/1'}).json()['name'] == 'Zoë/1'
    assert server.get(IDENTITIES + 'Ann').status == 404
    assert server.get(IDENTITIES + 'Zo%C3%AB%2F1').json()['embedding_count'] == 2
    taken = send(server, 'PUT', IDENTITIES + 'Bob', {'name': 'Zoë/1', 'metadata': {'x': 1}})
    assert taken.status == 409 and 'already exists' in taken.json()['error']
    assert 'metadata' not in server.get(IDENTITIES + 'Bob').json(), 'all of it or nothing'


@pytest.mark.parametrize('name, body, status, text', [
    ('Nobody', {'metadata': {}}, 404, "Identity 'Nobody' not found"),
    ('Ann', {}, 400, 'No JSON body'),
    ('Ann', {'other': 1}, 400, 'name, metadata or expires_at'),
    ('Ann', {'name': ''}, 400, 'name'),
    ('Ann', {'name': 'a\nb'}, 400, 'name'),
    ('Ann', {'name': 7}, 400, 'name'),
    ('Ann', {'metadata': [1]}, 400, 'metadata'),
    ('Ann', {'metadata': '{}'}, 400, 'metadata'),
    ('Ann', {'metadata': {'x': 'y' * 5000}}, 400, 'metadata'),
])
def test_invalid_changes_are_rejected(server, name, body, status, text):
    response = send(server, 'PUT', IDENTITIES + name, body)
    assert response.status == status and text in response.json()['error'], response


def test_deep_metadata(server, tmp_path):
    """Metadata too deep for a response is refused on every route; metadata stored by an older version does not break
    lists."""
    deep = '{"a":' * 80 + '1' + '}' * 80
    for body, kind in ((json.dumps({'metadata': json.loads(deep)}).encode(), 'application/json'),
                       (f'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{deep}\r\n--b--\r\n'.encode(),
                        'multipart/form-data; boundary=b')):
        refused = server.request('PUT', IDENTITIES + 'Ann', body, {'Content-Type': kind})
        assert refused.status == 400 and 'nested' in refused.json()['error'], refused
    with sqlite3.connect(tmp_path / 'faces.db') as file:
        file.execute('UPDATE identities SET metadata = ?', (deep,))
    file.close()
    listed = server.get('/v1/database/list')
    assert listed.status == 200 and [entry['name'] for entry in listed.json()['identities']] == ['Ann', 'Bob']
    assert server.get(IDENTITIES + 'Ann').status == 200


def test_a_change_that_failed(server, tmp_path):
    """Another process locks the file: 503 without SQL in the message, and nothing is changed."""
    other = sqlite3.connect(tmp_path / 'faces.db', isolation_level=None)
    other.execute('BEGIN IMMEDIATE')
    refused = server.request('DELETE', IDENTITIES + 'Ann')
    assert refused.status == 503 and 'busy' in refused.json()['error'], refused
    assert not any(word in refused.json()['error'] for word in ('BEGIN', 'SELECT', 'database is locked')), refused
    assert server.get(IDENTITIES + 'Ann').status == 200, 'reading does not wait'
    other.execute('ROLLBACK')
    other.close()
    assert server.get(IDENTITIES + 'Ann').json()['embedding_count'] == 2


@pytest.mark.parametrize('replaced', [False, True])
def test_deleted_or_replaced_file(make, tmp_path, replaced):
    server = make()
    assert wait_for(lambda: server.get('/health/ready').status == 200), 'the gallery was read'
    for name in ('faces.db', 'faces.db-wal', 'faces.db-shm'):
        (tmp_path / name).rename(tmp_path / f'old-{name}')
    if replaced:
        put(tmp_path, ('Eve',))
    assert database(server)['state'] == 'degraded', 'an older service made the vectors'
    refused = send(server, 'PUT', IDENTITIES + 'Ann', {'name': 'Zoe'})
    assert refused.status == 500 and 'deleted or replaced' in refused.json()['error'], refused
    health = database(server)
    assert health['state'] == 'failed' and 'deleted or replaced' in health['error'], health
    ready = server.get('/health/ready')
    assert ready.status == 503 and ready.json()['reason'] == 'gallery_failed', ready
    assert wait_for(lambda: 'deleted or replaced' in server.log)


def test_methods(server):
    response = server.request('PATCH', IDENTITIES + 'Ann')
    assert response.status == 405 and response.headers['Allow'] == 'GET, HEAD, PUT, DELETE, OPTIONS'
    assert server.request('PUT', IDENTITIES + 'Ann/embeddings/1').status == 405
    assert server.get(IDENTITIES + 'Ann/embeddings/1/2').status == 404


# ---- embeddings

def test_embeddings(server, tmp_path):
    response = server.get(IDENTITIES + 'Bob/embeddings').json()
    assert response['count'] == 2 and response['name'] == 'Bob'
    first, second = (entry['id'] for entry in response['embeddings'])
    assert 'embedding' not in server.get(f'{IDENTITIES}Bob/embeddings/{first}').json()
    one = server.get(f'{IDENTITIES}Bob/embeddings/{first}?vector=true').json()
    assert struct.pack('<8f', *one['embedding']) == vector(2) and one['name'] == 'Bob' and one['dimension'] == 8
    # An embedding of another identity, and invalid ids.
    for path in 'Ann/embeddings/%d' % first, 'Bob/embeddings/x', 'Bob/embeddings/999', 'Eve/embeddings/1':
        assert server.get(IDENTITIES + path).status == 404
        assert server.request('DELETE', IDENTITIES + path).status == 404
    assert server.get(f'{IDENTITIES}Bob/embeddings/{first}?vector=maybe').status == 400
    gone = server.request('DELETE', f'{IDENTITIES}Bob/embeddings/{first}').json()
    assert gone['embeddings_erased'] == 1 and gone['embedding_count'] == 1 and gone['older_backups']
    assert wait_for(lambda: not database(server)['erasure_pending'])
    # A removal does not wait for a backup in progress: older_backups names it.
    assert wait_for(lambda: not list((tmp_path / 'backups').glob('.faces-*')))
    assert not on_disk(tmp_path, vector(2)) and on_disk(tmp_path, vector(3))
    # Removing the last embedding leaves an identity without embeddings.
    assert server.request('DELETE', f'{IDENTITIES}Bob/embeddings/{second}').json()['embedding_count'] == 0
    assert server.get(IDENTITIES + 'Bob').json()['embedding_count'] == 0
    assert database(server)['embeddings'] == 2


# ---- removal including backups

@pytest.mark.parametrize('how', ['delete', 'post', 'embedding', 'query and JSON', 'query and form'])
def test_purge(server, tmp_path, how):
    assert wait_for(lambda: backups(tmp_path))
    before = backups(tmp_path)
    if how == 'delete':
        response = server.request('DELETE', IDENTITIES + 'Ann?purge_backups=true')
    elif how == 'post':
        response = server.post_json({'name': 'Ann', 'purge_backups': True}, '/v1/database/remove')
    elif how == 'embedding':
        response = server.request('DELETE', IDENTITIES + 'Ann/embeddings/1?purge_backups=1')
    else:
        send = server.post_json if how.endswith('JSON') else server.post_form
        assert send({'name': 'Ann'}, '/v1/database/remove?purge_backups=perhaps').status == 400
        response = send({'name': 'Ann'}, '/v1/database/remove?purge_backups=true')
        assert 'warnings' not in response.json()
    body = response.json()
    assert response.status == 200 and body['older_backups'] == [] and body['erasure_pending'] is False, body
    assert set(before) <= {os.path.basename(path) for path in body['purged_backups']}
    assert backups(tmp_path) == [os.path.basename(body['backup'])], 'never without one'
    assert server.request('DELETE', IDENTITIES + 'Bob?purge_backups=perhaps').status == 400


def test_without_purge_backups_are_named(server, tmp_path):
    assert wait_for(lambda: len(backups(tmp_path)) == 2), 'of the migration and of the start'
    body = server.request('DELETE', IDENTITIES + 'Ann').json()
    assert {os.path.basename(path) for path in body['older_backups']} == set(backups(tmp_path))
    assert 'purged_backups' not in body


def test_purge_from_the_command_line(tmp_path):
    put(tmp_path, ['Ann', 'Bob'])

    def db(*words):
        options = [part for key, value in settings(tmp_path).items() for part in ('--set', f'{key}={value}')]
        return subprocess.run([FACE, 'db', *words, *options], capture_output=True, text=True, check=True,
                              env=environment(tmp_path), cwd=tmp_path, timeout=60).stdout
    old = db('backup').strip()
    out = db('remove', 'Ann', '--purge-backups')
    assert f'Deleted {old}' in out and len(backups(tmp_path)) == 1 and os.path.basename(old) not in backups(tmp_path)


# ---- health, backups

def test_health(make, tmp_path):
    server = make()
    assert wait_for(lambda: server.get('/health/ready').json()['ready'])
    assert wait_for(lambda: database(server)['last_backup_at'])
    health = database(server)
    assert health['state'] == 'degraded' and health['migrated_from'] == 0 and health['erasure_pending'] is False
    assert health['unusable'] == {'embeddings': 4, 'identities': 2, 'other_size': 4}, health
    assert health['identities'] == 2 and health['embeddings'] == 4
    server.stop()
    (tmp_path / 'faces.db').write_bytes(b'this was a gallery once, and is none any more' * 9)
    server = make(people=())
    assert wait_for(lambda: database(server)['state'] != 'loading')
    health = database(server)
    assert health['state'] == 'restored' and health['set_aside'].startswith('faces.db.corrupt-'), health
    assert health['restored_from'] in backups(tmp_path) and health['identities'] == 2
    server.stop()
    server = make(people=())
    assert wait_for(lambda: database(server)['state'] == 'degraded')
    for name in ('Ann', 'Bob'):
        assert server.request('DELETE', IDENTITIES + name).status == 200
    assert wait_for(lambda: database(server)['state'] == 'ok'), 'nobody is left who cannot match'
    assert 'unusable' not in database(server)


def test_without_a_gallery(make):
    server = make(people=(), **{'database.enabled': 'false'})
    assert 'database' not in server.get('/health').json()
    assert send(server, 'PUT', IDENTITIES + 'Ann', {'metadata': {}}).status == 503
    assert server.get(IDENTITIES + 'Ann/embeddings/1').status == 503


def test_scheduled_backups(make, tmp_path):
    server = make(**{'database.backup_interval': '200ms'})
    assert wait_for(lambda: database(server)['last_backup_at'])
    time.sleep(1)
    before = backups(tmp_path)
    assert len(before) <= 2, 'at the migration and at the start; nothing changed since'
    assert send(server, 'PUT', IDENTITIES + 'Ann', {'metadata': {'x': 1}}).status == 200
    assert wait_for(lambda: len(backups(tmp_path)) == len(before) + 1)
    # Failures are reported once each, and the service recovers.
    (tmp_path / 'backups').rename(tmp_path / 'elsewhere')
    (tmp_path / 'backups').write_text('in the way')
    send(server, 'PUT', IDENTITIES + 'Ann', {'metadata': {'x': 2}})
    assert wait_for(lambda: 'last_backup_error' in database(server))
    assert database(server)['state'] == 'degraded' and 'backups' in database(server)['last_backup_error']
    (tmp_path / 'backups').unlink()
    assert wait_for(lambda: 'last_backup_error' not in database(server))
    assert len(backups(tmp_path)) == 1


def test_settings_are_checked(tmp_path):
    for setting in 'database.enrolment=maybe', 'database.backup_interval=-3':
        done = subprocess.run([FACE, 'serve', '--host', '127.0.0.1', '--set', setting], capture_output=True, text=True, check=False,
                              env=environment(tmp_path), cwd=tmp_path, timeout=60)
        assert done.returncode != 0 and setting.split('=')[0] in done.stderr, done


# ---- enrolment

@pytest.fixture(name='faces')
def face_server(tmp_path):
    with FaceServer(tmp_path) as server:
        yield server


def codes(response):
    assert response.status == 422, response
    body = response.json()
    assert all(reason['code'] in body['error'] for reason in body['reasons']), body
    return [reason['code'] for reason in body['reasons']]


def count(server):
    return sum(entry['embedding_count'] for entry in server.get('/v1/database/list').json()['identities'])


def add(server, name, image, **fields):
    return server.ask('database/add', image, name=name, **fields)


def test_gate(faces):
    two = picture((PATTERNS[0], 60, 100, 140), (PATTERNS[1], 360, 100, 140))
    assert add(faces, 'p', two).status == 200, 'off by default: the best one'
    faces.request('DELETE', IDENTITIES + 'p')
    assert codes(add(faces, 'p', two, gate='standard')) == ['multiple_faces']
    assert codes(add(faces, 'p', NO_FACES, gate='standard')) == ['no_face']
    small = add(faces, 'p', one(0, side=42), gate='standard')
    assert 'face_too_small' in codes(small)
    reason = next(r for r in small.json()['reasons'] if r['code'] == 'face_too_small')
    assert reason['limit'] == 50 and reason['value'] < 50 and reason['measure'] == 'size'
    assert add(faces, 'p', one(0), gate='standard').status == 200
    assert codes(add(faces, 'p', one(0), gate='standard')) == ['duplicate']
    conflict = add(faces, 'q', one(0, left=60), gate='standard')
    assert codes(conflict) == ['identity_conflict'] and conflict.json()['reasons'][0]['identity'] == 'p'
    assert add(faces, 'q', one(1), gate='standard').status == 200
    assert add(faces, 'q', one(1), gate='loose').status == 400
    assert add(faces, 'p', two, gate='standard', bbox=[60, 100, 140, 140], dry_run=True).json()['would_add'] is False
    assert count(faces) == 2


def test_dry_run(faces):
    tried = add(faces, 'p', one(0), gate='strict', dry_run=True)
    body = tried.json()
    assert tried.status == 200 and body['dry_run'] is True and body['identity_exists'] is False, tried
    assert set(body) >= {'bbox', 'confidence', 'quality', 'reasons', 'would_add', 'gate', 'embedding_count'}
    assert count(faces) == 0
    form = faces.post_form({'image': ('a.png', one(0), 'image/png'), 'name': 'p', 'gate': 'standard',
                            'dry_run': 'true', 'metadata': '{"x": 1}'}, '/v1/database/add')
    assert form.json()['would_add'] is True and form.json()['gate'] == 'standard'
    assert add(faces, 'p', NO_FACES, dry_run=True).json()['error'] == 'No face detected'
    assert add(faces, 'p', one(0), dry_run='perhaps').status == 400


def test_metadata_with_a_picture(faces):
    assert add(faces, 'p', one(0), metadata={'team': 7}).json()['identity_created'] is True
    assert faces.get(IDENTITIES + 'p').json()['metadata'] == {'team': 7}
    form = faces.post_form({'image': ('a.png', one(1), 'image/png'), 'name': 'p', 'metadata': '{"team": 8}'},
                           '/v1/database/add')
    assert form.status == 200 and form.json()['identity_created'] is False
    known = faces.get(IDENTITIES + 'p').json()
    assert known['metadata'] == {'team': 8} and len(known['embeddings'][0]['source_sha256']) == 64
    for bad in [1], 'text', 7, {'x': 'y' * 5000}:
        response = add(faces, 'p', one(2), metadata=bad)
        assert response.status == 400 and 'metadata' in response.json()['error'], response
    assert count(faces) == 2


def test_names_and_vectors_in_the_index(faces):
    added = add(faces, 'p', one(0)).json()
    assert send(faces, 'PUT', IDENTITIES + 'p', {'name': 'q'}).status == 200
    assert faces.ask('recognize', one(0)).json()['faces'][0]['identity'] == 'q'
    assert faces.request('DELETE', f"{IDENTITIES}q/embeddings/{added['embedding_id']}").status == 200
    assert faces.ask('recognize', one(0)).json()['faces'][0]['identity'] == 'Unknown'


def once(server, key, name, image, **fields):
    return server.post_json({'name': name, 'image': base64.b64encode(image).decode(), **fields}, '/v1/database/add',
                            headers={'Idempotency-Key': key})


def test_idempotency_key(tmp_path):
    with FaceServer(tmp_path) as server:
        first = once(server, 'k1', 'p', one(0))
        assert first.status == 200 and 'Idempotency-Replayed' not in first.headers
        again = once(server, 'k1', 'p', one(0))
        kept = {key: value for key, value in first.json().items() if key not in ('face', 'warnings')}
        assert again.json() == kept and again.headers['Idempotency-Replayed'] == 'true'
        for other in once(server, 'k1', 'q', one(0)), once(server, 'k1', 'p', one(1)), \
                once(server, 'k1', 'p', one(0), metadata={}):
            assert other.status == 422 and 'Idempotency-Key' in other.json()['error'], other
        assert once(server, 'k2', 'p', one(1)).status == 200 and count(server) == 2
        assert once(server, 'x' * 256, 'p', one(0)).status == 400
        # A refused picture stores nothing, and can be sent again.
        assert once(server, 'k3', 'q', NO_FACES, gate='standard').status == 422
        assert once(server, 'k3', 'q', one(2), gate='standard').status == 200
    with FaceServer(tmp_path) as server:
        assert once(server, 'k1', 'p', one(0)).headers['Idempotency-Replayed'] == 'true'
        server.request('DELETE', IDENTITIES + 'p')
        assert 'Idempotency-Replayed' not in once(server, 'k1', 'p', one(0)).headers


def test_idempotency_key_of_concurrent_requests(faces):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(once(faces, 'k', 'p', one(0)))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {response.status for response in answers} <= {200, 409}
    fresh = [response for response in answers if response.status == 200 and 'Idempotency-Replayed' not in response.headers]
    assert len(fresh) == 1 and count(faces) == 1


def test_idempotency_key_in_use(tmp_path, script):
    with FaceServer(tmp_path, device=script('latency_ms: 1500')) as server:
        first = []
        thread = threading.Thread(target=lambda: first.append(once(server, 'k', 'p', one(0))))
        thread.start()
        server.wait_for_requests(1)
        second = once(server, 'k', 'p', one(0))
        thread.join()
        assert first[0].status == 200 and second.status == 409 and 'Idempotency-Key' in second.json()['error']
        assert once(server, 'k', 'p', one(0)).headers['Idempotency-Replayed'] == 'true'


def test_unknown_names(faces):
    person = '/v1/database/identities/Nobody%20of%20that%20name'
    for method, path in (('GET', ''), ('DELETE', ''), ('GET', '/embeddings'), ('GET', '/embeddings/1'),
                         ('GET', '/embeddings/1?vector=true'), ('DELETE', '/embeddings/1')):
        response = faces.request(method, person + path)
        assert response.status == 404 and "'Nobody of that name' not found" in response.json()['error'], (method, path)
    put = faces.request('PUT', person, b'{"metadata": {}}', {'Content-Type': 'application/json'})
    assert put.status == 404 and "'Nobody of that name' not found" in put.json()['error']
    assert faces.get('/health').status == 200
