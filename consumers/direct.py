"""A worker that is called with a task instead of fed by a queue: what the Lithops engine runs."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from aws_lambda_powertools import Logger
from pydantic import ValidationError
from pydantic_settings import SettingsError

from ard.adapters.queues import Queue
from ard.adapters.records import LOGGER, NotAcknowledged, Record
from ard.errors import ArdError
from ard.product import Product
from consumers.handler import handle_record
from consumers.services import Services, from_environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One delivery of a task by hand.

    Attributes:
        product: Whose worker is meant.
        body: The task, as in a message.
        owner: Names the call in the task's row; no two calls share it.
        seconds: How long it may take before it is killed.
        memory_mb: What the worker has, for the gigabyte-seconds in the row.
    """

    product: Product
    body: str
    owner: str
    seconds: float
    memory_mb: int


class Unqueued:
    """The SQS client of queues that nobody drains: takes every message, and keeps none."""

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        """Every entry is sent."""
        return {"Successful": request["Entries"]}

    def change_message_visibility(self, **_request: Any) -> None:
        """There is no message to hide."""


def run_task(call: Call) -> str | None:
    """Process a task in a process of its own; why nothing could be done about it, None when its row tells."""
    # On a person's machine Lithops logs everything that libraries say, signed requests and their tokens included.
    logging.getLogger().setLevel(logging.WARNING)
    try:
        answer(call, from_environment(call.product))
    except (ArdError, ValidationError, SettingsError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def answer(call: Call, services: Services) -> None:
    """Process a task as its queue's worker would; retries are the caller's, dead letters go where they always do.

    Raises:
        Unavailable: The table or the dead-letter queue cannot be reached.
        Auth: One of them refuses.
    """
    logger = Logger(service=LOGGER)
    record = Record(body=call.body, receipt="", message_id=call.owner, attributes={}, receives=1)
    context = _Context(call=call, ends=services.clock() + call.seconds, clock=services.clock)
    try:
        handle_record(record, context, replace(services, queue=Queue(Unqueued(), services.queue.url)))
    except NotAcknowledged as reason:
        logger.info("not acknowledged", extra={"message_id": call.owner, "reason": str(reason)})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    """What a handler asks Lambda about its invocation."""

    call: Call
    ends: float
    clock: Callable[[], float]

    @property
    def aws_request_id(self) -> str:
        return self.call.owner

    @property
    def memory_limit_in_mb(self) -> int:
        return self.call.memory_mb

    def get_remaining_time_in_millis(self) -> int:
        return int((self.ends - self.clock()) * 1000)
