"""Several pictures in one request: order, errors of single pictures, limits, lines as they become ready, and
clients that disconnect."""
import http.client
import json
import threading
import time

import pytest

from faces import NO_FACES, one
from server import b64, oversized_png, multipart, png

BATCH = '/v1/pose/detect/batch'
FACE_BATCH = '/v1/detect/batch'
LINES = {'Accept': 'application/x-ndjson'}
WHITE = (255, 255, 255)


def people(count, size=96):
    """Returns a picture whose bright squares are that many people for the simulated device."""
    spots = [(8 + 22 * i, 30) for i in range(count)]
    return png(size, size, shade=lambda x, y: WHITE if any(a <= x < a + 12 and b <= y < b + 12 for a, b in spots)
               else (20, 20, 20))


def parts(pictures, name='image', **fields):
    return [(name, (f'{i}.png', picture, 'image/png')) for i, picture in enumerate(pictures)] + list(fields.items())


def open_lines(server, path, value):
    """Sends the request and returns the connection and the open response."""
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    connection.request('POST', path, json.dumps(value).encode(), {'Content-Type': 'application/json', **LINES})
    response = connection.getresponse()
    assert response.status == 200
    return connection, response


# ---- pose

def test_form(healthy):
    pictures = [people(2), people(1), people(3)]
    for name in ('image', 'images'):
        response = healthy.post_form(parts(pictures, name), BATCH)
        assert response.status == 200, response
        value = response.json()
        assert list(value) == ['results', 'count', 'failed']
        assert [result['count'] for result in value['results']] == [2, 1, 3]
        assert [result['index'] for result in value['results']] == [0, 1, 2]
        assert (value['count'], value['failed']) == (3, 0)
    single = healthy.post_form({'image': ('a', pictures[0], 'image/png')}).json()
    assert {**value['results'][0], 'timings_ms': 0, 'inference_time_ms': 0} == \
        {**single, 'timings_ms': 0, 'inference_time_ms': 0, 'index': 0}


def test_json(healthy):
    value = healthy.post_json({'images': [b64(people(1)), 'data:image/png;base64,' + b64(people(2)),
                                          {'image': b64(people(3)), 'id': 'third'}, {'id': 4, 'image': b64(people(1))}],
                               'max_detections': 2}, BATCH).json()
    assert [result['count'] for result in value['results']] == [1, 2, 2, 1]
    assert [result.get('id') for result in value['results']] == [None, None, 'third', 4]
    assert value['failed'] == 0


def test_one_bad_picture_leaves_the_others(healthy):
    value = healthy.post_json({'images': [b64(people(1)), 'abcde', b64(b'no picture'), None, 5,
                                          {'id': 'big', 'image': b64(oversized_png(30000, 30000))}, {}, b64(people(2))]},
                              BATCH).json()
    results = value['results']
    assert (value['count'], value['failed']) == (8, 6)
    assert results[0]['count'] == 1 and results[7]['count'] == 2
    assert [result.get('error', {}).get('code') for result in results] == [
        None, 'invalid_argument', 'undecodable', 'missing_field', 'invalid_argument', 'too_large', 'missing_field', None]
    assert results[1]['error']['message'] == 'Invalid base64: a group of one character is left at the end'
    assert results[1]['error']['type'] == 'invalid_request_error' and results[1]['error']['field'] == 'image'
    assert results[2]['error']['message'].startswith('Failed to decode image: ')
    assert results[5]['id'] == 'big' and results[5]['index'] == 5


def test_all_pictures_bad_is_still_200(healthy):
    response = healthy.post_form(parts([b'1', b'', b'3']), BATCH)
    assert response.status == 200
    assert response.json()['failed'] == 3
    assert [result['error']['code'] for result in response.json()['results']] == [
        'undecodable', 'missing_field', 'undecodable']


