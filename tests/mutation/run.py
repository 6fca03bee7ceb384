#!/usr/bin/python3
"""Makes one small change to the sources at a time and checks that a test detects it.

    run.py map  WORK               builds with gcov, runs each test alone and records the lines it enters (some minutes)
    run.py test WORK --seed N --count M [--jobs J] [--seconds S] [--minutes T] [--sanitize KIND]
                                   runs a plan of M changes in J copies of the tree, and skips finished ones. With S,
                                   a change that no unit test detects meets only the quickest Python tests, for S
                                   seconds; a call without S, or with a larger one, runs the rest. With KIND
                                   (address or thread), the changes that no test has detected so far meet the unit
                                   tests again, built with that sanitizer: it detects leaks, overflows and races
    run.py report WORK [--all]     prints statistics, and each change that no test detected

WORK is a folder for this program only; it holds a copy of the tree. A change is valid if it compiles without a
warning. Only tests that enter the changed line, and the unit tests of its folder, are run, the quickest first,
until one fails: first unit tests, then those of tests/service and tests/accuracy. A failure of a Python test counts
if it fails twice. The sources may differ slightly from those of the map: its lines are translated.
"""
import argparse
import collections
import difflib
import glob
import gzip
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import changes

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNIT_SECONDS, BUILD_SECONDS = 60, 900
WARNINGS = ['-Dwerror=true', '-Doptimization=1']
SANITIZED = {'address': ['-Db_sanitize=address,undefined', '-Db_lundef=false'],
             'thread': ['-Db_sanitize=thread', '-Db_lundef=false']}


def run(command, seconds, cwd, env=None):
    """Returns the exit code (or 'timeout') and the output. Ends all processes that the command started."""
    process = subprocess.Popen(command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                               start_new_session=True)
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        return 'timeout', ''
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def sanitizer_environment(tree):
    """Returns the options of .ci/run."""
    tests = os.path.join(tree, 'tests')
    return {'TBB_ENABLE_SANITIZERS': '1', 'LSAN_OPTIONS': f'suppressions={tests}/lsan.supp',
            'ASAN_OPTIONS': 'detect_stack_use_after_return=1:allocator_may_return_null=1:use_sigaltstack=0',
            'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1',
            'TSAN_OPTIONS': f'allocator_may_return_null=1:suppressions={tests}/tsan.supp'}


def copy_tree(target):
    """Copies the files that git tracks, and links the downloads."""
    os.makedirs(target, exist_ok=True)
    names = subprocess.check_output(['git', 'ls-files', '-z'], cwd=TREE).decode().split('\0')
    for name in filter(None, names):
        source, copy = os.path.join(TREE, name), os.path.join(target, name)
        if not os.path.isfile(source):
            continue
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        if not os.path.exists(copy) or open(source, 'rb').read() != open(copy, 'rb').read():
            shutil.copy2(source, copy)
            os.utime(copy)
    deps = os.path.join(target, '.deps')
    if not os.path.lexists(deps):
        os.symlink(os.path.join(TREE, '.deps'), deps)


def set_up(tree, build, arguments):
    if not os.path.exists(os.path.join(build, 'build.ninja')):
        code, output = run(['meson', 'setup', build, *arguments], BUILD_SECONDS, tree)
        if code != 0:
            sys.exit(output)
    code, output = run(['ninja', '-C', build], BUILD_SECONDS, tree)
    if code != 0:
        sys.exit(output)


def tests_of(tree, build):
    """Returns name -> (command, environment, ninja targets)."""
    listed = json.loads(subprocess.check_output(['meson', 'introspect', '--tests', build]))
    tests = {}
    for test in listed:
        if test['suite'] == ['hailo-services:unit']:
            tests[f"unit/{test['name']}"] = (test['cmd'], test['env'], os.path.relpath(test['cmd'][0], build))
    environment = {'HS_BIN': os.path.join(build, 'hailo-pose'), 'HS_MODELS_DIR': os.path.join(tree, '.deps/models')}
    for folder in ('service', 'accuracy'):
        for path in sorted(glob.glob(os.path.join(tree, 'tests', folder, 'test_*.py'))):
            name = os.path.relpath(path, tree)
            tests[name[6:]] = (['/usr/bin/python3', '-m', 'pytest', '-p', 'no:cacheprovider', '-x', '-q', name],
                               environment, None)
    return tests


# ---- which test enters which line -----------------------------------------------------------------------------------

