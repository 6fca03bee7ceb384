"""The emulated programs: which kernels a processor gets, and the service on the processor with a real network."""
import os
import pathlib
import subprocess

import pytest

from server import Server, multipart

TREE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('HS_BUILD_DIR', TREE / 'build-arm64'))


@pytest.mark.parametrize('cpu, kernels', [('cortex-a76', ['dotprod', 'neon', 'plain']),
                                          ('cortex-a53', ['neon', 'plain'])])
def test_kernels_that_were_compared(cpu, kernels):
    """The unit test compares those that the processor has, whatever they are; these are to be among them."""
    done = subprocess.run(['qemu-aarch64', BUILD / 'tests' / 'unit' / 'test_gallery_search_kernel'],
                          env={**os.environ, 'QEMU_CPU': cpu}, capture_output=True, text=True, check=True)
    assert [line[2:] for line in done.stdout.splitlines() if line.startswith('# ') and ':' not in line] == kernels


def test_the_service_finds_people(tmp_path):
    """With a smaller input, because it is emulated."""
    server = Server(tmp_path, device='cpu', settings={
        'inference.input_size': '[320, 320]', 'device.timeout': 600, 'performance.request_timeout': 600})
    picture = (TREE / '.deps' / 'samples' / 'zidane.jpg').read_bytes()
    body, content_type = multipart({'image': picture})
    answer = server.request('POST', '/v1/pose/detect', body, {'Content-Type': content_type}, timeout=600)
    assert answer.status == 200, answer
    assert answer.json()['count'] == 2
    assert answer.json()['device'] == 'cpu'
    assert server.get('/health/ready').status == 200
    server.stop()
