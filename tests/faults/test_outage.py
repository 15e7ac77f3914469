"""A provider that is down for half an hour, under ten thousand messages: the workers' own code on a clock of its own.

SQS and the table are doubles with the one property that matters here: SQS knows visibility, receives and
``maxReceiveCount`` by the simulated clock, the table writes a row only when it has not changed. What decides, claims,
waits and records is the deployed code.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from ard.adapters.queues import Queue
from ard.adapters.records import NotAcknowledged, Record
from ard.adapters.store import Store
from ard.errors import NoData, Unavailable
from ard.product import Product
from ard.rows import JobRow, TaskRow, queued_row
from ard.shards import shard_of
from ard.states import State
from ard.transitions import FREE_WAIT_SECONDS, RETRY_CAP_SECONDS
from consumers.handler import handle_record
from consumers.services import Services
from tests.factories import NOW, make_job, make_task

MESSAGES = 10_000
WORKERS = 200  # as functions.json lets the queue of a product have
WORK_SECONDS = 9.0  # of a healthy attempt
FAILURE_SECONDS = 20.0  # what four retries of one request take
TIMEOUT_SECONDS = 120.0
MAX_RECEIVES = 100
OUTAGE_SECONDS = 1800.0


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class SimulatedQueue:
    """SQS, as far as the workers ask it: messages by when they are visible; what comes too often is a dead letter."""

    clock: Clock
    visible: list[tuple[float, int]] = field(default_factory=list)
    bodies: dict[int, str] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)
    receives: Counter[int] = field(default_factory=Counter)
    dead: list[str] = field(default_factory=list)

    def add(self, body: str) -> None:
        number = len(self.bodies)
        self.bodies[number] = body
        self._show(number, self.clock())

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> None:  # noqa: N803
        self._show(int(ReceiptHandle), self.clock() + VisibilityTimeout)

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, object]:  # noqa: N803
        self.dead += [entry["MessageBody"] for entry in Entries]
        return {"Successful": Entries}

    def next_at(self) -> float | None:
        while self.visible and self.due.get(self.visible[0][1]) != self.visible[0][0]:
            heapq.heappop(self.visible)  # hidden again or deleted meanwhile
        return self.visible[0][0] if self.visible else None

    def receive(self) -> Record | None:
        at = self.next_at()
        if at is None or at > self.clock():
            return None
        _, number = heapq.heappop(self.visible)
        self.receives[number] += 1
        if self.receives[number] > MAX_RECEIVES:
            self.dead.append(self.bodies[number])
            self.delete(str(number))
            return self.receive()
        self._show(number, self.clock() + TIMEOUT_SECONDS + 60)
        return Record(
            body=self.bodies[number],
            receipt=str(number),
            message_id=str(number),
            attributes={},
            receives=self.receives[number],
        )

    def delete(self, receipt: str) -> None:
        self.due.pop(int(receipt), None)

    def _show(self, number: int, at: float) -> None:
        self.due[number] = at
        heapq.heappush(self.visible, (at, number))


@dataclass
class SimulatedTable:
    one_job: JobRow
    rows: dict[str, TaskRow] = field(default_factory=dict)

    def job(self, job_id: str) -> JobRow:
        return self.one_job

    def task(self, job_id: str, shard: int, task_id: str) -> TaskRow | None:
        return self.rows.get(task_id)

    def replace(self, old: TaskRow, new: TaskRow) -> bool:
        if self.rows[old.task_id] is not old:
            return False
        self.rows[old.task_id] = new
        return True


@dataclass(frozen=True)
class Context:
    aws_request_id: str
    memory_limit_in_mb: int = 1024

    def get_remaining_time_in_millis(self) -> int:
        return int(TIMEOUT_SECONDS * 1000)


@dataclass
class Provider:
    """Down until a moment; ``asked`` counts the loads that it met."""

    clock: Clock
    up_at: float
    asked: int = 0

    def load(self, *_: object):
        self.asked += 1
        if self.clock() < self.up_at:
            self.clock.now += FAILURE_SECONDS
            raise Unavailable("HTTP 503")
        self.clock.now += WORK_SECONDS
        raise NoData("a loader without pixels: the outcome of a healthy attempt")


@dataclass
class Run:
    """Two hundred workers, each with a clock of its own moment, and what they make of the messages."""

    clock: Clock
    queue: SimulatedQueue
    dlq: SimulatedQueue
    table: SimulatedTable
    provider: Provider

    def to_the_end(self) -> float:
        services = Services(
            product=Product.DEM, load=self.provider.load, catalog=None, reader=None,
            open_store=lambda _: self.store, table=self.table, queue=Queue(self.queue, "queue"),
            dlq=Queue(self.dlq, "dlq"), clock=self.clock, random=Random(1), git_sha="abc",
        )  # fmt: skip
        free = [(NOW, worker) for worker in range(WORKERS)]
        calls = 0
        while True:
            at, worker = heapq.heappop(free)
            self.clock.now = at
            record = self.queue.receive()
            if record is None:
                upcoming = self.queue.next_at()
                if upcoming is None:
                    return max(at, *(other for other, _ in free))
                heapq.heappush(free, (max(upcoming, at), worker))
                continue
            calls += 1
            if acknowledged(lambda r=record, c=calls: handle_record(r, Context(f"call-{c}"), services)):
                self.queue.delete(record.receipt)
            heapq.heappush(free, (self.clock.now + 0.05, worker))

    store = Store.in_memory()


def acknowledged(handle: Callable[[], None]) -> bool:
    try:
        handle()
    except NotAcknowledged:
        return False
    return True


def make_run(*, messages: int, outage_seconds: float) -> Run:
    clock = Clock()
    job = make_job(totals={Product.DEM: messages})
    queue, dlq, table = SimulatedQueue(clock), SimulatedQueue(clock), SimulatedTable(job)
    for number in range(messages):
        task = make_task(x_tile=number % 1000, y_tile=number // 1000)
        row = queued_row(task, shards=job.shards, now=NOW, check_after=NOW)
        assert row.shard == shard_of(task.tile.key, job.shards)
        table.rows[row.task_id] = row
        queue.add(task.model_dump_json())
    return Run(clock, queue, dlq, table, Provider(clock, NOW + outage_seconds))


def test_half_an_hour_without_a_provider_costs_no_attempt_and_no_message(capsys):
    run = make_run(messages=MESSAGES, outage_seconds=OUTAGE_SECONDS)

    ended = run.to_the_end()

    rows = run.table.rows.values()
    asked = run.provider.asked
    assert {row.state for row in rows} == {State.NO_DATA}
    assert {row.charged for row in rows} == {0}, "the budgets of retries are whole"
    assert run.queue.dead == [] and run.dlq.dead == []
    assert max(run.queue.receives.values()) < MAX_RECEIVES
    healthy = MESSAGES / WORKERS * WORK_SECONDS
    drained = ended - run.provider.up_at
    assert drained <= healthy + RETRY_CAP_SECONDS + TIMEOUT_SECONDS, "recovers by itself, within a wait of its end"
    assert asked < 5 * MESSAGES, "a provider that is down is not hammered"
    with capsys.disabled():
        print(  # noqa: T201 - the figures that this is about
            f"\n{MESSAGES:,} messages, {OUTAGE_SECONDS / 60:.0f} minutes down: {asked - MESSAGES:,} attempts in vain, "
            f"at most {max(run.queue.receives.values())} receives of a message, drained {drained:.0f} s after the end "
            f"({healthy:.0f} s of work)"
        )


def test_half_a_day_without_a_provider_is_survived_within_the_receives_of_a_message():
    run = make_run(messages=50, outage_seconds=12 * 3600)

    run.to_the_end()

    assert {row.state for row in run.table.rows.values()} == {State.NO_DATA}
    assert run.queue.dead == []


def test_what_a_longer_outage_does_to_messages_leaves_rows_that_reconcile_sends_again():
    """A hundred waits of 450 to 900 s are over after some 18 hours; then rows have to stand in for messages."""
    run = make_run(messages=50, outage_seconds=FREE_WAIT_SECONDS - 3600)

    run.to_the_end()

    waiting = [row for row in run.table.rows.values() if row.state is not State.NO_DATA]
    assert len(run.queue.dead) == len(waiting) > 0
    assert {(row.state, row.charged, row.check_after is not None) for row in waiting} == {(State.RETRYING, 0, True)}
