"""Rows held against outputs: what does not fit is found, told, and repaired on demand."""

import json
from dataclasses import replace
from time import time

import pytest

from ard.adapters.queues import FENCE, Outgoing
from ard.adapters.store import Store
from ard.errors import Unavailable
from ard.product import Product
from ard.rows import Command, task_of
from ard.settings import AwsSettings
from ard.states import State
from tests.factories import NOW, make_job, make_row
from tests.outputs import put_output
from tests.tracking import JOB, Console, row
from tracker.drift import ORPHANED_AFTER_SECONDS, find_drift
from tracker.redrive import Note
from tracker.repair import repair
from tracker.sending import Pace
from tracker.services import Lane, Tasks

NOTE = Note(who="ann", why="", filter="")
TOMORROW = ORPHANED_AFTER_SECONDS + 3_600


class World:
    """A job on a real table and queues, its outputs in memory."""

    def __init__(self, cloud):
        self.cloud, self.store = cloud, Store.in_memory()
        self.tasks = Tasks(table=cloud.table, lanes={Product.DEM: Lane(queue=cloud.queue, dlq=cloud.dlq)})

    def add(self, *rows, **job):
        self.job = make_job(totals={Product.DEM: len(rows)}, **job)
        self.cloud.table.put_job(self.job)
        self.cloud.table.add_tasks(rows)

    def put(self, row, **options):
        return put_output(self.store, task_of(row, self.job), **options)

    def drift(self, now=None):
        rows = list(self.cloud.table.tasks(self.job))
        return find_drift(rows, self.job, self.tasks, self.store, now=time() if now is None else now)

    def repair(self, drift, *, later=0.0, delete_orphans=False):
        pace = Pace(clock=lambda: time() + later, sleep=no_sleep)
        return repair(drift, self.job, self.tasks, self.store, pace=pace, note=NOTE, delete_orphans=delete_orphans)

    def row(self, row):
        return self.cloud.table.task(row.job_id, row.shard, row.task_id)


def no_sleep(seconds):
    raise AssertionError(f"nobody waits {seconds} s")


@pytest.fixture
def world(cloud):
    return World(cloud)


def made(number, state=State.SUCCEEDED, **fields):
    return make_row(x_tile=number, state=state, check_after=None, fence=2, **fields)


def test_rows_and_outputs_that_agree_are_no_drift(world):
    rows = [made(1), made(2, State.SKIPPED), made(3, State.FAILED), made(4, State.NO_DATA), made(5, State.QUEUED)]
    world.add(*rows)
    for one in rows[:2]:
        world.put(one)

    drift = world.drift()

    assert (drift.checked, drift.found) == (4, 0)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.SKIPPED])
def test_an_output_that_is_gone_is_made_again(world, state):
    one = made(1, state, item="x", flags=("f",), digest={"a": 1})
    world.add(one)

    drift = world.drift()
    done = world.repair(drift)

    assert [lost.row for lost in drift.lost] == [one]
    assert (done.sent, done.left) == (1, 0)
    after = world.row(one)
    assert (after.state, after.fence, after.charged, after.cause) == (State.QUEUED, 2, 0, "output_lost")
    assert (after.item, after.flags, after.digest) == (None, (), {})
    assert after.check_after is not None
    (message,) = world.cloud.queue.receive(visible_again_seconds=30, wait_seconds=1)
    assert (message.body, message.attributes) == (task_of(one, world.job).model_dump_json(), {FENCE: "2"})


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_an_output_with_a_damaged_object_is_told_with_what_is_wrong(world, damage):
    one = made(1)
    world.add(one)
    key = world.put(one)["dem"]
    if damage == "gone":
        world.store.delete(key)
    else:
        world.store.put(key, b"x")

    (lost,) = world.drift().lost

    assert lost.damage.startswith(f"{key}: expected ")


def test_the_lost_outputs_of_a_cancelled_job_are_told_and_not_made(world):
    world.add(made(1), command=Command.CANCELLED)

    done = world.repair(world.drift())

    assert (done.sent, done.left, world.row(made(1)).state) == (0, 1, State.SUCCEEDED)


