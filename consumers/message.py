"""A task's message in a worker's hands."""

from dataclasses import dataclass

from ard.adapters.queues import CAUSE, FENCE, JOB, Outgoing, Queue, fence_of
from ard.adapters.records import Record
from ard.task import TileTask

_REASON = "reason"
_REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One delivery of a message: its record, and the queues it lives between."""

    record: Record
    queue: Queue
    dlq: Queue

    @property
    def fence(self) -> int | None:
        """The fence of the claim that failed, on a dead-letter copy that came back."""
        return fence_of(self.record.attributes)

    def hide(self, seconds: float) -> None:
        """Keep the message from other workers for so long from now."""
        self.queue.hide(self.record.receipt, seconds)

    def dead_letter(self, task: TileTask, *, cause: str, fence: int) -> None:
        """Send a copy to the dead-letter queue; it carries the fence, so that moving it back retries what failed."""
        attributes = {CAUSE: cause, FENCE: str(fence), JOB: task.job_id}
        self.dlq.send([Outgoing(body=self.record.body, group=task.job_id, attributes=attributes)])

    def dead_letter_poison(self, reason: str) -> None:
        """Send a body that is no task of ours to the dead-letter queue, with the reason."""
        printable = "".join(character if character.isprintable() else " " for character in reason)
        attributes = {CAUSE: "poison", _REASON: printable[:_REASON_CHARACTERS] or "unknown"}
        self.dlq.send([Outgoing(body=self.record.body, attributes=attributes)])
