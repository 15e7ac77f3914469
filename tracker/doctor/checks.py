"""The parts of a deployment, each looked at by itself. Every check raises ``ArdError`` when it cannot be made."""

from collections.abc import Iterator
from pathlib import Path

from ard.adapters.aws import aws_errors
from ard.adapters.console import count
from ard.adapters.inspection import caller, queue_facts, queue_url, reach_bucket, reach_url, table_facts
from ard.adapters.store import Store
from ard.adapters.table_items import ACTIVITY_ATTRIBUTES, SCHEMA
from ard.errors import InvalidInput
from ard.keys import RECEIPTS, REQUESTS
from ard.settings import AwsSettings, ControlSettings, ProductQueue, TableSettings, WorkerSettings
from ard.transitions import VISIBILITY_MARGIN_SECONDS
from tracker.doctor.findings import Finding, broken, doubtful, well
from tracker.inbox import unanswered_requests
from tracker.services import open_intake

_INDEXES = frozenset(str(index["IndexName"]) for index in SCHEMA["GlobalSecondaryIndexes"])
_ACTIVE = "ACTIVE"


def credentials(settings: TableSettings, aws: AwsSettings) -> Iterator[Finding]:
    """Who we are, and in which regions the parts are."""
    where = f" on the local AWS {aws.endpoint_url}" if aws.endpoint_url else ""
    yield well("credentials", f"{caller(settings.table_region)}{where}")
    queues = ", ".join(f"{product} {queue.region}" for product, queue in sorted(settings.queues.items()))
    yield well("region", f"table {settings.table_region}, queues: {queues or 'none'}")


def table(settings: TableSettings) -> Iterator[Finding]:
    """The status table, its indexes, and whether rows expire."""
    name, facts = settings.table, table_facts(settings.table, settings.table_region)
    if facts.status == _ACTIVE:
        yield well("table", f"{name} is {facts.status}")
    else:
        yield broken("table", f"expected {name} to be {_ACTIVE}, found {facts.status}", _wait_for(settings))
    states = {index: facts.indexes.get(index, "missing") for index in sorted(_INDEXES)}
    told = ", ".join(f"{index} {state}" for index, state in states.items())
    lacking = set(ACTIVITY_ATTRIBUTES) - facts.projected.get("activity", frozenset())
    if set(states.values()) != {_ACTIVE}:
        yield broken("indexes", f"expected all to be {_ACTIVE}, found {told}", _wait_for(settings))
    elif lacking and "*" not in facts.projected["activity"]:
        yield broken(
            "indexes", f"activity does not project {', '.join(sorted(lacking))}", "terraform -chdir=infra apply"
        )
    else:
        yield well("indexes", told)
    if facts.ttl_attribute is None:
        yield well("time to live", "off: rows are kept")
    else:
        remedy = f"aws dynamodb describe-time-to-live --table-name {name} --region {settings.table_region}"
        yield doubtful("time to live", f"rows expire by their attribute {facts.ttl_attribute}", remedy)


def product_queue(name: str, queue: ProductQueue) -> Iterator[Finding]:
    """A product's queue: long enough invisible, with its dead-letter queue, and that one empty."""
    check, facts = f"queue {name}", queue_facts(queue.url, queue.region)
    least = round(queue.timeout_seconds + VISIBILITY_MARGIN_SECONDS)
    if facts.visibility_seconds < least:
        setting = f"aws sqs set-queue-attributes --region {queue.region} --queue-url {queue.url}"
        remedy = f"{setting} --attributes VisibilityTimeout={least}"
        found = (
            f"expected messages to be invisible for {least} s (timeout and 60 s), found {facts.visibility_seconds} s"
        )
        yield broken(check, found, remedy)
    else:
        yield well(check, f"{count(facts.messages, 'message')}, invisible for {facts.visibility_seconds} s")
    letters = queue_facts(queue.dlq_url, queue.region)
    if facts.dlq_arn != letters.arn:
        found = f"expected a redrive policy to {letters.arn}, found {facts.dlq_arn or 'none'}"
        yield broken(f"{check} redrive", found, "terraform -chdir=infra apply")
    else:
        yield well(f"{check} redrive", f"after {facts.max_receives} receives to {letters.arn.rpartition(':')[2]}")
    yield _letters(name, letters.messages)


