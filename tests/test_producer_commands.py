"""The commands that start jobs, as a person or a script runs them."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ard.adapters.console import Exit
from ard.errors import InvalidInput, Unavailable
from ard.product import Product
from ard.rows import Command
from ard.settings import AwsSettings
from ard.states import State
from producer.cli import app
from producer.expansion import send_chunk
from producer.following import follow, write_report
from producer.options import EXIT_CODES
from producer.services import read_index
from tests.factories import make_job, make_row, make_task
from tests.outputs import change_content, put_output
from tests.producing import DEST, NOW, make_tiles, mocked_world

PRODUCTS = ["--products", "dem"]
REQUEST = {"gha": {"2023": {"missing_tiles": ["1X2Y", "2X4Y", "2X4Y"], "all_tiles": []}}}


@pytest.fixture
def world():
    with mocked_world() as world:
        yield world


@pytest.fixture
def run(world, tmp_path):
    """Run the producer's command line in the world; ``REQUEST`` and ``TILES`` stand for request files."""

    def run(*arguments, request=REQUEST, services=None):
        (tmp_path / "request.json").write_text(json.dumps(request))
        (tmp_path / "tiles.csv").write_text("Year,X,Y,Y_tile,X_tile\n2023,-59.9444,-29.9722,2,1\n")
        files = {"REQUEST": str(tmp_path / "request.json"), "TILES": str(tmp_path / "tiles.csv")}
        return CliRunner().invoke(app, [files.get(one, one) for one in arguments], obj=services or world.services)

    return run


def only_job(world):
    (job,) = world.services.table.jobs(10)
    return job


def planned(x, y, **overrides):
    """A task of the request."""
    return make_task(x_tile=x, y_tile=y, dest=DEST, **overrides)


def row_of(result, product):
    """The plan's line of a product, single spaced."""
    (line,) = (line for line in result.stdout.splitlines() if line.startswith(f" {product} "))
    return " ".join(line.split())


def next_commands(result, tmp_path):
    """What a command says to type next, the folder of the request files left out."""
    said = (line.removeprefix("next: ") for line in result.stderr.splitlines() if line.startswith("next: "))
    return [line.replace(f"{tmp_path}/", "") for line in said]


def test_submit_starts_the_job_and_says_how_to_follow_it(run, world):
    result = run("submit", "REQUEST", "--yes")

    job = only_job(world)
    assert result.stdout == f"{job.job_id}  created\ntracker status --job {job.job_id}\n"
    assert "Tiles     requested 3   duplicates 1   unknown 0" in result.stderr
    assert "seed averages" in result.stderr
    assert result.exit_code == 0
    assert set(world.chunk_messages()) == {0}


def test_submitting_again_finds_the_job(run, world):
    run("submit", "REQUEST", "--yes")

    result = run("submit", "REQUEST", "--yes", "--label", "other")

    assert result.stdout.startswith(f"{only_job(world).job_id}  exists already, open\n")


def test_submit_in_json_is_one_document(run, world):
    result = run("submit", "REQUEST", "--yes", "--json")

    told = json.loads(result.stdout)
    assert (told["kind"], told["job_id"], told["status"]) == ("submission", only_job(world).job_id, "created")
    assert (told["tasks"], told["chunks_sent"], told["counts"]) == ({"dem": 2, "s1": 2}, 1, None)


def test_options_of_the_command_line_go_over_those_of_the_file(run, world):
    request = {
        **REQUEST,
        "$options": {"dest": "s3://elsewhere/x", "products": ["s2"], "retries": 9, "formats": ["hkl"], "label": "File"},
    }
    arguments = ["--dest", "s3://tof-output/mine", "--products", "dem", "--retries", "1", "--format", "cog,hkl"]

    result = run("submit", "REQUEST", "--yes", "--overwrite", "--rerun", "2", *arguments, request=request)

    job = only_job(world)
    assert result.exit_code == 0
    assert (job.dest, set(job.totals), job.max_attempts) == ("s3://tof-output/mine", {Product.DEM}, 2)
    assert (job.formats, job.overwrite, job.request_key) == (("cog", "hkl"), True, "cli:request.json")
    assert job.job_id.startswith("file-")


