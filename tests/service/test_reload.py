"""SIGHUP: the settings are read again and checked; all of a file takes effect, or nothing of it."""
import os
import signal
import threading
import time

import pytest

from faces import FaceServer, one
from server import Server, environment, multipart, png, wait_for

BODY, CONTENT_TYPE = multipart({'image': png()})


@pytest.fixture(autouse=True)
def not_under_nohup():
    """Child processes inherit ignored signals, so SIGHUP is set to its default."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class Reloader:
    """A server with a configuration file."""

    def __init__(self, folder, page, server=Server, **options):
        self.path = folder / 'settings.yaml'
        self.path.write_text(page, encoding='utf-8')
        self.server = server(folder, arguments=['--config', options.pop('config', str(self.path))], **options)

    def write(self, page):
        """Replaces the file and reloads. Returns the lines of the log that this wrote."""
        self.path.write_text(page, encoding='utf-8')
        return self.reload()

    def reload(self):
        before = len(self.server.lines)
        self.server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: any('eloaded' in line for line in self.server.lines[before:]))
        return ''.join(self.server.lines[before:])

    def detect(self, **fields):
        return self.server.post_form({'image': png(), **fields})


@pytest.fixture
def make(tmp_path):
    made = []

    def start(page, **options):
        made.append(Reloader(tmp_path, page, **options))
        return made[-1]

    yield start
    for reloader in made:
        if not reloader.server.process.stdout.closed:
            reloader.server.stop()


def test_new_thresholds_apply_to_the_next_request(make):
    service = make('inference: {confidence_threshold: 0}\n')
    assert service.detect().json()['count'] > 0
    log = service.write('inference: {confidence_threshold: 1}\n')
    assert 'INFO: Reloaded the settings; changed: inference.confidence_threshold\n' in log
    assert service.detect().json()['count'] == 0
    assert service.detect(confidence_threshold='0').json()['count'] > 0


def test_limits_cors_and_log_change(make):
    service = make('server: {max_body_mb: 1}\n')
    big = {'image': b'x' * (2 << 20)}
    assert service.server.post_form(big).status == 413
    log = service.write('server: {max_body_mb: 4, cors_origins: [http://a.example], admin: "off"}\n'
                        'logging: {format: json, level: DEBUG}\n')
    assert '"msg": "Reloaded the settings; changed: ' in log
    assert service.server.post_form(big).status == 400
    response = service.server.get('/health', headers={'Origin': 'http://a.example'})
    assert response.headers['Access-Control-Allow-Origin'] == 'http://a.example'
    assert service.server.request('POST', '/v1/models/absent/unload', headers={'Content-Length': '0'}).status == 403


@pytest.mark.parametrize('page, reason', [
    ('inference: {confidence_threshold: 7}\nimage: {max_side: 64}\n', 'inference.confidence_threshold: 7 is too large'),
    ('inference: [\n', 'settings.yaml:'),
    ('server: {max_body_mb: 1024}\n', 'server.max_body_memory is smaller than server.max_body_mb'),
])
def test_a_bad_file_changes_nothing(make, page, reason):
    service = make('inference: {confidence_threshold: 0}\n')
    log = service.write(page)
    assert reason in log
    assert 'ERROR: Not reloaded, the old settings stay in effect: ' in log
    assert service.detect().json()['count'] > 0
    assert 'Reloaded the settings' in service.write('inference: {confidence_threshold: 1}\n')
    assert service.detect().json()['count'] == 0


def test_a_lost_file_changes_nothing(make):
    service = make('inference: {confidence_threshold: 0}\n')
    os.unlink(service.path)
    assert 'Not reloaded' in service.reload()
    assert service.detect().json()['count'] > 0


def test_settings_that_need_a_restart_are_named(make):
    service = make('performance: {max_queue_size: 5}\n')
    log = service.write('performance: {max_queue_size: 6}\ninference: {slots: 2, max_detections: 0}\n')
    assert 'changed: inference.max_detections\n' in log
    assert 'WARNING: Changed in the configuration, but in effect only after a restart: inference.slots, ' \
        'performance.max_queue_size\n' in log
    assert service.detect().json()['count'] == 0


def test_options_of_the_command_line_keep_their_priority(make):
    service = make('inference: {confidence_threshold: 0}\n', settings={'inference.confidence_threshold': 1})
    assert 'none of those that a reload applies has changed' in service.write('inference: {iou_threshold: 0.45}\n')
    assert service.detect().json()['count'] == 0


def test_relative_paths_begin_at_the_start_folder(make):
    service = make('model: {mirror: mirror}\n', config='settings.yaml')
    assert 'changed: inference.max_detections\n' in service.write(
        'model: {mirror: mirror}\ninference: {max_detections: 0}\n')


def test_a_face_service_changes_its_thresholds(make):
    service = make('face_recognition: {detection_threshold: 0}\n', server=FaceServer)
    wait_for(lambda: service.server.get('/health/ready').status == 200)

    def count():
        return service.server.ask('detect', one(0)).json()['count']
    assert count() > 0
    log = service.write('face_recognition: {detection_threshold: 1, recognition_threshold: auto, max_faces: 3}\n')
    assert 'changed: face_recognition.detection_threshold, face_recognition.recognition_threshold, ' \
        'face_recognition.max_faces' in log
    assert count() == 0


def test_reloads_under_load_lose_no_request(make):
    """Each answer must be one of the two that the two files give."""
    service = make('inference: {confidence_threshold: 0, max_detections: 1}\n')
    pages = ['inference: {confidence_threshold: 1}\n', 'inference: {confidence_threshold: 0, max_detections: 1}\n']
    ended = threading.Event()
    counts, failures = set(), []

    def client():
        while not ended.is_set():
            response = service.server.request('POST', '/v1/pose/detect', BODY, {'Content-Type': CONTENT_TYPE})
            if response.status == 200:
                counts.add(response.json()['count'])
            else:
                failures.append(response)
    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    reloads, end = 0, time.monotonic() + 60
    while (reloads < 20 or counts != {0, 1}) and time.monotonic() < end:
        service.write(pages[reloads % 2])
        reloads += 1
    ended.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert counts == {0, 1}


def test_settings_of_a_variable_stay(tmp_path, make):
    service = make('inference: {confidence_threshold: 0}\n',
                   env=environment(tmp_path, HAILO_POSE_INFERENCE_MAX_DETECTIONS='0'))
    service.write('inference: {max_detections: 5}\n')
    assert service.detect().json()['count'] == 0
