"""The gallery from the command line: hailo-face db, which needs no model."""
import os
import sqlite3
import struct
import subprocess

import pytest

from server import BINARY, environment

FACE = os.path.join(os.path.dirname(BINARY), 'hailo-face')


@pytest.fixture
def db(tmp_path):
    def run(*arguments, folder='a'):
        home = tmp_path / folder
        home.mkdir(exist_ok=True)
        return subprocess.run([FACE, 'db', *arguments, '--set', f'database.db_file={home}/faces.db', '--set',
                               f'database.backup_path={home}/backups'], capture_output=True, text=True, check=False,
                              env=environment(tmp_path), cwd=tmp_path, timeout=60)
    return run


def put(path, people):
    """Writes identities with one embedding each, in the format of the predecessor service."""
    path.parent.mkdir(exist_ok=True)
    with sqlite3.connect(path) as file:
        file.executescript('''CREATE TABLE identities (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE NOT NULL,
            created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
            CREATE TABLE embeddings (id INTEGER PRIMARY KEY AUTOINCREMENT, identity_id INTEGER NOT NULL,
            embedding BLOB NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
            FOREIGN KEY (identity_id) REFERENCES identities(id) ON DELETE CASCADE);''')
        for i, name in enumerate(people):
            file.execute('INSERT INTO identities (name) VALUES (?)', (name,))
            file.execute('INSERT INTO embeddings (identity_id, embedding) VALUES (?, ?)',
                         (i + 1, struct.pack('<8f', *(1.0 if k == i else 0.0 for k in range(8)))))
    file.close()


def names(done):
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert not lines or lines[0].split() == ['NAME', 'FACES', 'ADDED']
    return [line.split()[0] for line in lines[1:]]


def test_actions(db, tmp_path):
    put(tmp_path / 'a' / 'faces.db', ['Ann', 'Bob', 'Cid'])
    assert names(db('list')) == ['Ann', 'Bob', 'Cid']
    assert db('check').returncode == 0
    assert db('rename', 'Ann', 'Zoe').returncode == 0
    assert db('merge', 'Cid', 'Bob').returncode == 0
    assert names(db('list')) == ['Bob', 'Zoe']
    assert db('stats').stdout.startswith('2 people, 3 faces\n')
    kept = db('backup').stdout.strip()
    removed = db('remove', 'Bob')
    assert 'Erased 2 faces of Bob\n' in removed.stdout and kept in removed.stdout
    assert names(db('list')) == ['Zoe']
    restored = db('restore', kept)
    assert restored.returncode == 0 and restored.stdout.startswith('Restored 2 people and 3 faces\n')
    assert names(db('list')) == ['Bob', 'Zoe']


def test_remove_beside_a_reader(db, tmp_path):
    """An incomplete removal, because another process holds the log, fails."""
    put(tmp_path / 'a' / 'faces.db', ['Ann', 'Bob'])
    assert names(db('list')) == ['Ann', 'Bob']
    reader = sqlite3.connect(tmp_path / 'a' / 'faces.db', isolation_level=None)
    reader.execute('BEGIN')
    assert reader.execute('SELECT count(*) FROM identities').fetchone() == (2,)
    removed = db('remove', 'Bob')
    assert removed.returncode == 1
    assert 'Erased 1 face of Bob\n' in removed.stdout and 'still in the log' in removed.stderr
    reader.close()
    assert names(db('list')) == ['Ann']


def test_purge_that_fails(db, tmp_path):
    """A set-aside gallery that cannot be deleted, here because it is a folder, is an error."""
    put(tmp_path / 'a' / 'faces.db', ['Ann', 'Bob'])
    aside = tmp_path / 'a' / 'faces.db.corrupt-20260102-030405'
    aside.mkdir()
    done = db('remove', 'Ann', '--purge-backups')
    assert done.returncode == 1 and 'Erased 1 face of Ann\n' in done.stdout, done
    assert 'Deleted' not in done.stdout and str(aside) in done.stderr, done
    aside.rmdir()
    assert db('remove', 'Bob', '--purge-backups').returncode == 0


