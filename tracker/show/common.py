"""What the tracker knows, for people: what all its tables and lines share, and what the acting commands say."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from ard.adapters.console import plain, put
from tracker.reconcile import ReconcileResult, Step
from tracker.redrive import Redrive, RedrivePlan

PLAIN_WIDTH = 160  # where there is no terminal

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


def put_view(view: RenderableType) -> None:
    """A view, on stdout; without a terminal, no line ends in spaces."""
    console = results_console()
    if console.is_terminal:
        console.print(view)
        return
    with console.capture() as captured:
        console.print(view)
    put("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def grid(texts: Sequence[str], numbers: Sequence[str], more: Sequence[str] = ()) -> Table:
    """A table without lines: columns of words, then of numbers, then of words again."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for name in more:
        table.add_column(name, overflow="fold")
    return table


def words(text: object, style: str = "") -> Text:
    """A text as data gave it, without anything that a terminal would obey."""
    return Text(plain(str(text)), style=style)


def span(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:  # noqa: PLR2004 - as people say it
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004


def usd(dollars: float) -> str:
    """An amount, with more decimals when it is small."""
    return f"${dollars:,.2f}" if dollars >= 1 or not dollars else f"${dollars:.4f}"


def size(count: float) -> str:
    """A number of bytes as people say it."""
    for unit in ("bytes", "KB", "MB"):
        if count < 1000:  # noqa: PLR2004
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def period(first: float, last: float) -> str:
    """From when to when, UTC, to the minute."""
    begin, end = datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC)
    if begin.date() != end.date():
        return f"{begin:%Y-%m-%d %H:%M} - {end:%Y-%m-%d %H:%M}"
    return f"{begin:%Y-%m-%d %H:%M}" + ("" if f"{begin:%H:%M}" == f"{end:%H:%M}" else f"-{end:%H:%M}")


def plan_lines(plan: RedrivePlan) -> Iterator[str]:
    """What a redrive would do."""
    failed = len(plan.chosen) + len(plan.permanent)
    yield "Plan (nothing sent yet)"
    yield f"  {failed:,} failed: {len(plan.chosen):,} to send again, {len(plan.permanent):,} left"
    if plan.permanent:
        causes = ", ".join(sorted({row.cause or "unknown" for row in plan.permanent}))
        yield f"  left: {plain(causes)}; trying again cannot help until what the messages name is repaired"
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
