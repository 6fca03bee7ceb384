"""Pictures that commands read and write: names of drawings, pipes and standard input, names in answers."""
import io
import json
import os
import subprocess
import sys
import threading

import pytest

from faces import FACE, PATTERNS, one
from faces import picture as faces_picture
from server import BINARY, START_TIMEOUT_S, environment, png, run

SIM = ['--device', 'sim']
PROGRAMS = pytest.mark.parametrize('program', [BINARY, FACE], ids=['pose', 'face'])


def detect(folder, *arguments, program=BINARY, code=0):
    done = run(folder, 'detect', *SIM, *arguments, program=program)
    assert done.returncode == code, done
    return done


def answers(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def folder(tmp_path):
    """Two pictures with the same name, and a folder for drawings."""
    for name in ('d1', 'd2', 'out'):
        (tmp_path / name).mkdir()
    (tmp_path / 'd1' / 'p.png').write_bytes(png(64, 48))
    (tmp_path / 'd2' / 'p.png').write_bytes(png(80, 60))
    return tmp_path


def size_of_jpeg(path):
    done = subprocess.run([sys.executable, '-c', 'import sys, PIL.Image; print(*PIL.Image.open(sys.argv[1]).size)', str(path)],
                          capture_output=True, text=True, check=False)
    return tuple(map(int, done.stdout.split()))


# ---- drawings

@PROGRAMS
def test_pictures_of_one_name_are_drawn_into_two_files(folder, program):
    detect(folder, 'd1/p.png', 'd2/p.png', 'd1/p.png', '--draw', 'out', program=program)
    assert sorted(os.listdir(folder / 'out')) == ['p-2.jpg', 'p-3.jpg', 'p.jpg']
    first, second, third = ((folder / 'out' / name).read_bytes() for name in ('p.jpg', 'p-2.jpg', 'p-3.jpg'))
    assert first == third != second
    # A second run replaces its earlier file.
    detect(folder, 'd2/p.png', '--draw', 'out', program=program)
    assert (folder / 'out' / 'p.jpg').read_bytes() == second and len(os.listdir(folder / 'out')) == 3


@PROGRAMS
@pytest.mark.parametrize('how', ['itself', 'symbolic link', 'hard link', 'into its folder', 'standard input'])
def test_a_picture_is_never_replaced(folder, program, how):
    original, draw, arguments = folder / 'a.jpg', 'a.jpg', ['a.jpg']
    original.write_bytes(png())
    options = {}
    if how == 'symbolic link':
        os.symlink('a.jpg', folder / 'b.jpg')
        draw = 'b.jpg'
    elif how == 'hard link':
        os.link(original, folder / 'b.jpg')
        draw = 'b.jpg'
    elif how == 'into its folder':
        draw, arguments = '.', ['d1/p.png', 'a.jpg']
    elif how == 'standard input':
        arguments = ['-']
        options['stdin'] = original.open('rb')
    done = subprocess.run([program, 'detect', *SIM, *arguments, '--draw', draw], cwd=folder, capture_output=True, text=True,
                          env=environment(folder), timeout=START_TIMEOUT_S, check=False, **options)
    assert done.returncode == 2 and 'is one of the pictures' in done.stderr and not done.stdout, done
    assert original.read_bytes() == png() and sorted(os.listdir(folder / 'out')) == []


@PROGRAMS
@pytest.mark.parametrize('name', ['x.tiff', 'x', 'x.webp', 'x.jpg.gz', '.png', 'none/'])
def test_other_suffixes_are_rejected_early(folder, program, name):
    done = detect(folder, 'd1/p.png', '--draw', name, program=program, code=2)
    assert '.jpg, .jpeg or .png' in done.stderr and not done.stdout and not (folder / name).exists()


@PROGRAMS
@pytest.mark.parametrize('name, magic', [('x.JPG', b'\xff\xd8'), ('x.jpeg', b'\xff\xd8'), ('x.Png', b'\x89PNG')])
def test_suffix_selects_the_format(folder, program, name, magic):
    detect(folder, 'd1/p.png', '--draw', name, program=program)
    assert (folder / name).read_bytes().startswith(magic)


@PROGRAMS
def test_several_pictures_need_a_folder(folder, program):
    done = detect(folder, 'd1/p.png', 'd2/p.png', '--draw', 'x.jpg', program=program, code=2)
    assert 'existing folder' in done.stderr and not done.stdout and not (folder / 'x.jpg').exists()


@PROGRAMS
def test_a_turned_picture_is_drawn_upright(sim, folder, program):
    image = pytest.importorskip('PIL.Image', reason='python3-pil makes the picture')
    exif = image.Exif()
    exif[0x0112] = 6
    image.new('RGB', (120, 80), (200, 60, 20)).save(folder / 'turned.jpg', exif=exif)
    detect(folder, 'turned.jpg', '--draw', 'plain.png', program=program)
    detect(folder, 'turned.jpg', '--set', 'image.apply_exif=true', '--draw', 'applied.png', program=program)
    for name in ('plain.png', 'applied.png'):
        assert image.open(folder / name).size == (80, 120), name
    if program == BINARY:
        response = sim.post_form({'image': (folder / 'turned.jpg').read_bytes()}, headers={'Accept': 'image/jpeg'})
        assert image.open(io.BytesIO(response.body)).size == (80, 120)


def test_a_box_is_drawn_where_the_turned_picture_has_it(folder):
    """The simulated device's face in the upper left corner of the stored picture is in the upper right corner of
    the upright one."""
    image = pytest.importorskip('PIL.Image', reason='python3-pil makes the picture')
    stored = image.open(io.BytesIO(faces_picture((PATTERNS[2], 40, 60, 140))))
    exif = image.Exif()
    exif[0x0112] = 6
    stored.save(folder / 'turned.png', exif=exif)
    box = answers(detect(folder, 'turned.png', '--json', '--draw', 'drawn.png', program=FACE))[0]['faces'][0]['bbox']
    drawn = image.open(folder / 'drawn.png').convert('RGB')
    upright = stored.transpose(image.ROTATE_270)
    assert drawn.size == upright.size == (480, 640)
    changed = [(x, y) for y in range(640) for x in range(480) if drawn.getpixel((x, y)) != upright.getpixel((x, y))]
    x, y, width, height = box
    left, right, top, bottom = 480 - y - height, 480 - y, x, x + width
    rows = {py for px, py in changed if abs(px - left) <= 1}
    assert len([py for py in range(top, bottom) if py in rows]) >= (bottom - top) * 0.95
    assert all(left - 4 <= px <= right + 4 and top - 30 <= py <= bottom + 4 for px, py in changed)


def test_names_of_any_script_are_drawn(folder):
    image = pytest.importorskip('PIL.Image', reason='python3-pil reads the drawings')
    settings = ['--set', 'database.db_file=names.db', '--set', 'database.backup_path=backups']
    drawn = {}
    for name in ('Zoe', 'Zo\u00eb', '\u05e9\u05dc\u05d5\u05dd', '\u0633\u0644\u0627\u0645', '\u5f20\u4f1f', 'x' * 200):
        (folder / 'one.png').write_bytes(one(4))
        for path in folder.glob('names.db*'):
            path.unlink()
        assert run(folder, 'db', 'add', *SIM, *settings, name, 'one.png', program=FACE).returncode == 0
        done = run(folder, 'recognize', *SIM, *settings, 'one.png', '--draw', 'one-drawn.png', program=FACE)
        assert done.returncode == 0 and answers(done)[0]['faces'][0]['identity'] == name, done
        drawn[name] = image.open(folder / 'one-drawn.png').convert('RGB').tobytes()
    assert len(set(drawn.values())) == len(drawn)


def test_without_fonts_labels_are_boxes(folder):
    (folder / 'fonts.conf').write_text('<fontconfig></fontconfig>')
    (folder / 'one.png').write_bytes(faces_picture((PATTERNS[2], 40, 60, 140)))
    drawn = []
    for more in ({}, {'FONTCONFIG_FILE': str(folder / 'fonts.conf')}):
        done = run(folder, 'detect', *SIM, 'one.png', '--draw', 'drawn.png', program=FACE, env=environment(folder, **more))
        assert done.returncode == 0 and answers(done)[0]['count'] == 1, done
        drawn.append((folder / 'drawn.png').read_bytes())
    assert drawn[0] != drawn[1]


# ---- standard input, pipes, devices

@PROGRAMS
@pytest.mark.parametrize('name', ['-', '/dev/stdin', '/dev/fd/0'])
def test_standard_input_is_read(folder, program, name):
    for stdin in ('pipe', 'file'):
        feed = {'input': png(72, 40)} if stdin == 'pipe' else {'stdin': (folder / 'd2' / 'p.png').open('rb')}
        done = subprocess.run([program, 'detect', *SIM, '--jsonl', name, '--draw', 'out'], cwd=folder, capture_output=True,
                              env=environment(folder), timeout=START_TIMEOUT_S, check=False, **feed)
        assert done.returncode == 0, done
        assert json.loads(done.stdout)['file'] == name
        drawn = 'stdin.jpg' if name != '/dev/fd/0' else '0.jpg'
        assert size_of_jpeg(folder / 'out' / drawn) in ((72, 40) if stdin == 'pipe' else (80, 60), ())


@PROGRAMS
def test_a_named_pipe_is_read_to_its_end(folder, program):
    pipe = folder / 'pipe.png'
    os.mkfifo(pipe)
    data = png(300, 300)

    def feed():
        with open(pipe, 'wb', buffering=0) as out:
            for at in range(0, len(data), 1000):
                out.write(data[at:at + 1000])

    writer = threading.Thread(target=feed)
    writer.start()
    done = detect(folder, 'd1/p.png', 'pipe.png', '--draw', 'out', program=program)
    writer.join()
    assert [response['file'] for response in answers(done)] == ['d1/p.png', 'pipe.png']
    assert sorted(os.listdir(folder / 'out')) == ['p.jpg', 'pipe.jpg']


@PROGRAMS
def test_pipe_input_is_limited(folder, program):
    done = detect(folder, '/dev/zero', '--set', 'server.max_body_mb=2', program=program, code=1)
    assert '/dev/zero: more than 2097152 bytes' in done.stderr, done
    assert 'is empty' in detect(folder, '/dev/null', program=program, code=1).stderr


def test_pipes_in_a_folder_are_not_opened(folder, script):
    for name in ('a.png', 'z.png'):
        os.mkfifo(folder / 'd1' / name)
    done = run(folder, 'compare-devices', *SIM, '--against', script(''), '--json', 'd1')
    assert json.loads(done.stdout)['pictures'] == 1, done
    done = run(folder, 'compare-devices', *SIM, '--against', script(''), 'd1/a.png')
    assert done.returncode == 1 and 'not a regular file' in done.stderr


# ---- names in answers

@PROGRAMS
def test_answers_to_several_pictures_name_them(folder, program):
    paths = ['d1/p.png', 'd2/p.png']
    for options in ([], ['--json'], ['--jsonl']):
        assert [response['file'] for response in answers(detect(folder, *options, *paths, program=program))] == paths
    assert 'file' not in answers(detect(folder, '--json', paths[0], program=program))[0]
    assert answers(detect(folder, '--jsonl', paths[0], program=program))[0]['file'] == paths[0]
    assert detect(folder, '--json', '--jsonl', paths[0], program=program, code=2).stderr.count('exclude each other') == 1


@PROGRAMS
def test_non_utf8_names_are_printed_escaped(folder, program):
    path = os.fsencode(folder) + b'/caf\xe9.png'
    with open(path, 'wb') as file:
        file.write(png())
    done = subprocess.run([program, 'detect', *SIM, '--jsonl', b'caf\xe9.png'], cwd=folder, capture_output=True,
                          env=environment(folder), timeout=START_TIMEOUT_S, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)['file'] == 'caf\ufffd.png', done


def test_non_utf8_names_of_enrolled_pictures_are_printed_escaped(folder):
    for name, data in ((b'good-\xe9.png', one(5)), (b'none-\xe9.png', png())):
        with open(os.fsencode(folder) + b'/' + name, 'wb') as file:
            file.write(data)
    done = subprocess.run([FACE, 'db', 'add', 'Ann', b'good-\xe9.png', b'none-\xe9.png', b'gone-\xe9.png', '--json', *SIM,
                           '--set', f'database.db_file={folder}/faces.db', '--set', f'database.backup_path={folder}/backups'],
                          cwd=folder, capture_output=True, env=environment(folder), timeout=START_TIMEOUT_S, check=False)
    report = json.loads(done.stdout)
    assert [each['file'] for each in report['additions']] == ['good-\ufffd.png'], done
    assert [each['file'] for each in report['refused']] == ['none-\ufffd.png', 'gone-\ufffd.png'], done


def test_names_of_enrolled_pictures_cannot_control_a_terminal(folder):
    for name, data in (('good-\x1b[31m.png', one(5)), ('none-\x9b31m.png', png())):
        (folder / name).write_bytes(data)
    done = run(folder, 'db', 'add', 'Ann', 'good-\x1b[31m.png', 'none-\x9b31m.png', *SIM, '--set',
               f'database.db_file={folder}/faces.db', '--set', f'database.backup_path={folder}/backups', program=FACE)
    assert 'added good-\\x1b[31m.png for Ann: face of ' in done.stdout, done
    assert 'refused none-\\u009b31m.png for Ann: no_face (' in done.stdout, done


def test_a_comparison_names_both_pictures(folder):
    for name in ('a.png', 'b.png'):
        (folder / name).write_bytes(one(5))
    response = answers(run(folder, 'compare', *SIM, 'a.png', 'b.png', program=FACE))[0]
    assert (response['file'], response['file2'], response['same']) == ('a.png', 'b.png', True)
