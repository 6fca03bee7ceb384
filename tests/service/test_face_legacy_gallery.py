"""Galleries from elsewhere: a file of an older program, a backup of another machine, names in other Unicode forms."""
import base64
import gzip
import io
import json
import os
import pathlib
import pwd
import re
import sqlite3
import struct
import subprocess
import unicodedata
import urllib.parse
import zlib

import pytest

from faces import FACE, GREY, FaceServer, one, png_of
from server import b64, environment, is_sanitized, may_run, wait_for

IDENTITIES = '/v1/database/identities/'
NOBODY = pwd.getpwnam('nobody')
FIRST_SCHEMA = '''CREATE TABLE identities (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE embeddings (id INTEGER PRIMARY KEY AUTOINCREMENT, identity_id INTEGER NOT NULL,
    embedding BLOB NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (identity_id) REFERENCES identities(id) ON DELETE CASCADE);
    CREATE INDEX idx_embeddings_identity ON embeddings(identity_id);'''


def write_old(path, people):
    """Writes a file in the format of the first programs: name -> embeddings."""
    with sqlite3.connect(path) as file:
        file.executescript(FIRST_SCHEMA)
        for name, vectors in people.items():
            row = file.execute('INSERT INTO identities (name) VALUES (?)', (name,)).lastrowid
            for vector in vectors:
                file.execute('INSERT INTO embeddings (identity_id, embedding) VALUES (?, ?)',
                             (row, struct.pack(f'<{len(vector)}f', *vector)))
    file.close()


def run_db(folder, *arguments, **options):
    return subprocess.run([FACE, 'db', *map(str, arguments), '--set', f'database.db_file={folder}/faces.db', '--set',
                           f'database.backup_path={folder}/backups', '--set', 'inference.device=sim'], capture_output=True, text=True, check=False,
                          env=environment(folder), cwd=folder, timeout=60, **options)


@pytest.fixture(name='db')
def db_command(tmp_path):
    return lambda *arguments, **options: run_db(tmp_path, *arguments, **options)


def sql(path, script):
    file = sqlite3.connect(path, isolation_level=None)
    file.executescript(script)
    file.close()


def mode(path):
    return path.stat().st_mode & 0o777


# ---- embeddings that cannot match

def test_embeddings_of_an_unknown_model_are_reported_and_assigned(tmp_path, db):
    (tmp_path / 'first').mkdir()
    with FaceServer(tmp_path / 'first') as server:
        vectors = [server.ask('embed', one(i)).json()['embedding'] for i in range(3)]
        model = server.get('/health').json()['recognition_model']
    write_old(tmp_path / 'faces.db', {'Ann': vectors[:1], 'Bob': vectors[1:2] + [vectors[1][:128]],
                                      'Cid': [vectors[2][:128]]})
    told = '2 of 4 stored faces were made by an unknown model and cannot match. Enrol again, or name the model with `hailo-face db set-space NAME`'
    other_size = '2 of 4 stored faces were stored with a vector length other than the 512 of'
    with FaceServer(tmp_path) as server:
        assert wait_for(lambda: server.get('/health/ready').status == 200)
        assert wait_for(lambda: told in server.log), 'at the first start'
        assert wait_for(lambda: other_size in server.log)
        health = server.get('/health').json()['database']
        assert health['state'] == 'degraded'
        assert health['unusable'] == {'embeddings': 4, 'identities': 3, 'unknown_space': 2, 'other_size': 2}
        metrics = server.get('/metrics').body.decode()
        assert 'hailo_gallery_embeddings{use="unknown_space"} 2\n' in metrics
        assert 'hailo_gallery_identities_unusable 3\n' in metrics and 'hailo_gallery_identities 3\n' in metrics
        assert server.ask('recognize', one(0)).json()['faces'][0]['identity'] == 'Unknown'
        stats, check = db('stats').stdout, db('check').stdout
        assert told in stats and other_size in stats and stats.startswith('3 people, 4 faces\n'), stats
        assert told in check and re.search(r'People without a face that can match: 3\n  Ann\n  Bob\n  Cid\n', check)
        assert 'the models are ' in db('set-space', 'arcface').stderr
        done = db('set-space', model)
        assert done.returncode == 0 and '2 faces of 2 people now in the space' in done.stdout, done
        assert '2 faces unchanged: not the 512 numbers' in done.stdout, done
        # The running service uses the change without a restart.
        for i, name in enumerate(('Ann', 'Bob', 'Unknown')):
            assert server.ask('recognize', one(i)).json()['faces'][0]['identity'] == name
        health = server.get('/health').json()['database']
        assert health['unusable'] == {'embeddings': 2, 'identities': 1, 'other_size': 2}
        assert server.request('DELETE', IDENTITIES + 'Cid').status == 200
        assert server.request('DELETE', IDENTITIES + 'Bob/embeddings/3').status == 200
        assert server.ask('recognize', one(0)).status == 200
        assert wait_for(lambda: server.get('/health').json()['database']['state'] == 'ok')
    assert db('stats').stdout.startswith(f'2 people, 2 faces, all usable with {model}\n'), db('stats')
    assert 'cannot match' not in db('check').stdout
    before = db('backups').stdout
    again = db('set-space', model)
    assert again.returncode == 1 and '0 faces' in again.stdout and before != db('backups').stdout


