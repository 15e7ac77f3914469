"""The commands that see to whole jobs: what went silent, what does not fit, and whether they go on."""

import time

import typer

from ard.adapters import console
from ard.adapters.console import Exit, configured, count, put, say
from ard.adapters.reopening import Ways, reopen_job
from ard.errors import ArdError
from ard.rows import Command, JobRow, OddRow
from ard.settings import AwsSettings, ControlSettings, TableSettings
from tracker.asking import agree, user
from tracker.documents import acting as documents
from tracker.documents.make import dumped
from tracker.drift import Drift, find_drift
from tracker.follow import find_job
from tracker.options import (
    DeleteOrphansOption,
    FixOption,
    JobOption,
    JsonOption,
    ReconciledJobOption,
    YesOption,
    put_document,
    say_odd,
)
from tracker.reconcile import ReconcileResult
from tracker.reconcile import reconcile as reconcile_rows
from tracker.redrive import Note
from tracker.repair import Repair, repair
from tracker.sending import Pace
from tracker.services import Tasks, open_intake, open_outputs, open_table, open_tasks
from tracker.show import acting as show
from tracker.stopping import Standing, Stopped, cancel_job, pause_job


def reconcile(
    *,
    job: ReconciledJobOption = None,
    fix: FixOption = False,
    delete_orphans: DeleteOrphansOption = False,
    as_json: JsonOption = False,
) -> None:
    """See to every task that should have been heard of by now; with --job, hold its rows against its outputs too.

    Without --job, requests that nobody has answered are announced again. What does not fit is only told, and the exit
    code is 11, unless --fix is given: tasks whose outputs are gone are sent again, outputs that nobody recorded are,
    and dead letters that are true no more are deleted.
    """
    if fix and job is None:
        raise typer.BadParameter("expected --job ID beside --fix: outputs are looked at job by job")
    if delete_orphans and not fix:
        raise typer.BadParameter("expected --fix beside --delete-orphans")
    settings = configured(ControlSettings)
    tasks = open_tasks(settings)
    row = None if job is None else find_job(tasks.table, job)
    result = reconcile_rows(tasks, open_intake(settings), now=console.now(), job_id=job)
    found, failed = None, None
    try:
        found = None if row is None else _hold(row, tasks, settings, fix=fix, delete_orphans=delete_orphans)
    except ArdError as error:  # what was done about rows is told even so
        failed = error
    if as_json:
        shape = None if row is None or found is None else documents.drift_shape(row, *found)
        put_document(documents.reconcile_document(result, shape))
    else:
        put("".join(f"{line}\n" for line in show.reconcile_lines(result)))
        if found is not None:
            put("".join(f"{line}\n" for line in _drift_lines(*found)))
    _say_more(result)
    if failed is not None:
        raise failed
    if found is not None and row is not None:
        _exit_by(row, *found)


def cancel(*, job: JobOption, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """End a job for good: what waits is cancelled at once, what runs ends by itself, nothing starts later."""
    table = open_table(configured(TableSettings))
    row = find_job(table, job)
    if row.command is not Command.CANCELLED:
        agree(f"{job}: its waiting tasks are about to be cancelled for good", yes=yes, as_json=as_json)
    stopped = cancel_job(row, table=table, now=console.now())
    if stopped is None:
        say(f"every task of {job} had ended; nothing was changed: tracker status --job {job}")
        raise typer.Exit(Exit.NO_WORK)
    _put_stopped(stopped, as_json=as_json)
    if stopped.tasks[Standing.RUNNING]:
        say(f"next: tracker status --job {job} --watch")


def pause(*, job: JobOption, as_json: JsonOption = False) -> None:
    """Let no further task of a job start until it is resumed; what runs ends by itself."""
    table = open_table(configured(TableSettings))
    _put_stopped(pause_job(find_job(table, job), table=table), as_json=as_json)
    say(f"to go on: tracker resume --job {job}")


def resume(*, job: JobOption, as_json: JsonOption = False) -> None:
    """Let a paused job go on: its unsent chunks and the tasks that were held back are sent."""
    settings = configured(ControlSettings)
    tasks = open_tasks(settings)
    ways = Ways(
        table=tasks.table,
        chunk_queue=open_intake(settings).chunks,
        queue_of=lambda product: tasks.lane(product).queue,
    )
    resumed = reopen_job(find_job(tasks.table, job), Command.PAUSED, ways=ways, now=console.now())
    if as_json:
        shape = documents.JobCommandDocument(
            job=job,
            command=resumed.job.command,
            cancelled=0,
            tasks={},
            chunks_sent=resumed.chunks_sent,
            tasks_sent=resumed.tasks_sent,
        )
        put_document(dumped(shape))
    else:
        sent = f"{count(resumed.chunks_sent, 'chunk')}, {count(resumed.tasks_sent, 'task')} sent"
        put(f"{job}  {resumed.job.command}: {sent}\n")
    say(f"next: tracker status --job {job} --watch")


def _hold(
    job: JobRow, tasks: Tasks, settings: ControlSettings, *, fix: bool, delete_orphans: bool
) -> tuple[Drift, Repair | None]:
    """What does not fit in a job, and what was repaired of it."""
    odd: list[OddRow] = []
    rows = list(tasks.table.tasks(job, odd=odd.append))
    say_odd(odd)
    store = open_outputs(job.dest, aws=AwsSettings(), region=settings.dest_region)
    drift = find_drift(rows, job, tasks, store, now=console.now())
    if not (fix and drift.found):
        return drift, None
    flags = f"--fix{' --delete-orphans' if delete_orphans else ''}"
    note = Note(who=user(), why="rows and outputs differed", filter=f"tracker reconcile --job {job.job_id} {flags}")
    pace = Pace(clock=console.now, sleep=time.sleep)
    return drift, repair(drift, job, tasks, store, pace=pace, note=note, delete_orphans=delete_orphans)


def _drift_lines(drift: Drift, repaired: Repair | None) -> list[str]:
    return [*show.drift_lines(drift), *(show.repair_lines(repaired) if repaired else ())]


def _say_more(result: ReconcileResult) -> None:
    for name in result.orphans:
        say(f"row without a job: {name}")
    for reason in result.odd:
        say(f"odd row: {reason}")
    if result.more:
        say("more is due: tracker reconcile")
    if result.unsent:
        say(f"{result.unsent:,} rows could not be sent and are still due: tracker reconcile")
        raise typer.Exit(Exit.PARTIAL_FAILURE)


def _exit_by(job: JobRow, drift: Drift, repaired: Repair | None) -> None:
    """Exit with 11 when something is out of place still."""
    again = f"tracker reconcile --job {job.job_id} --fix"
    if repaired is None and drift.found:
        say(f"to repair: {again}")
    orphans_left = len(drift.orphans) - (repaired.orphans_deleted if repaired else 0)
    if orphans_left:
        say(f"to delete objects that no item names: {again} --delete-orphans")
    if repaired and repaired.sent:
        say(f"next: tracker status --job {job.job_id} --watch")
    if repaired.left if repaired else drift.found:
        raise typer.Exit(Exit.DRIFT)


def _put_stopped(stopped: Stopped, *, as_json: bool) -> None:
    if not as_json:
        put("".join(f"{line}\n" for line in show.stopped_lines(stopped)))
        return
    shape = documents.JobCommandDocument(
        job=stopped.job.job_id,
        command=stopped.command,
        cancelled=stopped.cancelled,
        tasks=dict(stopped.tasks),
        chunks_sent=0,
        tasks_sent=0,
    )
    put_document(dumped(shape))
