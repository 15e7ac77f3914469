"""The deployed DEM handler in its own process, on both engines: killed, timed out, forgotten, moved by hand."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest

from ard.adapters.bucket import Bucket
from ard.adapters.queues import Outgoing
from ard.product import Product
from ard.rows import queued_row
from ard.states import State
from ard.transitions import PATIENCE_SECONDS, QUEUED_PATIENCE_SECONDS
from sandbox.catalogue import serve_catalogue
from sandbox.poller import acknowledged, sqs_event
from sandbox.runtime import Worker, WorkerSpec
from sandbox.scenes import write_dem_scenes
from sandbox.tiles import demo_tiles
from tests.factories import make_job, make_task
from tests.servers import Answer, serving
from tracker.reconcile import Step, reconcile
from tracker.services import Intake, Lane, Tasks

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_SECONDS = 30


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    with serve_catalogue(write_dem_scenes(folder, demo_tiles()[:1])) as url:
        yield url


class Lambda:
    """A job of one real tile, its queue, and the handler in a process of its own."""

    def __init__(self, cloud, folder, stac_url):
        tile = demo_tiles()[0]
        self.cloud, self.log = cloud, folder / "dem.log"
        self.task = make_task(
            x_tile=tile.x, y_tile=tile.y, lon=tile.lon, lat=tile.lat, dest=f"s3://{cloud.bucket}/ttc", max_attempts=2
        )
        self.job = make_job(job_id=self.task.job_id, dest=self.task.dest, max_attempts=2)
        cloud.table.put_job(self.job)
        cloud.table.add_tasks([queued_row(self.task, shards=1, now=0, check_after=0)])
        intake = Intake(
            bucket=Bucket(cloud.s3, cloud.bucket), region="us-west-2", inbox=cloud.queue, chunks=cloud.queue
        )
        lanes = {Product.DEM: Lane(queue=cloud.queue, dlq=cloud.dlq)}
        self.tracker = Tasks(table=cloud.table, lanes=lanes), intake
        self.worker = self._worker(stac_url)

    def _worker(self, stac_url):
        spec = WorkerSpec(
            name="dem", handler="consumers.dem.handler", region="us-west-2", memory_mb=1024, root=ROOT, log=self.log,
            environment={**self.cloud.environment, "PATH": os.environ["PATH"], "TTC_STAC_URL": stac_url,
                         "AWS_EC2_METADATA_DISABLED": "true"},
        )  # fmt: skip
        return Worker(spec)

    def restart(self, stac_url):
        self.worker.close()
        self.worker = self._worker(stac_url)

    def send(self, body=None, attributes=None):
        self.cloud.queue.send([Outgoing(body=body or self.task.model_dump_json(), attributes=attributes or {})])

    def row(self):
        return self.cloud.table.task(self.task.job_id, 0, self.task.task_id)

    def feed(self, *, timeout_seconds=TIMEOUT_SECONDS):
        """One message through the handler, as the event source mapping does it; what became of the invocation."""
        (message,) = self.cloud.sqs.receive_message(
            QueueUrl=self.cloud.queue.url, WaitTimeSeconds=5, MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )["Messages"]  # fmt: skip
        result = self.worker.invoke(sqs_event([message], arn="arn:aws:sqs:us-west-2:0:dem", region="us-west-2"),
                                    timeout_seconds=timeout_seconds)  # fmt: skip
        for _ in acknowledged(result, {message["MessageId"]}):
            self.cloud.sqs.delete_message(QueueUrl=self.cloud.queue.url, ReceiptHandle=message["ReceiptHandle"])
        return result.kind

    def reconcile(self, *, now):
        tasks, intake = self.tracker
        return reconcile(tasks, intake, now=now, job_id=self.task.job_id).rows

    def item(self):
        key = f"ttc/2023/ard/{self.task.x_tile}/{self.task.y_tile}/dem.json"
        return json.loads(self.cloud.s3.get_object(Bucket=self.cloud.bucket, Key=key)["Body"].read())


@pytest.fixture
def function(cloud, tmp_path, catalogue):
    function = Lambda(cloud, tmp_path, catalogue)
    yield function
    function.worker.close()


@pytest.fixture
def hanging():
    """A catalogue that takes requests and never answers; ``reached`` is set when one has come."""
    reached, leave = threading.Event(), threading.Event()

    def answer(*_):
        reached.set()
        leave.wait(60)
        raise BrokenPipeError  # whoever asked is gone

    with serving(answer) as url:
        yield url, reached
        leave.set()


def test_a_message_becomes_a_tile(function):
    function.send()

    assert function.feed() == "ok"

    assert function.row().state is State.SUCCEEDED
    assert function.item()["properties"]["ttc:job_id"] == function.task.job_id
    assert function.cloud.queue.depth() == 0


def test_a_worker_killed_in_mid_task_loses_nothing(function, catalogue, hanging):
    url, reached = hanging
    function.restart(url)
    function.send()
    killer = threading.Thread(target=lambda: reached.wait(30) and os.kill(function.worker.pid, signal.SIGKILL))
    killer.start()

    assert function.feed() == "exited"

    killer.join()
    row = function.row()
    assert (row.state, row.fence) == (State.RUNNING, 1)
    function.restart(catalogue)
    assert function.reconcile(now=row.lease_until + 60 + PATIENCE_SECONDS + 1) == {Step.REVIVED: 1}
    assert function.feed() == "ok"
    row = function.row()
    assert (row.state, row.charged) == (State.SUCCEEDED, 1)
    assert [attempt.outcome for attempt in row.attempts] == ["crashed", "SUCCEEDED"]


def test_a_worker_that_runs_out_of_time_is_killed_and_after_its_last_attempt_dead_lettered(function, hanging):
    url, _ = hanging
    function.restart(url)
    for attempt, step in ((1, Step.REVIVED), (2, Step.FAILED)):
        if attempt == 1:
            function.send()
        assert function.feed(timeout_seconds=7) == "timeout"
        assert function.reconcile(now=function.row().lease_until + 60 + PATIENCE_SECONDS + 1) == {step: 1}

    row = function.row()
    assert (row.state, row.cause, row.charged) == (State.FAILED, "crashed", 2)
    (letter,) = function.cloud.dlq.receive(visible_again_seconds=30)
    assert letter.attributes == {"cause": "crashed", "fence": "2", "job_id": function.task.job_id}


def test_a_message_lost_from_its_queue_is_sent_again(function):
    function.send()
    function.cloud.sqs.purge_queue(QueueUrl=function.cloud.queue.url)

    assert function.reconcile(now=QUEUED_PATIENCE_SECONDS) == {Step.RESENT: 1}

    assert function.feed() == "ok"
    assert function.row().state is State.SUCCEEDED


def test_poison_is_set_aside_and_a_duplicate_changes_nothing(function):
    function.send("poison")
    function.send()
    function.send()

    assert [function.feed() for _ in range(3)] == ["ok"] * 3

    assert (function.row().state, function.row().fence) == (State.SUCCEEDED, 1)
    (letter,) = function.cloud.dlq.receive(visible_again_seconds=30)
    assert (letter.body, letter.attributes["cause"]) == ("poison", "poison")


def test_a_dead_letter_moved_back_by_the_console_retries_what_failed(function, catalogue):
    with serving(lambda *_: Answer(400, b"no")) as refusing:
        function.restart(refusing)
        function.send()
        function.feed()
    assert (function.row().state, function.row().cause) == (State.FAILED, "invalid_input")
    function.restart(catalogue)

    # What a native move does: body and attributes as they are, into the source queue.
    (letter,) = function.cloud.dlq.receive(visible_again_seconds=30)
    function.send(letter.body, letter.attributes)
    function.cloud.dlq.delete(letter)

    assert function.feed() == "ok"
    assert (function.row().state, function.row().fence) == (State.SUCCEEDED, 2)
