"""Clients that connect and stop, send half a request, or do not read: they use few resources and delay no other
client."""
import gzip
import json
import os
import select
import socket
import struct
import threading
import time
import zlib

import pytest

from server import BINARY, Server, b64, keeps_freed_memory, multipart, png, png_chunk, read_response, wait_for

GET = b'GET /health HTTP/1.1\r\nHost: x\r\n'
BODY, CONTENT_TYPE = multipart({'image': png()})
POST = b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Type: ' + CONTENT_TYPE.encode() + b'\r\n'
STARTS = {
    'nothing': b'',
    'line': b'GET /health HTTP/1.1\r\n',
    'arguments': b'GET /health?' + b'&' * 8000 + b' HTTP/1.1\r\n',
    'cookie': GET + b'Cookie: ' + b'c' * 10000 + b'\r\n',
    'half-headers': GET + b'X-Half: a',
    'arguments-whole': b'GET /health?' + b'&' * 8000 + b' HTTP/1.1\r\nHost: x\r\n\r\n',
    'half-body': POST + b'Content-Length: %d\r\n\r\n' % len(BODY) + BODY[:-100],
    'half-chunk': POST + b'Transfer-Encoding: chunked\r\n\r\n' + b'%x\r\n' % len(BODY) + BODY[:-100],
    'garbage': bytes(range(256)) * 4,
}
COUNT = 10_000


def descriptors(server):
    """Returns the number of descriptors once only the listening socket is left."""
    def targets():
        folder = f'/proc/{server.process.pid}/fd'
        return [os.readlink(f'{folder}/{name}') for name in os.listdir(folder)]

    def quiet():
        try:
            links = targets()
        except FileNotFoundError:
            return None  # closed in the meantime
        return links if sum(link.startswith('socket:') for link in links) == 1 else None

    return len(wait_for(quiet))


def threads(server):
    return len(os.listdir(f'/proc/{server.process.pid}/task'))


@pytest.fixture(scope='module')
def target(tmp_path_factory):
    settings = {'logging.level': 'WARNING', 'server.max_connections': 300}
    with Server(tmp_path_factory.mktemp('target'), settings=settings) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        for _ in range(20):
            server.post_form({'image': png()})
        yield server


def begin(server, data, count):
    """Opens connections and closes each one as soon as its bytes are with the kernel."""
    for _ in range(count):
        sock = socket.socket()
        try:
            sock.connect(server.address)
            if data:
                sock.send(data)
        except OSError:
            pass  # possibly closed already, to make room
        sock.close()


@pytest.mark.parametrize('kind', STARTS)
def test_incomplete_requests_leave_nothing(target, kind):
    begin(target, STARTS[kind], 500)
    before = (descriptors(target), threads(target))
    resident = target.resident_bytes()
    begin(target, STARTS[kind], COUNT)
    assert (descriptors(target), threads(target)) == before
    assert keeps_freed_memory() or target.resident_bytes() - resident < 4 << 20
    target.assert_healthy()


def test_silent_connections_do_not_block_others(target):
    """Many more than the server has places, some in the middle of their headers."""
    sockets = []
    try:
        for i in range(4000):
            sock = socket.create_connection(target.address, timeout=20)
            sockets.append(sock)
            if i % 4 == 0:
                try:
                    sock.send(GET)
                except OSError:
                    pass
            if i % 500 == 499:
                start = time.monotonic()
                assert target.get('/health', timeout=20).status == 200
                assert time.monotonic() - start < 5
        assert target.metric('connections') <= 300
    except OSError as error:
        if error.errno == 24:
            pytest.skip('this process may not open 4,000 sockets')
        raise
    finally:
        for sock in sockets:
            sock.close()


def keep_sending(sockets, piece, stop):
    """1.4 KiB/s each: more than a body's least rate."""
    while not stop.wait(0.5):
        for sock in list(sockets):
            try:
                sock.send(piece)
            except OSError:
                sockets.remove(sock)  # closed by the server to make room


@pytest.mark.parametrize('framing, piece', [(b'Content-Length: 30000000', b'x' * 700),
                                            (b'Transfer-Encoding: chunked', b'2bc;extension\r\n' + b'x' * 700 + b'\r\n')],
                         ids=['length', 'chunks'])
def test_slow_bodies_do_not_block_others(tmp_path, framing, piece):
    """As many as the server has places; the timeouts allow each of them minutes."""
    settings = {'server.max_connections': 20, 'server.body_timeout': 600, 'server.body_idle_timeout': 600}
    with Server(tmp_path, settings=settings) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        stop, sockets = threading.Event(), []
        for _ in range(20):
            sock = socket.create_connection(server.address, timeout=20)
            sock.sendall(b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n' + framing +
                         b'\r\n\r\n' + piece)
            sockets.append(sock)
        everyone = list(sockets)
        sender = threading.Thread(target=keep_sending, args=(sockets, piece, stop))
        sender.start()
        try:
            for _ in range(3):
                assert server.get('/health', timeout=20).status == 200
            assert server.post_form({'image': png()}).status == 200
        finally:
            stop.set()
            sender.join()
            for sock in everyone:
                sock.close()


