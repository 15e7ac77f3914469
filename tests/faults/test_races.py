"""What happens between two steps of one who does not know: an answer is lost, a job is resumed meanwhile."""

from dataclasses import replace

import boto3
import pytest

from ard.adapters.bucket import Bucket
from ard.adapters.status_table import StatusTable
from ard.product import Product
from ard.rows import Command
from ard.states import State
from ard.transitions import QUEUED_PATIENCE_SECONDS, Delivery, claimed
from tests.engines import REGION
from tests.factories import NOW, make_dem, make_job, make_row, make_task
from tests.faults.proxy import Arrives, Fault, proxying, upstream
from tests.test_consumers import TIMEOUT, World
from tracker.reconcile import Step, reconcile
from tracker.services import Intake, Lane, Tasks

SKEW = 300.0


class ResumedMeanwhile(StatusTable):
    """A table whose job is resumed just before a row is parked: who resumed it has not seen the row."""

    def replace(self, old, new):
        if new.parked:
            self.set_command(new.job_id, Command.OPEN)
        return super().replace(old, new)


@pytest.fixture
def world(cloud):
    return World(cloud, make_task(max_attempts=3))


@pytest.fixture
def deaf_table(cloud):
    """The same table, whose first answer to each write is lost; botocore asks again by itself."""
    heard = set()

    def plan(request):
        if request.operation != "PutItem" or request.body in heard:
            return None
        heard.add(request.body)
        return Fault(kind="lost answer", arrives=Arrives.NOTHING)

    with proxying(upstream(cloud.endpoint), plan) as url:
        yield StatusTable(boto3.client("dynamodb", REGION, endpoint_url=url), cloud.table.name)


def test_a_write_whose_answer_was_lost_is_known_as_ones_own(cloud, deaf_table):
    row = make_row(digest={"slope_p50": 12.5}, flags=("filled_glo90",))
    cloud.table.add_tasks([row])
    running = replace(row, state=State.RUNNING, fence=1, owner="a", updated_at=NOW + 0.123456789)

    assert deaf_table.replace(row, running)
    assert not deaf_table.replace(row, replace(running, owner="b"))


def test_a_claim_whose_answer_was_lost_is_worked_on_at_once(world, deaf_table):
    world.cloud = replace(world.cloud, table=deaf_table)
    world.send()

    assert world.deliver() == 0

    assert (world.row().state, world.row().fence, world.row().charged) == (State.SUCCEEDED, 1, 0)


def test_a_task_that_is_parked_while_its_job_is_resumed_keeps_its_message(world):
    world.cloud.table.set_command(world.task.job_id, Command.PAUSED)
    world.send()
    world.cloud = replace(world.cloud, table=ResumedMeanwhile(world.cloud.dynamodb, world.cloud.table.name))

    assert world.deliver() == 1, "not acknowledged"


def test_a_task_that_reconcile_parks_while_its_job_is_resumed_is_seen_to_later(cloud):
    due = NOW + 10_000
    row = make_row(state=State.RETRYING, check_after=due - 1)
    cloud.table.put_job(make_job(command=Command.PAUSED))
    cloud.table.add_tasks([row])
    lanes = {Product.DEM: Lane(queue=cloud.queue, dlq=cloud.dlq)}
    tasks = Tasks(table=ResumedMeanwhile(cloud.dynamodb, cloud.table.name), lanes=lanes)
    intake = Intake(bucket=Bucket(cloud.s3, cloud.bucket), region=REGION, inbox=cloud.queue, chunks=cloud.queue)

    assert reconcile(tasks, intake, now=due).rows == {Step.PARKED: 1}

    assert reconcile(tasks, intake, now=due + QUEUED_PATIENCE_SECONDS).rows == {Step.RESENT: 1}
    assert cloud.queue.depth() == 1


def test_of_two_workers_whose_clocks_differ_by_five_minutes_one_commits(world):
    """A duplicate that meets a clock ahead takes the task over; who held it loses an attempt, and must not record."""
    results = []

    def second_delivery(*_):
        world.load, world.now = lambda *_: make_dem(), NOW + SKEW
        world.send()
        results.append(world.deliver())
        world.now = NOW + 1
        return make_dem()

    world.load = second_delivery
    world.send()

    assert world.deliver() == 1

    assert results == [0]
    assert (world.row().state, world.row().fence, world.row().charged) == (State.SUCCEEDED, 2, 1)


def test_reconcile_leaves_a_live_worker_alone_though_its_own_clock_is_five_minutes_ahead(cloud):
    claim = Delivery(owner="a", now=NOW, lease_until=NOW + TIMEOUT, fence=None, max_attempts=3, gb=1.0)
    cloud.table.put_job(make_job())
    cloud.table.add_tasks([claimed(make_row(), claim)])
    tasks = Tasks(table=cloud.table, lanes={Product.DEM: Lane(queue=cloud.queue, dlq=cloud.dlq)})

    seen = reconcile(tasks, None, now=NOW + TIMEOUT + SKEW, job_id=make_job().job_id)

    assert seen.rows == {}
