"""Output of the commands that process pictures: lines on a terminal, answers in a pipe, progress, failures."""
import json
import os
import pty
import re
import subprocess
import threading

import pytest

from faces import FACE, PATTERNS, one, picture
from server import BINARY, START_TIMEOUT_S, environment, png, run

PROGRAMS = pytest.mark.parametrize('program', [BINARY, FACE], ids=['pose', 'face'])
SPOTS = [(100, 0), (300, 10), (500, 20)]
MS = r'  \d+(\.\d)? ms'


def people(count):
    """A picture in which the scripted device finds that many people."""
    return png(640, 640, shade=lambda x, y: (
        255 if any(left <= x < left + 90 - less and 100 <= y < 300 for left, less in SPOTS[:count]) else 0,) * 3)


def read_all(terminal, texts):
    data = b''
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            piece = b''
        if not piece:
            break
        data += piece
    texts[terminal] = data.decode().replace('\r\n', '\n')


class Shown:
    """A program that ran with standard output, standard error or both on terminals of their own."""

    def __init__(self, folder, *arguments, program=BINARY, outputs=('stdout', 'stderr'), env=()):
        terminals = {name: pty.openpty() for name in outputs}
        slaves = {name: pair[1] for name, pair in terminals.items()}
        texts = {}
        readers = [threading.Thread(target=read_all, args=(pair[0], texts)) for pair in terminals.values()]
        with subprocess.Popen([program, *arguments, '--device', 'sim'], cwd=folder, stdin=subprocess.DEVNULL,
                              env=environment(folder, **{'TERM': 'xterm', 'NO_COLOR': '1', **dict(env)}),
                              **{'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, **slaves}) as process:
            for reader, slave in zip(readers, slaves.values()):
                os.close(slave)
                reader.start()
            piped = [stream and stream.read().decode() for stream in (process.stdout, process.stderr)]
            process.wait(START_TIMEOUT_S)
        for reader, pair in zip(readers, terminals.values()):
            reader.join()
            os.close(pair[0])
        self.code = process.returncode
        self.stdout, self.stderr = (texts[terminals[name][0]] if name in terminals else text
                                    for name, text in zip(('stdout', 'stderr'), piped))
        self.lines = self.stdout.splitlines()

    def __repr__(self):
        return f'{self.code} {self.stdout!r} {self.stderr!r}'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'pictures').mkdir()
    for name, data in (('a.png', people(3)), ('b.PNG', people(1)), ('face.png', one(3))):
        (tmp_path / 'pictures' / name).write_bytes(data)
    (tmp_path / 'pictures' / '.hidden.png').write_bytes(png())
    (tmp_path / 'pictures' / 'notes.txt').write_text('text')
    (tmp_path / 'empty').mkdir()
    return tmp_path


# ---- lines

def test_people_on_a_terminal(folder):
    done = Shown(folder, 'detect', 'pictures/a.png')
    assert done.code == 0 and not done.stderr, done
    assert re.fullmatch(r'pictures/a\.png  640x640  3 people' + MS, done.stdout.strip()), done
    done = Shown(folder, 'detect', 'pictures/a.png', '--max', '2')
    assert '  2 of 3 people  ' in done.stdout, done
    done = Shown(folder, 'detect', 'pictures/a.png', 'pictures/b.PNG')
    assert len(done.lines) == 3 and '  3 people ' in done.lines[0] and '  1 person ' in done.lines[1], done
    assert re.fullmatch(r'2 pictures, 4 people, \d+(\.\d)? ms per picture on sim', done.lines[2]), done


def test_faces_on_a_terminal(folder):
    (folder / 'two.png').write_bytes(picture((PATTERNS[1], 20, 60, 180), (PATTERNS[2], 300, 60, 180)))
    (folder / 'one.png').write_bytes(one(5))
    (folder / 'same.png').write_bytes(one(5, 20, 20, 210))
    assert run(folder, 'db', 'add', 'Ann', 'one.png', '--device', 'sim', program=FACE).returncode == 0
    for arguments, text in (
            (['detect', 'one.png'], r'one\.png  640x480  1 face'),
            (['detect', 'two.png'], r'two\.png  640x480  2 faces'),
            (['recognize', 'one.png'], r'one\.png  640x480  1 face: Ann \(1\.00\)'),
            (['recognize', 'two.png'], r'two\.png  640x480  2 faces: Unknown, Unknown')):
        done = Shown(folder, *arguments, program=FACE)
        assert done.code == 0 and not done.stderr and re.fullmatch(text + MS, done.stdout.strip()), done
    for name, text in (('one.png', r'1 face, 512 numbers, model \S+'), ('two.png', r'2 faces, 512 numbers of the best, model \S+')):
        done = Shown(folder, 'embed', name, program=FACE)
        assert done.code == 0 and not done.stderr, done
        assert re.fullmatch(rf'{name}  640x480  {text}{MS}', done.lines[0]), done
        assert done.lines[1:] == ['Add --json to print the numbers.'], done
    done = Shown(folder, 'compare', 'one.png', 'same.png', program=FACE)
    assert re.fullmatch(r'same person  cosine 0\.\d\d \(threshold 0\.\d\d\)\n|same person  cosine 1\.00 .*\n', done.stdout), done
    done = Shown(folder, 'compare', 'one.png', 'two.png', program=FACE)
    assert re.fullmatch(r'different people  cosine -?0\.\d\d \(threshold 0\.\d\d\)\n', done.stdout), done


def test_recognize_reports_an_empty_gallery(folder):
    (folder / 'one.png').write_bytes(one(5))
    gallery = ['--set', 'database.db_file=new/faces.db', '--set', 'database.backup_path=new/backups']
    done = Shown(folder, 'recognize', 'one.png', *gallery, program=FACE)
    assert done.code == 0 and not done.stderr, done
    assert done.lines[1:] == ['The gallery new/faces.db is empty. Add a person: hailo-face db add NAME PICTURE'], done


@PROGRAMS
def test_answers_are_all_that_goes_into_a_pipe(folder, program):
    for outputs, options in ((('stderr',), []), (('stdout', 'stderr'), ['--json']), (('stdout',), ['--jsonl'])):
        done = Shown(folder, 'detect', 'pictures', *options, program=program, outputs=outputs)
        answers = [json.loads(line) for line in done.lines]
        assert [answer['file'] for answer in answers] == ['pictures/a.png', 'pictures/b.PNG', 'pictures/face.png'], done
        assert done.code == 0 and not done.stderr, done


@PROGRAMS
def test_a_damaged_picture_warns_the_person(folder, program):
    damage = pytest.importorskip('test_damage')
    (folder / 'damaged.jpg').write_bytes(damage.without(damage.jpeg(one(3)), 3))
    (folder / 'whole.jpg').write_bytes(damage.jpeg(one(3)))
    message = 'warning: damaged.jpg: the JPEG is damaged: a part of its data is missing\n'
    done = Shown(folder, 'detect', 'damaged.jpg', program=program)
    assert done.code == 0 and done.stderr.endswith(f' detect: {message}') and len(done.lines) == 1, done
    assert not Shown(folder, 'detect', 'damaged.jpg', '--quiet', program=program).stderr
    if program == FACE:
        done = Shown(folder, 'compare', 'whole.jpg', 'damaged.jpg', program=program)
        assert done.stderr == f'hailo-face compare: {message}' and done.stdout.startswith('same person  '), done


@PROGRAMS
def test_drawings_are_named(folder, program):
    done = Shown(folder, 'detect', 'pictures/a.png', '--draw', 'drawn.jpg', program=program)
    assert done.lines[1:] == ['Annotated picture: drawn.jpg'] and (folder / 'drawn.jpg').exists(), done
    done = Shown(folder, 'detect', 'pictures', '--draw', 'empty', program=program)
    assert done.lines[-1] == 'Annotated pictures: 3 in empty', done
    assert sorted(os.listdir(folder / 'empty')) == ['a.jpg', 'b.jpg', 'face.jpg']


@PROGRAMS
def test_colours(folder, program):
    bold = '\x1b[1mpictures/a.png\x1b[0m  '
    for env, options, colored in (({'NO_COLOR': ''}, [], True), ({}, [], False), ({'NO_COLOR': ''}, ['--no-color'], False),
                                  ({'NO_COLOR': '', 'TERM': 'dumb'}, [], False)):
        done = Shown(folder, 'detect', 'pictures/a.png', *options, program=program, env=env)
        assert done.stdout.startswith(bold) == colored and ('\x1b' in done.stdout) == colored, done


@PROGRAMS
def test_names_cannot_control_the_terminal(folder, program):
    names = {b'esc\x1b[2J.png': 'esc\\x1b[2J.png', b'new\nline.png': 'new\\nline.png', b'caf\xe9.png': 'caf\\xe9.png',
             'c1\u009b.png'.encode(): 'c1\\u009b.png', 'turn\u202egnp.png'.encode(): 'turn\\u202egnp.png',
             'Zo\u00eb \u5f20\u4f1f.png'.encode(): 'Zo\u00eb \u5f20\u4f1f.png'}
    for name, shown in names.items():
        with open(os.fsencode(folder) + b'/' + name, 'wb') as file:
            file.write(png())
        done = Shown(folder, 'detect', name, program=program)
        assert done.code == 0 and done.stdout.startswith(shown + '  64x48  ') and len(done.lines) == 1, done
        done = Shown(folder, 'detect', b'no ' + name, program=program)
        assert done.code == 1 and f'detect: no {shown}: no' in done.stderr.replace(': No', ': no') and done.stderr.count('\n') == 1, done


# ---- folders and patterns

@PROGRAMS
def test_folders_and_patterns(folder, program):
    def files(*arguments, code=0):
        done = run(folder, 'detect', '--device', 'sim', *arguments, program=program)
        assert done.returncode == code, done
        return [json.loads(line)['file'] for line in done.stdout.splitlines()], done.stderr

    a, b, face = 'pictures/a.png', 'pictures/b.PNG', 'pictures/face.png'
    assert files('pictures')[0] == [a, b, face]
    assert files('pictures', a)[0] == [a, b, face, a]
    assert files('pictures/*.png')[0] == [a, face]
    assert files('pict*/[ab].*')[0] == [a, b]
    assert files('pictures/?.png', '--json')[0] == [a], 'the caller does not know the name'
    assert files('*', code=1)[1].count('contains no') == 0, 'a pattern does not enter folders'
    (folder / 'pictures' / '[ab].png').write_bytes(png())
    assert files('--jsonl', 'pictures/[ab].png')[0] == ['pictures/[ab].png'], 'a file of that name comes first'
    found, errors = files('empty', 'none*.png', a, code=1)
    assert found == [a] and 'empty: the folder contains no JPEG, PNG, WebP or BMP' in errors
    assert 'none*.png: no JPEG, PNG, WebP or BMP matches' in errors and errors.endswith('2 of 3 pictures failed\n')


def test_a_comparison_takes_two_pictures(folder):
    for name in ('x1.png', 'x2.png', 'x3.png'):
        (folder / name).write_bytes(one(5))
    answer = json.loads(run(folder, 'compare', '--device', 'sim', 'x[1].png', 'x[2].png', program=FACE).stdout)
    assert (answer['file'], answer['file2']) == ('x1.png', 'x2.png')
    done = run(folder, 'compare', '--device', 'sim', 'x*.png', 'x1.png', program=FACE)
    assert done.returncode == 2 and '4 pictures match; compare takes two' in done.stderr, done


# ---- failures

@PROGRAMS
def test_failures_are_counted_and_the_others_processed(folder, program):
    name = os.path.basename(program)
    done = Shown(folder, 'detect', 'pictures/notes.txt', 'pictures/a.png', 'absent.png', program=program)
    assert done.code == 1 and len(done.lines) == 2 and done.lines[0].startswith('pictures/a.png '), done
    assert re.match(r'3 pictures, \d+ \w+, 2 failed, ', done.lines[1]), done
    errors = done.stderr.splitlines()
    assert errors[0].startswith(f'{name} detect: pictures/notes.txt: ') and 'absent.png: No such file' in errors[1], done
    assert errors[2:] == [f'{name} detect: 2 of 3 pictures failed'], done
    done = run(folder, 'detect', '--device', 'sim', 'pictures/a.png', 'absent.png', program=program)
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 1 and '1 of 2 pictures failed' in done.stderr
    done = Shown(folder, 'detect', 'absent.png', program=program)
    assert done.code == 1 and not done.stdout and done.stderr.count('\n') == 1, done


@PROGRAMS
def test_quiet_prints_results_and_errors_only(folder, program):
    done = Shown(folder, 'detect', 'pictures', '--draw', 'empty', '--quiet', program=program)
    assert (done.code, len(done.lines), done.stderr) == (0, 3, '') and len(os.listdir(folder / 'empty')) == 3
    assert all('px' not in line and ' ms' in line for line in done.lines), done
    done = Shown(folder, 'detect', '-q', 'pictures', 'absent.png', program=program)
    assert done.code == 1 and len(done.lines) == 3 and '1 of 4 pictures failed' in done.stderr, done
    done = Shown(folder, 'detect', '-q', 'pictures', '--json', program=program)
    assert len([json.loads(line) for line in done.lines]) == 3 and not done.stderr, done
    if program == FACE:
        done = Shown(folder, 'embed', '-q', 'pictures/face.png', program=program)
        assert (done.code, len(done.lines), done.stderr) == (0, 1, ''), done
        done = Shown(folder, 'compare', '-q', 'pictures/face.png', 'pictures/face.png', program=program)
        assert (done.code, len(done.lines), done.stderr) == (0, 1, '') and 'same person' in done.lines[0], done


# ---- progress

@PROGRAMS
def test_many_pictures_have_a_bar(folder, program):
    many = ['pictures/face.png'] * 50
    done = Shown(folder, 'detect', *many, program=program, outputs=['stderr'])
    assert len(done.lines) == 50 and ' 0 %  0 of 50' in done.stderr and '100 %  50 of 50' in done.stderr, done
    assert done.stderr.endswith('\r\x1b[K'), 'the bar disappears'
    done = Shown(folder, 'detect', *many, program=program)
    assert len(done.lines) == 51 and done.lines[50].startswith('50 pictures, ') and '50 of 50' in done.stderr, done
    for arguments, outputs in ((many, ['stdout']), ([*many, '--quiet'], ['stdout', 'stderr']), (many[:4], ['stderr'])):
        assert not Shown(folder, 'detect', *arguments, program=program, outputs=outputs).stderr


# ---- options

def test_options_of_both_programs(folder):
    for program, commands in ((BINARY, ['detect']), (FACE, ['detect', 'recognize', 'embed', 'compare'])):
        for command in commands:
            text = run(folder, command, '--help', program=program).stdout
            shared = ['conf', 'iou', 'model', 'device', 'json', 'jsonl', 'quiet', 'verbose', 'no-color']
            shared += ['max', 'draw'] if command in ('detect', 'recognize') else []
            shared += ['threshold'] if command in ('recognize', 'compare') else []
            for name in shared:
                assert f'--{name} ' in text, (program, command, name)


@PROGRAMS
def test_the_overlap_decides_the_number(folder, program):
    """The boxes of an L and of a rectangle between its arms overlap by a third."""
    def is_bright(x, y):
        return (100 <= x < 140 and 100 <= y < 400) or (100 <= x < 400 and 360 <= y < 400) or (
            200 <= x < 500 and 120 <= y < 300)

    (folder / 'l.png').write_bytes(png(640, 640, shade=lambda x, y: (255 if is_bright(x, y) else 0,) * 3))
    for iou, count in (('0.45', 2), ('0.2', 1)):
        done = run(folder, 'detect', 'l.png', '--json', '--device', 'sim', '--iou', iou, program=program)
        assert json.loads(done.stdout)['count'] == count, done
    done = run(folder, 'detect', 'l.png', '--device', 'sim', '--iou', '1.5', program=program)
    assert done.returncode == 2 and '--iou: must be a ' in done.stderr


@PROGRAMS
def test_the_model_is_chosen(folder, program):
    commands = ['detect'] if program == BINARY else ['detect', 'embed', 'compare']
    for command in commands:
        done = run(folder, command, '--model', 'nope', 'a.png', 'b.png', program=program)
        kind = {'detect': 'pose' if program == BINARY else 'face-detection'}.get(command, 'face-embedding')
        assert done.returncode == 1 and f'no {kind} model named "nope"' in done.stderr, done


def test_the_threshold_decides_a_match(folder):
    (folder / 'one.png').write_bytes(one(5))
    (folder / 'other.png').write_bytes(one(6))
    assert run(folder, 'db', 'add', 'Ann', 'one.png', '--device', 'sim', program=FACE).returncode == 0
    for threshold, same in (('0.9', True), ('1', False)):
        options = ['--device', 'sim', '--json', '--threshold', threshold]
        answer = json.loads(run(folder, 'compare', 'one.png', 'one.png', *options, program=FACE).stdout)
        assert (answer['same'], answer['threshold']) == (same and answer['score'] > 0.9, float(threshold))
        faces = json.loads(run(folder, 'recognize', 'one.png', *options, program=FACE).stdout)['faces']
        assert (faces[0]['identity'] == 'Ann') == (answer['score'] > float(threshold))
