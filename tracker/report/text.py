"""The report in words: plain, and as Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from ard import __version__
from tracker.documents.make import moment
from tracker.report.figures import Figures, NumberFigures
from tracker.report.markup import visible
from tracker.summary import Counts, JobSummary
from tracker.wording import number, span, usd

_HEAD = (
    "Product",
    "Region",
    "Done",
    "Skipped",
    "No data",
    "Failed",
    "Cancelled",
    "Open",
    "Total",
    "Median s",
    "95 % s",
)
_NUMBER_HEAD = ("Product", "Number", "Tasks", "Lowest", "Median", "Highest")
_FLAG_HEAD = ("Product", "Flag", "First", "Tasks")
_COST_HEAD = ("Product", "GB-s", "Spent", "Estimate")


def text_lines(figures: Figures, *, failed_name: str) -> Iterator[str]:
    """The report in words, for a terminal."""
    return (visible(line) for line in _text_lines(figures, failed_name))


def markdown_lines(figures: Figures, *, failed_name: str) -> Iterator[str]:
    """The report as Markdown, for an issue or a wiki."""
    summary, job = figures.summary, figures.summary.job
    cap = "" if job.max_cost_usd is None else f", cap {usd(job.max_cost_usd)}"
    yield f"# {_plain(job.job_id)}: {str(summary.outcome).replace('_', ' ').lower()}"
    yield ""
    yield f"{summary.counts.ended:,} of {summary.counts.total:,} tasks ended in {span(figures.elapsed_seconds)};"
    yield f"{usd(summary.spent_usd)} spent, estimate {usd(job.estimate_usd)}{cap}."
    yield f"Request {_code(job.request_key)}, taken in {moment(job.created_at)}; as of {moment(summary.as_of)}."
    yield f"Outputs under {_code(job.dest)}, formats {', '.join(job.formats)}."
    yield from _titled("Products", _table(_HEAD, _product_cells(figures), texts=2))
    yield from map(_plain, odd_lines(summary))
    if figures.groups:
        groups = [
            (
                f"{one.tasks:,}",
                str(one.product),
                str(one.kind),
                one.cause,
                one.signature,
                one.sample,
                _code(one.next_step),
            )
            for one in figures.groups
        ]
        head = ("Tasks", "Product", "Class", "Cause", "What", "For example", "Next")
        yield from _titled("What failed", _table(head, groups, texts=0))
        if summary.counts.failed:
            yield ""
            again = _code(f"producer submit {failed_name}")
            yield f"{_code(failed_name)} lists the failed tasks, and is a request: {again}"
    if figures.flags:
        flags = [(str(one.product), one.flag, one.sample, f"{one.tasks:,}") for one in figures.flags]
        yield from _titled("Flags", _table(_FLAG_HEAD, flags, texts=3))
    if figures.numbers:
        yield from _titled("Quality", _table(_NUMBER_HEAD, map(_number_cells, figures.numbers), texts=2))
    yield from _titled("Cost", _table(_COST_HEAD, _cost_cells(figures), texts=1))
    yield ""
    yield f"Made by version {__version__}."


def odd_lines(summary: JobSummary) -> Iterator[str]:
    """What is to be said of rows that nobody can read; nothing when there are none."""
    if summary.odd:
        yield ""
        yield f"Odd rows: {len(summary.odd):,}, such as {summary.odd[0].key}; they count as open: tracker doctor"


def _text_lines(figures: Figures, failed_name: str) -> Iterator[str]:
    summary, job = figures.summary, figures.summary.job
    yield f"Job {job.job_id}: {summary.outcome}"
    yield f"Request {job.request_key}, taken in {moment(job.created_at)}; this report {moment(summary.as_of)}"
    yield f"Outputs under {job.dest}, formats {', '.join(job.formats)}"
    yield ""
    yield from _aligned(_HEAD, _product_cells(figures), texts=2)
    yield from odd_lines(summary)
    yield ""
    cap = "" if job.max_cost_usd is None else f", cap ${job.max_cost_usd:,.2f}"
    yield f"Compute {summary.gb_seconds:,.1f} GB-s, ${summary.spent_usd:,.4f}; estimated ${job.estimate_usd:,.4f}{cap}"
    for at, group in enumerate(figures.groups, start=1):
        yield ""
        yield f"{at}. {group.tasks:,} {group.product}, {group.kind}, {group.cause}: {group.signature}"
        yield f"   for example {group.sample}: {group.message}"
        yield f"   next: {group.next_step}"
    if summary.counts.failed:
        yield ""
        yield f"{failed_name} lists the failed tasks; as a request of its own: producer submit {failed_name}"
    if figures.flags:
        yield ""
        flags = [(str(one.product), one.flag, one.sample, f"{one.tasks:,}") for one in figures.flags]
        yield from _aligned(_FLAG_HEAD, flags, texts=3)


def _product_cells(figures: Figures) -> Iterator[tuple[str, ...]]:
    for one in figures.products:
        yield (
            str(one.product), one.region, *_counted(one.counts), number(one.seconds_median), number(one.seconds_p95),
        )  # fmt: skip
    if len(figures.products) > 1:
        yield "all", "", *_counted(figures.summary.counts), "", ""


def _counted(counts: Counts) -> tuple[str, ...]:
    left = counts.total - counts.ended
    numbers = (counts.done, counts.skipped, counts.no_data, counts.failed, counts.cancelled, left, counts.total)
    return tuple(f"{one:,}" for one in numbers)


def _cost_cells(figures: Figures) -> Iterator[tuple[str, ...]]:
    for one in figures.products:
        yield str(one.product), f"{one.gb_seconds:,.1f}", usd(one.spent_usd), usd(one.estimate_usd)
    if len(figures.products) > 1:
        summary = figures.summary
        yield "all", f"{summary.gb_seconds:,.1f}", usd(summary.spent_usd), usd(summary.job.estimate_usd)


def _number_cells(one: NumberFigures) -> tuple[str, ...]:
    lowest, highest = (f"{number(end.value)} ({end.tile} {end.year})" for end in (one.lowest, one.highest))
    return str(one.product), one.name, f"{one.tasks:,}", lowest, number(one.median), highest


def _aligned(head: Sequence[str], lines: Iterable[Sequence[str]], *, texts: int) -> Iterator[str]:
    table = [head, *lines]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    for line in table:
        cells = zip(line, widths, strict=True)
        placed = (cell.ljust(wide) if at < texts else cell.rjust(wide) for at, (cell, wide) in enumerate(cells))
        yield "  ".join(placed).rstrip()


def _titled(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield from lines


def _table(head: Sequence[str], lines: Iterable[Sequence[str]], *, texts: int) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "|".join(" --- " if at < texts or not texts else " ---: " for at in range(len(head))) + "|"
    for line in lines:
        yield f"| {' | '.join(cell if cell.startswith('`') else _plain(cell) for cell in line)} |"


def _plain(text: str) -> str:
    """Text that Markdown and the HTML in it leave alone, in one line."""
    return "".join(f"\\{mark}" if mark in "\\`*_{}[]<>#|~!" else mark for mark in visible(text))


def _code(text: str) -> str:
    """Text as code, which nothing can end or turn into another cell."""
    return "`" + visible(text).replace("`", "'").replace("|", "\\|") + "`"
