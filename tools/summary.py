#!/usr/bin/python3
"""Sums up test results and prints «N passed, N failed» as the last line.

    summary.py JUNIT…                       the test cases of JUnit files
    summary.py --stages STAGES FOLDER       stages of a run: lines «name exit-code seconds» in STAGES, and their JUnit
                                            files in FOLDER, named <stage>-*.xml. A stage without one counts as one
                                            test. Exit code 77 means that the stage could not run on this machine.

The exit code is 0 only if nothing failed.
"""
import glob
import os
import sys
import xml.etree.ElementTree as ET
from collections import Counter

SKIPPED = 77


def outcome_of(case):
    kinds = {child.tag for child in case}
    if kinds & {'failure', 'error'}:
        return 'failed'
    return 'skipped' if 'skipped' in kinds else 'passed'


def read_junit(path):
    """Counts the outcomes in one file. A file that cannot be read counts as one failure."""
    counts = Counter()
    try:
        cases = list(ET.parse(path).getroot().iter('testcase'))
    except (OSError, ET.ParseError) as error:
        print(f'{path}: {error}')
        return Counter(failed=1)
    for case in cases:
        outcome = outcome_of(case)
        counts[outcome] += 1
        name = f"{case.get('classname', '')} {case.get('name', '')}".strip()
        if outcome == 'failed':
            print(f'failed: {name}')
        elif outcome == 'skipped':
            reason = case.find('skipped').get('message') or ''
            print(f"skipped: {name}{': ' if reason else ''}{reason}")
    return counts


def read_stage(line, folder):
    name, code, seconds = line.split()
    counts = Counter()
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), f'{name}-*.xml'))):
        counts += read_junit(path)
    if int(code) == SKIPPED:
        counts['skipped'] += 1
    elif int(code) != 0 and not counts['failed']:
        counts['failed'] += 1
    elif not counts:
        counts['passed'] += 1
    print(f"{name}: exit code {code}, {seconds} s, {counts['passed']} passed, {counts['failed']} failed, "
          f"{counts['skipped']} skipped")
    return counts


def main(argv):
    total = Counter()
    if len(argv) == 4 and argv[1] == '--stages':
        with open(argv[2], encoding='utf-8') as stages:
            for line in stages:
                total += read_stage(line, argv[3])
    elif len(argv) > 1 and not argv[1].startswith('-'):
        for path in argv[1:]:
            total += read_junit(path)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    if total['skipped']:
        print(f"{total['skipped']} skipped")
    print(f"{total['passed']} passed, {total['failed']} failed")
    return 1 if total['failed'] or not total['passed'] else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
