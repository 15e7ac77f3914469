"""A year of clean Sentinel-2 dates of a tile, from Level-2A archives."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from ard.errors import AssetCorrupt, InvalidInput, NoData
from ard.ports import Catalog, Reader
from ard.product import SPECS, Band, Layer, Product, TileData
from ard.scene import Raster
from ard.task import TileTask
from ard.tile import Tile
from loaders.gather import Gather
from loaders.s2_dates import search_interval
from loaders.s2_items import Collection, Granule, Group, deduplicate, granule_of, group
from loaders.s2_metrics import Archive, Date, metrics_of
from loaders.s2_pixels import BANDS_10M, BANDS_20M, Frame, ReadAll, band, read_classes, read_frame
from loaders.s2_screen import (
    LOCAL_CELLS,
    CloudView,
    centre,
    cloud_grid,
    has_data,
    is_cloud,
    shares,
    view_clouds,
    within_tile,
)
from loaders.s2_select import CAP, MIN_SCENES, TARGET, Candidate, Screening, Selection, reject, select

MOST_NODATA = 0.05  # of the tile, in a date
MOST_NODATA_WHERE_SCARCE = 0.08  # the model drops dates with 1/11 missing
MOST_CLOUD_AND_SHADOW = 0.70  # the model removes clouds itself, but needs something to see
USUAL_DATES = 3  # with fewer the model cannot remove clouds
READS_AT_ONCE = 32
PASSES_AT_ONCE = 4  # whose bands are held besides those of the dates that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sight:
    """What it takes to look at a tile: its grids' gathers, and threads for reads and for whole passes."""

    tile: Tile
    reader: Reader
    reads: ThreadPoolExecutor
    passes: ThreadPoolExecutor
    g10: Gather
    g20: Gather

    def reading_once(self) -> ReadAll:
        """A function that reads the tile's window of assets, in order, and none of them twice."""
        bounds = self.tile.grid(10).bounds
        rasters: dict[str, Raster] = {}

        def read_all(hrefs: Sequence[str]) -> list[Raster]:
            wanted = [href for href in hrefs if href not in rasters]
            read = self.reads.map(lambda href: self.reader.window(href, bounds, margin=1), wanted)
            rasters.update(zip(wanted, read, strict=True))
            return [rasters[href] for href in hrefs]

        return read_all


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A pass looked at closely: its classes, and all of it if they are good enough for a tile hardly seen."""

    classes: NDArray[np.uint8]
    frame: Frame | None


def load_s2(task: TileTask, catalog: Catalog, reader: Reader, *, most_dates: int = CAP) -> TileData:
    """The clean dates of one tile and year on its 10 m and 20 m grids.

    Passes are mosaics of all their granules. They are screened by their scene classification at 640 m, at most two a
    month are chosen, and each is looked at closely before its bands are read; one that is not good enough is replaced.

    Args:
        task: Names tile and year.
        catalog: Has the collections ``sentinel-2-l2a`` and ``sentinel-2-c1-l2a``.
        reader: Reads the granules' bands and classification.
        most_dates: How many dates there may be.

    Returns:
        Layers ``s2_10m`` (blue, green, red, nir) and ``s2_20m`` (three red edges, nir08, two swir),
        ``(date * band, y, x)`` uint16: surface reflectance times 10,000 without processing offset, 0 is nodata in all
        ten bands at once; ``s2_cloudmask (date, y, x)`` uint8, 1 is cloud or cirrus. Dates ascend. Flags
        ``relaxed_clouds``, ``few_dates``, ``offset_uncertain`` and ``asset_corrupt``.

    Raises:
        NoData: No date is usable.
        Unavailable: The catalogue or an asset cannot be reached.
    """
    archive = _search(task, catalog)
    with _looking_at(task.tile, reader) as sight:
        views = _screen(archive, sight)
        screened = [(one, _screening(view)) for one, view in views]
        selection, dates = _keep(select(screened, year=task.year, target=TARGET, cap=most_dates), sight)
    if not dates:
        raise NoData(
            f"no usable date: {archive.items} items, {len(archive.passes)} passes over the tile, "
            f"{len(selection.refused)} refused for clouds or gaps, {len(archive.unreadable)} unreadable"
        )
    return _tile_data(task, archive, views, dates, most_dates=most_dates)


def _search(task: TileTask, catalog: Catalog) -> Archive:
    """Every pass over the tile in its year and the weeks around it."""
    bounds = cloud_grid(task.tile).bounds.buffered(0)
    interval = search_interval(task.year)
    scenes = [scene for name in Collection for scene in catalog.search(name, bounds, interval)]
    granules: list[Granule] = []
    unreadable: list[str] = []
    for scene in scenes:
        try:
            granules.append(granule_of(scene))
        except InvalidInput:
            unreadable.append(scene.id)
    passes = group(deduplicate(granules), task.tile.grid(10).bounds)
    return Archive(items=len(scenes), passes=passes, unreadable=tuple(unreadable))


@contextmanager
def _looking_at(tile: Tile, reader: Reader) -> Iterator[_Sight]:
    with ThreadPoolExecutor(READS_AT_ONCE) as reads, ThreadPoolExecutor(PASSES_AT_ONCE) as passes:
        g10, g20 = Gather(tile.grid(10)), Gather(tile.grid(20))
        yield _Sight(tile=tile, reader=reader, reads=reads, passes=passes, g10=g10, g20=g20)


def _screen(archive: Archive, sight: _Sight) -> list[tuple[Group, CloudView]]:
    """Every pass at 640 m; those whose classification cannot be read are left out."""
    grid = cloud_grid(sight.tile)
    gather = Gather(grid)

    def view(one: Group) -> tuple[Group, CloudView | None]:
        try:
            return one, view_clouds(one.granules, grid, gather, sight.reader)
        except AssetCorrupt:
            return one, None

    return [(one, found) for one, found in sight.reads.map(view, archive.passes) if found is not None]


def _screening(view: CloudView) -> Screening:
    classes = view.classes
    return Screening(
        global_cloud=shares(classes).cloud,
        local_cloud=shares(centre(classes, LOCAL_CELLS)).cloud,
        valid_global=float(has_data(classes).mean()),
        valid_tile=float(has_data(within_tile(classes)).mean()),
    )


def _keep(selection: Selection, sight: _Sight) -> tuple[Selection, list[Date]]:
    """The chosen passes that are good enough; one that is not gives way to the next of its month.

    They are looked at several at a time, and then judged one by one, so that the outcome is no matter of chance.
    """
    looks: dict[str, _Look | None] = {}
    dates: dict[str, Date] = {}
    while waiting := [candidate for candidate in selection.kept if candidate.id not in dates]:
        unseen = [candidate for candidate in waiting if candidate.id not in looks]
        looks.update(
            zip((one.id for one in unseen), sight.passes.map(lambda one: _look(one, sight), unseen), strict=True)
        )
        candidate = waiting[0]
        scarce = len(selection.kept) < MIN_SCENES
        most_nodata = MOST_NODATA_WHERE_SCARCE if scarce else MOST_NODATA
        date = _date(candidate, looks[candidate.id], most_nodata=most_nodata)
        if date is None:
            selection = reject(selection, candidate)
        else:
            dates[candidate.id] = date
        looks[candidate.id] = None
    return selection, [dates[candidate.id] for candidate in selection.kept]


def _look(candidate: Candidate, sight: _Sight) -> _Look | None:
    """A pass on the tile's grids; None when none of it can be read."""
    granules, read_all = candidate.group.granules, sight.reading_once()
    try:
        classes = read_classes(granules, g20=sight.g20, read_all=read_all)
        if not _good_enough(classes, MOST_NODATA_WHERE_SCARCE):
            return _Look(classes=classes, frame=None)
        return _Look(classes=classes, frame=read_frame(granules, g10=sight.g10, g20=sight.g20, read_all=read_all))
    except AssetCorrupt:
        return None


