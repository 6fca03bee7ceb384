"""hailo-face as used by clients of the upstream service: paths, JSON, errors, detect and embed."""
import json
import math
import struct

import pytest

from faces import NO_FACES, PATTERNS, one, picture
from server import b64, bmp, check_digits, multipart, png

GALLERY_PATHS = ['database/add', 'database/remove', 'database/verify', 'recognize']
PICTURE_PATHS = ['detect', 'embed', 'recognize', 'compare']


def canonical(response):
    """Returns the JSON value of a response and checks its exact format, on which clients depend."""
    assert response.headers['Content-Type'] == 'application/json'
    value = json.loads(response.body)
    text = response.body.decode('ascii')
    assert text.endswith('\n') and text.count('\n') == 1
    assert '": ' not in text and '", ' not in text
    check_digits(text)
    keys = []
    json.loads(text, object_pairs_hook=lambda pairs: keys.append([key for key, _ in pairs]) or dict(pairs))
    assert all(each == sorted(each) for each in keys)
    return value


def refused(response, status, error):
    assert response.status == status, response
    value = canonical(response)
    assert value['error'] == error
    assert set(value) <= {'error', 'detail'}
    return value


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def check_box(box, expected, within=2):
    assert isinstance(box, list) and len(box) == 4 and all(map(is_int, box))
    assert all(abs(a - b) <= within for a, b in zip(box, expected)), (box, expected)


# ---- health

def test_health(face):
    response = face.get('/health')
    assert response.status == 200
    value = canonical(response)
    assert value['status'] == 'healthy' and value['service'] == 'hailo-face'
    assert value['model_loaded'] is True and value['database_enabled'] is True
    assert isinstance(value['detection_model'], str) and isinstance(value['recognition_model'], str)
    assert value['device'] == 'sim' and value['embedding_space'] == 'sim'
    assert b'"status":"healthy"' in response.body  # verify.sh searches for this


def test_ready(face):
    assert face.get('/health/ready').json() == {'ready': True}


def test_not_ready_while_a_model_loads(make_face, script):
    server = make_face(device=script('load_ms: 1200'))
    response = server.get('/health/ready')
    assert (response.status, response.json()) == (503, {'ready': False, 'reason': 'model_loading'})
    assert server.get('/health').json()['model_loaded'] is False
    assert server.ask('detect', one(0)).json()['count'] == 1  # waits for the model


def test_a_device_that_does_not_open(make_face, script):
    server = make_face(device=script('faults: [{kind: none}]'))
    response = server.ask('detect', one(0))
    assert response.status == 503
    assert 'no simulated device' in response.json()['error']
    response = server.get('/health/ready')
    assert (response.status, response.json()['reason']) == (503, 'model_failed')
    assert server.get('/health').status == 200


# ---- paths and methods

def test_unknown_path(face):
    for path in ('/', '/v1/nothing', '/health/', '/v1/detect/', '/v1/model'):
        refused(face.get(path), 404, 'Endpoint not found')
    refused(face.post_json({}, '/v1/nothing'), 404, 'Endpoint not found')


@pytest.mark.parametrize('method, path, allowed', [
    ('GET', '/v1/detect', 'POST'), ('PUT', '/v1/embed', 'POST'), ('DELETE', '/v1/database/remove', 'POST'),
    ('POST', '/health', 'GET'), ('POST', '/v1/database/list', 'GET')])
def test_wrong_method(face, method, path, allowed):
    response = face.request(method, path)
    assert response.status == 405
    assert allowed in response.headers['Allow']
    assert isinstance(canonical(response)['error'], str)


def test_head(face):
    for path in ('/health', '/health/ready', '/v1/database/list'):
        get, head = face.get(path), face.request('HEAD', path)
        assert (head.status, head.body) == (200, b'')
        assert head.headers['Content-Type'] == get.headers['Content-Type']
        assert int(head.headers['Content-Length']) > 0


# ---- bodies

@pytest.mark.parametrize('path', PICTURE_PATHS)
@pytest.mark.parametrize('body', [b'{}', b'[]', b'null', b'false'])
def test_empty_body(face, path, body):
    refused(face.post_json(body, f'/v1/{path}'), 400, 'No JSON body')


@pytest.mark.parametrize('path', ['database/add', 'database/remove', 'database/verify'])
@pytest.mark.parametrize('body', [b'{}', b'[]', b'null', b'{"image":"x"}'])
def test_no_name(face, path, body):
    refused(face.post_json(body, f'/v1/{path}'), 400, "Missing 'name' field")


@pytest.mark.parametrize('name', [None, '', 5, True, ['Ann'], {'a': 1}])
def test_name_of_another_type(face, name):
    for path in ('database/add', 'database/remove', 'database/verify'):
        response = face.ask(path, one(0), name=name)
        assert response.status == 400 and 'name' in canonical(response)['error'], response


@pytest.mark.parametrize('path', PICTURE_PATHS + GALLERY_PATHS)
@pytest.mark.parametrize('body', [b'', b'{', b'{"image": }', b'nonsense', b'\xff\xfe', b'{"a": NaN}'])
def test_malformed_json(face, path, body):
    response = face.post_json(body, f'/v1/{path}')
    assert response.status == 400
    assert canonical(response)['error'].startswith('Invalid JSON: ')


