"""A worker on a real table and real queues, on both engines: every row of the consumer's contract."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

import pytest

from ard.adapters.outputs import publish
from ard.adapters.queues import Outgoing, Queue
from ard.adapters.records import sqs_handler
from ard.adapters.store import Store
from ard.errors import AssetCorrupt, NoData, Transient, Unavailable
from ard.product import Product
from ard.rows import Command, queued_row
from ard.states import State
from consumers.handler import handle_record
from consumers.services import Services
from tests.factories import NOW, make_dem, make_job, make_provenance, make_task

TIMEOUT = 120
ITEM = "2023/ard/1000/871/dem.json"


class RecordingQueue(Queue):
    """The real queue, and how long each message was hidden."""

    def __init__(self, inner):
        super().__init__(inner._client, inner.url)
        self.hidden = []

    def hide(self, receipt, seconds):
        self.hidden.append(seconds)
        super().hide(receipt, 0)  # back at once: tests do not wait


@dataclass
class Context:
    aws_request_id: str = "request-1"
    memory_limit_in_mb: str = "2048"
    function_name: str = "dem"
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:dem"

    def get_remaining_time_in_millis(self):
        return TIMEOUT * 1000


@dataclass
class World:
    """One job of one task, its queues, and workers on them; ``now`` is the workers' clock."""

    cloud: object
    task: object
    now: float = NOW
    store: Store = field(default_factory=Store.in_memory)
    load: Callable = lambda task, catalog, reader: make_dem()

    def __post_init__(self):
        self.queue = RecordingQueue(self.cloud.queue)
        self.job = make_job(job_id=self.task.job_id)
        self.cloud.table.put_job(self.job)
        self.cloud.table.add_tasks([queued_row(self.task, shards=1, now=self.now, check_after=self.now + 999)])

    def row(self):
        return self.cloud.table.task(self.task.job_id, 0, self.task.task_id)

    def change(self, **fields):
        assert self.cloud.table.replace(self.row(), replace(self.row(), **fields))

    def send(self, body=None, **attributes):
        body = self.task.model_dump_json() if body is None else body
        self.cloud.queue.send([Outgoing(body=body, attributes=attributes)])

    def deliver(self):
        """Receive what is there, run the handler as Lambda does, delete what it acknowledges; the ids that failed."""
        answer = self.cloud.sqs.receive_message(
            QueueUrl=self.cloud.queue.url, MaxNumberOfMessages=10, WaitTimeSeconds=1, VisibilityTimeout=30,
            MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"],
        )  # fmt: skip
        messages = answer.get("Messages", [])
        handler = sqs_handler(partial(handle_record_with, services=self.services()))
        result = handler({"Records": [to_record(message) for message in messages]}, Context())
        failed = {failure["itemIdentifier"] for failure in result["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                self.cloud.sqs.delete_message(QueueUrl=self.cloud.queue.url, ReceiptHandle=message["ReceiptHandle"])
        return len(failed)

    def services(self):
        return Services(
            product=Product.DEM, load=self.load, catalog=None, reader=None, open_store=lambda dest: self.store,
            table=self.cloud.table, queue=self.queue, dlq=self.cloud.dlq, clock=lambda: self.now, random=Random(1),
            git_sha="abc",
        )  # fmt: skip

    def dead_letters(self):
        found = []
        while batch := self.cloud.dlq.receive(visible_again_seconds=60):
            found += batch
        return found


def handle_record_with(record, context, services):
    return handle_record(record, context, services)


def to_record(message):
    attributes = {
        name: {
            "stringValue": value["StringValue"],
            "dataType": "String",
            "stringListValues": [],
            "binaryListValues": [],
        }
        for name, value in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
        "attributes": message["Attributes"], "messageAttributes": attributes, "md5OfBody": "",
        "awsRegion": "eu-central-1",
        "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:dem",
    }  # fmt: skip


@pytest.fixture
def world(cloud):
    return World(cloud, make_task(max_attempts=3))


def no_load(*_):
    raise AssertionError("nothing is to be computed")


def raising(error):
    def load(*_):
        raise error

    return load


def test_a_queued_task_is_made_recorded_and_acknowledged(world):
    world.send()

    assert world.deliver() == 0

    row = world.row()
    assert (row.state, row.fence, row.charged, row.item) == (State.SUCCEEDED, 1, 0, ITEM)
    assert (row.flags, row.digest) == (("filled_glo90",), {"slope_p50": 12.5})
    assert row.check_after is None
    assert json.loads(world.store.get(ITEM))["properties"]["ttc:job_id"] == world.task.job_id
    assert world.cloud.queue.depth() == 0
    assert world.queue.hidden == [TIMEOUT + 15 + 60], "hidden until its lease is surely over"


def test_a_task_without_a_row_is_dead_lettered(world):
    world.send(make_task(job_id="never-heard-of").model_dump_json())
    world.send(make_task(year=2019).model_dump_json())

    while world.cloud.queue.depth():
        assert world.deliver() == 0

    assert {letter.attributes["cause"] for letter in world.dead_letters()} == {"unknown_task"}


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.SKIPPED, State.NO_DATA, State.CANCELLED])
def test_a_duplicate_of_a_settled_task_is_acknowledged_without_work(world, state):
    world.load = no_load
    world.change(state=state)
    world.send()

    assert world.deliver() == 0

    assert world.row().state is state
    assert world.dead_letters() == []


