#!/usr/bin/python3
"""Measures the path from requests to devices: overhead of the service, batches across requests, the CPU with different
numbers of slots, and failing devices. Most scenes use the scripted device (docs/sim.md); `cpu` and `fallback` need
weights. Works with sanitizer builds too, but their times are meaningless.

    bench_devices.py [--only NAME[,NAME]...] [--program FILE] [--models DIR] [--seconds N] [--calls N] [--kinds NAME,...]
                     [--seed N] [--json FILE]

overhead  share of time in which the device is busy, and the time of a request outside the device
batches   device.batch_size 8 against 1, with several batch wait times
cpu       one client and four: inference.slots 0 (the default), 1 and 2 (bench/bench_infer, and the service)
faults    calls with short deadlines while the device fails in all ways; each answer is compared with its image
fallback  fallback to the CPU after the loss of the device; answers are compared with those of --device cpu
crowd     200 clients and a queue of ten: all answers are 200 or 503; latency of /health

Exits with 1 if an answer was wrong or the service did not stop cleanly. Missed targets are only marked.
"""
import argparse
import asyncio
import collections
import json
import multiprocessing
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

from http_load import (Caller, blob, blobs, cpu_seconds, form, is_answer_to, median, memory_mb, percentile, run_clients)

TREE = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(TREE / 'tests' / 'service'))

KINDS = ['transient', 'error', 'queue_full', 'late', 'hang', 'lost', 'none', 'busy', 'mismatch', 'bad_model', 'memory',
         'load_fail', 'load_slow']
PROBE_S, TIMEOUT_S, LATE_MS = 0.5, 0.3, 50
SLOTS = (0, 1, 2)  # inference.slots; 0 is the default


class CheckFailed(Exception):
    """An unexpected answer or exit."""


class Bench:
    """Starts servers and collects the results."""

    def __init__(self, arguments):
        self.arguments, self.rows, self.wrong = arguments, [], []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='hailo-devices-'))

    def start(self, script=None, device='sim', program=None, **settings):
        """Starts a server. Names of settings have _ instead of the first dot: device_batch_size."""
        from server import Server  # reads HS_BIN when it is imported
        if script is not None:
            path = self.folder / f'{len(list(self.folder.iterdir()))}.yaml'
            path.write_text(script, encoding='utf-8')
            device = f'sim:{path}'
        names = {key.replace('_', '.', 1): value for key, value in settings.items()}
        server = Server(self.folder, device=device, settings={'logging.level': 'ERROR', **names}, program=program)
        return server

    def note(self, name, what, value, unit, target=None, good=True):
        """Adds one row to the table. `target` is a string."""
        self.rows.append({'name': name, 'what': what, 'value': value, 'unit': unit, 'target': target,
                          'met': bool(good) if target else None})
        shown = f'{value:.3f}' if isinstance(value, float) else str(value)
        mark = '' if not target else f'   target {target}: {"met" if good else "MISSED"}'
        print(f'{name:9} {what:52} {shown:>10} {unit}{mark}', flush=True)

    def check(self, truth, what):
        if not truth:
            self.wrong.append(what)
            print(f'WRONG: {what}', flush=True)


def wait_ready(server, patience_s=120):
    end = time.monotonic() + patience_s
    while server.get('/health/ready').status != 200:
        if time.monotonic() > end:
            raise CheckFailed(f'not ready after {patience_s} s: {server.get("/health/ready").body}')
        time.sleep(0.005)


