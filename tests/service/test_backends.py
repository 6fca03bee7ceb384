"""hailo-pose backends list and build. The module is built from the files of an installed tree, against the headers
and the library of the HailoRT double."""
import json
import os
import shutil
import subprocess

import pytest

from server import BINARY, FACE, TREE, environment, run
from test_hailo import FOLDER, HEF, assert_finds, board  # pylint: disable=unused-import

BUILD = os.path.dirname(BINARY)
DOUBLE = os.path.join(FOLDER, 'libhailort.so.5.1.1')
HEADERS = os.path.join(TREE, 'tests', 'hailo', 'include')

pytestmark = pytest.mark.skipif(not os.path.exists(DOUBLE) or not shutil.which('c++'),
                                reason='no C++ compiler, or built with -Dhailo=disabled')


@pytest.fixture
def sdk(tmp_path):
    """The files that Hailo's package installs below /usr."""
    folder = tmp_path / 'sdk'
    (folder / 'lib').mkdir(parents=True)
    shutil.copytree(HEADERS, folder / 'include')
    shutil.copy(DOUBLE, folder / 'lib')
    (folder / 'lib' / 'libhailort.so').symlink_to('libhailort.so.5.1.1')
    return folder


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """Runs `make install` into a folder."""
    if not shutil.which('meson') or not os.path.exists(os.path.join(BUILD, 'build.ninja')):
        pytest.skip('no meson, or not run from a build folder')
    root = tmp_path_factory.mktemp('installed')
    subprocess.run(['meson', 'install', '--no-rebuild', '-C', BUILD, '--destdir', str(root)], check=True,
                   stdout=subprocess.DEVNULL)
    return next(root.rglob('bin/hailo-pose'))


def env_of(folder, **more):
    env = {key: value for key, value in environment(folder, **more).items() if key != 'CXX' or 'CXX' in more}
    env['TMPDIR'] = str(folder / 'tmp')
    (folder / 'tmp').mkdir(exist_ok=True)
    return env


def build(folder, *arguments, program=BINARY, **more):
    done = run(folder, 'backends', 'build', *arguments, env=env_of(folder, **more), program=program)
    assert not list((folder / 'tmp').iterdir()), 'the folder of the work is left'
    return done


def left(folder):
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


def test_installed_files(installed):
    packs = installed.parent.parent / 'share' / 'hailo-services' / 'models'
    names = sorted(pack.name for pack in packs.iterdir())
    assert names == sorted(os.listdir(os.path.join(TREE, 'models')))
    env = env_of(installed.parent, HS_PACKS_DIR=str(packs))
    listed = run(installed.parent, 'models', 'list', '--json', env=env, program=str(installed))
    assert 'yolo11n-pose' in {pack['name'] for pack in json.loads(listed.stdout)['models']}


@pytest.mark.parametrize('name', ['hailo-pose', 'hailo-face'])
def test_from_an_installed_tree(tmp_path, installed, sdk, name):
    program = installed.with_name(name)
    out = tmp_path / 'deep' / 'out'
    if name == 'hailo-face':  # a package with only the library has only the versioned name
        (sdk / 'lib' / 'libhailort.so').unlink()
    done = build(tmp_path, '--sdk', sdk, '--output', out, program=program)
    assert done.returncode == 0, done
    assert f'{out}/hs_backend_hailo.so: built with ' in done.stdout and 'HailoRT 5.1.1' in done.stdout
    assert left(out) == ['hs_backend_hailo.so']
    # The module exports only its table, and all libraries it needs are present.
    names = subprocess.run(['nm', '-D', '--defined-only', out / 'hs_backend_hailo.so'], capture_output=True, text=True,
                           check=True).stdout
    assert [line.split()[-1] for line in names.splitlines()] == ['hs_backend_entry']
    done = run(tmp_path, 'backends', 'list', '--json', env=env_of(tmp_path, HS_BACKEND_DIR=str(out)), program=program)
    listed = {each['name']: each for each in json.loads(done.stdout)['backends']}
    assert listed['hailo']['available'] and listed['hailo']['version'] == 'HailoRT 5.1.1'
    assert listed['hailo']['file'] == f'{out}/hs_backend_hailo.so'


