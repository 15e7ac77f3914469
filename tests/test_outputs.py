"""What is written, how it is found again, and that others can read it."""

import hashlib
import io
import json
import warnings

import h5py
import hickle
import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from rio_cogeo.cogeo import cog_validate

from ard.adapters.outputs import find, look, publish
from ard.adapters.store import Store
from ard.errors import InvalidInput, InvalidProduct, Transient, Unavailable
from ard.settings import AwsSettings
from tests.factories import GOLDEN, make_dem, make_provenance, make_task

ITEM = "2023/ard/1000/871/dem.json"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One product in both formats in a local folder."""
    folder = tmp_path_factory.mktemp("dest")
    task = make_task(dest=str(folder), formats=("cog", "hkl"))
    publish(
        make_dem(),
        task,
        Store.open(str(folder), aws=AwsSettings()),
        provenance=make_provenance(),
        still_ours=lambda: None,
    )
    return folder


def item_of(folder):
    return pystac.Item.from_file(str(folder / ITEM))


def path_of(folder, asset):
    return item_of(folder).make_asset_hrefs_absolute().assets[asset].href


def test_the_cog_is_valid_and_lossless(written):
    path = path_of(written, "dem")

    valid, errors, _ = cog_validate(path, strict=True)
    assert valid, errors
    with rasterio.open(path) as dataset:
        assert (dataset.read() == make_dem().layers[0].pixels).all()
        assert dataset.descriptions == ("elevation", "slope")
        assert dataset.units == ("m", "deg")
        assert dataset.transform.almost_equals(GOLDEN.grid(10).transform)
        assert dataset.overviews(1)


def test_the_item_is_valid_stac(written):
    item = item_of(written)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # extension schemas are on the internet; the core's are in the package
        item.stac_extensions = []
        item.validate()
    assert item.get_self_href().endswith("dem.json")
    assert item.id == "1000X871Y-2023-dem"


def test_every_extension_reads_back_through_its_class(written):
    item = item_of(written)
    asset = item.assets["dem"]

    projection, file, raster = ProjectionExtension.ext(asset), FileExtension.ext(asset), RasterExtension.ext(asset)
    assert ProjectionExtension.ext(item).code == "EPSG:4326"
    assert projection.shape == [618, 616]
    assert projection.transform == pytest.approx(list(GOLDEN.grid(10).transform)[:6])
    content = (written / "2023/ard/1000/871" / asset.href.removeprefix("./")).read_bytes()
    assert file.size == len(content)
    assert file.checksum == "1220" + hashlib.sha256(content).hexdigest()
    assert [(band.data_type, band.unit, band.nodata) for band in raster.bands] == [
        ("float32", "m", None),
        ("float32", "deg", None),
    ]
    assert [band["name"] for band in asset.extra_fields["bands"]] == ["elevation", "slope"]


def test_the_item_tells_provenance_and_quality(written):
    item = item_of(written)

    assert [link.href for link in item.get_links("derived_from")] == ["https://catalogue.test/items/S06W055"]
    assert item.properties["processing:software"]["ttc-tile-pipeline"].endswith("+abc1234")
    assert item.properties["ttc:metrics"] == {"slope_p50": 12.5}
    assert item.properties["ttc:flags"] == ["filled_glo90"]
    assert item.properties["ttc:job_id"] == "2023-1t-0123456789"
    assert item.properties["ttc:parameters"] == {"upsampling": "bilinear"}


def test_odc_stac_loads_the_arrays_back_from_the_item(written):
    item = item_of(written)
    item.make_asset_hrefs_absolute()

    loaded = odc.stac.load([item], bands=["dem.1", "dem.2"]).isel(time=0)

    elevation, slope = make_dem().layers[0].pixels
    assert (loaded["dem.1"].values == elevation).all()
    assert (loaded["dem.2"].values == slope).all()


def test_hickle_loads_the_legacy_file_where_the_model_looks_for_it(written):
    path = written / "2023/raw/1000/871/raw/misc/dem_1000X871Y.hkl"

    array = hickle.load(str(path))

    assert array.dtype == np.float32
    assert (array == make_dem().layers[0].pixels[1]).all()
    with h5py.File(path) as file:
        assert file["data"].compression == "gzip"
    assert path_of(written, "hkl_misc_dem") == str(path)


def test_the_thumbnail_is_a_picture_of_half_the_size(written):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path_of(written, "thumbnail")) as picture:
            assert (picture.driver, picture.count, picture.shape) == ("PNG", 3, (309, 308))
            assert np.unique(picture.read(1)).size > 50


def test_the_same_product_is_the_same_bytes():
    stores = [Store.in_memory(), Store.in_memory()]
    for store in stores:
        publish(
            make_dem(), make_task(formats=("cog", "hkl")), store, provenance=make_provenance(), still_ours=lambda: None
        )

    first, second = ({key: store.get(key) for key in store.list("")} for store in stores)
    assert first == second and len(first) == 4


def test_an_output_is_found_by_its_item():
    store, task = Store.in_memory(), make_task()

    assert find(task, store) is None
    published = publish(make_dem(), task, store, provenance=make_provenance(), still_ours=lambda: None)
    assert find(task, store) == published
    assert published.item_key == ITEM
    assert published.size == sum(size for key, size in store.list("").items() if key != ITEM)


def test_an_output_in_fewer_formats_than_asked_is_not_complete():
    store = Store.in_memory()
    publish(make_dem(), make_task(formats=("cog",)), store, provenance=make_provenance(), still_ours=lambda: None)

    assert find(make_task(formats=("cog", "hkl")), store) is None


@pytest.mark.parametrize("damage", [b"", b"short"])
def test_an_output_with_a_damaged_object_is_not_complete(damage):
    store, task = Store.in_memory(), make_task()
    publish(make_dem(), task, store, provenance=make_provenance(), still_ours=lambda: None)
    cog = next(key for key in store.list("") if key.endswith(".tif"))

    store.put(cog, damage)

    assert find(task, store) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"properties": {}, "assets": []}', b'{"assets": {"a": 1}}']
)
def test_an_unreadable_item_is_no_output(content):
    store = Store.in_memory()

    store.put(ITEM, content)

    assert find(make_task(), store) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item.update(assets={}),
        lambda item: item["properties"].update({"ttc:formats": 1}),
        lambda item: item["properties"].pop("ttc:job_id"),
        lambda item: item["assets"]["dem"].pop("file:checksum"),
        lambda item: item["assets"]["dem"].update({"href": "../../../../../../x"}),
    ],
    ids=["no assets", "odd formats", "no job", "no checksum", "an address beyond the destination"],
)
def test_an_item_that_is_not_whole_is_no_output(change):
    store, task = Store.in_memory(), make_task()
    publish(make_dem(), task, store, provenance=make_provenance(), still_ours=lambda: None)
    item = json.loads(store.get(ITEM))
    change(item)

    store.put(ITEM, json.dumps(item).encode())

    assert find(task, store) is None
    assert look(task, store).damage == f"{ITEM}: not an item of an output"


class _FailingStore(Store):
    """Refuses the n-th put."""

    def __init__(self, inner, fail_at):
        self.inner, self.fail_at, self.puts = inner, fail_at, []

    def put(self, key, content):
        if len(self.puts) == self.fail_at:
            raise Unavailable("SlowDown")
        self.puts.append(key)
        self.inner.put(key, content)


@pytest.mark.parametrize("fail_at", [0, 1, 2, 3])
def test_a_write_that_stops_anywhere_leaves_no_output_and_can_be_done_again(fail_at):
    store, task = Store.in_memory(), make_task(formats=("cog", "hkl"))

    with pytest.raises(Unavailable):
        publish(make_dem(), task, _FailingStore(store, fail_at), provenance=make_provenance(), still_ours=lambda: None)

    assert find(task, store) is None
    publish(make_dem(), task, store, provenance=make_provenance(), still_ours=lambda: None)
    assert find(task, store) is not None


def test_a_legacy_file_is_not_overwritten_by_a_worker_that_lost_its_lease():
    store = Store.in_memory()

    def lost():
        raise Transient("the lease passed to another worker")

    with pytest.raises(Transient):
        publish(make_dem(), make_task(formats=("cog", "hkl")), store, provenance=make_provenance(), still_ours=lost)

    assert not [key for key in store.list("") if key.endswith((".hkl", ".json"))]


def test_the_item_is_put_last():
    store = _FailingStore(Store.in_memory(), fail_at=99)

    publish(make_dem(), make_task(formats=("cog", "hkl")), store, provenance=make_provenance(), still_ours=lambda: None)

    assert store.puts[-1] == ITEM


def test_a_product_that_breaks_its_contract_is_not_written():
    store = Store.in_memory()

    with pytest.raises(InvalidProduct):
        publish(make_dem(layers=()), make_task(), store, provenance=make_provenance(), still_ours=lambda: None)

    assert store.list("") == {}


def test_a_destination_that_is_neither_bucket_nor_folder_is_refused():
    with pytest.raises(InvalidInput, match="s3://bucket"):
        Store.open("gs://bucket/x", aws=AwsSettings())


def test_a_bucket_that_is_not_there_is_a_clear_error(cloud):
    store = Store.open("s3://no-such-bucket-anywhere/x", aws=AwsSettings(), region="us-west-2")

    with pytest.raises(InvalidInput, match="no-such-bucket-anywhere"):
        store.put("a.json", b"{}")


def test_an_output_in_a_bucket_is_found_again(cloud):
    store = Store.open(f"s3://{cloud.bucket}/ttc", aws=AwsSettings(), region="us-west-2")
    publish(make_dem(), make_task(), store, provenance=make_provenance(), still_ours=lambda: None)

    assert find(make_task(), store) is not None
    listed = cloud.s3.list_objects_v2(Bucket=cloud.bucket)["Contents"]
    assert f"ttc/{ITEM}" in {entry["Key"] for entry in listed}
    assert len(listed) == 3


def test_json_of_the_item_has_no_absolute_place(written):
    text = (written / ITEM).read_text()

    assert str(written) not in text
    assert json.loads(text)["type"] == "Feature"
    assert io.StringIO(text).readline() == "{\n"
