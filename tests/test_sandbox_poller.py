"""The event source mapping, with Lambda's semantics, on both local AWS implementations."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from ard.adapters.queues import Outgoing
from sandbox.environment import machine_environment
from sandbox.poller import Source, acknowledged, feed_from_queue, feed_on_schedule, scheduled_event
from sandbox.runtime import Invocation, Worker, WorkerSpec
from tests.engines import REGION

DEADLINE_SECONDS = 20


class FakeWorker:
    """Answers each event as the test says, and keeps the events."""

    def __init__(self, answer: Callable[[list[Mapping[str, Any]]], Invocation]) -> None:
        self.answer = answer
        self.events: list[Mapping[str, Any]] = []
        self.closed = threading.Event()

    def invoke(self, event: Mapping[str, Any], *, timeout_seconds: float) -> Invocation:
        self.events.append(event)
        return self.answer(event.get("Records", []))

    def close(self) -> None:
        self.closed.set()

    @property
    def bodies(self) -> list[str]:
        return [record["body"] for event in self.events for record in event["Records"]]


def ok(payload: Any = None) -> Invocation:
    return Invocation(kind="ok", payload=payload)


def failing(*bodies: str) -> Callable[[list[Mapping[str, Any]]], Invocation]:
    """Reports the records with these bodies as failed."""
    return lambda records: ok(
        {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in records if r["body"] in bodies]}
    )


@contextmanager
def feeding(queue, *workers, batch_size=10, timeout_seconds=30.0):
    """Feed the queue to the workers; yields what the mapping says."""
    source = Source(
        function="dem",
        url=queue.url,
        region=REGION,
        batch_size=batch_size,
        timeout_seconds=timeout_seconds,
        wait_seconds=0,
    )
    said: list[str] = []
    feeder = feed_from_queue(source, workers, said.append)
    try:
        yield said
    finally:
        feeder.stop()
        feeder.join()


def eventually(condition: Callable[[], bool]) -> bool:
    deadline, moment = time.monotonic() + DEADLINE_SECONDS, threading.Event()
    while time.monotonic() < deadline:
        if condition():
            return True
        moment.wait(0.02)
    return False


def send(queue, *bodies: str) -> None:
    queue.send(Outgoing(body=body) for body in bodies)


def test_event_is_what_lambda_makes_of_a_message(cloud):
    cloud.queue.send([Outgoing(body="a body", group="job-1", attributes={"fence": "7"})])
    worker = FakeWorker(lambda _: ok())

    with feeding(cloud.queue, worker):
        assert eventually(lambda: cloud.queue.depth() == 0)

    ((record,),) = [event["Records"] for event in worker.events]
    assert record["body"] == "a body"
    assert record["messageAttributes"]["fence"] == {
        "stringValue": "7",
        "dataType": "String",
        "stringListValues": [],
        "binaryListValues": [],
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert {"SentTimestamp", "ApproximateFirstReceiveTimestamp"} <= record["attributes"].keys()
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", REGION)
    assert record["eventSourceARN"].startswith(f"arn:aws:sqs:{REGION}:")
    assert record["messageId"] and record["receiptHandle"] and record["md5OfBody"]


def test_only_what_did_not_fail_is_deleted_and_the_rest_returns(cloud):
    queue, _ = cloud.new_queue(visibility_seconds=1)
    send(queue, "good", "bad", "fine")
    failed_once = FakeWorker(failing("bad"))

    with feeding(queue, failed_once):
        assert eventually(lambda: failed_once.bodies.count("bad") == 2)

    assert [failed_once.bodies.count(body) for body in ("good", "fine")] == [1, 1]
    assert queue.depth() == 1


@pytest.mark.parametrize(
    "payload", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}, {"statusCode": 200}]
)
def test_answer_without_failures_means_that_all_succeeded(payload):
    assert acknowledged(ok(payload), {"one", "two"}) == {"one", "two"}


@pytest.mark.parametrize(
    "result",
    [
        ok({"batchItemFailures": [{"itemIdentifier": "of no message"}]}),
        ok({"batchItemFailures": [{"itemIdentifier": "one"}, {"itemIdentifier": "of no message"}]}),
        ok({"batchItemFailures": [{"itemIdentifier": ""}]}),
        ok({"batchItemFailures": [{"itemIdentifier": None}]}),
        ok({"batchItemFailures": [{"id": "misspelt"}]}),
        ok({"batchItemFailures": ["one"]}),
        ok({"batchItemFailures": "one"}),
        ok("not an answer"),
        Invocation(kind="error", payload=None),
        Invocation(kind="timeout", payload=None),
        Invocation(kind="exited", payload=None),
        Invocation(kind="init_error", payload=None),
    ],
    ids=lambda result: f"{result.kind} {json.dumps(result.payload)}",
)
def test_whole_batch_failed_when_the_answer_cannot_be_used(result):
    assert acknowledged(result, {"one", "two"}) == set()


def test_nothing_is_deleted_after_an_error_which_is_told(cloud):
    send(cloud.queue, "one", "two")
    worker = FakeWorker(lambda _: Invocation(kind="error", payload={"errorType": "KeyError", "errorMessage": "no"}))

    with feeding(cloud.queue, worker) as said:
        assert eventually(lambda: len(worker.bodies) >= 2)

    assert cloud.queue.depth() == 2
    assert said[0].startswith("dem: error: KeyError: no; ")


def test_poison_goes_to_the_dead_letter_queue_after_its_last_receive(cloud):
    queue, dlq = cloud.new_queue(visibility_seconds=1, max_receives=2)
    send(queue, "poison", "good")
    worker = FakeWorker(failing("poison"))

    with feeding(queue, worker):
        assert eventually(lambda: dlq.depth() == 1)

    assert worker.bodies.count("poison") == 2
    assert queue.depth() == 0


def test_message_that_somebody_else_received_meanwhile_does_no_harm(cloud):
    queue, _ = cloud.new_queue(visibility_seconds=1)
    send(queue, "slow")
    taken = threading.Event()

    def slowly(records):
        if records[0]["body"] == "slow":
            assert eventually(lambda: [m.body for m in queue.receive(visible_again_seconds=30)] == ["slow"])
            taken.set()
        return ok()

    worker = FakeWorker(slowly)
    with feeding(queue, worker) as said:
        assert taken.wait(DEADLINE_SECONDS)
        send(queue, "next")
        assert eventually(lambda: "next" in worker.bodies)

    assert said == []


def test_as_many_batches_are_worked_on_as_there_are_workers(cloud):
    both = threading.Barrier(2, timeout=DEADLINE_SECONDS)

    def together(_):
        both.wait()
        return ok()

    send(cloud.queue, "one", "two")
    with feeding(cloud.queue, FakeWorker(together), FakeWorker(together), batch_size=1):
        assert eventually(lambda: cloud.queue.depth() == 0)


def test_stopped_feeder_has_closed_its_workers(cloud):
    worker = FakeWorker(lambda _: ok())

    with feeding(cloud.queue, worker):
        pass

    assert worker.closed.is_set()


def test_queue_that_is_gone_is_told_and_asked_again(cloud):
    queue, _ = cloud.new_queue()
    cloud.sqs.delete_queue(QueueUrl=queue.url)

    with feeding(queue, FakeWorker(lambda _: ok())) as said:
        assert eventually(lambda: len(said) >= 2)

    assert said[0].startswith(f"dem: {queue.url}")


HANDLER = """
import time

