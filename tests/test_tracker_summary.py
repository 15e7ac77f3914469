from dataclasses import replace

import pytest
from rich.console import Console

from ard.product import Product
from ard.rows import Command
from ard.states import State
from tests.factories import NOW, make_job, make_row
from tracker.follow import Follower, NoSuchJob, follow
from tracker.show.status import advice, headline, status_view
from tracker.summary import Outcome, Trouble, activity_of, summarise

REGIONS = {Product.DEM: "eu-central-1", Product.S1: "eu-central-1"}


def make_rows(*states, **fields):
    return [make_row(x_tile=number, state=state, **fields) for number, state in enumerate(states)]


def summary_of(rows, *, total=None, now=NOW, **job):
    job = make_job(totals={Product.DEM: len(rows) if total is None else total}, **job)
    return summarise(job, [activity_of(row) for row in rows], now=now, regions=REGIONS)


def test_every_state_has_its_count_and_they_add_up():
    summary = summary_of(make_rows(*State, lease_until=NOW + 60))

    counts = summary.counts
    assert (counts.done, counts.skipped, counts.no_data, counts.running) == (1, 1, 1, 1)
    assert (counts.retrying, counts.queued, counts.failed, counts.cancelled) == (1, 1, 1, 1)
    assert counts.total == len(State)
    assert counts.progress == 5 / 8


def test_tasks_without_a_row_yet_are_queued():
    assert summary_of(make_rows(State.SUCCEEDED), total=10).counts.queued == 9


def test_tasks_without_a_row_are_cancelled_with_their_job():
    summary = summary_of(make_rows(State.SUCCEEDED), total=10, command=Command.CANCELLED)

    assert summary.counts.cancelled == 9
    assert summary.outcome is Outcome.CANCELLED


@pytest.mark.parametrize(("late", "stalled"), [(60.0, 0), (60.1, 1)])
def test_a_worker_is_given_a_minute_past_its_lease(late, stalled):
    summary = summary_of(make_rows(State.RUNNING, lease_until=NOW - late))

    assert (summary.counts.stalled, summary.counts.running) == (stalled, 1 - stalled)


@pytest.mark.parametrize(
    ("states", "command", "outcome"),
    [
        ([State.SUCCEEDED, State.NO_DATA, State.SKIPPED], Command.OPEN, Outcome.SUCCEEDED),
        ([State.SUCCEEDED, State.FAILED], Command.OPEN, Outcome.PARTLY_FAILED),
        ([State.FAILED, State.FAILED], Command.OPEN, Outcome.FAILED),
        ([State.CANCELLED], Command.CANCELLED, Outcome.CANCELLED),
        ([State.QUEUED], Command.OPEN, Outcome.QUEUED),
        ([State.QUEUED, State.FAILED], Command.OPEN, Outcome.RUNNING),
        ([State.QUEUED], Command.PAUSED, Outcome.PAUSED),
        ([State.QUEUED], Command.AWAITING_APPROVAL, Outcome.AWAITING_APPROVAL),
    ],
)
def test_the_outcome_follows_from_the_rows_and_the_command(states, command, outcome):
    assert summary_of(make_rows(*states), command=command).outcome is outcome


def test_the_rate_counts_what_workers_ended_within_five_minutes():
    recent = make_rows(*[State.SUCCEEDED] * 10, updated_at=NOW - 100)
    old = make_rows(*[State.SUCCEEDED] * 7, updated_at=NOW - 301)
    skipped = make_rows(*[State.SKIPPED] * 7, updated_at=NOW - 100)

    assert summary_of([*recent, *old, *skipped], created_at=NOW - 1000).tasks_per_minute == 2.0


def test_the_end_is_foretold_as_a_range_around_the_rate():
    rows = make_rows(*[State.SUCCEEDED] * 25, updated_at=NOW - 1)

    summary = summary_of(rows, total=125, created_at=NOW - 300)

    assert summary.eta_seconds == (1000.0, 1500.0)


def test_too_little_has_ended_to_foretell_anything():
    rows = make_rows(*[State.SUCCEEDED] * 3, updated_at=NOW - 1)

    assert summary_of(rows, total=125, created_at=NOW - 300).eta_seconds is None


def test_a_paused_job_has_no_foreseeable_end():
    rows = make_rows(*[State.SUCCEEDED] * 25, updated_at=NOW - 1)

    assert summary_of(rows, total=125, command=Command.PAUSED).eta_seconds is None


def test_spending_is_the_gb_seconds_of_all_attempts():
    summary = summary_of(make_rows(State.SUCCEEDED, State.RETRYING, gb_seconds=30_000.0))

    assert summary.spent_usd == pytest.approx(1.0002)


