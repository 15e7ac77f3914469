"""Whatever is dropped in the inbox is a job, or a rejection that leaves nothing behind but its answer."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.csv_io import read_csv_request
from producer.intake import Dropped, Outcome, take_in
from producer.json_io import read_geojson_request
from producer.request import DEFAULT_LIMITS, RequestOptions, RequestRejected
from tests.faults.fuzzing import THOROUGH, examples, run_limited
from tests.producing import BUCKET, NOW, drained, make_index, mocked_world

KEY = "requests/any.json"
INDEX = make_index(10)
HEADER = "Year,X,Y,Y_tile,X_tile\n"

numbers = st.sampled_from([0, 1, -1, 2023, 10**30, 4.5, 1e308, "NaN", "Infinity", "1" + "0" * 5_000])
odd = st.one_of(
    numbers,
    st.sampled_from([None, True, "", "\x1b[2J", "\u202e", "\ud800", "../..", "s3://other/ttc", "1X2Y", [], {}, [[]]]),
    st.text(max_size=10),
)
tiles = st.one_of(st.sampled_from(["1X2Y", "2X4Y", "3X6Y", "9X9Y", "01X2Y", "1x2y", "-1X2Y", "1X2Y\n"]), odd)
years = st.sampled_from(["2023", "2024", "1899", "02023", "\uff12\uff10\uff12\uff13", ""])
options = st.dictionaries(
    st.sampled_from(
        [
            "label",
            "dest",
            "products",
            "overwrite",
            "formats",
            "on_unknown_tile",
            "max_cost_usd",
            "retries",
            "rerun",
            "x",
        ]
    ),
    st.one_of(odd, st.sampled_from(["skip", ["dem"], ["cog", "hkl"], "s3://tof-output/x", "s3://tof-output/../y", 5])),
    max_size=4,
)
by_name = st.dictionaries(
    st.one_of(st.text(max_size=6), st.sampled_from(["gha", "aoi", "years", "__proto__", "$x"])),
    st.one_of(
        odd,
        st.dictionaries(
            years, st.one_of(odd, st.fixed_dictionaries({"missing_tiles": st.lists(tiles, max_size=4)})), max_size=2
        ),
    ),
    max_size=2,
)
degrees = st.one_of(st.floats(-61, -58), st.floats(), st.sampled_from([-60, -59.9, 180, -180, 91, 1e300]), odd)
corners = [[-60.1, -30.1], [-59.5, -30.1], [-59.5, -29.5], [-60.1, -29.5], [-60.1, -30.1]]
rings = st.one_of(
    st.just(corners),
    st.lists(st.lists(degrees, min_size=1, max_size=3), max_size=6),
    st.lists(st.sampled_from(corners), min_size=3, max_size=6).map(lambda ring: [*ring, ring[0]]),
)
geometries = st.one_of(
    st.fixed_dictionaries({"type": st.just("Polygon"), "coordinates": st.lists(rings, max_size=3)}),
    st.fixed_dictionaries({"type": st.just("MultiPolygon"), "coordinates": st.lists(st.lists(rings, max_size=2))}),
    st.fixed_dictionaries({"type": odd, "coordinates": odd}),
)
areas = st.one_of(
    geometries,
    st.fixed_dictionaries({"type": st.just("Feature"), "geometry": geometries, "properties": odd}),
    st.fixed_dictionaries(
        {
            "type": st.just("FeatureCollection"),
            "features": st.lists(
                st.fixed_dictionaries({"type": st.just("Feature"), "geometry": geometries}), max_size=3
            ),
            "crs": odd,
        }
    ),
)
by_area = st.fixed_dictionaries({"aoi": areas, "years": st.one_of(st.just([2023]), st.lists(numbers, max_size=3), odd)})
documents = st.tuples(st.one_of(by_name, by_area), st.one_of(st.none(), options, odd)).map(
    lambda parts: parts[0] if parts[1] is None else {**parts[0], "$options": parts[1]}
)


def spelled(document) -> bytes:
    """The document as JSON, with numbers where a text only stands for one that Python cannot have."""
    text = json.dumps(document)
    for number in ("NaN", "Infinity", "1" + "0" * 5_000):
        text = text.replace(f'"{number}"', number)
    return text.encode()


requests = st.one_of(
    documents.map(spelled),
    st.tuples(documents.map(spelled), st.integers(0, 200)).map(lambda parts: parts[0][: parts[1]]),
    st.binary(max_size=60),
)


@pytest.fixture(scope="module")
def world():
    with mocked_world(products=("dem",)) as made:
        yield made


def everything(world):
    """Every item of the table, every object but the answers, and every message: none of it, for a rejection."""
    items = world.dynamodb.scan(TableName=world.services.table.name)["Items"]
    objects = [key for key in world.services.control.list("") if not key.startswith(("requests/", "receipts/"))]
    return items, objects, drained(world.services.chunk_queue)


@examples(150)
@given(content=requests)
def test_a_request_is_a_job_or_a_rejection_without_a_trace(world, content):
    world.services.control.put(KEY, content)

    taken = take_in(Dropped(bucket=BUCKET, key=KEY), services=world.services, now=NOW)

    items, objects, messages = everything(world)
    if taken.outcome is Outcome.JOB:
        assert items and objects and world.services.control.get(f"receipts/{KEY}.receipt.json")
        for item in items:
            world.dynamodb.delete_item(TableName=world.services.table.name, Key={k: item[k] for k in ("PK", "SK")})
        for key in objects:
            world.services.control.delete(key)
        return
    assert taken.outcome is Outcome.REJECTED
    assert (items, objects, messages) == ([], [], [])
    answer = json.loads(world.services.control.get(f"receipts/{KEY}.rejected.json"))
    assert answer["total"] >= 1
    assert all((problem["pointer"] + problem["message"]).isprintable() for problem in answer["problems"])


def test_some_of_these_requests_are_jobs(world):
    good = {"aoi": {"type": "Polygon", "coordinates": [corners]}, "years": [2023]}
    world.services.control.put(KEY, spelled(good))

    assert take_in(Dropped(bucket=BUCKET, key=KEY), services=world.services, now=NOW).outcome is Outcome.JOB


def read_or_reject(read):
    """What reading comes to: a request, or problems that can be shown to a person."""
    try:
        return read()
    except RequestRejected as error:
        assert error.total >= 1 and str(error).replace("\n", "").isprintable()
        return None


cells = st.one_of(
    st.sampled_from(
        ["2023", "-59.9444", "-29.9722", "1", "2", "", '"', '"1"', "nan", "1e999", "\x00", "\x1b", "\uff19"]
    ),
    st.text(max_size=5),
)


@examples(150)
@given(
    header=st.one_of(st.just(HEADER), st.permutations(HEADER.strip().split(",")).map(lambda n: ",".join(n) + "\n")),
    rows=st.lists(st.lists(cells, max_size=7), max_size=6),
    end=st.sampled_from(["", "\n", "\r", "\r\n", '"', "\x00"]),
)
def test_a_table_is_a_request_or_a_rejection(header, rows, end):
    raw = (header + "\n".join(map(",".join, rows)) + end).encode(errors="surrogatepass")

    read_or_reject(lambda: read_csv_request(raw, index=INDEX, options=RequestOptions()))


@examples(150)
@given(area=st.one_of(areas.map(spelled), st.binary(max_size=40)))
def test_an_area_is_a_request_or_a_rejection(area):
    found = read_or_reject(lambda: read_geojson_request(area, years=[2023], index=INDEX))

    assert found is None or len(found)


# The worst that fits into the limits, in a process with the memory of the inbox's function

INBOX_MEGABYTES = 1_769
INBOX_SECONDS = 300
PROGRAM = """
import sys
import numpy as np
from producer.json_io import read_json_request
from producer.csv_io import read_csv_request
from producer.request import RequestOptions, RequestRejected
from producer.tile_index import TileIndex
from tests.faults.test_fuzz_requests import WORST

