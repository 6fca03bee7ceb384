"""`selftest` of both programs: the list of checks, and that each of them can fail."""
import json
import os
import pty
import subprocess

import pytest

from server import BINARY, FACE, environment, run

PROGRAMS = pytest.mark.parametrize('program', [BINARY, FACE], ids=['pose', 'face'])


def selftest(folder, program, *arguments, code=0):
    if program == FACE:
        arguments += ('--set', f'database.db_file={folder}/faces.db', '--set', f'database.backup_path={folder}/backups')
    done = run(folder, 'selftest', '--json', *arguments, program=program)
    assert done.returncode == code, done
    report = json.loads(done.stdout)
    assert report['ok'] == (code == 0)
    return report['checks']


def named(checks, name):
    return [check for check in checks if check['name'] == name]


@PROGRAMS
def test_the_models_and_a_picture(tmp_path, program):
    checks = selftest(tmp_path, program, '--device', 'sim')
    devices = named(checks, 'device')
    assert len(devices) == (2 if program == FACE else 1)
    assert all(check['ok'] and 'ready after' in check['detail'] for check in devices)
    assert len(named(checks, 'models')) == len(named(checks, 'memory')) == 1
    [picture] = named(checks, 'picture')
    assert picture['ok'] and 'the scripted device found ' in picture['detail']


@PROGRAMS
def test_a_device_that_loads_nothing(tmp_path, program):
    (tmp_path / 'fails.yaml').write_text('faults: [{kind: bad_model}]\n')
    checks = selftest(tmp_path, program, '--device', 'sim:fails.yaml', code=1)
    assert [check['name'] for check in checks if not check['ok']] == ['device']
    assert not named(checks, 'picture')


def test_a_device_that_computes_nothing(tmp_path):
    (tmp_path / 'fails.yaml').write_text('faults: [{kind: error}]\n')
    checks = selftest(tmp_path, BINARY, '--device', 'sim:fails.yaml', '--set', 'device.fallback=none', code=1)
    assert [check['name'] for check in checks if not check['ok']] == ['picture']


def test_gallery_without_a_folder_is_not_opened(tmp_path):
    (tmp_path / 'file').write_text('')
    checks = selftest(tmp_path, FACE, '--device', 'sim', code=0)
    assert [check['ok'] for check in named(checks, 'gallery')] == [True]
    done = run(tmp_path, 'selftest', '--json', '--device', 'sim', '--set', f'database.db_file={tmp_path}/file/deep/faces.db',
               '--set', 'database.backup_enabled=false', program=FACE)
    checks = json.loads(done.stdout)['checks']
    assert done.returncode == 1
    assert [(check['ok'], 'cannot be created' in check['detail']) for check in named(checks, 'gallery')] == [(False, True)]


def on_terminal(folder, *arguments, **variables):
    """Returns what the program prints on a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([BINARY, *arguments], stdin=follower, stdout=follower, stderr=subprocess.DEVNULL,
                               env={**environment(folder, TERM='xterm'), **variables}, cwd=folder)
    os.close(follower)
    data = b''
    try:
        while piece := os.read(leader, 4096):
            data += piece
    except OSError:  # the other side is closed
        pass
    os.close(leader)
    process.wait(60)
    return data.decode()


def test_colours_are_for_terminals(tmp_path):
    arguments = ('selftest', '--device', 'sim')
    green = '\x1b[32mok  \x1b[0m machine '
    assert on_terminal(tmp_path, *arguments, NO_COLOR='').startswith(green)
    for more, variables in ((['--no-color'], {}), ([], {'NO_COLOR': '1'}), ([], {'TERM': 'dumb'})):
        assert on_terminal(tmp_path, *arguments, *more, **variables).startswith('ok   machine ')
    assert run(tmp_path, *arguments).stdout.startswith('ok   machine ')


def test_the_last_line_counts_the_failures(tmp_path):
    assert run(tmp_path, 'selftest', '--device', 'sim').stdout.endswith('\nAll checks passed\n')
    done = run(tmp_path, 'selftest', '--device', 'sim', '--models', tmp_path / 'none', '--set', 'model.name=none')
    assert done.returncode == 1 and done.stdout.endswith('\n1 check failed\n'), done
