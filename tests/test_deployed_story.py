"""The real Terraform configuration on a local AWS, and a request's whole story through what it deployed.

Slow, so ``make infra-story`` asks for it. The functions run as they were deployed: each with the command, variables and
size that the Lambda API tells, and with nothing that its role does not permit. What a local AWS does not do itself is
done by the sandbox: running the handlers, and feeding them from the queues that their mappings name.
"""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ard.adapters.aws import client
from ard.adapters.status_table import StatusTable
from ard.adapters.table_items import SCHEMA
from ard.errors import AssetCorrupt
from ard.keys import REQUESTS, plan_key, receipt_key
from ard.product import Product
from ard.rows import TaskRow
from ard.states import State
from sandbox.catalogue import serve_catalogue
from sandbox.children import program
from sandbox.engine import installed, start_engine
from sandbox.environment import local_aws, machine_environment
from sandbox.functions import ROOT, read_functions
from sandbox.late_scene import LateScene, announce_late_scene
from sandbox.poller import Source, feed_from_queue, scheduled_event
from sandbox.runtime import Worker, WorkerSpec
from sandbox.scenes import write_dem_scenes
from sandbox.tiles import DEMO_YEAR, demo_tiles, index_tiles, write_index
from tests.aws_calls import Call, allowed, overheard
from tests.terraforming import Terraform, initialised

ASKED_FOR = "TTC_INFRA_STORY"
if ASKED_FOR not in os.environ:
    pytest.skip("takes some minutes: make infra-story", allow_module_level=True)
pytestmark = pytest.mark.timeout(900)

FUNCTIONS = read_functions()
ACCOUNT = "000000000000"
HOME = FUNCTIONS.home_region
TILES = demo_tiles()[:3]
STEP_SECONDS = 120
# What the local AWS keeps, but does not tell Terraform's own client as it is.
TOLD_WRONG = {"aws_cloudwatch_metric_alarm"}


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A deployment on a local AWS.

    Attributes:
        endpoint: Of that AWS.
        late: A scene of the first tile that is not there yet.
        environment: What Terraform says that tools are to be told.
        arguments: Of every further terraform command.
    """

    terraform: Terraform
    endpoint: str
    late: LateScene
    environment: dict[str, str]
    arguments: list[str]
    folder: Path

    @property
    def table(self) -> StatusTable:
        return StatusTable(client("dynamodb", HOME), self.environment["TTC_TABLE"])

    @property
    def tools(self) -> dict[str, str]:
        """The whole environment of a person's tools."""
        return {**machine_environment(), **local_aws(self.endpoint, HOME), **self.environment}


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function as the Lambda API tells it, with what feeds it and what its role permits."""

    name: str
    region: str
    command: str
    memory_mb: int
    timeout_seconds: int
    variables: dict[str, str]
    mapping: dict[str, Any] | None
    statements: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What happened: the rows after the first run and after the redrive, and all that each function asked of AWS."""

    receipt: dict[str, Any]
    first: list[TaskRow]
    dead_letters: list[dict[str, Any]]
    redrive: str
    last: list[TaskRow]
    dead_letters_left: int
    objects: list[str]
    reconciled: Any
    calls: dict[str, set[Call]]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory) -> Iterator[Deployed]:
    if not installed("ministack"):
        pytest.skip("ministack is not installed")
    folder = tmp_path_factory.mktemp("story")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        terraform = initialised(folder)
        items = write_dem_scenes(folder / "scenes", index_tiles())
        late = announce_late_scene(items, TILES[0], folder / "late")
        stac_url = stack.enter_context(serve_catalogue(items, late.items))
        endpoint = stack.enter_context(start_engine("ministack", folder / "aws"))
        for name, value in local_aws(endpoint, HOME).items():
            patch.setenv(name, value)
        variables = {
            "env": "story",
            "image_tag": "0123abc",
            "functions_enabled": "false",  # a local AWS has no image to run
            "disposable": "true",
            "settings": json.dumps({"TTC_STAC_URL": stac_url}),
        }
        arguments = ["-input=false", "-no-color", "-parallelism=30"]
        arguments += [f"-var={name}={value}" for name, value in variables.items()]
        terraform.check("apply", "-auto-approve", *arguments, seconds=420)
        environment = json.loads(terraform.check("output", "-json", "environment", seconds=60))
        yield Deployed(
            terraform=terraform,
            endpoint=endpoint,
            late=late,
            environment=environment,
            arguments=arguments,
            folder=folder,
        )


