"""The sandbox's blob store: closed without a signature, and its signatures end."""

import numpy as np
import pytest
import rasterio
import requests
from affine import Affine

from ard.adapters.gdal import read_options
from ard.adapters.reader import RasterioReader
from ard.adapters.signing import SigningReader, Tokens
from ard.errors import Auth
from ard.grid import Bounds
from ard.settings import AwsSettings
from sandbox.blobs import serve_blobs

BOX = Bounds(0.1, 0.1, 0.2, 0.2)
NEVER = 1_000_000


@pytest.fixture
def folder(tmp_path):
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 100, "width": 100, "crs": "EPSG:4326"}
    for name in ("vv.tif", "vh.tif"):
        with rasterio.open(scenes / name, "w", **profile, transform=Affine(0.01, 0, 0, 0, -0.01, 1)) as dataset:
            dataset.write(np.full((1, 100, 100), 0.25, dtype=np.float32))
    (tmp_path / "secret.tif").write_bytes(b"outside")
    return scenes


def status_of(url, **headers):
    return requests.get(url, headers=headers, timeout=10).status_code


def token_of(blobs, collection="s1"):
    return requests.get(f"{blobs.token_url}/{collection}", timeout=10).json()["token"]


def signing_reader(blobs, *, slept):
    tokens = Tokens(blobs.token_url, "s1", subscription_key=lambda: None, clock=lambda: 0.0, sleep=slept.append)
    return SigningReader(RasterioReader(read_options(AwsSettings())), tokens, blobs=blobs.url)


def test_a_blob_opens_to_a_signature_of_its_collection_and_to_nothing_else(folder):
    with serve_blobs({"s1": folder, "other": folder}, throttled_every=NEVER) as blobs:
        address, token = f"{blobs.url}/s1/vv.tif", token_of(blobs)

        assert status_of(f"{address}?{token}") == 200
        assert status_of(address) == 403
        assert status_of(f"{address}?{token}0") == 403
        assert status_of(f"{address}?{token_of(blobs, 'other')}") == 403


def test_a_signature_ends(folder):
    now = [1_700_000_000.0]
    with serve_blobs({"s1": folder}, token_seconds=15, throttled_every=NEVER, clock=lambda: now[0]) as blobs:
        address = f"{blobs.url}/s1/vv.tif?{token_of(blobs)}"
        before = status_of(address)
        now[0] += 15
        after = status_of(address)

    assert (before, after) == (200, 403)


def test_files_outside_of_the_folder_and_unknown_collections_are_not_there(folder):
    with serve_blobs({"s1": folder}, throttled_every=NEVER) as blobs:
        token = token_of(blobs)

        assert status_of(f"{blobs.url}/s1/..%2Fsecret.tif?{token}") == 404
        assert status_of(f"{blobs.url}/s1/none.tif?{token}") == 404
        assert status_of(f"{blobs.token_url}/none") == 404


def test_every_third_request_for_a_token_is_told_to_come_back(folder):
    with serve_blobs({"s1": folder}, throttled_every=3) as blobs:
        statuses = [status_of(f"{blobs.token_url}/s1") for _ in range(6)]

    assert statuses == [200, 200, 429, 200, 200, 429]


def test_a_range_is_cut_from_the_file(folder):
    whole = (folder / "vv.tif").read_bytes()
    with serve_blobs({"s1": folder}, throttled_every=NEVER) as blobs:
        address = f"{blobs.url}/s1/vv.tif?{token_of(blobs)}"
        part = requests.get(address, headers={"Range": "bytes=10-19"}, timeout=10)
        beyond = status_of(address, Range=f"bytes={len(whole)}-")

    assert (part.status_code, part.content, beyond) == (206, whole[10:20], 416)
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"


def test_the_workers_reader_goes_on_when_its_signature_ends_and_the_endpoint_throttles(folder):
    now, slept = [1_700_000_000.0], []
    with serve_blobs({"s1": folder}, token_seconds=15, throttled_every=2, clock=lambda: now[0]) as blobs:
        reader = signing_reader(blobs, slept=slept)
        first = reader.window(f"{blobs.url}/s1/vv.tif", BOX)
        now[0] += 16
        second = reader.window(f"{blobs.url}/s1/vh.tif", BOX)

    assert (first.pixels == 0.25).all() and (second.pixels == 0.25).all()
    assert slept == [1.0]
    assert blobs.answered["refused"] and blobs.answered["throttled"] == 1


def test_signatures_that_end_at_once_are_auth_and_not_an_endless_loop(folder):
    with serve_blobs({"s1": folder}, token_seconds=0, throttled_every=NEVER) as blobs, pytest.raises(Auth):
        signing_reader(blobs, slept=[]).window(f"{blobs.url}/s1/vv.tif", BOX)
