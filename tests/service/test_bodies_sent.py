"""Forms of request bodies: compressed, a picture as the body, spellings of base64, parts encoded as in mail."""
import base64
import gzip
import json
import zlib

import pytest

from faces import NOBODY, one
from server import b64, multipart, packed_zeros, png

DETECT = '/v1/pose/detect'
FORM, FORM_TYPE = multipart({'image': png(), 'max_detections': '3'})
JPEG = b'\xff\xd8\xff\xe0\x00\x10JFIF' + bytes(range(256)) * 800


def post(server, body, coding=None, kind=FORM_TYPE, path=DETECT):
    headers = {'Content-Type': kind} if kind else {}
    return server.request('POST', path, body, {**headers, **({'Content-Encoding': coding} if coding else {})})


def raw_deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def comparable(answer):
    value = answer.json()
    return {key: value[key] for key in value if key not in ('inference_time_ms', 'timings_ms')}


# ---- Content-Encoding

@pytest.mark.parametrize('coding, pack', [('gzip', gzip.compress), ('GZIP', gzip.compress), ('x-gzip', gzip.compress),
                                          ('deflate', zlib.compress), ('deflate', raw_deflate),
                                          ('identity', bytes), ('gzip', lambda data: gzip.compress(data[:99]) +
                                                                gzip.compress(data[99:]))])
def test_packed_bodies(healthy, coding, pack):
    answer = post(healthy, pack(FORM), coding)
    assert answer.status == 200, answer
    assert comparable(answer) == comparable(post(healthy, FORM))
    body = json.dumps({'image': b64(png())}).encode()
    assert post(healthy, pack(body), coding, 'application/json').status == 200


def test_packed_bodies_in_chunks(healthy):
    packed = gzip.compress(FORM)
    answer = healthy.request('POST', DETECT, iter([packed[i:i + 7] for i in range(0, len(packed), 7)]),
                             {'Content-Type': FORM_TYPE, 'Content-Encoding': 'gzip'})
    assert answer.status == 200, answer


@pytest.mark.parametrize('coding', ['br', 'zstd', 'compress', 'gzip, gzip', 'deflate, gzip', 'aes128gcm'])
def test_codings_that_are_not_taken(healthy, coding):
    answer = post(healthy, gzip.compress(FORM), coding)
    assert answer.status == 415 and f'"{coding}"' in answer.json()['error']['message'], answer
    assert answer.headers['Accept-Encoding'] == 'gzip, deflate'


@pytest.mark.parametrize('damage, words', [(lambda data: data[:-9], 'cut off'), (lambda data: data[:20], 'cut off'),
                                           (lambda data: b'', 'cut off'), (lambda data: FORM, 'damaged'),
                                           (lambda data: data[:-8] + bytes(4) + data[-4:], 'damaged'),
                                           (lambda data: data + b'more', 'damaged')])
def test_damaged_packing(healthy, damage, words):
    answer = post(healthy, damage(gzip.compress(FORM)), 'gzip')
    assert answer.status == 400 and 'gzip' in answer.json()['error']['message'], answer
    assert words in answer.json()['error']['message'], answer


def test_a_bomb(make_server):
    """A body of 1 MiB that decompresses to 1 GiB is refused at the limit, and uses no more memory than that."""
    server = make_server(settings={'server.max_body_mb': '4'})
    assert post(server, FORM).status == 200
    bomb = packed_zeros(1 << 20, 1 << 10, gzip=True)
    assert post(server, packed_zeros(1 << 20, 2, gzip=True), 'gzip', 'image/png').status == 400  # highly compressed
    assert 500_000 < len(bomb) < 2 << 20
    before = server.resident_bytes()
    for kind in ('image/png', 'application/json'):
        answer = post(server, bomb, 'gzip', kind)
        assert answer.status == 413, answer
        assert kind != 'image/png' or 'unpacked' in answer.json()['error']['message'], answer
    assert server.resident_bytes() - before < 64 << 20
    server.assert_healthy()


# ---- one picture as the body

