"""What a job will cost: the seed's averages until a deployment has a history of its own. US dollars."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ard.product import Product

SEED_AVERAGES = "seed averages"

# The seed's price and average seconds per tile (gri-tile-pipeline): Lambda on x86, per GB-second.
USD_PER_GB_SECOND = 0.000_016_67
SECONDS: Mapping[Product, float] = MappingProxyType({Product.DEM: 9.0, Product.S1: 14.0, Product.S2: 62.0})

# What one task asks of AWS besides its compute: requests, and the list price of each (us-west-2, 2025).
_INVOCATIONS, _USD_PER_INVOCATION = 1, 0.20e-6
_QUEUE_REQUESTS, _USD_PER_QUEUE_REQUEST = 3, 0.40e-6  # send, receive, delete
_ROW_WRITES, _USD_PER_ROW_WRITE = 9, 0.625e-6  # queued, claimed, recorded; each in the table and two indexes
_OBJECT_REQUESTS, _USD_PER_OBJECT_REQUEST = 4, 5e-6  # data, thumbnail, item; and the look for an output that exists
REQUESTS_PER_TASK = _INVOCATIONS + _QUEUE_REQUESTS + _ROW_WRITES + _OBJECT_REQUESTS
USD_OF_REQUESTS_PER_TASK = (
    _INVOCATIONS * _USD_PER_INVOCATION
    + _QUEUE_REQUESTS * _USD_PER_QUEUE_REQUEST
    + _ROW_WRITES * _USD_PER_ROW_WRITE
    + _OBJECT_REQUESTS * _USD_PER_OBJECT_REQUEST
)

# The pixels of one output before compression: bands x rows x columns x bytes, twelve dates of Sentinel-2.
OUTPUT_GB: Mapping[Product, float] = MappingProxyType({Product.DEM: 0.003, Product.S1: 0.001, Product.S2: 0.052})
USD_PER_GB_BETWEEN_REGIONS = 0.02

# The averages are of the seed's own loaders. Readers that fetch only the windows a tile needs take half as long; a
# provider that throttles, or a second attempt at every tile, takes twice as long.
LOW_FACTOR = 0.5
HIGH_FACTOR = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductEstimate:
    """What the tasks of one product are expected to use."""

    product: Product
    tasks: int
    seconds: float
    memory_mb: int
    gb_seconds: float
    transfer_gb: float
    requests: int
    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A job's expected cost and the range it should lie in; ``source`` says whose averages it is made from."""

    products: tuple[ProductEstimate, ...]
    low_usd: float
    expected_usd: float
    high_usd: float
    source: str

    @property
    def gb_seconds(self) -> float:
        """Lambda's use of all products together."""
        return sum(product.gb_seconds for product in self.products)

    @property
    def requests(self) -> int:
        """Requests to queues, table, store and functions."""
        return sum(product.requests for product in self.products)

    @property
    def transfer_gb(self) -> float:
        """What is written to another region, before compression."""
        return sum(product.transfer_gb for product in self.products)


def compute_usd(gb_seconds: float) -> float:
    """The price of so much use of Lambda."""
    return gb_seconds * USD_PER_GB_SECOND


def estimate(
    tasks: Mapping[Product, int], *, memory_mb: Mapping[Product, int], abroad: Collection[Product] = ()
) -> Estimate:
    """The cost of so many tasks per product, by the seed's averages at the functions' memory.

    Args:
        tasks: How many tasks of each product.
        memory_mb: The memory of each product's function.
        abroad: Products that are made in another region than they are written to.
    """
    products = tuple(
        _of_product(product, count, memory_mb=memory_mb[product], abroad=product in abroad)
        for product, count in sorted(tasks.items())
    )
    expected = sum(product.usd for product in products)
    return Estimate(
        products=products,
        low_usd=expected * LOW_FACTOR,
        expected_usd=expected,
        high_usd=expected * HIGH_FACTOR,
        source=SEED_AVERAGES,
    )


def _of_product(product: Product, tasks: int, *, memory_mb: int, abroad: bool) -> ProductEstimate:
    gb_seconds = tasks * SECONDS[product] * memory_mb / 1024
    transfer_gb = tasks * OUTPUT_GB[product] if abroad else 0.0
    transfer_usd = transfer_gb * USD_PER_GB_BETWEEN_REGIONS
    return ProductEstimate(
        product=product,
        tasks=tasks,
        seconds=SECONDS[product],
        memory_mb=memory_mb,
        gb_seconds=gb_seconds,
        transfer_gb=transfer_gb,
        requests=tasks * REQUESTS_PER_TASK,
        usd=compute_usd(gb_seconds) + tasks * USD_OF_REQUESTS_PER_TASK + transfer_usd,
    )
