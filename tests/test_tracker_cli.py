import csv
import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ard.adapters.queues import FENCE, Outgoing
from ard.rows import Attempt, Command, task_of
from ard.states import State
from tests.engines import REGION
from tests.factories import NOW, make_job
from tests.tracking import JOB, Console, row
from tracker.cli import app


@pytest.fixture
def tracker(cloud):
    return Console(cloud)


def test_status_counts_and_says_what_to_type_next(tracker):
    tracker.job(row(1, State.SUCCEEDED), row(2, State.FAILED, cause="asset_corrupt"), total=3)

    result = tracker.run("status", "--job", JOB)

    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("dem")]
    assert line.split()[:10] == ["dem", REGION, "1", "0", "0", "0", "0", "1", "1", "3"]
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
    assert names == ["failed.csv", "report.html", "report.md", "report.txt", "summary.json", "tasks.csv"]
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


def failures(count, **fields):
    return [row(number, State.FAILED, **({"cause": "crashed"} | fields)) for number in range(count)]


def test_a_redrive_tells_its_cost_and_its_canary_before_it_is_applied(tracker):
    tracker.job(*failures(30), row(99, State.RUNNING))

    text = tracker.run("redrive", "--job", JOB).stdout
    document = json.loads(tracker.run("redrive", "--job", JOB, "--json").stdout)

    assert "estimate $" in text and "canary 10, then the rest if 80% of them end well" in text
    assert "never touched: 1 running now" in text
    assert (document["canary"], document["estimate"]["source"], document["letters"]) == (
        10,
        "seed averages",
        {"dem": 0},
    )


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_many_tasks_are_not_sent_unasked(tracker, arguments):
    tracker.job(*failures(21))

    result = tracker.run("redrive", "--job", JOB, "--apply", *arguments)

    assert (result.exit_code, result.stdout, tracker.cloud.queue.depth()) == (2, "", 0)
    assert "--yes" in result.stderr


def test_256_tasks_whose_canary_has_not_ended_are_not_success(tracker):
    tracker.job(*failures(256))

    result = tracker.run("redrive", "--job", JOB, "--apply", "--yes", "--canary", "3", "--canary-wait", "0")

    assert result.exit_code == 7
    assert (tracker.cloud.queue.depth(), "held back 253" in result.stdout) == (3, True)
    assert "the canary has not ended within 0 s" in result.stderr


def fail_what_is_queued(table, job, over):
    """A worker to whom everything goes wrong."""
    while not over.is_set():
        for one in table.tasks(job, states=[State.QUEUED]):
            table.replace(one, replace(one, state=State.FAILED, cause="auth"))


def test_256_tasks_that_fail_again_are_not_success(tracker):
    job, over = tracker.job(*failures(257)), threading.Event()
    worker = threading.Thread(target=fail_what_is_queued, args=(tracker.cloud.table, job, over))
    worker.start()

    result = tracker.run("redrive", "--job", JOB, "--apply", "--yes", "--canary", "256")
    over.set()
    worker.join()

    assert (result.exit_code, "sent 256" in result.stdout, "held back 1" in result.stdout) == (1, True, True)
    assert "stopped: the cause is not repaired" in result.stderr
    assert f"to send the 1 held back all the same: tracker redrive --job {JOB} --canary 0 --apply" in result.stderr


def test_a_canary_is_not_sent_for_a_job_that_does_not_run(tracker):
    tracker.job(*failures(21), command=Command.PAUSED)

    result = tracker.run("redrive", "--job", JOB, "--apply", "--yes")

    assert (result.exit_code, tracker.cloud.queue.depth()) == (3, 0)
    assert f"tracker resume --job {JOB}" in result.stderr


def test_nothing_is_sent_to_a_provider_that_seems_down_but_by_force(tracker):
    waiting = [row(number, State.RETRYING, cause="unavailable") for number in range(10, 14)]
    tracker.job(*failures(2), *waiting)

    refused = tracker.run("redrive", "--job", JOB, "--apply")
    forced = tracker.run("redrive", "--job", JOB, "--apply", "--force")

    assert (refused.exit_code, forced.exit_code) == (4, 0)
    assert "the provider of dem seems to be down: 4 tasks wait for it, 0 made" in refused.stderr


def test_the_failures_of_all_jobs_are_redriven_together(tracker):
    tracker.job(*failures(2))
    tracker.cloud.table.put_job(make_job(job_id="well"))
    tracker.cloud.table.put_job(make_job(job_id="over", command=Command.CANCELLED))
    tracker.cloud.table.add_tasks([replace(failures(1)[0], job_id="over")])

    shown = tracker.run("redrive", "--all")
    sent = json.loads(tracker.run("redrive", "--all", "--apply", "--json").stdout)
    again = tracker.run("redrive", "--all")

    assert [line for line in shown.stdout.splitlines() if "Plan" in line] == [f"Plan of {JOB} (nothing sent yet)"]
    assert (sent["kind"], [(one["job"], one["sent"]) for one in sent["jobs"]]) == ("redrives", [(JOB, 2)])
    assert (again.exit_code, again.stdout) == (6, "")


