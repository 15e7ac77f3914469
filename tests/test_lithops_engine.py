"""The engine without queues: the same job, rows and ends, with the workers called from the producer."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from ard.adapters.queues import CAUSE, Queue
from ard.errors import InvalidInput, NoData, Transient, Unavailable
from ard.product import Product
from ard.rows import Command
from ard.settings import AwsSettings, WorkerSettings
from ard.states import State
from consumers import services as workers
from consumers.direct import Call, answer
from producer.jobs import start_job
from producer.lithops_config import Backend, place, read_backends, worker_environment
from producer.lithops_engine import run_job, start_without_messages
from producer.services import Services
from sandbox.catalogue import serve_catalogue
from sandbox.scenes import write_dem_scenes
from sandbox.tiles import index_tiles, write_index
from tests.engines import Cloud
from tests.factories import make_dem
from tests.producing import NOW, Crash, World, make_settings, make_tiles, mocked_world
from tests.servers import Answer, serving

ROOT = Path(__file__).resolve().parents[1]
HERE = Backend(name="config.local.yaml", config={}, region=None, seconds=900)
WORKER = WorkerSettings()
KILLED = "MemoryError: killed"


class Clock:
    """Moves only when somebody sleeps."""

    def __init__(self):
        self.now, self.slept = NOW, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class Killed(BaseException):
    """The worker dies here."""


def make(task, catalog, reader):
    return make_dem(tile=task.tile)


def raising(*errors):
    """A loader that raises the errors one after the other, then makes the tile."""
    waiting = list(errors)

    def load(task, catalog, reader):
        if waiting:
            raise waiting.pop(0)
        return make(task, catalog, reader)

    return load


@dataclass
class FakeCaller:
    """Runs workers in this process; the driver dies at its ``dies_at``-th call."""

    workers: Callable[[Product], workers.Services]
    dies_at: int | None = None
    name: str = "driver"
    calls: list[Call] = field(default_factory=list)

    def run(self, calls, show):
        return [self._run(call, number, show) for number, call in enumerate(calls)]

    def _run(self, call, number, show):
        if len(self.calls) == self.dies_at:
            raise Crash
        self.calls.append(call)
        try:
            answer(call, self.workers(call.product))
        except Killed:
            return KILLED
        except Unavailable as error:
            return str(error)
        finally:
            show(number + 1)
        return None


@dataclass
class Run:
    """A deployment, a job of so many DEM tiles in it, and drivers that run it."""

    world: World
    tiles: int = 2
    load: Callable = make
    options: dict = field(default_factory=dict)
    memory_mb: int | None = None
    clock: Clock = field(default_factory=Clock)
    shown: list[int] = field(default_factory=list)

    def __post_init__(self):
        url = self.world.sqs.create_queue(QueueName="dlq")["QueueUrl"]
        self.dlq = Queue(self.world.sqs, url)
        self.services = replace(self.world.services, clock=self.clock)

    @property
    def request(self):
        return make_tiles(self.tiles, products=("dem",), **self.options)

    def start(self, services: Services | None = None):
        services = services or self.services
        started = start_without_messages(self.request, services=services, request_key="cli:a", now=self.clock())
        return started.job

    def drive(self, **caller):
        """Start the job or find it, and run it with a driver of its own; the driver's caller."""
        found = FakeCaller(self.worker, **caller)
        self.go_on(self.start(), found)
        return found

    def go_on(self, job, caller):
        places = place(
            [Product.DEM], settings=self.services.settings, worker=WORKER, backends=[HERE], memory_mb=self.memory_mb
        )
        run_job(
            job.job_id,
            services=self.services,
            places=places,
            caller=caller,
            show=self.shown.append,
            sleep=self.clock.sleep,
        )

    def worker(self, product):
        return workers.Services(
            product=product, load=self.load, catalog=None, reader=None, open_store=lambda dest: self.world.outputs,
            table=self.services.table, queue=self.services.product_queues[product], dlq=self.dlq, clock=self.clock,
            random=Random(1), git_sha="abc",
        )  # fmt: skip

    def rows(self):
        (job,) = self.services.table.jobs(10)
        return sorted(self.services.table.tasks(job), key=lambda row: row.task_id)


@pytest.fixture
def world():
    with mocked_world() as world:
        yield world


