"""The commands that act: what failed is sent again, what went silent is seen to."""

import getpass
import shlex

import typer

from ard.adapters import console
from ard.adapters.console import Exit, configured, put, say
from ard.errors import InvalidInput
from ard.rows import Command
from ard.settings import ControlSettings, TableSettings
from ard.tile import parse_tile_key, tile_key
from tracker.documents import make as documents
from tracker.follow import find_job
from tracker.options import (
    ApplyOption,
    CausesOption,
    ForceOption,
    JobOption,
    JsonOption,
    ProductsOption,
    ReasonOption,
    ReconciledJobOption,
    TilesOption,
    put_document,
)
from tracker.reconcile import reconcile as reconcile_rows
from tracker.redrive import Note, RedrivePlan, Selection, apply_redrive, plan_redrive
from tracker.services import open_intake, open_tasks
from tracker.show import common as show


def redrive(
    *,
    job: JobOption,
    product: ProductsOption = None,
    cause: CausesOption = None,
    tile: TilesOption = None,
    force: ForceOption = False,
    reason: ReasonOption = "",
    apply: ApplyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send failed tasks again: a preview, unless --apply is given."""
    tasks = open_tasks(configured(TableSettings))
    row = find_job(tasks.table, job)
    if row.command is Command.CANCELLED:
        raise InvalidInput(f"{job} is cancelled; to make its tiles after all, submit the request again with --rerun")
    tiles = [tile_key(*parse_tile_key(name)) for name in tile or ()]
    wanted = Selection(products=product or (), causes=cause or (), tiles=tiles, force=force)
    plan = plan_redrive(tasks.table.tasks(row), wanted)
    if apply and plan.chosen:
        note = Note(who=_user(), why=reason, filter=shlex.join(_arguments(wanted)))
        done = apply_redrive(plan, row, tasks, now=console.now(), note=note)
        if as_json:
            put_document(documents.redrive_document(job, done, plan))
        else:
            put("".join(f"{line}\n" for line in show.redrive_lines(done)))
        if row.command is Command.PAUSED:
            say(f"the job is paused: producer resume --job {job}")
        say(f"next: tracker status --job {job} --watch")
    elif as_json:
        put_document(documents.plan_document(job, plan))
    else:
        put("".join(f"{line}\n" for line in show.plan_lines(plan)))
    _advise(plan, wanted, job, applied=apply)
    if not plan.chosen:
        raise typer.Exit(Exit.NO_WORK)


def reconcile(*, job: ReconciledJobOption = None, as_json: JsonOption = False) -> None:
    """See to every task that should have been heard of by now; without --job, to unanswered requests too."""
    settings = configured(ControlSettings)
    tasks = open_tasks(settings)
    if job is not None:
        find_job(tasks.table, job)
    result = reconcile_rows(tasks, open_intake(settings), now=console.now(), job_id=job)
    if as_json:
        put_document(documents.reconcile_document(result))
    else:
        put("".join(f"{line}\n" for line in show.reconcile_lines(result)))
    for name in result.orphans:
        say(f"row without a job: {name}")
    for reason in result.odd:
        say(f"odd row: {reason}")
    if result.more:
        say("more is due: tracker reconcile")
    if result.unsent:
        say(f"{result.unsent:,} rows could not be sent and are still due: tracker reconcile")
        raise typer.Exit(Exit.PARTIAL_FAILURE)


def _advise(plan: RedrivePlan, wanted: Selection, job: str, *, applied: bool) -> None:
    """What to type next about what was not sent."""
    again = ["tracker", "redrive", "--job", job, *_arguments(wanted)]
    if plan.chosen and not applied:
        say(f"to send: {shlex.join([*again, '--apply'])}")
    if plan.permanent:
        say(f"to send the {len(plan.permanent):,} left too: {shlex.join([*again, '--force', '--apply'])}")
    if not plan.chosen and not plan.permanent:
        say(f"nothing here has failed: tracker status --job {job}")


def _arguments(wanted: Selection) -> list[str]:
    """The options that make this selection."""
    named = [("--product", wanted.products), ("--cause", wanted.causes), ("--tile", wanted.tiles)]
    options = [part for name, values in named for value in values for part in (name, str(value))]
    return [*options, *(["--force"] if wanted.force else [])]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unknown"
