import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from ard.adapters.outputs import Output
from ard.product import Product
from ard.rows import Command, OddRow
from ard.states import State
from tests.contracts.cli import PATH, reference
from tests.contracts.schemas import FOLDER, schemas
from tests.factories import NOW, make_job, make_row
from tests.producing import make_settings
from tracker.bundles import By, bundle_failures
from tracker.canary import Canary
from tracker.doctor.findings import broken, well
from tracker.documents import acting
from tracker.documents.make import dumped, failures_document, jobs_document, status_document
from tracker.drift import Drift, Lost, Orphan, Unrecorded
from tracker.failures import group_failures
from tracker.quality import parse_where, quality_of
from tracker.reconcile import ReconcileResult, Step
from tracker.redrive import Redrive
from tracker.redrive_plan import Outage, Selection, cost_of, plan_redrive
from tracker.repair import Repair
from tracker.report.write import write_report
from tracker.show.doctor import doctor_document
from tracker.show.quality import quality_document
from tracker.show.tile import tile_document
from tracker.stopping import Standing
from tracker.summary import activity_of, summarise
from tracker.tile_history import TileHistory, TileTaskView

ROWS = [
    make_row(x_tile=number, state=state, cause="auth", message="no", lease_until=NOW + 60, digest={"slope_p50": 1.5})
    for number, state in enumerate(State)
]
ODD = OddRow(key="a", reason="b")


def summary():
    job = make_job(totals={Product.DEM: len(ROWS), Product.S1: 2}, max_cost_usd=5.0)
    return summarise(job, map(activity_of, ROWS), now=NOW, regions={}, odd=[ODD])


def history():
    tasks = tuple(TileTaskView(job=make_job(), row=row, stalled=False, next_step="a") for row in ROWS)
    return TileHistory(tile="1X1Y", year=2023, tasks=tasks, odd=(ODD,), jobs_searched=1)


PLAN = replace(plan_redrive(ROWS, Selection(), now=NOW), outages=(Outage(product=Product.DEM, waiting=9, made=1),))
DONE = Redrive(
    sent=1,
    changed={State.RUNNING: 1},
    letters_deleted=1,
    letters_left=(Product.DEM,),
    held_back=3,
    canary=Canary(size=2, well=0, badly={"auth": 1}, waiting={"queued": 1}),
)
DRIFT = Drift(
    checked=3,
    lost=(Lost(row=ROWS[0], damage="gone"),),
    unrecorded=(
        Unrecorded(row=ROWS[1], output=Output(item_key="a.json", job_id="a", flags=frozenset(), metrics={}, size=1)),
    ),
    orphans=(Orphan(key="a/b", size=1, modified=NOW),),
    stale_letters={Product.DEM: 1},
)


def plan_shape():
    cost = cost_of(PLAN, make_settings().queues)
    return acting.plan_shape("a", PLAN, canary=10, cost=cost, letters={Product.DEM: 1}, odd_rows=0)


def drift_shape():
    repaired = Repair(sent=1, recorded=1, orphans_deleted=0, letters_deleted={Product.DEM: 1}, left=1)
    return acting.drift_shape(make_job(), DRIFT, repaired)


DOCUMENTS = {
    "job_status": lambda: status_document(summary()),
    "jobs": lambda: jobs_document([make_job()]),
    "failures": lambda: failures_document(
        "a", group_failures(ROWS), by=By.TILE, bundles=bundle_failures(ROWS, By.TILE), odd_rows=1
    ),
    "redrive_plan": lambda: dumped(plan_shape()),
    "redrive_plans": lambda: dumped(acting.RedrivePlansDocument(jobs=[plan_shape()])),
    "redrive": lambda: dumped(acting.redrive_shape("a", DONE, PLAN)),
    "redrives": lambda: dumped(acting.RedrivesDocument(jobs=[acting.redrive_shape("a", DONE, PLAN)])),
    "reconcile": lambda: acting.reconcile_document(
        ReconcileResult(rows={Step.RESENT: 1}, changed=0, requests=0, unsent=0, orphans=("a",), odd=("b",), more=False),
        drift_shape(),
    ),
    "job_command": lambda: dumped(
        acting.JobCommandDocument(
            job="a",
            command=Command.CANCELLED,
            cancelled=1,
            tasks={Standing.CANCELLED: 1},
            chunks_sent=0,
            tasks_sent=0,
        )
    ),
    "doctor": lambda: doctor_document([well("a", "b"), broken("c", "d", "e")], now=NOW),
    "tile": lambda: tile_document(history(), explain=False),
    "quality": lambda: quality_document(
        quality_of(ROWS, where=[parse_where("slope_p50>1")]), "a", products=[Product.DEM], where=[], odd_rows=0
    ),
}


def valid(document, kind):
    schema = json.loads((FOLDER / f"{kind}.schema.json").read_text())
    Draft202012Validator(schema).validate(document)
    return document["kind"] == kind and document["schema_version"] == 1


@pytest.mark.parametrize("kind", sorted(DOCUMENTS))
def test_every_document_is_as_its_schema_says(kind):
    document = json.loads(json.dumps(DOCUMENTS[kind](), allow_nan=False))

    assert valid(document, kind)


def test_the_summary_of_a_report_is_as_its_schema_says(tmp_path):
    job = make_job(totals={Product.DEM: len(ROWS)})

    write_report(job, ROWS, tmp_path, now=NOW, regions={})

    assert valid(json.loads((tmp_path / "summary.json").read_text()), "job_report")


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_schemas_are_up_to_date(name):
    assert (FOLDER / name).read_text() == schemas()[name], "run: python -m tests.contracts.schemas"


def test_there_is_no_schema_that_nobody_writes():
    assert {path.name for path in FOLDER.iterdir()} == set(schemas())


def test_the_reference_of_the_commands_is_up_to_date():
    assert PATH.read_text() == reference(), "run: python -m tests.contracts.cli"
