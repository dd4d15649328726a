"""Servers that answer health checks and nothing else well."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KINDS = ("error", "page", "drip")


class _Broken(BaseHTTPRequestHandler):
    kind = "error"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        if self.path.endswith("/health"):
            self._send(200, "application/json", b"true")
        elif self.kind == "error":
            self._send(500, "application/json", b'{"exception_message": "the disk is full"}')
        elif self.kind == "page":
            self._send(200, "text/html", b"<html><body>Welcome to the portal</body></html>")
        else:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "1000")
            self.end_headers()
            # A byte a second resets every timeout that counts from one read to the next.
            for _ in range(1000):
                try:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                except OSError:
                    return
                time.sleep(1)

    do_GET = do_POST = _answer  # noqa: N815 - the names that http.server calls

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def broken_server(kind: str) -> Iterator[str]:
    """Serve until the block ends; yields the address, `http://127.0.0.1:PORT`."""
    handler = type("Broken", (_Broken,), {"kind": kind})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
