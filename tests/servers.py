"""Small HTTP servers on loopback that answer as a test says."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None  # send so many bytes of the body and close


@contextmanager
def serving(answer: Callable[[str, str, Mapping[str, str]], Answer]) -> Iterator[str]:
    """A server that calls ``answer(method, path, headers)``; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def _answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.title(): value for name, value in self.headers.items()}  # their case means nothing
            reply = answer(self.command, self.path, headers)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body[: reply.cut_at])
            if reply.cut_at is not None:
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def file_answers(content: bytes) -> Callable[[str, str, Mapping[str, str]], Answer]:
    """Answers of a static file server that knows byte ranges."""

    def answer(method: str, path: str, headers: Mapping[str, str]) -> Answer:
        wanted = headers.get("Range")
        if wanted is None:
            return Answer(body=content, headers={"Accept-Ranges": "bytes"})
        first, last = wanted.removeprefix("bytes=").split("-")
        end = min(int(last or len(content) - 1), len(content) - 1)
        part = content[int(first) : end + 1]
        return Answer(206, part, {"Content-Range": f"bytes {first}-{end}/{len(content)}"})

    return answer
