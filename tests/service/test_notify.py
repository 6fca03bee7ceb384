"""Messages to systemd: ready, status, reload, stop and watchdog."""
import ctypes
import os
import pathlib
import re
import signal
import socket
import time

import pytest

from server import Server, environment, multipart, png, wait_for

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000  # also wait for threads


class Manager:
    """Receives messages as systemd does."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(60)
        self.messages = []

    def next(self):
        self.messages.append(self.socket.recv(4096).decode())
        return self.messages[-1]

    def wait(self, pattern):
        """Returns the match in the first message that matches; drops the messages before it."""
        while True:
            found = re.search(pattern, self.next())
            if found:
                return found

    def count(self, pattern, seconds):
        """Returns the number of messages that match and arrive within this time."""
        end, count = time.monotonic() + seconds, 0
        self.drain()
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                count += bool(re.search(pattern, self.next()))
            except socket.timeout:
                break
        self.socket.settimeout(60)
        return count

    def drain(self):
        self.socket.setblocking(False)
        try:
            while True:
                self.next()
        except BlockingIOError:
            self.socket.settimeout(60)


@pytest.fixture
def manager(tmp_path):
    made = Manager(str(tmp_path / 'notify'))
    yield made
    made.socket.close()


@pytest.fixture
def start(tmp_path, manager):
    servers = []

    def make(device='sim', settings=None, arguments=(), **variables):
        env = environment(tmp_path, NOTIFY_SOCKET=manager.socket.getsockname(), **variables)
        servers.append(Server(tmp_path, settings, arguments, device, env=env))
        return servers[-1]

    yield make
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def threads(server, name):
    """Returns the ids of the threads with that name."""
    folder = pathlib.Path(f'/proc/{server.process.pid}/task')
    return [int(task.name) for task in folder.iterdir() if (task / 'comm').read_text().strip() == name]


class Stopped:
    """Stops threads of another process, and only these, until the end of the block."""

    def __init__(self, ids):
        self.ids = ids
        self.libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(self, request, thread):
        return self.libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), None, None)

    def __enter__(self):
        for thread in self.ids:
            if self.ptrace(PTRACE_SEIZE, thread) < 0:
                pytest.skip('this process may not trace another one')
            self.ptrace(PTRACE_INTERRUPT, thread)
            os.waitpid(thread, WALL)

    def __exit__(self, *_):
        for thread in self.ids:
            self.ptrace(PTRACE_DETACH, thread)


def test_ready_when_it_listens_and_status_of_the_models(manager, start, script):
    server = start(device=script('load_ms: 1500\n'))
    assert 'EXTEND_TIMEOUT_USEC=30000000' == manager.next()
    manager.wait('^READY=1$')
    assert manager.wait('^STATUS=(.*)')[1].startswith('not ready: model_loading')
    assert re.match(r'ready: \S+ on sim', manager.wait('^STATUS=(.*)')[1])
    server.stop()
    stopping = manager.wait('^STOPPING=1\n')
    assert 'EXTEND_TIMEOUT_USEC=27000000' in stopping.string


def test_status_names_the_reason_of_a_failure(manager, start, script):
    server = start(device=script('faults: [{kind: load_fail, at: 1, count: 1000}]'))
    status = manager.wait('^STATUS=(not ready: model_failed.*)')[1]
    reason = server.get('/health/ready').json()['detail']
    assert status == f'not ready: model_failed: {reason}'


def test_abstract_socket(tmp_path):
    manager = Manager('\0hs-test-' + str(os.getpid()))
    env = environment(tmp_path, NOTIFY_SOCKET='@' + manager.socket.getsockname()[1:].decode())
    with Server(tmp_path, env=env):
        manager.wait('^READY=1$')


def test_a_socket_that_is_absent_or_full_changes_nothing(tmp_path):
    with Server(tmp_path, env=environment(tmp_path, NOTIFY_SOCKET='/nonexistent/socket')) as server:
        server.assert_healthy()
    with Server(tmp_path, env=environment(tmp_path, NOTIFY_SOCKET='relative')) as server:
        server.assert_healthy()


def test_reload_is_announced_with_its_result(tmp_path, manager, start):
    page = tmp_path / 'settings.yaml'
    page.write_text('logging: {level: INFO}\n')
    server = start(arguments=['--config', str(page)])
    manager.wait('^READY=1$')
    before_us = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
    server.process.send_signal(signal.SIGHUP)
    reloading = manager.wait('^RELOADING=1\nMONOTONIC_USEC=([0-9]+)$')
    assert before_us <= int(reloading[1]) <= time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
    manager.wait('^READY=1$')
    page.write_text('logging: {level: LOUD}\n')
    server.process.send_signal(signal.SIGHUP)
    manager.wait('^RELOADING=1\n')
    manager.wait('^STATUS=.*; reload failed, the old settings are in effect: ')
    manager.wait('^READY=1$')
    page.write_text('logging: {level: INFO}\n')
    server.process.send_signal(signal.SIGHUP)
    manager.wait('^RELOADING=1\n')
    assert 'failed' not in manager.wait('^STATUS=').string
    manager.wait('^READY=1$')
    server.assert_healthy()


def test_watchdog_is_fed_a_few_times_per_interval(manager, start):
    start(WATCHDOG_USEC='800000')
    manager.wait('^READY=1$')
    assert 4 <= manager.count('^WATCHDOG=1$', 2) <= 20


def test_watchdog_of_another_process_is_not_fed(manager, start):
    start(WATCHDOG_USEC='400000', WATCHDOG_PID='1')
    manager.wait('^READY=1$')
    assert manager.count('^WATCHDOG=1$', 1) == 0


def test_watchdog_starves_while_the_network_thread_hangs(manager, start):
    server = start(WATCHDOG_USEC='400000')
    manager.wait('^WATCHDOG=1$')
    with Stopped(threads(server, 'http-network')):
        manager.count('', 0.3)  # the sign of life from before the stop
        assert manager.count('^WATCHDOG=1$', 1.5) == 0
    manager.wait('^WATCHDOG=1$')
    server.assert_healthy()


def test_watchdog_starves_while_the_main_thread_hangs(manager, start):
    server = start(WATCHDOG_USEC='400000')
    manager.wait('^WATCHDOG=1$')
    with Stopped([server.process.pid]):
        assert manager.count('^WATCHDOG=1$', 1.5) == 0
        server.assert_healthy()
    manager.wait('^WATCHDOG=1$')


def test_a_busy_service_is_alive(manager, start, script):
    """All workers wait for a slow device, within their deadlines."""
    server = start(device=script('latency_ms: 1500\n'), WATCHDOG_USEC='800000',
                   settings={'performance.worker_threads': 1})
    wait_for(lambda: server.get('/health/ready').status == 200)
    body, content_type = multipart({'image': png()})
    with server.connect() as sock:
        sock.sendall((f'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n'
                      f'Content-Length: {len(body)}\r\n\r\n').encode() + body)
        assert manager.count('^WATCHDOG=1$', 1.2) >= 2
