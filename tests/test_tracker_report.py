"""The papers of a report, the page above all."""

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from itertools import pairwise

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from ard.product import Product
from ard.rows import Attempt, Command, OddRow
from ard.states import State
from ard.transitions import KEPT_ATTEMPTS
from producer.csv_io import read_csv_request
from producer.request import RequestOptions
from producer.tile_index import TileIndex
from tests.factories import NOW, make_job, make_row
from tracker.documents.report import JobReportDocument
from tracker.report.facts import STANDINGS, Facts, Standing
from tracker.report.figures import estimate_shares
from tracker.report.mapped import ABSENT, frame_of, tiles_of
from tracker.report.markup import Html, element, visible
from tracker.report.page_charts import bins, mean_running, most_at_once, ticks
from tracker.report.page_map import MOST_RECTANGLES
from tracker.report.page_pictures import png
from tracker.report.write import write_report

JOB = "west-africa-0123456789"
REGIONS = {Product.DEM: "eu-central-1", Product.S2: "us-west-2"}
HOSTILE = '<script>alert(1)</script> \x1b[31mred\x07 \u202eback | `code` [a](http://x.test) & "quoted"'

SPANS = st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e4)), min_size=1, max_size=50)


@pytest.fixture
def report(tmp_path):
    def write(*rows, memory_mb=None, now=NOW + 600, **job):
        totals = {row.product: sum(one.product is row.product for one in rows) for row in rows}
        fields = {"job_id": JOB, "totals": totals or {Product.DEM: 1}} | job
        folder = tmp_path / "report"
        write_report(make_job(**fields), rows, folder, now=now, regions=REGIONS, memory_mb=memory_mb)
        return folder

    return write


def row(number=0, state=State.SUCCEEDED, **fields):
    place = {"x_tile": number, "lon": -54.5 + number / 18}
    return make_row(**{"job_id": JOB, "state": state, "check_after": None} | place | fields)


def attempt(start=5.0, seconds=9.0, outcome="SUCCEEDED"):
    return Attempt(worker="request-1", started=NOW + start, ended=NOW + start + seconds, outcome=outcome)


