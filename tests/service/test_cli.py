"""The command line: subcommands, options, configuration files, exit codes."""
import json
import os
import socket

import pytest

from server import BINARY, Server, check_digits, environment, oversized_png, png

SUBCOMMANDS = ['serve', 'detect', 'bench', 'eval', 'compare-devices', 'models', 'backends', 'config', 'selftest',
               'completion', 'help', 'version']
DEFAULTS = {('server', 'host'): '0.0.0.0', ('server', 'port'): 11436, ('inference', 'confidence_threshold'): 0.5,
            ('inference', 'iou_threshold'): 0.45, ('inference', 'max_detections'): 10,
            ('pose', 'keypoint_threshold'): 0.3, ('pose', 'skeleton_connections'): True, ('model', 'keep_alive'): -1}

GOOD = '''server:
  host: 127.0.0.1
  port: 11500
model:
  name: yolov8s-pose
inference:
  confidence_threshold: 0.4
pose:
  skeleton_connections: false
'''
BAD = '''server:
  host: 127.0.0.1
  port: 70000
model:
  name: yolov8s-pose
inference:
  confidence_threshold: often
  shoe_size: 44
pose:
  keypoint_threshold: -1
'''


# ---- usage

def test_version(cli):
    for argument in ('version', '--version', '-V'):
        done = cli(argument)
        assert done.returncode == 0
        assert done.stdout.startswith('hailo-pose ')


def test_help_names_every_subcommand(cli):
    done = cli('--help')
    assert done.returncode == 0
    for name in SUBCOMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize('name', SUBCOMMANDS)
def test_help_of_a_subcommand(cli, name):
    done = cli(name, '--help')
    assert done.returncode == 0, done
    assert name in done.stdout
    assert not done.stderr


@pytest.mark.parametrize('arguments', [
    [], ['dance'], ['--dance'], ['serve', '--dance'], ['serve', '--port'], ['serve', '--port', 'many'],
    ['serve', '--port', '70000'], ['serve', 'extra'], ['serve', '--set', 'nothing'], ['detect'], ['config'],
    ['config', 'dance'], ['config', 'render', '--input', 'a.yaml'], ['eval'], ['models', 'dance']],
    ids=lambda arguments: ' '.join(arguments) or 'nothing')
def test_usage_errors(cli, arguments):
    done = cli(*arguments)
    assert done.returncode == 2, done
    assert done.stderr.startswith('hailo-pose') and '\nusage: hailo-pose ' in done.stderr
    assert not done.stdout


@pytest.mark.parametrize('arguments, meant', [
    (['detecct'], 'detect'), (['detect', '--drow', 'x'], '--draw'), (['models', 'lst'], 'list'), (['config', 'shwo'], 'show'),
    (['backends', 'biuld'], 'build'), (['--modells', 'x'], '--models'), (['help', 'selftset'], 'selftest')], ids=str)
def test_an_unknown_word_is_answered_by_the_nearest(cli, arguments, meant):
    done = cli(*arguments)
    assert done.returncode == 2 and f". Did you mean '{meant}'?\nusage: hailo-pose " in done.stderr, done


@pytest.mark.parametrize('text', [None, '', '{', '[]', '{"images": []}', '{"categories": [], "images": [], "annotations": []}'])
def test_eval_of_annotations_that_cannot_be_read(cli, tmp_path, text):
    if text is not None:
        (tmp_path / 'set.json').write_text(text)
    done = cli('eval', '--coco', 'set.json', '--images', '.')
    assert done.returncode == 1 and 'set.json' in done.stderr and not done.stdout, done


# ---- configuration

def test_config_check_lists_the_files_read(cli, tmp_path):
    (tmp_path / 'good.yaml').write_text(GOOD)
    done = cli('config', 'check', '--config', 'good.yaml')
    assert (done.returncode, done.stdout) == (0, 'good.yaml is valid\n')
    done = cli('config', 'check')
    place = tmp_path / 'hailo-pose' / 'hailo-pose.json'
    assert (done.returncode, done.stdout) == (0, f'No configuration file ({place} or '
                                              '/etc/hailo/hailo-pose.yaml); the defaults are used\n')
    place.parent.mkdir()
    place.write_text('{"server": {"port": 1}}')
    assert cli('config', 'check').stdout == f'{place} is valid\n'


