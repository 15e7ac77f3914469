"""What a worker needs of the world, put together once per process."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from pydantic import SecretStr

from ard.adapters.aws import client
from ard.adapters.byte_ranges import ByteRanges
from ard.adapters.catalog import StacCatalog
from ard.adapters.fast_reader import FastReader
from ard.adapters.gdal import read_options
from ard.adapters.queues import Queue
from ard.adapters.reader import RasterioReader
from ard.adapters.secrets import read_secret
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.errors import InvalidInput
from ard.ports import Catalog, Reader
from ard.product import Product, TileData
from ard.settings import AwsSettings, TableSettings, WorkerSettings
from ard.task import TileTask

Loader = Callable[[TileTask, Catalog, Reader], TileData]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """A worker's ports and facts; ``clock`` gives seconds since the epoch."""

    product: Product
    load: Loader
    catalog: Catalog
    reader: Reader
    open_store: Callable[[str], Store]
    table: StatusTable
    queue: Queue
    dlq: Queue
    clock: Callable[[], float]
    random: Random
    git_sha: str


def from_environment(product: Product) -> Services:
    """The services of a real worker; nothing is contacted yet.

    Raises:
        InvalidInput: This worker was not told the product's queue.
    """
    aws, worker = AwsSettings(), WorkerSettings()
    deployment = TableSettings()
    queue = deployment.queues.get(product)
    if queue is None:
        raise InvalidInput(f"expected the queue of {product} in TTC_QUEUES, found {sorted(deployment.queues)}")
    sqs = client("sqs", queue.region)
    return Services(
        product=product,
        load=_loader(product, worker),
        catalog=StacCatalog(worker.s1_stac_url if product is Product.S1 else worker.stac_url),
        reader=_reader(product, aws, worker),
        open_store=partial(Store.open, aws=aws, region=worker.dest_region),
        table=StatusTable(client("dynamodb", deployment.table_region), deployment.table),
        queue=Queue(sqs, queue.url),
        dlq=Queue(sqs, queue.dlq_url),
        clock=time.time,
        random=Random(),  # noqa: S311 - jitter, not a secret
        git_sha=worker.git_sha,
    )


def _reader(product: Product, aws: AwsSettings, worker: WorkerSettings) -> Reader:
    """The reader of a product's sources: only Sentinel-1's need signatures."""
    sources = AwsSettings(endpoint_url=None) if worker.live_sources else aws
    reader = FastReader(
        ByteRanges(sources, sleep=time.sleep), otherwise=RasterioReader(read_options(sources)), clock=time.monotonic
    )
    if product is not Product.S1 or not worker.s1_token_url:
        return reader
    from ard.adapters.signing import SigningReader, Tokens  # noqa: PLC0415

    tokens = Tokens(
        worker.s1_token_url,
        worker.s1_collection,
        subscription_key=_subscription_key(worker),
        clock=time.time,
        sleep=time.sleep,
    )
    return SigningReader(reader, tokens, blobs=worker.s1_blobs)


def _subscription_key(worker: WorkerSettings) -> Callable[[], SecretStr | None]:
    """Where the key to Sentinel-1's token endpoint comes from: the secret when there is one, else the settings."""
    if worker.s1_subscription_key_secret:
        return partial(read_secret, worker.s1_subscription_key_secret)
    return lambda: worker.s1_subscription_key


def _loader(product: Product, settings: WorkerSettings) -> Loader:
    """The loader of a product; imported here, so that a worker loads only its own."""
    if product is Product.DEM:
        from loaders.dem import load_dem  # noqa: PLC0415

        return partial(load_dem, compat=settings.dem_compat)
    if product is Product.S2:
        from loaders.s2 import load_s2  # noqa: PLC0415

        return partial(load_s2, most_dates=settings.s2_most_dates)
    from loaders.s1 import load_s1  # noqa: PLC0415

    return partial(load_s1, collection=settings.s1_collection)
