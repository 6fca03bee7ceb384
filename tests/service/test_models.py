"""hailo-pose models list, pull, verify, import, remove, with a separate store and a web server on this machine."""
import hashlib
import io
import json
import os
import pathlib
import re
import signal
import tarfile
import time

import pytest

import onnx_bytes
from checkpoint import save
from server import BINARY, MODELS, SANITIZER, environment, png, run
from repo import BODY, OTHER, OTHER_SHA, SHA, checkpoint

def ends_well(process):
    out, err = process.communicate(timeout=60)
    assert not SANITIZER.search(err), err
    assert process.returncode == 0, err
    return out, err


# ---- pull

def test_pull(repo):
    repo.simple(size=len(BODY))
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 0, done
    for words in ('A model for tests', 'Made-up-1.0 <https://example.org/licence>', 'Only for tests.', SHA, 'installed'):
        assert words in done.stdout, done
    assert '100 %' in done.stderr
    assert repo.file().read_bytes() == BODY
    assert repo.left() == ['m-pose.onnx']
    done = repo.models('pull', 'm_pose')
    assert done.returncode == 0 and 'already installed' in done.stdout
    assert len(repo.files.requests) == 1


def test_pull_of_several(repo):
    repo.simple('a-pose')
    repo.simple('b-pose')
    done = repo.models('pull', 'a-pose', 'none-pose', 'b_pose')
    assert done.returncode == 1
    assert "unknown model 'none-pose'. `hailo-pose models list` lists the models" in done.stderr
    assert "unknown model 'aa-pose'. Did you mean 'a-pose'? " in repo.models('pull', 'aa-pose').stderr
    assert repo.left() == ['a-pose.onnx', 'b-pose.onnx']


def test_default_model(repo, tmp_path):
    for name in ('a-pose', 'yolo11n-pose', 'z-pose'):
        repo.simple(name)
    assert repo.models('pull', 'a-pose').returncode == 0
    assert repo.models('pull').returncode == 0
    assert repo.left() == ['a-pose.onnx', 'yolo11n-pose.onnx']
    assert repo.models('pull', '--set', 'model.name=z_pose').returncode == 0
    assert 'z-pose.onnx' in repo.left()
    (tmp_path / 'own.yaml').write_text('model:\n  name: none-pose\n')
    done = repo.models('pull', '--config', 'own.yaml')
    assert done.returncode == 1 and 'none-pose' in done.stderr


def test_store_location(repo, tmp_path):
    repo.simple()
    for arguments, folder in ((['--models', 'a'], 'a'), (['--set', 'model.dir=b'], 'b')):
        assert repo.models('pull', 'm-pose', *arguments).returncode == 0
        assert (tmp_path / folder / 'm-pose.onnx').exists()
    (tmp_path / 'own.json').write_text(json.dumps({'model': {'dir': 'c', 'packs_dir': str(repo.packs)}}))
    env = repo.env()
    del env['HS_MODELS_DIR'], env['HS_PACKS_DIR']
    done = run(tmp_path, '--config', 'own.json', 'models', 'pull', 'm-pose', env=env)
    assert done.returncode == 0, done
    assert (tmp_path / 'c' / 'm-pose.onnx').exists()
    assert repo.left() == []


def test_mirror_is_tried_first(repo, tmp_path):
    repo.simple()
    (tmp_path / 'mirror').mkdir()
    (tmp_path / 'mirror' / 'm-pose.onnx').write_bytes(BODY)
    for arguments, more in ((['--mirror', 'mirror'], {}), (['--set', 'model.mirror=mirror/'], {}),
                            ([], {'HS_MODELS_MIRROR': str(tmp_path / 'mirror')})):
        done = repo.models('pull', 'm-pose', '--force', *arguments, **more)
        assert done.returncode == 0, done
        assert 'mirror/m-pose.onnx' in done.stderr
    assert not repo.files.requests
    (tmp_path / 'mirror' / 'm-pose.onnx').write_bytes(OTHER)
    done = repo.models('pull', 'm-pose', '--force', '--mirror', 'mirror')
    assert done.returncode == 0
    assert OTHER_SHA in done.stderr
    assert repo.file().read_bytes() == BODY
    repo.files.files['/deep/m-pose.onnx'] = BODY
    assert repo.models('pull', 'm-pose', '--force', '--mirror', repo.files.url + '/deep').returncode == 0
    assert repo.files.requests[-1][0] == '/deep/m-pose.onnx'
    assert repo.left() == ['m-pose.onnx']