def test_check_and_serve_agree(cli, make_server, tmp_path):
    """`config check` and `serve` both accept a file of two lines."""
    (tmp_path / 'short.yaml').write_text('inference:\n  max_detections: 3\n')
    assert cli('config', 'check', '--config', 'short.yaml').returncode == 0
    server = make_server(arguments=['--config', 'short.yaml', '--set', 'logging.level=DEBUG'])
    server.assert_healthy()
    assert 'No configuration file' not in server.log
    assert json.loads(cli('config', 'show', '--config', 'short.yaml').stdout)['inference']['max_detections'] == 3


@pytest.mark.parametrize('command', [['config', 'check', '--config'], ['config', 'render', '--output', 'o.json', '--input'],
                                     ['serve', '--config']])
def test_fifo_and_device_are_not_a_configuration(cli, tmp_path, command):
    os.mkfifo(tmp_path / 'fifo')
    for path in ('fifo', '/dev/zero', '/dev/null'):
        done = cli(*command, path)
        assert done.returncode == 1 and f'{path} is not a regular file' in done.stderr, done


def test_all_config_errors_are_reported_with_lines(cli, tmp_path):
    (tmp_path / 'bad.yaml').write_text(BAD)
    done = cli('config', 'check', '--config', 'bad.yaml')
    assert done.returncode == 1
    for line, words in ((3, ['server.port', '70000', '65535']), (7, ['inference.confidence_threshold', 'often']),
                        (8, ['shoe_size']), (10, ['pose.keypoint_threshold', '-1', '0'])):
        found = [text for text in done.stderr.splitlines() if f'bad.yaml:{line}:' in text]
        assert found, (line, done.stderr)
        for word in words:
            assert word in found[0], found


def test_unknown_keys_only_warn(cli, tmp_path):
    (tmp_path / 'odd.yaml').write_text(GOOD + 'shoe_size: 44\n')
    done = cli('config', 'check', '--config', 'odd.yaml')
    assert done.returncode == 0
    assert 'odd.yaml:10' in done.stderr and 'shoe_size' in done.stderr
    assert done.stdout == 'odd.yaml is valid, with 1 warning\n'


@pytest.mark.parametrize('text', ['{', 'server: [', 'a: b: c', '\t- x', 'server: &a {host: x}\nmodel: *a'])
def test_unreadable_configuration(cli, tmp_path, text):
    (tmp_path / 'broken.yaml').write_text(text)
    done = cli('config', 'check', '--config', 'broken.yaml')
    assert done.returncode == 1
    assert 'broken.yaml' in done.stderr


def test_config_render(cli, tmp_path):
    (tmp_path / 'in.yaml').write_text(GOOD + 'resource_limits:\n  memory_max: 2G\n')
    done = cli('config', 'render', '--output', 'deep/out.json', '--input', 'in.yaml')
    assert done.returncode == 0, done
    rendered = json.loads((tmp_path / 'deep' / 'out.json').read_text())
    assert rendered['server'] == {'host': '127.0.0.1', 'port': 11500}
    assert rendered['resource_limits'] == {'memory_max': '2G'}
    assert rendered['pose']['skeleton_connections'] is False


