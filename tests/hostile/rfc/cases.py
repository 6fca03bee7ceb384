"""Requests at and beyond the limits of RFC 9110 and RFC 9112, and the correct answers of hailo-pose.

A case is the data that a client sends at once, the statuses of all answers in order, and a flag that is set if the
server then closes the connection. `heads` are the indices of answers to HEAD. With `half` the client shuts down its
sending side. Some cases contain a second request, HIDDEN, that a strict parser does not see; its path is MARKER,
for which there must never be an answer: a route that no case uses, because logs contain only the paths of routes."""
from collections import namedtuple

MARKER = '/v1/models'
Case = namedtuple('Case', 'name data statuses closes heads half')
CASES = []
HOST = b'Host: x\r\n'
DETECT = b'POST /v1/pose/detect HTTP/1.1\r\n' + HOST
HIDDEN = b'GET ' + MARKER.encode() + b' HTTP/1.1\r\n' + HOST + b'\r\n'
HIDDEN_CHUNKS = b'0\r\n\r\n' + HIDDEN


def case(name, data, *statuses, closes=False, heads=(), half=False):
    CASES.append(Case(name, data, list(statuses), closes, heads, half))


def refused(name, data, status=400):
    """One error, then the connection closes, regardless of further bytes."""
    case(name, data, status, closes=True)


def get(target=b'/health', headers=HOST, version=b'HTTP/1.1', method=b'GET'):
    return method + b' ' + target + b' ' + version + b'\r\n' + headers + b'\r\n'


def post(headers, body):
    return DETECT + headers + b'\r\n' + body


# ---- the request line

