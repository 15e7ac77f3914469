"""Fixtures of a local AWS: ``engine`` runs a test on each implementation, ``cloud`` adds queues, a table and a bucket.

An engine is one process per test process, started when the first test asks for it.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from ard.adapters.aws import client
from ard.adapters.queues import Queue
from ard.adapters.status_table import StatusTable
from ard.adapters.table_items import SCHEMA
from sandbox.engine import EngineName, installed, start_engine

REGION = "us-west-2"
VISIBILITY_SECONDS = 2
MAX_RECEIVES = 100


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A fresh corner of a local AWS, all in one region; the clients are boto3's.

    Attributes:
        queue: Messages come back after 2 seconds, and go to ``dlq`` after 100 receives.
        bucket: An empty bucket.
        environment: Endpoint, credentials and region, ``TTC_TABLE``, ``TTC_TABLE_REGION`` and ``TTC_QUEUES`` (of the
            product dem) as a worker is given them; nothing but the endpoint is set in the test's own environment.
    """

    endpoint: str
    table: StatusTable
    queue: Queue
    dlq: Queue
    bucket: str
    sqs: Any
    dynamodb: Any
    s3: Any
    environment: dict[str, str]

    def new_queue(
        self, *, visibility_seconds: int = VISIBILITY_SECONDS, max_receives: int = MAX_RECEIVES
    ) -> tuple[Queue, Queue]:
        """Another queue, and its dead-letter queue."""
        return new_queue(self.sqs, visibility_seconds=visibility_seconds, max_receives=max_receives)


@pytest.fixture(scope="session")
def _engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[EngineName], str]]:
    endpoints: dict[str, str] = {}
    with ExitStack() as running:

        def endpoint(name: EngineName) -> str:
            if name not in endpoints:
                endpoints[name] = running.enter_context(start_engine(name, tmp_path_factory.mktemp(name)))
            return endpoints[name]

        yield endpoint


@pytest.fixture(scope="session", params=["moto", "ministack"])
def engine(request: pytest.FixtureRequest, _engines: Callable[[EngineName], str]) -> str:
    """The endpoint of a local AWS."""
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    return _engines(request.param)


@pytest.fixture
def cloud(engine: str, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """A fresh table, queue with dead-letter queue, and bucket on the engine, which AWS_ENDPOINT_URL names meanwhile."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", engine)
    sqs, dynamodb, s3 = (client(service, REGION) for service in ("sqs", "dynamodb", "s3"))
    table, bucket = f"ttc-{uuid4().hex[:12]}", f"ttc-{uuid4().hex[:12]}"
    dynamodb.create_table(TableName=table, **SCHEMA)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    queue, dlq = new_queue(sqs, visibility_seconds=VISIBILITY_SECONDS, max_receives=MAX_RECEIVES)
    sizes = {"memory_mb": 1024, "timeout_seconds": 120, "max_concurrency": 2}
    own = {"url": queue.url, "dlq_url": dlq.url, "region": REGION, **sizes}
    return Cloud(
        endpoint=engine,
        table=StatusTable(dynamodb, table),
        queue=queue,
        dlq=dlq,
        bucket=bucket,
        sqs=sqs,
        dynamodb=dynamodb,
        s3=s3,
        environment={
            "AWS_ENDPOINT_URL": engine,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "TTC_TABLE": table,
            "TTC_TABLE_REGION": REGION,
            "TTC_QUEUES": json.dumps({"dem": own}),
        },
    )


def new_queue(sqs: Any, *, visibility_seconds: int, max_receives: int) -> tuple[Queue, Queue]:
    """A queue of a unique name, and its dead-letter queue."""
    name = f"ttc-{uuid4().hex[:12]}"
    dlq = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives})
    attributes = {"VisibilityTimeout": str(visibility_seconds), "RedrivePolicy": redrive}
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return Queue(sqs, url), Queue(sqs, dlq)
