"""hailo-face on the HailoRT double with real numbers: faces and embeddings in UINT8, requests that must not be
mixed up, and the rule that the processor replaces the embedder only after compare-devices has proven the embeddings
equivalent."""
import json
import random

import pytest

from face_tools import PROGRAM, TESTDATA
from pose_tools import SAMPLES, need
from server import multipart
from hailort_double import RESPONSE_TIMEOUT_S, SLOTS, Double, make_hef, head, measure, max_in_flight, scale_of, run_parallel
from test_double_pose import REQUESTS, THOROUGH

SETTINGS = {'face_recognition.detection_threshold': 0.5}
# Each takes a minute or two; the second one runs only in thorough runs.
SETS = (('lfw10', 'middle'), ('tight', 'largest'))[:2 if THOROUGH else 1]


@pytest.fixture(name='ranges', scope='module')
def ranges_fixture(tmp_path_factory):
    return measure(tmp_path_factory.mktemp('ranges'))


@pytest.fixture(name='double')
def double_fixture(tmp_path, ranges):
    double = Double(tmp_path)
    double.add_faces(ranges)
    return double


def compare(double, *pictures, code=0):
    return json.loads(double.run(PROGRAM, 'compare-devices', *pictures, '--json', code=code))


def record(double):
    return double.models / 'mobilefacenet-faceplugin.agreement.json'


def ask(server, route, picture, **fields):
    body, content_type = multipart({'image': picture, **fields})
    response = server.request('POST', route, body, {'Content-Type': content_type}, timeout=RESPONSE_TIMEOUT_S)
    assert response.status == 200, response
    return response.json()


# ---- the cost of UINT8

def evaluate(double, name, rule, device):
    folder = need(TESTDATA / f'face-verify-{name}')
    report = json.loads(double.run(PROGRAM, 'eval', '--pairs', folder / 'pairs.csv', '--images', folder, '--face', rule,
                                   '--json', '--set', 'face_recognition.detection_threshold=0.5', device=device))
    assert report['no_face'] == []
    return report


@pytest.mark.parametrize('name, rule', SETS)
def test_verification_accuracy_is_kept(double, name, rule):
    quantised, exact = (evaluate(double, name, rule, device) for device in ('hailo', 'cpu'))
    for report in (quantised, exact):
        at = report['configured']
        print(f'{name}: TAR {at["tar"]:.4f}, FAR {at["far"]:.4f} at {at["threshold"]}, AUC {report["auc"]:.5f}')
    assert quantised['configured']['far'] <= exact['configured']['far']
    assert quantised['configured']['tar'] > exact['configured']['tar'] - 0.01
    assert quantised['auc'] > 0.9999 and quantised['at_far']['0']['tar'] > 0.98


def test_the_devices_agree(double):
    report = compare(double, need(TESTDATA / 'face-boxes' / 'images'))
    print({key: report[key] for key in ('both', 'only_device', 'only_against', 'box_pixels', 'landmark_pixels', 'cosine')})
    assert report['ok'] and report['both'] >= 55
    assert report['cosine']['median'] > 0.999 and report['cosine']['least'] > 0.99
    assert 0 < report['box_pixels']['median'] < 1 and 0 < report['landmark_pixels']['median'] < 1
    assert report['cosine']['most'] < 1 - 1e-7  # the two devices have different numbers


# ---- the service

def test_detect_enrol_and_recognize(double):
    biden, obama, obama2, zidane = (need(SAMPLES / f'{name}.jpg').read_bytes()
                                    for name in ('biden', 'obama', 'obama2', 'zidane'))
    with double.serve(PROGRAM, **SETTINGS) as server:
        found = ask(server, '/v1/detect', zidane, return_landmarks='true')
        assert found['device'] == 'hailo' and len(found['faces']) == 2
        for face, golden in zip(found['faces'], ((914.3, 94.7), (548.9, 257.6))):
            assert face['bbox'][:2] == pytest.approx(golden, abs=8)
        for name, picture in (('Barack Obama', obama), ('Joe Biden', biden)):
            ask(server, '/v1/database/add', picture, name=name)
        known = ask(server, '/v1/recognize', obama2)['faces'][0]
        assert known['identity'] == 'Barack Obama' and known['match_score'] > 0.6
        assert {face['identity'] for face in ask(server, '/v1/recognize', zidane)['faces']} == {'Unknown'}
    assert 'rule broken' not in server.log
    # The processor recognises a person enrolled on the device, because the embeddings are nearly equal.
    with double.serve(PROGRAM, device='cpu', **SETTINGS) as server:
        assert ask(server, '/v1/recognize', obama2)['faces'][0]['identity'] == 'Barack Obama'


