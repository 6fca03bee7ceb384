"""/v1/database over HTTP as far as it needs no picture, and what /health tells of the gallery."""
import json
import os
import sqlite3
import struct
import subprocess
import time

import pytest

from server import BINARY, Server, environment

FACE = os.path.join(os.path.dirname(BINARY), 'hailo-face')
PATIENCE_S = 30
IDENTITIES = '/v1/database/identities/'


def vector(i):
    return struct.pack('<8f', *(0.6 if k == i else 0.8 if k == (i + 3) % 8 else 0.0 for k in range(8)))


def put(folder, people):
    """Identities with two vectors each, as the older service wrote them."""
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


def wait_for(is_so):
    end = time.monotonic() + PATIENCE_S
    while not is_so() and time.monotonic() < end:
        time.sleep(0.05)
    return is_so()


# ---- identities

def test_metadata(server):
    changed = send(server, 'PUT', IDENTITIES + 'Ann', {'metadata': {'team': 7, 'room': 'Ä'}})
    assert changed.status == 200 and changed.json()['metadata'] == {'team': 7, 'room': 'Ä'}, changed
    assert changed.json()['name'] == 'Ann' and changed.json()['embedding_count'] == 2
    form = server.request('PUT', IDENTITIES + 'Ann',
                          b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"x": 1}\r\n--b--\r\n',
                          {'Content-Type': 'multipart/form-data; boundary=b'})
    assert form.json()['metadata'] == {'x': 1}
    assert 'metadata' not in send(server, 'PUT', IDENTITIES + 'Ann', {'metadata': None}).json()
    listed = server.get('/v1/database/list').json()['identities']
    assert [entry['name'] for entry in listed] == ['Ann', 'Bob']


def test_renaming(server):
    assert send(server, 'PUT', IDENTITIES + 'Ann', {'name': 'Zoë/1'}).json()['name'] == 'Zoë/1'
    assert server.get(IDENTITIES + 'Ann').status == 404
    assert server.get(IDENTITIES + 'Zo%C3%AB%2F1').json()['embedding_count'] == 2
    taken = send(server, 'PUT', IDENTITIES + 'Bob', {'name': 'Zoë/1', 'metadata': {'x': 1}})
    assert taken.status == 409 and 'exists already' in taken.json()['error']
    assert 'metadata' not in server.get(IDENTITIES + 'Bob').json(), 'all of it or nothing'


@pytest.mark.parametrize('name, body, status, text', [
    ('Nobody', {'metadata': {}}, 404, "Identity 'Nobody' not found"),
    ('Ann', {}, 400, 'No JSON body'),
    ('Ann', {'other': 1}, 400, 'name or metadata'),
    ('Ann', {'name': ''}, 400, 'name'),
    ('Ann', {'name': 'a\nb'}, 400, 'name'),
    ('Ann', {'name': 7}, 400, 'name'),
    ('Ann', {'metadata': [1]}, 400, 'metadata'),
    ('Ann', {'metadata': '{}'}, 400, 'metadata'),
    ('Ann', {'metadata': {'x': 'y' * 5000}}, 400, 'metadata'),
])
def test_what_is_refused(server, name, body, status, text):
    answer = send(server, 'PUT', IDENTITIES + name, body)
    assert answer.status == status and text in answer.json()['error'], answer


def test_methods(server):
    answer = server.request('PATCH', IDENTITIES + 'Ann')
    assert answer.status == 405 and answer.headers['Allow'] == 'GET, HEAD, PUT, DELETE'
    assert server.request('PUT', IDENTITIES + 'Ann/embeddings/1').status == 405
    assert server.get(IDENTITIES + 'Ann/embeddings/1/2').status == 404


# ---- embeddings

