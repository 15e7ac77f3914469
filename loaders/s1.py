"""Four quarters of Sentinel-1 backscatter of a tile, from a radiometrically terrain-corrected archive."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from ard.errors import AssetCorrupt, InvalidInput, NoData
from ard.ports import Catalog, Reader
from ard.product import SPECS, Band, Layer, Product, TileData
from ard.scene import Scene
from ard.task import TileTask
from ard.tile import Tile
from loaders.s1_composite import (
    BRIGHTEST,
    MIN_SUBPIXELS,
    Composite,
    Statistic,
    SubPixels,
    averaged,
    composite,
    filled,
    first_valid,
)
from loaders.s1_metrics import Archive, Season, filled_fraction, metrics_of
from loaders.s1_passes import (
    POLARISATIONS,
    Direction,
    Pass,
    Quarter,
    Slice,
    choose_direction,
    deduplicate,
    in_quarter,
    is_wanted,
    passes,
    quarters,
    search_interval,
    slice_of,
    spread,
)

COLLECTION = "sentinel-1-rtc"
MOST_PASSES = 6  # of a quarter, unless they leave holes
FURTHER_PASSES = 4  # at a time
ENOUGH_VALID = 0.98  # of the tile: with less, further passes are read
VALID_QUARTER = 2 / 3  # of the tile: with less, a quarter does not count
MUCH_FILLED = 1 / 3  # of the tile: more of it from other quarters is flagged
USUAL_PASSES = 2  # speckle of a single pass is strong
VIEWS_AT_ONCE = 12
READS_AT_ONCE = 24  # every view reads two polarisations

BANDS = tuple(
    Band(name=f"Q{quarter} {name}", unit="1", description=f"Gamma nought, linear power, {name}, quarter {quarter}")
    for quarter in range(1, 5)
    for name in POLARISATIONS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A pass on the tile's 40 m grid: ``power (2, y, x)`` float64, NaN where it saw nothing."""

    one: Pass
    used: tuple[Slice, ...]
    skipped: tuple[str, ...]
    power: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sight:
    """What it takes to look at a tile: where its sub-pixels lie, and reads of its window side by side."""

    tile: Tile
    reader: Reader
    views: ThreadPoolExecutor
    reads: ThreadPoolExecutor
    subpixels: SubPixels
    statistic: Statistic


def load_s1(
    task: TileTask,
    catalog: Catalog,
    reader: Reader,
    *,
    collection: str = COLLECTION,
    statistic: Statistic = "mean",
) -> TileData:
    """Backscatter of the four quarters of a year on the tile's 40 m grid.

    All quarters are seen from the same direction, the one that sees most; up to six passes spread over a quarter's
    window (more while holes remain) are averaged as linear power. A quarter that lacks the direction takes the other.

    Args:
        task: Names tile and year.
        catalog: Has the collection.
        reader: Reads the items' assets ``vv`` and ``vh``, linear gamma nought at full resolution.
        collection: Such as ``sentinel-1-rtc``.
        statistic: Over the passes of a quarter.

    Returns:
        Layer ``s1``, ``(band, y, x)`` float32: ``Q1 VV``, ``Q1 VH``, ... ``Q4 VH``, linear gamma nought, NaN where no
        quarter of the year has data. Flags ``filled_quarters`` (one is missing or more than a third of it comes from
        others), ``other_orbit``, ``few_passes`` and ``asset_corrupt``.

    Raises:
        NoData: No quarter has data in two thirds of the tile.
        Unavailable: The catalogue or an asset cannot be reached.
    """
    archive = _search(task, catalog, collection)
    direction = choose_direction(archive.passes, quarters(task.year))
    windows = quarters(task.year)
    with (
        ThreadPoolExecutor(len(windows)) as pool,
        ThreadPoolExecutor(VIEWS_AT_ONCE) as views,
        ThreadPoolExecutor(READS_AT_ONCE) as reads,
    ):
        subpixels = SubPixels(task.tile.grid(40))
        sight = _Sight(
            tile=task.tile, reader=reader, views=views, reads=reads, subpixels=subpixels, statistic=statistic
        )
        seasons = list(pool.map(lambda quarter: _season(archive, quarter, direction, sight), windows))
    if not any(season.seen.valid_fraction >= VALID_QUARTER for season in seasons):
        best = max(season.seen.valid_fraction for season in seasons)
        raise NoData(
            f"no quarter of {task.year} with data in two thirds of the tile (at most {best:.2f}): "
            f"{archive.items} items, {archive.ignored} of another mode or polarisation, "
            f"{len(archive.unreadable)} unreadable, {len(archive.passes)} passes over the tile"
        )
    return _tile_data(task, archive, seasons, direction=direction, statistic=statistic)


def _search(task: TileTask, catalog: Catalog, collection: str) -> Archive:
    """Every pass over the tile in its year."""
    box = task.tile.grid(40).bounds
    scenes = catalog.search(collection, box, search_interval(task.year))
    wanted = [scene for scene in scenes if is_wanted(scene)]
    slices: list[Slice] = []
    unreadable: list[str] = []
    for scene in wanted:
        try:
            slices.append(slice_of(scene, box))
        except InvalidInput:
            unreadable.append(scene.id)
    return Archive(
        items=len(scenes),
        ignored=len(scenes) - len(wanted),
        unreadable=tuple(unreadable),
        passes=passes(deduplicate(slices)),
    )


