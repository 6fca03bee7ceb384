#!/usr/bin/python3
"""Measures a running hailo-pose: time from exec to ready, images per second and CPU time per request for several client
counts, latency of /health while detect is saturated, and memory.

    bench_server.py [--program FILE] [--models DIR] [--picture FILE]... [--clients 1,4,16] [--seconds N] [--requests N]
                    [--set KEY=VALUE]...

`hailo-pose bench --url` generates the load. --requests N sends N requests at the end and prints the memory after each
tenth.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from http_load import cpu_seconds, memory_mb

TREE = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(TREE / 'tests' / 'service'))


def start(arguments):
    """Starts a server. Returns it when it is ready, and the seconds from exec to ready."""
    from server import Server  # reads HS_BIN when it is imported
    folder = tempfile.mkdtemp(prefix='hailo-bench-')
    settings = dict(pair.split('=', 1) for pair in arguments.set)
    began = time.monotonic()
    server = Server(folder, device='cpu', settings={'logging.level': 'WARNING', **settings})
    while server.get('/health/ready').status != 200:
        time.sleep(0.002)
    return server, time.monotonic() - began


def load(server, arguments, clients, **limits):
    """Runs the load generator once and returns its JSON report."""
    command = [arguments.program, 'bench', '--url', f'{server.url}/v1/pose/detect', '--clients', str(clients), '--json']
    for name, value in limits.items():
        command += [f'--{name}', str(value)]
    done = subprocess.run(command + arguments.picture, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


class HealthProbe(threading.Thread):
    """Requests /health repeatedly, on separate connections."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.milliseconds, self.stopped = server, [], threading.Event()

    def run(self):
        while not self.stopped.wait(0.02):
            began = time.monotonic()
            if self.server.get('/health').status == 200:
                self.milliseconds.append((time.monotonic() - began) * 1e3)

    def p99(self):
        self.stopped.set()
        self.join()
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], len(ordered)


def measure_load(server, arguments, clients):
    probe = HealthProbe(server)
    cpu = cpu_seconds(server.process.pid)
    probe.start()
    report = load(server, arguments, clients, seconds=arguments.seconds, warm=1)
    cpu = cpu_seconds(server.process.pid) - cpu
    health, asked = probe.p99()
    stages = report['stages_ms']
    # Excludes the CPU time of the warm-up, estimated from its share of the time.
    cpu_each = cpu / (report['pictures'] * (1 + 1 / report['seconds']))
    print(f"{clients:3} clients: {report['pictures_per_second']:6.2f} pictures/s, round trip p50 "
          f"{stages['round_trip']['p50']:.1f} p99 {stages['round_trip']['p99']:.1f} ms, network p50 "
          f"{stages['inference']['p50']:.1f} ms, other work p50 "
          f"{sum(stages[name]['p50'] for name in ('decode', 'preprocess', 'postprocess')):.2f} ms, "
          f"CPU {cpu_each:.4f} s each, /health p99 {health:.1f} ms of {asked}, "
          f"{report['failures']} failed, {memory_mb(server.process.pid):.0f} MB")


def measure_memory(server, arguments):
    pid, steps = server.process.pid, 10
    print(f'{arguments.requests} requests, 4 clients; resident MB after each tenth:', end='', flush=True)
    for _ in range(steps):
        load(server, arguments, 4, rounds=arguments.requests // steps, seconds=86400, warm=0)
        print(f' {memory_mb(pid):.1f}', end='', flush=True)
    print(f'; peak {memory_mb(pid, "VmHWM"):.1f}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--program', default=str(TREE / 'build' / 'hailo-pose'))
    parser.add_argument('--models', default=str(TREE / '.deps' / 'models'))
    parser.add_argument('--picture', action='append', default=[])
    parser.add_argument('--clients', default='1,4,16')
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--requests', type=int, default=0)
    parser.add_argument('--set', action='append', default=[])
    arguments = parser.parse_args()
    arguments.picture = arguments.picture or [str(TREE / '.deps' / 'samples' / 'zidane.jpg')]
    os.environ.update(HS_BIN=arguments.program, HS_MODELS_DIR=arguments.models)
    server, _ = start(arguments)  # compiles the model if it is not cached yet
    server.stop()
    server, seconds = start(arguments)
    with server:
        print(f'ready after {seconds:.2f} s with a warm cache, {memory_mb(server.process.pid):.0f} MB resident')
        for clients in map(int, arguments.clients.split(',')):
            measure_load(server, arguments, clients)
        if arguments.requests:
            measure_memory(server, arguments)


if __name__ == '__main__':
    main()
