#!/usr/bin/python3
"""Runs both services for a long time under the mixed load of ordinary clients, while their simulated devices fail.

    soak.py [--minutes 30] [--seed 1] [--clients 6] [--build build] [--settle 3]

Clients detect, recognise, enrol, rename and remove, read batches as streams, draw, load and unload models, read metrics,
and disconnect early. Each request has an expected status; only 503 and 504 replace it. Every sample_s seconds the
script reads memory, descriptors and threads. The first --settle minutes are not counted. Afterwards the medians of the
first and last quarter must agree: memory within 5 % or 8 MiB, descriptors and threads within 2. All people that were
acknowledged must be in the gallery and be recognised. Prints a table; exit code 1 if a check fails.
"""
import argparse
import collections
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'service'))

SAMPLE_S = 2
SCRIPT = '''
latency_ms: {{median: 6, p99: 30}}
devices: 2
seed: {seed}
faults:
  - {{kind: transient, at: 500, count: 3}}
  - {{kind: error, at: 3000, count: 5, device: 0}}
  - {{kind: lost, at_ms: 60000, for_ms: 3000, device: 0}}
  - {{kind: hang, at: 9000, count: 1, device: 1}}
  - {{kind: late, at: 15000, count: 3}}
  - {{kind: queue_full, at: 20000, count: 20}}
  - {{kind: lost, at_ms: 400000, for_ms: 5000}}
  - {{kind: hang, at: 60000, count: 1, device: 0}}
'''


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=30)
    parser.add_argument('--settle', type=float, default=3)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--clients', type=int, default=6)
    parser.add_argument('--build', default=os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../build'))
    return parser.parse_args()


ARGS = parse()
os.environ['HS_BIN'] = os.path.join(os.path.abspath(ARGS.build), 'hailo-pose')

# pylint: disable=wrong-import-position
from faces import PATTERNS, FaceServer, one  # noqa: E402
from server import SANITIZER, Server, b64, multipart, png, wait_for  # noqa: E402


class Client:
    """One client: makes requests until `end`, and counts them by name and status."""

    def __init__(self, number, pose, face, end):
        self.rng = random.Random(ARGS.seed * 1000 + number)
        self.number, self.pose, self.face, self.end = number, pose, face, end
        self.name = f'client {number}'      # the identity that only this client changes
        self.enrolled = False
        self.counts, self.times, self.wrong = collections.Counter(), collections.defaultdict(list), []
        self.picture = png(320, 240)
        self.own = one(9 + number % (len(PATTERNS) - 9))

    def expect(self, name, response, *statuses):
        self.counts[name, response.status] += 1
        if response.status not in statuses + (503, 504):
            self.wrong.append(f'{name}: {response}')
        return response.status in statuses

    # ---- requests

    def detect(self):
        self.expect('detect', self.pose.post_json({'image': b64(self.picture)}), 200)

    def detect_form(self):
        body, kind = multipart({'image': ('a.png', self.picture, 'image/png'), 'confidence_threshold': '0.3'})
        self.expect('form', self.pose.request('POST', '/v1/pose/detect', body, {'Content-Type': kind}), 200)

    def draw(self):
        headers = {'Content-Type': 'image/png', 'Accept': self.rng.choice(['image/jpeg', 'image/png'])}
        self.expect('draw', self.pose.request('POST', '/v1/pose/detect', self.picture, headers), 200)

    def batch(self):
        server, path = self.rng.choice([(self.pose, '/v1/pose/detect/batch'), (self.face, '/v1/detect/batch')])
        headers = {'Accept': self.rng.choice(['application/x-ndjson', 'application/json'])}
        images = [b64(self.picture)] * self.rng.randrange(1, 9)
        self.expect('batch', server.post_json({'images': images}, path, headers), 200)

    def bad(self):
        self.expect('bad', self.pose.post_json({'image': b64(self.picture[:100])}), 400)

    def recognize(self):
        number = self.rng.randrange(8)
        response = self.face.ask('recognize', one(number))
        if self.expect('recognize', response, 200):
            got = response.json()['faces'][0]['identity']
            if got != f'kept {number}':
                self.wrong.append(f'kept {number} recognised as {got}')

    def embed(self):
        self.expect('embed', self.face.ask('embed', one(self.rng.randrange(8))), 200)

    def change(self):
        if self.enrolled:
            if self.rng.random() < .4:
                other = self.name + ' again' if not self.name.endswith('again') else self.name[:-6]
                path = '/v1/database/identities/' + self.name.replace(' ', '%20')
                if self.expect('rename', self.face.request('PUT', path, json.dumps({'name': other}),
                                                           {'Content-Type': 'application/json'}), 200):
                    self.name = other
            elif self.expect('remove', self.face.post_json({'name': self.name}, '/v1/database/remove'), 200):
                self.enrolled = False
        elif self.expect('add', self.face.ask('database/add', self.own, name=self.name, allow_duplicate=True), 200, 409):
            self.enrolled = self.name in self.face.names()

    def read(self):
        server = self.rng.choice([self.pose, self.face])
        self.expect('read', server.get(self.rng.choice(['/health', '/metrics', '/v1/models'])), 200)

    def ready(self):
        self.expect('ready', self.rng.choice([self.pose, self.face]).get('/health/ready'), 200)

    def listing(self):
        self.expect('list', self.face.get('/v1/database/list'), 200)

    def leave(self):
        """Disconnects while the request is sent or answered."""
        body = json.dumps({'image': b64(self.picture)}).encode()
        head = (f'POST /v1/pose/detect HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n'
                f'Content-Length: {len(body)}\r\n\r\n').encode()
        with self.pose.connect(10) as sock:
            sock.sendall((head + body)[:self.rng.randrange(len(head), len(head) + len(body) + 1)])
            time.sleep(self.rng.random() * .02)
        self.counts['leave', 'left'] += 1

    REQUESTS = [(detect, 20), (detect_form, 10), (draw, 4), (batch, 4), (bad, 3), (recognize, 15), (embed, 5), (change, 6),
                (read, 8), (ready, 3), (listing, 2), (leave, 4)]

    def run(self):
        calls, weights = zip(*self.REQUESTS)
        while time.monotonic() < self.end:
            call = self.rng.choices(calls, weights)[0]
            begin = time.monotonic()
            try:
                call(self)
            except OSError as error:
                self.counts[call.__name__, type(error).__name__] += 1
                self.wrong.append(f'{call.__name__}: {error!r}')
            self.times[call.__name__].append(time.monotonic() - begin)
            time.sleep(self.rng.expovariate(50))


def sample(server):
    folder = f'/proc/{server.process.pid}'
    return server.resident_bytes() >> 10, len(os.listdir(folder + '/fd')), len(os.listdir(folder + '/task'))


def quarters(samples, index):
    """Returns the medians of the first and last quarter."""
    values = [row[index] for row in samples]
    part = max(1, len(values) // 4)
    return statistics.median(values[:part]), statistics.median(values[-part:])


def check_flat(name, samples, failures):
    memory, descriptors, threads = (quarters(samples, i) for i in range(3))
    print(f'{name}: {len(samples)} samples; resident {memory[0] / 1024:.1f} to {memory[1] / 1024:.1f} MiB '
          f'(peak {max(row[0] for row in samples) / 1024:.1f}), descriptors {descriptors[0]:g} to {descriptors[1]:g}, '
          f'threads {threads[0]:g} to {threads[1]:g}')
    if memory[1] - memory[0] > max(memory[0] * .05, 8192):
        failures.append(f'{name}: memory grew')
    if descriptors[1] - descriptors[0] > 2 or threads[1] - threads[0] > 2:
        failures.append(f'{name}: descriptors or threads grew')


def main():
    folder = Path(tempfile.mkdtemp(prefix='hs-soak-'))
    script = folder / 'script.yaml'
    script.write_text(SCRIPT.format(seed=ARGS.seed))
    settings = {'device.timeout': '1', 'device.probe_interval': '0.3', 'logging.level': 'ERROR'}
    failures, samples = [], {'pose': [], 'face': []}
    with Server(folder, settings, device=f'sim:{script}') as pose, \
            FaceServer(folder, settings, device=f'sim:{script}') as face:
        for server in (pose, face):
            wait_for(lambda server=server: server.get('/health/ready').status == 200)
        for number in range(8):
            wait_for(lambda number=number: face.ask('database/add', one(number), name=f'kept {number}').status == 200)
        begin = time.monotonic()
        clients = [Client(number, pose, face, begin + ARGS.minutes * 60) for number in range(ARGS.clients)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            time.sleep(SAMPLE_S)
            if time.monotonic() - begin > ARGS.settle * 60:
                for name, server in (('pose', pose), ('face', face)):
                    samples[name].append(sample(server))
            for server in (pose, face):
                if server.process.poll() is not None:
                    sys.exit(f'ended with {server.process.returncode}:\n{server.log[-4000:]}')
        for server in (pose, face):
            wait_for(lambda server=server: server.get('/health/ready').status == 200)
        wanted = {f'kept {number}' for number in range(8)} | {client.name for client in clients if client.enrolled}
        if set(face.names()) != wanted:
            failures.append(f'the gallery has {sorted(face.names())}, not {sorted(wanted)}')
        logs = pose.log + face.log
    for name in ('pose', 'face'):
        check_flat(name, samples[name], failures)
    counts, times = collections.Counter(), collections.defaultdict(list)
    for client in clients:
        counts.update(client.counts)
        failures += client.wrong[:3]
        for name, values in client.times.items():
            times[name] += values
    for name in sorted({name for name, _ in counts}, key=str):
        row = {status: count for (n, status), count in sorted(counts.items(), key=str) if n == name}
        print(f'{name:10} {sum(row.values()):7}  ' + ' '.join(f'{status}:{count}' for status, count in row.items()))
    for name, values in sorted(times.items()):
        values.sort()
        print(f'{name:12} median {values[len(values) // 2] * 1000:7.1f} ms, p99 {values[len(values) * 99 // 100] * 1000:8.1f} ms')
    if SANITIZER.search(logs):
        failures.append('a sanitizer reported: ' + logs[-3000:])
    print(f'{sum(counts.values())} requests in {ARGS.minutes:g} minutes, seed {ARGS.seed}')
    shutil.rmtree(folder, ignore_errors=True)
    for failure in failures[:30]:
        print('FAILED:', failure)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
