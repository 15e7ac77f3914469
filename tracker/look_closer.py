"""The commands that look closer: at one tile, at the quality of what was made, and at the deployment itself."""

from functools import partial
from typing import TYPE_CHECKING

import typer

from ard.adapters import console
from ard.adapters.console import Exit, configured, count, put, say
from ard.settings import AwsSettings, TableSettings, WorkerSettings
from ard.states import State
from ard.tile import parse_tile_key
from tracker.doctor.examine import examine
from tracker.doctor.findings import Level
from tracker.follow import find_job
from tracker.options import (
    CsvOption,
    ExplainOption,
    JobOption,
    JsonOption,
    ProductsOption,
    TileArgument,
    TileJobOption,
    WhereOption,
    YearOption,
    put_document,
    say_odd,
)
from tracker.quality import parse_where, quality_of
from tracker.services import open_outputs, open_table
from tracker.show import common as show
from tracker.show import doctor as show_doctor
from tracker.show import quality as show_quality
from tracker.show import tile as show_tile
from tracker.tile_history import JOBS_SEARCHED, explained, tile_history

if TYPE_CHECKING:
    from ard.rows import OddRow


def tile(
    name: TileArgument,
    *,
    year: YearOption,
    job: TileJobOption = None,
    explain: ExplainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tell the story of one tile and year, product by product, in a job or in the newest that have it."""
    table = open_table(configured(TableSettings))
    ids = parse_tile_key(name)
    odd: list[OddRow] = []
    jobs = table.jobs(JOBS_SEARCHED, odd=odd.append) if job is None else [find_job(table, job)]
    history = tile_history(table, jobs, ids, year, now=console.now(), odd=odd)
    if explain:
        history = explained(history, partial(open_outputs, aws=AwsSettings(), region=WorkerSettings().dest_region))
    if as_json:
        put_document(show_tile.tile_document(history, explain=explain))
    elif history.tasks:
        show.put_view(show_tile.tile_view(history))
    say_odd(history.odd)
    if not history.tasks:
        where = f"the {count(history.jobs_searched, 'newest job')}" if job is None else job
        say(f"no task of {history.tile} in {year} in {where}; to see what there is: tracker jobs")
        raise typer.Exit(Exit.NO_WORK)
    if not explain:
        say(f"what it was made of: tracker tile {history.tile} --year {year}{f' --job {job}' if job else ''} --explain")


def quality(
    *,
    job: JobOption,
    product: ProductsOption = None,
    where: WhereOption = None,
    as_csv: CsvOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show how good what was made is: metrics, flags, and the tiles to look at."""
    if as_csv and as_json:
        raise typer.BadParameter("expected either --csv or --json")
    conditions = [parse_where(text) for text in where or ()]
    table = open_table(configured(TableSettings))
    odd: list[OddRow] = []
    rows = table.tasks(find_job(table, job), states={State.SUCCEEDED}, odd=odd.append)
    found = quality_of(rows, products=product or (), where=conditions)
    if as_json:
        document = show_quality.quality_document(
            found, job, products=product or (), where=conditions, odd_rows=len(odd)
        )
        put_document(document)
    elif as_csv:
        put(show_quality.quality_csv(found))
    elif found.tasks:
        show.put_view(show_quality.quality_view(found, job, where=conditions))
    say_odd(odd)
    if not found.tasks:
        say(f"nothing was made yet: tracker status --job {job}")


def doctor(*, as_json: JsonOption = False) -> None:
    """Examine the deployment: settings, credentials, table, queues, inbox and catalogues; 4 when something fails."""
    findings = list(examine(now=console.now()))
    if as_json:
        put_document(show_doctor.doctor_document(findings, now=console.now()))
    else:
        show.put_view(show_doctor.doctor_view(findings))
    failed = sum(finding.level is Level.FAIL for finding in findings)
    say(f"{count(len(findings), 'finding')}, {failed:,} failed" if failed else "all is well enough to work")
    if failed:
        raise typer.Exit(Exit.UNAVAILABLE)
