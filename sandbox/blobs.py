"""A blob store like Azure's: it opens to signed addresses only, and its token endpoint is not always at hand.

What Planetary Computer does to a reader in a day happens here within a minute: signatures end while they are in use,
and the endpoint asks to be left alone for a while.
"""

import hashlib
import hmac
import json
import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from sandbox.children import HOST

TOKEN_SECONDS = 15.0  # a worker in need of many reads meets the end of one
THROTTLED_EVERY = 3  # of this many requests for a token, the last one is told to come back
RETRY_AFTER_SECONDS = 1

_POLL_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Blobs:
    """A running store.

    Attributes:
        url: Blobs are at ``{url}/{collection}/{file}``.
        answered: How often each kind of answer was given: ``read``, ``refused``, ``token``, ``throttled``, ``missing``.
    """

    url: str
    answered: Counter[str] = field(default_factory=Counter)

    @property
    def token_url(self) -> str:
        """Where signatures are."""
        return f"{self.url}/token"


@contextmanager
def serve_blobs(
    collections: Mapping[str, Path],
    *,
    token_seconds: float = TOKEN_SECONDS,
    throttled_every: int = THROTTLED_EVERY,
    clock: Callable[[], float] = time.time,
) -> Iterator[Blobs]:
    """Serve the files of folders on a free port of the loopback interface, for as long as the context.

    Args:
        collections: The folder of each collection.
        token_seconds: How long a signature opens.
        throttled_every: Of how many requests for a token the last one is answered with 429.
        clock: Seconds since the epoch.
    """
    server = _Server(collections, token_seconds=token_seconds, throttled_every=throttled_every, clock=clock)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield server.blobs
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        collections: Mapping[str, Path],
        *,
        token_seconds: float,
        throttled_every: int,
        clock: Callable[[], float],
    ) -> None:
        super().__init__((HOST, 0), _Handler)
        self.blobs = Blobs(url=f"http://{HOST}:{self.server_port}")
        self._folders = {name: folder.resolve() for name, folder in collections.items()}
        self._token_seconds, self._throttled_every, self._clock = token_seconds, throttled_every, clock
        self._key = secrets.token_bytes(32)
        self._asked = 0
        self._lock = threading.Lock()

    def token(self, collection: str) -> dict[str, str] | None:
        """A new signature; None when this request is one too many.

        Raises:
            KeyError: There is no such collection.
        """
        _ = self._folders[collection]
        with self._lock:
            self._asked += 1
            if self._asked % self._throttled_every == 0:
                return None
        expiry = datetime.fromtimestamp(self._clock() + self._token_seconds, UTC)
        end = expiry.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"msft:expiry": end, "token": f"se={end}&sig={self._signature(collection, end)}"}

    def opens(self, collection: str, query: str) -> bool:
        """Whether a query is a signature of this collection that has not ended."""
        values = parse_qs(query)
        end, signature = (values.get(name, [""])[0] for name in ("se", "sig"))
        if not hmac.compare_digest(signature, self._signature(collection, end)):
            return False
        return self._clock() < datetime.fromisoformat(end).timestamp()

    def file(self, collection: str, name: str) -> Path | None:
        """The file of a blob; None when there is none."""
        folder = self._folders.get(collection)
        path = (folder / name).resolve() if folder else None
        return path if folder and path and path.is_relative_to(folder) and path.is_file() else None

    def note(self, what: str) -> None:
        """Count an answer."""
        with self._lock:
            self.blobs.answered[what] += 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a reader that left."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def _signature(self, collection: str, end: str) -> str:
        return hmac.new(self._key, f"{collection} {end}".encode(), hashlib.sha256).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one packet

    def do_GET(self) -> None:
        server, parts = cast("_Server", self.server), urlsplit(self.path)
        first, _, rest = unquote(parts.path).lstrip("/").partition("/")
        if first == "token":
            self._send_token(server, rest)
            return
        if not server.opens(first, parts.query):
            server.note("refused")
            self._send(HTTPStatus.FORBIDDEN)
            return
        path = server.file(first, rest)
        server.note("read" if path else "missing")
        if path is None:
            self._send(HTTPStatus.NOT_FOUND)
        else:
            self._send_file(path)

    do_HEAD = do_GET  # noqa: N815 - the name is the protocol's

    def _send_token(self, server: _Server, collection: str) -> None:
        try:
            token = server.token(collection)
        except KeyError:
            self._send(HTTPStatus.NOT_FOUND)
            return
        server.note("token" if token else "throttled")
        if token is None:
            self._send(HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
        else:
            self._send(HTTPStatus.OK, json.dumps(token).encode(), {"Content-Type": "application/json"})

    def _send_file(self, path: Path) -> None:
        size = path.stat().st_size
        first, last, status, headers = 0, size - 1, HTTPStatus.OK, {"Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range", "").removeprefix("bytes=")
        if wanted:
            begin, _, end = wanted.partition("-")
            first, last = int(begin), min(int(end or size - 1), size - 1)
            status = HTTPStatus.PARTIAL_CONTENT
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        if first > last:
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers={"Content-Range": f"bytes */{size}"})
            return
        with path.open("rb") as file:
            file.seek(first)
            self._send(status, file.read(last - first + 1), headers | {"Content-Type": "image/tiff"})

    def _send(self, status: HTTPStatus, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing of requests: their addresses hold signatures."""
