"""Whatever comes as a message, the handlers report what failed, dead-letter what is poison, and raise nothing."""

import json
from functools import partial
from random import Random
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ard.adapters.queues import CAUSE, FENCE, Queue
from ard.adapters.records import sqs_handler
from ard.adapters.store import Store
from ard.errors import InvalidInput
from ard.keys import receipt_key, rejection_key
from ard.product import Product
from ard.task import ChunkMessage
from consumers.handler import handle_record as handle_task
from consumers.services import Services
from producer.chunks import handle_record as handle_chunk
from producer.inbox import handle_record as handle_drop
from producer.intake import Dropped, dropped_objects
from tests.factories import NOW, make_dem, make_task
from tests.faults.fuzzing import examples
from tests.producing import BUCKET, drained, mocked_world
from tests.test_consumers import Context
from tests.test_producer_inbox import make_event

S3_KEY_BYTES = 1_024

odd = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=10),  # SQS takes no half of a surrogate pair
        st.sampled_from([10**400, "9" * 5_000, "../../x", "s3://b/../c", "\x1b]0;owned\x07", "dem", "2023-1t-0"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


def changed(whole):
    """Texts that are nearly this JSON object."""
    values = json.loads(whole)
    replaced = st.dictionaries(st.sampled_from([*values, "more"]), odd, max_size=3)
    lacking = st.sets(st.sampled_from(list(values)), max_size=1)
    objects = st.tuples(replaced, lacking).map(
        lambda drawn: json.dumps({name: value for name, value in (values | drawn[0]).items() if name not in drawn[1]})
    )
    texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
    deep = st.sampled_from(["[" * 50_000, '{"a":' * 50_000, "1" * 10_000, "x" * 200_000])
    return st.one_of(
        objects, texts, deep, odd.map(json.dumps), st.integers(0, len(whole)).map(lambda n: whole[:n] or "{")
    )


TASK = make_task(max_attempts=3)
TASKS = st.one_of(st.just(TASK.model_dump_json()), changed(TASK.model_dump_json()))
CHUNKS = changed(ChunkMessage(job_id="2023-1t-0123456789", number=0).model_dump_json())
EVENTS = st.one_of(
    changed(json.dumps(make_event("requests/a.json"))),
    changed(json.dumps(make_event("requests/a.json")["Records"][0])).map(lambda text: f'{{"Records": [{text}]}}'),
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from([FENCE, CAUSE, "job_id", "x"]),
    st.sampled_from(["", "0", "-1", "3", "³", "٣", "1e3", "9" * 5_000, "\x1b[2J", "nan"]),
    max_size=2,
)


@pytest.fixture(scope="module")
def world():
    with mocked_world(products=("dem",)) as made:
        yield made


@pytest.fixture(scope="module")
def worker(world):
    dlq = Queue(world.sqs, world.sqs.create_queue(QueueName="fuzz-dlq")["QueueUrl"])
    return Services(
        product=Product.DEM,
        load=lambda *_: make_dem(),
        catalog=None,
        reader=None,
        open_store=lambda dest: Store.in_memory(),
        table=world.services.table,
        queue=Untouched(world.sqs, "https://sqs.test/dem"),
        dlq=dlq,
        clock=lambda: NOW,
        random=Random(1),
        git_sha="abc",
    )


class Untouched(Queue):
    """A queue of which the test holds the message itself."""

    def hide(self, receipt, seconds):
        pass


def deliver(handle, body, attributes=None):
    """How many of the two records failed: this one, and one beside it that is nothing to anybody."""
    told = {
        name: {"stringValue": value, "dataType": "String", "stringListValues": [], "binaryListValues": []}
        for name, value in (attributes or {}).items()
    }
    record = {
        "messageId": "odd", "receiptHandle": "r", "body": body, "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": told, "md5OfBody": "", "awsRegion": "us-west-2", "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-west-2:000000000000:dem",
    }  # fmt: skip
    answer = sqs_handler(handle)({"Records": [record]}, Context())
    return len(answer["batchItemFailures"])


@examples(150)
@given(body=TASKS, attributes=ATTRIBUTES)
def test_whatever_comes_to_a_worker_is_dead_lettered_at_once(worker, body, attributes):
    failed = deliver(partial(handle_task, services=worker), body, attributes)

    letters = drained(worker.dlq)
    assert (failed, letters) == (0, [body])


@pytest.mark.parametrize("fence", ["9" * 5_000, "³", "-1", "1e3", ""])
def test_a_fence_that_is_no_number_is_none(worker, fence):
    body = TASK.model_dump_json()

    assert deliver(partial(handle_task, services=worker), body, {FENCE: fence}) == 0
    assert drained(worker.dlq) == [body]


@examples(60)
@given(body=CHUNKS)
def test_whatever_comes_as_a_chunk_fails_its_record_and_leaves_nothing(world, body):
    failed = deliver(lambda record, _: handle_chunk(record, world.services), body)

    assert failed == 1
    assert not world.dynamodb.scan(TableName=world.services.table.name)["Items"]


@examples(100)
@given(body=EVENTS)
def test_whatever_comes_as_an_event_is_answered_or_fails_its_record(world, body):
    failed = deliver(lambda record, _: handle_drop(record, world.services), body)

    try:
        named = dropped_objects(body)
    except InvalidInput:
        named = None
    ours = named is not None and all(one.bucket == BUCKET for one in named)
    assert failed == (not ours)
    assert not world.dynamodb.scan(TableName=world.services.table.name)["Items"]


KEYS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.integers(1, S3_KEY_BYTES - 14).map(lambda length: "x" * length),
    st.integers(1, (S3_KEY_BYTES - 14) // 3).map(lambda length: "海" * length),
).map(lambda name: f"requests/{name}.json")


@examples(150)
@given(key=KEYS)
def test_a_request_of_any_name_has_an_answer_whose_name_s3_takes(key):
    for answer in (receipt_key(key), rejection_key(key)):
        assert len(answer.encode()) <= S3_KEY_BYTES
        assert answer.startswith("receipts/requests/") and answer.endswith(".json")
    assert receipt_key(key) != receipt_key(f"{key[:-5]}.more.json")


@examples(60)
@given(key=KEYS)
def test_keys_come_out_of_events_as_they_were_spelled(key):
    event = make_event("requests/a.json")
    event["Records"][0]["s3"]["object"]["key"] = quote_plus(key, safe="/")

    assert [one.key for one in dropped_objects(json.dumps(event))] == [Dropped(bucket=BUCKET, key=key).key]
