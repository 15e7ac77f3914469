"""The demonstration: a request becomes tiles, through the very programs, queues and table that run on AWS."""

import json
import os
import shlex
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ard.adapters.aws import aws_errors, client
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.errors import ArdError, AssetCorrupt, Unavailable
from ard.keys import REQUESTS, rejection_key
from ard.product import Product
from ard.rows import JobRow, TaskRow
from ard.settings import AwsSettings
from ard.states import State as TaskState
from sandbox.children import program
from sandbox.engine import EngineName
from sandbox.late_scene import LateScene, announce_late_scene
from sandbox.state import State, hold
from sandbox.supervisor import Options, make_scenes, running
from sandbox.tiles import DEMO_YEAR, demo_tiles

REQUEST_KEY = f"{REQUESTS}demo.json"

_TAKEN_IN_SECONDS = 60.0
_FINISHED_SECONDS = 180.0
_COMMAND_SECONDS = 60.0
_LOOK_SECONDS = 0.5
_TAIL_LINES = 8
_LINE_CHARACTERS = 400
_MADE_ANEW = ("aws", "job_reports", "logs", "out", "pictures")  # scenes are kept: they take longest

T = TypeVar("T")


def run_demo(folder: Path, *, engine: EngineName) -> int:
    """Run the demonstration in ``folder/demo``; 0 when it went as it should, else 1 and the end of a log."""
    console, started = Console(), time.monotonic()
    options = Options(folder=folder / "demo", engine=engine)
    try:
        _begin_anew(options.folder)
        _demonstrate(options, console)
    except (ArdError, subprocess.SubprocessError) as error:
        console.print(Text(f"The demonstration went wrong. {type(error).__name__}: {error}"), style="bold red")
        _show_log(console, options.logs)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 1
    console.print(f"Done in {time.monotonic() - started:.0f} s. To go on by hand: [bold]sandbox up[/]")
    return 0


def _begin_anew(folder: Path) -> None:
    with hold(folder):
        for name in _MADE_ANEW:
            shutil.rmtree(folder / name, ignore_errors=True)


def _demonstrate(options: Options, console: Console) -> None:
    folder, tiles = options.folder, demo_tiles()
    spoilt = tiles[0]
    console.print(f"[bold]1. Scenes[/] around {spoilt.lon:.2f}, {spoilt.lat:.2f}, kept in {_shown(options.scenes)}")
    console.print("   (Sentinel-1 and -2 take a minute or two the first time)")
    made = make_scenes(options)
    late = announce_late_scene(made[0], spoilt, folder / "late")
    console.print("[bold]2. Sandbox[/]: a local AWS, a catalogue, and the functions of infra/functions.json")
    with running(replace(options, items=(late.items,)), lambda line: console.print(Text(line))) as state:
        console.print(
            f"[bold]3. Request[/] for {len(tiles)} tiles, dropped at s3://{_control(state)}/{REQUEST_KEY};\n"
            f"   the file of one scene is not there yet, so the DEM of {spoilt.key} must fail"
        )
        rows, job = _make_tiles([tile.key for tile in tiles], late, state, console)
        console.print("[bold]5. Report[/]")
        _tracker(console, state, "report", "--job", job.job_id, "--report-dir", _shown(folder / "job_reports"))
        pictures = _copy_outputs(rows, job, state, folder)
    console.print(
        f"[bold green]{len(rows)} products of {len(tiles)} tiles made[/], the DEM of {spoilt.key} at the second try\n"
        f"   outputs   {_shown(folder / 'out')}, copied from {job.dest}\n"
        f"   pictures  {_shown(folder / 'pictures')}, one for each of {pictures} products\n"
        f"   report    {_shown(folder / 'job_reports' / job.job_id)}\n"
        f"   logs      {_shown(options.logs)}",
        highlight=False,
    )


def _make_tiles(
    tiles: Sequence[str], late: LateScene, state: State, console: Console
) -> tuple[Sequence[TaskRow], JobRow]:
    """Send the request and follow it; the first tile fails, and is sent again once its scene is there."""
    spoilt = f"{DEMO_YEAR}/{tiles[0]}/{Product.DEM}"
    _drop_request(state, tiles)
    table = StatusTable(client("dynamodb", state.environment["TTC_TABLE_REGION"]), state.environment["TTC_TABLE"])
    job = _taken_in(table, state)
    _follow(table, job, console)
    _expect_one_failure(list(table.tasks(job)), spoilt)
    console.print(f"[bold]4. Redrive[/]: the file has come, and {tiles[0]} is sent again")
    late.deliver()
    reason = "the scene was delivered"
    # --force: a missing asset counts as a failure that trying again cannot help, unless something was repaired.
    _tracker(console, state, "redrive", "--job", job.job_id, "--force", "--reason", reason, "--apply")
    _follow(table, job, console)
    rows = list(table.tasks(job))
    _expect_success(rows, spoilt)
    return rows, job


