"""Device failures: retries, fallback and recovery; and the request options model, timeout and keep_alive. The
scripted device fails on demand (docs/sim.md)."""
import re
import signal
import threading

import pytest

from faces import one
from server import multipart, png, wait_for


def blob(x, y, width, height, side=320):
    """Returns a dark picture with one white rectangle, which the scripted device detects as a person."""
    return png(side, side, shade=lambda px, py: (255, 255, 255) if x <= px < x + width and y <= py < y + height
               else (16, 16, 16))


def detect(server, picture, **fields):
    return server.post_form({'image': picture, **fields})


# ---- failures


@pytest.mark.parametrize('kind', ['transient', 'queue_full'])
def test_transient_errors_are_retried(make_server, script, picture, kind):
    server = make_server(device=script(f'latency_ms: 1\nfaults: [{{kind: {kind}, at: 1, count: 3}}]'))
    assert detect(server, picture).status == 200


def test_without_fallback_a_lost_device_is_503_until_it_recovers(make_server, script, picture):
    server = make_server(device=script('latency_ms: 1\nfaults: [{kind: lost, at: 2, count: 6}]'),
                         settings={'device.probe_interval': '0.2'})
    assert detect(server, picture).status == 200
    lost = detect(server, picture)
    assert lost.status == 503 and int(lost.headers['Retry-After']) >= 1
    assert lost.json()['error']['code'] == 'device_lost'
    ready = server.get('/health/ready')
    assert ready.status == 503 and ready.json()['reason'] == 'model_failed' and ready.json()['detail']
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert detect(server, picture).status == 200


@pytest.mark.parametrize('kind, code', [('none', 'no_device'), ('busy', 'device_in_use'), ('mismatch', 'not_ready'),
                                        ('bad_model', 'not_ready'), ('memory', 'out_of_memory')])
def test_device_that_is_not_available_yet(make_server, script, picture, kind, code):
    server = make_server(device=script(f'latency_ms: 1\nfaults: [{{kind: {kind}, for_ms: 1500}}]'),
                         settings={'device.probe_interval': '0.2'})
    response = detect(server, picture)
    assert response.status == 503 and response.json()['error']['code'] == code
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert detect(server, picture).status == 200


def test_losing_one_of_two_devices_is_transparent(make_server, script, picture):
    server = make_server(device=script('latency_ms: 2\ndevices: 2\nfaults: [{kind: lost, at: 3, device: 1}]'))
    for _ in range(30):
        assert detect(server, picture).status == 200
    assert server.get('/health/ready').status == 200


def test_hung_device_is_reopened(make_server, script, picture):
    server = make_server(device=script('latency_ms: 1\nfaults: [{kind: hang, at: 2, count: 3}]'),
                         settings={'device.timeout': '0.2', 'device.probe_interval': '0.2'})
    assert detect(server, picture).status == 200
    for _ in range(3):
        assert detect(server, picture).status == 503
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert detect(server, picture).status == 200


def test_growing_process_reloads_the_model(make_server, script, picture):
    """Requests are not affected; restarts are counted and logged."""
    server = make_server(device=script('latency_ms: 10\nleak_kb: 4096'),
                         settings={'inference.restart_above': '100M', 'inference.restart_pause': 1})
    count = re.compile(r'^hailo_device_restarts_total\{.*\} (\d+)$', re.MULTILINE)
    resident = re.compile(r'^hailo_resident_memory_bytes (\d+)$', re.MULTILINE)

    def grow():
        assert detect(server, picture).status == 200
        return int(count.search(server.get('/metrics').body.decode())[1]) >= 2

    wait_for(grow)
    assert 'memory exceeded inference.restart_above' in server.log
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert int(resident.search(server.get('/metrics').body.decode())[1]) < 400 << 20