def main():
    x, y = (side.ravel() for side in np.meshgrid(np.arange(1700), np.arange(1700)))
    index = TileIndex.from_columns(x_tile=x, y_tile=y, lon=x / 18 - 60.0, lat=y / 18 - 45.0)
    raw = WORST[sys.argv[1]]().encode()
    try:
        if raw.startswith(b"Year"):
            return len(read_csv_request(raw, index=index, options=RequestOptions()))
        return len(read_json_request(raw, index=index))
    except RequestRejected as error:
        return str(error)[:200]
"""


SIZE = DEFAULT_LIMITS.max_bytes - 200
BEGIN, END = '{"a": {"2023": {"missing_tiles": [', "]}}}"
WORST: dict[str, Callable[[], str]] = {
    "tiles": lambda: BEGIN + ",".join(f'"{n % 1700}X{n // 1700}Y"' for n in range(SIZE // 15)) + END,
    "one tile again and again": lambda: BEGIN + ",".join(['"1X2Y"'] * (SIZE // 7)) + END,
    "wrong tiles": lambda: BEGIN + ",".join(['"x"'] * (SIZE // 4)) + END,
    "a name again and again": lambda: "{" + ",".join(['"a":1'] * (SIZE // 6)) + "}",
    "names": lambda: "{" + ",".join(f'"{n:x}":1' for n in range(SIZE // 11)) + "}",
    "options": lambda: '{"$options": {' + ",".join(f'"{n:x}":1' for n in range(SIZE // 11)) + "}}",
    "fractions": lambda: '{"a": [' + ",".join(["1.5"] * (SIZE // 4)) + "]}",
    "brackets": lambda: "[" * SIZE,
    "closed brackets": lambda: "[" + "[]," * (SIZE // 3) + "[]]",
    "quotes": lambda: '"' * SIZE,
    "backslashes": lambda: '"' + "\\" * SIZE,
    "blanks": lambda: " " * SIZE,
    "digits": lambda: "1" * SIZE,
    "a row again and again": lambda: HEADER + "2023,0,0,1,1\n" * (SIZE // 13),
    "commas": lambda: HEADER + "," * SIZE,
    "large polygons over one another": lambda: overlapping(39_000, degrees=95.0),
    "small polygons over one another": lambda: overlapping(39_000, degrees=0.1),
}
NAMED = ["names", "brackets", "backslashes", "large polygons over one another"]


def overlapping(count: int, *, degrees: float) -> str:
    """Squares that hold one another."""
    steps = ((n * degrees / count / 2, degrees - n * degrees / count / 2) for n in range(count))
    boxes = [
        [[[-60 + a, -45 + a], [-60 + b, -45 + a], [-60 + b, -45 + b], [-60 + a, -45 + b], [-60 + a, -45 + a]]]
        for a, b in steps
    ]
    return json.dumps({"aoi": {"type": "MultiPolygon", "coordinates": boxes}, "years": [2023]})


@pytest.mark.parametrize("name", WORST if THOROUGH else NAMED)
def test_the_largest_requests_fit_into_the_inbox(name):
    run = run_limited(PROGRAM, megabytes=INBOX_MEGABYTES + 1_000, seconds=INBOX_SECONDS, argument=name)

    assert run.told is not None and run.megabytes < INBOX_MEGABYTES - 300
