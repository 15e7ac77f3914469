"""A pipeline made of the sandbox's real parts, each behind a proxy that misbehaves."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from ard.adapters.aws import client
from ard.adapters.queues import Queue
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.settings import AwsSettings
from ard.tile import Tile
from sandbox.catalogue import serve_catalogue
from sandbox.cloud import Deployment, Facts, create_cloud
from sandbox.engine import start_engine
from sandbox.environment import enter, local_aws, machine_environment
from sandbox.functions import ROOT, Functions, FunctionSpec, read_functions
from sandbox.poller import Feeder, Source, feed_from_queue, feed_on_schedule
from sandbox.runtime import Worker, WorkerSpec
from sandbox.scenes import GLO_30, write_dem_scenes
from sandbox.tiles import index_tiles, write_index
from tests.faults.promises import Ledger
from tests.faults.proxy import Forward, Reply, Request, files, proxying, upstream
from tests.faults.storm_handler import EPOCH, SKEW, SPEED, Clock
from tests.faults.weather import Weather, aws_plan, dangers

TIMEOUT_SECONDS = {"dem": 12, "chunks": 60, "inbox": 30, "reconcile": 60}
WORKERS = {"dem": 5, "chunks": 2, "inbox": 1, "reconcile": 1}
SKEW_SECONDS = 300.0

_RECONCILE_SECONDS = 4.0
_HANG_SECONDS = TIMEOUT_SECONDS["dem"] + 3.0
_VISIBILITY_MARGIN_SECONDS = 3
_INSIDE_DEGREES = 0.01  # further from a tile's edge than its neighbours look
_TORN_FROM = 20_000  # byte: behind the header of a cell


@dataclass(kw_only=True)
class Place:
    """What runs, and what is known of it; ``table``, ``control``, ``outputs`` and ``client`` go past the proxies."""

    weather: Weather
    ledger: Ledger
    clock: Clock
    deployment: Deployment
    engine: str
    table: StatusTable
    control: Store
    outputs: Store
    workers: dict[str, list[Worker]] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)

    def client(self, service: str, region: str) -> Any:
        """A client that no fault befalls."""
        inside = dict(os.environ)
        os.environ["AWS_ENDPOINT_URL"] = self.engine
        try:
            return client(service, region)
        finally:
            os.environ.update(inside)

    def queue(self, name: str, *, dead_letters: bool = False) -> Queue:
        """A queue, past the proxies."""
        urls = self.deployment.queues[name]
        return Queue(self.client("sqs", urls.region), urls.dlq_url if dead_letters else urls.url)

    def kill(self, function: str, random: Random) -> None:
        """SIGKILL one of a function's processes, when one runs."""
        pid = random.choice(self.workers[function]).pid if function in self.workers else None
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.weather.note(f"processes: SIGKILL of {function}")


@contextmanager
def open_place(folder: Path, *, seed: int, speed: float, spoilt: Sequence[Tile]) -> Iterator[Place]:
    """A running pipeline for as long as the context; this process's AWS clients meet its faults meanwhile.

    Args:
        folder: Everything it leaves.
        seed: Of the faults.
        speed: How much faster its clock runs than ours.
        spoilt: Tiles of which one scene is garbage, torn or missing, in turns.
    """
    with ExitStack() as stack:
        stack.enter_context(_environment_kept())
        functions, ledger, clock = _functions(), Ledger(), Clock(_now(), speed)
        home = functions.home_region
        weather = Weather(seed, dangers(hang_seconds=_HANG_SECONDS))
        engine = stack.enter_context(start_engine("ministack", folder / "aws"))
        enter(local_aws(engine, home))
        stac_url = _serve_scenes(folder, weather, spoilt, stack)
        index = folder / "tiles.parquet"
        write_index(index)
        facts = Facts(tile_index=index, stac_url=stac_url, local_dests=(), git_sha="storm")
        deployment = create_cloud(functions, facts)
        environment = deployment.environment
        place = Place(
            weather=weather,
            ledger=ledger,
            clock=clock,
            deployment=deployment,
            engine=engine,
            table=StatusTable(client("dynamodb", home), environment["TTC_TABLE"]),
            control=Store.open(f"s3://{environment['TTC_CONTROL_BUCKET']}", aws=AwsSettings(), region=home),
            outputs=Store.open(environment["TTC_DEFAULT_DEST"], aws=AwsSettings(), region=home),
        )
        _let_messages_return_soon(place)
        forward = _with_deaths(ledger.watching(upstream(engine)), place, Random(f"{seed} deaths"))
        proxied = stack.enter_context(proxying(forward, aws_plan(weather)))
        enter(local_aws(proxied, home) | dict(environment))
        feeders = [_feed(function, place, proxied, folder) for function in functions.functions if _runs(function)]
        stack.callback(_stop, feeders)
        yield place


@contextmanager
def _environment_kept() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _now() -> float:
    return Clock(0.0, 1.0)()


def _functions() -> Functions:
    """The deployed list, with the storm's handlers and short times."""
    listed = read_functions()
    changed = [
        function.model_copy(
            update={
                "handler": f"tests.faults.storm_handler.{function.name}",
                "timeout_seconds": TIMEOUT_SECONDS[function.name],
            }
        )
        if _runs(function)
        else function
        for function in listed.functions
    ]
    return listed.model_copy(update={"functions": tuple(changed)})


def _runs(function: FunctionSpec) -> bool:
    return function.name in WORKERS


