"""A few tasks ahead of the others: those follow only when these have ended well."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from ard.adapters.status_table import StatusTable
from ard.rows import TaskRow
from ard.states import State
from tracker.sending import Pace

NEEDED_PART = 0.8  # of the canary has to end well
LOOK_SECONDS = 5.0
_WELL = {State.SUCCEEDED, State.SKIPPED, State.NO_DATA}


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """How a canary stands.

    Attributes:
        size: Its tasks.
        well: Ended as they should, NO_DATA among them.
        badly: Failed or cancelled, by cause.
        waiting: Not ended, by their cause or else their state.
    """

    size: int
    well: int
    badly: Mapping[str, int]
    waiting: Mapping[str, int]

    @property
    def passed(self) -> bool:
        """All have ended, enough of them well."""
        return not self.waiting and self.well >= NEEDED_PART * self.size

    @property
    def lost(self) -> bool:
        """However the rest ends, too many have ended badly."""
        return self.size - sum(self.badly.values()) < NEEDED_PART * self.size


def split_canary(rows: Sequence[TaskRow], size: int) -> tuple[list[TaskRow], list[TaskRow]]:
    """The rows to send first and the rest: every product and cause is among the first, as far as there is room."""
    groups: dict[tuple[str, str | None], list[TaskRow]] = {}
    for row in rows:
        groups.setdefault((row.product, row.cause), []).append(row)
    in_turn = [row for row in chain.from_iterable(zip_longest(*groups.values())) if row is not None]
    return in_turn[:size], in_turn[size:]


def watch_canary(
    rows: Collection[TaskRow],
    table: StatusTable,
    *,
    pace: Pace,
    patience_seconds: float,
    tell: Callable[[Canary], None],
) -> Canary:
    """Look at these rows until all have ended, too many have ended badly, or patience does; the last look.

    Raises:
        Unavailable: The table cannot be asked.
    """
    until = pace.clock() + patience_seconds
    while True:
        canary = _look([table.task(row.job_id, row.shard, row.task_id) or row for row in rows])
        tell(canary)
        left = until - pace.clock()
        if not canary.waiting or canary.lost or left <= 0:
            return canary
        pace.sleep(min(LOOK_SECONDS, left))


def _look(rows: Collection[TaskRow]) -> Canary:
    badly = [row for row in rows if row.state.terminal and row.state not in _WELL]
    waiting = [row for row in rows if not row.state.terminal]
    return Canary(
        size=len(rows),
        well=len(rows) - len(badly) - len(waiting),
        badly=Counter("cancelled" if row.state is State.CANCELLED else row.cause or "unknown" for row in badly),
        waiting=Counter(
            f"retrying after {row.cause}" if row.state is State.RETRYING else row.state.lower() for row in waiting
        ),
    )
