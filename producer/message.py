"""The message contract of the chunk queue."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ChunkMessage(BaseModel):
    """The body of a message of the chunk queue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    job_id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")
    number: int = Field(ge=0)
