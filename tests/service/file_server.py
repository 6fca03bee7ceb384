"""Web servers on 127.0.0.1: one whose answers a test writes, and a file server with configurable faults."""
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LocalServer:
    """Calls `response` with the handler of each request, each on a separate thread."""

    def __init__(self, response):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self):  # pylint: disable=invalid-name
                response(self)

            def do_POST(self):  # pylint: disable=invalid-name
                response(self)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f'http://127.0.0.1:{self._server.server_address[1]}'

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class FileServer(LocalServer):
    """Serves `files` (path to bytes) with an ETag and ranges.

    ranges=False answers a Range with the whole file; cuts is a list of byte counts after which the next answers end
    (None: complete); dead=True closes connections at once; announce sets the Content-Length; redirects maps paths
    to addresses. After hold(), a response stops halfway until release().
    """

    def __init__(self):
        self.files = {}
        self.redirects = {}
        self.ranges = True
        self.cuts = []
        self.dead = False
        self.announce = None
        self.requests = []   # (path, Range or None, If-Range or None)
        self.authorizations = []  # of the requests; None: no header
        self.sent = []       # (status, bytes)
        self.half_sent = threading.Event()
        self._free = threading.Event()
        self._free.set()
        super().__init__(self.response)

    def hold(self):
        self._free.clear()

    def release(self):
        self._free.set()

    def close(self):
        self.release()
        super().close()

    def response(self, handler):
        wanted = handler.headers.get('Range')
        condition = handler.headers.get('If-Range')
        self.requests.append((handler.path, wanted, condition))
        self.authorizations.append(handler.headers.get('Authorization'))
        handler.close_connection = True
        if self.dead:
            return
        if handler.path in self.redirects:
            handler.send_response(302)
            handler.send_header('Location', self.redirects[handler.path])
            handler.send_header('Content-Length', '0')
            handler.end_headers()
            return
        body = self.files.get(handler.path)
        if body is None:
            handler.send_error(404)
            return
        etag = f'"{hash(body)}"'
        start = 0
        if wanted and self.ranges and condition in (None, etag):
            start = int(wanted.removeprefix('bytes=').rstrip('-'))
        if start >= len(body) > 0:
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header('Content-Range', f'bytes {start}-{len(body) - 1}/{len(body)}')
        handler.send_header('ETag', etag)
        handler.send_header('Content-Length', str(self.announce or len(body) - start))
        handler.end_headers()
        self._send(handler, body[start:], 206 if start else 200)

    def _send(self, handler, data, status):
        cut = self.cuts.pop(0) if self.cuts else None
        data = data[:cut]
        try:
            if not self._free.is_set():
                handler.wfile.write(data[:len(data) // 2])
                handler.wfile.flush()
                self.half_sent.set()
                self._free.wait()
                handler.wfile.write(data[len(data) // 2:])
            else:
                handler.wfile.write(data)
            self.sent.append((status, len(data)))
        except OSError:
            pass  # the client has disconnected