@pytest.mark.parametrize("arguments", [[], ["--all", "--job", JOB]])
def test_a_redrive_is_of_one_job_or_of_all(tracker, arguments):
    assert tracker.run("redrive", *arguments).exit_code == 2


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


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["status"], f"odd rows: 1, such as JOB#{JOB}#0 TASK#2023#2X2Y#dem; counted as queued: tracker doctor"),
        (["failures"], f"odd rows: 1, such as JOB#{JOB}#0 TASK#2023#2X2Y#dem; left out: tracker doctor"),
        (["quality"], f"odd rows: 1, such as JOB#{JOB}#0 TASK#2023#2X2Y#dem; left out: tracker doctor"),
    ],
)
def test_an_odd_row_is_named_and_does_not_hide_the_others(tracker, command, told):
    tracker.job(row(1, State.SUCCEEDED, digest={"slope_p50": 1.5}), row(3, State.FAILED, cause="crashed"), total=3)
    tracker.odd_row()

    result = tracker.run(*command, "--job", JOB)
    document = json.loads(tracker.run(*command, "--job", JOB, "--json").stdout)

    assert (result.exit_code, document["odd_rows"]) == (0, 1)
    assert told in result.output


def test_an_end_is_not_believed_while_a_row_cannot_be_read(tracker):
    tracker.job(row(1, State.SUCCEEDED), total=2)
    tracker.odd_row()

    assert tracker.run("status", "--job", JOB, "--exit-status").exit_code == 7


@pytest.mark.parametrize("command", [["status"], ["failures"], ["tile", "1X871Y", "--year", "2023"], ["jobs"]])
def test_what_data_says_never_commands_the_terminal(tracker, command):
    attack = "\x1b[2J\x07\x9b31m\u202e"
    tracker.job(row(1, State.FAILED, cause=attack, message=attack), dest=f"s3://{attack}")

    result = tracker.run(*command, *([] if command == ["jobs"] else ["--job", JOB]))

    assert not set(attack) & set(result.output) - set("[2J31m")
    assert "\\x1b" in result.output


def test_data_is_on_stdout_and_words_are_on_stderr(tracker):
    tracker.job(row(1, State.FAILED, cause="crashed"))

    json.loads(tracker.run("status", "--job", JOB, "--json", "--watch").stdout)
    assert tracker.run("failures", "--job", JOB).stderr.startswith("1 failed")
    assert "1 failed" not in tracker.run("failures", "--job", JOB).stdout


def test_no_line_ends_in_spaces_where_there_is_no_terminal(tracker):
    tracker.job(row(1, State.FAILED, cause="crashed"))

    assert not [line for line in tracker.run("status", "--job", JOB).stdout.splitlines() if line.endswith(" ")]


@pytest.mark.parametrize("arguments", [["status", "--job", JOB], ["failures", "--job", JOB, "--json"], ["doctor"]])
def test_a_reader_that_has_left_is_met_quietly(tracker, arguments):
    tracker.job(*(row(number, State.FAILED, cause="crashed") for number in range(40)))
    program = [sys.executable, "-c", "from tracker.cli import app; app()", *arguments]

    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **tracker.environment}, text=True
    ) as process:
        process.stdout.close()
        words = process.stderr.read()

    assert "Traceback" not in words and "Broken pipe" not in words and "Exception ignored" not in words


def test_256_failures_are_not_success(tracker):
    tracker.job(*(row(number, State.FAILED, cause="crashed") for number in range(256)))

    assert tracker.run("status", "--job", JOB, "--exit-status").exit_code == 8


def test_every_command_tells_its_exit_codes():
    for command in app.registered_commands:
        assert "9 no such job" in command.epilog


@pytest.mark.parametrize(
    ("by", "names"), [("product", ["dem"]), ("tile", ["2023/1X871Y", "2023/2X871Y", "2023/3X871Y"])]
)
def test_failures_are_put_together_by_product_or_by_tile(tracker, by, names):
    tracker.job(
        row(1, State.FAILED, cause="crashed"),
        row(2, State.FAILED, cause="auth"),
        row(3, State.NO_DATA, cause="no_data"),
    )

    document = json.loads(tracker.run("failures", "--job", JOB, "--by", by, "--json").stdout)
    text = tracker.run("failures", "--job", JOB, "--by", by).stdout

    assert [bundle["name"] for bundle in document["bundles"]] == names
    assert (document["failed"], document["no_data"], document["groups"]) == (2, 1, [])
    assert all(name in text for name in names)


def test_what_has_no_data_stands_apart_from_failures(tracker):
    tracker.job(row(1, State.NO_DATA, cause="no_data"), row(2, State.FAILED, cause="crashed"))

    text = tracker.run("failures", "--job", JOB).stdout

    assert text.index("crashed") < text.index("No data (results, not failures)") < text.index("no_data")


def test_a_job_that_cannot_be_read_does_not_hide_the_others(tracker):
    tracker.job(row(1, State.SUCCEEDED))
    tracker.cloud.dynamodb.put_item(
        TableName=tracker.cloud.table.name,
        Item={"PK": {"S": "JOB#odd"}, "SK": {"S": "META"}, "kind": {"S": "JOB"}, "created_at": {"N": "1"}},
    )

    result = tracker.run("jobs")

    assert (result.exit_code, JOB in result.stdout) == (0, True)
    assert "odd rows: 1, such as JOB#odd META" in result.stderr
