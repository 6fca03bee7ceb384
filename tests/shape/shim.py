"""The Hailo backend compiles without a warning as C++17 with each installed compiler that `backends build` may use
on a machine with a Hailo. This test uses the headers of the HailoRT double. Exits with 77 if no compiler is
installed."""
import os
import re
import shutil
import subprocess
import sys

from tree import SOURCE, report

SHIM = os.path.join(SOURCE, 'src', 'backends', 'hailo')
FLAGS = ['-fsyntax-only', '-D_GNU_SOURCE', '-fPIC', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wconversion',
         '-I', os.path.join(SOURCE, 'src'), '-isystem', os.path.join(SOURCE, 'include'),
         '-isystem', os.path.join(SOURCE, 'tests', 'hailo', 'include')]
CXX = ['-std=c++17', '-fno-exceptions', '-fno-rtti']


def sources():
    """Returns the sources that meson.build lists for `backends build`."""
    with open(os.path.join(SOURCE, 'meson.build'), encoding='utf-8') as file:
        listed = re.search(r'^shim_sources = \[(.*?)\]', file.read(), re.M | re.S)[1]
    return re.findall(r"'([^']+)'", listed)


def problems_of(compiler, source):
    language = CXX if source.endswith('.cc') else ['-x', 'c', '-std=c17']
    done = subprocess.run([compiler, *language, *FLAGS, os.path.join(SOURCE, source)], capture_output=True, text=True,
                          check=False)
    if done.returncode or done.stderr.strip():
        yield f'{source}: {compiler}: {done.stderr.strip() or done.returncode}'


def main():
    compilers = [name for name in ('g++', 'clang++') if shutil.which(name)]
    if not compilers:
        print('no C++ compiler')
        sys.exit(77)
    names = sources()
    problems = [f'meson.build: shim_sources lacks {name}' for name in sorted(os.listdir(SHIM))
                if name.endswith(('.cc', '.c')) and f'src/backends/hailo/{name}' not in names]
    for compiler in compilers:
        for name in names:
            problems += problems_of(compiler, name)
    report(problems, len(compilers) * len(names))


main()
