"""Proxies: which headers count, and the examples of deploy/nginx and deploy/haproxy with the real programs."""
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from certificates import Authority
from faces import FaceServer, one
from server import RESPONSE_TIMEOUT_S, Server, TREE, multipart, png, read_response, wait_for

UNLOAD = '/v1/models/yolo11n-pose/unload'


def client_of(server, headers):
    """Sends a request and returns the client that the log names."""
    ident = f'id-{os.urandom(6).hex()}'
    assert server.get('/v1/models', headers={'X-Request-Id': ident, **headers}).status == 200
    line = wait_for(lambda: re.search(rf'client=(\S+) request_id={ident}', server.log))
    return line[1]


# ---- headers

@pytest.fixture(scope='module')
def behind(tmp_path_factory):
    """A server that trusts the address of these tests, and two networks."""
    settings = {'server.trusted_proxies': '127.0.0.1 10.0.0.0/8 2001:db8:1::/48', 'server.cors_origins': ''}
    with Server(tmp_path_factory.mktemp('behind'), settings) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        yield server


@pytest.mark.parametrize('header, client', [
    ('203.0.113.7', '203.0.113.7'),
    ('198.51.100.1, 203.0.113.7', '203.0.113.7'),                # the first one is the client's own claim
    ('203.0.113.7, 10.1.2.3', '203.0.113.7'),                    # a trusted proxy before this one
    ('203.0.113.7,10.1.2.3 ,\t10.9.9.9', '203.0.113.7'),
    ('10.0.0.1, 10.0.0.2', '10.0.0.1'),                          # only proxies: the first one asks
    ('2001:db8::5, [2001:db8:1::9]:443', '2001:db8::5'),
    ('203.0.113.7:5555', '203.0.113.7'),
    ('::ffff:203.0.113.7', '203.0.113.7'),
    ('203.0.113.7, unknown, 10.1.2.3', '10.1.2.3'),              # nothing before an entry that is not an address
    ('203.0.113.7, ', '127.0.0.1'),
    ('garbage', '127.0.0.1'),
    ('', '127.0.0.1'),
    ('203.0.113.7, ' + ', '.join(['10.0.0.1'] * 40), '10.0.0.1'),
])
def test_client_behind_trusted_proxies(behind, header, client):
    assert client_of(behind, {'X-Forwarded-For': header}) == client


def test_several_headers_are_one_list(behind):
    with behind.connect() as sock:
        sock.sendall(b'GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.1\r\nX-Request-Id: several\r\n'
                     b'X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.0.0.5, 10.0.0.6\r\n\r\n')
        assert read_response(sock).status == 200
    assert wait_for(lambda: re.search(r'client=(\S+) request_id=several', behind.log))[1] == '203.0.113.9'


def test_headers_of_others_do_not_count(healthy):
    """The server trusts no proxy, so the headers change nothing, except that the request is not local."""
    assert client_of(healthy, {'X-Forwarded-For': '203.0.113.7'}) == '127.0.0.1'
    assert healthy.request('POST', UNLOAD, headers={'X-Forwarded-For': '127.0.0.1'}).status == 403
    page = {'Origin': 'http://evil.example', 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'http'}
    assert healthy.request('POST', '/v1/models/yolo11n-pose/load', headers=page).status == 403


def test_a_proxy_is_never_local(behind):
    """Its address is 127.0.0.1, with or without headers, and also if it claims that its client's is."""
    for headers in ({}, {'X-Forwarded-For': '127.0.0.1'}, {'X-Forwarded-For': '203.0.113.7'}):
        assert behind.request('POST', UNLOAD, headers=headers).status == 403


