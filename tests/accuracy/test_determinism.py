"""The response depends only on the request: variants of many pictures give the same digits in any order, from one
client and from eight, alone and in batches, over HTTP and on the command line.

HS_VARIANTS=all tests all pictures and changes (814 variants, some minutes per program); the default is a subset.
"""
import io
import json
import os
import random
import subprocess
import threading

import pytest

from pose_tools import MODELS, SAMPLES, SHARED
from server import BINARY, FACE, Server, wait_for

Image = pytest.importorskip('PIL.Image', reason='makes the variants with python3-pil')
ImageOps = pytest.importorskip('PIL.ImageOps')

ALL = os.environ.get('HS_VARIANTS') == 'all'
PICTURES = 37 if ALL else 5
CLIENTS = 8
BATCH = 8
SEED = 11
FOLDERS = ('samples', 'coco-pose-val/images', 'face-boxes', 'pose-misc', 'face-pose')
# Members that may differ between two answers to the same request.
TIMES = ('timings_ms', 'inference_time_ms')


def crop(image, width, height):
    """Returns the largest centred part with these proportions."""
    scale = min(image.width / width, image.height / height)
    return ImageOps.fit(image, (max(1, round(width * scale)), max(1, round(height * scale))))


def scaled(image, factor):
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))))


def encoded(image, kind='JPEG', **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


CHANGES = {
    'same': encoded,
    'quality 50': lambda i: encoded(i, quality=50),
    'quality 98': lambda i: encoded(i, quality=98),
    'progressive': lambda i: encoded(i, progressive=True),
    'grey': lambda i: encoded(ImageOps.grayscale(i)),
    'png': lambda i: encoded(scaled(i, min(1, 600 / max(i.size))), 'PNG'),
    'webp': lambda i: encoded(scaled(i, min(1, 800 / max(i.size))), 'WEBP'),
    'bmp': lambda i: encoded(scaled(i, min(1, 500 / max(i.size))), 'BMP'),
    'quarter turn': lambda i: encoded(i.rotate(90, expand=True)),
    'half turn': lambda i: encoded(i.rotate(180)),
    'mirrored': lambda i: encoded(ImageOps.mirror(i)),
    'square': lambda i: encoded(crop(i, 1, 1)),
    '16:9': lambda i: encoded(crop(i, 16, 9)),
    '9:16': lambda i: encoded(crop(i, 9, 16)),
    '4:3': lambda i: encoded(crop(i, 4, 3)),
    '3:2': lambda i: encoded(crop(i, 3, 2)),
    '2:1': lambda i: encoded(crop(i, 2, 1)),
    '1:3': lambda i: encoded(crop(i, 1, 3)),
    'quarter size': lambda i: encoded(scaled(i, .25)),
    'half size': lambda i: encoded(scaled(i, .5)),
    'larger': lambda i: encoded(scaled(i, 1.5)),
    'dark': lambda i: encoded(i.point(lambda v: v // 3)),
}


def pictures():
    """Returns files of several folders in turn, so that any subset has every kind."""
    folders = [sorted(p for p in (SHARED / 'testdata' / name).rglob('*') if p.suffix in ('.jpg', '.png'))
               for name in FOLDERS] if (SHARED / 'testdata').exists() else [sorted(SAMPLES.glob('*.jpg'))]
    found = []
    for row in range(max(map(len, folders), default=0)):
        found += [folder[row] for folder in folders if row < len(folder)]
    return found[:PICTURES]


@pytest.fixture(scope='module', name='variants')
def make_variants():
    made = {}
    for path in pictures():
        image = Image.open(path).convert('RGB')
        image = scaled(image, min(1, 2000 / max(image.size)))
        for name, change in CHANGES.items():
            made[f'{path.stem} {name}'] = change(image)
    if not made:
        pytest.skip('no pictures on this machine')
    return made


def digits(response):
    """Returns the response as text, without the members in TIMES."""
    return json.dumps({key: value for key, value in response.items() if key not in TIMES}, sort_keys=True)


class Service:
    """One of the two programs, and the requests to it."""

    def __init__(self, name):
        self.pose = name == 'pose'
        self.program = BINARY if self.pose else FACE
        self.path = '/v1/pose/detect' if self.pose else '/v1/recognize'
        self.batch = '/v1/pose/detect/batch' if self.pose else '/v1/detect/batch'
        self.limit_mb = 200 if self.pose else 230

    def start(self, folder):
        arguments = [] if self.pose else ['--set', f'database.db_file={folder}/faces.db', '--set',
                                          f'database.backup_path={folder}/backups']
        server = Server(folder, device='cpu', program=[self.program, 'serve'], arguments=arguments)
        wait_for(lambda: server.get('/health/ready').status == 200, 120)
        return server


def ask(server, path, picture, headers=None):
    response = server.post_form({'image': picture}, path=path, headers=headers)
    assert response.status == 200, response
    return response


@pytest.fixture(scope='module', name='service', params=['pose', 'face'])
def choose_service(request):
    if request.param == 'face' and not os.path.exists(os.path.join(MODELS, 'scrfd-2.5g.onnx')):
        pytest.skip('the weights of faces are not on this machine')
    return Service(request.param)


@pytest.fixture(scope='module', name='wanted')
def ask_alone(service, variants, tmp_path_factory):
    """Returns each variant's response from a server that one client queries in random order."""
    order = random.Random(SEED).sample(sorted(variants), len(variants))
    with service.start(tmp_path_factory.mktemp('alone')) as server:
        return {name: digits(ask(server, service.path, variants[name]).json()) for name in order}


def differing(got, wanted):
    return [f'{name}\n  {got[name]}\n  {wanted[name]}' for name in got if got[name] != wanted[name]]


def test_order_and_concurrency_change_no_digit(service, variants, wanted, tmp_path, record_property):
    with service.start(tmp_path) as server:
        resident = []
        for seed, clients in ((SEED + 1, 1), (SEED + 2, CLIENTS)):
            order = random.Random(seed).sample(sorted(variants), len(variants))
            got = {}

            def client(names):
                for name in names:
                    got[name] = digits(ask(server, service.path, variants[name]).json())

            threads = [threading.Thread(target=client, args=(order[i::clients],)) for i in range(clients)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(got) == len(variants)
            assert not differing(got, wanted)
            resident.append(server.resident_bytes() / 1e6)
    record_property('resident_mb', resident)
    print(f'{len(variants)} variants, resident {resident[0]:.0f} and {resident[1]:.0f} MB')


def test_a_batch_changes_no_digit(service, variants, wanted, tmp_path):
    names = random.Random(SEED + 3).sample(sorted(variants), len(variants))
    got, alone = {}, {}
    with service.start(tmp_path) as server:
        for at in range(0, len(names), BATCH):
            part = names[at:at + BATCH]
            response = server.post_form([('image', variants[name]) for name in part], path=service.batch)
            assert response.status == 200, response
            results = response.json()['results']
            assert len(results) == len(part)
            for name, result in zip(part, results):
                result.pop('index', None)
                got[name] = digits(result)
        if not service.pose: # its batches only detect faces
            alone = {name: digits(ask(server, '/v1/detect', variants[name]).json()) for name in names}
    assert not differing(got, wanted if service.pose else alone)


def test_the_command_line_gives_the_same_digits(service, variants, wanted, tmp_path):
    names = random.Random(SEED + 4).sample(sorted(variants), len(variants) if ALL else 40)
    folder = tmp_path / 'pictures'
    folder.mkdir()
    files = {str(folder / f'{i:04}'): name for i, name in enumerate(names)}
    for path, name in files.items():
        with open(path, 'wb') as out:
            out.write(variants[name])
    command = 'detect' if service.pose else 'recognize'
    options = ['--jsonl'] if service.pose else ['--set', f'database.db_file={tmp_path}/faces.db']
    done = subprocess.run([service.program, command, *files, *options, '--models', MODELS, '--device', 'cpu'],
                          capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr.decode()
    lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert len(lines) == len(names)
    got = {}
    for (path, name), line in zip(files.items(), lines):
        line.pop('file', None)
        got[name] = digits(line)
    assert not differing(got, {name: wanted[name] for name in names})


def test_the_drawn_picture_shows_the_same_scores(service, variants, tmp_path):
    """A drawing is made from the people in the response beside it, so that response must be the same."""
    if not service.pose:
        pytest.skip('the face service draws on the command line only')
    names = random.Random(SEED + 5).sample(sorted(variants), 6)
    for name in names:
        source = tmp_path / 'picture'
        source.write_bytes(variants[name])
        plain = subprocess.run([service.program, 'detect', str(source), '--json', '--models', MODELS, '--device', 'cpu'],
                               capture_output=True, check=True).stdout
        drawn = subprocess.run([service.program, 'detect', str(source), '--json', '--draw', str(tmp_path / 'drawn.png'),
                                '--models', MODELS, '--device', 'cpu'], capture_output=True, check=True).stdout
        assert digits(json.loads(plain)) == digits(json.loads(drawn)), name
