"""What the producer needs of the world, put together once per process."""

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from ard.adapters.aws import client
from ard.adapters.queues import Queue
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.errors import InvalidInput
from ard.product import Product
from ard.rows import JobRow
from ard.settings import AwsSettings, ControlSettings
from producer.tile_index import TileIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The producer's ports and facts.

    Attributes:
        chunk_queue: Where a job's chunks wait to become rows and messages.
        product_queues: Those of the products that are deployed.
        control: The bucket of requests, receipts and plans.
        open_store: The store of a destination.
        index: The tile index; read when first asked for, then kept.
        clock: Seconds since the epoch.
    """

    settings: ControlSettings
    table: StatusTable
    chunk_queue: Queue
    product_queues: Mapping[Product, Queue]
    control: Store
    open_store: Callable[[str], Store]
    index: Callable[[], TileIndex]
    clock: Callable[[], float]

    def queue(self, product: Product) -> Queue:
        """A product's queue.

        Raises:
            InvalidInput: This deployment has none.
        """
        if product not in self.product_queues:
            there = ", ".join(sorted(self.product_queues))
            raise InvalidInput(f"expected a product of this deployment ({there}), found {product}")
        return self.product_queues[product]


def connect(settings: ControlSettings, aws: AwsSettings) -> Services:
    """The services of a deployment; nothing is contacted yet."""
    control_sqs = client("sqs", settings.control_region)
    return Services(
        settings=settings,
        table=StatusTable(client("dynamodb", settings.table_region), settings.table),
        chunk_queue=Queue(control_sqs, settings.chunk_queue_url),
        product_queues={
            product: Queue(client("sqs", queue.region), queue.url) for product, queue in settings.queues.items()
        },
        control=Store.open(f"s3://{settings.control_bucket}", aws=aws, region=settings.control_region),
        open_store=partial(Store.open, aws=aws, region=settings.dest_region),
        index=functools.cache(partial(read_index, settings.tile_index, aws=aws, region=settings.control_region)),
        clock=time.time,
    )


class NoSuchJob(InvalidInput):
    """There is no job of that name."""


def find_job(table: StatusTable, job_id: str) -> JobRow:
    """A job's row.

    Raises:
        NoSuchJob: There is none.
        Unavailable: The table cannot be asked.
        Auth: The table refuses.
    """
    job = table.job(job_id)
    if job is None:
        raise NoSuchJob(f"expected a job, found none called {job_id}")
    return job


@functools.cache
def of_this_process() -> Services:
    """The services of a function, kept for as long as its process lives."""
    return connect(ControlSettings(), AwsSettings())


def read_index(place: str, *, aws: AwsSettings, region: str | None) -> TileIndex:
    """The tile index in a file or at ``s3://bucket/key``.

    Raises:
        InvalidInput: There is none, or it is not an index.
        Unavailable: The store cannot be asked.
        Auth: The store refuses.
    """
    if not place.startswith("s3://"):
        return TileIndex.open(place)
    folder, _, name = place.rpartition("/")
    content = Store.open(folder, aws=aws, region=region).get(name)
    if content is None:
        raise InvalidInput(f"expected a tile index at {place}, found nothing")
    return TileIndex.open(place, content=content)
