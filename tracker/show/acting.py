"""What the acting commands say, for people."""

from collections.abc import Iterator, Mapping

from ard.adapters.console import count, plain
from ard.cost import Estimate
from ard.product import Product
from ard.rows import Command
from ard.states import State
from tracker.canary import NEEDED_PART, Canary
from tracker.drift import Drift
from tracker.reconcile import ReconcileResult, Step
from tracker.redrive import Redrive
from tracker.redrive_plan import Outage, RedrivePlan
from tracker.repair import Repair
from tracker.stopping import Standing, Stopped
from tracker.wording import size, usd

_NAMED = 20  # things of a kind that are listed one by one

_MEANINGS = {
    Step.RESENT: "nobody had taken the message; sent again",
    Step.RETRIED: "the retry was overdue; sent again",
    Step.REVIVED: "the worker had died; sent again",
    Step.FAILED: "the worker had died for the last time",
    Step.PARKED: "the job is paused",
    Step.CANCELLED: "the job is cancelled",
    Step.PUT_OFF: "nothing to do yet",
    Step.CHUNK_SENT: "the chunk's message was lost; sent again",
}

_WHY_LEFT = {
    State.SUCCEEDED: "succeeded",
    State.SKIPPED: "skipped (there already)",
    State.NO_DATA: "without data",
    State.RUNNING: "running now",
    State.QUEUED: "queued",
    State.RETRYING: "to be tried again by themselves",
    State.CANCELLED: "cancelled",
}


def plan_lines(
    plan: RedrivePlan, *, canary: int, cost: Estimate, letters: Mapping[Product, int], of: str = ""
) -> Iterator[str]:
    """What a redrive would do."""
    failed = len(plan.chosen) + len(plan.permanent)
    yield f"Plan{of} (nothing sent yet)"
    yield f"  {failed:,} failed: {len(plan.chosen):,} to send again, {len(plan.permanent):,} left"
    if plan.permanent:
        causes = ", ".join(sorted({row.cause or "unknown" for row in plan.permanent}))
        yield f"  left: {plain(causes)}; trying again cannot help until what the messages name is repaired"
    if plan.others:
        yield f"  never touched: {_states(plan.others)}"
    if letters:
        waiting = ", ".join(f"{product} about {number:,}" for product, number in sorted(letters.items()))
        yield f"  dead letters that wait, of all jobs: {waiting}"
    if plan.chosen and cost.products:
        low, high = usd(cost.low_usd), usd(cost.high_usd)
        yield f"  estimate {usd(cost.expected_usd)} ({low} - {high}, by {cost.source})"
    if canary:
        yield f"  canary {canary:,}, then the rest if {NEEDED_PART:.0%} of them end well"


def outage_line(outage: Outage) -> str:
    """Why sending tasks of a product may be in vain now."""
    return (
        f"the provider of {outage.product} seems to be down: {count(outage.waiting, 'task')} wait for it, "
        f"{outage.made:,} made in the last 15 minutes"
    )


def canary_line(canary: Canary) -> str:
    """How a canary stands."""
    parts = [f"{canary.well:,} ok", *_causes(canary.badly), *(f"{part} still" for part in _causes(canary.waiting))]
    return f"canary of {canary.size:,}: {plain(', '.join(parts))}"


def redrive_lines(done: Redrive) -> Iterator[str]:
    """What a redrive did."""
    changed = sum(done.changed.values())
    yield f"sent {done.sent:,}   changed meanwhile {changed:,}   dead letters taken away {done.letters_deleted:,}"
    if changed:
        yield f"changed meanwhile, so left alone: {_states(done.changed)}"
    for product in done.letters_left:
        yield f"the dead-letter queue of {product} could not be cleared; what is left there does no harm"
    if done.held_back:
        yield f"held back {done.held_back:,}"


def reconcile_lines(result: ReconcileResult) -> Iterator[str]:
    """What a reconcile did."""
    for step, rows in sorted(result.rows.items()):
        yield f"{step:12}{rows:>8,}   {_MEANINGS[step]}"
    if result.requests:
        yield f"{'requests':12}{result.requests:>8,}   nobody had answered; announced again"
    if not result.rows and not result.requests:
        yield "nothing was due"


def drift_lines(drift: Drift) -> Iterator[str]:
    """Where rows and outputs tell different stories; of each kind only the first ones by name."""
    yield f"outputs of {count(drift.checked, 'task')} looked at: {count(drift.found, 'thing')} out of place"
    yield from _listed(
        "recorded, but not there", [f"{one.row.task_id}  {plain(one.damage)}" for one in drift.lost], len(drift.lost)
    )
    unrecorded = [f"{one.row.task_id}  {one.row.state}, {one.output.item_key}" for one in drift.unrecorded]
    yield from _listed("there, but not recorded", unrecorded, len(unrecorded))
    orphans = [f"{plain(one.key)}  {size(one.size)}" for one in drift.orphans]
    yield from _listed("objects that no item names", orphans, len(orphans))
    for product, letters in sorted(drift.stale_letters.items()):
        yield f"  dead letters of {product} that are true no more: {letters:,}"


def repair_lines(done: Repair) -> Iterator[str]:
    """What was repaired."""
    letters = sum(done.letters_deleted.values())
    yield (
        f"repaired: {done.sent:,} sent again, {done.recorded:,} recorded, "
        f"{done.orphans_deleted:,} objects and {letters:,} dead letters deleted; left {done.left:,}"
    )


def stopped_lines(stopped: Stopped) -> Iterator[str]:
    """What cancelling or pausing a job did."""
    tasks = stopped.tasks
    yield f"{stopped.job.job_id}  {stopped.command}"
    if stopped.command is Command.CANCELLED:
        yield f"  {count(stopped.cancelled, 'waiting task')} cancelled now, {tasks[Standing.CANCELLED]:,} in all"
    else:
        yield f"  {count(tasks[Standing.WAITING], 'task')} held back"
    yield f"  {tasks[Standing.RUNNING]:,} still running: they end by themselves; {tasks[Standing.ENDED]:,} had ended"


def _listed(what: str, names: list[str], total: int) -> Iterator[str]:
    if not total:
        return
    yield f"  {what}: {total:,}"
    for name in names[:_NAMED]:
        yield f"    {name}"
    if total > _NAMED:
        yield f"    and {total - _NAMED:,} more"


def _causes(counted: Mapping[str, int]) -> list[str]:
    return [f"{number:,} {cause}" for cause, number in sorted(counted.items())]


def _states(counted: Mapping[State, int]) -> str:
    return ", ".join(f"{tasks:,} {_WHY_LEFT.get(state, state.lower())}" for state, tasks in counted.items())
