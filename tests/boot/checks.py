#!/usr/bin/env python3
"""Boots the system in a folder with systemd-nspawn and checks the services in it. Called by run.sh as root.

The container shares this machine's kernel and has a network of its own, with only a loopback device."""
import argparse
import ctypes
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

START = time.monotonic()
SERVICES = {'hailo-pose': 11436, 'hailo-face': 5002}
PICTURE = '/usr/local/share/hailo-boot/zidane.jpg'
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


def say(text):
    print(f'[boot +{time.monotonic() - START:.1f}s] {text}', flush=True)


def wait_for(condition, what, timeout=60):
    """Returns the first true value of condition()."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError(f'not within {timeout} s: {what}')


class Machine:
    """A booted container."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.leader = None
        self.process = None

    def boot(self):
        command = ['systemd-nspawn', '--quiet', '-D', str(self.root), '--boot', '--register=no', '--keep-unit',
                   '--private-network', '--console=pipe', '--link-journal=no', '--resolv-conf=off', '--timezone=off',
                   '--kill-signal=SIGRTMIN+3']
        if not os.path.exists('/sys/fs/cgroup/cgroup.controllers'):
            # Without these, systemd 256 and later refuse to boot on this machine's control groups.
            command += ['systemd.unified_cgroup_hierarchy=0', 'SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1']
        with open(self.root.parent / 'console.log', 'ab') as console:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        self.leader = wait_for(self.find_leader, 'the first process of the container', 20)
        wait_for(lambda: self.run('systemctl', 'is-system-running', check=False).strip() in ('running', 'degraded'),
                 'the end of the boot', 90)

    def find_leader(self):
        """Returns the child of systemd-nspawn that is the container's init."""
        assert self.process.poll() is None, (self.root.parent / 'console.log').read_text(errors='replace')[-3000:]
        path = f'/proc/{self.process.pid}/task/{self.process.pid}/children'
        for pid in pathlib.Path(path).read_text(encoding='ascii').split():
            if pathlib.Path(f'/proc/{pid}/comm').read_text(encoding='ascii').strip() == 'systemd':
                return int(pid)
        return None

    def run(self, *command, check=True, timeout=60, text=True):
        """Runs a command in the container. Returns its output."""
        done = subprocess.run(['nsenter', '-t', str(self.leader), '-m', '-u', '-i', '-n', '-p', '--', *command],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=text,
                              check=False, timeout=timeout)
        assert not check or done.returncode == 0, f'{" ".join(command)}: exit code {done.returncode}:\n{done.stdout}'
        return done.stdout

    def shut_down(self):
        """Returns the seconds until the container has ended."""
        before = time.monotonic()
        self.run('systemctl', 'poweroff', check=False)
        self.process.wait(60)
        return time.monotonic() - before

    def kill(self):
        """Ends the container and all processes in it, which would outlive systemd-nspawn."""
        if self.process and self.process.poll() is None:
            if self.leader:
                os.kill(self.leader, signal.SIGKILL)
            self.process.kill()
            self.process.wait()

    # ---- services

    def show(self, service, name):
        return self.run('systemctl', 'show', '--value', '-p', name, service).strip()

    def assert_shows(self, service, **expected):
        """Checks properties of the unit."""
        found = {name: self.show(service, name) for name in expected}
        assert found == expected, f'{service}: {found}, expected {expected}'

    def main_pid(self, service):
        """Returns the process id on this machine."""
        inner = self.show(service, 'MainPID')
        for status in pathlib.Path('/proc').glob('[0-9]*/status'):
            try:
                ids = re.search(r'^NSpid:\s*(.*)$', status.read_text(errors='replace'), re.MULTILINE)
                same = os.readlink(status.parent / 'ns/pid') == os.readlink(f'/proc/{self.leader}/ns/pid')
            except OSError:  # it has ended, or this user may not see it
                continue
            if ids and same and ids[1].split()[-1] == inner:
                return int(status.parent.name)
        return None

    def wait_status(self, service, pattern, timeout=60):
        wait_for(lambda: re.search(pattern, self.show(service, 'StatusText')),
                 f'{service}: the status {pattern}, it is {self.show(service, "StatusText")!r}', timeout)

    def curl(self, service, path, *options):
        return self.run('curl', '-sS', '--max-time', '30', *options, f'http://127.0.0.1:{SERVICES[service]}{path}')

    def journal(self, service, *options):
        return self.run('journalctl', '-u', service, '-o', 'cat', '--no-pager', *options)

    def wait_ready(self, service, timeout=120):
        wait_for(lambda: self.show(service, 'ActiveState') == 'active', f'{service} is active:\n' +
                 self.run('systemctl', 'status', '--no-pager', service, check=False), timeout)
        self.wait_status(service, '^ready: ', timeout)
        assert json.loads(self.curl(service, '/health/ready')) == {'ready': True}


