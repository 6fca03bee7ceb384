#!/usr/bin/python3
"""Measures the cost of encrypting the vectors of a large gallery, with the simulated device.

    bench_gallery.py [--program FILE] [--vectors N] [--rounds N] [--folder DIR]

Makes a plain gallery of random vectors, one per identity, and an encrypted copy of it. Prints for both: the time from
the start of the service until it is ready, the median times to add and to recognise a face, and the size of the file;
and the times to encrypt, to encrypt again with another key, and to verify a backup. Rounds alternate between the two
galleries, and the shortest start counts. Each time is given as elapsed and as processor time, which other programs on
the machine disturb less. Needs about four times the size of the gallery in the folder (default: /tmp).
"""
import argparse
import os
import pathlib
import resource
import shutil
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(TREE / 'tests' / 'service'))

DIMENSION = 512
ADDS = 40
RECOGNITIONS = 60


def fill(path, count):
    """Adds identities with one vector each: 512 numbers of the same size and of random sign."""
    size = DIMENSION ** -0.5
    chunks = [struct.pack('<8f', *(size if byte >> bit & 1 else -size for bit in range(8))) for byte in range(256)]
    with sqlite3.connect(path) as db:
        db.executemany('INSERT INTO identities (id, name) VALUES (?, ?)',
                       ((1000 + i, f'person {i:06}') for i in range(count)))
        db.executemany("INSERT INTO embeddings (identity_id, embedding, space, model) VALUES (?, ?, 'sim', 'sim')",
                       ((1000 + i, b''.join(chunks[byte] for byte in os.urandom(DIMENSION // 8)))
                        for i in range(count)))
    db.close()


def processor_s(process):
    """Returns the processor time of a running process."""
    with open(f'/proc/{process.pid}/stat', encoding='ascii') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def children_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Gallery:
    """A folder with a gallery, plain or encrypted."""

    def __init__(self, folder, program, key=None):
        self.folder = folder
        self.program = program
        self.settings = {'database.db_file': folder / 'faces.db', 'database.backup_path': folder / 'backups',
                         'database.backup_enabled': 'false', 'database.keep_backups': 1}
        if key:
            self.settings['database.encryption_key'] = key
        self.starts, self.adds, self.recognitions = [], [], []

    def db(self, *words):
        """Runs an action of `db`; returns its elapsed and processor time in seconds."""
        more = [part for name, value in self.settings.items() for part in ('--set', f'{name}={value}')]
        start, before = time.monotonic(), children_s()
        subprocess.run([self.program, 'db', *words, '--quiet', *more], check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - start, children_s() - before

    def serve(self):
        # pylint: disable-next=import-outside-toplevel
        from faces import FaceServer, one
        start = time.monotonic()
        with FaceServer(self.folder, settings=self.settings) as server:
            while server.get('/health/ready').status != 200:
                time.sleep(0.01)
            self.starts.append((time.monotonic() - start, processor_s(server.process)))
            for i in range(ADDS):
                self.adds.append(self.time(server, lambda i=i: server.add(f'new {i % 4}', one(i % 15))))
            for i in range(RECOGNITIONS):
                self.recognitions.append(self.time(server, lambda i=i: server.ask('recognize', one(i % 15))))

    @staticmethod
    def time(server, call):
        start, before = time.monotonic(), processor_s(server.process)
        call()
        return time.monotonic() - start, processor_s(server.process) - before

    def size(self):
        return (self.folder / 'faces.db').stat().st_size


def print_row(what, plain, encrypted, unit, digits):
    print(f'| {what} | {plain:.{digits}f} {unit} | {encrypted:.{digits}f} {unit} | {encrypted / plain:.2f} |', flush=True)


def print_times(what, plain, encrypted, scale, unit, digits):
    """Prints a row of elapsed and one of processor times; the arguments are the two times of both galleries."""
    for i, kind in enumerate(('elapsed', 'processor')):
        print_row(f'{what}, {kind}', plain[i] * scale, encrypted[i] * scale, unit, digits)


def typical(times):
    """The median of elapsed times, and the mean of processor times, whose clock is coarse."""
    return statistics.median(t[0] for t in times), statistics.mean(t[1] for t in times)


def fastest(times):
    return min(t[0] for t in times), min(t[1] for t in times)


def measure(folder, program, vectors, rounds):
    key, next_key = folder / 'key', folder / 'next'
    for path in (key, next_key):
        subprocess.run([program, 'db', 'key', 'generate', path, '--quiet'], check=True, stdout=subprocess.DEVNULL)
    plain, sealed = (Gallery(folder / name, program, name == 'sealed' and key) for name in ('plain', 'sealed'))
    plain.folder.mkdir()
    plain.serve()
    fill(plain.folder / 'faces.db', vectors)
    plain.db('stats')  # rewrites the file, because another program changed it
    shutil.copytree(plain.folder, sealed.folder)
    times = [('encrypt all', sealed.db('encrypt')), ('encrypt again', sealed.db('rotate-key', '--reencrypt')),
             ('another key', sealed.db('rotate-key', '--new-key', str(next_key)))]
    sealed.settings['database.encryption_key'] = next_key
    for gallery in (plain, sealed):
        gallery.starts, gallery.adds, gallery.recognitions = [], [], []
    for _ in range(rounds):
        plain.serve()
        sealed.serve()
    print('| | plain | encrypted | ratio |\n| --- | --- | --- | --- |')
    print_times('start until ready', fastest(plain.starts), fastest(sealed.starts), 1, 's', 2)
    print_times('add a face', typical(plain.adds), typical(sealed.adds), 1000, 'ms', 2)
    print_times('recognise a face', typical(plain.recognitions), typical(sealed.recognitions), 1000, 'ms', 2)
    print_row('size of the file', *(g.size() / 1e6 for g in (plain, sealed)), 'MB', 1)
    print_times('make a backup', plain.db('backup'), sealed.db('backup'), 1, 's', 2)
    print_times('verify a backup', plain.db('backup', 'verify'), sealed.db('backup', 'verify'), 1, 's', 2)
    for what, (elapsed_s, used_s) in times:
        print(f'{what}, with a backup afterwards: {elapsed_s:.2f} s, processor {used_s:.2f} s')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--program', default=str(TREE / 'build' / 'hailo-face'))
    parser.add_argument('--vectors', type=int, default=100000)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--folder', default='/tmp')
    arguments = parser.parse_args()
    program = os.path.abspath(arguments.program)
    os.environ['HS_BIN'] = os.path.join(os.path.dirname(program), 'hailo-pose')
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix='bench-gallery-') as folder:
        measure(pathlib.Path(folder), program, arguments.vectors, arguments.rounds)


if __name__ == '__main__':
    main()