def test_config_render_writes_a_drop_in(cli, tmp_path):
    """`systemctl show` of tests/boot checks that systemd reads it."""
    drop_in = tmp_path / 'hailo-pose.service.d' / '50-resource-limits.conf'
    (tmp_path / 'in.yaml').write_text('resource_limits: {memory_max: 1G, cpu_quota: "250%"}\n')

    def lines():
        return [line for line in drop_in.read_text().splitlines() if not line.startswith('#')]
    done = cli('config', 'render', '--drop-in', drop_in, '--config', 'in.yaml')
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    assert lines() == ['[Service]', 'MemoryMax=1073741824', 'CPUQuota=250%']
    assert cli('config', 'render', '--drop-in', drop_in).returncode == 0
    assert lines() == ['[Service]', 'MemoryMax=2147483648', 'CPUQuota=80%']
    done = cli('config', 'render', '--drop-in', drop_in, '--set', 'resource_limits.memory_max=infinity', '--set',
               'resource_limits.cpu_quota=12.5%')
    assert done.returncode == 0
    assert lines() == ['[Service]', 'MemoryMax=infinity', 'CPUQuota=12.5%']
    done = cli('config', 'render', '--drop-in', drop_in, '--set', 'resource_limits.memory_max=1')
    assert done.returncode != 0 and 'too small' in done.stderr
    assert lines() == ['[Service]', 'MemoryMax=infinity', 'CPUQuota=12.5%']


def test_config_render_of_a_file_also_writes_the_drop_in(cli, tmp_path):
    (tmp_path / 'in.yaml').write_text('server: {host: "::1", port: 1}\nmodel: {name: a}\ninference: {x: 1}\npose: {y: 1}\n'
                                      'resource_limits: {memory_max: 3G}\n')
    done = cli('config', 'render', '--input', 'in.yaml', '--output', 'out.json', '--drop-in', 'limits.conf')
    assert done.returncode == 0, done.stderr
    assert 'MemoryMax=3221225472\n' in (tmp_path / 'limits.conf').read_text()
    assert json.loads((tmp_path / 'out.json').read_text())['server']['port'] == 1
    done = cli('config', 'render', '--input', 'in.yaml', '--drop-in', 'limits.conf')
    assert done.returncode == 2 and '--output is missing' in done.stderr


@pytest.mark.parametrize('missing', ['server', 'model', 'inference', 'pose'])
def test_config_render_needs_its_sections(cli, tmp_path, missing):
    document = {'server': {'host': 'a', 'port': 1}, 'model': {'name': 'x'}, 'inference': {}, 'pose': {}}
    del document[missing]
    (tmp_path / 'in.yaml').write_text(json.dumps(document))
    done = cli('config', 'render', '--input', 'in.yaml', '--output', 'out.json')
    assert done.returncode == 1
    assert 'Error: ' in done.stderr and missing in done.stderr
    assert not (tmp_path / 'out.json').exists()


def test_config_show_gives_the_defaults(cli):
    done = cli('config', 'show')
    assert done.returncode == 0, done
    shown = json.loads(done.stdout)
    for (section, key), value in DEFAULTS.items():
        assert shown[section][key] == value, (section, key)


def test_later_sources_win_before_and_after_the_subcommand(cli, tmp_path):
    (tmp_path / 'good.yaml').write_text(GOOD)
    options = ['--config', 'good.yaml', '--set', 'server.port=11600', '--set', 'inference.max_detections=7']
    for arguments in ([*options, 'config', 'show'], ['config', 'show', *options]):
        done = cli(*arguments)
        assert done.returncode == 0, done
        shown = json.loads(done.stdout)
        assert (shown['server']['port'], shown['inference']['max_detections']) == (11600, 7)
        assert (shown['inference']['confidence_threshold'], shown['inference']['iou_threshold']) == (0.4, 0.45)


def test_configuration_in_its_usual_place(cli, tmp_path):
    folder = tmp_path / 'hailo-pose'
    folder.mkdir()
    (folder / 'hailo-pose.json').write_text(json.dumps({'server': {'port': 11700}}))
    assert json.loads(cli('config', 'show').stdout)['server']['port'] == 11700


