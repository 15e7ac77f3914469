"""The status table: single-item conditional writes, and reads shared between partitions."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from ard.adapters import table_items as items
from ard.adapters.aws import aws_errors, error_code
from ard.adapters.wire import deserialise, hand_over_items, serialise
from ard.errors import InvalidInput
from ard.rows import Activity, ChunkRow, Command, JobRow, OddRow, TaskRow
from ard.shards import DUE_PARTITIONS
from ard.states import State

_CONDITION_FAILED = "ConditionalCheckFailedException"
_ABSENT = "attribute_not_exists(PK)"
_SIDE_BY_SIDE = 8  # requests in flight where many items are read or written

R = TypeVar("R")
TellOdd = Callable[[OddRow], object]


class StatusTable:
    """One DynamoDB table. Every method raises ``Unavailable`` or ``Auth`` when it cannot be asked."""

    def __init__(self, client: Any, name: str) -> None:
        """Wrap a boto3 DynamoDB client; nothing is contacted yet."""
        hand_over_items(client)
        self._client = client
        self.name = name

    def put_job(self, job: JobRow) -> bool:
        """Write a new job's row; False when the job already exists."""
        return self._put(items.from_job(job), _ABSENT) is None

    def job(self, job_id: str) -> JobRow | None:
        """A job's row; None when there is no such job."""
        item = self._get(items.job_key(job_id))
        return items.to_job(item) if item else None

    def jobs(self, limit: int, *, odd: TellOdd | None = None) -> list[JobRow]:
        """The newest jobs, newest first; ``odd`` is told of each that cannot be read, which else is an error."""
        found = self._query("kind = :value", items.JOBS_KIND, IndexName="jobs", ScanIndexForward=False, Limit=limit)
        return list(islice(_readable(found, items.to_job, odd), limit))

    def set_command(self, job_id: str, command: Command, *, expected: Command | None = None) -> None:
        """Say what is wanted of a job; with ``expected``, only when that was wanted until now.

        Raises:
            InvalidInput: There is no such job, or something else than expected is wanted of it.
        """
        job = self.job(job_id)
        if job is None:
            raise InvalidInput(f"no job {job_id} in {self.name}")
        condition = "attribute_exists(PK)" if expected is None else "command = :before"
        values = None if expected is None else {":before": str(expected)}
        standing = self._put(items.from_job(replace(job, command=command)), condition, values)
        if standing is not None and standing.get("command") != command:
            raise InvalidInput(f"{job_id}: expected a job that is {expected}, found {standing.get('command')}")

    def claim_digest(self, digest: str, job_id: str) -> str:
        """The job that first brought this content: ``job_id`` itself, unless another one did."""
        existing = self._put({**items.digest_key(digest), "job_id": job_id}, _ABSENT)
        return str(existing["job_id"]) if existing else job_id

    def job_of_digest(self, digest: str) -> str | None:
        """The job that brought this content; None when none has."""
        item = self._get(items.digest_key(digest))
        return str(item["job_id"]) if item else None

    def put_chunk(self, chunk: ChunkRow) -> bool:
        """Write a chunk's row; False when it already exists."""
        return self._put(items.from_chunk(chunk), _ABSENT) is None

    def replace_chunk(self, chunk: ChunkRow) -> bool:
        """Write a chunk's successor; False when it was sent meanwhile."""
        return self._put(items.from_chunk(chunk), "sent = :no", {":no": False}) is None

    def chunk(self, job_id: str, number: int) -> ChunkRow | None:
        """A chunk's row; None when there is none."""
        item = self._get(items.chunk_key(job_id, number))
        return items.to_chunk(item) if item else None

    def chunks(self, job_id: str) -> list[ChunkRow]:
        """All chunks of a job, in order."""
        found = self._query(
            "PK = :value AND begins_with(SK, :chunk)", items.job_partition(job_id), {":chunk": "CHUNK#"}
        )
        return sorted((items.to_chunk(item) for item in found), key=lambda chunk: chunk.number)

    def add_tasks(self, rows: Iterable[TaskRow]) -> list[TaskRow]:
        """Write new rows, many at once; rows that exist stay. Returns the rows as the table has them, in order."""

        def add(row: TaskRow) -> TaskRow:
            existing = self._put(items.from_task(row), _ABSENT)
            return items.to_task(existing) if existing else row

        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            return list(pool.map(add, rows))

    def task(self, job_id: str, shard: int, task_id: str) -> TaskRow | None:
        """A task's row as it is now; None when there is none."""
        item = self._get(items.task_key(job_id, shard, task_id))
        return items.to_task(item) if item else None

    def replace(self, old: TaskRow, new: TaskRow) -> bool:
        """Write a row's successor; False when the row has changed since ``old`` was read.

        True also when the row already is the successor: it was written, and the answer lost.
        """
        wanted: dict[str, Any] = {
            ":fence": old.fence,
            ":state": str(old.state),
            ":updated": items.number(old.updated_at),
        }
        condition = "fence = :fence AND #state = :state AND updated_at = :updated"
        if old.owner is not None:
            condition, wanted = f"{condition} AND #owner = :owner", {**wanted, ":owner": old.owner}
        item = items.from_task(new)
        standing = self._put(item, condition, wanted)
        return standing is None or standing == deserialise(serialise(item))

    def tasks(
        self, job: JobRow, *, states: Collection[State] = tuple(State), odd: TellOdd | None = None
    ) -> Iterator[TaskRow]:
        """The tasks of a job, partition by partition, from the rows themselves.

        Args:
            job: Whose.
            states: Rows in others of our states are left out by the table itself.
            odd: Told of each row that cannot be read; without it, such a row is an error.
        """
        left_out = {f":not{number}": str(state) for number, state in enumerate(sorted(set(State) - set(states)))}
        request: dict[str, Any] = {"ConsistentRead": True}
        if left_out:
            names = {"#state": "state"}
            request |= {"FilterExpression": f"NOT #state IN ({', '.join(left_out)})", "ExpressionAttributeNames": names}
        for shard in range(job.shards):
            found = self._query("PK = :value", items.task_partition(job.job_id, shard), left_out, **request)
            yield from _readable(found, items.to_task, odd)

    def activity(self, job: JobRow, since: float = 0.0, *, odd: TellOdd | None = None) -> list[Activity]:
        """The small side of every task that changed since then, from the index (which may lag by moments).

        ``odd`` is told of each row that cannot be read; without it, such a row is an error.
        """
        return _side_by_side(job, lambda shard: self.changes(job, shard, since=since, odd=odd))

    def changes(self, job: JobRow, shard: int, *, since: float, odd: TellOdd | None = None) -> list[Activity]:
        """What ``activity`` finds in one partition."""
        partition, moment = items.task_partition(job.job_id, shard), {":since": items.number(since)}
        condition = "PK = :value AND updated_at >= :since" if since else "PK = :value"
        found = self._query(condition, partition, moment if since else None, IndexName="activity")
        return list(_readable(found, items.to_activity, odd))

    def confirmed_activity(self, job: JobRow, *, odd: TellOdd | None = None) -> list[Activity]:
        """The small side of every task, from the rows themselves."""
        names = {f"#{name}": name for name in ("SK", "updated_at", *items.ACTIVITY_ATTRIBUTES)}
        request: dict[str, Any] = {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}

        def of_shard(shard: int) -> list[Activity]:
            found = self._query("PK = :value", items.task_partition(job.job_id, shard), ConsistentRead=True, **request)
            return list(_readable(found, items.to_activity, odd))

        return _side_by_side(job, of_shard)

    def latest(self, job: JobRow, most: int, *, odd: TellOdd | None = None) -> list[Activity]:
        """The small side of up to so many tasks of a job's first partition, from the index, newest first.

        Tiles are spread over partitions by a hash: one of them is a fair sample, however large the job is. ``odd`` is
        told of each row that cannot be read; without it, such a row is an error.
        """
        partition = items.task_partition(job.job_id, 0)
        found = self._query("PK = :value", partition, IndexName="activity", ScanIndexForward=False, Limit=most)
        return list(_readable(islice(found, most), items.to_activity, odd))

    def due(self, now: float) -> Iterator[TaskRow | ChunkRow | OddRow]:
        """Rows that somebody should have been heard of by now, each read anew from the table."""
        for partition in range(DUE_PARTITIONS):
            condition = "due = :value AND check_after <= :now"
            stubs = self._query(condition, f"DUE#{partition}", {":now": items.number(now)}, IndexName="due")
            for stub in list(stubs):
                item = self._get({"PK": stub["PK"], "SK": stub["SK"]})
                if item:
                    yield _row_or_odd(item)

    def log_redrive(self, job_id: str, *, now: float, entry: Mapping[str, Any]) -> None:
        """Keep who redrove what, and why."""
        self._put({**items.redrive_key(job_id, now), **entry}, None)

    def _get(self, key: items.Item) -> items.Item | None:
        with aws_errors(f"{key['PK']} {key['SK']} in {self.name}"):
            answer = self._client.get_item(TableName=self.name, Key=serialise(key), ConsistentRead=True)
        return deserialise(answer["Item"]) if "Item" in answer else None

    def _put(
        self, item: items.Item, condition: str | None, values: Mapping[str, Any] | None = None
    ) -> items.Item | None:
        """Put an item; None when it was written, else the item that stood against the condition."""
        request: dict[str, Any] = {"TableName": self.name, "Item": serialise(item)}
        if condition:
            request |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        if values:
            request["ExpressionAttributeValues"] = serialise(values)
            reserved = {f"#{name}": name for name in ("state", "owner") if condition and f"#{name}" in condition}
            request |= {"ExpressionAttributeNames": reserved} if reserved else {}
        with aws_errors(f"{item['PK']} {item['SK']} in {self.name}"):
            try:
                self._client.put_item(**request)
            except ClientError as error:
                if error_code(error) != _CONDITION_FAILED:
                    raise
                standing: Any = error.response.get("Item", {})
                return deserialise(standing)
        return None

    def _query(
        self, condition: str, value: str, values: Mapping[str, Any] | None = None, **request: Any
    ) -> Iterator[items.Item]:
        """All items of a query, page by page; ``condition`` names the partition ``:value``."""
        pages: Iterator[Any] = self._client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=serialise({":value": value, **(values or {})}),
            **request,
        )
        with aws_errors(f"{value} in {self.name}"):
            for page in pages:
                yield from (deserialise(item) for item in page["Items"])


def _side_by_side(job: JobRow, of_shard: Callable[[int], list[Activity]]) -> list[Activity]:
    """What there is in all partitions of a job."""
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        return [row for rows in pool.map(of_shard, range(job.shards)) for row in rows]


def _row_or_odd(item: items.Item) -> TaskRow | ChunkRow | OddRow:
    try:
        return items.to_chunk(item) if items.is_chunk(item) else items.to_task(item)
    except InvalidInput as error:
        return OddRow(key=f"{item['PK']} {item['SK']}", reason=str(error))


def _readable(found: Iterable[items.Item], read: Callable[[items.Item], R], odd: TellOdd | None) -> Iterator[R]:
    for item in found:
        try:
            row = read(item)
        except InvalidInput as error:
            if odd is None:
                raise
            odd(OddRow(key=f"{item.get('PK', '')} {item.get('SK')}".lstrip(), reason=str(error)))
        else:
            yield row
