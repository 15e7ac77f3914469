"""A job in numbers, and the newest jobs, for people."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ard.adapters.console import count, plain
from ard.errors import Auth, Unavailable
from ard.rows import Command, JobRow
from ard.states import State
from tracker.documents.make import moment
from tracker.next_steps import trouble_step
from tracker.show.common import grid, words
from tracker.summary import Counts, JobSummary, Trouble
from tracker.wording import span, usd

WIDE = 100  # columns of a terminal that has room for regions and progress bars
NARROW = 80  # with less, a line per product has room where a table has none
_BAR = 20
_PRODUCT_WIDTH = 17  # of its name and its progress in per cent
_RARE = {"Stall", "Cancel"}


def status_view(summary: JobSummary, *, width: int, unicode: bool) -> Group:
    """A job in numbers: a table with bars, without them, or, where there is little room, lines."""
    columns = _columns(summary.counts, wide=width >= WIDE)
    needed = _PRODUCT_WIDTH + sum(2 + max(len(name), len(f"{number:,}")) for name, number in columns.items())
    if width >= WIDE or needed <= width >= NARROW:
        counted: list[RenderableType] = [_table(summary, list(columns), wide=width >= WIDE, unicode=unicode)]
    else:
        counted = [*_lines(summary)]
    return Group(words(headline(summary)), *counted, *map(words, facts(summary)), *map(words, advice(summary)))


def headline(summary: JobSummary) -> str:
    """A job in one line."""
    job = summary.job
    cap = "" if job.max_cost_usd is None else f" (cap ${job.max_cost_usd:,.2f})"
    parts = [
        f"Job {job.job_id}",
        str(summary.outcome),
        f"{span(max(summary.as_of - job.created_at, 0))} since it came in",
        f"{summary.counts.progress:.1%} of {count(summary.counts.total, 'task')}",
        f"dest {job.dest}",
    ]
    if summary.tasks_per_minute and not summary.ended:
        parts.append(f"{summary.tasks_per_minute:,.1f} tasks/min")
    if summary.eta_seconds:
        soonest, latest = map(span, summary.eta_seconds)
        parts.append(f"ETA {soonest} - {latest}" if soonest != latest else f"ETA about {latest}")
    parts.append(f"{usd(summary.spent_usd)} of est. {usd(job.estimate_usd)}{cap}")
    return "   ".join(parts)


def facts(summary: JobSummary) -> Iterator[str]:
    """How far the tiles have come, and what holds the job up."""
    tiles = summary.tiles
    parts = [f"Tiles: {tiles.complete:,} complete, {tiles.in_progress:,} in progress, {tiles.blocked:,} blocked"]
    if summary.slowest:
        parts.append(f"Slowest: {summary.slowest.product}, {summary.slowest.tasks_per_minute:,.1f} tasks/min")
    if summary.oldest:
        parts.append(f"Oldest running: {summary.oldest.task_id}, {span(summary.oldest.seconds)}")
    yield "   ".join(parts)


def advice(summary: JobSummary) -> list[str]:
    """What is wrong or to be done, each line with the command for it."""
    job, counts = summary.job.job_id, summary.counts
    lines = []
    if summary.job.command is Command.AWAITING_APPROVAL:
        lines.append(f"! waits for approval: producer approve --job {job}")
    if summary.job.command is Command.PAUSED:
        lines.append(f"! paused: producer resume --job {job}")
    if summary.odd:
        lines.append(
            f"! odd rows: {len(summary.odd):,}, such as {summary.odd[0].key}; counted as queued: tracker doctor"
        )
    if counts.failed:
        lines.append(f"! {counts.failed:,} failed ({_causes(summary, State.FAILED)}): tracker failures --job {job}")
    if counts.stalled:
        lines.append(f"! {counts.stalled:,} stalled, their workers are gone: tracker reconcile --job {job}")
    lines += [_retrying(trouble, job) for trouble in summary.trouble if trouble.state is State.RETRYING]
    if counts.no_data:
        lines.append(f"  {counts.no_data:,} without data, which is a result: tracker failures --job {job}")
    if summary.ended:
        lines.append(f"  ended: tracker report --job {job}")
    return lines


def jobs_view(jobs: Sequence[JobRow]) -> Table:
    """The newest jobs, newest first."""
    table = grid(["Job", "Wanted", "Created"], ["Tasks", "Est. cost"], ["Products", "Dest"])
    for job in jobs:
        products = ", ".join(f"{product} {tasks:,}" for product, tasks in sorted(job.totals.items()))
        created, cost = moment(job.created_at), usd(job.estimate_usd)
        table.add_row(words(job.job_id), job.command, created, f"{job.tasks:,}", cost, products, words(job.dest))
    return table


def _columns(counts: Counts, *, wide: bool) -> dict[str, int]:
    """The counts that are shown: without the rare ones that are nought, and where there is little room, without any."""
    numbers = _numbers(counts).items()
    return {name: number for name, number in numbers if number or name == "Total" or (wide and name not in _RARE)}


def _table(summary: JobSummary, columns: Sequence[str], *, wide: bool, unicode: bool) -> Table:
    table = grid(["Product", *(["Region"] if wide else [])], columns, ["Progress"])
    for name, region, counts in _parts(summary):
        numbers = _numbers(counts)
        cells = [Text(f"{numbers[column]:,}", style=_style(column, numbers[column])) for column in columns]
        table.add_row(name, *([words(region)] if wide else []), *cells, _progress(counts, bar=wide, unicode=unicode))
    return table


def _lines(summary: JobSummary) -> Iterator[Text]:
    for name, _, counts in _parts(summary):
        numbers = {label: number for label, number in _numbers(counts).items() if number and label != "Total"}
        told = ", ".join(f"{number:,} {label.lower()}" for label, number in numbers.items())
        yield Text(
            f"{name:4} {_progress(counts, bar=False, unicode=False)} of {counts.total:,}: {told or 'nothing yet'}"
        )


def _parts(summary: JobSummary) -> Iterator[tuple[str, str, Counts]]:
    for product in summary.products:
        yield str(product.product), product.region, product.counts
    if len(summary.products) > 1:
        yield "all", "", summary.counts


def _numbers(counts: Counts) -> dict[str, int]:
    return {
        "Done": counts.done,
        "Skip": counts.skipped,
        "NoData": counts.no_data,
        "Run": counts.running,
        "Retry": counts.retrying,
        "Queue": counts.queued,
        "Fail": counts.failed,
        "Stall": counts.stalled,
        "Cancel": counts.cancelled,
        "Total": counts.total,
    }


def _style(column: str, number: int) -> str:
    return {"Fail": "bold red", "Stall": "bold red", "Retry": "yellow"}.get(column, "") if number else "dim"


def _progress(counts: Counts, *, bar: bool, unicode: bool) -> str:
    filled = int(counts.progress * _BAR)
    full, empty = ("█", "░") if unicode else ("#", ".")
    percent = f"{int(counts.progress * 1000) / 10:5.1f}%"  # rounded down: 100 % means all
    return f"{full * filled}{empty * (_BAR - filled)} {percent}" if bar else percent


def _causes(summary: JobSummary, state: State) -> str:
    found = [trouble for trouble in summary.trouble if trouble.state is state]
    return ", ".join(f"{plain(trouble.cause)} {trouble.tasks:,}" for trouble in found)


def _retrying(trouble: Trouble, job_id: str) -> str:
    products, step = " and ".join(trouble.products), trouble_step(trouble, job_id)
    if trouble.cause == Auth.cause:
        return f"! {trouble.tasks:,} of {products} wait, a provider refuses our credentials ({trouble.cause}): {step}"
    if trouble.cause == Unavailable.cause:
        return f"! {trouble.tasks:,} of {products} wait for a provider ({trouble.cause}), no attempts used: {step}"
    return f"  {trouble.tasks:,} of {products} will be tried again ({trouble.cause}): {step}"
