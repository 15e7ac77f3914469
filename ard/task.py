"""The message contracts: one tile of one product for one year, and one chunk of a job."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ard.errors import InvalidInput
from ard.product import Format, Product
from ard.tile import Tile, tile_key

FIRST_YEAR = 2015  # Sentinel-2A was launched in June 2015
LAST_YEAR = 2100
MESSAGE_BYTES = 1024

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()=-]+)*")


def parse_dest(dest: str) -> str:
    """A destination in its one spelling, without a trailing slash.

    Raises:
        InvalidInput: It is neither ``s3://bucket[/prefix]`` nor an absolute local folder, or climbs with ``..``.
    """
    plain = dest.rstrip("/") if len(dest) > 1 else dest
    if ".." in plain.split("/"):
        raise InvalidInput(f"expected a destination without '..', found {dest!r}")
    if not (plain.startswith("/") or _BUCKET.fullmatch(plain)):
        raise InvalidInput(f"expected s3://bucket/prefix or an absolute folder, found {dest!r}")
    return plain


def _valid_dest(dest: str) -> str:
    try:
        return parse_dest(dest)
    except InvalidInput as error:
        raise ValueError(str(error)) from error


def _one_spelling(formats: tuple[Format, ...]) -> tuple[Format, ...]:
    return tuple(sorted(set(formats)))


Dest = Annotated[str, Field(max_length=400), AfterValidator(_valid_dest)]
Formats = Annotated[tuple[Format, ...], Field(min_length=1), AfterValidator(_one_spelling)]


JobId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$", description="Names the job.")]


class ChunkMessage(BaseModel):
    """A chunk of a job's plan that is to become rows and messages: the body of a message of the chunk queue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    job_id: JobId
    number: int = Field(ge=0)


class TileTask(BaseModel):
    """One tile of one product for one year: the body of one SQS message, JSON under 1 KiB."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    job_id: JobId
    product: Product
    year: int = Field(ge=FIRST_YEAR, le=LAST_YEAR, description="Calendar year of the scenes (UTC).")
    x_tile: int = Field(ge=0, lt=1_000_000)
    y_tile: int = Field(ge=0, lt=1_000_000)
    lon: float = Field(ge=-180, le=180, description="Longitude of the tile's centre, degrees.")
    lat: float = Field(ge=-72, le=72, description="Latitude of the tile's centre, degrees.")
    dest: Dest = Field(description="s3://bucket/prefix or an absolute local folder.")
    formats: Formats = (Format.COG,)
    overwrite: bool = False
    max_attempts: int = Field(default=4, ge=1, le=100, description="Attempts that may count: retries + 1.")

    @property
    def tile(self) -> Tile:
        """The tile, with its grids."""
        return Tile(x=self.x_tile, y=self.y_tile, lon=self.lon, lat=self.lat)

    @property
    def task_id(self) -> str:
        """The key of the task within its job: ``{year}/{x}X{y}Y/{product}``."""
        return task_id(self.year, self.x_tile, self.y_tile, self.product)


def task_id(year: int, x_tile: int, y_tile: int, product: Product) -> str:
    """The key of a task within its job: ``{year}/{x}X{y}Y/{product}``."""
    return f"{year}/{tile_key(x_tile, y_tile)}/{product}"
