"""Server fixtures: one server shared by all tests, and a factory for tests that need a separate one."""
import os

import pytest

from faces import FaceServer
from file_server import FileServer
from server import BINARY, Server, png, run, wait_for
from repo import ModelRepo


def pytest_configure():
    if not os.access(BINARY, os.X_OK):
        raise pytest.UsageError(f'there is no program {BINARY}; build it (make), or name one in HS_BIN')


@pytest.fixture(scope='session')
def sim(tmp_path_factory):
    """A server with the scripted device, shared by tests that change nothing. It must exit cleanly after all of
    them."""
    with Server(tmp_path_factory.mktemp('sim')) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        yield server


@pytest.fixture
def healthy(sim):
    """The shared server, which must still be healthy after the test."""
    yield sim
    sim.assert_healthy()


@pytest.fixture(scope='session')
def face(tmp_path_factory):
    """A hailo-face with the scripted device, shared by tests that each use separate names."""
    with FaceServer(tmp_path_factory.mktemp('face')) as server:
        wait_for(lambda: server.get('/health/ready').status == 200)
        yield server


@pytest.fixture
def make_face(tmp_path):
    """Starts a separate hailo-face for the test, one at a time, because all use the test's gallery."""
    servers = []

    def make(settings=None, **options):
        servers.append(FaceServer(tmp_path, settings, **options))
        return servers[-1]

    yield make
    for server in servers:
        if not server.process.stdout.closed:
            server.stop()


@pytest.fixture
def make_server(tmp_path):
    """Starts separate servers for the test. Stops those still running at its end; they must exit with 0."""
    servers = []

    def make(**options):
        servers.append(Server(tmp_path, **options))
        return servers[-1]

    yield make
    for server in servers:
        if not server.process.stdout.closed:
            server.stop()


@pytest.fixture
def files():
    """A separate web server for the test."""
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def repo(tmp_path, files):
    """Packs whose models come from `files`, and an empty store."""
    return ModelRepo(tmp_path, files)


@pytest.fixture
def script(tmp_path):
    """Writes a script for the simulated device (docs/sim.md) and returns the device's name."""
    def write(text):
        path = tmp_path / f'sim-{len(list(tmp_path.glob("sim-*.yaml")))}.yaml'
        path.write_text(text, encoding='utf-8')
        return f'sim:{path}'

    return write


@pytest.fixture
def cli(tmp_path):
    """Runs the program with arguments, with an empty current folder and home."""
    return lambda *arguments, **options: run(tmp_path, *arguments, **options)


@pytest.fixture(scope='session')
def picture():
    return png()
