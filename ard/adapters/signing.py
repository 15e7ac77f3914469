"""Reads of blobs that need a shared access signature: signed at the last moment, told to nobody."""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr

from ard.errors import ArdError, Auth, InvalidInput, Unavailable
from ard.grid import Bounds
from ard.ports import Reader
from ard.scene import Raster

REFRESH_BEFORE_SECONDS = 600.0  # what a token must still last, so that no read outlives it
LEAST_USE_SECONDS = 60.0  # of a token that is short-lived from the start
MOST_WAIT_SECONDS = 20.0  # at a time: who asks for more has the message come back later
ATTEMPTS = 4

_TIMEOUT_SECONDS = (10, 30)  # connect, read
_KEY_HEADER = "Ocp-Apim-Subscription-Key"
_UNAUTHORISED = {401, 403}
_WRONG = {400, 404, 405, 422}
_OK = 200
# Where rasterio repeats GDAL's warnings and names the datasets that it opens, by their whole addresses.
_TELLING_LOGGERS = ("rasterio._base", "rasterio._env", "rasterio._err", "rasterio._io", "rasterio.env")
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")


@dataclass(frozen=True, slots=True)
class _Token:
    """A signature (a query string) and until when it is used, seconds since the epoch."""

    signature: SecretStr
    refresh_at: float


class Tokens:
    """The signatures of one collection, from its token endpoint; one at a time is kept."""

    def __init__(
        self,
        token_url: str,
        collection: str,
        *,
        subscription_key: Callable[[], SecretStr | None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Remember where signatures come from (``GET {token_url}/{collection}``); nothing is contacted yet.

        Args:
            token_url: The endpoint.
            collection: Whose assets are to be read.
            subscription_key: Gives what identifies us to the endpoint, which lets us in more often then. Asked when it
                is first needed, and once more after the endpoint did not know us.
            clock: Seconds since the epoch.
            sleep: Waits so many seconds.
        """
        self._url = f"{token_url.rstrip('/')}/{collection}"
        self._subscription_key = subscription_key
        self._headers: dict[str, str] | None = None
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._token: _Token | None = None

    def current(self, *, refused: SecretStr | None = None) -> SecretStr:
        """A signature that lasts, and is not the refused one.

        Raises:
            Auth: The endpoint does not know us, or our key may not be read.
            InvalidInput: There is no such collection or endpoint.
            Unavailable: The endpoint, or what keeps our key, throttles, fails or cannot be reached.
        """
        with self._lock:
            token = self._token
            if token is None or self._clock() >= token.refresh_at or token.signature == refused:
                token = self._token = self._fetch()
            return token.signature

    def _fetch(self) -> _Token:
        for attempt in range(1, ATTEMPTS + 1):
            status, token, wait = self._ask()
            if token is not None:
                return token
            if status in _UNAUTHORISED:
                self._headers = None  # somebody may put another key there
                raise Auth(f"{self._url}: HTTP {status}: expected to be given a token")
            if status in _WRONG:
                raise InvalidInput(f"{self._url}: HTTP {status}: expected a token endpoint and a collection it knows")
            if attempt == ATTEMPTS or wait > MOST_WAIT_SECONDS:
                break
            self._sleep(wait or 2.0**attempt)
        raise Unavailable(f"{self._url}: HTTP {status}: no token after {attempt} attempts, to wait {wait:.0f} s")

    def _ask(self) -> tuple[int | None, _Token | None, float]:
        """The answer's status, its token, and the seconds it asks us to wait."""
        if self._headers is None:
            key = self._subscription_key()
            self._headers = {_KEY_HEADER: key.get_secret_value()} if key else {}
        try:
            # A redirect could carry our key to another host.
            answer = requests.get(self._url, headers=self._headers, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException:
            return None, None, 0.0
        token = self._token_of(answer) if answer.status_code == _OK else None
        wait = answer.headers.get("Retry-After", "")
        return answer.status_code, token, float(wait) if wait.isascii() and wait.isdigit() else 0.0

    def _token_of(self, answer: requests.Response) -> _Token | None:
        """The token of an answer; None when it is half of one."""
        try:
            body = answer.json()
            signature, expiry = SecretStr(body["token"].lstrip("?")), datetime.fromisoformat(body["msft:expiry"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        expires_at = (expiry if expiry.tzinfo else expiry.replace(tzinfo=UTC)).timestamp()
        refresh_at = max(expires_at - REFRESH_BEFORE_SECONDS, self._clock() + LEAST_USE_SECONDS)
        return _Token(signature, refresh_at)


class SigningReader:
    """A ``Reader`` that signs the addresses of one blob store and leaves all others as they are.

    A refused read is repeated once, with a fresh signature. No error holds a signature, and no line that rasterio logs.
    """

    def __init__(self, reader: Reader, tokens: Tokens, *, blobs: str) -> None:
        """Wrap a reader; from now on queries are cut from the addresses that rasterio logs.

        Args:
            reader: Reads signed addresses, and those that need no signature.
            tokens: The signatures.
            blobs: Whose addresses are signed; see ``is_blob``.
        """
        self._reader = reader
        self._tokens = tokens
        self._blobs = blobs
        for name in _TELLING_LOGGERS:
            logging.getLogger(name).addFilter(without_queries)

    def window(
        self, href: str, bounds: Bounds, *, margin: int = 0, pixel_size: float | None = None, overviews: bool = True
    ) -> Raster:
        """See ``ard.ports.Reader``; an ``Auth`` comes only after a fresh signature was refused too."""
        read = partial(self._reader.window, bounds=bounds, margin=margin, pixel_size=pixel_size, overviews=overviews)
        if not is_blob(href, self._blobs):
            return read(href)
        signature = self._tokens.current()
        found = _attempt(read, signed(href, signature))
        if isinstance(found, Auth):
            signature = self._tokens.current(refused=signature)
            found = _attempt(read, signed(href, signature))
        if isinstance(found, ArdError):
            # A new error, raised outside of any handler: the old one's causes quote the signed address.
            raise type(found)(_without(str(found), signature))
        return found


def is_blob(href: str, blobs: str) -> bool:
    """Whether an address is one of the blob store's, so that it may be told a signature.

    Args:
        href: The address.
        blobs: Scheme and host, with the port if any; ``*`` stands for one name without dots.
    """
    found, wanted = urlsplit(href), urlsplit(blobs)
    pattern = re.escape(wanted.netloc).replace(r"\*", "[a-z0-9-]+")
    return found.scheme == wanted.scheme and re.fullmatch(pattern, found.netloc.lower()) is not None


def signed(href: str, signature: SecretStr) -> str:
    """The address with this signature, instead of any query that it has."""
    return f"{href.partition('?')[0]}?{signature.get_secret_value()}"


def without_queries(record: logging.LogRecord) -> bool:
    """A logging filter that lets every record pass, the queries of its addresses cut off."""
    record.msg, record.args = _QUERY.sub(r"\1", record.getMessage()), ()
    return True


def _attempt(read: Callable[[str], Raster], address: str) -> Raster | ArdError:
    try:
        return read(address)
    except ArdError as error:
        return error


def _without(message: str, signature: SecretStr) -> str:
    return _QUERY.sub(r"\1", message).replace(signature.get_secret_value(), "...")
