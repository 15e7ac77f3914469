"""What the tracker knows, for people: tables and lines that say what to type next."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from ard.adapters.console import count
from ard.rows import Command, JobRow
from ard.states import State
from tracker.documents import moment
from tracker.failures import FailureGroup, Kind
from tracker.reconcile import ReconcileResult, Step
from tracker.redrive import Redrive, RedrivePlan
from tracker.summary import Counts, JobSummary, Trouble

WIDE = 100  # columns of a terminal that has room for regions and progress bars
NARROW = 80
PLAIN_WIDTH = 160  # where there is no terminal
_BAR = 20

_MEANINGS = {
    Step.RESENT: "nobody had taken the message; sent again",
    Step.RETRIED: "the retry was overdue; sent again",
    Step.REVIVED: "the worker had died; sent again",
    Step.FAILED: "the worker had died for the last time",
    Step.PARKED: "the job is paused",
    Step.CANCELLED: "the job is cancelled",
    Step.PUT_OFF: "nothing to do yet",
    Step.CHUNK_SENT: "the chunk's message was lost; sent again",
}


def results_console() -> Console:
    """A console on what is stdout now; without a terminal it is wide, and nothing is coloured."""
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, emoji=False, width=PLAIN_WIDTH)


def status_view(summary: JobSummary, *, width: int, unicode: bool) -> Group:
    """A job in numbers; with regions and bars where there is room, without empty columns where there is little."""
    wide = width >= WIDE
    everything = _numbers(summary.counts)
    columns = [name for name, number in everything.items() if number or width >= NARROW or name == "Total"]
    table = _table(["Product", *(["Region"] if wide else [])], columns, ["Progress"])
    lines = [(str(product.product), product.region, product.counts) for product in summary.products]
    if len(lines) > 1:
        lines.append(("all", "", summary.counts))
    for name, region, counts in lines:
        numbers = _numbers(counts)
        cells = [Text(f"{numbers[column]:,}", style=_style(column, numbers[column])) for column in columns]
        table.add_row(name, *([region] if wide else []), *cells, _progress(counts, bar=wide, unicode=unicode))
    return Group(Text(headline(summary)), table, *map(Text, advice(summary)))


def headline(summary: JobSummary) -> str:
    """A job in one line."""
    job = summary.job
    cap = "" if job.max_cost_usd is None else f" (cap ${job.max_cost_usd:,.2f})"
    parts = [
        f"Job {job.job_id}",
        str(summary.outcome),
        f"{_span(max(summary.as_of - job.created_at, 0))} since it came in",
        f"{summary.counts.progress:.1%} of {count(summary.counts.total, 'task')}",
        f"dest {job.dest}",
    ]
    if summary.tasks_per_minute and not summary.ended:
        parts.append(f"{summary.tasks_per_minute:,.1f} tasks/min")
    if summary.eta_seconds:
        soonest, latest = map(_span, summary.eta_seconds)
        parts.append(f"ETA {soonest} - {latest}" if soonest != latest else f"ETA about {latest}")
    parts.append(f"{_usd(summary.spent_usd)} of est. {_usd(job.estimate_usd)}{cap}")
    return "   ".join(parts)


def advice(summary: JobSummary) -> list[str]:
    """What is wrong or to be done, each line with the command for it."""
    job, counts = summary.job.job_id, summary.counts
    lines = []
    if summary.job.command is Command.AWAITING_APPROVAL:
        lines.append(f"! waits for approval: producer approve --job {job}")
    if summary.job.command is Command.PAUSED:
        lines.append(f"! paused: producer resume --job {job}")
    if counts.failed:
        lines.append(f"! {counts.failed:,} failed ({_causes(summary, State.FAILED)}): tracker failures --job {job}")
    if counts.stalled:
        lines.append(f"! {counts.stalled:,} stalled, their workers are gone: tracker reconcile --job {job}")
    if counts.retrying:
        lines.append(f"  {counts.retrying:,} will be tried again ({_causes(summary, State.RETRYING)})")
    if counts.no_data:
        lines.append(f"  {counts.no_data:,} without data, which is a result: tracker failures --job {job}")
    if summary.ended:
        lines.append(f"  ended: tracker report --job {job}")
    return lines


def jobs_view(jobs: Sequence[JobRow]) -> Table:
    """The newest jobs, newest first."""
    table = _table(["Job", "Wanted", "Created"], ["Tasks", "Est. cost"], ["Products", "Dest"])
    for job in jobs:
        products = ", ".join(f"{product} {tasks:,}" for product, tasks in sorted(job.totals.items()))
        created = moment(job.created_at)
        cost = _usd(job.estimate_usd)
        table.add_row(job.job_id, str(job.command), created, f"{job.tasks:,}", cost, products, job.dest)
    return table


def failures_view(groups: Sequence[FailureGroup]) -> Group:
    """Failures by what they have in common, then what to do about each."""
    table = _table(["#", "Cause", "Signature", "Class", "Prod"], ["Tasks"], ["First-last (UTC)", "Sample"])
    for number, group in enumerate(groups, start=1):
        times = _times(group.first_at, group.last_at)
        kind, product = str(group.kind), str(group.product)
        tasks = f"{group.tasks:,}"
        table.add_row(str(number), group.cause, group.signature, kind, product, tasks, times, group.sample)
    steps = [Text(f"{number}  {group.next_step}") for number, group in enumerate(groups, start=1)]
    return Group(table, Text("Next"), *steps)


def failure_counts(groups: Iterable[FailureGroup]) -> tuple[int, int]:
    """How many tasks failed, and how many have no data."""
    listed = list(groups)
    without = sum(group.tasks for group in listed if group.kind is Kind.NO_DATA)
    return sum(group.tasks for group in listed) - without, without


def plan_lines(plan: RedrivePlan) -> Iterator[str]:
    """What a redrive would do."""
    failed = len(plan.chosen) + len(plan.permanent)
    yield "Plan (nothing sent yet)"
    yield f"  {failed:,} failed: {len(plan.chosen):,} to send again, {len(plan.permanent):,} left"
    if plan.permanent:
        causes = ", ".join(sorted({row.cause or "unknown" for row in plan.permanent}))
        yield f"  left: {causes}; trying again cannot help until what the messages name is repaired"
    if plan.others:
        others = ", ".join(f"{tasks:,} {state.lower().replace('_', ' ')}" for state, tasks in plan.others.items())
        yield f"  never touched: {others}"


def redrive_lines(done: Redrive) -> Iterator[str]:
    """What a redrive did."""
    yield f"sent {done.sent:,}   changed meanwhile {done.changed:,}   dead letters taken away {done.letters_deleted:,}"
    for product in done.letters_left:
        yield f"the dead-letter queue of {product} could not be cleared; what is left there does no harm"


def reconcile_lines(result: ReconcileResult) -> Iterator[str]:
    """What a reconcile did."""
    for step, rows in sorted(result.rows.items()):
        yield f"{step:12}{rows:>8,}   {_MEANINGS[step]}"
    if result.requests:
        yield f"{'requests':12}{result.requests:>8,}   nobody had answered; announced again"
    if not result.rows and not result.requests:
        yield "nothing was due"


def _table(texts: Sequence[str], numbers: Sequence[str], more: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in more:
        table.add_column(name, overflow="fold")
    return table


def _numbers(counts: Counts) -> dict[str, int]:
    return {
        "Done": counts.done,
        "Skip": counts.skipped,
        "NoData": counts.no_data,
        "Run": counts.running + counts.stalled,
        "Retry": counts.retrying,
        "Queue": counts.queued,
        "Fail": counts.failed,
        "Cancel": counts.cancelled,
        "Total": counts.total,
    }


def _style(column: str, number: int) -> str:
    return {"Fail": "bold red", "Retry": "yellow"}.get(column, "") if number else "dim"


def _progress(counts: Counts, *, bar: bool, unicode: bool) -> str:
    filled = int(counts.progress * _BAR)
    full, empty = ("█", "░") if unicode else ("#", ".")
    percent = f"{int(counts.progress * 1000) / 10:5.1f}%"  # rounded down: 100 % means all
    return f"{full * filled}{empty * (_BAR - filled)} {percent}" if bar else percent


def _causes(summary: JobSummary, state: State) -> str:
    found: list[Trouble] = [trouble for trouble in summary.trouble if trouble.state is state]
    return ", ".join(f"{trouble.cause} {trouble.tasks:,}" for trouble in found)


def _span(seconds: float) -> str:
    if seconds < 90:  # noqa: PLR2004 - as people say it
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004


def _usd(dollars: float) -> str:
    return f"${dollars:,.2f}" if dollars >= 1 or not dollars else f"${dollars:.4f}"


def _times(first: float, last: float) -> str:
    begin, end = datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)
    if begin.date() != end.date():
        return f"{begin:%Y-%m-%d %H:%M} - {end:%Y-%m-%d %H:%M}"
    return f"{begin:%Y-%m-%d %H:%M}" + ("" if f"{begin:%H:%M}" == f"{end:%H:%M}" else f"-{end:%H:%M}")
