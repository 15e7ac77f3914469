"""Tasks per second through the sandbox with a loader without work: ``python -m benchmarks.throughput``."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from ard.adapters.aws import client
from ard.adapters.status_table import StatusTable
from ard.keys import REQUESTS
from ard.rows import JobRow
from ard.states import State as TaskState
from sandbox.functions import FUNCTIONS
from sandbox.state import State
from sandbox.supervisor import Options, running
from sandbox.tiles import index_tiles

FIRST_YEAR = 2016
LOOK_SECONDS = 0.2
PATIENCE_SECONDS = 600


def main() -> int:
    """Print the figures; 1 when a task is missing at the end."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tasks", type=int, default=1000, help="at most 1,000: 100 tiles in 10 years")
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--engine", choices=["ministack", "moto"], default="ministack")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options = Options(
            folder=Path(folder),
            engine=given.engine,
            catalog="local-dem",
            workers=given.workers,
            functions=_functions(Path(folder)),
        )
        with running(options, lambda line: print(line, file=sys.stderr)) as state:
            return _measure(given.tasks, state)


def _functions(folder: Path) -> Path:
    """The deployed functions, the DEM worker with the empty loader."""
    document = json.loads(FUNCTIONS.read_text())
    for function in document["functions"]:
        if function["name"] == "dem":
            function["handler"] = "benchmarks.empty.handler"
    path = folder / "functions.json"
    path.write_text(json.dumps(document))
    return path


def _measure(tasks: int, state: State) -> int:
    table = StatusTable(client("dynamodb", state.environment["TTC_TABLE_REGION"]), state.environment["TTC_TABLE"])
    tiles = [tile.key for tile in index_tiles()]
    years = {
        str(FIRST_YEAR + n): {"missing_tiles": tiles[: min(100, tasks - 100 * n)]} for n in range(-(-tasks // 100))
    }
    dropped = time.time()
    client("s3", state.environment["TTC_CONTROL_REGION"]).put_object(
        Bucket=state.environment["TTC_CONTROL_BUCKET"],
        Key=f"{REQUESTS}throughput.json",
        Body=json.dumps({"benchmark": years, "$options": {"products": ["dem"]}}).encode(),
    )
    job = _ended(table)
    rows = list(table.tasks(job))
    if len(rows) != tasks or {row.state for row in rows} != {TaskState.NO_DATA}:
        print(f"expected {tasks} rows without data, found {len(rows)}", file=sys.stderr)
        return 1
    started = min(row.attempts[0].started for row in rows)
    last = max(row.updated_at for row in rows)
    seconds = sorted(row.seconds or 0.0 for row in rows)
    print(f"{tasks} tasks, {last - dropped:.1f} s from the dropped request to the last row")
    print(f"{last - started:.1f} s from the first claim to the last row ({tasks / (last - started):.0f} tasks/s)")
    print(f"claim to record: median {1000 * seconds[len(seconds) // 2]:.0f} ms")
    return 0


def _ended(table: StatusTable) -> JobRow:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        jobs = table.jobs(1)
        if jobs and sum(row.state.terminal for row in table.activity(jobs[0])) == jobs[0].tasks:
            return jobs[0]
    raise TimeoutError(f"the job did not end within {PATIENCE_SECONDS} s")


if __name__ == "__main__":
    sys.exit(main())