@pytest.mark.parametrize('ranges', [True, False])
def test_interrupted_pull_is_resumed(repo, ranges):
    repo.simple()
    repo.files.ranges = ranges
    repo.files.cuts = [len(BODY) // 2, 0]
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 1
    assert 'm-pose.onnx' in done.stderr
    assert not repo.file().exists()
    if ranges:
        assert repo.file('m-pose.onnx.part').read_bytes() == BODY[:len(BODY) // 2]
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 0, done
    assert repo.file().read_bytes() == BODY
    if ranges:
        assert repo.files.requests[-1][1] == f'bytes={len(BODY) // 2}-'
        assert repo.files.sent[-1] == (206, len(BODY) - len(BODY) // 2)
    assert repo.left() == ['m-pose.onnx']


def test_connection_that_breaks_repeatedly(repo):
    repo.simple()
    repo.files.cuts = [100000, 50000, 1, 100000]
    assert repo.models('pull', 'm-pose').returncode == 0
    assert repo.file().read_bytes() == BODY
    assert len(repo.files.requests) == 5


@pytest.mark.parametrize('sha256', [OTHER_SHA, None])
def test_content_that_changes_before_the_resume(repo, sha256):
    repo.simple(sha256=sha256)
    repo.files.cuts = [len(BODY) // 2, 0]
    assert repo.models('pull', 'm-pose').returncode == 1
    repo.files.files['/m-pose.onnx'] = OTHER
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 0, done
    assert repo.file().read_bytes() == OTHER


def test_a_wrong_hash_leaves_nothing(repo):
    repo.simple(sha256=OTHER_SHA)
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 1
    assert SHA in done.stderr and OTHER_SHA in done.stderr
    assert repo.left() == []


def test_size_limits(repo):
    repo.simple('big-pose')
    repo.files.announce = 3 << 30
    done = repo.models('pull', 'big-pose')
    assert done.returncode == 1 and 'more bytes' in done.stderr
    repo.files.announce = None
    repo.simple(size=len(BODY) - 1)
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 1 and 'more bytes' in done.stderr
    assert repo.left() == []


def test_a_stalled_server(repo):
    small = BODY[:1500]  # with more bytes, libcurl's speed would be above the least one for some seconds
    repo.files.files['/m-pose.onnx'] = small
    repo.simple(sha256=hashlib.sha256(small).hexdigest())
    repo.files.hold()
    done = repo.models('pull', 'm-pose', '--timeout', '1')
    assert done.returncode == 1
    assert 'the server stalled' in done.stderr
    assert len(repo.files.requests) == 1
    assert not repo.file().exists()
    repo.files.release()
    assert repo.models('pull', 'm-pose').returncode == 0
    assert repo.files.requests[-1][1] == f'bytes={len(small) // 2}-'


def test_no_such_file(repo):
    repo.simple()
    repo.files.files.clear()
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 1
    assert 'the server responded with status 404' in done.stderr
    assert repo.left() == []


def test_unreachable_server(repo, tmp_path):
    repo.simple()
    repo.files.dead = True
    done = repo.models('pull', 'm-pose', '--mirror', tmp_path / 'absent')
    assert done.returncode == 1
    assert 'absent/m-pose.onnx: file not found; ' in done.stderr  # every source is named with its error
    assert repo.left() == []


def test_redirects(repo):
    repo.simple()
    repo.files.redirects['/m-pose.onnx'] = repo.files.url + '/elsewhere'
    repo.files.files['/elsewhere'] = BODY
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 1  # addresses in packs may redirect to https only
    assert 'https' in done.stderr
    assert repo.models('pull', 'm-pose', '--mirror', repo.files.url).returncode == 0
    assert repo.file().read_bytes() == BODY
    repo.files.redirects['/m-pose.onnx'] = repo.files.url + '/m-pose.onnx'
    assert repo.models('pull', 'm-pose', '--force', '--mirror', repo.files.url).returncode == 1
    assert repo.file().read_bytes() == BODY


def test_a_package_of_npm_without_npm(repo, tmp_path):
    """Pulls from the registry that npm is configured for, with its token."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode='w:gz') as tar:
        member = tarfile.TarInfo('package/m.onnx')
        member.size = len(BODY)
        tar.addfile(member, io.BytesIO(BODY))
    repo.pack('m-pose', f'''openvino:
  file: m-pose.onnx
  sha256: {SHA}
  sources:
    - npm:
        package: "@some/thing"
        version: 1.2.3
        sha256: {hashlib.sha256(archive.getvalue()).hexdigest()}
        member: package/m.onnx
''')
    place = '/registry/@some/thing/-/thing-1.2.3.tgz'
    repo.files.files[place] = archive.getvalue()
    host = repo.files.url.removeprefix('http:')
    (tmp_path / '.npmrc').write_text(f'registry={repo.files.url}/registry/\n{host}/registry/:_authToken=token\n')
    (tmp_path / 'nothing').mkdir()
    done = repo.models('pull', 'm-pose', PATH=str(tmp_path / 'nothing'))
    assert done.returncode == 0, done
    assert repo.files.requests == [(place, None, None)]
    assert repo.files.authorizations == ['Bearer token']
    assert repo.file().read_bytes() == BODY
    assert repo.left() == ['m-pose.onnx']
    repo.files.files[place] = archive.getvalue()[::-1]
    done = repo.models('pull', 'm-pose', '--force', npm_config_registry=repo.files.url + '/none')
    assert done.returncode == 1 and '@some/thing 1.2.3 (npm): the server responded with status 404' in done.stderr
    assert repo.files.authorizations[-1] is None
    done = repo.models('pull', 'm-pose', '--force')
    assert done.returncode == 1 and 'has the SHA-256' in done.stderr
    assert repo.file().read_bytes() == BODY
    assert repo.left() == ['m-pose.onnx']


def test_two_pulls_at_once(repo):
    repo.simple()
    repo.files.hold()
    first = repo.start('pull', 'm-pose')
    assert repo.files.half_sent.wait(30)
    second = repo.start('pull', 'm-pose')
    for line in second.stderr:
        if 'waiting for another program' in line:
            break
    assert not repo.file().exists()
    repo.files.release()
    assert 'installed' in ends_well(first)[0]
    assert 'already installed' in ends_well(second)[0]
    assert len(repo.files.requests) == 1
    assert repo.left() == ['m-pose.onnx']


def test_a_killed_pull(repo):
    repo.simple()
    repo.files.hold()
    process = repo.start('pull', 'm-pose')
    assert repo.files.half_sent.wait(30)
    deadline = time.monotonic() + 30
    part = repo.file('m-pose.onnx.part')
    while not (part.exists() and part.stat().st_size == len(BODY) // 2) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    repo.files.release()
    assert not repo.file().exists()
    done = repo.models('verify')
    assert done.returncode == 0 and 'no model files' in done.stdout
    assert repo.models('list').returncode == 0
    assert repo.models('pull', 'm-pose').returncode == 0
    assert repo.files.requests[-1][1] == f'bytes={len(BODY) // 2}-'
    assert repo.models('verify', 'm-pose').returncode == 0
    assert repo.left() == ['m-pose.onnx']


def test_killed_pull_of_a_present_file(repo):
    repo.simple()
    assert repo.models('pull', 'm-pose').returncode == 0
    repo.files.hold()
    process = repo.start('pull', 'm-pose', '--force')
    assert repo.files.half_sent.wait(30)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    repo.files.release()
    assert repo.models('verify', 'm-pose').returncode == 0


def test_ready_tells_a_missing_model_from_unreadable_settings(repo):
    """systemd skips a unit if its ExecCondition= exits with 1, and the unit fails with 255."""
    repo.simple()
    done = repo.models('ready', '--device', 'cpu')
    assert done.returncode == 1 and 'm-pose.onnx is not in' in done.stderr and not done.stdout
    done = repo.models('ready', '--set', 'server.port=x')
    assert done.returncode == 255 and 'server.port' in done.stderr
    assert repo.models('pull', 'm-pose').returncode == 0
    changed = bytearray(BODY)
    changed[123456] ^= 1
    repo.file().write_bytes(changed)
    assert repo.models('ready', '--device', 'cpu').returncode == 1


@pytest.mark.parametrize('program', ['hailo-pose', 'hailo-face'])
def test_ready_accepts_the_models_that_serve_would_load(tmp_path, program):
    done = run(tmp_path, 'models', 'ready', '--device', 'cpu', program=os.path.join(os.path.dirname(BINARY), program),
               env={**environment(tmp_path), 'HS_MODELS_DIR': MODELS})
    if done.returncode == 1 and ' is not in ' in done.stderr:
        pytest.skip('no weights in .deps/models')
    assert done.returncode == 0 and done.stdout.endswith(': installed\n'), done


def test_verify_of_a_file_that_cannot_be_read(repo):
    repo.simple()
    assert repo.models('pull', 'm-pose').returncode == 0
    repo.file().unlink()
    repo.file().mkdir()
    done = repo.models('verify', 'm-pose')
    assert done.returncode == 1 and str(repo.file()) in done.stderr, done


def test_file_without_a_published_hash(repo):
    repo.pack('m-pose', f'''hailo:
  - runtime: "5.1"
    file: m-5.1.hef
    scores: probabilities
    sources:
      - https: {repo.files.url}/v5.1.0/m.hef
  - runtime: "5.2"
    file: m-5.2.hef
    sources:
      - https: {repo.files.url}/v5.2.0/m.hef
''')
    repo.files.files['/v5.2.0/m.hef'] = BODY
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 1 and 'm-pose has no file for openvino' in done.stderr
    done = repo.models('pull', 'm-pose', '--backend', 'hailo', '--runtime', '5.2.0')
    assert done.returncode == 0, done
    assert 'no checksum of this file is published' in done.stdout and SHA in done.stdout
    assert repo.file('m-5.2.hef.sha256').read_text() == f'{SHA}  m-5.2.hef\n'
    assert repo.models('verify', 'm-pose').returncode == 0
    repo.file('m-5.2.hef').unlink()
    repo.files.files['/v5.2.0/m.hef'] = OTHER
    arguments = ['pull', 'm-pose', '--backend', 'hailo', '--runtime', '5.2']
    done = repo.models(*arguments)
    assert done.returncode == 1 and 'instead of' in done.stderr
    assert not repo.file('m-5.2.hef').exists()
    done = repo.models(*arguments, '--force')
    assert done.returncode == 0 and OTHER_SHA in done.stdout
    assert repo.models('verify', 'm-pose').returncode == 0
    repo.files.dead = True
    assert repo.models(*arguments, '--force').returncode == 1
    assert repo.models('verify', 'm-pose').returncode == 0  # a pull that fails removes nothing


STANDBY = ('--device', 'hailo', '--set', 'device.fallback=cpu')


def test_pull_includes_the_fallback_file(repo):
    hef = f'hailo:\n  - runtime: "5.1"\n    file: FILE.hef\n    sources:\n      - https: {repo.files.url}/m.hef\n'
    repo.files.files['/m.hef'] = BODY
    repo.simple()
    with open(repo.packs / 'm-pose.yaml', 'a', encoding='utf-8') as pack:
        pack.write(hef.replace('FILE', 'm'))
    repo.pack('only-pose', hef.replace('FILE', 'only'))
    repo.simple('yolo11n-pose')  # the processor's file
    assert repo.models('pull', 'm-pose', '--device', 'hailo').returncode == 0
    assert repo.models('pull', 'm-pose', '--backend', 'hailo', *STANDBY).returncode == 0
    assert repo.left() == ['m.hef', 'm.hef.sha256']
    done = repo.models('pull', 'm-pose', *STANDBY)
    assert done.returncode == 0, done
    assert repo.left() == ['m-pose.onnx', 'm.hef', 'm.hef.sha256']
    done = repo.models('pull', 'only-pose', *STANDBY)
    assert done.returncode == 0, done
    assert repo.left() == ['m-pose.onnx', 'm.hef', 'm.hef.sha256', 'only.hef', 'only.hef.sha256', 'yolo11n-pose.onnx']


# ---- verify, remove, list

def test_verify_finds_a_flipped_bit(repo):
    repo.simple()
    assert repo.models('pull', 'm-pose').returncode == 0
    done = repo.models('verify')
    assert done.returncode == 0 and f'm-pose.onnx: ok {SHA}' in done.stdout
    changed = bytearray(BODY)
    changed[123456] ^= 1
    repo.file().write_bytes(changed)
    for arguments in (['verify'], ['verify', 'm_pose']):
        done = repo.models(*arguments)
        assert done.returncode == 1
        assert 'm-pose.onnx: WRONG' in done.stdout
    assert repo.models('pull', 'm-pose').returncode == 0
    assert repo.file().read_bytes() == BODY


def test_verify_of_missing_files(repo):
    repo.simple()
    assert repo.models('verify').returncode == 0
    done = repo.models('verify', 'm-pose')
    assert done.returncode == 1 and 'm-pose.onnx: missing' in done.stdout
    assert repo.models('verify', 'none').returncode == 1
    assert repo.left() == []


def test_remove_of_a_shipped_model(repo):
    repo.simple()
    assert repo.models('pull', 'm-pose').returncode == 0
    done = repo.models('remove', 'm_pose')
    assert done.returncode == 0 and 'removed 1 file\n' in done.stdout
    assert repo.left() == []
    assert 'm-pose' in repo.models('list').stdout
    assert 'removed 0 files\n' in repo.models('remove', 'm-pose').stdout
    assert repo.models('remove', 'none').returncode == 1


def test_list(repo, tmp_path):
    repo.simple('a-pose', size=len(BODY))
    repo.simple('yolo11n-pose', sha256=None)
    assert repo.models('pull', 'a-pose').returncode == 0
    done = repo.models('list')
    assert done.returncode == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if '-pose' in line}
    assert 'installed' in rows['a-pose'] and '0.3 MB' in rows['a-pose'] or '300.0 kB' in rows['a-pose']
    assert ' * ' in rows['a-pose'] and ' * ' not in rows['yolo11n-pose']
    assert 'Made-up-1.0' in rows['yolo11n-pose']
    assert str(repo.store) in done.stdout
    listing = json.loads(repo.models('list', '--json').stdout)
    assert listing['folder'] == str(repo.store)
    first, second = listing['models']
    assert (first['name'], first['task'], first['licence'], first['keypoints']) == ('a-pose', 'pose', 'Made-up-1.0', 17)
    assert first['files'] == [{'backend': 'openvino', 'file': 'a-pose.onnx', 'size': len(BODY), 'sha256': SHA,
                               'installed': True, 'default': True, 'decode': 'yolo-pose-raw'}]
    assert second['files'][0]['installed'] is False and 'sha256' not in second['files'][0]
    (tmp_path / 'packs' / 'broken.yaml').write_text('name: broken\ntask: dance\n')
    done = repo.models('list')
    assert done.returncode == 1 and 'broken.yaml:2: `task`' in done.stderr


@pytest.mark.parametrize('arguments', [
    [], ['remove'], ['import'], ['import', 'a.onnx'], ['import', '--name', 'a'], ['import', 'a', 'b', '--name', 'c'],
    ['list', 'm-pose'], ['pull', '--timeout', 'often'], ['pull', '--timeout', '0'], ['pull', '--mirror'],
    ['import', 'a.onnx', '--name', 'a', '--dims', '4'], ['pull', '--dance']], ids=' '.join)
def test_usage(repo, arguments):
    repo.simple()
    done = repo.models(*arguments)
    assert done.returncode == 2, done
    assert done.stderr.startswith('hailo-pose models') and not done.stdout
    in_options = any(option in arguments for option in ('--timeout', '--mirror', '--dims', '--dance'))
    action = 'ACTION' if in_options or not arguments else arguments[0]
    assert f'\nusage: hailo-pose models {action}' in done.stderr
    assert repo.left() == []


# ---- import

def write(folder, name, data):
    (folder / name).write_bytes(data)
    return name


def test_import_of_an_ordinary_export(repo, tmp_path):
    repo.simple('yolo11n-pose')
    write(tmp_path, 'best.onnx', onnx_bytes.pose(classes=['cat', "dog's"], keypoints=5, dims=2))
    done = repo.models('import', 'best.onnx', '--name', 'mine')
    assert done.returncode == 0, done
    for words in ('mine: 2 classes, 5 keypoints', 'AGPL-3.0 License'):
        assert words in done.stdout
    mine = [each for each in json.loads(repo.models('list', '--json').stdout)['models'] if each['imported']]
    assert [(each['name'], each['classes'], each['keypoints']) for each in mine] == [('mine', 2, 5)]
    assert mine[0]['files'][0]['installed'] is True
    assert repo.models('verify', 'mine').returncode == 0
    stored = repo.file(mine[0]['files'][0]['file'])
    assert stored.read_bytes() == (tmp_path / 'best.onnx').read_bytes()
    data = bytearray(stored.read_bytes())
    data[30] ^= 4
    stored.write_bytes(data)
    assert repo.models('verify', 'mine').returncode == 1

    done = repo.models('remove', 'mine')
    assert done.returncode == 0 and ', and the imported model' in done.stdout
    assert 'mine' not in repo.models('list').stdout
    assert repo.left() == ['packs']
    assert repo.models('remove', 'mine').returncode == 1


@pytest.mark.parametrize('version, classes, shape', [(8, ['person'], (17, 3)), (11, ['person'], (17, 3)),
                                                     (8, ['cat', 'no\xa0dog', 'cat'], (4, 2)), (11, ['hand'], (21, 3))])
def test_import_of_a_checkpoint(repo, tmp_path, version, classes, shape):
    save(tmp_path / 'best.pt', checkpoint(version, classes, shape))
    done = repo.models('import', 'best.pt', '--name', 'mine')
    assert done.returncode == 0, done
    assert 'AGPL-3.0' in done.stdout and '96 x 96 (other sizes too)' in done.stdout
    mine = json.loads(repo.models('list', '--json').stdout)['models'][0]
    assert (mine['name'], mine['classes'], mine['keypoints'], mine['width']) == ('mine', len(classes), shape[0], 96)
    assert mine['files'][0]['decode'] == 'yolo-pose-raw'
    assert repo.models('verify', 'mine').returncode == 0
    if not list(pathlib.Path(os.path.realpath(BINARY)).parent.glob('src/backends/hs_backend_openvino.so')):
        pytest.skip('no CPU backend in the build folder of the program under test')
    (tmp_path / 'a.png').write_bytes(png())
    done = run(tmp_path, 'detect', '--device', 'cpu', '--set', 'model.name=mine', '--json', 'a.png', env=repo.env())
    assert done.returncode == 0, done


@pytest.mark.parametrize('known', [True, False])
def test_pull_of_a_checkpoint(repo, tmp_path, known):
    data = save(tmp_path / 'net.pt', checkpoint(8, ['person'], (17, 3))).read_bytes()
    repo.files.files['/net.pt'] = data
    line = f'      sha256: {hashlib.sha256(data).hexdigest()}\n' if known else ''
    repo.pack('m-pose', f"""openvino:
  file: m-pose.onnx
  sources:
    - https: {repo.files.url}/net.pt
{line}      convert: pt2onnx
""")
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 0, done
    assert 'converting to ONNX' in done.stderr
    assert ('made from a verified checkpoint' if known else 'no checksum of this file is published') in done.stdout
    assert repo.left() == ['m-pose.onnx', 'm-pose.onnx.sha256']
    assert repo.models('verify', 'm-pose').returncode == 0
    repo.file().unlink()
    repo.files.files['/net.pt'] = data[:-1]
    done = repo.models('pull', 'm-pose')
    assert done.returncode == 1, done
    assert repo.left() == ['m-pose.onnx.sha256']


def keypoints_of(repo, name='mine'):
    """Returns the keypoint names in the imported pack."""
    text = (repo.store / 'packs' / f'{name}.yaml').read_text()
    return re.findall(r'^    - "(.*)"$', text.partition('keypoints:')[2], re.MULTILINE)


@pytest.mark.parametrize('names, expected', [
    ({0: ['top_left', 'bottom_right']}, ['top_left', 'bottom_right']),
    ({0: ['a', 'a']}, ['a', 'keypoint_1']), ({0: ['keypoint_1', '']}, ['keypoint_0', 'keypoint_1']),
    ({0: ['x' * 101, 'no: "yaml"']}, ['keypoint_0', r'no: \\"yaml\\"']), ({0: ['only one']}, ['keypoint_0', 'keypoint_1']),
    ('what?', ['keypoint_0', 'keypoint_1'])], ids=['two', 'alike', 'generated', 'long', 'few', 'text'])
def test_keypoint_names_of_a_file(repo, tmp_path, names, expected):
    write(tmp_path, 'a.onnx', onnx_bytes.pose(classes=['card'], keypoints=2, dims=2, kpt_names=repr(names)))
    assert repo.models('import', 'a.onnx', '--name', 'mine').returncode == 0
    assert keypoints_of(repo) == [each.replace(r'\\', '\\') for each in expected]


def test_keypoint_names_of_a_checkpoint(repo, tmp_path):
    data = checkpoint(8, ['card'], (2, 2))
    data['model'].kpt_names = {0: ['top_left', 'bottom_right']}
    save(tmp_path / 'best.pt', data)
    done = repo.models('import', 'best.pt', '--name', 'mine')
    assert done.returncode == 0, done
    assert keypoints_of(repo) == ['top_left', 'bottom_right']


def test_keypoint_names_of_people(repo, tmp_path):
    """COCO's names imply COCO's edges; a model with 17 other names keeps its names and has no edges."""
    repo.simple('yolo11n-pose')
    for name, names in (('plain', None), ('coco', [f'joint_{i}' for i in range(17)]), ('own', [f'p{i}' for i in range(17)])):
        more = {'kpt_names': repr({0: names})} if names else {}
        write(tmp_path, 'a.onnx', onnx_bytes.pose(**more))
        assert repo.models('import', 'a.onnx', '--name', name).returncode == 0
        assert keypoints_of(repo, name) == (names or [f'joint_{i}' for i in range(17)])
        assert ('edges:' in (repo.store / 'packs' / f'{name}.yaml').read_text()) == (name != 'own')


def test_a_checkpoint_in_the_format_before_torch_1_6(repo, tmp_path):
    write(tmp_path, 'old.pt', b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.' + bytes(100))
    done = repo.models('import', 'old.pt', '--name', 'mine')
    assert done.returncode == 1
    assert 'old.pt: the checkpoint has the format of torch before 1.6; save it again with a newer torch' in done.stderr
    assert repo.left() == []


def test_an_imported_model_is_used(repo, tmp_path):
    write(tmp_path, 'best.onnx', onnx_bytes.raw_pose())
    write(tmp_path, 'a.png', png())
    assert repo.models('import', 'best.onnx', '--name', 'mine').returncode == 0
    done = run(tmp_path, 'detect', '--device', 'sim', '--set', 'model.name=mine', '--json', 'a.png', env=repo.env())
    assert done.returncode == 0, done
    assert 'keypoint_16' in done.stdout


def test_import_without_metadata(repo, tmp_path):
    write(tmp_path, 'plain.onnx', onnx_bytes.pose(metadata=False))
    done = repo.models('import', 'plain.onnx', '--name', 'mine')
    assert done.returncode == 1 and '--keypoints' in done.stderr
    done = repo.models('import', 'plain.onnx', '--name', 'mine', '--keypoints', '16')
    assert done.returncode == 1 and '56 channels' in done.stderr
    done = repo.models('import', 'plain.onnx', '--name', 'mine', '--keypoints', '17', '--licence', 'MIT', '--title', 'My own')
    assert done.returncode == 0, done
    line = [each for each in repo.models('list').stdout.splitlines() if each.startswith('mine')][0]
    assert 'MIT' in line and 'My own (imported)' in line


def test_imports_that_are_refused(repo, tmp_path):
    cases = {'external.onnx': (onnx_bytes.with_external_weights(), 'the weights are stored in other files'),
             'detect.onnx': (onnx_bytes.pose(task='detect'), 'only pose models'),
             'text.onnx': (b'hello', 'not an ONNX model'), 'empty.pt': (b'', 'not an ONNX model'),
             'cut.onnx': (onnx_bytes.pose()[:-10], 'cut.onnx'), 'zip.pt': (b'PK\3\4' + bytes(100), 'zip.pt')}
    for name, (data, reason) in cases.items():
        write(tmp_path, name, data)
        done = repo.models('import', name, '--name', 'mine')
        assert done.returncode == 1, done
        assert name in done.stderr and reason in done.stderr, done
    assert repo.models('import', 'absent.onnx', '--name', 'mine').returncode == 1
    assert repo.left() == []


def test_names_of_imports(repo, tmp_path):
    repo.simple('some-pose')
    write(tmp_path, 'a.onnx', onnx_bytes.pose())
    write(tmp_path, 'b.onnx', onnx_bytes.pose(classes=['b']))
    for name in ('some-pose', 'some_pose'):
        done = repo.models('import', 'a.onnx', '--name', name, '--force')
        assert done.returncode == 1 and 'is a built-in model' in done.stderr
    for name in ('auto', '../mine', 'Mine', 'a b'):
        assert repo.models('import', 'a.onnx', '--name', name).returncode == 1
    assert repo.models('import', 'a.onnx', '--name', '').returncode == 2
    assert repo.left() == []
    assert repo.models('import', 'a.onnx', '--name', 'mine').returncode == 0
    done = repo.models('import', 'b.onnx', '--name', 'mine')
    assert done.returncode == 1 and '--force' in done.stderr
    assert repo.models('import', 'b.onnx', '--name', 'mine', '--force').returncode == 0
    assert len(repo.left()) == 2  # the file and `packs`
    assert repo.models('verify', 'mine').returncode == 0


def test_import_of_a_hef(repo, tmp_path):
    write(tmp_path, 'mine.hef', b'\x01HEF' + bytes(100))
    assert repo.models('import', 'mine.hef', '--name', 'mine').returncode == 0
    mine = json.loads(repo.models('list', '--json').stdout)['models'][0]
    assert mine['files'][0]['backend'] == 'hailo' and mine['keypoints'] == 17


def test_two_imports_of_one_name_at_once(repo, tmp_path):
    for name in ('a', 'b', 'c'):
        write(tmp_path, f'{name}.onnx', onnx_bytes.pose(classes=[name]))
    processes = [repo.start('import', f'{name}.onnx', '--name', 'mine') for name in ('a', 'b', 'c')]
    codes = sorted([process.communicate() and process.returncode for process in processes])
    assert codes == [0, 1, 1]
    assert repo.models('verify', 'mine').returncode == 0
    assert len(repo.left()) == 2


def test_a_broken_imported_pack_does_not_hide_the_others(repo):
    repo.simple()
    os.makedirs(repo.store / 'packs')
    (repo.store / 'packs' / 'old.yaml').write_text('name: old\n')
    done = repo.models('list')
    assert done.returncode == 0
    assert 'm-pose' in done.stdout and 'old.yaml' in done.stderr
