"""Unix sockets, sockets that systemd passes, and the prefix of paths."""
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

import pytest

from certificates import Authority
from server import BINARY, RESPONSE_TIMEOUT_S, Server, environment, noise_png, png, read_response, run, wait_for

GET = b'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'
LAUNCHER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'socket_activation.py')


def on_socket(folder, path, settings=None, **options):
    return Server(folder, settings, arguments=('--host', f'unix:{path}'), **options)


# ---- unix sockets

def test_unix_socket(tmp_path):
    path = tmp_path / 'pose.sock'
    with on_socket(tmp_path, path) as server:
        assert server.address == str(path) and wait_for(lambda: f'listening on unix:{path}\n' in server.log)
        assert 'Anyone who can reach' not in server.log
        mode = os.lstat(path).st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o660
        for _ in range(2):
            assert server.post_form({'image': png()}).json()['poses']
        assert wait_for(lambda: f'client=unix:{os.getuid()} ' in server.log)
        with server.connect() as sock:  # HTTP/1.1 keeps the connection open
            for _ in range(3):
                sock.sendall(GET)
                assert read_response(sock).status == 200
    assert not path.exists()


@pytest.mark.parametrize('mode', ['0600', '0666'])
def test_mode(tmp_path, mode):
    path = tmp_path / 'pose.sock'
    with on_socket(tmp_path, path, {'server.socket_mode': mode}):
        assert stat.S_IMODE(os.lstat(path).st_mode) == int(mode, 8)


def test_local_clients_are_administrators(tmp_path):
    """As those of 127.0.0.1, unless they are proxies."""
    with on_socket(tmp_path, tmp_path / 'a.sock') as server:
        assert server.request('POST', '/v1/models/yolo11n-pose/unload').status == 200
        assert server.request('POST', '/v1/models/yolo11n-pose/unload', headers={'Via': '1.1 x'}).status == 403
    with on_socket(tmp_path, tmp_path / 'b.sock', {'server.trusted_proxies': 'unix'}) as server:
        assert server.request('POST', '/v1/models/yolo11n-pose/unload').status == 403


def test_a_stale_socket_is_replaced(tmp_path):
    path = tmp_path / 'pose.sock'
    server = on_socket(tmp_path, path)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    assert path.exists()
    with on_socket(tmp_path, path) as server:
        assert server.get('/health').status == 200


def test_a_socket_in_use_is_kept(tmp_path):
    path = tmp_path / 'pose.sock'
    with on_socket(tmp_path, path) as server:
        done = run(tmp_path, 'serve', '--host', f'unix:{path}', '--device', 'sim')
        assert done.returncode == 1 and 'Address already in use' in done.stderr
        assert server.get('/health').status == 200


def test_other_files_are_kept(tmp_path):
    path = tmp_path / 'file'
    path.write_text('kept', encoding='ascii')
    done = run(tmp_path, 'serve', '--host', f'unix:{path}', '--device', 'sim')
    assert done.returncode == 1
    assert f'cannot listen on unix:{path}: a file that is not a socket has this name' in done.stderr
    assert path.read_text(encoding='ascii') == 'kept'
    done = run(tmp_path, 'serve', '--host', f'unix:{tmp_path}/none/x', '--device', 'sim')
    assert done.returncode == 1 and 'No such file or directory' in done.stderr


def test_a_socket_of_another_server_is_not_deleted(tmp_path):
    """The second server replaced the file, so the end of the first one must not delete it."""
    path = tmp_path / 'pose.sock'
    first = on_socket(tmp_path, path)
    path.unlink()
    with on_socket(tmp_path, path) as second:
        first.stop()
        assert second.get('/health').status == 200


@pytest.mark.parametrize('host', ['unix:', 'unix:relative.sock', 'unix:/' + 'a' * 107])
def test_bad_paths(tmp_path, host):
    done = run(tmp_path, 'serve', '--host', host, '--device', 'sim')
    assert done.returncode == 2 and 'must have an absolute path of at most 107 bytes' in done.stderr


def test_slow_reader_of_a_unix_socket(tmp_path):
    """The kernel counts the queue of a unix socket differently; a reader above the minimum rate must not be cut off,
    and one that does not read must be."""
    picture = noise_png(1400, 1000)
    request = b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nAccept: image/png\r\nContent-Type: image/png\r\n' \
              b'Content-Length: %d\r\nConnection: close\r\n\r\n' % len(picture) + picture
    with on_socket(tmp_path, tmp_path / 'pose.sock', {'server.body_timeout': 2}) as server:
        with server.connect() as stuck, server.connect() as slow:
            for sock in (stuck, slow):
                sock.sendall(request)
            received = 0
            while part := slow.recv(16384):
                received += len(part)
                time.sleep(0.001)
            assert received > 1_000_000
            wait_for(lambda: 'POST /v1/pose/detect 200 (cut off)' in server.log)


def test_bench_over_a_unix_socket(tmp_path):
    with on_socket(tmp_path, tmp_path / 'pose.sock') as server:
        done = run(tmp_path, 'bench', '--unix-socket', server.address, '--url', 'http://localhost/v1/pose/detect',
                   '--rounds', 2, '--warm', 0)
        assert done.returncode == 0, done.stderr


# ---- sockets of systemd

def listening(family=socket.AF_INET, address=('127.0.0.1', 0), kind=socket.SOCK_STREAM):
    sock = socket.socket(family, kind)
    sock.bind(address)
    if kind == socket.SOCK_STREAM:
        sock.listen(16)
    sock.set_inheritable(True)
    return sock