case('plain', get(), 200)
case('head', get(method=b'HEAD'), 200, heads=(0,))
case('head-of-nothing', get(b'/none', method=b'HEAD'), 404, heads=(0,))
case('empty-line-before', b'\r\n' + get(), 200)
case('eight-empty-lines-before', b'\r\n' * 8 + get(), 200)
refused('nine-empty-lines-before', b'\r\n' * 9 + get())
refused('bare-lf-before', b'\n' + get())
refused('space-before', b' ' + get())
refused('two-spaces-after-method', get(b' /health'))
refused('two-spaces-before-version', b'GET /health  HTTP/1.1\r\n' + HOST + b'\r\n')
refused('space-after-version', b'GET /health HTTP/1.1 \r\n' + HOST + b'\r\n')
refused('tab-as-separator', b'GET\t/health\tHTTP/1.1\r\n' + HOST + b'\r\n')
refused('no-target', b'GET HTTP/1.1\r\n' + HOST + b'\r\n')
refused('empty-target', b'GET  HTTP/1.1\r\n' + HOST + b'\r\n')
refused('no-version', b'GET /health\r\n' + HOST + b'\r\n')
refused('only-a-method', b'GET\r\n\r\n')
refused('lower-case-version', get(version=b'http/1.1'))
refused('version-without-minor', get(version=b'HTTP/1'))
refused('version-of-two-digits', get(version=b'HTTP/1.10'))
refused('version-with-comma', get(version=b'HTTP/1,1'))
refused('version-of-another-protocol', get(version=b'ICY/1.1'))
refused('version-with-space-inside', get(version=b'HTTP /1.1'))
refused('version-0-9', get(version=b'HTTP/0.9'), 505)
refused('version-2-0', get(version=b'HTTP/2.0'), 505)
refused('version-9-9', get(version=b'HTTP/9.9'), 505)
refused('http-2-preface', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505)
case('version-1-2-is-read-as-1-1', get(version=b'HTTP/1.2'), 200)
refused('method-with-a-colon', get(method=b'GE:T'))
refused('method-with-brackets', get(method=b'GET()'))
refused('method-is-binary', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03')
refused('method-with-nul', get(method=b'G\0T'))
refused('method-of-high-bytes', get(method=b'G\xc3\x84T'))
refused('method-too-long', get(method=b'A' * 24), 501)
case('unknown-method', get(method=b'BREW'), 405)
case('unknown-method-unknown-path', get(b'/none', method=b'BREW'), 404)
case('lower-case-method', get(method=b'get'), 405)
case('method-of-token-characters', get(method=b"!#$%&'*+-.^_`|~"), 405)
refused('target-too-long', get(b'/' + b'a' * 20000), 414)
refused('headers-too-long', get(headers=HOST + b'X: ' + b'a' * 20000 + b'\r\n'), 431)
refused('too-many-headers', get(headers=HOST + b'X: 1\r\n' * 128), 431)
case('as-many-headers-as-allowed', get(headers=HOST + b'X: 1\r\n' * 127), 200)

# ---- targets

case('query', get(b'/health?a=1&b'), 200)
case('query-of-separators', get(b'/health?' + b'&' * 8000), 200)
case('empty-query', get(b'/health?'), 200)
case('query-with-question-marks', get(b'/health?a=?&b=/'), 200)
case('escaped-path', get(b'/%68ealth'), 200)
case('escaped-nul', get(b'/health%00'), 404)
case('bad-escape', get(b'/health%zz'), 404)
case('dot-segments-are-not-resolved', get(b'/none/../health'), 404)
case('two-slashes', get(b'//health'), 404)
case('high-bytes-in-a-path', get('/J\u00f6rg'.encode()), 404)
refused('nul-in-target', get(b'/health\0'))
refused('nul-in-query', get(b'/health?\0'))
refused('control-in-target', get(b'/health\x01'))
refused('del-in-target', get(b'/health\x7f'))
refused('tab-in-target', get(b'/hea\tlth'))
refused('cr-in-target', get(b'/hea\rlth'))
refused('fragment', get(b'/health#top'))
refused('relative-target', get(b'health'))
refused('target-with-a-space', get(b'/health x'))
case('absolute', get(b'http://x/health'), 200)
case('absolute-with-port', get(b'http://pi.local:11436/health', b'Host: pi.local:11436\r\n'), 200)
case('absolute-https', get(b'https://x/health'), 200)
case('absolute-in-capitals', get(b'HTTP://X/health'), 200)
case('absolute-with-query', get(b'http://x/health?a=1'), 200)
case('absolute-without-path', get(b'http://x'), 404)
case('absolute-query-without-path', get(b'http://x?a=1'), 404)
case('absolute-wins-over-host', get(b'http://a.example/health', b'Host: b.example\r\n'), 200)
case('absolute-of-an-ipv6-host', get(b'http://[::1]:80/health'), 200)
case('absolute-in-http-1-0', get(b'http://x/health', b'', b'HTTP/1.0'), 200, closes=True)
refused('absolute-without-host-header', get(b'http://x/health', b''))
refused('absolute-of-another-scheme', get(b'ftp://x/health'))
refused('absolute-without-host', get(b'http:///health'))
refused('absolute-with-user', get(b'http://a:b@x/health'))
refused('absolute-with-bad-port', get(b'http://x:99999/health'))
refused('absolute-with-letters-as-port', get(b'http://x:8o/health'))
refused('authority-of-get', get(b'x:80'))
refused('connect', get(b'x:80', method=b'CONNECT'), 501)
refused('connect-of-a-path', get(b'/health', method=b'CONNECT'))
case('asterisk-of-options', get(b'*', method=b'OPTIONS'), 204)
case('options-of-a-path', get(method=b'OPTIONS'), 204)
refused('asterisk-of-get', get(b'*'))
refused('asterisk-with-more', get(b'*x', method=b'OPTIONS'))

# ---- Host

refused('no-host', get(headers=b''))
refused('two-hosts', get(headers=HOST + HOST))
refused('two-different-hosts', get(headers=b'Host: a\r\nHost: b\r\n'))
refused('empty-host', get(headers=b'Host:\r\n'))
refused('host-with-space', get(headers=b'Host: a b\r\n'))
refused('host-with-slash', get(headers=b'Host: a/b\r\n'))
refused('host-with-user', get(headers=b'Host: u@a\r\n'))
refused('host-with-bad-port', get(headers=b'Host: a:65536\r\n'))
refused('host-with-two-ports', get(headers=b'Host: a:1:2\r\n'))
refused('host-with-open-bracket', get(headers=b'Host: [::1\r\n'))
refused('host-with-high-bytes', get(headers=b'Host: \xff\r\n'))
case('host-of-ipv6', get(headers=b'Host: [::1]:80\r\n'), 200)
case('host-with-empty-port', get(headers=b'Host: a:\r\n'), 200)
case('host-in-capitals', get(headers=b'HOST: X\r\n'), 200)
case('host-without-space', get(headers=b'Host:x\r\n'), 200)
case('host-between-spaces', get(headers=b'Host: \t x \t\r\n'), 200)
case('http-1-0-without-host', get(headers=b'', version=b'HTTP/1.0'), 200, closes=True)
refused('http-1-0-with-two-hosts', get(headers=HOST + HOST, version=b'HTTP/1.0'))

# ---- fields

case('empty-value', get(headers=HOST + b'X:\r\n'), 200)
case('high-bytes-in-a-value', get(headers=HOST + b'X: J\xf6rg\r\n'), 200)
case('tab-in-a-value', get(headers=HOST + b'X: a\tb\r\n'), 200)
refused('space-before-colon', get(headers=HOST + b'X : 1\r\n'))
refused('tab-before-colon', get(headers=HOST + b'X\t: 1\r\n'))
refused('space-before-name', get(headers=HOST + b' X: 1\r\n'))
refused('space-before-first-name', get(headers=b' ' + HOST))
refused('folded', get(headers=HOST + b'X: a\r\n b\r\n'))
refused('folded-with-tab', get(headers=HOST + b'X: a\r\n\tb\r\n'))
refused('folded-host', get(headers=b'Host:\r\n x\r\n'))
refused('no-colon', get(headers=HOST + b'X\r\n'))
refused('no-name', get(headers=HOST + b': 1\r\n'))
refused('name-with-space', get(headers=HOST + b'X Y: 1\r\n'))
refused('name-with-bracket', get(headers=HOST + b'X[: 1\r\n'))
refused('name-with-nul', get(headers=HOST + b'X\0: 1\r\n'))
refused('name-of-high-bytes', get(headers=HOST + b'\xc3\x84: 1\r\n'))
refused('nul-in-a-value', get(headers=HOST + b'X: a\0b\r\n'))
refused('control-in-a-value', get(headers=HOST + b'X: a\x01b\r\n'))
refused('del-in-a-value', get(headers=HOST + b'X: a\x7fb\r\n'))
refused('cr-in-a-value', get(headers=HOST + b'X: a\rb\r\n'))
refused('cr-cr-lf', get(headers=HOST + b'X: a\r\r\n'))
refused('bare-lf-in-headers', get(headers=b'Host: x\nX: 1\r\n'))
refused('bare-lf-everywhere', b'GET /health HTTP/1.1\nHost: x\n\n')
refused('bare-lf-after-request-line', b'GET /health HTTP/1.1\nHost: x\r\n\r\n')
refused('bare-lf-as-last-line', b'GET /health HTTP/1.1\r\nHost: x\r\n\n')
refused('bare-cr-as-line-end', b'GET /health HTTP/1.1\rHost: x\r\n\r\n')
case('ends-in-request-line', b'GET /hea', 400, closes=True, half=True)
case('ends-in-headers', b'GET /health HTTP/1.1\r\nHost: x\r\n', 400, closes=True, half=True)
case('ends-in-body', post(b'Content-Length: 10\r\n', b'{}'), 400, closes=True, half=True)
case('ends-in-chunk', post(b'Transfer-Encoding: chunked\r\n', b'5\r\n{}'), 400, closes=True, half=True)
case('ends-before-last-chunk', post(b'Transfer-Encoding: chunked\r\n', b'2\r\n{}\r\n'), 400, closes=True, half=True)

# ---- Content-Length

case('length', post(b'Content-Length: 2\r\n', b'{}'), 400)
case('length-zero', post(b'Content-Length: 0\r\n', b''), 400)
case('length-with-zeros', post(b'Content-Length: 0002\r\n', b'{}'), 400)
case('no-length-no-body', post(b'', b''), 400)
case('body-of-get', get(headers=HOST + b'Content-Length: 5\r\n') + b'hello', 200)
case('body-of-head', get(headers=HOST + b'Content-Length: 5\r\n', method=b'HEAD') + b'hello', 200, heads=(0,))
for name, value in (('plus', b'+2'), ('minus', b'-2'), ('hexadecimal', b'0x2'), ('letters', b'2a'), ('comma', b'2,'),
                    ('list', b'2, 2'), ('list-of-two', b'2, 99'), ('space-inside', b'1 2'), ('empty', b''),
                    ('fraction', b'2.0'), ('exponent', b'2e0'), ('quotes', b'"2"'), ('nul', b'2\0'), ('underscore', b'1_0'),
                    ('high-digits', '\u0662'.encode())):
    refused('length-' + name, post(b'Content-Length: ' + value + b'\r\n', b'{}' + HIDDEN))
refused('length-too-large', post(b'Content-Length: 99999999999999999999\r\n', b'{}' + HIDDEN), 413)
refused('length-wraps-to-two', post(b'Content-Length: 18446744073709551618\r\n', b'{}' + HIDDEN), 413)
refused('length-past-the-limit', post(b'Content-Length: 1099511627776\r\n', b'{}'), 413)
refused('length-twice', post(b'Content-Length: 2\r\nContent-Length: 2\r\n', b'{}' + HIDDEN))
refused('two-lengths', post(b'Content-Length: 2\r\nContent-Length: 50\r\n', b'{}' + HIDDEN))
refused('two-lengths-of-get', get(headers=HOST + b'Content-Length: 0\r\nContent-Length: 50\r\n') + HIDDEN)
refused('length-space-before-colon', post(b'Content-Length : 2\r\n', b'{}' + HIDDEN))
refused('length-folded', post(b'Content-Length:\r\n 2\r\n', b'{}' + HIDDEN))
refused('length-behind-bare-cr', post(b'X: y\rContent-Length: 2\r\n', b'{}' + HIDDEN))
refused('length-behind-bare-lf', post(b'X: y\nContent-Length: 2\r\n', b'{}' + HIDDEN))

# ---- Transfer-Encoding

CHUNKS = b'2\r\n{}\r\n0\r\n\r\n'


def chunked(body, header=b'Transfer-Encoding: chunked\r\n'):
    return post(header, body)


case('chunked', chunked(CHUNKS), 400)
case('chunked-in-capitals', chunked(CHUNKS, b'TRANSFER-ENCODING: CHUNKED\r\n'), 400)
case('chunked-empty', chunked(b'0\r\n\r\n'), 400)
case('chunked-of-get', get(headers=HOST + b'Transfer-Encoding: chunked\r\n') + CHUNKS, 200)
case('chunk-size-with-zeros', chunked(b'0002\r\n{}\r\n000\r\n\r\n'), 400)
case('chunk-size-in-letters', chunked(b'A\r\n{"a": "b"}\r\n0\r\n\r\n'), 400)
case('chunk-extension', chunked(b'2;a=b\r\n{}\r\n0;last\r\n\r\n'), 400)
case('chunk-extension-quoted', chunked(b'2;a="b;c"\r\n{}\r\n0\r\n\r\n'), 400)
case('chunk-extension-after-space', chunked(b'2 ;a\r\n{}\r\n0\r\n\r\n'), 400)
case('trailer', chunked(b'2\r\n{}\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n'), 400)
case('trailer-that-would-frame', chunked(b'2\r\n{}\r\n0\r\nContent-Length: 50\r\n\r\n'), 400)
refused('chunked-and-length', chunked(CHUNKS + HIDDEN, b'Transfer-Encoding: chunked\r\nContent-Length: 2\r\n'))
refused('length-and-chunked', chunked(HIDDEN_CHUNKS, b'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n'))
refused('chunked-space-before-colon', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding : chunked\r\n'))
refused('chunked-tab-before-colon', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding\t: chunked\r\n'))
refused('chunked-folded', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding:\r\n chunked\r\n'))
refused('chunked-behind-bare-lf', chunked(HIDDEN_CHUNKS, b'X: y\nTransfer-Encoding: chunked\r\n'))
refused('chunked-behind-vertical-tab', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding: \x0bchunked\r\n'))
refused('chunked-twice', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding: chunked, chunked\r\n'))
refused('chunked-in-two-lines', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n'))
refused('chunked-not-last', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding: chunked, gzip\r\n'))
refused('chunked-then-identity', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n'))
refused('chunked-with-comma', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding: chunked,\r\n'))
refused('chunked-after-comma', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding: , chunked\r\n'))
refused('chunked-with-parameter', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding: chunked;q=1\r\n'))
refused('chunked-quoted', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding: "chunked"\r\n'))
refused('coding-empty', chunked(HIDDEN_CHUNKS, b'Transfer-Encoding:\r\n'))
for name, value, status in (('x', b'xchunked', 400), ('identity', b'identity', 400), ('gzip', b'gzip', 400),
                            ('gzip-chunked', b'gzip, chunked', 501), ('dash', b'chunked-', 400),
                            ('identity-chunked', b'identity, chunked', 501)):
    refused('coding-' + name, chunked(HIDDEN_CHUNKS, b'Transfer-Encoding: ' + value + b'\r\n'), status)
refused('chunked-in-http-1-0', b'POST /v1/pose/detect HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n' + HIDDEN_CHUNKS)

# ---- chunks

for name, body in (
        ('size-of-letters', b'zz\r\n{}\r\n0\r\n\r\n'), ('size-with-0x', b'0x2\r\n{}\r\n0\r\n\r\n'),
        ('size-with-plus', b'+2\r\n{}\r\n0\r\n\r\n'), ('size-with-minus', b'-2\r\n{}\r\n0\r\n\r\n'),
        ('size-after-space', b' 2\r\n{}\r\n0\r\n\r\n'), ('size-with-space', b'2 \r\n{}\r\n0\r\n\r\n'),
        ('size-empty', b'\r\n{}\r\n0\r\n\r\n'), ('size-only-extension', b';a\r\n{}\r\n0\r\n\r\n'),
        ('size-overflows', b'10000000000000002\r\n{}\r\n0\r\n\r\n'), ('size-of-64-bits', b'ffffffffffffffff\r\n{}\r\n'),
        ('size-ends-with-lf', b'2\n{}\r\n0\r\n\r\n'), ('size-ends-with-cr', b'2\r{}\r\n0\r\n\r\n'),
        ('size-line-too-long', b'2;' + b'a' * 300 + b'\r\n{}\r\n0\r\n\r\n'),
        ('extension-with-nul', b'2;\0\r\n{}\r\n0\r\n\r\n'), ('extension-with-lf', b'2;a\n{}\r\n0\r\n\r\n'),
        ('extensions-too-long', b''.join(b'1;' + b'a' * 200 + b'\r\n \r\n' for _ in range(30)) + b'0\r\n\r\n'),
        ('data-too-long', b'2\r\n{}x\r\n0\r\n\r\n'), ('data-without-line-end', b'2\r\n{}0\r\n\r\n'),
        ('data-ends-with-lf', b'2\r\n{}\n0\r\n\r\n'), ('data-ends-with-cr', b'2\r\n{}\r0\r\n\r\n'),
        ('trailer-folded', b'0\r\nX: a\r\n b\r\n\r\n'), ('trailer-with-space', b'0\r\nX : a\r\n\r\n'),
        ('trailer-without-colon', b'0\r\nX\r\n\r\n'), ('trailer-with-nul', b'0\r\nX: \0\r\n\r\n'),
        ('trailer-ends-with-lf', b'0\r\nX: a\n\r\n'), ('last-line-is-lf', b'0\r\n\n')):
    refused('chunk-' + name, chunked(body + HIDDEN))
refused('chunk-trailer-too-long', chunked(b'0\r\n' + b'X: aaaaaaaaaaaaaaaa\r\n' * 1000 + b'\r\n' + HIDDEN), 431)

# ---- Expect

case('expect-and-body', post(b'Expect: 100-continue\r\nContent-Length: 2\r\n', b'{}'), 400)
case('expect-length-zero', post(b'Expect: 100-continue\r\nContent-Length: 0\r\n', b'') + get(), 400, 200)
case('expect-without-body', get(headers=HOST + b'Expect: 100-continue\r\n') + get(), 200, 200)
case('expect-continue', post(b'Expect: 100-Continue\r\nContent-Length: 2\r\n', b''), 100)
refused('expect-and-too-large', post(b'Expect: 100-continue\r\nContent-Length: 1099511627776\r\n', b''), 413)
refused('expect-something-else', post(b'Expect: 200-ok\r\nContent-Length: 2\r\n', b'{}'), 417)
refused('expect-and-more', post(b'Expect: 100-continue, x\r\nContent-Length: 2\r\n', b'{}'), 417)
case('expect-in-http-1-0', b'GET /health HTTP/1.0\r\nExpect: 200-ok\r\n\r\n', 200, closes=True)

# ---- the connection

case('pipeline', get() * 3, 200, 200, 200)
case('pipeline-of-kinds', get() + post(b'Content-Length: 2\r\n', b'{}') + get(b'/none') + chunked(CHUNKS) +
     get(method=b'HEAD'), 200, 400, 404, 400, 200, heads=(4,))
case('pipeline-ends-with-error', get() + get(headers=b'') + get(), 200, 400, closes=True)
case('line-end-after-body', post(b'Content-Length: 2\r\n', b'{}\r\n') + get(), 400, 200)
case('connection-close', get(headers=HOST + b'Connection: close\r\n') + get(), 200, closes=True)
case('connection-close-in-a-list', get(headers=HOST + b'Connection: x, Close\r\n') + get(), 200, closes=True)
case('connection-close-and-keep-alive', get(headers=HOST + b'Connection: keep-alive, close\r\n') + get(), 200, closes=True)
case('connection-close-in-second-line', get(headers=HOST + b'Connection: x\r\nConnection: close\r\n') + get(), 200,
     closes=True)
case('http-1-0-closes', get(version=b'HTTP/1.0') + get(), 200, closes=True)
case('http-1-0-keep-alive', get(headers=HOST + b'Connection: keep-alive\r\n', version=b'HTTP/1.0'), 200)
case('body-not-wanted-closes', get(b'/none', HOST + b'Content-Length: 50\r\n', method=b'POST') + b'x' * 50 + get(), 404,
     closes=True)
case('upgrade-is-ignored', get(headers=HOST + b'Connection: Upgrade\r\nUpgrade: websocket\r\n'), 200)
case('upgrade-to-http-2-is-ignored', get(headers=HOST + b'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n'
                                         b'HTTP2-Settings: AAMAAABkAAQAAP__\r\n'), 200)
