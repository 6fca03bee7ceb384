"""The diagram of a request's path in docs/architecture.md is correct: its files exist, each one calls the next, and
there are few enough of them for a reader to remember."""
import os
import re

from tree import SOURCE, report

LINES_MAX, POSE_MAX, FACE_MAX = 15, 9, 14
FILE = re.compile(r'\b(?:http|service|pose|face|infer|gallery)/\w+\.c\b')
# Moves bytes and does not use models; the request's path begins after it.
BEFORE = ('http/connection.c',)


def drawing():
    with open(os.path.join(SOURCE, 'docs', 'architecture.md'), encoding='utf-8') as page:
        text = page.read()
    block = re.search(r'## Life of a request\n\n```\n(.*?)```', text, re.S)
    assert block, 'docs/architecture.md has no drawing under "Life of a request"'
    return block[1].splitlines()


def text_of(name):
    with open(os.path.join(SOURCE, 'src', name), encoding='utf-8') as source:
        return source.read()


def defined(name):
    """Returns the functions of a file that other files can call."""
    return set(re.findall(r'^(?!static)[a-z][\w *]*?\b(hs_\w+)\(', text_of(name), re.M))


def calls(name, other):
    text = text_of(name)
    return any(re.search(rf'\b{function}\b', text) for function in defined(other))


def arrows(lines):
    """Returns pairs of files: along a line, and from a line to those indented below it."""
    above = []
    for line in lines:
        names = FILE.findall(line)
        indent = len(line) - len(line.lstrip())
        while above and above[-1][0] >= indent:
            above.pop()
        yield from zip(names, names[1:])
        if above and above[-1][1] not in BEFORE:
            yield above[-1][1], names[0]
        above.append((indent, names[0]))


def main():
    lines = drawing()
    problems = []
    if len(lines) > LINES_MAX:
        problems.append(f'the drawing has {len(lines)} lines, {LINES_MAX} are enough')
    files = [name for line in lines for name in FILE.findall(line) if name not in BEFORE]
    missing = [name for name in files if not os.path.exists(os.path.join(SOURCE, 'src', name))]
    problems += [f'{name} is in the drawing, and not in src' for name in missing]
    pose = {name for name in files if not name.startswith(('face/', 'gallery/'))}
    face = {name for name in files if not name.startswith('pose/')}
    for who, count, most in (('pose', len(pose), POSE_MAX), ('face', len(face), FACE_MAX)):
        if count > most:
            problems.append(f'a {who} request enters {count} files, {most} are enough')
    checked = 0
    for name, other in () if missing else arrows(lines):
        checked += 1
        if not calls(name, other):
            problems.append(f'{name} calls nothing of {other}')
    report(problems, checked + len(files))


if __name__ == '__main__':
    main()
