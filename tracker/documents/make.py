"""What the tracker knows, as JSON documents for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import JsonValue

from ard.rows import JobRow
from tracker.bundles import By, FailureBundle
from tracker.documents import shapes
from tracker.failures import FailureGroup, Kind
from tracker.next_steps import trouble_step
from tracker.summary import Counts, JobSummary, ProductSummary

Document = dict[str, JsonValue]


def moment(seconds: float) -> str:
    """A time as ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status_document(summary: JobSummary) -> Document:
    """A job in numbers."""
    job, eta, oldest, slowest = summary.job, summary.eta_seconds, summary.oldest, summary.slowest
    return dumped(
        shapes.StatusDocument(
            job=job.job_id,
            state=summary.outcome,
            command=job.command,
            ended=summary.ended,
            confirmed=summary.confirmed,
            as_of=moment(summary.as_of),
            created_at=moment(job.created_at),
            dest=job.dest,
            request=job.request_key,
            tasks=shapes.CountsShape.model_validate(_counts(summary.counts)),
            products={product.product: _product(product) for product in summary.products},
            tiles=shapes.TilesShape(**asdict(summary.tiles), total=summary.tiles.total),
            tasks_per_minute=round(summary.tasks_per_minute, 2),
            eta_s=None if eta is None else shapes.RangeShape(earliest=round(eta[0]), latest=round(eta[1])),
            slowest_product=slowest.product if slowest else None,
            oldest_running=oldest and shapes.OldestShape(task=oldest.task_id, seconds=round(oldest.seconds, 1)),
            gb_seconds=round(summary.gb_seconds, 3),
            cost_usd=shapes.CostShape(
                spent=round(summary.spent_usd, 6), estimate=round(job.estimate_usd, 6), cap=job.max_cost_usd
            ),
            trouble=[
                shapes.TroubleShape(
                    state=one.state,
                    cause=one.cause,
                    tasks=one.tasks,
                    products=list(one.products),
                    sample=one.sample,
                    next=trouble_step(one, job.job_id),
                )
                for one in summary.trouble
            ],
            odd_rows=len(summary.odd),
        )
    )


def jobs_document(jobs: Sequence[JobRow], *, odd_rows: int = 0) -> Document:
    """The newest jobs, newest first."""
    listed = [
        shapes.JobShape(
            job=job.job_id,
            command=job.command,
            created_at=moment(job.created_at),
            tasks=dict(job.totals),
            dest=job.dest,
            request=job.request_key,
            estimate_usd=round(job.estimate_usd, 6),
        )
        for job in jobs
    ]
    return dumped(shapes.JobsDocument(jobs=listed, odd_rows=odd_rows))


def failures_document(
    job_id: str,
    groups: Sequence[FailureGroup],
    *,
    by: By = By.CAUSE,
    bundles: Sequence[FailureBundle] = (),
    odd_rows: int = 0,
) -> Document:
    """Failures by what they have in common."""
    without_data = sum(group.tasks for group in groups if group.kind is Kind.NO_DATA)
    return dumped(
        shapes.FailuresDocument(
            job=job_id,
            by=by.value,
            failed=sum(group.tasks for group in groups) - without_data,
            no_data=without_data,
            groups=[_failure(group) for group in groups] if by is By.CAUSE else [],
            bundles=[_bundle(bundle) for bundle in bundles],
            odd_rows=odd_rows,
        )
    )


def dumped(shape: shapes.Shape) -> Document:
    """A document as plain JSON values."""
    document: Document = shape.model_dump(mode="json")
    return document


def _counts(counts: Counts) -> dict[str, float]:
    return {"total": counts.total, **asdict(counts), "progress": round(counts.progress, 4)}


def _product(product: ProductSummary) -> shapes.ProductShape:
    rate = round(product.tasks_per_minute, 2)
    return shapes.ProductShape.model_validate(
        {**_counts(product.counts), "region": product.region, "tasks_per_minute": rate}
    )


def _failure(group: FailureGroup) -> shapes.FailureShape:
    return shapes.FailureShape(
        cause=group.cause,
        signature=group.signature,
        kind=group.kind,
        product=group.product,
        tasks=group.tasks,
        first_at=moment(group.first_at),
        last_at=moment(group.last_at),
        sample=group.sample,
        message=group.message,
        next=group.next_step,
    )


def _bundle(bundle: FailureBundle) -> shapes.BundleShape:
    return shapes.BundleShape(
        name=bundle.name,
        failed=bundle.failed,
        no_data=bundle.no_data,
        causes=dict(bundle.causes),
        first_at=moment(bundle.first_at),
        last_at=moment(bundle.last_at),
        sample=bundle.sample,
        next=bundle.next_step,
    )