def test_a_csv_file_and_a_json_file_of_the_same_tiles_are_the_same_job(run, world):
    run("submit", "TILES", "--yes")

    run("submit", "REQUEST", "--yes", request={"x": {"2023": {"missing_tiles": ["1X2Y"]}}})

    assert only_job(world).totals == {Product.DEM: 1, Product.S1: 1}


def test_a_local_dest_may_be_named_from_here(run, world, tmp_path):
    everywhere = replace(world.services, settings=world.services.settings.model_copy(update={"allowed_dests": ("/",)}))

    run("submit", "REQUEST", "--yes", "--dest", "out", services=everywhere)

    assert only_job(world).dest == str(Path.cwd() / "out")


@pytest.mark.parametrize("arguments", [["submit", "REQUEST"], ["submit", "REQUEST", "--json"]])
def test_nobody_is_asked_who_cannot_answer(run, world, arguments):
    result = run(*arguments)

    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert not world.services.table.jobs(10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dest", "s3://elsewhere/x"], "/$options/dest: expected a destination under"),
        (["--products", "dem,s2"], "/$options/products: expected products that this deployment makes (dem, s1)"),
        (["--products", "s9"], "error: products.0: "),
        (["--retries", "-1"], "error: retries: "),
        (["--label", "!"], "error: label: "),
        (["--max-cost", "0"], "error: max_cost_usd: "),
    ],
)
def test_wrong_options_are_bad_input(run, world, arguments, words):
    result = run("submit", "REQUEST", "--yes", *arguments)

    assert result.exit_code == 3
    assert words in result.stderr
    assert not world.services.table.jobs(10)


def test_no_tile_left_is_no_work(run):
    request = {"gha": {"2023": {"missing_tiles": ["99X9Y"]}}}

    result = run("submit", "REQUEST", "--yes", "--skip-unknown", request=request)

    assert result.exit_code == 6
    assert "99X9Y is not in the tile index" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["--report-dir", "x"], "expected --wait beside --report-dir"),
        (["--plot"], "expected --wait and --report-dir DIR beside --plot"),
        (["--plot", "--wait"], "expected --report-dir DIR beside --plot"),
        (["--plot", "--report-dir", "x"], "expected --wait beside --plot"),
    ],
)
def test_a_report_is_only_of_a_job_that_was_waited_for_and_plots_are_part_of_it(run, world, arguments, missing):
    result = run("submit", "REQUEST", "--yes", *arguments)

    assert result.exit_code == 2
    assert missing in " ".join(result.stderr.replace("│", " ").split())
    assert not world.services.table.jobs(10)


def test_the_help_of_submit_tells_of_plots(run):
    assert "--plot " in run("submit", "--help").stdout


def test_plan_says_what_the_job_would_be_and_starts_nothing(run, world):
    result = run("plan", "REQUEST", "--products", "dem")

    assert result.exit_code == 0
    assert row_of(result, "dem") == "dem eu-central-1 2 0 0 2 9 1024 100 9 s $0.0005 (0.0002 to 0.0009) seed averages"
    assert "Tasks     2 tiles x 1 product = 2\nOutputs   complete 0 (verified by size)" in result.stdout
    assert "Cap       none" in result.stdout
    assert result.stderr.splitlines()[-2] == "Nothing was started."
    assert not world.services.table.jobs(10)
    assert world.services.control.list("") == {}


def test_a_plan_counts_what_is_complete_product_by_product_and_costs_only_the_rest(run, world):
    for task in (planned(1, 2), planned(2, 4)):
        put_output(world.outputs, task)
    put_output(world.outputs, planned(1, 2, product=Product.S1), without=("s1",))

    result = run("plan", "REQUEST")

    assert row_of(result, "dem") == "dem eu-central-1 2 2 0 0 9 1024 100 - $0.00 (0.00 to 0.00) seed averages"
    assert row_of(result, "s1") == "s1 eu-central-1 2 0 1 2 14 1024 100 14 s $0.0006 (0.0003 to 0.0011) seed averages"
    assert "Outputs   complete 2 (verified by size)   damaged 1   to run 2" in result.stdout
    assert "damaged   2023/1X2Y/s1: 2023/ard/1/2/s1_" in result.stdout
    assert "as s1 takes: 2 tasks of 14 s, at most 100 at once in eu-central-1" in result.stdout


