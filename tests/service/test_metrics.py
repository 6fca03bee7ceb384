"""/metrics: both formats, bounded labels, and Debian's Prometheus with the rules and the dashboard of deploy/."""
import contextlib
import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

from certificates import Authority
from faces import NO_FACES, FaceServer, one
from server import FACE, TREE, Server, png, run, wait_for

DEPLOY = os.path.join(TREE, 'deploy')
EXAMPLE = os.path.join(DEPLOY, 'prometheus', 'prometheus.yml')
RULES = os.path.join(DEPLOY, 'prometheus', 'hailo-services.rules.yml')
DASHBOARD = os.path.join(DEPLOY, 'grafana', 'hailo-services.json')
OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
TEXT = 'text/plain; version=0.0.4; charset=utf-8'
# The header of Prometheus 2.42.
PROMETHEUS_ACCEPT = ('application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,'
                     'text/plain;version=0.0.4;q=0.5,*/*;q=0.1')
SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

needs_prometheus = pytest.mark.skipif(not shutil.which('prometheus') or not shutil.which('promtool'),
                                      reason='needs prometheus and promtool: apt-get install prometheus')


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def scrape(server, accept=None):
    headers = dict(getattr(server, 'monitor', {}))  # the key of a monitor, if the server needs one
    response = server.get('/metrics', headers={**headers, 'Accept': accept} if accept else headers)
    assert response.status == 200
    return response.body.decode()


def samples(text):
    """Returns the values by (name, labels)."""
    values = {}
    for line in text.splitlines():
        if line.startswith('#'):
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        key = (name, tuple(LABEL.findall(labels or '')))
        assert key not in values, f'{line}: this series is there twice'
        values[key] = float(value)
    return values


def total(text, name, **labels):
    """Returns the sum of the series of that name with these labels."""
    return sum(value for (found, given), value in samples(text).items()
               if found == name and labels.items() <= dict(given).items())


def families(text):
    """Returns the types by name of the families, in the text format."""
    return dict(re.findall(r'^# TYPE (\S+) (\S+)$', text, re.M))


# ---- formats

@pytest.mark.parametrize('accept, expected', [
    (None, TEXT), ('*/*', TEXT), ('text/plain', TEXT), (PROMETHEUS_ACCEPT, OPENMETRICS),
    ('application/openmetrics-text', OPENMETRICS), ('text/plain, application/openmetrics-text;q=0.5', TEXT),
    ('application/openmetrics-text;q=0', TEXT), ('application/json', TEXT)])
def test_the_client_selects_the_format(sim, accept, expected):
    response = sim.get('/metrics', headers={'Accept': accept} if accept else {})
    assert response.headers['Content-Type'] == expected and response.headers['Vary'] == 'Accept'
    assert response.body.endswith(b'# EOF\n') == (expected == OPENMETRICS)
    assert b'# EOF\n' not in response.body[:-6]


def test_openmetrics_is_read_by_its_parser(sim, face):
    parser = pytest.importorskip('prometheus_client.openmetrics.parser', reason='needs python3-prometheus-client')
    for server in (sim, face):
        server.get('/nothing')
        found = {family.name: family for family in
                 parser.text_string_to_metric_families(scrape(server, OPENMETRICS))}
        assert found['hailo_http_request_duration_seconds'].type == 'histogram'
        assert found['hailo_http_request_duration_seconds'].unit == 'seconds'
        assert found['hailo_http_requests'].type == 'counter' and found['hailo_build'].type == 'info'
        created = [sample for sample in found['hailo_http_requests'].samples if sample.name.endswith('_created')]
        assert abs(created[0].value - time.time()) < 3600


def test_both_formats_have_the_same_series(sim):
    text, other = (samples(scrape(sim, accept)) for accept in (TEXT, OPENMETRICS))
    scrapes = 'hailo_http_request_duration_seconds'  # the first scrape adds a series to the second
    assert {key for key in other if not key[0].endswith('_created') and not key[0].startswith(scrapes)} == \
        {key for key in text if not key[0].startswith(scrapes)}