@pytest.fixture(scope="module")
def functions(deployed) -> list[Function]:
    return [_function(function.name, function.region) for function in FUNCTIONS.functions]


def _function(name: str, region: str) -> Function:
    found = client("lambda", region).get_function_configuration(FunctionName=f"ttc-story-{name}")
    mappings = client("lambda", region).list_event_source_mappings(FunctionName=found["FunctionName"])
    role = found["Role"].rpartition("/")[2]
    policy = client("iam", region).get_role_policy(RoleName=role, PolicyName="function")["PolicyDocument"]
    return Function(
        name=found["FunctionName"],
        region=region,
        command=found["ImageConfigResponse"]["ImageConfig"]["Command"][0],
        memory_mb=found["MemorySize"],
        timeout_seconds=found["Timeout"],
        variables=found["Environment"]["Variables"],
        mapping=next(iter(mappings["EventSourceMappings"]), None),
        statements=policy["Statement"],
    )


@contextmanager
def running(functions: list[Function], deployed: Deployed, calls: dict[str, set[Call]]) -> Iterator[dict[str, Worker]]:
    """Run the functions as they were deployed, fed by their queues; yields the workers of the others."""
    with ExitStack() as stack:
        feeders, unfed = [], {}
        for function in functions:
            calls[function.name] = set()
            heard = overheard(deployed.endpoint, calls[function.name], region=function.region, account=ACCOUNT)
            worker = _worker(function, stack.enter_context(heard), deployed.folder / f"{function.name}.log")
            if function.mapping is None:
                unfed[function.name] = worker
                stack.callback(worker.close)
            else:
                feeders.append(feed_from_queue(_source(function), [worker], print))
        try:
            yield unfed
        finally:
            for feeder in feeders:
                feeder.stop()
            for feeder in feeders:
                feeder.join()


def _worker(function: Function, endpoint: str, log: Path) -> Worker:
    aws = local_aws(endpoint, function.region)
    spec = WorkerSpec(
        name=function.name,
        handler=function.command,
        region=function.region,
        memory_mb=function.memory_mb,
        environment={**machine_environment(), **aws, **function.variables},
        root=ROOT,
        log=log,
    )
    return Worker(spec)


def _source(function: Function) -> Source:
    assert function.mapping is not None
    queue = function.mapping["EventSourceArn"].rpartition(":")[2]
    return Source(
        function=function.name,
        url=client("sqs", function.region).get_queue_url(QueueName=queue)["QueueUrl"],
        region=function.region,
        batch_size=function.mapping["BatchSize"],
        timeout_seconds=function.timeout_seconds,
    )


@pytest.fixture(scope="module")
def told(deployed, functions) -> Told:
    s3, bucket, key = client("s3", HOME), deployed.environment["TTC_CONTROL_BUCKET"], f"{REQUESTS}story.json"
    write_index(deployed.folder / "tiles.parquet")
    index_bucket, _, index_key = deployed.environment["TTC_TILE_INDEX"].removeprefix("s3://").partition("/")
    s3.upload_file(str(deployed.folder / "tiles.parquet"), index_bucket, index_key)
    dead_letters = json.loads(deployed.environment["TTC_QUEUES"])["dem"]["dlq_url"]
    calls: dict[str, set[Call]] = {}
    with running(functions, deployed, calls) as unfed:
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(_request()).encode())
        receipt = json.loads(_awaited(lambda: _content(s3, bucket, receipt_key(key))))
        first = _ended(deployed.table, receipt["job_id"])
        letters = _awaited(lambda: _letters(dead_letters))
        deployed.late.deliver()
        redrive = _tracker(deployed, "redrive", "--job", receipt["job_id"], "--force", "--reason", "it came", "--apply")
        last = _ended(deployed.table, receipt["job_id"])
        reconcile = unfed["ttc-story-reconcile"].invoke(
            scheduled_event("ttc-story-reconcile", HOME, datetime.now(UTC)), timeout_seconds=60
        )
    outputs = deployed.environment["TTC_DEFAULT_DEST"].removeprefix("s3://").partition("/")[0]
    return Told(
        receipt=receipt,
        first=first,
        dead_letters=letters,
        redrive=redrive,
        last=last,
        dead_letters_left=len(_letters(dead_letters) or ()),
        objects=[entry["Key"] for entry in s3.list_objects_v2(Bucket=outputs)["Contents"]],
        reconciled=reconcile,
        calls=calls,
    )


