"""TLS: versions, certificates, large and slow transfers, handshakes that stop, plain HTTP, redirects, reload."""
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from certificates import Authority, make_key, openssl
from server import (Server, closed_by_peer, environment, keeps_freed_memory, multipart, noise_png, png, read_response,
                    run, wait_for)

GET = b'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'
OLD = 'ignore:ssl.TLSVersion.TLSv1:DeprecationWarning'


@pytest.fixture(scope='module')
def authority(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp('authority')))


@pytest.fixture(scope='module')
def pair(authority):
    return authority.sign('localhost')


def settings_of(pair, **more):
    return {'server.tls_certificate': pair[0], 'server.tls_key': pair[1], **more}


@pytest.fixture(scope='module')
def secure(tmp_path_factory, authority, pair):
    """A server that speaks TLS, shared by tests that change nothing."""
    folder = tmp_path_factory.mktemp('secure')
    with Server(folder, settings_of(pair, **{'server.max_body_mb': 40}), tls=authority.client()) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        yield server


def handshake(server, context):
    """Returns the connected socket."""
    return context.wrap_socket(socket.create_connection(server.address, timeout=20), server_hostname='localhost')


# ---- the protocol

@pytest.mark.parametrize('version', ['TLSv1_2', 'TLSv1_3'])
def test_new_versions_are_accepted(secure, authority, version):
    context = authority.client(minimum_version=ssl.TLSVersion[version], maximum_version=ssl.TLSVersion[version])
    with handshake(secure, context) as sock:
        sock.sendall(GET)
        assert read_response(sock).status == 200
        assert sock.version().replace('.', '_') == version and sock.compression() is None
        assert re.search('GCM|CHACHA20', sock.cipher()[0])


@pytest.mark.filterwarnings(OLD)
@pytest.mark.parametrize('version', ['TLSv1', 'TLSv1_1'])
def test_old_versions_are_refused(secure, authority, version):
    context = authority.client()
    context.set_ciphers('ALL:@SECLEVEL=0')
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with pytest.raises(ssl.SSLError, match='(?i)alert.protocol.version'):
        handshake(secure, context)
    wait_for(lambda: 'TLS handshake failed: unsupported protocol client=127.0.0.1' in secure.log)
    metrics = secure.get('/metrics').body.decode()
    assert int(re.search(r'^hailo_tls_handshakes_total{result="failed"} (\d+)$', metrics, re.M)[1]) > 0
    assert int(re.search(r'^hailo_tls_handshakes_total{result="done"} (\d+)$', metrics, re.M)[1]) > 0
    assert re.search(r'^hailo_tls_certificate_expiry_timestamp_seconds 2524607999$', metrics, re.M)  # end of 2049


