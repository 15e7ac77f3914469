"""A status table and queues that count instead of keeping: two bytes per task, whatever the size of a job."""

import json
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ard.product import Product
from ard.rows import ChunkRow, Command, JobRow, TaskRow
from producer.tile_index import ID_LIMIT


class Killed(BaseException):
    """The sender dies here; no handler of errors stops this."""


@dataclass
class Meter:
    """Counts requests by kind, and kills the sender at some of the calls of SendMessageBatch."""

    dies_at: list[int]
    requests: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str, requests: int = 1) -> None:
        """Take note of requests.

        Raises:
            Killed: It is time.
        """
        with self._lock:
            self.requests[kind] += requests
            if kind == "SendMessageBatch" and self.requests[kind] in self.dies_at:
                raise Killed


class TaskCounts:
    """How often each task of a job was met: ``counts (task,)`` uint8 in the order of its plan, one year only."""

    def __init__(self, x_tile: NDArray[np.int64], y_tile: NDArray[np.int64], products: tuple[Product, ...]) -> None:
        """None was met yet; the tiles are sorted by x, then y."""
        self._keys = x_tile * ID_LIMIT + y_tile
        self._products = {str(product): number for number, product in enumerate(products)}
        self.counts = np.zeros(len(x_tile) * len(products), dtype=np.uint8)

    def count(self, tasks: Iterable[tuple[int, int, str]]) -> None:
        """Count tasks, each named by x, y and product, once more; ``KeyError`` for one that the job does not have."""
        np.add.at(self.counts, self._places(tasks), 1)

    def mark(self, tasks: Iterable[tuple[int, int, str]]) -> None:
        """Count tasks once, however often they come."""
        self.counts[self._places(tasks)] = 1

    def _places(self, tasks: Iterable[tuple[int, int, str]]) -> NDArray[np.int64]:
        named = [(x * ID_LIMIT + y, self._products[product]) for x, y, product in tasks]
        keys, products = np.array(named, dtype=np.int64).reshape(-1, 2).T
        rows = np.searchsorted(self._keys, keys)
        if not np.array_equal(self._keys[np.minimum(rows, len(self._keys) - 1)], keys):
            raise KeyError("a task that the job does not have")
        return rows * len(self._products) + products


class CountingTable:
    """A status table as far as the producer asks one; of tasks it knows only whether they have a row."""

    def __init__(self, meter: Meter, tasks: TaskCounts) -> None:
        """An empty table."""
        self._meter, self._tasks = meter, tasks
        self._digests: dict[str, str] = {}
        self._jobs: dict[str, JobRow] = {}
        self._chunks: dict[int, ChunkRow] = {}

    def jobs(self, _limit: int) -> list[JobRow]:
        """None: there is no history to estimate by."""
        self._meter.count("Query")
        return []

    def claim_digest(self, digest: str, job_id: str) -> str:
        """See ``StatusTable``, here as below."""
        self._meter.count("PutItem")
        return self._digests.setdefault(digest, job_id)

    def put_job(self, job: JobRow) -> bool:
        """Write a new job's row."""
        self._meter.count("PutItem")
        return self._jobs.setdefault(job.job_id, job) is job

    def job(self, job_id: str) -> JobRow | None:
        """A job's row."""
        self._meter.count("GetItem")
        return self._jobs.get(job_id)

    def set_command(self, job_id: str, command: Command, **_expected: Command | None) -> None:
        """Say what is wanted of a job."""
        self._meter.count("PutItem")
        self._jobs[job_id] = replace(self._jobs[job_id], command=command)

    def put_chunk(self, chunk: ChunkRow) -> bool:
        """Write a chunk's row."""
        self._meter.count("PutItem")
        return self._chunks.setdefault(chunk.number, chunk) is chunk

    def chunk(self, _job_id: str, number: int) -> ChunkRow | None:
        """A chunk's row."""
        self._meter.count("GetItem")
        return self._chunks.get(number)

    def chunks(self, _job_id: str) -> list[ChunkRow]:
        """All chunks."""
        self._meter.count("Query")
        return [self._chunks[number] for number in sorted(self._chunks)]

    def replace_chunk(self, chunk: ChunkRow) -> bool:
        """Write a chunk's successor."""
        self._meter.count("PutItem")
        self._chunks[chunk.number] = chunk
        return True

    def add_tasks(self, rows: Iterable[TaskRow]) -> list[TaskRow]:
        """Write new rows; one that exists stays, and is as it was: there are no workers."""
        listed = list(rows)
        self._tasks.mark((row.x_tile, row.y_tile, str(row.product)) for row in listed)
        self._meter.count("PutItem", len(listed))
        return listed

    def tasks(self, _job: JobRow) -> Iterator[TaskRow]:
        """None: whoever resumes looks for parked tasks only, and nobody parks any."""
        return iter(())


class CountingSqs:
    """An SQS client: chunk messages wait in ``chunks``, tasks are counted."""

    def __init__(self, meter: Meter, tasks: TaskCounts) -> None:
        """No message was sent yet."""
        self._meter, self._tasks = meter, tasks
        self._lock = threading.Lock()
        self.chunks: deque[int] = deque()

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        """Take every entry; who is killed by this call does not learn that it was taken."""
        bodies = [json.loads(entry["MessageBody"]) for entry in request["Entries"]]
        with self._lock:
            self.chunks.extend(body["number"] for body in bodies if "number" in body)
            self._tasks.count((body["x_tile"], body["y_tile"], body["product"]) for body in bodies if "x_tile" in body)
        self._meter.count("SendMessageBatch")
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}