def test_a_paused_jobs_message_is_acknowledged_and_its_task_parked(world):
    world.cloud.table.set_command(world.task.job_id, Command.PAUSED)
    world.send()

    assert world.deliver() == 0

    assert (world.row().state, world.row().parked) == (State.QUEUED, True)


def test_a_cancelled_jobs_message_is_acknowledged_and_its_task_cancelled(world):
    world.cloud.table.set_command(world.task.job_id, Command.CANCELLED)
    world.send()

    assert world.deliver() == 0

    assert world.row().state is State.CANCELLED


def test_a_plain_message_of_a_failed_task_becomes_its_dead_letter_again(world):
    world.load = no_load
    world.change(state=State.FAILED, fence=5, cause="asset_corrupt")
    world.send()

    assert world.deliver() == 0

    (letter,) = world.dead_letters()
    assert letter.attributes == {"cause": "asset_corrupt", "fence": "5", "job_id": world.task.job_id}
    assert world.row().state is State.FAILED


def test_a_dead_letter_that_comes_back_retries_exactly_what_failed(world):
    world.load = raising(AssetCorrupt("404"))
    world.send()
    world.deliver()
    (letter,) = world.dead_letters()
    world.load = lambda *_: make_dem()

    world.send(letter.body, **letter.attributes)
    assert world.deliver() == 0

    assert (world.row().state, world.row().fence) == (State.SUCCEEDED, 2)


def test_a_held_task_is_not_acknowledged_and_comes_back_after_the_lease(world):
    world.load = no_load
    world.change(state=State.RUNNING, owner="other", fence=1, lease_until=world.now + 40)
    world.send()

    assert world.deliver() == 1

    (hidden,) = world.queue.hidden
    assert 40 <= hidden <= 45
    assert world.row().owner == "other"
    assert world.cloud.queue.depth() == 1


def test_a_retry_that_is_not_due_is_not_acknowledged_and_comes_back_then(world):
    world.load = no_load
    world.change(state=State.RETRYING, not_before=world.now + 40)
    world.send()

    assert world.deliver() == 1

    assert 40 <= world.queue.hidden[0] <= 45


def test_a_dead_workers_task_is_taken_over_and_charged(world):
    world.change(state=State.RUNNING, owner="dead", fence=1, started_at=world.now - 90, lease_until=world.now - 1)
    world.send()

    assert world.deliver() == 0

    row = world.row()
    assert (row.state, row.charged, row.fence) == (State.SUCCEEDED, 1, 2)
    assert [attempt.outcome for attempt in row.attempts] == ["crashed", "SUCCEEDED"]


def test_a_dead_workers_last_attempt_fails_and_is_dead_lettered(world):
    world.load = no_load
    world.change(state=State.RUNNING, owner="dead", fence=3, charged=2, lease_until=world.now - 1)
    world.send()

    assert world.deliver() == 0

    assert (world.row().state, world.row().cause) == (State.FAILED, "crashed")
    assert [letter.attributes["fence"] for letter in world.dead_letters()] == ["3"]


def test_a_due_retry_is_claimed(world):
    world.change(state=State.RETRYING, not_before=world.now - 1)
    world.send()

    assert world.deliver() == 0

    assert world.row().state is State.SUCCEEDED


def test_no_data_is_a_result_that_is_acknowledged(world):
    world.load = raising(NoData("no scene"))
    world.send()

    assert world.deliver() == 0

    assert (world.row().state, world.row().message) == (State.NO_DATA, "no scene")
    assert world.dead_letters() == []


