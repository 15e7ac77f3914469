"""The report of a job: a folder of files that are there whole or not at all."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ard.errors import InvalidInput
from ard.product import Product
from ard.rows import Activity, Attempt, JobRow, OddRow, TaskRow
from ard.states import State
from tracker.documents.make import Document, failures_document, moment, status_document
from tracker.failures import group_failures
from tracker.report.facts import Facts
from tracker.report.figures import Figures, figures_of
from tracker.report.files import whole_file, whole_text
from tracker.report.page import html_report
from tracker.report.text import markdown_lines, text_lines
from tracker.summary import JobSummary, activity_of, summarise

SUMMARY, TASKS, FAILED = "summary.json", "tasks.csv", "failed.csv"
TEXT, MARKDOWN, PAGE = "report.txt", "report.md", "report.html"
PLOTS = "plots"

_TASK_COLUMNS = (
    "year", "x", "y", "product", "state", "attempts", "charged", "seconds", "gb_seconds", "cause", "message", "item",
    "flags", "region", "claims", "started_at", "ended_at", "updated_at", "lon", "lat", "digest",
)  # fmt: skip
_FAILED_COLUMNS = ("Year", "X", "Y", "Y_tile", "X_tile", "product", "cause")

Attempts = Sequence[Attempt]


class Writer(Protocol):
    """What ``csv.writer`` makes."""

    def writerow(self, row: Iterable[object], /) -> object:
        """Write one row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report that was written; ``plots`` counts its pictures."""

    folder: Path
    summary: JobSummary
    plots: int = 0


@dataclass(slots=True, kw_only=True)
class _Gathered:
    """What one pass over the rows leaves: everything but the rows that went well."""

    facts: Facts
    activity: list[Activity] = field(default_factory=list)
    ended_badly: list[TaskRow] = field(default_factory=list)
    attempts: dict[str, list[Attempts]] = field(default_factory=dict)


def write_report(
    job: JobRow,
    rows: Iterable[TaskRow],
    folder: Path,
    *,
    now: float,
    regions: Mapping[Product, str],
    memory_mb: Mapping[Product, int] | None = None,
    odd: Sequence[OddRow] = (),
    plot: bool = False,
) -> Report:
    """Write a job's report; read rows once.

    summary.json, tasks.csv, failed.csv (a request for ``producer submit``), report.txt, report.md and report.html.
    With ``plot``, also ``plots/{region}_timeline.png`` and ``plots/{region}_histogram.png`` of each region where
    something ran.

    Args:
        job: Whose.
        rows: Its tasks.
        folder: Where; made when it is not there.
        now: The moment that the report is of.
        regions: Where each product is made.
        memory_mb: That of each product's function, to share out the estimate; without it only the whole is told.
        odd: Rows that cannot be read; looked at when ``rows`` has ended.
        plot: Whether to draw pictures as files.

    Raises:
        InvalidInput: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        gathered = _Gathered(facts=Facts(now=now, regions=regions))
        with whole_text(folder / TASKS) as tasks, whole_text(folder / FAILED) as failed:
            _write_rows(
                rows,
                gathered,
                csv.writer(tasks, lineterminator="\n"),
                csv.writer(failed, lineterminator="\n"),
                plot=plot,
            )
        facts = gathered.facts
        summary = summarise(job, gathered.activity, now=now, regions=regions, confirmed=True, odd=odd)
        figures = figures_of(summary, facts, group_failures(gathered.ended_badly), memory_mb=memory_mb or {})
        pictures = _write_plots(job, gathered.attempts, folder / PLOTS) if gathered.attempts else []
        _write_papers(figures, facts, folder, pictures=pictures)
    except OSError as error:
        raise InvalidInput(f"expected a folder that can be written to at {str(folder)!r}: {error.strerror}") from error
    return Report(folder=folder, summary=summary, plots=len(pictures))


