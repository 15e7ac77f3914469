"""Lambda entry point: the chunk queue. A chunk becomes tasks only when the queues of its products have room.

Fair queues (messages grouped by job) share workers between jobs whatever the depth, so this is not what keeps jobs
apart. It keeps tasks in the plan until they are nearly due: a task that waits longer than ``QUEUED_PATIENCE_SECONDS``
is sent again (50,000 Sentinel-2 tasks at 62 s on 200 workers wait 4.3 hours at most), and to pause or cancel a job
costs a delivery per message that is out.
"""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from ard.adapters.records import LOGGER, NotAcknowledged, Record, sqs_handler
from ard.errors import InvalidInput
from ard.rows import ChunkRow, JobRow
from ard.task import ChunkMessage
from ard.transitions import PATIENCE_SECONDS
from producer.expansion import job_to_send, send_chunk
from producer.services import Services, of_this_process

logger = Logger(service=LOGGER, child=True)

# A job's first chunks find twice the room: however deep a large job's tasks lie, a small job gets in, and its tasks
# overtake. Twice the default limit is still less than the 120,000 messages that may be in flight in a queue, which an
# outage of a provider makes of all that wait.
_FIRST_CHUNKS = 4
_ROOM_OF_FIRST_CHUNKS = 2

# A wait is a tenth longer than the one before, because a message may be received 100 times only. Into a queue just over
# its limit, the waits come to 2.5 days in the first 45 receives and to 6 hours for each further one: 10 days are over
# by the 76th. Later the queue drops the message after its 14 days, and reconcile sends a new one for the row.
_FIRST_WAIT_SECONDS = 300.0
_GROWTH = 1.1
_GROWING_RECEIVES = 100
_LONGEST_WAIT_SECONDS = 6 * 3600.0  # with its spread well within the 12 hours that a message can be hidden
_SPREAD = 0.25
_GOLDEN_RATIO = 0.6180339887498949  # its multiples, modulo 1, never come close to one another


def handle_record(record: Record, services: Services) -> None:
    """Send the chunk that a message names.

    Raises:
        InvalidInput: The message is none of ours, or names nothing: its queue moves it to its dead letters in time.
        NotAcknowledged: There is no room for its tasks yet; the message comes back.
        Unavailable: Something cannot be asked; the message comes back.
    """
    try:
        message = ChunkMessage.model_validate_json(record.body)
    except ValidationError as error:
        raise InvalidInput(f"expected a chunk message, found {record.body[:200]!r}") from error
    job = job_to_send(message.job_id, message.number, services=services)
    if job is not None:
        _expect_room(job, message.number, record, services=services)
    sent = send_chunk(message.job_id, message.number, services=services) if job else None
    facts = {"job_id": message.job_id, "chunk": message.number, **(asdict(sent) if sent else {})}
    logger.info("chunk sent" if sent else "chunk left alone", extra=facts)


def wait_seconds(times: float, *, receives: int, number: int) -> float:
    """How long a chunk stays hidden when it finds no room.

    Args:
        times: Depth of the deepest queue, in units of its limit: above 1.
        receives: How often the message has been received, this time included.
        number: The chunk's: neighbours wait differently, so that they do not all come back at once.
    """
    grown = _FIRST_WAIT_SECONDS * times * _GROWTH ** (min(receives, _GROWING_RECEIVES) - 1)
    return min(grown, _LONGEST_WAIT_SECONDS) * (1 + _SPREAD * (number * _GOLDEN_RATIO % 1))


def _expect_room(job: JobRow, number: int, record: Record, *, services: Services) -> None:
    """Pass when no queue of the job's products is too deep for this chunk; else hide the message.

    Chunks that look at the same moment all pass: a queue may exceed the limit by a chunk per concurrent function.
    """
    limit = services.settings.queue_limit * (_ROOM_OF_FIRST_CHUNKS if number < _FIRST_CHUNKS else 1)
    depth, product = max((services.queue(product).depth(), product) for product in job.totals)
    if depth <= limit:
        return
    seconds = wait_seconds(depth / limit, receives=record.receives, number=number)
    # The row first: reconcile must send no second message while this one is hidden.
    later = services.clock() + seconds + PATIENCE_SECONDS
    services.table.replace_chunk(ChunkRow(job_id=job.job_id, number=number, check_after=later))
    services.chunk_queue.hide(record.receipt, seconds)
    raise NotAcknowledged(
        f"{job.job_id} chunk {number} waits {seconds:.0f} s: expected at most {limit:,} messages in the queue of "
        f"{product}, found {depth:,}"
    )


def _handle(record: Record, _context: Any) -> None:
    handle_record(record, of_this_process())


handler = sqs_handler(_handle)
