"""Access control: pages of other origins, host names, administrator routes, CORS."""
import json
import re

import pytest

from faces import NO_FACES, one
from server import multipart, png, wait_for

EVIL = {'Origin': 'http://evil.example'}
REMOTE_CLIENT = {'X-Forwarded-For': '203.0.113.7'}
DETECT = '/v1/pose/detect'


def own_origin(server):
    return f'http://{server.address[0]}:{server.address[1]}'


def message(response):
    error = response.json()['error']
    return error['message'] if isinstance(error, dict) else error


def names(server):
    return [identity['name'] for identity in server.get('/v1/database/list').json()['identities']]


# ---- pages of other origins

@pytest.mark.parametrize('headers', [EVIL, {'Origin': 'null'}, {'Sec-Fetch-Site': 'cross-site'},
                                     {'Sec-Fetch-Site': 'same-site'}, {'Referer': 'http://evil.example/form.html'},
                                     {'Host': 'evil.example', 'Origin': 'http://evil.example'},
                                     {'Host': 'evil.example', 'Sec-Fetch-Site': 'same-origin'}])
def test_a_page_of_another_origin_changes_nothing(make_face, headers):
    server = make_face()
    server.add('Ann', one(0))
    before = server.get('/v1/database/identities/Ann').json()
    body, kind = multipart({'image': one(1), 'name': 'Eve'})
    form = {'Content-Type': kind, **headers}
    removal, removal_kind = multipart({'name': 'Ann'})
    identity = '/v1/database/identities/Ann'
    embedding = f'{identity}/embeddings/{before["embeddings"][0]["id"]}'
    for response in (server.request('POST', '/v1/database/add', body, form),
                   server.request('POST', '/v1/database/add?name=Eve', one(1), {'Content-Type': 'image/png', **headers}),
                   server.request('POST', '/v1/database/remove', removal, {'Content-Type': removal_kind, **headers}),
                   server.request('PUT', identity, json.dumps({'name': 'Eve'}), {'Content-Type': 'application/json',
                                                                                 **headers}),
                   server.request('DELETE', identity, headers=headers),
                   server.request('DELETE', embedding, headers=headers),
                   server.request('POST', '/v1/models/sim-face/unload', headers=headers)):
        assert response.status == 403, response
        assert re.search(r'server\.(cors_origins|allowed_hosts)', message(response)), response
        assert not response.headers['Access-Control-Allow-Origin']
    assert names(server) == ['Ann'] and server.get(identity).json() == before


def test_requests_that_change_nothing_are_accepted(face):
    """Requests that change nothing are answered; without CORS, the browser hides the response from the page."""
    for response in (face.get('/v1/database/list', headers=EVIL),
                   face.post_form({'image': NO_FACES}, '/v1/recognize', EVIL),
                   face.post_form({'image': NO_FACES}, '/v1/detect', EVIL)):
        assert response.status == 200 and not response.headers['Access-Control-Allow-Origin'], response


def test_own_pages_and_programs_are_accepted(make_face):
    server = make_face()
    origin = own_origin(server)
    for number, headers in enumerate(({}, {'Origin': origin}, {'Origin': origin, 'Sec-Fetch-Site': 'same-origin'},
                                      {'Sec-Fetch-Site': 'none'}, {'Host': 'faces.example'})):
        response = server.post_form({'image': one(number), 'name': f'P{number}'}, '/v1/database/add', headers)
        assert response.status == 200, (headers, response)


def test_listed_hosts_and_origins(make_face):
    server = make_face({'server.cors_origins': 'https://app.example, *', 'server.allowed_hosts': '[faces.example]'})
    page = {'Origin': 'https://app.example', 'Sec-Fetch-Site': 'cross-site'}
    own = {'Host': 'faces.example', 'Origin': 'http://faces.example'}
    for number, headers in enumerate((page, own)):
        response = server.post_form({'image': one(number), 'name': f'P{number}'}, '/v1/database/add', headers)
        assert response.status == 200, (headers, response)
    # "*" lets every page read answers, but not change anything.
    refused = server.post_form({'image': one(3), 'name': 'Eve'}, '/v1/database/add', EVIL)
    assert refused.status == 403 and refused.headers['Access-Control-Allow-Origin'] == '*', refused
    assert server.post_form({'name': 'P0'}, '/v1/database/remove', {'Origin': own_origin(server)}).status == 403
    assert names(server) == ['P0', 'P1']


# ---- CORS