def test_selftest_fails_for_unusable_embeddings(tmp_path):
    write_old(tmp_path / 'faces.db', {'Ann': [[1.0] + [0.0] * 511]})
    done = subprocess.run([FACE, 'selftest', '--json', '--device', 'sim', '--set',
                           f'database.db_file={tmp_path}/faces.db', '--set',
                           f'database.backup_path={tmp_path}/backups'], capture_output=True, text=True, check=False,
                          env=environment(tmp_path), cwd=tmp_path, timeout=60)
    found = [check for check in json.loads(done.stdout)['checks'] if check['name'] == 'faces']
    assert done.returncode == 1 and '1 of 1 stored face was made by an unknown model' in found[0]['detail'], done


# ---- names

NFC, NFD = 'José', unicodedata.normalize('NFD', 'José')


def test_names_are_normalized(tmp_path, db):
    with FaceServer(tmp_path) as server:
        assert server.add(NFD + ' ', one(0)).json()['name'] == NFC
        assert server.add(' \u3000' + NFC, one(0, side=150), gate='standard').json()['identity_created'] is False
        assert server.names() == [NFC]
        for name in (NFC, NFD, f' {NFD}'):
            path = IDENTITIES + urllib.parse.quote(name)
            assert server.get(path).json()['name'] == NFC
        tried = server.ask('database/add', one(1), name=NFD, dry_run=True).json()
        assert tried['identity_exists'] is True and tried['name'] == NFC
        for name, why in ((' \u3000 ', 'empty'), ('..', "'..'"), ('.', "'.'"), ('a\u200bb', 'U+200B'),
                          ('\u202eabc', 'U+202E'), ('Unknown', 'without a match'), ('ＵＮＫＮＯＷＮ', 'without a match')):
            refused = server.ask('database/add', one(2), name=name)
            assert refused.status == 400 and why in refused.json()['error'], refused
            assert refused.json()['error'].startswith('name: '), refused
            put = server.request('PUT', IDENTITIES + urllib.parse.quote(NFC), json.dumps({'name': name}).encode(),
                                 {'Content-Type': 'application/json'})
            assert put.status == 400 and put.json()['error'].startswith('name: '), put
        moved = server.request('PUT', IDENTITIES + urllib.parse.quote(NFD),
                               json.dumps({'name': unicodedata.normalize('NFD', ' Zoë ')}).encode(),
                               {'Content-Type': 'application/json'})
        assert moved.status == 200 and moved.json()['name'] == 'Zoë', moved
        server.add('zoë', one(3))
        assert server.names() == ['Zoë', 'zoë'], 'case makes two people'
        assert server.ask('database/remove', name=unicodedata.normalize('NFD', 'Zoë')).status == 200
        assert server.names() == ['zoë']
    refused = db('rename', 'zoë', 'unknown')
    assert refused.returncode == 1 and 'is reserved for faces without a match' in refused.stderr