def _request() -> dict[str, Any]:
    tiles = {str(DEMO_YEAR): {"missing_tiles": [tile.key for tile in TILES]}}
    return {"story": tiles, "$options": {"products": ["dem"], "label": "story"}}


def _awaited(look: Callable[[], Any]) -> Any:
    """What a look finds at last."""
    deadline, moment = time.monotonic() + STEP_SECONDS, threading.Event()
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        moment.wait(0.2)
    raise AssertionError(f"expected something within {STEP_SECONDS} s")


def _content(s3: Any, bucket: str, key: str) -> bytes | None:
    found = s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents")
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read() if found else None


def _ended(table: StatusTable, job_id: str) -> list[TaskRow]:
    """The job's rows once all of them are terminal."""

    def look() -> list[TaskRow] | None:
        job = table.job(job_id)
        rows = list(table.tasks(job)) if job else []
        return rows if len(rows) == len(TILES) and all(row.state.terminal for row in rows) else None

    return _awaited(look)


def _letters(url: str) -> list[dict[str, Any]] | None:
    """The dead letters that can be seen, which stay."""
    answer = client("sqs", "eu-central-1").receive_message(
        QueueUrl=url, VisibilityTimeout=0, MessageAttributeNames=["All"], MaxNumberOfMessages=10
    )
    return answer.get("Messages")


