"""One tile and year, for people and for programs."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from pydantic import JsonValue
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from ard.adapters.item_facts import ItemFacts
from ard.rows import Attempt, TaskRow
from ard.states import State
from tracker.documents.make import Document, dumped, moment
from tracker.documents.tile import AttemptShape, ObjectShape, OutputShape, TileDocument, TileTaskShape
from tracker.show.common import grid, words
from tracker.tile_history import TileHistory, TileTaskView
from tracker.wording import size, span

_LISTED = 12  # of what may be long: the JSON document has all of it
_CHARACTERS = 60  # of a metric that is a list or an object


def tile_view(history: TileHistory) -> Group:
    """A table of the tile's tasks, then the story of each that has one."""
    table = grid(["Product", "State"], ["Att", "Charged", "Duration", "GB-s"], ["Flags", "Job (created)"])
    for one in history.tasks:
        row, job = one.row, one.job
        state = "STALLED" if one.stalled else str(row.state)
        duration = "-" if row.seconds is None else f"{row.seconds:.1f} s"
        numbers = f"{len(row.attempts)}", f"{row.charged}", duration, f"{row.gb_seconds:,.1f}"
        flags = words(", ".join(row.flags) or "-")
        table.add_row(str(row.product), state, *numbers, flags, words(f"{job.job_id} ({moment(job.created_at)[:10]})"))
    stories = [_story(one) for one in history.tasks]
    return Group(words(f"Tile {history.tile}, {history.year}"), table, *[line for story in stories for line in story])


def tile_document(history: TileHistory, *, explain: bool) -> Document:
    """The history as JSON."""
    return dumped(
        TileDocument(
            tile=history.tile,
            year=history.year,
            explained=explain,
            jobs_searched=history.jobs_searched,
            tasks=[_task(one) for one in history.tasks],
            odd_rows=len(history.odd),
        )
    )


def _story(one: TileTaskView) -> Iterator[Text | Padding]:
    row = one.row
    yield words(f"{row.product}: {_outcome(row, stalled=one.stalled)}")
    lines = [*_attempts(row), *([f"metrics {_told(row.digest)}"] if row.digest and not one.output else [])]
    if row.item and not one.output:
        lines.append(f"item {one.job.dest}/{row.item}")
    if one.output:
        lines += _output(one.output, one.job.dest)
    if one.trouble:
        lines.append(f"output: {one.trouble}")
    if one.next_step:
        lines.append(f"next: {one.next_step}")
    yield from (Padding(words(line), (0, 0, 0, 2)) for line in lines)


def _outcome(row: TaskRow, *, stalled: bool) -> str:
    why = f", {row.cause}: {row.message}" if row.cause else ""
    if stalled:
        return f"its worker is gone since {moment(row.lease_until or 0)}{why}"
    if row.state is State.RUNNING:
        return f"running since {moment(row.started_at or row.updated_at)}, worker {row.owner}"
    if row.state is State.RETRYING:
        return f"tried again at {moment(row.not_before or row.updated_at)}{why}"
    return f"{row.state}{' (parked)' if row.parked else ''} since {moment(row.updated_at)}{why}"


def _attempts(row: TaskRow) -> Iterator[str]:
    for number, attempt in enumerate(row.attempts, start=1):
        began = f"{datetime.fromtimestamp(attempt.started, UTC):%Y-%m-%d %H:%M:%S}"
        worker = attempt.worker or "unknown"
        yield f"attempt {number}  {began}  {span(attempt.ended - attempt.started)}  {attempt.outcome}  worker {worker}"


def _output(output: ItemFacts, dest: str) -> Iterator[str]:
    yield f"item {dest}/{output.key}, written {output.created} by {output.job_id}"
    more = len(output.sources) - _LISTED
    named = ", ".join(output.sources[:_LISTED]) + (f" and {more} more" if more > 0 else "")
    yield f"made from {len(output.sources)} source items" + (f": {named}" if named else "")
    yield "by " + ", ".join(f"{name} {version}" for name, version in output.software.items())
    yield f"parameters {_told(output.parameters)}"
    yield f"metrics {_told(output.metrics)}"
    whole = sum(one.found == one.size for one in output.objects)
    yield f"objects {whole} of {len(output.objects)} whole, formats {', '.join(output.formats)}"
    for one in output.objects:
        found = "" if one.found == one.size else ", MISSING" if one.found is None else f", FOUND {size(one.found)}"
        yield f"  {one.name}  {size(one.size)}{found}  {one.key}"


def _told(values: Mapping[str, JsonValue]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in values.items()) or "none"


def _value(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _CHARACTERS else f"({len(text):,} characters: --json)"


def _task(one: TileTaskView) -> TileTaskShape:
    row = one.row
    return TileTaskShape(
        job=row.job_id,
        product=row.product,
        state=row.state,
        stalled=one.stalled,
        parked=row.parked,
        fence=row.fence,
        charged=row.charged,
        updated_at=moment(row.updated_at),
        not_before=None if row.not_before is None else moment(row.not_before),
        seconds=row.seconds,
        gb_seconds=row.gb_seconds,
        cause=row.cause,
        message=row.message,
        flags=list(row.flags),
        metrics=dict(row.digest),
        item=row.item,
        attempts=[_attempt(attempt) for attempt in row.attempts],
        output=_described(one.output) if one.output else None,
        output_trouble=one.trouble,
        next=one.next_step,
    )


def _attempt(attempt: Attempt) -> AttemptShape:
    return AttemptShape(
        worker=attempt.worker,
        started_at=moment(attempt.started),
        ended_at=moment(attempt.ended),
        seconds=round(attempt.ended - attempt.started, 3),
        outcome=attempt.outcome,
    )


def _described(output: ItemFacts) -> OutputShape:
    return OutputShape(
        item=output.key,
        job=output.job_id,
        created=output.created,
        whole=output.whole,
        software=dict(output.software),
        parameters=dict(output.parameters),
        metrics=dict(output.metrics),
        flags=list(output.flags),
        formats=list(output.formats),
        sources=list(output.sources),
        objects=[
            ObjectShape(name=one.name, key=one.key, size=one.size, found_size=one.found) for one in output.objects
        ],
    )
