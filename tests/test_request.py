import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ard.product import Format
from producer.csv_io import read_csv_request, write_csv
from producer.json_io import read_json_request
from producer.request import Limits, Problem, RequestOptions, RequestRejected
from producer.tile_index import TileIndex

SIDE = 8  # tiles 100X200Y ... 107X207Y, each centre its own
X0, Y0 = 100, 200
_y, _x = np.divmod(np.arange(SIDE * SIDE), SIDE)
INDEX = TileIndex.from_columns(
    x_tile=X0 + _x, y_tile=Y0 + _y, lon=-54.4722 + _x / 18 + _y / 9999, lat=-5.1389 + _y / 18 - _x / 9999
)

HEADER = "Year,X,Y,Y_tile,X_tile\n"


def make_request(tiles=("100X200Y",), *, year="2023", project="gha", **options):
    request = {project: {year: {"missing_tiles": list(tiles), "all_tiles": ["7X7Y"]}}}
    return {**request, "$options": options} if options else request


def read(request, **arguments):
    raw = request if isinstance(request, bytes) else json.dumps(request).encode()
    return read_json_request(raw, index=INDEX, **arguments)


def read_csv(text, *, options=None, **arguments):
    raw = text if isinstance(text, bytes) else text.encode()
    return read_csv_request(raw, index=INDEX, options=options or RequestOptions(), **arguments)


def csv_row(x, y, *, year=2023, off=0.0):
    lon, lat = INDEX.lookup(np.array([x]), np.array([y]))
    return f"{year},{lon[0] + off:.4f},{lat[0]:.4f},{y},{x}\n"


def problems_of(request, **arguments):
    with pytest.raises(RequestRejected) as caught:
        read(request, **arguments)
    return [tuple(map(str, (problem.place, problem.message))) for problem in caught.value.problems]


def csv_problems_of(text, **arguments):
    with pytest.raises(RequestRejected) as caught:
        read_csv(text, **arguments)
    return [(problem.place, problem.message) for problem in caught.value.problems]


def columns(request):
    return [getattr(request, name).tolist() for name in ("year", "x_tile", "y_tile", "lon", "lat")]


def triples(request):
    return list(zip(*columns(request)[:3], strict=True))


# What a request says


def test_tiles_come_sorted_by_year_and_ids_with_the_centres_of_the_index():
    request = read(
        {
            "a": {"2024": {"missing_tiles": ["101X200Y"]}, "2023": {"missing_tiles": ["102X200Y", "100X205Y"]}},
            "b": {"2023": {"missing_tiles": ["100X201Y"]}},
        }
    )

    assert triples(request) == [(2023, 100, 201), (2023, 100, 205), (2023, 102, 200), (2024, 101, 200)]
    np.testing.assert_array_equal((request.lon, request.lat), INDEX.lookup(request.x_tile, request.y_tile))


def test_a_tile_named_again_is_merged_and_counted():
    request = read(
        {
            "a": {"2023": {"missing_tiles": ["100X200Y", "101X200Y", "100X200Y"]}},
            "b": {"2023": {"missing_tiles": ["100X200Y"]}, "2024": {"missing_tiles": ["100X200Y"]}},
        }
    )

    assert (len(request), request.duplicates) == (3, 2)


def test_a_year_without_a_missing_tile_is_fine_beside_others():
    request = read({"a": {"2023": {"missing_tiles": []}, "2024": {"missing_tiles": ["100X200Y"]}}})

    assert triples(request) == [(2024, 100, 200)]


def test_columns_cannot_be_changed():
    request = read(make_request())

    with pytest.raises(ValueError, match="read-only"):
        request.year[0] = 2024


def test_a_byte_order_mark_and_line_ends_of_windows_are_tolerated_in_json():
    raw = b"\xef\xbb\xbf" + json.dumps(make_request(), indent=1).replace("\n", "\r\n").encode()

    assert len(read(raw)) == 1


