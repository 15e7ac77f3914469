"""Charts of a report's page: shapes that stretch to any width, with their words beside them as HTML.

Their size does not depend on how many executions they show.
"""

from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray

from ard.adapters.console import count
from ard.transitions import KEPT_ATTEMPTS
from tracker.report.endings import Ending
from tracker.report.facts import Executions
from tracker.report.markup import Html, element, joined

WIDTH, HEIGHT = 1000, 100  # of the viewBox; the page stretches it

Floats = NDArray[np.float64]

_MOMENTS = 160  # of a timeline
_BARS = 40
_TICKS = 6
_LONG_TAIL = 10.0  # times the median: then the axis is logarithmic
_SHORTEST_SECONDS = 0.01
_UNITS = ((172_800.0, 86_400.0, "days"), (10_800.0, 3600.0, "hours"), (300.0, 60.0, "minutes"))


def executions_charts(region: str, executions: Executions, *, since: float) -> Html:
    """One region's executions: how many ran at the same time since the job began, and how long they took."""
    started, ended, kinds = executions.spans()
    seconds = ended - started
    median, late = np.percentile(seconds, [50, 95])
    whose = f"{count(len(seconds), 'execution')} of {count(executions.tasks, 'task')}"
    words = (
        f"{whose}: median {_seconds(median)}, 95th percentile {_seconds(late)}, "
        f"at most {most_at_once(started, ended):,} at the same time."
    )
    if executions.most == KEPT_ATTEMPTS:
        words += f" Of each task at most the last {KEPT_ATTEMPTS} executions are kept."
    numbers = [(kind, int((kinds == n).sum())) for n, kind in enumerate(Ending)]
    legend = [
        element("li", element("span", class_=f"key {_class(kind)}"), f"{kind.words} {tasks:,}")
        for kind, tasks in numbers
        if tasks
    ]
    return element(
        "section",
        element("h3", region),
        element("p", words),
        element("ul", *legend, class_="legend", aria_label="How executions ended"),
        element(
            "div",
            timeline(started - since, ended - since, kinds),
            histogram(seconds, kinds),
            class_="charts",
        ),
    )


def timeline(started: Floats, ended: Floats, kinds: NDArray[np.int8]) -> Html:
    """How many executions ran at the same time, stacked by how they ended.

    Args:
        started: Seconds since the job began, as ``ended``.
        ended: Not before ``started``.
        kinds: How each ended: its number in ``Ending``.
    """
    first, last = min(float(started.min()), 0.0), max(float(ended.max()), 1.0)
    unit, name = next(((unit, name) for least, unit, name in _UNITS if last >= least), (1.0, "seconds"))
    edges = np.linspace(first, last, _MOMENTS + 1)
    stacked = np.zeros(_MOMENTS)
    layers = []
    for number, kind in enumerate(Ending):
        chosen = kinds == number
        if chosen.any():
            below, stacked = stacked, stacked + mean_running(started[chosen], ended[chosen], edges)
            layers.append((kind, below, stacked))
    top = round_above(float(stacked.max()))
    places = np.linspace(0, WIDTH, _MOMENTS + 1)
    shapes = [
        element("path", d=_steps(places, below / top, above / top), class_=_class(kind))
        for kind, below, above in layers
    ]
    marks = [((at * unit - first) / (last - first), f"{at:g}") for at in ticks(first / unit, last / unit)]
    return _figure(
        shapes, marks, title="Running at the same time", top=f"{top:g}", axis=f"time since the job began ({name})"
    )


def histogram(seconds: Floats, kinds: NDArray[np.int8]) -> Html:
    """How many executions took how long, stacked by how they ended."""
    edges, logarithmic = bins(seconds)
    places = np.log10(edges) if logarithmic else edges
    low, high = float(places[0]), float(places[-1])
    fractions = (places - low) / (high - low)
    total, _ = np.histogram(np.clip(seconds, edges[0], edges[-1]), edges)
    top = round_above(float(total.max()))
    shapes: list[Html] = []
    below = np.zeros(len(total))
    for number, kind in enumerate(Ending):
        part, _ = np.histogram(np.clip(seconds[kinds == number], edges[0], edges[-1]), edges)
        for at in np.flatnonzero(part):
            told = f"{edges[at]:.4g} to {edges[at + 1]:.4g} s, {kind.words}: {int(part[at]):,}"
            shape = _bar(fractions[at], fractions[at + 1], below[at] / top, (below[at] + part[at]) / top)
            shapes.append(element("path", element("title", told), d=shape, class_=_class(kind)))
        below += part
    if logarithmic:
        marks = [((log10(at) - low) / (high - low), f"{at:g}") for at in _decades(edges[0], edges[-1])]
    else:
        marks = [((at - low) / (high - low), f"{at:g}") for at in ticks(low, high)]
    axis = "seconds, logarithmic" if logarithmic else "seconds"
    return _figure(
        shapes, marks, title="Executions by time taken", top=f"{top:,.0f}", axis=axis, class_="plot bars-drawn"
    )


