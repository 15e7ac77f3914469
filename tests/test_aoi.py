"""Requests for an area: which tiles it touches, and what may be wrong with it."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import shapely
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from ard.tile import Tile
from producer.files import kind_of, read_for
from producer.intake import Dropped, Outcome, take_in
from producer.json_io import read_geojson_request, read_json_request
from producer.plan import plan_of
from producer.request import Limits, RequestOptions, RequestRejected
from producer.tile_index import TileIndex
from tests.producing import BUCKET, NOW, make_settings, mocked_world

SIDE = 40  # tiles 100X200Y ... 139X239Y, their edges on multiples of 1/18 degree, from -1 to 1.22
X0, Y0 = 100, 200
_y, _x = np.divmod(np.arange(SIDE * SIDE), SIDE)
# Rounded as in the real index, so that the boxes of neighbours overlap a little, or leave a gap.
INDEX = TileIndex.from_columns(
    x_tile=X0 + _x, y_tile=Y0 + _y, lon=np.round((_x + 0.5) / 18 - 1, 4), lat=np.round((_y + 0.5) / 18 - 1, 4)
)
WHOLE = [[-2, -2], [2, -2], [2, 2], [-2, 2], [-2, -2]]


def square(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def edges(x, y, *, columns=1, rows=1):
    """The ring around tiles from x, y on, along the unrounded edges."""
    return square((x - X0) / 18 - 1, (y - Y0) / 18 - 1, (x - X0 + columns) / 18 - 1, (y - Y0 + rows) / 18 - 1)


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry):
    return {"type": "Feature", "properties": {"name": {"en": "somewhere"}}, "geometry": geometry}


def collection(*geometries):
    return {"type": "FeatureCollection", "features": [feature(geometry) for geometry in geometries]}


def read(area, *, years=(2023,), others=None, options=None, **arguments):
    request = {"aoi": area, "years": list(years), **(others or {})}
    if options is not None:
        request["$options"] = options
    return read_json_request(json.dumps(request).encode(), index=INDEX, **arguments)


def tiles(request):
    return list(zip(request.x_tile.tolist(), request.y_tile.tolist(), strict=True))


def rejection(request, **arguments):
    raw = request if isinstance(request, bytes) else json.dumps(request).encode()
    with pytest.raises(RequestRejected) as caught:
        read_json_request(raw, index=INDEX, **arguments)
    return [(problem.place, problem.message) for problem in caught.value.problems]


def area_problems(area, **arguments):
    return rejection({"aoi": area, "years": [2023]}, **arguments)


# Which tiles


@st.composite
def polygons_around_a_point(draw):
    """A star-shaped polygon, often with a hole of the same shape: valid whatever is drawn."""
    lon, lat = draw(st.floats(-1.2, 1.4)), draw(st.floats(-1.2, 1.4))
    size = draw(st.sampled_from([0.02, 0.1, 0.5, 1.5]))
    radii = np.array(draw(st.lists(st.floats(0.3, 1.0), min_size=3, max_size=12))) * size
    angles = np.linspace(0, 2 * math.pi, len(radii), endpoint=False) + draw(st.floats(0, 1))
    spokes = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    scales = [1.0] + ([draw(st.floats(0.2, 0.95))] if draw(st.booleans()) else [])
    rings = [(spokes * scale + [lon, lat]).tolist() for scale in scales]
    return polygon(*([*ring, ring[0]] for ring in rings))


def reached_tiles(*geometries):
    """One tile after the other: those that an area reaches into by more than 11 m."""
    shapes = [shapely.from_geojson(json.dumps(geometry)) for geometry in geometries]
    found = []
    for x, y, lon, lat in zip(X0 + _x, Y0 + _y, INDEX.lon, INDEX.lat, strict=True):
        west, south, east, north = Tile(x=int(x), y=int(y), lon=float(lon), lat=float(lat)).grid(10).bounds
        box = shapely.box(west + 1e-4, south + 1e-4, east - 1e-4, north - 1e-4)
        if any(shape.intersects(box) for shape in shapes):
            found.append((int(x), int(y)))
    return sorted(found)


@settings(deadline=None, max_examples=60)
@given(geometries=st.lists(polygons_around_a_point(), min_size=1, max_size=4))
def test_the_tiles_of_an_area_are_those_that_one_look_at_every_tile_finds(geometries):
    expected = reached_tiles(*geometries)

    if expected:
        assert tiles(read(collection(*geometries))) == expected
    else:
        assert "found none of the tile index" in area_problems(collection(*geometries))[0][1]


def test_a_shared_edge_is_not_enough():
    assert tiles(read(polygon(edges(110, 210, columns=2)))) == [(110, 210), (111, 210)]


@pytest.mark.parametrize("row", [0, 333, 815, 1202])
def test_the_own_box_of_a_tile_is_the_area_of_that_tile_alone(row):
    tile = Tile(x=int(X0 + _x[row]), y=int(Y0 + _y[row]), lon=float(INDEX.lon[row]), lat=float(INDEX.lat[row]))

    assert tiles(read(polygon(square(*tile.grid(10).bounds)))) == [(tile.x, tile.y)]


def test_a_plot_on_the_seam_of_two_tiles_selects_both():
    seam = 5 / 18 - 1
    plot = square(seam - 6e-5, 0.02, seam + 6e-5, 0.0201)

    assert tiles(read(polygon(plot))) == [(104, 218), (105, 218)]


def test_an_area_within_one_tile_selects_it():
    assert tiles(read(polygon(square(0.01, 0.01, 0.011, 0.011)))) == [(118, 218)]


def test_tiles_within_a_hole_are_left_out():
    found = tiles(read(polygon(edges(100, 200, columns=40, rows=40), edges(101, 201, columns=38, rows=38))))

    rim = {0, SIDE - 1}
    assert found == sorted((X0 + x, Y0 + y) for x in range(SIDE) for y in range(SIDE) if x in rim or y in rim)


def test_a_tile_that_a_hole_covers_in_part_is_kept():
    assert len(read(polygon(WHOLE, square(0.001, 0.001, 0.05, 0.05)))) == SIDE * SIDE


def test_where_two_areas_overlap_both_count():
    lower, upper = edges(100, 200, columns=30, rows=30), edges(110, 210, columns=30, rows=30)

    found = tiles(read(collection(polygon(lower), polygon(upper))))

    assert len(found) == 2 * 30 * 30 - 20 * 20
    assert (120, 220) in found


def test_polygons_of_a_multipolygon_may_share_an_edge():
    area = {"type": "MultiPolygon", "coordinates": [[edges(100, 200)], [edges(101, 200)]]}

    assert tiles(read(area)) == [(100, 200), (101, 200)]


ONE = polygon(edges(110, 210))


@pytest.mark.parametrize(
    "area",
    [
        ONE,
        {"type": "MultiPolygon", "coordinates": [ONE["coordinates"]]},
        {"type": "GeometryCollection", "geometries": [ONE]},
        {"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection", "geometries": [ONE]}]},
        feature(ONE),
        feature({"type": "GeometryCollection", "geometries": [ONE]}),
        collection(ONE, ONE),
        {**ONE, "bbox": [0, 0, 1, 1], "id": "a", "foreign": [[1]]},
        polygon([[*position, 310.5] for position in edges(110, 210)]),
        polygon(edges(110, 210)[::-1]),
    ],
)
def test_every_form_of_the_same_area_selects_the_same(area):
    assert tiles(read(area)) == [(110, 210)]


@pytest.mark.parametrize(
    "name", ["urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4326", "OGC:CRS84"]
)
def test_wgs84_may_be_named(name):
    area = {**collection(ONE), "crs": {"type": "name", "properties": {"name": name}}}

    assert tiles(read(area)) == [(110, 210)]


def test_each_year_has_all_tiles_once():
    request = read(polygon(edges(110, 210, columns=2)), years=[2024, 2023, 2024])

    assert request.year.tolist() == [2023, 2023, 2024, 2024]
    assert tiles(request) == [(110, 210), (111, 210)] * 2
    assert request.duplicates == 0


def test_the_same_tiles_by_name_and_by_area_are_the_same_job():
    options = {"dest": "s3://tof-output/ttc", "products": ["dem"]}
    names = {"gha": {"2023": {"missing_tiles": ["111X210Y", "110X210Y"]}}, "$options": options}

    by_name = plan_of(read_json_request(json.dumps(names).encode(), index=INDEX))
    by_area = plan_of(read(polygon(edges(110, 210, columns=2)), options=options))

    assert by_area.digest == by_name.digest


@pytest.mark.parametrize(("west", "south"), [(-55, -6), (100, 15), (25, 0)])
def test_one_degree_of_the_real_index_has_the_tiles_whose_centres_it_holds_and_those_across_its_edges(
    shared_data, west, south
):
    index = TileIndex.open(shared_data / "tiledb.parquet")
    raw = json.dumps(polygon(square(west, south, west + 1, south + 1))).encode()

    request = read_geojson_request(raw, years=[2023], index=index)

    reach = 1 / 36 - 1e-4
    near = (np.abs(index.lon - west - 0.5) < 0.5 + reach) & (np.abs(index.lat - south - 0.5) < 0.5 + reach)
    assert len(request) == near.sum()
    assert len(request) >= 18 * 18


# What else a file says


def test_options_stand_beside_an_area():
    assert read(ONE, options={"label": "Ghana"}).options.label == "Ghana"


@pytest.mark.parametrize("name", ["aoi", "years", "type"])
def test_a_project_may_be_called_as_the_parts_of_an_area_are(name):
    request = {name: {"2023": {"missing_tiles": ["110X210Y"]}}, "gha": {"2023": {"missing_tiles": ["111X210Y"]}}}

    assert tiles(read_json_request(json.dumps(request).encode(), index=INDEX)) == [(110, 210), (111, 210)]


def test_an_area_stands_alone():
    projects = {"gha/1": {"2023": {"missing_tiles": ["110X210Y"]}}}

    with pytest.raises(RequestRejected) as caught:
        read(ONE, others=projects)

    assert [str(problem) for problem in caught.value.problems] == [
        "/gha~11: expected no project beside aoi; make it a request of its own"
    ]


@pytest.mark.parametrize("area", [ONE, feature(ONE), collection(ONE)])
def test_geojson_alone_is_told_where_it_goes(area):
    assert rejection(area) == [("", 'expected {"aoi": GeoJSON, "years": [...]}, found GeoJSON without years')]


def test_an_area_without_years_is_refused():
    assert rejection({"aoi": ONE}) == [("", "expected years beside aoi, found none")]


@pytest.mark.parametrize(
    ("years", "place", "message"),
    [
        ([], "/years", "expected a list of years, found an empty one"),
        (2023, "/years", "expected a list of years, found 2023"),
        (None, "/years", "expected a list of years, found null"),
        ([2023, 2014], "/years/1", "expected a year from 2015 to 2100 as a number, found 2014"),
        ([True], "/years/0", "expected a year from 2015 to 2100 as a number, found true"),
        (["2023"], "/years/0", "expected a year from 2015 to 2100 as a number, found '2023'"),
        ([2023.0], "/years/0", "expected a year from 2015 to 2100 as a number, found 2023.0"),
    ],
)
def test_years_are_numbers_in_a_list(years, place, message):
    assert rejection({"aoi": ONE, "years": years}) == [(place, message)]


@pytest.mark.parametrize(
    ("area", "place", "message"),
    [
        (
            {"type": "Point", "coordinates": [0, 0]},
            "/aoi/type",
            "expected Polygon, .* or FeatureCollection, .* 'Point'",
        ),
        ({"type": 7}, "/aoi/type", "expected Polygon, .*, found 7"),
        (collection(feature(ONE)), "/aoi/features/0/geometry/type", ".* or GeometryCollection, found 'Feature'"),
        ({"type": "FeatureCollection", "features": [ONE]}, "/aoi/features/0/type", "expected Feature, found 'Polygon'"),
        ({"type": "GeometryCollection", "geometries": [{}]}, "/aoi/geometries/0", "expected .*, found no type"),
        (feature(None), "/aoi/geometry", "expected an object, found null"),
        ({"type": "Feature"}, "/aoi", "expected a geometry, found none"),
        ({"type": "Polygon"}, "/aoi", "expected coordinates, found none"),
        ({"type": "FeatureCollection", "features": []}, "/aoi/features", ".* something in it, found an empty list"),
        ({"type": "GeometryCollection", "geometries": []}, "/aoi/geometries", ".*, found an empty list"),
        ({"type": "MultiPolygon", "coordinates": []}, "/aoi/coordinates", ".*, found an empty list"),
        ({"type": "MultiPolygon", "coordinates": [[]]}, "/aoi/coordinates/0", ".* polygon, found an empty list"),
        ({"type": "MultiPolygon", "coordinates": [3]}, "/aoi/coordinates/0", ".* polygon, found 3"),
        (polygon(), "/aoi/coordinates", ".*, found an empty list"),
        (polygon("ring"), "/aoi/coordinates/0", "expected a list of positions, found 'ring'"),
        (polygon(WHOLE[:3]), "/aoi/coordinates/0", "expected a ring of at least 4 positions, found 3"),
        (polygon(WHOLE[:4]), "/aoi/coordinates/0", r"expected a closed ring, found it from \[-2, -2\] to \[-2, 2\]"),
        (polygon([*WHOLE, 7]), "/aoi/coordinates/0/5", r"expected a position \[longitude, latitude\], found 7"),
        (polygon([[1], *WHOLE]), "/aoi/coordinates/0/0", "expected a position .*, found 1 values"),
        (polygon([[1, 2, 3, 4], *WHOLE]), "/aoi/coordinates/0/0", "expected a position .*, found 4 values"),
        (polygon([[1, 2, "3"], *WHOLE]), "/aoi/coordinates/0/0/2", "expected an altitude as a number, found '3'"),
        (polygon([[181, 0], *WHOLE]), "/aoi/coordinates/0/0/0", "expected a longitude from -180 to 180, found 181"),
        (polygon([[0, -90.5], *WHOLE]), "/aoi/coordinates/0/0/1", "expected a latitude from -90 to 90, found -90.5"),
        (polygon([[math.nan, 0], *WHOLE]), "/aoi/coordinates/0/0/0", "expected a longitude .*, found NaN"),
        (polygon([[0, -math.inf], *WHOLE]), "/aoi/coordinates/0/0/1", "expected a latitude .*, found -Infinity"),
        (polygon([["0", 0], *WHOLE]), "/aoi/coordinates/0/0/0", "expected a longitude .*, found '0'"),
        (polygon([[0, True], *WHOLE]), "/aoi/coordinates/0/0/1", "expected a latitude .*, found true"),
        (polygon([[0, 10**400], *WHOLE]), "/aoi/coordinates/0/0/1", "expected a latitude .*, found 10000"),
        (polygon([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]), "/aoi/coordinates", ".* valid polygon, found: Self-inter"),
        (polygon([[0, 0]] * 4), "/aoi/coordinates", "expected a valid polygon, found: Too few points"),
        (polygon(edges(110, 210), edges(113, 210)), "/aoi/coordinates", ".* valid polygon, found: Hole lies outside"),
        (polygon(square(-170, 0, 170, 1)), "/aoi/coordinates/0/1", "expected polygons cut at the antimeridian"),
        ({**ONE, "crs": None}, "/aoi/crs", "expected longitudes and latitudes of WGS84 .*, found null"),
        (
            {**ONE, "crs": {"type": "name", "properties": {"name": "EPSG:32722"}}},
            "/aoi/crs",
            "expected longitudes and latitudes of WGS84 .*, found 'EPSG:32722'",
        ),
        (polygon(square(50, 10, 51, 12)), "/aoi", ".*, found none of the tile index in it; .* 50 and 51, .* 10 and 12"),
    ],
)
def test_a_wrong_area_is_told_with_its_place(area, place, message):
    first, *_ = area_problems(area)

    assert first[0] == place
    assert re.match(message, first[1]), first[1]


def test_a_belt_around_the_globe_is_no_polygon_to_be_cut():
    assert len(read(polygon(square(-180, -10, 180, 10)))) == SIDE * SIDE


def test_a_member_given_twice_is_refused():
    raw = b'{"years": [2023], "aoi": {"type": "Point", "type": "Polygon", "coordinates": []}}'

    assert rejection(raw)[0] == ("/aoi/type", "expected a name once, found it again at the same level")


def test_everything_wrong_is_told_at_once():
    crossing = polygon([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]])
    far = polygon([[0, 0], [200, 0], [0, 95], [0, 0]])

    places = [
        place
        for place, _ in rejection(
            {"aoi": collection(crossing, far), "years": [1999], "gha": {}, "$options": {"retries": -1}}
        )
    ]

    assert sorted(places) == [
        "/$options/retries",
        "/aoi/features/0/geometry/coordinates",
        "/aoi/features/1/geometry/coordinates/0/1/0",
        "/aoi/features/1/geometry/coordinates/0/2/1",
        "/gha",
        "/years/0",
    ]


# How large it may be


def round_polygon(count):
    angles = np.linspace(0, 2 * math.pi, count - 1, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1).tolist()
    return polygon([*ring, ring[0]])


def test_an_area_may_have_a_hundred_thousand_positions():
    assert len(read(round_polygon(100_000))) > 1000


def test_an_area_may_have_as_many_positions_as_the_limit_and_no_more():
    area = {"type": "MultiPolygon", "coordinates": [[edges(100, 200)], [edges(101, 200)]]}

    assert len(read(area, limits=Limits(max_vertices=10))) == 2
    assert area_problems(area, limits=Limits(max_vertices=9)) == [
        ("/aoi", "expected an area of at most 9 positions, found 10; simplify it")
    ]


def test_an_area_may_have_as_many_tiles_as_the_limit_and_no_more():
    area = polygon(edges(100, 200, columns=3))
    request = {"aoi": area, "years": [2023, 2024]}

    assert len(read(area, years=[2023, 2024], limits=Limits(max_tiles=6))) == 6
    assert rejection(request, limits=Limits(max_tiles=5)) == [("/aoi", "expected an area of at most 5 tiles, found 6")]


def test_the_deepest_area_is_within_the_limit():
    deepest = {"type": "MultiPolygon", "coordinates": [ONE["coordinates"]]}

    assert len(read(collection({"type": "GeometryCollection", "geometries": [deepest]}))) == 1


# Where it comes from


def test_an_area_dropped_in_the_inbox_becomes_a_job():
    with mocked_world() as world:  # its tiles stand apart: 0X0Y at -60, -30, 1X2Y ... each farther east and north
        request = {"aoi": polygon(square(-60.001, -30.001, -59.93, -29.96)), "years": [2023, 2024]}
        world.services.control.put("requests/area.json", json.dumps(request).encode())

        taken = take_in(Dropped(bucket=BUCKET, key="requests/area.json"), services=world.services, now=NOW)

        assert taken.outcome is Outcome.JOB
        told = json.loads(world.services.control.get("receipts/requests/area.json.receipt.json"))
        assert told["tasks"] == {"dem": 4, "s1": 4}


def test_an_area_without_tiles_dropped_in_the_inbox_is_rejected():
    with mocked_world() as world:
        request = {"aoi": polygon(square(10, 10, 11, 11)), "years": [2023]}
        world.services.control.put("requests/area.json", json.dumps(request).encode())

        taken = take_in(Dropped(bucket=BUCKET, key="requests/area.json"), services=world.services, now=NOW)

        assert taken.outcome is Outcome.REJECTED
        told = world.services.control.get("receipts/requests/area.json.rejected.json")
        assert b"found none of the tile index in it" in told


def test_a_geojson_file_is_a_request_with_the_years_of_the_command_line(tmp_path):
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(collection(ONE)))

    request = read_for(
        path, index=INDEX, overrides=RequestOptions(label="Ghana"), settings=make_settings(), years=(2024, 2023)
    )

    assert request.year.tolist() == [2023, 2024]
    assert (request.options.label, request.options.dest) == ("Ghana", "s3://tof-output/ttc")


def test_mistakes_in_a_geojson_file_are_placed_from_its_top():
    with pytest.raises(RequestRejected) as caught:
        read_geojson_request(json.dumps(polygon(WHOLE[:3])).encode(), years=[1999], index=INDEX)

    assert [problem.place for problem in caught.value.problems] == ["/coordinates/0", "/years/0"]


@pytest.mark.parametrize(
    ("name", "years", "kind"),
    [
        ("a.geojson", (2023,), "geojson"),
        ("A.GEOJSON", (2023,), "geojson"),
        ("a.json", (), "json"),
        ("a.csv", (), "csv"),
    ],
)
def test_a_file_is_known_by_its_name(tmp_path, name, years, kind):
    assert kind_of(tmp_path / name, years=years) == kind


@pytest.mark.parametrize(
    ("name", "years"), [("a.geojson", ()), ("a.json", (2023,)), ("a.csv", (2023,)), ("-", (2023,))]
)
def test_years_belong_to_a_geojson_file_and_only_there(name, years):
    with pytest.raises(typer.BadParameter, match="expected --year"):
        kind_of(Path(name), years=years)
