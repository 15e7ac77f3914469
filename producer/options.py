"""The options of the ``producer`` command, and how a command is spelled with others."""

import shlex
from collections.abc import Collection, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from ard.adapters.console import Exit
from ard.adapters.outputs import Verify
from ard.errors import InvalidInput
from ard.task import FIRST_YEAR, LAST_YEAR
from producer.request import RequestOptions


class Via(StrEnum):
    """How a job's tasks come to workers."""

    SQS = "sqs"
    LITHOPS = "lithops"


RequestArgument = Annotated[
    Path, typer.Argument(metavar="REQUEST", help="A .json, .csv or .geojson file; - is JSON on stdin.")
]
YearsOption = Annotated[
    list[int] | None,
    typer.Option("--year", min=FIRST_YEAR, max=LAST_YEAR, help="Of the tiles in a .geojson area; repeatable."),
]
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
MemOption = Annotated[
    int | None,
    typer.Option("--mem", metavar="MB", min=1, help="Workers' memory: as deployed, or any with --via lithops."),
]
ViaOption = Annotated[Via, typer.Option(help="Send tasks to the queues, or run them from here by Lithops.")]
LithopsConfigOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--lithops-config",
        metavar="FILE",
        help="With --via lithops, else those in .lithops; repeatable, one for each region.",
    ),
]
VerifyOption = Annotated[
    Verify,
    typer.Option(
        help="Look at the sizes of existing outputs, or read their whole contents; damaged ones are made again."
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what 'plan' prints, and start nothing.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of words.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Follow the job to its end.")]
ReportOption = Annotated[Path | None, typer.Option(metavar="DIR", help="With --wait: write the report there.")]
PlotOption = Annotated[
    bool, typer.Option("--plot", help="With --report-dir: also plot each region's executions, as PNG files.")
]
JobOption = Annotated[str, typer.Option(metavar="ID", help="The job.")]


EXIT_CODES: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.PARTIAL_FAILURE: "part of the job failed (--wait)",
    Exit.USAGE: "wrong usage",
    Exit.BAD_INPUT: "the request or an option is wrong: nothing was started",
    Exit.UNAVAILABLE: "no deployment, no credentials, or something does not answer",
    Exit.ABORTED: "not agreed to",
    Exit.NO_WORK: "no tile is left",
    Exit.NOT_FINISHED: "the job has not ended, or waits for approval (--wait)",
    Exit.TOTAL_FAILURE: "the whole job failed (--wait)",
    Exit.NO_SUCH_JOB: "no such job",
}
EPILOG = "Exit codes: " + "; ".join(f"{int(code)} {meaning}" for code, meaning in EXIT_CODES.items()) + "."


def spelled(context: typer.Context, name: str, *, leave_out: Collection[str] = (), add: Sequence[str] = ()) -> str:
    """The command line of command ``name`` with the same arguments as this one, for a person to type next.

    Args:
        context: Of the command that runs now.
        name: Of the command to run next.
        leave_out: Names of parameters to leave out.
        add: Further words.
    """
    words: list[str] = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in leave_out or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[parameter.name or ""]
        if parameter.param_type_name == "argument":
            words.append(str(value))
        elif isinstance(value, bool):
            words.append((parameter.opts if value else parameter.secondary_opts)[-1])
        else:
            values = value if parameter.multiple else [value]
            words += [word for one in values for word in (parameter.opts[-1], str(one))]
    return shlex.join(["producer", name, *words, *add])


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
