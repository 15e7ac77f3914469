"""Where Lithops runs a product's tasks, and what their workers are told: the files in ``.lithops/``, made complete."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ard.errors import InvalidInput
from ard.product import Product
from ard.settings import AwsSettings, ControlSettings, WorkerSettings

_LOCALHOST = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One configuration of Lithops.

    Attributes:
        name: Its file.
        config: What Lithops takes.
        region: Where its functions run; None on this machine, which is as good as any region.
        seconds: The longest that a call may take there.
    """

    name: str
    config: Mapping[str, Any]
    region: str | None
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a product's tasks run, with which memory, for how long at most, and what their workers are told."""

    backend: Backend
    memory_mb: int
    seconds: int
    environment: Mapping[str, str]

    def map_arguments(self) -> dict[str, Any]:
        """How Lithops is to call workers. No module travels with a call: the image, or this machine, has the code."""
        return {
            "runtime_memory": self.memory_mb,
            "timeout": self.seconds,
            "extra_env": dict(self.environment),
            "include_modules": None,
        }


def read_backends(files: Iterable[Path], *, aws: AwsSettings) -> list[Backend]:
    """The configurations in files such as ``.lithops/config.local.yaml``.

    Raises:
        InvalidInput: Lithops is not installed, a file is none of its configurations, or its functions would run on the
            real AWS while everything else is local.
    """
    if find_spec("lithops") is None:
        raise InvalidInput("expected the package lithops for --via lithops, found none: pip install lithops")
    backends = [_backend(path) for path in files]
    remote = next((backend for backend in backends if backend.region is not None), None)
    if remote is not None and aws.endpoint_url is not None:
        raise InvalidInput(
            f"expected a configuration for localhost where AWS is local ({aws.endpoint_url}), found {remote.name}, "
            f"whose functions run in {remote.region}"
        )
    return backends


def place(
    products: Iterable[Product],
    *,
    settings: ControlSettings,
    worker: WorkerSettings,
    backends: Sequence[Backend],
    memory_mb: int | None = None,
) -> dict[Product, Place]:
    """Where each product's tasks run: in its queue's region or on this machine, as large and long as its function.

    Args:
        products: Of the job.
        settings: The deployment's.
        worker: What was set here for workers.
        backends: The first one that fits is taken.
        memory_mb: Of every worker, instead of its function's.

    Raises:
        InvalidInput: No configuration fits a product.
    """
    places = {}
    for product in products:
        queue = settings.queues[product]
        backend = next((one for one in backends if one.region in {None, queue.region}), None)
        if backend is None:
            found = ", ".join(f"{one.name} ({one.region})" for one in backends) or "none"
            raise InvalidInput(f"expected a Lithops configuration for {product} in {queue.region}, found {found}")
        places[product] = Place(
            backend=backend,
            memory_mb=memory_mb or queue.memory_mb,
            seconds=min(queue.timeout_seconds, backend.seconds),
            environment=worker_environment(product, settings=settings, worker=worker),
        )
    return places


def worker_environment(product: Product, *, settings: ControlSettings, worker: WorkerSettings) -> dict[str, str]:
    """The variables that a product's worker is given: its own queue, the table, and what was set here for workers.

    Secrets stay behind, since Lithops stores and logs what it passes on.
    """
    queue = {product: settings.queues[product].model_dump()}
    told = worker.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude={"s1_subscription_key"})
    facts = {"table": settings.table, "table_region": settings.table_region, "queues": json.dumps(queue), **told}
    if settings.dest_region is not None:
        facts["dest_region"] = settings.dest_region
    return {f"TTC_{name.upper()}": str(value) for name, value in facts.items()}


def _backend(path: Path) -> Backend:
    import yaml  # noqa: PLC0415 - comes with Lithops, which not everybody has

    if not path.is_file():
        raise InvalidInput(f"expected a Lithops configuration at {path}, found no file")
    try:
        config = yaml.safe_load(path.read_bytes())
        backend, seconds = config["lithops"]["backend"], int(config["lithops"]["execution_timeout"])
        region = None if backend == _LOCALHOST else (config[backend].get("region") or config["aws"]["region"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        expected = "expected a Lithops configuration with lithops.backend, lithops.execution_timeout and a region"
        raise InvalidInput(f"{path}: {expected}, found {error!r}") from error
    # Lithops would leave a process of its own behind to tidy up; the engine does so itself.
    config["lithops"]["data_cleaner"] = False
    if backend == _LOCALHOST:  # its own default is whatever "python" is on the PATH
        config[_LOCALHOST] = {**(config.get(_LOCALHOST) or {}), "runtime": sys.executable}
    return Backend(name=path.name, config=config, region=region, seconds=seconds)