def test_a_plan_ends_with_the_command_that_starts_it(run, tmp_path):
    result = run("plan", "REQUEST", "--products", "dem", "--no-overwrite", "--max-cost", "15", "--json")

    expected = "producer submit request.json --products dem --no-overwrite --max-cost 15.0"
    assert next_commands(result, tmp_path) == [expected]
    assert [command.replace(f"{tmp_path}/", "") for command in json.loads(result.stdout)["next"]] == [expected]


def test_a_plan_of_what_is_all_there_has_nothing_to_start(run, world):
    for task in (planned(1, 2), planned(2, 4)):
        put_output(world.outputs, task)

    result = run("plan", "REQUEST", "--products", "dem")

    assert result.exit_code == 0
    assert "Duration  none: there is nothing to run" in result.stdout
    assert result.stderr == "Nothing is left to make. Nothing was started.\n"


def test_a_plan_of_a_job_that_exists_says_how_to_make_what_is_left_as_a_new_one(run, world, tmp_path):
    run("submit", "REQUEST", "--yes", "--label", "first")
    job = only_job(world)

    result = run("plan", "REQUEST")

    assert result.stdout.startswith(f"Job       {job.job_id}   exists already, open\n")
    assert next_commands(result, tmp_path) == [
        f"tracker status --job {job.job_id}",
        "producer submit request.json --rerun 2",
    ]


def test_a_plan_above_its_cap_says_that_the_job_would_wait(run):
    result = run("plan", "REQUEST", "--max-cost", "0.001")

    assert "Cap       $0.0010\nThe job may cost up to $0.0021, more than its cap of $0.0010: it waits" in result.stdout


def test_a_plan_uses_what_the_deployment_has_measured_and_says_so(run, world):
    table = world.services.table
    table.put_job(make_job(job_id="past"))
    table.add_tasks(
        make_row(job_id="past", x_tile=number, state=State.SUCCEEDED, check_after=None, seconds=4.0, gb_seconds=4.0)
        for number in range(40)
    )

    result = run("plan", "REQUEST")

    assert row_of(result, "dem").endswith(" 2 4 1024 100 4 s $0.0003 (0.0003 to 0.0003) history of 40 tasks")
    assert row_of(result, "s1").endswith("seed averages")


def test_unknown_tiles_are_listed_with_the_command_that_leaves_them_out(run, tmp_path):
    request = {"gha": {"2023": {"missing_tiles": ["1X2Y", "99X9Y"]}}}

    result = run("plan", "REQUEST", "--products", "dem", request=request)

    assert result.exit_code == 3
    assert result.stdout == ""
    assert "/gha/2023/missing_tiles/1: 99X9Y is not in the tile index" in result.stderr
    assert next_commands(result, tmp_path) == ["producer plan request.json --products dem --skip-unknown"]


@pytest.mark.parametrize("names", [["99X9Y"], ["1X2Y", "oops"], ["1X2Y", "99X9Y", "oops"]])
def test_leaving_out_unknown_tiles_is_not_advised_where_it_would_not_help(run, tmp_path, names):
    result = run("plan", "REQUEST", request={"gha": {"2023": {"missing_tiles": names}}})

    assert result.exit_code == 3
    assert next_commands(result, tmp_path) == []


def test_skipped_unknown_tiles_are_listed_beside_the_plan(run):
    request = {"gha": {"2023": {"missing_tiles": ["1X2Y", "99X9Y"]}}}

    result = run("plan", "REQUEST", "--skip-unknown", request=request)

    assert "Tiles     requested 2   duplicates 0   unknown 1 (left out)" in result.stdout
    assert "/gha/2023/missing_tiles/1: 99X9Y is not in the tile index" in result.stderr


@pytest.mark.parametrize("command", [["plan"], ["submit", "--yes"]])
def test_memory_must_be_what_the_products_are_deployed_with(run, world, command):
    refused = run(*command, "REQUEST", "--mem", "4096")
    accepted = run(*command, "REQUEST", "--mem", "1024")

    assert refused.exit_code == 3
    assert "(dem 1024, s1 1024 MB), found --mem 4096; leave --mem out, deploy with that memory" in refused.stderr
    assert accepted.exit_code == 0


