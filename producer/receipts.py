"""The answers to what is dropped in the inbox: JSON that people and programs read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ard.adapters.reopening import Resumed
from ard.cost import Estimate
from ard.product import Format, Product
from ard.rows import Command, JobRow
from ard.states import State
from producer.jobs import Started
from producer.request import RequestRejected, TileRequest

_SMALL_SUM_USD = 0.1
HOW_TO_FIX = (
    "Correct what is listed and drop the file again, under any name. Nothing was started. "
    'Tiles that are not in the tile index can be left out with {"$options": {"on_unknown_tile": "skip"}}.'
)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlacedProblem(_Answer):
    """One thing wrong, and where: a JSON pointer, empty for the whole file."""

    pointer: str
    message: str


class UnknownTiles(_Answer):
    """Tiles that were left out as asked; not all need be listed."""

    skipped: int
    listed: tuple[PlacedProblem, ...]


class EstimatedCost(_Answer):
    """A job's expected cost, US dollars."""

    low_usd: float
    expected_usd: float
    high_usd: float
    source: str


class Receipt(_Answer):
    """A request that is a job.

    ``status`` is ``existing`` when another request brought the same content first; ``held`` says why nothing runs.
    """

    version: Literal[1] = 1
    kind: Literal["receipt"] = "receipt"
    request: str
    request_version: str | None
    answered_at: datetime
    job_id: str
    status: Literal["created", "existing"]
    command: Command
    held: str | None
    created_at: datetime
    dest: str
    formats: tuple[Format, ...]
    overwrite: bool
    tiles: int
    tasks: dict[Product, int]
    duplicates: int
    unknown: UnknownTiles
    estimate: EstimatedCost
    max_cost_usd: float | None
    next: tuple[str, ...]


class Rejection(_Answer):
    """A request that is none: every problem, as far as the list goes, and how many there are in ``total``."""

    version: Literal[1] = 1
    kind: Literal["rejected"] = "rejected"
    request: str
    request_version: str | None
    answered_at: datetime
    total: int
    problems: tuple[PlacedProblem, ...]
    how_to_fix: str = HOW_TO_FIX


class Submission(_Answer):
    """What the command line did; ``counts`` only of a job that was followed."""

    version: Literal[1] = 1
    kind: Literal["submission"] = "submission"
    job_id: str
    status: Literal["created", "existing"]
    command: Command
    held: str | None
    dest: str
    tasks: dict[Product, int]
    chunks_sent: int
    estimate: EstimatedCost
    counts: dict[State, int] | None
    finished: bool | None
    next: tuple[str, ...]


class Reopening(_Answer):
    """A job that was approved or resumed, and how many messages went out for that."""

    version: Literal[1] = 1
    kind: Literal["reopening"] = "reopening"
    job_id: str
    command: Command
    chunks_sent: int
    tasks_sent: int
    next: tuple[str, ...]


def receipt(started: Started, request: TileRequest, *, key: str, version: str | None, now: float) -> Receipt:
    """The answer to a request that is a job; the same after a crash as without one."""
    job = started.job
    first = started.created or job.request_key == key
    return Receipt(
        request=key,
        request_version=version,
        answered_at=_moment(now),
        job_id=job.job_id,
        status="created" if first else "existing",
        command=job.command,
        held=why_held(job, started.estimate),
        created_at=_moment(job.created_at),
        dest=job.dest,
        formats=job.formats,
        overwrite=job.overwrite,
        tiles=len(request),
        tasks=dict(job.totals),
        duplicates=request.duplicates,
        unknown=unknown_tiles(request),
        estimate=estimated_cost(started.estimate),
        max_cost_usd=job.max_cost_usd,
        next=tuple(next_commands(job.job_id, job.command)),
    )


def rejection(error: RequestRejected, *, key: str, version: str | None, now: float) -> Rejection:
    """The answer to a request that is wrong."""
    return Rejection(
        request=key,
        request_version=version,
        answered_at=_moment(now),
        total=error.total,
        problems=tuple(PlacedProblem(pointer=one.place, message=one.message) for one in error.problems),
    )


def submission(started: Started, *, counts: Mapping[State, int] | None, finished: bool | None) -> Submission:
    """What came of a request on the command line."""
    job = started.job
    return Submission(
        job_id=job.job_id,
        status="created" if started.created else "existing",
        command=job.command,
        held=why_held(job, started.estimate),
        dest=job.dest,
        tasks=dict(job.totals),
        chunks_sent=started.chunks_sent,
        estimate=estimated_cost(started.estimate),
        counts=None if counts is None else dict(counts),
        finished=finished,
        next=tuple(next_commands(job.job_id, job.command)),
    )


def reopening(resumed: Resumed) -> Reopening:
    """What came of approving or resuming a job."""
    job = resumed.job
    return Reopening(
        job_id=job.job_id,
        command=job.command,
        chunks_sent=resumed.chunks_sent,
        tasks_sent=resumed.tasks_sent,
        next=tuple(next_commands(job.job_id, job.command)),
    )


def unknown_tiles(request: TileRequest) -> UnknownTiles:
    """The tiles that a request left out."""
    listed = tuple(PlacedProblem(pointer=one.place, message=one.message) for one in request.unknown)
    return UnknownTiles(skipped=request.skipped, listed=listed)


def estimated_cost(estimate: Estimate) -> EstimatedCost:
    """An estimate to the hundredth of a cent."""
    return EstimatedCost(
        low_usd=round(estimate.low_usd, 4),
        expected_usd=round(estimate.expected_usd, 4),
        high_usd=round(estimate.high_usd, 4),
        source=estimate.source,
    )


def why_held(job: JobRow, estimate: Estimate) -> str | None:
    """Why a job does not run, for a person; None when nothing holds it."""
    match job.command:
        case Command.AWAITING_APPROVAL:
            return over_cap(estimate.high_usd, job.max_cost_usd)
        case Command.PAUSED | Command.CANCELLED:
            return f"The job is {job.command}."
        case Command.OPEN:
            return None


def over_cap(high_usd: float, cap_usd: float | None) -> str:
    """Why a job waits for approval; the cap is the request's or, when that is lower or alone, the deployment's."""
    cap = "its cap" if cap_usd is None else f"its cap of {dollars(cap_usd)}"
    return f"The job may cost up to {dollars(high_usd)}, more than {cap}: it waits until somebody approves it."


def dollars(usd: float) -> str:
    """US dollars to the cent, small sums to the hundredth of one."""
    return f"${usd:,.2f}" if usd == 0 or usd >= _SMALL_SUM_USD else f"${usd:,.4f}"


def next_commands(job_id: str, command: Command) -> list[str]:
    """What a person can do about a job: let it run when it waits, and follow it."""
    opening = {
        Command.AWAITING_APPROVAL: [f"producer approve --job {job_id}"],
        Command.PAUSED: [f"producer resume --job {job_id}"],
    }
    return [*opening.get(command, []), f"tracker status --job {job_id}"]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
