"""Signatures: late, fresh, and told to nobody."""

import json
import logging
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from affine import Affine
from pydantic import SecretStr

from ard.adapters.fast_reader import FastReader
from ard.adapters.gdal import read_options
from ard.adapters.reader import RasterioReader
from ard.adapters.signing import SigningReader, Tokens, is_blob, signed, without_queries
from ard.errors import AssetCorrupt, Auth, InvalidInput, Unavailable
from ard.grid import Bounds
from ard.product import Product
from ard.scene import Raster
from ard.settings import AwsSettings, WorkerSettings
from consumers.services import _reader
from tests.servers import Answer, file_answers, serving

BLOB = "https://sentinel1euwestrtc.blob.core.windows.net/sentinel1-grd-rtc/GRD/iw-vv.rtc.tiff"
BLOBS = "https://*.blob.core.windows.net"
BOX = Bounds(0.1, 0.1, 0.2, 0.2)
NOW = datetime(2024, 5, 17, 12, 0, tzinfo=UTC).timestamp()
HOUR = 3600.0
EMPTY = Raster(pixels=np.ones((1, 1)), transform=Affine.identity(), crs="EPSG:4326", nodata=None)


@dataclass
class Endpoint:
    """A token endpoint: ``token-1`` and on, each good for ``lasts`` seconds; ``first`` are its first answers."""

    lasts: float = HOUR
    first: list[Answer] = field(default_factory=list)
    now: float = NOW
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    given: int = 0

    def answer(self, method, path, headers):
        self.asked.append((path, headers.get("Ocp-Apim-Subscription-Key")))
        if self.first:
            return self.first.pop(0)
        self.given += 1
        expiry = datetime.fromtimestamp(self.now + self.lasts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Answer(body=json.dumps({"token": f"se=1&sig=SECRET-{self.given}%3D", "msft:expiry": expiry}).encode())

    def tokens(self, url, key=None):
        return Tokens(
            f"{url}/token",
            "sentinel-1-rtc",
            subscription_key=lambda: key,
            clock=lambda: self.now,
            sleep=self.slept.append,
        )


@dataclass
class Blobs:
    """A reader of blobs that refuses the signatures named."""

    refuses: tuple[str, ...] = ()
    error: type[Exception] = Auth
    reads: list[str] = field(default_factory=list)

    def window(self, href, bounds, **options):
        self.reads.append(href)
        if any(f"SECRET-{name}%3D" in href for name in self.refuses):
            raise self.error(f"{href}: HTTP 403") from OSError(f"HTTP response code on {href}: 403")
        return EMPTY


def test_a_blob_is_read_with_a_signature_instead_of_its_old_query():
    endpoint, blobs = Endpoint(), Blobs()
    with serving(endpoint.answer) as url:
        reader = SigningReader(blobs, endpoint.tokens(url), blobs=BLOBS)
        reader.window(BLOB + "?sig=old&se=0", BOX)
        reader.window(BLOB, BOX, margin=1)

    assert blobs.reads == [f"{BLOB}?se=1&sig=SECRET-1%3D"] * 2
    assert endpoint.asked == [("/token/sentinel-1-rtc", None)]


@pytest.mark.parametrize(
    "href",
    [
        "s3://bucket/iw-vv.tif",
        "/data/iw-vv.tif",
        "http://account.blob.core.windows.net/x.tif",
        "https://blob.core.windows.net.evil.test/x.tif",
        "https://evil.test/x.blob.core.windows.net/x.tif",
        "https://evil.test#.blob.core.windows.net",
        "https://evil.test\\.blob.core.windows.net/x.tif",
        "https://a.b.blob.core.windows.net/x.tif",
        "https://account.blob.core.windows.net:8443/x.tif",
        "https://account.blob.core.windows.net@evil.test/x.tif",
    ],
)
def test_addresses_of_other_stores_are_left_alone(href):
    endpoint, blobs = Endpoint(), Blobs()
    with serving(endpoint.answer) as url:
        SigningReader(blobs, endpoint.tokens(url), blobs=BLOBS).window(href, BOX)

    assert blobs.reads == [href]
    assert endpoint.asked == []
    assert not is_blob(href, BLOBS)


def test_a_store_may_be_another_one_by_scheme_host_and_port():
    assert is_blob("http://127.0.0.1:8080/x.tif?a=b", "http://127.0.0.1:8080")
    assert not is_blob("http://127.0.0.1:8081/x.tif", "http://127.0.0.1:8080")
    assert not is_blob("https://127.0.0.1:8080/x.tif", "http://127.0.0.1:8080")


def test_a_signature_is_renewed_when_less_than_ten_minutes_are_left():
    endpoint, blobs = Endpoint(), Blobs()
    with serving(endpoint.answer) as url:
        reader = SigningReader(blobs, endpoint.tokens(url), blobs=BLOBS)
        reader.window(BLOB, BOX)
        endpoint.now += HOUR - 601
        reader.window(BLOB, BOX)
        endpoint.now += 2
        reader.window(BLOB, BOX)

    assert [href[-4] for href in blobs.reads] == ["1", "1", "2"]


def test_a_signature_that_is_short_lived_from_the_start_is_not_asked_for_at_every_read():
    endpoint, blobs = Endpoint(lasts=300), Blobs()
    with serving(endpoint.answer) as url:
        reader = SigningReader(blobs, endpoint.tokens(url), blobs=BLOBS)
        for _ in range(3):
            reader.window(BLOB, BOX)
            endpoint.now += 25

    assert endpoint.given == 1


def test_a_refused_read_is_repeated_with_a_fresh_signature():
    endpoint, blobs = Endpoint(), Blobs(refuses=("1",))
    with serving(endpoint.answer) as url:
        reader = SigningReader(blobs, endpoint.tokens(url), blobs=BLOBS)
        raster = reader.window(BLOB, BOX)
        reader.window(BLOB, BOX)

    assert raster is EMPTY
    assert [href[-4] for href in blobs.reads] == ["1", "2", "2"]


def test_a_read_that_is_refused_twice_is_auth_and_no_third_signature_is_asked_for():
    endpoint, blobs = Endpoint(), Blobs(refuses=("1", "2"))
    with serving(endpoint.answer) as url, pytest.raises(Auth):
        SigningReader(blobs, endpoint.tokens(url), blobs=BLOBS).window(BLOB, BOX)

    assert (len(blobs.reads), endpoint.given) == (2, 2)


def test_threads_that_are_refused_at_once_share_one_fresh_signature():
    endpoint, blobs = Endpoint(), Blobs(refuses=("1",))
    together = threading.Barrier(4)

    def window(href, bounds, **options):
        if "SECRET-1%3D" in href:
            together.wait(10)
        return Blobs.window(blobs, href, bounds)

    blobs.window = window
    with serving(endpoint.answer) as url, ThreadPoolExecutor(4) as pool:
        reader = SigningReader(blobs, endpoint.tokens(url), blobs=BLOBS)
        rasters = list(pool.map(lambda _: reader.window(BLOB, BOX), range(4)))

    assert rasters == [EMPTY] * 4
    assert endpoint.given == 2


@pytest.mark.parametrize("error", [Auth, Unavailable, AssetCorrupt])
def test_no_error_tells_a_signature_nor_do_its_causes(error):
    endpoint, blobs = Endpoint(), Blobs(refuses=("1", "2"), error=error)
    with serving(endpoint.answer) as url, pytest.raises(error) as raised:
        SigningReader(blobs, endpoint.tokens(url), blobs=BLOBS).window(BLOB, BOX)

    told = "".join(traceback.format_exception(raised.value))
    assert type(raised.value) is error
    assert "SECRET" not in told and "sig=" not in told
    assert raised.value.__cause__ is None and raised.value.__context__ is None
    assert BLOB in str(raised.value)


def test_the_endpoint_is_told_our_key_and_nobody_else_is():
    endpoint, key = Endpoint(first=[Answer(302, headers={"Location": "/elsewhere"})] * 4), SecretStr("our-key")
    with serving(endpoint.answer) as url, pytest.raises(Unavailable) as raised:
        endpoint.tokens(url, key).current()

    assert endpoint.asked == [("/token/sentinel-1-rtc", "our-key")] * 4
    assert "our-key" not in "".join(traceback.format_exception(raised.value))


def test_a_throttled_request_waits_as_long_as_it_is_told():
    endpoint = Endpoint(first=[Answer(429, headers={"Retry-After": "7"}), Answer(503), Answer(200, b"{}")])
    with serving(endpoint.answer) as url:
        token = endpoint.tokens(url).current()

    assert token.get_secret_value() == "se=1&sig=SECRET-1%3D"
    assert endpoint.slept == [7.0, 4.0, 8.0]


def test_who_is_told_to_wait_for_long_gives_up_at_once():
    endpoint = Endpoint(first=[Answer(429, headers={"Retry-After": "600"})])
    with serving(endpoint.answer) as url, pytest.raises(Unavailable, match=r"429.*600 s"):
        endpoint.tokens(url).current()

    assert endpoint.slept == []


@pytest.mark.parametrize(("status", "error"), [(401, Auth), (403, Auth), (404, InvalidInput), (500, Unavailable)])
def test_the_endpoints_status_decides_the_error(status, error):
    endpoint = Endpoint(first=[Answer(status)] * 4)
    with serving(endpoint.answer) as url, pytest.raises(error, match=str(status)):
        endpoint.tokens(url).current()


def test_an_endpoint_that_cannot_be_reached_is_unavailable():
    with pytest.raises(Unavailable):
        Endpoint().tokens("http://127.0.0.1:9").current()


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"token": 5, "msft:expiry": "x"}', b'{"token": "a"}'])
def test_half_an_answer_is_no_token(body):
    endpoint = Endpoint(first=[Answer(200, body)] * 4)
    with serving(endpoint.answer) as url, pytest.raises(Unavailable):
        endpoint.tokens(url).current()


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("blob") / "x.tif"
    transform = Affine(0.01, 0, 0, 0, -0.01, 1)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 100, "width": 100}
    with rasterio.open(path, "w", **profile, crs="EPSG:4326", transform=transform) as dataset:
        dataset.write(np.full((1, 100, 100), 0.25, dtype=np.float32))
    return path.read_bytes()


