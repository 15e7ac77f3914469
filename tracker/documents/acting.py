"""The JSON documents of the acting commands, and how they are made."""

from collections.abc import Sequence
from typing import Literal

from ard.cost import Estimate
from ard.product import Product
from ard.rows import Command, JobRow, TaskRow
from ard.states import State
from tracker.canary import Canary
from tracker.documents.make import Document as Json
from tracker.documents.make import dumped
from tracker.documents.shapes import Document, Shape
from tracker.drift import Drift
from tracker.reconcile import ReconcileResult, Step
from tracker.redrive import Redrive
from tracker.redrive_plan import RedrivePlan
from tracker.repair import Repair
from tracker.stopping import Standing


class TaskShape(Shape):
    """A task by name, why it failed and its last claim."""

    task: str
    cause: str | None
    fence: int


class EstimateShape(Shape):
    """What a redrive is expected to cost, US dollars, and whose averages say so."""

    low_usd: float
    expected_usd: float
    high_usd: float
    source: str


class OutageShape(Shape):
    """A product whose provider seems down: tasks that wait for it, and tasks made in the last quarter hour."""

    product: Product
    waiting: int
    made: int


class RedrivePlanDocument(Document):
    """What a redrive would do to one job; ``letters`` is about how many dead letters wait, of all jobs."""

    kind: Literal["redrive_plan"] = "redrive_plan"
    job: str
    to_send: list[TaskShape]
    permanent_left: list[TaskShape]
    other_states: dict[State, int]
    canary: int
    estimate: EstimateShape
    outages: list[OutageShape]
    letters: dict[Product, int]
    odd_rows: int


class RedrivePlansDocument(Document):
    """What a redrive would do to the newest jobs, as far as tasks of theirs have failed."""

    kind: Literal["redrive_plans"] = "redrive_plans"
    jobs: list[RedrivePlanDocument]


class CanaryShape(Shape):
    """How the tasks that went first have ended; those in ``waiting`` have not, by cause or state."""

    size: int
    well: int
    badly: dict[str, int]
    waiting: dict[str, int]
    passed: bool


class RedriveDocument(Document):
    """What a redrive did to one job; ``held_back`` tasks were not sent because the canary did not pass."""

    kind: Literal["redrive"] = "redrive"
    job: str
    sent: int
    changed_meanwhile: dict[State, int]
    permanent_left: int
    held_back: int
    canary: CanaryShape | None
    letters_deleted: int
    letters_left: list[Product]


class RedrivesDocument(Document):
    """What a redrive did to several jobs."""

    kind: Literal["redrives"] = "redrives"
    jobs: list[RedriveDocument]


class LostShape(Shape):
    """A task that is recorded as made, and what speaks against it."""

    task: str
    damage: str


class UnrecordedShape(Shape):
    """A task whose output is complete, and the state that its row is in."""

    task: str
    state: State
    item: str


class OrphanShape(Shape):
    """A data object that no item names."""

    key: str
    size: int


class RepairShape(Shape):
    """What was repaired; ``left`` was found and not repaired."""

    sent: int
    recorded: int
    orphans_deleted: int
    letters_deleted: dict[Product, int]
    left: int


class DriftShape(Shape):
    """Where a job's rows and outputs tell different stories; ``repair`` with --fix only."""

    job: str
    checked: int
    lost: list[LostShape]
    unrecorded: list[UnrecordedShape]
    orphans: list[OrphanShape]
    stale_letters: dict[Product, int]
    repair: RepairShape | None


class ReconcileDocument(Document):
    """What a reconcile did; ``drift`` is of the one job that was named."""

    kind: Literal["reconcile"] = "reconcile"
    rows: dict[Step, int]
    changed_meanwhile: int
    requests: int
    unsent: int
    orphans: list[str]
    odd: list[str]
    more: bool
    drift: DriftShape | None


class JobCommandDocument(Document):
    """A job that was cancelled, paused or resumed: what that did, and how its tasks stand (not after a resume)."""

    kind: Literal["job_command"] = "job_command"
    job: str
    command: Command
    cancelled: int
    tasks: dict[Standing, int]
    chunks_sent: int
    tasks_sent: int


def plan_shape(
    job_id: str, plan: RedrivePlan, *, canary: int, cost: Estimate, letters: dict[Product, int], odd_rows: int
) -> RedrivePlanDocument:
    """What a redrive would do to one job."""
    return RedrivePlanDocument(
        job=job_id,
        to_send=_tasks(plan.chosen),
        permanent_left=_tasks(plan.permanent),
        other_states=dict(plan.others),
        canary=canary,
        estimate=EstimateShape(
            low_usd=round(cost.low_usd, 6),
            expected_usd=round(cost.expected_usd, 6),
            high_usd=round(cost.high_usd, 6),
            source=cost.source if cost.products else "nothing to estimate",
        ),
        outages=[OutageShape(product=one.product, waiting=one.waiting, made=one.made) for one in plan.outages],
        letters=letters,
        odd_rows=odd_rows,
    )


def redrive_shape(job_id: str, done: Redrive, plan: RedrivePlan) -> RedriveDocument:
    """What a redrive did to one job."""
    return RedriveDocument(
        job=job_id,
        sent=done.sent,
        changed_meanwhile=dict(done.changed),
        permanent_left=len(plan.permanent),
        held_back=done.held_back,
        canary=done.canary and _canary(done.canary),
        letters_deleted=done.letters_deleted,
        letters_left=list(done.letters_left),
    )


def reconcile_document(result: ReconcileResult, drift: DriftShape | None) -> Json:
    """What a reconcile did."""
    return dumped(
        ReconcileDocument(
            rows=dict(result.rows),
            changed_meanwhile=result.changed,
            requests=result.requests,
            unsent=result.unsent,
            orphans=list(result.orphans),
            odd=list(result.odd),
            more=result.more,
            drift=drift,
        )
    )


def drift_shape(job: JobRow, drift: Drift, repaired: Repair | None) -> DriftShape:
    """What does not fit together in a job."""
    return DriftShape(
        job=job.job_id,
        checked=drift.checked,
        lost=[LostShape(task=one.row.task_id, damage=one.damage) for one in drift.lost],
        unrecorded=[
            UnrecordedShape(task=one.row.task_id, state=one.row.state, item=one.output.item_key)
            for one in drift.unrecorded
        ],
        orphans=[OrphanShape(key=one.key, size=one.size) for one in drift.orphans],
        stale_letters=dict(drift.stale_letters),
        repair=repaired
        and RepairShape(
            sent=repaired.sent,
            recorded=repaired.recorded,
            orphans_deleted=repaired.orphans_deleted,
            letters_deleted=dict(repaired.letters_deleted),
            left=repaired.left,
        ),
    )


def _canary(canary: Canary) -> CanaryShape:
    return CanaryShape(
        size=canary.size,
        well=canary.well,
        badly=dict(canary.badly),
        waiting=dict(canary.waiting),
        passed=canary.passed,
    )


def _tasks(rows: Sequence[TaskRow]) -> list[TaskShape]:
    return [TaskShape(task=row.task_id, cause=row.cause, fence=row.fence) for row in rows]
