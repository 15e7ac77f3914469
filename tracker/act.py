"""``tracker redrive``: what failed is sent again."""

import shlex
import time
from dataclasses import dataclass
from functools import partial

import typer

from ard.adapters import console
from ard.adapters.console import Exit, configured, count, put, say
from ard.errors import ArdError, InvalidInput
from ard.product import Product
from ard.rows import Command, JobRow, OddRow
from ard.settings import TableSettings
from ard.tile import parse_tile_key, tile_key
from tracker.asking import agree, user
from tracker.canary import Canary
from tracker.documents import acting as documents
from tracker.documents.make import dumped
from tracker.follow import find_job
from tracker.options import (
    AllJobsOption,
    ApplyOption,
    CanaryOption,
    CanaryWaitOption,
    CausesOption,
    ForceOption,
    JsonOption,
    ProductsOption,
    RateOption,
    ReasonOption,
    RedrivenJobOption,
    TilesOption,
    YesOption,
    put_document,
    say_odd,
)
from tracker.redrive import CANARY_ABOVE, Caution, Note, Redrive, apply_redrive, canary_size
from tracker.redrive_plan import RedrivePlan, Selection, cost_of, plan_redrive
from tracker.sending import Pace
from tracker.services import Tasks, open_tasks
from tracker.show import acting as show

JOBS_SEARCHED = 100  # by --all, the newest
_PATIENCE_SECONDS = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What was asked for, besides which jobs."""

    wanted: Selection
    canary: int | None
    patience_seconds: float
    rate: float | None
    reason: str
    as_json: bool

    def again(self, job: str, *more: str) -> str:
        """The command that asks for the same of one job."""
        named = [("--product", self.wanted.products), ("--cause", self.wanted.causes), ("--tile", self.wanted.tiles)]
        options = [part for name, values in named for value in values for part in (name, str(value))]
        force = ["--force"] if self.wanted.force and "--force" not in more else []
        return shlex.join(["tracker", "redrive", "--job", job, *options, *force, *more])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """A job, and what a redrive would do to it."""

    job: JobRow
    plan: RedrivePlan
    canary: int
    odd: list[OddRow]


def redrive(
    *,
    job: RedrivenJobOption = None,
    all_jobs: AllJobsOption = False,
    product: ProductsOption = None,
    cause: CausesOption = None,
    tile: TilesOption = None,
    force: ForceOption = False,
    reason: ReasonOption = "",
    canary: CanaryOption = None,
    canary_wait: CanaryWaitOption = _PATIENCE_SECONDS,
    rate: RateOption = None,
    apply: ApplyOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send failed tasks again: a preview, unless --apply is given."""
    if (job is None) is not all_jobs:
        raise typer.BadParameter("expected either --job ID or --all")
    settings = configured(TableSettings)
    tasks = open_tasks(settings)
    tiles = [tile_key(*parse_tile_key(name)) for name in tile or ()]
    wanted = Selection(products=product or (), causes=cause or (), tiles=tiles, force=force)
    request = _Request(
        wanted=wanted, canary=canary, patience_seconds=canary_wait, rate=rate, reason=reason, as_json=as_json
    )
    planned = _planned_of_all(tasks, request) if job is None else [_planned(_wanted_job(tasks, job), tasks, request)]
    sending = sum(len(one.plan.chosen) for one in planned)
    if apply and sending:
        _check(planned, request)
        if sending > CANARY_ABOVE and not yes:
            _show_plans(planned, tasks, settings, request, on_stderr=True)
            agree(f"{sending:,} tasks are about to be sent", yes=yes, as_json=as_json)
        _apply(planned, tasks, request, together=all_jobs)
    else:
        _show_plans(planned, tasks, settings, request, together=all_jobs)
    for one in planned:
        _advise(one, request, applied=apply)
    if not sending:
        raise typer.Exit(Exit.NO_WORK)


def _wanted_job(tasks: Tasks, job: str) -> JobRow:
    row = find_job(tasks.table, job)
    if row.command is Command.CANCELLED:
        raise InvalidInput(f"{job} is cancelled; to make its tiles after all, submit the request again with --rerun")
    return row


def _planned(job: JobRow, tasks: Tasks, request: _Request) -> _Planned:
    odd: list[OddRow] = []
    plan = plan_redrive(tasks.table.tasks(job, odd=odd.append), request.wanted, now=console.now())
    say_odd(odd)
    return _Planned(job=job, plan=plan, canary=canary_size(len(plan.chosen), request.canary), odd=odd)


def _planned_of_all(tasks: Tasks, request: _Request) -> list[_Planned]:
    """The newest jobs in which something has failed that matches; cancelled ones are left as they are."""
    odd: list[OddRow] = []
    jobs = tasks.table.jobs(JOBS_SEARCHED, odd=odd.append)
    say_odd(odd)
    if len(jobs) == JOBS_SEARCHED:
        say(f"only the newest {JOBS_SEARCHED:,} jobs are looked at")
    planned = [_planned(job, tasks, request) for job in jobs if job.command is not Command.CANCELLED]
    found = [one for one in planned if one.plan.chosen or one.plan.permanent]
    if not found:
        say("nothing has failed: tracker jobs")
    return found


