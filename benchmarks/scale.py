"""The fan-out of very large jobs, killed in the middle and resumed: ``python -m benchmarks.scale``.

In process, a table and queues that count (``benchmarks.counting``) take jobs of growing size, each in a process of its
own, to see that memory stays flat. On the local AWS a smaller job goes through the very clients, its sender killed by
SIGKILL. Every request overwrites, so that no time goes into looking for existing outputs.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from ard.adapters.aws import client
from ard.adapters.queues import Queue
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.adapters.table_items import SCHEMA
from ard.product import Product
from ard.rows import JobRow
from ard.settings import AwsSettings, ControlSettings, ProductQueue
from benchmarks.counting import CountingSqs, CountingTable, Killed, Meter, TaskCounts
from producer.expansion import send_chunk
from producer.jobs import Started, resume_job, start_job
from producer.json_io import read_json_request
from producer.plan import CHUNK_TILES
from producer.request import TileRequest
from producer.services import Services
from producer.tile_index import ID_LIMIT, TileIndex
from sandbox.engine import start_engine
from sandbox.environment import enter, local_aws

SIZES = (100_000, 300_000, 1_000_000)
ENGINE_TILES = 10_000
MOST_MEGABYTES = 600.0
REGION = "us-west-2"
TABLE = "scale-status"
PRODUCTS = tuple(sorted(Product))
REAL_INDEX = Path(__file__).resolve().parents[2] / "shared" / "data" / "tiledb.parquet"
_RECEIVERS = 4


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one job showed; ``resume_seconds`` from the command after the kill to its end."""

    tiles: int
    plan_seconds: float
    send_seconds: float
    resume_seconds: float
    megabytes: float
    lost: int
    sent_twice: int
    requests: dict[str, int]

    @property
    def line(self) -> str:
        """The figures as a row of the table."""
        return (
            f"{self.tiles:>10,} {self.plan_seconds:>8.1f} {self.send_seconds:>8.1f} "
            f"{self.tiles / self.send_seconds:>8,.0f} {self.resume_seconds:>9.3f} {self.megabytes:>8.0f} "
            f"{self.lost:>6} {self.sent_twice:>11,}"
        )

    @property
    def holds(self) -> bool:
        """Nothing is lost, no more than a chunk was sent twice, and memory is bounded."""
        within = self.sent_twice <= CHUNK_TILES * len(PRODUCTS)
        return self.lost == 0 and within and self.megabytes < MOST_MEGABYTES


