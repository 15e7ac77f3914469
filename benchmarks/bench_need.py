"""What reads need at least: one request for each file's header, and one for every run of blocks that they touch."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ard.adapters.tiff_blocks import blocks_of
from ard.adapters.tiff_layout import Layout, read_layout
from ard.adapters.windows import box_in, coarsening, touching
from ard.grid import Bounds

_HEADER_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Need:
    """Requests and bytes, each byte counted once."""

    files: int
    requests: int
    bytes: int


def need_of(plan: Path, folder: Path) -> Need:
    """The need of the reads that a plan lists, of files below a folder."""
    places: dict[Path, set[tuple[int, int]]] = defaultdict(set)
    layouts: dict[Path, Layout] = {}
    for read in json.loads(plan.read_text())["reads"]:
        file = folder / urlsplit(read["href"]).path.lstrip("/")
        if file not in layouts:
            layouts[file] = _layout(file)
        places[file].update(_touched(layouts[file], read))
    headers = sum(_header_bytes(layout) for layout in layouts.values())
    return Need(
        files=len(layouts),
        requests=len(layouts) + sum(_runs(found) for found in places.values()),
        bytes=headers + sum(size for found in places.values() for _, size in found),
    )


def files_of(plan: Path, folder: Path) -> list[Path]:
    """The files that a plan's reads touch."""
    reads = json.loads(plan.read_text())["reads"]
    return sorted({folder / urlsplit(read["href"]).path.lstrip("/") for read in reads})


def _layout(file: Path) -> Layout:
    content = file.read_bytes()
    return read_layout(lambda start, end: content[start:end], first_bytes=_HEADER_BYTES)


def _touched(layout: Layout, read: dict[str, Any]) -> Iterable[tuple[int, int]]:
    factor = coarsening(layout.transform.a, layout.factors[1:], read["pixel_size"], overviews=read["overviews"])
    level = layout.levels[layout.factors.index(factor) if read["overviews"] else 0]
    box = box_in(layout.crs, Bounds(*read["bounds"]))
    stride = 1 if read["overviews"] else factor
    part = touching(layout.transform_of(level), level.shape, box, read["margin"] * stride)
    if 0 in part.shape:
        return []
    return [(block.start, block.size) for block in blocks_of(level, part) if block.size]


def _header_bytes(layout: Layout) -> int:
    return min((int(start) for level in layout.levels for start in level.offsets if start), default=0)


def _runs(places: Iterable[tuple[int, int]]) -> int:
    end, runs = -1, 0
    for start, size in sorted(places):
        runs += start != end
        end = start + size
    return runs
