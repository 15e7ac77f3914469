"""The fan-out against what AWS does to it: refused entries, throttling, size limits, and producers at once."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from ard.adapters.aws import client
from ard.adapters.queues import Outgoing, Queue
from ard.adapters.records import Record
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.errors import Unavailable
from ard.product import Product
from ard.rows import queued_row
from ard.states import State
from ard.task import TileTask
from producer import chunks
from producer.expansion import send_chunk
from producer.jobs import resume_job, start_job
from producer.services import Services
from tests.factories import make_task
from tests.producing import NOW, REGION, drained, make_index, make_settings, make_tiles, mocked_world
from tests.servers import Answer, serving

TILES = 40
WORKERS = 3


class RefusingFirst:
    """An SQS client that refuses the first entry of each new batch, once, and counts the entries of every call."""

    def __init__(self, sqs):
        self._sqs = sqs
        self._refused = set()
        self.batches = []

    def send_message_batch(self, *, QueueUrl, Entries):  # noqa: N803 - as boto3 spells them
        self.batches.append(len(Entries))
        first, *others = Entries
        if first["MessageBody"] in self._refused:
            return self._sqs.send_message_batch(QueueUrl=QueueUrl, Entries=Entries)
        self._refused.add(first["MessageBody"])
        sent = self._sqs.send_message_batch(QueueUrl=QueueUrl, Entries=others)["Successful"] if others else []
        return {"Successful": sent, "Failed": [{"Id": first["Id"], "Code": "InternalError", "SenderFault": False}]}


class Counting:
    """An SQS client that takes everything, and keeps what came in each call."""

    def __init__(self):
        self.batches = []

    def send_message_batch(self, *, QueueUrl, Entries):  # noqa: N803
        self.batches.append([entry["MessageBody"] for entry in Entries])
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}


class Throttled:
    """A client whose service answers every write with "you ask too often"."""

    def __init__(self, client, code):
        self._client = client
        self._error = ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "Write")

    def __getattr__(self, name):
        return getattr(self._client, name)

    def put_item(self, **_):
        raise self._error

    send_message_batch = put_item


@pytest.fixture
def world():
    with mocked_world() as world:
        yield world


def start(services, tiles, **options):
    request = make_tiles(tiles, products=("dem",), overwrite=True, **options)
    return start_job(request, services=services, request_key="requests/a.json", now=NOW).job


def make_row(job, x):
    task = make_task(job_id=job.job_id, product=Product.DEM, x_tile=x, y_tile=2 * x, lon=x / 18 - 60, lat=x / 36 - 30)
    return queued_row(task, shards=job.shards, now=NOW, check_after=NOW + 60)


def tasks_in(queue):
    return Counter(TileTask.model_validate_json(body).task_id for body in drained(queue))


def test_entries_of_a_chunk_that_are_refused_are_sent_again_alone(world):
    job, refusing = start(world.services, 25), RefusingFirst(world.sqs)
    queue = Queue(refusing, world.services.queue(Product.DEM).url)

    send_chunk(job.job_id, 0, services=replace(world.services, product_queues={Product.DEM: queue}))

    assert tasks_in(world.services.queue(Product.DEM)) == {f"2023/{x}X{2 * x}Y/dem": 1 for x in range(25)}
    assert sorted(refusing.batches) == [1, 1, 1, 5, 10, 10]


@pytest.mark.parametrize(("messages", "batches"), [(0, []), (1, [1]), (10, [10]), (11, [1, 10]), (30, [10, 10, 10])])
def test_a_batch_has_ten_messages_at_most(messages, batches):
    sqs = Counting()

    assert Queue(sqs, "q").send(Outgoing(body=str(number)) for number in range(messages)) == messages

    assert sorted(map(len, sqs.batches)) == batches
    assert Counter(body for batch in sqs.batches for body in batch) == {str(number): 1 for number in range(messages)}


@pytest.mark.parametrize(
    ("bytes_each", "batches"), [(26_214, [10]), (26_215, [1, 9]), (100_000, [2, 2, 2, 2, 2]), (262_144, [1] * 10)]
)
def test_a_batch_has_256_kib_at_most(bytes_each, batches):
    sqs = Counting()

    Queue(sqs, "q").send(Outgoing(body="é" * (bytes_each // 2) + "x" * (bytes_each % 2)) for _ in range(10))

    assert sorted(map(len, sqs.batches)) == batches


def test_attributes_count_in_the_size_of_a_batch():
    sqs = Counting()

    Queue(sqs, "q").send(Outgoing(body="x" * 131_000, attributes={"cause": "c" * 80}) for _ in range(2))

    assert sorted(map(len, sqs.batches)) == [1, 1]


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "RequestThrottled", "ProvisionedThroughputExceededException", "OverLimit"]
)
def test_a_throttled_chunk_is_unavailable_and_finished_by_the_next_delivery(world, code):
    job = start(world.services, 12)
    table = StatusTable(Throttled(world.dynamodb, code), world.services.table.name)
    queue = Queue(Throttled(world.sqs, code), world.services.queue(Product.DEM).url)
    for services in (
        replace(world.services, table=table),
        replace(world.services, product_queues={Product.DEM: queue}),
    ):
        with pytest.raises(Unavailable, match=code):
            send_chunk(job.job_id, 0, services=services)
        assert not world.services.table.chunk(job.job_id, 0).sent

    send_chunk(job.job_id, 0, services=world.services)

    assert tasks_in(world.services.queue(Product.DEM)) == {f"2023/{x}X{2 * x}Y/dem": 1 for x in range(12)}
    assert world.services.table.chunk(job.job_id, 0).sent


@pytest.mark.parametrize(
    ("service", "code"), [("sqs", "RequestThrottled"), ("dynamodb", "ProvisionedThroughputExceededException")]
)
def test_a_throttled_request_is_made_again_a_bounded_number_of_times(service, code, monkeypatch):
    answers = [Answer(400, json.dumps({"__type": code}).encode()), Answer(200, b"{}")]
    with serving(lambda *_: answers.pop(0)) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        connected = client(service, REGION)
        if service == "sqs":
            connected.get_queue_attributes(QueueUrl=f"{url}/queue")
        else:
            connected.get_item(TableName="table", Key={"PK": {"S": "a"}})

    assert not answers
    assert connected.meta.config.retries == {"mode": "standard", "total_max_attempts": 8}


def engine_services(cloud, folder):
    """The producer's services on an engine; messages stay hidden long enough for a chunk to be sent."""
    chunk_queue, task_queue = (cloud.new_queue(visibility_seconds=120)[0] for _ in range(2))
    return Services(
        settings=make_settings(products=(Product.DEM,)),
        table=cloud.table,
        chunk_queue=chunk_queue,
        product_queues={Product.DEM: task_queue},
        control=Store.open(str(folder), aws=None),
        open_store=Store.open,
        index=lambda: make_index(1),
        clock=lambda: NOW,
    )


