"""Scenes from a STAC API, through pystac-client."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

import pystac_client
import requests
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from urllib3.util.retry import Retry

from ard.errors import ArdError, Auth, InvalidInput, Unavailable
from ard.grid import Bounds
from ard.scene import Interval, Scene

_TIMEOUT_SECONDS = (10, 30)  # connect, read
_PAGE_SIZE = 100
_UNAUTHORISED = {401, 403}
_REFUSED = {400, 404, 405, 422}
_RETRIES = 4  # of one request; a provider that stays down is the queue's business


class _WholePages(StacApiIO):
    """Refuses what pystac-client would take for an empty page: an answer that is no STAC object."""

    def read_json(self, source: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The answer's object.

        Raises:
            ValueError: It is neither a catalogue nor a page with a list of features.
        """
        answer: dict[str, Any] = super().read_json(source, *args, **kwargs)
        if answer["type"] == "FeatureCollection" and not isinstance(answer["features"], list):
            raise ValueError(f"expected a list of features, found {answer['features']!r:.80}")
        return answer


class StacCatalog:
    """The ``Catalog`` port over a STAC API; connects at the first search and keeps the connection."""

    def __init__(self, url: str, *, retries: int = _RETRIES) -> None:
        """Remember where the API is; nothing is contacted yet."""
        self._url = url
        self._retries = retries

    @cached_property
    def _client(self) -> pystac_client.Client:
        retry = Retry(
            total=self._retries,
            backoff_factor=0.5,
            backoff_max=8,
            backoff_jitter=0.5,
            status_forcelist=(408, 425, 429, 500, 502, 503, 504),
            allowed_methods=None,  # a search is a POST, and as harmless to repeat as a GET
            raise_on_status=False,
        )
        return pystac_client.Client.open(self._url, stac_io=_WholePages(max_retries=retry, timeout=_TIMEOUT_SECONDS))

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
            items = [item for page in search.pages_as_dicts() for item in page["features"]]
        except APIError as error:
            raise _translate(error, self._url) from error
        except (requests.RequestException, ValueError, KeyError) as error:
            # ValueError: a body that is not JSON; KeyError: one without type or features. Both are half an answer.
            raise Unavailable(f"{self._url}: no complete answer to a search of {collection}: {error!r:.300}") from error
        scenes = {scene.id: scene for scene in map(scene_of, items)}
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
    """The scene of a STAC item; a KeyError or ValueError when it is none."""
    properties = item["properties"]
    # The first self link: a server that serves stored items appends its own, which may not last.
    itself = next((link["href"] for link in item.get("links", ()) if link["rel"] == "self"), item["id"])
    moment = properties.get("datetime") or properties["start_datetime"]
    bbox = item["bbox"]
    return Scene(
        id=item["id"],
        collection=item.get("collection", ""),
        href=itself,
        bounds=Bounds(*bbox) if len(bbox) == 4 else Bounds(bbox[0], bbox[1], bbox[3], bbox[4]),  # noqa: PLR2004
        geometry=item["geometry"],
        acquired_at=datetime.fromisoformat(moment),
        properties=properties,
        assets={key: asset["href"] for key, asset in item["assets"].items()},
    )
