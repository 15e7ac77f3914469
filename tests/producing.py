"""A deployment for the producer's tests: real table and queues on moto, stores in memory, and faults on demand."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import boto3
import numpy as np
from moto import mock_aws

from ard.adapters.queues import Queue
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.adapters.table_items import SCHEMA
from ard.product import Product
from ard.settings import ControlSettings, ProductQueue
from producer.request import RequestOptions, TileRequest
from producer.services import Services
from producer.tile_index import TileIndex

NOW = 1_700_000_000.0
REGION = "us-west-2"
DEST = "s3://tof-output/ttc"
BUCKET = "control"
CALLS = {
    "change_message_visibility",
    "get_item",
    "get_paginator",
    "get_queue_attributes",
    "put_item",
    "send_message_batch",
}


class Crash(BaseException):
    """The process dies here."""


class Faults:
    """Counts steps, and dies before or after one of them."""

    def __init__(self, step: int | None = None, *, after: bool = False) -> None:
        self.step, self.after, self.steps = step, after, 0

    def call(self, function, *args, **kwargs):
        number, self.steps = self.steps, self.steps + 1
        if number == self.step and not self.after:
            raise Crash
        answer = function(*args, **kwargs)
        if number == self.step:
            raise Crash
        return answer

    def around(self, target, names):
        return _Around(target, names, self)


class _Around:
    def __init__(self, target, names, faults):
        self._target, self._names, self._faults = target, names, faults

    def __getattr__(self, name):
        found = getattr(self._target, name)
        if name not in self._names:
            return found
        return lambda *args, **kwargs: self._faults.call(found, *args, **kwargs)


def make_settings(products=(Product.DEM, Product.S1), **overrides: Any) -> ControlSettings:
    queues = {
        product: ProductQueue(
            url=f"https://sqs.test/{product}",
            dlq_url=f"https://sqs.test/{product}-dlq",
            region="eu-central-1",
            memory_mb=1024,
            timeout_seconds=120,
            max_concurrency=100,
        )
        for product in products
    }
    fields: dict[str, Any] = {
        "table": "ttc",
        "table_region": REGION,
        "queues": queues,
        "control_bucket": BUCKET,
        "control_region": REGION,
        "inbox_queue_url": "https://sqs.test/inbox",
        "chunk_queue_url": "https://sqs.test/chunks",
        "tile_index": "index.parquet",
        "default_dest": DEST,
        "allowed_dests": ("s3://tof-output", "/outputs"),
        "dest_region": REGION,
    }
    return ControlSettings(**fields | overrides)


def make_tiles(count: int = 1, *, years=(2023,), **options: Any) -> TileRequest:
    """Tiles 0X0Y, 1X2Y, 2X4Y ... of each year."""
    x = np.tile(np.arange(count, dtype=np.int64), len(years))
    return TileRequest(
        options=RequestOptions(**options),
        year=np.repeat(np.array(years, dtype=np.int64), count),
        x_tile=x,
        y_tile=2 * x,
        lon=x / 18 - 60,
        lat=x / 36 - 30,
    )


def make_index(count: int) -> TileIndex:
    tiles = make_tiles(count)
    return TileIndex.from_columns(x_tile=tiles.x_tile, y_tile=tiles.y_tile, lon=tiles.lon, lat=tiles.lat)


@dataclass(frozen=True, kw_only=True)
class World:
    """A deployment without any request yet; ``outputs`` is the store of every destination."""

    services: Services
    outputs: Store
    sqs: Any
    dynamodb: Any

    def with_faults(self, faults: Faults) -> Services:
        """The services of a process that dies as the faults say."""
        sqs, dynamodb = faults.around(self.sqs, CALLS), faults.around(self.dynamodb, CALLS)
        services, outputs = self.services, faults.around(self.outputs, {"get"})
        return replace(
            services,
            table=StatusTable(dynamodb, services.table.name),
            chunk_queue=Queue(sqs, services.chunk_queue.url),
            product_queues={product: Queue(sqs, queue.url) for product, queue in services.product_queues.items()},
            control=faults.around(services.control, {"get", "put", "size"}),
            open_store=lambda dest: outputs,
        )

    def chunk_messages(self) -> Counter[int]:
        return Counter(json.loads(body)["number"] for body in drained(self.services.chunk_queue))

    def task_messages(self, product: Product) -> Counter[str]:
        return Counter(drained(self.services.product_queues[product]))


def drained(queue: Queue) -> list[str]:
    bodies = []
    while messages := queue.receive(visible_again_seconds=600):
        for message in messages:
            bodies.append(message.body)
            queue.delete(message)
    return bodies


@contextmanager
def mocked_world(**settings: Any) -> Iterator[World]:
    with mock_aws():
        yield new_world(**settings)


def new_world(*, index_tiles: int = 10, **settings: Any) -> World:
    sqs, dynamodb = boto3.client("sqs", REGION), boto3.client("dynamodb", REGION)
    name = f"ttc-{uuid4().hex[:12]}"
    dynamodb.create_table(TableName=name, **SCHEMA)
    deployment, outputs = make_settings(**settings), Store.in_memory()

    def queue(kind: str) -> Queue:
        return Queue(sqs, sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"])

    services = Services(
        settings=deployment,
        table=StatusTable(dynamodb, name),
        chunk_queue=queue("chunks"),
        product_queues={product: queue(product) for product in deployment.queues},
        control=Store.in_memory(),
        open_store=lambda dest: outputs,
        index=lambda: make_index(index_tiles),
        clock=lambda: NOW,
    )
    return World(services=services, outputs=outputs, sqs=sqs, dynamodb=dynamodb)
