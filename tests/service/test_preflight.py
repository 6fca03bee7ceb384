"""Reports about a missing or partly installed Hailo: by `selftest`, at the start of a service, by /health and
`models`. The machine is made up (HS_HOST_ROOT), and HailoRT is a double (tests/hailo)."""
import json
import os
import re
import shutil
import socket

import pytest

from server import FACE, MODELS, Server, environment, run
from test_hailo import FOLDER, HEF, assert_finds, blob, board, detect, wait_for  # pylint: disable=unused-import

HAILO = os.path.exists(os.path.join(FOLDER, 'hs_backend_hailo.so'))
WITH_DOUBLE = pytest.mark.skipif(not HAILO, reason='built without a C++ compiler, or with -Dhailo=disabled')
NO_DRIVER = 'Error: /dev/hailo0 not found\n→ Solution: Install Hailo driver (sudo apt install dkms hailo-h10-all)\n'


class Machine:
    """A made-up root folder."""

    def __init__(self, folder):
        self.root = folder / 'root'
        self.root.mkdir()

    def file(self, path, text=''):
        path = self.root / path.lstrip('/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')

    def board(self, speed='8.0 GT/s PCIe'):
        pci = '/sys/bus/pci/devices/0001:01:00.0'
        for name, text in (('vendor', '0x1e60'), ('device', '0x45c4'), ('current_link_speed', speed),
                           ('current_link_width', '1')):
            self.file(f'{pci}/{name}', text + '\n')
        self.file('/proc/device-tree/model', 'Raspberry Pi 5 Model B Rev 1.0\0')

    def driver(self, version='5.1.1'):
        self.file('/sys/module/hailo1x_pci/version', version + '\n')
        self.file('/dev/hailo0')

    def hold(self):
        """Another program has the device node open."""
        self.file('/proc/812/comm', 'hailo-ollama\n')
        (self.root / 'proc/812/fd').mkdir()
        (self.root / 'proc/812/fd/9').symlink_to('/dev/hailo0')

    def complete(self):
        self.board()
        self.driver()
        self.file('/usr/lib/libhailort.so.5.1.1')


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def selftest(folder, env, *arguments, program=None):
    """Runs selftest; returns the lines by name, or the exit code and the text."""
    options = {'program': program} if program else {}
    done = run(folder, 'selftest', '--json', *arguments, env=env, **options)
    report = json.loads(done.stdout)
    assert (done.returncode == 0) == report['ok']
    assert report['ok'] == all(line['ok'] for line in report['checks'])
    lines = {}
    for line in report['checks']:
        lines.setdefault(line['name'], []).append(line)
    return lines


def without(env, machine, folder, **more):
    """Returns the environment of a machine without modules, or only with those in `folder`."""
    env = {key: value for key, value in env.items() if key != 'HS_BACKEND_DIR'}
    return {**env, 'HS_HOST_ROOT': str(machine.root), 'HS_BACKEND_DIR': str(folder), **more}


# ---- selftest

def test_machine_without_hailo_passes(tmp_path, machine):
    lines = selftest(tmp_path, environment(tmp_path, HS_HOST_ROOT=str(machine.root)), '--device', 'auto')
    assert lines['hailo'][0]['ok'] and 'no Hailo device' in lines['hailo'][0]['detail']
    assert not {'node', 'driver', 'library', 'pcie'} & set(lines)
    # The settings do not require a Hailo.
    lines = selftest(tmp_path, environment(tmp_path, HS_HOST_ROOT=str(machine.root)), '--device', 'sim')
    assert not {'hailo', 'node', 'driver'} & set(lines)


