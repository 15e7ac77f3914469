"""The numbers of a report, as all of its papers tell them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ard.cost import SECONDS, compute_usd
from ard.product import Product
from ard.rows import JobRow
from tracker.failures import FailureGroup
from tracker.report.facts import Extreme, Facts, Flagged
from tracker.summary import Counts, JobSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFigures:
    """One product of a job; its seconds are of each task's last execution, None where nothing has run.

    Attributes:
        estimate_usd: Its share of the job's estimate; None when nobody knows its function's memory.
    """

    product: Product
    region: str
    counts: Counts
    seconds_median: float | None
    seconds_p95: float | None
    gb_seconds: float
    spent_usd: float
    estimate_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberFigures:
    """One number of a product's quality digests; ``lowest`` and ``highest`` name the first tile that has them."""

    product: Product
    name: str
    tasks: int
    lowest: Extreme
    median: float
    highest: Extreme


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagFigures:
    """How many tasks of a product carry a flag, and the first of them."""

    product: Product
    flag: str
    tasks: int
    sample: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A job, its products, what failed and how good its outputs are.

    Attributes:
        elapsed_seconds: From its creation to the last change of a row when it has ended, else until now.
    """

    summary: JobSummary
    elapsed_seconds: float
    products: tuple[ProductFigures, ...]
    groups: tuple[FailureGroup, ...]
    flags: tuple[FlagFigures, ...]
    numbers: tuple[NumberFigures, ...]


def figures_of(
    summary: JobSummary, facts: Facts, groups: Iterable[FailureGroup], *, memory_mb: Mapping[Product, int]
) -> Figures:
    """The numbers of a report; ``memory_mb`` is that of each product's function."""
    shares = estimate_shares(summary.job, memory_mb)
    products = []
    for product in summary.products:
        seconds = facts.seconds.get(product.product)
        median, late = np.percentile(np.array(seconds), [50, 95]).tolist() if seconds else (None, None)
        products.append(
            ProductFigures(
                product=product.product,
                region=product.region,
                counts=product.counts,
                seconds_median=median,
                seconds_p95=late,
                gb_seconds=product.gb_seconds,
                spent_usd=compute_usd(product.gb_seconds),
                estimate_usd=shares.get(product.product),
            )
        )
    until = facts.last_change if summary.ended and facts.last_change else summary.as_of
    return Figures(
        summary=summary,
        elapsed_seconds=max(until - summary.job.created_at, 0.0),
        products=tuple(products),
        groups=tuple(groups),
        flags=tuple(_flags(facts.flags)),
        numbers=tuple(_numbers(facts)),
    )


def estimate_shares(job: JobRow, memory_mb: Mapping[Product, int]) -> dict[Product, float]:
    """A job's estimate, shared out among its products by the seed's seconds and their functions' memory."""
    known = [product for product in job.totals if product in memory_mb]
    if len(known) < len(job.totals):
        return {}
    weights = {product: job.totals[product] * SECONDS[product] * memory_mb[product] for product in known}
    whole = sum(weights.values())
    return {product: job.estimate_usd * weight / whole for product, weight in weights.items()} if whole else {}


def _flags(flags: Mapping[tuple[Product, str], Flagged]) -> Iterable[FlagFigures]:
    for (product, flag), found in sorted(flags.items(), key=lambda entry: (entry[0][0], -entry[1].tasks, entry[0][1])):
        yield FlagFigures(product=product, flag=flag, tasks=found.tasks, sample=found.sample)


def _numbers(facts: Facts) -> Iterable[NumberFigures]:
    for (product, name), found in sorted(facts.numbers.items()):
        if found.lowest and found.highest:
            yield NumberFigures(
                product=product,
                name=name,
                tasks=len(found.values),
                lowest=found.lowest,
                median=float(np.median(np.array(found.values))),
                highest=found.highest,
            )