# The job


def test_every_tile_is_made_and_nothing_is_sent(world):
    run = Run(world)

    run.drive()

    assert [row.state for row in run.rows()] == [State.SUCCEEDED] * 2
    assert not world.chunk_messages() and not world.task_messages(Product.DEM)


def test_job_and_rows_are_those_of_the_other_engine(world):
    run = Run(world)
    job = run.start()
    with mocked_world() as other:
        sent = start_job(run.request, services=other.services, request_key="cli:a", now=NOW)

    assert job == sent.job
    assert [(row.state, row.fence, row.check_after) for row in run.rows()] == [(State.QUEUED, 0, NOW + 6 * 3600)] * 2


def test_tiles_that_exist_are_skipped(world):
    Run(world, tiles=1).drive()
    run = Run(world, options={"rerun": 2})

    (call,) = run.drive().calls

    job = next(job for job in world.services.table.jobs(10) if job.job_id == json.loads(call.body)["job_id"])
    assert sorted(row.state for row in world.services.table.tasks(job)) == [State.SKIPPED, State.SUCCEEDED]
    assert run.shown[0] == 1 and run.shown[-1] == 2


def test_job_that_waits_for_approval_is_not_run(world):
    run = Run(world, options={"max_cost_usd": 1e-9})

    assert not run.drive().calls
    assert run.start().command is Command.AWAITING_APPROVAL and not run.rows()


def test_rows_tell_the_call_and_the_memory_it_had(world):
    run = Run(world, tiles=1, memory_mb=3072)
    run.load = lambda task, *ports: run.clock.sleep(10) or make_dem(tile=task.tile)

    (call,) = run.drive().calls

    (row,) = run.rows()
    assert (call.memory_mb, call.seconds, call.owner) == (3072, 120, "driver-0")
    assert row.gb_seconds == 30.0
    assert [(attempt.worker, attempt.outcome) for attempt in row.attempts] == [("driver-0", "SUCCEEDED")]


# What goes wrong


def test_task_is_tried_again_when_its_time_has_come(world):
    run = Run(world, tiles=1, load=raising(Transient("a bad read")))

    run.drive()

    (row,) = run.rows()
    assert [attempt.outcome for attempt in row.attempts] == ["transient", "SUCCEEDED"]
    assert row.charged == 1
    assert run.clock.now == sum(run.clock.slept) + NOW and 0 < sum(run.clock.slept) <= 31


def test_worker_that_dies_is_charged_and_its_task_tried_again_without_waiting_for_the_lease(world):
    run = Run(world, tiles=1, load=raising(Killed()))

    calls = run.drive().calls

    (row,) = run.rows()
    assert len(calls) == 2
    assert (row.state, row.charged, [attempt.outcome for attempt in row.attempts]) == (
        State.SUCCEEDED, 1, ["crashed", "SUCCEEDED"],
    )  # fmt: skip
    assert sum(run.clock.slept) < 5


def test_task_whose_workers_always_die_fails_with_a_dead_letter(world):
    run = Run(world, tiles=1, load=raising(*[Killed() for _ in range(9)]), options={"retries": 1})

    run.drive()

    (row,), (letter,) = run.rows(), run.dlq.receive(visible_again_seconds=60)
    assert (row.state, row.charged, row.cause) == (State.FAILED, 2, "crashed")
    assert letter.attributes[CAUSE] == "crashed"


def test_task_of_another_worker_is_waited_for_and_taken_over_when_that_one_dies(world):
    run = Run(world, tiles=1)
    job = run.start()
    (row,) = run.rows()
    theirs = replace(row, state=State.RUNNING, owner="a lambda", fence=1, lease_until=NOW + 50)
    assert run.services.table.replace(row, theirs)

    run.go_on(job, FakeCaller(run.worker))

    (row,) = run.rows()
    assert [attempt.worker for attempt in row.attempts] == ["a lambda", "driver-0"]
    assert NOW + 50 < run.clock.now < NOW + 60


