from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ard.adapters.queues import FENCE, JOB, Outgoing, Received
from ard.errors import InvalidInput, Unavailable
from ard.product import Product
from ard.rows import task_of
from ard.states import State
from ard.task import TileTask
from tests.factories import NOW, make_job, make_row
from tests.producing import make_settings
from tracker.canary import Canary, split_canary
from tracker.letters import clear_letters
from tracker.redrive import Caution, Note, apply_redrive, canary_size
from tracker.redrive_plan import Outage, RedrivePlan, Selection, cost_of, plan_redrive
from tracker.sending import Pace
from tracker.services import Lane, Tasks

JOB_ROW = make_job()
NOTE = Note(who="ann", why="repaired", filter="")
AT_ONCE = Pace(clock=lambda: NOW, sleep=lambda _: None)


def failed(number, **fields):
    return make_row(
        **{"x_tile": number, "state": State.FAILED, "cause": "crashed", "fence": 3, "check_after": None} | fields
    )


def letter(row, **attributes):
    attributes = {FENCE: str(row.fence), JOB: row.job_id} | attributes
    return Outgoing(body=task_of(row, JOB_ROW).model_dump_json(), group=row.job_id, attributes=attributes)


def plan_of(*rows):
    return RedrivePlan(chosen=rows, permanent=(), others={})


def test_only_failed_rows_are_chosen():
    plan = plan_redrive(
        [make_row(x_tile=n, state=state, cause="x") for n, state in enumerate(State)], Selection(), now=NOW
    )

    assert [row.state for row in plan.chosen] == [State.FAILED]
    assert set(plan.others) == set(State) - {State.FAILED}


@pytest.mark.parametrize("cause", ["invalid_input", "asset_corrupt", "invalid_product", "permanent"])
def test_permanent_causes_need_force(cause):
    rows = [failed(1, cause=cause)]

    assert plan_redrive(rows, Selection(), now=NOW).permanent == tuple(rows)
    assert plan_redrive(rows, Selection(force=True), now=NOW).chosen == tuple(rows)


def test_filters_narrow_the_choice_together():
    rows = [
        failed(1),
        failed(2, cause="transient"),
        failed(1, product=Product.S1),
        failed(3),
    ]

    wanted = Selection(products=[Product.DEM], causes=["crashed"], tiles=["1X871Y", "2X871Y"])

    assert plan_redrive(rows, wanted, now=NOW).chosen == (rows[0],)


class FakeTable:
    """The rows of one job in memory; refuses to write when the dice say so."""

    name = "table"

    def __init__(self, rows):
        self.rows = {row.task_id: row for row in rows}
        self.log = {}

    def replace(self, old, new):
        if self.rows[old.task_id] != old:
            return False
        self.rows[old.task_id] = new
        return True

    def task(self, job_id, shard, task_id):
        return self.rows.get(task_id)

    def log_redrive(self, job_id, *, now, entry):
        self.log[job_id, now] = entry


@dataclass
class Dice:
    random: Random
    chance: float

    def throw(self):
        if self.random.random() < self.chance:
            raise Unavailable("dice")


class FakeQueue:
    """A queue in memory, whose every call may fail before, or after, it took effect."""

    url = "fake"

    def __init__(self, messages=(), *, dice=None):
        self.messages = [Received(body=m.body, receipt=str(n), attributes=m.attributes) for n, m in enumerate(messages)]
        self.hidden = set()
        self.dice = dice

    def _may_fail(self):
        if self.dice:
            self.dice.throw()

    def send(self, messages):
        for message in messages:
            self._may_fail()
            receipt = str(len(self.messages))
            self.messages.append(Received(body=message.body, receipt=receipt, attributes=message.attributes))
        self._may_fail()

    def depth(self):
        return len(self.messages)

    def receive(self, *, visible_again_seconds, wait_seconds=0):
        self._may_fail()
        batch = [message for message in self.messages if message.receipt not in self.hidden][:10]
        self.hidden |= {message.receipt for message in batch}
        return batch

    def delete(self, message):
        self._may_fail()
        self.messages = [kept for kept in self.messages if kept.receipt != message.receipt]
        self._may_fail()

    def hide(self, receipt, seconds):
        self._may_fail()
        assert seconds == 0
        self.hidden.discard(receipt)

    def tasks(self):
        return Counter(TileTask.model_validate_json(message.body).task_id for message in self.messages)


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.003, 0.1]), st.integers(0, 250), st.integers(0, 50))
def test_no_task_is_lost_whatever_fails(seed, chance, count, left_alone):
    rows = [failed(number) for number in range(count)]
    strangers = [failed(number, job_id="other") for number in range(left_alone)]
    dice = Dice(Random(seed), chance)
    table = FakeTable(rows)
    queue, dlq = FakeQueue(dice=dice), FakeQueue([letter(row) for row in [*rows, *strangers]], dice=dice)
    tasks = Tasks(table=table, lanes={Product.DEM: Lane(queue=queue, dlq=dlq)})

    with suppress(Unavailable):
        apply_redrive(plan_of(*rows), JOB_ROW, tasks, pace=AT_ONCE, note=NOTE)

    sent = queue.tasks()
    for row in table.rows.values():
        assert row.state is State.FAILED or sent[row.task_id] or row.check_after is not None
        assert row.state is State.QUEUED or not sent[row.task_id]
    letters = dlq.tasks()
    assert all(letters[row.task_id] for row in table.rows.values() if not sent[row.task_id])
    assert sum(TileTask.model_validate_json(kept.body).job_id == "other" for kept in dlq.messages) == left_alone


