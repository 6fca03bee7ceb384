"""The audit log, retention, forgetting and the export, with the service running and from the command line."""
import contextlib
import hashlib
import json
import os
import random
import signal
import sqlite3
import struct
import subprocess
import threading
import time

import pytest

from faces import FaceServer, one
from server import FACE, environment, wait_for

DAY_S = 86400


def run(folder, *arguments, settings=()):
    more = [word for pair in settings for word in ('--set', pair)]
    return subprocess.run([FACE, 'db', *arguments, *more], capture_output=True, text=True, check=False,
                          env=environment(folder), cwd=folder, timeout=60)


def good(done):
    assert done.returncode == 0, done
    return done.stdout


def entries(folder):
    return [json.loads(line) for line in good(run(folder, 'audit', 'show', '--json')).splitlines()]


def verified(folder):
    return json.loads(good(run(folder, 'audit', 'verify', '--json')))


@contextlib.contextmanager
def serve(folder, **settings):
    server = FaceServer(folder, settings)
    try:
        yield server
    finally:
        server.stop()


def put(folder, people, vector=None):
    """Writes identities with one embedding each, in the format of the predecessor service."""
    with sqlite3.connect(folder / 'faces.db') as file:
        file.executescript('''CREATE TABLE identities (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL,
            created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
            CREATE TABLE embeddings (id INTEGER PRIMARY KEY AUTOINCREMENT, identity_id INTEGER NOT NULL,
            embedding BLOB NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
            FOREIGN KEY (identity_id) REFERENCES identities(id) ON DELETE CASCADE);''')
        for i, name in enumerate(people):
            values = vector or [random.gauss(0, 1) for _ in range(512)]
            length = sum(x * x for x in values) ** .5
            file.execute('INSERT INTO identities (name) VALUES (?)', (name,))
            file.execute('INSERT INTO embeddings (identity_id, embedding) VALUES (?, ?)',
                         (i + 1, struct.pack(f'<{len(values)}f', *(x / length for x in values))))
    file.close()


def sql(folder, statement):
    with sqlite3.connect(folder / 'faces.db') as file:
        rows = file.execute(statement).fetchall()
    file.close()
    return rows


def test_every_change(tmp_path):
    """HTTP and command line write one chain, which another program can verify."""
    with serve(tmp_path) as server:
        server.add('Ann', one(0))
        response = server.add('Ann', one(1, left=180), metadata={'team': 1})
        server.add('Bob', one(2))
        server.request('PUT', '/v1/database/identities/Bob', json.dumps({'name': 'Rob'}),
                       {'Content-Type': 'application/json', 'X-Request-Id': 'my-request'})
        good(run(tmp_path, 'rename', 'Rob', 'Robert'))
        kept = good(run(tmp_path, 'backup')).strip()
        server.request('DELETE', '/v1/database/identities/Robert?purge_backups=false')
        good(run(tmp_path, 'export', 'all.jsonl'))
        good(run(tmp_path, 'restore', kept))
        assert server.ask('database/remove', name='Ann').status == 200
        good(run(tmp_path, 'import', 'all.jsonl'))
        good(run(tmp_path, 'merge', 'Robert', 'Ann'))
        assert server.post_json({'name': 'nobody'}, '/v1/database/remove').status == 404
        assert verified(tmp_path)['ok']
        log = entries(tmp_path)
        good(run(tmp_path, 'audit', 'export', 'log.jsonl'))
        service_log = server.log
    assert [entry['action'] for entry in log] == ['add_identity', 'add', 'add_identity', 'rename', 'rename', 'remove',
                                                  'export', 'restore', 'remove', 'import', 'merge']
    assert [entry['seq'] for entry in log] == list(range(1, len(log) + 1))
    actors = [entry['actor'] for entry in log]
    assert set(actors) == {'service', f'cli:{os.getuid()}'} and actors[3] == 'service' and actors[4] != 'service'
    assert log[3]['request_id'] == 'my-request' and log[3]['client'] == '127.0.0.1' and log[3]['identity'] == 2
    assert log[1]['request_id'] == response.headers['X-Request-Id'] and log[1]['embedding'] == 2
    text = json.dumps(log)
    assert not any(name in text for name in ('Ann', 'Bob', 'Rob')), text
    check_exported(tmp_path / 'log.jsonl', log)
    # The service's own log is a witness of the heads.
    assert f'audit_seq=4 audit_hash={log[3]["hash"]}' in service_log, service_log


