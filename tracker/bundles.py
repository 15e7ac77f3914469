"""What ended badly, product by product or tile by tile."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ard.rows import TaskRow
from ard.states import State
from ard.tile import tile_key


class By(StrEnum):
    """How failures are put together."""

    CAUSE = "cause"
    PRODUCT = "product"
    TILE = "tile"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureBundle:
    """What ended badly of one product, or of one tile and year: its tasks by cause; times are of their last change."""

    name: str
    failed: int
    no_data: int
    causes: Mapping[str, int]
    first_at: float
    last_at: float
    sample: str
    next_step: str


def bundle_failures(rows: Iterable[TaskRow], by: By) -> list[FailureBundle]:
    """The rows that are FAILED or NO_DATA by product or by tile: those with most failures first."""
    bundles: dict[str, list[TaskRow]] = {}
    for row in rows:
        if row.state in {State.FAILED, State.NO_DATA}:
            name = str(row.product) if by is By.PRODUCT else f"{row.year}/{tile_key(row.x_tile, row.y_tile)}"
            bundles.setdefault(name, []).append(row)
    found = [_bundle(name, members, by) for name, members in bundles.items()]
    return sorted(found, key=lambda bundle: (-bundle.failed, -bundle.no_data, bundle.name))


def _bundle(name: str, rows: Sequence[TaskRow], by: By) -> FailureBundle:
    sample = min(rows, key=lambda row: (row.state is not State.FAILED, row.updated_at, row.task_id))
    failed = sum(row.state is State.FAILED for row in rows)
    alike = Counter(row.cause or "unknown" for row in rows)
    return FailureBundle(
        name=name,
        failed=failed,
        no_data=len(rows) - failed,
        causes=dict(sorted(alike.items(), key=lambda entry: (-entry[1], entry[0]))),
        first_at=min(row.updated_at for row in rows),
        last_at=max(row.updated_at for row in rows),
        sample=sample.task_id,
        next_step=_next_step(sample, by, failed=failed),
    )


def _next_step(row: TaskRow, by: By, *, failed: int) -> str:
    tile = tile_key(row.x_tile, row.y_tile)
    if by is By.TILE:
        return f"tracker tile {tile} --year {row.year} --job {row.job_id}"
    if not failed:
        return "none: the sources hold nothing for these tiles"
    return f"tracker redrive --job {row.job_id} --product {row.product}"
