"""The examples of the help work in a clone after `make demo`."""
import os
import pathlib
import subprocess

import pytest

from pose_tools import need
from server import BINARY, FACE, TREE, environment

# Programs that run until they are stopped, and examples that need a data set, a Hailo or HailoRT.
OTHERS = ('serve ', 'eval ', 'backends build')
COMMANDS = {BINARY: ('detect', 'bench', 'compare-devices', 'models', 'keys', 'backends', 'config', 'selftest',
                     'completion', 'help'),
            FACE: ('db', 'detect', 'embed', 'recognize', 'compare', 'bench', 'compare-devices', 'models', 'keys', 'selftest')}


@pytest.mark.parametrize('program', COMMANDS, ids=os.path.basename)
def test_examples(program, tmp_path):
    for file in ('samples/bus.jpg', 'samples/obama.jpg', 'samples/obama2.jpg', 'models/yolo11n-pose.onnx',
                 'models/mobilefacenet-faceplugin.onnx'):
        need(pathlib.Path(TREE, '.deps', file))
    (tmp_path / '.deps').mkdir()
    for folder in ('samples', 'models'):
        (tmp_path / '.deps' / folder).symlink_to(os.path.join(TREE, '.deps', folder))
    (tmp_path / 'build').symlink_to(os.path.dirname(program))
    program = f'build/{os.path.basename(program)}'
    env = environment(tmp_path)
    for name in ('HS_MODELS_DIR', 'HAILO_FACE_DATABASE_DB_FILE'):
        del env[name]
    ran = 0
    for command in COMMANDS[os.path.join(os.path.dirname(BINARY), os.path.basename(program))]:
        text = subprocess.run([program, 'help', command], capture_output=True, text=True, check=True, cwd=tmp_path, env=env,
                              timeout=60).stdout
        lines = [line.strip() for line in text.split('\nExamples:\n')[1].splitlines() if not line.startswith('  # ')]
        assert lines and all(line.startswith(f'{program} {command}') for line in lines), lines
        for line in lines:
            if line[len(program) + 1:].startswith(OTHERS) or '--device hailo' in line:
                continue
            done = subprocess.run(['bash', '-c', line], capture_output=True, text=True, check=False, cwd=tmp_path, env=env,
                                  timeout=300)
            # The scripted device does not find what the processor finds.
            assert done.returncode == (1 if '--device sim' in line else 0), (line, done)
            assert done.stdout, line
            ran += 1
    assert ran >= len(COMMANDS)
    if 'face' in program:
        assert (tmp_path / '.deps' / 'gallery' / 'faces.db').exists()
