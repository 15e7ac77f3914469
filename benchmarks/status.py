"""How long ``tracker status`` takes over very many rows: ``python -m benchmarks.status --rows 300000``.

The local engine sorts a whole partition anew for each page that it hands out, which takes most of the time and no
table of AWS does; what is ours is told apart.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from ard.adapters.aws import client
from ard.adapters.status_table import StatusTable
from ard.adapters.table_items import SCHEMA, from_task
from ard.adapters.wire import serialise
from ard.product import Format, Product
from ard.rows import Attempt, Command, JobRow, TaskRow
from ard.shards import shard_count, shard_of
from ard.states import State
from ard.tile import tile_key
from sandbox.engine import start_engine
from sandbox.environment import enter, local_aws
from tracker.follow import Follower

REGION, TABLE, JOB = "us-west-2", "ttc-benchmark", "benchmark"
BATCH, SIDE_BY_SIDE = 25, 4  # what DynamoDB takes in one call
CHANGED = 500  # rows that change between two looks of --watch


def main() -> int:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=300_000)
    arguments.add_argument("--ended", action="store_true", help="every task has ended: the rows themselves are read")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, start_engine("ministack", Path(folder)) as endpoint:
        size = {"memory_mb": 1024, "timeout_seconds": 120, "max_concurrency": 2}
        queue = {"url": f"{endpoint}/0/dem", "dlq_url": f"{endpoint}/0/dem-dlq", "region": REGION, **size}
        enter(
            {
                **local_aws(endpoint, REGION),
                "TTC_TABLE": TABLE,
                "TTC_TABLE_REGION": REGION,
                "TTC_QUEUES": json.dumps({"dem": queue}),
            }
        )
        _measure(given.rows, ended=given.ended)
    return 0


def _measure(rows: int, *, ended: bool) -> None:
    dynamodb = client("dynamodb", REGION)
    dynamodb.create_table(TableName=TABLE, **SCHEMA)
    table, job = StatusTable(dynamodb, TABLE), _job(rows)
    table.put_job(job)
    started = time.perf_counter()
    _fill(dynamodb, job, ended=ended)
    print(f"{rows:,} rows in {job.shards} shards, filled in {time.perf_counter() - started:.0f} s", flush=True)
    program = [sys.executable, "-c", "from tracker.cli import app; app()", "status", "--job", JOB]
    started = time.perf_counter()
    subprocess.run(program, check=True, env=os.environ)  # noqa: S603 - our own command
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds, own = time.perf_counter() - started, used.ru_utime + used.ru_stime
    print(f"tracker status: {seconds:.1f} s, of which {own:.1f} s its own processor time", flush=True)
    follower = Follower(table=table, job_id=JOB, regions={Product.DEM: REGION}, clock=time.monotonic)
    for look in range(4):
        now, started, own = time.time(), time.perf_counter(), time.process_time()
        follower.read(now)
        seconds, own = time.perf_counter() - started, time.process_time() - own
        print(f"look {look}: {seconds:.2f} s, of which {own:.2f} s its own processor time", flush=True)
        changed = list(islice(_rows(job, now=now, ended=ended), CHANGED))
        for first in range(0, CHANGED, BATCH):
            _write(dynamodb, changed[first : first + BATCH])


def _job(rows: int) -> JobRow:
    return JobRow(
        job_id=JOB,
        command=Command.OPEN,
        created_at=time.time() - 3600,
        digest="0123456789",
        request_key="requests/benchmark.json",
        dest="s3://tof-output/ttc",
        formats=(Format.COG,),
        overwrite=False,
        max_attempts=4,
        totals=dict.fromkeys(Product, rows // len(Product)),
        shards=shard_count(rows),
        chunks=1,
        estimate_usd=500.0,
    )


def _rows(job: JobRow, *, now: float, ended: bool) -> Iterator[TaskRow]:
    """A job half way through, or at its end; the tasks of a tile one after the other."""
    states = [State.SUCCEEDED, State.SUCCEEDED, State.SUCCEEDED, State.NO_DATA, State.FAILED]
    states += [] if ended else [State.QUEUED, State.QUEUED, State.RUNNING, State.RETRYING]
    for number in range(job.tasks):
        place, product = number // len(Product), list(Product)[number % len(Product)]
        x, y = place % 1000, place // 1000
        state = states[number % len(states)]
        yield TaskRow(
            job_id=JOB,
            shard=shard_of(tile_key(x, y), job.shards),
            product=product,
            year=2023,
            x_tile=x,
            y_tile=y,
            lon=-54.4722,
            lat=-5.1389,
            state=state,
            updated_at=now,
            charged=1,
            seconds=9.125,
            gb_seconds=36.5,
            lease_until=now + 900 if state is State.RUNNING else None,
            cause="unavailable" if state in {State.FAILED, State.RETRYING} else None,
            message="expected 200, found 503 from the catalogue" if state is State.FAILED else None,
            item=f"2023/{x}/{y}/{product}.json" if state is State.SUCCEEDED else None,
            digest={"void_fraction": 0.0, "slope_p50": 12.5, "elevation_min": 10.25, "elevation_max": 812.5},
            attempts=(Attempt(worker="0f8fad5b-d9cb-469f", started=now - 9, ended=now, outcome=str(state)),),
        )


def _fill(dynamodb: Any, job: JobRow, *, ended: bool) -> None:
    rows = _rows(job, now=time.time() - 1800, ended=ended)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        while batches := [list(islice(rows, BATCH)) for _ in range(SIDE_BY_SIDE * BATCH)]:
            if not batches[0]:
                break
            list(pool.map(lambda batch: _write(dynamodb, batch), batches))


def _write(dynamodb: Any, rows: list[TaskRow]) -> None:
    """Put rows, whatever stands there; what the engine leaves out is an error."""
    puts = [{"PutRequest": {"Item": serialise(from_task(row))}} for row in rows]
    if puts and dynamodb.batch_write_item(RequestItems={TABLE: puts}).get("UnprocessedItems"):
        raise RuntimeError("expected every row to be written")


if __name__ == "__main__":
    sys.exit(main())