@pytest.mark.parametrize('content_type', [None, 'text/plain', 'application/x-www-form-urlencoded', 'video/mp4'])
def test_content_types_that_are_refused(face, content_type):
    headers = {'Content-Type': content_type} if content_type else {}
    response = face.request('POST', '/v1/detect', json.dumps({'image': b64(one(0))}).encode(), headers)
    assert response.status == 415
    assert isinstance(canonical(response)['error'], str)


@pytest.mark.parametrize('content_type', ['application/json; charset=utf-8', 'application/vnd.faces+json'])
def test_content_types_that_are_json(face, content_type):
    response = face.request('POST', '/v1/detect', json.dumps({'image': b64(one(0))}).encode(),
                          {'Content-Type': content_type})
    assert response.json()['count'] == 1


@pytest.mark.parametrize('fields', [
    {'other': 1}, {'image': None}, {'image': ''}, {'image': 7}, {'image': ['x']}, {'image': 'invalid_base64'},
    {'image': '!!!'}, {'image': b64(b'no picture at all')}, {'image': 'data:image/png;base64,'},
    {'image': 'data:image/png'}, {'image_url': 'http://127.0.0.1/a.png'}, {'image': b64(one(0)[:60])}])
def test_no_picture(face, fields):
    for path in ('detect', 'embed', 'recognize', 'compare', 'database/add', 'database/verify'):
        response = face.post_json({**fields, 'name': 'no picture'}, f'/v1/{path}')
        refused(response, 400, 'Failed to decode image')
    assert 'no picture' not in face.names()


def test_no_second_picture(face):
    refused(face.ask('compare', one(0)), 400, 'Failed to decode image')
    refused(face.ask('compare', one(0), image2='!!!'), 400, 'Failed to decode image')


# ---- detect

def detect(face, image, **fields):
    response = face.ask('detect', image, **fields)
    assert response.status == 200, response
    value = canonical(response)
    cut = {'truncated', 'found'} if 'truncated' in value else set()
    assert set(value) == {'faces', 'count', 'inference_time_ms', 'device'} | cut
    assert not cut or (value['truncated'] is True and value['found'] > value['count'])
    assert value['count'] == len(value['faces'])
    assert isinstance(value['inference_time_ms'], float) and value['inference_time_ms'] > 0
    for each in value['faces']:
        assert set(each) == {'bbox', 'confidence', 'landmarks'}
        assert 0 <= each['confidence'] <= 1
    scores = [each['confidence'] for each in value['faces']]
    assert scores == sorted(scores, reverse=True)
    return value['faces']


def test_detect(face):
    placed = [(PATTERNS[0], 20, 20, 200), (PATTERNS[1], 300, 200, 140), (PATTERNS[2], 500, 20, 80)]
    found = detect(face, picture(*placed))
    assert len(found) == 3
    for each, (_, x, y, side) in zip(found, placed):
        check_box(each['bbox'], (x, y, side, side))
        assert each['landmarks'] is None


def test_detect_with_landmarks(face):
    x, y, side = 200, 120, 140
    for value in (True, 'true', 1, 'yes'):
        found = detect(face, one(0, x, y, side), return_landmarks=value)
        points = found[0]['landmarks']
        assert len(points) == 5 and all(len(point) == 2 for point in points)
        left_eye, right_eye, nose, left_mouth, right_mouth = points
        assert x < left_eye[0] < nose[0] < right_eye[0] < x + side
        assert y < left_eye[1] < nose[1] < left_mouth[1] < y + side
        assert left_mouth[0] < right_mouth[0]
    for value in (False, 'off', 0, None):
        assert detect(face, one(0), return_landmarks=value)[0]['landmarks'] is None
    response = face.ask('detect', one(0), return_landmarks='perhaps')
    assert response.status == 400 and 'return_landmarks' in canonical(response)['error']


def test_detect_without_faces(face):
    assert detect(face, NO_FACES) == []
    assert detect(face, png(1, 1)) == []
    assert detect(face, png(1, 1, shade=lambda x, y: (255, 255, 255))) is not None
    assert detect(face, png(2000, 3)) == []


def test_one_white_pixel_as_verify_sh_sends_it(face):
    pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
    response = face.post_json({'image': 'data:image/png;base64,' + pixel}, '/v1/detect')
    assert response.status == 200
    assert b'"faces":' in response.body


def test_forms_of_a_picture(face):
    expected = detect(face, one(0))
    image = b64(one(0))
    lines = '\r\n'.join(image[i:i + 76] for i in range(0, len(image), 76))
    for text in ('data:image/png;base64,' + image, 'data:whatever,' + image, lines):
        assert face.post_json({'image': text}, '/v1/detect').json()['faces'] == expected
    form = face.post_form({'image': ('a.png', one(0), 'image/png'), 'return_landmarks': 'false'}, '/v1/detect')
    assert form.json()['faces'] == expected
    assert detect(face, bmp()) == []


