"""Forms of request bodies: compressed, a picture as the body, spellings of base64, parts encoded as in mail."""
import base64
import gzip
import json
import zlib

import pytest

from faces import NO_FACES, one
from server import b64, multipart, compressed_zeros, png

DETECT = '/v1/pose/detect'
FORM, FORM_TYPE = multipart({'image': png(), 'max_detections': '3'})
JPEG = b'\xff\xd8\xff\xe0\x00\x10JFIF' + bytes(range(256)) * 800


def post(server, body, coding=None, kind=FORM_TYPE, path=DETECT):
    headers = {'Content-Type': kind} if kind else {}
    return server.request('POST', path, body, {**headers, **({'Content-Encoding': coding} if coding else {})})


def raw_deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def comparable(response):
    value = response.json()
    return {key: value[key] for key in value if key not in ('inference_time_ms', 'timings_ms')}


# ---- Content-Encoding

@pytest.mark.parametrize('coding, pack', [('gzip', gzip.compress), ('GZIP', gzip.compress), ('x-gzip', gzip.compress),
                                          ('deflate', zlib.compress), ('deflate', raw_deflate),
                                          ('identity', bytes), ('gzip', lambda data: gzip.compress(data[:99]) +
                                                                gzip.compress(data[99:]))])
def test_compressed_bodies(healthy, coding, pack):
    response = post(healthy, pack(FORM), coding)
    assert response.status == 200, response
    assert comparable(response) == comparable(post(healthy, FORM))
    body = json.dumps({'image': b64(png())}).encode()
    assert post(healthy, pack(body), coding, 'application/json').status == 200


def test_compressed_bodies_in_chunks(healthy):
    packed = gzip.compress(FORM)
    response = healthy.request('POST', DETECT, iter([packed[i:i + 7] for i in range(0, len(packed), 7)]),
                             {'Content-Type': FORM_TYPE, 'Content-Encoding': 'gzip'})
    assert response.status == 200, response


@pytest.mark.parametrize('coding', ['br', 'zstd', 'compress', 'gzip, gzip', 'deflate, gzip', 'aes128gcm'])
def test_unsupported_codings(healthy, coding):
    response = post(healthy, gzip.compress(FORM), coding)
    assert response.status == 415 and f'"{coding}"' in response.json()['error']['message'], response
    assert response.headers['Accept-Encoding'] == 'gzip, deflate'


@pytest.mark.parametrize('damage, words', [(lambda data: data[:-9], 'cut off'), (lambda data: data[:20], 'cut off'),
                                           (lambda data: b'', 'cut off'), (lambda data: FORM, 'damaged'),
                                           (lambda data: data[:-8] + bytes(4) + data[-4:], 'damaged'),
                                           (lambda data: data + b'more', 'damaged')])
def test_damaged_compressed_bodies(healthy, damage, words):
    response = post(healthy, damage(gzip.compress(FORM)), 'gzip')
    assert response.status == 400 and 'gzip' in response.json()['error']['message'], response
    assert words in response.json()['error']['message'], response


def test_decompression_bomb(make_server):
    """A body of 1 MiB that decompresses to 1 GiB is refused at the limit, and uses no more memory than that."""
    server = make_server(settings={'server.max_body_mb': '4'})
    assert post(server, FORM).status == 200
    bomb = compressed_zeros(1 << 20, 1 << 10, gzip=True)
    assert post(server, compressed_zeros(1 << 20, 2, gzip=True), 'gzip', 'image/png').status == 400  # highly compressed
    assert 500_000 < len(bomb) < 2 << 20
    before = server.resident_bytes()
    for kind in ('image/png', 'application/json'):
        response = post(server, bomb, 'gzip', kind)
        assert response.status == 413, response
        assert kind != 'image/png' or 'unpacked' in response.json()['error']['message'], response
    assert server.resident_bytes() - before < 64 << 20
    server.assert_healthy()


# ---- one picture as the body

@pytest.mark.parametrize('kind', ['image/png', 'image/jpeg', 'image/x-anything', 'application/octet-stream'])
def test_a_picture_as_the_body(healthy, kind):
    response = post(healthy, png(), None, kind, DETECT + '?max_detections=3&unknown=1')
    found = comparable(response)
    assert [warning['field'] for warning in found.pop('warnings')] == ['unknown'], response
    assert response.status == 200 and found == comparable(post(healthy, FORM)), response
    response = post(healthy, png(), None, kind, DETECT + '?max_detections=-1')
    assert response.status == 400 and response.json()['error']['field'] == 'max_detections', response
    response = post(healthy, b'', None, kind)
    assert response.status == 400 and response.json()['error']['message'] == 'Invalid JSON: the body is empty', response


def test_json_as_octets(healthy):
    """aiohttp's client labels any bytes application/octet-stream, and old clients send JSON with any type."""
    body = json.dumps({'image': b64(png())}).encode()
    for kind in ('application/octet-stream', 'image/jpeg'):
        assert post(healthy, body, None, kind).status == 200


