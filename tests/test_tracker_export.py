"""A job's tasks on maps and in data frames."""

import io
import json

import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
from typer.testing import CliRunner

from ard.errors import InvalidInput
from ard.product import Product
from ard.rows import Attempt
from ard.states import State
from tests.factories import NOW, make_job, make_row
from tests.test_tracker_cli import JOB, Console
from tracker.cli import app
from tracker.report.export import geojson_lines, write_parquet

REGIONS = {Product.DEM: "eu-central-1"}


@pytest.fixture
def tracker(cloud):
    return Console(cloud)


def row(number=1000, **fields):
    return make_row(**{"job_id": JOB, "x_tile": number, "state": State.SUCCEEDED, "check_after": None} | fields)


def told():
    attempt = Attempt(worker="request-1", started=NOW, ended=NOW + 9, outcome="SUCCEEDED")
    return row(
        attempts=(attempt,), fence=1, seconds=9.0, gb_seconds=36.0, item="2023/ard/1000/871/dem.json",
        flags=("filled_seam",), digest={"slope_p50": 2.5}, updated_at=NOW + 9,
    )  # fmt: skip


def features(*rows, now=NOW):
    text = "\n".join(geojson_lines(make_job(), rows, now=now, regions=REGIONS))
    return json.loads(text)


def exported(path, *rows):
    written = write_parquet(make_job(), rows, path, now=NOW, regions=REGIONS)
    assert written == len(rows)
    return pd.read_parquet(path)


def test_a_feature_is_a_tile_a_year_and_a_product():
    collection = features(told(), row(7, state=State.FAILED, cause="crashed", product=Product.S2, year=2024))

    assert collection["type"] == "FeatureCollection"
    first, second = collection["features"]
    assert (first["type"], first["id"], second["id"]) == ("Feature", "2023/1000X871Y/dem", "2024/7X871Y/s2")
    assert first["properties"] == {
        "tile": "1000X871Y", "year": 2023, "product": "dem", "state": "SUCCEEDED", "standing": "done", "cause": None,
        "message": None, "attempts": 1, "claims": 1, "seconds": 9.0, "gb_seconds": 36.0, "region": "eu-central-1",
        "updated_at": "2024-05-17T12:30:09Z", "item": "s3://tof-output/ttc/2023/ard/1000/871/dem.json",
        "flags": ["filled_seam"], "quality": {"slope_p50": 2.5},
    }  # fmt: skip
    assert (second["properties"]["cause"], second["properties"]["item"]) == ("crashed", None)


def test_a_tile_is_a_square_of_an_eighteenth_of_a_degree_drawn_counterclockwise():
    (feature,) = features(told())["features"]

    (ring,) = feature["geometry"]["coordinates"]
    polygon = shapely.geometry.shape(feature["geometry"])
    assert (feature["geometry"]["type"], ring[0], len(ring)) == ("Polygon", ring[-1], 5)
    assert polygon.exterior.is_ccw
    assert polygon.bounds == pytest.approx((-54.499978, -5.166678, -54.444422, -5.111122), abs=1e-6)


def test_a_tile_at_the_antimeridian_ends_there():
    (feature,) = features(row(lon=179.9723))["features"]

    assert max(lon for lon, _ in feature["geometry"]["coordinates"][0]) == 180.0


def test_a_job_without_rows_is_an_empty_collection():
    assert features() == {"type": "FeatureCollection", "features": []}


def test_features_are_written_as_the_rows_come():
    taken = []

    def rows():
        for number in range(1000):
            taken.append(number)
            yield row(number)

    lines = geojson_lines(make_job(), rows(), now=NOW, regions=REGIONS)
    for _ in range(4):
        next(lines)

    assert len(taken) == 3


def test_a_data_frame_holds_the_same_as_the_features(tmp_path):
    rows = [told(), row(7, state=State.RUNNING, lease_until=NOW - 900)]

    frame = exported(tmp_path / "job.parquet", *rows)

    found = features(*rows)["features"]
    assert frame["task"].tolist() == [feature["id"] for feature in found]
    assert frame["standing"].tolist() == ["done", "stalled"]
    assert json.loads(frame["quality"][0]) == {"slope_p50": 2.5}
    assert list(frame["flags"][0]) == ["filled_seam"]
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in found]
    assert shapely.from_wkb(frame["geometry"].tolist()).tolist() == shapes


def test_parquet_says_where_its_geometry_is(tmp_path):
    exported(tmp_path / "job.parquet", told())

    geo = json.loads(pq.read_schema(tmp_path / "job.parquet").metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert geo["columns"]["geometry"]["encoding"] == "WKB"
    assert geo["columns"]["geometry"]["geometry_types"] == ["Polygon"]


def test_more_rows_than_one_batch_are_all_there(tmp_path):
    frame = exported(tmp_path / "job.parquet", *(row(number) for number in range(10_001)))

    assert frame["tile"].nunique() == 10_001


def test_an_export_that_breaks_off_leaves_the_file_before(tmp_path):
    path = tmp_path / "job.parquet"
    exported(path, told())
    before = path.read_bytes()

    def rows():
        yield told()
        raise InvalidInput("odd item")

    with pytest.raises(InvalidInput, match="odd item"):
        write_parquet(make_job(), rows(), path, now=NOW, regions=REGIONS)

    assert [one.name for one in tmp_path.iterdir()] == ["job.parquet"]
    assert path.read_bytes() == before


def test_a_file_that_cannot_be_written_is_bad_input(tmp_path):
    with pytest.raises(InvalidInput, match="expected a file that can be written"):
        write_parquet(make_job(), [told()], tmp_path / "nowhere" / "job.parquet", now=NOW, regions=REGIONS)


def test_the_command_writes_geojson_to_stdout_and_nothing_else(tracker):
    tracker.job(row(1), row(2))

    result = tracker.run("export", "--job", JOB, "--geojson", "-")

    assert result.exit_code == 0
    assert len(json.load(io.StringIO(result.stdout))["features"]) == 2


@pytest.mark.parametrize(("option", "name"), [("--geojson", "job.geojson"), ("--parquet", "job.parquet")])
def test_the_command_writes_a_file(tracker, tmp_path, option, name):
    tracker.job(row(1), row(2))

    result = tracker.run("export", "--job", JOB, option, str(tmp_path / name))

    assert (result.exit_code, result.stdout) == (0, "")
    assert f"2 tasks in {tmp_path / name}" in result.stderr
    assert (tmp_path / name).stat().st_size > 500


@pytest.mark.parametrize("option", ["--geojson", "--parquet"])
def test_a_folder_that_is_not_there_is_bad_input(tracker, tmp_path, option):
    tracker.job(row(1))

    result = tracker.run("export", "--job", JOB, option, str(tmp_path / "nowhere" / "file"))

    assert result.exit_code == 3
    assert "expected a file that can be written" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--geojson", "a", "--parquet", "b"], ["--parquet", "-"]])
def test_one_kind_of_file_is_to_be_named(arguments):
    assert CliRunner().invoke(app, ["export", "--job", JOB, *arguments]).exit_code == 2
