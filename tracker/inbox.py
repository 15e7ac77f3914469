"""Requests that nobody has answered: S3's word about them was lost, and is said again."""

import json
from datetime import UTC, datetime
from urllib.parse import quote_plus

from ard.adapters.queues import Outgoing
from ard.keys import RECEIPTS, REQUESTS, plain_key, receipt_key, rejection_key
from tracker.services import Intake

ANSWERED_WITHIN_SECONDS = 300.0


def sweep_inbox(intake: Intake, *, now: float) -> int:
    """Announce every request that lies unanswered for five minutes, as S3 would; how many.

    Raises:
        Unavailable: The control bucket or the inbox queue cannot be reached.
    """
    requests = intake.bucket.modified(REQUESTS)
    unanswered = unanswered_requests(requests, intake.bucket.modified(RECEIPTS) if requests else {}, now=now)
    return intake.inbox.send(
        Outgoing(body=created_event(key, bucket=intake.bucket.name, region=intake.region, at=requests[key]))
        for key in unanswered
    )


def unanswered_requests(requests: dict[str, float], answers: dict[str, float], *, now: float) -> list[str]:
    """The requests without a receipt or rejection at least as new as they are; both by key with their times."""
    return [
        key
        for key, dropped_at in sorted(requests.items())
        if key.endswith(".json")  # what the inbox looks at
        and now - dropped_at >= ANSWERED_WITHIN_SECONDS
        and not any(
            answers.get(answer, 0.0) >= dropped_at for answer in (receipt_key(key), rejection_key(plain_key(key)))
        )
    ]


def created_event(key: str, *, bucket: str, region: str, at: float) -> str:
    """The body of S3's notification that an object was created."""
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}},
    }
    return json.dumps({"Records": [record]})
