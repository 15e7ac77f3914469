"""Whatever a catalogue answers, a search gives scenes as promised, or one of our errors; and it ends, within bounds."""

import copy
import gzip
import json
import math
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ard.adapters.catalog import StacCatalog, scene_of
from ard.errors import ArdError, InvalidInput, Unavailable
from loaders.s1_passes import Pass, is_wanted, passes, slice_of
from loaders.s1_passes import deduplicate as s1_deduplicate
from loaders.s2_items import deduplicate as s2_deduplicate
from loaders.s2_items import granule_of, group
from tests.factories import make_task
from tests.fakes_s1 import FakeSlice
from tests.fakes_s2 import FakeGranule
from tests.faults.fuzzing import examples, run_limited
from tests.servers import Answer, serving
from tests.test_catalog import BOX, ROOT, api, item

COLLECTION = "cop-dem-glo-30"

odd_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=20),
        st.sampled_from(["", "NaN", "2023-05-17T10:30:00Z", "2023-05-17", "\x1b[2J", "../../etc/passwd", "a" * 5_000]),
        st.sampled_from([10**400, -(10**400), 1e308, math.nan, math.inf]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


@st.composite
def damaged(draw, whole):
    """A copy of a JSON value with some of its parts taken away or replaced."""
    value = {"": copy.deepcopy(whole)}
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        where, key = draw(st.sampled_from(places))
        if draw(st.booleans()) or where is value:
            where[key] = draw(odd_values)
        else:
            del where[key]
    return value[""]


def _places(value):
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in list(children):
        yield value, key
        yield from _places(child)


def is_scene(scene):
    """Whether a scene is as its type says, for whoever works with it."""
    return (
        all(isinstance(text, str) for text in (scene.id, scene.collection, scene.href))
        and all(isinstance(side, int | float) and math.isfinite(side) for side in scene.bounds)
        and isinstance(scene.acquired_at, datetime)
        and scene.acquired_at.tzinfo is not None
        and (scene.geometry is None or isinstance(scene.geometry, dict))
        and isinstance(scene.properties, dict)
        and all(isinstance(key, str) and isinstance(href, str) for key, href in scene.assets.items())
    )


class Server:
    """A STAC API whose answers to searches a test sets as it goes."""

    def __init__(self):
        self.search = lambda method, path, headers: Answer()
        self.root = self.usual_root

    def usual_root(self, headers):
        host = f"http://{headers['Host']}"
        search = {"rel": "search", "href": f"{host}/search", "type": "application/geo+json", "method": "POST"}
        return ROOT | {"links": [{"rel": "self", "href": host}, {"rel": "root", "href": host}, search]}

    def answer(self, method, path, headers):
        if path.startswith("/search"):
            return self.search(method, path, headers)
        return Answer(body=json.dumps(self.root(headers)).encode(), headers={"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def one_server():
    server = Server()
    with serving(server.answer) as url:
        yield server, url


@pytest.fixture
def served(one_server):
    server, url = one_server
    server.root = server.usual_root
    return server, url


def search(url):
    """The scenes, or the error of ours that came instead."""
    try:
        return StacCatalog(url, retries=0).search(COLLECTION, BOX)
    except ArdError as error:
        return error


PAGE = {"type": "FeatureCollection", "features": [item("a"), item("b")], "links": []}


@examples(60)
@given(page=damaged(PAGE))
def test_a_damaged_page_gives_scenes_or_an_error_of_ours(served, page):
    server, url = served
    server.search = lambda *_: Answer(body=json.dumps(page).encode())

    found = search(url)

    assert isinstance(found, Unavailable) or all(is_scene(scene) for scene in found)


@examples(30)
@given(body=st.one_of(st.binary(max_size=100), st.integers(0, 400).map(lambda end: json.dumps(PAGE).encode()[:end])))
def test_bytes_that_are_no_page_are_an_error_of_ours(served, body):
    server, url = served
    server.search = lambda *_: Answer(body=body)

    assert isinstance(search(url), Unavailable)


@pytest.mark.filterwarnings("ignore")  # pystac-client warns of what is amiss, and goes on
@examples(30)
@given(data=st.data())
def test_a_damaged_landing_page_gives_scenes_or_an_error_of_ours(served, data):
    server, url = served
    server.search = lambda *_: Answer(body=json.dumps(PAGE).encode())
    root = data.draw(damaged(server.usual_root({"Host": url.removeprefix("http://")})))
    server.root = lambda _: root

    found = search(url)

    assert isinstance(found, ArdError) or all(is_scene(scene) for scene in found)


@examples(100)
@given(one=damaged(item("a")))
def test_a_damaged_item_is_a_scene_as_promised_or_none(one):
    try:
        scene = scene_of(one)
    except (KeyError, ValueError):
        return

    assert is_scene(scene)


def test_the_same_id_on_a_thousand_items_is_one_scene():
    with api([[item("a")] * 1_000]) as url:
        assert [scene.id for scene in StacCatalog(url).search(COLLECTION, BOX)] == ["a"]


def test_pages_that_never_end_are_no_complete_answer(served):
    server, url = served
    ways = [{}, {"method": "POST", "body": {"token": "again"}}, {"method": "POST", "merge": True}]
    asked = []

    def once_more(method, path, headers):
        asked.append(path)
        links = [{"rel": "next", "href": f"{url}/search", **ways[len(asked) % len(ways)]}]
        return Answer(body=json.dumps(PAGE | {"links": links}).encode())

    server.search = once_more

    assert isinstance(search(url), Unavailable)
    assert len(asked) <= 200


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("href", ["/etc/hostname", "file:///etc/hostname", "file://localhost/etc/hostname", "", "a b"])
def test_a_catalogue_cannot_make_a_worker_read_its_own_files(served, href):
    server, url = served
    server.root = lambda headers: ROOT | {"links": [{"rel": "search", "href": href, "type": "application/json"}]}
    server.search = lambda *_: Answer(404)

    found = search(url)

    assert isinstance(found, ArdError)


@pytest.mark.filterwarnings("ignore")
def test_a_landing_page_that_promises_no_search_is_no_complete_answer(served):
    server, url = served
    server.root = lambda headers: {k: v for k, v in server.usual_root(headers).items() if k != "conformsTo"}
    server.search = lambda *_: Answer(body=json.dumps(PAGE).encode())

    assert isinstance(search(url), Unavailable)


def test_an_empty_page_with_a_next_page_is_not_the_end():
    with api([[item("a")], [], [item("b")]]) as url:
        assert [scene.id for scene in StacCatalog(url).search(COLLECTION, BOX)] == ["a", "b"]


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"type":' * 200_000, b'{"a": 1' + b"0" * 100_000 + b"}"])
def test_a_page_that_no_parser_can_take_is_no_complete_answer(served, body):
    server, url = served
    server.search = lambda *_: Answer(body=body)

    assert isinstance(search(url), Unavailable)


# What loaders make of items that are none of theirs


def seen_by_s1(scenes):
    readable = []
    for scene in filter(is_wanted, scenes):
        with suppress(InvalidInput):
            readable.append(slice_of(scene, TILE))
    return passes(s1_deduplicate(readable))


def seen_by_s2(scenes):
    readable = []
    for scene in scenes:
        with suppress(InvalidInput):
            readable.append(granule_of(scene))
    return group(s2_deduplicate(readable), TILE)


def scenes_of(one):
    parts = one.slices if isinstance(one, Pass) else one.granules
    return [part.scene for part in parts]


TILE = make_task().tile.grid(10).bounds
NOON = datetime(2023, 5, 17, 13, 55, tzinfo=UTC)
SOURCES = {
    "s1": (seen_by_s1, FakeSlice(started_at=NOON), FakeSlice(started_at=NOON - timedelta(days=12))),
    "s2": (
        seen_by_s2,
        FakeGranule(id="B", acquired_at=NOON),
        FakeGranule(id="A", acquired_at=NOON - timedelta(days=10)),
    ),
}


@pytest.mark.parametrize("name", SOURCES)
@examples(120)
@given(data=st.data())
def test_items_with_odd_properties_are_used_or_left_out(name, data):
    look, whole, other = (one if callable(one) else one.scene() for one in SOURCES[name])
    parts = data.draw(damaged({"properties": dict(whole.properties), "geometry": whole.geometry}))
    assume(isinstance(parts, dict) and all(isinstance(parts.get(key), dict) for key in ("properties", "geometry")))

    found = look([replace(whole, **parts), other])

    assert other in {scene.id: scene for one in found for scene in scenes_of(one)}.values()


HUGE = """
import sys
from ard.adapters.catalog import StacCatalog
from ard.errors import Unavailable
from tests.test_catalog import BOX

def main():
    try:
        StacCatalog(sys.argv[1], retries=0).search("cop-dem-glo-30", BOX)
    except Unavailable as error:
        return str(error)[:200]
"""


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_an_answer_without_end_is_not_read_to_its_end(served, packed):
    server, url = served
    body = b'{"type": "FeatureCollection", "features": [' + b" " * (400 * 2**20)
    body = gzip.compress(body, compresslevel=1) if packed else body
    headers = {"Content-Encoding": "gzip"} if packed else {}
    server.search = lambda *_: Answer(body=body, headers=headers)

    run = run_limited(HUGE, megabytes=2_048, argument=url)

    assert run.told and run.megabytes < 150
