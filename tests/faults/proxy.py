"""An HTTP proxy on loopback that does to requests and answers what a plan says."""

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

HOST = "127.0.0.1"

_NOT_PASSED_ON = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
_UPSTREAM_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """What is asked of AWS, such as ``PutItem``; the method where no header says it."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2] or self.method

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Arrives(StrEnum):
    """How much of an answer reaches the one who asked."""

    WHOLE = "whole"
    CUT = "cut"  # half of its body
    NOTHING = "nothing"  # the connection is reset


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request.

    Attributes:
        kind: How it is counted.
        reply: Given instead of asking upstream.
        asks: How often upstream is asked; with 0 and no reply, the connection is reset at once.
        wait_seconds: Before anything else happens.
        arrives: How much of the answer.
        body: Sent upstream instead of the request's own.
    """

    kind: str
    reply: Reply | None = None
    asks: int = 1
    wait_seconds: float = 0.0
    arrives: Arrives = Arrives.WHOLE
    body: bytes | None = None


Forward = Callable[[Request], Reply]
Plan = Callable[[Request], Fault | None]


@contextmanager
def proxying(forward: Forward, plan: Plan) -> Iterator[str]:
    """A proxy before an upstream, for as long as the context; yields its address."""
    server = _Server(forward, plan)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.leaving.set()
        server.shutdown()
        thread.join()
        server.server_close()


def upstream(url: str) -> Forward:
    """Another server; every thread keeps a connection of its own."""
    netloc, mine = urlsplit(url).netloc, threading.local()

    def forward(request: Request) -> Reply:
        connection: HTTPConnection | None = getattr(mine, "connection", None)
        # A connection that the server has closed meanwhile is readable: a request on it might be lost or doubled.
        if connection is None or connection.sock is None or select.select([connection.sock], [], [], 0)[0]:
            connection = mine.connection = _Connection(netloc, timeout=_UPSTREAM_SECONDS)
        headers = {name: value for name, value in request.headers.items() if name not in _NOT_PASSED_ON}
        try:
            connection.request(request.method, request.path, body=request.body or None, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException):
            connection.close()
            raise
        return Reply(status=answer.status, headers=dict(answer.getheaders()), body=body)

    return forward


def files(folder: Path) -> Forward:
    """The files of a folder, whole or in ranges of bytes."""

    def forward(request: Request) -> Reply:
        path = (folder / unquote(urlsplit(request.path).path).lstrip("/")).resolve()
        if not (path.is_relative_to(folder.resolve()) and path.is_file()):
            return Reply(status=404)
        size, wanted = path.stat().st_size, request.headers.get("range", "").removeprefix("bytes=")
        if not wanted:
            return Reply(headers={"Accept-Ranges": "bytes"}, body=path.read_bytes())
        begin, _, end = wanted.partition("-")
        first, last = int(begin), min(int(end or size - 1), size - 1)
        if first > last:
            return Reply(status=416, headers={"Content-Range": f"bytes */{size}"})
        with path.open("rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        headers = {"Accept-Ranges": "bytes", "Content-Range": f"bytes {first}-{last}/{size}"}
        return Reply(status=206, headers=headers, body=body)

    return forward


class _Connection(HTTPConnection):
    """Closed with the thread that used it."""

    def __del__(self) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, forward: Forward, plan: Plan) -> None:
        super().__init__((HOST, 0), _Handler)
        self.forward, self.plan = forward, plan
        self.leaving = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Say nothing of those who are killed while they ask."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing: addresses may hold signatures."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(method=self.command, path=self.path, headers=headers, body=body)
        fault = self.server.plan(request) or Fault(kind="none")
        if fault.wait_seconds:
            self.server.leaving.wait(fault.wait_seconds)
        if fault.body is not None:
            request = replace(request, body=fault.body)
        reply = fault.reply
        for _ in range(fault.asks if reply is None else 0):
            reply = self.server.forward(request)
        if reply is None or fault.arrives is Arrives.NOTHING:
            self._reset()
        else:
            self._send(reply, cut=fault.arrives is Arrives.CUT)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 - the names are the protocol's

    def _send(self, reply: Reply, *, cut: bool) -> None:
        self.send_response_only(reply.status)
        length = str(len(reply.body))
        for name, value in reply.headers.items():
            if name.lower() == "content-length":
                length = value if self.command == "HEAD" else length
            elif name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body[: len(reply.body) // 2] if cut else reply.body)
        if cut:
            self.wfile.flush()
            self._reset()

    def _reset(self) -> None:
        """End the connection in the way that a machine's death does, without a goodbye."""
        self.close_connection = True
        time.sleep(0.005)  # what was written goes out before the reset
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
