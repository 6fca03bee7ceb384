#!/usr/bin/python3
"""Runs many clients that add, recognise, verify, list and remove concurrently on a hailo-face with the simulated
device. Checks that each client gets the expected answers, that the gallery holds exactly the remaining faces, and that
a restart changes nothing. Works with sanitizer builds too.

    stress_face.py [--program FILE] [--models DIR] [--seconds N] [--clients N] [--seed N] [--script YAML]
                [--set KEY=VALUE]...

Prints the number of requests, and the memory after a tenth of the time and at the end. Exits with 1 if a check failed.
"""
import argparse
import collections
import os
import pathlib
import random
import sqlite3
import sys
import tempfile
import threading
import time

TREE = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(TREE / 'tests' / 'service'))

MOST_CLIENTS = 30   # number of faces that the device distinguishes
MOST_VECTORS = 10   # database.max_embeddings_per_identity
PLACES = [(20, 10, 140), (100, 60, 160), (150, 30, 120)]


class CheckFailed(Exception):
    """An unexpected answer."""


def check(truth, what, detail=''):
    if not truth:
        raise CheckFailed(f'{what} {detail}')


class Client(threading.Thread):
    """A client with one name and one face, for which all answers are predictable."""

    def __init__(self, number, server, until, seed):
        super().__init__(name=f'client {number}')
        from faces import PATTERNS, picture
        bits = PATTERNS[number % len(PATTERNS)] ^ (0xffff if number >= len(PATTERNS) else 0)
        self.server, self.until = server, until
        self.chance = random.Random(seed * 1000 + number)
        self.label, self.vectors = f'Client {number:02}', 0
        self.pictures = [picture((bits, *place), width=320, height=240) for place in PLACES]
        self.done, self.wrong = collections.Counter(), None

    def run(self):
        try:
            while time.monotonic() < self.until:
                what = self.chance.choices(['add', 'remove', 'recognize', 'verify', 'list'], [25, 10, 40, 15, 10])[0]
                getattr(self, what)()
                self.done[what] += 1
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.wrong = f'{self.label}: {type(error).__name__}: {error}'

    def picture(self):
        return self.chance.choice(self.pictures)

    def add(self):
        answer = self.server.ask('database/add', self.picture(), name=self.label)
        check(answer.status == 200, 'add', answer)
        self.vectors = min(self.vectors + 1, MOST_VECTORS)

    def remove(self):
        answer = self.server.ask('database/remove', name=self.label)
        check(answer.status == (200 if self.vectors else 404), 'remove', answer)
        check(not self.vectors or answer.json()['embeddings_erased'] == self.vectors, 'remove', answer)
        self.vectors = 0

    def recognize(self):
        answer = self.server.ask('recognize', self.picture())
        check(answer.status == 200, 'recognize', answer)
        names = [face['identity'] for face in answer.json()['faces']]
        check(names == [self.label if self.vectors else 'Unknown'], 'recognize', f'{self.vectors} vectors, but {answer}')

    def verify(self):
        answer = self.server.ask('database/verify', self.picture(), name=self.label)
        check(answer.status == (200 if self.vectors else 404), 'verify', answer)
        check(not self.vectors or answer.json()['verified'], 'verify', answer)

    def list(self):
        counts = listed(self.server)
        check(counts.get(self.label, 0) == self.vectors, 'list', f'{self.vectors} vectors, but {counts}')


def listed(server):
    value = server.get('/v1/database/list').json()
    check(value['count'] == len(value['identities']), 'list', value)
    return {each['name']: each['embedding_count'] for each in value['identities']}


def start(folder, args):
    from faces import FaceServer
    settings = dict(pair.split('=', 1) for pair in args.set)
    return FaceServer(folder, {'logging.level': 'WARNING', **settings}, device=f'sim:{folder / "script.yaml"}')


def run_clients(server, args):
    begin = time.monotonic()
    clients = [Client(i, server, begin + args.seconds, args.seed) for i in range(args.clients)]
    for client in clients:
        client.start()
    time.sleep(args.seconds / 10)
    early = server.resident_bytes()
    for client in clients:
        client.join()
    done = sum((client.done for client in clients), collections.Counter())
    each = ', '.join(f'{what} {count}' for what, count in sorted(done.items()))
    print(f'{sum(done.values()) / (time.monotonic() - begin):.0f} requests per second: {each}')
    print(f'memory: {early / 1e6:.0f} MB early, {server.resident_bytes() / 1e6:.0f} MB at the end')
    return clients


def check_file(path, vectors):
    with sqlite3.connect(path) as file:
        check(file.execute('PRAGMA integrity_check').fetchone() == ('ok',), 'the file is damaged')
        check(file.execute('PRAGMA foreign_key_check').fetchall() == [], 'vectors of nobody in the file')
        found = file.execute('SELECT COUNT(*) FROM embeddings').fetchone()[0]
        check(found == vectors, 'the file', f'has {found} vectors instead of {vectors}')


def run(folder, args):
    (folder / 'script.yaml').write_text(args.script, encoding='utf-8')
    server = start(folder, args)
    clients = run_clients(server, args)
    wrong = [client.wrong for client in clients if client.wrong]
    if wrong:
        server.process.kill()
        print(server.log[-3000:], file=sys.stderr)
        raise CheckFailed('\n'.join(wrong))
    expected = {client.label: client.vectors for client in clients if client.vectors}
    check(listed(server) == expected, 'the list', f'is {listed(server)} instead of {expected}')
    server.stop()
    check_file(folder / 'faces.db', sum(expected.values()))
    server = start(folder, args)
    check(listed(server) == expected, 'the list after a restart')
    for client in clients:
        client.server = server
        client.recognize()
    server.stop()
    print(f'{len(expected)} identities with {sum(expected.values())} vectors remain, as expected')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--program', default=str(TREE / 'build' / 'hailo-face'))
    parser.add_argument('--models', default=str(TREE / '.deps' / 'models'))
    parser.add_argument('--seconds', type=float, default=20)
    parser.add_argument('--clients', type=int, default=20)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--script', default='batch_ms: {1: 1, 8: 3}', help='script of the simulated device (docs/sim.md)')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE')
    args = parser.parse_args()
    if not 1 <= args.clients <= MOST_CLIENTS:
        parser.error(f'--clients must be 1 to {MOST_CLIENTS}')
    os.environ['HS_BIN'] = os.path.abspath(args.program)  # read when server.py is imported
    os.environ['HS_MODELS_DIR'] = os.path.abspath(args.models)
    with tempfile.TemporaryDirectory(prefix='hailo-mix-') as folder:
        try:
            run(pathlib.Path(folder), args)
        except (CheckFailed, AssertionError) as error:
            sys.exit(f'wrong: {error}')


if __name__ == '__main__':
    main()
