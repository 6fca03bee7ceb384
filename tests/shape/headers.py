"""Each header under include/ and src/ compiles alone, also if it is included twice.

    headers.py COMPILER… -- [C++-COMPILER…]

C++ headers (.hpp) are checked if there is a C++ compiler and the build has the libraries they include. The folders
of third-party headers are those of the build (compile_commands.json).
"""
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tree import BUILD, SOURCE, report, source_files


def include_flags():
    flags = {f'-I{SOURCE}/include': None, f'-I{SOURCE}/src': None}
    with open(os.path.join(BUILD, 'compile_commands.json'), encoding='utf-8') as file:
        for entry in json.load(file):
            words = shlex.split(entry['command'])
            for i, word in enumerate(words):
                if word.startswith('-I') and len(word) > 2:
                    flags['-I' + os.path.join(entry['directory'], word[2:])] = None
                elif word.startswith('-isystem') and len(word) > len('-isystem'):
                    flags['-isystem' + os.path.join(entry['directory'], word[len('-isystem'):])] = None
                elif word == '-isystem':
                    flags['-isystem' + os.path.join(entry['directory'], words[i + 1])] = None
    return list(flags)


def main():
    compiler, flags = sys.argv[1:], include_flags()
    split = compiler.index('--')
    compiler, cxx = compiler[:split], compiler[split + 1:]
    suffixes = ('.h', '.hpp') if cxx else ('.h',)
    headers = [name for name in source_files() if name.startswith(('include/', 'src/')) and name.endswith(suffixes)]

    def compile_alone(name):
        text = f'#include "{SOURCE}/{name}"\n' * 2 + 'extern int hs_not_empty;\n'
        how = cxx + ['-std=c++17', '-xc++'] if name.endswith('.hpp') else compiler + ['-std=c17', '-xc']
        run = subprocess.run(how + ['-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-'] + flags,
                             input=text, capture_output=True, text=True, check=False)
        return f'{name} does not compile alone:\n{run.stderr}' if run.returncode else None

    with ThreadPoolExecutor(2) as pool:
        problems = [problem for problem in pool.map(compile_alone, headers) if problem]
    report(problems, len(headers))


main()
