import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ard.errors import InvalidInput
from ard.product import Product
from ard.states import State
from tests.factories import NOW, make_job, make_row
from tracker.failures import Kind, group_failures, signature
from tracker.report.write import write_report


@pytest.mark.parametrize(
    ("message", "masked"),
    [
        ("HTTP 503 from https://a.test/x?y=1, twice", "HTTP <n> from <url>, twice"),
        ("expected 618 rows, found 617.5", "expected <n> rows, found <n>"),
        ("2023/ard/1000/871/dem.json is gone", "<key> is gone"),
        ("1000X871Y has no scenes", "<tile> has no scenes"),
        ("asset of Copernicus_DSM_COG_10_S06_00_W055_00_DEM", "asset of <id>"),
        ("request 0f8fad5b-d9cb-469f-a165-70867728950e", "request <id>"),
        ("the worker died without a word", "the worker died without a word"),
    ],
)
def test_what_differs_from_task_to_task_is_masked(message, masked):
    assert signature(message) == masked


@given(st.text(max_size=300))
def test_masking_again_changes_nothing(message):
    assert signature(signature(message)) == signature(message)


def test_failures_that_differ_only_in_their_numbers_are_one_group():
    rows = [
        make_row(state=State.FAILED, cause="crashed", message=f"row {n}", x_tile=n, updated_at=NOW + n)
        for n in range(3)
    ]

    (group,) = group_failures(rows)

    assert (group.tasks, group.signature, group.sample) == (3, "row <n>", "2023/0X871Y/dem")
    assert (group.first_at, group.last_at) == (NOW, NOW + 2)


def test_products_and_causes_are_kept_apart_and_the_largest_comes_first():
    rows = [
        make_row(state=State.NO_DATA, cause="no_data"),
        make_row(state=State.NO_DATA, cause="no_data"),
        make_row(state=State.NO_DATA, cause="no_data"),
        make_row(state=State.FAILED, cause="crashed"),
        make_row(state=State.FAILED, cause="asset_corrupt", product=Product.S1),
        make_row(state=State.FAILED, cause="asset_corrupt", product=Product.S1),
        make_row(state=State.SUCCEEDED),
    ]

    groups = group_failures(rows)

    assert [(group.kind, group.tasks) for group in groups] == [
        (Kind.PERMANENT, 2),
        (Kind.TRANSIENT, 1),
        (Kind.NO_DATA, 3),
    ]


def test_a_permanent_cause_says_that_it_needs_a_repair_and_force():
    (group,) = group_failures([make_row(state=State.FAILED, cause="asset_corrupt")])

    assert group.next_step.startswith("repair ")
    assert group.next_step.endswith("--product dem --cause asset_corrupt --force")


@pytest.fixture
def report(tmp_path):
    def write(*rows, **job):
        job = make_job(totals={Product.DEM: len(rows)}, **job)
        return write_report(job, rows, tmp_path / "reports" / job.job_id, now=NOW, regions={})

    return write


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_report_has_a_row_per_task(report):
    folder = report(
        make_row(state=State.SUCCEEDED, seconds=9.5, gb_seconds=19.0, item="a.json", flags=("b", "c")),
        make_row(x_tile=7, state=State.FAILED, cause="crashed", message='so, "so"', charged=4),
    ).folder

    first, second = read_csv(folder / "tasks.csv")
    assert (first["x"], first["state"], first["seconds"], first["flags"]) == ("1000", "SUCCEEDED", "9.5", "b c")
    assert (second["charged"], second["cause"], second["message"]) == ("4", "crashed", 'so, "so"')


def test_what_failed_is_a_request_again(report):
    folder = report(make_row(state=State.SUCCEEDED), make_row(x_tile=7, state=State.FAILED, cause="crashed")).folder

    header, row = (folder / "failed.csv").read_text().splitlines()
    assert header == "Year,X,Y,Y_tile,X_tile,product,cause"
    assert row == "2023,-54.4722,-5.1389,871,7,dem,crashed"


def test_the_summary_and_the_words_say_what_failed(report):
    folder = report(make_row(state=State.FAILED, cause="crashed", message="died")).folder

    document = json.loads((folder / "summary.json").read_text())
    assert (document["kind"], document["schema_version"], document["state"]) == ("job_report", 1, "FAILED")
    assert document["failures"][0]["cause"] == "crashed"
    assert "1. 1 dem, transient, crashed: died" in (folder / "report.txt").read_text()


def test_a_report_that_breaks_off_leaves_the_one_before(report, tmp_path):
    folder = report(make_row(state=State.SUCCEEDED)).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def rows():
        yield make_row(state=State.FAILED)
        raise InvalidInput("odd item")

    with pytest.raises(InvalidInput):
        write_report(make_job(), rows(), folder, now=NOW, regions={})

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(InvalidInput, match="expected a folder that can be written to"):
        write_report(make_job(), [], tmp_path / "file" / "job", now=NOW, regions={})