def test_export_and_import(db, tmp_path):
    put(tmp_path / 'a' / 'faces.db', ['Ann', 'Bob'])
    assert db('export', 'all.jsonl').returncode == 0
    assert db('import', 'all.jsonl', folder='b').stdout == '2 people, 2 faces added, 0 already there, 0 refused\n'
    assert names(db('list', folder='b')) == ['Ann', 'Bob']
    text = (tmp_path / 'all.jsonl').read_text()
    (tmp_path / 'changed.jsonl').write_text(text.replace('Ann', 'Eve'))
    refused = db('import', 'changed.jsonl', folder='c')
    assert refused.returncode == 1 and refused.stderr
    assert names(db('list', folder='c')) == []


def test_export_is_private(db, tmp_path):
    """Biometric data is readable only by its owner; and only a regular file is replaced."""
    put(tmp_path / 'a' / 'faces.db', ('Ann',))
    assert db('export', 'all.jsonl').returncode == 0
    assert (tmp_path / 'all.jsonl').stat().st_mode & 0o777 == 0o600
    victim = tmp_path / 'victim'
    victim.write_text('mine')
    (tmp_path / 'link').symlink_to(victim)
    (tmp_path / 'all.jsonl.part').symlink_to(victim)
    os.mkfifo(tmp_path / 'fifo')
    for name in ('link', 'fifo'):
        refused = db('export', name)
        assert refused.returncode == 1 and 'not a regular file' in refused.stderr, refused
    assert (tmp_path / 'link').is_symlink() and (tmp_path / 'fifo').is_fifo()
    assert db('export', 'all.jsonl').returncode == 0
    assert victim.read_text() == 'mine'


def test_restore_of_a_missing_file(db, tmp_path):
    put(tmp_path / 'a' / 'faces.db', ('Ann',))
    os.mkfifo(tmp_path / 'fifo')
    for path in ('/dev/zero', str(tmp_path / 'fifo')):
        refused = db('restore', path)
        assert refused.returncode == 1 and 'not a regular file' in refused.stderr, refused
    assert names(db('list')) == ['Ann']


def test_errors_are_reported(db, tmp_path):
    put(tmp_path / 'a' / 'faces.db', ('Ann',))
    assert db('remove', 'nobody').returncode == 1
    assert 'nobody' in db('show', 'nobody').stderr
    for words in ((), ('dance',), ('rename', 'one'), ('list', 'extra')):
        assert db(*words).returncode == 2
    (tmp_path / 'file').write_text('')
    done = subprocess.run([FACE, 'db', 'import', os.devnull, '--set', f'database.db_file={tmp_path}/file/faces.db'],
                          capture_output=True, text=True, check=False, env=environment(tmp_path), timeout=60)
    assert done.returncode == 1 and f'cannot create the folder {tmp_path}/file: ' in done.stderr, done
    assert 'database.db_file' in done.stderr
    for words, error, usage in ((('add', 'Ann'), ' add: PICTURE|FOLDER is missing', 'add NAME PICTURE|FOLDER…;'),
                                (('rename', 'one'), ' rename: NEW is missing', 'rename OLD NEW;'),
                                (('list', 'extra'), " list: unexpected argument 'extra'", 'list;'),
                                (('restore',), ' restore: BACKUP is missing', 'restore BACKUP;'),
                                (('list', '--gate', 'off'), ' list: --gate is only for add, import', 'list;'),
                                (('dance',), ": unknown action 'dance'", 'ACTION ')):
        assert db(*words).stderr.startswith(f'hailo-face db{error}\nusage: hailo-face db {usage}'), words


def test_foreign_text_cannot_control_a_terminal(db, tmp_path):
    gallery = tmp_path / 'a' / 'faces.db'
    put(gallery, ['Ann', 'Bob\x1b[31m\x9b32m\u202e'])
    assert names(db('list'))[1:] == ['Bob\\x1b[31m\\u009b32m\\u202e']
    assert db('check').stdout.count('\\u009b32m\\u202e: name: has control characters') == 1
    with sqlite3.connect(gallery) as file:
        file.execute("UPDATE identities SET metadata = ? WHERE name = 'Ann'", ('{"note":"\x9b31m\u202e"}',))
    file.close()
    assert 'metadata: {"note":"\\u009b31m\\u202e"}\n' in db('show', 'Ann').stdout
