"""The shell commands of a document, and a shell that runs them as a reader would paste them."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.dirname(os.path.abspath(os.environ.get('HS_BIN') or os.path.join(TREE, 'build', 'hailo-pose')))
MODELS = os.path.abspath(os.environ.get('HS_MODELS_DIR') or os.path.join(TREE, '.deps', 'models'))
COMMAND_S, START_S = 300, 120

FENCE = re.compile(r'^( *)```(.*)$')
# Words after ```sh in a document, and the reason why the test does not run the block.
NOT_RUN = {
    'slow': 'takes minutes; a stage of .ci/run or `make check-slow` runs it',
    'hailo': 'needs a Hailo device',
    'root': 'changes the system; tests/fresh runs it in a new Debian',
    'network': 'downloads from a host other than a package registry',
    'own': 'needs a file of the reader',
}
SERVES = re.compile(r'^\s*(?:\S*/)?(hailo-pose|hailo-face) serve\b|^\s*make run\b', re.M)
PORTS = {'11436': 'HAILO_POSE_SERVER_PORT', '5002': 'HAILO_FACE_SERVER_PORT'}


def is_complete(text):
    """Returns true if bash can parse the text as whole commands."""
    if text.rstrip('\n').endswith('\\'):
        return False
    parsed = subprocess.run(['bash', '-n'], input=text, capture_output=True, text=True)
    return parsed.returncode == 0 and not parsed.stderr


def commands_of(text):
    """Returns (line, command, word) of each command in the blocks marked sh. The word is the one after `sh`, or ''."""
    found, block, word = [], None, ''
    for number, line in enumerate(text.split('\n'), 1):
        fence = FENCE.match(line)
        if fence and block is None and fence[2].split()[:1] == ['sh']:
            block, word, begin = '', ' '.join(fence[2].split()[1:]), number + 1
        elif fence and block is not None:
            if block.strip():
                raise ValueError(f'line {begin}: not a whole command: {block}')
            block = None
        elif block is not None:
            if not block:
                begin = number
            block += line + '\n'
            if not block.strip() or all(part.lstrip().startswith('#') for part in block.strip().split('\n')):
                block = ''
            elif is_complete(block):
                found.append((begin, block, word))
                block = ''
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def clone(folder):
    """Makes `folder` look like a clone after `make demo`: sources and build are links, models and samples copies."""
    os.makedirs(os.path.join(folder, '.deps'))
    for name in os.listdir(TREE):
        if name not in ('.deps', '.git', 'build', 'demo-out') and not name.startswith('build-'):
            os.symlink(os.path.join(TREE, name), os.path.join(folder, name))
    os.symlink(BUILD, os.path.join(folder, 'build'))
    os.mkdir(os.path.join(folder, 'demo-out'))
    for name in os.listdir(os.path.join(TREE, '.deps')):
        if name not in ('models', 'samples', 'gallery'):
            os.symlink(os.path.join(TREE, '.deps', name), os.path.join(folder, '.deps', name))
    shutil.copytree(MODELS, os.path.join(folder, '.deps', 'models'), copy_function=link_or_copy)
    shutil.copytree(os.path.join(TREE, '.deps', 'samples'), os.path.join(folder, '.deps', 'samples'))


def link_or_copy(source, target):
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class Shell:
    """A bash whose variables last from command to command. Commands that serve run in the background until the next
    one of the same program. The ports of the documents become free ones."""

    def __init__(self, folder, home):
        self.folder, self.servers = folder, {}
        self.ports = {port: free_port() for port in PORTS}
        env = {key: value for key, value in os.environ.items() if not key.startswith(('HS_', 'HAILO_', 'XDG_'))}
        env.update({PORTS[port]: str(number) for port, number in self.ports.items()}, HOME=home, LC_ALL='C.UTF-8')
        self.variables = os.path.join(home, 'variables')
        with open(self.variables, 'w', encoding='utf-8') as file:
            # An HTTP error fails the command. -f excludes --fail-with-body.
            file.write('curl() { case " $* " in *" -f "*) command curl -sS "$@" ;;\n'
                       '*) command curl -sS --fail-with-body "$@" ;; esac; }\n')
        self.env = env

    def run(self, command):
        """Returns the exit code and the output. A server's code is 0 once it is ready."""
        for port, number in self.ports.items():
            command = re.sub(rf'\b{port}\b', str(number), command)
        serves = SERVES.search(command)
        if serves:
            return self.serve(command, 'face' if serves[1] == 'hailo-face' or 'SERVICE=face' in command else 'pose')
        script = f'. {self.variables}\nset -o pipefail\n{command}\nstatus=$?\n' \
                 f'{{ declare -f; export -p; }} > {self.variables}.new && mv {self.variables}.new {self.variables}\n' \
                 'exit $status\n'
        process = subprocess.Popen(['bash', '-c', script], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            output, _ = process.communicate(timeout=COMMAND_S)
            return process.returncode, output.decode(errors='replace')
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return 'timeout', process.communicate()[0].decode(errors='replace')

    def serve(self, command, service):
        self.stop(service)
        log = os.path.join(os.path.dirname(self.variables), f'{service}.log')
        with open(log, 'wb') as file:
            process = subprocess.Popen(['bash', '-c', f'. {self.variables}\n{command}'], cwd=self.folder, env=self.env,
                                       stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
        self.servers[service] = process
        port = self.ports['5002' if service == 'face' else '11436']
        end = time.monotonic() + START_S
        while time.monotonic() < end and process.poll() is None:
            try:
                with urllib.request.urlopen(f'http://127.0.0.1:{port}/health/ready', timeout=10):
                    return 0, ''
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        with open(log, encoding='utf-8', errors='replace') as file:
            return 'not ready', file.read()

    def stop(self, service):
        process = self.servers.pop(service, None)
        if process:
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                process.kill()
                process.wait()

    def close(self):
        for service in list(self.servers):
            self.stop(service)
