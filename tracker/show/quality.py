"""Quality metrics, for people and for programs."""

import csv
import io
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType

from ard.adapters.console import plain
from ard.product import Product
from ard.tile import tile_key
from tracker.documents.make import Document, dumped
from tracker.documents.shapes import MetricShape, QualityDocument, TileQualityShape
from tracker.quality import Quality, TileQuality, Where
from tracker.show.common import grid, words

_LISTED = 20  # tiles: --csv and --json have all


def quality_view(quality: Quality, job_id: str, *, where: Sequence[Where]) -> Group:
    """How each metric is spread, then the tiles to look at."""
    table = grid(["Product", "Metric"], ["Tiles", "Min", "p5", "Median", "p95", "Max"])
    for one in quality.metrics:
        numbers = [f"{value:.4g}" for value in (one.minimum, one.p5, one.p50, one.p95, one.maximum)]
        table.add_row(str(one.product), words(one.metric), f"{one.tiles:,}", *numbers)
    flags = [
        f"{product} {flag} {count:,}" for product, counted in quality.flags.items() for flag, count in counted.items()
    ]
    heading = "Tiles where " + " and ".join(map(str, where)) if where else "Tiles with flags or beyond a threshold"
    parts: list[RenderableType] = [table, words(f"Flags: {', '.join(flags) or 'none'}")]
    parts.append(words(f"{heading}: {len(quality.tiles):,} of {quality.tasks:,}"))
    return Group(*parts, *_tiles(quality.tiles, job_id))


def quality_document(
    quality: Quality, job_id: str, *, products: Sequence[Product], where: Sequence[Where], odd_rows: int
) -> Document:
    """The same as JSON, with every tile of the list."""
    return dumped(
        QualityDocument(
            job=job_id,
            products=list(products),
            where=[str(one) for one in where],
            tasks=quality.tasks,
            matched=len(quality.tiles),
            metrics=[
                MetricShape(
                    product=one.product,
                    metric=one.metric,
                    tiles=one.tiles,
                    minimum=one.minimum,
                    p5=one.p5,
                    p50=one.p50,
                    p95=one.p95,
                    maximum=one.maximum,
                )
                for one in quality.metrics
            ],
            flags={product: dict(counted) for product, counted in quality.flags.items()},
            tiles=[_tile(one) for one in quality.tiles],
            odd_rows=odd_rows,
        )
    )


def quality_csv(quality: Quality) -> str:
    """The tiles of the list, a row each: names, flags, reasons, then a column per metric."""
    names = sorted({name for one in quality.tiles for name in one.row.digest})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["product", "year", "tile", "flags", "reasons", *map(plain, names)])
    for one in quality.tiles:
        row = one.row
        cells = ["" if row.digest.get(name) is None else plain(str(row.digest[name])) for name in names]
        tile = tile_key(row.x_tile, row.y_tile)
        told = plain(" ".join(row.flags)), plain("; ".join(one.reasons))
        writer.writerow([row.product, row.year, tile, *told, *cells])
    return text.getvalue()


def _tiles(tiles: Sequence[TileQuality], job_id: str) -> Iterator[RenderableType]:
    if not tiles:
        return
    table = grid(["Product", "Year", "Tile"], [], ["Why"])
    for one in tiles[:_LISTED]:
        row = one.row
        why = words(", ".join(one.reasons))
        table.add_row(str(row.product), str(row.year), tile_key(row.x_tile, row.y_tile), why)
    yield table
    if len(tiles) > _LISTED:
        yield words(f"and {len(tiles) - _LISTED:,} more: --csv")
    first = tiles[0].row
    tile = tile_key(first.x_tile, first.y_tile)
    yield words(f"next: tracker tile {tile} --year {first.year} --job {job_id} --explain")


def _tile(one: TileQuality) -> TileQualityShape:
    row = one.row
    return TileQualityShape(
        product=row.product,
        year=row.year,
        tile=tile_key(row.x_tile, row.y_tile),
        flags=list(row.flags),
        reasons=list(one.reasons),
        metrics=dict(row.digest),
    )
