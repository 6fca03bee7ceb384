"""Helpers of the shape tests: the path of the source tree, and its files."""
import os
import subprocess
import sys

SOURCE = os.environ.get('HS_SOURCE_DIR') or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('HS_BUILD_DIR') or os.path.join(SOURCE, 'build')


def source_files(root=SOURCE):
    """Returns paths below root that belong to the project: files that git tracks or would add, or without git all
    files except build output."""
    listing = subprocess.run(['git', '-c', 'safe.directory=*', '-C', root, 'ls-files', '-z', '--cached', '--others',
                              '--exclude-standard'], capture_output=True, check=False)
    if listing.returncode == 0:
        names = listing.stdout.decode().split('\0')
    else:
        names = []
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if not name.startswith(('.', 'build', '__pycache__'))]
            names += [os.path.relpath(os.path.join(folder, name), root) for name in files]
    return sorted(name for name in names if name and os.path.isfile(os.path.join(root, name)))


def report(problems, checked):
    """Prints the problems and exits."""
    for problem in problems:
        print(problem)
    print(f'{checked} checked, {len(problems)} problems')
    sys.exit(1 if problems or not checked else 0)
