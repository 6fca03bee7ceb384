"""The English of comments: reports openings, words and constructions that are hard to read. CONTRIBUTING.md has the
rules.

    prose.py [FILE…]    checks the given files, or else all files; --count prints totals by kind

Before it checks the source, it verifies on made-up sentences that it finds each kind.
"""
import collections
import os
import re
import sys

from tree import SOURCE, report, source_files

# Folders whose comments follow the rules. Folders are only added.
CLEAN = ()

C_SUFFIXES = ('.c', '.h', '.cc', '.hpp', '.in')
C_COMMENT = re.compile(r'/\*(.*?)\*/|//([^\n]*)|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)
HASH_COMMENT = re.compile(r'(?:^|\s)#(?!!)\s?([^\n]*)')
DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
SENTENCE = re.compile(r'(?<=[.:;!?])\s+(?=[A-Z*`"(])|\n\s*\n')

KINDS = [  # name, pattern that matches within one sentence
    ('opens with What, Who or Whether', re.compile(r'^(What|Who|Whether|Whose|Whom)\b(?!.*\?$)')),
    ('opens with It is', re.compile(r'^It is\b')),
    ('"where" for "if"', re.compile(r'^Where\b|[,;] where (?:it|that|this|there|they|one|no|nothing)\b', re.I)),
    ('"anew" for "again"', re.compile(r'\banew\b', re.I)),
    ('"mend" for "repair" or "fix"', re.compile(r'\bmend(?:s|ed|ing)?\b', re.I)),
    ('"tell" for "report", "return" or "distinguish"',
     re.compile(r'\b(?:tells?|telling|(?:is|are|be|was|were|been) told)\b', re.I)),
    ('"but for" for "except"', re.compile(r'\bbut for\b(?! (?:the|a|an) \w+ (?:of|to) \w+ing)', re.I)),
    ('"is no X" for "is not an X"', re.compile(r'\b(?:is|are|was|were) no (?!longer|more|less|other\b)\w+', re.I)),
    ('a person for a thread, a request or a program',
     re.compile(r'\b(?:nobody|somebody|anybody|everybody|someone|whoever|no one)\b', re.I)),
    ('"says" for "returns", "reports" or "specifies"', re.compile(r'\bsays?\b', re.I)),
    ('"of its own", "for itself"', re.compile(r'\bfor (?:it|them)sel(?:f|ves) alone\b', re.I)),
    ('"so as to" for "to"', re.compile(r'\bso as (?:not )?to\b', re.I)),
    ('"merely", "thereof", "hitherto", "whilst"', re.compile(r'\b(?:merely|thereof|hitherto|whilst|therein|thereby)\b', re.I)),
]


def comments(name, text):
    """Yields (line, text) of each comment; adjacent comment lines are joined."""
    if name.endswith(C_SUFFIXES):
        for found in C_COMMENT.finditer(text):
            body = found[1] if found[1] is not None else found[2]
            if body is not None:
                yield text.count('\n', 0, found.start()) + 1, re.sub(r'\n[ \t]*\*?[ \t]?', '\n', body)
        return
    if name.endswith('.py'):
        for found in DOCSTRING.finditer(text):
            yield text.count('\n', 0, found.start()) + 1, found[1]
    block, begin = [], 0
    for number, line in enumerate(text.split('\n') + [''], 1):
        found = HASH_COMMENT.search(line)
        if found and not (name.endswith('.py') and re.search(r'["\'].*#', line)):
            begin = begin if block else number
            block.append(found[1])
        elif block:
            yield begin, '\n'.join(block)
            block = []


def problems_of(name, text):
    for line, body in comments(name, text):
        at = 0
        for sentence in SENTENCE.split(body):
            place = body.find(sentence, at)
            lead = len(sentence) - len(sentence.lstrip())
            number = line + body.count('\n', 0, place + lead)
            at = place + len(sentence)
            plain = ' '.join(re.sub(r'`[^`]*`|"[^"]*"', '"x"', sentence).split())
            for kind, pattern in KINDS:
                found = pattern.search(plain)
                if found:
                    yield number, kind, found[0]


SELF_TEST = [
    ('/* What comes back. */', 1), ('/* Who waits? */', 0), ('/* It is late. Whether it fits. */', 2),
    ('/* Reads, where there is one, a line. */', 1), ('/* Starts anew. */', 1), ('/* Mends it. */', 1),
    ('/* The caller is told. */', 1), ('/* All but for one. */', 1), ('/* This is no file. */', 1),
    ('/* It is no longer there */', 1), ('/* Nobody waits. */', 1), ('/* RFC 9110 says so. */', 1),
    ('/* Returns the number of rows. Caller frees with free(). */', 0), ('x = "What a string";', 0),
]


def main():
    for text, expected in SELF_TEST:
        found = list(problems_of('a.c', text))
        if len(found) != expected:
            sys.exit(f'self-test: {text!r}: {expected} problems expected, found {found}')
    arguments = [name for name in sys.argv[1:] if name != '--count']
    count = '--count' in sys.argv[1:]
    names = [os.path.relpath(os.path.abspath(name), SOURCE) for name in arguments] or [
        name for name in source_files() if name.endswith(C_SUFFIXES + ('.py', '.sh', 'meson.build', '.ci/run'))]
    problems, counts, checked = [], collections.Counter(), 0
    for name in names:
        with open(os.path.join(SOURCE, name), encoding='utf-8') as file:
            text = file.read()
        checked += 1
        for line, kind, words in problems_of(name, text):
            problems.append(f'{name}:{line}: {kind}: {words}')
            counts[kind] += 1
    if count:
        for kind, number in counts.most_common():
            print(f'{number:5} {kind}')
        print(f'{sum(counts.values()):5} in {checked} files')
        return
    report(problems, checked)


if __name__ == '__main__':
    main()
