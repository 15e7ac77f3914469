"""A job's executions as pictures: when each ran, and how long they took.

Made with matplotlib's own objects, not with pyplot, and with its default settings whatever a person has configured:
the same attempts make the same bytes. Import this module only where pictures are wanted: matplotlib takes its time.
An attempt that still runs is not in the pictures.
"""

import io
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush

import numpy as np
from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from ard.adapters.console import count
from ard.rows import Attempt
from ard.transitions import KEPT_ATTEMPTS
from tracker.report.endings import Ending, ending

TIMELINE, HISTOGRAM = "timeline", "histogram"

_SIZE_INCHES, _DPI = (12.0, 6.75), 120
_MOST_BINS = 60
_LONG_TAIL = 10.0  # times the median: then the axis is logarithmic
_SHORTEST_SECONDS = 0.01
_FEW_LANES = 60  # so many are wide enough for gaps
_NARROWEST = 0.002  # of the axis: the shortest bar stays in sight
_UNITS = ((172_800.0, 86_400.0, "days"), (10_800.0, 3600.0, "hours"), (300.0, 60.0, "minutes"))
_SECONDS = (1.0, "seconds")


def plots(
    tasks: Mapping[str, Sequence[Sequence[Attempt]]], *, job_id: str, since: float
) -> Iterator[tuple[str, bytes]]:
    """Two pictures of each region, as file names with PNG contents.

    Args:
        tasks: The attempts of each task, by the region where they ran; a region where nothing ran has no pictures.
        job_id: Whose.
        since: When the job began.
    """
    for region, kept in sorted(tasks.items()):
        attempts = sorted(itertools.chain(*kept), key=lambda one: (one.started, one.ended, one.outcome, one.worker))
        if not attempts:
            continue
        whose = f"{count(len(attempts), 'execution')} of {count(sum(map(bool, kept)), 'task')}"
        if max(map(len, kept)) == KEPT_ATTEMPTS:
            whose += f" (at most the last {KEPT_ATTEMPTS} of each)"
        title = f"Job {job_id}\n{region}: {whose}"
        with _look():
            pictures = timeline(attempts, title=title, since=since), histogram(attempts, title=title)
            contents = [_png(picture) for picture in pictures]
        yield from zip((f"{region}_{TIMELINE}.png", f"{region}_{HISTOGRAM}.png"), contents, strict=True)


def lanes(attempts: Sequence[Attempt]) -> list[int]:
    """The lane of each attempt, from 0: the lowest that is free when it starts. They come sorted by their start."""
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    taken = []
    for attempt in attempts:
        while busy and busy[0][0] <= attempt.started:
            heappush(free, heappop(busy)[1])
        lane = heappop(free) if free else len(busy)
        heappush(busy, (max(attempt.ended, attempt.started), lane))
        taken.append(lane)
    return taken


def timeline(attempts: Sequence[Attempt], *, title: str, since: float) -> Figure:
    """Attempts, sorted by their start, as bars over the time since the job began; those at the same time in lanes."""
    taken = lanes(attempts)
    rows = max(taken) + 1
    first, last = min(attempts[0].started - since, 0.0), max(max(one.ended, one.started) for one in attempts) - since
    unit, name = next(((unit, name) for least, unit, name in _UNITS if last >= least), _SECONDS)
    narrowest = max(last - first, _SHORTEST_SECONDS) * _NARROWEST
    few = rows <= _FEW_LANES
    half = 0.4 if few else 0.5
    bars: dict[Ending, list[list[tuple[float, float]]]] = {kind: [] for kind in Ending}
    for attempt, lane in zip(attempts, taken, strict=True):
        left = attempt.started - since
        right = left + max(_seconds(attempt), narrowest)
        low, high = lane + 1 - half, lane + 1 + half
        corners = [(left, low), (right, low), (right, high), (left, high)]
        bars[ending(attempt)].append([(x / unit, y) for x, y in corners])
    figure, axes = _figure(f"{title}, at most {rows:,} at the same time")
    for kind, shapes in bars.items():
        # Among very many lanes, what did not succeed is drawn with an edge, or it would be lost.
        edge, width = ("white", 0.7) if few else (kind.colour, 0.0 if kind is Ending.SUCCEEDED else 0.5)
        axes.add_collection(PolyCollection(shapes, facecolors=kind.colour, edgecolors=edge, linewidths=width))
    axes.set_xlim(first / unit, (last + (last - first) * 0.02 + narrowest) / unit)
    axes.set_ylim(0.4, max(rows, 3) + 0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"time since the job began ({name})")
    axes.set_ylabel("running at the same time (tasks)")
    _legend(figure, attempts)
    return figure


def histogram(attempts: Sequence[Attempt], *, title: str) -> Figure:
    """How many attempts took how long, stacked by how they ended, with the median and the 95th percentile."""
    seconds = {kind: np.array([_seconds(one) for one in attempts if ending(one) is kind]) for kind in Ending}
    everything = np.concatenate(list(seconds.values()))
    edges, logarithmic = bins(everything)
    figure, axes = _figure(title)
    below = np.zeros(len(edges) - 1)
    for kind, values in seconds.items():
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        axes.bar(
            edges[:-1], counts, np.diff(edges), below, align="edge", color=kind.colour, edgecolor="white", linewidth=0.4
        )
        below += counts
    median, late = np.percentile(everything, [50, 95])
    marks = [
        axes.axvline(median, color="0.2", linewidth=2, label=f"median {median:,.2f} s"),
        axes.axvline(late, color="0.2", linewidth=2, linestyle="--", label=f"95th percentile {late:,.2f} s"),
    ]
    axes.margins(x=0.02)
    axes.set_ylim(0, below.max() * 1.05)
    axes.grid(visible=False, axis="x")
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("execution time (seconds" + (", logarithmic)" if logarithmic else ")"))
    axes.set_ylabel("executions (count)")
    _legend(figure, attempts, marks)
    return figure


def bins(seconds: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
    """The edges of a histogram's bins, at round numbers; for a long tail in equal steps of a logarithm, then True."""
    most = int(np.clip(2 * np.sqrt(len(seconds)), 10, _MOST_BINS))
    low, high, median = float(seconds.min()), float(seconds.max()), float(np.median(seconds))
    if high > _LONG_TAIL * max(median, _SHORTEST_SECONDS):
        return np.geomspace(max(low, median / 100, _SHORTEST_SECONDS), high, most + 1), True
    room = max((high - low) * 0.02, high * 0.05, _SHORTEST_SECONDS)
    edges = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(max(low - room, 0.0), high + room)
    return np.asarray(edges, dtype=np.float64), False


def _seconds(attempt: Attempt) -> float:
    return max(attempt.ended - attempt.started, 0.0)  # clocks differ


@contextmanager
def _look() -> Iterator[None]:
    """How the pictures look, whatever the settings outside are; those stay as they were."""
    with rc_context():
        rcdefaults()
        rcParams.update(
            {
                "font.size": 13,
                "axes.titlesize": 14,
                "axes.titlelocation": "left",
                "axes.grid": True,
                "axes.axisbelow": True,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "grid.color": "0.88",
                "legend.frameon": False,
                "legend.fontsize": 12,
            }
        )
        yield


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return figure, axes


def _legend(figure: Figure, attempts: Sequence[Attempt], marks: Sequence[Line2D] = ()) -> None:
    counts = Counter(ending(attempt) for attempt in attempts)
    kinds = [Patch(color=kind.colour, label=f"{kind.words} {counts[kind]:,}") for kind in Ending if counts[kind]]
    figure.legend(handles=[*kinds, *marks], loc="outside lower left", ncols=4)


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
