"""The English of comments, documents, messages and commit subjects: reports openings, words and constructions that are
hard to read. CONTRIBUTING.md has the rules.

    prose.py [--comments] [--documents] [--messages] [--commits] [--count] [FILE…]

Without a kind of text, checks all of them; without files, all files. --count prints totals.

    --comments     comments of the sources, scripts and tests
    --documents    README.md, CONTRIBUTING.md and docs/*.md, without code; also their columns
    --messages     string literals of the programs, and texts that the shell scripts print
    --commits      subjects of commits since COMMITS_SINCE; skipped without git and in a shallow clone

Before it checks the source, it verifies on made-up sentences that it finds each kind.
"""
import argparse
import collections
import os
import re
import subprocess
import sys

from tree import SOURCE, report, source_files

C_SUFFIXES = ('.c', '.h', '.cc', '.hpp', '.in')
HASH_SUFFIXES = ('.py', '.sh', 'meson.build', '.ci/run')
C_TOKEN = re.compile(r'/\*(.*?)\*/|//([^\n]*)|"((?:\\.|[^"\\\n])*)"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
HASH_COMMENT = re.compile(r'(?:^|\s)#(?!!)\s?([^\n]*)')
DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
SENTENCE = re.compile(r'(?<=[.:;!?])\s+(?=[A-Z*`"(])|\n\s*\n')
PRINTS = re.compile(r'(?:^|[\s;{&|(])(?:echo|printf|die|fail|warn|note|say|usage)\s')
MAX_COLUMNS = 120

KINDS = [  # name, pattern that matches within one sentence
    ('opens with What, Who or Whether', re.compile(r'^(What|Who|Whether|Whose|Whom)\b(?!.*\?$)')),
    ('opens with It is', re.compile(r'^It is\b')),
    ('"where" for "if"', re.compile(r'^Where\b|[,;] where (?:it|that|this|there|they|one|no|nothing)\b', re.I)),
    ('"anew" for "again"', re.compile(r'\banew\b', re.I)),
    ('"mend" for "repair" or "fix"', re.compile(r'\bmend(?:s|ed|ing)?\b', re.I)),
    ('"tell" for "report", "return" or "distinguish"',
     re.compile(r'\b(?:tells?|telling|(?:is|are|be|was|were|been) told)\b', re.I)),
    ('"but for" for "except"', re.compile(r'\bbut for\b(?! (?:the|a|an) \w+ (?:of|to) \w+ing)', re.I)),
    ('"is no X" for "is not an X"',
     re.compile(r'(?<!there )\b(?:is|are|was|were) no (?!longer|more|less|higher|lower|other\b)\w+', re.I)),
    ('a person for a thread, a request or a program',
     re.compile(r'(?<!user )\b(?:nobody|somebody|anybody|everybody|someone|whoever|no one)\b', re.I)),
    ('"says" for "returns", "reports" or "specifies"', re.compile(r'\bsays?\b', re.I)),
    ('"of its own", "for itself"', re.compile(r'\bfor (?:it|them)sel(?:f|ves) alone\b', re.I)),
    ('"so as to" for "to"', re.compile(r'\bso as (?:not )?to\b', re.I)),
    ('"merely", "thereof", "hitherto", "whilst"',
     re.compile(r'\b(?:merely|thereof|hitherto|whilst|therein|thereby)\b', re.I)),
]
# Messages may also begin with a lower-case letter, after "%s: ".
MESSAGE_KINDS = [
    ('opens with What, Who, Whether or Where',
     re.compile(r'^(?:%s: )?(what|who|whether|whose|whom|where)\b(?!.*\?$)', re.I)),
] + KINDS[1:]

# Commits before this time have subjects of other forms.
COMMITS_SINCE = '2026-11-30T10:30:00+00:00'
MAX_SUBJECT = 72
SUBJECT = re.compile(r'[A-Za-z0-9_./+-]+(?:, [A-Za-z0-9_./+-]+)*: (\S+)')
# First words of a sentence that is not an imperative; others are found by their endings.
NOT_A_VERB = {'a', 'an', 'the', 'all', 'any', 'each', 'every', 'no', 'not', 'one', 'two', 'three', 'some', 'it', 'its',
              'this', 'that', 'these', 'those', 'there', 'what', 'who', 'where', 'when', 'whether', 'how', 'why', 'if',
              'only', 'also', 'now', 'new', 'more', 'less', 'after', 'before', 'with', 'without', 'for', 'in', 'on',
              'of', 'to', 'and'}
VERB_IN_S = re.compile(r'(?:ss|cus|bias|canvas|alias)$')
VERB_IN_ED = {'embed', 'exceed', 'feed', 'need', 'proceed', 'seed', 'shed', 'speed', 'succeed'}
VERB_IN_ING = {'bring', 'ping', 'ring', 'string'}


def line_at(text, place):
    return text.count('\n', 0, place) + 1


def comments(name, text):
    """Yields (line, text) of each comment; adjacent comment lines are joined."""
    if name.endswith(C_SUFFIXES):
        for found in C_TOKEN.finditer(text):
            body = found[1] if found[1] is not None else found[2]
            if body is not None:
                yield line_at(text, found.start()), re.sub(r'\n[ \t]*\*?[ \t]?', '\n', body)
        return
    if name.endswith('.py'):
        for found in DOCSTRING.finditer(text):
            yield line_at(text, found.start()), found[1]
    block, begin = [], 0
    for number, line in enumerate(text.split('\n') + [''], 1):
        found = HASH_COMMENT.search(line)
        if found and not (name.endswith('.py') and re.search(r'["\'].*#', line)):
            begin = begin if block else number
            block.append(found[1])
        elif block:
            yield begin, '\n'.join(block)
            block = []


def paragraphs(text):
    """Yields (line, text) of each paragraph, list item, heading and table cell of a document, without code."""
    block, begin, fence = [], 0, None
    for number, line in enumerate(text.split('\n') + [''], 1):
        mark = re.match(r'\s*(```+|~~~+)', line)
        is_code = fence is not None or mark or re.match(r'    |\t', line) and not block
        if mark:
            fence = mark[1] if fence is None else fence if not line.strip().startswith(fence) else None
        new = re.match(r'\s*(?:[-*+]|\d+\.|#+|>)\s+', line)
        is_row = line.lstrip().startswith('|')
        if block and (is_code or new or is_row or not line.strip()):
            yield begin, '\n'.join(block)
            block = []
        if is_code or not line.strip():
            continue
        if is_row:
            for cell in line.strip().strip('|').split('|'):
                yield number, cell.strip()
            continue
        begin = begin if block else number
        block.append(line[new.end():] if new else line)
        if new and '#' in new[0]:
            yield begin, '\n'.join(block)
            block = []


def c_strings(text):
    """Yields (line, text) of the string literals of a C source; adjacent ones, also with a PRI macro between them, are
    joined."""
    parts, begin, end = [], 0, 0
    for found in C_TOKEN.finditer(text):
        if found[3] is None:
            continue
        between = text[end:found.start()]
        if parts and re.fullmatch(r'(?:\s|PRI\w+|/\*.*?\*/|\\\n)*', between, re.DOTALL):
            parts.append('0' if 'PRI' in between else '')
            parts.append(found[3])
        else:
            if parts:
                yield begin, ''.join(parts)
            parts, begin = [found[3]], line_at(text, found.start())
        end = found.end()
    if parts:
        yield begin, ''.join(parts)


def shell_texts(text):
    """Yields (line, text) of the quoted texts that a shell script prints."""
    for number, line in enumerate(text.split('\n'), 1):
        if PRINTS.search(line) and not line.lstrip().startswith('#'):
            for found in re.finditer(r'"((?:\\.|[^"\\])*)"|\'([^\']*)\'', line):
                yield number, found[1] if found[1] is not None else found[2]


def messages(name, text):
    """Yields (line, text) of the texts that a program prints."""
    if not name.endswith(C_SUFFIXES):
        yield from shell_texts(text)
        return
    for line, body in c_strings(re.sub(r'(?m)^\s*#\s*include.*$', '', text)):
        plain = re.sub(r'\\n', '\n', body).replace('\\"', '"')
        if len(re.findall(r"[A-Za-z']{2,}", re.sub(r'%[-+ #0-9.*]*(?:hh|ll|[hljztL])?[a-zA-Z]', '', plain))) >= 2:
            yield line, plain


def check_texts(texts, kinds):
    """Yields (line, kind, words) of each problem in texts of (line, text)."""
    for line, body in texts:
        at = 0
        for sentence in SENTENCE.split(body):
            place = body.find(sentence, at)
            lead = len(sentence) - len(sentence.lstrip())
            number = line + body.count('\n', 0, place + lead)
            at = place + len(sentence)
            plain = ' '.join(re.sub(r"`[^`]*`|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)", '"x"', sentence).split())
            for kind, pattern in kinds:
                found = pattern.search(plain)
                if found:
                    yield number, kind, found[0]


def check_comments(name, text):
    return check_texts(comments(name, text), KINDS)


def check_documents(name, text):
    yield from check_texts(((line, body.strip('*_')) for line, body in paragraphs(text)), KINDS)
    fence = False
    for number, line in enumerate(text.split('\n'), 1):
        is_mark = re.match(r'\s*(?:```|~~~)', line)
        if len(line) > MAX_COLUMNS and not fence and not is_mark and not line.lstrip().startswith('|'):
            yield number, f'more than {MAX_COLUMNS} columns', str(len(line))
        fence = fence != bool(is_mark)


def check_messages(name, text):
    # A literal is on as many lines as the source has, not as many as it prints.
    for line, body in messages(name, text):
        for _, kind, words in check_texts([(line, body)], MESSAGE_KINDS):
            yield line, kind, words


def is_imperative(word):
    if not re.fullmatch(r'[a-z]+(?:-[a-z]+)?', word) or word in NOT_A_VERB:
        return False
    return bool((not word.endswith('s') or VERB_IN_S.search(word)) and
                (not word.endswith('ed') or word in VERB_IN_ED) and
                (not word.endswith('ing') or word in VERB_IN_ING))


def check_subject(subject):
    """Yields the problems of a commit's subject."""
    found = SUBJECT.match(subject)
    if not found:
        yield 'is not "area: what changed"'
    elif not is_imperative(found[1]):
        yield f'"{found[1]}" is not an imperative'
    if subject.endswith('.'):
        yield 'ends with a dot'
    if len(subject) > MAX_SUBJECT:
        yield f'{len(subject)} characters'


def check_commits():
    """Returns problems and the number of subjects, or None without a complete history."""
    def git(*arguments):
        found = subprocess.run(['git', '-c', 'safe.directory=*', '-C', SOURCE, *arguments],
                               capture_output=True, check=False)
        return found.stdout.decode() if found.returncode == 0 else ''
    try:
        is_complete = git('rev-parse', '--is-shallow-repository') == 'false\n'
    except FileNotFoundError:
        return None
    # The prefix is not empty if the tree was unpacked into a folder of another repository.
    if not is_complete or git('rev-parse', '--show-prefix') != '\n':
        return None
    log = git('log', '--no-merges', f'--since={COMMITS_SINCE}', '--format=%h %s')
    subjects = [line.split(' ', 1) for line in log.splitlines()]
    problems = [f'commit {commit}: {problem}: {subject}' for commit, subject in subjects
                for problem in check_subject(subject)]
    return problems, len(subjects)


SELF_TEST = [
    (check_comments, 'a.c', '/* What comes back. */', 1), (check_comments, 'a.c', '/* Who waits? */', 0),
    (check_comments, 'a.c', '/* It is late. Whether it fits. */', 2),
    (check_comments, 'a.c', '/* Reads, where there is one, a line. */', 1),
    (check_comments, 'a.c', '/* Starts anew. */', 1), (check_comments, 'a.c', '/* Mends it. */', 1),
    (check_comments, 'a.c', '/* The caller is told. */', 1), (check_comments, 'a.c', '/* All but for one. */', 1),
    (check_comments, 'a.c', '/* This is no file. */', 1), (check_comments, 'a.c', '/* It is no longer there */', 1),
    (check_comments, 'a.c', '/* Nobody waits. */', 1), (check_comments, 'a.c', '/* RFC 9110 says so. */', 1),
    (check_comments, 'a.c', '/* Returns the number of rows. Caller frees with free(). */', 0),
    (check_comments, 'a.c', 'x = "What a string";', 0),
    (check_documents, 'a.md', '# What it costs\n\nIt runs, where there is\na device, anew.\n', 3),
    (check_documents, 'a.md', '```sh\nWhat is no code\n```\n\n- Runs `where it is no file`.\n- Who runs.\n', 1),
    (check_documents, 'a.md', '| a | Whether it runs |\n| - | ' + '-' * 120 + ' |\n', 1),
    (check_documents, 'a.md', 'x ' * 61 + '\n\n```\n' + 'x ' * 61 + '\n```\n', 1),
    (check_comments, 'a.c', '/* There is no file. */', 0),
    (check_messages, 'a.c', 'log("Nobody" /* b */\n    " waits %" PRIu64 " s"); f("Whether");', 1),
    (check_messages, 'a.c', '#include "is no file"\nlog("%s: whether it fits"); log("What is \\"it\\"?");', 1),
    (check_messages, 'a.c', 'log("a model that " "is no model");', 1),
    (check_messages, 'a.c', 'log("%s: belongs to user nobody"); /* "It is mended" */ log("Run \'tell me\' again");', 0),
    (check_messages, 'a.sh', "# echo 'is no file'\necho 'is no file' >&2\nx='is no file'\n", 1),
    (check_messages, 'a.sh', 'printf "%s\\n" "Starts anew"\n', 1),
]
SUBJECT_SELF_TEST = [
    ('http: return 408 if a body stalls', 0), ('tests: run', 0), ('Merge branch x', 1),
    ('docs: figures of another day', 1), ('face: a column less', 1), ('base: hs_buf_str fails', 1),
    ('http: added a header', 1), ('http: adding a header', 1),
    ('http: process each header', 0), ('gallery: embed it.', 1), ('pose, face: embed ' + 'x' * 60, 1),
]
TEST_FOLDERS = ('tests/', 'fuzz/', 'bench/')  # a test quotes texts that are wrong
CHECKS = {  # kind of text: function, files
    'comments': (check_comments, lambda name: name.endswith(C_SUFFIXES + HASH_SUFFIXES)),
    'documents': (check_documents, lambda name: re.fullmatch(r'(?:.*/)?(?:README|CONTRIBUTING|docs/[^/]+)\.md', name)),
    'messages': (check_messages, lambda name: name.endswith(C_SUFFIXES + ('.sh', '.ci/run'))),
}


def self_test():
    for check, name, text, expected in SELF_TEST:
        found = list(check(name, text))
        if len(found) != expected:
            sys.exit(f'self-test: {text!r}: {expected} problems expected, found {found}')
    for subject, expected in SUBJECT_SELF_TEST:
        found = list(check_subject(subject))
        if len(found) != expected:
            sys.exit(f'self-test: {subject!r}: {expected} problems expected, found {found}')


def main():
    parser = argparse.ArgumentParser(description='Checks the English of comments, documents, messages and commits.')
    for kind in [*CHECKS, 'commits']:
        parser.add_argument('--' + kind, action='append_const', const=kind, dest='kinds')
    parser.add_argument('--count', action='store_true', help='print totals by kind')
    parser.add_argument('files', nargs='*')
    arguments = parser.parse_args()
    self_test()
    kinds = arguments.kinds or [*CHECKS, *([] if arguments.files else ['commits'])]
    problems, counts, checked = [], collections.Counter(), 0
    for name in arguments.files or source_files():
        checks = [CHECKS[kind][0] for kind in kinds if kind in CHECKS and CHECKS[kind][1](name)]
        if not arguments.files and name.startswith(TEST_FOLDERS):
            checks = [check for check in checks if check != check_messages]
        if not checks:
            continue
        with open(name if arguments.files else os.path.join(SOURCE, name), encoding='utf-8') as file:
            text = file.read()
        checked += 1
        for check in checks:
            for line, kind, words in check(name, text):
                problems.append(f'{name}:{line}: {kind}: {words}')
                counts[kind] += 1
    if 'commits' in kinds:
        found = check_commits()
        if found is None:
            print('commits: skipped, no complete git history')
        else:
            problems += found[0]
            counts['commits'] += len(found[0])
            checked += max(1, found[1])
    if arguments.count:
        for kind, number in counts.most_common():
            print(f'{number:5} {kind}')
        print(f'{sum(counts.values()):5} in {checked} checked')
        return
    report(problems, checked)


if __name__ == '__main__':
    main()
