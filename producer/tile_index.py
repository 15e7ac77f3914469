"""The tile index: where each tile of the TTC grid lies, looked up by its two ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ard.errors import InvalidInput

ID_LIMIT = 1_000_000  # ids have at most six digits, as in a tile's name and in the message contract
COLUMNS: Mapping[str, str] = MappingProxyType({"X_tile": "int64", "Y_tile": "int64", "X": "double", "Y": "double"})


@dataclass(frozen=True, slots=True, eq=False)
class TileIndex:
    """The centres of all tiles; made by ``open`` or ``from_columns``, which see to its order.

    Attributes:
        keys: ``(tile,)``, ``y_tile * ID_LIMIT + x_tile``, strictly ascending.
        lon: ``(tile,)`` longitudes of the centres, degrees.
        lat: ``(tile,)`` latitudes of the centres, degrees.
    """

    keys: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]

    @classmethod
    def open(cls, path: str | Path, *, content: bytes | None = None) -> Self:
        """The index in a Parquet file with the columns ``X_tile, Y_tile`` (int64), ``X, Y`` (double, degrees).

        Args:
            path: Where it is.
            content: What is there, when it has been read already.

        Raises:
            InvalidInput: The file is missing, not Parquet, lacks a column or holds what ``from_columns`` refuses.
        """
        name = str(path)
        try:
            columns = _read_columns(path if content is None else pa.BufferReader(content))
            return cls.from_columns(
                x_tile=columns["X_tile"], y_tile=columns["Y_tile"], lon=columns["X"], lat=columns["Y"]
            )
        except (OSError, pa.ArrowException) as error:
            raise InvalidInput(f"expected a tile index in Parquet at {name!r}, found: {error}") from error
        except InvalidInput as error:
            raise InvalidInput(f"tile index {name!r}: {error}") from error

    @classmethod
    def from_columns(
        cls,
        *,
        x_tile: NDArray[np.int64],
        y_tile: NDArray[np.int64],
        lon: NDArray[np.float64],
        lat: NDArray[np.float64],
    ) -> Self:
        """The index of tiles in any order, from ``(tile,)`` columns of ids and centres in degrees.

        Raises:
            InvalidInput: There is no tile, an id is not in 0..999999, a tile is there twice, or a centre is
                not within 180 degrees of longitude and 72 of latitude.
        """
        if not len(x_tile):
            raise InvalidInput("expected at least one tile, found none")
        for name, ids in (("X_tile", x_tile), ("Y_tile", y_tile)):
            _expect(name, ids, low=0, high=ID_LIMIT - 1)
        _expect("X", lon, low=-180, high=180)
        _expect("Y", lat, low=-72, high=72)  # as in the message contract
        keys = y_tile * ID_LIMIT + x_tile
        steps = np.diff(keys)
        if (steps < 0).any():
            order = np.argsort(keys, kind="stable")
            keys, lon, lat = keys[order], lon[order], lat[order]
            steps = np.diff(keys)
        if not steps.all():
            y, x = divmod(int(keys[int(np.argmin(steps))]), ID_LIMIT)
            raise InvalidInput(f"expected every tile once, found {x}X{y}Y more than once")
        return cls(keys, lon, lat)

    def __len__(self) -> int:
        return len(self.keys)

    def ids(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The ids x and y of the tiles in these rows, ``(tile,)`` each."""
        y_tile, x_tile = np.divmod(self.keys[rows], ID_LIMIT)
        return x_tile, y_tile

    def lookup(
        self, x_tiles: NDArray[np.int64], y_tiles: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes of the tiles' centres, ``(tile,)`` float64 degrees; NaN where there is no such tile.

        Any int64 is allowed as an id.
        """
        possible = (x_tiles >= 0) & (x_tiles < ID_LIMIT) & (y_tiles >= 0) & (y_tiles < ID_LIMIT)
        wanted = np.where(possible, y_tiles, 0) * ID_LIMIT + np.where(possible, x_tiles, 0)
        rows = np.searchsorted(self.keys, wanted)
        np.minimum(rows, len(self.keys) - 1, out=rows)
        known = possible & (self.keys[rows] == wanted)
        return np.where(known, self.lon[rows], np.nan), np.where(known, self.lat[rows], np.nan)


def _read_columns(path: str | Path | pa.BufferReader) -> dict[str, NDArray[Any]]:
    with pq.ParquetFile(path) as file:
        types = {field.name: str(field.type) for field in file.schema_arrow}
        wrong = [f"{name} {kind}" for name, kind in COLUMNS.items() if types.get(name) != kind]
        if wrong:
            raise InvalidInput(f"expected the columns {', '.join(wrong)}, found {types}")
        if not file.metadata.num_rows:
            raise InvalidInput("expected at least one tile, found none")
        # One column after the other and through DLPack: no second copy, and no pandas, which to_numpy imports.
        columns: dict[str, NDArray[Any]] = {}
        for name in COLUMNS:
            column = file.read(columns=[name]).column(0)
            if column.null_count:
                raise InvalidInput(f"expected no nulls in {name}, found {column.null_count}")
            columns[name] = np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks])
        return columns


def _expect(name: str, values: NDArray[Any], *, low: float, high: float) -> None:
    # NaN fails either comparison and is so refused too.
    smallest, largest = values.min(), values.max()
    if not (smallest >= low and largest <= high):
        raise InvalidInput(f"expected {name} in {low}..{high}, found {smallest}..{largest}")
