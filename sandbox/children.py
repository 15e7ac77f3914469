"""Child processes that never outlive their parent: started, awaited, ended and reaped."""

import ctypes
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ard.errors import Unavailable

HOST = "127.0.0.1"

_POLL_SECONDS = 0.05
_SUCCESS = range(200, 300)
_STOP_SECONDS = 10.0
_TAIL_CHARACTERS = 2000
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
    return port


def program(name: str) -> str:
    """The path of an installed program.

    Raises:
        Unavailable: It is neither beside Python nor on the PATH.
    """
    beside_python = Path(sys.executable).with_name(name)
    found = str(beside_python) if beside_python.is_file() else shutil.which(name)
    if found is None:
        raise Unavailable(f"expected the program {name} beside Python or on the PATH, found none: install the sandbox")
    return found


def spawn(
    command: Sequence[str],
    *,
    output: IO[bytes],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that a terminal's Ctrl-C reaches the parent alone.

    On Linux it is killed when the thread that calls this ends for whatever reason, SIGKILL included: call it from a
    thread that lives as long.
    """
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=folder,
        start_new_session=True,
        preexec_fn=_die_with_parent(),  # noqa: PLW1509 - two system calls, their library loaded beforehand
    )


@contextmanager
def server(
    command: Sequence[str],
    *,
    what: str,
    ready: Callable[[], bool],
    start_seconds: float,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A child that answers before the context begins, and is gone when it has ended.

    Args:
        command: The program and its arguments; see ``spawn``.
        what: How messages call it.
        ready: Whether it answers.
        start_seconds: How long it may take until it does.
        environment: Its whole environment; ours unless given.
        log: What it says is added here.

    Raises:
        Unavailable: It does not answer in time, or ends before; with what it said last.
    """
    with log.open("a+b") if log else tempfile.TemporaryFile() as output:
        said_before = output.seek(0, os.SEEK_END)
        process = spawn(command, output=output, environment=environment)
        try:
            if not _becomes_ready(process, ready, start_seconds):
                ended = f"ended with code {process.poll()}" if process.poll() is not None else "still runs"
                output.seek(said_before)
                said = output.read().decode(errors="replace")[-_TAIL_CHARACTERS:].strip() or "nothing"
                raise Unavailable(f"expected {what} to answer within {start_seconds:g} s; it {ended} and said: {said}")
            yield process
        finally:
            end(process)


def answers(port: int, path: str) -> bool:
    """Whether a server on the loopback interface answers a GET with success."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status in _SUCCESS
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def end(process: subprocess.Popen[bytes], *, grace_seconds: float = _STOP_SECONDS) -> None:
    """Ask a child to end, make it when it does not within the grace, and reap it."""
    process.terminate()
    try:
        process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _becomes_ready(process: subprocess.Popen[bytes], ready: Callable[[], bool], start_seconds: float) -> bool:
    deadline = time.monotonic() + start_seconds
    while process.poll() is None and time.monotonic() < deadline:
        # Another program might have taken the port: then ours ends, and the answer is not its.
        if ready() and process.poll() is None:
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _die_with_parent() -> Callable[[], None] | None:
    """What a child runs before its program, so that the kernel kills it with its parent; nothing but on Linux."""
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask_kernel
