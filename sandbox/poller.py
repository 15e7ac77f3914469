"""What feeds the functions: Lambda's event source mappings of SQS, and EventBridge's schedules."""

import base64
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

from ard.adapters.aws import aws_errors, client
from ard.errors import ArdError
from sandbox.runtime import Invocation

_PAUSE_SECONDS = 0.5  # after an error of the engine
_ACCOUNT = "000000000000"

Say = Callable[[str], None]


class Invoker(Protocol):
    """Runs a handler; see ``sandbox.runtime.Worker``."""

    def invoke(self, event: Mapping[str, Any], *, timeout_seconds: float) -> Invocation:
        """Give an event to the handler and wait for its answer."""

    def close(self) -> None:
        """Stop whatever runs, and run nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A queue and the function it feeds.

    Attributes:
        function: Its name.
        url: The queue.
        region: Of queue and function.
        batch_size: Messages per event, at most.
        timeout_seconds: The function's.
        wait_seconds: Of one long poll, which is how long a stop may take.
    """

    function: str
    url: str
    region: str
    batch_size: int
    timeout_seconds: float
    wait_seconds: int = 1


class Feeder:
    """Threads that each give events to a worker of their own, until stopped."""

    def __init__(self, workers: Sequence[Invoker], turn: Callable[[Invoker, threading.Event], None], name: str) -> None:
        """Prepare one thread per worker; ``turn`` is called again and again until its event is set."""
        self._workers = workers
        self._turn = turn
        self._stop = threading.Event()
        # Not daemons: a worker dies with the thread that started it, so the thread must outlive its work.
        self._threads = [
            threading.Thread(target=self._run, args=(worker,), name=f"{name}-{number}")
            for number, worker in enumerate(workers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask every thread to end and kill the workers, without waiting."""
        self._stop.set()
        for worker in self._workers:
            worker.close()

    def join(self) -> None:
        """Wait until all threads have ended."""
        for thread in self._threads:
            thread.join()

    def _run(self, worker: Invoker) -> None:
        try:
            while not self._stop.is_set():
                self._turn(worker, self._stop)
        finally:
            worker.close()


def feed_from_queue(source: Source, workers: Sequence[Invoker], say: Say) -> Feeder:
    """Give the queue's messages to the workers, a batch at a time each, as Lambda's event source mapping does.

    What the answer does not name in ``batchItemFailures`` is deleted; an empty answer names nothing, an unknown or
    empty ``itemIdentifier`` names everything (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html).
    After an error, a timeout or the worker's end nothing is deleted: the messages return when their visibility ends.

    Args:
        source: Which queue.
        workers: As many batches are worked on at once.
        say: Told, in one line, whatever did not go well.
    """
    sqs = client("sqs", source.region)
    arn = f"arn:aws:sqs:{source.region}:{_ACCOUNT}:{source.url.rpartition('/')[2]}"

    def turn(worker: Invoker, stop: threading.Event) -> None:
        try:
            messages = _receive(sqs, source)
            if not messages:
                return
            event = sqs_event(messages, arn=arn, region=source.region)
            result = worker.invoke(event, timeout_seconds=source.timeout_seconds)
            if result.kind != "ok" and not stop.is_set():
                say(f"{source.function}: {result.kind}: {_reason(result.payload)}; messages to return: {len(messages)}")
            done = acknowledged(result, {message["MessageId"] for message in messages})
            _delete(sqs, source, [message for message in messages if message["MessageId"] in done])
        except ArdError as error:
            if not stop.is_set():
                say(f"{source.function}: {error}")
            stop.wait(_PAUSE_SECONDS)

    return Feeder(workers, turn, source.function)


def feed_on_schedule(
    function: str, worker: Invoker, *, region: str, every_seconds: float, timeout_seconds: float, say: Say
) -> Feeder:
    """Give the worker an event each time the interval has passed, as EventBridge does."""
    due = time.monotonic() + every_seconds

    def turn(worker: Invoker, stop: threading.Event) -> None:
        nonlocal due
        if stop.wait(max(due - time.monotonic(), 0)):
            return
        due += every_seconds
        result = worker.invoke(scheduled_event(function, region, datetime.now(UTC)), timeout_seconds=timeout_seconds)
        if result.kind != "ok" and not stop.is_set():
            say(f"{function}: {result.kind}: {_reason(result.payload)}")

    return Feeder([worker], turn, function)


def acknowledged(result: Invocation, message_ids: set[str]) -> set[str]:
    """The ids of the messages of an event that are to be deleted after it."""
    if result.kind != "ok":
        return set()
    if not result.payload:
        return message_ids
    failures = result.payload.get("batchItemFailures") or [] if isinstance(result.payload, dict) else None
    if not isinstance(failures, list):
        return set()
    failed = {str(failure.get("itemIdentifier")) if isinstance(failure, dict) else "" for failure in failures}
    return message_ids - failed if failed <= message_ids else set()


def sqs_event(messages: Sequence[Mapping[str, Any]], *, arn: str, region: str) -> dict[str, Any]:
    """The event that Lambda makes of received messages."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message.get("Attributes", {}),
                "messageAttributes": {
                    name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
                },
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": arn,
                "awsRegion": region,
            }
            for message in messages
        ]
    }


def scheduled_event(function: str, region: str, now: datetime) -> dict[str, Any]:
    """The event that EventBridge makes of a schedule."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": _ACCOUNT,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": [f"arn:aws:events:{region}:{_ACCOUNT}:rule/{function}"],
        "detail": {},
    }


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    lowered = {name[0].lower() + name[1:]: part for name, part in value.items()}
    if "binaryValue" in lowered:
        lowered["binaryValue"] = base64.b64encode(lowered["binaryValue"]).decode()
    return {**lowered, "stringListValues": [], "binaryListValues": []}


def _receive(sqs: Any, source: Source) -> list[Mapping[str, Any]]:
    with aws_errors(source.url):
        answer = sqs.receive_message(
            QueueUrl=source.url,
            MaxNumberOfMessages=source.batch_size,
            WaitTimeSeconds=source.wait_seconds,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
    return list(answer.get("Messages", ()))


def _delete(sqs: Any, source: Source, messages: Sequence[Mapping[str, Any]]) -> None:
    """Delete the messages; one whose receipt is stale belongs to somebody else by now, and stays."""
    if not messages:
        return
    entries = [{"Id": str(number), "ReceiptHandle": m["ReceiptHandle"]} for number, m in enumerate(messages)]
    with aws_errors(source.url):
        sqs.delete_message_batch(QueueUrl=source.url, Entries=entries)


def _reason(payload: Any) -> str:
    """A failure in a few words."""
    if isinstance(payload, dict):
        return f"{payload.get('errorType', 'Error')}: {payload.get('errorMessage', '')}"[:200]
    return str(payload)[:200]
