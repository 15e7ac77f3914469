"""Which outputs exist: never guessed, and asked in the cheaper of two ways."""

from collections import Counter
from dataclasses import replace

import pytest

from ard.adapters.outputs import Verify, publish
from ard.adapters.store import Store
from ard.errors import Auth, Unavailable
from ard.product import Product
from ard.settings import AwsSettings
from ard.states import State
from producer.existing import look_at, withdraw
from producer.expansion import send_chunk
from producer.jobs import start_job
from tests.factories import make_dem, make_provenance, make_task
from tests.outputs import change_content, put_output
from tests.producing import DEST, NOW, REGION, make_tiles, mocked_world


class CountingStore:
    """A store that counts what it is asked, and fails where it is told to."""

    def __init__(self, inner=None, *, fail=None, error=None):
        self.inner, self.fail, self.error = inner or Store.in_memory(), fail, error
        self.asked = Counter()

    def __getattr__(self, name):
        method = getattr(self.inner, name)

        def asked(*args, **kwargs):
            self.asked[name] += 1
            if name == self.fail:
                raise self.error
            return method(*args, **kwargs)

        return asked


def column(count, **overrides):
    return [make_task(y_tile=number, **overrides) for number in range(count)]


def found(looks):
    return [look.output is not None for look in looks]


def test_a_column_of_thirteen_tasks_is_listed_in_one_request():
    store = CountingStore()

    looks = look_at(column(13), store)

    assert store.asked == {"list_few": 1}
    assert not any(found(looks))


def test_a_column_of_twelve_tasks_is_asked_object_by_object():
    store = CountingStore()

    look_at(column(12), store)

    assert store.asked == {"get": 12}


def test_each_year_and_column_is_decided_by_itself():
    store = CountingStore()

    look_at([*column(20), *column(5, x_tile=7), *column(20, year=2024)], store)

    assert store.asked == {"list_few": 2, "get": 5}


def test_sizes_come_from_the_listing_and_only_items_that_are_there_are_read():
    store, tasks = CountingStore(), column(20)
    for task in tasks[:3]:
        put_output(store.inner, task)

    looks = look_at(tasks, store)

    assert found(looks) == [True] * 3 + [False] * 17
    assert store.asked == {"list_few": 1, "get": 3}


def test_both_ways_find_the_same():
    tasks = [*column(10), *column(10, product=Product.S2), *column(10, product=Product.S1)]
    store = Store.in_memory()
    for number, task in enumerate(tasks):
        if number % 4 < 3:
            put_output(store, task, without=("s2_20m",) if number % 4 == 1 else (), item=number % 4 != 2)

    listed = look_at(tasks, store)

    assert listed == [look for task in tasks for look in look_at([task], store)]
    assert {look.output is None for look in listed} == {True, False}


def test_a_neighbouring_column_whose_number_begins_alike_is_another_one():
    store, tasks = Store.in_memory(), column(20, x_tile=100)
    for task in column(20, x_tile=1000):
        put_output(store, task)

    assert not any(found(look_at(tasks, store)))


def test_a_column_that_holds_too_much_for_its_few_tasks_is_asked_object_by_object():
    store, tasks = CountingStore(), column(13)
    for number in range(1_001):
        store.inner.put(f"2023/ard/1000/{number}/x", b"")
    put_output(store.inner, tasks[4])

    looks = look_at(tasks, store)

    assert found(looks) == [number == 4 for number in range(13)]
    assert store.asked == {"list_few": 1, "get": 13, "size": 2}


def test_the_legacy_layout_is_listed_too_when_it_is_wanted():
    store = CountingStore()

    look_at(column(13, formats=("cog", "hkl")), store)

    assert store.asked == {"list_few": 2}


class _Stale(CountingStore):
    """Its listing was made when there were items only."""

    def list_few(self, prefix, most):
        self.asked["list_few"] += 1
        return {key: size for key, size in self.inner.list_few(prefix, most).items() if key.endswith(".json")}


def test_an_output_that_is_younger_than_the_listing_is_not_called_damaged():
    store, tasks = _Stale(), column(13)
    put_output(store.inner, tasks[0])

    looks = look_at(tasks, store)

    assert found(looks) == [True] + [False] * 12
    assert store.asked == {"list_few": 1, "get": 1, "size": 2}


@pytest.mark.parametrize("error", [Unavailable("SlowDown"), Auth("403")])
@pytest.mark.parametrize(("tasks", "call"), [(13, "list_few"), (13, "get"), (2, "get"), (2, "size"), (2, "sha256")])
def test_what_cannot_be_asked_is_an_error_and_not_missing(tasks, call, error):
    store = CountingStore(fail=call, error=error)
    put_output(store.inner, column(1)[0])

    with pytest.raises(type(error)):
        look_at(column(tasks), store, verify=Verify.FULL)


