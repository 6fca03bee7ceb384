"""The measurements of `bench`: counted and omitted rounds, against a scripted server and with the scripted device
in its own process."""
import json
import threading

import pytest

from file_server import LocalServer
from server import BINARY, FACE, environment, png, run
from test_devices import blob

STAGES = {BINARY: ['decode', 'preprocess', 'queue', 'inference', 'postprocess', 'total', 'round_trip'],
          FACE: ['decode', 'detect', 'embed', 'search', 'total', 'round_trip']}


class Scripted(LocalServer):
    """Answers with (status, headers, body) in turn, repeats the last one, and keeps the bodies."""

    def __init__(self):
        self.answers = []
        self.bodies = []
        self.count = 0
        self._lock = threading.Lock()
        super().__init__(self.response)

    def response(self, handler):
        body = handler.rfile.read(int(handler.headers['Content-Length']))
        with self._lock:
            status, headers, response = self.answers[min(self.count, len(self.answers) - 1)]
            self.bodies.append(body)
            self.count += 1
        handler.send_response(status)
        for key, value in {**headers, 'Content-Length': len(response)}.items():
            handler.send_header(key, value)
        handler.end_headers()
        handler.wfile.write(response)


@pytest.fixture(name='scripted')
def scripted_fixture():
    server = Scripted()
    yield server
    server.close()


def bench(folder, *arguments, program=BINARY, code=0):
    done = run(folder, 'bench', '--warm', 0, '--seconds', 60, '--json', *arguments, program=program,
               env=environment(folder))
    assert done.returncode == code, done
    return json.loads(done.stdout)


def test_refused_requests_are_not_counted_as_served(tmp_path, scripted):
    good, busy = (200, {}, b'{}'), (503, {'Retry-After': '1'}, b'{"error": "busy"}')
    scripted.answers = [good, busy, busy, good, good]
    report = bench(tmp_path, '--url', scripted.url, '--rounds', 5, code=1)
    assert (report['pictures'], report['failures'], scripted.count) == (3, 2, 5)
    # The report has seconds to 3 decimals and the rate to 2.
    slowest, fastest = 3 / (report['seconds'] + 5e-4), 3 / max(report['seconds'] - 5e-4, 1e-9)
    assert slowest - 0.005 <= report['pictures_per_second'] <= fastest + 0.005
    assert 'cpu_seconds_per_picture' not in report  # not known for a server
    scripted.answers = [busy]
    done = run(tmp_path, 'bench', '--warm', 0, '--seconds', 60, '--rounds', 2, '--url', scripted.url)
    assert done.returncode == 1 and 'no round succeeded: HTTP 503: {"error": "busy"}' in done.stderr
    scripted.answers = [good, busy]
    scripted.count = 0
    done = run(tmp_path, 'bench', '--warm', 0, '--seconds', 60, '--rounds', 2, '--url', scripted.url)
    assert done.returncode == 1 and '1 failed: HTTP 503: {"error": "busy"}' in done.stdout


def test_stage_times_come_from_the_answer(tmp_path, scripted):
    timing = {'Server-Timing': 'decode;dur=1.5, subtotal;dur=7, inference;desc="x";dur=3, '
                               'postprocess;dur=0.25;desc="y",total;dur=20'}
    scripted.answers = [(200, timing, b'{"timings_ms": {"preprocess": 2.5, "decode": 99}}')]
    stages = bench(tmp_path, '--url', scripted.url, '--rounds', 2)['stages_ms']
    assert list(stages) == STAGES[BINARY]
    for name, value in {'decode': 1.5, 'preprocess': 2.5, 'queue': 0, 'postprocess': 0.25, 'total': 20}.items():
        assert stages[name] == {'mean': value, 'p50': value, 'p95': value, 'p99': value}, name
    assert stages['round_trip']['p50'] > 0
    scripted.answers = [(200, {}, b'no JSON')]
    stages = bench(tmp_path, '--url', scripted.url, '--rounds', 1)['stages_ms']
    assert all(stages[name]['mean'] == 0 for name in STAGES[BINARY][:-1])


def test_given_pictures_are_sent_round_robin(tmp_path, scripted):
    scripted.answers = [(200, {}, b'{}')]
    pictures = [png(20 + i, 10) for i in range(3)]
    for i, data in enumerate(pictures):
        (tmp_path / f'{i}.png').write_bytes(data)
    bench(tmp_path, '--url', scripted.url, '--rounds', 6, '0.png', '1.png', '2.png')
    assert [[data in body for data in pictures] for body in scripted.bodies] == [
        [i % 3 == k for k in range(3)] for i in range(6)]
    assert all(b'name="image"' in body for body in scripted.bodies)
    scripted.bodies.clear()
    bench(tmp_path, '--url', scripted.url, '--rounds', 1)  # without pictures, the built-in one is used
    assert b'\xff\xd8\xff' in scripted.bodies[0] and len(scripted.bodies[0]) > 5000


@pytest.mark.parametrize('program', [BINARY, FACE], ids=['pose', 'face'])
def test_in_this_process(tmp_path, program):
    (tmp_path / 'good.png').write_bytes(blob(60, 40, 60, 150))
    (tmp_path / 'bad.png').write_text('no picture')
    report = bench(tmp_path, '--device', 'sim', '--rounds', 4, '--clients', 2, 'good.png', program=program)
    assert (report['pictures'], report['failures'], report['clients']) == (4, 0, 2)
    assert list(report['stages_ms']) == STAGES[program]
    assert report['stages_ms']['decode']['mean'] > 0 and report['cpu_seconds_per_picture'] > 0
    assert report['stages_ms']['total']['p50'] <= report['stages_ms']['round_trip']['p50']
    # Every other picture is refused, so the pictures named are the decoded ones.
    report = bench(tmp_path, '--device', 'sim', '--rounds', 4, 'good.png', 'bad.png', program=program, code=1)
    assert (report['pictures'], report['failures']) == (2, 2)
    done = run(tmp_path, 'bench', '--device', 'sim', 'absent.png', program=program)
    assert done.returncode == 1 and 'absent.png' in done.stderr and not done.stdout
