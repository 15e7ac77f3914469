"""Drift between rows and outputs, repaired: every change is conditional on what was seen, and logged with the job."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ard.adapters.store import Store
from ard.keys import tile_prefix
from ard.product import Product
from ard.rows import Command, JobRow, TaskRow
from ard.tile import Tile
from ard.transitions import recovered, unmade
from tracker.drift import Drift, Orphan, Unrecorded, orphans_in, see_to_letters
from tracker.redrive import Note
from tracker.sending import Pace, Sent, send_rows
from tracker.services import Tasks

_SIDE_BY_SIDE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What was repaired.

    Attributes:
        sent: Tasks without their output that are QUEUED again, their messages out.
        recorded: Tasks that are SUCCEEDED now by the output that was there.
        orphans_deleted: Objects that no item named.
        letters_deleted: Stale dead letters by product.
        left: What was found and not repaired: it changed meanwhile, its job is cancelled, or deleting was not wanted.
    """

    sent: int
    recorded: int
    orphans_deleted: int
    letters_deleted: Mapping[Product, int]
    left: int


def repair(
    drift: Drift, job: JobRow, tasks: Tasks, store: Store, *, pace: Pace, note: Note, delete_orphans: bool
) -> Repair:
    """Repair what was found; objects are deleted only if wanted, and only where no task of the job is on its way.

    It can end at any point: what was not repaired is found again.

    Raises:
        InvalidInput: A product has no queue.
        Unavailable: Something cannot be asked.
        Auth: The store refuses.
    """
    began, facts = pace.clock(), {"who": note.who, "why": note.why, "filter": note.filter, "chosen": drift.found}
    tasks.table.log_redrive(job.job_id, now=began, entry={**facts, "ended": False})
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        recorded = sum(pool.map(lambda one: _record(one, tasks, now=pace.clock()), drift.unrecorded))
    sent = _send_lost(drift, job, tasks, pace=pace)
    deleted = 0
    if delete_orphans:
        being_made = {_folder(row) for row in tasks.table.tasks(job) if not row.state.terminal}
        deleted = _delete([one for one in drift.orphans if one.folder not in being_made], store, now=pace.clock())
    letters = see_to_letters(job, tasks, delete=True)
    done = sent + recorded + deleted + sum(letters.values())
    tasks.table.log_redrive(job.job_id, now=began, entry={**facts, "ended": True, "sent": sent})
    return Repair(
        sent=sent,
        recorded=recorded,
        orphans_deleted=deleted,
        letters_deleted=letters,
        left=max(drift.found - done, 0),
    )


def _record(one: Unrecorded, tasks: Tasks, *, now: float) -> bool:
    output = one.output
    row = recovered(one.row, output.item_key, flags=output.flags, digest=output.digest, now=now)
    return tasks.table.replace(one.row, row)


def _send_lost(drift: Drift, job: JobRow, tasks: Tasks, *, pace: Pace) -> int:
    """Send the tasks whose outputs are gone; those of a cancelled job nobody wants any more."""
    if job.command is Command.CANCELLED:
        return 0
    damages = {one.row.task_id: one.damage for one in drift.lost}

    def successor(row: TaskRow, now: float) -> TaskRow:
        return unmade(row, damage=damages[row.task_id], now=now)

    sent = Sent()
    send_rows([one.row for one in drift.lost], successor, job, tasks, pace=pace, sent=sent)
    return len(sent.fences)


def _delete(orphans: Sequence[Orphan], store: Store, *, now: float) -> int:
    """Delete objects that are orphans still: each folder is looked at again just before."""
    deleted = 0
    for folder in sorted({one.folder for one in orphans}):
        still = set(orphans_in(store.modified(folder), store, now=now))
        for one in still.intersection(orphans):
            store.delete(one.key)
            deleted += 1
    return deleted


def _folder(row: TaskRow) -> str:
    return tile_prefix(row.year, Tile(row.x_tile, row.y_tile, row.lon, row.lat))
