"""API keys, their scopes, limits on rates, and the command `keys`."""
import concurrent.futures
import glob
import http.client
import json
import os
import re
import signal
import socket
import stat
import time

import pytest

from faces import FACE, FaceServer, one
from server import (BINARY, TREE, Response, Server, b64, environment, keeps_freed_memory, multipart, png, run,
                    wait_for)

SCOPES = ['detect', 'recognize', 'gallery:read', 'gallery:write', 'admin']
WATCH_S = 10  # a change of the file is noticed within about a second


class Keys:
    """A key file, and the program that changes it."""

    def __init__(self, folder, program=BINARY):
        self.folder, self.program, self.path = folder, program, folder / 'keys.json'

    def run(self, action, *arguments, **options):
        return run(self.folder, 'keys', action, '--file', self.path, *arguments, program=self.program, **options)

    def add(self, scopes, *arguments, name='test'):
        done = self.run('add', '--name', name, '--scopes', scopes, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def list(self):
        return json.loads(self.run('list', '--json').stdout)['keys']

    @property
    def settings(self):
        return {'auth.keys_file': self.path}


def bearer(key):
    return {'Authorization': f'Bearer {key}'}


def is_valid(server, key):
    """Asks /health, which has details only for a valid key, and does not count an invalid one as an attempt."""
    return len(server.get('/health', headers=bearer(key)).json()) > 1


def key_id(key):
    return key.split('_')[1]


def routes(program, folder):
    return json.loads(run(folder, 'keys', 'scopes', '--json', program=program).stdout)


class Service:
    """One of the two programs with a key for each scope."""

    def __init__(self, folder, kind):
        self.program = FACE if kind == 'face' else BINARY
        self.file = Keys(folder, self.program)
        self.keys = {scope: self.file.add(scope, name=scope) for scope in SCOPES}
        self.keys['none'] = self.file.add('none')
        self.server = (FaceServer if kind == 'face' else Server)(folder, settings=self.file.settings)
        self.routes = routes(self.program, folder)
        assert wait_for(lambda: self.server.get('/health/ready', headers=bearer(self.keys['none'])).status == 200)

    def call(self, method, path, headers=None, body=b'{}'):
        sent = {'Content-Type': 'application/json', **(headers or {})} if method in ('POST', 'PUT') else headers
        return self.server.request(method, re.sub(r'\{\w+\}', '1', path), body if sent is not headers else None, sent)


@pytest.fixture(scope='module', params=['pose', 'face'])
def service(request, tmp_path_factory):
    made = Service(tmp_path_factory.mktemp(f'keys-{request.param}'), request.param)
    yield made
    made.server.stop()


@pytest.fixture
def keys(tmp_path):
    return Keys(tmp_path)


def error_text(response):
    error = response.json()['error']
    return error if isinstance(error, str) else error['message']


# ---- the table of routes and scopes

# All routes of both programs. A new route fails the test until its scope is decided here.
EXPECTED = {
    'GET /health': 'open', 'GET /health/ready': None, 'GET /metrics': None, 'GET /openapi.json': None,
    'GET /v1/models': None, 'POST /v1/models/{id}/load': 'admin', 'POST /v1/models/{id}/unload': 'admin',
    'POST /v1/models/{id}/pull': 'admin', 'POST /v1/pose/detect': 'detect', 'POST /v1/pose/detect/batch': 'detect',
    'POST /v1/detect': 'detect', 'POST /v1/detect/batch': 'detect', 'POST /v1/embed': 'recognize',
    'POST /v1/recognize': 'recognize', 'POST /v1/recognize/batch': 'recognize', 'POST /v1/compare': 'recognize',
    'POST /v1/database/verify': 'recognize', 'POST /v1/database/add': 'gallery:write',
    'POST /v1/database/remove': 'gallery:write', 'GET /v1/database/list': 'gallery:read',
    'GET /v1/database/identities': 'gallery:read', 'GET /v1/database/identities/{name}': 'gallery:read',
    'PUT /v1/database/identities/{name}': 'gallery:write', 'DELETE /v1/database/identities/{name}': 'gallery:write',
    'GET /v1/database/identities/{name}/embeddings': 'gallery:read',
    'GET /v1/database/identities/{name}/embeddings/{id}': 'gallery:read',
    'DELETE /v1/database/identities/{name}/embeddings/{id}': 'gallery:write',
}


def test_every_route_has_its_scope(service):
    for route in service.routes:
        name = f'{route["method"]} {route["path"]}'
        assert name in EXPECTED, f'{name}: decide its scope'
        assert ('open' if route['open'] else route['scope']) == EXPECTED[name], name


def test_every_route_without_a_key_is_401(service):
    for route in service.routes:
        response = service.call(route['method'], route['path'])
        if route['open']:
            assert response.status == 200
            continue
        assert response.status == 401, route
        assert response.headers['WWW-Authenticate'] == 'Bearer'
        assert 'needs an API key' in error_text(response)
        assert 'X-Request-Id' in response.headers


def test_table_of_routes_and_scopes(service):
    tried = 0
    for route in service.routes:
        for scope in [*SCOPES, 'none']:
            response = service.call(route['method'], route['path'], bearer(service.keys[scope]))
            tried += 1
            if route['scope'] in (None, scope):
                assert response.status not in (401, 429), (route, scope, response)
                assert response.status != 403 or 'scope' not in error_text(response), (route, scope, response)
            else:
                assert response.status == 403, (route, scope, response)
                assert error_text(response) == f'The API key does not have the scope {route["scope"]}'
                assert response.headers['WWW-Authenticate'] == \
                    f'Bearer error="insufficient_scope", scope="{route["scope"]}"'
    assert tried == 6 * len(service.routes) >= 60


def test_health_without_a_key_has_the_status_alone(service):
    status = 'ok' if service.program == BINARY else 'healthy'
    for headers in ({}, bearer('wrong'), {'X-API-Key': 'hs_aaaaaaaa_b'}):
        response = service.server.get('/health', headers=headers)
        assert response.status == 200 and response.json() == {'status': status}
    assert len(service.server.get('/health', headers=bearer(service.keys['none'])).json()) > 4


def test_unknown_paths_and_methods_need_a_key(service):
    assert service.server.get('/nothing').status == 401
    assert service.server.request('DELETE', '/v1/models').status == 401
    key = bearer(service.keys['none'])
    assert service.server.get('/nothing', headers=key).status == 404
    assert service.server.request('DELETE', '/v1/models', headers=key).status == 405
    assert service.server.request('HEAD', '/v1/models').status == 401
    assert service.server.request('HEAD', '/health').status == 200


def test_both_headers_are_accepted(service):
    key = service.keys['none']
    for headers in (bearer(key), {'X-API-Key': key}, {'x-api-key': key}, {'Authorization': f'bearer {key}'},
                    {'Authorization': 'Basic dXNlcjpwYXNz', 'X-API-Key': key}):
        assert service.server.get('/v1/models', headers=headers).status == 200, headers
    for headers in ({'Authorization': key}, {'Authorization': 'Basic dXNlcjpwYXNz'}, {'X-API-Key': f'Bearer {key}'},
                    {'Cookie': f'key={key}'}):
        assert service.server.get('/v1/models', headers=headers).status == 401, headers
    assert service.server.get(f'/v1/models?api_key={key}').status == 401


def test_error_bodies_have_the_shape_of_the_service(service):
    missing = service.server.get('/v1/models').json()
    if service.program == BINARY:
        assert missing['error']['code'] == 'unauthorized' and missing['error']['type'] == 'invalid_request_error'
    else:
        assert list(missing) == ['error'] and isinstance(missing['error'], str)
    problem = service.server.get('/v1/models', headers={'Accept': 'application/problem+json'})
    assert problem.status == 401 and problem.json()['status'] == 401


def test_a_body_is_not_read_without_a_key(service):
    """The answer comes after the head, long before the announced body."""
    with service.server.connect(timeout=5) as sock:
        sock.sendall(b'POST /v1/%s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
                     b'Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n' %
                     (b'pose/detect' if service.program == BINARY else b'detect'))
        assert sock.recv(100).startswith(b'HTTP/1.1 401 ')


# ---- rights beside the routes

def test_options_are_answered_without_a_key(tmp_path, make_server, keys):
    keys.add('all')
    server = make_server(settings={**keys.settings, 'server.cors_origins': 'http://page.example'})
    response = server.request('OPTIONS', '/v1/pose/detect', headers={
        'Origin': 'http://page.example', 'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'authorization'})
    assert response.status == 204
    allowed = {name.strip().lower() for name in response.headers['Access-Control-Allow-Headers'].split(',')}
    assert {'authorization', 'x-api-key', 'content-type'} <= allowed
    refused = server.get('/v1/models', headers={'Origin': 'http://page.example'})
    assert refused.status == 401 and refused.headers['Access-Control-Allow-Origin'] == 'http://page.example'
    exposed = ','.join(refused.headers.get_all('Access-Control-Expose-Headers'))
    assert 'WWW-Authenticate' in exposed and 'RateLimit' in exposed and 'X-Request-Id' in exposed


def test_an_admin_key_is_what_makes_an_administrator(make_server, keys):
    admin, other = keys.add('all'), keys.add('detect')
    server = make_server(settings=keys.settings)
    unload = '/v1/models/yolo11n-pose/unload'
    proxied = {'X-Forwarded-For': '203.0.113.9'}
    assert server.request('POST', unload, headers=bearer(admin)).status == 200
    # server.admin is local, which the scope replaces
    assert server.request('POST', unload, headers={**bearer(admin), **proxied}).status == 200
    assert server.request('POST', unload, headers=bearer(other)).status == 403
    foreign = {**bearer(admin), 'Origin': 'http://evil.example'}
    assert server.request('POST', unload, headers=foreign).status == 403  # checks of web pages stay
    body, content_type = multipart({'image': png(), 'keep_alive': '5m'})
    warned = [server.request('POST', '/v1/pose/detect', body, {'Content-Type': content_type, **bearer(key)}).json()
              for key in (admin, other)]
    assert 'warnings' not in warned[0]
    assert warned[1]['warnings'][0]['message'].endswith('The API key does not have the scope admin')
    server.stop()
    server = make_server(settings={**keys.settings, 'server.admin': 'off'})
    assert server.request('POST', unload, headers=bearer(admin)).status == 403  # off stays off


def test_purging_backups_needs_the_scope_admin(tmp_path, make_face):
    keys = Keys(tmp_path, FACE)
    writer, admin = keys.add('gallery:write,gallery:read'), keys.add('gallery:write,admin')
    server = make_face(settings=keys.settings)
    for name in ('Ada', 'Bob'):
        added = server.post_json({'name': name, 'image': b64(one(0 if name == 'Ada' else 1))}, '/v1/database/add',
                                 bearer(writer))
        assert added.status == 200, added
    refused = server.request('DELETE', '/v1/database/identities/Ada?purge_backups=true', headers=bearer(writer))
    assert refused.status == 403 and 'scope admin' in refused.json()['error']
    assert server.request('DELETE', '/v1/database/identities/Ada?purge_backups=true',
                          headers=bearer(admin)).status == 200


# ---- changes of the key file

def test_changes_take_effect_within_a_second_or_so(make_server, keys):
    server = make_server(settings=keys.settings)
    assert server.get('/v1/models').status == 200  # no key file, no keys
    assert server.get('/v1/models', headers=bearer('anything')).status == 200
    first = keys.add('none')
    assert wait_for(lambda: len(server.get('/health').json()) == 1, WATCH_S)
    assert server.get('/v1/models').status == 401
    assert server.get('/v1/models', headers=bearer(first)).status == 200
    second = keys.add('none')
    assert wait_for(lambda: is_valid(server, second), WATCH_S)
    began = time.monotonic()
    assert keys.run('revoke', key_id(first)).returncode == 0
    assert wait_for(lambda: not is_valid(server, first), WATCH_S)
    assert time.monotonic() - began < 5
    assert server.get('/v1/models', headers=bearer(first)).status == 401
    assert server.get('/v1/models', headers=bearer(second)).status == 200
    assert keys.run('revoke', key_id(second)).returncode == 0
    assert wait_for(lambda: not is_valid(server, second), WATCH_S)
    assert server.get('/v1/models', headers=bearer(second)).status == 401
    assert server.get('/v1/models').status == 401  # the last key is gone, but the service stays closed
    keys.path.unlink()
    time.sleep(1.5)
    assert server.get('/v1/models').status == 401
    assert server.get('/health').json() == {'status': 'ok'}


def test_a_rotated_key_has_a_grace_time(make_server, keys):
    old = keys.add('none')
    done = keys.run('rotate', key_id(old), '--grace', '3s')
    new = done.stdout.strip()
    assert done.returncode == 0 and key_id(new) == key_id(old) and new != old
    assert 'the old one is valid until 20' in done.stderr
    server = make_server(settings=keys.settings)
    assert [server.get('/v1/models', headers=bearer(key)).status for key in (old, new)] == [200, 200]
    assert wait_for(lambda: not is_valid(server, old), 10)
    assert server.get('/v1/models', headers=bearer(old)).json()['error']['message'] == 'The API key has expired'
    assert server.get('/v1/models', headers=bearer(new)).status == 200
    newest = keys.run('rotate', key_id(old)).stdout.strip()
    assert wait_for(lambda: is_valid(server, newest), WATCH_S)
    assert server.get('/v1/models', headers=bearer(new)).status == 401


def test_a_key_expires(make_server, keys):
    key = keys.add('none', '--expires', '3s')
    server = make_server(settings=keys.settings)
    assert server.get('/v1/models', headers=bearer(key)).status == 200
    assert wait_for(lambda: not is_valid(server, key), 10)
    assert 'expired' in server.get('/v1/models', headers=bearer(key)).json()['error']['message']


def test_a_reload_changes_the_mode_and_the_limits(tmp_path, make_server, keys):
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    page = tmp_path / 'settings.yaml'
    page.write_text(f'auth: {{mode: "off", keys_file: {keys.path}}}\n', encoding='utf-8')
    key = keys.add('none')
    try:
        server = make_server(arguments=['--config', page])
        assert server.get('/v1/models').status == 200
        page.write_text(f'auth: {{keys_file: {keys.path}}}\nlimits: {{requests_per_second: 0.01}}\n', encoding='utf-8')
        server.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: 'Reloaded the settings' in server.log), server.log
        assert server.get('/v1/models').status == 401
        assert server.get('/v1/models', headers=bearer(key)).headers['RateLimit-Policy'] == '"key";q=1;w=100'
        keys.path.write_text('{', encoding='utf-8')
        server.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: 'Not reloaded' in server.log), server.log
        assert wait_for(lambda: f'API keys: {keys.path}: line 1: invalid JSON' in server.log)
        assert server.get('/health', headers=bearer(key)).json()['model']
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_bad_key_file_prevents_the_start(tmp_path, keys):
    keys.add('none')
    for mode, text, reason in ((0o644, None, 'chmod 600'), (0o600, '{}', 'not a file of API keys')):
        if text:
            keys.path.write_text(text, encoding='utf-8')
        keys.path.chmod(mode)
        done = run(tmp_path, 'serve', '--device', 'sim', '--port', 0, '--set', f'auth.keys_file={keys.path}')
        assert done.returncode == 1 and reason in done.stderr and 'auth.mode to off' in done.stderr, done.stderr
    done = run(tmp_path, 'serve', '--device', 'sim', '--port', 0, '--set', 'auth.keys_file=keys.json')
    assert done.returncode == 1 and 'not an absolute path' in done.stderr
    done = run(tmp_path, 'serve', '--device', 'sim', '--port', 0, '--set', 'auth.mode=keys', '--set', 'auth.keys_file=')
    assert done.returncode == 1 and 'auth.keys_file is empty' in done.stderr


def test_selftest_checks_the_key_file(tmp_path, keys):
    def check():
        done = run(tmp_path, 'selftest', '--json', '--device', 'sim', '--set', f'auth.keys_file={keys.path}')
        return [each for each in json.loads(done.stdout)['checks'] if each['name'] == 'API keys']

    assert check() == []
    keys.add('none')
    assert check()[0]['ok'] and check()[0]['detail'] == f'1 key in {keys.path}'
    keys.path.chmod(0o644)
    assert not check()[0]['ok'] and 'chmod 600' in check()[0]['detail']


def test_mode_keys_without_a_file_refuses_all(make_server, keys):
    server = make_server(settings={**keys.settings, 'auth.mode': 'keys'})
    assert server.get('/v1/models').status == 401
    assert wait_for(lambda: 'has none, so that all are refused' in server.log)
    key = keys.add('none')
    assert wait_for(lambda: is_valid(server, key), WATCH_S)


# ---- the command

def test_the_key_alone_is_on_standard_output(tmp_path, keys):
    done = keys.run('add', '--name', 'camera', '--scopes', 'detect')
    assert re.fullmatch(r'hs_[0-9A-Za-z]{8}_[0-9A-Za-z]{43}\n', done.stdout)
    assert done.stdout.strip() not in done.stderr and 'it is shown only now' in done.stderr
    assert keys.run('add', '--name', 'x', '--scopes', 'detect', '--quiet').stderr == ''
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    secret = done.stdout.strip().split('_')[2]
    for path in tmp_path.iterdir():
        if path.is_file():
            assert secret.encode() not in path.read_bytes()
    report = json.loads(keys.run('add', '--name', 'y', '--scopes', 'all', '--expires', '2099-01-31', '--json').stdout)
    assert report['scopes'] == SCOPES and report['expires'] == '2099-01-31T00:00:00Z'
    assert report['key'].startswith('hs_')
    listed = keys.list()
    assert [key['name'] for key in listed] == ['camera', 'x', 'y']
    assert 'key' not in listed[2] and 'hash' not in listed[2]
    table = keys.run('list').stdout
    assert re.search(r'^\w{8}  camera  detect +20\S+Z  never expires$', table, re.MULTILINE), table


@pytest.mark.parametrize('arguments, code, reason', [
    (['add', '--name', 'x'], 2, 'usage: hailo-pose keys add --name TEXT --scopes LIST'),
    (['add', '--name', 'x', '--scopes', 'write'], 2, '"write" is not a scope'),
    (['add', '--name', 101 * 'x', '--scopes', 'all'], 2, '--name: must be'),
    (['add', '--name', 'x', '--scopes', 'all', '--expires', '2020-01-01'], 2, 'is in the past'),
    (['add', '--name', 'x', '--scopes', 'all', '--expires', 'soon'], 2, '--expires: must be a time'),
    (['add', '--name', 'x', '--scopes', 'all', '--requests-per-second', '-1'], 2, 'requests-per-second'),
    (['revoke', 'aaaaaaaa'], 1, "There is no key with the id 'aaaaaaaa'"),
    (['rotate', 'aaaaaaaa'], 1, "There is no key with the id 'aaaaaaaa'"),
    (['rotate', 'aaaaaaaa', '--grace', 'long'], 2, '--grace: must be'),
])
def test_mistakes_are_named(keys, arguments, code, reason):
    keys.add('none')
    before = keys.path.read_bytes()
    done = keys.run(*arguments)
    assert done.returncode == code and reason in done.stderr and done.stdout == '', done
    assert keys.path.read_bytes() == before


def test_no_keys_are_shipped(tmp_path):
    done = run(tmp_path, 'keys', 'list', '--json')
    assert done.returncode == 0 and json.loads(done.stdout)['keys'] == []
    assert run(tmp_path, 'keys', 'revoke', 'aaaaaaaa').returncode == 1


def test_a_credential_cannot_be_changed_but_its_file_can(tmp_path, keys):
    env = environment(tmp_path, HAILO_POSE_AUTH_KEYS_FILE='credential:keys')
    done = run(tmp_path, 'keys', 'list', env=env)
    assert done.returncode == 1 and 'name its file with --file' in done.stderr
    assert run(tmp_path, 'keys', 'add', '--name', 'a', '--scopes', 'all', '--file', 'own.json', env=env).returncode == 0
    assert (tmp_path / 'own.json').exists()


def test_no_change_of_concurrent_runs_is_lost(keys):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda i: keys.add('detect', name=f'k{i}'), range(24)))
    assert {key['name'] for key in keys.list()} == {f'k{i}' for i in range(24)}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: keys.run('revoke', key_id(key)), added[:20]))
    assert {key['id'] for key in keys.list()} == {key_id(key) for key in added[20:]}