def test_families_are_contiguous_and_described(face):
    lines = scrape(face).splitlines()
    types = families('\n'.join(lines))
    current = None
    for line in lines:
        if line.startswith('# HELP '):
            current = line.split()[2]
            assert len(line.split()) > 3
        elif line.startswith('# TYPE '):
            assert line.split()[2] == current
        else:
            name = line.split('{')[0].split()[0]
            histogram = types[current] == 'histogram' and re.sub('_(bucket|sum|count)$', '', name)
            assert current in (name, histogram), line
    assert sum(line.startswith('# TYPE ') for line in lines) == len(types)


# ---- labels

def test_labels_have_nothing_of_a_client(make_face, tmp_path):
    face = make_face()
    face.add('Zebulon', one(0))
    face.ask('recognize', one(0))
    for path in ('/v1/database/identities/Zebulon', '/v1/secret-path', '/v1/database/identities/Nobody'):
        face.get(path)
    before = samples(scrape(face))
    for number in range(50):
        face.request('BREW', f'/v1/secret-path/{number}')
        face.get(f'/v1/database/identities/Zebulon{number}')
    text = scrape(face)
    for secret in ('Zebulon', 'secret', '127.0.0.1', 'BREW', 'Nobody', str(tmp_path)):
        assert secret not in text, secret
    new = {key for key in samples(text) if key not in before}
    assert len(new) < 100 and all(dict(labels).get('method') in (None, 'other', 'GET') for _, labels in new), new
    assert total(text, 'hailo_http_responses_total', route='none', method='other', code='405') == 0
    assert total(text, 'hailo_http_responses_total', route='none', method='other', code='404') == 50
    assert total(text, 'hailo_http_responses_total', route='/v1/database/identities/{name}', code='404') == 51


# ---- values

def test_requests_errors_and_bytes_are_counted(make_server, picture):
    server = make_server(settings={'performance.worker_threads': 3})
    form = server.post_form({'image': picture})
    server.post_form({'image': b'no picture'})
    server.post_form({})
    server.request('HEAD', '/health')
    server.get('/nothing')
    server.request('PUT', '/health')
    wait_for(lambda: total(scrape(server), 'hailo_http_responses_total', route='none') == 2)
    text = scrape(server)
    route = '/v1/pose/detect'
    assert total(text, 'hailo_http_responses_total', route=route, method='POST', code='200') == 1
    assert total(text, 'hailo_http_responses_total', route=route, code='400') == 2
    assert total(text, 'hailo_http_responses_total', route='/health', method='HEAD', code='200') == 1
    assert total(text, 'hailo_http_responses_total', route='none', code='405') == 1
    assert total(text, 'hailo_errors_total') == 4
    assert total(text, 'hailo_errors_total', code='undecodable') == 1
    assert total(text, 'hailo_errors_total', code='not_found') == 1
    assert total(text, 'hailo_http_received_bytes_total', route=route) > len(picture)
    assert total(text, 'hailo_http_sent_bytes_total', route=route) > len(form.body)
    assert total(text, 'hailo_http_request_duration_seconds_count', route=route) == 3
    assert total(text, 'hailo_http_workers') == 3
    wait_for(lambda: total(scrape(server), 'hailo_http_workers_busy') == 0)
    for stage in ('decode', 'preprocess', 'queue', 'inference', 'postprocess'):
        assert total(text, 'hailo_stage_duration_seconds_count', stage=stage) == 1, stage
    assert total(text, 'hailo_ready') == 1 and total(text, 'process_threads') > 3


def test_stages_of_a_face(make_face):
    face = make_face(settings={'face_recognition.large_faces': 'false'})
    face.add('Ann', one(0))
    face.ask('recognize', one(0))
    face.ask('recognize', NO_FACES)
    text = scrape(face)
    assert total(text, 'hailo_stage_duration_seconds_count', stage='decode') == 3
    assert total(text, 'hailo_stage_duration_seconds_count', stage='embed') == 2
    assert total(text, 'hailo_stage_duration_seconds_count', stage='search') >= 1
    assert total(text, 'hailo_stage_duration_seconds_count', stage='database') >= 1
    assert total(text, 'hailo_gallery_embeddings', use='usable') == 1
    assert total(text, 'hailo_gallery_disk_free_bytes') > 0 and total(text, 'hailo_gallery_failing') == 0


