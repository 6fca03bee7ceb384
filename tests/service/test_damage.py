"""JPEGs with lost or changed bytes: decoded as far as possible, with a warning in the response; truncated ones are
refused."""
import io
import json

import pytest

from faces import one, picture
from server import b64, png, run
from test_face_cli import FACE

PIL = pytest.importorskip('PIL.Image', reason='python3-pil makes the pictures')


def warning_of(text, field='image'):
    return {'code': 'image_damaged', 'message': f'{field}: the JPEG is damaged: {text}', 'field': field}


MISSING = warning_of('a part of its data is missing')


def jpeg(of=None, **options):
    out = io.BytesIO()
    PIL.open(io.BytesIO(of or picture())).save(out, 'JPEG', quality=95, **options)
    return out.getvalue()


def without(data, count):
    """Returns the picture without the last bytes before its end marker."""
    assert data.endswith(b'\xff\xd9')
    return data[:-2 - count] + data[-2:]


@pytest.mark.parametrize('options', [{}, {'progressive': True}], ids=['sequential', 'progressive'])
@pytest.mark.parametrize('count', [1, 5, 300])
def test_data_missing_before_the_end_marker_are_a_warning(sim, options, count):
    response = sim.post_form({'image': without(jpeg(**options), count)})
    assert response.status == 200 and response.json()['warnings'] == [MISSING], response
    assert response.json()['image_size'] == {'width': 640, 'height': 480}


def test_an_answer_about_a_whole_picture_has_no_warnings(sim, face):
    assert 'warnings' not in sim.post_form({'image': jpeg()}).json()
    assert 'warnings' not in face.ask('detect', jpeg()).json()


@pytest.mark.parametrize('options', [{}, {'progressive': True}], ids=['sequential', 'progressive'])
def test_a_missing_end_marker_is_a_warning_too(sim, options):
    response = sim.post_form({'image': jpeg(**options)[:-2]})
    assert response.status == 200, response
    assert response.json()['warnings'] == [warning_of('the end marker is missing')]


@pytest.mark.parametrize('options', [{}, {'progressive': True}], ids=['sequential', 'progressive'])
def test_a_cut_picture_is_refused(sim, options):
    data = jpeg(**options)
    for left in (len(data) - 40, len(data) // 2):
        response = sim.post_form({'image': data[:left]})
        assert response.status == 400, (left, response)
        assert 'JPEG is truncated: its data end before the picture is complete' in response.json()['error']['message']


def test_wrong_bytes_are_a_warning(sim):
    data = bytearray(jpeg())
    middle = len(data) * 2 // 3
    data[middle:middle + 40] = bytes([0x55]) * 40
    response = sim.post_form({'image': bytes(data)})
    assert response.status == 200 and len(response.json()['warnings']) == 1, response
    assert response.json()['warnings'][0]['message'].startswith('image: the JPEG is damaged: ')


def test_batches_warn_for_each_picture(sim, face):
    whole, damaged = jpeg(), without(jpeg(), 3)
    for server, path in ((sim, '/v1/pose/detect/batch'), (face, '/v1/detect/batch')):
        body = {'images': [b64(whole), b64(damaged), b64(whole)]}
        results = server.post_json(body, path).json()['results']
        assert [result.get('warnings') for result in results] == [None, [MISSING], None]
        lines = server.post_json(body, path, headers={'Accept': 'application/x-ndjson'}).body.splitlines()
        assert [json.loads(line).get('warnings') for line in lines] == [None, [MISSING], None, None]


def test_every_answer_about_faces_warns(face):
    whole, damaged = jpeg(one(3)), without(jpeg(one(3)), 3)
    for path in ('detect', 'embed', 'recognize'):
        response = face.ask(path, damaged)
        assert response.status == 200 and response.json()['warnings'] == [MISSING], response
        assert 'warnings' not in face.ask(path, whole).json()
    response = face.ask('compare', whole, image2=b64(damaged))
    assert response.json()['warnings'] == [warning_of('a part of its data is missing', 'image2')], response
    assert len(face.ask('compare', damaged, image2=b64(damaged)).json()['warnings']) == 2


def test_answers_of_the_gallery_warn(make_face):
    face, whole, damaged = make_face(), jpeg(one(3)), without(jpeg(one(3)), 3)
    for action, fields in (('add', {'dry_run': True}), ('add', {}), ('verify', {})):
        response = face.ask(f'database/{action}', damaged, name='Ann', **fields)
        assert response.status == 200 and MISSING in response.json()['warnings'], response
        assert MISSING not in face.ask(f'database/{action}', whole, name='Ann', **fields).json().get('warnings', [])
    response = face.ask('database/verify', damaged, name='Ann', nmae='Bob')
    assert [each['code'] for each in response.json()['warnings']] == ['image_damaged', 'unknown_field']


def test_a_drawn_answer_warns_in_a_header(sim):
    accept = {'Accept': 'image/jpeg'}
    response = sim.post_form({'image': without(jpeg(), 3), 'conf': '1', 'iou': '1'}, headers=accept)
    assert response.status == 200 and response.body[:2] == b'\xff\xd8', response
    assert response.headers['X-Warnings'] == 'unknown_field, image_damaged'
    assert sim.post_form({'image': jpeg()}, headers=accept).headers['X-Warnings'] is None
    for width, codes in ((3072, None), (3076, 'drawing_reduced')):
        assert sim.post_form({'image': png(width, 16)}, headers=accept).headers['X-Warnings'] == codes


def test_commands_warn(cli, tmp_path):
    (tmp_path / 'damaged.jpg').write_bytes(without(jpeg(one(3)), 3))
    for done in (cli('detect', '--device', 'sim', 'damaged.jpg'), run(tmp_path, 'detect', '--device', 'sim', 'damaged.jpg', program=FACE)):
        assert done.returncode == 0 and json.loads(done.stdout)['warnings'] == [MISSING], done
