"""Lambda entry point: the inbox queue, which S3 tells of every object that is dropped."""

from typing import Any

from aws_lambda_powertools import Logger

from ard.adapters.records import LOGGER, Record, sqs_handler
from producer.intake import dropped_objects, take_in
from producer.services import Services, of_this_process

logger = Logger(service=LOGGER, child=True)


def handle_record(record: Record, services: Services) -> None:
    """Take in every object that a notification names.

    Raises:
        InvalidInput: The body is no notification of this inbox: its queue moves it to its dead letters in time.
        Unavailable: Something cannot be asked; the message comes back.
    """
    for dropped in dropped_objects(record.body):
        taken = take_in(dropped, services=services, now=services.clock())
        facts = {"key": dropped.key, "version": dropped.version, "outcome": taken.outcome, "job_id": taken.job_id}
        logger.info("taken in", extra=facts)


def _handle(record: Record, _context: Any) -> None:
    handle_record(record, of_this_process())


handler = sqs_handler(_handle)