def test_trouble_is_counted_by_state_and_cause_and_forgotten_when_redriven():
    rows = make_rows(State.RETRYING, State.FAILED, State.FAILED, State.QUEUED, cause="crashed")

    assert summary_of(rows).trouble == (
        Trouble(state=State.FAILED, cause="crashed", tasks=2, products=(Product.DEM,), sample="2023/1X871Y/dem"),
        Trouble(state=State.RETRYING, cause="crashed", tasks=1, products=(Product.DEM,), sample="2023/0X871Y/dem"),
    )


def test_products_are_counted_apart_and_together():
    job = make_job(totals={Product.DEM: 2, Product.S1: 3})
    rows = [make_row(state=State.SUCCEEDED), make_row(product=Product.S1, state=State.FAILED)]

    summary = summarise(job, map(activity_of, rows), now=NOW, regions=REGIONS)

    by_product = {product.product: product.counts for product in summary.products}
    assert (by_product[Product.DEM].total, by_product[Product.S1].total, summary.counts.total) == (2, 3, 5)
    assert (summary.counts.done, summary.counts.failed, summary.counts.queued) == (1, 1, 3)


class Rows:
    """A status table whose index shows what the test says, and which remembers what it was asked."""

    name = "table"

    def __init__(self, rows, index=None, *, shards=1):
        self.rows, self.index, self.asked, self.shards = rows, index if index is not None else rows, [], shards

    def job(self, job_id):
        return make_job(totals={Product.DEM: len(self.rows)}, shards=self.shards) if self.rows else None

    def changes(self, job, shard, *, since, odd):
        self.asked.append(since)
        return [activity_of(row) for row in self.index if row.updated_at >= since and row.x_tile % job.shards == shard]

    def confirmed_activity(self, job, *, odd):
        return [activity_of(row) for row in self.rows]


def follower_of(table, clock=lambda: 0.0):
    return Follower(table=table, job_id="a", regions=REGIONS, clock=clock)


def test_a_follower_reads_only_what_changed_since_with_a_minute_of_overlap():
    table = Rows(make_rows(State.QUEUED, State.QUEUED))
    follower = follower_of(table)

    follower.read(NOW)
    table.rows[0] = replace(table.rows[0], state=State.SUCCEEDED, updated_at=NOW + 4)
    summary = follower.read(NOW + 5)

    assert table.asked == [0.0, NOW - 60]
    assert (summary.counts.done, summary.counts.queued) == (1, 1)


def test_a_look_at_a_slow_table_stays_short_and_the_next_one_begins_where_it_ended():
    class Slow(Rows):
        now, looked_at = 0.0, ()

        def changes(self, job, shard, *, since, odd):
            self.now += 0.3
            self.looked_at = (*self.looked_at, shard)
            return super().changes(job, shard, since=since, odd=odd)

    table = Slow(make_rows(*[State.QUEUED] * 32), shards=32)
    follower = follower_of(table, lambda: table.now)
    follower.read(NOW)
    whole, table.looked_at = table.looked_at, ()

    second = follower.read(NOW + 5)
    asked, table.looked_at = table.looked_at, ()
    follower.read(NOW + 10)

    assert sorted(whole) == list(range(32)), "the first look reads everything"
    assert 4 <= len(asked) <= 4 + 4, "a second, and what was under way when it ended"
    assert not set(asked) & set(table.looked_at[:4])
    assert second.as_of == NOW, "the numbers are as old as their oldest part"


def test_an_end_that_only_the_index_shows_is_not_believed():
    rows = make_rows(State.RUNNING, lease_until=NOW + 60)
    table = Rows(rows, index=make_rows(State.SUCCEEDED))

    summary = follower_of(table).read(NOW)

    assert (summary.ended, summary.confirmed, summary.counts.running) == (False, True, 1)


def test_a_job_that_is_not_there_is_told_apart():
    with pytest.raises(NoSuchJob, match="tracker jobs"):
        follower_of(Rows([])).read(NOW)


def test_following_goes_on_until_every_task_has_ended():
    table = Rows(make_rows(State.QUEUED, State.QUEUED))
    follower = follower_of(table)
    shown, slept = [], []

    def sleep(seconds):
        slept.append(seconds)
        table.rows[len(slept) - 1] = replace(table.rows[len(slept) - 1], state=State.FAILED)

    last = follow(lambda: follower.read(NOW), show=shown.append, sleep=sleep, refresh_seconds=5)

    assert [summary.counts.failed for summary in shown] == [0, 1, 2]
    assert slept == [5, 5]
    assert last.outcome is Outcome.FAILED


def shown(summary, width, *, unicode=True):
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        console.print(status_view(summary, width=width, unicode=unicode))
    return capture.get()


