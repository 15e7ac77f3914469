"""A job is cancelled or paused while its tasks are being sent, wait, and run: what runs ends, nothing starts later."""

from dataclasses import replace

import pytest

from ard.adapters.status_table import StatusTable
from ard.errors import Unavailable
from ard.product import Product
from ard.rows import Command
from ard.states import State
from producer.expansion import send_chunk
from producer.jobs import start_job
from tests.factories import make_dem, make_task
from tests.producing import NOW, make_tiles, mocked_world
from tests.test_consumers import World, no_load


@pytest.fixture
def world(cloud):
    return World(cloud, make_task(max_attempts=3))


class CancelledMeanwhile(StatusTable):
    """A table whose job is cancelled once the rows of a chunk are written."""

    def add_tasks(self, rows):
        rows = list(rows)
        written = super().add_tasks(rows)
        self.set_command(rows[0].job_id, Command.CANCELLED)
        return written


def commanding(world, command, then):
    """A loader during whose work the job's owner changes his mind."""

    def load(*_):
        world.cloud.table.set_command(world.task.job_id, command)
        return then()

    return load


def unreachable():
    raise Unavailable("HTTP 503")


def test_a_job_cancelled_while_its_chunk_is_sent_leaves_rows_whose_messages_cancel_them():
    with mocked_world() as world:
        started = start_job(make_tiles(3), services=world.services, request_key="requests/a.json", now=NOW)
        services = replace(world.services, table=CancelledMeanwhile(world.dynamodb, world.services.table.name))

        sent = send_chunk(started.job.job_id, 0, services=services)

        assert sent is not None
        messages = sum(world.task_messages(product).total() for product in (Product.DEM, Product.S1))
        assert messages == sent.tasks == 6, "a message for each row: none waits for one that never comes"


@pytest.mark.parametrize("command", [Command.CANCELLED, Command.PAUSED])
def test_a_task_that_runs_when_its_job_is_stopped_ends(world, command):
    world.load = commanding(world, command, make_dem)
    world.send()

    assert world.deliver() == 0

    assert world.row().state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("command", "state", "parked"), [(Command.CANCELLED, State.CANCELLED, False), (Command.PAUSED, State.QUEUED, True)]
)
def test_a_task_whose_attempt_fails_after_its_job_was_stopped_is_not_tried_again(world, command, state, parked):
    world.load = commanding(world, command, unreachable)
    world.send()
    assert world.deliver() == 1
    world.load, world.now = no_load, world.now + 10_000

    assert world.deliver() == 0

    assert (world.row().state, world.row().parked, world.row().fence) == (state, parked, 1)
    assert world.dead_letters() == []