def test_options_have_defaults():
    options = read(make_request()).options

    assert options == RequestOptions()
    assert options.dest is None
    assert options.products is None
    assert (options.formats, options.overwrite, options.retries, options.rerun) == ((Format.COG,), False, 3, None)


def test_all_options_are_read_in_their_one_spelling():
    options = read(
        make_request(
            label="Ghana 22",
            dest="s3://tof-output/ard/",
            products=["s2", "dem", "s2"],
            overwrite=True,
            formats=["hkl", "cog"],
            on_unknown_tile="skip",
            max_cost_usd=15,
            retries=0,
            rerun=2,
        )
    ).options

    assert options.model_dump(mode="json") == {
        "label": "Ghana 22",
        "dest": "s3://tof-output/ard",
        "products": ["dem", "s2"],
        "overwrite": True,
        "formats": ["cog", "hkl"],
        "on_unknown_tile": "skip",
        "max_cost_usd": 15.0,
        "retries": 0,
        "rerun": 2,
    }


def test_the_first_run_has_one_spelling():
    assert RequestOptions(rerun=1) == RequestOptions()


def test_options_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        RequestOptions().retries = 5


# Options that are wrong


@pytest.mark.parametrize(
    ("option", "value", "place", "message"),
    [
        ("label", "", "label", "expected 1 to 60 ASCII letters"),
        ("label", "-x", "label", "expected 1 to 60 ASCII letters"),
        ("label", "a" * 61, "label", "expected 1 to 60 ASCII letters"),
        ("label", "Côte", "label", "expected 1 to 60 ASCII letters"),
        ("label", "\ud800", "", "half of a surrogate pair"),
        ("dest", "ftp://x", "dest", "expected s3://bucket/prefix or an absolute folder, found 'ftp://x'"),
        ("dest", "s3://bucket/../other", "dest", "without '..'"),
        ("dest", 5, "dest", "found 5"),
        ("products", [], "products", "at least 1 item"),
        ("products", ["dem", "s3"], "products/1", "'dem', 's1' or 's2', found 's3'"),
        ("products", "dem", "products", "found 'dem'"),
        ("formats", ["tif"], "formats/0", "'cog' or 'hkl', found 'tif'"),
        ("overwrite", 1, "overwrite", "boolean, found 1"),
        ("overwrite", "yes", "overwrite", "boolean, found 'yes'"),
        ("on_unknown_tile", "ask", "on_unknown_tile", "'reject' or 'skip', found 'ask'"),
        ("max_cost_usd", 0, "max_cost_usd", "greater than 0, found 0"),
        ("max_cost_usd", float("nan"), "max_cost_usd", "finite number, found NaN"),
        ("max_cost_usd", float("inf"), "max_cost_usd", "finite number, found Infinity"),
        ("retries", 100, "retries", "less than or equal to 99, found 100"),
        ("retries", -1, "retries", "greater than or equal to 0, found -1"),
        ("retries", "3", "retries", "integer, found '3'"),
        ("retries", 10**30, "retries", "99, found 1000"),
        ("rerun", 0, "rerun", "greater than or equal to 1, found 0"),
        ("rerun", True, "rerun", "integer, found true"),
        ("label", "a" * 10_000, "", "expected at most 10,000 characters, found 10,013"),
        ("colour/~", "red", "colour~1~0", "not permitted, found 'red'"),
    ],
)
def test_a_wrong_option_is_shown_with_its_pointer(option, value, place, message):
    [(found_place, found_message)] = problems_of(make_request(**{option: value}))

    assert found_place == "/$options" + (f"/{place}" if place else "")
    assert message in found_message


def test_options_that_are_no_object_are_refused():
    assert problems_of({**make_request(), "$options": ["dem"]}) == [("/$options", "expected an object, found a list")]


def test_another_dollar_name_is_no_project():
    assert problems_of({**make_request(), "$option": {}}) == [("/$option", "expected a project or $options")]


# Tiles and years that are wrong


