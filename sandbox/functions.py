"""The one list of functions and queues, which the sandbox runs from as AWS is deployed from it."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ard.errors import InvalidInput
from ard.product import Product

ROOT = Path(__file__).resolve().parents[1]
FUNCTIONS = ROOT / "infra" / "functions.json"


class QueueSpec(BaseModel):
    """A queue that has a dead-letter queue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str
    max_receives: int = Field(ge=1)
    retention_days: int = Field(ge=1, le=14)


class FunctionSpec(BaseModel):
    """A function, fed by a queue or by the clock, and the names of the variables it is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    handler: str = Field(pattern=r"^\w+(\.\w+)+$", description="Dotted module and the function in it.")
    region: str
    queue: str | None = None
    schedule_minutes: int | None = Field(default=None, ge=1)
    memory_mb: int
    timeout_seconds: int = Field(ge=1, le=900)
    max_concurrency: int = Field(ge=1)
    batch_size: int = Field(default=1, ge=1, le=10)
    environment: tuple[str, ...]

    @property
    def product(self) -> Product | None:
        """What a worker makes; None for a function that is no worker."""
        return Product(self.queue) if self.queue in set(Product) else None

    def exists(self, root: Path) -> bool:
        """Whether the handler's module is among the modules below a folder."""
        module = root.joinpath(*self.handler.split(".")[:-1])
        return module.with_suffix(".py").is_file() or (module / "__init__.py").is_file()


class Functions(BaseModel):
    """Everything that is deployed, in the regions where it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home_region: str
    queues: dict[str, QueueSpec]
    functions: tuple[FunctionSpec, ...]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for function in self.functions:
            if (function.queue is None) == (function.schedule_minutes is None):
                raise ValueError(f"expected function {function.name} to have a queue or a schedule")
            if function.queue is not None and function.queue not in self.queues:
                raise ValueError(f"expected function {function.name} to have one of {sorted(self.queues)} as its queue")
        return self

    def draining(self, queue: str) -> FunctionSpec | None:
        """The function that a queue feeds."""
        return next((function for function in self.functions if function.queue == queue), None)


def read_functions(path: Path = FUNCTIONS) -> Functions:
    """The list in a file.

    Raises:
        InvalidInput: There is no such file, or it is not such a list.
    """
    try:
        return Functions.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"expected the list of functions: {error}") from error
    except ValidationError as error:
        raise InvalidInput(f"expected a list of functions in {path}: {error}") from error
