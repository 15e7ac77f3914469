"""Failed tasks once more: sent anew from their rows, a few of them first, and their old dead letters taken away."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from ard.errors import Unavailable
from ard.product import Product
from ard.rows import JobRow, TaskRow
from ard.states import State
from ard.transitions import redriven
from tracker.canary import Canary, split_canary, watch_canary
from tracker.letters import clear_letters
from tracker.redrive_plan import RedrivePlan
from tracker.sending import Pace, Sent, send_rows
from tracker.services import Tasks

CANARY_TASKS = 10
CANARY_ABOVE = 20  # tasks; of fewer, all are sent at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the log keeps of a redrive: who asked for it, why, and with which options."""

    who: str
    why: str
    filter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """How many tasks go first (0: all go at once), how long they are waited for, and who is told how they stand."""

    canary: int = 0
    patience_seconds: float = 0.0
    tell: Callable[[Canary], None] = lambda _canary: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrive:
    """What a redrive did.

    Attributes:
        sent: Tasks that are QUEUED again, their messages out.
        changed: What tasks had become that somebody else changed meanwhile; left alone.
        letters_deleted: Dead letters of the sent tasks that were taken away.
        letters_left: Products whose dead-letter queue could not be cleared; what is left there does no harm.
        held_back: Tasks that were not sent, because the canary did not pass.
        canary: How those ended that went first; None when all went at once.
    """

    sent: int
    changed: Mapping[State, int] = field(default_factory=dict)
    letters_deleted: int = 0
    letters_left: tuple[Product, ...] = ()
    held_back: int = 0
    canary: Canary | None = None


def canary_size(chosen: int, wanted: int | None) -> int:
    """How many of so many tasks go first: as wanted, else ten of more than twenty; 0 when all go at once."""
    size = wanted if wanted is not None else CANARY_TASKS if chosen > CANARY_ABOVE else 0
    return size if size < chosen else 0


def apply_redrive(
    plan: RedrivePlan, job: JobRow, tasks: Tasks, *, pace: Pace, note: Note, caution: Caution | None = None
) -> Redrive:
    """Make the chosen rows QUEUED, send their messages, take their dead letters away, and log it with the ``note``.

    With ``caution``, the rest is sent only when the canary passed. It can end at any point and lose nothing: a row that
    is QUEUED without a message is due for reconcile, a message that is there twice is absorbed by the claim, a dead
    letter that stays is told apart by its fence.

    Raises:
        InvalidInput: The deployment has no queue for a product; nothing was changed.
        Unavailable: The table or a queue cannot be reached.
    """
    for product in {row.product for row in plan.chosen}:
        tasks.lane(product)
    began = pace.clock()
    facts = {**asdict(note), "chosen": len(plan.chosen)}
    tasks.table.log_redrive(job.job_id, now=began, entry={**facts, "ended": False})
    sent = Sent()
    canary, held_back = _send(plan.chosen, job, tasks, pace=pace, caution=caution or Caution(), sent=sent)
    deleted, left = _clear(plan.chosen, sent, job, tasks)
    done = Redrive(
        sent=len(sent.fences),
        changed=dict(sent.changed),
        letters_deleted=deleted,
        letters_left=left,
        held_back=held_back,
        canary=canary,
    )
    results = {"sent": done.sent, "letters_deleted": deleted, "held_back": held_back}
    tasks.table.log_redrive(job.job_id, now=began, entry={**facts, "ended": True, **results})
    return done


def _send(
    rows: Sequence[TaskRow], job: JobRow, tasks: Tasks, *, pace: Pace, caution: Caution, sent: Sent
) -> tuple[Canary | None, int]:
    """Send the rows, the canary first; how that ended, and how many were held back."""

    def successor(row: TaskRow, now: float) -> TaskRow:
        return redriven(row, now=now)

    first, rest = split_canary(rows, caution.canary) if caution.canary else ([], list(rows))
    send_rows(first, successor, job, tasks, pace=pace, sent=sent)
    canary = None
    watched = [row for row in first if row.task_id in sent.fences]
    if watched:
        canary = watch_canary(
            watched, tasks.table, pace=pace, patience_seconds=caution.patience_seconds, tell=caution.tell
        )
        if not canary.passed:
            return canary, len(rest)
    send_rows(rest, successor, job, tasks, pace=pace, sent=sent)
    return canary, 0


def _clear(rows: Sequence[TaskRow], sent: Sent, job: JobRow, tasks: Tasks) -> tuple[int, tuple[Product, ...]]:
    deleted, left = 0, []
    for product in sorted({row.product for row in rows}):
        fences = {row.task_id: row.fence for row in rows if row.product is product and row.task_id in sent.fences}
        try:
            deleted += clear_letters(tasks.lane(product).dlq, job.job_id, fences)
        except Unavailable:
            left.append(product)
    return deleted, tuple(left)