def test_all_problems_are_told_at_once():
    request = {
        "$options": {"retries": 100},
        "a": {
            "1899": {"missing_tiles": ["100X200Y", "999X999Y"]},
            "2023": {"missing_tiles": ["100X200Y", "1035x727y", 5]},
            "2024": {"all_tiles": []},
        },
        "b": [],
    }

    assert [place for place, _ in problems_of(request)] == [
        "/$options/retries",
        "/a/1899",
        "/a/2024",
        "/b",
        "/a/2023/missing_tiles/1",
        "/a/2023/missing_tiles/2",
        "/a/1899/missing_tiles/1",
    ]


@pytest.mark.parametrize(
    "item",
    [
        "1035x727y",
        "-1X5Y",
        "1X-5Y",
        "0100X200Y",
        " 100X200Y",
        "100X200Y\n",
        "1234567X1Y",
        "",
        "100.0X200Y",
        "\u0661X\u0662Y",
    ],
)
def test_a_malformed_tile_is_shown(item):
    assert problems_of(make_request([item])) == [
        ("/gha/2023/missing_tiles/0", f"expected a tile such as 1000X871Y, found {item!r}")
    ]


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (5, "5"),
        (None, "null"),
        (True, "true"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (["100X200Y"], "a list"),
        ({"x": 100}, "an object"),
        (10**400, "1" + "0" * 79),
    ],
)
def test_a_tile_of_the_wrong_type_is_shown(item, found):
    assert problems_of(make_request([item])) == [
        ("/gha/2023/missing_tiles/0", f"expected a tile such as 1000X871Y, found {found}")
    ]


@pytest.mark.parametrize(
    "year", ["1899", "2014", "2101", "2023.0", " 2023", "2023 ", "02023", "+2023", "\u0662\u0660\u0662\u0663", "x", ""]
)
def test_a_wrong_year_is_shown(year):
    assert problems_of(make_request(year=year)) == [
        (f"/gha/{year}", f"expected a year from 2015 to 2100, found {year!r}")
    ]


@pytest.mark.parametrize(
    ("request_", "place", "message"),
    [
        ([], "", "expected an object, found a list"),
        ("x", "", "expected an object, found 'x'"),
        (None, "", "expected an object, found null"),
        ({"a": 3}, "/a", "expected an object, found 3"),
        ({"a": {"2023": ["100X200Y"]}}, "/a/2023", "expected an object, found a list"),
        ({"a": {"2023": {}}}, "/a/2023", "expected missing_tiles, found none"),
        ({"a": {"2023": {"missing_tiles": "100X200Y"}}}, "/a/2023/missing_tiles", "expected a list, found '100X200Y'"),
        ({"a": {"2023": {"missing_tiles": None}}}, "/a/2023/missing_tiles", "expected a list, found null"),
        (
            {"a": {"2023": {"missing_tiles": ["100X200Y"], "missing": []}}},
            "/a/2023/missing",
            "expected missing_tiles or all_tiles",
        ),
        ({}, "", "expected at least one tile, found none"),
        ({"a": {}}, "", "expected at least one tile, found none"),
        ({"a": {"2023": {"missing_tiles": []}}}, "", "expected at least one tile, found none"),
    ],
)
def test_a_wrong_shape_is_shown_with_its_pointer(request_, place, message):
    assert problems_of(request_) == [(place, message)]


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b'{"a": {"2023": {"missing_tiles": ["100X200Y"], "missing_tiles": ["101X200Y"]}}}', "/a/2023/missing_tiles"),
        (b'{"a": {"2023": {"missing_tiles": ["100X200Y"]}, "2023": {"missing_tiles": []}}}', "/a/2023"),
        (b'{"a/b": {"2023": {"missing_tiles": ["100X200Y"]}}, "a/b": {}}', "/a~1b"),
        (
            b'{"a": {"2023": {"missing_tiles": ["100X200Y"]}}, "$options": {"retries": 1, "retries": 2}}',
            "/$options/retries",
        ),
    ],
)
def test_a_name_that_is_there_twice_hides_no_tiles(raw, place):
    assert problems_of(raw) == [(place, "expected a name once, found it again at the same level")]