def test_legacy_names_are_kept_and_reported(tmp_path, db):
    write_old(tmp_path / 'faces.db', {NFC: [[1.0, 0.0]], NFD: [[0.0, 1.0]], 'Unknown': [], '..': []})
    with sqlite3.connect(tmp_path / 'faces.db') as file:
        file.execute("INSERT INTO identities (name) VALUES (CAST(x'ff41' AS TEXT))")
    file.close()
    with FaceServer(tmp_path) as server:
        assert sorted(server.names()) == sorted([NFC, NFD, 'Unknown', '..', '?A#5'])
        check = db('check').stdout
        assert f"{NFD}: looks the same as '{NFC}'" in check, check
        assert 'Unknown: name: ' in check and '..: name: ' in check and 'db rename' in check
        assert wait_for(lambda: '3 people with an invalid name' in server.log)
        assert '3 people with an invalid name' in db('stats').stdout
        assert server.ask('database/add', one(0), name='Unknown').status == 400
        assert db('merge', NFD, NFC).returncode == 0
        assert server.get(IDENTITIES + urllib.parse.quote(NFD)).json()['embedding_count'] == 2
        assert db('rename', 'Unknown', 'stranger').returncode == 0
        assert server.ask('database/remove', name='..').status == 200
        assert sorted(server.names()) == sorted([NFC, 'stranger', '?A#5'])
    assert 'Names that need another form' not in db('check').stdout


# ---- metadata

DEEP = '{"a":' * 80 + '1' + '}' * 80


def test_deep_metadata_is_rejected_everywhere(tmp_path, db):
    with FaceServer(tmp_path) as server:
        server.add('Ann', one(0))
        parts = (f'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nBob\r\n'
                 f'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{DEEP}\r\n'
                 f'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n').encode()
        form = server.request('POST', '/v1/database/add', parts + one(1) + b'\r\n--b--\r\n',
                              {'Content-Type': 'multipart/form-data; boundary=b'})
        assert form.status == 400 and 'nested deeper' in form.json()['error'], form
        asked = server.ask('database/add', one(1), name='Bob', metadata=json.loads(DEEP))
        assert asked.status == 400 and 'nested' in asked.json()['error'], asked
        assert db('export', 'all.jsonl').returncode == 0
        lines = (tmp_path / 'all.jsonl').read_text().splitlines()
        person = json.loads(lines[1])
        person.update(name='Eve', metadata=json.loads(DEEP))
        write_export(tmp_path / 'deep.jsonl', [json.loads(lines[0]), person])
        imported = db('import', 'deep.jsonl')
        assert imported.returncode == 1 and 'line 2: metadata: nested deeper' in imported.stdout, imported
        # A backup with metadata that another program wrote: one record is invalid, the others are accepted.
        backup = pathlib.Path(db('backup').stdout.strip())
        (tmp_path / 'b.db').write_bytes(gzip.decompress(backup.read_bytes()))
        sql(tmp_path / 'b.db', f"""UPDATE identities SET metadata = '{DEEP}';
            INSERT INTO identities (name, metadata) VALUES ('Cid', '{{"x":1}}'),
            ('Dan', '{{"x":"' || hex(zeroblob(1000000)) || '"}}')""")
        restored = db('restore', tmp_path / 'b.db')
        assert restored.returncode == 0 and 'Metadata that cannot be shown: 2' in restored.stdout, restored
        people = {entry['name']: entry for entry in server.get('/v1/database/list').json()['identities']}
        assert 'nested deeper' in people['Ann']['metadata_error'] and 'metadata' not in people['Ann']
        assert 'longer than 4096 bytes' in people['Dan']['metadata_error']
        assert people['Cid']['metadata'] == {'x': 1} and 'metadata_error' not in people['Cid']
        assert 'metadata_error' in server.get(IDENTITIES + 'Ann').json()
        exported = db('export', '-')
        assert exported.returncode == 0 and 'metadata of 2 people' in exported.stderr
        assert [json.loads(line).get('metadata') for line in exported.stdout.splitlines()[1:-1]] == [None, {'x': 1}, None]


