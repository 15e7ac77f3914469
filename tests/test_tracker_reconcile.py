import json
from dataclasses import replace
from time import time
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ard.adapters.bucket import Bucket
from ard.adapters.queues import CAUSE, FENCE, JOB, Queue
from ard.errors import Unavailable
from ard.product import Product
from ard.rows import ChunkRow, Command, task_of
from ard.states import State
from ard.task import TileTask
from ard.transitions import PATIENCE_SECONDS, QUEUED_PATIENCE_SECONDS
from tests.engines import REGION
from tests.factories import NOW, make_job, make_row
from tracker.inbox import created_event, unanswered_requests
from tracker.reconcile import Step, handler, reconcile
from tracker.services import Intake, Lane, Tasks

DUE = NOW + 10_000


class World:
    """A job on a real table and real queues, whose rows are due at ``DUE``."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.inbox, _ = cloud.new_queue()
        self.chunks, _ = cloud.new_queue()
        self.tasks = Tasks(table=cloud.table, lanes={Product.DEM: Lane(queue=cloud.queue, dlq=cloud.dlq)})
        self.intake = Intake(bucket=Bucket(cloud.s3, cloud.bucket), region=REGION, inbox=self.inbox, chunks=self.chunks)

    def add(self, *rows, **job):
        self.job = make_job(max_attempts=2, **job)
        self.cloud.table.put_job(self.job)
        self.cloud.table.add_tasks(rows)

    def run(self, now=DUE, **options):
        return reconcile(self.tasks, self.intake, now=now, **options)

    def row(self, row):
        return self.cloud.table.task(row.job_id, row.shard, row.task_id)


@pytest.fixture
def world(cloud):
    return World(cloud)


def bodies(queue):
    return [message.body for message in queue.receive(visible_again_seconds=30)]


def test_a_queued_task_that_nobody_took_is_sent_again_and_put_off(world):
    row = make_row(check_after=DUE - 1)
    world.add(row)

    result = world.run()

    assert result.rows == {Step.RESENT: 1}
    assert bodies(world.cloud.queue) == [task_of(row, world.job).model_dump_json()]
    assert world.row(row).check_after == DUE + QUEUED_PATIENCE_SECONDS


def test_what_is_not_due_is_left_alone(world):
    row = make_row(check_after=DUE + 1)
    world.add(row)

    result = world.run()

    assert (result.rows, bodies(world.cloud.queue), world.row(row)) == ({}, [], row)


def test_a_second_run_finds_nothing_to_do(world):
    world.add(make_row(check_after=DUE - 1))
    world.run()

    assert world.run().rows == {}


def test_an_overdue_retry_is_sent_again(world):
    row = make_row(state=State.RETRYING, charged=1, check_after=DUE - 1)
    world.add(row)

    assert world.run().rows == {Step.RETRIED: 1}
    assert len(bodies(world.cloud.queue)) == 1
    assert (world.row(row).charged, world.row(row).check_after) == (1, DUE + PATIENCE_SECONDS)


def test_a_dead_worker_costs_an_attempt_and_the_task_goes_on(world):
    row = make_row(state=State.RUNNING, fence=1, owner="r", lease_until=DUE - 2, check_after=DUE - 1)
    world.add(row)

    assert world.run().rows == {Step.REVIVED: 1}
    assert len(bodies(world.cloud.queue)) == 1
    assert (world.row(row).state, world.row(row).charged, world.row(row).cause) == (State.QUEUED, 1, "crashed")


def test_a_worker_that_died_for_the_last_time_leaves_a_failure_and_a_dead_letter(world):
    row = make_row(state=State.RUNNING, fence=5, charged=1, owner="r", lease_until=DUE - 2, check_after=DUE - 1)
    world.add(row)

    assert world.run().rows == {Step.FAILED: 1}
    (letter,) = world.cloud.dlq.receive(visible_again_seconds=30)
    assert letter.attributes == {CAUSE: "crashed", FENCE: "5", JOB: row.job_id}
    assert TileTask.model_validate_json(letter.body).task_id == row.task_id
    assert (world.row(row).state, world.row(row).check_after) == (State.FAILED, None)
    assert bodies(world.cloud.queue) == []


def test_a_worker_whose_lease_is_live_is_waited_for(world):
    row = make_row(state=State.RUNNING, fence=1, owner="r", lease_until=DUE + 50, check_after=DUE - 1)
    world.add(row)

    assert world.run().rows == {Step.PUT_OFF: 1}
    assert (world.row(row).state, world.row(row).check_after) == (State.RUNNING, DUE + 50 + PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("command", "step", "state", "check_after"),
    [
        (Command.PAUSED, Step.PARKED, State.QUEUED, DUE + QUEUED_PATIENCE_SECONDS),
        (Command.CANCELLED, Step.CANCELLED, State.CANCELLED, None),
    ],
)
def test_tasks_of_a_job_that_is_not_wanted_now_are_set_aside(world, command, step, state, check_after):
    row = make_row(state=State.RETRYING, check_after=DUE - 1)
    world.add(row, command=command)

    assert world.run().rows == {step: 1}
    after = world.row(row)
    assert (after.state, after.parked, after.check_after) == (state, command is Command.PAUSED, check_after)
    assert bodies(world.cloud.queue) == []


def test_a_chunk_that_was_not_sent_is_sent_again_and_put_off(world):
    world.add()
    world.cloud.table.put_chunk(ChunkRow(job_id=world.job.job_id, number=3, check_after=DUE - 1))

    assert world.run().rows == {Step.CHUNK_SENT: 1}
    assert [json.loads(body) for body in bodies(world.chunks)] == [
        {"version": 1, "job_id": world.job.job_id, "number": 3}
    ]
    (chunk,) = world.cloud.table.chunks(world.job.job_id)
    assert (chunk.sent, chunk.check_after) == (False, DUE + PATIENCE_SECONDS)


def test_the_chunks_of_a_cancelled_job_are_not_sent(world):
    world.add(command=Command.CANCELLED)
    world.cloud.table.put_chunk(ChunkRow(job_id=world.job.job_id, number=3, check_after=DUE - 1))

    assert world.run().rows == {Step.PUT_OFF: 1}
    assert bodies(world.chunks) == []
    assert world.run().rows == {}


def test_rows_that_make_no_sense_are_named_and_the_others_seen_to(world):
    good, orphan = make_row(check_after=DUE - 1), make_row(job_id="gone", check_after=DUE - 1)
    no_queue = make_row(product=Product.S1, check_after=DUE - 1)
    world.add(good, orphan, no_queue, make_row(x_tile=2, check_after=DUE - 1), make_row(x_tile=3, lat=80.0))
    key = {"PK": {"S": f"JOB#{good.job_id}#0"}, "SK": {"S": "TASK#2023#2X871Y#dem"}}
    world.cloud.dynamodb.update_item(
        TableName=world.cloud.table.name, Key=key, UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "state"}, ExpressionAttributeValues={":s": {"S": "DANCING"}},
    )  # fmt: skip

    result = world.run()

    assert result.rows == {Step.RESENT: 1}
    assert result.orphans == (f"gone {orphan.task_id}",)
    assert [word in " ".join(result.odd) for word in ("DANCING", "queue of s1", "3X871Y")] == [True] * 3
    assert len(result.odd) == 3


def test_only_one_job_is_seen_to_when_it_is_named(world):
    world.add(make_row(check_after=DUE - 1))
    world.cloud.table.put_job(make_job(job_id="other"))
    other = make_row(job_id="other", check_after=DUE - 1)
    world.cloud.table.add_tasks([other])

    assert world.run(job_id="other").rows == {Step.RESENT: 1}
    assert world.row(other).check_after > DUE


def test_a_run_takes_on_so_many_rows_and_says_that_there_are_more(world):
    world.add(*(make_row(x_tile=number, check_after=DUE - 1) for number in range(5)))

    first, second = world.run(most_rows=3), world.run(most_rows=3)

    assert (first.rows, first.more) == ({Step.RESENT: 3}, True)
    assert (second.rows, second.more) == ({Step.RESENT: 2}, False)


def test_rows_whose_messages_are_refused_stay_due(world):
    row = make_row(check_after=DUE - 1)
    world.add(row)
    world.tasks = replace(world.tasks, lanes={Product.DEM: Lane(queue=Refusing(), dlq=world.cloud.dlq)})

    result = world.run()

    assert (result.rows, result.unsent) == ({}, 1)
    assert world.row(row) == row


def test_a_row_that_changes_while_its_message_goes_out_is_left_as_it_is(world):
    row = make_row(check_after=DUE - 1)
    world.add(row)
    claimed = replace(row, state=State.RUNNING, fence=1, owner="quick", lease_until=DUE + 100)
    meddling = Meddling(world.cloud.queue, lambda: world.cloud.table.replace(row, claimed))
    world.tasks = replace(world.tasks, lanes={Product.DEM: Lane(queue=meddling, dlq=world.cloud.dlq)})

    result = world.run()

    assert (result.rows, result.changed) == ({}, 1)
    assert world.row(row).owner == "quick"


class Refusing(Queue):
    def __init__(self):
        super().__init__(None, "refusing")

    def send(self, messages):
        raise Unavailable("refused")


class Meddling(Queue):
    """The real queue, and something that happens just after a message went out."""

    def __init__(self, inner, happens):
        super().__init__(inner._client, inner.url)
        self.happens = happens

    def send(self, messages):
        sent = super().send(messages)
        self.happens()
        return sent


def test_an_unanswered_request_is_announced_again_under_its_own_name(world):
    world.cloud.s3.put_object(Bucket=world.cloud.bucket, Key="requests/a b+ü.json", Body=b"{}")
    world.cloud.s3.put_object(Bucket=world.cloud.bucket, Key="requests//odd.json", Body=b"{}")
    world.cloud.s3.put_object(Bucket=world.cloud.bucket, Key="requests/answered.json", Body=b"{}")
    world.cloud.s3.put_object(Bucket=world.cloud.bucket, Key="receipts/requests/answered.json.receipt.json", Body=b"{}")

    assert world.run(now=time() + 400).requests == 2
    places = [json.loads(body)["Records"][0]["s3"] for body in bodies(world.inbox)]
    assert sorted(place["object"]["key"] for place in places) == ["requests//odd.json", "requests/a+b%2B%C3%BC.json"]
    assert {place["bucket"]["name"] for place in places} == {world.cloud.bucket}


def test_a_request_has_five_minutes_to_be_answered():
    assert unanswered_requests({"requests/a.json": NOW}, {}, now=NOW + 299) == []
    assert unanswered_requests({"requests/a.json": NOW}, {}, now=NOW + 300) == ["requests/a.json"]


def test_an_answer_to_an_earlier_object_of_the_name_is_none():
    rejected = {"receipts/requests/a.json.rejected.json": NOW - 1}

    assert unanswered_requests({"requests/a.json": NOW}, rejected, now=NOW + 300) == ["requests/a.json"]


def test_what_is_no_request_is_not_announced():
    assert unanswered_requests({"requests/": 0.0, "requests/a.txt": 0.0}, {}, now=NOW) == []


def test_a_name_that_had_to_be_replaced_is_answered_under_another_one():
    rejected = {"receipts/requests/_/odd.json.rejected.json": NOW}

    assert unanswered_requests({"requests//odd.json": NOW}, rejected, now=NOW + 300) == []


def test_the_schedule_runs_from_its_environment_and_says_what_it_did(world, monkeypatch):
    world.add(make_row(check_after=NOW))
    variables = {
        **world.cloud.environment,
        "TTC_CONTROL_BUCKET": world.cloud.bucket,
        "TTC_CONTROL_REGION": REGION,
        "TTC_INBOX_QUEUE_URL": world.inbox.url,
        "TTC_CHUNK_QUEUE_URL": world.chunks.url,
        "TTC_TILE_INDEX": "/index.parquet",
        "TTC_DEFAULT_DEST": "s3://tof-output/ttc",
        "TTC_ALLOWED_DESTS": '["s3://tof-output"]',
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    answer = json.loads(json.dumps(handler({}, None)))

    assert (answer["rows"], answer["unsent"], answer["odd"]) == ({"resent": 1}, 0, [])


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_key_survives_the_announcement(key):
    record = json.loads(created_event(key, bucket="b", region=REGION, at=NOW))["Records"][0]

    assert unquote_plus(record["s3"]["object"]["key"]) == key
    assert record["eventName"].startswith("ObjectCreated:")