def main() -> int:
    """Print the figures; 1 when an invariant fails."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tiles", type=int, nargs="+", default=SIZES, help="sizes of the jobs in process")
    arguments.add_argument("--engine-tiles", type=int, default=ENGINE_TILES, help="tiles on the local AWS; 0: none")
    arguments.add_argument("--counted", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--send", nargs=2, metavar=("TILES", "FOLDER"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.counted:
        print(json.dumps(asdict(counted(given.counted))))
        return 0
    if given.send:
        send_to_engine(int(given.send[0]), Path(given.send[1]))
        return 0
    kind = "the real index" if REAL_INDEX.is_file() else "a synthetic index of the real one's shape"
    print(f"{kind}, {len(PRODUCTS)} products; lost and twice count tasks", flush=True)
    print("     tiles   plan s   send s  tiles/s  resume s  peak MB   lost  sent twice", flush=True)
    results = []
    for tiles in given.tiles:
        command = [sys.executable, "-m", "benchmarks.scale", "--counted", str(tiles)]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - our own command
        results.append(Figures(**json.loads(child.stdout)))
        print(f"{results[-1].line}   in process", flush=True)
    if given.engine_tiles:
        results.append(on_engine(given.engine_tiles))
        print(f"{results[-1].line}   ministack, SIGKILL")
    for figures in results:
        print(f"{figures.tiles:,} tiles: " + ", ".join(f"{n:,} {kind}" for kind, n in sorted(figures.requests.items())))
    failed = [figures.tiles for figures in results if not figures.holds]
    if failed:
        print(f"expected nothing lost, at most a chunk twice, under {MOST_MEGABYTES:.0f} MB; failed: {failed}")
    return 1 if failed else 0


def counted(tiles: int) -> Figures:
    """A job sent to a table and queues that count; its sender dies among the chunk messages and among the tasks."""
    began = time.monotonic()
    request = _request(tiles)
    chunk_batches = -(-tiles // CHUNK_TILES) // 10
    meter = Meter(dies_at=[chunk_batches // 2 + 1, chunk_batches * 2 + tiles * len(PRODUCTS) // 20])
    rows, messages = (TaskCounts(request.x_tile, request.y_tile, PRODUCTS) for _ in range(2))
    table, sqs = CountingTable(meter, rows), CountingSqs(meter, messages)
    # The double has what the producer asks of a status table.
    services = _services(cast("StatusTable", table), sqs, Store.in_memory())
    start = partial(_start, request, services)
    _dying(start)
    planned = time.monotonic()
    job = start().job
    _dying(lambda: _expand(job, sqs, services))
    killed = time.monotonic()
    resume_job(job.job_id, services=services, now=time.time())
    resumed = time.monotonic()
    _expand(job, sqs, services)
    return Figures(
        tiles=tiles,
        plan_seconds=planned - began,
        send_seconds=time.monotonic() - planned,
        resume_seconds=resumed - killed,
        megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        lost=int(np.count_nonzero(rows.counts == 0) + np.count_nonzero(messages.counts == 0)),
        sent_twice=int(messages.counts.sum()) - messages.counts.size,
        requests=dict(meter.requests),
    )


def on_engine(tiles: int) -> Figures:
    """A job sent to the local AWS by a process that is killed, and by a second one that finishes."""
    with tempfile.TemporaryDirectory() as folder, start_engine("ministack", Path(folder) / "engine") as endpoint:
        enter(local_aws(endpoint, REGION))
        dynamodb, sqs = client("dynamodb", REGION), client("sqs", REGION)
        dynamodb.create_table(TableName=TABLE, **SCHEMA)
        for name in ("chunks", *PRODUCTS):
            sqs.create_queue(QueueName=f"scale-{name}")
        began = time.monotonic()
        _, planned, _ = _run_sender(tiles, folder, kill_after=-(-tiles // CHUNK_TILES) // 2)
        killed = time.monotonic()
        job_id, resumed, megabytes = _run_sender(tiles, folder)
        ended = time.monotonic()
        table = StatusTable(dynamodb, TABLE)
        job = cast("JobRow", table.job(job_id))
        rows = {row.task_id for row in table.tasks(job)}
        with ThreadPoolExecutor(_RECEIVERS) as pool:
            messages = sum(pool.map(_drained, [product for product in PRODUCTS for _ in range(_RECEIVERS)]), Counter())
    return Figures(
        tiles=tiles,
        plan_seconds=planned - began,
        send_seconds=ended - planned,
        resume_seconds=resumed - killed,
        megabytes=megabytes,
        lost=job.tasks - len(rows) + len(rows - messages.keys()),
        sent_twice=messages.total() - len(messages),
        requests={"rows": len(rows), "messages": messages.total()},
    )


def send_to_engine(tiles: int, folder: Path) -> None:
    """Start or find the job, then expand its chunks one by one; a line is printed for each step."""
    table, sqs = StatusTable(client("dynamodb", REGION), TABLE), client("sqs", REGION)
    services = _services(table, sqs, Store.open(str(folder / "control"), aws=AwsSettings()))
    job = _start(_request(tiles), services).job
    print(job.job_id, flush=True)
    for number in range(job.chunks):
        send_chunk(job.job_id, number, services=services)
        print(number, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


def _run_sender(tiles: int, folder: str, *, kill_after: int | None = None) -> tuple[str, float, float]:
    """The job's id, when the job was known, and the peak memory; killed within a chunk after so many."""
    command = [sys.executable, "-m", "benchmarks.scale", "--send", str(tiles), folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:  # noqa: S603 - our own command
        lines = cast("Any", sender.stdout)
        job_id, known = lines.readline().strip(), time.monotonic()
        if kill_after is None:
            return job_id, known, float(lines.read().split()[-1])
        for _ in range(kill_after):
            lines.readline()
        time.sleep((time.monotonic() - known) / kill_after * 0.95)  # most of the next chunk is written: messages go out
        sender.kill()
        return job_id, known, 0.0


def _drained(product: Product) -> Counter[str]:
    """The tasks of the messages that one receiver gets out of a product's queue."""
    sqs = client("sqs", REGION)
    queue, found = Queue(sqs, _url(sqs, str(product))), Counter[str]()
    while messages := queue.receive(visible_again_seconds=3600):
        for body in (json.loads(message.body) for message in messages):
            found[f"{body['year']}/{body['x_tile']}X{body['y_tile']}Y/{body['product']}"] += 1
    return found


def _expand(job: JobRow, sqs: CountingSqs, services: Services) -> None:
    while sqs.chunks:
        send_chunk(job.job_id, sqs.chunks.popleft(), services=services)


def _dying(step: Any) -> None:
    try:
        step()
    except Killed:
        return
    raise RuntimeError("expected the sender to be killed, and it was not")


def _start(request: TileRequest, services: Services) -> Started:
    return start_job(request, services=services, request_key="scale", now=time.time())


def _request(tiles: int) -> TileRequest:
    """Every n-th tile of the index, read from its request file."""
    index = TileIndex.open(REAL_INDEX) if REAL_INDEX.is_file() else _synthetic_index()
    return read_json_request(_request_file(index, tiles), index=index)


def _request_file(index: TileIndex, tiles: int) -> bytes:
    y, x = np.divmod(index.keys[np.linspace(0, len(index) - 1, tiles).astype(np.int64)], ID_LIMIT)
    names = ",".join(f'"{one}X{other}Y"' for one, other in zip(x.tolist(), y.tolist(), strict=True))
    options = json.dumps({"overwrite": True, "products": PRODUCTS})
    return f'{{"scale":{{"2023":{{"missing_tiles":[{names}]}}}},"$options":{options}}}'.encode()


def _synthetic_index() -> TileIndex:
    """2.9 million tiles, 3,000 by 967, around the equator."""
    y, x = (part.ravel() for part in np.indices((967, 3_000)))
    return TileIndex.from_columns(x_tile=x, y_tile=y, lon=x / 18 - 83, lat=y / 18 - 26)


def _services(table: StatusTable, sqs: Any, control: Store) -> Services:
    counting = isinstance(sqs, CountingSqs)
    urls = {name: name if counting else _url(sqs, name) for name in ("chunks", *map(str, PRODUCTS))}
    sizes: dict[str, Any] = {"region": REGION, "memory_mb": 1024, "timeout_seconds": 120, "max_concurrency": 200}
    settings = ControlSettings(
        table=TABLE,
        table_region=REGION,
        queues={product: ProductQueue(url=urls[product], dlq_url="none", **sizes) for product in PRODUCTS},
        control_bucket="none",
        control_region=REGION,
        inbox_queue_url="none",
        chunk_queue_url=urls["chunks"],
        tile_index="none",
        default_dest="s3://none",
        allowed_dests=("s3://none",),
    )
    return Services(
        settings=settings,
        table=table,
        chunk_queue=Queue(sqs, urls["chunks"]),
        product_queues={product: Queue(sqs, urls[product]) for product in PRODUCTS},
        control=control,
        open_store=lambda _dest: control,
        index=_synthetic_index,
        clock=time.time,
    )


def _url(sqs: Any, name: str) -> str:
    return str(sqs.get_queue_url(QueueName=f"scale-{name}")["QueueUrl"])


if __name__ == "__main__":
    sys.exit(main())