def _check(planned: list[_Planned], request: _Request) -> None:
    """Pass what can be sent now.

    Raises:
        InvalidInput: A canary would wait for a job that does not run.
        Exit: A provider seems to be down.
    """
    for one in planned:
        if one.canary and one.job.command is not Command.OPEN:
            name = one.job.job_id
            raise InvalidInput(
                f"{name} is {one.job.command}, so that a canary would never end: tracker resume --job {name}, "
                "or send all at once with --canary 0"
            )
    outages = [outage for one in planned for outage in one.plan.outages]
    if outages and not request.wanted.force:
        for outage in outages:
            say(f"error: {show.outage_line(outage)}")
        say("next: the same command later, or with --force")
        raise typer.Exit(Exit.UNAVAILABLE)


def _show_plans(
    planned: list[_Planned],
    tasks: Tasks,
    settings: TableSettings,
    request: _Request,
    *,
    together: bool = False,
    on_stderr: bool = False,
) -> None:
    letters = _letters(tasks, {row.product for one in planned for row in one.plan.chosen})
    shapes = []
    for one in planned:
        cost = cost_of(one.plan, settings.queues)
        if request.as_json:
            shape = documents.plan_shape(
                one.job.job_id, one.plan, canary=one.canary, cost=cost, letters=letters, odd_rows=len(one.odd)
            )
            shapes.append(shape)
            continue
        name = f" of {one.job.job_id}" if together else ""
        lines = show.plan_lines(one.plan, canary=one.canary, cost=cost, letters=letters, of=name)
        text = "".join(f"{line}\n" for line in lines)
        say(text.rstrip()) if on_stderr else put(text)
        for outage in one.plan.outages:
            say(f"! {show.outage_line(outage)}")
    if request.as_json and not on_stderr:
        put_document(dumped(documents.RedrivePlansDocument(jobs=shapes) if together else shapes[0]))


def _letters(tasks: Tasks, products: set[Product]) -> dict[Product, int]:
    """About how many dead letters wait, as far as somebody may ask."""
    depths = {}
    for product in sorted(products & set(tasks.lanes)):
        try:
            depths[product] = tasks.lanes[product].dlq.depth()
        except ArdError as error:
            say(f"dead letters of {product}: {error}")
    return depths


def _apply(planned: list[_Planned], tasks: Tasks, request: _Request, *, together: bool) -> None:
    """Redrive one job after the other; the first whose canary does not pass is the last."""
    shapes, stopped = [], None
    for one in planned:
        if not one.plan.chosen:
            continue
        done = _apply_one(one, tasks, request)
        if request.as_json:
            shapes.append(documents.redrive_shape(one.job.job_id, done, one.plan))
        else:
            head = f"{one.job.job_id}  " if together else ""
            put("".join(f"{head}{line}\n" for line in show.redrive_lines(done)))
        if done.canary and not done.canary.passed:
            stopped = done.canary
            _say_stopped(one.job, done.canary, done.held_back, request)
            break
        if one.job.command is Command.PAUSED:
            say(f"the job is paused: tracker resume --job {one.job.job_id}")
        say(f"next: tracker status --job {one.job.job_id} --watch")
    if request.as_json:
        put_document(dumped(documents.RedrivesDocument(jobs=shapes) if together else shapes[0]))
    if stopped:
        raise typer.Exit(Exit.NOT_FINISHED if stopped.waiting and not stopped.lost else Exit.PARTIAL_FAILURE)


def _apply_one(one: _Planned, tasks: Tasks, request: _Request) -> Redrive:
    told: list[str] = []

    def tell(canary: Canary) -> None:
        line = show.canary_line(canary)
        if told[-1:] != [line]:
            told.append(line)
            say(line)

    caution = Caution(canary=one.canary, patience_seconds=request.patience_seconds, tell=tell)
    pace = Pace(clock=console.now, sleep=time.sleep, per_second=request.rate)
    note = Note(who=user(), why=request.reason, filter=request.again(one.job.job_id))
    try:
        return apply_redrive(one.plan, one.job, tasks, pace=pace, note=note, caution=caution)
    except KeyboardInterrupt as interrupt:
        say(f"what was sent goes on, the rest is as it was: tracker status --job {one.job.job_id}")
        raise typer.Exit(Exit.ABORTED) from interrupt


def _say_stopped(job: JobRow, canary: Canary, held_back: int, request: _Request) -> None:
    again = partial(request.again, job.job_id)
    if canary.waiting and not canary.lost:
        say(f"the canary has not ended within {request.patience_seconds:,.0f} s; {held_back:,} held back")
        say(f"next: tracker status --job {job.job_id} --watch; when it has ended well: {again('--apply')}")
        return
    say(f"stopped: the cause is not repaired, {count(sum(canary.badly.values()), 'task')} failed again")
    say(f"what they met: tracker failures --job {job.job_id}; when that is repaired: {again('--apply')}")
    say(f"to send the {held_back:,} held back all the same: {again('--canary', '0', '--apply')}")


def _advise(one: _Planned, request: _Request, *, applied: bool) -> None:
    """What to type next about what was not sent."""
    job, plan = one.job.job_id, one.plan
    if plan.chosen and not applied:
        asked = () if request.canary is None else ("--canary", str(request.canary))
        say(f"to send: {request.again(job, *asked, '--apply')}")
    if plan.permanent:
        say(f"to send the {len(plan.permanent):,} left too: {request.again(job, '--force', '--apply')}")
    if not plan.chosen and not plan.permanent:
        say(f"nothing here has failed: tracker status --job {job}")
