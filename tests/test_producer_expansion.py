"""A chunk becomes rows and messages, whatever happens on the way."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ard.adapters.outputs import publish
from ard.adapters.queues import Outgoing
from ard.adapters.records import NotAcknowledged, Record
from ard.adapters.store import Store
from ard.errors import Auth, InvalidInput, Unavailable
from ard.product import Product
from ard.rows import ChunkRow, Command
from ard.states import State
from ard.task import ChunkMessage, TileTask
from producer import chunks
from producer.chunks import wait_seconds
from producer.expansion import send_chunk
from producer.jobs import start_job
from tests.conftest import ROOT
from tests.factories import GOLDEN, make_dem, make_provenance, make_task
from tests.producing import DEST, NOW, Crash, Faults, drained, make_tiles, mocked_world, new_world

TILES = 4


@pytest.fixture
def world():
    with mocked_world() as world:
        yield world


def start(world, request=None):
    request = request or make_tiles(TILES, retries=1)
    return start_job(request, services=world.services, request_key="requests/a.json", now=NOW).job


def rows_of(world, job):
    return {row.task_id: row for row in world.services.table.tasks(job)}


def golden_request(**options):
    """A request for one tile that a product can really be made of."""
    tiles = make_tiles(1, products=("dem",), **options)
    values = {"x_tile": GOLDEN.x, "y_tile": GOLDEN.y, "lon": GOLDEN.lon, "lat": GOLDEN.lat}
    return replace(tiles, **{name: getattr(tiles, name) * 0 + values[name] for name in values})


def make_output(world, **overrides):
    task = make_task(dest=DEST)
    return publish(
        make_dem(**overrides),
        task,
        world.outputs,
        provenance=make_provenance(job_id="2023-1t-0123456789"),
        still_ours=lambda: None,
    )


def assert_complete(world, job):
    """Every task has its row and, at least once, its message; the chunk is marked."""
    rows = rows_of(world, job)
    assert set(rows) == {f"2023/{x}X{2 * x}Y/{product}" for x in range(TILES) for product in ("dem", "s1")}
    assert {row.state for row in rows.values()} == {State.QUEUED}
    for product in (Product.DEM, Product.S1):
        tasks = {TileTask.model_validate_json(body).task_id for body in world.task_messages(product)}
        assert tasks == {task_id for task_id in rows if task_id.endswith(f"/{product}")}
    assert [chunk.sent for chunk in world.services.table.chunks(job.job_id)] == [True]


def test_every_task_gets_a_row_and_a_message(world):
    job = start(world)

    sent = send_chunk(job.job_id, 0, services=world.services)

    assert (sent.tasks, sent.messages) == (8, 8)
    assert_complete(world, job)


def test_a_message_is_the_task_with_the_job_s_options(world):
    job = start(world, make_tiles(1, retries=1, overwrite=True, products=("dem",), formats=("hkl", "cog")))

    send_chunk(job.job_id, 0, services=world.services)

    (body,) = world.task_messages(Product.DEM)
    assert json.loads(body) == {
        "version": 1,
        "job_id": job.job_id,
        "product": "dem",
        "year": 2023,
        "x_tile": 0,
        "y_tile": 0,
        "lon": -60.0,
        "lat": -30.0,
        "dest": DEST,
        "formats": ["cog", "hkl"],
        "overwrite": True,
        "max_attempts": 2,
    }


def test_a_waiting_row_says_when_somebody_should_have_been_heard_of(world):
    job = start(world)

    send_chunk(job.job_id, 0, services=world.services)

    assert {row.check_after for row in rows_of(world, job).values()} == {NOW + 6 * 3600}


def test_an_output_that_exists_is_skipped_and_named(world):
    output = make_output(world)
    job = start(world, golden_request())

    sent = send_chunk(job.job_id, 0, services=world.services)

    (row,) = rows_of(world, job).values()
    assert (row.state, row.item, row.flags, row.check_after) == (
        State.SKIPPED,
        output.item_key,
        ("filled_glo90",),
        None,
    )
    assert (sent.messages, world.task_messages(Product.DEM)) == (0, {})


@pytest.mark.parametrize("options", [{"overwrite": True}, {"formats": ("cog", "hkl")}])
def test_an_output_that_is_not_what_was_asked_for_is_made_again(world, options):
    make_output(world)
    job = start(world, golden_request(**options))

    assert send_chunk(job.job_id, 0, services=world.services).messages == 1


class Failing:
    """A store that cannot be asked."""

    name = "s3://tof-output"

    def __init__(self, error):
        self.error = error

    def get(self, key):
        raise self.error


@pytest.mark.parametrize("error", [Unavailable("503"), Auth("403")])
def test_an_output_that_cannot_be_checked_is_not_missing(world, error):
    job = start(world)
    services = replace(world.services, open_store=lambda dest: Failing(error))

    with pytest.raises(type(error)):
        send_chunk(job.job_id, 0, services=services)

    assert not rows_of(world, job)
    assert not world.task_messages(Product.DEM)
    assert not world.services.table.chunk(job.job_id, 0).sent


@pytest.mark.parametrize("command", [Command.CANCELLED, Command.PAUSED, Command.AWAITING_APPROVAL])
def test_the_chunk_of_a_job_that_is_not_open_is_left_alone(world, command):
    job = start(world)
    world.services.table.set_command(job.job_id, command)

    assert send_chunk(job.job_id, 0, services=world.services) is None

    assert not rows_of(world, job)
    assert not world.services.table.chunk(job.job_id, 0).sent


def test_a_chunk_that_was_sent_is_not_sent_again(world):
    job = start(world)
    send_chunk(job.job_id, 0, services=world.services)
    assert_complete(world, job)

    assert send_chunk(job.job_id, 0, services=world.services) is None

    assert not world.task_messages(Product.DEM)


def test_tasks_that_a_worker_has_claimed_or_done_get_no_second_message(world):
    job = start(world)
    with pytest.raises(Crash):  # after the messages, before the mark
        send_chunk(job.job_id, 0, services=world.with_faults(Faults(steps_of_a_chunk() - 1)))
    assert sum(world.task_messages(Product.DEM).values()) == TILES
    first, second, *_ = (row for row in rows_of(world, job).values() if row.product is Product.DEM)
    world.services.table.replace(first, replace(first, state=State.RUNNING, fence=1))
    world.services.table.replace(second, replace(second, state=State.SUCCEEDED, fence=1, check_after=None))

    send_chunk(job.job_id, 0, services=world.services)

    again = {TileTask.model_validate_json(body).task_id for body in world.task_messages(Product.DEM)}
    assert again == {f"2023/{x}X{2 * x}Y/dem" for x in range(TILES)} - {first.task_id, second.task_id}
    assert rows_of(world, job)[second.task_id].state is State.SUCCEEDED


def steps_of_a_chunk():
    place = new_world()
    job, faults = start(place), Faults()
    send_chunk(job.job_id, 0, services=place.with_faults(faults))
    return faults.steps


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_chunk_that_dies_at_any_step_is_finished_by_the_next_delivery(world, after):
    steps = steps_of_a_chunk()
    for step in range(steps):
        place = new_world()
        job = start(place)
        with pytest.raises(Crash):
            send_chunk(job.job_id, 0, services=place.with_faults(Faults(step, after=after)))

        send_chunk(job.job_id, 0, services=place.services)

        assert_complete(place, job)
    assert steps == 1 + 1 + 1 + 8 + 8 + 2 + 1  # job, chunk, plan, outputs, rows, two queues, mark


def test_two_workers_on_one_chunk_make_one_set_of_rows(world):
    job = start(world)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: send_chunk(job.job_id, 0, services=world.services), range(3)))

    assert_complete(world, job)


def test_a_job_without_its_plan_is_an_error(world):
    job = start(world)

    with pytest.raises(InvalidInput, match="expected the plan of"):
        send_chunk(job.job_id, 0, services=replace(world.services, control=Store.in_memory()))


def test_an_unknown_job_is_an_error(world):
    with pytest.raises(InvalidInput, match="none called nothing"):
        send_chunk("nothing", 0, services=world.services)


def make_record(body):
    return Record(body=body, receipt="r", message_id="m", attributes={}, receives=1)


def test_the_handler_sends_the_chunk_that_a_message_names(world):
    job = start(world)
    body = ChunkMessage(job_id=job.job_id, number=0).model_dump_json()
    assert json.loads(body) == {"version": 1, "job_id": job.job_id, "number": 0}

    chunks.handle_record(make_record(body), world.services)

    assert_complete(world, job)


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", '{"version":2,"job_id":"a","number":0}', '{"version":1,"job_id":"a","number":-1}']
)
def test_a_body_that_is_no_chunk_fails_its_record(world, body):
    with pytest.raises(InvalidInput, match="expected a chunk message, found"):
        chunks.handle_record(make_record(body), world.services)


def in_hand(world, number=0, *, receives=1):
    """The record of the chunk's message, received and hidden for a moment."""
    while messages := world.services.chunk_queue.receive(visible_again_seconds=60):
        for message in messages:
            if json.loads(message.body)["number"] == number:
                return Record(
                    body=message.body, receipt=message.receipt, message_id="m", attributes={}, receives=receives
                )
    raise AssertionError(f"no message of chunk {number}")


