"""The sections of a report's page that are words and tables."""

from collections.abc import Collection, Iterable, Sequence

from ard import __version__
from tracker.documents.make import moment
from tracker.failures import FailureGroup, Kind
from tracker.report.facts import STANDINGS, Extreme
from tracker.report.figures import Figures, FlagFigures, NumberFigures, ProductFigures
from tracker.report.markup import Html, Piece, element, joined
from tracker.report.text import odd_lines
from tracker.summary import Counts, JobSummary
from tracker.wording import NONE, number, span, usd

_COMMAND = "tracker redrive"  # where a next step's words end and what to type begins


def header(figures: Figures) -> Html:
    """The job's name, what has become of it, and its numbers in cards."""
    summary = figures.summary
    job, counts = summary.job, summary.counts
    words = (f"Request {job.request_key}, taken in ", _when(job.created_at), "; as of ", _when(summary.as_of))
    badge = element("span", str(summary.outcome).replace("_", " ").lower(), class_=f"badge {_tone(summary)}")
    cap = "" if job.max_cost_usd is None else f", cap {usd(job.max_cost_usd)}"
    cards = [
        ("ended", f"{int(counts.progress * 1000) / 10:g} %", f"{counts.ended:,} of {counts.total:,} tasks"),
        ("done", f"{counts.done:,}", f"and {counts.skipped:,} that existed"),
        ("failed", f"{counts.failed:,}", "none" if not counts.failed else "see what failed, below"),
        ("no data", f"{counts.no_data:,}", "a result: the sources hold nothing"),
        ("time", span(figures.elapsed_seconds), "from request to end" if summary.ended else "so far"),
        ("cost", usd(summary.spent_usd), f"estimate {usd(job.estimate_usd)}{cap}"),
    ]
    shown = [
        element("div", element("dt", name), element("dd", value, element("small", more)), class_="card", data_card=name)
        for name, value, more in cards
    ]
    return element("header", element("h1", job.job_id, " ", badge), element("p", *words), element("dl", *shown))


def products_table(figures: Figures) -> Html:
    """A line for each product, and one for all."""
    head = ("Product", "Region", "Done", "Skipped", "No data", "Failed", "Cancelled", "Open", "Total", "Median", "95 %")
    lines = [_product_cells(product) for product in figures.products]
    if len(lines) > 1:
        lines.append(("all", "", *_counted(figures.summary.counts), "", ""))
    bars = element("ul", *(_progress(str(one.product), one.counts) for one in figures.products), class_="bars")
    table = _table("Tasks by product and state; the seconds of one task", head, lines, words=("Region",))
    odd = [element("p", line, class_="note") for line in odd_lines(figures.summary) if line]
    return _section("Products", bars, table, *odd)


def failures_section(groups: Sequence[FailureGroup]) -> Html:
    """What failed and what has no data, by what it has in common, with what to type next."""
    if not groups:
        return _section("What failed", element("p", "Nothing failed, and no tile was without data."))
    return _section("What failed", element("div", *map(_failure, groups), class_="groups"))


def quality_section(flags: Sequence[FlagFigures], numbers: Sequence[NumberFigures]) -> Html:
    """Flags, and the numbers that the tiles' items tell of themselves."""
    pieces: list[Html] = []
    if flags:
        lines = [(str(one.product), one.flag, f"{one.tasks:,}", one.sample) for one in flags]
        head = ("Product", "Flag", "Tasks", "First")
        pieces.append(_table("Flags: outputs made of degraded input", head, lines, words=("Flag", "First")))
    if numbers:
        found = [
            (
                str(one.product),
                one.name,
                f"{one.tasks:,}",
                number(one.median),
                _extreme(one.lowest),
                _extreme(one.highest),
            )
            for one in numbers
        ]
        ends = ("Product", "Number", "Tasks", "Median", "Lowest", "Highest")
        pieces.append(
            _table("Numbers of the outputs' quality, with the tiles at both ends", ends, found, words=("Number",))
        )
    if not pieces:
        pieces.append(element("p", "No output has told anything about its quality."))
    return _section("Quality", *pieces)


def cost_section(figures: Figures) -> Html:
    """What was spent, against the estimate and the cap."""
    summary, job = figures.summary, figures.summary.job
    amounts = [("spent", summary.spent_usd), ("estimate", job.estimate_usd)]
    if job.max_cost_usd is not None:
        amounts.append(("cap", job.max_cost_usd))
    most = max(amount for _, amount in amounts) or 1.0
    bars = [
        element(
            "li",
            element("span", name),
            element("span", element("i", style=f"width:{100 * amount / most:.3g}%"), class_=f"bar {name}"),
            element("b", usd(amount)),
        )
        for name, amount in amounts
    ]
    lines = [
        (str(one.product), number(one.gb_seconds), usd(one.spent_usd), usd(one.estimate_usd))
        for one in figures.products
    ]
    if len(lines) > 1:
        lines.append(("all", number(summary.gb_seconds), usd(summary.spent_usd), usd(job.estimate_usd)))
    note = (
        "Spent is the list price of the measured GB-seconds; the estimate also counts requests and transfer. "
        "Its parts are shared out by average seconds and memory."
    )
    table = _table("Compute by product", ("Product", "GB-s", "Spent", "Estimate"), lines)
    return _section("Cost", element("ul", *bars, class_="bars"), table, element("p", note, class_="note"))


