"""What a storm has left: every request, row, output and dead letter is looked at."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ard.adapters.queues import Received
from ard.keys import receipt_key
from ard.product import Product
from ard.rows import TaskRow
from ard.task import TileTask
from ard.tile import Tile
from tests.faults.place import Place
from tests.faults.promises import Broken, Promise, broken_by_end, broken_by_history, broken_by_letters, claims

RETRIES = 99  # no task may fail because of the storm alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One of the storm's requests; ``keys`` are the names under which it is dropped."""

    label: str
    tiles: tuple[tuple[int, Tile], ...]
    keys: tuple[str, ...]

    @property
    def body(self) -> bytes:
        """As a person would write it."""
        years: dict[str, dict[str, list[str]]] = {}
        for year, tile in self.tiles:
            years.setdefault(str(year), {"missing_tiles": []})["missing_tiles"].append(tile.key)
        options = {"products": ["dem"], "retries": RETRIES, "label": self.label}
        return json.dumps({"storm": years, "$options": options}).encode()


def broken_promises(
    place: Place, requests: Sequence[Request], spoilt: Sequence[Tile], *, claims_when_cancelled: int | None
) -> list[Broken]:
    """Every promise that does not hold.

    Args:
        place: Where the storm was.
        requests: All that were dropped there.
        spoilt: Tiles that must fail.
        claims_when_cancelled: Claims of the cancelled job once nobody was left who had read it before.
    """
    histories = place.ledger.histories()
    broken = broken_by_history(histories)
    all_rows = list[TaskRow]()
    for request in requests:
        answers = [place.control.get(receipt_key(key)) for key in request.keys]
        if None in answers or len({json.loads(answer or b"{}").get("job_id") for answer in answers}) != 1:
            broken.append(Broken(promise=Promise.RECEIPT, what=request.label))
            continue
        job_id = json.loads(answers[0] or b"{}")["job_id"]
        job = place.table.job(job_id)
        rows = {row.task_id: row for row in place.table.tasks(job)} if job else {}
        all_rows += rows.values()
        tasks = {
            task.task_id: task for task in _tasks(request, job_id, place.deployment.environment["TTC_DEFAULT_DEST"])
        }
        expected = {task_id: _ends(task, request, spoilt) for task_id, task in tasks.items()}
        if request.label == "cancelled":  # what had no row yet gets none
            expected = {task_id: ends for task_id, ends in expected.items() if task_id in rows}
            if len(claims(histories, job_id)) != claims_when_cancelled:
                broken.append(Broken(promise=Promise.CANCELLED_STAYS_SO, what=job_id))
        broken += broken_by_end(expected, rows, tasks, place.outputs)
    return broken + broken_by_letters(all_rows, _letters(place))


def _tasks(request: Request, job_id: str, dest: str) -> Iterator[TileTask]:
    for year, tile in request.tiles:
        yield TileTask(
            job_id=job_id, product=Product.DEM, year=year, x_tile=tile.x, y_tile=tile.y, lon=tile.lon, lat=tile.lat,
            dest=dest,
        )  # fmt: skip


def _ends(task: TileTask, request: Request, spoilt: Sequence[Tile]) -> frozenset[str]:
    """How a task may end: its state, and the cause when there is one."""
    if task.tile.key in {tile.key for tile in spoilt}:
        return frozenset({"FAILED asset_corrupt"})
    return frozenset({"SUCCEEDED", "CANCELLED"} if request.label == "cancelled" else {"SUCCEEDED"})


def _letters(place: Place) -> list[Received]:
    found: list[Received] = []
    queue = place.queue("dem", dead_letters=True)
    while letters := queue.receive(visible_again_seconds=600):
        found += letters
    return found