def test_built_module_serves_requests(board, sdk):
    """The built module replaces an older one."""
    out = board.folder / 'modules'
    out.mkdir()
    (out / 'hs_backend_hailo.so').write_text('the older one')
    done = build(board.folder, '--sdk', sdk, HS_BACKEND_DIR=str(out))  # the folder in which the programs search
    assert done.returncode == 0 and left(out) == ['hs_backend_hailo.so'], done
    board.add_model(HEF)
    board.env['HS_BACKEND_DIR'] = str(out)
    assert_finds(board.serve(), 200, 120, 96, 224)


@pytest.fixture
def quick(tmp_path):
    """A compiler without optimization, for modules that are never run."""
    compiler = tmp_path / 'quick'
    compiler.write_text('#!/bin/sh\nexec c++ "$@" -O0 -g0\n')
    compiler.chmod(0o755)
    return str(compiler)


@pytest.mark.parametrize('compiler', ['g++', 'clang++'])
def test_each_compiler_builds_without_warnings(tmp_path, sdk, compiler):
    if not shutil.which(compiler):
        pytest.skip(f'there is no {compiler}')
    done = build(tmp_path, '--sdk', 'sdk', '--output', 'out', CXX=compiler)
    assert done.returncode == 0 and f'built with {compiler} ' in done.stdout and not done.stderr


def test_failed_build_keeps_the_old_module(tmp_path, sdk, quick):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'hs_backend_hailo.so').write_text('the older one')
    source = sdk / 'include' / 'hailo' / 'infer_model.hpp'
    text = source.read_text()
    source.write_text(text.replace('get_async_queue_size', 'get_async_queue_size_of_5_9'))
    done = build(tmp_path, '--sdk', sdk, '--output', out, CXX=quick)
    assert done.returncode == 1 and 'model.cc with this HailoRT' in done.stderr
    assert 'get_async_queue_size' in done.stderr  # output of the compiler
    source.write_text(text.replace('hailo_status shutdown();', 'hailo_status shutdown(int more = 0);'))
    done = build(tmp_path, '--sdk', sdk, '--output', out, CXX=quick)
    assert done.returncode == 1 and 'check that library and headers have the same version' in done.stderr, done
    assert left(out) == ['hs_backend_hailo.so'] and (out / 'hs_backend_hailo.so').read_text() == 'the older one'


def fails(folder, words, *arguments, **more):
    out = folder / 'out'
    done = build(folder, '--output', out, *arguments, **more)
    assert done.returncode == 1 and words in done.stderr, done
    assert left(out) == []


def test_what_is_missing(tmp_path, sdk):
    bare = tmp_path / 'bare'
    bare.mkdir()
    fails(tmp_path, 'no C++ compiler found (c++, g++, clang++): sudo apt install g++', '--sdk', sdk, PATH=str(bare))
    fails(tmp_path, 'sudo apt install hailo-h10-all, or name', '--sdk', bare)
    fails(tmp_path, '--sdk: ', '--sdk', tmp_path / 'no-such-folder')
    shutil.rmtree(sdk / 'include' / 'hailo')
    fails(tmp_path, "cannot compile with HailoRT's headers (hailo/infer_model.hpp) in ", '--sdk', sdk)


def test_a_library_that_does_not_open(tmp_path, sdk, quick):
    """The module was built, but another library is found when it is loaded."""
    data = (sdk / 'lib' / 'libhailort.so.5.1.1').read_bytes()
    (sdk / 'lib' / 'libhailort.so.5.1.1').write_bytes(data.replace(b'libhailort.so.5.1.1\0', b'libhailort.so.5.1.7\0'))
    fails(tmp_path, 'libhailort.so.5.1.7 is not installed', '--sdk', sdk, CXX=quick)


def test_a_folder_that_cannot_be_written(tmp_path, sdk):
    (tmp_path / 'file').write_text('')
    done = build(tmp_path, '--sdk', sdk, '--output', tmp_path / 'file' / 'below')
    assert done.returncode == 1 and 'cannot write to ' in done.stderr and '--output' in done.stderr


def test_the_command_line(tmp_path):
    for arguments, words in (([], 'usage: hailo-pose backends ACTION '), (['make'], "unknown action 'make'")):
        done = run(tmp_path, 'backends', *arguments)
        assert done.returncode == 2 and words in done.stderr
    for program in (BINARY, FACE):
        done = run(tmp_path, 'backends', 'list', program=program)
        assert done.returncode == 0 and '\nsim ' in done.stdout and '(built in)' not in done.stdout
        assert '(built in)' in run(tmp_path, 'backends', 'list', '-v', program=program).stdout
