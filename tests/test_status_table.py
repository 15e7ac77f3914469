"""The status table on both engines, and how rows are spelled as items."""

from dataclasses import replace

import boto3
import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from ard.adapters import table_items as items
from ard.adapters.queues import Outgoing, Queue
from ard.adapters.status_table import StatusTable
from ard.errors import InvalidInput, Unavailable
from ard.product import Product
from ard.rows import Attempt, ChunkRow, Command, task_of
from ard.shards import shard_count, shard_of
from ard.states import State
from tests.factories import NOW, make_job, make_row, make_task

MOMENTS = st.floats(1e-9, 4e9) | st.just(0.0)


def wired(item):
    """The item as DynamoDB gives it back."""
    return {name: TypeDeserializer().deserialize(TypeSerializer().serialize(value)) for name, value in item.items()}


@given(
    st.builds(
        make_row,
        state=st.sampled_from(list(State)),
        lon=MOMENTS,
        lat=MOMENTS,
        updated_at=MOMENTS,
        not_before=st.none() | MOMENTS,
        check_after=st.none() | MOMENTS,
        seconds=st.none() | MOMENTS,
        message=st.none() | st.text(max_size=300),
        flags=st.lists(st.sampled_from(["a", "b"])).map(tuple),
        digest=st.dictionaries(st.sampled_from(["p50", "n"]), MOMENTS | st.integers(0, 9) | st.text()),
        attempts=st.lists(st.builds(Attempt, worker=st.text(), started=MOMENTS, ended=MOMENTS, outcome=st.text())).map(
            tuple
        ),
    )
)
def test_a_task_comes_back_from_its_item_exactly(row):
    assert items.to_task(wired(items.from_task(row))) == row


@given(MOMENTS, st.none() | st.floats(0.01, 1e6))
def test_a_job_comes_back_from_its_item_exactly(created, cap):
    job = make_job(created_at=created, max_cost_usd=cap, totals={Product.DEM: 3, Product.S2: 0})

    assert items.to_job(wired(items.from_job(job))) == job


def test_a_number_too_small_for_dynamodb_is_zero():
    assert items.number(4.8e-285) == 0
    assert float(items.number(-123.4567891234)) == -123.4567891234


def test_only_a_row_that_is_waited_for_is_in_the_due_index():
    assert items.from_task(make_row(check_after=NOW))["due"].startswith("DUE#")
    assert "due" not in items.from_task(make_row(check_after=None, state=State.SUCCEEDED))


def test_a_row_with_unknown_or_missing_attributes_can_be_read():
    item = items.from_task(make_row())
    odd = {name: value for name, value in item.items() if name not in {"charged", "attempts", "gb_seconds"}}

    assert items.to_task(wired({**odd, "from_the_future": {"a": 1}})) == make_row()


def test_keys_are_spelled_as_the_contract_says():
    assert items.task_key("j", 3, "2023/1X2Y/dem") == {"PK": "JOB#j#3", "SK": "TASK#2023#1X2Y#dem"}
    assert items.job_key("j") == {"PK": "JOB#j", "SK": "META"}
    assert items.chunk_key("j", 7)["SK"] == "CHUNK#000007"


@given(st.integers(0, 10_000_000))
def test_shards_grow_with_the_job_and_stop_at_64(tasks):
    assert 1 <= shard_count(tasks) <= 64
    assert shard_count(9_999) == 1


def test_a_tiles_shard_is_the_same_in_every_process():
    assert [shard_of(tile, 64) for tile in ("1000X871Y", "1035X727Y")] == [14, 27]


def test_a_job_is_written_once_and_found_newest_first(cloud):
    old, new = make_job(job_id="old", created_at=1.0), make_job(job_id="new", created_at=2.0)

    assert cloud.table.put_job(old) and cloud.table.put_job(new)
    assert not cloud.table.put_job(replace(old, dest="/elsewhere"))
    assert cloud.table.job("old") == old
    assert cloud.table.job("never") is None
    assert [job.job_id for job in cloud.table.jobs(limit=5)] == ["new", "old"]


def test_a_command_is_kept_and_a_job_that_is_not_there_is_an_error(cloud):
    cloud.table.put_job(make_job())

    cloud.table.set_command(make_job().job_id, Command.PAUSED)

    assert cloud.table.job(make_job().job_id) == make_job(command=Command.PAUSED)
    with pytest.raises(InvalidInput, match="no job never"):
        cloud.table.set_command("never", Command.PAUSED)


def test_a_command_is_taken_only_when_the_expected_one_still_stands(cloud):
    cloud.table.put_job(make_job())

    cloud.table.set_command(make_job().job_id, Command.PAUSED, expected=Command.OPEN)
    with pytest.raises(InvalidInput, match="expected a job that is open, found paused"):
        cloud.table.set_command(make_job().job_id, Command.CANCELLED, expected=Command.OPEN)

    assert cloud.table.job(make_job().job_id).command is Command.PAUSED


def test_the_first_job_of_a_content_keeps_it(cloud):
    assert cloud.table.claim_digest("abc", "first") == "first"
    assert cloud.table.claim_digest("abc", "second") == "first"
    assert cloud.table.claim_digest("abc", "first") == "first"


def test_rows_are_added_once_and_stay(cloud):
    rows = [make_row(x_tile=x) for x in range(30)]
    cloud.table.add_tasks(rows[:10])
    taken = replace(rows[3], state=State.SUCCEEDED, check_after=None)
    assert cloud.table.replace(rows[3], taken)

    assert cloud.table.add_tasks(rows) == [*rows[:3], taken, *rows[4:]]
    assert sorted(row.x_tile for row in cloud.table.tasks(make_job())) == list(range(30))