def write_export(path, objects):
    import hashlib  # pylint: disable=import-outside-toplevel
    body = ''.join(json.dumps(entry) + '\n' for entry in objects)
    path.write_text(body + json.dumps({'sha256': hashlib.sha256(body.encode()).hexdigest()}) + '\n')


# ---- restore

BAD = {
    'trigger': ("CREATE TRIGGER t AFTER INSERT ON embeddings BEGIN DELETE FROM embeddings; END", "trigger t"),
    'view': ('CREATE VIEW v AS SELECT * FROM identities', 'view v'),
    'table': ('CREATE TABLE extra (x)', 'table extra'),
    'virtual table': ('CREATE VIRTUAL TABLE f USING fts5(x)', 'table f'),
    'index': ('CREATE INDEX idx ON identities(length(name))', 'index idx'),
    'our index': ('DROP INDEX idx_embeddings_identity; CREATE INDEX idx_embeddings_identity ON embeddings(space)',
                  'index idx_embeddings_identity'),
    'partial index': ('DROP INDEX idx_embeddings_identity; CREATE INDEX idx_embeddings_identity ON'
                      ' embeddings(identity_id) WHERE id < 5', 'index idx_embeddings_identity'),
    'column': ('ALTER TABLE identities ADD COLUMN more TEXT', 'columns'),
    'default': ('ALTER TABLE requests RENAME TO r; ' +
                'CREATE TABLE requests (key_sha256 TEXT, body_sha256 TEXT DEFAULT (hex(randomblob(9))),'
                ' identity_id, embedding_id, identity_created, embedding_dropped, created_at); DROP TABLE r',
                'default of requests'),
    'conflict': ('CREATE TABLE g (uid TEXT UNIQUE ON CONFLICT REPLACE, change INTEGER, data_key INTEGER);'
                 ' INSERT INTO g SELECT * FROM gallery; DROP TABLE gallery; ALTER TABLE g RENAME TO gallery', 'constraint of gallery'),
    'without rowid': ('CREATE TABLE g (uid TEXT PRIMARY KEY, change INTEGER, data_key INTEGER) WITHOUT ROWID;'
                      ' INSERT INTO g SELECT * FROM gallery; DROP TABLE gallery; ALTER TABLE g RENAME TO gallery', 'table gallery'),
}


@pytest.fixture(name='backup', scope='module')
def unpacked_backup(tmp_path_factory):
    folder = tmp_path_factory.mktemp('backup')
    write_old(folder / 'faces.db', {'Old': [[1.0, 0.0]]})
    return gzip.decompress(pathlib.Path(run_db(folder, 'backup').stdout.strip()).read_bytes())


@pytest.mark.parametrize('kind', sorted(BAD))
def test_restore_accepts_only_a_gallery(tmp_path, db, backup, kind):
    script, why = BAD[kind]
    write_old(tmp_path / 'faces.db', {'Ann': [[0.0, 1.0]]})
    assert db('list').returncode == 0
    (tmp_path / 'bad.db').write_bytes(backup)
    sql(tmp_path / 'bad.db', 'PRAGMA legacy_alter_table = ON; ' + script)
    before = sorted(path.name for path in tmp_path.iterdir())
    for packed in (False, True):
        if packed:
            (tmp_path / 'bad.db').write_bytes(gzip.compress((tmp_path / 'bad.db').read_bytes()))
        refused = db('restore', tmp_path / 'bad.db')
        assert refused.returncode == 1 and why in refused.stderr, (kind, refused)
    assert '\nAnn ' in db('list').stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == before, 'nothing is left beside it'