def provenance_section(figures: Figures, files: Iterable[str]) -> Html:
    """Where everything is, and what made it."""
    job = figures.summary.job
    known: list[tuple[str, Piece]] = [
        ("Job", job.job_id),
        ("Request", job.request_key),
        ("Digest of the request", job.digest),
        ("Created", _when(job.created_at)),
        ("Outputs under", job.dest),
        ("Formats", ", ".join(job.formats)),
        ("Existing outputs", "made anew" if job.overwrite else "kept"),
        ("Attempts that count", f"at most {job.max_attempts}"),
        ("Report of", joined(_when(figures.summary.as_of), f", by version {__version__}")),
    ]
    lines = [joined(element("dt", name), element("dd", value)) for name, value in known]
    beside = [element("a", name, href=name) for name in files]
    links = joined(*(piece for link in beside for piece in (link, "  ")))
    note = "Versions, parameters and sources of an output stand in its own STAC item."
    return _section(
        "Provenance", element("dl", *lines, class_="facts"), element("p", note, class_="note"),
        element("p", "Beside this page: ", links, class_="files"),
    )  # fmt: skip


def _progress(name: str, counts: Counts) -> Html:
    """A bar of a product's tasks, what went well on its left."""
    parts = [(rank, standing.words, getattr(counts, standing.name.lower())) for rank, standing in enumerate(STANDINGS)]
    told = ", ".join(f"{tasks:,} {words}" for _, words, tasks in parts if tasks)
    pieces = [
        element("i", class_=f"s{rank}", style=f"width:{100 * tasks / counts.total:.4g}%", title=f"{tasks:,} {words}")
        for rank, words, tasks in reversed(parts)
        if tasks
    ]
    return element(
        "li",
        element("span", name),
        element("span", *pieces, class_="bar", role="img", aria_label=f"{name}: {told}"),
        element("b", f"{int(counts.progress * 1000) / 10:g} %"),
    )


def _product_cells(one: ProductFigures) -> tuple[str, ...]:
    times = (f"{number(value)} s" if value is not None else NONE for value in (one.seconds_median, one.seconds_p95))
    return str(one.product), one.region, *_counted(one.counts), *times


def _counted(counts: Counts) -> tuple[str, ...]:
    left = counts.total - counts.ended
    numbers = (counts.done, counts.skipped, counts.no_data, counts.failed, counts.cancelled, left, counts.total)
    return tuple(f"{one:,}" for one in numbers)


def _failure(group: FailureGroup) -> Html:
    words, _, command = group.next_step.partition(_COMMAND)
    told = element("p", "Next: " + words.strip()) if words.strip() else Html("")
    if command:
        button = element("button", "Copy", type="button", data_copy=True, hidden=True)
        told = joined(told, element("div", element("code", _COMMAND + command), button, class_="command"))
    tone = "quiet" if group.kind is Kind.NO_DATA else "bad"
    example = joined(
        _when(group.first_at), " to ", _when(group.last_at), "; for example ", element("b", group.sample), ":"
    )
    return element(
        "article",
        element(
            "h3",
            f"{group.tasks:,} {group.product}: {group.cause} ",
            element("span", group.kind, class_=f"badge {tone}"),
        ),
        element("p", group.signature) if group.signature != group.message else Html(""),
        element("p", example, class_="note"),
        element("pre", group.message),
        told,
    )


def _extreme(end: Extreme) -> Html:
    return joined(number(end.value), " ", element("small", f"{end.tile} {end.year}"))


def _when(seconds: float) -> Html:
    """A time, in one piece."""
    exact = moment(seconds)
    return element("time", exact.replace("T", " ").replace("Z", " UTC"), datetime=exact)


def _tone(summary: JobSummary) -> str:
    if summary.counts.failed:
        return "bad"
    return "good" if summary.ended and summary.counts.well == summary.counts.ended else "quiet"


def _section(title: str, *children: Piece) -> Html:
    return element("section", element("h2", title), *children)


def _table(caption: str, head: Sequence[str], lines: Iterable[Sequence[Piece]], *, words: Collection[str] = ()) -> Html:
    """A table; columns that are named in ``words``, and the first, are not numbers. On a phone each line is a card."""
    kinds = [None if not at or name in words else "number" for at, name in enumerate(head)]
    titles = [element("th", name, scope="col", class_=kind) for name, kind in zip(head, kinds, strict=True)]
    body = []
    for line in lines:
        named = list(zip(line, head, kinds, strict=True))[1:]
        cells = [element("td", cell, class_=kind, data_name=name) for cell, name, kind in named]
        body.append(element("tr", element("th", line[0], scope="row"), *cells))
    return element(
        "div",
        element(
            "table", element("caption", caption), element("thead", element("tr", *titles)), element("tbody", *body)
        ),
        class_="scroll",
        role="region",
        tabindex=0,
        aria_label=caption,
    )
