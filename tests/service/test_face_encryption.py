"""Galleries whose face vectors are encrypted: keys, their rotation while the service runs, and drills of backups."""
import base64
import gzip
import hashlib
import json
import os
import random
import signal
import struct
import subprocess
import time

import pytest

from faces import FACE, FaceServer, one
from server import environment, run, wait_for

KEY_MODE = 0o600


@pytest.fixture
def home(tmp_path):
    """A folder with the keys `first` and `second`."""
    for name in ('first', 'second'):
        done = run(tmp_path, 'db', 'key', 'generate', tmp_path / name, program=FACE)
        assert done.returncode == 0 and len(done.stdout.strip()) == 16, done
        assert (tmp_path / name).stat().st_mode & 0o777 == KEY_MODE
    return tmp_path


def command(home, *words):
    return ['db', *words, '--set', f'database.db_file={home}/faces.db', '--set',
            f'database.backup_path={home}/backups']


def db(home, *words, key='first', env=None):
    more = ['--set', f'database.encryption_key={home / key}'] if key else []
    return run(home, *command(home, *words), *more, program=FACE, env=env or environment(home))


def serve(home, key='first', **options):
    settings = {'database.encryption_key': home / key} if key else {}
    return FaceServer(home, settings=settings, **options)


def identity(server, number):
    faces = server.ask('recognize', one(number)).json()['faces']
    return [face['identity'] for face in faces]


def holds(home, vector):
    """Returns the files of the gallery, unpacked if compressed, that contain bytes of the vector."""
    wanted = struct.pack(f'<{len(vector)}f', *vector)
    found = []
    for folder in (home, home / 'backups'):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.is_dir():
                continue
            data = path.read_bytes()
            if path.suffix == '.gz':
                data = gzip.decompress(data)
            if any(wanted[at:at + 12] in data for at in range(0, len(wanted) - 12, 40) if any(wanted[at:at + 12])):
                found.append(path.name)
    return found


def write_export(path, people):
    """Writes an exported file with random vectors of a model that no search uses."""
    random.seed(1)
    lines = ['{"format":"hailo-services-gallery","version":1}']
    for i in range(people):
        values = [random.gauss(0, 1) for _ in range(64)]
        norm = sum(v * v for v in values) ** 0.5
        vector = base64.b64encode(struct.pack('<64f', *(v / norm for v in values))).decode()
        lines.append(json.dumps({'name': f'p{i}', 'embeddings': [{'space': 'other', 'vector': vector}]},
                                separators=(',', ':')))
    text = ''.join(line + '\n' for line in lines)
    digest = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(text + json.dumps({'sha256': digest}, separators=(',', ':')) + '\n')


# ---- serving

def test_no_plain_bytes_and_private_files(home):
    """A gallery with a key has no byte of a vector in any file, and every file is private."""
    with serve(home) as server:
        server.add('Ann', one(0))
        server.add('Bob', one(1))
        vector = server.ask('embed', one(0)).json()['embedding']
        assert identity(server, 0) == ['Ann']
        assert db(home, 'backup').returncode == 0
        assert (home / 'faces.db-wal').exists()
        assert holds(home, vector) == []
        files = [path for path in home.rglob('faces*') if path.is_file()]
        assert {path.name for path in files} >= {'faces.db', 'faces.db-wal', 'faces.db-shm'} and len(files) > 4
        for path in files:
            assert path.stat().st_mode & 0o777 == 0o600, path
    with serve(home) as server:
        assert identity(server, 0) == ['Ann'] and identity(server, 1) == ['Bob']
    stats = json.loads(db(home, 'stats', '--json').stdout)['encryption']
    assert stats['on'] and stats['encrypted_faces'] == 2 and stats['plain_faces'] == 0