def test_only_the_products_that_are_asked_for_must_have_the_memory(run, world):
    queues = dict(world.services.settings.queues)
    queues[Product.S1] = queues[Product.S1].model_copy(update={"memory_mb": 2048})
    services = replace(world.services, settings=world.services.settings.model_copy(update={"queues": queues}))

    codes = [run("plan", "REQUEST", *more, "--mem", "1024", services=services).exit_code for more in ([], PRODUCTS)]

    assert codes == [3, 0]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_dry_run_of_submit_is_the_plan(run, world, more):
    shown = run("plan", "REQUEST", *more)

    dry = run("submit", "REQUEST", "--dry-run", *more)

    assert (dry.stdout, dry.stderr, dry.exit_code) == (shown.stdout, shown.stderr, 0)
    assert not world.services.table.jobs(10)


def test_content_that_changed_is_found_by_a_full_verification_and_made_again(run, world):
    keys = put_output(world.outputs, planned(1, 2))
    put_output(world.outputs, planned(2, 4))
    change_content(world.outputs, keys["dem"])

    sizes = run("plan", "REQUEST", *PRODUCTS)
    full = run("plan", "REQUEST", *PRODUCTS, "--verify", "full")
    run("submit", "REQUEST", *PRODUCTS, "--verify", "full", "--yes")
    send_chunk(only_job(world).job_id, 0, services=world.services)

    assert "complete 2 (verified by size)   damaged 0   to run 0" in sizes.stdout
    assert "complete 1 (verified by content)   damaged 1   to run 1" in full.stdout
    states = {row.task_id: row.state for row in world.services.table.tasks(only_job(world))}
    assert states == {"2023/1X2Y/dem": State.QUEUED, "2023/2X4Y/dem": State.SKIPPED}


def test_a_plan_changes_no_output_however_damaged(run, world):
    change_content(world.outputs, put_output(world.outputs, planned(1, 2))["dem"])
    before = world.outputs.list("")

    run("plan", "REQUEST", "--verify", "full")

    assert world.outputs.list("") == before


def test_damaged_outputs_stay_where_the_job_exists_and_would_not_make_them_again(run, world):
    run("submit", "REQUEST", *PRODUCTS, "--yes")
    change_content(world.outputs, put_output(world.outputs, planned(1, 2))["dem"])
    before = world.outputs.list("")

    result = run("submit", "REQUEST", *PRODUCTS, "--yes", "--verify", "full")

    assert result.exit_code == 3
    assert "exists already and makes nothing again; as a new job: producer submit " in result.stderr
    assert "--verify full --yes --rerun 2" in result.stderr
    assert world.outputs.list("") == before


@pytest.mark.parametrize("call", ["get", "size"])
def test_a_plan_that_cannot_check_says_so_and_shows_nothing(run, world, call):
    class Throttled:
        def __getattr__(self, name):
            return self.refuse if name == call else getattr(world.outputs, name)

        def refuse(self, key):
            raise Unavailable("SlowDown")

    put_output(world.outputs, planned(1, 2))
    services = replace(world.services, open_store=lambda dest: Throttled())

    result = run("plan", "REQUEST", services=services)

    assert (result.exit_code, result.stdout) == (4, "")
    assert "error: SlowDown" in result.stderr


def test_the_help_lists_every_exit_code(run):
    told = " ".join(run("--help").stdout.split())

    assert set(EXIT_CODES) == set(Exit) - {Exit.DRIFT}, "which is the tracker's own"
    assert all(f"{int(code)} {meaning}" in told for code, meaning in EXIT_CODES.items())


def test_a_plan_names_the_job_that_submit_starts(run, world):
    planned = json.loads(run("plan", "REQUEST", "--json").stdout)

    run("submit", "REQUEST", "--yes")

    assert planned["job_id"] == only_job(world).job_id
    assert planned["checked"]
    assert [product["made_already"] for product in planned["products"]] == [0, 0]