@pytest.mark.parametrize("step", [0, 2])
def test_nothing_is_lost_and_nothing_made_twice_when_the_driver_dies(world, step):
    made = []

    def load(task, catalog, reader):
        made.append(task.task_id)
        raise NoData("open sea")

    run = Run(world, tiles=4, load=load)
    with pytest.raises(Crash):
        run.drive(dies_at=step)
    before = len(made)

    run.drive(name="another")

    assert before == step
    assert [(row.state, row.fence) for row in run.rows()] == [(State.NO_DATA, 1)] * 4
    assert sorted(made) == [row.task_id for row in run.rows()]


def test_engine_gives_up_when_no_worker_can_do_anything(world):
    run = Run(world)

    def unreachable(product):
        raise Unavailable("no table in sight")

    job = run.start()
    caller = FakeCaller(unreachable)
    with pytest.raises(Unavailable, match=r"2 workers could do nothing for their tasks: no table in sight"):
        run.go_on(job, caller)

    assert len(caller.calls) == 6
    assert [row.state for row in run.rows()] == [State.QUEUED] * 2


@pytest.mark.parametrize(
    ("command", "state", "parked"), [(Command.PAUSED, State.QUEUED, True), (Command.CANCELLED, State.CANCELLED, False)]
)
def test_job_that_is_not_to_go_on_has_its_free_tasks_set_aside(world, command, state, parked):
    run = Run(world)
    job = run.start()
    run.services.table.set_command(job.job_id, command)

    run.go_on(job, FakeCaller(run.worker))

    assert [(row.state, row.parked) for row in run.rows()] == [(state, parked)] * 2


# Where it runs


def backend(name="config.euc1.yaml", region="eu-central-1", seconds=895):
    return Backend(name=name, config={}, region=region, seconds=seconds)


def places_of(*products, backends, memory_mb=None, **settings):
    deployment = make_settings(products, **settings)
    return place(products, settings=deployment, worker=WORKER, backends=backends, memory_mb=memory_mb)


def test_each_product_runs_in_the_region_of_its_queue():
    settings = make_settings((Product.DEM, Product.S2))
    near = settings.queues[Product.S2].model_copy(update={"region": "us-west-2"})
    settings = settings.model_copy(update={"queues": {**settings.queues, Product.S2: near}})
    backends = [backend(), backend("config.usw2.yaml", "us-west-2")]

    placed = place(settings.queues, settings=settings, worker=WORKER, backends=backends)

    assert {product: found.backend.name for product, found in placed.items()} == {
        Product.DEM: "config.euc1.yaml",
        Product.S2: "config.usw2.yaml",
    }


def test_this_machine_is_as_good_as_any_region():
    placed = places_of(Product.DEM, Product.S1, backends=[HERE])

    assert [found.backend for found in placed.values()] == [HERE, HERE]


def test_product_without_a_configuration_for_its_region_is_told():
    with pytest.raises(InvalidInput, match=r"for dem in eu-central-1, found config.usw2.yaml \(us-west-2\)"):
        places_of(Product.DEM, backends=[backend("config.usw2.yaml", "us-west-2")])


def test_workers_are_called_as_their_function_is_deployed():
    arguments = places_of(Product.DEM, backends=[backend()])[Product.DEM].map_arguments()

    assert arguments.pop("extra_env")["TTC_TABLE"] == "ttc"
    assert arguments == {"runtime_memory": 1024, "timeout": 120, "include_modules": None}


def test_memory_can_be_another_and_time_is_never_more_than_lithops_gives():
    placed = places_of(Product.DEM, backends=[backend(seconds=60)], memory_mb=3008)[Product.DEM]

    assert (placed.map_arguments()["runtime_memory"], placed.map_arguments()["timeout"]) == (3008, 60)


def test_worker_is_told_its_own_queue_and_what_was_set_but_no_secret():
    settings = make_settings((Product.DEM, Product.S1))
    worker = WorkerSettings(stac_url="http://stac.test", live_sources=True, s1_subscription_key="hush")

    told = worker_environment(Product.S1, settings=settings, worker=worker)

    assert json.loads(told.pop("TTC_QUEUES")) == {"s1": settings.queues[Product.S1].model_dump()}
    assert told == {
        "TTC_TABLE": "ttc",
        "TTC_TABLE_REGION": "us-west-2",
        "TTC_DEST_REGION": "us-west-2",
        "TTC_STAC_URL": "http://stac.test",
        "TTC_LIVE_SOURCES": "True",
    }


