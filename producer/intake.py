"""What happens to an object in the inbox: it becomes a job and a receipt, or a rejection."""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from urllib.parse import unquote_plus

from pydantic import BaseModel, Field, ValidationError

from ard.adapters.store import TooLarge
from ard.errors import InvalidInput
from ard.keys import REQUESTS, plain_key, receipt_key, rejection_key
from producer.deployment import complete_options
from producer.jobs import start_job
from producer.json_io import read_json_request
from producer.receipts import receipt, rejection
from producer.request import DEFAULT_LIMITS, Problem, RequestRejected, TileRequest, rejected
from producer.services import Services

REQUEST_SUFFIX = ".json"


class Outcome(StrEnum):
    """What became of an object."""

    JOB = "job"
    REJECTED = "rejected"
    GONE = "gone"  # deleted before it was read: there is nothing to answer to
    NOT_A_REQUEST = "not_a_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """An object that was put in a bucket; ``version`` where the bucket keeps them."""

    bucket: str
    key: str
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """The end of an object's way through the inbox; ``job_id`` when it is a job."""

    outcome: Outcome
    job_id: str | None = None


# What S3's notifications have in common with those of the emulators, which leave out many fields.
class _Bucket(BaseModel):
    name: str


class _Object(BaseModel):
    key: str
    version: str | None = Field(default=None, alias="versionId")


class _Place(BaseModel):
    bucket: _Bucket
    object: _Object


class _Entry(BaseModel):
    event: str = Field(alias="eventName")
    s3: _Place


class _Notification(BaseModel):
    records: list[_Entry] | None = Field(default=None, alias="Records")
    event: str | None = Field(default=None, alias="Event")


def dropped_objects(body: str) -> list[Dropped]:
    """The objects that a notification of S3 says were created; none for its test event.

    Raises:
        InvalidInput: The body is not a notification of S3.
    """
    try:
        notification = _Notification.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput(f"expected a notification of S3, found {body[:200]!r}") from error
    if notification.event == "s3:TestEvent":
        return []
    if notification.records is None:
        raise InvalidInput(f"expected a notification of S3 with Records, found {body[:200]!r}")
    return [
        Dropped(
            bucket=entry.s3.bucket.name,
            key=unquote_plus(entry.s3.object.key),
            version=entry.s3.object.version or None,
        )
        for entry in notification.records
        if entry.event.removeprefix("s3:").startswith("ObjectCreated:")
    ]


def take_in(dropped: Dropped, *, services: Services, now: float) -> TakenIn:
    """Make the object a job, and answer beside it; doing it again changes nothing.

    Raises:
        InvalidInput: It lies in another bucket than this deployment's.
        Unavailable: Something cannot be asked; the same call again goes on from there.
        Auth: Something refuses.
    """
    if dropped.bucket != services.settings.control_bucket:
        raise InvalidInput(f"expected an object in {services.settings.control_bucket}, found one in {dropped.bucket}")
    key, version = dropped.key, dropped.version
    if not (key.startswith(REQUESTS) and key.endswith(REQUEST_SUFFIX)):
        return TakenIn(outcome=Outcome.NOT_A_REQUEST)
    try:
        content = _content(key, version, services=services)
        if content is None:
            return TakenIn(outcome=Outcome.GONE)
        request = _request(content, services=services)
        started = start_job(request, services=services, request_key=key, now=now)
    except RequestRejected as error:
        answer = rejection(error, key=key, version=version, now=now)
        services.control.put(rejection_key(plain_key(key)), answer.model_dump_json(indent=1).encode())
        return TakenIn(outcome=Outcome.REJECTED)
    told = receipt(started, request, key=key, version=version, now=now)
    services.control.put(receipt_key(key), told.model_dump_json(indent=1).encode())
    return TakenIn(outcome=Outcome.JOB, job_id=started.job.job_id)


def _content(key: str, version: str | None, *, services: Services) -> bytes | None:
    if key != plain_key(key):
        raise rejected("expected a name without empty parts, '.', '..' and control characters; rename the file")
    try:
        return services.control.get(key, version=version, most_bytes=DEFAULT_LIMITS.max_bytes)
    except TooLarge as error:
        raise rejected(str(error)) from error


def _request(content: bytes, *, services: Services) -> TileRequest:
    complete = partial(complete_options, settings=services.settings)
    request = read_json_request(content, index=services.index(), complete=complete)
    if not len(request):
        nothing = Problem("", f"expected at least one known tile, found {request.skipped:,} unknown ones, all skipped")
        raise RequestRejected((nothing, *request.unknown), 1 + request.skipped)
    return request