def test_gdal_reads_an_address_with_a_signature_and_its_warnings_do_not_tell_it(content, caplog):
    failures = [Answer(503)]
    serve_file = file_answers(content)
    paths = []

    def answer(method, path, headers):
        paths.append(path)
        return failures.pop() if failures else serve_file(method, path, headers)

    options = read_options(AwsSettings()) | {"GDAL_HTTP_RETRY_DELAY": "0.01"}
    endpoint = Endpoint()
    SigningReader(Blobs(), endpoint.tokens("http://127.0.0.1:9"), blobs=BLOBS)
    with serving(answer) as url, caplog.at_level(logging.DEBUG):
        address = signed(f"{url}/iw-vv.rtc.tiff", SecretStr("se=1&sig=SECRET%3D"))
        raster = RasterioReader(options).window(address, BOX)

    assert (raster.pixels == 0.25).all()
    assert all(path.endswith("?se=1&sig=SECRET%3D") for path in paths)
    assert "Retrying" in caplog.text and "iw-vv.rtc.tiff" in caplog.text
    assert "SECRET" not in caplog.text


def test_a_log_record_keeps_all_but_the_queries_of_its_addresses():
    record = logging.LogRecord("x", 30, "f", 1, "%s of %s", ("HTTP 503", f"{BLOB}?sig=SECRET. Retrying"), None)

    assert without_queries(record)
    assert record.getMessage().startswith(f"HTTP 503 of {BLOB}") and "SECRET" not in record.getMessage()


def test_only_the_sentinel_1_worker_signs_and_only_when_there_is_an_endpoint():
    aws, worker = AwsSettings(), WorkerSettings()

    assert isinstance(_reader(Product.S1, aws, worker), SigningReader)
    assert isinstance(_reader(Product.S2, aws, worker), FastReader)
    assert isinstance(_reader(Product.S1, aws, WorkerSettings(s1_token_url="")), FastReader)


def test_the_settings_do_not_show_the_key():
    assert "our-key" not in repr(WorkerSettings(s1_subscription_key=SecretStr("our-key")))
