"""`eval`, `detect --draw` and `db` of both programs on the scripted device: their output and their errors."""
import json
import re
import sqlite3

import pytest

from faces import NO_FACES, one
from server import BINARY, FACE, png, run


def to_full(folder, *arguments, program=BINARY):
    """Runs the program with a standard output that is full."""
    return run(folder, '-c', 'exec "$0" "$@" >/dev/full', program, *arguments, program='/bin/sh')


def person(*spots, width=320, height=240):
    """Returns a dark picture with white people: (left, top, width, height)."""
    return png(width, height, shade=lambda x, y: (255 if any(
        left <= x < left + w and top <= y < top + h for left, top, w, h in spots) else 20,) * 3)


# ---- eval of poses

PERSON = {'id': 3, 'name': 'person', 'keypoints': [str(i) for i in range(17)]}


@pytest.fixture
def coco(tmp_path, cli):
    """Writes annotations of the people found in two pictures; returns them as an object."""
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in' / 'a.png').write_bytes(person((40, 30, 60, 150), (200, 60, 50, 110)))
    (tmp_path / 'in' / 'b.png').write_bytes(person((100, 40, 80, 160)))
    images = [{'id': 70 + i, 'width': 320, 'height': 240, 'file_name': name} for i, name in enumerate(('a.png', 'b.png'))]
    (tmp_path / 'set.json').write_text(json.dumps({'categories': [PERSON], 'images': images, 'annotations': []}))
    done = cli('eval', '--coco', 'set.json', '--images', 'in', '--results', 'found.json', '--device', 'sim')
    assert done.returncode == 0, done
    assert done.stdout.startswith('2 pictures, 0 annotated people, 3 detections\n')
    found = json.loads((tmp_path / 'found.json').read_text())
    assert [(result['image_id'], result['category_id']) for result in found] == [(70, 3), (70, 3), (71, 3)]
    truths = []
    for result in found:
        points = [2 if i % 3 == 2 else value for i, value in enumerate(result['keypoints'])]
        xs, ys = points[::3], points[1::3]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        truths.append({'image_id': result['image_id'], 'category_id': 3, 'keypoints': points, 'bbox': box,
                       'area': box[2] * box[3], 'iscrowd': 0, 'num_keypoints': 17})
    return {'categories': [PERSON], 'images': images, 'annotations': truths}


def test_eval_of_own_results_is_perfect(cli, coco, tmp_path):
    (tmp_path / 'set.json').write_text(json.dumps(coco))
    arguments = ('eval', '--coco', 'set.json', '--images', 'in', '--device', 'sim')
    done = cli(*arguments, '--json')
    assert done.returncode == 0 and done.stdout.count('\n') == 1, done
    response = json.loads(done.stdout)
    assert {key: response[key] for key in ('images', 'annotations', 'results')} == {'images': 2, 'annotations': 3, 'results': 3}
    assert list(response) == ['images', 'annotations', 'results', 'AP', 'AP50', 'AP75', 'APM', 'APL', 'AR', 'AR50', 'AR75',
                            'ARM', 'ARL']
    assert all(response[key] == 1 for key in ('AP', 'AP50', 'AP75', 'AR', 'AR50', 'AR75'))
    lines = cli(*arguments).stdout.splitlines()
    assert lines[0] == '2 pictures, 3 annotated people, 3 detections'
    assert lines[1:4] == ['AP    1.0000', 'AP50  1.0000', 'AP75  1.0000'] and lines[6] == 'AR    1.0000'
    # One person that is not in the picture, and one too far away.
    coco['annotations'].append({**coco['annotations'][2], 'keypoints': [3, 3, 2] * 17, 'bbox': [0, 0, 9, 9], 'area': 81})
    (tmp_path / 'set.json').write_text(json.dumps(coco))
    response = json.loads(cli(*arguments, '--json').stdout)
    assert response['annotations'] == 4 and response['AR'] == 0.75


