"""Whether a deployment is well: each part is looked at, and what is wrong comes with its remedy."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from ard.errors import ArdError, Auth
from ard.settings import AwsSettings, ControlSettings, TableSettings, WorkerSettings
from tracker.doctor import checks
from tracker.doctor.findings import Finding, Level, broken, doubtful, well
from tracker.doctor.programs import program_findings

S = TypeVar("S", bound=BaseSettings)

_DEPLOY = "terraform -chdir=infra apply; on this machine: sandbox up"
_CONFIGURE = 'eval "$(sandbox env)"; or set the variables of your deployment'
_CREDENTIALS = "aws configure; then: aws sts get-caller-identity"


def examine(*, now: float) -> Iterator[Finding]:
    """Everything that can be looked at from here; nothing is changed, and nothing is raised."""
    yield from program_findings()
    aws, table = _settings(AwsSettings), _settings(TableSettings)
    control, worker = _settings(ControlSettings), _settings(WorkerSettings)
    yield _told("settings", table)
    if isinstance(aws, AwsSettings) and isinstance(table, TableSettings):
        known = list(_safely("credentials", _CREDENTIALS, partial(checks.credentials, table, aws)))
        yield from known
        if any(finding.level is Level.FAIL for finding in known):
            yield doubtful("deployment", "not looked at: AWS does not let us in", _CREDENTIALS)
        else:
            yield from _deployment(table, control, aws, now)
    if isinstance(worker, WorkerSettings):
        for name in ("stac_url", "s1_stac_url"):
            yield from _safely(
                name.replace("_", " "), "curl the address above", partial(checks.catalogue, name, worker)
            )
        yield from checks.source_key(worker)


def _deployment(
    table: TableSettings, control: ControlSettings | str, aws: AwsSettings, now: float
) -> Iterator[Finding]:
    yield from _safely("table", _DEPLOY, partial(checks.table, table))
    for product, queue in sorted(table.queues.items()):
        yield from _safely(f"queue {product}", _DEPLOY, partial(checks.product_queue, str(product), queue))
    yield _told("control settings", control)
    if isinstance(control, ControlSettings):
        yield from _control(control, aws, now)


def _control(control: ControlSettings, aws: AwsSettings, now: float) -> Iterator[Finding]:
    region = control.control_region
    for name, url in (("inbox", control.inbox_queue_url), ("chunks", control.chunk_queue_url)):
        yield from _safely(f"queue {name}", _DEPLOY, partial(checks.control_queue, name, url, region))
    yield from _safely("inbox", _DEPLOY, partial(checks.inbox, control, now))
    yield from _safely("tile index", "export TTC_TILE_INDEX=FILE", partial(checks.tile_index, control, aws))
    yield from _safely(
        "destination", "export TTC_DEFAULT_DEST=s3://BUCKET/PREFIX", partial(checks.destination, control)
    )


def _safely(check: str, remedy: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What a look finds; that it could not be had is a finding too."""
    try:
        yield from look()
    except Auth as error:
        yield broken(check, str(error), _CREDENTIALS)
    except (ArdError, ValueError, OSError) as error:  # botocore says ValueError to an address that is none
        yield broken(check, str(error), remedy)


def _settings(kind: type[S]) -> S | str:
    """The settings, or what is wrong with them."""
    try:
        return kind()
    except SettingsError as error:
        return str(error)
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        problems = [f"{prefix}{one['loc'][0]}".upper() + f": {one['msg']}" for one in error.errors() if one["loc"]]
        return "; ".join(problems)


def _told(check: str, settings: BaseSettings | str) -> Finding:
    if isinstance(settings, str):
        return broken(check, settings, _CONFIGURE)
    return well(check, f"{len(type(settings).model_fields)} settings read")
