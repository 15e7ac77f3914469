"""What the tracker knows, as JSON documents for programs; every one names its kind and the version of its shape."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import JsonValue

from ard.rows import JobRow, TaskRow
from tracker.failures import FailureGroup
from tracker.reconcile import ReconcileResult
from tracker.redrive import Redrive, RedrivePlan
from tracker.summary import Counts, JobSummary

SCHEMA_VERSION = 1

Document = dict[str, JsonValue]


def moment(seconds: float) -> str:
    """A time as ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status_document(summary: JobSummary) -> Document:
    """A job in numbers."""
    job = summary.job
    eta = summary.eta_seconds
    products: Document = {
        str(product.product): {"region": product.region, **_counts(product.counts)} for product in summary.products
    }
    trouble: list[JsonValue] = [
        {"state": str(one.state), "cause": one.cause, "tasks": one.tasks} for one in summary.trouble
    ]
    return {
        **_head("job_status"),
        "job": job.job_id,
        "state": str(summary.outcome),
        "command": str(job.command),
        "ended": summary.ended,
        "as_of": moment(summary.as_of),
        "created_at": moment(job.created_at),
        "dest": job.dest,
        "request": job.request_key,
        "tasks": _counts(summary.counts),
        "products": products,
        "tasks_per_minute": round(summary.tasks_per_minute, 2),
        "eta_s": None if eta is None else {"earliest": round(eta[0]), "latest": round(eta[1])},
        "gb_seconds": round(summary.gb_seconds, 3),
        "cost_usd": {
            "spent": round(summary.spent_usd, 6),
            "estimate": round(job.estimate_usd, 6),
            "cap": job.max_cost_usd,
        },
        "trouble": trouble,
    }


def jobs_document(jobs: Sequence[JobRow]) -> Document:
    """The newest jobs, newest first."""
    listed: list[JsonValue] = [
        {
            "job": job.job_id,
            "command": str(job.command),
            "created_at": moment(job.created_at),
            "tasks": {str(product): count for product, count in job.totals.items()},
            "dest": job.dest,
            "request": job.request_key,
            "estimate_usd": round(job.estimate_usd, 6),
        }
        for job in jobs
    ]
    return {**_head("jobs"), "jobs": listed}


def failures_document(job_id: str, groups: Sequence[FailureGroup]) -> Document:
    """Failures by what they have in common."""
    listed: list[JsonValue] = [
        {
            "cause": group.cause,
            "signature": group.signature,
            "class": str(group.kind),
            "product": str(group.product),
            "tasks": group.tasks,
            "first_at": moment(group.first_at),
            "last_at": moment(group.last_at),
            "sample": group.sample,
            "message": group.message,
            "next": group.next_step,
        }
        for group in groups
    ]
    return {**_head("failures"), "job": job_id, "groups": listed}


def plan_document(job_id: str, plan: RedrivePlan) -> Document:
    """What a redrive would do."""
    return {
        **_head("redrive_plan"),
        "job": job_id,
        "to_send": _tasks(plan.chosen),
        "permanent_left": _tasks(plan.permanent),
        "other_states": {str(state): count for state, count in plan.others.items()},
    }


def redrive_document(job_id: str, done: Redrive, plan: RedrivePlan) -> Document:
    """What a redrive did."""
    return {
        **_head("redrive"),
        "job": job_id,
        "sent": done.sent,
        "changed_meanwhile": done.changed,
        "permanent_left": len(plan.permanent),
        "letters_deleted": done.letters_deleted,
        "letters_left": [str(product) for product in done.letters_left],
    }


def reconcile_document(result: ReconcileResult) -> Document:
    """What a reconcile did."""
    return {
        **_head("reconcile"),
        "rows": {str(step): count for step, count in result.rows.items()},
        "changed_meanwhile": result.changed,
        "requests": result.requests,
        "unsent": result.unsent,
        "orphans": list(result.orphans),
        "odd": list(result.odd),
        "more": result.more,
    }


def _head(kind: str) -> Document:
    return {"schema_version": SCHEMA_VERSION, "kind": kind}


def _counts(counts: Counts) -> Document:
    numbers: Mapping[str, int] = asdict(counts)
    return {"total": counts.total, **numbers, "progress": round(counts.progress, 4)}


def _tasks(rows: Sequence[TaskRow]) -> list[JsonValue]:
    return [{"task": row.task_id, "cause": row.cause, "fence": row.fence} for row in rows]
