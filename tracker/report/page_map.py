"""The map of a report's page: every tile where it lies, in the colour of how its tasks stand."""

from collections.abc import Iterator

import numpy as np

from ard.tile import TILE_DEGREES, tile_key
from tracker.report.facts import PRODUCTS, STANDINGS, Standing
from tracker.report.mapped import ABSENT, MAP_WIDTH, Frame, Tiles, frame_of
from tracker.report.markup import Html, element, escaped, joined
from tracker.report.page_charts import ticks
from tracker.report.page_pictures import pictured, pictures

MOST_RECTANGLES = 10_000  # more are drawn as pictures of pixels

_ROOMY = 0.015  # of the map
_SMALLEST = 170  # a tile is drawn at least this part of the map, or nobody could see it


def tile_map(tiles: Tiles) -> Html:
    """The tiles over longitude and latitude, with a legend; a script of the page filters them."""
    frame = frame_of(tiles)
    scale = MAP_WIDTH / frame.width
    height = frame.height * scale
    drawn = len(tiles.x) <= MOST_RECTANGLES
    inside = Html("".join(rectangles(tiles, frame))) if drawn else joined(*pictures(tiles, frame))
    meridians = [
        ((lon - frame.west) / (frame.east - frame.west), _degrees(lon, "EW")) for lon in ticks(frame.west, frame.east)
    ]
    parallels = [((frame.north - lat) / frame.height, _degrees(lat, "NS")) for lat in ticks(frame.south, frame.north)]
    lines = [f"M{at * MAP_WIDTH:.5g} 0V{height:.5g}" for at, _ in meridians]
    lines += [f"M0 {at * height:.5g}H{MAP_WIDTH:.5g}" for at, _ in parallels]
    drawing = element(
        "svg",
        element("path", d="".join(lines), class_="graticule"),
        inside,
        viewBox=f"0 0 {MAP_WIDTH:g} {height:.5g}",
        role="img",
        aria_label=f"Map of {len(tiles.x):,} tiles by state; the tables hold the same numbers",
        id="tiles",
        class_="roomy" if roomy(frame) else None,
        data_combinations=" ".join(f"{year}-{PRODUCTS[product]}" for year, product in tiles.combinations),
    )
    labels = [element("span", told, class_="lon", style=f"left:{100 * at:.4g}%") for at, told in meridians]
    labels += [element("span", told, class_="lat", style=f"top:{100 * at:.4g}%") for at, told in parallels]
    shape = f"aspect-ratio:{frame.width:.5g}/{frame.height:.5g};--wide:{frame.width / frame.height:.5g}"
    words = "Each tile in the colour of the worst state of its tasks"
    return joined(
        element(
            "p",
            f"{words}; point at one for the rest." if drawn else f"{words}; where several fall on one spot, the worst.",
        ),
        _filter(tiles, drawn=drawn),
        element("div", drawing, element("div", *labels, aria_hidden="true"), class_="map", style=shape),
        _legend(tiles),
    )


def roomy(frame: Frame) -> bool:
    """There is room for an outline around a tile."""
    return TILE_DEGREES / max(frame.width, frame.height) > _ROOMY


def rectangles(tiles: Tiles, frame: Frame) -> Iterator[str]:
    """A square for each tile, the worst last, so that what must be seen lies on top."""
    scale = MAP_WIDTH / frame.width
    side = max(TILE_DEGREES, max(frame.width, frame.height) / _SMALLEST) * scale
    width, height = max(TILE_DEGREES * frame.narrowing * scale, side * frame.narrowing), side
    left = (tiles.lon - frame.west) * frame.narrowing * scale - width / 2
    top = (frame.north - tiles.lat) * scale - height / 2
    size = f'width="{width:.3g}" height="{height:.3g}"'
    worst = tiles.worst
    codes = (tiles.ranks + ord("0")).astype(np.uint8)
    for at in np.argsort(-worst.astype(np.int64), kind="stable"):
        states = codes[at].tobytes().decode()
        yield (
            f'<rect x="{left[at]:.1f}" y="{top[at]:.1f}" {size} class="s{worst[at]}" data-s="{states}">'
            f"<title>{escaped(_told(tiles, int(at)))}</title></rect>"
        )


def _filter(tiles: Tiles, *, drawn: bool) -> Html:
    years, products = (tiles.years, tiles.products) if drawn else pictured(tiles)
    worst = tiles.worst
    present = [standing.words for rank, standing in enumerate(STANDINGS) if (worst == rank).any()]
    choices = [
        ("product", "all products", [str(PRODUCTS[product]) for product in products]),
        ("year", "all years", [str(year) for year in years]),
        ("state", "all states", present if drawn else []),
    ]
    fields = [
        element(
            "label",
            name.capitalize(),
            element(
                "select",
                element("option", everything, value=""),
                *(element("option", value, value=value) for value in values),
                name=name,
            ),
        )
        for name, everything, values in choices
        if len(values) > 1
    ]
    if not fields:
        return Html("")
    return element(
        "form", *fields, element("output", "", id="shown"), id="filter", hidden=True, aria_label="Filter the map"
    )


def _legend(tiles: Tiles) -> Html:
    worst = tiles.worst
    entries = [
        element(
            "li",
            element("span", class_=f"key s{rank}"),
            f"{standing.words} ",
            element("b", f"{int((worst == rank).sum()):,}"),
            data_rank=rank,
            data_state=standing.words,
            hidden=not (worst == rank).any(),
        )
        for rank, standing in enumerate(STANDINGS)
    ]
    return element("ul", *entries, class_="legend", id="legend", aria_label="Tiles by the worst state of their tasks")


def _told(tiles: Tiles, at: int) -> str:
    several = len({year for year, _ in tiles.combinations}) > 1
    parts = []
    for number, (year, product) in enumerate(tiles.combinations):
        rank = int(tiles.ranks[at, number])
        if rank == ABSENT:
            continue
        cause = tiles.names[tiles.causes[at, number]]
        why = f" ({cause})" if cause and STANDINGS[rank] in {Standing.FAILED, Standing.RETRYING} else ""
        parts.append(f"{f'{year} ' if several else ''}{PRODUCTS[product]} {STANDINGS[rank].words}{why}")
    return f"{tile_key(int(tiles.x[at]), int(tiles.y[at]))}: {', '.join(parts)}"


def _degrees(value: float, letters: str) -> str:
    return f"{abs(value):g}°{letters[0] if value > 0 else letters[1] if value < 0 else ''}"
