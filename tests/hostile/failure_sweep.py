#!/usr/bin/python3
"""Makes each call of the C library fail, one at a time, while both services answer requests.

For each request and each kind of call (allocation, write, fsync, send, thread, open), the first call fails, then the
second one, and so on, until a request completes without a failure.

    failure_sweep.py [--build build] [--limit 2000] [--kinds allocation,write,sync,send,thread,open] [--requests NAME,…]

A response must be the one without a failure, or a 5xx; a connection may be closed without a response only
if a send failed, or if there is no memory to accept it. A change that was acknowledged must be in the gallery, and one that failed must not. The services must
stay healthy, and answer as before after the failures. Prints a table; exit code 1 if a check fails.
"""
import argparse
import collections
import json
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'service'))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', default=str(HERE.parent.parent / 'build'))
    parser.add_argument('--limit', type=int, default=2000, help='failures for a request and kind')
    parser.add_argument('--kinds', default='allocation,write,sync,send,thread,open')
    parser.add_argument('--requests', default='')
    return parser.parse_args()


ARGS = parse()
os.environ['HS_BIN'] = os.path.join(os.path.abspath(ARGS.build), 'hailo-pose')

# pylint: disable=wrong-import-position
from faces import FaceServer, one  # noqa: E402
from server import Server, b64, bmp, environment, multipart, png, wait_for  # noqa: E402

try:
    import io
    from PIL import Image
except ImportError:
    Image = None

KINDS = {'allocation': (0, 12), 'write': (1, 28), 'sync': (2, 5), 'send': (3, 104), 'thread': (4, 11), 'open': (5, 24)}


# After so many failures in a row without an effect on the response, only other threads make calls of this kind, such as
# the one that backs up the gallery after a change.
HARMLESS_MAX = 40


class Control:
    """The struct control of fail_calls.c."""

    def __init__(self, path):
        path.write_bytes(bytes(8 * (5 + len(KINDS))))
        with open(path, 'r+b') as file:
            self.map = mmap.mmap(file.fileno(), 0)

    def arm(self, kind, left, every=0):
        number, error = KINDS[kind]
        # `left` is written last, so that no call fails with the values of the previous kind.
        struct.pack_into('=qqqqq', self.map, 0, number, 0, 0, error, 0)
        struct.pack_into('=qq', self.map, 8, left, every)

    def disarm(self):
        struct.pack_into('=qq', self.map, 8, 0, 0)
        return struct.unpack_from('=q', self.map, 32)[0]


class Target:
    """A request, and how its response is compared."""

    def __init__(self, name, server, send, key=lambda body: body, check=None):
        self.name, self.server, self.send, self.key, self.check = name, server, send, key, check

    def __call__(self):
        """Returns (status, what is compared)."""
        try:
            response = self.send()
        except (ConnectionError, OSError) as error:
            return 0, type(error).__name__
        except Exception as error:  # pylint: disable=broad-except  # a response that ends early
            return 0, type(error).__name__
        try:
            return response.status, self.key(response.body)
        except (ValueError, KeyError, TypeError) as error:
            return response.status, f'{type(error).__name__}: {response.body[:80]!r}'


def members(*names):
    def key(body):
        value = json.loads(body)
        return json.dumps([value[name] for name in names if name != 'warnings'] + [value.get('warnings')], sort_keys=True)
    return key


def pictures():
    found = {'bmp': bmp()}
    if Image:
        for name, form, more in (('jpeg', 'JPEG', {}), ('prog', 'JPEG', {'progressive': True}), ('webp', 'WEBP', {})):
            data = io.BytesIO()
            Image.effect_noise((97, 61), 80).convert('RGB').save(data, form, **more)
            found[name] = data.getvalue()
    return found


def poses_of_batch(body):
    """A picture may have an error of its own if memory was short."""
    results = json.loads(body)['results']
    wrong = [result for result in results if 'error' in result and result['error']['code'] != 'out_of_memory']
    return json.dumps(wrong or [result['poses'] for result in results if 'poses' in result][:1])


