"""Runs hailo-pose and hailo-face on the HailoRT double (tests/hailo) with real numbers. Its model files name a
pack's network for the processor, and the double quantises the outputs as the chip does.

The scales of a pose network are those of a published yolov8s_pose HEF. Those of SCRFD and of the face embedder are
not published, so they are measured here as the range of each tensor over some pictures, as a compiler does.
"""
import concurrent.futures
import hashlib
import os
import pathlib
import re
import subprocess

import pytest

from face_tools import PROGRAM as FACE
from face_tools import TESTDATA, have_weights
from pose_tools import MODELS, PROGRAM, TREE, need
from server import BINARY, SANITIZER, Server, environment

FOLDER = pathlib.Path(os.environ.get('HS_HAILO_DIR') or pathlib.Path(BINARY).parent / 'tests' / 'hailo').resolve()
TIMEOUT_S = 1800
RESPONSE_TIMEOUT_S = 600  # the processor computes eight pictures one after another, possibly under a sanitizer
SLOTS, CLIENTS = 8, 12  # more clients than slots, so that a released slot is taken at once
# stride: (scale, zero point) of box, score and keypoints
POSE = {8: ((0.0751, 62), (1 / 255, 0), (0.000423, 18261)), 16: ((0.0741, 72), (1 / 255, 0), (0.000525, 19190)),
        32: ((0.0798, 84), (1 / 255, 0), (0.000619, 17224))}
CALIBRATION = ['solvay_1927', 'friends_t1', 'bbt1', 'bbt2', 'bbt3', 'couple', 'zidane', 'bus', 'Tom_Cruise_avp_2014_4',
               'angelina_target']


def head(index, shape, scale, zero_point, dtype='uint8', more=''):
    return f'output {index} {" ".join(map(str, shape))} {dtype} {scale:.9g} {zero_point} {more}'.rstrip()


def make_hef(network, side, mean, std, heads, *more):
    """Returns the bytes of a model file for the double."""
    lines = [f'network {network}', f'mean {mean} {mean} {mean}', f'std {std} {std} {std}', f'input {side} {side}',
             *heads, *more]
    return b'\x01HEF\n' + '\n'.join(lines).encode() + b'\n'


def pose_heads():
    heads = []
    for level, (stride, ((box, box_zero), (score, score_zero), (points, points_zero))) in enumerate(POSE.items()):
        side = 640 // stride
        heads += [head(3 * level, (side, side, 64), box, box_zero),
                  head(3 * level + 1, (side, side, 1), score, score_zero, more='sigmoid'),
                  head(3 * level + 2, (side, side, 51), points, points_zero, 'uint16')]
    return heads


