"""One load in a process of its own: ``python -m benchmarks.bench_run`` prints its figures, or notes its reads."""

import argparse
import hashlib
import importlib
import json
import resource
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ard.adapters.gdal import read_options
from ard.adapters.reader import RasterioReader
from ard.grid import Bounds
from ard.ports import Catalog, Reader
from ard.product import Product, TileData
from ard.scene import Raster
from ard.settings import AwsSettings
from benchmarks.bench_data import Items, task

_NO_AWS = AwsSettings(endpoint_url=None)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a load took, what of it came out, and what the process had taken when it began."""

    wall_seconds: float
    cpu_seconds: float
    import_cpu_seconds: float
    peak_megabytes: float
    output_bytes: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Read:
    """A call of ``Reader.window``; in a plan, ``href`` is without the server."""

    href: str
    bounds: tuple[float, ...]
    margin: int
    pixel_size: float | None
    overviews: bool


class Recorder:
    """A reader that notes what another one is asked."""

    def __init__(self, reader: Reader) -> None:
        self.reads: list[Read] = []
        self._reader, self._lock = reader, threading.Lock()

    def window(
        self, href: str, bounds: Bounds, *, margin: int = 0, pixel_size: float | None = None, overviews: bool = True
    ) -> Raster:
        """See ``ard.ports.Reader``."""
        read = Read(href=href, bounds=tuple(bounds), margin=margin, pixel_size=pixel_size, overviews=overviews)
        with self._lock:
            self.reads.append(read)
        return self._reader.window(href, bounds, margin=margin, pixel_size=pixel_size, overviews=overviews)


def reader_of(method: str) -> Reader:
    """The reader that a method of ours is named for."""
    slow = RasterioReader(read_options(_NO_AWS))
    if method == "rasterio":
        return slow
    from ard.adapters.byte_ranges import ByteRanges  # noqa: PLC0415
    from ard.adapters.fast_reader import FastReader  # noqa: PLC0415

    return FastReader(ByteRanges(_NO_AWS, sleep=time.sleep), otherwise=slow, clock=time.monotonic)


def load_ours(product: Product, catalog: Catalog, reader: Reader) -> TileData:
    """The product, whole."""
    load: Callable[[Any, Catalog, Reader], TileData] = getattr(
        importlib.import_module(f"loaders.{product}"), f"load_{product}"
    )
    return load(task(product), catalog, reader)


def _arrays(product: Product, method: str, items: Items, *, plan: Path, base: str) -> Callable[[], list[NDArray[Any]]]:
    """What is timed, with everything imported that it needs."""
    loading: Callable[[], list[NDArray[Any]]]
    if method in {"fast", "rasterio"}:
        importlib.import_module(f"loaders.{product}")
        reader = reader_of(method)
        return lambda: [layer.pixels for layer in load_ours(product, items, reader).layers]
    if method == "windows":
        windows = importlib.import_module("benchmarks.bench_windows")
        loading = windows.loading(product, reader_of(method), plan, base=base)
    else:
        rivals = importlib.import_module("benchmarks.bench_rivals")
        loading = rivals.loading(method, product, items, plan)
    return loading


def _digest(arrays: list[NDArray[Any]]) -> str:
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes())
    return content.hexdigest()[:12]


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Load once and print the figures; or, with ``--record``, write down the reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("product", type=Product)
    parser.add_argument("method")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--record", action="store_true")
    told = parser.parse_args()
    items = Items.of(told.product, told.folder, base=told.base)
    if told.record:
        recorder = Recorder(reader_of("fast"))
        sources = [scene.id for scene in load_ours(told.product, items, recorder).sources]
        reads = [asdict(replace(read, href=read.href.removeprefix(told.base))) for read in recorder.reads]
        told.plan.write_text(json.dumps({"sources": sources, "reads": reads}))
        return
    load = _arrays(told.product, told.method, items, plan=told.plan, base=told.base)
    before, began = _cpu_seconds(), time.perf_counter()
    arrays = load()
    run = Run(
        wall_seconds=time.perf_counter() - began,
        cpu_seconds=_cpu_seconds() - before,
        import_cpu_seconds=before,
        peak_megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        output_bytes=sum(array.nbytes for array in arrays),
        digest=_digest(arrays),
    )
    print(json.dumps(asdict(run)))


if __name__ == "__main__":
    main()
