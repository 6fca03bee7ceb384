"""Models of the face tasks: pulled with a conversion, verified, removed; a program does not import models of other
tasks."""
import hashlib
import struct

import pytest

import onnx_bytes
from onnx_bytes import field, value_info

EMBEDDING = '''name: NAME
task: face-embedding
title: An embedding for tests
licence: {name: MIT}
input: {width: 112, height: 112, mean: [127, 127, 127], std: [128, 128, 128]}
decode: arcface
embedding: {space: test-space, dimension: 64, threshold: 0.5, threshold_min: 0.4}
'''


def embedding(freed):
    """Returns a Reshape to [1, -1], and its form with a free batch size."""
    node = field(1, 'input') + field(1, 'shape') + field(2, 'output') + field(4, 'Reshape')
    shape = field(1, 2) + field(2, 7) + field(8, 'shape') + field(9, struct.pack('<2q', 0 if freed else 1, -1))
    graph = field(1, node) + field(5, shape) + field(2, 'g')
    for number, name, sides in ((11, 'input', [3, 112, 112]), (12, 'output', [64])):
        dims = field(1, field(2, 'batch') if freed else field(1, 1)) + b''.join(field(1, field(1, n)) for n in sides)
        graph += field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, dims))))
    if not freed:
        graph += field(13, value_info('inner', [1, 64]))
    return field(1, 7) + field(7, graph)


BEFORE, AFTER = embedding(False), embedding(True)


def write_pack(repo, sha256):
    page = EMBEDDING.replace('NAME', 'm-face') + f'''openvino:
  file: m-face.onnx
  sha256: {sha256}
  sources:
    - https: {repo.files.url}/m.onnx
      sha256: {hashlib.sha256(BEFORE).hexdigest()}
      convert: free-batch
'''
    (repo.packs / 'm-face.yaml').write_text(page)


def test_pull_makes_the_batch_dynamic(repo):
    repo.files.files['/m.onnx'] = BEFORE
    write_pack(repo, hashlib.sha256(AFTER).hexdigest())
    done = repo.models('pull', 'm_face')
    assert done.returncode == 0, done
    assert 'making the input shape dynamic' in done.stderr
    assert repo.file('m-face.onnx').read_bytes() == AFTER
    assert repo.models('verify', 'm-face').returncode == 0
    done = repo.models('list')
    assert done.returncode == 0 and 'm-face' not in done.stdout  # the list of a pose program
    done = repo.models('remove', 'm-face')
    assert done.returncode == 0 and repo.left() == []


def test_conversion_with_another_hash_is_rejected(repo):
    repo.files.files['/m.onnx'] = BEFORE
    write_pack(repo, '0' * 64)
    done = repo.models('pull', 'm-face')
    assert done.returncode == 1 and 'the resulting file has the SHA-256' in done.stderr
    assert repo.left() == []


def test_model_that_cannot_be_converted_is_rejected(repo):
    broken = BEFORE.replace(b'Reshape', b'Flatten')
    repo.files.files['/m.onnx'] = broken
    write_pack(repo, '0' * 64)
    page = (repo.packs / 'm-face.yaml').read_text()
    page = page.replace(hashlib.sha256(BEFORE).hexdigest(), hashlib.sha256(broken).hexdigest())
    (repo.packs / 'm-face.yaml').write_text(page)
    done = repo.models('pull', 'm-face')
    assert done.returncode == 1 and 'cannot make the input shape dynamic' in done.stderr
    assert repo.left() == []


@pytest.mark.parametrize('outputs, task', [
    ([('o', [None, 512])], 'face-embedding'),
    ([('a', [1, None, 4]), ('b', [1, None, 2]), ('c', [1, None, 10])], 'face-detection'),
])
def test_a_pose_program_imports_no_face_models(repo, outputs, task):
    path = repo.folder / 'mine.onnx'
    path.write_bytes(onnx_bytes.model([('input', [1, 3, 112, 112] if task == 'face-embedding' else [1, 3, 64, 64])],
                                      outputs))
    done = repo.models('import', str(path), '--name', 'mine')
    assert done.returncode == 1, done
    assert f'this program does not serve {task} models' in done.stderr
    assert repo.left() == []