@pytest.mark.parametrize('program', ['pose', 'face'])
def test_required_hailo_reports_what_is_missing(tmp_path, machine, program):
    env = environment(tmp_path, HS_HOST_ROOT=str(machine.root), HS_BACKEND_DIR=str(tmp_path / 'none'))
    more = {'program': FACE} if program == 'face' else {}
    lines = selftest(tmp_path, env, '--device', 'hailo', **more)
    for name, words, mend in (('node', '/dev/hailo0 not found', 'sudo apt install dkms hailo-h10-all'),
                              ('driver', 'no module hailo*', 'hailo-h10-all'),
                              ('library', "backend 'hailo' not found", 'backends build'),
                              ('pcie', 'no Hailo board', 'seat the board')):
        assert not lines[name][0]['ok'] and words in lines[name][0]['detail'] and mend in lines[name][0]['mend'], lines


def test_board_without_driver_fails_even_if_not_required(tmp_path, machine):
    machine.board()
    lines = selftest(tmp_path, environment(tmp_path, HS_HOST_ROOT=str(machine.root)), '--device', 'auto')
    assert not lines['node'][0]['ok'] and not lines['driver'][0]['ok'] and lines['pcie'][0]['ok']
    assert 'Raspberry Pi 5' in lines['machine'][0]['detail']


@WITH_DOUBLE
def test_complete_setup_passes(board, machine):
    machine.complete()
    board.add_model()
    board.play('temperature_c: 48.5')
    env = {**board.env, 'HS_HOST_ROOT': str(machine.root)}
    done = run(board.folder, 'selftest', '--device', 'hailo', '--set', 'model.name=mine', env=env)
    assert 'rule broken' not in done.stderr
    # The order of the lines for people. (The double does not find the person in the built-in picture; another test
    # covers that.)
    order = re.findall(r'^(?:ok  |FAIL) (\w+)', done.stdout, re.M)
    wanted = ['node', 'access', 'driver', 'library', 'firmware', 'pcie', 'users', 'hef', 'temperature']
    assert [name for name in order if name in wanted] == wanted, done.stdout
    for words in ('/dev/hailo0, owner ', 'hailo1x_pci 5.1.1', 'HailoRT 5.1.1', 'driver, firmware and library match',
                  'PCIe generation 3, 1 lane', 'no other program has the device open', '(mine) fits this device',
                  '48.5 degrees'):
        assert words in done.stdout, done.stdout


@WITH_DOUBLE
def test_versions_that_do_not_match(board, machine):
    machine.complete()
    machine.driver('5.2.0')
    lines = selftest(board.folder, {**board.env, 'HS_HOST_ROOT': str(machine.root)}, '--device', 'hailo')
    assert 'driver 5.2.0, firmware 5.1.1, library 5.1.1' in lines['firmware'][0]['detail']
    assert not lines['firmware'][0]['ok'] and 'one release' in lines['firmware'][0]['mend']
    machine.driver()
    lines = selftest(board.folder, {**board.env, 'HS_HOST_ROOT': str(machine.root),
                                    'HS_HAILO_DOUBLE_FIRMWARE': '5.3.0'}, '--device', 'hailo')
    assert 'firmware 5.3.0' in lines['firmware'][0]['detail'] and not lines['firmware'][0]['ok']


@WITH_DOUBLE
def test_device_held_by_another_program(board, machine):
    machine.complete()
    machine.hold()
    env = {**board.env, 'HS_HOST_ROOT': str(machine.root), 'HS_HAILO_DOUBLE_GROUP': 'theirs'}
    lines = selftest(board.folder, env, '--device', 'hailo')
    assert 'another program has' in lines['firmware'][0]['detail']
    assert 'stop hailo-ollama (pid 812)' in lines['firmware'][0]['mend']
    assert 'hailo-ollama (pid 812) has /dev/hailo0 open' in lines['users'][0]['detail']
    # Both programs share the device in the same group.
    lines = selftest(board.folder, env, '--device', 'hailo', '--set', 'device.group=theirs')
    assert lines['firmware'][0]['ok'], lines


