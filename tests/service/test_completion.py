"""Man pages and completions contain all that the help contains, and work in their tools."""
import os
import re
import shutil
import subprocess

import pytest

from server import BINARY, FACE, run

PROGRAMS = {'hailo-pose': BINARY, 'hailo-face': FACE}
SHELLS = ('bash', 'zsh', 'fish')


@pytest.fixture(params=PROGRAMS)
def name(request):
    return request.param


@pytest.fixture
def output(tmp_path, name):
    """Runs the program and returns its standard output."""
    def call(*arguments):
        done = run(tmp_path, *arguments, program=PROGRAMS[name])
        assert done.returncode == 0 and not done.stderr, done
        return done.stdout
    return call


def section(text, title):
    found = re.search(rf'^{title}:\n(.*?)(?:\n\n|\Z)', text, re.M | re.S)
    return re.findall(r'^  (\S.*)', found[1], re.M) if found else []


def option_names(rows):
    return [name for row in rows for name in re.findall(r'--[a-z-]+', row.split('  ')[0])]


@pytest.fixture
def words(output):
    """Returns the commands with their actions and options, as the help lists them."""
    commands = {row.split()[0]: None for row in section(output('help'), 'Commands')}
    assert {'serve', 'detect', 'models', 'config', 'completion', 'help', 'version'} <= set(commands)
    for command in commands:
        text = output('help', command)
        commands[command] = (list(dict.fromkeys(row.split()[0] for row in section(text, 'Actions'))),
                             option_names(section(text, 'Options')), option_names(section(text, 'Options of every command')))
    assert 'pull' in commands['models'][0] and '--mirror' in commands['models'][1] and '--quiet' in commands['models'][2]
    return commands


def test_the_man_page_contains_each_word(output, words, name):
    page = output('help', '--man')
    for command, (actions, options, common) in words.items():
        part = re.search(rf'^\.SS "{re.escape(name)} {command}"\n(.*?)^\.S[SH]'.replace('-', r'\\-'), page, re.M | re.S)
        assert part, command
        for action in actions:
            assert f'\n\\fB{action}\\fR'.replace('-', '\\-') in part[1], (command, action)
        for option in options:
            assert f'\n\\fB{option}\\fR'.replace('-', '\\-') in part[1], (command, option)
        for option in common:
            assert f'\\fB{option}\\fR'.replace('-', '\\-') in page, option


@pytest.mark.parametrize('tool', [['groff', '-man', '-ww', '-z'], ['mandoc', '-T', 'lint', '-W', 'warning']], ids=lambda tool: tool[0])
def test_the_man_page_has_no_faults(output, tmp_path, tool):
    if not shutil.which(tool[0]):
        pytest.skip(f'{tool[0]} is not installed')
    (tmp_path / 'page.1').write_text(output('help', '--man'))
    done = subprocess.run([*tool, 'page.1'], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=30)
    # The page has no date, so that a build can be repeated.
    found = [line for line in (done.stdout + done.stderr).splitlines() if 'missing date' not in line]
    assert not found, found


@pytest.mark.parametrize('shell', SHELLS)
def test_a_completion_contains_each_word(output, words, shell):
    script = output('completion', shell)
    start = '-l ' if shell == 'fish' else '--'
    for command, (actions, options, common) in words.items():
        for word in (command, *actions):
            assert re.search(rf"(?<![\w-]){word}(?![\w-])", script), (command, word)
        for option in (*options, *common):
            assert re.search(rf"{start}{option[2:]}(?![\w-])", script), (command, option)


@pytest.mark.parametrize('shell', SHELLS)
def test_the_shell_can_read_it(output, tmp_path, shell):
    if not shutil.which(shell):
        pytest.skip(f'{shell} is not installed')
    (tmp_path / 'script').write_text(output('completion', shell))
    done = subprocess.run([shell, '-n', 'script'], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=30)
    assert (done.returncode, done.stderr) == (0, '')


@pytest.fixture
def complete(output, tmp_path, name):
    """Completes the last of the words as bash does. Returns the sorted suggestions."""
    (tmp_path / 'script').write_text(output('completion', 'bash'))
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here' / 'bus.jpg').write_text('')
    (tmp_path / 'here' / 'a folder').mkdir()

    def call(*line):
        quoted = ' '.join(f"'{word}'" for word in (name, *line))
        done = subprocess.run(['bash', '-c', f'source ../script; COMP_WORDS=({quoted}); COMP_CWORD={len(line)}; '
                               f'_{name.replace("-", "_")}; printf "%s\\n" "${{COMPREPLY[@]}}"'], capture_output=True,
                              text=True, check=True, cwd=tmp_path / 'here', timeout=30)
        assert not done.stderr
        return sorted(done.stdout.split('\n')[:-1]) if done.stdout != '\n' else []
    return call


def test_bash_completes_the_line(complete):
    assert complete('det') == ['detect']
    assert complete('models', '') == ['import', 'list', 'pull', 'ready', 'remove', 'verify']
    assert complete('models', 'v') == ['verify']
    assert complete('models', 'pull', '--m') == ['--mirror', '--models']
    assert complete('models', 'list', '--m') == ['--models']
    assert complete('--device', '') == ['auto', 'cpu', 'hailo', 'sim']
    assert complete('--device', '=', 'c') == complete('detect', '--device', 'c') == ['cpu']
    assert complete('--device', '=', 'cpu', 'con') == complete('--device', 'cpu', '-q', 'con') == ['config']
    assert complete('--models', 'det') == [] and complete('--models', '') == ['a folder']
    assert complete('detect', '') == ['a folder', 'bus.jpg'] and complete('detect', 'b') == ['bus.jpg']
    assert complete('serve', '') == [] and complete('serve', '--po') == ['--port']
    assert complete('serve', '--port', '') == []
    assert complete('help', 'conf') == ['config'] and complete('help', 'config', 's') == ['show']
    assert complete('--ver') == ['--verbose', '--version']


def test_fish_completes_the_line(output, tmp_path, name):
    if not shutil.which('fish'):
        pytest.skip('fish is not installed')
    (tmp_path / 'script').write_text(output('completion', 'fish'))
    for line, words in (('models ', ['import', 'list', 'pull', 'ready', 'remove', 'verify']), ('serve --po', ['--port']),
                        ('--device ', ['auto', 'cpu', 'hailo', 'sim'])):
        done = subprocess.run(['fish', '-N', '-c', f"source script; complete -C '{name} {line}'"], capture_output=True,
                              text=True, check=True, cwd=tmp_path, timeout=30, env={**os.environ, 'HOME': str(tmp_path)})
        assert [row.split('\t')[0] for row in done.stdout.splitlines()] == words