class Stopped:
    """Stops one thread of another process, and only this one."""

    def __init__(self, thread):
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(self, request):
        return self.libc.ptrace(ctypes.c_long(request), ctypes.c_long(self.thread), None, None)

    def __enter__(self):
        assert self.ptrace(PTRACE_SEIZE) == 0, 'cannot trace the service'
        assert self.ptrace(PTRACE_INTERRUPT) == 0
        os.waitpid(self.thread, WALL)
        return self

    def __exit__(self, *_):
        if self.ptrace(PTRACE_DETACH) < 0:  # it was killed meanwhile, and its end waits for the tracer
            os.waitpid(self.thread, WALL)


# ---- checks

def started_at_boot(machine):
    for service in SERVICES:
        machine.wait_ready(service)
        machine.assert_shows(service, Type='notify', NRestarts='0', UnitFileState='enabled')
        user = pathlib.Path(f'/proc/{machine.main_pid(service)}/status').read_text(encoding='ascii')
        assert not re.search(r'^Uid:\s*0\b', user, re.MULTILINE), 'it runs as root'
    assert json.loads(machine.curl('hailo-pose', '/health'))['model_loaded']
    assert '"status":"healthy"' in machine.curl('hailo-face', '/health')


def answers_in_the_sandbox(machine):
    """The processor's code generator, the picture libraries and the gallery work under the unit's restrictions."""
    found = json.loads(machine.curl('hailo-pose', '/v1/pose/detect', '-F', f'image=@{PICTURE}'))
    assert found['count'] == 2 and found['device'] == 'cpu', found
    added = machine.curl('hailo-face', '/v1/database/add', '-F', f'image=@{PICTURE}', '-F', 'name=Zidane')
    assert json.loads(added)['name'] == 'Zidane', added
    faces = json.loads(machine.curl('hailo-face', '/v1/recognize', '-F', f'image=@{PICTURE}'))['faces']
    assert 'Zidane' in [face['identity'] for face in faces], faces
    stored = machine.root / 'var/lib/hailo-face'
    assert stored.stat().st_mode & 0o777 == 0o700 and (stored / 'faces.db').stat().st_mode & 0o077 == 0


def sandbox_holds(machine):
    """Looks from the service's own mount namespace."""
    for service in SERVICES:
        pid = machine.main_pid(service)
        status = pathlib.Path(f'/proc/{pid}/status').read_text(encoding='ascii')
        assert re.search(r'^NoNewPrivs:\s*1$', status, re.MULTILINE)
        assert re.search(r'^Seccomp:\s*2$', status, re.MULTILINE)
        for kind in ('CapEff', 'CapBnd', 'CapPrm'):
            assert re.search(rf'^{kind}:\s*0+$', status, re.MULTILINE), status
        mounts = pathlib.Path(f'/proc/{pid}/mountinfo').read_text(encoding='utf-8')
        assert re.search(r' / ro[, ]', mounts), mounts
        assert re.search(rf' /var/lib/(private/)?{service} rw[, ]', mounts), mounts
        limits = pathlib.Path(f'/proc/{pid}/limits').read_text(encoding='ascii')
        assert re.search(r'^Max core file size\s+0\s+0', limits, re.MULTILINE), limits
        score = machine.run('systemd-analyze', 'security', '--offline=true', '--no-pager',
                            f'/usr/lib/systemd/system/{service}.service', check=False)
        exposure = float(re.search(r'Overall exposure level for \S+: ([0-9.]+)', score)[1])
        say(f'{service}: exposure {exposure}')
        assert exposure <= 2.0, score


