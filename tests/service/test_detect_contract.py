"""POST /v1/pose/detect as used by clients of the upstream service."""
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from faces import picture as bright
from server import b64, bmp, check_digits, multipart, png, png_chunk

DETECT = '/v1/pose/detect'
NAMES = ['nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder', 'left_elbow',
         'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle',
         'right_ankle']
EDGES = [(15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
         (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)]
TIMINGS = {'decode', 'preprocess', 'queue', 'inference', 'postprocess', 'total'}


def is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def check_pose(pose, index, width, height, keypoint_threshold):
    assert list(pose)[:4] == ['person_id', 'bbox', 'bbox_confidence', 'keypoints']
    assert pose['person_id'] == index
    box = pose['bbox']
    assert list(box) == ['x', 'y', 'width', 'height'] and all(map(is_int, box.values()))
    assert 0 <= box['x'] <= box['x'] + box['width'] <= width - 1
    assert 0 <= box['y'] <= box['y'] + box['height'] <= height - 1
    assert 0 <= pose['bbox_confidence'] <= 1
    assert [point['name'] for point in pose['keypoints']] == NAMES
    for point in pose['keypoints']:
        assert list(point) == ['name', 'x', 'y', 'confidence']
        assert is_int(point['x']) and 0 <= point['x'] < width
        assert is_int(point['y']) and 0 <= point['y'] < height
        assert 0 <= point['confidence'] <= 1
    if 'skeleton' in pose:
        seen = [point['confidence'] >= keypoint_threshold for point in pose['keypoints']]
        assert pose['skeleton'] == [{'from': NAMES[a], 'to': NAMES[b], 'from_index': a, 'to_index': b}
                                    for a, b in EDGES if seen[a] and seen[b]]


def check_response(response, width=64, height=48, keypoint_threshold=0.3):
    assert response.status == 200, response
    assert response.headers['Content-Type'] == 'application/json; charset=utf-8'
    assert response.body.endswith(b'}\n') and response.body.count(b'\n') == 1
    check_digits(response.body)
    result = response.json()
    assert list(result)[:4] == ['poses', 'count', 'inference_time_ms', 'image_size']
    assert {'model', 'device', 'timings_ms'} <= set(result)
    assert set(result['timings_ms']) == TIMINGS
    assert all(value >= 0 for value in result['timings_ms'].values())
    assert is_int(result['inference_time_ms']) and result['inference_time_ms'] >= 0
    assert result['image_size'] == {'width': width, 'height': height}
    assert result['count'] == len(result['poses'])
    scores = [pose['bbox_confidence'] for pose in result['poses']]
    assert scores == sorted(scores, reverse=True)
    for index, pose in enumerate(result['poses']):
        check_pose(pose, index, width, height, keypoint_threshold)
    return result


def poses_of(response, **options):
    return check_response(response, **options)['poses']


def test_multipart(sim, picture):
    check_response(sim.post_form({'image': ('a.png', picture, 'image/png')}))


def test_base64_and_data_uri_give_what_multipart_gives(sim, picture):
    expected = poses_of(sim.post_form({'image': picture}))
    assert poses_of(sim.post_json({'image': b64(picture)})) == expected
    assert poses_of(sim.post_json({'image': 'data:image/png;base64,' + b64(picture)})) == expected


def test_the_scripted_device_is_named(sim, picture):
    assert 'sim' in check_response(sim.post_form({'image': picture}))['device']


@pytest.mark.parametrize('content_type', [None, 'text/plain', 'application/x-www-form-urlencoded', 'image/jpeg',
                                          'application/json; charset=utf-8'])
def test_anything_but_multipart_is_read_as_json(sim, picture, content_type):
    headers = {'Content-Type': content_type} if content_type else {}
    check_response(sim.request('POST', DETECT, json.dumps({'image': b64(picture)}).encode(), headers))


def test_base64_with_line_breaks(sim, picture):
    text = b64(picture)
    check_response(sim.post_json({'image': '\r\n'.join(text[i:i + 76] for i in range(0, len(text), 76)) + '\n'}))


@pytest.mark.parametrize('make, size', [
    (lambda: png(64, 48, 0), (64, 48)), (lambda: png(64, 48, 6), (64, 48)), (lambda: png(1, 1), (1, 1)),
    (lambda: png(2000, 3), (2000, 3)), (lambda: bmp(33, 21), (33, 21))], ids=['gray', 'alpha', '1x1', 'thin', 'bmp'])
def test_picture_formats(sim, make, size):
    check_response(sim.post_form({'image': make()}), *size)


def test_parameters_as_text_and_numbers(sim, picture):
    values = {'confidence_threshold': 0.25, 'iou_threshold': 0.6, 'max_detections': 3, 'keypoint_threshold': 0.1}
    as_numbers = poses_of(sim.post_json({'image': b64(picture), **values}), keypoint_threshold=0.1)
    texts = {key: f' {value} ' for key, value in values.items()}
    assert poses_of(sim.post_json({'image': b64(picture), **texts}), keypoint_threshold=0.1) == as_numbers
    assert poses_of(sim.post_form({'image': picture, **texts}), keypoint_threshold=0.1) == as_numbers
    assert len(as_numbers) <= 3


def test_null_means_default(sim, picture):
    expected = poses_of(sim.post_json({'image': b64(picture)}))
    nulls = dict.fromkeys(['confidence_threshold', 'iou_threshold', 'max_detections', 'keypoint_threshold'])
    assert poses_of(sim.post_json({'image': b64(picture), **nulls})) == expected


def test_fractional_count_in_json_is_cut(sim, picture):
    two = poses_of(sim.post_json({'image': b64(picture), 'confidence_threshold': 0.05, 'max_detections': 2}))
    assert poses_of(sim.post_json({'image': b64(picture), 'confidence_threshold': 0.05, 'max_detections': 2.9})) == two


def test_no_detections_wanted(sim, picture):
    result = check_response(sim.post_form({'image': picture, 'max_detections': 0}))
    assert (result['poses'], result['count']) == ([], 0)


def test_threshold_holds(sim, picture):
    for threshold in (0.1, 0.5, 0.9, 1):
        for pose in poses_of(sim.post_json({'image': b64(picture), 'confidence_threshold': threshold})):
            assert pose['bbox_confidence'] > threshold


def test_threshold_zero_returns_no_padding(sim, picture):
    for pose in poses_of(sim.post_json({'image': b64(picture), 'confidence_threshold': 0, 'max_detections': 300})):
        assert pose['bbox_confidence'] > 0


def test_unknown_fields_are_ignored_and_the_last_of_repeated_ones_counts(sim, picture):
    fields = [('shoe_size', '44'), ('max_detections', 'many'), ('image', b'no picture'), ('max_detections', '0'),
              ('image', picture)]
    assert check_response(sim.post_form(fields))['count'] == 0


def test_skeleton_switched_off(make_server, picture):
    server = make_server(settings={'pose.skeleton_connections': 'false'})
    for pose in poses_of(server.post_form({'image': picture, 'confidence_threshold': 0.01})):
        assert 'skeleton' not in pose


def test_configured_defaults_hold(make_server, picture):
    server = make_server(settings={'inference.max_detections': 0})
    assert check_response(server.post_form({'image': picture}))['count'] == 0
    assert server.post_form({'image': picture, 'max_detections': 5}).status == 200


def test_part_headers_in_any_order_and_case(sim, picture):
    body = (b'--x\r\nContent-Type: image/png\r\ncontent-disposition: form-data; filename="a%20b.png"; name=image\r\n'
            b'X-More: 1\r\n\r\n' + picture + b'\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n'
            b'Content-Disposition: form-data; name="max_detections"\r\n\r\n0\r\n--x--\r\n')
    response = sim.request('POST', DETECT, body, {'Content-Type': 'multipart/form-data; boundary="x"'})
    assert check_response(response)['count'] == 0


def test_boundary_bare_quoted_and_beside_other_parameters(sim, picture):
    body, _ = multipart({'image': picture}, boundary="a'b()+_,-./:=?c")
    for form in ('multipart/form-data; boundary="a\'b()+_,-./:=?c"',
                 'multipart/form-data; charset=utf-8; boundary="a\'b()+_,-./:=?c"'):
        check_response(sim.request('POST', DETECT, body, {'Content-Type': form}))


def test_preamble_and_epilogue(sim, picture):
    body, content_type = multipart({'image': picture})
    check_response(sim.request('POST', DETECT, b'hello\r\n' + body + b'bye', {'Content-Type': content_type}))


def test_value_that_looks_like_a_boundary(sim):
    tricky = png(8, 8) + b'\r\n--hs-boundary-7f3\r\n\r\n--hs-boundary'
    check_response(sim.post_form({'image': tricky}), 8, 8)


@pytest.mark.parametrize('kind, magic', [('image/png', b'\x89PNG\r\n\x1a\n'), ('image/jpeg', b'\xff\xd8\xff')])
def test_annotated_picture(sim, picture, kind, magic):
    response = sim.post_form({'image': picture}, headers={'Accept': kind})
    assert response.status == 200
    assert response.headers['Content-Type'] == kind
    assert response.body.startswith(magic)


def test_wildcard_accept_means_json(sim, picture):
    for accept in ('*/*', 'application/json', 'application/json, image/png;q=0.5'):
        check_response(sim.post_form({'image': picture}, headers={'Accept': accept}))


def test_parallel_requests(sim, picture):
    expected = poses_of(sim.post_form({'image': picture}))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sim.post_form({'image': picture}), range(32)))
    for response in answers:
        assert poses_of(response) == expected


def test_parallel_requests_get_their_own_answers(sim):
    def look(i):
        left, top, side = 10 * i, 6 * i, 100 + 5 * i
        found = poses_of(sim.post_form({'image': bright((0, left, top, side))}), width=640, height=480)
        assert len(found) == 1
        box = found[0]['bbox']
        expected = {'x': left, 'y': top, 'width': side, 'height': side}
        assert all(abs(box[key] - value) <= 2 for key, value in expected.items()), (box, expected)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(32)))


def test_several_people(sim):
    found = poses_of(sim.post_form({'image': bright((0, 20, 20, 200), (0, 300, 100, 150))}), width=640, height=480)
    assert [pose['bbox']['x'] // 20 for pose in found] in ([1, 15], [0, 14], [1, 14], [0, 15])


def test_nine_megabytes_as_base64(sim):
    picture = png(8, 8)
    padded = picture[:-12] + b''.join(
        png_chunk(b'teSt', b'\0' * 1000000) for _ in range(9)) + picture[-12:]
    check_response(sim.post_json({'image': b64(padded)}), 8, 8)
    check_response(sim.post_form({'image': padded}), 8, 8)
