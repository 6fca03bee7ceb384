#!/usr/bin/python3
"""Fetches one file of a Python package release unchanged, without building or installing anything.

    fetch_pypi.py PACKAGE VERSION FILE SHA256 DESTINATION

`pip download` of a source release runs the release's build code, only to find its dependencies. This program uses
pip's finder to locate the file, so that pip's configured index, mirror, folder or proxy applies, and then only copies
bytes. Creates the file DESTINATION only if it is complete and verified. Exit codes: 0, 1 failure, 2 usage.
"""
import hashlib
import os
import sys
import time

ATTEMPTS = 4
BLOCK = 1 << 16


class FetchError(Exception):
    """The file does not exist or has another hash. A retry would not help."""


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(BLOCK), b''):
            digest.update(block)
    return digest.hexdigest()


def find_link(finder, package, version, name):
    candidates = finder.find_all_candidates(package)
    for candidate in candidates:
        if str(candidate.version) == version and candidate.link.filename == name:
            return candidate.link
    if not candidates:
        raise OSError(f'pip finds no release of {package}; check that the package index is reachable')
    raise FetchError(f'{package} {version} has no file {name}')


def copy(session, link, sha256, destination):
    from pip._internal.network.utils import HEADERS, response_chunks

    partial = f'{destination}.part{os.getpid()}'
    digest = hashlib.sha256()
    size = 0
    try:
        answer = session.get(link.url_without_fragment, headers=HEADERS, stream=True)
        answer.raise_for_status()
        with open(partial, 'wb') as file:
            for block in response_chunks(answer, BLOCK):
                file.write(block)
                digest.update(block)
                size += len(block)
            file.flush()
            os.fsync(file.fileno())
        expected = answer.headers.get('Content-Length')
        if expected and int(expected) != size:
            raise OSError(f'download truncated after {size} of {expected} bytes')
        if digest.hexdigest() != sha256:
            raise FetchError(f'{link.filename} has the SHA-256 {digest.hexdigest()}, expected {sha256}')
        os.replace(partial, destination)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


def attempt(package, version, name, sha256, destination):
    # pip has no public interface for this. These names, and those in copy(), exist from pip 20.3 to pip 25.
    from pip._internal.commands.download import DownloadCommand

    command = DownloadCommand('download', 'fetch one file')
    with command.main_context():
        options, _ = command.parse_args(['--no-deps', '--no-cache-dir', package])
        session = command.get_default_session(options)
        finder = command._build_package_finder(options, session, ignore_requires_python=True)
        copy(session, find_link(finder, package, version, name), sha256, destination)


def main(argv):
    if len(argv) != 6:
        print(__doc__.split('\n\n')[1], file=sys.stderr)
        return 2
    package, version, name, sha256, destination = argv[1:]
    if os.path.exists(destination) and sha256_of(destination) == sha256:
        return 0
    os.makedirs(os.path.dirname(os.path.abspath(destination)), exist_ok=True)
    for number in range(1, ATTEMPTS + 1):
        try:
            attempt(package, version, name, sha256, destination)
            return 0
        except (FetchError, ImportError, AttributeError) as error:
            print(f'fetch_pypi: {error}', file=sys.stderr)
            return 1
        except Exception as error:  # pip wraps network failures in types of several libraries
            print(f'fetch_pypi: {name}: attempt {number} of {ATTEMPTS}: {error}', file=sys.stderr)
            if number < ATTEMPTS:
                time.sleep(2 ** number)
    return 1


if __name__ == '__main__':
    sys.exit(main(sys.argv))
