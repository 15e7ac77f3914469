"""A Sentinel-1 worker meets refusals, throttling, outages and rubbish, and tells nobody what opens the store."""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ard.adapters.queues import Outgoing
from ard.product import Product
from ard.rows import queued_row
from ard.states import State
from sandbox import s1_scenes
from sandbox.blobs import serve_blobs
from sandbox.catalogue import serve_catalogue
from sandbox.made import box_round, middle_tile
from sandbox.poller import acknowledged, sqs_event
from sandbox.runtime import Worker, WorkerSpec
from sandbox.s1_items import COLLECTION
from sandbox.s1_plan import OVERPASSES
from sandbox.s1_products import Product as MadeProduct
from sandbox.tiles import demo_tiles
from tests.factories import make_job, make_task
from tests.faults.proxy import Arrives, Fault, Reply, proxying, upstream

ROOT = Path(__file__).resolve().parents[2]
KEY = "the-key-that-nobody-may-see"
YEAR = 2023
FAULTS = {
    "refused": Fault(kind="refused", reply=Reply(status=403)),
    "down": Fault(kind="down", reply=Reply(status=500)),
    "cut": Fault(kind="cut", arrives=Arrives.CUT),
    "rubbish": None,  # the store answers, with files that are no images
}
THROTTLED = Fault(kind="throttled", reply=Reply(status=429, headers={"Retry-After": "60"}))


class Store:
    """The blob store behind a proxy that fails as asked, and every secret that a worker has shown it."""

    def __init__(self):
        self.mode, self.secrets = "rubbish", set()

    def plan(self, request):
        self.secrets.add(request.headers.get("ocp-apim-subscription-key", KEY))
        query = urlsplit(request.path).query
        if query:
            self.secrets |= {query, *(part.partition("=")[2] for part in query.split("&") if part.startswith("sig="))}
        if request.path.startswith("/token"):
            return THROTTLED if self.mode == "throttled" else None
        return FAULTS.get(self.mode)


@pytest.fixture
def world(cloud, tmp_path):
    """An S1 worker with a task per fault, a catalogue of slices, and rubbish where their files should be."""
    folder, store = tmp_path / "scenes", Store()
    tiles = demo_tiles()[: len(FAULTS) + 1]
    products = [MadeProduct(folder, each, YEAR, box_round(tiles), middle_tile(tiles)) for each in OVERPASSES]
    with (
        serve_blobs({COLLECTION: folder / COLLECTION}, throttled_every=1_000_000) as blobs,
        proxying(upstream(blobs.url), store.plan) as url,
    ):
        items = s1_scenes._write_items(folder, products, base=url)
        for feature in json.loads(items.read_text())["features"]:
            for asset in feature["assets"].values():
                path = folder / urlsplit(asset["href"]).path.lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"rubbish" * 10_000)
        with serve_catalogue(items) as catalogue:
            yield cloud, store, tiles, _worker(cloud, tmp_path / "s1.log", catalogue, url), tmp_path / "s1.log"


def _worker(cloud, log, catalogue, url):
    queues = {"s1": json.loads(cloud.environment["TTC_QUEUES"])["dem"]}
    own = {
        "PATH": os.environ["PATH"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "TTC_QUEUES": json.dumps(queues),
        "TTC_S1_STAC_URL": catalogue,
        "TTC_S1_COLLECTION": COLLECTION,
        "TTC_S1_TOKEN_URL": f"{url}/token",
        "TTC_S1_BLOBS": url,
        "TTC_S1_SUBSCRIPTION_KEY": KEY,
    }
    spec = WorkerSpec(
        name="s1", handler="consumers.s1.handler", region="us-west-2", memory_mb=1024, root=ROOT, log=log,
        environment=cloud.environment | own,
    )  # fmt: skip
    return Worker(spec)


def left_behind(cloud, log) -> dict[str, str]:
    """Everything that anybody could read afterwards."""
    rows = cloud.dynamodb.scan(TableName=cloud.table.name)["Items"]
    letters, waiting = (str(queue.receive(visible_again_seconds=0)) for queue in (cloud.dlq, cloud.queue))
    return {"log": log.read_text(), "rows": json.dumps(rows), "dead letters": letters, "queue": waiting}


@pytest.mark.parametrize("engine", ["ministack"], indirect=True)
def test_no_secret_is_left_anywhere_whatever_goes_wrong(world):
    cloud, store, tiles, worker, log = world
    ends = {}
    try:
        for mode, tile in zip(["throttled", *FAULTS], tiles, strict=True):
            store.mode = mode
            ends[mode] = deliver(cloud, worker, make_task(
                job_id=f"s1-{mode}", product=Product.S1, year=YEAR, x_tile=tile.x, y_tile=tile.y, lon=tile.lon,
                lat=tile.lat, dest=f"s3://{cloud.bucket}/ttc", max_attempts=1,
            ))  # fmt: skip
    finally:
        worker.close()

    assert ends["throttled"] is ends["refused"] is ends["down"] is State.RETRYING
    left = left_behind(cloud, log)
    assert "s1-refused" in left["rows"] and "s1-refused" in left["log"], "the search would find something"
    assert KEY in store.secrets and len(store.secrets) > 2, "secrets were in use"
    assert not [(secret, place) for secret in store.secrets for place, text in left.items() if secret in text]


def deliver(cloud, worker, task):
    """One message through the deployed handler, as the event source mapping does it; the state that its row is in."""
    cloud.table.put_job(make_job(job_id=task.job_id, dest=task.dest, totals={Product.S1: 1}))
    cloud.table.add_tasks([queued_row(task, shards=1, now=0, check_after=0)])
    cloud.queue.send([Outgoing(body=task.model_dump_json())])
    while True:
        (message, *_) = cloud.sqs.receive_message(
            QueueUrl=cloud.queue.url, WaitTimeSeconds=5, MaxNumberOfMessages=1, VisibilityTimeout=120,
            MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"],
        )["Messages"]  # fmt: skip
        if task.job_id in message["Body"]:
            break
    event = sqs_event([message], arn="arn:aws:sqs:us-west-2:0:s1", region="us-west-2")
    result = worker.invoke(event, timeout_seconds=120)
    for _ in acknowledged(result, {message["MessageId"]}):
        cloud.sqs.delete_message(QueueUrl=cloud.queue.url, ReceiptHandle=message["ReceiptHandle"])
    return cloud.table.task(task.job_id, 0, task.task_id).state
