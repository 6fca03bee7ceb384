"""Every command of the documents works in a clone after `make demo`, pasted in order; and every link leads to a file."""
import glob
import os
import re

import pytest

from shell import NOT_RUN, TREE, Shell, clone, commands_of

DOCUMENTS = ['README.md', 'CONTRIBUTING.md'] + sorted(
    os.path.relpath(path, TREE) for path in glob.glob(os.path.join(TREE, 'docs', '*.md')))
LINK = re.compile(r'\[[^\]]*\]\(([^)\s]+)\)')


def read(name):
    with open(os.path.join(TREE, name), encoding='utf-8') as file:
        return file.read()


def anchors_of(text):
    """Returns the anchors that GitHub makes of the headings."""
    prose = re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)
    return {re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-')
            for heading in re.findall(r'^#+ (.*)$', prose, re.M)}


@pytest.mark.parametrize('name', DOCUMENTS)
def test_commands_of(name, tmp_path, record_property):
    commands = commands_of(read(name))
    unknown = {word for _, _, word in commands} - {'', 'fails', *NOT_RUN}
    assert not unknown, f'{name}: unknown words after sh: {unknown}'
    folder, home = tmp_path / 'clone', tmp_path / 'home'
    home.mkdir()
    clone(str(folder))
    shell, failed, ran, left = Shell(str(folder), str(home)), [], 0, 0
    try:
        for line, command, word in commands:
            if word in NOT_RUN:
                left += 1
                continue
            code, output = shell.run(command)
            ran += 1
            if (code == 0) == (word == 'fails'):
                failed.append(f'{name}:{line}: exit code {code}: {command}{output[-2000:]}')
    finally:
        shell.close()
    record_property('commands', ran)
    print(f'{name}: {ran} commands run, {left} left out, {len(failed)} failed')
    assert not failed, '\n'.join(failed)


def test_most_commands_run():
    """Blocks that need no hardware run as a rule."""
    words = [word for name in DOCUMENTS for _, _, word in commands_of(read(name)) if word != 'hailo']
    assert sum(word in NOT_RUN for word in words) < len(words) / 3


@pytest.mark.parametrize('name', DOCUMENTS)
def test_links_of(name):
    text, missing = read(name), []
    for target in LINK.findall(re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)):
        if re.match(r'[a-z]+:', target):
            continue
        path, _, anchor = target.partition('#')
        file = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        if not os.path.exists(os.path.join(TREE, file)):
            missing.append(target)
        elif anchor and file.endswith('.md') and anchor not in anchors_of(read(file)):
            missing.append(target)
    assert not missing, f'{name}: {missing}'


def test_commands_are_found():
    text = '```sh\na  # comment\n# only a comment\nb |\n  c \\\n  d\ncat << E\nx\nE\n```\n```json\n{}\n```\n```sh slow\ne\n```\n'
    assert [(line, word) for line, _, word in commands_of(text)] == [(2, ''), (4, ''), (7, ''), (15, 'slow')]