def lines_of(folder, build):
    """Returns the lines that a run entered, from the data it wrote below folder."""
    found = collections.defaultdict(set)
    for path, _, files in os.walk(folder):
        data = [name for name in files if name.endswith('.gcda')]
        if not data:
            continue
        objects = os.path.join(build, os.path.relpath(path, folder))
        for name in data:
            notes = name[:-5] + '.gcno'
            if os.path.exists(os.path.join(objects, notes)):
                os.symlink(os.path.join(objects, notes), os.path.join(path, notes))
        output = subprocess.run(['gcov', '--json-format', '--stdout', *data], cwd=path, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout
        for text in output.decode().splitlines():
            for file in json.loads(text)['files']:
                name = os.path.relpath(os.path.join(build, file['file']), os.path.dirname(build))
                if name.startswith('src/'):
                    found[name].update(line['line_number'] for line in file['lines'] if line['count'])
    return {name: sorted(lines) for name, lines in found.items()}


def make_map(work):
    tree = os.path.join(work, 'tree')
    build = os.path.join(tree, 'build')
    copy_tree(tree)
    set_up(tree, build, ['-Db_coverage=true', '-Doptimization=0'])
    target = os.path.join(work, 'map.json.gz')
    known = json.load(gzip.open(target)) if os.path.exists(target) else {}
    for name, (command, environment, _) in tests_of(tree, build).items():
        if name in known:
            continue
        folder = os.path.join(work, 'gcda')
        shutil.rmtree(folder, ignore_errors=True)
        counting = {'GCOV_PREFIX': folder, 'GCOV_PREFIX_STRIP': str(len(build.strip('/').split('/')))}
        begin = time.monotonic()
        code, output = run(command, 900, tree, {**environment, **counting})
        seconds = time.monotonic() - begin
        known[name] = {'code': code, 'seconds': seconds, 'lines': lines_of(folder, build) if code == 0 else {}}
        print(f"{name}: {code}, {seconds:.1f} s, {sum(map(len, known[name]['lines'].values()))} lines", flush=True)
        if code != 0:
            print('\n'.join(output.splitlines()[-5:]))
        with gzip.open(target + '.new', 'wt') as file:
            json.dump(known, file)
        os.replace(target + '.new', target)
    shutil.rmtree(os.path.join(work, 'gcda'), ignore_errors=True)


# ---- changes --------------------------------------------------------------------------------------------------------

def line_of_map(change, work, tree):
    """Returns the line of the mapped sources. A new line maps to that of the preceding neighbour."""
    old, new = ([line.strip() for line in open(os.path.join(folder, change.file), encoding='utf-8')]
                for folder in (os.path.join(work, 'tree'), tree))
    for tag, old_begin, _, new_begin, new_end in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if new_begin < change.line <= new_end:
            return old_begin + (change.line - new_begin if tag == 'equal' else 1)
    return change.line


def entering_tests(change, line, tests, map_):
    """Returns the names of the tests that enter the line, and of the unit tests of its folder, the quickest first."""
    folder = change.file.split('/')[1]
    neighbours = f"unit/{'infer' if folder == 'backends' else folder}_"  # tests/unit/infer loads the backends
    entering = sorted((map_[name]['seconds'] if name in map_ else 0, name) for name in tests
                      if name.startswith(neighbours) or
                      name in map_ and line in map_[name]['lines'].get(change.file, ()))
    return [name for kind in ('unit/', 'service/', 'accuracy/') for _, name in entering if name.startswith(kind)]


def try_change(change, line, tree, build, tests, map_, skipped, seconds):
    """Returns 'invalid', the name of the test that failed, or None; how many tests enter the line; and how many of
    them have run, including the first `skipped` ones of an earlier call."""
    entering = entering_tests(change, line, tests, map_)
    wanted = [tests[name][2] for name in entering[skipped:] if tests[name][2]]
    code, _ = run(['ninja', '-C', build, 'hailo-pose', 'hailo-face'], BUILD_SECONDS, tree)
    if code != 0:
        return 'invalid', 0, 0
    if change.file.startswith('src/backends/') or any(name.startswith('accuracy') for name in entering):
        code, _ = run(['ninja', '-C', build], BUILD_SECONDS, tree)
    elif wanted:
        code, _ = run(['ninja', '-C', build, *wanted], BUILD_SECONDS, tree)
    if code != 0:
        return 'invalid', 0, 0
    end = None
    for i in range(skipped, len(entering)):
        name = entering[i]
        unit = name.startswith('unit/')
        if not unit and end is None:
            end = time.monotonic() + seconds
        if not unit and time.monotonic() > end:
            return None, len(entering), i
        command, environment, _ = tests[name]
        limit = UNIT_SECONDS + (4 * map_[name]['seconds'] if name in map_ else 0)
        for _ in range(1 if unit else 2):
            code, _ = run(command, limit, tree, environment)
            if code == 0:
                break
        if code != 0:
            return name, len(entering), i
    return None, len(entering), len(entering)


def try_sanitized(change, line, tree, build, tests, map_, environment):
    """Returns the name of the unit test that fails in a build with a sanitizer, or None."""
    names = [name for name in entering_tests(change, line, tests, map_) if tests[name][2]]
    code, _ = run(['ninja', '-C', build, *(tests[name][2] for name in names)], BUILD_SECONDS, tree)
    for name in names if code == 0 else []:
        command, own, _ = tests[name]
        if run(command, 10 * UNIT_SECONDS, tree, {**own, **environment})[0] != 0:
            return name
    return None


def results_of(work):
    """Returns the last result of each change, by the change without its new text."""
    path = os.path.join(work, 'results.jsonl')
    if not os.path.exists(path):
        return {}
    with open(path, encoding='utf-8') as file:
        lines = [json.loads(line) for line in file]
    return {tuple(line['change'][:-1]): line for line in lines}


def explained_of(work):
    """Returns the reasons why no test can detect a change, by key."""
    path = os.path.join(work, 'explained.json')
    if not os.path.exists(path):
        return {}
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def key_of(change):
    return f'{change.file}:{change.line} {change.kind} {change.old}'


def test_part(work, plan, part, seconds, end, sanitize):
    tree = os.path.join(work, '-'.join(filter(None, ('changed', sanitize, str(part)))))
    build = os.path.join(tree, 'build')
    copy_tree(tree)
    set_up(tree, build, SANITIZED.get(sanitize, WARNINGS))
    tests = tests_of(tree, build)
    with gzip.open(os.path.join(work, 'map.json.gz')) as file:
        map_ = {name: {**entry, 'lines': {path: set(lines) for path, lines in entry['lines'].items()}}
                for name, entry in json.load(file).items() if entry['code'] == 0}
    done, explained = results_of(work), explained_of(work)
    for change in plan:
        last = done.get(tuple(change[:-1]), {'noticed': None, 'ran': 0, 'entering': -1})
        finished = sanitize in last.get('sanitized', []) if sanitize else last['ran'] == last['entering']
        if last['noticed'] or finished or sanitize and key_of(change) in explained or time.monotonic() > end:
            continue
        line = line_of_map(change, work, tree)
        before = changes.apply(tree, change)
        begin = time.monotonic()
        sanitized = last.get('sanitized', [])
        try:
            if sanitize:
                entering, ran, sanitized = last['entering'], last['ran'], [*sanitized, sanitize]
                noticed = try_sanitized(change, line, tree, build, tests, map_, sanitizer_environment(tree))
            else:
                noticed, entering, ran = try_change(change, line, tree, build, tests, map_, last['ran'], seconds)
        finally:
            with open(os.path.join(tree, change.file), 'w', encoding='utf-8') as file:
                file.write(before)
        with open(os.path.join(work, 'results.jsonl'), 'a', encoding='utf-8') as file:
            file.write(json.dumps({'change': change, 'noticed': noticed, 'entering': entering, 'ran': ran,
                                   'sanitized': sanitized, 'seconds': round(time.monotonic() - begin, 1)}) + '\n')
        print(f'{change.file}:{change.line} {change.kind}: {noticed or "NOT NOTICED"} by {ran} of {entering}', flush=True)


def test_changes(work, args):
    end = time.monotonic() + 60 * args.minutes
    plan = changes.plan(changes.all_changes(TREE), args.seed, args.count)
    parts = [multiprocessing.Process(target=test_part, args=(work, plan[i::args.jobs], i, args.seconds, end, args.sanitize))
             for i in range(args.jobs)]
    for part in parts:
        part.start()
    for part in parts:
        part.join()


# ---- report ---------------------------------------------------------------------------------------------------------

def report(work, everything):
    results = list(results_of(work).values())
    explained = explained_of(work)
    valid = [result for result in results if result['noticed'] != 'invalid']
    folders = collections.defaultdict(collections.Counter)
    survivors = []
    for result in valid:
        change = changes.Change(*result['change'])
        key = key_of(change)
        outcome = 'noticed' if result['noticed'] else 'equal' if key in explained else 'not noticed'
        folders['/'.join(change.file.split('/')[1:-1])][outcome] += 1
        if outcome == 'not noticed' or (everything and not result['noticed']):
            survivors.append((key, change.new, result['entering'], explained.get(key, '')))
    for name in sorted(folders):
        counts = folders[name]
        print(f"{name:20} noticed {counts['noticed']:3} of {counts['noticed'] + counts['not noticed']:3}, "
              f"{counts['equal']} change nothing")
    noticed = sum(counts['noticed'] for counts in folders.values())
    equal = sum(counts['equal'] for counts in folders.values())
    rest = len(valid) - equal
    print(f'{len(results)} changes, {len(valid)} valid, {equal} of these change nothing, {noticed} noticed of {rest}: '
          f'{noticed / rest if rest else 0:.3f}')
    for key, new, entering, why in survivors:
        print(f'  {key} -> {new}   (entered by {entering} tests) {why}')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('action', choices=['map', 'test', 'report'])
    parser.add_argument('work')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=100)
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--seconds', type=float, default=1e9)
    parser.add_argument('--minutes', type=float, default=1e9)
    parser.add_argument('--sanitize', choices=sorted(SANITIZED))
    parser.add_argument('--all', action='store_true')
    args = parser.parse_args()
    work = os.path.abspath(args.work)
    os.makedirs(work, exist_ok=True)
    if args.action == 'map':
        make_map(work)
    elif args.action == 'test':
        test_changes(work, args)
    else:
        report(work, args.all)


if __name__ == '__main__':
    main()
