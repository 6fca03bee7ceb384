"""The log: JSON lines, the fields of a request, and no names of people."""
import json
import re
import socket
import time
import urllib.parse

import pytest

from faces import NO_FACES, one
from server import environment, multipart, png, run, wait_for

JSON = {'logging.format': 'json'}
IDENTITIES = '/v1/database/identities/'
TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z')


def lines_of(log):
    """Returns the lines, each of which must be a JSON object with the members of every line."""
    lines = [json.loads(line) for line in log.splitlines()]
    for line in lines:
        assert list(line)[:4] == ['time', 'level', 'program', 'msg'] and TIME.fullmatch(line['time']), line
        assert line['level'] in ('DEBUG', 'INFO', 'WARNING', 'ERROR') and line['msg'], line
    return lines


def line_of(server, request_id):
    return wait_for(lambda: [line for line in lines_of(server.log)
                             if line.get('request_id') == request_id and 'duration_ms' in line])[-1]


# ---- JSON

def test_every_line_is_json(make_server):
    server = make_server(settings=JSON)
    server.get('/nothing')
    server.get('/health')
    server.raw(b'GET\r\n\r\n')
    server.stop()
    lines = lines_of(server.log)
    assert {line['program'] for line in lines} == {'hailo-pose'}
    listening = [line for line in lines if line['msg'].startswith('listening on ')]
    assert [line['address'] for line in listening] == ['http://{}:{}'.format(*server.address)]
    stopping = [line for line in lines if line['msg'].startswith('Stopping: ')]
    assert [line['signal'] for line in stopping] == ['SIGTERM']
    assert re.fullmatch('Stopping: [01] requests? to finish, at most 20 s', stopping[0]['msg'])


def test_the_address_is_written_at_every_level(make_server):
    server = make_server(settings={**JSON, 'logging.level': 'ERROR'})
    server.stop()
    assert [line['msg'].split()[0] for line in lines_of(server.log)] == ['listening']


def test_errors_at_the_start_are_json(tmp_path):
    def refused(*arguments, **more):
        done = run(tmp_path, 'serve', '--device', 'sim', '--host', '127.0.0.1', *arguments,
                   env=environment(tmp_path, **more))
        assert done.returncode != 0 and not done.stdout, done
        return [line for line in lines_of(done.stderr) if line['level'] != 'INFO']

    (tmp_path / 'a.yaml').write_text('logging:\n  format: json\nserver:\n  port: 99999\n  prot: 1\n')
    lines = refused('--config', 'a.yaml')
    assert {line['level'] for line in lines} == {'ERROR', 'WARNING'}
    assert [line for line in lines if 'a.yaml:4: server.port: ' in line['msg'] and line['level'] == 'ERROR'], lines
    assert 'b.yaml' in refused('--config', 'b.yaml', HAILO_POSE_LOGGING_FORMAT='json')[-1]['msg']
    assert any('models pull' in line.get('solution', '')
               for line in refused('--set', 'model.name=none', '--set', 'logging.format=json'))
    with socket.create_server(('127.0.0.1', 0)) as taken:
        lines = refused('--port', taken.getsockname()[1], '--set', 'logging.format=json')
    assert any('already in use' in line['msg'] and 'Change port' in line['solution'] for line in lines if 'solution' in line)


def test_other_commands_print_text(tmp_path):
    done = run(tmp_path, 'detect', 'none.png', '--set', 'logging.format=json', '--set', 'server.port=x')
    assert done.stderr.startswith('hailo-pose detect: ') and 'Error: ' in done.stderr, done


# ---- requests

def test_fields_of_a_request(make_server):
    server = make_server(settings=JSON)
    body, content_type = multipart({'image': png()})
    answer = server.request('POST', '/v1/pose/detect?model=', body,
                            {'Content-Type': content_type, 'X-Request-Id': 'picture'})
    line = line_of(server, 'picture')
    duration_ms = line.pop('duration_ms')
    assert 0 < duration_ms < 60000 and round(duration_ms, 1) == duration_ms
    for name in ('time', 'program'):
        line.pop(name)
    assert line == {'level': 'INFO', 'msg': f'POST /v1/pose/detect {answer.status}', 'method': 'POST',
                    'route': '/v1/pose/detect', 'status': answer.status, 'bytes_in': len(body),
                    'bytes_out': len(answer.body), 'client': '127.0.0.1', 'request_id': 'picture'}


def test_a_route_with_a_part_in_braces_and_an_unknown_path(make_server):
    server = make_server(settings=JSON)
    server.request('POST', '/v1/models/a%20secret/load?secret=1', headers={'X-Request-Id': 'a'})
    server.request('DELETE', '/secret', headers={'X-Request-Id': 'b'})
    line = line_of(server, 'a')
    assert (line['route'], line['status'], line['bytes_in']) == ('/v1/models/{id}/load', 404, 0)
    line = line_of(server, 'b')
    assert (line['method'], line['route'], line['status']) == ('DELETE', None, 404)
    assert 'secret' not in server.log


def test_body_bytes_of_another_request_are_not_counted(make_server):
    server = make_server(settings=JSON)
    body, content_type = multipart({'image': png()})
    with server.connect() as sock:
        sock.sendall(f'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n'
                     f'Content-Length: {len(body)}\r\n\r\n'.encode() + body + b'\x01')
        line = wait_for(lambda: [line for line in lines_of(server.log) if line['msg'] == '- - 400'])[0]
    assert (line['bytes_in'], line['method'], line['route']) == (0, None, None)


