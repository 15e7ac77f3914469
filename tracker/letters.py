"""Dead letters, one by one: those that are no longer true are taken away, all others stay."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from ard.adapters.queues import FENCE, Queue, Received, fence_of
from ard.task import TileTask

_VISIBILITY_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a dead letter says: the task that failed, and in which claim."""

    task: TileTask
    fence: int


def clear_letters(dlq: Queue, job_id: str, fences: Mapping[str, int]) -> int:
    """Delete the dead letters of exactly these tasks, by id, up to their fence; how many. All others stay.

    Raises:
        Unavailable: The queue cannot be reached; what was received is visible again within a minute.
    """

    def stale(letter: Letter) -> bool:
        return letter.task.job_id == job_id and letter.fence <= fences.get(letter.task.task_id, -1)

    return sift(dlq, stale, delete=True) if fences else 0


def sift(dlq: Queue, stale: Callable[[Letter], bool], *, delete: bool) -> int:
    """Look at every dead letter once, and delete the stale ones if wanted; how many those are.

    A body that is no task stays: it is there for a person to see.

    Raises:
        Unavailable: The queue cannot be reached; what was received is visible again within a minute.
    """
    found, kept, left = 0, [], dlq.depth()
    while left > 0 and (batch := dlq.receive(visible_again_seconds=_VISIBILITY_SECONDS, wait_seconds=1)):
        left -= len(batch)
        for received in batch:
            letter = _read(received)
            is_stale = letter is not None and stale(letter)
            found += is_stale
            if is_stale and delete:
                dlq.delete(received)
            else:
                kept.append(received)
    for received in kept:
        dlq.hide(received.receipt, 0)
    return found


def _read(received: Received) -> Letter | None:
    try:
        task = TileTask.model_validate_json(received.body)
    except ValidationError:
        return None
    # One of a fence that is no number is of an unknown claim: never older than a row.
    fence = fence_of(received.attributes) if FENCE in received.attributes else 0
    return None if fence is None else Letter(task=task, fence=fence)
