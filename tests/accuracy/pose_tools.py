"""Helpers of the accuracy tests: paths, and how to run the program."""
import json
import os
import pathlib
import subprocess

import pytest

TREE = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get('HS_BIN', str(TREE / 'build' / 'hailo-pose'))
MODELS = os.environ.get('HS_MODELS_DIR', str(TREE / '.deps' / 'models'))
SAMPLES = pathlib.Path(os.environ.get('HS_SAMPLES', TREE / '.deps' / 'samples'))
SHARED = pathlib.Path(os.environ.get('HS_SHARED', TREE.parent / 'shared'))

# Golden values are for float32 on the square input, because another number format rounds differently.
GOLDEN = ['--set', 'inference.rectangular=false', '--set', 'inference.precision=f32']


def run(*arguments, code=0, timeout=600):
    """Runs hailo-pose and returns its standard output."""
    done = subprocess.run([PROGRAM, *map(str, arguments), '--models', MODELS], capture_output=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == code, f'exit code {done.returncode}\n{done.stderr.decode()[-2000:]}'
    return done.stdout.decode()


def detect(picture, *arguments):
    """Returns the response for one picture."""
    return json.loads(run('detect', picture, '--json', *arguments))


def need(path):
    """Skips the test if a required file or folder does not exist."""
    if not pathlib.Path(path).exists():
        pytest.skip(f'{path} is not on this machine')
    return pathlib.Path(path)
