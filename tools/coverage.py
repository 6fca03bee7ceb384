#!/usr/bin/python3
"""Prints the line coverage of src from the runs in a build folder that was set up with -Db_coverage=true.

    coverage.py BUILD [FILE]    one line per folder; FILE receives the lines of each file that were not executed
"""
import collections
import json
import os
import subprocess
import sys


def read(build):
    """Returns {file: {line: count}}."""
    counts = collections.defaultdict(collections.Counter)
    for path, _, files in os.walk(build):
        data = [name for name in files if name.endswith('.gcda')]
        if not data or 'meson-private' in path:
            continue
        output = subprocess.run(['gcov', '--json-format', '--stdout', *data], cwd=path, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, check=False).stdout
        for text in output.decode().splitlines():
            for file in json.loads(text)['files']:
                name = os.path.relpath(os.path.join(build, file['file']))
                if name.startswith('src/'):
                    for line in file['lines']:
                        counts[name][line['line_number']] += line['count']
    return counts


def ranges(lines):
    """Returns "3-5 9" for 3, 4, 5, 9."""
    parts = []
    for line in lines:
        if parts and parts[-1][1] == line - 1:
            parts[-1][1] = line
        else:
            parts.append([line, line])
    return ' '.join(str(a) if a == b else f'{a}-{b}' for a, b in parts)


def main():
    counts = read(os.path.abspath(sys.argv[1]))
    folders = collections.defaultdict(lambda: [0, 0])
    for name, lines in counts.items():
        for part in (os.path.dirname(name), 'all'):
            folders[part][0] += sum(times > 0 for times in lines.values())
            folders[part][1] += len(lines)
    for name in sorted(folders, key=lambda name: (name == 'all', name)):
        entered, total = folders[name]
        print(f'{name:24} {entered:6} of {total:6} lines  {100 * entered / total:5.1f} %')
    if len(sys.argv) > 2:
        with open(sys.argv[2], 'w', encoding='utf-8') as file:
            for name in sorted(counts):
                print(f'{name}: {ranges(sorted(line for line, times in counts[name].items() if times == 0))}', file=file)
    return 0 if counts else 'no figures: was the folder set up with -Db_coverage=true, and did tests run?'


if __name__ == '__main__':
    sys.exit(main())