@WITH_DOUBLE
def test_model_files_that_do_not_fit(board, machine):
    machine.complete()
    board.add_model(HEF, 'good')
    board.add_model(HEF.replace(b'640 640', b'320 320'), 'small')
    board.add_model(HEF, 'bad')
    bad = next((board.folder / 'models').glob('bad-*.hef'))
    bad.write_bytes(b'\x01HEF\n')
    lines = selftest(board.folder, {**board.env, 'HS_HOST_ROOT': str(machine.root)}, '--device', 'hailo')
    found = {re.search(r'(good|small|bad)-', line['detail'])[1]: line for line in lines['hef']}
    assert found['good']['ok'] and 'HailoRT 5.1.1' in found['good']['detail']
    assert not found['bad']['ok'] and 'SHA-256' in found['bad']['detail']
    board.play('faults: [{kind: bad_model, at: 1, count: 1}]')
    lines = selftest(board.folder, {**board.env, 'HS_HOST_ROOT': str(machine.root)}, '--device', 'hailo')
    refused = [line for line in lines['hef'] if 'compiled for another version' in line['detail']]
    assert len(refused) == 1 and not refused[0]['ok'] and 'models pull' in refused[0]['mend']


# ---- the start of a service

def test_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path, 'serve', '--device', 'sim', '--host', '127.0.0.1', '--port', port)
    assert done.returncode == 1
    assert f'Error: Address already in use (port {port})\n→ Solution: Change port in config or stop conflicting ' \
           'service\n' in done.stderr


def test_foreign_host_is_not_a_port_in_use(tmp_path):
    done = run(tmp_path, 'serve', '--device', 'sim', '--host', '192.0.2.1', '--port', '0')
    assert done.returncode == 1 and 'already in use' not in done.stderr and 'cannot listen' in done.stderr


@pytest.mark.parametrize('program', ['pose', 'face'])
def test_missing_model(tmp_path, program):
    env = environment(tmp_path)
    env['HS_MODELS_DIR'] = str(tmp_path / 'empty')
    more = {'program': FACE} if program == 'face' else {}
    done = run(tmp_path, 'serve', '--device', 'cpu', '--host', '127.0.0.1', '--port', '0', env=env, **more)
    file = {'pose': r'yolo11n-pose\.onnx', 'face': r'scrfd[^\']*\.onnx'}[program]
    assert done.returncode == 1
    assert re.search(rf"^Error: Cannot load model '{file}'\n→ Solution: Run `models pull`, or name the folder with --models\n",
                     done.stderr, re.M), done.stderr
    assert 'models pull' in done.stderr


def test_unknown_model(tmp_path):
    done = run(tmp_path, 'serve', '--device', 'cpu', '--host', '127.0.0.1', '--port', '0', '--set', 'model.name=none-such')
    assert done.returncode == 1 and "Error: Cannot load model 'none-such'\n" in done.stderr


@WITH_DOUBLE
def test_a_model_that_the_device_refuses(board):
    """The log reports it once, regardless of the number of attempts, and again when it is over."""
    board.add_model()
    board.play('latency_ms: 2\nfaults: [{kind: bad_model}]')
    server = board.serve()
    wait_for(lambda: 'ERROR' in server.log)
    wait_for(lambda: 'Solution' in server.log)
    assert 'hailo cannot run mine: the model file was compiled for another version of HailoRT' in server.log
    assert re.search(r"^Error: Cannot load model 'mine-\w+\.hef'\n→ Solution: Run `models pull`, or name the folder with --models$",
                     server.log, re.M), server.log
    board.play('latency_ms: 2')
    wait_for(lambda: 'hailo runs mine again' in server.log)
    assert server.log.count('cannot run mine') == 1


@WITH_DOUBLE
def test_log_names_the_process_that_holds_the_device(board, machine):
    machine.complete()
    machine.hold()
    board.add_model()
    board.env.update(HS_HOST_ROOT=str(machine.root), HS_HAILO_DOUBLE_GROUP='theirs')
    server = board.serve()
    wait_for(lambda: 'hailo-ollama (pid 812) has /dev/hailo0 open' in server.log)
    assert 'hailo cannot run mine: another program has exclusive use of the Hailo device' in server.log


