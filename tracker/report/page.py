"""A report as one page of HTML that needs nothing besides itself: no network, no other file."""

import base64
import hashlib
from collections.abc import Iterable
from importlib.resources import files

from tracker.report.endings import Ending
from tracker.report.facts import STANDINGS, Facts
from tracker.report.figures import Figures
from tracker.report.mapped import tiles_of
from tracker.report.markup import Html, element, joined
from tracker.report.page_charts import executions_charts
from tracker.report.page_map import tile_map
from tracker.report.page_sections import (
    cost_section,
    failures_section,
    header,
    products_table,
    provenance_section,
    quality_section,
)


def html_report(figures: Figures, facts: Facts, *, beside: Iterable[str] = ()) -> str:
    """The page; ``beside`` names the files of its folder that it links to. The same job makes the same page."""
    script, style = _asset("report.js"), _asset("report.css") + _colours()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Whatever might slip in as markup: nothing is fetched, and no script runs but this page's own.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{figures.summary.job.job_id}: report"),
        element("style", Html(style)),
    )
    main = element(
        "main",
        products_table(figures),
        _map_section(facts),
        failures_section(figures.groups),
        _executions_section(figures, facts),
        quality_section(figures.flags, figures.numbers),
        cost_section(figures),
        provenance_section(figures, beside),
    )
    body = element("body", header(figures), main, element("script", Html(script)))
    return "<!doctype html>\n" + element("html", head, body, lang="en").text + "\n"


def _map_section(facts: Facts) -> Html:
    if not facts.places.x:
        return Html("")
    return element("section", element("h2", "Tiles"), tile_map(tiles_of(facts.places)))


def _executions_section(figures: Figures, facts: Facts) -> Html:
    since = figures.summary.job.created_at
    charts = [executions_charts(region, found, since=since) for region, found in sorted(facts.executions.items())]
    told = joined(*charts) if charts else element("p", "Nothing has run yet.")
    return element("section", element("h2", "Executions"), told)


def _asset(name: str) -> str:
    return (files("tracker.report") / "assets" / name).read_text(encoding="utf-8")


def _colours() -> str:
    states = "".join(f".s{rank}{{--ink:{standing.colour}}}" for rank, standing in enumerate(STANDINGS))
    return states + "".join(f".end-{kind.name.lower()}{{--ink:{kind.colour}}}" for kind in Ending)
