"""Conformance to RFC 9110 and RFC 9112: the cases of tests/hostile/rfc, each one also sent in single bytes."""
import os
import socket
import sys

import pytest

from server import TREE, Server, wait_for

sys.path.insert(0, os.path.join(TREE, 'tests', 'hostile', 'rfc'))
from cases import CASES, MARKER  # noqa: E402 pylint: disable=wrong-import-position

FOLLOW = b'GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: the-next-one\r\n\r\n'


@pytest.fixture(scope='module')
def strict(tmp_path_factory):
    with Server(tmp_path_factory.mktemp('strict'), settings={'logging.level': 'INFO'}) as server:
        yield server


class Answers:
    """Reads answers one by one and strictly; http.client is too lenient."""

    def __init__(self, sock):
        self._file = sock.makefile('rb')

    def next(self, is_head=False):
        """Returns (status, headers, body), or None at the end of the connection."""
        line = self._file.readline()
        if not line:
            return None
        assert line.startswith(b'HTTP/1.1 ') and line.endswith(b'\r\n'), line
        status, headers = int(line[9:12]), {}
        while (line := self._file.readline()) != b'\r\n':
            name, _, value = line.partition(b': ')
            assert line.endswith(b'\r\n') and name and name.lower() not in headers, line
            headers[name.lower()] = value[:-2]
        bodyless = is_head or status in (100, 204)
        body = b'' if bodyless else self._file.read(int(headers[b'content-length']))
        if status >= 400 and not bodyless:
            assert body.startswith(b'{"error": {"message": "'), body
        return status, headers, body


def check(server, case, step):
    with server.connect(20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = Answers(sock)
        try:
            for at in range(0, len(case.data), step):
                sock.sendall(case.data[at:at + step])
            if case.half:
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            assert case.closes
        got = [answers.next(i in case.heads) for i in range(len(case.statuses))]
        assert [response and response[0] for response in got] == case.statuses
        if case.statuses[-1] == 100:
            return
        assert (got[-1][1].get(b'connection') == b'close') == case.closes
        if not case.closes:
            sock.sendall(FOLLOW)
            status, headers, _ = answers.next()
            assert (status, headers[b'x-request-id']) == (200, b'the-next-one')
            return
        try:
            assert answers.next() is None
        except ConnectionResetError:
            pass


@pytest.mark.parametrize('case', CASES, ids=lambda case: case.name)
def test_whole(strict, case):
    check(strict, case, 1 << 20)
    assert MARKER not in strict.log


# Excludes cases whose 100 (Continue) depends on whether the body has already arrived.
@pytest.mark.parametrize('case', [case for case in CASES if len(case.data) < 2000 and b'Expect' not in case.data],
                         ids=lambda case: case.name)
def test_in_single_bytes(strict, case):
    check(strict, case, 1)
    assert MARKER not in strict.log


def test_every_request_is_counted_and_logged(strict):
    def counted():
        text = strict.get('/metrics').body.decode()
        return int(text.split('\nhailo_http_requests_total ')[1].split('\n')[0])

    before = counted()
    for data in (b'GET\r\n\r\n', b'\x16\x03\x01', b'GET /once HTTP/1.1\r\n\r\n', b'GET /' + b'a' * 20000):
        assert strict.raw(data).status >= 400
    assert counted() - before == 5
    # The request ends for the client before its line is written.
    assert wait_for(lambda: all(f'INFO: {line} ' in strict.log for line in ('GET - 400', '- - 400', '- - 414')))


def test_minimum_number_of_cases():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) >= 120