def test_embeddings(server, tmp_path):
    answer = server.get(IDENTITIES + 'Bob/embeddings').json()
    assert answer['count'] == 2 and answer['name'] == 'Bob'
    first, second = (entry['id'] for entry in answer['embeddings'])
    assert 'embedding' not in server.get(f'{IDENTITIES}Bob/embeddings/{first}').json()
    one = server.get(f'{IDENTITIES}Bob/embeddings/{first}?vector=true').json()
    assert struct.pack('<8f', *one['embedding']) == vector(2) and one['name'] == 'Bob' and one['dimension'] == 8
    # That of somebody else, and what is none.
    for path in 'Ann/embeddings/%d' % first, 'Bob/embeddings/x', 'Bob/embeddings/999', 'Eve/embeddings/1':
        assert server.get(IDENTITIES + path).status == 404
        assert server.request('DELETE', IDENTITIES + path).status == 404
    assert server.get(f'{IDENTITIES}Bob/embeddings/{first}?vector=maybe').status == 400
    gone = server.request('DELETE', f'{IDENTITIES}Bob/embeddings/{first}').json()
    assert gone['embeddings_erased'] == 1 and gone['embedding_count'] == 1 and gone['older_backups']
    assert wait_for(lambda: not database(server)['erasure_pending'])
    assert not on_disk(tmp_path, vector(2)) and on_disk(tmp_path, vector(3))
    # The last one leaves an identity without any.
    assert server.request('DELETE', f'{IDENTITIES}Bob/embeddings/{second}').json()['embedding_count'] == 0
    assert server.get(IDENTITIES + 'Bob').json()['embedding_count'] == 0
    assert database(server)['embeddings'] == 2


# ---- removing with the backups

@pytest.mark.parametrize('how', ['delete', 'post', 'embedding'])
def test_purge(server, tmp_path, how):
    assert wait_for(lambda: backups(tmp_path))
    before = backups(tmp_path)
    if how == 'delete':
        answer = server.request('DELETE', IDENTITIES + 'Ann?purge_backups=true')
    elif how == 'post':
        answer = server.post_json({'name': 'Ann', 'purge_backups': True}, '/v1/database/remove')
    else:
        answer = server.request('DELETE', IDENTITIES + 'Ann/embeddings/1?purge_backups=1')
    body = answer.json()
    assert answer.status == 200 and body['older_backups'] == [] and body['erasure_pending'] is False, body
    assert set(before) <= {os.path.basename(path) for path in body['purged_backups']}
    assert backups(tmp_path) == [os.path.basename(body['backup'])], 'never without one'
    assert server.request('DELETE', IDENTITIES + 'Bob?purge_backups=perhaps').status == 400


def test_without_purge_backups_are_named(server, tmp_path):
    assert wait_for(lambda: backups(tmp_path))
    body = server.request('DELETE', IDENTITIES + 'Ann').json()
    assert {os.path.basename(path) for path in body['older_backups']} >= set(backups(tmp_path))
    assert 'purged_backups' not in body


def test_purge_from_the_command_line(tmp_path):
    put(tmp_path, ['Ann', 'Bob'])

    def db(*words):
        options = [part for key, value in settings(tmp_path).items() for part in ('--set', f'{key}={value}')]
        return subprocess.run([FACE, 'db', *words, *options], capture_output=True, text=True, check=True,
                              env=environment(tmp_path), cwd=tmp_path, timeout=60).stdout
    old = db('backup').strip()
    out = db('remove', 'Ann', '--purge-backups')
    assert f'deleted {old}' in out and len(backups(tmp_path)) == 1 and os.path.basename(old) not in backups(tmp_path)


# ---- health, backups

def test_health(make, tmp_path):
    server = make()
    assert wait_for(lambda: server.get('/health/ready').json()['ready'] or
                    server.get('/health/ready').json()['reason'].startswith('model'))
    assert wait_for(lambda: database(server)['last_backup_at'])
    health = database(server)
    assert health['state'] == 'ok' and health['migrated_from'] == 0 and health['erasure_pending'] is False
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
    assert wait_for(lambda: database(server)['state'] == 'ok')


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
    # Failures are told, once each, and it recovers.
    (tmp_path / 'backups').rename(tmp_path / 'elsewhere')
    (tmp_path / 'backups').write_text('in the way')
    send(server, 'PUT', IDENTITIES + 'Ann', {'metadata': {'x': 2}})
    assert wait_for(lambda: database(server)['state'] == 'degraded')
    assert 'backups' in database(server)['last_backup_error']
    (tmp_path / 'backups').unlink()
    assert wait_for(lambda: database(server)['state'] == 'ok')
    assert len(backups(tmp_path)) == 1 and 'last_backup_error' not in database(server)


def test_settings_are_checked(tmp_path):
    for setting in 'database.enrolment=maybe', 'database.backup_interval=-3':
        done = subprocess.run([FACE, 'serve', '--set', setting], capture_output=True, text=True, check=False,
                              env=environment(tmp_path), cwd=tmp_path, timeout=60)
        assert done.returncode != 0 and setting.split('=')[0] in done.stderr, done