def _shown(path: Path) -> str:
    """A path as a person in this folder would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _control(state: State) -> str:
    return state.environment["TTC_CONTROL_BUCKET"]


def _drop_request(state: State, tiles: Sequence[str]) -> None:
    request = {
        "demo": {str(DEMO_YEAR): {"missing_tiles": list(tiles)}},
        "$options": {"label": "demo"},
    }
    s3 = client("s3", state.environment["TTC_CONTROL_REGION"])
    with aws_errors(f"s3://{_control(state)}/{REQUEST_KEY}"):
        s3.put_object(Bucket=_control(state), Key=REQUEST_KEY, Body=json.dumps(request, indent=1).encode())


def _taken_in(table: StatusTable, state: State) -> JobRow:
    """The job that became of the request."""
    control = Store.open(f"s3://{_control(state)}", aws=AwsSettings(), region=state.environment["TTC_CONTROL_REGION"])

    def look() -> JobRow | None:
        rejected = control.get(rejection_key(REQUEST_KEY))
        if rejected is not None:
            raise Unavailable(f"expected the request to be taken in, found it rejected: {rejected.decode()}")
        return next(iter(table.jobs(1)), None)

    return _await(look, seconds=_TAKEN_IN_SECONDS, what="the request to become a job")


def _follow(table: StatusTable, job: JobRow, console: Console) -> None:
    """Show the job's tasks by state until all are terminal."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[states]}"))
    with Progress(TextColumn("  "), *columns, console=console) as progress:
        shown = progress.add_task("tasks", total=job.tasks, states="")

        def look() -> bool | None:
            counts = Counter(row.state for row in table.activity(job))
            ended = sum(number for state, number in counts.items() if state.terminal)
            states = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
            progress.update(shown, completed=ended, states=states)
            # The index may lag: the rows themselves say when it is over.
            over = ended == job.tasks and all(row.state.terminal for row in table.tasks(job))
            return over or None

        _await(look, seconds=_FINISHED_SECONDS, what=f"all tasks of {job.job_id} to end")


def _await(look: Callable[[], T | None], *, seconds: float, what: str) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(_LOOK_SECONDS)
    raise Unavailable(f"expected {what} within {seconds:g} s")


def _expect_one_failure(rows: Sequence[TaskRow], spoilt_task: str) -> None:
    failed = {row.task_id: row.cause for row in rows if row.state is not TaskState.SUCCEEDED}
    if failed != {spoilt_task: AssetCorrupt.cause}:
        raise Unavailable(f"expected {spoilt_task} alone to fail, with {AssetCorrupt.cause}; found {failed}")


def _expect_success(rows: Sequence[TaskRow], spoilt_task: str) -> None:
    failed = {row.task_id: f"{row.state} {row.cause}" for row in rows if row.state is not TaskState.SUCCEEDED}
    outcomes = [attempt.outcome for row in rows if row.task_id == spoilt_task for attempt in row.attempts]
    if failed or outcomes != [AssetCorrupt.cause, TaskState.SUCCEEDED]:
        raise Unavailable(
            f"expected all tasks to succeed, {spoilt_task} at its second try; found {failed}, tries {outcomes}"
        )


def _tracker(console: Console, state: State, *arguments: str) -> None:
    """Run a command of the tracker as a person would, in the sandbox's environment."""
    console.print(Text(f"   $ {shlex.join(['tracker', *arguments])}"), style="dim", soft_wrap=True)
    done = subprocess.run(
        [program("tracker"), *arguments],
        env={**os.environ, **state.environment},
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS,
        check=False,
    )
    console.print(Text("".join(f"   {line}\n" for line in done.stdout.splitlines())), end="")
    if done.returncode != 0:
        raise Unavailable(f"tracker {arguments[0]} ended with code {done.returncode}: {done.stderr.strip()}")


def _copy_outputs(rows: Sequence[TaskRow], job: JobRow, state: State, folder: Path) -> int:
    """Copy the outputs, and the thumbnails once more side by side, to where a person can open them; how many those."""
    store = Store.open(job.dest, aws=AwsSettings(), region=state.environment["TTC_DEST_REGION"])
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for row in rows:
        for key in store.list((row.item or "").rpartition("/")[0]):
            content, copy = store.get(key) or b"", folder / "out" / key
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            if copy.suffix == ".png" and copy.name.startswith(f"{row.product}_"):  # the tile's products share a folder
                (pictures / f"{row.task_id.replace('/', '_')}.png").write_bytes(content)
    return len(list(pictures.iterdir()))


def _show_log(console: Console, logs: Path) -> None:
    """The end of the log that was written to last."""
    written = sorted(logs.glob("*.log"), key=lambda path: path.stat().st_mtime)
    for path in written[-1:]:
        console.print(f"The end of {path}:")
        for line in path.read_text(errors="replace").splitlines()[-_TAIL_LINES:]:
            console.print(Text(line[:_LINE_CHARACTERS]), soft_wrap=True)
