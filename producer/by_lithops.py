"""What ``producer submit --via lithops`` does besides: the engine is loaded only when it is asked for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from ard.adapters.console import Exit, configured, say
from ard.product import Product
from ard.rows import Command, JobRow
from ard.settings import AwsSettings, WorkerSettings
from producer.following import progress
from producer.jobs import Started
from producer.lithops_config import Place, place, read_backends
from producer.plan import Plan
from producer.request import TileRequest
from producer.services import Services

LOCAL_FILES = (Path(".lithops/config.local.yaml"),)
AWS_FILES = (Path(".lithops/config.euc1.yaml"), Path(".lithops/config.usw2.yaml"))


def places_of(
    plan: Plan, files: Sequence[Path] | None, *, mem: int | None, services: Services
) -> Mapping[Product, Place]:
    """Where the tasks of a plan run; by this folder's own configurations unless others are named.

    Raises:
        InvalidInput: Lithops is not installed, or the files do not fit the products.
    """
    aws = AwsSettings()
    chosen = files or (AWS_FILES if aws.local_endpoint is None else LOCAL_FILES)
    backends = read_backends(chosen, aws=aws)
    worker = configured(WorkerSettings)
    return place(plan.totals, settings=services.settings, worker=worker, backends=backends, memory_mb=mem)


def start_here(request: TileRequest, *, services: Services, request_key: str, now: float) -> Started:
    """The request's job with all of its rows; no message is sent. See ``producer.jobs.start_job``."""
    from producer.lithops_engine import start_without_messages  # noqa: PLC0415

    return start_without_messages(request, services=services, request_key=request_key, now=now)


def run_here(job: JobRow, places: Mapping[Product, Place], *, services: Services) -> None:
    """See a job to its end, with a progress bar; one that is not open is left alone.

    Raises:
        Unavailable: No worker can do anything; the same command goes on from there.
        Auth: The table refuses.
        Exit: Somebody pressed Ctrl-C.
    """
    from producer.lithops_engine import run_with_lithops  # noqa: PLC0415

    if job.command is not Command.OPEN:
        return
    try:
        with progress(job.tasks, job.job_id) as advance:
            run_with_lithops(job, services=services, places=places, show=advance)
    except KeyboardInterrupt as interrupt:
        say(f"stopped; to go on, run the same command again. What is there: tracker status --job {job.job_id}")
        raise typer.Exit(Exit.ABORTED) from interrupt