def load(server, clients, seconds, bodies, warm=0.5, empty=None):
    """Runs clients that send requests in a loop. Returns the answers after the warm-up and the images per second. If
    `empty` is a list, one more client requests /health at intervals and appends each latency in ms."""
    answers, begin = [], time.monotonic() + warm

    async def ask_for_nothing(caller):
        while time.monotonic() < begin + seconds:
            empty.append((await caller.get('/health')).ms)
            await asyncio.sleep(0.02)

    async def work(caller, number):
        if number == clients:
            await ask_for_nothing(caller)
            return
        turn = number
        while time.monotonic() < begin + seconds:
            answer = await caller.ask(bodies[turn % len(bodies)])
            if time.monotonic() - answer.ms / 1e3 >= begin:
                answers.append(answer)
            turn += 1

    asyncio.run(run_clients(server.address, clients + (empty is not None), work))
    bad = [answer for answer in answers if answer.status != 200]
    if bad:
        raise CheckFailed(f'{len(bad)} of {len(answers)} answers failed: {bad[0].status} {bad[0].body}')
    return answers, len(answers) / (time.monotonic() - begin)


# ---- overhead

def measure_overhead(bench):
    """Uses one worker per client, because time in the worker queue does not count as overhead. A round trip minus
    `queue` (wait for a slot) and `inference` (in the device, including earlier requests) is the time of our code, two
    sockets and the client. A concurrent empty request shows the share of sockets and client."""
    camera = TREE / '.deps' / 'samples' / 'zidane.jpg'
    pictures = {'320x320 PNG': blob((64, 64, 96, 160), 320), '640x640 PNG': blob((64, 64, 200, 320), 640)}
    if camera.exists():
        pictures['1280x720 JPEG'] = camera.read_bytes()
    with bench.start('latency_ms: 6', performance_worker_threads=9) as server:
        wait_ready(server)
        for name, picture in pictures.items():
            cpu = cpu_seconds(server.process.pid)
            empty = []
            answers, rate = load(server, 8, bench.arguments.seconds, [form(picture)], empty=empty)
            cpu = cpu_seconds(server.process.pid) - cpu
            timings = [answer.json()['timings_ms'] for answer in answers]
            beside = [answer.ms - t['queue'] - t['inference'] for answer, t in zip(answers, timings)]
            inside = [t['total'] - t['queue'] - t['inference'] for t in timings]
            small = '1280' not in name
            bench.note('overhead', f'{name}: device busy', rate * 0.006, '', '>= 0.95', rate * 0.006 >= 0.95)
            for what, part, values, most in (('p50', 0.5, beside, 2), ('p99', 0.99, beside, 5)):
                value = percentile(values, part)
                bench.note('overhead', f'{name}: round trip without the device {what}', value, 'ms', f'< {most}' if small
                           else None, value < most)
            bench.note('overhead', f'{name}: round trip of an empty request p50, {percentile(empty, 0.99):.1f} p99',
                       median(empty), 'ms')
            bench.note('overhead', f'{name}: decode to answer without the device p50', median(inside), 'ms')
            bench.note('overhead', f'{name}: decode to answer without the device p99', percentile(inside, 0.99), 'ms')
            requests = rate * (bench.arguments.seconds + 0.5)
            bench.note('overhead', f'{name}: CPU per request', cpu / requests * 1e3, 'ms')


# ---- batches

def measure_batches(bench):
    script = 'batch_ms: {1: 6, 2: 10, 4: 18, 8: 35}'
    kinds = {'one by one': {}, **{f'8, wait {wait} ms': {'device_batch_size': 8, 'device_batch_wait_ms': wait}
                                  for wait in (0, 1, 2, 5)}}
    rounds = 3
    pictures = [form(picture) for picture, _ in blobs(random.Random(1), 16)]
    servers = {name: bench.start(script, performance_worker_threads=18, **settings) for name, settings in kinds.items()}
    for clients in (1, 8, 16):
        rates, times = collections.defaultdict(list), collections.defaultdict(list)
        for _ in range(rounds):
            for name, server in servers.items():
                answers, rate = load(server, clients, bench.arguments.seconds / rounds, pictures)
                rates[name].append(rate)
                times[name] += [answer.ms for answer in answers]
        base, base_p99 = median(rates['one by one']), percentile(times['one by one'], 0.99)
        for name in servers:
            ratio, p99 = median(rates[name]) / base, percentile(times[name], 0.99)
            goal = clients > 1 and name != 'one by one'
            bench.note('batches', f'{clients} clients, {name}: pictures per second', median(rates[name]), '/s')
            bench.note('batches', f'{clients} clients, {name}: p50 {median(times[name]):.1f}, p99', p99, 'ms',
                       f'<= {base_p99:.1f}' if goal else None, p99 <= base_p99)
            if name != 'one by one':
                bench.note('batches', f'{clients} clients, {name}: against one by one', ratio, '',
                           '>= 1.25' if goal else None, ratio >= 1.25)
    for server in servers.values():
        server.stop()


