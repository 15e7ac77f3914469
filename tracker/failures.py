"""Failures that look alike, together: by state, cause and what their messages have in common."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ard.errors import AssetCorrupt, Auth, InvalidInput, InvalidProduct, Permanent, Unavailable
from ard.product import Product
from ard.rows import TaskRow
from ard.states import State

PERMANENT_CAUSES = frozenset(kind.cause for kind in (Permanent, InvalidInput, AssetCorrupt, InvalidProduct))

# The longest first: what is left of an address is a key, what is left of a key are ids, then numbers.
_MASKS = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\",;)]+"), "<url>"),
    (re.compile(r"(?<![\w<])(?:[\w.=-]*/)+[\w.=-]+"), "<key>"),
    (re.compile(r"\b\d+X\d+Y\b"), "<tile>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b(?=\w*\d)[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+\b"), "<id>"),
    (re.compile(r"\b(?=[0-9a-fA-F]*\d)[0-9a-fA-F]{8,}\b"), "<id>"),
    (re.compile(r"(?<![\w<])[-+]?\d[\d,._:]*(?:[eE][-+]?\d+)?"), "<n>"),
)


class Kind(StrEnum):
    """Whether trying again can help."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    NO_DATA = "no-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Tasks of one product that ended for what looks like the same reason; times are of their rows' last change."""

    cause: str
    signature: str
    kind: Kind
    product: Product
    tasks: int
    first_at: float
    last_at: float
    sample: str
    message: str
    next_step: str


def group_failures(rows: Iterable[TaskRow]) -> list[FailureGroup]:
    """The groups of the rows that are FAILED or NO_DATA: failures first, the largest first."""
    groups: dict[tuple[Kind, str, str, Product], list[TaskRow]] = {}
    for row in rows:
        if row.state in {State.FAILED, State.NO_DATA}:
            key = kind_of(row), row.cause or "unknown", signature(row.message or ""), row.product
            groups.setdefault(key, []).append(row)
    found = [_group(key, members) for key, members in groups.items()]
    return sorted(found, key=lambda group: (group.kind is Kind.NO_DATA, -group.tasks, group.cause, group.signature))


def kind_of(row: TaskRow) -> Kind:
    """Whether trying a task again can help that has ended badly."""
    if row.state is State.NO_DATA:
        return Kind.NO_DATA
    return Kind.PERMANENT if row.cause in PERMANENT_CAUSES else Kind.TRANSIENT


def signature(message: str) -> str:
    """A message without what differs from task to task: addresses, keys, tiles, ids and numbers."""
    for pattern, mask in _MASKS:
        message = pattern.sub(mask, message)
    return message


def _group(key: tuple[Kind, str, str, Product], rows: list[TaskRow]) -> FailureGroup:
    kind, cause, common, product = key
    sample = min(rows, key=lambda row: (row.updated_at, row.task_id))
    return FailureGroup(
        cause=cause,
        signature=common,
        kind=kind,
        product=product,
        tasks=len(rows),
        first_at=sample.updated_at,
        last_at=max(row.updated_at for row in rows),
        sample=sample.task_id,
        message=sample.message or "",
        next_step=_next_step(kind, cause, product, sample.job_id),
    )


def _next_step(kind: Kind, cause: str, product: Product, job_id: str) -> str:
    redrive = f"tracker redrive --job {job_id} --product {product} --cause {cause}"
    if kind is Kind.NO_DATA:
        return "none: the sources hold nothing for these tiles"
    if kind is Kind.PERMANENT:
        return f"repair what the message names, then: {redrive} --force"
    if cause == Auth.cause:
        return f"renew the provider's credentials, then: {redrive}"
    if cause == Unavailable.cause:
        return f"when the provider is back: {redrive}"
    return redrive
