"""Tests emulated programs: the kernels chosen for a processor, and the service on the CPU with a real network."""
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
    """The unit test compares all kernels that the processor supports. These must be the expected ones."""
    done = subprocess.run(['qemu-aarch64', BUILD / 'tests' / 'unit' / 'test_gallery_search_kernel'],
                          env={**os.environ, 'QEMU_CPU': cpu}, capture_output=True, text=True, check=True)
    assert [line[2:] for line in done.stdout.splitlines() if line.startswith('# ') and ':' not in line] == kernels


def test_the_service_finds_people(tmp_path):
    """Uses a smaller input, because emulation is slow."""
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
