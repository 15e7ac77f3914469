import csv
import io
import json

import pytest
from typer.testing import CliRunner

from ard.adapters.queues import FENCE, Outgoing
from ard.product import Product
from ard.rows import Attempt, Command, task_of
from ard.states import State
from tests.engines import REGION
from tests.factories import NOW, make_job, make_row
from tracker.cli import app

JOB = "2023-3t-0123456789"


class Console:
    """The command, on a deployment of its own."""

    def __init__(self, cloud):
        self.cloud = cloud
        inbox, chunks = cloud.new_queue()[0], cloud.new_queue()[0]
        self.environment = {
            **cloud.environment,
            "TTC_CONTROL_BUCKET": cloud.bucket,
            "TTC_CONTROL_REGION": REGION,
            "TTC_INBOX_QUEUE_URL": inbox.url,
            "TTC_CHUNK_QUEUE_URL": chunks.url,
            "TTC_TILE_INDEX": "/index.parquet",
            "TTC_DEFAULT_DEST": "s3://tof-output/ttc",
            "TTC_ALLOWED_DESTS": '["s3://tof-output"]',
        }

    def job(self, *rows, total=None, **fields):
        job = make_job(job_id=JOB, totals={Product.DEM: len(rows) if total is None else total}, **fields)
        self.cloud.table.put_job(job)
        self.cloud.table.add_tasks(rows)
        return job

    def run(self, *arguments):
        return CliRunner().invoke(app, list(arguments), env=self.environment)


@pytest.fixture
def tracker(cloud):
    return Console(cloud)


def row(number, state, **fields):
    return make_row(**{"job_id": JOB, "x_tile": number, "state": state, "check_after": None} | fields)


def test_status_counts_and_says_what_to_type_next(tracker):
    tracker.job(row(1, State.SUCCEEDED), row(2, State.FAILED, cause="asset_corrupt"), total=3)

    result = tracker.run("status", "--job", JOB)

    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("dem")]
    assert line.split()[:11] == ["dem", REGION, "1", "0", "0", "0", "0", "1", "1", "0", "3"]
    assert "66.6%" in line
    assert f"! 1 failed (asset_corrupt 1): tracker failures --job {JOB}" in result.stdout
    assert "\x1b" not in result.stdout


def test_status_as_json_has_a_version_and_a_kind(tracker):
    tracker.job(row(1, State.SUCCEEDED, gb_seconds=2.5), row(2, State.NO_DATA, cause="no_data"))

    document = json.loads(tracker.run("status", "--job", JOB, "--json").stdout)

    assert (document["schema_version"], document["kind"], document["job"]) == (1, "job_status", JOB)
    assert (document["state"], document["ended"]) == ("SUCCEEDED", True)
    assert (document["products"]["dem"]["done"], document["products"]["dem"]["region"]) == (1, REGION)
    assert document["tasks"]["progress"] == 1.0
    assert document["gb_seconds"] == 2.5


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([State.SUCCEEDED, State.SKIPPED, State.NO_DATA], 0),
        ([State.SUCCEEDED, State.FAILED], 1),
        ([State.SUCCEEDED, State.RUNNING], 7),
        ([State.FAILED, State.FAILED], 8),
    ],
)
def test_the_outcome_is_the_exit_code_when_asked(tracker, states, code):
    tracker.job(*(row(number, state) for number, state in enumerate(states)))

    assert tracker.run("status", "--job", JOB).exit_code == 0
    assert tracker.run("status", "--job", JOB, "--exit-status").exit_code == code


def test_watching_a_job_that_has_ended_ends(tracker):
    tracker.job(row(1, State.SUCCEEDED))

    result = tracker.run("status", "--job", JOB, "--watch", "--exit-status")

    assert result.exit_code == 0
    assert "100.0%" in result.stdout
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["status", "failures", "report", "redrive", "reconcile"])
def test_a_job_that_is_not_there_exits_with_9(tracker, command):
    result = tracker.run(command, "--job", "nowhere")

    assert result.exit_code == 9
    assert result.stderr.endswith("to see the newest: tracker jobs\n")
    assert result.stdout == ""


def test_no_deployment_exits_with_4_and_says_how_to_get_one():
    result = CliRunner().invoke(app, ["status", "--job", JOB])

    assert result.exit_code == 4
    assert result.stderr.startswith("no deployment configured: run 'eval \"$(sandbox env)\"' or set TTC_TABLE")


def test_a_refresh_below_two_seconds_is_wrong_usage(tracker):
    assert tracker.run("status", "--job", JOB, "--watch", "--refresh", "1").exit_code == 2


def test_jobs_are_listed_newest_first(tracker):
    tracker.job(row(1, State.SUCCEEDED))
    tracker.cloud.table.put_job(make_job(job_id="newer", created_at=NOW + 10))

    assert [line.split()[0] for line in tracker.run("jobs").stdout.splitlines()] == ["Job", "newer", JOB]
    (newest,) = json.loads(tracker.run("jobs", "--limit", "1", "--json").stdout)["jobs"]
    assert newest["job"] == "newer"


def test_no_jobs_is_an_answer(tracker):
    result = tracker.run("jobs")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "producer submit" in result.stderr


