"""The shell that starts a program does not change its behaviour: current folder, umask, locale, variables, and open
standard files."""
import json
import os
import shutil
import stat
import subprocess

import pytest

from server import BINARY, FACE, MODELS, Server, environment, may_run, png, run, wait_for

WEIGHTS = {BINARY: ['yolo11n-pose.onnx'], FACE: ['scrfd-2.5g.onnx', 'mobilefacenet-faceplugin.onnx']}
ROOT = os.geteuid() == 0
NOBODY = 65534
PROGRAMS = pytest.mark.parametrize('program', [BINARY, FACE], ids=['pose', 'face'])


def has_openvino():
    listed = subprocess.run([BINARY, 'backends', 'list', '--json'], capture_output=True, text=True, check=True).stdout
    return any(each['name'] == 'openvino' and each['available'] for each in json.loads(listed)['backends'])


def device_of(program):
    """Returns the processor if it can be used here, else the simulated device."""
    weights = all(os.path.exists(os.path.join(MODELS, name)) for name in WEIGHTS[program])
    return 'cpu' if weights and has_openvino() else 'sim'


def gallery_of(program, folder):
    return [] if program == BINARY else ['--set', f'database.db_file={folder}/faces.db', '--set',
                                         f'database.backup_path={folder}/backups']


def lines_of(text):
    """Returns the lines without times and sizes."""
    return [line.split()[:2] for line in text.splitlines()]


@pytest.fixture(name='place')
def place_fixture(tmp_path):
    """A world-writable folder, also below one of root."""
    for each in (tmp_path, tmp_path / 'open'):
        each.mkdir(exist_ok=True)
        each.chmod(0o777)
    for each in tmp_path.parents:
        if each.owner() != 'root' or not each.stat().st_mode & 0o001:
            each.chmod(each.stat().st_mode | 0o011)
    (tmp_path / 'open' / 'a.png').write_bytes(png())
    return tmp_path / 'open'


def changed(env, **more):
    return {key: value for key, value in {**env, **more}.items() if value is not None}


def locales():
    done = subprocess.run(['locale', '-a'], capture_output=True, text=True, check=False) if shutil.which('locale') else None
    return [name for name in (done.stdout.split() if done else []) if name.startswith(('tr_TR', 'de_DE'))][:2]


USUAL = {}  # output of each program in an ordinary shell

SHELLS = {
    'umask 077': {'umask': 0o077},
    'umask 000': {'umask': 0},
    'no HOME': {'env': {'HOME': None}},
    'HOME not writable': {'env': {'HOME': '/proc'}},
    'no TMPDIR': {'env': {'TMPDIR': '/not/there'}},
    'C': {'env': {'LC_ALL': 'C', 'LANG': None}},
    'unknown locale': {'env': {'LC_ALL': 'xx_YY.nothing'}},
    'no PATH': {'env': {'PATH': None}},
    'no environment': {'env': dict.fromkeys(os.environ)},
    **{name: {'env': {'LC_ALL': name}} for name in locales()},
}


@PROGRAMS
@pytest.mark.parametrize('shell', SHELLS)
def test_variables_and_umask(place, program, shell):
    shell = SHELLS[shell]
    device = device_of(program)
    env = environment(place)
    options = [*gallery_of(program, place), '--models', MODELS, '--set', f'inference.cache_dir={place}/compiled']
    usual, found = USUAL.get(program) or USUAL.setdefault(program, (
        run(place, 'selftest', '--device', device, *options, program=program, env=env),
        run(place, 'detect', 'a.png', '--device', 'sim', *options, program=program, env=env)))
    assert usual.returncode == 0 and found.returncode == 0, (usual, found)
    odd = {'env': changed(env, **shell.get('env', {})), 'umask': shell.get('umask', -1)}
    done = run(place, 'selftest', '--device', device, *options, program=program, **odd)
    assert (done.returncode, lines_of(done.stdout), done.stderr) == (0, lines_of(usual.stdout), usual.stderr)
    done = run(place, 'detect', 'a.png', '--device', 'sim', *options, program=program, **odd)
    assert done.returncode == 0 and count_of(done.stdout) == count_of(found.stdout)
    with Server(place, program=[program, 'serve'], env=odd['env'], arguments=options) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        response = server.post_form({'image': png()}, '/v1/pose/detect' if program == BINARY else '/v1/detect')
        assert response.status == 200 and response.json()['count'] == count_of(found.stdout)


def count_of(text):
    return json.loads(text)['count']


