"""Creates on a local AWS what Terraform creates on the real one, from the same list of functions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from ard.adapters.aws import aws_errors, client, error_code
from ard.adapters.table_items import SCHEMA
from ard.keys import REQUESTS
from ard.settings import ProductQueue
from sandbox.blobs import Blobs
from sandbox.functions import Functions, FunctionSpec

PREFIX = "ttc-sandbox"

_VISIBILITY_MARGIN_SECONDS = 60
_DAY_SECONDS = 86_400
_INBOX, _CHUNKS = "inbox", "chunks"
_EXISTS = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists", "ResourceInUseException"}
_NO_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueUrls:
    """A queue and its dead-letter queue, in one region."""

    region: str
    url: str
    dlq_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What was deployed.

    Attributes:
        functions: From which list.
        queues: By name, as the list has them.
        environment: Every variable that ``ard/settings.py`` knows, as a person's tools are given them.
    """

    functions: Functions
    queues: Mapping[str, QueueUrls]
    environment: Mapping[str, str]

    def environment_of(self, function: FunctionSpec) -> dict[str, str]:
        """The variables of the function's own list; a worker is told its own queue only."""
        given = {name: self.environment[name] for name in function.environment if name in self.environment}
        if function.product is not None and "TTC_QUEUES" in given:
            own = str(function.product)
            given["TTC_QUEUES"] = json.dumps({own: json.loads(self.environment["TTC_QUEUES"])[own]})
        return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the deployment is told and does not create.

    Attributes:
        tile_index: The tile index to put beside the requests.
        stac_url: The catalogue.
        live_sources: Whether its scenes lie in real buckets.
        blobs: The store of the Sentinel-1 scenes; None when they are files, or not there.
        local_dests: Folders that requests may write under, besides the outputs bucket.
        git_sha: Of the code.
    """

    tile_index: Path
    stac_url: str
    live_sources: bool = False
    blobs: Blobs | None = None
    local_dests: tuple[Path, ...]
    git_sha: str


def create_cloud(functions: Functions, facts: Facts) -> Deployment:
    """Create buckets, queues and the table, each only when it is not there; AWS is where the environment says.

    Raises:
        Unavailable: AWS cannot be asked.
        Auth: It refuses.
    """
    home = functions.home_region
    control, outputs, table = f"{PREFIX}-control", f"{PREFIX}-outputs", f"{PREFIX}-status"
    s3 = client("s3", home)
    queues = {name: _create_queue(name, functions, bucket=control) for name in functions.queues}
    with aws_errors(f"buckets in {home}"):
        for bucket in (control, outputs):
            _create_bucket(s3, bucket, home)
        _notify(s3, control, queues[_INBOX], region=home)
        index_key = "index/tiles.parquet"
        s3.upload_file(str(facts.tile_index), control, index_key)
    with aws_errors(f"table {table} in {home}"):
        _create_table(client("dynamodb", home), table)
    default_dest = f"s3://{outputs}/ttc"
    environment = {
        "TTC_TABLE": table,
        "TTC_TABLE_REGION": home,
        "TTC_QUEUES": _product_queues(functions, queues),
        "TTC_CONTROL_BUCKET": control,
        "TTC_CONTROL_REGION": home,
        "TTC_INBOX_QUEUE_URL": queues[_INBOX].url,
        "TTC_CHUNK_QUEUE_URL": queues[_CHUNKS].url,
        "TTC_TILE_INDEX": f"s3://{control}/{index_key}",
        "TTC_DEFAULT_DEST": default_dest,
        "TTC_ALLOWED_DESTS": json.dumps([default_dest, *map(str, facts.local_dests)]),
        "TTC_DEST_REGION": home,
        "TTC_STAC_URL": facts.stac_url,
        "TTC_LIVE_SOURCES": str(facts.live_sources).lower(),
        "TTC_GIT_SHA": facts.git_sha,
        **_sentinel_1(facts),
    }
    return Deployment(functions=functions, queues=queues, environment=environment)


def _sentinel_1(facts: Facts) -> dict[str, str]:
    """Where Sentinel-1 is: in the same local catalogue and a store that wants signatures; live, where it always is."""
    if facts.live_sources:
        return {}
    store = {"TTC_S1_TOKEN_URL": facts.blobs.token_url, "TTC_S1_BLOBS": facts.blobs.url} if facts.blobs else None
    return {"TTC_S1_STAC_URL": facts.stac_url, **(store or {"TTC_S1_TOKEN_URL": ""})}


def _create_queue(name: str, functions: Functions, *, bucket: str) -> QueueUrls:
    spec, drained_by = functions.queues[name], functions.draining(name)
    timeout = drained_by.timeout_seconds if drained_by else 0
    sqs = client("sqs", spec.region)
    retention = {"MessageRetentionPeriod": str(spec.retention_days * _DAY_SECONDS)}
    with aws_errors(f"queue {name} in {spec.region}"):
        dlq_url, dlq_arn = _queue(sqs, f"{PREFIX}-{name}-dlq", retention)
        attributes = {
            **retention,
            "VisibilityTimeout": str(timeout + _VISIBILITY_MARGIN_SECONDS),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": spec.max_receives}),
        }
        url, arn = _queue(sqs, f"{PREFIX}-{name}", attributes)
        if name == _INBOX:
            # All attributes again: an implementation may forget those that a call does not name.
            policy = json.dumps(_may_send(bucket, arn))
            sqs.set_queue_attributes(QueueUrl=url, Attributes={**attributes, "Policy": policy})
    return QueueUrls(region=spec.region, url=url, dlq_url=dlq_url)


def _queue(sqs: Any, name: str, attributes: Mapping[str, str]) -> tuple[str, str]:
    """Address and ARN of a queue that has these attributes, whether it was there or not."""
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    except ClientError as error:
        if error_code(error) not in _NO_QUEUE:
            raise
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, _arn(sqs, url)


def _arn(sqs: Any, url: str) -> str:
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def _may_send(bucket: str, queue_arn: str) -> Mapping[str, Any]:
    """The queue's policy: this bucket's notifications, and nobody else's."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "s3.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
            }
        ],
    }


def _create_bucket(s3: Any, bucket: str, region: str) -> None:
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=bucket, **place)
    except ClientError as error:
        if error_code(error) not in _EXISTS:
            raise


def _notify(s3: Any, bucket: str, inbox: QueueUrls, *, region: str) -> None:
    """Tell the inbox queue of every request that is dropped; AWS allows this within one region only."""
    rules = [{"Name": "prefix", "Value": REQUESTS}, {"Name": "suffix", "Value": ".json"}]
    notification = {
        "Id": "requests",
        "QueueArn": _arn(client("sqs", region), inbox.url),
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": rules}},
    }
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [notification]}
    )


def _create_table(dynamodb: Any, table: str) -> None:
    try:
        dynamodb.create_table(TableName=table, **SCHEMA)
    except ClientError as error:
        if error_code(error) not in _EXISTS:
            raise
    dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 20})


def _product_queues(functions: Functions, queues: Mapping[str, QueueUrls]) -> str:
    found = {
        str(function.product): ProductQueue(
            url=queues[str(function.product)].url,
            dlq_url=queues[str(function.product)].dlq_url,
            region=queues[str(function.product)].region,
            memory_mb=function.memory_mb,
            timeout_seconds=function.timeout_seconds,
            max_concurrency=function.max_concurrency,
        ).model_dump()
        for function in functions.functions
        if function.product is not None
    }
    return json.dumps(found)
