"""The local Lambda worker, with handlers that answer, fail, hang and end."""

import os
from pathlib import Path

import pytest

from sandbox.environment import machine_environment
from sandbox.runtime import Invocation, Worker, WorkerSpec

HANDLERS = """
import os
import time

def handler(event, context):
    if "raise" in event:
        raise ValueError(event["raise"])
    if "exit" in event:
        os._exit(event["exit"])
    if "hang" in event:
        print("hanging")
        time.sleep(60)
    return {
        "pid": os.getpid(),
        "event": event,
        "request": context.aws_request_id,
        "left": context.get_remaining_time_in_millis(),
        "name": context.function_name,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "region": os.environ["AWS_REGION"],
        "given": sorted(name for name in os.environ if name.startswith("TTC_")),
    }
"""


@pytest.fixture
def make_worker(tmp_path: Path):
    (tmp_path / "handlers.py").write_text(HANDLERS)
    (tmp_path / "broken.py").write_text("import a_module_that_nobody_wrote\n")
    (tmp_path / "leaves.py").write_text("import os\nos._exit(3)\n")
    workers = []

    def make(handler="handlers.handler", **overrides):
        fields = {
            "name": "dem",
            "handler": handler,
            "region": "eu-central-1",
            "memory_mb": 1024,
            "environment": {**machine_environment(), "TTC_TABLE": "status"},
            "root": tmp_path,
            "log": tmp_path / "dem.log",
        }
        workers.append(Worker(WorkerSpec(**fields | overrides)))
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_warm_worker_is_told_what_lambda_tells_and_is_used_again(make_worker):
    worker = make_worker()

    first = worker.invoke({"number": 1.5, "text": "a \N{GREEK SMALL LETTER ALPHA}"}, timeout_seconds=30)
    second = worker.invoke({}, timeout_seconds=30)

    assert first.kind == second.kind == "ok"
    assert first.payload["event"] == {"number": 1.5, "text": "a \N{GREEK SMALL LETTER ALPHA}"}
    assert first.payload["pid"] == second.payload["pid"]
    assert first.payload["request"] != second.payload["request"]
    assert 25_000 < first.payload["left"] <= 30_001  # the deadline is told in whole milliseconds
    assert (first.payload["name"], first.payload["memory"]) == ("dem", "1024")
    assert first.payload["arn"] == "arn:aws:lambda:eu-central-1:000000000000:function:dem"
    assert first.payload["region"] == "eu-central-1"
    assert first.payload["given"] == ["TTC_TABLE"]


def test_error_of_the_handler_is_told_and_the_process_stays(make_worker):
    worker = make_worker()
    before = worker.invoke({}, timeout_seconds=30)

    failed = worker.invoke({"raise": "no such tile"}, timeout_seconds=30)
    after = worker.invoke({}, timeout_seconds=30)

    assert failed.kind == "error"
    assert (failed.payload["errorType"], failed.payload["errorMessage"]) == ("ValueError", "no such tile")
    assert before.payload["pid"] == after.payload["pid"]


def test_handler_beyond_its_deadline_is_killed_and_replaced(make_worker, tmp_path):
    worker = make_worker()
    pid = worker.invoke({}, timeout_seconds=30).payload["pid"]

    late = worker.invoke({"hang": True}, timeout_seconds=0.3)
    after = worker.invoke({}, timeout_seconds=30)

    assert late == Invocation(kind="timeout", payload="Task timed out after 0.30 seconds")
    assert not alive(pid)
    assert after.kind == "ok" and after.payload["pid"] != pid
    assert "hanging\n" in (tmp_path / "dem.log").read_text()
    assert 'timeout: "Task timed out after 0.30 seconds"' in (tmp_path / "dem.log").read_text()


def test_process_that_ends_during_an_event_is_told_and_replaced(make_worker):
    worker = make_worker()

    ended = worker.invoke({"exit": 7}, timeout_seconds=30)

    assert ended == Invocation(kind="exited", payload="exit status 7")
    assert worker.invoke({}, timeout_seconds=30).kind == "ok"


@pytest.mark.parametrize(
    ("handler", "error"),
    [("broken.handler", "Runtime.ImportModuleError"), ("handlers.nothing", "Runtime.HandlerNotFound")],
)
def test_handler_that_cannot_be_loaded_is_an_error_of_the_start(make_worker, handler, error):
    result = make_worker(handler).invoke({}, timeout_seconds=30)

    assert (result.kind, result.payload["errorType"]) == ("init_error", error)


def test_process_that_ends_while_it_loads_is_an_error_of_the_start(make_worker):
    result = make_worker("leaves.handler").invoke({}, timeout_seconds=30)

    assert result == Invocation(kind="init_error", payload="exit status 3 before any event")


def test_closed_worker_leaves_no_process_and_takes_no_event(make_worker):
    worker = make_worker()
    pid = worker.invoke({}, timeout_seconds=30).payload["pid"]

    worker.close()

    assert not alive(pid)
    assert worker.invoke({}, timeout_seconds=30) == Invocation(kind="exited", payload="the worker was closed")
