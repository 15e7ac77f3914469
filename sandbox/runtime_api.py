"""Lambda's Runtime API for one process: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html (2018-06-01)."""

import queue
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, cast

from sandbox.children import HOST

_RUNTIME = "/2018-06-01/runtime"
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What the process is given: JSON, and when it must have answered (seconds since the epoch)."""

    request_id: str
    body: bytes
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the process said: JSON; ``request_id`` is empty when it could not even start."""

    kind: Literal["ok", "error", "init_error"]
    request_id: str
    body: bytes


class RuntimeApi:
    """A server on a port of the loopback interface, for as long as it is not closed.

    One process alone uses it, so that a dead process's connection never takes a live one's event.
    """

    def __init__(self, arn: str) -> None:
        """Listen; ``arn`` is the function's."""
        self.arn = arn
        self.ready = threading.Event()  # once the process has asked for an event
        self.events: queue.Queue[Event | None] = queue.Queue()
        self.answers: queue.Queue[Answer] = queue.Queue()
        self._server = _Server(self)
        self.port: int = self._server.server_port
        serve = threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
        serve.start()

    def close(self) -> None:
        """Let go of the port, and of whoever waits for an event."""
        self.events.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: RuntimeApi) -> None:
        super().__init__((HOST, 0), _Handler)
        self.api = api

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that the end of the process cut."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet

    @property
    def _api(self) -> RuntimeApi:
        return cast("_Server", self.server).api

    def do_GET(self) -> None:
        if self.path != f"{_RUNTIME}/invocation/next":
            self._send(HTTPStatus.NOT_FOUND)
            return
        self._api.ready.set()
        event = self._api.events.get()
        if event is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": event.request_id,
            "Lambda-Runtime-Deadline-Ms": str(round(event.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": self._api.arn,
        }
        self._send(HTTPStatus.OK, event.body, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match self.path.removeprefix(_RUNTIME).split("/")[1:]:
            case ["init", "error"]:
                answer = Answer(kind="init_error", request_id="", body=body)
            case ["invocation", request_id, "response"]:
                answer = Answer(kind="ok", request_id=request_id, body=body)
            case ["invocation", request_id, "error"]:
                answer = Answer(kind="error", request_id=request_id, body=body)
            case _:
                self._send(HTTPStatus.NOT_FOUND)
                return
        self._api.answers.put(answer)
        self._send(HTTPStatus.ACCEPTED, b'{"status":"OK"}')

    def _send(self, status: HTTPStatus, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