def test_a_row_that_has_changed_is_not_overwritten(cloud):
    row = make_row()
    cloud.table.add_tasks([row])
    first = replace(row, state=State.RUNNING, fence=1, owner="a", updated_at=NOW + 0.123456789)
    second = replace(row, state=State.RUNNING, fence=1, owner="b", updated_at=NOW + 2)

    assert cloud.table.replace(row, first)
    assert not cloud.table.replace(row, second)
    assert not cloud.table.replace(second, replace(second, state=State.SUCCEEDED))
    assert cloud.table.replace(first, replace(first, state=State.SUCCEEDED))


def test_activity_tells_what_changed_since(cloud):
    rows = [make_row(x_tile=x, updated_at=NOW + x) for x in range(5)]
    cloud.table.add_tasks(rows)

    found = cloud.table.activity(make_job(), since=NOW + 3)

    assert sorted(activity.task_id for activity in found) == ["2023/3X871Y/dem", "2023/4X871Y/dem"]
    assert len(cloud.table.activity(make_job())) == 5


def test_due_rows_are_those_whose_time_has_come(cloud):
    early, late = make_row(x_tile=1, check_after=NOW), make_row(x_tile=2, check_after=NOW + 100)
    done = make_row(x_tile=3, check_after=None, state=State.SUCCEEDED)
    chunk = ChunkRow(job_id="j", number=1, check_after=NOW - 5)
    cloud.table.add_tasks([early, late, done])
    cloud.table.put_chunk(chunk)

    assert sorted(cloud.table.due(NOW + 1), key=repr) == sorted([early, chunk], key=repr)


def test_a_chunk_that_was_sent_is_not_put_off(cloud):
    chunk = ChunkRow(job_id="j", number=0, check_after=NOW)
    assert cloud.table.put_chunk(chunk)
    assert not cloud.table.put_chunk(chunk)

    assert cloud.table.replace_chunk(replace(chunk, sent=True, check_after=None))
    assert not cloud.table.replace_chunk(replace(chunk, check_after=NOW + 9))
    assert cloud.table.chunks("j") == [replace(chunk, sent=True, check_after=None)]


def test_a_table_that_is_not_there_is_a_clear_error(cloud):
    with pytest.raises(InvalidInput, match="JOB#j META in no-such-table"):
        StatusTable(cloud.dynamodb, "no-such-table").job("j")


def test_an_aws_that_does_not_answer_is_unavailable():
    once = Config(retries={"total_max_attempts": 1})
    client = boto3.client("dynamodb", "us-west-2", endpoint_url="http://127.0.0.1:9", config=once)

    with pytest.raises(Unavailable):
        StatusTable(client, "t").job("j")


def test_the_message_made_from_a_row_is_the_one_that_was_sent():
    task = make_task()

    assert task_of(make_row(), make_job()) == task


def test_every_message_is_sent_though_the_queue_refuses_some(cloud):
    class Refusing:
        """The real client, but the first answer names one entry as failed that was indeed not sent."""

        def __init__(self, sqs):
            self.sqs, self.refused = sqs, False

        def send_message_batch(self, QueueUrl, Entries):  # noqa: N803 - boto3's names
            if self.refused:
                return self.sqs.send_message_batch(QueueUrl=QueueUrl, Entries=Entries)
            self.refused = True
            answer = self.sqs.send_message_batch(QueueUrl=QueueUrl, Entries=Entries[1:])
            return {**answer, "Failed": [{"Id": Entries[0]["Id"], "Code": "InternalError", "SenderFault": False}]}

    queue = Queue(Refusing(cloud.sqs), cloud.queue.url)

    assert queue.send(Outgoing(body=str(n), group="job", attributes={"fence": "1"}) for n in range(25)) == 25

    bodies = set()
    while batch := cloud.queue.receive(visible_again_seconds=30):
        bodies |= {message.body for message in batch}
        assert all(message.attributes == {"fence": "1"} for message in batch)
    assert bodies == {str(n) for n in range(25)}


def test_entries_that_are_refused_time_and_again_are_an_error():
    class Refusing:
        def send_message_batch(self, QueueUrl, Entries):  # noqa: N803 - boto3's names
            return {"Failed": [{"Id": entry["Id"], "Code": "Busy", "SenderFault": False} for entry in Entries]}

    with pytest.raises(Unavailable, match="2 of 2 messages refused: Busy"):
        Queue(Refusing(), "queue").send([Outgoing(body="a"), Outgoing(body="b")])


def test_rows_in_other_states_are_left_out_but_not_those_in_states_nobody_knows(cloud):
    cloud.table.add_tasks([make_row(x_tile=number, state=state) for number, state in enumerate(State)])
    odd_key = {"PK": {"S": "JOB#2023-1t-0123456789#0"}, "SK": {"S": "TASK#2023#9X9Y#dem"}}
    cloud.dynamodb.put_item(TableName=cloud.table.name, Item={**odd_key, "state": {"S": "DANCING"}})
    odd = []

    found = list(cloud.table.tasks(make_job(), states={State.FAILED, State.NO_DATA}, odd=odd.append))

    assert {row.state for row in found} == {State.FAILED, State.NO_DATA}
    assert [row.key for row in odd] == ["JOB#2023-1t-0123456789#0 TASK#2023#9X9Y#dem"]


def test_confirmed_activity_is_what_the_index_tells(cloud):
    cloud.table.add_tasks([make_row(x_tile=number, state=state, cause="crashed") for number, state in enumerate(State)])

    confirmed = cloud.table.confirmed_activity(make_job())

    assert sorted(confirmed, key=lambda row: row.task_id) == sorted(
        cloud.table.activity(make_job()), key=lambda row: row.task_id
    )
