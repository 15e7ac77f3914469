"""The sandbox as a person uses it: up, status, env, down, and what is left when it is killed."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ard.adapters.console import Exit
from sandbox.functions import FUNCTIONS

DEADLINE_SECONDS = 30
HANDLERS = """
import json
import os
import pathlib

def inbox(event, context):
    told = {"event": event, "environment": dict(os.environ), "pid": os.getpid()}
    pathlib.Path("told.partial").write_text(json.dumps(told))
    pathlib.Path("told.partial").rename("told.json")
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


def sandbox(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def eventually(condition: Callable[[], bool]) -> bool:
    deadline, moment = time.monotonic() + DEADLINE_SECONDS, threading.Event()
    while time.monotonic() < deadline:
        if condition():
            return True
        moment.wait(0.05)
    return False


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    return [int(child) for tasks in Path(f"/proc/{pid}/task").glob("*/children") for child in tasks.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def state_of(folder: Path) -> dict:
    return json.loads((folder / "state.json").read_text())


@pytest.fixture
def up(tmp_path) -> Iterator[list[str]]:
    """The options of ``sandbox up`` for a folder of its own, quick to start: no scenes, and one real function."""
    functions = json.loads(FUNCTIONS.read_text())
    functions["functions"][0]["handler"] = "handlers.inbox"
    (tmp_path / "functions.json").write_text(json.dumps(functions))
    (tmp_path / "handlers.py").write_text(HANDLERS)
    folder = tmp_path / "a folder"
    options = {"folder": folder, "catalog": "earth-search", "functions": tmp_path / "functions.json", "code": tmp_path}
    yield ["up", *(f"--{name}={value}" for name, value in options.items())]
    sandbox("down", "--folder", folder)


@linux_only
def test_sandbox_in_the_background_is_told_of_used_and_ended(up, tmp_path):
    folder = tmp_path / "a folder"

    started = sandbox(*up, "--detach")
    assert started.returncode == 0, started.stderr
    assert "inbox x2" in started.stderr
    assert "no handler consumers.dem.handler" in (folder / "logs" / "sandbox.log").read_text()

    again = sandbox(*up)
    assert (again.returncode, "is up already" in again.stderr) == (Exit.BAD_INPUT, True)

    status = sandbox("status", "--folder", folder)
    assert status.returncode == 0
    assert "function   dem: consumers.dem.handler, no workers" in status.stdout
    assert "queue      dem in eu-central-1: 0 waiting or in work, 0 dead letters" in status.stdout

    _drop_a_request(folder)
    assert eventually((tmp_path / "told.json").is_file)
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["environment"]["TTC_TABLE"] == "ttc-sandbox-status"
    assert told["environment"]["AWS_LAMBDA_FUNCTION_NAME"] == "inbox"
    assert "TTC_STAC_URL" not in told["environment"]
    assert "PYTEST_CURRENT_TEST" not in told["environment"]

    running = [state_of(folder)["pid"], *children(state_of(folder)["pid"])]
    assert told["pid"] in running
    assert sandbox("down", "--folder", folder).returncode == 0
    assert eventually(lambda: not any(alive(pid) for pid in running))
    assert sandbox("env", "--folder", folder).returncode == Exit.UNAVAILABLE
    assert "No sandbox is up" in sandbox("down", "--folder", folder).stderr


def _drop_a_request(folder: Path) -> None:
    """As a person's shell would: in the sandbox's environment, which replaces the person's own account."""
    program = (
        "import boto3, os\n"
        "boto3.client('s3').put_object(Bucket=os.environ['TTC_CONTROL_BUCKET'], Key='requests/a.json', Body=b'{}')\n"
    )
    script = f'eval "$({shlex.join([sys.executable, "-m", "sandbox", "env", "--folder", str(folder)])})"\n'
    script += shlex.join([sys.executable, "-c", program])
    own = {"AWS_PROFILE": "mine", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_SESSION_TOKEN": "mine"}
    subprocess.run(["sh", "-ec", script], check=True, env={**os.environ, **own}, timeout=60)


@linux_only
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_a_sandbox_in_the_foreground(up, tmp_path, number):
    folder = tmp_path / "a folder"
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen([sys.executable, "-m", "sandbox", *up], stderr=said, start_new_session=True)
    assert eventually((folder / "state.json").is_file)
    _drop_a_request(folder)
    assert eventually((tmp_path / "told.json").is_file)  # so that a worker runs
    running = children(process.pid)

    process.send_signal(number)

    assert process.wait(DEADLINE_SECONDS) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert len(running) >= 2
    assert eventually(lambda: not any(alive(pid) for pid in running))
    assert sandbox("status", "--folder", folder).returncode == Exit.UNAVAILABLE


def test_sandbox_that_cannot_start_says_why(up, tmp_path):
    (tmp_path / "functions.json").write_text("[]")

    started = sandbox(*up, "--detach")

    assert started.returncode == Exit.UNAVAILABLE
    assert "expected a list of functions" in started.stderr
