"""The STAC adapter: complete answers or an error."""

import json
from datetime import UTC, datetime

import pytest

from ard.adapters.catalog import StacCatalog
from ard.errors import Auth, InvalidInput, Unavailable
from ard.grid import Bounds
from ard.scene import Interval
from tests.servers import Answer, serving

BOX = Bounds(-55, -6, -54, -5)
ROOT = {
    "type": "Catalog", "id": "test", "description": "", "stac_version": "1.0.0", "title": "",
    "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
}  # fmt: skip


def item(name, **properties):
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "cop-dem-glo-30",
        "bbox": [-55, -6, -54, -5], "geometry": {"type": "Point", "coordinates": [-54.5, -5.5]},
        "properties": {"datetime": "2021-04-22T00:00:00Z", **properties},
        "assets": {"data": {"href": f"s3://copernicus-dem-30m/{name}.tif"}},
        "links": [{"rel": "self", "href": f"https://catalogue.test/{name}"}],
    }  # fmt: skip


def api(pages, failures=()):
    """A STAC API with those pages of items; ``failures`` are answers given to searches first."""
    waiting = list(failures)

    def answer(method, path, headers):
        host = f"http://{headers['Host']}"
        if not path.startswith("/search"):
            root = ROOT | {"links": [{"rel": "self", "href": host}, {"rel": "root", "href": host},
                                     {"rel": "search", "href": f"{host}/search", "type": "application/geo+json",
                                      "method": "POST"}]}  # fmt: skip
            return Answer(body=json.dumps(root).encode(), headers={"Content-Type": "application/json"})
        if waiting:
            return waiting.pop(0)
        number = int(path.partition("page=")[2] or 0)
        links = [{"rel": "next", "href": f"{host}/search?page={number + 1}"}] if number + 1 < len(pages) else []
        page = {"type": "FeatureCollection", "features": pages[number], "links": links}
        return Answer(body=json.dumps(page).encode(), headers={"Content-Type": "application/geo+json"})

    return serving(answer)


def test_every_page_is_read_and_scenes_come_once_in_order_of_their_ids():
    with api([[item("b"), item("c")], [item("a"), item("b")]]) as url:
        scenes = StacCatalog(url).search("cop-dem-glo-30", BOX)

    assert [scene.id for scene in scenes] == ["a", "b", "c"]
    assert scenes[0].assets == {"data": "s3://copernicus-dem-30m/a.tif"}
    assert scenes[0].href == "https://catalogue.test/a"
    assert scenes[0].acquired_at == datetime(2021, 4, 22, tzinfo=UTC)


def test_an_empty_answer_is_an_answer():
    with api([[]]) as url:
        assert (
            StacCatalog(url).search(
                "cop-dem-glo-30", BOX, Interval(datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 2, 1, tzinfo=UTC))
            )
            == ()
        )


def test_a_passing_fault_of_one_request_is_retried():
    with api([[item("a")]], failures=[Answer(503, headers={"Retry-After": "0"})]) as url:
        assert len(StacCatalog(url).search("cop-dem-glo-30", BOX)) == 1


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Answer(401), Auth),
        (Answer(403), Auth),
        (Answer(400, b"bad bbox"), InvalidInput),
        (Answer(501), Unavailable),
        (Answer(200, b'{"type": "FeatureColl'), Unavailable),
        (Answer(200, b"<html>maintenance</html>"), Unavailable),
        (Answer(200, b'{"code": "busy"}'), Unavailable),
        (Answer(200, b'{"features": ' + b" " * 500, cut_at=100), Unavailable),
    ],
)
def test_anything_but_a_complete_answer_is_an_error(failure, error):
    with api([[item("a")]], failures=[failure] * 9) as url, pytest.raises(error):
        StacCatalog(url).search("cop-dem-glo-30", BOX)


def test_a_fault_on_the_second_page_is_an_error_not_half_a_list():
    with api([[item("a")], "not a list"]) as url, pytest.raises(Unavailable):
        StacCatalog(url).search("cop-dem-glo-30", BOX)


def test_an_outage_between_the_landing_page_and_its_root_is_unavailable_and_no_bug_of_ours():
    """As rustac and others answer: the root's address ends with a slash, so that pystac asks for it once more."""
    asked = []

    def answer(method, path, headers):
        asked.append(path)
        host = f"http://{headers['Host']}"
        search = {"rel": "search", "href": f"{host}/search", "type": "application/geo+json", "method": "POST"}
        links = [{"rel": "root", "href": f"{host}/"}, search]
        body = json.dumps(ROOT | {"links": links}).encode()
        return Answer(body=body) if len(asked) == 1 else Answer(501)

    with serving(answer) as url, pytest.raises(Unavailable):
        StacCatalog(url).search("cop-dem-glo-30", BOX)


def test_nobody_listening_is_unavailable():
    with api([[]]) as url:
        pass

    with pytest.raises(Unavailable):
        StacCatalog(url, retries=0).search("cop-dem-glo-30", BOX)


@pytest.mark.parametrize(
    "name", ["earth-search-v1/cop-dem-glo-30_10items.json", "planetary-computer/cop-dem-glo-30-pc.json"]
)
def test_real_items_become_scenes(shared_data, name):
    page = json.loads((shared_data / "stac" / name).read_text())
    features = page["features"] if isinstance(page, dict) else page
    with api([features]) as url:
        scenes = StacCatalog(url).search("cop-dem-glo-30", BOX)

    assert len(scenes) == len(features)
    assert all(scene.assets["data"].endswith(".tif") for scene in scenes)
    assert all(scene.collection == "cop-dem-glo-30" for scene in scenes)
