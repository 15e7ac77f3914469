"""Jobs are cancelled, paused and resumed by command, with a worker on the same table and queue."""

import json
from dataclasses import replace

import pytest

from ard.adapters.status_table import StatusTable
from ard.errors import InvalidInput
from ard.rows import ChunkRow, Command
from ard.states import State
from tests.factories import NOW, make_dem, make_job, make_row, make_task
from tests.test_consumers import World, no_load
from tests.tracking import Console
from tracker.stopping import Standing, cancel_job, pause_job

TASK = make_task(max_attempts=3)
JOB = TASK.job_id


@pytest.fixture
def world(cloud):
    """One job of one task, its message out."""
    world = World(cloud, TASK)
    world.send()
    return world


@pytest.fixture
def tracker(cloud):
    return Console(cloud)


def rows_of(table):
    return {row.x_tile: row.state for row in table.tasks(table.job(JOB))}


def one_of_each(cloud, **job):
    """A job with a task in each state."""
    rows = [make_row(x_tile=number, state=state, lease_until=NOW + 60) for number, state in enumerate(State)]
    job = make_job(totals={"dem": len(rows)}, **job)
    cloud.table.put_job(job)
    cloud.table.add_tasks(rows)
    return job


def test_what_waits_is_cancelled_at_once_and_nothing_else(cloud):
    job = one_of_each(cloud)

    stopped = cancel_job(job, table=cloud.table, now=NOW)

    waiting = {State.QUEUED, State.RETRYING}
    assert rows_of(cloud.table) == {
        number: State.CANCELLED if state in waiting else state for number, state in enumerate(State)
    }
    assert (stopped.cancelled, cloud.table.job(JOB).command) == (2, Command.CANCELLED)
    assert stopped.tasks == {Standing.CANCELLED: 3, Standing.RUNNING: 1, Standing.ENDED: 4}


def test_cancelling_again_is_the_same(cloud):
    cancel_job(one_of_each(cloud), table=cloud.table, now=NOW)
    before = rows_of(cloud.table)

    again = cancel_job(cloud.table.job(JOB), table=cloud.table, now=NOW + 1)

    assert (again.cancelled, again.tasks[Standing.CANCELLED], rows_of(cloud.table)) == (0, 3, before)


def test_a_cancellation_that_died_half_way_is_finished_by_the_next_one(cloud):
    one_of_each(cloud, command=Command.CANCELLED)

    assert cancel_job(cloud.table.job(JOB), table=cloud.table, now=NOW).cancelled == 2


def test_the_task_of_a_dead_worker_is_cancelled_and_that_of_a_live_one_is_not(cloud):
    cloud.table.put_job(make_job(totals={"dem": 2}))
    running = {"state": State.RUNNING, "fence": 1, "owner": "r", "lease_until": NOW + 60}
    cloud.table.add_tasks([make_row(x_tile=1, check_after=NOW, **running), make_row(x_tile=2, **running)])

    cancel_job(cloud.table.job(JOB), table=cloud.table, now=NOW)

    assert rows_of(cloud.table) == {1: State.CANCELLED, 2: State.RUNNING}


def test_tasks_without_a_row_are_cancelled_with_their_job(cloud):
    job = make_job(totals={"dem": 5})
    cloud.table.put_job(job)

    assert cancel_job(job, table=cloud.table, now=NOW).tasks == {Standing.CANCELLED: 5}


def test_a_job_that_has_ended_is_left_as_it_is(cloud, tracker):
    cloud.table.put_job(make_job())
    cloud.table.add_tasks([make_row(state=State.FAILED, cause="crashed")])

    result = tracker.run("cancel", "--job", JOB, "--yes")

    assert (result.exit_code, result.stdout) == (6, "")
    assert cloud.table.job(JOB).command is Command.OPEN


def test_nothing_starts_after_a_cancellation(world, tracker):
    result = tracker.run("cancel", "--job", JOB, "--yes")
    world.load = no_load

    assert world.deliver() == 0

    assert result.stdout.splitlines()[:2] == [f"{JOB}  cancelled", "  1 waiting task cancelled now, 1 in all"]
    assert (world.row().state, world.row().fence, world.cloud.queue.depth()) == (State.CANCELLED, 0, 0)


class CancelledMeanwhile(StatusTable):
    """A worker's table: its job is cancelled just after the worker has read that it is open."""

    def job(self, job_id):
        job = super().job(job_id)
        cancel_job(job, table=StatusTable(self._client, self.name), now=NOW)
        return job