def test_form_without_a_picture(face):
    refused(face.post_form({'return_landmarks': '1'}, '/v1/detect'), 400, 'Failed to decode image')
    refused(face.post_form({'image': b''}, '/v1/detect'), 400, 'Failed to decode image')
    body, _ = multipart({'image': one(0)})
    response = face.request('POST', '/v1/detect', body, {'Content-Type': 'multipart/form-data'})
    assert response.status == 400 and 'boundary' in canonical(response)['error']


def test_max_faces_and_threshold(make_face):
    crowd = picture(*((PATTERNS[i], 20 + 150 * (i % 4), 20 + 150 * (i // 4), 120 - 6 * i) for i in range(6)))
    server = make_face({'face_recognition.max_faces': 2})
    found = detect(server, crowd)
    assert len(found) == 2
    check_box(found[0]['bbox'], (20, 20, 120, 120))
    server.stop()
    server = make_face({'face_recognition.detection_threshold': 0.88})
    assert len(detect(server, crowd)) == 2  # 230 and 226 of 255


# ---- embed

def embed(face, image, **fields):
    response = face.ask('embed', image, **fields)
    assert response.status == 200, response
    value = canonical(response)
    assert {'embedding', 'dimension', 'bbox'} <= set(value)
    assert value['dimension'] == len(value['embedding']) == 512
    assert all(isinstance(number, float) for number in value['embedding'])
    assert math.isclose(math.sqrt(sum(number * number for number in value['embedding'])), 1, abs_tol=1e-5)
    assert all(number == shortest(number) for number in value['embedding'])
    assert value['embedding_space'] == 'sim'
    return value


def shortest(number):
    """Returns the shortest decimal that gives the same 32-bit float."""
    wanted = struct.pack('f', number)
    return next(short for short in (float(f'{number:.{digits}g}') for digits in range(1, 18))
                if struct.pack('f', short) == wanted)


def cosine(a, b):
    return sum(x * y for x, y in zip(a['embedding'], b['embedding']))


def test_embed(face):
    first = embed(face, one(0))
    check_box(first['bbox'], (200, 120, 140, 140))
    assert embed(face, one(0)) == first
    assert cosine(first, embed(face, one(0, 30, 200, 220))) > 0.9
    assert abs(cosine(first, embed(face, one(1)))) < 0.2
    assert embed(face, one(0), bbox=None) == first


def test_embed_takes_the_best_face_or_the_one_in_the_box(face):
    two = picture((PATTERNS[0], 20, 20, 200), (PATTERNS[1], 400, 200, 120))
    check_box(embed(face, two)['bbox'], (20, 20, 200, 200))
    for box in ([400, 200, 120, 120], [390.5, 190, 150, 150.25], [350, 150, 1000, 1000]):
        found = embed(face, two, bbox=box)
        assert found['bbox'] == box  # same as in the request
        assert cosine(found, embed(face, one(1))) > 0.9
    form = face.post_form({'image': two, 'bbox': '[400, 200, 120, 120]'}, '/v1/embed')
    check_box(form.json()['bbox'], (400, 200, 120, 120))


@pytest.mark.parametrize('box', [[1, 2, 3], [1, 2, 3, 4, 5], [], {}, 'all', 5, True, ['1', '2', '3', '4'],
                                 [1, 2, 3, None], [0, 0, 0, 10], [0, 0, 10, -1], [1e9, 0, 10, 10]])
def test_invalid_boxes(face, box):
    for path, more in (('embed', {}), ('database/add', {'name': 'box'}), ('database/verify', {'name': 'box'})):
        response = face.ask(path, one(0), bbox=box, **more)
        assert response.status == 400, response
        assert canonical(response)['error'].startswith('bbox: ')
    assert 'box' not in face.names()


def test_no_face(face):
    refused(face.ask('embed', NO_FACES), 400, 'No face detected')
    refused(face.ask('embed', png(1, 1)), 400, 'No face detected')
    refused(face.ask('embed', one(0), bbox=[0, 0, 100, 50]), 400, 'No face detected')
    response = face.ask('embed', one(0), bbox=[-200, -200, 100, 100])
    assert response.status == 400 and canonical(response)['error'].startswith('bbox: is outside the picture')
    refused(face.ask('database/add', NO_FACES, name='nobody'), 400, 'No face detected')
    refused(face.ask('compare', one(0), image2=b64(NO_FACES)), 400, 'No face detected')
    assert 'nobody' not in face.names()


def test_compare(face):
    same = face.ask('compare', one(0), image2=b64(one(0, 20, 20, 210)))
    assert same.status == 200
    value = canonical(same)
    assert set(value) == {'same', 'score', 'threshold', 'bbox', 'bbox2', 'embedding_space', 'device'}
    assert value['same'] is True and 0.9 < value['score'] <= 1
    check_box(value['bbox'], (200, 120, 140, 140))
    check_box(value['bbox2'], (20, 20, 210, 210))
    other = face.post_form({'image': one(0), 'image2': one(1)}, '/v1/compare').json()
    assert other['same'] is False and other['score'] < 0.2
