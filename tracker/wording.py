"""Times, amounts and numbers as people say them, at a terminal and on paper."""

from datetime import UTC, datetime

NONE = "-"

_SHORT_SECONDS, _SHORT_MINUTES = 90, 120  # told in seconds, in minutes below these


def span(seconds: float) -> str:
    """A time as people say it."""
    if seconds < _SHORT_SECONDS:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < _SHORT_MINUTES else f"{minutes // 60:,} h {minutes % 60} min"


def usd(dollars: float | None) -> str:
    """An amount as people say it; a dash for none."""
    if dollars is None:
        return NONE
    return f"${dollars:,.2f}" if dollars >= 1 or not dollars else f"${dollars:.4f}"


def number(value: float | None) -> str:
    """A measured number to four digits; a dash for none."""
    if value is None:
        return NONE
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"  # noqa: PLR2004 - digits


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