def test_levels(make_server):
    server = make_server(settings={**JSON, 'logging.level': 'DEBUG'})
    for path in ('/health', '/health/ready', '/metrics', '/v1/models'):
        wait_for(lambda path=path: server.get(path, headers={'X-Request-Id': path[1:].replace('/', '-')}).status == 200)
    assert server.request('POST', '/health', headers={'X-Request-Id': 'failed'}).status == 405
    levels = {name: line_of(server, name)['level']
              for name in ('health', 'health-ready', 'metrics', 'v1-models', 'failed')}
    assert levels == {'health': 'DEBUG', 'health-ready': 'DEBUG', 'metrics': 'DEBUG', 'v1-models': 'INFO', 'failed': 'INFO'}


def test_server_errors_are_warnings(make_face):
    server = make_face({**JSON, 'database.enabled': 'false'})
    assert server.ask('database/add', one(0), name='Ann').status == 503
    line = wait_for(lambda: [line for line in lines_of(server.log) if line.get('status') == 503])[0]
    assert (line['level'], line['route']) == ('WARNING', '/v1/database/add')


def test_a_text_line_is_readable(make_server):
    server = make_server()
    server.get('/v1/models', headers={'X-Request-Id': 'me'})
    assert wait_for(lambda: re.search(r'\[hailo-pose\] INFO: GET /v1/models 200 duration_ms=\d+\.\d bytes_in=0 '
                                      r'bytes_out=\d+ client=127\.0\.0\.1 request_id=me\n', server.log))


def test_a_request_that_is_cut_off(make_server):
    server = make_server(settings=JSON)
    with server.connect() as sock:
        sock.sendall(b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nX-Request-Id: cut\r\nContent-Type: image/png\r\n'
                     b'Content-Length: 9\r\n\r\n12')
        server.wait_for_requests(1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')  # closes with a reset
    line = line_of(server, 'cut')
    assert (line['bytes_in'], line['msg'].endswith(' (cut off)')) == (2, True), line


# ---- people

@pytest.mark.parametrize('form', ['text', 'json'])
def test_changes_are_logged_without_names(make_face, tmp_path, form):
    server = make_face({'logging.format': form, 'logging.level': 'DEBUG', 'database.keep_backups': 5})
    names = ['Zanzibar', '/opt/Zanzibar', 'Zanzibar Two']

    def person(name):
        return IDENTITIES + urllib.parse.quote(name, safe='')

    for number, name in enumerate(names):
        server.add(name, one(number))
    second = server.add(names[0], one(3)).json()['embedding_id']
    assert server.ask('database/add', NO_FACES, name='Zanzibar').status == 400
    assert server.request('PUT', person(names[0]), json.dumps({'name': names[1]}),
                          {'Content-Type': 'application/json'}).json()['error'].count('/opt/Zanzibar') == 1
    assert server.request('PUT', person(names[0]), json.dumps({'name': 'Zanzibar Three', 'metadata': {'a': 'Zanzibar'}}),
                          {'Content-Type': 'application/json'}).status == 200
    assert server.get(person('Zanzibar Three') + '/embeddings').json()['count'] == 2
    assert server.request('DELETE', f'{person("Zanzibar Three")}/embeddings/{second}').status == 200
    assert server.request('DELETE', person('Zanzibar Three')).status == 200
    assert server.ask('database/remove', name=names[1], purge_backups=True).status == 200
    assert server.request('DELETE', person(names[1]) + '?purge_backups=true').status == 404
    assert server.get('/v1/database/list?cursor=Zanzibar').status == 200
    for name in ('faces.db', 'faces.db-wal', 'faces.db-shm'):
        (tmp_path / name).rename(tmp_path / f'old-{name}')
    assert server.get(person('Zanzibar Nobody')).status == 404
    assert server.request('DELETE', person(names[2])).status == 500
    time.sleep(0.2)
    server.stop()
    assert 'Zanzibar' not in server.log
    for told in ('Added an identity with a face', 'Added a face to an identity', 'Removed an identity with 1 face',
                 'Renamed an identity and changed its metadata', 'Removed a face of an identity'):
        found = re.findall(rf'INFO.*{told}.*', server.log)
        assert len(found) == {'Added an identity with a face': 3, 'Removed an identity with 1 face': 2}.get(told, 1), told
        assert all('identity_id' in line and 'request_id' in line for line in found), found
    assert re.search(r'INFO.*Deleted \d+ backups?\b', server.log)


# ---- traceparent

TRACE, PARENT = '4bf92f3577b34da6a3ce929d0e0e4736', '00f067aa0ba902b7'


def test_a_valid_traceparent_is_in_the_line_of_the_request(make_server):
    server = make_server(settings={**JSON, 'logging.level': 'debug'})
    response = server.get('/health', headers={'Traceparent': f'00-{TRACE}-{PARENT}-01'})
    line = line_of(server, response.headers['X-Request-Id'])
    assert (line['trace_id'], line['parent_id']) == (TRACE, PARENT)
    assert not [name for name in response.headers if 'trace' in name.lower()]
    response = server.get('/health', headers={'traceparent': f'00-{TRACE}-{PARENT}-1'})
    assert response.status == 200 and 'trace_id' not in line_of(server, response.headers['X-Request-Id'])
    twice = f'GET /health HTTP/1.1\r\nHost: x\r\n' + f'traceparent: 00-{TRACE}-{PARENT}-01\r\n' * 2 + '\r\n'
    response = server.raw(twice.encode())
    assert response.status == 200 and 'trace_id' not in line_of(server, response.headers['X-Request-Id'])


def test_text_lines_have_the_trace_too(make_server):
    server = make_server()
    server.get('/nothing', headers={'traceparent': f'00-{TRACE}-{PARENT}-01'})
    wait_for(lambda: f' trace_id={TRACE} parent_id={PARENT}\n' in server.log)