def fill(world, product, messages):
    world.services.queue(product).send(Outgoing(body=str(number), group="another-job") for number in range(messages))


FURTHER = 4  # the first chunk that has no room of its own


def start_large(world, *, last=FURTHER):
    """A job whose last chunk has as many tasks as its number says."""
    return start(world, make_tiles(1_001, years=range(2018, 2018 + last), products=("dem",), overwrite=True))


def test_a_chunk_waits_while_a_queue_of_its_job_is_deeper_than_the_limit():
    with mocked_world(queue_limit=20) as world:
        job = start_large(world)
        fill(world, Product.DEM, 21)

        with pytest.raises(NotAcknowledged, match=r"chunk 4 waits .* at most 20 messages .* of dem, found 21"):
            chunks.handle_record(in_hand(world, FURTHER), world.services)

        assert not rows_of(world, job)
        assert world.services.queue(Product.DEM).depth() == 21


def test_a_waiting_chunk_is_hidden_and_not_sent_again_by_reconcile_meanwhile():
    with mocked_world(queue_limit=20) as world:
        job = start_large(world)
        fill(world, Product.DEM, 40)
        record, waits = in_hand(world, FURTHER, receives=7), wait_seconds(2.0, receives=7, number=FURTHER)

        with pytest.raises(NotAcknowledged):
            chunks.handle_record(record, world.services)

        assert not world.services.chunk_queue.receive(visible_again_seconds=0)
        assert world.services.table.chunk(job.job_id, FURTHER).check_after == pytest.approx(NOW + waits + 900)


