"""The hailo-face command line, as far as it works without weights."""
import json
import os
import sqlite3

import pytest

from faces import PATTERNS, picture
from server import BINARY, FACE, Server, environment, png, run

SUBCOMMANDS = ['serve', 'detect', 'embed', 'recognize', 'compare', 'compare-devices', 'db', 'eval', 'bench', 'models', 'config',
               'selftest']

# The complete file of the predecessor service.
OLDER = '''server:
  host: "0.0.0.0"
  port: 5002
  debug: false
face_recognition:
  detection_model: scrfd_10g
  recognition_model: arcface_mobilefacenet
  embedding_dimension: 512
  recognition_threshold: 0.5
  max_faces: 10
  detection_threshold: 0.6
  device: 0
  batch_size: 1
  device_timeout_ms: 5000
  database_path: /var/lib/hailo-face/database
database:
  enabled: true
  db_file: /var/lib/hailo-face/faces.db
  backup_enabled: true
  backup_path: /var/lib/hailo-face/backups
  max_embeddings_per_identity: 10
performance:
  worker_threads: 2
  max_queue_size: 10
  request_timeout: 30
  warmup_enabled: false
  warmup_iterations: 3
resource_limits:
  memory_max: "3G"
  cpu_quota: "80%"
logging:
  level: INFO
  format: json
'''


@pytest.fixture
def face(tmp_path):
    """Runs hailo-face in an empty folder without models."""
    env = environment(tmp_path)
    env['HS_MODELS_DIR'] = str(tmp_path / 'models')
    own = ['--set', f'database.db_file={tmp_path}/gallery/faces.db', '--set', f'database.backup_path={tmp_path}/backups']
    return lambda *arguments, gallery=True: run(tmp_path, *(own if gallery else []), *arguments, program=FACE, env=env)


# ---- limits on the number of faces

@pytest.mark.parametrize('command', ['detect', 'recognize'])
def test_faces_of_several_files(face, tmp_path, command):
    (tmp_path / 'a.png').write_bytes(picture(*((PATTERNS[i], 20 + 210 * i, 100, 180 - 20 * i) for i in range(3))))
    for options, count in (([], 3), (['--max', '2'], 2), (['--conf', '.88'], 2), (['--conf', '0.95'], 0),
                           (['--max', '1', '--conf', '0'], 1)):
        done = face(command, 'a.png', '--json', '--device', 'sim', *options)
        assert done.returncode == 0, done
        response = json.loads(done.stdout)
        assert (response['count'], response.get('truncated', False)) == (count, '--max' in options), options
    for options in (['--max', '0'], ['--max', '1001'], ['--conf', '1.5']):
        done = face(command, 'a.png', '--device', 'sim', *options)
        assert done.returncode == 2 and f'{options[0]}: must be a ' in done.stderr, done


# ---- usage

@pytest.mark.parametrize('name', SUBCOMMANDS)
def test_help_of_a_subcommand(face, name):
    done = face(name, '--help', gallery=False)
    assert done.returncode == 0 and name in done.stdout and not done.stderr
    assert name in face('help', gallery=False).stdout


@pytest.mark.parametrize('arguments', [
    [], ['dance'], ['eval'], ['eval', '--pairs', 'p.csv'], ['eval', '--pairs', 'p.csv', '--images', '.', '--face', 'any'],
    ['bench', '--clients', '0'], ['selftest', 'extra'], ['detect'], ['detect', '--draw', 'a.jpg', 'x.png', 'y.png'],
    ['embed', '--draw', 'a.jpg', 'x.png'], ['embed', '--max', '1', 'x.png'], ['compare', '--max', '1', 'x.png', 'y.png'], ['detect', '--threshold', '0', 'x.png'],
    ['compare', 'one.png'], ['db', 'add', 'Ann'], ['db', 'add', 'Ann', 'a.png', '--gate', 'some'],
    ['db', 'import'], ['config', 'render'], ['config', 'show', 'more']], ids=lambda arguments: ' '.join(arguments) or 'nothing')
def test_usage_errors(face, tmp_path, arguments):
    (tmp_path / 'a.png').write_bytes(png())
    done = face(*arguments, gallery=False)
    assert done.returncode == 2, done
    assert done.stderr.startswith('hailo-face') and '\nusage: hailo-face ' in done.stderr and not done.stdout


@pytest.mark.parametrize('arguments', [['detect', 'a.png'], ['db', 'add', 'Ann', 'a.png'], ['bench', 'a.png'],
                                       ['eval', '--pairs', 'p.csv', '--images', '.']], ids=lambda arguments: arguments[0])
def test_missing_models_error_names_the_pull_command(face, tmp_path, arguments):
    (tmp_path / 'a.png').write_bytes(png())
    (tmp_path / 'p.csv').write_text('image1,image2,same\na.png,a.png,1\n')
    done = face(*arguments)
    assert done.returncode == 1 and 'models pull' in done.stderr


# ---- files

@pytest.mark.parametrize('text, line', [('x,y\n', 1), ('image1,image2,same\na.png,b.png,maybe\n', 2), ('image1,image2,same\n', 2)])
def test_bad_pairs_are_refused_with_their_line(face, tmp_path, text, line):
    (tmp_path / 'p.csv').write_text(text)
    done = face('eval', '--pairs', 'p.csv', '--images', '.')
    assert done.returncode == 1 and f'p.csv:{line}' in done.stderr


