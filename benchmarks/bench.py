"""Reading side by side: ``python -m benchmarks.bench`` writes ``docs/benchmarks.md``.

Our loaders with the workers' reader and with rasterio, and other libraries that load the same windows, from a server
that is as far away as object storage. Every run is a process of its own; methods take turns.
"""

import argparse
import importlib.util
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from ard.cost import USD_PER_GB_SECOND
from ard.product import Product
from benchmarks.bench_data import make_archives, roughen
from benchmarks.bench_need import Need, files_of, need_of
from benchmarks.bench_report import Row, report

REPORT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
NETWORKS: tuple[float | None, ...] = (None, 75.0)  # MB/s that all connections share
FIRST_BYTE_MS, CONNECT_MS = 30, 5
METHODS = ("fast", "rasterio", "windows", "odc", "stackstac")
MEGABYTES_PER_CPU = 1769  # of a Lambda function
_SPARE = 1.25  # memory over the peak
_STEP_MEGABYTES = 64


@dataclass(frozen=True)
class _Served:
    """A running server."""

    port: int

    def counts(self) -> dict[str, int]:
        """What was asked since the last time."""
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", "/-/counts")
        counts: dict[str, int] = json.loads(connection.getresponse().read())
        connection.close()
        return counts


def main() -> None:
    """Measure, print as it goes, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ttc-bench")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--products", type=Product, nargs="+", default=[Product.S2, Product.S1, Product.DEM])
    parser.add_argument("--report", type=Path, default=REPORT)
    told = parser.parse_args()
    print(f"archives in {told.folder}", flush=True)
    make_archives(told.folder)
    plans = {product: told.folder / f"{product}-plan.json" for product in told.products}
    needs = _prepare(plans, told.folder)
    methods = [name for name in METHODS if name != "stackstac" or importlib.util.find_spec(name)]
    rows: list[Row] = []
    for megabytes in NETWORKS:
        with _serving(told.folder, megabytes) as served:
            for product, plan in plans.items():
                rows += _compare(product, methods, plan=plan, served=served, told=told, megabytes=megabytes)
    told.report.write_text(
        report(rows, needs, machine=_machine(), day=f"{datetime.now(UTC):%Y-%m-%d}", repeats=told.repeats)
    )
    print(f"written: {told.report}")


def _prepare(plans: dict[Product, Path], folder: Path) -> dict[Product, Need]:
    """The reads of each product, once its files are as they will be."""
    for product, plan in plans.items():
        with _serving(folder, None) as served:
            _run([product, "fast", "--record"], plan=plan, served=served, folder=folder)
        if product is Product.S2:
            bands = [file for file in files_of(plan, folder) if file.stem != "SCL"]
            roughen(folder / product, bands)
            with _serving(folder, None) as served:
                _run([product, "fast", "--record"], plan=plan, served=served, folder=folder)
    return {product: need_of(plan, folder) for product, plan in plans.items()}


def _compare(
    product: Product,
    methods: Sequence[str],
    *,
    plan: Path,
    served: _Served,
    told: argparse.Namespace,
    megabytes: float | None,
) -> Iterator[Row]:
    """The medians of each method; they take turns, so that what else the machine does falls on all."""
    runs: dict[str, list[dict[str, float]]] = {method: [] for method in methods}
    for _ in range(told.repeats):
        for method in methods:
            served.counts()
            figures = json.loads(_run([product, method], plan=plan, served=served, folder=told.folder))
            figures.pop("digest")
            counts = served.counts()
            runs[method].append(figures | {"requests": counts["requests"], "bytes": counts["bytes"]})
            print(product, method, megabytes, figures["wall_seconds"], figures["cpu_seconds"], flush=True)
    for method, found in runs.items():
        middle = {name: median(one[name] for one in found) for name in found[0]}
        peak = max(one["peak_megabytes"] for one in found)
        memory = math.ceil(peak * _SPARE / _STEP_MEGABYTES) * _STEP_MEGABYTES
        seconds = max(middle["wall_seconds"], middle["cpu_seconds"] * MEGABYTES_PER_CPU / memory)
        gb_seconds = seconds * memory / 1024
        yield Row(
            product=product,
            method=method,
            megabytes_per_second=megabytes,
            wall_seconds=middle["wall_seconds"],
            cpu_seconds=middle["cpu_seconds"],
            import_cpu_seconds=middle["import_cpu_seconds"],
            peak_megabytes=peak,
            requests=round(middle["requests"]),
            bytes=round(middle["bytes"]),
            output_bytes=round(middle["output_bytes"]),
            memory_megabytes=memory,
            gb_seconds=gb_seconds,
            usd=gb_seconds * USD_PER_GB_SECOND,
        )


def _run(arguments: Sequence[str], *, plan: Path, served: _Served, folder: Path) -> str:
    """What ``benchmarks.bench_run`` prints."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.bench_run", *arguments, "--folder", str(folder)]
    command += ["--base", f"http://127.0.0.1:{served.port}", "--plan", str(plan)]
    environment = os.environ | {"AWS_EC2_METADATA_DISABLED": "true", "AWS_DEFAULT_REGION": "us-west-2"}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout  # noqa: S603


@contextmanager
def _serving(folder: Path, megabytes: float | None) -> Iterator[_Served]:
    command = [sys.executable, "-m", "benchmarks.bench_server", str(folder)]
    command += ["--first-byte-ms", str(FIRST_BYTE_MS), "--connect-ms", str(CONNECT_MS)]
    command += ["--megabytes-per-second", str(megabytes)] if megabytes else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        try:
            line = server.stdout.readline() if server.stdout else ""
            yield _Served(port=int(line))
        finally:
            server.kill()


def _machine() -> str:
    names = Path("/proc/cpuinfo")
    model = next(
        (line.partition(":")[2].strip() for line in names.read_text().splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    python = f"{platform.system()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {model}; {python}; load {load} at the end"


if __name__ == "__main__":
    main()
