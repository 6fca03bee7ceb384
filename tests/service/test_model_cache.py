"""Models named by requests: no request waits for another client's model, or longer than its deadline."""
import threading
import time

import pytest

from server import BINARY, FACE, Server, png, wait_for

LOAD_S = 4
OTHERS = ['yolo11s-pose', 'yolo11m-pose', 'yolo11l-pose', 'yolo11x-pose', 'yolov8n-pose', 'yolov8s-pose', 'yolov8m-pose']
LAST = 'yolov8x-pose'


def test_a_default_request_does_not_wait_for_the_models_of_others(tmp_path):
    """All places are taken by models that are loading. One must be closed for the next one, and closing takes as
    long as its load. A default request is not delayed, and the request that needs the place ends at its deadline."""
    script = tmp_path / 'slow.yaml'
    script.write_text(f'load_ms: {LOAD_S * 1000}\nlatency_ms: 1\n', encoding='utf-8')

    def ask(**fields):
        began = time.monotonic()
        return server.post_form({'image': png(), **fields}).status, time.monotonic() - began

    with Server(tmp_path, device=f'sim:{script}') as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        for name in OTHERS:
            assert ask(model=name, timeout='0.05')[0] == 504
        last = []
        thread = threading.Thread(target=lambda: last.append(ask(model=LAST, timeout='0.05')))
        thread.start()
        while thread.is_alive():
            status, took_s = ask(timeout='2')
            assert status == 200
            assert took_s < LOAD_S / 2
        thread.join()
        assert last[0][0] == 504
        assert last[0][1] < LOAD_S / 2
        # The model is still loaded later, for a request that waits for it.
        assert ask(model=LAST, timeout='30')[0] == 200


def test_unavailable_model_is_retried(tmp_path):
    with Server(tmp_path, device='cpu') as server:
        for _ in range(3):
            response = server.post_form({'image': png(), 'model': 'yolo11x-pose'})
            assert response.status == 404, response
            assert 'yolo11x-pose' in response.body.decode()


@pytest.mark.parametrize('program', [BINARY, FACE], ids=['pose', 'face'])
def test_load_during_the_start_waits_for_that_load(tmp_path, program):
    """A client requests a model by name while the server still loads it at the start."""
    script = tmp_path / 'slow.yaml'
    script.write_text('load_ms: 3000', encoding='utf-8')
    with Server(tmp_path, device=f'sim:{script}', program=[program, 'serve']) as server:
        models = server.get('/v1/models').json()['data']
        assert server.get('/health/ready').status == 503
        for model in models:
            if model['state'] == 'loading':
                response = server.request('POST', f'/v1/models/{model["id"]}/load', headers={'X-Request-Timeout': '20'})
                assert response.status == 200, response
                assert response.json()['state'] == 'ready'
        assert 'loading' in [model['state'] for model in models]
        wait_for(lambda: server.get('/health/ready').status == 200)