@pytest.mark.parametrize('batch', [1, 4])
def test_concurrent_clients_get_their_own_faces(double, ranges, batch):
    """The device holds eight pictures and completes them in random order; unused buffers are overwritten."""
    double.add_faces(ranges, 'shuffled')
    people = sorted(need(TESTDATA / 'face-verify-bbt').rglob('*.png')) + sorted(need(TESTDATA / 'face-boxes' / 'images').iterdir())
    data = [path.read_bytes() for path in people[:max(REQUESTS // 4, 8)]]
    settings = {'inference.slots': SLOTS // batch, 'device.batch_size': batch, **SETTINGS}

    def vectors(picture):
        return ask(server, '/v1/embed', picture)['embedding']

    server = double.serve(PROGRAM, **settings)
    with server:
        alone = [vectors(picture) for picture in data]
        order = [i % len(data) for i in range(REQUESTS // batch)]
        random.Random(1).shuffle(order)
        found = run_parallel(lambda i: vectors(data[i]), order)
    mixed = sum(one != pytest.approx(alone[i], abs=1e-5) for one, i in zip(found, order))
    print(f'{len(order)} requests over {len(data)} pictures, {mixed} mixed up')
    assert mixed == 0 and len(set(map(tuple, alone))) == len(data)
    assert max_in_flight(server.log) > SLOTS // 2


# ---- fallback to the processor; solvay.jpg has 29 faces

def without_the_device(double):
    """Returns the first response about an enrolled person after the device is lost for good, and /health after that."""
    obama, obama2 = (need(SAMPLES / f'{name}.jpg').read_bytes() for name in ('obama', 'obama2'))
    double.play('latency_ms: 1\nfaults: [{kind: lost, at: 6}]')
    settings = {'device.fallback': 'cpu', 'performance.warmup_enabled': 'false', **SETTINGS}
    body, content_type = multipart({'image': obama2})
    with double.serve(PROGRAM, **settings) as server:
        ask(server, '/v1/database/add', obama, name='Barack Obama')
        for _ in range(10):
            response = server.request('POST', '/v1/recognize', body, {'Content-Type': content_type})
            if response.status != 200 or response.json()['device'] != 'hailo':
                break
        health = server.get('/health').json()
    double.play('latency_ms: 1')
    return response, health


def test_no_fallback_embeddings_before_comparison(double):
    response, health = without_the_device(double)
    assert response.status == 503
    assert health['no_fallback'] == 'the model files have not been compared. Run `hailo-face compare-devices`'


def test_too_few_faces_do_not_qualify(double):
    report = compare(double, need(SAMPLES / 'zidane.jpg'), need(SAMPLES / 'bus.jpg'))
    assert report['ok'] and report['cosine']['count'] == 4
    assert report['record'].startswith('not recorded: only 4 faces compared, 20 required')
    assert not record(double).exists()


def test_cpu_recognises_faces_enrolled_on_the_device(double):
    report = compare(double, need(SAMPLES / 'solvay.jpg'))
    assert report['record'] == 'recorded: the processor can be the fallback (device.fallback: cpu)'
    written = json.loads(record(double).read_text())
    assert written['faces'] == report['cosine']['count']
    assert abs(written['median_cosine'] - report['cosine']['median']) < 1e-8  # the report rounds to a float
    assert compare(double, need(SAMPLES / 'zidane.jpg'))['ok']
    assert json.loads(record(double).read_text()) == written  # a comparison of few faces does not replace it
    response, health = without_the_device(double)
    assert response.status == 200 and 'no_fallback' not in health
    face = response.json()['faces'][0]
    assert response.json()['device'] == 'cpu' and face['identity'] == 'Barack Obama' and face['match_score'] > 0.6


def test_device_with_other_embeddings_is_detected(double, ranges):
    """A device with another input scale finds faces, but computes other embeddings."""
    hef = make_hef(double.network('mobilefacenet-faceplugin'), 112, 0, 255,
                  [head(0, (1, 1, 512), *scale_of(*ranges['embedder'][0]))])
    double.add('mobilefacenet-faceplugin', hef)
    report = compare(double, need(SAMPLES / 'solvay.jpg'), code=1)
    failed = [check['name'] for check in report['checks'] if not check['ok']]
    assert not report['ok'] and set(failed) <= {'median_cosine', 'least_cosine'} and failed
    assert report['record'] == 'recorded: the processor cannot be the fallback of the embedder'
    response, health = without_the_device(double)
    assert response.status == 503 and health['no_fallback'].startswith('the vectors of the two model files differ: over ')
    # After the correct file is restored, no record applies to it.
    double.add_faces(ranges)
    assert without_the_device(double)[1]['no_fallback'].startswith('the model files have changed since they were compared')
