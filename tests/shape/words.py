"""Banned functions, and words that must not be in the tree: machine paths, package index addresses, unfinished
notes.

Before it checks the source, it verifies on made-up lines that it finds each of them.
"""
import os
import re
import sys

from tree import SOURCE, report, source_files

# Reasons: unbounded copies, hidden state, stack use that depends on input, locale-dependent number parsing. See
# docs/hacking.md.
BANNED = re.compile(r'(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strncpy|strncat|strtok|gets|alloca|'
                    r'atoi|atol|atoll|atof|strtod|strtof|strtold|sscanf)\s*\(')
LOCALE_WRAPPER = 'src/base/str.c'  # the only file that parses numbers, with a fixed locale
SLEEPS = re.compile(r'(?<![\w.>])(sleep|usleep)\s*\(')
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)

# Split so that this file does not match itself.
WORDS = [
    (re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X)\b'), 'unfinished'),
    (re.compile(r'(?<![\w.$}])/(wor' r'k|tmp/w' r't|home/[a-z]+|Users)/'), 'path of one machine'),
    (re.compile(r'(pypi\.or' r'g|pythonhosted\.or' r'g|registry\.npmjs\.or' r'g|crates\.i' r'o)'),
     'address of a package index'),
]
NPM_DEFAULT = ('src/models/npm_registry.h', 'registry.npmjs' + '.org')  # npm's default registry
C_SUFFIXES = ('.c', '.h', '.cc', '.hpp')
MAX_COLUMNS = 120


def strip_c(text):
    """Returns the same lines without comments and literals."""
    return COMMENT_OR_STRING.sub(lambda found: re.sub(r'[^\n]', ' ', found[0]), text)


def check_text(name, text):
    lines = text.split('\n')
    for number, line in enumerate(lines, 1):
        for pattern, what in WORDS:
            if pattern.search(line) and (name, pattern.search(line)[0]) != NPM_DEFAULT:
                yield f'{name}:{number}: {what}: {pattern.search(line)[0]}'
        if name.endswith(C_SUFFIXES):
            if len(line) > MAX_COLUMNS:
                yield f'{name}:{number}: {len(line)} columns'
            if line != line.rstrip() or '\t' in line:
                yield f'{name}:{number}: tab or trailing space'
    if not name.endswith(C_SUFFIXES):
        return
    for number, line in enumerate(strip_c(text).split('\n'), 1):
        found = BANNED.search(line)
        if found and name != LOCALE_WRAPPER:
            yield f'{name}:{number}: {found[1]} is banned'
        if SLEEPS.search(line) and not name.startswith('tests/'):
            yield f'{name}:{number}: waits by sleeping'


SELF_TEST = [  # path, text, number of problems
    ('src/a.c', 'strcpy(a, b);', 1),
    ('src/a.c', '/* strcpy(a, b) */ "sprintf(x)" hs_strcpy(a); x->gets(y);', 0),
    ('src/a.c', 'x = atoi (s);', 1),
    ('src/base/str.c', 'x = strtod(s, &end);', 0),
    ('src/a.c', 'usleep(10);', 1),
    ('src/a.c', f'"{NPM_DEFAULT[1]}"', 1),
    (NPM_DEFAULT[0], f'"{NPM_DEFAULT[1]}"', 0),
    (NPM_DEFAULT[0], 'pypi' + '.org', 1),
    ('src/a.c', 'x' * 121, 1),
    ('src/a.c', 'int a; ', 1),
    ('docs/a.md', 'TO' 'DO later', 1),
    ('docs/a.md', 'see /wor' 'k/main/x', 1),
    ('docs/a.md', 'https://pypi.or' 'g/simple', 1),
    ('docs/a.md', 'a framework/x, $HOME/work/x, mastodon', 0),
]


def main():
    for name, text, expected in SELF_TEST:
        found = list(check_text(name, text))
        if len(found) != expected:
            sys.exit(f'self-test: {text!r}: {expected} problems expected, found {found}')
    problems, checked = [], 0
    for name in source_files():
        try:
            with open(os.path.join(SOURCE, name), encoding='utf-8', newline='') as file:
                text = file.read()
        except UnicodeDecodeError:
            continue  # seeds of fuzzers, and pictures
        if name.startswith('fuzz/corpus/'):
            continue
        checked += 1
        problems += check_text(name, text)
    report(problems, checked)


main()