def _tracker(deployed: Deployed, *arguments: str) -> str:
    command = [program("tracker"), *arguments]
    done = subprocess.run(command, env=deployed.tools, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_second_plan_changes_nothing(deployed):
    deployed.terraform.check("plan", "-out=plan", *deployed.arguments, seconds=240)
    plan = json.loads(deployed.terraform.check("show", "-json", "plan", seconds=60))

    changed = {r["address"]: r["type"] for r in plan["resource_changes"] if r["change"]["actions"] != ["no-op"]}
    assert {address: kind for address, kind in changed.items() if kind not in TOLD_WRONG} == {}
    assert all(r["change"]["actions"] in (["no-op"], ["update"]) for r in plan["resource_changes"])


def test_table_is_the_one_that_the_code_reads(deployed):
    found = client("dynamodb", HOME).describe_table(TableName=deployed.environment["TTC_TABLE"])["Table"]
    backups = client("dynamodb", HOME).describe_continuous_backups(TableName=found["TableName"])

    indexes = {index["IndexName"]: index["KeySchema"] for index in found["GlobalSecondaryIndexes"]}
    assert indexes == {index["IndexName"]: index["KeySchema"] for index in SCHEMA["GlobalSecondaryIndexes"]}
    assert found["KeySchema"] == SCHEMA["KeySchema"]
    recovery = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert recovery["PointInTimeRecoveryStatus"] == "ENABLED"


def test_every_function_is_there_as_the_list_says(functions):
    found = {(f.name, f.region, f.command, f.memory_mb, f.timeout_seconds) for f in functions}

    assert found == {
        (f"ttc-story-{f.name}", f.region, f.handler, f.memory_mb, f.timeout_seconds) for f in FUNCTIONS.functions
    }


def test_every_mapping_reports_failures_one_by_one(functions):
    mappings = [function.mapping for function in functions if function.mapping]

    assert len(mappings) == len(FUNCTIONS.queues)
    assert {tuple(mapping["FunctionResponseTypes"]) for mapping in mappings} == {("ReportBatchItemFailures",)}


def test_every_alarm_is_kept_with_its_topic(deployed):
    kept = [
        alarm
        for region in ("eu-central-1", HOME)
        for alarm in client("cloudwatch", region).describe_alarms()["MetricAlarms"]
    ]

    queues, workers = len(FUNCTIONS.queues), sum(f.product is not None for f in FUNCTIONS.functions)
    assert len(kept) == 3 * queues + len(FUNCTIONS.functions) + workers + 1
    assert all(arn.endswith(":ttc-story-alarms") for alarm in kept for arn in alarm["AlarmActions"])
    assert all(alarm["AlarmActions"] for alarm in kept)


def test_no_role_permits_everything(functions):
    statements = [statement for function in functions for statement in function.statements]

    assert statements
    assert not [s for s in statements if any("*" in action for action in s["Action"])]
    assert not [s for s in statements if any("ttc-story-" not in resource for resource in s["Resource"])]


def test_no_worker_may_touch_requests_and_plans_or_the_queues_of_others(functions, deployed):
    control = f"arn:aws:s3:::{deployed.environment['TTC_CONTROL_BUCKET']}"
    forbidden = [
        Call("s3:GetObject", f"{control}/{REQUESTS}story.json"),
        Call("s3:PutObject", f"{control}/{plan_key('story')}"),
        Call("s3:ListBucket", control),
        Call("sqs:SendMessage", f"arn:aws:sqs:{HOME}:{ACCOUNT}:ttc-story-chunks"),
    ]

    workers = [function for function in functions if function.command.startswith("consumers.")]
    assert len(workers) == 3
    assert not [(w.name, call) for w in workers for call in forbidden if allowed(call, w.statements)]


def test_every_role_permits_its_mapping_to_drain_the_queue(functions):
    for function in functions:
        arn = function.mapping and function.mapping["EventSourceArn"]
        drain = [Call(f"sqs:{verb}", arn) for verb in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes") if arn]
        assert all(allowed(call, function.statements) for call in drain)


def test_request_becomes_a_job_and_a_receipt(told):
    assert told.receipt["job_id"].startswith("story-")


def test_tiles_are_made_but_for_the_one_whose_scene_is_missing(told):
    states = {(row.x_tile, row.y_tile): (row.state, row.cause) for row in told.first}

    failed = states.pop((TILES[0].x, TILES[0].y))
    assert failed == (State.FAILED, AssetCorrupt.cause)
    assert set(states.values()) == {(State.SUCCEEDED, None)}


def test_failure_leaves_a_dead_letter_that_says_why(told):
    (letter,) = told.dead_letters

    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert attributes["cause"] == AssetCorrupt.cause
    assert attributes["job_id"] == told.receipt["job_id"]


def test_redrive_makes_the_missing_tile_and_takes_the_letter_away(told):
    assert {row.state for row in told.last} == {State.SUCCEEDED}
    assert told.dead_letters_left == 0


def test_outputs_lie_where_the_rows_say(told, deployed):
    prefix = deployed.environment["TTC_DEFAULT_DEST"].removeprefix("s3://").partition("/")[2]

    assert {f"{prefix}/{row.item}" for row in told.last} <= set(told.objects)
    assert sum(name.endswith(".tif") for name in told.objects) == len(TILES)
    assert {row.product for row in told.last} == {Product.DEM}


def test_reconcile_runs_with_its_own_settings(told):
    assert told.reconciled.kind == "ok", told.reconciled.payload


@pytest.mark.parametrize("name", [function.name for function in FUNCTIONS.functions])
def test_function_asks_for_nothing_that_its_role_does_not_permit(told, functions, name):
    (function,) = (function for function in functions if function.name == f"ttc-story-{name}")
    calls = told.calls[function.name]

    assert calls or name in {"s1", "s2"}  # of which the story makes nothing
    assert not sorted(call for call in calls if not allowed(call, function.statements))


def test_what_functions_ask_for_is_heard(told):
    heard = {name.removeprefix("ttc-story-"): {call.action for call in calls} for name, calls in told.calls.items()}
    dead_letters = Call("sqs:SendMessage", f"arn:aws:sqs:eu-central-1:{ACCOUNT}:ttc-story-dem-dlq")

    assert dead_letters in told.calls["ttc-story-dem"]
    assert {"s3:GetObjectVersion", "s3:PutObject", "dynamodb:PutItem", "sqs:SendMessage"} <= heard["inbox"]
    assert {"s3:ListBucket", "dynamodb:Query"} <= heard["reconcile"]


def test_destroy_leaves_nothing(deployed, told):
    deployed.terraform.check("destroy", "-auto-approve", *deployed.arguments, seconds=420)

    assert json.loads(deployed.terraform.check("show", "-json", seconds=60)).get("values") is None
    assert client("s3", HOME).list_buckets()["Buckets"] == []
    assert client("lambda", "eu-central-1").list_functions()["Functions"] == []
