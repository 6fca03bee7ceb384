"""A Hailo whose model is not available: `auto` and `device.fallback: cpu` start on the processor and report the
reason."""
import json
import os
import pathlib
import random

import pytest

from checkpoint import save
from faces import FaceServer
from server import BINARY, MODELS, TREE, Server, environment, png, run, wait_for
from test_hailo import FOLDER, HEF, Board
from repo import NAMES, checkpoint

HAS_BOTH = os.path.exists(os.path.join(FOLDER, 'hs_backend_hailo.so')) and \
    list(pathlib.Path(os.path.realpath(BINARY)).parent.glob('src/backends/hs_backend_openvino.so'))
pytestmark = pytest.mark.skipif(not HAS_BOTH, reason='built without the double of HailoRT, or without OpenVINO')

PAGE = f'''task: pose
title: A test
licence: {{name: MIT}}
input: {{width: 96, height: 96, stride: 32, std: [255, 255, 255]}}
decode: yolo-pose-raw
classes: [person]
keypoints: {{dims: 3, names: [{NAMES}], edges: []}}
'''
HAILO = '''hailo:
  - {runtime: "5.1", file: NAME-5.1.hef, scores: probabilities, sources: [{file: FOLDER/m.hef}]}
'''
CPU = '''openvino:
  file: NAME.onnx
  scores: logits
  sources:
    - file: FOLDER/best.pt
      convert: pt2onnx
'''


@pytest.fixture
def board(tmp_path):
    """m-pose has a file for HailoRT 5.1 and one for the processor, which is installed; c-pose has only the latter,
    installed; h-pose has only the former, not installed."""
    random.seed(5)
    board = Board(tmp_path, None)
    (tmp_path / 'packs').mkdir()
    (tmp_path / 'm.hef').write_bytes(HEF.replace(b'640 640', b'96 96'))
    (tmp_path / 'a.png').write_bytes(png())
    save(tmp_path / 'best.pt', checkpoint(8, ['person'], (17, 3)))
    for name, files in (('m-pose', HAILO + CPU), ('c-pose', CPU), ('h-pose', HAILO)):
        text = f'name: {name}\n' + PAGE + files.replace('NAME', name).replace('FOLDER', str(tmp_path))
        (tmp_path / 'packs' / f'{name}.yaml').write_text(text)
    board.env['HS_PACKS_DIR'] = str(tmp_path / 'packs')
    for name in ('m-pose', 'c-pose'):
        done = board.models('pull', name, '--backend', 'openvino')
        assert done.returncode == 0, done
    return board


def serve(board, device='auto', env=None, **settings):
    return Server(board.folder, device=device, env={**board.env, **(env or {})},
                  settings={'device.probe_interval': '0.2', **settings})


def install_hef(board):
    done = board.models('pull', 'm-pose', '--backend', 'hailo', '--runtime', '5.1')
    assert done.returncode == 0, done


def no_file_for_this_version(board):
    install_hef(board)
    board.env['HS_HAILO_DOUBLE_VERSION'] = '5.3.0'
    return 'hailo 5.3.0'


def not_installed(board):
    return '-pose --backend hailo --runtime 5.1'


def damaged(board):
    install_hef(board)
    (board.folder / 'models' / 'm-pose-5.1.hef').write_bytes(HEF + b'x')
    return 'has a wrong SHA-256'


@pytest.mark.parametrize('case', [no_file_for_this_version, not_installed, damaged], ids=lambda case: case.__name__)
@pytest.mark.parametrize('device', ['auto', 'hailo'])
def test_cpu_serves_from_the_start(board, case, device):
    reason = case(board)
    settings = {} if device == 'auto' else {'device.fallback': 'cpu'}
    if device == 'hailo':  # without a fallback the start fails
        done = run(board.folder, 'serve', '--device', 'hailo', '--host', '127.0.0.1', '--port', '0', env=board.env)
        assert done.returncode == 1 and reason in done.stderr
    with serve(board, device, **settings) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        health = server.get('/health').json()
        assert (health['device'], health['degraded'], health['model']) == ('cpu', device == 'hailo', health['model'])
        assert reason in health['detail']
        assert server.log.count('runs on the CPU: ') == 1 and reason in server.log
        response = server.post_form({'image': png()})
        assert response.status == 200 and response.json()['device'] == 'cpu'
        assert ('degraded' in response.json()) == (device == 'hailo')
    arguments = [f'--set={key}={value}' for key, value in settings.items()]
    done = run(board.folder, 'selftest', '--json', '--device', device, *arguments, env=board.env)
    failed = [each for each in json.loads(done.stdout)['checks'] if each['name'] == 'device' and not each['ok']]
    assert len(failed) == 1 and reason in failed[0]['detail'] and done.returncode == 1
    done = run(board.folder, 'detect', '--device', device, *arguments, 'a.png', env=board.env)
    assert done.returncode == 0 and reason in done.stderr, done