# ---- cpu

def run_infer(bench, clients, seconds):
    """Returns the results of bench_infer by number of slots: {slots: (images per second, p50, minimum)}."""
    build = pathlib.Path(bench.arguments.program).resolve().parent
    program = build / 'bench' / 'bench_infer'
    model = pathlib.Path(bench.arguments.models) / 'yolo11n-pose.onnx'
    done = subprocess.run([program, model, '384', '640', str(clients), str(seconds), ','.join(map(str, SLOTS)), 'auto',
                           bench.folder / 'cache'], capture_output=True, text=True, check=True,
                          env={'HS_BACKEND_DIR': str(build / 'src' / 'backends'), **os.environ})
    lines = re.findall(r'^slots +(\d+), +\d+ clients: +([0-9.]+) /s, p50 +([0-9.]+) ms, p95 +[0-9.]+ ms, min +([0-9.]+) ms',
                       done.stdout, re.MULTILINE)
    return {int(slots): tuple(float(figure) for figure in figures) for slots, *figures in lines}


def measure_cpu(bench):
    """Alternates between the numbers of slots, so that other load on the machine affects all of them."""
    build = pathlib.Path(bench.arguments.program).parent
    subprocess.run(['ninja', '-C', str(build), 'bench/bench_infer'], stdout=subprocess.DEVNULL, check=True)
    found = {}
    for clients in (1, 4):
        for slots, figures in run_infer(bench, clients, bench.arguments.seconds * 2).items():
            found[clients, slots] = figures
            rate, p50, least = figures
            bench.note('cpu', f'runner, {clients} clients, slots {slots}: {rate:.1f}/s, least {least:.1f} ms, p50', p50, 'ms')
    slower = found[1, 0][1] / min(found[1, slots][1] for slots in SLOTS)
    faster = found[4, 0][0] / max(found[4, slots][0] for slots in SLOTS)
    bench.note('cpu', 'runner, 1 client: p50 by the best one\'s', slower, '', '<= 1.05', slower <= 1.05)
    bench.note('cpu', 'runner, 4 clients: pictures per second by the best', faster, '')
    measure_cpu_service(bench)


def measure_cpu_service(bench):
    """One client alternates between the servers after each image, and four clients after each second, so that other
    load affects all servers equally. Under other load more threads get more CPU time, so CPU time is compared too."""
    body = form((TREE / '.deps' / 'samples' / 'zidane.jpg').read_bytes())
    servers = {slots: bench.start(device='cpu', inference_slots=slots) for slots in SLOTS}
    times, rates, cpu = (collections.defaultdict(list) for _ in range(3))
    for slots, server in servers.items():
        wait_ready(server)
        bench.note('cpu', f'service, slots {slots}: resident when ready', memory_mb(server.process.pid), 'MB')
        load(server, 4, 2, [body])
    until = time.monotonic() + 5 * bench.arguments.seconds
    while time.monotonic() < until:
        for slots, server in servers.items():
            times[slots].append(asyncio.run(ask_once(server, body)).ms)
    for _ in range(max(3, int(bench.arguments.seconds))):
        for slots, server in servers.items():
            before = cpu_seconds(server.process.pid)
            answers, rate = load(server, 4, 1, [body], warm=0)
            rates[slots].append(rate)
            cpu[slots].append((cpu_seconds(server.process.pid) - before) / len(answers))
    for slots, server in servers.items():
        bench.note('cpu', f'service, 1 client, slots {slots}: least {min(times[slots]):.1f}, p50', median(times[slots]), 'ms')
        bench.note('cpu', f'service, 4 clients, slots {slots}: CPU {median(cpu[slots]) * 1e3:.0f} ms each',
                   median(rates[slots]), '/s')
        bench.note('cpu', f'service, slots {slots}: resident at the end', memory_mb(server.process.pid), 'MB')
    slower_by = median(times[0]) / min(median(times[slots]) for slots in SLOTS)
    faster_by = median(rates[0]) / max(median(rates[slots]) for slots in SLOTS)
    least = min(median(cpu[slots]) for slots in SLOTS)
    bench.note('cpu', 'service, 1 client: p50 by the best one\'s', slower_by, '', '<= 1.05', slower_by <= 1.05)
    bench.note('cpu', 'service, 4 clients: pictures per second by the best', faster_by, '')
    bench.note('cpu', 'service, 4 clients: CPU each by the least', median(cpu[0]) / least, '')
    for server in servers.values():
        server.stop()


