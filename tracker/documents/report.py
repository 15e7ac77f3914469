"""The JSON document of a report: its summary.json."""

from typing import Literal

from ard.product import Product
from tracker.documents.shapes import FailureShape, Shape, StatusDocument


class FiguresShape(Shape):
    """What the tasks of one product took and cost; null where nothing has run or nobody knows."""

    seconds_median: float | None
    seconds_p95: float | None
    gb_seconds: float
    spent_usd: float
    estimate_usd: float | None


class FlagShape(Shape):
    """How many tasks of a product carry a flag, and one of them."""

    product: Product
    flag: str
    tasks: int
    sample: str


class ExtremeShape(Shape):
    """A number and the tile that has it."""

    value: float
    year: int
    tile: str


class NumberShape(Shape):
    """One number of a product's quality, over its tasks."""

    product: Product
    number: str
    tasks: int
    lowest: ExtremeShape
    median: float
    highest: ExtremeShape


class JobReportDocument(StatusDocument):
    """A job in numbers, its failures, and how good its outputs are."""

    kind: Literal["job_report"] = "job_report"  # type: ignore[assignment]
    failures: list[FailureShape]
    elapsed_s: float
    product_figures: dict[Product, FiguresShape]
    flags: list[FlagShape]
    quality: list[NumberShape]
