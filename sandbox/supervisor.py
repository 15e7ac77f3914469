"""Brings the sandbox up and keeps it: catalogue, local AWS, and a feeder per function."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ard.errors import InvalidInput, Unavailable
from ard.settings import WorkerSettings
from sandbox.blobs import Blobs, serve_blobs
from sandbox.catalogue import CatalogName, serve_catalogue
from sandbox.cloud import Deployment, Facts, create_cloud
from sandbox.engine import EngineName, start_engine
from sandbox.environment import enter, local_aws, machine_environment
from sandbox.functions import FUNCTIONS, ROOT, FunctionSpec, read_functions
from sandbox.poller import Feeder, Say, Source, feed_from_queue, feed_on_schedule
from sandbox.runtime import Worker, WorkerSpec
from sandbox.s1_items import COLLECTION
from sandbox.s1_scenes import write_s1_scenes
from sandbox.s2_scenes import write_s2_scenes
from sandbox.scenes import write_dem_scenes
from sandbox.state import RunningFunction, RunningQueue, State, hold, read_state, running_pid, write_state
from sandbox.tiles import DEMO_YEAR, demo_tiles, index_tiles, write_index

_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.1
_TAIL_CHARACTERS = 2000
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What sandbox is wanted.

    Attributes:
        folder: Everything it keeps; absolute.
        items: Files of STAC items to serve besides the made-up scenes.
        functions: The list of functions to run.
        code: The folder of the handlers' code.
        workers: Warm workers per function, at most.
    """

    folder: Path
    engine: EngineName = "ministack"
    catalog: CatalogName = "local"
    items: tuple[Path, ...] = ()
    functions: Path = FUNCTIONS
    code: Path = ROOT
    workers: int = 2

    @property
    def logs(self) -> Path:
        """Where everything that runs says what it does."""
        return self.folder / "logs"

    @property
    def scenes(self) -> Path:
        """Where the made-up scenes are kept."""
        return self.folder / "scenes"


@contextmanager
def running(options: Options, say: Say) -> Iterator[State]:
    """The sandbox, ready, for as long as the context; from then on this process's AWS clients are local.

    Args:
        options: What is wanted.
        say: Told, in one line and from any thread, what does not go well meanwhile.

    Raises:
        InvalidInput: One runs in that folder, or the list of functions is none.
        Unavailable: A part of it does not start.
    """
    functions = read_functions(options.functions)
    with ExitStack() as stack:
        stack.enter_context(hold(options.folder))
        options.logs.mkdir(exist_ok=True)
        index = options.folder / "tiles.parquet"
        write_index(index)
        blobs = _blobs(options, stack)
        stac_url = stack.enter_context(_catalogue(options, blobs))
        endpoint = stack.enter_context(start_engine(options.engine, options.folder / "aws" / options.engine))
        local = local_aws(endpoint, functions.home_region)
        enter(local)
        out = options.folder / "out"
        live = options.catalog == "earth-search"
        facts = Facts(
            tile_index=index,
            stac_url=stac_url,
            live_sources=live,
            blobs=blobs,
            local_dests=(out,),
            git_sha=_git_sha(),
        )
        deployment = create_cloud(functions, facts)
        fed = [_feed(function, deployment, endpoint, options, say) for function in functions.functions]
        stack.callback(_stop, [feeder for _, feeder in fed if feeder is not None])
        state = State(
            pid=os.getpid(),
            engine=options.engine,
            endpoint=endpoint,
            stac_url=stac_url,
            functions=tuple(function for function, _ in fed),
            queues={
                name: RunningQueue(region=queue.region, url=queue.url, dlq_url=queue.dlq_url)
                for name, queue in deployment.queues.items()
            },
            environment={**local, **deployment.environment},
        )
        write_state(options.folder, state)
        yield state


def stay_up(options: Options, say: Say, *, greet: Callable[[State], None]) -> None:
    """Run a sandbox in the foreground until SIGINT, SIGTERM or SIGHUP comes.

    Raises:
        InvalidInput: See ``running``.
        Unavailable: See ``running``.
    """
    for number in _STOP_SIGNALS:
        signal.signal(number, _interrupt)
    try:
        with running(options, say) as state:
            greet(state)
            try:
                while True:
                    time.sleep(1)
            finally:
                for number in _STOP_SIGNALS:  # the way down is short, and is not to be cut
                    signal.signal(number, signal.SIG_IGN)
    except KeyboardInterrupt:
        say("The sandbox is down.")