@pytest.mark.parametrize('cipher', ['ECDHE-ECDSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA384', 'AES128-GCM-SHA256'])
def test_weak_ciphers_are_refused(secure, authority, cipher):
    """Ciphers without authenticated encryption or forward secrecy."""
    context = authority.client(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(cipher)
    with pytest.raises(ssl.SSLError, match='(?i)handshake.failure'):
        handshake(secure, context)


def test_alpn(secure, authority):
    for offered in (['http/1.1'], ['h2', 'http/1.1']):
        context = authority.client()
        context.set_alpn_protocols(offered)
        with handshake(secure, context) as sock:
            assert sock.selected_alpn_protocol() == 'http/1.1'
    context = authority.client()
    context.set_alpn_protocols(['h2'])
    with pytest.raises(ssl.SSLError, match='(?i)alert.no.application.protocol'):
        handshake(secure, context)


def test_sessions_are_resumed(secure, authority):
    context = authority.client()
    with handshake(secure, context) as sock:
        sock.sendall(GET)
        assert read_response(sock).status == 200 and not sock.session_reused
        session = sock.session
    sock = socket.create_connection(secure.address, timeout=20)
    with context.wrap_socket(sock, server_hostname='localhost', session=session) as sock:
        sock.sendall(GET)
        assert read_response(sock).status == 200 and sock.session_reused


def test_no_renegotiation(secure, authority):
    """`R` asks openssl to renegotiate: TLS 1.2 answers with an alert, and the connection goes on or ends."""
    process = subprocess.Popen(['openssl', 's_client', '-connect', '%s:%d' % secure.address, '-tls1_2', '-CAfile',  # pylint: disable=consider-using-with
                                authority.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    for line in process.stdout:
        if b'Extended master secret' in line:
            break
    process.stdin.write(b'R\n')
    process.stdin.flush()
    output, _ = process.communicate(timeout=20)
    assert b'no renegotiation' in output, output


def test_chain_is_sent(tmp_path, authority):
    """The client knows only the root, so the server must send the certificate between."""
    between = authority.sign('between', authority=True, common_name='test intermediate')
    leaf = authority.sign('leaf', signer=between)
    chain = tmp_path / 'chain.pem'
    chain.write_bytes(b''.join(open(name, 'rb').read() for name in (leaf[0], between[0])))
    with Server(tmp_path, settings_of((str(chain), leaf[1])), tls=authority.client()) as server:
        assert server.get('/health').status == 200


def test_rsa_and_credential(tmp_path, authority):
    """The certificate and the key come from systemd's LoadCredential."""
    certificate, key = authority.sign('rsa', kind='rsa')
    folder = tmp_path / 'credentials'
    folder.mkdir(mode=0o700)
    for name, source in (('cert', certificate), ('key', key)):
        (folder / name).write_bytes(open(source, 'rb').read())
    env = environment(tmp_path, CREDENTIALS_DIRECTORY=str(folder))
    with Server(tmp_path, settings_of(('credential:cert', 'credential:key')), tls=authority.client(), env=env) as server:
        assert server.get('/health').status == 200
        assert 'listening on https://127.0.0.1:' in server.log
        assert wait_for(lambda: 'Using the TLS certificate credential:cert, valid until 2049-12-31 23:59 UTC' in server.log)


# ---- requests

def test_detect(secure):
    response = secure.post_form({'image': png()})
    assert response.status == 200 and response.json()['poses']


def test_many_requests_on_one_connection(secure):
    """All requests arrive in a few records, so that most of them wait inside the TLS session while others run."""
    body, kind = multipart({'image': png()})
    post = (f'POST /v1/pose/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n'
            f'Content-Length: {len(body)}\r\n\r\n').encode() + body
    with secure.connect() as sock:
        sock.sendall((GET + post) * 30)
        for _ in range(30):
            assert read_response_of(sock).json()['status']
            assert read_response_of(sock).json()['poses']


def read_response_of(sock):
    """Reads one of several responses, without reading into the next one."""
    head = b''
    while not head.endswith(b'\r\n\r\n'):
        byte = sock.recv(1)
        assert byte, head
        head += byte
    left = int(re.search(rb'Content-Length: (\d+)', head)[1])
    body = b''
    while left > len(body):
        body += sock.recv(left - len(body))

    class Parsed:
        status = int(head.split()[1])
        json = staticmethod(lambda: json.loads(body))
    return Parsed


def test_head_in_many_records(secure):
    with secure.connect() as sock:
        for at in range(len(GET)):
            sock.sendall(GET[at:at + 1])
        assert read_response(sock).status == 200


def test_large_body(secure):
    """20 MB of a picture with bytes after its end, checked by the server."""
    picture = png(640, 480)
    response = secure.request('POST', '/v1/pose/detect', picture + bytes(20_000_000), {'Content-Type': 'image/png'})
    assert response.status == 200 and response.json()['image_size'] == {'width': 640, 'height': 480}


@pytest.mark.parametrize('pause', [0, 0.003])
def test_large_response(secure, pause):
    """A drawing of noise has megabytes, which a slow reader gets intact."""
    picture = noise_png(1500, 1000)
    head = f'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nAccept: image/png\r\nContent-Type: image/png\r\n' \
           f'Content-Length: {len(picture)}\r\nConnection: close\r\n\r\n'
    with secure.connect() as sock:
        sock.sendall(head.encode() + picture)
        received = bytearray()
        while part := sock.recv(65536):
            received += part
            time.sleep(pause)
    head, _, body = bytes(received).partition(b'\r\n\r\n')
    assert int(re.search(rb'Content-Length: (\d+)', head)[1]) == len(body) > 4_000_000
    assert body.startswith(b'\x89PNG') and body.endswith(b'IEND\xaeB`\x82')


def test_stream(secure):
    body, kind = multipart([('image', png(64 + i, 48)) for i in range(20)])
    response = secure.request('POST', '/v1/pose/detect/batch', body,
                              {'Content-Type': kind, 'Accept': 'application/x-ndjson'})
    lines = [json.loads(line) for line in response.body.splitlines()]
    assert response.headers['Transfer-Encoding'] == 'chunked'
    assert [line['index'] for line in lines if 'index' in line] == list(range(20))


def test_end_is_marked(secure):
    """A response that only the end of the connection ends is complete if TLS ended before."""
    with secure.connect() as sock:
        sock.suppress_ragged_eofs = False  # else Python hides that the end is missing
        sock.sendall(GET.replace(b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n'))
        received = b''
        while part := sock.recv(65536):
            received += part
        assert received.endswith(b'}') or received.endswith(b'\n')


def test_disconnect_cancels(make_server, authority, pair, script):
    server = make_server(settings=settings_of(pair), device=script('latency_ms: 3000\n'), tls=authority.client())
    wait_for(lambda: server.get('/health/ready').status == 200)
    body, kind = multipart({'image': png()})
    with server.connect() as sock:
        sock.sendall(f'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n'
                     f'Content-Length: {len(body)}\r\n\r\n'.encode() + body)
        server.wait_for_requests(1)
    wait_for(lambda: b'\nhailo_http_cancelled_total 1\n' in server.get('/metrics').body)


# ---- clients that do not speak TLS, or stop

def test_client_that_does_not_read_is_cut_off(make_server, authority, pair):
    """Its response is larger than the buffers of the system; meanwhile others are served."""
    server = make_server(settings=settings_of(pair, **{'server.body_timeout': 2}), tls=authority.client())
    picture = noise_png(1500, 1000)
    with server.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.sendall(b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nAccept: image/png\r\nContent-Type: image/png\r\n'
                     b'Content-Length: %d\r\n\r\n' % len(picture) + picture)
        wait_for(lambda: 'POST /v1/pose/detect 200 (cut off)' in server.log)
        assert server.get('/health').status == 200
    wait_for(lambda: server.metric('timed_out_total') == 1)


def test_plain_http_gets_400(secure):
    with socket.create_connection(secure.address, timeout=20) as sock:
        sock.sendall(GET)
        response = read_response(sock)
        assert response.status == 400 and response.json()['error']['message'] == 'This port accepts only https'
        assert response.headers['Connection'] == 'close' and closed_by_peer(sock)


@pytest.mark.parametrize('data', [bytes(300), b'\x80' * 300, b'\x16\x03\x01\x00\x05hello', b'\x16' * 40000,
                                  b'\x16\x03\x01\xff\xff' + bytes(70000)],
                         ids=['zeros', 'high', 'not-a-hello', 'repeated', 'too-long'])
def test_garbage_is_refused(secure, data):
    with socket.create_connection(secure.address, timeout=20) as sock:
        try:
            sock.sendall(data)
        except OSError:
            pass
        assert closed_by_peer(sock, 5)
    secure.assert_healthy()


def hello():
    """Returns the first message of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname='localhost').do_handshake()
    return outgoing.read()


def test_slow_handshakes_end(make_server, authority, pair):
    """A connection that has sent nothing, a part of the first message, all of it, or one byte at a time ends after
    server.header_timeout, and other clients are served meanwhile."""
    server = make_server(settings=settings_of(pair, **{'server.header_timeout': 1, 'server.max_connections': 20}),
                         tls=authority.client())
    first = hello()
    slow = [socket.create_connection(server.address, timeout=20) for _ in range(12)]
    start = time.monotonic()
    for number, sock in enumerate(slow[:8]):
        sock.sendall(first[:[0, 1, len(first) // 2, len(first)][number % 4]])
    done = threading.Event()

    def drip():
        for at in range(len(first)):
            for sock in slow[8:]:
                try:
                    sock.sendall(first[at:at + 1])
                except OSError:
                    pass
            if done.wait(0.05):
                return

    thread = threading.Thread(target=drip)
    thread.start()
    assert server.get('/health').status == 200
    for sock in slow:
        assert closed_by_peer(sock, 10)
        sock.close()
    took = time.monotonic() - start
    done.set()
    thread.join()
    assert 0.7 < took < 6
    assert server.get('/health').status == 200
    wait_for(lambda: server.metric('timed_out_total') >= 12)


def test_memory_of_connections_is_bounded(make_server, authority, pair):
    """300 connections, half of them inside the handshake with a large first message, take less than 200 KB each."""
    server = make_server(settings=settings_of(pair, **{'server.max_connections': 400, 'server.header_timeout': 60}),
                         tls=authority.client())
    wait_for(lambda: server.get('/health/ready').status == 200)
    before = server.resident_bytes()
    large = b'\x16\x03\x01\x40\x00\x01\x01\xff\x00' + bytes(16380)  # announces 131 kB, sends 16 kB of it
    socks = []
    for number in range(300):
        if number % 2:
            socks.append(server.connect())
        else:
            socks.append(socket.create_connection(server.address, timeout=20))
            socks[-1].sendall(large)
    wait_for(lambda: server.metric('connections') >= 300)
    used = (server.resident_bytes() - before) / 300
    for sock in socks:
        sock.close()
    if not keeps_freed_memory():
        assert used < 200_000
    server.assert_healthy()


# ---- redirects

def redirect_port(server):
    return int(wait_for(lambda: re.search(r'listening on http://127.0.0.1:(\d+)', server.log))[1])


@pytest.fixture(scope='module')
def redirecting(tmp_path_factory, authority, pair):
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        port = sock.getsockname()[1]
    with Server(tmp_path_factory.mktemp('redirect'), settings_of(pair, **{'server.redirect_port': port}),
                tls=authority.client()) as server:
        yield server


def plain(server, data):
    with socket.create_connection((server.address[0], redirect_port(server)), timeout=20) as sock:
        sock.sendall(data)
        return read_response(sock)


@pytest.mark.parametrize('target', ['/health', '/v1/pose/detect?a=%20b&c', '/', '/%2e%2e/x?', '/none'])
def test_redirect(redirecting, target):
    port = redirecting.address[1]
    for host, wanted in (('localhost', 'localhost'), ('localhost:80', 'localhost'), ('[::1]:81', '[::1]'),
                         ('PI.local', 'pi.local')):
        response = plain(redirecting, f'GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode())
        assert (response.status, response.headers['Location']) == (308, f'https://{wanted}:{port}{target}')
        assert 'Strict-Transport-Security' not in response.headers


@pytest.mark.skipif(keeps_freed_memory(), reason='the memory of a sanitizer cannot be read')
def test_a_redirected_key_does_not_stay_in_memory(redirecting):
    secret = os.urandom(16).hex()
    assert plain(redirecting, f'GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: {secret}\r\n\r\n'.encode()).status == 308
    assert wait_for(lambda: redirecting.count_in_memory(secret.encode()) == 0)


def test_redirect_of_other_requests(redirecting):
    port = redirecting.address[1]
    response = plain(redirecting, b'POST /v1/pose/detect HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello')
    assert (response.status, response.headers['Location']) == (308, f'https://a:{port}/v1/pose/detect')
    for rest, wanted in (('/x', '/x'), ('', '/'), ('?x=/y', '/?x=/y')):
        response = plain(redirecting, f'GET http://b.example{rest} HTTP/1.1\r\nHost: a\r\n\r\n'.encode())
        assert response.headers['Location'] == f'https://b.example:{port}{wanted}'
    for data in (b'GET / HTTP/1.0\r\n\r\n', b'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', b'GET /\r\n\r\n'):
        response = plain(redirecting, data)
        assert response.status == 400 and 'Location' not in response.headers
    long = plain(redirecting, b'GET /' + b'a' * 13000 + b' HTTP/1.1\r\nHost: a\r\n\r\n')
    assert long.status == 414


# ---- errors at the start

def refused(folder, settings, **options):
    """Returns what the program prints when it does not start."""
    arguments = [argument for name, value in settings.items() for argument in ('--set', f'{name}={value}')]
    done = run(folder, 'serve', '--host', '127.0.0.1', '--port', '0', '--device', 'sim', *arguments, **options)
    assert done.returncode == 1 and 'listening' not in done.stdout
    return done.stderr


def test_settings_that_do_not_fit(tmp_path, pair):
    assert 'server.tls_certificate needs server.tls_key' in refused(tmp_path, {'server.tls_certificate': pair[0]})
    assert 'server.tls_key needs server.tls_certificate' in refused(tmp_path, {'server.tls_key': pair[1]})
    assert 'server.redirect_port redirects to https, which needs' in refused(tmp_path, {'server.redirect_port': 1})
    done = run(tmp_path, 'serve', '--host', 'unix:/nowhere/x', '--device', 'sim', '--set', 'server.redirect_port=1',
               '--set', f'server.tls_certificate={pair[0]}', '--set', f'server.tls_key={pair[1]}')
    assert done.returncode == 1 and 'server.redirect_port needs a TCP address in server.host' in done.stderr


def test_bad_certificates(tmp_path, authority, pair):
    """Each message names the setting, the file and the reason."""
    certificate, key = pair
    other = authority.sign('other')
    expired = authority.sign('expired', begin='20200101000000Z', end='20210203040506Z')
    files = {}
    for name, data in (('text', b'no certificate'), ('cut', open(certificate, 'rb').read()[:200]),
                       ('empty', b''), ('public', open(key, 'rb').read())):
        files[name] = str(tmp_path / name)
        (tmp_path / name).write_bytes(data)
        os.chmod(tmp_path / name, 0o644 if name == 'public' else 0o600)
    secret = str(tmp_path / 'secret.key')
    openssl('pkey', '-in', key, '-aes256', '-passout', 'pass:secret', '-out', secret)
    os.chmod(secret, 0o600)
    weak = str(tmp_path / 'weak.key')
    make_key(weak, 'weak')
    openssl('req', '-x509', '-new', '-key', weak, '-subj', '/CN=localhost', '-out', tmp_path / 'weak.pem')
    for bad, wanted in (
            ((files['text'], key), f'server.tls_certificate: {files["text"]} does not contain a PEM certificate'),
            ((files['empty'], key), f'server.tls_certificate: {files["empty"]} does not contain a PEM certificate'),
            ((files['cut'], key), f'server.tls_certificate: {files["cut"]} does not contain a PEM certificate'),
            ((str(tmp_path / 'none'), key), 'server.tls_certificate: '),
            ((certificate, str(tmp_path / 'none')), 'server.tls_key: '),
            ((certificate, files['text']), f'server.tls_key: {files["text"]} does not contain a PEM private key'),
            ((certificate, certificate), 'server.tls_key: '),
            ((certificate, files['public']), 'server.tls_key: '),
            ((certificate, secret), f'server.tls_key: {secret} is protected by a passphrase'),
            ((certificate, other[1]), f'server.tls_key: {other[1]} is not the key of the certificate {certificate}'),
            (expired, f'server.tls_certificate: {expired[0]} expired on 2021-02-03 04:05 UTC; renew it'),
            ((str(tmp_path / 'weak.pem'), weak), 'server.tls_certificate: ')):
        text = refused(tmp_path, settings_of(bad))
        assert wanted in text, (bad, text)
        assert 'PRIVATE KEY' not in text


def test_a_certificate_of_the_future_is_used(tmp_path, authority):
    """The clock of a small computer is behind until it has a network."""
    future = authority.sign('future', begin='20400101000000Z', end='20410101000000Z')
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Server(tmp_path, settings_of(future), tls=context) as server:
        assert server.get('/health').status == 200
        assert wait_for(lambda: 'is not valid yet; check the clock' in server.log)


def test_a_certificate_that_ends_soon(tmp_path, authority):
    end = time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + 3 * 86400))
    soon = authority.sign('soon', end=end)
    with Server(tmp_path, settings_of(soon), tls=authority.client()) as server:
        assert wait_for(lambda: f'WARNING: The TLS certificate {soon[0]} expires soon, on ' in server.log)


# ---- commands

def test_bench_over_tls(secure, authority, tmp_path):
    url = f'https://localhost:{secure.address[1]}/v1/pose/detect'
    done = run(tmp_path, 'bench', '--url', url, '--ca-file', authority.root, '--rounds', 3, '--warm', 0, '--json')
    assert done.returncode == 0 and json.loads(done.stdout)['failures'] == 0
    done = run(tmp_path, 'bench', '--url', url, '--rounds', 1, '--warm', 0)
    assert done.returncode == 1 and 'certificate' in done.stderr


# ---- reload

def serial(sock):
    return sock.getpeercert()['serialNumber']


def new_serial(server):
    with server.connect() as sock:
        return serial(sock)


def test_reload(make_server, tmp_path, authority):
    """SIGHUP reads the files again: further connections get the new certificate, open ones continue with theirs. A
    file that cannot be used leaves the old certificate."""
    files = [str(tmp_path / name) for name in ('c.pem', 'k.pem')]

    def install(pair):
        for source, target in zip(pair, files):
            with open(source, 'rb') as file:
                data = file.read()
            with open(target + '.new', 'wb', opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(data)
            os.replace(target + '.new', target)

    def reload(text):
        before = server.log.count(text)
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: server.log.count(text) > before)

    first, second = authority.sign('first'), authority.sign('second')
    install(first)
    server = make_server(settings=settings_of(files), tls=authority.client())
    with server.connect() as old:
        old.sendall(GET)
        assert read_response(old).status == 200
        install(second)
        reload('Using the TLS certificate')
        wait_for(lambda: new_serial(server) != serial(old))
        old.sendall(GET)  # the open connection still works
        assert read_response(old).status == 200
    current = new_serial(server)
    install((first[0], second[1]))
    reload('is not the key of the certificate')
    assert new_serial(server) == current
    install((first[0], os.devnull))
    reload('server.tls_key')
    assert new_serial(server) == current
    install(first)
    reload('Using the TLS certificate')
    wait_for(lambda: new_serial(server) != current)


def test_reload_does_not_switch_tls_on(make_server, tmp_path, pair):
    """The port speaks either TLS or plain HTTP until a restart, and the log reports that."""
    config = tmp_path / 'pose.yaml'
    config.write_text('server: {max_batch: 5}\n', encoding='utf-8')
    server = make_server(arguments=['--config', str(config)])
    config.write_text(f'server: {{tls_certificate: {pair[0]}, tls_key: {pair[1]}}}\n', encoding='utf-8')
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: 'WARNING: TLS is switched on or off by a restart only' in server.log)
    assert server.get('/health').status == 200
    config.write_text(f'server: {{tls_certificate: {pair[0]}}}\n', encoding='utf-8')
    server.process.send_signal(signal.SIGHUP)
    wait_for(lambda: 'server.tls_certificate needs server.tls_key' in server.log)
    assert server.get('/health').status == 200
