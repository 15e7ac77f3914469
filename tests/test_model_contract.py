"""The model's preparation of its input, step by step, fed with our legacy files of all three products.

What the prediction step does between reading the arrays and its networks (super-resolution and cloud removal apart,
which are networks or need real clouds): scaling, resampling, indices, 24 steps smoothed to quarters, the stack.
"""

import io

import h5py
import hickle
import numpy as np
import pytest
from scipy.ndimage import median_filter, zoom

from ard.adapters.hkl import hkl_files
from ard.product import Product
from loaders.dem import GLO30, load_dem
from loaders.s1 import load_s1
from loaders.s2 import load_s2
from tests.factories import make_task
from tests.fakes import FakeDem
from tests.fakes_s1 import FakeS1, year_of_slices
from tests.fakes_s2 import FakeS2, year_of_granules

# Normalisation limits of the model's 17 channels.
LOW = np.array([
    0.006576638437476157, 0.0162050812542916, 0.010040436408026246, 0.013351644159609368, 0.01965362020294499,
    0.014229037918669413, 0.015289539940489814, 0.011993591210803388, 0.008239871824216068, 0.006546120393682765,
    0, 0, 0, -0.1409399364817101, -0.4973397113668104, -0.09731556326714398, -0.7193834232943873,
])  # fmt: skip
HIGH = np.array([
    0.2691233691920348, 0.3740291447318227, 0.5171435111009385, 0.6027466239414053, 0.5650263218127718,
    0.5747005416952773, 0.5933928435187305, 0.6034943160143434, 0.7472037842374304, 0.7000076295109483,
    0.4, 0.948334642387533, 0.6729257769285485, 0.8177635298774327, 0.35768999002433816, 0.7545951919107605,
    0.7602693339366691,
])  # fmt: skip
STEPS = np.arange(0, 360, 15)


@pytest.fixture(scope="module")
def arrays():
    """Every legacy file of one tile and year, by the name of its place."""
    hills = FakeDem(lambda lon, lat: 300 + 200 * np.sin(lon * 900) * np.cos(lat * 700), {GLO30: {(-55, -6)}})
    s1, s2 = FakeS1(year_of_slices()), FakeS2(year_of_granules())
    products = [
        load_dem(make_task(), hills, hills),
        load_s1(make_task(product=Product.S1), s1, s1),
        load_s2(make_task(product=Product.S2), s2, s2),
    ]
    return {name: _loaded(content) for data in products for name, _, content in hkl_files(data)}


def _loaded(content):
    with h5py.File(io.BytesIO(content)) as file:
        return hickle.load(file)


def reflectances(arrays):
    """``(time, y, x, 10)`` in 0..1 on the 10 m grid: the red edges bilinear, the short-wave bands by 2 x 2 blocks."""
    ten, twenty = arrays["hkl_s2_10"], arrays["hkl_s2_20"][..., :6]
    assert ten.dtype == twenty.dtype == np.uint16
    times, height, width = twenty.shape[0], 2 * twenty.shape[1], 2 * twenty.shape[2]
    edges = zoom(twenty[..., :4] / 65_535, (1, 2, 2, 1), order=1)
    odd = twenty[:, twenty.shape[1] % 2 :, twenty.shape[2] % 2 :, 4:] / 65_535
    blocks = odd.reshape(times, odd.shape[1] // 2, 2, odd.shape[2] // 2, 2, 2).mean(axis=(2, 4))
    swir = zoom(blocks, (1, height / blocks.shape[1], width / blocks.shape[2], 1), order=1)
    assert ten.shape[1:3] == (height, width)
    return np.concatenate([ten / 65_535, edges, swir], axis=-1)


def indices(bands):
    """EVI, BI, MSAVI2 and GRNDVI, ``(..., 4)``."""
    blue, green, red, nir, swir = (bands[..., n] for n in (0, 1, 2, 3, 8))
    evi = np.clip(2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1), -1.5, 1.5)
    bare = ((swir + red) - (nir + blue)) / ((swir + red) + (nir + blue) + 1e-5)
    msavi = (2 * nir + 1 - np.sqrt(np.maximum((2 * nir + 1) ** 2 - 8 * (nir - red), 0))) / 2
    grndvi = (nir - (green + red)) / (nir + green + red + 1e-5)
    return np.stack([evi, bare, msavi, grndvi], axis=-1)


def biweekly(values, days):
    """The year at 24 steps: inverse-distance means of the nearest dates, the year taken as a circle."""
    apart = np.abs((STEPS[:, np.newaxis] - days + 182) % 365 - 182) + 5.0
    weights = np.where(apart <= np.sort(apart, axis=1)[:, [min(3, len(days) - 1)]], 1 / apart, 0)
    return np.tensordot(weights / weights.sum(axis=1, keepdims=True), values, axes=1)


def quarters(steps):
    """24 steps smoothed (Whittaker, second order), paired to months, the median of three months each."""
    second = np.diff(np.eye(24), 2, axis=0)
    smooth = np.linalg.solve(np.eye(24) + 100 * second.T @ second, steps.reshape(24, -1)).reshape(steps.shape)
    months = smooth.reshape(12, 2, *steps.shape[1:]).mean(axis=1)
    return np.median(months.reshape(4, 3, *steps.shape[1:]), axis=1)


def decibels(s1):
    linear = s1 / 65_535
    return np.clip((10 * np.log10(linear + 1 / 65_535) + 22) / 22, 0, 1)


def test_our_files_make_the_models_stack(arrays):
    days = arrays["hkl_misc_s2_dates"]
    window = np.s_[:, 100:272, 200:372]  # one window of the network, so that the test is quick
    bands = reflectances(arrays)[window]
    s1, slope = arrays["hkl_s1"], arrays["hkl_misc_dem"]
    height, width = arrays["hkl_s2_10"].shape[1:3]
    assert slope.shape == (height, width)
    assert s1.shape == (12, height, width, 2)
    assert len(days) == len(bands) >= 3
    assert (np.diff(days) > 0).all()

    optical = quarters(biweekly(np.concatenate([bands, indices(bands)], axis=-1), days))
    radar = decibels(s1[window]).reshape(4, 3, 172, 172, 2).mean(axis=1)
    steep = np.broadcast_to((median_filter(slope, 5) / 90)[window[1:]][np.newaxis, ..., np.newaxis], (4, 172, 172, 1))
    frames = np.concatenate([optical[..., :10], steep, radar, optical[..., 10:]], axis=-1)
    stack = np.concatenate([frames, np.median(frames, axis=0, keepdims=True)])
    normal = (np.clip(stack, LOW, HIGH) - (HIGH + LOW) / 2) / ((HIGH - LOW) / 2)

    assert normal.shape == (5, 172, 172, 17)
    assert np.isfinite(normal).all()
    assert np.abs(normal).max() <= 1 + 1e-9
    assert (normal.std(axis=(0, 1, 2)) > 0).all(), "no channel is constant"
    assert np.abs(stack - np.clip(stack, LOW, HIGH)).mean() < 0.2, "values lie where the model expects them"
