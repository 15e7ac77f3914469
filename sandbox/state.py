"""Whether a sandbox runs in a folder, and what it told about itself."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ard.errors import InvalidInput

_LOCK, _STATE = "lock", "state.json"
_ASK_SECONDS = 1.0  # somebody may be looking at the lock for a moment
_POLL_SECONDS = 0.05


class RunningFunction(BaseModel):
    """A function and how many workers it may use at once; none when its handler does not exist."""

    model_config = ConfigDict(frozen=True)

    name: str
    handler: str
    workers: int


class RunningQueue(BaseModel):
    """A queue and its dead-letter queue."""

    model_config = ConfigDict(frozen=True)

    region: str
    url: str
    dlq_url: str


class State(BaseModel):
    """A running sandbox."""

    model_config = ConfigDict(frozen=True)

    pid: int
    engine: str
    endpoint: str
    stac_url: str
    functions: tuple[RunningFunction, ...]
    queues: dict[str, RunningQueue]
    environment: dict[str, str]


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Own the folder for as long as the context; the kernel lets go of it however the process ends.

    Raises:
        InvalidInput: A sandbox runs there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a+") as lock:
        if not _locked(lock.fileno(), wait_seconds=_ASK_SECONDS):
            raise InvalidInput(f"the sandbox in {folder} is up already, process {running_pid(folder)}")
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        (folder / _STATE).unlink(missing_ok=True)
        try:
            yield
        finally:
            (folder / _STATE).unlink(missing_ok=True)


def running_pid(folder: Path) -> int | None:
    """The process that owns the folder; None when nobody does."""
    try:
        with (folder / _LOCK).open("r+") as lock:
            if _locked(lock.fileno(), wait_seconds=0):
                return None
            return int(lock.read() or 0) or None
    except FileNotFoundError:
        return None


def write_state(folder: Path, state: State) -> None:
    """Tell everybody that the sandbox is ready."""
    partial = folder / f"{_STATE}.partial"
    partial.write_text(state.model_dump_json(indent=1))
    partial.replace(folder / _STATE)


def read_state(folder: Path) -> State | None:
    """The sandbox of a folder; None when there is none, or when it is not ready yet."""
    if running_pid(folder) is None:
        return None
    try:
        return State.model_validate_json((folder / _STATE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _locked(descriptor: int, *, wait_seconds: float) -> bool:
    """Whether we hold the lock now."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