def test_a_row_that_changed_meanwhile_is_left_alone():
    row = failed(1)
    table, queue = FakeTable([replace(row, state=State.QUEUED)]), FakeQueue()
    tasks = Tasks(table=table, lanes={Product.DEM: Lane(queue=queue, dlq=FakeQueue([letter(row)]))})

    done = apply_redrive(plan_of(row), JOB_ROW, tasks, pace=AT_ONCE, note=NOTE)

    assert (done.sent, done.changed, done.letters_deleted) == (0, {State.QUEUED: 1}, 0)
    assert not queue.messages


def test_nothing_is_changed_when_a_product_has_no_queue():
    row = failed(1, product=Product.S1)
    table = FakeTable([row])

    with pytest.raises(InvalidInput, match="expected the queue of s1"):
        apply_redrive(plan_of(row), JOB_ROW, Tasks(table=table, lanes={}), pace=AT_ONCE, note=NOTE)

    assert (list(table.rows.values()), table.log) == ([row], {})


def test_a_redrive_is_logged_with_who_why_and_what():
    row = failed(1)
    table = FakeTable([row])
    tasks = Tasks(table=table, lanes={Product.DEM: Lane(queue=FakeQueue(), dlq=FakeQueue())})

    apply_redrive(plan_of(row), JOB_ROW, tasks, pace=AT_ONCE, note=NOTE)

    (entry,) = table.log.values()
    assert entry == {
        "who": "ann", "why": "repaired", "filter": "", "chosen": 1, "ended": True, "sent": 1, "letters_deleted": 0,
        "held_back": 0,
    }  # fmt: skip


def test_on_a_real_queue_a_redrive_sends_the_fence_and_clears_exactly_its_own_letters(cloud):
    rows = [failed(1), failed(2)]
    newer, stranger = letter(rows[0], **{FENCE: "4"}), letter(failed(1, job_id="other"))
    cloud.table.put_job(JOB_ROW)
    cloud.table.add_tasks(rows)
    cloud.dlq.send([letter(rows[0]), letter(rows[1]), newer, stranger, Outgoing(body="poison")])
    tasks = Tasks(table=cloud.table, lanes={Product.DEM: Lane(queue=cloud.queue, dlq=cloud.dlq)})

    done = apply_redrive(plan_of(rows[0]), JOB_ROW, tasks, pace=AT_ONCE, note=NOTE)

    assert (done.sent, done.letters_deleted, done.letters_left) == (1, 1, ())
    (message,) = cloud.queue.receive(visible_again_seconds=30, wait_seconds=1)
    assert TileTask.model_validate_json(message.body) == task_of(rows[0], JOB_ROW)
    assert message.attributes == {FENCE: "3"}
    left = [message.body for message in receive_all(cloud.dlq)]
    assert sorted(left) == sorted([letter(rows[1]).body, newer.body, stranger.body, "poison"])
    row = cloud.table.task(rows[0].job_id, 0, rows[0].task_id)
    assert (row.state, row.fence, row.charged, row.check_after) == (State.QUEUED, 3, 0, NOW + 900)


def test_an_empty_queue_of_dead_letters_is_not_waited_for(cloud):
    assert clear_letters(cloud.dlq, "a", {}) == 0


class Clock:
    """Time that passes only while somebody sleeps; then what is told to happens."""

    def __init__(self, happens=lambda: None):
        self.now, self.naps, self.happens = NOW, [], happens

    def sleep(self, seconds):
        self.now += seconds
        self.naps.append(seconds)
        self.happens()

    def pace(self, per_second=None):
        return Pace(clock=lambda: self.now, sleep=self.sleep, per_second=per_second)