def test_limit_per_address_is_not_for_proxies(make_server):
    """A proxy connects for many clients; others are limited."""
    settings = {'server.trusted_proxies': '127.0.0.1', 'server.max_connections_per_address': 2}
    server = make_server(settings=settings)
    socks = [server.connect() for _ in range(6)]
    for sock in socks:
        sock.sendall(b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
        assert read_response(sock).status == 200
        sock.close()


def test_host_of_a_trusted_proxy(make_face):
    """The page's own host is the one that the proxy reports."""
    server = make_face({'server.trusted_proxies': '127.0.0.1', 'server.allowed_hosts': 'faces.example'})
    page = {'Origin': 'https://faces.example', 'Sec-Fetch-Site': 'same-origin', 'Host': 'inner:5002'}
    remove = '/v1/database/identities/Nobody'
    assert server.request('DELETE', remove, headers=page).status == 403
    assert server.request('DELETE', remove, headers={**page, 'X-Forwarded-Host': 'faces.example'}).status == 404
    # A value that the client sent comes before that of the proxy.
    assert server.request('DELETE', remove, headers={**page, 'X-Forwarded-Host': 'faces.example, evil.example'}
                          ).status == 403


@pytest.mark.parametrize('item', ['10.0.0.0/33', '10.0.0.1/8', 'localhost', '::1/129', '10.0.0.0/', 'fd00::/8/8', 'Unix'])
def test_bad_items(cli, item):
    done = cli('serve', '--device', 'sim', '--set', f'server.trusted_proxies={item}')
    assert done.returncode == 2 and 'server.trusted_proxies' in done.stderr
    assert 'not an address, a range such as 10.0.0.0/8, or unix' in done.stderr


# ---- the examples with the real programs

def free_ports(count):
    socks = [socket.socket() for _ in range(count)]
    for sock in socks:
        sock.bind(('127.0.0.1', 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def example(name, changes):
    """Reads an example and changes what depends on the machine. Each place must exist."""
    with open(os.path.join(TREE, 'deploy', name), encoding='utf-8') as file:
        text = file.read()
    for old, new in changes:
        assert old in text, f'{name} has no {old!r}'
        text = text.replace(old, new)
    return text


def nginx(folder, plain, secure, pair):
    text = example('nginx/hailo-services.conf', [
        ('    listen [::]:80;\n', ''), ('    listen [::]:443 ssl;\n', ''), ('listen 80', f'listen 127.0.0.1:{plain}'),
        ('listen 443', f'listen 127.0.0.1:{secure}'), ('/etc/ssl/certs/hailo.pem', pair[0]),
        ('/etc/ssl/private/hailo.key', pair[1]), ('/run/hailo-pose/', f'{folder}/'), ('/run/hailo-face/', f'{folder}/')])
    temporary = ' '.join(f'{kind}_temp_path {folder}/{kind};' for kind in
                         ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
    (folder / 'nginx.conf').write_text(
        f'daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n'
        f'events {{ worker_connections 200; }}\nhttp {{ access_log off; {temporary}\n{text}}}\n', encoding='utf-8')
    return ['nginx', '-p', str(folder), '-e', str(folder / 'error.log'), '-c', str(folder / 'nginx.conf')]


def haproxy(folder, plain, secure, pair):
    both = folder / 'both.pem'
    both.write_bytes(b''.join(open(name, 'rb').read() for name in pair))
    text = example('haproxy/haproxy.cfg', [
        ('    user haproxy\n    group haproxy\n', ''), ('bind :80', f'bind 127.0.0.1:{plain}'),
        ('bind :443', f'bind 127.0.0.1:{secure}'), ('/etc/haproxy/certs/hailo.pem', str(both)),
        ('log /dev/log local0', 'log stdout format raw local0'),
        ('/run/hailo-pose/', f'{folder}/'), ('/run/hailo-face/', f'{folder}/')])
    (folder / 'haproxy.cfg').write_text(text, encoding='utf-8')
    return ['haproxy', '-db', '-f', str(folder / 'haproxy.cfg')]


class Front:
    """A proxy with both services behind it."""

    def __init__(self, folder, kind):
        authority = Authority(str(folder))
        pair = authority.sign('localhost')
        self.context = authority.client()
        self.plain, self.secure = free_ports(2)
        command = kind(folder, self.plain, self.secure, pair)
        script = folder / 'slow.yaml'
        script.write_text('latency_ms: 250\n', encoding='utf-8')
        folders = {name: folder / name for name in ('pose-files', 'face-files')}
        for path in folders.values():
            path.mkdir()
        shared = {'server.trusted_proxies': 'unix'}
        self.pose = Server(folders['pose-files'], {**shared, 'server.path_prefix': '/pose'}, device=f'sim:{script}',
                           arguments=('--host', f'unix:{folder}/hailo-pose.sock'))
        self.face = FaceServer(folders['face-files'], {**shared, 'server.path_prefix': '/face'},
                               arguments=('--host', f'unix:{folder}/hailo-face.sock'))
        for server in (self.pose, self.face):
            wait_for(lambda server=server: server.get('/health/ready').status == 200)
        self.output = open(folder / 'output', 'w+', encoding='utf-8')  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output,  # pylint: disable=consider-using-with
                                        stderr=self.output)
        wait_for(lambda: self.is_up('/pose/health/ready') and self.is_up('/face/health/ready'))

    def is_up(self, path):
        assert self.process.poll() is None, open(self.output.name, encoding='utf-8').read()
        try:
            return self.request('GET', path).status == 200
        except OSError:
            return False

    def connect(self, source='127.0.0.1'):
        sock = socket.create_connection(('127.0.0.1', self.secure), RESPONSE_TIMEOUT_S, (source, 0))
        return self.context.wrap_socket(sock, server_hostname='localhost')

    @staticmethod
    def head(method, path, headers):
        lines = [f'{method} {path} HTTP/1.1', *(f'{name}: {value}' for name, value in headers.items())]
        return '\r\n'.join(lines + ['', '']).encode()

    def request(self, method, path, body=b'', headers=None, source='127.0.0.1'):
        with self.connect(source) as sock:
            length = {'Content-Length': len(body)} if body else {}
            sock.sendall(self.head(method, path, {'Host': f'localhost:{self.secure}', **length, **(headers or {})}))
            try:
                sock.sendall(body)
            except OSError:
                pass  # refused before the end
            return read_response(sock, method)

    def close(self):
        self.process.terminate()
        self.process.wait(RESPONSE_TIMEOUT_S)
        self.output.close()
        self.pose.stop()
        self.face.stop()


@pytest.fixture(scope='module', params=[nginx, haproxy], ids=['nginx', 'haproxy'])
def front(request, tmp_path_factory):
    if not shutil.which(request.param.__name__):
        pytest.skip(f'{request.param.__name__} is not installed')
    opened = Front(tmp_path_factory.mktemp(request.param.__name__), request.param)
    yield opened
    opened.close()


def test_both_services(front):
    assert front.request('GET', '/pose/v1/models').json()['data'][0]['id'].endswith('-pose')
    assert front.request('GET', '/face/v1/database/list').json()['identities'] == []
    assert front.request('GET', '/other').status == 404
    body, kind = multipart({'image': png()})
    assert front.request('POST', '/pose/v1/pose/detect', body, {'Content-Type': kind}).json()['poses']


def test_plain_http_is_redirected(front):
    with socket.create_connection(('127.0.0.1', front.plain), RESPONSE_TIMEOUT_S) as sock:
        sock.sendall(front.head('GET', '/pose/health?a=b', {'Host': 'localhost'}))
        response = read_response(sock)
    assert (response.status, response.headers['Location']) == (308, 'https://localhost/pose/health?a=b')


def test_clients_are_known(front):
    """The log has the address of the client, also if the client sends the header itself."""
    for source, sent in (('127.0.0.1', {}), ('127.0.0.7', {}), ('127.0.0.8', {'X-Forwarded-For': '203.0.113.5'})):
        ident = f'id-{os.urandom(6).hex()}'
        assert front.request('GET', '/pose/v1/models', headers={'X-Request-Id': ident, **sent},
                             source=source).status == 200
        line = wait_for(lambda ident=ident: re.search(rf'client=(\S+) request_id={ident}', front.pose.log))
        assert line[1] == source


def test_administration_is_not_open(front):
    """Clients of the proxy are not local, even on this machine."""
    assert front.request('POST', '/pose' + UNLOAD).status == 403
    assert front.pose.get('/health/ready').status == 200


def test_pages_of_the_public_host(front):
    """A page that the browser got from the proxy may change data; another page may not."""
    body, kind = multipart({'image': one(0), 'name': 'Ann/Bea'})
    page = {'Content-Type': kind, 'Sec-Fetch-Site': 'same-origin', 'Origin': f'https://localhost:{front.secure}'}
    assert front.request('POST', '/face/v1/database/add', body, page).status == 200
    evil = {**page, 'Origin': 'https://evil.example', 'Sec-Fetch-Site': 'cross-site'}
    assert front.request('POST', '/face/v1/database/add', body, evil).status == 403
    older = {key: value for key, value in page.items() if key != 'Sec-Fetch-Site'}
    assert front.request('POST', '/face/v1/database/add', body, older).status == 200
    # An encoded '/' in a name reaches the service as it was sent.
    assert front.request('GET', '/face/v1/database/identities/Ann%2FBea').json()['name'] == 'Ann/Bea'
    assert front.request('DELETE', '/face/v1/database/identities/Ann%2FBea', headers=page).status == 200


def test_body_size(front):
    """31 MB pass, and more than 32 MiB are refused by one of the two."""
    picture = png()
    headers = {'Content-Type': 'image/png'}
    response = front.request('POST', '/pose/v1/pose/detect', picture + bytes(31_000_000), headers)
    assert response.status == 200 and response.json()['poses']
    assert front.request('POST', '/pose/v1/pose/detect', picture + bytes(34_000_000), headers).status == 413


def test_streams_are_not_held_back(front):
    """The first line arrives while the others are still computed, at least one second before the last."""
    body, kind = multipart([('image', png(64 + i, 48)) for i in range(8)])
    arrived = []
    with front.connect() as sock:
        sock.sendall(front.head('POST', '/pose/v1/pose/detect/batch', {
            'Host': 'localhost', 'Content-Type': kind, 'Accept': 'application/x-ndjson', 'Content-Length': len(body),
            'Connection': 'close'}) + body)
        received = b''
        while part := sock.recv(65536):
            received += part
            arrived += [time.monotonic()] * (received.count(b'"index"') - len(arrived))
    assert len(arrived) == 8 and received.count(b'"poses"') == 8
    assert arrived[-1] - arrived[0] > 1


def test_disconnects_reach_the_service(front):
    body, kind = multipart([('image', png(64 + i, 48)) for i in range(16)])
    before = front.pose.metric('cancelled_total')
    with front.connect() as sock:
        sock.sendall(front.head('POST', '/pose/v1/pose/detect/batch',
                                {'Host': 'localhost', 'Content-Type': kind, 'Content-Length': len(body)}) + body)
        front.pose.wait_for_requests(1)
    wait_for(lambda: front.pose.metric('cancelled_total') > before)
