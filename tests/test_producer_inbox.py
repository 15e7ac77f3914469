"""What is dropped in the inbox becomes a job and a receipt, or a rejection that says why."""

import json
from dataclasses import replace
from urllib.parse import quote_plus

import pytest

from ard.adapters.queues import Queue
from ard.adapters.records import Record
from ard.adapters.store import Store
from ard.errors import InvalidInput, Unavailable
from ard.product import Product
from ard.rows import Command
from ard.settings import AwsSettings
from ard.states import State
from producer import inbox
from producer.intake import Dropped, Outcome, dropped_objects, take_in
from producer.jobs import approve_job
from producer.request import DEFAULT_LIMITS
from producer.services import Services
from tests.factories import make_job, make_row
from tests.producing import BUCKET, NOW, REGION, Crash, Faults, make_index, make_settings, mocked_world, new_world

KEY = "requests/ghana.json"
RECEIPT = "receipts/requests/ghana.json.receipt.json"
REJECTED = "receipts/requests/ghana.json.rejected.json"


@pytest.fixture
def world():
    with mocked_world() as world:
        yield world


def make_request(*names, **options):
    request = {"gha": {"2023": {"missing_tiles": list(names or ("1X2Y", "2X4Y")), "all_tiles": []}}}
    return {**request, "$options": options} if options else request


def drop(world, request=None, *, key=KEY):
    content = request if isinstance(request, bytes) else json.dumps(request or make_request()).encode()
    world.services.control.put(key, content)
    return Dropped(bucket=BUCKET, key=key)


def take(world, dropped, *, now=NOW):
    return take_in(dropped, services=world.services, now=now)


def answer(world, key):
    content = world.services.control.get(key)
    return None if content is None else json.loads(content)


def make_event(*keys, version=None, bucket=BUCKET):
    # As https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html shows it.
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "us-west-2",
                "eventTime": "2026-11-22T14:09:31.000Z",
                "eventName": "ObjectCreated:Put",
                "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZ"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "inbox",
                    "bucket": {
                        "name": bucket,
                        "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                        "arn": f"arn:aws:s3:::{bucket}",
                    },
                    "object": {
                        "key": quote_plus(key, safe="/"),
                        "size": 1024,
                        "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                        "sequencer": "0055AED6DCD90281E5",
                    }
                    | ({"versionId": version} if version else {}),
                },
            }
            for key in keys
        ]
    }


def make_record(event):
    body = event if isinstance(event, str) else json.dumps(event)
    return Record(body=body, receipt="r", message_id="m", attributes={}, receives=1)


@pytest.mark.parametrize(
    "key", ["requests/a.json", "requests/job 1+ü.json", "requests/100%25.json", "requests/a/b.json"]
)
def test_keys_come_out_as_they_were_spelled(key):
    assert dropped_objects(json.dumps(make_event(key))) == [Dropped(bucket=BUCKET, key=key)]


def test_a_version_is_kept():
    (dropped,) = dropped_objects(json.dumps(make_event(KEY, version="096fKKXTRTtl3on89fVO.nfljtsv6qko")))

    assert dropped.version == "096fKKXTRTtl3on89fVO.nfljtsv6qko"


def test_the_fields_that_emulators_leave_out_are_not_needed():
    s3 = {"bucket": {"name": BUCKET}, "object": {"key": "requests%2Fjob+1.json", "versionId": None}}

    found = dropped_objects(json.dumps({"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": s3}]}))

    assert found == [Dropped(bucket=BUCKET, key="requests/job 1.json")]


def test_only_created_objects_count():
    event = make_event(KEY)
    event["Records"][0]["eventName"] = "ObjectRemoved:Delete"

    assert dropped_objects(json.dumps(event)) == []


def test_the_test_event_is_nothing():
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET, "RequestId": "5582815E1AEA5ADF"}

    assert dropped_objects(json.dumps(event)) == []


