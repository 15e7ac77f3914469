"""The report of a job: a folder of files that are there whole or not at all."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from ard.errors import InvalidInput
from ard.product import Product
from ard.rows import Activity, Attempt, JobRow, TaskRow
from ard.states import State
from tracker.documents import failures_document, moment, status_document
from tracker.failures import FailureGroup, group_failures
from tracker.summary import JobSummary, activity_of, summarise

SUMMARY, TASKS, FAILED, TEXT = "summary.json", "tasks.csv", "failed.csv", "report.txt"
PLOTS = "plots"

_TASK_COLUMNS = (
    "year", "x", "y", "product", "state", "attempts", "charged", "seconds", "gb_seconds", "cause", "message", "item",
    "flags",
)  # fmt: skip
_FAILED_COLUMNS = ("Year", "X", "Y", "Y_tile", "X_tile", "product", "cause")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A report that was written; ``plots`` counts its pictures."""

    folder: Path
    summary: JobSummary
    plots: int = 0


def write_report(
    job: JobRow,
    rows: Iterable[TaskRow],
    folder: Path,
    *,
    now: float,
    regions: Mapping[Product, str],
    plot: bool = False,
) -> Report:
    """Write summary.json, tasks.csv, failed.csv (a request for ``producer submit``) and report.txt; read rows once.

    With ``plot``, also ``plots/{region}_timeline.png`` and ``plots/{region}_histogram.png`` of each region where
    something ran.

    Raises:
        InvalidInput: The folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        activity: list[Activity] = []
        ended_badly: list[TaskRow] = []
        attempts: dict[str, list[tuple[Attempt, ...]]] = {}
        with _replacing(folder / TASKS) as tasks, _replacing(folder / FAILED) as failed:
            writers = csv.writer(tasks, lineterminator="\n"), csv.writer(failed, lineterminator="\n")
            writers[0].writerow(_TASK_COLUMNS)
            writers[1].writerow(_FAILED_COLUMNS)
            for row in rows:
                activity.append(activity_of(row))
                writers[0].writerow(_task_values(row))
                if row.state is State.FAILED:
                    writers[1].writerow(_failed_values(row))
                if row.state in {State.FAILED, State.NO_DATA}:
                    ended_badly.append(row)
                if plot and row.attempts:
                    attempts.setdefault(regions.get(row.product, "unknown"), []).append(row.attempts)
        summary = summarise(job, activity, now=now, regions=regions, confirmed=True)
        groups = group_failures(ended_badly)
        document = {
            **status_document(summary),
            "kind": "job_report",
            "failures": failures_document(job.job_id, groups)["groups"],
        }
        with _replacing(folder / SUMMARY) as file:
            json.dump(document, file, indent=1, allow_nan=False)
            file.write("\n")
        with _replacing(folder / TEXT) as file:
            file.writelines(f"{line}\n" for line in report_lines(summary, groups))
        pictures = _write_plots(job, attempts, folder / PLOTS) if attempts else 0
    except OSError as error:
        raise InvalidInput(f"expected a folder that can be written to at {str(folder)!r}: {error.strerror}") from error
    return Report(folder=folder, summary=summary, plots=pictures)


def report_lines(summary: JobSummary, groups: Iterable[FailureGroup]) -> Iterator[str]:
    """The report in words."""
    job, counts = summary.job, summary.counts
    yield f"Job {job.job_id}: {summary.outcome}"
    yield f"Request {job.request_key}, taken in {moment(job.created_at)}; this report {moment(summary.as_of)}"
    yield f"Outputs under {job.dest}, formats {', '.join(job.formats)}"
    yield ""
    yield f"{'':8}{'total':>10}{'done':>10}{'skipped':>10}{'no data':>10}{'failed':>10}{'cancelled':>10}{'open':>10}"
    named = [(str(product.product), product.counts) for product in summary.products]
    for name, part in [*named, ("all", counts)]:
        numbers = (
            part.total,
            part.done,
            part.skipped,
            part.no_data,
            part.failed,
            part.cancelled,
            part.total - part.ended,
        )
        yield f"{name:8}" + "".join(f"{number:>10,}" for number in numbers)
    yield ""
    yield f"Compute {summary.gb_seconds:,.1f} GB-s, ${summary.spent_usd:,.4f}; estimated ${job.estimate_usd:,.4f}"
    for number, group in enumerate(groups, start=1):
        yield ""
        yield f"{number}. {group.tasks:,} {group.product}, {group.kind}, {group.cause}: {group.signature}"
        yield f"   for example {group.sample}: {group.message}"
        yield f"   next: {group.next_step}"
    if counts.failed:
        yield ""
        yield f"{FAILED} lists the failed tasks; as a request of its own: producer submit {FAILED}"


def _write_plots(job: JobRow, attempts: Mapping[str, Sequence[Sequence[Attempt]]], folder: Path) -> int:
    from tracker.plots import plots  # noqa: PLC0415 - matplotlib takes its time, and not every report has pictures

    folder.mkdir(exist_ok=True)
    pictures = 0
    for name, content in plots(attempts, job_id=job.job_id, since=job.created_at):
        with _whole(folder / name) as unfinished:
            unfinished.write_bytes(content)
        pictures += 1
    return pictures


def _task_values(row: TaskRow) -> tuple[object, ...]:
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
    )


def _failed_values(row: TaskRow) -> tuple[object, ...]:
    return row.year, row.lon, row.lat, row.y_tile, row.x_tile, row.product, row.cause


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A text file that takes its name only when it is whole."""
    with _whole(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """The name of a file until it is whole; then it takes its own."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
