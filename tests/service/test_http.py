"""HTTP: connections, bodies, methods, limits, slow clients."""
import http.client
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from server import b64, closed_by_peer, multipart, png, read_response

DETECT = '/v1/pose/detect'
PICTURE = png()
BODY, CONTENT_TYPE = multipart({'image': PICTURE})
POST = f'POST {DETECT} HTTP/1.1\r\nHost: x\r\nContent-Type: {CONTENT_TYPE}\r\n'.encode()


# ---- connections

def test_keep_alive(healthy):
    connection = http.client.HTTPConnection(*healthy.address, timeout=60)
    connection.connect()
    sock = connection.sock
    for _ in range(5):
        connection.request('GET', '/health')
        assert connection.getresponse().read()
        connection.request('POST', DETECT, BODY, {'Content-Type': CONTENT_TYPE})
        response = connection.getresponse()
        assert (response.status, response.version) == (200, 11)
        response.read()
        assert connection.sock is sock, 'the connection was closed'
    connection.close()


def test_keep_alive_after_an_error(healthy):
    connection = http.client.HTTPConnection(*healthy.address, timeout=60)
    for path, status in (('/nothing', 404), ('/health', 200), (DETECT, 405), ('/health', 200)):
        connection.request('GET', path)
        response = connection.getresponse()
        response.read()
        assert response.status == status
    connection.close()