def oversized_backup(backup, pages):
    return backup[:28] + struct.pack('>I', pages) + backup[32:]


def test_a_restore_is_bounded(tmp_path, db, backup):
    write_old(tmp_path / 'faces.db', {'Ann': [[0.0, 1.0]]})
    assert db('list').returncode == 0
    pages = struct.unpack('>I', backup[28:32])[0]
    files = {
        'noise': (os.urandom(4096), 'is not a gallery'),
        'empty': (b'', 'empty'),
        'text': (b'not a database ' * 1000, 'is not a gallery'),
        'more': (backup + bytes(1 << 20), 'it is longer than its header states'),
        'bomb': (gzip.compress(backup + bytes(64 << 20)), 'it is longer than its header states'),
        'huge': (oversized_backup(backup, 0x01ffffff), 'the limit is 17 GB'),
        'cut': (gzip.compress(backup)[:-40], ''),
        'less': (oversized_backup(backup, pages + 1), 'is not a usable backup'),
    }
    before = sorted(path.name for path in tmp_path.iterdir())
    for name, (data, why) in files.items():
        path = tmp_path / 'bad'
        path.write_bytes(data)
        refused = db('restore', path)
        path.unlink()
        assert refused.returncode == 1 and why in refused.stderr, (name, refused)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == before, name
    (tmp_path / 'good.gz').write_bytes(gzip.compress(backup))
    assert db('restore', tmp_path / 'good.gz').returncode == 0 and '\nOld ' in db('list').stdout


def test_paths_that_are_not_regular_files_are_rejected(tmp_path, db):
    os.mkfifo(tmp_path / 'faces.db')
    for words in (('list',), ('import', 'x'), ('restore', '/dev/zero')):
        refused = db(*words)
        assert refused.returncode == 1, refused
    assert 'not a regular file' in db('list').stderr
    os.mkfifo(tmp_path / 'config.yaml')
    checked = subprocess.run([FACE, 'config', 'check', '--config', tmp_path / 'config.yaml'], capture_output=True,
                             text=True, check=False, env=environment(tmp_path), cwd=tmp_path, timeout=60)
    assert checked.returncode != 0 and 'not a regular file' in checked.stderr, checked


def test_trigger_in_the_file_is_disabled_and_reported(tmp_path):
    with FaceServer(tmp_path) as server:
        server.add('Ann', one(0))
    sql(tmp_path / 'faces.db', 'CREATE TRIGGER thief AFTER INSERT ON embeddings BEGIN DELETE FROM embeddings; END')
    with FaceServer(tmp_path) as server:
        server.add('Bob', one(1))
        assert server.names() == ['Ann', 'Bob']
        assert server.ask('recognize', one(1)).json()['faces'][0]['identity'] == 'Bob'
        assert 'contains an unexpected trigger thief; it has no effect' in server.log


# ---- backups that contain a person