@pytest.mark.parametrize("error", [Transient("reset"), KeyError("bug"), SystemExit(3), MemoryError("2 GB")])
def test_a_transient_or_unknown_error_is_tried_again_and_fails_after_the_last_attempt(world, error):
    world.load = raising(error)
    world.send()

    for attempt in (1, 2):
        assert world.deliver() == 1
        row = world.row()
        assert (row.state, row.charged) == (State.RETRYING, attempt)
        assert world.queue.hidden[-1] == pytest.approx(row.not_before - world.now, abs=0.01)
        world.now = row.not_before + 1
    assert world.deliver() == 0

    assert (world.row().state, world.row().charged) == (State.FAILED, 3)
    (letter,) = world.dead_letters()
    assert letter.attributes["fence"] == str(world.row().fence) == "3"


def test_an_outage_is_waited_out_at_no_charge(world):
    world.load = raising(Unavailable("503 SlowDown"))
    world.send()
    for _ in range(6):
        assert world.deliver() == 1
        world.now = world.row().not_before + 1
    world.load = lambda *_: make_dem()

    assert world.deliver() == 0

    assert (world.row().state, world.row().charged) == (State.SUCCEEDED, 0)


def test_a_finished_output_is_recorded_without_computing_it_again(world):
    world.load = no_load
    publish(make_dem(), world.task, world.store, provenance=make_provenance(job_id="earlier"), still_ours=lambda: None)
    world.send()

    assert world.deliver() == 0

    assert (world.row().state, world.row().item) == (State.SUCCEEDED, ITEM)


@pytest.mark.parametrize(("maker", "computed"), [("earlier", True), (None, False)])
def test_overwriting_spares_only_what_this_very_job_has_made(cloud, maker, computed):
    world = World(cloud, make_task(overwrite=True))
    calls = []
    world.load = lambda *_: calls.append(1) or make_dem()
    provenance = make_provenance(job_id=maker or world.task.job_id)
    publish(make_dem(), world.task, world.store, provenance=provenance, still_ours=lambda: None)
    world.send()

    assert world.deliver() == 0

    assert bool(calls) == computed


def test_a_worker_that_lost_its_lease_neither_records_nor_acknowledges(world):
    def slow(*_):
        world.change(state=State.RUNNING, owner="successor", fence=2, lease_until=world.now + 500)
        return make_dem()

    world.load = slow
    world.send()

    assert world.deliver() == 1

    assert (world.row().state, world.row().owner, world.row().fence) == (State.RUNNING, "successor", 2)
    assert world.cloud.queue.depth() == 1


def test_a_worker_stops_by_itself_before_its_time_is_over(world):
    def slow(task, catalog, reader):
        world.now += TIMEOUT - 4
        return catalog.search("cop-dem-glo-30", None)

    world.load = slow
    world.send()

    assert world.deliver() == 1

    assert (world.row().state, world.row().cause, world.row().charged) == (State.RETRYING, "out_of_time", 1)


@pytest.mark.parametrize(
    "body",
    ["not json", "{}", "[]", '"text"', make_task().model_dump_json().replace('"version":1', '"version":9'),
     make_task().model_dump_json().replace('"dem"', '"s9"'), make_task(product="s1").model_dump_json(), "x" * 5000,
     '{"version": 1, "job_id": "\\u001b[31m"}'],
)  # fmt: skip
def test_poison_goes_to_the_dead_letters_with_its_reason(world, body):
    world.send(body)

    assert world.deliver() == 0

    (letter,) = world.dead_letters()
    assert letter.body == body
    assert letter.attributes["cause"] == "poison"
    assert "expected" in letter.attributes["reason"] or "not a TileTask" in letter.attributes["reason"]


def test_poison_does_not_harm_the_records_beside_it(world):
    world.send("poison")
    world.send()

    while world.cloud.queue.depth():
        world.deliver()

    assert world.row().state is State.SUCCEEDED
    assert len(world.dead_letters()) == 1


def test_two_copies_of_one_message_make_one_result(world):
    world.send()
    world.send()

    while world.cloud.queue.depth():
        world.deliver()

    assert (world.row().state, world.row().fence) == (State.SUCCEEDED, 1)


def test_a_row_stays_under_one_kilobyte(world):
    world.load = raising(KeyError("x" * 3000))
    world.send()
    for _ in range(3):
        world.deliver()
        world.now = (world.row().not_before or world.now) + 1

    item = world.cloud.dynamodb.scan(TableName=world.cloud.table.name)["Items"]
    row = next(entry for entry in item if entry["SK"]["S"].startswith("TASK#"))
    assert sum(len(name) + len(json.dumps(value)) for name, value in row.items()) < 1500
