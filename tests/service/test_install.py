"""An installation works alone: after it is moved to another folder, it uses no file of the build folder or the
source tree."""
import json
import os
import re
import shutil
import subprocess

import pytest

from server import BINARY, MODELS, TREE, Server, environment, run

BUILD = os.path.dirname(BINARY)
SAMPLE = os.path.join(TREE, '.deps', 'samples', 'bus.jpg')
RUNTIME = os.path.join('lib', 'hailo-services', 'openvino')
BACKEND = os.path.join('lib', 'hailo-services', 'backends', 'hs_backend_openvino.so')


def install(root):
    """Installs as `make install` does. Returns the folder that PREFIX became."""
    subprocess.run(['meson', 'install', '--no-rebuild', '--strip', '-C', BUILD, '--destdir', str(root)], check=True,
                   stdout=subprocess.DEVNULL)
    return next(root.rglob('bin/hailo-pose')).parent.parent


@pytest.fixture(scope='module', name='prefix')
def prefix_fixture(tmp_path_factory):
    if not shutil.which('meson') or not os.path.exists(os.path.join(BUILD, 'build.ninja')):
        pytest.skip('no meson, or not run from a build folder')
    root = tmp_path_factory.mktemp('installed')
    return install(root / 'first').rename(root / 'moved')


@pytest.fixture(scope='module', name='models')
def models_fixture(tmp_path_factory, prefix):
    """The default weights, outside the source tree."""
    if not (prefix / BACKEND).exists():
        pytest.skip('built without OpenVINO')
    names = [name for name in ('yolo11n-pose.onnx', 'scrfd-2.5g.onnx', 'mobilefacenet-faceplugin.onnx')
             if os.path.exists(os.path.join(MODELS, name))]
    if not names:
        pytest.skip('no weights in .deps/models')
    folder = tmp_path_factory.mktemp('models')
    for name in os.listdir(MODELS):
        if os.path.isfile(os.path.join(MODELS, name)) and any(name.startswith(known) for known in names):
            shutil.copy(os.path.join(MODELS, name), folder)
    return folder


def programs_with_weights(models):
    found = [('hailo-pose', 'yolo11n-pose.onnx'), ('hailo-face', 'mobilefacenet-faceplugin.onnx')]
    return [program for program, weights in found if (models / weights).exists()]


def env_of(folder, models):
    return {**environment(folder), 'HS_MODELS_DIR': str(models)}


def test_man_pages_and_completions_are_in_their_places(prefix):
    if not os.path.exists(os.path.join(BUILD, 'share')):
        pytest.skip('the build could not run the programs: sanitizers, or another machine')
    for name in ('hailo-pose', 'hailo-face'):
        for path, begin in ((f'man/man1/{name}.1', '.TH "HAILO'),
                            (f'bash-completion/completions/{name}', f'# bash completion for {name},'),
                            (f'zsh/site-functions/_{name}', f'#compdef {name}\n'),
                            (f'fish/vendor_completions.d/{name}.fish', f'# fish completion for {name},')):
            text = (prefix / 'share' / path).read_text()
            assert text.startswith(begin) and 'selftest' in text, path


def test_no_file_names_the_source_tree(prefix):
    for path in prefix.rglob('*'):
        if path.is_file():
            data = path.read_bytes()
            assert TREE.encode() not in data and BUILD.encode() not in data, path


def test_installed_files_are_world_readable(prefix):
    for path in prefix.rglob('*'):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o555 == (0o555 if path.is_dir() or path.parent.name == 'bin' else 0o444 |
                                                   path.stat().st_mode & 0o111), path


def test_runtime_is_found_relative_to_the_backend(prefix):
    if not (prefix / BACKEND).exists():
        pytest.skip('built without OpenVINO')
    shown = subprocess.run(['readelf', '-d', prefix / BACKEND], capture_output=True, text=True, check=True).stdout
    assert re.findall(r'R(?:UN)?PATH\).*\[(.*)\]', shown) == ['$ORIGIN/../openvino']
    needed = re.findall(r'NEEDED.*\[(libopenvino.*)\]', shown)
    assert needed and all((prefix / RUNTIME / name).is_file() for name in needed)
    assert (prefix / RUNTIME / 'licenses' / 'LICENSE').is_file()


