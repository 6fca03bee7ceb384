"""Memory that clients can make the service use: one budget for all decoded pictures, and pictures reduced while
they are decoded or drawn."""
import struct
import threading
import time
import zlib

import pytest

from server import BINARY, is_sanitized, multipart, png, png_chunk

DETECT = '/v1/pose/detect'
WHITE = (255, 255, 255)


def picture(data):
    return {'image': ('a', data, 'image/png')}


def flat_png(width, height, spot=None, interlaced=0):
    """Returns a gray PNG with a white square at spot = (x, y, size)."""
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, interlaced)
    plain, packer, data = b'\0' + b'\x20' * (3 * width), zlib.compressobj(1), []
    x, y, size = spot or (0, 0, 0)
    marked = plain[:1 + 3 * x] + b'\xff' * (3 * size) + plain[1 + 3 * (x + size):]
    for row in range(height):
        data.append(packer.compress(marked if y <= row < y + size else plain))
    return (b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', head) + png_chunk(b'IDAT', b''.join(data) + packer.flush()) +
            png_chunk(b'IEND', b''))


def size_of(data):
    assert data[:8] == b'\x89PNG\r\n\x1a\n'
    return struct.unpack('>II', data[16:24])


def pixels_of(data):
    """Returns the rows of an RGB PNG with the filters None and Sub, which hs_image_encode_png uses."""
    width, height = size_of(data)
    at, packed = 8, b''
    while at < len(data):
        length, kind = struct.unpack('>I4s', data[at:at + 8])
        if kind == b'IDAT':
            packed += data[at + 8:at + 8 + length]
        at += 12 + length
    raw, stride = zlib.decompress(packed), 1 + 3 * width
    return [raw[y * stride:(y + 1) * stride] for y in range(height)]


def unfiltered(row):
    if row[0] == 0:
        return row[1:]
    assert row[0] == 1
    out = bytearray(row[1:])
    for i in range(3, len(out)):
        out[i] = (out[i] + out[i - 3]) & 255
    return bytes(out)


def test_picture_waits_for_the_memory_budget(make_server, script):
    """The first picture uses almost all of the budget while it waits for its device; the next one runs after it, or
    gets a 504 in time."""
    server = make_server(device=script('latency_ms: 2500\n'),
                         settings={'image.max_memory_total': '1M', 'performance.worker_threads': 4})
    big = png(640, 500)  # not reduced: 960,000 bytes
    server.post_form(picture(png(32, 32)))
    answers = []
    first = threading.Thread(target=lambda: answers.append(server.post_form(picture(big))))
    first.start()
    time.sleep(0.8)
    late = server.post_form({**picture(big), 'timeout': '0.8'})
    assert late.status == 504, late
    assert late.json()['error']['code'] == 'timeout'
    assert "the request timed out" in late.json()['error']['message']
    assert server.post_form(picture(big)).status == 200
    first.join()
    assert answers[0].status == 200


def test_picture_above_the_budget_is_decoded_alone(make_server):
    server = make_server(settings={'image.max_memory_total': '1M', 'performance.worker_threads': 4})
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(server.post_form(picture(flat_png(900, 700)))))
               for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [response.status for response in answers] == [200] * 8
    drawn = server.request('POST', DETECT, *drawn_form(flat_png(900, 700)), timeout=60)
    assert drawn.status == 200 and size_of(drawn.body) == (900, 700)


def drawn_form(data):
    body, kind = multipart(picture(data))
    return body, {'Content-Type': kind, 'Accept': 'image/png'}


@pytest.mark.parametrize('size, drawn_size', [((5000, 1250), (3072, 768)), ((300, 4800), (192, 3072)),
                                              ((3072, 24), (3072, 24))])
def test_a_drawn_answer_has_a_largest_side(healthy, size, drawn_size):
    response = healthy.request('POST', DETECT, *drawn_form(flat_png(*size)))
    assert response.status == 200, response
    assert size_of(response.body) == drawn_size


def test_marks_lie_where_the_reduced_picture_shows_them(healthy):
    """The box is at the square although the picture is reduced: their left edges coincide."""
    data = flat_png(8000, 2000, spot=(4000, 800, 400))
    found = healthy.post_form(picture(data)).json()
    assert found['count'] == 1 and found['image_size'] == {'width': 8000, 'height': 2000}
    box = found['poses'][0]['bbox']
    response = healthy.request('POST', DETECT, *drawn_form(data))
    assert size_of(response.body) == (3072, 768)
    scale = 3072 / 8000
    middle = unfiltered(pixels_of(response.body)[round((box['y'] + box['height'] * 0.8) * scale)])
    gray = [x for x in range(3072) if middle[3 * x:3 * x + 3] == b'\x20\x20\x20']
    assert len(gray) > 2800
    marked = [x for x in range(3072) if x not in set(gray)]
    assert abs(marked[0] - box['x'] * scale) < 30
    assert abs(marked[-1] - (box['x'] + box['width']) * scale) < 30


@pytest.mark.skipif(is_sanitized(BINARY), reason='a sanitizer keeps memory that was freed')
def test_many_large_pictures_at_once(make_server):
    """8000x8000 pixels are 192 MB; reduced row by row, each picture uses only a few."""
    server = make_server(settings={'performance.worker_threads': 8})
    data = flat_png(8000, 8000)
    server.post_form(picture(png(32, 32)))
    before, most, ended = server.resident_bytes(), [0], threading.Event()

    def watch():
        while not ended.wait(0.01):
            most[0] = max(most[0], server.resident_bytes())
    watcher = threading.Thread(target=watch)
    watcher.start()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(server.post_form(picture(data)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.set()
    watcher.join()
    assert [response.status for response in answers] == [200] * 8
    assert most[0] - before < 100e6, (before, most[0])
