"""`tools/setup.sh configure`: when `make` configures the build folder. A fake meson records its arguments."""
import os
import subprocess

import pytest

from server import TREE

MESON = r'''#!/bin/sh
echo "$*" >> "$CALLS"
test -z "$FAILS" || { echo 'meson.build:1: ERROR: it failed'; exit 1; }
while test $# -gt 1; do test "$1" != --prefix || prefix=$2; shift; done
mkdir -p "$1/meson-info" && touch "$1/build.ninja"
printf '{"directories": {"source": "%s", "build": "%s/%s"}}' "$PWD" "$PWD" "$1" > "$1/meson-info/meson-info.json"
options='[{"name": "libdir", "value": "lib"}, {"name": "prefix", "value": "'$prefix'"}, {"name": "x", "value": "/y"}]'
test -z "$INDENT" || options=$(echo "$options" | sed 's/[{,] */&\n    /g')
echo "$options" > "$1/meson-info/intro-buildoptions.json"
'''


@pytest.fixture(name='clone')
def clone_fixture(tmp_path):
    clone = tmp_path / 'clone'
    (clone / 'tools').mkdir(parents=True)
    with open(os.path.join(TREE, 'tools', 'setup.sh'), encoding='utf-8') as script:
        (clone / 'tools' / 'setup.sh').write_text(script.read())
    (clone / 'tools' / 'setup.sh').chmod(0o755)
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / 'meson').write_text(MESON)
    (tmp_path / 'bin' / 'meson').chmod(0o755)
    return clone


def configure(clone, *arguments, code=0, **env):
    """Returns the calls of meson."""
    calls = clone.parent / 'calls'
    calls.write_text('')
    done = subprocess.run(['bash', clone / 'tools' / 'setup.sh', 'configure', *arguments], capture_output=True, text=True,
                          env={**os.environ, 'PATH': f'{clone.parent}/bin:{os.environ["PATH"]}', 'CALLS': str(calls), **env},
                          check=False)
    assert done.returncode == code, done
    return calls.read_text().splitlines(), done


@pytest.fixture(name='indent', params=['', '1'], ids=['one line', 'indented'], autouse=True)
def indent_fixture(request, monkeypatch):
    """meson 1.0 writes its options on one line, meson 1.7 indents them."""
    monkeypatch.setenv('INDENT', request.param)


def test_configures_once_and_after_changes(clone):
    assert configure(clone, 'build', '/usr/local', '-Dhailo=disabled')[0] == [
        'setup --prefix /usr/local -Dhailo=disabled build']
    assert configure(clone, 'build', '/usr/local', '-Dhailo=disabled')[0] == []
    assert configure(clone, 'build', '/opt/x')[0] == ['setup --reconfigure --prefix /opt/x build']
    assert configure(clone, 'build', '/opt/x')[0] == []
    moved = clone.rename(clone.with_name('moved'))
    calls, done = configure(moved, 'build', '/opt/x')
    assert calls == ['setup --reconfigure --prefix /opt/x build'] and 'the folder was moved' in done.stdout
    assert configure(moved, 'build', '/opt/x')[0] == []


def test_failure_prints_the_meson_output(clone):
    _, done = configure(clone, 'build', '/usr/local', code=1, FAILS='1')
    assert 'meson.build:1: ERROR: it failed' in done.stderr and 'cannot configure the build' in done.stderr


def test_the_prefix_of_the_build_folder_is_kept(clone):
    """`make install` uses the prefix of the build folder unless PREFIX is set."""
    with open(os.path.join(TREE, 'Makefile'), encoding='utf-8') as makefile:
        (clone / 'Makefile').write_text(makefile.read())

    def prefix(*arguments):
        done = subprocess.run(['make', '-n', 'uninstall', *arguments], cwd=clone, capture_output=True, text=True, check=True)
        return done.stdout.split('/lib/hailo-services')[0].split()[-1]

    assert prefix() == '/usr/local'
    configure(clone, 'build', '/opt/x')
    assert (prefix(), prefix('PREFIX=/opt/y'), prefix('DESTDIR=/tmp/root')) == ('/opt/x', '/opt/y', '/tmp/root/opt/x')


@pytest.mark.parametrize('code', [0, 1])
def test_a_log_takes_all_but_errors(clone, code):
    log = clone / '.deps' / 'setup.log'
    failing = {'FAILS': '1'} if code else {}
    _, done = configure(clone, 'build', '/usr/local', code=code, HS_SETUP_LOG=str(log), **failing)
    assert done.stdout.count('\n') == 1 and str(log) in done.stdout
    assert log.read_text() == '[setup] configuring build\n'
    assert ('it failed' in done.stderr) == bool(code)
    _, done = configure(clone, 'build', '/opt/x', code=code, HS_SETUP_LOG=str(log), **failing)
    assert not done.stdout and log.read_text().count('configuring') == 2
    assert ('it failed' in done.stderr) == bool(code)


@pytest.mark.parametrize('code', [0, 1])
def test_a_log_takes_the_progress_of_a_pull(clone, code):
    program = clone / 'program'
    program.write_text(f'#!/bin/sh\ntest "$2" = pull || exit 1\necho AGPL\necho trying >&2\nexit {code}\n')
    program.chmod(0o755)
    log = clone / '.deps' / 'setup.log'
    done = subprocess.run(['bash', 'tools/setup.sh', 'weights', program], cwd=clone, capture_output=True, text=True,
                          env={**os.environ, 'HS_SETUP_LOG': str(log)}, check=False)
    assert done.returncode == code and 'AGPL' in log.read_text() and 'AGPL' not in done.stdout, done
    assert ('trying' in done.stderr) == bool(code) and ('trying' in log.read_text()) == (not code), done