def test_cors(make_server):
    server = make_server(settings={'server.cors_origins': 'https://app.example:8443'})
    page = {'Origin': 'https://app.example:8443'}
    for response in (server.get('/health', headers=page), server.post_form({'image': png()}, DETECT, page),
                   server.get('/nothing', headers=page), server.post_json({}, DETECT, page)):
        assert response.headers['Access-Control-Allow-Origin'] == page['Origin'], response
        assert response.headers['Vary'] == 'Origin'
        assert response.headers['Access-Control-Expose-Headers'] == 'X-Request-Id, X-Warnings, Server-Timing'
        assert not response.headers['Access-Control-Allow-Credentials']
    for headers in ({}, EVIL, {'Origin': 'https://app.example'}, {'Origin': 'null'}):
        response = server.get('/health', headers=headers)
        assert response.status == 200 and not response.headers['Access-Control-Allow-Origin'], response
        assert response.headers['Vary'] == 'Origin'


def test_preflight(make_server):
    server = make_server(settings={'server.cors_origins': '["https://app.example"]'})
    ask = {'Origin': 'https://app.example', 'Access-Control-Request-Method': 'POST',
           'Access-Control-Request-Headers': 'content-type'}
    response = server.request('OPTIONS', DETECT, headers=ask)
    assert response.status == 204 and response.body == b'', response
    assert response.headers['Access-Control-Allow-Origin'] == 'https://app.example'
    assert 'POST' in response.headers['Access-Control-Allow-Methods']
    assert 'Content-Type' in response.headers['Access-Control-Allow-Headers']
    assert int(response.headers['Access-Control-Max-Age']) > 0
    foreign = server.request('OPTIONS', DETECT, headers={**ask, **EVIL})
    assert foreign.status == 204 and not foreign.headers['Access-Control-Allow-Methods'], foreign
    assert server.request('OPTIONS', '/nothing', headers=ask).status == 404


@pytest.mark.parametrize('setting, value', [('cors_origins', 'app.example'), ('cors_origins', 'https://app.example/'),
                                            ('cors_origins', 'null'), ('allowed_hosts', 'pi:5002'),
                                            ('allowed_hosts', 'http://pi'), ('admin', 'yes')])
def test_invalid_settings_are_rejected(cli, setting, value):
    done = cli('config', 'check', '--set', f'server.{setting}={value}')
    assert done.returncode != 0 and setting in done.stderr, done


# ---- the administrator

@pytest.mark.parametrize('admin, stranger, local', [('off', 403, 403), ('local', 403, 200), ('all', 200, 200)])
def test_model_routes_require_admin(make_server, admin, stranger, local):
    server = make_server(settings={'server.admin': admin})
    assert wait_for(lambda: server.get('/health/ready').status == 200)
    name = server.get('/v1/models').json()['data'][0]['id']
    for action in ('unload', 'load'):
        for headers, status in ((REMOTE_CLIENT, stranger), ({'Forwarded': 'for=203.0.113.7'}, stranger), ({}, local)):
            response = server.request('POST', f'/v1/models/{name}/{action}', headers=headers)
            assert response.status == status, response
            assert status == 200 or f'server.admin is {admin}' in message(response), response
    pull = server.request('POST', f'/v1/models/{name}/pull', headers=REMOTE_CLIENT)
    assert pull.status == 403 and ('model.allow_pull' if admin == 'all' else 'server.admin') in message(pull)
    assert server.get('/v1/models', headers=REMOTE_CLIENT).status == 200


def test_keep_alive_of_a_remote_client(make_server):
    """The field is accepted and checked, because clients send it by default. It has no effect, and the response warns
    about it."""
    server = make_server()
    assert wait_for(lambda: server.get('/health/ready').status == 200)
    response = server.post_form({'image': png(), 'keep_alive': '0'}, DETECT, REMOTE_CLIENT)
    assert response.status == 200, response
    warning, = response.json()['warnings']
    assert (warning['code'], warning['field']) == ('ignored_field', 'keep_alive')
    assert warning['message'].startswith('keep_alive: ignored. ') and 'server.admin is local' in warning['message']
    assert list(response.json())[-1] == 'warnings'
    assert server.post_form({'image': png(), 'keep_alive': 'x'}, DETECT, REMOTE_CLIENT).status == 400
    assert server.get('/v1/models').json()['data'][0]['state'] == 'ready', 'it stays loaded'
    assert 'warnings' not in server.post_form({'image': png(), 'keep_alive': '0'}, DETECT).json()
    assert wait_for(lambda: server.get('/v1/models').json()['data'][0]['state'] == 'idle'), 'the administrator unloads it'


def test_purging_backups_requires_admin(make_face, tmp_path):
    server = make_face()
    server.add('Ann', one(0))
    for response in (server.post_json({'name': 'Ann', 'purge_backups': True}, '/v1/database/remove', REMOTE_CLIENT),
                   server.post_json({'name': 'Ann'}, '/v1/database/remove?purge_backups=true', REMOTE_CLIENT),
                   server.request('DELETE', '/v1/database/identities/Ann?purge_backups=true', headers=REMOTE_CLIENT)):
        assert response.status == 403 and 'purge_backups' in message(response), response
    assert names(server) == ['Ann'], 'nothing was removed either'
    response = server.post_json({'name': 'Ann', 'purge_backups': True}, '/v1/database/remove')
    assert response.status == 200 and response.json()['purged_backups'] is not None, response
    assert str(tmp_path) not in response.body.decode(), 'names of files, not paths'