def test_reloads_are_counted(tmp_path):
    path = tmp_path / 'settings.yaml'
    path.write_text('logging: {level: info}\n', encoding='utf-8')
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # children of nohup would ignore it
    try:
        with Server(tmp_path, arguments=['--config', str(path)]) as server:
            for text, result in (('logging: {level: debug}\n', 'applied'), ('logging: {level: loud}\n', 'failed')):
                path.write_text(text, encoding='utf-8')
                server.process.send_signal(signal.SIGHUP)
                wait_for(lambda: total(scrape(server), 'hailo_reloads_total', result=result) == 1)
            assert total(scrape(server), 'hailo_reloads_total') == 2
    finally:
        signal.signal(signal.SIGHUP, before)


def test_expiry_and_encryption(make_face, tmp_path):
    key = tmp_path / 'key'
    run(tmp_path, 'db', 'key', 'generate', str(key), program=FACE)
    face = make_face(settings={'database.encryption_key': key})
    face.add('Ann', one(0))
    face.add('Bob', one(1), expires_at=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 2)))
    assert total(scrape(face), 'hailo_gallery_encrypted') == 1
    assert total(scrape(face), 'hailo_gallery_expiries_total') == 0
    face.stop()
    time.sleep(2)
    face = make_face(settings={'database.encryption_key': key})
    wait_for(lambda: total(scrape(face), 'hailo_gallery_expiries_total', result='erased') == 1)
    wait_for(lambda: total(scrape(face), 'hailo_gallery_identities') == 1)


def test_refusals_by_reason(make_server, script, picture):
    server = make_server(device=script('latency_ms: 400'), settings={'performance.worker_threads': 1,
                                                                     'performance.max_queue_size': 1})
    threads = [threading.Thread(target=server.post_form, args=({'image': picture},)) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: total(scrape(server), 'hailo_http_workers_busy') == 1)
    for thread in threads:
        thread.join()
    text = scrape(server)
    refused = total(text, 'hailo_http_refusals_total', reason='queue_full')
    assert refused >= 1 and refused == total(text, 'hailo_errors_total', code='busy')
    assert refused == total(text, 'hailo_http_responses_total', code='503')


