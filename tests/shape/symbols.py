"""Every symbol exported by the core library has the prefix hs_; a backend module exports only its table.

    symbols.py LIBRARY.a
"""
import glob
import os
import re
import subprocess
import sys

from tree import BUILD, report

# Names that compilers add for sanitizers, coverage and linking.
FROM_COMPILER = re.compile(r'^(__|_(init|fini|edata|end|bss_start)$|llvm_)')


def names(arguments, path):
    listing = subprocess.run(['nm', '--defined-only', '--format=posix', *arguments, path], capture_output=True,
                             text=True, check=True)
    words = (line.split() for line in listing.stdout.splitlines())
    return sorted({word[0] for word in words if len(word) > 2 and not FROM_COMPILER.match(word[0])})


def main():
    own = names(['--extern-only'], sys.argv[1])
    problems = [f'{name} has no prefix hs_' for name in own if not name.startswith('hs_')]
    checked = len(own)
    for path in glob.glob(os.path.join(BUILD, 'src', 'backends', '**', '*.so'), recursive=True):
        exported = names(['--dynamic'], path)
        checked += len(exported)
        if len(exported) != 1 or not exported[0].startswith('hs_backend'):
            problems.append(f'{os.path.basename(path)} exports {", ".join(exported) or "nothing"}; '
                            'it should be one table hs_backend…')
    report(problems, checked)


main()
