"""`compare-devices` with the scripted device, and the rule it supports: the processor does not replace an embedder
until its embeddings are proven equivalent."""
import hashlib
import json
import os
import subprocess

import pytest

from faces import FACE, PATTERNS, FaceServer, picture
from server import BINARY, MODELS, environment, run
from test_devices import blob

DOUBLE = os.path.abspath(os.environ.get('HS_HAILO_DIR') or os.path.join(os.path.dirname(BINARY), 'tests', 'hailo'))


@pytest.fixture(name='people')
def people_fixture(tmp_path):
    """A folder with three pictures and another file."""
    folder = tmp_path / 'people'
    folder.mkdir()
    for i in range(3):
        (folder / f'{i}.png').write_bytes(blob(60 + 20 * i, 40, 60, 150))
    (folder / 'notes.txt').write_text('no picture')
    return folder


@pytest.fixture(name='compare')
def compare_fixture(tmp_path):
    """Runs compare-devices; returns the report, or the error output."""
    def compare(*arguments, program=BINARY, code=0, report=True):
        done = run(tmp_path, 'compare-devices', *arguments, *(['--json'] if report else []), program=program)
        assert done.returncode == code, done
        return json.loads(done.stdout) if report else done.stdout + done.stderr
    return compare


def has_weights(program):
    wanted = ['yolo11n-pose.onnx'] if program == BINARY else ['scrfd-2.5g.onnx', 'mobilefacenet-faceplugin.onnx']
    listed = subprocess.run([BINARY, 'backends', 'list', '--json'], capture_output=True, text=True, check=True).stdout
    cpu = [each['available'] for each in json.loads(listed)['backends'] if each['name'] == 'openvino']
    return cpu == [True] and all(os.path.exists(os.path.join(MODELS, name)) for name in wanted)


def checks(report):
    return {check['name']: check['ok'] for check in report['checks']}


# ---- people

def test_two_devices_that_compute_the_same(compare, people, script):
    report = compare('--device', 'sim', '--against', script(''), people)
    assert report['ok'] and checks(report) == {'oks': True, 'agreement': True}
    assert (report['pictures'], report['both'], report['only_device'], report['only_against']) == (3, 3, 0, 0)
    assert report['device']['device'] == report['against']['device'] == 'sim'
    assert report['device']['pose'] == report['against']['pose']
    assert report['box_pixels'] == {'count': 3, 'least': 0, 'median': 0, 'mean': 0, 'most': 0}
    assert report['keypoint_pixels']['count'] == 3 * 17 and report['keypoint_pixels']['most'] == 0
    assert report['oks']['least'] == 1


@pytest.mark.parametrize('devices', [('sim', 'sim'), ('cpu', 'cpu'), ('auto', 'cpu')])
@pytest.mark.parametrize('program', [BINARY, FACE])
def test_a_device_is_not_compared_with_itself(compare, people, program, devices):
    if devices != ('sim', 'sim') and not has_weights(program):
        pytest.skip('no weights, or no OpenVINO')
    text = compare('--device', devices[0], '--against', devices[1], people, program=program, code=2, report=False)
    assert f'--device and --against select the same device, {devices[1]}' in text


def test_the_report_for_people(compare, people, script):
    text = compare('--device', 'sim', '--against', script(''), people, report=False)
    assert 'device   sim: ' in text and 'against  sim: ' in text
    assert '3 pictures: 3 people found by both devices, 0 only by the first, 0 only by the second' in text
    assert 'The devices agree' in text.splitlines()


def test_rounding_is_measured(compare, people, script):
    """The same answers in float32, and in UINT8 and UINT16, differ by a fraction of a pixel."""
    exact = script('outputs: float32')
    report = compare('--device', 'sim', '--against', exact, people)
    assert report['ok'] and 0 < report['box_pixels']['most'] < 8 and 0 < report['keypoint_pixels']['most'] < 1
    assert 0.99 < report['oks']['median'] < 1
    report = compare('--device', 'sim', '--against', exact, '--least-oks', '1', people, code=1)
    assert not report['ok'] and checks(report) == {'oks': False, 'agreement': True}


def test_failing_device_is_reported(compare, people, script):
    text = compare('--device', 'sim', '--against', script('faults: [{kind: error}]'), people / '0.png', code=1, report=False)
    assert '0.png: ' in text and 'The devices do not agree' in text


def test_empty_results_do_not_count_as_agreement(compare, tmp_path, script):
    (tmp_path / 'grey.png').write_bytes(picture())
    report = compare('--device', 'sim', '--against', script(''), tmp_path / 'grey.png', program=FACE, code=1)
    assert not report['ok'] and report['both'] == 0 and not checks(report)['agreement']


def test_files_that_are_not_pictures_are_reported(compare, people, script):
    report = compare('--device', 'sim', '--against', script(''), people / '0.png', people / 'notes.txt', code=1)
    assert not report['ok'] and (report['pictures'], report['failed']) == (1, 1) and all(checks(report).values())
    assert 'notes.txt: ' in compare('--device', 'sim', '--against', script(''), people / 'notes.txt', code=1, report=False)


@pytest.mark.parametrize('arguments, code, words', [
    ([], 2, 'PICTURE|FOLDER is missing\nusage: hailo-pose compare-devices PICTURE|FOLDER…; see '),
    (['EMPTY'], 2, 'empty: no JPEG, PNG, WebP or BMP in it'),
    (['no/such/folder.jpg'], 1, 'no/such/folder.jpg'),
    (['--against', 'toaster', 'PICTURE'], 2, 'toaster'),
    (['--least-agreement', '1.5', 'PICTURE'], 2, '--least-agreement'),
    (['--least-oks', 'much', 'PICTURE'], 2, '--least-oks'),
])
def test_incomparable_devices_are_reported(compare, people, arguments, code, words):
    (people / 'empty').mkdir()
    places = {'PICTURE': people / '0.png', 'EMPTY': people / 'empty'}
    arguments = [places.get(argument, argument) for argument in arguments]
    assert words in compare('--device', 'sim', *arguments, code=code, report=False)


