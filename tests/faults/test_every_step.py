"""A worker dies before and after each of its steps in turn; whatever it was about to do, its task ends as it should.

A step is a call to the table, a queue or the store. After the death another worker gets the same message, once the
lease is over, and reconcile runs; then the promises are looked at that hold for every task.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto import mock_aws

from ard.adapters.outputs import find
from ard.adapters.queues import Outgoing, Queue
from ard.adapters.records import sqs_handler
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.adapters.table_items import SCHEMA
from ard.errors import AssetCorrupt, NoData, Transient, Unavailable
from ard.product import Format, Product
from ard.rows import queued_row
from ard.states import State
from consumers.handler import handle_record
from consumers.services import Services
from tests.factories import NOW, make_dem, make_job, make_task
from tests.producing import Crash, Faults
from tests.test_consumers import Context, to_record
from tracker.reconcile import reconcile
from tracker.services import Lane, Tasks

REGION = "eu-central-1"
LATER = 100_000.0  # past every lease, retry and patience
CALLS = {"get_item", "put_item", "send_message_batch", "change_message_visibility"}
STORE_CALLS = {"get", "put", "size"}


@dataclass(frozen=True, kw_only=True)
class Story:
    """What a task meets, and how it must end: ``errors`` are raised by one attempt after the other."""

    ends: State
    errors: tuple[Exception, ...] = ()
    formats: tuple[Format, ...] = (Format.COG,)
    letters: bool = False


STORIES = {
    "made at once": Story(ends=State.SUCCEEDED),
    "both formats": Story(ends=State.SUCCEEDED, formats=(Format.COG, Format.HKL)),
    "made at the second try": Story(ends=State.SUCCEEDED, errors=(Transient("once"),)),
    "after an outage": Story(ends=State.SUCCEEDED, errors=(Unavailable("429"), Unavailable("429"))),
    "without data": Story(ends=State.NO_DATA, errors=(NoData("no scene"),) * 9),
    "never to be made": Story(ends=State.FAILED, errors=(AssetCorrupt("torn"),) * 9, letters=True),
}


@dataclass
class World:
    """One task with its row, queue and store in a local AWS; ``commits`` are the ends that were written, in order."""

    story: Story
    now: float = NOW
    store: Store = field(default_factory=Store.in_memory)
    commits: list[str] = field(default_factory=list)
    attempts: int = 0

    def __post_init__(self) -> None:
        self.sqs, self.dynamodb = boto3.client("sqs", REGION), _Watching(boto3.client("dynamodb", REGION), self.commits)
        name = f"ttc-{uuid4().hex[:12]}"
        self.dynamodb.create_table(TableName=name, **SCHEMA)
        self.queue, self.dlq = (Queue(self.sqs, self._new_queue(f"{name}{end}")) for end in ("", "-dlq"))
        self.table = StatusTable(self.dynamodb, name)
        self.task = make_task(max_attempts=4, formats=self.story.formats)
        job = make_job(job_id=self.task.job_id, formats=self.story.formats)
        self.table.put_job(job)
        self.table.add_tasks([queued_row(self.task, shards=1, now=NOW, check_after=NOW)])
        self.queue.send([Outgoing(body=self.task.model_dump_json(), group=job.job_id)])

    def _new_queue(self, name: str) -> str:
        return str(self.sqs.create_queue(QueueName=name)["QueueUrl"])

    def row(self):
        return self.table.task(self.task.job_id, 0, self.task.task_id)

    def load(self, *_: object):
        number, self.attempts = self.attempts, self.attempts + 1
        if number < len(self.story.errors):
            raise self.story.errors[number]
        return make_dem()

    def services(self, faults: Faults) -> Services:
        sqs, dynamodb = faults.around(self.sqs, CALLS), faults.around(self.dynamodb, CALLS)
        store = faults.around(self.store, STORE_CALLS)
        return Services(
            product=Product.DEM,
            load=self.load,
            catalog=None,
            reader=None,
            open_store=lambda dest: store,
            table=StatusTable(dynamodb, self.table.name),
            queue=_Shown(sqs, self.queue.url),
            dlq=Queue(sqs, self.dlq.url),
            clock=lambda: self.now,
            random=Random(1),
            git_sha="abc",
        )

    def deliver(self, faults: Faults) -> bool:
        """One message through the handler, as Lambda does it; False when none waits."""
        answer = self.sqs.receive_message(
            QueueUrl=self.queue.url,
            MaxNumberOfMessages=1,
            VisibilityTimeout=0,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        for message in answer.get("Messages", []):
            handler = sqs_handler(partial(handle_record, services=self.services(faults)))
            result = handler({"Records": [to_record(message)]}, Context())
            handle = {"QueueUrl": self.queue.url, "ReceiptHandle": message["ReceiptHandle"]}
            if result["batchItemFailures"]:
                self.sqs.change_message_visibility(**handle, VisibilityTimeout=0)
            else:
                self.sqs.delete_message(**handle)
            return True
        return False

    def go_on(self) -> None:
        """Healthy workers, and reconcile, until nothing waits any more."""
        for _ in range(20):
            self.now += LATER
            delivered = self.deliver(Faults())
            lanes = {Product.DEM: Lane(queue=self.queue, dlq=self.dlq)}
            seen = reconcile(Tasks(table=self.table, lanes=lanes), None, now=self.now, job_id=self.task.job_id).rows
            if not delivered and not seen:
                return
        raise AssertionError(f"the task does not come to its end: {self.row()}")

    def letters(self):
        return self.dlq.receive(visible_again_seconds=60)


class _Shown(Queue):
    """A queue whose messages are visible again at once: the clock of this world is not the queue's."""

    def hide(self, receipt: str, seconds: float) -> None:
        super().hide(receipt, 0)


