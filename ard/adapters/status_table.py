"""The status table: single-item conditional writes, and reads shared between partitions."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from ard.adapters import table_items as items
from ard.adapters.aws import aws_errors, error_code
from ard.errors import InvalidInput
from ard.rows import Activity, ChunkRow, Command, JobRow, OddRow, TaskRow
from ard.shards import DUE_PARTITIONS

_CONDITION_FAILED = "ConditionalCheckFailedException"
_ABSENT = "attribute_not_exists(PK)"
_SIDE_BY_SIDE = 8  # requests in flight where many items are read or written

_to_wire = TypeSerializer().serialize
_from_wire = TypeDeserializer().deserialize


class StatusTable:
    """One DynamoDB table. Every method raises ``Unavailable`` or ``Auth`` when it cannot be asked."""

    def __init__(self, client: Any, name: str) -> None:
        """Wrap a boto3 DynamoDB client; nothing is contacted yet."""
        self._client = client
        self.name = name

    def put_job(self, job: JobRow) -> bool:
        """Write a new job's row; False when the job already exists."""
        return self._put(items.from_job(job), _ABSENT) is None

    def job(self, job_id: str) -> JobRow | None:
        """A job's row; None when there is no such job."""
        item = self._get(items.job_key(job_id))
        return items.to_job(item) if item else None

    def jobs(self, limit: int) -> list[JobRow]:
        """The newest jobs, newest first."""
        found = self._query("kind = :value", items.JOBS_KIND, IndexName="jobs", ScanIndexForward=False, Limit=limit)
        return [items.to_job(item) for item, _ in zip(found, range(limit), strict=False)]

    def set_command(self, job_id: str, command: Command) -> None:
        """Say what is wanted of a job.

        Raises:
            InvalidInput: There is no such job.
        """
        job = self.job(job_id)
        if job is None or self._put(items.from_job(replace(job, command=command)), "attribute_exists(PK)") is not None:
            raise InvalidInput(f"no job {job_id} in {self.name}")

    def claim_digest(self, digest: str, job_id: str) -> str:
        """The job that first brought this content: ``job_id`` itself, unless another one did."""
        existing = self._put({**items.digest_key(digest), "job_id": job_id}, _ABSENT)
        return str(existing["job_id"]) if existing else job_id

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
        """Write a row's successor; False when the row has changed since ``old`` was read."""
        wanted: dict[str, Any] = {
            ":fence": old.fence,
            ":state": str(old.state),
            ":updated": items.number(old.updated_at),
        }
        condition = "fence = :fence AND #state = :state AND updated_at = :updated"
        if old.owner is not None:
            condition, wanted = f"{condition} AND #owner = :owner", {**wanted, ":owner": old.owner}
        return self._put(items.from_task(new), condition, wanted) is None

    def tasks(self, job: JobRow) -> Iterator[TaskRow]:
        """Every task of a job, partition by partition, from the rows themselves."""
        for shard in range(job.shards):
            partition = items.task_partition(job.job_id, shard)
            for item in self._query("PK = :value", partition, ConsistentRead=True):
                yield items.to_task(item)

    def activity(self, job: JobRow, since: float = 0.0) -> list[Activity]:
        """The small side of every task that changed since then, from the index (which may lag by moments)."""
        moment = {":since": items.number(since)}

        def of_shard(shard: int) -> list[Activity]:
            partition = items.task_partition(job.job_id, shard)
            condition = "PK = :value AND updated_at >= :since"
            return [items.to_activity(item) for item in self._query(condition, partition, moment, IndexName="activity")]

        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            return [row for rows in pool.map(of_shard, range(job.shards)) for row in rows]

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
            answer = self._client.get_item(TableName=self.name, Key=_serialise(key), ConsistentRead=True)
        return _deserialise(answer["Item"]) if "Item" in answer else None

    def _put(
        self, item: items.Item, condition: str | None, values: Mapping[str, Any] | None = None
    ) -> items.Item | None:
        """Put an item; None when it was written, else the item that stood against the condition."""
        request: dict[str, Any] = {"TableName": self.name, "Item": _serialise(item)}
        if condition:
            request |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        if values:
            request["ExpressionAttributeValues"] = _serialise(values)
            reserved = {f"#{name}": name for name in ("state", "owner") if condition and f"#{name}" in condition}
            request |= {"ExpressionAttributeNames": reserved} if reserved else {}
        with aws_errors(f"{item['PK']} {item['SK']} in {self.name}"):
            try:
                self._client.put_item(**request)
            except ClientError as error:
                if error_code(error) != _CONDITION_FAILED:
                    raise
                standing: Any = error.response.get("Item", {})
                return _deserialise(standing)
        return None

    def _query(
        self, condition: str, value: str, values: Mapping[str, Any] | None = None, **request: Any
    ) -> Iterator[items.Item]:
        """All items of a query, page by page; ``condition`` names the partition ``:value``."""
        pages: Iterator[Any] = self._client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=_serialise({":value": value, **(values or {})}),
            **request,
        )
        with aws_errors(f"{value} in {self.name}"):
            for page in pages:
                yield from (_deserialise(item) for item in page["Items"])


def _row_or_odd(item: items.Item) -> TaskRow | ChunkRow | OddRow:
    try:
        return items.to_chunk(item) if items.is_chunk(item) else items.to_task(item)
    except InvalidInput as error:
        return OddRow(key=f"{item['PK']} {item['SK']}", reason=str(error))


def _serialise(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _to_wire(value) for name, value in item.items()}


def _deserialise(item: Mapping[str, Any]) -> items.Item:
    return {name: _from_wire(value) for name, value in item.items()}
