"""What a job will cost (US dollars) and how long it takes, by averages: the seed's or a deployment's own."""

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
class Average:
    """How long one task of a product takes: the mean, and the range most tasks lie in; ``source`` says who says so."""

    seconds: float
    low_seconds: float
    high_seconds: float
    source: str


SEED: Mapping[Product, Average] = MappingProxyType(
    {
        product: Average(
            seconds=seconds,
            low_seconds=seconds * LOW_FACTOR,
            high_seconds=seconds * HIGH_FACTOR,
            source=SEED_AVERAGES,
        )
        for product, seconds in SECONDS.items()
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductEstimate:
    """What the tasks of one product are expected to use, and what that costs.

    Attributes:
        average: Of one task.
        duration_seconds: From the first task's start to the last one's end, when so many run at once as the product's
            queue allows.
    """

    product: Product
    tasks: int
    average: Average
    memory_mb: int
    max_concurrency: int
    duration_seconds: float
    gb_seconds: float
    transfer_gb: float
    requests: int
    low_usd: float
    usd: float
    high_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A job's expected cost and the range it should lie in, product by product."""

    products: tuple[ProductEstimate, ...]

    @property
    def low_usd(self) -> float:
        """What it costs if all goes well."""
        return sum(product.low_usd for product in self.products)

    @property
    def expected_usd(self) -> float:
        """What it should cost."""
        return sum(product.usd for product in self.products)

    @property
    def high_usd(self) -> float:
        """What it may cost: the number that caps are compared with."""
        return sum(product.high_usd for product in self.products)

    @property
    def source(self) -> str:
        """Whose averages it is made from: one name, or each with its products."""
        products: dict[str, list[str]] = {}
        for product in self.products:
            products.setdefault(product.average.source, []).append(product.product)
        if len(products) == 1:
            return next(iter(products))
        return ", ".join(f"{source} ({', '.join(names)})" for source, names in products.items())

    @property
    def duration_seconds(self) -> float:
        """How long the job takes: as long as its slowest product, since each has functions of its own."""
        return max((product.duration_seconds for product in self.products), default=0.0)

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
    tasks: Mapping[Product, int],
    *,
    memory_mb: Mapping[Product, int],
    max_concurrency: Mapping[Product, int],
    averages: Mapping[Product, Average] = SEED,
    abroad: Collection[Product] = (),
) -> Estimate:
    """The cost of so many tasks per product.

    Args:
        tasks: How many tasks of each product.
        memory_mb: The memory of each product's function.
        max_concurrency: How many tasks of each product may run at once.
        averages: How long a task of each product takes at that memory.
        abroad: Products that are made in another region than they are written to.
    """
    return Estimate(
        products=tuple(
            _of_product(
                product,
                count,
                average=averages[product],
                memory_mb=memory_mb[product],
                max_concurrency=max_concurrency[product],
                abroad=product in abroad,
            )
            for product, count in sorted(tasks.items())
        )
    )


def _of_product(
    product: Product, tasks: int, *, average: Average, memory_mb: int, max_concurrency: int, abroad: bool
) -> ProductEstimate:
    gb_seconds = tasks * average.seconds * memory_mb / 1024
    transfer_gb = tasks * OUTPUT_GB[product] if abroad else 0.0
    transfer_usd = transfer_gb * USD_PER_GB_BETWEEN_REGIONS
    usd = compute_usd(gb_seconds) + tasks * USD_OF_REQUESTS_PER_TASK + transfer_usd
    return ProductEstimate(
        product=product,
        tasks=tasks,
        average=average,
        memory_mb=memory_mb,
        max_concurrency=max_concurrency,
        duration_seconds=average.seconds * max(1.0, tasks / max_concurrency) if tasks else 0.0,
        gb_seconds=gb_seconds,
        transfer_gb=transfer_gb,
        requests=tasks * REQUESTS_PER_TASK,
        low_usd=usd * average.low_seconds / average.seconds,
        usd=usd,
        high_usd=usd * average.high_seconds / average.seconds,
    )
