"""Reading a job's numbers, once or again and again until it has ended."""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from ard.adapters.status_table import StatusTable
from ard.errors import ArdError
from ard.product import Product
from ard.rows import Activity, JobRow, OddRow
from tracker.summary import JobSummary, summarise

LOOK_SECONDS = 1.0
OVERLAP_SECONDS = 60.0  # the index lags a little, and clocks differ
_SIDE_BY_SIDE = 4
_READS_BETWEEN_WHOLE_ONES = 60  # heals whatever a clock further off than that has hidden


class NoSuchJob(ArdError):
    """The table has no job of that name."""

    cause = "no_such_job"


def find_job(table: StatusTable, job_id: str) -> JobRow:
    """A job's row.

    Raises:
        NoSuchJob: There is none.
    """
    job = table.job(job_id)
    if job is None:
        raise NoSuchJob(f"no job {job_id} in table {table.name}; to see the newest: tracker jobs")
    return job


@dataclass(slots=True, kw_only=True)
class Follower:
    """One job as seen so far: each look asks only for what has changed since the one before.

    The first look reads everything. A later one asks no further partition once ``LOOK_SECONDS`` are over, so that it
    stays short whatever the table; those that were not asked come first in the next one, and ``as_of`` says how old
    the oldest part of the numbers is.

    Attributes:
        clock: Seconds from any moment on, to measure looks with.
    """

    table: StatusTable
    job_id: str
    regions: Mapping[Product, str]
    clock: Callable[[], float]
    _seen: dict[str, Activity] = field(default_factory=dict)
    _odd: dict[int, dict[str, OddRow]] = field(default_factory=dict)  # by partition, as what follows
    _read_at: dict[int, float] = field(default_factory=dict)
    _reads: Counter[int] = field(default_factory=Counter)

    def read(self, now: float) -> JobSummary:
        """The job as it is now; an end is believed only when the rows themselves say so.

        Raises:
            NoSuchJob: There is no such job.
            Unavailable: The table cannot be asked.
        """
        job = find_job(self.table, self.job_id)
        self._look(job, now)
        summary = self._summary(job, min(self._read_at.values()), confirmed=False)
        if not summary.ended:
            return summary
        odd: list[OddRow] = []
        self._seen = {row.task_id: row for row in self.table.confirmed_activity(job, odd=odd.append)}
        self._odd = {0: {row.key: row for row in odd}}
        return self._summary(job, now, confirmed=True)

    def _look(self, job: JobRow, now: float) -> None:
        waiting: SimpleQueue[int] = SimpleQueue()
        for shard in sorted(range(job.shards), key=lambda shard: self._read_at.get(shard, 0.0)):
            waiting.put(shard)
        over = self.clock() + LOOK_SECONDS if self._reads else float("inf")

        def read_on(_: int) -> None:
            while self.clock() < over and not waiting.empty():
                try:
                    self._read_shard(job, waiting.get_nowait(), now)
                except Empty:
                    return

        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            list(pool.map(read_on, range(_SIDE_BY_SIDE)))

    def _read_shard(self, job: JobRow, shard: int, now: float) -> None:
        whole = self._reads[shard] % _READS_BETWEEN_WHOLE_ONES == 0
        since = 0.0 if whole else self._read_at[shard] - OVERLAP_SECONDS
        odd: list[OddRow] = []
        rows = self.table.changes(job, shard, since=since, odd=odd.append)
        known = {} if whole else self._odd[shard]
        self._odd[shard] = known | {row.key: row for row in odd}
        self._seen.update((row.task_id, row) for row in rows)
        self._read_at[shard] = now
        self._reads[shard] += 1

    def _summary(self, job: JobRow, now: float, *, confirmed: bool) -> JobSummary:
        rows = self._seen.values()
        odd = tuple(row for of_shard in self._odd.values() for row in of_shard.values())
        return summarise(job, rows, now=now, regions=self.regions, confirmed=confirmed, odd=odd)


def follow(
    read: Callable[[], JobSummary],
    *,
    show: Callable[[JobSummary], None],
    sleep: Callable[[float], None],
    refresh_seconds: float,
) -> JobSummary:
    """Read and show until every task is terminal; the last summary."""
    summary = read()
    show(summary)
    while not summary.ended:
        sleep(refresh_seconds)
        summary = read()
        show(summary)
    return summary
