"""The demonstration: a request becomes tiles, from generated scenes, through the same programs that run on AWS."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ard.adapters.store import Store
from ard.keys import resolve_href
from ard.product import Product
from ard.settings import AwsSettings
from ard.task import TileTask
from ard.tile import Tile
from sandbox.catalogue import serve_catalogue
from sandbox.scenes import write_dem_scenes
from sandbox.tiles import demo_tiles, index_tiles, write_index

YEAR = 2023
JOB = "demo"


def run_demo(folder: Path) -> int:
    """Make every demo tile; 0 when all of them were made."""
    console, started, tiles = Console(), time.monotonic(), demo_tiles()
    folder.mkdir(parents=True, exist_ok=True)
    console.print(f"[bold]1. Scenes[/] around {tiles[0].lon:.2f}, {tiles[0].lat:.2f} (kept in {folder / 'scenes'})")
    items = write_dem_scenes(folder / "scenes", index_tiles())
    console.print("[bold]2. Request[/] for", len(tiles), "tiles, checked against the tile index")
    tasks = _tasks(_tiles_csv(folder, tiles), dest=folder / "out")
    console.print("[bold]3. Tiles[/]")
    with serve_catalogue(items) as url:
        answers = _make(tasks, stac_url=url)
    _show(console, answers, folder / "out")
    failed = [answer for answer in answers if "item" not in answer]
    console.print(f"{len(answers) - len(failed)} of {len(tasks)} tiles made in {time.monotonic() - started:.0f} s")
    return 0 if len(answers) == len(tasks) and not failed else 1


def _tiles_csv(folder: Path, tiles: Sequence[Tile]) -> str:
    """The request as a file, through ``producer tiles``."""
    index, request = folder / "tiles.parquet", folder / "request.json"
    write_index(index)
    request.write_text(json.dumps({"demo": {str(YEAR): {"missing_tiles": [tile.key for tile in tiles]}}}, indent=1))
    producer = Path(sys.executable).with_name("producer")
    command = [str(producer), "tiles", str(request), "--parquet", str(index)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _tasks(csv: str, dest: Path) -> list[TileTask]:
    rows = [line.split(",") for line in csv.splitlines()[1:]]
    return [
        TileTask(
            job_id=JOB,
            product=Product.DEM,
            year=int(year),
            x_tile=int(x),
            y_tile=int(y),
            lon=float(lon),
            lat=float(lat),
            dest=str(dest),
        )
        for year, lon, lat, y, x in rows
    ]


def _make(tasks: Iterable[TileTask], *, stac_url: str) -> list[Mapping[str, object]]:
    """One answer per task, as the worker gives them."""
    worker = subprocess.run(
        [sys.executable, "-m", "consumers"],
        input="\n".join(task.model_dump_json() for task in tasks),
        env={**os.environ, "TTC_STAC_URL": stac_url},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return [json.loads(line) for line in worker.stdout.splitlines()]


def _show(console: Console, answers: Sequence[Mapping[str, object]], dest: Path) -> None:
    table = Table("task", "result", "flags", "slope p95")
    store = Store.open(str(dest), aws=AwsSettings())
    picture = None
    for answer in answers:
        if "item" not in answer:
            table.add_row(str(answer["task"]), f"[red]{answer['cause']}[/]", "", str(answer["message"]))
            continue
        item = json.loads(store.get(str(answer["item"])) or b"{}")
        properties = item["properties"]
        picture = picture or dest / resolve_href(str(answer["item"]), item["assets"]["thumbnail"]["href"])
        flags, slope = ", ".join(properties["ttc:flags"]), properties["ttc:metrics"]["slope_p95"]
        table.add_row(str(answer["task"]), "made", flags, f"{slope:.1f}\N{DEGREE SIGN}")
    console.print(table)
    console.print("Outputs:", str(dest))
    console.print("A picture of the first tile:", str(picture))