def test_reference_names_every_contract_key(cli):
    done = cli('config', 'reference')
    assert done.returncode == 0
    for key in ('server.host', 'server.port', 'model.name', 'model.keep_alive', 'inference.confidence_threshold',
                'inference.iou_threshold', 'inference.max_detections', 'inference.input_size',
                'pose.keypoint_threshold', 'pose.skeleton_connections', 'resource_limits.memory_max',
                'resource_limits.cpu_quota'):
        assert key in done.stdout, key


# ---- serve

@pytest.mark.parametrize('option', ['host', 'port', 'device', 'config', 'models', 'set'])
@pytest.mark.parametrize('form', ['--{}=', '--{}'])
def test_an_empty_value_is_a_usage_error(cli, option, form):
    done = cli('serve', form.format(option), *([] if '=' in form else ['']))
    assert done.returncode == 2 and f'--{option}: the value is empty (' in done.stderr, done


@pytest.mark.parametrize('arguments', [['config'], ['config', 'guess'], ['config', 'check', 'a.yaml'], ['backends'],
                                       ['backends', 'eat'], ['compare-devices'], ['detect'], ['eval'], ['models'],
                                       ['models', 'eat'], ['models', 'remove'], ['models', 'import', 'a.onnx'],
                                       ['models', 'list', 'all']])
@pytest.mark.parametrize('program', ['hailo-pose', 'hailo-face'])
def test_wrong_arguments_print_the_usage(cli, program, arguments):
    done = cli(*arguments, program=os.path.join(os.path.dirname(BINARY), program))
    who = f'{program} {arguments[0]}'
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, '') and lines[0].startswith(who), done
    assert lines[1].startswith(f'usage: {who} ') and lines[-1].endswith(" --help'") and len(lines) <= 3, done


@pytest.mark.parametrize('arguments', [['--config', 'absent.yaml'], ['--set', 'server.port=70000'],
                                       ['--set', 'pose.keypoint_threshold=nan'], ['--device', 'toaster'],
                                       ['--host', '203.0.113.77', '--port', '0', '--device', 'sim']])
def test_serve_that_cannot_start(cli, arguments):
    done = cli('serve', *arguments, *([] if '--host' in arguments else ['--host', '127.0.0.1']))
    assert done.returncode in (1, 2), done
    assert done.stderr


def test_serve_on_a_port_in_use(cli):
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        sock.listen()
        port = sock.getsockname()[1]
        done = cli('serve', '--host', '127.0.0.1', '--port', port, '--device', 'sim')
    assert done.returncode == 1
    assert str(port) in done.stderr


def test_invalid_script_of_the_simulated_device(cli, script):
    device = script('latency_ms: 1\nspeed: 9\n')
    done = cli('serve', '--host', '127.0.0.1', '--port', 0, '--device', device)
    assert done.returncode == 1
    assert f'{device[4:]}:2: "speed" is an unknown key' in done.stderr
    done = cli('serve', '--host', '127.0.0.1', '--port', 0, '--device', 'sim:none.yaml')
    assert done.returncode == 1 and 'none.yaml' in done.stderr
    done = cli('serve', '--host', '127.0.0.1', '--port', 0, '--device', 'simulator')
    assert done.returncode == 2 and 'sim:SCRIPT' in done.stderr


def test_unknown_key_in_the_file_does_not_stop_the_service(make_server, tmp_path):
    (tmp_path / 'odd.json').write_text(json.dumps({'shoe_size': 44, 'inference': {'max_detections': 0}}))
    server = make_server(arguments=['--config', str(tmp_path / 'odd.json')])
    assert server.post_form({'image': png()}).json()['count'] == 0
    assert 'shoe_size' in server.log


def test_program_name_can_imply_serve(tmp_path):
    os.symlink(BINARY, tmp_path / 'hailo-pose-server')
    with Server(tmp_path, program=[str(tmp_path / 'hailo-pose-server')]) as server:
        assert server.get('/health').status == 200


# ---- detect

