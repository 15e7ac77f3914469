"""What to type next."""

from ard.errors import Auth
from ard.rows import TaskRow
from ard.states import State
from ard.tile import tile_key
from tracker.failures import Kind, kind_of
from tracker.summary import Trouble


def trouble_step(trouble: Trouble, job_id: str) -> str:
    """The command that goes on from tasks in a state for the same cause."""
    if trouble.state is not State.RETRYING:
        return f"tracker failures --job {job_id}"
    if trouble.cause == Auth.cause:
        return "tracker doctor"
    year, tile, _ = trouble.sample.split("/")
    return f"tracker tile {tile} --year {year} --job {job_id}"


def task_step(row: TaskRow, *, stalled: bool) -> str | None:
    """The command that goes on from a task; None when nothing needs to be done."""
    tile = tile_key(row.x_tile, row.y_tile)
    if row.state is State.FAILED:
        force = " --force" if kind_of(row) is Kind.PERMANENT else ""
        return f"tracker redrive --job {row.job_id} --product {row.product} --tile {tile}{force} --apply"
    if stalled:
        return f"tracker reconcile --job {row.job_id}"
    if row.parked:
        return f"producer resume --job {row.job_id}"
    if not row.state.terminal:
        return f"tracker status --job {row.job_id} --watch"
    return None
