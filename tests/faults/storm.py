"""Requests, faults and deaths all at once over a pipeline; then the promises are looked at.

The faults of each stream of requests are drawn from the seed, one after the other: the same seed decides alike. Which
task meets which fault is the machine's doing besides.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ard.errors import ArdError
from ard.keys import REQUESTS, receipt_key
from ard.rows import Command
from ard.settings import AwsSettings, ControlSettings
from ard.states import State
from ard.tile import Tile
from ard.transitions import QUEUED_PATIENCE_SECONDS
from producer.jobs import resume_job
from producer.services import connect
from sandbox.tiles import index_tiles
from tests.faults.aftermath import Request, broken_promises
from tests.faults.place import TIMEOUT_SECONDS, Place, open_place
from tests.faults.promises import Broken, Promise, claims
from tracker.reconcile import reconcile
from tracker.services import open_intake, open_tasks

FIRST_YEAR = 2016
SMALL_JOB = 12

_CALM_AT = 0.97  # of all tasks: the last ones end in peace
_STILL_SECONDS = 75.0  # without a change, after which the storm lets six hours pass
_LOOK_SECONDS = 0.25
_PAUSE_SECONDS = 3.0
_QUEUES = ("inbox", "chunks", "dem")
_QUEUES_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which storm.

    Attributes:
        tasks: Of all three jobs together: a large one, one that is paused and resumed, one that is cancelled.
        seed: Of all faults.
        folder: Everything it leaves.
        speed: How much faster the pipeline's clock runs than ours.
        kill_seconds: From one SIGKILL to the next, on average.
        patience_seconds: Until the storm gives up.
    """

    tasks: int
    seed: int
    folder: Path
    speed: float = 30.0
    kill_seconds: float = 8.0
    patience_seconds: float = 1200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a storm came to; ``late`` counts the rows that only the longest patience brought back."""

    tasks: int
    seed: int
    faults: Counter[str]
    invocations: Counter[str]
    ends: Counter[str]
    broken: tuple[Broken, ...]
    late: int
    claims: int
    seconds: float

    def count(self, *promises: Promise) -> int:
        """How often these are broken."""
        return sum(broken.promise in promises for broken in self.broken)


def storm(options: Options) -> Outcome:
    """Let a storm pass over a pipeline, and look at what is left."""
    started = time.monotonic()
    tiles = index_tiles()
    spoilt = tiles[44], tiles[33], tiles[11]
    requests = _requests(options.tasks, tiles, spoilt)
    with open_place(options.folder, seed=options.seed, speed=options.speed, spoilt=spoilt) as place:
        s3, bucket = place.client("s3", "us-west-2"), place.deployment.environment["TTC_CONTROL_BUCKET"]
        for request in requests:
            for key in request.keys:
                s3.put_object(Bucket=bucket, Key=key, Body=request.body)
        course = _Course(place, requests, total=options.tasks)
        with _killing(place, options):
            course.run(until=started + options.patience_seconds)
        place.weather.stormy = False
        _wait_for_queues(place)
        broken = broken_promises(place, requests, spoilt, claims_when_cancelled=course.claims_when_cancelled)
        histories = place.ledger.histories()
        return Outcome(
            tasks=options.tasks,
            seed=options.seed,
            faults=place.weather.met,
            invocations=place.said,
            ends=Counter(f"{rows[-1].state} {rows[-1].cause or ''}".strip() for rows in histories),
            broken=tuple(broken),
            late=course.late,
            claims=sum(row.state is State.RUNNING for rows in histories for row in rows),
            seconds=time.monotonic() - started,
        )


def _requests(tasks: int, tiles: Sequence[Tile], spoilt: Sequence[Tile]) -> tuple[Request, ...]:
    """One that is paused, one that is cancelled, and a large one under two names."""
    large = tasks - 2 * SMALL_JOB
    width = min(max(large // 5, 16), len(tiles))
    wide = [*spoilt, *(tile for tile in tiles if tile not in spoilt)][:width]
    named = [(FIRST_YEAR + number // width, wide[number % width]) for number in range(large)]
    small = [(FIRST_YEAR - 1, tile) for tile in tiles if tile not in spoilt]
    return (
        Request(label="paused", tiles=tuple(small[:SMALL_JOB]), keys=(f"{REQUESTS}paused.json",)),
        Request(label="cancelled", tiles=tuple(small[-SMALL_JOB:]), keys=(f"{REQUESTS}cancelled.json",)),
        Request(label="large", tiles=tuple(named), keys=(f"{REQUESTS}large.json", f"{REQUESTS}once/more, large.json")),
    )


@contextmanager
def _killing(place: Place, options: Options) -> Iterator[None]:
    """SIGKILL processes at random moments for as long as the context and the storm."""
    random, stop = Random(f"{options.seed} kills"), threading.Event()

    def kill() -> None:
        while not stop.wait(random.expovariate(1 / options.kill_seconds)):
            if place.weather.stormy:
                place.kill(random.choice(("dem", "dem", "dem", "reconcile", "chunks", "inbox")), random)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class _Course:
    """The jobs on their way: one is paused and resumed, one is cancelled, and all come to their end."""

    def __init__(self, place: Place, requests: Sequence[Request], *, total: int) -> None:
        self._place, self._total = place, total
        self._keys = {request.label: request.keys[0] for request in requests}
        self._jobs: dict[str, str] = {}
        self._paused_at: float | None = None
        self._cancelled_at: float | None = None
        self._resumed = False
        self.late = 0
        self.claims_when_cancelled: int | None = None

    def run(self, *, until: float) -> None:
        """Until every task has ended, or the time."""
        seen, changed_at = 0, time.monotonic()
        while time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            self._pause()
            self._cancel()
            histories = self._place.ledger.histories()
            ended = sum(rows[-1].state.terminal for rows in histories)
            if ended >= _CALM_AT * self._total:
                self._place.weather.stormy = False
            if ended == self._total and self._resumed and self.claims_when_cancelled is not None:
                return
            writes = sum(map(len, histories))
            if writes != seen:
                seen, changed_at = writes, time.monotonic()
            elif time.monotonic() - changed_at > _STILL_SECONDS:
                changed_at = time.monotonic()
                self._let_hours_pass()

    def job_id(self, label: str) -> str | None:
        """The job of a request, once it is known."""
        if label not in self._jobs:
            answer = self._place.control.get(receipt_key(self._keys[label]))
            if answer is not None:
                self._jobs[label] = json.loads(answer)["job_id"]
        return self._jobs.get(label)

    def _ended(self, job_id: str) -> int:
        return sum(state.terminal for state in self._place.ledger.states(job_id))

    def _pause(self) -> None:
        job_id = self.job_id("paused")
        if job_id is None or self._resumed:
            return
        if self._paused_at is None:
            if self._ended(job_id) >= 1:
                self._place.table.set_command(job_id, Command.PAUSED)
                self._paused_at = time.monotonic()
                self._place.weather.note("people: job paused")
        elif time.monotonic() - self._paused_at > _PAUSE_SECONDS:
            services = connect(ControlSettings(), AwsSettings())
            try:
                resume_job(job_id, services=services, now=self._place.clock())
            except ArdError:
                return  # the storm: the same command once more
            self._resumed = True
            self._place.weather.note("people: job resumed")

    def _cancel(self) -> None:
        job_id = self.job_id("cancelled")
        if job_id is None or self.claims_when_cancelled is not None:
            return
        if self._cancelled_at is None:
            if self._ended(job_id) >= 1:
                self._place.table.set_command(job_id, Command.CANCELLED)
                self._cancelled_at = time.monotonic()
                self._place.weather.note("people: job cancelled")
        elif time.monotonic() - self._cancelled_at > TIMEOUT_SECONDS["dem"]:  # who had read the job before is gone
            self.claims_when_cancelled = len(claims(self._place.ledger.histories(), job_id))

    def _let_hours_pass(self) -> None:
        """What reconcile does when the longest patience is over."""
        settings = ControlSettings()
        now = self._place.clock() + QUEUED_PATIENCE_SECONDS
        with suppress(ArdError):
            self.late += sum(reconcile(open_tasks(settings), open_intake(settings), now=now).rows.values())


def _wait_for_queues(place: Place) -> None:
    """Until duplicates, too, have been dealt with."""
    queues = [place.queue(name) for name in _QUEUES]
    until = time.monotonic() + _QUEUES_SECONDS
    while time.monotonic() < until and any(queue.depth() for queue in queues):
        time.sleep(_LOOK_SECONDS)