def targets_of(pose, face):
    picture, form = png(64, 48), multipart({'image': ('a.png', png(64, 48), 'image/png')})
    people = members('poses', 'count')
    faces = members('faces', 'count')
    number = iter(range(1 << 30))
    draw = {'Content-Type': 'image/png', 'Accept': 'image/png'}

    def change(path, **fields):
        name = f'new {next(number)}'
        response = face.ask(path, one(9), name=name, **fields)
        change.last = (name, response.status)
        return response

    def added():
        name, status = change.last
        return (name in face.names()) == (status == 200)

    def remove():
        name = f'old {next(number)}'
        face.add(name, one(10))
        ARMED()
        response = face.post_json({'name': name}, '/v1/database/remove')
        remove.last = (name, response.status)
        return response

    def removed():
        name, status = remove.last
        return (name in face.names()) == (status != 200)

    yield Target('pose json', pose, lambda: pose.post_json({'image': b64(picture)}), people)
    yield Target('pose form', pose, lambda: pose.request('POST', '/v1/pose/detect', form[0], {'Content-Type': form[1]}), people)
    yield Target('pose raw', pose, lambda: pose.request('POST', '/v1/pose/detect', picture, {'Content-Type': 'image/png'}), people)
    yield Target('pose drawn', pose, lambda: pose.request('POST', '/v1/pose/detect', picture, draw), 
                 lambda body: body[:8] if body[:4] == b'\x89PNG' else body)
    yield Target('pose batch', pose, lambda: pose.post_json({'images': [b64(picture)] * 2}, '/v1/pose/detect/batch'),
                 poses_of_batch)
    for form_name, data in pictures().items():
        yield Target(f'pose {form_name}', pose,
                     lambda data=data: pose.request('POST', '/v1/pose/detect', data, {'Content-Type': 'image/png'}), people)
    yield Target('pose deflate', pose, lambda: pose.request(
        'POST', '/v1/pose/detect', zlib.compress(json.dumps({'image': b64(picture)}).encode()),
        {'Content-Type': 'application/json', 'Content-Encoding': 'deflate'}), people)
    yield Target('health', pose, lambda: pose.get('/health'), members('status'))
    yield Target('models', pose, lambda: pose.get('/v1/models'), members('object'))
    yield Target('metrics', pose, lambda: pose.get('/metrics'), lambda body: body.count(b'# TYPE'))
    yield Target('detect', face, lambda: face.ask('detect', one(1)), faces)
    yield Target('embed', face, lambda: face.ask('embed', one(1)), members('embedding'))
    yield Target('recognize', face, lambda: face.ask('recognize', one(1)), faces)
    yield Target('verify', face, lambda: face.ask('database/verify', one(1), name='kept 1'), lambda body: '')
    yield Target('list', face, lambda: face.get('/v1/database/list'), lambda body: '"kept 1"' in body.decode())
    yield Target('identity', face, lambda: face.get('/v1/database/identities/kept%201'), members('name'))
    yield Target('add', face, lambda: change('database/add'), lambda body: '', added)
    yield Target('remove', face, remove, lambda body: '', removed)


def ARMED():  # pylint: disable=invalid-name
    """Replaced while a request with a preparation runs: arms the failure after the preparation."""


def sweep(control, target, kind, totals, failures):
    right = target()
    if right[0] != 200:
        failures.append(f'{target.name}: without a failure {right}')
        return 0
    harmless = 0
    late = target.check is not None and target.name == 'remove'
    for nth in range(1, ARGS.limit + 1):
        if late:
            globals()['ARMED'] = lambda nth=nth: control.arm(kind, nth)
        else:
            control.arm(kind, nth)
        got = target()
        failed = control.disarm()

        globals()['ARMED'] = lambda: None
        totals[kind, got[0]] += 1
        if target.server.process.poll() is not None:
            failures.append(f'{target.name}, {kind} {nth}: the service ended with {target.server.process.returncode}')
            return nth
        same = got == right
        if got[0] == 200 and not same:
            failures.append(f'{target.name}, {kind} {nth}: {str(got)[:300]} instead of {str(right)[:120]}')
        closed = kind == 'send' or (kind == 'allocation' and nth <= 2)  # the two that a new connection needs
        if got[0] not in (0, 200, 500, 503, 507) or (got[0] == 0 and not closed) or (got[0] == 500 and kind == 'allocation'):
            failures.append(f'{target.name}, {kind} {nth}: {got}')
        if target.check and got[0] and not target.check():
            failures.append(f'{target.name}, {kind} {nth}: status {got[0]} and the gallery do not agree')
        harmless = harmless + 1 if same else 0
        if not failed or harmless > HARMLESS_MAX:
            return nth - 1
        if got[0] != 200 and target.server.get('/health').status != 200:
            failures.append(f'{target.name}, {kind} {nth}: not healthy afterwards')
    return ARGS.limit


def main():
    folder = Path(tempfile.mkdtemp(prefix='hs-failures-'))
    library = folder / 'fail_calls.so'
    subprocess.run([os.environ.get('CC', 'cc'), '-std=gnu17', '-O1', '-fPIC', '-shared', '-o', library, HERE / 'fail_calls.c'],
                   check=True)
    control = Control(folder / 'control')
    env = environment(folder, LD_PRELOAD=str(library), HS_FAIL_CONTROL=str(folder / 'control'))
    failures, totals, rows = [], collections.Counter(), []
    common = {'logging.level': 'ERROR', 'performance.worker_threads': '2'}
    with Server(folder, common, env=env) as pose, FaceServer(folder, common, env=env) as face:
        for server in (pose, face):
            wait_for(lambda server=server: server.get('/health/ready').status == 200)
        for kept in range(3):
            face.add(f'kept {kept}', one(kept))
        for target in targets_of(pose, face):
            if ARGS.requests and target.name not in ARGS.requests.split(','):
                continue
            counts = []
            for kind in ARGS.kinds.split(','):
                counts.append(sweep(control, target, kind, totals, failures))
                if target.server.process.poll() is not None:
                    break
            rows.append((target.name, counts))
            print(f'{target.name:12}' + ''.join(f'{count:9}' for count in counts), flush=True)
            if target.server.process.poll() is not None:
                print(target.server.log[-3000:])
                break
        control.disarm()
        for kept in range(3):
            if all(s.process.poll() is None for s in (pose, face)):
                answer = face.ask('recognize', one(kept)).json()['faces'][0]['identity']
                if answer != f'kept {kept}':
                    failures.append(f'kept {kept} is recognised as {answer}')
    print('failed calls:', ' '.join(f'{kind} {sum(counts[i] for _, counts in rows if i < len(counts))}'
                                    for i, kind in enumerate(ARGS.kinds.split(','))))
    print('statuses:', ' '.join(f'{kind}:{status}={count}' for (kind, status), count in sorted(totals.items())))
    shutil.rmtree(folder, ignore_errors=True)
    for failure in failures[:40]:
        print('FAILED:', failure)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
