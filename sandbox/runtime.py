"""A Lambda worker on this machine: the runtime client that AWS uses, served by a Runtime API of our own.

Not simulated: the memory limit, the read-only file system, freezing between invocations and the limits of payloads.
"""

import json
import queue
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from sandbox.children import HOST, spawn
from sandbox.runtime_api import Answer, Event, RuntimeApi

_POLL_SECONDS = 0.02
_ACCOUNT = "000000000000"

Kind = Literal["ok", "error", "timeout", "exited", "init_error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """How an invocation ended; ``payload`` is the handler's answer, or what is known of the failure."""

    kind: Kind
    payload: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """What a worker is.

    Attributes:
        name: The function's name.
        handler: Dotted module and the function in it.
        region: Where the function would run.
        memory_mb: What the handler is told it has.
        environment: Its whole environment, except for what Lambda itself sets.
        root: The folder of the handler's code.
        log: What the worker says is added here.
        init_seconds: How long it may take until it asks for its first event.
        python: The interpreter; ours unless given.
    """

    name: str
    handler: str
    region: str
    memory_mb: int
    environment: Mapping[str, str]
    root: Path
    log: Path
    init_seconds: float = 60.0
    python: Path = Path(sys.executable)


class Worker:
    """One warm worker: a process that takes one event after another, and is replaced when it has ended.

    The process is killed with the thread that first needs it; use a worker from one thread, and ``close`` it from any.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        """Remember what to run; nothing is started yet."""
        self._spec = spec
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._closed = False

    def invoke(self, event: Mapping[str, Any], *, timeout_seconds: float) -> Invocation:
        """Give an event to the handler and wait for its answer; SIGKILL when it takes longer than the timeout."""
        request_id = str(uuid4())
        process = self._running()
        if process is None:
            return Invocation(kind="exited", payload="the worker was closed")
        started = process.wait_until_ready(self._spec.init_seconds)
        result = started or process.run(request_id, event, timeout_seconds=timeout_seconds)
        if result.kind in {"timeout", "exited", "init_error"}:
            self._drop()
        if result.kind != "ok":
            self._note(f"{request_id} {result.kind}: {json.dumps(result.payload)}")
        return result

    @property
    def pid(self) -> int | None:
        """The process that runs now, when one does."""
        with self._lock:
            return self._process.pid if self._process else None

    def close(self) -> None:
        """End the process and never start another one."""
        with self._lock:
            self._closed = True
        self._drop()

    def _running(self) -> "_Process | None":
        with self._lock:
            if self._process is None and not self._closed:
                self._process = _Process(self._spec)
            return self._process

    def _drop(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.end()

    def _note(self, line: str) -> None:
        with self._spec.log.open("a") as log:
            log.write(f"REPORT RequestId: {line}\n")


class _Process:
    """One process, until it ends."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._api = RuntimeApi(f"arn:aws:lambda:{spec.region}:{_ACCOUNT}:function:{spec.name}")
        with spec.log.open("ab") as log:
            self._child = spawn(
                [str(spec.python), "-m", "awslambdaric", spec.handler],
                output=log,
                environment={**spec.environment, **_lambda_environment(spec, self._api.port)},
                folder=spec.root,
            )

    def wait_until_ready(self, seconds: float) -> Invocation | None:
        """None once the process asks for events, else why it never will."""
        deadline = time.monotonic() + seconds
        while not self._api.ready.wait(_POLL_SECONDS):
            ended = self._child.poll() is not None  # asked first: what it said before it ended is worth more
            if not self._api.answers.empty():
                return _invocation(self._api.answers.get())
            if ended:
                return Invocation(kind="init_error", payload=f"exit status {self._child.returncode} before any event")
            if time.monotonic() > deadline:
                return Invocation(kind="init_error", payload=f"not ready within {seconds:g} seconds")
        return None

    def run(self, request_id: str, event: Mapping[str, Any], *, timeout_seconds: float) -> Invocation:
        """What came of the event."""
        deadline = time.monotonic() + timeout_seconds
        body = json.dumps(event).encode()
        self._api.events.put(Event(request_id=request_id, body=body, deadline=time.time() + timeout_seconds))
        while True:
            ended = self._child.poll() is not None
            try:
                answer = self._api.answers.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if ended:
                    return Invocation(kind="exited", payload=f"exit status {self._child.returncode}")
                if time.monotonic() > deadline:
                    return Invocation(kind="timeout", payload=f"Task timed out after {timeout_seconds:.2f} seconds")
            else:
                if answer.request_id == request_id:
                    return _invocation(answer)

    @property
    def pid(self) -> int:
        return self._child.pid

    def end(self) -> None:
        self._child.kill()  # as Lambda does, without a word
        self._child.wait()
        self._api.close()


def _invocation(answer: Answer) -> Invocation:
    return Invocation(kind=answer.kind, payload=json.loads(answer.body) if answer.body else None)


def _lambda_environment(spec: WorkerSpec, port: int) -> dict[str, str]:
    """What Lambda sets: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""
    return {
        "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{port}",
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{port}",
        "AWS_REGION": spec.region,
        "AWS_DEFAULT_REGION": spec.region,
        "LAMBDA_TASK_ROOT": str(spec.root),
        "PYTHONUNBUFFERED": "1",
        "TZ": ":UTC",
        "_HANDLER": spec.handler,
    }