@PROGRAMS
@pytest.mark.parametrize('closed', [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_closed_standard_files(place, program, closed):
    """A file that is opened later does not get these descriptors, and is not overwritten."""
    closing = ' '.join(f'{fd}>&-' for fd in closed)
    options = [*gallery_of(program, place), '--models', MODELS, '--device', 'sim']
    for command in (['selftest'], ['detect', 'a.png'], ['config', 'check']):
        done = subprocess.run(['sh', '-c', f'exec "$@" {closing}', 'sh', program, *command, *options], cwd=place, check=False,
                              env=environment(place), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done
        assert bool(done.stdout) == (1 not in closed) and not done.stderr
    with Server(place, program=['sh', '-c', f'exec "$@" {" ".join(f"{fd}>&-" for fd in closed if fd != 1)}', 'sh', program,
                                'serve'], arguments=[*gallery_of(program, place), '--models', MODELS]) as server:
        standard = [os.readlink(f'/proc/{server.process.pid}/fd/{fd}') for fd in range(3)]
        assert all(standard[fd] == '/dev/null' for fd in closed if fd != 1)
        server.assert_healthy()


@PROGRAMS
def test_serve_leaves_its_folder(place, program):
    """Paths on the command line are relative to the start folder, which can be removed afterwards."""
    folder = place / 'started-here'
    folder.mkdir()
    shutil.copy(place / 'a.png', folder)
    (folder / 'script.yaml').write_text('')
    options = gallery_of(program, '.')
    with Server(folder, program=[program, 'serve'], arguments=options, device='sim:script.yaml') as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        assert os.readlink(f'/proc/{server.process.pid}/cwd') == '/'
        assert program == BINARY or (folder / 'faces.db').exists()
        folder.rename(place / 'moved')
        server.assert_healthy()


@PROGRAMS
def test_serve_in_a_removed_folder(place, program):
    """Paths of the settings cannot be resolved there."""
    (place / 'gone').mkdir()
    done = run(place, '-c', 'cd gone && rmdir ../gone && exec "$@"', 'sh', program, 'serve', '--device', 'sim', '--port', '0',
               '--set', 'inference.cache_dir=compiled', *gallery_of(program, place), program='/bin/sh')
    assert done.returncode == 1 and 'inference.cache_dir: cannot make compiled absolute' in done.stderr, done


@PROGRAMS
@pytest.mark.skipif(not ROOT, reason='needs another user, which only root can become')
def test_inaccessible_current_folder(place, program):
    """As `sudo -u hailo-pose hailo-pose selftest` in another user's home."""
    closed = place.parent / 'closed'
    closed.mkdir(mode=0o700)
    device = device_of(program)
    options = ['--device', device, '--models', MODELS, '--set', f'inference.cache_dir={place}/compiled',
               *gallery_of(program, place)]
    as_nobody = {'user': NOBODY, 'group': NOBODY, 'extra_groups': []}
    if not may_run(program, NOBODY, NOBODY):
        pytest.skip('the user nobody may not run the program')
    for command in (['selftest'], ['detect', f'{place}/a.png'], ['backends', 'list'], ['models', 'list']):
        done = subprocess.run([program, *command, *options], cwd=closed, env=environment(place), capture_output=True,
                              text=True, check=False, timeout=120, **as_nobody)
        assert done.returncode == 0 and 'terminate' not in done.stderr, done
    done = subprocess.run([program, 'detect', 'a.png', *options], cwd=closed, env=environment(place), capture_output=True,
                          text=True, check=False, timeout=120, **as_nobody)
    assert done.returncode == 1 and 'a.png: Permission denied' in done.stderr, done
    process = subprocess.Popen([program, 'serve', '--host', '127.0.0.1', '--port', '0', *options], cwd=closed,
                               env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               **as_nobody)
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if 'listening on ' in line:
                break
        else:
            raise AssertionError(''.join(lines))
    finally:
        process.terminate()
    assert process.communicate()[0] is not None and process.returncode == 0


@pytest.mark.skipif(not shutil.which('cc'), reason='no C compiler')
@pytest.mark.parametrize('name', ['auto', 'auto_batch', 'hetero', 'intel_gpu', 'intel_npu', 'intel_cpu'])
def test_no_code_is_loaded_from_the_current_folder(place, name):
    """OpenVINO would load a plugin of that name from there."""
    if device_of(BINARY) != 'cpu':
        pytest.skip('no weights, or no OpenVINO')
    source = place / 'plant.c'
    source.write_text('#include <fcntl.h>\n'
                      '__attribute__((constructor)) static void plant(void) { open("planted", O_CREAT | O_WRONLY, 0600); }\n')
    subprocess.run(['cc', '-shared', '-fPIC', '-o', place / f'libopenvino_{name}_plugin.so', source], check=True)
    for command in (['selftest'], ['detect', 'a.png']):
        done = run(place, *command, '--device', 'cpu', '--models', MODELS, '--set', f'inference.cache_dir={place}/compiled')
        assert done.returncode == 0, done
    assert not (place / 'planted').exists()


@PROGRAMS
def test_private_files_stay_private_under_any_umask(place, program):
    if program == BINARY:
        pytest.skip('it writes nothing private')
    options = gallery_of(program, place)
    with Server(place, program=['sh', '-c', 'umask 000; exec "$@"', 'sh', program, 'serve'], arguments=options) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
    assert stat.S_IMODE((place / 'faces.db').stat().st_mode) & 0o077 == 0
