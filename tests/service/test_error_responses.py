"""Answers contain remedies for the client, and the log contains details for the administrator: answers have no SQL,
no library messages and no paths of this machine."""
import hashlib
import os
import pathlib
import re

import pytest

import onnx_bytes
from faces import one
from server import BINARY, TREE, Server, environment, png, wait_for

INSIDE = re.compile(r'SQLite|SELECT|INSERT|UPDATE|DELETE FROM|BEGIN|COMMIT|PRAGMA|[Ee]xception|\.cpp|; detail|'
                    r'database (disk image|is)|general error|HAILO_[A-Z]')


def check(response, folder, status=None):
    text = response.body.decode()
    assert status in (None, response.status), response
    assert not INSIDE.search(text) and str(folder) not in text and '/tmp' not in text, response
    return text


def test_a_damaged_gallery(make_face, tmp_path):
    server = make_face()
    for number in range(4):
        server.add(f'P{number}', one(number))
    for name in ('faces.db', 'faces.db-wal'):
        path = tmp_path / name
        path.write_bytes(b'\xee' * path.stat().st_size)
    identity = '/v1/database/identities/P1'
    for response in (server.request('DELETE', identity), server.get('/v1/database/list'), server.get(identity),
                   server.ask('database/add', one(9), name='new'), server.get(identity + '/embeddings')):
        assert 'the gallery file cannot be read or written' in check(response, tmp_path, 500)
        request_id = response.headers['X-Request-Id']
        assert wait_for(lambda wanted=request_id: re.search(rf'the gallery file .*; detail: .*\(SQLite \d+\) request_id={wanted}\n',
                                                                   server.log))


def test_deleted_gallery(make_face, tmp_path):
    server = make_face()
    server.add('Ann', one(0))
    for name in ('faces.db', 'faces.db-wal', 'faces.db-shm'):
        (tmp_path / name).rename(tmp_path / f'old-{name}')
    check(server.request('DELETE', '/v1/database/identities/Ann'), tmp_path, 500)
    check(server.get('/health'), tmp_path, 200)
    check(server.get('/health/ready'), tmp_path, 503)


def test_backups_are_named_without_their_folder(make_face, tmp_path):
    server = make_face()
    server.add('Ann', one(0))
    server.add('Bob', one(1))
    server.stop()
    server = make_face()  # the server starts with a backup
    assert wait_for(lambda: list((tmp_path / 'backups').glob('*.gz')))
    told = server.post_json({'name': 'Ann', 'purge_backups': True}, '/v1/database/remove')
    check(told, tmp_path, 200)
    assert told.json()['backup'] in os.listdir(tmp_path / 'backups')
    told = server.request('DELETE', '/v1/database/identities/Bob')
    check(told, tmp_path, 200)
    assert told.json()['older_backups'] and set(told.json()['older_backups']) <= set(os.listdir(tmp_path / 'backups'))


def broken_models(folder):
    """Packs with a file that the processor's runtime refuses, an absent file, and a different file."""
    packs, store = folder / 'packs', folder / 'store'
    packs.mkdir()
    store.mkdir()
    data = onnx_bytes.pose(side=640)
    with open(os.path.join(TREE, 'models', 'yolo11n-pose.yaml'), encoding='utf-8') as file:
        text = file.read()
    head = text[text.index('name:'):text.index('openvino:')]
    for name in ('broken', 'absent', 'other'):
        (packs / f'{name}.yaml').write_text(head.replace('yolo11n-pose', name, 1) + f'''openvino:
  file: {name}.onnx
  sha256: {hashlib.sha256(data).hexdigest()}
  scores: logits
  sources:
    - https: https://example.org/{name}.onnx
''', encoding='utf-8')
    (store / 'broken.onnx').write_bytes(data)
    (store / 'other.onnx').write_bytes(b'x')
    return environment(folder) | {'HS_MODELS_DIR': str(store), 'HS_PACKS_DIR': str(packs)}


def test_models_that_cannot_be_used(tmp_path):
    if not list(pathlib.Path(os.path.realpath(BINARY)).parent.glob('src/backends/hs_backend_openvino.so')):
        pytest.skip('no CPU backend in the build folder of the program under test')
    with Server(tmp_path, device='cpu', env=broken_models(tmp_path), settings={'model.name': 'broken'}) as server:
        assert wait_for(lambda: server.get('/health/ready').json().get('reason') == 'model_failed')
        assert 'broken.onnx' in check(server.get('/health/ready'), tmp_path, 503)
        assert 'broken.onnx' in check(server.get('/health'), tmp_path, 200)
        assert 'broken.onnx' in check(server.post_form({'image': png()}), tmp_path, 503)
        assert 'broken.onnx' in check(server.request('POST', '/v1/models/broken/load'), tmp_path)
        batch = server.post_form([('image', png()), ('image', b'x')], '/v1/pose/detect/batch')
        assert 'broken.onnx' in check(batch, tmp_path, 200)
        assert 'models pull absent' in check(server.post_form({'image': png(), 'model': 'absent'}), tmp_path, 404)
        assert 'other.onnx has a wrong SHA-256' in check(server.post_form({'image': png(), 'model': 'other'}), tmp_path)
        check(server.request('POST', '/v1/models/other/load'), tmp_path)
        quoted = server.post_json({'image': 'AAAA', 'model': '/etc/passwd'}).json()['error']['message']
        assert '"/etc/passwd"' in quoted, 'what the client sent is its own'
        assert str(tmp_path / 'store' / 'broken.onnx') in server.log and '; detail: ' in server.log


@pytest.mark.parametrize('data', [b'', b'\xff\xd8\xff\xe0' + bytes(40), b'\x89PNG\r\n\x1a\n' + bytes(40), b'RIFF' + bytes(40),
                                  b'BM' + bytes(40), b'GIF89a' + bytes(40), png()[:-30], bytes(100)])
def test_invalid_pictures(healthy, face, data, tmp_path):
    for server, path in ((healthy, '/v1/pose/detect'), (face, '/v1/detect'), (face, '/v1/recognize')):
        response = server.request('POST', path, data, {'Content-Type': 'image/jpeg'})
        check(response, tmp_path)
        assert 400 <= response.status < 500, response
