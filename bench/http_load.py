"""Shared by the benchmarks of this folder: many clients on persistent connections in one thread, images with known
answers, and CPU time and memory of a process. Uses only Python's standard library."""
import asyncio
import json
import math
import os
import pathlib
import re
import struct
import time
import zlib

TICKS = os.sysconf('SC_CLK_TCK')
BOUNDARY = 'hs-bench-61c0'


# ---- numbers

def percentile(values, part):
    """Nearest-rank percentile, as in `hailo-pose bench`."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else math.nan


def median(values):
    return percentile(values, 0.5)


def cpu_seconds(pid):
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='ascii').rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid, key='VmRSS'):
    status = pathlib.Path(f'/proc/{pid}/status').read_text(encoding='ascii')
    return int(re.search(rf'{key}:\s+(\d+) kB', status)[1]) * 1024 / 1e6


# ---- pictures

def png_of_rows(rows):
    """Encodes rows of RGB bytes as a PNG."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    head = struct.pack('>IIBBBBB', len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) +
            chunk(b'IDAT', zlib.compress(b''.join(b'\0' + row for row in rows), 1)) + chunk(b'IEND', b''))


def blob(box, side):
    """Returns a dark square image with one white rectangle, which the scripted device detects as a person."""
    x, y, width, height = box
    dark = b'\x10\x10\x10' * side
    light = b'\x10\x10\x10' * x + b'\xff\xff\xff' * width + b'\x10\x10\x10' * (side - x - width)
    return png_of_rows([light if y <= row < y + height else dark for row in range(side)])


def blobs(chance, count, side=320):
    """Returns `count` pairs of image and box. All boxes differ, and the device detects them exactly."""
    boxes = set()
    while len(boxes) < count:
        width, height = 8 * chance.randint(4, 12), 8 * chance.randint(4, 12)
        boxes.add((8 * chance.randint(1, (side - width) // 8 - 1), 8 * chance.randint(1, (side - height) // 8 - 1),
                   width, height))
    return [(blob(box, side), box) for box in sorted(boxes)]


def is_answer_to(box, answer, tolerance=3):
    """Returns true if a detect answer has exactly this person."""
    poses = answer['poses']
    if len(poses) != 1:
        return False
    found = poses[0]['bbox']
    return all(abs(found[key] - want) <= tolerance for key, want in zip(('x', 'y', 'width', 'height'), box))


def form(picture, **fields):
    out = b''
    for name, value in {'image': picture, **fields}.items():
        data = value if isinstance(value, bytes) else str(value).encode()
        out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + data + b'\r\n'
    return out + f'--{BOUNDARY}--\r\n'.encode()


# ---- clients

class Answer:
    def __init__(self, status, body, ms):
        self.status, self.body, self.ms = status, body, ms

    def json(self):
        return json.loads(self.body)


class Caller:
    """A client with one connection, which it opens again if the server has closed it."""

    def __init__(self, address):
        self.address, self.reader, self.writer = address, None, None

    async def ask(self, body, path='/v1/pose/detect'):
        head = (f'POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n'
                f'Content-Length: {len(body)}\r\n\r\n').encode()
        return await self.send(head + body)

    async def get(self, path):
        return await self.send(f'GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n'.encode())

    async def send(self, data):
        if not self.writer:
            self.reader, self.writer = await asyncio.open_connection(*self.address)
        began = time.monotonic()
        self.writer.write(data)
        head = await self.reader.readuntil(b'\r\n\r\n')
        length = int(re.search(rb'(?i)\r\ncontent-length: *(\d+)', head)[1])
        body = await self.reader.readexactly(length)
        answer = Answer(int(head.split(b' ', 2)[1]), body, (time.monotonic() - began) * 1e3)
        if re.search(rb'(?i)\r\nconnection: *close', head):
            await self.close()
        return answer

    async def close(self):
        if self.writer:
            self.writer.close()
            self.reader = self.writer = None


async def run_clients(address, count, work):
    """Runs work(caller, number) concurrently for each client."""
    callers = [Caller(address) for _ in range(count)]
    try:
        await asyncio.gather(*(work(caller, i) for i, caller in enumerate(callers)))
    finally:
        for caller in callers:
            await caller.close()
