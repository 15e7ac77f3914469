"""The ``sandbox`` command."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="The tile pipeline on one machine, without any account."
)

FolderOption = Annotated[Path, typer.Option("--folder", help="Where scenes, outputs and reports are kept.")]


@app.callback()
def sandbox() -> None:
    """The tile pipeline on one machine, without any account."""


@app.command()
def demo(folder: FolderOption = Path(".sandbox")) -> None:
    """Make the demonstration's DEM tiles from generated scenes and say where to look."""
    from sandbox.demo import run_demo  # noqa: PLC0415 - keeps --help quick

    raise typer.Exit(run_demo(folder.resolve()))
