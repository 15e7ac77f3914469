"""The local AWS: a program that answers as S3, SQS and DynamoDB do, on the loopback interface only."""

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ard.errors import Unavailable
from sandbox.children import HOST, answers, free_port, server
from sandbox.environment import machine_environment

EngineName = Literal["ministack", "moto"]

_START_SECONDS = 30.0
_MODULES: Mapping[EngineName, str] = {"ministack": "ministack", "moto": "moto.server"}
_READY_PATHS: Mapping[EngineName, str] = {"ministack": "/_ministack/health", "moto": "/moto-api/config"}


def installed(name: EngineName) -> bool:
    """Whether the engine can be started here."""
    return importlib.util.find_spec(name) is not None


@contextmanager
def start_engine(name: EngineName, folder: Path) -> Iterator[str]:
    """Run a local AWS for as long as the context; yields its endpoint, such as ``http://127.0.0.1:43210``.

    It sees nothing of the person's own AWS account, and dies with the thread that entered the context. ``ministack``
    keeps its state in the folder when it ends in peace, and finds it there again; ``moto`` forgets everything.

    Args:
        name: Which implementation.
        folder: Its state and ``engine.log``; made when absent.

    Raises:
        Unavailable: It is not installed or does not answer; with what it said last.
    """
    if not installed(name):
        raise Unavailable(f"expected the package {name}, found none: install the sandbox")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    arguments = ["-H", HOST, "-p", str(port)] if name == "moto" else []
    with server(
        [sys.executable, "-m", _MODULES[name], *arguments],
        what=f"{name} on {HOST}:{port}",
        ready=lambda: answers(port, _READY_PATHS[name]),
        start_seconds=_START_SECONDS,
        environment=machine_environment() | _engine_environment(name, folder.resolve(), port),
        log=folder / "engine.log",
    ):
        yield f"http://{HOST}:{port}"


def _engine_environment(name: EngineName, folder: Path, port: int) -> dict[str, str]:
    credentials = {"AWS_ACCESS_KEY_ID": "sandbox", "AWS_SECRET_ACCESS_KEY": "sandbox"}
    if name == "moto":
        return credentials
    return {
        **credentials,
        "BIND_HOST": HOST,  # it listens on every interface unless told otherwise
        "GATEWAY_PORT": str(port),
        "LAMBDA_EXECUTOR": "local",
        "PERSIST_STATE": "1",
        "S3_PERSIST": "1",
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
    }
