"""The Lambda handler of a product: translates an SQS record into a task and its delivery."""

from functools import cache
from typing import Any

from pydantic import ValidationError

from ard.adapters.records import Handler, Record, sqs_handler
from ard.product import Product
from ard.task import MESSAGE_BYTES, TileTask
from ard.transitions import LEASE_MARGIN_SECONDS, Delivery
from consumers.deadline import Deadline
from consumers.message import Message
from consumers.process import process
from consumers.services import Services, from_environment

STOP_BEFORE_SECONDS = 5.0  # of the function's timeout: enough to record and to say goodbye


def product_handler(product: Product) -> Handler:
    """A handler for the product's queue; its services are put together at the first record."""

    @cache
    def services() -> Services:
        return from_environment(product)

    def handle(record: Record, context: Any) -> None:
        handle_record(record, context, services())

    return sqs_handler(handle)


def handle_record(record: Record, context: Any, services: Services) -> None:
    """Process one record; a body that is no task of this worker goes to the dead-letter queue with the reason."""
    message = Message(record=record, queue=services.queue, dlq=services.dlq)
    task = _task(message, services.product)
    if task is None:
        return
    now = services.clock()
    ends = now + context.get_remaining_time_in_millis() / 1000
    delivery = Delivery(
        owner=context.aws_request_id,
        now=now,
        lease_until=ends + LEASE_MARGIN_SECONDS,
        fence=message.fence,
        max_attempts=task.max_attempts,
        gb=int(context.memory_limit_in_mb) / 1024,
    )
    process(task, message, delivery, Deadline(ends - STOP_BEFORE_SECONDS, services.clock), services)


def _task(message: Message, product: Product) -> TileTask | None:
    """The task of a message; None when it was poison and is dealt with."""
    body = message.record.body
    if len(body.encode()) > MESSAGE_BYTES:
        message.dead_letter_poison(f"expected at most {MESSAGE_BYTES} bytes, found {len(body.encode())}")
        return None
    try:
        task = TileTask.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        message.dead_letter_poison(f"not a TileTask: {'/'.join(map(str, first['loc']))}: {first['msg']}")
        return None
    if task.product is not product:
        message.dead_letter_poison(f"expected a task of {product}, found {task.product}")
        return None
    return task