def check_exported(path, log):
    """Verifies the chain of an exported log without our program."""
    assert path.stat().st_mode & 0o777 == 0o600
    head, *lines = path.read_text().splitlines()
    head = json.loads(head)
    assert head['format'] == 'hailo-services-audit-log' and len(lines) == len(log)
    before = hashlib.blake2b(b'hailo-services audit log 1:' + head['gallery'].encode(), digest_size=32).digest()
    for line in lines:
        entry, found, _ = line.rpartition(',"hash":"')
        assert found
        before = hashlib.blake2b(before + entry.encode() + b'}', digest_size=32).digest()
        assert json.loads(line)['hash'] == before.hex()


def test_filters(tmp_path):
    put(tmp_path, ['Ann', 'Bob'])
    good(run(tmp_path, 'rename', 'Ann', 'Eve'))
    good(run(tmp_path, 'remove', 'Bob'))
    shown = good(run(tmp_path, 'audit', 'show')).splitlines()
    assert shown[0].split() == ['SEQ', 'TIME', 'ACTION', 'ACTOR', 'DETAILS'] and len(shown) == 4
    only = good(run(tmp_path, 'audit', 'show', '--action', 'remove')).splitlines()
    assert len(only) == 2 and 'identity=2 embeddings=1' in only[1]
    assert len(good(run(tmp_path, 'audit', 'show', '--since', '2020-01-01', '--until', '2099-12-31')).splitlines()) == 4
    assert good(run(tmp_path, 'audit', 'show', '--until', '2020-01-01')) == ''
    assert good(run(tmp_path, 'audit', 'show', '--since', '2099-01-01T00:00:00Z')) == ''
    for words, error in ((('show', '--since', 'monday'), '--since: must be a date'), (('dance',), "not 'dance'"),
                         (('verify', '--action', 'x'), 'verify has no'), (('show', 'file'), "unexpected argument 'file'")):
        refused = run(tmp_path, 'audit', *words)
        assert refused.returncode == 2 and error in refused.stderr, refused


def test_falsified_log(tmp_path):
    """A changed entry and a removed tail are found; verifying from a later time on passes."""
    put(tmp_path, ['Ann', 'Bob', 'Cid'])
    for names in (('Ann', 'A1'), ('Bob', 'B1'), ('Cid', 'C1')):
        good(run(tmp_path, 'rename', *names))
    assert verified(tmp_path)['entries'] == 4
    sql(tmp_path, "UPDATE audit_log SET entry = replace(entry, 'rename', 'remove') WHERE seq = 3")
    broken = run(tmp_path, 'audit', 'verify')
    assert broken.returncode == 1 and 'broken at entry 3: the entry was changed' in broken.stderr, broken
    report = json.loads(run(tmp_path, 'audit', 'verify', '--json').stdout)
    assert not report['ok'] and report['broken'] == 3 and report['entries'] == 2
    sql(tmp_path, "UPDATE audit_log SET entry = replace(entry, 'remove', 'rename') WHERE seq = 3")
    assert verified(tmp_path)['entries'] == 4
    sql(tmp_path, 'DELETE FROM audit_log WHERE seq = 4')
    cut = run(tmp_path, 'audit', 'verify')
    assert cut.returncode == 1 and 'entry 5 records that the entries 4 to 4 were missing' in cut.stderr, cut
    assert entries(tmp_path)[-1]['action'] == 'gap'


def test_log_off(tmp_path):
    put(tmp_path, ['Ann'])
    off = ('database.audit=off',)
    good(run(tmp_path, 'rename', 'Ann', 'Bob', settings=off))
    assert good(run(tmp_path, 'audit', 'show', settings=off)) == ''
    good(run(tmp_path, 'rename', 'Bob', 'Cid'))
    good(run(tmp_path, 'rename', 'Cid', 'Dan', settings=off))
    good(run(tmp_path, 'rename', 'Dan', 'Eve'))
    report = verified(tmp_path)
    assert report['ok'] and report['entries'] == 2 and report['unlogged_changes'] == 1


def test_killed(tmp_path):
    """After kill -9 each acknowledged change has its entry, and each entry its change."""
    acknowledged = 0
    for round_ in range(3):
        server = FaceServer(tmp_path)
        done = []

        def work(server=server, done=done, first=round_ * 1000):
            with contextlib.suppress(OSError):
                for i in range(first, first + 200):
                    if server.ask('database/add', one(0), name=f'n{i}').status == 200:
                        done.append(i)
        thread = threading.Thread(target=work)
        thread.start()
        wait_for(lambda done=done: len(done) > 5)
        time.sleep(0.013 * round_)
        server.process.send_signal(signal.SIGKILL)
        thread.join()
        server.process.wait()
        acknowledged += len(done)
        report = verified(tmp_path)
        count = sql(tmp_path, 'SELECT count(*) FROM identities')[0][0]
        assert report['ok'] and report['unlogged_changes'] == 0 and report['entries'] == count, report
        assert acknowledged <= count <= acknowledged + round_ + 1


