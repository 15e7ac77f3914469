"""A job's tasks for maps and data frames: a feature or a row for each tile, year and product, written as they come."""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ard.errors import InvalidInput
from ard.product import Product
from ard.rows import JobRow, TaskRow
from ard.tile import TILE_DEGREES, tile_key
from tracker.documents.make import moment
from tracker.report.facts import standing_of
from tracker.report.files import whole_file

_ROWS_AT_ONCE = 10_000
_DECIMALS = 7  # of a degree: a centimetre
_WKB_POLYGON = struct.Struct("<BIII10d")  # little endian, polygon, one ring of five points

_SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("tile", pa.string()),
        ("year", pa.int32()),
        ("product", pa.string()),
        ("state", pa.string()),
        ("standing", pa.string()),
        ("cause", pa.string()),
        ("message", pa.string()),
        ("attempts", pa.int32()),
        ("claims", pa.int32()),
        ("seconds", pa.float64()),
        ("gb_seconds", pa.float64()),
        ("region", pa.string()),
        ("updated_at", pa.string()),
        ("item", pa.string()),
        ("flags", pa.list_(pa.string())),
        ("quality", pa.string()),
        ("geometry", pa.binary()),
    ],
    # GeoParquet 1.1; without a reference system it is longitude and latitude on WGS84, as GeoJSON is.
    metadata={
        "geo": json.dumps(
            {
                "version": "1.1.0",
                "primary_column": "geometry",
                "columns": {
                    "geometry": {
                        "encoding": "WKB",
                        "geometry_types": ["Polygon"],
                        "orientation": "counterclockwise",
                    }
                },
            }
        )
    },
)

Ring = list[tuple[float, float]]


def write_parquet(
    job: JobRow, rows: Iterable[TaskRow], path: Path, *, now: float, regions: Mapping[Product, str]
) -> int:
    """Write GeoParquet, whole or not at all; the number of its rows. ``quality`` is JSON.

    Raises:
        InvalidInput: The file cannot be written.
    """
    written = 0
    try:
        with whole_file(path) as unfinished, pq.ParquetWriter(unfinished, _SCHEMA, compression="zstd") as writer:
            features = _parquet_rows(job, rows, now=now, regions=regions)
            while batch := list(islice(features, _ROWS_AT_ONCE)):
                writer.write_table(pa.Table.from_pylist(batch, schema=_SCHEMA))
                written += len(batch)
    except OSError as error:
        raise InvalidInput(f"expected a file that can be written at {str(path)!r}: {error}") from error
    return written


def geojson_lines(job: JobRow, rows: Iterable[TaskRow], *, now: float, regions: Mapping[Product, str]) -> Iterator[str]:
    """A FeatureCollection (RFC 7946), a feature a line."""
    yield '{"type": "FeatureCollection", "features": ['
    before = ""
    for row in rows:
        feature = {
            "type": "Feature",
            "id": row.task_id,
            "geometry": {"type": "Polygon", "coordinates": [_ring(row)]},
            "properties": {
                **_properties(job, row, now=now, regions=regions),
                "flags": list(row.flags),
                "quality": dict(row.digest),
            },
        }
        yield before + json.dumps(feature, allow_nan=False)
        before = ","
    yield "]}"


def _parquet_rows(
    job: JobRow, rows: Iterable[TaskRow], *, now: float, regions: Mapping[Product, str]
) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {
            "task": row.task_id,
            **_properties(job, row, now=now, regions=regions),
            "flags": list(row.flags),
            "quality": json.dumps(dict(row.digest), sort_keys=True, allow_nan=False),
            "geometry": _wkb(row),
        }


def _properties(job: JobRow, row: TaskRow, *, now: float, regions: Mapping[Product, str]) -> dict[str, Any]:
    return {
        "tile": tile_key(row.x_tile, row.y_tile),
        "year": row.year,
        "product": str(row.product),
        "state": str(row.state),
        "standing": standing_of(row, now=now).words,
        "cause": row.cause,
        "message": row.message,
        "attempts": len(row.attempts),
        "claims": row.fence,
        "seconds": row.seconds,
        "gb_seconds": row.gb_seconds,
        "region": regions.get(row.product, "unknown"),
        "updated_at": moment(row.updated_at),
        "item": None if row.item is None else f"{job.dest.rstrip('/')}/{row.item}",
    }


def _ring(row: TaskRow) -> Ring:
    """The outline of a tile, counterclockwise; never beyond the antimeridian, which no tile lies across."""
    west, east = (round(min(max(row.lon + side, -180.0), 180.0), _DECIMALS) for side in _SIDES)
    south, north = (round(min(max(row.lat + side, -90.0), 90.0), _DECIMALS) for side in _SIDES)
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


_SIDES = (-TILE_DEGREES / 2, TILE_DEGREES / 2)


def _wkb(row: TaskRow) -> bytes:
    return _WKB_POLYGON.pack(1, 3, 1, 5, *(degrees for corner in _ring(row) for degrees in corner))