def test_local_configuration_names_the_running_python():
    (local,) = read_backends([ROOT / ".lithops" / "config.local.yaml"], aws=AwsSettings())

    assert (local.region, local.seconds) == (None, 900)
    assert local.config["localhost"]["runtime"] == sys.executable
    assert local.config["lithops"]["data_cleaner"] is False


def test_functions_on_aws_are_refused_where_aws_is_local():
    local = AwsSettings(endpoint_url="http://127.0.0.1:4566")

    with pytest.raises(InvalidInput, match=r"for localhost where AWS is local .* found config.euc1.yaml"):
        read_backends([ROOT / ".lithops" / "config.euc1.yaml"], aws=local)


@pytest.mark.parametrize("text", ["", "lithops: [", "lithops: {backend: aws_lambda}", "- 1", "lithops: 7"])
def test_file_that_is_no_configuration_is_told(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)

    with pytest.raises(InvalidInput, match=r"c\.yaml: expected a Lithops configuration with"):
        read_backends([tmp_path / "c.yaml"], aws=AwsSettings())


def test_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InvalidInput, match=r"c\.yaml, found no file"):
        read_backends([tmp_path / "c.yaml"], aws=AwsSettings())


def test_who_has_no_lithops_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lithops", None)

    with pytest.raises(InvalidInput, match="pip install lithops"):
        read_backends([], aws=AwsSettings())


# Through Lithops itself, on this machine. The engine of the local AWS makes no difference here: one is enough.

DRIVER = """
import sys
from pathlib import Path
from ard.settings import AwsSettings, ControlSettings, WorkerSettings
from producer.json_io import read_json_request
from producer.lithops_config import place, read_backends
from producer.lithops_engine import run_with_lithops, start_without_messages
from producer.services import connect

services = connect(ControlSettings(), AwsSettings())
request = read_json_request(Path(sys.argv[1]).read_bytes(), index=services.index())
job = start_without_messages(request, services=services, request_key="cli:a", now=services.clock()).job
backends = read_backends([Path(sys.argv[2])], aws=AwsSettings())
places = place(job.totals, settings=services.settings, worker=WorkerSettings(), backends=backends)
run_with_lithops(job, services=services, places=places, show=lambda done: None)
"""
# In the cell of which the sandbox has the coarse elevation model only, so that its scene is quickly made.
TILES = [tile for tile in index_tiles() if tile.lon > -54 and tile.lat < -5]


