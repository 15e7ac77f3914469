"""SQS queues: every entry that a batch reports as failed is sent again or raised."""

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from ard.adapters.aws import aws_errors
from ard.errors import Unavailable

BATCH = 10  # what SQS takes in one call
_BATCH_BYTES = 256 * 1024  # SQS has taken four times as much since 2025, its local stand-ins do not
_SIDE_BY_SIDE = 8  # a queue may lie an ocean away, where one call takes 150 ms
_SENDS_OF_ONE_ENTRY = 5
_LONGEST_VISIBILITY_SECONDS = 12 * 3600

FENCE, CAUSE, JOB = "fence", "cause", "job_id"  # names of message attributes
_TYPE = "String"
_FENCE = re.compile(r"[0-9]{1,18}")  # whoever can send may write anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to be sent; ``group`` keeps one job from starving another (fair queues)."""

    body: str
    group: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message in somebody's hands until its visibility ends."""

    body: str
    receipt: str
    attributes: Mapping[str, str]


def fence_of(attributes: Mapping[str, str]) -> int | None:
    """The fence of the claim that a message is about; None when it names none."""
    value = attributes.get(FENCE, "")
    return int(value) if _FENCE.fullmatch(value) else None


class Queue:
    """One queue. Every method raises ``Unavailable`` or ``Auth`` when it cannot be asked."""

    def __init__(self, client: Any, url: str) -> None:
        """Wrap a boto3 SQS client of the queue's region; nothing is contacted yet."""
        self._client = client
        self.url = url

    def send(self, messages: Iterable[Outgoing]) -> int:
        """Send all messages, in batches of ten at most, several at once and in no order; how many.

        Raises:
            Unavailable: An entry was refused time and again; any of the others may be out.
        """
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            return sum(pool.map(self._send_batch, _batches(messages)))

    def hide(self, receipt: str, seconds: float) -> None:
        """Keep a received message invisible for so long from now, up to the next whole second."""
        # Rounded down, a message would come a moment too early for its own retry, and waste one of its receives.
        timeout = ceil(min(max(seconds, 0), _LONGEST_VISIBILITY_SECONDS))
        with aws_errors(self.url):
            self._client.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=timeout)

    def receive(self, *, visible_again_seconds: int, wait_seconds: int = 0) -> list[Received]:
        """At most ten messages, hidden from others for a while."""
        with aws_errors(self.url):
            answer = self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=visible_again_seconds,
                WaitTimeSeconds=wait_seconds,
                MessageAttributeNames=["All"],
            )
        return [_received(message) for message in answer.get("Messages", ())]

    def delete(self, message: Received) -> None:
        """Take a received message out of the queue."""
        with aws_errors(self.url):
            self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message.receipt)

    def depth(self) -> int:
        """About how many messages wait, are delayed or are in flight."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        with aws_errors(self.url):
            found = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found.get(name, 0)) for name in names)

    def _send_batch(self, batch: list[Outgoing]) -> int:
        waiting = {str(number): _entry(str(number), message) for number, message in enumerate(batch)}
        for _ in range(_SENDS_OF_ONE_ENTRY):
            with aws_errors(self.url):
                answer = self._client.send_message_batch(QueueUrl=self.url, Entries=list(waiting.values()))
            for done in answer.get("Successful", ()):
                waiting.pop(done["Id"], None)
            if not waiting:
                return len(batch)
        reasons = sorted({failure.get("Code", "?") for failure in answer.get("Failed", ())})
        raise Unavailable(f"{self.url}: {len(waiting)} of {len(batch)} messages refused: {', '.join(reasons)}")


def _batches(messages: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    """The messages in order, as many together as one call may have; what is too large alone is SQS's to refuse."""
    batch: list[Outgoing] = []
    room = _BATCH_BYTES
    for message in messages:
        size = _size(message)
        if batch and (len(batch) == BATCH or size > room):
            yield batch
            batch, room = [], _BATCH_BYTES
        batch.append(message)
        room -= size
    if batch:
        yield batch


def _size(message: Outgoing) -> int:
    """Bytes that SQS counts: the body, and the names, types and values of attributes."""
    attributes = (name + _TYPE + value for name, value in message.attributes.items())
    return len(message.body.encode()) + sum(len(text.encode()) for text in attributes)


def _entry(number: str, message: Outgoing) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": number, "MessageBody": message.body}
    if message.group is not None:
        entry["MessageGroupId"] = message.group
    if message.attributes:
        entry["MessageAttributes"] = {
            name: {"DataType": _TYPE, "StringValue": value} for name, value in message.attributes.items()
        }
    return entry


def _received(message: Mapping[str, Any]) -> Received:
    attributes = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    return Received(body=message["Body"], receipt=message["ReceiptHandle"], attributes=attributes)
