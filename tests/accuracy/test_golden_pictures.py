"""Three pictures compared with the values of the reference decoder for the same network."""
import json
import pathlib

import pytest

from pose_tools import GOLDEN, SAMPLES, detect, need

GOLDENS = json.loads((pathlib.Path(__file__).parent / 'golden.json').read_text())
SCORE, SIDE = 0.03, 0.02  # score; for corners and keypoints, fractions of the box's side
PIXEL = 1                 # answers are whole pixels, truncated


@pytest.mark.parametrize('name', ['bus', 'zidane', 'solvay'])
def test_people_are_where_the_reference_finds_them(name):
    golden = GOLDENS[name]
    response = detect(need(SAMPLES / f'{name}.jpg'), *GOLDEN, '--set', 'inference.confidence_threshold=0.25',
                    '--set', 'inference.max_detections=100')
    assert [response['image_size']['width'], response['image_size']['height']] == golden['size']
    poses = response['poses']
    assert len(poses) == golden['count_25']
    assert sum(pose['bbox_confidence'] > 0.5 for pose in poses) == golden['count_50']
    assert [pose['person_id'] for pose in poses] == list(range(len(poses)))
    for want in golden['poses']:
        check_person(want, poses, golden['size'])


def check_person(want, poses, size):
    x1, y1, x2, y2 = want['box']
    width, height = x2 - x1, y2 - y1
    pose = min(poses, key=lambda p: abs(p['bbox']['x'] - x1) + abs(p['bbox']['y'] - y1))
    box = pose['bbox']
    assert pose['bbox_confidence'] == pytest.approx(want['score'], abs=SCORE)
    for got, expected, side, limit in ((box['x'], x1, width, size[0]), (box['y'], y1, height, size[1]),
                                       (box['x'] + box['width'], x2, width, size[0]),
                                       (box['y'] + box['height'], y2, height, size[1])):
        assert got == pytest.approx(min(expected, limit - 1), abs=SIDE * side + PIXEL)
    points = {point['name']: point for point in pose['keypoints']}
    assert len(points) == 17
    for name, (x, y, visibility) in ((k, v) for k, v in want.items() if k not in ('score', 'box')):
        assert points[name]['confidence'] == pytest.approx(visibility, abs=0.05)
        if visibility > 0.5:
            assert points[name]['x'] == pytest.approx(min(x, size[0] - 1), abs=SIDE * width + PIXEL)
            assert points[name]['y'] == pytest.approx(min(y, size[1] - 1), abs=SIDE * height + PIXEL)


@pytest.mark.parametrize('name', ['bus', 'zidane', 'solvay'])
def test_the_default_settings_count_the_same_people(name):
    response = detect(need(SAMPLES / f'{name}.jpg'), '--set', 'inference.max_detections=100')
    assert response['count'] == GOLDENS[name]['count_50']
    assert response['model'] == 'yolo11n-pose'