@pytest.mark.parametrize(
    "one",
    [
        made(1, State.FAILED, cause="crashed"),
        made(1, State.NO_DATA, cause="no_data"),
        made(1, State.RUNNING, lease_until=NOW, owner="r"),
    ],
    ids=lambda row: row.state,
)
def test_a_complete_output_that_nobody_recorded_is_recorded(world, one):
    world.add(one)
    item = world.put(one)["item"]

    drift = world.drift()
    done = world.repair(drift)

    assert [found.row for found in drift.unrecorded] == [one]
    assert (done.recorded, done.left) == (1, 0)
    after = world.row(one)
    assert (after.state, after.item, after.cause, after.owner, after.fence) == (State.SUCCEEDED, item, None, None, 2)
    assert world.drift().found == 0


def test_a_task_that_may_still_be_recorded_by_its_worker_is_none(world):
    one = made(1, State.RUNNING, lease_until=time(), owner="r")
    world.add(one, made(2, State.QUEUED), made(3, State.RETRYING))
    world.put(one)
    world.put(made(2))

    assert world.drift().found == 0


def test_an_output_that_is_to_be_overwritten_does_not_count_for_its_job(world):
    one = made(1, State.FAILED)
    world.add(one, overwrite=True)
    world.put(one)

    assert world.drift().unrecorded == ()


def test_a_row_that_changed_meanwhile_is_left_as_it_is(world):
    lost, unrecorded = made(1), made(2, State.FAILED)
    world.add(lost, unrecorded)
    world.put(unrecorded)
    drift = world.drift()
    for one in (lost, unrecorded):
        assert world.cloud.table.replace(one, replace(one, state=State.CANCELLED))

    done = world.repair(drift)

    assert (done.sent, done.recorded, done.left) == (0, 0, 2)
    assert {row.state for row in world.cloud.table.tasks(world.job)} == {State.CANCELLED}


def test_objects_that_no_item_names_are_orphans_after_a_day(world):
    one = made(1)
    world.add(one)
    named = world.put(one)
    folder = named["item"].rpartition("/")[0]
    for name in ("dem_00000000.tif", "notes.txt", "dem_1234.tif", "deeper/dem_00000000.tif"):
        world.store.put(f"{folder}/{name}", b"abc")

    young, old = world.drift(), world.drift(time() + TOMORROW)

    assert young.orphans == ()
    assert [orphan.key for orphan in old.orphans] == [f"{folder}/dem_00000000.tif"]


def test_orphans_of_many_tiles_in_a_column_are_found_and_those_of_others_are_not(world):
    rows = [make_row(y_tile=number, state=State.QUEUED) for number in range(20)]
    world.add(*rows)
    orphans = [world.put(one, item=False)["dem"] for one in rows[:2]]
    world.put(make_row(y_tile=99), item=False)

    found = world.drift(time() + TOMORROW).orphans

    assert set(orphans) <= {orphan.key for orphan in found}
    assert {orphan.folder for orphan in found} == {key.rpartition("/")[0] + "/" for key in orphans}


def test_an_item_that_cannot_be_read_makes_no_orphans(world):
    one = made(1)
    world.add(one)
    world.store.put(world.put(one)["item"], b"torn")

    assert world.drift(time() + TOMORROW).orphans == ()


def test_orphans_are_deleted_only_when_wanted(world):
    one = made(1, State.FAILED)
    world.add(one)
    keys = {world.put(one, item=False)[name] for name in ("dem", "thumbnail")}
    drift = world.drift(time() + TOMORROW)

    kept = world.repair(drift, later=TOMORROW)
    assert (kept.orphans_deleted, kept.left) == (0, len(drift.orphans))
    deleted = world.repair(drift, later=TOMORROW, delete_orphans=True)

    assert (deleted.orphans_deleted, deleted.left) == (2, 0)
    assert {key: world.store.get(key) for key in keys} == dict.fromkeys(keys)


def test_an_orphan_that_was_named_or_written_meanwhile_is_not_deleted(world):
    named, written = made(1, State.FAILED), made(2, State.FAILED)
    world.add(named, written)
    world.put(named, item=False)
    key = world.put(written, item=False)["dem"]
    drift = world.drift(time() + TOMORROW)
    world.put(named)
    world.store.put(key, b"once more")

    done = world.repair(drift, later=TOMORROW, delete_orphans=True)

    assert done.orphans_deleted == 1, "the thumbnail of the second"
    assert world.store.get(key) == b"once more"


