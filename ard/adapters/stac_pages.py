"""Answers of a STAC API, page by page: whole ones only, and never more than a worker can hold."""

from collections.abc import Iterator
from typing import Any

import requests
from pystac import Link
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

MOST_BYTES = 64 * 2**20  # of one answer, unpacked: a hundred items are one or two
MOST_PAGES = 100
_EMPTY_PAGES = 2  # in a row are the end, although they name a next page: some servers always do
_PIECE_BYTES = 2**16
_REASON_CHARACTERS = 300
_WITH_BODY = {"PATCH", "POST", "PUT"}


class StacPages(StacApiIO):
    """Asks a STAC API, and refuses what pystac-client would take for an empty page or read without end."""

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """An answer over HTTP; an address of anything else, such as a file of this machine, is an error.

        Raises:
            APIError: There is no answer, it is not one of success, or it is longer than ``MOST_BYTES``.
        """
        if isinstance(source, Link):
            text: str = super().read_text(source, *args, **kwargs)
            return text
        return self.request(str(source), *args, **kwargs)

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """As ``read_text``."""
        verb = (method or "GET").upper()
        body, query = (parameters, None) if verb in _WITH_BODY else (None, parameters)
        try:
            with self.session.request(
                verb, href, headers=headers, timeout=self.timeout, stream=True, json=body, params=query
            ) as response:
                content = _content(response)
        except requests.RequestException as error:
            raise APIError(str(error)) from error
        text = content.decode(errors="replace")
        if not response.ok:
            refused = APIError(text[:_REASON_CHARACTERS])
            refused.status_code = response.status_code
            raise refused
        return text

    def read_json(self, source: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The answer's object.

        Raises:
            TypeError: It is no object.
            ValueError: It is neither a catalogue nor a page with a list of features.
        """
        answer: Any = super().read_json(source, *args, **kwargs)
        if not isinstance(answer, dict):
            raise TypeError(f"expected an object, found {answer!r:.80}")
        if answer["type"] == "FeatureCollection" and not isinstance(answer["features"], list):
            raise ValueError(f"expected a list of features, found {answer['features']!r:.80}")
        return answer

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Every page of a search; an empty one is not the last one if it names a next.

        Raises:
            ValueError: A page is none, or there are more than ``MOST_PAGES``.
        """
        page, empty = self.read_json(url, method=method, parameters=parameters), 0
        for _ in range(MOST_PAGES):
            yield page
            empty = 0 if page["features"] else empty + 1
            following = next((link for link in page.get("links") or () if link["rel"] == "next"), None)
            if following is None or empty == _EMPTY_PAGES:
                return
            page = self.read_json(Link.from_dict(following), parameters=parameters)
        raise ValueError(f"expected at most {MOST_PAGES} pages, found more")


def _content(response: requests.Response) -> bytes:
    content = bytearray()
    for piece in response.iter_content(_PIECE_BYTES):
        content += piece
        if len(content) > MOST_BYTES:
            raise requests.RequestException(f"expected an answer of at most {MOST_BYTES:,} bytes, found more")
    return bytes(content)