def test_a_wide_terminal_shows_regions_and_bars_a_narrow_one_only_what_there_is():
    summary = summary_of(make_rows(State.SUCCEEDED, State.QUEUED))

    wide, narrow = shown(summary, 140), shown(summary, 50)

    assert "eu-central-1" in wide and "█" * 10 + "░" * 10 in wide and "NoData" in wide
    assert "eu-central-1" not in narrow and "NoData" not in narrow and "…" not in narrow
    assert " 50.0%" in narrow


def test_a_terminal_without_unicode_gets_plain_bars():
    assert shown(summary_of(make_rows(State.SUCCEEDED)), 140, unicode=False).isascii()


def test_all_but_one_of_very_many_is_not_all():
    rows = make_rows(*[State.SUCCEEDED] * 9_999)

    assert " 99.9%" in shown(summary_of(rows, total=10_000), 140)


@pytest.mark.parametrize(
    ("rows", "command", "next_command"),
    [
        (make_rows(State.QUEUED), Command.AWAITING_APPROVAL, "producer approve --job 2023-1t-0123456789"),
        (make_rows(State.QUEUED), Command.PAUSED, "producer resume --job 2023-1t-0123456789"),
        (make_rows(State.FAILED), Command.OPEN, "tracker failures --job 2023-1t-0123456789"),
        (make_rows(State.RUNNING), Command.OPEN, "tracker reconcile --job 2023-1t-0123456789"),
        (make_rows(State.SUCCEEDED), Command.OPEN, "tracker report --job 2023-1t-0123456789"),
    ],
)
def test_whatever_needs_a_person_comes_with_its_command(rows, command, next_command):
    assert next_command in advice(summary_of(rows, command=command))[0]


def test_the_headline_compares_spending_with_the_estimate_and_the_cap():
    summary = summary_of(make_rows(State.SUCCEEDED, gb_seconds=120_000.0), estimate_usd=6.69, max_cost_usd=15.0)

    assert headline(summary).endswith("$2.00 of est. $6.69 (cap $15.00)")


@pytest.mark.parametrize("width", [40, 60, 79, 80, 100, 160])
def test_no_width_cuts_a_number(width):
    rows = [row for state in State for row in make_rows(state, cause="unavailable", lease_until=NOW - 100)]
    text = shown(summary_of(rows, total=1_234_567), width)

    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    assert "1,234,5" in "".join(text.split())


def test_tiles_are_complete_in_progress_or_blocked():
    job = make_job(totals={Product.DEM: 4, Product.S1: 4})
    rows = [
        make_row(x_tile=1, state=State.SUCCEEDED),
        make_row(x_tile=1, state=State.NO_DATA, product=Product.S1),
        make_row(x_tile=2, state=State.SKIPPED),
        make_row(x_tile=2, state=State.FAILED, product=Product.S1),
        make_row(x_tile=3, state=State.SUCCEEDED),
    ]

    tiles = summarise(job, map(activity_of, rows), now=NOW, regions=REGIONS).tiles

    assert (tiles.complete, tiles.in_progress, tiles.blocked, tiles.total) == (1, 2, 1, 4)


def test_the_task_that_runs_the_longest_is_named_with_its_age():
    rows = [make_row(x_tile=n, state=State.RUNNING, updated_at=NOW - 10 * n, lease_until=NOW + 9) for n in (1, 3, 2)]

    oldest = summary_of(rows).oldest

    assert (oldest.task_id, oldest.seconds) == ("2023/3X871Y/dem", 30)
    assert "Oldest running: 2023/3X871Y/dem, 30 s" in shown(summary_of(rows), 160)


def test_the_slowest_product_is_the_one_that_will_end_last():
    job = make_job(totals={Product.DEM: 100, Product.S1: 20}, created_at=NOW - 300)
    rows = [
        *make_rows(*[State.SUCCEEDED] * 50, updated_at=NOW - 1),
        *make_rows(*[State.SUCCEEDED] * 2, product=Product.S1, updated_at=NOW - 1),
    ]

    slowest = summarise(job, map(activity_of, rows), now=NOW, regions=REGIONS).slowest

    assert (slowest.product, slowest.tasks_per_minute) == (Product.S1, 0.4)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (
            "unavailable",
            "! 1 of dem wait for a provider (unavailable), no attempts used: tracker tile 0X871Y --year 2023",
        ),
        ("auth", "! 1 of dem wait, a provider refuses our credentials (auth): tracker doctor"),
        ("transient", "  1 of dem will be tried again (transient): tracker tile 0X871Y --year 2023"),
    ],
)
def test_a_provider_in_trouble_is_told_apart_from_other_retries(cause, words):
    (line,) = advice(summary_of(make_rows(State.RETRYING, cause=cause)))

    assert line.startswith(words)