def test_two_networks_share_the_device(make_face, script):
    face = make_face({'inference.restart_above': '100M', 'inference.restart_pause': 1},
                     device=script('latency_ms: 4\nleak_kb: 2048'))
    count = re.compile(r'^hailo_device_restarts_total\{.*\} (\d+)$', re.MULTILINE)
    body, content_type = multipart({'image': one(1)})
    failed, ended = [], threading.Event()

    def ask():
        while not ended.is_set():
            response = face.request('POST', '/v1/recognize', body, {'Content-Type': content_type})
            if response.status != 200:
                failed.append(response)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        wait_for(lambda: min(map(int, count.findall(face.get('/metrics').body.decode()))) >= 2)
    finally:
        ended.set()
        for client in clients:
            client.join()
    assert not failed
    wait_for(lambda: face.log.count('memory exceeded inference.restart_above') >= 4)  # another thread reads the log


def test_hung_device_ends_the_process_if_configured(make_server, script, picture):
    server = make_server(device=script('latency_ms: 1\nfaults: [{kind: hang, at: 2}]'),
                         settings={'device.timeout': '0.2', 'device.on_hang': 'exit', 'device.probe_interval': '600',
                                   'inference.slots': 2})
    assert detect(server, picture).status == 200
    for _ in range(2):
        assert detect(server, picture).status == 503
    assert server.finish() == 1
    assert 'does not return its pictures' in server.log


def test_requests_behind_a_hung_device_keep_their_own_deadlines(make_server, script, picture):
    server = make_server(device=script('latency_ms: 1\nfaults: [{kind: hang, at: 2}]'))
    assert detect(server, picture).status == 200
    patient = [threading.Thread(target=detect, args=(server, picture), kwargs={'timeout': '3'}) for _ in range(8)]
    for client in patient:
        client.start()
    server.wait_for_requests(8)
    assert detect(server, picture, timeout='0.2').status == 504
    assert all(client.is_alive() for client in patient)
    for client in patient:
        client.join()


def test_queued_requests_keep_their_own_deadlines(make_server, script, picture):
    """Both workers wait for the hung device."""
    server = make_server(device=script('latency_ms: 1\nfaults: [{kind: hang, at: 2}]'),
                         settings={'performance.worker_threads': 2})
    assert detect(server, picture).status == 200
    patient = [threading.Thread(target=detect, args=(server, picture), kwargs={'timeout': '3'}) for _ in range(4)]
    for client in patient:
        client.start()
    server.wait_for_requests(4)
    answers = [detect(server, picture, timeout='0.2'),
               server.post_form({'image': picture}, headers={'X-Request-Timeout': '200ms'})]
    assert [response.status for response in answers] == [504, 504]
    assert answers[0].json()['error']['code'] == 'timeout'
    assert all(client.is_alive() for client in patient)
    for client in patient:
        client.join()


# ---- batches, and answers that must match their requests


@pytest.mark.parametrize('world', ['latency_ms: {median: 3, p99: 9}', 'batch_ms: {1: 3, 8: 12}'])
def test_answers_belong_to_their_pictures(make_server, script, world):
    server = make_server(device=script(world), settings={'device.batch_size': 8, 'performance.worker_threads': 16})
    wrong = []

    def ask(client):
        picture = blob(16 + 16 * client, 32, 48, 64)
        for _ in range(8):
            response = detect(server, picture)
            box = response.json()['poses'][0]['bbox'] if response.status == 200 else {}
            if abs(box.get('x', -99) - (16 + 16 * client)) > 6:
                wrong.append((client, response))

    clients = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert not wrong


# ---- request options


@pytest.mark.parametrize('fields, headers', [({'timeout': '0.05'}, {}), ({'timeout': '50ms'}, {}),
                                             ({}, {'X-Request-Timeout': '0.05'})])
def test_a_request_may_ask_for_less_time(make_server, script, picture, fields, headers):
    server = make_server(device=script('latency_ms: 400'))
    detect(server, picture)  # loads the model
    response = server.post_form({'image': picture, **fields}, headers=headers)
    assert response.status == 504
    assert response.json()['error']['type'] == 'timeout' and response.json()['error']['code'] == 'timeout'
    wait_for(lambda: detect(server, picture).status == 200)


