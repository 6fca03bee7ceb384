"""hailo-pose on the Hailo backend: the real module's code on a HailoRT double (tests/hailo), from the picture
through UINT8 and UINT16 tensors to the response. HS_HAILO_DIR is the build folder of both."""
import os
import signal
import time

import pytest

from server import BINARY, environment, png, run, wait_for

FOLDER = os.path.abspath(os.environ.get('HS_HAILO_DIR') or os.path.join(os.path.dirname(BINARY), 'tests', 'hailo'))
HEF = b'\x01HEF\nfinds poses\ninput 640 640\nreversed\n'

pytestmark = pytest.mark.skipif(not os.path.exists(os.path.join(FOLDER, 'hs_backend_hailo.so')),
                                reason='built without a C++ compiler, or with -Dhailo=disabled')


class Board:
    """A models folder with a HEF, and a script for the device."""

    def __init__(self, folder, make_server):
        self.folder = folder
        self.make_server = make_server
        self.script = folder / 'device.yaml'
        self.play('latency_ms: 2')
        self.env = environment(folder, HS_BACKEND_DIR=FOLDER, HS_HAILO_DOUBLE=str(self.script))
        self.env['HS_MODELS_DIR'] = str(folder / 'models')

    def play(self, text):
        """Replaces the device's script. It restarts for each program that looks for the device or opens it
        afterwards."""
        self.script.with_suffix('.new').write_text(text, encoding='utf-8')
        self.script.with_suffix('.new').replace(self.script)

    def models(self, *arguments):
        return run(self.folder, 'models', *arguments, env=self.env)

    def add_model(self, hef=HEF, name='mine'):
        (self.folder / f'{name}.hef').write_bytes(hef)
        done = self.models('import', self.folder / f'{name}.hef', '--name', name)
        assert done.returncode == 0, done.stderr

    def serve(self, **settings):
        return self.make_server(device='hailo', env=self.env,
                                settings={'model.name': 'mine', 'device.probe_interval': '0.2', **settings})


@pytest.fixture
def board(tmp_path, make_server):
    made = []

    def make(**options):
        made.append(make_server(**options))
        return made[-1]

    board = Board(tmp_path, make)
    yield board
    for server in made:
        if not server.process.stdout.closed:
            server.stop()
        assert 'rule broken' not in server.log, server.log


def blob(x, y, width, height, side=640, other=None):
    """Returns a dark picture with one white rectangle, which the double detects as a person."""
    return png(side, other or side,
               shade=lambda px, py: (255, 255, 255) if x <= px < x + width and y <= py < y + height else (16, 16, 16))


def detect(server, picture):
    return server.post_form({'image': picture})


def assert_finds(server, x, y, width, height, **picture):
    response = detect(server, blob(x, y, width, height, **picture))
    assert response.status == 200, response
    poses = response.json()['poses']
    assert len(poses) == 1 and len(poses[0]['keypoints']) == 17
    box = poses[0]['bbox']
    for key, wanted in (('x', x), ('y', y), ('width', width), ('height', height)):
        assert abs(box[key] - wanted) <= 3, (key, wanted, box)
    return response.json()


def test_a_picture_is_answered(board):
    board.add_model()
    server = board.serve()
    response = assert_finds(server, 200, 120, 96, 224)
    assert response['model'] == 'mine'
    assert server.get('/health').json()['device'] == 'hailo'
    # The input has one size, regardless of the picture's shape.
    assert_finds(server, 60, 100, 80, 160, side=480, other=320)
    assert_finds(server, 60, 100, 80, 160, side=320, other=480)
    assert not (board.folder / 'hailort.log').exists()


def test_a_tensor_without_one_scale(board):
    board.add_model(HEF + b'invalid sim/box_8\ninvalid sim/keypoints_16\n')
    assert_finds(board.serve(), 200, 120, 96, 224)


@pytest.mark.parametrize('kind, code, words', [('busy', 'device_in_use', 'another program'),
                                               ('none', 'no_device', 'no Hailo device found'),
                                               ('mismatch', 'not_ready', 'hailo-h10-all'),
                                               ('bad_model', 'not_ready', 'another version')])
def test_device_that_is_not_available_yet(board, kind, code, words):
    board.add_model()
    board.play(f'latency_ms: 2\nfaults: [{{kind: {kind}}}]')
    server = board.serve()
    response = detect(server, blob(200, 120, 96, 224))
    assert response.status == 503 and response.json()['error']['code'] == code
    assert words in response.json()['error']['message']
    ready = server.get('/health/ready')
    assert ready.status == 503 and words in ready.json()['detail']
    board.play('latency_ms: 2')
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert_finds(server, 200, 120, 96, 224)


def test_a_lost_device_comes_back(board):
    board.add_model()
    board.play('latency_ms: 2\nfaults: [{kind: lost, at: 2, count: 6}]')
    server = board.serve()
    assert_finds(server, 200, 120, 96, 224)
    lost = detect(server, blob(200, 120, 96, 224))
    assert lost.status == 503 and lost.json()['error']['code'] == 'device_lost'
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert_finds(server, 300, 220, 96, 224)


def test_hung_device_is_reopened(board):
    board.add_model()
    board.play('latency_ms: 2\nfaults: [{kind: hang, at: 2, count: 5}]')
    server = board.serve(**{'device.timeout': '0.2'})
    assert_finds(server, 200, 120, 96, 224)
    picture = blob(200, 120, 96, 224)
    assert detect(server, picture).status == 503
    wait_for(lambda: detect(server, picture).status == 200)  # more runs hang than there are slots
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert_finds(server, 300, 220, 96, 224)


SHUTDOWN_S = 10


@pytest.mark.parametrize('faults', ['[]', '[{kind: hang, at: 2, count: 3}]'])
def test_hung_chip_does_not_delay_shutdown(board, faults):
    """Each call that releases something on the chip takes a minute, in the second case after runs that hang."""
    board.add_model()
    board.env['HS_HAILO_DOUBLE_RELEASE_MS'] = '60000'
    board.play(f'latency_ms: 2\nfaults: {faults}')
    server = board.serve(**{'device.timeout': '0.2', 'server.shutdown_timeout': str(SHUTDOWN_S)})
    assert_finds(server, 200, 120, 96, 224)
    picture = blob(200, 120, 96, 224)
    wait_for(lambda: detect(server, picture).status == 200)
    start = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.finish() == 0
    assert time.monotonic() - start < SHUTDOWN_S + 5


def test_only_files_that_were_verified_are_loaded(board):
    board.add_model()
    file = next((board.folder / 'models').glob('mine-*.hef'))
    file.write_bytes(HEF + b'queue 3\n')
    done = run(board.folder, 'serve', '--device', 'hailo', '--host', '127.0.0.1', '--port', '0', '--set', 'model.name=mine',
               env=board.env)
    assert done.returncode != 0 and 'SHA-256' in done.stderr