@pytest.mark.parametrize("body", ["", "oops", "[]", "{}", '{"Records": [{}]}', '{"Records": "x"}'])
def test_what_is_no_notification_fails_its_record(world, body):
    with pytest.raises(InvalidInput, match="expected a notification of S3"):
        inbox.handle_record(make_record(body), world.services)


def test_a_request_becomes_a_job_and_a_receipt(world):
    dropped = drop(world, make_request("1X2Y", "2X4Y", "2X4Y", "99X9Y", label="Ghana", on_unknown_tile="skip"))

    taken = take(world, dropped)

    assert taken.outcome is Outcome.JOB
    told = answer(world, RECEIPT)
    estimate = told.pop("estimate")
    assert told == {
        "version": 1,
        "kind": "receipt",
        "request": KEY,
        "request_version": None,
        "answered_at": "2023-11-14T22:13:20Z",
        "job_id": taken.job_id,
        "status": "created",
        "command": "open",
        "held": None,
        "created_at": "2023-11-14T22:13:20Z",
        "dest": "s3://tof-output/ttc",
        "formats": ["cog"],
        "overwrite": False,
        "tiles": 2,
        "tasks": {"dem": 2, "s1": 2},
        "duplicates": 1,
        "unknown": {
            "skipped": 1,
            "listed": [{"pointer": "/gha/2023/missing_tiles/3", "message": "99X9Y is not in the tile index"}],
        },
        "max_cost_usd": None,
        "next": [f"tracker status --job {taken.job_id}"],
    }
    assert 0 < estimate["low_usd"] < estimate["expected_usd"] < estimate["high_usd"]
    assert estimate["source"] == "seed averages"
    assert set(world.chunk_messages()) == {0}


def test_a_job_above_its_cap_is_told_how_to_approve_it(world):
    taken = take(world, drop(world, make_request(max_cost_usd=1e-9)))

    told = answer(world, RECEIPT)
    assert told["command"] == "awaiting_approval"
    assert told["held"].startswith("The job may cost up to $")
    assert told["held"].endswith("more than its cap of $0.0000: it waits until somebody approves it.")
    assert told["next"][0] == f"producer approve --job {taken.job_id}"
    assert not world.chunk_messages()


@pytest.mark.parametrize(
    ("asked", "allowed", "cap"),
    [(None, 1e-4, 1e-4), (50.0, 1e-4, 1e-4), (1e-4, 50.0, 1e-4), (2e-4, None, 2e-4)],
    ids=["the deployment's alone", "the deployment's is lower", "the request's is lower", "the request's alone"],
)
def test_the_lower_cap_of_request_and_deployment_holds_a_job(asked, allowed, cap):
    with mocked_world(max_cost_usd=allowed) as world:
        request = make_request(**({} if asked is None else {"max_cost_usd": asked}))

        taken = take(world, drop(world, request))

        told = answer(world, RECEIPT)
        assert (told["command"], told["max_cost_usd"]) == ("awaiting_approval", cap)
        assert f"more than its cap of ${cap:.4f}" in told["held"]
        assert world.services.table.job(taken.job_id).max_cost_usd == cap
        assert not world.chunk_messages()


def test_a_deployment_s_cap_lets_cheaper_jobs_run():
    with mocked_world(max_cost_usd=50) as world:
        take(world, drop(world))

        assert (answer(world, RECEIPT)["command"], answer(world, RECEIPT)["held"]) == ("open", None)


def test_a_request_that_waits_runs_once_it_is_approved_and_its_receipt_can_be_asked_for_again(world):
    dropped = drop(world, make_request(max_cost_usd=1e-4))
    job_id = take(world, dropped).job_id

    approved = approve_job(job_id, services=world.services, now=NOW)
    again = take(world, dropped)

    assert (approved.chunks_sent, set(world.chunk_messages())) == (1, {0})
    assert again.job_id == job_id
    told = answer(world, RECEIPT)
    assert (told["command"], told["held"], told["next"]) == ("open", None, [f"tracker status --job {job_id}"])


