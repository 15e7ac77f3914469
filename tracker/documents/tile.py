"""The JSON document of one tile."""

from typing import Literal

from pydantic import JsonValue

from ard.product import Product
from ard.states import State
from tracker.documents.shapes import Document, Moment, Shape


class AttemptShape(Shape):
    """One try: who, when, for how long, and how it ended."""

    worker: str
    started_at: Moment
    ended_at: Moment
    seconds: float
    outcome: str


class ObjectShape(Shape):
    """A data object; ``found_size`` is null when it is not there."""

    name: str
    key: str
    size: int
    found_size: int | None


class OutputShape(Shape):
    """What the STAC item of an output says."""

    item: str
    job: str
    created: str
    whole: bool
    software: dict[str, str]
    parameters: dict[str, JsonValue]
    metrics: dict[str, JsonValue]
    flags: list[str]
    formats: list[str]
    sources: list[str]
    objects: list[ObjectShape]


class TileTaskShape(Shape):
    """A tile's task in one job."""

    job: str
    product: Product
    state: State
    stalled: bool
    parked: bool
    fence: int
    charged: int
    updated_at: Moment
    not_before: Moment | None
    seconds: float | None
    gb_seconds: float
    cause: str | None
    message: str | None
    flags: list[str]
    metrics: dict[str, JsonValue]
    item: str | None
    attempts: list[AttemptShape]
    output: OutputShape | None
    output_trouble: str | None
    next: str | None


class TileDocument(Document):
    """A tile and year across jobs, the newest job first."""

    kind: Literal["tile"] = "tile"
    tile: str
    year: int
    explained: bool
    jobs_searched: int
    tasks: list[TileTaskShape]
    odd_rows: int
