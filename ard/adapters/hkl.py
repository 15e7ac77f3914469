"""The legacy hickle layout that the model's prediction step reads; its scaling and clipping live here alone."""

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any

import h5py
import hickle
import numpy as np
from numpy.typing import NDArray

from ard.keys import legacy_key
from ard.product import Product, TileData


def hkl_files(data: TileData) -> Iterator[tuple[str, str, bytes]]:
    """The product's hickle files (a bare array each, gzip, hickle 5): asset name, object key, content."""
    for kind, array in _LAYOUTS[data.product](data).items():
        name = "hkl_" + kind.strip("/_").replace("/", "_")
        yield name, legacy_key(data.year, data.tile, kind=kind), _hickle(array)


def _hickle(array: NDArray[Any]) -> bytes:
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        hickle.dump(np.ascontiguousarray(array), file, compression="gzip")
    return buffer.getvalue()


def _dem_arrays(data: TileData) -> dict[str, NDArray[Any]]:
    """``dem``: slope (not elevation) in degrees, ``(y, x)`` float32, no nodata."""
    return {"misc/dem_": data.layer("dem").pixels[1]}


_LAYOUTS: Mapping[Product, Callable[[TileData], dict[str, NDArray[Any]]]] = {Product.DEM: _dem_arrays}