@pytest.mark.parametrize(
    "dest",
    [
        "s3://tof-output-evil",
        "s3://tof-output-evil/ttc",
        "s3://tof-outputs",
        "s3://tof",
        "s3://tof-output.evil/ttc",
        "s3://tof-output/../evil",
        "s3://tof-output/ttc/..",
        "s3://tof-output//ttc",
        "s3://TOF-OUTPUT/ttc",
        "https://tof-output/ttc",
        "/outputs2",
        "/outputs/../etc",
        "/",
        "//",
        "outputs",
        "",
    ],
)
def test_a_destination_outside_the_allow_list_is_refused_however_it_is_spelled(world, dest):
    assert take(world, drop(world, make_request(dest=dest))).outcome is Outcome.REJECTED

    assert_rejected(world, ("/$options/dest", "expected"))


@pytest.mark.parametrize(
    "dest", ["s3://tof-output", "s3://tof-output/", "s3://tof-output/ttc///", "/outputs/", "/outputs/a"]
)
def test_a_destination_inside_the_allow_list_is_taken_in_its_one_spelling(world, dest):
    assert take(world, drop(world, make_request(dest=dest))).outcome is Outcome.JOB

    assert answer(world, RECEIPT)["dest"] == dest.rstrip("/")


def test_a_deployment_whose_allow_list_ends_with_a_slash_allows_no_more():
    with mocked_world(allowed_dests=("s3://tof-output/ttc/",)) as world:
        take(world, drop(world, make_request(dest="s3://tof-output/ttc2")))

        assert_rejected(world, ("/$options/dest", "expected a destination under what this deployment allows"))


@pytest.mark.parametrize("name", ["$version", "$schema"])
def test_a_request_of_a_version_that_nobody_knows_is_rejected(world, name):
    take(world, drop(world, {**make_request(), name: 2}))

    assert_rejected(world, (f"/{name}", "expected a project or"))


def test_a_byte_order_mark_is_no_reason_to_reject(world):
    assert take(world, drop(world, b"\xef\xbb\xbf" + json.dumps(make_request()).encode())).outcome is Outcome.JOB


@pytest.mark.parametrize("name", ["-1X2Y", "1X-2Y", "1.5X2Y", "1X2Y ", "01X2Y", "1x2y", ""])
def test_a_tile_that_is_not_spelled_as_one_is_listed_and_nothing_is_started(world, name):
    take(world, drop(world, make_request("1X2Y", name, on_unknown_tile="skip")))

    assert_rejected(world, ("/gha/2023/missing_tiles/1", "expected a tile such as 1000X871Y"))


def test_what_the_deployment_has_measured_decides_about_the_cap(world):
    table = world.services.table
    table.put_job(make_job(job_id="past"))
    table.add_tasks(
        make_row(job_id="past", x_tile=number, state=State.SUCCEEDED, check_after=None, seconds=900.0, gb_seconds=900.0)
        for number in range(30)
    )

    take(world, drop(world, make_request(products=["dem"], max_cost_usd=0.02)))

    told = answer(world, RECEIPT)
    assert (told["command"], told["estimate"]["source"]) == ("awaiting_approval", "history of 30 tasks")


def test_the_same_notification_twice_is_one_job_with_one_receipt(world):
    dropped = drop(world)
    first = take(world, dropped)
    told = answer(world, RECEIPT)

    assert take(world, dropped) == first

    assert answer(world, RECEIPT) == told
    assert len(world.services.table.jobs(10)) == 1


def test_the_same_content_under_another_key_is_told_of_the_existing_job(world):
    first = take(world, drop(world))

    second = take(world, drop(world, key="requests/copy.json"))

    assert second.job_id == first.job_id
    told = answer(world, "receipts/requests/copy.json.receipt.json")
    assert (told["status"], told["job_id"]) == ("existing", first.job_id)