# ---- faults

class FaultLoad:
    """Calls with deadlines of 50 to 500 ms; each answer is compared with the image of its call."""

    def __init__(self, bench, server, calls, least_s, seed):
        self.bench, self.server, self.calls, self.least_s = bench, server, calls, least_s
        self.chance = random.Random(seed)
        self.pictures = blobs(random.Random(7), 64)
        self.sent, self.statuses, self.late_ms, self.begin = 0, collections.Counter(), [], 0
        self.memory, self.not_ready_at, self.lag_ms = [], 0, 0.0

    def is_running(self):
        return self.sent < self.calls or time.monotonic() - self.begin < self.least_s

    async def work(self, caller, _):
        while self.is_running():
            self.sent += 1
            picture, box = self.chance.choice(self.pictures)
            limit_ms = self.chance.randint(50, 500) * self.bench.arguments.slow
            answer = await caller.ask(form(picture, timeout=limit_ms / 1e3))
            self.late_ms.append(answer.ms - limit_ms)
            self.check_response(answer, box)
            if answer.status != 200:
                await asyncio.sleep(self.chance.uniform(0.01, 0.05))

    def check_response(self, answer, box):
        value = answer.json()
        if answer.status == 200:
            self.statuses['200'] += 1
            self.bench.check(is_answer_to(box, value), f'{box} got {value}')
            return
        code = value['error']['code']
        self.statuses[f'{answer.status} {code}'] += 1
        self.bench.check(answer.status in (503, 504) or code == 'device_error' or answer.status == 500,
                         f'status {answer.status}: {value}')

    async def watch(self):
        """Polls readiness and memory, and measures the scheduling delay of this process."""
        caller, count = Caller(self.server.address), 0
        while self.is_running():
            if (await caller.get('/health/ready')).status != 200:
                self.not_ready_at = time.monotonic()
            if count % 20 == 0:
                self.memory.append(memory_mb(self.server.process.pid))
            count, due = count + 1, time.monotonic() + 0.01
            await asyncio.sleep(0.01)
            self.lag_ms = max(self.lag_ms, (time.monotonic() - due) * 1e3)
        await caller.close()

    def run(self):
        async def both():
            await asyncio.gather(run_clients(self.server.address, 16, self.work), self.watch())
        self.begin = time.monotonic()
        asyncio.run(both())


def slower(kind, at_ms, for_ms, extra_ms):
    extra = f', extra_ms: {extra_ms}' if kind == 'load_slow' else ''
    return f'{{kind: {kind}, at_ms: {at_ms}, for_ms: {for_ms}{extra}}}'


