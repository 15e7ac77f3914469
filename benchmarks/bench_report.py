"""The report of ``benchmarks.bench`` as Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ard.product import Product
from benchmarks.bench_need import Need

NAMES = {
    "fast": "our loader, FastReader",
    "rasterio": "our loader, RasterioReader",
    "windows": "FastReader, windows alone",
    "odc": "odc.stac.load, 16 threads",
    "stackstac": "stackstac, 16 threads",
}
OURS = "fast"
_RIVALS = ("odc", "stackstac")
_COLUMNS = (
    *("network", "method", "wall s", "CPU s", "import CPU s", "peak MB", "requests", "MB", "output MB"),
    *("Lambda MB", "GB-s", "$ per 1000 tiles"),
)
_TITLES = {Product.S2: "Sentinel-2", Product.S1: "Sentinel-1", Product.DEM: "DEM"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """The medians of a method's runs (of the peak: the most), and what they would cost on Lambda.

    Attributes:
        megabytes_per_second: Of the network; None is as fast as loopback is.
        import_cpu_seconds: Until everything was imported; not in ``cpu_seconds``.
        memory_megabytes: What a function needs: the peak and a quarter.
        gb_seconds: Of that function, whose share of a processor is its memory's of 1769 MB.
    """

    product: Product
    method: str
    megabytes_per_second: float | None
    wall_seconds: float
    cpu_seconds: float
    import_cpu_seconds: float
    peak_megabytes: float
    requests: int
    bytes: int
    output_bytes: int
    memory_megabytes: int
    gb_seconds: float
    usd: float


def report(rows: Sequence[Row], needs: Mapping[Product, Need], *, machine: str, day: str, repeats: int) -> str:
    """The whole page."""
    parts = [_HEAD.format(machine=machine, day=day, repeats=repeats)]
    parts += [
        _section(product, need, [row for row in rows if row.product is product]) for product, need in needs.items()
    ]
    return "\n".join([*parts, _LIMITS])


def _section(product: Product, need: Need, rows: Sequence[Row]) -> str:
    lines = [
        f"## {_TITLES[product]}",
        "",
        f"Need: {need.files} files, {need.requests} requests, {need.bytes / 1e6:.1f} MB.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{'---|' * len(_COLUMNS)}",
    ]
    lines += [_line(row) for row in rows]
    return "\n".join([*lines, "", *_ratios(need, rows), ""])


def _line(row: Row) -> str:
    cells = [
        _network(row.megabytes_per_second),
        NAMES[row.method],
        f"{row.wall_seconds:.2f}",
        f"{row.cpu_seconds:.2f}",
        f"{row.import_cpu_seconds:.2f}",
        f"{row.peak_megabytes:.0f}",
        str(row.requests),
        f"{row.bytes / 1e6:.1f}",
        f"{row.output_bytes / 1e6:.1f}",
        str(row.memory_megabytes),
        f"{row.gb_seconds:.2f}",
        f"{row.usd * 1000:.4f}",
    ]
    return f"| {' | '.join(cells)} |"


def _network(megabytes_per_second: float | None) -> str:
    return "30 ms" if megabytes_per_second is None else f"30 ms, {megabytes_per_second:.0f} MB/s"


def _ratios(need: Need, rows: Sequence[Row]) -> list[str]:
    """How ours compares with the best rival and with the need, on each network."""
    lines = []
    for network in dict.fromkeys(row.megabytes_per_second for row in rows):
        here = [row for row in rows if row.megabytes_per_second == network]
        ours = next(row for row in here if row.method == OURS)
        rivals = [row for row in here if row.method in _RIVALS]
        for name in (OURS, "windows"):
            one = next(row for row in here if row.method == name)
            wall = min(row.wall_seconds for row in rivals) / one.wall_seconds
            cpu = min(row.cpu_seconds for row in rivals) / one.cpu_seconds
            lines.append(
                f"* {_network(network)}, {NAMES[name]}: the best rival takes {wall:.1f} times the wall time and "
                f"{cpu:.1f} times the CPU time."
            )
        lines.append(
            f"* {_network(network)}: our loader makes {ours.requests / need.requests:.2f} of the needed requests and "
            f"moves {ours.bytes / need.bytes:.2f} of the needed bytes."
        )
    return lines


_HEAD = """# Benchmarks of the readers

Written by `make bench` on {day}: one tile of each product, medians of {repeats} runs, a fresh process for each, methods
taking turns. {machine}.

Files come from a local HTTP server with 30 ms to the first byte and 5 ms more for a new connection, unlimited or with
75 MB/s for all connections together. *Our loader* is all of it: search in memory, screening, choice of dates, masks,
composites and metrics. The others, and *windows alone*, only load the same bands of the same items, as our loader chose
them, onto the same grids. stackstac is measured where it is installed: it needs an older pandas than the project has.
Ours also open files whose items touch the tile's box but have no stored pixels there for Sentinel-2 (a header
each), which the others pass over.

*Need* is one request for every file's header and one for every run of neighbouring blocks that a window touches, all of
their bytes. Ours can stay below it: rows of a block below the window are not fetched, and a small overview comes with
its header. *Lambda MB* is the peak of memory and a quarter; *GB-s* is the wall time, or the CPU time at that function's
share of a processor (1 at 1769 MB) if that is longer, times the memory: a model, nothing that was measured on Lambda.
"""

_LIMITS = """## What this does not show

* Nothing ran on AWS: no TLS, no throttling, no tail of slow answers, no search, no cold start, no writing of outputs.
* The server and the measured process share the machine's cores. Where they are few, or busy with other work, walls
  tend towards CPU times; compare ratios within one run only.
* The scenes are the sandbox's: fewer than a real year has. Sentinel-2 bands have the real archive's blocks (1024) and
  about its entropy, by added noise; scene classes, Sentinel-1 and the DEM compress better than real ones.
* One tile, whose granules overlap in the ordinary way.
"""
