"""Redrives of many tasks while everything fails at random: no task is lost, and each is committed once."""

import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ard.adapters.queues import FENCE, JOB, Outgoing, Received
from ard.adapters.records import NotAcknowledged, Record
from ard.adapters.store import Store
from ard.errors import AssetCorrupt, Unavailable
from ard.product import Product
from ard.rows import task_of
from ard.states import State
from ard.task import TileTask
from consumers.handler import handle_record
from consumers.services import Services
from tests.factories import NOW, make_job, make_row
from tests.outputs import put_output
from tests.producing import Crash
from tests.test_consumers import Context
from tracker.letters import clear_letters
from tracker.reconcile import reconcile
from tracker.redrive import Caution, Note, apply_redrive
from tracker.redrive_plan import Selection, plan_redrive
from tracker.sending import Pace
from tracker.services import Lane, Tasks

JOB_ROW = make_job()
NOTE = Note(who="ann", why="", filter="")
FENCE_AT_FIRST = 3


@dataclass
class Weather:
    """What goes wrong at a step, before or after it took effect; at one step another operator comes in."""

    random: Random = field(default_factory=lambda: Random(0))
    unavailable: float = 0.0
    crash: float = 0.0
    visitor_at: int = -1
    visitor: object = None
    steps: int = 0

    def strike(self):
        number, self.steps = self.steps, self.steps + 1
        if number == self.visitor_at and self.visitor:
            self.visitor()
        drawn = self.random.random()
        if drawn < self.crash:
            raise Crash
        if drawn < self.crash + self.unavailable:
            raise Unavailable("weather")


class Table:
    """The rows of one job in memory; counts what was committed."""

    name = "table"

    def __init__(self, rows, weather):
        self.rows = {row.task_id: row for row in rows}
        self.weather, self.lock = weather, threading.RLock()
        self.commits = Counter()

    def job(self, job_id):
        return JOB_ROW if job_id == JOB_ROW.job_id else None

    def tasks(self, job):
        return list(self.rows.values())

    def task(self, job_id, shard, task_id):
        self.weather.strike()
        return self.rows.get(task_id)

    def due(self, now):
        return [row for row in self.rows.values() if row.check_after is not None and row.check_after <= now]

    def replace(self, old, new):
        self.weather.strike()
        with self.lock:
            written = self.rows[old.task_id] == old
            if written:
                self.rows[old.task_id] = new
                self.commits[new.task_id] += new.state is State.SUCCEEDED
        self.weather.strike()
        return written

    def log_redrive(self, job_id, *, now, entry):
        self.weather.strike()


class Line:
    """A queue in memory on the world's clock."""

    url = "line"

    def __init__(self, world, messages=()):
        self.world, self.lock = world, threading.RLock()
        self.messages, self.visible, self.sent = {}, {}, 0
        for message in messages:
            self._add(message)

    def _add(self, message):
        with self.lock:
            receipt, self.sent = str(self.sent), self.sent + 1
            self.messages[receipt] = Received(body=message.body, receipt=receipt, attributes=dict(message.attributes))
            self.visible[receipt] = self.world.now

    def send(self, messages):
        for message in messages:
            self.world.weather.strike()
            self._add(message)
        self.world.weather.strike()

    def depth(self):
        self.world.weather.strike()
        return len(self.messages)

    def receive(self, *, visible_again_seconds, wait_seconds=0):
        self.world.weather.strike()
        with self.lock:
            batch = [m for receipt, m in self.messages.items() if self.visible[receipt] <= self.world.now][:10]
            self.visible.update((m.receipt, self.world.now + visible_again_seconds) for m in batch)
        return batch

    def delete(self, message):
        self.world.weather.strike()
        self.messages.pop(message.receipt, None)
        self.world.weather.strike()

    def hide(self, receipt, seconds):
        self.world.weather.strike()
        self.visible[receipt] = self.world.now + seconds

    def task_ids(self, job_id=JOB_ROW.job_id):
        tasks = [TileTask.model_validate_json(message.body) for message in list(self.messages.values())]
        return Counter(task.task_id for task in tasks if task.job_id == job_id)