def assert_rejected(world, *problems, total=None):
    told = answer(world, REJECTED)
    found = [(problem["pointer"], problem["message"]) for problem in told["problems"]]
    assert [pointer for pointer, _ in found] == [pointer for pointer, _ in problems]
    assert all(part in message for (_, message), (_, part) in zip(found, problems, strict=True))
    assert told["total"] == (total or len(problems))
    assert "drop the file again" in told["how_to_fix"]
    assert answer(world, RECEIPT) is None
    assert not world.services.table.jobs(10)


def test_a_wrong_request_is_rejected_with_every_problem_in_its_place(world):
    wrong = make_request("1X2Y", "oops", "99X9Y", dest="s3://elsewhere/x", products=["s2"])
    wrong["gha"]["1899"] = {"missing_tiles": []}

    taken = take(world, drop(world, wrong))

    assert taken.outcome is Outcome.REJECTED
    assert_rejected(
        world,
        ("/gha/1899", "expected a year from 2015"),
        ("/gha/2023/missing_tiles/1", "expected a tile such as"),
        ("/$options/dest", "expected a destination under what this deployment allows"),
        ("/$options/products", "expected products that this deployment makes (dem, s1), found s2"),
        ("/gha/2023/missing_tiles/2", "99X9Y is not in the tile index"),
    )


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"[" * 10_000])
def test_what_is_no_request_is_rejected(world, content):
    assert take(world, drop(world, content)).outcome is Outcome.REJECTED

    assert_rejected(world, ("", "expected"))


def test_a_file_that_is_too_large_is_rejected_before_it_is_read(world):
    take(world, drop(world, b" " * (DEFAULT_LIMITS.max_bytes + 1)))

    assert_rejected(world, ("", "expected at most 52,428,800 bytes, found 52,428,801"))


def test_no_tile_left_is_a_rejection_that_lists_what_was_skipped(world):
    take(world, drop(world, make_request("97X9Y", "98X9Y", on_unknown_tile="skip")))

    assert_rejected(
        world,
        ("", "expected at least one known tile, found 2 unknown ones"),
        ("/gha/2023/missing_tiles/0", "97X9Y"),
        ("/gha/2023/missing_tiles/1", "98X9Y"),
    )


def test_a_request_that_names_no_tile_is_rejected(world):
    take(world, drop(world, {"gha": {"2023": {"missing_tiles": []}}}))

    assert_rejected(world, ("", "expected at least one tile, found none"))


def test_an_object_that_is_gone_is_acknowledged(world):
    assert take(world, Dropped(bucket=BUCKET, key=KEY)).outcome is Outcome.GONE

    assert world.services.control.list("") == {}


@pytest.mark.parametrize("key", ["receipts/requests/a.json.receipt.json", "jobs/a.json", "requests/a.csv", "requests/"])
def test_other_objects_are_none_of_ours(world, key):
    assert take(world, Dropped(bucket=BUCKET, key=key)).outcome is Outcome.NOT_A_REQUEST


@pytest.mark.parametrize("key", ["requests//a.json", "requests/../a.json", "requests/./a.json", "requests/a\n.json"])
def test_a_key_that_no_folder_could_have_is_rejected_beside_a_plain_one(world, key):
    assert take(world, Dropped(bucket=BUCKET, key=key)).outcome is Outcome.REJECTED

    (written,) = world.services.control.list("receipts/")
    assert answer(world, written)["request"] == key


def test_an_object_of_another_bucket_fails_its_record(world):
    with pytest.raises(InvalidInput, match="expected an object in control, found one in other"):
        take(world, Dropped(bucket="other", key=KEY))


def test_one_message_may_name_many_objects(world):
    for name in ("a", "b"):
        drop(world, make_request(label=name, rerun=ord(name)), key=f"requests/{name} 1+ü.json")

    inbox.handle_record(make_record(make_event("requests/a 1+ü.json", "requests/b 1+ü.json")), world.services)

    assert len(world.services.table.jobs(10)) == 2
    assert set(world.services.control.list("receipts/")) == {
        "receipts/requests/a 1+ü.json.receipt.json",
        "receipts/requests/b 1+ü.json.receipt.json",
    }


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_intake_that_dies_at_any_step_is_finished_by_the_next_delivery(world, after):
    def take_with(place, services):
        take_in(Dropped(bucket=BUCKET, key=KEY), services=services, now=NOW)

    counted = Faults()
    drop(world)
    take_with(world, world.with_faults(counted))
    expected = answer(world, RECEIPT)
    for step in range(counted.steps):
        place = new_world()
        drop(place)
        with pytest.raises(Crash):
            take_with(place, place.with_faults(Faults(step, after=after)))

        take_with(place, place.services)

        assert answer(place, RECEIPT) == expected
        assert set(place.chunk_messages()) == {0}


