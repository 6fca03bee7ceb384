"""Invalid or malicious requests: each gets a clear 4xx that names the field and the reason, and does no harm."""
import http.client
import json
import socket
import struct

import pytest

from server import b64, oversized_png, multipart, compressed_zeros, png, png_chunk, read_response

DETECT = '/v1/pose/detect'
PICTURE = png()


TOO_LARGE = (400, 413, 431)


def check_refusal(response, status=400, *words):
    """Checks an error response of the documented form whose message contains the words; `status` is one status or the
    allowed ones."""
    assert response.status in (status if isinstance(status, tuple) else (status,)), response
    status = response.status
    assert response.headers['Content-Type'] == 'application/json; charset=utf-8'
    error = response.json()['error']
    assert error['type'] == ('invalid_request_error' if status < 500 else 'internal_error')
    assert isinstance(error['message'], str) and error['message'].isprintable()
    for word in words:
        assert word in error['message'], error
    return error['message']


# ---- no picture

@pytest.mark.parametrize('body', [{}, {'image': ''}, {'image': None}, {'picture': 'x'}])
def test_json_without_image(healthy, body):
    assert check_refusal(healthy.post_json(body)) == "Missing 'image' field"


@pytest.mark.parametrize('fields', [{}, {'image': b''}, {'max_detections': '3'}])
def test_form_without_image(healthy, fields):
    assert check_refusal(healthy.post_form(fields)) == "Missing 'image' field"


# ---- JSON

@pytest.mark.parametrize('body', [
    b'', b' ', b'{', b'{"image": "abc"', b"{'image': 'abc'}", b'{"image": "abc"} trailing', b'\xff\xfe{}',
    b'{"image": "\xc3\x28"}', b'{"image": "a", }', b'\x00', b'{"image": NaN}', b'nonsense'])
def test_malformed_json(healthy, body):
    assert check_refusal(healthy.post_json(body)).startswith('Invalid JSON: ')


@pytest.mark.parametrize('body', [b'{"image": "\\ud800"}', b'{"image": "\\u0000"}', b'{"image": "A\\u0000AA"}'])
def test_invalid_text(healthy, body):
    check_refusal(healthy.post_json(body))


@pytest.mark.parametrize('body', [b'[]', b'[1, 2]', b'"text"', b'null', b'17', b'true'])
def test_json_that_is_not_an_object(healthy, body):
    check_refusal(healthy.post_json(body))


@pytest.mark.parametrize('value', [17, 1.5, True, [], ['a'], {}, {'data': 'a'}])
def test_image_of_another_type(healthy, value):
    check_refusal(healthy.post_json({'image': value}), 400, 'image')


@pytest.mark.parametrize('opening, closing', [(b'[', b']'), (b'{"a":', b'}')], ids=['lists', 'objects'])
def test_deep_json(healthy, opening, closing):
    depth = 200000
    check_refusal(healthy.post_json(b'{"image": ' + opening * depth + b'1' + closing * depth + b'}'))
    check_refusal(healthy.post_json(opening * depth))


def test_many_json_keys(healthy):
    keys = {f'key{i}': i for i in range(100000)}
    check_refusal(healthy.post_json(keys), TOO_LARGE)
    assert healthy.post_json({**keys, 'image': b64(PICTURE)}).status in (200, *TOO_LARGE)


def test_huge_numbers(healthy):
    check_refusal(healthy.post_json(b'{"image": "%s", "confidence_threshold": 1e999}' % b64(PICTURE).encode()))
    check_refusal(healthy.post_json(b'{"image": "%s", "max_detections": %s}' % (b64(PICTURE).encode(), b'9' * 5000)))


# ---- base64 and its content

@pytest.mark.parametrize('text', ['A', 'AAAAA', 'not-valid-base64!!!', 'AAA=A===', '=', 'data:image/png;base64,AAAAA'])
def test_wrong_base64(healthy, text):
    check_refusal(healthy.post_json({'image': text}), 400)


def test_padding_error_is_reported(healthy):
    assert check_refusal(healthy.post_json({'image': 'AAAAA'})).startswith('Invalid base64: ')


@pytest.mark.parametrize('text', ['data:', 'data:image/png;base64', 'data:,', 'data:image/png;base64,'])
def test_data_uri_without_data(healthy, text):
    check_refusal(healthy.post_json({'image': text}))


