#!/usr/bin/python3
"""Sends requests that make the service use as much memory as possible, and measures its peak resident size for
each.

Starts the program on a free port for each attack. During the attack, one client requests /health and another one
sends a small picture, and their times are measured. Prints a table. With --limit-mb the exit code is 1 if a peak
exceeds that limit, an error had no body, or the program ended.

The limit is not checked under a sanitizer or an emulator, because these need memory themselves."""
import argparse
import collections
import http.client
import io
import os
import re
import resource
import socket
import struct
import sys
import tempfile
import threading
import time
import zlib

from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'service'))
from server import (  # noqa: E402  pylint: disable=wrong-import-position
    BINARY, Server, is_sanitized, multipart, png, png_chunk, wait_for)

DETECT = '/v1/pose/detect'
BATCH = DETECT + '/batch'
LINES = {'Accept': 'application/x-ndjson'}
MOST = {'confidence_threshold': 0, 'iou_threshold': 1, 'max_detections': 1000, 'keypoint_threshold': 0}


# ---- pictures

# Adam7: where each pass begins and its steps, in x and y
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def flat_png(width, height, passes=((0, 0, 1, 1),)):
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, len(passes) > 1)
    packer, data = zlib.compressobj(9), b''
    for x, y, step_x, step_y in passes:
        row = bytes(1 + 3 * len(range(x, width, step_x)))
        data += b''.join([packer.compress(row) for _ in range(y, height, step_y)])
    data += packer.flush()
    return b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', head) + png_chunk(b'IDAT', data) + png_chunk(b'IEND', b'')


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, 'JPEG', **options)
    return out.getvalue()


def progressive_jpeg(side):
    return jpeg(Image.new('RGB', (side, side), (90, 120, 60)), progressive=True, quality=75)


def noisy_jpeg(side):
    bands = [Image.effect_noise((side, side), 80) for _ in range(3)]
    return jpeg(Image.merge('RGB', bands), quality=12)


# ---- clients

class StatusCounts:
    """Counts answers by status; `without_body` counts errors without a body."""

    def __init__(self):
        self.lock = threading.Lock()
        self.statuses = collections.Counter()
        self.without_body = 0

    def add(self, status, body=b'?'):
        with self.lock:
            self.statuses[status] += 1
            self.without_body += status not in (200, 'cut') and not body

    def __str__(self):
        text = ' '.join(f'{count}x{status}' for status, count in sorted(self.statuses.items(), key=str))
        return text + (f' ({self.without_body} without a body)' if self.without_body else '')


def post(server, tally, path, fields, headers=None, timeout=300):
    body, kind = multipart(fields)
    connection = http.client.HTTPConnection(*server.address, timeout=timeout)
    try:
        connection.request('POST', path, body, {'Content-Type': kind, **(headers or {})})
        answer = connection.getresponse()
        tally.add(answer.status, answer.read())
    except (OSError, http.client.HTTPException):
        tally.add('cut')
    finally:
        connection.close()