def test_only_backups_with_the_person_are_listed(tmp_path, db):
    with FaceServer(tmp_path, settings={'database.backup_enabled': 'false'}) as server:
        made = []

        def back_up():
            made.append(db('backup').stdout.strip())

        def removed(name):
            names = server.ask('database/remove', name=name).json()['older_backups']
            return [str(tmp_path / 'backups' / name) for name in names]  # clients receive no paths

        back_up()
        server.add('Ann', one(0))
        back_up()
        server.add('Bob', one(1))
        server.add('Ann', one(0, left=20))
        back_up()
        server.add('Cid', one(2))
        assert removed('Cid') == []
        assert removed('Bob') == [made[2]]
        server.add('Bob', one(1))
        assert db('merge', 'Ann', 'Bob').returncode == 0
        back_up()
        assert sorted(removed('Bob')) == sorted(made[1:]), "merged: Ann's faces are older than Bob"
        # After restoring an older backup, change numbers continue.
        server.add('Dan', one(3))
        assert db('restore', made[1]).returncode == 0
        assert server.names() == ['Ann']
        server.add('Eve', one(4))
        assert removed('Eve') == []
        everything = sorted(str(path) for path in (tmp_path / 'backups').glob('*.gz'))
        named = removed('Ann')
        assert set(everything) - set(without(everything, 'Ann')) <= set(named) and made[0] not in named, everything
        # gunzip and Python read the data before the copy.
        assert gzip.open(made[1]).read(15) == b'SQLite format 3'
        # A backup without a creation time may contain any person.
        plain = gzip.decompress(pathlib.Path(made[0]).read_bytes())
        pathlib.Path(made[0]).write_bytes(gzip.compress(plain))
        server.add('Fay', one(5))
        assert removed('Fay') == [made[0]]


def without(paths, name):
    """Searches the backups and returns those that do not contain a name."""
    found = []
    for path in paths:
        with io.BytesIO(gzip.decompress(pathlib.Path(path).read_bytes())) as data:
            if name.encode() not in data.read():
                found.append(path)
    return found


def test_people_of_a_legacy_file_may_be_in_any_backup(tmp_path, db):
    write_old(tmp_path / 'faces.db', {'Ann': [[1.0, 0.0]]})
    first = db('backup').stdout.strip()
    assert first in db('remove', 'Ann').stdout


# ---- files with personal data

def test_files_are_readable_by_the_owner_only(tmp_path, db):
    os.umask(0o022)
    write_old(tmp_path / 'faces.db', {'Ann': [[1.0, 0.0]]})
    (tmp_path / 'faces.db').chmod(0o644)
    with FaceServer(tmp_path) as server:
        assert wait_for(lambda: server.get('/health').json()['database']['last_backup_at'])
        assert "the gallery file was readable by other users" in server.log
        assert db('export', 'all.jsonl').returncode == 0
        private = [path for path in tmp_path.rglob('*') if path.is_file() and
                   (path.name.startswith('faces') or path.name == 'all.jsonl')]
        assert len(private) >= 5 and {mode(path) for path in private} == {0o600}, {path: mode(path) for path in private}
    with FaceServer(tmp_path) as server:
        assert 'readable by other users' not in server.log


def test_an_export_replaces_files_only(tmp_path, db):
    write_old(tmp_path / 'faces.db', {'Ann': [[1.0, 0.0]]})
    (tmp_path / 'mine').write_text('mine')
    (tmp_path / 'link').symlink_to('mine')
    (tmp_path / 'folder').mkdir()
    for name in ('link', 'folder', '/dev/null'):
        refused = db('export', name)
        assert refused.returncode == 1 and 'not a regular file' in refused.stderr, refused
    assert (tmp_path / 'mine').read_text() == 'mine' and (tmp_path / 'link').is_symlink()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(('link.', 'folder.'))]
    out = db('export', '-')
    assert out.returncode == 0 and json.loads(out.stdout.splitlines()[1])['name'] == 'Ann'
    assert not (tmp_path / '-').exists()


# ---- root and other users

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason='only root acts for another user')


@pytest.fixture(name='service')
def service_folder(tmp_path):
    """Returns a folder of user `nobody`, and a function that runs `db` in it."""
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.geteuid() and path != pathlib.Path('/') and path.name != 'tmp':
            path.chmod(path.stat().st_mode | 0o055)
    folder = tmp_path / 'service'
    folder.mkdir()
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    return folder


