"""The life of one task, drawn at random: workers, their deaths, duplicates, commands and reconcile in any order.

After each step the promises are looked at that hold at every moment; at the end, healthy workers and reconcile bring
the task to its end. It runs on a real table and real queues, on both engines.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from random import Random
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine
from moto import mock_aws

from ard.adapters.outputs import find, publish
from ard.adapters.queues import FENCE, Outgoing, Queue, Received
from ard.adapters.records import sqs_handler
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.adapters.table_items import SCHEMA, task_key, to_task
from ard.adapters.wire import deserialise, serialise
from ard.errors import AssetCorrupt, Auth, NoData, OutOfTime, Transient, Unavailable
from ard.product import Product
from ard.rows import Command, TaskRow, queued_row
from ard.states import State
from consumers.handler import handle_record
from consumers.services import Services
from producer import services as producers
from producer.jobs import resume_job
from tests.factories import NOW, make_dem, make_job, make_provenance, make_task
from tests.faults.fuzzing import examples
from tests.producing import CALLS, Crash, Faults, make_index, make_settings
from tests.test_consumers import TIMEOUT, Context, to_record
from tracker.reconcile import reconcile
from tracker.redrive import Note, apply_redrive
from tracker.redrive_plan import Selection, plan_redrive
from tracker.sending import Pace
from tracker.services import Lane, Tasks
from tracker.stopping import cancel_job, pause_job

REGION = "eu-central-1"
STORE_CALLS = {"get", "put", "size"}
LATER = 100_000.0  # past every lease, retry and patience
MOST_STEPS = 14  # that a worker takes, and a few more
ATTEMPTS = 2
MADE = {State.SUCCEEDED, State.NO_DATA, State.FAILED}  # the ends that the holder of a claim writes
ENDS_OF_AN_ATTEMPT: dict[str, Callable[[], Exception | None]] = {
    "permanent": lambda: AssetCorrupt("torn"),
    "transient": lambda: Transient("once more"),
    "out of time": lambda: OutOfTime("nearly over"),
    "a bug": lambda: ZeroDivisionError("of ours"),
    "unavailable": lambda: Unavailable("429"),
    "auth": lambda: Auth("403"),
    "no data": lambda: NoData("no scene"),
    "success": lambda: None,
}

made = cache(make_dem)
attempts = st.sampled_from(list(ENDS_OF_AN_ATTEMPT))
spans = st.sampled_from([1_000.0, 0.0, 30.0, TIMEOUT + 20.0, 1_000.0, 22_000.0, 90_000.0])


@dataclass(frozen=True, kw_only=True)
class Place:
    """A local AWS with a table; every life in it has a job and queues of its own."""

    sqs: Any
    dynamodb: Any
    table: str


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """How one delivery goes: what the work comes to, what happens meanwhile, and where the worker dies, if it does."""

    ends: str = "success"
    meanwhile: tuple[Callable[[], object], ...] = ()
    faults: Faults = field(default_factory=Faults)


class Life(RuleBasedStateMachine):
    """One task, and everything that can happen to it."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        name = f"life-{uuid4().hex[:12]}"
        self.now, self.dynamodb, self.sqs = NOW, _Watched(place.dynamodb, self.written), place.sqs
        self.table = StatusTable(self.dynamodb, place.table)
        self.queue, self.dlq = (
            Queue(self.sqs, self.sqs.create_queue(QueueName=f"{name}{end}")["QueueUrl"]) for end in ("", "-dlq")
        )
        self.store = Store.in_memory()
        self.task = make_task(job_id=name, max_attempts=ATTEMPTS)
        self.last: TaskRow | None = None
        self.looked_at: TaskRow | None = None
        self.broken: list[str] = []
        self.commits: Counter[int] = Counter()
        self.redrives = self.regressions = 0
        self.letters_are_certain = True
        self.carried: list[int | None] = []  # fences of the messages in workers' hands, the latest last

    @initialize(overwrite=st.booleans(), exists=st.booleans())
    def begin(self, *, overwrite, exists):
        self.task = self.task.model_copy(update={"overwrite": overwrite})
        if exists:  # by another job
            publish(made(), self.task, self.store, provenance=make_provenance(), still_ours=lambda: None)
        self.table.put_job(make_job(job_id=self.task.job_id, overwrite=overwrite, max_attempts=ATTEMPTS, chunks=0))
        self.table.add_tasks([queued_row(self.task, shards=1, now=NOW, check_after=NOW + 900)])
        self.send()
        self.send()

    # What messages meet

    @rule(ends=attempts, span=spans)
    def work(self, ends, span):
        self.wait(span)
        self.deliver(Attempt(ends=ends))

    @rule(ends=attempts, step=st.integers(0, MOST_STEPS), after=st.booleans(), span=spans)
    def die(self, ends, step, after, span):
        self.wait(span)
        self.deliver(Attempt(ends=ends, faults=Faults(step, after=after)))

    @rule(
        ends=attempts,
        span=spans,
        others=st.lists(st.sampled_from(["work", "reconcile", "pause", "cancel", "resume"]), max_size=3),
        other_ends=attempts,
    )
    def be_slow(self, ends, span, others, other_ends):
        """A worker that does not notice that its lease is over, while others act."""
        acts: dict[str, Callable[[], object]] = {
            "work": lambda: self.deliver(Attempt(ends=other_ends)),
            "reconcile": self.reconcile,
            "pause": self.pause,
            "cancel": self.cancel,
            "resume": self.resume,
        }
        meanwhile = (lambda: self.wait(span), *(acts[name] for name in others))
        self.deliver(Attempt(ends=ends, meanwhile=meanwhile))

    @rule()
    def duplicate(self):
        self.send()

    @rule(age=st.integers(0, 2))
    def send_stale_copy(self, age):
        row = self.row()
        self.send(**{FENCE: str(max(row.fence - age, 0))})

    @rule()
    def lose_message(self):
        self.letters_are_certain = False
        for message in one_of(self.queue):
            self.queue.delete(message)

    @rule(back=st.booleans())
    def move_natively(self, back):
        """SQS moves a message to the dead letters after too many receives; the console moves them back."""
        self.letters_are_certain = False
        source, target = (self.dlq, self.queue) if back else (self.queue, self.dlq)
        for message in one_of(source):
            target.send([Outgoing(body=message.body, attributes=message.attributes)])
            source.delete(message)

    # What people and schedules do

    @rule(span=spans)
    def wait(self, span):
        self.now += span

    @rule()
    def reconcile(self):
        self.reconciled()

    @rule()
    def pause(self):
        if self.job().command is not Command.CANCELLED:
            pause_job(self.job(), table=self.table)

    @rule()
    def cancel(self):
        cancel_job(self.job(), table=self.table, now=self.now)

    @rule()
    def resume(self):
        if self.job().command in {Command.PAUSED, Command.OPEN}:
            resume_job(self.task.job_id, services=self.producer(), now=self.now)

    @precondition(lambda self: self.last is not None and self.last.state is State.FAILED)
    @rule()
    def redrive(self):
        job = self.job()
        if job.command is not Command.CANCELLED:
            plan = plan_redrive(self.table.tasks(job), Selection(force=True), now=self.now)
            self.redrives += len(plan.chosen)
            pace = Pace(clock=lambda: self.now, sleep=self.wait)
            apply_redrive(plan, job, self.tasks(), pace=pace, note=Note(who="me", why="", filter=""))

    # What holds at every moment

    def written(self, row: TaskRow) -> None:
        """Look at each row as it is written. What is wrong is kept: raised here, a worker would catch it."""
        before, self.last = self.last, row
        if before is not None:
            self.broken += [
                f"{before.state} {before.fence} to {row.state} {row.fence}: {what}" for what in self.wrong(before, row)
            ]

    def wrong(self, before: TaskRow, row: TaskRow) -> Iterator[str]:
        claimed = row.state is State.RUNNING and row.fence != before.fence
        changed = row.state is not before.state
        if row.fence != before.fence + claimed or (row.state is State.RUNNING and changed and not claimed):
            yield "a claim, and nothing else, has the next fence"
        if row.charged > self.task.max_attempts - (row.state is State.RETRYING):
            yield f"charged {row.charged} times"
        if row.state in MADE and changed:
            self.commits[row.fence] += 1
            if self.commits[row.fence] > 1:
                yield "one commit for each claim"
        if before.state.terminal and changed:
            self.regressions += row.state is State.QUEUED
            redriven = row.state is State.QUEUED and self.regressions <= self.redrives
            copy = claimed and self.carried[-1] == before.fence
            if before.state is not State.FAILED or not (redriven or copy):
                yield "an end stays, but for a redrive or the copy of this very failure"

    @invariant()
    def every_step_was_as_promised(self):
        assert not self.broken

    @invariant()
    def the_row_is_as_it_should_be(self):
        if self.looked_at is self.last or self.last is None:
            return  # nothing was written since
        self.looked_at = self.last
        item = self.item()
        row = to_task(item)
        assert row == self.last, "what was written is what is there"
        if row.state is State.RUNNING:
            assert row.owner is not None and row.lease_until is not None
        if row.state is State.SUCCEEDED:
            assert find(self.task, self.store) is not None
        assert ("due" in item) == ("check_after" in item)
        if row.state.terminal:
            assert row.check_after is None
        elif row.check_after is None:
            assert row.parked and self.job().command is not Command.OPEN

    def teardown(self):
        """Healthy workers and reconcile bring it to its end."""
        if self.last is None:
            return
        job = self.job()
        if job.command is Command.PAUSED:
            self.resume()
        for _ in range(20):
            self.now += LATER
            delivered = self.deliver(Attempt())
            self.the_row_is_as_it_should_be()
            if not delivered and not self.reconciled():
                break
        row = self.row()
        assert row.state.terminal and self.queue.depth() == 0, f"it does not come to its end: {row}"
        if row.state is State.CANCELLED:
            assert job.command is Command.CANCELLED
        if row.state is State.FAILED and self.letters_are_certain:
            fences = {letter.attributes.get(FENCE) for letter in self.dlq.receive(visible_again_seconds=0)}
            assert str(row.fence) in fences, "what failed has its dead letter"
        entries = self.table._query(
            "PK = :value AND begins_with(SK, :kind)", f"JOB#{job.job_id}", {":kind": "REDRIVE#"}
        )
        assert bool(list(entries)) == bool(self.redrives), "a redrive is in the log"
        for queue in (self.queue, self.dlq):
            self.sqs.delete_queue(QueueUrl=queue.url)

    # How it is done

    def row(self) -> TaskRow:
        row = self.table.task(self.task.job_id, 0, self.task.task_id)
        assert row is not None
        return row

    def item(self) -> dict[str, Any]:
        key = serialise(task_key(self.task.job_id, 0, self.task.task_id))
        return deserialise(self.dynamodb.get_item(TableName=self.table.name, Key=key, ConsistentRead=True)["Item"])

    def job(self):
        job = self.table.job(self.task.job_id)
        assert job is not None
        return job

    def tasks(self) -> Tasks:
        return Tasks(table=self.table, lanes={Product.DEM: Lane(queue=self.queue, dlq=self.dlq)})

    def reconciled(self) -> int:
        done = reconcile(self.tasks(), None, now=self.now, job_id=self.task.job_id)
        assert not done.unsent and not done.odd
        return sum(done.rows.values())

    def send(self, **attributes: str) -> None:
        body = self.task.model_dump_json()
        self.queue.send([Outgoing(body=body, group=self.task.job_id, attributes=attributes)])

    def producer(self) -> producers.Services:
        return producers.Services(
            settings=make_settings(),
            table=self.table,
            chunk_queue=self.queue,
            product_queues={Product.DEM: self.queue},
            control=self.store,
            open_store=lambda dest: self.store,
            index=lambda: make_index(1),
            clock=lambda: self.now,
        )

    def deliver(self, attempt: Attempt) -> bool:
        """One message through the handler, as Lambda does it; False when none waits."""
        answer = self.sqs.receive_message(
            QueueUrl=self.queue.url,
            MaxNumberOfMessages=1,
            VisibilityTimeout=30,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        for message in answer.get("Messages", []):
            fence = message.get("MessageAttributes", {}).get(FENCE, {}).get("StringValue")
            self.carried.append(None if fence is None else int(fence))
            handler = sqs_handler(partial(handle_record, services=self.worker(attempt)))
            try:
                result = handler({"Records": [to_record(message)]}, Context(aws_request_id=uuid4().hex))
                failed = bool(result["batchItemFailures"])
            except Crash:
                failed = True
            self.carried.pop()
            handle = {"QueueUrl": self.queue.url, "ReceiptHandle": message["ReceiptHandle"]}
            with suppress(ClientError):  # another worker was given the same message, and has deleted it
                if failed:
                    self.sqs.change_message_visibility(**handle, VisibilityTimeout=0)
                else:
                    self.sqs.delete_message(**handle)
            return True
        return False

    def worker(self, attempt: Attempt) -> Services:
        def load(*_: object) -> object:
            for act in attempt.meanwhile:
                act()
            error = ENDS_OF_AN_ATTEMPT[attempt.ends]()
            if error is not None:
                raise error
            return made()

        sqs = attempt.faults.around(self.sqs, CALLS)
        store = attempt.faults.around(self.store, STORE_CALLS)
        return Services(
            product=Product.DEM,
            load=load,
            catalog=None,
            reader=None,
            open_store=lambda dest: store,
            table=StatusTable(attempt.faults.around(self.dynamodb, CALLS), self.table.name),
            queue=_Shown(sqs, self.queue.url),
            dlq=Queue(sqs, self.dlq.url),
            clock=lambda: self.now,
            random=Random(1),
            git_sha="abc",
        )


class _Shown(Queue):
    """A queue whose messages are visible again at once: SQS may deliver anything at any time."""

    def hide(self, receipt: str, seconds: float) -> None:
        super().hide(receipt, 0)


class _Watched:
    """A DynamoDB client that tells of every task's row that was really written."""

    def __init__(self, client: Any, tell: Callable[[TaskRow], None]) -> None:
        self._client, self._tell = client, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_item(self, **request: Any) -> Any:
        answer = self._client.put_item(**request)
        if request["Item"]["SK"]["S"].startswith("TASK#"):
            self._tell(to_task(deserialise(request["Item"])))
        return answer


def one_of(queue: Queue) -> list[Received]:
    """One message, or none; the others are left where they are."""
    first, *others = queue.receive(visible_again_seconds=30) or [None]
    for message in others:
        queue.hide(message.receipt, 0)
    return [first] if first else []


@pytest.fixture(scope="module")
def moto_place() -> Iterator[Place]:
    with mock_aws():
        yield new_place()


@pytest.fixture
def place(cloud) -> Place:
    return Place(sqs=cloud.sqs, dynamodb=cloud.dynamodb, table=cloud.table.name)


def new_place() -> Place:
    dynamodb, name = boto3.client("dynamodb", REGION), f"ttc-{uuid4().hex[:12]}"
    dynamodb.create_table(TableName=name, **SCHEMA)
    return Place(sqs=boto3.client("sqs", REGION), dynamodb=dynamodb, table=name)


def test_whatever_happens_a_task_keeps_its_promises(moto_place):
    run_machine(lambda: Life(moto_place), settings=examples(20, steps=30))


def test_a_task_keeps_its_promises_on_both_engines(place):
    run_machine(lambda: Life(place), settings=examples(4, steps=20))
