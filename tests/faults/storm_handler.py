"""The deployed handlers under a clock that runs faster and is wrong, so that a storm of hours ends within minutes.

Every wait, lease and patience of the code is what it always is; only the queues, whose clock is real, are told it
divided by the speed.
"""

import math
import os
import time
from dataclasses import dataclass, replace
from functools import cache
from random import Random
from typing import Any

import producer.chunks
import producer.inbox
import producer.services
from ard.adapters.queues import Queue
from ard.adapters.records import Record, sqs_handler
from ard.product import Product
from ard.settings import ControlSettings
from consumers.handler import handle_record
from consumers.services import from_environment
from tracker.reconcile import reconcile as see_to_all
from tracker.services import open_intake, open_tasks

SPEED, EPOCH, SKEW = "TTC_STORM_SPEED", "TTC_STORM_EPOCH", "TTC_STORM_SKEW"


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since the epoch, ``speed`` times as fast since then, and wrong by ``skew``."""

    epoch: float
    speed: float
    skew: float = 0.0

    def __call__(self) -> float:
        return self.epoch + (time.time() - self.epoch) * self.speed + self.skew


class FastQueue(Queue):
    """A queue that hides messages from those who live fast."""

    speed = 1.0

    def hide(self, receipt: str, seconds: float) -> None:
        super().hide(receipt, math.ceil(seconds / self.speed))


@dataclass(frozen=True, slots=True)
class FastContext:
    """A Lambda context whose time is the fast clock's."""

    inner: Any
    speed: float

    @property
    def aws_request_id(self) -> str:
        return str(self.inner.aws_request_id)

    @property
    def memory_limit_in_mb(self) -> int:
        return int(self.inner.memory_limit_in_mb)

    def get_remaining_time_in_millis(self) -> int:
        return int(self.inner.get_remaining_time_in_millis() * self.speed)


@cache
def clock() -> Clock:
    """This process's clock: each process is wrong in its own way."""
    skew = float(os.environ[SKEW])
    return Clock(float(os.environ[EPOCH]), float(os.environ[SPEED]), Random().uniform(-skew, skew))


def fast(queue: Queue) -> Queue:
    """The same queue for this process."""
    quick = FastQueue(queue._client, queue.url)
    quick.speed = clock().speed
    return quick


@cache
def _worker() -> Any:
    services = from_environment(Product.DEM)
    return replace(services, clock=clock(), queue=fast(services.queue))


@cache
def _producer() -> producer.services.Services:
    services = producer.services.of_this_process()
    return replace(services, clock=clock(), chunk_queue=fast(services.chunk_queue))


def _make(record: Record, context: Any) -> None:
    handle_record(record, FastContext(context, clock().speed), _worker())


def _take_in(record: Record, _context: Any) -> None:
    producer.inbox.handle_record(record, _producer())


def _expand(record: Record, _context: Any) -> None:
    producer.chunks.handle_record(record, services=_producer())


dem = sqs_handler(_make)
inbox = sqs_handler(_take_in)
chunks = sqs_handler(_expand)


def reconcile(_event: Any, _context: Any) -> dict[str, int]:
    """See to all that is due by the fast clock."""
    settings = ControlSettings()
    result = see_to_all(open_tasks(settings), open_intake(settings), now=clock()())
    return {str(step): number for step, number in result.rows.items()} | {"requests": result.requests}