def unknown_field_warning(field):
    message = f'{field}: unknown field, ignored'
    return [{'code': 'unknown_field', 'message': message, 'field': field}]


def test_unknown_fields_are_reported(sim, face):
    response = sim.post_form({'image': png(), 'conf': '0.5', 'max_detections': '3'}, DETECT).json()
    assert response['warnings'] == unknown_field_warning('conf')
    response = sim.post_json({'image': '', 'images': [], 'conf': 1}, DETECT)
    assert response.status == 400
    for fields in ({'image': png()}, {'image': png(), 'timeout': '5', 'model': ''}):
        assert 'warnings' not in sim.post_form(fields, DETECT).json()
    batch = sim.post_form([('image', png()), ('image', png()), ('conf', '1')], DETECT + '/batch').json()
    assert batch['warnings'] == unknown_field_warning('conf') and batch['count'] == 2
    lines = sim.post_form([('image', png()), ('conf', '1')], DETECT + '/batch', {'Accept': 'application/x-ndjson'})
    assert json.loads(lines.body.splitlines()[-1]) == {'count': 1, 'failed': 0, 'warnings': unknown_field_warning('conf')}
    found = face.ask('recognize', NO_FACES, treshold=0.4, threshold=0.5, candidates=2).json()
    assert found['warnings'] == unknown_field_warning('treshold')


def test_unknown_query_fields_are_reported(sim, face):
    for server in sim, face:
        for unknown in '_', 'utm_source', 'max_detection':
            path = f'/v1/models?all=true&{unknown}=1'
            assert server.get(path).json()['warnings'] == unknown_field_warning(unknown)
        assert 'warnings' not in server.get('/v1/models?all=true').json()
        # If the body is a picture, text fields come from the query; with another body, the query's fields are not
        # read.
        path = ('/v1/pose/detect' if server is sim else '/v1/detect') + '?timeout=5&conf=1&conf=2'
        picture = server.request('POST', path, png(), {'Content-Type': 'image/png'})
        assert picture.json()['warnings'] == unknown_field_warning('conf')
        form = server.post_form({'image': png(), 'conf': '3'}, path).json()
        assert form['warnings'] == unknown_field_warning('conf') + unknown_field_warning('timeout') + unknown_field_warning('conf')
    batch = sim.post_form([('image', png())], DETECT + '/batch?_=1').json()
    assert batch['warnings'] == unknown_field_warning('_')
    drawn = sim.request('POST', DETECT + '?_=1', png(), {'Content-Type': 'image/png', 'Accept': 'image/png'})
    assert drawn.headers['X-Warnings'] == 'unknown_field', drawn
    face.add('Quentin', one(7))
    named = '/v1/database/identities/Quentin'
    for path in '/v1/database/list?limit=5&offset=9', f'{named}?offset=9', f'{named}/embeddings?offset=9':
        assert face.get(path).json()['warnings'] == unknown_field_warning('offset'), path
    assert face.ask('database/remove?offset=9', name='Quentin').json()['warnings'] == unknown_field_warning('offset')
    model = face.get('/health').json()['detection_model']
    for change in 'load', 'unload':
        response = face.request('POST', f'/v1/models/{model}/{change}?offset=9', b'')
        assert response.json()['warnings'] == unknown_field_warning('offset'), response
    face.add('Quentin', one(7))
    number = face.get(f'{named}/embeddings').json()['embeddings'][0]['id']
    assert face.get(f'{named}/embeddings/{number}?vector=1&_=1').json()['warnings'] == unknown_field_warning('_')
    assert 'warnings' not in face.get(f'{named}/embeddings/{number}?vector=1').json()
    assert face.request('DELETE', f'{named}?purge_backups=0&%FF%0A=1').json()['warnings'][0]['code'] == 'unknown_field'
    many = face.get('/v1/models?' + '&'.join(f'a{i}=' for i in range(50)) + '&&=&=x').json()['warnings']
    assert [each['field'] for each in many] == [f'a{i}' for i in range(8)]


# ---- warnings at the start

def test_open_address_is_logged(tmp_path, make_server):
    server = make_server(arguments=['--host', '0.0.0.0'])
    assert wait_for(lambda: 'Anyone who can reach' in server.log), server.log
    assert server.log.count('Anyone who can reach') == 1
    assert 'can use this service. To limit access, set server.host' in server.log  # no data is stored that strangers could erase
    assert 'Anyone who can reach' not in make_server().log
