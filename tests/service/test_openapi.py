"""The OpenAPI documents: every response has only members that they describe, every field that they describe is read
with the bounds that they state, and no other."""
import copy
import json
import subprocess
import sys

import pytest

from faces import FACE, NO_FACES, PATTERNS, one, picture
from server import BINARY, TREE, Server, b64, run

jsonschema = pytest.importorskip('jsonschema', reason='python3-jsonschema is not installed')

POSE, FACES = 'hailo-pose', 'hailo-face'


def strict(schema):
    """Returns the schema without room for members that it does not describe."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    if schema.get('type') == 'object' and 'properties' in schema:
        schema['additionalProperties'] = False
    return schema


class Description:
    def __init__(self, server):
        response = server.get('/openapi.json')
        assert response.status == 200 and response.headers['Content-Type'] == 'application/json'
        self.server, self.document = server, response.json()
        self.components = strict(self.document['components'])

    def operations(self):
        for path, methods in self.document['paths'].items():
            for method, operation in methods.items():
                yield method.upper(), path, operation

    def operation(self, name):
        return next(found for found in self.operations() if found[2]['operationId'] == name)

    def body(self, name):
        content = self.operation(name)[2]['requestBody']['content']['application/json']
        return self.document['components']['schemas'][content['schema']['$ref'].split('/')[-1]]

    def check(self, name, response, kind='application/json'):
        """Fails unless the document describes the response and all of its members."""
        described = self.operation(name)[2]['responses'][str(response.status)]['content'][kind]['schema']
        assert response.headers['Content-Type'].split(';')[0] == kind
        self.validate(described, response.json())

    def validate(self, schema, value):
        document = {'$schema': 'https://json-schema.org/draft/2020-12/schema', 'components': self.components,
                    **strict(schema)}
        jsonschema.Draft202012Validator(document).validate(value)


@pytest.fixture(scope='module')
def pose(sim):
    return Description(sim)


@pytest.fixture(scope='module')
def faces(face):
    return Description(face)


@pytest.fixture(scope='module', params=[POSE, FACES])
def either(request, sim, face):
    return Description(sim if request.param == POSE else face)


# ---- the document

def test_document(either):
    assert either.document['openapi'] == '3.1.0'
    names = [operation['operationId'] for _, _, operation in either.operations()]
    assert len(names) == len(set(names)) >= 9
    for _, _, operation in either.operations():
        assert operation['summary'] and operation['responses']
    for schema in either.document['components']['schemas'].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize('program', [BINARY, FACE])
def test_command_prints_the_same(program, sim, face, tmp_path):
    """The defaults are those of the settings."""
    server = sim if program == BINARY else face
    printed = json.loads(run(tmp_path, 'openapi', program=program).stdout)
    assert printed == server.get('/openapi.json').json()
    changed = json.loads(run(tmp_path, 'openapi', '--set', 'server.max_batch=7', '--set',
                             'inference.confidence_threshold=0.25', program=program).stdout)
    assert changed != printed and '"maxItems": 7' in json.dumps(changed)
    assert json.loads(run(tmp_path, 'openapi', '--defaults', '--set', 'server.max_batch=7', program=program).stdout) == \
        printed


def test_path_prefix(tmp_path):
    with Server(tmp_path, settings={'server.path_prefix': '/pose'}) as server:
        document = server.get('/pose/openapi.json').json()
    assert document['servers'] == [{'url': '/pose'}] and '/v1/pose/detect' in document['paths']


def test_tables_in_docs():
    """`tools/api_tables.py build` writes them."""
    import os
    done = subprocess.run([sys.executable, os.path.join(TREE, 'tools', 'api_tables.py'), os.path.dirname(BINARY),
                           '--check'], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_keys(tmp_path):
    """The description is for any valid key, and states that keys are needed, and the scopes."""
    keys = tmp_path / 'keys'
    options = ('--set', f'auth.keys_file={keys}')
    made = run(tmp_path, 'keys', 'add', '--name', 'test', '--scopes', 'detect', '--json', *options)
    key = json.loads(made.stdout)['key']
    with Server(tmp_path, arguments=options) as server:
        assert server.get('/openapi.json').status == 401
        refused = server.get('/openapi.json', headers={'Accept': 'application/problem+json'})
        assert (refused.status, refused.json()['code']) == (401, 'unauthorized')
        document = server.get('/openapi.json', headers={'X-API-Key': key}).json()
        health = server.get('/health').json()
    assert document['paths']['/v1/pose/detect']['post']['security'] == [{'bearer': ['detect']}, {'api_key': ['detect']}]
    assert document['paths']['/v1/models/{id}/load']['post']['security'][0] == {'bearer': ['admin']}
    assert document['paths']['/health']['get']['security'] == [] and set(health) == {'status'}
    assert document == json.loads(run(tmp_path, 'openapi', *options).stdout)
    without = json.loads(run(tmp_path, 'openapi', *options, '--set', 'auth.mode=off').stdout)
    assert without['paths']['/v1/pose/detect']['post']['security'][-1] == {}


# ---- fields

def picture_of(schema):
    return b64(one(0)) if schema.get('contentEncoding') == 'base64' else None


def request_of(description, name):
    """Returns a valid body with the required fields."""
    body = {}
    for field, schema in description.body(name)['properties'].items():
        if field in ('image', 'image2'):
            body[field] = b64(one(0))
        elif field == 'images':
            body[field] = [b64(one(0)), {'image': b64(one(1)), 'id': 'b'}]
        elif field in description.body(name).get('required', ()):
            assert field == 'name'
            body[field] = 'Nobody'
    return body


def value_of(field, schema):
    """Returns a valid value that is not the default."""
    if field in ('model', 'recognition_model'):
        return None
    special = {'bbox': [200, 120, 140, 140], 'metadata': {'a': 1}, 'name': 'Somebody', 'gate': 'standard',
               'keep_alive': -1, 'timeout': 50, 'dry_run': True, 'expires_at': 'never'}
    if field in special:
        return special[field]
    kind = schema.get('anyOf', [schema])[0]
    return {'boolean': True, 'number': 0.4, 'integer': 3}[kind['type']]


def names_of(response, code):
    return {warning['field'] for warning in response.json().get('warnings', ()) if warning['code'] == code}


def bodies(description):
    return [(name, path) for method, path, operation in description.operations()
            if 'requestBody' in operation and method == 'POST' for name in [operation['operationId']]]


def test_all_fields_are_read(either):
    """A field that no handler reads is an unknown field, which the response would name."""
    for name, path in bodies(either):
        if name == 'remove_identity':
            continue  # see test_removal
        fields = {field: value_of(field, schema) for field, schema in either.body(name)['properties'].items()
                  if not field.startswith('image')}
        response = either.server.post_json({**request_of(either, name), **fields, 'nothing': 1}, path)
        if name in ('verify_face',):
            assert response.status == 404
            continue
        assert response.status == 200, (name, response)
        assert names_of(response, 'unknown_field') == {'nothing'}, (name, response)
        either.check(name, response)


def test_bounds(either):
    """A value beyond the bounds is 400 and names the field."""
    checked = 0
    for name, path in bodies(either):
        for field, schema in either.body(name)['properties'].items():
            first = schema.get('anyOf', [schema])[0]
            wrong = [first[bound] + step for bound, step in (('minimum', -1.5), ('maximum', 1.5)) if bound in first]
            wrong += [{}] if first.get('type') in ('number', 'integer', 'boolean') or 'enum' in first else []
            wrong = [-2, *wrong[1:]] if field == 'keep_alive' else wrong
            if first.get('type') == 'integer':
                wrong = [int(value) if isinstance(value, float) else value for value in wrong]
            for value in wrong:
                if first.get('type') == 'array':
                    continue
                response = either.server.post_json({**request_of(either, name), field: value}, path)
                assert response.status == 400 and field in response.json()['error'].__str__(), (name, field, value)
                either.check(name, response)
                checked += 1
    assert checked > 20


def test_ids_of_a_batch(either):
    path = '/v1/pose/detect/batch' if either.document['info']['title'] == POSE else '/v1/detect/batch'
    for value in ({}, [], 1.5, True):
        response = either.server.post_json({'images': [b64(one(0)), {'image': b64(one(0)), 'id': value}]}, path)
        assert response.status == 400 and 'id: must be a string or a whole number' in json.dumps(response.json())
    for value in (None, '', 7):
        response = either.server.post_json({'images': [{'image': b64(one(0)), 'id': value}]}, path)
        assert response.status == 200 and response.json()['results'][0].get('id') == value


def test_fields_of_forms(either):
    for name, path in bodies(either):
        if name in ('remove_identity', 'verify_face', 'add_face'):
            continue
        fields = [(field, str(value_of(field, schema)).lower()) for field, schema in
                  either.body(name)['properties'].items() if not field.startswith('image') and value_of(field, schema)]
        pictures = [(field, one(0)) for field in either.body(name)['properties'] if field.startswith('image')]
        response = either.server.post_form(fields + pictures + [('nothing', '1')], path)
        assert response.status == 200, (name, response)
        assert names_of(response, 'unknown_field') == {'nothing'}, (name, response)


def test_queries(either):
    """The fields of the query: read, bounded, and no others."""
    for method, path, operation in either.operations():
        path = path.replace('{name}', 'Query').replace('{id}', '1')
        if method != 'GET':
            continue
        names = {one['name']: one['schema'] for one in operation.get('parameters', ()) if one['in'] == 'query'}
        if not names:
            continue
        for name, schema in names.items():
            if schema['type'] in ('integer', 'boolean'):
                response = either.server.get(f'{path}?{name}=x')
                assert response.status == 400 and name in response.json()['error'].__str__()
        if '{' not in path and 'Query' not in path:
            good = '&'.join(f"{name}={'2' if schema['type'] == 'integer' else 'true'}" for name, schema in names.items())
            response = either.server.get(f'{path}?{good}&nothing=1')
            assert names_of(response, 'unknown_field') == {'nothing'}
            either.check(operation['operationId'], response)


def test_unknown_arguments_of_identities(faces):
    """Routes without fields also name what they ignore."""
    server, path = faces.server, '/v1/database/identities/Query'
    server.add('Query', one(9))
    embedding = server.get(path + '/embeddings').json()['embeddings'][0]['id']
    for method, name, target in (('GET', 'get_identity', path), ('GET', 'list_embeddings', path + '/embeddings'),
                                 ('GET', 'get_embedding', f'{path}/embeddings/{embedding}'),
                                 ('DELETE', 'delete_embedding', f'{path}/embeddings/{embedding}'),
                                 ('DELETE', 'delete_identity', path),
                                 ('POST', 'load_model', f"/v1/models/{server.get('/health').json()['detection_model']}/load")):
        response = server.request(method, target + '?nothing=1')
        assert response.status == 200 and names_of(response, 'unknown_field') == {'nothing'}, (method, target, response)
        faces.check(name, response)


# ---- responses

def test_responses_of_pose(pose):
    server = pose.server
    for path, name in (('/health', 'get_health'), ('/health/ready', 'get_ready'), ('/v1/models?all=true', 'list_models')):
        pose.check(name, server.get(path))
    image = picture((PATTERNS[0], 20, 20, 150), (PATTERNS[1], 300, 200, 150))
    for fields in ({}, {'max_detections': 1}, {'image': 'x', 'apply_exif': True}, {'unknown': 1}):
        pose.check('detect_people', server.post_json({'image': b64(image), **fields}))
    pose.check('detect_people_batch', server.post_json({'images': [b64(image), 'Zm9v'], 'unknown': 1},
                                                       '/v1/pose/detect/batch'))
    for action, name in (('unload', 'unload_model'), ('load', 'load_model')):
        pose.check(name, server.request('POST', f"/v1/models/{server.get('/health').json()['model']}/{action}"))
    pose.check('pull_model', server.request('POST', '/v1/models/yolo11n-pose/pull'))
    pose.check('load_model', server.request('POST', '/v1/models/nothing/load'))


def test_responses_of_face(faces):
    server = faces.server
    for path, name in (('/health', 'get_health'), ('/health/ready', 'get_ready'), ('/v1/models?all=true', 'list_models')):
        faces.check(name, server.get(path))
    faces.check('add_face', server.add('Ann of API', one(2), metadata={'a': 1}, unknown=1))
    faces.check('add_face', server.ask('database/add', one(2), name='Ann of API', dry_run=True, gate='strict'))
    refused = server.ask('database/add', NO_FACES, name='Ann of API', gate='strict')
    assert refused.status == 422
    faces.check('add_face', refused)
    for name, path in (('get_identity', ''), ('list_embeddings', '/embeddings')):
        faces.check(name, server.get('/v1/database/identities/Ann%20of%20API' + path))
    embedding = server.get('/v1/database/identities/Ann%20of%20API/embeddings').json()['embeddings'][0]['id']
    faces.check('get_embedding', server.get(f'/v1/database/identities/Ann%20of%20API/embeddings/{embedding}?vector=1'))
    faces.check('list_all_identities', server.get('/v1/database/list'))
    for fields in ({'return_landmarks': True}, {'max_faces': 1}, {'unknown': 1}):
        faces.check('detect_faces', server.ask('detect', picture((PATTERNS[0], 20, 20, 150), (PATTERNS[1], 300, 200, 150)),
                                               **fields))
    faces.check('recognize_faces', server.ask('recognize', one(2), candidates=3, threshold=0.1))
    faces.check('embed_face', server.ask('embed', one(2)))
    faces.check('compare_faces', server.ask('compare', one(2), image2=b64(one(3))))
    faces.check('verify_face', server.ask('database/verify', one(2), name='Ann of API'))
    faces.check('detect_faces', server.ask('detect', b'no picture'))
    faces.check('update_identity', server.request('PUT', '/v1/database/identities/Ann%20of%20API', b'{"metadata": {}}',
                                                  {'Content-Type': 'application/json'}))
    faces.check('delete_embedding', server.request(
        'DELETE', f'/v1/database/identities/Ann%20of%20API/embeddings/{embedding}?purge_backups=true'))
    faces.check('delete_identity', server.request('DELETE', '/v1/database/identities/Ann%20of%20API'))
    faces.check('delete_identity', server.request('DELETE', '/v1/database/identities/Ann%20of%20API'))


def test_removal(faces):
    faces.server.add('Bob of API', one(4))
    response = faces.server.post_json({'name': 'Bob of API', 'purge_backups': False, 'nothing': 1}, '/v1/database/remove')
    assert response.status == 200 and names_of(response, 'unknown_field') == {'nothing'}
    faces.check('remove_identity', response)
    for wrong in ({'purge_backups': 7}, {'purge_backups': {}}):
        assert faces.server.post_json({'name': 'Bob of API', **wrong}, '/v1/database/remove').status == 400


def test_update_needs_a_field(faces):
    faces.server.add('Cleo of API', one(5))
    path = '/v1/database/identities/Cleo%20of%20API'
    for body, status in (({}, 400), ({'other': 1}, 400), ({'name': 'Dora of API', 'nothing': 1}, 200)):
        response = faces.server.request('PUT', path, json.dumps(body), {'Content-Type': 'application/json'})
        assert response.status == status
        faces.check('update_identity', response)
    assert names_of(response, 'unknown_field') == {'nothing'}


# ---- pages of identities

def test_pages_of_identities(faces):
    server = faces.server
    names = sorted(f'Page {i}' for i in range(5))
    for name in names:
        server.add(name, one(6), metadata={'n': name})
    seen, cursor, pages = [], 'Page', 0
    while cursor is not None:
        response = server.get(f"/v1/database/identities?limit=2&cursor={cursor.replace(' ', '%20')}")
        faces.check('list_identities', response)
        page = response.json()
        assert page['count'] == len(page['identities']) <= 2 and page['total'] >= 5
        seen += [identity for identity in page['identities'] if identity['name'].startswith('Page')]
        cursor, pages = page.get('next_cursor'), pages + 1
    assert [identity['name'] for identity in seen] == names and pages >= 3
    first = seen[0]
    assert set(first) == {'name', 'embedding_count', 'created_at', 'updated_at', 'metadata'}
    assert (first['embedding_count'], first['metadata']) == (1, {'n': 'Page 0'}) and first['updated_at'] >= first['created_at']
    assert server.get('/v1/database/identities').json()['count'] <= 100
    for limit in ('0', '1001', '-1', 'x', '99999999999999999999'):
        response = server.get(f'/v1/database/identities?limit={limit}')
        assert (response.status, response.json()) == (400, {'error': 'limit: must be a whole number between 1 and 1000'})


# ---- recognise several pictures

def test_recognize_batch(faces):
    server = faces.server
    server.add('Eve of API', one(7))
    response = server.post_json({'images': [b64(one(7)), {'image': b64(one(8)), 'id': 'x'}, 'Zm9v'], 'candidates': 1,
                                 'min_margin': 0}, '/v1/recognize/batch')
    faces.check('recognize_faces_batch', response)
    batch = response.json()
    single = server.ask('recognize', one(7), candidates=1).json()
    assert (batch['count'], batch['failed']) == (3, 1)
    assert batch['results'][0]['faces'] == single['faces'] and single['faces'][0]['identity'] == 'Eve of API'
    assert batch['results'][1]['id'] == 'x' and batch['results'][1]['faces'][0]['identity'] == 'Unknown'
    assert batch['results'][2] == {'error': 'Failed to decode image', 'detail': batch['results'][2]['detail'], 'index': 2}
    form = server.post_form([('image', one(7)), ('image', one(8)), ('threshold', '1')], '/v1/recognize/batch').json()
    assert [result['faces'][0]['identity'] for result in form['results']] == ['Unknown', 'Unknown']
    lines = server.post_json({'images': [b64(one(7)), b64(one(8))]}, '/v1/recognize/batch',
                             {'Accept': 'application/x-ndjson'})
    assert lines.headers['Content-Type'] == 'application/x-ndjson'
    parsed = [json.loads(line) for line in lines.body.splitlines()]
    assert [line.get('index') for line in parsed] == [0, 1, None] and parsed[2] == {'count': 2, 'failed': 0}
    for body, status, error in (({}, 400, 'No JSON body'), ({'images': [], 'threshold': 0}, 400, "Missing 'images' field"),
                                ({'images': ['Zm9v'], 'threshold': 2}, 400, 'threshold: must be between 0 and 1, not 2')):
        response = server.post_json(body, '/v1/recognize/batch')
        assert (response.status, response.json()['error']) == (status, error)


def test_recognize_batch_without_a_gallery(tmp_path):
    from faces import FaceServer
    with FaceServer(tmp_path, settings={'database.enabled': 'false'}) as server:
        for path in ('/v1/recognize/batch', '/v1/recognize'):
            response = server.post_json({'images': ['Zm9v']}, path)
            assert (response.status, response.json()) == (503, {'error': 'Database not enabled'})
        assert server.get('/v1/database/identities').status == 503


# ---- RFC 9457

PROBLEM = {'Accept': 'application/problem+json'}


def problem_of(response, status, code):
    assert response.status == status and response.headers['Content-Type'] == 'application/problem+json'
    problem = response.json()
    assert problem['type'] == 'about:blank' and problem['status'] == status and problem['code'] == code
    assert problem['instance'] == response.headers['X-Request-Id']
    return problem


def test_problems_of_pose(pose):
    server = pose.server
    problem = problem_of(server.post_json({'image': b64(one(0)), 'iou_threshold': 2}, headers=PROBLEM), 400,
                         'invalid_argument')
    assert problem['field'] == 'iou_threshold' and problem['title'] == 'Bad Request'
    assert problem['detail'] == 'iou_threshold: must be between 0 and 1, not 2'
    problem_of(server.get('/nothing', headers=PROBLEM), 404, 'not_found')
    response = server.get('/v1/pose/detect', headers=PROBLEM)
    problem_of(response, 405, 'method_not_allowed')
    assert 'POST' in response.headers['Allow']
    pose.check('detect_people', server.post_json({}, headers=PROBLEM), 'application/problem+json')


def test_problems_of_face(faces):
    server = faces.server
    problem = problem_of(server.post_json({'image': 'Zm9v'}, '/v1/detect', PROBLEM), 400, 'undecodable')
    assert problem['detail'].startswith('Failed to decode image: ')
    problem = problem_of(server.post_json({'image': b64(NO_FACES), 'name': 'x', 'gate': 'strict'}, '/v1/database/add',
                                          PROBLEM), 422, 'refused')
    assert problem['gate'] == 'strict' and problem['reasons'][0]['code'] == 'no_face'
    assert problem_of(server.get('/v1/database/identities/None', headers=PROBLEM), 404, 'not_found')['detail'] == \
        "Identity 'None' not found"
    assert problem_of(server.post_json({'name': 1}, '/v1/database/remove', PROBLEM), 400, 'invalid_argument')['field'] == \
        'name'


@pytest.mark.parametrize('accept', [None, '*/*', 'application/json', 'application/*',
                                    'application/json, application/problem+json;q=0.5', 'application/problem+json;q=0'])
def test_default_errors_stay(accept, sim, face):
    headers = {'Accept': accept} if accept else {}
    for server, path in ((sim, '/v1/pose/detect'), (face, '/v1/detect')):
        response = server.post_json({'image': 'Zm9v'}, path, headers)
        assert response.status == 400 and response.headers['Content-Type'].startswith('application/json')
        assert list(response.json()) in (['error'], ['detail', 'error'])