@WITH_DOUBLE
def test_no_device_and_no_driver(board, machine):
    """The service reports it, keeps running, and starts to answer when the device appears."""
    board.add_model()
    board.play('latency_ms: 2\nfaults: [{kind: none}]')
    board.env['HS_HOST_ROOT'] = str(machine.root)
    server = board.serve()
    assert NO_DRIVER in server.log
    assert server.get('/health/ready').status == 503
    board.play('latency_ms: 2')
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert_finds(server, 200, 120, 96, 224)


@WITH_DOUBLE
@pytest.mark.parametrize('driver', [None, '5.2.0'])
def test_present_device_is_not_an_error(board, machine, driver):
    """Neither without its node nor with the driver of another version: HailoRT reports what it cannot use."""
    if driver:
        machine.complete()
        machine.driver(driver)
    board.add_model()
    board.env['HS_HOST_ROOT'] = str(machine.root)
    server = board.serve()
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert 'Error:' not in server.log


def test_log_reports_a_board_that_auto_cannot_use(tmp_path, machine):
    if not os.path.exists(os.path.join(MODELS, 'yolo11n-pose.onnx')):
        pytest.skip('the weights are not here')
    machine.board()
    env = environment(tmp_path, HS_HOST_ROOT=str(machine.root))
    with Server(tmp_path, device='auto', env=env) as server:
        assert re.search(r'WARNING: .*the processor does the work: /dev/hailo0 not found; Install', server.log)
        assert server.get('/health').json()['device'] == 'cpu'


# ---- without the library

def copy_module(folder, version=None):
    """Copies the module and the double beside it; with a version, the module needs a library of that version
    instead."""
    folder.mkdir(exist_ok=True)
    with open(os.path.join(FOLDER, 'hs_backend_hailo.so'), 'rb') as file:
        module = file.read()
    if version:
        assert b'libhailort.so.5.1.1\0' in module
        module = module.replace(b'libhailort.so.5.1.1\0', b'libhailort.so.%s\0' % version.encode())
    shutil.copy(os.path.join(FOLDER, 'libhailort.so.5.1.1'), folder)
    (folder / 'new').write_bytes(module)
    (folder / 'new').rename(folder / 'hs_backend_hailo.so')


MISSING = [(None, 'and neither is another version of HailoRT: sudo apt install hailo-h10-all'),
           ('5.2.0', 'libhailort.so.5.2.0 is: build the backend again with: backends build')]


@WITH_DOUBLE
@pytest.mark.parametrize('installed, words', MISSING)
def test_missing_library_is_reported_at_start(board, machine, installed, words):
    modules = board.folder / 'modules'
    copy_module(modules, '5.1.7')
    machine.board()
    machine.driver()
    if installed:
        machine.file(f'/usr/lib/libhailort.so.{installed}')
    board.add_model()
    board.env = without(board.env, machine, modules)
    server = board.serve()
    # The missing library is reported at the start, by /health/ready, and in the answer to a picture.
    assert 'libhailort.so.5.1.7 is not installed' in server.log and words in server.log
    wait_for(lambda: words in server.get('/health/ready').json().get('detail', ''))
    assert server.get('/health/ready').status == 503
    health = server.get('/health').json()
    assert words in health['detail'] and not health['model_loaded'], health
    answer = detect(server, blob(200, 120, 96, 224))
    assert answer.status == 503 and words in answer.json()['error']['message']
    lines = selftest(board.folder, board.env, '--device', 'hailo')
    assert not lines['library'][0]['ok'] and words in lines['library'][0]['detail']
    # After the module was built again, the service uses it without a restart.
    copy_module(modules)
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert_finds(server, 200, 120, 96, 224)
    assert 'detail' not in server.get('/health').json()


