"""What must hold of every task, whatever happened: looked for in what was written, and in what is there at the end."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from ard.adapters.outputs import Verify, look
from ard.adapters.queues import FENCE, Received
from ard.adapters.store import Store
from ard.adapters.table_items import to_task
from ard.adapters.wire import deserialise
from ard.rows import TaskRow
from ard.states import State
from ard.task import TileTask
from tests.faults.proxy import Forward, Reply, Request

_MADE = {State.SUCCEEDED, State.NO_DATA, State.FAILED}  # ends that only the holder of the claim may write


class Promise(StrEnum):
    """What is promised."""

    NOT_LOST = "every task ends"
    COMPLETE = "SUCCEEDED means that the whole output is there"
    NO_WAY_BACK = "an end stays"
    ONE_COMMIT = "one attempt is committed"
    FENCED = "each claim has the next fence, and only its holder ends it"
    RIGHT_STATE = "the task ends as its sources say"
    LETTER = "what failed has its dead letter, and nothing else has one"
    RECEIPT = "every request is answered"
    CANCELLED_STAYS_SO = "nothing of a cancelled job starts later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A promise that does not hold, and where."""

    promise: Promise
    what: str


class Ledger:
    """Every task row that was written, in the order in which the table took them; sits before the table."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[TaskRow]] = defaultdict(list)
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()

    def watching(self, forward: Forward) -> Forward:
        """An upstream whose successful puts of task rows are noted, also when nobody hears of them."""

        def watched(request: Request) -> Reply:
            item = request.document["Item"] if request.operation == "PutItem" else {}
            if not item.get("SK", {}).get("S", "").startswith("TASK#"):
                return forward(request)
            with self._lock:
                lock = self._locks[item["PK"]["S"] + item["SK"]["S"]]
            with lock:  # one after the other, so that the order of the notes is the table's
                reply = forward(request)
                if reply.status == 200:
                    self.note(to_task(deserialise(item)))
            return reply

        return watched

    def note(self, row: TaskRow) -> None:
        """Enter a row that was written."""
        with self._lock:
            self._rows[row.job_id, row.task_id].append(row)

    def histories(self) -> list[list[TaskRow]]:
        """The rows of each task, in order."""
        with self._lock:
            return [list(rows) for rows in self._rows.values()]

    def states(self, job_id: str) -> list[State]:
        """How the tasks of a job stand."""
        with self._lock:
            return [rows[-1].state for (job, _), rows in self._rows.items() if job == job_id]


def broken_by_history(histories: Iterable[Sequence[TaskRow]]) -> list[Broken]:
    """What the rows of each task, in the order in which they were written, break."""
    return [broken for rows in histories for broken in _broken_by_rows(rows)]


def broken_by_end(
    expected: Mapping[str, frozenset[str]], rows: Mapping[str, TaskRow], tasks: Mapping[str, TileTask], store: Store
) -> list[Broken]:
    """What the rows and outputs of a job break at its end.

    Args:
        expected: How each task may end, by its id: states, ``FAILED`` with its cause.
        rows: The rows that there are.
        tasks: The job's tasks.
        store: Of its outputs.
    """
    broken = []
    for task_id, ends in expected.items():
        row = rows.get(task_id)
        if row is None or not row.state.terminal:
            broken.append(Broken(promise=Promise.NOT_LOST, what=f"{task_id}: {row and row.state}"))
        elif _end(row) not in ends:
            what = f"{task_id}: expected {', '.join(sorted(ends))}, found {row.state} ({row.cause}: {row.message})"
            broken.append(Broken(promise=Promise.RIGHT_STATE, what=what))
        if row is not None and row.state in {State.SUCCEEDED, State.SKIPPED}:
            seen = look(tasks[task_id], store, verify=Verify.FULL)
            if seen.output is None:
                broken.append(Broken(promise=Promise.COMPLETE, what=f"{task_id}: {seen.damage or 'nothing there'}"))
    return broken


def broken_by_letters(rows: Iterable[TaskRow], letters: Iterable[Received]) -> list[Broken]:
    """What the dead letters break, given the rows at the end."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    broken = []
    for letter in letters:
        if letter.attributes.get("cause") == "poison":
            broken.append(Broken(promise=Promise.LETTER, what=f"a body that is no task: {letter.body[:80]}"))
            continue
        task = TileTask.model_validate_json(letter.body)
        found[task.job_id, task.task_id].add(letter.attributes.get(FENCE, ""))
    for row in rows:
        fences = found.pop((row.job_id, row.task_id), set())
        if (row.state is State.FAILED) != bool(fences) or (fences and str(row.fence) not in fences):
            what = f"{row.task_id}: {row.state} with fence {row.fence}, letters of fences {sorted(fences)}"
            broken.append(Broken(promise=Promise.LETTER, what=what))
    return broken + [Broken(promise=Promise.LETTER, what=f"{key}: a letter without a row") for key in found]


def claims(histories: Iterable[Sequence[TaskRow]], job_id: str) -> list[TaskRow]:
    """The rows of a job that were written by claiming them."""
    return [row for rows in histories for row in rows if row.job_id == job_id and row.state is State.RUNNING]


def _broken_by_rows(rows: Sequence[TaskRow]) -> Iterator[Broken]:
    commits = 0
    for before, after in pairwise(rows):
        where = f"{before.task_id}: {before.state} {before.fence} to {after.state} {after.fence}"
        if _same_word(before, after):
            continue
        if before.state.terminal:
            yield Broken(promise=Promise.NO_WAY_BACK, what=where)
        if after.state in _MADE:
            commits += 1
            if before.state is not State.RUNNING or before.fence != after.fence:
                yield Broken(promise=Promise.FENCED, what=where)
        if after.fence != before.fence + (after.state is State.RUNNING):
            yield Broken(promise=Promise.FENCED, what=where)
    if commits > 1:
        yield Broken(promise=Promise.ONE_COMMIT, what=f"{rows[0].task_id}: {commits} commits")


def _end(row: TaskRow) -> str:
    return f"{row.state} {row.cause}" if row.state is State.FAILED else str(row.state)


def _same_word(before: TaskRow, after: TaskRow) -> bool:
    """The same row once more, but for who looks after it when."""
    return before.state.terminal and (before.state, before.fence, before.attempts) == (
        after.state,
        after.fence,
        after.attempts,
    )
