"""boto3 clients, made in one way, and botocore's errors as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from ard.errors import ArdError, Auth, InvalidInput, Transient, Unavailable

_ATTEMPTS = 8
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=32,
    tcp_keepalive=True,
)
_REFUSED = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "KMS.AccessDeniedException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_BUSY = {
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "KmsThrottled",
    "LimitExceededException",
    "OverLimit",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_ABSENT = {"AWS.SimpleQueueService.NonExistentQueue", "NoSuchBucket", "QueueDoesNotExist", "ResourceNotFoundException"}
_SERVER_ERROR = 500


def client(service: str, region: str | None, *, attempts: int = _ATTEMPTS) -> Any:
    """A boto3 client; endpoint and credentials come from the environment, as boto3 reads it."""
    session: Any = boto3.session.Session()  # its stubs name a literal per service
    retries = Config(retries={"mode": "standard", "total_max_attempts": attempts})
    return session.client(service, region_name=region, config=_CONFIG.merge(retries))


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Raise botocore's errors as ours; ``what`` says what was being done to what.

    Raises:
        Auth: AWS refuses our credentials or permissions.
        Unavailable: It throttles, fails or cannot be reached.
        InvalidInput: A table, queue or bucket of that name does not exist.
        Transient: Anything else.
    """
    try:
        yield
    except NoCredentialsError as error:
        raise Auth(f"{what}: no AWS credentials found") from error
    except ClientError as error:
        raise _translate(error, what) from error
    except BotoCoreError as error:
        raise Unavailable(f"{what}: {error!s:.300}") from error


def error_code(error: ClientError) -> str:
    """The service's own code of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _translate(error: ClientError, what: str) -> ArdError:
    code, message = error_code(error), f"{what}: {error!s:.300}"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _REFUSED:
        return Auth(message)
    if code in _ABSENT:
        return InvalidInput(message)
    if code in _BUSY or status >= _SERVER_ERROR:
        return Unavailable(message)
    return Transient(message)
