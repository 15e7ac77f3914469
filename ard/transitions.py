"""The life of a task, as pure functions from one row to the next.

Who writes the result does so under the condition that the row has not changed since it was read.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from pydantic import JsonValue

from ard.errors import ArdError, NoData, Permanent, Unavailable
from ard.rows import Attempt, Command, TaskRow
from ard.states import State

LEASE_MARGIN_SECONDS = 15.0  # past the worker's deadline: clocks differ, and a last write takes its time
VISIBILITY_MARGIN_SECONDS = 60.0  # a message comes back only after its lease
PATIENCE_SECONDS = 900.0  # past the moment a worker should have been heard of, before reconcile steps in
QUEUED_PATIENCE_SECONDS = 6 * 3600.0  # a message may wait long in a deep queue; sending it again is harmless
FREE_WAIT_SECONDS = 24 * 3600.0  # a provider's outage costs no attempts for so long
RETRY_BASE_SECONDS = 15.0
RETRY_CAP_SECONDS = 900.0
KEPT_ATTEMPTS = 5
MESSAGE_CHARACTERS = 300


class Action(StrEnum):
    """What to do with a message."""

    WORK = "work"
    ACKNOWLEDGE = "acknowledge"
    DEAD_LETTER = "dead_letter"  # send the copy, then acknowledge
    WAIT = "wait"  # do not acknowledge; visible again at ``until``


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a delivery of a message leads to; ``row`` is to be written first, when there is one."""

    action: Action
    row: TaskRow | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of a task's message to a worker.

    Attributes:
        owner: The worker's request id.
        now: When.
        lease_until: Until when this worker may work.
        fence: The fence attribute of a dead-letter copy; None on a plain message.
        max_attempts: Attempts that may count.
        gb: The worker's memory.
    """

    owner: str
    now: float
    lease_until: float
    fence: int | None
    max_attempts: int
    gb: float


def decide(row: TaskRow, command: Command, delivery: Delivery) -> Decision:  # noqa: PLR0911 - a row of the table each
    """What a delivery means for a task in this state, per the consumer's contract."""
    now = delivery.now
    if row.state.settled:
        return Decision(action=Action.ACKNOWLEDGE)
    if row.state is State.FAILED and delivery.fence != row.fence:
        return Decision(action=Action.DEAD_LETTER)
    leased = row.state is State.RUNNING and (row.lease_until or 0) > now
    if command is not Command.OPEN:
        return Decision(action=Action.ACKNOWLEDGE, row=None if leased else set_aside(row, command, now))
    if leased:
        return Decision(action=Action.WAIT, until=row.lease_until)
    if row.state is State.RETRYING and (row.not_before or 0) > now:
        return Decision(action=Action.WAIT, until=row.not_before)
    if row.state is State.RUNNING:
        row = crashed(row, max_attempts=delivery.max_attempts, now=now)
        if row.state is State.FAILED:
            return Decision(action=Action.DEAD_LETTER, row=row)
    if row.state is State.FAILED:  # a redriven copy: a budget of its own
        row = replace(row, charged=0, waits=0, waiting_since=None)
    return Decision(action=Action.WORK, row=claimed(row, delivery))


def claimed(row: TaskRow, delivery: Delivery) -> TaskRow:
    """RUNNING, owned by the worker until its lease ends."""
    return replace(
        row,
        state=State.RUNNING,
        fence=row.fence + 1,
        owner=delivery.owner,
        started_at=delivery.now,
        lease_until=delivery.lease_until,
        check_after=delivery.lease_until + VISIBILITY_MARGIN_SECONDS + PATIENCE_SECONDS,
        not_before=None,
        parked=False,
        updated_at=delivery.now,
    )


def crashed(row: TaskRow, *, max_attempts: int, now: float) -> TaskRow:
    """The row of a worker that died: QUEUED again, or FAILED when that was the last attempt."""
    charged = row.charged + 1
    failed = charged >= max_attempts
    return replace(
        row,
        state=State.FAILED if failed else State.QUEUED,
        charged=charged,
        cause="crashed",
        message="the worker died without a word: out of memory, killed or out of time",
        check_after=None if failed else now + QUEUED_PATIENCE_SECONDS,
        attempts=_attempts(row, ended=row.lease_until or now, outcome="crashed"),
        updated_at=now,
    )


