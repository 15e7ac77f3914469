"""The JSON documents that the tracker prints: every one names its kind and the version of its shape."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ard.product import Product
from ard.rows import Command
from ard.states import State
from tracker.failures import Kind
from tracker.summary import Outcome

Moment = str  # ISO 8601, UTC, to the second


class Shape(BaseModel):
    """What all documents and their parts have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, serialize_by_alias=True)


class Document(Shape):
    """What a document begins with."""

    schema_version: Literal[1] = 1


class CountsShape(Shape):
    """Tasks by what has become of them; ``progress`` is the part that has ended, 0..1."""

    total: int
    done: int
    skipped: int
    no_data: int
    running: int
    stalled: int
    retrying: int
    queued: int
    failed: int
    cancelled: int
    progress: float


class ProductShape(CountsShape):
    """One product of a job."""

    region: str
    tasks_per_minute: float


class TilesShape(Shape):
    """Tiles and years by how far they have come."""

    total: int
    complete: int
    in_progress: int
    blocked: int


class RangeShape(Shape):
    """Seconds from now: the likely end lies between."""

    earliest: int
    latest: int


class CostShape(Shape):
    """US dollars."""

    spent: float
    estimate: float
    cap: float | None


class OldestShape(Shape):
    """The task that has been running the longest."""

    task: str
    seconds: float


class TroubleShape(Shape):
    """Tasks that are in a state for the same cause; ``next`` is the command to type."""

    state: State
    cause: str
    tasks: int
    products: list[Product]
    sample: str
    next: str


class StatusDocument(Document):
    """A job in numbers."""

    kind: Literal["job_status"] = "job_status"
    job: str
    state: Outcome
    command: Command
    ended: bool
    confirmed: bool
    as_of: Moment
    created_at: Moment
    dest: str
    request: str
    tasks: CountsShape
    products: dict[Product, ProductShape]
    tiles: TilesShape
    tasks_per_minute: float
    eta_s: RangeShape | None
    slowest_product: Product | None
    oldest_running: OldestShape | None
    gb_seconds: float
    cost_usd: CostShape
    trouble: list[TroubleShape]
    odd_rows: int


class JobShape(Shape):
    """One job of the list."""

    job: str
    command: Command
    created_at: Moment
    tasks: dict[Product, int]
    dest: str
    request: str
    estimate_usd: float


class JobsDocument(Document):
    """The newest jobs, newest first."""

    kind: Literal["jobs"] = "jobs"
    jobs: list[JobShape]
    odd_rows: int


class FailureShape(Shape):
    """Tasks of one product that ended for what looks like the same reason."""

    cause: str
    signature: str
    kind: Kind = Field(serialization_alias="class")
    product: Product
    tasks: int
    first_at: Moment
    last_at: Moment
    sample: str
    message: str
    next: str


class BundleShape(Shape):
    """What ended badly of one product, or of one tile and year; causes with their tasks."""

    name: str
    failed: int
    no_data: int
    causes: dict[str, int]
    first_at: Moment
    last_at: Moment
    sample: str
    next: str


class FailuresDocument(Document):
    """What failed and what has no data (a result, not a failure): by cause in ``groups``, else in ``bundles``."""

    kind: Literal["failures"] = "failures"
    job: str
    by: Literal["cause", "product", "tile"]
    failed: int
    no_data: int
    groups: list[FailureShape]
    bundles: list[BundleShape]
    odd_rows: int


class MetricShape(Shape):
    """One metric of one product: how many tiles have it, and how it is spread."""

    product: Product
    metric: str
    tiles: int
    minimum: float
    p5: float
    p50: float
    p95: float
    maximum: float


class TileQualityShape(Shape):
    """One tile and product of the list, and what speaks against it."""

    product: Product
    year: int
    tile: str
    flags: list[str]
    reasons: list[str]
    metrics: dict[str, JsonValue]


class QualityDocument(Document):
    """The quality metrics of what a job has made."""

    kind: Literal["quality"] = "quality"
    job: str
    products: list[Product]
    where: list[str]
    tasks: int
    matched: int
    metrics: list[MetricShape]
    flags: dict[Product, dict[str, int]]
    tiles: list[TileQualityShape]
    odd_rows: int


class FindingShape(Shape):
    """One thing that was looked at."""

    check: str
    level: Literal["ok", "warn", "fail"]
    found: str
    remedy: str | None


class DoctorDocument(Document):
    """Whether a deployment is well."""

    kind: Literal["doctor"] = "doctor"
    well: bool
    as_of: Moment
    findings: list[FindingShape]
