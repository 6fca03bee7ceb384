"""JPEGs that lost or changed some bytes: shown as well as it goes, and the answer says so; cut ones are refused."""
import io
import json

import pytest

from faces import one, picture
from server import b64, run
from test_face_cli import FACE

PIL = pytest.importorskip('PIL.Image', reason='python3-pil makes the pictures')
MISSING = 'image: the JPEG is damaged: a part of its data is missing'


def jpeg(of=None, **options):
    out = io.BytesIO()
    PIL.open(io.BytesIO(of or picture())).save(out, 'JPEG', quality=95, **options)
    return out.getvalue()


def without(data, count):
    """The picture without the last bytes before its end marker."""
    assert data.endswith(b'\xff\xd9')
    return data[:-2 - count] + data[-2:]


@pytest.mark.parametrize('options', [{}, {'progressive': True}], ids=['sequential', 'progressive'])
@pytest.mark.parametrize('count', [1, 5, 300])
def test_data_missing_before_the_end_marker_are_a_warning(sim, options, count):
    answer = sim.post_form({'image': without(jpeg(**options), count)})
    assert answer.status == 200 and answer.json()['warnings'] == [MISSING], answer
    assert answer.json()['image_size'] == {'width': 640, 'height': 480}


def test_an_answer_about_a_whole_picture_has_no_warnings(sim, face):
    assert 'warnings' not in sim.post_form({'image': jpeg()}).json()
    assert 'warnings' not in face.ask('detect', jpeg()).json()


@pytest.mark.parametrize('options', [{}, {'progressive': True}], ids=['sequential', 'progressive'])
def test_a_missing_end_marker_is_a_warning_too(sim, options):
    answer = sim.post_form({'image': jpeg(**options)[:-2]})
    assert answer.status == 200, answer
    assert answer.json()['warnings'] == ['image: the JPEG is damaged: the end marker is missing']


@pytest.mark.parametrize('options', [{}, {'progressive': True}], ids=['sequential', 'progressive'])
def test_a_cut_picture_is_refused(sim, options):
    data = jpeg(**options)
    for left in (len(data) - 40, len(data) // 2):
        answer = sim.post_form({'image': data[:left]})
        assert answer.status == 400, (left, answer)
        assert 'JPEG is cut: its data end before the picture is complete' in answer.json()['error']['message']


def test_wrong_bytes_are_a_warning(sim):
    data = bytearray(jpeg())
    middle = len(data) * 2 // 3
    data[middle:middle + 40] = bytes([0x55]) * 40
    answer = sim.post_form({'image': bytes(data)})
    assert answer.status == 200 and len(answer.json()['warnings']) == 1, answer
    assert answer.json()['warnings'][0].startswith('image: the JPEG is damaged: ')


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
        answer = face.ask(path, damaged)
        assert answer.status == 200 and answer.json()['warnings'] == [MISSING], answer
        assert 'warnings' not in face.ask(path, whole).json()
    answer = face.ask('compare', whole, image2=b64(damaged))
    assert answer.json()['warnings'] == [MISSING.replace('image', 'image2')], answer
    assert len(face.ask('compare', damaged, image2=b64(damaged)).json()['warnings']) == 2


def test_commands_warn(cli, tmp_path):
    (tmp_path / 'damaged.jpg').write_bytes(without(jpeg(one(3)), 3))
    for done in (cli('detect', '--device', 'sim', 'damaged.jpg'), run(tmp_path, 'detect', '--device', 'sim', 'damaged.jpg', program=FACE)):
        assert done.returncode == 0 and json.loads(done.stdout)['warnings'] == [MISSING], done