def _write_rows(rows: Iterable[TaskRow], gathered: _Gathered, tasks: Writer, failed: Writer, *, plot: bool) -> None:
    regions = gathered.facts.regions
    tasks.writerow(_TASK_COLUMNS)
    failed.writerow(_FAILED_COLUMNS)
    for row in rows:
        region = regions.get(row.product, "unknown")
        gathered.facts.add(row)
        gathered.activity.append(activity_of(row))
        tasks.writerow(_task_values(row, region))
        if row.state is State.FAILED:
            failed.writerow(_failed_values(row))
        if row.state in {State.FAILED, State.NO_DATA}:
            gathered.ended_badly.append(row)
        if plot and row.attempts:
            gathered.attempts.setdefault(region, []).append(row.attempts)


def _write_papers(figures: Figures, facts: Facts, folder: Path, *, pictures: Sequence[str]) -> None:
    with whole_text(folder / SUMMARY) as file:
        json.dump(_document(figures), file, indent=1, allow_nan=False)
        file.write("\n")
    with whole_text(folder / TEXT) as file:
        file.writelines(f"{line}\n" for line in text_lines(figures, failed_name=FAILED))
    with whole_text(folder / MARKDOWN) as file:
        file.writelines(f"{line}\n" for line in markdown_lines(figures, failed_name=FAILED))
    beside = [SUMMARY, TASKS, FAILED, TEXT, MARKDOWN, *(f"{PLOTS}/{name}" for name in pictures)]
    with whole_text(folder / PAGE) as file:
        file.write(html_report(figures, facts, beside=beside))


def _document(figures: Figures) -> Document:
    """The job's status, its failures, and what only a report tells."""
    groups = failures_document(figures.summary.job.job_id, figures.groups)["groups"]
    report: Document = {
        "elapsed_s": round(figures.elapsed_seconds, 3),
        "product_figures": {
            str(one.product): {
                "seconds_median": one.seconds_median,
                "seconds_p95": one.seconds_p95,
                "gb_seconds": round(one.gb_seconds, 3),
                "spent_usd": round(one.spent_usd, 6),
                "estimate_usd": None if one.estimate_usd is None else round(one.estimate_usd, 6),
            }
            for one in figures.products
        },
        "flags": [
            {"product": str(one.product), "flag": one.flag, "tasks": one.tasks, "sample": one.sample}
            for one in figures.flags
        ],
        "quality": [
            {
                "product": str(one.product),
                "number": one.name,
                "tasks": one.tasks,
                "lowest": dict(one.lowest._asdict()),
                "median": one.median,
                "highest": dict(one.highest._asdict()),
            }
            for one in figures.numbers
        ],
    }
    return {**status_document(figures.summary), "kind": "job_report", "failures": groups, **report}


def _write_plots(job: JobRow, attempts: Mapping[str, Sequence[Attempts]], folder: Path) -> list[str]:
    """Write the pictures; their names."""
    from tracker.report.plots import plots  # noqa: PLC0415 - matplotlib takes its time, and not every report has pictures

    folder.mkdir(exist_ok=True)
    names = []
    for name, content in plots(attempts, job_id=job.job_id, since=job.created_at):
        with whole_file(folder / name) as unfinished:
            unfinished.write_bytes(content)
        names.append(name)
    return names


def _task_values(row: TaskRow, region: str) -> tuple[object, ...]:
    last = row.attempts[-1] if row.attempts else None
    return (
        row.year,
        row.x_tile,
        row.y_tile,
        row.product,
        row.state,
        len(row.attempts),
        row.charged,
        row.seconds,
        row.gb_seconds,
        row.cause,
        row.message,
        row.item,
        " ".join(row.flags),
        region,
        row.fence,
        moment(last.started) if last else None,
        moment(last.ended) if last else None,
        moment(row.updated_at),
        row.lon,
        row.lat,
        json.dumps(dict(row.digest), sort_keys=True) if row.digest else None,
    )


def _failed_values(row: TaskRow) -> tuple[object, ...]:
    return row.year, row.lon, row.lat, row.y_tile, row.x_tile, row.product, row.cause
