"""Faces that the simulated device can distinguish (docs/sim.md), and a hailo-face server."""
import os
import struct
import zlib

from server import BINARY, Server, b64, png_chunk

FACE = os.path.join(os.path.dirname(BINARY), 'hailo-face')
GREY, BRIGHT, DARK = b'\x72\x72\x72', b'\xf0\xf0\xf0', b'\x14\x14\x14'
# Dark squares of a face, in four rows of four. Any two patterns differ in half of their squares: their cosine is
# about 0.
PATTERNS = [0x5555, 0x3333, 0x6666, 0x0f0f, 0x5a5a, 0x3c3c, 0x6969, 0x00ff, 0x55aa, 0x33cc, 0x6699, 0x0ff0, 0x5aa5,
            0x3cc3, 0x6996]


def face_row(pattern, side, y):
    """Returns one row of pixels: a bright rim of a seventh around the squares."""
    rim = side // 7
    inside = side - 2 * rim
    if not rim <= y < side - rim:
        return BRIGHT * side
    bits = pattern >> (y - rim) * 4 // inside * 4
    squares = b''.join(DARK if bits >> x * 4 // inside & 1 else BRIGHT for x in range(inside))
    return BRIGHT * rim + squares + BRIGHT * rim


def png_of(rows):
    """Returns a PNG of rows of RGB pixels."""
    head = struct.pack('>IIBBBBB', len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', head) +
            png_chunk(b'IDAT', zlib.compress(b''.join(b'\0' + row for row in rows), 1)) + png_chunk(b'IEND', b''))


def picture(*faces, width=640, height=480):
    """Returns a grey PNG with faces: (pattern, x, y, side), the top left corner and the side in pixels."""
    rows = [bytearray(GREY * width) for _ in range(height)]
    for pattern, left, top, side in faces:
        for y in range(side):
            rows[top + y][left * 3:(left + side) * 3] = face_row(pattern, side, y)
    return png_of(rows)


def one(number, left=200, top=120, side=140):
    """Returns a picture with only person `number`."""
    return picture((PATTERNS[number], left, top, side))


NO_FACES = picture()


class FaceServer(Server):
    """A `hailo-face serve` whose gallery is in the folder."""

    def __init__(self, folder, settings=None, **options):
        own = {'database.db_file': folder / 'faces.db', 'database.backup_path': folder / 'backups'}
        super().__init__(folder, settings={**own, **(settings or {})}, program=[FACE, 'serve'], **options)

    def ask(self, path, image=None, **fields):
        """Posts JSON with the picture as base64."""
        if image is not None:
            fields['image'] = b64(image)
        return self.post_json(fields, f'/v1/{path}')

    def add(self, name, image, **fields):
        response = self.ask('database/add', image, name=name, **fields)
        assert response.status == 200, response
        return response

    def names(self):
        return [identity['name'] for identity in self.get('/v1/database/list').json()['identities']]