@WITH_DOUBLE
def test_missing_library_falls_back_to_cpu(board, machine):
    weights = os.path.join(MODELS, 'yolo11n-pose.onnx')
    if not os.path.exists(weights):
        pytest.skip('the weights are not here')
    modules = board.folder / 'modules'
    copy_module(modules, '5.1.7')
    board.add_model()
    for name in os.listdir(MODELS):
        if name.startswith('yolo11n-pose.onnx'):
            shutil.copy(os.path.join(MODELS, name), board.folder / 'models')
    board.env = without(board.env, machine, modules)
    server = board.serve(**{'device.fallback': 'cpu'})
    answer = detect(server, blob(200, 120, 96, 224))
    assert answer.status == 200, answer
    health = server.get('/health').json()
    assert health['device'] == 'cpu' and health['degraded'], health
    assert 'libhailort.so.5.1.7 is not installed' in health['detail']
    assert server.get('/health/ready').status == 200


@WITH_DOUBLE
def test_command_fails_without_the_library(board, machine):
    copy_module(board.folder / 'modules', '5.1.7')
    board.add_model()
    (board.folder / 'a.png').write_bytes(blob(200, 120, 96, 224))
    done = run(board.folder, 'detect', 'a.png', '--device', 'hailo', '--set', 'model.name=mine',
               env=without(board.env, machine, board.folder / 'modules'))
    assert done.returncode == 1 and 'libhailort.so.5.1.7 is not installed' in done.stderr


# ---- models by the runtime's version

PAGE = '''name: m-pose
task: pose
title: A test
licence: {name: MIT}
input: {width: 640, height: 640, stride: 32, mean: [0, 0, 0], std: [255, 255, 255], channels: rgb}
decode: yolo-pose-raw
classes: [person]
keypoints: {dims: 3, names: [a], edges: []}
hailo:
'''


@WITH_DOUBLE
@pytest.mark.parametrize('version, file', [('5.1.1', 'm-5.1.hef'), ('5.2.0', 'm-5.2.hef'), (None, 'm-5.1.hef')])
def test_models_pull_selects_the_file_for_the_runtime(board, machine, version, file):
    packs = board.folder / 'packs'
    packs.mkdir()
    mirror = board.folder / 'mirror'
    mirror.mkdir()
    page = PAGE
    for each in ('5.1', '5.2'):
        page += f'  - {{runtime: "{each}", file: m-{each}.hef, scores: probabilities, ' \
                f'sources: [{{https: "https://127.0.0.1:1/{each}.hef"}}]}}\n'
        (mirror / f'm-{each}.hef').write_bytes(HEF + each.encode())
    (packs / 'm-pose.yaml').write_text(page, encoding='utf-8')
    env = {**board.env, 'HS_PACKS_DIR': str(packs), 'HS_HOST_ROOT': str(machine.root)}
    if version:
        env['HS_HAILO_DOUBLE_VERSION'] = version
    else:
        env['HS_BACKEND_DIR'] = str(board.folder / 'none')
    done = run(board.folder, 'models', 'pull', '--device', 'hailo', '--mirror', mirror, env=env)
    assert done.returncode == 0 and f'{file},' in done.stdout, done
    installed = [each.name for each in (board.folder / 'models').glob('*.hef')]
    assert installed == [file]
    # That file is used.
    if version:
        with Server(board.folder, device='hailo', env=env, settings={'device.probe_interval': '0.2'}) as server:
            assert server.get('/health').json()['model'] == 'm-pose'


@WITH_DOUBLE
def test_library_without_a_module_reports_its_version(board, machine):
    packs = board.folder / 'packs'
    packs.mkdir()
    (packs / 'm-pose.yaml').write_text(
        PAGE + '  - {runtime: "5.1", file: a.hef, scores: probabilities, sources: [{https: "https://127.0.0.1/a"}]}\n',
        encoding='utf-8')
    machine.file('/usr/lib/libhailort.so.5.2.0')
    env = without(board.env, machine, board.folder / 'none', HS_PACKS_DIR=str(packs))
    done = run(board.folder, 'models', 'pull', '--device', 'hailo', env=env)
    assert done.returncode == 1 and 'no pose model for hailo 5.2.0' in done.stderr
