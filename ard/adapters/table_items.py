"""How rows are spelled as items of the status table: keys, attributes and indexes."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from decimal import Decimal
from functools import wraps
from typing import Any, TypeVar
from zlib import crc32

from ard.errors import InvalidInput
from ard.product import Format, Product
from ard.rows import Activity, Attempt, ChunkRow, Command, JobRow, TaskRow
from ard.shards import DUE_PARTITIONS
from ard.states import State

Item = Mapping[str, Any]
R = TypeVar("R")

JOBS_KIND = "JOB"
_CHUNK = "CHUNK#"
_PRODUCTS: Mapping[str, Product] = {str(product): product for product in Product}  # an enum's own look-up is slow
_STATES: Mapping[str, State] = {str(state): state for state in State}
_SMALLEST = 1e-100  # DynamoDB's numbers end at 1e-130
# Attributes that a status reads: all that the ``activity`` index projects.
ACTIVITY_ATTRIBUTES = ("product", "state", "charged", "seconds", "gb_seconds", "cause", "lease_until")

SCHEMA: Mapping[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "PK", "AttributeType": "S"},
        {"AttributeName": "SK", "AttributeType": "S"},
        {"AttributeName": "updated_at", "AttributeType": "N"},
        {"AttributeName": "due", "AttributeType": "S"},
        {"AttributeName": "check_after", "AttributeType": "N"},
        {"AttributeName": "kind", "AttributeType": "S"},
        {"AttributeName": "created_at", "AttributeType": "N"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "activity",
            "KeySchema": [
                {"AttributeName": "PK", "KeyType": "HASH"},
                {"AttributeName": "updated_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(ACTIVITY_ATTRIBUTES)},
        },
        {
            "IndexName": "due",
            "KeySchema": [
                {"AttributeName": "due", "KeyType": "HASH"},
                {"AttributeName": "check_after", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        },
        {
            "IndexName": "jobs",
            "KeySchema": [
                {"AttributeName": "kind", "KeyType": "HASH"},
                {"AttributeName": "created_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        },
    ],
}


def _odd_items_told(read: Callable[[Item], R]) -> Callable[[Item], R]:
    """A reader that names the item when it is not as it should be."""

    @wraps(read)
    def reading(item: Item) -> R:
        try:
            return read(item)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"odd item {item.get('PK')} {item.get('SK')}: {error!r:.200}") from error

    return reading


def job_partition(job_id: str) -> str:
    """Where a job's own items are."""
    return f"JOB#{job_id}"


def task_partition(job_id: str, shard: int) -> str:
    """Where a shard of a job's tasks is."""
    return f"JOB#{job_id}#{shard}"


def job_key(job_id: str) -> dict[str, str]:
    """A job's row."""
    return {"PK": job_partition(job_id), "SK": "META"}


def chunk_key(job_id: str, number: int) -> dict[str, str]:
    """A chunk's row."""
    return {"PK": job_partition(job_id), "SK": f"{_CHUNK}{number:06}"}


def task_key(job_id: str, shard: int, task_id: str) -> dict[str, str]:
    """A task's row."""
    return {"PK": task_partition(job_id, shard), "SK": "TASK#" + task_id.replace("/", "#")}


def digest_key(digest: str) -> dict[str, str]:
    """The marker of a request's content."""
    return {"PK": f"DIGEST#{digest}", "SK": "JOB"}


def redrive_key(job_id: str, now: float) -> dict[str, str]:
    """One entry of a job's redrive log."""
    return {"PK": job_partition(job_id), "SK": f"REDRIVE#{now:.3f}"}


def is_chunk(item: Item) -> bool:
    """Whether an item is a chunk's row."""
    return str(item["SK"]).startswith(_CHUNK)


def number(value: float) -> Decimal:
    """A float as the table stores it, exactly: what is read back is what was written, in conditions too."""
    return Decimal(repr(float(value))) if abs(value) > _SMALLEST else Decimal(0)


def from_job(job: JobRow) -> Item:
    """The item of a job."""
    totals = {str(product): count for product, count in job.totals.items()}
    return {**job_key(job.job_id), "kind": JOBS_KIND, **_attributes(job), "totals": totals}


@_odd_items_told
def to_job(item: Item) -> JobRow:
    """The job of an item."""
    values = _values(JobRow, item)
    values["command"] = Command(values["command"])
    values["formats"] = tuple(Format(name) for name in values["formats"])
    values["totals"] = {Product(name): int(count) for name, count in values["totals"].items()}
    return JobRow(**values)


def from_chunk(chunk: ChunkRow) -> Item:
    """The item of a chunk."""
    return {**chunk_key(chunk.job_id, chunk.number), **_due(chunk.job_id, chunk.check_after), **_attributes(chunk)}


@_odd_items_told
def to_chunk(item: Item) -> ChunkRow:
    """The chunk of an item."""
    return ChunkRow(**_values(ChunkRow, item))


def from_task(row: TaskRow) -> Item:
    """The item of a task, under 1 KB; ``due`` only while somebody should be heard of."""
    attempts = [[a.worker, number(a.started), number(a.ended), a.outcome] for a in row.attempts]
    key = task_key(row.job_id, row.shard, row.task_id)
    return {**key, **_due(key["SK"], row.check_after), **_attributes(row), "attempts": attempts}


@_odd_items_told
def to_task(item: Item) -> TaskRow:
    """The task of an item; attributes that are missing or unknown do no harm."""
    values = _values(TaskRow, item)
    values["product"], values["state"] = Product(values["product"]), State(values["state"])
    values["flags"] = tuple(values.get("flags", ()))
    values["attempts"] = tuple(
        Attempt(worker=worker, started=float(started), ended=float(ended), outcome=outcome)
        for worker, started, ended, outcome in item.get("attempts", ())
    )
    return TaskRow(**values)


@_odd_items_told
def to_activity(item: Item) -> Activity:
    """The small side of a task, from an item of the ``activity`` index."""
    get, task_id = item.get, item["SK"].removeprefix("TASK#").replace("#", "/")
    if task_id.count("/") != 2:  # noqa: PLR2004 - year, tile and product
        raise ValueError(f"expected TASK#year#tile#product, found {item['SK']}")
    return Activity(
        task_id=task_id,
        updated_at=float(item["updated_at"]),
        product=_PRODUCTS[item["product"]],
        state=_STATES[item["state"]],
        charged=int(get("charged", 0)),
        seconds=_float(get("seconds")),
        gb_seconds=float(get("gb_seconds", 0)),
        cause=None if get("cause") is None else str(get("cause")),
        lease_until=_float(get("lease_until")),
    )


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _due(name: str, check_after: float | None) -> Item:
    return {} if check_after is None else {"due": f"DUE#{crc32(name.encode()) % DUE_PARTITIONS}"}


def _attributes(row: JobRow | ChunkRow | TaskRow) -> dict[str, Any]:
    """A row's fields as DynamoDB values, without those that are empty."""
    named = {field.name: _wire(getattr(row, field.name)) for field in fields(row)}
    return {name: value for name, value in named.items() if value not in (None, [], {})}


def _wire(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, float):
        return number(value)
    if isinstance(value, tuple | list):
        return [_wire(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): _wire(part) for key, part in value.items()}
    return str(value) if isinstance(value, str) else value


def _values(kind: type[Any], item: Item) -> dict[str, Any]:
    """The item's attributes that the row has fields for, as plain Python values."""
    return {field.name: _plain(item[field.name]) for field in fields(kind) if field.name in item}


def _plain(value: Any) -> Any:
    """A deserialised value without Decimals: whole numbers are int, others float."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value
