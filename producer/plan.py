"""A job's plan: what it makes, its identity, and the Parquet file in which every later step reads it."""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ard.errors import InvalidInput
from ard.product import Product
from producer.request import TileRequest
from producer.tile_index import ID_LIMIT

CHUNK_TILES = 1_000
DIGEST_CHARACTERS = 10
SLUG_CHARACTERS = 60

_IDENTITY_VERSION = 1  # grows when what makes two requests the same changes
_SCHEMA = pa.schema(
    [
        pa.field("year", pa.int64(), nullable=False),
        pa.field("x_tile", pa.int64(), nullable=False),
        pa.field("y_tile", pa.int64(), nullable=False),
        pa.field("product", pa.string(), nullable=False),
        pa.field("lon", pa.float64(), nullable=False),
        pa.field("lat", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Every tile of a request with every product; made by ``plan_of``.

    Attributes:
        request: The tiles and options, complete: with its dest and products.
        products: Sorted.
        dest: Where outputs go.
        digest: SHA-256 of the content, hexadecimal: the same content is the same job.
        job_id: The name of the job, unless the same content is a job under another label already.
    """

    request: TileRequest
    products: tuple[Product, ...]
    dest: str
    digest: str
    job_id: str

    @property
    def totals(self) -> Mapping[Product, int]:
        """How many tasks there are per product."""
        return dict.fromkeys(self.products, len(self.request))

    @property
    def chunks(self) -> int:
        """How many chunks of tiles there are."""
        return -(-len(self.request) // CHUNK_TILES)


class PlannedTask(NamedTuple):
    """One row of a plan; longitude and latitude of the tile's centre in degrees."""

    year: int
    x_tile: int
    y_tile: int
    product: Product
    lon: float
    lat: float


def plan_of(request: TileRequest) -> Plan:
    """The plan of a request whose options are complete.

    Raises:
        InvalidInput: It has no tile, no dest or no products.
    """
    options = request.options
    if not len(request) or options.dest is None or options.products is None:
        raise InvalidInput(
            f"expected tiles, a dest and products, found {len(request):,} tiles, {options.dest} and {options.products}"
        )
    digest = _digest(request, options.products, options.dest)
    job_id = f"{_slug(request)}-{digest[:DIGEST_CHARACTERS]}"
    return Plan(request=request, products=options.products, dest=options.dest, digest=digest, job_id=job_id)


def plan_bytes(plan: Plan) -> bytes:
    """The plan as Parquet, sorted by year, x, y and product; one row group per chunk. Equal plans are equal bytes."""
    out = io.BytesIO()
    with pq.ParquetWriter(
        out,
        _SCHEMA,
        compression="zstd",
        use_dictionary=["year", "product"],
        # Neighbours differ by little: a million tiles take 2 MB if they lie together, 11 MB if they are scattered.
        column_encoding={
            "x_tile": "DELTA_BINARY_PACKED",
            "y_tile": "DELTA_BINARY_PACKED",
            "lon": "BYTE_STREAM_SPLIT",
            "lat": "BYTE_STREAM_SPLIT",
        },
    ) as writer:
        for number in range(plan.chunks):
            table = _chunk_table(plan, number)
            writer.write_table(table, row_group_size=table.num_rows)
    return out.getvalue()


def read_chunk(content: bytes, number: int) -> list[PlannedTask]:
    """The tasks of one chunk of a plan.

    Raises:
        InvalidInput: The content is not a plan, or has no such chunk.
    """
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            if not 0 <= number < file.num_row_groups:
                raise InvalidInput(f"expected a chunk in 0..{file.num_row_groups - 1}, found {number}")
            columns = file.read_row_group(number, columns=_SCHEMA.names).to_pydict()
    except pa.ArrowException as error:
        raise InvalidInput(f"expected a plan in Parquet, found: {error}") from error
    rows = zip(*(columns[name] for name in PlannedTask._fields), strict=True)
    return [PlannedTask(year, x, y, Product(product), lon, lat) for year, x, y, product, lon, lat in rows]


def _digest(request: TileRequest, products: tuple[Product, ...], dest: str) -> str:
    options = request.options
    header = {
        "version": _IDENTITY_VERSION,
        "tiles": len(request),
        "products": sorted(products),
        "dest": dest,
        "formats": sorted(options.formats),
        "overwrite": options.overwrite,
        "rerun": options.rerun or 1,
    }
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    for ids in (request.year, request.x_tile, request.y_tile):
        digest.update(np.ascontiguousarray(ids, dtype="<i8").data)
    for degrees in (request.lon, request.lat):
        digest.update(np.ascontiguousarray(degrees, dtype="<f8").data)
    return digest.hexdigest()


def _slug(request: TileRequest) -> str:
    label = request.options.label
    if label is not None:
        return re.sub("[^a-z0-9]+", "-", label.lower())[:SLUG_CHARACTERS].strip("-")
    first, last = int(request.year[0]), int(request.year[-1])
    years = f"{first}" if first == last else f"{first}-{last}"
    tiles = len(np.unique(request.x_tile * ID_LIMIT + request.y_tile))
    return f"{years}-{tiles}t"


def _chunk_table(plan: Plan, number: int) -> pa.Table:
    request, repeat = plan.request, len(plan.products)
    part = slice(number * CHUNK_TILES, (number + 1) * CHUNK_TILES)
    tiles = len(request.year[part])
    ids = [_column(column[part], repeat, pa.int64()) for column in (request.year, request.x_tile, request.y_tile)]
    product = pa.array([str(product) for product in plan.products] * tiles, type=pa.string())
    degrees = [_column(column[part], repeat, pa.float64()) for column in (request.lon, request.lat)]
    return pa.table([*ids, product, *degrees], schema=_SCHEMA)


def _column(values: NDArray[Any], repeat: int, kind: Any) -> Any:
    # From the buffer: pyarrow's own way from numpy imports pandas where that is installed.
    repeated = np.repeat(values, repeat)
    return pa.Array.from_buffers(kind, len(repeated), [None, pa.py_buffer(repeated)])