def test_an_unknown_tile_rejects_the_whole_request():
    assert problems_of(make_request(["100X200Y", "999X999Y"])) == [
        ("/gha/2023/missing_tiles/1", "999X999Y is not in the tile index")
    ]


def test_an_unknown_tile_in_a_later_list_has_its_own_pointer():
    request = {
        "a": {"2023": {"missing_tiles": ["100X200Y"] * 3}, "2024": {"missing_tiles": []}},
        "b": {"2023": {"missing_tiles": ["100X200Y", "9X9Y"]}},
    }

    assert problems_of(request) == [("/b/2023/missing_tiles/1", "9X9Y is not in the tile index")]


def test_unknown_tiles_are_skipped_and_listed_when_the_request_says_so():
    request = read(make_request(["100X200Y", "999X999Y"], on_unknown_tile="skip"))

    assert triples(request) == [(2023, 100, 200)]
    assert request.unknown == (Problem("/gha/2023/missing_tiles/1", "999X999Y is not in the tile index"),)
    assert request.skipped == 1


def test_the_caller_can_overrule_what_the_request_says_about_unknown_tiles():
    request = read(make_request(["999X999Y"]), on_unknown_tile="skip")

    assert (len(request), request.skipped, request.options.on_unknown_tile) == (0, 1, "skip")


def test_a_malformed_tile_is_never_skipped():
    places = [place for place, _ in problems_of(make_request(["999X999Y", "oops"], on_unknown_tile="skip"))]

    assert places == ["/gha/2023/missing_tiles/1"]


def test_tiles_to_be_skipped_are_no_reason_when_another_option_is_wrong():
    request = make_request(["100X200Y", "999X999Y"], on_unknown_tile="skip", retries=-1)

    assert [place for place, _ in problems_of(request)] == ["/$options/retries"]


# Files that are wrong


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "expected JSON, found 'Expecting value' at line 1, column 1"),
        (b"{", "expected JSON"),
        (b'{"a": {}} x', "expected JSON, found 'Extra data' at line 1, column 11"),
        (b'{"a": \xff}', "expected UTF-8, found byte 0xff at offset 6"),
        (json.dumps(make_request()).encode("utf-16"), "expected UTF-8, found byte 0xff at offset 0"),
        (b'{"a": ' + b"1" * 5000 + b"}", "found one of thousands of digits"),
    ],
)
def test_a_file_that_is_not_json_is_refused(raw, message):
    [(place, found)] = problems_of(raw)

    assert place == ""
    assert message in found


@pytest.mark.parametrize("raw", [b"[" * 90_000, b'{"a":' * 90_000, b"[" * 90_000 + b"]" * 90_000])
def test_deep_nesting_is_refused_before_it_is_parsed(raw):
    assert problems_of(raw) == [("", "expected at most 12 levels of lists and objects, found 90,000")]


def test_a_flood_of_little_lists_is_refused_before_it_is_parsed():
    raw = b"[" + b"[]," * 300_000 + b"[]]"

    assert problems_of(raw) == [
        ("", "expected at most 300,000 positions and other lists of plain values, found 300,001")
    ]


@pytest.mark.parametrize("flood", [b"{}", b"[[]]", b'{"a":{}}'])
def test_a_flood_of_little_objects_is_refused_before_it_is_parsed(flood):
    raw = b"[" + b",".join([flood] * 110_000) + b"]"

    ((place, message),) = problems_of(raw)

    assert place == ""
    assert message.startswith("expected at most 100,000 objects and lists of lists or objects, found ")


@pytest.mark.parametrize("name", ["[" * 50, '"' + "{" * 50, "\\" * 7 + '"' + "[" * 50, '["' * 50, "\\"])
def test_brackets_within_names_are_not_nesting(name):
    assert len(read(make_request(project=name))) == 1


def test_a_request_may_be_as_deep_as_the_limit_and_no_deeper():
    limits = Limits(max_depth=4)

    assert len(read(make_request(), limits=limits)) == 1
    assert problems_of(make_request([[]]), limits=limits)[0][1].startswith("expected at most 4 levels")