def test_a_job_above_the_cap_runs_once_it_is_approved(run, world):
    submitted = run("submit", "REQUEST", "--yes", "--max-cost", "0.000001")
    job = only_job(world)

    approved = run("approve", "--job", job.job_id)

    assert submitted.stdout.splitlines()[1] == f"producer approve --job {job.job_id}"
    assert approved.stdout == f"{job.job_id}  open: 1 chunk, 0 tasks sent\n"
    assert only_job(world).command is Command.OPEN


def test_a_job_that_awaits_approval_is_not_waited_for(run):
    assert run("submit", "REQUEST", "--yes", "--max-cost", "0.000001", "--wait").exit_code == 7


def test_resume_sends_what_was_held_back(run, world):
    run("submit", "REQUEST", "--yes")
    job = only_job(world)
    world.services.table.set_command(job.job_id, Command.PAUSED)

    told = json.loads(run("resume", "--job", job.job_id, "--json").stdout)

    assert (told["command"], told["chunks_sent"], told["tasks_sent"]) == ("open", 1, 0)


@pytest.mark.parametrize("command", ["approve", "resume"])
def test_a_job_that_is_not_there_has_an_exit_code_of_its_own(run, command):
    result = run(command, "--job", "nothing")

    assert result.exit_code == 9
    assert "none called nothing" in result.stderr


@pytest.mark.parametrize(("failed", "code"), [(0, 0), (1, 1), (4, 8)], ids=["all made", "one failed", "all failed"])
def test_wait_ends_with_the_outcome(run, world, failed, code):
    run("submit", "REQUEST", "--yes")
    job = only_job(world)
    send_chunk(job.job_id, 0, services=world.services)
    for number, row in enumerate(list(world.services.table.tasks(job))):
        state = State.FAILED if number < failed else State.SUCCEEDED
        world.services.table.replace(row, replace(row, state=state, check_after=None))

    result = run("submit", "REQUEST", "--yes", "--wait")

    assert result.exit_code == code
    assert (f"{failed} FAILED" in result.stdout) == bool(failed)


class Growing:
    """A table whose job ends in three looks, the last of which only its own rows show."""

    def __init__(self, table, job):
        self.table, self.asked = table, []
        self.rows = list(table.tasks(job))

    def __getattr__(self, name):
        return getattr(self.table, name)

    def activity(self, job, since):
        self.asked.append(since)
        row = self.rows[min(len(self.asked), len(self.rows)) - 1]
        self.table.replace(row, replace(row, state=State.SUCCEEDED, check_after=None))
        return self.table.activity(job, 0)


def test_following_reads_what_changed_lately_and_ends_with_the_last_task(run, world):
    run("submit", "REQUEST", "--yes", "--products", "dem")
    job = only_job(world)
    send_chunk(job.job_id, 0, services=world.services)
    table, pauses, shown = Growing(world.services.table, job), [], []

    followed = follow(job.job_id, table=table, clock=lambda: NOW, sleep=pauses.append, show=shown.append)

    assert followed.finished
    assert followed.counts == {State.SUCCEEDED: 2}
    assert table.asked == [0.0, NOW - 60]
    assert (len(pauses), len(shown)) == (1, 2)


@pytest.mark.parametrize(("plot", "option"), [(False, ""), (True, " --plot")])
@pytest.mark.parametrize("code", [0, 3])
def test_the_tracker_writes_the_report(tmp_path, code, plot, option):
    program = tmp_path / "tracker"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\nexit {code}\n')
    program.chmod(0o755)

    with pytest.raises(Unavailable, match="expected exit code 0, found 3") if code else nullcontext():
        write_report("a-job", tmp_path / "out", program=program, plot=plot)

    assert (tmp_path / "said").read_text() == f"report --job a-job --report-dir {tmp_path}/out{option}\n"


def test_a_report_needs_the_tracker(tmp_path):
    with pytest.raises(InvalidInput, match=r"expected the tracker at .*, found none"):
        write_report("a-job", tmp_path, program=tmp_path / "tracker")


