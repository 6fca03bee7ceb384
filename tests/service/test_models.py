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
from server import BINARY, SANITIZER, png, run
from shop import BODY, OTHER, OTHER_SHA, SHA, checkpoint

def ends_well(process):
    out, err = process.communicate(timeout=60)
    assert not SANITIZER.search(err), err
    assert process.returncode == 0, err
    return out, err


# ---- pull

def test_pull(shop):
    shop.simple(size=len(BODY))
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 0, done
    for words in ('A model for tests', 'Made-up-1.0 <https://example.org/licence>', 'Only for tests.', SHA, 'installed'):
        assert words in done.stdout, done
    assert '100 %' in done.stderr
    assert shop.file().read_bytes() == BODY
    assert shop.left() == ['m-pose.onnx']
    done = shop.models('pull', 'm_pose')
    assert done.returncode == 0 and 'already installed' in done.stdout
    assert len(shop.files.requests) == 1


def test_pull_of_several(shop):
    shop.simple('a-pose')
    shop.simple('b-pose')
    done = shop.models('pull', 'a-pose', 'none-pose', 'b_pose')
    assert done.returncode == 1
    assert "unknown model 'none-pose'. `hailo-pose models list` lists the models" in done.stderr
    assert "unknown model 'aa-pose'. Did you mean 'a-pose'? " in shop.models('pull', 'aa-pose').stderr
    assert shop.left() == ['a-pose.onnx', 'b-pose.onnx']


def test_the_default(shop, tmp_path):
    for name in ('a-pose', 'yolo11n-pose', 'z-pose'):
        shop.simple(name)
    assert shop.models('pull', 'a-pose').returncode == 0
    assert shop.models('pull').returncode == 0
    assert shop.left() == ['a-pose.onnx', 'yolo11n-pose.onnx']
    assert shop.models('pull', '--set', 'model.name=z_pose').returncode == 0
    assert 'z-pose.onnx' in shop.left()
    (tmp_path / 'own.yaml').write_text('model:\n  name: none-pose\n')
    done = shop.models('pull', '--config', 'own.yaml')
    assert done.returncode == 1 and 'none-pose' in done.stderr


def test_where_the_store_is(shop, tmp_path):
    shop.simple()
    for arguments, folder in ((['--models', 'a'], 'a'), (['--set', 'model.dir=b'], 'b')):
        assert shop.models('pull', 'm-pose', *arguments).returncode == 0
        assert (tmp_path / folder / 'm-pose.onnx').exists()
    (tmp_path / 'own.json').write_text(json.dumps({'model': {'dir': 'c', 'packs_dir': str(shop.packs)}}))
    env = shop.env()
    del env['HS_MODELS_DIR'], env['HS_PACKS_DIR']
    done = run(tmp_path, '--config', 'own.json', 'models', 'pull', 'm-pose', env=env)
    assert done.returncode == 0, done
    assert (tmp_path / 'c' / 'm-pose.onnx').exists()
    assert shop.left() == []


def test_a_mirror_comes_first(shop, tmp_path):
    shop.simple()
    (tmp_path / 'mirror').mkdir()
    (tmp_path / 'mirror' / 'm-pose.onnx').write_bytes(BODY)
    for arguments, more in ((['--mirror', 'mirror'], {}), (['--set', 'model.mirror=mirror/'], {}),
                            ([], {'HS_MODELS_MIRROR': str(tmp_path / 'mirror')})):
        done = shop.models('pull', 'm-pose', '--force', *arguments, **more)
        assert done.returncode == 0, done
        assert 'mirror/m-pose.onnx' in done.stderr
    assert not shop.files.requests
    (tmp_path / 'mirror' / 'm-pose.onnx').write_bytes(OTHER)
    done = shop.models('pull', 'm-pose', '--force', '--mirror', 'mirror')
    assert done.returncode == 0
    assert OTHER_SHA in done.stderr
    assert shop.file().read_bytes() == BODY
    shop.files.files['/deep/m-pose.onnx'] = BODY
    assert shop.models('pull', 'm-pose', '--force', '--mirror', shop.files.url + '/deep').returncode == 0
    assert shop.files.requests[-1][0] == '/deep/m-pose.onnx'
    assert shop.left() == ['m-pose.onnx']