# ---- faces

def test_faces_and_their_vectors(compare, tmp_path, script):
    (tmp_path / 'two.png').write_bytes(picture((PATTERNS[0], 43, 61, 139), (PATTERNS[1], 303, 205, 117)))
    report = compare('--device', 'sim', '--against', script('outputs: float32'), tmp_path / 'two.png', program=FACE)
    assert report['ok'] and set(checks(report)) == {'box_iou', 'median_cosine', 'least_cosine', 'agreement'}
    assert report['both'] == report['cosine']['count'] == report['box_iou']['count'] == 2
    assert report['landmark_pixels']['count'] == 10
    assert report['cosine']['least'] > 0.99 and 0.9 < report['box_iou']['least'] < 1
    assert 'record' not in report  # scripted devices are not recorded, because no real embeddings are compared
    report = compare('--device', 'sim', '--against', script('outputs: float32'), '--least-iou', '1', tmp_path / 'two.png',
                     program=FACE, code=1)
    assert [name for name, ok in checks(report).items() if not ok] == ['box_iou']


# ---- fallback to the processor

PACK = '''name: {name}
task: {task}
title: Made up
licence: {{name: MIT}}
input: {{width: {side}, height: {side}, mean: [0, 0, 0], std: [1, 1, 1]}}
decode: {decode}
scores: probabilities
{more}
hailo: {{file: {name}.hef, sha256: {hef}}}
openvino: {{file: {name}.onnx, sha256: {onnx}}}
'''


class Gate:
    """Two packs with a file for the HailoRT double and one for the processor, which these tests do not load."""

    def __init__(self, folder):
        self.folder, self.models, self.hashes = folder, folder / 'models', {}
        (folder / 'packs').mkdir()
        self.models.mkdir()
        (folder / 'device.yaml').write_text('latency_ms: 1')
        self.env = environment(folder, HS_BACKEND_DIR=DOUBLE, HS_HAILO_DOUBLE=str(folder / 'device.yaml'),
                               HS_PACKS_DIR=str(folder / 'packs'))
        self.env['HS_MODELS_DIR'] = str(self.models)
        self.add('finder', 'face-detection', 640, 'faces', decode='scrfd', more='detection: {score: 0.5, iou: 0.4}')
        self.add('vectors', 'face-embedding', 112, 'embeddings', decode='arcface',
                 more='embedding: {space: made-up, dimension: 512, threshold: 0.5}')

    def add(self, name, task, side, finds, **pack):
        hashes = {}
        for ending, data in (('hef', f'\x01HEF\nfinds {finds}\ninput {side} {side}\n'), ('onnx', f'not {finds}')):
            (self.models / f'{name}.{ending}').write_bytes(data.encode())
            hashes[ending] = hashlib.sha256(data.encode()).hexdigest()
        self.hashes[name] = hashes
        text = PACK.format(name=name, task=task, side=side, **hashes, **pack)
        (self.folder / 'packs' / f'{name}.yaml').write_text(text)

    def record(self, **more):
        record = {'device': {'sha256': self.hashes['vectors']['hef']}, 'against': {'sha256': self.hashes['vectors']['onnx']},
                  'faces': 40, 'least_cosine': 0.96, 'median_cosine': 0.99, **more}
        (self.models / 'vectors.agreement.json').write_text(json.dumps(record))

    def start(self, fallback='cpu'):
        """Returns the log and /health."""
        settings = {'device.fallback': fallback, 'face_recognition.detection_model': 'finder',
                    'face_recognition.recognition_model': 'vectors'}
        with FaceServer(self.folder, settings, device='hailo', env=self.env) as server:
            health = server.get('/health').json()
        return server.log, health


@pytest.fixture(name='gate')
def gate_fixture(tmp_path):
    if not os.path.exists(os.path.join(DOUBLE, 'hs_backend_hailo.so')):
        pytest.skip('built without a C++ compiler, or with -Dhailo=disabled')
    if not os.path.exists(os.path.join(os.path.dirname(BINARY), 'src', 'backends', 'hs_backend_openvino.so')):
        pytest.skip('built without OpenVINO')
    return Gate(tmp_path)


def test_embedder_has_no_fallback_before_comparison(gate):
    log, health = gate.start()
    words = 'the model files have not been compared. Run `hailo-face compare-devices`'
    assert f'device.fallback: no CPU fallback for vectors: {words}' in log
    assert 'no CPU fallback for finder' not in log  # a detector may be replaced
    assert health['no_fallback'] == words
    log, health = gate.start(fallback='none')
    assert 'stand in' not in log and 'no_fallback' not in health


def test_embedder_has_a_fallback_after_comparison(gate):
    gate.record()
    log, health = gate.start()
    assert 'stand in' not in log and 'no_fallback' not in health


@pytest.mark.parametrize('record, words', [
    ({'median_cosine': 0.9}, 'the vectors of the two model files differ'),
    ({'least_cosine': 0.5}, 'the vectors of the two model files differ'),
    ({'faces': 19}, 'only 19 faces compared'),
    ({'against': {'sha256': 'f' * 64}}, 'the model files have changed since they were compared'),
    ({'device': None}, 'is damaged'),
])
def test_record_of_other_devices_is_ignored(gate, record, words):
    gate.record(**record)
    log, health = gate.start()
    assert words in health['no_fallback'] and health['no_fallback'] in log