def test_nothing_is_deleted_where_a_task_of_the_job_is_on_its_way(world):
    one = made(1)
    world.add(one)
    world.put(one, item=False)
    drift = world.drift(time() + TOMORROW)

    done = world.repair(drift, later=TOMORROW, delete_orphans=True)

    assert (done.sent, done.orphans_deleted, done.left) == (1, 0, len(drift.orphans))


def test_dead_letters_of_tasks_that_are_not_failed_are_taken_away(world):
    good, bad, again = made(1), made(2, State.FAILED), made(3, State.FAILED)
    world.add(good, bad, again)
    world.put(good)
    fences = [(good, 2), (bad, 2), (again, 1), (again, 2)]
    bodies = [(task_of(one, world.job).model_dump_json(), str(fence)) for one, fence in fences]
    world.cloud.dlq.send([Outgoing(body=body, attributes={FENCE: fence}) for body, fence in bodies])
    world.cloud.dlq.send([Outgoing(body="poison"), Outgoing(body=bodies[0][0].replace(world.job.job_id, "other"))])

    drift = world.drift()
    done = world.repair(drift)

    assert drift.stale_letters == done.letters_deleted == {Product.DEM: 2}
    assert world.cloud.dlq.depth() == 4
    assert world.drift().found == 0


def test_what_cannot_be_asked_is_an_error_and_not_missing(world):
    world.add(made(1))
    world.store = Unreachable(world.store)

    with pytest.raises(Unavailable):
        world.drift()


class Unreachable:
    """A store that cannot be asked."""

    def __init__(self, inner):
        self.inner = inner

    def modified(self, prefix):
        raise Unavailable("503")


def test_a_repair_is_in_the_log_of_the_job(world):
    world.add(made(1))

    world.repair(world.drift())

    found = world.cloud.dynamodb.query(
        TableName=world.cloud.table.name,
        KeyConditionExpression="PK = :job AND begins_with(SK, :log)",
        ExpressionAttributeValues={":job": {"S": f"JOB#{world.job.job_id}"}, ":log": {"S": "REDRIVE#"}},
    )["Items"]
    assert [(entry["who"]["S"], entry["sent"]["N"]) for entry in found] == [("ann", "1")]


@pytest.fixture
def tracker(cloud, tmp_path):
    console = Console(cloud)
    console.dest = str(tmp_path / "outputs")
    (tmp_path / "outputs").mkdir()
    return console


def test_drift_exits_with_11_until_it_is_repaired(tracker):
    job = tracker.job(row(1, State.SUCCEEDED), row(2, State.FAILED, cause="crashed"), dest=tracker.dest)
    store = Store.open(tracker.dest, aws=AwsSettings())
    put_output(store, task_of(row(2, State.FAILED), job))

    told = tracker.run("reconcile", "--job", JOB)
    fixed = json.loads(tracker.run("reconcile", "--job", JOB, "--fix", "--json").stdout)["drift"]
    after = tracker.run("reconcile", "--job", JOB)

    assert told.exit_code == 11
    assert "recorded, but not there: 1\n    2023/1X871Y/dem" in told.stdout
    assert "there, but not recorded: 1\n    2023/2X871Y/dem  FAILED" in told.stdout
    assert f"to repair: tracker reconcile --job {JOB} --fix\n" in told.stderr
    assert (fixed["repair"]["sent"], fixed["repair"]["recorded"], fixed["repair"]["left"]) == (1, 1, 0)
    assert after.exit_code == 0


def test_rows_are_seen_to_even_where_outputs_cannot_be_looked_at(tracker):
    tracker.job(row(1, State.QUEUED, check_after=NOW), dest="/nowhere/at/all")

    result = tracker.run("reconcile", "--job", JOB)

    assert (result.exit_code, result.stdout.split()[:2]) == (3, ["resent", "1"])


@pytest.mark.parametrize("arguments", [["--fix"], ["--job", JOB, "--delete-orphans"]])
def test_repairing_needs_a_job_and_deleting_a_repair(tracker, arguments):
    tracker.job(row(1, State.SUCCEEDED))

    assert tracker.run("reconcile", *arguments).exit_code == 2