def _season(archive: Archive, quarter: Quarter, direction: Direction, sight: _Sight) -> Season:
    """A quarter from the year's direction, or from the other one when that shows more of a tile hardly seen."""
    season = _seen_from(archive, quarter, direction, sight)
    if season.seen.valid_fraction >= VALID_QUARTER:
        return season
    other = _seen_from(archive, quarter, direction.other, sight)
    return other if other.seen.valid_fraction > season.seen.valid_fraction else season


def _seen_from(archive: Archive, quarter: Quarter, direction: Direction, sight: _Sight) -> Season:
    waiting = list(spread(in_quarter(archive.passes, quarter, direction)))
    views = list(sight.views.map(lambda one: _view(one, sight), waiting[:MOST_PASSES]))
    del waiting[:MOST_PASSES]
    seen = _composite(views, sight)
    while waiting and seen.valid_fraction < ENOUGH_VALID:
        views += sight.views.map(lambda one: _view(one, sight), waiting[:FURTHER_PASSES])
        del waiting[:FURTHER_PASSES]
        seen = _composite(views, sight)
    in_time = sorted((view for view in views if view.used), key=lambda view: (view.one.started_at, view.one.id))
    return Season(
        quarter=quarter,
        direction=direction,
        passes=tuple((view.one, view.used) for view in in_time),
        seen=seen,
        skipped=tuple(sorted(name for view in views for name in view.skipped)),
    )


def _composite(views: Sequence[_View], sight: _Sight) -> Composite:
    in_time = sorted(views, key=lambda view: (view.one.started_at, view.one.id))
    return composite([view.power for view in in_time], sight.tile.grid(40).shape, sight.statistic)


def _view(one: Pass, sight: _Sight) -> _View:
    """A pass: its slices laid over each other, first one on top, then averaged onto the 40 m grid."""
    mosaic = np.full((len(POLARISATIONS), *sight.subpixels.grid.shape), np.nan, dtype=np.float32)
    used, skipped = [], []
    for item in one.slices:
        try:
            pixels = _pixels(item, sight)
        except AssetCorrupt:
            skipped.append(item.id)
            continue
        if (np.isnan(mosaic) & ~np.isnan(pixels)).any():
            used.append(item)
            mosaic = first_valid([mosaic, pixels])
    return _View(one=one, used=tuple(used), skipped=tuple(skipped), power=averaged(mosaic))


def _pixels(item: Slice, sight: _Sight) -> NDArray[np.float32]:
    """A slice at the tile's sub-pixels, ``(2, 4y, 4x)``: both polarisations, or none when one cannot be read."""
    bounds = sight.subpixels.grid.bounds
    hrefs = [item.href(name) for name in POLARISATIONS]
    rasters = sight.reads.map(lambda href: sight.reader.window(href, bounds, margin=1), hrefs)
    return np.stack([sight.subpixels.gather(raster) for raster in rasters])


def _tile_data(
    task: TileTask, archive: Archive, seasons: Sequence[Season], *, direction: Direction, statistic: Statistic
) -> TileData:
    power = filled(np.stack([season.seen.power for season in seasons]))
    written = np.minimum(power, BRIGHTEST).astype(np.float32)
    pixels = written.reshape(-1, *written.shape[2:])
    return TileData(
        product=Product.S1,
        tile=task.tile,
        year=task.year,
        layers=(Layer(name="s1", spec=SPECS[Product.S1]["s1"], bands=BANDS, pixels=pixels),),
        metrics=metrics_of(archive, seasons, written, direction=direction),
        flags=_flags(archive, seasons, written, direction=direction),
        sources=_sources(seasons),
        parameters={
            "statistic": statistic,
            "passes_per_quarter": MOST_PASSES,
            "enough_valid": ENOUGH_VALID,
            "resampling": "average",
            "min_subpixels": MIN_SUBPIXELS,
            "orbit": "auto",
            "fill": "adjacent quarters, year",
        },
        start=datetime(task.year, 1, 1, tzinfo=UTC),
        end=datetime(task.year, 12, 31, 23, 59, 59, tzinfo=UTC),
    )


def _sources(seasons: Sequence[Season]) -> tuple[Scene, ...]:
    items: Mapping[str, Scene] = {
        item.id: item.scene for season in seasons for _, slices in season.passes for item in slices
    }
    return tuple(items[name] for name in sorted(items))


def _flags(
    archive: Archive, seasons: Sequence[Season], power: NDArray[np.float32], *, direction: Direction
) -> frozenset[str]:
    flags = {
        "filled_quarters": any(
            season.seen.valid_fraction == 0 or filled_fraction(season, power[number]) > MUCH_FILLED
            for number, season in enumerate(seasons)
        ),
        "other_orbit": any(season.passes and season.direction is not direction for season in seasons),
        "few_passes": any(len(season.passes) < USUAL_PASSES for season in seasons),
        "asset_corrupt": bool(archive.unreadable) or any(season.skipped for season in seasons),
    }
    return frozenset(name for name, raised in flags.items() if raised)
