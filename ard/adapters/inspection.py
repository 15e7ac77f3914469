"""What AWS says of a deployment's own parts: who we are, and how its table, queues and buckets are set up."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from ard.adapters.aws import aws_errors, client
from ard.errors import Unavailable

_ATTEMPTS = 2  # somebody waits for the answer
_TIMEOUT_SECONDS = (5, 10)  # connect, read
_SIZES = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """A table: its state, its indexes' states by name, and the attribute by which rows expire, if any does."""

    status: str
    indexes: Mapping[str, str]
    projected: Mapping[str, frozenset[str]]
    ttl_attribute: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """A queue; ``dlq_arn`` is None without a redrive policy."""

    arn: str
    visibility_seconds: int
    messages: int
    dlq_arn: str | None
    max_receives: int | None


def caller(region: str) -> str:
    """Whose credentials these are: an ARN.

    Raises:
        Auth: AWS knows none, or refuses them.
        Unavailable: It cannot be asked.
    """
    with aws_errors("sts get-caller-identity"):
        return str(client("sts", region, attempts=_ATTEMPTS).get_caller_identity()["Arn"])


def table_facts(name: str, region: str) -> TableFacts:
    """How a table is set up.

    Raises:
        InvalidInput: There is no such table.
        Auth: AWS refuses.
        Unavailable: It cannot be asked.
    """
    with aws_errors(f"table {name}"):
        dynamodb = client("dynamodb", region, attempts=_ATTEMPTS)
        table: Any = dynamodb.describe_table(TableName=name)["Table"]
        ttl: Any = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    indexes = table.get("GlobalSecondaryIndexes", ())
    expires = ttl.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}
    return TableFacts(
        status=str(table["TableStatus"]),
        indexes={index["IndexName"]: str(index.get("IndexStatus", "ACTIVE")) for index in indexes},
        projected={index["IndexName"]: frozenset(_projected(index["Projection"])) for index in indexes},
        ttl_attribute=str(ttl.get("AttributeName")) if expires else None,
    )


def queue_facts(url: str, region: str) -> QueueFacts:
    """How a queue is set up, and about how many messages it holds.

    Raises:
        InvalidInput: There is no such queue.
        Auth: AWS refuses.
        Unavailable: It cannot be asked.
    """
    with aws_errors(f"queue {url}"):
        found = client("sqs", region, attempts=_ATTEMPTS).get_queue_attributes(QueueUrl=url, AttributeNames=["All"])[
            "Attributes"
        ]
    policy = json.loads(found.get("RedrivePolicy") or "{}")
    return QueueFacts(
        arn=str(found.get("QueueArn", "")),
        visibility_seconds=int(found.get("VisibilityTimeout", 0)),
        messages=sum(int(found.get(name, 0)) for name in _SIZES),
        dlq_arn=policy.get("deadLetterTargetArn"),
        max_receives=int(policy["maxReceiveCount"]) if "maxReceiveCount" in policy else None,
    )


def queue_url(arn: str, region: str) -> str:
    """The address of a queue, from its ARN.

    Raises:
        InvalidInput: There is no such queue.
        Auth: AWS refuses.
        Unavailable: It cannot be asked.
    """
    name = arn.rpartition(":")[2]
    with aws_errors(f"queue {name}"):
        return str(client("sqs", region, attempts=_ATTEMPTS).get_queue_url(QueueName=name)["QueueUrl"])


def reach_bucket(name: str, prefix: str, region: str | None) -> None:
    """Return when a bucket lets us list under a prefix.

    Raises:
        InvalidInput: There is no such bucket.
        Auth: AWS refuses.
        Unavailable: It cannot be asked.
    """
    with aws_errors(f"s3://{name}/{prefix}"):
        client("s3", region, attempts=_ATTEMPTS).list_objects_v2(Bucket=name, Prefix=prefix, MaxKeys=1)


def reach_url(url: str) -> None:
    """Return when a web service answers.

    Raises:
        Unavailable: It does not, or not well.
    """
    try:
        requests.get(url, timeout=_TIMEOUT_SECONDS).raise_for_status()
    except requests.RequestException as error:
        raise Unavailable(f"{url}: {error!s:.200}") from error


def _projected(projection: Mapping[str, Any]) -> list[str]:
    return ["*"] if projection.get("ProjectionType") == "ALL" else list(projection.get("NonKeyAttributes", ()))
