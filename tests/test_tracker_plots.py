"""The pictures of a report, and what they are made of."""

import io
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import rc_context
from matplotlib.image import imread

from ard.product import Product
from ard.rows import Attempt
from ard.states import State
from tests.factories import NOW, make_job, make_row
from tracker.report.endings import Ending, ending
from tracker.report.plots import bins, histogram, lanes, plots, timeline
from tracker.report.write import write_report

JOB = "west-africa-0123456789"
REGIONS = {Product.DEM: "eu-central-1", Product.S2: "us-west-2"}

SECONDS = st.floats(min_value=0, max_value=1e6, allow_subnormal=False)
ATTEMPTS = st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=60).map(
    lambda spans: sorted((make_attempt(start, seconds) for start, seconds in spans), key=lambda one: one.started)
)


def make_attempt(start=5.0, seconds=9.0, outcome="SUCCEEDED", worker="request-1"):
    return Attempt(worker=worker, started=NOW + start, ended=NOW + start + seconds, outcome=outcome)


def make_attempts(number, at_once=200):
    outcomes = ["SUCCEEDED"] * 20 + ["no_data", "unavailable", "internal", "asset_corrupt", "crashed"]
    return [make_attempt(number // at_once * 9, 5 + number % 7, outcomes[number % 25]) for number in range(number)]


def make_rows(*attempts, **fields):
    """A row for each list of attempts."""
    return [
        make_row(job_id=JOB, x_tile=number, state=State.SUCCEEDED, attempts=tuple(kept), **fields)
        for number, kept in enumerate(attempts)
    ]


def report(rows, folder, *, plot=True):
    return write_report(make_job(job_id=JOB), rows, folder, now=NOW + 600, regions=REGIONS, plot=plot)


def colours(content):
    """The colours of a PNG picture, as #RRGGBB, and how many pixels have each."""
    pixels = (imread(io.BytesIO(content))[..., :3] * 255).round().astype(int)
    found, counts = np.unique(pixels @ [1 << 16, 1 << 8, 1], return_counts=True)
    return {f"#{colour:06X}": number for colour, number in zip(found, counts, strict=True)}


def pictures(attempts, job_id=JOB):
    return dict(plots({"eu-central-1": [[one] for one in attempts]}, job_id=job_id, since=NOW))


def test_a_report_has_two_pictures_of_each_region_where_something_ran(tmp_path):
    rows = [
        *make_rows([make_attempt()], [make_attempt(seconds=12)]),
        *make_rows([make_attempt(outcome="unavailable"), make_attempt(90)], product=Product.S2),
    ]

    written = report(rows, tmp_path / JOB)

    names = sorted(path.name for path in (tmp_path / JOB / "plots").iterdir())
    assert names == [
        "eu-central-1_histogram.png", "eu-central-1_timeline.png",
        "us-west-2_histogram.png", "us-west-2_timeline.png",
    ]  # fmt: skip
    assert written.plots == 4
    for name in names:
        found = colours((tmp_path / JOB / "plots" / name).read_bytes())
        assert found[Ending.SUCCEEDED.colour] > 5_000
        assert (Ending.UNAVAILABLE.colour in found) == name.startswith("us-west-2")


def test_without_plot_there_is_no_folder_of_plots(tmp_path):
    written = report(make_rows([make_attempt()]), tmp_path / JOB, plot=False)

    assert not (tmp_path / JOB / "plots").exists()
    assert written.plots == 0


def test_where_nothing_ran_there_is_nothing_to_plot(tmp_path):
    written = report(make_rows([], []), tmp_path / JOB)

    assert not (tmp_path / JOB / "plots").exists()
    assert written.plots == 0


def test_a_product_that_is_no_longer_deployed_ran_in_an_unknown_region(tmp_path):
    report(make_rows([make_attempt()], product=Product.S1), tmp_path / JOB)

    assert (tmp_path / JOB / "plots" / "unknown_timeline.png").is_file()


@pytest.mark.parametrize("number", [1, 10_000])
def test_one_execution_and_very_many_can_be_seen(number):
    for content in pictures(make_attempts(number)).values():
        assert imread(io.BytesIO(content)).shape == (810, 1440, 4)
        assert colours(content)[Ending.SUCCEEDED.colour] > 5_000


def test_a_few_failures_among_very_many_are_seen():
    attempts = [*(make_attempt(number / 100, 60) for number in range(3_000)), make_attempt(20, 0, "crashed")]

    drawn = pictures(attempts)["eu-central-1_timeline.png"]

    assert colours(drawn).keys() >= {Ending.SUCCEEDED.colour, Ending.CRASHED.colour}


def test_the_same_attempts_make_the_same_bytes_in_any_order_under_any_settings():
    attempts = make_attempts(50)

    with rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 30}):
        changed = pictures(attempts[::-1])

    assert changed == pictures(attempts)


