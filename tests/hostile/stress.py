#!/usr/bin/python3
"""Attacks both services at random from several clients, while their simulated devices fail at random too.

Attacks are malformed request starts, bad framing, damaged bodies and pictures, odd parameters and names, and
clients that disconnect.

    stress.py [--seconds 60] [--seed 1] [--clients 8] [--build build] [--tls]

With --tls the services speak TLS, and some clients damage or leave the handshake.

Any answer is allowed except a 5xx other than 503 or 504. Afterwards the services must be healthy, the gallery must
list all acknowledged changes, and memory, descriptors and threads must be as after the first tenth of the time.
Prints statistics; exit code 1 if one of these checks fails. Also useful with a sanitizer build.
"""
import argparse
import collections
import json
import os
import random
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'service'))

SCRIPT = '''
latency_ms: {{median: 4, p99: 12}}
devices: 2
seed: {seed}
faults:
  - {{kind: transient, at: 50, count: 3}}
  - {{kind: error, at: 300, count: 5, device: 0}}  # of both at once the answer would be 500
  - {{kind: lost, at_ms: 9000, for_ms: 1500, device: 0}}
  - {{kind: hang, at: 900, count: 1, device: 1}}
  - {{kind: late, at: 1500, count: 3}}
  - {{kind: queue_full, at: 2000, count: 10}}
  - {{kind: lost, at_ms: 30000, for_ms: 2000}}
'''


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seconds', type=float, default=60)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--clients', type=int, default=8)
    parser.add_argument('--tls', action='store_true')
    parser.add_argument('--build', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../build'))
    return parser.parse_args()


ARGS = parse()
os.environ['HS_BIN'] = os.path.join(os.path.abspath(ARGS.build), 'hailo-pose')

# pylint: disable=wrong-import-position
from certificates import Authority  # noqa: E402
from faces import FaceServer, one  # noqa: E402
from server import SANITIZER, Server, b64, bmp, oversized_png, multipart, png, wait_for  # noqa: E402

try:
    import io
    from PIL import Image
except ImportError:
    Image = None


# ---- material -------------------------------------------------------------------------------------------------------

def pictures():
    found = [png(), png(8, 8, 0), png(31, 17, 6), bmp(), oversized_png(20000, 20000), one(0), one(1), b'', b'GIF89a' + b'\0' * 40]
    if Image:
        for form, more in (('JPEG', {}), ('JPEG', {'progressive': True}), ('WEBP', {}), ('PNG', {})):
            data = io.BytesIO()
            Image.effect_noise((97, 61), 80).convert('RGB').save(data, form, **more)
            found.append(data.getvalue())
    return found


PICTURES = pictures()
NUMBERS = ['0', '-1', '1', '0.5', '1e308', '-1e-308', 'nan', 'inf', '', ' ', '1e', '0x10', '９', '9' * 400, 'true', 'null',
           '1000', '1001', '2147483648', '-0']
NAMES = ['Ann', 'Jos\u00e9', 'Jose\u0301', ' x ', '', '.', '..', 'unknown', 'UNKNOWN', 'a/b', '\u202eevil', '\u200b', 'x' * 300, '\U0001f600', '%2e%2e',
         "'; DROP TABLE identities; --", 'a\nb', 'a\tb', '\ufeff', 'null', '0', '\u00df', 'I\u0307']
FIELDS = ['confidence_threshold', 'iou_threshold', 'max_detections', 'keypoint_threshold', 'apply_exif', 'model',
          'keep_alive', 'timeout', 'threshold', 'max_faces', 'min_margin', 'top_k', 'vector', 'quality', 'metadata',
          'detection_model', 'recognition_model', 'priority']


def damage(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((0, 1, 1, 2, 8))):
        if not data:
            break
        at = rng.randrange(len(data))
        how = rng.randrange(4)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del data[at:at + rng.randrange(1, 40)]
        elif how == 2:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 20)))
        else:
            del data[at:]
    return bytes(data)


def deep_json(rng):
    depth = rng.choice((3, 31, 33, 64, 65, 500))
    return '{"a":' * depth + '1' + '}' * depth