def test_a_request_may_be_as_large_as_the_limit_and_no_larger():
    raw = json.dumps(make_request()).encode()

    assert len(read(raw, limits=Limits(max_bytes=len(raw)))) == 1
    assert problems_of(raw, limits=Limits(max_bytes=len(raw) - 1)) == [
        ("", f"expected at most {len(raw) - 1} bytes, found more")
    ]


def test_a_request_may_name_as_many_tiles_as_the_limit_and_no_more():
    request = make_request(["100X200Y", "101X200Y", "oops"])

    assert len(problems_of(request, limits=Limits(max_tiles=3))) == 1
    assert problems_of(request, limits=Limits(max_tiles=2)) == [("", "expected at most 2 tiles, found 3")]


@pytest.mark.parametrize("item", ["oops", "999X999Y"])
def test_problems_beyond_the_limit_are_counted_but_not_listed(item):
    with pytest.raises(RequestRejected) as caught:
        read(make_request([item] * 50), limits=Limits(max_problems=30))

    assert (len(caught.value.problems), caught.value.total) == (30, 50)
    assert str(caught.value).endswith("\n... and 30 more")
    assert len(str(caught.value).splitlines()) == 21


def test_skipped_tiles_beyond_the_limit_are_counted_but_not_listed():
    request = read(make_request(["999X999Y"] * 5, on_unknown_tile="skip"), limits=Limits(max_problems=3))

    assert (len(request.unknown), request.skipped) == (3, 5)


def test_a_rejection_survives_the_way_to_another_process():
    with pytest.raises(RequestRejected) as caught:
        read(make_request(["oops"]))

    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes

    assert (copy.problems, copy.total, str(copy)) == (caught.value.problems, 1, str(caught.value))


NASTY = "\x1b[31m\u202e\x07"


@pytest.mark.parametrize(
    "request_",
    [
        make_request([NASTY]),
        make_request(year=NASTY),
        make_request(["oops"], project=NASTY),
        make_request(**{NASTY: 1}),
        make_request(label=NASTY),
        make_request(dest=NASTY),
        {NASTY: NASTY},
        {"$" + NASTY: 1},
    ],
)
def test_nothing_that_commands_a_terminal_gets_into_a_message(request_):
    text = "".join(place + message for place, message in problems_of(request_))

    assert text.isprintable()
    assert "\\x1b" in text or "ASCII letters" in text


def test_long_names_are_cut_in_every_place_and_message():
    request = {"p" * 10_000: {"y" * 10_000: {"missing_tiles": ["t" * 10_000]}}}

    assert all(len(place + message) < 400 for place, message in problems_of(request))


# CSV


def test_a_csv_names_the_tiles_with_the_options_of_the_caller():
    options = RequestOptions(label="x")
    request = read_csv(HEADER + csv_row(101, 200) + csv_row(100, 203) + csv_row(101, 200), options=options)

    assert triples(request) == [(2023, 100, 203), (2023, 101, 200)]
    assert (request.duplicates, request.options) == (1, options)


def test_the_index_wins_over_the_coordinates_of_a_csv():
    lon, lat = (column[0] for column in INDEX.lookup(np.array([103]), np.array([207])))

    request = read_csv(HEADER + f"2023,{lon + 0.00009},{lat - 0.00009},207,103\n")

    assert (request.lon[0], request.lat[0]) == (lon, lat)


def test_a_tile_that_lies_elsewhere_is_a_problem_of_its_row():
    text = HEADER + csv_row(100, 200) + "\n" + csv_row(101, 200, off=0.0003)

    [(place, message)] = csv_problems_of(text)

    assert place == "row 4"
    assert message == ("expected X, Y = -54.4166, -5.1390 for 101X200Y as in the tile index, found -54.4163, -5.139")


def test_columns_may_come_in_any_order_with_others_among_them():
    text = 'country,X_tile,Year,Y,"Y_tile",X\n"Gha, na",100,2023,-5.1389,200,-54.4722\n'

    assert triples(read_csv(text)) == [(2023, 100, 200)]


