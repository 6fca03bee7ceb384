"""Signals: SIGTERM stops accepting, finishes running requests and exits with 0; a second signal exits at once."""
import fcntl
import os
import pty
import re
import signal
import socket
import subprocess
import termios
import time

import pytest

from server import Server, multipart, png, read_response, wait_for

BODY, CONTENT_TYPE = multipart({'image': png()})
HEAD = (b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Type: ' + CONTENT_TYPE.encode() +
        b'\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n' % len(BODY))


def begin_upload(server):
    """Returns a connection whose request was accepted (the server sent 100) and whose body is not sent yet."""
    sock = server.connect()
    sock.sendall(HEAD)
    received = b''
    while not received.endswith(b'\r\n\r\n'):
        part = sock.recv(1)
        assert part, received
        received += part
    assert received.startswith(b'HTTP/1.1 100 ')
    return sock


def wait_until_refused(server, timeout=10):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            with server.connect(1) as sock:
                sock.sendall(b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
                sock.settimeout(1)
                if not sock.recv(1):
                    return
        except OSError:
            return
    raise AssertionError('it still accepts')


@pytest.fixture(autouse=True)
def not_under_nohup():
    """Child processes inherit ignored signals, so SIGHUP is set to its default."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Terminal:
    """A terminal that can be closed, with a program in its foreground."""

    def __init__(self):
        self.master, self.slave = pty.openpty()

    def become_controlling(self):
        """Runs in the child process."""
        os.setsid()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def close(self):
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def in_terminal(monkeypatch, make_server):
    """Starts a server whose controlling terminal is a new one."""
    terminal = Terminal()
    original = subprocess.Popen

    def start():
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, 'Popen', lambda *arguments, **options: original(
                *arguments, preexec_fn=terminal.become_controlling, **options))
            return make_server(), terminal
    return start


@pytest.mark.parametrize('sign', [signal.SIGTERM, signal.SIGINT])
def test_ends_with_zero(make_server, sign):
    server = make_server()
    assert server.get('/health').status == 200
    start = time.monotonic()
    server.stop(sign)
    assert time.monotonic() - start < 10


def finish_upload(server, sock):
    wait_until_refused(server)
    sock.sendall(BODY)
    response = read_response(sock, 'POST')
    assert response.status == 200
    assert response.headers['Connection'].lower() == 'close'
    assert server.finish() == 0


def test_running_request_is_finished(make_server):
    server = make_server()
    with begin_upload(server) as sock:
        server.process.send_signal(signal.SIGTERM)
        finish_upload(server, sock)


def test_closing_the_terminal_ends_it(in_terminal):
    """The kernel sends SIGHUP, and then the shell does, too; both count as one."""
    server, terminal = in_terminal()
    with begin_upload(server) as sock:
        terminal.close()
        wait_until_refused(server)
        server.process.send_signal(signal.SIGHUP)
        finish_upload(server, sock)
    # The connection that tested whether the server accepts may be counted too.
    assert re.search('INFO: Stopping: [12] requests? to finish, at most 20 s signal=SIGHUP\n', server.log), server.log


def test_sighup_in_an_open_terminal_reloads(in_terminal):
    server, terminal = in_terminal()
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: 'Reloaded the settings' in server.log)
    server.assert_healthy()
    terminal.close()
    assert server.finish() == 0


def test_ignored_sighup_stays_ignored(make_server):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server = make_server()
    server.process.send_signal(signal.SIGHUP)
    server.assert_healthy()
    server.stop()
    # The response was read, but the request may still be active.
    assert 'SIGHUP' not in server.log and re.search('Stopping: [01] requests? to finish, .* signal=SIGTERM', server.log), server.log


@pytest.mark.parametrize('sign', [signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGXFSZ])
def test_other_signals_are_ignored(make_server, sign):
    server = make_server()
    server.process.send_signal(sign)
    server.assert_healthy()


def test_idle_connections_do_not_delay_shutdown(make_server):
    server = make_server()
    with server.connect() as idle, server.connect() as kept:
        kept.sendall(b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
        assert read_response(kept).status == 200
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.finish() == 0
        assert time.monotonic() - start < 8
        assert idle.fileno() >= 0


def test_second_signal_ends_at_once(make_server):
    server = make_server()
    with begin_upload(server):
        server.process.send_signal(signal.SIGTERM)
        wait_until_refused(server)
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        code = server.finish()
        assert time.monotonic() - start < 5
        assert code in (0, 1), code


def test_port_is_free_afterwards(tmp_path):
    with Server(tmp_path) as server:
        address = server.address
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)


def test_device_that_keeps_loading_does_not_delay_shutdown(tmp_path):
    """The load cannot be cancelled and takes a minute; the shutdown timeout is one second."""
    script = tmp_path / 'slow.yaml'
    script.write_text('load_ms: 60000\n', encoding='utf-8')
    server = Server(tmp_path, device=f'sim:{script}', settings={'server.shutdown_timeout': 1})
    assert server.get('/health/ready').json()['reason'] == 'model_loading'
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 30