def test_eval_that_cannot_be_done(cli, coco, tmp_path):
    (tmp_path / 'set.json').write_text(json.dumps(coco))
    arguments = ('eval', '--coco', 'set.json', '--images', 'in', '--device', 'sim')
    done = cli(*arguments, '--results', 'no/such/r.json')
    assert done.returncode == 1 and 'no/such/r.json' in done.stderr and not done.stdout
    done = cli(*arguments, '--results', '/dev/full')
    assert done.returncode == 1 and '/dev/full' in done.stderr
    done = to_full(tmp_path, *arguments)
    assert done.returncode == 1 and 'the output could not be written' in done.stderr, done
    done = cli('eval', '--coco', 'set.json', '--device', 'sim')
    assert done.returncode == 2 and 'usage' in done.stderr.lower()
    coco['images'][1]['width'] = 319
    (tmp_path / 'set.json').write_text(json.dumps(coco))
    done = cli(*arguments)
    assert done.returncode == 1 and 'in/b.png is 320x240 pixels, but 319x240 in the annotations' in done.stderr
    coco['images'][1].update(width=320, height=241)
    (tmp_path / 'set.json').write_text(json.dumps(coco))
    assert '320x240 pixels, but 320x241 in the annotations' in cli(*arguments).stderr
    (tmp_path / 'in' / 'b.png').write_text('no picture')
    done = cli(*arguments)
    assert done.returncode == 1 and 'in/b.png' in done.stderr and 'decode' in done.stderr
    coco['images'][0]['file_name'] = 'gone.png'
    (tmp_path / 'set.json').write_text(json.dumps(coco))
    done = cli(*arguments)
    assert done.returncode == 1 and re.search(r'in/(gone|b)\.png', done.stderr) and not done.stdout


# ---- eval of faces

@pytest.fixture
def face(tmp_path):
    own = ['--set', f'database.db_file={tmp_path}/gallery/faces.db', '--set', f'database.backup_path={tmp_path}/backups',
           '--set', 'inference.device=sim']
    return lambda *arguments: run(tmp_path, *own, *arguments, program=FACE)


@pytest.fixture
def pairs(tmp_path):
    for name, data in (('a1', one(0)), ('a2', one(0, left=220, side=168)), ('b1', one(1)), ('b2', one(1, top=60)),
                       ('none', NO_FACES)):
        (tmp_path / f'{name}.png').write_bytes(data)
    (tmp_path / 'p.csv').write_text('image1,image2,same\na1.png,a2.png,1\nb1.png,b2.png,1\na1.png,b1.png,0\n'
                                    'a2.png,b2.png,0\na1.png,none.png,0\n')


def test_eval_of_pairs(face, pairs, tmp_path):
    arguments = ('eval', '--pairs', 'p.csv', '--images', '.')
    done = face(*arguments, '--json')
    assert done.returncode == 0, done
    response = json.loads(done.stdout)
    assert response['no_face'] == ['none.png']
    assert [response[key] for key in ('pictures', 'pairs', 'same', 'different')] == [5, 4, 2, 2]
    assert [response[key] for key in ('auc', 'eer', 'accuracy')] == [1, 0, 1]
    assert all(point['tar'] == 1 for point in response['at_far'].values())
    lines = face(*arguments).stdout.splitlines()
    assert lines[:3] == ['5 pictures, 1 without a face; 1 pair skipped', '  no face: none.png',
                         '4 pairs: 2 of the same person, 2 of different people']
    assert lines[4].split() == ['METRIC', 'VALUE', 'THRESHOLD'] and lines[5].split() == ['AUC', '1.0000']
    assert lines[6].split()[:2] == ['EER', '0.0000'] and lines[7].split()[:3] == ['best', 'accuracy', '1.0000']
    assert lines[-2].startswith('TAR as configured ') and lines[-1].startswith('FAR as configured ')
    for rule in ('best', 'middle', 'largest'):
        assert face(*arguments, '--face', rule).returncode == 0
    done = to_full(tmp_path, *arguments, '--device', 'sim', program=FACE)
    assert done.returncode == 1 and 'the output could not be written' in done.stderr, done
    done = to_full(tmp_path, *arguments, '--json', '--device', 'sim', program=FACE)
    assert done.returncode == 1 and 'the output could not be written' in done.stderr, done


def test_eval_of_pairs_that_cannot_be_done(face, pairs, tmp_path):
    done = face('eval', '--pairs', 'absent.csv', '--images', '.')
    assert done.returncode == 1 and 'absent.csv' in done.stderr
    done = face('eval', '--pairs', 'p.csv', '--images', 'absent')
    assert done.returncode == 1 and 'absent/' in done.stderr and not done.stdout
    (tmp_path / 'p.csv').write_text(f'image1,image2,same\n{"x" * 5000}.png,a1.png,1\n')
    done = face('eval', '--pairs', 'p.csv', '--images', '.')
    assert done.returncode == 1 and 'xxx' in done.stderr and not done.stdout
    # A threshold cannot be derived from pairs of one kind.
    (tmp_path / 'p.csv').write_text('image1,image2,same\na1.png,a2.png,1\n')
    assert face('eval', '--pairs', 'p.csv', '--images', '.').returncode == 1