@pytest.mark.parametrize('value, message', [
    ({}, "Missing 'images' field"), ({'images': []}, "Missing 'images' field"),
    ({'images': 5}, 'images: must be an array of pictures, not a number'),
    ({'images': {'image': 'aaaa'}}, 'images: must be an array of pictures, not an object'),
    ({'images': ['aaaa'], 'max_detections': -1}, 'max_detections: must be between 0 and 1000, not -1'),
    ({'images': ['aaaa'] * 33}, 'images: at most 32 pictures in one request')])
def test_invalid_batch_requests(healthy, value, message):
    response = healthy.post_json(value, BATCH)
    assert response.status == 400, response
    assert response.json()['error']['message'] == message


def test_limit(make_server):
    server = make_server(settings={'server.max_batch': 2})
    assert server.post_form(parts([people(1)] * 2), BATCH).json()['count'] == 2
    response = server.post_form(parts([people(1)] * 3), BATCH)
    assert response.status == 400 and 'at most 2 pictures' in response.json()['error']['message']
    assert server.post_json({'images': ['aaaa'] * 3}, BATCH).status == 400


def test_many_parts(make_server):
    """More parts than an ordinary form may have."""
    server = make_server(settings={'server.max_batch': 256})
    response = server.post_form(parts([people(i % 3 + 1) for i in range(120)], max_detections='2'), BATCH)
    assert [result['count'] for result in response.json()['results']] == [min(i % 3 + 1, 2) for i in range(120)]


def test_lines(healthy):
    response = healthy.post_json({'images': [b64(people(2)), '!', b64(people(1))]}, BATCH, LINES)
    assert response.headers['Content-Type'] == 'application/x-ndjson'
    assert 'Content-Length' not in response.headers
    lines = [json.loads(line) for line in response.body.decode().splitlines()]
    assert response.body.endswith(b'}\n') and len(lines) == 4
    assert [line.get('index') for line in lines] == [0, 1, 2, None]
    assert lines[0]['count'] == 2 and 'error' in lines[1] and lines[2]['count'] == 1
    assert lines[3] == {'count': 3, 'failed': 1}
    # A higher quality for JSON takes precedence, and an invalid request is answered with an ordinary error.
    accept = {'Accept': 'application/x-ndjson;q=0.5, application/json'}
    assert 'results' in healthy.post_json({'images': [b64(people(2))]}, BATCH, accept).json()
    assert healthy.post_json({}, BATCH, LINES).status == 400


def test_lines_are_sent_as_they_complete(make_server, script):
    server = make_server(device=script('latency_ms: 250\n'))
    server.post_json({'image': b64(people(1))})
    connection, response = open_lines(server, BATCH, {'images': [b64(people(i % 3 + 1)) for i in range(6)]})
    times, lines = [], []
    for _ in range(7):
        lines.append(json.loads(response.readline()))
        times.append(time.monotonic())
    connection.close()
    assert [line['count'] for line in lines] == [1, 2, 3, 1, 2, 3, 6]
    assert times[5] - times[0] > 0.8, times  # five more pictures of 0.25 s, one at a time


def test_pictures_run_in_parallel(make_server, script):
    """While one picture is in the network, another one is decoded and waits, so that a single request is not queued
    behind the whole batch."""
    server = make_server(device=script('latency_ms: 100\n'))
    server.post_json({'image': b64(people(1))})
    batch = threading.Thread(target=server.post_json, args=({'images': [b64(people(1))] * 20}, BATCH))
    batch.start()
    server.wait_for_requests(1)
    assert server.post_json({'image': b64(people(1))}).status == 200
    assert batch.is_alive()
    batch.join()


def test_deadline(make_server, script):
    server = make_server(device=script('latency_ms: 200\n'), settings={'performance.request_timeout': 1})
    server.post_json({'image': b64(people(1))})
    value = server.post_json({'images': [b64(people(1))] * 20}, BATCH).json()
    errors = [result['error'] for result in value['results'] if 'error' in result]
    assert 2 <= 20 - len(errors) <= 6
    assert value['failed'] == len(errors)
    assert {error['code'] for error in errors} == {'timeout'}
    server.assert_healthy()


