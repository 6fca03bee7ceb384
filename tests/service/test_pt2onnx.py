"""build/tools/pt2onnx: converts checkpoints to ONNX. A small protobuf reader checks the output."""
import hashlib
import math
import os
import pathlib
import struct
import subprocess

import pytest

from checkpoint import Maker, System, Tensor, layers_of, save
from server import BINARY, SANITIZER



def find_program():
    """Finds pt2onnx in the build folder of the program under test, or in HS_BUILD_DIR."""
    folders = [os.environ.get('HS_BUILD_DIR', ''), *pathlib.Path(os.path.realpath(BINARY)).parents[:3]]
    paths = (os.path.join(folder, 'tools', 'pt2onnx') for folder in folders)
    return next((path for path in paths if os.access(path, os.X_OK)), None)


PT2ONNX = find_program()
pytestmark = pytest.mark.skipif(not PT2ONNX, reason='no tools/pt2onnx in the build folder of the program under test')


def run(*arguments):
    done = subprocess.run([PT2ONNX, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    assert not SANITIZER.search(done.stderr), done.stderr
    return done


def convert(folder, root, *flags, protocol=2):
    """Saves, converts, and returns the model as fields."""
    done = run(save(folder / 'net.pt', root, protocol), folder / 'net.onnx', *flags)
    assert (done.returncode, done.stderr) == (0, '')
    data = (folder / 'net.onnx').read_bytes()
    assert done.stdout == f'{folder}/net.onnx: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}\n'
    return Model(data)


def refuse(folder, root):
    """Saves, converts with a failure, and returns the one line of the error."""
    path = save(folder / 'net.pt', root)
    done = run(path, folder / 'net.onnx', '--decoded')
    assert (done.returncode, done.stdout) == (1, '')
    assert not (folder / 'net.onnx').exists()
    assert done.stderr.startswith(f'pt2onnx: {path}: ') and done.stderr.count('\n') == 1
    return done.stderr.split(f'{path}: ')[1].strip()


# ---- a reader of ONNX ----

def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 128:
            return value, at


def fields(data):
    """Returns number -> values: integers, or bytes."""
    at, found = 0, {}
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at)
        if key & 7 == 2:
            value, at = data[at:at + value], at + value
        else:
            assert key & 7 == 0
        found.setdefault(key >> 3, []).append(value)
    return found


class Model:
    def __init__(self, data):
        model = fields(data)
        assert (model[1], model[2], fields(model[8][0])) == ([8], [b'pt2onnx'], {1: [b''], 2: [17]})
        self.props = {k.decode(): v.decode() for k, v in ((fields(p)[1][0], fields(p)[2][0]) for p in model[14])}
        graph = fields(model[7][0])
        assert graph[2] == [b'yolo-pose']
        self.nodes = [fields(node) for node in graph[1]]
        self.weights = {t[8][0].decode(): t for t in map(fields, graph[5])}
        self.inputs, self.outputs = (dict(map(self.value, graph[n])) for n in (11, 12))

    @staticmethod
    def value(data):
        info = fields(data)
        tensor = fields(fields(info[2][0])[1][0])
        assert tensor[1] == [1]  # float
        dims = (fields(dim) for dim in fields(tensor[2][0])[1])
        return info[1][0].decode(), [dim[1][0] if 1 in dim else dim[2][0].decode() for dim in dims]

    def check_names(self):
        """Each name is defined once and before it is used; each weight has the length of its dimensions."""
        known = {b'', b'images'} | {name.encode() for name in self.weights}
        assert len(known) == len(self.weights) + 2
        for node in self.nodes:
            assert set(node[1]) <= known
            assert not set(node[2]) & known
            known |= set(node[2])
        assert {name.encode() for name in self.outputs} <= known
        for tensor in self.weights.values():
            assert len(tensor[9][0]) == math.prod(tensor.get(1, [])) * {1: 4, 7: 8}[tensor[2][0]]

    def floats(self, name):
        data = self.weights[name][9][0]
        return struct.unpack(f'<{len(data) // 4}f', data)


def round32(number):
    return struct.unpack('<f', struct.pack('<f', number))[0]


def outputs_for(strides, bins, classes, points):
    return {f'{kind}_{s}': ['batch', channels, f'height_{s}', f'width_{s}'] for s in strides
            for kind, channels in (('box', 4 * bins), ('cls', classes), ('kpt', points))}


# ---- valid networks ----

NETWORKS = {
    'v8': ({}, {}),
    'v8, 3 classes, 5 points without visibility': ({}, {'classes': 3, 'shape': (5, 2)}),
    'v11': ({}, {'version': 11}),
    'v11, 2 classes, 21 points, half floats':
        ({'letter': 'e'}, {'version': 11, 'classes': 2, 'shape': (21, 3), 'bins': 8}),
    'v11, ReLU': ({'act': 'ReLU'}, {'version': 11}),
    'v11, batch norm folded in': ({'fused': True}, {'version': 11}),
}


@pytest.mark.parametrize('flags', [[], ['--sigmoid'], ['--decoded'], ['--decoded', '--sigmoid']])
@pytest.mark.parametrize('name', NETWORKS)
def test_networks(tmp_path, name, flags):
    maker, options = NETWORKS[name]
    model = convert(tmp_path, Maker(**maker).checkpoint(**options), *flags)
    model.check_names()
    classes, (points, dims) = options.get('classes', 1), options.get('shape', (17, 3))
    wanted = outputs_for([8, 16], options.get('bins', 16), classes, points * dims)
    if '--decoded' in flags:
        wanted['output0'] = ['batch', 4 + classes + points * dims, 'cells']
    assert model.inputs == {'images': ['batch', 3, 'height', 'width']}
    assert model.outputs == wanted
    assert model.props == {
        'task': 'pose', 'names': str({i: f'class{i}' for i in range(classes)}), 'kpt_shape': str([points, dims]),
        'stride': '[8, 16]', 'scores': 'probabilities' if '--sigmoid' in flags else 'logits', 'license': 'AGPL-3.0',
        'source_sha256': hashlib.sha256((tmp_path / 'net.pt').read_bytes()).hexdigest()}
    sigmoids = [node for node in model.nodes if node[4] == [b'Sigmoid'] and node[2][0].startswith(b'cls_')]
    assert len(sigmoids) == (2 if '--sigmoid' in flags else 0)


def test_a_batch_norm_becomes_part_of_the_weights(tmp_path):
    root = Maker().checkpoint()
    conv = layers_of(root)['0']
    weight, norm = conv._modules['conv']._parameters['weight'].numbers, conv._modules['bn']
    gamma, beta = (norm._parameters[name].numbers for name in ('weight', 'bias'))
    mean, variance = (norm._buffers[name].numbers for name in ('running_mean', 'running_var'))
    scale = [g / math.sqrt(v + 0.001) for g, v in zip(gamma, variance)]
    model = convert(tmp_path, root)
    assert model.floats('model.0/Conv.1') == tuple(round32(w * scale[i // 27]) for i, w in enumerate(weight))
    assert model.floats('model.0/Conv.2') == tuple(round32((0 - m) * s + b) for m, s, b in zip(mean, scale, beta))


def test_the_averaged_weights_are_preferred(tmp_path):
    root = Maker(1).checkpoint()
    root['ema'], averaged = Maker(2).model(), Maker(2).checkpoint()
    assert convert(tmp_path, root).floats('model.0/Conv.1') == convert(tmp_path, averaged).floats('model.0/Conv.1')


def test_bare_model(tmp_path):
    assert convert(tmp_path, Maker().model()).props['license'] == 'None'


def test_protocol_4(tmp_path):
    convert(tmp_path, Maker().checkpoint(), protocol=4).check_names()


@pytest.mark.parametrize('names', [{0: "it's", 1: 'a "b"\t', 2: 'Zoë'}, ['x', "'\"", '']])
def test_names_are_written_as_python_prints_them(tmp_path, names):
    assert convert(tmp_path, Maker().checkpoint(classes=3, names=names)).props['names'] == str(names)


def test_the_same_bytes_each_time(tmp_path):
    root = Maker().checkpoint(version=11)
    convert(tmp_path, root)
    first = (tmp_path / 'net.onnx').read_bytes()
    convert(tmp_path, root)
    assert (tmp_path / 'net.onnx').read_bytes() == first


def test_embedded_command_is_not_executed(tmp_path):
    root = Maker().checkpoint()
    root['train_args']['project'] = System(f'touch {tmp_path}/ran')
    convert(tmp_path, root)
    assert not (tmp_path / 'ran').exists()


# ---- invalid networks: the change to a valid one, and the expected error ----

def head(root):
    return list(layers_of(root).values())[-1]


def bad_head(root):
    layers_of(root)['13'] = Maker.module('Detect')


def end_to_end(root):
    head(root)._modules['one2one_cv2'] = head(root)._modules['cv2']


def unknown_module(root):
    layers_of(root)['2'] = Maker.module('A2C2f', f=-1)


def unknown_activation(root):
    layers_of(root)['1']._modules['act'] = Maker.module('GELU')


def wrong_channels(root):
    layers_of(root)['1'] = Maker().conv(9, 8, 3, 2, f=-1)


def wrong_sum(root):
    layers_of(root)['9'] = Maker().c2f(31, 8, f=-1)


def wrong_split(root):
    layers_of(root)['2'].c = 3


def wrong_add(root):
    block = layers_of(root)['2']._modules['m']._modules['0']
    block._modules['cv2'] = Maker().conv(4, 5, 3)


def wrong_scale(root):
    layers_of(root)['8'].f = [-1, 3, 0]


def command(root):
    layers_of(root)['0']._modules['conv']._parameters['weight'] = System('true')


def no_weight(root):
    del layers_of(root)['0']._modules['conv']._parameters['weight']


def wrong_rank(root):
    layers_of(root)['0']._modules['conv']._parameters['weight'] = Maker().tensor(8, 27)


def short_norm(root):
    layers_of(root)['0']._modules['bn']._buffers['running_var'] = Maker().tensor(7)


def negative_variance(root):
    layers_of(root)['0']._modules['bn']._buffers['running_var'] = Maker().tensor(8, low=-2, high=-1)


def shrinking(root):
    layers_of(root)['0']._modules['conv'].padding = (0, 0)


def deep(root):
    module = layers_of(root)['2']
    for _ in range(100):
        module = Maker().sequence(module)
    module.f = -1
    layers_of(root)['2'] = module


def circle(root):
    module = Maker().sequence()
    module._modules['0'] = module
    module.f = -1
    layers_of(root)['2'] = module


def many(root):
    module = Maker().sequence()
    for _ in range(25):
        module = Maker().sequence(*[module] * 4)
    module.f = -1
    layers_of(root)['2'] = module


def many_nodes(root):
    module = Maker.module('MaxPool2d', kernel_size=5, stride=1, padding=2)
    for _ in range(3):
        module = Maker().sequence(*[module] * 40)
    module.f = -1
    layers_of(root)['2'] = module


def shared_weights(root):
    module = Maker().conv(8, 8, 5)
    for _ in range(3):
        module = Maker().sequence(*[module] * 18)
    module.f = -1
    layers_of(root)['2'] = module


def set_head(name, value):
    return lambda root: setattr(head(root), name, value)


def set_layer(number, name, value):
    return lambda root: setattr(layers_of(root)[number], name, value)


BAD = {
    'detection': (bad_head, 'not a YOLOv8 or YOLO11 pose model: its head is <ultralytics.nn.modules.head Detect>'),
    'end to end': (end_to_end, 'not a YOLOv8 or YOLO11 pose model'),
    'unknown module': (unknown_module, 'model.2: unknown module <ultralytics.nn.modules.block A2C2f>'),
    'unknown activation': (unknown_activation, 'model.1: unknown activation <torch.nn.modules.activation GELU>'),
    'channels': (wrong_channels, 'model.1: expected 9 channels, got 8'),
    'channels joined': (wrong_sum, 'model.9.cv1: expected 31 channels, got 32'),
    'channels split': (wrong_split, 'model.2: expected 6 channels, got 8'),
    'channels added': (wrong_add, 'model.2.m.0: cannot add 4 channels at stride 4 to 5 at 4'),
    'sizes joined': (wrong_scale, 'model.8: cannot concatenate values at stride 8 and 2'),
    'command as a weight': (command, 'model.0.weight: expected a tensor, got <posix system>'),
    'no weight': (no_weight, 'model.0: `weight` is missing'),
    'rank': (wrong_rank, 'model.0: the weight has the wrong shape'),
    'batch norm': (short_norm, 'model.0: `running_var` has 7 numbers in 1 dimensions, expected 8 in one'),
    'variance': (negative_variance, 'model.0: a weight is not finite'),
    'padding': (shrinking, 'model.0: unsupported convolution: it does not divide each side by its stride'),
    'too deep': (deep, 'modules are nested too deeply'),
    'circle': (circle, 'modules are nested too deeply'),
    'shared parts': (many, 'the network is too large'),
    'shared weights': (shared_weights, 'the network is too large'),
    'many nodes': (many_nodes, 'the network is too large'),
    'keypoints': (set_head('kpt_shape', [17, 4]), 'head: `kpt_shape` must have 2 or 3 numbers per keypoint, not 4'),
    'keypoints, other': (set_head('kpt_shape', 17), 'head: `kpt_shape` has the unsupported value 17'),
    'keypoints, contradicted': (set_head('kpt_shape', [16, 3]), 'model.13.cv4: produces 51 channels at stride 8, expected 48 at stride 8'),
    'no stride': (lambda root: delattr(head(root), 'stride'), 'head: `stride` is missing'),
    'stride, contradicted': (set_head('stride', Tensor((2,), [8, 32])), 'model.13.cv2: produces 64 channels at stride 16'),
    'stride twice': (set_head('stride', Tensor((2,), [8, 8])), 'stride: unsupported value 8'),
    'stride of nothing': (set_head('stride', Tensor((0,), [])), 'stride'),
    'levels': (set_head('f', [9]), 'head: expected one input layer per stride, got [9]'),
    'a level that is not there': (set_head('f', [9, 13]), 'head: unknown input layer 13'),
    'a layer that is not there': (set_layer('3', 'f', -4), 'model.3: unknown input layer -4'),
    'a layer of no number': (set_layer('3', 'f', None), 'model.3: unknown input layer None'),
    'a list for one': (set_layer('3', 'f', [-1, -2]), 'model.3: only Concat supports a list of inputs'),
    'no list': (set_layer('8', 'f', -1), 'model.8: expected a list of inputs, got one'),
    'another axis': (set_layer('8', 'd', 2), 'model.8: `d` has the unsupported value 2'),
    'upsampling': (set_layer('7', 'scale_factor', 1.5), 'model.7: only nearest upsampling by a whole factor'),
    'classes': (set_head('nc', 0), 'head: `nc` has the unsupported value 0'),
    'classes without end': (set_head('nc', 1 << 40), 'head: `nc` has the unsupported value 1099511627776'),
    'no names': (lambda root: delattr(root['model'], 'names'), 'model: `names` is missing'),
    'names of another kind': (lambda root: setattr(root['model'], 'names', 7), 'names: expected a list of names'),
    'license of another kind': (lambda root: root.update(license=[1]), 'license: unsupported value: [1]'),
    'only weights': (lambda root: root.update(model={'model.0.conv.weight': Maker().tensor(8)}), 'only weights?'),
    'nothing': (lambda root: root.update(model=None), 'does not contain an Ultralytics model'),
    'no layers': (lambda root: layers_of(root).clear(), 'the model has no layers'),
}


@pytest.mark.parametrize('name', BAD)
def test_invalid_checkpoints_are_rejected(tmp_path, name):
    change, message = BAD[name]
    root = Maker().checkpoint()
    change(root)
    assert message in refuse(tmp_path, root)


# ---- the program ----

def test_files(tmp_path):
    (tmp_path / 'text.pt').write_text('no checkpoint')
    for name in 'text.pt', 'missing.pt':
        done = run(tmp_path / name, tmp_path / 'net.onnx')
        assert done.returncode == 1 and done.stderr.count('\n') == 1
        assert done.stderr.startswith(f'pt2onnx: {tmp_path}/{name}: ')
    done = run(save(tmp_path / 'net.pt', Maker().checkpoint()), tmp_path / 'missing' / 'net.onnx')
    assert done.returncode == 1 and f'{tmp_path}/missing/net.onnx' in done.stderr


def test_usage():
    assert run('--help').returncode == 0 and 'usage:' in run('--help').stdout
    for arguments in (), ('one',), ('1', '2', '3'), ('1', '2', '--other'):
        done = run(*arguments)
        assert (done.returncode, done.stdout) == (2, '') and 'usage:' in done.stderr
