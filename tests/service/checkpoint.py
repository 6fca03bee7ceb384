"""Creates Ultralytics pose checkpoints with random weights, using only the Python standard library: a small network
of each kind, in the format that torch.save writes. To create an invalid one, change the objects before saving.
"""
import array
import collections
import contextlib
import io
import math
import os
import pickle
import random
import struct
import sys
import types
import zipfile

KINDS = {  # module -> the classes that a checkpoint names
    'ultralytics.nn.tasks': ['PoseModel'],
    'ultralytics.nn.modules.conv': ['Conv', 'DWConv', 'Concat'],
    'ultralytics.nn.modules.block': ['C2f', 'C3k2', 'C3k', 'C2PSA', 'PSABlock', 'Attention', 'Bottleneck', 'SPPF',
                                     'A2C2f'],
    'ultralytics.nn.modules.head': ['Pose', 'Detect'],
    'torch.nn.modules.container': ['Sequential', 'ModuleList'],
    'torch.nn.modules.conv': ['Conv2d'],
    'torch.nn.modules.batchnorm': ['BatchNorm2d'],
    'torch.nn.modules.activation': ['SiLU', 'ReLU', 'GELU'],
    'torch.nn.modules.linear': ['Identity'],
    'torch.nn.modules.pooling': ['MaxPool2d'],
    'torch.nn.modules.upsampling': ['Upsample'],
    'torch': ['FloatStorage', 'HalfStorage'],
    'torch._utils': ['_rebuild_tensor_v2', '_rebuild_parameter'],
}
CLASSES = {name: type(name, (), {'__module__': module}) for module, names in KINDS.items() for name in names}
STORAGES = {'f': 'FloatStorage', 'e': 'HalfStorage'}  # format characters of the struct module


class Tensor:
    """Numbers in row-major order, stored as floats of the width of the format character."""

    def __init__(self, size, numbers, letter='f'):
        self.size, self.numbers, self.letter = tuple(size), list(numbers), letter
        assert math.prod(self.size) == len(self.numbers)

    def __reduce__(self):
        steps = tuple(math.prod(self.size[i + 1:]) for i in range(len(self.size)))
        return Call('_rebuild_tensor_v2'), (Storage(self), 0, self.size, steps, False, collections.OrderedDict())


class Storage:
    def __init__(self, tensor):
        self.tensor = tensor


class Call:
    """Pickles as the name of a function."""

    def __new__(cls, name):
        return CLASSES[name]


