"""What is deployed on a local AWS, and what each function is told of it."""

import json
from collections.abc import Iterator

import pytest

from ard.adapters.aws import client
from ard.adapters.queues import Outgoing, Queue
from ard.adapters.status_table import StatusTable
from ard.errors import InvalidInput
from ard.product import Product
from ard.settings import ControlSettings, TableSettings, WorkerSettings
from sandbox.cloud import Deployment, Facts, create_cloud
from sandbox.functions import read_functions

FUNCTIONS = read_functions()


@pytest.fixture(scope="module")
def facts(tmp_path_factory) -> Facts:
    folder = tmp_path_factory.mktemp("cloud")
    (folder / "tiles.parquet").write_bytes(b"an index")
    return Facts(
        tile_index=folder / "tiles.parquet",
        stac_url="http://stac.test",
        local_dests=(folder / "out",),
        git_sha="abc1234",
    )


@pytest.fixture(scope="module")
def deployment(engine, facts) -> Iterator[Deployment]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", engine)
        yield create_cloud(FUNCTIONS, facts)


def queue_of(deployment: Deployment, name: str) -> Queue:
    queue = deployment.queues[name]
    return Queue(client("sqs", queue.region), queue.url)


def attributes(region: str, url: str) -> dict[str, str]:
    return client("sqs", region).get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def take(queue: Queue) -> list[str]:
    """All bodies that are in the queue now, deleted."""
    taken = []
    while messages := queue.receive(visible_again_seconds=30):
        taken += [message.body for message in messages]
        for message in messages:
            queue.delete(message)
    return taken


def test_second_creation_changes_nothing_and_keeps_what_waits(deployment, facts):
    queue_of(deployment, "dem").send([Outgoing(body="waiting")])

    assert create_cloud(FUNCTIONS, facts) == deployment
    assert take(queue_of(deployment, "dem")) == ["waiting"]


def test_only_requests_that_are_dropped_are_told_to_the_inbox(deployment):
    inbox = queue_of(deployment, "inbox")
    take(inbox)
    s3, bucket = client("s3", FUNCTIONS.home_region), deployment.environment["TTC_CONTROL_BUCKET"]

    for key in ("requests/a job.json", "requests/notes.txt", "receipts/other.json"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"{}")

    told = [json.loads(body) for body in take(inbox)]
    keys = [record["s3"]["object"]["key"] for body in told for record in body.get("Records", ())]
    assert [key.replace("%2F", "/") for key in keys] == ["requests/a+job.json"]


@pytest.mark.parametrize("name", FUNCTIONS.queues)
def test_queue_outlasts_its_function_and_hands_dead_messages_on(deployment, name):
    queue, function, spec = deployment.queues[name], FUNCTIONS.draining(name), FUNCTIONS.queues[name]

    found, dead = attributes(queue.region, queue.url), attributes(queue.region, queue.dlq_url)
    redrive = json.loads(found["RedrivePolicy"])
    assert int(found["VisibilityTimeout"]) == function.timeout_seconds + 60
    assert found["MessageRetentionPeriod"] == dead["MessageRetentionPeriod"] == str(14 * 86_400)
    assert (redrive["deadLetterTargetArn"], int(redrive["maxReceiveCount"])) == (dead["QueueArn"], spec.max_receives)
    assert queue.dlq_url == f"{queue.url}-dlq"


def test_inbox_takes_messages_of_the_control_bucket(deployment):
    queue = deployment.queues["inbox"]
    (statement,) = json.loads(attributes(queue.region, queue.url)["Policy"])["Statement"]

    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Condition"]["ArnEquals"] == {"aws:SourceArn": "arn:aws:s3:::ttc-sandbox-control"}


def test_table_and_tile_index_are_there(deployment):
    environment = deployment.environment
    table = StatusTable(client("dynamodb", environment["TTC_TABLE_REGION"]), environment["TTC_TABLE"])
    bucket, _, key = environment["TTC_TILE_INDEX"].removeprefix("s3://").partition("/")

    assert table.jobs(1) == []
    assert client("s3", FUNCTIONS.home_region).get_object(Bucket=bucket, Key=key)["Body"].read() == b"an index"


def test_settings_of_a_person_and_of_every_function_can_be_read(deployment, monkeypatch):
    kinds = {"producer": ControlSettings, "tracker": ControlSettings, "consumers": TableSettings}
    for function in FUNCTIONS.functions:
        with monkeypatch.context() as patch:
            for name, value in deployment.environment_of(function).items():
                patch.setenv(name, value)
            assert kinds[function.handler.partition(".")[0]]().table == "ttc-sandbox-status"

    with monkeypatch.context() as patch:
        for name, value in deployment.environment.items():
            patch.setenv(name, value)
        assert ControlSettings().queues[Product.DEM].region == "eu-central-1"
        assert WorkerSettings().stac_url == "http://stac.test"


def test_worker_is_told_of_its_own_queue_and_of_nothing_that_its_list_does_not_name():
    product_queues = json.dumps({"dem": {"url": "of dem"}, "s1": {"url": "of s1"}})
    environment = {"TTC_QUEUES": product_queues, "TTC_TABLE": "status", "TTC_CONTROL_BUCKET": "control"}
    deployment = Deployment(functions=FUNCTIONS, queues={}, environment=environment)
    dem, inbox = FUNCTIONS.draining("dem"), FUNCTIONS.draining("inbox")

    assert deployment.environment_of(dem) == {"TTC_QUEUES": '{"dem": {"url": "of dem"}}', "TTC_TABLE": "status"}
    assert deployment.environment_of(inbox) == environment


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queue": "nowhere"}, "to have one of"),
        ({"schedule_minutes": 5}, "to have a queue or a schedule"),
        ({"handler": "nothing"}, "handler"),
        ({"misspelt": 1}, "misspelt"),
    ],
)
def test_list_of_functions_that_does_not_fit_together_is_refused(tmp_path, change, message):
    content = FUNCTIONS.model_dump(mode="json", exclude_none=True)
    content["functions"][0] |= change
    (tmp_path / "functions.json").write_text(json.dumps(content))

    with pytest.raises(InvalidInput, match=message):
        read_functions(tmp_path / "functions.json")


def test_list_of_functions_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InvalidInput, match=r"functions\.json"):
        read_functions(tmp_path / "functions.json")