def test_faces_as_the_body(make_face):
    face = make_face()
    kind = {'Content-Type': 'image/png'}

    def send(path, picture=one(2)):
        return face.request('POST', '/v1/' + path, picture, kind)
    assert send('detect').json()['count'] == 1
    assert len(send('embed?bbox=[200,120,140,140]').json()['embedding']) == 512
    response = send('database/add')
    assert response.status == 400 and response.json()['error'] == "Missing 'name' field", response
    assert send('database/add?name=J%C3%BCrgen&metadata={"a":1}').status == 200
    assert face.get('/v1/database/identities/J%C3%BCrgen').json()['metadata'] == {'a': 1}
    assert send('recognize?threshold=0.5').json()['faces'][0]['identity'] == 'Jürgen'
    assert send('database/verify?name=J%C3%BCrgen').json()['verified'] is True
    assert send('recognize?threshold=2').status == 400
    response = send('compare')
    assert response.status == 400 and "'image' and 'image2'" in response.json()['error'], response
    response = send('detect/batch')
    assert response.status == 400 and 'several pictures' in response.json()['error'], response
    assert send('database/remove?name=J%C3%BCrgen').status == 415
    assert face.get('/v1/database/list').json()['count'] == 1
    assert send('detect', NO_FACES).json()['count'] == 0


@pytest.mark.parametrize('kind', [None, 'text/plain', 'application/x-www-form-urlencoded', 'application/json'])
def test_a_picture_under_another_type(healthy, kind):
    response = post(healthy, JPEG, None, kind)
    assert response.status == 400, response
    assert response.json()['error']['message'] == ('The body is a JPEG picture: send it as a form, `-F image=@FILE`, or '
                                                 'with Content-Type: image/jpeg')
    response = post(healthy, png(), None, kind)
    assert 'PNG' in response.json()['error']['message'] and 'image/png' in response.json()['error']['message'], response
    batch = post(healthy, JPEG, None, kind, DETECT + '/batch')
    assert batch.status == 400 and 'several pictures' in batch.json()['error']['message'], batch


@pytest.mark.parametrize('kind', ['multipart/mixed', 'multipart/related; boundary=X', 'Multipart/Alternative'])
def test_other_multipart_types(healthy, face, kind):
    for server, path in ((healthy, DETECT), (face, '/v1/detect')):
        response = post(server, b'--X\r\n\r\n--X--', None, kind, path)
        assert response.status == 415, response
        error = response.json()['error']
        text = error['message'] if isinstance(error, dict) else error
        assert 'multipart/form-data' in text and 'image/jpeg' in text and 'Invalid JSON' not in text, response
        assert response.headers['Accept'] == 'application/json, multipart/form-data'


# ---- base64

@pytest.mark.parametrize('spell', [
    lambda text: text.rstrip('='), lambda text: text.rstrip('=').replace('+', '-').replace('/', '_'),
    lambda text: 'DATA:image/png;base64,' + text, lambda text: ' \r\ndata:image/png;base64,\n' + text.rstrip('=') + '\n',
    lambda text: 'Data:,' + '\n'.join(text[i:i + 76] for i in range(0, len(text), 76))])
@pytest.mark.parametrize('more', [0, 1, 2])
def test_spellings_of_base64(healthy, spell, more):
    """Every length modulo 3, with bytes added after the picture's end."""
    picture = png() + bytes(more)
    text = spell(base64.b64encode(picture).decode())
    response = healthy.post_json({'image': text})
    assert response.status == 200 and response.json()['image_size'] == {'width': 64, 'height': 48}, response


def test_trailing_base64_character(healthy):
    whole = base64.urlsafe_b64encode(png() + bytes(-len(png()) % 3)).decode()
    response = healthy.post_json({'image': whole + 'A'})
    assert response.status == 400 and response.json()['error']['message'] == (
        'Invalid base64: a group of one character is left at the end'), response


# ---- parts encoded as in mail

def test_encoded_parts(make_face):
    face = make_face()
    picture = base64.encodebytes(one(3)).replace(b'\n', b'\r\n')
    body = (b'--X\r\nContent-Disposition: form-data; name="name"\r\nContent-Type: text/plain; charset="utf-8"\r\n'
            b'Content-Transfer-Encoding: quoted-printable\r\n\r\nJ=C3=BCrgen =\r\nS.\r\n'
            b'--X\r\nContent-Disposition: form-data; filename*=utf-8\'\'name%3dx; name="image"; filename="a; name=b.png"'
            b'\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n' + picture + b'\r\n--X--\r\n')
    response = post(face, body, None, 'multipart/form-data; boundary=X', '/v1/database/add')
    assert response.status == 200 and response.json()['name'] == 'Jürgen S.', response
    latin = body.replace(b'"utf-8"', b'iso-8859-1')
    response = post(face, latin, None, 'multipart/form-data; boundary=X', '/v1/database/add')
    assert response.status == 400 and 'charset' in response.json()['error'], response