def test_a_busy_device_is_counted_once(make_server, script, picture):
    """Four pictures at a time wait for each other: the sum of their times is longer than the time of the device."""
    server = make_server(device=script('latency_ms: 300'))
    wait_for(lambda: server.get('/health/ready').status == 200)
    start = time.monotonic()
    threads = [threading.Thread(target=server.post_form, args=({'image': picture},)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - start
    text = scrape(server)
    busy = total(text, 'hailo_device_busy_seconds_total')
    assert 1.2 <= busy <= took and total(text, 'hailo_device_run_seconds_total') > 1.5 * busy


def test_a_lost_device_is_counted(make_server, script, picture):
    server = make_server(device=script('{latency_ms: 1, faults: [{kind: lost, at: 2, for_ms: 300}]}'))
    assert server.post_form({'image': picture}).status == 200
    assert server.post_form({'image': picture}).status == 503
    text = scrape(server)
    assert total(text, 'hailo_device_downs_total') == 1 and total(text, 'hailo_errors_total', code='device_lost') == 1
    assert total(text, 'hailo_device_errors_total', code='device_lost') == 1
    assert total(text, 'hailo_device_errors_total') == total(text, 'hailo_device_failures_total') == 1
    wait_for(lambda: total(scrape(server), 'hailo_device_recoveries_total') == 1)
    assert total(scrape(server), 'hailo_device_state', state='ready') == 1


def add_key(folder, scopes, *arguments):
    return run(folder, 'keys', 'add', '--file', folder / 'own-keys.json', '--name', scopes, '--scopes', scopes,
               *arguments).stdout.strip()


def bearer(key):
    return {'Authorization': f'Bearer {key}'}


def test_refused_keys_by_reason(tmp_path):
    monitor, slow = add_key(tmp_path, 'none'), add_key(tmp_path, 'none', '--requests-per-second', '0.01')
    with Server(tmp_path, settings={'auth.keys_file': tmp_path / 'own-keys.json'}) as server:
        server.monitor = bearer(monitor)
        for headers in ({}, bearer('hs_nonsense'), bearer(monitor), bearer(slow), bearer(slow)):
            server.post_form({'image': png()}, headers=headers)
        for _ in range(12):
            server.get('/v1/models', headers=bearer('hs_nonsense'))
        server.get('/health')  # needs no key
        text = scrape(server)
        counts = {reason: total(text, 'hailo_auth_refusals_total', reason=reason)
                  for reason in ('missing_key', 'invalid_key', 'scope', 'attempts', 'rate')}
        assert counts == {'missing_key': 1, 'invalid_key': 10, 'scope': 2, 'attempts': 3, 'rate': 1}
        assert monitor not in text and 'nonsense' not in text


def test_handshakes_and_the_certificate(tmp_path):
    authority = Authority(str(tmp_path))
    certificate, key = authority.sign('localhost', end='20400101000000Z')
    with Server(tmp_path, tls=authority.client(), settings={'server.tls_certificate': certificate,
                                                            'server.tls_key': key}) as server:
        with socket.create_connection(server.address) as sock:
            sock.sendall(b'\x16\x03\x01\x00\x05hello')
            sock.recv(100)
        with socket.create_connection(server.address) as sock:
            sock.sendall(b'\x16')  # ends in the middle
        with socket.create_connection(server.address):
            pass  # a monitor of ports: not a handshake
        wait_for(lambda: total(scrape(server), 'hailo_tls_handshakes_total', result='failed') == 2)
        before = total(scrape(server), 'hailo_tls_handshakes_total', result='done')
        text = scrape(server)
        assert total(text, 'hailo_tls_handshakes_total', result='done') == before + 1
        assert total(text, 'hailo_tls_certificate_expiry_timestamp_seconds') == 2208988800


# ---- files for operators

def dashboard():
    return json.loads(read(DASHBOARD))


def queries():
    """Returns (title of the panel, query) for the whole dashboard, with its variables replaced."""
    found = [(panel['title'], target['expr']) for panel in dashboard()['panels'] if panel['type'] != 'row'
             for target in panel['targets']]
    values = {'$job': 'hailo-pose|hailo-face', '$instance': '.*', '$__rate_interval': '10s'}
    for name, value in values.items():
        found = [(title, query.replace(name, value)) for title, query in found]
    assert found and not [query for _, query in found if '$' in query]
    return found


def used_metrics():
    """Returns the names of metrics in the rules and the dashboard."""
    rules = re.sub(r'^\s*(#.*|- (record|alert|name):.*|summary:.*)$', '', read(RULES), flags=re.M)
    rules = re.sub(r'runbook: >-\n(.*\n?)*?(?=\n\n|\n?$)', '', rules)
    text = rules + '\n'.join(query for _, query in queries())
    names = re.findall(r'(?<![:\w])(?:hailo|process)_[a-z_]+', text)
    return {re.sub('_(bucket|sum|count)$', '', name) for name in names}


def test_the_dashboard_is_well_formed():
    board = dashboard()
    ids = [panel['id'] for panel in board['panels']]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in board['panels']:
        box = panel['gridPos']
        cells = {(x, y) for x in range(box['x'], box['x'] + box['w']) for y in range(box['y'], box['y'] + box['h'])}
        assert box['x'] + box['w'] <= 24 and not cells & taken, panel['title']
        taken |= cells
        assert panel['type'] == 'row' or all(target['datasource']['uid'] == '${datasource}'
                                             for target in panel['targets'])
    assert {variable['name'] for variable in board['templating']['list']} == {'datasource', 'job', 'instance'}


def test_each_alert_has_a_summary_and_a_runbook():
    alerts = re.split(r'\n\s+- alert: ', read(RULES))[1:]
    assert len(alerts) >= 15
    for alert in alerts:
        assert re.search(r'severity: (critical|warning)', alert), alert
        assert re.search(r'summary: \S', alert) and re.search(r'runbook: >-\n\s+\S', alert), alert
    tested = read(os.path.join(TREE, 'tests', 'service', 'prometheus_rules_test.yml'))
    assert not [alert for alert in alerts if f'alertname="{alert.split()[0]}"' not in tested]


# ---- Prometheus

def promtool(*arguments, **options):
    done = subprocess.run(['promtool', *arguments], capture_output=True, text=True, check=False, timeout=60, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_prometheus
def test_the_rules_fire_as_documented():
    promtool('check', 'rules', RULES)
    promtool('check', 'config', EXAMPLE)
    assert 'SUCCESS' in promtool('test', 'rules', 'prometheus_rules_test.yml',
                                 cwd=os.path.join(TREE, 'tests', 'service'))


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


class Prometheus:
    """Debian's Prometheus with the example configuration, which scrapes the two servers every second. hailo-pose has a
    certificate of the authority and needs a key, so the lines of the example for both are used."""

    def __init__(self, folder, pose, face, authority):
        self.port = free_port()
        config = read(EXAMPLE)
        for old, new in (('scrape_interval: 15s', 'scrape_interval: 1s'),
                         ('evaluation_interval: 15s', 'evaluation_interval: 1s'),
                         ('127.0.0.1:11436', f'127.0.0.1:{pose.address[1]}'),
                         ('127.0.0.1:5002', f'127.0.0.1:{face.address[1]}'),
                         ('# scheme: https', 'scheme: https'), ('# tls_config:', 'tls_config:'),
                         ('#   ca_file: /etc/prometheus/hailo-ca.pem', f'  ca_file: {authority.root}'),
                         ('# authorization:', 'authorization:'),
                         ('#   credentials_file: /etc/prometheus/hailo.key', f'  credentials_file: {folder}/key')):
            assert config.count(old) == 1, old
            config = config.replace(old, new)
        path = os.path.join(folder, 'prometheus.yml')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(config)
        shutil.copy(RULES, folder)
        with open(os.path.join(folder, 'log'), 'wb') as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(
                ['prometheus', f'--config.file={path}', f'--storage.tsdb.path={folder}/data',
                 f'--web.listen-address=127.0.0.1:{self.port}'], stdout=log, stderr=log, cwd=folder)

    def get(self, path, **arguments):
        """Returns the data of an answer; None if there is none yet."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
        try:
            connection.request('GET', f'/api/v1/{path}?{urllib.parse.urlencode(arguments)}')
            response = connection.getresponse()
            text = response.read()
            assert response.status in (200, 503), text
            return json.loads(text)['data'] if response.status == 200 else None
        except ConnectionError:
            return None
        finally:
            connection.close()

    def query(self, text):
        return (self.get('query', query=text) or {}).get('result')

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def send_load(pose, face, stop):
    """Sends requests of all kinds, some of them invalid, until `stop` is set."""
    small, face_picture = png(32, 24), one(0)
    number = 0
    while not stop.is_set():
        number += 1
        pose.post_form({'image': small}, headers=pose.client)
        pose.post_form({'image': small if number % 4 else b'no picture'}, headers=pose.client)
        face.ask('recognize', face_picture)
        if number % 5 == 0:
            pose.get('/nothing', headers=pose.client)
            pose.get('/v1/models')  # without a key
            face.ask('database/add', one(number // 5 % 10), name=f'person {number % 7}')  # 503 while it is lost
        stop.wait(0.02)


@pytest.fixture(scope='module')
def monitored(tmp_path_factory):
    """Both services under load, and a Prometheus that has scraped them for some seconds."""
    folder = tmp_path_factory.mktemp('monitored')
    script = folder / 'sim.yaml'
    script.write_text('{latency_ms: 5, temperature_c: 48, faults: [{kind: transient, at: 9, count: 1},'
                      ' {kind: lost, at_ms: 3000, for_ms: 500}]}', encoding='utf-8')
    stop = threading.Event()
    authority = Authority(str(folder))
    certificate, key = authority.sign('localhost')
    keys_file, monitor = folder / 'own-keys.json', add_key(folder, 'none')
    (folder / 'key').write_text(monitor, encoding='ascii')
    with contextlib.ExitStack() as stack:
        pose = stack.enter_context(Server(folder, device=f'sim:{script}', tls=authority.client(), settings={
            'server.tls_certificate': certificate, 'server.tls_key': key, 'auth.keys_file': keys_file}))
        pose.monitor, pose.client = bearer(monitor), bearer(add_key(folder, 'detect'))
        face = stack.enter_context(FaceServer(folder, device=f'sim:{script}', settings={'database.backup_interval': 2}))
        clients = [threading.Thread(target=send_load, args=(pose, face, stop)) for _ in range(2)]
        for client in clients:
            client.start()
        stack.callback(lambda: [client.join() for client in clients])
        stack.callback(stop.set)
        prometheus = Prometheus(str(folder), pose, face, authority)
        stack.callback(prometheus.stop)
        try:
            wait_for(lambda: len(prometheus.query('sum_over_time(up[1m]) >= 6') or []) == 2)
        except AssertionError:
            raise AssertionError(prometheus.get('targets')) from None
        wait_for(lambda: prometheus.query('hailo_gallery_backup_timestamp_seconds'))
        yield prometheus, pose, face


@needs_prometheus
def test_prometheus_scrapes_and_evaluates(monitored):
    prometheus, _, _ = monitored
    targets = prometheus.get('targets')['activeTargets']
    assert sorted((target['labels']['job'], target['health'], target['lastError']) for target in targets) == [
        ('hailo-face', 'up', ''), ('hailo-pose', 'up', '')]
    rules = [rule for group in prometheus.get('rules')['groups'] for rule in group['rules']]
    assert len(rules) == len(re.findall(r'- (alert|record):', read(RULES)))
    assert not [rule for rule in rules if rule['health'] != 'ok'], rules
    for rule in rules:
        if rule['type'] == 'recording':
            assert prometheus.query(rule['name']), rule['name']
    firing = {alert['labels']['alertname'] for alert in prometheus.get('alerts')['alerts']
              if alert['state'] == 'firing'}
    assert not firing & {'HailoServiceDown', 'HailoServiceNotReady', 'HailoRestartLoop', 'HailoBackupFailed'}, firing


@needs_prometheus
def test_each_query_of_the_dashboard_has_data(monitored):
    prometheus, _, _ = monitored
    empty = [f'{title}: {query}' for title, query in queries()
             if not any(sample['value'][1] != 'NaN' for sample in prometheus.query(query) or [])]
    assert not empty, '\n'.join(empty)


@needs_prometheus
def test_metrics_under_load_pass_the_linter_and_the_parser(monitored):
    _, pose, face = monitored
    parser = pytest.importorskip('prometheus_client.openmetrics.parser', reason='needs python3-prometheus-client')
    for server in (pose, face):
        assert promtool('check', 'metrics', input=scrape(server)) == ''
        assert len(list(parser.text_string_to_metric_families(scrape(server, OPENMETRICS)))) > 50


@needs_prometheus
def test_metrics_are_documented(monitored):
    _, pose, face = monitored
    found = {**families(scrape(pose)), **families(scrape(face))}
    unknown = used_metrics() - set(found)
    assert not unknown, f'the rules or the dashboard use metrics that do not exist: {unknown}'
    rows = re.findall(r'^\| `((?:hailo|process)_\w+)` \| (\w+) \|', read(os.path.join(TREE, 'docs', 'operate.md')), re.M)
    assert len(rows) == len(dict(rows))
    kinds = {name: 'info' if name.endswith('_info') else kind for name, kind in found.items()}
    assert dict(rows) == kinds


def test_alerts_are_documented():
    rules = re.findall(r'- alert: (\w+)\n(?:.*\n)*?\s+labels: \{severity: (\w+)\}', read(RULES))
    assert re.findall(r'^\| `(Hailo\w+)` \| .* \| (\w+) \|$', read(os.path.join(TREE, 'docs', 'operate.md')), re.M) == rules


def test_examples_are_complete():
    """The configuration names the file of rules, and no other file is there."""
    assert f'- {os.path.basename(RULES)}\n' in read(EXAMPLE)
    assert sorted(map(os.path.basename, glob.glob(os.path.join(DEPLOY, 'prometheus', '*')))) == [
        'hailo-services.rules.yml', 'prometheus.yml']