def test_both_programs_work(tmp_path, prefix, models):
    for program in programs_with_weights(models):
        done = run(tmp_path, 'selftest', '--json', '--device', 'cpu', '--set', f'model.dir={models}',
                   *(['--set', 'database.enabled=false'] if 'face' in program else []),
                   program=str(prefix / 'bin' / program), env=env_of(tmp_path, models))
        report = json.loads(done.stdout)
        assert done.returncode == 0 and report['ok'], done
        assert any(check['name'] == 'backend' and check['detail'].startswith('openvino: ') for check in report['checks'])
        if os.path.exists(SAMPLE):
            done = run(tmp_path, 'detect', SAMPLE, '--device', 'cpu', program=str(prefix / 'bin' / program),
                       env=env_of(tmp_path, models))
            assert done.returncode == 0 and json.loads(done.stdout), done


def test_a_running_service_uses_no_file_of_the_source_tree(tmp_path, prefix, models):
    """No such file is mapped or open, and none of its folders is the current one."""
    for program in programs_with_weights(models):
        server = Server(tmp_path, device='cpu', program=[str(prefix / 'bin' / program), 'serve'],
                        settings={'database.enabled': 'false'} if program == 'hailo-face' else None,
                        env=env_of(tmp_path, models), arguments=['--set', 'model.keep_alive=-1'])
        with server:
            while server.get('/health/ready').status != 200:
                server.assert_healthy()
            proc = f'/proc/{server.process.pid}'
            with open(f'{proc}/maps', encoding='utf-8') as maps:
                used = {line.split(None, 5)[5].strip() for line in maps if '/' in line}
            used |= {os.readlink(f'{proc}/fd/{fd}') for fd in os.listdir(f'{proc}/fd')}
            assert any(path.startswith(str(prefix / RUNTIME)) for path in used)
            assert not [path for path in used if path.startswith((TREE + '/', BUILD + '/'))]
            assert os.readlink(f'{proc}/cwd') == '/'


@pytest.mark.parametrize('program', ['hailo-pose', 'hailo-face'])
def test_a_runtime_that_is_missing_is_a_failure(tmp_path, prefix, models, program):
    broken = tmp_path / 'broken'
    shutil.copytree(prefix, broken, symlinks=True, ignore=lambda folder, names: ['openvino'] if 'openvino' in names else [])
    said = (f'OpenVINO is not installed with this program (looked in {broken}/lib/hailo-services/openvino). '
            'Run `make install` again')
    done = run(tmp_path, 'selftest', '--device', 'cpu', program=str(broken / 'bin' / program), env=env_of(tmp_path, models))
    assert done.returncode == 1 and f'FAIL backend     openvino: {said}\n' in done.stdout, done
    done = run(tmp_path, 'detect', __file__, program=str(broken / 'bin' / program), env=env_of(tmp_path, models))
    assert done.returncode == 1 and said in done.stderr, done
    (broken / BACKEND).unlink()
    done = run(tmp_path, 'selftest', '--device', 'cpu', program=str(broken / 'bin' / program), env=env_of(tmp_path, models))
    assert done.returncode == 1 and "FAIL backend     openvino: backend 'openvino' not found" in done.stdout, done
    # With another device, selftest passes.
    done = run(tmp_path, 'selftest', '--device', 'sim', *(['--set', 'database.enabled=false'] if 'face' in program else []),
               program=str(broken / 'bin' / program), env=env_of(tmp_path, models))
    assert done.returncode == 0 and 'FAIL' not in done.stdout, done


def test_uninstalling_leaves_nothing(tmp_path, prefix):
    target = tmp_path / 'root'
    shutil.copytree(prefix, target / 'opt', symlinks=True)
    (target / 'opt' / 'bin' / 'other').write_text('not ours')
    subprocess.run(['make', '-s', '-C', TREE, 'uninstall', f'DESTDIR={target}', 'PREFIX=/opt'], check=True,
                   stdout=subprocess.DEVNULL)
    assert [path.name for path in target.rglob('*') if path.is_file() or path.is_symlink()] == ['other']