@pytest.mark.parametrize('ranges', [True, False])
def test_a_cut_pull(shop, ranges):
    shop.simple()
    shop.files.ranges = ranges
    shop.files.cuts = [len(BODY) // 2, 0]
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 1
    assert 'm-pose.onnx' in done.stderr
    assert not shop.file().exists()
    if ranges:
        assert shop.file('m-pose.onnx.part').read_bytes() == BODY[:len(BODY) // 2]
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 0, done
    assert shop.file().read_bytes() == BODY
    if ranges:
        assert shop.files.requests[-1][1] == f'bytes={len(BODY) // 2}-'
        assert shop.files.sent[-1] == (206, len(BODY) - len(BODY) // 2)
    assert shop.left() == ['m-pose.onnx']


def test_a_connection_that_breaks_again_and_again(shop):
    shop.simple()
    shop.files.cuts = [100000, 50000, 1, 100000]
    assert shop.models('pull', 'm-pose').returncode == 0
    assert shop.file().read_bytes() == BODY
    assert len(shop.files.requests) == 5


@pytest.mark.parametrize('sha256', [OTHER_SHA, None])
def test_content_that_changes_in_between(shop, sha256):
    shop.simple(sha256=sha256)
    shop.files.cuts = [len(BODY) // 2, 0]
    assert shop.models('pull', 'm-pose').returncode == 1
    shop.files.files['/m-pose.onnx'] = OTHER
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 0, done
    assert shop.file().read_bytes() == OTHER


def test_a_wrong_hash_leaves_nothing(shop):
    shop.simple(sha256=OTHER_SHA)
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 1
    assert SHA in done.stderr and OTHER_SHA in done.stderr
    assert shop.left() == []


def test_size_limits(shop):
    shop.simple('big-pose')
    shop.files.announce = 3 << 30
    done = shop.models('pull', 'big-pose')
    assert done.returncode == 1 and 'more bytes' in done.stderr
    shop.files.announce = None
    shop.simple(size=len(BODY) - 1)
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 1 and 'more bytes' in done.stderr
    assert shop.left() == []


def test_a_stalled_server(shop):
    small = BODY[:1500]  # with more bytes, libcurl's speed would be above the least one for some seconds
    shop.files.files['/m-pose.onnx'] = small
    shop.simple(sha256=hashlib.sha256(small).hexdigest())
    shop.files.hold()
    done = shop.models('pull', 'm-pose', '--timeout', '1')
    assert done.returncode == 1
    assert 'the server stalled' in done.stderr
    assert len(shop.files.requests) == 1
    assert not shop.file().exists()
    shop.files.release()
    assert shop.models('pull', 'm-pose').returncode == 0
    assert shop.files.requests[-1][1] == f'bytes={len(small) // 2}-'


def test_no_such_file(shop):
    shop.simple()
    shop.files.files.clear()
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 1
    assert 'the server responded with status 404' in done.stderr
    assert shop.left() == []


def test_nobody_there(shop, tmp_path):
    shop.simple()
    shop.files.dead = True
    done = shop.models('pull', 'm-pose', '--mirror', tmp_path / 'absent')
    assert done.returncode == 1
    assert 'absent/m-pose.onnx: file not found; ' in done.stderr  # every source is named with its error
    assert shop.left() == []


def test_redirects(shop):
    shop.simple()
    shop.files.redirects['/m-pose.onnx'] = shop.files.url + '/elsewhere'
    shop.files.files['/elsewhere'] = BODY
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 1  # addresses in packs may redirect to https only
    assert 'https' in done.stderr
    assert shop.models('pull', 'm-pose', '--mirror', shop.files.url).returncode == 0
    assert shop.file().read_bytes() == BODY
    shop.files.redirects['/m-pose.onnx'] = shop.files.url + '/m-pose.onnx'
    assert shop.models('pull', 'm-pose', '--force', '--mirror', shop.files.url).returncode == 1
    assert shop.file().read_bytes() == BODY


def test_a_package_of_npm_without_npm(shop, tmp_path):
    """Pulls from the registry that npm is configured for, with its token."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode='w:gz') as tar:
        member = tarfile.TarInfo('package/m.onnx')
        member.size = len(BODY)
        tar.addfile(member, io.BytesIO(BODY))
    shop.pack('m-pose', f'''openvino:
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
    shop.files.files[place] = archive.getvalue()
    host = shop.files.url.removeprefix('http:')
    (tmp_path / '.npmrc').write_text(f'registry={shop.files.url}/registry/\n{host}/registry/:_authToken=token\n')
    (tmp_path / 'nothing').mkdir()
    done = shop.models('pull', 'm-pose', PATH=str(tmp_path / 'nothing'))
    assert done.returncode == 0, done
    assert shop.files.requests == [(place, None, None)]
    assert shop.files.authorizations == ['Bearer token']
    assert shop.file().read_bytes() == BODY
    assert shop.left() == ['m-pose.onnx']
    shop.files.files[place] = archive.getvalue()[::-1]
    done = shop.models('pull', 'm-pose', '--force', npm_config_registry=shop.files.url + '/none')
    assert done.returncode == 1 and '@some/thing 1.2.3 (npm): the server responded with status 404' in done.stderr
    assert shop.files.authorizations[-1] is None
    done = shop.models('pull', 'm-pose', '--force')
    assert done.returncode == 1 and 'has the SHA-256' in done.stderr
    assert shop.file().read_bytes() == BODY
    assert shop.left() == ['m-pose.onnx']


def test_two_pulls_at_once(shop):
    shop.simple()
    shop.files.hold()
    first = shop.start('pull', 'm-pose')
    assert shop.files.half_sent.wait(30)
    second = shop.start('pull', 'm-pose')
    for line in second.stderr:
        if 'waiting for another program' in line:
            break
    assert not shop.file().exists()
    shop.files.release()
    assert 'installed' in ends_well(first)[0]
    assert 'already installed' in ends_well(second)[0]
    assert len(shop.files.requests) == 1
    assert shop.left() == ['m-pose.onnx']


def test_a_killed_pull(shop):
    shop.simple()
    shop.files.hold()
    process = shop.start('pull', 'm-pose')
    assert shop.files.half_sent.wait(30)
    deadline = time.monotonic() + 30
    part = shop.file('m-pose.onnx.part')
    while not (part.exists() and part.stat().st_size == len(BODY) // 2) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    shop.files.release()
    assert not shop.file().exists()
    done = shop.models('verify')
    assert done.returncode == 0 and 'no model files' in done.stdout
    assert shop.models('list').returncode == 0
    assert shop.models('pull', 'm-pose').returncode == 0
    assert shop.files.requests[-1][1] == f'bytes={len(BODY) // 2}-'
    assert shop.models('verify', 'm-pose').returncode == 0
    assert shop.left() == ['m-pose.onnx']


def test_a_killed_pull_of_a_file_that_was_there(shop):
    shop.simple()
    assert shop.models('pull', 'm-pose').returncode == 0
    shop.files.hold()
    process = shop.start('pull', 'm-pose', '--force')
    assert shop.files.half_sent.wait(30)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    shop.files.release()
    assert shop.models('verify', 'm-pose').returncode == 0


def test_a_file_whose_hash_nobody_publishes(shop):
    shop.pack('m-pose', f'''hailo:
  - runtime: "5.1"
    file: m-5.1.hef
    scores: probabilities
    sources:
      - https: {shop.files.url}/v5.1.0/m.hef
  - runtime: "5.2"
    file: m-5.2.hef
    sources:
      - https: {shop.files.url}/v5.2.0/m.hef
''')
    shop.files.files['/v5.2.0/m.hef'] = BODY
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 1 and 'm-pose has no file for openvino' in done.stderr
    done = shop.models('pull', 'm-pose', '--backend', 'hailo', '--runtime', '5.2.0')
    assert done.returncode == 0, done
    assert 'no checksum of this file is published' in done.stdout and SHA in done.stdout
    assert shop.file('m-5.2.hef.sha256').read_text() == f'{SHA}  m-5.2.hef\n'
    assert shop.models('verify', 'm-pose').returncode == 0
    shop.file('m-5.2.hef').unlink()
    shop.files.files['/v5.2.0/m.hef'] = OTHER
    arguments = ['pull', 'm-pose', '--backend', 'hailo', '--runtime', '5.2']
    done = shop.models(*arguments)
    assert done.returncode == 1 and 'instead of' in done.stderr
    assert not shop.file('m-5.2.hef').exists()
    done = shop.models(*arguments, '--force')
    assert done.returncode == 0 and OTHER_SHA in done.stdout
    assert shop.models('verify', 'm-pose').returncode == 0
    shop.files.dead = True
    assert shop.models(*arguments, '--force').returncode == 1
    assert shop.models('verify', 'm-pose').returncode == 0  # a pull that fails removes nothing


STANDBY = ('--device', 'hailo', '--set', 'device.fallback=cpu')


def test_where_the_processor_may_stand_in_its_file_comes_too(shop):
    hef = f'hailo:\n  - runtime: "5.1"\n    file: FILE.hef\n    sources:\n      - https: {shop.files.url}/m.hef\n'
    shop.files.files['/m.hef'] = BODY
    shop.simple()
    with open(shop.packs / 'm-pose.yaml', 'a', encoding='utf-8') as pack:
        pack.write(hef.replace('FILE', 'm'))
    shop.pack('only-pose', hef.replace('FILE', 'only'))
    shop.simple('yolo11n-pose')  # the processor's file
    assert shop.models('pull', 'm-pose', '--device', 'hailo').returncode == 0
    assert shop.models('pull', 'm-pose', '--backend', 'hailo', *STANDBY).returncode == 0
    assert shop.left() == ['m.hef', 'm.hef.sha256']
    done = shop.models('pull', 'm-pose', *STANDBY)
    assert done.returncode == 0, done
    assert shop.left() == ['m-pose.onnx', 'm.hef', 'm.hef.sha256']
    done = shop.models('pull', 'only-pose', *STANDBY)
    assert done.returncode == 0, done
    assert shop.left() == ['m-pose.onnx', 'm.hef', 'm.hef.sha256', 'only.hef', 'only.hef.sha256', 'yolo11n-pose.onnx']


# ---- verify, remove, list

def test_verify_finds_a_flipped_bit(shop):
    shop.simple()
    assert shop.models('pull', 'm-pose').returncode == 0
    done = shop.models('verify')
    assert done.returncode == 0 and f'm-pose.onnx: ok {SHA}' in done.stdout
    changed = bytearray(BODY)
    changed[123456] ^= 1
    shop.file().write_bytes(changed)
    for arguments in (['verify'], ['verify', 'm_pose']):
        done = shop.models(*arguments)
        assert done.returncode == 1
        assert 'm-pose.onnx: WRONG' in done.stdout
    assert shop.models('pull', 'm-pose').returncode == 0
    assert shop.file().read_bytes() == BODY


def test_verify_of_what_is_not_there(shop):
    shop.simple()
    assert shop.models('verify').returncode == 0
    done = shop.models('verify', 'm-pose')
    assert done.returncode == 1 and 'm-pose.onnx: missing' in done.stdout
    assert shop.models('verify', 'none').returncode == 1
    assert shop.left() == []


def test_remove_of_a_shipped_model(shop):
    shop.simple()
    assert shop.models('pull', 'm-pose').returncode == 0
    done = shop.models('remove', 'm_pose')
    assert done.returncode == 0 and 'removed 1 file\n' in done.stdout
    assert shop.left() == []
    assert 'm-pose' in shop.models('list').stdout
    assert 'removed 0 files\n' in shop.models('remove', 'm-pose').stdout
    assert shop.models('remove', 'none').returncode == 1


def test_list(shop, tmp_path):
    shop.simple('a-pose', size=len(BODY))
    shop.simple('yolo11n-pose', sha256=None)
    assert shop.models('pull', 'a-pose').returncode == 0
    done = shop.models('list')
    assert done.returncode == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if '-pose' in line}
    assert 'installed' in rows['a-pose'] and '0.3 MB' in rows['a-pose'] or '300.0 kB' in rows['a-pose']
    assert ' * ' in rows['a-pose'] and ' * ' not in rows['yolo11n-pose']
    assert 'Made-up-1.0' in rows['yolo11n-pose']
    assert str(shop.store) in done.stdout
    listing = json.loads(shop.models('list', '--json').stdout)
    assert listing['folder'] == str(shop.store)
    first, second = listing['models']
    assert (first['name'], first['task'], first['licence'], first['keypoints']) == ('a-pose', 'pose', 'Made-up-1.0', 17)
    assert first['files'] == [{'backend': 'openvino', 'file': 'a-pose.onnx', 'size': len(BODY), 'sha256': SHA,
                               'installed': True, 'default': True, 'decode': 'yolo-pose-raw'}]
    assert second['files'][0]['installed'] is False and 'sha256' not in second['files'][0]
    (tmp_path / 'packs' / 'broken.yaml').write_text('name: broken\ntask: dance\n')
    done = shop.models('list')
    assert done.returncode == 1 and 'broken.yaml:2: `task`' in done.stderr


@pytest.mark.parametrize('arguments', [
    [], ['remove'], ['import'], ['import', 'a.onnx'], ['import', '--name', 'a'], ['import', 'a', 'b', '--name', 'c'],
    ['list', 'm-pose'], ['pull', '--timeout', 'often'], ['pull', '--timeout', '0'], ['pull', '--mirror'],
    ['import', 'a.onnx', '--name', 'a', '--dims', '4'], ['pull', '--dance']], ids=' '.join)
def test_usage(shop, arguments):
    shop.simple()
    done = shop.models(*arguments)
    assert done.returncode == 2, done
    assert done.stderr.startswith('hailo-pose models') and not done.stdout
    in_options = any(option in arguments for option in ('--timeout', '--mirror', '--dims', '--dance'))
    action = 'ACTION' if in_options or not arguments else arguments[0]
    assert f'\nusage: hailo-pose models {action}' in done.stderr
    assert shop.left() == []


# ---- import

def write(folder, name, data):
    (folder / name).write_bytes(data)
    return name


def test_import_of_an_ordinary_export(shop, tmp_path):
    shop.simple('yolo11n-pose')
    write(tmp_path, 'best.onnx', onnx_bytes.pose(classes=['cat', "dog's"], keypoints=5, dims=2))
    done = shop.models('import', 'best.onnx', '--name', 'mine')
    assert done.returncode == 0, done
    for words in ('mine: 2 classes, 5 keypoints', 'AGPL-3.0 License'):
        assert words in done.stdout
    mine = [each for each in json.loads(shop.models('list', '--json').stdout)['models'] if each['imported']]
    assert [(each['name'], each['classes'], each['keypoints']) for each in mine] == [('mine', 2, 5)]
    assert mine[0]['files'][0]['installed'] is True
    assert shop.models('verify', 'mine').returncode == 0
    stored = shop.file(mine[0]['files'][0]['file'])
    assert stored.read_bytes() == (tmp_path / 'best.onnx').read_bytes()
    data = bytearray(stored.read_bytes())
    data[30] ^= 4
    stored.write_bytes(data)
    assert shop.models('verify', 'mine').returncode == 1

    done = shop.models('remove', 'mine')
    assert done.returncode == 0 and ', and the imported model' in done.stdout
    assert 'mine' not in shop.models('list').stdout
    assert shop.left() == ['packs']
    assert shop.models('remove', 'mine').returncode == 1


@pytest.mark.parametrize('version, classes, shape', [(8, ['person'], (17, 3)), (11, ['person'], (17, 3)),
                                                     (8, ['cat', 'no\xa0dog', 'cat'], (4, 2)), (11, ['hand'], (21, 3))])
def test_import_of_a_checkpoint(shop, tmp_path, version, classes, shape):
    save(tmp_path / 'best.pt', checkpoint(version, classes, shape))
    done = shop.models('import', 'best.pt', '--name', 'mine')
    assert done.returncode == 0, done
    assert 'AGPL-3.0' in done.stdout and '96 x 96 (other sizes too)' in done.stdout
    mine = json.loads(shop.models('list', '--json').stdout)['models'][0]
    assert (mine['name'], mine['classes'], mine['keypoints'], mine['width']) == ('mine', len(classes), shape[0], 96)
    assert mine['files'][0]['decode'] == 'yolo-pose-raw'
    assert shop.models('verify', 'mine').returncode == 0
    if not list(pathlib.Path(os.path.realpath(BINARY)).parent.glob('src/backends/hs_backend_openvino.so')):
        pytest.skip('no CPU backend in the build folder of the program under test')
    (tmp_path / 'a.png').write_bytes(png())
    done = run(tmp_path, 'detect', '--device', 'cpu', '--set', 'model.name=mine', '--json', 'a.png', env=shop.env())
    assert done.returncode == 0, done


@pytest.mark.parametrize('known', [True, False])
def test_pull_of_a_checkpoint(shop, tmp_path, known):
    data = save(tmp_path / 'net.pt', checkpoint(8, ['person'], (17, 3))).read_bytes()
    shop.files.files['/net.pt'] = data
    line = f'      sha256: {hashlib.sha256(data).hexdigest()}\n' if known else ''
    shop.pack('m-pose', f"""openvino:
  file: m-pose.onnx
  sources:
    - https: {shop.files.url}/net.pt
{line}      convert: pt2onnx
""")
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 0, done
    assert 'converting to ONNX' in done.stderr
    assert ('made from a verified checkpoint' if known else 'no checksum of this file is published') in done.stdout
    assert shop.left() == ['m-pose.onnx', 'm-pose.onnx.sha256']
    assert shop.models('verify', 'm-pose').returncode == 0
    shop.file().unlink()
    shop.files.files['/net.pt'] = data[:-1]
    done = shop.models('pull', 'm-pose')
    assert done.returncode == 1, done
    assert shop.left() == ['m-pose.onnx.sha256']


def keypoints_of(shop, name='mine'):
    """Returns the keypoint names in the imported pack."""
    text = (shop.store / 'packs' / f'{name}.yaml').read_text()
    return re.findall(r'^    - "(.*)"$', text.partition('keypoints:')[2], re.MULTILINE)


@pytest.mark.parametrize('names, expected', [
    ({0: ['top_left', 'bottom_right']}, ['top_left', 'bottom_right']),
    ({0: ['a', 'a']}, ['a', 'keypoint_1']), ({0: ['keypoint_1', '']}, ['keypoint_0', 'keypoint_1']),
    ({0: ['x' * 101, 'no: "yaml"']}, ['keypoint_0', r'no: \\"yaml\\"']), ({0: ['only one']}, ['keypoint_0', 'keypoint_1']),
    ('what?', ['keypoint_0', 'keypoint_1'])], ids=['two', 'alike', 'generated', 'long', 'few', 'text'])
def test_keypoint_names_of_a_file(shop, tmp_path, names, expected):
    write(tmp_path, 'a.onnx', onnx_bytes.pose(classes=['card'], keypoints=2, dims=2, kpt_names=repr(names)))
    assert shop.models('import', 'a.onnx', '--name', 'mine').returncode == 0
    assert keypoints_of(shop) == [each.replace(r'\\', '\\') for each in expected]


def test_keypoint_names_of_a_checkpoint(shop, tmp_path):
    data = checkpoint(8, ['card'], (2, 2))
    data['model'].kpt_names = {0: ['top_left', 'bottom_right']}
    save(tmp_path / 'best.pt', data)
    done = shop.models('import', 'best.pt', '--name', 'mine')
    assert done.returncode == 0, done
    assert keypoints_of(shop) == ['top_left', 'bottom_right']


def test_keypoint_names_of_people(shop, tmp_path):
    """COCO's names imply COCO's edges; a model with 17 other names keeps its names and has no edges."""
    shop.simple('yolo11n-pose')
    for name, names in (('plain', None), ('coco', [f'joint_{i}' for i in range(17)]), ('own', [f'p{i}' for i in range(17)])):
        more = {'kpt_names': repr({0: names})} if names else {}
        write(tmp_path, 'a.onnx', onnx_bytes.pose(**more))
        assert shop.models('import', 'a.onnx', '--name', name).returncode == 0
        assert keypoints_of(shop, name) == (names or [f'joint_{i}' for i in range(17)])
        assert ('edges:' in (shop.store / 'packs' / f'{name}.yaml').read_text()) == (name != 'own')


def test_a_checkpoint_in_the_format_before_torch_1_6(shop, tmp_path):
    write(tmp_path, 'old.pt', b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.' + bytes(100))
    done = shop.models('import', 'old.pt', '--name', 'mine')
    assert done.returncode == 1
    assert 'old.pt: the checkpoint has the format of torch before 1.6; save it again with a newer torch' in done.stderr
    assert shop.left() == []


def test_an_imported_model_is_used(shop, tmp_path):
    write(tmp_path, 'best.onnx', onnx_bytes.raw_pose())
    write(tmp_path, 'a.png', png())
    assert shop.models('import', 'best.onnx', '--name', 'mine').returncode == 0
    done = run(tmp_path, 'detect', '--device', 'sim', '--set', 'model.name=mine', '--json', 'a.png', env=shop.env())
    assert done.returncode == 0, done
    assert 'keypoint_16' in done.stdout


def test_import_without_metadata(shop, tmp_path):
    write(tmp_path, 'plain.onnx', onnx_bytes.pose(metadata=False))
    done = shop.models('import', 'plain.onnx', '--name', 'mine')
    assert done.returncode == 1 and '--keypoints' in done.stderr
    done = shop.models('import', 'plain.onnx', '--name', 'mine', '--keypoints', '16')
    assert done.returncode == 1 and '56 channels' in done.stderr
    done = shop.models('import', 'plain.onnx', '--name', 'mine', '--keypoints', '17', '--licence', 'MIT', '--title', 'My own')
    assert done.returncode == 0, done
    line = [each for each in shop.models('list').stdout.splitlines() if each.startswith('mine')][0]
    assert 'MIT' in line and 'My own (imported)' in line


def test_imports_that_are_refused(shop, tmp_path):
    cases = {'external.onnx': (onnx_bytes.with_external_weights(), 'the weights are stored in other files'),
             'detect.onnx': (onnx_bytes.pose(task='detect'), 'only pose models'),
             'text.onnx': (b'hello', 'not an ONNX model'), 'empty.pt': (b'', 'not an ONNX model'),
             'cut.onnx': (onnx_bytes.pose()[:-10], 'cut.onnx'), 'zip.pt': (b'PK\3\4' + bytes(100), 'zip.pt')}
    for name, (data, reason) in cases.items():
        write(tmp_path, name, data)
        done = shop.models('import', name, '--name', 'mine')
        assert done.returncode == 1, done
        assert name in done.stderr and reason in done.stderr, done
    assert shop.models('import', 'absent.onnx', '--name', 'mine').returncode == 1
    assert shop.left() == []


def test_names_of_imports(shop, tmp_path):
    shop.simple('some-pose')
    write(tmp_path, 'a.onnx', onnx_bytes.pose())
    write(tmp_path, 'b.onnx', onnx_bytes.pose(classes=['b']))
    for name in ('some-pose', 'some_pose'):
        done = shop.models('import', 'a.onnx', '--name', name, '--force')
        assert done.returncode == 1 and 'is a built-in model' in done.stderr
    for name in ('auto', '../mine', 'Mine', 'a b'):
        assert shop.models('import', 'a.onnx', '--name', name).returncode == 1
    assert shop.models('import', 'a.onnx', '--name', '').returncode == 2
    assert shop.left() == []
    assert shop.models('import', 'a.onnx', '--name', 'mine').returncode == 0
    done = shop.models('import', 'b.onnx', '--name', 'mine')
    assert done.returncode == 1 and '--force' in done.stderr
    assert shop.models('import', 'b.onnx', '--name', 'mine', '--force').returncode == 0
    assert len(shop.left()) == 2  # the file and `packs`
    assert shop.models('verify', 'mine').returncode == 0


def test_import_of_a_hef(shop, tmp_path):
    write(tmp_path, 'mine.hef', b'\x01HEF' + bytes(100))
    assert shop.models('import', 'mine.hef', '--name', 'mine').returncode == 0
    mine = json.loads(shop.models('list', '--json').stdout)['models'][0]
    assert mine['files'][0]['backend'] == 'hailo' and mine['keypoints'] == 17


def test_two_imports_of_one_name_at_once(shop, tmp_path):
    for name in ('a', 'b', 'c'):
        write(tmp_path, f'{name}.onnx', onnx_bytes.pose(classes=[name]))
    processes = [shop.start('import', f'{name}.onnx', '--name', 'mine') for name in ('a', 'b', 'c')]
    codes = sorted([process.communicate() and process.returncode for process in processes])
    assert codes == [0, 1, 1]
    assert shop.models('verify', 'mine').returncode == 0
    assert len(shop.left()) == 2


def test_a_broken_imported_pack_does_not_hide_the_others(shop):
    shop.simple()
    os.makedirs(shop.store / 'packs')
    (shop.store / 'packs' / 'old.yaml').write_text('name: old\n')
    done = shop.models('list')
    assert done.returncode == 0
    assert 'm-pose' in done.stdout and 'old.yaml' in done.stderr
