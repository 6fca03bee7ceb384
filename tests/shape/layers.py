"""No include points up the layers. docs/architecture.md describes the layers.

Before it checks the source, it verifies on a made-up tree that it finds each kind of bad include.
"""
import os
import re
import sys
import tempfile

from tree import SOURCE, report, source_files

# A module may include headers of its own rank and lower ones; every module may include include/hs, which includes no
# other module.
RANKS = {'hs': 0, 'base': 0, 'preflight': 1, 'auth': 1, 'config': 1, 'image': 1, 'vision': 1, 'convert': 1, 'models': 2, 'http': 2,
         'infer': 2, 'stream': 2, 'gallery': 2, 'cli': 3, 'service': 3, 'pose': 4, 'face': 4, 'backends': 1}
ONLY = {'hs': {'hs'}, 'base': {'base', 'hs'}, 'vision': {'vision', 'base', 'hs'}, 'convert': {'convert', 'base', 'hs'},
        'backends': {'backends', 'base', 'hs'}, 'preflight': {'preflight', 'base', 'hs'},
        'auth': {'auth', 'base', 'hs'}}
NEVER = {'http': {'convert', 'models', 'image', 'infer', 'vision', 'gallery', 'stream'},
         'infer': {'convert', 'image', 'http', 'vision'},
         'models': {'http', 'infer', 'image'}, 'config': {'image', 'vision'}, 'image': {'vision'},
         'pose': {'face'}, 'face': {'pose'}}
# A third-party header, or folder of headers, and the modules that may include it.
THIRD_PARTY = {'sys/epoll.h': {'http'}, 'openssl/': {'http'}, 'openvino/': {'backends'}, 'hailo/': {'backends'},
           'sqlite3.h': {'gallery'}, 'libpq-fe.h': {'gallery'}}
# No JSON and no threads: pure functions.
THIRD_PARTY_NEVER = {'vision': {'jansson.h', 'pthread.h', 'threads.h', 'curl/', 'yaml.h'}}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def module_of(path):
    parts = path.split('/')
    if parts[0] == 'include':
        return 'hs'
    return parts[1] if len(parts) > 2 else None


def backend_of(path):
    parts = path.split('/')
    return parts[2] if parts[:2] == ['src', 'backends'] and len(parts) > 3 else None


def resolve(root, path, target):
    """Returns the path below root of a quoted include, or None if it is not a header of the project."""
    for folder in (os.path.dirname(path), 'include', 'src'):
        candidate = os.path.normpath(os.path.join(folder, target))
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return None


def check_own(path, target):
    here, there = module_of(path), module_of(target)
    if here == there:
        if here == 'backends' and backend_of(target) not in (None, backend_of(path)):
            return 'backends do not know one another'
        return None
    if here not in RANKS or there not in RANKS:
        return f'{here if here not in RANKS else there} has no rank in tests/shape/layers.py'
    # The registry of built-in backends is the only file in infer that names them.
    if here == 'infer' and there == 'backends':
        return None
    if there not in ONLY.get(here, {there}):
        return f'{here} may include only {", ".join(sorted(ONLY[here]))}'
    if there in NEVER.get(here, ()):
        return f'{here} must not know {there}'
    if RANKS[there] > RANKS[here]:
        return f'{there} lies above {here}'
    return None


def matches(target, name):
    return target == name or (name.endswith('/') and target.startswith(name))


def check_third_party(path, target):
    here = module_of(path)
    for name, allowed in THIRD_PARTY.items():
        if matches(target, name) and here not in allowed:
            return f'only {", ".join(sorted(allowed))} may know it'
    for name in THIRD_PARTY_NEVER.get(here, ()):
        if matches(target, name):
            return f'{here} must not know it'
    return None


def check_file(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as file:
        for number, line in enumerate(file, 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            own = resolve(root, path, found[2]) if found[1] == '"' else None
            why = check_own(path, own) if own else check_third_party(path, found[2])
            if why:
                yield f'{path}:{number}: {found[2]}: {why}'


def check_tree(root, names):
    problems, checked = [], 0
    for name in names:
        if name.startswith(('include/', 'src/')) and name.endswith(('.c', '.h', '.cc', '.hpp')):
            checked += 1
            problems += check_file(root, name)
    return problems, checked


SELF_TEST = {  # path -> (text, number of problems)
    'include/hs/status.h': ('#include <stddef.h>\n', 0),
    'src/base/buf.h': ('#include "hs/status.h"\n', 0),
    'src/base/buf.c': ('#include "base/buf.h"\n#include "image/image.h"\n', 1),
    'src/image/image.h': ('#include "base/buf.h"\n', 0),
    'src/http/server.h': ('#include <sys/epoll.h>\n', 0),
    'src/http/server.c': ('#include "http/server.h"\n#include "image/image.h"\n', 1),
    'src/infer/engine.h': ('#  include "image/image.h"\n', 1),
    'src/infer/engine.c': ('#include "infer/engine.h"\n#include <sys/epoll.h>\n', 1),
    'src/vision/nms.c': ('#include <pthread.h>\n#include <math.h>\n', 1),
    'src/vision/nms.h': ('#include "http/server.h"\n', 1),
    'src/backends/sim/sim.c': ('#include "infer/engine.h"\n#include "base/buf.h"\n', 1),
    'src/backends/sim/sim.h': ('#include "../openvino/ov.h"\n', 1),
    'src/backends/openvino/ov.h': ('#include <openvino/c/openvino.h>\n', 0),
    'src/cli/cli.h': ('#include "infer/engine.h"\n#include "http/server.h"\n', 0),
    'src/models/pack.h': ('#include "convert/pickle.h"\n', 0),
    'src/models/pack.c': ('#include "cli/cli.h"\n', 1),
    'src/convert/pickle.h': ('', 0),
    'src/convert/pickle.c': ('#include "models/pack.h"\n', 1),
    'src/pose/main.c': ('#include "cli/cli.h"\n#include "vision/nms.h"\n', 0),
    'src/face/main.c': ('#include "pose/main.h"\n', 1),
    'src/pose/main.h': ('', 0),
    'src/novel/thing.c': ('#include "base/buf.h"\n', 1),
}


def self_test():
    with tempfile.TemporaryDirectory() as root:
        for path, (text, _) in SELF_TEST.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), 'w', encoding='utf-8') as file:
                file.write(text)
        for path, (_, expected) in SELF_TEST.items():
            problems = list(check_file(root, path))
            if len(problems) != expected:
                sys.exit(f'self-test: {path}: {expected} problems expected, found {problems}')


self_test()
report(*check_tree(SOURCE, source_files()))