@dataclass
class Driver:
    """A job of so many DEM tiles on a local AWS, and the processes that run it."""

    cloud: Cloud
    folder: Path
    home: Path
    stac_url: str = ""
    tiles: int = 3
    process: subprocess.Popen | None = None

    def __post_init__(self):
        write_index(self.folder / "index.parquet")
        names = [f"{tile.x}X{tile.y}Y" for tile in TILES[: self.tiles]]
        request = {"0b1f8a56-5a0b-4a43-a1ce-2d5c4a3b9f10": {"2023": {"missing_tiles": names, "all_tiles": []}}}
        (self.folder / "request.json").write_text(json.dumps(request))

    @property
    def environment(self):
        out = str(self.folder / "out")
        return {
            **os.environ, **self.cloud.environment, "HOME": str(self.home), "TMPDIR": str(self.home),
            "TTC_CONTROL_BUCKET": self.cloud.bucket, "TTC_CONTROL_REGION": "us-west-2",
            "TTC_INBOX_QUEUE_URL": "http://127.0.0.1/inbox", "TTC_CHUNK_QUEUE_URL": "http://127.0.0.1/chunks",
            "TTC_TILE_INDEX": str(self.folder / "index.parquet"), "TTC_DEFAULT_DEST": out,
            "TTC_ALLOWED_DESTS": json.dumps([out]), "TTC_STAC_URL": self.stac_url,
        }  # fmt: skip

    def run(self) -> int:
        """Run the job to its end, or to the driver's; the exit code."""
        arguments = [str(self.folder / "request.json"), str(ROOT / ".lithops" / "config.local.yaml")]
        command = [sys.executable, "-W", "ignore", "-c", DRIVER, *arguments]
        self.process = subprocess.Popen(command, env=self.environment, cwd=ROOT)
        return self.process.wait(timeout=120)

    def workers(self) -> list[int]:
        """The processes under the driver, the innermost first."""
        found, waiting = [], [self.process.pid]
        while waiting:
            children = children_of(waiting.pop())
            found, waiting = children + found, waiting + children
        return found

    def rows(self):
        (job,) = self.cloud.table.jobs(10)
        return sorted(self.cloud.table.tasks(job), key=lambda row: row.task_id)

    def processes_left(self) -> list[int]:
        """Processes that live in this home, whoever started them."""
        return [pid for pid in pids() if f"HOME={self.home}".encode() in environment_of(pid)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where Lithops keeps what it writes, on behalf of all tests."""
    return tmp_path_factory.mktemp("home")


def pids():
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def children_of(pid: int) -> list[int]:
    return [child for child in pids() if parent_of(child) == pid]


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return 0


def environment_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@contextmanager
def catalogue(on_search: Callable[[int], None]):
    """A STAC API without any scene, which makes sea; it tells of each search before it answers."""
    searches = []

    def reply(method, path, headers):
        host = f"http://{headers['Host']}"
        if path.startswith("/search"):
            searches.append(path)
            on_search(len(searches))
            return Answer(body=b'{"type": "FeatureCollection", "features": [], "links": []}')
        search = {"rel": "search", "href": f"{host}/search", "type": "application/geo+json", "method": "POST"}
        conforms = [f"https://api.stacspec.org/v1.0.0/{part}" for part in ("core", "item-search")]
        root = {"type": "Catalog", "id": "sea", "description": "", "stac_version": "1.0.0", "conformsTo": conforms}
        return Answer(
            body=json.dumps(root | {"links": [search]}).encode(), headers={"Content-Type": "application/json"}
        )

    with serving(reply) as url:
        yield url


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
on_one_engine = pytest.mark.parametrize("engine", ["moto"], indirect=True)


@on_one_engine
@on_linux
def test_lithops_makes_tiles_on_this_machine_and_leaves_no_process_behind(cloud, tmp_path, home):
    scenes = write_dem_scenes(tmp_path / "scenes", TILES[:2])
    with serve_catalogue(scenes) as url:
        driver = Driver(cloud, tmp_path, home, stac_url=url, tiles=2)
        code = driver.run()

    assert code == 0
    assert [(row.state, row.charged, row.flags) for row in driver.rows()] == [
        (State.SUCCEEDED, 0, ("filled_glo90",))
    ] * 2
    assert all((tmp_path / "out" / row.item).is_file() for row in driver.rows())
    assert cloud.queue.depth() == cloud.dlq.depth() == 0
    assert not list(home.rglob("lithops.jobs/*")) and not driver.processes_left()
    (log,) = home.rglob("localhost-runner.log")
    assert "SUCCEEDED" in log.read_text() and "Signature" not in log.read_text()


@on_one_engine
@on_linux
def test_killed_worker_is_noted_and_its_tile_made_by_the_next(cloud, tmp_path, home):
    driver = Driver(cloud, tmp_path, home, tiles=1)
    with catalogue(lambda number: kill(driver.workers()[:1]) if number == 1 else None) as url:
        driver.stac_url = url
        code = driver.run()

    assert code == 0
    (row,) = driver.rows()
    assert (row.state, row.charged) == (State.SUCCEEDED, 1)
    assert [attempt.outcome for attempt in row.attempts] == ["crashed", "SUCCEEDED"]


@on_one_engine
@on_linux
def test_same_command_goes_on_where_a_killed_driver_was(cloud, tmp_path, home):
    driver = Driver(cloud, tmp_path, home, tiles=3)
    made_by_then = []

    def die(_number):
        done = [row for row in driver.rows() if row.state.terminal]
        if done and not made_by_then:
            made_by_then.extend(done)
            kill([driver.process.pid, *driver.workers()])

    with catalogue(die) as url:
        driver.stac_url = url
        code = driver.run()
        for row in driver.rows():
            if row.state is State.RUNNING:  # so long until somebody comes back
                assert cloud.table.replace(row, replace(row, lease_until=0.0))
        again = driver.run()

    assert (code, again) == (-signal.SIGKILL, 0)
    assert {row.state for row in driver.rows()} == {State.SUCCEEDED}
    assert made_by_then and all(row in driver.rows() for row in made_by_then)
    assert not driver.processes_left()
