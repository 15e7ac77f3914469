"""A job that is not there yet, for a person: what ``producer plan`` prints, and ``submit`` asks about."""

from collections.abc import Iterator, Sequence

from ard.adapters.console import count
from producer.preview import Preview, ProductPreview
from producer.receipts import dollars

DAMAGED_LISTED = 10

_HEADINGS = (
    "Product",
    "Region",
    "Tasks",
    "Complete",
    "Damaged",
    "To run",
    "s each",
    "MB",
    "At once",
    "Duration",
    "Cost",
    "(low to high)",
    "Averages",
)
_LEFT = {0, 1, 11, 12}  # columns of words
_SECONDS_UNTIL, _MINUTES_UNTIL = 90, 90  # beyond which the next unit reads better


def preview_lines(shown: Preview) -> Iterator[str]:
    """The preview, line by line."""
    yield f"Job       {shown.job_id}   {'new' if shown.exists is None else f'exists already, {shown.exists}'}"
    yield f"Dest      {shown.dest}   {', '.join(shown.formats)}{'   overwriting' if shown.overwrite else ''}"
    unknown = f"{shown.unknown.skipped:,}{' (left out)' if shown.unknown.skipped else ''}"
    yield f"Tiles     requested {shown.requested:,}   duplicates {shown.duplicates:,}   unknown {unknown}"
    yield f"Tasks     {count(shown.tiles, 'tile')} x {count(len(shown.products), 'product')} = {shown.tasks:,}"
    yield f"Outputs   {_outputs(shown)}"
    yield ""
    yield from _table([_HEADINGS, *(_row(one) for one in shown.products), _total(shown)])
    yield ""
    whole = shown.estimate
    yield (
        f"Estimate  {dollars(whole.expected_usd)} ({dollars(whole.low_usd)} to {dollars(whole.high_usd)}): "
        f"{shown.gb_seconds:,.0f} GB-s, {shown.requests:,} requests, {shown.transfer_gb:,.1f} GB between regions"
    )
    yield f"Duration  {_duration(shown)}"
    yield f"Cap       {'none' if shown.max_cost_usd is None else dollars(shown.max_cost_usd)}"
    for damaged in shown.damaged[:DAMAGED_LISTED]:
        yield f"damaged   {damaged.task}: {damaged.reason}"
    if len(shown.damaged) > DAMAGED_LISTED:
        yield f"          ... and {len(shown.damaged) - DAMAGED_LISTED:,} more"
    if shown.held is not None:
        yield shown.held


def duration_text(seconds: float) -> str:
    """A duration to two digits or so: ``45 s``, ``12 min``, ``3.4 h``; at least a second, ``-`` for none."""
    if seconds < _SECONDS_UNTIL:
        return f"{max(seconds, 1):.0f} s" if seconds else "-"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < _MINUTES_UNTIL else f"{minutes / 60:.1f} h"


def _outputs(shown: Preview) -> str:
    if shown.overwrite:
        return f"not looked for: all are made again   to run {shown.to_run:,}"
    if shown.checked is None:
        return f"not looked for: those that are there will be skipped   to run at most {shown.to_run:,}"
    complete = sum(one.made_already or 0 for one in shown.products)
    verified = f"verified by {'size' if shown.checked == 'sizes' else 'content'}"
    return f"complete {complete:,} ({verified})   damaged {len(shown.damaged):,}   to run {shown.to_run:,}"


def _row(one: ProductPreview) -> tuple[str, ...]:
    return (
        one.product,
        one.region,
        f"{one.tasks:,}",
        "?" if one.made_already is None else f"{one.made_already:,}",
        "?" if one.damaged is None else f"{one.damaged:,}",
        f"{one.to_run:,}",
        f"{one.seconds:g}",
        f"{one.memory_mb}",
        f"{one.max_concurrency:,}",
        duration_text(one.duration_seconds),
        dollars(one.usd),
        _range(one.low_usd, one.high_usd),
        one.averages,
    )


def _total(shown: Preview) -> tuple[str, ...]:
    cells = dict.fromkeys(range(len(_HEADINGS)), "")
    whole = shown.estimate
    cells |= {
        0: "total",
        2: f"{shown.tasks:,}",
        5: f"{shown.to_run:,}",
        9: duration_text(shown.duration_seconds),
        10: dollars(whole.expected_usd),
        11: _range(whole.low_usd, whole.high_usd),
    }
    return tuple(cells.values())


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if place in _LEFT else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield f" {'  '.join(cells)}".rstrip()


def _range(low_usd: float, high_usd: float) -> str:
    return f"({dollars(low_usd)} to {dollars(high_usd)})".replace("$", "")


def _duration(shown: Preview) -> str:
    if not shown.to_run:
        return "none: there is nothing to run"
    last = max(shown.products, key=lambda one: one.duration_seconds)
    return (
        f"about {duration_text(last.duration_seconds)} once it starts, as {last.product} takes: "
        f"{count(last.to_run, 'task')} of {last.seconds:g} s, at most {last.max_concurrency:,} at once in {last.region}"
    )
