"""Starting a job: every step may be the last one of a process, and nothing is lost."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from ard.errors import InvalidInput, Unavailable
from ard.keys import plan_key
from ard.product import Product
from ard.rows import ChunkRow, Command
from ard.states import State
from producer.expansion import send_chunk
from producer.jobs import approve_job, resume_job, start_job
from producer.plan import read_chunk
from producer.request import RequestRejected
from tests.producing import DEST, NOW, Crash, Faults, make_tiles, mocked_world, new_world


@pytest.fixture
def world():
    with mocked_world() as world:
        yield world


def start(services, request=None, **overrides):
    arguments = {"request_key": "requests/ghana.json", "now": NOW, **overrides}
    return start_job(request or make_tiles(2_500), services=services, **arguments)


def assert_complete(world, job):
    """All that a job of 2,500 tiles is made of is there."""
    assert world.services.table.job(job.job_id) == job
    assert world.services.table.chunks(job.job_id) == [
        ChunkRow(job_id=job.job_id, number=number, check_after=NOW + 900 + 10 * number) for number in range(3)
    ]
    assert set(world.chunk_messages()) == {0, 1, 2}
    plan = world.services.control.get(plan_key(job.job_id))
    assert sum(len(read_chunk(plan, number)) for number in range(3)) == 5_000


def test_a_job_is_a_plan_a_row_chunks_and_messages(world):
    started = start(world.services)

    assert started.created
    assert started.chunks_sent == 3
    assert_complete(world, started.job)


def test_a_job_s_row_says_what_was_asked_for(world):
    job = start(world.services, make_tiles(6_000, retries=0, label="Ghana", overwrite=True, formats=("hkl",))).job

    assert job.job_id.startswith("ghana-")
    assert (job.command, job.created_at, job.request_key) == (Command.OPEN, NOW, "requests/ghana.json")
    assert (job.dest, job.formats, job.overwrite, job.max_attempts) == (DEST, ("hkl",), True, 1)
    assert (job.totals, job.shards, job.chunks) == ({Product.DEM: 6_000, Product.S1: 6_000}, 3, 6)
    assert job.estimate_usd > 0


def test_the_same_content_again_is_the_same_job_and_sends_only_what_is_unsent(world):
    first = start(world.services).job
    world.services.table.replace_chunk(ChunkRow(job_id=first.job_id, number=1, sent=True))
    world.chunk_messages()

    again = start(world.services, now=NOW + 60, request_key="requests/copy.json")

    assert (again.job, again.created, again.chunks_sent) == (first, False, 2)
    assert set(world.chunk_messages()) == {0, 2}


def test_the_same_content_under_another_label_is_the_same_job(world):
    first = start(world.services)

    again = start(world.services, make_tiles(2_500, label="Another", retries=9, max_cost_usd=0.01))

    assert again.job == first.job
    assert len(world.services.table.jobs(10)) == 1


def test_a_rerun_is_a_new_job(world):
    first, second = start(world.services), start(world.services, make_tiles(2_500, rerun=2))

    assert second.created
    assert second.job.job_id != first.job.job_id


def test_a_lost_plan_is_written_again(world):
    job = start(world.services).job
    plan = world.services.control.get(plan_key(job.job_id))
    emptied = replace(world.services, control=new_world().services.control)

    start(emptied)

    assert emptied.control.get(plan_key(job.job_id)) == plan


def steps_of_a_start():
    with mocked_world() as world:
        faults = Faults()
        start(world.with_faults(faults))
        return faults.steps


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_start_that_dies_at_any_step_is_finished_by_the_next_one(world, after):
    steps = steps_of_a_start()
    for step in range(steps):
        place = new_world()
        with pytest.raises(Crash):
            start(place.with_faults(Faults(step, after=after)))

        started = start(place.services)

        assert_complete(place, started.job)
    assert steps >= 9  # digest, plan looked for and put, job, chunks read, three written, messages


def test_two_starts_at_once_make_one_job(world):
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: start(world.services), range(4)))

    assert Counter(one.created for one in started) == {True: 1, False: 3}
    assert_complete(world, started[0].job)


def test_two_labels_at_once_make_one_job(world):
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda n: start(world.services, make_tiles(2_500, label=f"n{n}")), range(4)))

    assert len({one.job.job_id for one in started}) == 1
    assert_complete(world, started[0].job)


def test_another_content_under_the_same_name_is_an_error(world):
    job = start(world.services).job
    world.services.table.claim_digest("0" * 64, job.job_id)
    taken = replace(job, digest="0" * 64)
    other = new_world().services
    other.table.put_job(taken)

    with pytest.raises(InvalidInput, match="is the job of another request"):
        start(other)


@pytest.mark.parametrize(("cap", "command"), [(0.01, "awaiting_approval"), (1_000, "open"), (None, "open")])
def test_a_job_that_may_cost_more_than_its_cap_awaits_approval(world, cap, command):
    started = start(world.services, make_tiles(2_500, max_cost_usd=cap))

    assert started.job.command == command
    assert set(world.chunk_messages()) == (set() if command == "awaiting_approval" else {0, 1, 2})


def test_an_approved_job_runs(world):
    job = start(world.services, make_tiles(2_500, max_cost_usd=0.01)).job

    approved = approve_job(job.job_id, services=world.services, now=NOW)

    assert approved.chunks_sent == 3
    assert_complete(world, replace(job, command=Command.OPEN))


def test_an_approval_that_died_half_way_is_done_again(world):
    job = start(world.services, make_tiles(2_500, max_cost_usd=0.01)).job
    world.services.table.set_command(job.job_id, Command.OPEN)

    approve_job(job.job_id, services=world.services, now=NOW)

    assert set(world.chunk_messages()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("command", "reopen"),
    [
        (Command.CANCELLED, approve_job),
        (Command.CANCELLED, resume_job),
        (Command.PAUSED, approve_job),
        (Command.AWAITING_APPROVAL, resume_job),
    ],
)
def test_a_job_is_opened_only_by_the_command_for_it(world, command, reopen):
    job = start(world.services).job
    world.services.table.set_command(job.job_id, command)

    with pytest.raises(InvalidInput, match=f"found {command}"):
        reopen(job.job_id, services=world.services, now=NOW)

    assert world.services.table.job(job.job_id).command is command


def steps_of(act, prepare):
    """How many steps there are in which ``act(world, services)`` may die."""
    world, faults = new_world(), Faults()
    prepare(world)
    act(world, world.with_faults(faults))
    return faults.steps


def awaiting(world):
    return start(world.services, make_tiles(2_500, max_cost_usd=0.01)).job


def the_job(world):
    (job,) = world.services.table.jobs(1)
    return job


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_approval_that_dies_at_any_step_is_finished_by_the_next_one(world, after):
    def approve(place, services):
        return approve_job(the_job(place).job_id, services=services, now=NOW)

    steps = steps_of(approve, awaiting)
    for step in range(steps):
        place = new_world()
        job = awaiting(place)
        with pytest.raises(Crash):
            approve(place, place.with_faults(Faults(step, after=after)))

        approve(place, place.services)

        assert_complete(place, replace(job, command=Command.OPEN))
    assert steps >= 6  # job, its row read again and put, chunks read, messages, tasks read


def paused(world):
    """A job whose second chunk is out: one of its three tasks is parked, the others are with workers."""
    job = start(world.services, make_tiles(1_003, products=("dem",))).job
    send_chunk(job.job_id, 1, services=world.services)
    world.task_messages(Product.DEM)
    world.chunk_messages()
    row = next(iter(world.services.table.tasks(job)))
    world.services.table.replace(row, replace(row, parked=True, check_after=None))
    world.services.table.set_command(job.job_id, Command.PAUSED)
    return job, row


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_resumption_that_dies_at_any_step_is_finished_by_the_next_one(world, after):
    def resume(place, services):
        return resume_job(the_job(place).job_id, services=services, now=NOW)

    steps = steps_of(resume, paused)
    for step in range(steps):
        place = new_world()
        job, row = paused(place)
        with pytest.raises(Crash):
            resume(place, place.with_faults(Faults(step, after=after)))

        resume(place, place.services)

        assert set(place.chunk_messages()) == {0}
        (body,) = place.task_messages(Product.DEM)
        assert f'"x_tile":{row.x_tile},' in body
        assert not any(task.parked for task in place.services.table.tasks(job))
    assert steps >= 8  # job, its row read again and put, chunks, message, tasks, message, row


def test_resuming_no_job_is_an_error(world):
    with pytest.raises(InvalidInput, match="expected a job, found none called nothing"):
        resume_job("nothing", services=world.services, now=NOW)


def test_resuming_sends_parked_tasks_and_unsent_chunks(world):
    job = start(world.services, make_tiles(1_003, products=("dem",))).job
    send_chunk(job.job_id, 1, services=world.services)
    world.task_messages(Product.DEM)
    world.chunk_messages()
    rows = list(world.services.table.tasks(job))
    world.services.table.replace(rows[0], replace(rows[0], parked=True, check_after=None))
    world.services.table.set_command(job.job_id, Command.PAUSED)

    resumed = resume_job(job.job_id, services=world.services, now=NOW + 1)

    assert (resumed.job.command, resumed.chunks_sent, resumed.tasks_sent) == (Command.OPEN, 1, 1)
    assert set(world.chunk_messages()) == {0}
    (body,) = world.task_messages(Product.DEM)
    assert f'"x_tile":{rows[0].x_tile},' in body
    row = world.services.table.task(job.job_id, 0, rows[0].task_id)
    assert (row.parked, row.state, row.check_after) == (False, State.QUEUED, NOW + 1 + 6 * 3600)


@pytest.mark.parametrize(
    ("dest", "fits"),
    [
        ("s3://tof-output", True),
        ("s3://tof-output/deep/down", True),
        ("/outputs/x", True),
        ("s3://tof-output-2/x", False),
        ("s3://tof", False),
        ("/outputs2", False),
        ("/", False),
    ],
)
def test_outputs_go_only_where_the_deployment_allows(world, dest, fits):
    if fits:
        assert start(world.services, make_tiles(1, dest=dest)).job.dest == dest
    else:
        with pytest.raises(RequestRejected) as caught:
            start(world.services, make_tiles(1, dest=dest))
        assert caught.value.problems[0].place == "/$options/dest"
        assert not world.services.table.jobs(10)


def test_a_deployment_may_allow_every_folder():
    with mocked_world(allowed_dests=("/",)) as world:
        assert start(world.services, make_tiles(1, dest="/anywhere")).created


def test_products_that_are_not_named_are_the_deployment_s(world):
    assert set(start(world.services, make_tiles(1)).job.totals) == {Product.DEM, Product.S1}


def test_products_that_are_named_must_be_there(world):
    with pytest.raises(RequestRejected, match=r"products: expected products .* \(dem, s1\), found s2"):
        start(world.services, make_tiles(1, products=("dem", "s2")))


def test_all_that_a_deployment_lacks_is_told_at_once(world):
    with pytest.raises(RequestRejected) as caught:
        start(world.services, make_tiles(1, products=("s2",), dest="/no"))

    assert [problem.place for problem in caught.value.problems] == ["/$options/dest", "/$options/products"]


class Refusing:
    """An SQS client whose first batches have entries that fail."""

    def __init__(self, client, *, times):
        self.client, self.times = client, times

    def send_message_batch(self, *, QueueUrl, Entries):  # noqa: N803
        if self.times == 0:
            return self.client.send_message_batch(QueueUrl=QueueUrl, Entries=Entries)
        self.times -= 1
        answer = self.client.send_message_batch(QueueUrl=QueueUrl, Entries=Entries[1:]) if Entries[1:] else {}
        failed = {"Id": Entries[0]["Id"], "Code": "InternalError", "SenderFault": False}
        return {"Successful": answer.get("Successful", []), "Failed": [failed]}


def refusing(world, *, times):
    queue = world.services.chunk_queue
    return replace(world.services, chunk_queue=type(queue)(Refusing(world.sqs, times=times), queue.url))


def test_entries_that_a_batch_refuses_are_sent_again(world):
    started = start(refusing(world, times=2))

    assert started.chunks_sent == 3
    assert world.chunk_messages() == {0: 1, 1: 1, 2: 1}


def test_a_queue_that_keeps_refusing_is_an_error_and_the_next_start_goes_on(world):
    with pytest.raises(Unavailable, match="messages refused: InternalError"):
        start(refusing(world, times=99))

    assert_complete(world, start(world.services).job)
