"""OpenVINO in the process: which cores its threads run on, and restarts that clients do not notice."""
import concurrent.futures
import contextlib
import os
import pathlib
import re

import pytest

from pose_tools import SAMPLES, need
from server import Server

REQUESTS_MAX = 400
RESTARTS = re.compile(r'^hailo_device_restarts_total\{.*\} (\d+)$', re.MULTILINE)
GROWTH_BYTES = 64 << 20


def bound_threads(process):
    """Returns how many threads of a process are bound to one core."""
    bound = 0
    for status in pathlib.Path(f'/proc/{process.pid}/task').glob('*/status'):
        with contextlib.suppress(OSError):  # the thread has ended
            bound += re.search(r'^Cpus_allowed_list:\s+\d+$', status.read_text(), re.MULTILINE) is not None
    return bound


@pytest.mark.parametrize('pin, bound', [('true', True), ('false', False)])
def test_threads_stay_on_their_cores(tmp_path, pin, bound):
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip('there is one core')
    picture = need(SAMPLES / 'zidane.jpg').read_bytes()
    most = 0
    with Server(tmp_path, device='cpu', settings={'inference.pin_threads': pin}) as server:
        assert server.post_form({'image': picture}).status == 200
        # A thread that is idle for a while exits.
        with concurrent.futures.ThreadPoolExecutor(1) as client:
            answers = [client.submit(server.post_form, {'image': picture}) for _ in range(10)]
            while not all(response.done() for response in answers):
                most = max(most, bound_threads(server.process))
            assert all(response.result().status == 200 for response in answers)
    assert (most > 0) == bound


def test_restart_is_transparent(tmp_path):
    """The memory limit is always exceeded: one restart per second, with four clients."""
    picture = need(SAMPLES / 'bus.jpg').read_bytes()
    with Server(tmp_path, device='cpu', settings={'inference.restart_above': '1M', 'inference.restart_pause': 1}) as server:
        people = server.post_form({'image': picture}).json()['poses']

        def ask():
            response = server.post_form({'image': picture})
            assert response.status == 200, response
            return response.json()['poses']

        resident, restarts = [], 0
        with concurrent.futures.ThreadPoolExecutor(4) as clients:
            for _ in range(REQUESTS_MAX // 8):
                for poses in clients.map(lambda _: ask(), range(8)):
                    assert [pose['bbox'] for pose in poses] == [pose['bbox'] for pose in people]
                count = int(RESTARTS.search(server.get('/metrics').body.decode())[1])
                if count > restarts:
                    restarts = count
                    resident.append(server.resident_bytes())
                if restarts >= 4:
                    break
        assert restarts >= 4
        assert resident[-1] < resident[0] + GROWTH_BYTES
        assert 'memory exceeded inference.restart_above' in server.log