def test_a_picture_s_title_tells_job_region_and_how_much_is_shown():
    figure = timeline([make_attempt(), make_attempt(6)], title="Job a\nsomewhere: 2 executions", since=NOW)

    axes = figure.axes[0]
    assert axes.get_title(loc="center") == "Job a\nsomewhere: 2 executions, at most 2 at the same time"
    assert axes.get_ylabel() == "running at the same time (tasks)"


@pytest.mark.parametrize(("seconds", "unit"), [(20, "seconds"), (600, "minutes"), (20_000, "hours"), (300_000, "days")])
def test_time_is_told_in_a_unit_that_fits(seconds, unit):
    figure = timeline([make_attempt(seconds=seconds)], title="", since=NOW)

    assert figure.axes[0].get_xlabel() == f"time since the job began ({unit})"


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("SUCCEEDED", Ending.SUCCEEDED),
        ("no_data", Ending.NO_DATA),
        ("auth", Ending.UNAVAILABLE),
        ("out_of_time", Ending.TRANSIENT),
        ("never heard of", Ending.TRANSIENT),
        ("invalid_product", Ending.PERMANENT),
        ("crashed", Ending.CRASHED),
    ],
)
def test_an_outcome_has_the_colour_of_its_kind(outcome, expected):
    assert ending(make_attempt(outcome=outcome)) is expected


@given(ATTEMPTS)
def test_lanes_never_overlap(attempts):
    by_lane = {}
    for attempt, lane in zip(attempts, lanes(attempts), strict=True):
        by_lane.setdefault(lane, []).append(attempt)

    assert all(before.ended <= after.started for lane in by_lane.values() for before, after in pairwise(lane))


@given(ATTEMPTS)
def test_there_are_as_many_lanes_as_ever_ran_at_the_same_time(attempts):
    lasting = [one for one in attempts if one.ended > one.started]
    at_once = [sum(other.started <= one.started < other.ended for other in lasting) for one in lasting]

    assert max(lanes(lasting), default=-1) + 1 == max(at_once, default=0)


@settings(max_examples=30, deadline=None)
@given(ATTEMPTS)
def test_a_histogram_counts_every_attempt(attempts):
    figure = histogram(attempts, title="")

    assert sum(bar.get_height() for bar in figure.axes[0].patches) == len(attempts)


@given(st.lists(SECONDS, min_size=1, max_size=200))
def test_bins_are_few_and_in_order(seconds):
    edges, logarithmic = bins(np.array(seconds))

    assert (np.diff(edges) > 0).all()
    assert 2 <= len(edges) <= 64
    assert edges[0] >= (1e-3 if logarithmic else 0)


def test_a_long_tail_gets_a_logarithmic_axis():
    figure = histogram([*(make_attempt(seconds=9) for _ in range(50)), make_attempt(seconds=900)], title="")

    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].get_xlabel() == "execution time (seconds, logarithmic)"


def test_the_median_and_the_95th_percentile_are_marked():
    figure = histogram([make_attempt(seconds=seconds) for seconds in range(101)], title="")

    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == pytest.approx([50, 95])
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["succeeded 101", "median 50.00 s", "95th percentile 95.00 s"]


def test_clocks_that_differ_do_no_harm():
    assert len(pictures([make_attempt(-3, -1), make_attempt(-2, 4)])) == 2


def test_only_plotting_pays_for_matplotlib():
    code = "import sys, tracker.cli; print('matplotlib' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "False\n"