# ---- failed attempts and rates

def test_failed_attempts_are_slowed_and_logged_without_the_key(make_server, keys):
    key = keys.add('none')
    server = make_server(settings=keys.settings)
    wrong = key[:-3] + ('abc' if key[-3:] != 'abc' else 'abd')
    answers = [server.get('/v1/models', headers=bearer(wrong)) for _ in range(14)]
    assert [answer.status for answer in answers] == [401] * 10 + [429] * 4
    assert 1 <= int(answers[-1].headers['Retry-After']) <= 6
    assert answers[0].headers['WWW-Authenticate'] == 'Bearer error="invalid_token"'
    assert 'Too many requests with invalid API keys' in answers[-1].json()['error']['message']
    assert server.get('/v1/models', headers=bearer(key)).status == 200  # valid keys are not locked out
    assert server.get('/v1/models').status == 401
    server.get('/v1/models', headers={'X-API-Key': 'secret-but-malformed'})
    server.stop()
    assert server.log.count('Request refused: The API key is not valid') == 10
    assert wait_for(lambda: f'key={key_id(key)}' in server.log and f'actor=key:{key_id(key)}' in server.log)
    for secret in (key.split('_')[2], wrong.split('_')[2], 'secret-but-malformed'):
        assert secret not in server.log


def test_no_key_is_in_a_log_of_any_level(tmp_path, keys):
    key = keys.add('all')
    with Server(tmp_path, settings={**keys.settings, 'logging.format': 'json'}, arguments=['--verbose']) as server:
        for headers in (bearer(key), {'X-API-Key': key}, bearer(key + 'x'), {'Authorization': key}):
            server.get('/v1/models', headers=headers)
            server.post_form({'image': png()}, headers=headers)
    assert key not in server.log and key.split('_')[2] not in server.log
    lines = [json.loads(line) for line in server.lines if line.startswith('{')]
    assert any(line.get('actor') == f'key:{key_id(key)}' for line in lines)