def test_a_store_that_cannot_be_asked_brings_the_message_back(world):
    class Down:
        def get(self, key, **_):
            raise Unavailable("503")

    with pytest.raises(Unavailable):
        take_in(Dropped(bucket=BUCKET, key=KEY), services=replace(world.services, control=Down()), now=NOW)


@pytest.fixture
def inbox_queue(cloud):
    """A queue that the bucket's notifications of ``requests/*.json`` go to."""
    queue, _ = cloud.new_queue(visibility_seconds=60)
    arn = cloud.sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rules = [{"Name": "prefix", "Value": "requests/"}, {"Name": "suffix", "Value": ".json"}]
    wanted = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}
    cloud.s3.put_bucket_notification_configuration(
        Bucket=cloud.bucket, NotificationConfiguration={"QueueConfigurations": [wanted]}
    )
    return queue


@pytest.fixture
def engine_services(cloud):
    """The producer's services on an engine, its bucket included."""
    chunk_queue, _ = cloud.new_queue()
    return Services(
        settings=make_settings(products=(Product.DEM,), control_bucket=cloud.bucket),
        table=cloud.table,
        chunk_queue=chunk_queue,
        product_queues={Product.DEM: cloud.queue},
        control=Store.open(f"s3://{cloud.bucket}", aws=AwsSettings(), region=REGION),
        open_store=lambda dest: Store.in_memory(),
        index=lambda: make_index(10),
        clock=lambda: NOW,
    )


def received(queue: Queue):
    return [message.body for message in queue.receive(visible_again_seconds=60, wait_seconds=2)]


def handle_all(queue, services):
    found = received(queue)
    for body in found:
        inbox.handle_record(make_record(body), services)
    return found


def test_a_dropped_file_is_taken_in_on_both_engines(cloud, inbox_queue, engine_services):
    key = "requests/job 1+ü.json"
    cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=json.dumps(make_request()))

    while handle_all(inbox_queue, engine_services):
        pass

    told = json.loads(engine_services.control.get(f"receipts/{key}.receipt.json"))
    assert (told["request"], told["tasks"]) == (key, {"dem": 2})
    assert engine_services.table.job(told["job_id"]).command is Command.OPEN


def test_each_version_of_an_object_is_read_as_it_was(cloud, engine_services):
    cloud.s3.put_bucket_versioning(Bucket=cloud.bucket, VersioningConfiguration={"Status": "Enabled"})
    requests = [json.dumps(make_request(label=label, rerun=2)) for label in ("first", "second")]
    versions = [cloud.s3.put_object(Bucket=cloud.bucket, Key=KEY, Body=body)["VersionId"] for body in requests]

    taken = take_in(Dropped(bucket=cloud.bucket, key=KEY, version=versions[0]), services=engine_services, now=NOW)

    assert taken.job_id.startswith("first-")


def test_a_version_that_is_gone_is_acknowledged(cloud, engine_services):
    cloud.s3.put_bucket_versioning(Bucket=cloud.bucket, VersioningConfiguration={"Status": "Enabled"})
    version = cloud.s3.put_object(Bucket=cloud.bucket, Key=KEY, Body=b"{}")["VersionId"]
    cloud.s3.delete_object(Bucket=cloud.bucket, Key=KEY, VersionId=version)

    taken = take_in(Dropped(bucket=cloud.bucket, key=KEY, version=version), services=engine_services, now=NOW)

    assert taken.outcome is Outcome.GONE