def reload_changes_the_settings(machine):
    page = machine.root / 'etc/hailo/hailo-pose.yaml'
    before = machine.main_pid('hailo-pose')
    page.write_text('inference: {confidence_threshold: 1}\n')
    machine.run('systemctl', 'reload', 'hailo-pose')
    wait_for(lambda: 'changed: inference.confidence_threshold' in machine.journal('hailo-pose'), 'the reload')
    machine.wait_status('hailo-pose', '^ready: ')
    assert json.loads(machine.curl('hailo-pose', '/v1/pose/detect', '-F', f'image=@{PICTURE}'))['count'] == 0

    page.write_text('inference: {confidence_threshold: 7}\n')
    machine.run('systemctl', 'reload', 'hailo-pose')
    machine.wait_status('hailo-pose', '; reload failed, the old settings are in effect: ')
    errors = machine.journal('hailo-pose', '-p', 'err')
    assert 'inference.confidence_threshold: 7 is too large' in errors and 'Not reloaded' in errors, errors
    assert 'Reloaded the settings' not in errors, 'the journal has the level of each line'
    assert json.loads(machine.curl('hailo-pose', '/v1/pose/detect', '-F', f'image=@{PICTURE}'))['count'] == 0
    page.write_text('inference: {confidence_threshold: 0.5}\n')
    machine.run('systemctl', 'reload', 'hailo-pose')
    machine.wait_status('hailo-pose', '^ready: ')
    assert machine.main_pid('hailo-pose') == before, 'the process was replaced'


def limits_are_in_effect(machine):
    """Reads the limits from the service's control group."""
    drop_in = '/etc/systemd/system/hailo-pose.service.d/50-resource-limits.conf'
    machine.assert_shows('hailo-pose', MemoryMax=str(2 << 30), CPUQuotaPerSecUSec='800ms')
    machine.run('hailo-pose', 'config', 'render', '--drop-in', drop_in, '--set', 'resource_limits.memory_max=1500M',
                '--set', 'resource_limits.cpu_quota=150%')
    machine.run('systemctl', 'daemon-reload')
    machine.run('systemctl', 'restart', 'hailo-pose')
    machine.wait_ready('hailo-pose')
    machine.assert_shows('hailo-pose', MemoryMax=str(1500 << 20), CPUQuotaPerSecUSec='1.500000s')
    groups = pathlib.Path(f'/proc/{machine.main_pid("hailo-pose")}/cgroup').read_text(encoding='ascii')
    found = {}
    for controller, file in (('memory', 'memory.limit_in_bytes'), ('cpu', 'cpu.cfs_quota_us')):
        group = re.search(rf'^\d+:[^:]*\b{controller}\b[^:]*:(.*)$', groups, re.MULTILINE)
        path = group and pathlib.Path(f'/sys/fs/cgroup/{controller}{group[1]}') / file
        if path and path.exists() and 'hailo-pose.service' in str(path):
            found[controller] = int(path.read_text(encoding='ascii'))
    say(f'limits in the control group: {found or "this container has no such controllers"}')
    assert found.get('memory', 1500 << 20) == 1500 << 20 and found.get('cpu', 150000) == 150000, found


def ends_and_returns(machine, service, act, what):
    """The service must be replaced by a new process, which answers."""
    before, restarts = machine.main_pid(service), int(machine.show(service, 'NRestarts'))
    act(before)
    wait_for(lambda: int(machine.show(service, 'NRestarts')) > restarts, f'{service} restarts after {what}', 120)
    machine.wait_ready(service)
    assert machine.main_pid(service) != before


