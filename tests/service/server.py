"""The program under test as a process, and a small HTTP client, using only the Python standard library."""
import base64
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.abspath(os.environ.get('HS_BIN') or os.path.join(TREE, 'build', 'hailo-pose'))
MODELS = os.path.abspath(os.environ.get('HS_MODELS_DIR') or os.path.join(TREE, '.deps', 'models'))
FACE = os.path.abspath(os.environ.get('HS_FACE_BIN') or os.path.join(os.path.dirname(BINARY), 'hailo-face'))
START_TIMEOUT_S = 120   # the first start compiles the network; sanitizers are slow too
RESPONSE_TIMEOUT_S = 60
SANITIZER = re.compile(r'(Address|Thread|Leak|UndefinedBehavior|Memory)Sanitizer|runtime error:')


def is_sanitized(program):
    """Returns true if the program has a memory sanitizer, so that memory limits do not apply."""
    with open(program, 'rb') as file:
        data = file.read()
    return b'__asan_init' in data or b'__tsan_init' in data


def keeps_freed_memory():
    """Returns true if small limits on resident memory do not apply: with a sanitizer, or under an emulator."""
    return is_sanitized(BINARY) or bool(os.environ.get('HS_EMULATED'))


class Response:
    """One HTTP response. Names in `headers` are case-insensitive."""

    def __init__(self, response):
        self.status = response.status
        self.version = response.version
        self.headers = response.headers
        self.body = response.read()
        self.will_close = response.will_close

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f'{self.status} {dict(self.headers)} {self.body[:500]!r}'


def environment(folder, **more):
    """Returns this process's environment without variables that configure the program; its folders and its gallery
    are below `folder`, and so is the file of API keys, which no test has unless it makes one."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(('HS_', 'HAILO_', 'XDG_'))}
    env.update(HS_MODELS_DIR=MODELS, HOME=str(folder), XDG_CONFIG_HOME=str(folder), LC_ALL='C.UTF-8',
               HAILO_POSE_AUTH_KEYS_FILE=os.path.join(folder, 'keys.json'),
               HAILO_FACE_AUTH_KEYS_FILE=os.path.join(folder, 'keys.json'),
               HAILO_FACE_DATABASE_DB_FILE=os.path.join(folder, 'faces.db'),
               HAILO_FACE_DATABASE_BACKUP_PATH=os.path.join(folder, 'backups'))
    env.update(more)
    return env


def run(folder, *arguments, program=BINARY, **options):
    """Runs a program to its end without input. Returns a CompletedProcess with text output."""
    options.setdefault('timeout', START_TIMEOUT_S)
    options.setdefault('env', environment(folder))
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=str(folder),
                          stdin=subprocess.DEVNULL, **options)
    assert not SANITIZER.search(done.stderr), done.stderr
    assert done.returncode >= 0, f'killed by signal {-done.returncode}: {done.stderr}'
    return done


def may_run(program, user, group):
    """Returns true if that user can run the program; false for example if the tree is in root's home."""
    try:
        return subprocess.run([program, 'version'], check=False, capture_output=True, cwd='/', user=user, group=group,
                              extra_groups=[]).returncode == 0
    except PermissionError:
        return False