def value(rng):
    return rng.choice([rng.choice(NUMBERS), rng.choice(NAMES), deep_json(rng), rng.random(), rng.randrange(-5, 2000), True,
                       None, [], {}, [1, 2]])


# ---- attacks: each returns the bytes of one or more requests, as sent -----------------------------------------------

def head(method, path, body, *lines):
    text = f'{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {len(body)}\r\n'
    return text.encode() + b''.join(line.encode() + b'\r\n' for line in lines) + b'\r\n' + body


def broken_start(rng, _):
    whole = rng.choice([b'GET /health?' + b'&' * 8000 + b' HTTP/1.1\r\nHost: h\r\n\r\n',
                        b'GET /health HTTP/1.1\r\nHost: h\r\nCookie: ' + b'c' * 10000 + b'\r\n\r\n',
                        b'POST /v1/detect HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n' + b'x' * 500,
                        b'POST /v1/detect HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n' + b'x' * 500,
                        bytes(rng.randrange(256) for _ in range(300)), b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'])
    return whole[:rng.randrange(len(whole) + 1)]


def framing(rng, target):
    lines = rng.sample(['Content-Length: 2', 'Content-Length : 2', 'Content-Length: 2, 2', 'Transfer-Encoding: chunked',
                        'Transfer-Encoding: xchunked', 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding : chunked',
                        'Host: a', 'Host: b', 'Expect: 100-continue', 'Connection: keep-alive', ' folded: x', 'X: \0',
                        'Content-Encoding: gzip', 'Range: bytes=0-', 'Upgrade: websocket', 'Content-Length: +2'],
                       rng.randrange(1, 5))
    body = rng.choice([b'', b'{}', b'2\r\n{}\r\n0\r\n\r\n', b'ffffffffffffffffff\r\n', b'0\r\nX: y\r\n\r\n', b'-1\r\n\r\n'])
    method = rng.choice(['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'BREW', 'get', ''])
    path = rng.choice(['/health', target, '*', 'http://h/health', '//', '/%00', '/../etc/passwd', '/v1/x%', 'h:80'])
    return f'{method} {path} HTTP/1.1\r\n'.encode() + b''.join(l.encode() + b'\r\n' for l in lines) + b'\r\n' + body


def form(rng, target):
    fields = [(rng.choice(['image', 'image', 'images', 'image2', 'file']),
               ('a.jpg', damage(rng, rng.choice(PICTURES)), rng.choice(['image/jpeg', 'x/y', ''])))]
    fields += [(rng.choice(FIELDS + ['name']), str(value(rng))) for _ in range(rng.randrange(5))]
    body, kind = multipart(fields)
    return head('POST', target, damage(rng, body) if rng.random() < .3 else body, f'Content-Type: {kind}')


def json_body(rng, target):
    text = b64(damage(rng, rng.choice(PICTURES)))
    fields = {'image': rng.choice([text, text, 'data:image/png;base64,' + text, text.rstrip('='), value(rng)]),
              'name': rng.choice(NAMES)}
    fields.update((rng.choice(FIELDS), value(rng)) for _ in range(rng.randrange(5)))
    body = json.dumps(fields).encode()
    return head('POST', target, damage(rng, body) if rng.random() < .3 else body, 'Content-Type: application/json',
                *(['X-Request-Timeout: ' + rng.choice(NUMBERS).encode('ascii', 'ignore').decode()]
                  if rng.random() < .2 else []))


def compressed(rng, target):
    body = json.dumps({'image': b64(rng.choice(PICTURES))}).encode()
    body = zlib.compress(rng.choice([body, b'{"image": "' + b'A' * 3000000 + b'"}']))
    return head('POST', target, damage(rng, body), 'Content-Type: application/json', 'Content-Encoding: deflate')


def raw_picture(rng, target):
    return head('POST', target, damage(rng, rng.choice(PICTURES)), 'Content-Type: image/jpeg',
                'Accept: ' + rng.choice(['image/png', 'image/jpeg', 'application/json', '*/*', 'application/x-ndjson']))


def reads(rng, _):
    path = rng.choice(['/health', '/health/ready', '/metrics', '/v1/models', '/v1/database/list',
                       '/v1/database/identities/' + rng.choice(['Ann', '%00', '%C3%A9', '..', '%2e%2e', 'x' * 300]), '/'])
    return head('GET', path, b'')


def changes(rng, _):
    name = rng.choice(['Ann', '%C3%A9', 'Bob', '%FF', '%2F'])
    return rng.choice([
        head('DELETE', f'/v1/database/identities/{name}', b''),
        head('PUT', f'/v1/database/identities/{name}', json.dumps({'name': rng.choice(NAMES)}).encode(),
             'Content-Type: application/json'),
        head('PUT', f'/v1/database/identities/{name}', ('{"metadata":' + deep_json(rng) + '}').encode(),
             'Content-Type: application/json'),
        head('POST', '/v1/database/remove', json.dumps({'name': rng.choice(NAMES)}).encode(),
             'Content-Type: application/json'),
        head('POST', '/v1/models/sim/unload', b'', 'Origin: http://evil.example')])


POSE = ['/v1/pose/detect', '/v1/pose/detect/batch']
FACES = ['/v1/detect', '/v1/detect/batch', '/v1/embed', '/v1/recognize', '/v1/compare', '/v1/database/add',
         '/v1/database/verify']
ATTACKS = [broken_start, framing, form, json_body, compressed, raw_picture, reads, changes]


class AttackRun:
    def __init__(self):
        self.lock = threading.Lock()
        self.answers = collections.Counter()  # (attack, status)
        self.wrong = []
        self.end = 0

    def handshake(self, rng, server):
        """Sends the first message of a TLS client, cut off, damaged, or after other bytes."""
        outgoing = ssl.MemoryBIO()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname='localhost')
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        data = bytearray(outgoing.read())
        for _ in range(rng.choice((0, 1, 1, 20))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        data = rng.choice((b'', b'', b'GET ', rng.randbytes(20))) + data[:rng.choice((len(data), rng.randrange(len(data))))]
        with socket.create_connection(server.address, timeout=10) as sock:
            sock.sendall(data * rng.choice((1, 1, 50)))
            if rng.random() < .5:
                while sock.recv(4096):
                    pass

    def attack(self, rng, server, targets):
        if ARGS.tls and rng.random() < .15:
            self.handshake(rng, server)
            with self.lock:
                self.answers['handshake', 'ended'] += 1
            return
        make = rng.choice(ATTACKS)
        data = make(rng, rng.choice(targets))
        status = 'none'
        try:
            with server.connect(10) as sock:
                cut = rng.random()
                for at in range(0, len(data), size := rng.choice((1 << 20, 1 << 20, 700))):
                    sock.sendall(data[at:at + size])
                if cut > .9:
                    status = 'left'
                else:
                    if make is broken_start and cut > .2:
                        socket.socket.shutdown(sock, 1)  # of SSLSocket it would also end the decryption
                    answer = b''
                    while len(answer) < 12 and (more := sock.recv(4096)):
                        answer += more
                    status = answer[9:12].decode('ascii', 'replace') if answer.startswith(b'HTTP/1.') else repr(answer[:20]) \
                        if answer else 'none'
        except (ConnectionError, TimeoutError) as error:
            status = type(error).__name__
        with self.lock:
            self.answers[make.__name__, status] += 1
            if status[:1] == '5' and status not in ('501', '503', '504', '505'):
                self.wrong.append(f'{status} to {data[:300]!r}')

    def run(self, number, servers):
        rng = random.Random(ARGS.seed * 1000 + number)
        while time.monotonic() < self.end:
            server, targets = rng.choice(servers)
            try:
                self.attack(rng, server, targets)
            except OSError as error:
                with self.lock:
                    self.answers['client', type(error).__name__] += 1
                time.sleep(.1)
            if server.process.poll() is not None:
                return


def process_stats(server):
    folder = f'/proc/{server.process.pid}'
    return server.resident_bytes() >> 20, len(os.listdir(folder + '/fd')), len(os.listdir(folder + '/task'))


def wait_until_idle(server):
    """Returns the statistics once no request is running."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline:
        try:
            text = server.get('/metrics').body.decode()
            if 'requests_in_work 0' in text or not any(
                    line.split()[-1] not in ('0', '1') for line in text.splitlines() if 'active' in line and line[0] != '#'):
                break
        except OSError:
            pass
        time.sleep(.5)
    time.sleep(1)
    return process_stats(server)


def main():
    folder = tempfile.mkdtemp(prefix='hs-attacks-')
    script = os.path.join(folder, 'script.yaml')
    with open(script, 'w', encoding='ascii') as file:
        file.write(SCRIPT.format(seed=ARGS.seed))
    from pathlib import Path
    settings = {'device.timeout': '1', 'device.probe_interval': '0.3', 'performance.request_timeout': '5',
                'logging.level': 'ERROR', 'server.max_connections': '64', 'server.header_timeout': '2',
                'server.body_idle_timeout': '2', 'server.idle_timeout': '3'}
    attacks = AttackRun()
    failures = []
    client = None
    if ARGS.tls:
        authority = Authority(folder)
        client = authority.client()
        settings['server.tls_certificate'], settings['server.tls_key'] = authority.sign('localhost')
    with Server(Path(folder), settings, device=f'sim:{script}', tls=client) as pose, \
            FaceServer(Path(folder), settings, device=f'sim:{script}', tls=client) as face:
        servers = [(pose, POSE), (face, FACES)]
        for server, _ in servers:
            wait_for(lambda server=server: server.get('/health/ready').status == 200)
        kept = [f'kept {number}' for number in range(8)]
        for number, name in enumerate(kept):
            wait_for(lambda number=number, name=name: face.ask('database/add', one(number), name=name).status == 200)
        before = None
        for share in (.1, .9):
            attacks.end = time.monotonic() + ARGS.seconds * share
            threads = [threading.Thread(target=attacks.run, args=(number + 100 * (share > .5), servers))
                       for number in range(ARGS.clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for server, _ in servers:
                if server.process.poll() is not None:
                    sys.exit(f'ended with {server.process.returncode}:\n{server.log[-4000:]}')
            before = before or [wait_until_idle(server) for server, _ in servers]
        for (server, _), old, name in zip(servers, before, ('pose', 'face')):
            new = wait_until_idle(server)
            print(f'{name}: resident {old[0]} to {new[0]} MiB, descriptors {old[1]} to {new[1]}, threads {old[2]} to {new[2]}')
            sanitized = 'address' in ARGS.build or 'thread' in ARGS.build
            if new[1] > old[1] + 2 or new[2] > old[2] + 2 or (not sanitized and new[0] > old[0] + 30):
                failures.append(f'{name}: {old} became {new}')
            wait_for(lambda server=server: server.get('/health/ready').status == 200)
        missing = set(kept) - set(face.names())
        if missing:
            failures.append(f'the gallery has lost {missing}')
        for number, name in enumerate(kept):
            answer = wait_for(lambda number=number: (a := face.ask('recognize', one(number))).status == 200 and a)
            if answer.json()['faces'][0]['identity'] != name:
                failures.append(f'{name} is recognised as {answer.json()["faces"][0]["identity"]}')
        logs = pose.log + face.log
    failures += attacks.wrong[:10]
    if SANITIZER.search(logs):
        failures.append('a sanitizer reported: ' + logs[-3000:])
    for make in sorted({name for name, _ in attacks.answers}):
        counts = {status: n for (name, status), n in sorted(attacks.answers.items()) if name == make}
        print(f'{make:13} {sum(counts.values()):6}  ' + ' '.join(f'{status}:{n}' for status, n in counts.items()))
    print(f'{sum(attacks.answers.values())} attacks in {ARGS.seconds:.0f} s, seed {ARGS.seed}')
    shutil.rmtree(folder, ignore_errors=True)
    for failure in failures:
        print('FAILED:', failure)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