def kill_restarts(machine):
    start = time.monotonic()
    ends_and_returns(machine, 'hailo-face', lambda pid: os.kill(pid, 9), 'kill -9')
    say(f'ready again {time.monotonic() - start:.1f} s after kill -9')
    faces = json.loads(machine.curl('hailo-face', '/v1/database/list'))
    assert faces['count'] == 1, faces


def hung_loop_restarts(machine):
    """Only the network thread hangs; the main thread and the workers run."""
    drop_in = machine.root / 'etc/systemd/system/hailo-pose.service.d/watchdog.conf'
    drop_in.write_text('[Service]\nWatchdogSec=4\n')
    machine.run('systemctl', 'daemon-reload')
    machine.run('systemctl', 'restart', 'hailo-pose')
    machine.wait_ready('hailo-pose')
    time.sleep(6)
    assert machine.show('hailo-pose', 'NRestarts') == '0', 'the watchdog ends a healthy service'
    threads = pathlib.Path(f'/proc/{machine.main_pid("hailo-pose")}/task')
    network = [int(task.name) for task in threads.iterdir()
               if (task / 'comm').read_text(encoding='ascii').strip() == 'http-network']
    assert len(network) == 1
    restarts = int(machine.show('hailo-pose', 'NRestarts'))
    with Stopped(network[0]):
        wait_for(lambda: 'Watchdog timeout' in machine.journal('hailo-pose'), 'the watchdog', 30)
    wait_for(lambda: int(machine.show('hailo-pose', 'NRestarts')) > restarts, 'the restart', 60)
    machine.wait_ready('hailo-pose')
    # The same with a main thread that hangs.
    ends_and_returns(machine, 'hailo-pose', lambda pid: os.kill(pid, 19), 'SIGSTOP')
    drop_in.unlink()
    machine.run('systemctl', 'daemon-reload')


def stops_in_time(machine):
    for service in SERVICES:
        start = time.monotonic()
        machine.run('systemctl', 'stop', service)
        seconds = time.monotonic() - start
        say(f'{service} stopped in {seconds:.1f} s')
        assert seconds < 10
        machine.assert_shows(service, Result='success', ActiveState='inactive')
        assert 'INFO: Stopped\n' in machine.journal(service)
        machine.run('systemctl', 'start', service)
        machine.wait_ready(service)


def secrets_come_from_credentials(machine):
    """The service's user cannot read the key itself; systemd passes it."""
    etc = machine.root / 'etc/hailo'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                    '-days', '99', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost',
                    '-keyout', str(etc / 'tls.key'), '-out', str(etc / 'tls.crt')], check=True, capture_output=True)
    (etc / 'tls.key').chmod(0o600)
    page, drop_in = etc / 'hailo-pose.yaml', machine.root / 'etc/systemd/system/hailo-pose.service.d/secrets.conf'
    before = page.read_text() if page.exists() else ''
    page.write_text('server: {tls_certificate: /etc/hailo/tls.crt, tls_key: "credential:tls-key"}\n')
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text('[Service]\nLoadCredential=tls-key:/etc/hailo/tls.key\n')
    machine.run('systemctl', 'daemon-reload')
    machine.run('systemctl', 'restart', 'hailo-pose')
    machine.wait_status('hailo-pose', '^ready: ', 120)
    found = machine.run('curl', '-sS', '--cacert', '/etc/hailo/tls.crt', 'https://localhost:11436/health/ready')
    assert json.loads(found) == {'ready': True}
    page.write_text(before)
    drop_in.unlink()
    machine.run('systemctl', 'daemon-reload')
    machine.run('systemctl', 'restart', 'hailo-pose')
    machine.wait_ready('hailo-pose')