def detach(options: Options) -> State:
    """Start ``sandbox up`` in the background and wait until it is ready.

    Raises:
        InvalidInput: One runs in that folder.
        Unavailable: It does not become ready; with what it said last.
    """
    pid = running_pid(options.folder)
    if pid is not None:
        raise InvalidInput(f"the sandbox in {options.folder} is up already, process {pid}")
    options.logs.mkdir(parents=True, exist_ok=True)
    log = options.logs / "sandbox.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "up", *_arguments(options)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        state = read_state(options.folder)
        if state is not None and state.pid == process.pid:
            return state
        time.sleep(_POLL_SECONDS)
    process.kill()
    process.wait()
    raise Unavailable(f"the sandbox did not become ready: {log.read_text()[-_TAIL_CHARACTERS:].strip()}")


def take_down(folder: Path) -> bool:
    """End the sandbox of a folder and wait for it; False when none was up."""
    pid = running_pid(folder)
    if pid is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while running_pid(folder) == pid:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += _STOP_SECONDS
        time.sleep(_POLL_SECONDS)
    return True


def _arguments(options: Options) -> list[str]:
    values = {
        "folder": options.folder,
        "engine": options.engine,
        "catalog": options.catalog,
        "functions": options.functions,
        "code": options.code,
        "workers": options.workers,
    }
    given = [(name, str(value)) for name, value in values.items()] + [("items", str(path)) for path in options.items]
    return [part for name, value in given for part in (f"--{name}", value)]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _blobs(options: Options, stack: ExitStack) -> Blobs | None:
    """The store of the made-up Sentinel-1 scenes, where there are any."""
    if options.catalog != "local":
        return None
    return stack.enter_context(serve_blobs({COLLECTION: options.scenes / "s1" / COLLECTION}))


def _catalogue(options: Options, blobs: Blobs | None) -> AbstractContextManager[str]:
    if options.catalog == "earth-search":
        return nullcontext(str(WorkerSettings.model_fields["stac_url"].default))
    made = make_scenes(options, blobs_url=blobs.url if blobs else None)
    return serve_catalogue(*made, *options.items, log=options.logs / "catalogue.log")


def make_scenes(options: Options, *, blobs_url: str | None = None) -> list[Path]:
    """The files of the made-up scenes' items, the DEM's first; what was made before is found again.

    Sentinel-1's are in the store at ``blobs_url``, else files.
    """
    made = [write_dem_scenes(options.scenes, index_tiles())]
    if options.catalog == "local":
        made.append(write_s2_scenes(options.scenes / "s2", demo_tiles(), year=DEMO_YEAR))
        made.append(write_s1_scenes(options.scenes / "s1", demo_tiles(), year=DEMO_YEAR, base_href=blobs_url))
    return made


def _feed(
    function: FunctionSpec, deployment: Deployment, endpoint: str, options: Options, say: Say
) -> tuple[RunningFunction, Feeder | None]:
    """Start what feeds a function; nothing for one that has no handler."""
    if not function.exists(options.code):
        say(f"{function.name}: there is no handler {function.handler}; the function does not run")
        return RunningFunction(name=function.name, handler=function.handler, workers=0), None
    count = min(function.max_concurrency, options.workers)
    spec = WorkerSpec(
        name=function.name,
        handler=function.handler,
        region=function.region,
        memory_mb=function.memory_mb,
        environment={
            **machine_environment(),
            **local_aws(endpoint, function.region),
            **deployment.environment_of(function),
        },
        root=options.code,
        log=options.logs / f"{function.name}.log",
    )
    workers = [Worker(spec) for _ in range(count)]
    return RunningFunction(name=function.name, handler=function.handler, workers=count), _feeder(
        function, deployment, workers, say
    )


def _feeder(function: FunctionSpec, deployment: Deployment, workers: Sequence[Worker], say: Say) -> Feeder:
    if function.queue is None:
        return feed_on_schedule(
            function.name,
            workers[0],
            region=function.region,
            every_seconds=60 * (function.schedule_minutes or 1),
            timeout_seconds=function.timeout_seconds,
            say=say,
        )
    source = Source(
        function=function.name,
        url=deployment.queues[function.queue].url,
        region=function.region,
        batch_size=function.batch_size,
        timeout_seconds=function.timeout_seconds,
    )
    return feed_from_queue(source, workers, say)


def _stop(feeders: Sequence[Feeder]) -> None:
    for feeder in feeders:
        feeder.stop()
    for feeder in feeders:
        feeder.join()


def _git_sha() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