class World:
    """Failed tasks, their letters among those of another job, workers, operators and reconcile."""

    def __init__(self, count, *, broken, strangers, weather):
        self.now, self.weather = NOW, weather
        self.first = [
            make_row(x_tile=n, state=State.FAILED, cause="crashed", fence=FENCE_AT_FIRST, check_after=None)
            for n in range(count)
        ]
        others = [make_row(x_tile=n, job_id="other", fence=FENCE_AT_FIRST) for n in range(strangers)]
        self.table, self.queue = Table(self.first, weather), Line(self)
        self.dlq = Line(self, [letter(row) for row in [*self.first, *others]])
        self.tasks = Tasks(table=self.table, lanes={Product.DEM: Lane(queue=self.queue, dlq=self.dlq)})
        self.store = Store.in_memory()
        self.made = {row.task_id for row in self.first[broken:]}
        for row in self.first[broken:]:
            put_output(self.store, task_of(row, JOB_ROW))

    def redrive(self, canary=0):
        """One operator, who may see any of it fail, or die."""
        plan = plan_redrive(self.table.tasks(JOB_ROW), Selection(force=True), now=self.now)
        caution = Caution(canary=canary, patience_seconds=600.0)
        with suppress(Unavailable, Crash):
            apply_redrive(plan, JOB_ROW, self.tasks, pace=self.pace(), note=NOTE, caution=caution)

    def pace(self):
        return Pace(clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds):
        """While an operator waits for the canary, workers go on."""
        self.now += seconds
        self.work()

    def work(self):
        """Workers, until no message is visible."""
        with suppress(Unavailable):
            while batch := self.queue.receive(visible_again_seconds=200):
                for message in batch:
                    with suppress(Unavailable, NotAcknowledged):
                        self.handle(message)
                        self.queue.delete(message)

    def handle(self, message):
        record = Record(
            body=message.body, receipt=message.receipt, message_id="m", attributes=message.attributes, receives=1
        )
        handle_record(record, Context(), self.services())

    def services(self):
        return Services(
            product=Product.DEM, load=corrupt, catalog=None, reader=None, open_store=lambda dest: self.store,
            table=self.table, queue=self.queue, dlq=self.dlq, clock=lambda: self.now, random=Random(1), git_sha="abc",
        )  # fmt: skip

    def settle(self):
        """Good weather, workers and reconcile, until every task has ended."""
        self.weather.unavailable = self.weather.crash = 0.0
        for _ in range(20):
            self.work()
            if all(row.state.terminal for row in self.table.rows.values()):
                return
            self.now += 2_000
            reconcile(self.tasks, None, now=self.now, job_id=JOB_ROW.job_id)
        raise AssertionError("some tasks never ended")


def corrupt(*_):
    raise AssetCorrupt("torn")


def letter(row):
    job = make_job(job_id=row.job_id)
    attributes = {FENCE: str(row.fence), JOB: row.job_id}
    return Outgoing(body=task_of(row, job).model_dump_json(), group=row.job_id, attributes=attributes)


chances = st.sampled_from([0.0, 0.01, 0.1, 0.3])
worlds = st.builds(
    lambda count, broken, strangers, seed, unavailable, crash, visitor_at: World(
        count,
        broken=min(broken, count),
        strangers=strangers,
        weather=Weather(Random(seed), unavailable=unavailable, crash=crash, visitor_at=visitor_at),
    ),
    count=st.integers(1, 25),
    broken=st.integers(0, 5),
    strangers=st.integers(0, 12),
    seed=st.integers(0, 2**32),
    unavailable=chances,
    crash=chances,
    visitor_at=st.integers(0, 60),
)


@given(worlds, st.integers(1, 3))
def test_a_redriven_task_is_sent_or_due_and_any_other_is_as_it_was(world, times):
    world.weather.visitor = world.redrive

    for _ in range(times):
        world.redrive()

    sent = world.queue.task_ids()
    for before in world.first:
        after = world.table.rows[before.task_id]
        assert after == before or after.state is State.QUEUED
        assert after.state is State.QUEUED or not sent[after.task_id]
        assert after.state is State.FAILED or sent[after.task_id] or after.check_after is not None


@given(worlds, st.sampled_from([0, 3]))
def test_every_task_ends_and_is_committed_once_whatever_fails_and_whoever_redrives(world, canary):
    world.weather.visitor = world.redrive

    world.redrive(canary)
    world.redrive(canary)
    world.settle()
    world.redrive()
    world.settle()

    ends = {task_id: row.state for task_id, row in world.table.rows.items()}
    assert ends == {row.task_id: State.SUCCEEDED if row.task_id in world.made else State.FAILED for row in world.first}
    assert dict(+world.table.commits) == dict.fromkeys(world.made, 1)


@given(worlds)
def test_what_failed_keeps_a_dead_letter_and_other_jobs_lose_none(world):
    strangers = world.dlq.task_ids("other")
    world.weather.visitor = world.redrive

    world.redrive()
    world.settle()

    letters = world.dlq.task_ids()
    assert all(letters[row.task_id] for row in world.table.rows.values() if row.state is State.FAILED)
    assert world.dlq.task_ids("other") == strangers


@given(st.integers(0, 40), st.integers(0, 40))
def test_letters_are_taken_away_up_to_the_fence_that_was_sent(older, newer):
    world = World(1, broken=0, strangers=0, weather=Weather())
    row = world.first[0]
    body = task_of(row, JOB_ROW).model_dump_json()
    fences = [row.fence - 1] * older + [row.fence + 1] * newer
    world.dlq.send(Outgoing(body=body, attributes={FENCE: str(fence)}) for fence in fences)

    taken = clear_letters(world.dlq, row.job_id, {row.task_id: row.fence})

    assert (taken, world.dlq.task_ids().total()) == (older + 1, newer)