def socket_starts_the_service(machine):
    machine.run('systemctl', 'stop', 'hailo-pose.service')
    machine.run('systemctl', 'start', 'hailo-pose.socket')
    machine.assert_shows('hailo-pose', ActiveState='inactive')
    assert json.loads(machine.curl('hailo-pose', '/health'))['status'] == 'ok'
    machine.wait_ready('hailo-pose')
    # Connections wait in systemd's socket while the service restarts.
    machine.run('systemctl', '--no-block', 'restart', 'hailo-pose')
    for _ in range(20):
        assert json.loads(machine.curl('hailo-pose', '/health'))['status'] == 'ok'
    machine.run('systemctl', 'stop', 'hailo-pose.socket', 'hailo-pose.service')
    machine.run('systemctl', 'start', 'hailo-pose.service')
    machine.wait_ready('hailo-pose')


def no_model_is_not_a_failure(machine):
    models = machine.root / 'var/lib/hailo-pose/models'
    models.rename(models.with_name('away'))
    machine.run('systemctl', 'restart', 'hailo-pose')
    time.sleep(1)
    state = machine.show('hailo-pose', 'ActiveState'), machine.show('hailo-pose', 'Result')
    models.with_name('away').rename(models)
    assert state == ('inactive', 'exec-condition'), state
    machine.run('systemctl', 'start', 'hailo-pose')
    machine.wait_ready('hailo-pose')


def journal_is_clean(machine):
    """Lines of warnings and errors that no check has caused."""
    expected = re.compile('Anyone who can reach|confidence_threshold: 7|the configuration has 1 error|Not reloaded|'
                          'Failed to kill control group|Watchdog timeout|Killing process|Main process exited|'
                          'Failed with result|killed, status|models ready: |SIGABRT|SIGKILL|status=(9|6)/')
    for service in SERVICES:
        lines = [line for line in machine.journal(service, '-p', 'warning').splitlines() if not expected.search(line)]
        assert not lines, f'{service}:\n' + '\n'.join(lines)


def second_boot(machine):
    seconds = machine.shut_down()
    say(f'shut down in {seconds:.1f} s')
    assert seconds < 30
    machine.boot()
    for service in SERVICES:
        machine.wait_ready(service)
    assert json.loads(machine.curl('hailo-face', '/v1/database/list'))['count'] == 1
    assert machine.run('journalctl', '-q', '-u', 'hailo-pose', '--list-boots', check=False).count('\n') >= 1


QUICK = [started_at_boot, answers_in_the_sandbox, sandbox_holds, reload_changes_the_settings, limits_are_in_effect,
         kill_restarts, stops_in_time, journal_is_clean]
FULL = QUICK[:-1] + [hung_loop_restarts, secrets_come_from_credentials, socket_starts_the_service,
                     no_model_is_not_a_failure, second_boot, journal_is_clean]


def run_checks(machine, checks, shell=False):
    """Boots, runs the checks and ends the machine. `shell`: opens a shell in it before its end."""
    try:
        machine.boot()
        say('booted')
        for check in checks:
            check(machine)
            say(f'ok: {check.__name__.replace("_", " ")}')
    except AssertionError as error:
        say(f'failed: {error}')
        for service in SERVICES if machine.leader and machine.process.poll() is None else ():
            print(machine.run('journalctl', '-u', service, '-n', '40', '--no-pager', check=False))
        sys.exit(1)
    finally:
        if shell and machine.leader:
            subprocess.run(['nsenter', '-t', str(machine.leader), '-m', '-u', '-i', '-n', '-p', '--', 'bash'],
                           check=False)
        machine.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root')
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--shell', action='store_true')
    parser.add_argument('--only', help='one check, after the start')
    arguments = parser.parse_args()
    chosen = [check for check in FULL if check is started_at_boot or check.__name__ == arguments.only]
    run_checks(Machine(arguments.root), chosen if arguments.only else QUICK if arguments.quick else FULL,
               arguments.shell)


if __name__ == '__main__':
    main()
