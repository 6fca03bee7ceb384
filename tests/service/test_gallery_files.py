"""The files of a gallery when other programs truncate, overwrite, replace or delete them during service."""
import os
import sqlite3

import pytest

from faces import FaceServer, one
from server import wait_for


def database(server):
    return server.get('/health').json()['database']


def refuses_changes(server, what):
    """Changes fail until a restart; the answer, the health and the log report the reason."""
    answer = server.ask('database/add', one(5), name='Late')
    text = f"gallery's {what}"
    assert answer.status == 500 and text in answer.json()['error'], answer
    assert 'until the service is restarted' in answer.json()['error']
    health = database(server)
    assert health['state'] == 'failed' and text in health['error'], health
    assert text in server.get('/health/ready').json()['detail']
    assert wait_for(lambda: text in server.log)
    assert server.ask('database/remove', name='Ann').status == 500
    return answer.json()['error']


def finish(server, end):
    if end == 'kill':
        server.process.kill()
        server.finish()
    else:
        server.stop()


def names_at_next_start(folder):
    with FaceServer(folder) as server:
        assert wait_for(lambda: server.get('/health/ready').status == 200)
        found, health = server.names(), database(server)
        assert server.add('Zoe', one(9)).status == 200
    return found, health


@pytest.fixture(name='enrolled')
def gallery_with_a_backup(tmp_path):
    """Ann is in a backup, Bob was added after it."""
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


@pytest.mark.parametrize('end', ['stop', 'kill'])
@pytest.mark.parametrize('harm', ['empty', 'page', 'garbage'])
def test_a_broken_file(tmp_path, enrolled, harm, end):
    path = tmp_path / 'faces.db'
    if harm == 'garbage':
        path.write_bytes(b'no database' * 5000)
    else:
        os.truncate(path, 0 if harm == 'empty' else 4096)
    error = refuses_changes(enrolled, 'file was truncated or overwritten')
    finish(enrolled, end)
    found, health = names_at_next_start(tmp_path)
    if 'All changes are in the backup' in error:
        assert found == ['Ann', 'Bob'], (error, health)
    else:
        assert 'may not be in a backup' in error and 'Ann' in found and health['state'] == 'restored', (error, health)


def test_a_truncation_that_no_change_has_noticed(tmp_path, enrolled):
    os.truncate(tmp_path / 'faces.db', 0)
    enrolled.stop()
    assert 'file was truncated or overwritten' in enrolled.log
    found, health = names_at_next_start(tmp_path)
    assert 'Ann' in found and health['state'] == 'restored'


@pytest.mark.parametrize('end', ['stop', 'kill'])
@pytest.mark.parametrize('how', ['copy', 'move'])
def test_another_gallery_in_the_place_of_the_file(tmp_path, enrolled, how, end):
    (tmp_path / 'other').mkdir()
    with FaceServer(tmp_path / 'other') as server:
        server.add('Eve', one(3))
    other, path = tmp_path / 'other' / 'faces.db', tmp_path / 'faces.db'
    if how == 'copy':
        path.write_bytes(other.read_bytes())
    else:
        other.rename(path)
    refuses_changes(enrolled, 'file was ' + ('overwritten with another' if how == 'copy' else 'deleted or replaced'))
    finish(enrolled, end)
    assert names_at_next_start(tmp_path)[0] == ['Eve'], 'nothing of the log comes into it'


@pytest.mark.parametrize('end', ['stop', 'kill'])
@pytest.mark.parametrize('harm', ['delete', 'replace'])
def test_the_log(tmp_path, enrolled, harm, end):
    log = tmp_path / 'faces.db-wal'
    log.unlink()
    if harm == 'replace':
        log.write_bytes(b'')
    assert 'All changes are in the backup' in refuses_changes(enrolled, 'log was deleted or replaced')
    finish(enrolled, end)
    found, health = names_at_next_start(tmp_path)
    assert found == ['Ann', 'Bob'] and health['state'] != 'restored'


def test_a_deleted_file(tmp_path, enrolled):
    (tmp_path / 'faces.db').unlink()
    assert 'All changes are in the backup' in refuses_changes(enrolled, 'file was deleted or replaced')
    enrolled.stop()
    found, health = names_at_next_start(tmp_path)
    assert found == ['Ann', 'Bob'] and health['state'] == 'restored' and health['restored_from']


def test_others_who_use_the_file_are_no_loss(tmp_path, enrolled):
    os.utime(tmp_path / 'faces.db')
    enrolled.add('Cid', one(2))
    other = sqlite3.connect(tmp_path / 'faces.db', isolation_level=None)
    for i in range(3):
        other.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        other.execute(f"UPDATE identities SET name = 'Bea{i}' WHERE name LIKE 'B%'")
        enrolled.add(f'Dan{i}', one(3))
        other.execute('VACUUM')
        other.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        enrolled.add(f'Dan{i}', one(4))
    other.close()
    enrolled.add('Eva', one(5))
    sqlite3.connect(tmp_path / 'faces.db').execute('SELECT * FROM identities').fetchall()
    finish(enrolled, 'kill')
    assert names_at_next_start(tmp_path)[0] == ['Ann', 'Bea2', 'Cid', 'Dan0', 'Dan1', 'Dan2', 'Eva']