def handler(event, context):
    record = event["Records"][0]
    if int(record["attributes"]["ApproximateReceiveCount"]) == 1:
        time.sleep(60)
"""


def test_handler_beyond_its_timeout_is_killed_and_its_message_returns(cloud, tmp_path):
    (tmp_path / "slow.py").write_text(HANDLER)
    queue, _ = cloud.new_queue(visibility_seconds=2)
    spec = WorkerSpec(
        name="dem",
        handler="slow.handler",
        region=REGION,
        memory_mb=512,
        environment=machine_environment(),
        root=tmp_path,
        log=tmp_path / "log",
    )
    send(queue, "slow at first")

    with feeding(queue, Worker(spec), timeout_seconds=1) as said:
        assert eventually(lambda: queue.depth() == 0)

    assert said == ["dem: timeout: Task timed out after 1.00 seconds; messages to return: 1"]


def test_schedule_comes_again_and_again():
    worker, said = FakeWorker(lambda _: ok()), []
    feeder = feed_on_schedule(
        "reconcile", worker, region=REGION, every_seconds=0.05, timeout_seconds=5, say=said.append
    )
    came_again = eventually(lambda: len(worker.events) >= 3)
    feeder.stop()
    feeder.join()

    assert came_again
    assert worker.events[0]["detail-type"] == "Scheduled Event"
    assert said == []


def test_scheduled_event_is_what_eventbridge_sends():
    event = scheduled_event("reconcile", REGION, datetime(2024, 5, 17, 12, 30, tzinfo=UTC))

    assert event["time"] == "2024-05-17T12:30:00Z"
    assert event["resources"] == [f"arn:aws:events:{REGION}:000000000000:rule/reconcile"]
    assert event["detail"] == {}