class _Watching:
    """A DynamoDB client that notes every end of a task that was really written."""

    def __init__(self, client: Any, commits: list[str]) -> None:
        self._client, self._commits = client, commits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_item(self, **request: Any) -> Any:
        answer = self._client.put_item(**request)
        state = request["Item"].get("state", {}).get("S")
        if state and State(state).terminal:
            self._commits.append(state)
        return answer


@pytest.fixture
def worlds() -> Iterator[Callable[[str], World]]:
    with mock_aws():
        yield lambda name: World(STORIES[name])


def steps_of(world: World) -> int:
    """How many steps a worker takes until the message is done with for the first time."""
    counting = Faults()
    world.deliver(counting)
    return counting.steps


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_may_die_at_any_step(worlds, name, after):
    steps = steps_of(worlds(name))
    assert steps >= 6, "job, row, claim, visibility, a look for the output, result"

    for step in range(steps):
        world = worlds(name)
        with pytest.raises(Crash):
            world.deliver(Faults(step, after=after))
        world.go_on()

        expect_promises(world, where=f"{name}, step {step} of {steps}")


def expect_promises(world: World, *, where: str) -> None:
    row = world.row()
    assert row.state is world.story.ends, where
    assert world.commits == [str(row.state)], f"{where}: one end, and none after it"
    assert row.check_after is None, f"{where}: nobody waits for it any more"
    output = find(world.task, world.store)
    assert (output is not None) == (row.state is State.SUCCEEDED), f"{where}: succeeded means that the output is there"
    assert bool(world.letters()) == world.story.letters, where
    assert world.queue.depth() == 0, where


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_may_die_at_any_step_of_a_redriven_copy(worlds, after):
    def redriven() -> World:
        world = worlds("made at once")
        failed = replace(world.row(), state=State.FAILED, fence=3, charged=4, cause="asset_corrupt", check_after=None)
        assert world.table.replace(world.row(), failed)
        world.commits.clear()
        for message in world.queue.receive(visible_again_seconds=60):
            world.queue.delete(message)
        world.queue.send([Outgoing(body=world.task.model_dump_json(), attributes={"fence": "3"})])
        return world

    for step in range(steps_of(redriven())):
        world = redriven()
        with pytest.raises(Crash):
            world.deliver(Faults(step, after=after))
        world.go_on()

        expect_promises(world, where=f"redriven, step {step}")
