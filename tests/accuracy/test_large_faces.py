"""A face that fills the picture beside a small one: hailo-face with its default weights. The pictures are portraits
cut from the samples so that the face takes .8 to 1.15 of the side, with a small face pasted into a corner."""
import io

import pytest

from face_tools import ask, detect, start
from pose_tools import SAMPLES, need

Image = pytest.importorskip('PIL.Image', reason='makes the portraits with python3-pil')

SHARES = (.8, .9, 1.0, 1.15)
PORTRAITS = ('obama', 'obama2', 'biden', 'zidane')
SIDE = 800


@pytest.fixture(scope='module', name='faces')
def server(tmp_path_factory):
    with start(tmp_path_factory.mktemp('large')) as faces:
        yield faces


def around(image, bbox, side):
    """Returns the square of that side around a box, moved inside the picture."""
    left = min(max(bbox[0] + bbox[2] / 2 - side / 2, 0), max(image.width - side, 0))
    top = min(max(bbox[1] + bbox[3] / 2 - side / 2, 0), max(image.height - side, 0))
    return image.crop([round(v) for v in (left, top, left + side, top + side)]), left, top


def overlap(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


@pytest.fixture(scope='module', name='people')
def open_people(faces):
    """Returns each sample with the box of its largest face."""
    found = {}
    for name in PORTRAITS:
        path = need(SAMPLES / f'{name}.jpg')
        found[name] = (Image.open(path).convert('RGB'), max((f['bbox'] for f in detect(faces, path)),
                                                            key=lambda box: box[2] * box[3]))
    return found


@pytest.fixture(scope='module', name='portraits')
def make_portraits(people, tmp_path_factory):
    """Returns (name, share, file without bystander, file with one, box of the face)."""
    folder = tmp_path_factory.mktemp('portraits')
    made = []
    for name, (image, bbox) in people.items():
        other, other_box = people['obama' if name == 'zidane' else 'zidane']
        small = around(other, other_box, max(other_box[2:]) * 1.6)[0].resize((SIDE // 5, SIDE // 5))
        for share in SHARES:
            side = max(bbox[2:]) / share
            part, left, top = around(image, bbox, side)
            part = part.resize((SIDE, SIDE))
            part.save(folder / f'{name}-{share}.png')
            part.paste(small, (SIDE - small.width, SIDE - small.height))
            part.save(folder / f'{name}-{share}-two.png')
            box = [v * SIDE / side for v in (bbox[0] - left, bbox[1] - top, *bbox[2:])]
            made.append((name, share, folder / f'{name}-{share}.png', folder / f'{name}-{share}-two.png', box))
    return made


def finds(found, box):
    return any(overlap(face['bbox'], box) > .6 for face in found)


def test_small_face_does_not_hide_the_large_one(faces, portraits):
    alone = beside = before = 0
    for _, _, single, double, box in portraits:
        alone += finds(detect(faces, single), box)
        found = detect(faces, double)
        beside += finds(found, box)
        assert len(found) <= 2, found
        before += finds(detect(faces, double, large_faces='false'), box)
    print(f'{alone} of {len(portraits)} alone, {beside} with a bystander, {before} without the look at half the size')
    assert alone == beside == len(portraits)
    assert before == 0


def test_large_face_is_selected(faces, portraits):
    for name, share, single, double, box in portraits:
        one, two = (ask(faces, '/v1/embed', path).json() for path in (single, double))
        assert overlap(two['bbox'], box) > .6, (name, share, two['bbox'])
        assert sum(a * b for a, b in zip(one['embedding'], two['embedding'])) > .9, (name, share)
        compared = faces.post_form({'image': single.read_bytes(), 'image2': double.read_bytes()}, path='/v1/compare')
        assert compared.json()['same'] is True
    name, _, single, double, _ = portraits[0]
    assert ask(faces, '/v1/database/add', double, name=name).status == 200
    assert ask(faces, '/v1/database/verify', single, name=name).json()['verified'] is True
    known = ask(faces, '/v1/recognize', double).json()['faces']
    assert sorted(face['identity'] for face in known) == ['Unknown', name]


def test_other_faces_stay_as_they_are(faces):
    for path in sorted(need(SAMPLES).glob('*.jpg')):
        assert detect(faces, path) == detect(faces, path, large_faces='false'), path.name


def test_the_field_is_read(faces, portraits):
    response = ask(faces, '/v1/detect', portraits[0][3], large_faces='some')
    assert response.status == 400 and 'large_faces' in response.json()['error']
