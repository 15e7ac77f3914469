"""Ranges of bytes of assets, over HTTP, from public S3 buckets and from files, through obstore; errors as ours."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import HTTPStore, LocalStore

from ard.adapters.gdal import of_status
from ard.errors import ArdError, AssetCorrupt, Auth, Unavailable
from ard.settings import AwsSettings

_MOST_IDLE_SECONDS = 10.0
_MOST_STORES = 16  # of a process: one for each host and signature
# What stands in an address as it is, so that every library spells the address alike.
_PLAIN_KEY = re.compile(r"[A-Za-z0-9._~/+=-]+")
_STATUS = re.compile(r"status code: (\d{3})")
_QUERY = re.compile(r"\?\S*")
_BEYOND_END_STATUS = 416
_BEYOND_END = "but object was only"
_AMAZON = "https://{bucket}.s3.amazonaws.com"


class NotServed(Exception):
    """The address is of another kind, or its server knows no ranges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a request may take, and how often and after which waits it is made again; waits double."""

    connect_seconds: float = 10.0
    request_seconds: float = 30.0
    retries: int = 4
    first_wait_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an asset is: what its address begins with, its query, and its key below them."""

    root: str
    query: str
    key: str


class ByteRanges:
    """Reads ranges of assets, several at once; any thread may call."""

    def __init__(self, aws: AwsSettings, *, sleep: Callable[[float], None], patience: Patience | None = None) -> None:
        """Remember where S3 is; nothing is opened yet."""
        self._endpoint = aws.endpoint_url
        self._sleep = sleep
        self._patience = patience or Patience()
        self._stores: dict[tuple[str, str], HTTPStore | LocalStore] = {}
        self._lock = threading.Lock()

    def fetch(self, href: str, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
        """The bytes of each ``(start, end)``, fewer where the asset ends before; refused connections are tried again.

        Raises:
            NotServed: Another reader must read it.
            AssetCorrupt: The asset does not exist, or ends before a range starts.
            Unavailable: It cannot be reached now.
            Auth: Its provider refuses us.
            Transient: Its provider answers in another way.
        """
        place = self._place(href)
        store = self._store(place)
        starts, ends = zip(*ranges, strict=True)
        get = partial(obstore.get_ranges, store, place.key, starts=starts, ends=ends, coalesce=0)
        wait = self._patience.first_wait_seconds
        for _ in range(self._patience.retries):
            found = _attempt(get, href)
            if not isinstance(found, Unavailable) or isinstance(found, Auth):
                break
            self._sleep(wait)
            wait *= 2
        else:
            found = _attempt(get, href)
        if isinstance(found, ArdError):
            raise found
        return found

    def _place(self, href: str) -> _Place:
        if href.startswith("/") and not href.startswith("/vsi"):
            place = _Place("/", "", href[1:])
        else:
            parts = urlsplit(href)
            place = _Place(f"{parts.scheme}://{parts.netloc}", parts.query, parts.path.lstrip("/"))
            if parts.scheme == "s3":
                place = self._in_bucket(parts.netloc, place.key)
            elif parts.scheme not in {"http", "https"}:
                raise NotServed(f"an address of scheme {parts.scheme!r}")
        if _PLAIN_KEY.fullmatch(place.key) is None or {"", ".", ".."} & set(place.key.split("/")):
            raise NotServed("an address with unusual characters")
        return place

    def _in_bucket(self, bucket: str, key: str) -> _Place:
        """Objects of public buckets need no more than their address."""
        if self._endpoint is not None:
            return _Place(self._endpoint.rstrip("/"), "", f"{bucket}/{key}")
        if "." in bucket:  # the certificate is for one name only
            return _Place("https://s3.amazonaws.com", "", f"{bucket}/{key}")
        return _Place(_AMAZON.format(bucket=bucket), "", key)

    def _store(self, place: _Place) -> HTTPStore | LocalStore:
        key = place.root, place.query
        with self._lock:
            store = self._stores.pop(key, None) or self._opened(place)
            self._stores[key] = store  # the last used comes last
            if len(self._stores) > _MOST_STORES:
                del self._stores[next(iter(self._stores))]
            return store

    def _opened(self, place: _Place) -> HTTPStore | LocalStore:
        if place.root == "/":
            return LocalStore("/")
        return HTTPStore(
            place.root + (f"?{place.query}" if place.query else ""),
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=self._patience.connect_seconds),
                "timeout": timedelta(seconds=self._patience.request_seconds),
                # A frozen Lambda function wakes up with connections that the other side has closed meanwhile.
                "pool_idle_timeout": timedelta(seconds=_MOST_IDLE_SECONDS),
            },
            retry_config={"max_retries": 0},  # obstore does not repeat an answer that broke off, so all is done here
        )


def _attempt(get: Callable[[], list[obstore.Bytes]], href: str) -> list[memoryview] | ArdError:
    try:
        return [memoryview(part) for part in get()]
    except NotSupportedError:
        raise NotServed("a server that knows no ranges") from None
    except (BaseError, OSError) as error:
        return _translated(error, href)


def _translated(error: Exception, href: str) -> ArdError:
    """The error of ours; neither it nor its cause tells the query of an address, which can be a signature."""
    text = _QUERY.sub("", str(error).partition("\n")[0])[:300]
    where = f"{href.partition('?')[0]}: {text}"
    status = _STATUS.search(text)
    if isinstance(error, NotFoundError | FileNotFoundError) or _BEYOND_END in text or href.startswith("/"):
        return AssetCorrupt(where)
    if status is None:
        return Auth(where) if isinstance(error, UnauthenticatedError | PermissionDeniedError) else Unavailable(where)
    return AssetCorrupt(where) if int(status[1]) == _BEYOND_END_STATUS else of_status(int(status[1]), where)