def test_export_is_readable_and_says_so(home):
    with serve(home) as server:
        server.add('Ann', one(0))
        vector = server.ask('embed', one(0)).json()['embedding']
    done = db(home, 'export', 'all.jsonl')
    assert done.returncode == 0 and 'not' in done.stderr and 'encrypted' in done.stderr, done
    assert (home / 'all.jsonl').stat().st_mode & 0o777 == 0o600
    text = (home / 'all.jsonl').read_text()
    assert base64.b64encode(struct.pack('<3f', *vector[:3])).decode() in text
    with serve(home) as server:
        assert server.post_json({'name': 'Ann'}, '/v1/database/remove').status == 200
        assert identity(server, 0) == ['Unknown']
        assert db(home, 'import', 'all.jsonl').returncode == 0
        assert identity(server, 0) == ['Ann']


def test_key_from_a_credential(home):
    folder = home / 'credentials'
    folder.mkdir(mode=0o700)
    (folder / 'gallery').write_bytes((home / 'first').read_bytes())
    (folder / 'gallery').chmod(0o400)
    env = environment(home, CREDENTIALS_DIRECTORY=str(folder))
    settings = {'database.encryption_key': 'credential:gallery'}
    with FaceServer(home, settings=settings, env=env) as server:
        server.add('Ann', one(0))
        assert identity(server, 0) == ['Ann']
    with serve(home) as server:  # the same key as a file
        assert identity(server, 0) == ['Ann']
    (folder / 'gallery').unlink()
    done = run(home, *command(home, 'list'), '--set', 'database.encryption_key=credential:gallery', program=FACE,
               env=env)
    assert done.returncode == 1 and 'credential' in done.stderr, done


def state(home):
    """Returns the files of the gallery with their content."""
    return {path: path.read_bytes() for path in home.rglob('faces*') if path.is_file()}


@pytest.mark.parametrize('key, expected', [('second', 'is encrypted with the key'), (None, 'set database.encryption_key'),
                                           ('no-such-file', 'no-such-file')])
def test_wrong_or_lost_key(home, key, expected):
    """Neither the service nor a command opens the gallery; nothing of it changes."""
    with serve(home) as server:
        server.add('Ann', one(0))
    assert db(home, 'backup').returncode == 0
    before = state(home)
    for words in (('list',), ('stats',), ('check',), ('backup',), ('backup', 'verify'), ('export', '-'),
                  ('encrypt',), ('decrypt',), ('remove', 'Ann'), ('rotate-key', '--reencrypt')):
        done = db(home, *words, key=key)
        assert done.returncode == 1 and expected in done.stderr and not done.stdout, done
    more = ['--set', f'database.encryption_key={home / key}'] if key else []
    done = run(home, 'serve', '--host', '127.0.0.1', '--port', '0', '--device', 'sim', '--set',
               f'database.db_file={home}/faces.db', '--set', f'database.backup_path={home}/backups', *more, program=FACE)
    assert done.returncode == 1 and expected in done.stderr + done.stdout, done
    assert state(home) == before
    with serve(home) as server:
        assert identity(server, 0) == ['Ann']


def test_setting_is_checked(home):
    for value in ('keys/gallery', 'credential:', 'credential:../x'):
        done = run(home, 'config', 'check', '--set', f'database.encryption_key={value}', program=FACE)
        assert done.returncode != 0 and 'database.encryption_key' in done.stderr + done.stdout, done
    assert run(home, 'config', 'check', '--set', f'database.encryption_key={home}/x', program=FACE).returncode == 0


def test_key_file_that_others_can_read(home):
    (home / 'first').chmod(0o644)
    done = db(home, 'import', os.devnull)
    assert done.returncode == 1 and str(home / 'first') in done.stderr, done
    assert (home / 'first').read_text().strip() not in done.stderr
    assert not (home / 'faces.db').exists()


# ---- turning encryption on and off