def test_client_leaves(make_server, script):
    server = make_server(device=script('latency_ms: 200\n'))
    server.post_json({'image': b64(people(1))})
    connection, response = open_lines(server, BATCH, {'images': [b64(people(1))] * 30})
    response.readline()
    connection.close()
    begin = time.monotonic()
    assert server.post_json({'image': b64(people(1))}).status == 200
    assert time.monotonic() - begin < 3
    server.stop()
    assert '(cut off)' in server.log


def test_one_model_for_all(healthy):
    response = healthy.post_json({'images': [b64(people(1))], 'model': 'no-such-model'}, BATCH)
    assert response.status == 404
    assert response.json()['error']['field'] == 'model'


def test_shutdown_waits_for_lines(make_server, script):
    server = make_server(device=script('latency_ms: 150\n'))
    server.post_json({'image': b64(people(1))})
    connection, response = open_lines(server, BATCH, {'images': [b64(people(1))] * 6})
    response.readline()
    server.process.terminate()
    lines = response.read().decode().splitlines()
    connection.close()
    assert json.loads(lines[-1]) == {'count': 6, 'failed': 0}
    assert server.finish() == 0


# ---- faces

def test_faces(face):
    response = face.post_json({'images': [b64(one(1)), b64(NO_FACES), {'id': 'x', 'image': b64(one(2))}],
                             'return_landmarks': True}, FACE_BATCH)
    assert response.status == 200, response
    value = response.json()
    assert [result['count'] for result in value['results']] == [1, 0, 1]
    assert value['results'][2]['id'] == 'x'
    assert value['results'][0]['faces'][0]['landmarks'] is not None
    assert response.body.endswith(b'}\n') and b', ' not in response.body


def test_face_errors(face):
    value = face.post_form(parts([one(1), b'nothing']), FACE_BATCH).json()
    assert value['results'][0]['count'] == 1
    bad = value['results'][1]
    assert bad['error'] == 'Failed to decode image' and bad['index'] == 1 and bad['detail']
    assert value['failed'] == 1
    assert face.post_json({}, FACE_BATCH).json() == {'error': 'No JSON body'}
    assert face.post_json({'images': []}, FACE_BATCH).json() == {'error': "Missing 'images' field"}
    big = face.post_json({'images': ['aaaa'] * 33}, FACE_BATCH)
    assert big.status == 400 and 'at most 32 pictures' in big.json()['error']
    body, kind = multipart(parts([one(1)]))
    assert face.request('POST', FACE_BATCH, body, {'Content-Type': kind}).json()['count'] == 1


def test_face_options(face):
    """Request options apply to the batch as a whole."""
    response = face.post_json({'images': [b64(one(1))], 'model': 'no-such-model'}, FACE_BATCH)
    assert response.status == 404, response
    assert face.post_json({'images': [b64(one(1))], 'timeout': -3}, FACE_BATCH).status == 400
    assert face.post_json({'images': [b64(one(1))], 'timeout': 20}, FACE_BATCH).json()['failed'] == 0


def test_face_lines(face):
    response = face.post_json({'images': [b64(one(1)), 'x', b64(one(2))]}, FACE_BATCH, LINES)
    lines = [json.loads(line) for line in response.body.decode().splitlines()]
    assert [line.get('index') for line in lines] == [0, 1, 2, None]
    assert lines[3] == {'count': 3, 'failed': 1}


def test_face_lines_for_people(make_face):
    """A response is one line here, even if pretty-printing is configured."""
    server = make_face({'server.debug': 'true'})
    response = server.post_json({'images': [b64(one(1)), b64(one(2))]}, FACE_BATCH, LINES)
    assert [json.loads(line).get('index') for line in response.body.decode().splitlines()] == [0, 1, None]