def test_a_byte_order_mark_and_line_ends_of_windows_are_tolerated_in_csv():
    raw = b"\xef\xbb\xbf" + (HEADER + csv_row(100, 200)).replace("\n", "\r\n").encode()

    assert triples(read_csv(raw)) == [(2023, 100, 200)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1899,-54.4722,-5.1389,200,100", "Year: expected a year from 2015 to 2100, found '1899'"),
        ("2023.0,-54.4722,-5.1389,200,100", "Year: expected a year from 2015 to 2100, found '2023.0'"),
        (" 2023,-54.4722,-5.1389,200,100", "Year: expected a year from 2015 to 2100, found ' 2023'"),
        ("2023,-54.4722,-5.1389,200,-100", "X_tile: expected a tile id of at most six digits, found '-100'"),
        ("2023,-54.4722,-5.1389,200.0,100", "Y_tile: expected a tile id of at most six digits, found '200.0'"),
        ("2023,-54.4722,-5.1389,200," + "9" * 5000, "X_tile: expected a tile id of at most six digits, found"),
        ("2023,nan,-5.1389,200,100", "X: expected degrees, found 'nan'"),
        ("2023,-54.4722,inf,200,100", "Y: expected degrees, found 'inf'"),
        ("2023,,-5.1389,200,100", "X: expected degrees, found ''"),
        ("2023,\x1b[2J,-5.1389,200,100", r"X: expected degrees, found '\x1b[2J'"),
        ("2023,-54.4722,-5.1389,200", "expected 5 fields, found 4"),
        ("2023,-54.4722,-5.1389,200,100,", "expected 5 fields, found 6"),
        ("2023,0,0,999,999", "999X999Y is not in the tile index"),
    ],
)
def test_a_wrong_row_is_shown_with_its_number(row, message):
    [(place, found)] = csv_problems_of(HEADER + csv_row(100, 200) + row + "\n" + csv_row(101, 200))

    assert place == "row 3"
    assert found.startswith(message)


def test_every_wrong_field_of_a_row_is_told():
    found = csv_problems_of(HEADER + "x,x,x,x,x\n")

    assert [message.split(":")[0] for _, message in found] == ["Year", "X_tile", "Y_tile", "X", "Y"]


@pytest.mark.parametrize(
    "header", ["", "\n", "Year,X,Y,Y_tile\n", "Year,X,Y,Y_tile,X_tile,X\n", "year,x,y,y_tile,x_tile\n", "Year;X;Y\n"]
)
def test_a_header_without_each_column_once_is_refused(header):
    [(place, message)] = csv_problems_of(header + "2023,-54.4722,-5.1389,200,100\n" * bool(header))

    assert place == "row 1"
    assert message.startswith("expected each of the columns Year,X,Y,Y_tile,X_tile once, found ")


def test_a_csv_without_rows_names_no_tile():
    assert csv_problems_of(HEADER) == [("", "expected at least one tile, found none")]


def test_a_field_without_end_is_refused_with_its_row():
    [(place, message)] = csv_problems_of(HEADER + csv_row(100, 200) + '"' + "x" * 200_000)

    assert place == "row 3"
    assert message.startswith("expected CSV, found: field larger than field limit")


def test_a_csv_that_is_not_utf8_is_refused():
    assert csv_problems_of(HEADER.encode() + b"\xe9") == [
        ("", f"expected UTF-8, found byte 0xe9 at offset {len(HEADER)}")
    ]


def test_a_csv_may_name_as_many_tiles_as_the_limit_and_no_more():
    text = HEADER + csv_row(100, 200) + csv_row(101, 200)

    assert len(read_csv(text, limits=Limits(max_tiles=2))) == 2
    assert csv_problems_of(text, limits=Limits(max_tiles=1)) == [("", "expected at most 1 tiles, found more")]


def test_unknown_tiles_of_a_csv_are_skipped_when_the_caller_says_so():
    text = HEADER + csv_row(100, 200) + "2023,0,0,9,9\n"

    request = read_csv(text, options=RequestOptions(on_unknown_tile="skip"))

    assert request.unknown == (Problem("row 3", "9X9Y is not in the tile index"),)