def test_a_worker_that_read_the_job_before_it_was_cancelled_does_not_start_either(world):
    world.cloud = replace(world.cloud, table=CancelledMeanwhile(world.cloud.dynamodb, world.cloud.table.name))
    world.load = no_load

    assert world.deliver() == 0

    assert (world.row().state, world.row().fence) == (State.CANCELLED, 0)


class ClaimedMeanwhile(StatusTable):
    """A canceller's table: a worker claims each task just before it is cancelled."""

    def replace(self, old, new):
        if old.state is State.QUEUED:
            claimed = replace(old, state=State.RUNNING, fence=1, owner="quick", lease_until=NOW + 60)
            super().replace(old, claimed)
        return super().replace(old, new)


def test_a_task_that_was_claimed_at_the_same_moment_runs_to_its_end(world):
    table = ClaimedMeanwhile(world.cloud.dynamodb, world.cloud.table.name)

    stopped = cancel_job(world.job, table=table, now=NOW)

    assert (stopped.cancelled, stopped.tasks[Standing.RUNNING]) == (0, 1)
    assert (world.row().state, world.row().owner) == (State.RUNNING, "quick")


def test_what_runs_when_its_job_is_cancelled_ends(world):
    told = []

    def load(*_):
        told.append(cancel_job(world.job, table=world.cloud.table, now=NOW))
        return make_dem()

    world.load = load

    assert world.deliver() == 0

    assert (told[0].cancelled, told[0].tasks) == (0, {Standing.RUNNING: 1, Standing.CANCELLED: 0})
    assert world.row().state is State.SUCCEEDED


def test_nobody_is_cancelled_unasked(world, tracker):
    result = tracker.run("cancel", "--job", JOB)

    assert (result.exit_code, "--yes" in result.stderr) == (2, True)
    assert (world.row().state, world.cloud.table.job(JOB).command) == (State.QUEUED, Command.OPEN)


def test_a_paused_job_starts_nothing_until_it_is_resumed(world, tracker):
    paused = tracker.run("pause", "--job", JOB)
    world.load = no_load
    assert world.deliver() == 0
    assert (world.row().state, world.row().parked) == (State.QUEUED, True)
    world.cloud.table.put_chunk(ChunkRow(job_id=JOB, number=0, sent=True))

    resumed = tracker.run("resume", "--job", JOB)
    world.load = lambda *_: make_dem()
    assert world.deliver() == 0

    assert "1 task held back" in paused.stdout
    assert resumed.stdout == f"{JOB}  open: 0 chunks, 1 task sent\n"
    assert (world.row().state, world.row().fence) == (State.SUCCEEDED, 1)


def test_resuming_sends_chunks_that_were_not_sent(cloud, tracker):
    cloud.table.put_job(make_job(command=Command.PAUSED, chunks=2))

    document = json.loads(tracker.run("resume", "--job", JOB, "--json").stdout)

    assert (document["kind"], document["command"], document["chunks_sent"]) == ("job_command", "open", 2)
    assert cloud.table.job(JOB).command is Command.OPEN


@pytest.mark.parametrize(
    ("order", "command"),
    [
        ("pause", Command.CANCELLED),
        ("pause", Command.AWAITING_APPROVAL),
        ("resume", Command.CANCELLED),
        ("resume", Command.AWAITING_APPROVAL),
    ],
)
def test_an_order_that_makes_no_sense_is_bad_input(cloud, tracker, order, command):
    cloud.table.put_job(make_job(command=command))

    result = tracker.run(order, "--job", JOB)

    assert (result.exit_code, result.stdout, cloud.table.job(JOB).command) == (3, "", command)


@pytest.mark.parametrize("order", [["cancel", "--yes"], ["pause"], ["resume"]])
def test_an_order_for_a_job_that_is_not_there_exits_with_9(tracker, order):
    assert tracker.run(*order, "--job", "nowhere").exit_code == 9


def test_a_pause_does_not_undo_a_cancellation(cloud):
    job = make_job()
    cloud.table.put_job(job)
    cloud.table.set_command(JOB, Command.CANCELLED)

    with pytest.raises(InvalidInput, match="expected a job that is open, found cancelled"):
        pause_job(job, table=cloud.table)

    assert cloud.table.job(JOB).command is Command.CANCELLED
