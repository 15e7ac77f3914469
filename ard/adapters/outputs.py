"""Outputs: written so that the STAC item, put last, alone means "exists"; and found again by it."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from pydantic import JsonValue
from pystac import MediaType

from ard.adapters.cog import cog_bytes
from ard.adapters.stac_item import MULTIHASH_SHA256, Provenance, StoredObject, build_item
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

    @property
    def digest(self) -> dict[str, JsonValue]:
        """The plain ones among the metrics: a task's row has no room for lists."""
        return {name: value for name, value in self.metrics.items() if isinstance(value, int | float | str)}


class Verify(StrEnum):
    """How an existing output is verified: by the sizes of its objects, or by their whole contents too."""

    SIZES = "sizes"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The sizes of all objects whose keys begin with one of the prefixes, as they were at one moment."""

    prefixes: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)

    def lacks(self, key: str) -> bool:
        """There was no such object; False where the listing does not reach."""
        return key.startswith(self.prefixes) and key not in self.sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there is of a task's output: all of it, something damaged (and what about it), or neither."""

    output: Output | None = None
    damage: str | None = None


_NOTHING_LISTED = Listing()


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
    return look(task, store).output


def look(task: TileTask, store: Store, *, verify: Verify = Verify.SIZES, listing: Listing = _NOTHING_LISTED) -> Look:
    """What there is of a task's output.

    Args:
        task: Whose.
        store: That of its destination.
        verify: How closely to look.
        listing: What was listed already: an item that it lacks is missing, and sizes are taken from it. What speaks
            against an output is asked again, since the item may be younger than the listing.

    Raises:
        Unavailable: The store cannot be asked, which is not the same as "missing".
        Auth: The store refuses.
    """
    key = item_key(task.year, task.tile, task.product)
    content = None if listing.lacks(key) else store.get(key)
    if content is None:
        return Look()
    try:
        item = _parse_item(key, content)
    except (ValueError, LookupError, TypeError, AttributeError):
        return Look(damage=f"{key}: not an item of an output")
    if not item.formats.issuperset(task.formats):
        return Look()
    for part in item.parts:
        damage = _damage(part, store, verify=verify, listing=listing)
        if damage is not None:
            return Look(damage=damage)
    return Look(output=item.output)


def named_objects(key: str, content: bytes) -> frozenset[str] | None:
    """The keys of the data objects that a STAC item names; None when it is not an item of an output."""
    try:
        return frozenset(part.key for part in _parse_item(key, content).parts)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A data object as the item knows it."""

    key: str
    size: int
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    output: Output
    formats: frozenset[str]
    parts: tuple[_Part, ...]


def _parse_item(key: str, content: bytes) -> _Item:
    document = json.loads(content)
    properties, assets = document["properties"], document["assets"].values()
    parts = tuple(
        _Part(key=resolve_href(key, asset["href"]), size=int(asset["file:size"]), checksum=str(asset["file:checksum"]))
        for asset in assets
    )
    if not parts:
        raise ValueError("expected at least one asset, found none")
    output = Output(
        item_key=key,
        job_id=str(properties["ttc:job_id"]),
        flags=frozenset(properties["ttc:flags"]),
        metrics=properties["ttc:metrics"],
        size=sum(part.size for part in parts),
    )
    return _Item(output=output, formats=frozenset(properties["ttc:formats"]), parts=parts)


def _damage(part: _Part, store: Store, *, verify: Verify, listing: Listing) -> str | None:
    """What is wrong with a data object; None when nothing is."""
    if listing.sizes.get(part.key) != part.size:
        size = store.size(part.key)
        if size != part.size:
            return f"{part.key}: expected {part.size:,} bytes, found {'nothing' if size is None else f'{size:,}'}"
    if verify is Verify.FULL:
        digest = store.sha256(part.key)
        if digest is None or MULTIHASH_SHA256 + digest != part.checksum:
            return f"{part.key}: expected the content of checksum {part.checksum}, found {digest or 'nothing'}"
    return None


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