@pytest.fixture
def deployed(cloud, tmp_path):
    """The environment of a person whose deployment is on an engine, its tile index in the bucket."""
    tiles = make_tiles(10)
    table = {"X": tiles.lon, "Y": tiles.lat, "X_tile": tiles.x_tile, "Y_tile": tiles.y_tile}
    pq.write_table(pa.table({name: np.asarray(column) for name, column in table.items()}), tmp_path / "index.parquet")
    cloud.s3.put_object(Bucket=cloud.bucket, Key="tiles/index.parquet", Body=(tmp_path / "index.parquet").read_bytes())
    chunks, _ = cloud.new_queue()
    inbox, _ = cloud.new_queue()
    return cloud.environment | {
        "TTC_CONTROL_BUCKET": cloud.bucket,
        "TTC_CONTROL_REGION": "us-west-2",
        "TTC_INBOX_QUEUE_URL": inbox.url,
        "TTC_CHUNK_QUEUE_URL": chunks.url,
        "TTC_TILE_INDEX": f"s3://{cloud.bucket}/tiles/index.parquet",
        "TTC_DEFAULT_DEST": f"s3://{cloud.bucket}/out",
        "TTC_ALLOWED_DESTS": json.dumps([f"s3://{cloud.bucket}/out"]),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


def python(code, *arguments, environment, stdin=""):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )


def sqs_event(body):
    record = {"messageId": "m1", "receiptHandle": "r", "body": body, "eventSource": "aws:sqs", "messageAttributes": {}}
    return json.dumps({"Records": [{**record, "attributes": {"ApproximateReceiveCount": "1"}}]})


HANDLE = """
import json, sys
from importlib import import_module
print(json.dumps(import_module(sys.argv[1]).handler(json.load(sys.stdin), object())))
"""


def handled(module, body, environment):
    """What a function's handler answers, in a process and an environment of its own."""
    done = python(HANDLE, module, environment=environment, stdin=sqs_event(body))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_whole_deployment_takes_a_job_from_the_command_line_to_the_product_s_queue(cloud, deployed, tmp_path):
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    arguments = ["submit", str(tmp_path / "request.json"), "--yes", "--json"]

    submitted = python("from producer.cli import app; app()", *arguments, environment=deployed)
    assert submitted.returncode == 0, submitted.stderr
    job_id = json.loads(submitted.stdout)["job_id"]
    body = json.dumps({"version": 1, "job_id": job_id, "number": 0})
    assert handled("producer.chunks", body, deployed) == {"batchItemFailures": []}

    assert len(cloud.queue.receive(visible_again_seconds=60)) == 2
    assert [row.state for row in cloud.table.tasks(cloud.table.job(job_id))] == [State.QUEUED] * 2


def test_the_inbox_of_a_whole_deployment_answers_beside_the_request(cloud, deployed):
    cloud.s3.put_object(Bucket=cloud.bucket, Key="requests/a.json", Body=json.dumps(REQUEST))
    s3 = {"bucket": {"name": cloud.bucket}, "object": {"key": "requests/a.json"}}
    body = json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]})

    assert handled("producer.inbox", body, deployed) == {"batchItemFailures": []}

    told = cloud.s3.get_object(Bucket=cloud.bucket, Key="receipts/requests/a.json.receipt.json")["Body"].read()
    assert json.loads(told)["tasks"] == {"dem": 2}


@pytest.mark.parametrize("module", ["producer.inbox", "producer.chunks"])
def test_a_poison_message_fails_its_record(module, deployed):
    assert handled(module, "oops", deployed) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


def test_without_a_deployment_the_missing_variables_are_named(tmp_path):
    (tmp_path / "request.json").write_text(json.dumps(REQUEST))
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = ["submit", str(tmp_path / "request.json"), "--yes"]

    done = python("from producer.cli import app; app()", *arguments, environment=environment)

    assert done.returncode == 4
    assert "TTC_TABLE" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_index_that_is_not_in_its_bucket_is_an_error(cloud):
    with pytest.raises(InvalidInput, match=r"expected a tile index at s3://.*, found nothing"):
        read_index(f"s3://{cloud.bucket}/no.parquet", aws=AwsSettings(), region="us-west-2")


def test_the_default_dest_is_the_deployment_s(run, world):
    run("submit", "REQUEST", "--yes")

    assert only_job(world).dest == DEST
