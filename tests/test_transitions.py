"""The life of a task, decided by pure functions."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ard.errors import AssetCorrupt, Auth, InvalidInput, NoData, Transient, Unavailable
from ard.rows import Command
from ard.states import State
from ard.transitions import (
    FREE_WAIT_SECONDS,
    KEPT_ATTEMPTS,
    RETRY_CAP_SECONDS,
    Action,
    after_error,
    crashed,
    decide,
    finished,
    recovered,
    redriven,
    unmade,
)
from tests.factories import make_delivery, make_row

NOW = 1_000_000.0
RUNNING = make_row(state=State.RUNNING, fence=3, owner="other", started_at=NOW - 50, lease_until=NOW + 50)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.SKIPPED, State.NO_DATA, State.CANCELLED])
@pytest.mark.parametrize("command", list(Command))
def test_a_settled_task_is_acknowledged_and_left_as_it_is(state, command):
    decision = decide(make_row(state=state), command, make_delivery())

    assert (decision.action, decision.row) == (Action.ACKNOWLEDGE, None)


@pytest.mark.parametrize("fence", [None, 2, 4])
def test_a_failed_task_is_not_taken_by_a_plain_or_stale_message(fence):
    decision = decide(make_row(state=State.FAILED, fence=3), Command.OPEN, make_delivery(fence=fence))

    assert (decision.action, decision.row) == (Action.DEAD_LETTER, None)


def test_a_failed_task_is_taken_by_the_copy_of_its_failure_with_a_fresh_budget():
    row = make_row(state=State.FAILED, fence=3, charged=4, cause="transient", message="x")

    decision = decide(row, Command.OPEN, make_delivery(fence=3))

    assert decision.action is Action.WORK
    assert (decision.row.state, decision.row.fence, decision.row.charged) == (State.RUNNING, 4, 0)


def test_a_held_task_waits_for_the_end_of_its_lease():
    decision = decide(RUNNING, Command.OPEN, make_delivery(now=NOW))

    assert (decision.action, decision.until, decision.row) == (Action.WAIT, NOW + 50, None)


def test_a_task_that_is_not_due_waits():
    decision = decide(make_row(state=State.RETRYING, not_before=NOW + 9), Command.OPEN, make_delivery(now=NOW))

    assert (decision.action, decision.until) == (Action.WAIT, NOW + 9)


@pytest.mark.parametrize("row", [make_row(), make_row(state=State.RETRYING, not_before=NOW - 1)])
def test_a_due_task_is_claimed(row):
    delivery = make_delivery(now=NOW, lease_until=NOW + 100)

    decision = decide(row, Command.OPEN, delivery)

    assert decision.action is Action.WORK
    assert (decision.row.state, decision.row.fence, decision.row.owner) == (State.RUNNING, 1, delivery.owner)
    assert decision.row.lease_until == NOW + 100
    assert decision.row.check_after > NOW + 160


def test_a_dead_workers_task_is_charged_and_claimed():
    decision = decide(RUNNING, Command.OPEN, make_delivery(now=NOW + 60))

    assert decision.action is Action.WORK
    assert (decision.row.charged, decision.row.fence) == (1, 4)
    assert decision.row.attempts[-1].outcome == "crashed"
    assert decision.row.attempts[-1].worker == "other"


def test_a_dead_workers_last_attempt_fails_the_task():
    decision = decide(replace(RUNNING, charged=3), Command.OPEN, make_delivery(now=NOW + 60, max_attempts=4))

    assert decision.action is Action.DEAD_LETTER
    assert (decision.row.state, decision.row.cause, decision.row.charged) == (State.FAILED, "crashed", 4)
    assert decision.row.check_after is None


@pytest.mark.parametrize("command", [Command.PAUSED, Command.AWAITING_APPROVAL])
@pytest.mark.parametrize("row", [make_row(), make_row(state=State.RETRYING, not_before=NOW + 9)])
def test_a_paused_job_parks_its_tasks(command, row):
    decision = decide(row, command, make_delivery(now=NOW))

    assert decision.action is Action.ACKNOWLEDGE
    assert (decision.row.state, decision.row.parked) == (State.QUEUED, True)


def test_a_cancelled_job_cancels_what_waits_and_lets_run_what_runs():
    waiting = decide(make_row(), Command.CANCELLED, make_delivery(now=NOW))
    running = decide(RUNNING, Command.CANCELLED, make_delivery(now=NOW))

    assert (waiting.action, waiting.row.state) == (Action.ACKNOWLEDGE, State.CANCELLED)
    assert (running.action, running.row) == (Action.ACKNOWLEDGE, None)


def error_row(error, *, row=RUNNING, **delivery):
    return after_error(row, error, make_delivery(**delivery), now=NOW, uniform=Random(1).uniform)


def test_no_data_is_a_result():
    row = error_row(NoData("no clean scene"))

    assert (row.state, row.cause, row.charged, row.check_after) == (State.NO_DATA, "no_data", 0, None)


@pytest.mark.parametrize("error", [InvalidInput("x"), AssetCorrupt("x")])
def test_a_permanent_error_fails_at_once(error):
    assert error_row(error).state is State.FAILED


@pytest.mark.parametrize("error", [Transient("x"), KeyError("bug"), SystemExit(3), MemoryError()])
def test_a_transient_or_unknown_error_is_retried_and_charged_until_the_budget_is_used(error):
    first = error_row(error, max_attempts=2)
    last = error_row(error, row=replace(RUNNING, charged=1), max_attempts=2)

    assert (first.state, first.charged) == (State.RETRYING, 1)
    assert first.check_after > first.not_before >= NOW
    assert (last.state, last.charged) == (State.FAILED, 2)


def test_an_unknown_error_is_internal_and_tells_its_type():
    row = error_row(KeyError("bug"))

    assert row.cause == "internal"
    assert row.message.startswith("KeyError")


@pytest.mark.parametrize("error", [Unavailable("503"), Auth("403")])
def test_an_outage_costs_nothing_for_a_day_and_waits_longer_and_longer(error):
    row, caps = RUNNING, []
    for _ in range(8):
        row = error_row(error, row=replace(row, state=State.RUNNING, started_at=NOW))
        caps.append(row.not_before - NOW)

    assert (row.state, row.charged, row.waits) == (State.RETRYING, 0, 8)
    assert caps[0] <= 30 < caps[3]
    assert RETRY_CAP_SECONDS / 2 <= caps[-1] <= RETRY_CAP_SECONDS


def test_after_a_day_an_outage_is_charged():
    row = error_row(Unavailable("503"), row=replace(RUNNING, waits=99, waiting_since=NOW - FREE_WAIT_SECONDS - 1))

    assert row.charged == 1


def test_success_clears_what_belonged_to_the_way_there():
    row = finished(
        replace(RUNNING, cause="unavailable", message="503", waits=2, waiting_since=NOW - 9),
        "2023/ard/1/2/dem.json", flags={"b", "a"}, digest={"slope_p50": 2.5}, now=NOW, gb=2,
    )  # fmt: skip

    assert (row.state, row.item, row.flags) == (State.SUCCEEDED, "2023/ard/1/2/dem.json", ("a", "b"))
    assert (row.cause, row.message, row.check_after, row.lease_until, row.owner, row.waits) == (None,) * 5 + (0,)
    assert (row.seconds, row.gb_seconds) == (50, 100)
    assert row.attempts[-1].outcome == "SUCCEEDED"


def test_gb_seconds_add_up_over_attempts():
    row = error_row(Transient("x"), gb=2)
    again = replace(row, state=State.RUNNING, started_at=NOW - 10, owner="b")

    assert error_row(Transient("x"), row=again, gb=2).gb_seconds == 100 + 20


def test_only_the_last_attempts_are_kept_and_long_messages_are_cut():
    row = RUNNING
    for _ in range(9):
        row = error_row(Transient("m" * 5000), row=replace(row, state=State.RUNNING, owner="w"), max_attempts=99)

    assert len(row.attempts) == KEPT_ATTEMPTS
    assert len(row.message) == 300


def test_a_redriven_task_keeps_its_fence():
    row = redriven(make_row(state=State.FAILED, fence=7, charged=4, cause="transient"), now=NOW)

    assert (row.state, row.fence, row.charged) == (State.QUEUED, 7, 0)


_ROWS = st.builds(
    make_row,
    state=st.sampled_from(list(State)),
    fence=st.integers(0, 5),
    charged=st.integers(0, 5),
    lease_until=st.one_of(st.none(), st.floats(NOW - 100, NOW + 100)),
    not_before=st.one_of(st.none(), st.floats(NOW - 100, NOW + 100)),
)


@given(_ROWS, st.sampled_from(list(Command)), st.one_of(st.none(), st.integers(0, 5)))
def test_whatever_a_decision_writes_moves_forward_and_stays_watched(row, command, fence):
    decision = decide(row, command, make_delivery(now=NOW, lease_until=NOW + 10, fence=fence))

    if decision.row is not None:
        assert not row.state.settled
        assert decision.row.fence - row.fence == (decision.action is Action.WORK)
        watched = decision.row.check_after is not None
        assert watched == (not decision.row.state.terminal and not decision.row.parked)


@given(_ROWS, st.integers(1, 5))
def test_a_crash_is_always_charged(row, max_attempts):
    assert crashed(row, max_attempts=max_attempts, now=NOW).charged == row.charged + 1


def test_a_task_whose_output_is_gone_waits_again_and_its_fence_stays():
    row = make_row(state=State.SUCCEEDED, fence=3, charged=2, item="x", flags=("f",), digest={"a": 1}, check_after=None)

    after = unmade(row, damage="x" * 999, now=NOW)

    assert (after.state, after.fence, after.charged, after.cause) == (State.QUEUED, 3, 0, "output_lost")
    assert (after.item, after.flags, after.digest, len(after.message)) == (None, (), {}, 300)
    assert after.check_after == NOW + 900, "nobody else would miss it"


def test_a_task_whose_output_was_found_has_succeeded_without_an_attempt():
    row = replace(RUNNING, cause="crashed", message="died", waits=2, waiting_since=NOW, gb_seconds=7.0)

    after = recovered(row, "item", flags={"b", "a"}, digest={"n": 1}, now=NOW + 9)

    assert (after.state, after.fence, after.item, after.flags, after.digest) == (
        State.SUCCEEDED, 3, "item", ("a", "b"), {"n": 1},
    )  # fmt: skip
    assert (after.owner, after.lease_until, after.check_after, after.cause, after.message) == (None,) * 5
    assert (after.attempts, after.gb_seconds, after.updated_at) == ((), 7.0, NOW + 9)