def bmp_head(width, height):
    return b'BM' + struct.pack('<IHHIIiiHHIIiiII', 70, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


CUT = {f'png cut at {n}': PICTURE[:n] for n in (1, 7, 8, 20, 33, 45, len(PICTURE) // 2)}
BROKEN = {
    'text': b'this is no picture',
    'zeros': b'\0' * 10000,
    'html': b'<!doctype html><html></html>',
    'jpeg start only': b'\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01',
    'webp start only': b'RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00',
    'webp false length': b'RIFF\xff\xff\xff\xffWEBPVP8L\xff\xff\xff\xff/' + b'\xff' * 64,
    'bmp start only': b'BM' + b'\0' * 10,
    'bmp false size': bmp_head(30000, 30000),
    'bmp negative': bmp_head(-5, -2147483648),
    'png wrong checksum': PICTURE[:29] + b'\0\0\0\0' + PICTURE[33:],
    'png no size': PICTURE[:8] + png_chunk(b'IHDR', struct.pack('>IIBBBBB', 0, 0, 8, 2, 0, 0, 0)) + PICTURE[33:],
    'png false length': PICTURE[:33] + b'\x7f\xff\xff\xffIDAT' + PICTURE[41:],
    'png bomb': oversized_png(60000, 60000),
    'png largest': oversized_png(0x7fffffff, 0x7fffffff),
    'png wide': oversized_png(0x7fffffff, 1),
    'gif': (b'GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0'
            b'\x02\x02D\x01\0;'),
    **CUT,
}


@pytest.mark.parametrize('data', BROKEN.values(), ids=list(BROKEN))
def test_not_a_picture(healthy, data):
    before = healthy.resident_bytes()
    as_form = healthy.post_form({'image': ('a.jpg', data, 'image/jpeg')})
    for response in (as_form, healthy.post_json({'image': b64(data)})):
        check_refusal(response, (400, 413, 415))
    assert healthy.resident_bytes() - before < 64 << 20


def test_undecodable_picture_is_reported(healthy):
    assert check_refusal(healthy.post_form({'image': b'nonsense'})).startswith('Failed to decode image: ')


def test_compressed_bomb(healthy):
    """A small file that really decompresses to 200 megapixels, in 600 kB."""
    head = struct.pack('>IIBBBBB', 20000, 10000, 8, 2, 0, 0, 0)
    data = compressed_zeros(60001 * 10, 1000)
    bomb = b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', head) + png_chunk(b'IDAT', data) + png_chunk(b'IEND', b'')
    before = healthy.resident_bytes()
    response = healthy.post_form({'image': bomb})
    check_refusal(response, TOO_LARGE)
    assert healthy.resident_bytes() - before < 64 << 20


# ---- parameters

THRESHOLDS = ['confidence_threshold', 'iou_threshold', 'keypoint_threshold']
BAD_NUMBERS = ['', 'abc', '0.5x', '0,5', '0.5 0.5', 'nan', 'NaN', '-nan', 'inf', '-inf', 'Infinity', '-0.1', '1.1',
               '1e9', '1e999', '٣', '9' * 10000]


@pytest.mark.parametrize('name', THRESHOLDS)
@pytest.mark.parametrize('text', BAD_NUMBERS, ids=lambda text: ascii(text[:12]))
def test_bad_threshold(healthy, name, text):
    check_refusal(healthy.post_form({'image': PICTURE, name: text.encode()}), 400, name)
    check_refusal(healthy.post_json({'image': b64(PICTURE), name: text}), 400, name)


@pytest.mark.parametrize('text', ['', 'abc', '1.5', '-1', '1e3', 'nan', '0x10', '99999999999999999999', '--1', '1 2'])
def test_bad_count_as_text(healthy, text):
    check_refusal(healthy.post_form({'image': PICTURE, 'max_detections': text}), 400, 'max_detections')
    check_refusal(healthy.post_json({'image': b64(PICTURE), 'max_detections': text}), 400, 'max_detections')


@pytest.mark.parametrize('name', THRESHOLDS + ['max_detections'])
@pytest.mark.parametrize('value', [True, [], {}, [0.5], -1, -1.5, 1e300, -2 ** 63], ids=repr)
def test_bad_json_value(healthy, name, value):
    check_refusal(healthy.post_json({'image': b64(PICTURE), name: value}), 400, name)


# ---- multipart

def post_multipart(server, body, content_type='multipart/form-data; boundary=x'):
    return server.request('POST', DETECT, body, {'Content-Type': content_type})


@pytest.mark.parametrize('content_type', ['multipart/form-data', 'multipart/form-data; boundary=',
                                          'multipart/form-data; boundary=""', 'multipart/form-data; boundary',
                                          'multipart/form-data; boundary=' + 'x' * 5000,
                                          'multipart/form-data; charset=utf-8'])
def test_missing_or_bad_boundary(healthy, content_type):
    body, _ = multipart({'image': PICTURE}, boundary='x')
    check_refusal(post_multipart(healthy, body, content_type), 400)


WHOLE = multipart({'image': PICTURE}, boundary='x')[0]


@pytest.mark.parametrize('body', [
    b'', b'--', b'--x', b'--x\r\n', b'--x--', b'--x--\r\n', b'no boundary at all', b'--y\r\n\r\n\r\n--y--\r\n',
    b'--x\r\n\r\nno headers\r\n--x--\r\n', b'--x\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--x--\r\n',
    b'--x\r\nContent-Disposition: form-data; name="image\r\n\r\nopen quote\r\n--x--\r\n',
    b'--x\r\n' + b'A' * 100000 + b'\r\n\r\nlong header\r\n--x--\r\n',
    b'--x\r\n' + b'A: b\r\n' * 20000 + b'\r\nmany headers\r\n--x--\r\n',
    b'--x\r\nContent-Disposition: form-data; name="' + b'n' * 70000 + b'"\r\n\r\nlong name\r\n--x--\r\n',
    WHOLE[:30], WHOLE[:80], WHOLE[:-10], WHOLE[:len(WHOLE) // 2], b'--x\r\n' * 30000, b'\r\n' * 100000,
], ids=range(20))
def test_malformed_form(healthy, body):
    check_refusal(post_multipart(healthy, body), TOO_LARGE)


def test_ten_thousand_fields(healthy):
    fields = [(f'field{i}', 'x') for i in range(10000)]
    assert healthy.post_form(fields + [('image', PICTURE)]).status in (200, *TOO_LARGE)
    check_refusal(healthy.post_form(fields), TOO_LARGE)


def test_binary_in_names_does_not_come_back_raw(healthy):
    body = (b'--x\r\nContent-Disposition: form-data; name="max_detections"\r\n\r\n\x1b[31m\xff\x00\r\n'
            b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + PICTURE + b'\r\n--x--\r\n')
    message = check_refusal(post_multipart(healthy, body), 400, 'max_detections')
    assert '\x1b' not in message
    assert '\x1b' not in healthy.log


# ---- connections

REQUEST = multipart({'image': PICTURE})


def head(length, extra=b''):
    return (b'POST ' + DETECT.encode() + b' HTTP/1.1\r\nHost: x\r\nContent-Type: ' + REQUEST[1].encode() +
            b'\r\nContent-Length: %d\r\n' % length + extra + b'\r\n')


def test_client_closes_mid_request(healthy):
    whole = head(len(REQUEST[0])) + REQUEST[0]
    for cut in (1, 4, 20, len(whole) - len(REQUEST[0]), len(whole) - 100, len(whole) - 1):
        with healthy.connect() as sock:
            sock.sendall(whole[:cut])


def test_client_half_closes_mid_request(healthy):
    """The client shuts down its sending side in the middle of the body: this must not be answered with 200."""
    with healthy.connect() as sock:
        sock.sendall(head(len(REQUEST[0])) + REQUEST[0][:-50])
        sock.shutdown(socket.SHUT_WR)
        try:
            assert read_response(sock, 'POST').status >= 400
        except (OSError, ValueError, http.client.HTTPException):
            pass  # closing without a response is allowed too


def test_clients_that_do_not_read(healthy):
    """Complete requests whose clients do not wait for the response, and close normally or with a reset."""
    for i in range(40):
        with healthy.connect() as sock:
            sock.sendall(head(len(REQUEST[0])) + REQUEST[0])
            if i % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))


@pytest.mark.parametrize('data', [
    b'GET\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', b'GET /health HTTP/9.9\r\n\r\n',
    b'GET /health\x00 HTTP/1.1\r\nHost: x\r\n\r\n',
    b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
    b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n',
    b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\n',
    b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n',
    b'POST /v1/pose/detect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc\r\n',
    b'GET /%zz%00%ff HTTP/1.1\r\nHost: x\r\n\r\n', b'GET ' + b'/' * 10000 + b' HTTP/1.1\r\nHost: x\r\n\r\n',
], ids=range(11))
def test_bytes_that_are_not_a_request(healthy, data):
    with healthy.connect() as sock:
        sock.sendall(data)
        try:
            assert sock.recv(65536)[:9] in (b'', b'HTTP/1.1 ', b'HTTP/1.0 ')
        except ConnectionResetError:
            pass  # closing the connection is allowed too


def test_number_with_a_zero_byte(healthy):
    check_refusal(healthy.post_form({'image': PICTURE, 'iou_threshold': b'0.5\0'}), 400, 'iou_threshold')
    check_refusal(healthy.post_json({'image': b64(PICTURE), 'iou_threshold': '0.5\0'}), 400)


def test_messages_are_one_line_of_plain_text(healthy):
    for name in ('confidence_threshold', 'max_detections'):
        response = healthy.post_json({'image': b64(PICTURE), name: 'a\nb\r\n"\\<script>\u2028'})
        message = check_refusal(response, 400, name)
        assert '\n' not in message and '\r' not in message


def test_json_error_bodies_are_json(healthy):
    assert json.loads(healthy.post_json({'image': '"\\\n'}).body)['error']['message']
