"""Model files for tests: packs, an empty store, the web server that the packs name, and a small checkpoint."""
import hashlib
import subprocess

from checkpoint import Maker
from server import BINARY, environment, run

BODY = bytes((i * 7 + i // 251) % 256 for i in range(300000))
OTHER = bytes((i * 5 + 3) % 256 for i in range(300000))
SHA = hashlib.sha256(BODY).hexdigest()
OTHER_SHA = hashlib.sha256(OTHER).hexdigest()
NAMES = ', '.join(f'joint_{i}' for i in range(17))

PACK = f'''name: NAME
task: pose
title: A model for tests
licence:
  name: Made-up-1.0
  url: https://example.org/licence
  note: Only for tests.
input: {{width: 64, height: 64, stride: 32, std: [255, 255, 255]}}
decode: yolo-pose-raw
classes: [person]
keypoints: {{dims: 3, names: [{NAMES}], edges: [[joint_0, joint_1]]}}
'''


class ModelRepo:
    """A folder with packs, an empty store and the server that the packs name."""

    def __init__(self, folder, files):
        self.folder = folder
        self.files = files
        self.packs = folder / 'packs'
        self.store = folder / 'store'
        self.packs.mkdir()

    def pack(self, name, page):
        (self.packs / f'{name}.yaml').write_text(PACK.replace('NAME', name) + page)

    def simple(self, name='m-pose', sha256=SHA, size=None):
        """Writes a pack with one source; its file has the pack's name."""
        lines = [f'  file: {name}.onnx']
        lines += [f'  size: {size}'] if size else []
        lines += [f'  sha256: {sha256}'] if sha256 else []
        lines += ['  sources:', f'    - https: {self.files.url}/{name}.onnx']
        self.pack(name, 'openvino:\n' + '\n'.join(lines) + '\n')
        self.files.files.setdefault(f'/{name}.onnx', BODY)

    def env(self, **more):
        env = environment(self.folder)
        env = {key: value for key, value in env.items() if not key.lower().endswith('_proxy')}
        env.update(HS_MODELS_DIR=str(self.store), HS_PACKS_DIR=str(self.packs), **more)
        return env

    def models(self, *arguments, **more):
        return run(self.folder, 'models', *arguments, env=self.env(**more))

    def start(self, *arguments):
        # pylint: disable-next=consider-using-with
        return subprocess.Popen([BINARY, 'models', *arguments], env=self.env(), cwd=self.folder, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def file(self, name='m-pose.onnx'):
        return self.store / name

    def left(self):
        """Returns the files in the store."""
        if not self.store.exists():
            return []
        return sorted(each.name for each in self.store.iterdir())


def checkpoint(version, classes, shape):
    """Returns a small network with random weights and the usual three strides."""
    maker = Maker()
    layers = maker.body_v8() if version == 8 else maker.body_v11()
    layers.append(maker.conv(16, 16, 3, 2, f=-1))
    layers.append(maker.pose([8, 16, 16], len(classes), shape, [8, 16, 32], 16, [9, 12, 13], light=version != 8))
    model = maker.module('PoseModel', {'model': maker.sequence(*layers)}, names=dict(enumerate(classes)),
                         args={'imgsz': 96})
    return {'license': 'AGPL-3.0', 'model': model, 'ema': None, 'train_args': {'imgsz': 96}}