def mean_running(started: Floats, ended: Floats, edges: Floats) -> Floats:
    """How many executions ran on average between each two edges."""
    executed = _seconds_since(started, edges) - _seconds_since(ended, edges)
    return np.asarray(np.diff(executed) / np.diff(edges), dtype=np.float64).clip(min=0)


def most_at_once(started: Floats, ended: Floats) -> int:
    """The most executions at one moment; one that ends as another starts does not count with it."""
    lasting = ended > started
    starts, ends = np.sort(started[lasting]), np.sort(ended[lasting])
    running = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="right")
    return int(running.max(initial=1))


def bins(seconds: Floats) -> tuple[Floats, bool]:
    """The edges of a histogram's bars, at round numbers; for a long tail in equal steps of a logarithm, then True."""
    low, high, median = float(seconds.min()), float(seconds.max()), float(np.median(seconds))
    if high > _LONG_TAIL * max(median, _SHORTEST_SECONDS):
        return np.asarray(np.geomspace(max(low, median / 100, _SHORTEST_SECONDS), high, _BARS + 1)), True
    step = _round_step(max(high - low, high * 0.1, _SHORTEST_SECONDS) / (_BARS * 0.7))
    first, last = floor(low / step), floor(high / step) + 1
    return np.arange(first, last + 1, dtype=np.float64) * step, False


def ticks(low: float, high: float) -> list[float]:
    """A few round numbers between two."""
    step = _round_step((high - low) / _TICKS)
    return [round(n * step, 10) for n in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def round_above(value: float) -> float:
    """The next round number that leaves a little room."""
    return _round_step(value) if value > 0 else 1.0


def _round_step(value: float) -> float:
    """The smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 and 10 times a power of ten that is not below."""
    scale = 10.0 ** floor(log10(value))
    return next(
        (factor * scale for factor in (1, 2, 3, 4, 5, 6, 8) if factor * scale >= value * (1 - 1e-9)), 10 * scale
    )


def _decades(low: float, high: float) -> list[float]:
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    found = [float(f"{factor}e{power}") for power in decades for factor in (1, 2, 5)]
    inside = [value for value in found if low <= value <= high]
    return inside if len(inside) <= _TICKS + 1 else [value for value in inside if f"{value:e}".startswith("1.0")]


def _seconds_since(moments: Floats, edges: Floats) -> Floats:
    """At each edge, the sum of the time that has passed since those moments that lie before it."""
    ordered = np.sort(moments) - edges[0]  # small numbers keep their digits when summed
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    before = np.searchsorted(ordered, edges - edges[0], side="right")
    return np.asarray(before * (edges - edges[0]) - sums[before], dtype=np.float64)


def _steps(places: Floats, below: Floats, above: Floats) -> str:
    """The outline of a stack's layer: along its top, and back along what is under it."""
    there = "".join(_step(x, y) for x, y in zip(places[1:], above, strict=True))
    back = "".join(_step(x, y) for x, y in zip(places[:-1][::-1], below[::-1], strict=True))
    return f"M0 {HEIGHT}{there}{back}Z"


def _step(x: float, y: float) -> str:
    return f"V{(1 - y) * HEIGHT:.4g}H{x:.5g}"


def _bar(left: float, right: float, low: float, high: float) -> str:
    west, east = left * WIDTH, right * WIDTH
    return f"M{west:.5g} {(1 - low) * HEIGHT:.4g}H{east:.5g}V{(1 - high) * HEIGHT:.4g}H{west:.5g}Z"


def _class(kind: Ending) -> str:
    return f"end-{kind.name.lower()}"


def _seconds(value: float) -> str:
    return f"{value:,.3g} s" if value < 1000 else f"{value:,.0f} s"  # noqa: PLR2004 - three digits


def _figure(
    shapes: list[Html], marks: list[tuple[float, str]], *, title: str, top: str, axis: str, class_: str = "plot"
) -> Html:
    drawing = element(
        "svg",
        *shapes,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{title}, up to {top}; {axis}",
    )
    labels = [element("span", told, style=f"left:{100 * at:.4g}%") for at, told in marks if 0 <= at <= 1]
    return element(
        "figure",
        element("figcaption", title),
        element(
            "div",
            element("span", top, class_="top"),
            element("span", "0", class_="bottom"),
            drawing,
            class_=class_,
        ),
        element("div", joined(*labels), class_="ticks", aria_hidden="true"),
        element("div", axis, class_="axis"),
        class_="chart",
    )
