"""Which outputs exist already: asked object by object, or column by column where a listing is cheaper."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ard.adapters.outputs import Listing, Look, Verify, look
from ard.adapters.store import Store
from ard.keys import column_prefix, item_key, legacy_column_prefix
from ard.product import Format
from ard.task import TileTask

# S3 asks $5 per million LIST requests of up to 1,000 keys, and $0.40 per million GET and HEAD (us-west-2, 2025). A
# column is listed from 13 tasks on, in as many requests as cost no more than one GET for each of them.
GETS_PER_LIST = 12.5
KEYS_PER_LIST = 1_000
SIDE_BY_SIDE = 32

_Column = tuple[int, int]  # year and x


def look_at(tasks: Sequence[TileTask], store: Store, *, verify: Verify = Verify.SIZES) -> list[Look]:
    """What there is of the output of each task of one destination.

    Raises:
        Unavailable: An output could not be checked, which is not the same as "missing".
        Auth: The store refuses.
    """
    legacy = any(Format.HKL in task.formats for task in tasks)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        counts = Counter(_column(task) for task in tasks)
        listings = dict(
            zip(
                counts,
                pool.map(lambda column: _listing(column, counts[column], store, legacy=legacy), counts),
                strict=True,
            )
        )
        return list(pool.map(lambda task: look(task, store, verify=verify, listing=listings[_column(task)]), tasks))


def withdraw(tasks: Sequence[TileTask], store: Store) -> None:
    """Take away the items of outputs that are damaged: they do not exist any more, and will be made again.

    Raises:
        Unavailable: The store cannot be asked; the same call again goes on from there.
        Auth: The store refuses.
    """
    keys: Mapping[str, None] = dict.fromkeys(item_key(task.year, task.tile, task.product) for task in tasks)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(store.delete, keys))


def _column(task: TileTask) -> _Column:
    return task.year, task.x_tile


def _listing(column: _Column, tasks: int, store: Store, *, legacy: bool) -> Listing:
    """The objects of a column, as far as listing them is cheaper than asking for those of so many tasks."""
    prefixes = [column_prefix(*column), *([legacy_column_prefix(*column)] if legacy else [])]
    pages = int(tasks / GETS_PER_LIST)
    listed: list[str] = []
    sizes: dict[str, int] = {}
    for prefix in prefixes:
        found = store.list_few(prefix, pages * KEYS_PER_LIST) if pages else None
        if found is not None:
            listed.append(prefix)
            sizes |= found
    return Listing(prefixes=tuple(listed), sizes=sizes)
