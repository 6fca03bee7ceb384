"""hailo-pose on the HailoRT double with real numbers: the cost of UINT8 and UINT16, and requests that must not be
mixed up."""
import json
import os
import random
import re

import pytest

from pose_tools import PROGRAM, SAMPLES, SHARED, need
from server import multipart
from hailort_double import RESPONSE_TIMEOUT_S, SLOTS, Double, make_hef, max_in_flight, pose_heads, run_parallel

TESTDATA = SHARED / 'testdata'
VAL = TESTDATA / 'coco-pose-val'
SQUARE = ['--set', 'inference.rectangular=false', '--set', 'inference.precision=f32']
# 1000 requests take some minutes; an ordinary run sends fewer.
REQUESTS = int(os.environ.get('HS_DOUBLE_REQUESTS', '64'))
THOROUGH = REQUESTS >= 1000
AP_LOSS = 0.03


@pytest.fixture(name='double')
def double_fixture(tmp_path):
    return Double(tmp_path)


def precision(double, device):
    need(VAL)
    report = json.loads(double.run(PROGRAM, 'eval', '--coco', VAL / 'annotations.json', '--images', VAL / 'images',
                                   '--json', *SQUARE, device=device))
    assert report['images'] == 57
    return report['AP']


def test_quantisation_costs_little_precision(double):
    double.add_pose()
    quantised, exact = precision(double, 'hailo'), precision(double, 'cpu')
    print(f'AP {quantised:.4f} quantised, {exact:.4f} float32')
    assert quantised != exact
    assert quantised > exact - AP_LOSS


def compare(double, code):
    return json.loads(double.run(PROGRAM, 'compare-devices', '--json', *(need(SAMPLES / f'{name}.jpg')
                                 for name in ('bus', 'zidane', 'solvay')), code=code))


def test_the_devices_agree(double):
    double.add_pose()
    report = compare(double, 0)
    print(report)
    assert report['ok'] and report['both'] >= 15 and report['device']['device'] == 'hailo'
    assert 0 < report['box_pixels']['median'] < 2 and 0 < report['keypoint_pixels']['median'] < 2
    assert 0.99 < report['oks']['median'] < 1


def test_device_with_other_results_is_detected(double):
    """A calibration that cannot represent points left of their cell or above it."""
    heads = [re.sub(r'(uint16 \S+) \d+', r'\1 0', line) for line in pose_heads()]
    double.add('yolo11n-pose', make_hef(double.network('yolo11n-pose'), 640, 0, 255, heads))
    report = compare(double, 1)
    assert not report['ok']
    assert [check['name'] for check in report['checks'] if not check['ok']] == ['oks']


def pictures():
    paths = [path for folder in (VAL / 'images', TESTDATA / 'coco-pose-train' / 'images', TESTDATA / 'pose-misc')
             for path in sorted(need(folder).rglob('*.jpg'))]
    return [path.read_bytes() for path in paths[:min(len(paths), max(REQUESTS // 4, 8))]]


def ask(server, picture):
    """Returns the people with their numbers. The threshold is so low that answers of different pictures differ."""
    body, content_type = multipart({'image': picture, 'confidence_threshold': '0.02', 'max_detections': '20'})
    response = server.request('POST', '/v1/pose/detect', body, {'Content-Type': content_type}, timeout=RESPONSE_TIMEOUT_S)
    assert response.status == 200, response
    return [(pose['bbox_confidence'], *pose['bbox'].values(),
             *(value for point in pose['keypoints'] for value in (point['x'], point['y'], point['confidence'])))
            for pose in response.json()['poses']]


def same(found, wanted):
    """Allows one step of the last digit: scores have four decimals, so a difference of any size may cause a step."""
    return len(found) == len(wanted) and all(one == pytest.approx(other, abs=1.01e-4)
                                             for one, other in zip(found, wanted))


@pytest.mark.parametrize('batch', [1, 4])
def test_concurrent_clients_get_their_own_poses(double, batch):
    """The device holds eight pictures and completes them in random order; unused buffers are overwritten."""
    double.add_pose('shuffled')
    data = pictures()
    settings = {'inference.slots': SLOTS // batch, 'device.batch_size': batch}
    server = double.serve(**settings)
    with server:
        alone = [ask(server, picture) for picture in data]
        assert len(set(map(tuple, alone))) > 0.9 * len(data)
        order = [i % len(data) for i in range(REQUESTS // batch)]
        random.Random(1).shuffle(order)
        found = run_parallel(lambda i: ask(server, data[i]), order)
    mixed = sum(not same(response, alone[i]) for response, i in zip(found, order))
    print(f'{len(order)} requests over {len(data)} pictures, {mixed} mixed up')
    assert mixed == 0
    assert max_in_flight(server.log) > (SLOTS - 1 if batch == 1 else SLOTS // 2)