class System:
    """Content of a hostile checkpoint: unpickling it in Python runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class Pickler(pickle.Pickler):
    def __init__(self, file, protocol):
        super().__init__(file, protocol)
        self.data = []

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        tensor = obj.tensor
        self.data.append(struct.pack(f'<{len(tensor.numbers)}{tensor.letter}', *tensor.numbers))
        return ('storage', CLASSES[STORAGES[tensor.letter]], str(len(self.data) - 1), 'cpu', len(tensor.numbers))


@contextlib.contextmanager
def importable():
    """Registers the modules that pickle names, and their parent packages, because pickle imports them."""
    names = {'.'.join(name.split('.')[:i + 1]) for name in KINDS for i in range(name.count('.') + 1)}
    before = {name: sys.modules.get(name) for name in names}
    for name in names:
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update({c: CLASSES[c] for c in KINDS.get(name, ())})
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module:
                sys.modules[name] = module


def save(path, root, protocol=2):
    """Writes the checkpoint as torch.save does."""
    out = io.BytesIO()
    pickler = Pickler(out, protocol)
    with importable():
        pickler.dump(root)
    members = {'data.pkl': out.getvalue(), 'byteorder': b'little', 'version': b'3\n'}
    members.update((f'data/{key}', data) for key, data in enumerate(pickler.data))
    with zipfile.ZipFile(path, 'w') as zipped:
        for name, data in members.items():  # a ZipInfo has a fixed date, so that equal networks produce equal files
            zipped.writestr(zipfile.ZipInfo(f'net/{name}'), data)
    return path


class Maker:
    """Builds modules; `act` and `fused` apply to all of them."""

    def __init__(self, seed=1, act='SiLU', fused=False, letter='f'):
        self.random, self.act, self.fused, self.letter = random.Random(seed), act, fused, letter

    def tensor(self, *size, low=-1.0, high=1.0):
        numbers = array.array('f', (self.random.uniform(low, high) for _ in range(math.prod(size))))
        return Tensor(size, numbers, self.letter)

    @staticmethod
    def module(kind, children=None, parameters=None, buffers=None, **attributes):
        module = CLASSES[kind]()
        module.training = False
        module._parameters, module._buffers = parameters or {}, buffers or {}
        module._modules = dict(children or {})
        vars(module).update(attributes)
        return module

    def conv2d(self, c1, c2, k, s=1, g=1, bias=True):
        parameters = {'weight': self.tensor(c2, c1 // g, k, k), 'bias': self.tensor(c2) if bias else None}
        return self.module('Conv2d', parameters=parameters, kernel_size=(k, k), stride=(s, s), padding=(k // 2, k // 2),
                           dilation=(1, 1), groups=g, padding_mode='zeros')

    def norm(self, c):
        return self.module('BatchNorm2d', parameters={'weight': self.tensor(c), 'bias': self.tensor(c)}, eps=0.001,
                           buffers={'running_mean': self.tensor(c), 'running_var': self.tensor(c, low=0.5)})

    def conv(self, c1, c2, k=1, s=1, g=1, act=None, kind='Conv', **attributes):
        children = {'conv': self.conv2d(c1, c2, k, s, g, bias=self.fused)}
        if not self.fused:
            children['bn'] = self.norm(c2)
        children['act'] = self.module(act or self.act)
        return self.module(kind, children, **attributes)

    def sequence(self, *modules, kind='Sequential'):
        return self.module(kind, {str(i): module for i, module in enumerate(modules)})

    def bottleneck(self, c, add=True):
        return self.module('Bottleneck', {'cv1': self.conv(c, c, 3), 'cv2': self.conv(c, c, 3)}, add=add)

    def c2f(self, c1, c2, inner=None, kind='C2f', **attributes):
        half = c2 // 2
        return self.module(kind, {'cv1': self.conv(c1, 2 * half), 'cv2': self.conv(3 * half, c2),
                                  'm': self.sequence(inner or self.bottleneck(half), kind='ModuleList')},
                           c=half, **attributes)

    def c3k(self, c):
        return self.module('C3k', {'cv1': self.conv(c, c // 2), 'cv2': self.conv(c, c // 2), 'cv3': self.conv(c, c),
                                   'm': self.sequence(self.bottleneck(c // 2), self.bottleneck(c // 2))})

    def sppf(self, c, **attributes):
        pool = self.module('MaxPool2d', kernel_size=5, stride=1, padding=2, dilation=1, ceil_mode=False)
        return self.module('SPPF', {'cv1': self.conv(c, c // 2), 'cv2': self.conv(2 * c, c), 'm': pool}, **attributes)

    def attention(self, c, heads=2):
        head = c // heads
        key = head // 2
        return self.module('Attention', {'qkv': self.conv(c, heads * (2 * key + head), act='Identity'),
                                         'proj': self.conv(c, c, act='Identity'),
                                         'pe': self.conv(c, c, 3, g=c, act='Identity')},
                           num_heads=heads, key_dim=key, head_dim=head, scale=key ** -0.5)

    def c2psa(self, c, **attributes):
        half = c // 2
        feed = self.sequence(self.conv(half, 2 * half), self.conv(2 * half, half, act='Identity'))
        block = self.module('PSABlock', {'attn': self.attention(half), 'ffn': feed}, add=True)
        return self.module('C2PSA', {'cv1': self.conv(c, c), 'cv2': self.conv(c, c), 'm': self.sequence(block)}, c=half,
                           **attributes)

    def branch(self, c1, c, out):
        return self.sequence(self.conv(c1, c, 3), self.conv(c, c, 3), self.conv2d(c, out, 1))

    def light_branch(self, c1, c, out):
        return self.sequence(self.sequence(self.conv(c1, c1, 3, g=c1, kind='DWConv'), self.conv(c1, c)),
                             self.sequence(self.conv(c, c, 3, g=c, kind='DWConv'), self.conv(c, c)),
                             self.conv2d(c, out, 1))

    def pose(self, channels, classes, shape, strides, bins, source, light=False):
        scores = self.light_branch if light else self.branch
        points = shape[0] * shape[1]
        children = {'cv2': self.sequence(*(self.branch(c, 8, 4 * bins) for c in channels), kind='ModuleList'),
                    'cv3': self.sequence(*(scores(c, 8, classes) for c in channels), kind='ModuleList'),
                    'cv4': self.sequence(*(self.branch(c, 8, points) for c in channels), kind='ModuleList')}
        return self.module('Pose', children, nc=classes, kpt_shape=list(shape), reg_max=bins, f=source,
                           stride=Tensor((len(strides),), strides, self.letter))

    def body_v8(self):
        up = {'size': None, 'scale_factor': 2.0, 'mode': 'nearest'}
        return [self.conv(3, 8, 3, 2, f=-1), self.conv(8, 8, 3, 2, f=-1), self.c2f(8, 8, f=-1),
                self.conv(8, 16, 3, 2, f=-1), self.c2f(16, 16, f=-1), self.conv(16, 16, 3, 2, f=-1),
                self.sppf(16, f=-1), self.module('Upsample', f=-1, **up), self.module('Concat', f=[-1, 4], d=1),
                self.c2f(32, 8, f=-1), self.conv(8, 8, 3, 2, f=-1), self.module('Concat', f=[-1, 6], d=1),
                self.c2f(24, 16, f=-1)]

    def body_v11(self):
        body = self.body_v8()
        body[2] = self.c2f(8, 8, kind='C3k2', f=-1)
        body[4] = self.c2f(16, 16, self.c3k(8), kind='C3k2', f=-1)
        body[6] = self.sequence(self.sppf(16), self.c2psa(16))
        body[6].f = -1
        return body

    def model(self, version=8, classes=1, shape=(17, 3), bins=16, names=None):
        layers = self.body_v8() if version == 8 else self.body_v11()
        layers.append(self.pose([8, 16], classes, shape, [8, 16], bins, [9, 12], light=version != 8))
        names = names or {i: f'class{i}' for i in range(classes)}
        return self.module('PoseModel', {'model': self.sequence(*layers)}, names=names, args={'imgsz': 320})

    def checkpoint(self, **options):
        return {'date': '2024-09-25', 'epoch': -1, 'license': 'AGPL-3.0', 'model': self.model(**options), 'ema': None,
                'train_args': {'imgsz': 640}}


def layers_of(root):
    """Returns the layers of a checkpoint's network as a dict that can be changed."""
    return (root['ema'] or root['model'])._modules['model']._modules