def test_two_producers_at_once_make_one_set_of_rows(cloud, tmp_path):
    services = engine_services(cloud, tmp_path)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: start(services, TILES), range(2))
    deliveries = [
        Record(body=message.body, receipt=message.receipt, message_id="m", attributes={}, receives=1)
        for message in services.chunk_queue.receive(visible_again_seconds=120)
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda record: chunks.handle_record(record, services), deliveries))

    assert first == second
    rows = [row.task_id for row in services.table.tasks(first)]
    assert sorted(rows) == sorted(f"2023/{x}X{2 * x}Y/dem" for x in range(TILES))
    sent = tasks_in(services.queue(Product.DEM))
    assert set(sent) == set(rows)
    assert max(sent.values()) <= 2  # each chunk was announced by both
    assert all(chunk.sent for chunk in services.table.chunks(first.job_id))


def test_resuming_an_open_job_finishes_what_its_dead_sender_left(cloud, tmp_path):
    services = engine_services(cloud, tmp_path)
    job = start(services, TILES)
    drained(services.chunk_queue)  # its messages are lost
    services.table.add_tasks([make_row(job, x) for x in range(3)])  # all that it came to

    resumed = resume_job(job.job_id, services=services, now=NOW)

    assert (resumed.chunks_sent, resumed.tasks_sent) == (1, 0)
    (message,) = services.chunk_queue.receive(visible_again_seconds=120)
    record = Record(body=message.body, receipt=message.receipt, message_id="m", attributes={}, receives=1)
    chunks.handle_record(record, services)
    assert {row.state for row in services.table.tasks(job)} == {State.QUEUED}
    assert tasks_in(services.queue(Product.DEM)) == {f"2023/{x}X{2 * x}Y/dem": 1 for x in range(TILES)}
