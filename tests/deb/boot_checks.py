#!/usr/bin/env python3
"""Boots the system in a folder with systemd-nspawn, and installs, upgrades, removes and purges the packages in it.
Called by boot.sh as root."""
import glob
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'boot'))
from checks import SERVICES, Machine, run_checks, say  # noqa: E402  pylint: disable=wrong-import-position

VERIFY = '/usr/share/hailo-services/deploy/verify.sh'


def dpkg(machine, *arguments):
    return machine.run('env', 'DEBIAN_FRONTEND=noninteractive', 'dpkg', *arguments, timeout=300)


def install(machine, folder):
    inside = glob.glob(f'{machine.root}/srv/{folder}/*.deb')
    return dpkg(machine, '-i', *[path[len(str(machine.root)):] for path in sorted(inside)])


def first_installation(machine):
    """The units are enabled. Without a model they are skipped: not failed, and not started again and again."""
    said = install(machine, 'packages')
    assert 'sudo -u hailo-pose hailo-pose models pull' in said, said
    for service in SERVICES:
        machine.assert_shows(service, UnitFileState='enabled', ActiveState='inactive', Result='exec-condition',
                             NRestarts='0')
        machine.run('runuser', '-u', service, '--', service, 'models', 'pull', '--mirror', '/srv/models', timeout=120)
    begin = time.monotonic()
    machine.run('systemctl', 'start', *SERVICES, timeout=180)
    for service in SERVICES:
        machine.wait_ready(service)
    say(f'both services ready {time.monotonic() - begin:.1f} s after their start')


def verify(machine):
    for service in SERVICES:
        said = machine.run(VERIFY, service, timeout=180)
        assert '✓ unit: enabled and active' in said and said.endswith('✓ All checks passed\n'), said
    machine.curl('hailo-face', '/v1/database/add', '-F', 'name=Ada', '-F', 'image=@/srv/person.jpg')


def people(machine):
    return [one['name'] for one in json.loads(machine.curl('hailo-face', '/v1/database/list'))['identities']]


def upgrade_restarts_a_running_service(machine):
    before = machine.show('hailo-pose', 'MainPID')
    machine.run('systemctl', 'stop', 'hailo-face')
    install(machine, 'newer')
    machine.wait_ready('hailo-pose')
    assert machine.show('hailo-pose', 'MainPID') not in (before, '0')
    machine.assert_shows('hailo-face', ActiveState='inactive', UnitFileState='enabled')


def upgrade_leaves_a_disabled_service(machine):
    machine.run('systemctl', 'disable', '--now', 'hailo-pose')
    machine.run('systemctl', 'start', 'hailo-face')
    install(machine, 'packages')
    machine.assert_shows('hailo-pose', ActiveState='inactive', UnitFileState='disabled')
    machine.wait_ready('hailo-face')
    assert people(machine) == ['Ada']


def removed_and_installed_again(machine):
    """Also starts the service, as after a first installation."""
    dpkg(machine, '-r', 'hailo-face')
    machine.assert_shows('hailo-face', ActiveState='inactive', LoadState='not-found')
    install(machine, 'packages')
    machine.wait_ready('hailo-face')
    assert people(machine) == ['Ada']


def purged(machine):
    dpkg(machine, '-P', 'hailo-face')
    assert machine.run('ls', '/var/lib/hailo-face').split().count('faces.db') == 1
    install(machine, 'packages')
    machine.run('sh', '-c', 'echo hailo-face hailo-face/delete_data boolean true | debconf-set-selections')
    dpkg(machine, '-P', 'hailo-face', 'hailo-pose', 'hailo-services-common')
    assert machine.run('ls', '/var/lib').split().count('hailo-face') == 0
    assert machine.run('systemctl', 'list-unit-files', 'hailo*', '--no-legend', check=False).strip() == ''
    failed = machine.run('systemctl', 'list-units', '--failed', '--no-legend', 'hailo*', check=False)
    assert failed.strip() == '', failed


def main():
    run_checks(Machine(sys.argv[1]),
               (first_installation, verify, upgrade_restarts_a_running_service, upgrade_leaves_a_disabled_service,
                removed_and_installed_again, purged))


if __name__ == '__main__':
    main()
