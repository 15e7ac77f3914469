"""The engine without queues: calls the workers' own code through Lithops, and sees a job to its end from here.

Rows are made, claimed and ended exactly as with queues; only the messages are missing. Who dies on the way loses
nothing: the same command goes on from the rows, and so does reconcile, which sends messages for them in time.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from ard.adapters.aws import aws_errors
from ard.adapters.queues import Queue
from ard.errors import Unavailable
from ard.product import Product
from ard.rows import Command, JobRow, TaskRow, task_of
from ard.states import State
from ard.transitions import set_aside
from consumers.direct import Call, Unqueued, run_task
from producer.expansion import send_chunk
from producer.jobs import Started, start_job
from producer.lithops_config import Place
from producer.request import TileRequest
from producer.services import Services, find_job

_CALLS_AT_ONCE = 2_000  # what Lithops itself does for localhost grows with the square of it
_SIDE_BY_SIDE = 8
_LOOK_SECONDS = 0.5
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 30.0
_CLOCKS_DIFFER_SECONDS = 1.0
_FRUITLESS_ROUNDS = 3


class Caller(Protocol):
    """Calls workers; no two callers share their ``name``."""

    name: str

    def run(self, calls: Sequence[Call], show: Callable[[int], None]) -> list[str | None]:
        """Run calls to their ends; why each could do nothing for its task, None for those that did what they could.

        ``show`` is told how many have ended.
        """


def start_without_messages(request: TileRequest, *, services: Services, request_key: str, now: float) -> Started:
    """Start the job of a request, or find it, and see that each of its tasks has a row; nothing is sent.

    Raises:
        RequestRejected: This deployment does not offer what the request asks for.
        InvalidInput: There is no tile, or another content has this job's name.
        Unavailable: Table or store cannot be asked; the same call again goes on from there.
        Auth: One of them refuses.
    """
    quiet = replace(
        services,
        chunk_queue=Queue(Unqueued(), services.chunk_queue.url),
        product_queues={product: Queue(Unqueued(), queue.url) for product, queue in services.product_queues.items()},
    )
    started = start_job(request, services=quiet, request_key=request_key, now=now)
    for number in range(started.job.chunks):
        send_chunk(started.job.job_id, number, services=quiet)
    return replace(started, chunks_sent=0)


def run_with_lithops(
    job: JobRow, *, services: Services, places: Mapping[Product, Place], show: Callable[[int], None]
) -> None:
    """Run the tasks of a job through Lithops until all are terminal, or its owner does not want it to go on.

    Interrupted, it ends its workers on this machine; functions on AWS come to their own ends.

    Args:
        job: One that has its rows.
        services: The producer's.
        places: Where the tasks of each product run.
        show: Told how many tasks are done.

    Raises:
        Unavailable: No worker can do anything, or the table cannot be asked; the same call again goes on from there.
        Auth: The table refuses.
    """
    with _lithops(places) as caller:
        run_job(job.job_id, services=services, places=places, caller=caller, show=show, sleep=time.sleep)


def run_job(
    job_id: str,
    *,
    services: Services,
    places: Mapping[Product, Place],
    caller: Caller,
    show: Callable[[int], None],
    sleep: Callable[[float], None],
) -> None:
    """See every task of a job to its end with whatever calls workers; see ``run_with_lithops``.

    Raises:
        Unavailable: No worker can do anything, or the table cannot be asked.
        Auth: The table refuses.
    """
    tried: list[TaskRow] = []
    reasons: list[str | None] = []
    called = fruitless = 0
    while True:
        job = find_job(services.table, job_id)
        rows = list(services.table.tasks(job))
        waiting = [row for row in rows if not row.state.terminal]
        done = len(rows) - len(waiting)
        show(done)
        if job.command is not Command.OPEN:
            _set_aside(waiting, job.command, services=services)
            return
        if not waiting:
            return
        fruitless = fruitless + 1 if tried and _are_among(tried, waiting) else 0
        if fruitless:
            _give_up_at(fruitless, tried, reasons)
            sleep(_PAUSE_SECONDS)
        now = services.clock()
        tried = [row for row in waiting if _due_at(row) <= now][:_CALLS_AT_ONCE]
        if tried:
            owners = (f"{caller.name}-{called + index}" for index in range(len(tried)))
            calls = [
                _call(row, job, places[row.product], owner=owner) for row, owner in zip(tried, owners, strict=True)
            ]
            called += len(calls)
            reasons = caller.run(calls, partial(_show_more, show, done))
            _see_to_the_dead(tried, calls, reasons, services=services)
        else:
            sleep(min(min(map(_due_at, waiting)) - now, _LONGEST_PAUSE_SECONDS))


def _show_more(show: Callable[[int], None], done: int, ended: int) -> None:
    show(done + ended)


def _are_among(tried: Sequence[TaskRow], rows: Sequence[TaskRow]) -> bool:
    """Whether each of the rows that were tried is as it was before."""
    current = {row.task_id: row for row in rows}
    return all(current.get(row.task_id) == row for row in tried)


def _give_up_at(fruitless: int, tried: Sequence[TaskRow], reasons: Sequence[str | None]) -> None:
    if fruitless == _FRUITLESS_ROUNDS:
        reason = next(filter(None, reasons), "they found them taken or not yet due")
        raise Unavailable(f"{len(tried)} workers could do nothing for their tasks: {reason}")


def _due_at(row: TaskRow) -> float:
    """When a worker may claim the task, by its own clock."""
    match row.state:
        case State.RUNNING:
            return (row.lease_until or 0) + _CLOCKS_DIFFER_SECONDS
        case State.RETRYING:
            return (row.not_before or 0) + _CLOCKS_DIFFER_SECONDS
        case _:
            return 0.0


def _call(row: TaskRow, job: JobRow, place: Place, *, owner: str) -> Call:
    return Call(
        product=row.product,
        body=task_of(row, job).model_dump_json(),
        owner=owner,
        seconds=place.seconds,
        memory_mb=place.memory_mb,
    )


def _see_to_the_dead(
    rows: Sequence[TaskRow], calls: Sequence[Call], reasons: Sequence[str | None], *, services: Services
) -> None:
    """End the leases of workers that are no more, so that the next claim notes the crash instead of waiting."""

    def end_lease(row: TaskRow, call: Call) -> None:
        current = services.table.task(row.job_id, row.shard, row.task_id)
        if current is not None and current.state is State.RUNNING and current.owner == call.owner:
            now = services.clock()
            services.table.replace(current, replace(current, lease_until=now, updated_at=now))

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        failed = [(row, call) for row, call, reason in zip(rows, calls, reasons, strict=True) if reason is not None]
        list(pool.map(lambda pair: end_lease(*pair), failed))


def _set_aside(rows: Sequence[TaskRow], command: Command, *, services: Services) -> None:
    """What workers do with the messages of a job that is not to go on."""
    now = services.clock()
    free = [row for row in rows if _due_at(row) <= now or row.state is State.RETRYING]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        list(pool.map(lambda row: services.table.replace(row, set_aside(row, command, now)), free))


@contextmanager
def _lithops(places: Mapping[Product, Place]) -> Iterator[Caller]:
    """Lithops' executors, one per configuration, and nothing of theirs left afterwards."""
    from lithops import FunctionExecutor  # noqa: PLC0415 - heavy, and not everybody's

    backends = {place.backend.name: place.backend for place in places.values()}
    with ExitStack() as stack:
        executors: dict[str, Any] = {}
        for name, backend in backends.items():
            with aws_errors(f"Lithops by {name}"):
                executors[name] = FunctionExecutor(config=dict(backend.config), log_level=None)
            stack.callback(_forget, executors[name])
            stack.enter_context(executors[name])  # left before that
        yield _LithopsCaller(places, executors)


