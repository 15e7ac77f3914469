"""A scene that the catalogue lists before its file is there, as archives do now and then."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ard.errors import InvalidInput
from ard.tile import Tile
from sandbox.scenes import GLO_30

_INSIDE_DEGREES = 0.01  # further from the tile's edge than its neighbours look


@dataclass(frozen=True, slots=True)
class LateScene:
    """An update of a part of an elevation cell, which only one tile needs.

    Attributes:
        items: The file that lists its item.
        asset: Where the item says that its file is.
        cell: The file of the cell that it updates, with the same pixels.
    """

    items: Path
    asset: Path
    cell: Path

    def deliver(self) -> None:
        """Put the file where the item says that it is."""
        partial = self.asset.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        os.link(self.cell, partial)
        partial.replace(self.asset)


def announce_late_scene(items: Path, tile: Tile, folder: Path) -> LateScene:
    """Write an item over the middle of a tile, without its file.

    Args:
        items: The made-up scenes' items; see ``sandbox.scenes``.
        tile: Lies in one GLO-30 cell of them.
        folder: Where item and file go; made when absent.

    Raises:
        InvalidInput: No GLO-30 cell covers the tile.
    """
    box = tile.grid(10).bounds.buffered(-_INSIDE_DEGREES)
    cells = [item for item in json.loads(items.read_text())["features"] if item["collection"] == GLO_30]
    covers = [
        item
        for item in cells
        if item["bbox"][0] <= box.west
        and item["bbox"][1] <= box.south
        and box.east <= item["bbox"][2]
        and box.north <= item["bbox"][3]
    ]
    if not covers:
        raise InvalidInput(f"expected a cell of {GLO_30} that covers {tile}, found none among {len(cells)}")
    item = covers[0]
    folder.mkdir(parents=True, exist_ok=True)
    scene = LateScene(folder / "items.json", folder / "update.tif", Path(item["assets"]["data"]["href"]))
    scene.asset.unlink(missing_ok=True)
    ring = [[box.west, box.south], [box.east, box.south], [box.east, box.north], [box.west, box.north]]
    update = item | {
        "id": f"{item['id']}_UPDATE",
        "bbox": list(box),
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "links": [],
        "assets": {"data": item["assets"]["data"] | {"href": str(scene.asset)}},
    }
    scene.items.write_text(json.dumps({"type": "FeatureCollection", "features": [update]}, indent=1))
    return scene
