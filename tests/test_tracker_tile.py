import json

import pytest
from rich.console import Console as Screen

from ard.adapters.outputs import publish
from ard.adapters.store import Store
from ard.errors import InvalidInput, Unavailable
from ard.product import Product
from ard.rows import Attempt
from ard.shards import shard_of
from ard.states import State
from tests.factories import NOW, make_dem, make_job, make_provenance, make_row, make_task
from tests.tracking import JOB, Console, row
from tracker.show.tile import tile_document, tile_view
from tracker.tile_history import explained, tile_history

TILE = (1000, 871)
KEY = "1000X871Y"


class Rows:
    """A status table of a few rows."""

    def __init__(self, *rows):
        self.rows = {(row.job_id, row.shard, row.task_id): row for row in rows}

    def task(self, job_id, shard, task_id):
        found = self.rows.get((job_id, shard, task_id))
        if found is not None and found.message == "odd":
            raise InvalidInput("odd item")
        return found


@pytest.fixture
def tracker(cloud):
    return Console(cloud)


@pytest.fixture
def made():
    """A store with the output of the tile's DEM, and the row that tells of it."""
    store = Store.in_memory()
    output = publish(make_dem(), make_task(), store, provenance=make_provenance(), still_ours=lambda: None)
    return store, make_row(state=State.SUCCEEDED, item=output.item_key)


def history_of(*rows, jobs=None):
    return tile_history(Rows(*rows), jobs or [make_job()], TILE, 2023, now=NOW)


def text_of(history):
    screen = Screen(width=100, highlight=False)
    with screen.capture() as captured:
        screen.print(tile_view(history))
    return captured.get()


def test_a_tile_is_found_in_every_job_by_its_shard_the_newest_first():
    jobs = [
        make_job(job_id="old", created_at=NOW - 100, shards=1),
        make_job(job_id="new", created_at=NOW, shards=64),
        make_job(job_id="without", created_at=NOW - 50),
    ]
    rows = [
        make_row(job_id="old", state=State.SUCCEEDED),
        make_row(job_id="new", shard=shard_of(KEY, 64), state=State.QUEUED),
    ]

    assert [one.job.job_id for one in history_of(*rows, jobs=jobs).tasks] == ["new", "old"]


@pytest.mark.parametrize(
    ("fields", "step"),
    [
        ({"state": State.FAILED, "cause": "crashed"}, f"tracker redrive --job a --product dem --tile {KEY} --apply"),
        (
            {"state": State.FAILED, "cause": "asset_corrupt"},
            f"tracker redrive --job a --product dem --tile {KEY} --force --apply",
        ),
        ({"state": State.RUNNING, "lease_until": NOW - 61}, "tracker reconcile --job a"),
        ({"state": State.RUNNING, "lease_until": NOW + 61}, "tracker status --job a --watch"),
        ({"state": State.QUEUED, "parked": True}, "producer resume --job a"),
        ({"state": State.SUCCEEDED}, None),
        ({"state": State.NO_DATA}, None),
    ],
)
def test_every_state_says_what_to_type_next(fields, step):
    history = history_of(make_row(job_id="a", **fields), jobs=[make_job(job_id="a")])

    assert history.tasks[0].next_step == step


def test_every_attempt_is_told_with_its_worker_and_outcome():
    attempts = (
        Attempt(worker="w-1", started=NOW - 90, ended=NOW - 60, outcome="crashed"),
        Attempt(worker="", started=NOW - 20, ended=NOW, outcome="transient"),
    )
    text = text_of(history_of(make_row(state=State.FAILED, cause="transient", message="no", attempts=attempts)))

    assert "attempt 1  2024-05-17 12:28:30  30 s  crashed  worker w-1" in text
    assert "attempt 2  2024-05-17 12:29:40  20 s  transient  worker unknown" in text
    assert "transient: no" in text


def test_an_explanation_tells_sources_versions_parameters_and_objects(made):
    store, row = made

    history = explained(history_of(row), lambda _: store)

    (one,) = history.tasks
    assert one.output.whole and one.output.sources == ("Copernicus_DSM_COG_10_S06_00_W055_00_DEM",)
    text = text_of(history)
    for words in (
        "abc1234",
        "upsampling bilinear",
        "objects 2 of 2 whole",
        "made from 1 source item",
        "slope_p50 12.5",
    ):
        assert words in text


def test_an_object_that_is_gone_is_told(made):
    store, row = made
    (data,) = [key for key in store.list("2023/ard") if key.endswith(".tif")]
    store.delete(data)

    history = explained(history_of(row), lambda _: store)

    assert "objects 1 of 2 whole" in text_of(history) and "MISSING" in text_of(history)
    (output,) = [task["output"] for task in tile_document(history, explain=True)["tasks"]]
    assert [one["found_size"] is None for one in output["objects"] if one["name"] == "dem"] == [True]


def test_an_item_that_is_none_or_cannot_be_read_says_why(made):
    store, row = made

    def refuse(dest):
        raise Unavailable(f"{dest} does not answer")

    store.put(row.item, b'{"type": "Feature"}')
    assert "expected an item of an output" in explained(history_of(row), lambda _: store).tasks[0].trouble
    store.delete(row.item)
    assert "found nothing" in explained(history_of(row), lambda _: store).tasks[0].trouble
    assert "does not answer" in explained(history_of(row), refuse).tasks[0].trouble


def test_a_row_that_cannot_be_read_is_counted_and_the_others_are_told():
    jobs = [make_job(totals={Product.DEM: 1, Product.S1: 1})]

    history = history_of(make_row(message="odd"), make_row(product=Product.S1), jobs=jobs)

    assert [one.row.product for one in history.tasks] == [Product.S1]
    assert len(history.odd) == 1


def test_the_command_finds_the_newest_job_of_a_tile(tracker):
    tracker.job(row(1, State.FAILED, cause="crashed"))

    result = tracker.run("tile", "1X871Y", "--year", "2023", "--json")

    (task,) = json.loads(result.stdout)["tasks"]
    assert (result.exit_code, task["job"], task["next"].split()[1]) == (0, JOB, "redrive")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["9X9Y", "--year", "2023"], 6, "to see what there is: tracker jobs"),
        (["oops", "--year", "2023"], 3, "expected a tile such as 1000X871Y"),
        (["9X9Y", "--year", "1923"], 2, "--year"),
        (["9X9Y", "--year", "2023", "--job", "nowhere"], 9, "to see the newest: tracker jobs"),
    ],
)
def test_a_tile_that_is_not_there_says_what_to_type(tracker, arguments, code, words):
    result = tracker.run("tile", *arguments)

    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr


def test_explaining_makes_no_folder_of_another_machine(tracker, tmp_path):
    tracker.job(row(1, State.SUCCEEDED, item="a.json"), dest=str(tmp_path / "elsewhere"))

    result = tracker.run("tile", "1X871Y", "--year", "2023", "--explain")

    assert "on this machine, found none" in " ".join(result.stdout.split())
    assert not (tmp_path / "elsewhere").exists()
