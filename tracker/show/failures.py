"""What failed, for people: failures first, what has no data apart."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType

from tracker.bundles import By, FailureBundle
from tracker.failures import FailureGroup, Kind
from tracker.show.common import grid, words
from tracker.wording import period


def failures_view(groups: Sequence[FailureGroup]) -> Group:
    """Failures by what they have in common, then what to do about each; what has no data stands apart."""
    failed = [group for group in groups if group.kind is not Kind.NO_DATA]
    without_data = [group for group in groups if group.kind is Kind.NO_DATA]
    parts: list[RenderableType] = []
    if failed:
        parts += _table(failed)
    if without_data:
        parts += [words("No data (results, not failures)"), *_table(without_data, first=len(failed) + 1)]
    return Group(*parts)


def bundles_view(bundles: Sequence[FailureBundle], by: By) -> Group:
    """What ended badly, product by product or tile by tile."""
    table = grid([by.capitalize()], ["Failed", "NoData"], ["Causes", "First-last (UTC)", "Next"])
    for bundle in bundles:
        causes = ", ".join(f"{cause} {tasks:,}" for cause, tasks in bundle.causes.items())
        times = period(bundle.first_at, bundle.last_at)
        numbers = f"{bundle.failed:,}", f"{bundle.no_data:,}"
        table.add_row(bundle.name, *numbers, words(causes), times, words(bundle.next_step))
    return Group(table)


def failure_counts(groups: Sequence[FailureGroup]) -> tuple[int, int]:
    """How many tasks failed, and how many have no data."""
    without = sum(group.tasks for group in groups if group.kind is Kind.NO_DATA)
    return sum(group.tasks for group in groups) - without, without


def _table(groups: Sequence[FailureGroup], *, first: int = 1) -> Iterator[RenderableType]:
    table = grid(["#", "Cause", "Signature", "Class", "Prod"], ["Tasks"], ["First-last (UTC)", "Sample"])
    for number, group in enumerate(groups, start=first):
        names = str(number), words(group.cause), words(group.signature), str(group.kind), str(group.product)
        table.add_row(*names, f"{group.tasks:,}", period(group.first_at, group.last_at), words(group.sample))
    yield table
    yield words("Next")
    yield from (words(f"{number}  {group.next_step}") for number, group in enumerate(groups, start=first))