def test_connection_close(healthy):
    with healthy.connect() as sock:
        sock.sendall(b'GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        assert read_response(sock).status == 200
        assert closed_by_peer(sock, 5)


def test_http_1_0(healthy):
    with healthy.connect() as sock:
        sock.sendall(b'GET /health HTTP/1.0\r\n\r\n')
        assert read_response(sock).status == 200
        assert closed_by_peer(sock, 5)


def test_pipelining(healthy):
    with healthy.connect() as sock:
        sock.sendall(b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n' * 3)
        received = b''
        while received.count(b'"uptime_seconds"') < 3:
            part = sock.recv(65536)
            assert part
            received += part
    assert received.count(b'HTTP/1.1 200') == 3


# ---- bodies

def chunked(data, size):
    return b''.join(b'%x\r\n' % len(data[i:i + size]) + data[i:i + size] + b'\r\n'
                    for i in range(0, len(data), size)) + b'0\r\n\r\n'


@pytest.mark.parametrize('size', [1, 7, 1000, 1 << 20])
def test_chunked(healthy, size):
    response = healthy.raw(POST + b'Transfer-Encoding: chunked\r\n\r\n' + chunked(BODY, size), 'POST')
    assert response.status == 200, response


def test_chunked_json(healthy):
    body = json.dumps({'image': b64(PICTURE)}).encode()
    response = healthy.raw(f'POST {DETECT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'.encode() +
                         chunked(body, 100), 'POST')
    assert response.status == 200, response


def test_body_in_single_bytes(healthy):
    with healthy.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = POST + b'Content-Length: %d\r\n\r\n' % len(BODY) + BODY
        for i in range(len(data)):
            sock.sendall(data[i:i + 1])
        assert read_response(sock, 'POST').status == 200


def test_expect_continue(healthy):
    with healthy.connect(10) as sock:
        sock.sendall(POST + b'Content-Length: %d\r\nExpect: 100-continue\r\n\r\n' % len(BODY))
        interim = b''
        while b'\r\n\r\n' not in interim:
            part = sock.recv(1)
            assert part, interim
            interim += part
        assert interim.startswith(b'HTTP/1.1 100 ')
        sock.sendall(BODY)
        assert read_response(sock, 'POST').status == 200


# ---- methods and paths

@pytest.mark.parametrize('path', ['/', '/nothing', '/v1', '/v1/pose', '/health/', '/HEALTH', '/v1/pose/detect/',
                                  '//health', '/health/../health', '/%68ealth/x'])
def test_unknown_path(healthy, path):
    response = healthy.get(path)
    assert response.status == 404
    assert response.headers['Content-Type'] == 'application/json; charset=utf-8'
    assert response.json()['error']['type'] == 'invalid_request_error'
    assert healthy.request('POST', path, b'x').status == 404


@pytest.mark.parametrize('method, path, allow', [
    ('POST', '/health', {'GET', 'HEAD'}), ('DELETE', '/v1/models', {'GET', 'HEAD'}), ('GET', DETECT, {'POST'}),
    ('HEAD', DETECT, {'POST'}), ('PUT', DETECT, {'POST'}), ('options', '/health', {'GET', 'HEAD'}),
    ('PATCH', '/health/ready', {'GET', 'HEAD'})])
def test_wrong_method(healthy, method, path, allow):
    response = healthy.request(method, path)
    assert response.status == 405
    assert {name.strip() for name in response.headers['Allow'].split(',')} == allow | {'OPTIONS'}
    if method != 'HEAD':
        assert response.json()['error']['type'] == 'invalid_request_error'


@pytest.mark.parametrize('path, allow', [('/health', {'GET', 'HEAD', 'OPTIONS'}), (DETECT, {'POST', 'OPTIONS'}),
                                         ('/v1/models/x/load?a=b', {'POST', 'OPTIONS'})])
def test_options(healthy, path, allow):
    response = healthy.request('OPTIONS', path)
    assert response.status == 204 and response.body == b'', response
    assert {name.strip() for name in response.headers['Allow'].split(',')} == allow
    assert not [name for name in response.headers if name.lower().startswith('access-control')]
    assert healthy.request('OPTIONS', '/nothing').status == 404


@pytest.mark.parametrize('path', ['/health/ready', '/v1/models', '/nothing'])
def test_head_has_the_headers_of_get(healthy, path):
    def headers(method):
        items = healthy.request(method, path).headers.items()
        return {name: value for name, value in items if name not in ('Date', 'X-Request-Id')}

    got = headers('GET')
    assert headers('HEAD') == got and int(got['Content-Length']) > 0


def test_absolute_form(healthy):
    """A client that uses the server as a proxy sends this form (RFC 9112, 3.2.2)."""
    host = '{}:{}'.format(*healthy.address)
    response = healthy.raw(f'GET http://{host}/health?x=1 HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode())
    assert response.status == 200 and response.json()['status'] == 'ok'
    response = healthy.raw(f'GET http://{host}/v1/models/none HTTP/1.1\r\nHost: other\r\n\r\n'.encode())
    assert response.status == 404


# ---- request id

def test_request_id_is_made(healthy):
    first, second = (healthy.get('/health').headers['X-Request-Id'] for _ in range(2))
    assert first and second and first != second


def test_request_id_comes_back(healthy):
    response = healthy.request('GET', '/nothing', headers={'X-Request-Id': 'abc-123_x.Y'})
    assert response.headers['X-Request-Id'] == 'abc-123_x.Y'


@pytest.mark.parametrize('value', ['x' * 5000, 'a b', '"quoted"', '<script>', '\xff'])
def test_request_id_of_a_bad_form_is_replaced(healthy, value):
    response = healthy.request('GET', '/health', headers={'X-Request-Id': value})
    assert response.status == 200
    assert re.fullmatch(r'[\w.:-]{1,128}', response.headers['X-Request-Id'])


@pytest.mark.parametrize('value', ['a\x7f', '\x01', 'a\x0bb'])
def test_control_characters_in_a_header_are_refused(healthy, value):
    """RFC 9110, 5.5."""
    response = healthy.raw(f'GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: {value}\r\n\r\n'.encode())
    assert response.status == 400 and 'control character' in response.json()['error']['message']
    assert re.fullmatch(r'[0-9a-f]{32}', response.headers['X-Request-Id'])


# ---- limits

def test_body_too_large_by_its_length(healthy):
    """The refusal is sent before the body arrives."""
    with healthy.connect() as sock:
        sock.sendall(POST + b'Content-Length: %d\r\n\r\n' % (1 << 40))
        response = read_response(sock, 'POST')
        assert response.status == 413
        assert response.json()['error']['type'] == 'invalid_request_error'


def test_body_too_large_with_expect(healthy):
    with healthy.connect() as sock:
        sock.sendall(POST + b'Content-Length: %d\r\nExpect: 100-continue\r\n\r\n' % (1 << 33))
        assert read_response(sock, 'POST').status == 413


def test_chunked_body_too_large(healthy):
    """A body of unknown length is refused at the limit, regardless of its length."""
    before = healthy.resident_bytes()
    block = b'100000\r\n' + b'x' * 0x100000 + b'\r\n'
    with healthy.connect() as sock:
        sock.sendall(POST + b'Transfer-Encoding: chunked\r\n\r\n')
        sent = 0
        try:
            while sent < 512:
                sock.sendall(block)
                sent += 1
        except OSError:
            pass  # the server has closed, which is allowed
        try:
            assert read_response(sock, 'POST').status == 413
        except (OSError, http.client.HTTPException):
            pass
    assert sent < 512
    assert healthy.resident_bytes() - before < 128 << 20


@pytest.mark.parametrize('extra', [b'X-Long: ' + b'a' * 200000 + b'\r\n', b'X-Many: b\r\n' * 20000],
                         ids=['long', 'many'])
def test_headers_too_large(healthy, extra):
    with healthy.connect() as sock:
        try:
            sock.sendall(b'GET /health HTTP/1.1\r\nHost: x\r\n' + extra + b'\r\n')
            assert read_response(sock).status == 431
        except (ConnectionResetError, BrokenPipeError):
            pass  # the response can be lost if the client continues to send


def test_header_just_past_the_limit_gets_431(healthy):
    response = healthy.raw(b'GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ' + b'a' * 20000 + b'\r\n\r\n')
    assert response.status == 431


def test_long_request_line(healthy):
    response = healthy.raw(b'GET /health?' + b'q' * 20000 + b' HTTP/1.1\r\nHost: x\r\n\r\n')
    assert response.status in (414, 431)


# ---- many and slow clients

def test_large_bodies_after_small_ones_on_kept_connections(healthy, picture):
    """Four clients send pictures of all sizes in turn, and wait for `100 Continue` as curl does."""
    small, _ = multipart({'image': picture})
    large, content_type = multipart({'image': picture, 'padding': b'x' * 2_600_000})

    def send(rounds=40):
        with healthy.connect(timeout=5) as sock:
            for i in range(rounds):
                body = large if i % 2 else small
                head = (f'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n'
                        f'Content-Length: {len(body)}\r\n')
                if body is large:
                    sock.sendall((head + 'Expect: 100-continue\r\n\r\n').encode())
                    assert sock.recv(64).startswith(b'HTTP/1.1 100 ')
                    for at in range(0, len(body), 65536):
                        sock.sendall(body[at:at + 65536])
                else:
                    sock.sendall((head + '\r\n').encode() + body)
                assert read_response(sock).status == 200
        return rounds

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: send(), range(4))) == [40] * 4


def test_health_answers_while_detect_is_busy(healthy):
    """The network thread answers /health, even if all workers are busy."""
    stop = threading.Event()

    def load():
        while not stop.is_set():
            healthy.post_form({'image': PICTURE})

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    times = []
    for _ in range(50):
        start = time.monotonic()
        assert healthy.get('/health').status == 200
        times.append(time.monotonic() - start)
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(times)[len(times) // 2] < 0.5


def test_idle_connections_do_not_block(healthy):
    sockets = [healthy.connect() for _ in range(50)]
    for i, sock in enumerate(sockets):
        sock.sendall(b'GET /health HT'[:i % 14])
    assert healthy.get('/health').status == 200
    for sock in sockets:
        sock.close()