def _date(candidate: Candidate, look: _Look | None, *, most_nodata: float) -> Date | None:
    """The date that a pass makes; None when too little of the tile was seen."""
    if look is None or look.frame is None or not _good_enough(look.classes, most_nodata):
        return None
    if not _good_enough(look.frame.classes, most_nodata):  # the bands may lack what the classification has
        return None
    return Date(candidate=candidate, frame=look.frame, shares=shares(look.frame.classes))


def _good_enough(classes: NDArray[np.uint8], most_nodata: float) -> bool:
    found = shares(classes)
    return found.nodata <= most_nodata and found.cloud + found.shadow <= MOST_CLOUD_AND_SHADOW


def _tile_data(
    task: TileTask,
    archive: Archive,
    views: Sequence[tuple[Group, CloudView]],
    dates: Sequence[Date],
    *,
    most_dates: int,
) -> TileData:
    names = [date.candidate.group.date.isoformat() for date in dates]
    specs = SPECS[Product.S2]
    cloud = np.stack([is_cloud(date.frame.classes) for date in dates]).astype(np.uint8)
    masks = tuple(Band(name=f"{name} cloud", unit="1", description=f"1 is cloud or cirrus, {name}") for name in names)
    layers = (
        Layer(
            name="s2_10m",
            spec=specs["s2_10m"],
            bands=tuple(band(name, one) for name in names for one in BANDS_10M),
            pixels=np.concatenate([date.frame.ten for date in dates]),
        ),
        Layer(
            name="s2_20m",
            spec=specs["s2_20m"],
            bands=tuple(band(name, one) for name in names for one in BANDS_20M),
            pixels=np.concatenate([date.frame.twenty for date in dates]),
        ),
        Layer(name="s2_cloudmask", spec=specs["s2_cloudmask"], bands=masks, pixels=cloud),
    )
    clouds = [np.where(has_data(view.classes), is_cloud(view.classes), np.nan) for _, view in views]
    sources = {granule.id: granule.scene for date in dates for granule in date.granules}
    return TileData(
        product=Product.S2,
        tile=task.tile,
        year=task.year,
        layers=layers,
        metrics=metrics_of(archive, views, dates, layers),
        flags=_flags(archive, views, dates),
        sources=tuple(sources[name] for name in sorted(sources)),
        parameters={"target_dates": TARGET, "most_dates": most_dates, "resampling": "nearest"},
        extras={
            "dates": np.array([date.candidate.day for date in dates], dtype=np.int64),
            "clouds": np.stack(clouds).astype(np.float32),
            "clearest": np.array(min(range(len(dates)), key=lambda n: dates[n].obscured)),
        },
        start=datetime(task.year, 1, 1, tzinfo=UTC),
        end=datetime(task.year, 12, 31, 23, 59, 59, tzinfo=UTC),
    )


def _flags(archive: Archive, views: Sequence[tuple[Group, CloudView]], dates: Sequence[Date]) -> frozenset[str]:
    flags = {
        "relaxed_clouds": any(date.candidate.relaxed for date in dates),
        "few_dates": len(dates) < USUAL_DATES,
        "offset_uncertain": any(offset.uncertain for date in dates for offset in date.frame.offsets.values()),
        "asset_corrupt": bool(archive.unreadable)
        or len(views) < len(archive.passes)
        or any(date.frame.skipped for date in dates),
    }
    return frozenset(name for name, raised in flags.items() if raised)