def redrive_carefully(rows, *, ends, canary=10, patience=60.0):
    """A redrive whose canary ends as ``ends`` says, one task at each look; the queue, what was done, what was told."""
    table, queue, told = FakeTable(rows), FakeQueue(), []
    tasks = Tasks(table=table, lanes={Product.DEM: Lane(queue=queue, dlq=FakeQueue([letter(row) for row in rows]))})
    left = list(ends)

    def end_one():
        waiting = next((row for row in table.rows.values() if row.state is State.QUEUED), None)
        if left and waiting:
            table.rows[waiting.task_id] = replace(waiting, **left.pop(0))

    caution = Caution(canary=canary, patience_seconds=patience, tell=told.append)
    pace = Clock(end_one).pace()
    return queue, apply_redrive(plan_of(*rows), JOB_ROW, tasks, pace=pace, note=NOTE, caution=caution), told


WELL, BADLY = {"state": State.SUCCEEDED}, {"state": State.FAILED, "cause": "auth"}


def test_the_rest_follows_a_canary_that_ended_well_enough():
    queue, done, told = redrive_carefully([failed(n) for n in range(30)], ends=[WELL] * 8 + [BADLY] * 2)

    assert (done.sent, done.held_back, done.canary.passed) == (30, 0, True)
    assert len(queue.messages) == 30
    assert told[0] == Canary(size=10, well=0, badly={}, waiting={"queued": 10})
    assert told[-1] == Canary(size=10, well=8, badly={"auth": 2}, waiting={})


def test_a_canary_that_can_no_longer_pass_stops_the_rest_at_once():
    queue, done, told = redrive_carefully([failed(n) for n in range(30)], ends=[WELL, BADLY, BADLY, BADLY, WELL])

    assert (done.sent, done.held_back, done.letters_deleted) == (10, 20, 10)
    assert (done.canary.passed, done.canary.lost, len(queue.messages)) == (False, True, 10)
    assert told[-1].waiting == {"queued": 6}, "nobody waits for the others"


def test_a_canary_is_waited_for_so_long_and_the_rest_stays_as_it_was():
    queue, done, _ = redrive_carefully([failed(n) for n in range(30)], ends=[WELL], patience=20.0)

    assert (done.canary.waiting, done.canary.lost, done.held_back) == ({"queued": 9}, False, 20)
    assert len(queue.messages) == 10


def test_every_product_and_cause_is_in_the_canary():
    rows = [failed(n) for n in range(40)] + [failed(50, cause="auth"), failed(51, product=Product.S1)]

    first, rest = split_canary(rows, 4)

    assert {(row.product, row.cause) for row in first} == {(row.product, row.cause) for row in rows}
    assert (len(first), len(first + rest), {row.task_id for row in first + rest}) == (
        4, 42, {row.task_id for row in rows},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("chosen", "wanted", "size"), [(20, None, 0), (21, None, 10), (500, 0, 0), (500, 3, 3), (5, 5, 0), (5, 9, 0)]
)
def test_ten_go_first_of_more_than_twenty(chosen, wanted, size):
    assert canary_size(chosen, wanted) == size


@pytest.mark.parametrize(("rate", "seconds"), [(None, 0), (10.0, 9), (0.5, 198), (1000.0, 0)])
def test_tasks_are_sent_no_faster_than_wanted(rate, seconds):
    rows, clock = [failed(n) for n in range(100)], Clock()
    tasks = Tasks(table=FakeTable(rows), lanes={Product.DEM: Lane(queue=FakeQueue(), dlq=FakeQueue())})

    done = apply_redrive(plan_of(*rows), JOB_ROW, tasks, pace=clock.pace(rate), note=NOTE)

    assert (done.sent, sum(clock.naps)) == (100, pytest.approx(seconds))


def test_the_cost_is_by_the_job_s_own_tasks_where_there_are_enough():
    queues = make_settings().queues
    made = [make_row(x_tile=n, state=State.SUCCEEDED, seconds=float(n)) for n in range(1, 7)]

    known = cost_of(plan_redrive([failed(0), *made], Selection(), now=NOW), queues)
    unknown = cost_of(plan_redrive([failed(0), *made[:4]], Selection(), now=NOW), queues)

    assert (known.source, known.gb_seconds) == ("6 tasks of this job", 3.5)
    assert (unknown.source, unknown.gb_seconds) == ("seed averages", 9.0)


def test_a_provider_seems_down_while_more_tasks_wait_for_it_than_are_made():
    waiting = [make_row(x_tile=n, state=State.RETRYING, cause="unavailable") for n in range(1, 4)]
    long_ago = [make_row(x_tile=n, state=State.SUCCEEDED, updated_at=NOW - 901) for n in range(10, 20)]
    lately = [make_row(x_tile=n, state=State.SUCCEEDED) for n in range(20, 23)]

    def outages(*rows):
        return plan_redrive([failed(0), *rows], Selection(), now=NOW).outages

    assert outages(*waiting, *long_ago) == (Outage(product=Product.DEM, waiting=3, made=0),)
    assert outages(*waiting, *lately) == outages(*waiting[:2]) == ()


def receive_all(queue):
    found = []
    while batch := queue.receive(visible_again_seconds=30, wait_seconds=1):
        found += batch
    return found