def test_folders_of_people(face, tmp_path):
    (tmp_path / 'people' / 'empty').mkdir(parents=True)
    (tmp_path / 'people' / 'a.png').write_bytes(png())
    done = face('db', 'import', 'people')
    assert done.returncode == 1 and 'contains no folder with pictures. Make one folder for each name.' in done.stderr
    done = face('db', 'add', 'Ann', 'people/empty')
    assert done.returncode == 1 and 'people/empty: no JPEG, PNG, WebP or BMP in it' in done.stderr
    assert 'absent' in face('db', 'import', 'absent').stderr


# ---- configuration

def test_every_key_of_the_older_service_is_known(face, tmp_path):
    (tmp_path / 'old.yaml').write_text(OLDER)
    done = face('config', 'check', '--config', 'old.yaml', gallery=False)
    assert done.returncode == 0 and not done.stderr, done
    reference = face('config', 'reference', gallery=False).stdout
    section = ''
    for line in OLDER.splitlines():
        if line.startswith(' '):
            assert f'`{section}.{line.split(":")[0].strip()}`' in reference
        else:
            section = line.rstrip(':')


def test_render_with_changes_keeps_the_order(face, tmp_path):
    (tmp_path / 'old.yaml').write_text(OLDER)
    done = face('config', 'render', 'deep/new.yaml', 'server.port=5003', 'server.debug=true', 'logging.level=DEBUG',
                'face_recognition.recognition_threshold=0.45', '--config', 'old.yaml', gallery=False)
    assert done.returncode == 0, done
    expected = OLDER.replace('port: 5002', 'port: 5003').replace('debug: false', 'debug: true').replace(
        'level: INFO', 'level: DEBUG').replace('recognition_threshold: 0.5', 'recognition_threshold: 0.45')
    assert (tmp_path / 'deep' / 'new.yaml').read_text() == expected


def test_render_makes_sections_and_keeps_what_it_does_not_know(face, tmp_path):
    (tmp_path / 'some.yaml').write_text('mine:\n  - a\n  - "5"\nserver:\n  port: 5002\n')
    done = face('config', 'render', 'new.yaml', 'logging.format=json', '--config', 'some.yaml', gallery=False)
    assert done.returncode == 0
    assert (tmp_path / 'new.yaml').read_text() == \
        'mine:\n  - a\n  - "5"\nserver:\n  port: 5002\nlogging:\n  format: json\n'


def test_render_of_the_defaults_reads_back_as_the_defaults(face, tmp_path):
    assert face('config', 'render', 'new.yaml', gallery=False).returncode == 0
    done = face('config', 'show', '--config', 'new.yaml', gallery=False)
    assert done.returncode == 0 and not done.stderr
    assert json.loads(done.stdout) == json.loads(face('config', 'show', gallery=False).stdout)


@pytest.mark.parametrize('change', ['server.port=70000', 'server.port', '=5', 'server.port.more=1', 'server.=1'])
def test_render_writes_nothing_that_would_not_be_accepted(face, tmp_path, change):
    done = face('config', 'render', 'new.yaml', change, gallery=False)
    assert done.returncode == 1 and 'Error: ' in done.stderr
    assert not (tmp_path / 'new.yaml').exists()


def test_debug_pretty_prints_responses(tmp_path):
    settings = {'database.db_file': tmp_path / 'faces.db', 'database.backup_path': tmp_path / 'b', 'server.debug': 'true'}
    with Server(tmp_path, settings=settings, program=[FACE, 'serve']) as server:
        body = server.get('/health').body.decode()
        assert '\n  "status": "healthy"' in body and body.endswith('}\n')


# ---- settings

def test_the_mirror_of_both_programs_can_be_named_by_one_variable(tmp_path):
    env = environment(tmp_path, HS_MODELS_MIRROR='/srv/mirror')
    for program in (BINARY, FACE):
        done = run(tmp_path, 'config', 'show', program=program, env=env)
        assert json.loads(done.stdout)['model']['mirror'] == '/srv/mirror'


# ---- selftest

def checks(done):
    report = json.loads(done.stdout)
    assert report['ok'] is (done.returncode == 0)
    return {check['name']: check for check in report['checks']}


def test_selftest_reports_missing_parts(face, tmp_path):
    done = face('selftest', '--json')
    assert done.returncode == 1
    found = checks(done)
    assert not found['models']['ok'] and 'models pull' in found['models']['mend']
    assert found['gallery']['ok'] and 'does not exist yet' in found['gallery']['detail']
    assert not (tmp_path / 'gallery').exists()


def test_selftest_does_not_change_the_gallery(face, tmp_path):
    (tmp_path / 'none.jsonl').write_text('')
    assert face('db', 'import', 'none.jsonl').returncode == 1, 'makes an empty gallery all the same'
    path = tmp_path / 'gallery' / 'faces.db'
    assert 'is intact: 0 people, 0 faces' in checks(face('selftest', '--json'))['gallery']['detail']
    with sqlite3.connect(path) as db:
        db.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    db.close()
    data = bytearray(path.read_bytes())
    data[4096:8192] = os.urandom(4096)
    path.write_bytes(data)
    gallery = checks(face('selftest', '--json'))['gallery']
    assert not gallery['ok'] and 'backup' in gallery['mend']
    assert path.read_bytes() == data and not list(path.parent.glob('*corrupt*'))


def test_selftest_needs_folders_that_can_be_written(face, tmp_path):
    (tmp_path / 'file').write_text('')
    done = face('selftest', '--json', '--set', f'database.backup_path={tmp_path}/file/backups')
    assert not checks(done)['backups']['ok']
    off = checks(face('selftest', '--json', '--set', 'database.enabled=false'))
    assert off['gallery']['ok'] and 'false' in off['gallery']['detail']
