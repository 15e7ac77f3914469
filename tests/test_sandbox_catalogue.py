"""The sandbox's STAC API, asked with the client that the pipeline uses."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pystac_client import Client

from ard.errors import Unavailable
from sandbox.catalogue import serve_catalogue

DEM = ("cop-dem-glo-30", "cop-dem-glo-90")


def make_item(name: str, *, collection: str, west: float, south: float) -> dict:
    east, north = west + 1, south + 1
    ring = [[east, south], [east, north], [west, north], [west, south], [east, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, south, east, north],
        "properties": {"datetime": "2021-04-22T00:00:00Z"},
        "links": [{"rel": "self", "type": "application/geo+json", "href": f"/scenes/{name}.json"}],
        "assets": {"data": {"href": f"/scenes/{name}.tif"}},
    }


def write_items(path: Path, items: list[dict]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return path


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> Path:
    fine, coarse = DEM
    return write_items(
        tmp_path_factory.mktemp("items") / "items.json",
        [
            make_item("south-west", collection=fine, west=-55.0001, south=-5.9999),
            make_item("north-west", collection=fine, west=-55.0001, south=-4.9999),
            make_item("south-east", collection=coarse, west=-54.0004, south=-5.9996),
            *(make_item(f"far-{index}", collection=fine, west=10.0 + index, south=0) for index in range(25)),
        ],
    )


@pytest.fixture(scope="module")
def catalogue(items) -> Iterator[str]:
    with serve_catalogue(items) as url:
        yield url


def search(url: str, **arguments) -> list[str]:
    return sorted(item.id for item in Client.open(url).search(**arguments).items())


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def test_box_at_the_corner_of_four_cells_finds_the_cells_of_each_collection(catalogue):
    corner = (-54.003, -5.003, -53.997, -4.997)

    assert [search(catalogue, collections=[name], bbox=corner) for name in DEM] == [
        ["north-west", "south-west"],
        ["south-east"],
    ]


@pytest.mark.parametrize("collection", [*DEM, "never-heard-of"])
def test_box_without_items_finds_none(catalogue, collection):
    assert search(catalogue, collections=[collection], bbox=(-53.94, -4.94, -53.89, -4.89)) == []


@pytest.mark.parametrize("limit", [1, 7, 100, None])
def test_paging_brings_every_item_once(catalogue, limit):
    found = search(catalogue, collections=[DEM[0]], bbox=(9, 0.1, 36, 0.9), limit=limit)

    assert found == sorted(f"far-{index}" for index in range(25))


def test_catalogue_lists_both_collections(catalogue):
    assert sorted(collection.id for collection in Client.open(catalogue).get_collections()) == list(DEM)


def test_item_keeps_its_own_address_and_that_of_its_asset(catalogue):
    (item,) = Client.open(catalogue).search(ids=["south-east"]).items()

    assert item.get_self_href() == "/scenes/south-east.json"
    assert item.assets["data"].href == "/scenes/south-east.tif"


def test_several_files_make_one_catalogue(items, tmp_path):
    other = write_items(tmp_path / "other.json", [make_item("other", collection="other", west=0, south=0)])

    with serve_catalogue(items, other) as url:
        assert search(url, collections=["other", "cop-dem-glo-90"]) == ["other", "south-east"]


def test_catalogue_of_no_items_answers_with_none(tmp_path):
    with serve_catalogue(write_items(tmp_path / "items.json", [])) as url:
        assert search(url, collections=[DEM[0]]) == []


def test_nothing_listens_once_the_context_has_ended(items):
    with serve_catalogue(items) as url:
        pass

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(url)), timeout=5).close()


def test_process_is_ended_and_reaped_when_the_work_inside_fails(items):
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from sandbox.catalogue import serve_catalogue\n"
        "try:\n"
        "    with serve_catalogue(Path(sys.argv[1])):\n"
        "        raise KeyError\n"
        "except KeyError:\n"
        "    pass\n"
        "try:\n"
        "    os.waitpid(-1, os.WNOHANG)\n"
        "except ChildProcessError:\n"
        "    print('no child')\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, items],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )

    assert done.stdout == "no child\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a process with its parent")
def test_catalogue_dies_with_a_parent_that_is_killed(items):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from sandbox.catalogue import serve_catalogue\n"
        "with serve_catalogue(Path(sys.argv[1])) as url:\n"
        "    print(url, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, items],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as parent:
        url = parent.stdout.readline().strip()
        with socket.create_connection(("127.0.0.1", port_of(url)), timeout=10) as connection:
            os.kill(parent.pid, signal.SIGKILL)

            with contextlib.suppress(ConnectionResetError):  # an end as good as a polite one
                assert connection.recv(1) == b""


def test_file_that_is_no_json_is_an_error_with_what_the_server_said(tmp_path):
    broken = tmp_path / "items.json"
    broken.write_text('{"type": "Feat')

    with pytest.raises(Unavailable, match=r"ended with code 1 and said: .*EOF"), serve_catalogue(broken):
        pass


def test_server_that_does_not_answer_in_time_is_an_error(items):
    with pytest.raises(Unavailable, match="within 0 s; it still runs"), serve_catalogue(items, start_seconds=0):
        pass
