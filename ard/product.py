"""The products: what each layer must look like, and the frozen value that a loader hands over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from ard.errors import InvalidProduct
from ard.grid import Grid
from ard.scene import Scene
from ard.tile import Metres, Tile


class Product(StrEnum):
    """A product of the pipeline; the value is its name in keys, queues and messages."""

    DEM = "dem"
    S1 = "s1"
    S2 = "s2"


class Format(StrEnum):
    """An output format: cloud-optimised GeoTIFF (always with a STAC item) or legacy hickle files."""

    COG = "cog"
    HKL = "hkl"


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a layer; ``unit`` is a UCUM-like symbol, '1' when dimensionless."""

    name: str
    unit: str
    description: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """The contract of one layer: grid, dtype, nodata and the closed range of its valid values."""

    metres: Metres
    dtype: Literal["float32", "uint16", "uint8"]
    nodata: float | None
    minimum: float
    maximum: float
    overviews: Literal["average", "nearest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Bands on one grid: ``pixels (band, y, x)``, of the dtype and nodata that ``spec`` names."""

    name: str
    spec: LayerSpec
    bands: tuple[Band, ...]
    pixels: NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TileData:
    """One product of one tile and year, whole and in memory, ready to be checked and written.

    Attributes:
        layers: What the product consists of, in the order of ``SPECS``.
        metrics: Quality metrics for the STAC item: JSON values, fractions in 0..1.
        flags: Names of degradations of the input; empty when all is well.
        sources: Every catalogue item that pixels were taken from.
        parameters: The choices that made the product, for its provenance.
        extras: Arrays that only the legacy layout holds, by name.
    """

    product: Product
    tile: Tile
    year: int
    layers: tuple[Layer, ...]
    metrics: Mapping[str, JsonValue]
    flags: frozenset[str] = frozenset()
    sources: tuple[Scene, ...] = ()
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    start: datetime
    end: datetime

    def layer(self, name: str) -> Layer:
        """The layer of that name."""
        return next(layer for layer in self.layers if layer.name == name)

    def grid(self, layer: Layer) -> Grid:
        """The tile's grid that a layer lies on."""
        return self.tile.grid(layer.spec.metres)


# The Dead Sea shore lies at -430 m and Everest at 8849 m; the model's range is wider, to hold radar noise.
DEM_LAYER = LayerSpec(metres=10, dtype="float32", nodata=None, minimum=-600, maximum=9000, overviews="average")

# Linear power of backscatter (gamma nought). Land lies in 0.001..1; a corner reflector may reach 30 dB, 1000.
S1_LAYER = LayerSpec(metres=40, dtype="float32", nodata=float("nan"), minimum=0, maximum=1000, overviews="average")

# Surface reflectance times 10,000 with the processing offset taken out; 0 is nodata, so dark pixels are at least 1.
S2_10M_LAYER = LayerSpec(metres=10, dtype="uint16", nodata=0, minimum=1, maximum=65_535, overviews="average")
S2_20M_LAYER = LayerSpec(metres=20, dtype="uint16", nodata=0, minimum=1, maximum=65_535, overviews="average")
S2_CLOUDMASK_LAYER = LayerSpec(metres=20, dtype="uint8", nodata=None, minimum=0, maximum=1, overviews="nearest")

SPECS: Mapping[Product, Mapping[str, LayerSpec]] = MappingProxyType(
    {
        Product.DEM: MappingProxyType({"dem": DEM_LAYER}),
        Product.S1: MappingProxyType({"s1": S1_LAYER}),
        Product.S2: MappingProxyType(
            {"s2_10m": S2_10M_LAYER, "s2_20m": S2_20M_LAYER, "s2_cloudmask": S2_CLOUDMASK_LAYER}
        ),
    },
)


def check(data: TileData) -> None:
    """Pass a product that keeps its contract.

    Raises:
        InvalidProduct: A layer is missing or unexpected, off its grid, of another dtype or out of range,
            without any valid pixel, or has names that do not match its bands.
    """
    expected = SPECS[data.product]
    names = [layer.name for layer in data.layers]
    if names != list(expected):
        raise InvalidProduct(f"{data.product} of {data.tile.key}: expected layers {list(expected)}, found {names}")
    for layer in data.layers:
        _check_layer(layer, data)


def _check_layer(layer: Layer, data: TileData) -> None:
    where = f"{data.product} of {data.tile.key}, layer {layer.name}"
    spec = layer.spec
    if spec != SPECS[data.product][layer.name]:
        raise InvalidProduct(f"{where}: not made to the specification of its product")
    shape = (len(layer.bands), *data.grid(layer).shape)
    if layer.pixels.shape != shape or not layer.bands:
        raise InvalidProduct(f"{where}: expected (band, y, x) = {shape}, found {layer.pixels.shape}")
    if layer.pixels.dtype != np.dtype(spec.dtype):
        raise InvalidProduct(f"{where}: expected {spec.dtype}, found {layer.pixels.dtype}")
    if len({band.name for band in layer.bands}) != len(layer.bands):
        raise InvalidProduct(f"{where}: band names repeat")
    valid = layer.pixels[valid_mask(layer)]
    if not valid.size:
        raise InvalidProduct(f"{where}: no valid pixel")
    low, high = valid.min(), valid.max()
    if not (np.isfinite(low) and np.isfinite(high) and spec.minimum <= low and high <= spec.maximum):
        raise InvalidProduct(f"{where}: values {low}..{high} outside {spec.minimum}..{spec.maximum}")


def valid_mask(layer: Layer) -> NDArray[np.bool_]:
    """True where a pixel holds data, ``(band, y, x)``."""
    if layer.spec.nodata is None:
        return np.ones(layer.pixels.shape, dtype=np.bool_)
    if np.isnan(layer.spec.nodata):
        return np.asarray(~np.isnan(layer.pixels), dtype=np.bool_)
    return np.asarray(layer.pixels != layer.spec.nodata, dtype=np.bool_)
