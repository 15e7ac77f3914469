"""How long tasks have taken in this deployment lately, for estimates."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ard.adapters.status_table import StatusTable
from ard.cost import SEED, Average
from ard.product import Product
from ard.rows import Activity, OddRow
from ard.settings import ControlSettings
from ard.states import State

JOBS_LOOKED_AT = 10
TASKS_OF_EACH_JOB = 1_000
ENOUGH_TASKS = 30  # of which three are beyond either end of the range
LOW_PERCENTILE, HIGH_PERCENTILE = 10, 90

_MEMORY_TOLERANCE = 0.01  # of the ratio of two numbers that were rounded to a thousandth


def averages(table: StatusTable, *, settings: ControlSettings) -> Mapping[Product, Average]:
    """How long a task of each product takes with the memory it is deployed with now.

    From a sample of the newest jobs (at most ``JOBS_LOOKED_AT`` and a page of ``TASKS_OF_EACH_JOB`` tasks of each);
    by the seed where they know fewer than ``ENOUGH_TASKS`` of a product.

    Raises:
        Unavailable: The table cannot be asked.
        Auth: The table refuses.
    """
    seconds: dict[Product, list[float]] = {product: [] for product in settings.queues}
    for job in table.jobs(JOBS_LOOKED_AT):
        for row in table.latest(job, TASKS_OF_EACH_JOB, odd=_of_no_use):
            queue = settings.queues.get(row.product)
            if queue is not None and row.seconds and _ran_once(row, row.seconds, memory_mb=queue.memory_mb):
                seconds[row.product].append(row.seconds)
    known = {product: _average(values) for product, values in seconds.items() if len(values) >= ENOUGH_TASKS}
    return {**SEED, **known}


def _of_no_use(_row: OddRow) -> None:
    """A row that cannot be read tells no duration; the tracker and reconcile name it."""


def _ran_once(row: Activity, seconds: float, *, memory_mb: int) -> bool:
    """The task came to an end in one attempt, with this memory."""
    gb = memory_mb / 1024
    return (
        row.state in {State.SUCCEEDED, State.NO_DATA} and abs(row.gb_seconds / seconds - gb) <= gb * _MEMORY_TOLERANCE
    )


def _average(seconds: Sequence[float]) -> Average:
    mean = math.fsum(seconds) / len(seconds)
    low, high = (float(value) for value in np.percentile(seconds, [LOW_PERCENTILE, HIGH_PERCENTILE]))
    return Average(
        seconds=mean,
        low_seconds=min(low, mean),
        high_seconds=max(high, mean),
        source=f"history of {len(seconds):,} tasks",
    )
