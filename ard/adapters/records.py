"""The record boundary: an SQS event comes in, the ids of the records that failed go out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from ard.errors import ArdError

Handler = Callable[[dict[str, Any], Any], Any]
LOGGER = "ttc"  # the name that all structured log lines share; the function's name tells them apart


class NotAcknowledged(ArdError):
    """The message is to stay in its queue; nothing is wrong with the worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One received SQS message."""

    body: str
    receipt: str
    message_id: str
    attributes: Mapping[str, str]
    receives: int


def sqs_handler(handle: Callable[[Record, Any], None]) -> Handler:
    """A Lambda handler for batches of SQS records.

    ``handle(record, context)`` acknowledges by returning. Whatever it raises, ``SystemExit`` and ``MemoryError``
    included, fails that record alone: it is logged and reported, and SQS delivers it again.
    """
    logger = Logger(service=LOGGER)

    def handle_one(record: SQSRecord, lambda_context: Any) -> None:
        received = _record(record)
        try:
            handle(received, lambda_context)
        except NotAcknowledged as reason:
            logger.info("not acknowledged", extra={"message_id": received.message_id, "reason": str(reason)})
            raise
        except (Exception, SystemExit) as error:
            logger.exception("record failed", extra={"message_id": received.message_id})
            raise NotAcknowledged(repr(error)) from error

    def handler(event: dict[str, Any], context: Any) -> Any:
        # A new processor per event: it keeps what failed, and a warm process must not carry that over.
        processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
        return process_partial_response(event, handle_one, processor, context)

    return handler


def _record(record: SQSRecord) -> Record:
    return Record(
        body=record.body,
        receipt=record.receipt_handle,
        message_id=record.message_id,
        attributes={name: value.string_value or "" for name, value in record.message_attributes.items()},
        receives=int(record.attributes.approximate_receive_count or 1),
    )