class _LithopsCaller:
    """See ``Caller``."""

    def __init__(self, places: Mapping[Product, Place], executors: Mapping[str, Any]) -> None:
        self._places, self._executors = places, executors
        self.name = "-".join(["lithops", *(executor.executor_id for executor in executors.values())])

    def run(self, calls: Sequence[Call], show: Callable[[int], None]) -> list[str | None]:
        with aws_errors("Lithops"):
            futures: dict[str, Any] = {}
            for product in sorted({call.product for call in calls}):
                own = [call for call in calls if call.product is product]
                futures |= zip((call.owner for call in own), self._started(product, own), strict=True)
            while (ended := self._ended(futures.values())) < len(calls):
                show(ended)
                time.sleep(_LOOK_SECONDS)
            show(ended)
            return [_reason(futures[call.owner]) for call in calls]

    def _started(self, product: Product, calls: Sequence[Call]) -> list[Any]:
        place = self._places[product]
        executor = self._executors[place.backend.name]
        return list(executor.map(run_task, [{"call": call} for call in calls], **place.map_arguments()))

    def _ended(self, futures: Iterable[Any]) -> int:
        """How many of the calls have ended, by what Lithops has heard of them."""
        from lithops.wait import ALWAYS  # noqa: PLC0415

        for executor in self._executors.values():
            own = [future for future in futures if future.executor_id == executor.executor_id]
            if own:  # none would mean all that it ever had
                executor.wait(own, throw_except=False, return_when=ALWAYS, show_progressbar=False)
        return sum(future.success or future.done for future in futures)


def _reason(future: Any) -> str | None:
    if future.error:
        kind, error, *_ = future._exception  # noqa: SLF001 - the only other way is to have it raised
        return f"{kind.__name__}: {error}"
    answer = future.result(throw_except=False)
    return None if answer is None else str(answer)


def _forget(executor: Any) -> None:
    """Delete what Lithops stored for the executor's calls."""
    from lithops.constants import JOBS_PREFIX  # noqa: PLC0415

    storage = executor.storage
    keys = storage.list_keys(storage.bucket, f"{JOBS_PREFIX}/{executor.executor_id}")
    storage.delete_objects(storage.bucket, keys)