def test_hailort_installed_after_the_first_run(board):
    """Without HailoRT the processor answers; with HailoRT but only the processor's model, it still does; with the
    Hailo model the NPU answers."""
    with serve(board, env={'HS_BACKEND_DIR': str(board.folder / 'none')}) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        health = server.get('/health').json()
        assert health['device'] == 'cpu' and 'detail' not in health
    with serve(board) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        assert server.get('/health').json()['device'] == 'cpu'
    install_hef(board)
    with serve(board) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        health = server.get('/health').json()
        assert health['device'] == 'hailo' and 'detail' not in health


@pytest.mark.parametrize('kind, words', [('bad_model', 'another version'), ('mismatch', 'hailo-h10-all'),
                                         ('busy', 'another program')])
def test_auto_serves_while_the_device_is_unavailable(board, kind, words):
    """The device is present but fails when it is opened or loaded; when it works again, it answers."""
    install_hef(board)
    board.play(f'latency_ms: 2\nfaults: [{{kind: {kind}}}]')
    with serve(board, **{'model.name': 'm-pose'}) as server:
        response = server.post_form({'image': png()})
        assert response.status == 200 and response.json()['device'] == 'cpu', response
        assert words in server.get('/health').json()['detail']
        assert server.get('/health/ready').status == 200
        board.play('latency_ms: 2')
        wait_for(lambda: server.post_form({'image': png()}).json()['device'] == 'hailo')
        assert 'detail' not in server.get('/health').json()


def test_models_by_name(board):
    """A model without a file for the device also runs on the processor."""
    install_hef(board)
    with serve(board) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        assert server.post_form({'image': png()}).json()['device'] == 'hailo'
        response = server.post_form({'image': png(), 'model': 'c-pose'})
        assert response.status == 200 and response.json()['device'] == 'cpu', response
        assert server.post_form({'image': png(), 'model': 'h-pose'}).status == 404
    with serve(board, 'hailo') as server:
        assert server.post_form({'image': png(), 'model': 'c-pose'}).status == 404


def test_requests_that_no_other_model_may_serve(board):
    """A name that is not a model's; and with `auto`, a model that the processor cannot run."""
    for arguments in (['model.name=n-pose', 'device.fallback=cpu'], ['model.name=h-pose']):
        done = run(board.folder, 'serve', '--device', 'auto', '--host', '127.0.0.1', '--port', '0',
                   *[f'--set={each}' for each in arguments], env=board.env)
        assert done.returncode == 1 and arguments[0].removeprefix('model.name=') in done.stderr, done


def test_hint_names_the_pull_command(board):
    """On a machine without a Hailo, `models pull` alone fetches the processor's file."""
    done = run(board.folder, 'detect', '--device', 'hailo', '--set', 'model.name=m-pose', 'a.png', env=board.env)
    command = done.stderr.partition('get it with: ')[2].split('\n')[0].split()
    assert done.returncode == 1 and command[:3] == ['hailo-pose', 'models', 'pull'], done
    bare = {**board.env, 'HS_BACKEND_DIR': str(board.folder / 'none')}
    assert run(board.folder, *command[1:], env=bare).returncode == 0
    assert run(board.folder, 'detect', '--device', 'hailo', '--set', 'model.name=m-pose', 'a.png', env=board.env).returncode == 0


FACE_MODELS = [os.path.join(MODELS, name) for name in ('scrfd-2.5g.onnx', 'mobilefacenet-faceplugin.onnx')]
SAMPLE = os.path.join(TREE, '.deps', 'samples', 'zidane.jpg')


@pytest.mark.skipif(not all(os.path.exists(each) for each in [*FACE_MODELS, SAMPLE]), reason='needs weights and samples')
def test_gallery_built_on_cpu_stays_in_use(tmp_path):
    """People were enrolled on the processor; then the driver is installed. The gallery keeps the processor's
    embedder in use, because with the device's embedder no face would match."""
    def serve_faces(modules):
        env = environment(tmp_path, HS_BACKEND_DIR=str(modules))
        return FaceServer(tmp_path, device='auto', env=env)

    with open(SAMPLE, 'rb') as file:
        picture = file.read()
    with serve_faces(tmp_path / 'none') as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        response = server.post_form({'name': 'Ann', 'image': picture}, path='/v1/database/add')
        assert response.status == 200, response
    with serve_faces(FOLDER) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        health = server.get('/health').json()
        assert health['embedding_space'] == 'faceplugin-mobilefacenet-v1', health
        assert 'detail' in health and 'no installed model has it' not in server.log
        found = server.post_form({'image': picture}, path='/v1/recognize').json()
        assert 'Ann' in json.dumps(found), found