def _serve_scenes(folder: Path, weather: Weather, spoilt: Sequence[Tile], stack: ExitStack) -> str:
    """Scenes and catalogue over HTTP, each with its faults; the catalogue's address."""
    scenes = folder / "scenes"
    address = stack.enter_context(proxying(files(scenes), weather.plan("scenes")))
    text = write_dem_scenes(scenes, index_tiles()).read_text().replace(scenes.resolve().as_posix(), address)
    features = json.loads(text)["features"]
    features += [_spoil(number, tile, features, scenes, address) for number, tile in enumerate(spoilt)]
    items = folder / "items.json"
    items.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    catalogue = stack.enter_context(serve_catalogue(items, log=folder / "catalogue.log"))
    return stack.enter_context(proxying(_under_own_name(catalogue), weather.plan("catalogue")))


def _spoil(number: int, tile: Tile, features: Sequence[Mapping[str, Any]], scenes: Path, address: str) -> Any:
    """An item over the middle of a tile, whose file is no scene."""
    box = list(tile.grid(10).bounds.buffered(-_INSIDE_DEGREES))
    over = [
        feature
        for feature in features
        if feature["collection"] == GLO_30
        and all(inner >= outer for inner, outer in zip(box[:2], feature["bbox"][:2], strict=True))
        and all(inner <= outer for inner, outer in zip(box[2:], feature["bbox"][2:], strict=True))
    ]
    asset = over[0]["assets"]["data"]
    whole = (scenes / asset["href"].removeprefix(address).lstrip("/")).read_bytes()
    (scenes / "spoilt").mkdir(exist_ok=True)
    path = scenes / "spoilt" / f"{number}.tif"
    if number % 3 == 0:
        path.write_bytes(b"no scene" * 1000)
    elif number % 3 == 1:
        path.write_bytes(whole[:_TORN_FROM] + b"\xa5" * (len(whole) - _TORN_FROM))
    ring = [[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]], [box[0], box[1]]]
    return dict(over[0]) | {
        "id": f"spoilt-{number}",
        "bbox": box,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "links": [],
        "assets": {"data": asset | {"href": f"{address}/spoilt/{number}.tif"}},
    }


def _under_own_name(url: str) -> Forward:
    """A catalogue whose links lead to whom was asked, not past it."""
    forward = upstream(url)

    def renamed(request: Request) -> Reply:
        reply = forward(request)
        return replace(reply, body=reply.body.replace(url.encode(), f"http://{request.headers['host']}".encode()))

    return renamed


def _with_deaths(forward: Forward, place: Place, random: Random) -> Forward:
    """An upstream during whose work the producer's functions die: after some row of theirs, before they hear of it."""
    deaths = {
        "inbox": Counter({random.randint(1, 3): 1, random.randint(4, 8): 1}),
        "chunks": Counter({random.randint(1, 30): 1, random.randint(31, 60): 1}),
    }
    written: Counter[str] = Counter()

    def deadly(request: Request) -> Reply:
        reply = forward(request)
        if request.operation == "PutItem" and reply.status == 200:
            item = request.document["Item"]
            queued = item.get("state", {}).get("S") == "QUEUED" and item["fence"]["N"] == "0"
            function = "chunks" if queued else "inbox" if "TASK#" not in item["SK"]["S"] else None
            if function:
                written[function] += 1
                if deaths[function][written[function]]:
                    place.kill(function, random)
        return reply

    return deadly


def _let_messages_return_soon(place: Place) -> None:
    """Queues that wait for a worker that died before it could say for how long only as long as it may live."""
    for name, timeout in TIMEOUT_SECONDS.items():
        if name in place.deployment.queues:
            urls = place.deployment.queues[name]
            sqs = client("sqs", urls.region)
            kept = sqs.get_queue_attributes(QueueUrl=urls.url, AttributeNames=["All"])["Attributes"]
            named = {key: kept[key] for key in ("MessageRetentionPeriod", "Policy", "RedrivePolicy") if key in kept}
            seconds = str(timeout + _VISIBILITY_MARGIN_SECONDS)
            sqs.set_queue_attributes(QueueUrl=urls.url, Attributes=named | {"VisibilityTimeout": seconds})


def _feed(function: FunctionSpec, place: Place, endpoint: str, folder: Path) -> Feeder:
    storm = {EPOCH: repr(place.clock.epoch), SPEED: repr(place.clock.speed), SKEW: repr(SKEW_SECONDS)}
    spec = WorkerSpec(
        name=function.name,
        handler=function.handler,
        region=function.region,
        memory_mb=function.memory_mb,
        environment={
            **machine_environment(),
            **local_aws(endpoint, function.region),
            **place.deployment.environment_of(function),
            **storm,
            "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/",  # every task asks for its scenes anew
        },
        root=ROOT,
        log=folder / f"{function.name}.log",
    )
    workers = place.workers[function.name] = [Worker(spec) for _ in range(WORKERS[function.name])]
    say = _sayer(place)
    timeout = float(function.timeout_seconds)
    if function.queue is None:
        return feed_on_schedule(
            function.name,
            workers[0],
            region=function.region,
            every_seconds=_RECONCILE_SECONDS,
            timeout_seconds=timeout,
            say=say,
        )
    urls = place.deployment.queues[function.queue]
    source = Source(function=function.name, url=urls.url, region=function.region, batch_size=1, timeout_seconds=timeout)
    return feed_from_queue(source, workers, say)


def _sayer(place: Place) -> Callable[[str], None]:
    """Counts what pollers say by its first words."""

    def say(line: str) -> None:
        place.said[": ".join(line.split(": ")[:2])[:60]] += 1

    return say


def _stop(feeders: Sequence[Feeder]) -> None:
    for feeder in feeders:
        feeder.stop()
    for feeder in feeders:
        feeder.join()