def detector_shapes():
    """Shapes in the order of the export: scores, boxes and points of all three strides, two anchors per cell."""
    return [(640 // stride, 640 // stride, channels) for channels in (2, 8, 20) for stride in (8, 16, 32)]


def scale_of(low, high):
    """Returns (scale, zero point) of an 8-bit tensor for that range. No value maps exactly to zero."""
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / 255
    return scale, round(-low / scale)


class Double:
    """A models folder, packs with a file for Hailo and one for the processor, and a device."""

    def __init__(self, folder):
        if not (FOLDER / 'hs_backend_hailo.so').exists():
            pytest.skip('built without a C++ compiler, or with -Dhailo=disabled')
        self.folder = folder
        self.models, self.packs, self.script = folder / 'models', folder / 'packs', folder / 'device.yaml'
        self.models.mkdir()
        self.packs.mkdir()
        self.env = environment(folder, HS_BACKEND_DIR=str(FOLDER), HS_HAILO_DOUBLE=str(self.script),
                               HS_PACKS_DIR=str(self.packs))
        self.env['HS_MODELS_DIR'] = str(self.models)
        self.play('latency_ms: 1')

    def play(self, text):
        """Replaces the device's script. It restarts for each program that looks for the device or opens it
        afterwards."""
        self.script.with_suffix('.new').write_text(text, encoding='utf-8')
        self.script.with_suffix('.new').replace(self.script)

    def add(self, pack, hef, scores='probabilities'):
        """Adds the shipped pack with this file for Hailo, in place of an earlier one."""
        text = (TREE / 'models' / f'{pack}.yaml').read_text(encoding='utf-8')
        text = text.split('# Hailo publishes no checksums', 1)[0]
        network = need(pathlib.Path(MODELS) / f'{pack}.onnx').resolve()
        (self.models / network.name).unlink(missing_ok=True)
        (self.models / network.name).symlink_to(network)
        path = self.models / f'{pack}.hef'
        path.write_bytes(hef)
        text += (f'hailo:\n  file: {path.name}\n  sha256: {hashlib.sha256(hef).hexdigest()}\n  scores: {scores}\n'
                 f'  sources:\n    - file: {path}\n')
        (self.packs / f'{pack}.yaml').write_text(text, encoding='utf-8')

    def run(self, program, *arguments, device='hailo', code=0):
        command = [os.path.abspath(program), *map(str, arguments), '--device', device, '--set',
                   f'device.timeout={RESPONSE_TIMEOUT_S}']
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self.env, cwd=str(self.folder),
                              stdin=subprocess.DEVNULL, timeout=TIMEOUT_S)
        assert done.returncode == code, f'exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}'
        assert 'rule broken' not in done.stderr, done.stderr
        assert not SANITIZER.search(done.stderr), done.stderr
        return done.stdout

    def serve(self, program=PROGRAM, device='hailo', **settings):
        settings = {'device.timeout': RESPONSE_TIMEOUT_S, 'performance.request_timeout': RESPONSE_TIMEOUT_S, **settings}
        settings = {'database.db_file': self.folder / 'faces.db', 'database.backup_path': self.folder / 'backups',
                    **settings} if program == FACE else settings
        return Server(self.folder, device=device, env=self.env, settings=settings,
                      program=[os.path.abspath(program), 'serve'])

    # ---- networks

    def add_pose(self, *more):
        self.add('yolo11n-pose', make_hef(self.network('yolo11n-pose'), 640, 0, 255, pose_heads(), *more))

    def add_faces(self, ranges, *more):
        """`ranges` is the result of `measure`; None keeps the numbers exact and records their ranges."""
        ends = {name: (more if ranges else (*more, f'ranges {self.folder / name}.ranges'))
                for name in ('detector', 'embedder')}
        scales = {name: [scale_of(*pair) for pair in ranges[name]] if ranges else [(0, 0)] * 9 for name in ends}
        heads = [head(i, shape, *scales['detector'][i]) for i, shape in enumerate(detector_shapes())]
        self.add('scrfd-2.5g', make_hef(self.network('scrfd-2.5g'), 640, 127.5, 128, heads, *ends['detector']))
        self.add('mobilefacenet-faceplugin',
                 make_hef(self.network('mobilefacenet-faceplugin'), 112, 127, 128,
                         [head(0, (1, 1, 512), *scales['embedder'][0])], *ends['embedder']))

    @staticmethod
    def network(pack):
        return need(pathlib.Path(MODELS) / f'{pack}.onnx').resolve()


def measure(folder):
    """Returns the output ranges of the face networks over the calibration pictures."""
    have_weights()
    double = Double(folder)
    double.add_faces(None)
    double.run(FACE, 'embed', *(need(TESTDATA / 'samples' / f'{name}.jpg') for name in CALIBRATION))
    return {name: [tuple(map(float, line.split())) for line in (folder / f'{name}.ranges').read_text().splitlines()]
            for name in ('detector', 'embedder')}


def run_parallel(work, items):
    """Runs work(item) for all items on CLIENTS threads; returns the results in order."""
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(work, items))


def max_in_flight(log):
    """Returns the largest number of pictures that the double had at once, from the log of a stopped server."""
    assert 'rule broken' not in log, log
    return max(map(int, re.findall(r'at most (\d+) pictures were in flight', log)))
