"""The units in deploy/systemd: what they promise, and their exposure. tests/boot runs them."""
import os
import re
import shutil
import subprocess

import pytest

from server import TREE

FOLDER = os.path.join(TREE, 'deploy', 'systemd')
SERVICES = ['hailo-pose', 'hailo-face']


def read(name):
    with open(os.path.join(FOLDER, name), encoding='utf-8') as file:
        return file.read()


def value(page, key):
    return re.findall(rf'^{key}=(.*)$', page, re.MULTILINE)


@pytest.mark.parametrize('service, memory', [('hailo-pose', '2G'), ('hailo-face', '3G')])
def test_the_unit_keeps_what_the_services_before_it_promised(service, memory):
    page = read(service + '.service')
    expected = {'User': service, 'Group': service, 'StateDirectory': service, 'WorkingDirectory': f'/var/lib/{service}',
                'Restart': 'always', 'RestartSec': '5', 'TimeoutStopSec': '30', 'TimeoutStartSec': '120',
                'KillSignal': 'SIGTERM', 'MemoryMax': memory, 'CPUQuota': '80%', 'After': 'network-online.target',
                'Wants': 'network-online.target', 'WantedBy': 'multi-user.target'}
    assert {key: value(page, key) for key in expected} == {key: [text] for key, text in expected.items()}
    assert value(page, 'Environment') == ['XDG_CONFIG_HOME=/etc/xdg', 'HAILO_PRINT_TO_SYSLOG=1']


@pytest.mark.parametrize('service', SERVICES)
def test_exposure(service):
    if not shutil.which('systemd-analyze'):
        pytest.skip('systemd-analyze is missing: apt-get install systemd')
    done = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--no-pager',
                           os.path.join(FOLDER, service + '.service')], capture_output=True, text=True, check=False)
    assert float(re.search(r'Overall exposure level for \S+: ([0-9.]+)', done.stdout)[1]) <= 2.0, done


@pytest.mark.parametrize('service', SERVICES)
def test_systemd_reads_the_units(service, tmp_path):
    """Unknown keys and bad values are warnings of systemd-analyze; a program that is not installed is one, too."""
    if not shutil.which('systemd-analyze'):
        pytest.skip('systemd-analyze is missing: apt-get install systemd')
    for kind in ('service', 'socket'):
        shutil.copy(os.path.join(FOLDER, f'{service}.{kind}'), tmp_path)
    done = subprocess.run(['systemd-analyze', 'verify', '--man=no', str(tmp_path / f'{service}.service'),
                           str(tmp_path / f'{service}.socket')], capture_output=True, text=True, check=False,
                          env={**os.environ, 'SYSTEMD_LOG_COLOR': '0'})
    ours = [line for line in done.stderr.splitlines() if service in line and 'is not executable' not in line]
    assert not ours, done.stderr


@pytest.mark.parametrize('service', SERVICES)
def test_both_units_differ_only_where_the_services_do(service):
    """One sandbox for both, so that a fix of one is a fix of both."""
    def sandbox(name):
        page = read(name + '.service')
        return page[page.index('\nUMask='):page.index('\n[Install]')].replace(name, 'NAME')
    assert sandbox(service) == sandbox('hailo-pose')