def test_rates_are_limited_per_key(make_server, keys):
    slow, own, unlimited = keys.add('none'), keys.add('none', '--requests-per-second', '0.02', '--burst', '1'), \
        keys.add('none', '--requests-per-second', '0')
    server = make_server(settings={**keys.settings, 'limits.requests_per_second': 0.1, 'limits.burst': 3})
    answers = [server.get('/v1/models', headers=bearer(slow)) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers['RateLimit-Policy'] == '"key";q=3;w=30'
    assert [answer.headers['RateLimit'].split(';')[:2] for answer in answers] == \
        [['"key"', 'r=2'], ['"key"', 'r=1'], ['"key"', 'r=0'], ['"key"', 'r=0']]
    assert re.fullmatch(r'"key";r=0;t=(29|30)', answers[3].headers['RateLimit'])
    assert int(answers[3].headers['Retry-After']) in (9, 10)
    assert answers[3].json()['error']['code'] == 'too_many_requests'
    assert [server.get('/v1/models', headers=bearer(own)).status for _ in range(2)] == [200, 429]
    free = [server.get('/v1/models', headers=bearer(unlimited)) for _ in range(8)]
    assert {answer.status for answer in free} == {200} and 'RateLimit' not in free[0].headers
    for _ in range(5):  # monitors are not limited
        assert server.get('/health/ready', headers=bearer(slow)).status == 200
        assert server.get('/health').status == 200


def test_rates_are_limited_per_address_without_keys(make_server):
    server = make_server(settings={'limits.requests_per_second': 0.05, 'limits.burst': 2})
    assert [server.get('/v1/models').status for _ in range(3)] == [200, 200, 429]
    other = http.client.HTTPConnection(*server.address, source_address=('127.0.0.2', 0))
    other.request('GET', '/v1/models')
    response = Response(other.getresponse())
    other.close()
    assert response.status == 200 and response.headers['RateLimit'].startswith('"address";r=1;')
    big = server.request('POST', '/v1/pose/detect', b'x' * 100000, {'Content-Type': 'image/jpeg'})
    assert big.status == 429


def test_clients_of_a_trusted_proxy_have_their_own_rates(make_server):
    limits = {'limits.requests_per_second': 0.05, 'limits.burst': 1}

    def ask(server, client):
        return server.get('/v1/models', headers={'X-Forwarded-For': client}).status

    server = make_server(settings={**limits, 'server.trusted_proxies': '127.0.0.1'})
    assert [ask(server, client) for client in ('192.0.2.1', '192.0.2.2', '192.0.2.1')] == [200, 200, 429]
    assert [ask(server, f'2001:db8::{host}') for host in (1, 2)] == [200, 429]  # one host has the last 64 bits
    server.stop()
    server = make_server(settings=limits)
    assert [ask(server, f'192.0.2.{host}') for host in (1, 2)] == [200, 429]  # anyone can write the header


def test_hashes_are_compared_in_constant_time():
    for path in glob.glob(os.path.join(TREE, 'src', 'auth', '*.c')):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        assert not re.search(r'(?<!sodium_)memcmp\(', text), path
        assert os.path.basename(path) != 'keyring.c' or text.count('sodium_memcmp(') == 2


def test_nothing_is_limited_by_default(sim):
    headers = sim.get('/v1/models').headers
    assert not {'RateLimit', 'RateLimit-Policy', 'WWW-Authenticate'} & set(headers)


@pytest.mark.skipif(keeps_freed_memory(), reason='memory limits do not apply')
def test_many_addresses_and_ids_do_not_grow_the_memory(make_server, keys):
    """10,000 addresses of 127.0.0.0/8, each with its own wrong key."""
    keys.add('none')
    server = make_server(settings={**keys.settings, 'limits.requests_per_second': 1}, arguments=['--quiet'])

    def visit(first, last):
        for i in range(first, last):
            address = f'127.{1 + i // 65536}.{i // 256 % 256}.{i % 256}'
            with socket.create_connection(server.address, timeout=10, source_address=(address, 0)) as sock:
                sock.sendall(b'GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
                             b'X-API-Key: hs_%08d_0123456789012345678901234567890123456789012\r\n\r\n' % i)
                assert sock.recv(100).startswith(b'HTTP/1.1 401 ')

    visit(1, 5000)
    before = server.resident_bytes()
    visit(5000, 15000)
    assert server.resident_bytes() - before < 512 << 10


@pytest.mark.skipif(keeps_freed_memory(), reason='the memory of a sanitizer cannot be read')
@pytest.mark.parametrize('more', ['', 'Bad Header: x\r\n', 'Host: second\r\n', 'Expect: x\r\n'])
def test_a_key_does_not_stay_in_memory(make_server, keys, more):
    server = make_server(settings=keys.settings)
    secret = os.urandom(16).hex()
    with server.connect() as sock:
        sock.sendall(f'GET /metrics HTTP/1.1\r\nHost: x\r\nX-API-Key: {secret}\r\n{more}\r\n'.encode())
        assert sock.recv(100).startswith(b'HTTP/1.1 ')
    assert wait_for(lambda: server.count_in_memory(secret.encode()) == 0)


# ---- the warning

def test_an_administrator_sees_that_anyone_can_use_the_service(tmp_path, make_server):
    server = make_server(arguments=['--host', '0.0.0.0'])
    assert wait_for(lambda: 'WARNING: NO API KEYS: Anyone who can reach 0.0.0.0:' in server.log), server.log
    warning = server.get('/health').json()['warnings'][0]
    assert warning['code'] == 'no_api_keys' and 'hailo-pose keys add' in warning['message']
    assert 'warnings' not in server.get('/health', headers={'X-Forwarded-For': '203.0.113.9'}).json()
    server.stop()
    assert 'warnings' not in make_server().get('/health').json()


def test_no_warning_with_keys(make_server, keys):
    key = keys.add('all')
    server = make_server(settings=keys.settings, arguments=['--host', '0.0.0.0'])
    assert wait_for(lambda: 'Requests need an API key; 1 key in' in server.log)
    assert 'Anyone who can reach' not in server.log
    assert 'warnings' not in server.get('/health', headers=bearer(key)).json()


def test_the_warning_of_hailo_face_names_the_faces(make_face):
    server = make_face(arguments=['--host', '0.0.0.0'])
    assert wait_for(lambda: 'read, change and erase the faces that it stores' in server.log)
    assert 'erase the faces' in server.get('/health').json()['warnings'][0]['message']
