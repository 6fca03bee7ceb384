"""After a device is lost, the processor answers with the same result as alone, and within the request's deadline."""
import time

import pytest

from pose_tools import SAMPLES, need
from server import Server, wait_for

PIXELS, SCORE = 2, 0.01
TIMEOUT_S = 20
PATIENCE_S = 60


def ask(server, picture):
    began = time.monotonic()
    response = server.post_form({'image': picture, 'timeout': str(TIMEOUT_S)})
    assert response.status == 200, response
    assert time.monotonic() - began < TIMEOUT_S
    return response.json()


def same_people(found, wanted):
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted):
        for key in ('x', 'y', 'width', 'height'):
            assert one['bbox'][key] == pytest.approx(other['bbox'][key], abs=PIXELS)
        assert one['bbox_confidence'] == pytest.approx(other['bbox_confidence'], abs=SCORE)


def test_cpu_fallback_matches_cpu_results(tmp_path):
    pictures = [need(SAMPLES / name).read_bytes() for name in ('bus.jpg', 'zidane.jpg')]
    with Server(tmp_path, device='cpu') as server:
        wanted = [ask(server, picture)['poses'] for picture in pictures]
    script = tmp_path / 'lost.yaml'
    script.write_text('latency_ms: 300\nfaults: [{kind: lost, at: 2, for_ms: 12000}]\n', encoding='utf-8')
    settings = {'device.fallback': 'cpu', 'device.probe_interval': '0.2'}
    with Server(tmp_path, device=f'sim:{script}', settings=settings) as server:
        first = ask(server, pictures[0])
        assert first['device'] == 'sim' and 'degraded' not in first
        for picture, people in zip(pictures, wanted):
            response = ask(server, picture)
            assert response['device'] == 'cpu' and response['degraded'] is True
            same_people(response['poses'], people)
        assert server.get('/health/ready').status == 200
        wait_for(lambda: ask(server, pictures[0])['device'] == 'sim', PATIENCE_S)
