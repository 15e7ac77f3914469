"""Outputs: written so that the STAC item, put last, alone means "exists"; and found again by it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue
from pystac import MediaType

from ard.adapters.cog import cog_bytes
from ard.adapters.stac_item import Provenance, StoredObject, build_item
from ard.adapters.store import Store
from ard.adapters.thumbnail import thumbnail_png
from ard.keys import data_key, item_key, resolve_href
from ard.product import Format, Layer, TileData, check
from ard.task import TileTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A complete output.

    Attributes:
        item_key: Key of its STAC item.
        job_id: The job that made it.
        flags: Degradations of its input.
        metrics: Its quality metrics.
        size: Bytes of its data objects together.
    """

    item_key: str
    job_id: str
    flags: frozenset[str]
    metrics: Mapping[str, JsonValue]
    size: int


def publish(
    data: TileData, task: TileTask, store: Store, *, provenance: Provenance, still_ours: Callable[[], None]
) -> Output:
    """Check a product, write its data objects and then its STAC item.

    Until the last put the output does not exist; whoever puts last wins whole, because data objects are named by
    their content. Legacy hickle files have fixed names: ``still_ours`` is called before each of them and raises when
    another worker has taken over; the item records their checksums.

    Raises:
        InvalidProduct: The product breaks its specification; nothing was written.
        Unavailable: The store cannot be written to.
        Auth: The store refuses.
    """
    check(data)
    objects = []
    for stored, content in _objects(data, task):
        if stored.fixed_name:
            still_ours()
        store.put(stored.key, content)
        objects.append(stored)
    key = item_key(data.year, data.tile, data.product)
    item = build_item(data, item_key=key, objects=objects, formats=task.formats, provenance=provenance)
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    store.put(key, json.dumps(document, indent=1, allow_nan=False).encode())
    size = sum(stored.size for stored in objects)
    return Output(item_key=key, job_id=provenance.job_id, flags=data.flags, metrics=data.metrics, size=size)


def find(task: TileTask, store: Store) -> Output | None:
    """The task's complete output: its item has every requested format and every object has the size it says.

    Raises:
        Unavailable: The store cannot be asked, which is not the same as "missing".
        Auth: The store refuses.
    """
    key = item_key(task.year, task.tile, task.product)
    content = store.get(key)
    if content is None:
        return None
    try:
        document = json.loads(content)
        properties, assets = document["properties"], document["assets"].values()
        sizes = {resolve_href(key, asset["href"]): int(asset["file:size"]) for asset in assets}
        formats = properties["ttc:formats"]
        output = Output(
            item_key=key,
            job_id=properties["ttc:job_id"],
            flags=frozenset(properties["ttc:flags"]),
            metrics=properties["ttc:metrics"],
            size=sum(sizes.values()),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # not an item of ours, or half of one: there is no output here
    if not set(task.formats) <= set(formats) or any(store.size(path) != size for path, size in sizes.items()):
        return None
    return output


def _objects(data: TileData, task: TileTask) -> Iterator[tuple[StoredObject, bytes]]:
    """The data objects and their contents, made one at a time so that one encoded copy is in memory."""
    if Format.COG in task.formats:
        for layer in data.layers:
            yield _by_content(data, layer.name, cog_bytes(layer, data), suffix="tif", layer=layer)
    yield _by_content(data, str(data.product), thumbnail_png(data), suffix="png", layer=None)
    if Format.HKL in task.formats:
        # hickle needs HDF5, which a worker that writes only COGs never loads.
        from ard.adapters.hkl import hkl_files  # noqa: PLC0415

        for name, key, content in hkl_files(data):
            digest = hashlib.sha256(content).hexdigest()
            yield (
                StoredObject(
                    name=name,
                    key=key,
                    size=len(content),
                    sha256=digest,
                    media_type=MediaType.HDF5,
                    roles=("data", "legacy"),
                    fixed_name=True,
                ),
                content,
            )


def _by_content(
    data: TileData, name: str, content: bytes, *, suffix: Literal["tif", "png"], layer: Layer | None
) -> tuple[StoredObject, bytes]:
    """An object named by its content: a layer's COG or the thumbnail."""
    digest = hashlib.sha256(content).hexdigest()
    stored = StoredObject(
        name=name if layer else "thumbnail",
        key=data_key(data.year, data.tile, name=name, sha256=digest, suffix=suffix),
        size=len(content),
        sha256=digest,
        media_type=MediaType.COG if layer else MediaType.PNG,
        roles=("data",) if layer else ("thumbnail",),
        layer=layer,
    )
    return stored, content
