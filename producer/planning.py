"""From a request file to its plan, and the plan to a person: what ``plan`` and ``submit`` have in common."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol

import typer
from pydantic import BaseModel

from ard.adapters.console import Exit, count, put, say
from ard.adapters.outputs import Verify
from ard.errors import InvalidInput
from producer.deployment import check_memory
from producer.existing import withdraw
from producer.files import kind_of, read_for
from producer.following import progress
from producer.jobs import checked_plan
from producer.options import spelled
from producer.plan import Plan
from producer.plan_text import preview_lines
from producer.preview import Preview, Survey, preview, survey
from producer.request import Problem, RequestOptions, RequestRejected, TileRequest
from producer.services import Services


class ReadRequest(Protocol):
    """Reads a request, with or without the tiles that nobody knows."""

    def __call__(self, *, skip_unknown: bool) -> TileRequest:
        """The request, or ``RequestRejected``."""
        ...


def read_or_advise(context: typer.Context, read: ReadRequest, *, skip_unknown: bool) -> TileRequest:
    """The request; one that only unknown tiles make wrong is rejected with the command that leaves them out.

    Raises:
        RequestRejected: Anything is wrong with it.
    """
    try:
        return read(skip_unknown=skip_unknown)
    except RequestRejected as error:
        if not skip_unknown and _has_known_tiles(read):
            error.add_note(f"next: {spelled(context, context.info_name or '', add=['--skip-unknown'])}")
        raise


def make_plan(
    context: typer.Context,
    path: Path,
    overrides: RequestOptions,
    *,
    years: Collection[int],
    deployed_mb: int | None,
    services: Services,
) -> Plan:
    """The plan of the request in a file.

    Args:
        context: Of the command.
        path: The file.
        overrides: The command's options.
        years: Those of an area.
        deployed_mb: The memory that the products' functions must have, if any.
        services: The deployment's.

    Raises:
        RequestRejected: Anything is wrong with the request.
        InvalidInput: The file cannot be read, or a product has another memory.
        Exit: No tile is left.
    """
    kind_of(path, years=years)  # wrong usage is told before the index is read

    def read(*, skip_unknown: bool) -> TileRequest:
        skipping = overrides.model_copy(update={"on_unknown_tile": "skip"}) if skip_unknown else overrides
        return read_for(path, index=services.index(), overrides=skipping, settings=services.settings, years=years)

    request = read_or_advise(context, read, skip_unknown=overrides.on_unknown_tile == "skip")
    say_problems(request.unknown, total=request.skipped)
    if not len(request):
        say("No tile is left to make. Nothing was started.")
        raise typer.Exit(Exit.NO_WORK)
    plan = checked_plan(request, services=services)
    if deployed_mb is not None:
        check_memory(deployed_mb, plan.products, settings=services.settings)
    return plan


def look_for_outputs(plan: Plan, *, services: Services, verify: Verify) -> Survey:
    """What exists of a plan already, with a progress bar.

    Raises:
        Unavailable: An output could not be checked.
        Auth: The store refuses.
    """
    with progress(sum(plan.totals.values()), "looking for outputs") as advance:
        return survey(plan, services=services, verify=verify, advance=advance)


def show_plan(context: typer.Context, plan: Plan, found: Survey | None, *, services: Services, as_json: bool) -> None:
    """Print a plan, and what to type to start it.

    Raises:
        Unavailable: The table cannot be asked.
        Auth: The table refuses.
    """
    shown = preview(plan, services=services, found=found)
    following = _what_next(context, plan, shown)
    put(as_line(shown.model_copy(update={"next": following})) if as_json else as_text(preview_lines(shown)))
    say("Nothing was started." if shown.to_run else "Nothing is left to make. Nothing was started.")
    for command in following:
        say(f"next: {command}")


def expect_new(context: typer.Context, plan: Plan, shown: Preview) -> None:
    """Pass a plan whose damaged outputs its job will make again.

    Raises:
        InvalidInput: The same content is a job already, which will not.
    """
    if shown.checked is Verify.FULL and shown.damaged and shown.exists is not None:
        *_, again = _what_next(context, plan, shown)
        raise InvalidInput(f"{shown.job_id} exists already and makes nothing again; as a new job: {again}")


def withdraw_damaged(plan: Plan, found: Survey | None, *, services: Services) -> None:
    """After a full verification, see that damaged outputs do not exist for those who look at sizes: chunks and workers.

    Raises:
        Unavailable: The store cannot be asked; the same call again goes on from there.
        Auth: The store refuses.
    """
    if found is not None and found.verify is Verify.FULL and found.damaged:
        withdraw([one.task for one in found.damaged], services.open_store(plan.dest))
        say(f"{count(len(found.damaged), 'damaged output')} taken away with the item, to be made again")


def say_problems(problems: Iterable[Problem], *, total: int) -> None:
    """List problems, and count those beyond the list."""
    listed = list(problems)
    for problem in listed:
        say(str(problem))
    if total > len(listed):
        say(f"... and {total - len(listed):,} more")


def as_line(document: BaseModel) -> str:
    """A JSON document on one line."""
    return document.model_dump_json() + "\n"


def as_text(lines: Iterable[str]) -> str:
    """Lines, each with its end."""
    return "".join(f"{line}\n" for line in lines)


def _has_known_tiles(read: ReadRequest) -> bool:
    try:
        return len(read(skip_unknown=True)) > 0
    except RequestRejected:
        return False


def _what_next(context: typer.Context, plan: Plan, shown: Preview) -> tuple[str, ...]:
    """What to type after a plan: how to start it, unless everything is there or the same content is a job already."""
    following = (f"tracker status --job {shown.job_id}",) if shown.exists is not None else ()
    if not shown.to_run:
        return following
    rerun = [] if shown.exists is None else ["--rerun", f"{(plan.request.options.rerun or 1) + 1}"]
    left_out = {"as_json", "dry_run", *(["rerun"] if rerun else [])}
    return (*following, spelled(context, "submit", leave_out=left_out, add=rerun))