def test_a_chunk_that_waited_is_sent_once_there_is_room():
    with mocked_world(queue_limit=20) as world:
        job = start_large(world)
        fill(world, Product.DEM, 21)
        record = in_hand(world, FURTHER)
        with pytest.raises(NotAcknowledged):
            chunks.handle_record(record, world.services)
        drained(world.services.queue(Product.DEM))

        chunks.handle_record(replace(record, receives=2), world.services)

        assert len(rows_of(world, job)) == 4
        assert sum(world.task_messages(Product.DEM).values()) == 4
        assert world.services.table.chunk(job.job_id, FURTHER).sent


def test_queues_of_other_products_do_not_hold_a_job_up():
    with mocked_world(queue_limit=1) as world:
        job = start_large(world)
        fill(world, Product.S1, 50)

        chunks.handle_record(in_hand(world, FURTHER), world.services)

        assert len(rows_of(world, job)) == 4


@pytest.mark.parametrize(("deep", "rows"), [(40, 3), (41, 0)])
def test_a_job_s_first_chunks_find_twice_the_room(deep, rows):
    with mocked_world(queue_limit=20) as world:
        job = start_large(world, last=FURTHER - 1)
        fill(world, Product.DEM, deep)

        with nullcontext() if rows else pytest.raises(NotAcknowledged, match="at most 40 messages"):
            chunks.handle_record(in_hand(world, FURTHER - 1), world.services)

        assert len(rows_of(world, job)) == rows


@pytest.mark.parametrize("over", [None, Command.PAUSED, Command.CANCELLED])
def test_a_chunk_that_is_not_to_be_sent_waits_for_nothing(over):
    with mocked_world(queue_limit=1) as world:
        job = start_large(world)
        fill(world, Product.DEM, 50)
        if over:
            world.services.table.set_command(job.job_id, over)
        else:
            world.services.table.replace_chunk(ChunkRow(job_id=job.job_id, number=FURTHER, sent=True))

        chunks.handle_record(in_hand(world, FURTHER), world.services)

        assert not rows_of(world, job)


def test_waiting_alone_takes_no_chunk_to_the_dead_letters_in_ten_days():
    functions = json.loads((ROOT / "infra" / "functions.json").read_text())
    receives = functions["queues"]["chunks"]["max_receives"]
    kept_for_faults = 20

    waited = sum(wait_seconds(1.0, receives=n, number=0) for n in range(1, receives - kept_for_faults))

    assert waited >= 10 * 86_400


@given(st.floats(1, 1e6), st.integers(1, 10_000), st.integers(0, 5_000))
def test_a_wait_is_at_least_five_minutes_and_within_what_a_message_can_be_hidden(times, receives, number):
    assert 300 <= wait_seconds(times, receives=receives, number=number) <= 12 * 3600 - 3600


def test_a_wait_grows_with_the_depth_and_with_every_wait_before():
    waits = [wait_seconds(1.5, receives=n, number=0) for n in range(1, 45)]

    assert waits == sorted(waits)
    assert waits[0] == 450
    assert wait_seconds(3.0, receives=1, number=0) == 900


def test_chunks_that_waited_together_come_back_at_different_times():
    waits = sorted(wait_seconds(1.0, receives=1, number=number) for number in range(FURTHER, FURTHER + 8))

    assert min(later - sooner for sooner, later in pairwise(waits)) > 3


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_chunk_that_dies_while_it_is_put_off_is_not_lost(after):
    with mocked_world(queue_limit=1):
        for step in range(5):  # job, chunk, depth, row, message
            world = new_world(queue_limit=1)
            job = start_large(world)
            fill(world, Product.DEM, 2)
            record = in_hand(world, FURTHER)
            with pytest.raises(Crash):
                chunks.handle_record(record, world.with_faults(Faults(step, after=after)))
            drained(world.services.queue(Product.DEM))

            chunks.handle_record(record, world.services)

            assert len(rows_of(world, job)) == 4
            assert sum(world.task_messages(Product.DEM).values()) == 4
