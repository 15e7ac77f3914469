"""What the STAC item of an output says of it: what it was made from, by what and how, and its objects."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from ard.adapters.store import Store
from ard.errors import AssetCorrupt
from ard.keys import resolve_href


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFacts:
    """A data object as its item knows it; ``found`` is its size in the store, None when it is not there."""

    name: str
    key: str
    size: int
    found: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFacts:
    """An output's item.

    Attributes:
        software: Versions by name; the pipeline's own ends with ``+{git sha}``.
        sources: Names of the catalogue's items that pixels were taken from, in the item's order.
    """

    key: str
    job_id: str
    created: str
    software: Mapping[str, str]
    parameters: Mapping[str, JsonValue]
    metrics: Mapping[str, JsonValue]
    flags: tuple[str, ...]
    formats: tuple[str, ...]
    sources: tuple[str, ...]
    objects: tuple[ObjectFacts, ...]

    @property
    def whole(self) -> bool:
        """Every object is there, as large as it should be."""
        return all(one.found == one.size for one in self.objects)


def read_item(store: Store, key: str) -> ItemFacts | None:
    """The facts of an output's item; None when there is no such item.

    Raises:
        AssetCorrupt: It is not an item of ours.
        Unavailable: The store cannot be asked.
        Auth: It refuses.
    """
    content = store.get(key)
    if content is None:
        return None
    try:
        document = json.loads(content)
        properties = document["properties"]
        objects = [
            (name, resolve_href(key, asset["href"]), int(asset["file:size"]))
            for name, asset in document["assets"].items()
        ]
        return ItemFacts(
            key=key,
            job_id=str(properties["ttc:job_id"]),
            created=str(properties["created"]),
            software={str(name): str(version) for name, version in properties["processing:software"].items()},
            parameters=dict(properties["ttc:parameters"]),
            metrics=dict(properties["ttc:metrics"]),
            flags=tuple(map(str, properties["ttc:flags"])),
            formats=tuple(map(str, properties["ttc:formats"])),
            sources=tuple(
                str(link.get("title") or link["href"]) for link in document["links"] if link["rel"] == "derived_from"
            ),
            objects=tuple(
                ObjectFacts(name=name, key=path, size=size, found=store.size(path)) for name, path, size in objects
            ),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise AssetCorrupt(f"expected an item of an output at {key}, found {error!r:.200}") from error