def test_compressed_bodies_share_the_workers(make_server):
    """Several clients send a few kilobytes that decompress to megabytes. They do not occupy the network thread: the
    last client is answered before all of them are. The server receives each request in one read."""
    server = make_server()
    body = gzip.compress(b'\r\n' * (7 << 20))
    assert len(body) < 15 << 10
    request = (b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n'
               b'Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
    bombs = [socket.create_connection(server.address, timeout=60) for _ in range(16)]
    other = socket.create_connection(server.address, timeout=60)
    try:
        for bomb in bombs:
            bomb.sendall(request)
        other.sendall(GET + b'\r\n')
        assert read_response(other).status == 200
        answered = select.select(bombs, [], [], 0)[0]
        assert len(answered) < len(bombs)
        assert {read_response(bomb).status for bomb in bombs} == {400}
    finally:
        for sock in [other, *bombs]:
            sock.close()


def test_more_connections_than_descriptors(tmp_path):
    """The limit of the system is reached before the server's limit."""
    program = ['/bin/sh', '-c', 'ulimit -n 64; exec "$0" "$@"', BINARY, 'serve']
    with Server(tmp_path, program=program, settings={'server.max_connections': 1000}) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        sockets = [socket.create_connection(server.address, timeout=20) for _ in range(100)]
        for _ in range(5):
            assert server.get('/health', timeout=20).status == 200
        for sock in sockets:
            sock.close()
        assert server.post_form({'image': png()}).status == 200


def noise(width, height):
    """Returns a PNG that does not compress."""
    rows = b''.join(b'\0' + os.urandom(3 * width) for _ in range(height))
    return (b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)) +
            png_chunk(b'IDAT', zlib.compress(rows, 1)) + png_chunk(b'IEND', b''))


def open_slow(server, data):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(60)
    sock.connect(server.address)
    sock.sendall(data)
    return sock


def test_slow_readers_of_lines_do_not_hold_workers(make_server):
    """As many batches as there are workers, with answers of 6 MB, read at 1 kB/s."""
    server = make_server(settings={'performance.worker_threads': 3, 'server.max_batch': 256,
                                   'performance.request_timeout': 600})
    wait_for(lambda: server.get('/health/ready').status == 200)
    picture = png(64, 64, shade=lambda x, y: (255, 255, 255) if x % 6 < 4 and y % 6 < 4 else (20, 20, 20))
    body = json.dumps({'images': [b64(picture)] * 256, 'confidence_threshold': 0, 'iou_threshold': 1,
                       'max_detections': 1000, 'keypoint_threshold': 0}).encode()
    head = (b'POST /v1/pose/detect/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
            b'Accept: application/x-ndjson\r\nContent-Length: %d\r\n\r\n' % len(body))
    readers = [open_slow(server, head + body) for _ in range(3)]
    stop = threading.Event()

    def sip(sock):
        while not stop.wait(1):
            try:
                if not sock.recv(1000):
                    return
            except OSError:
                return

    sipping = [threading.Thread(target=sip, args=(sock,)) for sock in readers]
    for thread in sipping:
        thread.start()
    try:
        # The first request may wait for the inference of the batches, which is slow under a sanitizer, but not for
        # their readers.
        assert server.post_form({'image': picture}).status == 200
        times = []
        for _ in range(20):
            start = time.monotonic()
            assert server.post_form({'image': picture}).status == 200
            times.append(time.monotonic() - start)
            time.sleep(0.2)
    finally:
        stop.set()
        for thread, sock in zip(sipping, readers):
            thread.join()
            sock.close()
    assert max(times) < 10, times


def test_unread_responses_are_limited(make_server):
    """Two dozen clients request a large annotated picture and read nothing: 150 MB of answers."""
    server = make_server(settings={'performance.worker_threads': 2, 'server.max_response_memory': '16M'})
    wait_for(lambda: server.get('/health/ready').status == 200)
    picture = noise(1800, 1200)
    body, content_type = multipart({'image': picture})
    request = (b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nAccept: image/png\r\nContent-Type: ' + content_type.encode() +
               b'\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
    with open_slow(server, request) as sock:
        response = read_response(sock, 'POST')
    assert response.status == 200 and len(response.body) > 5 << 20, response
    before = server.resident_bytes()
    readers, most = [], 0
    try:
        for _ in range(24):
            readers.append(open_slow(server, request))
            # The next request is sent after this one's body is freed, so that only answers are held.
            wait_for(lambda: server.metric('requests_queued') == server.metric('body_bytes') == 0)
            most = max(most, server.resident_bytes())
        assert server.metric('answer_bytes') <= 16 << 20
        assert keeps_freed_memory() or most - before < 96 << 20
    finally:
        for sock in readers:
            sock.close()
    wait_for(lambda: b'\nhailo_http_answer_bytes 0\n' in server.get('/metrics').body)