def keys(folder, *arguments):
    return subprocess.run([FACE, 'keys', *arguments, '--set', f'auth.keys_file={folder}/keys.json'], capture_output=True,
                          text=True, check=False, env=environment(folder), cwd=folder, timeout=60)


def test_keys(tmp_path):
    """Changes of keys, changes by their clients, and refused keys are in the log; no secret is."""
    assert keys(tmp_path, 'add', '--name', 'early', '--scopes', 'all').returncode == 0  # there is no gallery yet
    put(tmp_path, ['Ann'])
    secret = good(keys(tmp_path, 'add', '--name', 'camera', '--scopes', 'all')).strip()
    listed = json.loads(good(keys(tmp_path, 'list', '--json')))['keys']
    ident = next(key['id'] for key in listed if key['name'] == 'camera')
    with serve(tmp_path, **{'auth.keys_file': tmp_path / 'keys.json'}) as server:
        removed = server.request('DELETE', '/v1/database/identities/Ann', headers={'Authorization': f'Bearer {secret}'})
        assert removed.status == 200, removed
        for _ in range(3):
            assert server.request('GET', '/v1/database/list', headers={'X-API-Key': secret[:-1] + '~'}).status == 401
        wait_for(lambda: any(entry['action'] == 'key_refused' for entry in entries(tmp_path)))
        assert server.request('GET', '/v1/database/list', headers={'X-API-Key': 'x'}).status == 401
    good(keys(tmp_path, 'rotate', ident))
    good(keys(tmp_path, 'revoke', ident))
    log = entries(tmp_path)
    assert [entry['action'] for entry in log if entry['action'] != 'key_refused'] == [
        'migrate', 'key_added', 'remove', 'key_rotated', 'key_revoked']
    assert {entry['key'] for entry in log if 'key' in entry} == {ident}
    assert [entry['actor'] for entry in log if entry['action'] == 'remove'] == [f'key:{ident}']
    assert sum(entry['count'] for entry in log if entry['action'] == 'key_refused') == 4
    assert secret not in json.dumps(log) and verified(tmp_path)['ok']


# ---- retention

def write_clock(folder, seen_s):
    """The service was last seen running evenly at that time."""
    (folder / 'faces.db.clock').write_text(f'{int(seen_s)} {int(seen_s)} 0\n')


def test_retain(tmp_path):
    put(tmp_path, ['Ann'])

    def expires():
        return json.loads(good(run(tmp_path, 'show', 'Ann', '--json'))).get('expires_at')
    assert expires() is None
    assert 'Ann is kept until 2' in good(run(tmp_path, 'retain', 'Ann', '--days', '30'))
    due = time.mktime(time.strptime(expires(), '%Y-%m-%d %H:%M:%S')) - time.timezone
    assert abs(due - time.time() - 30 * DAY_S) < 3700
    good(run(tmp_path, 'retain', 'Ann', '--until', '2099-12-31T12:00:00Z'))
    assert expires() == '2099-12-31 12:00:00'
    good(run(tmp_path, 'retain', 'Ann', '--forever'))
    assert expires() == 'never'
    good(run(tmp_path, 'retain', 'Ann', '--default'))
    assert expires() is None
    for words in ((), ('--days', '0'), ('--days', '3', '--forever'), ('--until', '2001-01-01'), ('--until', 'soon')):
        assert run(tmp_path, 'retain', 'Ann', *words).returncode == 2, words
    assert run(tmp_path, 'retain', 'Bob', '--forever').returncode == 1


def test_expiry_over_http(tmp_path):
    with serve(tmp_path) as server:
        server.add('Ann', one(0), expires_at='2099-01-01')
        path = '/v1/database/identities/Ann'
        assert server.get(path).json()['expires_at'] == '2099-01-01 00:00:00'
        assert server.get('/v1/database/list').json()['identities'][0]['expires_at'] == '2099-01-01 00:00:00'
        json_type = {'Content-Type': 'application/json'}
        changed = server.request('PUT', path, json.dumps({'expires_at': 'never'}), json_type)
        assert changed.status == 200 and changed.json()['expires_at'] == 'never'
        changed = server.request('PUT', path, json.dumps({'expires_at': 'default'}), json_type)
        assert 'expires_at' not in changed.json()
        for value in ('2001-01-01', 'soon', '', 7):
            refused = server.request('PUT', path, json.dumps({'expires_at': value}), json_type)
            assert refused.status == 400 and 'expires_at' in refused.json()['error'], refused
        assert server.ask('database/add', one(0), name='Bob', expires_at='soon').status == 400
        assert server.names() == ['Ann']