def random_faults(seed, span_ms, count):
    """Returns faults of all kinds, each with a start and an end. Faults of opening and loading follow a loss, because
    the device is opened again only after a loss."""
    chance, lines = random.Random(seed), []
    kinds = [KINDS[i % len(KINDS)] for i in range(count)]
    chance.shuffle(kinds)
    for i, kind in enumerate(kinds):
        at_ms = int(500 + span_ms * i / count + chance.uniform(0, span_ms / count / 2))
        if kind in ('transient', 'error', 'queue_full', 'late', 'hang'):
            lines.append(f'{{kind: {kind}, at_ms: {at_ms}, for_ms: 400, count: {chance.randint(1, 8)}}}')
        elif kind == 'lost':
            lines.append(f'{{kind: lost, at_ms: {at_ms}, for_ms: {chance.randint(20, 400)}}}')
        else:
            lines.append(f'{{kind: lost, at_ms: {at_ms}, for_ms: 20}}')
            lines.append(slower(kind, at_ms + 20, 350, 300))
    return lines


def run_faults(bench, name, faults, calls, end_ms, seed):
    """Runs one set of faults. end_ms is the end of the last fault, in ms after the server's start."""
    script = 'latency_ms: 2\nload_ms: 20\nfaults:\n' + ''.join(f'  - {fault}\n' for fault in faults)
    over = time.monotonic() + end_ms / 1e3
    server = bench.start(script, device_probe_interval=PROBE_S, device_timeout=TIMEOUT_S * bench.arguments.slow,
                         performance_worker_threads=bench.arguments.workers)
    one = FaultLoad(bench, server, calls, over + 1.5 - time.monotonic(), seed)
    one.run()
    back_s = max(0.0, one.not_ready_at - over)
    late = [ms for ms in one.late_ms if ms > 0]
    shown = ', '.join(f'{status} {count}' for status, count in sorted(one.statuses.items()))
    print(f'          {name}: {one.sent} calls: {shown}; maximum delay of this process {one.lag_ms:.0f} ms')
    bench.note('faults', f'{name}: answered 200, each with its own picture', one.statuses['200'], f'of {one.sent}')
    bench.note('faults', f'{name}: maximum after the deadline ({len(late)} calls)', max(one.late_ms), 'ms',
               f'< {LATE_MS}', max(one.late_ms) < LATE_MS)
    bench.note('faults', f'{name}: after the deadline, p99.9 of all calls', percentile(one.late_ms, 0.999), 'ms')
    bench.note('faults', f'{name}: ready again after the last fault', back_s, 's', f'< {PROBE_S + TIMEOUT_S}',
               back_s < PROBE_S + TIMEOUT_S)
    fifth = max(1, len(one.memory) // 5)
    bench.note('faults', f'{name}: memory growth, first to last fifth',
               max(one.memory[-fifth:]) - max(one.memory[:fifth]), f'MB more than {max(one.memory[:fifth]):.0f}')
    wait_ready(server)
    answer = asyncio.run(ask_once(server, form(one.pictures[0][0])))
    bench.check(answer.status == 200 and is_answer_to(one.pictures[0][1], answer.json()),
                f'{name}: a call after the faults: {answer.status} {answer.body}')
    end(bench, name, server)


async def ask_once(server, body):
    caller = Caller(server.address)
    answer = await caller.ask(body)
    await caller.close()
    return answer


def end(bench, name, server):
    try:
        server.stop()
    except AssertionError as error:
        bench.check(False, f'{name}: {error}')


def measure_faults(bench):
    arguments = bench.arguments
    chosen = arguments.kinds.split(',') if arguments.kinds else KINDS + ['all']
    for kind in chosen:
        if kind == 'all':
            span_ms = 4 * arguments.calls * min(arguments.slow, 5)
            faults = random_faults(arguments.seed, span_ms, 38)
            run_faults(bench, f'all kinds, seed {arguments.seed}', faults, arguments.calls, span_ms + 1500, arguments.seed)
            continue
        if kind in ('none', 'busy', 'mismatch', 'bad_model', 'memory', 'load_fail', 'load_slow'):
            faults = ['{kind: lost, at_ms: 800, for_ms: 20}', slower(kind, 810, 700, 500)]
        elif kind == 'lost':
            faults = ['{kind: lost, at: 100, for_ms: 300}', '{kind: lost, at_ms: 1200, for_ms: 300}']
        else:
            faults = [f'{{kind: {kind}, at_ms: {at}, for_ms: 400, count: {count}}}'
                      for at, count in ((400, 1), (800, 3), (1200, 40))]
        run_faults(bench, kind, faults, arguments.calls // 20, 1600, arguments.seed)


# ---- fallback

def compare_people(bench, what, found, wanted):
    bench.check(len(found) == len(wanted), f'{what}: {len(found)} people instead of {len(wanted)}')
    pixels = scores = 0.0
    for one, other in zip(found, wanted):
        pixels = max([pixels] + [abs(one['bbox'][key] - other['bbox'][key]) for key in ('x', 'y', 'width', 'height')])
        scores = max(scores, abs(one['bbox_confidence'] - other['bbox_confidence']))
    bench.check(pixels <= 2 and scores <= 0.01, f'{what}: {pixels} pixels and {scores} off')
    return pixels, scores


def measure_fallback(bench):
    pictures = {name: (TREE / '.deps' / 'samples' / name).read_bytes() for name in ('bus.jpg', 'zidane.jpg')}
    # Without a memory limit each image gets its best input size, whatever is loaded.
    with bench.start(device='cpu') as server:
        wait_ready(server)
        wanted = {name: asyncio.run(ask_once(server, form(data))).json() for name, data in pictures.items()}
    script = 'latency_ms: 20\nfaults: [{kind: lost, at: 3, for_ms: 3000}]'
    with bench.start(script, device_fallback='cpu', device_probe_interval=PROBE_S) as server:
        wait_ready(server)
        first = asyncio.run(ask_once(server, form(pictures['bus.jpg'], timeout=10)))
        bench.check(first.json().get('device') == 'sim', f'before the loss: {first.body}')
        seen = collections.Counter()
        begin, slowest, switched = time.monotonic(), 0.0, 0.0
        while time.monotonic() - begin < 8:
            for name, data in pictures.items():
                answer = asyncio.run(ask_once(server, form(data, timeout=10)))
                bench.check(answer.status == 200, f'{name}: {answer.status} {answer.body}')
                value = answer.json()
                seen[value.get('device')] += 1
                if value.get('device') == 'cpu':
                    bench.check(value.get('degraded') is True, f'degraded is not true: {value}')
                    compare_people(bench, name, value['poses'], wanted[name]['poses'])
                    slowest, switched = max(slowest, answer.ms), time.monotonic() - begin
            if switched and seen['sim'] > 2:
                break
        bench.check(seen['cpu'] > 0 and value['device'] == 'sim', f'devices that answered: {dict(seen)}')
        bench.note('fallback', 'answers of the processor', seen['cpu'], f'of {sum(seen.values())}')
        bench.note('fallback', 'slowest of them (it loads the network)', slowest, 'ms', '< 10000', slowest < 10000)
        bench.note('fallback', 'the device answers again after (3 s away)', switched, 's', '< 4', switched < 4)


# ---- crowd

def probe_health(url, seconds, queue):
    times, end_s = [], time.monotonic() + seconds
    while time.monotonic() < end_s:
        began = time.monotonic()
        with urllib.request.urlopen(f'{url}/health', timeout=60) as answer:
            answer.read()
        times.append((time.monotonic() - began) * 1e3)
        time.sleep(0.02)
    queue.put(times)


def measure_crowd(bench):
    seconds, pause_s = bench.arguments.crowd_seconds, 0.2
    pictures = blobs(random.Random(3), 64)
    statuses, chance = collections.Counter(), random.Random(4)
    memory, times = [], []

    async def work(caller, _):
        await asyncio.sleep(chance.uniform(0, pause_s))
        while time.monotonic() < until:
            picture, box = chance.choice(pictures)
            answer = await caller.ask(form(picture))
            statuses[answer.status] += 1
            if answer.status == 200:
                times.append(answer.ms)
                bench.check(is_answer_to(box, answer.json()), f'{box} got {answer.body}')
            else:
                bench.check(answer.status == 503, f'status {answer.status}: {answer.body}')
                await asyncio.sleep(chance.uniform(0.5, 1.5) * pause_s)

    async def watch():
        while time.monotonic() < until:
            memory.append(memory_mb(server.process.pid))
            await asyncio.sleep(0.5)

    async def both():
        await asyncio.gather(run_clients(server.address, 200, work), watch())

    server = bench.start('latency_ms: 6', performance_max_queue_size=10)
    wait_ready(server)
    queue = multiprocessing.Queue()
    probe = multiprocessing.Process(target=probe_health, args=(server.url, seconds, queue))
    probe.start()
    until = time.monotonic() + seconds
    asyncio.run(both())
    health = queue.get()
    probe.join()
    shown = ', '.join(f'{status} {count}' for status, count in sorted(statuses.items()))
    print(f'          {sum(statuses.values())} calls in {seconds:.0f} s: {shown}')
    bench.note('crowd', 'answered 200', statuses[200] / seconds, '/s')
    bench.note('crowd', 'answered 503', statuses[503] / seconds, '/s')
    bench.note('crowd', 'neither', sum(statuses.values()) - statuses[200] - statuses[503], '', '0',
               set(statuses) <= {200, 503})
    bench.note('crowd', f'200: p50 {median(times):.1f} ms, p99', percentile(times, 0.99), 'ms')
    bench.note('crowd', f'/health p50 {median(health):.1f} ms, p99', percentile(health, 0.99), f'ms of {len(health)}',
               '< 20', percentile(health, 0.99) < 20)
    tenth = max(1, len(memory) // 10)
    bench.note('crowd', 'memory growth, first to last tenth', max(memory[-tenth:]) - max(memory[:tenth]),
               f'MB more than {max(memory[:tenth]):.0f}')
    end(bench, 'crowd', server)


SCENARIOS = {'overhead': measure_overhead, 'batches': measure_batches, 'cpu': measure_cpu, 'faults': measure_faults,
          'fallback': measure_fallback, 'crowd': measure_crowd}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', default=','.join(SCENARIOS), help='comma-separated names from the list above')
    parser.add_argument('--program', default=str(TREE / 'build' / 'hailo-pose'))
    parser.add_argument('--models', default=str(TREE / '.deps' / 'models'))
    parser.add_argument('--seconds', type=float, default=9, help='seconds per measurement of overhead, batches and cpu')
    parser.add_argument('--crowd-seconds', type=float, default=60)
    parser.add_argument('--calls', type=int, default=10000, help='calls in faults with all kinds; a kind alone gets 1/20')
    parser.add_argument('--kinds', help='comma-separated kinds of faults from docs/sim.md, or all')
    parser.add_argument('--workers', type=int, default=0, help='performance.worker_threads in faults')
    parser.add_argument('--slow', type=int, default=1, help='factor for the deadlines in faults, for slow builds')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--json', help='output file for the figures')
    arguments = parser.parse_args()
    os.environ['HS_BIN'] = os.path.abspath(arguments.program)  # read when server.py is imported
    os.environ['HS_MODELS_DIR'] = os.path.abspath(arguments.models)
    bench = Bench(arguments)
    for name in arguments.only.split(','):
        if name not in SCENARIOS:
            parser.error(f'--only must be one or more of {", ".join(SCENARIOS)}')
        try:
            SCENARIOS[name](bench)
        except (CheckFailed, AssertionError) as error:
            bench.check(False, f'{name}: {error}')
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps({'figures': bench.rows, 'wrong': bench.wrong}, indent=1),
                                                encoding='utf-8')
    sys.exit(1 if bench.wrong else 0)


if __name__ == '__main__':
    main()
