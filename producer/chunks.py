"""Lambda entry point: the chunk queue."""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from ard.adapters.records import LOGGER, Record, sqs_handler
from ard.errors import InvalidInput
from ard.task import ChunkMessage
from producer.expansion import send_chunk
from producer.services import Services, of_this_process

logger = Logger(service=LOGGER, child=True)


def handle_record(record: Record, services: Services) -> None:
    """Send the chunk that a message names.

    Raises:
        InvalidInput: The message is none of ours, or names nothing: its queue moves it to its dead letters in time.
        Unavailable: Something cannot be asked; the message comes back.
    """
    try:
        message = ChunkMessage.model_validate_json(record.body)
    except ValidationError as error:
        raise InvalidInput(f"expected a chunk message, found {record.body[:200]!r}") from error
    sent = send_chunk(message.job_id, message.number, services=services)
    facts = {"job_id": message.job_id, "chunk": message.number, **(asdict(sent) if sent else {})}
    logger.info("chunk sent" if sent else "chunk left alone", extra=facts)


def _handle(record: Record, _context: Any) -> None:
    handle_record(record, of_this_process())


handler = sqs_handler(_handle)
