#!/usr/bin/python3
"""Sends the requests of rfc/cases.py through nginx and HAProxy to hailo-pose, and finds requests that the proxy and
the server parse differently: the server must receive as many requests as the proxy forwarded, and none for the path
hidden in bodies unless the proxy saw that one too. The proxies listen on 127.0.0.1 with configurations in a
temporary folder; HAProxy also runs in its lenient mode. Exits with 77 if neither is installed, and with 1 if there
is a difference.

    HS_BIN=build/hailo-pose HS_MODELS_DIR=.deps/models tests/hostile/rfc_proxies.py [-v]
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, 'rfc'), os.path.join(HERE, '..', 'service')]
from cases import CASES, MARKER  # noqa: E402 pylint: disable=wrong-import-position
from server import Server, wait_for  # noqa: E402 pylint: disable=wrong-import-position

QUIET_S = 0.25

NGINX = '''
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err; worker_rlimit_nofile 512;
events {{ worker_connections 200; }}
http {{
  log_format brief '$upstream_addr|$status|$request'; access_log {folder}/nginx.log brief;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  upstream pose {{ server {backend}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port}; large_client_header_buffers 4 64k; client_max_body_size 0;
    location / {{
      proxy_pass http://pose; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;
      proxy_next_upstream off;
    }}
  }}
}}
'''

HAPROXY = '''
global
  log stdout format raw local0
defaults
  mode http
  log global
  log-format "%s|%ST|%r"
  timeout client 5s
  timeout server 5s
  timeout connect 2s
  retries 0
  http-reuse always
frontend in
  bind 127.0.0.1:{port}
  {lenient}
  default_backend pose
backend pose
  {lenient_back}
  server pose {backend}
'''


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


class Proxy:
    """A running proxy. `requests` returns the requests that it forwarded and those that it answered itself since
    the last call."""

    def __init__(self, name, folder, command, log, port):
        self.name, self._log, self.address, self._at = name, log, ('127.0.0.1', port), 0
        with open(os.path.join(folder, 'output'), 'wb') as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # pylint: disable=consider-using-with
        wait_for(self._answers)

    def _answers(self):
        try:
            socket.create_connection(self.address, 1).close()
            return True
        except OSError:
            assert self._process.poll() is None, f'{self.name} ended'
            return False

    def requests(self):
        with open(self._log, encoding='utf-8', errors='replace') as log:
            log.seek(self._at)
            lines = log.read().splitlines()
            self._at = log.tell()
        forwarded = []
        for upstream, _, request in (line.split('|', 2) for line in lines if line.count('|') >= 2):
            times = 0 if upstream in ('', '-', '<NOSRV>') else len(upstream.split(','))
            forwarded += [request] * times
        return forwarded

    def stop(self):
        self._process.terminate()
        self._process.wait(10)


def start_nginx(folder, backend):
    port = free_port()
    path = os.path.join(folder, 'nginx.conf')
    with open(path, 'w', encoding='ascii') as conf:
        conf.write(NGINX.format(folder=folder, backend=backend, port=port))
    program = shutil.which('nginx', path=os.environ['PATH'] + ':/usr/sbin')
    return Proxy('nginx', folder, [program, '-c', path, '-p', folder], os.path.join(folder, 'nginx.log'), port)


def start_haproxy(folder, backend, lenient=False):
    port = free_port()
    path = os.path.join(folder, 'haproxy.cfg')
    with open(path, 'w', encoding='ascii') as conf:
        conf.write(HAPROXY.format(backend=backend, port=port,
                                  lenient='option accept-invalid-http-request' if lenient else '',
                                  lenient_back='option accept-invalid-http-response' if lenient else ''))
    program = shutil.which('haproxy', path=os.environ['PATH'] + ':/usr/sbin')
    name = 'haproxy, lenient' if lenient else 'haproxy'
    return Proxy(name, folder, [program, '-db', '-f', path], os.path.join(folder, 'output'), port)


def send_and_receive(address, data):
    """Returns all data received until the connection is quiet."""
    received = b''
    with socket.create_connection(address, 5) as sock:
        try:
            sock.sendall(data)
            sock.settimeout(QUIET_S)
            while part := sock.recv(65536):
                received += part
        except OSError:
            pass
    return received


def statuses(received):
    """Returns the statuses of final answers; approximate, but sufficient for a report."""
    lines = [line for line in received.split(b'\r\n') if b'HTTP/1.' in line]
    found = [line[line.index(b'HTTP/1.') + 9:][:3].decode('ascii', 'replace') for line in lines]
    return [status for status in found if status != '100']


class Backend:
    def __init__(self, server):
        self._server, self._at, self._count = server, 0, 0

    def requests(self):
        """Returns the requests since the last call, from the access log."""
        self._count += 1
        barrier = f'barrier-{self._count}'
        self._server.get('/health', headers={'X-Request-Id': barrier})
        wait_for(lambda: any(line.endswith(f' request_id={barrier}\n') for line in self._server.lines[self._at:]))
        lines = self._server.lines[self._at:]
        self._at += len(lines)
        return [line for line in lines if ' duration_ms=' in line and 'barrier-' not in line]


def compare(proxy, backend, verbose):
    counts = dict.fromkeys(('same', 'proxy refuses', 'server refuses', 'other answer', 'DIFFERENT COUNT', 'SMUGGLED'), 0)
    proxy.requests(), backend.requests()
    for case in CASES:
        answers = statuses(send_and_receive(proxy.address, case.data))
        time.sleep(0.02)
        forwarded, seen = proxy.requests(), backend.requests()
        wanted = [str(status) for status in case.statuses if status != 100]
        hidden = sum(MARKER in line for line in seen) - sum(MARKER in line for line in forwarded)
        accepted = [status for status in wanted if status not in ('400', '501', '505', '417')]
        kind = ('SMUGGLED' if hidden > 0 else 'DIFFERENT COUNT' if len(seen) != len(forwarded) else
                'same' if answers == wanted else 'proxy refuses' if len(forwarded) < len(wanted) and accepted else
                'server refuses' if forwarded and not accepted else 'other answer')
        counts[kind] += 1
        if verbose or kind in ('SMUGGLED', 'DIFFERENT COUNT'):
            print(f'{proxy.name:18} {kind:16} {case.name:36} alone {",".join(wanted):12} behind {",".join(answers):12} '
                  f'forwarded {len(forwarded)} seen {len(seen)}')
    print(f'{proxy.name:18} ' + ', '.join(f'{name} {count}' for name, count in counts.items()) + f' of {len(CASES)}')
    return counts['SMUGGLED'] + counts['DIFFERENT COUNT']


def main():
    path = os.environ['PATH'] + ':/usr/sbin'
    starts = []
    if shutil.which('nginx', path=path):
        starts.append(start_nginx)
    if shutil.which('haproxy', path=path):
        starts += [start_haproxy, lambda folder, backend: start_haproxy(folder, backend, lenient=True)]
    if not starts:
        print('neither nginx nor HAProxy is installed', file=sys.stderr)
        return 77
    bad = 0
    with tempfile.TemporaryDirectory() as folder, Server(folder, {'logging.level': 'DEBUG'}) as server:
        for number, start in enumerate(starts):
            own = os.path.join(folder, str(number))
            os.mkdir(own)
            proxy = start(own, '{}:{}'.format(*server.address))
            try:
                bad += compare(proxy, Backend(server), '-v' in sys.argv)
            finally:
                proxy.stop()
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
