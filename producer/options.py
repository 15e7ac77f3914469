"""The options of the ``producer`` command."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from ard.errors import InvalidInput
from producer.request import RequestOptions

RequestArgument = Annotated[Path, typer.Argument(metavar="REQUEST", help="A .json or .csv file; - is JSON on stdin.")]
ParquetOption = Annotated[Path, typer.Option("--parquet", metavar="INDEX.parquet", help="The tile index.")]
SkipUnknownOption = Annotated[
    bool, typer.Option("--skip-unknown", help="Leave out tiles that are not in the index, and list them.")
]
DestOption = Annotated[
    str | None, typer.Option(metavar="DEST", help="s3://bucket/prefix or a folder; else the deployment's.")
]
ProductsOption = Annotated[str | None, typer.Option(metavar="dem,s1,s2", help="Else all that the deployment makes.")]
FormatOption = Annotated[str | None, typer.Option("--format", metavar="cog,hkl", help="Output formats; else cog.")]
RetriesOption = Annotated[int | None, typer.Option(help="Attempts after the first that failed; else 3.")]
OverwriteOption = Annotated[
    bool | None, typer.Option("--overwrite/--no-overwrite", help="Make again what exists.", show_default=False)
]
LabelOption = Annotated[str | None, typer.Option(help="What the job's name begins with.")]
RerunOption = Annotated[int | None, typer.Option(metavar="N", help="2 and more: the same content as a new job.")]
MaxCostOption = Annotated[
    float | None, typer.Option("--max-cost", metavar="USD", help="Wait for approval when it may cost more.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")]
ReportOption = Annotated[Path | None, typer.Option(metavar="DIR", help="With --wait: write the report there.")]
PlotOption = Annotated[
    bool, typer.Option("--plot", help="With --report-dir: also plot each region's executions, as PNG files.")
]
JobOption = Annotated[str, typer.Option(metavar="ID", help="The job.")]


def overriding(
    *,
    dest: str | None,
    products: str | None,
    formats: str | None,
    retries: int | None,
    overwrite: bool | None,
    label: str | None,
    rerun: int | None,
    skip_unknown: bool,
    max_cost: float | None,
) -> RequestOptions:
    """What the command line asks for, over what the file does.

    Raises:
        InvalidInput: An option is wrong.
    """
    local = dest is not None and "://" not in dest
    options = {
        "dest": str(Path(dest).absolute()) if dest is not None and local else dest,
        "products": _listed(products),
        "formats": _listed(formats),
        "retries": retries,
        "overwrite": overwrite,
        "label": label,
        "rerun": rerun,
        "on_unknown_tile": "skip" if skip_unknown else None,
        "max_cost_usd": max_cost,
    }
    try:
        return RequestOptions.model_validate({name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        texts = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}, found {fault['input']!r}" for fault in faults)
        raise InvalidInput("; ".join(texts)) from error


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",")]
