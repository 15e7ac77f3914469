"""The options of the ``tracker`` command, and what its commands share."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ard.adapters.console import put, say
from ard.product import Product
from ard.rows import OddRow
from ard.settings import TableSettings
from ard.task import FIRST_YEAR, LAST_YEAR
from tracker.bundles import By
from tracker.documents.make import Document

EPILOG = (
    "Exit codes: 0 well, 1 partly failed, 2 wrong usage, 3 bad input, 4 a deployment, credentials or a service is "
    "missing, 5 interrupted, 6 nothing to do, 7 not ended, 8 all failed, 9 no such job, 11 drift found."
)

JobOption = Annotated[str, typer.Option("--job", metavar="ID", help="The job's id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many jobs to list.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Follow the job until every task has ended.")]
RefreshOption = Annotated[float, typer.Option("--refresh", min=2.0, help="Seconds between looks while watching.")]
ExitStatusOption = Annotated[
    bool,
    typer.Option("--exit-status", help="Exit with the job's outcome: 0 well, 1 partly, 7 not ended, 8 failed."),
]
ReportDirOption = Annotated[Path, typer.Option("--report-dir", help="Where reports are kept, one folder per job.")]
PlotOption = Annotated[
    bool, typer.Option("--plot", help="Also plot each region's executions: a timeline and a histogram.")
]
GeojsonOption = Annotated[
    Path | None, typer.Option("--geojson", metavar="FILE", help="Write GeoJSON there; - for stdout.")
]
ParquetOption = Annotated[Path | None, typer.Option("--parquet", metavar="FILE", help="Write GeoParquet there.")]
ProductsOption = Annotated[list[Product] | None, typer.Option("--product", help="Only of this product; repeatable.")]
CausesOption = Annotated[list[str] | None, typer.Option("--cause", help="Only of this cause; repeatable.")]
TilesOption = Annotated[list[str] | None, typer.Option("--tile", metavar="1000X871Y", help="This tile; repeatable.")]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Also causes that trying again cannot help, after a repair; and though a provider seems down."
    ),
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the log.")]
ApplyOption = Annotated[bool, typer.Option("--apply", help="Do it; without this, only say what would be done.")]
RedrivenJobOption = Annotated[str | None, typer.Option("--job", metavar="ID", help="The job's id; or --all.")]
AllJobsOption = Annotated[bool, typer.Option("--all", help="The newest jobs, as far as tasks of theirs have failed.")]
CanaryOption = Annotated[
    int | None,
    typer.Option(
        "--canary",
        min=0,
        metavar="N",
        help="Send N first, and the rest when 80 % of them end well; 0 sends all at once. Default: 10 of more than 20.",
    ),
]
CanaryWaitOption = Annotated[
    float, typer.Option("--canary-wait", min=0, metavar="SECONDS", help="How long the canary may take to end.")
]
RateOption = Annotated[
    float | None, typer.Option("--rate", min=0.01, metavar="N", help="Send at most N tasks a second.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
FixOption = Annotated[bool, typer.Option("--fix", help="Repair rows and dead letters that do not fit; needs --job.")]
DeleteOrphansOption = Annotated[
    bool, typer.Option("--delete-orphans", help="Also delete objects that no item names; needs --fix.")
]
ReconciledJobOption = Annotated[str | None, typer.Option("--job", metavar="ID", help="Only this job; its outputs too.")]
ByOption = Annotated[By, typer.Option("--by", help="What to put together.")]
TileArgument = Annotated[str, typer.Argument(metavar="TILE", help="The tile, such as 1000X871Y.")]
YearOption = Annotated[int, typer.Option("--year", min=FIRST_YEAR, max=LAST_YEAR, help="The calendar year.")]
TileJobOption = Annotated[str | None, typer.Option("--job", metavar="ID", help="Only this job; else the newest.")]
ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Read the outputs' STAC items: sources, versions, parameters, objects.")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="CONDITION", help="Only tiles where a metric is so: 'dates_kept<6'; repeatable."),
]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print the tiles as CSV.")]


def regions_of(settings: TableSettings) -> dict[Product, str]:
    """Where each product is made."""
    return {product: queue.region for product, queue in settings.queues.items()}


def say_odd(odd: Sequence[OddRow]) -> None:
    """How many rows could not be read."""
    if odd:
        say(f"odd rows: {len(odd):,}, such as {odd[0].key}; left out: tracker doctor")


def put_document(document: Document) -> None:
    """A document, on stdout."""
    put(json.dumps(document, allow_nan=False) + "\n")