def test_a_listing_of_a_bucket_that_refuses_is_an_error(cloud):
    store = Store.open("s3://no-such-bucket-anywhere/x", aws=AwsSettings(), region=REGION)

    with pytest.raises((Unavailable, Auth), match="no-such-bucket-anywhere"):
        look_at(column(13), store)


def test_a_column_of_a_bucket_is_listed_below_its_prefix(cloud):
    store = Store.open(f"s3://{cloud.bucket}/ttc", aws=AwsSettings(), region=REGION)
    tasks = column(14)
    put_output(store, tasks[5])
    counting = CountingStore(store)

    looks = look_at(tasks, counting)

    assert found(looks) == [number == 5 for number in range(14)]
    assert counting.asked == {"list_few": 1, "get": 1}


def test_a_half_written_output_is_told_from_one_that_is_missing():
    store, task = Store.in_memory(), make_task(product=Product.S2)
    keys = put_output(store, task, without=("s2_20m",))

    (look,) = look_at([task], store)

    assert look.output is None
    assert look.damage == f"{keys['s2_20m']}: expected {len(f'{task.task_id} s2_20m')} bytes, found nothing"


def test_objects_without_an_item_are_no_output_and_no_damage():
    store, task = Store.in_memory(), make_task()
    put_output(store, task, item=False)

    (look,) = look_at([task], store)

    assert (look.output, look.damage) == (None, None)


@pytest.mark.parametrize(("verify", "complete"), [(Verify.SIZES, True), (Verify.FULL, False)])
@pytest.mark.parametrize("count", [1, 13], ids=["asked", "listed"])
def test_other_content_of_the_same_size_is_seen_by_a_full_verification(count, verify, complete):
    store, tasks = Store.in_memory(), column(count)
    change_content(store, put_output(store, tasks[0])["dem"])

    look = look_at(tasks, store, verify=verify)[0]

    assert (look.output is not None, look.damage is None) == (complete, complete)


def test_a_full_verification_passes_what_was_written():
    store, task = Store.in_memory(), make_task()
    put_output(store, task)

    assert found(look_at([task], store, verify=Verify.FULL)) == [True]


def test_what_is_withdrawn_does_not_exist_and_may_be_withdrawn_again():
    store, task = Store.in_memory(), make_task()
    keys = put_output(store, task)

    withdraw([task, make_task(y_tile=5)], store)
    withdraw([task], store)

    assert found(look_at([task], store)) == [False]
    assert store.get(keys["item"]) is None
    assert store.get(keys["dem"]) is not None


def test_a_published_product_passes_a_full_verification(tmp_path):
    store, task = Store.open(str(tmp_path), aws=AwsSettings()), make_task(formats=("cog", "hkl"))
    publish(make_dem(), task, store, provenance=make_provenance(), still_ours=lambda: None)

    assert found(look_at([task], store, verify=Verify.FULL)) == [True]


def test_a_half_written_set_of_sentinel_2_is_made_again_beside_a_finished_elevation():
    with mocked_world(products=(Product.DEM, Product.S2)) as world:
        request = make_tiles(2)
        for x in range(2):
            task = make_task(x_tile=x, y_tile=2 * x, dest=DEST)
            put_output(world.outputs, task)
            put_output(world.outputs, task.model_copy(update={"product": Product.S2}), without=["s2_20m"][:x])
        job = start_job(request, services=world.services, request_key="requests/a.json", now=NOW).job

        send_chunk(job.job_id, 0, services=world.services)

        states = {row.task_id: row.state for row in world.services.table.tasks(job)}
        assert states == {
            "2023/0X0Y/dem": State.SKIPPED,
            "2023/0X0Y/s2": State.SKIPPED,
            "2023/1X2Y/dem": State.SKIPPED,
            "2023/1X2Y/s2": State.QUEUED,
        }


def test_a_throttled_listing_leaves_a_chunk_unsent_and_without_rows():
    with mocked_world(products=(Product.DEM,)) as world:
        throttled = CountingStore(world.outputs, fail="list_few", error=Unavailable("SlowDown"))
        services = replace(world.services, open_store=lambda dest: throttled)
        request = make_tiles(20)
        in_a_column = replace(request, x_tile=request.x_tile * 0)
        job = start_job(in_a_column, services=services, request_key="requests/a.json", now=NOW).job

        with pytest.raises(Unavailable, match="SlowDown"):
            send_chunk(job.job_id, 0, services=services)

        assert not list(world.services.table.tasks(job))
        assert not world.services.table.chunk(job.job_id, 0).sent
