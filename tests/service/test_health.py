"""GET /health and /health/ready."""
import re

from server import wait_for


def test_health_has_the_contract_keys(sim):
    response = sim.get('/health')
    assert response.status == 200
    assert response.headers['Content-Type'] == 'application/json; charset=utf-8'
    health = response.json()
    assert list(health)[:4] == ['status', 'model', 'model_loaded', 'uptime_seconds']
    assert health['status'] == 'ok'
    assert isinstance(health['model'], str) and health['model']
    assert isinstance(health['model_loaded'], bool)
    assert health['uptime_seconds'] >= 0 and not isinstance(health['uptime_seconds'], bool)


def test_json_has_the_documented_format(sim):
    text = sim.get('/health').body.decode('ascii')
    assert text.startswith('{"status": "ok", "model": ') and text.endswith('}\n')


def test_uptime_grows(sim):
    first = sim.get('/health').json()['uptime_seconds']
    assert sim.get('/health').json()['uptime_seconds'] >= first


def test_model_name_is_reported_as_configured(make_server):
    server = make_server(settings={'model.name': 'yolov8s_pose'})
    assert server.get('/health').json()['model'] == 'yolov8s_pose'


def test_device_information(make_server, script, picture):
    server = make_server(device=script('{devices: 2, latency_ms: 20, temperature_c: 55.5}'))
    assert server.post_form({'image': picture}).status == 200
    wait_for(lambda: len(server.get('/health').json().get('devices', [])) == 2)
    for number, device in enumerate(server.get('/health').json()['devices']):
        assert device == {'name': device['name'], 'runtime': device['runtime'], 'ok': True, 'temperature_c': 55.5,
                          'note': 'simulated'}
    values = metrics(server)
    where = '{task="pose",model="yolo11n-pose",device="sim",index="1",standby="0"}'
    assert values['hailo_device_temperature_celsius' + where] == 55.5
    assert 0.02 <= sum(value for name, value in values.items() if 'device_run_seconds_total' in name) < 5
    assert sum(name.startswith('hailo_device_info{') for name in values) == 2


def test_device_without_temperature(make_server, script, picture):
    server = make_server(device=script('latency_ms: 1'))
    assert server.post_form({'image': picture}).status == 200
    wait_for(lambda: server.get('/health').json().get('devices'))
    assert 'temperature_c' not in server.get('/health').json()['devices'][0]
    assert not [name for name in metrics(server) if 'temperature' in name and not name.startswith('#')]


def test_lost_device_has_no_information(make_server, script, picture):
    server = make_server(device=script('temperature_c: 50\nfaults: [{kind: lost, at: 2}]'),
                         settings={'device.probe_interval': 60})
    assert server.post_form({'image': picture}).status == 200
    wait_for(lambda: server.get('/health').json().get('devices'))
    assert server.post_form({'image': picture}).status == 503
    wait_for(lambda: 'devices' not in server.get('/health').json())


def test_ready(sim):
    response = sim.get('/health/ready')
    assert response.status == 200
    assert response.json()['ready'] is True


def test_query_is_ignored(sim):
    assert sim.get('/health?verbose=1&x=%00').status == 200


def test_trailing_slash_is_another_path(sim):
    assert sim.get('/health/').status == 404


def test_head(sim):
    for path in ('/health', '/health/ready'):
        get, head = sim.get(path), sim.request('HEAD', path)
        assert head.status == 200
        assert head.body == b''
        assert head.headers['Content-Type'] == get.headers['Content-Type']
        assert int(head.headers['Content-Length']) > 0


def test_not_ready_while_the_model_loads(make_server, script, picture):
    server = make_server(device=script('load_ms: 1500'))
    response = server.get('/health/ready')
    assert response.status == 503
    assert response.json() == {'ready': False, 'reason': 'model_loading'}
    assert server.get('/health').json()['model_loaded'] is False
    assert server.post_form({'image': picture}).status == 200  # waits for the model
    assert server.get('/health/ready').status == 200
    assert server.get('/health').json()['model_loaded'] is True


def test_a_model_that_is_loaded_on_demand_is_ready(make_server, picture):
    server = make_server(settings={'model.keep_alive': 0})
    assert server.get('/health/ready').status == 200
    assert server.get('/health').json()['model_loaded'] is False
    assert server.post_form({'image': picture}).status == 200


def metrics(server):
    lines = server.get('/metrics').body.decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(' ', 1) for line in lines if not line.startswith('#'))}


def test_metrics(make_server, picture):
    server = make_server()
    server.post_form({'image': picture})
    response = server.get('/metrics')
    assert response.headers['Content-Type'].startswith('text/plain; version=0.0.4')
    lines = response.body.decode().splitlines()
    values = dict(line.rsplit(' ', 1) for line in lines if not line.startswith('#'))
    for name in values:
        family = name.split('{')[0]
        histogram = f'# TYPE {re.sub("_(bucket|sum|count)$", "", family)} histogram\n'
        assert f'# TYPE {family} ' in response.body.decode() or histogram in response.body.decode()
    where = '{task="pose",model="yolo11n-pose",device="sim",index="0",standby="0"}'
    assert values['hailo_device_runs_total' + where] == '1'
    assert values['hailo_device_up' + where] == '1'
    assert values['hailo_model_state{task="pose",model="yolo11n-pose",state="ready"}'] == '1'
    assert int(values['hailo_http_requests_total']) >= 1
    assert server.request('HEAD', '/metrics').status == 200
    assert not [name for name in values if 'yolov8n-pose' in name]
    assert server.post_form({'image': picture, 'model': 'yolov8n-pose'}).status == 200
    values = metrics(server)
    assert values['hailo_model_state{task="pose",model="yolov8n-pose",state="ready"}'] == 1
    assert values['hailo_device_runs_total{task="pose",model="yolov8n-pose",device="sim",index="0",standby="0"}'] == 1
