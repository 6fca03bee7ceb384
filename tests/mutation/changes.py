"""Finds places in C sources where a small change alters the program, as a typical mistake does."""
import math
import os
import random
import re
from collections import namedtuple

# file: relative to the tree. text[begin:end] is replaced by `new`. `old` is the original line, so that a plan is
# applied only to the sources that it was made for.
Change = namedtuple('Change', 'file line kind begin end old new')

TOKEN = re.compile(r'''
    (?P<space>\s+)
  | (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<directive>^[ \t]*\#(?:[^\n\\]|\\.)*)
  | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<mark><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
''', re.X | re.S | re.M)

Token = namedtuple('Token', 'kind text begin end')

COMPARISONS = {'<': '<=', '<=': '<', '>': '>=', '>=': '>', '==': '!=', '!=': '=='}
LOGIC = {'&&': '||', '||': '&&'}
LEAVING = {'return', 'break', 'continue', 'goto'}
CLOSERS = {'(': ')', '[': ']', '{': '}'}
CONTROL = {'if', 'for', 'while', 'switch', 'return', 'sizeof', 'else', 'do', 'case', 'goto', 'assert'}


def tokens_of(text):
    return [Token(match.lastgroup, match.group(), match.start(), match.end()) for match in TOKEN.finditer(text)
            if match.lastgroup not in ('space', 'comment', 'directive')]


def match_closers(tokens):
    """Maps the index of each opening bracket to that of its closing bracket."""
    pairs, open_at = {}, []
    for i, token in enumerate(tokens):
        if token.text in CLOSERS and token.kind == 'mark':
            open_at.append(i)
        elif token.text in CLOSERS.values() and token.kind == 'mark' and open_at:
            pairs[open_at.pop()] = i
    return pairs


def function_bodies(tokens, pairs):
    """Yields (index of the opening brace, index of the closing one, return type) of each function."""
    i = 0
    while i < len(tokens):
        if tokens[i].text == '{' and tokens[i].kind == 'mark':
            if i > 0 and tokens[i - 1].text == ')':
                begin = i
                while begin > 0 and tokens[begin - 1].text not in (';', '}'):
                    begin -= 1
                head = [token.text for token in tokens[begin:i]]
                yield i, pairs.get(i, len(tokens) - 1), [word for word in head[:head.index('(')] if word != 'static'][:-1]
            i = pairs.get(i, len(tokens))
        i += 1


def split_arguments(tokens, begin, end):
    """Returns the token ranges between the commas of a call whose brackets are at begin and end."""
    parts, first, depth = [], begin + 1, 0
    for i in range(begin + 1, end):
        text = tokens[i].text
        depth += (text in CLOSERS) - (text in CLOSERS.values())
        if text == ',' and depth == 0:
            parts.append((first, i))
            first = i + 1
    return parts + [(first, end)] if end > begin + 1 else []


def is_simple(part):
    return part and all(token.kind in ('word', 'number') or token.text in ('->', '.', '&') for token in part)


def changes_in(file, text):
    tokens = tokens_of(text)
    pairs = match_closers(tokens)
    found = []

    def add(kind, begin, end, new):
        line = text.count('\n', 0, begin) + 1
        found.append(Change(file, line, kind, begin, end, text[begin:end], new))

    for first, last, result in function_bodies(tokens, pairs):
        for i in range(first + 1, last):
            token, before, after = tokens[i], tokens[i - 1], tokens[i + 1]
            if token.kind == 'mark' and token.text in COMPARISONS:
                add('comparison', token.begin, token.end, COMPARISONS[token.text])
            elif token.kind == 'mark' and token.text in LOGIC:
                add('logic', token.begin, token.end, LOGIC[token.text])
            elif token.text in ('+', '-') and after.text == '1' and \
                    (before.kind in ('word', 'number') or before.text in (')', ']')):
                add('off by one', after.begin, after.end, '0')
            elif token.text == 'if' and after.text == '(':
                close = pairs[i + 1]
                body = tokens[close + 1].text
                body = tokens[close + 2].text if body == '{' else body
                if body in LEAVING:
                    add('guard removed', tokens[i + 1].end, tokens[close].begin,
                        f'0 && ({text[tokens[i + 1].end:tokens[close].begin]})')
            elif token.text == 'return' and result == ['int'] and after.text not in ('0', ';'):
                end = next(k for k in range(i, last) if tokens[k].text == ';')
                add('error lost', after.begin, tokens[end].begin, '0')
            elif token.text == 'return' and after.text in ('true', 'false'):
                add('result turned', after.begin, after.end, 'false' if after.text == 'true' else 'true')
            elif token.kind == 'word' and after.text == '(' and token.text not in CONTROL:
                close = pairs[i + 1]
                if before.text in (';', '{', '}', ')', 'else') and tokens[close + 1].text == ';':
                    add('statement removed', token.begin, tokens[close + 1].end, '{ }')
                parts = split_arguments(tokens, i + 1, close)
                for (a, b), (c, d) in zip(parts, parts[1:]):
                    one, two = tokens[a:b], tokens[c:d]
                    if is_simple(one) and is_simple(two) and [t.text for t in one] != [t.text for t in two]:
                        add('arguments swapped', one[0].begin, two[-1].end,
                            text[two[0].begin:two[-1].end] + text[one[-1].end:two[0].begin] +
                            text[one[0].begin:one[-1].end])
            elif token.kind == 'word' and before.text in (';', '{', '}') and i < last:
                end = next((k for k in range(i, last) if tokens[k].text in (';', '{')), last)
                words = [t.text for t in tokens[i:end]]
                if tokens[end].text == ';' and tokens[i + 1].kind == 'mark' and after.text not in (':', '*', '(') and \
                        any(mark in words for mark in ('=', '++', '--', '+=', '-=', '|=')):
                    add('statement removed', token.begin, tokens[end].end, '{ }')
    return found


def all_changes(tree, folder='src', endings=('.c', '.cc')):
    found = []
    for path, folders, files in os.walk(os.path.join(tree, folder)):
        folders.sort()
        for name in sorted(files):
            if name.endswith(endings):
                full = os.path.join(path, name)
                with open(full, encoding='utf-8') as file:
                    found += changes_in(os.path.relpath(full, tree), file.read())
    return found


def plan(changes, seed, count):
    """Returns a sample, spread over the folders of src in proportion to the square root of their number of changes,
    so that small folders are included, and evenly over the kinds. Each prefix of the order is spread in the same
    way."""
    rng = random.Random(seed)
    folders = {}
    for change in changes:
        kinds = folders.setdefault('/'.join(change.file.split('/')[1:-1]), {})
        kinds.setdefault(change.kind, []).append(change)
    sizes = {name: math.sqrt(sum(map(len, kinds.values()))) for name, kinds in folders.items()}
    chosen = []
    for name in sorted(folders):
        kinds = {kind: rng.sample(items, len(items)) for kind, items in sorted(folders[name].items())}
        for _ in range(max(1, round(count * sizes[name] / sum(sizes.values())))):
            kind = rng.choice([kind for kind, items in kinds.items() if items])
            chosen.append(kinds[kind].pop())
    rng.shuffle(chosen)
    return chosen


def apply(tree, change):
    """Applies the change and returns the original text."""
    path = os.path.join(tree, change.file)
    with open(path, encoding='utf-8') as file:
        text = file.read()
    if text[change.begin:change.end] != change.old:
        raise ValueError(f'{change.file}:{change.line}: the source is not the one of the plan')
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text[:change.begin] + change.new + text[change.end:])
    return text
