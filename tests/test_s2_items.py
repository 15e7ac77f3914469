"""Sentinel-2 items as granules and passes, and the calendar they are dated by."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ard.errors import InvalidInput
from ard.grid import Bounds
from ard.scene import Scene
from loaders.footprint import box_footprint, covered_points, covered_share, footprint_of
from loaders.s2_dates import MONTHS, day_number, month_of, search_interval, within_year
from loaders.s2_items import ASSETS, Collection, deduplicate, granule_of, group

BOX = Bounds(8.0, 46.0, 8.05, 46.05)  # in UTM zone 32
BEFORE = {"s2:generation_time": "2020-03-05T13:21:01Z"}
AFTER = {"s2:generation_time": "2023-06-30T02:24:13Z"}


def scene_of(item):
    west, south, east, north = item["bbox"]
    return Scene(
        id=item["id"],
        collection=item["collection"],
        href=item["id"],
        bounds=Bounds(west, south, east, north),
        geometry=item["geometry"],
        acquired_at=datetime.fromisoformat(item["properties"]["datetime"]),
        properties=item["properties"],
        assets={key: asset["href"] for key, asset in item["assets"].items()},
    )


def scenes_of(path):
    document = json.loads(path.read_text())
    return [scene_of(item) for item in document.get("features", [document])]


def polygon(*corners):
    return {"type": "Polygon", "coordinates": [[list(corner) for corner in (*corners, corners[0])]]}


def rectangle(west, south, east, north):
    return polygon((west, south), (east, south), (east, north), (west, north))


def make_granule(name="S2A_32TMS_20200305_0_L2A", *, at="2020-03-05T10:37:41Z", **overrides):
    properties = {
        "platform": "sentinel-2a",
        "proj:epsg": 32632,
        "grid:code": "MGRS-32TMS",
        "s2:datatake_id": "GS2A_20200305T103021_024558_N02.14",
        "s2:datastrip_id": "S2A_OPER_MSI_L2A_DS_SGS__20200305T132101_S20200305T103210_N02.14",
    } | overrides.pop("properties", {})
    fields = {
        "id": name,
        "collection": "sentinel-2-l2a",
        "href": name,
        "bounds": BOX,
        "geometry": rectangle(7.5, 45.5, 8.5, 46.5),
        "acquired_at": datetime.fromisoformat(at),
        "properties": {key: value for key, value in properties.items() if value is not None},
        "assets": {asset: f"memory:{asset}" for asset in ASSETS},
    }
    return granule_of(Scene(**fields | overrides))


def nameless(name, *, at, **properties):
    return make_granule(name, at=at, properties={"s2:datatake_id": None, "s2:datastrip_id": None} | properties)


def test_earth_search_items_are_read(shared_data):
    (scene,) = scenes_of(shared_data / "stac/earth-search-v1/baselines/S2B_33TWN_20180521_1_L2A.json")

    granule = granule_of(scene)

    assert (granule.collection, granule.platform, granule.mgrs) == (Collection.L2A, "sentinel-2b", "33TWN")
    assert granule.datatake == "GS2B_20180521T100029_006297"
    assert granule.sensing_start == datetime(2018, 5, 21, 10, 7, 22, tzinfo=UTC)
    assert granule.generated_at == datetime(2018, 5, 21, 13, 1, 59, tzinfo=UTC)
    assert (granule.baseline, granule.offset_applied, granule.epsg) == ((2, 7), False, 32633)
    assert granule.href("blue") == scene.assets["blue"]


def test_collection_1_items_are_read(shared_data):
    (scene,) = scenes_of(shared_data / "stac/earth-search-v1/S2B_T38XNF_20250422T091553_L2A.json")

    granule = granule_of(scene)

    assert (granule.collection, granule.mgrs, granule.epsg) == (Collection.C1, "38XNF", 32638)
    assert (granule.baseline, granule.offset_applied) == ((5, 11), None)


def test_what_only_a_product_name_tells_is_taken_from_it(shared_data):
    name = "S2A_OPER_MSI_L2A_TL_2APS_20230602T025701_A041483_T01WCR.json"
    (scene,) = scenes_of(shared_data / "stac/earth-search-v1/baselines" / name)

    granule = granule_of(scene)

    assert (granule.datatake, granule.sensing_start) == ("GS2A_20230602T000611_041483", None)
    assert (granule.mgrs, granule.baseline) == ("01WCR", (5, 9))


def test_planetary_computer_items_are_read(shared_data):
    scene = scenes_of(shared_data / "stac/planetary-computer/s2_tall_strip_africa_9items.geojson")[0]

    granule = granule_of(scene)

    assert (granule.platform, granule.mgrs, granule.epsg) == ("sentinel-2b", "35MNM", 32735)
    assert granule.href("nir08") == scene.assets["B8A"]


def test_every_real_level_2a_item_is_read(shared_data):
    files = sorted((shared_data / "stac/earth-search-v1/baselines").glob("*.json"))

    granules = [granule_of(scene) for file in files for scene in scenes_of(file)]

    assert len(granules) == len(files) > 10
    assert all(granule.datatake and granule.baseline for granule in granules)


def test_the_projection_may_be_a_code():
    assert make_granule(properties={"proj:epsg": None, "proj:code": "EPSG:32722"}).epsg == 32722


def test_version_0_items_are_read():
    granule = make_granule(
        "S2A_1KAB_20200714_0_L2A",
        collection="sentinel-s2-l2a-cogs",
        properties={
            "grid:code": None,
            "s2:datatake_id": None,
            "sentinel:utm_zone": 1,
            "sentinel:latitude_band": "K",
            "sentinel:grid_square": "AB",
            "sentinel:product_id": "S2A_MSIL2A_20200714T113321_N0214_R080_T01KAB_20200714T134521",
            "sentinel:boa_offset_applied": True,
        },
        assets={esa: f"memory:{esa}" for esa in ASSETS.values()},
    )

    assert (granule.mgrs, granule.baseline, granule.offset_applied) == ("01KAB", (2, 14), True)
    assert granule.datatake is None and granule.href("red") == "memory:B04"
    assert granule.generated_at == datetime(2020, 7, 14, 13, 45, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    "overrides",
    [
        {"properties": {"proj:epsg": None}},
        {"properties": {"proj:epsg": 4326}},
        {"properties": {"grid:code": "nowhere"}},
        {"properties": {"platform": "landsat-8"}, "name": "LC08"},
        {"assets": {"blue": "memory:blue"}},
        {"collection": "sentinel-2-l1c"},
        {"at": "2020-03-05T10:37:41"},
        {"geometry": {"type": "Point", "coordinates": [8, 46]}},
        {"geometry": {"type": "Polygon", "coordinates": [[[8, 46], [9, 46]]]}},
    ],
)
def test_an_item_that_lacks_what_is_essential_is_named(overrides):
    with pytest.raises(InvalidInput, match=overrides.get("name", "S2A_32TMS_20200305_0_L2A")):
        make_granule(**overrides)


def test_an_item_without_a_footprint_counts_with_its_box():
    assert make_granule(geometry=None).footprint == box_footprint(BOX)


def test_of_every_scene_processed_twice_the_newer_one_is_kept(shared_data):
    scenes = scenes_of(shared_data / "stac/earth-search-v1/s2-l2a_32T_2020-03_16items_dup_sequences.json")

    kept = deduplicate(map(granule_of, scenes))

    assert len(kept) == 8
    assert all("_1_" in granule.id and granule.baseline == (5, 0) for granule in kept)


def test_the_passes_of_scenes_processed_twice_are_two(shared_data):
    scenes = scenes_of(shared_data / "stac/earth-search-v1/s2-l2a_32T_2020-03_16items_dup_sequences.json")
    box = Bounds(8.98, 47.78, 9.02, 47.82)

    groups = group(deduplicate(map(granule_of, scenes)), box)

    assert [one.id for one in groups] == ["GS2A_20200302T102021_024515", "GS2A_20200305T103021_024558"]
    assert [(one.date.day, len(one.granules), one.coverage) for one in groups] == [(2, 4, 1.0), (5, 4, 1.0)]


def test_a_tall_strip_of_granules_is_one_pass(shared_data):
    scenes = scenes_of(shared_data / "stac/planetary-computer/s2_tall_strip_africa_9items.geojson")

    (strip,) = group(deduplicate(map(granule_of, scenes)), Bounds(27.1, -13.0, 27.15, -12.95))

    assert strip.id == "GS2B_20200606T080609_016978"
    assert len(strip.granules) == 9


def test_collection_1_serves_only_datatakes_that_l2a_lacks(shared_data):
    scenes = scenes_of(shared_data / "stac/earth-search-v1/mixed_brazil_2025-07-31.json")
    granules = [granule_of(scene) for scene in scenes if "-l2a" in scene.collection]
    lacking = granules[0].datatake
    found = [one for one in granules if one.datatake != lacking or one.collection is Collection.C1]

    both = {one.datatake for one in granules if one.collection is Collection.C1}
    c1 = {one.datatake for one in deduplicate(found) if one.collection is Collection.C1}
    l2a = {one.datatake for one in deduplicate(found) if one.collection is Collection.L2A}

    assert lacking in both and lacking in c1 and l2a
    assert not c1 & l2a


def test_two_datastrips_of_a_square_are_two_views_in_one_pass():
    other_strip = "S2A_OPER_MSI_L2A_DS_SGS__20200305T132101_S20200305T103400_N02.14"
    granules = [
        make_granule("S2A_32TMS_20200305_0_L2A"),
        make_granule("S2A_32TMS_20200305_1_L2A", properties={"s2:datastrip_id": other_strip}),
    ]

    (one,) = group(deduplicate(granules), BOX)

    assert len(one.granules) == 2


def test_two_halves_of_a_tile_are_one_whole_pass():
    west = make_granule("west", geometry=rectangle(7.0, 45.5, 8.025, 46.5))
    east = make_granule("east", properties={"grid:code": "MGRS-32TNS"}, geometry=rectangle(8.025, 45.5, 9.0, 46.5))

    (whole,) = group([west, east], BOX)

    assert whole.coverage == 1.0


def test_a_pass_that_sees_too_little_of_the_tile_is_left_out():
    edge = make_granule(geometry=rectangle(7.0, 45.5, 8.02, 46.5))

    assert group([edge], BOX) == ()
    assert len(group([edge], BOX, min_coverage=0.3)) == 1


def test_the_zone_that_sees_more_of_the_tile_comes_first():
    far = rectangle(7.0, 45.5, 8.02, 46.5)
    near = rectangle(8.0, 45.5, 9.0, 46.02)
    granules = [
        make_granule("a", properties={"proj:epsg": 32631}, geometry=far),
        make_granule("b", properties={"grid:code": "MGRS-32TMT"}, geometry=near),
        make_granule("c", geometry=rectangle(8.0, 45.5, 9.0, 46.5)),
    ]

    (one,) = group(granules, BOX)

    assert [granule.id for granule in one.granules] == ["c", "b", "a"]


def test_where_two_zones_see_all_of_the_tile_its_own_comes_first():
    granules = [make_granule("a", properties={"proj:epsg": 32631}), make_granule("b")]

    (one,) = group(granules, BOX)

    assert [granule.epsg for granule in one.granules] == [32632, 32631]


def test_without_ids_a_minute_tells_views_apart():
    granules = [
        nameless("first", at="2020-03-05T10:37:41Z", **BEFORE),
        nameless("again", at="2020-03-05T10:38:10Z", **AFTER),
        nameless("later", at="2020-03-05T12:17:41Z", **BEFORE),
    ]

    assert [granule.id for granule in deduplicate(granules)] == ["again", "later"]


def test_a_granule_with_ids_is_preferred_to_the_same_view_without():
    granules = [make_granule("named", properties=BEFORE), nameless("bare", at="2020-03-05T10:38:10Z", **AFTER)]

    assert [granule.id for granule in deduplicate(granules)] == ["named"]


def test_granules_without_a_datatake_join_the_pass_of_their_minute():
    named = make_granule("named")
    near = nameless("near", at="2020-03-05T10:38:10Z", **{"grid:code": "MGRS-32TNS"})
    later = nameless("later", at="2020-03-05T12:17:41Z")

    groups = group([later, near, named], BOX)

    assert [one.id for one in groups] == ["GS2A_20200305T103021_024558", "sentinel-2a_20200305T121741"]
    assert [granule.id for granule in groups[0].granules] == ["named", "near"]


@given(order=st.permutations(range(16)))
def test_the_order_of_items_does_not_matter(shared_data, order):
    scenes = scenes_of(shared_data / "stac/earth-search-v1/s2-l2a_32T_2020-03_16items_dup_sequences.json")
    granules = [granule_of(scene) for scene in scenes]
    box = Bounds(8.98, 47.78, 9.02, 47.82)

    assert group(deduplicate([granules[i] for i in order]), box) == group(deduplicate(granules), box)


def test_the_area_within_a_box_is_exact_for_a_concave_polygon():
    arrow = footprint_of(polygon((0, 0), (4, 0), (4, 4), (2, 1), (0, 4)))

    assert covered_share(arrow, Bounds(0, 0, 4, 4)) == pytest.approx((16 - 6) / 16, abs=1e-6)
    assert covered_share(arrow, Bounds(0, 2, 4, 4)) == pytest.approx(2 * (2 / 3 * 2 * 2 / 2) / 8, abs=1e-5)


def test_a_hole_is_not_covered():
    ring = rectangle(0, 0, 4, 4)["coordinates"] + rectangle(1, 1, 3, 3)["coordinates"]
    footprint = footprint_of({"type": "Polygon", "coordinates": ring})
    box = Bounds(0, 0, 4, 4)

    assert covered_share(footprint, box) == 0.75
    assert covered_points(footprint, box, samples=4).sum() == 12


def test_polygons_of_a_multipolygon_add_up():
    parts = [rectangle(0, 0, 1, 4)["coordinates"], rectangle(3, 0, 4, 4)["coordinates"]]
    footprint = footprint_of({"type": "MultiPolygon", "coordinates": parts})

    assert covered_share(footprint, Bounds(0, 0, 4, 4)) == 0.5
    assert list(covered_points(footprint, Bounds(0, 0, 4, 4), samples=4)[0]) == [True, False, False, True]


@pytest.mark.parametrize("west", [179.0, -181.0, -179.5])
def test_a_footprint_over_the_antimeridian_covers_both_sides_and_nothing_else(west):
    footprint = footprint_of(polygon((179, -18), (-179, -18), (-179, -17), (179, -17)))
    near = Bounds(west, -17.6, west + 0.1, -17.5)

    assert covered_share(footprint, near) == 1.0
    assert covered_share(footprint, Bounds(20, -17.6, 20.1, -17.5)) == 0.0


@given(
    west=st.floats(-1, 2),
    south=st.floats(-1, 2),
    width=st.floats(0.2, 3),
    height=st.floats(0.2, 3),
    slant=st.floats(-0.5, 0.5),
)
def test_area_and_samples_agree(west, south, width, height, slant):
    footprint = footprint_of(
        polygon(
            (west, south), (west + width, south), (west + width + slant, south + height), (west + slant, south + height)
        )
    )
    box = Bounds(0, 0, 1, 1)

    assert np.isclose(covered_share(footprint, box), covered_points(footprint, box).mean(), atol=0.04)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2023-12-31T23:59:59", 0),
        ("2024-01-01T00:00:00", 1),
        ("2024-02-29T10:00:00", 60),
        ("2024-03-01T10:00:00", 61),
        ("2024-12-31T10:00:00", 366),
        ("2025-01-01T10:00:00", 367),
        ("2023-11-15T00:00:00", -46),
        ("2025-01-31T10:00:00", 397),
    ],
)
def test_days_are_numbered_from_1_january_with_a_sign(moment, day):
    assert day_number(datetime.fromisoformat(moment).replace(tzinfo=UTC), 2024) == day


def test_the_last_day_of_a_common_year_is_365():
    assert day_number(datetime(2023, 12, 31, 10, tzinfo=UTC), 2023) == 365
    assert within_year(365, 2023) and not within_year(366, 2023) and within_year(366, 2024)


def test_scenes_are_searched_from_mid_november_to_mid_february():
    start, end = search_interval(2024)

    assert start == datetime(2023, 11, 15, tzinfo=UTC)
    assert end < datetime(2025, 2, 16, tzinfo=UTC) <= end + timedelta(seconds=1)


def test_months_join_without_a_hole():
    assert [month_of(day).index for day in (-60, 30, 31, 58, 59, 340, 341, 409)] == [0, 0, 1, 1, 2, 10, 11, 11]
    assert month_of(-61) is None and month_of(410) is None


def test_the_outer_months_aim_at_their_middle_within_the_year():
    assert [month.target for month in MONTHS][::11] == [15, 349]
    assert MONTHS[1].target == 45