# ---- detect, embed, compare

def test_answers_that_cannot_be_written(face, pairs, cli, tmp_path):
    for program, command in ((BINARY, 'detect'), (FACE, 'detect'), (FACE, 'embed')):
        done = to_full(tmp_path, command, 'a1.png', '--json', '--device', 'sim', program=program)
        assert done.returncode == 1 and 'the output could not be written' in done.stderr, done
    for names in (('a1.png', 'none.png'), ('none.png', 'a1.png')):
        done = face('compare', *names)
        assert done.returncode == 1 and 'none.png: No face detected' in done.stderr and not done.stdout
    done = face('embed', 'none.png')
    assert done.returncode == 1 and 'none.png: No face detected' in done.stderr
    for command in ('detect', 'embed'):
        done = face(command, 'a1.png', 'absent.png', '--jsonl')
        assert done.returncode == 1 and 'absent.png' in done.stderr and len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize('program', ['cli', 'face'])
def test_drawings_go_to_the_given_path(program, request, pairs, tmp_path):
    command = request.getfixturevalue(program)
    more = ('--device', 'sim')
    (tmp_path / 'link.jpg').symlink_to('a1.png')
    for target, names, says in (
            ('out.gif', ['a1.png'], 'must be a file name that ends in .jpg, .jpeg or .png'),
            ('.png', ['a1.png'], 'must be a file name that ends in'),
            ('out.jpg', ['a1.png', 'b1.png'], '--draw must be an existing folder if there are several pictures'),
            ('a1.png', ['a1.png'], 'would replace a1.png'), ('./a1.png', ['a1.png'], 'would replace'),
            ('link.jpg', ['a1.png'], 'would replace')):
        done = command('detect', '--draw', target, *names, *more)
        assert done.returncode == 2 and says in done.stderr and not done.stdout, done
    done = command('detect', '--draw', 'no/such/out.jpg', 'a1.png', *more)
    assert done.returncode == 1 and 'no/such/out.jpg' in done.stderr
    for target, begin in (('o.jpg', b'\xff\xd8'), ('o.JPEG', b'\xff\xd8'), ('o.png', b'\x89PNG'), ('o.PNG', b'\x89PNG')):
        assert command('detect', '--draw', target, 'a1.png', *more).returncode == 0
        assert (tmp_path / target).read_bytes().startswith(begin)
    # In a folder, pictures with the same name get a number.
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'a1.png').write_bytes((tmp_path / 'a1.png').read_bytes())
    (tmp_path / 'drawn').mkdir()
    assert command('detect', '--jsonl', '--draw', 'drawn', 'a1.png', 'a/a1.png', 'b1.png', *more).returncode == 0
    assert sorted(path.name for path in (tmp_path / 'drawn').iterdir()) == ['a1-2.jpg', 'a1.jpg', 'b1.jpg']


# ---- db