def control_queue(name: str, url: str, region: str) -> Iterator[Finding]:
    """The queue of requests or of chunks."""
    check, facts = f"queue {name}", queue_facts(url, region)
    yield well(check, f"{count(facts.messages, 'message')}, invisible for {facts.visibility_seconds} s")
    if facts.dlq_arn is None:
        yield broken(f"{check} redrive", "expected a redrive policy, found none", "terraform -chdir=infra apply")
        return
    letters = queue_facts(queue_url(facts.dlq_arn, region), region)
    yield well(f"{check} redrive", f"after {facts.max_receives} receives to {letters.arn.rpartition(':')[2]}")
    yield _letters(name, letters.messages)


def inbox(settings: ControlSettings, now: float) -> Iterator[Finding]:
    """Requests that nobody has answered."""
    with aws_errors(f"s3://{settings.control_bucket}"):
        bucket = open_intake(settings).bucket
    requests = bucket.modified(REQUESTS)
    unanswered = unanswered_requests(requests, bucket.modified(RECEIPTS) if requests else {}, now=now)
    if unanswered:
        yield doubtful(
            "inbox", f"{count(len(unanswered), 'request')} without an answer: {unanswered[0]}", "tracker reconcile"
        )
    else:
        yield well("inbox", f"{count(len(requests), 'request')}, none without an answer for five minutes")


def tile_index(settings: ControlSettings, aws: AwsSettings) -> Iterator[Finding]:
    """The tile index, where it should be."""
    place = settings.tile_index
    if place.startswith("s3://"):
        folder, _, name = place.rpartition("/")
        size = Store.open(folder, aws=aws, region=settings.control_region).size(name)
    else:
        size = Path(place).stat().st_size if Path(place).is_file() else None
    if size is None:
        raise InvalidInput(f"expected a tile index at {place}, found nothing")
    yield well("tile index", f"{place}, {size:,} bytes")


def destination(settings: ControlSettings) -> Iterator[Finding]:
    """Where outputs go unless a request says otherwise."""
    dest = settings.default_dest
    if dest.startswith("s3://"):
        bucket, _, prefix = dest.removeprefix("s3://").partition("/")
        reach_bucket(bucket, prefix, settings.dest_region)
        yield well("destination", dest)
    elif Path(dest).is_dir():
        yield well("destination", f"{dest}, a folder of this machine")
    else:
        yield doubtful("destination", f"{dest} is no folder of this machine", f"mkdir -p {dest}")


def catalogue(name: str, settings: WorkerSettings) -> Iterator[Finding]:
    """A catalogue of scenes that is named in this environment; others are the workers' business."""
    url = str(getattr(settings, name))
    if name in settings.model_fields_set:
        reach_url(url)
        yield well(name.replace("_", " "), f"{url} answers")


def source_key(settings: WorkerSettings) -> Iterator[Finding]:
    """The key that lets Sentinel-1's workers in more often."""
    if settings.s1_subscription_key_secret is not None:
        yield well("s1 subscription key", f"in the secret {settings.s1_subscription_key_secret}")
    elif settings.s1_subscription_key is not None:
        yield well("s1 subscription key", "set")


def _letters(name: str, letters: int) -> Finding:
    check = f"dead letters {name}"
    if not letters:
        return well(check, "none")
    return doubtful(check, f"{count(letters, 'message')}", "tracker jobs; then for each: tracker failures --job ID")


def _wait_for(settings: TableSettings) -> str:
    return f"aws dynamodb describe-table --table-name {settings.table} --region {settings.table_region}"