class Server:
    """Owns a `hailo-pose serve` on a free port. Use it as a context manager, or call stop(). `tls`: the ssl.SSLContext of
    its clients. `address` is that of the first listening line: (host, port), or the path of a unix socket."""

    def __init__(self, folder, settings=None, arguments=(), device='sim', env=None, program=None, tls=None):
        command = list(program or [BINARY, 'serve']) + ['--host', '127.0.0.1', '--port', '0', '--device', device]
        for key, value in (settings or {}).items():
            command += ['--set', f'{key}={value}']
        self.lines = []
        self.address = None
        self.tls = tls
        self._listening = threading.Event()
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen(command + list(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors='replace', cwd=str(folder),
                                        env=env or environment(folder))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._listening.wait(START_TIMEOUT_S)
        if not self.address:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f'no listening line from {" ".join(command)}:\n{self.log}')

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line)
            found = re.search(r'listening on (?:https?://(\S+):(\d+)|unix:(\S+))', line)
            if found and not self.address:
                self.address = found[3] or (found[1].strip('[]'), int(found[2]))
                self._listening.set()
        self._listening.set()  # the process has ended

    @property
    def log(self):
        return ''.join(self.lines)

    @property
    def url(self):
        return f'http{"s" if self.tls else ""}://{self.address[0]}:{self.address[1]}'

    def count_in_memory(self, data):
        """Returns how often these bytes are in the writable memory of the process."""
        count = 0
        with open(f'/proc/{self.process.pid}/mem', 'rb', 0) as memory, \
                open(f'/proc/{self.process.pid}/maps', encoding='utf-8') as maps:
            for line in maps:
                area, mode = line.split()[:2]
                first, last = (int(number, 16) for number in area.split('-'))
                if mode.startswith('rw') and '[v' not in line:
                    memory.seek(first)
                    count += memory.read(last - first).count(data)
        return count

    # ---- requests

    def connect(self, timeout=RESPONSE_TIMEOUT_S):
        if isinstance(self.address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(timeout)
            sock.connect(self.address)
        else:
            sock = socket.create_connection(self.address, timeout=timeout)
        return self.tls.wrap_socket(sock, server_hostname='localhost') if self.tls else sock

    def request(self, method, path, body=None, headers=None, timeout=RESPONSE_TIMEOUT_S):
        address = ('localhost',) if isinstance(self.address, str) else self.address
        connection = http.client.HTTPConnection(*address, timeout=timeout)
        if self.tls or isinstance(self.address, str):
            connection.sock = self.connect(timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Response(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request('GET', path, **options)

    def post_json(self, value, path='/v1/pose/detect', headers=None):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.request('POST', path, body, {'Content-Type': 'application/json', **(headers or {})})

    def post_form(self, fields, path='/v1/pose/detect', headers=None):
        body, content_type = multipart(fields)
        return self.request('POST', path, body, {'Content-Type': content_type, **(headers or {})})

    def raw(self, data, method='GET', timeout=RESPONSE_TIMEOUT_S):
        """Sends bytes unchanged and reads one response."""
        with self.connect(timeout) as sock:
            sock.sendall(data)
            return read_response(sock, method)

    def assert_healthy(self):
        assert self.process.poll() is None, f'the server ended with {self.process.returncode}:\n{self.log}'
        assert self.get('/health').status == 200

    def metric(self, name):
        """Returns a metric of the HTTP server: "requests_active"."""
        return int(re.search(rf'^hailo_http_{name} (\d+)$', self.get('/metrics').body.decode(), re.MULTILINE)[1])

    def wait_for_requests(self, count):
        """Waits until that many requests are running or queued."""
        wait_for(lambda: self.metric('requests_active') > count)  # the request for the metric is counted too

    def resident_bytes(self):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as status:
            return int(re.search(r'VmRSS:\s+(\d+) kB', status.read())[1]) * 1024

    # ---- stopping

    def finish(self, timeout=RESPONSE_TIMEOUT_S):
        """Waits for the process to end and returns the exit code."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        self.process.stdout.close()
        assert not SANITIZER.search(self.log), self.log
        return code

    def stop(self, sign=signal.SIGTERM):
        """Stops the server with a signal; the exit code must be 0."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            code = self.finish()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.finish()
            raise AssertionError(f'it did not end on the signal:\n{self.log}') from None
        assert code == 0, f'exit code {code}:\n{self.log}'

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        elif self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def read_response(sock, method='GET'):
    response = http.client.HTTPResponse(sock, method=method)
    response.begin()
    return Response(response)


def closed_by_peer(sock, timeout=RESPONSE_TIMEOUT_S):
    """Returns true if the peer closes within the time. Discards data received before that."""
    sock.settimeout(timeout)
    try:
        while sock.recv(65536):
            pass
        return True
    except socket.timeout:
        return False
    except OSError:
        return True


def wait_for(what, patience_s=30):
    """Waits until what() is true and returns its value."""
    end = time.monotonic() + patience_s
    while not (found := what()):
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.02)
    return found


def multipart(fields, boundary='hs-boundary-7f3a'):
    """`fields`: pairs of name and value, which is text, bytes, or (filename, bytes, content type). Returns (body,
    Content-Type)."""
    out = bytearray()
    for name, value in fields.items() if isinstance(fields, dict) else fields:
        out += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
        if isinstance(value, tuple):
            out += f'; filename="{value[0]}"\r\nContent-Type: {value[2]}'.encode()
            value = value[1]
        out += b'\r\n\r\n' + (value if isinstance(value, bytes) else str(value).encode()) + b'\r\n'
    out += f'--{boundary}--\r\n'.encode()
    return bytes(out), f'multipart/form-data; boundary={boundary}'


# ---- pictures created without a library -----------------------------------------------------------------------------

def png_chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def noise_png(width, height):
    """Returns an RGB picture that cannot be compressed: its drawing is as large."""
    rows = b''.join(b'\0' + os.urandom(width * 3) for _ in range(height))
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', head) + png_chunk(b'IDAT', zlib.compress(rows, 0)) +
            png_chunk(b'IEND', b''))


def png(width=64, height=48, colour_type=2, shade=lambda x, y: (x * 4 % 256, y * 5 % 256, 128)):
    """Returns a PNG with eight bits per channel: colour_type 0 gray, 2 RGB, 6 RGB with alpha."""
    def pixel(x, y):
        colour = bytes(shade(x, y))
        return {0: colour[:1], 2: colour, 6: colour + b'\x80'}[colour_type]
    rows = b''.join(b'\0' + b''.join(pixel(x, y) for x in range(width)) for y in range(height))
    head = struct.pack('>IIBBBBB', width, height, 8, colour_type, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', head) + png_chunk(b'IDAT', zlib.compress(rows)) +
            png_chunk(b'IEND', b''))


def compressed_zeros(count, times, gzip=False):
    """Returns count * times zero bytes compressed with zlib or gzip, in the time that compressing `count` takes."""
    block = bytes(count)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)) * times + packer.flush()
    if not gzip:
        return b'\x78\xda' + packed + struct.pack('>HH', count * times % 65521, 1)
    crc = 0
    for _ in range(times):
        crc = zlib.crc32(block, crc)
    return b'\x1f\x8b\x08' + bytes(6) + b'\xff' + packed + struct.pack('<II', crc, count * times % (1 << 32))


def oversized_png(width, height):
    """Returns a PNG whose header declares width x height pixels, with hardly any data."""
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', head) + png_chunk(b'IDAT', zlib.compress(b'\0' * 64)) +
            png_chunk(b'IEND', b''))


def bmp(width=32, height=24):
    row = b'\x20\x80\xe0' * width
    row += b'\0' * (-len(row) % 4)
    pixels = row * height
    return (b'BM' + struct.pack('<IHHI', 54 + len(pixels), 0, 0, 54) +
            struct.pack('<IiiHHIIiiII', 40, width, height, 1, 24, 0, len(pixels), 2835, 2835, 0, 0) + pixels)


def check_digits(text):
    """Checks that a JSON text has no digits that are noise: numbers have at most four decimals, and an embedding's
    numbers at most nine digits."""
    numbers = []
    value = json.loads(text, parse_float=lambda number: numbers.append(number) or number)
    embedding = value.get('embedding', [])
    for number in numbers:
        if not re.fullmatch(r'-?[0-9]+\.[0-9]{1,4}', number):
            assert number in embedding, number
            assert len(number.split('e')[0].replace('.', '').lstrip('-0')) <= 9, number


def b64(data):
    return base64.b64encode(data).decode()
