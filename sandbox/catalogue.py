"""The sandbox's STAC API: ``rustac serve`` over files of items, for as long as somebody needs it."""

import ctypes
import http.client
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ard.errors import Unavailable

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.05
_STOP_SECONDS = 5.0
_TAIL_CHARACTERS = 2000
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@contextmanager
def serve_catalogue(*items: Path, start_seconds: float = 15.0) -> Iterator[str]:
    """Serve files of STAC items on a free port of the loopback interface; yields the API's address.

    Search by collections, bbox, intersects, datetime and ids, with paging; a collection without items in the box, or
    without any, answers with none. The server ignores ``query``, ``filter`` and ``sortby``.

    The process ends with the context. On Linux it also ends when the thread that entered the context ends for
    whatever reason, SIGKILL included: enter it from a thread that lives as long.

    Args:
        items: GeoJSON feature collections of STAC items.
        start_seconds: How long the server may take until it answers.

    Raises:
        Unavailable: ``rustac`` is not installed, or it does not answer in time; with what it said last.
    """
    port = _free_port()
    command = [_program(), "serve", "--addr", f"{_HOST}:{port}", "--use-duckdb", "false", "--create-collections"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, *map(str, items)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - one system call, its library loaded beforehand
        )
        try:
            _wait_until_ready(process, port, start_seconds=start_seconds, output=output)
            yield f"http://{_HOST}:{port}"
        finally:
            _end(process)


def _program() -> str:
    beside_python = Path(sys.executable).with_name("rustac")
    found = str(beside_python) if beside_python.is_file() else shutil.which("rustac")
    if found is None:
        raise Unavailable("expected the program rustac beside Python or on the PATH, found none: install the sandbox")
    return found


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        port: int = listener.getsockname()[1]
    return port


def _die_with_parent() -> Callable[[], None] | None:
    """What a child runs before its program, so that the kernel kills it with its parent; nothing but on Linux."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return ask_kernel


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, *, start_seconds: float, output: IO[bytes]) -> None:
    deadline = time.monotonic() + start_seconds
    while process.poll() is None and time.monotonic() < deadline:
        # Another program might have taken the port: then ours ends, and the answer is not its.
        if _answers(port) and process.poll() is None:
            return
        time.sleep(_POLL_SECONDS)
    ended = f"ended with code {process.poll()}" if process.poll() is not None else "still runs"
    output.seek(0)
    said = output.read().decode(errors="replace")[-_TAIL_CHARACTERS:].strip() or "nothing"
    raise Unavailable(
        f"expected the catalogue to answer on {_HOST}:{port} within {start_seconds:g} s; it {ended} and said: {said}"
    )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/conformance")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
