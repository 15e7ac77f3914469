"""A storm over a hundred tasks, and that who looks at what it left would see a broken promise."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ard.adapters.outputs import publish
from ard.adapters.queues import Received
from ard.adapters.store import Store
from ard.rows import TaskRow
from ard.states import State
from ard.transitions import Delivery, claimed, crashed, finished
from tests.factories import NOW, make_dem, make_provenance, make_row, make_task
from tests.faults.promises import Promise, broken_by_end, broken_by_history, broken_by_letters
from tests.faults.proxy import Request
from tests.faults.weather import Weather, dangers

ROOT = Path(__file__).resolve().parents[2]
SEED = 20
REQUEST = Request(method="POST", path="/", headers={"x-amz-target": "DynamoDB_20120810.PutItem"}, body=b"{}")


@pytest.mark.timeout(900)
def test_nothing_is_lost_in_a_storm():
    """In a process of its own: a storm changes the environment, and kills."""
    command = [sys.executable, "-m", "tests.faults.soak", "--tasks", "100", "--seed", str(SEED)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    counts = {name: int(number) for name, number in re.findall(r"^([a-z ]+): (\d+)$", done.stdout, re.MULTILINE)}
    assert counts.pop("faults") > 50, "it was a storm"
    assert set(counts.values()) == {0}, done.stdout


def claim(row: TaskRow, owner: str, *, now: float = NOW) -> TaskRow:
    delivery = Delivery(owner=owner, now=now, lease_until=now + 100, fence=None, max_attempts=4, gb=1.0)
    return claimed(row, delivery)


def succeed(row: TaskRow, *, now: float = NOW + 9) -> TaskRow:
    return finished(row, "item", flags=(), digest={}, now=now, gb=1.0)


def promises(*rows: TaskRow) -> set[Promise]:
    return {broken.promise for broken in broken_by_history([rows])}


def test_an_honest_history_breaks_nothing():
    row = make_row()
    first = claim(row, "a")
    dead = crashed(first, max_attempts=4, now=NOW + 200)
    second = claim(dead, "b", now=NOW + 200)
    done = succeed(second, now=NOW + 209)

    assert promises(row, first, dead, second, done, replace(done, check_after=None)) == set()


def test_a_second_commit_is_seen():
    row = make_row()
    first = claim(row, "a")
    second = claim(first, "b", now=NOW + 5)

    assert promises(row, first, second, succeed(second), succeed(first)) >= {Promise.ONE_COMMIT, Promise.FENCED}


def test_a_way_back_from_an_end_is_seen():
    done = succeed(claim(make_row(), "a"))

    assert promises(done, claim(done, "b")) == {Promise.NO_WAY_BACK}


def test_a_claim_without_the_next_fence_and_an_end_without_a_claim_are_seen():
    row = make_row()

    assert promises(row, replace(claim(row, "a"), fence=3)) == {Promise.FENCED}
    assert promises(row, replace(row, state=State.SUCCEEDED)) == {Promise.FENCED}


def test_a_task_that_never_ended_ended_wrongly_or_has_half_an_output_is_seen():
    task, store = make_task(), Store.in_memory()
    name = task.task_id
    done = make_row(state=State.SUCCEEDED)
    expected = {name: frozenset({"SUCCEEDED"})}

    def broken(rows):
        return {found.promise for found in broken_by_end(expected, rows, {name: task}, store)}

    assert broken({}) == {Promise.NOT_LOST}
    assert broken({name: make_row(state=State.RETRYING)}) == {Promise.NOT_LOST}
    assert broken({name: make_row(state=State.FAILED, cause="crashed")}) == {Promise.RIGHT_STATE}
    assert broken({name: done}) == {Promise.COMPLETE}
    publish(make_dem(), task, store, provenance=make_provenance(), still_ours=lambda: None)
    assert broken({name: done}) == set()
    cog = next(key for key in store.list("") if key.endswith(".tif"))
    content = store.get(cog)
    store.put(cog, content[:-1] + bytes([content[-1] ^ 1]))
    assert broken({name: done}) == {Promise.COMPLETE}, "of the right size, and yet another content"


def test_a_failure_without_its_letter_and_a_letter_without_its_failure_are_seen():
    failed, done = make_row(state=State.FAILED, fence=2), make_row(state=State.SUCCEEDED, fence=2)

    def letter(fence):
        return Received(body=make_task().model_dump_json(), receipt="", attributes={"fence": fence, "cause": "crashed"})

    assert broken_by_letters([failed], [letter("2"), letter("2")]) == []
    assert len(broken_by_letters([failed], [])) == 1
    assert len(broken_by_letters([failed], [letter("1")])) == 1
    assert len(broken_by_letters([done], [letter("2")])) == 1
    assert len(broken_by_letters([], [letter("2")])) == 1


def test_the_same_seed_draws_the_same_faults_and_another_seed_others():
    def drawn(seed):
        weather = Weather(seed, dangers(hang_seconds=1))
        return [fault and fault.kind for fault in (weather.decide("dynamodb", REQUEST) for _ in range(500))]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert {kind for kind in drawn(1) if kind} >= {"lost answer", "throttled"}
