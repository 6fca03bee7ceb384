"""The files of a gallery, which others truncate, overwrite, delete, move or lock while the service runs."""
import os
import sqlite3
import subprocess

import pytest

from faces import FaceServer, one
from server import wait_for


def database(server):
    return server.get('/health').json()['database']


def kept(folder, names):
    """What a new start finds: names, and what the health says of it."""
    with FaceServer(folder) as server:
        assert wait_for(lambda: server.get('/health/ready').status == 200)
        found, health = server.names(), database(server)
        assert server.add('Zoe', one(9)).status == 200
        assert server.ask('recognize', one(9)).json()['faces'][0]['identity'] == 'Zoe'
    assert set(found) <= set(names)
    return found, health


def refuses_changes(server, what):
    """A change fails and is told, by the answer, the health and the log; so it stays."""
    answer = server.ask('database/add', one(5), name='Late')
    text = f"gallery's {what}"
    assert answer.status == 500 and text in answer.json()['error'], answer
    assert 'until the service is restarted' in answer.json()['error']
    health = database(server)
    assert health['state'] == 'failed' and text in health['error'], health
    assert text in server.get('/health/ready').json()['detail']
    assert wait_for(lambda: text in server.log)
    assert server.ask('database/add', one(6), name='Later').status == 500
    assert server.ask('database/remove', name='Ann').status == 500
    return answer.json()['error']


def finish(server, end):
    if end == 'kill':
        server.process.kill()
        server.finish()
    else:
        server.stop()


def overwrite(path, content):
    """As `cp` does it: the same inode."""
    with open(path, 'r+b') as file:
        file.truncate()
        file.write(content)


@pytest.fixture(name='enrolled')
def gallery_with_a_backup(tmp_path):
    """Ann is in a backup, Bob came after it."""
    with FaceServer(tmp_path) as server:
        server.add('Ann', one(0))
    server = FaceServer(tmp_path)
    try:
        assert wait_for(lambda: database(server)['last_backup_at'])
        server.add('Bob', one(1))
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.finish()


@pytest.mark.parametrize('size', [0, 5000, 20480])
@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_a_truncated_file(tmp_path, enrolled, size, end):
    os.truncate(tmp_path / 'faces.db', size)
    error = refuses_changes(enrolled, 'file was truncated or overwritten')
    finish(enrolled, end)
    found, health = kept(tmp_path, ['Ann', 'Bob'])
    if 'All that it held was saved' in error:
        assert found == ['Ann', 'Bob']
    else:
        assert 'newest good backup takes its place' in error
        assert 'Ann' in found and health['state'] == 'restored' and health['restored_from'], (found, health)


def test_a_truncation_that_no_change_has_noticed(tmp_path, enrolled):
    os.truncate(tmp_path / 'faces.db', 0)
    enrolled.stop()
    assert 'file was truncated or overwritten' in enrolled.log
    found, health = kept(tmp_path, ['Ann', 'Bob'])
    assert 'Ann' in found and (found == ['Ann', 'Bob'] or health['state'] == 'restored')


def test_a_file_overwritten_with_another_gallery(tmp_path, enrolled):
    (tmp_path / 'other').mkdir()
    with FaceServer(tmp_path / 'other') as server:
        server.add('Eve', one(3))
    overwrite(tmp_path / 'faces.db', (tmp_path / 'other' / 'faces.db').read_bytes())
    error = refuses_changes(enrolled, 'file was overwritten with another database')
    assert 'used as it is now' in error
    backups = sorted((tmp_path / 'backups').iterdir())
    enrolled.stop()
    assert sorted((tmp_path / 'backups').iterdir()) == backups, 'no backup of another gallery'
    assert kept(tmp_path, ['Eve'])[0] == ['Eve'], 'nothing of the log comes into it'


def test_a_file_overwritten_with_no_database(tmp_path, enrolled):
    overwrite(tmp_path / 'faces.db', b'no database' * 5000)
    refuses_changes(enrolled, 'file was truncated or overwritten')
    enrolled.stop()
    found, health = kept(tmp_path, ['Ann', 'Bob'])
    assert found == ['Ann', 'Bob'] or health['state'] == 'restored'


