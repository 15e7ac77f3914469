"""The ``sandbox`` command."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ard.adapters.console import Exit, put, reports_errors, say
from sandbox.catalogue import CatalogName
from sandbox.engine import EngineName
from sandbox.functions import FUNCTIONS, ROOT

if TYPE_CHECKING:
    from sandbox.state import State

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="The tile pipeline on one machine, without any account.",
)

_FOLDER = Path(".sandbox")

FolderOption = Annotated[Path, typer.Option(help="Everything it keeps: scenes, the local AWS's state, logs, outputs.")]
EngineOption = Annotated[EngineName, typer.Option(help="The local AWS; moto forgets everything when it ends.")]
CatalogOption = Annotated[
    CatalogName,
    typer.Option(help="Made-up scenes (a minute the first time; the DEM's alone, seconds), or live."),
]
ItemsOption = Annotated[list[Path] | None, typer.Option(metavar="FILE", help="More STAC items for the catalogue.")]
FunctionsOption = Annotated[Path, typer.Option(metavar="FILE", help="The list of functions to run.")]
CodeOption = Annotated[Path, typer.Option(metavar="DIR", help="Where the functions' handlers are.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Warm workers per function, at most.")]
DetachOption = Annotated[bool, typer.Option("--detach", help="Leave it running in the background.")]


@app.command()
@reports_errors
def up(
    *,
    folder: FolderOption = _FOLDER,
    engine: EngineOption = "ministack",
    catalog: CatalogOption = "local",
    items: ItemsOption = None,
    functions: FunctionsOption = FUNCTIONS,
    code: CodeOption = ROOT,
    workers: WorkersOption = 2,
    detach: DetachOption = False,
) -> None:
    """Bring the sandbox up, until Ctrl-C or ``sandbox down``."""
    from sandbox import supervisor  # noqa: PLC0415 - keeps the other commands quick

    options = supervisor.Options(
        folder=folder.resolve(),
        engine=engine,
        catalog=catalog,
        items=tuple(path.resolve() for path in items or ()),
        functions=functions.resolve(),
        code=code.resolve(),
        workers=workers,
    )
    if detach:
        _greet(supervisor.detach(options), folder)
    else:
        say(f"Starting in {folder} (logs in {folder / 'logs'}) ...")
        supervisor.stay_up(options, say, greet=lambda state: _greet(state, folder))


@app.command()
@reports_errors
def down(*, folder: FolderOption = _FOLDER) -> None:
    """End the sandbox that runs in the folder."""
    from sandbox.supervisor import take_down  # noqa: PLC0415 - keeps the other commands quick

    say("The sandbox is down." if take_down(folder.resolve()) else f"No sandbox is up in {folder}.")


@app.command()
@reports_errors
def status(*, folder: FolderOption = _FOLDER) -> None:
    """Say what runs, where, and how many messages wait; exit code 4 when nothing runs."""
    from ard.adapters.aws import client  # noqa: PLC0415 - keeps the other commands quick
    from ard.adapters.queues import Queue  # noqa: PLC0415
    from sandbox.environment import enter  # noqa: PLC0415

    state = _state(folder)
    enter(state.environment)
    lines = [
        f"process    {state.pid}",
        f"local AWS  {state.endpoint} ({state.engine})",
        f"catalogue  {state.stac_url}",
        *(f"function   {f.name}: {f.handler}, {f.workers or 'no'} workers" for f in state.functions),
    ]
    for name, queue in state.queues.items():
        sqs = client("sqs", queue.region)
        waiting, dead = Queue(sqs, queue.url).depth(), Queue(sqs, queue.dlq_url).depth()
        lines.append(f"queue      {name} in {queue.region}: {waiting} waiting or in work, {dead} dead letters")
    put("\n".join(lines) + "\n")


@app.command()
@reports_errors
def env(*, folder: FolderOption = _FOLDER) -> None:
    """Print what makes a shell part of the sandbox: eval "$(sandbox env)"; exit code 4 when nothing runs."""
    from sandbox.environment import replaced_names  # noqa: PLC0415 - keeps the other commands quick

    exported = _state(folder).environment
    put("".join(f"unset {name}\n" for name in replaced_names() if name not in exported))
    put("".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(exported.items())))


@app.command()
def demo(*, folder: FolderOption = _FOLDER, engine: EngineOption = "ministack") -> None:
    """Send a request of 16 tiles through a sandbox of its own, from the inbox to the report."""
    from sandbox.demo import run_demo  # noqa: PLC0415 - keeps --help quick

    raise typer.Exit(run_demo(folder.resolve(), engine=engine))


def _state(folder: Path) -> "State":
    from sandbox.state import read_state  # noqa: PLC0415 - no such lock on Windows, where --help should work

    state = read_state(folder.resolve())
    if state is None:
        say(f"error: no sandbox is up in {folder}\nnext: sandbox up --folder {shlex.quote(str(folder))}")
        raise typer.Exit(Exit.UNAVAILABLE)
    return state


def _greet(state: "State", folder: Path) -> None:
    option = "" if folder == _FOLDER else f" --folder {shlex.quote(str(folder))}"
    bucket, endpoint = state.environment["TTC_CONTROL_BUCKET"], state.endpoint
    running = ", ".join(f"{function.name} x{function.workers}" for function in state.functions if function.workers)
    say(
        f"The sandbox is up: process {state.pid}.\n"
        f"  local AWS  {endpoint} ({state.engine})\n"
        f"  catalogue  {state.stac_url}\n"
        f"  functions  {running or 'none'}\n"
        f"  inbox      s3://{bucket}/requests/\n"
        f"  logs       {folder / 'logs'}\n"
        "Use it from another shell:\n"
        f'  eval "$(sandbox env{option})"\n'
        f"  sandbox status{option}\n"
        f"  sandbox down{option}"
    )