def test_db_show_and_stats(face, pairs, tmp_path):
    assert 'faces.db yet. `hailo-face db add` or `hailo-face serve` creates it' in face('db', 'list').stderr
    assert face('db', 'add', 'Ann', 'a1.png', '--force').returncode == 0
    assert face('db', 'add', 'Bob', 'b1.png', 'b2.png', '--force').returncode == 0
    path = tmp_path / 'gallery' / 'faces.db'
    with sqlite3.connect(path) as db:
        db.execute("""UPDATE identities SET metadata = '{"team":3}' WHERE name = 'Ann'""")
    db.close()
    lines = face('db', 'list').stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [['NAME', 'FACES'], ['Ann', '1'], ['Bob', '2']]
    lines = face('db', 'show', 'Ann').stdout.splitlines()
    assert re.fullmatch(r'Ann: 1 face, added \d{4}-\S+ \S+', lines[0]) and lines[1] == 'metadata: {"team":3}', lines
    assert lines[3].split() == ['ID', 'ADDED', 'SPACE', 'SIZE', 'QUALITY'] and len(lines) == 5
    assert re.fullmatch(r' *\d+  \S+ \S+  sim +\d+ px +0\.\d\d', lines[4]), lines
    shown = json.loads(face('db', 'show', 'Ann', '--json').stdout)
    assert shown['metadata'] == {'team': 3} and [each['space'] for each in shown['embeddings']] == ['sim']
    listed = json.loads(face('db', 'list', '--json').stdout)
    assert [(each['name'], each['embedding_count']) for each in listed['identities']] == [('Ann', 1), ('Bob', 2)]
    for action in ('stats', 'check'):
        report = json.loads(face('db', action, '--json').stdout)
        assert [report[key] for key in ('people', 'faces', 'usable')] == [2, 3, 3], report
    lines = face('db', 'show', 'Bob').stdout.splitlines()
    assert len(lines) == 5 and re.fullmatch(r'Bob: 2 faces, added \S+ \S+', lines[0])
    assert face('db', 'backups').stdout == ''
    done = face('db', 'backup')
    backup = done.stdout.strip()
    assert done.returncode == 0 and backup.startswith(f'{tmp_path}/backups/')
    listed = face('db', 'backups').stdout.splitlines()
    assert listed[0].split() == ['CREATED', 'SIZE', 'PATH'] and len(listed) == 2
    assert re.fullmatch(rf'\S+ \S+ +[\d.]+ kB  {backup}', listed[1]), listed
    assert [each['path'] for each in json.loads(face('db', 'backups', '--json').stdout)['backups']] == [backup]
    for action in ('list', 'backup', 'stats', 'export'):
        done = face('db', action, *(['-'] if action == 'export' else []), '--purge-backups')
        assert done.returncode == 2 and '--purge-backups is only for remove' in done.stderr
    done = to_full(tmp_path, '--set', f'database.db_file={path}', 'db', 'export', '-', program=FACE)
    assert done.returncode == 1 and 'standard output: No space left' in done.stderr, done
    done = face('db', 'export', 'no/such/file')
    assert done.returncode == 1 and 'no/such/file' in done.stderr
    done = face('db', 'remove', 'Ann')
    assert done.stdout.splitlines() == ['Erased 1 face of Ann', f'Still in the older file {backup}']
    done = face('db', 'remove', 'Bob', '--purge-backups')
    assert done.stdout.splitlines()[0] == 'Erased 2 faces of Bob'
    assert f'Deleted {backup}' in done.stdout and done.stdout.splitlines()[1].startswith('Backed up to ')
    done = face('db', 'list')
    assert (done.returncode, done.stdout) == (0, '') and 'has no people yet' in done.stderr
    assert face('db', 'list', '-q').stderr == ''


def test_db_set_space(face, pairs, tmp_path):
    for name, file in (('Ann', 'a1.png'), ('Bob', 'b1.png'), ('Cid', 'b2.png'), ('Dan', 'a2.png')):
        assert face('db', 'add', name, file, '--force').returncode == 0
    path = tmp_path / 'gallery' / 'faces.db'
    done = face('db', 'set-space', 'nobody')
    assert done.returncode == 1 and "'nobody' is not an embedding model or an embedding space; the models are " in done.stderr
    model = done.stderr.rsplit(' ', 1)[1].strip()
    done = face('db', 'set-space', model)
    assert done.returncode == 1 and '0 faces of 0 people now in the space sim' in done.stdout
    with sqlite3.connect(path) as db:
        db.execute('UPDATE embeddings SET space = NULL')
        size, = db.execute('SELECT length(embedding) FROM embeddings').fetchone()
        db.execute('UPDATE embeddings SET embedding = substr(embedding, 5) WHERE id = 2')
        db.execute('UPDATE embeddings SET embedding = zeroblob(?) WHERE id = 3', (size,))
    db.close()
    done = face('db', 'set-space', model)
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert lines[0].startswith('Backed up to ') and lines[1] == '2 faces of 2 people now in the space sim'
    assert re.fullmatch(r'1 face unchanged: not the 512 numbers of \S+', lines[2]), lines
    assert lines[3] == '1 face unchanged: not finite, or of length 0' and len(lines) == 4


def test_command_requires_values_missing_from_the_settings(face, pairs):
    for command in (('recognize', 'a1.png'), ('db', 'add', 'Ann', 'a1.png')):
        done = face(*command, '--set', 'database.enabled=false')
        assert done.returncode == 1 and 'database.enabled is false' in done.stderr, done
    done = face('detect', 'a1.png', '--set', 'face_recognition.embedding_dimension=128')
    assert done.returncode == 1 and 'face_recognition.embedding_dimension is 128, ' in done.stderr
    assert 'gives 512 numbers' in done.stderr
