"""GDAL's configuration, in one place, and its errors as ours."""

import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import rasterio
from rasterio import _err
from rasterio.errors import RasterioError
from rasterio.session import DummySession

from ard.errors import ArdError, AssetCorrupt, Auth, Transient, Unavailable
from ard.settings import AwsSettings

# Reads from public buckets and catalogues: no directory listings, bounded waits, a few quick retries of one request.
_READ_OPTIONS: Mapping[str, str] = {
    "AWS_NO_SIGN_REQUEST": "YES",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.tiff",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_TIMEOUT": "30",
    "GDAL_PAM_ENABLED": "NO",
    "VSI_CACHE": "TRUE",
}

# Nothing is kept of a file once it is closed: https://gdal.org/en/stable/user/virtual_file_systems.html
AFRESH: Mapping[str, str] = {"CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/", "VSI_CACHE": "FALSE"}


def read_options(aws: AwsSettings) -> dict[str, str]:
    """GDAL options for reading; GDAL ignores AWS_ENDPOINT_URL, so a local AWS is spelled out for it."""
    options = dict(_READ_OPTIONS)
    if aws.local_endpoint is not None:
        host, tls = aws.local_endpoint
        options |= {"AWS_S3_ENDPOINT": host, "AWS_HTTPS": "YES" if tls else "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}
    return options


@contextmanager
def gdal_environment(options: Mapping[str, str]) -> Iterator[Sequence[str]]:
    """GDAL with these options and nobody's credentials, in the calling thread; yields its warnings, as they come."""
    listener, logger = _Listener(), logging.getLogger("rasterio")
    logger.addHandler(listener)
    try:
        with rasterio.Env(session=DummySession(), **options):
            yield listener.heard
    finally:
        logger.removeHandler(listener)


class _Listener(logging.Handler):
    """Keeps what rasterio logs in the thread that made it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.heard.append(record.getMessage())


_HTTP_STATUS = re.compile(r"HTTP (?:response code: |error code ?: ?)(\d{3})")
# A read that fails in the middle raises a mere "Read failed"; why is only in the warnings before it.
_TRANSFER = re.compile(r"Request for \d+-\d+ failed with response_code=(\d+)")
_NETWORK = re.compile(r"CURL error|Could not resolve host|Connection|timed out|Timeout|SSL", re.IGNORECASE)
_UNAUTHORISED = {401, 403}
_GONE = {404, 410}
_BUSY = {408, 425, 429}
_SERVER_ERROR = 500
_REFUSED = 400


def translate(error: RasterioError, href: str, *, heard: Sequence[str] = ()) -> ArdError:
    """The error of ours that a failed open or read means; ``heard`` are GDAL's warnings meanwhile.

    GDAL reports HTTP failures only as text behind an error number, so the status is parsed from the chain of messages
    and from the warnings: the one place in the project where a message decides.
    """
    chain = list(_causes(error))
    text = " | ".join(str(cause) for cause in chain)
    # GDAL quotes the address, and its last part alone: neither may tell the query, which can be a signature.
    plain, mark, query = href.partition("?")
    where = f"{plain}: {text.replace(href, 'asset').replace(mark + query, '')[:300]}"
    if any(isinstance(cause, _err.CPLE_AWSAccessDeniedError | _err.CPLE_AWSInvalidCredentialsError) for cause in chain):
        return Auth(where)
    if any(isinstance(c, _err.CPLE_AWSObjectNotFoundError | _err.CPLE_AWSBucketNotFoundError) for c in chain):
        return AssetCorrupt(where)
    status = _HTTP_STATUS.search(text)
    if status is not None:
        return of_status(int(status[1]), where)
    if _NETWORK.search(text):
        return Unavailable(where)
    return _from_warnings("\n".join(heard), where)


def _from_warnings(told: str, where: str) -> ArdError:
    """The error behind a file that looks corrupt: nothing was amiss but the file itself when nothing was told."""
    statuses = _TRANSFER.findall(told) or _HTTP_STATUS.findall(told)
    if statuses:
        return of_status(int(statuses[-1]), f"{where}: HTTP {statuses[-1]} within the file")
    return Unavailable(where) if _NETWORK.search(told) else AssetCorrupt(where)


def of_status(status: int, where: str) -> ArdError:
    """The error of ours that an HTTP status means which is no success, or a success that was none."""
    if status in _UNAUTHORISED:
        return Auth(where)
    if status in _GONE:
        return AssetCorrupt(where)
    # A success that failed, or no status at all: the connection broke within the answer.
    if status in _BUSY or status >= _SERVER_ERROR or status < _REFUSED:
        return Unavailable(where)
    return Transient(where)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