def test_expired_people_are_erased(tmp_path):
    """At the start: from the gallery, from the backups, and in the audit log; the others stay."""
    put(tmp_path, ['Old', 'New', 'Kept', 'Own'])
    good(run(tmp_path, 'retain', 'Kept', '--forever'))
    good(run(tmp_path, 'retain', 'Own', '--days', '1'))
    old = good(run(tmp_path, 'backup')).strip()
    vectors = [row[0] for row in sql(tmp_path, 'SELECT embedding FROM embeddings WHERE identity_id IN (1, 4)')]
    sql(tmp_path, "UPDATE embeddings SET created_at = datetime('now', '-40 days') WHERE identity_id IN (1, 3)")
    sql(tmp_path, "UPDATE identities SET expires_at = datetime('now', '-1 minute') WHERE id = 4")
    write_clock(tmp_path, time.time() - 60)
    with serve(tmp_path, **{'database.retention': '30d'}) as server:
        wait_for(lambda: server.names() == ['Kept', 'New'])
        wait_for(lambda: 'with erased people' in server.log)
        assert wait_for(lambda: 'erased 2 people whose retention time is over' in server.log)
    assert not os.path.exists(old)
    gone = [entry for entry in entries(tmp_path) if entry['action'] == 'expire']
    assert {entry['identity'] for entry in gone} == {1, 4} and {entry['actor'] for entry in gone} == {'retention'}
    assert verified(tmp_path)['ok']
    data = b''.join(path.read_bytes() for path in tmp_path.glob('faces.db*'))
    assert not any(vector[i:i + 16] in data for vector in vectors for i in range(0, len(vector), 64))


def test_clock_far_ahead(tmp_path):
    """A clock that seems to have jumped by a year erases no person; the log reports it."""
    put(tmp_path, ['Ann'])
    sql(tmp_path, "UPDATE embeddings SET created_at = datetime('now', '-40 days')")
    write_clock(tmp_path, time.time() - 365 * DAY_S)
    with serve(tmp_path, **{'database.retention': '30d'}) as server:
        wait_for(lambda: 'the system clock differs by more than a day' in server.log)
        time.sleep(0.2)
        assert server.names() == ['Ann']
    seen, wall, _ = map(int, (tmp_path / 'faces.db.clock').read_text().split())
    assert seen < time.time() - 364 * DAY_S and abs(wall - time.time()) < 60


# ---- forgetting and exporting

def test_forget(tmp_path):
    put(tmp_path, ['Ann Nobody', 'Bob'])
    backup = good(run(tmp_path, 'backup')).strip()
    vector = sql(tmp_path, 'SELECT embedding FROM embeddings WHERE identity_id = 1')[0][0]
    assert run(tmp_path, 'forget', 'Ann Nobody', '--proof', 'no/such/folder').returncode == 1
    assert len(good(run(tmp_path, 'list')).splitlines()) == 3
    with serve(tmp_path) as server:
        wait_for(lambda: server.names() == ['Ann Nobody', 'Bob'])
        forgotten = good(run(tmp_path, 'forget', 'Ann Nobody', '--proof', 'proof.json'))
        assert 'Erased 1 face and deleted' in forgotten
        assert server.names() == ['Bob']
        assert verified(tmp_path)['ok']
        log = entries(tmp_path)
    text = (tmp_path / 'proof.json').read_text()
    assert (tmp_path / 'proof.json').stat().st_mode & 0o777 == 0o600 and 'Nobody' not in text
    proof = json.loads(text)
    assert proof['search']['clean'] and not proof['pending'] and os.path.basename(backup) in proof['backups']['deleted']
    assert proof['erased'] == {'embeddings': 1, 'vector_sha256': [hashlib.sha256(vector).hexdigest()]}
    salted = hashlib.sha256((proof['person']['salt'] + 'Ann Nobody').encode()).hexdigest()
    assert proof['person']['salted_name_sha256'] == salted
    entry = log[proof['audit']['seq'] - 1]
    assert entry['action'] == 'forget' and entry['hash'] == proof['audit']['hash'] and entry['identity'] == 1
    assert {'faces.db', 'faces.db-wal', 'faces.db-shm'} <= {file['file'] for file in proof['search']['files']}
    for path in [*tmp_path.glob('faces.db*'), *(tmp_path / 'backups').iterdir()]:
        data = path.read_bytes()
        assert b'Ann Nobody' not in data and not any(vector[i:i + 16] in data for i in range(0, len(vector), 64)), path


