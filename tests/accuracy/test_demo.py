"""The output of `make demo` in a clone that is set up: few lines, no JSON, and commands that work."""
import json
import os
import re
import shlex
import subprocess

import pytest

from face_tools import PROGRAM as FACE
from face_tools import have_weights
from pose_tools import PROGRAM, SAMPLES, TREE, need

MS = r'  \d+ ms'


@pytest.fixture(scope='module', name='demo')
def demo_fixture():
    have_weights()
    need(SAMPLES / 'bus.jpg')
    done = subprocess.run(['tools/demo.sh', PROGRAM, FACE], cwd=TREE, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=500)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout.splitlines()


def test_the_demo_is_a_dozen_lines(demo):
    assert len(demo) <= 12 and not any('{' in line for line in demo), demo
    assert re.fullmatch(r'bus\.jpg +810x1080 +3 people' + MS, demo[0]), demo
    assert re.fullmatch(r'obama2\.jpg +1 face: Barack Obama \(0\.\d\d\)' + MS, demo[3]), demo
    assert re.fullmatch(r'zidane\.jpg +2 faces: Unknown, Unknown' + MS, demo[4]), demo


def test_the_demo_leaves_pictures_and_answers(demo):
    drawn = re.search(r'Annotated picture: (\S+)', '\n'.join(demo)).group(1)
    assert (TREE / drawn).read_bytes().startswith(b'\xff\xd8')
    assert json.loads((TREE / drawn).with_suffix('.json').read_text())['count'] == 3


def test_the_commands_of_the_demo_work(demo):
    commands = [line.strip() for line in demo if line.startswith('  ')]
    assert len(commands) == 3 and commands[2].startswith('make run '), demo
    env = {name: value for name, value in os.environ.items() if not name.startswith('HS_')}
    for command in commands[:2]:
        done = subprocess.run(shlex.split(command), cwd=TREE, capture_output=True, text=True, check=False, env=env,
                              stdin=subprocess.DEVNULL, timeout=500)
        assert done.returncode == 0 and not done.stderr, done