def at_once(count, function, *arguments):
    threads = [threading.Thread(target=function, args=arguments) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def picture(data):
    return [('image', ('a', data, 'application/octet-stream'))]


def several(data, count, **fields):
    return picture(data) * count + list(fields.items())


class OtherClient(threading.Thread):
    """Another client that sends one request after another, until stop()."""

    def __init__(self, server, body=None, pause_s=0.05):
        super().__init__(daemon=True)
        self.server, self.body, self.pause_s = server, body, pause_s
        self.times, self.errors, self.ended = [], collections.Counter(), threading.Event()

    def run(self):
        while not self.ended.is_set():
            begin = time.monotonic()
            try:
                if self.body:
                    answer = self.server.post_form(picture(self.body), DETECT)
                else:
                    answer = self.server.get('/health')
                status = answer.status
            except (OSError, http.client.HTTPException):
                status = 'cut'
            self.times.append(time.monotonic() - begin)
            if status != 200:
                self.errors[status] += 1
            self.ended.wait(self.pause_s)

    def stop(self):
        self.ended.set()
        self.join(90)

    def __str__(self):
        times = sorted(self.times) or [0]
        text = f'{times[len(times) // 2] * 1000:.0f}/{times[min(len(times) - 1, int(len(times) * 0.99))] * 1000:.0f}'
        return text + ''.join(f' {count}x{status}' for status, count in self.errors.items())


# ---- attacks; each receives the server, a tally and the pictures

def most_detections(requests):
    def attack(server, tally, _):
        at_once(requests, post, server, tally, BATCH, several(png(64, 64), 32, **MOST))
    return attack


def most_detections_single(server, tally, _):
    at_once(24, post, server, tally, DETECT, several(png(64, 64), 1, **MOST))


def large(name, requests, parts=1):
    def attack(server, tally, pictures):
        at_once(requests, post, server, tally, BATCH if parts > 1 else DETECT, several(pictures[name], parts))
    return attack


def drawn(name, requests):
    def attack(server, tally, pictures):
        at_once(requests, post, server, tally, DETECT, several(pictures[name], 1), {'Accept': 'image/png'})
    return attack


def send_unread(server, path, fields, headers):
    """Returns a connection whose request is sent and whose answer is not read."""
    body, kind = multipart(fields)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(60)
    sock.connect(server.address)
    lines = [f'POST {path} HTTP/1.1', 'Host: x', f'Content-Type: {kind}', f'Content-Length: {len(body)}']
    lines += [f'{name}: {value}' for name, value in headers.items()]
    sock.sendall('\r\n'.join(lines).encode() + b'\r\n\r\n' + body)
    return sock


def unread(server, tally, pictures):
    sockets, lock = [], threading.Lock()

    def client():
        try:
            sock = send_unread(server, DETECT, picture(pictures['noise']), {'Accept': 'image/png'})
            with lock:
                sockets.append(sock)
            tally.add(int(sock.recv(12).split()[1]))
        except (OSError, IndexError):
            tally.add('cut')
    at_once(60, client)
    time.sleep(3)
    for sock in sockets:
        sock.close()


def slow_readers(server, tally, _):
    """Three batches whose lines are read at 1 kB/s for 40 seconds."""
    def client():
        sock = send_unread(server, BATCH, several(png(64, 64), 32, **MOST), LINES)
        end = time.monotonic() + 40
        try:
            tally.add(int(sock.recv(12).split()[1]))
            while time.monotonic() < end and sock.recv(1024):
                time.sleep(1)
        except (OSError, IndexError):
            tally.add('cut')
        sock.close()
    at_once(3, client)


def silent_connections(server, tally, _):
    sockets = []
    for _ in range(4000):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(server.address)
        sockets.append(sock)
    time.sleep(15)
    for sock in sockets:
        sock.close()
    tally.statuses['silent'] = len(sockets)


ATTACKS = [
    ('A1 batch of 32, 1000 detections each', most_detections(1)),
    ('A1 three of these', most_detections(3)),
    ('A1 24 single ones, 1000 detections', most_detections_single),
    ('A3 24 PNG of 8000x8000', large('png', 24)),
    ('A3 12 batches of 16 such', large('png', 12, 16)),
    ('A3 4 batches of 16 such', large('png', 4, 16)),
    ('A3 one of them drawn, as PNG', drawn('png', 1)),
    ('A3 24 of them drawn, as PNG', drawn('png', 24)),
    ('A3 60 drawn answers that nobody reads', unread),
    ('A3 24 progressive JPEG of 8000x8000', large('progressive', 24)),
    ('A3 24 progressive JPEG of 4800x4800', large('progressive 23 MP', 24)),
    ('A3 24 interlaced PNG of 5000x5000', large('interlaced', 24)),
    ('A3 12 batches of 16 interlaced', large('interlaced', 12, 16)),
    ('A4 three slow readers of lines', slow_readers),
    ('A13 4000 silent connections', silent_connections),
]


# ---- measuring

def status_kb(pid, name):
    with open(f'/proc/{pid}/status', encoding='ascii') as status:
        return int(re.search(name + r':\s+(\d+) kB', status.read())[1])


def measure(options, folder, name, attack, pictures):
    """Returns (MB before, peak MB, statuses, times of /health, times of the small picture)."""
    settings = {}
    if options.workers:
        settings['performance.worker_threads'] = options.workers
    with Server(folder, settings=settings, device=options.device, program=[options.program, 'serve']) as server:
        wait_for(lambda: server.get('/health/ready').status == 200, 120)
        for _ in range(3):
            assert server.post_form(picture(png(64, 64)), DETECT).status == 200
        pid = server.process.pid
        before = status_kb(pid, 'VmRSS')
        with open(f'/proc/{pid}/clear_refs', 'w', encoding='ascii') as file:
            file.write('5')
        others = OtherClient(server), OtherClient(server, png(96, 96), 0.2)
        for other in others:
            other.start()
        tally = StatusCounts()
        attack(server, tally, pictures)
        for other in others:
            other.stop()
        assert server.process.poll() is None, f'{name}: the program ended:\n{server.log}'
        peak = status_kb(pid, 'VmHWM')
        time.sleep(0.5)
        after = status_kb(pid, 'VmRSS')
    return before * 1.024e-3, peak * 1.024e-3, after * 1.024e-3, tally, *others


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--program', default=BINARY)
    parser.add_argument('--device', default='sim')
    parser.add_argument('--workers', type=int, default=0, help='performance.worker_threads; 0: the default')
    parser.add_argument('--only', default='', help='only the attacks whose name contains this')
    parser.add_argument('--limit-mb', type=float, help='the largest peak that is right')
    options = parser.parse_args()
    options.program = os.path.abspath(options.program)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pictures = {'png': flat_png(8000, 8000), 'progressive': progressive_jpeg(8000), 'noise': noisy_jpeg(3000),
                'progressive 23 MP': progressive_jpeg(4800), 'interlaced': flat_png(5000, 5000, PASSES)}
    for name, data in pictures.items():
        print(f'# {name}: {len(data) / 1e3:.0f} kB')
    limit = options.limit_mb
    if limit and (os.environ.get('HS_EMULATED') or is_sanitized(options.program)):
        print('# limits are not checked: the memory of an emulator or a sanitizer is not the program\'s')
        limit = None
    print(f'# {options.device}, workers: {options.workers or "default"}, {os.cpu_count()} processors; times in ms, '
          'median/99%')
    print(f'{"attack":40} {"before":>7} {"peak":>7} {"after":>7}  {"/health":>12}  {"small":>16}  statuses', flush=True)
    wrong = []
    for name, attack in ATTACKS:
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            before, peak, after, tally, health, small = measure(options, folder, name, attack, pictures)
        print(f'{name:40} {before:7.0f} {peak:7.0f} {after:7.0f}  {str(health):>12}  {str(small):>16}  {tally}',
              flush=True)
        if limit and peak > limit:
            wrong.append(f'{name}: {peak:.0f} MB, at most {limit:g} are right')
        if tally.without_body:
            wrong.append(f'{name}: {tally.without_body} errors without a body')
    print('\n'.join(wrong), end='\n' if wrong else '')
    return 1 if limit and wrong else 0


if __name__ == '__main__':
    sys.exit(main())