def test_encrypt_a_plain_gallery(home):
    with serve(home, key=None) as server:
        server.add('Ann', one(0))
        vector = server.ask('embed', one(0)).json()['embedding']
    assert db(home, 'backup', key=None).returncode == 0
    assert len(holds(home, vector)) >= 2
    with serve(home) as server:
        assert wait_for(lambda: '1 face in the gallery is not encrypted' in server.log), server.log
        server.add('Bob', one(1))
        done = db(home, 'encrypt')
        assert done.returncode == 0 and 'Encrypted 1 face' in done.stdout, done
        assert 'may not be encrypted in the older file' in done.stdout
        assert identity(server, 0) == ['Ann'] and identity(server, 1) == ['Bob']
        old = holds(home, vector)
        assert old and all(name.endswith('.gz') for name in old)
        with open(home / 'faces.db', 'rb') as file:
            assert struct.pack('<3f', *vector[:3]) not in file.read()
    assert db(home, 'encrypt', '--purge-backups').returncode == 0  # nothing to encrypt any more
    assert db(home, 'rotate-key', '--reencrypt', '--purge-backups').returncode == 0
    assert holds(home, vector) == []
    done = db(home, 'decrypt')
    assert done.returncode == 0 and 'remove database.encryption_key' in done.stdout, done
    assert holds(home, vector)
    with serve(home, key=None) as server:
        assert identity(server, 0) == ['Ann'] and identity(server, 1) == ['Bob']
    assert db(home, 'decrypt', key=None).returncode == 1


# ---- rotation

def test_rotation_while_serving(home):
    """All faces are encrypted again, with kills in between, while the service answers; then it restarts with the new
    key."""
    write_export(home / 'many.jsonl', 4000)
    assert db(home, 'import', 'many.jsonl').returncode == 0
    with serve(home) as server:
        server.add('Ann', one(0))
        words = command(home, 'rotate-key', '--new-key', str(home / 'second'), '--reencrypt')
        killed = 0
        for pause_s in (0.05, 0.1, 0.15):
            # pylint: disable-next=consider-using-with
            process = subprocess.Popen([FACE, *words, '--set', f'database.encryption_key={home / "first"}'],
                                       env=environment(home), cwd=home, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(pause_s)
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
            assert identity(server, 0) == ['Ann']
        assert killed > 0
        server.add('Bob', one(1))
        done = db(home, 'rotate-key', '--new-key', 'second', '--reencrypt')
        assert done.returncode == 0, done
        assert identity(server, 0) == ['Ann'] and identity(server, 1) == ['Bob']
        server.add('Cid', one(2))
        health = server.get('/health').json()
        assert health['status'] == 'healthy', health
    with serve(home) as server:  # the former key is valid until the service starts with the new one
        assert wait_for(lambda: 'the key of the gallery was changed' in server.log), server.log
        assert identity(server, 2) == ['Cid']
    with serve(home, key='second') as server:
        assert [identity(server, i) for i in range(3)] == [['Ann'], ['Bob'], ['Cid']]
    assert db(home, 'list').returncode == 1
    encryption = json.loads(db(home, 'stats', '--json', key='second').stdout)['encryption']
    assert encryption['encrypted_faces'] == 4003 and not encryption['unfinished'], encryption


def test_running_service_without_the_new_key(home):
    """A service that is left behind with a former key reports that, and continues when the key is there."""
    with serve(home) as server:
        server.add('Ann', one(0))
        assert db(home, 'rotate-key', '--new-key', 'second').returncode == 0
        assert db(home, 'encrypt', key='second').returncode == 0  # removes the former key
        assert identity(server, 0) == ['Ann']
        server.add('Bob', one(1))
        assert db(home, 'rotate-key', '--reencrypt', key='second').returncode == 0
        refused = server.ask('database/add', one(2), name='Cid')
        assert refused.status == 503 and 'key' in refused.json()['error'], refused
        os.replace(home / 'second', home / 'first')
        server.add('Cid', one(2))
        assert [identity(server, i) for i in range(3)] == [['Ann'], ['Bob'], ['Cid']]


def test_reload(home):
    """SIGHUP applies another key, which completes a rotation, and refuses one that does not open the gallery."""
    config = home / 'config.yaml'

    def configure(key):
        config.write_text(f'server: {{host: 127.0.0.1}}\ndatabase: {{encryption_key: {home / key}}}\n')

    configure('first')
    assert run(home, 'db', 'key', 'generate', home / 'third', program=FACE).returncode == 0
    with serve(home, key=None, arguments=['--config', str(config)]) as server:
        server.add('Ann', one(0))
        assert db(home, 'rotate-key', '--new-key', 'second', '--reencrypt').returncode == 0
        configure('third')
        server.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: 'Not reloaded' in server.log), server.log
        assert wait_for(lambda: 'database.encryption_key' in server.log) and db(home, 'stats').returncode == 0
        configure('second')
        server.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: 'can no longer be opened with former keys' in server.log), server.log
        assert db(home, 'stats').returncode == 1
        server.add('Bob', one(1))
        assert identity(server, 0) == ['Ann'] and identity(server, 1) == ['Bob']
        # The key was moved away after the start: other settings can still be changed.
        os.rename(home / 'second', home / 'away')
        server.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: 'a restart would fail' in server.log), server.log
        server.add('Cid', one(2))
        assert identity(server, 2) == ['Cid']