# Properties

known_tiles = st.lists(
    st.tuples(st.integers(2015, 2100), st.integers(X0, X0 + SIDE - 1), st.integers(Y0, Y0 + SIDE - 1)),
    min_size=1,
    max_size=60,
)


@settings(deadline=None, max_examples=50)
@given(tiles=known_tiles)
def test_a_request_written_as_csv_and_read_again_is_the_same(tiles):
    years: dict[str, dict[str, list[str]]] = {}
    for year, x, y in tiles:
        years.setdefault(str(year), {"missing_tiles": []})["missing_tiles"].append(f"{x}X{y}Y")
    request = read({"a": years})
    out = io.StringIO()
    write_csv(request, out)

    assert columns(read_csv(out.getvalue())) == columns(request)
    assert triples(request) == sorted(set(tiles))
    assert request.duplicates == len(tiles) - len(request)


names = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        [
            "$options",
            "2023",
            "missing_tiles",
            "all_tiles",
            "100X200Y",
            "9X9Y",
            "label",
            "dest",
            "products",
            "dem",
            "skip",
        ]
    ),
    st.sampled_from(["retries", "rerun", "on_unknown_tile", "max_cost_usd", "\ud800", "\x1b", "s3://bucket"]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), names),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=20,
)
almost_requests = st.fixed_dictionaries(
    {},
    optional={
        "$options": st.one_of(values, st.dictionaries(names, values, max_size=4)),
        "a": st.dictionaries(
            st.sampled_from(["2023", "2024", "1899"]),
            st.one_of(values, st.fixed_dictionaries({"missing_tiles": st.lists(st.one_of(names, values), max_size=5)})),
            max_size=3,
        ),
    },
)


def problems_or_none(reader, argument):
    try:
        reader(argument)
    except RequestRejected as error:
        return error.problems
    return ()


@settings(deadline=None, max_examples=200)
@given(value=st.one_of(values, almost_requests))
def test_any_json_is_read_or_rejected(value):
    assert all((problem.place + problem.message).isprintable() for problem in problems_or_none(read, value))


@settings(deadline=None, max_examples=200)
@given(raw=st.one_of(st.binary(max_size=80), st.text(alphabet='{}[]":,\\0X1Ya2', max_size=60).map(str.encode)))
def test_any_bytes_are_read_or_rejected_as_json(raw):
    assert all((problem.place + problem.message).isprintable() for problem in problems_or_none(read, raw))


@settings(deadline=None, max_examples=200)
@given(
    raw=st.one_of(
        st.binary(max_size=80),
        st.text(alphabet='\r\n",0123.-\x00eX', max_size=60).map(lambda text: (HEADER + text).encode()),
    )
)
def test_any_bytes_are_read_or_rejected_as_csv(raw):
    assert all((problem.place + problem.message).isprintable() for problem in problems_or_none(read_csv, raw))


@settings(deadline=None, max_examples=100)
@given(depth=st.integers(1, 20), name=st.text(alphabet='[]{}"\\a', max_size=12))
def test_depth_is_that_of_the_parsed_value_whatever_the_names(depth, name):
    value: object = name
    for _ in range(depth):
        value = {name: value}

    messages = [message for _, message in problems_of(value)]

    assert any("levels" in message for message in messages) == (depth > 12)


# The real index


def test_the_golden_tiles_are_found_in_the_real_index(shared_data):
    index = TileIndex.open(shared_data / "tiledb.parquet")
    raw = json.dumps(make_request(["1000X871Y", "1274X655Y", "1000X798Y"])).encode()

    request = read_json_request(raw, index=index)
    out = io.StringIO()
    write_csv(request, out)

    assert out.getvalue() == HEADER + (
        "2023,-54.4722,-9.1944,798,1000\n2023,-54.4722,-5.1389,871,1000\n2023,-39.2500,-17.1389,655,1274\n"
    )