@needs_root
def test_read_only_commands_create_no_gallery(service):
    for words in (('list',), ('show', 'Ann'), ('stats',), ('check',), ('export', 'x'), ('backup',), ('backups',),
                  ('rename', 'a', 'b'), ('merge', 'a', 'b'), ('remove', 'a'), ('set-space', 'w600k-mbf')):
        done = run_db(service, *words)
        assert done.returncode == 1 and 'faces.db yet. `hailo-face db add`' in done.stderr, done
    assert not list(service.iterdir())


@needs_root
def test_files_created_by_root_belong_to_the_service(service, tmp_path):
    (tmp_path / 'other').mkdir()
    write_old(tmp_path / 'other' / 'faces.db', {'Ann': [[1.0, 0.0]]})
    assert run_db(tmp_path / 'other', 'export', tmp_path / 'all.jsonl').returncode == 0
    assert run_db(service, 'import', tmp_path / 'all.jsonl').returncode == 0
    assert run_db(service, 'backup').returncode == 0
    made = list(service.rglob('*'))
    assert {path.name for path in made} >= {'faces.db', 'faces.db.uid', 'backups'} and len(made) >= 4
    for path in made:
        assert path.stat().st_uid == NOBODY.pw_uid, path
    if not may_run(FACE, NOBODY.pw_uid, NOBODY.pw_gid):
        pytest.skip('the user nobody may not run the program')
    done = run_db(service, 'list', user=NOBODY.pw_uid, group=NOBODY.pw_gid)
    assert done.returncode == 0 and '\nAnn ' in done.stdout, done


@needs_root
def test_file_of_another_user_is_reported(service):
    write_old(service / 'faces.db', {'Ann': [[1.0, 0.0]]})
    (service / 'faces.db').chmod(0o600)
    if not may_run(FACE, NOBODY.pw_uid, NOBODY.pw_gid):
        pytest.skip('the user nobody may not run the program')
    done = run_db(service, 'list', user=NOBODY.pw_uid, group=NOBODY.pw_gid)
    assert done.returncode == 1 and 'faces.db as nobody: Permission denied. Run as its owner root' in done.stderr, done


# ---- memory

def vector_like(seed):
    """Returns 512 numbers of length 1 that occur for no other seed and in no program."""
    numbers = [((i * 2654435761 + seed * 40503) % 1000003) / 1000003 - 0.5 for i in range(512)]
    length = sum(x * x for x in numbers) ** 0.5
    return struct.pack('<512f', *(x / length for x in numbers))


def written_memory(pid):
    """Returns the written memory of a process, without zero pages."""
    size = 1 << 16
    with open(f'/proc/{pid}/maps', encoding='ascii') as maps, open(f'/proc/{pid}/mem', 'rb', buffering=0) as memory:
        for line in maps:
            words = line.split()
            begin, end = (int(text, 16) for text in words[0].split('-'))
            for at in range(begin, end, size) if words[1].startswith('rw') else ():
                try:
                    memory.seek(at)
                    content = memory.read(min(size, end - at))
                except OSError:
                    break
                if content.strip(b'\0'):
                    yield content


def pieces_in_memory(pid, *vectors):
    """For each embedding, returns how many of its 16-byte pieces are in the memory of a process."""
    content = b''.join(written_memory(pid))
    # The last piece overlaps the one before it if it would be shorter: a few bytes alone are found by chance.
    return [sum(data[min(i, len(data) - 16):][:16] in content for i in range(0, len(data), 16)) for data in vectors]


def codes(data):
    """Returns the codes of the index: eight bits per number."""
    numbers = struct.unpack('<512f', data)
    scale = struct.unpack('<f', struct.pack('<f', max(map(abs, numbers)) / 127))[0]
    return struct.pack('<512b', *(int(x / scale + (0.5 if x > 0 else -0.5)) for x in numbers))