def test_reload_turns_encryption_on(home):
    config = home / 'config.yaml'
    config.write_text('server: {host: 127.0.0.1}\n')
    with serve(home, key=None, arguments=['--config', str(config)]) as server:
        server.add('Ann', one(0))
        config.write_text(f'server: {{host: 127.0.0.1}}\ndatabase: {{encryption_key: {home / "first"}}}\n')
        server.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: 'new faces of the gallery are encrypted' in server.log), server.log
        server.add('Bob', one(1))
        encryption = json.loads(db(home, 'stats', '--json').stdout)['encryption']
        assert encryption['encrypted_faces'] == encryption['plain_faces'] == 1, encryption


# ---- drills of backups

def test_backup_verify(home):
    done = db(home, 'list', key=None)
    with serve(home) as server:
        for number, name in enumerate(['Ann', 'Bob', 'Cid']):
            server.add(name, one(number))
    done = db(home, 'backup')
    good = done.stdout.strip()
    done = db(home, 'backup', 'verify')
    assert done.returncode == 0 and f'{good}: good\n' in done.stdout, done
    assert 'found again by a search: 3 of 3' in done.stdout
    report = json.loads(db(home, 'backup', 'verify', '--json').stdout)
    assert report['good'] and report['backups'][0]['up_to_date'] and report['backups'][0]['encrypted'] == 3
    assert report['backups'][0]['people'] == report['backups'][0]['gallery_people'] == 3
    # A truncated one, and one that needs another key; the good one is checked all the same.
    (home / 'short.db.gz').write_bytes((home / 'backups' / os.path.basename(good)).read_bytes()[:-40])
    assert db(home, 'rotate-key', '--new-key', 'second').returncode == 0
    assert db(home, 'encrypt', key='second').returncode == 0
    before = sorted(path.name for path in home.iterdir())
    done = db(home, 'backup', 'verify', './short.db.gz', good, key='second')
    assert done.returncode == 1 and done.stdout.count('NOT GOOD') == 2 and 'truncated' in done.stdout, done
    assert 'is encrypted with the key' in done.stdout
    assert sorted(path.name for path in home.iterdir()) == before
    assert db(home, 'backup', 'verify', key='second').returncode == 0
    done = db(home, 'backup', 'dance', key='second')
    assert done.returncode == 2, done


def test_backup_verify_without_backups(home):
    with serve(home, key=None) as server:
        server.add('Ann', one(0))
    for path in (home / 'backups').glob('*') if (home / 'backups').is_dir() else ():
        path.unlink()
    done = db(home, 'backup', 'verify', key=None)
    assert done.returncode == 1 and 'no backup yet' in done.stderr, done


def test_modes_are_tightened(home):
    with serve(home, key=None) as server:
        server.add('Ann', one(0))
    backup = db(home, 'backup', key=None).stdout.strip()
    os.chmod(backup, 0o644)
    os.chmod(home / 'faces.db', 0o644)
    done = db(home, 'list', key=None)
    assert done.returncode == 0 and 'permissions are now limited' in done.stderr, done
    assert "1 of the gallery's backups" in done.stderr
    assert os.stat(backup).st_mode & 0o777 == os.stat(home / 'faces.db').st_mode & 0o777 == 0o600