class Seen(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text, self._inside = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_data(self, data):
        self.text.append((self._inside[-1] if self._inside else "", data))

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


def seen(folder):
    return Seen(page_of(folder))


def test_a_report_is_six_papers(report):
    folder = report(row())

    assert sorted(path.name for path in folder.iterdir()) == [
        "failed.csv", "report.html", "report.md", "report.txt", "summary.json", "tasks.csv",
    ]  # fmt: skip


def test_a_row_of_tasks_tells_when_where_how_often_and_how_well(report):
    folder = report(
        row(attempts=(attempt(outcome="internal"), attempt(60)), fence=7, flags=("a", "b"), digest={"slope_p50": 2.5})
    )

    (task,) = csv.DictReader(io.StringIO((folder / "tasks.csv").read_text()))
    assert (task["region"], task["attempts"], task["claims"], task["flags"]) == ("eu-central-1", "2", "7", "a b")
    assert (task["started_at"], task["ended_at"]) == ("2024-05-17T12:31:00Z", "2024-05-17T12:31:09Z")
    assert json.loads(task["digest"]) == {"slope_p50": 2.5}


def test_the_producer_takes_what_failed_as_a_request(report):
    places = {"y_tile": 871, "lat": -5.1389}
    failed = [row(n, State.FAILED, cause="crashed", product=product, **places) for n in (3, 4) for product in REGIONS]
    index = TileIndex.from_columns(
        x_tile=np.array([3, 4, 5]), y_tile=np.full(3, 871), lon=np.array([-54.5 + n / 18 for n in (3, 4, 5)]),
        lat=np.full(3, -5.1389),
    )  # fmt: skip

    folder = report(row(5, **places), *failed)
    request = read_csv_request((folder / "failed.csv").read_bytes(), index=index, options=RequestOptions())

    assert (request.x_tile.tolist(), request.year.tolist()) == ([3, 4], [2023, 2023])


def test_the_page_asks_for_nothing_but_the_files_beside_it(report):
    found = seen(report(row(state=State.FAILED, cause="unavailable", message="503 from https://a.test/b")))

    fetched = [
        value for _, attributes in found.elements for name, value in attributes.items() if name in {"href", "src"}
    ]
    assert fetched == ["summary.json", "tasks.csv", "failed.csv", "report.txt", "report.md"]
    assert not found.named("link")
    assert not re.search(r"url\(|@import", "".join(text for tag, text in found.text if tag == "style"))


@pytest.mark.parametrize("name", ["message", "cause", "item"])
def test_what_workers_say_is_never_markup(report, name):
    found = seen(report(row(state=State.FAILED, **{"cause": "internal", "message": "m"} | {name: HOSTILE})))

    assert len(found.named("script")) == 1
    assert {attributes["http-equiv"] for attributes in found.named("meta") if "http-equiv" in attributes} == {
        "Content-Security-Policy"
    }


def test_names_flags_and_numbers_are_never_markup_either(report):
    done = row(flags=(HOSTILE,), digest={HOSTILE: 1.5})
    page = page_of(report(done, request_key=HOSTILE, dest=f"/{HOSTILE}", digest=HOSTILE))

    assert page.count("<script>") == 1
    assert page.count("&lt;script&gt;alert(1)") >= 5


def test_no_paper_for_people_moves_a_terminal(report):
    folder = report(row(state=State.FAILED, cause="internal", message=HOSTILE), request_key=HOSTILE)

    for name in ("report.txt", "report.md", "report.html"):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", (folder / name).read_text(encoding="utf-8"))


def test_only_the_page_s_own_script_may_run(report):
    page = page_of(report(row()))

    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(m["content"] for m in Seen(page).named("meta") if "http-equiv" in m)
    assert f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'" == policy


def test_rows_that_nobody_can_read_are_told_in_every_paper(tmp_path):
    odd = [OddRow(key="TASK#2023#2X2Y#dem", reason="a state that is none")]
    job = make_job(job_id=JOB, totals={Product.DEM: 2})

    write_report(job, [row()], tmp_path / JOB, now=NOW, regions=REGIONS, odd=odd)

    for name in ("report.txt", "report.md", "report.html"):
        assert "such as TASK" in (tmp_path / JOB / name).read_text(encoding="utf-8")
    assert json.loads((tmp_path / JOB / "summary.json").read_text())["odd_rows"] == 1


def test_the_same_job_makes_the_same_page(report):
    rows = [row(n, flags=("a",), digest={"dates": n}, attempts=(attempt(n),)) for n in range(9)]

    assert page_of(report(*rows)) == page_of(report(*rows))


def test_the_report_of_a_job_that_has_ended_does_not_depend_on_when_it_is_made(report):
    first, second = (json.loads((report(row(), now=NOW + n) / "summary.json").read_text()) for n in (60, 6000))

    assert first["elapsed_s"] == second["elapsed_s"]


def test_a_job_without_any_row_has_a_report(report):
    found = seen(report())

    assert "Nothing has run yet." in "".join(text for _, text in found.text)
    assert not found.named("rect")


def test_a_tile_has_the_colour_of_its_worst_task(report):
    found = seen(
        report(
            row(1), row(1, State.FAILED, product=Product.S2, cause="crashed"), row(2), row(2, product=Product.S2),
            row(3, State.SKIPPED, year=2024),
        )
    )  # fmt: skip

    ranks = {standing: str(rank) for rank, standing in enumerate(STANDINGS)}
    failed, done, skipped, absent = ranks[Standing.FAILED], ranks[Standing.DONE], ranks[Standing.SKIPPED], str(ABSENT)
    (drawing,) = (one for one in found.named("svg") if one.get("id") == "tiles")
    assert drawing["data-combinations"] == "2023-dem 2023-s2 2024-dem"
    assert [(one["class"], one["data-s"]) for one in found.named("rect")] == [
        (f"s{skipped}", absent * 2 + skipped), (f"s{done}", done * 2 + absent), (f"s{failed}", done + failed + absent),
    ]  # fmt: skip
    titles = [text for tag, text in found.text if tag == "title"]
    assert "1X871Y: 2023 dem done, 2023 s2 failed (crashed)" in titles


def test_a_running_task_whose_worker_is_gone_is_stalled_on_the_map(report):
    found = seen(report(row(1, State.RUNNING, lease_until=NOW), row(2, State.RUNNING, lease_until=NOW + 900)))

    assert [one["class"] for one in found.named("rect")] == [
        f"s{STANDINGS.index(Standing.RUNNING)}", f"s{STANDINGS.index(Standing.STALLED)}"
    ]  # fmt: skip


def test_very_many_tiles_are_a_picture_of_pixels(report):
    rows = [row(n % 125, lat=n // 125 / 18, y_tile=n // 125) for n in range(MOST_RECTANGLES)]
    failed = row(125, State.FAILED, lat=0.0, y_tile=0, cause="crashed")

    found = seen(report(*rows, failed))

    assert not found.named("rect")
    whole, *_ = found.named("image")
    assert whole["data-counts"].split()[0] == "1"
    pixels = imread(io.BytesIO(base64.b64decode(whole["href"].partition(",")[2])))
    orange = np.array([int(Standing.FAILED.colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    assert (np.abs(pixels[..., :3] - orange).max(axis=-1) < 0.01).sum() == 1


def test_a_picture_holds_every_state_and_nothing_where_no_tile_is():
    pixels = imread(io.BytesIO(png(np.arange(ABSENT + 1, dtype=np.uint8).reshape(2, -1))))

    told = ["#" + "".join(f"{round(part * 255):02X}" for part in pixel[:3]) for pixel in pixels.reshape(-1, 4)]
    assert told[:ABSENT] == [standing.colour for standing in STANDINGS]
    assert pixels.reshape(-1, 4)[:, 3].tolist() == [1.0] * ABSENT + [0.0]


def test_a_map_has_the_shape_that_its_latitude_gives_it():
    facts = Facts(now=NOW, regions=REGIONS)
    for number in range(100):
        facts.add(row(number, lat=60.0, y_tile=1))
        facts.add(row(number, lat=62.0, y_tile=2))

    frame = frame_of(tiles_of(facts.places))

    assert frame.width / (frame.east - frame.west) == pytest.approx(np.cos(np.radians(61)), abs=0.01)


def test_ten_thousand_tasks_are_a_page_that_can_be_mailed(report):
    rows = [
        row(n, lat=n % 60 / 18, product=product, attempts=(attempt(n % 900),), digest={"p50": n * 0.7}, flags=("a",))
        for n in range(3_400)
        for product in Product
    ]

    assert len(page_of(report(*rows))) < 1_500_000


def test_quality_tells_the_tiles_at_both_ends(report):
    rows = [row(n, digest={"dates": n, "direction": "ascending", "odd": True}) for n in (5, 9, 2)]

    (found,) = json.loads((report(*rows) / "summary.json").read_text())["quality"]

    assert (found["number"], found["tasks"], found["median"]) == ("dates", 3, 5.0)
    assert found["lowest"] == {"value": 2.0, "year": 2023, "tile": "2X871Y"}
    assert found["highest"]["tile"] == "9X871Y"


def test_flags_are_counted_by_product(report):
    folder = report(row(1, flags=("few",)), row(2, flags=("few",)), row(3, product=Product.S2, flags=("few",)))

    flags = json.loads((folder / "summary.json").read_text())["flags"]
    assert [(one["product"], one["tasks"], one["sample"]) for one in flags] == [
        ("dem", 2, "2023/1X871Y/dem"), ("s2", 1, "2023/3X871Y/s2"),
    ]  # fmt: skip


def test_the_summary_keeps_its_shape(report):
    folder = report(
        row(1, flags=("few",), digest={"dates": 3}, seconds=9.0),
        row(2, State.FAILED, cause="crashed", message="died"),
        row(3, product=Product.S2),
        memory_mb={Product.DEM: 1024, Product.S2: 1024},
    )

    document = json.loads((folder / "summary.json").read_text())
    jsonschema.validate(document, JobReportDocument.model_json_schema(mode="serialization"))
    assert [len(document[name]) for name in ("failures", "flags", "quality", "product_figures")] == [1, 1, 1, 2]


def test_the_estimate_is_shared_out_whole():
    job = make_job(totals={Product.DEM: 10, Product.S2: 10}, estimate_usd=7.1)

    shares = estimate_shares(job, {Product.DEM: 1024, Product.S2: 1024})

    assert shares == pytest.approx({Product.DEM: 0.9, Product.S2: 6.2})
    assert estimate_shares(job, {Product.DEM: 1024}) == {}


def test_markdown_keeps_its_tables_whatever_messages_say(report):
    folder = report(row(1, State.FAILED, cause="internal", message=HOSTILE), row(2), max_cost_usd=3.0)

    lines = (folder / "report.md").read_text(encoding="utf-8").splitlines()
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("|")]
    assert all(before == after for before, after in pairwise(bars[:3]))
    failure = next(line for line in lines if "internal" in line and line.startswith("|"))
    assert len(re.findall(r"(?<!\\)\|", failure)) == 8
    assert r"\<script\>" in failure
    assert "cap $3.00" in "\n".join(lines)


@pytest.mark.parametrize(("attempts", "told"), [(1, False), (KEPT_ATTEMPTS, True)])
def test_that_older_executions_are_not_kept_is_told_where_it_matters(report, attempts, told):
    found = seen(report(row(attempts=tuple(attempt(10 * n) for n in range(attempts)))))

    assert ("executions are kept" in "".join(text for _, text in found.text)) == told


def test_a_command_can_be_copied_without_the_words_before_it(report):
    found = seen(report(row(state=State.FAILED, cause="asset_corrupt", message="odd"), command=Command.OPEN))

    (command,) = (text for tag, text in found.text if tag == "code")
    assert command == f"tracker redrive --job {JOB} --product dem --cause asset_corrupt --force"


def test_every_table_names_its_columns_and_rows(report):
    found = seen(report(row(flags=("few",), digest={"dates": 3}), row(product=Product.S2)))

    assert {one["scope"] for one in found.named("th")} == {"col", "row"}
    assert len(found.named("caption")) == len(found.named("table"))


def test_attributes_are_escaped_and_zero_is_a_value():
    piece = element("a", "<b>", Html("<i></i>"), x=0, title='"\x1b', hidden=False, open=True, id=None)

    assert piece.text == '<a x="0" title="&quot;\u241b" open>&lt;b&gt;<i></i></a>'


@given(st.text())
def test_visible_text_stays_as_it_is(text):
    assert visible(visible(text)) == visible(text)
    assert len(visible(text)) == len(text)


@given(SPANS)
def test_the_timeline_shows_every_second_that_was_worked(spans):
    started = np.array([start for start, _ in spans])
    ended = started + np.array([seconds for _, seconds in spans])
    edges = np.linspace(0.0, max(ended.max(), 1.0), 41)

    worked = (mean_running(started, ended, edges) * np.diff(edges)).sum()

    assert worked == pytest.approx((ended - started).sum(), rel=1e-6, abs=1e-4)


@given(SPANS)
def test_the_most_at_once_is_counted_at_some_start(spans):
    lasting = [(start, start + seconds) for start, seconds in spans if start + seconds > start]
    at_once = [sum(start <= moment < end for start, end in lasting) for moment, _ in lasting]

    found = most_at_once(np.array([a for a, _ in spans]), np.array([a + b for a, b in spans]))

    assert found == max(at_once, default=1)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_a_page_s_bars_hold_every_execution(seconds):
    values = np.array(seconds)
    edges, _ = bins(values)

    assert (np.diff(edges) > 0).all()
    assert 2 <= len(edges) <= 64
    assert np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0].sum() == len(values)


@given(st.floats(-180, 180), st.floats(1e-3, 400))
def test_ticks_are_few_and_inside(low, extent):
    found = ticks(low, low + extent)

    assert len(found) <= 8
    assert all(low - extent * 1e-6 <= at <= low + extent * (1 + 1e-6) for at in found)
