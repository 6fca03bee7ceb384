"""Tiny ONNX files encoded as protobuf by hand: field numbers of onnx.proto3, IR version 8."""


def varint(value):
    out = bytearray()
    while value > 0x7f:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """Encodes an int as varint, or text, bytes or an encoded message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def value_info(name, dims):
    """Encodes a float tensor; a dimension of None is free."""
    shape = b''.join(field(1, field(2, 'free') if dim is None else field(1, dim)) for dim in dims)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def model(inputs, outputs, metadata=None, graph_more=b''):
    """`inputs` and `outputs` are pairs of name and dimensions."""
    graph = graph_more + field(2, 'test') + b''.join(field(11, value_info(*each)) for each in inputs)
    graph += b''.join(field(12, value_info(*each)) for each in outputs)
    props = b''.join(field(14, field(1, key) + field(2, text)) for key, text in (metadata or {}).items())
    return field(1, 8) + field(8, field(2, 13)) + props + field(7, graph)


def pose(classes=('person',), keypoints=17, dims=3, side=64, metadata=True, task='pose', **more):
    """An Ultralytics export: [1, 4 + classes + keypoints * dims, cells]. `more` is further metadata."""
    channels = 4 + len(classes) + keypoints * dims
    texts = {'task': task, 'names': repr(dict(enumerate(classes))), 'kpt_shape': f'[{keypoints}, {dims}]',
             'license': 'AGPL-3.0 License', **more}
    cells = sum((side // stride) ** 2 for stride in (8, 16, 32))
    return model([('images', [1, 3, side, side])], [('output0', [1, channels, cells])], texts if metadata else None)


def raw_pose(classes=('person',), keypoints=17, dims=3):
    """A box, a class and a keypoint tensor for each of three strides, with free sides."""
    channels = [64, len(classes), keypoints * dims]
    outputs = [(f'o{i}', [None, channels[i % 3], None, None]) for i in range(9)]
    texts = {'task': 'pose', 'names': repr(list(classes)), 'kpt_shape': f'[{keypoints}, {dims}]'}
    return model([('images', [None, 3, None, None])], outputs, texts)


def with_external_weights():
    return model([('images', [1, 3, 64, 64])], [('output0', [1, 56, 84])],
                 graph_more=field(5, field(8, 'w') + field(14, 1)))
