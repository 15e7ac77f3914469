"""Scenes from a STAC API, through pystac-client."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

import pystac_client
from pystac import STACError
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.warnings import DoesNotConformTo
from urllib3.util.retry import Retry

from ard.adapters.stac_pages import StacPages
from ard.errors import ArdError, Auth, InvalidInput, Unavailable
from ard.grid import Bounds
from ard.scene import Interval, Scene

_TIMEOUT_SECONDS = (10, 30)  # connect, read
_PAGE_SIZE = 100
_UNAUTHORISED = {401, 403}
_REFUSED = {400, 404, 405, 422}
_FAR = 540.0  # degrees: a box that crosses the antimeridian may be told beyond 180, never beyond this
_RETRIES = 4  # of one request; a provider that stays down is the queue's business
# What half an answer looks like: a body that is not JSON, is too deep, or lacks what STAC asks for. STACError also
# when the root, which pystac asks for behind a search's back, did not answer.
_MALFORMED = (
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    ClientTypeError,
    DoesNotConformTo,
    STACError,
)

T = TypeVar("T")


class StacCatalog:
    """The ``Catalog`` port over a STAC API; connects at the first search and keeps the connection."""

    def __init__(self, url: str, *, retries: int = _RETRIES) -> None:
        """Remember where the API is; nothing is contacted yet."""
        self._url = url
        self._retries = retries

    @cached_property
    def _pages(self) -> StacPages:
        retry = Retry(
            total=self._retries,
            backoff_factor=0.5,
            backoff_max=8,
            backoff_jitter=0.5,
            status_forcelist=(408, 425, 429, 500, 502, 503, 504),
            allowed_methods=None,  # a search is a POST, and as harmless to repeat as a GET
            raise_on_status=False,
        )
        return StacPages(max_retries=retry, timeout=_TIMEOUT_SECONDS)

    @cached_property
    def _client(self) -> pystac_client.Client:
        return pystac_client.Client.open(self._url, stac_io=self._pages)

    def search(self, collection: str, bounds: Bounds, interval: Interval | None = None) -> tuple[Scene, ...]:
        """Every item of a collection that touches the box, by bbox and datetime alone; see ``ard.ports.Catalog``.

        Servers differ in ``query``, ``filter`` and ``sortby``, some ignore them silently: none is used.
        """
        try:
            search = self._client.search(
                collections=[collection],
                bbox=list(bounds),
                datetime=list(interval) if interval else None,
                limit=_PAGE_SIZE,
            )
            pages = self._pages.get_pages(search.url, search.method, search.get_parameters())
            scenes = {scene.id: scene for page in pages for scene in map(scene_of, page["features"])}
        except APIError as error:
            raise _translate(error, self._url) from error
        except _MALFORMED as error:
            raise Unavailable(f"{self._url}: no complete answer to a search of {collection}: {error!r:.300}") from error
        return tuple(scenes[key] for key in sorted(scenes))


def _translate(error: APIError, url: str) -> ArdError:
    status = getattr(error, "status_code", None)  # absent when the request got no answer at all
    message = f"{url}: HTTP {status}: {error!s:.300}"
    if status in _UNAUTHORISED:
        return Auth(message)
    if status in _REFUSED:
        return InvalidInput(message)
    return Unavailable(message)


def scene_of(item: Mapping[str, Any]) -> Scene:
    """The scene of a STAC item.

    Raises:
        ValueError: It is none.
    """
    try:
        properties = item["properties"]
        # The first self link: a server that serves stored items appends its own, which may not last.
        itself = next((link["href"] for link in item.get("links", ()) if link["rel"] == "self"), item["id"])
        bbox = item["bbox"]
        return Scene(
            id=_a(str, item["id"]),
            collection=_a(str, item.get("collection") or ""),
            href=_a(str, itself),
            bounds=Bounds(*map(_degrees, bbox if len(bbox) == 4 else (bbox[0], bbox[1], bbox[3], bbox[4]))),  # noqa: PLR2004
            geometry=_a(dict, item["geometry"] or {}),
            acquired_at=_moment(properties.get("datetime") or properties["start_datetime"]),
            properties=_a(dict, properties),
            assets={key: _a(str, asset["href"]) for key, asset in item["assets"].items()},
        )
    except (AttributeError, LookupError, TypeError) as error:
        raise ValueError(f"expected a STAC item, found one with {error!r:.200}") from error


def _a(kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"expected a value of type {kind.__name__}, found {value!r:.80}")
    return value


def _degrees(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_FAR <= value <= _FAR:
        raise TypeError(f"expected degrees, found {value!r:.80}")
    return value


def _moment(text: Any) -> datetime:
    """Moments in STAC are of UTC, whether they say so or not."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
