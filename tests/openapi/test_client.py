"""Makes Python clients from the OpenAPI documents and uses them with real pictures and models. Needs
`tools/setup.sh api_tools`, the default models and the sample pictures."""
import os
import subprocess

import pytest

from faces import FACE, FaceServer
from server import BINARY, MODELS, TREE, Server, run, wait_for

TOOLS = os.path.join(TREE, '.deps', 'api-tools', 'bin')
SAMPLES = os.path.join(TREE, '.deps', 'samples')
FOLDER = os.path.dirname(os.path.abspath(__file__))

pytestmark = [
    pytest.mark.skipif(not os.path.exists(os.path.join(TOOLS, 'openapi-python-client')),
                       reason='openapi-python-client is not installed: tools/setup.sh api_tools'),
    pytest.mark.skipif(not os.path.isdir(MODELS) or not os.path.isdir(SAMPLES), reason='no models or samples: make demo'),
]


def test_documents_are_valid(tmp_path):
    for program in (BINARY, FACE):
        (tmp_path / 'api.json').write_text(run(tmp_path, 'openapi', '--defaults', program=program).stdout)
        done = subprocess.run([os.path.join(TOOLS, 'openapi-spec-validator'), '--schema', '3.1', 'api.json'], cwd=tmp_path,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def make_client(tmp_path, program):
    name = os.path.basename(program)
    (tmp_path / f'{name}.json').write_text(run(tmp_path, 'openapi', '--defaults', program=program).stdout)
    env = {**os.environ, 'PATH': f"{TOOLS}:{os.environ['PATH']}"}
    done = subprocess.run(
        [os.path.join(TOOLS, 'openapi-python-client'), 'generate', '--path', f'{name}.json', '--meta', 'none',
         '--output-path', name.replace('-', '_') + '_client'], cwd=tmp_path, env=env, capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_clients(tmp_path):
    for program in (BINARY, FACE):
        make_client(tmp_path, program)
    models = os.listdir(MODELS)
    if not any(name.startswith('scrfd') for name in models):
        pytest.skip('no models of hailo-face')
    pictures = [os.path.join(SAMPLES, name) for name in ('bus.jpg', 'obama.jpg', 'obama2.jpg')]
    with Server(tmp_path, device='cpu') as pose, FaceServer(tmp_path, device='cpu') as face:
        for server in (pose, face):
            wait_for(lambda server=server: server.get('/health/ready').status == 200, 120)
        done = subprocess.run(
            [os.path.join(TOOLS, 'python'), os.path.join(FOLDER, 'client_example.py'), pose.url, face.url, pictures[0],
             'Obama', *pictures[1:]], env={**os.environ, 'PYTHONPATH': str(tmp_path)}, capture_output=True, text=True,
            check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    people, names = done.stdout.splitlines()
    assert people in ('4 people', '5 people') and names == 'Obama'