def test_forget_in_an_encrypted_gallery(tmp_path):
    """The search is for the encrypted bytes, which are those in the files, and for the plain ones."""
    put(tmp_path, ['Ann Nobody', 'Bob'])
    plain = sql(tmp_path, 'SELECT embedding FROM embeddings WHERE identity_id = 1')[0][0]
    good(run(tmp_path, 'key', 'generate', 'key'))
    key = (f'database.encryption_key={tmp_path}/key',)
    good(run(tmp_path, 'encrypt', '--purge-backups', settings=key))
    sealed = sql(tmp_path, 'SELECT embedding FROM embeddings WHERE identity_id = 1')[0][0]
    assert sealed != plain and len(sealed) > len(plain)
    (tmp_path / 'faces.db.copy').write_bytes((tmp_path / 'faces.db').read_bytes())
    done = run(tmp_path, 'forget', 'Ann Nobody', '--proof', 'proof.json', settings=key)
    assert done.returncode == 1, done
    proof = json.loads((tmp_path / 'proof.json').read_text())
    found = {file['file']: file['vector_parts'] for file in proof['search']['files']}
    assert found['faces.db.copy'] == len(sealed) // 32 and sum(found.values()) == found['faces.db.copy']
    assert proof['erased']['vector_sha256'] == [hashlib.sha256(sealed).hexdigest()]
    data = (tmp_path / 'faces.db').read_bytes()
    assert not any(vector[i:i + 16] in data for vector in (sealed, plain) for i in range(0, len(vector), 64))
    shown = good(run(tmp_path, 'audit', 'show', '--json', settings=key))
    actions = [json.loads(line)['action'] for line in shown.splitlines()]
    assert actions[1:3] == ['begin_encryption', 'encrypt'] and 'forget' in actions


def test_forget_finds_a_copy(tmp_path):
    put(tmp_path, ['Ann Nobody', 'Bob'])
    good(run(tmp_path, 'list'))
    (tmp_path / 'faces.db.copy').write_bytes((tmp_path / 'faces.db').read_bytes())
    done = run(tmp_path, 'forget', 'Ann Nobody', '--proof', 'proof.json')
    assert done.returncode == 1 and 'not everything is proved to be gone' in done.stderr, done
    found = {file['file']: file for file in json.loads((tmp_path / 'proof.json').read_text())['search']['files']}
    assert found['faces.db.copy']['vector_parts'] == 64 and found['faces.db.copy']['names'] >= 1
    assert found['faces.db']['vector_parts'] == 0


def test_export_round_trip(tmp_path):
    """Times and expiry survive; the second export has the same lines."""
    for folder in ('a', 'b'):
        (tmp_path / folder).mkdir()
    put(tmp_path / 'a', ['Ann', 'Bob'])
    good(run(tmp_path / 'a', 'retain', 'Ann', '--until', '2099-01-01'))
    sql(tmp_path / 'a', "UPDATE identities SET created_at = '2020-01-02 03:04:05', updated_at = '2021-01-02 03:04:05'")
    sql(tmp_path / 'a', """UPDATE embeddings SET quality = '{"score":0.56300002336502075}'""")
    good(run(tmp_path / 'a', 'export', 'all.jsonl'))
    good(run(tmp_path / 'b', 'import', str(tmp_path / 'a' / 'all.jsonl')))
    good(run(tmp_path / 'b', 'export', 'all.jsonl'))
    text = (tmp_path / 'a' / 'all.jsonl').read_text()
    assert text == (tmp_path / 'b' / 'all.jsonl').read_text()
    assert '"score": 0.563}' in text and '"expires_at": "2099-01-01 00:00:00"' in text
    one_person = good(run(tmp_path / 'b', 'export', '-', '--name', 'Bob'))
    assert '"Bob"' in one_person and '"Ann"' not in one_person
    assert run(tmp_path / 'b', 'export', '-', '--name', 'Cid').returncode == 1
    assert [entry['action'] for entry in entries(tmp_path / 'b')][-2:] == ['export_person', 'export_person']


# ---- memory

def limits_of(pid):
    with open(f'/proc/{pid}/limits', encoding='ascii') as file:
        return next(line.split()[4] for line in file if line.startswith('Max core file size'))


@pytest.mark.parametrize('allowed', [False, True])
def test_no_core_dumps(tmp_path, allowed):
    with serve(tmp_path, **({'database.core_dumps': 'true'} if allowed else {})) as server:
        own = limits_of('self')
        assert limits_of(server.process.pid) == (own if allowed else '0')