def test_detect_prints_the_api_response(cli, tmp_path):
    (tmp_path / 'a.png').write_bytes(png(64, 48))
    done = cli('detect', '--device', 'sim', '--json', 'a.png')
    assert done.returncode == 0, done
    assert done.stdout.endswith('}\n') and done.stdout.count('\n') == 1
    check_digits(done.stdout)
    result = json.loads(done.stdout)
    result = result[0] if isinstance(result, list) else result
    assert result['image_size'] == {'width': 64, 'height': 48}
    assert result['count'] == len(result['poses'])


def test_detect_several_files(cli, tmp_path):
    """The scripted device finds three people with the scores 230, 226 and 222 of 255."""
    spots = [(100, 0), (300, 10), (500, 20)]
    (tmp_path / 'a.png').write_bytes(png(640, 640, shade=lambda x, y: (
        255 if any(left <= x < left + 90 - less and 100 <= y < 300 for left, less in spots) else 0,) * 3))
    for options, count in (([], 3), (['--max', '2'], 2), (['--max', '0'], 0), (['--conf', '.88'], 2), (['--conf', '0.95'], 0),
                           (['--max', '1', '--conf', '0'], 1), (['--set', 'inference.max_detections=1', '--max', '3'], 3)):
        done = cli('detect', '--device', 'sim', '--json', 'a.png', *options)
        response = json.loads(done.stdout)
        assert (response['count'], response.get('truncated', False)) == (count, '--max' in options and count < 3), options
    for options in (['--max', '1001'], ['--max', '-1'], ['--max', 'all'], ['--conf', '1.5'], ['--conf', 'nan']):
        done = cli('detect', '--device', 'sim', 'a.png', *options)
        assert done.returncode == 2 and f'{options[0]}: must be a ' in done.stderr, done


def test_detect_lines(cli, tmp_path):
    names = [f'{i}.png' for i in range(3)]
    for i, name in enumerate(names):
        (tmp_path / name).write_bytes(png(20 + i, 20))
    done = cli('detect', '--device', 'sim', '--jsonl', *names)
    assert done.returncode == 0, done
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line['image_size']['width'] for line in lines] == [20, 21, 22]


def test_detect_draws(cli, tmp_path):
    (tmp_path / 'a.png').write_bytes(png())
    (tmp_path / 'out').mkdir()
    assert cli('detect', '--device', 'sim', '--draw', 'b.jpg', 'a.png').returncode == 0
    assert (tmp_path / 'b.jpg').read_bytes().startswith(b'\xff\xd8')
    assert cli('detect', '--device', 'sim', '--draw', 'out', 'a.png').returncode == 0
    assert list((tmp_path / 'out').iterdir())


def test_detect_on_files_that_are_not_pictures(cli, tmp_path):
    (tmp_path / 'good.png').write_bytes(png())
    (tmp_path / 'text.jpg').write_text('no picture')
    (tmp_path / 'bomb.png').write_bytes(oversized_png(60000, 60000))
    for name in ('text.jpg', 'bomb.png', 'absent.png', '.'):
        done = cli('detect', '--device', 'sim', '--jsonl', 'good.png', name)
        assert done.returncode == 1, done
        assert name in done.stderr


# ---- models, selftest

def test_models_list(cli):
    done = cli('models', 'list')
    assert done.returncode == 0, done
    for name in ('yolo11n-pose', 'yolov8s-pose', 'yolov8m-pose'):
        assert name in done.stdout


def test_models_import_refuses_other_files(cli, tmp_path):
    (tmp_path / 'best.pt').write_bytes(b'no checkpoint')
    done = cli('models', 'import', 'best.pt', '--name', 'mine', '--models', tmp_path / 'store')
    assert done.returncode == 1, done
    assert 'best.pt' in done.stderr


def test_models_verify_of_an_empty_store(cli, tmp_path):
    done = cli('models', 'verify', 'yolo11n-pose', '--models', tmp_path / 'store',
               env=environment(tmp_path))
    assert done.returncode == 1, done


def test_selftest_on_the_scripted_device(cli):
    done = cli('selftest', '--device', 'sim')
    assert done.returncode == 0, done
    assert 'sim' in done.stdout