def test_failures_are_grouped_with_their_next_step(tracker):
    tracker.job(*(row(n, State.FAILED, cause="crashed", message=f"died at {n}") for n in range(3)))

    text = tracker.run("failures", "--job", JOB)
    (group,) = json.loads(tracker.run("failures", "--job", JOB, "--json").stdout)["groups"]

    assert f"1  tracker redrive --job {JOB} --product dem --cause crashed" in text.stdout
    assert text.stderr == "3 failed, 0 without data\n"
    assert (group["signature"], group["tasks"], group["class"]) == ("died at <n>", 3, "transient")


def test_a_report_is_written_where_it_says(tracker, tmp_path):
    tracker.job(row(1, State.SUCCEEDED), row(2, State.FAILED, cause="crashed"))

    result = tracker.run("report", "--job", JOB, "--report-dir", str(tmp_path))

    assert result.stdout == f"{tmp_path / JOB}\n"
    names = sorted(path.name for path in (tmp_path / JOB).iterdir())
    assert names == ["failed.csv", "report.txt", "summary.json", "tasks.csv"]
    (failed,) = csv.DictReader(io.StringIO((tmp_path / JOB / "failed.csv").read_text()))
    assert (failed["X_tile"], failed["product"]) == ("2", "dem")


def test_a_report_is_plotted_when_asked(tracker, tmp_path):
    attempt = Attempt(worker="request-1", started=NOW + 5, ended=NOW + 14, outcome="SUCCEEDED")
    tracker.job(row(1, State.SUCCEEDED, attempts=(attempt,)))

    result = tracker.run("report", "--job", JOB, "--report-dir", str(tmp_path), "--plot")

    folder = tmp_path / JOB / "plots"
    assert result.stdout == f"{tmp_path / JOB}\n"
    assert result.stderr.endswith(f"2 plots in {folder}\n")
    assert sorted(path.name for path in folder.iterdir()) == [f"{REGION}_histogram.png", f"{REGION}_timeline.png"]


def test_a_report_of_a_job_that_has_not_run_says_that_there_is_nothing_to_plot(tracker, tmp_path):
    tracker.job(row(1, State.QUEUED))

    result = tracker.run("report", "--job", JOB, "--report-dir", str(tmp_path), "--plot")

    assert "0 plots: nothing has run yet\n" in result.stderr
    assert not (tmp_path / JOB / "plots").exists()


def test_a_redrive_is_only_shown_until_it_is_applied(tracker):
    tracker.job(row(1, State.FAILED, cause="crashed"), row(2, State.FAILED, cause="asset_corrupt"))

    result = tracker.run("redrive", "--job", JOB)

    assert result.exit_code == 0
    assert "2 failed: 1 to send again, 1 left" in result.stdout
    assert f"to send: tracker redrive --job {JOB} --apply\n" in result.stderr
    assert f"to send the 1 left too: tracker redrive --job {JOB} --force --apply\n" in result.stderr
    assert tracker.cloud.queue.receive(visible_again_seconds=1) == []


def test_a_repaired_tile_is_redriven_by_force(tracker):
    broken = row(2, State.FAILED, cause="asset_corrupt", fence=1)
    job = tracker.job(row(1, State.SUCCEEDED), broken)
    tracker.cloud.dlq.send([Outgoing(body=task_of(broken, job).model_dump_json(), attributes={FENCE: "1"})])
    arguments = ["--tile", "2X871Y", "--force", "--reason", "scene repaired", "--apply"]

    result = tracker.run("redrive", "--job", JOB, *arguments)

    assert result.stdout == "sent 1   changed meanwhile 0   dead letters taken away 1\n"
    assert result.stderr == f"next: tracker status --job {JOB} --watch\n"
    (message,) = tracker.cloud.queue.receive(visible_again_seconds=1)
    assert message.attributes == {FENCE: "1"}
    assert tracker.cloud.dlq.depth() == 0


def test_a_redrive_with_nothing_to_send_is_no_work(tracker):
    tracker.job(row(1, State.SUCCEEDED), row(2, State.FAILED, cause="asset_corrupt"))

    result = tracker.run("redrive", "--job", JOB, "--apply", "--json")

    assert result.exit_code == 6
    assert len(json.loads(result.stdout)["permanent_left"]) == 1


@pytest.mark.parametrize(
    ("command", "arguments"), [(Command.OPEN, ["--tile", "oops"]), (Command.CANCELLED, ["--apply"])]
)
def test_a_redrive_that_makes_no_sense_is_bad_input(tracker, command, arguments):
    tracker.job(row(1, State.FAILED, cause="crashed"), command=command)

    result = tracker.run("redrive", "--job", JOB, *arguments)

    assert (result.exit_code, result.stdout) == (3, "")


def test_reconcile_says_what_it_did(tracker):
    tracker.job(row(1, State.QUEUED, check_after=NOW))

    first, second = tracker.run("reconcile"), tracker.run("reconcile", "--job", JOB, "--json")

    assert (first.exit_code, first.stdout.split()[:2]) == (0, ["resent", "1"])
    assert json.loads(second.stdout)["rows"] == {}


def test_an_odd_row_is_named_and_no_traceback(tracker):
    tracker.job(row(1, State.SUCCEEDED))
    tracker.cloud.dynamodb.put_item(
        TableName=tracker.cloud.table.name,
        Item={
            "PK": {"S": f"JOB#{JOB}#0"}, "SK": {"S": "TASK#2023#2X2Y#dem"}, "state": {"S": "DANCING"},
            "product": {"S": "dem"}, "updated_at": {"N": "1"},
        },
    )  # fmt: skip

    result = tracker.run("status", "--job", JOB)

    assert result.exit_code == 3
    assert "TASK#2023#2X2Y#dem" in result.stderr
