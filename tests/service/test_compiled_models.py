"""Compiled models on disk: written once, verified before each use, listed, checked and removed with their model."""
import json
import os
import pathlib
import random
import re

import pytest

from checkpoint import save
from server import BINARY, png, run
from repo import checkpoint

HAS_CPU = list(pathlib.Path(os.path.realpath(BINARY)).parent.glob('src/backends/hs_backend_openvino.so'))
pytestmark = pytest.mark.skipif(not HAS_CPU, reason='no CPU backend in the build folder of the program under test')
DETECT = ['--device', 'cpu', '--set', 'model.name=mine', '--set', 'inference.confidence_threshold=0.01', '--json']


@pytest.fixture(name='repo')
def repo_with_a_model(repo, tmp_path):
    """A repo with an imported model of random weights, which finds something in every picture."""
    random.seed(5)
    save(tmp_path / 'best.pt', checkpoint(8, ['person'], (17, 3)))
    assert repo.models('import', 'best.pt', '--name', 'mine').returncode == 0
    (tmp_path / 'a.png').write_bytes(png(96, 96))
    return repo


def detect(repo):
    """Returns the people found, and the log."""
    done = run(repo.folder, 'detect', *DETECT, 'a.png', env=repo.env())
    assert done.returncode == 0, done
    return [(each['bbox'], each['bbox_confidence'], each['keypoints']) for each in json.loads(done.stdout)['poses']], done.stderr


def blobs(repo):
    return sorted((repo.store / 'compiled').glob('*/*.blob'))


def damages():
    """Returns name -> function that damages a blob."""
    def noise(data):
        at = len(data) // 3
        return data[:at] + os.urandom(min(512 << 10, len(data) - at)) + data[at + (512 << 10):]

    def flip(place):
        def change(data):
            data = bytearray(data)
            data[int(place * (len(data) - 1))] ^= 0x10
            return bytes(data)
        return change

    changes = {'noise': noise, 'cut': lambda data: data[:-1000], 'half': lambda data: data[:len(data) // 2],
               'empty': lambda data: b'', 'zeros': lambda data: bytes(len(data))}
    changes.update({f'flip at {place}': flip(place) for place in (0, 0.001, 0.25, 0.5, 0.75, 1)})
    return changes


def test_damaged_files_are_compiled_again(repo):
    """Noise, cuts, zeros and single bits: the answers stay the same, the log reports it once, and the file is
    repaired."""
    right, said = detect(repo)
    assert right and 'damaged' not in said
    [blob] = blobs(repo)
    whole = blob.read_bytes()
    assert detect(repo) == (right, '')
    for name, change in damages().items():
        blob.chmod(0o644)
        blob.write_bytes(change(whole))
        assert 'DAMAGED' in repo.models('verify', 'mine').stdout, name
        found, said = detect(repo)
        assert found == right, name
        assert said.count('the compiled model is damaged') == 1, (name, said)
        assert detect(repo) == (right, ''), name
        [blob] = blobs(repo)
        assert blob.stat().st_size == len(whole)


def test_listed_verified_and_removed(repo):
    detect(repo)
    [blob] = blobs(repo)
    file = [each for each in json.loads(repo.models('list', '--json').stdout)['models'] if each['name'] == 'mine'][0]['files'][0]
    assert blob.stat().st_size < file['compiled_bytes'] < blob.stat().st_size + 1000
    head, *rows = repo.models('list').stdout.splitlines()
    [row] = [row for row in rows if row.startswith('mine')]
    assert re.match(r'[\d.]+ [kM]B', row[head.index('COMPILED'):].strip()), (head, row)
    done = repo.models('verify')
    assert done.returncode == 0 and f'{file["file"]}: compiled: ok (1, ' in done.stdout
    (blob.parent / 'sum').unlink()
    done = repo.models('verify', 'mine')
    assert done.returncode == 1 and f'{file["file"]}: compiled: DAMAGED' in done.stdout
    done = repo.models('remove', 'mine')
    assert done.returncode == 0 and ' of compiled models' in done.stdout
    assert not list((repo.store / 'compiled').iterdir())


def test_replacing_a_model_removes_its_compiled_file(repo, tmp_path):
    detect(repo)
    before = blobs(repo)
    save(tmp_path / 'other.pt', checkpoint(11, ['person'], (17, 3)))
    assert repo.models('import', 'other.pt', '--name', 'mine', '--force').returncode == 0
    assert not blobs(repo)
    detect(repo)
    assert len(blobs(repo)) == 1 and blobs(repo) != before


def test_separate_cache_folder(repo, tmp_path):
    """Other files in inference.cache_dir are kept."""
    folder = tmp_path / 'elsewhere'
    (folder / 'f32').mkdir(parents=True)
    (folder / 'f32' / '1.blob').write_bytes(b'of a former version')
    (folder / 'mine.txt').write_bytes(b'of the user')
    arguments = ['--set', f'inference.cache_dir={folder}']
    done = run(repo.folder, 'detect', *DETECT, *arguments, 'a.png', env=repo.env())
    assert done.returncode == 0, done
    assert not blobs(repo) and len(list(folder.glob('*/*.blob'))) == 1
    assert not (folder / 'f32').exists() and (folder / 'mine.txt').exists()
    assert repo.models('remove', 'mine', *arguments).returncode == 0
    assert [each.name for each in folder.iterdir()] == ['mine.txt']