class Activated:
    """The program, started with these sockets; `process.wait()` ends it."""

    def __init__(self, folder, sockets, names='', settings=None, env=None):
        descriptors = ','.join(str(sock.fileno()) for sock in sockets)
        command = [sys.executable, LAUNCHER, f'{descriptors}:{names}', BINARY, 'serve', '--device', 'sim', '--port', '0']
        for key, value in (settings or {}).items():
            command += ['--set', f'{key}={value}']
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,  # pylint: disable=consider-using-with
                                        stderr=subprocess.STDOUT, text=True, cwd=str(folder),
                                        pass_fds=[sock.fileno() for sock in sockets],
                                        env=env or environment(folder))

    def lines(self, count):
        """Returns the addresses of the first `count` listening lines."""
        found = []
        while len(found) < count:
            line = self.process.stdout.readline()
            assert line, 'the program has ended'
            found += re.findall(r'listening on (\S+)', line)
        return found

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        text, _ = self.process.communicate(timeout=RESPONSE_TIMEOUT_S)
        assert self.process.returncode == 0, text
        return text


def ask(sock):
    sock.settimeout(RESPONSE_TIMEOUT_S)
    sock.sendall(GET)
    return read_response(sock).status


def test_sockets_of_systemd(tmp_path):
    """The service serves both sockets instead of server.host, and leaves them to systemd at its end: a client that
    connects between two services is served by the second one."""
    path = str(tmp_path / 'pose.sock')
    with listening() as tcp, listening(socket.AF_UNIX, path) as unix:
        for _ in range(2):
            waiting = socket.create_connection(tcp.getsockname(), timeout=RESPONSE_TIMEOUT_S)
            service = Activated(tmp_path, [tcp, unix])
            assert service.lines(2) == ['http://127.0.0.1:%d' % tcp.getsockname()[1], f'unix:{path}']
            assert ask(waiting) == 200
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                assert ask(client) == 200
            waiting.close()
            service.stop()
            assert os.path.exists(path)


def test_variables_are_for_one_process(tmp_path):
    with listening() as tcp:
        env = environment(tmp_path, TEST_LISTEN_PID='1')
        service = Activated(tmp_path, [tcp], settings={'server.host': '127.0.0.1'}, env=env)
        assert service.lines(1) != ['http://127.0.0.1:%d' % tcp.getsockname()[1]]
        service.stop()


def test_sockets_with_tls_and_a_redirect(tmp_path):
    """A socket with the name "redirect" redirects to the other one, whose order does not matter. Unix sockets have no
    TLS."""
    authority = Authority(str(tmp_path))
    certificate, key = authority.sign('localhost')
    path = str(tmp_path / 'pose.sock')
    with listening() as plain, listening() as tcp, listening(socket.AF_UNIX, path) as unix:
        service = Activated(tmp_path, [plain, tcp, unix], 'redirect:https:unix',
                            {'server.tls_certificate': certificate, 'server.tls_key': key})
        port = tcp.getsockname()[1]
        assert service.lines(3)[1:] == [f'https://127.0.0.1:{port}', f'unix:{path}']
        with socket.create_connection(plain.getsockname(), timeout=RESPONSE_TIMEOUT_S) as client:
            client.sendall(GET)
            assert read_response(client).headers['Location'] == f'https://localhost:{port}/health'
        with socket.create_connection(tcp.getsockname(), timeout=RESPONSE_TIMEOUT_S) as client:
            with authority.client().wrap_socket(client, server_hostname='localhost') as secure:
                assert ask(secure) == 200
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            assert ask(client) == 200
        service.stop()


def test_wrong_sockets_of_systemd(tmp_path):
    with listening(kind=socket.SOCK_DGRAM) as datagram, listening() as tcp:
        service = Activated(tmp_path, [tcp, datagram], 'one:two')
        text, _ = service.process.communicate(timeout=RESPONSE_TIMEOUT_S)
        assert service.process.returncode == 1
        assert 'the socket "two" (descriptor 4) of systemd is not a listening TCP or unix stream socket' in text
    with socket.socket() as sock:
        sock.set_inheritable(True)
        service = Activated(tmp_path, [sock])
        text, _ = service.process.communicate(timeout=RESPONSE_TIMEOUT_S)
        assert service.process.returncode == 1 and 'check the socket unit' in text


# ---- the prefix of paths

def test_path_prefix(make_server):
    server = make_server(settings={'server.path_prefix': '/cameras/pose'})
    wait_for(lambda: server.get('/cameras/pose/health/ready').status == 200)
    for path in ('/health', '/cameras/pose/health', '/cameras/pose/health?x=1'):
        assert server.get(path).status == 200
    for path in ('/cameras/pose', '/cameras/pose/'):
        assert server.get(path).body == server.get('/').body
    for path in ('/cameras/posehealth', '/cameras/pose/cameras/pose/health',
                 '/cameras/health', '/CAMERAS/pose/health'):
        assert server.get(path).status == 404, path
    assert server.post_form({'image': png()}, '/cameras/pose/v1/pose/detect').json()['poses']
    assert server.request('POST', '/cameras/pose/v1/models/yolo11n-pose/load').status == 200
    wait_for(lambda: 'POST /v1/pose/detect 200' in server.log)


@pytest.mark.parametrize('prefix', ['pose', '/pose/', '/', '//pose', '/a b', '/a?b', '/%41'])
def test_bad_prefixes(tmp_path, prefix):
    done = run(tmp_path, 'serve', '--device', 'sim', '--set', f'server.path_prefix={prefix}')
    assert done.returncode == 2 and 'server.path_prefix' in done.stderr and 'is not a path such as /pose' in done.stderr