@pytest.mark.parametrize('end', ['stop', 'kill'])
@pytest.mark.parametrize('harm', ['delete', 'truncate', 'replace'])
def test_the_log(tmp_path, enrolled, harm, end):
    log = tmp_path / 'faces.db-wal'
    if harm == 'truncate':
        os.truncate(log, 0)
    else:
        log.unlink()
    if harm == 'replace':
        log.write_bytes(b'')
    error = refuses_changes(enrolled, 'log was deleted, replaced or truncated')
    finish(enrolled, end)
    found, _ = kept(tmp_path, ['Ann', 'Bob'])
    assert 'All that it held was saved' in error and found == ['Ann', 'Bob']


def test_the_index_of_the_log_is_no_loss(tmp_path, enrolled):
    (tmp_path / 'faces.db-shm').unlink()
    enrolled.add('Cid', one(2))
    finish(enrolled, 'kill')
    assert kept(tmp_path, ['Ann', 'Bob', 'Cid'])[0] == ['Ann', 'Bob', 'Cid']


def test_the_folder_moves(tmp_path):
    (tmp_path / 'here').mkdir()
    with FaceServer(tmp_path / 'here') as server:
        server.add('Ann', one(0))
        (tmp_path / 'here').rename(tmp_path / 'there')
        refuses_changes(server, 'file was deleted or replaced')
        assert server.ask('recognize', one(0)).json()['faces'][0]['identity'] == 'Ann'
    assert kept(tmp_path / 'there', ['Ann'])[0] == ['Ann']


def test_a_file_that_becomes_read_only(tmp_path, enrolled):
    """Its open handle may still be written, so changes go on and are kept; only a start can be refused."""
    os.chmod(tmp_path / 'faces.db', 0o400)
    enrolled.add('Cid', one(2))
    enrolled.stop()
    os.chmod(tmp_path / 'faces.db', 0o600)
    assert kept(tmp_path, ['Ann', 'Bob', 'Cid'])[0] == ['Ann', 'Bob', 'Cid']


@pytest.fixture(name='small_disk')
def disk_of_two_megabytes(tmp_path):
    folder = tmp_path / 'disk'
    folder.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip('file systems cannot be mounted here')
    yield folder
    subprocess.run(['umount', '-l', folder], check=True)


@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_a_disk_that_is_full_and_then_not(small_disk, end):
    server = FaceServer(small_disk)
    names = []
    try:
        server.add('Ann', one(0))
        (small_disk / 'ballast').write_bytes(bytes(1 << 20))
        answers = []
        for i in range(200):
            answers.append(server.ask('database/add', one(1 + i % 8), name=f'n{i:03}'))
            names += [f'n{i:03}'] if answers[-1].status == 200 else []
            if answers[-1].status != 200:
                break
        assert answers[-1].status == 500 and 'disk is full' in answers[-1].json()['error'], answers[-1]
        assert database(server)['state'] == 'failed' and 'its disk is full' in database(server)['error']
        assert server.ask('recognize', one(0)).json()['faces'][0]['identity'] == 'Ann'
        (small_disk / 'ballast').unlink()
        server.add('Zed', one(0, side=150))
        assert database(server)['state'] != 'failed'
        finish(server, end)
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.finish()
    assert kept(small_disk, ['Ann', *names, 'Zed'])[0] == ['Ann', 'Zed', *names]


def test_others_who_touch_the_file_are_no_loss(tmp_path, enrolled):
    os.utime(tmp_path / 'faces.db')
    enrolled.add('Cid', one(2))
    other = sqlite3.connect(tmp_path / 'faces.db', isolation_level=None)
    other.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    other.execute("UPDATE identities SET name = 'Bea' WHERE name = 'Bob'")
    other.execute('VACUUM')
    other.execute('PRAGMA wal_checkpoint(TRUNCATE)')
    other.close()
    enrolled.add('Dan', one(3))
    assert enrolled.ask('recognize', one(1)).json()['faces'][0]['identity'] == 'Bea'
    enrolled.stop()
    assert kept(tmp_path, ['Ann', 'Bea', 'Cid', 'Dan'])[0] == ['Ann', 'Bea', 'Cid', 'Dan']
