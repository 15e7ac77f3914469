"""The image, built step by step as docker/PipDockerfile says, into a folder; and every function run from there.

What a container adds (its root file system, the C library of its base image) is not part of this.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import lithops
import pytest
from lithops.utils import create_handler_zip

from ard.adapters.queues import Outgoing
from ard.rows import queued_row
from ard.states import State
from sandbox.catalogue import serve_catalogue
from sandbox.poller import sqs_event
from sandbox.runtime import Worker, WorkerSpec
from sandbox.scenes import write_dem_scenes
from sandbox.tiles import demo_tiles
from tests.engines import REGION
from tests.factories import make_job, make_task

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = json.loads((ROOT / "infra" / "functions.json").read_text())["functions"]
LITHOPS_ZIP = "lithops_lambda.zip"
BUILD_SECONDS = 280


@dataclass(frozen=True)
class Image:
    """A built image: its work folder, its interpreter, and what it runs unless told otherwise."""

    folder: Path
    python: Path
    command: tuple[str, ...]


def instructions():
    """The Dockerfile's instructions, continued lines joined."""
    text = (ROOT / "docker" / "PipDockerfile").read_text().replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [tuple(line.split(maxsplit=1)) for line in lines if line and not line.startswith("#")]


def of_dockerignore():
    """What may be copied from the build context, by the allow-list."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines, "everything is left out but what is named"
    return {line.removeprefix("!") for line in lines if line.startswith("!")}


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    base = tmp_path_factory.mktemp("image")
    folder, venv = base / "function", base / "python"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=60)
    worker = Path(lithops.__file__).parent / "serverless" / "backends" / "aws_lambda" / "entry_point.py"
    create_handler_zip(str(base / LITHOPS_ZIP), str(worker))
    environment = {
        "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "PYTHONWARNINGS": "ignore",
    }
    kept = ("PIP_", "SSL_", "XDG_CACHE_HOME")  # where packages come from, and those that were fetched before
    environment |= {name: value for name, value in os.environ.items() if name.startswith(kept)}
    command: tuple[str, ...] = ()
    for name, value in instructions():
        if name == "COPY":
            source, target = shlex.split(value)
            assert source.rstrip("/") in of_dockerignore()
            copy(base / source if source == LITHOPS_ZIP else ROOT / source, folder / target)
        elif name == "RUN":
            done = subprocess.run(
                ["bash", "-euc", value], cwd=folder, env=environment, capture_output=True, text=True,
                timeout=BUILD_SECONDS, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"{value}\n{done.stdout}\n{done.stderr}"
        elif name in {"ENTRYPOINT", "CMD"}:
            command += tuple(json.loads(value))
    return Image(folder, venv / "bin" / "python", command)


def copy(source, target):
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    with serve_catalogue(write_dem_scenes(tmp_path_factory.mktemp("scenes"), demo_tiles()[:1])) as url:
        yield url


@pytest.fixture
def worker(image, cloud, catalogue, tmp_path):
    """Starts a function of the image with the environment that it is deployed with."""
    control = {
        "TTC_CONTROL_BUCKET": cloud.bucket, "TTC_CONTROL_REGION": REGION, "TTC_TILE_INDEX": "s3://none/index.parquet",
        "TTC_INBOX_QUEUE_URL": cloud.queue.url, "TTC_CHUNK_QUEUE_URL": cloud.queue.url,
        "TTC_DEFAULT_DEST": f"s3://{cloud.bucket}/ttc", "TTC_ALLOWED_DESTS": f'["s3://{cloud.bucket}"]',
    }  # fmt: skip
    queues = json.loads(cloud.environment["TTC_QUEUES"])
    given = {**cloud.environment, **control, "TTC_STAC_URL": catalogue, "TTC_S1_STAC_URL": catalogue}
    given |= {"TTC_QUEUES": json.dumps(dict.fromkeys(("dem", "s1", "s2"), queues["dem"]))}
    workers = []

    def start(handler):
        function = next((one for one in FUNCTIONS if one["handler"] == handler), None)
        names = [*(function["environment"] if function else ()), *(name for name in given if name.startswith("AWS_"))]
        spec = WorkerSpec(
            name="image", handler=handler, region=REGION, memory_mb=1024, root=image.folder, python=image.python,
            environment={name: given[name] for name in names if name in given} | {"AWS_EC2_METADATA_DISABLED": "true"},
            log=tmp_path / "image.log",
        )  # fmt: skip
        workers.append(Worker(spec))
        return workers[-1]

    yield start
    for one in workers:
        one.close()


def event_of(cloud, body):
    cloud.queue.send([Outgoing(body=body)])
    messages = cloud.sqs.receive_message(
        QueueUrl=cloud.queue.url, WaitTimeSeconds=5, MessageSystemAttributeNames=["All"]
    )["Messages"]
    return sqs_event(messages, arn=f"arn:aws:sqs:{REGION}:0:dem", region=REGION)


def test_a_tile_is_made_by_the_image(worker, cloud):
    tile = demo_tiles()[0]
    dest = f"s3://{cloud.bucket}/ttc"
    task = make_task(x_tile=tile.x, y_tile=tile.y, lon=tile.lon, lat=tile.lat, dest=dest)
    cloud.table.put_job(make_job(job_id=task.job_id, dest=dest))
    cloud.table.add_tasks([queued_row(task, shards=1, now=0, check_after=0)])

    result = worker("consumers.dem.handler").invoke(event_of(cloud, task.model_dump_json()), timeout_seconds=60)

    assert (result.kind, result.payload) == ("ok", {"batchItemFailures": []})
    assert cloud.table.task(task.job_id, 0, task.task_id).state is State.SUCCEEDED


@pytest.mark.parametrize("product", ["s1", "s2"])
def test_the_other_workers_of_the_image_take_messages(worker, cloud, product):
    result = worker(f"consumers.{product}.handler").invoke(event_of(cloud, "no task"), timeout_seconds=60)

    assert (result.kind, result.payload) == ("ok", {"batchItemFailures": []})
    (letter,) = cloud.dlq.receive(visible_again_seconds=1, wait_seconds=5)
    assert letter.attributes["cause"] == "poison"


def test_the_inbox_of_the_image_takes_s3s_test_event(worker, cloud):
    event = event_of(cloud, json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}))

    result = worker("producer.inbox.handler").invoke(event, timeout_seconds=60)

    assert (result.kind, result.payload) == ("ok", {"batchItemFailures": []})


def test_the_chunk_function_of_the_image_reports_a_chunk_of_no_job(worker, cloud):
    event = event_of(cloud, '{"version":1,"job_id":"none-0123456789","number":0}')

    result = worker("producer.chunks.handler").invoke(event, timeout_seconds=60)

    assert result.kind == "ok"
    assert len(result.payload["batchItemFailures"]) == 1


def test_reconcile_of_the_image_finds_nothing_to_do(worker):
    result = worker("tracker.reconcile.handler").invoke({}, timeout_seconds=60)

    assert (result.kind, result.payload["rows"]) == ("ok", {})


def test_the_image_runs_lithops_worker_unless_told_otherwise(image, worker):
    assert image.command[:3] == ("python", "-m", "awslambdaric")

    result = worker(image.command[3]).invoke({"get_metadata": {"log_level": "WARNING"}}, timeout_seconds=60)

    assert (result.kind, result.payload["lithops_version"]) == ("ok", lithops.__version__)


def test_the_image_holds_no_package_that_no_function_needs(image):
    listed = subprocess.run(
        [image.python, "-m", "pip", "list", "--format", "json"], check=True, capture_output=True, timeout=60
    ).stdout
    names = {package["name"].lower() for package in json.loads(listed)}

    assert not names & {"pandas", "xarray", "dask", "scipy", "matplotlib", "typer", "rich", "moto", "lithops"}
