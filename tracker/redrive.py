"""Failed tasks once more: chosen from the rows, sent anew, and their old dead letters taken away."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from pydantic import ValidationError

from ard.adapters.queues import FENCE, Outgoing, Queue, Received
from ard.errors import Unavailable
from ard.product import Product
from ard.rows import JobRow, TaskRow, task_of
from ard.states import State
from ard.task import TileTask
from ard.tile import tile_key
from ard.transitions import redriven
from tracker.failures import Kind, kind_of
from tracker.services import Lane, Tasks

_WAVE = 100  # rows that are changed before their messages are sent
_SIDE_BY_SIDE = 8
_DRAIN_VISIBILITY_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which failed tasks are meant; an empty set means any. ``force`` takes permanent causes too."""

    products: Collection[Product] = ()
    causes: Collection[str] = ()
    tiles: Collection[str] = ()
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RedrivePlan:
    """What a redrive would do.

    Attributes:
        chosen: Failed rows to send again.
        permanent: Failed rows left alone, since trying again cannot help unless something was repaired.
        others: How many rows that match are in another state: they are never touched.
    """

    chosen: tuple[TaskRow, ...]
    permanent: tuple[TaskRow, ...]
    others: Mapping[State, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the log keeps of a redrive: who asked for it, why, and with which options."""

    who: str
    why: str
    filter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redrive:
    """What a redrive did.

    Attributes:
        sent: Tasks that are QUEUED again, their messages out.
        changed: Tasks that somebody else had changed meanwhile; left alone.
        letters_deleted: Dead letters of the sent tasks that were taken away.
        letters_left: Products whose dead-letter queue could not be cleared; what is left there does no harm.
    """

    sent: int
    changed: int
    letters_deleted: int
    letters_left: tuple[Product, ...]


def plan_redrive(rows: Iterable[TaskRow], wanted: Selection) -> RedrivePlan:
    """Choose among a job's rows."""
    chosen, permanent, others = [], [], dict.fromkeys(State, 0)
    for row in rows:
        if not _matches(row, wanted):
            continue
        if row.state is not State.FAILED:
            others[row.state] += 1
        elif kind_of(row) is Kind.PERMANENT and not wanted.force:
            permanent.append(row)
        else:
            chosen.append(row)
    return RedrivePlan(
        chosen=tuple(chosen),
        permanent=tuple(permanent),
        others={state: count for state, count in others.items() if count},
    )


def apply_redrive(plan: RedrivePlan, job: JobRow, tasks: Tasks, *, now: float, note: Note) -> Redrive:
    """Make the chosen rows QUEUED, send their messages, take their dead letters away, and log it with the ``note``.

    It can end at any point and lose nothing: a row that is QUEUED without a message is due for reconcile, a message
    that is there twice is absorbed by the claim, a dead letter that stays is told apart by its fence.

    Raises:
        InvalidInput: The deployment has no queue for a product; nothing was changed.
        Unavailable: The table or a queue cannot be reached.
    """
    by_product = {product: [row for row in plan.chosen if row.product is product] for product in Product}
    lanes = {product: tasks.lane(product) for product, rows in by_product.items() if rows}
    facts = {**asdict(note), "chosen": len(plan.chosen)}
    tasks.table.log_redrive(job.job_id, now=now, entry={**facts, "ended": False})
    sent, deleted, left = 0, 0, []
    for product, lane in lanes.items():
        fences = _send(by_product[product], job, tasks, lane, now=now)
        sent += len(fences)
        try:
            deleted += clear_letters(lane.dlq, job.job_id, fences)
        except Unavailable:
            left.append(product)
    done = Redrive(sent=sent, changed=len(plan.chosen) - sent, letters_deleted=deleted, letters_left=tuple(left))
    tasks.table.log_redrive(
        job.job_id, now=now, entry={**facts, "ended": True, "sent": done.sent, "letters_deleted": deleted}
    )
    return done


def clear_letters(dlq: Queue, job_id: str, fences: Mapping[str, int]) -> int:
    """Delete the dead letters of exactly these tasks, by id, up to their fence; how many. All others stay.

    Raises:
        Unavailable: The queue cannot be reached; what was received is visible again within a minute.
    """
    deleted, kept, left = 0, [], dlq.depth() if fences else 0
    while left > 0 and (batch := dlq.receive(visible_again_seconds=_DRAIN_VISIBILITY_SECONDS, wait_seconds=1)):
        left -= len(batch)
        for letter in batch:
            if _is_stale(letter, job_id, fences):
                dlq.delete(letter)
                deleted += 1
            else:
                kept.append(letter)
    for letter in kept:
        dlq.hide(letter.receipt, 0)
    return deleted


def _matches(row: TaskRow, wanted: Selection) -> bool:
    return (
        (not wanted.products or row.product in wanted.products)
        and (not wanted.causes or row.cause in wanted.causes)
        and (not wanted.tiles or tile_key(row.x_tile, row.y_tile) in wanted.tiles)
    )


def _send(rows: Sequence[TaskRow], job: JobRow, tasks: Tasks, lane: Lane, *, now: float) -> dict[str, int]:
    """Make rows QUEUED and send them, wave by wave; the fences of those that are out, by task."""

    def change(row: TaskRow) -> TaskRow | None:
        return row if tasks.table.replace(row, redriven(row, now=now)) else None

    fences: dict[str, int] = {}
    for start in range(0, len(rows), _WAVE):
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            changed = [row for row in pool.map(change, rows[start : start + _WAVE]) if row]
        lane.queue.send(
            Outgoing(body=task_of(row, job).model_dump_json(), group=job.job_id, attributes={FENCE: str(row.fence)})
            for row in changed
        )
        fences |= {row.task_id: row.fence for row in changed}
    return fences


def _is_stale(letter: Received, job_id: str, fences: Mapping[str, int]) -> bool:
    """Whether it is of a task that was just redriven, and from before that."""
    try:
        task = TileTask.model_validate_json(letter.body)
    except ValidationError:
        return False  # a poison body: it is there for a person to see
    if task.job_id != job_id or task.task_id not in fences:
        return False
    fence = letter.attributes.get(FENCE, "0")
    return fence.isascii() and fence.isdigit() and int(fence) <= fences[task.task_id]
