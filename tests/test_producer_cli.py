import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from producer.cli import app

HEADER = "Year,X,Y,Y_tile,X_tile\n"
FIRST = "2023,-54.4722,-5.1389,871,1000\n"
SECOND = "2023,-39.2500,0.0000,655,1274\n"


@pytest.fixture
def index(tmp_path):
    path = tmp_path / "index.parquet"
    columns = {"X": [-54.4722, -39.25], "Y": [-5.1389, -0.00001], "Y_tile": [871, 655], "X_tile": [1000, 1274]}
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def tiles(index, tmp_path):
    """Run ``producer tiles`` on a request, given as a value for a JSON file or as the text of a CSV file."""

    def run(request, *options, stdin=None):
        path = tmp_path / ("request.csv" if isinstance(request, str) else "request.json")
        path.write_text(request if isinstance(request, str) else json.dumps(request))
        name = "-" if stdin is not None else str(path)
        return CliRunner().invoke(app, ["tiles", name, "--parquet", str(index), *options], input=stdin)

    return run


def make_request(*names):
    return {"gha": {"2023": {"missing_tiles": list(names), "all_tiles": []}}}


def test_tiles_prints_csv_on_stdout_and_words_on_stderr(tiles):
    result = tiles(make_request("1274X655Y", "1000X871Y", "1000X871Y"))

    assert result.stdout == HEADER + FIRST + SECOND
    assert result.stderr == "2 tiles, 1 duplicate\n"
    assert result.exit_code == 0


def test_tiles_reads_csv(tiles):
    result = tiles(HEADER + SECOND + FIRST)

    assert (result.stdout, result.exit_code) == (HEADER + FIRST + SECOND, 0)


def test_tiles_reads_json_on_stdin(tiles):
    result = tiles({}, stdin=json.dumps(make_request("1000X871Y")))

    assert (result.stdout, result.stderr) == (HEADER + FIRST, "1 tile, 0 duplicates\n")


def test_problems_are_listed_with_their_places_and_nothing_is_printed(tiles):
    result = tiles(make_request("1000X871Y", "9X9Y", "oops"))

    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "/gha/2023/missing_tiles/2: expected a tile such as 1000X871Y, found 'oops'",
        "/gha/2023/missing_tiles/1: 9X9Y is not in the tile index",
        "The request is rejected: 2 problems. Nothing was started.",
    ]
    assert result.exit_code == 3


def test_problems_beyond_the_listed_ones_are_counted(tiles):
    result = tiles(make_request(*["oops"] * 1_234))

    assert result.stderr.splitlines()[-2:] == [
        "... and 234 more",
        "The request is rejected: 1,234 problems. Nothing was started.",
    ]


def test_markup_and_escapes_in_names_are_shown_as_they_are_spelled(tiles):
    result = tiles(make_request("[red]\x1b[2J:smile:"))

    assert "found '[red]\\x1b[2J:smile:'" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("request_", [make_request("1000X871Y", "9X9Y"), HEADER + FIRST + "2023,0,0,9,9\n"])
def test_unknown_tiles_are_skipped_and_listed_when_asked(tiles, request_):
    result = tiles(request_, "--skip-unknown")

    assert result.stdout == HEADER + FIRST
    assert "9X9Y is not in the tile index\n" in result.stderr
    assert result.stderr.endswith("1 tile, 0 duplicates, 1 unknown skipped\n")
    assert result.exit_code == 0


def test_a_request_may_itself_ask_to_skip(tiles):
    result = tiles({**make_request("1000X871Y", "9X9Y"), "$options": {"on_unknown_tile": "skip"}})

    assert (result.stdout, result.exit_code) == (HEADER + FIRST, 0)


def test_no_tile_left_is_no_work(tiles):
    result = tiles(make_request("9X9Y"), "--skip-unknown")

    assert (result.stdout, result.exit_code) == (HEADER, 6)


def test_a_request_that_names_no_tile_is_bad_input(tiles):
    result = tiles(make_request())

    assert "expected at least one tile, found none" in result.stderr
    assert result.exit_code == 3


def test_a_missing_request_file_is_bad_input(index, tmp_path):
    result = CliRunner().invoke(app, ["tiles", str(tmp_path / "no.json"), "--parquet", str(index)])

    assert result.stderr.startswith("error: expected a request file at ")
    assert result.exit_code == 3


def test_a_missing_index_is_bad_input(tmp_path):
    request = tmp_path / "request.json"
    request.write_text("{}")

    result = CliRunner().invoke(app, ["tiles", str(request), "--parquet", str(tmp_path / "no.parquet")])

    assert result.stderr.startswith("error: expected a tile index in Parquet at ")
    assert result.exit_code == 3


@pytest.mark.parametrize("arguments", [["tiles"], ["tiles", "request.txt", "--parquet", "x"], ["tiles", "-"], ["no"]])
def test_wrong_usage_exits_with_2(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_a_reader_that_leaves_early_causes_no_noise(tmp_path):
    tile = np.arange(100_000)
    table = {"X": tile / 1000, "Y": tile / 2000, "Y_tile": tile, "X_tile": tile}
    pq.write_table(pa.table(table), tmp_path / "index.parquet")
    request = tmp_path / "request.json"
    request.write_text(json.dumps(make_request(*(f"{i}X{i}Y" for i in tile.tolist()))))
    command = "from producer.cli import app; app()"
    arguments = ["tiles", str(request), "--parquet", str(tmp_path / "index.parquet")]

    with subprocess.Popen(
        [sys.executable, "-c", command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    ) as process:
        first = process.stdout.readline()
        process.stdout.close()
        noise = process.stderr.read()

    assert (first, noise) == (HEADER, "")