@pytest.mark.parametrize('field, value', [('timeout', '0'), ('timeout', 'soon'), ('timeout', '1e9'),
                                          ('keep_alive', '-2'), ('keep_alive', 'x')])
def test_invalid_options_are_reported(sim, picture, field, value):
    response = detect(sim, picture, **{field: value})
    assert response.status == 400 and response.json()['error']['field'] == field


def test_bad_timeout_header(sim, picture):
    response = sim.post_form({'image': picture}, headers={'X-Request-Timeout': 'never'})
    assert response.status == 400 and 'X-Request-Timeout' in response.json()['error']['message']


def test_keep_alive_of_a_request(make_server, picture):
    server = make_server()
    assert detect(server, picture, keep_alive='0').status == 200
    wait_for(lambda: server.get('/health').json()['model_loaded'] is False)
    assert server.get('/health/ready').status == 200  # idle: the next request loads the model
    assert detect(server, picture, keep_alive='5m').status == 200
    assert server.get('/health').json()['model_loaded'] is True


def test_another_model_by_name(make_server, picture):
    server = make_server(settings={'model.name': 'yolo11n-pose'})
    assert detect(server, picture).json()['model'] == 'yolo11n-pose'
    assert detect(server, picture, model='yolov8s_pose').json()['model'] == 'yolov8s-pose'
    assert server.post_json({'image': 'AAAA', 'model': 'nonesuch'}).status == 404
    states = {model['id']: model['state'] for model in server.get('/v1/models').json()['data']}
    assert states['yolo11n-pose'] == 'ready' and states['yolov8s-pose'] == 'ready'
    assert server.request('POST', '/v1/models/yolov8s-pose/unload').json()['was_loaded'] is True
    wait_for(lambda: {m['id']: m['state'] for m in server.get('/v1/models').json()['data']}['yolov8s-pose'] == 'idle')


def test_load_and_unload(make_server):
    server = make_server(settings={'model.keep_alive': '0'})
    assert server.get('/health').json()['model_loaded'] is False
    response = server.request('POST', '/v1/models/yolov8m-pose/load')
    assert response.status == 200 and response.json()['state'] == 'ready' and response.json()['device'] == 'sim'
    assert server.request('POST', '/v1/models/yolov8m-pose/unload').json()['was_loaded'] is True
    assert server.request('POST', '/v1/models/yolov8l-pose/unload').json()['was_loaded'] is False
    for action in ('load', 'unload'):
        assert server.request('POST', f'/v1/models/nonesuch/{action}').status == 404


def test_warm_up_comes_before_ready(make_server, script, picture):
    server = make_server(device=script('latency_ms: 100'),
                         settings={'performance.warmup_enabled': 'true', 'performance.warmup_iterations': 5})
    assert server.get('/health/ready').status == 503
    wait_for(lambda: server.get('/health/ready').status == 200)
    assert detect(server, picture).status == 200


def test_a_full_queue_is_503(make_server, script, picture):
    server = make_server(device=script('latency_ms: 300'),
                         settings={'performance.max_queue_size': 1, 'performance.worker_threads': 1})
    detect(server, picture)
    answers = []
    clients = [threading.Thread(target=lambda: answers.append(detect(server, picture))) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert {response.status for response in answers} == {200, 503}
    assert all('Retry-After' in response.headers for response in answers if response.status == 503)


def test_sigterm_while_the_device_is_down(make_server, script, picture):
    server = make_server(device=script('latency_ms: 1\nfaults: [{kind: none}]'))
    assert detect(server, picture).status == 503
    server.stop(signal.SIGTERM)


def test_all_models_are_listed_on_demand(sim):
    here = [model['id'] for model in sim.get('/v1/models').json()['data']]
    every = sim.get('/v1/models?all=true').json()['data']
    assert set(here) <= {model['id'] for model in every}
    assert {model['state'] for model in every} <= {'idle', 'loading', 'ready', 'unloading', 'failed', 'pulling', 'absent'}
