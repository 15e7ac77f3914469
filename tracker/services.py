"""What the tracker needs of the world: the table, the queues and the inbox."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ard.adapters.aws import client
from ard.adapters.bucket import Bucket
from ard.adapters.queues import Queue
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.errors import InvalidInput
from ard.product import Product
from ard.settings import AwsSettings, ControlSettings, TableSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A product's queue and its dead-letter queue."""

    queue: Queue
    dlq: Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """The rows of all tasks, and the queues that lead to their workers."""

    table: StatusTable
    lanes: Mapping[Product, Lane]

    def lane(self, product: Product) -> Lane:
        """A product's queues.

        Raises:
            InvalidInput: The deployment has none for it.
        """
        if product not in self.lanes:
            raise InvalidInput(f"expected the queue of {product} in TTC_QUEUES, found {', '.join(sorted(self.lanes))}")
        return self.lanes[product]


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """The way into the pipeline: the control bucket, and the queues of requests and of chunks."""

    bucket: Bucket
    region: str
    inbox: Queue
    chunks: Queue


def open_table(settings: TableSettings) -> StatusTable:
    """The status table; nothing is contacted yet."""
    return StatusTable(client("dynamodb", settings.table_region), settings.table)


def open_tasks(settings: TableSettings) -> Tasks:
    """The table and the products' queues; nothing is contacted yet."""
    lanes = {}
    for product, queue in settings.queues.items():
        sqs = client("sqs", queue.region)
        lanes[product] = Lane(queue=Queue(sqs, queue.url), dlq=Queue(sqs, queue.dlq_url))
    return Tasks(table=open_table(settings), lanes=lanes)


def open_intake(settings: ControlSettings) -> Intake:
    """The control bucket and its queues; nothing is contacted yet."""
    sqs = client("sqs", settings.control_region)
    return Intake(
        bucket=Bucket(client("s3", settings.control_region), settings.control_bucket),
        region=settings.control_region,
        inbox=Queue(sqs, settings.inbox_queue_url),
        chunks=Queue(sqs, settings.chunk_queue_url),
    )


def open_outputs(dest: str, *, aws: AwsSettings, region: str | None) -> Store:
    """The store of a job's outputs, to look at.

    Raises:
        InvalidInput: It is a folder that is not on this machine.
    """
    if dest.startswith("/") and not Path(dest).is_dir():  # opening it would make it
        raise InvalidInput(f"expected the folder {dest} on this machine, found none")
    return Store.open(dest, aws=aws, region=region)