@pytest.mark.parametrize('kind', ['image/png', 'image/jpeg', 'image/x-anything', 'application/octet-stream'])
def test_a_picture_as_the_body(healthy, kind):
    answer = post(healthy, png(), None, kind, DETECT + '?max_detections=3&unknown=1')
    found = comparable(answer)
    assert [warning['field'] for warning in found.pop('warnings')] == ['unknown'], answer
    assert answer.status == 200 and found == comparable(post(healthy, FORM)), answer
    answer = post(healthy, png(), None, kind, DETECT + '?max_detections=-1')
    assert answer.status == 400 and answer.json()['error']['field'] == 'max_detections', answer
    answer = post(healthy, b'', None, kind)
    assert answer.status == 400 and answer.json()['error']['message'] == 'Invalid JSON: the body is empty', answer


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
    answer = send('database/add')
    assert answer.status == 400 and answer.json()['error'] == "Missing 'name' field", answer
    assert send('database/add?name=J%C3%BCrgen&metadata={"a":1}').status == 200
    assert face.get('/v1/database/identities/J%C3%BCrgen').json()['metadata'] == {'a': 1}
    assert send('recognize?threshold=0.5').json()['faces'][0]['identity'] == 'Jürgen'
    assert send('database/verify?name=J%C3%BCrgen').json()['verified'] is True
    assert send('recognize?threshold=2').status == 400
    answer = send('compare')
    assert answer.status == 400 and "'image' and 'image2'" in answer.json()['error'], answer
    answer = send('detect/batch')
    assert answer.status == 400 and 'several pictures' in answer.json()['error'], answer
    assert send('database/remove?name=J%C3%BCrgen').status == 415
    assert face.get('/v1/database/list').json()['count'] == 1
    assert send('detect', NOBODY).json()['count'] == 0


@pytest.mark.parametrize('kind', [None, 'text/plain', 'application/x-www-form-urlencoded', 'application/json'])
def test_a_picture_under_another_type(healthy, kind):
    answer = post(healthy, JPEG, None, kind)
    assert answer.status == 400, answer
    assert answer.json()['error']['message'] == ('The body is a JPEG picture: send it as a form, `-F image=@FILE`, or '
                                                 'with Content-Type: image/jpeg')
    answer = post(healthy, png(), None, kind)
    assert 'PNG' in answer.json()['error']['message'] and 'image/png' in answer.json()['error']['message'], answer
    batch = post(healthy, JPEG, None, kind, DETECT + '/batch')
    assert batch.status == 400 and 'several pictures' in batch.json()['error']['message'], batch


@pytest.mark.parametrize('kind', ['multipart/mixed', 'multipart/related; boundary=X', 'Multipart/Alternative'])
def test_other_multipart_types(healthy, face, kind):
    for server, path in ((healthy, DETECT), (face, '/v1/detect')):
        answer = post(server, b'--X\r\n\r\n--X--', None, kind, path)
        assert answer.status == 415, answer
        error = answer.json()['error']
        text = error['message'] if isinstance(error, dict) else error
        assert 'multipart/form-data' in text and 'image/jpeg' in text and 'Invalid JSON' not in text, answer


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
    answer = healthy.post_json({'image': text})
    assert answer.status == 200 and answer.json()['image_size'] == {'width': 64, 'height': 48}, answer


def test_a_character_left_over(healthy):
    whole = base64.urlsafe_b64encode(png() + bytes(-len(png()) % 3)).decode()
    answer = healthy.post_json({'image': whole + 'A'})
    assert answer.status == 400 and answer.json()['error']['message'] == (
        'Invalid base64: a group of one character is left at the end'), answer


# ---- parts encoded as in mail

def test_encoded_parts(make_face):
    face = make_face()
    picture = base64.encodebytes(one(3)).replace(b'\n', b'\r\n')
    body = (b'--X\r\nContent-Disposition: form-data; name="name"\r\nContent-Type: text/plain; charset="utf-8"\r\n'
            b'Content-Transfer-Encoding: quoted-printable\r\n\r\nJ=C3=BCrgen =\r\nS.\r\n'
            b'--X\r\nContent-Disposition: form-data; filename*=utf-8\'\'name%3dx; name="image"; filename="a; name=b.png"'
            b'\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n' + picture + b'\r\n--X--\r\n')
    answer = post(face, body, None, 'multipart/form-data; boundary=X', '/v1/database/add')
    assert answer.status == 200 and answer.json()['name'] == 'Jürgen S.', answer
    latin = body.replace(b'"utf-8"', b'iso-8859-1')
    answer = post(face, latin, None, 'multipart/form-data; boundary=X', '/v1/database/add')
    assert answer.status == 400 and 'charset' in answer.json()['error'], answer