def finished(
    row: TaskRow, item: str, *, flags: Iterable[str], digest: Mapping[str, JsonValue], now: float, gb: float
) -> TaskRow:
    """SUCCEEDED, with what there is to know of the output."""
    return replace(
        _worked(row, now=now, gb=gb, outcome=State.SUCCEEDED),
        state=State.SUCCEEDED,
        item=item,
        flags=tuple(sorted(flags)),
        digest=digest,
        cause=None,
        message=None,
        check_after=None,
        waits=0,
        waiting_since=None,
    )


def after_error(
    row: TaskRow, error: BaseException, delivery: Delivery, *, now: float, uniform: Callable[[float, float], float]
) -> TaskRow:
    """The row after an attempt that raised: NO_DATA, FAILED or RETRYING, by the error's type.

    ``uniform(low, high)`` draws the jitter of the next attempt's time.
    Unknown errors are bugs of ours or of a library: cause ``internal``, retried like transient ones.
    """
    cause = error.cause if isinstance(error, ArdError) else "internal"
    message = str(error) if isinstance(error, ArdError) else f"{type(error).__name__}: {error}"
    told = replace(
        _worked(row, now=now, gb=delivery.gb, outcome=cause),
        cause=cause,
        message=message[:MESSAGE_CHARACTERS],
        check_after=None,
    )
    if isinstance(error, NoData):
        return replace(told, state=State.NO_DATA)
    if isinstance(error, Permanent):
        return replace(told, state=State.FAILED, charged=row.charged + 1)
    waiting_since = row.waiting_since or now
    if isinstance(error, Unavailable) and now - waiting_since < FREE_WAIT_SECONDS:
        cap = min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS * 2 ** min(row.waits + 1, 16))
        return _retrying(replace(told, waits=row.waits + 1, waiting_since=waiting_since), now + uniform(cap / 2, cap))
    charged = row.charged + 1
    if charged >= delivery.max_attempts:
        return replace(told, state=State.FAILED, charged=charged)
    cap = min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS * 2 ** min(charged, 16))
    return _retrying(replace(told, charged=charged, waits=0, waiting_since=None), now + uniform(0, cap))


def redriven(row: TaskRow, *, now: float) -> TaskRow:
    """QUEUED with a fresh budget; the fence stays, so that stale copies are told apart."""
    return replace(
        row,
        state=State.QUEUED,
        charged=0,
        waits=0,
        waiting_since=None,
        owner=None,
        parked=False,
        check_after=now + PATIENCE_SECONDS,
        updated_at=now,
    )


def unmade(row: TaskRow, *, damage: str, now: float) -> TaskRow:
    """QUEUED with a fresh budget, because the output that was recorded is not there any more; the fence stays."""
    again = redriven(row, now=now)
    return replace(again, cause="output_lost", message=damage[:MESSAGE_CHARACTERS], item=None, flags=(), digest={})


def recovered(row: TaskRow, item: str, *, flags: Iterable[str], digest: Mapping[str, JsonValue], now: float) -> TaskRow:
    """SUCCEEDED, by a complete output that was found although nobody had recorded it; no attempt is entered."""
    return replace(
        row,
        state=State.SUCCEEDED,
        item=item,
        flags=tuple(sorted(flags)),
        digest=digest,
        cause=None,
        message=None,
        owner=None,
        lease_until=None,
        not_before=None,
        check_after=None,
        waits=0,
        waiting_since=None,
        updated_at=now,
    )


def set_aside(row: TaskRow, command: Command, now: float) -> TaskRow:
    """The row of a job that does not want it now: parked until resumed, or cancelled for good."""
    if command is Command.CANCELLED:
        return replace(row, state=State.CANCELLED, check_after=None, updated_at=now)
    return replace(row, state=State.QUEUED, parked=True, check_after=None, updated_at=now)


def _retrying(row: TaskRow, not_before: float) -> TaskRow:
    return replace(row, state=State.RETRYING, not_before=not_before, check_after=not_before + PATIENCE_SECONDS)


def _worked(row: TaskRow, *, now: float, gb: float, outcome: str) -> TaskRow:
    """The row with the attempt that just ended entered."""
    seconds = max(now - (row.started_at or now), 0.0)
    return replace(
        row,
        seconds=round(seconds, 3),
        gb_seconds=round(row.gb_seconds + seconds * gb, 3),
        attempts=_attempts(row, ended=now, outcome=outcome),
        owner=None,
        lease_until=None,
        updated_at=now,
    )


def _attempts(row: TaskRow, *, ended: float, outcome: str) -> tuple[Attempt, ...]:
    last = Attempt(worker=row.owner or "", started=row.started_at or ended, ended=ended, outcome=outcome)
    return (*row.attempts, last)[-KEPT_ATTEMPTS:]
