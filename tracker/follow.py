"""Reading a job's numbers, once or again and again until it has ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ard.adapters.status_table import StatusTable
from ard.errors import ArdError
from ard.product import Product
from ard.rows import Activity, JobRow, OddRow
from tracker.summary import JobSummary, summarise

OVERLAP_SECONDS = 60.0  # the index lags a little, and clocks differ
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
    """One job as seen so far: each read asks only for what has changed since the one before."""

    table: StatusTable
    job_id: str
    regions: Mapping[Product, str]
    _seen: dict[str, Activity] = field(default_factory=dict)
    _odd: dict[str, OddRow] = field(default_factory=dict)
    _read_at: float = 0.0
    _reads: int = 0

    def read(self, now: float) -> JobSummary:
        """The job as it is now; an end is believed only when the rows themselves say so.

        Raises:
            NoSuchJob: There is no such job.
            Unavailable: The table cannot be asked.
        """
        job = find_job(self.table, self.job_id)
        whole = self._reads % _READS_BETWEEN_WHOLE_ONES == 0
        if whole:
            self._odd.clear()
        since = 0.0 if whole else self._read_at - OVERLAP_SECONDS
        self._seen |= {row.task_id: row for row in self.table.activity(job, since, odd=self._note)}
        self._read_at, self._reads = now, self._reads + 1
        summary = self._summary(job, now, confirmed=False)
        if not summary.ended:
            return summary
        self._odd.clear()
        self._seen = {row.task_id: row for row in self.table.confirmed_activity(job, odd=self._note)}
        return self._summary(job, now, confirmed=True)

    def _note(self, odd: OddRow) -> None:
        self._odd[odd.key] = odd

    def _summary(self, job: JobRow, now: float, *, confirmed: bool) -> JobSummary:
        rows, odd = self._seen.values(), tuple(self._odd.values())
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