def speckled(seed, side=160):
    """Returns a picture with a face whose embedding has hardly any number twice."""
    rows = [bytearray(GREY * 640) for _ in range(480)]
    rim = side // 7
    for y in range(side):
        for x in range(side):
            inside = rim <= x < side - rim and rim <= y < side - rim
            shade = zlib.crc32(bytes((seed, x // 7, y // 7))) if inside else 255
            rows[100 + y][(200 + x) * 3:(201 + x) * 3] = bytes((200 + shade % 56, 200 + shade // 256 % 56, 240))
    return png_of(rows)


@pytest.mark.skipif(is_sanitized(FACE), reason="a sanitizer's own memory is terabytes")
def test_query_embeddings_are_wiped_from_memory(tmp_path):
    """After a person was listed, recognised, verified, compared and checked for enrolment, the memory contains
    neither the numbers, nor their codes, nor their text."""
    with FaceServer(tmp_path) as server:
        pid = server.process.pid
        server.add('Ann', speckled(1))
        shown = [server.get(IDENTITIES + 'Ann/embeddings/1?vector=1'), server.ask('embed', speckled(5))]
        for _ in range(3):
            for image in speckled(5), speckled(1):
                found = server.ask('recognize', image, threshold=0, candidates=10).json()
                assert found['faces'][0]['identity'] == 'Ann'
                assert server.ask('database/verify', image, name='Ann').status == 200
                assert server.post_json({'image': b64(image), 'image2': b64(image)}, '/v1/compare').status == 200
                assert server.ask('database/add', image, name='Bob', dry_run=True).status == 200
        assert server.get('/health').status == 200
        stored, asked = (struct.pack('<512f', *response.json()['embedding']) for response in shown)
        texts = (re.search(rb'"embedding":\[([^]]*)', response.body)[1] for response in shown)
        assert len({asked[i:i + 16] for i in range(0, 2048, 16)} - {stored[i:i + 16] for i in range(0, 2048, 16)}) > 100
        found = pieces_in_memory(pid, codes(stored), codes(asked), asked, *texts)
        assert found == [32, 0, 0, 0, 0], 'codes of the stored one are in the index, as the test finds'


@pytest.mark.skipif(is_sanitized(FACE), reason="a sanitizer's own memory is terabytes")
def test_erased_embeddings_are_wiped_from_memory(tmp_path, db):
    """After reading, searching, listing, backing up, compacting and removing, no piece of the embedding is in the
    memory."""
    people = [{'name': name, 'embeddings': [{'space': 'sim', 'vector': base64.b64encode(vector_like(i)).decode()}]}
              for i, name in enumerate(('Ann', 'Bob', 'Cid'))]
    write_export(tmp_path / 'all.jsonl', [{'format': 'hailo-services-gallery', 'version': 1}, *people])
    assert db('import', 'all.jsonl').returncode == 0, db('import', 'all.jsonl')
    with FaceServer(tmp_path) as server:
        pid = server.process.pid
        assert wait_for(lambda: server.get('/health').json()['database']['last_backup_at'])
        for i in range(20):
            server.add(f'n{i}', one(i % 15))
            assert server.ask('recognize', one(i % 15), threshold=0, candidates=10).status == 200
        assert server.get(IDENTITIES + 'Bob').json()['embedding_count'] == 1
        assert server.ask('database/verify', one(2), name='Bob').status == 200
        assert pieces_in_memory(pid, codes(vector_like(1))) == [32], 'the test finds what is there'
        assert db('backup').returncode == 0
        response = server.ask('database/remove', name='Bob', purge_backups=True).json()
        assert response['embeddings_erased'] == 1
        assert wait_for(lambda: not server.get('/health').json()['database']['erasure_pending'])
        assert server.ask('recognize', one(3)).status == 200
        others, erased, of_file = pieces_in_memory(pid, codes(vector_like(0)), codes(vector_like(1)), vector_like(1))
        assert (others, erased, of_file) == (32, 0, 0)
