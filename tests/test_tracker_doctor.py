import json
import time

import pytest
from typer.testing import CliRunner

from ard.adapters.queues import Outgoing
from tests.servers import Answer, serving
from tests.tracking import Console
from tracker.cli import app
from tracker.doctor.examine import examine
from tracker.doctor.findings import Level


@pytest.fixture
def tracker(cloud):
    console = Console(cloud)
    index = {"TTC_TILE_INDEX": __file__, "TTC_DEFAULT_DEST": f"s3://{cloud.bucket}/ttc"}
    console.environment |= index
    cloud.sqs.set_queue_attributes(QueueUrl=cloud.queue.url, Attributes={"VisibilityTimeout": "180"})
    return console


def findings(tracker):
    result = tracker.run("doctor", "--json")
    document = json.loads(result.stdout)
    return result.exit_code, {finding["check"]: finding for finding in document["findings"]}


def test_a_deployment_that_is_well_passes(tracker):
    code, found = findings(tracker)

    assert [(one["check"], one["found"]) for one in found.values() if one["level"] == "fail"] == []
    assert code == 0
    assert {"packages", "credentials", "table", "indexes", "queue dem", "inbox", "tile index", "destination"} <= set(
        found
    )


def test_a_queue_that_shows_messages_too_soon_fails_with_the_command_that_mends_it(tracker):
    tracker.cloud.sqs.set_queue_attributes(QueueUrl=tracker.cloud.queue.url, Attributes={"VisibilityTimeout": "179"})

    code, found = findings(tracker)

    assert (code, found["queue dem"]["level"]) == (4, "fail")
    assert found["queue dem"]["remedy"].startswith("aws sqs set-queue-attributes")
    assert found["queue dem"]["remedy"].endswith("VisibilityTimeout=180")


def test_dead_letters_and_requests_without_an_answer_are_doubtful_and_not_failures(tracker):
    tracker.cloud.dlq.send([Outgoing(body="{}")])
    tracker.cloud.s3.put_object(Bucket=tracker.cloud.bucket, Key="requests/a.json", Body=b"{}")

    code, found = findings(tracker)

    assert (code, found["dead letters dem"]["level"]) == (0, "warn")
    assert found["inbox"]["level"] == "ok"  # it is younger than five minutes


def test_a_table_and_a_bucket_that_are_not_there_fail_and_the_rest_is_looked_at(tracker):
    tracker.environment |= {"TTC_TABLE": "nowhere", "TTC_CONTROL_BUCKET": "nowhere"}

    code, found = findings(tracker)

    assert (code, found["table"]["level"], found["inbox"]["level"]) == (4, "fail", "fail")
    assert found["queue dem"]["level"] == "ok"


def test_a_catalogue_that_is_named_is_asked(tracker):
    with serving(lambda *_: Answer(status=503)) as url:
        tracker.environment["TTC_STAC_URL"] = url
        code, found = findings(tracker)

    assert (code, found["stac url"]["level"]) == (4, "fail")
    assert "503" in found["stac url"]["found"]


def test_nothing_configured_is_told_without_a_traceback():
    result = CliRunner().invoke(app, ["doctor"])

    assert result.exit_code == 4
    assert "TTC_TABLE: Field required" in result.stdout and 'eval "$(sandbox env)"' in result.stdout


@pytest.mark.parametrize(
    "variables",
    [
        {"TTC_QUEUES": "no json"},
        {"AWS_ENDPOINT_URL": "no address"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
        {"AWS_PROFILE": "nobody"},
        {"TTC_TABLE_REGION": "not a region"},
    ],
)
def test_settings_that_make_no_sense_are_findings(variables):
    own = {"url": "http://127.0.0.1:9/q", "dlq_url": "http://127.0.0.1:9/d", "region": "us-west-2"}
    sizes = {"memory_mb": 1, "timeout_seconds": 1, "max_concurrency": 1}
    environment = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "TTC_TABLE": "a",
        "TTC_TABLE_REGION": "us-west-2",
        "TTC_QUEUES": json.dumps({"dem": own | sizes}),
    }

    result = CliRunner().invoke(app, ["doctor", "--json"], env=environment | variables)

    assert result.exit_code == 4 and not isinstance(result.exception, ValueError | KeyError)
    assert any(finding["level"] == "fail" and finding["remedy"] for finding in json.loads(result.stdout)["findings"])


def test_every_finding_that_is_not_well_has_a_remedy():
    assert all(finding.remedy for finding in examine(now=time.time()) if finding.level is not Level.OK)
