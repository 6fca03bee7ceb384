"""Requests that occupy a worker for long do not block other requests: large pictures, batches, and files that hide
their size.

The device never completes the run of the first large picture, which keeps the whole budget for large pictures. So
heavy requests stay queued for the duration of a test, and each response in that time has overtaken them."""
import re
import struct
import time
import zlib

import pytest

from faces import one
from server import FACE, multipart, png, png_chunk, wait_for

HANGS = 'latency_ms: 1\nslots: 8\nfaults: [{{kind: hang, at: {}, count: 1}}]'
SETTINGS = {'image.max_memory_total': '1M', 'performance.worker_threads': 3, 'inference.slots': 4,
            'performance.request_timeout': 300, 'device.timeout': 300, 'server.shutdown_timeout': 0}
QUEUED = re.compile(r'^\S*http_requests_queued (\d+)$', re.MULTILINE)
IN_USE = re.compile(r'^\S*device_slots_in_use{.*} (\d+)$', re.MULTILINE)  # of the detection model


def large_png(width=2600, height=1800):
    head, packer = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0), zlib.compressobj(1)
    rows = b''.join([packer.compress(bytes(1 + 3 * width)) for _ in range(height)] + [packer.flush()])
    return b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', head) + png_chunk(b'IDAT', rows) + png_chunk(b'IEND', b'')


def part(data, name='image'):
    return name, ('a', data, 'application/octet-stream')


def strange_jpeg():
    """Many bytes before the frame header."""
    return b'\xff\xd8' + b'\0' * 100000


def queued(server):
    return int(QUEUED.search(server.get('/metrics').body.decode())[1])


def wait_until_it_hangs(server):
    """Waits until the first large picture is in the device."""
    wait_for(lambda: IN_USE.search(server.get('/metrics').body.decode())[1] == '1')
    time.sleep(0.5)  # time between the slot and the run


@pytest.fixture(name='send')
def fixture_send():
    """Sends a request and does not read its response."""
    sockets = []

    def send(server, fields, path):
        body, kind = multipart(fields)
        sock = server.connect()
        sockets.append(sock)
        sock.sendall(f'POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n'
                     .encode() + body)

    yield send
    for sock in sockets:
        sock.close()


POSE, FACES = '/v1/pose/detect', '/v1/detect'


@pytest.mark.parametrize('program, path, small, runs',
                         [(None, POSE, png(96, 96), 1), ([FACE, 'serve'], FACES, one(1), 2)], ids=['pose', 'face'])
@pytest.mark.parametrize('requests, pictures', [(24, 1), (4, 3)], ids=['single', 'batch'])
def test_small_pictures_pass_large_ones(make_server, script, send, program, path, small, runs, requests, pictures):
    server = make_server(device=script(HANGS.format(runs + 1)), settings=SETTINGS, program=program)
    assert server.post_form([part(small)], path).status == 200
    large = large_png()
    for _ in range(requests):
        send(server, [part(large)] * pictures, path + '/batch' if pictures > 1 else path)
    wait_for(lambda: queued(server) == requests - 2)
    wait_until_it_hangs(server)
    for _ in range(5):
        assert server.post_form([part(small)], path).status == 200
    response = server.post_form([part(small)] * 2, path + '/batch')
    assert (response.status, response.json()['failed']) == (200, 0)
    assert queued(server) == requests - 2


def test_hidden_sizes_and_batches_count_as_large(make_server, script, send):
    server = make_server(device=script(HANGS.format(2)), settings=SETTINGS)
    assert server.post_form([part(png(96, 96))]).status == 200
    for _ in range(2):
        send(server, [part(large_png())], POSE)
    wait_until_it_hangs(server)
    for _ in range(2):
        send(server, [part(strange_jpeg())], POSE)
        send(server, [part(png(96, 96))] * 3, POSE + '/batch')
    wait_for(lambda: queued(server) == 4)
    assert server.post_form([part(png(96, 96))]).status == 200
    assert queued(server) == 4


def test_large_pictures_cannot_fill_the_queue(make_server, script, send):
    server = make_server(device=script(HANGS.format(2)), settings={**SETTINGS, 'performance.max_queue_size': 8})
    assert server.post_form([part(png(96, 96))]).status == 200
    large = large_png()

    def fill():
        send(server, [part(large)], POSE)
        return queued(server) == 6

    wait_for(fill)
    wait_until_it_hangs(server)
    assert server.post_form([part(large)]).status == 503
    assert server.post_form([part(png(96, 96))]).status == 200


def test_large_pictures_are_answered(make_server):
    server = make_server(settings={'performance.worker_threads': 1})
    response = server.post_form([part(large_png())])
    assert response.json()['image_size'] == {'width': 2600, 'height': 1800}
    assert server.post_form([part(large_png())] * 3, POSE + '/batch').json()['failed'] == 0


@pytest.fixture(name='full')
def fixture_full(make_server, script, send):
    """A hailo-face whose workers for heavy requests are all busy, and a function that sends one more without
    reading the response."""
    server = make_server(device=script(HANGS.format(3)), settings=SETTINGS, program=[FACE, 'serve'])
    assert server.post_form([part(one(1))], FACES).status == 200
    large = large_png()
    for _ in range(3):
        send(server, [part(large)], FACES)
    wait_for(lambda: queued(server) == 1)
    wait_until_it_hangs(server)
    return server, send


@pytest.mark.parametrize('query, fields', [('', [('purge_backups', 'true')]), ('?purge_backups=true', []),
                                           ('?purge_backups=1', [('purge_backups', 'false')])])
def test_a_removal_that_purges_is_heavy(full, query, fields):
    server, send = full
    response = server.post_form([('name', 'Ann'), ('purge_backups', 'false')], '/v1/database/remove?purge_backups=0')
    assert response.status == 404
    send(server, [('name', 'Ann'), *fields], '/v1/database/remove' + query)
    wait_for(lambda: queued(server) == 2)


@pytest.mark.parametrize('query', ['', '?limit=1001', '?limit=999999999'])
def test_a_list_without_a_low_limit_is_heavy(full, query):
    server, _ = full
    assert server.get('/v1/database/list?limit=1000').json()['count'] == 0
    with server.connect() as sock:
        sock.sendall(f'GET /v1/database/list{query} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
        wait_for(lambda: queued(server) == 2)
