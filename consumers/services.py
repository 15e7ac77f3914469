"""What a worker needs of the world, put together once per process."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from ard.adapters.catalog import StacCatalog
from ard.adapters.gdal import read_options
from ard.adapters.reader import RasterioReader
from ard.adapters.store import Store
from ard.errors import InvalidInput
from ard.ports import Catalog, Reader
from ard.product import Product, TileData
from ard.settings import AwsSettings, WorkerSettings
from ard.task import TileTask

Loader = Callable[[TileTask, Catalog, Reader], TileData]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """A worker's ports and facts."""

    catalog: Catalog
    reader: Reader
    loader: Callable[[Product], Loader]
    open_store: Callable[[str], Store]
    now: Callable[[], datetime]
    git_sha: str


def from_environment() -> Services:
    """The services of a real worker; nothing is contacted yet."""
    aws, worker = AwsSettings(), WorkerSettings()
    return Services(
        catalog=StacCatalog(worker.stac_url),
        reader=RasterioReader(read_options(aws)),
        loader=partial(_loader, settings=worker),
        open_store=partial(Store.open, aws=aws, region=worker.dest_region),
        now=lambda: datetime.now(UTC),
        git_sha=worker.git_sha,
    )


def _loader(product: Product, *, settings: WorkerSettings) -> Loader:
    """The loader of a product; imported on demand, so that a worker loads only its own."""
    if product is Product.DEM:
        from loaders.dem import load_dem  # noqa: PLC0415

        return partial(load_dem, compat=settings.dem_compat)
    raise InvalidInput(f"this worker makes {Product.DEM}, not {product}")
